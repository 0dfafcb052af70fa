/* SPDX-License-Identifier: MIT */
/*
 * Training passes: building the net, forward, backward.  Where everything lies is decided in
 * train_plan.c.
 */
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/par.h"
#include "net/train_plan.h"

/* ---- building -------------------------------------------------------------------------------- */

struct qd_train_net *qd_train_net_new(
    struct qd_model *m, const struct qd_train_net_opts *opts, struct qd_error *err)
{
    struct qd_train_net *t = qd_alloc(1, sizeof(*t), err);
    const struct qd_ops *ops = t ? qd_ops_get(err) : NULL;

    if (!ops) {
        qd_free(t);
        return NULL;
    }
    t->model = m;
    t->opts = *opts;
    t->ops = ops;
    t->grad = qd_grad_ops_of(ops);
    t->graph = qd_graph_new(
        m->cfg, opts->h ? opts->h : m->graph->h, opts->w ? opts->w : m->graph->w, true, err);
    if (t->graph) {
        t->loss = qd_arena_alloc(&t->arena, (size_t)t->graph->nlayers, sizeof(bool), err);
        t->part = qd_arena_alloc(&t->arena, (size_t)t->graph->nlayers, sizeof(*t->part), err);
    }
    if (!t->graph || !t->loss || !t->part)
        goto fail;
    if (t->graph->nparams != m->graph->nparams || opts->batch < 1) {
        qd_error_set(err, QD_EARG,
            opts->batch < 1 ? "a batch needs at least one image"
                            : "the parameters depend on the input size");
        goto fail;
    }
    return t;
fail:
    qd_train_net_free(t);
    return NULL;
}

int qd_train_net_loss_at(struct qd_train_net *t, int layer, struct qd_error *err)
{
    if (layer < 0 || layer >= t->graph->nlayers)
        return qd_error_set(err, QD_EARG, "no layer %d", layer);
    t->loss[layer] = true;
    return 0;
}

static int prepare_pass(struct qd_train_net *t, int i, struct qd_error *err)
{
    struct qd_layer *l = &t->graph->layer[i];
    struct qd_train_part *s = &t->part[i];
    size_t n = (size_t)l->nin;
    const struct qd_tensor **in = qd_arena_alloc(&t->arena, n, sizeof(*in), err);
    const struct qd_tensor **din = qd_arena_alloc(&t->arena, n, sizeof(*din), err);

    if (!in || !din)
        return -1;
    for (int k = 0; k < l->nin; k++) {
        int v = l->in[k] + 1;
        in[k] = &t->plan.value[v].t;
        din[k] = v && t->part[v - 1].wanted ? &t->gplan.value[v].t : NULL;
    }
    const struct qd_lazy *lazy = NULL;
    if (l->nin && l->in[0] >= 0 && t->graph->layer[l->in[0]].deferred) {
        struct qd_layer *from = &t->graph->layer[l->in[0]];
        lazy = from->type->train_lazy(from, &t->part[from->index].pass);
    }
    s->pass = (struct qd_train_pass){.ops = t->ops,
        .grad = t->grad,
        .n = t->opts.batch,
        .in = in,
        .out = &t->plan.value[i + 1].t,
        .dout = &t->gplan.value[i + 1].t,
        .din = din,
        .fresh = s->pass.fresh,
        .untouched = s->pass.untouched,
        .lazy = lazy,
        .placed = t->plan.step[i].placed,
        .params = t->model->params,
        .grads = qd_train_frozen(t, l) ? NULL : t->grads,
        .packed = t->packed + s->packed,
        .turned = t->packed + s->turned,
        .saved = t->block + s->saved,
        .work = t->work,
        .bn_momentum = t->opts.bn_momentum};
    return 0;
}

/* A sum of blocks may be more than there is although none of them is: say so now. */
static int check_memory(const struct qd_train_net *t, struct qd_error *err)
{
    size_t have = qd_memory(), bytes = qd_train_net_bytes(t);

    if (!have || bytes <= have)
        return 0;
    return qd_error_set(err, QD_ENOMEM,
        "a pass of %d images needs %.1f GB of memory, there are %.1f: take fewer at a time, or a "
        "smaller input",
        t->opts.batch, (double)bytes / 1e9, (double)have / 1e9);
}

static int allocate_blocks(struct qd_train_net *t, struct qd_error *err)
{
    struct {
        float **block;
        size_t floats;
    } want[] = {{&t->block, t->block_floats}, {&t->packed, t->packed_floats},
        {&t->work, t->work_floats + QD_SLACK}, {&t->grads, t->graph->nparams}};

    for (size_t k = 0; k < QD_LEN(want); k++) {
        *want[k].block = qd_alloc(want[k].floats, sizeof(float), err);
        if (!*want[k].block)
            return -1;
    }
    return 0;
}

int qd_train_net_ready(struct qd_train_net *t, struct qd_error *err)
{
    t->threads = qd_threads();
    if (qd_train_plan(t, err) < 0 || check_memory(t, err) < 0 || allocate_blocks(t, err) < 0)
        return -1;
    qd_plan_place(&t->plan, t->block);
    qd_plan_place(&t->gplan, t->block);
    for (int i = 0; i < t->graph->nlayers; i++)
        if (prepare_pass(t, i, err) < 0)
            return -1;
    t->stale = true;
    return 0;
}

void qd_train_net_free(struct qd_train_net *t)
{
    if (!t)
        return;
    float *blocks[] = {t->block, t->packed, t->work, t->grads};
    for (size_t k = 0; k < QD_LEN(blocks); k++)
        qd_free(blocks[k]);
    qd_graph_free(t->graph);
    qd_arena_free(&t->arena);
    qd_free(t);
}

