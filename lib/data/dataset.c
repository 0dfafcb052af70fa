/* SPDX-License-Identifier: MIT */
/*
 * Samples: from a list of paths, or from a folder with one folder for each class, to decoded
 * pixels.  Paths, sizes and labels of a whole set stay in memory (COCO: 40 MB); pixels do as far as
 * the cache allows.  The first images to come are kept and never replaced: an epoch touches all of
 * them once, so that any other rule would only make the cache useless.
 */
#include "data/dataset.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "data/preflight.h"
#include "format/text.h"

enum {
    LIST_BYTES = 1 << 29,
    PATH_BYTES = 4096,
    MAX_CLASSES = 1000000,
};

/* -------------------------------------------------------------------- class from a path ------- */

static bool is_sep(char c)
{
    return c == '/' || c == '\\';
}

/* Whether s[0 .. n) is one of the labels; its class, or -1. */
static int label_at(const struct qd_dataset *d, const char *s, size_t n)
{
    int lo = 0, hi = d->classes;

    while (lo < hi) {
        int mid = lo + (hi - lo) / 2, id = d->by_name[mid];
        int cmp = strncmp(d->class_of[id], s, n);
        if (cmp == 0 && d->class_of[id][n] == 0)
            return id;
        if (cmp < 0)
            lo = mid + 1;
        else
            hi = mid; /* longer ones with the same beginning come later */
    }
    return -1;
}

/* "..._label" at the end of s[0 .. n): the longest label wins ("x_red_fox", not "fox"). */
static int label_at_end(const struct qd_dataset *d, const char *s, size_t n)
{
    int found = -1;

    for (size_t i = 0; i < n && found < 0; i++)
        if (s[i] == '_')
            found = label_at(d, s + i + 1, n - i - 1);
    return found;
}

/* The only label that occurs anywhere in the path. */
static int label_inside(const struct qd_dataset *d, const char *path, int *a, int *b)
{
    int found = -1;

    for (int i = 0; i < d->classes; i++) {
        if (!strstr(path, d->class_of[i]))
            continue;
        if (found >= 0) {
            *a = found;
            *b = i;
            return -2;
        }
        found = i;
    }
    return found;
}

int qd_dataset_class(const struct qd_dataset *d, const char *path, int *a, int *b)
{
    size_t end = strlen(path), from = end, stem;

    while (from && !is_sep(path[from - 1]))
        from--;
    for (stem = end; stem > from && path[stem - 1] != '.'; stem--)
        continue;
    stem = stem > from + 1 ? stem - 1 : end; /* without the extension */
    int class_id = label_at_end(d, path + from, stem - from);
    if (class_id < 0)
        class_id = label_at(d, path + from, stem - from);
    while (class_id < 0 && from > 0) {
        end = from - 1;
        for (from = end; from && !is_sep(path[from - 1]);)
            from--;
        if (end > from)
            class_id = label_at(d, path + from, end - from);
    }
    return class_id >= 0 ? class_id : label_inside(d, path, a, b);
}

const char *qd_dataset_class_text(const struct qd_dataset *d, int class_id, char *buf, size_t size)
{
    if (d->class_of)
        snprintf(buf, size, "%d '%.60s'", class_id, d->class_of[class_id]);
    else
        snprintf(buf, size, "%d", class_id);
    return buf;
}

/* -------------------------------------------------------------------- reading ----------------- */

/* Append a sample; its path is copied. */
static int append(
    struct qd_dataset *d, const char *path, int line, int class_id, struct qd_error *err)
{
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 256;
        struct qd_sample *sample = qd_alloc_raw(cap, sizeof(*sample), err);
        if (!sample)
            return -1;
        if (d->n)
            memcpy(sample, d->sample, d->n * sizeof(*sample));
        qd_free(d->sample);
        d->sample = sample;
        d->cap = cap;
    }
    char *copy = qd_arena_strdup(&d->arena, path, err);
    if (!copy)
        return -1;
    d->sample[d->n++] = (struct qd_sample){.path = copy, .line = line, .class_id = class_id};
    return 0;
}

