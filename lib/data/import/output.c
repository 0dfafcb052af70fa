/* SPDX-License-Identifier: MIT */
/*
 * The imported set on disk.  Pictures are linked by default: a copy of a large set costs more than
 * everything else here together.  Folders are named so that every darknet finds the labels.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "data/import/import.h"
#include "data/setdir.h"

enum { PATH_BYTES = 4096 };
#define PICTURE_BYTES ((size_t)1 << 30)

static const char *const side_name[] = {"train", "valid"};

struct out {
    struct qd_import *im;
    struct qd_setdir dir;
    struct qd_buf list[2], difficult;
    char cwd[PATH_BYTES];
};

/* ------------------------------------------------------------------ names --------------------- */

/* The folder of a picture: by side, for classifiers also by class. */
static int same_place(const struct qd_import_image *a, const struct qd_import_image *b)
{
    if (a->split != b->split)
        return a->split < b->split ? -1 : 1;
    if (a->class_id != b->class_id)
        return a->class_id < b->class_id ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int by_place(const void *a, const void *b)
{
    const struct qd_import_image *const *x = a, *const *y = b;
    int order = same_place(*x, *y);

    return order ? order : (*x > *y) - (*x < *y);
}

/* Two pictures of one name would share a label file: number all but the first. */
static int settle_names(struct qd_import *im)
{
    struct qd_import_image **sorted = qd_alloc_raw(im->nimage, sizeof(*sorted), im->err);
    int number = 1, ret = sorted ? 0 : -1;

    for (size_t i = 0; sorted && i < im->nimage; i++)
        sorted[i] = &im->image[i];
    if (sorted)
        qsort(sorted, im->nimage, sizeof(*sorted), by_place);
    const char *before = NULL;
    for (size_t i = 1; ret == 0 && i < im->nimage; i++) {
        struct qd_import_image *a = sorted[i - 1], *b = sorted[i];
        const char *name = before ? before : a->name;
        bool same = a->split == b->split && a->class_id == b->class_id && !strcmp(name, b->name);
        before = same ? name : NULL;
        number = same ? number + 1 : 1;
        if (!same)
            continue;
        b->name = qd_import_text(im, "%s__%d", name, number);
        ret = b->name ? 0 : -1;
    }
    qd_free(sorted);
    return ret;
}

static const char *suffix_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

    return dot && dot[1] ? dot + 1 : "jpg";
}

/* ------------------------------------------------------------------ one picture --------------- */

static int link_picture(struct out *o, const char *from, const char *to)
{
    char full[PATH_BYTES], target[2 * PATH_BYTES];
    int n = snprintf(full, sizeof(full), "%s/%s", o->dir.path, to);
    int m = snprintf(target, sizeof(target), "%s%s%s", *from == '/' ? "" : o->cwd,
        *from == '/' ? "" : "/", from);

    if (n >= (int)sizeof(full) || m >= (int)sizeof(target))
        return qd_error_set(
            o->im->err, QD_EARG, "the path of picture '%.100s...' is too long", from);
    if (o->im->opts.force && unlink(full) < 0 && errno != ENOENT)
        return qd_error_set(o->im->err, QD_EIO, "cannot replace '%s': %s", full, strerror(errno));
    if (symlink(target, full) < 0)
        return qd_error_set(o->im->err, QD_EIO, "cannot link '%s': %s", full, strerror(errno));
    return 0;
}

static int copy_picture(struct out *o, const char *from, const char *to)
{
    struct qd_buf b = {0};
    int ret = qd_io_slurp(from, PICTURE_BYTES, &b, o->im->err);

    if (ret == 0)
        ret = qd_setdir_put(&o->dir, to, b.data, b.len, o->im->err);
    qd_buf_free(&b);
    return ret;
}

/* The boxes of an image that are difficult, or that are not. */
static int put_labels(
    struct out *o, const struct qd_import_image *i, const char *path, bool difficult)
{
    const struct qd_import *im = o->im;
    struct qd_buf b = {0};

    qd_buf_add(&b, "", 0); /* an image without boxes has an empty file */
    for (size_t k = i->first; k < i->first + i->n; k++) {
        const struct qd_import_box *x = &im->box[k];
        if (im->opts.difficult == QD_DIFFICULT_APART && x->difficult != difficult)
            continue;
        qd_buf_printf(&b, "%d %.7g %.7g %.7g %.7g\n", x->class_id, (x->x0 + x->x1) / 2 / i->w,
            (x->y0 + x->y1) / 2 / i->h, (x->x1 - x->x0) / i->w, (x->y1 - x->y0) / i->h);
    }
    int ret = qd_buf_ok(&b, im->err);
    if (ret == 0)
        ret = qd_setdir_put(&o->dir, path, b.data, b.len, im->err);
    qd_buf_free(&b);
    return ret;
}

