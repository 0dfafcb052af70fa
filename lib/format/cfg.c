/* SPDX-License-Identifier: MIT */
/*
 * The cfg document after parsing: looking things up, changing them, and writing it all back.  An
 * edit touches one line and leaves its indentation, its comment and its line end alone, so that the
 * difference between a cfg and its pruned successor is what pruning did.
 */
#include "format/cfg_doc.h"

#include <string.h>

#include "base/error.h"
#include "base/io.h"
#include "base/num.h"

void qd_cfg_free(struct qd_cfg *cfg)
{
    if (!cfg)
        return;
    qd_arena_free(&cfg->arena);
    qd_free(cfg->sec);
    qd_free(cfg);
}

const char *qd_cfg_name(const struct qd_cfg *cfg)
{
    return cfg->name;
}

int qd_cfg_count(const struct qd_cfg *cfg)
{
    return cfg->nsec;
}

const struct qd_cfg_section *qd_cfg_section(const struct qd_cfg *cfg, int i)
{
    QD_ASSERT(i >= 0 && i < cfg->nsec);
    return &cfg->sec[i].pub;
}

static int find(const struct qd_cfg *cfg, int section, const char *key)
{
    const struct qd_cfg_section *s = qd_cfg_section(cfg, section);

    for (int i = 0; i < s->npairs; i++)
        if (strcmp(s->pair[i].key, key) == 0)
            return i;
    return -1;
}

const char *qd_cfg_get(const struct qd_cfg *cfg, int section, const char *key)
{
    int i = find(cfg, section, key);

    return i < 0 ? NULL : cfg->sec[section].pair[i].value;
}

/* -------------------------------------------------------------------- editing ---------------- */

/* Whether a key or value survives being written and read: no line breaks, comments, control
 * characters; something left when blanks are gone.  A key cannot hold '=' or look like a
 * section. */
static bool writable(const char *s, bool is_key)
{
    bool any = false;

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c < ' ' && c != '\t') || c == 127 || c == '#' || c == ';' ||
            (is_key && (c == '=' || c == '[')))
            return false;
        any = any || !qd_cfg_blank(*s);
    }
    return any;
}

/* The part of a pair's text that holds the value: from the first byte after '=' that is not blank
 * up to the blanks before a comment or the line end. */
static void value_span(const struct qd_cfg_line *l, size_t *from, size_t *to)
{
    const char *eq = memchr(l->text, '=', l->len);

    QD_ASSERT(eq);
    size_t i = (size_t)(eq - l->text) + 1;
    while (i < l->len && qd_cfg_blank(l->text[i]))
        i++;
    *from = i;
    while (i < l->len && l->text[i] != '#' && l->text[i] != ';')
        i++;
    while (i > *from && qd_cfg_blank(l->text[i - 1]))
        i--;
    *to = i;
}

/* Move a buffer into the document. */
static const char *join(struct qd_cfg *cfg, struct qd_buf *b, size_t *len, struct qd_error *err)
{
    char *text = NULL;

    if (qd_buf_ok(b, err) == 0)
        text = qd_arena_strndup(&cfg->arena, b->data, b->len, err);
    *len = b->len;
    qd_buf_free(b);
    return text;
}

static int change_pair(
    struct qd_cfg *cfg, struct qd_cfg_sec *sec, int i, const char *value, struct qd_error *err)
{
    struct qd_cfg_line *l = sec->at[i];
    struct qd_buf b = {0};
    size_t from, to, len;

    if (strcmp(l->value, value) == 0)
        return 0;
    value_span(l, &from, &to);
    qd_buf_add(&b, l->text, from);
    qd_buf_str(&b, value);
    qd_buf_add(&b, l->text + to, l->len - to);
    const char *text = join(cfg, &b, &len, err);
    if (!text)
        return -1;
    l->text = text;
    l->len = len;
    l->value = value;
    l->number = 0;
    sec->pair[i].value = value;
    sec->pair[i].line = 0;
    return 0;
}

static bool has_eol(const struct qd_cfg_line *l)
{
    return l->len && l->text[l->len - 1] == '\n';
}

/* The line end that the document uses: that of its first line that has one. */
static const char *eol_of(const struct qd_cfg *cfg)
{
    for (const struct qd_cfg_line *l = cfg->first; l; l = l->next) {
        const char *nl = memchr(l->text, '\n', l->len);
        if (nl)
            return nl > l->text && nl[-1] == '\r' ? "\r\n" : "\n";
    }
    return "\n";
}

