/* SPDX-License-Identifier: MIT */
/*
 * [shortcut]: the previous layer plus other layers, each with an optional trained weight, then an
 * activation (spec darknet.md 2.5).  A source with fewer channels is added to the first ones, of a
 * source with more only the first ones are added.  A single source that is s times as wide and as
 * high is read at every s-th pixel, which is what the published ResNets were trained with.
 */
#include <math.h>

#include "base/error.h"
#include "net/graph.h"
#include "net/layer/cut.h"
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_K_LAYERS("from", "layers to add (negative: counted back from this one)"),
    QD_K_ACT("linear"),
    QD_K_WORD("weights_type", "none", "none per_feature per_layer per_channel",
        "trained weights: one a source (per_feature, per_layer) or one a source and channel"),
    QD_K_WORD("weights_normalization", "none", "none relu avg_relu softmax",
        "how the weights of the sources are normalized"),
    QD_K_FLOAT("alpha", "1", -1e6, 1e6, "factor of the previous layer"),
    QD_K_FLOAT("beta", "1", -1e6, 1e6, "factor of the added layer"),
    QD_KEY_END,
};

enum { MAX_SOURCES = 256 };

struct shortcut {
    enum qd_act act;
    bool weighted, per_channel, softmax;
    bool factors; /* alpha and beta instead of trained weights */
    float alpha, beta;
    bool equal; /* all sources have the same shape */
    int stride; /* above 1: the only source is read at every stride-th pixel */
};

static int read_weights(struct qd_layer *l, struct qd_keys *k)
{
    struct shortcut *v = l->priv;
    const char *type = qd_key_word(k, "weights_type");
    const char *norm = qd_key_word(k, "weights_normalization");
    size_t count = (size_t)l->nin;

    v->weighted = strcmp(type, "none") != 0;
    v->per_channel = strcmp(type, "per_channel") == 0;
    v->softmax = strcmp(norm, "softmax") == 0;
    v->alpha = qd_key_float(k, "alpha");
    v->beta = qd_key_float(k, "beta");
    v->factors = v->alpha != 1 || v->beta != 1;
    if (k->failed)
        return -1;
    if (v->weighted && strcmp(norm, "none") == 0)
        return qd_key_fault(k, QD_EFORMAT, "weights_type",
            "weights_type=%s in [shortcut] needs weights_normalization=relu or softmax", type);
    if (v->factors && (v->weighted || l->nin != 2 || !v->equal))
        return qd_key_fault(k, QD_EUNSUP, qd_key_given(k, "alpha") ? "alpha" : "beta",
            "alpha and beta in [shortcut] are supported only for one source with as many channels "
            "as the previous layer");
    if (!v->weighted)
        return 0;
    if (v->per_channel)
        count *= (size_t)l->c;
    return qd_layer_add(l, k, "weights", count, QD_PARAM_INIT_ONE | QD_PARAM_DECAY, 0);
}

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct shortcut *v = l->priv;
    int list[MAX_SOURCES] = {-1}, n = qd_layer_list(l, k, "from", list + 1, MAX_SOURCES - 1);
    int act = qd_layer_act(l, k);

    (void)err; /* faults go through the keys */
    if (n < 0 || k->failed || qd_layer_sources(l, k, "from", list, n + 1) < 0)
        return -1;
    v->act = (enum qd_act)act;
    v->equal = true;
    for (int i = 1; i <= n; i++) {
        int h, w, c;
        qd_layer_source(l, i, &h, &w, &c);
        if (n == 1 && w > l->iw && w % l->iw == 0 && h % l->ih == 0 && h / l->ih == w / l->iw)
            v->stride = w / l->iw;
        else if (qd_layer_same_size(l, k, "from", i) < 0)
            return -1;
        v->equal &= c == l->ic && w == l->iw;
    }
    if (v->act == QD_PRELU)
        return qd_key_fault(k, QD_EUNSUP, "activation",
            "activation=prelu in [shortcut] is not supported: put an [activation] behind it");
    if (qd_layer_shape(l, k, l->ih, l->iw, l->ic) < 0 || read_weights(l, k) < 0)
        return -1;
    qd_layer_detail_list(l, "from", list + 1, n);
    if (v->weighted)
        qd_layer_detail(l, " weighted");
    if (v->act != QD_LINEAR)
        qd_layer_detail(l, " %s", qd_act_name(v->act));
    return 0;
}

