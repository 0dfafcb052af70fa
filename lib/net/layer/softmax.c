/* SPDX-License-Identifier: MIT */
/*
 * [softmax]: over all values of an image, over groups of channels, or with spatial=1 over the
 * channels of each pixel (spec darknet.md 2.11).
 */
#include "net/layer/head.h"
#include "net/layer/learn.h"

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

static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    qd_channels_keep(l, ch, "probabilities of classes");
}

static void need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    struct qd_softmax_head *v = l->priv;
    const int nhwc[4] = {n, l->h, l->w, l->c};

    (void)ops;
    if (v->whole && !qd_tensor_shape(&v->flat, nhwc, 0, &need->work))
        need->work = SIZE_MAX;
}

/* The same values as one pixel an image. */
static struct qd_tensor as_one(const struct qd_layer *l, const struct qd_tensor *flat)
{
    struct qd_tensor one = *flat;

    one.h = one.w = 1;
    one.c = one.ps = l->h * l->w * l->c;
    one.rs = one.is;
    return one;
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
    one = as_one(l, &flat);
    p->ops->softmax(&one, &one, 1, v->temperature);
    p->ops->copy(&flat, p->out);
}

enum { FLAT = 3 }; /* tensors without gaps during backward: output, its gradient, the input's */

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *train)
{
    struct qd_need forward_need = {0};

    need(l, qd_learn_ops(g), n, &forward_need);
    train->no_in = true;
    if (forward_need.work)
        for (int i = 0; i < FLAT; i++)
            train->work = qd_learn_sum(train->work, qd_learn_floats(n, l->h, l->w, l->c));
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct qd_softmax_head *v = l->priv;
    const float groups_temperature[2] = {(float)v->groups, v->temperature};
    struct qd_tensor flat[FLAT], one[FLAT];

    if (!p->din[0])
        return;
    if (!v->whole) {
        p->grad->softmax(p->out, p->dout, p->din[0], groups_temperature, p->fresh[0]);
        return;
    }
    for (int i = 0; i < FLAT; i++) {
        flat[i] = v->flat;
        qd_tensor_place(&flat[i], p->work + (size_t)i * qd_learn_floats(p->n, l->h, l->w, l->c));
        one[i] = as_one(l, &flat[i]);
    }
    p->ops->copy(p->out, &flat[0]);
    p->ops->copy(p->dout, &flat[1]);
    p->grad->softmax(&one[0], &one[1], &one[2], groups_temperature, true);
    p->grad->add(&flat[2], p->din[0], NULL, false, p->fresh[0]);
}

const struct qd_layer_type qd_type_softmax = {
    .section = "softmax",
    .aliases = {"soft"},
    .help = "probabilities from the channels",
    .keys = keys,
    .priv_size = sizeof(struct qd_softmax_head),
    .setup = setup,
    .channels = channels,
    .need = need,
    .forward = forward,
    .train_need = train_need,
    .backward = backward,
};
