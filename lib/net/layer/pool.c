/* SPDX-License-Identifier: MIT */
/*
 * The window geometry of the pooling layers.  'padding' counts both sides together; the first
 * window begins padding / 2 cells (rounded towards zero) before the input.
 */
#include "net/layer/pool.h"

static int padding_of(const struct qd_pool_geom *g, struct qd_keys *k)
{
    return qd_key_given(k, "padding") ? qd_key_int(k, "padding") : g->size - 1;
}

int qd_pool_geometry(struct qd_layer *l, struct qd_keys *k, struct qd_pool_geom *g)
{
    int stride = qd_key_int(k, "stride");

    g->sx = qd_key_given(k, "stride_x") ? qd_key_int(k, "stride_x") : stride;
    g->sy = qd_key_given(k, "stride_y") ? qd_key_int(k, "stride_y") : stride;
    g->size = qd_key_given(k, "size") ? qd_key_int(k, "size") : stride;
    if (k->failed)
        return -1;
    g->off = -(padding_of(g, k) / 2);
    if (!k->failed && (padding_of(g, k) + 1) / 2 >= g->size)
        return qd_key_fault(k, QD_EFORMAT, "padding",
            "padding=%d in [%s] with size=%d would make windows that see nothing", padding_of(g, k),
            l->type->section, g->size);
    return k->failed ? -1 : 0;
}

int qd_pool_shape(struct qd_layer *l, struct qd_keys *k, const struct qd_pool_geom *g)
{
    long room_h = (long)l->ih + padding_of(g, k) - g->size;
    long room_w = (long)l->iw + padding_of(g, k) - g->size;

    if (room_h < 0 || room_w < 0)
        return qd_key_fault(k, QD_EFORMAT, "size",
            "the %dx%d window of [%s] is larger than its input of %dx%d with padding %d", g->size,
            g->size, l->type->section, l->iw, l->ih, padding_of(g, k));
    return qd_layer_shape(l, k, room_h / g->sy + 1, room_w / g->sx + 1, l->ic);
}

void qd_pool_describe(struct qd_layer *l, const struct qd_pool_geom *g)
{
    qd_layer_detail(l, "%dx%d", g->size, g->size);
    if (g->sx != g->sy)
        qd_layer_detail(l, "/%dx%d", g->sx, g->sy);
    else
        qd_layer_detail(l, "/%d", g->sx);
}
