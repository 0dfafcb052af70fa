/* SPDX-License-Identifier: MIT */
#ifndef QD_GRAPH_H
#define QD_GRAPH_H

#include "net/layer.h"

/*
 * The layers of a cfg with sources, shapes and parameters worked out for one input size.  A model
 * has one at the size of its [net] section, every net another one at its own size.
 */
struct qd_graph {
    struct qd_arena arena;
    const struct qd_cfg *cfg; /* borrowed */
    int h, w, c;              /* input */
    bool letter_box;
    float bn_eps;
    int nlayers;
    struct qd_layer *layer;
    size_t nparams; /* floats in the parameter block */
};

/* Build and check.  h, w 0: as the cfg says.  'quiet' leaves out the warnings about unknown keys
 * (they were given when the model was built). */
struct qd_graph *qd_graph_new(
    const struct qd_cfg *cfg, int h, int w, bool quiet, struct qd_error *err) QD_MUSTCHECK;
void qd_graph_free(struct qd_graph *g);
/* Whether no layer reads the output of 'layer'. */
bool qd_graph_unread(const struct qd_graph *g, int layer);

#endif
