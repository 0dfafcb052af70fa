/* SPDX-License-Identifier: MIT */
/*
 * Activations: names, and each formula in plain C.  The forms are chosen so that no finite input
 * gives NaN, however large, and that NaN gives NaN.  Formulas: spec darknet.md 2.0.
 */
#include "ops/act.h"

#include <math.h>

static const char *const names[QD_ACT_COUNT] = {
    [QD_LINEAR] = "linear",
    [QD_LEAKY] = "leaky",
    [QD_RELU] = "relu",
    [QD_RELU6] = "relu6",
    [QD_LOGISTIC] = "logistic",
    [QD_MISH] = "mish",
    [QD_SWISH] = "swish",
    [QD_HSWISH] = "hswish",
    [QD_HSIGMOID] = "hsigmoid",
    [QD_LOGGY] = "loggy",
    [QD_RELIE] = "relie",
    [QD_RAMP] = "ramp",
    [QD_ELU] = "elu",
    [QD_SELU] = "selu",
    [QD_GELU] = "gelu",
    [QD_TANH] = "tanh",
    [QD_PLSE] = "plse",
    [QD_STAIR] = "stair",
    [QD_HARDTAN] = "hardtan",
    [QD_LHTAN] = "lhtan",
    [QD_HARD_MISH] = "hard_mish",
    [QD_PRELU] = "prelu",
    [QD_NORM_CHAN] = "normalize_channels",
    [QD_NORM_CHAN_SOFTMAX] = "normalize_channels_softmax",
    [QD_NORM_CHAN_SOFTMAX_MAX] = "normalize_channels_softmax_maxval",
};

static const struct alias {
    const char *name;
    enum qd_act act;
} aliases[] = {
    {"none", QD_LINEAR},
    {"h_swish", QD_HSWISH},
    {"hard_swish", QD_HSWISH},
    {"h_sigmoid", QD_HSIGMOID},
};

int qd_act_find(const char *name)
{
    for (int i = 0; i < QD_ACT_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    for (size_t i = 0; i < QD_LEN(aliases); i++)
        if (strcmp(aliases[i].name, name) == 0)
            return (int)aliases[i].act;
    return -1;
}

const char *qd_act_name(enum qd_act a)
{
    return names[a];
}

bool qd_act_elementwise(enum qd_act a)
{
    return a < QD_NORM_CHAN;
}

/* Comparisons are written so that NaN falls through to the branch that returns x. */
static float relu(float x)
{
    return x < 0 ? 0 : x;
}

static float relu6(float x)
{
    return x < 0 ? 0 : x > 6 ? 6 : x;
}

static float logistic(float x)
{
    return 1 / (1 + expf(-x));
}

/* softplus; spec: x above 20, e^x below -20 */
static float softplus(float x)
{
    return x > 20 ? x : x < -20 ? expf(x) : log1pf(expf(x));
}

static float plse(float x)
{
    return x < -4 ? .01f * (x + 4) : x > 4 ? .01f * (x - 4) + 1 : .125f * x + .5f;
}

/* Steps up over odd unit intervals, flat over even ones: slope 1/2 on average. */
static float stair(float x)
{
    float n = floorf(x), half = floorf(n / 2);

    return n == 2 * half ? half : half + (x - n);
}

static float lhtan(float x)
{
    return x < 0 ? .001f * x : x > 1 ? .001f * (x - 1) + 1 : x;
}

static float hard_mish(float x)
{
    return x > 0 ? x : x > -2 ? x * x * .5f + x : x <= -2 ? 0 : x;
}

float qd_act_ref(enum qd_act a, float x, float slope)
{
    switch (a) {
    case QD_LEAKY:
        return x > 0 ? x : .1f * x;
    case QD_RELU:
        return relu(x);
    case QD_RELU6:
        return relu6(x);
    case QD_LOGISTIC:
        return logistic(x);
    case QD_MISH:
        return x * tanhf(softplus(x));
    case QD_SWISH:
        return x * logistic(x);
    case QD_HSWISH:
        return x * (relu6(x + 3) / 6);
    case QD_HSIGMOID:
        return relu6(x + 3) / 6;
    case QD_LOGGY: /* 2 / (1 + e^-x) - 1, without the cancellation at 0 */
        return tanhf(.5f * x);
    case QD_RELIE:
        return x > 0 ? x : .01f * x;
    case QD_RAMP:
        return relu(x) + .1f * x;
    case QD_ELU:
        return x >= 0 ? x : expm1f(x);
    case QD_SELU:
        return x >= 0 ? 1.0507f * x : 1.0507f * 1.6732f * expm1f(x);
    case QD_GELU:
        return .5f * x * (1 + tanhf(.797885f * x + .035677f * x * x * x));
    case QD_TANH:
        return tanhf(x);
    case QD_PLSE:
        return plse(x);
    case QD_STAIR:
        return stair(x);
    case QD_HARDTAN:
        return x < -1 ? -1 : x > 1 ? 1 : x;
    case QD_LHTAN:
        return lhtan(x);
    case QD_HARD_MISH:
        return hard_mish(x);
    case QD_PRELU:
        return x > 0 ? x : slope * x;
    default:
        return x;
    }
}
