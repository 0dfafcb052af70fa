/* SPDX-License-Identifier: MIT */
/*
 * [route]: the channels of other layers side by side, or one group of them (spec darknet.md 2.4).
 * Nothing is copied where that can be avoided: one source is the source itself or a range of its
 * channels, several write into one wide tensor.
 */
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_K_LAYERS("layers", "layers to take (negative: counted back from this one)"),
    QD_K_INT("groups", "1", 1, 65536, "groups into which the channels of each layer are cut"),
    QD_K_INT("group_id", "0", 0, 65535, "the group that is taken, from 0"),
    QD_K_NOTED("stream", "scheduling on a GPU"),
    QD_K_NOTED("wait_stream", "scheduling on a GPU"),
    QD_KEY_END,
};

enum { MAX_SOURCES = 256 };

struct route {
    int groups, group;
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct route *v = l->priv;
    int list[MAX_SOURCES], n = qd_layer_list(l, k, "layers", list, MAX_SOURCES);
    long sum = 0;

    (void)err; /* faults go through the keys */
    v->groups = qd_key_int(k, "groups");
    v->group = qd_key_int(k, "group_id");
    if (n < 0 || k->failed || qd_layer_sources(l, k, "layers", list, n) < 0)
        return -1;
    if (v->group >= v->groups)
        return qd_key_fault(k, QD_EFORMAT, "group_id",
            "group_id=%d in [route] must be below groups=%d", v->group, v->groups);
    for (int i = 0; i < n; i++) {
        int h, w, c;
        char text[64];
        qd_layer_source(l, i, &h, &w, &c);
        if (qd_layer_same_size(l, k, "layers", i) < 0)
            return -1;
        if (c % v->groups)
            return qd_key_fault(k, QD_EFORMAT, "groups",
                "groups=%d in [route] does not divide the channels of %s", v->groups,
                qd_layer_source_text(l, i, text));
        sum += c / v->groups;
    }
    l->slice_from = n == 1 ? v->group * (l->ic / v->groups) : 0;
    l->place = n == 1 && v->groups == 1 ? QD_PLACE_ALIAS
               : n == 1                 ? QD_PLACE_SLICE
               : v->groups == 1         ? QD_PLACE_CONCAT
                                        : QD_PLACE_OWN;
    qd_layer_detail_list(l, "from", list, n);
    if (v->groups > 1)
        qd_layer_detail(l, " group %d of %d", v->group, v->groups);
    return qd_layer_shape(l, k, l->ih, l->iw, sum);
}

/* All groups of a source must stay equally wide, also those that are not taken. */
static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct route *v = l->priv;
    int at = 0;

    for (int i = 0; i < l->nin; i++) {
        int h, w, c;
        qd_layer_source(l, i, &h, &w, &c);
        qd_channels_groups(ch, l->in[i], c, v->groups);
        c /= v->groups;
        for (int j = 0; j < c; j++)
            ch->tie(ch->ctx, qd_channel_out(l, at + j), qd_channel_in(l, i, v->group * c + j));
        at += c;
    }
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct route *v = l->priv;
    int at = 0;

    for (int i = 0; i < l->nin; i++) {
        int c = p->in[i]->c / v->groups;
        struct qd_tensor from = qd_tensor_slice(p->in[i], v->group * c, c);
        struct qd_tensor to = qd_tensor_slice(p->out, at, c);
        if (l->place == QD_PLACE_OWN || !p->placed[i])
            p->ops->copy(&from, &to);
        at += c;
    }
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct route *v = l->priv;
    int at = 0;

    if (l->place == QD_PLACE_ALIAS || l->place == QD_PLACE_SLICE)
        return; /* the gradients are the same memory */
    for (int i = 0; i < l->nin; i++) {
        int c = p->in[i]->c / v->groups;
        struct qd_tensor from = qd_tensor_slice(p->dout, at, c);
        at += c;
        if (!p->din[i] || (l->place == QD_PLACE_CONCAT && p->placed[i]))
            continue;
        struct qd_tensor to = qd_tensor_slice(p->din[i], v->group * c, c);
        bool part = v->groups > 1; /* the other groups get nothing from here */
        if (part && p->fresh[i])
            qd_learn_clear(p->din[i]);
        p->grad->add(&from, &to, NULL, false, p->fresh[i] && !part);
    }
}

const struct qd_layer_type qd_type_route = {
    .section = "route",
    .help = "channels of other layers side by side",
    .keys = keys,
    .priv_size = sizeof(struct route),
    .setup = setup,
    .channels = channels,
    .forward = forward,
    .train_need = qd_learn_need_none,
    .backward = backward,
};
