/* SPDX-License-Identifier: MIT */
/* The checks of tap.h. */
#include "tap.h"

#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int count, failed;
static uint64_t state;
static char tmpdir[64];

static void report(bool ok, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void report(bool ok, const char *fmt, va_list ap)
{
    printf("%sok %d - ", ok ? "" : "not ", ++count);
    vprintf(fmt, ap);
    printf("\n");
    failed += !ok;
}

static uint64_t seed(void)
{
    const char *s = getenv("QD_SEED");

    return s ? strtoull(s, NULL, 10) : 1;
}

static void where(const char *file, int line)
{
    printf("# %s:%d (QD_SEED=%llu)\n", file, line, (unsigned long long)seed());
}

bool tap_ok(bool ok, const char *file, int line, const char *what, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report(ok, fmt, ap);
    va_end(ap);
    if (!ok) {
        where(file, line);
        printf("# not true: %s\n", what);
    }
    fflush(stdout);
    return ok;
}

bool tap_near(double a, double b, double atol, double rtol, const char *file, int line,
    const char *what, const char *fmt, ...)
{
    bool ok = fabs(a - b) <= atol + rtol * fabs(b);
    va_list ap;

    va_start(ap, fmt);
    report(ok, fmt, ap);
    va_end(ap);
    if (!ok) {
        where(file, line);
        printf("# %s: got %.9g, want %.9g\n", what, a, b);
    }
    fflush(stdout);
    return ok;
}

bool tap_str(const char *got, const char *want, const char *file, int line, const char *fmt, ...)
{
    bool ok = strcmp(got ? got : "(null)", want ? want : "(null)") == 0;
    va_list ap;

    va_start(ap, fmt);
    report(ok, fmt, ap);
    va_end(ap);
    if (!ok) {
        where(file, line);
        printf("# got:  %s\n# want: %s\n", got ? got : "(null)", want ? want : "(null)");
    }
    fflush(stdout);
    return ok;
}

void tap_skip(const char *fmt, ...)
{
    va_list ap;

    printf("ok %d # SKIP ", ++count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

static void remove_tmp(void)
{
    char path[400];
    DIR *d = tmpdir[0] ? opendir(tmpdir) : NULL;

    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (snprintf(path, sizeof(path), "%s/%s", tmpdir, e->d_name) < (int)sizeof(path))
            unlink(path);
    closedir(d);
    rmdir(tmpdir);
}

int tap_done(void)
{
    printf("1..%d\n", count);
    if (failed)
        printf("# %d of %d checks failed\n", failed, count);
    remove_tmp();
    return failed ? 1 : 0;
}

uint32_t tap_rand(void)
{
    if (!state)
        state = seed() * 0x9e3779b97f4a7c15u + 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

float tap_randf(float lo, float hi)
{
    return lo + (hi - lo) * (float)(tap_rand() >> 8) * 0x1p-24f;
}

const char *tap_shared(const char *rest)
{
    static char path[1024];
    const char *root = getenv("QD_SHARED");

    snprintf(path, sizeof(path), "%s/data/%s", root ? root : "../shared", rest);
    if (access(path, R_OK) == 0)
        return path;
    tap_skip("no %s in the data folder", rest);
    return NULL;
}

const char *tap_tmp(const char *name)
{
    static char path[300];

    if (!tmpdir[0]) {
        snprintf(tmpdir, sizeof(tmpdir), "/tmp/qd-test-XXXXXX");
        if (!mkdtemp(tmpdir)) {
            perror("mkdtemp");
            exit(99);
        }
    }
    snprintf(path, sizeof(path), "%s/%s", tmpdir, name);
    return path;
}
