/* SPDX-License-Identifier: MIT */
/*
 * From gradients to new parameters, as linear passes over the block of all parameters.  The block
 * is cut into pieces of fixed size, so that results do not depend on the number of threads.
 *
 * With B the images of an update, g their summed gradient, d the decay (arrays that are weights
 * only), r the rate times the layer's factor:
 *     SGD       v = momentum v + g + d B w;  w -= r / B v              (spec darknet.md 2.1.4)
 *     Nesterov  the same v;  w -= r / B (g + d B w + momentum v)       (Sutskever et al. 2013)
 *     Adam      g' = g + d B w, of all arrays, as darknet; Kingma and Ba 2015 on g'
 *     AdamW     Adam on g / B, and w -= r d w                          (Loshchilov and Hutter 2019)
 */
#ifndef QD_OPTIM_H
#define QD_OPTIM_H

#include "net/model.h"

enum qd_optim_kind { QD_OPTIM_SGD, QD_OPTIM_NESTEROV, QD_OPTIM_ADAM, QD_OPTIM_ADAMW };

struct qd_optim_opts {
    enum qd_optim_kind kind;
    float momentum, decay;
    float beta1, beta2, eps; /* Adam */
    float clip;              /* largest norm of the mean gradient, 0: any */
    int burn_in;             /* what burnin_update of a layer counts in */
};

/* What holds in one iteration of a warm-up; the rate of biases is multiplied by the layer's factor,
 * too. */
struct qd_warmup {
    double bias_lr;
    float momentum, decay;
};

/* An iteration, counted from 1. */
struct qd_update {
    uint64_t n;
    double lr;
    int images;                   /* whose gradients were summed */
    double norm;                  /* what qd_optim_norm said */
    const struct qd_warmup *warm; /* SGD and Nesterov: instead of the options; NULL: none */
};

struct qd_optim;

/* What [net] says: momentum, decay, adam, B1, B2, eps, clip, burn_in. */
int qd_optim_read(
    struct qd_optim_opts *o, const struct qd_cfg *cfg, struct qd_error *err) QD_MUSTCHECK;
/* The optimizer of a model, with the keys of its layers: learning_rate, stopbackward, onlyforward,
 * train_only_bn, dont_update, burnin_update, clip (spec darknet.md 1.4).  The model is not kept. */
struct qd_optim *qd_optim_new(
    const struct qd_model *m, const struct qd_optim_opts *opts, struct qd_error *err) QD_MUSTCHECK;
void qd_optim_free(struct qd_optim *o);

/* Layers below this one are frozen in iteration n. */
int qd_optim_frozen(const struct qd_optim *o, uint64_t n);
/* The norm of the mean gradient of all that learns in iteration n; not finite when one value is
 * not. */
double qd_optim_norm(struct qd_optim *o, const float *grads, uint64_t n, int images);
/* Change the parameters and zero the gradients. */
void qd_optim_step(struct qd_optim *o, float *params, float *grads, const struct qd_update *u);
/* How far a constant mean gradient of 1 moves a parameter of a layer in an update, in the end: rate
 * / (1 - momentum) for SGD and Nesterov; for Adam, which moves by the rate whatever the gradient,
 * the rate.  0 where the layer does not learn.  (Not for biases in a warm-up.) */
double qd_optim_reach(const struct qd_optim *o, int layer, const struct qd_update *u);
/* The blocks that make up its state, in the layout of the parameters; NULL after the last. */
float *qd_optim_state(struct qd_optim *o, int i);

/* Layer of the first value of a block that is not finite, -1: all are. 'last': the highest layer.
 */
int qd_block_blame(const struct qd_graph *g, const float *block, bool last);

#endif
