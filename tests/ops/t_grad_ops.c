/* SPDX-License-Identifier: MIT */
/*
 * Gradients of normalization, activations, sums and products: see grad_rig.h.  Losses are in double
 * precision and do not go through the library where the forward operation would round too much.
 */
#include "grad_rig.h"
#include "formula.h"

static void call_bias(const struct qd_grad_ops *g, const struct test *t)
{
    g->bias(&t->src[DY].t, t->arr[0]);
}

static bool bias_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    set(t->in[2], 1, 1, 1, base[3]);
    t->nin = 3;
    t->nout = 0;
    t->narr = 1;
    t->wrt[0] = 2;
    return true;
}

static void forward_bias(const struct qd_ops *o, const struct test *t, const struct qd_tensor *x,
    const struct qd_tensor *out)
{
    float one[MAX_C];

    for (int c = 0; c < MAX_C; c++)
        one[c] = 1;
    o->norm(x, out, one, t->data[2], QD_LINEAR);
}

static double loss_bias(const struct test *t)
{
    return loss_of(t, forward_bias);
}

/* ---- batch normalization and activations ----------------------------------------------------- */

static const enum qd_act bn_acts[] = {
    QD_LINEAR, QD_LEAKY, QD_RELU, QD_MISH, QD_PRELU, QD_SWISH, QD_NORM_CHAN_SOFTMAX, QD_RELU6};

/* Odd variants are fixed. */
static bool bn_shape(struct test *t, const int base[4])
{
    bool prelu = bn_acts[t->variant / 2] == QD_PRELU;

    same_shape(t, base);
    for (int i = 2; i < 5; i++)
        set(t->in[i], 1, 1, 1, base[3]);
    t->nin = 5;
    t->nout = 1;
    t->narr = prelu ? 3 : 2;
    for (int k = 1; k <= t->narr; k++)
        t->wrt[k] = k + 1;
    return true;
}

/* Mean and 1 / sqrt(var + eps) of channel c, of the data or given. */
static void bn_numbers(const struct test *t, int c, double *mean, double *inv)
{
    size_t channels = (size_t)t->in[X][3], n = count_of(t->in[X]) / channels;
    double s = 0, v = 0;

    *mean = .25;
    *inv = .75;
    if (t->variant % 2)
        return;
    for (size_t i = 0; i < n; i++)
        s += (double)t->data[X][i * channels + (size_t)c] / (double)n;
    for (size_t i = 0; i < n; i++)
        v += pow((double)t->data[X][i * channels + (size_t)c] - s, 2) / (double)n;
    *mean = s;
    *inv = 1 / sqrt(v + 1e-5);
}

static void bn_prepare(struct test *t)
{
    for (int c = 0; c < t->in[X][3]; c++) {
        double mean, inv;
        bn_numbers(t, c, &mean, &inv);
        t->mean[c] = (float)mean;
        t->inv[c] = (float)inv;
    }
}

static void call_bn(const struct qd_grad_ops *g, const struct test *t)
{
    enum qd_act a = bn_acts[t->variant / 2];
    struct qd_bn b = {.mean = t->mean,
        .inv = t->inv,
        .scale = t->data[2],
        .bias = t->data[3],
        .slope = a == QD_PRELU ? t->data[4] : NULL,
        .act = a,
        .dscale = t->arr[0],
        .dbias = t->arr[1],
        .dslope = a == QD_PRELU ? t->arr[2] : NULL,
        .fixed = t->variant % 2};
    float *work = qd_alloc((size_t)t->in[X][3] * 8 * 64, sizeof(float), NULL);

    if (!work)
        exit(1);
    g->bn(&b, &t->src[X].t, &t->src[DY].t, work);
    qd_free(work);
}

/* y of a pixel from its pre-activations. */
static void act_pixel(enum qd_act a, const double *u, double *y, int n, const float *slope)
{
    double s = a == QD_NORM_CHAN ? 1e-4 : 0;

    for (int c = 0; c < n; c++) {
        if (qd_act_elementwise(a))
            y[c] = formula(a, u[c], slope ? (double)slope[c] : 0);
        else
            y[c] = a == QD_NORM_CHAN ? fmax(u[c], 0) : exp(u[c]);
        s += y[c];
    }
    for (int c = 0; c < n && !qd_act_elementwise(a); c++)
        y[c] /= s;
}

static double dot_pixel(const float *dy, const double *y, int n)
{
    double s = 0;

    for (int c = 0; c < n; c++)
        s += (double)dy[c] * y[c];
    return s;
}

