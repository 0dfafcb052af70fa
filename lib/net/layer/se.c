/* SPDX-License-Identifier: MIT */
/*
 * [se]: squeeze and excite in one section (Hu et al. 2018, as in MobileNetV3; spec compression.md
 * 6.1): the mean of each channel, two small fully connected layers, ReLU between them and a hard
 * sigmoid behind, and the result scales the channels.  The first has a bias where the cfg says so,
 * which pruning needs: the mean of a channel that was taken out may be a constant that is not 0.
 */
#include "base/error.h"
#include "net/graph.h"
#include "net/layer/cut.h"
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("filters", NULL, 1, 65536, "channels; those of the input, which is the default"),
    QD_K_INT("reduction", "4", 1, 65536, "the inner layer has 1/reduction of the channels"),
    QD_K_INT("inner", NULL, 1, 65536, "its width, instead of reduction"),
    QD_K_FLAG("bias", "0", "1: the inner layer has a bias, whose values come first in the file"),
    QD_KEY_END,
};

/* One of the two layers: a 1x1 convolution on 1x1 pixels. */
struct fc {
    struct qd_conv_geom g;
    const struct qd_conv_kernel *kernel;
    enum qd_act act;
    struct qd_tensor out; /* shape; lies in work */
    size_t packed, at;    /* in 'packed' and in 'work' (training: in 'saved') */
    size_t data;          /* training: the weights for the input's gradient in 'packed' */
};

struct se {
    struct fc fc[2];
    struct qd_tensor mean; /* at the start of work */
    int weights;           /* number of the first parameter that is an fc's; a bias may precede */
    size_t bias;           /* in 'packed' */
    size_t scratch;        /* for the kernels, after the tensors; training: also after gradients */
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct se *v = l->priv;
    int c = l->ic, inner;

    (void)err; /* faults go through the keys */
    v->weights = qd_key_int(k, "bias");
    inner = qd_key_given(k, "inner") ? qd_key_int(k, "inner") : c / qd_key_int(k, "reduction");
    if (qd_key_given(k, "filters") && qd_key_int(k, "filters") != c && !k->failed)
        return qd_key_fault(k, QD_EFORMAT, "filters",
            "filters=%d in [se] must be %d like the channels of its input",
            qd_key_int(k, "filters"), c);
    if (!k->failed && inner < 1)
        return qd_key_fault(k, QD_EFORMAT, "reduction",
            "reduction=%d in [se] leaves nothing of its %d channels", qd_key_int(k, "reduction"),
            c);
    if (k->failed || (v->weights && qd_layer_add(l, k, "biases1", (size_t)inner, 0, 0) < 0))
        return -1;
    for (int i = 0; i < 2; i++) {
        struct fc *f = &v->fc[i];
        f->g = (struct qd_conv_geom){.n = 1,
            .h = 1,
            .w = 1,
            .c = i ? inner : c,
            .oh = 1,
            .ow = 1,
            .k = i ? c : inner,
            .rh = 1,
            .rw = 1,
            .sy = 1,
            .sx = 1,
            .dil = 1,
            .groups = 1};
        f->act = i ? QD_HSIGMOID : QD_RELU;
        if (qd_layer_add(l, k, i ? "weights2" : "weights1", (size_t)c * (size_t)inner,
                QD_PARAM_INIT_HE | QD_PARAM_DECAY, f->g.c) < 0)
            return -1;
    }
    qd_layer_detail(l, "%d %d%s", inner, c, v->weights ? " bias" : "");
    return 0;
}

/* Parameter of one of the two layers. */
static const struct qd_param *weights_of(const struct qd_layer *l, int i)
{
    const struct se *v = l->priv;

    return &l->param[v->weights + i];
}

/* The inner layer keeps its width; where a reduction of the channels that are left gives no less,
 * it gets units whose weights are 0, which change nothing. */
static int narrow(
    const struct qd_layer *l, const struct qd_cut *cut, struct qd_cfg *cfg, struct qd_error *err)
{
    const struct se *v = l->priv;
    int c = qd_cut_count(cut, l->index), inner = v->fc[0].g.k;

    if (qd_cfg_get(cfg, l->index + 1, "filters") &&
        qd_layer_set(l, cfg, "filters", l->c, c, err) < 0)
        return -1;
    if (c == l->c || qd_cfg_get(cfg, l->index + 1, "inner"))
        return 0;
    return c < inner ? qd_layer_set(l, cfg, "inner", 0, inner, err)
                     : qd_layer_set(l, cfg, "reduction", 0, c / inner, err);
}

