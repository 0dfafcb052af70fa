/* SPDX-License-Identifier: MIT */
/*
 * Derivatives of activations in plain C.  The forms are chosen so that no finite input gives NaN,
 * and at a kink the side is darknet's: spec darknet.md 2.0.
 */
#include <math.h>

#include "ops/grad.h"
#include "ops/kernels.h"

bool qd_act_from_output(enum qd_act a)
{
    switch (a) {
    case QD_MISH:
    case QD_SWISH:
    case QD_HSWISH:
    case QD_GELU:
    case QD_HARD_MISH:
    case QD_PRELU:     /* a negative slope makes the sign of y ambiguous */
    case QD_NORM_CHAN: /* the divisor is lost */
        return false;
    default:
        return true;
    }
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* With e = e^x: tanh(ln(1 + e)) = n / (n + 2), n = e (e + 2), whose derivative is
 * sigmoid(x) * 4 (n + 1) / (n + 2)^2. */
static float mish(float x)
{
    if (x > 20)
        return 1;
    float e = expf(x), n = e * (e + 2);
    return n / (n + 2) + x * sigmoid(x) * (4 * (n + 1) / ((n + 2) * (n + 2)));
}

/* d/dx .5x (1 + tanh(w)), w = .797885x + .035677x^3; far out the cube would overflow. */
static float gelu(float x)
{
    if (!(fabsf(x) < 10))
        return x > 0 ? 1 : 0;
    float t = tanhf(.797885f * x + .035677f * x * x * x);
    return .5f * (1 + t) + .5f * x * (1 - t) * (1 + t) * (.797885f + 3 * .035677f * x * x);
}

static float tanh_grad(float x)
{
    float t = tanhf(x);

    return (1 - t) * (1 + t);
}

static float smooth(enum qd_act a, float x)
{
    switch (a) {
    case QD_LOGISTIC:
        return sigmoid(x) * sigmoid(-x);
    case QD_LOGGY:
        return 2 * sigmoid(x) * sigmoid(-x);
    case QD_MISH:
        return mish(x);
    case QD_SWISH:
        return sigmoid(x) * (1 + x * sigmoid(-x));
    case QD_ELU:
        return x >= 0 ? 1 : expf(x);
    case QD_SELU:
        return x >= 0 ? 1.0507f : 1.0507f * 1.6732f * expf(x);
    case QD_GELU:
        return gelu(x);
    case QD_TANH:
        return tanh_grad(x);
    default:
        return 1;
    }
}

float qd_act_grad_ref(enum qd_act a, float x, float slope)
{
    switch (a) {
    case QD_LEAKY:
        return x > 0 ? 1 : .1f;
    case QD_RELU:
        return x > 0 ? 1 : 0;
    case QD_RELU6:
        return x > 0 && x < 6 ? 1 : 0;
    case QD_HSWISH:
        return x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6;
    case QD_HSIGMOID:
        return x > -3 && x < 3 ? 1.f / 6 : 0;
    case QD_RELIE:
        return x > 0 ? 1 : .01f;
    case QD_RAMP:
        return x > 0 ? 1.1f : .1f;
    case QD_PLSE:
        return x < -4 || x > 4 ? .01f : .125f;
    case QD_STAIR: /* flat over even unit intervals, and at the steps */
        return x == floorf(x) || floorf(x) == 2 * floorf(floorf(x) / 2) ? 0 : 1;
    case QD_HARDTAN:
        return x > -1 && x < 1 ? 1 : 0;
    case QD_LHTAN:
        return x > 0 && x < 1 ? 1 : .001f;
    case QD_HARD_MISH:
        return x > 0 ? 1 : x > -2 ? x + 1 : 0;
    case QD_PRELU:
        return x > 0 ? 1 : slope;
    default:
        return smooth(a, x);
    }
}

float qd_act_grad_out_ref(enum qd_act a, float y)
{
    switch (a) {
    case QD_LOGISTIC:
        return y * (1 - y);
    case QD_LOGGY:
        return .5f * (1 - y) * (1 + y);
    case QD_TANH:
        return (1 - y) * (1 + y);
    case QD_ELU:
        return y >= 0 ? 1 : y + 1;
    case QD_SELU:
        return y >= 0 ? 1.0507f : y + 1.0507f * 1.6732f;
    case QD_HSIGMOID:
        return y > 0 && y < 1 ? 1.f / 6 : 0;
    case QD_PLSE:
        return y < 0 || y > 1 ? .01f : .125f;
    case QD_STAIR:
        return y == floorf(y) ? 0 : 1;
    default: /* piecewise linear with the same kinks in y as in x */
        return qd_act_grad_ref(a, y, 0);
    }
}

/* ---- activations over the channels of a pixel ------------------------------------------------ */

/* The pre-activation: x, or x normalized. */
static float pre(const float *x, const struct qd_bn *b, int c)
{
    return b ? (x[c] - b->mean[c]) * b->inv[c] * b->scale[c] + b->bias[c] : x[c];
}

/* y = relu(u) / s, s = sum of relu + 1e-4: du = (dy - sum(y * dy)) / s where u > 0 */
static void normalize(const float *x, const struct qd_bn *b, float *dy, int channels)
{
    double s = 1e-4, dot = 0;

    for (int c = 0; c < channels; c++) {
        float r = QD_MAX(pre(x, b, c), 0);
        s += (double)r;
        dot += (double)r * (double)dy[c];
    }
    for (int c = 0; c < channels; c++)
        dy[c] = pre(x, b, c) > 0 ? (float)(((double)dy[c] - dot / s) / s) : 0;
}

static void softmax(const float *x, const struct qd_bn *b, float *dy, int channels)
{
    double s = 0, dot = 0;
    float max = pre(x, b, 0);

    for (int c = 1; c < channels; c++)
        max = fmaxf(max, pre(x, b, c));
    for (int c = 0; c < channels; c++) {
        float e = expf(pre(x, b, c) - max);
        s += (double)e;
        dot += (double)e * (double)dy[c];
    }
    for (int c = 0; c < channels; c++)
        dy[c] = (float)((double)expf(pre(x, b, c) - max) / s * ((double)dy[c] - dot / s));
}

void qd_act_grad_channels(
    enum qd_act a, const float *x, const struct qd_bn *b, float *dy, int channels)
{
    if (a == QD_NORM_CHAN)
        normalize(x, b, dy, channels);
    else
        softmax(x, b, dy, channels);
}

void qd_softmax_grad(const float *p, const float *dy, float *dx, int n, float scale)
{
    double dot = 0;

    for (int i = 0; i < n; i++)
        dot += (double)p[i] * (double)dy[i];
    for (int i = 0; i < n; i++)
        dx[i] = scale * p[i] * (float)((double)dy[i] - dot);
}
