/* SPDX-License-Identifier: MIT */
/*
 * The .data file: which lists, names and folders belong to a data set (spec darknet.md 4.1).  The
 * rules of darknet hold, with three relaxations: a path may have blanks in it, a comment may follow
 * a value after a blank, and a relative path that is not found from the current folder is looked up
 * beside the .data file.
 */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "base/num.h"
#include "format/text.h"

enum {
    DATA_BYTES = 1 << 20,
    MAX_PAIRS = 256,
    MAX_CLASSES = 1000000,
};

struct pair {
    const char *key;
    const char *value;   /* without any blank, as darknet sees it */
    const char *written; /* with the blanks inside */
    const char *path;    /* resolved, once someone asked */
    int line;
};

struct qd_data {
    struct qd_arena arena;
    const char *name, *dir; /* dir: of the file, with '/' at the end, or "" */
    struct pair pair[MAX_PAIRS];
    int n, classes;
};

static const char *const known_keys[] = {"classes", "train", "valid", "difficult", "names",
    "labels", "backup", "results", "eval", "map", "top", "saveweights", "savelast", "tree",
    "leaves", "test", "hier"};

/* The place of a key, or -1. */
static int find(const struct qd_data *d, const char *key)
{
    for (int i = 0; i < d->n; i++)
        if (strcmp(d->pair[i].key, key) == 0)
            return i;
    return -1;
}

static void warn_unknown(const struct qd_data *d, const char *key, int line)
{
    const char *near = NULL;
    int best = 3;

    for (size_t i = 0; i < QD_LEN(known_keys); i++) {
        int distance = qd_edit_distance(known_keys[i], key, 2);
        if (distance == 0)
            return;
        if (distance < best && 2 * (size_t)distance < strlen(known_keys[i])) {
            near = known_keys[i];
            best = distance;
        }
    }
    qd_warn("%s:%d: unknown key '%.60s'%s%s%s", d->name, line, key, near ? ", did you mean '" : "",
        near ? near : "", near ? "'?" : "");
}

static void strip_blanks(char *s)
{
    char *to = s;

    for (; *s; s++)
        if (!strchr(" \t\r", *s))
            *to++ = *s;
    *to = 0;
}

/* Cut a comment: '#' or ';' after a blank.  Without one it may belong to a file name. */
static void cut_comment(char *s)
{
    for (; *s; s++)
        if ((s[0] == ' ' || s[0] == '\t') && (s[1] == '#' || s[1] == ';')) {
            *s = 0;
            return;
        }
}

static int add_line(struct qd_data *d, char *s, int line, struct qd_error *err)
{
    s = qd_text_trim(s);
    if (!*s || *s == '#' || *s == ';')
        return 0;
    cut_comment(s);
    if (*s == '[')
        return qd_error_at(err, QD_EFORMAT, d->name, line,
            "'%.60s' is a section of a cfg: this is not a .data file", s);
    char *eq = strchr(s, '=');
    char *value = eq ? qd_text_trim(eq + 1) : NULL;
    if (eq)
        *eq = 0;
    strip_blanks(s);
    if (!eq || !*s || !*value) {
        qd_warn("%s:%d: no %s%s%.60s%s, the line is ignored", d->name, line,
            !eq  ? "'='"
            : *s ? "value after '='"
                 : "key before '='",
            *s ? " for '" : "", s, *s ? "'" : "");
        return 0;
    }
    int have = find(d, s);
    if (have >= 0) {
        qd_warn("%s:%d: duplicate key '%.60s', the first value '%.60s' of line %d is used", d->name,
            line, s, d->pair[have].value, d->pair[have].line);
        return 0;
    }
    warn_unknown(d, s, line);
    if (d->n == MAX_PAIRS)
        return qd_error_at(err, QD_EFORMAT, d->name, line, "more than %d keys", MAX_PAIRS);
    struct pair *p = &d->pair[d->n];
    p->line = line;
    p->key = qd_arena_strdup(&d->arena, s, err);
    p->written = qd_arena_strdup(&d->arena, value, err);
    strip_blanks(value);
    p->value = qd_arena_strdup(&d->arena, value, err);
    if (!p->key || !p->written || !p->value)
        return -1;
    d->n++;
    return 0;
}

