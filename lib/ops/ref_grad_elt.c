/* SPDX-License-Identifier: MIT */
/*
 * Gradients of normalization and of elementwise operations in plain C, sums in double and in the
 * order of memory: the specification of the vector ones.
 */
#include "ops/grad.h"
#include "ops/kernels.h"

#define FOR_PIXELS(t, n, y, x)                                                                     \
    for (int n = 0; n < (t)->n; n++)                                                               \
        for (int y = 0; y < (t)->h; y++)                                                           \
            for (int x = 0; x < (t)->w; x++)

static double pixels(const struct qd_tensor *t)
{
    return (double)t->n * t->h * t->w;
}

/* Sum over images and pixels of a * b (b NULL: of a), channel c. */
static double sum(const struct qd_tensor *a, const struct qd_tensor *b, int c)
{
    double s = 0;

    FOR_PIXELS(a, n, y, x)
    s += (double)qd_at(a, n, y, x)[c] * (b ? (double)qd_at(b, n, y, x)[c] : 1);
    return s;
}

static void ref_bias(const struct qd_tensor *dz, float *dbias)
{
    for (int c = 0; c < dz->c; c++)
        dbias[c] += (float)sum(dz, NULL, c);
}

static void ref_stats(const struct qd_tensor *z, float *mean, float *var)
{
    double count = pixels(z);

    for (int c = 0; c < z->c; c++) {
        double m = sum(z, NULL, c) / count, s = 0;
        FOR_PIXELS(z, n, y, x)
        {
            double d = (double)qd_at(z, n, y, x)[c] - m;
            s += d * d;
        }
        mean[c] = (float)m;
        var[c] = (float)(s / count);
    }
}

/* ---- activations ----------------------------------------------------------------------------- */

static float normal(const struct qd_bn *b, float z, int c)
{
    return (z - b->mean[c]) * b->inv[c];
}

/* dy *= act'(pre-activation), which is x, or x through b. */
static void through_act(const struct qd_tensor *t, const struct qd_tensor *dy, enum qd_act a,
    const struct qd_bn *b, const float *slope)
{
    FOR_PIXELS(dy, n, y, x)
    {
        const float *p = qd_at(t, n, y, x);
        float *q = qd_at(dy, n, y, x);
        if (!qd_act_elementwise(a)) {
            qd_act_grad_channels(a, p, b, q, dy->c);
            continue;
        }
        for (int c = 0; c < dy->c; c++) {
            float u = b ? normal(b, p[c], c) * b->scale[c] + b->bias[c] : p[c];
            q[c] *= qd_act_grad_ref(a, u, slope ? slope[c] : 0);
        }
    }
}

/* dslope += sum of dy * u where u is not positive; before dy goes through the activation */
static void slopes(
    const struct qd_tensor *t, const struct qd_tensor *dy, const struct qd_bn *b, float *dslope)
{
    for (int c = 0; c < dy->c; c++) {
        double s = 0;
        FOR_PIXELS(dy, n, y, x)
        {
            float v = qd_at(t, n, y, x)[c];
            float u = b ? normal(b, v, c) * b->scale[c] + b->bias[c] : v;
            s += u > 0 ? 0 : (double)u * (double)qd_at(dy, n, y, x)[c];
        }
        dslope[c] += (float)s;
    }
}

static void ref_act(const struct qd_tensor *x, const struct qd_tensor *dy, enum qd_act a,
    const float *slope, float *dslope)
{
    if (a == QD_PRELU && dslope)
        slopes(x, dy, NULL, dslope);
    through_act(x, dy, a, NULL, a == QD_PRELU ? slope : NULL);
}

static void ref_act_out(const struct qd_tensor *y, const struct qd_tensor *dy, enum qd_act a,
    const float *slope, float *dslope)
{
    (void)slope; /* prelu does not come here */
    (void)dslope;
    FOR_PIXELS(dy, n, i, x)
    {
        const float *p = qd_at(y, n, i, x);
        float *q = qd_at(dy, n, i, x);
        if (!qd_act_elementwise(a))
            qd_softmax_grad(p, q, q, dy->c, 1);
        else
            for (int c = 0; c < dy->c; c++)
                q[c] *= qd_act_grad_out_ref(a, p[c]);
    }
}

/* ---- batch normalization --------------------------------------------------------------------- */

/* One channel, dy already through the activation. */
static void bn_channel(
    const struct qd_bn *b, const struct qd_tensor *z, const struct qd_tensor *dy, int c)
{
    double s = sum(dy, NULL, c), sx = 0, count = pixels(z);

    FOR_PIXELS(z, n, y, x)
    sx += (double)qd_at(dy, n, y, x)[c] * (double)normal(b, qd_at(z, n, y, x)[c], c);
    if (b->dbias)
        b->dbias[c] += (float)s;
    if (b->dscale)
        b->dscale[c] += (float)sx;
    if (b->fixed)
        s = sx = 0;
    FOR_PIXELS(z, n, y, x)
    {
        float *q = &qd_at(dy, n, y, x)[c];
        double d = (double)*q - (s + sx * (double)normal(b, qd_at(z, n, y, x)[c], c)) / count;
        *q = (float)(d * (double)b->scale[c] * (double)b->inv[c]);
    }
}

static void ref_bn(
    const struct qd_bn *b, const struct qd_tensor *z, const struct qd_tensor *dy, float *work)
{
    (void)work;
    if (b->act == QD_PRELU && b->dslope)
        slopes(z, dy, b, b->dslope);
    through_act(z, dy, b->act, b, b->act == QD_PRELU ? b->slope : NULL);
    for (int c = 0; c < z->c; c++)
        bn_channel(b, z, dy, c);
}

