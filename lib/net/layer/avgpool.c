/* SPDX-License-Identifier: MIT */
/*
 * [avgpool]: the mean over all pixels of each channel.
 */
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    (void)err; /* faults go through the keys */
    return qd_layer_shape(l, k, 1, 1, l->ic);
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    (void)l;
    p->ops->avgpool(p->in[0], p->out);
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    (void)l;
    if (p->din[0])
        p->grad->avgpool(p->dout, p->din[0], p->fresh[0]);
}

const struct qd_layer_type qd_type_avgpool = {
    .section = "avgpool",
    .aliases = {"avg"},
    .help = "mean over all pixels of each channel",
    .keys = keys,
    .setup = setup,
    .channels = qd_channels_same,
    .forward = forward,
    .train_need = qd_learn_need_none,
    .backward = backward,
};
