/* SPDX-License-Identifier: MIT */
/*
 * Convolution as it is defined: for each output the products are added in double, rows of the
 * kernel outermost and channels innermost, and rounded once.  Every other kernel is tested against
 * this one.
 */
#include "base/par.h"
#include "ops/kernels.h"

static bool supports(const struct qd_conv_geom *g)
{
    (void)g;
    return true;
}

static size_t packed(const struct qd_conv_geom *g)
{
    return (size_t)g->k * (size_t)(g->c / g->groups) * (size_t)g->rh * (size_t)g->rw;
}

/* [k][rh][rw][c/groups], so that the innermost loop walks through memory in order. */
static void pack(const struct qd_conv_geom *g, const float *weight, const float *scale, float *to)
{
    size_t cg = (size_t)(g->c / g->groups), taps = (size_t)g->rh * (size_t)g->rw;

    for (size_t f = 0; f < (size_t)g->k; f++)
        for (size_t t = 0; t < taps; t++)
            for (size_t ch = 0; ch < cg; ch++)
                *to++ = weight[(f * cg + ch) * taps + t] * (scale ? scale[f] : 1);
}

/* Output (y, x, f) of image n, before the epilogue. */
static double sum(const struct qd_conv_job *j, int n, int y, int x, int f)
{
    const struct qd_conv_geom *g = j->g;
    int cg = g->c / g->groups, from = f / (g->k / g->groups) * cg;
    const float *w = j->packed + (size_t)f * (size_t)(g->rh * g->rw) * (size_t)cg;
    double s = 0;

    for (int ky = 0; ky < g->rh; ky++)
        for (int kx = 0; kx < g->rw; kx++) {
            const float *in = qd_at(j->in, n, y * g->sy + (ky - g->pad) * g->dil,
                                  x * g->sx + (kx - g->pad) * g->dil) +
                              from;
            for (int ch = 0; ch < cg; ch++)
                s += (double)in[ch] * (double)*w++;
        }
    return s;
}

/* The same after it; 'pool' is left to the caller. */
static float value(const struct qd_conv_job *j, int n, int y, int x, int f)
{
    const struct qd_epilogue *e = j->ep;
    double s = sum(j, n, y, x, f);
    float v = (float)(e->bias ? s + (double)e->bias[f] : s);

    v = qd_act_ref(e->act, v, e->slope ? e->slope[f] : 0);
    if (e->add)
        v = qd_act_ref(e->add_act, v + qd_at(e->add, n, y, x)[f], 0);
    return v;
}

/* One row of one image of the output. */
static void row(void *ctx, int chunk, int thread)
{
    const struct qd_conv_job *j = ctx;
    const struct qd_tensor *out = j->out;
    int n = chunk / out->h, y = chunk % out->h;

    (void)thread;
    for (int x = 0; x < out->w; x++)
        for (int f = 0; f < j->g->k; f++) {
            float v;
            if (j->ep->pool) {
                v = value(j, n, 2 * y, 2 * x, f);
                for (int i = 1; i < 4; i++) {
                    float u = value(j, n, 2 * y + i / 2, 2 * x + i % 2, f);
                    v = u > v ? u : v;
                }
            } else {
                v = value(j, n, y, x, f);
            }
            qd_at(out, n, y, x)[f] = v;
        }
}

static void run(const struct qd_conv_job *j)
{
    struct qd_conv_job copy = *j;

    qd_par(j->out->n * j->out->h, row, &copy);
}

const struct qd_conv_kernel qd_conv_ref = {
    .name = "ref",
    .supports = supports,
    .can_pool = supports,
    .packed = packed,
    .pack = pack,
    .run = run,
};
