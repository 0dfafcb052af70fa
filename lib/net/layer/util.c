/* SPDX-License-Identifier: MIT */
/*
 * Helpers of the layer types: every check or text that more than one of them needs.
 */
#include <math.h>
#include <stdarg.h>

#include "net/layer/util.h"

int qd_layer_previous(struct qd_layer *l, struct qd_keys *k)
{
    static const int previous = -1;

    return qd_layer_sources(l, k, NULL, &previous, 1);
}

int qd_layer_list(struct qd_layer *l, struct qd_keys *k, const char *key, int *list, int max)
{
    int n;

    if (!qd_key_given(k, key))
        return qd_key_fault(k, QD_EFORMAT, NULL, "[%s] needs the key '%s'", l->type->section, key);
    n = qd_key_ints(k, key, list, max);
    if (k->failed)
        return -1;
    if (n < 1)
        return qd_key_fault(k, QD_EFORMAT, key, "'%s' in [%s] is empty", key, l->type->section);
    return n;
}

int qd_layer_shape(struct qd_layer *l, struct qd_keys *k, long h, long w, long c)
{
    if (h < 1 || w < 1 || c < 1)
        return qd_key_fault(k, QD_EFORMAT, NULL,
            "[%s] leaves nothing of its input of %dx%dx%d (width x height x channels)",
            l->type->section, l->iw, l->ih, l->ic);
    if (h > QD_MAX_SIDE || w > QD_MAX_SIDE || c > QD_MAX_CHANNELS)
        return qd_key_fault(k, QD_EFORMAT, NULL,
            "the output of [%s] would be %ldx%ldx%ld, larger than %dx%dx%d", l->type->section, w, h,
            c, QD_MAX_SIDE, QD_MAX_SIDE, QD_MAX_CHANNELS);
    l->h = (int)h;
    l->w = (int)w;
    l->c = (int)c;
    return 0;
}

int qd_layer_add(
    struct qd_layer *l, struct qd_keys *k, const char *name, size_t count, int flags, int fan_in)
{
    struct qd_param p = {.name = name, .count = count, .flags = flags, .fan_in = fan_in};
    bool bn = strcmp(name, "scales") == 0 || (flags & QD_PARAM_STAT);

    if (qd_key_int(k, "dontload") || (bn && qd_key_int(k, "dontloadscales")))
        p.flags |= QD_PARAM_UNLOADED;
    return qd_layer_param(l, k, &p);
}

int qd_layer_add_bn(struct qd_layer *l, struct qd_keys *k, size_t n)
{
    if (qd_layer_add(l, k, "scales", n, QD_PARAM_INIT_ONE, 0) < 0 ||
        qd_layer_add(l, k, "rolling_mean", n, QD_PARAM_STAT | QD_PARAM_MEAN, 0) < 0)
        return -1;
    return qd_layer_add(
        l, k, "rolling_variance", n, QD_PARAM_STAT | QD_PARAM_VAR | QD_PARAM_INIT_ONE, 0);
}

void qd_channels_same(const struct qd_layer *l, const struct qd_channels *ch)
{
    for (int i = 0; i < l->nin; i++)
        for (int c = 0; c < l->c; c++)
            ch->tie(ch->ctx, qd_channel_out(l, c), qd_channel_in(l, i, c));
}

void qd_channels_keep(const struct qd_layer *l, const struct qd_channels *ch, const char *why)
{
    for (int i = 0; i < l->nin; i++) {
        int h, w, c;
        qd_layer_source(l, i, &h, &w, &c);
        for (int j = 0; j < c; j++)
            ch->keep(ch->ctx, qd_channel_in(l, i, j), why);
    }
    for (int c = 0; c < l->c; c++)
        ch->keep(ch->ctx, qd_channel_out(l, c), why);
}

void qd_channels_groups(const struct qd_channels *ch, int layer, int c, int groups)
{
    int width = c / groups;

    for (int i = width; i < c; i++)
        ch->tie(ch->ctx, (struct qd_channel){layer, i}, (struct qd_channel){layer, i % width});
}

void qd_channels_act(const struct qd_layer *l, const struct qd_channels *ch, enum qd_act act)
{
    for (int c = 0; c < l->c && !qd_act_elementwise(act); c++)
        ch->keep(ch->ctx, qd_channel_out(l, c), "activation over all channels");
}

void qd_layer_detail(struct qd_layer *l, const char *fmt, ...)
{
    size_t used = strlen(l->detail);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(l->detail + used, sizeof(l->detail) - used, fmt, ap);
    va_end(ap);
}

