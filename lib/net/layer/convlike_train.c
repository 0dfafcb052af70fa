/* SPDX-License-Identifier: MIT */
/*
 * Training a convolution.  Forward uses the raw weights; the sums are kept where backward needs
 * them, otherwise they go straight to the output.  Backward turns the gradient of the output into
 * that of the sums in place; behind a blur it does so in a tensor of its own.  Where the kernels
 * allow it, a convolution with batch normalization goes through the batch in blocks.
 *
 * packed: what qd_convlike_need says.
 * turned: the weights for the gradient of the input.
 * saved:  [sums][statistics of batch normalization; in blocks also sums over gradients]
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

static bool fits_blocks(const struct qd_layer *l, const struct qd_grad_ops *g)
{
    const struct qd_convlike *v = l->priv;

    return v->bn && !v->blur.kind &&
           (v->act == QD_LINEAR || v->act == QD_LEAKY || v->act == QD_RELU) &&
           qd_block_fits(&v->g, v->kernel, g, l->in[0] >= 0);
}

static void need_blocks(struct qd_layer *l, const struct qd_grad_ops *g, struct qd_train_need *need)
{
    struct qd_convlike *v = l->priv;
    struct qd_convlike_train *t = &v->train;

    need->no_out = true;
    need->saved = qd_learn_sum(t->stats, qd_learn_block_floats(v->g.k));
    need->work = qd_block_work(&v->g, v->kernel, g);
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
    t->blocks = fits_blocks(l, g);
    if (t->blocks) {
        need_blocks(l, g, need);
        return;
    }
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

/* ---- in blocks ------------------------------------------------------------------------------- */

bool qd_convlike_blocks(const struct qd_layer *l)
{
    return ((const struct qd_convlike *)l->priv)->train.blocks;
}

const struct qd_lazy *qd_convlike_lazy(struct qd_layer *l, const struct qd_train_pass *p)
{
    struct qd_convlike *v = l->priv;
    struct qd_lazy *lazy = &v->train.lazy;
    float *stats = p->saved + v->train.stats;

    lazy->z = v->train.sums;
    qd_tensor_place(&lazy->z, p->saved);
    lazy->lines = qd_learn_block_lines(l, p, v->act, stats);
    lazy->sums = p->grads ? qd_learn_block_sums(l, stats) : NULL;
    lazy->summed = &v->train.summed;
    return lazy;
}

static struct qd_block block_of(const struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct qd_convlike *v = l->priv;

    return (struct qd_block){.g = &v->g,
        .kernel = v->kernel,
        .grad = p->grad,
        .in = p->in[0],
        .lazy = p->lazy,
        .packed = p->packed,
        .work = p->work};
}

static void block_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    struct qd_convlike *v = l->priv;
    const struct qd_block b = block_of(l, p);
    float *stats = p->saved + v->train.stats;
    const struct qd_bn_lines lines = qd_learn_block_lines(l, p, v->act, stats);
    struct qd_tensor sums = v->train.sums;

    qd_tensor_place(&sums, p->saved);
    v->train.summed = false;
    qd_learn_block_forward(l, p, &b, &sums, stats);
    if (!l->deferred)
        p->ops->norm(&sums, p->out, lines.gain, lines.add, v->act);
}

static void block_backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    struct qd_convlike *v = l->priv;
    struct qd_block b = block_of(l, p);
    float *stats = p->saved + v->train.stats;
    const struct qd_bn_lines lines = qd_learn_block_lines(l, p, v->act, stats);
    struct qd_tensor sums = v->train.sums;
    const struct qd_block_back back = {.lines = &lines,
        .z = &sums,
        .dy = p->dout,
        .dweight = qd_learn_grads(l, p, "weights"),
        .din = p->din[0],
        .fresh = p->fresh[0]};

    qd_tensor_place(&sums, p->saved);
    b.packed = p->turned;
    if (p->grads && !v->train.summed)
        qd_block_sums(&b, &lines, &sums, p->dout, qd_learn_block_sums(l, stats));
    v->train.summed = false;
    qd_learn_block_back(l, p, &sums, stats);
    qd_block_backward(&b, &back);
}

/* ---- as a whole ------------------------------------------------------------------------------ */

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

    if (v->train.blocks) {
        block_forward(l, p);
        return;
    }
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

    if (v->train.blocks) {
        block_backward(l, p);
        return;
    }
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
