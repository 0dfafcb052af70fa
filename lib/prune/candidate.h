/* SPDX-License-Identifier: MIT */
#ifndef QD_CANDIDATE_H
#define QD_CANDIDATE_H

#include "prune/select.h"

/*
 * Random cuts of a model to one budget of multiply-adds (spec compression.md 2.11; Li et al. 2020,
 * EagleEye, arXiv 2007.02491).
 *
 * For a draw every layer of a set gets a share u, uniform in (0, 1].  The layer votes for the
 * trunc(C u^t) of its C channels whose weights have the largest sums |W|; votes of layers whose
 * channels are tied are merged.  The exponent t is the same for all layers and found by bisection:
 * the multiply-adds fall as it grows, from those of the whole model (t = 0) to those of the least
 * widths.  So the draw decides how layers differ, and t how much is left; plain uniform shares
 * (t = 1) of many layers almost never meet a budget.
 */
struct qd_candidates_opts {
    enum qd_sparse set;
    enum qd_merge merge;
    int base;         /* votes go to the nearest multiple of channels, halves up, at least one of
                         it, and widths up to the next one; 0, 1: to any number */
    int min_channels; /* least width of a layer of the set; 0: 1 */
    double share;     /* of the multiply-adds that is to be left, in (0, 1) */
    double delta;     /* how far from it a candidate may be */
    int w, h;         /* input size; 0: the model's */
    uint64_t seed;
};

struct qd_candidates {
    struct qd_candidates_opts o;
    struct qd_choice choice; /* scores are the sums |W|; dead: what was drawn last */
    int *rank;               /* [nchannels] of channels of the set, in their layer */
    double *u;               /* [set.n] */
    double whole, least;     /* multiply-adds: all, those of the least widths */
    uint64_t macs;           /* what was drawn last */
};

/* The model is borrowed; only its graph is looked at after this.  A budget below the least widths
 * is QD_EARG, which says the share that they have. */
int qd_candidates_open(struct qd_candidates *c, const struct qd_model *m,
    const struct qd_candidates_opts *o, struct qd_error *err) QD_MUSTCHECK;
void qd_candidates_close(struct qd_candidates *c);
/*
 * Draw 'number', a function of the seed and the number, into c->choice.dead.  *share gets the part
 * of the multiply-adds that is left.  1; 0 when widths have too few steps for it to come within
 * delta; -1.
 */
int qd_candidates_draw(
    struct qd_candidates *c, uint64_t number, double *share, struct qd_error *err) QD_MUSTCHECK;

#endif
