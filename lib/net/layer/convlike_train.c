/* SPDX-License-Identifier: MIT */
/*
 * Training a convolution.  Forward uses the raw weights; the sums are kept where backward needs
 * them, otherwise they go straight to the output.  Backward turns the gradient of the output into
 * that of the sums in place; behind a blur it does so in a tensor of its own.
 *
 * packed: what qd_convlike_need says.
 * turned: the weights for the gradient of the input.
 * saved:  [sums][statistics of batch normalization]
 * work:   [input of the blur, or its gradient][scratch of the operations]
 */
#include "net/layer/convlike.h"
#include "net/layer/learn.h"

/* Whether the sums are kept.  Behind a blur the output of the activation is not, so that its
 * derivative is taken from the sums. */
static bool keeps(const struct qd_convlike *v)
{
    return v->bn || qd_learn_keeps(v->act) || (v->blur.kind && v->act != QD_LINEAR);
}

void qd_convlike_train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need)
{
    struct qd_convlike *v = l->priv;
    struct qd_convlike_train *t = &v->train;
    int nhwc[4] = {n, v->g.oh, v->g.ow, v->g.k}, border;
    struct qd_need forward = {0};
    size_t scratch, floats;

    qd_convlike_need(l, qd_learn_ops(g), n, &forward);
    border = qd_conv_grad_border(&v->g);
    need->packed = forward.packed;
    need->turned = l->in[0] < 0 ? 0 : g->conv_packed(&v->g);
    t->stats = qd_tensor_shape(&t->sums, nhwc, 0, &floats) ? qd_round_up(floats, 16) : SIZE_MAX;
    if (keeps(v))
        need->saved = qd_learn_sum(t->stats, v->bn ? qd_learn_bn_floats(v->g.k) : 0);
    t->scratch = 0;
    if (v->blur.kind)
        t->scratch =
            qd_tensor_shape(&t->dsharp, nhwc, border, &floats) ? qd_round_up(floats, 16) : SIZE_MAX;
    scratch = g->conv_work(&v->g, qd_threads());
    if (v->bn)
        scratch = QD_MAX(scratch, qd_learn_bn_work(v->g.k));
    need->work = QD_MAX(forward.work, qd_learn_sum(t->scratch, scratch));
    need->border = v->blur.kind ? 0 : border;
    need->no_out = keeps(v) || v->act == QD_LINEAR;
}

void qd_convlike_train_pack(
    struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *packed)
{
    const struct qd_convlike *v = l->priv;
    const float *weight = qd_layer_values(l, params, "weights");
    const float *slope = qd_layer_values(l, params, "slopes");
    size_t bytes = (size_t)v->g.k * sizeof(float);

    (void)g;
    v->kernel->pack(&v->g, weight, NULL, packed);
    memcpy(packed + v->bias, qd_layer_values(l, params, "biases"), bytes);
    if (slope)
        memcpy(packed + v->slope, slope, bytes);
}

void qd_convlike_train_turn(
    struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *turned)
{
    const struct qd_convlike *v = l->priv;

    g->conv_pack(&v->g, qd_layer_values(l, params, "weights"), turned);
}

void qd_convlike_train_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct qd_convlike *v = l->priv;
    bool within = !keeps(v) && qd_act_elementwise(v->act); /* all is the kernel's work */
    struct qd_epilogue ep = {
        .bias = v->bn ? NULL : p->packed + v->bias, .act = within ? v->act : QD_LINEAR};
    struct qd_conv_job job = {
        .g = &v->g, .packed = p->packed, .in = p->in[0], .ep = &ep, .work = p->work};
    const struct qd_tensor *y = p->out;
    struct qd_tensor sums = v->train.sums, sharp;

    if (v->blur.kind) {
        sharp = qd_layer_blur_in(&v->blur, p->work);
        job.work += v->blur.floats;
        y = &sharp;
    }
    job.out = y;
    if (keeps(v)) {
        qd_tensor_place(&sums, p->saved);
        job.out = &sums;
    }
    v->kernel->run(&job);
    if (v->bn)
        qd_learn_bn(l, p, &sums, y, v->act, p->saved + v->train.stats);
    else if (!within)
        p->ops->act(job.out, y, v->act, v->act == QD_PRELU ? p->packed + v->slope : NULL);
    if (v->blur.kind)
        qd_layer_blur_run(&v->blur, p->ops, &sharp, p->out);
}

/* The gradient of what the activation gave becomes that of the sums. */
static void through_act(const struct qd_layer *l, const struct qd_train_pass *p,
    const struct qd_tensor *dz, float *work)
{
    const struct qd_convlike *v = l->priv;
    struct qd_tensor sums = v->train.sums;
    float *dbias = qd_learn_grads(l, p, "biases");

    qd_tensor_place(&sums, p->saved);
    if (v->bn) {
        struct qd_learn_bn_back b = {
            .z = &sums, .dy = dz, .act = v->act, .stats = p->saved + v->train.stats, .work = work};
        qd_learn_bn_back(l, p, &b);
        return;
    }
    if (keeps(v))
        p->grad->act(&sums, dz, v->act, qd_layer_values(l, p->params, "slopes"),
            qd_learn_grads(l, p, "slopes"));
    else if (v->act != QD_LINEAR)
        p->grad->act_out(p->out, dz, v->act, NULL, NULL);
    if (dbias)
        p->grad->bias(dz, dbias);
}

void qd_convlike_backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct qd_convlike *v = l->priv;
    struct qd_tensor dz = *p->dout;
    float *work = p->work + v->train.scratch;
    float *dweight = qd_learn_grads(l, p, "weights");
    struct qd_conv_grad j = {.g = &v->g, .in = p->in[0], .dz = &dz, .work = work};

    if (v->blur.kind) {
        dz = v->train.dsharp;
        qd_tensor_place(&dz, p->work);
        qd_tensor_zero_border(&dz);
        qd_layer_blur_back(&v->blur, p->grad, p->dout, &dz);
    }
    through_act(l, p, &dz, work);
    if (dweight)
        p->grad->conv_weights(&j, dweight);
    if (p->din[0])
        p->grad->conv_data(&j, p->turned, p->din[0], p->fresh[0]);
}
