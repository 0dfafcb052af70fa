/* SPDX-License-Identifier: MIT */
/*
 * Oxford hands (Mittal, Zisserman, Torr 2011): annotations/NAME.mat with a variable 'boxes', cells
 * of structs (or one array of them) whose fields a, b, c, d are the corners (y, x) of a turned box.
 * Ours is the upright box around them (spec compression.md 7.3).
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/import/import.h"
#include "format/mat.h"

static const char *const classes[] = {"hand", NULL};

static int bad(struct qd_error *err, const char *path, size_t i, const char *what)
{
    return qd_error_set(err, QD_EFORMAT, "%s: box %zu %s", path, i + 1, what);
}

/* Element k of a struct array; i is the number of the box, for messages. */
static int add_hand(struct qd_import *im, const char *path, const struct qd_mat *m, size_t k,
    size_t i, struct qd_error *err)
{
    static const char *const corner[] = {"a", "b", "c", "d"};
    struct qd_import_box box = {.x0 = HUGE_VAL, .y0 = HUGE_VAL, .x1 = -HUGE_VAL, .y1 = -HUGE_VAL};

    for (int c = 0; c < 4; c++) {
        const struct qd_mat *f = qd_mat_field(m, k, corner[c]);
        if (!f || f->class != QD_MAT_NUMBER || f->n != 2)
            return bad(err, path, i, "has not four corners a, b, c, d of two numbers");
        if (!isfinite(f->value[0]) || !isfinite(f->value[1]))
            return bad(err, path, i, "has a corner that is not finite");
        box.y0 = fmin(box.y0, f->value[0]);
        box.y1 = fmax(box.y1, f->value[0]);
        box.x0 = fmin(box.x0, f->value[1]);
        box.x1 = fmax(box.x1, f->value[1]);
    }
    box.id = (long)i + 1;
    box.class_id = qd_import_find_class(im, classes[0]);
    if (box.class_id < 0) {
        qd_import_unknown(im);
        return box.class_id < -1 ? qd_error_set(err, im->err->code, "%s", im->err->msg) : 0;
    }
    if (qd_import_box(im, &box) == 0)
        return 0;
    return qd_error_set(err, im->err->code, "%s: %s", path, im->err->msg);
}

int qd_hand_annotation(struct qd_import *im, const char *path, struct qd_error *err)
{
    struct qd_mat_file f;
    int ret = qd_mat_load(&f, path, err);
    const struct qd_mat *boxes = ret == 0 ? qd_mat_variable(&f, "boxes") : NULL;

    if (ret == 0 && !boxes)
        ret = qd_error_set(err, QD_EFORMAT, "%s: no variable 'boxes'", path);
    else if (ret == 0 && boxes->n && boxes->class != QD_MAT_CELL && boxes->class != QD_MAT_STRUCT)
        ret = qd_error_set(err, QD_EFORMAT, "%s: 'boxes' is neither cells nor a struct", path);
    for (size_t i = 0; ret == 0 && i < boxes->n; i++) {
        bool cells = boxes->class == QD_MAT_CELL;
        const struct qd_mat *m = cells ? &boxes->child[i] : boxes;
        if (cells && (m->class != QD_MAT_STRUCT || m->n != 1))
            ret = bad(err, path, i, "is not a struct");
        else
            ret = add_hand(im, path, m, cells ? 0 : i, i, err);
    }
    qd_mat_free(&f);
    return ret;
}

static int read_root(struct qd_import *im, const char *root, int split)
{
    const char *dir = qd_import_path(im, root, "annotations");
    const char *images = qd_import_path(im, root, "images");
    struct qd_import_names names;

    if (!dir || !images || qd_import_ls(im, dir, ".mat", false, &names) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        struct qd_import_picture p = {.split = split};
        struct qd_error why = {0};
        p.file = qd_import_text(im, "%s/%s.mat", dir, names.v[i]);
        p.path = qd_import_find_picture(im, images, names.v[i]);
        if (!p.file || !p.path)
            return -1;
        if (qd_hand_annotation(im, p.file, &why) < 0) {
            if (qd_import_bad_file(im, &why) < 0)
                return -1;
        } else if (qd_import_picture(im, &p) < 0) {
            return -1;
        }
    }
    return 0;
}

static int oxfordhand_read(struct qd_import *im)
{
    static const struct {
        const char *dir;
        int split;
    } parts[] = {{"training_dataset/training_data", QD_TRAIN},
        {"validation_dataset/validation_data", QD_TRAIN}, {"test_dataset/test_data", QD_VALID}};
    static const char *const inner[] = {"hand_dataset", NULL};
    static const char *const direct[] = {"annotations", NULL};
    const char *source = im->opts.source, *in = qd_import_first_dir(im, source, inner);
    int found = 0;

    if (qd_import_first_dir(im, source, direct))
        return read_root(im, source, QD_BY_NAME);
    if (im->err->code != QD_OK)
        return -1;
    source = in ? in : source;
    for (size_t i = 0; i < QD_LEN(parts); i++) {
        const char *root = qd_import_path(im, source, parts[i].dir);
        if (!root)
            return -1;
        if (!qd_import_is_dir(root))
            continue;
        found++;
        if (read_root(im, root, parts[i].split) < 0)
            return -1;
    }
    if (!found)
        return qd_error_set(im->err, QD_EFORMAT,
            "%s: neither a folder 'annotations' nor 'training_dataset/training_data'",
            im->opts.source);
    return 0;
}

const struct qd_importer qd_importer_oxfordhand = {
    .name = "oxfordhand", .classes = classes, .read = oxfordhand_read};
