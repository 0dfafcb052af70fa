/* SPDX-License-Identifier: MIT */
/*
 * A search for the best cut (Li et al. 2020, EagleEye): random cuts of one size are scored without
 * any training, after their batch-norm statistics were estimated anew, which is what makes such
 * scores tell what training would make of them.
 */
#include <math.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "net/net.h"
#include "prune/prune.h"
#include "prune/rewrite.h"
#include "prune/search.h"

enum { NUMBER = 200, LEAST_IMAGES = 64, MISSES = 200 };

/* ---- beginning ------------------------------------------------------------------------------- */

static int copy_opts(struct qd_search *s, const struct qd_search_opts *opts, struct qd_error *err)
{
    struct qd_search_opts *o = &s->o;

    *o = *opts;
    if (!o->data || !o->log)
        return qd_error_set(
            err, QD_EARG, "a search needs a data set and a file for its candidates");
    if (o->number < 0 || o->images < 0 || o->batch < 0 || o->scored < 0)
        return qd_error_set(err, QD_EARG, "a number of candidates or images is below 0");
    o->number = o->number ? o->number : NUMBER;
    o->percent = o->percent < 0 ? .5f : o->percent;
    o->delta = o->delta < 0 ? .05f : o->delta;
    o->data = qd_arena_strdup(&s->arena, opts->data, err);
    o->log = qd_arena_strdup(&s->arena, opts->log, err);
    return o->data && o->log ? 0 : -1;
}

static int open_sets(struct qd_search *s, struct qd_error *err)
{
    const struct qd_graph *g = s->m->graph;
    struct qd_preflight_opts pre = {.data = s->o.data,
        .classifier = s->classifier,
        .classes = s->classifier ? g->layer[g->nlayers - 1].c : qd_model_classes(s->m),
        .train = true,
        .valid = true,
        .bad = s->o.bad};
    const struct qd_image_opts whole = {.channels = g->c};
    struct qd_image_opts decode = qd_statistics_decode(s->m, s->o.w, s->o.h);

    if (g->c != 1 && g->c != 3)
        return qd_error_set(
            err, QD_EUNSUP, "the net has %d input channels, an image gives 1 or 3", g->c);
    if (!s->classifier && !pre.classes)
        return qd_error_set(err, QD_EUNSUP, "the net has no head that could be scored");
    if (qd_sets_open(&pre, &s->sets, err) < 0)
        return -1;
    bool same = s->sets.valid == s->sets.train;
    if (qd_dataset_decode(s->sets.train, same ? &whole : &decode, s->o.cache, err) < 0)
        return -1;
    if (!same && qd_dataset_decode(s->sets.valid, &whole, s->o.cache, err) < 0)
        return -1;
    if (!s->o.images)
        s->o.images = (int)QD_MIN(QD_MAX(s->sets.train->n / 10, LEAST_IMAGES), (size_t)INT32_MAX);
    return 0;
}

/* FNV-1a. */
static void mix(uint64_t *h, const void *data, size_t n)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < n; i++)
        *h = (*h ^ p[i]) * 1099511628211u;
}

static void mix_set(uint64_t *h, const struct qd_dataset *d)
{
    for (size_t i = 0; i < d->n; i++) {
        mix(h, d->sample[i].path, strlen(d->sample[i].path) + 1);
        mix(h, &d->sample[i].nlabel, sizeof(d->sample[i].nlabel));
    }
}

/* What scores depend on; the number of candidates is not. */
static int tell_apart(struct qd_search *s, struct qd_error *err)
{
    const struct qd_search_opts *o = &s->o;
    struct qd_buf b = {0};
    int ret;

    qd_cfg_print(s->m->cfg, &b);
    qd_buf_printf(&b, "percent=%.9g delta=%.9g set=%d merge=%d base=%d min_channels=%d\n",
        (double)o->percent, (double)o->delta, (int)o->set, (int)o->merge, o->base, o->min_channels);
    qd_buf_printf(&b, "images=%d batch=%d scored=%d rules=%d w=%d h=%d seed=%llu\n", o->images,
        o->batch, o->scored, (int)o->rules, o->w, o->h, (unsigned long long)o->seed);
    ret = qd_buf_ok(&b, err);
    s->recipe = 14695981039346656037u;
    if (ret == 0) {
        mix(&s->recipe, b.data, b.len);
        mix(&s->recipe, s->m->params, s->m->graph->nparams * sizeof(float));
        mix_set(&s->recipe, s->sets.train);
        mix_set(&s->recipe, s->sets.valid);
    }
    qd_buf_free(&b);
    return ret;
}

