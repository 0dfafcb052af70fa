/* SPDX-License-Identifier: MIT */
/*
 * Before constants are absorbed: which of them nothing can take up, and which layers need more
 * parameters to do so.  Both are found by an absorption whose result is thrown away.
 */
#include "base/error.h"
#include "prune/rewrite.h"

/* An absorption into a copy. */
struct trial {
    bool *stays;
    struct qd_cut cut;
    struct qd_absorb a;
};

static void end(struct trial *t)
{
    qd_free(t->stays);
    qd_free(t->a.value);
    qd_free(t->a.to);
}

/* dead NULL: all groups that are not kept.  end() also after failure. */
static int begin(struct trial *t, const struct qd_model *m, const struct qd_groups *g,
    const bool *dead, struct qd_error *err)
{
    QD_ASSERT(g->graph == m->graph);
    *t = (struct trial){0};
    t->stays = qd_alloc((size_t)g->nchannels, sizeof(*t->stays), err);
    t->a.value = t->stays ? qd_alloc((size_t)g->nchannels + 1, sizeof(*t->a.value), err) : NULL;
    t->a.to = t->a.value ? qd_alloc(m->graph->nparams, sizeof(*t->a.to), err) : NULL;
    if (!t->a.to)
        return -1;
    for (int i = 0; i < g->nchannels; i++)
        t->stays[i] = dead ? !dead[g->group[i]] : g->why[g->group[i]] != NULL;
    memcpy(t->a.to, m->params, m->graph->nparams * sizeof(*t->a.to));
    t->cut = (struct qd_cut){.first = g->first, .stays = t->stays};
    t->a.cut = &t->cut;
    t->a.from = m->params;
    return 0;
}

int qd_absorb_blocked(
    const struct qd_model *m, const struct qd_groups *g, const char **why, struct qd_error *err)
{
    struct trial t;
    int ret = begin(&t, m, g, NULL, err);

    if (ret == 0) {
        t.a.extend = qd_alloc((size_t)m->graph->nlayers, sizeof(*t.a.extend), err);
        t.a.why = t.a.extend ? qd_alloc((size_t)g->nchannels, sizeof(*t.a.why), err) : NULL;
        ret = t.a.why ? qd_absorb_walk(m->graph, &t.a, err) : -1;
    }
    for (int i = 0; ret == 0 && i < g->nchannels; i++)
        if (!t.stays[i] && t.a.why[i] && !why[g->group[i]])
            why[g->group[i]] = t.a.why[i];
    qd_free(t.a.extend);
    qd_free(t.a.why);
    end(&t);
    return ret;
}

/* ---- layers that need more parameters -------------------------------------------------------- */

/* The model of m with the cfg, whose layers have the parameters of m and others, which get 0. */
static struct qd_model *adopt(const struct qd_model *m, struct qd_cfg *cfg, struct qd_error *err)
{
    struct qd_model *to = qd_model_make(cfg, true, err);

    for (int i = 0; to && i < m->graph->nlayers; i++) {
        const struct qd_layer *l = &m->graph->layer[i], *more = &to->graph->layer[i];
        for (int k = 0; k < more->nparams; k++) {
            const struct qd_param *p = &more->param[k], *old = qd_layer_find_param(l, p->name);
            if (p->flags & QD_PARAM_SHARED)
                continue;
            QD_ASSERT(!old || old->count == p->count);
            if (old)
                memcpy(to->params + p->offset, m->params + old->offset, p->count * sizeof(float));
            else
                memset(to->params + p->offset, 0, p->count * sizeof(float));
        }
    }
    if (to)
        to->seen = m->seen;
    return to;
}

static struct qd_model *extend(const struct qd_model *m, const bool *which, struct qd_error *err)
{
    struct qd_cfg *cfg = qd_cfg_copy(m->cfg, err);

    for (int i = 0; cfg && i < m->graph->nlayers; i++) {
        const struct qd_layer *l = &m->graph->layer[i];
        if (which[i] && l->type->extend(l, cfg, err) < 0) {
            qd_cfg_free(cfg);
            return NULL;
        }
    }
    return cfg ? adopt(m, cfg, err) : NULL;
}

int qd_absorb_extend(
    struct qd_model **m, struct qd_groups *g, const bool *dead, struct qd_error *err)
{
    struct trial t;
    struct qd_model *more = NULL;
    bool any = false;
    int ret;

    for (int i = 0; i < g->graph->nlayers; i++)
        any |= g->graph->layer[i].type->extend != NULL;
    if (!any)
        return 0;
    any = false;
    ret = begin(&t, *m, g, dead, err);
    t.a.extend = ret == 0 ? qd_alloc((size_t)g->graph->nlayers, sizeof(bool), err) : NULL;
    ret = t.a.extend ? qd_absorb_walk(g->graph, &t.a, err) : -1;
    for (int i = 0; ret == 0 && i < g->graph->nlayers; i++)
        any |= t.a.extend[i];
    if (any) {
        more = extend(*m, t.a.extend, err);
        ret = more ? 0 : -1;
    }
    if (more) {
        qd_groups_move(g, more->graph);
        qd_model_free(*m);
        *m = more;
    }
    qd_free(t.a.extend);
    end(&t);
    return ret;
}