static int put_image(struct out *o, const struct qd_import_image *i)
{
    struct qd_import *im = o->im;
    const char *side = side_name[i->split], *suffix = suffix_of(i->path);
    char picture[PATH_BYTES], label[PATH_BYTES];
    int n;

    if (im->format->classifier)
        n = snprintf(picture, sizeof(picture), "%s/%s/%s.%s", side, im->class_name[i->class_id],
            i->name, suffix);
    else
        n = snprintf(picture, sizeof(picture), "JPEGImages/%s/%s.%s", side, i->name, suffix);
    if (n >= PATH_BYTES)
        return qd_error_set(im->err, QD_EARG, "the name '%.100s...' is too long", i->name);
    if ((im->opts.copy ? copy_picture : link_picture)(o, i->path, picture) < 0)
        return -1;
    qd_setdir_line(&o->dir, &o->list[i->split], picture);
    if (im->format->classifier)
        return 0;
    snprintf(label, sizeof(label), "labels/%s/%s.txt", side, i->name);
    if (put_labels(o, i, label, false) < 0)
        return -1;
    if (im->opts.difficult != QD_DIFFICULT_APART || i->split != QD_VALID)
        return 0;
    /* the list names pictures that are not there, next to the label files that are */
    snprintf(label, sizeof(label), "difficult/%s.txt", i->name);
    snprintf(picture, sizeof(picture), "difficult/%s.%s", i->name, suffix);
    qd_setdir_line(&o->dir, &o->difficult, picture);
    return put_labels(o, i, label, true);
}

/* ------------------------------------------------------------------ the set ------------------- */

static int make_folders(struct out *o)
{
    const struct qd_import *im = o->im;
    char path[PATH_BYTES];

    for (int s = 0; s < 2; s++) {
        if (!im->counts.pictures[s])
            continue;
        for (int i = 0; i < 2 && !im->format->classifier; i++) {
            snprintf(path, sizeof(path), "%s/%s", i ? "labels" : "JPEGImages", side_name[s]);
            if (qd_setdir_mkdir(&o->dir, path, im->err) < 0)
                return -1;
        }
        for (int i = 0; im->format->classifier && i < im->classes; i++) {
            snprintf(path, sizeof(path), "%s/%s", side_name[s], im->class_name[i]);
            if (qd_setdir_mkdir(&o->dir, path, im->err) < 0)
                return -1;
        }
    }
    if (im->opts.difficult == QD_DIFFICULT_APART && im->counts.pictures[QD_VALID])
        return qd_setdir_mkdir(&o->dir, "difficult", im->err);
    return 0;
}

/* Writing into the source would mix both. */
static int check_place(struct qd_import *im, const char *dir)
{
    struct stat a, b;

    if (stat(im->opts.source, &a) == 0 && stat(dir, &b) == 0 && a.st_dev == b.st_dev &&
        a.st_ino == b.st_ino)
        return qd_error_set(im->err, QD_EARG, "'%s' is the source itself", dir);
    for (int i = 0; im->format->classifier && i < im->classes; i++)
        if (strchr(im->class_name[i], '/'))
            return qd_error_set(
                im->err, QD_EFORMAT, "'%.60s' cannot be a folder", im->class_name[i]);
    return 0;
}

static int write_set(struct out *o)
{
    struct qd_import *im = o->im;

    if (make_folders(o) < 0 || settle_names(im) < 0)
        return -1;
    for (size_t i = 0; i < im->nimage; i++)
        if (put_image(o, &im->image[i]) < 0)
            return -1;
    struct qd_setdir_index index = {im->class_name, im->classes, &o->list[0], &o->list[1],
        im->opts.difficult == QD_DIFFICULT_APART ? &o->difficult : NULL, im->format->classifier};
    return qd_setdir_finish(&o->dir, &index, im->err);
}

int qd_import_output(struct qd_import *im, const char *dir)
{
    struct out *o = qd_alloc(1, sizeof(*o), im->err);
    int ret = o ? check_place(im, dir) : -1;

    if (!o)
        return -1;
    o->im = im;
    if (ret == 0 && !getcwd(o->cwd, sizeof(o->cwd)))
        ret = qd_error_set(im->err, QD_EIO, "cannot tell the current folder: %s", strerror(errno));
    if (ret == 0)
        ret = qd_setdir_open(&o->dir, dir, im->opts.force, im->err);
    if (ret == 0)
        ret = write_set(o);
    qd_setdir_close(&o->dir);
    qd_buf_free(&o->list[0]);
    qd_buf_free(&o->list[1]);
    qd_buf_free(&o->difficult);
    qd_free(o);
    return ret;
}
