/* SPDX-License-Identifier: MIT */
/*
 * What the importers share.  An importer is one file with one struct qd_importer and one line in
 * the table of import.c.  It finds the annotations, calls qd_import_box() for each object of a
 * picture, in pixels, and then qd_import_picture(), which checks picture and boxes and keeps them.
 */
#ifndef QD_IMPORT_H
#define QD_IMPORT_H

#include "base/arena.h"
#include "base/buf.h"

enum { QD_TRAIN, QD_VALID, QD_BY_NAME /* as the hash of its name says */ };

struct qd_importer {
    const char *name;
    const char *const *classes; /* up to NULL; NULL: those that are found */
    bool sorted;                /* found classes are put in order of their names */
    bool classifier;            /* pictures have a class instead of boxes */
    int (*read)(struct qd_import *im);
};
extern const struct qd_importer qd_importer_voc, qd_importer_coco, qd_importer_visdrone,
    qd_importer_bdd100k, qd_importer_oxfordhand, qd_importer_dior, qd_importer_folder;

/* An object: edges in pixels, 0 is the left edge of the first. */
struct qd_import_box {
    double x0, y0, x1, y1;
    int class_id; /* of qd_import_find_class(), not -1 */
    bool difficult;
    int line; /* in the file, 0: none */
    long id;  /* of the annotation, -1: none */
};

/* A picture that was taken. */
struct qd_import_image {
    const char *path, *name; /* name: of the copy, without suffix */
    int split, class_id;     /* class_id: of classifiers */
    int w, h;
    size_t first, n; /* its boxes */
};

struct qd_import {
    struct qd_import_opts opts;
    const struct qd_importer *format;
    struct qd_arena arena;
    struct qd_error *err; /* of the call that is running */
    const char **class_name;
    long (*class_boxes)[2];
    int classes;
    size_t class_cap, boxes_cap;
    bool fixed; /* classes were given */
    struct qd_import_box *pending, *box;
    size_t npending, pending_cap, nbox, box_cap;
    struct qd_import_image *image;
    size_t nimage, image_cap;
    const char *first_missing;
    struct qd_import_counts counts;
    long warnings;
    const char *unknown[20]; /* classes that were left out, to name each once */
    int nunknown;
};

/* ---- pictures and boxes (collect.c) ---- */

/* The class of that name, or -1 if its objects are left out; -2 with im->err set.  Names the class
 * in a warning when it is met first. */
int qd_import_find_class(struct qd_import *im, const char *name);
/* One more object of the picture that comes next. */
int qd_import_box(struct qd_import *im, const struct qd_import_box *box) QD_MUSTCHECK;
/* The class of an object was -1. */
void qd_import_unknown(struct qd_import *im);

struct qd_import_picture {
    const char *path; /* of the picture */
    const char *file; /* the annotation, for messages */
    int line;
    double w, h; /* size that the annotation says, 0: none */
    int split;   /* QD_TRAIN, QD_VALID, QD_BY_NAME */
    int class_id;
};
/* Check and keep a picture with the boxes so far.  Defects are reported and handled; -1 when the
 * whole is to end. */
int qd_import_picture(struct qd_import *im, const struct qd_import_picture *p) QD_MUSTCHECK;
/* The annotation file of a picture is at fault, as 'why' says: forget its boxes, report.  -1 when
 * the whole is to end. */
int qd_import_bad_file(struct qd_import *im, const struct qd_error *why) QD_MUSTCHECK;
/* Report a defect of an object.  -1 when the whole is to end, else 0. */
int qd_import_defect(struct qd_import *im, const char *file, int line, const char *then,
    const char *fmt, ...) QD_PRINTF(5, 6);
/* Room for one more in an array of n items: 0, or -1 with im->err set. */
int qd_import_grow(
    struct qd_import *im, void **array, size_t *cap, size_t n, size_t size) QD_MUSTCHECK;

/* ---- where things are (source.c); all strings live as long as im ---- */

/* A path made of parts with '/' between; NULL with im->err set. */
const char *qd_import_path(struct qd_import *im, const char *a, const char *b);
/* The text in the arena. */
const char *qd_import_text(struct qd_import *im, const char *fmt, ...) QD_PRINTF(2, 3);
bool qd_import_is_dir(const char *path);
bool qd_import_is_file(const char *path);

struct qd_import_names {
    const char **v;
    size_t n;
};
/* The entries of a folder in order of their names, those that begin with '.' left out.  'suffix':
 * only such, cut off (NULL: all); 'folders': only folders. */
int qd_import_ls(struct qd_import *im, const char *dir, const char *suffix, bool folders,
    struct qd_import_names *out) QD_MUSTCHECK;
/* The lines of a list without blanks around them, blank ones left out. */
int qd_import_lines(
    struct qd_import *im, const char *path, struct qd_import_names *out) QD_MUSTCHECK;
/* The picture 'stem' with any of the usual suffixes in a folder (-I of the command instead, if it
 * was given); stem.jpg when there is none. */
const char *qd_import_find_picture(struct qd_import *im, const char *dir, const char *stem);
/* The first of the folders (up to NULL) that is there, else NULL. */
const char *qd_import_first_dir(struct qd_import *im, const char *root, const char *const *names);

/* ---- for more than one importer ---- */

/* The pictures of one VOC annotation list: Annotations/STEM.xml, and STEM in 'images'. */
struct qd_voc_root {
    const char *annotations;
    const char *images[3]; /* folders that are searched, up to NULL */
};
int qd_voc_list(
    struct qd_import *im, const struct qd_voc_root *root, const char *list, int split) QD_MUSTCHECK;
int qd_voc_all(struct qd_import *im, const struct qd_voc_root *root) QD_MUSTCHECK;
/* One annotation file; the boxes become pending and *p gets the size. */
int qd_voc_annotation(struct qd_import *im, const char *path, struct qd_import_picture *p,
    struct qd_error *err) QD_MUSTCHECK;
/* One annotation file of the hands set. */
int qd_hand_annotation(struct qd_import *im, const char *path, struct qd_error *err) QD_MUSTCHECK;

/* One JSON file; 'images' is the folder of the pictures. */
int qd_coco_file(struct qd_import *im, const char *path, int split) QD_MUSTCHECK;
int qd_bdd_file(struct qd_import *im, const char *path, const char *images, int split) QD_MUSTCHECK;

/* ---- out (output.c) ---- */

int qd_import_output(struct qd_import *im, const char *dir) QD_MUSTCHECK;

#endif
