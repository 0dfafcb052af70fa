/* SPDX-License-Identifier: MIT */
/*
 * Data sets of others.  Everything is read and checked before anything is written, so that a fault
 * in the last file costs no half-made folder.
 */
#include "data/import/import.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"

static const struct qd_importer *const formats[] = {&qd_importer_voc, &qd_importer_coco,
    &qd_importer_visdrone, &qd_importer_bdd100k, &qd_importer_oxfordhand, &qd_importer_dior,
    &qd_importer_folder};

const char *qd_import_format(int i)
{
    return i >= 0 && i < (int)QD_LEN(formats) ? formats[i]->name : NULL;
}

static int choose(struct qd_import *im)
{
    for (size_t i = 0; i < QD_LEN(formats); i++)
        if (strcmp(formats[i]->name, im->opts.format) == 0)
            im->format = formats[i];
    if (!im->format)
        return qd_error_set(im->err, QD_EARG, "no format is called '%.60s'", im->opts.format);
    if (!(im->opts.split >= 0 && im->opts.split <= 1))
        return qd_error_set(im->err, QD_EARG, "the share for validation must be 0 to 1, not %g",
            (double)im->opts.split);
    return 0;
}

/* The classes that are known before: those asked for, or those of the format. */
static int known_classes(struct qd_import *im)
{
    const struct qd_names *names = im->opts.names;

    for (int i = 0; names && i < qd_names_count(names); i++)
        if (qd_import_find_class(im, qd_names_get(names, i)) < -1)
            return -1;
    for (int i = 0; !names && im->format->classes && im->format->classes[i]; i++)
        if (qd_import_find_class(im, im->format->classes[i]) < -1)
            return -1;
    im->fixed = im->classes > 0;
    return 0;
}

struct rank {
    const char *name;
    long boxes[2];
    int before;
};

static int by_name(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* Found classes come in the order of the files, which says nothing: sort them by name. */
static int sort_classes(struct qd_import *im)
{
    if (im->fixed || !im->format->sorted || im->classes < 2)
        return 0;
    struct rank *rank = qd_alloc((size_t)im->classes, sizeof(*rank), im->err);
    int *now = qd_alloc((size_t)im->classes, sizeof(*now), im->err);
    if (rank && now) {
        for (int i = 0; i < im->classes; i++)
            rank[i] =
                (struct rank){im->class_name[i], {im->class_boxes[i][0], im->class_boxes[i][1]}, i};
        qsort(rank, (size_t)im->classes, sizeof(*rank), by_name);
        for (int i = 0; i < im->classes; i++) {
            im->class_name[i] = rank[i].name;
            memcpy(im->class_boxes[i], rank[i].boxes, sizeof(rank[i].boxes));
            now[rank[i].before] = i;
        }
        for (size_t i = 0; i < im->nbox; i++)
            im->box[i].class_id = now[im->box[i].class_id];
        for (size_t i = 0; i < im->nimage && im->format->classifier; i++)
            im->image[i].class_id = now[im->image[i].class_id];
    }
    int ret = rank && now ? 0 : -1;
    qd_free(rank);
    qd_free(now);
    return ret;
}

/* An empty result is never what was meant. */
static int check_result(struct qd_import *im)
{
    if (im->warnings > 100)
        qd_warn("%ld more defects are not listed", im->warnings - 100);
    if (!im->nimage && im->counts.left_out)
        return qd_error_set(im->err, QD_EIO, "%s: none of the %ld pictures could be taken%s%s%s",
            im->opts.source, im->counts.left_out, im->first_missing ? ", first '" : "",
            im->first_missing ? im->first_missing : "", im->first_missing ? "'" : "");
    if (!im->nimage)
        return qd_error_set(
            im->err, QD_EFORMAT, "%s: no picture is annotated there", im->opts.source);
    if (!im->classes)
        return qd_error_set(im->err, QD_EFORMAT, "%s: no object is annotated in the %zu pictures",
            im->opts.source, im->nimage);
    return 0;
}

struct qd_import *qd_import_read(const struct qd_import_opts *opts, struct qd_error *err)
{
    struct qd_import *im = qd_alloc(1, sizeof(*im), err);
    struct qd_error own = {0};

    if (!im)
        return NULL;
    im->opts = *opts;
    im->err = &own; /* defects that are passed over must not show in the caller's */
    int ret = choose(im);
    if (ret == 0 && !qd_import_is_dir(opts->source) && !qd_import_is_file(opts->source))
        ret = qd_error_set(im->err, QD_EIO, "cannot find '%s'", opts->source);
    if (ret == 0)
        ret = known_classes(im);
    if (ret == 0)
        ret = im->format->read(im);
    if (ret == 0)
        ret = check_result(im);
    if (ret == 0)
        ret = sort_classes(im);
    im->err = NULL;
    if (ret == 0)
        return im;
    qd_error_set(err, own.code, "%s", own.msg);
    qd_import_free(im);
    return NULL;
}

int qd_import_write(struct qd_import *im, const char *dir, struct qd_error *err)
{
    struct qd_error own = {0};

    im->err = err ? err : &own;
    int ret = qd_import_output(im, dir);
    im->err = NULL;
    return ret;
}

void qd_import_free(struct qd_import *im)
{
    if (!im)
        return;
    qd_arena_free(&im->arena);
    qd_free(im->class_name);
    qd_free(im->class_boxes);
    qd_free(im->pending);
    qd_free(im->box);
    qd_free(im->image);
    qd_free(im);
}

void qd_import_count(const struct qd_import *im, struct qd_import_counts *out)
{
    *out = im->counts;
}

int qd_import_classes(const struct qd_import *im)
{
    return im->classes;
}

const char *qd_import_class(const struct qd_import *im, int class_id, long boxes[2])
{
    if (class_id < 0 || class_id >= im->classes)
        return NULL;
    for (int i = 0; i < 2; i++)
        boxes[i] = im->class_boxes[class_id][i];
    return im->class_name[class_id];
}
