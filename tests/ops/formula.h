/* SPDX-License-Identifier: MIT */
/*
 * Elementwise activations in double precision: spec darknet.md 2.0.
 */
#ifndef FORMULA_H
#define FORMULA_H

#include <math.h>

#include "ops/act.h"

static inline double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static inline double clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* The smooth ones. */
static inline double smooth(enum qd_act a, double x)
{
    switch (a) {
    case QD_LOGISTIC:
        return sigmoid(x);
    case QD_MISH:
        return x * tanh(x > 20 ? x : x < -20 ? exp(x) : log1p(exp(x)));
    case QD_SWISH:
        return x * sigmoid(x);
    case QD_LOGGY:
        return 2 * sigmoid(x) - 1;
    case QD_ELU:
        return x >= 0 ? x : expm1(x);
    case QD_SELU:
        return x >= 0 ? 1.0507 * x : 1.0507 * 1.6732 * expm1(x);
    case QD_GELU:
        return .5 * x * (1 + tanh(.797885 * x + .035677 * x * x * x));
    case QD_TANH:
        return tanh(x);
    default:
        return (double)NAN;
    }
}

static inline double formula(enum qd_act a, double x, double slope)
{
    double n = floor(x);

    switch (a) {
    case QD_LINEAR:
        return x;
    case QD_LEAKY:
        return x > 0 ? x : .1 * x;
    case QD_RELU:
        return fmax(x, 0);
    case QD_RELU6:
        return clamp(x, 0, 6);
    case QD_HSWISH:
        return x * clamp(x + 3, 0, 6) / 6;
    case QD_HSIGMOID:
        return clamp(x + 3, 0, 6) / 6;
    case QD_RELIE:
        return x > 0 ? x : .01 * x;
    case QD_RAMP:
        return fmax(x, 0) + .1 * x;
    case QD_PLSE:
        return x < -4 ? .01 * (x + 4) : x > 4 ? .01 * (x - 4) + 1 : .125 * x + .5;
    case QD_STAIR:
        return fmod(n, 2) == 0 ? floor(x / 2) : x - n + floor(x / 2);
    case QD_HARDTAN:
        return clamp(x, -1, 1);
    case QD_LHTAN:
        return x < 0 ? .001 * x : x > 1 ? .001 * (x - 1) + 1 : x;
    case QD_HARD_MISH:
        return x > 0 ? x : x > -2 ? x * x / 2 + x : 0;
    case QD_PRELU:
        return x > 0 ? x : slope * x;
    default:
        return smooth(a, x);
    }
}

#endif
