/* SPDX-License-Identifier: MIT */
/*
 * [reorg] and [reorg3d]: pixels into channels (spec darknet.md 2.8).  [reorg3d] is space to depth.
 * [reorg] is the map of the first YOLOv2, which re-indexes planar memory and which its weights
 * depend on.
 */
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("stride", "1", 1, 255, "side of the blocks of pixels"),
    QD_K_FLAG("reverse", "0", "1: channels back into pixels"),
    QD_K_REFUSED("flatten", "another order of the values"),
    QD_K_REFUSED("extra", "a padded vector"),
    QD_KEY_END,
};

struct reorg {
    int stride;
    bool reverse;
};

/* 'twice': the old map cuts the channels of its larger side by stride^2 once more. */
static int setup_reorg(struct qd_layer *l, struct qd_keys *k, bool twice)
{
    struct reorg *v = l->priv;
    long s = v->stride = qd_key_int(k, "stride");
    long cut;

    v->reverse = qd_key_int(k, "reverse");
    if (k->failed)
        return -1;
    cut = (v->reverse ? s * s : 1) * (twice ? s * s : 1);
    if (l->ic % cut)
        return qd_key_fault(k, QD_EFORMAT, "stride",
            "the %d channels of the input of [%s] are not a multiple of %ld, as stride=%ld needs",
            l->ic, l->type->section, cut, s);
    qd_layer_detail(l, v->reverse ? "x%ld" : "/%ld", s);
    if (v->reverse)
        return qd_layer_shape(l, k, l->ih * s, l->iw * s, l->ic / (s * s));
    if (l->ih % s || l->iw % s)
        return qd_key_fault(k, QD_EFORMAT, "stride",
            "stride=%ld in [%s] does not divide its input of %dx%d", s, l->type->section, l->iw,
            l->ih);
    return qd_layer_shape(l, k, l->ih / s, l->iw / s, l->ic * s * s);
}

static int setup_old(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    (void)err; /* faults go through the keys */
    return setup_reorg(l, k, true);
}

static int setup_3d(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    (void)err;
    return setup_reorg(l, k, false);
}

/* The old map makes a channel from pixels of several ones, as many as there happen to be. */
static void channels_old(const struct qd_layer *l, const struct qd_channels *ch)
{
    qd_channels_keep(l, ch, "reorg mixes channels");
}

/* Block b of the deep side's channels is every stride-th pixel of all channels of the other. */
static void channels_3d(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct reorg *v = l->priv;
    int wide = v->reverse ? l->c : l->ic, deep = v->reverse ? l->ic : l->c;

    for (int c = 0; c < deep; c++) {
        struct qd_channel in = qd_channel_in(l, 0, v->reverse ? c : c % wide);
        ch->tie(ch->ctx, qd_channel_out(l, v->reverse ? c % wide : c), in);
    }
}

static void forward_old(struct qd_layer *l, const struct qd_pass *p)
{
    const struct reorg *v = l->priv;

    p->ops->reorg(p->in[0], p->out, v->stride, v->reverse);
}

static void forward_3d(struct qd_layer *l, const struct qd_pass *p)
{
    const struct reorg *v = l->priv;

    p->ops->reorg3d(p->in[0], p->out, v->stride, v->reverse);
}

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need)
{
    (void)g;
    need->work = qd_learn_floats(n, l->ih, l->iw, l->ic);
    need->no_in = need->no_out = true;
}

typedef void qd_reorg_fn(
    const struct qd_tensor *in, const struct qd_tensor *out, int s, bool reverse);

/* A permutation: its gradient is the inverse. */
static void permute_back(struct qd_layer *l, const struct qd_train_pass *p, qd_reorg_fn *permute)
{
    const struct reorg *v = l->priv;
    const int nhwc[4] = {p->n, l->ih, l->iw, l->ic};
    struct qd_tensor back;
    size_t floats;

    if (p->din[0] && p->fresh[0]) {
        permute(p->dout, p->din[0], v->stride, !v->reverse);
    } else if (p->din[0] && qd_tensor_shape(&back, nhwc, 0, &floats)) { /* as was planned */
        qd_tensor_place(&back, p->work);
        permute(p->dout, &back, v->stride, !v->reverse);
        p->grad->add(&back, p->din[0], NULL, false, false);
    }
}

static void backward_old(struct qd_layer *l, const struct qd_train_pass *p)
{
    permute_back(l, p, p->ops->reorg);
}

static void backward_3d(struct qd_layer *l, const struct qd_train_pass *p)
{
    permute_back(l, p, p->ops->reorg3d);
}

const struct qd_layer_type qd_type_reorg = {
    .section = "reorg",
    .help = "pixels into channels by the map of the first YOLOv2",
    .keys = keys,
    .priv_size = sizeof(struct reorg),
    .setup = setup_old,
    .channels = channels_old,
    .forward = forward_old,
    .train_need = train_need,
    .backward = backward_old,
};

const struct qd_layer_type qd_type_reorg3d = {
    .section = "reorg3d",
    .help = "pixels into channels: space to depth",
    .keys = keys,
    .priv_size = sizeof(struct reorg),
    .setup = setup_3d,
    .channels = channels_3d,
    .forward = forward_3d,
    .train_need = train_need,
    .backward = backward_3d,
};
