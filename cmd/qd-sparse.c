/* SPDX-License-Identifier: MIT */
/*
 * qd-sparse: train with a penalty of the factors of batch normalization, so that those of channels
 * that matter little go to zero and can be pruned.  Training is that of qd-train; here are which
 * factors are meant, and what is told of them after each epoch and at the end.
 */
#include <stdio.h>
#include <string.h>

#include "train.h"

static int kind = 1, schedule = QD_SPARSITY_LOCAL;

/* The words of -P, twice as many as there are kinds: numbers, then names. */
#define KINDS "0|1|2|3|normal|shortcut|layer|all"
static const enum qd_sparse kinds[] = {
    QD_SPARSE_NORMAL, QD_SPARSE_SHORTCUT, QD_SPARSE_LAYER, QD_SPARSE_ALL};
enum { NKINDS = sizeof(kinds) / sizeof(*kinds) };

#define SPARSITY cmd_train_opts.to.sparsity
static const struct cmd_opt opts[] = {
    {'s', "s", CMD_FLOAT, &SPARSITY.s, "X", "strength of the penalty, 0: none", 0, 1000, false},
    {'P', "prune", CMD_CHOICE, &kind, KINDS, "what is to be pruned", 0, 0, false},
    {'T', "s-schedule", CMD_CHOICE, &schedule, "constant|global|local|dynamic",
        "how strong in the course of the run", 0, 0, false},
    {'F', "s-switch", CMD_FLOAT, &SPARSITY.from, "X",
        "share of the run after which it weakens [.5, dynamic .4]", 0, 1, false},
    {'G', "s-protect", CMD_FLOAT, &SPARSITY.protect, "X",
        "share of the factors it weakens for [.15, dynamic .35]", 0, 1, false},
    {'Y', "s-decay", CMD_FLOAT, &SPARSITY.decay, "X", "what is left of it then [.01]", 0, 1, false},
    {'X', "proximal", CMD_FLAG, &SPARSITY.proximal, NULL,
        "shrink the factors after each update: gives exact zeros", 0, 0, false},
    {'a', "s-legacy", CMD_FLAG, &SPARSITY.legacy, NULL,
        "once for every part of a batch, as older programs do", 0, 0, false},
    CMD_TRAIN_OPTS('u'), {0}};

static const struct cmd_info info = {
    "qd-sparse", "", "train so that channels or layers can be pruned", opts, 0, 0};

/* Why there is nothing to make sparse, and what to do about it. */
static int nothing(const struct qd_model *m, enum qd_sparse k, struct qd_error *err)
{
    struct qd_set other = {0};

    if (k == QD_SPARSE_LAYER)
        return cmd_error_set(err, QD_EARG,
            "no layer with batch normalization ends the branch of a [shortcut]: -P layer has "
            "nothing to work on (try -P shortcut)");
    if (k == QD_SPARSE_NORMAL && qd_set_of(&other, m, QD_SPARSE_SHORTCUT, err) < 0)
        return -1;
    int n = other.n;
    qd_set_free(&other);
    return cmd_error_set(err, QD_EARG, "no layer with batch normalization has %s",
        n ? "channels that are not added to others': -P normal has nothing to work on (try -P "
            "shortcut)"
          : "channels that can be taken out");
}

static struct qd_set set;

static int prepare(struct qd_train_opts *o, const struct qd_model *m, struct qd_error *err)
{
    if (qd_set_of(&set, m, kinds[kind % NKINDS], err) < 0)
        return -1;
    if (set.n == 0)
        return nothing(m, kinds[kind % NKINDS], err);
    o->sparsity.schedule = (enum qd_sparsity_schedule)schedule;
    o->sparsity.layers = set.layer;
    o->sparsity.nlayers = set.n;
    cmd_note("%zu factors of %d layers", set.channels, set.n);
    return 0;
}

/* ------------------------------------------------------------------ what is told -------------- */

/* A line after each epoch: where the factors are. */
static void row(struct qd_train *t, const struct qd_train_row *r)
{
    struct qd_sparsity_stats s;
    const float *q = s.quantile;

    if (!qd_train_sparsity(t, &s) || s.iteration != r->iteration)
        return;
    cmd_say("epoch %ld: %.1f %% of the factors are below .01, %.1f %% below .001; at 10 30 50 70 "
            "90 %% "
            "of them %.3f %.3f %.3f %.3f %.3f; at most %.1f %% can go",
        (long)r->epoch + 1, 100 * s.below_01, 100 * s.below_001, (double)q[0], (double)q[2],
        (double)q[4], (double)q[6], (double)q[8], 100 * s.safe);
}

/* The library warns when they have not separated. */
static void end(struct qd_train *t)
{
    struct qd_sparsity_stats s;

    if (!qd_train_sparsity(t, &s) || !s.separated)
        return;
    cmd_say("the factors have separated: %.1f %% of %zu are below .01 and can go at little cost%s",
        100 * s.below_01, s.channels,
        s.safe < s.below_01 ? ", where a rule keeps channels of layers that would be empty" : "");
}

int main(int argc, char *argv[])
{
    static const struct cmd_trainer sparse = {prepare, row, end};

    SPARSITY.s = .001f;
    cmd_parse(&info, argc, argv);
    int ret = cmd_train(&sparse);
    qd_set_free(&set);
    return ret;
}
