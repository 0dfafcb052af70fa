/* SPDX-License-Identifier: MIT */
/* Gradients of pooling, resampling and blur: see grad_rig.h. */
#include "grad_rig.h"

/* Windows that darknet's defaults, and odd paddings, give. */
static const struct window {
    struct qd_pool_geom g;
    int total; /* padding */
} windows[] = {{{2, 2, 2, 0}, 1}, {{2, 1, 1, 0}, 1}, {{3, 2, 2, -1}, 2}, {{3, 1, 1, -1}, 2},
    {{5, 1, 1, -2}, 4}, {{9, 1, 1, -4}, 8}, {{13, 1, 1, -6}, 12}, {{4, 1, 1, -1}, 3},
    {{2, 3, 2, -2}, 5}, {{1, 2, 2, 0}, 0}, {{2, 2, 2, 0}, 0}, {{3, 3, 2, 0}, 0}};

static bool pool_shape(struct test *t, const int base[4])
{
    const struct window *w = &windows[t->variant];

    same_shape(t, base);
    t->in[DY][1] = (base[1] + w->total - w->g.size) / w->g.sy + 1;
    t->in[DY][2] = (base[2] + w->total - w->g.size) / w->g.sx + 1;
    return base[1] + w->total >= w->g.size && base[2] + w->total >= w->g.size;
}

static void call_maxpool(const struct qd_grad_ops *g, const struct test *t)
{
    g->maxpool(&t->src[X].t, &t->src[DY].t, &t->dst[0].t, &windows[t->variant].g, t->fresh);
}

static void forward_maxpool(const struct qd_ops *o, const struct test *t, const struct qd_tensor *x,
    const struct qd_tensor *out)
{
    o->maxpool(x, out, &windows[t->variant].g);
}

static double loss_maxpool(const struct test *t)
{
    return loss_of(t, forward_maxpool);
}

static void call_avgpool_local(const struct qd_grad_ops *g, const struct test *t)
{
    g->avgpool_local(&t->src[DY].t, &t->dst[0].t, &windows[t->variant].g, t->fresh);
}

static void forward_avgpool_local(const struct qd_ops *o, const struct test *t,
    const struct qd_tensor *x, const struct qd_tensor *out)
{
    o->avgpool_local(x, out, &windows[t->variant].g);
}

static double loss_avgpool_local(const struct test *t)
{
    return loss_of(t, forward_avgpool_local);
}

static bool depth_shape(struct test *t, const int base[4])
{
    static const int div[] = {1, 2, 3, 100};

    same_shape(t, base);
    t->in[DY][3] = QD_MAX(1, base[3] / div[t->variant]);
    return true;
}

static void call_depth(const struct qd_grad_ops *g, const struct test *t)
{
    g->maxpool_depth(&t->src[X].t, &t->src[DY].t, &t->dst[0].t, t->fresh);
}

static void forward_depth(const struct qd_ops *o, const struct test *t, const struct qd_tensor *x,
    const struct qd_tensor *out)
{
    (void)t;
    o->maxpool_depth(x, out);
}

static double loss_depth(const struct test *t)
{
    return loss_of(t, forward_depth);
}

static bool avgpool_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    t->in[DY][1] = t->in[DY][2] = 1;
    return true;
}

static void call_avgpool(const struct qd_grad_ops *g, const struct test *t)
{
    g->avgpool(&t->src[DY].t, &t->dst[0].t, t->fresh);
}

static void forward_avgpool(const struct qd_ops *o, const struct test *t, const struct qd_tensor *x,
    const struct qd_tensor *out)
{
    (void)t;
    o->avgpool(x, out);
}

static double loss_avgpool(const struct test *t)
{
    return loss_of(t, forward_avgpool);
}

static bool up_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    t->in[DY][1] *= t->variant + 1;
    t->in[DY][2] *= t->variant + 1;
    return true;
}