static int read_list(struct qd_dataset *d, struct qd_error *err)
{
    struct qd_text t;
    char *s;
    int got, ret = 0;

    if (qd_text_load(&t, d->name, LIST_BYTES, err) < 0)
        return -1;
    while (ret == 0 && (got = qd_text_next(&t, &s, err)) != 0) {
        if (got > 0)
            s = qd_text_trim(s);
        if (got < 0 || (*s && append(d, s, t.line, -1, err) < 0))
            ret = -1;
    }
    if (ret == 0 && d->n == 0)
        ret = qd_error_at(err, QD_EFORMAT, d->name, 0, "the list names no file");
    qd_text_close(&t);
    return ret;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct entries {
    struct qd_arena arena;
    const char **name; /* sorted, so that no run depends on the file system */
    size_t n, cap;
};

static void entries_free(struct entries *e)
{
    qd_free(e->name);
    qd_arena_free(&e->arena);
}

static int entries_add(struct entries *e, const char *name, struct qd_error *err)
{
    if (e->n == e->cap) {
        size_t cap = e->cap ? 2 * e->cap : 64;
        const char **grown = qd_alloc_raw(cap, sizeof(*grown), err);
        if (!grown)
            return -1;
        for (size_t i = 0; i < e->n; i++)
            grown[i] = e->name[i];
        qd_free(e->name);
        e->name = grown;
        e->cap = cap;
    }
    if (!(e->name[e->n] = qd_arena_strdup(&e->arena, name, err)))
        return -1;
    e->n++;
    return 0;
}

/* The names in a folder that do not begin with a dot. */
static int entries_read(struct entries *e, const char *path, struct qd_error *err)
{
    DIR *dir = opendir(path);
    struct dirent *de;
    int ret = 0;

    *e = (struct entries){0};
    if (!dir)
        return qd_error_set(err, QD_EIO, "cannot open '%s': %s", path, strerror(errno));
    while (ret == 0 && (de = readdir(dir)))
        if (de->d_name[0] != '.')
            ret = entries_add(e, de->d_name, err);
    closedir(dir);
    if (ret < 0)
        entries_free(e);
    else if (e->n)
        qsort(e->name, e->n, sizeof(*e->name), by_name);
    return ret;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int join(char *path, const char *dir, const char *name, struct qd_error *err)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (snprintf(path, PATH_BYTES, "%.*s/%s", (int)n, dir, name) < PATH_BYTES)
        return 0;
    return qd_error_set(err, QD_EARG, "the path of '%.100s' in '%.100s' is too long", name, dir);
}

static bool is_image_name(const char *name)
{
    static const char *const suffix[] = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".pnm"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < QD_LEN(suffix); i++)
        if (strcasecmp(dot, suffix[i]) == 0)
            return true;
    return false;
}

/* The images of one class. */
static int read_class(struct qd_dataset *d, const char *dir, int class_id, struct qd_error *err)
{
    struct entries e;
    char path[PATH_BYTES];
    size_t other = 0;
    int ret = entries_read(&e, dir, err);

    if (ret < 0)
        return -1;
    for (size_t i = 0; ret == 0 && i < e.n; i++) {
        if (!is_image_name(e.name[i]))
            other++;
        else if ((ret = join(path, dir, e.name[i], err)) == 0)
            ret = append(d, path, 0, class_id, err);
    }
    if (ret == 0 && other)
        qd_warn(
            "%s: %zu name%s without an image's suffix, ignored", dir, other, other == 1 ? "" : "s");
    entries_free(&e);
    return ret;
}

struct label {
    const char *name;
    int id;
};

static int by_label(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    int cmp = strcmp(x->name, y->name);

    return cmp ? cmp : x->id - y->id;
}

