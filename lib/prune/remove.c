/* SPDX-License-Identifier: MIT */
/*
 * Taking layers out of a model: sections of the cfg go, and numbers that name layers are written
 * anew.  Which keys do that the key tables say.  What a section does not write, that it reads the
 * one before it, cannot be rewritten: the result is compared with what was meant.
 */
#include "prune/remove.h"

#include "base/error.h"
#include "base/num.h"

struct job {
    const struct qd_model *m;
    const int *left; /* [nlayers] the layer of the new cfg that stands in for a layer, or -1 */
    const int *stand_in;
    struct qd_cfg *cfg; /* has the new numbers, and still all sections */
};

static struct qd_keys keys_of(const struct qd_graph *g, int reader)
{
    if (reader < 0)
        return qd_keys_open(g->cfg, 0, qd_net_keys, NULL, NULL);
    return qd_keys_open(
        g->cfg, reader + 1, g->layer[reader].type->keys, qd_layer_common_keys, NULL);
}

static bool names_layers(const struct qd_cfg_key *key)
{
    return key && (key->type == QD_KEY_LAYER || key->type == QD_KEY_LAYERS ||
                      key->type == QD_KEY_NOTED_LAYERS);
}

/* The layer that a number in a section names, or -1. */
static int target_of(const struct qd_graph *g, int reader, long long number)
{
    long long t = number < 0 ? reader + number : number;

    return (number < 0 && reader < 0) || t < 0 || t >= g->nlayers ? -1 : (int)t;
}

void qd_remove_refs(
    const struct qd_graph *g, void (*each)(void *ctx, int reader, int target), void *ctx)
{
    for (int i = -1; i < g->nlayers; i++) {
        const struct qd_cfg_section *s = qd_cfg_section(g->cfg, i + 1);
        struct qd_keys k = keys_of(g, i);
        for (int p = 0; p < s->npairs; p++) {
            const char *at = names_layers(qd_key_find(&k, s->pair[p].key)) ? s->pair[p].value : "";
            while (*at) {
                size_t len = strcspn(at, ",");
                long long number;
                int t = qd_num_intn(at, len, &number) ? target_of(g, i, number) : -1;
                if (t >= 0)
                    each(ctx, i, t);
                at += len + (at[len] != 0);
            }
        }
    }
}

static int refuse(const struct job *j, int reader, int line, const char *why, struct qd_error *err)
{
    return qd_error_at(err, QD_EUNSUP, qd_cfg_name(j->m->cfg), line,
        "layers cannot be removed so: layer %d, [%s], %s", reader,
        qd_cfg_section(j->m->cfg, reader + 1)->name, why);
}

/* One number of a key, as it must be now. */
static int renumber(const struct job *j, int reader, const struct qd_cfg_pair *pair,
    long long *number, struct qd_error *err)
{
    int t = target_of(j->m->graph, reader, *number);
    char why[64];

    if (t < 0)
        return 0;
    if (j->left[t] < 0) {
        snprintf(why, sizeof(why), "reads layer %d", t);
        return refuse(j, reader, pair->line, why, err);
    }
    if (*number >= 0)
        *number = j->left[t];
    else if (j->left[t] < j->left[reader])
        *number = j->left[t] - j->left[reader];
    else
        return refuse(j, reader, pair->line, "would read itself", err);
    return 0;
}

static int rewrite_key(
    const struct job *j, int reader, const struct qd_cfg_pair *pair, struct qd_error *err)
{
    struct qd_buf b = {0};
    bool changed = false;
    int ret = 0;

    for (const char *at = pair->value; *at && ret == 0;) {
        size_t len = strcspn(at, ",");
        long long number, old;
        if (!qd_num_intn(at, len, &number)) {
            ret = refuse(j, reader, pair->line, "has a key that must name layers, and none", err);
            break;
        }
        old = number;
        ret = renumber(j, reader, pair, &number, err);
        changed |= number != old;
        if (number != old)
            qd_buf_printf(&b, "%lld", number);
        else
            qd_buf_add(&b, at, len);
        qd_buf_add(&b, ",", at[len] != 0);
        at += len + (at[len] != 0);
    }
    if (ret == 0)
        ret = qd_buf_ok(&b, err);
    if (ret == 0 && changed)
        ret = qd_cfg_set(j->cfg, reader + 1, pair->key, b.data, err);
    qd_buf_free(&b);
    return ret;
}