static double loss_bn(const struct test *t)
{
    int channels = t->in[X][3];
    double mean[MAX_C], inv[MAX_C], u[MAX_C], y[MAX_C], sum = 0;

    for (int c = 0; c < channels; c++)
        bn_numbers(t, c, &mean[c], &inv[c]);
    for (size_t i = 0; i < count_of(t->in[X]); i += (size_t)channels) {
        for (int c = 0; c < channels; c++)
            u[c] = ((double)t->data[X][i + (size_t)c] - mean[c]) * inv[c] * (double)t->data[2][c] +
                   (double)t->data[3][c];
        act_pixel(bn_acts[t->variant / 2], u, y, channels, t->data[4]);
        sum += dot_pixel(t->data[DY] + i, y, channels);
    }
    return sum;
}

static bool act_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    set(t->in[2], 1, 1, 1, base[3]);
    t->nin = 3;
    t->narr = t->variant == QD_PRELU;
    t->wrt[1] = 2;
    return true;
}

static void call_act(const struct qd_grad_ops *g, const struct test *t)
{
    enum qd_act a = (enum qd_act)t->variant;

    g->act(&t->src[X].t, &t->src[DY].t, a, a == QD_PRELU ? t->data[2] : NULL, t->arr[0]);
}

static double loss_act(const struct test *t)
{
    int channels = t->in[X][3];
    double u[MAX_C], y[MAX_C], sum = 0;

    for (size_t i = 0; i < count_of(t->in[X]); i += (size_t)channels) {
        for (int c = 0; c < channels; c++)
            u[c] = (double)t->data[X][i + (size_t)c];
        act_pixel((enum qd_act)t->variant, u, y, channels, t->data[2]);
        sum += dot_pixel(t->data[DY] + i, y, channels);
    }
    return sum;
}

static bool act_out_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    memcpy(t->in[2], base, sizeof(t->in[2]));
    t->nin = 3;
    return qd_act_from_output((enum qd_act)t->variant);
}

static void act_out_prepare(struct test *t)
{
    struct qd_tensor x, y;
    size_t floats;

    if (!qd_tensor_shape(&x, t->in[X], 0, &floats))
        exit(1);
    y = x;
    qd_tensor_place(&x, t->data[X]);
    qd_tensor_place(&y, t->data[2]);
    qd_ops_level("ref")->act(&x, &y, (enum qd_act)t->variant, NULL);
}

static void call_act_out(const struct qd_grad_ops *g, const struct test *t)
{
    g->act_out(&t->src[2].t, &t->src[DY].t, (enum qd_act)t->variant, NULL, NULL);
}

/* ---- sums and products ----------------------------------------------------------------------- */

/* Variants: 0 no factor, 1 one, 2 one for each channel; + 3: dy has fewer channels, + 6: more. */
static bool add_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    if (t->variant / 3 == 1)
        t->in[DY][3] = QD_MAX(1, base[3] / 2);
    if (t->variant / 3 == 2)
        t->in[DY][3] += 3;
    set(t->in[2], 1, 1, 1, base[3]);
    t->nin = 3;
    return true;
}

static void call_add(const struct qd_grad_ops *g, const struct test *t)
{
    g->add(&t->src[DY].t, &t->dst[0].t, t->variant % 3 ? t->data[2] : NULL, t->variant % 3 == 2,
        t->fresh);
}

/* Sum of dy * x * factor over the channels that both have. */
static double loss_product(const struct test *t, const float *factor, bool per_channel)
{
    int cx = t->in[X][3], cy = t->in[DY][3];
    double s = 0;

    for (size_t i = 0; i < count_of(t->in[X]) / (size_t)cx; i++)
        for (int c = 0; c < QD_MIN(cx, cy); c++)
            s += (double)t->data[X][i * (size_t)cx + (size_t)c] *
                 (double)t->data[DY][i * (size_t)cy + (size_t)c] *
                 (factor ? (double)factor[per_channel ? c : 0] : 1);
    return s;
}

static double loss_add(const struct test *t)
{
    return loss_product(t, t->variant % 3 ? t->data[2] : NULL, t->variant % 3 == 2);
}

/* Variants: 0 all, 1 each channel; + 2: dy has fewer channels. */
static bool dot_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    if (t->variant >= 2)
        t->in[DY][3] = QD_MAX(1, base[3] / 2);
    set(t->in[2], 1, 1, 1, t->variant % 2 ? t->in[DY][3] : 1);
    t->nin = 3;
    t->nout = 0;
    t->narr = 1;
    t->wrt[0] = 2;
    return true;
}

static void call_dot(const struct qd_grad_ops *g, const struct test *t)
{
    g->dot(&t->src[X].t, &t->src[DY].t, t->variant % 2, t->arr[0]);
}

static double loss_dot(const struct test *t)
{
    return loss_product(t, t->data[2], t->variant % 2);
}

