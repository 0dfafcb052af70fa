/* SPDX-License-Identifier: MIT */
/*
 * Resampling for augmentation.  Rows of the source are resampled once, with a table of positions,
 * into a cache of two, as image/resize.c does; what differs is that a table may begin and end
 * outside of the image and run backwards (flip).  Colours are changed while a row is in the cache.
 */
#include "data/sample.h"

#include <math.h>

#include "base/error.h"

/* In taps here, columns 'at' and the next one are inside; otherwise at < 0 and one or both are
 * outside. */

enum { NONE = -2, OUTSIDE = -1 };

struct grid {
    const struct qd_image *src;
    struct qd_outside outside;
    int w;            /* of the output */
    struct qd_tap *x; /* [w]; inside: 'at' counts bytes */
    int from, to;     /* columns from .. to - 1 are inside */
    const double *xs; /* the positions, for those that are not */
    float *row[2];    /* [w][c], 0..255 */
    int have[2];      /* which source rows: NONE, OUTSIDE */
    float *plain;     /* [w][c] of the outside colour */
};

/* The pixel below position s, and how far it is to the next; at = -1 .. n - 1. */
static struct qd_tap split(double s, int n, bool edge)
{
    if (n == 1 && edge)
        return (struct qd_tap){0, 0};
    if (edge)
        s = QD_MIN(QD_MAX(s, 0), (double)(n - 1));
    else
        s = QD_MIN(QD_MAX(s, -1), (double)n);
    int at = (int)floor(s);
    if (at == n - 1 && s <= n - 1) /* reached from the one before, so that at + 1 exists */
        at = QD_MAX(at - 1, 0);
    return (struct qd_tap){at, (float)(s - at)};
}

static void grid_close(struct grid *g)
{
    qd_free(g->x);
    qd_free(g->row[0]);
    qd_free(g->row[1]);
    qd_free(g->plain);
}

static void fill_plain(float *row, int w, int c, const float *colour)
{
    for (int i = 0; i < w; i++)
        for (int k = 0; k < c; k++)
            row[i * c + k] = colour[k] * 255;
}

static int grid_open(
    struct grid *g, const struct qd_sample_job *job, const double *x, struct qd_error *err)
{
    const struct qd_image *src = job->src;
    int w = job->dst.w, n = src->w, next = n > 1;
    size_t values = (size_t)w * (size_t)src->c;

    *g = (struct grid){.src = src, .outside = job->outside, .w = w, .xs = x, .have = {NONE, NONE}};
    g->x = qd_alloc_raw((size_t)w, sizeof(*g->x), err);
    for (int i = 0; i < 2; i++)
        g->row[i] = qd_alloc_raw(values, sizeof(float), err);
    if (!job->outside.edge)
        g->plain = qd_alloc_raw(values, sizeof(float), err);
    if (!g->x || !g->row[0] || !g->row[1] || (!job->outside.edge && !g->plain)) {
        grid_close(g);
        return -1;
    }
    g->from = w;
    for (int i = 0; i < w; i++) {
        g->x[i] = split(x[i], n, job->outside.edge);
        bool inside = g->x[i].at >= 0 && g->x[i].at + next < n;
        g->from = inside && i < g->from ? i : g->from;
        g->to = inside ? i + 1 : g->to;
        g->x[i].at = inside ? g->x[i].at * src->c : -1;
    }
    g->from = QD_MIN(g->from, g->to);
    if (g->plain)
        fill_plain(g->plain, w, src->c, job->outside.colour);
    return 0;
}

/* Columns that touch the outside colour. */
static void fill_border(const struct grid *g, const uint8_t *p, int from, int to, float *out)
{
    int n = g->src->w, c = g->src->c;

    for (int i = from; i < to; i++) {
        struct qd_tap x = split(g->xs[i], n, false);
        bool a = x.at >= 0 && x.at < n, b = x.at + 1 >= 0 && x.at + 1 < n;
        for (int k = 0; k < c; k++) {
            float plain = g->outside.colour[k] * 255;
            float va = a ? (float)p[x.at * c + k] : plain;
            float vb = b ? (float)p[(x.at + 1) * c + k] : plain;
            out[i * c + k] = va + x.t * (vb - va);
        }
    }
}

static void fill_row(struct grid *g, int slot, int y)
{
    const struct qd_image *src = g->src;
    const uint8_t *p = src->data + (size_t)y * (size_t)src->w * (size_t)src->c;
    float *out = g->row[slot];

    g->have[slot] = y;
    if (!g->outside.edge) {
        fill_border(g, p, 0, g->from, out);
        fill_border(g, p, g->to, g->w, out);
    }
    qd_resize_row(g->x + g->from, g->to - g->from, src, y, out + (size_t)g->from * (size_t)src->c);
}

/* Source row y, resampled; it stays until two other rows were asked for. */
static const float *get_row(struct grid *g, int y)
{
    if (y < 0 || y >= g->src->h)
        return g->plain;
    if (g->have[0] == y)
        return g->row[0];
    if (g->have[1] != y) /* replace the row that was not used last */
        fill_row(g, 1, y);
    float *row = g->row[1]; /* the one used last goes to the front */
    g->row[1] = g->row[0];
    g->row[0] = row;
    g->have[1] = g->have[0];
    g->have[0] = y;
    return row;
}

