/* SPDX-License-Identifier: MIT */
#ifndef QD_JSON_H
#define QD_JSON_H

#include "base/buf.h"

/*
 * A strict JSON reader (RFC 8259) that hands out one value after the other and builds no tree, so
 * that a file of 200 MB costs its own size and nothing more.  The caller says what it expects; the
 * first fault is kept (file:line: reason), later calls give 0, NULL or false, so that loops end by
 * themselves and one check at the end is enough:
 *
 *     struct qd_json j;
 *     if (qd_json_load(&j, path, err) < 0)
 *         return -1;
 *     qd_json_array(&j);
 *     while (qd_json_more(&j)) {
 *         qd_json_object(&j);
 *         while ((key = qd_json_key(&j)))
 *             if (strcmp(key, "image_id") == 0)
 *                 id = qd_json_int(&j, 0, LONG_MAX);
 *             else if (strcmp(key, "bbox") == 0)
 *                 qd_json_numbers(&j, box, 4);
 *             else
 *                 qd_json_skip(&j);
 *     }
 *     return qd_json_close(&j);
 *
 * Every key that qd_json_key() gives must be followed by exactly one read of its value.
 */
enum { QD_JSON_DEPTH = 64 };          /* nested arrays and objects, at most */
#define QD_JSON_MAX ((size_t)1 << 30) /* bytes of a file, at most */

enum qd_json_type {
    QD_JSON_NONE, /* end of the container or of the text, or a fault */
    QD_JSON_OBJECT,
    QD_JSON_ARRAY,
    QD_JSON_STRING,
    QD_JSON_NUMBER,
    QD_JSON_BOOL,
    QD_JSON_NULL,
};

struct qd_json {
    const char *name; /* for messages */
    const char *text, *p, *end;
    int line, depth;
    char open[QD_JSON_DEPTH]; /* '[' or '{' of every container that is open */
    bool first;               /* nothing was read yet in the innermost container */
    bool failed;
    struct qd_error *err;
    struct qd_buf key, str; /* the last key and string, unescaped */
    struct qd_buf file;     /* what qd_json_load() read */
};

/* Begin reading the file 'path' ("-": standard input), or text in memory (borrowed).  After 0 the
 * caller must call qd_json_close(); after -1 there is nothing to close. */
int qd_json_load(struct qd_json *j, const char *path, struct qd_error *err) QD_MUSTCHECK;
void qd_json_open(
    struct qd_json *j, const char *text, size_t len, const char *name, struct qd_error *err);
/* Back to the beginning, for a second pass. */
void qd_json_rewind(struct qd_json *j);
/* Free everything.  0 when the text was one complete value with nothing after it, else -1. */
int qd_json_close(struct qd_json *j) QD_MUSTCHECK;

/* The type of the value that comes next. */
enum qd_json_type qd_json_peek(struct qd_json *j);
/* Enter an array.  qd_json_more() is true when one more element follows, and leaves the array when
 * it gives false. */
void qd_json_array(struct qd_json *j);
bool qd_json_more(struct qd_json *j);
/* Enter an object.  qd_json_key() gives the next member's name, valid until the next key; NULL when
 * the object is complete, which is left then. */
void qd_json_object(struct qd_json *j);
const char *qd_json_key(struct qd_json *j);

/* Read one value.  A number out of the range given, or with a fraction where an integer is wanted,
 * is a fault; 12.0 counts as an integer. */
double qd_json_double(struct qd_json *j);
long long qd_json_int(struct qd_json *j, long long min, long long max);
/* Exactly n numbers in an array. */
void qd_json_numbers(struct qd_json *j, double *out, int n);
bool qd_json_bool(struct qd_json *j);
/* A string without embedded zero, valid until the next string; "" after a fault. */
const char *qd_json_string(struct qd_json *j);
/* Read any value and forget it; it is checked all the same. */
void qd_json_skip(struct qd_json *j);
/* A fault that the caller found; returns -1. */
int qd_json_fault(struct qd_json *j, const char *fmt, ...) QD_PRINTF(2, 3);

/* Length of the UTF-8 sequence at p < end (RFC 3629: shortest form, no surrogates); 0: there is
 * none. */
int qd_utf8_length(const char *p, const char *end);
/* Writing: a quoted and escaped string (bytes that are not UTF-8 become U+FFFD), and a number with
 * at most 'decimals' (0..12) places, trailing zeros left out, '.' in every locale, "null" when it
 * is not finite. */
void qd_json_put_str(struct qd_buf *b, const char *s);
void qd_json_put_num(struct qd_buf *b, double x, int decimals);

#endif
