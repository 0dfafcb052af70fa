/* SPDX-License-Identifier: MIT */
/*
 * Annotations of other data sets.  The first byte chooses the form and what is done about defects,
 * the rest is the file, which lives in memory, as does the one picture that all of them may name:
 * descriptor 100.  What is kept lies inside of the picture and has a class.
 */
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "data/import/import.h"
#include "format/mat.h"

enum { PICTURE = 100, FORMS = 5 };
#define PICTURE_PATH "/proc/self/fd/100"

static const struct qd_importer *const formats[FORMS] = {&qd_importer_voc, &qd_importer_dior,
    &qd_importer_coco, &qd_importer_bdd100k, &qd_importer_oxfordhand};

static void fail(void)
{
    __builtin_trap();
}

static void make_picture(void)
{
    static const char text[] = "P1\n64 48\n";
    static bool made;

    if (made)
        return;
    int fd = memfd_create("picture", 0);
    if (fd < 0 || write(fd, text, sizeof(text) - 1) < 0 || dup2(fd, PICTURE) < 0)
        fail();
    for (int i = 0; i < 64 * 48; i++)
        if (write(fd, "0 ", 2) != 2)
            fail();
    close(fd);
    made = true;
}

/* Values of a .mat are where their dimensions say. */
static double sum_of(const struct qd_mat *m, int depth)
{
    double sum = 0;

    for (size_t i = 0; m->value && i < m->n; i++)
        sum += m->value[i];
    size_t children = m->class == QD_MAT_CELL     ? m->n
                      : m->class == QD_MAT_STRUCT ? m->n * (size_t)m->fields
                                                  : 0;
    if (depth > QD_MAT_DEPTH)
        fail();
    for (size_t i = 0; i < children; i++)
        sum += sum_of(&m->child[i], depth + 1);
    for (int i = 0; i < m->fields; i++)
        sum += (double)strlen(m->field[i]);
    return sum;
}

static void read_mat(const uint8_t *data, size_t size)
{
    struct qd_mat_file f;
    struct qd_error err = {0};
    volatile double sink = 0;

    int ret = qd_mat_parse(&f, data, size, "x.mat", &err);
    if ((ret < 0) != (err.code != QD_OK))
        fail();
    for (int i = 0; ret == 0 && i < f.n; i++)
        sink += sum_of(&f.variable[i], 1);
    (void)sink;
    qd_mat_free(&f);
}

static int read_file(struct qd_import *im, int form, const char *path, struct qd_error *why)
{
    struct qd_import_picture p = {.file = path, .path = PICTURE_PATH, .split = QD_BY_NAME};

    if (form == 2)
        return qd_coco_file(im, path, QD_TRAIN);
    if (form == 3)
        return qd_bdd_file(im, path, "/proc/self/fd", QD_VALID);
    int ret = form == 4 ? qd_hand_annotation(im, path, why) : qd_voc_annotation(im, path, &p, why);
    if ((ret < 0) != (why->code != QD_OK))
        fail();
    return ret < 0 ? qd_import_bad_file(im, why) : qd_import_picture(im, &p);
}

static void check(const struct qd_import *im)
{
    size_t boxes = 0;

    for (size_t i = 0; i < im->nimage; i++) {
        const struct qd_import_image *m = &im->image[i];
        if (m->first != boxes)
            fail();
        boxes += m->n;
        for (size_t k = m->first; k < m->first + m->n; k++) {
            const struct qd_import_box *b = &im->box[k];
            if (!(b->x0 >= 0 && b->y0 >= 0 && b->x1 > b->x0 && b->y1 > b->y0 && b->x1 <= m->w &&
                    b->y1 <= m->h && b->class_id >= 0 && b->class_id < im->classes))
                fail();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qd_error err = {0}, why = {0};
    char path[40];

    if (size < 1)
        return 0;
    int form = data[0] % FORMS, bad = data[0] / FORMS % 3;
    make_picture();
    if (form == 4)
        read_mat(data + 1, size - 1);
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1))
        fail();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct qd_import *im = qd_alloc(1, sizeof(*im), NULL);
    if (!im)
        fail();
    im->opts = (struct qd_import_opts){.format = formats[form]->name,
        .source = path,
        .images = "/proc/self/fd",
        .bad = (enum qd_bad_labels)bad,
        .difficult = (enum qd_difficult)(data[0] % 2),
        .split = .5f};
    im->format = formats[form];
    im->err = &err;
    int ret = read_file(im, form, path, &why);
    if ((ret < 0) != (err.code != QD_OK))
        fail();
    check(im);
    qd_import_free(im);
    close(fd);
    return 0;
}
