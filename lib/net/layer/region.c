/* SPDX-License-Identifier: MIT */
/*
 * [region]: the head of YOLOv2 (Redmon and Farhadi 2016; spec darknet.md 5.8 and 6.2).  Anchors are
 * in cells of the grid; classes are a softmax, or the raw values without softmax=1.
 */
#include <math.h>

#include "net/layer/head.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("classes", "20", 1, 65536, "number of classes"),
    QD_K_INT("num", "1", 1, 1024, "number of anchors"),
    QD_K_FLOATS("anchors", 0, 1e6, "width and height of each anchor in cells; .5 by default"),
    QD_K_INT("coords", "4", 4, 4, "numbers that make a box"),
    QD_K_FLAG("softmax", "0", "1: softmax over the classes"),
    QD_K_INT("max", "200", 1, 65536, "training: truths of an image that are used"),
    QD_K_FLOAT("jitter", "0.2", 0, 1, "training: random crop, as a share of each side"),
    QD_K_FLOAT("resize", "1", 0.01, 100, "training: random scale up to this factor"),
    QD_K_FLOAT("random", "0", 0, 100, "training: change the input size"),
    QD_K_FLAG("rescore", "0", "training: the overlap is the objectness to learn"),
    QD_K_FLOAT("thresh", "0.5", 0, 1e6,
        "training: a box that overlaps a truth more is not taught to be background"),
    QD_K_INT("classfix", "0", -1, 2, "training: which boxes learn objectness and class"),
    QD_K_FLAG("bias_match", "0", "training: match truths with anchors, not with predicted sizes"),
    QD_K_FLOAT("object_scale", "1", 0, 1e6, "training: factor of the objectness loss of truths"),
    QD_K_FLOAT("noobject_scale", "1", 0, 1e6, "training: factor of the objectness loss elsewhere"),
    QD_K_FLOAT("class_scale", "1", 0, 1e6, "training: factor of the class loss"),
    QD_K_FLOAT("coord_scale", "1", 0, 1e6, "training: factor of the box loss"),
    QD_K_FLOAT("mask_scale", "1", 0, 1e6, "training: factor of the mask loss"),
    QD_K_FLAG("focal_loss", "0", "training: focal loss of the classes"),
    QD_K_INT("absolute", "0", 0, 1, "boxes are absolute, as they always are"),
    QD_K_NOTED("log", "unused"),
    QD_K_NOTED("sqrt", "unused"),
    QD_K_NOTED("map", "training: file of class numbers"),
    QD_K_REFUSED("tree", "file of a class hierarchy"),
    QD_K_REFUSED("background", "a background class instead of an objectness"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct qd_region_head *v = l->priv;

    v->softmax = qd_key_int(k, "softmax");
    v->max = qd_key_int(k, "max");
    v->classfix = qd_key_int(k, "classfix");
    v->rescore = qd_key_int(k, "rescore");
    v->bias_match = qd_key_int(k, "bias_match");
    v->focal_loss = qd_key_int(k, "focal_loss");
    v->thresh = qd_key_float(k, "thresh");
    v->object_scale = qd_key_float(k, "object_scale");
    v->noobject_scale = qd_key_float(k, "noobject_scale");
    v->class_scale = qd_key_float(k, "class_scale");
    v->coord_scale = qd_key_float(k, "coord_scale");
    (void)qd_key_int(k, "coords"); /* checks that it is 4 */
    if (qd_head_anchors(l, k, &v->a, false) < 0)
        return -1;
    v->prob = qd_arena_alloc(qd_layer_arena(l), (size_t)v->a.classes, sizeof(*v->prob), err);
    if (!v->prob)
        return -1;
    return qd_head_check(l, k, &v->a, 5);
}

static void head(const struct qd_layer *l, struct qd_head *head)
{
    const struct qd_region_head *v = l->priv;

    *head = (struct qd_head){.classes = v->a.classes, .nms = QD_NMS_IOU, .beta_nms = .6f};
}

static const float *probabilities(const struct qd_region_head *v, const float *p)
{
    float max = p[0], sum = 0;

    if (!v->softmax)
        return p;
    for (int c = 1; c < v->a.classes; c++)
        max = QD_MAX(max, p[c]);
    for (int c = 0; c < v->a.classes; c++)
        sum += v->prob[c] = expf(p[c] - max);
    for (int c = 0; c < v->a.classes; c++)
        v->prob[c] /= sum;
    return v->prob;
}

static void decode(
    const struct qd_layer *l, const struct qd_tensor *raw, int n, const struct qd_decode *d)
{
    const struct qd_region_head *v = l->priv;
    float w = (float)raw->w, h = (float)raw->h;

    for (int y = 0; y < raw->h; y++)
        for (int x = 0; x < raw->w; x++) {
            const float *e = qd_at(raw, n, y, x);
            for (int i = 0; i < v->a.num; i++, e += 5 + v->a.classes) {
                float obj = qd_head_logistic(e[4]);
                struct qd_box b;
                if (v->softmax && !(obj > d->thresh)) /* no class can pass */
                    continue;
                b.x = ((float)x + qd_head_logistic(e[0])) / w;
                b.y = ((float)y + qd_head_logistic(e[1])) / h;
                b.w = expf(e[2]) * v->a.size[2 * i] / w;
                b.h = expf(e[3]) * v->a.size[2 * i + 1] / h;
                qd_head_emit(d, &b, obj, probabilities(v, e + 5), v->a.classes, false);
            }
        }
}

const struct qd_layer_type qd_type_region = {
    .section = "region",
    .help = "detection head of YOLOv2",
    .keys = keys,
    .priv_size = sizeof(struct qd_region_head),
    .setup = setup,
    .channels = qd_head_channels,
    .head = head,
    .decode = decode,
};
