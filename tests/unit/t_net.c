/* SPDX-License-Identifier: MIT */
/*
 * Whole nets: the memory plan, fusing, batches and threads change nothing about the numbers; a
 * forward pass allocates nothing; every level gives what ref gives.  With QD_QUICK set only the
 * small cfgs are tried: sanitizers make ref take minutes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cfgs_rig.h"
#include "tap.h"
#include "base/base.h"
#include "net/net.h"
#include "ops/ops.h"

/* Kernels sum in another order than ref: float32 over at most some 10^4 terms, 100 layers deep. */
static const double LEVEL_TOL = 1e-4;
/* Reduced input so that ref finishes in time; every kind of layer still has more than one pixel. */
enum { SIDE = 64 };
enum { LARGE = 7000000 }; /* parameters */

static const char chain[] = "[net]\nwidth=48\nheight=40\nchannels=3\n"
                            "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1\n"
                            "pad=1\nactivation=leaky\n"
                            "[maxpool]\nsize=2\nstride=2\n"
                            "[convolutional]\nbatch_normalize=1\nfilters=24\nsize=3\npad=1\n"
                            "activation=mish\n"
                            "[convolutional]\nbatch_normalize=1\nfilters=24\nsize=1\n"
                            "activation=linear\n"
                            "[dropout]\nprobability=.1\n"
                            "[shortcut]\nfrom=-3\nactivation=linear\n"
                            "[maxpool]\nsize=3\nstride=1\n"
                            "[route]\nlayers=-2\n"
                            "[maxpool]\nsize=5\nstride=1\n"
                            "[route]\nlayers=-1,-3,-4\n"
                            "[convolutional]\nfilters=20\nsize=3\nstride=2\npad=1\n"
                            "activation=linear\n"
                            "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
                            "[upsample]\nstride=2\n"
                            "[route]\nlayers=-1,5,5\n"
                            "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n";

static struct qd_model *model_of(const char *text)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "test.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (!m || qd_model_settle(m, 3, &err) < 0) {
        printf("Bail out! %s\n", err.msg);
        exit(99);
    }
    return m;
}

static void fill(struct qd_net *net, int index, unsigned phase)
{
    int h, w, c;

    qd_net_size(net, &h, &w, &c);
    size_t n = (size_t)h * (size_t)w * (size_t)c;
    float *x = qd_alloc_raw(n, sizeof(*x), NULL);
    for (size_t i = 0; x && i < n; i++)
        x[i] = (float)((i + phase) * 2654435761u >> 8 & 0xffff) / 65536;
    if (x)
        qd_net_set_planar(net, index, x);
    qd_free(x);
}

static size_t floats_of(const struct qd_net *net, int layer)
{
    const struct qd_layer *l = &net->graph->layer[layer];

    return (size_t)l->h * (size_t)l->w * (size_t)l->c;
}

/* Output of a layer as a new array, NULL when it was not kept. */
static float *output(const struct qd_net *net, int layer, int index)
{
    float *x = qd_alloc_raw(floats_of(net, layer), sizeof(*x), NULL);

    if (x && qd_net_output(net, layer, index, x, NULL) == 0)
        return x;
    qd_free(x);
    return NULL;
}

/* Largest difference of the outputs that both keep, relative to the largest value of b. */
static double difference(
    const struct qd_net *a, int ia, const struct qd_net *b, int ib, int *compared)
{
    double worst = 0;

    *compared = 0;
    for (int i = 0; i < a->graph->nlayers; i++) {
        float *x = output(a, i, ia), *y = output(b, i, ib);
        double big = 1e-30, diff = 0;
        for (size_t k = 0; x && y && k < floats_of(a, i); k++) {
            big = fmax(big, fabs((double)y[k]));
            double d = fabs((double)x[k] - (double)y[k]);
            diff = isfinite(d) ? fmax(diff, d) : HUGE_VAL;
        }
        *compared += x && y;
        worst = fmax(worst, diff / big);
        qd_free(x);
        qd_free(y);
    }
    return worst;
}

static struct qd_net *run(const struct qd_model *m, struct qd_net_opts o)
{
    struct qd_error err = {0};
    struct qd_net *net = qd_net_new(m, &o, &err);

    if (!net) {
        printf("# %s\n", err.msg);
        return NULL;
    }
    for (int i = 0; i < net->opts.batch; i++)
        fill(net, i, (unsigned)i * 977);
    qd_net_forward(net);
    return net;
}

