/* SPDX-License-Identifier: MIT */
/*
 * [sam]: spatial attention, the previous layer times another one of the same shape (spec darknet.md
 * 2.7).
 */
#include "net/layer/cut.h"
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_K_LAYER("from", "the other factor"),
    QD_K_ACT("linear"),
    QD_KEY_END,
};

struct sam {
    enum qd_act act;
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct sam *v = l->priv;
    int list[2] = {-1}, n = qd_layer_list(l, k, "from", list + 1, 1);
    int act = qd_layer_act(l, k), h, w, c;
    char a[64], b[64];

    (void)err; /* faults go through the keys */
    if (n < 0 || k->failed || qd_layer_sources(l, k, "from", list, 2) < 0)
        return -1;
    v->act = (enum qd_act)act;
    qd_layer_source(l, 1, &h, &w, &c);
    if (v->act == QD_PRELU)
        return qd_key_fault(k, QD_EUNSUP, "activation",
            "activation=prelu in [sam] is not supported: put an [activation] behind it");
    if (h != l->ih || w != l->iw || c != l->ic)
        return qd_key_fault(k, QD_EFORMAT, "from",
            "[sam] cannot multiply %s and %s: width, height and channels must be equal",
            qd_layer_source_text(l, 0, a), qd_layer_source_text(l, 1, b));
    qd_layer_detail_list(l, "from", list + 1, 1);
    if (v->act != QD_LINEAR)
        qd_layer_detail(l, " %s", qd_act_name(v->act));
    return qd_layer_shape(l, k, h, w, c);
}

static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct sam *v = l->priv;

    qd_channels_same(l, ch);
    qd_channels_act(l, ch, v->act);
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct sam *v = l->priv;
    bool apart = !qd_act_elementwise(v->act);

    p->ops->gate(p->in[1], p->in[0], p->out, QD_GATE_FULL, apart ? QD_LINEAR : v->act);
    if (apart)
        p->ops->act(p->out, p->out, v->act, NULL);
}

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need)
{
    const struct sam *v = l->priv;

    (void)g;
    need->saved = qd_learn_saved(l, v->act, n);
    need->no_out = !qd_learn_reads_out(v->act);
}

static void train_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct sam *v = l->priv;
    struct qd_pass f = qd_learn_pass(p);
    struct qd_tensor before = qd_learn_dense(l, p->n, p->saved);

    if (!qd_learn_keeps(v->act)) {
        forward(l, &f);
        return;
    }
    p->ops->gate(p->in[1], p->in[0], &before, QD_GATE_FULL, QD_LINEAR);
    p->ops->act(&before, p->out, v->act, NULL);
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct sam *v = l->priv;

    qd_learn_act_back(l, p, v->act);
    qd_learn_gate_back(p, QD_GATE_FULL);
}

static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct sam *v = l->priv;
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
    .priv_size = sizeof(struct sam),
    .setup = setup,
    .channels = channels,
    .constant = constant,
    .forward = forward,
    .train_need = train_need,
    .train_forward = train_forward,
    .backward = backward,
};
