/* SPDX-License-Identifier: MIT */
/*
 * Random weights that behave: after qd_model_randomize() the batch-norm statistics are set, layer
 * by layer, to those of one forward pass over noise.  Activations then have ordinary size in every
 * layer of a net of any depth, which benchmarks need (denormal numbers are slow) and comparisons
 * between kernels too (overflow hides differences).
 */
#include <math.h>

#include "base/rng.h"
#include "net/net.h"

enum { SETTLE_BATCH = 2, SETTLE_SIDE = 160 };

static const struct qd_param *find_flag(const struct qd_layer *l, int flag)
{
    for (int k = 0; k < l->nparams; k++)
        if (l->param[k].flags & flag && !(l->param[k].flags & QD_PARAM_SHARED))
            return &l->param[k];
    return NULL;
}

/* Mean and variance of each channel of t, in double. */
static void channel_stats(const struct qd_tensor *t, float *mean, float *var)
{
    double count = (double)t->n * t->h * t->w;

    for (int c = 0; c < t->c; c++) {
        double sum = 0, sq = 0;
        for (int n = 0; n < t->n; n++)
            for (int y = 0; y < t->h; y++)
                for (int x = 0; x < t->w; x++) {
                    double v = (double)qd_at(t, n, y, x)[c];
                    sum += v;
                    sq += v * v;
                }
        double m = sum / count, d = sq / count - m * m;
        mean[c] = (float)m;
        var[c] = isfinite(d) && d > 1e-6 ? (float)d : 1;
    }
}

/* A small net with the same parameters; at the model's own size where the size matters. */
static struct qd_net *small_net(const struct qd_model *m, struct qd_error *err)
{
    struct qd_net_opts o = {.batch = SETTLE_BATCH, .keep_all = true}; /* no fused tails */
    struct qd_error ignored = {0};

    if (m->graph->h % 32 == 0 && m->graph->w % 32 == 0) {
        o.h = QD_MIN(m->graph->h, SETTLE_SIDE);
        o.w = QD_MIN(m->graph->w, SETTLE_SIDE);
        struct qd_net *net = qd_net_new(m, &o, &ignored);
        if (net)
            return net;
        if (ignored.code == QD_ENOMEM) { /* a larger one would not fit either */
            if (err)
                *err = ignored;
            return NULL;
        }
    }
    o.h = o.w = 0;
    return qd_net_new(m, &o, err);
}

int qd_model_settle(struct qd_model *m, uint64_t seed, struct qd_error *err)
{
    struct qd_rng r = qd_rng_new(seed, UINT64_MAX);

    qd_model_randomize(m, seed);
    struct qd_net *net = small_net(m, err);
    if (!net)
        return -1;
    const struct qd_tensor *in = qd_net_tensor(net, -1);
    for (int n = 0; n < in->n; n++)
        for (int y = 0; y < in->h; y++)
            for (int x = 0; x < in->w; x++)
                for (int c = 0; c < in->c; c++)
                    qd_at(in, n, y, x)[c] = qd_rng_float(&r);
    for (int i = 0; i < net->graph->nlayers; i++) {
        const struct qd_layer *l = &net->graph->layer[i];
        const struct qd_param *mean = find_flag(l, QD_PARAM_MEAN);
        const struct qd_param *var = find_flag(l, QD_PARAM_VAR);
        if (mean && var) {
            qd_net_run_layer(net, i, true);
            channel_stats(net->pass[i].out, m->params + mean->offset, m->params + var->offset);
            qd_net_pack_layer(net, i, m->params);
        }
        qd_net_run_layer(net, i, false);
    }
    qd_net_free(net);
    return 0;
}