static int check_classes(struct qd_data *d, struct qd_error *err)
{
    int i = find(d, "classes");
    long long v;

    if (i < 0)
        return 0;
    const struct pair *p = &d->pair[i];
    if (!qd_num_int(p->value, &v))
        return qd_error_at(
            err, QD_EFORMAT, d->name, p->line, "'classes=%.60s' is not an integer", p->value);
    if (v < 1 || v > MAX_CLASSES)
        return qd_error_at(err, QD_EFORMAT, d->name, p->line, "'classes=%.60s' must be 1 to %d",
            p->value, MAX_CLASSES);
    d->classes = (int)v;
    return 0;
}

static int read_data(struct qd_data *d, const char *path, struct qd_error *err)
{
    const char *slash = strrchr(path, '/');
    struct qd_text t;
    char *s;
    int got;

    if (qd_text_load(&t, path, DATA_BYTES, err) < 0)
        return -1;
    d->name = qd_arena_strdup(&d->arena, t.name, err);
    d->dir = qd_arena_strndup(&d->arena, path, slash ? (size_t)(slash - path) + 1 : 0, err);
    int ret = d->name && d->dir ? 0 : -1;
    while (ret == 0 && (got = qd_text_next(&t, &s, err)) != 0)
        ret = got < 0 ? -1 : add_line(d, s, t.line, err);
    qd_text_close(&t);
    return ret < 0 ? -1 : check_classes(d, err);
}

struct qd_data *qd_data_load(const char *path, struct qd_error *err)
{
    struct qd_data *d = qd_alloc(1, sizeof(*d), err);

    if (d && read_data(d, path, err) == 0)
        return d;
    qd_data_free(d);
    return NULL;
}

void qd_data_free(struct qd_data *d)
{
    if (d)
        qd_arena_free(&d->arena);
    qd_free(d);
}

const char *qd_data_get(const struct qd_data *d, const char *key)
{
    int i = find(d, key);

    return i < 0 ? NULL : d->pair[i].value;
}

int qd_data_classes(const struct qd_data *d)
{
    return d->classes;
}

/* The first of 'path', and 'dir' + 'path' when that is relative, that exists; else NULL. */
static const char *look_up(struct qd_data *d, const char *path, struct qd_error *err)
{
    size_t n = strlen(d->dir), len = strlen(path);

    if (access(path, F_OK) == 0)
        return path;
    if (*path == '/' || !n)
        return NULL;
    char *beside = qd_arena_alloc(&d->arena, n + len + 1, 1, err);
    if (!beside)
        return NULL;
    memcpy(beside, d->dir, n);
    memcpy(beside + n, path, len);
    return access(beside, F_OK) == 0 ? beside : NULL;
}

const char *qd_data_path(struct qd_data *d, const char *key, struct qd_error *err)
{
    int i = find(d, key);

    if (i < 0) {
        qd_error_at(err, QD_EFORMAT, d->name, 0, "key '%s' is missing", key);
        return NULL;
    }
    struct pair *p = &d->pair[i];
    if (p->path)
        return p->path;
    p->path = look_up(d, p->written, err);
    if (!p->path && strcmp(p->written, p->value) != 0)
        p->path = look_up(d, p->value, err);
    if (!p->path)
        qd_error_at(err, QD_EIO, d->name, p->line, "cannot find '%.150s' of '%s'%s%.150s%s",
            p->written, key, *d->dir && *p->written != '/' ? ", also not in '" : "",
            *p->written != '/' ? d->dir : "", *d->dir && *p->written != '/' ? "'" : "");
    else if (p->path != p->written)
        qd_log(QD_LOG_NOTE, "%s:%d: '%.60s' is '%.300s'", d->name, p->line, key, p->path);
    return p->path;
}
