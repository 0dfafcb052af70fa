/* SPDX-License-Identifier: MIT */
/*
 * [dropout]: a layer of its own in every count, and at inference its input as it is (spec
 * darknet.md 2.9).
 */
#include "base/num.h"
#include "net/layer/util.h"

static const struct qd_cfg_key keys[] = {
    QD_K_FLOAT("probability", "0.2", 0, 1, "training: share of the values that are zeroed"),
    QD_K_FLAG("dropblock", "0", "training: zero blocks instead of single values"),
    QD_K_FLOAT("dropblock_size_rel", "0", 0, 1, "training: side of a block, as a share"),
    QD_K_INT("dropblock_size_abs", "0", 0, 65536, "training: side of a block in pixels"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    char text[64];

    (void)err; /* faults go through the keys */
    qd_layer_detail(l, "%s", qd_num_format(qd_key_float(k, "probability"), text));
    l->place = QD_PLACE_ALIAS;
    return k->failed ? -1 : 0;
}

const struct qd_layer_type qd_type_dropout = {
    .section = "dropout",
    .help = "training: zero some values at random",
    .keys = keys,
    .setup = setup,
};
