/* SPDX-License-Identifier: MIT */
/*
 * The last step of every pruning: the compact model must compute what the masked one does.
 */
#include <math.h>

#include "base/error.h"
#include "base/rng.h"
#include "net/net.h"

static const double TOLERANCE = 1e-4;

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

/* To the largest value; HUGE_VAL when a value is no number. */
static double difference(const struct qd_tensor *a, const struct qd_tensor *b)
{
    double most = 0, far = 0;

    if (a->h != b->h || a->w != b->w || a->c != b->c)
        return HUGE_VAL;
    for (int y = 0; y < a->h; y++)
        for (int x = 0; x < a->w; x++)
            for (int c = 0; c < a->c; c++) {
                double u = (double)qd_at(a, 0, y, x)[c], v = (double)qd_at(b, 0, y, x)[c];
                if (!isfinite(u) || !isfinite(v))
                    return HUGE_VAL;
                most = fmax(most, fabs(u));
                far = fmax(far, fabs(u - v));
            }
    return most > 0 ? far / most : far;
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

int qd_verify(const struct qd_model *a, const struct qd_model *b, const struct qd_verify_opts *opts,
    double *far, struct qd_error *err)
{
    static const struct qd_verify_opts defaults;
    const struct qd_verify_opts *o = opts ? opts : &defaults;
    int n = outputs(a->graph);
    double most = 0;

    if (n != outputs(b->graph))
        return qd_error_set(
            err, QD_EARG, "models of %d and %d outputs cannot be compared", n, outputs(b->graph));
    struct qd_net *na = run(a, o, err), *nb = na ? run(b, o, err) : NULL;
    int ret = nb ? 0 : -1;

    for (int k = 0, i = -1, j = -1; ret == 0 && k < n; k++) {
        i = output(a->graph, i + 1);
        j = output(b->graph, j + 1);
        double d = difference(qd_net_tensor(na, i), qd_net_tensor(nb, j));
        most = fmax(most, d);
        if (d > TOLERANCE)
            ret = qd_error_set(err, isfinite(d) ? QD_EUNSUP : QD_EDIVERGED,
                "the models do not compute the same: output of layer %d differs by %.2g", i, d);
    }
    if (far)
        *far = most;
    qd_net_free(na);
    qd_net_free(nb);
    return ret;
}
