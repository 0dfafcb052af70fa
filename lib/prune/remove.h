/* SPDX-License-Identifier: MIT */
#ifndef QD_REMOVE_H
#define QD_REMOVE_H

#include "net/model.h"

/*
 * The model without some layers.  stand_in[nlayers] says of each layer what becomes of it: its own
 * number, it stays; an earlier layer, it goes and who read it reads that one (or what stands in for
 * that one); -1, it goes and nobody who stays may read it.
 *
 * The copy of the cfg has the sections that are left, with their comments; in them only numbers of
 * layers change, in every key whose table entry says that it names layers, and relative ones stay
 * relative.  Parameters are copied.  With no layer removed cfg and parameters are equal byte for
 * byte.  origin[nlayers], when not NULL, gets for each layer that is left which one it was.
 *
 * QD_EUNSUP with the place when a layer that stays would read one that went, or another one than it
 * did.  m is not changed.
 */
struct qd_model *qd_remove(
    const struct qd_model *m, const int *stand_in, int *origin, struct qd_error *err) QD_MUSTCHECK;

/* Call 'each' for every layer that a key of the cfg names; reader -1: a key of [net].  Keys that
 * change nothing here count too; numbers that are no layer do not. */
void qd_remove_refs(
    const struct qd_graph *g, void (*each)(void *ctx, int reader, int target), void *ctx);

#endif
