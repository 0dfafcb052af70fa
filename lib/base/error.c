/* SPDX-License-Identifier: MIT */
/*
 * Error messages on their way up.  The function that sees the fault writes one complete line into
 * the caller's struct qd_error; callers above may only put a prefix before it.  The first error
 * wins, so that the cause is reported and not its consequence.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void vset(struct qd_error *err, enum qd_code code, const char *fmt, va_list ap)
    QD_PRINTF(3, 0);
static void vset(struct qd_error *err, enum qd_code code, const char *fmt, va_list ap)
{
    if (!err || err->code != QD_OK)
        return;
    err->code = code;
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    for (char *p = err->msg; *p; p++) /* user text in a message must not break the one line */
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
}

int qd_error_set(struct qd_error *err, enum qd_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vset(err, code, fmt, ap);
    va_end(ap);
    return -1;
}

int qd_error_at(
    struct qd_error *err, enum qd_code code, const char *file, int line, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (line > 0)
        return qd_error_set(err, code, "%s:%d: %s", file, line, text);
    return qd_error_set(err, code, "%s: %s", file, text);
}

void qd_error_prefix(struct qd_error *err, const char *fmt, ...)
{
    char text[sizeof(err->msg)], old[sizeof(err->msg)];
    va_list ap;

    if (!err || err->code == QD_OK)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    memcpy(old, err->msg, sizeof(old));
    size_t n = strlen(text);
    memcpy(err->msg, text, n + 1);
    snprintf(err->msg + n, sizeof(err->msg) - n, "%s", old);
}

int qd_error_nomem(struct qd_error *err, size_t bytes)
{
    return qd_error_set(err, QD_ENOMEM, "out of memory: cannot allocate %zu bytes", bytes);
}
