/* SPDX-License-Identifier: MIT */
/*
 * Optimizers.  All state is in blocks of the layout of the parameters: one of momentum, for Adam
 * two of moments.  Running statistics lie in the same block, but no piece covers them.
 */
#include "train/optim.h"

#include <math.h>

#include "base/error.h"
#include "base/par.h"

enum { PIECE = 32768 /* floats */ };

/* What the keys of a layer say. */
struct rule {
    float lr, clip;
    double dont_update, burnin_update;
    int stop;         /* stopbackward */
    bool onlyforward; /* or below a train_only_bn */
};

struct piece {
    size_t from, count;
    int layer;
    bool decay, bias;
};

struct qd_optim {
    struct qd_optim_opts opts;
    size_t n; /* floats of a block */
    int nlayers, npieces;
    struct rule *rule;   /* [nlayers] */
    struct piece *piece; /* [npieces] */
    double *sum;         /* [npieces] */
    float *state[2];     /* [n], or NULL */
};

/* ---- what the cfg says ----------------------------------------------------------------------- */

int qd_optim_read(struct qd_optim_opts *o, const struct qd_cfg *cfg, struct qd_error *err)
{
    struct qd_keys k = qd_keys_open(cfg, 0, qd_net_keys, NULL, err);

    *o = (struct qd_optim_opts){
        .kind = qd_key_int(&k, "adam") ? QD_OPTIM_ADAM : QD_OPTIM_SGD,
        .momentum = qd_key_float(&k, "momentum"),
        .decay = qd_key_float(&k, "decay"),
        .beta1 = qd_key_float(&k, "B1"),
        .beta2 = qd_key_float(&k, "B2"),
        .eps = qd_key_float(&k, "eps"),
        .clip = qd_key_float(&k, "clip"),
        .burn_in = qd_key_int(&k, "burn_in"),
    };
    return k.failed ? -1 : 0;
}

static int read_rule(
    struct rule *r, const struct qd_cfg *cfg, int layer, bool *only_bn, struct qd_error *err)
{
    struct qd_keys k = qd_keys_open(cfg, layer + 1, qd_layer_common_keys, NULL, err);

    *r = (struct rule){
        .lr = qd_key_float(&k, "learning_rate"),
        .clip = qd_key_float(&k, "clip"),
        .dont_update = (double)qd_key_float(&k, "dont_update"),
        .burnin_update = (double)qd_key_float(&k, "burnin_update"),
        .stop = qd_key_int(&k, "stopbackward"),
        .onlyforward = qd_key_int(&k, "onlyforward") != 0,
    };
    *only_bn = qd_key_int(&k, "train_only_bn") != 0;
    return k.failed ? -1 : 0;
}