static void call_upsample(const struct qd_grad_ops *g, const struct test *t)
{
    g->upsample(&t->src[DY].t, &t->dst[0].t, (const float[]){(float)t->variant + 1, .5f}, t->fresh);
}

static void forward_upsample(const struct qd_ops *o, const struct test *t,
    const struct qd_tensor *x, const struct qd_tensor *out)
{
    o->upsample(x, out, t->variant + 1, .5f);
}

static double loss_upsample(const struct test *t)
{
    return loss_of(t, forward_upsample);
}

/* The base is the input, which need not be whole blocks. */
static bool down_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    t->in[DY][1] /= t->variant + 1;
    t->in[DY][2] /= t->variant + 1;
    return t->in[DY][1] && t->in[DY][2];
}

static void call_downsample(const struct qd_grad_ops *g, const struct test *t)
{
    g->downsample(
        &t->src[DY].t, &t->dst[0].t, (const float[]){(float)t->variant + 1, .25f}, t->fresh);
}

static void forward_downsample(const struct qd_ops *o, const struct test *t,
    const struct qd_tensor *x, const struct qd_tensor *out)
{
    o->downsample(x, out, t->variant + 1, .25f);
}

static double loss_downsample(const struct test *t)
{
    return loss_of(t, forward_downsample);
}

static const struct blur {
    int r, s, pad;
} blurs[] = {{3, 1, 1}, {3, 2, 1}, {2, 2, 0}, {2, 1, 0}, {2, 3, 1}};
static const float blur_kernel[9] = {.25f, .5f, .125f, 1, -.5f, .75f, .25f, 2, .5f};

static bool blur_shape(struct test *t, const int base[4])
{
    const struct blur *b = &blurs[t->variant];

    same_shape(t, base);
    t->in[DY][1] = (base[1] + 2 * b->pad - b->r) / b->s + 1;
    t->in[DY][2] = (base[2] + 2 * b->pad - b->r) / b->s + 1;
    return base[1] + 2 * b->pad >= b->r && base[2] + 2 * b->pad >= b->r;
}

static void call_blur(const struct qd_grad_ops *g, const struct test *t)
{
    const struct blur *b = &blurs[t->variant];

    g->blur(&t->src[DY].t, &t->dst[0].t, blur_kernel, (const int[]){b->r, b->s, b->pad}, t->fresh);
}

static void forward_blur(const struct qd_ops *o, const struct test *t, const struct qd_tensor *x,
    const struct qd_tensor *out)
{
    const struct blur *b = &blurs[t->variant];

    o->blur(x, out, blur_kernel, (const int[]){b->r, b->s, b->pad});
}

static double loss_blur(const struct test *t)
{
    return loss_of(t, forward_blur);
}

static const struct op ops[] = {
    {"maxpool", QD_LEN(windows), false, 1.f / 128, 1e-6, 1e-6, pool_shape, NULL, call_maxpool,
        loss_maxpool},
    {"maxpool_depth", 4, false, 1.f / 128, 1e-6, 0, depth_shape, NULL, call_depth, loss_depth},
    {"avgpool_local", QD_LEN(windows), false, 1, 1e-5, 1e-6, pool_shape, NULL, call_avgpool_local,
        loss_avgpool_local},
    {"avgpool", 1, false, 1, 1e-5, 1e-6, avgpool_shape, NULL, call_avgpool, loss_avgpool},
    {"upsample", 4, false, 1.f / 128, 1e-6, 1e-6, up_shape, NULL, call_upsample, loss_upsample},
    {"downsample", 3, false, 1.f / 128, 1e-6, 1e-6, down_shape, NULL, call_downsample,
        loss_downsample},
    {"blur", QD_LEN(blurs), false, 1.f / 128, 1e-6, 1e-6, blur_shape, NULL, call_blur, loss_blur},
};

int main(void)
{
    return grad_main(ops, QD_LEN(ops));
}
