/* SPDX-License-Identifier: MIT */
/*
 * slim (spec compression.md 2.7): also channels that sums add, one threshold for the whole net, a
 * least share of every layer stays.
 */
#include <limits.h>

#include "prune/rule.h"

static int choose(struct qd_choice *c, const struct qd_prune_opts *o, struct qd_error *err)
{
    const struct qd_cutoff cutoff = {
        .last = INT_MAX, .percent = o->percent, .strict = o->strict, .above = true};
    const struct qd_widths widths = {
        .min_channels = o->min_channels, .base = o->base, .layer_keep = o->layer_keep, .few = 1};

    if (qd_choice_vote(c, &cutoff, err) < 0)
        return -1;
    return qd_choice_settle(c, o->merge, &widths, err);
}

const struct qd_rule qd_rule_slim = {.percent = .8f, .set = QD_SPARSE_SHORTCUT, .select = choose};
