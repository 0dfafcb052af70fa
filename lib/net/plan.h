/* SPDX-License-Identifier: MIT */
#ifndef QD_PLAN_H
#define QD_PLAN_H

#include "net/graph.h"

/*
 * Where every layer's output lies.  Value 0 is the net's input, value i + 1 the output of layer i.
 * A value either owns a buffer (it is a root) or is a range of channels of another value.
 */
struct qd_value {
    int parent;            /* value that holds this one, or its own number: a root */
    int from;              /* first channel in the parent */
    int readers;           /* layers that read it */
    bool kept;             /* must stay readable after the pass */
    bool none;             /* fused away: never exists in memory */
    int first, last;       /* roots: steps at which it is first written and last read */
    int border;            /* roots: what the readers need, pixels */
    bool alone;            /* roots: its memory is no one else's, so its border stays zero */
    size_t floats, offset; /* roots: size and place in the activation block */
    struct qd_tensor t;
};

/* One layer that runs. */
struct qd_step {
    int layer;
    int out; /* value written: the layer's own, or that of the tail fused into it */
    bool fused;
    struct qd_fuse fuse;
    int add;      /* value that the tail adds, or -1 */
    bool *placed; /* CONCAT: see struct qd_pass */
};

/* A piece of memory that is in use from step 'first' to step 'last'. */
struct qd_span {
    size_t floats;
    int first, last;
    size_t offset; /* where it was placed */
    bool alone;    /* nothing else lies there at any time */
};
/* Place n spans so that those that are in use at the same time do not overlap; *floats gets the end
 * of the last.  Offsets are multiples of QD_ALIGN bytes. */
int qd_span_place(struct qd_span *s, int n, size_t *floats, struct qd_error *err) QD_MUSTCHECK;

struct qd_plan {
    int batch;
    int nvalues;
    struct qd_value *value;
    int nsteps;
    struct qd_step *step;
    size_t floats; /* activation block */
};

/*
 * Plan one pass over the graph: concatenations become wide buffers that their sources write into,
 * tails are fused into convolutions, buffers are reused by lifetime.  With keep_all nothing is
 * fused and nothing reused.  Memory comes from 'a'.
 */
int qd_plan_make(struct qd_plan *p, struct qd_graph *g, const struct qd_ops *ops, int batch,
    bool keep_all, struct qd_arena *a, struct qd_error *err) QD_MUSTCHECK;
/* The root of a value; *from (or NULL) gets the value's first channel there. */
int qd_plan_root(const struct qd_plan *p, int v, int *from);
/* Shape all roots that live (first, last, border set). */
int qd_plan_shape(struct qd_plan *p, const struct qd_graph *g, struct qd_error *err) QD_MUSTCHECK;
/* Give the tensors of all values their addresses in the block 'mem' of p->floats floats. */
void qd_plan_place(struct qd_plan *p, float *mem);

#endif
