/* SPDX-License-Identifier: MIT */
/* Layers that are convolutions: [convolutional], [depthwise], [connected], [se]. */
#include "layer_rig.h"

#define NET "[net]\nwidth=11\nheight=9\nchannels=6\n"

/* One layer on the input, linear but for 'act'; keys follow the section line. */
struct conv_case {
    const char *what, *section;
    struct cv g;
    bool bn;
    double (*act)(double);
};

static double identity(double x)
{
    return x;
}

static const struct conv_case cases[] = {
    {"3x3 with batch normalization and leaky",
        "[convolutional]\nbatch_normalize=1\nfilters=7\nsize=3\npad=1\nactivation=leaky\n",
        {7, 3, 1, 1, 1, 1, 1}, true, naive_leaky},
    {"alias and default activation", "[conv]\nfilters=3\n", {3, 1, 1, 1, 0, 1, 1}, false,
        naive_logistic},
    {"groups and stride",
        "[convolutional]\nfilters=4\nsize=5\nstride=2\npad=1\ngroups=2\n"
        "activation=linear\n",
        {4, 5, 2, 2, 2, 1, 2}, false, identity},
    {"dilation", "[convolutional]\nfilters=5\nsize=3\npad=1\ndilation=2\nactivation=mish\n",
        {5, 3, 1, 1, 1, 2, 1}, false, naive_mish},
    {"dilation that reads beyond the right border",
        "[convolutional]\nfilters=2\nsize=3\npadding=0\ndilation=3\nactivation=linear\n",
        {2, 3, 1, 1, 0, 3, 1}, false, identity},
    {"dilation of a 1x1 kernel is ignored",
        "[convolutional]\nfilters=2\nsize=1\npadding=1\ndilation=3\nactivation=linear\n",
        {2, 1, 1, 1, 1, 1, 1}, false, identity},
    {"pad=1 of an even kernel, two strides",
        "[convolutional]\nfilters=3\nsize=2\npad=1\nstride_x=2\nstride_y=1\nactivation=relu\n",
        {3, 2, 1, 2, 1, 1, 1}, false, naive_relu},
    {"stride_y with stride",
        "[convolutional]\nfilters=3\nsize=3\nstride=2\nstride_y=3\npad=1\n"
        "activation=linear\n",
        {3, 3, 3, 2, 1, 1, 1}, false, identity},
    {"padding wider than the kernel needs",
        "[convolutional]\nfilters=3\nsize=3\npadding=3\nactivation=linear\n", {3, 3, 1, 1, 3, 1, 1},
        false, identity},
    {"cbn", "[convolutional]\ncbn=1\nfilters=3\nactivation=linear\n", {3, 1, 1, 1, 0, 1, 1}, true,
        identity},
    {"groups of one channel",
        "[convolutional]\nfilters=12\nsize=3\npad=1\ngroups=6\n"
        "activation=leaky\n",
        {12, 3, 1, 1, 1, 1, 6}, false, naive_leaky},
    {"depthwise", "[depthwise]\nbatch_normalize=1\nsize=3\nstride=2\npad=1\nactivation=leaky\n",
        {6, 3, 2, 2, 1, 1, 6}, true, naive_leaky},
    {"depthwise with filters", "[depthwise]\nfilters=6\ngroups=6\nsize=5\npad=1\nactivation=relu\n",
        {6, 5, 1, 1, 2, 1, 6}, false, naive_relu},
};

static void convolutions(void)
{
    char text[500];

    for (size_t i = 0; i < QD_LEN(cases); i++) {
        const struct conv_case *c = &cases[i];
        snprintf(text, sizeof(text), NET "%s", c->section);
        struct rig r = rig_open(text, 2, true);
        for (int n = 0; n < 2; n++) {
            struct vol in = rig_out(&r, -1, n);
            struct vol out = naive_conv(&r, &in, c->g, rig_param(&r, 0, "weights"));
            naive_bn(&r, &out, 0, c->bn);
            naive_map(&out, c->act);
            rig_is(&r, 0, n, &out, c->what);
        }
        struct qd_layer_info info;
        qd_model_layer(r.m, 0, &info);
        OK(info.macs == (uint64_t)(info.h * info.w * c->g.k * (6 / c->g.groups) * c->g.r * c->g.r),
            "multiply-adds of it");
        rig_close(&r);
    }
}

