/* SPDX-License-Identifier: MIT */
/*
 * What commands that train share: options, the model, the log on standard output, and signals,
 * which end a run after its iteration.  A main parses a table that ends with CMD_TRAIN_OPTS and
 * returns cmd_train().
 */
#ifndef CMD_TRAIN_H
#define CMD_TRAIN_H

#include "cmd.h"

/* As the user gave them. */
struct cmd_train_opts {
    struct qd_train_opts to; /* what goes to the library */
    int epochs, max_batches, batch, subdivisions, seed, pretrained, eval_every, save_every;
    int state_every, workers, cache_mb;
    int rules, optimizer, augmentation, bad; /* enum ... of qd.h */
};
extern struct cmd_train_opts cmd_train_opts;

/* The rows of the option table; 'parts' is the letter of --subdivisions. */
/* clang-format off */
#define CMD_TRAIN_OPTS(parts) \
    CMD_OPT_CFG_NEEDED, CMD_OPT_WEIGHTS, \
    {'d', "data", CMD_STR, &cmd.data, "FILE", "data set, a darknet .data file", 0, 0, true}, \
    {'o', "output", CMD_STR, &cmd.output, "PREFIX", "of the files that are written", 0, 0, true}, \
    {'e', "epochs", CMD_INT, &cmd_train_opts.epochs, "N", "how long [the cfg's max_batches]", 1, \
        1000000, false}, \
    {'n', "max-batches", CMD_INT, &cmd_train_opts.max_batches, "N", \
        "how long, in iterations [the cfg's]", 1, 2147483647, false}, \
    {'b', "batch-size", CMD_INT, &cmd_train_opts.batch, "N", \
        "images of an iteration [the cfg's]", 1, 65536, false}, \
    {parts, "subdivisions", CMD_INT, &cmd_train_opts.subdivisions, "N", \
        "parts of a batch [the cfg's]", 1, 65536, false}, \
    {'S', "seed", CMD_INT, &cmd_train_opts.seed, "N", "the same seed gives the same bytes", 0, \
        2147483647, false}, \
    {'r', "resume", CMD_FLAG, &cmd_train_opts.to.resume, NULL, \
        "go on with the run of that prefix", 0, 0, false}, \
    {'p', "pretrained", CMD_INT, &cmd_train_opts.pretrained, "N", \
        "take only the first N layers from -w [all]", 1, 1000000, false}, \
    {'l', "loss", CMD_STR, &cmd_train_opts.to.loss, "NAME", \
        "loss of the heads: darknet, exact, ultralytics, pj [darknet]", 0, 0, false}, \
    {'O', "optimizer", CMD_CHOICE, &cmd_train_opts.optimizer, "cfg|sgd|nesterov|adam|adamw", \
        "how parameters are updated", 0, 0, false}, \
    {'A', "augment", CMD_CHOICE, &cmd_train_opts.augmentation, "cfg|none|ultralytics", \
        "how images are varied", 0, 0, false}, \
    {'R', "replacement", CMD_FLAG, &cmd_train_opts.to.replacement, NULL, \
        "draw images with replacement, as darknet does", 0, 0, false}, \
    {'m', "multi-scale", CMD_FLOAT, &cmd_train_opts.to.multi_scale, "X", \
        "vary the input size by up to this factor, 0: never [cfg: random]", 0, 4, false}, \
    {'M', "ema", CMD_FLOAT, &cmd_train_opts.to.ema, "X", \
        "decay of averaged weights, 0: as the cfg says", 0, .999999, false}, \
    {'N', "bn-momentum", CMD_FLOAT, &cmd_train_opts.to.bn_momentum, "X", \
        "of running statistics [0.99, in runs of under 1000 iterations 0.9]", 0, .99999, false}, \
    {'E', "eval-every", CMD_INT, &cmd_train_opts.eval_every, "N", \
        "score valid= every N iterations, 0: never [4 epochs, at least 100]", 0, 2147483647, \
        false}, \
    {'x', "rules", CMD_CHOICE, &cmd_train_opts.rules, "darknet|voc07|voc12|coco", \
        "of that score", 0, 0, false}, \
    {'k', "save-every", CMD_INT, &cmd_train_opts.save_every, "N", \
        "keep numbered weights, 0: none [saveweights of the data]", 0, 2147483647, false}, \
    {'K', "state-every", CMD_INT, &cmd_train_opts.state_every, "N", \
        "save what --resume needs [savelast of the data, 100]", 1, 2147483647, false}, \
    {'B', "bad-labels", CMD_CHOICE, &cmd_train_opts.bad, "fail|drop|clip", \
        "what to do about bad labels", 0, 0, false}, \
    {'W', "workers", CMD_INT, &cmd_train_opts.workers, "N", \
        "threads that prepare images [half of -j]", 0, 64, false}, \
    {'C', "cache", CMD_INT, &cmd_train_opts.cache_mb, "MB", "decoded images kept in memory", 0, \
        1048576, false}, \
    CMD_OPT_SIZE, CMD_OPT_THREADS, CMD_OPT_OVERRIDE, CMD_OPT_FORCE
/* clang-format on */

/* What a command adds to a run; each may be NULL. */
struct cmd_trainer {
    /* Before the run: its options, for this model. */
    int (*prepare)(struct qd_train_opts *o, const struct qd_model *m, struct qd_error *err);
    /* After each iteration, and after the last. */
    void (*row)(struct qd_train *t, const struct qd_train_row *row);
    void (*end)(struct qd_train *t);
};

/* The whole command after cmd_parse(); what main returns, if a signal does not end it. */
int cmd_train(const struct cmd_trainer *c);

#endif