static int read_rules(struct qd_optim *o, const struct qd_cfg *cfg, struct qd_error *err)
{
    for (int i = 0; i < o->nlayers; i++) {
        bool only_bn;
        if (read_rule(&o->rule[i], cfg, i, &only_bn, err) < 0)
            return -1;
        for (int j = 0; only_bn && j <= i; j++)
            o->rule[j].onlyforward = true;
    }
    return 0;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static bool trained(const struct qd_param *p)
{
    return !(p->flags & (QD_PARAM_STAT | QD_PARAM_SHARED));
}

static int cut(struct qd_optim *o, const struct qd_graph *g, struct qd_error *err)
{
    size_t n = 0;

    for (int i = 0; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nparams; k++)
            if (trained(&g->layer[i].param[k]))
                n += g->layer[i].param[k].count / PIECE + 1;
    o->piece = qd_alloc(n, sizeof(*o->piece), err);
    o->sum = qd_alloc(n, sizeof(*o->sum), err);
    if (!o->piece || !o->sum)
        return -1;
    for (int i = 0; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nparams; k++) {
            const struct qd_param *p = &g->layer[i].param[k];
            for (size_t at = 0; trained(p) && at < p->count; at += PIECE)
                o->piece[o->npieces++] =
                    (struct piece){p->offset + at, QD_MIN(p->count - at, (size_t)PIECE), i,
                        (p->flags & QD_PARAM_DECAY) != 0, strcmp(p->name, "biases") == 0};
        }
    return 0;
}

struct qd_optim *qd_optim_new(
    const struct qd_model *m, const struct qd_optim_opts *opts, struct qd_error *err)
{
    struct qd_optim *o = qd_alloc(1, sizeof(*o), err);

    if (!o)
        return NULL;
    o->opts = *opts;
    o->n = m->graph->nparams;
    o->nlayers = m->graph->nlayers;
    o->rule = qd_alloc((size_t)o->nlayers, sizeof(*o->rule), err);
    o->state[0] = qd_alloc(o->n, sizeof(float), err);
    if (opts->kind == QD_OPTIM_ADAM || opts->kind == QD_OPTIM_ADAMW)
        o->state[1] = qd_alloc(o->n, sizeof(float), err);
    bool missing = (opts->kind == QD_OPTIM_ADAM || opts->kind == QD_OPTIM_ADAMW) && !o->state[1];
    if (!o->rule || !o->state[0] || missing || read_rules(o, m->cfg, err) < 0 ||
        cut(o, m->graph, err) < 0) {
        qd_optim_free(o);
        return NULL;
    }
    return o;
}

void qd_optim_free(struct qd_optim *o)
{
    if (!o)
        return;
    qd_free(o->rule);
    qd_free(o->piece);
    qd_free(o->sum);
    qd_free(o->state[0]);
    qd_free(o->state[1]);
    qd_free(o);
}

float *qd_optim_state(struct qd_optim *o, int i)
{
    return i >= 0 && i < (int)QD_LEN(o->state) ? o->state[i] : NULL;
}

/* ---- who learns ------------------------------------------------------------------------------ */

int qd_optim_frozen(const struct qd_optim *o, uint64_t n)
{
    int frozen = 0;

    for (int i = 0; i < o->nlayers; i++)
        if (o->rule[i].stop == 1 || (o->rule[i].stop > 1 && n < (uint64_t)o->rule[i].stop))
            frozen = i;
    return frozen;
}

static bool learns(const struct qd_optim *o, int layer, int frozen, uint64_t n)
{
    const struct rule *r = &o->rule[layer];

    return layer >= frozen && !r->onlyforward && (double)n > r->dont_update &&
           (double)n >= r->burnin_update * o->opts.burn_in;
}

struct job {
    struct qd_optim *o;
    float *params, *grads;
    const float *read;
    const struct qd_update *u;
    uint64_t n;
    int frozen;
    double factor; /* of the gradient, when clipped */
};

static void sum_piece(void *ctx, int i, int thread)
{
    const struct job *j = ctx;
    const struct piece *p = &j->o->piece[i];
    double s = 0;

    (void)thread;
    if (learns(j->o, p->layer, j->frozen, j->n))
        for (size_t k = p->from; k < p->from + p->count; k++)
            s += (double)j->read[k] * (double)j->read[k];
    j->o->sum[i] = s;
}

double qd_optim_norm(struct qd_optim *o, const float *grads, uint64_t n, int images)
{
    struct job j = {.o = o, .read = grads, .n = n, .frozen = qd_optim_frozen(o, n)};
    double sum = 0;

    qd_par(o->npieces, sum_piece, &j);
    for (int i = 0; i < o->npieces; i++)
        sum += o->sum[i];
    return sqrt(sum) / images;
}

/* ---- the step -------------------------------------------------------------------------------- */

static void sgd(const struct job *j, const struct piece *p, float rate)
{
    const struct qd_optim_opts *o = &j->o->opts;
    const struct qd_warmup *warm = j->u->warm;
    float m = warm ? warm->momentum : o->momentum, decay = warm ? warm->decay : o->decay;
    float c = (float)j->factor, by = rate / (float)j->u->images;
    float d = p->decay ? decay * (float)j->u->images : 0;
    float *v = j->o->state[0] + p->from, *w = j->params + p->from;
    const float *g = j->grads + p->from;

    if (o->kind == QD_OPTIM_NESTEROV) {
        for (size_t k = 0; k < p->count; k++) {
            float all = c * g[k] + d * w[k];
            v[k] = m * v[k] + all;
            w[k] -= by * (all + m * v[k]);
        }
        return;
    }
    for (size_t k = 0; k < p->count; k++) {
        v[k] = m * v[k] + c * g[k] + d * w[k];
        w[k] -= by * v[k];
    }
}

static void adam(const struct job *j, const struct piece *p, float rate)
{
    const struct qd_optim_opts *o = &j->o->opts;
    bool apart = o->kind == QD_OPTIM_ADAMW;
    float images = (float)j->u->images, c = (float)j->factor / (apart ? images : 1);
    float d = apart ? 0 : o->decay * images, shrink = apart && p->decay ? rate * o->decay : 0;
    float b1 = o->beta1, b2 = o->beta2, eps = o->eps;
    float by = rate / (float)(1 - pow((double)b1, (double)j->u->n));
    float root = (float)(1 / sqrt(1 - pow((double)b2, (double)j->u->n)));
    float *m = j->o->state[0] + p->from, *v = j->o->state[1] + p->from, *w = j->params + p->from;
    const float *g = j->grads + p->from;

    for (size_t k = 0; k < p->count; k++) {
        float all = c * g[k] + d * w[k];
        m[k] = b1 * m[k] + (1 - b1) * all;
        v[k] = b2 * v[k] + (1 - b2) * all * all;
        w[k] -= shrink * w[k] + by * m[k] / (sqrtf(v[k]) * root + eps);
    }
}

static void step_piece(void *ctx, int i, int thread)
{
    const struct job *j = ctx;
    const struct qd_optim *o = j->o;
    const struct piece *p = &o->piece[i];
    const struct rule *r = &o->rule[p->layer];
    float *w = j->params + p->from;

    (void)thread;
    if (learns(o, p->layer, j->frozen, j->u->n)) {
        double lr = j->u->warm && p->bias ? j->u->warm->bias_lr : j->u->lr;
        float rate = (float)(lr * (double)r->lr);
        (o->state[1] ? adam : sgd)(j, p, rate);
        for (size_t k = 0; r->clip > 0 && k < p->count; k++)
            w[k] = w[k] > r->clip ? r->clip : w[k] < -r->clip ? -r->clip : w[k];
    }
    memset(j->grads + p->from, 0, p->count * sizeof(float));
}

void qd_optim_step(struct qd_optim *o, float *params, float *grads, const struct qd_update *u)
{
    struct job j = {.o = o,
        .params = params,
        .grads = grads,
        .u = u,
        .frozen = qd_optim_frozen(o, u->n),
        .factor = 1};

    if (o->opts.clip > 0 && u->norm > (double)o->opts.clip)
        j.factor = (double)o->opts.clip / u->norm;
    qd_par(o->npieces, step_piece, &j);
}

double qd_optim_reach(const struct qd_optim *o, int layer, const struct qd_update *u)
{
    double rate = u->lr * (double)o->rule[layer].lr;
    double momentum = (double)(u->warm ? u->warm->momentum : o->opts.momentum);

    if (!learns(o, layer, qd_optim_frozen(o, u->n), u->n))
        return 0;
    return o->state[1] || momentum >= 1 ? rate : rate / (1 - momentum);
}

int qd_block_blame(const struct qd_graph *g, const float *block, bool last)
{
    int found = -1;

    for (int i = 0; i < g->nlayers && (last || found < 0); i++)
        for (int k = 0; k < g->layer[i].nparams; k++) {
            const struct qd_param *p = &g->layer[i].param[k];
            for (size_t at = 0; !(p->flags & QD_PARAM_SHARED) && at < p->count; at++)
                if (!isfinite(block[p->offset + at])) {
                    found = i;
                    break;
                }
        }
    return found;
}
