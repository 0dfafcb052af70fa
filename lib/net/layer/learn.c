/* SPDX-License-Identifier: MIT */
/*
 * Helpers of the training members of the layer types.
 */
#include "net/layer/learn.h"

#include <math.h>

const struct qd_ops *qd_learn_ops(const struct qd_grad_ops *g)
{
    return qd_ops_level(g->level);
}

struct qd_pass qd_learn_pass(const struct qd_train_pass *p)
{
    return (struct qd_pass){.ops = p->ops,
        .n = p->n,
        .in = p->in,
        .out = p->out,
        .packed = p->packed,
        .work = p->work,
        .placed = p->placed};
}

float *qd_learn_grads(const struct qd_layer *l, const struct qd_train_pass *p, const char *name)
{
    const struct qd_param *param = qd_layer_find_param(l, name);

    return param && p->grads ? p->grads + param->offset : NULL;
}

size_t qd_learn_sum(size_t a, size_t b)
{
    size_t sum;

    return qd_add_size(a, b, &sum) ? sum : SIZE_MAX;
}

size_t qd_learn_floats(int n, int h, int w, int c)
{
    const int nhwc[4] = {n, h, w, c};
    struct qd_tensor t;
    size_t floats;

    return qd_tensor_shape(&t, nhwc, 0, &floats) ? qd_round_up(floats, 16) : SIZE_MAX;
}

struct qd_tensor qd_learn_dense(const struct qd_layer *l, int n, float *mem)
{
    const int nhwc[4] = {n, l->h, l->w, l->c};
    struct qd_tensor t;
    size_t floats;

    if (qd_tensor_shape(&t, nhwc, 0, &floats)) /* the same shape was planned before */
        qd_tensor_place(&t, mem);
    return t;
}

void qd_learn_clear(const struct qd_tensor *t)
{
    for (int n = 0; n < t->n; n++)
        for (int y = 0; y < t->h; y++)
            for (int x = 0; x < t->w; x++)
                memset(qd_at(t, n, y, x), 0, (size_t)t->c * sizeof(float));
}

/* ---- activations ----------------------------------------------------------------------------- */

bool qd_learn_keeps(enum qd_act act)
{
    return act != QD_LINEAR && !qd_act_from_output(act);
}

bool qd_learn_reads_out(enum qd_act act)
{
    return act != QD_LINEAR && qd_act_from_output(act);
}

void qd_learn_need_none(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need)
{
    (void)l;
    (void)g;
    (void)n;
    need->no_in = need->no_out = true;
}

size_t qd_learn_saved(const struct qd_layer *l, enum qd_act act, int n)
{
    return qd_learn_keeps(act) ? qd_learn_floats(n, l->h, l->w, l->c) : 0;
}

void qd_learn_act_back(const struct qd_layer *l, const struct qd_train_pass *p, enum qd_act act)
{
    if (qd_learn_keeps(act)) {
        struct qd_tensor before = qd_learn_dense(l, p->n, p->saved);
        p->grad->act(&before, p->dout, act, NULL, NULL);
    } else if (act != QD_LINEAR) {
        p->grad->act_out(p->out, p->dout, act, NULL, NULL);
    }
}

void qd_learn_gate_back(const struct qd_train_pass *p, enum qd_gate kind)
{
    const struct qd_tensor *const in_gate_dy[3] = {p->in[1], p->in[0], p->dout};
    const bool fresh[2] = {p->fresh[1], p->fresh[0]};

    /* In the order of the sources, which 'fresh' assumes: they may be the same layer. */
    if (p->din[0])
        p->grad->gate(in_gate_dy, NULL, p->din[0], kind, fresh);
    if (p->din[1])
        p->grad->gate(in_gate_dy, p->din[1], NULL, kind, fresh);
}

/* ---- batch normalization --------------------------------------------------------------------- */

/* stats: mean, 1 / deviation, then the factor and the addend that they make of z.  In blocks also p
 * and q of struct qd_bn_lines, then sums as doubles. */
enum { MEAN, INV, MUL, ADD, ARRAYS, P = ARRAYS, Q, BLOCK_ARRAYS };

static size_t stride(int c)
{
    return qd_round_up((size_t)c, 16);
}

size_t qd_learn_bn_floats(int c)
{
    return ARRAYS * stride(c);
}

size_t qd_learn_bn_work(int c)
{
    return (size_t)8 * 64 * (size_t)c; /* as qd_grad_ops.bn says */
}

/* The statistics of this batch go into the running ones: those get the unbiased variance (spec
 * darknet.md 2.1.3). */
static void roll(const struct qd_layer *l, const struct qd_train_pass *p, const struct qd_tensor *z,
    const float *mean, const float *var)
{
    float *rolling_mean = p->params + qd_layer_find_param(l, "rolling_mean")->offset;
    float *rolling_var = p->params + qd_layer_find_param(l, "rolling_variance")->offset;
    double count = (double)z->n * z->h * z->w, m = (double)p->bn_momentum;
    double unbias = count > 1 ? count / (count - 1) : 1;

    for (int c = 0; c < z->c; c++) {
        rolling_mean[c] = (float)(m * (double)rolling_mean[c] + (1 - m) * (double)mean[c]);
        rolling_var[c] = (float)(m * (double)rolling_var[c] + (1 - m) * unbias * (double)var[c]);
    }
}

