/* SPDX-License-Identifier: MIT */
/* Layers that pool, join, add, scale and move values. */
#include "layer_rig.h"

#define NET "[net]\nwidth=12\nheight=8\nchannels=8\n"

/* ---- pools ----------------------------------------------------------------------------------- */

struct pool_case {
    const char *what, *section;
    int size, sx, sy, pad;
    bool mean;
};

static const struct pool_case pools[] = {
    {"2x2/2", "[maxpool]\nsize=2\nstride=2\n", 2, 2, 2, 1, false},
    {"size from stride", "[max]\nstride=3\n", 3, 3, 3, 2, false},
    {"2x2/1 looks right and down", "[maxpool]\nsize=2\nstride=1\n", 2, 1, 1, 1, false},
    {"5x5/1", "[maxpool]\nsize=5\nstride=1\n", 5, 1, 1, 4, false},
    {"3x3/2 without padding", "[maxpool]\nsize=3\nstride=2\npadding=0\n", 3, 2, 2, 0, false},
    {"3x3 with two strides", "[maxpool]\nsize=3\nstride_x=2\nstride_y=3\n", 3, 2, 3, 2, false},
    {"13x13/1 wider than the input", "[maxpool]\nsize=13\nstride=1\n", 13, 1, 1, 12, false},
    {"mean 3x3/2", "[local_avgpool]\nsize=3\nstride=2\n", 3, 2, 2, 2, true},
    {"mean 2x2/1", "[local_avg]\nsize=2\n", 2, 1, 1, 1, true},
};

static struct vol naive_pool(struct rig *r, const struct vol *in, const struct pool_case *p)
{
    struct vol out = vol_new(
        r, in->c, (in->h + p->pad - p->size) / p->sy + 1, (in->w + p->pad - p->size) / p->sx + 1);

    for (size_t i = 0; i < vol_len(&out); i++) {
        int x = (int)(i % (size_t)out.w), y = (int)(i / (size_t)out.w % (size_t)out.h);
        int c = (int)(i / (size_t)out.w / (size_t)out.h), cells = 0;
        double max = -1e9, sum = 0;
        for (int j = 0; j < p->size * p->size; j++) {
            int iy = y * p->sy - p->pad / 2 + j / p->size;
            int ix = x * p->sx - p->pad / 2 + j % p->size;
            if (iy < 0 || ix < 0 || iy >= in->h || ix >= in->w)
                continue;
            max = fmax(max, *vol_at(in, c, iy, ix));
            sum += *vol_at(in, c, iy, ix);
            cells++;
        }
        out.v[i] = p->mean ? sum / cells : max;
    }
    return out;
}

static void pooling(void)
{
    char text[300];

    for (size_t i = 0; i < QD_LEN(pools); i++) {
        snprintf(text, sizeof(text), NET "%s", pools[i].section);
        struct rig r = rig_open(text, 2, true);
        struct vol in = rig_out(&r, -1, 1), out = naive_pool(&r, &in, &pools[i]);
        rig_is(&r, 0, 1, &out, pools[i].what);
        rig_close(&r);
    }
    struct rig r = rig_open(NET "[maxpool]\nmaxpool_depth=1\nout_channels=3\n[avgpool]\n", 1, true);
    struct vol in = rig_out(&r, -1, 0), deep = vol_new(&r, 3, 8, 12), mean = vol_new(&r, 3, 1, 1);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 96; i++) {
            double *v = &deep.v[c * 96 + i];
            *v = in.v[c * 96 + i];
            for (int k = c + 3; k < 8; k += 3)
                *v = fmax(*v, in.v[k * 96 + i]);
            mean.v[c] += *v / 96;
        }
    rig_is(&r, 0, 0, &deep, "maximum over channels");
    rig_is(&r, 1, 0, &mean, "[avgpool]");
    rig_close(&r);
}

/* ---- routes ---------------------------------------------------------------------------------- */

/* Append channels from..from+n-1 of 'in' to 'out' at channel *at. */
static void append(struct vol *out, int *at, const struct vol *in, int from, int n)
{
    size_t plane = (size_t)in->h * (size_t)in->w;

    memcpy(out->v + (size_t)*at * plane, in->v + (size_t)from * plane,
        (size_t)n * plane * sizeof(double));
    *at += n;
}

static const char routes_text[] =
    NET "[convolutional]\nfilters=6\nactivation=linear\n"  /* 0 */
        "[convolutional]\nfilters=4\nactivation=leaky\n"   /* 1 */
        "[route]\nlayers=0\n"                              /* 2: alias of 0 */
        "[route]\nlayers=-2, -1\n"                         /* 3: 1, 2 */
        "[route]\nlayers=-1\ngroups=5\ngroup_id=3\n"       /* 4: channels 6, 7 of 3 */
        "[route]\nlayers=0,1,3\ngroups=2\ngroup_id=1\n"    /* 5: upper halves */
        "[route]\nlayers=1,1,0\n"                          /* 6: twice the same */
        "[maxpool]\nsize=3\nstride=1\n"                    /* 7 */
        "[route]\nlayers=-1,6\n"                           /* 8: a route in a route */
        "[convolutional]\nfilters=3\nactivation=linear\n"; /* 9 */

