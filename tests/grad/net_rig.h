/* SPDX-License-Identifier: MIT */
/*
 * A rig for tests of training: a small net from tests/grad/NAME.cfg with random parameters and
 * input, and a loss that is the sum of all its outputs, each times a random number.  Input and
 * numbers belong to an image, so that images can be spread over nets of other batch sizes.
 */
#ifndef NET_RIG_H
#define NET_RIG_H

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "base/io.h"
#include "base/rng.h"
#include "net/train_net.h"

enum { RIG_MASKS = 7 /* seed of random masks */ };

struct rig {
    struct qd_model *m;
    struct qd_train_net *t;
    const struct qd_graph *g;
    int first;     /* number of the first image */
    uint64_t seed; /* of input and loss */
    bool share;    /* most gradients lie where values do until backward comes to them */
};

struct rig_opts {
    const char *override; /* "2.activation=mish", or NULL */
    int batch, first, frozen;
    bool branch; /* add a convolution that reads the first one, so that its gradient is not fresh */
    bool share, repack;  /* as a run does: values die early, parameters are packed in every pass */
    const float *params; /* NULL: random ones */
    uint64_t seed;
};

static inline void rig_die(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(99);
}

/* An output: what no other layer reads. */
static inline bool rig_is_output(const struct rig *r, int layer)
{
    for (int i = layer + 1; i < r->g->nlayers; i++)
        for (int k = 0; k < r->g->layer[i].nin; k++)
            if (r->g->layer[i].in[k] == layer)
                return false;
    return true;
}

/* Sums of ordinary size that reach the kinks of all activations; multiples of 2^-14, so that steps
 * of powers of 2 are exact. */
static inline void rig_params(struct qd_model *m)
{
    for (int i = 0; i < m->graph->nlayers; i++)
        for (int k = 0; k < m->graph->layer[i].nparams; k++) {
            const struct qd_param *p = &m->graph->layer[i].param[k];
            float *x = m->params + p->offset;
            float dev = p->fan_in ? 2.5f / sqrtf((float)p->fan_in) : .5f;
            bool one = p->flags & (QD_PARAM_VAR | QD_PARAM_INIT_ONE);
            for (size_t j = 0; j < p->count && !(p->flags & QD_PARAM_SHARED); j++)
                x[j] = roundf((one ? tap_randf(.5f, 1.5f) : tap_randf(-dev, dev)) * 16384) / 16384;
        }
}

static inline const char *rig_path(const char *name)
{
    static char path[1000];
    const char *root = getenv("QD_ROOT");

    snprintf(path, sizeof(path), "%s/tests/grad/%s.cfg", root ? root : ".", name);
    return path;
}

static inline struct qd_cfg *rig_cfg(const char *name, bool branch, struct qd_error *err)
{
    struct qd_buf text = {0};
    struct qd_cfg *cfg = NULL;
    bool crop = strcmp(name, "crop") == 0; /* where the first convolution is the second layer */

    if (qd_io_slurp(rig_path(name), 1 << 20, &text, err) < 0)
        rig_die(err->msg);
    if (branch)
        qd_buf_printf(&text,
            "\n[route]\nlayers=%d\n[convolutional]\nfilters=2\nsize=3\npad=1\n"
            "activation=linear\n",
            crop);
    if (qd_buf_ok(&text, err) == 0)
        cfg = qd_cfg_parse(text.data, text.len, name, err);
    qd_buf_free(&text);
    return cfg;
}

/* False when the cfg refuses the override. */
static inline bool rig_try(struct rig *r, const char *name, const struct rig_opts *o)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = rig_cfg(name, o->branch, &err);
    struct qd_train_net_opts opts = {.batch = o->batch,
        .frozen = o->frozen,
        .bn_momentum = .75f,
        .keep = !o->share,
        .repack = o->repack};

    *r = (struct rig){.first = o->first, .seed = o->seed, .share = o->share};
    if (!cfg || (o->override && qd_cfg_override(cfg, o->override, &err) < 0))
        rig_die(err.msg);
    r->m = qd_model_new(cfg, &err);
    if (!r->m && o->override && err.code == QD_EUNSUP)
        return false;
    if (!r->m || !(r->t = qd_train_net_new(r->m, &opts, &err)))
        rig_die(err.msg);
    r->g = qd_train_net_graph(r->t);
    for (int i = 0; i < r->g->nlayers; i++)
        if (rig_is_output(r, i) && qd_train_net_loss_at(r->t, i, &err) < 0)
            rig_die(err.msg);
    if (qd_train_net_ready(r->t, &err) < 0)
        rig_die(err.msg);
    if (o->params)
        memcpy(r->m->params, o->params, r->g->nparams * sizeof(float));
    else
        rig_params(r->m);
    return true;
}

