/* SPDX-License-Identifier: MIT */
/*
 * COCO (Lin et al. 2014): one JSON file with images, categories and annotations, in any order.  The
 * source is such a file, or the folder with annotations/instances_*.json and the pictures.  The
 * file is read twice, first for images and categories.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/import/import.h"
#include "format/json.h"

enum { MAX_CATEGORIES = 10000 };

struct picture {
    long id;
    const char *file; /* as the file names it */
    double w, h;
    int line;
};

struct category {
    long id;
    const char *name;
    int class_id; /* -1: left out */
};

/* An annotation waits for its picture. */
struct object {
    size_t picture;
    struct qd_import_box box;
};

struct coco {
    struct qd_import *im;
    struct qd_json json;
    const char *path; /* of the file */
    int split;
    struct picture *picture;
    struct category *category;
    struct object *object;
    size_t npicture, picture_cap, ncategory, category_cap, nobject, object_cap;
};

/* ------------------------------------------------------------------ images, categories -------- */

static int read_picture(struct coco *c)
{
    struct qd_json *j = &c->json;
    struct picture p = {.id = -1};
    const char *key;
    void *array = c->picture;

    qd_json_object(j);
    p.line = j->line;
    while ((key = qd_json_key(j)))
        if (strcmp(key, "id") == 0) {
            p.id = (long)qd_json_int(j, 0, LONG_MAX);
        } else if (strcmp(key, "file_name") == 0) {
            p.file = qd_arena_strdup(&c->im->arena, qd_json_string(j), c->im->err);
            if (!p.file)
                return -1;
        } else if (strcmp(key, "width") == 0) {
            p.w = qd_json_double(j);
        } else if (strcmp(key, "height") == 0) {
            p.h = qd_json_double(j);
        } else {
            qd_json_skip(j);
        }
    if (j->failed)
        return -1;
    if (p.id < 0)
        return qd_json_fault(j, "an image without 'id'");
    if (!p.file || !*p.file)
        return qd_json_fault(j, "image %ld has no 'file_name'", p.id);
    if (qd_import_grow(c->im, &array, &c->picture_cap, c->npicture, sizeof(p)) < 0)
        return -1;
    c->picture = array;
    c->picture[c->npicture++] = p;
    return 0;
}

static int read_category(struct coco *c)
{
    struct qd_json *j = &c->json;
    struct category t = {.id = -1};
    const char *key;
    void *array = c->category;

    qd_json_object(j);
    while ((key = qd_json_key(j)))
        if (strcmp(key, "id") == 0) {
            t.id = (long)qd_json_int(j, 0, LONG_MAX);
        } else if (strcmp(key, "name") == 0) {
            t.name = qd_arena_strdup(&c->im->arena, qd_json_string(j), c->im->err);
            if (!t.name)
                return -1;
        } else {
            qd_json_skip(j);
        }
    if (j->failed)
        return -1;
    if (t.id < 0 || !t.name)
        return qd_json_fault(j, "a category without 'id' or 'name'");
    if (c->ncategory == MAX_CATEGORIES)
        return qd_json_fault(j, "more than %d categories", MAX_CATEGORIES);
    if (qd_import_grow(c->im, &array, &c->category_cap, c->ncategory, sizeof(t)) < 0)
        return -1;
    c->category = array;
    c->category[c->ncategory++] = t;
    return 0;
}

static int read_array(struct coco *c, int (*read)(struct coco *c))
{
    qd_json_array(&c->json);
    while (qd_json_more(&c->json))
        if (read(c) < 0)
            return -1;
    return c->json.failed ? -1 : 0;
}

