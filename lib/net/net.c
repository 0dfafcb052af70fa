/* SPDX-License-Identifier: MIT */
/*
 * A net runs a model: its own graph at its own size, one block of activations laid out by the plan,
 * one block of packed parameters.  Everything is prepared when it is built; a forward pass walks
 * over the prepared steps and allocates nothing.
 */
#include "net/net.h"

#include <time.h>

#include "base/error.h"
#include "base/par.h"
#include "data/augment.h"
#include "image/image.h"
#include "image/resize.h"

enum { MAX_BATCH = 4096 };

/* Memory of packed parameters and scratch; each layer's share begins on a cache line. */
static int count_needs(struct qd_net *net, size_t *at, struct qd_error *err)
{
    for (int i = 0; i < net->graph->nlayers; i++) {
        struct qd_layer *l = &net->graph->layer[i];
        struct qd_need need = {0};
        if (l->type->need)
            l->type->need(l, net->ops, net->opts.batch, &need);
        at[i] = net->packed_floats;
        if (need.packed > SIZE_MAX / 8 || need.work > SIZE_MAX / 8 ||
            !qd_add_size(net->packed_floats, qd_round_up(need.packed, QD_ALIGN / sizeof(float)),
                &net->packed_floats))
            return qd_error_nomem(err, SIZE_MAX);
        net->work_floats = QD_MAX(net->work_floats, need.work);
    }
    return 0;
}

static int prepare_pass(struct qd_net *net, int i, const float *packed, struct qd_error *err)
{
    struct qd_plan *p = &net->plan;
    struct qd_layer *l = &net->graph->layer[i];
    const struct qd_step *s = &p->step[i];
    const struct qd_tensor **in = qd_arena_alloc(&net->arena, (size_t)l->nin, sizeof(*in), err);

    if (!in)
        return -1;
    for (int k = 0; k < l->nin; k++)
        in[k] = &p->value[l->in[k] + 1].t;
    net->pass[i] = (struct qd_pass){.ops = net->ops,
        .n = net->opts.batch,
        .in = in,
        .out = &p->value[s->out].t,
        .packed = packed,
        .work = net->work,
        .fuse = s->fused ? &s->fuse : NULL,
        .add = s->add >= 0 ? &p->value[s->add].t : NULL,
        .placed = s->placed};
    return 0;
}

/* Give back the parameters of a layer that has been packed. */
static void release_params(struct qd_net *net, const struct qd_layer *l)
{
    for (int k = 0; k < l->nparams; k++)
        qd_release(net->taken->params + l->param[k].offset, l->param[k].count * sizeof(float));
}

static bool shares_params(const struct qd_graph *g)
{
    for (int i = 0; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nparams; k++)
            if (g->layer[i].param[k].flags & QD_PARAM_SHARED)
                return true;
    return false;
}

static int build(struct qd_net *net, struct qd_error *err)
{
    const struct qd_graph *g = net->graph;
    size_t n = (size_t)g->nlayers;
    size_t *at = qd_arena_alloc(&net->arena, n, sizeof(*at), err);

    net->pass = qd_arena_alloc(&net->arena, n, sizeof(*net->pass), err);
    net->ms = qd_arena_alloc(&net->arena, n, sizeof(*net->ms), err);
    net->slot = qd_arena_alloc(&net->arena, (size_t)net->opts.batch, sizeof(*net->slot), err);
    if (!at || !net->pass || !net->ms || !net->slot ||
        qd_plan_make(&net->plan, net->graph, net->ops, net->opts.batch, net->opts.keep_all,
            &net->arena, err) < 0 ||
        count_needs(net, at, err) < 0)
        return -1;
    net->act = qd_alloc(net->plan.floats, sizeof(float), err);
    if (!net->act)
        return -1;
    /* not zeroed here: pages appear as they are packed, while the model's are given back */
    net->packed = qd_alloc_raw(net->packed_floats, sizeof(float), err);
    if (!net->packed)
        return -1;
    net->work = qd_alloc(net->work_floats + QD_SLACK, sizeof(float), err);
    if (!net->work)
        return -1;
    qd_plan_place(&net->plan, net->act);
    bool release = net->taken && !shares_params(g);
    for (int i = 0; i < g->nlayers; i++) {
        if (prepare_pass(net, i, net->packed + at[i], err) < 0)
            return -1;
        qd_net_pack_layer(net, i, net->model->params);
        if (release)
            release_params(net, &g->layer[i]);
    }
    return 0;
}