static inline struct rig rig_open(const char *name, const struct rig_opts *o)
{
    struct rig r;

    if (!rig_try(&r, name, o))
        rig_die(name);
    return r;
}

static inline void rig_close(struct rig *r)
{
    qd_train_net_free(r->t);
    qd_model_free(r->m);
}

/* The numbers of one image that belong to a layer's output, or the input (-1). */
static inline void rig_numbers(
    const struct rig *r, int layer, int n, const struct qd_tensor *t, float range)
{
    struct qd_rng g = qd_rng_new(r->seed + (uint64_t)(layer + 1), (uint64_t)(r->first + n));

    for (int y = 0; y < t->h; y++)
        for (int x = 0; x < t->w; x++)
            for (int c = 0; c < t->c; c++)
                qd_at(t, n, y, x)[c] = qd_rng_range(&g, -range, range);
}

static inline void rig_forward(struct rig *r)
{
    const struct qd_tensor *in = qd_train_net_value(r->t, -1);

    for (int n = 0; n < in->n; n++)
        rig_numbers(r, -1, n, in, 1.5f);
    qd_train_net_updated(r->t);
    qd_train_net_forward(r->t, RIG_MASKS);
}

/* Sum over an image of an output of value times number. */
static inline double rig_dot(const struct rig *r, int layer, int n)
{
    const struct qd_tensor *t = qd_train_net_value(r->t, layer);
    struct qd_rng g = qd_rng_new(r->seed + (uint64_t)(layer + 1), (uint64_t)(r->first + n));
    double s = 0;

    for (int y = 0; y < t->h; y++)
        for (int x = 0; x < t->w; x++)
            for (int c = 0; c < t->c; c++)
                s += (double)qd_rng_range(&g, -1, 1) * (double)qd_at(t, n, y, x)[c];
    return s;
}

static inline double rig_loss(struct rig *r)
{
    double s = 0;

    rig_forward(r);
    for (int i = 0; i < r->g->nlayers; i++)
        for (int n = 0; rig_is_output(r, i) && n < qd_train_net_value(r->t, i)->n; n++)
            s += rig_dot(r, i, n);
    return s;
}

/* What nobody may take for a gradient. */
static inline void rig_spoil(const struct qd_tensor *d)
{
    for (int k = 0; k < d->n * d->h * d->w; k++)
        for (int c = 0; c < d->c; c++)
            qd_at(d, k / (d->h * d->w), k / d->w % d->h, k % d->w)[c] = NAN;
}

/* Forward, then backward, which adds to the gradients. */
static inline const float *rig_gradients(struct rig *r)
{
    rig_forward(r);
    for (int i = 0; i < r->g->nlayers; i++) {
        const struct qd_tensor *d = qd_train_net_gradient(r->t, i);
        if (d && d->data && (!r->share || rig_is_output(r, i)))
            rig_spoil(d);
    }
    for (int i = 0; i < r->g->nlayers; i++) {
        const struct qd_tensor *d = qd_train_net_gradient(r->t, i);
        for (int n = 0; rig_is_output(r, i) && d && n < d->n; n++)
            rig_numbers(r, i, n, d, 1);
    }
    qd_train_net_backward(r->t);
    return qd_train_net_grads(r->t);
}

/* Root mean square of n numbers. */
static inline double rig_rms(const float *v, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += (double)v[i] * (double)v[i];
    return sqrt(s / (double)n);
}

/* The names of all cfgs in tests/grad, in order; for the life of the process. */
static inline char **rig_cfgs(size_t *n)
{
    static glob_t found;

    if (glob(rig_path("*"), 0, NULL, &found) != 0)
        rig_die("no cfgs");
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *base = strrchr(found.gl_pathv[i], '/') + 1;
        *strrchr(base, '.') = 0;
        found.gl_pathv[i] = base;
    }
    *n = found.gl_pathc;
    return found.gl_pathv;
}

#endif
