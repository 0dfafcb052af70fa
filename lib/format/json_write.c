/* SPDX-License-Identifier: MIT */
/*
 * Strings and numbers as JSON wants them, whatever bytes a file name has and whatever the locale
 * says.
 */
#include "format/json.h"

#include <math.h>
#include <string.h>

int qd_utf8_length(const char *p, const char *end)
{
    const unsigned char *s = (const unsigned char *)p;
    ptrdiff_t have = end - p;
    unsigned lo = 0x80, hi = 0xbf;
    int n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0)
        lo = 0xa0;
    else if (s[0] == 0xed)
        hi = 0x9f;
    else if (s[0] == 0xf0)
        lo = 0x90;
    else if (s[0] == 0xf4)
        hi = 0x8f;
    if (have < n || s[1] < lo || s[1] > hi)
        return 0;
    for (int i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

void qd_json_put_str(struct qd_buf *b, const char *s)
{
    const char *end = s + strlen(s);

    qd_buf_add(b, "\"", 1);
    while (s < end) {
        int n = qd_utf8_length(s, end);
        if (n == 0) {
            qd_buf_str(b, "\xef\xbf\xbd");
            n = 1;
        } else if (*s == '"' || *s == '\\') {
            qd_buf_printf(b, "\\%c", *s);
        } else if ((unsigned char)*s < ' ' || *s == 127) {
            qd_buf_printf(b, "\\u%04x", (unsigned)*s);
        } else {
            qd_buf_add(b, s, (size_t)n);
        }
        s += n;
    }
    qd_buf_add(b, "\"", 1);
}

void qd_json_put_num(struct qd_buf *b, double x, int decimals)
{
    char text[360]; /* DBL_MAX has 309 digits */

    if (!isfinite(x)) {
        qd_buf_str(b, "null");
        return;
    }
    int n = snprintf(text, sizeof(text), "%.*f", QD_MAX(0, QD_MIN(decimals, 12)), x);
    /* the decimal point of the locale is whatever is no digit and no sign */
    size_t whole = strspn(text, "-0123456789"), len = (size_t)n;
    if (whole < len) {
        size_t frac = whole;
        while (text[frac] && (text[frac] < '0' || text[frac] > '9'))
            frac++;
        while (len > frac && text[len - 1] == '0')
            len--;
        qd_buf_add(b, text, whole);
        if (len > frac) {
            qd_buf_add(b, ".", 1);
            qd_buf_add(b, text + frac, len - frac);
        }
        return;
    }
    qd_buf_add(b, text, len);
}