static int check_opts(struct qd_net *net, struct qd_error *err)
{
    struct qd_net_opts *o = &net->opts;

    if (!o->batch)
        o->batch = 1;
    if (o->batch < 1 || o->batch > MAX_BATCH || o->w < 0 || o->h < 0)
        return qd_error_set(
            err, QD_EARG, "batch must be 1 to %d and sizes must not be negative", MAX_BATCH);
    return 0;
}

/* The graph at the net's own size; it must have the model's parameters. */
static int make_graph(struct qd_net *net, struct qd_error *err)
{
    const struct qd_graph *mg = net->model->graph;
    int h = net->opts.h ? net->opts.h : mg->h, w = net->opts.w ? net->opts.w : mg->w;

    net->graph = qd_graph_new(net->model->cfg, h, w, true, err);
    if (!net->graph)
        return -1;
    if (net->graph->nparams != mg->nparams)
        return qd_error_at(err, QD_EARG, qd_cfg_name(mg->cfg), 0,
            "the model cannot run at %d x %d: the number of its parameters depends on the size", w,
            h);
    return 0;
}

static struct qd_net *make(const struct qd_model *m, struct qd_model *taken,
    const struct qd_net_opts *opts, struct qd_error *err)
{
    struct qd_net *net = qd_alloc(1, sizeof(*net), err);

    if (!net) {
        qd_model_free(taken);
        return NULL;
    }
    net->model = m;
    net->taken = taken;
    net->threads = qd_threads();
    if (opts)
        net->opts = *opts;
    net->ops = qd_ops_get(err);
    if (!net->ops || check_opts(net, err) < 0 || make_graph(net, err) < 0 || build(net, err) < 0) {
        qd_net_free(net);
        return NULL;
    }
    return net;
}

struct qd_net *qd_net_new(
    const struct qd_model *m, const struct qd_net_opts *opts, struct qd_error *err)
{
    return make(m, NULL, opts, err);
}

struct qd_net *qd_net_take(struct qd_model *m, const struct qd_net_opts *opts, struct qd_error *err)
{
    return make(m, m, opts, err);
}

const struct qd_model *qd_net_model(const struct qd_net *net)
{
    return net->model;
}

void qd_net_free(struct qd_net *net)
{
    if (!net)
        return;
    qd_graph_free(net->graph);
    qd_model_free(net->taken);
    qd_free(net->act);
    qd_free(net->packed);
    qd_free(net->work);
    qd_arena_free(&net->arena);
    qd_free(net);
}

void qd_net_size(const struct qd_net *net, int *h, int *w, int *c)
{
    *h = net->graph->h;
    *w = net->graph->w;
    *c = net->graph->c;
}

void qd_net_memory(const struct qd_net *net, size_t *activations, size_t *packed)
{
    *activations = (net->plan.floats + net->work_floats) * sizeof(float);
    *packed = net->packed_floats * sizeof(float);
}

/* ---- running --------------------------------------------------------------------------------- */

const struct qd_tensor *qd_net_tensor(const struct qd_net *net, int layer)
{
    return &net->plan.value[layer + 1].t;
}

void qd_net_pack_layer(struct qd_net *net, int layer, const float *params)
{
    struct qd_layer *l = &net->graph->layer[layer];

    if (l->type->pack) {
        /* pass.packed points into net->packed, which is ours to write */
        size_t at = (size_t)(net->pass[layer].packed - net->packed);
        l->type->pack(l, net->ops, params, net->packed + at);
    }
}

/* The borders that shared memory has dirtied since the last pass, before the first writer runs. */
static void clean_border(const struct qd_net *net, int value, int step)
{
    const struct qd_value *v = &net->plan.value[value];

    while (v->parent != value) {
        value = v->parent;
        v = &net->plan.value[value];
    }
    if (v->border && !v->alone && v->first == step)
        qd_tensor_zero_border(&v->t);
}

