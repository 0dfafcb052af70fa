/* SPDX-License-Identifier: MIT */
/*
 * Meeting a target: bisection over all thresholds that make a difference, by pruning and measuring.
 */
#include <time.h>

#include "base/error.h"
#include "net/net.h"
#include "prune/prune.h"

enum { WARM_UP = 2, RUNS = 11 };

static double params(const struct qd_model *m)
{
    double n = 0;

    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info info;
        qd_model_layer(m, i, &info);
        n += (double)info.trained;
    }
    return n;
}

static int macs(
    const struct qd_model *m, const struct qd_prune_opts *o, double *is, struct qd_error *err)
{
    struct qd_graph *g = qd_graph_new(m->cfg, o->h, o->w, true, err);

    if (!g)
        return -1;
    *is = 0;
    for (int i = 0; i < g->nlayers; i++)
        if (g->layer[i].type->macs)
            *is += (double)g->layer[i].type->macs(&g->layer[i]);
    qd_graph_free(g);
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double u = *(const double *)a, v = *(const double *)b;

    return (u > v) - (u < v);
}

/* The median of some runs on a gray picture. */
static int ms(
    const struct qd_model *m, const struct qd_prune_opts *o, double *is, struct qd_error *err)
{
    const struct qd_net_opts how = {.w = o->w, .h = o->h};
    struct qd_net *net = qd_net_new(m, &how, err);
    double t[RUNS];

    if (!net)
        return -1;
    const struct qd_tensor *in = qd_net_tensor(net, -1);
    for (int y = 0; y < in->h; y++)
        for (int x = 0; x < in->w; x++)
            for (int c = 0; c < in->c; c++)
                qd_at(in, 0, y, x)[c] = .5f;
    for (int i = -WARM_UP; i < RUNS; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        qd_net_forward(net);
        clock_gettime(CLOCK_MONOTONIC, &b);
        t[QD_MAX(i, 0)] =
            (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) * 1e-6;
    }
    qd_net_free(net);
    qsort(t, RUNS, sizeof(*t), ascending);
    *is = t[RUNS / 2];
    return 0;
}

static int measure(
    const struct qd_model *m, const struct qd_prune_opts *o, double *is, struct qd_error *err)
{
    if (o->target == QD_TARGET_MACS)
        return macs(m, o, is, err);
    if (o->target == QD_TARGET_MS)
        return ms(m, o, is, err);
    *is = params(m);
    return 0;
}

/* Options for the i-th of n steps: nothing goes in step 0, in step i the threshold is factor number
 * i - 1 of n, or i units go. */
static void take(struct qd_prune_opts *o, const struct qd_rule *rule, size_t i, size_t n)
{
    if (rule->units)
        o->shortcuts = (int)i;
    else
        o->percent = i ? (float)(((double)i - .5) / (double)n) : 0;
}

/* What step i leaves; *n gets the number of steps.  A strict option is for the result. */
static int try(const struct qd_model *m, const struct qd_rule *rule, const struct qd_prune_opts *o,
    double *is, size_t *n, struct qd_error *err)
{
    struct qd_pruned p = {0};
    struct qd_prune_opts loose = *o;
    int ret;

    loose.strict = false;
    ret = qd_prune_step(&p, m, rule, &loose, n, err);

    if (ret == 0)
        ret = measure(p.compact, o, is, err);
    qd_pruned_free(&p);
    return ret;
}

int qd_target_meet(const struct qd_model *m, const struct qd_rule *rule, struct qd_prune_opts *o,
    struct qd_error *err)
{
    static const char *const unit[] = {"", " parameters", " multiply-adds", " ms"};
    double whole, goal, is;
    size_t n;

    if (measure(m, o, &whole, err) < 0)
        return -1;
    goal = o->goal <= 1 ? o->goal * whole : o->goal;
    take(o, rule, 0, 1);
    if (try(m, rule, o, &is, &n, err) < 0)
        return -1;
    size_t low = 0, high = n; /* low is above the goal, high is not */
    take(o, rule, high, n);
    if (is <= goal)
        high = 0;
    else if (try(m, rule, o, &is, &n, err) < 0)
        return -1;
    if (is > goal)
        return qd_error_set(err, QD_EARG, "the goal of %.6g%s cannot be reached, the least is %.6g",
            goal, unit[o->target], is);
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        take(o, rule, middle, n);
        if (try(m, rule, o, &is, &n, err) < 0)
            return -1;
        if (is <= goal)
            high = middle;
        else
            low = middle;
    }
    take(o, rule, high, n);
    return 0;
}