/* The first channels of all that are added are the same; what a source has beyond the output's
 * channels nobody sees here. */
static void channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    const struct shortcut *v = l->priv;

    for (int i = 0; i < l->nin; i++) {
        int h, w, c;
        qd_layer_source(l, i, &h, &w, &c);
        c = QD_MIN(c, l->c);
        for (int j = 0; j < c; j++)
            ch->tie(ch->ctx, qd_channel_out(l, j), qd_channel_in(l, i, j));
    }
    qd_channels_act(l, ch, v->act);
}

/* Weights of sources are not touched by channels that go. */
static void slice(const struct qd_layer *l, const struct qd_layer *less, const struct qd_cut *cut,
    const float *from, float *to)
{
    const struct shortcut *v = l->priv;

    if (v->per_channel)
        qd_slice_channels(l, less, cut, from, to);
    else if (v->weighted)
        memcpy(
            to + less->param[0].offset, from + l->param[0].offset, l->param[0].count * sizeof(*to));
}

static void need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    const struct shortcut *v = l->priv;

    (void)ops;
    (void)n;
    if (v->weighted)
        need->packed = l->param[0].count;
    else if (v->factors)
        need->packed = 2;
}

/* Normalize the n weights w[0], w[step] ...: w_i = f(w_i) / (sum f(w_j) + 1e-4) with f = relu, or
 * exp(w_i - max). */
static void normalize(const float *w, float *out, int n, size_t step, bool softmax)
{
    float max = w[0], sum = 1e-4f;

    for (int i = 1; i < n; i++)
        max = QD_MAX(max, w[(size_t)i * step]);
    for (int i = 0; i < n; i++) {
        float x = w[(size_t)i * step];
        x = softmax ? expf(x - max) : QD_MAX(x, 0);
        out[(size_t)i * step] = x;
        sum += x;
    }
    for (int i = 0; i < n; i++)
        out[(size_t)i * step] /= sum;
}

static void pack(struct qd_layer *l, const struct qd_ops *ops, const float *params, float *packed)
{
    const struct shortcut *v = l->priv;
    size_t step = v->per_channel ? (size_t)l->c : 1;

    (void)ops;
    if (v->factors) {
        packed[0] = v->alpha;
        packed[1] = v->beta;
    } else if (v->weighted) {
        const float *w = qd_layer_values(l, params, "weights");
        for (size_t c = 0; c < step; c++)
            normalize(w + c, packed + c, l->nin, step, v->softmax);
    }
}

/* Every s-th pixel of every s-th row of t, as a tensor without a border. */
static struct qd_tensor every(const struct qd_tensor *t, int s)
{
    struct qd_tensor v = *t;

    v.h /= s;
    v.w /= s;
    v.border = 0;
    v.ps *= s;
    v.rs *= (size_t)s;
    return v;
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct shortcut *v = l->priv;
    bool apart = !qd_act_elementwise(v->act);
    struct qd_sum s = {.in = p->in,
        .nin = l->nin,
        .weight = v->weighted || v->factors ? p->packed : NULL,
        .per_channel = v->per_channel,
        .act = apart || p->raw ? QD_LINEAR : v->act};
    struct qd_tensor thin;
    const struct qd_tensor *in[2];

    if (v->stride > 1) {
        thin = every(p->in[1], v->stride);
        in[0] = p->in[0];
        in[1] = &thin;
        s.in = in;
    }
    p->ops->sum(&s, p->out);
    if (apart && !p->raw)
        p->ops->act(p->out, p->out, v->act, NULL);
}

static bool fuse(const struct qd_layer *l, struct qd_fuse *f)
{
    const struct shortcut *v = l->priv;

    if (l->nin != 2 || v->weighted || v->factors || !v->equal || !qd_act_elementwise(v->act))
        return false;
    *f = (struct qd_fuse){.pool = false, .add = 1, .act = v->act};
    return true;
}

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *train)
{
    const struct shortcut *v = l->priv;
    struct qd_need forward_need = {0};

    need(l, qd_learn_ops(g), n, &forward_need);
    train->packed = forward_need.packed;
    train->saved = qd_learn_saved(l, v->act, n);
    train->no_in = !v->weighted;
    train->no_out = !qd_learn_reads_out(v->act);
}

