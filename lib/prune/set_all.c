/* SPDX-License-Identifier: MIT */
/*
 * The widest set of layers to prune by.  A channel may be scaled more than once before a layer
 * mixes it with others: by the layer that makes it and by every depthwise convolution or batch
 * normalization that it goes through.  The last factor tells what is left of it (spec
 * compression.md 2.3.4), the earlier ones are made good by the statistics of the later ones.
 */
#include "prune/set.h"

#include "base/error.h"

/* The reader hands on channels as they are or times a factor.  One that has another layer's
 * parameters is tied to it, but mixes. */
static bool hands_on(const struct qd_groups *g, const struct qd_layer *l)
{
    for (int i = 0; i < l->nparams; i++)
        if (l->param[i].flags & QD_PARAM_SHARED)
            return false;
    return !g->makes[l->index];
}

/* How many sources channel 0 of a layer's output is tied to. */
struct probe {
    const struct qd_layer *l;
    int ties;
};

static void count_ties(void *ctx, struct qd_channel a, struct qd_channel b)
{
    struct probe *p = ctx;

    p->ties += a.layer == p->l->index && a.c == 0 && b.layer != p->l->index;
}

static void ignore(void *ctx, struct qd_channel c, const char *why)
{
    (void)ctx;
    (void)c;
    (void)why;
}

/* The channels of the output are products of those of several sources. */
static bool multiplies(const struct qd_layer *l)
{
    struct probe p = {.l = l};
    const struct qd_channels ch = {.tie = count_ties, .keep = ignore, .ctx = &p};

    if (l->type->adds || l->nin < 2 || !l->type->channels)
        return false;
    l->type->channels(l, &ch);
    return p.ties > 1;
}

/* Layers whose channels all get another factor before they are mixed, however they are read; with
 * 'products' a factor from another layer counts, too. */
static void find_earlier(const struct qd_groups *g, bool products, bool *earlier)
{
    int n = g->graph->nlayers;
    const struct qd_layer *layer = g->graph->layer;

    for (int i = 0; i < n; i++)
        earlier[i] = false; /* what nobody reads */
    for (int i = 0; i < n; i++)
        for (int k = 0; k < layer[i].nin; k++)
            if (layer[i].in[k] >= 0)
                earlier[layer[i].in[k]] = true;
    for (int i = n - 1; i >= 0; i--) {
        bool later = hands_on(g, &layer[i]) && (qd_set_factors(&layer[i]) || earlier[i] ||
                                                   (products && multiplies(&layer[i])));
        for (int k = 0; k < layer[i].nin && !later; k++)
            if (layer[i].in[k] >= 0)
                earlier[layer[i].in[k]] = false;
    }
}

void qd_set_judged(const struct qd_groups *g, bool *judged)
{
    find_earlier(g, true, judged);
}

const struct qd_param *qd_set_factors(const struct qd_layer *l)
{
    const struct qd_param *p = qd_layer_find_param(l, "scales");

    return p && !(p->flags & QD_PARAM_SHARED) ? p : NULL;
}

int qd_set_all(struct qd_set *s, const struct qd_groups *g, struct qd_error *err)
{
    size_t n = (size_t)g->graph->nlayers;
    bool *earlier = qd_alloc(n, sizeof(*earlier), err);

    *s = (struct qd_set){0};
    s->layer = earlier ? qd_alloc(n, sizeof(*s->layer), err) : NULL;
    if (!s->layer) {
        qd_free(earlier);
        return -1;
    }
    find_earlier(g, false, earlier);
    for (int i = 0; i < g->graph->nlayers; i++) {
        const struct qd_layer *l = &g->graph->layer[i];
        bool some = false;
        for (int c = 0; c < l->c && !some; c++)
            some = !g->why[qd_groups_of(g, i, c)];
        if (!some || earlier[i] || !qd_set_factors(l))
            continue;
        s->layer[s->n++] = i;
        s->channels += (size_t)l->c;
    }
    qd_free(earlier);
    return 0;
}
