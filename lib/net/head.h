/* SPDX-License-Identifier: MIT */
/*
 * What the last layers of a net know about themselves: the private structs of the detection heads
 * and of [softmax], for those who need more than their boxes - losses.
 */
#ifndef QD_HEAD_H
#define QD_HEAD_H

#include "net/layer.h"

/* Classes and anchors of a head. */
struct qd_anchors {
    int classes;
    int num;     /* anchors of the cfg */
    float *size; /* [num][2] width, height */
    int nmask;   /* anchors of this head ... */
    int *mask;   /* ... [nmask] their numbers */
};

/* Losses and measures of overlap; QD_IOU_MSE is no measure. */
enum qd_iou_kind { QD_IOU_MSE, QD_IOU_IOU, QD_IOU_GIOU, QD_IOU_DIOU, QD_IOU_CIOU };

/* The private struct of [yolo] and [Gaussian_yolo]; the second half is what the loss reads
 * (spec darknet.md 5.9.1). */
struct qd_yolo_head {
    struct qd_anchors a;
    float scale_x_y, beta_nms;
    bool new_coords; /* yolo only */
    float point;     /* Gaussian: the box's centre is this many widths from the predicted point */
    enum qd_nms nms;

    int max; /* truths of an image */
    float ignore_thresh, truth_thresh, iou_thresh;
    enum qd_iou_kind iou_thresh_kind, iou_loss;
    float iou_normalizer, obj_normalizer, cls_normalizer, uc_normalizer, delta_normalizer;
    float max_delta; /* FLT_MAX: none */
    float label_smooth_eps;
    bool objectness_smooth, focal_loss;
    float *class_weight; /* [classes] from counters_per_class, or NULL */
};

/* The private struct of [region]; the second half is what the loss reads (5.8). */
struct qd_region_head {
    struct qd_anchors a;
    bool softmax;
    float *prob; /* [classes], scratch of decode */

    int max, classfix;
    bool rescore, bias_match, focal_loss;
    float thresh, object_scale, noobject_scale, class_scale, coord_scale;
};

/* The private struct of [softmax]. */
struct qd_softmax_head {
    int groups;
    bool whole; /* over all pixels and channels together */
    float temperature;
    struct qd_tensor flat; /* shape without gaps, to see an image of many pixels as one */
    bool noloss;
};

/* 1 / (1 + e^-x) */
float qd_head_logistic(float x);

#endif
