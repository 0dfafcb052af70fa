/* SPDX-License-Identifier: MIT */
#ifndef QD_LABEL_H
#define QD_LABEL_H

#include "base/base.h"

/* Where the defects of a label file go: 'line' is a complete message with its place.  'defect' is
 * false for what is only worth a warning (a sixth column, a box twice). */
typedef void qd_label_note_fn(void *ctx, bool defect, const char *line);
struct qd_label_notes {
    qd_label_note_fn *fn;
    void *ctx;
};

/*
 * Like qd_labels_load, but every message goes to 'notes' instead of the log, and with QD_BAD_FAIL
 * reading goes on after a defect, without the box, so that all of them are found.  -1 is left for a
 * file that cannot be read at all.
 */
int qd_labels_check(const char *path, int classes, enum qd_bad_labels bad,
    const struct qd_label_notes *notes, struct qd_labels *out, struct qd_error *err) QD_MUSTCHECK;

#endif