/* ---- looking at it --------------------------------------------------------------------------- */

const struct qd_graph *qd_train_net_graph(const struct qd_train_net *t)
{
    return t->graph;
}

const struct qd_tensor *qd_train_net_value(const struct qd_train_net *t, int layer)
{
    return &t->plan.value[layer + 1].t;
}

const struct qd_tensor *qd_train_net_gradient(const struct qd_train_net *t, int layer)
{
    return layer >= 0 && t->part[layer].wanted ? &t->gplan.value[layer + 1].t : NULL;
}

float *qd_train_net_grads(struct qd_train_net *t)
{
    return t->grads;
}

size_t qd_train_net_bytes(const struct qd_train_net *t)
{
    return sizeof(float) *
           (t->block_floats + t->packed_floats + t->work_floats + t->graph->nparams);
}

bool qd_train_net_holds(const struct qd_train_net *t, int layer)
{
    return !(layer >= 0 && t->graph->layer[layer].deferred) &&
           t->plan.value[qd_plan_root(&t->plan, layer + 1, NULL)].last >= t->graph->nlayers;
}

/* ---- running --------------------------------------------------------------------------------- */

void qd_train_net_updated(struct qd_train_net *t)
{
    t->stale = true;
}

void qd_train_net_momentum(struct qd_train_net *t, int layer, float momentum)
{
    t->part[layer].pass.bn_momentum = momentum;
}

/* A border that something else lay over since the last pass. */
static void clean_border(struct qd_train_net *t, int i)
{
    const struct qd_value *v = &t->plan.value[qd_plan_root(&t->plan, i + 1, NULL)];

    if (v->border && !v->alone && v->first == i)
        qd_tensor_zero_border(&v->t);
}

static void pack(struct qd_train_net *t, int i)
{
    struct qd_layer *l = &t->graph->layer[i];

    if (l->type->train_pack && t->part[i].need.packed)
        l->type->train_pack(l, t->grad, t->model->params, t->part[i].pass.packed);
}

static void turn(struct qd_train_net *t, int i)
{
    struct qd_layer *l = &t->graph->layer[i];

    if (t->part[i].need.turned)
        l->type->train_turn(l, t->grad, t->model->params, t->part[i].pass.turned);
}

static void pack_all(struct qd_train_net *t)
{
    for (int i = 0; i < t->graph->nlayers; i++) {
        pack(t, i);
        turn(t, i);
    }
    t->stale = false;
}

static void forward_layer(struct qd_train_net *t, int i, uint64_t seed)
{
    struct qd_layer *l = &t->graph->layer[i];
    struct qd_train_pass *p = &t->part[i].pass;

    clean_border(t, i);
    if (t->opts.repack)
        pack(t, i);
    p->seed = seed + (uint64_t)i * 0x9e3779b97f4a7c15u;
    if (l->type->train_forward) {
        l->type->train_forward(l, p);
    } else if (l->type->forward && !qd_train_is_view(l)) {
        struct qd_pass f = {.ops = t->ops,
            .n = p->n,
            .in = p->in,
            .out = p->out,
            .packed = p->packed,
            .work = p->work,
            .placed = p->placed};
        l->type->forward(l, &f);
    }
}

static double now_ms(const struct qd_train_net *t)
{
    struct timespec c;

    if (!t->opts.timing)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &c);
    return (double)c.tv_sec * 1e3 + (double)c.tv_nsec * 1e-6;
}

void qd_train_net_layer_ms(
    const struct qd_train_net *t, int layer, double *forward, double *backward)
{
    *forward = t->part[layer].ms[0];
    *backward = t->part[layer].ms[1];
}

void qd_train_net_forward(struct qd_train_net *t, uint64_t seed)
{
    int limit = qd_par_limit(t->threads);

    if (t->stale && !t->opts.repack)
        pack_all(t);
    for (int i = 0; i < t->graph->nlayers; i++) {
        double begin = now_ms(t);
        forward_layer(t, i, seed);
        t->part[i].ms[0] = now_ms(t) - begin;
    }
    qd_par_limit(limit);
}

static void backward_layer(struct qd_train_net *t, int i)
{
    struct qd_layer *l = &t->graph->layer[i];

    if (!t->part[i].runs || !l->type->backward)
        return;
    if (t->opts.repack && l->type->train_turn)
        turn(t, i);
    else if (t->opts.repack)
        pack(t, i);
    l->type->backward(l, &t->part[i].pass);
}

static void zero_tensor(const struct qd_tensor *g)
{
    for (int n = 0; n < g->n; n++)
        for (int y = 0; y < g->h; y++)
            memset(qd_at(g, n, y, 0), 0, (size_t)g->w * (size_t)g->ps * sizeof(float));
}

/* Gradients that begin to live at this layer: clean the border, and the inside where the first
 * writer does not cover it. */
static void prepare_gradients(struct qd_train_net *t, const struct qd_train_part *s)
{
    for (size_t k = 0; k < QD_LEN(s->born) && s->born[k] >= 0; k++) {
        const struct qd_tensor *g = &t->gplan.value[s->born[k]].t;
        qd_tensor_zero_border(g);
        if (s->zero[k])
            zero_tensor(g);
    }
}

void qd_train_net_backward(struct qd_train_net *t)
{
    int limit = qd_par_limit(t->threads);

    for (int i = t->graph->nlayers - 1; i >= 0; i--) {
        double begin = now_ms(t);
        prepare_gradients(t, &t->part[i]);
        backward_layer(t, i);
        t->part[i].ms[1] = now_ms(t) - begin;
    }
    qd_par_limit(limit);
}
