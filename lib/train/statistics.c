/* SPDX-License-Identifier: MIT */
/*
 * Batch-norm statistics of a net that was changed without training: images go through it as in
 * training, and what each batch was normalized by is gathered over all batches.
 */
#include <math.h>

#include "base/error.h"
#include "base/par.h"
#include "train/train.h"

enum { BATCH = 16 };

/* A running mean and variance, of 'count' channels. */
struct normed {
    int layer;
    size_t mean, var, count; /* where they are in the block of parameters */
    size_t at;               /* where their sums are */
};

struct gather {
    struct qd_model *m;
    struct qd_arena arena;
    int n;
    struct normed *norm;  /* [n] */
    size_t channels;      /* of all */
    float *old;           /* [nparams] the block as it was */
    double *mean;         /* [channels] of the means so far, ... */
    double *apart;        /* ... sum of the squares of their distances from it, ... */
    double *within;       /* ... sum of the variances */
    struct qd_learner of; /* only its net */
};

static const struct qd_param *find_flag(const struct qd_layer *l, int flag)
{
    for (int k = 0; k < l->nparams; k++)
        if (l->param[k].flags & flag)
            return &l->param[k];
    return NULL;
}

static int list(struct gather *g, struct qd_error *err)
{
    const struct qd_graph *graph = g->m->graph;

    g->norm = qd_arena_alloc(&g->arena, (size_t)graph->nlayers, sizeof(*g->norm), err);
    if (!g->norm)
        return -1;
    for (int i = 0; i < graph->nlayers; i++) {
        const struct qd_param *mean = find_flag(&graph->layer[i], QD_PARAM_MEAN);
        const struct qd_param *var = find_flag(&graph->layer[i], QD_PARAM_VAR);
        if (!mean || !var || mean->flags & QD_PARAM_SHARED)
            continue;
        g->norm[g->n++] = (struct normed){i, mean->offset, var->offset, mean->count, g->channels};
        g->channels += mean->count;
    }
    g->mean = qd_arena_alloc(&g->arena, g->channels, sizeof(*g->mean), err);
    g->apart = qd_arena_alloc(&g->arena, g->channels, sizeof(*g->apart), err);
    g->within = qd_arena_alloc(&g->arena, g->channels, sizeof(*g->within), err);
    g->old = qd_arena_alloc(&g->arena, graph->nparams, sizeof(*g->old), err);
    return g->mean && g->apart && g->within && g->old ? 0 : -1;
}

/* The statistics of a batch, and nothing else, are what a pass leaves in the model; of layers that
 * share them, the mean of theirs. */
static int plan(
    struct gather *g, const struct qd_statistics_opts *o, int batch, struct qd_error *err)
{
    const struct qd_train_net_opts opts = {.batch = batch, .w = o->w, .h = o->h};
    const struct qd_graph *graph = g->m->graph;

    g->of.net = qd_train_net_new(g->m, &opts, err);
    if (!g->of.net || qd_train_net_ready(g->of.net, err) < 0)
        return -1;
    for (int i = 0; i < graph->nlayers; i++) {
        const struct qd_param *mean = find_flag(&graph->layer[i], QD_PARAM_MEAN), *other;
        int before = 0;
        for (int k = 0; mean && k < i; k++) {
            other = find_flag(&graph->layer[k], QD_PARAM_MEAN);
            before += other && other->offset == mean->offset;
        }
        qd_train_net_momentum(g->of.net, i, (float)before / (float)(before + 1));
    }
    return 0;
}

/* A number that is none would stay: 0 times it. */
static void clear(struct gather *g)
{
    for (int i = 0; i < g->n; i++) {
        memset(g->m->params + g->norm[i].mean, 0, g->norm[i].count * sizeof(float));
        memset(g->m->params + g->norm[i].var, 0, g->norm[i].count * sizeof(float));
    }
}

/* Means and distances in one pass (Welford 1962); 'n' batches with this one. */
static void add(struct gather *g, int n)
{
    for (int i = 0; i < g->n; i++) {
        const struct normed *s = &g->norm[i];
        for (size_t c = 0; c < s->count; c++) {
            double x = (double)g->m->params[s->mean + c], d = x - g->mean[s->at + c];
            g->mean[s->at + c] += d / n;
            g->apart[s->at + c] += d * (x - g->mean[s->at + c]);
            g->within[s->at + c] += (double)g->m->params[s->var + c];
        }
    }
}

