/* SPDX-License-Identifier: MIT */
/*
 * Training passes.  Values lie as the inference plan lays them out, without reuse.  Gradients have
 * the same views (the gradient of a concatenation holds those of its sources), and their buffers
 * are reused by lifetime: a gradient is born when the last reader of its value runs backward and
 * dies when the producer has.
 */
#include "net/train_net.h"

#include <limits.h>
#include <time.h>

#include "base/error.h"
#include "base/par.h"

struct tstep {
    struct qd_train_pass pass;
    bool runs;    /* backward has something to do here */
    bool wanted;  /* the gradient of this layer's output is wanted */
    int born[8];  /* gradient roots to prepare before backward of this layer, -1 ends */
    bool zero[8]; /* all of them, else only the border */
    double ms[2]; /* of the last passes, forward and backward, with timing */
};

struct qd_train_net {
    struct qd_model *model; /* borrowed; its parameters learn */
    struct qd_graph *graph;
    const struct qd_ops *ops;
    const struct qd_grad_ops *grad;
    struct qd_train_net_opts opts;
    struct qd_arena arena;
    struct qd_plan plan, gplan; /* of values, of gradients */
    struct tstep *step;
    bool *loss; /* [nlayers] a loss writes the gradient */
    float *act, *gact, *packed, *saved, *work, *grads;
    size_t packed_floats, saved_floats, work_floats;
    bool stale;  /* parameters changed since they were packed */
    int threads; /* that the scratch memory is for */
};

/* ---- what is wanted -------------------------------------------------------------------------- */

/* A layer is frozen as well when it shares the parameters of one that is. */
static bool is_frozen(const struct qd_train_net *t, const struct qd_layer *l)
{
    size_t end = 0; /* of what frozen layers own */

    for (int i = 0; i < QD_MIN(t->opts.frozen, t->graph->nlayers); i++)
        for (int k = 0; k < t->graph->layer[i].nparams; k++) {
            const struct qd_param *p = &t->graph->layer[i].param[k];
            end = QD_MAX(end, p->offset + p->count);
        }
    return l->index < t->opts.frozen || (l->nparams && l->param[0].offset < end);
}

static bool learns(const struct qd_train_net *t, const struct qd_layer *l)
{
    if (is_frozen(t, l))
        return false;
    for (int k = 0; k < l->nparams; k++)
        if (!(l->param[k].flags & QD_PARAM_STAT))
            return true;
    return false;
}

static void find_wanted(struct qd_train_net *t)
{
    for (int i = 0; i < t->graph->nlayers; i++) {
        const struct qd_layer *l = &t->graph->layer[i];
        bool w = learns(t, l);
        for (int k = 0; k < l->nin; k++)
            w = w || (l->in[k] >= 0 && t->step[l->in[k]].wanted);
        t->step[i].wanted = w;
    }
}

static int check_backward(const struct qd_train_net *t, struct qd_error *err)
{
    for (int i = 0; i < t->graph->nlayers; i++) {
        const struct qd_layer *l = &t->graph->layer[i];
        bool view = l->place == QD_PLACE_ALIAS || l->place == QD_PLACE_SLICE;
        if (t->step[i].wanted && !view && !l->type->backward)
            return qd_error_at(err, QD_EUNSUP, qd_cfg_name(t->model->cfg), l->line,
                "[%s] cannot be trained", l->type->section);
    }
    return 0;
}

/* ---- gradients ------------------------------------------------------------------------------- */

/* Backward time of layer i: the last layer runs first. */
static int when(const struct qd_train_net *t, int i)
{
    return t->graph->nlayers - 1 - i;
}

/* Let gradient root r be prepared before backward of layer i. */
static int bear(struct qd_train_net *t, int i, int r, bool zero, struct qd_error *err)
{
    struct tstep *s = &t->step[i];

    for (size_t k = 0; k < QD_LEN(s->born); k++)
        if (s->born[k] < 0) {
            s->born[k] = r;
            s->zero[k] = zero;
            t->gplan.value[r].first = when(t, i);
            return 0;
        }
    return qd_error_at(err, QD_EUNSUP, qd_cfg_name(t->model->cfg), t->graph->layer[i].line,
        "too many sources to train through");
}

/* Whether value v is all of its root. */
static bool whole(const struct qd_train_net *t, int v)
{
    int from, r = qd_plan_root(&t->gplan, v, &from);

    return from == 0 && t->graph->layer[r - 1].c == t->graph->layer[v - 1].c;
}

