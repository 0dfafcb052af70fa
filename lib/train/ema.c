/* SPDX-License-Identifier: MIT */
/* The average of the parameters over the run. */
#include "train/ema.h"

#include <math.h>

#include "base/par.h"

enum { PIECE = 32768 };

struct job {
    float *avg;
    const float *params;
    size_t n;
    float d;
};

static void average(void *ctx, int i, int thread)
{
    const struct job *j = ctx;
    size_t from = (size_t)i * PIECE, to = QD_MIN(from + PIECE, j->n);
    float d = j->d, e = 1 - d;

    (void)thread;
    for (size_t k = from; k < to; k++)
        j->avg[k] = d * j->avg[k] + e * j->params[k];
}

void qd_ema_update(
    float *avg, const float *params, const struct qd_graph *g, double d, bool statistics)
{
    struct job j = {avg, params, g->nparams, (float)d};

    qd_par((int)((j.n + PIECE - 1) / PIECE), average, &j);
    for (int i = 0; !statistics && i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nparams; k++) {
            const struct qd_param *p = &g->layer[i].param[k];
            if (p->flags & QD_PARAM_STAT)
                memcpy(avg + p->offset, params + p->offset, p->count * sizeof(float));
        }
}

double qd_ema_decay(double d, uint64_t u)
{
    return d * (1 - exp(-(double)u / 2000));
}
