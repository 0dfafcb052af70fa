/* SPDX-License-Identifier: MIT */
/*
 * [local_avgpool]: the mean of the cells of each window that lie inside the input (spec darknet.md
 * 2.3); windows as in [maxpool].
 */
#include "net/layer/learn.h"
#include "net/layer/pool.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("stride", "1", 1, 255, "step between windows"),
    QD_K_INT("stride_x", NULL, 1, 255, "horizontal step, instead of stride"),
    QD_K_INT("stride_y", NULL, 1, 255, "vertical step, instead of stride"),
    QD_K_INT("size", NULL, 1, 255, "side of the window; stride by default"),
    QD_K_INT("padding", NULL, 0, 510, "padding of both sides together; size-1 by default"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct qd_pool_geom *g = l->priv;

    (void)err; /* faults go through the keys */
    if (qd_pool_geometry(l, k, g) < 0)
        return -1;
    qd_pool_describe(l, g);
    return qd_pool_shape(l, k, g);
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    p->ops->avgpool_local(p->in[0], p->out, l->priv);
}

/* Spread over the cells that count, so that it is the gradient; darknet divides by size^2. */
static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    if (p->din[0])
        p->grad->avgpool_local(p->dout, p->din[0], l->priv, p->fresh[0]);
}

const struct qd_layer_type qd_type_local_avgpool = {
    .section = "local_avgpool",
    .aliases = {"local_avg"},
    .help = "mean of each window",
    .keys = keys,
    .priv_size = sizeof(struct qd_pool_geom),
    .setup = setup,
    .channels = qd_channels_same,
    .forward = forward,
    .train_need = qd_learn_need_none,
    .backward = backward,
};