/* Walk in the order of backward and see who is the first to touch each gradient. */
static int walk_layer(struct qd_train_net *t, int i, bool *alive, struct qd_error *err)
{
    struct qd_layer *l = &t->graph->layer[i];
    struct tstep *s = &t->step[i];
    bool *fresh = qd_arena_alloc(&t->arena, (size_t)l->nin, sizeof(bool), err);
    int own = qd_plan_root(&t->gplan, i + 1, NULL);

    if (!fresh)
        return -1;
    s->pass.fresh = fresh;
    if (t->loss[i] && s->wanted) {
        if (alive[own] || !whole(t, i + 1))
            return qd_error_at(err, QD_EUNSUP, qd_cfg_name(t->model->cfg), l->line,
                "[%s] cannot have a loss: its input is also read by another layer",
                l->type->section);
        if (bear(t, i, own, false, err) < 0)
            return -1;
        t->gplan.value[own].first = -1; /* written before backward begins */
        alive[own] = true;
    }
    s->runs = s->wanted && alive[own];
    if (!s->runs)
        return 0;
    t->gplan.value[own].last = QD_MAX(t->gplan.value[own].last, when(t, i));
    for (int k = 0; k < l->nin; k++) {
        int v = l->in[k] + 1, r = v ? qd_plan_root(&t->gplan, v, NULL) : 0;
        if (!v || !t->step[v - 1].wanted || alive[r])
            continue;
        fresh[k] = whole(t, v);
        if (bear(t, i, r, !fresh[k], err) < 0)
            return -1;
        t->gplan.value[r].last = when(t, i);
        alive[r] = true;
    }
    return 0;
}

static int plan_gradients(struct qd_train_net *t, int *list, struct qd_error *err)
{
    struct qd_plan *g = &t->gplan;
    size_t n = (size_t)t->plan.nvalues;
    bool *alive = qd_arena_alloc(&t->arena, n, sizeof(bool), err);

    *g = t->plan;
    g->floats = 0;
    g->value = qd_arena_alloc(&t->arena, n, sizeof(*g->value), err);
    if (!g->value || !alive)
        return -1;
    for (size_t v = 0; v < n; v++)
        g->value[v] = (struct qd_value){.parent = t->plan.value[v].parent,
            .from = t->plan.value[v].from,
            .first = INT_MAX,
            .last = -1,
            .t.c = v ? t->graph->layer[v - 1].c : 0};
    for (int i = t->graph->nlayers - 1; i >= 0; i--)
        if (walk_layer(t, i, alive, err) < 0)
            return -1;
    for (int i = 0; i < t->graph->nlayers; i++) {
        struct qd_train_need need = {0};
        struct qd_layer *l = &t->graph->layer[i];
        struct qd_value *r = &g->value[qd_plan_root(g, i + 1, NULL)];
        if (l->type->train_need)
            l->type->train_need(l, t->grad, t->opts.batch, &need);
        r->border = QD_MAX(r->border, need.border);
    }
    return qd_plan_allocate(g, t->graph, list, err);
}

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
        t->step = qd_arena_alloc(&t->arena, (size_t)t->graph->nlayers, sizeof(*t->step), err);
    }
    if (!t->graph || !t->loss || !t->step)
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

/* Needs of all layers; the offsets of their shares go to at[2 * i] (packed) and at[2 * i + 1]. */
static int count_needs(struct qd_train_net *t, size_t *at, struct qd_error *err)
{
    const size_t unit = QD_ALIGN / sizeof(float);

    for (int i = 0; i < t->graph->nlayers; i++) {
        struct qd_train_need need = {0};
        struct qd_layer *l = &t->graph->layer[i];
        if (l->type->train_need)
            l->type->train_need(l, t->grad, t->opts.batch, &need);
        at[2 * i] = t->packed_floats;
        at[2 * i + 1] = t->saved_floats;
        if (need.packed > SIZE_MAX / 8 || need.saved > SIZE_MAX / 8 || need.work > SIZE_MAX / 8 ||
            !qd_add_size(t->packed_floats, qd_round_up(need.packed, unit), &t->packed_floats) ||
            !qd_add_size(t->saved_floats, qd_round_up(need.saved, unit), &t->saved_floats))
            return qd_error_nomem(err, SIZE_MAX);
        t->work_floats = QD_MAX(t->work_floats, need.work);
    }
    return 0;
}

static int prepare_pass(struct qd_train_net *t, int i, const size_t at[2], struct qd_error *err)
{
    struct qd_layer *l = &t->graph->layer[i];
    struct tstep *s = &t->step[i];
    size_t n = (size_t)l->nin;
    const struct qd_tensor **in = qd_arena_alloc(&t->arena, n, sizeof(*in), err);
    const struct qd_tensor **din = qd_arena_alloc(&t->arena, n, sizeof(*din), err);

    if (!in || !din)
        return -1;
    for (int k = 0; k < l->nin; k++) {
        int v = l->in[k] + 1;
        in[k] = &t->plan.value[v].t;
        din[k] = v && t->step[v - 1].wanted ? &t->gplan.value[v].t : NULL;
    }
    const bool *fresh = s->pass.fresh;
    s->pass = (struct qd_train_pass){.ops = t->ops,
        .grad = t->grad,
        .n = t->opts.batch,
        .in = in,
        .out = &t->plan.value[i + 1].t,
        .dout = &t->gplan.value[i + 1].t,
        .din = din,
        .fresh = fresh,
        .placed = t->plan.step[i].placed,
        .params = t->model->params,
        .grads = is_frozen(t, l) ? NULL : t->grads,
        .packed = t->packed + at[0],
        .saved = t->saved + at[1],
        .work = t->work,
        .bn_momentum = t->opts.bn_momentum};
    return 0;
}

