/* SPDX-License-Identifier: MIT */
/*
 * From the cfg document to layers: every section is looked up in the table of layer types, its
 * sources are resolved, and its type works out shape and parameters.  Also the functions that layer
 * types call for that (layer.h).
 */
#include "net/graph.h"

#include "base/error.h"

enum {
    MAX_LAYERS = 4096,
    MAX_SIDE = 1 << 16,
    MAX_SOURCES = 256,
};
/* The largest tensor and parameter block that any size may reach (floats). */
static const uint64_t MAX_FLOATS = (uint64_t)1 << 34;

int qd_layer_sources(struct qd_layer *l, struct qd_keys *k, const char *key, const int *list, int n)
{
    int *in = qd_arena_alloc(&l->graph->arena, (size_t)QD_MAX(n, 1), sizeof(int), k->err);
    int *border = qd_arena_alloc(&l->graph->arena, (size_t)QD_MAX(n, 1), sizeof(int), k->err);

    if (!in || !border) {
        k->failed = true;
        return -1;
    }
    if (n < 1 || n > MAX_SOURCES)
        return qd_key_fault(k, QD_EFORMAT, key, "'%s' must name 1 to %d layers", key, MAX_SOURCES);
    for (int i = 0; i < n; i++) {
        long at = list[i] < 0 ? (long)l->index + list[i] : list[i];
        bool input = at == -1 && !key; /* only the implicit "previous layer" reaches the input */
        if ((at < 0 && !input) || at >= l->index)
            return qd_key_fault(k, QD_EFORMAT, key,
                "no such layer: '%s=%d' in [%s], only %d layer%s it", key ? key : "layers", list[i],
                l->type->section, l->index, l->index == 1 ? " precedes" : "s precede");
        in[i] = (int)at;
    }
    l->in = in;
    l->border = border;
    l->nin = n;
    qd_layer_source(l, 0, &l->ih, &l->iw, &l->ic);
    return 0;
}

void qd_layer_source(const struct qd_layer *l, int i, int *h, int *w, int *c)
{
    const struct qd_graph *g = l->graph;
    int at = l->in[i];

    *h = at < 0 ? g->h : g->layer[at].h;
    *w = at < 0 ? g->w : g->layer[at].w;
    *c = at < 0 ? g->c : g->layer[at].c;
}

const struct qd_layer *qd_layer_at(const struct qd_layer *l, int index)
{
    return index >= 0 && index < l->graph->nlayers ? &l->graph->layer[index] : NULL;
}

int qd_layer_param(struct qd_layer *l, struct qd_keys *k, const struct qd_param *p)
{
    struct qd_graph *g = l->graph;
    size_t total;

    if ((size_t)l->nparams == QD_LEN(l->param))
        return qd_key_fault(k, QD_EUNSUP, NULL, "[%s] has too many arrays", l->type->section);
    struct qd_param *own = &l->param[l->nparams];
    *own = *p;
    if (!(p->flags & QD_PARAM_SHARED)) {
        if (!qd_add_size(g->nparams, p->count, &total) || total > MAX_FLOATS)
            return qd_key_fault(k, QD_EUNSUP, NULL, "the model has too many parameters");
        own->offset = g->nparams;
        g->nparams = total;
    }
    l->nparams++;
    return 0;
}

const struct qd_param *qd_layer_find_param(const struct qd_layer *l, const char *name)
{
    for (int i = 0; i < l->nparams; i++)
        if (strcmp(l->param[i].name, name) == 0)
            return &l->param[i];
    return NULL;
}

struct qd_arena *qd_layer_arena(struct qd_layer *l)
{
    return &l->graph->arena;
}

int qd_layer_act(struct qd_layer *l, struct qd_keys *k)
{
    const char *name = qd_key_word(k, "activation");
    int a = qd_act_find(name);

    if (a < 0) {
        qd_key_fault(
            k, QD_EFORMAT, "activation", "unknown activation '%s' in [%s]", name, l->type->section);
        return QD_LINEAR;
    }
    return a;
}

double qd_layer_bn_eps(const struct qd_layer *l)
{
    return (double)l->graph->bn_eps;
}

void qd_layer_net_size(const struct qd_layer *l, int *h, int *w, int *c)
{
    *h = l->graph->h;
    *w = l->graph->w;
    *c = l->graph->c;
}

