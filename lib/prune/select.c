/* SPDX-License-Identifier: MIT */
/*
 * Thresholds, votes and widths, for all rules that take channels.
 */
#include "prune/select.h"

#include <math.h>

#include "base/error.h"
#include "prune/rewrite.h"

/* A channel of a layer in the order in which channels are worth keeping. */
struct qd_worth {
    float score;
    int c;
};

size_t qd_share(size_t n, float f)
{
    return (size_t)((double)n * (double)f * (1 + 0x1p-23)); /* a float is that exact */
}

static int width(const struct qd_choice *c, int layer)
{
    return c->model->graph->layer[layer].c;
}

static int channel(const struct qd_choice *c, int layer, int i)
{
    return c->groups->first[layer + 1] + i;
}

/* What a channel is worth: the one place that says so. */
static int read_scores(struct qd_choice *c, struct qd_error *err)
{
    for (int k = 0; k < c->set.n; k++) {
        const struct qd_layer *l = &c->model->graph->layer[c->set.layer[k]];
        const float *scale = c->model->params + qd_set_factors(l)->offset;
        for (int i = 0; i < l->c; i++) {
            if (!isfinite(scale[i]))
                return qd_error_set(err, QD_EDIVERGED,
                    "factor %d of layer %d is no number, nothing can be pruned by it", i, l->index);
            c->score[channel(c, l->index, i)] = fabsf(scale[i]);
        }
    }
    return 0;
}

int qd_choice_open(
    struct qd_choice *c, const struct qd_model *m, enum qd_sparse kind, struct qd_error *err)
{
    int most = 0;

    *c = (struct qd_choice){.model = m, .limit = 1};
    c->groups = qd_groups_new(m->graph, err);
    if (!c->groups || qd_set_sparse(&c->set, c->groups, kind, err) < 0)
        goto fail;
    if (!c->set.n) {
        qd_error_set(err, QD_EUNSUP, "the net has no layer whose channels this rule may take");
        goto fail;
    }
    for (int i = 0; i < m->graph->nlayers; i++)
        most = QD_MAX(most, width(c, i));
    size_t nchannels = (size_t)c->groups->nchannels, ngroups = (size_t)c->groups->ngroups;
    if (!(c->score = qd_alloc(nchannels, sizeof(*c->score), err)) ||
        !(c->vote = qd_alloc(nchannels, sizeof(*c->vote), err)) ||
        !(c->stays = qd_alloc(ngroups, sizeof(*c->stays), err)) ||
        !(c->dead = qd_alloc(ngroups, sizeof(*c->dead), err)) ||
        !(c->order = qd_alloc((size_t)most, sizeof(*c->order), err)) ||
        !(c->raised = qd_alloc((size_t)m->graph->nlayers, sizeof(*c->raised), err)) ||
        !(c->judged = qd_alloc((size_t)m->graph->nlayers, sizeof(*c->judged), err)) ||
        read_scores(c, err) < 0)
        goto fail;
    qd_set_judged(c->groups, c->judged);
    memset(c->vote, true, nchannels);
    memcpy(c->stays, c->groups->why, ngroups * sizeof(*c->stays));
    if (qd_absorb_blocked(m, c->groups, c->stays, err) == 0)
        return 0;
fail:
    qd_choice_close(c);
    return -1;
}

void qd_choice_close(struct qd_choice *c)
{
    qd_groups_free(c->groups);
    qd_set_free(&c->set);
    qd_free(c->score);
    qd_free(c->vote);
    qd_free(c->stays);
    qd_free(c->dead);
    qd_free(c->order);
    qd_free(c->raised);
    qd_free(c->judged);
    *c = (struct qd_choice){0};
}

/* ---- threshold ------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    float u = *(const float *)a, v = *(const float *)b;

    return (u > v) - (u < v);
}

/* Mark the layers of the set that count in a threshold; how many factors they have. */
static size_t population(
    const struct qd_choice *c, const struct qd_cutoff *t, const int *root, bool *counts)
{
    size_t n = 0;

    for (int k = 0; k < c->set.n; k++) {
        int layer = c->set.layer[k];
        bool in = layer >= t->first && layer <= t->last && (!t->roots || root[layer] == layer);
        counts[k] = in;
        n += in ? (size_t)width(c, layer) : 0;
    }
    return n;
}

static float largest(const struct qd_choice *c, int layer)
{
    float most = 0;

    for (int i = 0; i < width(c, layer); i++)
        most = fmaxf(most, c->score[channel(c, layer, i)]);
    return most;
}