/* Room for one more pair in the section. */
static int grow(struct qd_cfg *cfg, struct qd_cfg_sec *sec, struct qd_error *err)
{
    if (sec->pub.npairs < sec->room)
        return 0;
    if (sec->room >= QD_CFG_SECTION_PAIRS)
        return qd_error_at(err, QD_EARG, cfg->name, sec->pub.line, "more than %d keys in [%.60s]",
            QD_CFG_SECTION_PAIRS, sec->pub.name);
    int room = QD_MIN(sec->room * 2 + 4, QD_CFG_SECTION_PAIRS);
    struct qd_cfg_pair *pair = qd_arena_alloc(&cfg->arena, (size_t)room, sizeof(*pair), err);
    struct qd_cfg_line **at =
        qd_arena_alloc(&cfg->arena, (size_t)room, sizeof(struct qd_cfg_line *), err);
    if (!pair || !at)
        return -1;
    for (int i = 0; i < sec->pub.npairs; i++) {
        pair[i] = sec->pair[i];
        at[i] = sec->at[i];
    }
    sec->pub.pair = sec->pair = pair;
    sec->at = at;
    sec->room = room;
    return 0;
}

static int add_pair(struct qd_cfg *cfg, struct qd_cfg_sec *sec, const char *key, const char *value,
    struct qd_error *err)
{
    struct qd_cfg_line *after = sec->head;
    struct qd_buf b = {0};
    size_t len;

    for (struct qd_cfg_line *l = sec->head->next; l && l->kind != QD_CFG_HEADER; l = l->next)
        if (l->kind == QD_CFG_PAIR)
            after = l;
    if (sec->head->npairs >= QD_CFG_SECTION_PAIRS)
        return qd_error_at(err, QD_EARG, cfg->name, sec->pub.line, "more than %d keys in [%.60s]",
            QD_CFG_SECTION_PAIRS, sec->pub.name);
    if (grow(cfg, sec, err) < 0)
        return -1;
    const char *eol = eol_of(cfg);
    bool ended = has_eol(after);
    qd_buf_printf(&b, "%s%s=%s%s", ended ? "" : eol, key, value, ended ? eol : "");
    const char *text = join(cfg, &b, &len, err);
    struct qd_cfg_line *l = text ? qd_arena_alloc(&cfg->arena, 1, sizeof(*l), err) : NULL;
    if (!l)
        return -1;
    *l = (struct qd_cfg_line){
        .next = after->next, .text = text, .len = len, .key = key, .value = value};
    l->kind = QD_CFG_PAIR;
    after->next = l;
    sec->head->npairs++;
    sec->at[sec->pub.npairs] = l;
    sec->pair[sec->pub.npairs++] = (struct qd_cfg_pair){key, value, 0};
    return 0;
}

int qd_cfg_set(
    struct qd_cfg *cfg, int section, const char *key, const char *value, struct qd_error *err)
{
    if (section < 0 || section >= cfg->nsec)
        return qd_error_set(
            err, QD_EARG, "%s: no section %d, there are %d", cfg->name, section, cfg->nsec);
    if (!writable(key, true))
        return qd_error_set(err, QD_EARG, "'%.60s' cannot be a key of a cfg", key);
    if (!writable(value, false))
        return qd_error_set(err, QD_EARG, "'%.60s' cannot be the value of '%.60s'", value, key);
    char *k = qd_cfg_strip(&cfg->arena, key, strlen(key), err);
    char *v = qd_cfg_strip(&cfg->arena, value, strlen(value), err);
    if (!k || !v)
        return -1;
    int i = find(cfg, section, k);
    if (i >= 0)
        return change_pair(cfg, &cfg->sec[section], i, v, err);
    return add_pair(cfg, &cfg->sec[section], k, v, err);
}

/*
 * How much of the text after a section's last key goes with the section: comments right below it
 * and blank lines; a comment after a blank line speaks about what follows and stays.
 */
static size_t own_tail(const char *s, size_t len)
{
    bool blank_seen = false;

    for (size_t i = 0; i < len;) {
        const char *nl = memchr(s + i, '\n', len - i);
        size_t end = nl ? (size_t)(nl - s) + 1 : len, k = i;
        while (k < end && qd_cfg_blank(s[k]))
            k++;
        if (k < end && blank_seen)
            return i;
        blank_seen = blank_seen || k == end;
        i = end;
    }
    return len;
}

/*
 * How much of the text above a header stays when its section goes: what comes before the comments
 * right above it.  'below': the text begins right below the predecessor's last key, whose comments
 * are those that follow without a blank line.
 */
static size_t others_head(const char *s, size_t len, bool below)
{
    size_t from = len;

    while (from) {
        size_t start = from - 1, k;
        while (start && s[start - 1] != '\n')
            start--;
        for (k = start; k < from && qd_cfg_blank(s[k]);)
            k++;
        if (k == from || (s[k] != '#' && s[k] != ';'))
            return from;
        from = start;
    }
    return below ? len : 0;
}

