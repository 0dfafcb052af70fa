/* SPDX-License-Identifier: MIT */
/*
 * The memory of a net that learns.  Time goes from forward of the first layer over the losses to
 * backward of the first layer.  A value lives as long as it is read: in forward, by the loss, by
 * backward of its readers and of its own layer, which say what they need.  What a layer saves lives
 * from its forward to its backward.  A gradient has the same views as its value (that of a
 * concatenation holds those of its sources), is born when the last reader of its value runs
 * backward, and dies when the producer has.  All three share one block: gradients lie where values
 * have died.
 */
#include "net/train_plan.h"

#include <limits.h>

#include "base/error.h"

/* ---- time ------------------------------------------------------------------------------------ */

/* Forward of layer i is at i. */
static int loss_time(const struct qd_train_net *t)
{
    return t->graph->nlayers;
}

static int back_time(const struct qd_train_net *t, int i)
{
    return 2 * t->graph->nlayers - i;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

bool qd_train_frozen(const struct qd_train_net *t, const struct qd_layer *l)
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
    if (qd_train_frozen(t, l))
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
            w = w || (l->in[k] >= 0 && t->part[l->in[k]].wanted);
        t->part[i].wanted = w;
    }
}

static int check_backward(const struct qd_train_net *t, struct qd_error *err)
{
    for (int i = 0; i < t->graph->nlayers; i++) {
        const struct qd_layer *l = &t->graph->layer[i];
        if (t->part[i].wanted && !qd_train_is_view(l) && !l->type->backward)
            return qd_error_at(err, QD_EUNSUP, qd_cfg_name(t->model->cfg), l->line,
                "[%s] cannot be trained", l->type->section);
    }
    return 0;
}

/* ---- what is not stored ---------------------------------------------------------------------- */

static bool in_blocks(struct qd_train_net *t, int i)
{
    struct qd_train_need need = {0};
    struct qd_layer *l = &t->graph->layer[i];

    if (!l->type->train_blocks)
        return false;
    l->type->train_need(l, t->grad, t->opts.batch, &need);
    return l->type->train_blocks(l);
}

/* An output that only one layer reads need not be stored when both go through it in blocks. */
static void defer(struct qd_train_net *t)
{
    for (int i = 0; i < t->graph->nlayers; i++) {
        int from = t->graph->layer[i].in[0], readers = 0;
        if (from < 0 || t->loss[from] || !in_blocks(t, i) || !in_blocks(t, from))
            continue;
        for (int k = from + 1; k < t->graph->nlayers; k++)
            for (int s = 0; s < t->graph->layer[k].nin; s++)
                readers += t->graph->layer[k].in[s] == from;
        t->graph->layer[from].deferred = readers == 1;
    }
}

/* ---- gradients ------------------------------------------------------------------------------- */

/* Let gradient root r be prepared before backward of layer i. */
static int bear(struct qd_train_net *t, int i, int r, bool zero, struct qd_error *err)
{
    struct qd_train_part *s = &t->part[i];

    for (size_t k = 0; k < QD_LEN(s->born); k++)
        if (s->born[k] < 0) {
            s->born[k] = r;
            s->zero[k] = zero;
            t->gplan.value[r].first = back_time(t, i);
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
    struct qd_train_part *s = &t->part[i];
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
        t->gplan.value[own].first = loss_time(t);
        alive[own] = true;
    }
    s->runs = s->wanted && alive[own];
    if (!s->runs)
        return 0;
    t->gplan.value[own].last = back_time(t, i);
    for (int k = 0; k < l->nin; k++) {
        int v = l->in[k] + 1, r = v ? qd_plan_root(&t->gplan, v, NULL) : 0;
        if (!v || !t->part[v - 1].wanted || alive[r])
            continue;
        fresh[k] = whole(t, v);
        if (bear(t, i, r, !fresh[k], err) < 0)
            return -1;
        t->gplan.value[r].last = back_time(t, i);
        alive[r] = true;
    }
    return 0;
}