static void routes(void)
{
    for (int keep = 0; keep < 2; keep++) {
        struct rig r = rig_open(routes_text, 2, keep);
        struct rig full = {0};
        if (!keep) { /* without keep_all only the last output counts: compare with a full run */
            struct qd_net_opts o = {.batch = 2, .keep_all = true};
            full.net = qd_net_new(r.m, &o, NULL);
            for (int n = 0; n < 2; n++) {
                static float in[12 * 8 * 8];
                qd_tensor_to_planar(qd_net_tensor(r.net, -1), n, in);
                qd_net_set_planar(full.net, n, in);
            }
            qd_net_forward(full.net);
            for (int n = 0; n < 2; n++) {
                struct vol want = rig_out(&full, 9, n);
                rig_is(&r, 9, n, &want, "routes with shared memory");
            }
            rig_close(&full);
        }
        for (int n = 0; n < 2 && keep; n++) {
            struct vol a = rig_out(&r, 0, n), b = rig_out(&r, 1, n);
            struct vol both = vol_new(&r, 10, 8, 12), group = vol_new(&r, 2, 8, 12);
            struct vol halves = vol_new(&r, 10, 8, 12), twice = vol_new(&r, 14, 8, 12);
            int at = 0;
            rig_is(&r, 2, n, &a, "[route] to one layer");
            append(&both, &at, &b, 0, 4);
            append(&both, &at, &a, 0, 6);
            rig_is(&r, 3, n, &both, "[route] to two layers");
            at = 0;
            append(&group, &at, &both, 6, 2);
            rig_is(&r, 4, n, &group, "[route] to a group");
            at = 0;
            append(&halves, &at, &a, 3, 3);
            append(&halves, &at, &b, 2, 2);
            append(&halves, &at, &both, 5, 5);
            rig_is(&r, 5, n, &halves, "[route] to groups of several layers");
            at = 0;
            append(&twice, &at, &b, 0, 4);
            append(&twice, &at, &b, 0, 4);
            append(&twice, &at, &a, 0, 6);
            rig_is(&r, 6, n, &twice, "[route] to the same layer twice");
        }
        rig_close(&r);
    }
}

/* ---- shortcuts ------------------------------------------------------------------------------- */

#define THREE                                                                                      \
    NET "[convolutional]\nfilters=6\nactivation=linear\n"                                          \
        "[convolutional]\nfilters=4\nactivation=linear\n"                                          \
        "[convolutional]\nfilters=6\nactivation=linear\n"                                          \
        "[convolutional]\nfilters=5\nactivation=linear\n"

struct sum_case {
    const char *what, *section;
    int n, from[3]; /* sources after layer 3 */
    int weights;    /* 0: none, 1: one a source, 2: per channel */
    bool softmax, leaky;
    double alpha, beta;
};

static const struct sum_case sums[] = {
    {"fewer channels", "[shortcut]\nfrom=-3\nactivation=leaky\n", 1, {1}, 0, false, true, 1, 1},
    {"more channels", "[shortcut]\nfrom=0\nactivation=linear\n", 1, {0}, 0, false, false, 1, 1},
    {"three sources", "[shortcut]\nfrom=-4,-3,2\nactivation=leaky\n", 3, {0, 1, 2}, 0, false, true,
        1, 1},
    {"a weight a source",
        "[shortcut]\nfrom=0,2\nweights_type=per_feature\nweights_normalization=relu\n", 2, {0, 2},
        1, false, false, 1, 1},
    {"a weight a layer, softmax",
        "[shortcut]\nfrom=0,1,2\nweights_type=per_layer\nweights_normalization=softmax\n", 3,
        {0, 1, 2}, 1, true, false, 1, 1},
    {"a weight a channel, softmax",
        "[shortcut]\nfrom=0,1\nweights_type=per_channel\nweights_normalization=softmax\n"
        "activation=leaky\n",
        2, {0, 1}, 2, true, true, 1, 1},
    {"a weight a channel, relu",
        "[shortcut]\nfrom=0\nweights_type=per_channel\nweights_normalization=avg_relu\n", 1, {0}, 2,
        false, false, 1, 1},
    {"alpha and beta", "[shortcut]\nfrom=3\nalpha=.5\nbeta=-2\n", 1, {3}, 0, false, false, .5, -2},
};

