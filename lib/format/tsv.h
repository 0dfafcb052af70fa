/* SPDX-License-Identifier: MIT */
#ifndef QD_TSV_H
#define QD_TSV_H

#include "base/buf.h"

/*
 * Tab-separated text, as the commands print it: one record a line, '#' lines are comments, blank
 * lines are left out.  CRLF line ends and a byte-order mark are tolerated; fields are not trimmed.
 *
 *     struct qd_tsv t;
 *     if (qd_tsv_load(&t, path, err) < 0)
 *         return -1;
 *     while ((n = qd_tsv_next(&t, field, QD_LEN(field), err)) > 0)
 *         ...
 *     qd_tsv_close(&t);
 */
#define QD_TSV_MAX ((size_t)1 << 30) /* bytes of a file, at most */

struct qd_tsv {
    const char *name; /* borrowed, for messages */
    int line;         /* of the record read last */
    char *next, *end;
    struct qd_buf file;
};

/* Read the file 'path' ("-": standard input). */
int qd_tsv_load(struct qd_tsv *t, const char *path, struct qd_error *err) QD_MUSTCHECK;
void qd_tsv_close(struct qd_tsv *t);
/*
 * Split the next record in place.  Returns the number of fields, 0 at the end, -1 with 'err' set
 * when there are more than 'max' of them or the line holds a zero byte.  The fields live as long as
 * 't'.
 */
int qd_tsv_next(struct qd_tsv *t, char **field, int max, struct qd_error *err) QD_MUSTCHECK;
/* Field 'column' (0-based) of the record read last as a number: the whole field, a finite number or
 * an integer in min..max; the message names file, line, column and text. */
int qd_tsv_double(const struct qd_tsv *t, char *const *field, int column, double *out,
    struct qd_error *err) QD_MUSTCHECK;
struct qd_tsv_range {
    long long min, max;
};
int qd_tsv_int(const struct qd_tsv *t, char *const *field, int column, struct qd_tsv_range range,
    long long *out, struct qd_error *err) QD_MUSTCHECK;

/* Cut one line (no newline in it) at its tabs: field[0..n-1]; n, or -1 when there are more than
 * 'max' fields.  An empty line has one empty field. */
int qd_tsv_split(char *line, char **field, int max);

#endif
