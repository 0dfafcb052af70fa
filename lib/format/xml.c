/* SPDX-License-Identifier: MIT */
/*
 * XML, as far as annotation files go (XML 1.0, fifth edition).  What is left out, document type
 * declarations with content above all, is refused and not guessed at.
 */
#include "format/xml.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/io.h"
#include "base/num.h"

enum { NAME_BYTES = 200 };

int qd_xml_fault(struct qd_xml *x, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!x->failed)
        qd_error_at(x->err, QD_EFORMAT, x->name, x->line, "%s", text);
    x->failed = true;
    x->p = x->end;
    return -1;
}

/* ------------------------------------------------------------------ characters ---------------- */

static bool starts(const struct qd_xml *x, const char *s)
{
    size_t n = strlen(s);

    return (size_t)(x->end - x->p) >= n && memcmp(x->p, s, n) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || c & 0x80)
        return true;
    return !first && ((c >= '0' && c <= '9') || c == '-' || c == '.');
}

/* Go on by n bytes and count the lines among them. */
static void advance(struct qd_xml *x, size_t n)
{
    const char *to = x->p + n, *s = x->p;

    while ((s = memchr(s, '\n', (size_t)(to - s)))) {
        x->line++;
        s++;
    }
    x->p = to;
}

static void skip_blanks(struct qd_xml *x)
{
    size_t n = 0;

    while (x->p + n < x->end && is_blank(x->p[n]))
        n++;
    advance(x, n);
}

/* Go behind the next 'stop'; false with a fault about 'what' when there is none. */
static bool skip_past(struct qd_xml *x, const char *stop, const char *what)
{
    size_t n = strlen(stop);

    for (const char *s = x->p; (s = memchr(s, stop[0], (size_t)(x->end - s))); s++)
        if ((size_t)(x->end - s) >= n && memcmp(s, stop, n) == 0) {
            advance(x, (size_t)(s - x->p) + n);
            return true;
        }
    qd_xml_fault(x, "%s without an end", what);
    return false;
}

/* ------------------------------------------------------------------ references ---------------- */

static void put_utf8(struct qd_buf *b, unsigned long c)
{
    char s[4];
    size_t n = 0;

    if (c < 0x80) {
        s[n++] = (char)c;
    } else if (c < 0x800) {
        s[n++] = (char)(0xc0 | c >> 6);
        s[n++] = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        s[n++] = (char)(0xe0 | c >> 12);
        s[n++] = (char)(0x80 | (c >> 6 & 63));
        s[n++] = (char)(0x80 | (c & 63));
    } else {
        s[n++] = (char)(0xf0 | c >> 18);
        s[n++] = (char)(0x80 | (c >> 12 & 63));
        s[n++] = (char)(0x80 | (c >> 6 & 63));
        s[n++] = (char)(0x80 | (c & 63));
    }
    qd_buf_add(b, s, n);
}

/* The digits of &#123; or &#x7b;, of which s has n; 0 when it is no character. */
static unsigned long character(const char *s, size_t n)
{
    bool hex = n > 0 && *s == 'x';
    unsigned long c = 0;

    if (n < (hex ? 2u : 1u))
        return 0;
    for (size_t i = hex; i < n; i++) {
        char d = s[i];
        int v = d >= '0' && d <= '9'          ? d - '0'
                : hex && d >= 'a' && d <= 'f' ? d - 'a' + 10
                : hex && d >= 'A' && d <= 'F' ? d - 'A' + 10
                                              : -1;
        if (v < 0 || c > 0x10ffff)
            return 0;
        c = c * (hex ? 16 : 10) + (unsigned long)v;
    }
    bool bad = c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ||
               (c < 32 && c != '\t' && c != '\n' && c != '\r');
    return bad ? 0 : c;
}

/* x->p is at '&'. */
static int reference(struct qd_xml *x, struct qd_buf *out)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
    const char *s = x->p + 1;
    size_t left = (size_t)(x->end - s), n = 0;

    while (n < left && n < 32 && s[n] != ';' && s[n] != '<' && !is_blank(s[n]))
        n++;
    if (n == left || s[n] != ';' || n == 0)
        return qd_xml_fault(x, "'&' without a name and ';' (write '&amp;')");
    x->p = s + n + 1;
    if (*s == '#') {
        unsigned long c = character(s + 1, n - 1);
        if (!c)
            return qd_xml_fault(x, "'&%.*s;' is no character", (int)n, s);
        put_utf8(out, c);
        return 0;
    }
    for (size_t i = 0; i < QD_LEN(known); i++)
        if (strlen(known[i].name) == n && memcmp(known[i].name, s, n) == 0) {
            qd_buf_add(out, &known[i].c, 1);
            return 0;
        }
    return qd_xml_fault(x, "unknown entity '&%.*s;'", (int)n, s);
}

