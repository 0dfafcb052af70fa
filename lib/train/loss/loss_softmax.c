/* SPDX-License-Identifier: MIT */
/*
 * [softmax] of a classifier: cross-entropy against a distribution over the classes, so that mixed
 * images (mixup, cutmix) and smoothed labels need nothing of their own.  The gradient goes to the
 * logits.
 */
#include <math.h>

#include "train/loss/loss.h"

/* Place of the largest. */
static int largest(const float *v, int n)
{
    int best = 0;

    for (int i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

struct distribution {
    const float *x, *t; /* logits and target of the classes */
    float *g;
    int k;
    double eps, temperature;
};

/* loss = sum of -t ln p = sum of t * (lse - x / T) with lse = ln(sum of e^(x / T)). */
static void learn(const struct distribution *d, struct qd_loss_sum *sum)
{
    int top = largest(d->x, d->k), right = largest(d->t, d->k);
    double high = (double)d->x[top] / d->temperature, lse = 0, all = 0;

    for (int i = 0; i < d->k; i++)
        lse += exp((double)d->x[i] / d->temperature - high);
    lse = high + log(lse);
    for (int i = 0; i < d->k; i++) {
        double t = (double)d->t[i], z = (double)d->x[i] / d->temperature;
        if (d->k > 1)
            t = t * (1 - d->eps) + (1 - t) * d->eps / (d->k - 1);
        all += t;
        sum->cost[2] += t * (lse - z);
        d->g[i] = (float)(-t / d->temperature);
    }
    for (int i = 0; i < d->k; i++)
        d->g[i] += (float)(all * exp((double)d->x[i] / d->temperature - lse) / d->temperature);
    sum->p += exp((double)d->x[right] / d->temperature - lse);
    sum->classes++;
    sum->count++;
    sum->correct += top == right;
}

/* All values of an image in one distribution, through dense copies. */
static void learn_whole(
    const struct qd_loss_job *j, int n, struct distribution *d, struct qd_loss_sum *sum)
{
    const struct qd_tensor *raw = j->in->raw;
    float *x = j->work + (size_t)n * j->work_image, *g = x + j->work_image / 2;
    size_t pixel = (size_t)raw->c;

    for (int i = 0; i < raw->h * raw->w; i++)
        memcpy(x + (size_t)i * pixel, qd_at(raw, n, i / raw->w, i % raw->w), pixel * sizeof(*x));
    d->x = x;
    d->g = g;
    d->k = raw->h * raw->w * raw->c;
    learn(d, sum);
    for (int i = 0; i < raw->h * raw->w; i++)
        memcpy(qd_at(j->in->grad, n, i / raw->w, i % raw->w), g + (size_t)i * pixel,
            pixel * sizeof(*g));
}

static void image(const struct qd_loss_job *j, int n, struct qd_loss_sum *sum)
{
    const struct qd_softmax_head *v = j->l->priv;
    const struct qd_tensor *raw = j->in->raw;
    const float *target =
        j->in->target + (size_t)n * (size_t)raw->h * (size_t)raw->w * (size_t)raw->c;
    struct distribution d = {.k = raw->c / v->groups,
        .eps = (double)j->opts->label_smooth_eps,
        .temperature = (double)v->temperature};

    if (v->whole && target[0] >= 0) {
        d.t = target;
        learn_whole(j, n, &d, sum);
        return;
    }
    for (int i = 0; i < raw->h * raw->w; i++, target += v->whole ? 0 : raw->c) {
        const float *x = qd_at(raw, n, i / raw->w, i % raw->w);
        float *g = qd_at(j->in->grad, n, i / raw->w, i % raw->w);
        if (target[0] < 0) {
            memset(g, 0, (size_t)raw->c * sizeof(*g));
            continue;
        }
        for (int k = 0; k < v->groups; k++) {
            d.x = x + (ptrdiff_t)k * d.k;
            d.t = target + (ptrdiff_t)k * d.k;
            d.g = g + (ptrdiff_t)k * d.k;
            learn(&d, sum);
        }
    }
}

static size_t work(const struct qd_layer *l)
{
    const struct qd_softmax_head *v = l->priv;

    return v->whole ? 2 * (size_t)l->h * (size_t)l->w * (size_t)l->c : 0;
}

const struct qd_loss_type qd_loss_softmax_ce = {
    .section = "softmax",
    .variant = "crossentropy",
    .work = work,
    .image = image,
    .dense = true,
};
