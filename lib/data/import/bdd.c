/* SPDX-License-Identifier: MIT */
/*
 * BDD100K (Yu et al. 2020): one JSON file a side, an array of frames {name, labels: [{category,
 * box2d}]}, later releases with the same inside of {"frames": ...}.  Lanes and areas have no box2d
 * and are passed over.
 */
#include <string.h>

#include "base/error.h"
#include "data/import/import.h"
#include "format/json.h"

static const char *const classes[] = {"car", "bus", "person", "bike", "truck", "motor", "train",
    "rider", "traffic sign", "traffic light", NULL};

/* The names of the later release. */
static const char *const renamed[][2] = {
    {"pedestrian", "person"}, {"bicycle", "bike"}, {"motorcycle", "motor"}};

struct bdd {
    struct qd_import *im;
    struct qd_json json;
    const char *path, *images;
    int split;
};

static void read_box(struct qd_json *j, struct qd_import_box *b, int *edges)
{
    static const char *const names[] = {"x1", "y1", "x2", "y2"};
    double *edge[] = {&b->x0, &b->y0, &b->x1, &b->y1};
    const char *key;

    if (qd_json_peek(j) == QD_JSON_NULL) {
        qd_json_skip(j);
        return;
    }
    qd_json_object(j);
    while ((key = qd_json_key(j))) {
        int i = 0;
        while (i < 4 && strcmp(key, names[i]) != 0)
            i++;
        if (i == 4) {
            qd_json_skip(j);
        } else {
            *edge[i] = qd_json_double(j);
            *edges |= 1 << i;
        }
    }
}

static int read_label(struct bdd *d)
{
    struct qd_json *j = &d->json;
    struct qd_import_box b = {.id = -1};
    const char *key;
    char category[64] = "";
    int edges = 0;

    qd_json_object(j);
    b.line = j->line;
    while ((key = qd_json_key(j)))
        if (strcmp(key, "category") == 0)
            snprintf(category, sizeof(category), "%s", qd_json_string(j));
        else if (strcmp(key, "box2d") == 0)
            read_box(j, &b, &edges);
        else
            qd_json_skip(j);
    if (j->failed)
        return -1;
    if (!edges)
        return 0;
    if (edges != 15)
        return qd_import_defect(
            d->im, d->path, b.line, "left out", "a box2d without all of x1, y1, x2, y2");
    for (size_t i = 0; i < QD_LEN(renamed); i++)
        if (strcmp(category, renamed[i][0]) == 0)
            snprintf(category, sizeof(category), "%s", renamed[i][1]);
    b.class_id = qd_import_find_class(d->im, category);
    if (b.class_id < 0) {
        qd_import_unknown(d->im);
        return b.class_id < -1 ? -1 : 0;
    }
    return qd_import_box(d->im, &b);
}

static int read_frame(struct bdd *d)
{
    struct qd_json *j = &d->json;
    struct qd_import_picture p = {.file = d->path, .split = d->split};
    const char *key;

    qd_json_object(j);
    p.line = j->line;
    while ((key = qd_json_key(j)))
        if (strcmp(key, "name") == 0) {
            p.path = qd_import_path(d->im, d->images, qd_json_string(j));
            if (!p.path)
                return -1;
        } else if (strcmp(key, "labels") == 0 && qd_json_peek(j) == QD_JSON_ARRAY) {
            qd_json_array(j);
            while (qd_json_more(j))
                if (read_label(d) < 0)
                    return -1;
        } else {
            qd_json_skip(j);
        }
    if (j->failed)
        return -1;
    if (!p.path)
        return qd_json_fault(j, "a frame without 'name'");
    return qd_import_picture(d->im, &p);
}

static int read_frames(struct bdd *d)
{
    qd_json_array(&d->json);
    while (qd_json_more(&d->json))
        if (read_frame(d) < 0)
            return -1;
    return d->json.failed ? -1 : 0;
}

static int read_text(struct bdd *d)
{
    struct qd_json *j = &d->json;
    const char *key;
    bool found = false;

    if (qd_json_peek(j) == QD_JSON_ARRAY)
        return read_frames(d);
    qd_json_object(j);
    while ((key = qd_json_key(j))) {
        if (strcmp(key, "frames") != 0) {
            qd_json_skip(j);
            continue;
        }
        found = true;
        if (read_frames(d) < 0)
            return -1;
    }
    if (!j->failed && !found)
        qd_json_fault(j, "no 'frames': this is not a file of BDD100K labels");
    return j->failed ? -1 : 0;
}

int qd_bdd_file(struct qd_import *im, const char *path, const char *images, int split)
{
    struct bdd d = {.im = im, .path = path, .images = images, .split = split};

    if (qd_json_load(&d.json, path, im->err) < 0)
        return -1;
    int ret = read_text(&d);
    if (qd_json_close(&d.json) < 0)
        ret = -1;
    return ret;
}

/* One side of the folder; 1 when it was there. */
static int read_side(struct qd_import *im, const char *side, int split)
{
    static const char *const places[] = {"labels/bdd100k_labels_images_%s.json",
        "labels/det_20/det_%s.json", "labels/det_v2_%s_release.json",
        "bdd100k_labels_images_%s.json", "det_%s.json"};
    static const char *const pictures[] = {"images/100k", "images", "100k"};
    const char *dir = im->opts.images;

    for (size_t i = 0; !dir && i < QD_LEN(pictures); i++) {
        dir = qd_import_text(im, "%s/%s/%s", im->opts.source, pictures[i], side);
        if (!dir)
            return -1;
        dir = qd_import_is_dir(dir) ? dir : NULL;
    }
    if (!dir && !(dir = qd_import_text(im, "%s/images/100k/%s", im->opts.source, side)))
        return -1;
    for (size_t i = 0; i < QD_LEN(places); i++) {
        const char *at = strchr(places[i], '%');
        const char *path = qd_import_text(
            im, "%s/%.*s%s%s", im->opts.source, (int)(at - places[i]), places[i], side, at + 2);
        if (!path)
            return -1;
        if (qd_import_is_file(path))
            return qd_bdd_file(im, path, dir, split) < 0 ? -1 : 1;
    }
    return 0;
}

static int bdd_read(struct qd_import *im)
{
    const char *source = im->opts.source, *slash = strrchr(source, '/');
    const char *dir = im->opts.images;

    if (qd_import_is_file(source)) {
        if (!dir)
            dir =
                qd_import_text(im, "%.*s", slash ? (int)(slash - source) : 1, slash ? source : ".");
        return dir ? qd_bdd_file(im, source, dir, QD_BY_NAME) : -1;
    }
    int train = read_side(im, "train", QD_TRAIN);
    int val = train < 0 ? -1 : read_side(im, "val", QD_VALID);
    if (train < 0 || val < 0)
        return -1;
    if (!train && !val)
        return qd_error_set(im->err, QD_EFORMAT,
            "%s: neither 'labels/bdd100k_labels_images_train.json' nor "
            "'labels/det_20/det_train.json', nor the same for 'val'",
            source);
    return 0;
}

const struct qd_importer qd_importer_bdd100k = {
    .name = "bdd100k", .classes = classes, .read = bdd_read};
