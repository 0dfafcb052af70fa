/* SPDX-License-Identifier: MIT */
/*
 * The check of a data set before it is used.  darknet finds a wrong path or label when it meets it,
 * hours later, writes it to a side file and trains on a black picture or without the box; here all
 * defects are listed first, each with its place, and the run starts with known data or not at all.
 */
#include "data/preflight.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/num.h"
#include "format/label.h"

enum {
    PATH_BYTES = 4096,
    MAX_LINES = 100,
    NAMED = 5, /* examples in a message */
};

struct report {
    struct qd_dataset *d;
    enum qd_bad_labels bad;
    size_t lines, max_lines, hidden;
    /* the first images without a label file, and where it would be */
    char *missing[NAMED];
    int missing_line[NAMED];
};

static void say_line(void *ctx, bool defect, const char *line)
{
    struct report *r = ctx;

    r->d->stats.defects += defect;
    if (r->lines++ < r->max_lines)
        qd_warn("%s", line);
    else
        r->hidden++;
}

QD_PRINTF(3, 4)
static void say(struct report *r, bool defect, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say_line(r, defect, text);
}

/* What people write into lists that no system can open. */
static const char *hint(const char *path, const char *list, char *buf, size_t size)
{
    const char *slash = strrchr(list, '/');
    size_t blank = strcspn(path, " \t,");

    snprintf(buf, size, "%.*s", (int)blank, path);
    if (path[blank] && access(buf, F_OK) == 0)
        return " (a line of a list is one path and nothing else)";
    if (strchr(path, '\\'))
        return " (folders are separated by '/')";
    if (*path == '~')
        return " ('~' stands for no folder here)";
    if (slash && *path != '/') {
        snprintf(buf, size, "%.*s%s", (int)(slash - list + 1), list, path);
        if (access(buf, F_OK) == 0)
            return " (it lies beside the list, but paths start from the current folder)";
    }
    return "";
}

/* A sample that cannot be used: 0, or -1 when memory is the reason. */
static int bad_sample(struct report *r, const struct qd_sample *s, const char *more,
    const struct qd_error *why, struct qd_error *err)
{
    const char *then = r->bad == QD_BAD_FAIL ? "" : ", image left out";

    if (why->code == QD_ENOMEM)
        return qd_error_set(err, QD_ENOMEM, "%s", why->msg);
    if (s->line)
        say(r, true, "%s:%d: %s%s%s", r->d->name, s->line, why->msg, more, then);
    else
        say(r, true, "%s%s%s", why->msg, more, then);
    return 0;
}

/* -------------------------------------------------------------------- detectors --------------- */

static void check_sizes(struct report *r, const struct qd_sample *s, const char *path)
{
    char a[64], b[64];

    for (size_t i = 0; i < s->nlabel; i++) {
        float w = s->label[i].box.w * (float)s->w, h = s->label[i].box.h * (float)s->h;
        if (w < 1 || h < 1)
            say(r, false, "%s:%d: a box of %s x %s pixels is too small to be learned", path,
                s->label[i].line, qd_num_format(rintf(w * 1000) / 1000, a),
                qd_num_format(rintf(h * 1000) / 1000, b));
    }
}

static int note_missing(
    struct report *r, const struct qd_sample *s, const char *path, struct qd_error *err)
{
    size_t n = r->d->stats.missing++;

    if (n >= NAMED)
        return 0;
    r->missing_line[n] = s->line;
    r->missing[n] = qd_arena_strdup(&r->d->arena, path, err);
    return r->missing[n] ? 0 : -1;
}

/* Keep the labels in the set's own memory. */
static int take_labels(
    struct report *r, struct qd_sample *s, const struct qd_labels *l, struct qd_error *err)
{
    if (!l->n)
        return 0;
    struct qd_label *copy = qd_arena_alloc(&r->d->arena, l->n, sizeof(*copy), err);
    if (!copy)
        return -1;
    memcpy(copy, l->label, l->n * sizeof(*copy));
    s->label = copy;
    s->nlabel = l->n;
    return 0;
}

