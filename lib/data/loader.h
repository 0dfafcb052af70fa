/* SPDX-License-Identifier: MIT */
/*
 * Batches of training data, prepared ahead by threads of their own.  Batch k holds the same bytes
 * whatever the number of threads, and whether the loader began at batch 0 or at k: the images of a
 * run are numbered, and image s is a function of the seed and s alone (its order in the epoch, its
 * partners in a mosaic, its augmentation).
 */
#ifndef QD_LOADER_H
#define QD_LOADER_H

#include "data/augment.h"
#include "data/dataset.h"

enum qd_order {
    QD_ORDER_EPOCHS,      /* every image once an epoch, each epoch in another order */
    QD_ORDER_REPLACEMENT, /* drawn anew each time, as darknet does */
    QD_ORDER_LIST,        /* in order of the list, once; the last batch may be smaller */
};

/* The size of the inputs of an iteration, at most .w x .h of the options.  Called from any thread,
 * one at a time: a function of its arguments and nothing else. */
typedef void qd_loader_size_fn(void *ctx, uint64_t iteration, int *w, int *h);

struct qd_loader_opts {
    int batch;   /* images of a batch */
    int group;   /* images of an iteration, a multiple of batch: what is decided once for an
                    iteration holds for all of them; 0: batch */
    int w, h, c; /* size of the inputs, the largest if 'size' is given; c is 1 or 3 */
    qd_loader_size_fn *size;
    void *size_ctx;
    int threads; /* that prepare, 0..64; 0: qd_loader_next does the work */
    int depth;   /* batches that are prepared or being prepared at a time, 0: 2 */
    uint64_t seed;
    uint64_t first; /* number of the first batch that qd_loader_next gives */
    enum qd_order order;
    struct qd_augment_opts augment;
};

struct qd_batch {
    int n, w, h, c;
    float *pixels;            /* [n][h][w][c] */
    struct qd_labels *labels; /* [n], detectors */
    float *target;            /* [n][classes], classifiers */
    const size_t *sample;     /* [n]: the sample that each came from, in mixes the first one */
    uint64_t number, iteration;
    double epoch; /* epochs before the first image of this batch */
};

struct qd_loader_stats {
    uint64_t batches; /* given */
    double waited;    /* seconds in qd_loader_next, without those for the first batch */
    double elapsed;   /* seconds since the first batch was given */
};

struct qd_loader;

/* Begin to load.  The set is borrowed; its images are decoded as qd_dataset_decode said, so call
 * that before, with qd_augment_decode() of the largest size. */
struct qd_loader *qd_loader_new(
    struct qd_dataset *set, const struct qd_loader_opts *opts, struct qd_error *err) QD_MUSTCHECK;
/*
 * The next batch: 1; 0 after the last one of QD_ORDER_LIST; -1 when one of its images could not be
 * read or memory was short, then and from then on.  The batch is borrowed until qd_loader_done or
 * the next call.
 */
int qd_loader_next(
    struct qd_loader *l, const struct qd_batch **batch, struct qd_error *err) QD_MUSTCHECK;
/* Give the batch back early, so that its memory can be filled again. */
void qd_loader_done(struct qd_loader *l);
/* Stop at once, also while batches are prepared. */
void qd_loader_free(struct qd_loader *l);
void qd_loader_stats(const struct qd_loader *l, struct qd_loader_stats *stats);
/* Bytes that a loader with these options takes for its batches. */
size_t qd_loader_memory(const struct qd_loader_opts *opts, int classes);

#endif
