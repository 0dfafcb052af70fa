/* SPDX-License-Identifier: MIT */
/*
 * [activation]: an activation on its own; prelu has a trained slope for each channel.
 */
#include "net/layer/cut.h"
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_K_ACT("linear"),
    QD_KEY_END,
};

struct activation {
    enum qd_act act;
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct activation *v = l->priv;

    (void)err; /* faults go through the keys */
    v->act = (enum qd_act)qd_layer_act(l, k);
    if (k->failed)
        return -1;
    qd_layer_detail(l, "%s", qd_act_name(v->act));
    if (v->act == QD_PRELU)
        return qd_layer_add(l, k, "slopes", (size_t)l->c, QD_PARAM_INIT_QUARTER, 0);
    return 0;
}

static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct activation *v = l->priv;

    qd_channels_same(l, ch);
    qd_channels_act(l, ch, v->act);
}

static void need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    const struct activation *v = l->priv;

    (void)ops;
    (void)n;
    need->packed = v->act == QD_PRELU ? (size_t)l->c : 0;
}

static void pack(struct qd_layer *l, const struct qd_ops *ops, const float *params, float *packed)
{
    const float *slope = qd_layer_values(l, params, "slopes");

    (void)ops;
    if (slope)
        memcpy(packed, slope, (size_t)l->c * sizeof(*slope));
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct activation *v = l->priv;

    p->ops->act(p->in[0], p->out, v->act, v->act == QD_PRELU ? p->packed : NULL);
}

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *train)
{
    const struct activation *v = l->priv;
    struct qd_need forward_need = {0};

    need(l, qd_learn_ops(g), n, &forward_need);
    train->packed = forward_need.packed;
    train->no_in = !qd_learn_keeps(v->act);
    train->no_out = !qd_learn_reads_out(v->act);
}

static void train_pack(
    struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *packed)
{
    pack(l, qd_learn_ops(g), params, packed);
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct activation *v = l->priv;

    if (qd_learn_keeps(v->act))
        p->grad->act(p->in[0], p->dout, v->act, v->act == QD_PRELU ? p->packed : NULL,
            qd_learn_grads(l, p, "slopes"));
    else if (v->act != QD_LINEAR)
        p->grad->act_out(p->out, p->dout, v->act, NULL, NULL);
    if (p->din[0])
        p->grad->add(p->dout, p->din[0], NULL, false, p->fresh[0]);
}

static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct activation *v = l->priv;
    const bool *out = qd_cut_of(a->cut, l->index);
    const float *slope = qd_layer_values(l, a->from, "slopes"), *in = qd_absorb_at(a, l->in[0]);

    if (v->act != QD_LINEAR && qd_absorb_still(l, a, 0, err) < 0)
        return -1;
    for (int c = 0; c < l->c; c++)
        qd_absorb_at(a, l->index)[c] =
            out[c] ? in[c] : qd_act_ref(v->act, in[c], slope ? slope[c] : 0);
    return 0;
}

const struct qd_layer_type qd_type_activation = {
    .section = "activation",
    .help = "an activation function",
    .keys = keys,
    .priv_size = sizeof(struct activation),
    .setup = setup,
    .channels = channels,
    .slice = qd_slice_channels,
    .constant = constant,
    .need = need,
    .pack = pack,
    .forward = forward,
    .train_need = train_need,
    .train_pack = train_pack,
    .backward = backward,
};