static void slice(const struct qd_layer *l, const struct qd_layer *less, const struct qd_cut *cut,
    const float *from, float *to)
{
    const struct se *v = l->priv, *n = less->priv;
    const bool *stays = qd_cut_of(cut, l->index);
    size_t inner = (size_t)v->fc[0].g.k, wide = (size_t)n->fc[0].g.k;
    const float *w1 = from + weights_of(l, 0)->offset, *w2 = from + weights_of(l, 1)->offset;
    float *to1 = to + weights_of(less, 0)->offset, *to2 = to + weights_of(less, 1)->offset;

    if (v->weights)
        memcpy(to + less->param[0].offset, from + l->param[0].offset, inner * sizeof(*to));
    for (size_t k = 0; k < inner; k++)
        to1 = qd_cut_copy(w1 + k * (size_t)l->c, to1, stays, l->c, 1);
    for (size_t c = 0; c < (size_t)l->c; c++)
        if (stays[c]) {
            memcpy(to2, w2 + c * inner, inner * sizeof(*to2));
            to2 += wide;
        }
}

static uint64_t macs(const struct qd_layer *l)
{
    return weights_of(l, 0)->count + weights_of(l, 1)->count;
}

/* Shape a tensor of n pixels at *at in work and move *at behind it; at most c floats a pixel. */
static void reserve(struct qd_tensor *t, int n, int c, size_t *at)
{
    const int nhwc[4] = {n, 1, 1, c};
    size_t floats;

    if (!qd_tensor_shape(t, nhwc, 0, &floats) || !qd_add_size(*at, floats + 16, at))
        *at = SIZE_MAX / 2;
    *at = qd_round_up(*at, 16);
}

static void need(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need)
{
    struct se *v = l->priv;
    size_t at = 0, scratch = 0;

    reserve(&v->mean, n, l->c, &at);
    for (int i = 0; i < 2; i++) {
        struct fc *f = &v->fc[i];
        size_t own;
        f->g.n = n;
        f->kernel = qd_conv_find(ops, &f->g);
        f->packed = need->packed;
        need->packed += qd_round_up(f->kernel->packed(&f->g), 16);
        own = f->kernel->work ? f->kernel->work(&f->g, qd_threads()) : 0;
        scratch = QD_MAX(scratch, own);
        f->at = at;
        reserve(&f->out, n, f->g.k, &at);
    }
    v->bias = need->packed;
    need->packed += v->weights ? qd_round_up((size_t)v->fc[0].g.k, 16) : 0;
    v->scratch = at;
    if (!qd_add_size(at, scratch, &need->work))
        need->work = SIZE_MAX;
}

static void pack(struct qd_layer *l, const struct qd_ops *ops, const float *params, float *packed)
{
    const struct se *v = l->priv;

    (void)ops;
    for (int i = 0; i < 2; i++) {
        const struct fc *f = &v->fc[i];
        f->kernel->pack(&f->g, params + weights_of(l, i)->offset, NULL, packed + f->packed);
    }
    if (v->weights)
        memcpy(packed + v->bias, params + l->param[0].offset, l->param[0].count * sizeof(*packed));
}

/* The tensors lie at 'mem'. */
static void excite(const struct se *v, const struct qd_pass *p, float *mem)
{
    struct qd_tensor in = v->mean;

    qd_tensor_place(&in, mem);
    p->ops->avgpool(p->in[0], &in);
    for (int i = 0; i < 2; i++) {
        const struct fc *f = &v->fc[i];
        struct qd_tensor out = f->out;
        const float *bias = !i && v->weights ? p->packed + v->bias : NULL;
        struct qd_epilogue ep = {.bias = bias, .act = f->act};
        struct qd_conv_job job = {.g = &f->g,
            .packed = p->packed + f->packed,
            .in = &in,
            .out = &out,
            .ep = &ep,
            .work = p->work + v->scratch};
        qd_tensor_place(&out, mem + f->at);
        f->kernel->run(&job);
        in = out;
    }
    p->ops->gate(p->in[0], &in, p->out, QD_GATE_CHANNEL, QD_LINEAR);
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    excite(l->priv, p, p->work);
}

/* ---- training: the three small tensors are kept, their gradients lie in work in the same order --
 */

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *train)
{
    struct se *v = l->priv;
    struct qd_need forward_need = {0};
    size_t scratch = 0;

    need(l, qd_learn_ops(g), n, &forward_need);
    train->packed = forward_need.packed;
    for (int i = 0; i < 2; i++) {
        struct fc *f = &v->fc[i];
        f->data = qd_round_up(train->packed, 16);
        train->packed = qd_learn_sum(f->data, g->conv_packed(&f->g));
        scratch = QD_MAX(scratch, g->conv_work(&f->g, qd_threads()));
    }
    train->saved = v->scratch;
    train->no_out = true;
    train->work = QD_MAX(forward_need.work, qd_learn_sum(v->scratch, scratch));
}

