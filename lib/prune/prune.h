/* SPDX-License-Identifier: MIT */
#ifndef QD_PRUNE_H
#define QD_PRUNE_H

#include "prune/rule.h"

/*
 * The step of a rule that has a member 'select' (struct qd_rule says what the others are): choose,
 * absorb the constants of what goes, cut it out.  For rules of several steps, too.
 */
int qd_prune_channels(struct qd_pruned *p, const struct qd_model *m, const struct qd_rule *rule,
    const struct qd_prune_opts *o, size_t *steps, struct qd_error *err) QD_MUSTCHECK;

/* The step of any rule; not verified. */
int qd_prune_step(struct qd_pruned *p, const struct qd_model *m, const struct qd_rule *rule,
    const struct qd_prune_opts *o, size_t *steps, struct qd_error *err) QD_MUSTCHECK;

/*
 * qd_verify() on a picture of random pixels, of the size that 'o' says or else a small one where
 * the net can have it: the memory for filters that are transformed for large maps is what would be
 * the peak of pruning a large net.
 */
int qd_verify_step(const struct qd_model *masked, const struct qd_model *compact,
    const struct qd_prune_opts *o, double *far, struct qd_error *err) QD_MUSTCHECK;

/*
 * Set percent or shortcuts of 'o' so that what the rule leaves of m comes closest to the goal of
 * 'o' and not above it (struct qd_prune_opts).  QD_EARG with the least that can be reached when
 * that is above the goal.
 */
int qd_target_meet(const struct qd_model *m, const struct qd_rule *rule, struct qd_prune_opts *o,
    struct qd_error *err) QD_MUSTCHECK;

#endif
