/* SPDX-License-Identifier: MIT */
#ifndef QD_ACT_H
#define QD_ACT_H

#include "base/base.h"

/* Activations y = f(x), elementwise but for the NORM_ ones; formulas: spec darknet.md 2.0. */
enum qd_act {
    QD_LINEAR,
    QD_LEAKY, /* x > 0 ? x : .1x */
    QD_RELU,
    QD_RELU6,
    QD_LOGISTIC,
    QD_MISH,
    QD_SWISH,
    QD_HSWISH,   /* x * relu6(x + 3) / 6 */
    QD_HSIGMOID, /* relu6(x + 3) / 6 */
    QD_LOGGY,
    QD_RELIE,
    QD_RAMP,
    QD_ELU,
    QD_SELU,
    QD_GELU,
    QD_TANH,
    QD_PLSE,
    QD_STAIR,
    QD_HARDTAN,
    QD_LHTAN,
    QD_HARD_MISH,
    QD_PRELU,                 /* x > 0 ? x : slope[channel] * x */
    QD_NORM_CHAN,             /* normalize_channels: per pixel, over the channels */
    QD_NORM_CHAN_SOFTMAX,     /* normalize_channels_softmax */
    QD_NORM_CHAN_SOFTMAX_MAX, /* normalize_channels_softmax_maxval */
    QD_ACT_COUNT
};

/* The activation of a cfg name, or -1.  "none" is linear. */
int qd_act_find(const char *name);
const char *qd_act_name(enum qd_act a);
/* Whether f works on each value alone (else on all channels of a pixel). */
bool qd_act_elementwise(enum qd_act a);
/* f(x) in plain C: the specification.  Elementwise ones only; 'slope' is prelu's. */
float qd_act_ref(enum qd_act a, float x, float slope);

#endif