static int plan_gradients(struct qd_train_net *t, struct qd_error *err)
{
    struct qd_plan *g = &t->gplan;
    size_t n = (size_t)t->plan.nvalues;
    bool *alive = qd_arena_alloc(&t->arena, n, sizeof(bool), err);

    *g = t->plan;
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
        struct qd_value *r = &g->value[qd_plan_root(g, i + 1, NULL)];
        r->border = QD_MAX(r->border, t->part[i].need.border);
    }
    return qd_plan_shape(g, t->graph, err);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* What layer i needs, and whether the backward passes of those before it leave alone what it
 * changes in place. */
static void ask_need(struct qd_train_net *t, int i, bool untouched)
{
    struct qd_layer *l = &t->graph->layer[i];
    struct qd_train_need *need = &t->part[i].need;

    *need = (struct qd_train_need){.untouched = untouched};
    if (l->type->train_need)
        l->type->train_need(l, t->grad, t->opts.batch, need);
    t->part[i].pass.untouched = untouched;
}

static bool reads_in(const struct qd_train_net *t, int i)
{
    return t->part[i].runs && t->graph->layer[i].type->backward && !t->part[i].need.no_in;
}

static bool reads_out(const struct qd_train_net *t, int i)
{
    return t->part[i].runs && t->graph->layer[i].type->backward && !t->part[i].need.no_out;
}

/* Whether backward of layer i reads root r. */
static bool reads(const struct qd_train_net *t, int i, int r)
{
    const struct qd_layer *l = &t->graph->layer[i];
    bool found = reads_out(t, i) && qd_plan_root(&t->plan, i + 1, NULL) == r;

    for (int k = 0; k < l->nin && reads_in(t, i); k++)
        found = found || qd_plan_root(&t->plan, l->in[k] + 1, NULL) == r;
    return found;
}

/* Layers that work in place need not put back what nobody before them reads again. */
static void find_untouched(struct qd_train_net *t)
{
    for (int i = 0; i < t->graph->nlayers; i++) {
        int r = qd_plan_root(&t->plan, i + 1, NULL);
        bool untouched = r > 0 && !t->opts.keep; /* the input may be used again */
        if (!qd_train_is_view(&t->graph->layer[i]) || !t->graph->layer[i].type->train_forward)
            continue;
        for (int k = 0; k < i; k++)
            untouched = untouched && !reads(t, k, r);
        ask_need(t, i, untouched);
    }
}

static void touch(struct qd_train_net *t, int v, int when)
{
    struct qd_value *r = &t->plan.value[qd_plan_root(&t->plan, v, NULL)];

    r->first = QD_MIN(r->first, when);
    r->last = QD_MAX(r->last, when);
}

