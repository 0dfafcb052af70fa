/* SPDX-License-Identifier: MIT */
#ifndef QD_SETDIR_H
#define QD_SETDIR_H

#include "base/arena.h"
#include "base/buf.h"

/*
 * The folder of a data set that is being made.  Everything is written below it, the .data file
 * last: a folder without one is a set that was not finished.  All paths inside lists and .data are
 * absolute, so that the set works from any folder, in darknet too.
 */
struct qd_setdir {
    struct qd_arena arena;
    const char *path; /* absolute, without a slash at its end */
    const char *name; /* last component of path: NAME.names, NAME.data */
    bool force;
};

/* Make the folder (its parent must be there).  Without 'force' one that holds anything is an
 * error.  Afterwards qd_setdir_close() frees in any case. */
int qd_setdir_open(
    struct qd_setdir *d, const char *path, bool force, struct qd_error *err) QD_MUSTCHECK;
void qd_setdir_close(struct qd_setdir *d);
/* Make the folder 'sub' and those above it, inside of the set. */
int qd_setdir_mkdir(const struct qd_setdir *d, const char *sub, struct qd_error *err) QD_MUSTCHECK;
/* Write one of the many small files, 'path' relative to the folder. Not synced: the .data is. */
int qd_setdir_put(const struct qd_setdir *d, const char *path, const void *data, size_t len,
    struct qd_error *err) QD_MUSTCHECK;
/* Append the absolute path of 'path' and a newline: a line of a list. */
void qd_setdir_line(const struct qd_setdir *d, struct qd_buf *list, const char *path);

/* What NAME.names and NAME.data say. */
struct qd_setdir_index {
    const char *const *names; /* of the classes */
    int classes;
    const struct qd_buf *train, *valid; /* lists; one without a line is left out */
    const struct qd_buf *difficult;     /* parallel to valid, or NULL */
    bool classifier;                    /* darknet's classifiers look for 'labels' */
};
/* Write train.txt, valid.txt, difficult.txt, NAME.names, and then NAME.data. */
int qd_setdir_finish(const struct qd_setdir *d, const struct qd_setdir_index *index,
    struct qd_error *err) QD_MUSTCHECK;

#endif
