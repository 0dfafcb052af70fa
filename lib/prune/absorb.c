/* SPDX-License-Identifier: MIT */
/*
 * A dead channel gives one value at every pixel.  That value is carried along the graph, layer by
 * layer (member 'constant'), up to the layers that add it to living channels and take it up in a
 * mean or bias.
 */
#include "base/error.h"
#include "prune/rewrite.h"

struct follow {
    const struct qd_absorb *a;
    int layer;
    bool apart; /* one output channel is tied to channels of different values */
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

    if (out.layer == f->layer && in.layer != f->layer)
        f->apart |=
            f->a->value[first[out.layer + 1] + out.c] != f->a->value[first[in.layer + 1] + in.c];
}

static void stay(void *ctx, struct qd_channel c, const char *why)
{
    (void)ctx;
    (void)c;
    (void)why;
}

static int walk(const struct qd_graph *g, const struct qd_absorb *a, struct qd_error *err)
{
    for (int i = 0; i < g->nlayers; i++) {
        const struct qd_layer *l = &g->layer[i];
        struct follow f = {a, i, false};
        const struct qd_channels ch = {.tie = carry, .keep = stay, .ctx = &f};
        const struct qd_channels same = {.tie = compare, .keep = stay, .ctx = &f};
        if (l->type->constant && l->type->constant(l, a, err) < 0)
            return -1;
        if (l->type->constant || !l->type->channels)
            continue;
        l->type->channels(l, &ch);
        l->type->channels(l, &same);
        if (f.apart)
            return qd_error_at(err, QD_EUNSUP, qd_cfg_name(g->cfg), l->line,
                "layer %d, [%s], mixes dead channels of different constants", i, l->type->section);
    }
    return 0;
}

int qd_absorb(struct qd_model *m, const struct qd_groups *g, const bool *dead, struct qd_error *err)
{
    size_t bytes = m->graph->nparams * sizeof(float);
    bool *stays = qd_alloc((size_t)g->nchannels, sizeof(*stays), err);
    float *value = stays ? qd_alloc((size_t)g->nchannels + 1, sizeof(*value), err) : NULL;
    float *to = value ? qd_alloc(m->graph->nparams, sizeof(*to), err) : NULL;
    struct qd_cut cut = {.first = g->first, .stays = stays};
    struct qd_absorb a = {.cut = &cut, .from = m->params, .to = to, .value = value};
    int ret = -1;

    QD_ASSERT(g->graph == m->graph);
    if (to) {
        for (int i = 0; i < g->nchannels; i++)
            stays[i] = !dead[g->group[i]];
        memcpy(to, m->params, bytes);
        ret = walk(m->graph, &a, err);
    }
    if (ret == 0)
        memcpy(m->params, to, bytes);
    qd_free(stays);
    qd_free(value);
    qd_free(to);
    return ret;
}
