/* SPDX-License-Identifier: MIT */
/*
 * Pascal VOC (Everingham et al. 2010), and everybody's own sets in its form: Annotations/NAME.xml,
 * JPEGImages/NAME.jpg, ImageSets/Main/LIST.txt.  A source is one such folder or holds several
 * (VOC2007, VOC2012).  Edges are taken as they are written (spec compression.md 7.3).
 */
#include <string.h>

#include "base/error.h"
#include "data/import/import.h"
#include "format/xml.h"

/* ------------------------------------------------------------------ one annotation ------------ */

struct object {
    struct qd_import_box box;
    bool has_name, edges[4];
};

static void read_bndbox(struct qd_xml *x, struct object *o)
{
    static const char *const names[] = {"xmin", "ymin", "xmax", "ymax"};
    double *edge[] = {&o->box.x0, &o->box.y0, &o->box.x1, &o->box.y1};
    const char *tag;

    while ((tag = qd_xml_child(x))) {
        int i = 0;
        while (i < 4 && strcmp(tag, names[i]) != 0)
            i++;
        if (i == 4) {
            qd_xml_skip(x);
        } else {
            *edge[i] = qd_xml_number(x);
            o->edges[i] = true;
        }
    }
}

static int read_object(struct qd_import *im, struct qd_xml *x)
{
    struct object o = {.box = {.line = x->line, .id = -1, .class_id = -1}};
    const char *tag;

    while ((tag = qd_xml_child(x))) {
        if (strcmp(tag, "name") == 0) {
            o.box.class_id = qd_import_find_class(im, qd_xml_text(x));
            if (x->failed)
                return -1;
            if (o.box.class_id < -1)
                return qd_xml_fault(x, "%s", im->err->msg);
            o.has_name = true;
        } else if (strcmp(tag, "difficult") == 0) {
            o.box.difficult = qd_xml_number(x) != 0;
        } else if (strcmp(tag, "bndbox") == 0) {
            read_bndbox(x, &o);
        } else {
            qd_xml_skip(x);
        }
    }
    if (x->failed)
        return -1;
    if (!o.has_name)
        return qd_xml_fault(x, "the object of line %d has no name", o.box.line);
    if (!o.edges[0] || !o.edges[1] || !o.edges[2] || !o.edges[3])
        return qd_xml_fault(x, "the object of line %d has no complete bndbox", o.box.line);
    if (o.box.class_id < 0) {
        qd_import_unknown(im);
        return 0;
    }
    return qd_import_box(im, &o.box) == 0 ? 0 : qd_xml_fault(x, "%s", im->err->msg);
}

static void read_size(struct qd_xml *x, struct qd_import_picture *p)
{
    const char *tag;

    p->line = x->line;
    while ((tag = qd_xml_child(x)))
        if (strcmp(tag, "width") == 0)
            p->w = qd_xml_number(x);
        else if (strcmp(tag, "height") == 0)
            p->h = qd_xml_number(x);
        else
            qd_xml_skip(x);
}

int qd_voc_annotation(
    struct qd_import *im, const char *path, struct qd_import_picture *p, struct qd_error *err)
{
    struct qd_xml x;
    const char *tag;

    if (qd_xml_load(&x, path, err) < 0)
        return -1;
    tag = qd_xml_child(&x);
    if (tag && strcmp(tag, "annotation") != 0)
        qd_xml_fault(&x, "the root element is '%.60s', not 'annotation'", tag);
    while ((tag = qd_xml_child(&x))) {
        if (strcmp(tag, "size") == 0)
            read_size(&x, p);
        else if (strcmp(tag, "object") != 0)
            qd_xml_skip(&x);
        else if (read_object(im, &x) < 0)
            break;
    }
    return qd_xml_close(&x);
}

/* ------------------------------------------------------------------ lists --------------------- */

static const char *picture_of(
    struct qd_import *im, const struct qd_voc_root *root, const char *stem)
{
    const char *first = NULL;

    for (int i = 0; i < 3 && root->images[i]; i++) {
        const char *path = qd_import_find_picture(im, root->images[i], stem);
        if (!path || qd_import_is_file(path))
            return path;
        first = first ? first : path;
    }
    return first ? first : qd_import_find_picture(im, root->annotations, stem);
}

