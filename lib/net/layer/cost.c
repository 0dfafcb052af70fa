/* SPDX-License-Identifier: MIT */
/*
 * [cost]: the loss of a classifier; at inference its input as it is (spec darknet.md 2.11).
 */
#include "net/layer/util.h"

static const struct qd_cfg_key keys[] = {
    QD_K_WORD("type", "sse", "sse masked smooth L1 wgan seg", "training: kind of loss"),
    QD_K_FLOAT("scale", "1", -1e6, 1e6, "training: factor of the gradient"),
    QD_K_FLOAT("noobj", "0", -1e6, 1e6, "training: factor where there is no object"),
    QD_K_FLOAT("ratio", "0", -1e6, 1e6, "training: share of the gradients that are kept"),
    QD_K_FLOAT("thresh", "0", -1e6, 1e6, "training: gradients below it are dropped"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    (void)err; /* faults go through the keys */
    qd_layer_detail(l, "%s", qd_key_word(k, "type"));
    l->place = QD_PLACE_ALIAS;
    return k->failed ? -1 : 0;
}

static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    qd_channels_keep(l, ch, "output that is trained");
}

const struct qd_layer_type qd_type_cost = {
    .section = "cost",
    .help = "training: the loss of its input",
    .keys = keys,
    .setup = setup,
    .channels = channels,
};
