/* SPDX-License-Identifier: MIT */
/*
 * Finding one's way in the folders of a data set.  Folders are read whole and sorted: the order of
 * directory entries is no order.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "data/import/import.h"
#include "format/text.h"

enum { LIST_BYTES = 256 << 20 };

const char *qd_import_text(struct qd_import *im, const char *fmt, ...)
{
    char text[4096];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof(text)) {
        qd_error_set(im->err, QD_EARG, "the path '%.100s...' is too long", text);
        return NULL;
    }
    return qd_arena_strdup(&im->arena, text, im->err);
}

const char *qd_import_path(struct qd_import *im, const char *a, const char *b)
{
    size_t n = strlen(a);

    return qd_import_text(im, "%s%s%s", a, n && a[n - 1] == '/' ? "" : "/", b);
}

bool qd_import_is_dir(const char *path)
{
    struct stat st;

    return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool qd_import_is_file(const char *path)
{
    struct stat st;

    return path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;

    return strcmp(*x, *y);
}

static int append(struct qd_import *im, struct qd_import_names *out, size_t *cap, const char *s)
{
    if (out->n == *cap) { /* what is outgrown stays in the arena: at most as much again */
        size_t more = *cap ? *cap * 2 : 64;
        const char **v = qd_arena_alloc(&im->arena, more, sizeof(*v), im->err);
        if (!v)
            return -1;
        if (out->n)
            memcpy(v, out->v, out->n * sizeof(*v));
        out->v = v;
        *cap = more;
    }
    out->v[out->n++] = s;
    return 0;
}

static int add_entry(struct qd_import *im, const char *name, const char *suffix,
    struct qd_import_names *out, size_t *cap)
{
    size_t n = strlen(name), cut = suffix ? strlen(suffix) : 0;

    if (name[0] == '.' || n <= cut || (suffix && strcmp(name + n - cut, suffix) != 0))
        return 0;
    const char *copy = qd_arena_strndup(&im->arena, name, n - cut, im->err);
    return copy ? append(im, out, cap, copy) : -1;
}

int qd_import_ls(struct qd_import *im, const char *dir, const char *suffix, bool folders,
    struct qd_import_names *out)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    size_t cap = 0, n = 0;
    int ret = 0;

    *out = (struct qd_import_names){0};
    if (!d)
        return qd_error_set(im->err, QD_EIO, "cannot open '%s': %s", dir, strerror(errno));
    while (ret == 0 && (e = readdir(d)))
        ret = add_entry(im, e->d_name, suffix, out, &cap);
    closedir(d);
    if (ret < 0)
        return -1;
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), by_text);
    for (size_t i = 0; folders && i < out->n; i++) {
        const char *path = qd_import_path(im, dir, out->v[i]);
        if (!path)
            return -1;
        if (qd_import_is_dir(path))
            out->v[n++] = out->v[i];
    }
    if (folders)
        out->n = n;
    return 0;
}

int qd_import_lines(struct qd_import *im, const char *path, struct qd_import_names *out)
{
    struct qd_text t;
    size_t cap = 0;
    char *s;
    int got, ret = 0;

    *out = (struct qd_import_names){0};
    if (qd_text_load(&t, path, LIST_BYTES, im->err) < 0)
        return -1;
    while (ret == 0 && (got = qd_text_next(&t, &s, im->err)) != 0) {
        ret = got < 0 ? -1 : 0;
        s = ret == 0 ? qd_text_trim(s) : NULL;
        if (ret < 0 || !*s)
            continue;
        const char *copy = qd_arena_strdup(&im->arena, s, im->err);
        ret = copy ? append(im, out, &cap, copy) : -1;
    }
    qd_text_close(&t);
    return ret;
}

const char *qd_import_find_picture(struct qd_import *im, const char *dir, const char *stem)
{
    static const char *const suffix[] = {
        "jpg", "png", "jpeg", "JPG", "PNG", "JPEG", "ppm", "pgm", "bmp", "tif"};
    char path[4096];

    dir = im->opts.images ? im->opts.images : dir;
    for (size_t i = 0; i < QD_LEN(suffix); i++) {
        int n = snprintf(path, sizeof(path), "%s/%s.%s", dir, stem, suffix[i]);
        if (n < (int)sizeof(path) && qd_import_is_file(path))
            return qd_arena_strdup(&im->arena, path, im->err);
    }
    return qd_import_text(im, "%s/%s.jpg", dir, stem);
}

const char *qd_import_first_dir(struct qd_import *im, const char *root, const char *const *names)
{
    char path[4096];

    for (; *names; names++) {
        int n = snprintf(path, sizeof(path), "%s/%s", root, *names);
        if (n < (int)sizeof(path) && qd_import_is_dir(path))
            return qd_arena_strdup(&im->arena, path, im->err);
    }
    return NULL;
}
