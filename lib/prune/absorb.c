/* SPDX-License-Identifier: MIT */
/*
 * A dead channel gives one value at every pixel.  That value is carried along the graph, layer by
 * layer (member 'constant'), up to the layers that add it to living channels and take it up in a
 * mean or bias.  When the branch of a sum dies, the sum lives and has lost what the branch's end
 * gave: such a shift travels the same way.
 */
#include "base/error.h"
#include "prune/rewrite.h"
#include "prune/unit.h"

struct follow {
    const struct qd_absorb *a;
    int layer;
    bool apart; /* one output channel is tied to channels of different values */
    bool held;  /* a living channel with a shift must stay as it is */
};

/* Output channels have the value of the channel that they are tied to. */
static void carry(void *ctx, struct qd_channel out, struct qd_channel in)
{
    const struct follow *f = ctx;
    const int *first = f->a->cut->first;

    if (out.layer == f->layer && in.layer != f->layer)
        f->a->value[first[out.layer + 1] + out.c] = f->a->value[first[in.layer + 1] + in.c];
}

static void compare(void *ctx, struct qd_channel out, struct qd_channel in)
{
    struct follow *f = ctx;
    const int *first = f->a->cut->first;
    int to = first[out.layer + 1] + out.c;

    if (out.layer != f->layer || in.layer == f->layer ||
        f->a->value[to] == f->a->value[first[in.layer + 1] + in.c])
        return;
    f->apart = true;
    if (f->a->why)
        f->a->why[to] = "it is mixed with a channel of another constant";
}

static void hold(void *ctx, struct qd_channel c, const char *why)
{
    struct follow *f = ctx;
    int at = f->a->cut->first[c.layer + 1] + c.c;

    (void)why;
    f->held |= f->a->cut->stays[at] && f->a->value[at] != 0;
}

static void stay(void *ctx, struct qd_channel c, const char *why)
{
    (void)ctx;
    (void)c;
    (void)why;
}

/* Whether living channels of a layer have shifts. */
static bool shifted(const struct qd_absorb *a, int layer)
{
    for (int i = a->cut->first[layer + 1]; i < a->cut->first[layer + 2]; i++)
        if (a->cut->stays[i] && a->value[i] != 0)
            return true;
    return false;
}

static int refuse(const struct qd_layer *l, struct qd_error *err, const char *why)
{
    return qd_error_at(err, QD_EUNSUP, qd_cfg_name(l->graph->cfg), l->line, "layer %d, [%s], %s",
        l->index, l->type->section, why);
}

/* A type without a member 'constant' passes values on. */
static int pass(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    struct follow f = {.a = a, .layer = l->index};
    const struct qd_channels ch = {.tie = carry, .keep = stay, .ctx = &f};
    const struct qd_channels same = {.tie = compare, .keep = hold, .ctx = &f};

    if (l->type->channels) {
        l->type->channels(l, &ch);
        l->type->channels(l, &same);
    }
    for (int i = 0; i < l->nin && !l->type->channels; i++)
        f.held |= shifted(a, l->in[i]);
    if (f.held)
        return refuse(l, err, "cannot take up a constant that its input has lost");
    return f.apart && !a->why ? refuse(l, err, "mixes dead channels of different constants") : 0;
}

int qd_absorb_walk(const struct qd_graph *g, const struct qd_absorb *a, struct qd_error *err)
{
    for (int i = 0; i < g->nlayers; i++) {
        const struct qd_layer *l = &g->layer[i];
        if (l->type->constant ? l->type->constant(l, a, err) < 0 : pass(l, a, err) < 0)
            return -1;
        if (shifted(a, i) && qd_graph_unread(g, i))
            return refuse(l, err, "is an output of the net and would lose a constant");
    }
    return 0;
}

