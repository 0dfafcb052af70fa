/* SPDX-License-Identifier: MIT */
#ifndef QD_BOX_H
#define QD_BOX_H

#include "base/base.h"

/* Geometry of struct qd_box (centre and size, any one unit).  Results for boxes that are not finite
 * are not meaningful, except that nothing here gives NaN for finite boxes. */

/* A box by its sides. */
struct qd_corners {
    double l, t, r, b;
};

/* All four numbers are finite. */
bool qd_box_finite(const struct qd_box *b);
/* Intersection over union; 0 when the boxes do not overlap on an axis or the union is empty. */
float qd_box_iou(const struct qd_box *a, const struct qd_box *b);
/*
 * The penalty of Distance-IoU (Zheng et al. 2020, equation 6): squared distance of the centres over
 * the squared diagonal of the smallest box that holds both; 0..1, 0 when that box is a point.
 */
float qd_box_distance(const struct qd_box *a, const struct qd_box *b);
/* The sides of a box whose unit is multiplied by w and h, and back. */
struct qd_corners qd_box_corners(const struct qd_box *b, double w, double h);
struct qd_box qd_corners_box(const struct qd_corners *c, double w, double h);
/* Cut off what lies outside of 0..w x 0..h; what lies outside altogether becomes an empty box on
 * the border. */
struct qd_corners qd_corners_clip(struct qd_corners c, double w, double h);

#endif
