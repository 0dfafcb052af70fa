/* SPDX-License-Identifier: MIT */
/*
 * [se]: squeeze and excite in one section (Hu et al. 2018, as in MobileNetV3; spec compression.md
 * 6.1): the mean of each channel, two small fully connected layers without bias, ReLU between them
 * and a hard sigmoid behind, and the result scales the channels.
 */
#include "net/layer/util.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("filters", NULL, 1, 65536, "channels; those of the input, which is the default"),
    QD_K_INT("reduction", "4", 1, 65536, "the inner layer has 1/reduction of the channels"),
    QD_KEY_END,
};

/* One of the two layers: a 1x1 convolution on 1x1 pixels. */
struct fc {
    struct qd_conv_geom g;
    const struct qd_conv_kernel *kernel;
    enum qd_act act;
    struct qd_tensor out; /* shape; lies in work */
    size_t packed, at;    /* in 'packed' and in 'work' */
};

struct se {
    struct fc fc[2];
    struct qd_tensor mean; /* at the start of work */
    size_t scratch;        /* for the kernels, after the tensors */
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct se *v = l->priv;
    int c = l->ic, inner;

    (void)err; /* faults go through the keys */
    inner = c / qd_key_int(k, "reduction");
    if (qd_key_given(k, "filters") && qd_key_int(k, "filters") != c && !k->failed)
        return qd_key_fault(k, QD_EFORMAT, "filters",
            "filters=%d in [se] must be %d like the channels of its input",
            qd_key_int(k, "filters"), c);
    if (!k->failed && inner < 1)
        return qd_key_fault(k, QD_EFORMAT, "reduction",
            "reduction=%d in [se] leaves nothing of its %d channels", qd_key_int(k, "reduction"),
            c);
    if (k->failed)
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
    qd_layer_detail(l, "%d %d", inner, c);
    return 0;
}

static uint64_t macs(const struct qd_layer *l)
{
    return l->param[0].count + l->param[1].count;
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
        f->kernel->pack(&f->g, params + l->param[i].offset, NULL, packed + f->packed);
    }
}

static void forward(struct qd_layer *l, const struct qd_pass *p)
{
    const struct se *v = l->priv;
    struct qd_tensor in = v->mean;

    qd_tensor_place(&in, p->work);
    p->ops->avgpool(p->in[0], &in);
    for (int i = 0; i < 2; i++) {
        const struct fc *f = &v->fc[i];
        struct qd_tensor out = f->out;
        struct qd_epilogue ep = {.act = f->act};
        struct qd_conv_job job = {.g = &f->g,
            .packed = p->packed + f->packed,
            .in = &in,
            .out = &out,
            .ep = &ep,
            .work = p->work + v->scratch};
        qd_tensor_place(&out, p->work + f->at);
        f->kernel->run(&job);
        in = out;
    }
    p->ops->gate(p->in[0], &in, p->out, QD_GATE_CHANNEL, QD_LINEAR);
}

const struct qd_layer_type qd_type_se = {
    .section = "se",
    .help = "squeeze and excite: scale each channel by a function of all their means",
    .keys = keys,
    .priv_size = sizeof(struct se),
    .setup = setup,
    .macs = macs,
    .need = need,
    .pack = pack,
    .forward = forward,
};
