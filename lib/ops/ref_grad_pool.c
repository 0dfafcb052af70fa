/* SPDX-License-Identifier: MIT */
/*
 * Gradients of pooling, resampling and blur in plain C: the specification of the vector ones.
 * What is scattered is added to cells that were set to 0 first when the gradient is fresh.  What
 * the vector levels leave to this file is cut by rows or images.
 */
#include "ops/grad.h"
#include "ops/kernels.h"
#include "ops/rows.h"

#define FOR_PIXELS(t, n, y, x)                                                                     \
    for (int n = 0; n < (t)->n; n++)                                                               \
        for (int y = 0; y < (t)->h; y++)                                                           \
            for (int x = 0; x < (t)->w; x++)

static void clear(const struct qd_tensor *t, bool fresh)
{
    if (!fresh)
        return;
    FOR_PIXELS(t, n, y, x)
    memset(qd_at(t, n, y, x), 0, (size_t)t->c * sizeof(float));
}

/* The cells of an output's window that exist. */
struct cells {
    int y0, y1, x0, x1;
};

static struct cells window(const struct qd_tensor *in, const struct qd_pool_geom *g, int y, int x)
{
    int ty = y * g->sy + g->off, tx = x * g->sx + g->off;

    return (struct cells){.y0 = QD_MAX(ty, 0),
        .y1 = QD_MIN(ty + g->size, in->h),
        .x0 = QD_MAX(tx, 0),
        .x1 = QD_MIN(tx + g->size, in->w)};
}

/* The cell of channel c in that window of din which the forward operation took, or NULL. */
static float *winner(
    const struct qd_tensor *in, const struct qd_tensor *din, int n, const struct cells *w, int c)
{
    const float *best = NULL;
    float *cell = NULL;

    for (int y = w->y0; y < w->y1; y++)
        for (int x = w->x0; x < w->x1; x++) {
            const float *v = &qd_at(in, n, y, x)[c];
            if (!best || *v > *best) {
                best = v;
                cell = &qd_at(din, n, y, x)[c];
            }
        }
    return cell;
}

static void ref_maxpool(const struct qd_tensor *in, const struct qd_tensor *dy,
    const struct qd_tensor *din, const struct qd_pool_geom *g, bool fresh)
{
    clear(din, fresh);
    FOR_PIXELS(dy, n, y, x)
    {
        struct cells w = window(in, g, y, x);
        for (int c = 0; c < dy->c; c++) {
            float *cell = winner(in, din, n, &w, c);
            if (cell)
                *cell += qd_at(dy, n, y, x)[c];
        }
    }
}

struct job {
    const struct qd_tensor *in, *dy, *din;
    const struct qd_pool_geom *g;
    const float *kernel;
    int chunks, r, s, pad;
    float scale;
    bool fresh;
};

static void depth_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->din, j->chunks, chunk, n, y)
    for (int x = 0; x < j->din->w; x++) {
        const float *p = qd_at(j->in, n, y, x), *v = qd_at(j->dy, n, y, x);
        float *q = qd_at(j->din, n, y, x);
        if (j->fresh)
            memset(q, 0, (size_t)j->din->c * sizeof(float));
        for (int c = 0; c < j->dy->c; c++) {
            int best = c;
            for (int i = c + j->dy->c; i < j->in->c; i += j->dy->c)
                best = p[i] > p[best] ? i : best;
            q[best] += v[c];
        }
    }
}

static void ref_maxpool_depth(
    const struct qd_tensor *in, const struct qd_tensor *dy, const struct qd_tensor *din, bool fresh)
{
    struct job j = {.in = in, .dy = dy, .din = din, .fresh = fresh, .chunks = qd_row_chunks(din)};

    qd_par(j.chunks, depth_rows, &j);
}

static void mean_window(const struct qd_tensor *one, const struct cells *w, const float *dy)
{
    float scale = 1 / (float)((w->y1 - w->y0) * (w->x1 - w->x0));

    for (int y = w->y0; y < w->y1; y++)
        for (int x = w->x0; x < w->x1; x++)
            for (int c = 0; c < one->c; c++)
                qd_at(one, 0, y, x)[c] += dy[c] * scale;
}

/* All windows of an image, whose cells overlap. */
static void mean_image(void *ctx, int n, int thread)
{
    const struct job *j = ctx;
    struct qd_tensor one = *j->din;

    (void)thread;
    one.data = qd_at(j->din, n, 0, 0);
    one.n = 1;
    clear(&one, j->fresh);
    for (int y = 0; y < j->dy->h; y++)
        for (int x = 0; x < j->dy->w; x++) {
            struct cells w = window(&one, j->g, y, x);
            mean_window(&one, &w, qd_at(j->dy, n, y, x));
        }
}