static void train_pack(
    struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *packed)
{
    const struct se *v = l->priv;

    pack(l, qd_learn_ops(g), params, packed);
    for (int i = 0; i < 2; i++)
        g->conv_pack(&v->fc[i].g, params + weights_of(l, i)->offset, packed + v->fc[i].data);
}

static void train_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    struct qd_pass f = qd_learn_pass(p);

    excite(l->priv, &f, p->saved);
}

/* The gradient of layer i's output becomes that of its input: from d[i + 1] to d[i]. */
static void fc_back(
    const struct qd_layer *l, const struct qd_train_pass *p, int i, const struct qd_tensor d[3])
{
    const struct se *v = l->priv;
    const struct fc *f = &v->fc[i];
    struct qd_tensor in = i ? v->fc[0].out : v->mean, out = f->out;
    struct qd_conv_grad j = {.g = &f->g, .in = &in, .dz = &d[i + 1], .work = p->work + v->scratch};

    qd_tensor_place(&in, p->saved + (i ? v->fc[0].at : 0));
    qd_tensor_place(&out, p->saved + f->at);
    p->grad->act_out(&out, &d[i + 1], f->act, NULL, NULL);
    if (p->grads)
        p->grad->conv_weights(&j, p->grads + weights_of(l, i)->offset);
    if (p->grads && !i && v->weights)
        p->grad->bias(&d[1], p->grads + l->param[0].offset);
    p->grad->conv_data(&j, p->packed + f->data, &d[i], true);
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct se *v = l->priv;
    struct qd_tensor d[3] = {v->mean, v->fc[0].out, v->fc[1].out}, gate = v->fc[1].out;
    const struct qd_tensor *const in_gate_dy[3] = {p->in[0], &gate, p->dout};
    const bool fresh[2] = {p->fresh[0], true};

    qd_tensor_place(&gate, p->saved + v->fc[1].at);
    qd_tensor_place(&d[0], p->work);
    qd_tensor_place(&d[1], p->work + v->fc[0].at);
    qd_tensor_place(&d[2], p->work + v->fc[1].at);
    p->grad->gate(in_gate_dy, p->din[0], &d[2], QD_GATE_CHANNEL, fresh);
    fc_back(l, p, 1, d);
    fc_back(l, p, 0, d);
    if (p->din[0])
        p->grad->avgpool(&d[0], p->din[0], false);
}

/* The weights of a dead channel's gate count as 0, so that the gate is that of the sum 0; what its
 * mean adds to the inner layer goes into the bias. */
static int constant(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err)
{
    const struct se *v = l->priv;
    const bool *stays = qd_cut_of(a->cut, l->index);
    const float *in = qd_absorb_at(a, l->in[0]), *w1 = a->from + weights_of(l, 0)->offset;
    float *to1 = a->to + weights_of(l, 0)->offset, *to2 = a->to + weights_of(l, 1)->offset;
    float *bias = v->weights ? a->to + l->param[0].offset : NULL;
    size_t inner = (size_t)v->fc[0].g.k, n = (size_t)l->c;

    if (qd_absorb_still(l, a, 0, err) < 0)
        return -1;
    for (size_t k = 0; k < inner; k++) {
        double sum = 0;
        for (size_t c = 0; c < n; c++) {
            sum += (double)w1[k * n + c] * (double)in[c];
            if (!stays[c])
                to1[k * n + c] = 0;
        }
        if (bias)
            bias[k] = (float)((double)bias[k] + sum);
    }
    for (int c = 0; c < l->c; c++) {
        if (stays[c])
            continue;
        qd_absorb_at(a, l->index)[c] = in[c] * qd_act_ref(v->fc[1].act, 0, 0);
        memset(to2 + (size_t)c * inner, 0, inner * sizeof(*to2));
        if (in[c] == 0 || bias)
            continue;
        if (!a->extend)
            return qd_absorb_refuse(a, l, qd_channel_in(l, 0, c), "it has no bias", err);
        a->extend[l->index] = true;
    }
    return 0;
}

static int extend(const struct qd_layer *l, struct qd_cfg *cfg, struct qd_error *err)
{
    return qd_layer_set(l, cfg, "bias", 0, 1, err);
}

const struct qd_layer_type qd_type_se = {
    .section = "se",
    .help = "squeeze and excite: scale each channel by a function of all their means",
    .keys = keys,
    .priv_size = sizeof(struct se),
    .setup = setup,
    .channels = qd_channels_same, /* the inner width is its own affair */
    .narrow = narrow,
    .slice = slice,
    .constant = constant,
    .extend = extend,
    .macs = macs,
    .need = need,
    .pack = pack,
    .forward = forward,
    .train_need = train_need,
    .train_pack = train_pack,
    .train_forward = train_forward,
    .backward = backward,
};
