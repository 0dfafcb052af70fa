/* SPDX-License-Identifier: MIT */
/*
 * The last step of every pruning: the compact model must compute what the masked one does.
 */
#include "prune/verify.h"

#include <math.h>

#include "base/error.h"
#include "base/rng.h"
#include "net/net.h"

static const double TOLERANCE = 1e-4;

static struct qd_net *run(
    const struct qd_model *m, const int wh[2], uint64_t seed, struct qd_error *err)
{
    const struct qd_net_opts o = {.w = wh[0], .h = wh[1]};
    struct qd_net *net = qd_net_new(m, &o, err);
    struct qd_rng r = qd_rng_new(seed, 0);

    if (!net)
        return NULL;
    const struct qd_tensor *in = qd_net_tensor(net, -1);
    for (int y = 0; y < in->h; y++)
        for (int x = 0; x < in->w; x++)
            for (int c = 0; c < in->c; c++)
                qd_at(in, 0, y, x)[c] = (float)qd_rng_below(&r, 1 << 16) / (1 << 16);
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

static bool read_by(const struct qd_graph *g, int layer)
{
    for (int i = layer + 1; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nin; k++)
            if (g->layer[i].in[k] == layer)
                return true;
    return false;
}

int qd_verify(const struct qd_model *a, const struct qd_model *b, const int wh[2], uint64_t seed,
    double *far, struct qd_error *err)
{
    if (a->graph->nlayers != b->graph->nlayers)
        return qd_error_set(err, QD_EARG, "models of %d and %d layers cannot be compared",
            a->graph->nlayers, b->graph->nlayers);
    struct qd_net *na = run(a, wh, seed, err), *nb = na ? run(b, wh, seed, err) : NULL;
    double most = 0;
    int ret = nb ? 0 : -1;

    for (int i = 0; ret == 0 && i < a->graph->nlayers; i++) {
        if (read_by(a->graph, i))
            continue;
        double d = difference(qd_net_tensor(na, i), qd_net_tensor(nb, i));
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
