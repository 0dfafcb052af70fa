/* SPDX-License-Identifier: MIT */
/*
 * DIOR (Li et al. 2020): aerial pictures with 20 classes, annotated as VOC does, in folders of its
 * own names.  Its train and val are for training, its test for validation.
 */
#include <string.h>

#include "base/error.h"
#include "data/import/import.h"

static const char *const classes[] = {"airplane", "airport", "baseballfield", "basketballcourt",
    "bridge", "chimney", "dam", "Expressway-Service-area", "Expressway-toll-station", "golffield",
    "groundtrackfield", "harbor", "ship", "stadium", "storagetank", "tenniscourt", "trainstation",
    "vehicle", "windmill", "overpass", NULL};

static const char *const annotations[] = {
    "Annotations/Horizontal Bounding Boxes", "Annotations", NULL};
static const char *const sets[] = {"ImageSets/Main", "Main", "ImageSets", NULL};
static const char *const pictures[] = {"JPEGImages-trainval", "JPEGImages-test", "JPEGImages"};

static int add_list(struct qd_import *im, const struct qd_voc_root *root, const char *dir,
    const char *name, int split)
{
    const char *list = qd_import_text(im, "%s/%s.txt", dir, name);

    if (!list)
        return -1;
    return qd_import_is_file(list) ? qd_voc_list(im, root, list, split) : 0;
}

static int dior_read(struct qd_import *im)
{
    const char *source = im->opts.source;
    struct qd_voc_root root = {.annotations = qd_import_first_dir(im, source, annotations)};
    const char *dir = qd_import_first_dir(im, source, sets), *both;
    int n = 0;

    for (int i = 0; i < 3; i++) {
        const char *const one[] = {pictures[i], NULL};
        const char *found = qd_import_first_dir(im, source, one);
        if (found)
            root.images[n++] = found;
    }
    if (im->err->code != QD_OK)
        return -1;
    if (!root.annotations)
        return qd_error_set(im->err, QD_EFORMAT, "%s: no folder 'Annotations'", source);
    if (!dir)
        return qd_voc_all(im, &root);
    if (!(both = qd_import_path(im, dir, "trainval.txt")))
        return -1;
    if (qd_import_is_file(both)) {
        if (qd_voc_list(im, &root, both, QD_TRAIN) < 0)
            return -1;
    } else if (add_list(im, &root, dir, "train", QD_TRAIN) < 0 ||
               add_list(im, &root, dir, "val", QD_TRAIN) < 0) {
        return -1;
    }
    return add_list(im, &root, dir, "test", QD_VALID);
}

const struct qd_importer qd_importer_dior = {.name = "dior", .classes = classes, .read = dior_read};
