/* SPDX-License-Identifier: MIT */
/*
 * [connected]: every output sees every input (spec darknet.md 2.10).  It is a convolution whose
 * kernel is as large as its input: weights [output][c][h][w] are darknet's, which flattens planes.
 */
#include "net/layer/convlike.h"
#include "net/layer/cut.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("output", "1", 1, QD_MAX_CHANNELS, "number of outputs"),
    QD_K_FLAG("batch_normalize", "0", "1: batch normalization before the activation"),
    QD_K_ACT("logistic"),
    QD_KEY_END,
};

/* Unlike in [convolutional], the weights come before the batch-norm arrays. */
static int parameters(struct qd_layer *l, struct qd_keys *k)
{
    const struct qd_convlike *v = l->priv;
    size_t fan_in = (size_t)l->ih * (size_t)l->iw * (size_t)l->ic, n = (size_t)v->g.k, count;

    if (fan_in > INT32_MAX || !qd_mul_size(n, fan_in, &count))
        return qd_key_fault(k, QD_EFORMAT, NULL, "[connected] has too many weights");
    if (qd_layer_add(l, k, "biases", n, 0, 0) < 0 ||
        qd_layer_add(l, k, "weights", count, QD_PARAM_INIT_HE | QD_PARAM_DECAY, (int)fan_in) < 0 ||
        (v->bn && qd_layer_add_bn(l, k, n) < 0))
        return -1;
    if (v->act == QD_PRELU)
        return qd_layer_add(l, k, "slopes", n, QD_PARAM_INIT_QUARTER, 0);
    return 0;
}

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct qd_convlike *v = l->priv;

    (void)err; /* faults go through the keys */
    v->act = (enum qd_act)qd_layer_act(l, k);
    v->bn = qd_key_int(k, "batch_normalize");
    v->g = (struct qd_conv_geom){.n = 1,
        .h = l->ih,
        .w = l->iw,
        .c = l->ic,
        .oh = 1,
        .ow = 1,
        .rh = l->ih,
        .rw = l->iw,
        .sy = 1,
        .sx = 1,
        .dil = 1,
        .groups = 1,
        .k = qd_key_int(k, "output")};
    if (k->failed || qd_layer_shape(l, k, 1, 1, v->g.k) < 0 || parameters(l, k) < 0)
        return -1;
    qd_layer_detail(l, "%d%s %s", v->g.k, v->bn ? " bn" : "", qd_act_name(v->act));
    return 0;
}

static int narrow(
    const struct qd_layer *l, const struct qd_cut *cut, struct qd_cfg *cfg, struct qd_error *err)
{
    return qd_layer_set(l, cfg, "output", l->c, qd_cut_count(cut, l->index), err);
}

const struct qd_layer_type qd_type_connected = {
    .section = "connected",
    .aliases = {"conn"},
    .help = "every output is a weighted sum of all inputs, then an activation",
    .keys = keys,
    .priv_size = sizeof(struct qd_convlike),
    .setup = setup,
    .channels = qd_convlike_channels,
    .narrow = narrow,
    .slice = qd_convlike_slice,
    .constant = qd_convlike_constant,
    .macs = qd_convlike_macs,
    .need = qd_convlike_need,
    .pack = qd_convlike_pack,
    .forward = qd_convlike_forward,
    .absorb = qd_convlike_absorb,
    .train_need = qd_convlike_train_need,
    .train_pack = qd_convlike_train_pack,
    .train_turn = qd_convlike_train_turn,
    .train_forward = qd_convlike_train_forward,
    .backward = qd_convlike_backward,
};