static void slopes(void)
{
    struct rig r = rig_open(NET "[convolutional]\nbatch_normalize=1\nfilters=5\nsize=3\npad=1\n"
                                "activation=prelu\n[activation]\nactivation=prelu\n",
        1, true);
    struct vol in = rig_out(&r, -1, 0);
    struct vol out =
        naive_conv(&r, &in, (struct cv){5, 3, 1, 1, 1, 1, 1}, rig_param(&r, 0, "weights"));

    naive_bn(&r, &out, 0, true);
    for (int layer = 0; layer < 2; layer++) {
        for (int c = 0; c < 5; c++)
            for (int i = 0; i < 99; i++) {
                double *v = &out.v[c * 99 + i];
                *v *= *v > 0 ? 1 : (double)rig_param(&r, layer, "slopes")[c];
            }
        rig_is(&r, layer, 0, &out, layer ? "[activation] prelu" : "convolution with prelu");
    }
    OK(r.m->graph->nparams == 5 * 4 + 5 * 6 * 9 + 5 + 5, "slopes are parameters");
    rig_close(&r);
}

static void over_channels(void)
{
    static const char *const names[] = {
        "normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval"};
    char text[300];

    for (int kind = 0; kind < 3; kind++) {
        snprintf(text, sizeof(text),
            NET "[convolutional]\nfilters=5\nactivation=%s\n[activation]\nactivation=%s\n",
            names[kind], names[kind]);
        struct rig r = rig_open(text, 1, true);
        struct vol in = rig_out(&r, -1, 0);
        struct vol out =
            naive_conv(&r, &in, (struct cv){5, 1, 1, 1, 0, 1, 1}, rig_param(&r, 0, "weights"));
        naive_bn(&r, &out, 0, false);
        for (int layer = 0; layer < 2; layer++) {
            for (int i = 0; i < 99; i++) {
                double sum = kind ? 0 : 1e-4, max = 0;
                for (int c = 0; c < 5; c++)
                    max =
                        kind == 2 && (c == 0 || out.v[c * 99 + i] > max) ? out.v[c * 99 + i] : max;
                for (int c = 0; c < 5; c++) {
                    double *v = &out.v[c * 99 + i];
                    *v = kind ? exp(*v - max) : naive_relu(*v);
                    sum += *v;
                }
                for (int c = 0; c < 5; c++)
                    out.v[c * 99 + i] /= sum;
            }
            rig_is(&r, layer, 0, &out, names[kind]);
        }
        rig_close(&r);
    }
}

static void shared(void)
{
    struct rig r = rig_open(NET
        "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\npad=1\nactivation=leaky\n"
        "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\npad=1\nactivation=linear\n"
        "share_index=0\n"
        "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=relu\n"
        "share_index=-1\n",
        1, true);
    struct vol at = rig_out(&r, -1, 0);

    OK(r.m->graph->nparams == 6 * 4 + 6 * 6 * 9, "shared parameters are counted once");
    for (int i = 0; i < 3; i++) {
        struct cv g = {6, 3, i == 2 ? 2 : 1, i == 2 ? 2 : 1, 1, 1, 1};
        at = naive_conv(&r, &at, g, rig_param(&r, 0, "weights"));
        naive_bn(&r, &at, 0, true);
        naive_map(&at, i == 0 ? naive_leaky : i == 1 ? identity : naive_relu);
        rig_is(&r, i, 0, &at, i ? "shared parameters" : "their owner");
    }
    rig_close(&r);
}

/* The blur of antialiasing as a convolution of each channel with stride 2. */
static struct vol blurred(struct rig *r, const struct vol *in, int kind)
{
    static const float binomial[] = {1, 2, 1, 2, 4, 2, 1, 2, 1};
    float w[9 * 16];