/* 1: the sample is good, 0: it must be left out, -1: 'err'. */
static int check_labels(struct report *r, struct qd_sample *s, struct qd_error *err)
{
    const struct qd_label_notes notes = {say_line, r};
    struct qd_labels l = {0};
    struct qd_error why = {0};
    char path[PATH_BYTES];
    int found = qd_label_path(s->path, path, sizeof(path), &why);

    if (found == 0)
        return note_missing(r, s, path, err) < 0 ? -1 : 1;
    if (found < 0)
        return bad_sample(r, s, "", &why, err);
    if (qd_labels_check(path, r->d->classes, r->bad, &notes, &l, &why) < 0) {
        if (why.code == QD_ENOMEM)
            return qd_error_set(err, QD_ENOMEM, "%s", why.msg);
        say(r, true, "%s%s", why.msg, r->bad == QD_BAD_FAIL ? "" : ", image left out");
        return 0;
    }
    int ret = take_labels(r, s, &l, err);
    qd_labels_free(&l);
    if (ret < 0)
        return -1;
    check_sizes(r, s, path);
    return 1;
}

/* -------------------------------------------------------------------- classifiers ------------- */

static int check_class(struct report *r, struct qd_sample *s)
{
    const struct qd_dataset *d = r->d;
    const char *then = r->bad == QD_BAD_FAIL ? "" : ", image left out";
    char one[100], two[100];
    int a = 0, b = 0;

    if (d->folder)
        return 1;
    s->class_id = qd_dataset_class(d, s->path, &a, &b);
    if (s->class_id >= 0)
        return 1;
    if (s->class_id == -1)
        say(r, true, "%s:%d: no class occurs in path '%.200s'%s", d->name, s->line, s->path, then);
    else
        say(r, true, "%s:%d: path '%.200s' fits classes %s and %s%s", d->name, s->line, s->path,
            qd_dataset_class_text(d, a, one, sizeof(one)),
            qd_dataset_class_text(d, b, two, sizeof(two)), then);
    return 0;
}

/* -------------------------------------------------------------------- whole sets -------------- */

/* 1: good, 0: left out, -1: 'err'. */
static int check_sample(struct report *r, struct qd_sample *s, struct qd_error *err)
{
    struct qd_error why = {0};
    char buf[PATH_BYTES];
    int c;

    if (qd_image_probe(s->path, &s->w, &s->h, &c, &why) < 0) {
        bool gone = why.code == QD_EIO && s->line && access(s->path, F_OK) < 0;
        return bad_sample(r, s, gone ? hint(s->path, r->d->name, buf, sizeof(buf)) : "", &why, err);
    }
    return r->d->classifier ? check_class(r, s) : check_labels(r, s, err);
}

static void count(struct qd_dataset *d)
{
    struct qd_dataset_stats *st = &d->stats;

    st->images = d->n;
    for (size_t i = 0; i < d->n; i++) {
        const struct qd_sample *s = &d->sample[i];
        if (d->classifier)
            st->per_class[s->class_id]++;
        for (size_t k = 0; k < s->nlabel; k++)
            st->per_class[s->label[k].class_id]++;
        st->labelled += d->classifier || s->nlabel;
        st->background += !d->classifier && !s->nlabel;
        st->boxes += s->nlabel;
    }
}

static int by_path(const void *a, const void *b)
{
    const struct qd_sample *x = *(const struct qd_sample *const *)a;
    const struct qd_sample *y = *(const struct qd_sample *const *)b;
    int cmp = strcmp(x->path, y->path);

    return cmp ? cmp : (x > y) - (x < y);
}

/* The samples in order of their paths; freed by the caller. */
static const struct qd_sample **sorted(const struct qd_dataset *d, struct qd_error *err)
{
    const struct qd_sample **s = qd_alloc_raw(d->n, sizeof(*s), err);

    for (size_t i = 0; s && i < d->n; i++)
        s[i] = &d->sample[i];
    if (s)
        qsort(s, d->n, sizeof(*s), by_path);
    return s;
}

/* An image named twice may be meant so. */
static int check_twice(struct report *r, struct qd_error *err)
{
    const struct qd_sample **s = sorted(r->d, err);

    if (!s)
        return -1;
    for (size_t i = 1; i < r->d->n; i++)
        if (strcmp(s[i]->path, s[i - 1]->path) == 0)
            say(r, false, "%s:%d: image '%.200s' is already in line %d", r->d->name, s[i]->line,
                s[i]->path, s[i - 1]->line);
    qd_free(s);
    return 0;
}

static void warn_empty_classes(struct report *r)
{
    const struct qd_dataset *d = r->d;
    char list[500] = "", one[100];
    int empty = 0;

    for (int i = 0; i < d->classes; i++) {
        size_t len = strlen(list);
        if (d->stats.per_class[i])
            continue;
        if (empty++ < NAMED)
            snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
                qd_dataset_class_text(d, i, one, sizeof(one)));
    }
    if (empty)
        say(r, false, "%s: no %s of %d of %d classes: %s%s", d->name,
            d->classifier ? "image" : "box", empty, d->classes, list, empty > NAMED ? " ..." : "");
}