/* ---- sums and products ----------------------------------------------------------------------- */

static void ref_add(const struct qd_tensor *dy, const struct qd_tensor *din, const float *factor,
    bool per_channel, bool fresh)
{
    FOR_PIXELS(din, n, y, x)
    {
        const float *p = qd_at(dy, n, y, x);
        float *q = qd_at(din, n, y, x);
        for (int c = 0; c < din->c; c++) {
            float f = !factor ? 1 : factor[per_channel ? c : 0];
            float v = c < dy->c ? f * p[c] : 0;
            q[c] = fresh ? v : q[c] + v;
        }
    }
}

static void ref_dot(
    const struct qd_tensor *x, const struct qd_tensor *dy, bool per_channel, float *dw)
{
    double all = 0;

    for (int c = 0; c < QD_MIN(x->c, dy->c); c++) {
        double s = sum(dy, x, c);
        if (per_channel)
            dw[c] += (float)s;
        all += s;
    }
    if (!per_channel)
        *dw += (float)all;
}

/* What the gate of (n, y, x, c) spans: that value, all channels, or all pixels. */
static double gate_sum(
    const struct qd_tensor *in, const struct qd_tensor *dy, enum qd_gate kind, const int at[4])
{
    double s = 0;

    if (kind == QD_GATE_CHANNEL) {
        for (int y = 0; y < in->h; y++)
            for (int x = 0; x < in->w; x++)
                s += (double)qd_at(in, at[0], y, x)[at[3]] * (double)qd_at(dy, at[0], y, x)[at[3]];
        return s;
    }
    const float *p = qd_at(in, at[0], at[1], at[2]), *q = qd_at(dy, at[0], at[1], at[2]);
    if (kind == QD_GATE_FULL)
        return (double)p[at[3]] * (double)q[at[3]];
    for (int c = 0; c < in->c; c++)
        s += (double)p[c] * (double)q[c];
    return s;
}

static void gate_dgate(const struct qd_tensor *const in_gate_dy[3], const struct qd_tensor *dgate,
    enum qd_gate kind, bool fresh)
{
    FOR_PIXELS(dgate, n, y, x)
    for (int c = 0; c < dgate->c; c++) {
        float v = (float)gate_sum(in_gate_dy[0], in_gate_dy[2], kind, (const int[]){n, y, x, c});
        float *q = &qd_at(dgate, n, y, x)[c];
        *q = fresh ? v : *q + v;
    }
}

static void ref_gate(const struct qd_tensor *const in_gate_dy[3], const struct qd_tensor *din,
    const struct qd_tensor *dgate, enum qd_gate kind, const bool fresh[2])
{
    const struct qd_tensor *gate = in_gate_dy[1], *dy = in_gate_dy[2];

    if (dgate)
        gate_dgate(in_gate_dy, dgate, kind, fresh[1]);
    if (!din)
        return;
    FOR_PIXELS(din, n, y, x)
    {
        const float *g = kind == QD_GATE_CHANNEL ? qd_at(gate, n, 0, 0) : qd_at(gate, n, y, x);
        const float *p = qd_at(dy, n, y, x);
        float *q = qd_at(din, n, y, x);
        for (int c = 0; c < din->c; c++) {
            float v = g[kind == QD_GATE_PIXEL ? 0 : c] * p[c];
            q[c] = fresh[0] ? v : q[c] + v;
        }
    }
}

static void ref_softmax(const struct qd_tensor *p, const struct qd_tensor *dy,
    const struct qd_tensor *din, const float groups_temperature[2], bool fresh)
{
    int groups = (int)groups_temperature[0], c = din->c / groups;

    FOR_PIXELS(din, n, y, x)
    for (int g = 0; g < groups; g++) {
        const float *a = qd_at(p, n, y, x) + g * c, *b = qd_at(dy, n, y, x) + g * c;
        float *q = qd_at(din, n, y, x) + g * c;
        double dot = 0;
        for (int i = 0; i < c; i++)
            dot += (double)a[i] * (double)b[i];
        for (int i = 0; i < c; i++) {
            double v = (double)a[i] * ((double)b[i] - dot) / (double)groups_temperature[1];
            q[i] = fresh ? (float)v : q[i] + (float)v;
        }
    }
}

static void ref_thin(
    const struct qd_tensor *from, const struct qd_tensor *to, float p, uint64_t seed)
{
    const uint32_t limit = (uint32_t)((double)p * 0x1p24);
    const float scale = p < 1 ? 1 / (1 - p) : 0;

    FOR_PIXELS(to, n, y, x)
    {
        const struct qd_thin_key key = qd_thin_row(seed, (long)n * to->h + y);
        for (int c = 0; c < to->c; c++) {
            uint32_t h = qd_thin_hash((uint32_t)x * (uint32_t)to->c + (uint32_t)c, key);
            qd_at(to, n, y, x)[c] = h >> 8 < limit ? 0 : qd_at(from, n, y, x)[c] * scale;
        }
    }
}

void qd_grad_elt__ref(struct qd_grad_ops *g)
{
    g->bias = ref_bias;
    g->stats = ref_stats;
    g->bn = ref_bn;
    g->act = ref_act;
    g->act_out = ref_act_out;
    g->add = ref_add;
    g->dot = ref_dot;
    g->gate = ref_gate;
    g->softmax = ref_softmax;
    g->thin = ref_thin;
}
