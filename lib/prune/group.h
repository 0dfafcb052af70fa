/* SPDX-License-Identifier: MIT */
#ifndef QD_GROUP_H
#define QD_GROUP_H

#include "net/graph.h"

/*
 * Which channels of a graph must live or die together: the finest partition of all channels that
 * obeys what every layer says (member 'channels' of its type).  Any set of groups that are not kept
 * can be taken out.  The channels of the net's input and of outputs that no layer reads are kept.
 *
 * Channels are numbered: those of the input first, then those of layer 0, 1 ...  Groups are
 * numbered by their first channels.
 */
struct qd_groups {
    const struct qd_graph *graph; /* borrowed */
    int nchannels, ngroups;
    const int *first;       /* [nlayers + 2] number of channel 0 of layer i at first[i + 1]; the
                               input's at first[0]; nchannels at the end */
    const int *owner;       /* [nchannels] the layer of a channel, -1: the input */
    const int *group;       /* [nchannels] */
    const int *begin;       /* [ngroups + 1] the members of group k are at begin[k] ... */
    const int *member;      /* ... up to begin[k + 1] - 1: channels, ascending */
    const char *const *why; /* [ngroups] why the group is kept, or NULL: it can go */
    const bool *makes;      /* [nlayers] the output's channels are the layer's own: it ties none of
                               them to another layer's */
    struct qd_arena arena;
};

/* The groups of a graph, which must outlive them.  A graph of more than 2^26 channels is refused
 * (QD_EUNSUP). */
struct qd_groups *qd_groups_new(const struct qd_graph *g, struct qd_error *err) QD_MUSTCHECK;
void qd_groups_free(struct qd_groups *g);

/* From now on they are those of another graph, which has the same layers and channels. */
void qd_groups_move(struct qd_groups *g, const struct qd_graph *graph);

/* The group of channel c of a layer's output (-1: of the net's input). */
int qd_groups_of(const struct qd_groups *g, int layer, int c);
/* How many channels of a layer (-1: of the input) are in groups that are not marked in
 * dead[ngroups]. */
int qd_groups_alive(const struct qd_groups *g, int layer, const bool *dead);

#endif
