/* SPDX-License-Identifier: MIT */
/*
 * What the layer types share: lines of key tables, checked shapes and parameters, the texts for
 * qd-info, and the folding of batch normalization.
 */
#ifndef QD_LAYER_UTIL_H
#define QD_LAYER_UTIL_H

#include "net/layer.h"

/* Lines of a key table: name, default (text or NULL), range, help. */
#define QD_K_INT(n, d, lo, hi, h)                                                                  \
    {                                                                                              \
        n, QD_KEY_INT, d, lo, hi, NULL, h                                                          \
    }
#define QD_K_FLAG(n, d, h)                                                                         \
    {                                                                                              \
        n, QD_KEY_INT, d, 0, 1, NULL, h                                                            \
    }
#define QD_K_FLOAT(n, d, lo, hi, h)                                                                \
    {                                                                                              \
        n, QD_KEY_FLOAT, d, lo, hi, NULL, h                                                        \
    }
#define QD_K_WORD(n, d, choices, h)                                                                \
    {                                                                                              \
        n, QD_KEY_WORD, d, 0, 0, choices, h                                                        \
    }
#define QD_K_INTS(n, lo, hi, h)                                                                    \
    {                                                                                              \
        n, QD_KEY_INTS, NULL, lo, hi, NULL, h                                                      \
    }
/* Keys that name layers: pruning renumbers them. */
#define QD_K_LAYER(n, h)                                                                           \
    {                                                                                              \
        n, QD_KEY_LAYER, NULL, -65536, 65536, NULL, h                                              \
    }
#define QD_K_LAYERS(n, h)                                                                          \
    {                                                                                              \
        n, QD_KEY_LAYERS, NULL, -65536, 65536, NULL, h                                             \
    }
#define QD_K_NOTED_LAYERS(n, h)                                                                    \
    {                                                                                              \
        n, QD_KEY_NOTED_LAYERS, NULL, 0, 0, NULL, h                                                \
    }
#define QD_K_FLOATS(n, lo, hi, h)                                                                  \
    {                                                                                              \
        n, QD_KEY_FLOATS, NULL, lo, hi, NULL, h                                                    \
    }
#define QD_K_TEXT(n, h)                                                                            \
    {                                                                                              \
        n, QD_KEY_TEXT, NULL, 0, 0, NULL, h                                                        \
    }
#define QD_K_NOTED(n, h)                                                                           \
    {                                                                                              \
        n, QD_KEY_NOTED, NULL, 0, 0, NULL, h                                                       \
    }
#define QD_K_REFUSED(n, h)                                                                         \
    {                                                                                              \
        n, QD_KEY_REFUSED, NULL, 0, 0, NULL, h                                                     \
    }
#define QD_K_ACT(d)                                                                                \
    {                                                                                              \
        "activation", QD_KEY_WORD, d, 0, 0, NULL, "activation function"                            \
    }

/* Largest sides and channel counts that a layer may have; products are checked where memory is
 * reserved. */
enum { QD_MAX_SIDE = 1 << 16, QD_MAX_CHANNELS = 1 << 20 };

/* Source 0 is the previous layer. */
int qd_layer_previous(struct qd_layer *l, struct qd_keys *k) QD_MUSTCHECK;
/* Read the integers of a list key that must be given; returns how many, or -1. */
int qd_layer_list(
    struct qd_layer *l, struct qd_keys *k, const char *key, int *list, int max) QD_MUSTCHECK;
/* Set h, w, c; a fault when one of them is below 1 or too large. */
int qd_layer_shape(struct qd_layer *l, struct qd_keys *k, long h, long w, long c) QD_MUSTCHECK;
/* qd_layer_param() with QD_PARAM_UNLOADED added as dontload and dontloadscales say. */
int qd_layer_add(struct qd_layer *l, struct qd_keys *k, const char *name, size_t count, int flags,
    int fan_in) QD_MUSTCHECK;
/* The three arrays of batch normalization (after "biases"), n channels. */
int qd_layer_add_bn(struct qd_layer *l, struct qd_keys *k, size_t n) QD_MUSTCHECK;
/*
 * Bodies of the member 'channels': every channel goes with the one of the same number in all
 * sources (which have as many); all channels of output and sources stay; channel k of each of
 * 'groups' equal parts of the c channels of a layer (-1: the input) goes with the others; the
 * output's channels stay when the activation is no function of single values.
 */
void qd_channels_same(const struct qd_layer *l, const struct qd_channels *ch);
void qd_channels_keep(const struct qd_layer *l, const struct qd_channels *ch, const char *why);
void qd_channels_groups(const struct qd_channels *ch, int layer, int c, int groups);
void qd_channels_act(const struct qd_layer *l, const struct qd_channels *ch, enum qd_act act);
/* Append to l->detail. */
void qd_layer_detail(struct qd_layer *l, const char *fmt, ...) QD_PRINTF(2, 3);
/* Append "from -1, 8" to l->detail. */
void qd_layer_detail_list(struct qd_layer *l, const char *word, const int *list, int n);
/* "layer 12 (13x13x256)" or "the input (416x416x3)" for source i; returns buf. */
const char *qd_layer_source_text(const struct qd_layer *l, int i, char buf[64]);
/* A fault when source i has another width or height than source 0. */
int qd_layer_same_size(struct qd_layer *l, struct qd_keys *k, const char *key, int i) QD_MUSTCHECK;
/* The values of a parameter in the model's block, or NULL when the layer has no such parameter. */
const float *qd_layer_values(const struct qd_layer *l, const float *params, const char *name);
/*
 * Batch normalization at inference as y = mul * x + add: mul = scale / sqrt(var + bn_eps),
 * add = bias - mean * mul, in double (Ioffe and Szegedy 2015; epsilon inside the root).  Reads the
 * layer's "biases", "scales", "rolling_mean" and "rolling_variance".
 */
void qd_layer_fold_bn(const struct qd_layer *l, const float *params, float *mul, float *add);

/* The fixed blur of antialiasing=1 (3x3 binomial) or 2 (2x2 mean), spec darknet.md 2.1. */
struct qd_layer_blur {
    int kind; /* 0: none, else antialiasing */
    int stride;
    struct qd_tensor in; /* shape of what it reads; no memory */
    size_t floats;       /* of that tensor, a multiple of 16 */
};
/* Output side of the blur for an input side, 0 when the input is too small. */
long qd_layer_blur_side(const struct qd_layer_blur *b, long side);
/* Plan it for n images of h x w x c; floats is SIZE_MAX when that does not fit into memory. */
void qd_layer_blur_plan(struct qd_layer_blur *b, const int nhwc[4]);
/* The tensor to write before qd_layer_blur_run, at 'mem' (64-byte aligned), its border zeroed. */
struct qd_tensor qd_layer_blur_in(const struct qd_layer_blur *b, float *mem);
void qd_layer_blur_run(const struct qd_layer_blur *b, const struct qd_ops *ops,
    const struct qd_tensor *in, const struct qd_tensor *out);
/* din = the gradient of what it read; dout of what it gave. */
void qd_layer_blur_back(const struct qd_layer_blur *b, const struct qd_grad_ops *g,
    const struct qd_tensor *dout, const struct qd_tensor *din);

#endif
