/* SPDX-License-Identifier: MIT */
#ifndef QD_EVAL_H
#define QD_EVAL_H

#include "base/base.h"
#include "detect/box.h"

/* What qd_eval_add() collected, between the files that score it: map.c and coco_ap.c. */

struct qd_eval_truth {
    struct qd_box box;      /* as given */
    struct qd_corners side; /* in pixels; VOC rules: whole ones */
    double area;            /* square pixels */
    int class_id;
    bool difficult;
    size_t order; /* in the image */
};
struct qd_eval_det {
    struct qd_box box;
    struct qd_corners side;
    float score;
    int class_id;
    size_t order;
};
/* Ranges in qd_eval.truth and .det; both are sorted by class there, truths then as they were given,
 * detections by descending score, then as given. */
struct qd_eval_image {
    long id;
    size_t truth, ntruth, det, ndet;
};

struct qd_eval {
    struct qd_eval_opts opts;
    struct qd_eval_image *image; /* as added */
    struct qd_eval_truth *truth;
    struct qd_eval_det *det;
    size_t nimage, ntruth, ndet;
    size_t image_cap, truth_cap, det_cap;
};

/* One class in one image. */
struct qd_eval_group {
    int class_id;
    const struct qd_eval_truth *truth;
    const struct qd_eval_det *det;
    size_t ntruth, ndet;
    size_t truth_done, det_done; /* in the classes before this one */
};
/* Step through the classes of an image: zero-initialise g; false after the last one. */
bool qd_eval_next(const struct qd_eval *e, const struct qd_eval_image *im, struct qd_eval_group *g);

/* Precision at the first of the n points of a curve whose recall is at least r, 0 if none; 'at'
 * remembers the point for the next, greater r (start with 0).  The curve is the envelope: precision
 * does not increase. */
double qd_eval_at(const double *recall, const double *precision, size_t n, double r, size_t *at);
/* Make precision non-increasing: each value becomes the greatest of those from it on. */
void qd_eval_envelope(double *precision, size_t n);
/* precision, recall and F1 from the sums of the classes; sums that are 0 give 0. */
void qd_eval_totals(
    const struct qd_eval_class *cls, int classes, double iou_sum, struct qd_eval_result *out);

/* The COCO rules (coco_ap.c); 'cls' is never NULL. */
int qd_eval_coco(struct qd_eval *e, struct qd_eval_result *out, struct qd_eval_class *cls,
    struct qd_error *err) QD_MUSTCHECK;

#endif