/* A fraction as it was written: .7f is .7, not .699999988. */
static double decimal(float f)
{
    return floor((double)f * 1e7 + .5) / 1e7;
}

static int start(struct qd_search *s, const struct qd_search_opts *opts, struct qd_error *err)
{
    if (copy_opts(s, opts, err) < 0)
        return -1;
    const struct qd_candidates_opts cuts = {.set = s->o.set,
        .merge = s->o.merge,
        .base = s->o.base,
        .min_channels = s->o.min_channels,
        .share = 1 - decimal(s->o.percent),
        .delta = decimal(s->o.delta),
        .w = s->o.w,
        .h = s->o.h,
        .seed = s->o.seed};
    s->masked = qd_model_copy(s->m, err);
    if (!s->masked || qd_candidates_open(&s->cuts, s->masked, &cuts, err) < 0 ||
        open_sets(s, err) < 0 || tell_apart(s, err) < 0)
        return -1;
    return qd_search_log_open(s, err);
}

struct qd_search *qd_search_new(
    const struct qd_model *m, const struct qd_search_opts *opts, struct qd_error *err)
{
    struct qd_search *s = qd_alloc(1, sizeof(*s), err);

    if (!s)
        return NULL;
    s->m = m;
    s->log = -1;
    s->classifier = qd_recipe_classifier(m);
    if (start(s, opts, err) == 0)
        return s;
    qd_search_free(s);
    return NULL;
}

void qd_search_free(struct qd_search *s)
{
    if (!s)
        return;
    if (s->log >= 0)
        close(s->log);
    qd_sets_close(&s->sets);
    qd_candidates_close(&s->cuts);
    qd_model_free(s->masked);
    qd_arena_free(&s->arena);
    qd_free(s);
}

void qd_search_info(const struct qd_search *s, struct qd_search_info *info)
{
    size_t valid = s->sets.valid->n, most = (size_t)s->o.scored;

    *info = (struct qd_search_info){.images = QD_MIN((size_t)s->o.images, s->sets.train->n),
        .scored = most && most < valid ? most : valid,
        .number = s->o.number,
        .resumed = s->resumed,
        .macs = (uint64_t)s->cuts.whole,
        .least = s->cuts.least};
}

bool qd_search_best(const struct qd_search *s, struct qd_search_row *row)
{
    *row = s->best;
    return s->done > 0;
}

/* ---- a candidate ----------------------------------------------------------------------------- */

/* Of equal ones the first is the best. */
void qd_search_count(struct qd_search *s, const struct qd_search_row *row)
{
    if (!s->done || row->score > s->best.score)
        s->best = *row;
    s->done++;
    s->next = row->draw + 1;
}

/* The compact model of the cut that was drawn last. */
static struct qd_model *build(struct qd_search *s, struct qd_error *err)
{
    struct qd_choice *c = &s->cuts.choice;

    memcpy(s->masked->params, s->m->params, s->m->graph->nparams * sizeof(float));
    if (qd_absorb(s->masked, c->groups, c->dead, err) < 0)
        return NULL;
    return qd_rewrite(s->masked, c->groups, c->dead, err);
}

static int refresh(struct qd_search *s, struct qd_model *m, struct qd_error *err)
{
    const struct qd_statistics_opts o = {.images = s->o.images,
        .batch = s->o.batch,
        .seed = s->o.seed,
        .w = s->o.w,
        .h = s->o.h,
        .workers = s->o.workers,
        .stop = s->o.stop,
        .ctx = s->o.ctx};

    return qd_statistics_gather(m, s->sets.train, &o, err);
}

int qd_search_score(
    struct qd_search *s, const struct qd_model *m, double *score, struct qd_error *err)
{
    const struct qd_net_opts how = {.w = s->o.w, .h = s->o.h};
    const struct qd_score_opts o = {
        .rules = s->o.rules, .limit = (size_t)s->o.scored, .stop = s->o.stop, .ctx = s->o.ctx};
    struct qd_net *net = qd_net_new(m, &how, err);
    struct qd_top top = {0};
    int ret;

    if (!net)
        return -1;
    if (s->classifier) {
        ret = qd_score_classifier(net, s->sets.valid, &o, &top, err);
        *score = top.top1;
    } else {
        ret = qd_score_detector(net, s->sets.valid, &o, score, err);
    }
    qd_net_free(net);
    return ret;
}

static uint64_t trained(const struct qd_model *m)
{
    uint64_t n = 0;

    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info info;
        qd_model_layer(m, i, &info);
        n += info.trained;
    }
    return n;
}

