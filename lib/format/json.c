/* SPDX-License-Identifier: MIT */
/*
 * A pull reader for JSON.  The reader stands before a value, after one, or at the beginning of a
 * container; the caller's expectations drive it forward, so the only memory is the text itself, one
 * byte for every open container, and the key and string read last.
 */
#include "format/json.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/io.h"
#include "base/num.h"

/* -------------------------------------------------------------------- faults ------------------ */

int qd_json_fault(struct qd_json *j, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    if (j->failed)
        return -1;
    j->failed = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return qd_error_at(j->err, QD_EFORMAT, j->name, j->line, "%s", text);
}

/* What stands at the reader, for messages. */
static const char *here(const struct qd_json *j, char buf[8])
{
    unsigned char c = j->p < j->end ? (unsigned char)*j->p : 0;

    if (j->p == j->end)
        return "the end of the file";
    if (c < ' ' || c > '~')
        snprintf(buf, 8, "0x%02x", c);
    else
        snprintf(buf, 8, "'%c'", c);
    return buf;
}

static int expected(struct qd_json *j, const char *what)
{
    char buf[8];

    return qd_json_fault(j, "%s expected, not %s", what, here(j, buf));
}

/* -------------------------------------------------------------------- opening, closing -------- */

void qd_json_rewind(struct qd_json *j)
{
    j->p = j->text;
    j->line = 1;
    j->depth = 0;
    j->first = true;
    if (j->end - j->p >= 3 && memcmp(j->p, "\xef\xbb\xbf", 3) == 0)
        j->p += 3;
}

void qd_json_open(
    struct qd_json *j, const char *text, size_t len, const char *name, struct qd_error *err)
{
    *j = (struct qd_json){.name = name, .text = text, .end = text + len, .err = err};
    qd_json_rewind(j);
}

int qd_json_load(struct qd_json *j, const char *path, struct qd_error *err)
{
    struct qd_buf b = {0};

    if (qd_io_slurp(path, QD_JSON_MAX, &b, err) < 0) {
        qd_buf_free(&b);
        return -1;
    }
    qd_json_open(j, b.data ? b.data : "", b.len, strcmp(path, "-") ? path : "<stdin>", err);
    j->file = b;
    return 0;
}

static void blanks(struct qd_json *j)
{
    for (; j->p < j->end; j->p++) {
        if (*j->p == '\n')
            j->line++;
        else if (*j->p != ' ' && *j->p != '\t' && *j->p != '\r')
            break;
    }
}

int qd_json_close(struct qd_json *j)
{
    if (!j->failed && (j->depth || j->first))
        expected(j, j->depth ? (j->open[j->depth - 1] == '[' ? "']'" : "'}'") : "a value");
    if (!j->failed) {
        blanks(j);
        if (j->p < j->end)
            expected(j, "the end of the file");
    }
    qd_buf_free(&j->key);
    qd_buf_free(&j->str);
    qd_buf_free(&j->file);
    return j->failed ? -1 : 0;
}

/* -------------------------------------------------------------------- strings ----------------- */

