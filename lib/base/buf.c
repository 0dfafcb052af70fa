/* SPDX-License-Identifier: MIT */
/*
 * A growable byte buffer.  Used for whole-file reads and for everything that is written: files are
 * composed in memory and appear at once (base/io.c).
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static bool reserve(struct qd_buf *b, size_t more)
{
    size_t need, cap = b->cap ? b->cap : 256;

    if (b->failed)
        return false;
    if (!qd_add_size(b->len, more, &need) || !qd_add_size(need, 1, &need)) {
        b->failed = true;
        return false;
    }
    if (need <= b->cap)
        return true;
    while (cap < need)
        if (!qd_mul_size(cap, 2, &cap))
            cap = need;
    char *p = qd_alloc_raw(cap, 1, NULL);
    if (!p) {
        b->failed = true;
        return false;
    }
    if (b->len)
        memcpy(p, b->data, b->len);
    p[b->len] = 0;
    qd_free(b->data);
    b->data = p;
    b->cap = cap;
    return true;
}

void qd_buf_add(struct qd_buf *b, const void *data, size_t len)
{
    if (!reserve(b, len))
        return;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

void qd_buf_str(struct qd_buf *b, const char *s)
{
    qd_buf_add(b, s, strlen(s));
}

void qd_buf_printf(struct qd_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if (!reserve(b, (size_t)n))
        return;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

int qd_buf_ok(const struct qd_buf *b, struct qd_error *err)
{
    return b->failed ? qd_error_nomem(err, b->cap) : 0;
}

void qd_buf_free(struct qd_buf *b)
{
    qd_free(b->data);
    *b = (struct qd_buf){0};
}