/* 0, 1 when it was stopped, -1.  Scores are compared as they are written. */
static int judge(struct qd_search *s, struct qd_search_row *row, struct qd_error *err)
{
    struct qd_model *m = build(s, err);
    int ret = m ? refresh(s, m, err) : -1;

    if (ret == 0)
        ret = qd_search_score(s, m, &row->score, err);
    if (ret == 0) {
        row->score = floor(row->score * 1e6 + .5) / 1e6;
        row->params = trained(m);
        row->macs = s->cuts.macs;
    }
    qd_model_free(m);
    return ret;
}

/* A cut that cannot be made or gives no numbers is no candidate; too many of them in a row are a
 * failure. */
static int step(struct qd_search *s, struct qd_search_row *row, struct qd_error *err)
{
    for (int missed = 0; missed < MISSES; missed++, s->next++) {
        *row = (struct qd_search_row){.candidate = s->done + 1, .draw = s->next};
        *err = (struct qd_error){0};
        if (s->o.stop && s->o.stop(s->o.ctx))
            return 0;
        int ret = qd_candidates_draw(&s->cuts, s->next, &row->share, err);
        if (ret == 0)
            continue;
        ret = ret < 0 ? -1 : judge(s, row, err);
        if (ret == 1)
            return 0;
        if (ret < 0 && err->code != QD_EUNSUP && err->code != QD_EDIVERGED)
            return -1;
        if (ret < 0)
            continue;
        if (qd_search_log_add(s, row, err) < 0)
            return -1;
        qd_search_count(s, row);
        return 1;
    }
    if (err->code)
        return -1;
    return qd_error_set(err, QD_EARG,
        "none of %d draws leaves %.1f +- %.1f %% of the multiply-adds: widths have too few steps",
        MISSES, 100 * s->cuts.o.share, 100 * s->cuts.o.delta);
}

int qd_search_step(struct qd_search *s, struct qd_search_row *row, struct qd_error *err)
{
    struct qd_error local = {0};

    if (s->done >= s->o.number)
        return 0;
    return step(s, row, err ? err : &local);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The statistics of the compact model for the channels of the masked one that it has. */
static void share_statistics(
    const struct qd_choice *c, struct qd_model *masked, const struct qd_model *compact)
{
    for (int i = 0; i < masked->graph->nlayers; i++) {
        const struct qd_layer *l = &masked->graph->layer[i], *less = &compact->graph->layer[i];
        for (int k = 0; k < l->nparams; k++) {
            const float *from = compact->params + less->param[k].offset;
            float *to = masked->params + l->param[k].offset;
            if (!(l->param[k].flags & QD_PARAM_STAT))
                continue;
            for (int ch = 0; ch < l->c; ch++)
                if (!c->dead[qd_groups_of(c->groups, i, ch)])
                    to[ch] = *from++;
        }
    }
}

static int finish(struct qd_search *s, struct qd_pruned *p, struct qd_error *err)
{
    const struct qd_prune_opts how = {.w = s->o.w, .h = s->o.h, .seed = s->o.seed};
    size_t layers = (size_t)s->m->graph->nlayers;
    double share;
    int ret = qd_candidates_draw(&s->cuts, s->best.draw, &share, err);

    if (ret == 0)
        return qd_error_set(err, QD_EFORMAT,
            "%s: draw %llu does not meet the budget: the file was changed", s->o.log,
            (unsigned long long)s->best.draw);
    if (ret < 0 || !(p->compact = build(s, err)) || !(p->masked = qd_model_copy(s->masked, err)) ||
        !(p->origin = qd_alloc(layers, sizeof(*p->origin), err)))
        return -1;
    for (size_t i = 0; i < layers; i++)
        p->origin[i] = (int)i;
    p->percent = (float)(1 - share);
    p->limit = (float)(1 - s->cuts.least);
    ret = qd_verify_step(p->masked, p->compact, &how, &p->difference, err);
    if (ret == 0)
        ret = refresh(s, p->compact, err);
    if (ret)
        return ret;
    share_statistics(&s->cuts.choice, p->masked, p->compact);
    return qd_verify_step(p->masked, p->compact, &how, &p->difference, err);
}

int qd_search_finish(struct qd_search *s, struct qd_pruned *p, struct qd_error *err)
{
    *p = (struct qd_pruned){0};
    if (!s->done)
        return qd_error_set(err, QD_EARG, "no candidate has a score yet");
    int ret = finish(s, p, err);
    if (ret)
        qd_pruned_free(p);
    return ret;
}
