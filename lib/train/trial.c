/* SPDX-License-Identifier: MIT */
/*
 * Training steps on made-up images, labelled with made-up truths, to measure what a step takes: no
 * files, no loader, and a rate so small that the net stays as it is.
 */
#include <math.h>

#include "base/error.h"
#include "base/rng.h"
#include "train/train.h"

static const double rate = 1e-6;
enum {
    MOST_BOXES = 16,   /* of an image */
    STREAM_PIXELS = 1, /* of random numbers */
    STREAM_TRUTHS = 2, /* plus the number of the image */
};
static const uint64_t late = UINT64_MAX; /* the iteration: all that ever learns does */

struct qd_trial {
    struct qd_model *m; /* borrowed */
    int batch;
    uint64_t seed, steps;
    struct qd_learner learner;
    struct qd_optim *optim;
    size_t bytes;
    struct qd_labels *labels; /* [batch] */
    float *target;            /* for the heads of classifiers */
};

/* ---- made-up truths -------------------------------------------------------------------------- */

/* Boxes of 5 to 60 % of the image, inside it. */
static int make_boxes(struct qd_trial *t, int i, int classes, struct qd_error *err)
{
    struct qd_rng r = qd_rng_new(t->seed, STREAM_TRUTHS + (uint64_t)i);
    struct qd_labels *l = &t->labels[i];

    l->n = 1 + qd_rng_below(&r, MOST_BOXES);
    l->label = qd_alloc(l->n, sizeof(*l->label), err);
    if (!l->label)
        return -1;
    for (size_t k = 0; k < l->n; k++) {
        struct qd_box *b = &l->label[k].box;
        l->label[k].class_id = (int)qd_rng_below(&r, (uint32_t)classes);
        b->w = qd_rng_range(&r, .05f, .6f);
        b->h = qd_rng_range(&r, .05f, .6f);
        b->x = qd_rng_range(&r, b->w / 2, 1 - b->w / 2);
        b->y = qd_rng_range(&r, b->h / 2, 1 - b->h / 2);
    }
    return 0;
}

/* One of 'classes' in every pixel, for 'n' values; all heads read the same. */
static int make_target(struct qd_trial *t, size_t n, int classes, struct qd_error *err)
{
    struct qd_rng r = qd_rng_new(t->seed, STREAM_TRUTHS);
    size_t k = (size_t)classes;

    t->target = qd_alloc(n, sizeof(*t->target), err);
    if (!t->target)
        return -1;
    for (size_t at = 0; at + k <= n; at += k)
        t->target[at + qd_rng_below(&r, (uint32_t)classes)] = 1;
    t->bytes += n * sizeof(float);
    return 0;
}

static int make_truths(struct qd_trial *t, struct qd_error *err)
{
    size_t most = 0;
    int classes = 1;

    for (int i = 0; i < t->learner.nheads; i++) {
        const struct qd_layer *l = t->learner.head[i].layer;
        size_t n = (size_t)t->batch * (size_t)l->h * (size_t)l->w * (size_t)l->c;
        if (!l->type->head && n > most) {
            most = n;
            classes = l->c;
        }
    }
    if (most && make_target(t, most, classes, err) < 0)
        return -1;
    t->labels = qd_alloc((size_t)t->batch, sizeof(*t->labels), err);
    if (!t->labels)
        return -1;
    t->bytes += (size_t)t->batch * (sizeof(*t->labels) + MOST_BOXES * sizeof(struct qd_label));
    classes = QD_MAX(qd_model_classes(t->m), 1);
    for (int i = 0; i < t->batch; i++)
        if (make_boxes(t, i, classes, err) < 0)
            return -1;
    return 0;
}

