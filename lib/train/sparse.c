/* SPDX-License-Identifier: MIT */
/*
 * The penalty of sparse training and its schedules, and how the factors are spread.  The layers are
 * given: which they are is a matter of pruning.
 */
#include "train/sparse.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

/* ---- beginning and end ----------------------------------------------------------------------- */

static bool share(float x)
{
    return x >= 0 && x <= 1;
}

static int check(const struct qd_sparsity_opts *o, struct qd_error *err)
{
    if (!(o->s >= 0 && isfinite(o->s)))
        return qd_error_set(
            err, QD_EARG, "a sparsity of %g is below 0 or not finite", (double)o->s);
    if (!share(o->from) || !share(o->protect) || !share(o->decay))
        return qd_error_set(err, QD_EARG, "an option of the sparsity schedule is not in 0 .. 1");
    if (o->nlayers < 1 || !o->layers)
        return qd_error_set(err, QD_EARG, "no layers for the sparsity term");
    return 0;
}

static int add_ranges(struct qd_sparsity *s, const struct qd_graph *g, struct qd_error *err)
{
    for (int i = 0; i < s->o.nlayers; i++) {
        int layer = s->o.layers[i];
        if (layer < 0 || layer >= g->nlayers || (i > 0 && layer <= s->o.layers[i - 1]))
            return qd_error_set(err, QD_EARG,
                "layer %d of the sparsity term is not in the net, or not in order", layer);
        const struct qd_param *p = qd_layer_find_param(&g->layer[layer], "scales");
        if (!p || (p->flags & QD_PARAM_SHARED))
            return qd_error_set(err, QD_EARG, "layer %d [%s] has no scales of its own", layer,
                g->layer[layer].type->section);
        s->range[s->nranges++] = (struct qd_sparsity_range){layer, p->offset, p->count};
        s->channels += p->count;
    }
    return 0;
}

/* Numbers instead of defaults (spec 1.3, 8.4). */
static void settle(struct qd_sparsity_opts *o)
{
    bool dynamic = o->schedule == QD_SPARSITY_DYNAMIC;

    o->from = o->from < 0 ? (dynamic ? .4f : .5f) : o->from;
    o->protect = o->protect < 0 ? (dynamic ? .35f : .15f) : o->protect;
    o->decay = o->decay < 0 ? .01f : o->decay;
}

struct qd_sparsity *qd_sparsity_new(const struct qd_model *m, const struct qd_sparsity_opts *o,
    const struct qd_sparsity_run *run, struct qd_error *err)
{
    struct qd_sparsity *s = qd_alloc(1, sizeof(*s), err);

    if (!s)
        return NULL;
    s->o = *o;
    s->run = *run;
    settle(&s->o);
    if (check(&s->o, err) < 0 ||
        !(s->range = qd_alloc((size_t)o->nlayers, sizeof(*s->range), err)) ||
        add_ranges(s, m->graph, err) < 0 ||
        !(s->sorted = qd_alloc(s->channels, sizeof(float), err))) {
        qd_sparsity_free(s);
        return NULL;
    }
    s->o.layers = NULL;
    return s;
}

void qd_sparsity_free(struct qd_sparsity *s)
{
    if (!s)
        return;
    qd_free(s->range);
    qd_free(s->sorted);
    qd_free(s);
}

/* ---- the schedule ---------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void sort(struct qd_sparsity *s, const float *params)
{
    float *to = s->sorted;

    for (int i = 0; i < s->nranges; i++)
        for (size_t k = 0; k < s->range[i].count; k++)
            *to++ = fabsf(params[s->range[i].from + k]);
    qsort(s->sorted, s->channels, sizeof(float), compare);
}

/* The epoch that iteration n begins in, from 0. */
static uint64_t epoch(const struct qd_sparsity *s, uint64_t n)
{
    return (n - 1) * (uint64_t)s->run.batch / (s->run.images ? s->run.images : 1);
}

bool qd_sparsity_epoch_ends(const struct qd_sparsity *s, uint64_t n)
{
    return epoch(s, n) != epoch(s, n + 1);
}

static bool behind(const struct qd_sparsity *s, uint64_t n)
{
    return s->o.schedule != QD_SPARSITY_CONSTANT &&
           (double)(n - 1) >= ((double)s->o.from - 1e-6) * (double)s->run.iterations;
}

