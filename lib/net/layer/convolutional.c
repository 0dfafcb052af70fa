/* SPDX-License-Identifier: MIT */
/*
 * [convolutional]: the keys, the output's geometry and the parameters of a convolution (spec
 * darknet.md 2.1).  Running it is in convlike.c.
 */
#include "net/layer/convlike.h"
#include "net/layer/cut.h"

enum { MAX_BORDER = 1024 }; /* pixels: zeros around the input are real memory */

static const struct qd_cfg_key keys[] = {
    QD_K_INT("filters", "1", 1, 65536, "filters: channels of the output"),
    QD_K_INT("size", "1", 1, 255, "side of the kernel"),
    QD_K_INT("stride", "1", 1, 255, "step between windows"),
    QD_K_INT("stride_x", NULL, 1, 255, "horizontal step, instead of stride"),
    QD_K_INT("stride_y", NULL, 1, 255, "vertical step, instead of stride"),
    QD_K_INT("dilation", "1", 1, 255,
        "distance between the taps of the kernel; the padding grows with it; ignored when size=1"),
    QD_K_INT("groups", "1", 1, 65536, "groups of channels that do not see each other"),
    QD_K_INT(
        "pad", "0", 0, 255, "not 0: zero padding of size/2 on every side, whatever padding says"),
    QD_K_INT("padding", "0", 0, 255, "zero padding on every side"),
    QD_K_FLAG("batch_normalize", "0", "1: batch normalization before the activation"),
    QD_K_FLAG("cbn", "0", "1: batch normalization with statistics over several mini-batches"),
    QD_K_ACT("logistic"),
    QD_K_LAYER(
        "share_index", "use the parameters of that layer (negative: counted back from this one)"),
    QD_K_INT("antialiasing", "0", 0, 2,
        "convolve with stride 1, then blur with the stride: 1 with 3x3, 2 with 2x2"),
    QD_K_INT("angle", "15", -360, 360, "angle of rotate"),
    QD_K_FLAG("grad_centr", "0", "training: centre the gradients of each filter"),
    QD_K_REFUSED("flipped", "weights are stored transposed"),
    QD_K_REFUSED("binary", "weights of one bit"),
    QD_K_REFUSED("xnor", "weights and inputs of one bit"),
    QD_K_REFUSED("bin_output", "output of one bit"),
    QD_K_REFUSED("ternary", "weights of three values"),
    QD_K_REFUSED("bwx2", "two arrays of binary weights"),
    QD_K_REFUSED("quant", "quantizer of weights and inputs"),
    QD_K_REFUSED("coordconv", "coordinates as additional channels"),
    QD_K_REFUSED("rotate", "filters are rotated copies of each other"),
    QD_K_REFUSED("stretch", "filters are stretched copies of each other"),
    QD_K_REFUSED("sway", "filters are swayed copies of each other"),
    QD_K_REFUSED("stretch_sway", "filters are stretched and swayed copies of each other"),
    QD_K_REFUSED("reverse", "filters in reverse"),
    QD_K_NOTED("dot", "training: penalty on similar filters"),
    QD_K_NOTED("assisted_excitation", "training: excitation at the truths"),
    QD_K_NOTED("stream", "scheduling on a GPU"),
    QD_K_NOTED("wait_stream", "scheduling on a GPU"),
    QD_KEY_END,
};

