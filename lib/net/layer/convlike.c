/* SPDX-License-Identifier: MIT */
/*
 * Running a convolution.  Batch normalization is folded into the weights and the bias when they
 * are packed; bias, activation and a fused tail (addition or pooling) are the kernel's epilogue;
 * activations that look at all channels of a pixel and the blur of antialiasing are passes of their
 * own.
 *
 * packed: [kernel's form of the weights][bias k][slope k][scale k], each a multiple of 16 floats.
 * The scale is used while packing only.
 */
#include "net/layer/convlike.h"

#include <math.h>

#include "base/error.h"
#include "net/graph.h"
#include "net/layer/cut.h"

/*
 * Weights take up any number of channels, so that those of input and output have nothing to do with
 * each other, but: a filter that sees one channel goes with it, as all filters on that channel do
 * (every group keeps its width), and groups of more channels stay equally wide on both sides.
 * Who shares weights has the same channels on both sides.
 */
void qd_convlike_channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct qd_convlike *v = l->priv;
    const struct qd_conv_geom *g = &v->g;

    for (int c = 0; v->single && c < g->k; c++)
        ch->tie(ch->ctx, qd_channel_out(l, c), qd_channel_in(l, 0, c / (g->k / g->groups)));
    if (!v->single) {
        qd_channels_groups(ch, l->in[0], g->c, g->groups);
        qd_channels_groups(ch, l->index, g->k, g->groups);
    }
    for (int c = 0; v->owner && c < g->k; c++)
        ch->tie(ch->ctx, qd_channel_out(l, c), qd_channel_out(v->owner, c));
    for (int c = 0; v->owner && c < g->c; c++)
        ch->tie(ch->ctx, qd_channel_in(l, 0, c), qd_channel_in(v->owner, 0, c));
    qd_channels_act(l, ch, v->act);
}

/* Weights are [filter][channel of its group][tap]; the rest has one value for each filter. */
void qd_convlike_slice(const struct qd_layer *l, const struct qd_layer *less,
    const struct qd_cut *cut, const float *from, float *to)
{
    const struct qd_convlike *v = l->priv;
    const struct qd_conv_geom *g = &v->g;
    const bool *in = qd_cut_of(cut, l->in[0]), *out = qd_cut_of(cut, l->index);
    int width = g->c / g->groups;
    size_t taps = (size_t)g->rh * (size_t)g->rw;

    for (int i = 0; !v->owner && i < l->nparams; i++) {
        const float *x = from + l->param[i].offset;
        float *at = to + less->param[i].offset;
        if (strcmp(l->param[i].name, "weights") != 0) {
            qd_cut_copy(x, at, out, g->k, 1);
            continue;
        }
        for (int k = 0; k < g->k; k++) {
            const bool *seen = in + k / (g->k / g->groups) * width;
            if (out[k])
                at = qd_cut_copy(x + (size_t)k * (size_t)width * taps, at, seen, width, taps);
        }
    }
}

/* What dead channels with these values add to filter k, before batch normalization. */
static double offset_of(
    const struct qd_convlike *v, const float *weights, int k, const float *value)
{
    const struct qd_conv_geom *g = &v->g;
    int width = g->c / g->groups, taps = g->rh * g->rw;
    const float *w = weights + (size_t)k * (size_t)width * (size_t)taps;
    double sum = 0;

    value += k / (g->k / g->groups) * width;
    for (int c = 0; c < width; c++, w += taps)
        for (int t = 0; value[c] != 0 && t < taps; t++)
            sum += (double)w[t] * (double)value[c];
    return sum;
}

static const char unlike[] = "the layer whose parameters it shares has another constant there";

/* Living filters get deaf to dead channels. */
static void deafen(const struct qd_layer *l, const struct qd_absorb *a, float *w)
{
    const struct qd_conv_geom *g = &((const struct qd_convlike *)l->priv)->g;
    const bool *in = qd_cut_of(a->cut, l->in[0]);
    int width = g->c / g->groups;
    size_t taps = (size_t)g->rh * (size_t)g->rw;

    for (int k = 0; k < g->k; k++)
        for (int c = 0; c < width; c++, w += taps)
            if (!in[k / (g->k / g->groups) * width + c])
                memset(w, 0, taps * sizeof(*w));
}

/* Who shares weights shares the mean or bias, too: it can take up what its owner takes up. */
static int same_constants(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct qd_convlike *v = l->priv;
    const float *in = qd_absorb_at(a, l->in[0]), *other = qd_absorb_at(a, v->owner->in[0]);

    for (int c = 0; c < v->g.c; c++)
        if (fabsf(in[c] - other[c]) > 1e-6f * fabsf(in[c]) &&
            qd_absorb_refuse(a, l, qd_channel_in(l, 0, c), unlike, err) < 0)
            return -1;
    return 0;
}