static void train_pack(
    struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *packed)
{
    pack(l, qd_learn_ops(g), params, packed);
}

static void train_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct shortcut *v = l->priv;
    struct qd_pass f = qd_learn_pass(p);
    struct qd_tensor before = qd_learn_dense(l, p->n, p->saved);

    if (!qd_learn_keeps(v->act)) {
        forward(l, &f);
        return;
    }
    f.out = &before;
    f.raw = true;
    forward(l, &f);
    p->ops->act(&before, p->out, v->act, NULL);
}

/* The normalization of the weights counts as constant (spec darknet.md 2.5): the gradient of a
 * weight is that of the factor which was made from it. */
static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct shortcut *v = l->priv;
    size_t step = v->per_channel ? (size_t)l->c : 1;
    float *dw = qd_learn_grads(l, p, "weights");

    qd_learn_act_back(l, p, v->act);
    for (int i = 0; i < l->nin; i++) {
        const float *factor = v->weighted || v->factors ? p->packed + (size_t)i * step : NULL;
        bool strided = i && v->stride > 1, fresh = p->fresh[i];
        struct qd_tensor in = *p->in[i], din = {0};
        if (strided)
            in = every(p->in[i], v->stride);
        if (dw)
            p->grad->dot(&in, p->dout, v->per_channel, dw + (size_t)i * step);
        if (!p->din[i])
            continue;
        din = *p->din[i];
        if (strided) { /* the pixels between get nothing from here */
            if (fresh)
                qd_learn_clear(&din);
            din = every(&din, v->stride);
            fresh = false;
        }
        p->grad->add(p->dout, &din, factor, v->per_channel, fresh);
    }
}

/* A shift goes through the sum, and no further where that is bent. */
static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct shortcut *v = l->priv;
    const float *weights = v->weighted ? qd_layer_values(l, a->from, "weights") : NULL;
    const bool *out = qd_cut_of(a->cut, l->index);
    float w[MAX_SOURCES] = {v->alpha, v->beta};

    for (int c = 0; c < l->c; c++) {
        double sum = 0;
        for (int i = 0; weights && i < l->nin; i++)
            w[i] = weights[v->per_channel ? (size_t)i * (size_t)l->c + (size_t)c : (size_t)i];
        if (weights)
            normalize(w, w, l->nin, 1, v->softmax);
        for (int i = 0; i < l->nin; i++) {
            const float *in = qd_absorb_at(a, l->in[i]);
            if (in + c < qd_absorb_at(a, l->in[i] + 1))
                sum += (double)in[c] * (weights || v->factors ? (double)w[i] : 1);
        }
        if (out[c] && sum != 0 && v->act != QD_LINEAR)
            return qd_error_at(err, QD_EUNSUP, qd_cfg_name(l->graph->cfg), l->line,
                "layer %d, [shortcut], cannot pass on a constant that its sources have lost in "
                "channel %d: its activation is not linear",
                l->index, c);
        qd_absorb_at(a, l->index)[c] = out[c] ? (float)sum : qd_act_ref(v->act, (float)sum, 0);
    }
    return 0;
}

static const char *bypass(const struct qd_layer *l)
{
    const struct shortcut *v = l->priv;

    return l->nin != 2           ? "it adds more than one layer"
           : !v->equal           ? "what it adds has another shape"
           : v->act != QD_LINEAR ? "its activation is not linear"
           : v->weighted         ? "its sources have weights"
           : v->beta != 1        ? "its source has a factor"
                                 : NULL;
}

const struct qd_layer_type qd_type_shortcut = {
    .section = "shortcut",
    .help = "sum of the previous layer and others",
    .keys = keys,
    .priv_size = sizeof(struct shortcut),
    .setup = setup,
    .channels = channels,
    .slice = slice,
    .constant = constant,
    .adds = true,
    .bypass = bypass,
    .need = need,
    .pack = pack,
    .forward = forward,
    .fuse = fuse,
    .train_need = train_need,
    .train_pack = train_pack,
    .train_forward = train_forward,
    .backward = backward,
};