void qd_net_run_layer(struct qd_net *net, int layer, bool raw)
{
    const struct qd_step *s = &net->plan.step[layer];
    struct qd_layer *l = &net->graph->layer[layer];

    if (s->layer < 0 || !l->type->forward || l->place == QD_PLACE_ALIAS ||
        l->place == QD_PLACE_SLICE)
        return;
    clean_border(net, s->out, layer);
    net->pass[layer].raw = raw;
    int limit = qd_par_limit(net->threads);
    l->type->forward(l, &net->pass[layer]);
    qd_par_limit(limit);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

void qd_net_forward(struct qd_net *net)
{
    if (!net->opts.timing) {
        for (int i = 0; i < net->graph->nlayers; i++)
            qd_net_run_layer(net, i, false);
        return;
    }
    double t = now_ms();
    for (int i = 0; i < net->graph->nlayers; i++) {
        qd_net_run_layer(net, i, false);
        double end = now_ms();
        net->ms[i] = end - t;
        t = end;
    }
}

double qd_net_layer_ms(const struct qd_net *net, int layer)
{
    return net->ms[layer];
}

uint64_t qd_net_layer_macs(const struct qd_net *net, int layer)
{
    const struct qd_layer *l = &net->graph->layer[layer];

    return l->type->macs ? l->type->macs(l) : 0;
}

/* ---- in and out ------------------------------------------------------------------------------ */

void qd_net_set_resampler(struct qd_net *net, enum qd_resampler r)
{
    net->resampler = r;
}

void qd_net_set_planar(struct qd_net *net, int index, const float *planar)
{
    net->slot[index] = (struct qd_slot){.w = net->graph->w, .h = net->graph->h};
    qd_tensor_from_planar(qd_net_tensor(net, -1), index, planar);
}

/* As classifiers are evaluated (spec darknet.md 5.7). */
static int crop_into(const struct qd_image *img, const struct qd_pixels *dst, struct qd_error *err)
{
    struct qd_augment_opts opts = QD_AUGMENT_OPTS_INIT;
    struct qd_source src = {.img = img, .w = img->w, .h = img->h};
    struct qd_augment_job job = {.opts = &opts, .src = &src, .dst = *dst};
    struct qd_image *same = NULL;

    opts.kind = QD_AUGMENT_CENTRE;
    if (img->c != dst->c) { /* a converted copy */
        same = qd_image_new(img->w, img->h, img->c, err);
        if (!same)
            return -1;
        memcpy(same->data, img->data, (size_t)img->w * (size_t)img->h * (size_t)img->c);
        if (!(same = qd_image_convert(same, dst->c, err)))
            return -1;
        src.img = same;
    }
    int ret = qd_augment(&job, err);
    qd_image_free(same);
    return ret;
}

int qd_net_set_image(struct qd_net *net, int index, const struct qd_image *img, enum qd_fit fit,
    struct qd_error *err)
{
    const struct qd_tensor *in = qd_net_tensor(net, -1);
    bool letterbox = fit == QD_FIT_LETTERBOX || (fit == QD_FIT_MODEL && net->graph->letter_box);

    if (index < 0 || index >= net->opts.batch)
        return qd_error_set(err, QD_EARG, "no slot %d in a batch of %d", index, net->opts.batch);
    if (in->c != 1 && in->c != 3)
        return qd_error_set(
            err, QD_EUNSUP, "the net has %d input channels, an image gives 1 or 3", in->c);
    struct qd_pixels dst = {.data = qd_at(in, index, 0, 0),
        .w = in->w,
        .h = in->h,
        .c = in->c,
        .pixel_stride = (size_t)in->ps,
        .row_stride = in->rs};
    if (fit == QD_FIT_CROP) {
        if (crop_into(img, &dst, err) < 0)
            return -1;
    } else if ((letterbox ? qd_letterbox_into : qd_resize_into)(img, net->resampler, &dst, err) <
               0) {
        return -1;
    }
    net->slot[index] = (struct qd_slot){.w = img->w, .h = img->h, .letterbox = letterbox};
    return 0;
}

int qd_net_output(
    const struct qd_net *net, int layer, int index, float *planar, struct qd_error *err)
{
    if (layer < 0 || layer >= net->graph->nlayers || index < 0 || index >= net->opts.batch)
        return qd_error_set(err, QD_EARG, "no layer %d or no image %d", layer, index);
    const struct qd_value *v = &net->plan.value[layer + 1];
    if (!v->kept && !net->opts.keep_all)
        return qd_error_set(
            err, QD_EARG, "the output of layer %d is not kept (keep_all is off)", layer);
    qd_tensor_to_planar(&v->t, index, planar);
    return 0;
}