static int read_geometry(struct qd_layer *l, struct qd_keys *k, bool depthwise)
{
    struct qd_convlike *v = l->priv;
    int size = qd_key_int(k, "size"), stride = qd_key_int(k, "stride");
    struct qd_conv_geom g = {.n = 1, .h = l->ih, .w = l->iw, .c = l->ic, .rh = size, .rw = size};

    g.k = depthwise && !qd_key_given(k, "filters") ? l->ic : qd_key_int(k, "filters");
    g.groups = depthwise && !qd_key_given(k, "groups") ? l->ic : qd_key_int(k, "groups");
    g.sx = qd_key_given(k, "stride_x") ? qd_key_int(k, "stride_x") : stride;
    g.sy = qd_key_given(k, "stride_y") ? qd_key_int(k, "stride_y") : stride;
    g.pad = qd_key_int(k, "pad") ? size / 2 : qd_key_int(k, "padding");
    g.dil = size == 1 ? 1 : qd_key_int(k, "dilation");
    if (k->failed)
        return -1;
    if (depthwise && (g.k != l->ic || g.groups != l->ic))
        return qd_key_fault(k, QD_EFORMAT, g.k != l->ic ? "filters" : "groups",
            "[depthwise] has one filter for each channel: %s must be %d like the channels of its "
            "input, not %d",
            g.k != l->ic ? "filters" : "groups", l->ic, g.k != l->ic ? g.k : g.groups);
    if (l->ic % g.groups)
        return qd_key_fault(k, QD_EFORMAT, "groups",
            "groups=%d does not divide the %d channels of the input of [%s]", g.groups, l->ic,
            l->type->section);
    if (g.k % g.groups)
        return qd_key_fault(k, QD_EFORMAT, "groups", "groups=%d does not divide filters=%d in [%s]",
            g.groups, g.k, l->type->section);
    v->blur = (struct qd_layer_blur){.kind = qd_key_int(k, "antialiasing"), .stride = g.sx};
    if (v->blur.kind && g.sx != g.sy)
        return qd_key_fault(k, QD_EUNSUP, "antialiasing",
            "antialiasing with stride_x=%d and stride_y=%d is not supported: they must be equal",
            g.sx, g.sy);
    if (v->blur.kind)
        g.sx = g.sy = 1;
    v->g = g;
    v->single = g.groups == l->ic && (depthwise || g.groups > 1);
    return 0;
}

/* Dilation is not in the formula: darknet's files depend on that (spec 2.1). */
static int output_shape(struct qd_layer *l, struct qd_keys *k)
{
    struct qd_convlike *v = l->priv;
    struct qd_conv_geom *g = &v->g;
    long h = (long)g->h + 2L * g->pad - g->rh, w = (long)g->w + 2L * g->pad - g->rw;

    if (h < 0 || w < 0)
        return qd_key_fault(k, QD_EFORMAT, "size",
            "the %dx%d kernel of [%s] is larger than its input of %dx%d with padding %d", g->rw,
            g->rh, l->type->section, g->w, g->h, g->pad);
    h = h / g->sy + 1;
    w = w / g->sx + 1;
    if (qd_layer_shape(l, k, h, w, g->k) < 0)
        return -1;
    g->oh = l->h;
    g->ow = l->w;
    if (v->blur.kind)
        return qd_layer_shape(
            l, k, qd_layer_blur_side(&v->blur, h), qd_layer_blur_side(&v->blur, w), g->k);
    return 0;
}

/* share_index: the parameters of another layer instead of own ones. */
static int share(struct qd_layer *l, struct qd_keys *k)
{
    struct qd_convlike *v = l->priv;
    const struct qd_convlike *o;
    int index = qd_key_int(k, "share_index");
    const struct qd_layer *owner;

    if (k->failed)
        return -1;
    if (index < 0)
        index += l->index;
    if (index < 0 || index >= l->index)
        return qd_key_fault(k, QD_EFORMAT, "share_index",
            "no such layer: 'share_index=%d' in [%s], only %d layers precede it",
            qd_key_int(k, "share_index"), l->type->section, l->index);
    owner = qd_layer_at(l, index);
    if (owner->type->setup != l->type->setup)
        return qd_key_fault(k, QD_EFORMAT, "share_index",
            "[%s] cannot share the parameters of layer %d, a [%s]", l->type->section, index,
            owner->type->section);
    o = owner->priv;
    if (o->g.rh != v->g.rh || o->g.c != v->g.c || o->g.k != v->g.k || o->g.groups != v->g.groups ||
        o->bn != v->bn || (o->act == QD_PRELU) != (v->act == QD_PRELU))
        return qd_key_fault(k, QD_EFORMAT, "share_index",
            "[%s] cannot share the parameters of layer %d: size, channels, filters, groups, "
            "batch_normalize and prelu must be equal",
            l->type->section, index);
    v->owner = owner;
    for (int i = 0; i < owner->nparams; i++) {
        struct qd_param p = owner->param[i];
        p.flags |= QD_PARAM_SHARED;
        if (qd_layer_param(l, k, &p) < 0)
            return -1;
    }
    return 0;
}