/* Find the threshold in the sorted factors 'v' of the layers that count; the limit. */
static float find_threshold(
    struct qd_choice *c, const struct qd_cutoff *t, const bool *counts, const float *v, size_t n)
{
    size_t index = QD_MIN(qd_share(n, t->percent), n - 1), at = 0;
    float high = HUGE_VALF, limit;

    for (int k = 0; k < c->set.n; k++)
        if (counts[k])
            high = fminf(high, largest(c, c->set.layer[k]));
    while (v[at] < high)
        at++;
    limit = (float)((double)at / (double)n);
    c->factors += n;
    c->below += index;
    c->percent = t->percent;
    c->threshold = v[index];
    c->limit = fminf(c->limit, limit);
    return limit;
}

static int cast(struct qd_choice *c, const struct qd_cutoff *t, const bool *counts, float limit,
    struct qd_error *err)
{
    for (int k = 0; k < c->set.n; k++) {
        int layer = c->set.layer[k], kept = 0;
        if (layer < t->first || layer > t->last)
            continue;
        for (int i = channel(c, layer, 0); i < channel(c, layer, width(c, layer)); i++) {
            c->vote[i] = c->score[i] > c->threshold || (!t->above && c->score[i] == c->threshold);
            kept += c->vote[i];
        }
        if (t->strict && counts[k] && !kept)
            return qd_error_set(err, QD_EARG,
                "percent %g takes all channels of layer %d, the limit is %g", (double)t->percent,
                layer, (double)limit);
    }
    return 0;
}

int qd_choice_vote(struct qd_choice *c, const struct qd_cutoff *t, struct qd_error *err)
{
    size_t nlayers = (size_t)c->model->graph->nlayers;
    int *root = qd_alloc(nlayers, sizeof(*root), err);
    bool *counts = root ? qd_alloc((size_t)c->set.n, sizeof(*counts), err) : NULL;
    float *v = NULL;
    int ret = -1;

    if (!(t->percent >= 0 && t->percent < 1)) {
        qd_error_set(
            err, QD_EARG, "percent must be at least 0 and below 1, not %g", (double)t->percent);
        goto done;
    }
    if (!counts || qd_set_roots_in(root, c->groups, &c->set, err) < 0)
        goto done;
    size_t n = population(c, t, root, counts), at = 0;
    if (!n) {
        qd_error_set(err, QD_EARG, "no layer of %d-%d can be pruned", t->first, t->last);
        goto done;
    }
    v = qd_alloc(n, sizeof(*v), err);
    if (!v)
        goto done;
    for (int k = 0; k < c->set.n; k++) {
        int layer = c->set.layer[k], w = counts[k] ? width(c, layer) : 0;
        memcpy(v + at, c->score + channel(c, layer, 0), (size_t)w * sizeof(*v));
        at += (size_t)w;
    }
    qsort(v, n, sizeof(*v), ascending);
    float limit = find_threshold(c, t, counts, v, n);
    ret = t->percent > 0 ? cast(c, t, counts, limit, err) : 0;
done:
    qd_free(root);
    qd_free(counts);
    qd_free(v);
    return ret;
}

/* ---- widths ---------------------------------------------------------------------------------- */

static int worth(const void *a, const void *b)
{
    const struct qd_worth *u = a, *v = b;

    if (u->score != v->score)
        return u->score < v->score ? 1 : -1;
    return u->c - v->c;
}

static void sort_channels(struct qd_choice *c, int layer)
{
    for (int i = 0; i < width(c, layer); i++)
        c->order[i] = (struct qd_worth){c->score[channel(c, layer, i)], i};
    qsort(c->order, (size_t)width(c, layer), sizeof(*c->order), worth);
}

/* The least width of a layer of the set by layer_keep. */
static int floor_of(const struct qd_choice *c, int layer, const struct qd_widths *w)
{
    int n = width(c, layer), k = (int)qd_share((size_t)n, w->layer_keep);

    return QD_MIN(n, k ? k : w->few);
}

static int votes_of(const struct qd_choice *c, int layer)
{
    int n = 0;

    for (int i = 0; i < width(c, layer); i++)
        n += c->vote[channel(c, layer, i)];
    return n;
}

static void raise_votes(struct qd_choice *c, const struct qd_widths *w)
{
    for (int k = 0; k < c->set.n; k++) {
        int layer = c->set.layer[k], least = floor_of(c, layer, w);
        if (votes_of(c, layer) >= least)
            continue;
        sort_channels(c, layer);
        for (int i = 0; i < least; i++)
            c->vote[channel(c, layer, c->order[i].c)] = true;
        c->raised[layer] = true;
    }
}

