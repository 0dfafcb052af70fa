/* SPDX-License-Identifier: MIT */
/*
 * [Gaussian_yolo]: a yolo head that also predicts how uncertain each coordinate is; a score is
 * multiplied by 1 - their mean (Choi et al. 2019; spec darknet.md 5.9.6).
 */
#include <math.h>

#include "net/layer/head.h"

static const struct qd_cfg_key keys[] = {
    QD_HEAD_YOLO_KEYS,
    QD_K_WORD("yolo_point", "center", "center left_top right_bottom",
        "the point of a box that lies in its cell"),
    QD_K_FLOAT("uc_normalizer", "1", 0, 1e6, "training: factor of the uncertainty loss"),
    QD_KEY_END,
};

/* Entries of an anchor: mean and uncertainty of x, y, w, h in turn, objectness, classes. */
enum { X = 0, SX, Y, SY, W, SW, H, SH, OBJ, CLASSES };

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct qd_yolo_head *v = l->priv;
    const char *point = qd_key_word(k, "yolo_point");

    (void)err; /* faults go through the keys */
    v->uc_normalizer = qd_key_float(k, "uc_normalizer");
    v->point = strcmp(point, "left_top") == 0 ? .5f : strcmp(point, "right_bottom") == 0 ? -.5f : 0;
    if (qd_head_yolo(l, k, v) < 0)
        return -1;
    return qd_head_check(l, k, &v->a, CLASSES);
}

static void head(const struct qd_layer *l, struct qd_head *head)
{
    const struct qd_yolo_head *v = l->priv;

    *head = (struct qd_head){.classes = v->a.classes, .nms = v->nms, .beta_nms = v->beta_nms};
}

static float certainty(const float *e)
{
    return 1 - (qd_head_logistic(e[SX]) + qd_head_logistic(e[SY]) + qd_head_logistic(e[SW]) +
                   qd_head_logistic(e[SH])) /
                   4;
}

static void decode(
    const struct qd_layer *l, const struct qd_tensor *raw, int n, const struct qd_decode *d)
{
    const struct qd_yolo_head *v = l->priv;
    float s = v->scale_x_y, shift = (s - 1) / 2;

    for (int y = 0; y < raw->h; y++)
        for (int x = 0; x < raw->w; x++) {
            const float *e = qd_at(raw, n, y, x);
            for (int i = 0; i < v->a.nmask; i++, e += CLASSES + v->a.classes) {
                const float *anchor = v->a.size + 2 * (size_t)v->a.mask[i];
                float obj = qd_head_logistic(e[OBJ]);
                struct qd_box b;
                if (!(obj > d->thresh))
                    continue;
                obj *= certainty(e);
                if (!(obj > d->thresh)) /* no class can pass */
                    continue;
                b.w = expf(e[W]) * anchor[0] / (float)d->net_w;
                b.h = expf(e[H]) * anchor[1] / (float)d->net_h;
                b.x = ((float)x + s * qd_head_logistic(e[X]) - shift) / (float)raw->w;
                b.y = ((float)y + s * qd_head_logistic(e[Y]) - shift) / (float)raw->h;
                b.x += v->point * b.w;
                b.y += v->point * b.h;
                qd_head_emit(d, &b, obj, e + CLASSES, v->a.classes, true);
            }
        }
}

const struct qd_layer_type qd_type_gaussian_yolo = {
    .section = "Gaussian_yolo",
    .help = "detection head that knows how uncertain its boxes are",
    .keys = keys,
    .priv_size = sizeof(struct qd_yolo_head),
    .setup = setup,
    .channels = qd_head_channels,
    .head = head,
    .decode = decode,
};