static int allocate_blocks(struct qd_train_net *t, struct qd_error *err)
{
    struct {
        float **block;
        size_t floats;
    } want[] = {{&t->act, t->plan.floats}, {&t->gact, t->gplan.floats},
        {&t->packed, t->packed_floats}, {&t->saved, t->saved_floats + QD_SLACK},
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
    size_t n = (size_t)t->graph->nlayers;
    int *list = qd_arena_alloc(&t->arena, 2 * (n + 1), sizeof(int), err);
    size_t *at = qd_arena_alloc(&t->arena, 2 * n, sizeof(*at), err);

    if (!list || !at)
        return -1;
    t->threads = qd_threads();
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < QD_LEN(t->step[i].born); k++)
            t->step[i].born[k] = -1;
    find_wanted(t);
    if (check_backward(t, err) < 0 ||
        qd_plan_make(&t->plan, t->graph, t->ops, t->opts.batch, true, &t->arena, err) < 0 ||
        plan_gradients(t, list, err) < 0 || count_needs(t, at, err) < 0 ||
        allocate_blocks(t, err) < 0)
        return -1;
    qd_plan_place(&t->plan, t->act);
    qd_plan_place(&t->gplan, t->gact);
    for (int i = 0; i < t->graph->nlayers; i++)
        if (prepare_pass(t, i, &at[2 * i], err) < 0)
            return -1;
    t->stale = true;
    return 0;
}

void qd_train_net_free(struct qd_train_net *t)
{
    if (!t)
        return;
    float *blocks[] = {t->act, t->gact, t->packed, t->saved, t->work, t->grads};
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
    return layer >= 0 && t->step[layer].wanted ? &t->gplan.value[layer + 1].t : NULL;
}

float *qd_train_net_grads(struct qd_train_net *t)
{
    return t->grads;
}

size_t qd_train_net_bytes(const struct qd_train_net *t)
{
    return sizeof(float) * (t->plan.floats + t->gplan.floats + t->packed_floats + t->saved_floats +
                               t->work_floats + t->graph->nparams);
}

/* ---- running --------------------------------------------------------------------------------- */

void qd_train_net_updated(struct qd_train_net *t)
{
    t->stale = true;
}

static bool is_view(const struct qd_layer *l)
{
    return l->place == QD_PLACE_ALIAS || l->place == QD_PLACE_SLICE;
}

static void forward_layer(struct qd_train_net *t, int i, uint64_t seed)
{
    struct qd_layer *l = &t->graph->layer[i];
    struct qd_train_pass *p = &t->step[i].pass;

    p->seed = seed + (uint64_t)i * 0x9e3779b97f4a7c15u;
    if (l->type->train_forward) {
        l->type->train_forward(l, p);
    } else if (l->type->forward && !is_view(l)) {
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
    *forward = t->step[layer].ms[0];
    *backward = t->step[layer].ms[1];
}

void qd_train_net_forward(struct qd_train_net *t, uint64_t seed)
{
    int limit = qd_par_limit(t->threads);

    for (int i = 0; t->stale && i < t->graph->nlayers; i++) {
        struct qd_layer *l = &t->graph->layer[i];
        if (l->type->train_pack)
            l->type->train_pack(l, t->grad, t->model->params, t->step[i].pass.packed);
    }
    t->stale = false;
    for (int i = 0; i < t->graph->nlayers; i++) {
        double begin = now_ms(t);
        forward_layer(t, i, seed);
        t->step[i].ms[0] = now_ms(t) - begin;
    }
    qd_par_limit(limit);
}

static void zero_tensor(const struct qd_tensor *g)
{
    for (int n = 0; n < g->n; n++)
        for (int y = 0; y < g->h; y++)
            memset(qd_at(g, n, y, 0), 0, (size_t)g->w * (size_t)g->ps * sizeof(float));
}

/* Gradients that begin to live at this layer: clean the border, and the inside where the first
 * writer does not cover it. */
static void prepare_gradients(struct qd_train_net *t, const struct tstep *s)
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
        struct qd_layer *l = &t->graph->layer[i];
        struct tstep *s = &t->step[i];
        double begin = now_ms(t);
        prepare_gradients(t, s);
        if (s->runs && l->type->backward)
            l->type->backward(l, &s->pass);
        s->ms[1] = now_ms(t) - begin;
    }
    qd_par_limit(limit);
}
