/* SPDX-License-Identifier: MIT */
#ifndef QD_BUF_H
#define QD_BUF_H

#include "base/base.h"

/* Growable bytes.  Zero-initialise; 'data' is always followed by a zero byte once anything was
 * added.  A failed append sets 'failed' and later appends do nothing, so that a writer checks once
 * at the end with qd_buf_ok(). */
struct qd_buf {
    char *data;
    size_t len, cap;
    bool failed;
};

void qd_buf_add(struct qd_buf *b, const void *data, size_t len);
void qd_buf_str(struct qd_buf *b, const char *s);
void qd_buf_printf(struct qd_buf *b, const char *fmt, ...) QD_PRINTF(2, 3);
/* 0, or -1 with 'err' set when an append failed. */
int qd_buf_ok(const struct qd_buf *b, struct qd_error *err) QD_MUSTCHECK;
void qd_buf_free(struct qd_buf *b);

#endif
