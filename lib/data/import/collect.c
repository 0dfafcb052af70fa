/* SPDX-License-Identifier: MIT */
/*
 * What was found: classes, pictures, boxes.  Here, for all formats alike, it is decided what a
 * defect is and what becomes of it.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "data/import/import.h"

enum {
    MAX_CLASSES = 10000,
    MAX_BOXES = 10000, /* in a picture */
    MAX_WARNINGS = 100,
    NAME_BYTES = 200,
};

int qd_import_grow(struct qd_import *im, void **array, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return 0;
    size_t more = *cap ? *cap * 2 : 64;
    void *p = qd_alloc(more, size, im->err);
    if (!p)
        return -1;
    if (n)
        memcpy(p, *array, n * size);
    qd_free(*array);
    *array = p;
    *cap = more;
    return 0;
}

/* ------------------------------------------------------------------ reports ------------------- */

static void warn(struct qd_import *im, const char *text)
{
    if (++im->warnings <= MAX_WARNINGS)
        qd_warn("%s", text);
}

int qd_import_defect(
    struct qd_import *im, const char *file, int line, const char *then, const char *fmt, ...)
{
    char text[300], all[900], place[24] = "";
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    im->counts.bad++;
    if (im->opts.bad == QD_BAD_FAIL)
        return qd_error_at(im->err, QD_EFORMAT, file, line, "%s", text);
    if (line > 0)
        snprintf(place, sizeof(place), ":%d", line);
    snprintf(all, sizeof(all), "%s%s: %s, %s", file, place, text, then);
    warn(im, all);
    return 0;
}

int qd_import_bad_file(struct qd_import *im, const struct qd_error *why)
{
    struct qd_error e = *why; /* may be im->err */
    char text[600];

    im->npending = 0;
    if (im->err->code == QD_ENOMEM)
        return -1;
    *im->err = (struct qd_error){0};
    if (e.code == QD_ENOMEM || im->opts.bad == QD_BAD_FAIL)
        return qd_error_set(im->err, e.code, "%s", e.msg);
    im->counts.left_out++;
    snprintf(text, sizeof(text), "%s, picture left out", e.msg);
    warn(im, text);
    return 0;
}

/* ------------------------------------------------------------------ classes ------------------- */

static bool good_name(const char *name)
{
    size_t n = strlen(name);

    if (!n || n > NAME_BYTES || name[strspn(name, " ")] == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 127)
            return false;
    return true;
}

/* Tell about a class that is left out, once. */
static void name_unknown(struct qd_import *im, const char *name)
{
    for (int i = 0; i < im->nunknown; i++)
        if (strcmp(im->unknown[i], name) == 0)
            return;
    if (im->nunknown == (int)QD_LEN(im->unknown))
        return;
    const char *copy = qd_arena_strdup(&im->arena, name, NULL);
    if (copy)
        im->unknown[im->nunknown++] = copy;
    qd_warn("objects of class '%.60s' are left out: it is not among the names", name);
}

int qd_import_find_class(struct qd_import *im, const char *name)
{
    for (int i = 0; i < im->classes; i++)
        if (strcmp(im->class_name[i], name) == 0)
            return i;
    if (im->fixed) {
        name_unknown(im, name);
        return -1;
    }
    if (!good_name(name)) {
        qd_error_set(im->err, QD_EFORMAT, "'%.60s' cannot be the name of a class", name);
        return -2;
    }
    if (im->classes == MAX_CLASSES) {
        qd_error_set(im->err, QD_EFORMAT, "%s: more than %d classes", im->opts.source, MAX_CLASSES);
        return -2;
    }
    size_t n = (size_t)im->classes;
    void *names = im->class_name, *boxes = im->class_boxes;
    int a = qd_import_grow(im, &names, &im->class_cap, n, sizeof(*im->class_name));
    im->class_name = names;
    int b = a < 0 ? -1 : qd_import_grow(im, &boxes, &im->boxes_cap, n, sizeof(*im->class_boxes));
    im->class_boxes = boxes;
    const char *copy = b < 0 ? NULL : qd_arena_strdup(&im->arena, name, im->err);
    if (!copy)
        return -2;
    im->class_name[n] = copy;
    return im->classes++;
}

void qd_import_unknown(struct qd_import *im)
{
    im->counts.unknown++;
}

/* ------------------------------------------------------------------ boxes --------------------- */

int qd_import_box(struct qd_import *im, const struct qd_import_box *box)
{
    void *array = im->pending;

    if (im->npending == MAX_BOXES)
        return qd_error_set(im->err, QD_EFORMAT, "more than %d objects in a picture", MAX_BOXES);
    if (qd_import_grow(im, &array, &im->pending_cap, im->npending, sizeof(*box)) < 0)
        return -1;
    im->pending = array;
    im->pending[im->npending++] = *box;
    return 0;
}

/* "box of 'car' (annotation 7)" */
static void box_name(const struct qd_import *im, const struct qd_import_box *b, char text[160])
{
    int n = snprintf(text, 160, "box of '%.60s'", im->class_name[b->class_id]);

    if (b->id >= 0 && n < 120)
        snprintf(text + n, (size_t)(160 - n), " (annotation %ld)", b->id);
}

static int keep(struct qd_import *im, const struct qd_import_box *b)
{
    void *array = im->box;

    if (qd_import_grow(im, &array, &im->box_cap, im->nbox, sizeof(*b)) < 0)
        return -1;
    im->box = array;
    im->box[im->nbox++] = *b;
    return 0;
}

