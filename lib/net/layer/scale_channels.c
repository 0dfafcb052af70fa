/* SPDX-License-Identifier: MIT */
/*
 * [scale_channels]: another layer times the previous one, which holds one factor a channel or, with
 * scale_wh, one a pixel (spec lowbit.md 3.1).
 */
#include "base/error.h"
#include "net/graph.h"
#include "net/layer/cut.h"
#include "net/layer/gate.h"

static const struct qd_cfg_key keys[] = {
    QD_K_LAYER("from", "the layer that is scaled"),
    QD_K_FLAG("scale_wh", "0", "1: the previous layer has a factor for each pixel"),
    QD_K_ACT("linear"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct qd_gate_layer *v = l->priv;
    int h, w, c;
    char gate[64], from[64];
    bool wh = qd_key_int(k, "scale_wh");

    (void)err; /* faults go through the keys */
    if (qd_gate_setup(l, k) < 0)
        return -1;
    v->kind = wh ? QD_GATE_PIXEL : QD_GATE_CHANNEL;
    qd_layer_source(l, 1, &h, &w, &c);
    if (wh ? l->ih != h || l->iw != w || l->ic != 1 : l->ih != 1 || l->iw != 1 || l->ic != c)
        return qd_key_fault(k, QD_EFORMAT, "from",
            "[scale_channels] cannot scale %s by %s: that must be %dx%dx%d",
            qd_layer_source_text(l, 1, from), qd_layer_source_text(l, 0, gate), wh ? w : 1,
            wh ? h : 1, wh ? 1 : c);
    return qd_layer_shape(l, k, h, w, c);
}

static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct qd_gate_layer *v = l->priv;

    for (int c = 0; c < l->c; c++) {
        ch->tie(ch->ctx, qd_channel_out(l, c), qd_channel_in(l, 1, c));
        if (v->kind == QD_GATE_CHANNEL)
            ch->tie(ch->ctx, qd_channel_out(l, c), qd_channel_in(l, 0, c));
    }
    if (v->kind == QD_GATE_PIXEL)
        ch->keep(ch->ctx, qd_channel_in(l, 0, 0), "factor of all channels");
    qd_channels_act(l, ch, v->act);
}

static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct qd_gate_layer *v = l->priv;
    const bool *out = qd_cut_of(a->cut, l->index);
    const float *gate = qd_absorb_at(a, l->in[0]), *in = qd_absorb_at(a, l->in[1]);

    if (qd_absorb_still(l, a, 1, err) < 0 ||
        (v->kind == QD_GATE_CHANNEL && qd_absorb_still(l, a, 0, err) < 0))
        return -1;
    if (v->kind == QD_GATE_PIXEL && *gate != 0)
        return qd_error_at(err, QD_EUNSUP, qd_cfg_name(l->graph->cfg), l->line,
            "layer %d, [scale_channels], cannot take up a constant that its factors have lost",
            l->index);
    for (int c = 0; c < l->c; c++) {
        if (!out[c] && v->kind == QD_GATE_PIXEL && in[c] != 0 &&
            qd_absorb_refuse(
                a, l, qd_channel_in(l, 1, c), "it gets a factor for every pixel", err) < 0)
            return -1;
        if (!out[c])
            qd_absorb_at(a, l->index)[c] =
                qd_act_ref(v->act, v->kind == QD_GATE_PIXEL ? 0 : in[c] * gate[c], 0);
    }
    return 0;
}

const struct qd_layer_type qd_type_scale_channels = {
    .section = "scale_channels",
    .help = "a layer times the previous one, which has a factor for each channel or pixel",
    .keys = keys,
    .priv_size = sizeof(struct qd_gate_layer),
    .setup = setup,
    .channels = channels,
    .constant = constant,
    .forward = qd_gate_forward,
    .train_need = qd_gate_train_need,
    .train_forward = qd_gate_train_forward,
    .backward = qd_gate_backward,
};