/* Text up to one of the two stop bytes or the end, decoded into 'out'. */
static int decode(struct qd_xml *x, char stop, char stop2, struct qd_buf *out)
{
    while (x->p < x->end && *x->p != stop && *x->p != stop2) {
        size_t n = 0, left = (size_t)(x->end - x->p);
        if (*x->p == '&') {
            if (reference(x, out) < 0)
                return -1;
            continue;
        }
        for (; n < left && x->p[n] != stop && x->p[n] != stop2 && x->p[n] != '&'; n++)
            if ((unsigned char)x->p[n] < 32 && !is_blank(x->p[n])) {
                advance(x, n);
                return qd_xml_fault(x, "control character %d", *x->p);
            }
        qd_buf_add(out, x->p, n);
        advance(x, n);
    }
    return 0;
}

/* ------------------------------------------------------------------ tags ---------------------- */

/* A name at x->p; its length, or 0 with a fault. */
static size_t name_length(struct qd_xml *x)
{
    size_t n = 0, left = (size_t)(x->end - x->p);

    while (n < left && is_name(x->p[n], n == 0))
        n++;
    if (n == 0)
        qd_xml_fault(x, "a name is expected after '<', '</' or a blank in a tag");
    if (n > NAME_BYTES) {
        qd_xml_fault(x, "a name of more than %d bytes", NAME_BYTES);
        n = 0;
    }
    return n;
}

static int attribute(struct qd_xml *x)
{
    size_t n = name_length(x);

    if (!n)
        return -1;
    x->p += n;
    skip_blanks(x);
    if (x->p == x->end || *x->p != '=')
        return qd_xml_fault(x, "an attribute without '='");
    x->p++;
    skip_blanks(x);
    if (x->p == x->end || (*x->p != '"' && *x->p != '\''))
        return qd_xml_fault(x, "the value of an attribute must be in quotes");
    char quote = *x->p++;
    x->str.len = 0;
    if (decode(x, quote, '<', &x->str) < 0)
        return -1;
    if (x->p == x->end || *x->p != quote)
        return qd_xml_fault(x, "the value of an attribute without an end");
    x->p++;
    return 0;
}

/* x->p is behind '<': enter the element. */
static int start_tag(struct qd_xml *x)
{
    const char *name = x->p;
    size_t n = name_length(x);

    if (!n)
        return -1;
    if (x->depth == 0 && x->rooted)
        return qd_xml_fault(x, "a second root element '%.*s'", (int)QD_MIN(n, 60), name);
    if (x->depth == QD_XML_DEPTH)
        return qd_xml_fault(x, "elements are nested more than %d deep", QD_XML_DEPTH);
    x->p += n;
    for (;;) {
        const char *before = x->p;
        skip_blanks(x);
        if (x->p < x->end && (*x->p == '>' || *x->p == '/'))
            break;
        if (x->p == before || x->p == x->end)
            return qd_xml_fault(x, "the tag '<%.*s' has no end", (int)QD_MIN(n, 60), name);
        if (attribute(x) < 0)
            return -1;
    }
    x->empty = *x->p == '/';
    x->p += x->empty;
    if (x->p == x->end || *x->p != '>')
        return qd_xml_fault(x, "'/' in a tag is not followed by '>'");
    x->p++;
    x->open[x->depth].name = name;
    x->open[x->depth].len = n;
    x->depth++;
    x->rooted = true;
    return 0;
}

/* x->p is behind '</': leave the element. */
static int end_tag(struct qd_xml *x)
{
    const char *name = x->p;
    size_t n = name_length(x);

    if (!n)
        return -1;
    if (x->depth == 0)
        return qd_xml_fault(x, "'</%.*s>' ends nothing", (int)QD_MIN(n, 60), name);
    const char *want = x->open[x->depth - 1].name;
    size_t len = x->open[x->depth - 1].len;
    if (n != len || memcmp(name, want, n) != 0)
        return qd_xml_fault(x, "'</%.*s>' where '</%.*s>' is expected", (int)QD_MIN(n, 60), name,
            (int)QD_MIN(len, 60), want);
    x->p += n;
    skip_blanks(x);
    if (x->p == x->end || *x->p != '>')
        return qd_xml_fault(x, "the tag '</%.*s' has no end", (int)QD_MIN(n, 60), name);
    x->p++;
    x->depth--;
    return 0;
}

static int doctype(struct qd_xml *x)
{
    for (size_t n = 0; x->p + n < x->end; n++) {
        if (x->p[n] == '[')
            return qd_xml_fault(x, "declarations in a document type are not supported");
        if (x->p[n] == '>') {
            advance(x, n + 1);
            return 0;
        }
    }
    return qd_xml_fault(x, "a document type without an end");
}

/* ------------------------------------------------------------------ events -------------------- */

enum event { EV_START, EV_END, EV_EOF, EV_FAULT };

static bool blank_text(const struct qd_xml *x)
{
    for (size_t i = 0; i < x->str.len; i++)
        if (!is_blank(x->str.data[i]))
            return false;
    return true;
}

