/* SPDX-License-Identifier: MIT */
/*
 * Pruning: options, the rule, one step or several, and the check that is always on.
 */
#include "prune/prune.h"

#include "base/error.h"
#include "prune/rewrite.h"

/* Numbers instead of defaults. */
static int settle(struct qd_prune_opts *o, const struct qd_rule *rule, struct qd_error *err)
{
    o->percent = o->percent < 0 ? rule->percent : o->percent;
    o->layer_keep = o->layer_keep < 0 ? .01f : o->layer_keep;
    o->shortcuts = o->shortcuts < 0 ? 8 : o->shortcuts;
    if (!(o->layer_keep <= 1))
        return qd_error_set(
            err, QD_EARG, "layer_keep must be at most 1, not %g", (double)o->layer_keep);
    if (o->base < 0 || o->min_channels < 0 || o->w < 0 || o->h < 0)
        return qd_error_set(err, QD_EARG, "a number of channels or pixels is below 0");
    if (o->target != QD_TARGET_NONE && !(o->goal > 0))
        return qd_error_set(err, QD_EARG, "the goal must be above 0, not %g", o->goal);
    return 0;
}

static int *identity(int n, struct qd_error *err)
{
    int *origin = qd_alloc((size_t)n, sizeof(*origin), err);

    for (int i = 0; origin && i < n; i++)
        origin[i] = i;
    return origin;
}

/* Of the factors that could be taken, the share that is next to nothing. */
static float small(const struct qd_choice *c)
{
    size_t below = 0;

    for (int k = 0; k < c->set.n; k++)
        for (int i = c->groups->first[c->set.layer[k] + 1];
             i < c->groups->first[c->set.layer[k] + 2]; i++)
            below += c->score[i] < .01f;
    return (float)((double)below / (double)c->set.channels);
}

/* What the choice was, for the user. */
static void report(struct qd_pruned *p, const struct qd_choice *c)
{
    p->percent = c->percent;
    p->limit = c->limit;
    p->threshold = c->threshold;
    p->small = small(c);
    p->blocked = c->blocked;
    p->why = c->why;
    for (int i = 0; i < c->model->graph->nlayers; i++)
        p->raised += c->raised[i];
}

/* The choice is made on the copy that is masked afterwards, whose graph the groups are of. */
int qd_prune_channels(struct qd_pruned *p, const struct qd_model *m, const struct qd_rule *rule,
    const struct qd_prune_opts *o, size_t *steps, struct qd_error *err)
{
    struct qd_choice c = {0};
    int ret = -1;

    p->masked = qd_model_copy(m, err);
    if (!p->masked || qd_choice_open(&c, p->masked, o->all ? QD_SPARSE_ALL : rule->set, err) < 0)
        return -1;
    if (rule->select(&c, o, err) < 0 || qd_absorb_extend(&p->masked, c.groups, c.dead, err) < 0)
        goto done;
    c.model = p->masked; /* another one where a layer had to be extended */
    if (qd_absorb(p->masked, c.groups, c.dead, err) < 0)
        goto done;
    p->compact = qd_rewrite(p->masked, c.groups, c.dead, err);
    p->origin = p->compact ? identity(m->graph->nlayers, err) : NULL;
    if (!p->origin)
        goto done;
    report(p, &c);
    *steps = c.factors;
    ret = 0;
done:
    qd_choice_close(&c);
    return ret;
}

int qd_prune_step(struct qd_pruned *p, const struct qd_model *m, const struct qd_rule *rule,
    const struct qd_prune_opts *o, size_t *steps, struct qd_error *err)
{
    return rule->step ? rule->step(p, m, o, steps, err)
                      : qd_prune_channels(p, m, rule, o, steps, err);
}

int qd_prune(struct qd_pruned *p, const struct qd_model *m, const char *name,
    const struct qd_prune_opts *opts, struct qd_error *err)
{
    static const struct qd_prune_opts defaults = QD_PRUNE_OPTS_INIT;
    const struct qd_rule *rule = qd_rule_find(name);
    struct qd_prune_opts o = opts ? *opts : defaults;
    size_t steps;

    *p = (struct qd_pruned){0};
    if (!rule)
        return qd_error_set(err, QD_EARG, "no rule of pruning is called '%s'", name);
    if (settle(&o, rule, err) < 0)
        return -1;
    if (o.target != QD_TARGET_NONE && rule->fixed)
        return qd_error_set(err, QD_EARG, "rule '%s' has no percent to meet a goal with", name);
    if (o.target != QD_TARGET_NONE && qd_target_meet(m, rule, &o, err) < 0)
        return -1;
    if (qd_prune_step(p, m, rule, &o, &steps, err) < 0 ||
        qd_verify_step(p->masked, p->compact, &o, &p->difference, err) < 0) {
        qd_pruned_free(p);
        return -1;
    }
    return 0;
}

void qd_pruned_free(struct qd_pruned *p)
{
    qd_model_free(p->masked);
    qd_model_free(p->compact);
    qd_free(p->origin);
    *p = (struct qd_pruned){0};
}