static void plan_changes_nothing(void)
{
    struct qd_model *m = model_of(chain);
    struct qd_net *all = run(m, (struct qd_net_opts){.keep_all = true});
    struct qd_net *lean = run(m, (struct qd_net_opts){.batch = 1});
    struct qd_net *batch = run(m, (struct qd_net_opts){.batch = 3});
    int n = 0;

    OK(all && lean && batch, "nets are built");
    double d = difference(lean, 0, all, 0, &n);
    OK(d < 1e-6 && n >= 1, "reused buffers and fused layers: same heads (%d compared)", n);
    OK(difference(batch, 0, lean, 0, &n) < 1e-6, "batch 3, first image");
    qd_net_forward(lean);
    OK(difference(lean, 0, all, 0, &n) < 1e-6, "a second pass gives the same");
    OK(lean->plan.floats < all->plan.floats, "reuse saves memory: %zu < %zu floats",
        lean->plan.floats, all->plan.floats);
    fill(lean, 0, 2 * 977);
    qd_net_forward(lean);
    OK(difference(batch, 2, lean, 0, &n) < 1e-6, "batch 3, last image");
    float x[1];
    struct qd_error err = {0};
    OK(qd_net_output(lean, 0, 0, x, &err) < 0, "an output that is not kept is refused");
    IS_STR(err.msg, "the output of layer 0 is not kept (keep_all is off)", "message");
    long before = qd_alloc_count();
    qd_net_forward(lean);
    OK(qd_alloc_count() == before, "a forward pass allocates nothing");
    qd_net_free(all);
    qd_net_free(lean);
    qd_net_free(batch);
    qd_model_free(m);
}

/* The concatenation of layer 9 lies in one buffer that its sources write into. */
static void views(void)
{
    struct qd_model *m = model_of(chain);
    struct qd_net *net = run(m, (struct qd_net_opts){.keep_all = true});

    if (!OK(net, "net"))
        return;
    const struct qd_tensor *cat = qd_net_tensor(net, 9), *pool = qd_net_tensor(net, 8);
    OK(pool->data == cat->data && pool->ps == cat->c, "first source is a view");
    OK(qd_net_tensor(net, 5)->data == cat->data + 48, "third source, behind an alias, is a view");
    OK(qd_net_tensor(net, 7)->data == qd_net_tensor(net, 5)->data, "a route of one is an alias");
    OK(qd_net_tensor(net, 11)->data == qd_net_tensor(net, 10)->data + 10, "a group is a slice");
    OK(qd_net_tensor(net, 4)->data == qd_net_tensor(net, 3)->data, "dropout is an alias");
    qd_net_free(net);
    qd_model_free(m);
}

static void threads_change_nothing(const struct qd_model *m, const char *name, int side)
{
    struct qd_net *net[3] = {0};
    int n = 0;
    bool same = true;

    for (int t = 0; t < 3; t++) {
        if (qd_threads_set(t + 1, NULL) < 0)
            same = false;
        net[t] = run(m, (struct qd_net_opts){.w = side, .h = side});
        same = same && net[t] && difference(net[t], 0, net[0], 0, &n) == 0 && n > 0;
    }
    OK(same, "%s: 1, 2 and 3 threads give the same numbers", name);
    for (int t = 0; t < 3; t++)
        qd_net_free(net[t]);
    if (qd_threads_set(0, NULL) < 0)
        OK(false, "threads");
}

static void levels(const char *path)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_load(path, &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    int n = 0;

    if (m && getenv("QD_QUICK") && m->graph->nparams > LARGE) {
        tap_skip("%s is large", path);
        qd_model_free(m);
        return;
    }
    if (!OK(m && qd_model_settle(m, 1, &err) == 0, "%s: random weights %s", path, err.msg)) {
        qd_model_free(m);
        return;
    }
    setenv("QD_CPU", "ref", 1);
    struct qd_net *ref = run(m, (struct qd_net_opts){.w = SIDE, .h = SIDE});
    for (const char *const *l = qd_ops_levels(); ref && *l; l++) {
        if (!qd_ops_level(*l) || strcmp(*l, "ref") == 0)
            continue;
        setenv("QD_CPU", *l, 1);
        struct qd_net *net = run(m, (struct qd_net_opts){.w = SIDE, .h = SIDE});
        double d = net ? difference(net, 0, ref, 0, &n) : HUGE_VAL;
        OK(d <= LEVEL_TOL && n > 0, "%s at level %s: %.2g from ref, %d outputs", path, *l, d, n);
        qd_net_free(net);
    }
    unsetenv("QD_CPU");
    threads_change_nothing(m, path, SIDE);
    qd_net_free(ref);
    qd_model_free(m);
}

int main(void)
{
    plan_changes_nothing();
    views();
    rig_each_cfg(levels);
    return tap_done();
}
