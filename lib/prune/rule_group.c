/* SPDX-License-Identifier: MIT */
/*
 * group (spec compression.md 2.10): as slim, but ranges of layers have thresholds of their own.
 */
#include "base/error.h"
#include "prune/rule.h"

enum { FEW = 16 };

static int check(const struct qd_prune_opts *o, int nlayers, struct qd_error *err)
{
    if (!o->nranges)
        return qd_error_set(err, QD_EARG, "rule 'group' needs ranges of layers");
    for (int i = 0; i < o->nranges; i++) {
        const struct qd_prune_range *r = &o->ranges[i];
        if (r->first < 0 || r->first > r->last || r->last >= nlayers)
            return qd_error_set(err, QD_EARG, "the net of %d layers has no range of layers %d-%d",
                nlayers, r->first, r->last);
        for (int k = 0; k < i; k++)
            if (r->first <= o->ranges[k].last && r->last >= o->ranges[k].first)
                return qd_error_set(err, QD_EARG, "ranges of layers %d-%d and %d-%d overlap",
                    o->ranges[k].first, o->ranges[k].last, r->first, r->last);
    }
    return 0;
}

static int choose(struct qd_choice *c, const struct qd_prune_opts *o, struct qd_error *err)
{
    const struct qd_widths widths = {
        .min_channels = o->min_channels, .base = o->base, .layer_keep = o->layer_keep, .few = FEW};

    if (check(o, c->model->graph->nlayers, err) < 0)
        return -1;
    for (int i = 0; i < o->nranges; i++) {
        const struct qd_prune_range *r = &o->ranges[i];
        const struct qd_cutoff cutoff = {.first = r->first,
            .last = r->last,
            .percent = r->percent,
            .above = true,
            .strict = o->strict};
        if (qd_choice_vote(c, &cutoff, err) < 0)
            return -1;
    }
    c->percent = (float)((double)c->below / (double)c->factors);
    c->threshold = 0;
    return qd_choice_settle(c, o->merge, &widths, err);
}

const struct qd_rule qd_rule_group = {.set = QD_SPARSE_SHORTCUT, .fixed = true, .select = choose};
