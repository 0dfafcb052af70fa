/* SPDX-License-Identifier: MIT */
/*
 * [batchnorm]: batch normalization on its own (spec darknet.md 2.11), at inference one factor and
 * one addend a channel.
 */
#include "net/layer/cut.h"
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    (void)err; /* faults go through the keys */
    if (qd_layer_add(l, k, "biases", (size_t)l->ic, 0, 0) < 0)
        return -1;
    return qd_layer_add_bn(l, k, (size_t)l->ic);
}

static void need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    (void)ops;
    (void)n;
    need->packed = 2 * qd_round_up((size_t)l->c, 16);
}

static void pack(struct qd_layer *l, const struct qd_ops *ops, const float *params, float *packed)
{
    (void)ops;
    qd_layer_fold_bn(l, params, packed, packed + qd_round_up((size_t)l->c, 16));
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    p->ops->norm(p->in[0], p->out, p->packed, p->packed + qd_round_up((size_t)l->c, 16), QD_LINEAR);
}

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need)
{
    (void)g;
    (void)n;
    need->saved = qd_learn_bn_floats(l->c);
    need->work = qd_learn_bn_work(l->c);
    need->no_out = true;
}

static void train_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    qd_learn_bn(l, p, p->in[0], p->out, QD_LINEAR, p->saved);
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    struct qd_learn_bn_back b = {
        .z = p->in[0], .dy = p->dout, .act = QD_LINEAR, .stats = p->saved, .work = p->work};

    qd_learn_bn_back(l, p, &b);
    if (p->din[0])
        p->grad->add(p->dout, p->din[0], NULL, false, p->fresh[0]);
}

static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const bool *out = qd_cut_of(a->cut, l->index);
    const struct qd_param *bias = qd_layer_find_param(l, "biases");
    const struct qd_param *scale = qd_layer_find_param(l, "scales");
    const struct qd_param *mean = qd_layer_find_param(l, "rolling_mean");
    const float *in = qd_absorb_at(a, l->in[0]);

    (void)err;
    for (size_t c = 0; c < (size_t)l->c; c++) {
        if (out[c]) {
            a->to[mean->offset + c] -= in[c];
            continue;
        }
        qd_absorb_at(a, l->index)[c] = a->from[bias->offset + c];
        a->to[bias->offset + c] = a->to[scale->offset + c] = 0;
    }
    return 0;
}

const struct qd_layer_type qd_type_batchnorm = {
    .section = "batchnorm",
    .help = "batch normalization of each channel",
    .keys = keys,
    .setup = setup,
    .channels = qd_channels_same,
    .slice = qd_slice_channels,
    .constant = constant,
    .need = need,
    .pack = pack,
    .forward = forward,
    .train_need = train_need,
    .train_forward = train_forward,
    .backward = backward,
};
