/* SPDX-License-Identifier: MIT */
/*
 * A test program in C: checks print TAP lines, tap_done() prints the plan and gives the exit
 * status (0 only if everything passed).  QD_SEED sets the seed of tap_rand(); it is printed when a
 * check fails.  QD_SHARED names the folder with real data; tests that need it skip without.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OK(cond, ...) tap_ok((cond), __FILE__, __LINE__, #cond, __VA_ARGS__)
/* |a - b| <= atol + rtol * |b| */
#define NEAR(a, b, atol, rtol, ...)                                                                \
    tap_near((double)(a), (double)(b), (double)(atol), (double)(rtol), __FILE__, __LINE__,         \
        #a " ~ " #b, __VA_ARGS__)
#define IS_STR(a, b, ...) tap_str((a), (b), __FILE__, __LINE__, __VA_ARGS__)

bool tap_ok(bool ok, const char *file, int line, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
bool tap_near(double a, double b, double atol, double rtol, const char *file, int line,
    const char *what, const char *fmt, ...) __attribute__((format(printf, 8, 9)));
bool tap_str(const char *got, const char *want, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Count one check as skipped. */
void tap_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int tap_done(void);

/* Uniform random numbers, the same for the same QD_SEED. */
uint32_t tap_rand(void);
float tap_randf(float lo, float hi);
/* "$QD_SHARED/data/<rest>" in a static buffer, or NULL (after a skip line) when it is not there. */
const char *tap_shared(const char *rest);
/* A path in a private temporary folder that tap_done() removes. */
const char *tap_tmp(const char *name);

#endif
