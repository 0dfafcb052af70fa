/* SPDX-License-Identifier: MIT */
/*
 * Random cuts that meet a budget.
 */
#include "prune/candidate.h"

#include <math.h>

#include "base/error.h"
#include "base/rng.h"
#include "prune/rewrite.h"

enum { HALVINGS = 24 };

static const double STEEPEST = 1024; /* exponent: of shares up to .99 nothing is left */

struct weighed {
    float sum;
    int channel;
};

static int heavier(const void *a, const void *b)
{
    const struct weighed *u = a, *v = b;

    if (u->sum != v->sum)
        return u->sum < v->sum ? 1 : -1;
    return u->channel - v->channel;
}

static const struct qd_layer *layer_of(const struct qd_candidates *c, int k)
{
    return &c->choice.model->graph->layer[c->choice.set.layer[k]];
}

/* Sums |W| of the channels of a layer of the set, and their order. */
static int weigh(
    struct qd_candidates *c, const struct qd_layer *l, struct weighed *w, struct qd_error *err)
{
    const struct qd_param *p = qd_layer_find_param(l, "weights");
    int first = c->choice.groups->first[l->index + 1];
    size_t per = p ? p->count / (size_t)l->c : 0;

    for (int i = 0; i < l->c; i++) {
        const float *x = p ? c->choice.model->params + p->offset + (size_t)i * per : NULL;
        double sum = 0;
        for (size_t k = 0; k < per; k++)
            sum += fabs((double)x[k]);
        if (!isfinite(sum))
            return qd_error_set(
                err, QD_EDIVERGED, "weights of channel %d of layer %d are no numbers", i, l->index);
        c->choice.score[first + i] = (float)sum;
        w[i] = (struct weighed){(float)sum, i};
    }
    qsort(w, (size_t)l->c, sizeof(*w), heavier);
    for (int i = 0; i < l->c; i++)
        c->rank[first + w[i].channel] = i;
    return 0;
}

static int weigh_all(struct qd_candidates *c, struct qd_error *err)
{
    struct weighed *w = qd_alloc(c->choice.set.channels, sizeof(*w), err);
    int ret = w ? 0 : -1;

    for (int k = 0; ret == 0 && k < c->choice.set.n; k++)
        ret = weigh(c, layer_of(c, k), w, err);
    qd_free(w);
    return ret;
}

static int count(
    const struct qd_candidates *c, struct qd_cfg *cfg, uint64_t *macs, struct qd_error *err)
{
    struct qd_graph *g = cfg ? qd_graph_new(cfg, c->o.h, c->o.w, true, err) : NULL;

    *macs = 0;
    for (int i = 0; g && i < g->nlayers; i++)
        if (g->layer[i].type->macs)
            *macs += g->layer[i].type->macs(&g->layer[i]);
    int ret = g ? 0 : -1;
    qd_graph_free(g);
    qd_cfg_free(cfg);
    return ret;
}

/* How many channels a layer votes for. */
static int wanted(const struct qd_candidates *c, int width, double share)
{
    int n = (int)(width * share), least = QD_MAX(c->o.min_channels, 1), base = c->o.base;

    if (base > 1)
        n = QD_MAX((n + base / 2) / base * base, base);
    return QD_MIN(QD_MAX(n, least), width);
}

/* The cut with exponent t, and its multiply-adds. */
static int cut(struct qd_candidates *c, double t, struct qd_error *err)
{
    struct qd_choice *h = &c->choice;
    const struct qd_widths widths = {
        .layer_keep = 0, .few = 1, .min_channels = QD_MAX(c->o.min_channels, 1), .base = c->o.base};

    for (int k = 0; k < h->set.n; k++) {
        const struct qd_layer *l = layer_of(c, k);
        int n = wanted(c, l->c, pow(c->u[k], t)), first = h->groups->first[l->index + 1];
        for (int i = first; i < first + l->c; i++)
            h->vote[i] = c->rank[i] < n;
    }
    memset(h->dead, 0, (size_t)h->groups->ngroups * sizeof(*h->dead));
    if (qd_choice_settle(h, c->o.merge, &widths, err) < 0)
        return -1;
    return count(c, qd_rewrite_cfg(h->model, h->groups, h->dead, err), &c->macs, err);
}

/* What the narrowest layers leave. */
static int find_least(struct qd_candidates *c, struct qd_error *err)
{
    for (int k = 0; k < c->choice.set.n; k++)
        c->u[k] = 0;
    if (cut(c, 1, err) < 0)
        return -1;
    c->least = (double)c->macs / c->whole;
    if (c->least <= c->o.share + c->o.delta)
        return 0;
    return qd_error_set(err, QD_EARG,
        "%.1f %% of the multiply-adds cannot be removed: the least widths of the layers that may "
        "be pruned leave %.1f %%",
        100 * (1 - c->o.share), 100 * c->least);
}

static int open(struct qd_candidates *c, const struct qd_model *m, struct qd_error *err)
{
    size_t channels;
    uint64_t macs;

    if (qd_choice_open(&c->choice, m, c->o.set, err) < 0)
        return -1;
    channels = (size_t)c->choice.groups->nchannels;
    c->rank = qd_alloc(channels, sizeof(*c->rank), err);
    c->u = c->rank ? qd_alloc((size_t)c->choice.set.n, sizeof(*c->u), err) : NULL;
    if (!c->u || weigh_all(c, err) < 0 || count(c, qd_cfg_copy(m->cfg, err), &macs, err) < 0)
        return -1;
    c->whole = (double)macs;
    return find_least(c, err);
}

int qd_candidates_open(struct qd_candidates *c, const struct qd_model *m,
    const struct qd_candidates_opts *o, struct qd_error *err)
{
    *c = (struct qd_candidates){.o = *o};
    if (!(o->share > 0 && o->share < 1) || !(o->delta > 0) || o->base < 0 || o->min_channels < 0)
        return qd_error_set(err, QD_EARG, "a budget is a share between 0 and 1, and a tolerance");
    if (open(c, m, err) == 0)
        return 0;
    qd_candidates_close(c);
    return -1;
}

void qd_candidates_close(struct qd_candidates *c)
{
    qd_choice_close(&c->choice);
    qd_free(c->rank);
    qd_free(c->u);
    *c = (struct qd_candidates){0};
}

/* low: more than the goal is left, high: less; or the two are neighbours.  The nearer one of all
 * that were tried is cut again at the end. */
int qd_candidates_draw(
    struct qd_candidates *c, uint64_t number, double *share, struct qd_error *err)
{
    struct qd_rng r = qd_rng_new(c->o.seed, number);
    double low = 0, high = 1, best = 0, near = 1 - c->o.share, close = c->o.delta / 20;
    bool found = false;

    for (int k = 0; k < c->choice.set.n; k++)
        c->u[k] = 1 - (double)qd_rng_float(&r);
    for (int i = 0; i < HALVINGS && near > close; i++) {
        double t = found ? (low + high) / 2 : high;
        if (cut(c, t, err) < 0)
            return -1;
        double left = (double)c->macs / c->whole;
        if (fabs(left - c->o.share) < near) {
            near = fabs(left - c->o.share);
            best = t;
        }
        if (left > c->o.share)
            low = t;
        else
            high = t;
        found = found || left <= c->o.share;
        if (!found)
            high = QD_MIN(2 * high, STEEPEST);
    }
    if (cut(c, best, err) < 0)
        return -1;
    *share = (double)c->macs / c->whole;
    return fabs(*share - c->o.share) <= c->o.delta;
}