static int refuse_unlabelled(struct report *r, struct qd_error *err)
{
    const struct qd_dataset *d = r->d;
    const struct qd_dataset_stats *st = &d->stats;

    if (st->missing < st->images)
        return qd_error_at(err, QD_EFORMAT, d->name, 0, "no box in the label files of %zu image%s",
            st->images - st->missing, st->images - st->missing == 1 ? "" : "s");
    for (int i = 0; i < NAMED && r->missing[i]; i++)
        qd_warn("%s:%d: no label file '%s'", d->name, r->missing_line[i], r->missing[i]);
    return qd_error_at(err, QD_EFORMAT, d->name, 0, "none of %zu image%s has a label file",
        st->images, st->images == 1 ? "" : "s");
}

static int conclude(struct report *r, struct qd_error *err)
{
    const struct qd_dataset *d = r->d;
    const struct qd_dataset_stats *st = &d->stats;

    if (r->hidden)
        qd_warn("%s: %zu more messages like these", d->name, r->hidden);
    if (r->bad == QD_BAD_FAIL && st->defects)
        return qd_error_at(err, QD_EFORMAT, d->name, 0, "%zu defect%s in the data set", st->defects,
            st->defects == 1 ? "" : "s");
    if (d->n == 0)
        return qd_error_at(
            err, QD_EFORMAT, d->name, 0, "no image is left, all %zu have defects", st->left_out);
    if (!d->classifier && !st->boxes)
        return refuse_unlabelled(r, err);
    if (st->missing)
        qd_warn("%s:%d: no label file '%.200s'%s", d->name, r->missing_line[0], r->missing[0],
            st->missing == 1 ? ", the image counts as background" : "");
    if (st->missing > 1)
        qd_warn("%s: %zu of %zu images have no label file and count as background", d->name,
            st->missing, st->images);
    return 0;
}

int qd_preflight_samples(
    struct qd_dataset *d, const struct qd_dataset_opts *opts, struct qd_error *err)
{
    struct report r = {.d = d, .bad = opts->bad};
    size_t kept = 0;

    r.max_lines = opts->max_lines > 0 ? (size_t)opts->max_lines : MAX_LINES;
    d->stats.per_class = qd_arena_alloc(&d->arena, (size_t)d->classes, sizeof(long), err);
    if (!d->stats.per_class)
        return -1;
    for (size_t i = 0; i < d->n; i++) {
        int good = check_sample(&r, &d->sample[i], err);
        if (good < 0)
            return -1;
        if (good)
            d->sample[kept++] = d->sample[i];
    }
    d->stats.left_out = d->n - kept;
    d->n = kept;
    count(d);
    if (!d->folder && check_twice(&r, err) < 0)
        return -1;
    if (d->stats.boxes || (d->classifier && d->n))
        warn_empty_classes(&r);
    return conclude(&r, err);
}

void qd_dataset_log(const struct qd_dataset *d)
{
    const struct qd_dataset_stats *st = &d->stats;
    char name[100];

    if (d->classifier)
        qd_log(QD_LOG_NOTE, "%s: %zu images", d->name, st->images);
    else
        qd_log(QD_LOG_NOTE, "%s: %zu images, %zu with boxes, %zu background, %zu boxes", d->name,
            st->images, st->labelled, st->background, st->boxes);
    if (st->left_out)
        qd_log(QD_LOG_NOTE, "%s: %zu images left out", d->name, st->left_out);
    for (int i = 0; i < d->classes; i++)
        qd_log(QD_LOG_NOTE, "%s: class %s: %ld", d->name,
            qd_dataset_class_text(d, i, name, sizeof(name)), st->per_class[i]);
}

/* -------------------------------------------------------------------- .data ------------------- */

static int load_names(struct qd_sets *s, const struct qd_preflight_opts *o, struct qd_error *err)
{
    const char *key = "names";

    if (o->classifier && qd_data_get(s->data, "labels"))
        key = "labels";
    if (!qd_data_get(s->data, key))
        return 0;
    const char *path = qd_data_path(s->data, key, err);
    if (!path || !(s->names = qd_names_load(path, err)))
        return -1;
    int n = qd_names_count(s->names);
    if (s->classes && s->classes != n)
        return qd_error_at(err, QD_EFORMAT, path, 0, "%d name%s, but there %s %d class%s", n,
            n == 1 ? "" : "s", s->classes == 1 ? "is" : "are", s->classes,
            s->classes == 1 ? "" : "es");
    s->classes = n;
    return 0;
}

