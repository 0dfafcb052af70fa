/* SPDX-License-Identifier: MIT */
/*
 * A rig for tests of losses: the layer of a cfg text, a raw tensor with borders and strides, truths
 * and a gradient tensor that begins as rubbish.
 */
#ifndef LOSS_RIG_H
#define LOSS_RIG_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "net/model.h"
#include "train/loss/loss.h"

enum { LOSS_MAX_BATCH = 4, LOSS_MAX_TRUTHS = 16 };

struct loss_rig {
    struct qd_model *m;
    const struct qd_layer *l;
    struct qd_loss *loss;
    struct qd_loss_in in;
    struct qd_tensor raw, grad;
    float *mem[2];
    struct qd_labels truths[LOSS_MAX_BATCH];
    struct qd_label label[LOSS_MAX_BATCH][LOSS_MAX_TRUTHS];
    struct qd_loss_parts parts;
    struct qd_error err;
};

static inline void loss_bail(const char *why)
{
    printf("Bail out! %s\n", why);
    exit(99);
}

static inline float *loss_tensor(struct qd_tensor *t, const struct qd_layer *l, int n, int border)
{
    const int nhwc[4] = {n, l->ih, l->iw, l->ic};
    size_t floats;
    float *mem = qd_tensor_shape(t, nhwc, border, &floats) ? malloc(floats * sizeof(*mem)) : NULL;

    if (!mem)
        loss_bail("out of memory");
    for (size_t i = 0; i < floats; i++)
        mem[i] = NAN; /* also what a gradient holds before */
    qd_tensor_place(t, mem);
    return mem;
}

/* Where value c of a pixel lies in a tensor. */
static inline float *loss_at(const struct qd_tensor *t, int n, size_t i)
{
    size_t c = (size_t)t->c, pixel = i / c;

    return qd_at(t, n, (int)(pixel / (size_t)t->w), (int)(pixel % (size_t)t->w)) + i % c;
}

/* The last layer of the cfg in batches of n; raw values random. */
static inline struct loss_rig *loss_open(
    const char *text, const char *name, int n, const struct qd_loss_opts *opts)
{
    struct loss_rig *r = calloc(1, sizeof(*r));
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), name, &r->err);

    r->m = cfg ? qd_model_new(cfg, &r->err) : NULL;
    if (!r->m)
        loss_bail(r->err.msg);
    r->l = &r->m->graph->layer[r->m->graph->nlayers - 1];
    r->loss = qd_loss_new(r->l, opts, n, &r->err);
    if (!r->loss)
        loss_bail(r->err.msg);
    r->mem[0] = loss_tensor(&r->raw, r->l, n, 1);
    r->mem[1] = loss_tensor(&r->grad, r->l, n, 2);
    for (int i = 0; i < n; i++) {
        r->truths[i].label = r->label[i];
        for (size_t k = 0; k < (size_t)r->l->ih * (size_t)r->l->iw * (size_t)r->l->ic; k++)
            *loss_at(&r->raw, i, k) = tap_randf(-1.5f, 1.5f);
    }
    r->in =
        (struct qd_loss_in){.raw = &r->raw, .grad = &r->grad, .truths = r->truths, .seen = 100000};
    return r;
}

static inline void loss_close(struct loss_rig *r)
{
    qd_loss_free(r->loss);
    qd_model_free(r->m);
    free(r->mem[0]);
    free(r->mem[1]);
    free(r);
}

static inline void loss_truth(
    struct loss_rig *r, int image, int class_id, float x, float y, float w, float h)
{
    struct qd_labels *t = &r->truths[image];

    t->label[t->n] = (struct qd_label){class_id, {x, y, w, h}, (int)t->n + 1};
    t->n++;
}

static inline int loss_run(struct loss_rig *r)
{
    r->err = (struct qd_error){0};
    return qd_loss_run(r->loss, &r->in, &r->parts, &r->err);
}

/* Values of an image. */
static inline size_t loss_size(const struct loss_rig *r)
{
    return (size_t)r->raw.h * (size_t)r->raw.w * (size_t)r->raw.c;
}

#endif
