/* SPDX-License-Identifier: MIT */
/*
 * What the detection heads share.  A head is an alias of its input; each pixel of that holds, for
 * one anchor after the other, some box entries, an objectness and the classes, so the entries of an
 * anchor are contiguous.
 */
#ifndef QD_LAYER_HEAD_H
#define QD_LAYER_HEAD_H

#include "net/head.h"
#include "net/layer/util.h"

/* Keys of [yolo] and [Gaussian_yolo]: what the boxes are, then what training needs. */
#define QD_HEAD_YOLO_KEYS                                                                          \
    QD_K_INT("classes", "20", 1, 65536, "number of classes"),                                      \
        QD_K_INT("num", "1", 1, 1024, "number of anchors of all heads together"),                  \
        QD_K_INTS("mask", 0, 1023, "the anchors of this head; all by default"),                    \
        QD_K_FLOATS("anchors", 0, 1e6,                                                             \
            "width and height of each anchor in pixels of the net's input; .5 by default"),        \
        QD_K_FLOAT("scale_x_y", "1", 0, 100, "factor of the offset within a cell, about 1/2"),     \
        QD_K_WORD("nms_kind", "default", "default greedynms diounms cornersnms",                   \
            "overlap that non-maximum suppression uses"),                                          \
        QD_K_FLOAT("beta_nms", "0.6", 0, 100, "exponent of the distance term of diounms"),         \
        QD_K_INT("max", "200", 1, 65536, "training: truths of an image that are used"),            \
        QD_K_FLOAT("jitter", "0.2", 0, 1, "training: random crop, as a share of each side"),       \
        QD_K_FLOAT("resize", "1", 0.01, 100, "training: random scale up to this factor"),          \
        QD_K_FLOAT(                                                                                \
            "random", "0", 0, 100, "training: change the input size, by up to this factor"),       \
        QD_K_FLOAT("ignore_thresh", "0.5", 0, 1e6,                                                 \
            "training: a box that overlaps a truth more is not taught to be background"),          \
        QD_K_FLOAT("truth_thresh", "1", 0, 1e6,                                                    \
            "training: a box that overlaps a truth more is positive"),                             \
        QD_K_FLOAT("iou_thresh", "1", 0, 1e6,                                                      \
            "training: all anchors that overlap a truth more learn it, not only the best"),        \
        QD_K_WORD("iou_thresh_kind", "iou", "iou giou diou ciou", "training: that overlap"),       \
        QD_K_WORD("iou_loss", "mse", "mse iou giou diou ciou", "training: loss of the boxes"),     \
        QD_K_FLOAT("iou_normalizer", "0.75", 0, 1e6, "training: factor of the box loss"),          \
        QD_K_FLOAT("obj_normalizer", "1", 0, 1e6, "training: factor of the objectness loss"),      \
        QD_K_FLOAT("cls_normalizer", "1", 0, 1e6, "training: factor of the class loss"),           \
        QD_K_FLOAT("delta_normalizer", "1", 0, 1e6, "training: factor of all gradients"),          \
        QD_K_FLOAT(                                                                                \
            "max_delta", NULL, 0, 3.4e38, "training: limit of box gradients; none if absent"),     \
        QD_K_FLAG("objectness_smooth", "0", "training: the overlap is the objectness to learn"),   \
        QD_K_FLOAT("label_smooth_eps", "0", 0, 1, "training: label smoothing"),                    \
        QD_K_FLAG("focal_loss", "0", "training: focal loss of the classes"),                       \
        QD_K_INTS("counters_per_class", 0, 2147483647,                                             \
            "training: objects of each class, to weigh rare classes more"),                        \
        QD_K_INT("show_details", "1", 0, 1, "training: what darknet prints"),                      \
        QD_K_NOTED("map", "training: file of class numbers"),                                      \
        QD_K_NOTED_LAYERS("embedding_layer", "tracking"),                                          \
        QD_K_NOTED_LAYERS("from", "heads that another reader joins"),                              \
        QD_K_NOTED("track_history_size", "tracking"), QD_K_NOTED("sim_thresh", "tracking"),        \
        QD_K_NOTED("dets_for_track", "tracking"), QD_K_NOTED("dets_for_show", "tracking"),         \
        QD_K_NOTED("track_ciou_norm", "tracking")

/* Read the keys that [yolo] and [Gaussian_yolo] share, anchors included. */
int qd_head_yolo(struct qd_layer *l, struct qd_keys *k, struct qd_yolo_head *v) QD_MUSTCHECK;
/* Read classes, num, anchors and, where the table has it, mask; all rules of the cfg about them. */
int qd_head_anchors(
    struct qd_layer *l, struct qd_keys *k, struct qd_anchors *a, bool masked) QD_MUSTCHECK;
/* A fault unless the input has a->nmask * (extra + classes) channels; makes l an alias. */
int qd_head_check(
    struct qd_layer *l, struct qd_keys *k, const struct qd_anchors *a, int extra) QD_MUSTCHECK;
/* The member 'channels' of a head: all stay. */
void qd_head_channels(const struct qd_layer *l, const struct qd_channels *ch);
/* The kind that key nms_kind names. */
enum qd_nms qd_head_nms(struct qd_keys *k);

/* Emit a box for every class with obj * p > thresh, p the probabilities or, with 'raw', their
 * logits.  A box that is not finite is none. */
void qd_head_emit(const struct qd_decode *d, const struct qd_box *box, float obj, const float *p,
    int classes, bool raw);

#endif
