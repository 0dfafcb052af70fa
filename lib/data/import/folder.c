/* SPDX-License-Identifier: MIT */
/*
 * Pictures for a classifier: a folder is a class.  Below the source lie 'train' and 'test' (or
 * 'val', 'valid', 'validation') with the folders of the classes, or those folders themselves.
 */
#include <string.h>

#include "base/error.h"
#include "data/import/import.h"

/* Files that lie about and are meant to be no picture are not worth a warning. */
static bool is_picture(const char *name)
{
    static const char *const suffix[] = {
        ".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".JPG", ".JPEG", ".PNG", ".bmp", ".gif", ".tif"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < QD_LEN(suffix); i++)
        if (strcmp(dot, suffix[i]) == 0)
            return true;
    return false;
}

static int read_class(struct qd_import *im, const char *dir, int class_id, int split)
{
    struct qd_import_names files;

    if (qd_import_ls(im, dir, NULL, false, &files) < 0)
        return -1;
    for (size_t i = 0; i < files.n; i++) {
        struct qd_import_picture p = {.file = dir, .split = split, .class_id = class_id};
        if (!is_picture(files.v[i]))
            continue;
        p.path = qd_import_path(im, dir, files.v[i]);
        if (!p.path || qd_import_is_dir(p.path))
            continue;
        if (class_id < 0)
            qd_import_unknown(im);
        else if (qd_import_picture(im, &p) < 0)
            return -1;
    }
    return im->err->code == QD_OK ? 0 : -1;
}

static int read_root(struct qd_import *im, const char *root, int split)
{
    struct qd_import_names dirs;

    if (qd_import_ls(im, root, NULL, true, &dirs) < 0)
        return -1;
    if (!dirs.n)
        return qd_error_set(im->err, QD_EFORMAT, "%s: no folder of a class in it", root);
    for (size_t i = 0; i < dirs.n; i++) {
        const char *dir = qd_import_path(im, root, dirs.v[i]);
        int class_id = dir ? qd_import_find_class(im, dirs.v[i]) : -2;
        if (class_id < -1 || read_class(im, dir, class_id, split) < 0)
            return -1;
    }
    return 0;
}

static int folder_read(struct qd_import *im)
{
    static const char *const train[] = {"train", "training", NULL};
    static const char *const valid[] = {"test", "val", "valid", "validation", NULL};
    const char *a = qd_import_first_dir(im, im->opts.source, train);
    const char *b = qd_import_first_dir(im, im->opts.source, valid);

    if (im->err->code != QD_OK)
        return -1;
    if (!a)
        return read_root(im, im->opts.source, QD_BY_NAME);
    if (read_root(im, a, b ? QD_TRAIN : QD_BY_NAME) < 0)
        return -1;
    return b ? read_root(im, b, QD_VALID) : 0;
}

const struct qd_importer qd_importer_folder = {
    .name = "folder", .sorted = true, .classifier = true, .read = folder_read};
