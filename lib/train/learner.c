/* SPDX-License-Identifier: MIT */
/*
 * A net that learns and the losses of its heads: one forward pass, the losses, one backward pass.
 */
#include "base/error.h"
#include "train/train.h"

void qd_learner_drop(struct qd_learner *l)
{
    for (int i = 0; i < l->nheads; i++)
        qd_loss_free(l->head[i].loss);
    l->nheads = 0;
    qd_train_net_free(l->net);
    l->net = NULL;
}

static int add_head(struct qd_learner *l, const struct qd_layer *at,
    const struct qd_learner_opts *o, struct qd_error *err)
{
    struct qd_loss_opts opts = QD_LOSS_OPTS_INIT;
    struct qd_train_head *h = &l->head[l->nheads];

    if (l->nheads == QD_TRAIN_HEADS)
        return qd_error_set(err, QD_EUNSUP, "the net has more than %d heads", QD_TRAIN_HEADS);
    if (at->type->head) /* targets of classifiers are smoothed with the images */
        opts.variant = o->loss;
    *h = (struct qd_train_head){.layer = at, .source = at->in[0]};
    if (h->source < 0)
        return qd_error_set(err, QD_EUNSUP, "layer %d [%s] reads the image: nothing learns",
            at->index, at->type->section);
    h->loss = qd_loss_new(at, &opts, o->net.batch, err);
    if (!h->loss)
        return -1;
    l->nheads++;
    return qd_train_net_loss_at(l->net, h->source, err);
}

int qd_learner_make(
    struct qd_learner *l, struct qd_model *m, const struct qd_learner_opts *o, struct qd_error *err)
{
    qd_learner_drop(l);
    l->net = qd_train_net_new(m, &o->net, err);
    if (!l->net)
        return -1;
    const struct qd_graph *g = qd_train_net_graph(l->net);
    for (int i = 0; i < g->nlayers; i++)
        if (qd_loss_wanted(&g->layer[i]) && add_head(l, &g->layer[i], o, err) < 0)
            return -1;
    if (qd_train_net_ready(l->net, err) < 0)
        return -1;
    for (int i = 0; i < l->nheads; i++)
        if (!qd_train_net_gradient(l->net, l->head[i].source))
            return qd_error_set(err, QD_EARG, "nothing below layer %d [%s] learns",
                l->head[i].layer->index, l->head[i].layer->type->section);
    return 0;
}

void qd_learner_input(struct qd_learner *l, const float *pixels)
{
    const struct qd_tensor *in = qd_train_net_value(l->net, -1);
    bool dense = qd_tensor_dense_rows(in);
    size_t pixel = (size_t)in->c, run = dense ? pixel * (size_t)in->w : pixel;

    for (int i = 0; i < in->n * in->h; i++)
        for (int x = 0; x < (dense ? 1 : in->w); x++, pixels += run)
            memcpy(qd_at(in, i / in->h, i % in->h, x), pixels, run * sizeof(float));
}

static void add_parts(struct qd_loss_parts *sum, const struct qd_loss_parts *p)
{
    sum->cost += p->cost;
    sum->box += p->box;
    sum->obj += p->obj;
    sum->cls += p->cls;
}

int qd_learner_pass(
    struct qd_learner *l, const struct qd_learner_truth *truth, uint64_t seed, struct qd_error *err)
{
    qd_train_net_forward(l->net, seed);
    for (int i = 0; i < l->nheads; i++) {
        struct qd_train_head *h = &l->head[i];
        struct qd_loss_parts parts;
        const struct qd_loss_in in = {qd_train_net_value(l->net, h->source),
            qd_train_net_gradient(l->net, h->source), truth->labels, truth->target, truth->seen,
            truth->cold};
        if (qd_loss_run(h->loss, &in, &parts, err) < 0)
            return -1;
        add_parts(&h->parts, &parts);
    }
    qd_train_net_backward(l->net);
    return 0;
}
