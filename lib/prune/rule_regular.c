/* SPDX-License-Identifier: MIT */
/*
 * regular (spec compression.md 2.5): as normal, but the widths that are left are multiples of
 * 'base', or what they were: a width that is none stays whole when the next multiple is above it.
 */
#include <limits.h>

#include "prune/rule.h"

enum { BASE = 8 };

static int choose(struct qd_choice *c, const struct qd_prune_opts *o, struct qd_error *err)
{
    const struct qd_cutoff cutoff = {.last = INT_MAX, .percent = o->percent, .strict = o->strict};
    const struct qd_widths widths = {
        .min_channels = o->min_channels, .base = o->base ? o->base : BASE};

    if (qd_choice_vote(c, &cutoff, err) < 0)
        return -1;
    return qd_choice_settle(c, QD_MERGE_UNION, &widths, err);
}

const struct qd_rule qd_rule_regular = {.percent = .5f, .set = QD_SPARSE_NORMAL, .select = choose};