static void plan_values(struct qd_train_net *t)
{
    for (int v = 0; v < t->plan.nvalues; v++) {
        t->plan.value[v].first = t->opts.keep ? -1 : INT_MAX;
        t->plan.value[v].last = t->opts.keep ? INT_MAX : -1;
    }
    touch(t, 0, -1); /* filled from outside, once for several passes if one likes */
    touch(t, 0, INT_MAX);
    for (int i = 0; i < t->graph->nlayers; i++) {
        const struct qd_layer *l = &t->graph->layer[i];
        touch(t, i + 1, i);
        for (int k = 0; k < l->nin; k++) {
            touch(t, l->in[k] + 1, i);
            if (reads_in(t, i))
                touch(t, l->in[k] + 1, back_time(t, i));
        }
        if (t->plan.value[i + 1].kept || t->loss[i])
            touch(t, i + 1, loss_time(t));
        if (reads_out(t, i))
            touch(t, i + 1, back_time(t, i));
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int add_roots(const struct qd_plan *p, struct qd_span *s, int n)
{
    for (int v = 0; v < p->nvalues; v++)
        if (p->value[v].parent == v && p->value[v].first != INT_MAX)
            s[n++] =
                (struct qd_span){p->value[v].floats, p->value[v].first, p->value[v].last, 0, false};
    return n;
}

static int set_roots(struct qd_plan *p, const struct qd_span *s, int n)
{
    for (int v = 0; v < p->nvalues; v++)
        if (p->value[v].parent == v && p->value[v].first != INT_MAX) {
            p->value[v].offset = s[n].offset;
            p->value[v].alone = s[n++].alone;
        }
    return n;
}

/* When what layer i saves is read last: in its backward pass, or where its output is made from it
 * because it is not stored. */
static int saved_until(const struct qd_train_net *t, int i)
{
    int last = i;

    if (t->part[i].runs)
        return back_time(t, i);
    for (int k = i + 1; k < t->graph->nlayers && t->graph->layer[i].deferred; k++)
        for (int s = 0; s < t->graph->layer[k].nin; s++)
            last = t->graph->layer[k].in[s] == i ? k : last;
    return last;
}

/* The block of values, gradients, and what is saved. */
static int plan_block(struct qd_train_net *t, struct qd_error *err)
{
    int layers = t->graph->nlayers, n;
    size_t most = 2 * (size_t)t->plan.nvalues + (size_t)layers;
    struct qd_span *s = qd_arena_alloc(&t->arena, most, sizeof(*s), err);

    if (!s)
        return -1;
    n = add_roots(&t->gplan, s, add_roots(&t->plan, s, 0));
    for (int i = 0; i < layers; i++) {
        int last = saved_until(t, i);
        size_t need = t->part[i].need.saved;
        if (need > SIZE_MAX / 8)
            return qd_error_nomem(err, SIZE_MAX);
        s[n++] = (struct qd_span){
            need ? need + QD_SLACK : 0, i, t->opts.keep ? INT_MAX : last, 0, false};
    }
    if (qd_span_place(s, n, &t->block_floats, err) < 0)
        return -1;
    n = set_roots(&t->gplan, s, set_roots(&t->plan, s, 0));
    for (int i = 0; i < layers; i++)
        t->part[i].saved = s[n++].offset;
    return 0;
}

/* Whether the gradient of one of its sources is made, so that turned weights are needed. */
static bool turns(const struct qd_train_net *t, int i)
{
    const struct qd_layer *l = &t->graph->layer[i];
    bool any = false;

    for (int k = 0; k < l->nin; k++)
        any = any || (l->in[k] >= 0 && t->part[l->in[k]].wanted);
    return any && t->part[i].runs && l->type->train_turn;
}

/* Packed parameters, each layer's own or one after the other in the same place; and scratch. */
static int plan_rest(struct qd_train_net *t, struct qd_error *err)
{
    const size_t unit = QD_ALIGN / sizeof(float);

    for (int i = 0; i < t->graph->nlayers; i++) {
        struct qd_train_part *s = &t->part[i];
        size_t packed, turned, most = SIZE_MAX / 8;
        if (!turns(t, i))
            s->need.turned = 0;
        if (s->need.packed > most || s->need.turned > most || s->need.work > most)
            return qd_error_nomem(err, SIZE_MAX);
        packed = qd_round_up(s->need.packed, unit);
        turned = qd_round_up(s->need.turned, unit);
        t->work_floats = QD_MAX(t->work_floats, s->need.work);
        if (t->opts.repack) {
            t->packed_floats = QD_MAX(t->packed_floats, QD_MAX(packed, turned));
            continue;
        }
        s->packed = t->packed_floats;
        s->turned = s->packed + packed;
        if (!qd_add_size(s->turned, turned, &t->packed_floats))
            return qd_error_nomem(err, SIZE_MAX);
    }
    return 0;
}

int qd_train_plan(struct qd_train_net *t, struct qd_error *err)
{
    for (int i = 0; i < t->graph->nlayers; i++)
        for (size_t k = 0; k < QD_LEN(t->part[i].born); k++)
            t->part[i].born[k] = -1;
    find_wanted(t);
    defer(t);
    if (check_backward(t, err) < 0 ||
        qd_plan_make(&t->plan, t->graph, t->ops, t->opts.batch, true, &t->arena, err) < 0)
        return -1;
    for (int i = 0; i < t->graph->nlayers; i++)
        ask_need(t, i, false);
    if (plan_gradients(t, err) < 0)
        return -1;
    find_untouched(t);
    plan_values(t);
    return qd_plan_shape(&t->plan, t->graph, err) < 0 || plan_block(t, err) < 0 ||
                   plan_rest(t, err) < 0
               ? -1
               : 0;
}
