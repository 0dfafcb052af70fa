/* SPDX-License-Identifier: MIT */
#ifndef QD_MODEL_H
#define QD_MODEL_H

#include "net/graph.h"

struct qd_model {
    struct qd_cfg *cfg; /* owned */
    struct qd_graph *graph;
    float *params; /* one block in the order of the weights file */
    uint64_t seen; /* images seen in training */
};

/* qd_model_new(); 'quiet' leaves out the warnings about the cfg, which were given before. */
struct qd_model *qd_model_make(struct qd_cfg *cfg, bool quiet, struct qd_error *err) QD_MUSTCHECK;
/* A deep copy. */
struct qd_model *qd_model_copy(const struct qd_model *m, struct qd_error *err) QD_MUSTCHECK;

#endif