static struct qd_dataset *open_list(const struct qd_sets *s, const struct qd_preflight_opts *o,
    const char *key, struct qd_error *err)
{
    const char *path = qd_data_path(s->data, key, err);
    const struct qd_dataset_opts d = {.list = path,
        .classifier = o->classifier,
        .classes = s->classes,
        .names = s->names,
        .bad = o->bad,
        .max_lines = o->max_lines};

    if (path && !o->classifier && !s->classes) {
        qd_error_at(err, QD_EFORMAT, o->data, 0, "key 'classes' is missing");
        return NULL;
    }
    return path ? qd_dataset_open(&d, err) : NULL;
}

/* A score on images that were learned says little. */
static int warn_overlap(
    const struct qd_dataset *a, const struct qd_dataset *b, struct qd_error *err)
{
    const struct qd_sample **x = sorted(a, err), **y = sorted(b, err);
    size_t both = 0;

    for (size_t i = 0, k = 0; x && y && i < a->n && k < b->n;) {
        int cmp = strcmp(x[i]->path, y[k]->path);
        both += cmp == 0;
        i += cmp <= 0;
        k += cmp >= 0;
    }
    if (both)
        qd_warn("%s: %zu of %zu images are also in '%.200s'", b->name, both, b->n, a->name);
    int ret = x && y ? 0 : -1;
    qd_free(x);
    qd_free(y);
    return ret;
}

/* Sets from folders that name their own classes must agree. */
static int same_classes(
    const struct qd_dataset *a, const struct qd_dataset *b, struct qd_error *err)
{
    if (a->classes != b->classes)
        return qd_error_at(err, QD_EFORMAT, b->name, 0, "%d classes, but '%.200s' has %d",
            b->classes, a->name, a->classes);
    for (int i = 0; a->class_of && b->class_of && i < a->classes; i++)
        if (strcmp(a->class_of[i], b->class_of[i]) != 0)
            return qd_error_at(err, QD_EFORMAT, b->name, 0,
                "class %d is '%.60s', but '%.60s' in '%.200s'", i, b->class_of[i], a->class_of[i],
                a->name);
    return 0;
}

static int open_sets(struct qd_sets *s, const struct qd_preflight_opts *o, struct qd_error *err)
{
    const char *train = qd_data_get(s->data, "train"), *valid = qd_data_get(s->data, "valid");
    bool shared = o->valid && !valid;

    if (shared)
        qd_warn("%s: no 'valid', 'train' is used in its place", o->data);
    if (train && valid && strcmp(train, valid) == 0 && o->train && o->valid)
        shared = true;
    if ((o->train || shared) && !(s->train = open_list(s, o, "train", err)) && shared)
        return -1;
    if (shared)
        s->valid = s->train;
    else if (o->valid)
        s->valid = open_list(s, o, "valid", err); /* keeps the first error, lists its defects */
    if ((o->train && !s->train) || (o->valid && !s->valid))
        return -1;
    const struct qd_dataset *any = s->train ? s->train : s->valid;
    if (any && !s->classes)
        s->classes = any->classes;
    if (s->train && s->valid && !shared)
        return same_classes(s->train, s->valid, err) < 0 ? -1
                                                         : warn_overlap(s->train, s->valid, err);
    return 0;
}

static int load_sets(struct qd_sets *s, const struct qd_preflight_opts *o, struct qd_error *err)
{
    if (!(s->data = qd_data_load(o->data, err)))
        return -1;
    s->classes = qd_data_classes(s->data);
    if (s->classes && o->classes && s->classes != o->classes)
        return qd_error_at(err, QD_EFORMAT, o->data, 0, "classes=%d, but the model has %d",
            s->classes, o->classes);
    if (!s->classes)
        s->classes = o->classes;
    return load_names(s, o, err) < 0 ? -1 : open_sets(s, o, err);
}

int qd_sets_open(const struct qd_preflight_opts *opts, struct qd_sets *out, struct qd_error *err)
{
    struct qd_sets s = {0};

    if (load_sets(&s, opts, err) < 0) {
        qd_sets_close(&s);
        return -1;
    }
    *out = s;
    return 0;
}

void qd_sets_close(struct qd_sets *sets)
{
    if (sets->valid != sets->train)
        qd_dataset_free(sets->valid);
    qd_dataset_free(sets->train);
    qd_names_free(sets->names);
    qd_data_free(sets->data);
    *sets = (struct qd_sets){0};
}