/* Gray noise would be blurred to nothing by the first layers: each pixel is a number of its own. */
static void make_images(struct qd_trial *t)
{
    const struct qd_tensor *in = qd_train_net_value(t->learner.net, -1);
    struct qd_rng r = qd_rng_new(t->seed, STREAM_PIXELS);

    for (int i = 0; i < in->n * in->h; i++)
        for (int x = 0; x < in->w; x++) {
            float *p = qd_at(in, i / in->h, i % in->h, x);
            for (int c = 0; c < in->c; c++)
                p[c] = qd_rng_float(&r);
        }
}

/* ---- from beginning to end ------------------------------------------------------------------- */

static int build(struct qd_trial *t, const struct qd_trial_opts *o, struct qd_error *err)
{
    struct qd_optim_opts optim;
    size_t blocks = 1;

    if (qd_optim_read(&optim, t->m->cfg, err) < 0 || !(t->optim = qd_optim_new(t->m, &optim, err)))
        return -1;
    const struct qd_learner_opts l = {.net = {.batch = t->batch,
                                          .w = o->w,
                                          .h = o->h,
                                          .frozen = qd_optim_frozen(t->optim, late),
                                          .bn_momentum = .99f,
                                          .timing = o->timing,
                                          .repack = true}};
    if (qd_learner_make(&t->learner, t->m, &l, err) < 0)
        return -1;
    if (t->learner.nheads == 0)
        return qd_error_set(err, QD_EUNSUP,
            "%s: nothing to learn: no detection head, and no [softmax] or [logistic] at the end",
            qd_cfg_name(t->m->cfg));
    while (qd_optim_state(t->optim, (int)blocks - 1))
        blocks++;
    t->bytes = qd_train_net_bytes(t->learner.net) + blocks * t->m->graph->nparams * sizeof(float);
    if (make_truths(t, err) < 0)
        return -1;
    make_images(t);
    return 0;
}

struct qd_trial *qd_trial_new(
    struct qd_model *m, const struct qd_trial_opts *opts, struct qd_error *err)
{
    struct qd_trial *t = qd_alloc(1, sizeof(*t), err);

    if (!t)
        return NULL;
    t->m = m;
    t->batch = opts->batch ? opts->batch : 1;
    t->seed = opts->seed;
    if (build(t, opts, err) < 0) {
        qd_trial_free(t);
        return NULL;
    }
    return t;
}

void qd_trial_free(struct qd_trial *t)
{
    if (!t)
        return;
    for (int i = 0; t->labels && i < t->batch; i++)
        qd_labels_free(&t->labels[i]);
    qd_free(t->labels);
    qd_free(t->target);
    qd_learner_drop(&t->learner);
    qd_optim_free(t->optim);
    qd_free(t);
}

int qd_trial_step(struct qd_trial *t, struct qd_error *err)
{
    float *grads = qd_train_net_grads(t->learner.net);
    struct qd_update u = {.n = late, .lr = rate, .images = t->batch};
    const struct qd_learner_truth truth = {
        t->labels, t->target, (t->steps + 1) * (uint64_t)t->batch, 0};

    if (qd_learner_pass(&t->learner, &truth, t->seed ^ t->steps, err) < 0)
        return -1;
    u.norm = qd_optim_norm(t->optim, grads, u.n, u.images);
    if (!isfinite(u.norm))
        return qd_error_set(
            err, QD_EDIVERGED, "%s: the gradients are not finite", qd_cfg_name(t->m->cfg));
    qd_optim_step(t->optim, t->m->params, grads, &u);
    qd_train_net_updated(t->learner.net);
    t->steps++;
    return 0;
}

void qd_trial_layer(const struct qd_trial *t, int layer, struct qd_trial_layer *out)
{
    const struct qd_layer *l = &qd_train_net_graph(t->learner.net)->layer[layer];

    *out = (struct qd_trial_layer){.macs = l->type->macs ? l->type->macs(l) : 0};
    qd_train_net_layer_ms(t->learner.net, layer, &out->forward_ms, &out->backward_ms);
}

size_t qd_trial_memory(const struct qd_trial *t)
{
    return t->bytes;
}