/* Judge a box of a picture of w x h pixels, and keep what is to be kept. */
static int check_box(
    struct qd_import *im, const char *file, const struct qd_import_box *in, int w, int h)
{
    struct qd_import_box b = *in;
    char name[160];

    box_name(im, in, name);
    if (!isfinite(b.x0) || !isfinite(b.y0) || !isfinite(b.x1) || !isfinite(b.y1))
        return qd_import_defect(im, file, b.line, "left out", "%s is not finite", name);
    if (b.x1 <= b.x0 || b.y1 <= b.y0)
        return qd_import_defect(im, file, b.line, "left out", "%s has no area: %g to %g, %g to %g",
            name, b.x0, b.x1, b.y0, b.y1);
    b.x0 = fmax(b.x0, 0);
    b.y0 = fmax(b.y0, 0);
    b.x1 = fmin(b.x1, w);
    b.y1 = fmin(b.y1, h);
    bool empty = b.x1 <= b.x0 || b.y1 <= b.y0;
    if (empty && qd_import_defect(im, file, b.line, "left out",
                     "%s lies outside of the picture of %dx%d: %g to %g, %g to %g", name, w, h,
                     in->x0, in->x1, in->y0, in->y1) < 0)
        return -1;
    if (empty)
        return 0;
    /* one pixel is rounding, or a count that begins at 1 */
    if (in->x0 < -1 || in->y0 < -1 || in->x1 > w + 1 || in->y1 > h + 1) {
        bool clip = im->opts.bad == QD_BAD_CLIP;
        if (qd_import_defect(im, file, b.line, clip ? "clipped" : "left out",
                "%s reaches out of the picture of %dx%d: %g to %g, %g to %g", name, w, h, in->x0,
                in->x1, in->y0, in->y1) < 0)
            return -1;
        if (!clip)
            return 0;
    }
    return keep(im, &b);
}

/* ------------------------------------------------------------------ pictures ------------------ */

/* A number from the name, the same on every machine (FNV-1a): a picture stays on its side when the
 * set grows. */
static int side_of(const struct qd_import *im, const char *name)
{
    uint32_t h = 2166136261u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    return (double)h < (double)im->opts.split * 4294967296.0 ? QD_VALID : QD_TRAIN;
}

static const char *stem_of(struct qd_import *im, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t n = dot && dot > base ? (size_t)(dot - base) : strlen(base);

    return qd_arena_strndup(&im->arena, base, n, im->err);
}

/* The size of the picture; 1 when it can be taken, 0 when not, -1 when the whole is to end. */
static int look_at(struct qd_import *im, const struct qd_import_picture *p, int *w, int *h)
{
    struct qd_error why = {0};
    int c;

    if (qd_image_probe(p->path, w, h, &c, &why) < 0) {
        if (!im->first_missing)
            im->first_missing = p->path;
        return qd_import_bad_file(im, &why) < 0 ? -1 : 0;
    }
    if (strpbrk(p->path, "\n\r")) {
        qd_error_set(
            &why, QD_EFORMAT, "'%.200s': a list cannot hold a path with a line end", p->path);
        return qd_import_bad_file(im, &why) < 0 ? -1 : 0;
    }
    if (p->w > 0 && p->h > 0 && (p->w != *w || p->h != *h)) {
        bool clip = im->opts.bad == QD_BAD_CLIP;
        if (qd_import_defect(im, p->file, p->line,
                clip ? "the picture's size is used" : "picture left out",
                "the size is given as %gx%g, but the picture has %dx%d", p->w, p->h, *w, *h) < 0)
            return -1;
        im->counts.left_out += !clip;
        return clip;
    }
    return 1;
}

/* Count the boxes of a picture that was taken. */
static void count(struct qd_import *im, const struct qd_import_image *i)
{
    bool background = true;

    im->counts.pictures[i->split]++;
    if (im->format->classifier) {
        im->class_boxes[i->class_id][i->split]++;
        return;
    }
    for (size_t k = i->first; k < i->first + i->n; k++) {
        if (im->box[k].difficult && im->opts.difficult != QD_DIFFICULT_KEEP)
            continue;
        im->class_boxes[im->box[k].class_id][i->split]++;
        background = false;
    }
    im->counts.background[i->split] += background;
}

int qd_import_picture(struct qd_import *im, const struct qd_import_picture *p)
{
    struct qd_import_image i = {.path = p->path, .class_id = p->class_id, .first = im->nbox};
    void *array = im->image;
    int ok = look_at(im, p, &i.w, &i.h);

    if (ok <= 0) {
        im->npending = 0;
        return ok;
    }
    if (qd_import_grow(im, &array, &im->image_cap, im->nimage, sizeof(i)) < 0)
        return -1;
    im->image = array;
    i.name = stem_of(im, p->path);
    if (!i.name)
        return -1;
    i.split = p->split == QD_BY_NAME ? side_of(im, i.name) : p->split;
    for (size_t k = 0; k < im->npending; k++) {
        im->counts.difficult += im->pending[k].difficult;
        if (im->pending[k].difficult && im->opts.difficult == QD_DIFFICULT_DROP)
            continue;
        if (check_box(im, p->file, &im->pending[k], i.w, i.h) < 0)
            return -1;
    }
    im->npending = 0;
    i.n = im->nbox - i.first;
    count(im, &i);
    im->image[im->nimage++] = i;
    return 0;
}
