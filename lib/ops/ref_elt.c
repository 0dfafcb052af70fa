/* SPDX-License-Identifier: MIT */
/*
 * Elementwise operations and softmax in plain C: the specification of the vector ones.
 */
#include <math.h>

#include "base/par.h"
#include "ops/kernels.h"

#define FOR_PIXELS(t, n, y, x)                                                                     \
    for (int n = 0; n < (t)->n; n++)                                                               \
        for (int y = 0; y < (t)->h; y++)                                                           \
            for (int x = 0; x < (t)->w; x++)

/* out = softmax(in / temperature) */
static void softmax(const float *in, float *out, int n, float temperature)
{
    float max = in[0] / temperature, sum = 0;

    for (int i = 1; i < n; i++)
        max = fmaxf(max, in[i] / temperature);
    for (int i = 0; i < n; i++)
        sum += out[i] = expf(in[i] / temperature - max);
    for (int i = 0; i < n; i++)
        out[i] /= sum;
}

/* Each pixel's positive values divided by their sum; 1e-4 keeps that defined. */
static void normalize(const float *in, float *out, int n)
{
    float sum = 1e-4f;

    for (int i = 0; i < n; i++)
        sum += in[i] > 0 ? in[i] : 0;
    for (int i = 0; i < n; i++)
        out[i] = in[i] > 0 ? in[i] / sum : 0;
}

static void act_pixel(const float *in, float *out, int c, enum qd_act a, const float *slope)
{
    if (a == QD_NORM_CHAN)
        normalize(in, out, c);
    else if (!qd_act_elementwise(a)) /* both kinds of softmax: ours never overflows */
        softmax(in, out, c, 1);
    else
        for (int i = 0; i < c; i++)
            out[i] = qd_act_ref(a, in[i], slope ? slope[i] : 0);
}

static void ref_act(
    const struct qd_tensor *in, const struct qd_tensor *out, enum qd_act a, const float *slope)
{
    FOR_PIXELS(out, n, y, x)
    act_pixel(qd_at(in, n, y, x), qd_at(out, n, y, x), out->c, a, slope);
}

static void ref_norm(const struct qd_tensor *in, const struct qd_tensor *out, const float *mul,
    const float *add, enum qd_act a)
{
    FOR_PIXELS(out, n, y, x)
    {
        const float *p = qd_at(in, n, y, x);
        float *q = qd_at(out, n, y, x);
        for (int c = 0; c < out->c; c++)
            q[c] = p[c] * mul[c] + add[c];
        act_pixel(q, q, out->c, a, NULL);
    }
}

static void ref_sum(const struct qd_sum *s, const struct qd_tensor *out)
{
    FOR_PIXELS(out, n, y, x)
    {
        float *q = qd_at(out, n, y, x);
        for (int c = 0; c < out->c; c++) {
            float sum = 0;
            for (int i = 0; i < s->nin; i++) {
                float w = !s->weight ? 1 : s->weight[s->per_channel ? i * out->c + c : i];
                if (c < s->in[i]->c)
                    sum += w * qd_at(s->in[i], n, y, x)[c];
            }
            q[c] = sum;
        }
        act_pixel(q, q, out->c, s->act, NULL);
    }
}

static void ref_gate(const struct qd_tensor *in, const struct qd_tensor *gate,
    const struct qd_tensor *out, enum qd_gate kind, enum qd_act a)
{
    FOR_PIXELS(out, n, y, x)
    {
        const float *p = qd_at(in, n, y, x);
        const float *g = kind == QD_GATE_CHANNEL ? qd_at(gate, n, 0, 0) : qd_at(gate, n, y, x);
        float *q = qd_at(out, n, y, x);
        for (int c = 0; c < out->c; c++)
            q[c] = g[kind == QD_GATE_PIXEL ? 0 : c] * p[c];
        act_pixel(q, q, out->c, a, NULL);
    }
}

static void ref_copy(const struct qd_tensor *in, const struct qd_tensor *out)
{
    FOR_PIXELS(out, n, y, x)
    memcpy(qd_at(out, n, y, x), qd_at(in, n, y, x), (size_t)out->c * sizeof(float));
}

static void ref_softmax(
    const struct qd_tensor *in, const struct qd_tensor *out, int groups, float temperature)
{
    int c = out->c / groups;

    FOR_PIXELS(out, n, y, x)
    for (int i = 0; i < groups; i++)
        softmax(qd_at(in, n, y, x) + i * c, qd_at(out, n, y, x) + i * c, c, temperature);
}

void qd_ops_elt__ref(struct qd_ops *ops)
{
    ops->act = ref_act;
    ops->norm = ref_norm;
    ops->sum = ref_sum;
    ops->gate = ref_gate;
    ops->copy = ref_copy;
    ops->softmax = ref_softmax;
}
