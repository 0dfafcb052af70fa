/* SPDX-License-Identifier: MIT */
/*
 * From text to cfg document.  The rules are the union of what the darknets accept (spec darknet.md
 * 1.1): blanks mean nothing anywhere, '#' and ';' begin a comment anywhere, the first '=' splits,
 * the first of equal keys wins.  What they would drop silently is dropped with a warning; what
 * would crash them is an error.  Every byte stays reachable from some line, for printing.
 */
#include "format/cfg_doc.h"

#include <string.h>

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"

struct parser {
    struct qd_cfg *cfg;
    struct qd_cfg_line *head; /* the section that is open */
    int number, nsec, npairs;
    struct qd_error *err;
};

struct qd_cfg *qd_cfg_doc_new(const char *name, struct qd_error *err)
{
    struct qd_cfg *cfg = qd_alloc(1, sizeof(*cfg), err);

    if (!cfg)
        return NULL;
    cfg->name = qd_arena_strdup(&cfg->arena, name, err);
    if (!cfg->name) {
        qd_cfg_free(cfg);
        return NULL;
    }
    return cfg;
}

struct qd_cfg_line *qd_cfg_doc_add(
    struct qd_cfg *cfg, const struct qd_cfg_line *line, struct qd_error *err)
{
    struct qd_cfg_line *l = qd_arena_alloc(&cfg->arena, 1, sizeof(*l), err);

    if (!l)
        return NULL;
    *l = *line;
    l->next = NULL;
    if (cfg->last)
        cfg->last->next = l;
    else
        cfg->first = l;
    cfg->last = l;
    return l;
}

char *qd_cfg_strip(struct qd_arena *a, const char *s, size_t len, struct qd_error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < len && s[i] != '#' && s[i] != ';'; i++)
        n += !qd_cfg_blank(s[i]);
    char *out = qd_arena_alloc(a, n + 1, 1, err);
    if (!out)
        return NULL;
    for (size_t i = 0, k = 0; k < n; i++)
        if (!qd_cfg_blank(s[i]))
            out[k++] = s[i];
    return out;
}

/* Comments and lines without effect: one piece for as many as follow each other. */
static int add_other(struct parser *p, const char *s, size_t len)
{
    struct qd_cfg_line *last = p->cfg->last;

    if (last && last->kind == QD_CFG_OTHER) {
        last->len += len;
        return 0;
    }
    struct qd_cfg_line l = {.text = s, .len = len, .kind = QD_CFG_OTHER, .number = p->number};
    return qd_cfg_doc_add(p->cfg, &l, p->err) ? 0 : -1;
}

static int add_header(struct parser *p, const char *s, size_t len)
{
    const char *file = p->cfg->name;
    char *name = qd_cfg_strip(&p->cfg->arena, s, len, p->err);

    if (!name)
        return -1;
    size_t n = strlen(name);
    char *close = strchr(name, ']');
    if (!close)
        return qd_error_at(
            p->err, QD_EFORMAT, file, p->number, "no ']' after the section name in '%.60s'", name);
    if (close[1] || strchr(name + 1, '['))
        return qd_error_at(p->err, QD_EFORMAT, file, p->number,
            "a section header must be one name in brackets, not '%.60s'", name);
    if (n == 2)
        return qd_error_at(p->err, QD_EFORMAT, file, p->number, "section without a name");
    *close = 0;
    name++;
    if (p->nsec == 0 && strcmp(name, "net") != 0 && strcmp(name, "network") != 0)
        return qd_error_at(p->err, QD_EFORMAT, file, p->number,
            "the first section must be [net] or [network], not [%.60s]", name);
    if (p->nsec++ == QD_CFG_SECTIONS)
        return qd_error_at(
            p->err, QD_EFORMAT, file, p->number, "more than %d sections", QD_CFG_SECTIONS);
    struct qd_cfg_line l = {
        .text = s, .len = len, .key = name, .kind = QD_CFG_HEADER, .number = p->number};
    p->head = qd_cfg_doc_add(p->cfg, &l, p->err);
    return p->head ? 0 : -1;
}

static int add_pair(struct parser *p, const char *s, size_t len)
{
    const char *file = p->cfg->name;
    char *key = qd_cfg_strip(&p->cfg->arena, s, len, p->err);

    if (!key)
        return -1;
    char *eq = strchr(key, '=');
    if (!p->head)
        return qd_error_at(
            p->err, QD_EFORMAT, file, p->number, "'%.60s' stands before the first section", key);
    if (!eq || eq == key || !eq[1]) {
        qd_warn("%s:%d: no %s in '%.60s', the line is ignored", file, p->number,
            !eq     ? "'='"
            : eq[1] ? "key before '='"
                    : "value after '='",
            key);
        return add_other(p, s, len);
    }
    if (p->npairs++ == QD_CFG_PAIRS)
        return qd_error_at(p->err, QD_EFORMAT, file, p->number, "more than %d keys", QD_CFG_PAIRS);
    if (p->head->npairs++ == QD_CFG_SECTION_PAIRS)
        return qd_error_at(p->err, QD_EFORMAT, file, p->number, "more than %d keys in [%.60s]",
            QD_CFG_SECTION_PAIRS, p->head->key);
    *eq = 0;
    struct qd_cfg_line l = {.text = s,
        .len = len,
        .key = key,
        .value = eq + 1,
        .kind = QD_CFG_PAIR,
        .number = p->number};
    return qd_cfg_doc_add(p->cfg, &l, p->err) ? 0 : -1;
}

