/* SPDX-License-Identifier: MIT */
/*
 * What layers that multiply two others have in common.
 */
#include "net/layer/gate.h"

int qd_gate_setup(struct qd_layer *l, struct qd_keys *k)
{
    struct qd_gate_layer *v = l->priv;
    int list[2] = {-1}, n = qd_layer_list(l, k, "from", list + 1, 1);
    int act = qd_layer_act(l, k);

    if (n < 0 || k->failed || qd_layer_sources(l, k, "from", list, 2) < 0)
        return -1;
    v->act = (enum qd_act)act;
    if (v->act == QD_PRELU)
        return qd_key_fault(k, QD_EUNSUP, "activation",
            "activation=prelu in [%s] is not supported: put an [activation] behind it",
            l->type->section);
    qd_layer_detail_list(l, "from", list + 1, 1);
    if (v->act != QD_LINEAR)
        qd_layer_detail(l, " %s", qd_act_name(v->act));
    return 0;
}

void qd_gate_forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct qd_gate_layer *v = l->priv;
    bool apart = !qd_act_elementwise(v->act);

    p->ops->gate(p->in[1], p->in[0], p->out, v->kind, apart ? QD_LINEAR : v->act);
    if (apart)
        p->ops->act(p->out, p->out, v->act, NULL);
}

void qd_gate_train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need)
{
    const struct qd_gate_layer *v = l->priv;

    (void)g;
    need->saved = qd_learn_saved(l, v->act, n);
    need->no_out = !qd_learn_reads_out(v->act);
}

void qd_gate_train_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct qd_gate_layer *v = l->priv;
    struct qd_pass f = qd_learn_pass(p);
    struct qd_tensor before = qd_learn_dense(l, p->n, p->saved);

    if (!qd_learn_keeps(v->act)) {
        qd_gate_forward(l, &f);
        return;
    }
    p->ops->gate(p->in[1], p->in[0], &before, v->kind, QD_LINEAR);
    p->ops->act(&before, p->out, v->act, NULL);
}

void qd_gate_backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct qd_gate_layer *v = l->priv;

    qd_learn_act_back(l, p, v->act);
    qd_learn_gate_back(p, v->kind);
}
