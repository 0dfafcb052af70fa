/* SPDX-License-Identifier: MIT */
/*
 * [batchnorm]: batch normalization on its own (spec darknet.md 2.11), at inference one factor and
 * one addend a channel.
 */
#include "net/layer/util.h"

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

const struct qd_layer_type qd_type_batchnorm = {
    .section = "batchnorm",
    .help = "batch normalization of each channel",
    .keys = keys,
    .setup = setup,
    .need = need,
    .pack = pack,
    .forward = forward,
};
