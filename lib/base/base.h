/* SPDX-License-Identifier: MIT */
/*
 * What every source file of the library needs: attributes, checked size arithmetic, assertions
 * about ourselves (never about input), and the list of functions that must not be used.
 */
#ifndef QD_BASE_H
#define QD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h> /* these three before the poison below */
#include <stdlib.h>
#include <string.h>

#include "qd.h"

#define QD_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define QD_ALIGN 64 /* bytes: a cache line and an AVX-512 register */

#define QD_MIN(a, b) ((a) < (b) ? (a) : (b))
#define QD_MAX(a, b) ((a) > (b) ? (a) : (b))

/* An assertion states what no input can cause; the fuzzers are the judges of that. */
#ifdef NDEBUG
#define QD_ASSERT(x) ((void)0)
#else
#define QD_ASSERT(x) ((x) ? (void)0 : __builtin_trap())
#endif

/* *out = a * b or a + b; false when the result does not fit into size_t. */
static inline bool qd_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool qd_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* n rounded up to a multiple of 'to' (a power of two is not required). */
static inline size_t qd_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Zeroed memory aligned to QD_ALIGN for 'count' items of 'size' bytes; NULL with 'err' set. Freed
 * with qd_free(). A count of 0 gives a valid pointer. */
void *qd_alloc(size_t count, size_t size, struct qd_error *err) QD_MUSTCHECK;
/* The same without the zeroing, for large blocks that are overwritten anyway. */
void *qd_alloc_raw(size_t count, size_t size, struct qd_error *err) QD_MUSTCHECK;
void qd_free(void *p);
/* Give the whole pages inside p .. p + bytes back to the system; their contents are lost. */
void qd_release(void *p, size_t bytes);
/* Make the n-th allocation from now on fail (n >= 1), 0: none. For the allocation-failure test. */
void qd_alloc_fail_at(long n);
/* Allocations since the process began; the test that forward passes allocate nothing reads it. */
long qd_alloc_count(void);

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets mktemp tmpnam
#pragma GCC poison atoi atol atof rand srand abort system popen

#endif
