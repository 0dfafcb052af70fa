/* SPDX-License-Identifier: MIT */
/*
 * [yolo]: boxes relative to anchors, a logistic objectness and logistic classes (Redmon and Farhadi
 * 2018; spec darknet.md 5.9.2 and 6.2).  With new_coords the layer before has already applied the
 * logistic function, and width and height are squares.
 */
#include <math.h>

#include "net/layer/head.h"

static const struct qd_cfg_key keys[] = {
    QD_HEAD_YOLO_KEYS,
    QD_K_FLAG("new_coords", "0",
        "1: inputs are in 0..1 (activation=logistic before), sides are (2w)^2 times the anchor"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct qd_yolo_head *v = l->priv;

    (void)err; /* faults go through the keys */
    v->new_coords = qd_key_int(k, "new_coords");
    if (qd_head_yolo(l, k, v) < 0)
        return -1;
    return qd_head_check(l, k, &v->a, 5);
}

static void head(const struct qd_layer *l, struct qd_head *head)
{
    const struct qd_yolo_head *v = l->priv;

    *head = (struct qd_head){.classes = v->a.classes, .nms = v->nms, .beta_nms = v->beta_nms};
}

/* e: x, y, w, h; the box of a cell as fractions of the net's input. */
static struct qd_box box_of(
    const struct qd_yolo_head *v, const struct qd_decode *d, const float *e, const float *anchor)
{
    float s = v->scale_x_y, shift = (s - 1) / 2;
    struct qd_box b;

    if (v->new_coords) {
        b.x = s * e[0] - shift;
        b.y = s * e[1] - shift;
        b.w = 4 * e[2] * e[2];
        b.h = 4 * e[3] * e[3];
    } else {
        b.x = s * qd_head_logistic(e[0]) - shift;
        b.y = s * qd_head_logistic(e[1]) - shift;
        b.w = expf(e[2]);
        b.h = expf(e[3]);
    }
    b.w *= anchor[0] / (float)d->net_w;
    b.h *= anchor[1] / (float)d->net_h;
    return b;
}

static void decode(
    const struct qd_layer *l, const struct qd_tensor *raw, int n, const struct qd_decode *d)
{
    const struct qd_yolo_head *v = l->priv;
    int entries = 5 + v->a.classes;

    for (int y = 0; y < raw->h; y++)
        for (int x = 0; x < raw->w; x++) {
            const float *e = qd_at(raw, n, y, x);
            for (int i = 0; i < v->a.nmask; i++, e += entries) {
                float obj = v->new_coords ? e[4] : qd_head_logistic(e[4]);
                if (!(obj > d->thresh))
                    continue;
                struct qd_box b = box_of(v, d, e, v->a.size + 2 * (size_t)v->a.mask[i]);
                b.x = ((float)x + b.x) / (float)raw->w;
                b.y = ((float)y + b.y) / (float)raw->h;
                qd_head_emit(d, &b, obj, e + 5, v->a.classes, !v->new_coords);
            }
        }
}

const struct qd_layer_type qd_type_yolo = {
    .section = "yolo",
    .help = "detection head of YOLOv3 and later",
    .keys = keys,
    .priv_size = sizeof(struct qd_yolo_head),
    .setup = setup,
    .channels = qd_head_channels,
    .head = head,
    .decode = decode,
};
