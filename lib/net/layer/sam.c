/* SPDX-License-Identifier: MIT */
/*
 * [sam]: spatial attention, the previous layer times another one of the same shape (spec darknet.md
 * 2.7).
 */
#include "net/layer/cut.h"
#include "net/layer/gate.h"

static const struct qd_cfg_key keys[] = {
    QD_K_LAYER("from", "the other factor"),
    QD_K_ACT("linear"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct qd_gate_layer *v = l->priv;
    int h, w, c;
    char a[64], b[64];

    (void)err; /* faults go through the keys */
    if (qd_gate_setup(l, k) < 0)
        return -1;
    v->kind = QD_GATE_FULL;
    qd_layer_source(l, 1, &h, &w, &c);
    if (h != l->ih || w != l->iw || c != l->ic)
        return qd_key_fault(k, QD_EFORMAT, "from",
            "[sam] cannot multiply %s and %s: width, height and channels must be equal",
            qd_layer_source_text(l, 0, a), qd_layer_source_text(l, 1, b));
    return qd_layer_shape(l, k, h, w, c);
}

static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct qd_gate_layer *v = l->priv;

    qd_channels_same(l, ch);
    qd_channels_act(l, ch, v->act);
}

static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct qd_gate_layer *v = l->priv;
    const bool *out = qd_cut_of(a->cut, l->index);
    const float *gate = qd_absorb_at(a, l->in[0]), *in = qd_absorb_at(a, l->in[1]);

    if (qd_absorb_still(l, a, 0, err) < 0 || qd_absorb_still(l, a, 1, err) < 0)
        return -1;
    for (int c = 0; c < l->c; c++)
        if (!out[c])
            qd_absorb_at(a, l->index)[c] = qd_act_ref(v->act, in[c] * gate[c], 0);
    return 0;
}

const struct qd_layer_type qd_type_sam = {
    .section = "sam",
    .help = "a layer times the previous one, value by value",
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
