/* SPDX-License-Identifier: MIT */
/*
 * Before the first iteration: everything that a training run will read is looked at, so that it
 * does not fail, or worse, learn from wrong data, hours later (spec: darknet.md 4, 10).
 */
#ifndef QD_PREFLIGHT_H
#define QD_PREFLIGHT_H

#include "data/dataset.h"

/* Check all samples of a set whose list has been read, load the labels, fill d->stats.  What
 * qd_dataset_open does after reading the list. */
int qd_preflight_samples(
    struct qd_dataset *d, const struct qd_dataset_opts *opts, struct qd_error *err) QD_MUSTCHECK;

struct qd_preflight_opts {
    const char *data; /* the .data file */
    int classes;      /* of the model; 0: not known */
    bool classifier;
    bool train, valid; /* which sets are wanted; a .data file without valid= gives train's */
    enum qd_bad_labels bad;
    int max_lines; /* as in qd_dataset_opts, for each set */
};
struct qd_sets {
    struct qd_data *data;
    struct qd_names *names;   /* NULL: the .data file names none */
    struct qd_dataset *train; /* NULL: not wanted */
    struct qd_dataset *valid; /* NULL: not wanted; may be the same as train */
    int classes;
};

/* Read a .data file and open its sets.  Defects of both sets are listed before the call fails.
 * Images that are in both are counted in a warning. */
int qd_sets_open(
    const struct qd_preflight_opts *opts, struct qd_sets *out, struct qd_error *err) QD_MUSTCHECK;
void qd_sets_close(struct qd_sets *sets);

/* Log what a set holds as notes: images, boxes, and a line a class. */
void qd_dataset_log(const struct qd_dataset *d);

#endif
