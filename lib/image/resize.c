/* SPDX-License-Identifier: MIT */
/*
 * Resampling, the step between an image and a net.  Rows are resampled first, with a table of
 * positions made once, into a cache of two; each output row then mixes two cached rows.  A source
 * row is read at most once, and only if some output row needs it.  Positions are computed in double
 * precision: in float, those of a 4000 pixel wide photo would be off by 1/5000 of a pixel.
 */
#include "image/resize.h"

#include <math.h>

#include "base/error.h"
#include "image/image.h"

struct sampler {
    const struct qd_image *src;
    enum qd_resampler r;
    int w, h;         /* of the output */
    struct qd_tap *x; /* [w], 'at' counts bytes */
    float *row[2];    /* resampled source rows, [w][src->c], 0..255 */
    int have[2];      /* which ones, -1: none */
};

static struct qd_tap position(enum qd_resampler r, int i, int n, int src)
{
    double s;

    if (src == 1)
        return (struct qd_tap){0, 0};
    if (r == QD_RESAMPLE_HALFPIXEL)
        s = (i + .5) * src / n - .5;
    else
        s = i == n - 1 ? src - 1 : (double)i * (src - 1) / (n - 1);
    s = QD_MIN(QD_MAX(s, 0), (double)(src - 1));
    /* the last pixel is reached from the one before it, so that at + 1 always exists */
    int at = QD_MIN((int)s, src - 2);
    return (struct qd_tap){(int32_t)at, (float)(s - at)};
}

static void sampler_close(struct sampler *s)
{
    qd_free(s->x);
    qd_free(s->row[0]);
    qd_free(s->row[1]);
}

static int sampler_open(struct sampler *s, const struct qd_image *src, enum qd_resampler r, int w,
    int h, struct qd_error *err)
{
    size_t c = (size_t)src->c;

    *s = (struct sampler){.src = src, .r = r, .w = w, .h = h, .have = {-1, -1}};
    s->x = qd_alloc_raw((size_t)w, sizeof(*s->x), err);
    for (int i = 0; i < 2; i++)
        s->row[i] = qd_alloc_raw((size_t)w * c, sizeof(float), err);
    if (!s->x || !s->row[0] || !s->row[1]) {
        sampler_close(s);
        return -1;
    }
    for (int x = 0; x < w; x++) {
        s->x[x] = position(r, x, w, src->w);
        s->x[x].at *= (int32_t)c;
    }
    return 0;
}

static void row1(const struct qd_tap *x, int n, const uint8_t *p, size_t next, float *out)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *a = p + x[i].at, *b = a + next;
        out[i] = (float)a[0] + x[i].t * (float)(b[0] - a[0]);
    }
}

static void row3(const struct qd_tap *x, int n, const uint8_t *p, size_t next, float *out)
{
    for (int i = 0; i < n; i++, out += 3) {
        const uint8_t *a = p + x[i].at, *b = a + next;
        float t = x[i].t;
        out[0] = (float)a[0] + t * (float)(b[0] - a[0]);
        out[1] = (float)a[1] + t * (float)(b[1] - a[1]);
        out[2] = (float)a[2] + t * (float)(b[2] - a[2]);
    }
}

void qd_resize_row(const struct qd_tap *x, int n, const struct qd_image *src, int y, float *out)
{
    size_t c = (size_t)src->c, next = src->w > 1 ? c : 0;
    const uint8_t *p = src->data + (size_t)y * (size_t)src->w * c;

    if (c == 1)
        row1(x, n, p, next, out);
    else
        row3(x, n, p, next, out);
}

static void fill_row(struct sampler *s, int slot, int y)
{
    const struct qd_image *src = s->src;
    size_t n = (size_t)src->w * (size_t)src->c;
    const uint8_t *p = src->data + (size_t)y * n;

    s->have[slot] = y;
    if (src->w == s->w) /* both resamplers leave the columns as they are */
        for (size_t i = 0; i < n; i++)
            s->row[slot][i] = (float)p[i];
    else
        qd_resize_row(s->x, s->w, src, y, s->row[slot]);
}

/* The two rows, and the weight of the second, that output row y mixes. */
static void sampler_rows(struct sampler *s, int y, const float **a, const float **b, float *t)
{
    struct qd_tap v = position(s->r, y, s->h, s->src->h);
    int first = (int)v.at, second = s->src->h > 1 ? first + 1 : first;

    if (s->have[0] != first) {
        if (s->have[1] == first) { /* the usual step downwards: the second becomes the first */
            float *row = s->row[0];
            s->row[0] = s->row[1];
            s->row[1] = row;
            s->have[1] = s->have[0];
            s->have[0] = first;
        } else {
            fill_row(s, 0, first);
        }
    }
    *a = *b = s->row[0];
    *t = v.t;
    if (second == first || v.t <= 0) /* the second row does not count */
        return;
    if (s->have[1] != second)
        fill_row(s, 1, second);
    *b = s->row[1];
}

/* Mix two rows of n values into contiguous floats. */
static void mix(
    const float *restrict a, const float *restrict b, float t, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (a[i] + t * (b[i] - a[i])) / 255.f;
}