static void ref_avgpool_local(const struct qd_tensor *dy, const struct qd_tensor *din,
    const struct qd_pool_geom *g, bool fresh)
{
    struct job j = {.dy = dy, .din = din, .g = g, .fresh = fresh};

    qd_par(din->n, mean_image, &j);
}

static void ref_avgpool(const struct qd_tensor *dy, const struct qd_tensor *din, bool fresh)
{
    float count = (float)din->h * (float)din->w;

    FOR_PIXELS(din, n, y, x)
    for (int c = 0; c < din->c; c++) {
        float v = qd_at(dy, n, 0, 0)[c] / count, *q = &qd_at(din, n, y, x)[c];
        *q = fresh ? v : *q + v;
    }
}

static void ref_upsample(
    const struct qd_tensor *dy, const struct qd_tensor *din, const float s_scale[2], bool fresh)
{
    int s = (int)s_scale[0];

    FOR_PIXELS(din, n, y, x)
    for (int c = 0; c < din->c; c++) {
        float *q = &qd_at(din, n, y, x)[c], sum = 0;
        for (int i = 0; i < s * s; i++)
            sum += qd_at(dy, n, y * s + i / s, x * s + i % s)[c];
        *q = fresh ? sum * s_scale[1] : *q + sum * s_scale[1];
    }
}

/* Rows and columns of din beyond the last whole block get nothing. */
static void down_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->din, j->chunks, chunk, n, y)
    for (int x = 0; x < j->din->w; x++) {
        float *q = qd_at(j->din, n, y, x);
        if (j->fresh)
            memset(q, 0, (size_t)j->din->c * sizeof(float));
        if (y / j->s >= j->dy->h || x / j->s >= j->dy->w)
            continue;
        const float *p = qd_at(j->dy, n, y / j->s, x / j->s);
        for (int c = 0; c < j->din->c; c++)
            q[c] += p[c] * j->scale;
    }
}

static void ref_downsample(
    const struct qd_tensor *dy, const struct qd_tensor *din, const float s_scale[2], bool fresh)
{
    struct job j = {.dy = dy,
        .din = din,
        .s = (int)s_scale[0],
        .scale = s_scale[1],
        .fresh = fresh,
        .chunks = qd_row_chunks(din)};

    qd_par(j.chunks, down_rows, &j);
}

/* One pixel of din gathers from the outputs that saw it through tap (i, k). */
static void blur_pixel(const struct job *j, const int n_y_x[3])
{
    const struct qd_tensor *dy = j->dy;
    float *q = qd_at(j->din, n_y_x[0], n_y_x[1], n_y_x[2]);

    for (int i = j->r - 1; i >= 0; i--)
        for (int k = j->r - 1; k >= 0; k--) {
            int y = n_y_x[1] + j->pad - i, x = n_y_x[2] + j->pad - k;
            if (y < 0 || x < 0 || y % j->s || x % j->s || y / j->s >= dy->h || x / j->s >= dy->w)
                continue;
            const float *p = qd_at(dy, n_y_x[0], y / j->s, x / j->s);
            for (int c = 0; c < dy->c; c++)
                q[c] += j->kernel[i * j->r + k] * p[c];
        }
}

static void blur_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->din, j->chunks, chunk, n, y)
    for (int x = 0; x < j->din->w; x++) {
        if (j->fresh)
            memset(qd_at(j->din, n, y, x), 0, (size_t)j->din->c * sizeof(float));
        blur_pixel(j, (const int[]){n, y, x});
    }
}

static void ref_blur(const struct qd_tensor *dy, const struct qd_tensor *din, const float *kernel,
    const int r_s_pad[3], bool fresh)
{
    struct job j = {.dy = dy,
        .din = din,
        .kernel = kernel,
        .r = r_s_pad[0],
        .s = r_s_pad[1],
        .pad = r_s_pad[2],
        .fresh = fresh,
        .chunks = qd_row_chunks(din)};

    qd_par(j.chunks, blur_rows, &j);
}

void qd_grad_pool__ref(struct qd_grad_ops *g)
{
    g->maxpool = ref_maxpool;
    g->maxpool_depth = ref_maxpool_depth;
    g->avgpool_local = ref_avgpool_local;
    g->avgpool = ref_avgpool;
    g->upsample = ref_upsample;
    g->downsample = ref_downsample;
    g->blur = ref_blur;
}
