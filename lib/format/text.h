/* SPDX-License-Identifier: MIT */
#ifndef QD_TEXT_H
#define QD_TEXT_H

#include "base/buf.h"

/* A small text file, line by line: CRLF or LF, with or without byte-order mark and last newline. */
struct qd_text {
    const char *name; /* borrowed, for messages */
    int line;         /* number of the line read last */
    char *next, *end;
    struct qd_buf file;
};

/* Read 'path' ("-": standard input) of at most 'max' bytes, max < 2^31. */
int qd_text_load(
    struct qd_text *t, const char *path, size_t max, struct qd_error *err) QD_MUSTCHECK;
/* The next line without its end, terminated, in *line (it lives as long as t and may be changed).
 * 1; 0 at the end; -1 with 'err' set when the line holds a zero byte. */
int qd_text_next(struct qd_text *t, char **line, struct qd_error *err) QD_MUSTCHECK;
void qd_text_close(struct qd_text *t);
/* Cut blanks (space, tab, CR) off both ends, in place. */
char *qd_text_trim(char *s);

#endif
