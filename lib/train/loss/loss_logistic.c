/* SPDX-License-Identifier: MIT */
/*
 * [logistic], every value of a map on its own, as segmenters have it: binary cross-entropy, summed
 * or, so that learning rates do not depend on the size of the map, as the mean of an image.  The
 * gradient goes to the logits.
 */
#include "train/loss/loss.h"

static long valid(const float *target, size_t n)
{
    long count = 0;

    for (size_t i = 0; i < n; i++)
        count += target[i] >= 0;
    return count;
}

static void image(const struct qd_loss_job *j, int n, struct qd_loss_sum *sum)
{
    const struct qd_tensor *raw = j->in->raw;
    size_t size = (size_t)raw->h * (size_t)raw->w * (size_t)raw->c;
    const float *target = j->in->target + (size_t)n * size;
    long count = valid(target, size);
    double scale = j->opts->mean && count ? 1 / (double)count : 1;

    for (int i = 0; i < raw->h * raw->w; i++, target += raw->c) {
        const float *x = qd_at(raw, n, i / raw->w, i % raw->w);
        float *g = qd_at(j->in->grad, n, i / raw->w, i % raw->w);
        for (int c = 0; c < raw->c; c++) {
            double dx, p = (double)qd_head_logistic(x[c]);
            g[c] = 0;
            if (!(target[c] >= 0))
                continue;
            sum->cost[2] += scale * qd_bce((double)x[c], (double)target[c], 1, &dx);
            g[c] = (float)(scale * dx);
            sum->p += target[c] > .5f ? p : 1 - p;
            sum->correct += (x[c] > 0) == (target[c] > .5f);
        }
    }
    sum->count += count;
    sum->classes += count;
}

const struct qd_loss_type qd_loss_logistic = {
    .section = "logistic",
    .variant = "crossentropy",
    .image = image,
    .dense = true,
};
