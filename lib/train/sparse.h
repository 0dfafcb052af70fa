/* SPDX-License-Identifier: MIT */
/*
 * Sparse training: a penalty s sum |gamma| of the factors ("scales") of some layers is added to the
 * mean loss of an image (Liu et al. 2017, Network Slimming; spec compression.md 1).  Gradients here
 * are sums over the images of an update, so the term is images s sign(gamma), once an update: what
 * is minimized does not depend on the batch nor on its parts.  It goes through the momentum.
 *
 * The proximal step instead shrinks |gamma| by s times what a constant gradient of 1 would move it
 * (qd_optim_reach()), so that both settle where the mean gradient is s, this one in exact zeros.
 */
#ifndef QD_SPARSE_H
#define QD_SPARSE_H

#include "base/buf.h"
#include "train/optim.h"

/* What a schedule needs to know of a run. */
struct qd_sparsity_run {
    uint64_t iterations;
    size_t images; /* of the training set: an epoch */
    int batch;     /* images of an update */
    int parts;     /* that it comes in */
};

struct qd_sparsity_range {
    int layer;
    size_t from, count; /* of its factors in the block of parameters */
};

struct qd_sparsity {
    struct qd_sparsity_opts o; /* with numbers instead of defaults; layers is not kept */
    struct qd_sparsity_run run;
    int nranges;
    struct qd_sparsity_range *range; /* [nranges] */
    size_t channels;                 /* of all ranges */
    float *sorted;                   /* [channels] scratch */
    double threshold;                /* factors from here on are protected; part of the state */
    bool late;                       /* the iteration lies behind the switch */
};

/* A layer that is not there or has no factors of its own, or an option out of range, is QD_EARG.
 * The model is not kept. */
struct qd_sparsity *qd_sparsity_new(const struct qd_model *m, const struct qd_sparsity_opts *o,
    const struct qd_sparsity_run *run, struct qd_error *err) QD_MUSTCHECK;
void qd_sparsity_free(struct qd_sparsity *s);

/* Before anything else in iteration n = 1, 2 ...: where the schedule stands. */
void qd_sparsity_begin(struct qd_sparsity *s, const float *params, uint64_t n);
/* Between backward and the norm: the term; nothing for the proximal step. */
void qd_sparsity_term(const struct qd_sparsity *s, const float *params, float *grads);
/* After the update: the proximal step, if that is wanted. */
void qd_sparsity_shrink(const struct qd_sparsity *s, float *params, const struct qd_optim *optim,
    const struct qd_update *u);

/* The spread of the factors; stats->iteration is left to the caller. */
void qd_sparsity_stats(struct qd_sparsity *s, const float *params, struct qd_sparsity_stats *stats);
/* Whether iteration n is the last of an epoch. */
bool qd_sparsity_epoch_ends(const struct qd_sparsity *s, uint64_t n);
/* Lines of the recipe; none for s = 0. */
void qd_sparsity_text(const struct qd_sparsity *s, struct qd_buf *b);

#endif