/* From mean and variance to the numbers that the passes need. */
static void settle(const struct qd_layer *l, const struct qd_train_pass *p,
    const struct qd_tensor *z, float *stats)
{
    size_t step = stride(z->c), bytes = (size_t)z->c * sizeof(float);
    float *mean = stats + MEAN * step, *inv = stats + INV * step;
    float *mul = stats + MUL * step, *add = stats + ADD * step;
    const float *scale = qd_layer_values(l, p->params, "scales");
    const float *bias = qd_layer_values(l, p->params, "biases");

    if (p->grads) {
        roll(l, p, z, mean, inv);
    } else {
        memcpy(mean, qd_layer_values(l, p->params, "rolling_mean"), bytes);
        memcpy(inv, qd_layer_values(l, p->params, "rolling_variance"), bytes);
    }
    for (int c = 0; c < z->c; c++) {
        double i = 1 / sqrt((double)inv[c] + qd_layer_bn_eps(l)), m = i * (double)scale[c];
        inv[c] = (float)i;
        mul[c] = (float)m;
        add[c] = (float)((double)bias[c] - m * (double)mean[c]);
    }
}

void qd_learn_bn(const struct qd_layer *l, const struct qd_train_pass *p, const struct qd_tensor *z,
    const struct qd_tensor *y, enum qd_act act, float *stats)
{
    size_t step = stride(z->c);
    bool apart = !qd_act_elementwise(act) || act == QD_PRELU;

    if (p->grads)
        p->grad->stats(z, stats + MEAN * step, stats + INV * step);
    settle(l, p, z, stats);
    p->ops->norm(z, y, stats + MUL * step, stats + ADD * step, apart ? QD_LINEAR : act);
    if (apart)
        p->ops->act(y, y, act, qd_layer_values(l, p->params, "slopes"));
}

void qd_learn_bn_back(
    const struct qd_layer *l, const struct qd_train_pass *p, const struct qd_learn_bn_back *b)
{
    size_t step = stride(b->z->c);
    struct qd_bn bn = {.mean = b->stats + MEAN * step,
        .inv = b->stats + INV * step,
        .scale = qd_layer_values(l, p->params, "scales"),
        .bias = qd_layer_values(l, p->params, "biases"),
        .slope = qd_layer_values(l, p->params, "slopes"),
        .act = b->act,
        .dscale = qd_learn_grads(l, p, "scales"),
        .dbias = qd_learn_grads(l, p, "biases"),
        .dslope = qd_learn_grads(l, p, "slopes"),
        .fixed = !p->grads};

    p->grad->bn(&bn, b->z, b->dy, b->work);
}

/* ---- the same in blocks ---------------------------------------------------------------------- */

struct qd_bn_lines qd_learn_block_lines(
    const struct qd_layer *l, const struct qd_train_pass *p, enum qd_act act, const float *stats)
{
    size_t step = stride(l->c);

    return (struct qd_bn_lines){.mean = stats + MEAN * step,
        .gain = stats + MUL * step,
        .bias = qd_layer_values(l, p->params, "biases"),
        .add = stats + ADD * step,
        .p = stats + P * step,
        .q = stats + Q * step,
        .act = act};
}

double *qd_learn_block_sums(const struct qd_layer *l, float *stats)
{
    return (double *)(void *)(stats + BLOCK_ARRAYS * stride(l->c));
}

size_t qd_learn_block_floats(int c)
{
    return (BLOCK_ARRAYS + 2 * 3) * stride(c);
}

void qd_learn_block_forward(const struct qd_layer *l, const struct qd_train_pass *p,
    const struct qd_block *b, const struct qd_tensor *z, float *stats)
{
    size_t step = stride(z->c);

    if (p->grads)
        qd_block_forward(b, z, stats + MEAN * step, stats + INV * step);
    else
        qd_block_forward(b, z, NULL, NULL);
    settle(l, p, z, stats);
}

void qd_learn_block_back(const struct qd_layer *l, const struct qd_train_pass *p,
    const struct qd_tensor *z, float *stats)
{
    size_t step = stride(z->c);
    const double *sums = qd_learn_block_sums(l, stats);
    const float *inv = stats + INV * step;
    float *dscale = qd_learn_grads(l, p, "scales"), *dbias = qd_learn_grads(l, p, "biases");
    double count = (double)z->n * z->h * z->w;

    for (int c = 0; c < z->c; c++) {
        double i = (double)inv[c], prod = sums[z->c + c];
        if (dscale)
            dscale[c] += (float)(prod * i);
        if (dbias)
            dbias[c] += (float)sums[c];
        stats[P * step + (size_t)c] = p->grads ? (float)(i * i * prod / count) : 0;
        stats[Q * step + (size_t)c] = p->grads ? (float)(sums[c] / count) : 0;
    }
}