/* The weight of source i (0: the previous layer) for channel c, normalized. */
static double naive_weight(struct rig *r, const struct sum_case *s, int i, int c)
{
    const float *w = s->weights ? rig_param(r, 4, "weights") : NULL;
    double sum = 1e-4, max = -1e9, x[4];

    if (!w)
        return i ? s->beta : s->alpha;
    for (int k = 0; k <= s->n; k++) {
        x[k] = (double)(s->weights == 2 ? w[k * 5 + c] : w[k]);
        max = fmax(max, x[k]);
    }
    for (int k = 0; k <= s->n; k++) {
        x[k] = s->softmax ? exp(x[k] - max) : naive_relu(x[k]);
        sum += x[k];
    }
    return x[i] / sum;
}

static void shortcuts(void)
{
    char text[600];

    for (size_t i = 0; i < QD_LEN(sums); i++) {
        const struct sum_case *s = &sums[i];
        snprintf(text, sizeof(text), THREE "%s", s->section);
        struct rig r = rig_open(text, 2, true);
        if (s->weights) /* one of them negative: relu must drop it */
            r.m->params[r.m->graph->layer[4].param[0].offset] = -.7f;
        qd_net_pack_layer(r.net, 4, r.m->params);
        qd_net_forward(r.net);
        for (int n = 0; n < 2; n++) {
            struct vol out = vol_new(&r, 5, 8, 12);
            for (int k = 0; k <= s->n; k++) {
                struct vol in = rig_out(&r, k ? s->from[k - 1] : 3, n);
                for (int j = 0; j < QD_MIN(5, in.c) * 96; j++)
                    out.v[j] += naive_weight(&r, s, k, j / 96) * in.v[j];
            }
            if (s->leaky)
                naive_map(&out, naive_leaky);
            rig_is(&r, 4, n, &out, s->what);
        }
        rig_close(&r);
    }
}

/* ---- moving and scaling ---------------------------------------------------------------------- */

static void resampling(void)
{
    struct rig r = rig_open(NET "[upsample]\nstride=3\nscale=.5\n[upsample]\nstride=-2\nscale=2\n"
                                "[upsample]\n",
        2, true);
    struct vol in = rig_out(&r, -1, 1), up = vol_new(&r, 8, 24, 36), down = vol_new(&r, 8, 12, 18);

    for (int c = 0; c < 8; c++)
        for (int i = 0; i < 24 * 36; i++) {
            double v = .5 * *vol_at(&in, c, i / 36 / 3, i % 36 / 3);
            *vol_at(&up, c, i / 36, i % 36) = v;
            *vol_at(&down, c, i / 36 / 2, i % 36 / 2) += 2 * v;
        }
    rig_is(&r, 0, 1, &up, "[upsample]");
    rig_is(&r, 1, 1, &down, "[upsample] with a negative stride");
    struct vol twice = vol_new(&r, 8, 24, 36);
    for (int c = 0; c < 8; c++)
        for (int i = 0; i < 24 * 36; i++)
            *vol_at(&twice, c, i / 36, i % 36) = *vol_at(&down, c, i / 36 / 2, i % 36 / 2);
    rig_is(&r, 2, 1, &twice, "[upsample] by default");
    rig_close(&r);
}

static void reorgs(void)
{
    struct rig r = rig_open(NET "[reorg]\nstride=2\n[reorg]\nstride=2\nreverse=1\n"
                                "[reorg3d]\nstride=2\n[reorg3d]\nstride=2\nreverse=1\n",
        2, true);
    int w = 12, h = 8, c = 8, s = 2;

    for (int n = 0; n < 2; n++) {
        struct vol in = rig_out(&r, -1, n), old = vol_new(&r, 32, 4, 6);
        struct vol deep = vol_new(&r, 32, 4, 6);
        for (int k = 0; k < c; k++)
            for (int j = 0; j < h; j++)
                for (int i = 0; i < w; i++) {
                    int c2 = k % (c / 4), off = k / (c / 4);
                    int w2 = i * s + off % s, h2 = j * s + off / s;
                    old.v[i + w * (j + h * k)] = in.v[w2 + w * s * (h2 + h * s * c2)];
                }
        for (int k = 0; k < 32; k++)
            for (int i = 0; i < 24; i++)
                deep.v[k * 24 + i] =
                    *vol_at(&in, k % c, i / 6 * s + k / c / s, i % 6 * s + k / c % s);
        rig_is(&r, 0, n, &old, "[reorg]");
        rig_is(&r, 1, n, &in, "[reorg] reversed");
        rig_is(&r, 2, n, &deep, "[reorg3d]");
        rig_is(&r, 3, n, &in, "[reorg3d] reversed");
    }
    rig_close(&r);
}

