/* SPDX-License-Identifier: MIT */
/*
 * Writers of detections.  A format is one struct qd_detformat and one line in the table of
 * detwrite.c.
 */
#ifndef QD_DETWRITE_H
#define QD_DETWRITE_H

#include "base/buf.h"
#include "base/io.h"

struct qd_detwriter;

/* One image at hand. */
struct qd_detimage {
    const char *path;
    int w, h;
    const struct qd_dets *dets;
};

struct qd_detformat {
    const char *name;
    bool folder; /* the output is a folder, else one file that begin, image and end append to */
    int (*begin)(struct qd_detwriter *d, struct qd_error *err); /* may be NULL, as may be 'end' */
    int (*image)(struct qd_detwriter *d, const struct qd_detimage *im, struct qd_error *err);
    int (*end)(struct qd_detwriter *d, struct qd_error *err);
};

struct qd_detwriter {
    const struct qd_detformat *format;
    struct qd_detwriter_opts opts;
    char *output;
    struct qd_out out;      /* the file, unless format->folder */
    struct qd_buf text;     /* what 'begin', 'image' or 'end' adds to the file */
    struct qd_buf *classes; /* voc: a file's text for each class */
    uint64_t *seen;         /* yolo: hash table of the label files written */
    size_t nseen, seen_cap;
    long images, objects; /* so far */
};

extern const struct qd_detformat qd_detformat_tsv, qd_detformat_json, qd_detformat_coco,
    qd_detformat_voc, qd_detformat_yolo;

/* x with exactly 'decimals' (0..6) places, '.' in every locale. */
void qd_put_fixed(struct qd_buf *b, double x, int decimals);
/* The name of a class, or its number in buf. */
const char *qd_detwriter_name(const struct qd_detwriter *d, int class_id, char buf[16]);
/* Base name without suffix. */
void qd_path_stem(const char *path, const char **stem, size_t *len);
/* "output/<prefix><len bytes of name>.txt" appended to the empty buffer b. */
int qd_detwriter_path(const struct qd_detwriter *d, const char *prefix, const char *name,
    size_t len, struct qd_buf *b, struct qd_error *err) QD_MUSTCHECK;

#endif