/* The same into pixels with gaps, or with another number of channels. */
static void mix_pixels(const struct sampler *s, const float *a, const float *b, float t,
    const struct qd_pixels *dst, float *out)
{
    size_t ps = dst->pixel_stride;

    for (int x = 0; x < s->w; x++, out += ps) {
        float v[3];
        for (int k = 0; k < s->src->c; k++, a++, b++)
            v[k] = (*a + t * (*b - *a)) / 255.f;
        if (s->src->c == 1 && dst->c == 3) {
            out[0] = out[1] = out[2] = v[0];
        } else if (s->src->c == 3 && dst->c == 3) {
            out[0] = v[0];
            out[1] = v[1];
            out[2] = v[2];
        } else if (s->src->c == 3) {
            out[0] = .299f * v[0] + .587f * v[1] + .114f * v[2];
        } else {
            out[0] = v[0];
        }
    }
}

int qd_resize_into(const struct qd_image *src, enum qd_resampler r, const struct qd_pixels *dst,
    struct qd_error *err)
{
    struct sampler s;

    if ((dst->c != 1 && dst->c != 3) || dst->w < 1 || dst->h < 1)
        return qd_error_set(
            err, QD_EARG, "no image can be turned into %dx%dx%d values", dst->w, dst->h, dst->c);
    if (sampler_open(&s, src, r, dst->w, dst->h, err) < 0)
        return -1;
    for (int y = 0; y < dst->h; y++) {
        const float *a, *b;
        float t, *out = dst->data + (size_t)y * dst->row_stride;
        sampler_rows(&s, y, &a, &b, &t);
        if (dst->c == src->c && dst->pixel_stride == (size_t)src->c)
            mix(a, b, t, (size_t)dst->w * (size_t)dst->c, out);
        else
            mix_pixels(&s, a, b, t, dst, out);
    }
    sampler_close(&s);
    return 0;
}

struct qd_letterbox qd_letterbox_fit(int sw, int sh, int w, int h)
{
    struct qd_letterbox lb = {.w = w, .h = h, .nw = w, .nh = h};

    if ((long long)w * sh < (long long)h * sw) /* w / sw < h / sh: the width is what limits */
        lb.nh = (int)QD_MAX((long long)sh * w / sw, 1);
    else
        lb.nw = (int)QD_MAX((long long)sw * h / sh, 1);
    lb.ox = (w - lb.nw) / 2;
    lb.oy = (h - lb.nh) / 2;
    return lb;
}

static void fill_gray(const struct qd_pixels *dst, int x0, int x1, int y0, int y1)
{
    for (int y = y0; y < y1; y++) {
        float *p = dst->data + (size_t)y * dst->row_stride + (size_t)x0 * dst->pixel_stride;
        for (int x = x0; x < x1; x++, p += dst->pixel_stride)
            for (int k = 0; k < dst->c; k++)
                p[k] = .5f;
    }
}

int qd_letterbox_into(const struct qd_image *src, enum qd_resampler r, const struct qd_pixels *dst,
    struct qd_error *err)
{
    struct qd_letterbox lb = qd_letterbox_fit(src->w, src->h, dst->w, dst->h);
    struct qd_pixels part = *dst;
    int right = lb.ox + lb.nw, below = lb.oy + lb.nh;

    part.w = lb.nw;
    part.h = lb.nh;
    part.data += (size_t)lb.oy * dst->row_stride + (size_t)lb.ox * dst->pixel_stride;
    if (qd_resize_into(src, r, &part, err) < 0)
        return -1;
    fill_gray(dst, 0, dst->w, 0, lb.oy);
    fill_gray(dst, 0, dst->w, below, dst->h);
    fill_gray(dst, 0, lb.ox, lb.oy, below);
    fill_gray(dst, right, dst->w, lb.oy, below);
    return 0;
}

void qd_letterbox_unmap(const struct qd_letterbox *lb, struct qd_box *box)
{
    double w = lb->w, h = lb->h, nw = lb->nw, nh = lb->nh;

    box->x = (float)(((double)box->x - (w - nw) / 2 / w) / (nw / w));
    box->y = (float)(((double)box->y - (h - nh) / 2 / h) / (nh / h));
    box->w = (float)((double)box->w * w / nw);
    box->h = (float)((double)box->h * h / nh);
}

struct qd_image *qd_image_resize(
    const struct qd_image *src, enum qd_resampler r, int w, int h, struct qd_error *err)
{
    struct qd_image *out = qd_image_new_raw(w, h, src->c, err);
    struct sampler s;

    if (!out)
        return NULL;
    if (sampler_open(&s, src, r, w, h, err) < 0) {
        qd_image_free(out);
        return NULL;
    }
    size_t n = (size_t)w * (size_t)src->c;
    for (int y = 0; y < h; y++) {
        const float *a, *b;
        float t;
        uint8_t *to = out->data + (size_t)y * n;
        sampler_rows(&s, y, &a, &b, &t);
        for (size_t i = 0; i < n; i++)
            to[i] = (uint8_t)(a[i] + t * (b[i] - a[i]) + .5f);
    }
    sampler_close(&s);
    return out;
}

struct qd_image *qd_image_resize_nearest(
    const struct qd_image *src, int w, int h, struct qd_error *err)
{
    struct qd_image *out = qd_image_new_raw(w, h, src->c, err);
    size_t c = (size_t)src->c;

    if (!out)
        return NULL;
    uint8_t *d = out->data;
    for (long long y = 0; y < h; y++) {
        const uint8_t *row =
            src->data + (size_t)((2 * y + 1) * src->h / (2 * h)) * (size_t)src->w * c;
        for (long long x = 0; x < w; x++, d += c)
            memcpy(d, row + (size_t)((2 * x + 1) * src->w / (2 * w)) * c, c);
    }
    return out;
}