    for (int i = 0; i < in->c * 9; i++)
        w[i] = kind == 1 ? binomial[i % 9] / 16 : .25f;
    if (kind == 1)
        return naive_conv(r, in, (struct cv){in->c, 3, 2, 2, 1, 1, in->c}, w);
    return naive_conv(r, in, (struct cv){in->c, 2, 2, 2, 0, 1, in->c}, w);
}

/* 3x3 maxima with stride 1. */
static struct vol highest(struct rig *r, const struct vol *in)
{
    struct vol max = vol_new(r, in->c, in->h, in->w);

    for (size_t i = 0; i < vol_len(in); i++) {
        int x = (int)(i % (size_t)in->w), y = (int)(i / (size_t)in->w % (size_t)in->h);
        int c = (int)(i / (size_t)in->w / (size_t)in->h);
        max.v[i] = in->v[i];
        for (int j = 0; j < 9; j++) {
            int yy = y - 1 + j / 3, xx = x - 1 + j % 3;
            if (yy >= 0 && xx >= 0 && yy < in->h && xx < in->w)
                max.v[i] = fmax(max.v[i], *vol_at(in, c, yy, xx));
        }
    }
    return max;
}

static void antialiasing(void)
{
    char text[400];

    for (int kind = 1; kind <= 2; kind++) {
        snprintf(text, sizeof(text),
            NET "[convolutional]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
                "antialiasing=%d\n[maxpool]\nsize=3\nstride=2\nantialiasing=%d\n",
            kind, kind);
        struct rig r = rig_open(text, 2, true);
        struct vol in = rig_out(&r, -1, 1);
        struct vol sharp =
            naive_conv(&r, &in, (struct cv){5, 3, 1, 1, 1, 1, 1}, rig_param(&r, 0, "weights"));
        naive_bn(&r, &sharp, 0, false);
        naive_map(&sharp, naive_leaky);
        struct vol out = blurred(&r, &sharp, kind);
        rig_is(&r, 0, 1, &out, kind == 1 ? "blurred convolution" : "averaged convolution");
        struct vol max = highest(&r, &out);
        struct vol pooled = blurred(&r, &max, kind);
        rig_is(&r, 1, 1, &pooled, kind == 1 ? "blurred maxpool" : "averaged maxpool");
        rig_close(&r);
    }
}

static void connected(void)
{
    struct rig r = rig_open(NET "[connected]\noutput=7\nbatch_normalize=1\nactivation=leaky\n"
                                "[conn]\noutput=3\n",
        2, true);
    static const char *const order[] = {
        "biases", "weights", "scales", "rolling_mean", "rolling_variance"};
    const struct qd_layer *l = r.m->graph->layer;
    bool ok = l->nparams == 5;

    for (int i = 0; i < 5; i++)
        ok = ok && strcmp(l->param[i].name, order[i]) == 0 &&
             (!i || l->param[i].offset == l->param[i - 1].offset + l->param[i - 1].count);
    OK(ok, "order of the arrays of [connected]");
    for (int n = 0; n < 2; n++) {
        struct vol in = rig_out(&r, -1, n);
        struct vol out = vol_new(&r, 7, 1, 1), last = vol_new(&r, 3, 1, 1);
        for (size_t k = 0; k < 7; k++) /* weights [output][flat planar input] */
            for (size_t i = 0; i < vol_len(&in); i++)
                out.v[k] += in.v[i] * (double)rig_param(&r, 0, "weights")[k * vol_len(&in) + i];
        naive_bn(&r, &out, 0, true);
        naive_map(&out, naive_leaky);
        rig_is(&r, 0, n, &out, "[connected] on planes");
        for (int k = 0; k < 21; k++)
            last.v[k / 7] += out.v[k % 7] * (double)rig_param(&r, 1, "weights")[k];
        naive_bn(&r, &last, 1, false);
        naive_map(&last, naive_logistic);
        rig_is(&r, 1, n, &last, "[conn] on a vector");
    }
    rig_close(&r);
}

