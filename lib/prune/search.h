/* SPDX-License-Identifier: MIT */
#ifndef QD_SEARCH_H
#define QD_SEARCH_H

#include "prune/candidate.h"
#include "train/train.h"

/* What search.c (candidates and their scores) and search_log.c (the file of them) share. */
struct qd_search {
    struct qd_search_opts o; /* with numbers instead of defaults; strings are copies */
    struct qd_arena arena;
    const struct qd_model *m;  /* borrowed */
    struct qd_model *masked;   /* a copy, which is masked for a candidate */
    struct qd_candidates cuts; /* of the copy's graph */
    bool classifier;
    struct qd_sets sets;
    int done;                  /* candidates that have scores */
    int resumed;               /* of them before */
    uint64_t next;             /* number of the draw to try next */
    struct qd_search_row best; /* if any is done */
    uint64_t recipe;           /* tells searches apart */
    int log;                   /* file descriptor */
};

/* Refuse, take up or begin the file of candidates; sets done, next and best. */
int qd_search_log_open(struct qd_search *s, struct qd_error *err) QD_MUSTCHECK;
/* A line for a candidate, whole or not at all. */
int qd_search_log_add(
    struct qd_search *s, const struct qd_search_row *row, struct qd_error *err) QD_MUSTCHECK;
/* Count a candidate. */
void qd_search_count(struct qd_search *s, const struct qd_search_row *row);

#endif
