/* SPDX-License-Identifier: MIT */
#ifndef QD_WEIGHTS_H
#define QD_WEIGHTS_H

#include "base/base.h"

/*
 * The darknet .weights file (spec darknet.md 3).  It has no table of its own: the caller lists the
 * arrays that the network needs, in file order.
 */
struct qd_warray {
    int layer;        /* layer number, ascending */
    const char *type; /* "convolutional" */
    const char *name; /* "biases", "scales", "rolling_mean", "rolling_variance", "weights" */
    float *data;      /* NULL when only sizes matter */
    size_t count;     /* floats */
};

struct qd_wheader {
    int major, minor, revision;
    uint64_t seen;
    bool transposed; /* very old files: [connected] weights are stored [in][out] */
};

/*
 * Fill the arrays from 'path'.  opts and the exact size check are those of qd_model_load; on a
 * mismatch the message names file, offset, layer, array, expected and present counts, and says when
 * the file would fit with the other header width.  Not finite values and negative variances are
 * errors that name layer, array and index; all-zero variances of a whole array are a warning.  The
 * arrays are filled only when everything fits (a file that shrinks while it is read is the
 * exception).
 */
int qd_weights_read(const char *path, const struct qd_warray *a, size_t n,
    const struct qd_load_opts *opts, struct qd_load_info *info, struct qd_wheader *header,
    struct qd_error *err) QD_MUSTCHECK;
/* Write header 0.2.5 with a 64-bit 'seen' and the arrays; atomic. */
int qd_weights_write(const char *path, bool force, uint64_t seen, const struct qd_warray *a,
    size_t n, struct qd_error *err) QD_MUSTCHECK;

#endif
