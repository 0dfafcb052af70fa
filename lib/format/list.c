/* SPDX-License-Identifier: MIT */
/*
 * Files of one entry a line: class names and image lists (spec darknet.md 4.2, 4.3).  An entry is a
 * piece of the file's text, nothing is copied.
 */
#include <string.h>

#include "base/error.h"
#include "format/text.h"

enum {
    NAMES_BYTES = 16 << 20,
    LIST_BYTES = 1 << 29,
};

struct qd_list {
    struct qd_text text;
    char **entry;
    size_t n, cap;
};

/* A set of names is a list that was checked differently. */
struct qd_names {
    struct qd_list list;
};

static int append(struct qd_list *l, char *s, struct qd_error *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        char **entry = qd_alloc_raw(cap, sizeof(*entry), err);
        if (!entry)
            return -1;
        for (size_t i = 0; i < l->n; i++)
            entry[i] = l->entry[i];
        qd_free(l->entry);
        l->entry = entry;
        l->cap = cap;
    }
    l->entry[l->n++] = s;
    return 0;
}

static void clear(struct qd_list *l)
{
    qd_free(l->entry);
    qd_text_close(&l->text);
}

/* -------------------------------------------------------------------- names ------------------- */

/* A tab or the like in a name would break every table that it is printed in. */
static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 127)
            return true;
    return false;
}

/* Blank lines at the end mean nothing; one in between would shift all classes after it. */
static int read_names(struct qd_list *l, struct qd_error *err)
{
    struct qd_text *t = &l->text;
    int blank = 0, got;
    char *s;

    while ((got = qd_text_next(t, &s, err)) > 0) {
        if (s[strspn(s, " \t\r")] == 0) {
            blank = blank ? blank : t->line;
            continue;
        }
        if (blank)
            return qd_error_at(
                err, QD_EFORMAT, t->name, blank, "blank line between the class names");
        if (has_control(s))
            return qd_error_at(
                err, QD_EFORMAT, t->name, t->line, "control character in class name '%.60s'", s);
        if (append(l, s, err) < 0)
            return -1;
    }
    if (got == 0 && l->n == 0)
        return qd_error_at(err, QD_EFORMAT, t->name, 0, "no class names");
    return got;
}

struct qd_names *qd_names_load(const char *path, struct qd_error *err)
{
    struct qd_names *n = qd_alloc(1, sizeof(*n), err);

    if (n && qd_text_load(&n->list.text, path, NAMES_BYTES, err) == 0 &&
        read_names(&n->list, err) == 0)
        return n;
    qd_names_free(n);
    return NULL;
}

void qd_names_free(struct qd_names *n)
{
    if (n)
        clear(&n->list);
    qd_free(n);
}

int qd_names_count(const struct qd_names *n)
{
    return (int)n->list.n;
}

const char *qd_names_get(const struct qd_names *n, int class_id)
{
    return class_id >= 0 && (size_t)class_id < n->list.n ? n->list.entry[class_id] : NULL;
}

/* -------------------------------------------------------------------- lists ------------------- */

static int read_list(struct qd_list *l, struct qd_error *err)
{
    int got;
    char *s;

    while ((got = qd_text_next(&l->text, &s, err)) > 0) {
        s = qd_text_trim(s);
        if (*s && append(l, s, err) < 0)
            return -1;
    }
    if (got == 0 && l->n == 0)
        return qd_error_at(err, QD_EFORMAT, l->text.name, 0, "the list names no file");
    return got;
}

struct qd_list *qd_list_load(const char *path, struct qd_error *err)
{
    struct qd_list *l = qd_alloc(1, sizeof(*l), err);

    if (l && qd_text_load(&l->text, path, LIST_BYTES, err) == 0 && read_list(l, err) == 0)
        return l;
    qd_list_free(l);
    return NULL;
}

void qd_list_free(struct qd_list *l)
{
    if (l)
        clear(l);
    qd_free(l);
}

size_t qd_list_count(const struct qd_list *l)
{
    return l->n;
}

const char *qd_list_get(const struct qd_list *l, size_t i)
{
    return i < l->n ? l->entry[i] : NULL;
}
