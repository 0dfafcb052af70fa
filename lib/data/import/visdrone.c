/* SPDX-License-Identifier: MIT */
/*
 * VisDrone-DET (Zhu et al. 2021): annotations/NAME.txt with lines 'left,top,width,height,score,
 * category,truncation,occlusion'.  Category 0 is a region that does not count, 11 is "others";
 * a score of 0 says the same of a single object.
 */
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "data/import/import.h"
#include "format/text.h"

enum { COLUMNS = 8, FILE_BYTES = 16 << 20 };

static const char *const classes[] = {"pedestrian", "people", "bicycle", "car", "van", "truck",
    "tricycle", "awning-tricycle", "bus", "motor", NULL};

/* Cut at commas: at most 'max' fields; a comma at the end is no field.  The true number. */
static int split(char *s, char **field, int max)
{
    int n = 0;

    while (*s) {
        char *end = s + strcspn(s, ",");
        bool last = !*end;
        *end = 0;
        if (n < max)
            field[n] = qd_text_trim(s);
        n++;
        s = end + !last;
    }
    return n;
}

static int read_line(struct qd_import *im, const struct qd_text *t, char *s)
{
    char *field[COLUMNS];
    double v[COLUMNS];
    int n = split(qd_text_trim(s), field, COLUMNS);

    if (n == 0)
        return 0;
    if (n != COLUMNS)
        return qd_import_defect(im, t->name, t->line, "line left out", "%d column%s, %d expected",
            n, n == 1 ? "" : "s", COLUMNS);
    for (int i = 0; i < COLUMNS; i++)
        if (!qd_num_double(field[i], &v[i]))
            return qd_import_defect(im, t->name, t->line, "line left out",
                "column %d, '%.40s', is not a number", i + 1, field[i]);
    int category = v[5] >= 0 && v[5] <= 11 ? (int)v[5] : -1;
    if (category < 0 || category != v[5])
        return qd_import_defect(
            im, t->name, t->line, "line left out", "category '%.40s' must be 0 to 11", field[5]);
    if (category == 0 || category == 11 || v[4] == 0) {
        im->counts.ignored++;
        return 0;
    }
    int class_id = qd_import_find_class(im, classes[category - 1]);
    if (class_id < 0) {
        qd_import_unknown(im);
        return class_id < -1 ? -1 : 0;
    }
    struct qd_import_box box = {v[0], v[1], v[0] + v[2], v[1] + v[3], class_id, false, t->line, -1};
    return qd_import_box(im, &box);
}

/* One file; 'why' is set when it cannot be read as a text. */
static int read_file(struct qd_import *im, const char *path, struct qd_error *why)
{
    struct qd_text t;
    char *s;
    int got, ret = 0;

    if (qd_text_load(&t, path, FILE_BYTES, why) < 0)
        return 0;
    while (ret == 0 && (got = qd_text_next(&t, &s, why)) > 0)
        ret = read_line(im, &t, s);
    qd_text_close(&t);
    return ret;
}

static int read_root(struct qd_import *im, const char *root, int side)
{
    const char *dir = qd_import_path(im, root, "annotations");
    const char *images = qd_import_path(im, root, "images");
    struct qd_import_names names;

    if (!dir || !images || qd_import_ls(im, dir, ".txt", false, &names) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        struct qd_import_picture p = {.split = side};
        struct qd_error why = {0};
        p.file = qd_import_text(im, "%s/%s.txt", dir, names.v[i]);
        p.path = qd_import_find_picture(im, images, names.v[i]);
        if (!p.file || !p.path)
            return -1;
        if (read_file(im, p.file, &why) < 0)
            why = *im->err;
        if ((why.code ? qd_import_bad_file(im, &why) : qd_import_picture(im, &p)) < 0)
            return -1;
    }
    return 0;
}

/* Which side a folder is for, by its name; -1: neither. */
static int side_of(const char *name)
{
    if (strstr(name, "train"))
        return QD_TRAIN;
    return strstr(name, "val") ? QD_VALID : -1;
}

static int visdrone_read(struct qd_import *im)
{
    const char *source = im->opts.source, *direct = qd_import_path(im, source, "annotations");
    struct qd_import_names dirs;
    int found = 0;

    if (!direct)
        return -1;
    if (qd_import_is_dir(direct))
        return read_root(im, source, QD_BY_NAME);
    if (qd_import_ls(im, source, NULL, true, &dirs) < 0)
        return -1;
    for (size_t i = 0; i < dirs.n; i++) {
        const char *root = qd_import_path(im, source, dirs.v[i]);
        const char *inside = root ? qd_import_path(im, root, "annotations") : NULL;
        int side = side_of(dirs.v[i]);
        if (!inside)
            return -1;
        if (side < 0 || !qd_import_is_dir(inside))
            continue;
        found++;
        if (read_root(im, root, side) < 0)
            return -1;
    }
    if (!found)
        return qd_error_set(im->err, QD_EFORMAT,
            "%s: no folder 'annotations', neither here nor in one called '*train*' or '*val*'",
            source);
    return 0;
}

const struct qd_importer qd_importer_visdrone = {
    .name = "visdrone", .classes = classes, .read = visdrone_read};