static int add(struct qd_import *im, const struct qd_voc_root *root, const char *stem, int split)
{
    struct qd_import_picture p = {.split = split};
    struct qd_error why = {0};

    p.file = qd_import_text(im, "%s/%s.xml", root->annotations, stem);
    if (!p.file)
        return -1;
    if (qd_voc_annotation(im, p.file, &p, &why) < 0)
        return qd_import_bad_file(im, &why);
    p.path = picture_of(im, root, stem);
    return p.path ? qd_import_picture(im, &p) : -1;
}

int qd_voc_list(struct qd_import *im, const struct qd_voc_root *root, const char *list, int split)
{
    struct qd_import_names names;
    char path[4096];

    if (qd_import_lines(im, list, &names) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        const char *stem = names.v[i];
        int n = snprintf(path, sizeof(path), "%s/%s.xml", root->annotations, stem);
        /* the lists of single classes have a number behind the name */
        if (n >= (int)sizeof(path) || !qd_import_is_file(path))
            stem = qd_import_text(im, "%.*s", (int)strcspn(stem, " \t"), stem);
        if (!stem || add(im, root, stem, split) < 0)
            return -1;
    }
    return 0;
}

int qd_voc_all(struct qd_import *im, const struct qd_voc_root *root)
{
    struct qd_import_names names;

    if (qd_import_ls(im, root->annotations, ".xml", false, &names) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++)
        if (add(im, root, names.v[i], QD_BY_NAME) < 0)
            return -1;
    return 0;
}

/* ------------------------------------------------------------------ folders ------------------- */

/* A list of ImageSets/Main, or NULL. */
static const char *set_of(struct qd_import *im, const char *root, const char *name)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/ImageSets/Main/%s.txt", root, name);

    if (n >= (int)sizeof(path) || !qd_import_is_file(path))
        return NULL;
    return qd_arena_strdup(&im->arena, path, im->err);
}

static int add_set(
    struct qd_import *im, const struct qd_voc_root *root, const char *list, int split)
{
    return list ? qd_voc_list(im, root, list, split) : 0;
}

/* trainval and test if there is a test somewhere, else train and val. */
static int read_root(struct qd_import *im, const char *dir, bool any_test)
{
    struct qd_voc_root root = {qd_import_path(im, dir, "Annotations"),
        {qd_import_path(im, dir, "JPEGImages"), qd_import_path(im, dir, "images"), NULL}};
    const char *both = set_of(im, dir, "trainval"), *train = set_of(im, dir, "train");
    const char *val = set_of(im, dir, "val"), *test = set_of(im, dir, "test");

    if (!root.annotations || !root.images[0] || !root.images[1] || im->err->code == QD_ENOMEM)
        return -1;
    if (!both && !train && !val && !test)
        return qd_voc_all(im, &root);
    if (!any_test && train && val) {
        if (add_set(im, &root, train, QD_TRAIN) < 0)
            return -1;
        return add_set(im, &root, val, QD_VALID);
    }
    if (both) {
        if (add_set(im, &root, both, QD_TRAIN) < 0)
            return -1;
    } else if (add_set(im, &root, train, QD_TRAIN) < 0 ||
               add_set(im, &root, val, any_test ? QD_TRAIN : QD_VALID) < 0) {
        return -1;
    }
    return add_set(im, &root, test, QD_VALID);
}

static int voc_read(struct qd_import *im)
{
    const char *source = im->opts.source, *inner = qd_import_path(im, source, "VOCdevkit");
    const char *direct = qd_import_path(im, source, "Annotations");
    struct qd_import_names dirs;
    bool any_test = false;
    size_t n = 0;

    if (!inner || !direct)
        return -1;
    if (qd_import_is_dir(direct))
        return read_root(im, source, set_of(im, source, "test") != NULL);
    source = qd_import_is_dir(inner) ? inner : source;
    if (qd_import_ls(im, source, NULL, true, &dirs) < 0)
        return -1;
    for (size_t i = 0; i < dirs.n; i++) {
        const char *root = qd_import_path(im, source, dirs.v[i]);
        const char *annotations = root ? qd_import_path(im, root, "Annotations") : NULL;
        if (!annotations)
            return -1;
        if (!qd_import_is_dir(annotations))
            continue;
        dirs.v[n++] = root;
        any_test = any_test || set_of(im, root, "test");
    }
    if (!n)
        return qd_error_set(im->err, QD_EFORMAT,
            "%s: no folder 'Annotations', neither here nor one below", im->opts.source);
    for (size_t i = 0; i < n; i++)
        if (read_root(im, dirs.v[i], any_test) < 0)
            return -1;
    return 0;
}

const struct qd_importer qd_importer_voc = {.name = "voc", .sorted = true, .read = voc_read};
