/* SPDX-License-Identifier: MIT */
/*
 * The formats of detections that fill a folder: the VOC development kit's result files, one for
 * each class, and darknet label files, one for each image.
 */
#include <sys/stat.h>

#include "base/error.h"
#include "detect/box.h"
#include "detect/detwrite.h"

int qd_detwriter_path(const struct qd_detwriter *d, const char *prefix, const char *name,
    size_t len, struct qd_buf *b, struct qd_error *err)
{
    qd_buf_str(b, d->output);
    qd_buf_str(b, "/");
    qd_buf_str(b, prefix);
    qd_buf_add(b, name, len);
    qd_buf_str(b, ".txt");
    return qd_buf_ok(b, err);
}

/* ------------------------------------------------------------------ voc ----------------------- */

/* Call fn for each class with the path of its file. */
static int each_file(struct qd_detwriter *d,
    int (*fn)(struct qd_detwriter *d, int class_id, const char *path, struct qd_error *err),
    struct qd_error *err)
{
    int ret = 0;

    for (int c = 0; ret == 0 && c < d->opts.classes; c++) {
        struct qd_buf path = {0};
        char number[16];
        const char *name = qd_detwriter_name(d, c, number);
        if (!*name || strchr(name, '/'))
            ret = qd_error_set(err, QD_EARG, "class name '%s' cannot be part of a file name", name);
        else
            ret = qd_detwriter_path(d, "comp4_det_test_", name, strlen(name), &path, err);
        if (ret == 0)
            ret = fn(d, c, path.data, err);
        qd_buf_free(&path);
    }
    return ret;
}

/* Hours of work should not end with the news that a file exists. */
static int check_absent(
    struct qd_detwriter *d, int class_id, const char *path, struct qd_error *err)
{
    struct stat st;

    (void)class_id;
    if (!d->opts.force && lstat(path, &st) == 0)
        return qd_error_set(err, QD_EIO, "'%s' exists already (use -f to replace it)", path);
    return 0;
}

static int put_class(struct qd_detwriter *d, int class_id, const char *path, struct qd_error *err)
{
    const struct qd_buf *b = &d->classes[class_id];

    if (qd_buf_ok(b, err) < 0)
        return -1;
    return qd_io_put(path, d->opts.force, b->len ? b->data : "", b->len, err);
}

static int voc_begin(struct qd_detwriter *d, struct qd_error *err)
{
    d->classes = qd_alloc((size_t)d->opts.classes, sizeof(*d->classes), err);
    return d->classes ? each_file(d, check_absent, err) : -1;
}

static double within(double x, double hi)
{
    return x < 1 ? 1 : x > hi ? hi : x;
}

static int voc_image(struct qd_detwriter *d, const struct qd_detimage *im, struct qd_error *err)
{
    const char *stem;
    size_t len;

    qd_path_stem(im->path, &stem, &len);
    for (size_t i = 0; i < len; i++)
        if (strchr(" \t\r\n", stem[i]))
            return qd_error_set(
                err, QD_EARG, "an image name with blanks cannot be written: '%s'", im->path);
    if (!len)
        return qd_error_set(err, QD_EARG, "image without a name: '%s'", im->path);
    for (size_t i = 0; i < im->dets->n; i++) {
        const struct qd_det *t = &im->dets->det[i];
        struct qd_corners c = qd_box_corners(&t->box, im->w, im->h);
        struct qd_buf *b = &d->classes[t->class_id];
        double v[5] = {(double)t->score, within(c.l + 1, im->w), within(c.t + 1, im->h),
            within(c.r + 1, im->w), within(c.b + 1, im->h)};
        qd_buf_add(b, stem, len);
        for (int k = 0; k < 5; k++) {
            qd_buf_str(b, " ");
            qd_put_fixed(b, v[k], 6);
        }
        qd_buf_str(b, "\n");
        if (qd_buf_ok(b, err) < 0)
            return -1;
    }
    return 0;
}

static int voc_end(struct qd_detwriter *d, struct qd_error *err)
{
    return each_file(d, put_class, err);
}

const struct qd_detformat qd_detformat_voc = {"voc", true, voc_begin, voc_image, voc_end};

/* ------------------------------------------------------------------ yolo ---------------------- */

/* Remember a name; 1 when it was there already, -1 with 'err' set.  Names are told apart by 64 bits
 * of a hash (FNV-1a). */
static int remember(struct qd_detwriter *d, const char *name, size_t len, struct qd_error *err)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
    h += h == 0; /* 0 marks a free place */
    if (d->nseen * 2 >= d->seen_cap) {
        size_t cap = d->seen_cap ? d->seen_cap * 2 : 256;
        uint64_t *grown = qd_alloc(cap, sizeof(*grown), err);
        if (!grown)
            return -1;
        for (size_t i = 0; i < d->seen_cap; i++) {
            size_t at = d->seen[i] & (cap - 1);
            while (d->seen[i] && grown[at])
                at = (at + 1) & (cap - 1);
            if (d->seen[i])
                grown[at] = d->seen[i];
        }
        qd_free(d->seen);
        d->seen = grown;
        d->seen_cap = cap;
    }
    size_t at = h & (d->seen_cap - 1);
    while (d->seen[at] && d->seen[at] != h)
        at = (at + 1) & (d->seen_cap - 1);
    if (d->seen[at] == h)
        return 1;
    d->seen[at] = h;
    d->nseen++;
    return 0;
}

static int yolo_image(struct qd_detwriter *d, const struct qd_detimage *im, struct qd_error *err)
{
    struct qd_buf path = {0};
    const char *stem;
    size_t len;

    qd_path_stem(im->path, &stem, &len);
    if (!len)
        return qd_error_set(err, QD_EARG, "image without a name: '%s'", im->path);
    int ret = remember(d, stem, len, err);
    if (ret < 0)
        return -1;
    if (ret > 0)
        return qd_error_set(
            err, QD_EARG, "two images would have the same label file: '%s'", im->path);
    for (size_t i = 0; i < im->dets->n; i++) {
        const struct qd_det *t = &im->dets->det[i];
        struct qd_corners c = qd_corners_clip(qd_box_corners(&t->box, 1, 1), 1, 1);
        double v[4] = {(c.l + c.r) / 2, (c.t + c.b) / 2, c.r - c.l, c.b - c.t};
        if (v[2] < 1e-6 || v[3] < 1e-6) /* nothing of it is inside: no valid label */
            continue;
        qd_buf_printf(&d->text, "%d", t->class_id);
        for (int k = 0; k < 4; k++) {
            qd_buf_str(&d->text, " ");
            qd_put_fixed(&d->text, v[k], 6);
        }
        qd_buf_str(&d->text, "\n");
    }
    if (qd_buf_ok(&d->text, err) < 0)
        return -1;
    ret = qd_detwriter_path(d, "", stem, len, &path, err);
    if (ret == 0)
        ret =
            qd_io_put(path.data, d->opts.force, d->text.len ? d->text.data : "", d->text.len, err);
    d->text.len = 0;
    qd_buf_free(&path);
    return ret;
}

const struct qd_detformat qd_detformat_yolo = {"yolo", true, NULL, yolo_image, NULL};
