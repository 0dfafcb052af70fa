/* SPDX-License-Identifier: MIT */
/*
 * Gradients of convolution as they are defined: products added in double and rounded once.  Only
 * pixels that exist are read, so that neither border matters.  Every other level is tested against
 * this one.
 */
#include <limits.h>

#include "base/par.h"
#include "ops/kernels.h"

/* What one output's tap takes from an axis: whether input i is tap k of some output, and which. */
static bool output_of(int i, int k, int s, const struct qd_conv_geom *g, int *o)
{
    long long at = i + ((long long)g->pad - k) * g->dil;

    *o = (int)(at / s);
    return at >= 0 && at % s == 0;
}

/* Pixels of dz that an axis with n inputs, o outputs and r taps needs outside of it. */
static long long reach(int n, int o, int s, int r, const struct qd_conv_geom *g)
{
    long long before = ((long long)r - 1 - g->pad) * g->dil / s;
    long long last = (n - 1 + (long long)g->pad * g->dil) / s;

    return QD_MAX(before, last - (o - 1));
}

int qd_conv_grad_border(const struct qd_conv_geom *g)
{
    long long b = QD_MAX(reach(g->h, g->oh, g->sy, g->rh, g), reach(g->w, g->ow, g->sx, g->rw, g));

    return (int)QD_MIN(QD_MAX(b, 0), INT_MAX);
}

static size_t work(const struct qd_conv_geom *g, int threads)
{
    (void)g;
    (void)threads;
    return 0;
}

static size_t packed(const struct qd_conv_geom *g)
{
    return (size_t)g->k * (size_t)(g->c / g->groups) * (size_t)g->rh * (size_t)g->rw;
}

static void pack(const struct qd_conv_geom *g, const float *weight, float *to)
{
    memcpy(to, weight, packed(g) * sizeof(float));
}

/* ---- of the input ---------------------------------------------------------------------------- */

struct data {
    const struct qd_conv_grad *j;
    const float *weight;
    const struct qd_tensor *din;
    bool fresh;
};

/* What tap (ky, kx) of output pixel p gives to channel ch. */
static double tap(
    const struct qd_conv_geom *g, const float *p, const float *weight, const int ky_kx_ch[3])
{
    const size_t cg = (size_t)(g->c / g->groups), kg = (size_t)(g->k / g->groups);
    const size_t ch = (size_t)ky_kx_ch[2], group = ch / cg, taps = (size_t)(g->rh * g->rw);
    const float *w =
        weight + (group * kg * cg + ch % cg) * taps + (size_t)(ky_kx_ch[0] * g->rw + ky_kx_ch[1]);
    double s = 0;

    p += group * kg;
    for (size_t f = 0; f < kg; f++)
        s += (double)p[f] * (double)w[f * cg * taps];
    return s;
}

static double data_sum(const struct data *d, int n, int y, int x, int ch)
{
    const struct qd_conv_geom *g = d->j->g;
    double s = 0;
    int oy, ox;

    for (int ky = 0; ky < g->rh; ky++)
        for (int kx = 0; kx < g->rw; kx++)
            if (output_of(y, ky, g->sy, g, &oy) && oy < g->oh && output_of(x, kx, g->sx, g, &ox) &&
                ox < g->ow)
                s += tap(g, qd_at(d->j->dz, n, oy, ox), d->weight, (const int[3]){ky, kx, ch});
    return s;
}

/* One row of one image of the gradient. */
static void data_row(void *ctx, int chunk, int thread)
{
    const struct data *d = ctx;
    const struct qd_conv_geom *g = d->j->g;
    int n = chunk / g->h, y = chunk % g->h;

    (void)thread;
    for (int x = 0; x < g->w; x++) {
        float *to = qd_at(d->din, n, y, x);
        for (int ch = 0; ch < g->c; ch++)
            to[ch] = (float)(data_sum(d, n, y, x, ch) + (d->fresh ? 0 : (double)to[ch]));
    }
}

static void conv_data(
    const struct qd_conv_grad *j, const float *packed_, const struct qd_tensor *din, bool fresh)
{
    struct data d = {j, packed_, din, fresh};

    qd_par(j->g->n * j->g->h, data_row, &d);
}

/* ---- of the weights -------------------------------------------------------------------------- */

struct weights {
    const struct qd_conv_grad *j;
    float *dweight;
};

/* The outputs whose tap k exists, of an axis with n inputs and o outputs. */
static void outputs_of(int n, int o, int s, int offset, int from_to[2])
{
    from_to[0] = 0;
    while (from_to[0] < o && (long long)from_to[0] * s + offset < 0)
        from_to[0]++;
    from_to[1] = o;
    while (from_to[1] > from_to[0] && (from_to[1] - 1LL) * s + offset >= n)
        from_to[1]--;
}

static double weight_sum(const struct qd_conv_grad *j, int f, int ch, int ky, int kx)
{
    const struct qd_conv_geom *g = j->g;
    const int dy = (ky - g->pad) * g->dil, dx = (kx - g->pad) * g->dil;
    int y[2], x[2];
    double s = 0;

    ch += f / (g->k / g->groups) * (g->c / g->groups);
    outputs_of(g->h, g->oh, g->sy, dy, y);
    outputs_of(g->w, g->ow, g->sx, dx, x);
    for (int n = 0; n < g->n; n++)
        for (int oy = y[0]; oy < y[1]; oy++)
            for (int ox = x[0]; ox < x[1]; ox++)
                s += (double)qd_at(j->in, n, oy * g->sy + dy, ox * g->sx + dx)[ch] *
                     (double)qd_at(j->dz, n, oy, ox)[f];
    return s;
}

/* One filter. */
static void filter(void *ctx, int f, int thread)
{
    const struct weights *w = ctx;
    const struct qd_conv_geom *g = w->j->g;
    const int cg = g->c / g->groups, taps = g->rh * g->rw;
    float *to = w->dweight + (size_t)f * (size_t)cg * (size_t)taps;

    (void)thread;
    for (int ch = 0; ch < cg; ch++)
        for (int t = 0; t < taps; t++, to++)
            *to = (float)((double)*to + weight_sum(w->j, f, ch, t / g->rw, t % g->rw));
}

static void conv_weights(const struct qd_conv_grad *j, float *dweight)
{
    struct weights w = {j, dweight};

    qd_par(j->g->k, filter, &w);
}

void qd_grad_conv__ref(struct qd_grad_ops *g)
{
    g->conv_work = work;
    g->conv_packed = packed;
    g->conv_pack = pack;
    g->conv_data = conv_data;
    g->conv_weights = conv_weights;
}