static void gates(void)
{
    struct rig r = rig_open(NET "[convolutional]\nfilters=5\nactivation=linear\n" /* 0 */
                                "[avgpool]\n"                                     /* 1 */
                                "[scale_channels]\nfrom=0\nactivation=leaky\n"    /* 2 */
                                "[convolutional]\nfilters=1\nactivation=linear\n" /* 3 */
                                "[scale_channels]\nfrom=-2\nscale_wh=1\n"         /* 4 */
                                "[sam]\nfrom=2\nactivation=leaky\n",              /* 5 */
        2, true);

    for (int n = 0; n < 2; n++) {
        struct vol a = rig_out(&r, 0, n), mean = rig_out(&r, 1, n), pixel = rig_out(&r, 3, n);
        struct vol b = vol_new(&r, 5, 8, 12), c = vol_new(&r, 5, 8, 12), d = vol_new(&r, 5, 8, 12);
        for (int i = 0; i < 5 * 96; i++) {
            b.v[i] = naive_leaky(a.v[i] * mean.v[i / 96]);
            c.v[i] = b.v[i] * pixel.v[i % 96];
            d.v[i] = naive_leaky(b.v[i] * c.v[i]);
        }
        rig_is(&r, 2, n, &b, "[scale_channels]");
        rig_is(&r, 4, n, &c, "[scale_channels] with scale_wh");
        rig_is(&r, 5, n, &d, "[sam]");
    }
    rig_close(&r);
}

static void single_values(void)
{
    struct rig r = rig_open(NET "[batchnorm]\n[activation]\nactivation=mish\n[logistic]\n"
                                "[dropout]\nprobability=.5\n[cost]\ntype=sse\n"
                                "[crop]\ncrop_height=5\ncrop_width=4\n"
                                "[crop]\ncrop_height=2\ncrop_width=4\nnoadjust=1\n",
        2, true);
    struct vol v = rig_out(&r, -1, 1), crop = vol_new(&r, 8, 5, 4), low = vol_new(&r, 8, 2, 4);

    naive_bn(&r, &v, 0, true);
    rig_is(&r, 0, 1, &v, "[batchnorm]");
    naive_map(&v, naive_mish);
    rig_is(&r, 1, 1, &v, "[activation]");
    naive_map(&v, naive_logistic);
    for (int i = 2; i < 5; i++)
        rig_is(&r, i, 1, &v, i == 2 ? "[logistic]" : i == 3 ? "[dropout]" : "[cost]");
    for (int i = 0; i < 8 * 20; i++)
        crop.v[i] = 2 * *vol_at(&v, i / 20, 1 + i % 20 / 4, 4 + i % 4) - 1;
    rig_is(&r, 5, 1, &crop, "[crop]");
    for (int i = 0; i < 8 * 8; i++)
        low.v[i] = *vol_at(&crop, i / 8, 1 + i % 8 / 4, i % 4);
    rig_is(&r, 6, 1, &low, "[crop] without adjusting");
    rig_close(&r);
}

static void softmaxes(void)
{
    struct rig r = rig_open(NET "[softmax]\nspatial=1\ntemperature=.5\n[avgpool]\n"
                                "[softmax]\ngroups=4\n[soft]\n",
        2, true);

    for (int n = 0; n < 2; n++)
        for (int layer = 0; layer < 4; layer++) {
            struct vol in = rig_out(&r, layer - 1, n), out = vol_new(&r, in.c, in.h, in.w);
            int plane = in.h * in.w, size = layer == 2 ? 2 : 8;
            if (layer == 1)
                continue;
            for (int i = 0; i < 8 * plane; i++) {
                double sum = 0, t = layer ? 1 : .5;
                for (int c = i / plane / size * size, k = 0; k < size; k++)
                    sum += exp(in.v[(c + k) * plane + i % plane] / t);
                out.v[i] = exp(in.v[i] / t) / sum;
            }
            rig_is(&r, layer, n, &out, "[softmax]");
        }
    rig_close(&r);
}

static void softmax_of_all(void)
{
    struct rig r = rig_open(NET "[softmax]\n[maxpool]\nsize=3\nstride=1\n", 2, true);

    for (int n = 0; n < 2; n++) {
        struct vol in = rig_out(&r, -1, n), out = vol_new(&r, in.c, in.h, in.w);
        double sum = 0;
        for (size_t i = 0; i < vol_len(&in); i++)
            sum += exp(in.v[i]);
        for (size_t i = 0; i < vol_len(&in); i++)
            out.v[i] = exp(in.v[i]) / sum;
        rig_is(&r, 0, n, &out, "[softmax] over all pixels");
    }
    rig_close(&r);
}

int main(void)
{
    pooling();
    routes();
    shortcuts();
    resampling();
    reorgs();
    gates();
    single_values();
    softmaxes();
    softmax_of_all();
    return tap_done();
}
