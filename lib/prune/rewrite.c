/* SPDX-License-Identifier: MIT */
/*
 * From a model and the channel groups that go to the compact model.  Every layer says which of its
 * numbers change and what is left of its parameters (members 'narrow' and 'slice'); this file only
 * checks the cut, asks them in turn and compares the result with what was asked for.
 */
#include "prune/rewrite.h"

#include "base/error.h"

static int refuse(const struct qd_layer *l, struct qd_error *err, const char *why)
{
    return qd_error_at(err, QD_EUNSUP, qd_cfg_name(l->graph->cfg), l->line,
        "layer %d, [%s], cannot be pruned so: %s", l->index, l->type->section, why);
}

static int check(const struct qd_groups *g, const bool *dead, struct qd_error *err)
{
    for (int k = 0; k < g->ngroups; k++) {
        int first = g->member[g->begin[k]], owner = g->owner[first];
        if (!dead[k] || !g->why[k])
            continue;
        if (owner < 0)
            return qd_error_set(err, QD_EUNSUP, "the input of the net cannot be pruned");
        return qd_error_at(err, QD_EUNSUP, qd_cfg_name(g->graph->cfg), g->graph->layer[owner].line,
            "channel %d of layer %d must stay: %s", first - g->first[owner + 1], owner, g->why[k]);
    }
    for (int i = 0; i < g->graph->nlayers; i++)
        if (!qd_groups_alive(g, i, dead))
            return refuse(&g->graph->layer[i], err, "none of its channels is left");
    return 0;
}

/* Whether output and sources keep all their channels. */
static bool whole(const struct qd_layer *l, const struct qd_cut *cut)
{
    bool all = true;

    for (int i = -1; i < l->nin; i++) {
        int layer = i < 0 ? l->index : l->in[i];
        for (int c = cut->first[layer + 1]; c < cut->first[layer + 2]; c++)
            all &= cut->stays[c];
    }
    return all;
}

static struct qd_cfg *narrow(
    const struct qd_model *m, const struct qd_cut *cut, struct qd_error *err)
{
    struct qd_cfg *cfg = qd_cfg_copy(m->cfg, err);

    for (int i = 0; cfg && i < m->graph->nlayers; i++) {
        const struct qd_layer *l = &m->graph->layer[i];
        if (l->type->narrow && !whole(l, cut) && l->type->narrow(l, cut, cfg, err) < 0) {
            qd_cfg_free(cfg);
            return NULL;
        }
    }
    return cfg;
}

/* The parameters of a layer that keeps everything, as they are. */
static void copy(
    const struct qd_layer *l, const struct qd_layer *less, const float *from, float *to)
{
    for (int k = 0; k < l->nparams; k++)
        if (!(l->param[k].flags & QD_PARAM_SHARED))
            memcpy(to + less->param[k].offset, from + l->param[k].offset,
                l->param[k].count * sizeof(*to));
}

static int slice(
    const struct qd_model *m, const struct qd_cut *cut, struct qd_model *to, struct qd_error *err)
{
    for (int i = 0; i < m->graph->nlayers; i++) {
        const struct qd_layer *l = &m->graph->layer[i], *less = &to->graph->layer[i];
        int left = 0;
        for (int c = cut->first[i + 1]; c < cut->first[i + 2]; c++)
            left += cut->stays[c];
        if (less->c != left || less->nparams != l->nparams)
            return refuse(l, err, "its cfg cannot say which channels are left");
        if (whole(l, cut))
            copy(l, less, m->params, to->params);
        else if (l->type->slice)
            l->type->slice(l, less, cut, m->params, to->params);
        else if (l->nparams)
            return refuse(l, err, "it needs all channels");
    }
    to->seen = m->seen;
    return 0;
}

struct qd_model *qd_rewrite(
    const struct qd_model *m, const struct qd_groups *g, const bool *dead, struct qd_error *err)
{
    bool *stays = qd_alloc((size_t)g->nchannels, sizeof(*stays), err);
    struct qd_cut cut = {.first = g->first, .stays = stays};
    struct qd_model *to = NULL;
    struct qd_cfg *cfg;

    QD_ASSERT(g->graph == m->graph);
    if (!stays || check(g, dead, err) < 0)
        goto done;
    for (int i = 0; i < g->nchannels; i++)
        stays[i] = !dead[g->group[i]];
    cfg = narrow(m, &cut, err);
    to = cfg ? qd_model_make(cfg, true, err) : NULL;
    if (to && slice(m, &cut, to, err) < 0) {
        qd_model_free(to);
        to = NULL;
    }
done:
    qd_free(stays);
    return to;
}

struct qd_cfg *qd_rewrite_cfg(
    const struct qd_model *m, const struct qd_groups *g, const bool *dead, struct qd_error *err)
{
    bool *stays = qd_alloc((size_t)g->nchannels, sizeof(*stays), err);
    struct qd_cut cut = {.first = g->first, .stays = stays};
    struct qd_cfg *cfg = NULL;

    QD_ASSERT(g->graph == m->graph);
    if (stays && check(g, dead, err) == 0) {
        for (int i = 0; i < g->nchannels; i++)
            stays[i] = !dead[g->group[i]];
        cfg = narrow(m, &cut, err);
    }
    qd_free(stays);
    return cfg;
}
