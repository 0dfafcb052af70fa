/* SPDX-License-Identifier: MIT */
/* What the files of a training run share: recipe.c (what the cfg says), files.c (what it writes),
 * evaluate.c (scores), learner.c (one pass), train.c (the loop); trial.c makes steps without all
 * that, to measure them; statistics.c passes without a loss. */
#ifndef QD_TRAIN_H
#define QD_TRAIN_H

#include "base/buf.h"
#include "data/loader.h"
#include "data/preflight.h"
#include "net/train_net.h"
#include "train/ema.h"
#include "train/loss/loss.h"
#include "train/optim.h"
#include "train/schedule.h"
#include "train/sparse.h"

enum { QD_TRAIN_HEADS = 16 };

/* Random input sizes (spec darknet.md 5.3): another one every 10 iterations. */
struct qd_scale {
    float factor; /* 0: none */
    int w, h, step;
    uint64_t seed, iterations;
};

/* All that the cfg and the options say. */
struct qd_recipe {
    int batch, subdivisions; /* images of an update, its parts */
    bool classifier;
    int classes;
    uint64_t iterations;
    float bn_momentum, ema_alpha;
    struct qd_optim_opts optim;
    struct qd_schedule schedule;
    bool warm; /* the burn-in is the warm-up that belongs to the ultralytics loss */
    struct qd_augment_opts augment;
    struct qd_scale scale;
};

struct qd_train_head {
    const struct qd_layer *layer;
    int source; /* the layer that the loss reads */
    struct qd_loss *loss;
    struct qd_loss_parts parts; /* sums over an iteration */
};

/* The net and the losses of its heads. */
struct qd_learner {
    struct qd_train_net *net;
    struct qd_train_head head[QD_TRAIN_HEADS];
    int nheads;
};

struct qd_train {
    struct qd_model *m;
    struct qd_train_opts o; /* strings are copies in the arena */
    struct qd_arena arena;
    struct qd_recipe r;
    struct qd_sets sets;
    struct qd_loader *loader;
    struct qd_learner learner;
    int w, h, frozen; /* that the net was planned for */
    struct qd_optim *optim;
    struct qd_sparsity *sparsity;    /* or NULL */
    struct qd_sparsity_stats spread; /* at the end of the last epoch of this process, or zeros */
    float *ema;                      /* or NULL */
    uint64_t ema_updates;
    bool ema_done; /* darknet's has replaced the parameters */
    size_t memory;
    /* the state of the run */
    uint64_t n; /* iterations done */
    uint64_t resumed;
    double avg, best, least; /* loss, best score, the lowest average that was saved */
    bool due;                /* the evaluation of iteration n was not done */
    /* files */
    char *recipe; /* text for the state */
    int log;      /* file descriptor, -1: none */
    int gammas;   /* the same, of sparse training */
    int failed;   /* saves in a row that failed */
    double clock; /* seconds, at the end of the last iteration */
};

/* ---- recipe.c ---- */

/* Read everything from m->cfg; 'images' of the training set. */
int qd_recipe_read(struct qd_recipe *r, const struct qd_model *m, const struct qd_train_opts *o,
    size_t images, struct qd_error *err) QD_MUSTCHECK;
/* What holds in iteration n of a warm-up (spec compression.md 5.4); false: there is none, or it is
 * over. */
bool qd_recipe_warmup(const struct qd_recipe *r, uint64_t n, struct qd_warmup *w);
/* Whether the net is a classifier. */
bool qd_recipe_classifier(const struct qd_model *m);
/* Warn about keys that are not followed. */
void qd_recipe_warn(const struct qd_model *m);
/* What must not change from one part of a run to the next, as lines, in memory to be freed. */
char *qd_recipe_text(const struct qd_train *t, struct qd_error *err) QD_MUSTCHECK;
/* A qd_loader_size_fn; ctx is a struct qd_scale. */
void qd_scale_size(void *ctx, uint64_t iteration, int *w, int *h);
void qd_scale_largest(const struct qd_scale *s, int *w, int *h);

/* ---- learner.c ---- */

struct qd_learner_opts {
    struct qd_train_net_opts net;
    const char *loss; /* variant for detection heads; NULL: darknet's */
};
/* Plan and allocate, in place of what was there; drop it in any case. */
int qd_learner_make(struct qd_learner *l, struct qd_model *m, const struct qd_learner_opts *o,
    struct qd_error *err) QD_MUSTCHECK;
void qd_learner_drop(struct qd_learner *l);
/* The images of a pass: [batch][h][w][c]. */
void qd_learner_input(struct qd_learner *l, const float *pixels);
struct qd_learner_truth { /* as in struct qd_loss_in */
    const struct qd_labels *labels;
    const float *target;
    uint64_t seen;
    float cold;
};
/* Forward, losses, backward: gradients and parts of the losses are added to those that are there.
 */
int qd_learner_pass(struct qd_learner *l, const struct qd_learner_truth *truth, uint64_t seed,
    struct qd_error *err) QD_MUSTCHECK;

/* ---- files.c ---- */

/* How often files are written, where the options leave it to the data set. */
int qd_files_cadence(struct qd_train *t, struct qd_error *err) QD_MUSTCHECK;
/* Refuse or make way, write PREFIX.cfg, load the state if asked, open the log. */
int qd_files_begin(struct qd_train *t, struct qd_error *err) QD_MUSTCHECK;
/* PREFIX<suffix>, from the parameters, or the average if there is one and 'average'. */
int qd_files_weights(
    struct qd_train *t, const char *suffix, bool average, struct qd_error *err) QD_MUSTCHECK;
/* _last.weights, _ema.weights, .state; refuses parameters that are not finite. */
int qd_files_save(struct qd_train *t, struct qd_error *err) QD_MUSTCHECK;
/* The log line, and whatever else is due after an iteration; failures are warnings, except
 * QD_EDIVERGED. */
int qd_files_iteration(
    struct qd_train *t, const struct qd_train_row *row, struct qd_error *err) QD_MUSTCHECK;
/* The warning for a file that could not be written; clears 'err'. */
void qd_files_warn(struct qd_train *t, struct qd_error *err);

/* ---- statistics.c ---- */

/* How images are decoded that qd_statistics_gather() looks at: for qd_dataset_decode(), w, h 0: the
 * model's. */
struct qd_image_opts qd_statistics_decode(const struct qd_model *m, int w, int h);
/* qd_train_statistics() from the images of a set that is open; o->data is not read. */
int qd_statistics_gather(struct qd_model *m, struct qd_dataset *set,
    const struct qd_statistics_opts *o, struct qd_error *err) QD_MUSTCHECK;

/* ---- evaluate.c ---- */

/* mAP of a detector: 0, 1 when it was stopped, -1. */
int qd_score_detector(struct qd_net *net, struct qd_dataset *set, const struct qd_score_opts *o,
    double *map, struct qd_error *err) QD_MUSTCHECK;
int qd_score_classifier(struct qd_net *net, struct qd_dataset *set, const struct qd_score_opts *o,
    struct qd_top *top, struct qd_error *err) QD_MUSTCHECK;
/* The score of a run as it is, of its averaged parameters if it has them; *bytes (or NULL) gets
 * what the net for it took. */
int qd_score_run(struct qd_train *t, size_t limit, double *score, size_t *bytes,
    struct qd_error *err) QD_MUSTCHECK;

#endif
