/* SPDX-License-Identifier: MIT */
#ifndef QD_ERROR_H
#define QD_ERROR_H

#include "base/base.h"

/*
 * Set 'err' (may be NULL) unless it already holds an error; always returns -1, so that
 * 'return qd_error_set(...)' reads well.  Message grammar: one line, lower case, no full stop,
 * the subject in single quotes, errno text after a colon at the end.
 */
int qd_error_set(struct qd_error *err, enum qd_code code, const char *fmt, ...) QD_PRINTF(3, 4);
/* The same with the place in the user's input before it: "file:line: ", "file: " if line is 0. */
int qd_error_at(struct qd_error *err, enum qd_code code, const char *file, int line,
    const char *fmt, ...) QD_PRINTF(5, 6);
/* Put text before the message of an error that is set. */
void qd_error_prefix(struct qd_error *err, const char *fmt, ...) QD_PRINTF(2, 3);
int qd_error_nomem(struct qd_error *err, size_t bytes);

#endif
