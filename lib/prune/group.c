/* SPDX-License-Identifier: MIT */
/*
 * Channel groups: the layers tell which channels hang together, a forest of disjoint sets (Galler
 * and Fischer 1964) joins them.  A set's root is its smallest channel, so that the result does not
 * depend on the order in which the ties are told, except for which of several reasons to keep a
 * group is given.
 */
#include "prune/group.h"

#include "base/error.h"

enum { MAX_CHANNELS = 1 << 26 };

struct build {
    const struct qd_graph *graph;
    int nchannels;
    int *first, *parent;
    const char **why; /* [nchannels] of roots */
    bool *makes;
    int layer; /* that is speaking */
};

static int number(const struct build *b, struct qd_channel c)
{
    int n = b->first[c.layer + 1] + c.c;

    QD_ASSERT(c.c >= 0 && n < b->first[c.layer + 2]);
    return n;
}

/* The root; the way there is halved. */
static int find(struct build *b, int i)
{
    while (b->parent[i] != i)
        i = b->parent[i] = b->parent[b->parent[i]];
    return i;
}

static void tie(void *ctx, struct qd_channel a, struct qd_channel b)
{
    struct build *u = ctx;
    int p = find(u, number(u, a)), q = find(u, number(u, b));
    int root = QD_MIN(p, q), leaf = QD_MAX(p, q);

    if (a.layer != b.layer && (a.layer == u->layer || b.layer == u->layer))
        u->makes[u->layer] = false;
    if (root == leaf)
        return;
    u->parent[leaf] = root;
    if (!u->why[root])
        u->why[root] = u->why[leaf];
}

static void keep(void *ctx, struct qd_channel a, const char *why)
{
    struct build *b = ctx;
    int root = find(b, number(b, a));

    if (!b->why[root])
        b->why[root] = why;
}

static void keep_all(struct build *b, int layer, const char *why)
{
    for (int c = 0; c < b->first[layer + 2] - b->first[layer + 1]; c++)
        keep(b, (struct qd_channel){layer, c}, why);
}

static void ask_layers(struct build *b)
{
    const struct qd_channels ch = {.tie = tie, .keep = keep, .ctx = b};
    static const char silent[] = "layer that needs all channels";

    keep_all(b, -1, "input of the net");
    for (b->layer = 0; b->layer < b->graph->nlayers; b->layer++) {
        const struct qd_layer *l = &b->graph->layer[b->layer];
        b->makes[b->layer] = true;
        if (l->type->channels) {
            l->type->channels(l, &ch);
            continue;
        }
        keep_all(b, b->layer, silent);
        for (int i = 0; i < l->nin; i++)
            keep_all(b, l->in[i], silent);
    }
}

/* What nobody reads is what the net is for. */
static int keep_outputs(struct build *b, struct qd_arena *a, struct qd_error *err)
{
    int n = b->graph->nlayers;
    bool *read = qd_arena_alloc(a, (size_t)n + 1, sizeof(*read), err);

    if (!read)
        return -1;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < b->graph->layer[i].nin; k++)
            read[b->graph->layer[i].in[k] + 1] = true;
    for (int i = 0; i < n; i++)
        if (!read[i + 1])
            keep_all(b, i, "output of the net");
    return 0;
}

static int count_channels(struct build *b, struct qd_error *err)
{
    long total = b->graph->c;

    b->first[1] = b->graph->c;
    for (int i = 0; i < b->graph->nlayers; i++) {
        total += b->graph->layer[i].c;
        if (total > MAX_CHANNELS)
            return qd_error_set(
                err, QD_EUNSUP, "the layers have more than %d channels", MAX_CHANNELS);
        b->first[i + 2] = (int)total;
    }
    b->nchannels = (int)total;
    return 0;
}

static int start(struct build *b, struct qd_arena *a, struct qd_error *err)
{
    size_t n = (size_t)b->graph->nlayers;

    b->first = qd_arena_alloc(a, n + 2, sizeof(*b->first), err);
    b->makes = qd_arena_alloc(a, n, sizeof(*b->makes), err);
    if (!b->first || !b->makes || count_channels(b, err) < 0)
        return -1;
    b->parent = qd_arena_alloc(a, (size_t)b->nchannels, sizeof(*b->parent), err);
    b->why = qd_arena_alloc(a, (size_t)b->nchannels, sizeof(*b->why), err);
    if (!b->parent || !b->why)
        return -1;
    for (int i = 0; i < b->nchannels; i++)
        b->parent[i] = i;
    return 0;
}

/* Number the sets and list their members. */
static int collect(struct qd_groups *g, struct build *b, struct qd_error *err)
{
    size_t n = (size_t)b->nchannels;
    int *group = qd_arena_alloc(&g->arena, n, sizeof(*group), err);
    int *owner = qd_arena_alloc(&g->arena, n, sizeof(*owner), err);
    int *member = qd_arena_alloc(&g->arena, n, sizeof(*member), err);
    int *begin = qd_arena_alloc(&g->arena, n + 2, sizeof(*begin), err);

    if (!group || !owner || !member || !begin)
        return -1;
    for (int i = 0; i < b->nchannels; i++) {
        int root = find(b, i);
        if (root == i) {
            b->why[g->ngroups] = b->why[i]; /* never behind i */
            group[i] = g->ngroups++;
        } else {
            group[i] = group[root];
        }
        begin[group[i] + 2]++;
    }
    for (int k = 0; k < g->ngroups; k++)
        begin[k + 2] += begin[k + 1];
    for (int i = 0; i < b->nchannels; i++)
        member[begin[group[i] + 1]++] = i; /* begin[k + 1] ends where k + 1 begins */
    for (int l = -1; l < b->graph->nlayers; l++)
        for (int i = b->first[l + 1]; i < b->first[l + 2]; i++)
            owner[i] = l;
    g->nchannels = b->nchannels;
    g->first = b->first;
    g->owner = owner;
    g->group = group;
    g->begin = begin;
    g->member = member;
    g->why = b->why;
    g->makes = b->makes;
    return 0;
}

struct qd_groups *qd_groups_new(const struct qd_graph *graph, struct qd_error *err)
{
    struct build b = {.graph = graph};
    struct qd_groups *g = qd_alloc(1, sizeof(*g), err);

    if (!g)
        return NULL;
    g->graph = graph;
    if (start(&b, &g->arena, err) < 0)
        goto fail;
    ask_layers(&b);
    if (keep_outputs(&b, &g->arena, err) < 0 || collect(g, &b, err) < 0)
        goto fail;
    return g;
fail:
    qd_groups_free(g);
    return NULL;
}

void qd_groups_free(struct qd_groups *g)
{
    if (!g)
        return;
    qd_arena_free(&g->arena);
    qd_free(g);
}

void qd_groups_move(struct qd_groups *g, const struct qd_graph *graph)
{
    QD_ASSERT(graph->nlayers == g->graph->nlayers);
    for (int i = 0; i < graph->nlayers; i++)
        QD_ASSERT(graph->layer[i].c == g->graph->layer[i].c);
    g->graph = graph;
}

int qd_groups_of(const struct qd_groups *g, int layer, int c)
{
    QD_ASSERT(c >= 0 && c < g->first[layer + 2] - g->first[layer + 1]);
    return g->group[g->first[layer + 1] + c];
}

int qd_groups_alive(const struct qd_groups *g, int layer, const bool *dead)
{
    int n = 0;

    for (int i = g->first[layer + 1]; i < g->first[layer + 2]; i++)
        n += !dead[g->group[i]];
    return n;
}