static int read_net(struct qd_graph *g, int h, int w, bool quiet, struct qd_error *err)
{
    struct qd_keys k = qd_keys_open(g->cfg, 0, qd_net_keys, NULL, err);
    const char *policy = qd_key_word(&k, "policy");

    (void)policy; /* an unknown one is a fault of its own */
    g->h = h ? h : qd_key_int(&k, "height");
    g->w = w ? w : qd_key_int(&k, "width");
    g->c = qd_key_int(&k, "channels");
    if (qd_key_given(&k, "inputs") && !qd_key_int(&k, "height") && !qd_key_int(&k, "width")) {
        g->h = g->w = 1;
        g->c = qd_key_int(&k, "inputs");
    }
    g->bn_eps = qd_key_float(&k, "bn_eps");
    g->letter_box = qd_key_int(&k, "letter_box") != 0;
    if (k.failed)
        return -1;
    if (g->h < 1 || g->w < 1 || g->c < 1)
        return qd_key_fault(&k, QD_EFORMAT,
            g->h < 1   ? "height"
            : g->w < 1 ? "width"
                       : "channels",
            "[net] must give width, height and channels above 0 (they are %d, %d, %d)", g->w, g->h,
            g->c);
    if (g->h > MAX_SIDE || g->w > MAX_SIDE)
        return qd_key_fault(&k, QD_EFORMAT, g->h > MAX_SIDE ? "height" : "width",
            "input of %d x %d is too large", g->w, g->h);
    return quiet ? 0 : qd_keys_check(&k);
}

static int check_shape(struct qd_layer *l, struct qd_keys *k)
{
    uint64_t floats;

    if (l->h < 1 || l->w < 1 || l->c < 1)
        return qd_key_fault(k, QD_EFORMAT, NULL,
            "[%s] would have an output of %d x %d x %d (its input is %d x %d x %d)",
            l->type->section, l->w, l->h, l->c, l->iw, l->ih, l->ic);
    floats = (uint64_t)l->h * (uint64_t)l->w;
    if (l->h > MAX_SIDE || l->w > MAX_SIDE || l->c > MAX_SIDE * 16 ||
        floats > MAX_FLOATS / (uint64_t)l->c)
        return qd_key_fault(k, QD_EUNSUP, NULL, "[%s] would have an output of %d x %d x %d",
            l->type->section, l->w, l->h, l->c);
    return 0;
}

static int build_layer(struct qd_graph *g, int index, bool quiet, struct qd_error *err)
{
    const struct qd_cfg_section *s = qd_cfg_section(g->cfg, index + 1);
    struct qd_layer *l = &g->layer[index];
    const struct qd_layer_type *t = qd_layer_type_find(s->name);
    static const int previous[] = {-1};

    if (!t) {
        const char *why = qd_layer_unsupported(s->name);
        return why ? qd_error_at(
                         err, QD_EUNSUP, qd_cfg_name(g->cfg), s->line, "[%s] %s", s->name, why)
                   : qd_error_at(err, QD_EFORMAT, qd_cfg_name(g->cfg), s->line,
                         "unknown section [%s]", s->name);
    }
    *l = (struct qd_layer){.type = t, .graph = g, .index = index, .line = s->line};
    struct qd_keys k = qd_keys_open(g->cfg, index + 1, t->keys, qd_layer_common_keys, err);
    if (qd_layer_sources(l, &k, NULL, previous, 1) < 0)
        return -1;
    l->h = l->ih;
    l->w = l->iw;
    l->c = l->ic;
    if (t->priv_size) {
        l->priv = qd_arena_alloc(&g->arena, 1, t->priv_size, err);
        if (!l->priv)
            return -1;
    }
    if (!quiet && qd_keys_check(&k) < 0)
        return -1;
    if (t->setup(l, &k, err) < 0 || k.failed)
        return -1;
    return check_shape(l, &k);
}

struct qd_graph *qd_graph_new(
    const struct qd_cfg *cfg, int h, int w, bool quiet, struct qd_error *err)
{
    int n = qd_cfg_count(cfg) - 1;

    if (n < 1 || n > MAX_LAYERS) {
        qd_error_at(err, QD_EFORMAT, qd_cfg_name(cfg), 0,
            n < 1 ? "no layers after [net]" : "more than %d layers", MAX_LAYERS);
        return NULL;
    }
    struct qd_graph *g = qd_alloc(1, sizeof(*g), err);
    if (!g)
        return NULL;
    g->cfg = cfg;
    g->layer = qd_arena_alloc(&g->arena, (size_t)n, sizeof(*g->layer), err);
    if (!g->layer || read_net(g, h, w, quiet, err) < 0)
        goto fail;
    for (; g->nlayers < n; g->nlayers++)
        if (build_layer(g, g->nlayers, quiet, err) < 0)
            goto fail;
    return g;
fail:
    qd_graph_free(g);
    return NULL;
}

void qd_graph_free(struct qd_graph *g)
{
    if (!g)
        return;
    qd_arena_free(&g->arena);
    qd_free(g);
}

bool qd_graph_unread(const struct qd_graph *g, int layer)
{
    for (int i = layer + 1; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nin; k++)
            if (g->layer[i].in[k] == layer)
                return false;
    return true;
}
