/* SPDX-License-Identifier: MIT */
/*
 * [crop]: the centre of the input, with values from 0..1 mapped to -1..1 unless noadjust is set
 * (spec darknet.md 2.11).  Training takes a random place instead, and with flip=1 mirrors half of
 * the images.
 */
#include "base/par.h"
#include "base/rng.h"
#include "net/layer/cut.h"
#include "net/layer/learn.h"

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
    bool adjust, flip;
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct crop *v = l->priv;
    int h = qd_key_int(k, "crop_height"), w = qd_key_int(k, "crop_width");

    (void)err; /* faults go through the keys */
    v->adjust = !qd_key_int(k, "noadjust");
    v->flip = qd_key_int(k, "flip");
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

/* ---- training -------------------------------------------------------------------------------- */

/* Where an image is cut out. */
struct window {
    int y, x;
    bool mirrored;
};

static struct window window_of(const struct qd_layer *l, uint64_t seed, int image)
{
    const struct crop *v = l->priv;
    struct qd_rng r = qd_rng_new(seed, (uint64_t)image);
    struct window w;

    w.y = (int)qd_rng_below(&r, (uint32_t)(l->ih - l->h + 1));
    w.x = (int)qd_rng_below(&r, (uint32_t)(l->iw - l->w + 1));
    w.mirrored = (qd_rng_u64(&r) >> 63) && v->flip;
    return w;
}

struct rows {
    const struct qd_layer *l;
    const struct qd_tensor *from, *to; /* forward: in, out; backward: dout, din */
    uint64_t seed;
    bool back;
};

/* One row of one image of the output. */
static void crop_row(void *ctx, int chunk, int thread)
{
    const struct rows *r = ctx;
    const struct qd_layer *l = r->l;
    const struct crop *v = l->priv;
    int n = chunk / l->h, y = chunk % l->h;
    struct window w = window_of(l, r->seed, n);

    (void)thread;
    for (int x = 0; x < l->w; x++) {
        int ix = w.x + (w.mirrored ? l->w - 1 - x : x);
        const float *p = r->back ? qd_at(r->from, n, y, x) : qd_at(r->from, n, w.y + y, ix);
        float *q = r->back ? qd_at(r->to, n, w.y + y, ix) : qd_at(r->to, n, y, x);
        for (int c = 0; c < l->c; c++)
            if (r->back)
                q[c] += v->adjust ? 2 * p[c] : p[c];
            else
                q[c] = v->adjust ? 2 * p[c] - 1 : p[c];
    }
}

static void train_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    struct rows r = {.l = l, .from = p->in[0], .to = p->out, .seed = p->seed};

    qd_par(p->n * l->h, crop_row, &r);
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    struct rows r = {.l = l, .from = p->dout, .to = p->din[0], .seed = p->seed, .back = true};

    if (!p->din[0])
        return;
    if (p->fresh[0])
        qd_learn_clear(p->din[0]);
    qd_par(p->n * l->h, crop_row, &r);
}

static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct crop *v = l->priv;
    const bool *out = qd_cut_of(a->cut, l->index);
    const float *in = qd_absorb_at(a, l->in[0]);

    (void)err;
    for (int c = 0; c < l->c; c++)
        qd_absorb_at(a, l->index)[c] = v->adjust ? 2 * in[c] - (out[c] ? 0 : 1) : in[c];
    return 0;
}

const struct qd_layer_type qd_type_crop = {
    .section = "crop",
    .help = "the centre of the input",
    .keys = keys,
    .priv_size = sizeof(struct crop),
    .setup = setup,
    .channels = qd_channels_same,
    .constant = constant,
    .need = need,
    .pack = pack,
    .forward = forward,
    .train_need = qd_learn_need_none,
    .train_forward = train_forward,
    .backward = backward,
};