int qd_cfg_remove(struct qd_cfg *cfg, int section, struct qd_error *err)
{
    if (section < 1 || section >= cfg->nsec)
        return qd_error_set(err, QD_EARG, "%s: section %d cannot be removed, layers are 1 to %d",
            cfg->name, section, cfg->nsec - 1);
    struct qd_cfg_line *head = cfg->sec[section].head, *before = cfg->sec[section - 1].head;
    bool below = true;
    for (; before->next != head; before = before->next)
        below = before->kind != QD_CFG_OTHER;
    if (before->kind == QD_CFG_OTHER)
        before->len = others_head(before->text, before->len, below);
    struct qd_cfg_line *rest = head->next; /* what follows the last pair */
    for (struct qd_cfg_line *l = rest; l && l->kind != QD_CFG_HEADER; l = l->next)
        if (l->kind == QD_CFG_PAIR)
            rest = l->next;
    /* a second piece of comments stayed when an earlier section went: it stays again */
    if (rest && rest->kind == QD_CFG_OTHER) {
        size_t own = own_tail(rest->text, rest->len);
        rest->text += own;
        rest->len -= own;
    }
    before->next = rest;
    memmove(cfg->sec + section, cfg->sec + section + 1,
        (size_t)(cfg->nsec - section - 1) * sizeof(*cfg->sec));
    cfg->nsec--;
    return 0;
}

/* -------------------------------------------------------------------- copy, print ------------- */

struct qd_cfg *qd_cfg_copy(const struct qd_cfg *cfg, struct qd_error *err)
{
    struct qd_cfg *copy = qd_cfg_doc_new(cfg->name, err);

    if (!copy)
        return NULL;
    copy->bom = cfg->bom;
    for (const struct qd_cfg_line *l = cfg->first; l; l = l->next) {
        struct qd_cfg_line *n = qd_cfg_doc_add(copy, l, err);
        if (!n)
            goto fail;
        n->text = qd_arena_strndup(&copy->arena, l->text, l->len, err);
        n->key = l->key ? qd_arena_strdup(&copy->arena, l->key, err) : NULL;
        n->value = l->value ? qd_arena_strdup(&copy->arena, l->value, err) : NULL;
        if (!n->text || (l->key && !n->key) || (l->value && !n->value))
            goto fail;
    }
    if (qd_cfg_doc_index(copy, false, err) == 0)
        return copy;
fail:
    qd_cfg_free(copy);
    return NULL;
}

void qd_cfg_print(const struct qd_cfg *cfg, struct qd_buf *b)
{
    if (cfg->bom)
        qd_buf_add(b, "\xef\xbb\xbf", 3);
    for (const struct qd_cfg_line *l = cfg->first; l; l = l->next)
        qd_buf_add(b, l->text, l->len);
}

int qd_cfg_save(const struct qd_cfg *cfg, const char *path, bool force, struct qd_error *err)
{
    struct qd_buf b = {0};
    int ret = -1;

    qd_cfg_print(cfg, &b);
    if (qd_buf_ok(&b, err) == 0)
        ret = qd_io_put(path, force, b.data, b.len, err);
    qd_buf_free(&b);
    return ret;
}

/* -------------------------------------------------------------------- overrides --------------- */

/* The two spellings of some sections (spec darknet.md 1.2). */
static const char *const aliases[][2] = {
    {"net", "network"},
    {"convolutional", "conv"},
    {"deconvolutional", "deconv"},
    {"connected", "conn"},
    {"maxpool", "max"},
    {"avgpool", "avg"},
    {"local_avgpool", "local_avg"},
    {"normalization", "lrn"},
    {"softmax", "soft"},
    {"empty", "silence"},
};

static const char *canonical(const char *name)
{
    for (size_t i = 0; i < QD_LEN(aliases); i++)
        if (strcmp(name, aliases[i][1]) == 0)
            return aliases[i][0];
    return name;
}

/* Set a key in every section that 'where' names. */
static int override_sections(
    struct qd_cfg *cfg, const char *where, const char *key, const char *value, struct qd_error *err)
{
    const char *name = canonical(where);
    long long layer;
    int hits = 0;

    if (qd_num_int(where, &layer)) {
        if (layer < 0 || layer >= cfg->nsec - 1)
            return qd_error_set(err, QD_EARG, "no layer %lld for '%.60s.%.60s', '%s' has %d layers",
                layer, where, key, cfg->name, cfg->nsec - 1);
        return qd_cfg_set(cfg, (int)layer + 1, key, value, err);
    }
    for (int i = 0; i < cfg->nsec; i++) {
        if (strcmp(canonical(cfg->sec[i].pub.name), name) != 0)
            continue;
        if (qd_cfg_set(cfg, i, key, value, err) < 0)
            return -1;
        hits++;
    }
    if (!hits)
        return qd_error_set(err, QD_EARG, "no [%.60s] section for '%.60s.%.60s' in '%s'", where,
            where, key, cfg->name);
    return 0;
}

int qd_cfg_override(struct qd_cfg *cfg, const char *text, struct qd_error *err)
{
    const char *eq = strchr(text, '=');
    const char *dot = eq ? memchr(text, '.', (size_t)(eq - text)) : NULL;
    struct qd_arena a = {0};
    int ret = -1;

    if (!dot)
        return qd_error_set(err, QD_EARG, "'%.100s' is not of the form 'section.key=value'", text);
    char *where = qd_arena_strndup(&a, text, (size_t)(dot - text), err);
    char *key = qd_arena_strndup(&a, dot + 1, (size_t)(eq - dot) - 1, err);
    if (where && key)
        ret = override_sections(cfg, where, key, eq + 1, err);
    qd_arena_free(&a);
    return ret;
}
