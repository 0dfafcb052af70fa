/* SPDX-License-Identifier: MIT */
/*
 * The samples of a data set: what is to be learned or scored, each an image file with its boxes or
 * its class.  Everything but the pixels is read and checked when the set is opened (preflight.c).
 */
#ifndef QD_DATASET_H
#define QD_DATASET_H

#include <stdatomic.h>

#include "base/arena.h"

struct qd_dataset_opts {
    const char *list; /* a file of image paths; for classifiers also a folder with one folder of
                         images for each class */
    bool classifier;
    int classes;                  /* 0: as many as there are names, or folders */
    const struct qd_names *names; /* borrowed; NULL: unnamed, and classifiers need a folder */
    enum qd_bad_labels bad;
    int max_lines; /* messages logged about this set, the rest is only counted; 0: 100 */
};

struct qd_sample {
    const char *path;
    int line;                     /* in the list; 0 in a folder */
    int w, h;                     /* of the image in the file */
    int class_id;                 /* classifiers; else -1 */
    const struct qd_label *label; /* detectors: [nlabel], fractions of the image */
    size_t nlabel;
};

/* What the check found.  Images that were left out count nowhere but in left_out. */
struct qd_dataset_stats {
    size_t images, left_out;
    size_t labelled;   /* with a box; classifiers: all */
    size_t background; /* without a box ... */
    size_t missing;    /* ... because there is no label file */
    size_t boxes, defects;
    long *per_class; /* [classes]: boxes, or images of classifiers */
};

struct qd_dataset {
    struct qd_arena arena;
    const char *name;      /* the list, for messages */
    const char **class_of; /* [classes]: names, or NULL */
    int *by_name;          /* [classes] in order of their names; with class_of */
    int classes;
    bool classifier, folder;
    struct qd_sample *sample;
    size_t n, cap;
    struct qd_dataset_stats stats;
    /* decoded images */
    struct qd_image_opts decode;
    _Atomic(struct qd_image *) *cache; /* [n], NULL: none is kept */
    _Atomic size_t cache_left;         /* bytes */
};

/*
 * Open a set and check all of it: list, image headers, labels.  Every defect is logged with its
 * place.  With QD_BAD_FAIL a defect makes the call fail, after all were listed; otherwise boxes are
 * dropped or clipped, and images that cannot be used are left out.  A set in which nothing is
 * labelled is refused.
 */
struct qd_dataset *qd_dataset_open(
    const struct qd_dataset_opts *opts, struct qd_error *err) QD_MUSTCHECK;
void qd_dataset_free(struct qd_dataset *d);

/*
 * How images are decoded from now on ('decode' is copied; decode->exif must not be set: boxes are
 * those of the image in the file), and how many bytes of decoded images are kept in memory (0:
 * none).  Call it before the first image is asked for, not while a loader runs.
 */
int qd_dataset_decode(struct qd_dataset *d, const struct qd_image_opts *decode, size_t cache_bytes,
    struct qd_error *err) QD_MUSTCHECK;
/*
 * The pixels of sample i, from the cache or the file.  Any number of threads may ask.  Give it back
 * with qd_dataset_put.
 */
struct qd_image *qd_dataset_get(struct qd_dataset *d, size_t i, struct qd_error *err) QD_MUSTCHECK;
void qd_dataset_put(struct qd_dataset *d, size_t i, struct qd_image *img);

/* ---- between dataset.c and preflight.c ---- */

/* The class that the path of an image names (spec: darknet.md 4.6): the end of its base name,
 * "..._label.ext", else the last whole component of the path that is a label, else the only label
 * that occurs in it.  -1 when none does, -2 when several do; *a and *b are two of them then. */
int qd_dataset_class(const struct qd_dataset *d, const char *path, int *a, int *b);
/* "12 'truck'" or "12" in buf. */
const char *qd_dataset_class_text(const struct qd_dataset *d, int class_id, char *buf, size_t size);

#endif
