/* SPDX-License-Identifier: MIT */
/*
 * Warnings and notes.  The library prints nothing: whoever wants to see them sets a sink.  The
 * default is silence.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static qd_log_fn *sink;
static void *sink_ctx;

void qd_log_set(qd_log_fn *fn, void *ctx)
{
    sink = fn;
    sink_ctx = ctx;
}

void qd_log(enum qd_log_level level, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    if (!sink)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    sink(sink_ctx, level, text);
}
