/* SPDX-License-Identifier: MIT */
/*
 * Typed reading of a cfg section.  What a key may hold is said once, in the table of its layer
 * type; here the text is held against the table, and every fault becomes one line that names the
 * place, what is written there, and what would be right.
 */
#include "format/cfg.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/num.h"

enum {
    SHOWN = 60,   /* bytes of a value that a message repeats */
    UNKNOWN = 20, /* unknown keys of a section that are named one by one */
};

struct qd_keys qd_keys_open(const struct qd_cfg *cfg, int section, const struct qd_cfg_key *table,
    const struct qd_cfg_key *common, struct qd_error *err)
{
    return (struct qd_keys){cfg, section, table, common, err, false};
}

static const struct qd_cfg_key *find_in(const struct qd_cfg_key *table, const char *name)
{
    for (; table && table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

const struct qd_cfg_key *qd_key_find(const struct qd_keys *k, const char *name)
{
    const struct qd_cfg_key *key = find_in(k->table, name);

    return key ? key : find_in(k->common, name);
}

/* The table entry of a key that our own code asks for. */
static const struct qd_cfg_key *known(const struct qd_keys *k, const char *name)
{
    const struct qd_cfg_key *key = qd_key_find(k, name);

    QD_ASSERT(key != NULL);
    return key;
}

bool qd_key_given(const struct qd_keys *k, const char *name)
{
    return qd_cfg_get(k->cfg, k->section, name) != NULL;
}

int qd_key_line(const struct qd_keys *k, const char *name)
{
    const struct qd_cfg_section *s = qd_cfg_section(k->cfg, k->section);

    for (int i = 0; name && i < s->npairs; i++)
        if (strcmp(s->pair[i].key, name) == 0 && s->pair[i].line > 0)
            return s->pair[i].line;
    return s->line;
}

int qd_key_fault(struct qd_keys *k, enum qd_code code, const char *name, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    k->failed = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return qd_error_at(k->err, code, qd_cfg_name(k->cfg), qd_key_line(k, name), "%s", text);
}

/* "'filters=abc' in [convolutional] <what>" */
static void bad_value(struct qd_keys *k, enum qd_code code, const char *name, const char *what)
{
    const char *v = qd_cfg_get(k->cfg, k->section, name);

    qd_key_fault(k, code, name, "'%.40s=%.*s%s' in [%.40s] %s", name, SHOWN, v ? v : "",
        v && strlen(v) > SHOWN ? "..." : "", qd_cfg_section(k->cfg, k->section)->name, what);
}

/* The text that holds for a key: the section's, or the default; NULL when there is neither. */
static const char *text_of(const struct qd_keys *k, const struct qd_cfg_key *key)
{
    const char *v = k->failed ? NULL : qd_cfg_get(k->cfg, k->section, key->name);

    return v ? v : key->def;
}

static void limit_text(double x, char *buf)
{
    if (fabs(x) < 1e15 && x == floor(x))
        snprintf(buf, 64, "%.0f", x);
    else
        qd_num_format((float)x, buf);
}

static bool unlimited(const struct qd_cfg_key *key)
{
    return key->min == 0 && key->max == 0;
}

static void bad_range(struct qd_keys *k, const struct qd_cfg_key *key)
{
    char lo[64], hi[64], what[160];

    limit_text(key->min, lo);
    limit_text(key->max, hi);
    if (unlimited(key))
        snprintf(what, sizeof(what), "is out of range");
    else if (key->max >= INT_MAX)
        snprintf(what, sizeof(what), "must be at least %s", lo);
    else if (key->min <= INT_MIN)
        snprintf(what, sizeof(what), "must be at most %s", hi);
    else
        snprintf(what, sizeof(what), "must be %s to %s", lo, hi);
    bad_value(k, QD_EFORMAT, key->name, what);
}

/* An integer that is only too large for its type is out of range, not malformed. */
static bool all_digits(const char *s, size_t len)
{
    size_t i = len && (*s == '-' || *s == '+');

    if (i == len)
        return false;
    for (; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return true;
}

static bool is_list(const struct qd_cfg_key *key)
{
    return key->type == QD_KEY_INTS || key->type == QD_KEY_FLOATS || key->type == QD_KEY_LAYERS;
}

static bool is_integer(const struct qd_cfg_key *key)
{
    return key->type == QD_KEY_INT || key->type == QD_KEY_INTS || key->type == QD_KEY_LAYER ||
           key->type == QD_KEY_LAYERS;
}

static bool parse_number(const struct qd_cfg_key *key, const char *s, size_t len, double *x)
{
    long long i;

    if (!is_integer(key))
        return qd_num_doublen(s, len, x);
    if (qd_num_intn(s, len, &i))
        *x = (double)i;
    else if (all_digits(s, len))
        *x = *s == '-' ? -1e300 : 1e300;
    else
        return false;
    return true;
}

/* One number of a value; 'element' is its place in a list from 1 on, 0: the value is no list. */
static bool number(struct qd_keys *k, const struct qd_cfg_key *key, const char *s, size_t len,
    int element, double *x)
{
    double min = unlimited(key) ? -(double)FLT_MAX : key->min;
    double max = unlimited(key) ? (double)FLT_MAX : key->max;
    const char *kind = is_integer(key) ? "an integer" : "a number";
    char what[100];

    if (is_integer(key)) { /* whatever a table says, the result fits */
        min = QD_MAX(min, INT_MIN);
        max = QD_MIN(max, INT_MAX);
    }
    if (element && len == 0) {
        snprintf(what, sizeof(what), "has nothing as element %d", element);
        bad_value(k, QD_EFORMAT, key->name, what);
        return false;
    }
    if (!parse_number(key, s, len, x)) {
        if (element)
            snprintf(what, sizeof(what), "has '%.*s' as element %d, which is not %s",
                (int)QD_MIN(len, 24), s, element, kind);
        else
            snprintf(what, sizeof(what), "is not %s", kind);
        bad_value(k, QD_EFORMAT, key->name, what);
        return false;
    }
    if (*x >= min && *x <= max)
        return true;
    bad_range(k, key);
    return false;
}

/* A single number: the section's, else the default, else 0. */
static double scalar(struct qd_keys *k, const char *name)
{
    const struct qd_cfg_key *key = known(k, name);
    const char *text = text_of(k, key);
    double x = 0;

    if (text != key->def && number(k, key, text, strlen(text), 0, &x))
        return x;
    x = 0;
    if (key->def && !parse_number(key, key->def, strlen(key->def), &x))
        QD_ASSERT(!"the default in a key table is a number");
    return x;
}

int qd_key_int(struct qd_keys *k, const char *name)
{
    return (int)scalar(k, name);
}

float qd_key_float(struct qd_keys *k, const char *name)
{
    return (float)scalar(k, name);
}

/* -------------------------------------------------------------------- words ------------------- */

/* The next word of a space-separated list, or false at its end. */
static bool next_word(const char **list, char *word, size_t size)
{
    while (**list == ' ')
        (*list)++;
    size_t n = strcspn(*list, " ");
    if (!n)
        return false;
    QD_ASSERT(n < size);
    n = QD_MIN(n, size - 1);
    memcpy(word, *list, n);
    word[n] = 0;
    *list += n;
    return true;
}

struct nearest {
    char word[64];
    int distance;
};

/* A word is near when at most two letters, and less than half of them, are different. */
static void consider(struct nearest *best, const char *given, const char *word)
{
    int d = qd_edit_distance(given, word, 2);

    if (d <= 2 && 2 * (size_t)d < strlen(word) && (!best->word[0] || d < best->distance)) {
        snprintf(best->word, sizeof(best->word), "%s", word);
        best->distance = d;
    }
}

const char *qd_key_word(struct qd_keys *k, const char *name)
{
    const struct qd_cfg_key *key = known(k, name);
    const char *text = text_of(k, key), *list = key->choices;
    struct nearest best = {{0}, 0};
    char word[64], what[300];

    if (!text || text == key->def || !list || key->type != QD_KEY_WORD)
        return text ? text : "";
    while (next_word(&list, word, sizeof(word))) {
        if (strcmp(word, text) == 0)
            return text;
        consider(&best, text, word);
    }
    if (best.word[0])
        snprintf(what, sizeof(what), "is not known, did you mean '%s'?", best.word);
    else
        snprintf(what, sizeof(what), "must be one of: %.250s", key->choices);
    bad_value(k, QD_EFORMAT, name, what);
    return key->def ? key->def : "";
}

/* -------------------------------------------------------------------- lists ------------------- */

/* Read a list; ints or floats (or neither: the others are NULL) get up to 'max' numbers. */
static int list(struct qd_keys *k, const char *name, int *ints, float *floats, int max)
{
    const struct qd_cfg_key *key = known(k, name);
    const char *text = text_of(k, key);
    char what[64];
    int n = 0;

    for (const char *s = text; s; n++) {
        size_t len = strcspn(s, ",");
        double x = 0;
        if (n == max) {
            snprintf(what, sizeof(what), "has more than %d numbers", max);
            bad_value(k, QD_EFORMAT, name, what);
            break;
        }
        if (!number(k, key, s, len, n + 1, &x))
            break;
        if (ints)
            ints[n] = (int)x;
        else if (floats)
            floats[n] = (float)x;
        s = s[len] ? s + len + 1 : NULL;
    }
    if (k->failed && text && text != key->def) /* the default is left, and is right */
        return list(k, name, ints, floats, max);
    return n;
}

int qd_key_ints(struct qd_keys *k, const char *name, int *out, int max)
{
    return list(k, name, out, NULL, max);
}

int qd_key_floats(struct qd_keys *k, const char *name, float *out, int max)
{
    return list(k, name, NULL, out, max);
}

int qd_key_count(struct qd_keys *k, const char *name)
{
    const char *s = text_of(k, known(k, name));
    int n = s != NULL;

    for (; s && *s; s++)
        n += *s == ',';
    return n;
}

/* -------------------------------------------------------------------- the whole section ------- */

static void unknown(const struct qd_keys *k, const struct qd_cfg_pair *pair)
{
    const struct qd_cfg_section *s = qd_cfg_section(k->cfg, k->section);
    struct nearest best = {{0}, 0};

    for (const struct qd_cfg_key *key = k->table; key && key->name; key++)
        consider(&best, pair->key, key->name);
    for (const struct qd_cfg_key *key = k->common; key && key->name; key++)
        consider(&best, pair->key, key->name);
    qd_warn("%s:%d: unknown key '%.60s' in [%.60s]%s%s%s", qd_cfg_name(k->cfg),
        qd_key_line(k, pair->key), pair->key, s->name, best.word[0] ? ", did you mean '" : "",
        best.word, best.word[0] ? "'?" : "");
}

/* Whether a refused key is harmless all the same: zero, or what it would be without being there. */
static bool harmless(const struct qd_cfg_key *key, const char *value)
{
    double x;

    return (qd_num_double(value, &x) && x == 0) || (key->def && strcmp(key->def, value) == 0);
}

/* Hold a value against the table, whether or not anyone will ask for it. */
static void check_value(struct qd_keys *k, const struct qd_cfg_key *key)
{
    if (is_list(key))
        (void)list(k, key->name, NULL, NULL, INT_MAX);
    else if (is_integer(key) || key->type == QD_KEY_FLOAT)
        (void)scalar(k, key->name);
    else if (key->type == QD_KEY_WORD)
        (void)qd_key_word(k, key->name);
}

int qd_keys_check(struct qd_keys *k)
{
    const struct qd_cfg_section *s = qd_cfg_section(k->cfg, k->section);
    int strangers = 0;

    for (int i = 0; i < s->npairs; i++) {
        const struct qd_cfg_key *key = qd_key_find(k, s->pair[i].key);
        if (!key) {
            if (strangers++ < UNKNOWN)
                unknown(k, &s->pair[i]);
            continue;
        }
        if (key->type == QD_KEY_NOTED || key->type == QD_KEY_NOTED_LAYERS)
            qd_log(QD_LOG_NOTE, "%s:%d: '%s' in [%.60s] changes nothing here", qd_cfg_name(k->cfg),
                qd_key_line(k, key->name), key->name, s->name);
        else if (key->type == QD_KEY_REFUSED && !harmless(key, s->pair[i].value) && !k->failed)
            bad_value(k, QD_EUNSUP, key->name, "is not supported, it would be another network");
        else if (!k->failed)
            check_value(k, key);
    }
    if (strangers > UNKNOWN)
        qd_warn("%s:%d: %d more unknown keys in [%.60s]", qd_cfg_name(k->cfg), s->line,
            strangers - UNKNOWN, s->name);
    return k->failed ? -1 : 0;
}