/* Whether the end of a masked branch gives 0; 'zero' is as large as a->value, and zeros. */
static int check_end(
    const struct qd_layer *end, const struct qd_absorb *a, float *zero, struct qd_error *err)
{
    const struct qd_absorb masked = {.cut = a->cut, .from = a->to, .to = a->to, .value = zero};

    if (end->type->constant(end, &masked, err) < 0)
        return -1;
    for (int i = a->cut->first[end->index + 1]; i < a->cut->first[end->index + 2]; i++)
        if (zero[i] != 0)
            return refuse(end, err, "ends a branch with an activation that is not 0 at 0");
    return 0;
}

/* The factors and biases of all layers of a branch. */
static void mask(const struct qd_graph *g, const struct qd_unit *u, float *params)
{
    static const char *const names[] = {"scales", "biases"};

    for (int i = u->first; i < u->sum; i++)
        for (size_t k = 0; k < QD_LEN(names); k++) {
            const struct qd_param *p = qd_layer_find_param(&g->layer[i], names[k]);
            if (p && !(p->flags & QD_PARAM_SHARED) && qd_layer_find_param(&g->layer[i], "scales"))
                memset(params + p->offset, 0, p->count * sizeof(*params));
        }
}

/* Walk with these channels alive, and with the branches of units that are taken masked. */
static int absorb(struct qd_model *m, const struct qd_cut *cut, const struct qd_units *u,
    const bool *take, struct qd_error *err)
{
    size_t n = (size_t)cut->first[m->graph->nlayers + 1] + 1;
    float *value = qd_alloc(n, sizeof(*value), err);
    float *zero = value ? qd_alloc(n, sizeof(*zero), err) : NULL;
    float *to = zero ? qd_alloc(m->graph->nparams, sizeof(*to), err) : NULL;
    struct qd_absorb a = {.cut = cut, .from = m->params, .to = to, .value = value};
    int ret = -1;

    if (to) {
        memcpy(to, m->params, m->graph->nparams * sizeof(*to));
        ret = qd_absorb_walk(m->graph, &a, err);
    }
    for (int k = 0; ret == 0 && u && k < u->n; k++) {
        if (!take[k])
            continue;
        ret = check_end(&m->graph->layer[u->unit[k].end], &a, zero, err);
        mask(m->graph, &u->unit[k], to);
    }
    if (ret == 0)
        memcpy(m->params, to, m->graph->nparams * sizeof(*to));
    qd_free(value);
    qd_free(zero);
    qd_free(to);
    return ret;
}

int qd_absorb(struct qd_model *m, const struct qd_groups *g, const bool *dead, struct qd_error *err)
{
    bool *stays = qd_alloc((size_t)g->nchannels, sizeof(*stays), err);
    const struct qd_cut cut = {.first = g->first, .stays = stays};
    int ret = -1;

    QD_ASSERT(g->graph == m->graph);
    if (stays) {
        for (int i = 0; i < g->nchannels; i++)
            stays[i] = !dead[g->group[i]];
        ret = absorb(m, &cut, NULL, NULL, err);
    }
    qd_free(stays);
    return ret;
}

/* The end of the branch dies, and what passes its output on. */
static void kill_end(
    const struct qd_graph *g, const struct qd_unit *u, const int *first, bool *stays)
{
    for (int i = g->layer[u->sum].in[0]; i >= u->end; i = g->layer[i].in[0])
        for (int c = first[i + 1]; c < first[i + 2]; c++)
            stays[c] = false;
}

int qd_units_absorb(
    struct qd_model *m, const struct qd_units *u, const bool *take, struct qd_error *err)
{
    struct qd_groups *g = qd_groups_new(m->graph, err);
    bool *stays = g ? qd_alloc((size_t)g->nchannels, sizeof(*stays), err) : NULL;
    int ret = -1;

    if (stays) {
        const struct qd_cut cut = {.first = g->first, .stays = stays};
        for (int i = 0; i < g->nchannels; i++)
            stays[i] = true;
        for (int k = 0; k < u->n; k++)
            if (take[k]) {
                QD_ASSERT(!u->unit[k].why);
                kill_end(m->graph, &u->unit[k], g->first, stays);
            }
        ret = absorb(m, &cut, u, take, err);
    }
    qd_groups_free(g);
    qd_free(stays);
    return ret;
}
