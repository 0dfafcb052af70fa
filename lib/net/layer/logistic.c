/* SPDX-License-Identifier: MIT */
/*
 * [logistic]: every value on its own as a probability, the last layer of segmenters (spec
 * darknet.md 2.11).
 */
#include "net/layer/util.h"

static const struct qd_cfg_key keys[] = {
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    (void)l; /* shape of the input */
    (void)err;
    return k->failed ? -1 : 0;
}

static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    qd_channels_keep(l, ch, "probabilities");
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    (void)l;
    p->ops->act(p->in[0], p->out, QD_LOGISTIC, NULL);
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    (void)l;
    p->grad->act_out(p->out, p->dout, QD_LOGISTIC, NULL, NULL);
    if (p->din[0])
        p->grad->add(p->dout, p->din[0], NULL, false, p->fresh[0]);
}

const struct qd_layer_type qd_type_logistic = {
    .section = "logistic",
    .help = "the logistic function of each value",
    .keys = keys,
    .setup = setup,
    .channels = channels,
    .forward = forward,
    .backward = backward,
};