/* Variants: kinds; + 3: only din, + 6: only dgate. */
static bool gate_shape(struct test *t, const int base[4])
{
    int kind = t->variant % 3;

    same_shape(t, base);
    if (kind == QD_GATE_CHANNEL)
        set(t->in[2], base[0], 1, 1, base[3]);
    else
        set(t->in[2], base[0], base[1], base[2], kind == QD_GATE_PIXEL ? 1 : base[3]);
    t->nin = 3;
    t->nout = t->variant < 3 ? 2 : 1;
    t->wrt[0] = t->variant < 6 ? 0 : 2;
    t->wrt[1] = 2;
    return true;
}

static void call_gate(const struct qd_grad_ops *g, const struct test *t)
{
    const struct qd_tensor *src[3] = {&t->src[X].t, &t->src[2].t, &t->src[DY].t};
    const bool fresh[2] = {t->fresh, t->fresh};

    g->gate(src, t->variant < 6 ? &t->dst[0].t : NULL,
        t->variant < 3   ? &t->dst[1].t
        : t->variant < 6 ? NULL
                         : &t->dst[0].t,
        (enum qd_gate)(t->variant % 3), fresh);
}

static void forward_gate(const struct qd_ops *o, const struct test *t, const struct qd_tensor *x,
    const struct qd_tensor *out)
{
    float *mem;
    struct qd_tensor gate = tensor_of(t, 2, 0, &mem);

    o->gate(x, &gate, out, (enum qd_gate)(t->variant % 3), QD_LINEAR);
    qd_free(mem);
}

static double loss_gate(const struct test *t)
{
    return loss_of(t, forward_gate);
}

static int groups_of(const struct test *t)
{
    return t->variant && t->in[X][3] % 3 == 0 ? 3 : 1;
}

static bool softmax_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    memcpy(t->in[2], base, sizeof(t->in[2]));
    t->nin = 3;
    return true;
}

static void softmax_prepare(struct test *t)
{
    struct qd_tensor x, p;
    size_t floats;

    if (!qd_tensor_shape(&x, t->in[X], 0, &floats))
        exit(1);
    p = x;
    qd_tensor_place(&x, t->data[X]);
    qd_tensor_place(&p, t->data[2]);
    qd_ops_level("ref")->softmax(&x, &p, groups_of(t), 2);
}

static void call_softmax(const struct qd_grad_ops *g, const struct test *t)
{
    g->softmax(&t->src[2].t, &t->src[DY].t, &t->dst[0].t, (const float[]){(float)groups_of(t), 2},
        t->fresh);
}

static double loss_softmax(const struct test *t)
{
    size_t channels = (size_t)(t->in[X][3] / groups_of(t));
    double u[MAX_C], y[MAX_C], sum = 0;

    for (size_t i = 0; i < count_of(t->in[X]); i += channels) {
        for (size_t c = 0; c < channels; c++)
            u[c] = (double)t->data[X][i + c] / 2;
        act_pixel(QD_NORM_CHAN_SOFTMAX, u, y, (int)channels, NULL);
        sum += dot_pixel(t->data[DY] + i, y, (int)channels);
    }
    return sum;
}

/* ---- dropout --------------------------------------------------------------------------------- */

/* The mask is the same there and back. */
static void call_thin(const struct qd_grad_ops *g, const struct test *t)
{
    g->thin(&t->src[DY].t, &t->src[DY].t, t->variant ? 1 : .4f, 77);
}

static void forward_thin(const struct qd_ops *o, const struct test *t, const struct qd_tensor *x,
    const struct qd_tensor *out)
{
    qd_grad_ops_of(o)->thin(x, out, t->variant ? 1 : .4f, 77);
}

static double loss_thin(const struct test *t)
{
    return loss_of(t, forward_thin);
}

static const struct op ops[] = {
    {"bias", 1, false, 1.f / 128, 1e-6, 1e-5, bias_shape, NULL, call_bias, loss_bias},
    {"bn", 2 * QD_LEN(bn_acts), true, 1e-5f, 1e-5, 1e-5, bn_shape, bn_prepare, call_bn, loss_bn},
    {"act", QD_ACT_COUNT, true, 1e-5f, 1e-5, 1e-5, act_shape, NULL, call_act, loss_act},
    {"act_out", QD_ACT_COUNT, true, 1e-5f, 1e-5, 1e-5, act_out_shape, act_out_prepare, call_act_out,
        loss_act},
    {"add", 9, false, 1.f / 128, 1e-6, 1e-6, add_shape, NULL, call_add, loss_add},
    {"dot", 4, false, 1.f / 128, 1e-6, 1e-5, dot_shape, NULL, call_dot, loss_dot},
    {"gate", 9, false, 1.f / 128, 1e-6, 1e-5, gate_shape, NULL, call_gate, loss_gate},
    {"softmax", 2, false, 1e-5f, 1e-5, 1e-5, softmax_shape, softmax_prepare, call_softmax,
        loss_softmax},
    {"thin", 2, true, 1.f / 128, 1e-5, 0, same_shape, NULL, call_thin, loss_thin},
};

int main(void)
{
    return grad_main(ops, QD_LEN(ops));
}