static int settle(struct gather *g, int n, struct qd_error *err)
{
    for (int i = 0; i < g->n; i++) {
        const struct normed *s = &g->norm[i];
        for (size_t c = 0; c < s->count; c++) {
            double var = (g->within[s->at + c] + g->apart[s->at + c]) / n;
            if (!isfinite((float)g->mean[s->at + c]) || !isfinite((float)var))
                return qd_error_set(err, QD_EDIVERGED,
                    "the statistics of layer %d [%s] are not finite", s->layer,
                    g->m->graph->layer[s->layer].type->section);
            g->m->params[s->mean + c] = (float)g->mean[s->at + c];
            g->m->params[s->var + c] = (float)var;
        }
    }
    return 0;
}

static int pass_all(struct gather *g, struct qd_loader *l, const struct qd_statistics_opts *o,
    int batches, struct qd_error *err)
{
    for (int n = 1; n <= batches; n++) {
        const struct qd_batch *b;
        if (o->stop && o->stop(o->ctx))
            return 1;
        if (qd_loader_next(l, &b, err) < 0)
            return -1;
        qd_learner_input(&g->of, b->pixels);
        qd_loader_done(l);
        clear(g);
        qd_train_net_forward(g->of.net, o->seed ^ (uint64_t)n * 0xd1342543de82ef95u);
        add(g, n);
    }
    return settle(g, batches, err);
}

static struct qd_augment_opts unvaried(const struct qd_model *m)
{
    struct qd_augment_opts a = QD_AUGMENT_OPTS_INIT;

    a.kind = qd_recipe_classifier(m) ? QD_AUGMENT_CENTRE : QD_AUGMENT_NONE;
    a.letter_box = m->graph->letter_box;
    a.flip = false;
    return a;
}

struct qd_image_opts qd_statistics_decode(const struct qd_model *m, int w, int h)
{
    struct qd_augment_opts a = unvaried(m);

    return qd_augment_decode(&a, w ? w : m->graph->w, h ? h : m->graph->h, m->graph->c);
}

int qd_statistics_gather(struct qd_model *m, struct qd_dataset *set,
    const struct qd_statistics_opts *o, struct qd_error *err)
{
    struct gather g = {.m = m};
    size_t images = o->images && (size_t)o->images < set->n ? (size_t)o->images : set->n;
    int batch = o->batch ? o->batch : BATCH, workers = o->workers;
    struct qd_loader *loader = NULL;
    int ret = -1;

    if ((size_t)batch > images)
        batch = (int)images;
    if (workers < 0)
        workers = (qd_threads() + 1) / 2;
    const struct qd_loader_opts lo = {.batch = batch,
        .w = o->w ? o->w : m->graph->w,
        .h = o->h ? o->h : m->graph->h,
        .c = m->graph->c,
        .threads = QD_MIN(workers, 64),
        .seed = o->seed,
        .order = QD_ORDER_EPOCHS,
        .augment = unvaried(m)};
    if (list(&g, err) < 0)
        goto done;
    memcpy(g.old, m->params, m->graph->nparams * sizeof(float));
    ret = g.n ? plan(&g, o, batch, err) : 0;
    if (ret == 0 && g.n && !(loader = qd_loader_new(set, &lo, err)))
        ret = -1;
    if (loader)
        ret = pass_all(&g, loader, o, (int)((images + (size_t)batch - 1) / (size_t)batch), err);
    if (ret)
        memcpy(m->params, g.old, m->graph->nparams * sizeof(float));
done:
    qd_loader_free(loader);
    qd_train_net_free(g.of.net);
    qd_arena_free(&g.arena);
    return ret;
}

int qd_train_statistics(
    struct qd_model *m, const struct qd_statistics_opts *opts, struct qd_error *err)
{
    struct qd_preflight_opts pre = {
        .data = opts->data, .classifier = qd_recipe_classifier(m), .train = true, .bad = opts->bad};
    struct qd_image_opts decode;
    struct qd_sets sets;

    if (!opts->data || opts->images < 0 || opts->batch < 0)
        return qd_error_set(err, QD_EARG, "statistics need a data set and a number of images");
    if (m->graph->c != 1 && m->graph->c != 3)
        return qd_error_set(
            err, QD_EUNSUP, "the net has %d input channels, an image gives 1 or 3", m->graph->c);
    pre.classes = pre.classifier ? m->graph->layer[m->graph->nlayers - 1].c : qd_model_classes(m);
    if (qd_sets_open(&pre, &sets, err) < 0)
        return -1;
    decode = qd_statistics_decode(m, opts->w, opts->h);
    int ret = qd_dataset_decode(sets.train, &decode, 0, err);
    if (ret == 0)
        ret = qd_statistics_gather(m, sets.train, opts, err);
    qd_sets_close(&sets);
    return ret;
}
