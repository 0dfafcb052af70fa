/* SPDX-License-Identifier: MIT */
/*
 * Gradient of the input of a depthwise 3x3 convolution of stride 2 and padding 1: the four phases
 * of the general way (vec_conv_grad.c) at once, because alone each would pass over all of dz for
 * one to four products.  A block of 2x2 input pixels depends on 2x2 outputs:
 *
 *     (0,0): tap 1,1 of a            a b   the outputs at (q, x) and to the right and below
 *     (0,1): taps 1,2 of a, 1,0 of b c d
 *     (1,0): taps 2,1 of a, 0,1 of c
 *     (1,1): taps 2,2 of a, 2,0 of b, 0,2 of c, 0,0 of d
 */
#include "base/par.h"
#include "ops/vec_conv.h"
#include "ops/vec_conv_grad.h"

enum { CHUNKS = 16 };

struct row {
    const struct qd_conv_geom *g;
    const float *z, *below; /* rows of dz */
    float *to, *low;        /* rows of the input's gradient; low NULL: there is none */
    size_t zp, tp;          /* floats from pixel to pixel */
    const float *weights;
    size_t width; /* floats from tap to tap */
    int lanes;
};

struct job {
    const struct qd_conv_grad *j;
    const float *weights;
    const struct qd_tensor *din;
    bool fresh;
};

bool QD_VEC(qd_grad_halves)(const struct qd_conv_geom *g)
{
    return g->groups == g->c && g->k == g->c && g->rh == 3 && g->rw == 3 && g->sy == 2 &&
           g->sx == 2 && g->pad == 1 && g->dil == 1 && g->oh == (g->h + 1) / 2 &&
           g->ow == (g->w + 1) / 2;
}

size_t QD_VEC(qd_grad_halves_packed)(const struct qd_conv_geom *g)
{
    return 9 * qd_round_up((size_t)g->c, VW);
}

void QD_VEC(qd_grad_halves_pack)(const struct qd_conv_geom *g, const float *weight, float *to)
{
    const size_t c = (size_t)g->c, width = qd_round_up(c, VW);

    for (size_t t = 0; t < 9; t++)
        for (size_t i = 0; i < width; i++)
            to[t * width + i] = i < c ? weight[i * 9 + t] : 0;
}

QD_ALWAYS_INLINE void put(float *to, vf v, const int lanes, const bool fresh)
{
    if (!fresh)
        v += vf_load(to);
    if (lanes == VW)
        vf_store(to, v);
    else
        vf_store_part(to, v, lanes);
}

/* A vector of channels of two rows; 'both' rows and 'fresh' are constants. */
QD_ALWAYS_INLINE void walk(const struct row *r, const bool both, const bool fresh)
{
    const struct row local = *r; /* what the stores cannot have changed */
    const int w = local.g->w, lanes = local.lanes;
    vf k[9];

    UNROLL_ALL
    for (int t = 0; t < 9; t++)
        k[t] = vf_load(local.weights + (size_t)t * local.width);
    vf a = vf_load(local.z), c = vf_load(local.below), b = a, d = c;
    for (int x = 0; x < w; x += 2) {
        float *to = local.to + (size_t)x * local.tp, *low = local.low + (size_t)x * local.tp;
        const bool more = x + 1 < w;
        if (more) { /* the last column of an odd width has nothing to its right */
            b = vf_load(local.z + (size_t)(x / 2 + 1) * local.zp);
            d = vf_load(local.below + (size_t)(x / 2 + 1) * local.zp);
        }
        put(to, k[4] * a, lanes, fresh);
        if (both)
            put(low, vf_fma(k[7], a, k[1] * c), lanes, fresh);
        if (more)
            put(to + local.tp, vf_fma(k[5], a, k[3] * b), lanes, fresh);
        if (more && both)
            put(low + local.tp, vf_fma(k[8], a, k[6] * b) + vf_fma(k[2], c, k[0] * d), lanes,
                fresh);
        a = b;
        c = d;
    }
}

static void two_rows(const struct job *o, int n, int q)
{
    const struct qd_conv_geom *g = o->j->g;
    const bool both = 2 * q + 1 < g->h;
    struct row r = {.g = g,
        .zp = (size_t)o->j->dz->ps,
        .tp = (size_t)o->din->ps,
        .width = qd_round_up((size_t)g->c, VW)};

    for (int c = 0; c < g->c; c += VW) {
        r.z = qd_at(o->j->dz, n, q, 0) + c;
        r.below = both ? qd_at(o->j->dz, n, q + 1, 0) + c : r.z;
        r.to = qd_at(o->din, n, 2 * q, 0) + c;
        r.low = both ? qd_at(o->din, n, 2 * q + 1, 0) + c : r.to;
        r.weights = o->weights + c;
        r.lanes = QD_MIN(VW, g->c - c);
        if (both && o->fresh)
            walk(&r, true, true);
        else if (both)
            walk(&r, true, false);
        else
            walk(&r, false, o->fresh);
    }
}

static void chunk(void *ctx, int index, int thread)
{
    const struct job *o = ctx;
    const int oh = o->j->g->oh;
    long from, to;

    (void)thread;
    qd_par_range((long)o->j->g->n * oh, CHUNKS, index, &from, &to);
    for (; from < to; from++)
        two_rows(o, (int)(from / oh), (int)(from % oh));
}

void QD_VEC(qd_grad_halves_data)(
    const struct qd_conv_grad *j, const float *weights, const struct qd_tensor *din, bool fresh)
{
    struct job o = {j, weights, din, fresh};

    qd_par(CHUNKS, chunk, &o);
}
