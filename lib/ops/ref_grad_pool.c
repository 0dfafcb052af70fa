/* SPDX-License-Identifier: MIT */
/*
 * Gradients of pooling, resampling and blur in plain C: the specification of the vector ones.
 * What is scattered is added to cells that were set to 0 first when the gradient is fresh.
 */
#include "ops/grad.h"
#include "ops/kernels.h"

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

static void ref_maxpool_depth(
    const struct qd_tensor *in, const struct qd_tensor *dy, const struct qd_tensor *din, bool fresh)
{
    clear(din, fresh);
    FOR_PIXELS(dy, n, y, x)
    {
        const float *p = qd_at(in, n, y, x);
        for (int c = 0; c < dy->c; c++) {
            int best = c;
            for (int i = c + dy->c; i < in->c; i += dy->c)
                best = p[i] > p[best] ? i : best;
            qd_at(din, n, y, x)[best] += qd_at(dy, n, y, x)[c];
        }
    }
}

static void ref_avgpool_local(const struct qd_tensor *dy, const struct qd_tensor *din,
    const struct qd_pool_geom *g, bool fresh)
{
    clear(din, fresh);
    FOR_PIXELS(dy, n, y, x)
    {
        struct cells w = window(din, g, y, x);
        float count = (float)((w.y1 - w.y0) * (w.x1 - w.x0));
        for (int iy = w.y0; iy < w.y1; iy++)
            for (int ix = w.x0; ix < w.x1; ix++)
                for (int c = 0; c < dy->c; c++)
                    qd_at(din, n, iy, ix)[c] += qd_at(dy, n, y, x)[c] / count;
    }
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
static void ref_downsample(
    const struct qd_tensor *dy, const struct qd_tensor *din, const float s_scale[2], bool fresh)
{
    int s = (int)s_scale[0];

    FOR_PIXELS(din, n, y, x)
    for (int c = 0; c < din->c; c++) {
        bool has = y / s < dy->h && x / s < dy->w;
        float v = has ? qd_at(dy, n, y / s, x / s)[c] * s_scale[1] : 0;
        float *q = &qd_at(din, n, y, x)[c];
        *q = fresh ? v : *q + v;
    }
}

static void ref_blur(const struct qd_tensor *dy, const struct qd_tensor *din, const float *kernel,
    const int r_s_pad[3], bool fresh)
{
    int r = r_s_pad[0], s = r_s_pad[1], pad = r_s_pad[2];

    clear(din, fresh);
    FOR_PIXELS(dy, n, y, x)
    for (int i = 0; i < r * r; i++) {
        int iy = y * s - pad + i / r, ix = x * s - pad + i % r;
        if (iy < 0 || iy >= din->h || ix < 0 || ix >= din->w)
            continue;
        for (int c = 0; c < dy->c; c++)
            qd_at(din, n, iy, ix)[c] += kernel[i] * qd_at(dy, n, y, x)[c];
    }
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