static void mix_rows(
    const float *restrict a, const float *restrict b, float t, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (a[i] + t * (b[i] - a[i])) / 255.f;
}

/* Put a finished row of dense pixels where it belongs. */
static void store(const float *row, const struct qd_sample_job *job, int y)
{
    const struct qd_pixels *d = &job->dst;
    float *out = d->data + (size_t)y * d->row_stride, mix = job->mix;

    for (int i = 0; i < d->w; i++, out += d->pixel_stride, row += d->c)
        for (int k = 0; k < d->c; k++)
            out[k] = mix > 0 ? out[k] + mix * (row[k] - out[k]) : row[k];
}

static int check(const struct qd_sample_job *job, struct qd_error *err)
{
    if (job->dst.c == job->src->c && (job->dst.c == 1 || job->dst.c == 3))
        return 0;
    return qd_error_set(
        err, QD_EARG, "an image with %d channels for a net with %d", job->src->c, job->dst.c);
}

int qd_sample_grid(
    const struct qd_sample_job *job, const double *x, const double *y, struct qd_error *err)
{
    const struct qd_pixels *d = &job->dst;
    size_t values = (size_t)d->w * (size_t)d->c;
    bool direct = job->mix <= 0 && d->pixel_stride == (size_t)d->c;
    struct grid g;

    if (d->w < 1 || d->h < 1)
        return 0;
    if (check(job, err) < 0)
        return -1;
    float *line = direct ? NULL : qd_alloc_raw(values, sizeof(float), err);
    if ((!direct && !line) || grid_open(&g, job, x, err) < 0) {
        qd_free(line);
        return -1;
    }
    for (int i = 0; i < d->h; i++) {
        struct qd_tap v = split(y[i], job->src->h, job->outside.edge);
        float *out = direct ? d->data + (size_t)i * d->row_stride : line;
        const float *a = get_row(&g, v.at);
        const float *b = v.t > 0 ? get_row(&g, v.at + 1) : a;
        mix_rows(a, b, v.t, values, out);
        if (job->hsv)
            qd_hsv_apply(job->hsv, out, d->w, d->c, (size_t)d->c);
        if (!direct)
            store(line, job, i);
    }
    grid_close(&g);
    qd_free(line);
    return 0;
}

/* -------------------------------------------------------------------- turned ------------------ */

/* The pixel at (x, y), 0..255. */
static void fetch(const struct qd_sample_job *job, double x, double y, float *out)
{
    const struct qd_image *img = job->src;
    bool edge = job->outside.edge;
    struct qd_tap tx = split(x, img->w, edge), ty = split(y, img->h, edge);
    int c = img->c;

    for (int k = 0; k < c; k++) {
        float v[4];
        for (int i = 0; i < 4; i++) {
            int px = tx.at + (i & 1), py = ty.at + (i >> 1);
            if (edge) {
                px = QD_MIN(px, img->w - 1);
                py = QD_MIN(py, img->h - 1);
            }
            bool in = px >= 0 && py >= 0 && px < img->w && py < img->h;
            v[i] =
                in ? (float)img
                         ->data[((size_t)py * (size_t)img->w + (size_t)px) * (size_t)c + (size_t)k]
                   : job->outside.colour[k] * 255;
        }
        float top = v[0] + tx.t * (v[1] - v[0]), low = v[2] + tx.t * (v[3] - v[2]);
        out[k] = (top + ty.t * (low - top)) / 255.f;
    }
}

int qd_sample_affine(const struct qd_sample_job *job, const struct qd_affine *at,
    const struct qd_limit *limit, struct qd_error *err)
{
    const struct qd_pixels *d = &job->dst;
    const double *m = at->m;

    if (check(job, err) < 0)
        return -1;
    for (int k = 0; k < d->h; k++) {
        float *out = d->data + (size_t)k * d->row_stride;
        for (int i = 0; i < d->w; i++, out += d->pixel_stride) {
            double x = m[0] * i + m[1] * k + m[2], y = m[3] * i + m[4] * k + m[5];
            float v[3];
            if (limit && (x < limit->x0 || x >= limit->x1 || y < limit->y0 || y >= limit->y1))
                continue;
            fetch(job, x, y, v);
            if (job->hsv)
                qd_hsv_apply(job->hsv, v, 1, d->c, (size_t)d->c);
            for (int j = 0; j < d->c; j++)
                out[j] = job->mix > 0 ? out[j] + job->mix * (v[j] - out[j]) : v[j];
        }
    }
    return 0;
}

struct qd_pixels qd_pixels_part(const struct qd_pixels *p, int x, int y, int w, int h)
{
    struct qd_pixels part = *p;

    part.data += (size_t)y * p->row_stride + (size_t)x * p->pixel_stride;
    part.w = w;
    part.h = h;
    return part;
}

void qd_image_mean(const struct qd_image *img, float mean[3])
{
    uint64_t sum[3] = {0};
    size_t n = (size_t)img->w * (size_t)img->h;
    const uint8_t *p = img->data;

    for (size_t i = 0; i < n; i++, p += img->c)
        for (int k = 0; k < img->c; k++)
            sum[k] += p[k];
    for (int k = 0; k < 3; k++)
        mean[k] = (float)((double)sum[QD_MIN(k, img->c - 1)] / (255. * (double)n));
}
