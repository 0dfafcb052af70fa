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

#endif
