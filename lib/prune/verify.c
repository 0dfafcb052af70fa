/* SPDX-License-Identifier: MIT */
/*
 * The last step of every pruning: the compact model must compute what the masked one does.
 */
#include <math.h>

#include "base/error.h"
#include "base/rng.h"
#include "net/net.h"
#include "prune/prune.h"

static const double TOLERANCE = 1e-4;
enum { SMALL = 96 }; /* a picture for which three maps of stride 32 are left along a side */

static void noise(const struct qd_tensor *in, uint64_t seed)
{
    struct qd_rng r = qd_rng_new(seed, 0);

    for (int y = 0; y < in->h; y++)
        for (int x = 0; x < in->w; x++)
            for (int c = 0; c < in->c; c++)
                qd_at(in, 0, y, x)[c] = (float)qd_rng_below(&r, 1 << 16) / (1 << 16);
}

static struct qd_net *run(
    const struct qd_model *m, const struct qd_verify_opts *opts, struct qd_error *err)
{
    const struct qd_net_opts o = {.w = opts->w, .h = opts->h};
    struct qd_net *net = qd_net_new(m, &o, err);

    if (!net)
        return NULL;
    if (!opts->img) {
        noise(qd_net_tensor(net, -1), opts->seed);
    } else if (qd_net_set_image(net, 0, opts->img, QD_FIT_MODEL, err) < 0) {
        qd_net_free(net);
        return NULL;
    }
    qd_net_forward(net);
    return net;
}

/* The first output from 'layer' on that no layer reads; nlayers: none. */
static int output(const struct qd_graph *g, int layer)
{
    for (; layer < g->nlayers; layer++) {
        bool read = false;
        for (int i = layer + 1; i < g->nlayers; i++)
            for (int k = 0; k < g->layer[i].nin; k++)
                read |= g->layer[i].in[k] == layer;
        if (!read)
            break;
    }
    return layer;
}

static int outputs(const struct qd_graph *g)
{
    int n = 0;

    for (int i = output(g, 0); i < g->nlayers; i = output(g, i + 1))
        n++;
    return n;
}

/* To the largest value; HUGE_VAL when a value is no number.  a: values in the order of y, x, c. */
static double difference(const float *a, const struct qd_tensor *b)
{
    double most = 0, far = 0;

    for (int y = 0; y < b->h; y++)
        for (int x = 0; x < b->w; x++)
            for (int c = 0; c < b->c; c++) {
                double u = (double)*a++, v = (double)qd_at(b, 0, y, x)[c];
                if (!isfinite(u) || !isfinite(v))
                    return HUGE_VAL;
                most = fmax(most, fabs(u));
                far = fmax(far, fabs(u - v));
            }
    return most > 0 ? far / most : far;
}

/* A copy of a picture's values. */
static float *copy(const struct qd_tensor *t, struct qd_arena *arena, struct qd_error *err)
{
    size_t row = (size_t)t->w * (size_t)t->c;
    float *to = qd_arena_alloc(arena, row * (size_t)t->h, sizeof(*to), err), *at = to;

    for (int y = 0; to && y < t->h; y++)
        for (int x = 0; x < t->w; x++, at += t->c)
            memcpy(at, qd_at(t, 0, y, x), (size_t)t->c * sizeof(*at));
    return to;
}

/* An output of the first model. */
struct kept {
    int layer, h, w, c;
    float *value;
};

/* Run the first model and keep its outputs: there is memory for one net at a time. */
static int keep(const struct qd_model *m, const struct qd_verify_opts *o, struct kept *k,
    struct qd_arena *arena, struct qd_error *err)
{
    struct qd_net *net = run(m, o, err);
    int ret = net ? 0 : -1;

    for (int i = output(m->graph, 0); ret == 0 && i < m->graph->nlayers;
         i = output(m->graph, i + 1), k++) {
        const struct qd_tensor *t = qd_net_tensor(net, i);
        *k = (struct kept){i, t->h, t->w, t->c, copy(t, arena, err)};
        ret = k->value ? 0 : -1;
    }
    qd_net_free(net);
    return ret;
}

int qd_verify(const struct qd_model *a, const struct qd_model *b, const struct qd_verify_opts *opts,
    double *far, struct qd_error *err)
{
    static const struct qd_verify_opts defaults;
    const struct qd_verify_opts *o = opts ? opts : &defaults;
    int n = outputs(a->graph), ret;
    struct qd_arena arena = {0};
    struct qd_net *net = NULL;
    double most = 0;

    if (n != outputs(b->graph))
        return qd_error_set(
            err, QD_EARG, "models of %d and %d outputs cannot be compared", n, outputs(b->graph));
    struct kept *kept = qd_arena_alloc(&arena, (size_t)n, sizeof(*kept), err);
    if (kept && keep(a, o, kept, &arena, err) == 0)
        net = run(b, o, err);
    ret = net ? 0 : -1;
    for (int k = 0, j = -1; ret == 0 && k < n; k++) {
        j = output(b->graph, j + 1);
        const struct qd_tensor *t = qd_net_tensor(net, j);
        bool same = t->h == kept[k].h && t->w == kept[k].w && t->c == kept[k].c;
        double d = same ? difference(kept[k].value, t) : HUGE_VAL;
        most = fmax(most, d);
        if (d > TOLERANCE)
            ret = qd_error_set(err, isfinite(d) ? QD_EUNSUP : QD_EDIVERGED,
                "the models do not compute the same: output of layer %d differs by %.2g",
                kept[k].layer, d);
    }
    if (far)
        *far = most;
    qd_net_free(net);
    qd_arena_free(&arena);
    return ret;
}

/* Whether the net can be built for such a picture with the same parameters. */
static bool fits(const struct qd_model *m, int side)
{
    struct qd_graph *g = qd_graph_new(m->cfg, side, side, true, NULL);
    bool same = g && g->nparams == m->graph->nparams && g->nlayers == m->graph->nlayers;

    for (int i = 0; same && i < g->nlayers; i++)
        same = g->layer[i].c == m->graph->layer[i].c;
    qd_graph_free(g);
    return same;
}

int qd_verify_step(const struct qd_model *masked, const struct qd_model *compact,
    const struct qd_prune_opts *o, double *far, struct qd_error *err)
{
    struct qd_verify_opts how = {.w = o->w, .h = o->h, .seed = o->seed};

    if (!o->w && !o->h && QD_MIN(masked->graph->h, masked->graph->w) > SMALL &&
        fits(masked, SMALL) && fits(compact, SMALL))
        how.w = how.h = SMALL;
    return qd_verify(masked, compact, &how, far, err);
}