/* The order of names for the search by name.  Two classes of one name would be one. */
static int sort_names(struct qd_dataset *d, struct qd_error *err)
{
    size_t n = (size_t)d->classes;
    struct label *l = qd_alloc(n, sizeof(*l), err);
    int ret = 0;

    d->by_name = qd_arena_alloc(&d->arena, n, sizeof(*d->by_name), err);
    if (!l || !d->by_name) {
        qd_free(l);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        l[i] = (struct label){d->class_of[i], (int)i};
    qsort(l, n, sizeof(*l), by_label);
    for (size_t i = 0; i < n; i++) {
        d->by_name[i] = l[i].id;
        if (i && d->classifier && strcmp(l[i].name, l[i - 1].name) == 0 && ret == 0)
            ret = qd_error_set(err, QD_EFORMAT, "classes %d and %d are both named '%.60s'",
                l[i - 1].id, l[i].id, l[i].name);
    }
    qd_free(l);
    return ret;
}

/* Without names given the folders are the classes, in order of their bytes. */
static int take_names(struct qd_dataset *d, const struct entries *e, struct qd_error *err)
{
    char path[PATH_BYTES];
    int n = 0;

    d->class_of = qd_arena_alloc(&d->arena, e->n + 1, sizeof(*d->class_of), err);
    if (!d->class_of)
        return -1;
    for (size_t i = 0; i < e->n; i++) {
        if (join(path, d->name, e->name[i], err) < 0)
            return -1;
        if (is_folder(path) && !(d->class_of[n++] = qd_arena_strdup(&d->arena, e->name[i], err)))
            return -1;
    }
    if (n == 0)
        return qd_error_at(err, QD_EFORMAT, d->name, 0, "no folder in it, one a class is expected");
    if (d->classes && d->classes != n)
        return qd_error_at(
            err, QD_EFORMAT, d->name, 0, "%d folders, but there are %d classes", n, d->classes);
    d->classes = n;
    return sort_names(d, err);
}

static int read_folder(struct qd_dataset *d, struct qd_error *err)
{
    struct entries e;
    char path[PATH_BYTES];
    int ret = entries_read(&e, d->name, err);

    if (ret < 0)
        return -1;
    d->folder = true;
    if (!d->class_of)
        ret = take_names(d, &e, err);
    for (size_t i = 0; ret == 0 && i < e.n; i++) {
        if ((ret = join(path, d->name, e.name[i], err)) < 0 || !is_folder(path))
            continue;
        int class_id = label_at(d, e.name[i], strlen(e.name[i]));
        if (class_id < 0)
            ret = qd_error_at(
                err, QD_EFORMAT, path, 0, "folder '%.60s' is not named as any class", e.name[i]);
        else
            ret = read_class(d, path, class_id, err);
    }
    if (ret == 0 && d->n == 0)
        ret = qd_error_at(err, QD_EFORMAT, d->name, 0, "no image in the folders of the classes");
    entries_free(&e);
    return ret;
}

static int copy_names(struct qd_dataset *d, const struct qd_dataset_opts *o, struct qd_error *err)
{
    d->classes = o->classes;
    if (!o->names)
        return 0;
    int n = qd_names_count(o->names);
    if (d->classes && d->classes != n)
        return qd_error_set(err, QD_EARG, "%d names for %d classes", n, d->classes);
    d->classes = n;
    d->class_of = qd_arena_alloc(&d->arena, (size_t)n, sizeof(*d->class_of), err);
    for (int i = 0; d->class_of && i < n; i++)
        if (!(d->class_of[i] = qd_arena_strdup(&d->arena, qd_names_get(o->names, i), err)))
            return -1;
    return d->class_of ? sort_names(d, err) : -1;
}

static int open_set(struct qd_dataset *d, const struct qd_dataset_opts *o, struct qd_error *err)
{
    d->classifier = o->classifier;
    if (!(d->name = qd_arena_strdup(&d->arena, o->list, err)) || copy_names(d, o, err) < 0)
        return -1;
    bool folder = o->classifier && is_folder(o->list);
    if (!folder && o->classifier && !d->class_of)
        return qd_error_at(
            err, QD_EARG, d->name, 0, "no names of classes to look for in the paths");
    if (!folder && (d->classes < 1 || d->classes > MAX_CLASSES))
        return qd_error_set(
            err, QD_EARG, "number of classes must be 1 to %d, not %d", MAX_CLASSES, d->classes);
    if ((folder ? read_folder(d, err) : read_list(d, err)) < 0)
        return -1;
    return qd_preflight_samples(d, o, err);
}

struct qd_dataset *qd_dataset_open(const struct qd_dataset_opts *opts, struct qd_error *err)
{
    struct qd_dataset *d = qd_alloc(1, sizeof(*d), err);

    if (!d)
        return NULL;
    atomic_init(&d->cache_left, 0);
    if (open_set(d, opts, err) == 0)
        return d;
    qd_dataset_free(d);
    return NULL;
}

static void drop_cache(struct qd_dataset *d)
{
    for (size_t i = 0; d->cache && i < d->n; i++)
        qd_image_free(atomic_load_explicit(&d->cache[i], memory_order_relaxed));
    qd_free(d->cache);
    d->cache = NULL;
}

void qd_dataset_free(struct qd_dataset *d)
{
    if (!d)
        return;
    drop_cache(d);
    qd_free(d->sample);
    qd_arena_free(&d->arena);
    qd_free(d);
}

/* -------------------------------------------------------------------- pixels ------------------ */

int qd_dataset_decode(struct qd_dataset *d, const struct qd_image_opts *decode, size_t cache_bytes,
    struct qd_error *err)
{
    QD_ASSERT(!decode->exif);
    drop_cache(d);
    d->decode = *decode;
    atomic_store_explicit(&d->cache_left, cache_bytes, memory_order_relaxed);
    if (cache_bytes && !(d->cache = qd_alloc(d->n, sizeof(*d->cache), err)))
        return -1;
    return 0;
}

/* Take 'bytes' of what the cache may still hold. */
static bool reserve(struct qd_dataset *d, size_t bytes)
{
    size_t left = atomic_load_explicit(&d->cache_left, memory_order_relaxed);

    while (left >= bytes)
        if (atomic_compare_exchange_weak_explicit(
                &d->cache_left, &left, left - bytes, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

/* Offer an image to the cache; the one to use comes back (another thread may have been faster). */
static struct qd_image *keep(struct qd_dataset *d, size_t i, struct qd_image *img)
{
    size_t bytes = (size_t)img->w * (size_t)img->h * (size_t)img->c;
    struct qd_image *none = NULL;

    if (!reserve(d, bytes))
        return img;
    if (atomic_compare_exchange_strong_explicit(
            &d->cache[i], &none, img, memory_order_acq_rel, memory_order_acquire))
        return img;
    atomic_fetch_add_explicit(&d->cache_left, bytes, memory_order_relaxed);
    qd_image_free(img);
    return none;
}

struct qd_image *qd_dataset_get(struct qd_dataset *d, size_t i, struct qd_error *err)
{
    struct qd_image *img = NULL;

    QD_ASSERT(i < d->n);
    if (d->cache && (img = atomic_load_explicit(&d->cache[i], memory_order_acquire)))
        return img;
    img = qd_image_load(d->sample[i].path, &d->decode, err);
    return img && d->cache ? keep(d, i, img) : img;
}

void qd_dataset_put(struct qd_dataset *d, size_t i, struct qd_image *img)
{
    if (!d->cache || atomic_load_explicit(&d->cache[i], memory_order_relaxed) != img)
        qd_image_free(img);
}
