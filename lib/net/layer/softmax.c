/* SPDX-License-Identifier: MIT */
/*
 * [softmax]: over all values of an image, over groups of channels, or with spatial=1 over the
 * channels of each pixel (spec darknet.md 2.11).
 */
#include "net/layer/head.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("groups", "1", 1, 65536, "groups of channels that each sum to 1"),
    QD_K_FLOAT("temperature", "1", 1e-6, 1e6, "values are divided by it first"),
    QD_K_FLAG("spatial", "0", "1: over the channels of each pixel"),
    QD_K_FLAG("noloss", "0", "1: no loss in training"),
    QD_K_REFUSED("tree", "file of a class hierarchy"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct qd_softmax_head *v = l->priv;
    bool spatial = qd_key_int(k, "spatial");

    (void)err;                                         /* faults go through the keys */
    v->groups = spatial ? 1 : qd_key_int(k, "groups"); /* as darknet */
    v->temperature = qd_key_float(k, "temperature");
    v->noloss = qd_key_int(k, "noloss");
    if (k->failed)
        return -1;
    if ((long)l->ih * l->iw > INT32_MAX / l->ic)
        return qd_key_fault(k, QD_EFORMAT, NULL, "the input of [softmax] is too large");
    if (l->ic % v->groups)
        return qd_key_fault(k, QD_EFORMAT, "groups",
            "groups=%d in [softmax] does not divide the %d channels of its input", v->groups,
            l->ic);
    v->whole = !spatial && (l->ih != 1 || l->iw != 1);
    if (v->whole && v->groups > 1)
        return qd_key_fault(k, QD_EUNSUP, "groups",
            "groups=%d in [softmax] over %dx%d pixels is not supported: put [avgpool] before it",
            v->groups, l->iw, l->ih);
    if (v->groups > 1)
        qd_layer_detail(l, "groups %d", v->groups);
    return 0;
}

static void need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    struct qd_softmax_head *v = l->priv;
    const int nhwc[4] = {n, l->h, l->w, l->c};

    (void)ops;
    if (v->whole && !qd_tensor_shape(&v->flat, nhwc, 0, &need->work))
        need->work = SIZE_MAX;
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct qd_softmax_head *v = l->priv;
    struct qd_tensor flat = v->flat, one;

    if (!v->whole) {
        p->ops->softmax(p->in[0], p->out, v->groups, v->temperature);
        return;
    }
    qd_tensor_place(&flat, p->work);
    p->ops->copy(p->in[0], &flat);
    one = flat;
    one.h = one.w = 1;
    one.c = one.ps = l->h * l->w * l->c;
    one.rs = one.is;
    p->ops->softmax(&one, &one, 1, v->temperature);
    p->ops->copy(&flat, p->out);
}

const struct qd_layer_type qd_type_softmax = {
    .section = "softmax",
    .aliases = {"soft"},
    .help = "probabilities from the channels",
    .keys = keys,
    .priv_size = sizeof(struct qd_softmax_head),
    .setup = setup,
    .need = need,
    .forward = forward,
};