static void put_utf8(struct qd_buf *b, uint32_t c)
{
    unsigned char s[4];
    size_t n = 0;

    if (c < 0x80) {
        s[n++] = (unsigned char)c;
    } else if (c < 0x800) {
        s[n++] = (unsigned char)(0xc0 | c >> 6);
        s[n++] = (unsigned char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        s[n++] = (unsigned char)(0xe0 | c >> 12);
        s[n++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
        s[n++] = (unsigned char)(0x80 | (c & 0x3f));
    } else {
        s[n++] = (unsigned char)(0xf0 | c >> 18);
        s[n++] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
        s[n++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
        s[n++] = (unsigned char)(0x80 | (c & 0x3f));
    }
    qd_buf_add(b, s, n);
}

/* Four hexadecimal digits at p, or -1. */
static long hex4(const char *p, const char *end)
{
    long v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* The reader stands behind "\u". */
static int unicode_escape(struct qd_json *j, struct qd_buf *b)
{
    long c = hex4(j->p, j->end);

    if (c < 0)
        return qd_json_fault(j, "'\\u' is not followed by four hexadecimal digits");
    j->p += 4;
    if (c >= 0xd800 && c < 0xe000) {
        long low = -1;
        if (c < 0xdc00 && j->end - j->p >= 6 && j->p[0] == '\\' && j->p[1] == 'u')
            low = hex4(j->p + 2, j->end);
        if (low < 0xdc00 || low > 0xdfff)
            return qd_json_fault(j, "half a surrogate pair in a string");
        j->p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c == 0)
        return qd_json_fault(j, "a zero character in a string");
    put_utf8(b, (uint32_t)c);
    return 0;
}

static int escape(struct qd_json *j, struct qd_buf *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = j->p < j->end && *j->p ? strchr(from, *j->p) : NULL;

    if (j->p < j->end && *j->p == 'u') {
        j->p++;
        return unicode_escape(j, b);
    }
    if (!at)
        return expected(j, "an escape after '\\'");
    qd_buf_add(b, to + (at - from), 1);
    j->p++;
    return 0;
}

/* Read a string into b; the reader stands at its opening quote. */
static int string(struct qd_json *j, struct qd_buf *b)
{
    b->len = 0;
    qd_buf_add(b, "", 0);
    for (j->p++; j->p < j->end && *j->p != '"';) {
        const char *from = j->p;
        while (j->p < j->end && *j->p != '"' && *j->p != '\\') {
            int n = qd_utf8_length(j->p, j->end);
            if (n == 0)
                return qd_json_fault(j, "a string is not UTF-8");
            if ((unsigned char)*j->p < ' ')
                return expected(j, "the end of the string");
            j->p += n;
        }
        qd_buf_add(b, from, (size_t)(j->p - from));
        if (j->p < j->end && *j->p == '\\') {
            j->p++;
            if (escape(j, b) < 0)
                return -1;
        }
    }
    if (j->p == j->end)
        return expected(j, "the end of the string");
    j->p++;
    if (qd_buf_ok(b, j->err) < 0)
        j->failed = true;
    return j->failed ? -1 : 0;
}

/* -------------------------------------------------------------------- containers -------------- */

enum qd_json_type qd_json_peek(struct qd_json *j)
{
    if (j->failed)
        return QD_JSON_NONE;
    blanks(j);
    if (j->p == j->end || (j->depth == 0 && !j->first))
        return QD_JSON_NONE;
    switch (*j->p) {
    case '{':
        return QD_JSON_OBJECT;
    case '[':
        return QD_JSON_ARRAY;
    case '"':
        return QD_JSON_STRING;
    case 't':
    case 'f':
        return QD_JSON_BOOL;
    case 'n':
        return QD_JSON_NULL;
    default:
        return *j->p == '-' || (*j->p >= '0' && *j->p <= '9') ? QD_JSON_NUMBER : QD_JSON_NONE;
    }
}

/* Whether a value of that type comes next; otherwise a fault. */
static bool want(struct qd_json *j, enum qd_json_type type, const char *what)
{
    if (j->failed)
        return false;
    if (qd_json_peek(j) != type) {
        expected(j, what);
        return false;
    }
    j->first = false;
    return true;
}

static void enter(struct qd_json *j)
{
    if (j->depth == QD_JSON_DEPTH) {
        qd_json_fault(j, "values are nested more than %d deep", QD_JSON_DEPTH);
        return;
    }
    j->open[j->depth++] = *j->p++;
    j->first = true;
}

void qd_json_array(struct qd_json *j)
{
    if (want(j, QD_JSON_ARRAY, "an array"))
        enter(j);
}

void qd_json_object(struct qd_json *j)
{
    if (want(j, QD_JSON_OBJECT, "an object"))
        enter(j);
}

/* Whether the open container goes on: leaves it at 'close', and reads the comma between members. */
static bool goes_on(struct qd_json *j, char close)
{
    char want_text[16];

    if (j->failed)
        return false;
    QD_ASSERT(j->depth > 0 && j->open[j->depth - 1] == (close == ']' ? '[' : '{'));
    blanks(j);
    if (j->p < j->end && *j->p == close) {
        j->p++;
        j->depth--;
        j->first = false;
        return false;
    }
    if (j->first)
        return true;
    if (j->p == j->end || *j->p != ',') {
        snprintf(want_text, sizeof(want_text), "',' or '%c'", close);
        expected(j, want_text);
        return false;
    }
    j->p++;
    return true;
}

bool qd_json_more(struct qd_json *j)
{
    return goes_on(j, ']');
}

const char *qd_json_key(struct qd_json *j)
{
    if (!goes_on(j, '}'))
        return NULL;
    blanks(j);
    if (j->p == j->end || *j->p != '"') {
        expected(j, "a key in quotes");
        return NULL;
    }
    if (string(j, &j->key) < 0)
        return NULL;
    blanks(j);
    if (j->p == j->end || *j->p != ':') {
        expected(j, "':'");
        return NULL;
    }
    j->p++;
    return j->key.data;
}

/* -------------------------------------------------------------------- values ------------------ */

/* The length of the number at p by the grammar of JSON, 0: none. */
static size_t number_length(const char *p, const char *end)
{
    const char *s = p, *digits;

    if (s < end && *s == '-')
        s++;
    digits = s;
    while (s < end && *s >= '0' && *s <= '9')
        s++;
    if (s == digits || (*digits == '0' && s - digits > 1))
        return 0;
    if (s < end && *s == '.') {
        digits = ++s;
        while (s < end && *s >= '0' && *s <= '9')
            s++;
        if (s == digits)
            return 0;
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        s++;
        if (s < end && (*s == '+' || *s == '-'))
            s++;
        digits = s;
        while (s < end && *s >= '0' && *s <= '9')
            s++;
        if (s == digits)
            return 0;
    }
    return (size_t)(s - p);
}

/* The text of the next number, read over; NULL after a fault. */
static const char *number(struct qd_json *j, size_t *len)
{
    if (!want(j, QD_JSON_NUMBER, "a number"))
        return NULL;
    const char *s = j->p;
    *len = number_length(s, j->end);
    const char *after = s + *len;
    if (!*len || (after < j->end && !strchr(" \t\r\n,]}", *after))) {
        size_t n = 0;
        while (s + n < j->end && n < 40 && s[n] > ' ' && !strchr(",]}", s[n]))
            n++;
        qd_json_fault(j, "'%.*s' is not a number", (int)n, s);
        return NULL;
    }
    j->p = after;
    return s;
}

/*
 * A decimal of at most 15 digits without exponent: digits and power of ten are both exact doubles,
 * so that one division rounds correctly (Clinger 1990).  Detections hold little else, and this is
 * several times faster than strtod().
 */
static bool short_decimal(const char *s, size_t len, double *x)
{
    static const double power[] = {
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool negative = *s == '-', point = false;
    int64_t m = 0;
    size_t places = 0;

    if (len > 16)
        return false;
    for (size_t i = negative; i < len; i++) {
        if (s[i] == '.') {
            point = true;
            continue;
        }
        if (s[i] < '0' || s[i] > '9')
            return false;
        m = 10 * m + (s[i] - '0');
        places += point;
    }
    if (m > 999999999999999)
        return false;
    double v = (double)m / power[places];
    *x = negative ? -v : v;
    return true;
}

static bool to_double(struct qd_json *j, const char *s, size_t len, double *x)
{
    if (short_decimal(s, len, x) || qd_num_doublen(s, len, x))
        return true;
    qd_json_fault(j, "number '%.*s' is too large or too long", (int)QD_MIN(len, 40), s);
    return false;
}

double qd_json_double(struct qd_json *j)
{
    size_t len;
    const char *s = number(j, &len);
    double x = 0;

    return s && to_double(j, s, len, &x) ? x : 0;
}

long long qd_json_int(struct qd_json *j, long long min, long long max)
{
    size_t len;
    const char *s = number(j, &len);
    long long v = 0;
    double x;

    if (!s)
        return 0;
    if (!qd_num_intn(s, len, &v)) {
        if (!to_double(j, s, len, &x))
            return 0;
        if (x != floor(x) || fabs(x) > 0x1p53) {
            qd_json_fault(j, "'%.*s' is not an integer in range", (int)QD_MIN(len, 40), s);
            return 0;
        }
        v = (long long)x;
    }
    if (v >= min && v <= max)
        return v;
    qd_json_fault(j, "'%.*s' must be %lld to %lld", (int)QD_MIN(len, 40), s, min, max);
    return 0;
}

void qd_json_numbers(struct qd_json *j, double *out, int n)
{
    int have = 0;

    for (int i = 0; i < n; i++)
        out[i] = 0;
    for (qd_json_array(j); qd_json_more(j); have++) {
        if (have == n) {
            qd_json_fault(j, "an array of %d numbers expected, this one is longer", n);
            return;
        }
        out[have] = qd_json_double(j);
    }
    if (have < n)
        qd_json_fault(j, "an array of %d numbers expected, this one has %d", n, have);
}

/* Read over a literal name. */
static bool literal(struct qd_json *j, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(j->end - j->p) < n || memcmp(j->p, word, n) != 0 ||
        (j->p + n < j->end && !strchr(" \t\r\n,]}", j->p[n]))) {
        qd_json_fault(j, "a value begins like '%s' but is not", word);
        return false;
    }
    j->p += n;
    return true;
}

bool qd_json_bool(struct qd_json *j)
{
    if (!want(j, QD_JSON_BOOL, "'true' or 'false'"))
        return false;
    if (*j->p == 't')
        return literal(j, "true");
    literal(j, "false");
    return false;
}

const char *qd_json_string(struct qd_json *j)
{
    if (!want(j, QD_JSON_STRING, "a string") || string(j, &j->str) < 0)
        return "";
    return j->str.data;
}

/* Read over a value that is no container, or enter one. */
static void skip_one(struct qd_json *j)
{
    size_t len;
    double x;

    switch (qd_json_peek(j)) {
    case QD_JSON_OBJECT:
        qd_json_object(j);
        break;
    case QD_JSON_ARRAY:
        qd_json_array(j);
        break;
    case QD_JSON_STRING:
        qd_json_string(j);
        break;
    case QD_JSON_NUMBER: {
        const char *s = number(j, &len);
        if (s)
            to_double(j, s, len, &x);
        break;
    }
    case QD_JSON_BOOL:
        qd_json_bool(j);
        break;
    case QD_JSON_NULL:
        if (want(j, QD_JSON_NULL, "null"))
            literal(j, "null");
        break;
    case QD_JSON_NONE:
        expected(j, "a value");
        break;
    }
}

void qd_json_skip(struct qd_json *j)
{
    int depth = j->depth;

    skip_one(j);
    while (!j->failed && j->depth > depth) {
        bool more = j->open[j->depth - 1] == '[' ? qd_json_more(j) : qd_json_key(j) != NULL;
        if (more)
            skip_one(j);
    }
}
