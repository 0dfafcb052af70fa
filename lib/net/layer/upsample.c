/* SPDX-License-Identifier: MIT */
/*
 * [upsample]: every pixel stride x stride times, or with a negative stride the sum of blocks (spec
 * darknet.md 2.6).
 */
#include "net/layer/cut.h"
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("stride", "2", -255, 255, "factor of both sides; negative: sum blocks of that side"),
    QD_K_FLOAT("scale", "1", -1e6, 1e6, "factor of the values"),
    QD_KEY_END,
};

struct upsample {
    int stride;
    float scale;
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct upsample *v = l->priv;
    int s = v->stride = qd_key_int(k, "stride");

    (void)err; /* faults go through the keys */
    v->scale = qd_key_float(k, "scale");
    if (k->failed)
        return -1;
    if (s == 0)
        return qd_key_fault(k, QD_EFORMAT, "stride", "'stride=0' in [upsample] is not possible");
    if (s < 0 && (l->ih % -s || l->iw % -s))
        return qd_key_fault(k, QD_EFORMAT, "stride",
            "stride=%d in [upsample] does not divide its input of %dx%d", s, l->iw, l->ih);
    qd_layer_detail(l, s < 0 ? "1/%d" : "x%d", s < 0 ? -s : s);
    if (s < 0)
        return qd_layer_shape(l, k, l->ih / -s, l->iw / -s, l->ic);
    return qd_layer_shape(l, k, (long)l->ih * s, (long)l->iw * s, l->ic);
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct upsample *v = l->priv;

    if (v->stride > 0)
        p->ops->upsample(p->in[0], p->out, v->stride, v->scale);
    else
        p->ops->downsample(p->in[0], p->out, -v->stride, v->scale);
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct upsample *v = l->priv;
    const float s_scale[2] = {(float)abs(v->stride), v->scale};

    if (p->din[0] && v->stride > 0)
        p->grad->upsample(p->dout, p->din[0], s_scale, p->fresh[0]);
    else if (p->din[0])
        p->grad->downsample(p->dout, p->din[0], s_scale, p->fresh[0]);
}

static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct upsample *v = l->priv;
    int pixels = v->stride < 0 ? v->stride * v->stride : 1;

    (void)err;
    for (int c = 0; c < l->c; c++)
        qd_absorb_at(a, l->index)[c] = qd_absorb_at(a, l->in[0])[c] * v->scale * (float)pixels;
    return 0;
}

const struct qd_layer_type qd_type_upsample = {
    .section = "upsample",
    .help = "larger by repeating pixels, or smaller by adding them",
    .keys = keys,
    .priv_size = sizeof(struct upsample),
    .setup = setup,
    .channels = qd_channels_same,
    .constant = constant,
    .forward = forward,
    .train_need = qd_learn_need_none,
    .backward = backward,
};
