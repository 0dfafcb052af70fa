/* SPDX-License-Identifier: MIT */
#ifndef QD_RULE_H
#define QD_RULE_H

#include "prune/select.h"

/*
 * A rule of pruning: one file, and one line in the table.  It has one of two members: 'select'
 * leaves the work to qd_prune_channels() and says which channels go; 'step' does all of it.
 * Options come with numbers instead of defaults: percent, layer_keep, shortcuts; base and
 * min_channels may be 0.
 */
struct qd_rule {
    float percent;      /* the default */
    enum qd_sparse set; /* whose channels it takes, unless the options say all */
    bool units;         /* a target is met by the number of units, not by the percent */
    bool fixed;         /* there is nothing that could be changed to meet a target */
    /* Votes (qd_choice_vote) and widths (qd_choice_settle); c is open. */
    int (*select)(struct qd_choice *c, const struct qd_prune_opts *o, struct qd_error *err);
    /*
     * From m to all of *p but 'difference'; p is 0 before, and freed by the caller on failure.
     * 'steps' gets how fine a target can be met: how many factors the threshold was found in, or
     * how many units there are.
     */
    int (*step)(struct qd_pruned *p, const struct qd_model *m, const struct qd_prune_opts *o,
        size_t *steps, struct qd_error *err);
};

/* All rules: symbol, name. */
/* clang-format off */
#define QD_RULES(X)                   \
    X(normal, "normal")               \
    X(regular, "regular")             \
    X(shortcut, "shortcut")           \
    X(slim, "slim")                   \
    X(layer, "layer")                 \
    X(layer_channel, "layer-channel") \
    X(group, "group")
/* clang-format on */

#define QD_RULE_EXTERN(symbol, name) extern const struct qd_rule qd_rule_##symbol;
QD_RULES(QD_RULE_EXTERN)

/* The rule of a name, or NULL. */
const struct qd_rule *qd_rule_find(const char *name);

#endif