void qd_sparsity_begin(struct qd_sparsity *s, const float *params, uint64_t n)
{
    bool some = s->o.schedule == QD_SPARSITY_LOCAL || s->o.schedule == QD_SPARSITY_DYNAMIC;

    s->late = behind(s, n);
    if (!s->late || !some || s->o.s <= 0)
        return;
    if (s->o.schedule == QD_SPARSITY_LOCAL && n > 1 && behind(s, n - 1) &&
        epoch(s, n) == epoch(s, n - 1))
        return;
    sort(s, params);
    /* a millionth more, as a float is not quite .15; so in behind() */
    size_t at = (size_t)((1 - (double)s->o.protect + 1e-6) * (double)s->channels);
    s->threshold = at < s->channels ? (double)s->sorted[at] : HUGE_VAL;
}

/* What s is for a factor of this size. */
static float strength(const struct qd_sparsity *s, float size)
{
    float full = s->o.s * (float)(s->o.legacy ? s->run.parts : 1);

    if (!s->late || (s->o.schedule != QD_SPARSITY_GLOBAL && (double)size < s->threshold))
        return full;
    return full * s->o.decay;
}

/* ---- the term -------------------------------------------------------------------------------- */

void qd_sparsity_term(const struct qd_sparsity *s, const float *params, float *grads)
{
    if (s->o.s <= 0 || s->o.proximal)
        return;
    for (int i = 0; i < s->nranges; i++) {
        const float *gamma = params + s->range[i].from;
        float *grad = grads + s->range[i].from;
        for (size_t k = 0; k < s->range[i].count; k++)
            if (gamma[k] != 0) {
                float by = (float)s->run.batch * strength(s, fabsf(gamma[k]));
                grad[k] += gamma[k] > 0 ? by : -by;
            }
    }
}

void qd_sparsity_shrink(const struct qd_sparsity *s, float *params, const struct qd_optim *optim,
    const struct qd_update *u)
{
    if (s->o.s <= 0 || !s->o.proximal)
        return;
    for (int i = 0; i < s->nranges; i++) {
        float *gamma = params + s->range[i].from;
        float reach = (float)qd_optim_reach(optim, s->range[i].layer, u);
        for (size_t k = 0; k < s->range[i].count; k++) {
            float size = fabsf(gamma[k]), less = reach * strength(s, size);
            gamma[k] = size > less ? copysignf(size - less, gamma[k]) : less > 0 ? 0 : gamma[k];
        }
    }
}

/* ---- what is reported ------------------------------------------------------------------------ */

static size_t count_below(const struct qd_sparsity *s, float limit)
{
    size_t n = 0;

    while (n < s->channels && s->sorted[n] < limit)
        n++;
    return n;
}

void qd_sparsity_stats(struct qd_sparsity *s, const float *params, struct qd_sparsity_stats *stats)
{
    float high = HUGE_VALF;
    double n = (double)s->channels;

    *stats = (struct qd_sparsity_stats){.channels = s->channels};
    sort(s, params);
    for (int i = 0; i < s->nranges; i++) {
        float max = 0;
        for (size_t k = 0; k < s->range[i].count; k++)
            max = fmaxf(max, fabsf(params[s->range[i].from + k]));
        high = fminf(high, max);
    }
    for (size_t i = 0; i < s->channels; i++)
        stats->bin[(int)fminf(s->sorted[i] * 16, QD_SPARSITY_BINS - 1)]++;
    for (int i = 0; i < QD_SPARSITY_QUANTILES; i++)
        stats->quantile[i] = s->sorted[s->channels * (size_t)(i + 1) / (QD_SPARSITY_QUANTILES + 1)];
    stats->max = s->sorted[s->channels - 1];
    size_t below_01 = count_below(s, .01f), below_05 = count_below(s, .05f);
    stats->below_001 = (double)count_below(s, .001f) / n;
    stats->below_01 = (double)below_01 / n;
    stats->below_05 = (double)below_05 / n;
    stats->separated = 10 * below_01 >= s->channels && 2 * (below_05 - below_01) <= below_01;
    stats->safe = (double)count_below(s, high) / n;
}

void qd_sparsity_text(const struct qd_sparsity *s, struct qd_buf *b)
{
    const struct qd_sparsity_opts *o = &s->o;

    if (o->s <= 0)
        return;
    qd_buf_printf(b, "s=%.7g\ns_legacy=%d\nproximal=%d\ns_schedule=%d\n", (double)o->s,
        (int)o->legacy, (int)o->proximal, (int)o->schedule);
    if (o->schedule != QD_SPARSITY_CONSTANT)
        qd_buf_printf(b, "s_switch=%.7g\ns_protect=%.7g\ns_decay=%.7g\n", (double)o->from,
            (double)o->protect, (double)o->decay);
    qd_buf_printf(b, "s_layers=");
    for (int i = 0; i < s->nranges; i++)
        qd_buf_printf(b, "%s%d", i ? "," : "", s->range[i].layer);
    qd_buf_printf(b, "\n");
}
