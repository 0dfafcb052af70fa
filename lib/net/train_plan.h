/* SPDX-License-Identifier: MIT */
/* What the two files of a net that learns share: train_plan.c (what is wanted, and where it lies)
 * and train_net.c (building and running). */
#ifndef QD_TRAIN_PLAN_H
#define QD_TRAIN_PLAN_H

#include "net/train_net.h"

struct qd_train_part { /* what belongs to a layer */
    struct qd_train_pass pass;
    struct qd_train_need need;
    bool wanted;  /* the gradient of this layer's output is wanted */
    bool runs;    /* backward has something to do here */
    int born[8];  /* gradient roots to prepare before backward of this layer, -1 ends */
    bool zero[8]; /* all of them, else only the border */
    size_t saved; /* offset in the block */
    size_t packed, turned;
    double ms[2]; /* of the last passes, forward and backward, with timing */
};

struct qd_train_net {
    struct qd_model *model; /* borrowed; its parameters learn */
    struct qd_graph *graph;
    const struct qd_ops *ops;
    const struct qd_grad_ops *grad;
    struct qd_train_net_opts opts;
    struct qd_arena arena;
    struct qd_plan plan, gplan; /* of values, of gradients; both lie in the block */
    struct qd_train_part *part; /* [nlayers] */
    bool *loss;                 /* [nlayers] a loss writes the gradient */
    float *block, *packed, *work, *grads;
    size_t block_floats, packed_floats, work_floats;
    bool stale;  /* parameters changed since they were packed */
    int threads; /* that the scratch memory is for */
};

/* Whether a layer does not learn: it is frozen, or shares the parameters of one that is. */
bool qd_train_frozen(const struct qd_train_net *t, const struct qd_layer *l);
/* Whether nothing runs in a forward pass, except in place. */
static inline bool qd_train_is_view(const struct qd_layer *l)
{
    return l->place == QD_PLACE_ALIAS || l->place == QD_PLACE_SLICE;
}
/* Fill in the plans, the offsets of all parts, pass.fresh, pass.untouched, and the sizes of the
 * blocks. */
int qd_train_plan(struct qd_train_net *t, struct qd_error *err) QD_MUSTCHECK;

#endif
