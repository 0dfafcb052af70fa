/* SPDX-License-Identifier: MIT */
/*
 * layer (spec compression.md 2.8): whole residual units go, those whose branches end with the
 * lowest factors.
 */
#include <float.h>

#include "base/error.h"
#include "base/log.h"
#include "prune/rule.h"
#include "prune/unit.h"

struct order {
    double score;
    int unit;
};

struct pick {
    const struct qd_model *m;
    struct qd_model *masked;
    struct qd_units u;
    int n; /* units that can go ... */
    struct order *order;
    bool *take;      /* [u.n] */
    const char *why; /* ... and why the first of the others cannot */
};

/* The lowest first, of equal ones the first. */
static int compare(const void *a, const void *b)
{
    const struct order *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->unit > y->unit) - (x->unit < y->unit);
}

static int list(struct pick *p, bool max_score, struct qd_error *err)
{
    if (qd_units_of(&p->u, p->m, max_score, err) < 0)
        return -1;
    p->order = qd_alloc((size_t)p->u.n + 1, sizeof(*p->order), err);
    p->take = p->order ? qd_alloc((size_t)p->u.n + 1, sizeof(*p->take), err) : NULL;
    if (!p->take)
        return -1;
    for (int k = 0; k < p->u.n; k++) {
        const struct qd_unit *x = &p->u.unit[k];
        const struct qd_layer *l = &p->m->graph->layer[x->sum];
        if (!x->why && !(x->score <= (double)FLT_MAX))
            return qd_error_at(err, QD_EDIVERGED, qd_cfg_name(p->m->cfg),
                p->m->graph->layer[x->end].line,
                "layer %d has a factor that is not a finite number", x->end);
        if (!x->why) {
            p->order[p->n++] = (struct order){x->score, k};
            continue;
        }
        p->why = p->why ? p->why : x->why;
        qd_log(QD_LOG_NOTE, "%s:%d: layer %d keeps its branch: %s", qd_cfg_name(p->m->cfg), l->line,
            x->sum, x->why);
    }
    qsort(p->order, (size_t)p->n, sizeof(*p->order), compare);
    return 0;
}

/* Mask what is taken.  1, 0 when a constant finds no reader, or -1. */
static int mask(struct pick *p, struct qd_error *err)
{
    struct qd_error no = {0};

    memcpy(p->masked->params, p->m->params, p->m->graph->nparams * sizeof(*p->masked->params));
    if (qd_units_absorb(p->masked, &p->u, p->take, &no) == 0)
        return 1;
    if (no.code != QD_EUNSUP)
        return qd_error_set(err, no.code, "%s", no.msg);
    qd_log(QD_LOG_NOTE, "%s", no.msg);
    return 0;
}

/* Take and mask the first 'want'; where constants find no reader, one after the other without those
 * that are to blame.  Returns how many. */
static int choose(struct pick *p, int want, struct qd_error *err)
{
    int got = QD_MIN(want, p->n), ret;

    for (int i = 0; i < got; i++)
        p->take[p->order[i].unit] = true;
    ret = mask(p, err);
    if (ret)
        return ret < 0 ? -1 : got;
    memset(p->take, 0, (size_t)p->u.n * sizeof(*p->take));
    got = 0;
    for (int i = 0; i < p->n && got < want; i++) {
        p->take[p->order[i].unit] = true;
        ret = mask(p, err);
        if (ret < 0)
            return -1;
        p->take[p->order[i].unit] = ret;
        got += ret;
        if (!ret && !p->why)
            p->why = "a constant of its branch finds no layer that takes it up";
    }
    return mask(p, err) < 0 ? -1 : got;
}

static int check(const struct pick *p, const struct qd_prune_opts *o, int got, struct qd_error *err)
{
    const char *why = p->why ? p->why : "the model has no more";

    if (o->shortcuts && !got)
        return qd_error_set(err, QD_EUNSUP, "'%s': no layers can be removed: %s",
            qd_cfg_name(p->m->cfg), p->u.n ? why : "no layer adds others");
    if (o->strict && got < o->shortcuts)
        return qd_error_set(err, QD_EARG, "%d of %d residual units can be removed, not %d: %s", got,
            p->u.n, o->shortcuts, why);
    return 0;
}

static int remove_units(
    struct qd_pruned *to, struct pick *p, const struct qd_prune_opts *o, struct qd_error *err)
{
    int got = choose(p, o->shortcuts, err);

    if (got < 0 || check(p, o, got, err) < 0)
        return -1;
    to->origin = qd_alloc((size_t)p->m->graph->nlayers, sizeof(*to->origin), err);
    if (!to->origin)
        return -1;
    to->compact = qd_units_remove(p->masked, &p->u, p->take, to->origin, err);
    to->units = got;
    to->blocked = o->shortcuts - got;
    to->why = got < o->shortcuts ? p->why : NULL;
    for (int i = 0; i < p->n; i++)
        if (p->take[p->order[i].unit])
            to->threshold = (float)p->order[i].score;
    return to->compact ? 0 : -1;
}

static int step(struct qd_pruned *to, const struct qd_model *m, const struct qd_prune_opts *o,
    size_t *steps, struct qd_error *err)
{
    struct pick p = {.m = m};
    int ret = -1;

    p.masked = to->masked = qd_model_copy(m, err);
    if (p.masked && list(&p, o->max_score, err) == 0)
        ret = remove_units(to, &p, o, err);
    *steps = (size_t)p.n;
    qd_units_free(&p.u);
    qd_free(p.order);
    qd_free(p.take);
    return ret;
}

const struct qd_rule qd_rule_layer = {.set = QD_SPARSE_LAYER, .units = true, .step = step};
