/* SPDX-License-Identifier: MIT */
/*
 * A rig for tests of layers: a small net from cfg text with random parameters and input, its
 * outputs as volumes of doubles in planar order, and naive operations on such volumes that share
 * nothing with the library.
 */
#ifndef LAYER_RIG_H
#define LAYER_RIG_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "net/net.h"

/* float32 sums of at most some thousand terms of size 1 against double */
#define RIG_TOL 2e-5

struct vol {
    int c, h, w;
    double *v; /* [c][h][w] */
};

struct rig {
    struct qd_model *m;
    struct qd_net *net;
    int batch;
    void *pool[256];
    int npool;
};

static inline void *rig_mem(struct rig *r, size_t bytes)
{
    void *p = calloc(bytes + 1, 1);

    if (!p || r->npool == (int)QD_LEN(r->pool)) {
        printf("Bail out! out of memory\n");
        exit(99);
    }
    return r->pool[r->npool++] = p;
}

static inline struct vol vol_new(struct rig *r, int c, int h, int w)
{
    return (struct vol){c, h, w, rig_mem(r, (size_t)c * (size_t)h * (size_t)w * sizeof(double))};
}

static inline double *vol_at(const struct vol *a, int c, int y, int x)
{
    return &a->v[((size_t)c * (size_t)a->h + (size_t)y) * (size_t)a->w + (size_t)x];
}

static inline double vol_get(const struct vol *a, int c, int y, int x)
{
    return x < 0 || y < 0 || x >= a->w || y >= a->h ? 0 : *vol_at(a, c, y, x);
}

static inline size_t vol_len(const struct vol *a)
{
    return (size_t)a->c * (size_t)a->h * (size_t)a->w;
}

/* Random parameters of ordinary size: variances and scales around 1. */
static inline void rig_params(struct qd_model *m)
{
    for (int i = 0; i < m->graph->nlayers; i++)
        for (int k = 0; k < m->graph->layer[i].nparams; k++) {
            const struct qd_param *p = &m->graph->layer[i].param[k];
            float *x = m->params + p->offset;
            float dev = p->fan_in ? 1.7f / sqrtf((float)p->fan_in) : .5f;
            bool one = p->flags & (QD_PARAM_VAR | QD_PARAM_INIT_ONE);
            for (size_t j = 0; j < p->count && !(p->flags & QD_PARAM_SHARED); j++)
                x[j] = one ? tap_randf(.5f, 1.5f) : tap_randf(-dev, dev);
        }
}

/* A model of a cfg with such parameters. */
static inline struct qd_model *rig_model(const char *text)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (!m) {
        printf("Bail out! %s\n", err.msg);
        exit(99);
    }
    rig_params(m);
    return m;
}

/* Build 'text', run it on random input; keep: every layer's output stays readable. */
static inline struct rig rig_open(const char *text, int batch, bool keep)
{
    struct rig r = {.batch = batch};
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    struct qd_net_opts o = {.batch = batch, .keep_all = keep};

    r.m = cfg ? qd_model_new(cfg, &err) : NULL;
    if (r.m)
        rig_params(r.m);
    r.net = r.m ? qd_net_new(r.m, &o, &err) : NULL;
    if (!r.net) {
        printf("Bail out! %s\n", err.msg);
        exit(99);
    }
    const struct qd_tensor *in = qd_net_tensor(r.net, -1);
    for (int n = 0; n < batch; n++)
        for (int y = 0; y < in->h; y++)
            for (int x = 0; x < in->w; x++)
                for (int c = 0; c < in->c; c++)
                    qd_at(in, n, y, x)[c] = tap_randf(-1, 1);
    qd_net_forward(r.net);
    return r;
}

static inline void rig_close(struct rig *r)
{
    qd_net_free(r->net);
    qd_model_free(r->m);
    for (int i = 0; i < r->npool; i++)
        free(r->pool[i]);
}