/* All that the sections which stay name; pairs are those of the old cfg, edits move the new ones.
 */
static int rewrite_all(const struct job *j, struct qd_error *err)
{
    const struct qd_graph *g = j->m->graph;

    for (int i = -1; i < g->nlayers; i++) {
        const struct qd_cfg_section *s = qd_cfg_section(g->cfg, i + 1);
        struct qd_keys k = keys_of(g, i);
        for (int p = 0; p < s->npairs && (i < 0 || j->stand_in[i] == i); p++)
            if (names_layers(qd_key_find(&k, s->pair[p].key)) &&
                rewrite_key(j, i, &s->pair[p], err) < 0)
                return -1;
    }
    return 0;
}

/* Whether a layer reads what it should, gives what it gave, and has the same parameters. */
static const char *differs(
    const struct job *j, const struct qd_layer *l, const struct qd_layer *now)
{
    if (now->type != l->type || now->nin != l->nin)
        return "would be another one";
    for (int k = 0; k < l->nin; k++)
        if (l->in[k] < 0 ? now->in[k] >= 0 : now->in[k] < 0 || now->in[k] != j->left[l->in[k]])
            return "would read another layer";
    if (now->h != l->h || now->w != l->w || now->c != l->c || now->nparams != l->nparams)
        return "would get another shape";
    for (int k = 0; k < l->nparams; k++)
        if (now->param[k].count != l->param[k].count || now->param[k].flags != l->param[k].flags)
            return "would have other parameters";
    return NULL;
}

static int copy(const struct job *j, struct qd_model *to, int *origin, struct qd_error *err)
{
    const struct qd_graph *g = j->m->graph;

    for (int i = 0; i < g->nlayers; i++) {
        const struct qd_layer *l = &g->layer[i], *now;
        if (j->stand_in[i] != i)
            continue;
        now = &to->graph->layer[j->left[i]];
        const char *why = differs(j, l, now);
        if (why)
            return refuse(j, i, l->line, why, err);
        for (int k = 0; k < l->nparams; k++)
            if (!(l->param[k].flags & QD_PARAM_SHARED))
                memcpy(to->params + now->param[k].offset, j->m->params + l->param[k].offset,
                    l->param[k].count * sizeof(*to->params));
        if (origin)
            origin[now->index] = i;
    }
    to->seen = j->m->seen;
    return 0;
}

static struct qd_model *build(struct job *j, int *origin, struct qd_error *err)
{
    struct qd_model *to;
    int ret;

    j->cfg = qd_cfg_copy(j->m->cfg, err);
    ret = j->cfg ? rewrite_all(j, err) : -1;
    for (int i = j->m->graph->nlayers - 1; i >= 0 && ret == 0; i--)
        if (j->stand_in[i] != i)
            ret = qd_cfg_remove(j->cfg, i + 1, err);
    if (ret < 0) {
        qd_cfg_free(j->cfg);
        return NULL;
    }
    to = qd_model_make(j->cfg, true, err);
    if (to && copy(j, to, origin, err) < 0) {
        qd_model_free(to);
        return NULL;
    }
    return to;
}

struct qd_model *qd_remove(
    const struct qd_model *m, const int *stand_in, int *origin, struct qd_error *err)
{
    int n = m->graph->nlayers, stays = 0;
    int *left = qd_alloc((size_t)n, sizeof(*left), err);
    struct job j = {.m = m, .left = left, .stand_in = stand_in};
    struct qd_model *to;

    if (!left)
        return NULL;
    for (int i = 0; i < n; i++) {
        QD_ASSERT(stand_in[i] >= -1 && stand_in[i] <= i);
        left[i] = stand_in[i] == i ? stays++ : stand_in[i] < 0 ? -1 : left[stand_in[i]];
    }
    to = build(&j, origin, err);
    qd_free(left);
    return to;
}