static int parse_line(struct parser *p, const char *s, size_t len)
{
    size_t i = 0;

    while (i < len && qd_cfg_blank(s[i]))
        i++;
    if (i == len || s[i] == '#' || s[i] == ';')
        return add_other(p, s, len);
    if (s[i] == '[')
        return add_header(p, s, len);
    return add_pair(p, s, len);
}

static int parse(struct parser *p, const char *text, size_t len)
{
    while (len) {
        const char *nl = memchr(text, '\n', len);
        size_t n = nl ? (size_t)(nl - text) + 1 : len;
        p->number++;
        if (memchr(text, 0, n))
            return qd_error_at(p->err, QD_EFORMAT, p->cfg->name, p->number,
                "a zero byte: this is not a text file");
        if (parse_line(p, text, n) < 0)
            return -1;
        text += n;
        len -= n;
    }
    if (!p->nsec)
        return qd_error_at(p->err, QD_EFORMAT, p->cfg->name, 0, "no [net] section");
    return 0;
}

/* The pair of that key in a section, or -1. */
static int find(const struct qd_cfg_sec *sec, const char *key)
{
    for (int i = 0; i < sec->pub.npairs; i++)
        if (strcmp(sec->pair[i].key, key) == 0)
            return i;
    return -1;
}

static void index_pair(struct qd_cfg *cfg, struct qd_cfg_sec *sec, struct qd_cfg_line *l, bool warn)
{
    int have = find(sec, l->key);

    if (have >= 0) {
        if (warn)
            qd_warn("%s:%d: duplicate key '%.60s' in [%.60s], the first value '%.60s' of line %d "
                    "is used",
                cfg->name, l->number, l->key, sec->pub.name, sec->pair[have].value,
                sec->pair[have].line);
        return;
    }
    QD_ASSERT(sec->pub.npairs < sec->room);
    sec->at[sec->pub.npairs] = l;
    sec->pair[sec->pub.npairs++] = (struct qd_cfg_pair){l->key, l->value, l->number};
}

int qd_cfg_doc_index(struct qd_cfg *cfg, bool warn, struct qd_error *err)
{
    size_t n = 0;

    for (struct qd_cfg_line *l = cfg->first; l; l = l->next)
        n += l->kind == QD_CFG_HEADER;
    cfg->sec = qd_alloc(n, sizeof(*cfg->sec), err);
    if (!cfg->sec)
        return -1;
    struct qd_cfg_sec *sec = NULL;
    for (struct qd_cfg_line *l = cfg->first; l; l = l->next) {
        if (l->kind == QD_CFG_HEADER) {
            size_t room = (size_t)l->npairs;
            sec = cfg->sec + cfg->nsec++;
            sec->head = l;
            sec->room = l->npairs;
            sec->pair = qd_arena_alloc(&cfg->arena, room, sizeof(*sec->pair), err);
            sec->at = qd_arena_alloc(&cfg->arena, room, sizeof(struct qd_cfg_line *), err);
            if (!sec->pair || !sec->at)
                return -1;
            sec->pub =
                (struct qd_cfg_section){.name = l->key, .line = l->number, .pair = sec->pair};
        } else if (l->kind == QD_CFG_PAIR) {
            index_pair(cfg, sec, l, warn);
        }
    }
    return 0;
}

struct qd_cfg *qd_cfg_parse(const char *text, size_t len, const char *name, struct qd_error *err)
{
    if (len > QD_CFG_BYTES) {
        qd_error_at(
            err, QD_EFORMAT, name, 0, "file is larger than the limit of %d bytes", QD_CFG_BYTES);
        return NULL;
    }
    struct qd_cfg *cfg = qd_cfg_doc_new(name, err);
    if (!cfg)
        return NULL;
    char *copy = qd_arena_strndup(&cfg->arena, text, len, err);
    struct parser p = {.cfg = cfg, .err = err};
    cfg->bom = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
    size_t skip = cfg->bom ? 3 : 0;
    if (copy && parse(&p, copy + skip, len - skip) == 0 && qd_cfg_doc_index(cfg, true, err) == 0)
        return cfg;
    qd_cfg_free(cfg);
    return NULL;
}

struct qd_cfg *qd_cfg_load(const char *path, struct qd_error *err)
{
    struct qd_buf b = {0};
    struct qd_cfg *cfg = NULL;

    if (qd_io_slurp(path, QD_CFG_BYTES, &b, err) == 0)
        cfg = qd_cfg_parse(b.data ? b.data : "", b.len, strcmp(path, "-") ? path : "<stdin>", err);
    qd_buf_free(&b);
    return cfg;
}