void qd_layer_detail_list(struct qd_layer *l, const char *word, const int *list, int n)
{
    qd_layer_detail(l, "%s", word);
    for (int i = 0; i < n; i++) {
        if (strlen(l->detail) + 16 > sizeof(l->detail)) {
            qd_layer_detail(l, " ...");
            return;
        }
        qd_layer_detail(l, "%s %d", i ? "," : "", list[i]);
    }
}

const char *qd_layer_source_text(const struct qd_layer *l, int i, char buf[64])
{
    int h, w, c;

    qd_layer_source(l, i, &h, &w, &c);
    if (l->in[i] < 0)
        snprintf(buf, 64, "the input (%dx%dx%d)", w, h, c);
    else
        snprintf(buf, 64, "layer %d (%dx%dx%d)", l->in[i], w, h, c);
    return buf;
}

int qd_layer_same_size(struct qd_layer *l, struct qd_keys *k, const char *key, int i)
{
    char a[64], b[64];
    int h0, w0, c0, h, w, c;

    qd_layer_source(l, 0, &h0, &w0, &c0);
    qd_layer_source(l, i, &h, &w, &c);
    if (h == h0 && w == w0)
        return 0;
    return qd_key_fault(k, QD_EFORMAT, key,
        "[%s] cannot join %s and %s: width and height must be equal", l->type->section,
        qd_layer_source_text(l, 0, a), qd_layer_source_text(l, i, b));
}

const float *qd_layer_values(const struct qd_layer *l, const float *params, const char *name)
{
    const struct qd_param *p = qd_layer_find_param(l, name);

    return p ? params + p->offset : NULL;
}

void qd_layer_fold_bn(const struct qd_layer *l, const float *params, float *mul, float *add)
{
    const float *bias = qd_layer_values(l, params, "biases");
    const float *scale = qd_layer_values(l, params, "scales");
    const float *mean = qd_layer_values(l, params, "rolling_mean");
    const float *var = qd_layer_values(l, params, "rolling_variance");
    size_t n = qd_layer_find_param(l, "scales")->count;

    for (size_t i = 0; i < n; i++) {
        double m = (double)scale[i] / sqrt((double)var[i] + qd_layer_bn_eps(l));
        mul[i] = (float)m;
        add[i] = (float)((double)bias[i] - m * (double)mean[i]);
    }
}

/* ---- blur ------------------------------------------------------------------------------------ */

static const float binomial[9] = {
    1.f / 16, 2.f / 16, 1.f / 16, 2.f / 16, 4.f / 16, 2.f / 16, 1.f / 16, 2.f / 16, 1.f / 16};
static const float mean[4] = {.25f, .25f, .25f, .25f};

static int blur_size(const struct qd_layer_blur *b)
{
    return b->kind == 1 ? 3 : 2;
}

static int blur_pad(const struct qd_layer_blur *b)
{
    return b->kind == 1 ? 1 : 0;
}

long qd_layer_blur_side(const struct qd_layer_blur *b, long side)
{
    long room = side + 2 * blur_pad(b) - blur_size(b);

    return room < 0 ? 0 : room / b->stride + 1;
}

void qd_layer_blur_plan(struct qd_layer_blur *b, const int nhwc[4])
{
    if (!qd_tensor_shape(&b->in, nhwc, blur_pad(b), &b->floats))
        b->floats = SIZE_MAX;
    else
        b->floats = qd_round_up(b->floats, 16);
}

struct qd_tensor qd_layer_blur_in(const struct qd_layer_blur *b, float *mem)
{
    struct qd_tensor t = b->in;

    qd_tensor_place(&t, mem);
    qd_tensor_zero_border(&t);
    return t;
}

void qd_layer_blur_run(const struct qd_layer_blur *b, const struct qd_ops *ops,
    const struct qd_tensor *in, const struct qd_tensor *out)
{
    const int r_s_pad[3] = {blur_size(b), b->stride, blur_pad(b)};

    ops->blur(in, out, b->kind == 1 ? binomial : mean, r_s_pad);
}

void qd_layer_blur_back(const struct qd_layer_blur *b, const struct qd_grad_ops *g,
    const struct qd_tensor *dout, const struct qd_tensor *din)
{
    const int r_s_pad[3] = {blur_size(b), b->stride, blur_pad(b)};

    g->blur(dout, din, b->kind == 1 ? binomial : mean, r_s_pad, true);
}