/* Read on to the next tag; text before it goes to x->str.  'mixed': it may be there. */
static enum event next(struct qd_xml *x, bool mixed)
{
    x->str.len = 0;
    if (x->empty) {
        x->empty = false;
        x->depth--;
        return EV_END;
    }
    while (!x->failed) {
        if (decode(x, '<', '<', &x->str) < 0)
            break;
        if (x->p == x->end) {
            if (x->depth == 0)
                return EV_EOF;
            qd_xml_fault(x, "the file ends inside of '%.*s'",
                (int)QD_MIN(x->open[x->depth - 1].len, 60), x->open[x->depth - 1].name);
        } else if (starts(x, "<!--")) {
            x->p += 4;
            skip_past(x, "-->", "a comment");
        } else if (starts(x, "<![CDATA[")) {
            const char *from = x->p += 9;
            if (skip_past(x, "]]>", "a CDATA section"))
                qd_buf_add(&x->str, from, (size_t)(x->p - from) - 3);
        } else if (starts(x, "<?")) {
            skip_past(x, "?>", "a processing instruction");
        } else if (starts(x, "<!DOCTYPE") && !x->rooted) {
            doctype(x);
        } else if (starts(x, "</")) {
            x->p += 2;
            return end_tag(x) < 0 ? EV_FAULT : EV_END;
        } else {
            x->p++;
            if (!mixed && !blank_text(x)) {
                qd_xml_fault(x, "text and elements beside each other");
                break;
            }
            return start_tag(x) < 0 ? EV_FAULT : EV_START;
        }
    }
    return EV_FAULT;
}

const char *qd_xml_child(struct qd_xml *x)
{
    enum event e = x->failed ? EV_FAULT : next(x, false);

    if (e == EV_END || e == EV_EOF) {
        if (!blank_text(x))
            qd_xml_fault(x, x->depth || e == EV_END ? "text where elements are expected"
                                                    : "text outside of the root element");
        if (e == EV_EOF && !x->rooted)
            qd_xml_fault(x, "no element: this is not an XML file");
        return NULL;
    }
    if (e == EV_FAULT)
        return NULL;
    x->tag.len = 0;
    qd_buf_add(&x->tag, x->open[x->depth - 1].name, x->open[x->depth - 1].len);
    if (qd_buf_ok(&x->tag, x->err) < 0) {
        x->failed = true;
        return NULL;
    }
    return x->tag.data;
}

const char *qd_xml_text(struct qd_xml *x)
{
    if (x->failed)
        return "";
    char inside[64];
    int n = x->depth ? (int)QD_MIN(x->open[x->depth - 1].len, 60) : 0;
    snprintf(inside, sizeof(inside), "%.*s", n, x->depth ? x->open[x->depth - 1].name : "");
    enum event e = next(x, false);
    if (e == EV_START)
        qd_xml_fault(x, "an element inside of '%s', where text is expected", inside);
    qd_buf_add(&x->str, "", 1);
    if (!x->failed && qd_buf_ok(&x->str, x->err) < 0)
        x->failed = true;
    if (x->failed)
        return "";
    char *s = x->str.data;
    size_t len = x->str.len - 1;
    while (len && is_blank(s[len - 1]))
        s[--len] = 0;
    while (is_blank(*s))
        s++;
    return s;
}

double qd_xml_number(struct qd_xml *x)
{
    char inside[64];
    double v = 0;
    int n = x->depth ? (int)QD_MIN(x->open[x->depth - 1].len, 60) : 0;

    snprintf(inside, sizeof(inside), "%.*s", n, x->depth ? x->open[x->depth - 1].name : "");
    const char *s = qd_xml_text(x);
    if (!x->failed && !qd_num_double(s, &v))
        qd_xml_fault(x, "%s '%.40s' is not a number", inside, s);
    return v;
}

void qd_xml_skip(struct qd_xml *x)
{
    int outside = x->depth - 1;
    enum event e = EV_START;

    while (!x->failed && x->depth > outside && e != EV_EOF)
        e = next(x, true);
}

/* ------------------------------------------------------------------ begin and end ------------- */

void qd_xml_open(
    struct qd_xml *x, const char *text, size_t len, const char *name, struct qd_error *err)
{
    *x = (struct qd_xml){.name = name, .p = text, .end = text + len, .line = 1, .err = err};
    if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        qd_xml_fault(x, "UTF-16 is not supported, only UTF-8 and its relatives are");
    else if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        x->p += 3;
}

int qd_xml_load(struct qd_xml *x, const char *path, struct qd_error *err)
{
    struct qd_buf file = {0};

    qd_buf_add(&file, "", 0); /* an empty file has text, too */
    if (qd_io_slurp(path, QD_XML_MAX, &file, err) < 0) {
        qd_buf_free(&file);
        return -1;
    }
    qd_xml_open(x, file.data, file.len, path, err);
    x->file = file;
    return 0;
}

int qd_xml_close(struct qd_xml *x)
{
    if (!x->failed && (x->depth || !x->rooted))
        qd_xml_fault(x, "the document is not complete");
    while (!x->failed && next(x, false) != EV_EOF) /* what follows is checked, too */
        continue;
    if (!x->failed && !blank_text(x))
        qd_xml_fault(x, "text outside of the root element");
    int ret = x->failed ? -1 : 0;
    qd_buf_free(&x->tag);
    qd_buf_free(&x->str);
    qd_buf_free(&x->file);
    return ret;
}
