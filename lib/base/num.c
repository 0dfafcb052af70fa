/* SPDX-License-Identifier: MIT */
/*
 * Numbers from text and back.  strtod() and printf() follow the locale and accept too much
 * ("0x1p3", "nan", trailing junk); these functions accept exactly what the header says.
 */
#include "base/num.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 128 }; /* no sensible number is longer */

/* Blanks off both ends; false when nothing or too much is left. */
static bool trim(const char **s, size_t *len)
{
    while (*len && strchr(" \t\r\n", **s) && **s) {
        (*s)++;
        (*len)--;
    }
    while (*len && strchr(" \t\r\n", (*s)[*len - 1]) && (*s)[*len - 1])
        (*len)--;
    return *len > 0 && *len < MAX_TEXT;
}

bool qd_num_intn(const char *s, size_t len, long long *out)
{
    char buf[MAX_TEXT];

    if (!trim(&s, &len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (i == 0 && len > 1 && (s[i] == '-' || s[i] == '+'))))
            return false;
    memcpy(buf, s, len);
    buf[len] = 0;
    errno = 0;
    long long v = strtoll(buf, NULL, 10);
    if (errno)
        return false;
    *out = v;
    return true;
}

/* [+-] digits [. digits] [e [+-] digits], at least one digit in the mantissa */
static bool is_decimal(const char *s, size_t len)
{
    size_t i = 0, digits = 0;

    if (i < len && (s[i] == '-' || s[i] == '+'))
        i++;
    for (; i < len && s[i] >= '0' && s[i] <= '9'; i++)
        digits++;
    if (i < len && s[i] == '.')
        for (i++; i < len && s[i] >= '0' && s[i] <= '9'; i++)
            digits++;
    if (!digits)
        return false;
    if (i < len && (s[i] == 'e' || s[i] == 'E')) {
        i++;
        if (i < len && (s[i] == '-' || s[i] == '+'))
            i++;
        if (i == len)
            return false;
        for (; i < len && s[i] >= '0' && s[i] <= '9'; i++)
            ;
    }
    return i == len;
}

bool qd_num_doublen(const char *s, size_t len, double *out)
{
    char buf[MAX_TEXT];

    if (!trim(&s, &len) || !is_decimal(s, len))
        return false;
    memcpy(buf, s, len);
    buf[len] = 0;
    char *dot = strchr(buf, '.');
    const char *point = localeconv()->decimal_point;
    if (dot && point[0] && !point[1])
        *dot = point[0];
    double v = strtod(buf, NULL);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

bool qd_num_int(const char *s, long long *out)
{
    return qd_num_intn(s, strlen(s), out);
}

bool qd_num_double(const char *s, double *out)
{
    return qd_num_doublen(s, strlen(s), out);
}

static void dot_only(char *s)
{
    const char *point = localeconv()->decimal_point;

    for (; *s; s++)
        if (*s == point[0] && !point[1])
            *s = '.';
}

char *qd_num_format(float x, char *buf)
{
    double back = 0;

    for (int digits = 1; digits <= 9; digits++) {
        snprintf(buf, 64, "%.*g", digits, (double)x);
        dot_only(buf);
        if (qd_num_double(buf, &back) && (float)back == x)
            break;
    }
    if (!strchr(buf, 'e'))
        return buf;
    for (int places = 0; places <= 45; places++) {
        snprintf(buf, 64, "%.*f", places, (double)x);
        dot_only(buf);
        if (qd_num_double(buf, &back) && (float)back == x)
            break;
    }
    return buf;
}

int qd_edit_distance(const char *a, const char *b, int limit)
{
    enum { MAX = 48 };
    int row[MAX + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > MAX || lb > MAX)
        return limit + 1;
    for (size_t j = 0; j <= lb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        int diag = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int up = row[j];
            int d = diag + (a[i - 1] != b[j - 1]);
            d = QD_MIN(d, up + 1);
            d = QD_MIN(d, row[j - 1] + 1);
            row[j] = d;
            diag = up;
        }
    }
    return QD_MIN(row[lb], limit + 1);
}