/* Bring groups back until a layer has at least 'want' channels. */
static void widen(struct qd_choice *c, int layer, int want)
{
    int has = qd_groups_alive(c->groups, layer, c->dead);

    if (has >= want)
        return;
    sort_channels(c, layer);
    for (int i = 0; has < want; i++) {
        bool *dead = &c->dead[qd_groups_of(c->groups, layer, c->order[i].c)];
        if (!*dead)
            continue;
        *dead = false;
        has = qd_groups_alive(c->groups, layer, c->dead);
    }
}

/* Groups only come back, so this ends; a group that comes back for one layer may leave another with
 * a width that is no multiple. */
static void mend_widths(struct qd_choice *c, const struct qd_widths *w)
{
    bool again = true;

    while (again) {
        again = false;
        for (int i = 0, k = 0; i < c->model->graph->nlayers; i++) {
            int has = qd_groups_alive(c->groups, i, c->dead), want = QD_MAX(has, 1);
            if (k < c->set.n && c->set.layer[k] == i) {
                k++;
                want = QD_MAX(want, QD_MAX(floor_of(c, i, w), w->min_channels));
                want = QD_MIN(want, width(c, i));
                c->raised[i] |= want > has;
                if (w->base > 1 && want < width(c, i))
                    want = (int)qd_round_up((size_t)want, (size_t)w->base);
                want = QD_MIN(want, width(c, i));
            }
            widen(c, i, want);
            again |= want > has;
        }
    }
}

/* ---- merging --------------------------------------------------------------------------------- */

/* What the votes in a group say. */
struct poll {
    int voters, keep;
    int root, fewest; /* layers: the first, the one that keeps the fewest channels ... */
    bool root_keeps, fewest_keeps; /* ... and what they vote */
    const char *blocks;            /* why the group cannot go at all, or NULL */
};

/* kept[layer]: how many channels it votes to keep, -1: it is not in the set.  A layer may be in a
 * group twice; one vote to keep is enough then. */
static struct poll ask(const struct qd_choice *c, const int *kept, int group)
{
    const struct qd_groups *g = c->groups;
    struct poll p = {.root = -1, .fewest = -1, .blocks = c->stays[group]};

    for (int i = g->begin[group]; i < g->begin[group + 1]; i++) {
        int ch = g->member[i], layer = g->owner[ch];
        if (layer < 0)
            continue;
        if (kept[layer] < 0) {
            if (!p.blocks && g->makes[layer] && !c->judged[layer])
                p.blocks = "a layer that it is tied to keeps its channels";
            continue;
        }
        p.root = p.root < 0 ? layer : p.root;
        if (p.fewest < 0 || (layer != p.fewest && kept[layer] <= kept[p.fewest])) {
            p.fewest = layer;
            p.fewest_keeps = false;
        }
        p.root_keeps |= layer == p.root && c->vote[ch];
        p.fewest_keeps |= layer == p.fewest && c->vote[ch];
        p.voters++;
        p.keep += c->vote[ch];
    }
    return p;
}

static bool stays(const struct poll *p, enum qd_merge merge)
{
    switch (merge) {
    case QD_MERGE_MAJORITY:
        return p->keep * 2 >= p->voters;
    case QD_MERGE_ROOT:
        return p->root_keeps;
    case QD_MERGE_LEAST:
        return p->fewest_keeps;
    case QD_MERGE_UNION:
        break;
    }
    return p->keep > 0;
}

int qd_choice_settle(
    struct qd_choice *c, enum qd_merge merge, const struct qd_widths *w, struct qd_error *err)
{
    int nlayers = c->model->graph->nlayers;
    int *kept = qd_alloc((size_t)nlayers, sizeof(*kept), err);

    if (!kept)
        return -1;
    raise_votes(c, w);
    for (int i = 0; i < nlayers; i++)
        kept[i] = -1;
    for (int k = 0; k < c->set.n; k++)
        kept[c->set.layer[k]] = votes_of(c, c->set.layer[k]);
    for (int k = 0; k < c->groups->ngroups; k++) {
        struct poll p = ask(c, kept, k);
        if (!p.voters || stays(&p, merge))
            continue;
        c->dead[k] = !p.blocks;
        if (!p.blocks)
            continue;
        c->blocked += p.voters;
        c->why = c->why ? c->why : p.blocks;
    }
    qd_free(kept);
    mend_widths(c, w);
    return 0;
}
