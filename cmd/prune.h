/* SPDX-License-Identifier: MIT */
/*
 * What the commands that prune share: options, the work, warnings, the table of before and after.
 * A main is one table of options and one call:
 *
 *     static const struct cmd_opt opts[] = {PRUNE_FILES, PRUNE_PERCENT("0.5"), PRUNE_OTHERS, {0}};
 *     static const struct cmd_info info = {"qd-prune-normal", "", "...", opts, 0, 0};
 *     int main(int argc, char *argv[])
 *     {
 *         return cmd_prune(&info, "normal", argc, argv);
 *     }
 */
#ifndef CMD_PRUNE_H
#define CMD_PRUNE_H

#include "cmd.h"

/* As the user gave them. */
struct cmd_prune_opts {
    struct qd_prune_opts to; /* what goes to the library; target, goal and ranges from these: */
    const char *target, *ranges;
    int merge, score; /* enum qd_merge; 0 mean, 1 max */
    const char *masked;
    int rules, bad; /* enum qd_rules, qd_bad_labels: of the score */
};
extern struct cmd_prune_opts cmd_prune_opts;

/* Rows of the option table. */
/* clang-format off */
#define PRUNE_FILES \
    CMD_OPT_CFG_NEEDED, CMD_OPT_WEIGHTS_NEEDED, \
    {'o', "output", CMD_STR, &cmd.output, "PREFIX", "write PREFIX.cfg and PREFIX.weights", 0, 0, \
        true}
#define PRUNE_PERCENT(usual) \
    {'p', "percent", CMD_FLOAT, &cmd_prune_opts.to.percent, "P", \
        "share of the factors below the threshold [" usual "]", 0, 1, false}
#define PRUNE_TARGET \
    {'t', "target", CMD_STR, &cmd_prune_opts.target, "WHAT=X", \
        "as much as makes params, macs or ms X at most", 0, 0, false}
#define PRUNE_STRICT \
    {'S', "strict", CMD_FLAG, &cmd_prune_opts.to.strict, NULL, \
        "fail where less can go than was asked for", 0, 0, false}
#define PRUNE_ALL \
    {'a', "all", CMD_FLAG, &cmd_prune_opts.to.all, NULL, \
        "take channels of pyramids, groups and depthwise layers too", 0, 0, false}
#define PRUNE_MIN_CHANNELS \
    {'l', "min-channels", CMD_INT, &cmd_prune_opts.to.min_channels, "N", \
        "least width of a layer [1]", 1, 65536, false}
#define PRUNE_BASE(usual) \
    {'b', "base", CMD_INT, &cmd_prune_opts.to.base, "N", \
        "widths are multiples of it [" usual "]", 1, 1024, false}
#define PRUNE_LAYER_KEEP \
    {'k', "layer-keep", CMD_FLOAT, &cmd_prune_opts.to.layer_keep, "P", \
        "least share of a layer that stays [0.01]", 0, 1, false}
#define PRUNE_MERGE \
    {'m', "merge", CMD_CHOICE, &cmd_prune_opts.merge, "union|majority|root|least", \
        "which layer of a sum decides", 0, 0, false}
#define PRUNE_SHORTCUTS \
    {'n', "shortcuts", CMD_INT, &cmd_prune_opts.to.shortcuts, "N", "blocks that go [8]", 0, \
        65536, false}
#define PRUNE_SCORE \
    {'s', "score", CMD_CHOICE, &cmd_prune_opts.score, "mean|max", \
        "what a block is worth, of its factors", 0, 0, false}
#define PRUNE_GROUP \
    {'g', "group", CMD_STR, &cmd_prune_opts.ranges, "A-B:P,...", \
        "layers A to B, and their percent", 0, 0, true}
#define PRUNE_MASKED \
    {'M', "masked", CMD_STR, &cmd_prune_opts.masked, "PREFIX", \
        "also write the model at its old size", 0, 0, false}
#define PRUNE_OTHERS \
    PRUNE_MASKED, CMD_OPT_DATA, \
    {'r', "rules", CMD_CHOICE, &cmd_prune_opts.rules, "darknet|voc07|voc12|coco", \
        "of the score on -d", 0, 0, false}, \
    {'B', "bad-labels", CMD_CHOICE, &cmd_prune_opts.bad, "fail|drop|clip", \
        "what to do about bad labels", 0, 0, false}, \
    CMD_OPT_SIZE, CMD_OPT_THREADS, CMD_OPT_OVERRIDE, CMD_OPT_FORCE
/* clang-format on */

/* The whole command, by a rule of qd_prune(); what main returns. */
int cmd_prune(const struct cmd_info *info, const char *rule, int argc, char *argv[]);

/* ---- parts of it, for rules that work otherwise ---- */

/* Whether all that is going to be written can be, as far as is known. */
int cmd_prune_check(struct qd_error *err) QD_MUSTCHECK;
/* Verify the result on the first picture of -d, if there is -d. */
int cmd_prune_verify(const struct qd_pruned *p, struct qd_error *err) QD_MUSTCHECK;
/* Lines about layers, with -v. */
void cmd_prune_layers(const struct qd_model *m, const struct qd_pruned *p);
/* Write the files. */
int cmd_prune_save(const struct qd_pruned *p, struct qd_error *err) QD_MUSTCHECK;

enum { CMD_PRUNE_ROWS = 12 };
struct cmd_prune_table {
    int n;
    struct {
        const char *name;
        double value[2]; /* before, after */
        int digits;      /* after the point */
    } row[CMD_PRUNE_ROWS];
};
/* Measure two models: what they hold, and with -d how they score and how long they take. */
int cmd_prune_measure(struct cmd_prune_table *t, const struct qd_model *before,
    const struct qd_model *after, struct qd_error *err) QD_MUSTCHECK;
/* On standard output. */
void cmd_prune_print(const struct cmd_prune_table *t);

#endif