/* A dead filter gives act(bias); what reaches a living one goes into the mean or the bias. */
int qd_convlike_constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct qd_convlike *v = l->priv;
    const struct qd_param *weights = qd_layer_find_param(l, "weights");
    const struct qd_param *bias = qd_layer_find_param(l, "biases");
    const struct qd_param *scale = qd_layer_find_param(l, "scales");
    const struct qd_param *mean = qd_layer_find_param(l, "rolling_mean");
    const float *slope = qd_layer_values(l, a->from, "slopes");
    const bool *out = qd_cut_of(a->cut, l->index);
    const float *in = qd_absorb_at(a, l->in[0]);
    size_t each = weights->count / (size_t)v->g.k, at = (v->bn ? mean : bias)->offset;

    for (size_t k = 0; k < (size_t)v->g.k; k++) {
        double off = offset_of(v, a->from + weights->offset, (int)k, in);
        float moved = a->from[at + k]; /* nothing to add leaves also -0 as it is */
        if (off != 0)
            moved = (float)((double)moved + (v->bn ? -off : off));
        if (!out[k]) {
            qd_absorb_at(a, l->index)[k] =
                qd_act_ref(v->act, a->from[bias->offset + k], slope ? slope[k] : 0);
            a->to[bias->offset + k] = 0;
            if (scale)
                a->to[scale->offset + k] = 0;
            else
                memset(a->to + weights->offset + k * each, 0, each * sizeof(*a->to));
        } else if (!v->owner) {
            a->to[at + k] = moved;
        }
    }
    deafen(l, a, a->to + weights->offset);
    return v->owner ? same_constants(l, a, err) : 0;
}

uint64_t qd_convlike_macs(const struct qd_layer *l)
{
    const struct qd_convlike *v = l->priv;
    const struct qd_conv_geom *g = &v->g;

    return (uint64_t)g->oh * (uint64_t)g->ow * (uint64_t)g->k * (uint64_t)(g->c / g->groups) *
           (uint64_t)g->rh * (uint64_t)g->rw;
}

void qd_convlike_need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    struct qd_convlike *v = l->priv;
    size_t k = qd_round_up((size_t)v->g.k, 16);
    size_t work;

    v->g.n = n;
    v->kernel = qd_conv_find(ops, &v->g);
    v->bias = qd_round_up(v->kernel->packed(&v->g), 16);
    v->slope = v->bias + k;
    v->scale = v->slope + k;
    need->packed = v->scale + k;
    work = v->kernel->work ? v->kernel->work(&v->g, qd_threads()) : 0;
    if (v->blur.kind) {
        const int nhwc[4] = {n, v->g.oh, v->g.ow, v->g.k};
        qd_layer_blur_plan(&v->blur, nhwc);
        if (!qd_add_size(work, v->blur.floats, &work))
            work = SIZE_MAX;
    }
    need->work = work;
}

void qd_convlike_pack(
    struct qd_layer *l, const struct qd_ops *ops, const float *params, float *packed)
{
    const struct qd_convlike *v = l->priv;
    const float *weight = qd_layer_values(l, params, "weights");
    const float *bias = qd_layer_values(l, params, "biases");
    const float *slope = qd_layer_values(l, params, "slopes");
    size_t bytes = (size_t)v->g.k * sizeof(float);

    (void)ops;
    if (v->bn)
        qd_layer_fold_bn(l, params, packed + v->scale, packed + v->bias);
    else
        memcpy(packed + v->bias, bias, bytes);
    if (slope)
        memcpy(packed + v->slope, slope, bytes);
    v->kernel->pack(&v->g, weight, v->bn ? packed + v->scale : NULL, packed);
}

void qd_convlike_forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct qd_convlike *v = l->priv;
    bool apart = !p->raw && !qd_act_elementwise(v->act);
    bool within = !p->raw && !apart; /* the activation is the kernel's work */
    struct qd_epilogue ep = {.bias = p->packed + v->bias,
        .act = within ? v->act : QD_LINEAR,
        .slope = within && v->act == QD_PRELU ? p->packed + v->slope : NULL};
    struct qd_conv_job job = {
        .g = &v->g, .packed = p->packed, .in = p->in[0], .out = p->out, .ep = &ep, .work = p->work};
    struct qd_tensor sharp;

    if (p->fuse) {
        ep.pool = p->fuse->pool;
        ep.add = p->fuse->add >= 0 ? p->add : NULL;
        ep.add_act = p->fuse->act;
    }
    if (v->blur.kind) {
        sharp = qd_layer_blur_in(&v->blur, p->work);
        job.out = &sharp;
        job.work = p->work + v->blur.floats;
    }
    v->kernel->run(&job);
    if (apart)
        p->ops->act(job.out, job.out, v->act, NULL);
    if (v->blur.kind)
        qd_layer_blur_run(&v->blur, p->ops, &sharp, p->out);
}

bool qd_convlike_absorb(const struct qd_layer *l, const struct qd_ops *ops, const struct qd_fuse *f)
{
    const struct qd_convlike *v = l->priv;
    const struct qd_conv_kernel *kernel = qd_conv_find(ops, &v->g);

    if (v->blur.kind || !qd_act_elementwise(v->act))
        return false;
    if (f->pool)
        return f->add < 0 && kernel->can_pool && kernel->can_pool(&v->g);
    return f->add >= 0 && qd_act_elementwise(f->act) && f->act != QD_PRELU;
}
