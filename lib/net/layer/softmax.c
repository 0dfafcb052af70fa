/* SPDX-License-Identifier: MIT */
/*
 * [softmax]: over the channels, in groups (spec darknet.md 2.11).
 */
#include "net/layer/util.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("groups", "1", 1, 65536, "groups of channels that each sum to 1"),
    QD_K_FLOAT("temperature", "1", 1e-6, 1e6, "values are divided by it first"),
    QD_K_FLAG("spatial", "0", "1: over the channels of each pixel"),
    QD_K_FLAG("noloss", "0", "1: no loss in training"),
    QD_K_REFUSED("tree", "file of a class hierarchy"),
    QD_KEY_END,
};

struct softmax {
    int groups;
    float temperature;
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct softmax *v = l->priv;
    bool spatial = qd_key_int(k, "spatial");

    (void)err;                                         /* faults go through the keys */
    v->groups = spatial ? 1 : qd_key_int(k, "groups"); /* as darknet */
    v->temperature = qd_key_float(k, "temperature");
    if (k->failed)
        return -1;
    if (l->ic % v->groups)
        return qd_key_fault(k, QD_EFORMAT, "groups",
            "groups=%d in [softmax] does not divide the %d channels of its input", v->groups,
            l->ic);
    if (!spatial && (l->ih != 1 || l->iw != 1))
        return qd_key_fault(k, QD_EUNSUP, NULL,
            "[softmax] over %dx%d pixels together is not supported: put [avgpool] before it, or "
            "set spatial=1",
            l->iw, l->ih);
    if (v->groups > 1)
        qd_layer_detail(l, "groups %d", v->groups);
    return 0;
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct softmax *v = l->priv;

    p->ops->softmax(p->in[0], p->out, v->groups, v->temperature);
}

const struct qd_layer_type qd_type_softmax = {
    .section = "softmax",
    .aliases = {"soft"},
    .help = "probabilities from the channels",
    .keys = keys,
    .priv_size = sizeof(struct softmax),
    .setup = setup,
    .forward = forward,
};