/* Output of a layer (-1: the input) for an image. */
static inline struct vol rig_out(struct rig *r, int layer, int image)
{
    const struct qd_tensor *t = qd_net_tensor(r->net, layer);
    struct vol a = vol_new(r, t->c, t->h, t->w);

    for (int c = 0; c < t->c; c++)
        for (int y = 0; y < t->h; y++)
            for (int x = 0; x < t->w; x++)
                *vol_at(&a, c, y, x) = (double)qd_at(t, image, y, x)[c];
    return a;
}

static inline const float *rig_param(struct rig *r, int layer, const char *name)
{
    const struct qd_param *p = qd_layer_find_param(&r->m->graph->layer[layer], name);

    if (!p) {
        printf("Bail out! layer %d has no '%s'\n", layer, name);
        exit(99);
    }
    return r->m->params + p->offset;
}

/* One check: layer's output for 'image' is what was expected. */
static inline void rig_is(
    struct rig *r, int layer, int image, const struct vol *want, const char *what)
{
    struct vol got = rig_out(r, layer, image);
    double worst = 0;

    if (got.c != want->c || got.h != want->h || got.w != want->w) {
        OK(false, "%s: %dx%dx%d instead of %dx%dx%d", what, got.w, got.h, got.c, want->w, want->h,
            want->c);
        return;
    }
    for (size_t i = 0; i < vol_len(want); i++) {
        double d = fabs(got.v[i] - want->v[i]) / (1 + fabs(want->v[i]));
        worst = d > worst || isnan(d) ? d : worst;
    }
    OK(worst <= RIG_TOL, "%s (off by %g)", what, worst);
}

/* ---- naive operations ------------------------------------------------------------------------ */

struct cv {
    int k, r, sy, sx, pad, dil, groups;
};

/* Weights are [k][c/groups][r][r]. */
static inline struct vol naive_conv(
    struct rig *r, const struct vol *in, struct cv g, const float *weight)
{
    int cg = in->c / g.groups, kg = g.k / g.groups;
    struct vol out =
        vol_new(r, g.k, (in->h + 2 * g.pad - g.r) / g.sy + 1, (in->w + 2 * g.pad - g.r) / g.sx + 1);

    for (size_t i = 0; i < vol_len(&out); i++) {
        int x = (int)(i % (size_t)out.w), y = (int)(i / (size_t)out.w % (size_t)out.h);
        int f = (int)(i / (size_t)out.w / (size_t)out.h);
        for (int j = 0; j < cg * g.r * g.r; j++) {
            int ch = j / (g.r * g.r), ky = j / g.r % g.r, kx = j % g.r;
            out.v[i] += (double)weight[f * cg * g.r * g.r + j] *
                        vol_get(in, f / kg * cg + ch, y * g.sy + (ky - g.pad) * g.dil,
                            x * g.sx + (kx - g.pad) * g.dil);
        }
    }
    return out;
}

/* Batch normalization with the layer's arrays, or just its bias; in place. */
static inline void naive_bn(struct rig *r, struct vol *a, int layer, bool bn)
{
    const float *bias = rig_param(r, layer, "biases");
    size_t plane = (size_t)a->h * (size_t)a->w;

    for (int c = 0; c < a->c; c++)
        for (size_t i = 0; i < plane; i++) {
            double *v = &a->v[(size_t)c * plane + i];
            if (bn)
                *v = (*v - (double)rig_param(r, layer, "rolling_mean")[c]) /
                     sqrt((double)rig_param(r, layer, "rolling_variance")[c] + 1e-5) *
                     (double)rig_param(r, layer, "scales")[c];
            *v += (double)bias[c];
        }
}

static inline double naive_logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static inline double naive_leaky(double x)
{
    return x > 0 ? x : .1 * x;
}

static inline double naive_relu(double x)
{
    return x > 0 ? x : 0;
}

static inline double naive_mish(double x)
{
    return x * tanh(log1p(exp(x)));
}

static inline double naive_hsigmoid(double x)
{
    return fmin(fmax(x + 3, 0), 6) / 6;
}

static inline void naive_map(struct vol *a, double (*f)(double))
{
    for (size_t i = 0; i < vol_len(a); i++)
        a->v[i] = f(a->v[i]);
}

#endif
