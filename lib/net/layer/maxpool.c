/* SPDX-License-Identifier: MIT */
/*
 * [maxpool]: the largest value of each window (spec darknet.md 2.2).  'padding' is the total, not
 * per side, and cells outside the input never count.
 */
#include "net/layer/learn.h"
#include "net/layer/pool.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("stride", "1", 1, 255, "step between windows"),
    QD_K_INT("stride_x", NULL, 1, 255, "horizontal step, instead of stride"),
    QD_K_INT("stride_y", NULL, 1, 255, "vertical step, instead of stride"),
    QD_K_INT("size", NULL, 1, 255, "side of the window; stride by default"),
    QD_K_INT("padding", NULL, 0, 510, "padding of both sides together; size-1 by default"),
    QD_K_FLAG("maxpool_depth", "0", "1: the maximum over channels instead of over pixels"),
    QD_K_INT("out_channels", "1", 1, 65536, "channels of the output when maxpool_depth=1"),
    QD_K_INT("antialiasing", "0", 0, 2,
        "pool with stride 1, then blur with the stride: 1 with 3x3, 2 with 2x2"),
    QD_K_REFUSED("maxpool_zero_nonmax", "zero the input but for the maxima"),
    QD_KEY_END,
};

struct maxpool {
    struct qd_pool_geom g;
    bool depth;
    struct qd_layer_blur blur;
};

static int setup_depth(struct qd_layer *l, struct qd_keys *k)
{
    int c = qd_key_int(k, "out_channels");

    if (!k->failed && c > l->ic)
        return qd_key_fault(k, QD_EFORMAT, "out_channels",
            "out_channels=%d in [maxpool] is more than the %d channels of its input", c, l->ic);
    qd_layer_detail(l, "depth %d", c);
    return k->failed ? -1 : qd_layer_shape(l, k, l->ih, l->iw, c);
}

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct maxpool *v = l->priv;

    (void)err; /* faults go through the keys */
    v->depth = qd_key_int(k, "maxpool_depth");
    if (v->depth)
        return setup_depth(l, k);
    if (qd_pool_geometry(l, k, &v->g) < 0)
        return -1;
    v->blur = (struct qd_layer_blur){.kind = qd_key_int(k, "antialiasing"), .stride = v->g.sx};
    qd_pool_describe(l, &v->g);
    if (v->blur.kind) {
        if (v->g.sx != v->g.sy)
            return qd_key_fault(k, QD_EUNSUP, "antialiasing",
                "antialiasing with stride_x=%d and stride_y=%d is not supported: they must be "
                "equal",
                v->g.sx, v->g.sy);
        v->g.sx = v->g.sy = 1;
        qd_layer_detail(l, " blur");
    }
    if (qd_pool_shape(l, k, &v->g) < 0)
        return -1;
    if (v->blur.kind) {
        const int nhwc[4] = {1, l->h, l->w, l->c};
        qd_layer_blur_plan(&v->blur, nhwc);
        return qd_layer_shape(
            l, k, qd_layer_blur_side(&v->blur, l->h), qd_layer_blur_side(&v->blur, l->w), l->c);
    }
    return k->failed ? -1 : 0;
}

static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct maxpool *v = l->priv;

    if (v->depth)
        qd_channels_keep(l, ch, "maximum over channels");
    else
        qd_channels_same(l, ch);
}

static void need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    struct maxpool *v = l->priv;

    (void)ops;
    if (v->blur.kind) {
        const int nhwc[4] = {n, v->blur.in.h, v->blur.in.w, v->blur.in.c};
        qd_layer_blur_plan(&v->blur, nhwc);
        need->work = v->blur.floats;
    }
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct maxpool *v = l->priv;

    if (v->depth) {
        p->ops->maxpool_depth(p->in[0], p->out);
    } else if (v->blur.kind) {
        struct qd_tensor sharp = qd_layer_blur_in(&v->blur, p->work);
        p->ops->maxpool(p->in[0], &sharp, &v->g);
        qd_layer_blur_run(&v->blur, p->ops, &sharp, p->out);
    } else {
        p->ops->maxpool(p->in[0], p->out, &v->g);
    }
}

static bool fuse(const struct qd_layer *l, struct qd_fuse *f)
{
    const struct maxpool *v = l->priv;

    if (v->depth || v->blur.kind || v->g.size != 2 || v->g.sx != 2 || v->g.sy != 2 || v->g.off ||
        l->ih != 2 * l->h || l->iw != 2 * l->w)
        return false;
    *f = (struct qd_fuse){.pool = true, .add = -1, .act = QD_LINEAR};
    return true;
}

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *train)
{
    struct qd_need forward_need = {0};

    need(l, qd_learn_ops(g), n, &forward_need); /* backward needs no more */
    train->work = forward_need.work;
    train->no_out = true;
}

/* Which cells were the largest is found again from the input. */
static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct maxpool *v = l->priv;

    if (!p->din[0])
        return;
    if (v->depth) {
        p->grad->maxpool_depth(p->in[0], p->dout, p->din[0], p->fresh[0]);
    } else if (v->blur.kind) {
        struct qd_tensor dsharp = v->blur.in;
        qd_tensor_place(&dsharp, p->work);
        qd_layer_blur_back(&v->blur, p->grad, p->dout, &dsharp);
        p->grad->maxpool(p->in[0], &dsharp, p->din[0], &v->g, p->fresh[0]);
    } else {
        p->grad->maxpool(p->in[0], p->dout, p->din[0], &v->g, p->fresh[0]);
    }
}

const struct qd_layer_type qd_type_maxpool = {
    .section = "maxpool",
    .aliases = {"max"},
    .help = "largest value of each window",
    .keys = keys,
    .priv_size = sizeof(struct maxpool),
    .setup = setup,
    .channels = channels,
    .need = need,
    .forward = forward,
    .fuse = fuse,
    .train_need = train_need,
    .backward = backward,
};