static int parameters(struct qd_layer *l, struct qd_keys *k)
{
    const struct qd_convlike *v = l->priv;
    const struct qd_conv_geom *g = &v->g;
    size_t fan_in = (size_t)(g->c / g->groups) * (size_t)g->rh * (size_t)g->rw;
    size_t n = (size_t)g->k, count;

    if (qd_key_given(k, "share_index"))
        return share(l, k);
    if (fan_in > INT32_MAX || !qd_mul_size(n, fan_in, &count))
        return qd_key_fault(k, QD_EFORMAT, NULL, "[%s] has too many weights", l->type->section);
    if (qd_layer_add(l, k, "biases", n, 0, 0) < 0 || (v->bn && qd_layer_add_bn(l, k, n) < 0) ||
        qd_layer_add(l, k, "weights", count, QD_PARAM_INIT_HE | QD_PARAM_DECAY, (int)fan_in) < 0)
        return -1;
    if (v->act == QD_PRELU)
        return qd_layer_add(l, k, "slopes", n, QD_PARAM_INIT_QUARTER, 0);
    return 0;
}

static void describe(struct qd_layer *l, bool depthwise)
{
    const struct qd_convlike *v = l->priv;
    const struct qd_conv_geom *g = &v->g;
    int sx = v->blur.kind ? v->blur.stride : g->sx, sy = v->blur.kind ? v->blur.stride : g->sy;

    qd_layer_detail(l, "%dx%d", g->rw, g->rh);
    if (sx != sy)
        qd_layer_detail(l, "/%dx%d", sx, sy);
    else if (sx > 1)
        qd_layer_detail(l, "/%d", sx);
    qd_layer_detail(l, " %d", g->k);
    if (g->groups > 1 && !depthwise)
        qd_layer_detail(l, " groups %d", g->groups);
    if (g->dil > 1)
        qd_layer_detail(l, " dilation %d", g->dil);
    qd_layer_detail(
        l, "%s %s%s", v->bn ? " bn" : "", qd_act_name(v->act), v->blur.kind ? " blur" : "");
}

int qd_conv_setup(struct qd_layer *l, struct qd_keys *k, bool depthwise)
{
    struct qd_convlike *v = l->priv;
    int act;

    if (qd_layer_previous(l, k) < 0)
        return -1;
    act = qd_layer_act(l, k);
    v->bn = qd_key_int(k, "batch_normalize") || (!depthwise && qd_key_int(k, "cbn"));
    if (k->failed || act < 0)
        return -1;
    v->act = (enum qd_act)act;
    if (read_geometry(l, k, depthwise) < 0 || output_shape(l, k) < 0 || parameters(l, k) < 0)
        return -1;
    l->border[0] = qd_conv_border(&v->g);
    if (l->border[0] > MAX_BORDER)
        return qd_key_fault(k, QD_EUNSUP, "dilation",
            "padding and dilation of [%s] reach %d pixels beyond its input, more than %d",
            l->type->section, l->border[0], MAX_BORDER);
    describe(l, depthwise);
    return 0;
}

/* A filter on one channel goes with it, and so does its group.  [depthwise] takes both numbers from
 * its input where they are not given. */
int qd_conv_narrow(
    const struct qd_layer *l, const struct qd_cut *cut, struct qd_cfg *cfg, struct qd_error *err)
{
    const struct qd_convlike *v = l->priv;
    bool must = strcmp(l->type->section, "depthwise") != 0;
    int groups = v->single ? qd_cut_count(cut, l->in[0]) : v->g.groups;

    if ((must || qd_cfg_get(cfg, l->index + 1, "filters")) &&
        qd_layer_set(l, cfg, "filters", l->c, qd_cut_count(cut, l->index), err) < 0)
        return -1;
    if (must || qd_cfg_get(cfg, l->index + 1, "groups"))
        return qd_layer_set(l, cfg, "groups", v->g.groups, groups, err);
    return 0;
}

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    (void)err; /* faults go through the keys */
    return qd_conv_setup(l, k, false);
}

const struct qd_layer_type qd_type_convolutional = {
    .section = "convolutional",
    .aliases = {"conv"},
    .help = "convolution with optional batch normalization, then an activation",
    .keys = keys,
    .priv_size = sizeof(struct qd_convlike),
    .setup = setup,
    .channels = qd_convlike_channels,
    .narrow = qd_conv_narrow,
    .slice = qd_convlike_slice,
    .constant = qd_convlike_constant,
    .macs = qd_convlike_macs,
    .need = qd_convlike_need,
    .pack = qd_convlike_pack,
    .forward = qd_convlike_forward,
    .absorb = qd_convlike_absorb,
    .train_need = qd_convlike_train_need,
    .train_pack = qd_convlike_train_pack,
    .train_turn = qd_convlike_train_turn,
    .train_forward = qd_convlike_train_forward,
    .backward = qd_convlike_backward,
    .train_blocks = qd_convlike_blocks,
    .train_lazy = qd_convlike_lazy,
};
