/* SPDX-License-Identifier: MIT */
#ifndef QD_LOSS_ASSIGN_H
#define QD_LOSS_ASSIGN_H

#include "train/loss/loss.h"

/* One anchor of one cell. */
struct qd_cell {
    const struct qd_yolo_head *v;
    int x, y, w, h;      /* its place in the grid of w x h cells */
    float net_w, net_h;  /* pixels */
    const float *anchor; /* width, height in pixels */
    const float *e;      /* raw entries */
    float *d;            /* deltas, minus the gradient */
    bool exact;
};

/* What differs between heads that assign truths as darknet's YOLOv3 does. */
struct qd_assign {
    int obj, cls;  /* entries of an anchor before the objectness, and before the classes */
    bool first;    /* "this box learns a class already" is seen by class 0, not by the truth's */
    bool mean_iou; /* what is shown for IoU losses is their mean (yolo), not the squared deltas */
    /* The box of a cell, fractions of the input. */
    struct qd_box (*box)(const struct qd_cell *c);
    /* The point of a truth that must lie in the cell. */
    void (*point)(const struct qd_yolo_head *v, const struct qd_box *truth, float at[2]);
    /* Add the deltas of the box entries times 'scale'; returns, with c->exact, the loss. */
    double (*delta)(
        const struct qd_cell *c, const struct qd_box *pred, const struct qd_box *t, float scale);
};

/* The whole of qd_loss_type.image and .finish; spec darknet.md 5.9.3. */
void qd_assign_image(const struct qd_assign *a, const struct qd_loss_job *j, int image, bool exact,
    struct qd_loss_sum *sum);
void qd_assign_finish(
    const struct qd_assign *a, const struct qd_loss_job *j, bool exact, struct qd_loss_sum *sum);

/* x as a delta may be added: 0 when it is not finite, else within +-max. */
float qd_assign_clip(float x, float max);
/*
 * For 'delta': d(measure of v->iou_loss)/d(x, y, w, h of the entries) in g[4], darknet's or with
 * c->exact the true one; xywh: where the four entries lie.  Returns 1 - measure.
 */
double qd_assign_iou(const struct qd_cell *c, const struct qd_box *pred, const struct qd_box *t,
    const int xywh[4], float g[4]);
/* d(x of the box, in cells)/d(raw): of scale_x_y and the logistic function. */
float qd_assign_slope(const struct qd_cell *c, float raw);

#endif