/* An input that is no image. */
static void vector(void)
{
    struct rig r = rig_open("[net]\ninputs=9\n[connected]\noutput=4\nactivation=relu\n", 2, true);

    for (int n = 0; n < 2; n++) {
        struct vol in = rig_out(&r, -1, n), out = vol_new(&r, 4, 1, 1);
        for (int i = 0; i < 36; i++)
            out.v[i / 9] += in.v[i % 9] * (double)rig_param(&r, 0, "weights")[i];
        naive_bn(&r, &out, 0, false);
        naive_map(&out, naive_relu);
        rig_is(&r, 0, n, &out, "a net with inputs=");
    }
    rig_close(&r);
}

static void squeeze(void)
{
    struct rig r = rig_open("[net]\nwidth=5\nheight=7\nchannels=8\n[se]\nreduction=3\n[se]\n"
                            "filters=8\n[se]\nbias=1\ninner=3\n",
        2, true);

    for (int layer = 0; layer < 3; layer++)
        for (int n = 0; n < 2; n++) {
            struct vol in = rig_out(&r, layer - 1, n), out = vol_new(&r, 8, 7, 5);
            int inner = layer < 2 ? 2 : 3; /* 8 / 3 and 8 / 4 */
            double mean[8] = {0}, hidden[3] = {0};
            for (int i = 0; layer == 2 && i < inner; i++)
                hidden[i] = (double)rig_param(&r, layer, "biases1")[i];
            for (int i = 0; i < 8 * 35; i++)
                mean[i / 35] += in.v[i] / 35;
            for (int i = 0; i < inner * 8; i++)
                hidden[i / 8] += (double)rig_param(&r, layer, "weights1")[i] * mean[i % 8];
            for (int c = 0; c < 8; c++) {
                double s = 0;
                for (int i = 0; i < inner; i++)
                    s += (double)rig_param(&r, layer, "weights2")[c * inner + i] *
                         naive_relu(hidden[i]);
                for (int i = 0; i < 35; i++)
                    out.v[c * 35 + i] = in.v[c * 35 + i] * naive_hsigmoid(s);
            }
            rig_is(&r, layer, n, &out,
                layer == 2 ? "[se] with bias"
                : layer    ? "[se] with filters"
                           : "[se] with reduction");
        }
    rig_close(&r);
}

/* The last output is the same whether tails are fused into convolutions or not. */
static void fused(void)
{
    static const char text[] =
        "[net]\nwidth=12\nheight=8\nchannels=6\n"
        "[convolutional]\nfilters=9\nsize=3\npad=1\nactivation=leaky\nbatch_normalize=1\n"
        "[maxpool]\nsize=2\nstride=2\n"
        "[convolutional]\nfilters=9\nsize=3\npad=1\nactivation=mish\n"
        "[convolutional]\nfilters=9\nsize=1\nactivation=linear\n"
        "[shortcut]\nfrom=-3\nactivation=leaky\n"
        "[convolutional]\nfilters=9\nsize=3\npad=1\nactivation=prelu\n"
        "[shortcut]\nfrom=-2\nactivation=linear\n";
    struct rig a = rig_open(text, 2, true);
    struct rig b = {.batch = 2};
    struct qd_net_opts o = {.batch = 2};
    int steps = 0;

    b.net = qd_net_new(a.m, &o, NULL);
    if (!b.net) {
        OK(false, "a second net");
        return;
    }
    for (int n = 0; n < 2; n++) {
        float in[12 * 8 * 6];
        qd_tensor_to_planar(qd_net_tensor(a.net, -1), n, in);
        qd_net_set_planar(b.net, n, in);
    }
    qd_net_forward(b.net);
    for (int i = 0; i < b.net->plan.nsteps; i++)
        steps += b.net->plan.step[i].fused;
    OK(steps >= 2, "%d tails are fused", steps); /* the pool only where a kernel can */
    for (int n = 0; n < 2; n++) {
        struct vol want = rig_out(&a, 6, n);
        rig_is(&b, 6, n, &want, "fused net");
    }
    rig_close(&b);
    rig_close(&a);
}

int main(void)
{
    convolutions();
    slopes();
    over_channels();
    shared();
    antialiasing();
    connected();
    vector();
    squeeze();
    fused();
    return tap_done();
}
