/* SPDX-License-Identifier: MIT */
#ifndef QD_NET_H
#define QD_NET_H

#include "net/model.h"
#include "net/plan.h"

/* What happened to the image in one slot of the batch, to map boxes back. */
struct qd_slot {
    int w, h;       /* of the image; 0: no image was set */
    bool letterbox; /* else stretched */
};

struct qd_net {
    const struct qd_model *model; /* borrowed, or the same as 'taken' */
    struct qd_model *taken;       /* owned */
    int threads;                  /* that the scratch memory was sized for */
    struct qd_graph *graph;       /* own, at this net's size */
    const struct qd_ops *ops;
    struct qd_net_opts opts;
    enum qd_resampler resampler;
    struct qd_arena arena;
    struct qd_plan plan;
    struct qd_pass *pass; /* [nlayers], ready to run */
    double *ms;           /* [nlayers], with timing */
    float *act, *work, *packed;
    size_t work_floats, packed_floats;
    struct qd_slot *slot; /* [batch] */
};

/* The output tensor of a layer; layer -1 is the input. */
const struct qd_tensor *qd_net_tensor(const struct qd_net *net, int layer);
/* Run one layer; 'raw' leaves its activation out. */
void qd_net_run_layer(struct qd_net *net, int layer, bool raw);
/* Pack the parameters of one layer again after they changed in 'params'. */
void qd_net_pack_layer(struct qd_net *net, int layer, const float *params);

#endif
