/* SPDX-License-Identifier: MIT */
/*
 * Finding residual units and whether they can go.  No layer type is known here: which layers add,
 * and whether nothing else happens there, their types say; who else reads what lies inside, the
 * graph and the keys that name layers.
 */
#include "prune/unit.h"

#include <limits.h>
#include <math.h>

#include "base/error.h"
#include "prune/remove.h"

struct readers {
    int *last;  /* [nlayers] the last layer that reads it or names it in a key, -1: none, INT_MAX:
                   a layer before it or [net] does */
    bool *read; /* [nlayers] its output is read */
};

static void note(void *ctx, int reader, int target)
{
    struct readers *r = ctx;

    r->last[target] = QD_MAX(r->last[target], reader > target ? reader : INT_MAX);
}

static int find_readers(struct readers *r, const struct qd_graph *g, struct qd_error *err)
{
    size_t n = (size_t)g->nlayers;

    r->last = qd_alloc(n, sizeof(*r->last), err);
    r->read = r->last ? qd_alloc(n, sizeof(*r->read), err) : NULL;
    if (!r->read)
        return -1;
    for (int i = 0; i < g->nlayers; i++)
        r->last[i] = -1;
    for (int i = 0; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nin; k++) {
            if (g->layer[i].in[k] < 0)
                continue;
            note(r, i, g->layer[i].in[k]);
            r->read[g->layer[i].in[k]] = true;
        }
    qd_remove_refs(g, note, r);
    return 0;
}

static void tie(void *ctx, struct qd_channel a, struct qd_channel b)
{
    (void)ctx;
    (void)a;
    (void)b;
}

struct kept {
    int layer;
    const char *why;
};

static void keep(void *ctx, struct qd_channel a, const char *why)
{
    struct kept *k = ctx;

    if (a.layer == k->layer)
        k->why = why;
}

/* Why a layer's channels can be no constants, or NULL. */
static const char *stays(const struct qd_layer *l)
{
    struct kept k = {l->index, NULL};
    const struct qd_channels ch = {.tie = tie, .keep = keep, .ctx = &k};

    if (!l->type->channels || !l->type->constant)
        return "its branch does not end in a layer that can be masked";
    l->type->channels(l, &ch);
    return k.why;
}

/* The layer with factors that ends the branch, behind what only passes its output on; or -1. */
static int end_of(const struct qd_graph *g, const struct qd_unit *u)
{
    int at = g->layer[u->sum].in[0];

    while (at >= u->first) {
        const struct qd_layer *l = &g->layer[at];
        const struct qd_param *scale = qd_layer_find_param(l, "scales");
        if (scale)
            return scale->flags & QD_PARAM_SHARED ? -1 : at;
        if (l->place != QD_PLACE_ALIAS)
            return -1;
        at = l->in[0];
    }
    return -1;
}

static const char *judge(const struct qd_graph *g, const struct readers *r, struct qd_unit *u)
{
    const struct qd_layer *sum = &g->layer[u->sum];
    const char *why = sum->type->bypass ? sum->type->bypass(sum) : "it is more than a sum";

    if (why)
        return why;
    if (!r->read[u->sum])
        return "it is an output of the net";
    u->first = sum->in[1] + 1;
    for (int i = u->first; i < u->sum; i++) {
        if (!r->read[i] || g->layer[i].type->head)
            return "an output of the net lies in its branch";
        if (r->last[i] > u->sum)
            return "a layer behind it reads what lies in its branch";
    }
    u->end = end_of(g, u);
    return u->end < 0 ? "its branch does not end in a layer with factors of its own"
                      : stays(&g->layer[u->end]);
}

static double score(const struct qd_model *m, int layer, bool max_score)
{
    const struct qd_param *scale = qd_layer_find_param(&m->graph->layer[layer], "scales");
    double sum = 0, most = 0;

    for (size_t i = 0; i < scale->count; i++) {
        double x = fabs((double)m->params[scale->offset + i]);
        sum += x;
        most = fmax(most, x);
    }
    return max_score ? most : sum / (double)scale->count;
}

int qd_units_of(struct qd_units *u, const struct qd_model *m, bool max_score, struct qd_error *err)
{
    const struct qd_graph *g = m->graph;
    struct readers r = {0};
    int ret = -1;

    *u = (struct qd_units){0};
    u->unit = qd_alloc((size_t)g->nlayers, sizeof(*u->unit), err);
    if (!u->unit || find_readers(&r, g, err) < 0)
        goto done;
    for (int i = 0; i < g->nlayers; i++) {
        struct qd_unit *x = &u->unit[u->n];
        if (!g->layer[i].type->adds)
            continue;
        *x = (struct qd_unit){.sum = i, .end = -1};
        x->why = judge(g, &r, x);
        if (x->end >= 0)
            x->score = score(m, x->end, max_score);
        u->n++;
    }
    ret = 0;
done:
    qd_free(r.last);
    qd_free(r.read);
    if (ret < 0)
        qd_units_free(u);
    return ret;
}

void qd_units_free(struct qd_units *u)
{
    qd_free(u->unit);
    *u = (struct qd_units){0};
}

struct qd_model *qd_units_remove(const struct qd_model *m, const struct qd_units *u,
    const bool *take, int *origin, struct qd_error *err)
{
    int *stand_in = qd_alloc((size_t)m->graph->nlayers, sizeof(*stand_in), err);
    struct qd_model *to = NULL;

    if (!stand_in)
        return NULL;
    for (int i = 0; i < m->graph->nlayers; i++)
        stand_in[i] = i;
    for (int k = 0; k < u->n; k++) {
        const struct qd_unit *x = &u->unit[k];
        if (!take[k])
            continue;
        if (x->why) {
            qd_error_at(err, QD_EUNSUP, qd_cfg_name(m->cfg), m->graph->layer[x->sum].line,
                "layer %d and its branch cannot be removed: %s", x->sum, x->why);
            goto done;
        }
        for (int i = x->first; i < x->sum; i++)
            stand_in[i] = -1;
        stand_in[x->sum] = x->first - 1; /* an outer unit comes later and takes it along */
    }
    to = qd_remove(m, stand_in, origin, err);
done:
    qd_free(stand_in);
    return to;
}
