/* SPDX-License-Identifier: MIT */
#ifndef QD_NUM_H
#define QD_NUM_H

#include "base/base.h"

/*
 * Strict numbers: the whole text must be one number (blanks around it are allowed), otherwise
 * false and *out is unchanged.  The decimal point is always '.', whatever the locale says.
 * qd_num_int:    decimal, an optional sign, range of long long.
 * qd_num_double: decimal with an optional exponent; no hexadecimal, "inf" or "nan"; overflow fails.
 */
bool qd_num_int(const char *s, long long *out);
bool qd_num_double(const char *s, double *out);
/* Like the above on the first 'len' bytes of s, which need not be terminated. */
bool qd_num_intn(const char *s, size_t len, long long *out);
bool qd_num_doublen(const char *s, size_t len, double *out);
/*
 * The shortest decimal text that reads back as the same float, without an exponent where that is
 * short (cfg files must not have one).  buf holds at least 64 bytes.  Returns buf.
 */
char *qd_num_format(float x, char *buf);
/* The edit distance between two words (Levenshtein), at most 'limit' + 1: for "did you mean". */
int qd_edit_distance(const char *a, const char *b, int limit);

#endif
