/* SPDX-License-Identifier: MIT */
/*
 * The sets of layers of sparse training, derived from channel groups: no layer type and no network
 * is known here.
 */
#include "prune/set.h"

#include "base/error.h"
#include "net/model.h"

/* What a group is like. */
enum {
    TWICE = 1,    /* two channels of one layer */
    WEIGHED = 2,  /* weights of a layer that did not make the channel */
    ENLARGED = 4, /* a layer makes its picture larger */
    JOINED = 8,   /* channels of several makers */
};

/* An array that does its own work on a channel, and would have to be cut with it. */
static bool weighs(const struct qd_layer *l)
{
    for (int i = 0; i < l->nparams; i++)
        if (l->param[i].fan_in)
            return true;
    return false;
}

static bool scaled(const struct qd_groups *g, int layer)
{
    const struct qd_param *p = qd_layer_find_param(&g->graph->layer[layer], "scales");

    return g->makes[layer] && p && !(p->flags & QD_PARAM_SHARED);
}

static int nature(const struct qd_groups *g, int group)
{
    int flags = 0, makers = 0, before = -2;

    for (int i = g->begin[group]; i < g->begin[group + 1]; i++) {
        int owner = g->owner[g->member[i]];
        const struct qd_layer *l = owner < 0 ? NULL : &g->graph->layer[owner];
        flags |= owner == before ? TWICE : 0;
        if (owner != before && (!l || g->makes[owner]))
            makers++;
        else if (l && !g->makes[owner])
            flags |= (weighs(l) ? WEIGHED : 0) | (l->h > l->ih ? ENLARGED : 0);
        before = owner;
    }
    return flags | (makers > 1 ? JOINED : 0);
}

static int start(struct qd_set *s, const struct qd_groups *g, struct qd_error *err)
{
    *s = (struct qd_set){0};
    s->layer = qd_alloc((size_t)g->graph->nlayers, sizeof(*s->layer), err);
    return s->layer ? 0 : -1;
}

static void add(struct qd_set *s, const struct qd_layer *l)
{
    s->layer[s->n++] = l->index;
    s->channels += (size_t)l->c;
}

int qd_set_scaled(struct qd_set *s, const struct qd_groups *g, struct qd_error *err)
{
    if (start(s, g, err) < 0)
        return -1;
    for (int i = 0; i < g->graph->nlayers; i++)
        if (scaled(g, i))
            add(s, &g->graph->layer[i]);
    return 0;
}

/* The scaled layers that end a branch, also behind layers that pass on what is before them. */
static void add_branches(struct qd_set *s, const struct qd_groups *g, bool *ends)
{
    for (int i = 0; i < g->graph->nlayers; i++) {
        int at = g->graph->layer[i].type->adds ? g->graph->layer[i].in[0] : -1;
        while (at > 0 && g->graph->layer[at].place == QD_PLACE_ALIAS &&
               g->graph->layer[at].in[0] == at - 1)
            at--;
        if (at >= 0)
            ends[at] = true;
    }
    for (int i = 0; i < g->graph->nlayers; i++)
        if (ends[i] && scaled(g, i))
            add(s, &g->graph->layer[i]);
}

int qd_set_sparse(
    struct qd_set *s, const struct qd_groups *g, enum qd_sparse kind, struct qd_error *err)
{
    int bad = TWICE | WEIGHED | ENLARGED | (kind == QD_SPARSE_NORMAL ? JOINED : 0);
    size_t n = (size_t)(kind == QD_SPARSE_LAYER ? g->graph->nlayers : g->ngroups);
    bool *out;

    if (kind == QD_SPARSE_ALL)
        return qd_set_all(s, g, err);
    *s = (struct qd_set){0};
    out = qd_alloc(n, sizeof(*out), err);
    if (!out || start(s, g, err) < 0) {
        qd_free(out);
        return -1;
    }
    if (kind == QD_SPARSE_LAYER) {
        add_branches(s, g, out);
        qd_free(out);
        return 0;
    }
    for (int k = 0; k < g->ngroups; k++)
        out[k] = nature(g, k) & bad;
    for (int i = 0; i < g->graph->nlayers; i++) {
        bool in = false;
        for (int c = 0; c < g->graph->layer[i].c && scaled(g, i); c++) {
            int k = qd_groups_of(g, i, c);
            in |= !g->why[k];
            if (out[k]) {
                in = false;
                break;
            }
        }
        if (in)
            add(s, &g->graph->layer[i]);
    }
    qd_free(out);
    return 0;
}

int qd_set_of(struct qd_set *s, const struct qd_model *m, enum qd_sparse kind, struct qd_error *err)
{
    struct qd_groups *g = qd_groups_new(m->graph, err);

    *s = (struct qd_set){0};
    int ret = g ? qd_set_sparse(s, g, kind, err) : -1;
    qd_groups_free(g);
    return ret;
}

void qd_set_free(struct qd_set *s)
{
    qd_free(s->layer);
    *s = (struct qd_set){0};
}

static int root_of(const int *root, int i)
{
    while (root[i] != i)
        i = root[i];
    return i;
}

int qd_set_roots_in(
    int *root, const struct qd_groups *g, const struct qd_set *s, struct qd_error *err)
{
    int *seen = qd_alloc((size_t)g->ngroups, sizeof(*seen), err); /* 1 + a layer of the group */

    if (!seen)
        return -1;
    for (int i = 0; i < g->graph->nlayers; i++)
        root[i] = -1;
    for (int k = 0; k < s->n; k++) {
        int i = s->layer[k];
        root[i] = i;
        for (int c = 0; c < g->graph->layer[i].c; c++) {
            int *other = &seen[qd_groups_of(g, i, c)];
            if (*other) {
                int a = root_of(root, *other - 1), b = root_of(root, i);
                root[QD_MAX(a, b)] = QD_MIN(a, b);
            }
            *other = i + 1;
        }
    }
    for (int i = 0; i < g->graph->nlayers; i++)
        if (root[i] >= 0)
            root[i] = root_of(root, i);
    qd_free(seen);
    return 0;
}

int qd_set_roots(int *root, const struct qd_groups *g, struct qd_error *err)
{
    struct qd_set s;
    int ret = qd_set_scaled(&s, g, err);

    if (ret == 0)
        ret = qd_set_roots_in(root, g, &s, err);
    qd_set_free(&s);
    return ret;
}
