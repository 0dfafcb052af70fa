/* SPDX-License-Identifier: MIT */
#ifndef QD_TRAIN_NET_H
#define QD_TRAIN_NET_H

#include "net/model.h"
#include "net/plan.h"

/*
 * A net that learns, on the parameters of the model itself.  One step is forward, the losses (which
 * read the outputs of some layers and write their gradients), backward; then whoever owns the
 * optimizer changes the parameters and says so.  Values, gradients and what layers save share
 * memory: a value is there until backward begins if qd_train_net_holds() it, a gradient only while
 * backward needs it.
 */
struct qd_train_net;

struct qd_train_net_opts {
    int batch;         /* images of a pass */
    int w, h;          /* 0: the model's */
    int frozen;        /* layers 0 .. frozen-1 do not learn, their statistics stay */
    float bn_momentum; /* of the running statistics, in [0, 1) */
    bool timing;       /* measure every layer (qd_train_net_layer_ms) */
    bool repack;       /* parameters change after every pass: each layer packs its own when it runs,
                          in memory for one */
    bool keep;         /* values stay until the next forward pass, for tests */
};

struct qd_train_net *qd_train_net_new(
    struct qd_model *m, const struct qd_train_net_opts *opts, struct qd_error *err) QD_MUSTCHECK;
void qd_train_net_free(struct qd_train_net *t);

const struct qd_graph *qd_train_net_graph(const struct qd_train_net *t);
/* The output of a layer (-1: the input; without images when it is not stored) and its gradient,
 * NULL when nothing below it learns. */
const struct qd_tensor *qd_train_net_value(const struct qd_train_net *t, int layer);
const struct qd_tensor *qd_train_net_gradient(const struct qd_train_net *t, int layer);
/* Whether the output of a layer is there between forward and backward: those that a loss reads are,
 * and those that no layer reads. */
bool qd_train_net_holds(const struct qd_train_net *t, int layer);
/* Gradients of all parameters, in the layout of the model's block; backward adds to them. */
float *qd_train_net_grads(struct qd_train_net *t);
/* Bytes of activations, gradients, packed parameters and scratch. */
size_t qd_train_net_bytes(const struct qd_train_net *t);

/* A gradient enters at 'layer': whoever computes the loss overwrites qd_train_net_gradient() of it
 * between forward and backward.  Called once for each such layer, before the first pass. */
int qd_train_net_loss_at(struct qd_train_net *t, int layer, struct qd_error *err) QD_MUSTCHECK;
/* After the last qd_train_net_loss_at(): plan and allocate. */
int qd_train_net_ready(struct qd_train_net *t, struct qd_error *err) QD_MUSTCHECK;

/* The momentum of the running statistics of one layer, instead of that of the options. */
void qd_train_net_momentum(struct qd_train_net *t, int layer, float momentum);
/* seed: of the random masks of this pass. */
void qd_train_net_forward(struct qd_train_net *t, uint64_t seed);
void qd_train_net_backward(struct qd_train_net *t);
/* The parameters have changed: pack them again. */
void qd_train_net_updated(struct qd_train_net *t);
/* Milliseconds of the last passes in a layer (needs .timing). */
void qd_train_net_layer_ms(
    const struct qd_train_net *t, int layer, double *forward, double *backward);

#endif