static int picture_by_id(const void *a, const void *b)
{
    const struct picture *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static int category_by_id(const void *a, const void *b)
{
    const struct category *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

/* The classes are the categories in the order of their ids, as coco.names has them. */
static int make_classes(struct coco *c)
{
    if (c->ncategory)
        qsort(c->category, c->ncategory, sizeof(*c->category), category_by_id);
    for (size_t i = 0; i < c->ncategory; i++) {
        if (i && c->category[i - 1].id == c->category[i].id)
            return qd_error_at(c->im->err, QD_EFORMAT, c->path, 0, "two categories with id %ld",
                c->category[i].id);
        c->category[i].class_id = qd_import_find_class(c->im, c->category[i].name);
        if (c->category[i].class_id < -1)
            return -1;
    }
    return 0;
}

static int first_pass(struct coco *c)
{
    struct qd_json *j = &c->json;
    const char *key;
    bool annotations = false;
    int ret = 0;

    qd_json_object(j);
    while (ret == 0 && (key = qd_json_key(j)))
        if (strcmp(key, "images") == 0) {
            ret = read_array(c, read_picture);
        } else if (strcmp(key, "categories") == 0) {
            ret = read_array(c, read_category);
        } else {
            annotations = annotations || strcmp(key, "annotations") == 0;
            qd_json_skip(j);
        }
    if (ret < 0 || j->failed)
        return -1;
    if (!c->npicture || !annotations)
        return qd_error_at(c->im->err, QD_EFORMAT, c->path, 0,
            "no '%s': this is not a file of COCO annotations",
            c->npicture ? "annotations" : "images");
    qsort(c->picture, c->npicture, sizeof(*c->picture), picture_by_id);
    for (size_t i = 1; i < c->npicture; i++)
        if (c->picture[i - 1].id == c->picture[i].id)
            return qd_error_at(c->im->err, QD_EFORMAT, c->path, c->picture[i].line,
                "two images with id %ld", c->picture[i].id);
    return make_classes(c);
}

/* ------------------------------------------------------------------ annotations --------------- */

struct shape {
    double bbox[4];
    int nbbox;           /* numbers in it */
    double lo[2], hi[2]; /* of the polygon's points */
    size_t points;
};

/* Any number of numbers, or null; the first four are kept. */
static void read_bbox(struct qd_json *j, struct shape *s)
{
    if (qd_json_peek(j) == QD_JSON_NULL) {
        qd_json_skip(j);
        return;
    }
    qd_json_array(j);
    for (s->nbbox = 0; qd_json_more(j); s->nbbox++) {
        double v = qd_json_double(j);
        if (s->nbbox < 4)
            s->bbox[s->nbbox] = v;
    }
}

/* One polygon x, y, x, y ...; an odd number at the end is no point. */
static void read_polygon(struct qd_json *j, struct shape *s)
{
    double p[2];

    qd_json_array(j);
    for (size_t i = 0; qd_json_more(j); i++) {
        p[i & 1] = qd_json_double(j);
        if (!(i & 1))
            continue;
        for (int k = 0; k < 2; k++) {
            s->lo[k] = s->points ? fmin(s->lo[k], p[k]) : p[k];
            s->hi[k] = s->points ? fmax(s->hi[k], p[k]) : p[k];
        }
        s->points++;
    }
}

/* Polygons are arrays of arrays; what else there is (run lengths) is skipped. */
static void read_segmentation(struct qd_json *j, struct shape *s)
{
    if (qd_json_peek(j) != QD_JSON_ARRAY) {
        qd_json_skip(j);
        return;
    }
    qd_json_array(j);
    while (qd_json_more(j))
        if (qd_json_peek(j) == QD_JSON_ARRAY)
            read_polygon(j, s);
        else
            qd_json_skip(j);
}

/* The box of a shape in pixels; false when it has neither a bbox nor a polygon. */
static bool box_of(const struct shape *s, struct qd_import_box *b)
{
    const double *v = s->bbox;
    bool zero = v[0] == 0 && v[1] == 0 && v[2] == 0 && v[3] == 0;

    if (s->nbbox == 4 && !(zero && s->points)) {
        b->x0 = v[0];
        b->y0 = v[1];
        b->x1 = v[0] + v[2];
        b->y1 = v[1] + v[3];
        return true;
    }
    if (!s->points)
        return false;
    b->x0 = s->lo[0];
    b->y0 = s->lo[1];
    b->x1 = s->hi[0];
    b->y1 = s->hi[1];
    return true;
}

static int add_object(
    struct coco *c, const struct object *o, long image, long category, const struct shape *s)
{
    const struct picture key = {.id = image};
    const struct category kind = {.id = category};
    struct object n = *o;
    void *array = c->object;
    const struct picture *p = bsearch(&key, c->picture, c->npicture, sizeof(key), picture_by_id);
    const struct category *t =
        c->ncategory ? bsearch(&kind, c->category, c->ncategory, sizeof(kind), category_by_id)
                     : NULL;

    if (!p)
        return qd_import_defect(c->im, c->path, n.box.line, "left out",
            "annotation %ld: there is no image %ld", n.box.id, image);
    if (!t)
        return qd_import_defect(c->im, c->path, n.box.line, "left out",
            "annotation %ld: there is no category %ld", n.box.id, category);
    if (t->class_id < 0) {
        qd_import_unknown(c->im);
        return 0;
    }
    if (!box_of(s, &n.box))
        return qd_import_defect(c->im, c->path, n.box.line, "left out",
            "annotation %ld has neither a bbox of 4 numbers nor a polygon", n.box.id);
    n.picture = (size_t)(p - c->picture);
    n.box.class_id = t->class_id;
    if (qd_import_grow(c->im, &array, &c->object_cap, c->nobject, sizeof(n)) < 0)
        return -1;
    c->object = array;
    c->object[c->nobject++] = n;
    return 0;
}

static int read_annotation(struct coco *c)
{
    struct qd_json *j = &c->json;
    struct object o = {.box = {.id = -1}};
    struct shape s = {.nbbox = 0};
    long image = -1, category = -1;
    const char *key;

    qd_json_object(j);
    o.box.line = j->line;
    while ((key = qd_json_key(j)))
        if (strcmp(key, "id") == 0)
            o.box.id = (long)qd_json_int(j, LONG_MIN, LONG_MAX);
        else if (strcmp(key, "image_id") == 0)
            image = (long)qd_json_int(j, 0, LONG_MAX);
        else if (strcmp(key, "category_id") == 0)
            category = (long)qd_json_int(j, 0, LONG_MAX);
        else if (strcmp(key, "bbox") == 0)
            read_bbox(j, &s);
        else if (strcmp(key, "segmentation") == 0)
            read_segmentation(j, &s);
        else if (strcmp(key, "iscrowd") == 0 && qd_json_peek(j) == QD_JSON_NUMBER)
            o.box.difficult = qd_json_double(j) != 0;
        else
            qd_json_skip(j);
    if (j->failed)
        return -1;
    if (image < 0 || category < 0)
        return qd_import_defect(c->im, c->path, o.box.line, "left out",
            "annotation %ld has no '%s'", o.box.id, image < 0 ? "image_id" : "category_id");
    return add_object(c, &o, image, category, &s);
}

static int second_pass(struct coco *c)
{
    struct qd_json *j = &c->json;
    const char *key;
    int ret = 0;

    qd_json_rewind(j);
    qd_json_object(j);
    while (ret == 0 && (key = qd_json_key(j)))
        if (strcmp(key, "annotations") == 0)
            ret = read_array(c, read_annotation);
        else
            qd_json_skip(j);
    return ret;
}

/* ------------------------------------------------------------------ pictures ------------------ */

static int object_by_picture(const void *a, const void *b)
{
    const struct object *x = a, *y = b;

    if (x->picture != y->picture)
        return x->picture < y->picture ? -1 : 1;
    if (x->box.line != y->box.line)
        return x->box.line < y->box.line ? -1 : 1;
    return (x->box.id > y->box.id) - (x->box.id < y->box.id);
}

/* The folder that holds the first picture: one of the usual ones below and beside the file's, and
 * there one called like the part of the set, or none.  The first of them when none has it. */
static const char *folder_of(struct coco *c)
{
    static const char *const places[] = {"", "/images", "/..", "/../images"};
    struct qd_import *im = c->im;
    const char *slash = strrchr(c->path, '/'), *base = slash ? slash + 1 : c->path;
    int up = slash ? (int)(slash - c->path) : 1, part;

    if (im->opts.images)
        return im->opts.images;
    base += strncmp(base, "instances_", 10) == 0 ? 10 : 0;
    part = (int)strcspn(base, ".");
    for (size_t i = 0; i < 2 * QD_LEN(places); i++) {
        const char *dir = qd_import_text(im, "%.*s%s%s%.*s", up, slash ? c->path : ".",
            places[i / 2], i & 1 ? "" : "/", i & 1 ? 0 : part, base);
        const char *path = dir ? qd_import_path(im, dir, c->picture[0].file) : NULL;
        if (!path)
            return NULL;
        if (qd_import_is_file(path))
            return dir;
    }
    return qd_import_text(im, "%.*s", up, slash ? c->path : ".");
}

static int commit(struct coco *c)
{
    const char *dir = folder_of(c);
    size_t k = 0;

    if (!dir)
        return -1;
    if (c->nobject)
        qsort(c->object, c->nobject, sizeof(*c->object), object_by_picture);
    for (size_t i = 0; i < c->npicture; i++) {
        const struct picture *p = &c->picture[i];
        struct qd_import_picture pic = {.file = c->path,
            .line = p->line,
            .w = p->w,
            .h = p->h,
            .split = c->split,
            .path = qd_import_path(c->im, dir, p->file)};
        int ret = pic.path ? 0 : -1;
        for (; ret == 0 && k < c->nobject && c->object[k].picture == i; k++)
            ret = qd_import_box(c->im, &c->object[k].box);
        if (ret < 0)
            return -1;
        if (qd_import_picture(c->im, &pic) < 0)
            return -1;
    }
    return 0;
}

int qd_coco_file(struct qd_import *im, const char *path, int split)
{
    struct coco c = {.im = im, .path = path, .split = split};

    if (qd_json_load(&c.json, path, im->err) < 0)
        return -1;
    int ret = first_pass(&c);
    if (ret == 0)
        ret = second_pass(&c);
    if (qd_json_close(&c.json) < 0)
        ret = -1;
    if (ret == 0)
        ret = commit(&c);
    qd_free(c.picture);
    qd_free(c.category);
    qd_free(c.object);
    return ret;
}

static int coco_read(struct qd_import *im)
{
    static const char *const places[] = {"annotations", NULL};
    const char *dir = qd_import_first_dir(im, im->opts.source, places);
    struct qd_import_names files;
    int found = 0;

    if (qd_import_is_file(im->opts.source))
        return qd_coco_file(im, im->opts.source, QD_BY_NAME);
    dir = dir ? dir : im->opts.source;
    if (im->err->code != QD_OK || qd_import_ls(im, dir, ".json", false, &files) < 0)
        return -1;
    for (size_t i = 0; i < files.n; i++) {
        const char *path = qd_import_text(im, "%s/%s.json", dir, files.v[i]);
        bool train = strncmp(files.v[i], "instances_train", 15) == 0;
        bool val = strncmp(files.v[i], "instances_val", 13) == 0;
        if (!path)
            return -1;
        if (!train && !val)
            continue;
        found++;
        if (qd_coco_file(im, path, train ? QD_TRAIN : QD_VALID) < 0)
            return -1;
    }
    if (!found)
        return qd_error_set(
            im->err, QD_EFORMAT, "%s: no 'instances_train*.json' or 'instances_val*.json'", dir);
    return 0;
}

const struct qd_importer qd_importer_coco = {.name = "coco", .read = coco_read};
