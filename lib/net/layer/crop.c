/* SPDX-License-Identifier: MIT */
/*
 * [crop]: the centre of the input, with values from 0..1 mapped to -1..1 unless noadjust is set
 * (spec darknet.md 2.11).
 */
#include "net/layer/util.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("crop_height", "1", 1, 65536, "height of the output"),
    QD_K_INT("crop_width", "1", 1, 65536, "width of the output"),
    QD_K_FLAG("noadjust", "0", "1: keep the values; 0: map x to 2x-1"),
    QD_K_FLAG("flip", "0", "training: random mirroring"),
    QD_K_FLOAT("angle", "0", -360, 360, "training: random rotation in degrees"),
    QD_K_FLOAT("saturation", "1", 0, 100, "training: random saturation"),
    QD_K_FLOAT("exposure", "1", 0, 100, "training: random exposure"),
    QD_K_FLOAT("shift", "0", -1e6, 1e6, "training: random shift"),
    QD_KEY_END,
};

struct crop {
    bool adjust;
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct crop *v = l->priv;
    int h = qd_key_int(k, "crop_height"), w = qd_key_int(k, "crop_width");

    (void)err; /* faults go through the keys */
    v->adjust = !qd_key_int(k, "noadjust");
    if (k->failed)
        return -1;
    if (h > l->ih || w > l->iw)
        return qd_key_fault(k, QD_EFORMAT, h > l->ih ? "crop_height" : "crop_width",
            "[crop] to %dx%d is larger than its input of %dx%d", w, h, l->iw, l->ih);
    return qd_layer_shape(l, k, h, w, l->ic);
}

static void need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    (void)ops;
    (void)n;
    need->packed = 2 * (size_t)l->c;
}

static void pack(struct qd_layer *l, const struct qd_ops *ops, const float *params, float *packed)
{
    (void)ops;
    (void)params;
    for (int c = 0; c < l->c; c++) {
        packed[c] = 2;
        packed[l->c + c] = -1;
    }
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct crop *v = l->priv;
    struct qd_tensor centre = *p->in[0];

    centre.data = qd_at(p->in[0], 0, (l->ih - l->h) / 2, (l->iw - l->w) / 2);
    centre.h = l->h;
    centre.w = l->w;
    centre.border = 0;
    if (v->adjust)
        p->ops->norm(&centre, p->out, p->packed, p->packed + l->c, QD_LINEAR);
    else
        p->ops->copy(&centre, p->out);
}

const struct qd_layer_type qd_type_crop = {
    .section = "crop",
    .help = "the centre of the input",
    .keys = keys,
    .priv_size = sizeof(struct crop),
    .setup = setup,
    .need = need,
    .pack = pack,
    .forward = forward,
};
