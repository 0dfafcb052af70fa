/* SPDX-License-Identifier: MIT */
#ifndef QD_ARENA_H
#define QD_ARENA_H

#include "base/base.h"

/* Memory that dies all at once.  Zero-initialise; qd_arena_free() returns everything. */
struct qd_arena {
    struct qd_arena_chunk *head;
    size_t used; /* bytes handed out, for reports */
};

/* Zeroed, 16-byte aligned memory for count items of 'size' bytes, or NULL with 'err' set. */
void *qd_arena_alloc(
    struct qd_arena *a, size_t count, size_t size, struct qd_error *err) QD_MUSTCHECK;
/* A copy of len bytes of s and a terminating zero. */
char *qd_arena_strndup(
    struct qd_arena *a, const char *s, size_t len, struct qd_error *err) QD_MUSTCHECK;
char *qd_arena_strdup(struct qd_arena *a, const char *s, struct qd_error *err) QD_MUSTCHECK;
void qd_arena_free(struct qd_arena *a);

#endif
