/* SPDX-License-Identifier: MIT */
/*
 * shortcut (spec compression.md 2.6): also channels that sums add; the first layer of a sum
 * decides for all.  One threshold from these and from the layers outside sums.
 */
#include <limits.h>

#include "prune/rule.h"

static int choose(struct qd_choice *c, const struct qd_prune_opts *o, struct qd_error *err)
{
    const struct qd_cutoff cutoff = {
        .last = INT_MAX, .percent = o->percent, .strict = o->strict, .roots = true};
    const struct qd_widths widths = {.min_channels = o->min_channels, .base = o->base};

    if (qd_choice_vote(c, &cutoff, err) < 0)
        return -1;
    return qd_choice_settle(c, QD_MERGE_ROOT, &widths, err);
}

const struct qd_rule qd_rule_shortcut = {
    .percent = .6f, .set = QD_SPARSE_SHORTCUT, .select = choose};
