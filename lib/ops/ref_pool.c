/* SPDX-License-Identifier: MIT */
/*
 * Pooling and nearest resampling in plain C: the specification of the vector ones.  What the
 * vector levels leave to this file is cut by rows.
 */
#include <math.h>

#include "ops/kernels.h"
#include "ops/rows.h"

struct pool {
    const struct qd_tensor *in, *out;
    const struct qd_pool_geom *g;
    int chunks, s;
    float scale;
};

/* One output pixel: the maximum, or the mean, of the cells of its window that exist. */
static void window(const struct pool *p, float *q, const int n_y_x[3], bool mean)
{
    const struct qd_pool_geom *g = p->g;
    int channels = p->out->c, y0 = n_y_x[1] * g->sy + g->off, x0 = n_y_x[2] * g->sx + g->off;
    int cells = 0;

    memset(q, 0, (size_t)channels * sizeof(float));
    for (int y = QD_MAX(y0, 0); y < QD_MIN(y0 + g->size, p->in->h); y++)
        for (int x = QD_MAX(x0, 0); x < QD_MIN(x0 + g->size, p->in->w); x++, cells++) {
            const float *v = qd_at(p->in, n_y_x[0], y, x);
            for (int c = 0; c < channels; c++)
                q[c] = mean ? q[c] + v[c] : !cells || v[c] > q[c] ? v[c] : q[c];
        }
    for (int c = 0; mean && cells && c < channels; c++)
        q[c] /= (float)cells;
}

static void pool(const struct pool *p, bool mean)
{
    for (int n = 0; n < p->out->n; n++)
        for (int y = 0; y < p->out->h; y++)
            for (int x = 0; x < p->out->w; x++)
                window(p, qd_at(p->out, n, y, x), (const int[]){n, y, x}, mean);
}

static void ref_maxpool(
    const struct qd_tensor *in, const struct qd_tensor *out, const struct qd_pool_geom *g)
{
    struct pool p = {.in = in, .out = out, .g = g};

    pool(&p, false);
}

static void ref_avgpool_local(
    const struct qd_tensor *in, const struct qd_tensor *out, const struct qd_pool_geom *g)
{
    struct pool p = {.in = in, .out = out, .g = g};

    pool(&p, true);
}

static void depth_rows(void *ctx, int chunk, int thread)
{
    const struct pool *p = ctx;
    const struct qd_tensor *out = p->out;

    (void)thread;
    QD_FOR_ROWS(out, p->chunks, chunk, n, y)
    for (int x = 0; x < out->w; x++) {
        const float *in = qd_at(p->in, n, y, x);
        float *q = qd_at(out, n, y, x);
        memcpy(q, in, (size_t)out->c * sizeof(float));
        for (int c = out->c; c < p->in->c; c++)
            q[c % out->c] = in[c] > q[c % out->c] ? in[c] : q[c % out->c];
    }
}

static void ref_maxpool_depth(const struct qd_tensor *in, const struct qd_tensor *out)
{
    struct pool p = {.in = in, .out = out, .chunks = qd_row_chunks(in)};

    qd_par(p.chunks, depth_rows, &p);
}

static void ref_avgpool(const struct qd_tensor *in, const struct qd_tensor *out)
{
    for (int n = 0; n < in->n; n++)
        for (int c = 0; c < in->c; c++) {
            double sum = 0;
            for (int y = 0; y < in->h; y++)
                for (int x = 0; x < in->w; x++)
                    sum += (double)qd_at(in, n, y, x)[c];
            qd_at(out, n, 0, 0)[c] = (float)(sum / ((double)in->h * in->w));
        }
}

static void ref_upsample(
    const struct qd_tensor *in, const struct qd_tensor *out, int s, float scale)
{
    for (int n = 0; n < out->n; n++)
        for (int y = 0; y < out->h; y++)
            for (int x = 0; x < out->w; x++)
                for (int c = 0; c < out->c; c++)
                    qd_at(out, n, y, x)[c] = scale * qd_at(in, n, y / s, x / s)[c];
}

static void down_rows(void *ctx, int chunk, int thread)
{
    const struct pool *p = ctx;
    const struct qd_tensor *out = p->out;

    (void)thread;
    QD_FOR_ROWS(out, p->chunks, chunk, n, y)
    for (int x = 0; x < out->w; x++) {
        float *q = qd_at(out, n, y, x);
        memset(q, 0, (size_t)out->c * sizeof(float));
        for (int i = 0; i < p->s * p->s; i++) {
            const float *in = qd_at(p->in, n, y * p->s + i / p->s, x * p->s + i % p->s);
            for (int c = 0; c < out->c; c++)
                q[c] += in[c];
        }
        for (int c = 0; c < out->c; c++)
            q[c] *= p->scale;
    }
}

static void ref_downsample(
    const struct qd_tensor *in, const struct qd_tensor *out, int s, float scale)
{
    struct pool p = {.in = in,
        .out = out,
        .s = s,
        .scale = scale,
        .chunks = qd_chunks((long)out->n * out->h, (size_t)in->w * (size_t)in->c * (size_t)s)};

    qd_par(p.chunks, down_rows, &p);
}

void qd_ops_pool__ref(struct qd_ops *ops)
{
    ops->maxpool = ref_maxpool;
    ops->avgpool_local = ref_avgpool_local;
    ops->maxpool_depth = ref_maxpool_depth;
    ops->avgpool = ref_avgpool;
    ops->upsample = ref_upsample;
    ops->downsample = ref_downsample;
}
