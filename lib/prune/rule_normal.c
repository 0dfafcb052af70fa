/* SPDX-License-Identifier: MIT */
/*
 * normal (spec compression.md 2.4): channels that no sum adds to others, below one threshold for
 * the whole net.
 */
#include <limits.h>

#include "prune/rule.h"

static int choose(struct qd_choice *c, const struct qd_prune_opts *o, struct qd_error *err)
{
    const struct qd_cutoff cutoff = {.last = INT_MAX, .percent = o->percent, .strict = o->strict};
    const struct qd_widths widths = {.min_channels = o->min_channels, .base = o->base};

    if (qd_choice_vote(c, &cutoff, err) < 0)
        return -1;
    return qd_choice_settle(c, QD_MERGE_UNION, &widths, err);
}

const struct qd_rule qd_rule_normal = {.percent = .5f, .set = QD_SPARSE_NORMAL, .select = choose};
