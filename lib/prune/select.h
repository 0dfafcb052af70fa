/* SPDX-License-Identifier: MIT */
#ifndef QD_SELECT_H
#define QD_SELECT_H

#include "net/model.h"
#include "prune/set.h"

/*
 * Which channels of a model go, by the factors of its layers (spec compression.md 2.2, 2.10): every
 * channel of the layers of a set has a vote, from a threshold; the votes of all layers that share a
 * group of channels are merged, because they live or die together; then groups come back until
 * every layer is as wide as it must be.
 */
struct qd_choice {
    const struct qd_model *model;
    struct qd_groups *groups; /* of the model's graph */
    struct qd_set set;        /* layers that have votes */
    float *score;             /* [nchannels] of channels of the set: |factor|, of others 0 */
    bool *vote;               /* [nchannels] the channel is to be kept; of the set, true before */
    const char **stays;       /* [ngroups] why a group stays whatever the votes, or NULL */
    bool *dead;               /* [ngroups] the result */
    struct qd_worth *order;   /* scratch, a layer's channels */
    bool *raised;             /* [nlayers] keeps more than the threshold says */
    bool *judged;             /* [nlayers] as qd_set_judged() says */
    size_t factors, below;    /* that thresholds were found in, and those before them */
    float percent, limit, threshold; /* as in struct qd_pruned */
    int blocked;
    const char *why;
};

/* Begin: everything votes to stay.  A factor that is no number is QD_EDIVERGED, a model without
 * layers of the set QD_EUNSUP.  The model is borrowed. */
int qd_choice_open(struct qd_choice *c, const struct qd_model *m, enum qd_sparse kind,
    struct qd_error *err) QD_MUSTCHECK;
void qd_choice_close(struct qd_choice *c);

/*
 * Vote in layers first..last: of the n factors there, ascending, number trunc(n * percent) is the
 * threshold; those below go, and with 'above' those equal to it.  Percent 0 takes nothing.  A
 * percent that is not in 0 .. below 1, or no layer of the set there, is QD_EARG.
 */
struct qd_cutoff {
    int first, last;
    float percent;
    bool above;
    bool roots;  /* of layers whose channels are added only the first counts in the threshold */
    bool strict; /* QD_EARG, which tells the limit, when a layer that counts loses all */
};
int qd_choice_vote(
    struct qd_choice *c, const struct qd_cutoff *t, struct qd_error *err) QD_MUSTCHECK;

/* How wide layers stay, numbers up to what the width was. */
struct qd_widths {
    float layer_keep; /* a layer of the set: trunc(width * layer_keep) channels ... */
    int few;          /* ... or that many when this is 0; also before votes are merged */
    int min_channels; /* any layer of the set; others keep 1 */
    int base;         /* a layer of the set: a multiple of that; 0, 1: any */
};
/* Merge the votes into 'dead', and mend widths: the channels that come back are those with the
 * largest factors, of equal ones the first.  Once, after all votes. */
int qd_choice_settle(struct qd_choice *c, enum qd_merge merge, const struct qd_widths *w,
    struct qd_error *err) QD_MUSTCHECK;

/* trunc(n * f) of the fraction that was rounded to f: seven of ten for .7f, which is .699999988. */
size_t qd_share(size_t n, float f);

#endif
