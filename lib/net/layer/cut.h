/* SPDX-License-Identifier: MIT */
/*
 * Cutting channels out of a layer: bodies and helpers of the members 'narrow' and 'slice'.
 */
#ifndef QD_LAYER_CUT_H
#define QD_LAYER_CUT_H

#include "net/layer.h"

/* For each channel of a layer's output (-1: of the net's input) whether it stays. */
const bool *qd_cut_of(const struct qd_cut *cut, int layer);
/* How many stay. */
int qd_cut_count(const struct qd_cut *cut, int layer);
/* Set a number in the section of l; the document is left alone where the layer has that number
 * already, which is 'old'. */
int qd_layer_set(const struct qd_layer *l, struct qd_cfg *cfg, const char *key, int old, int value,
    struct qd_error *err) QD_MUSTCHECK;
/* Copy those of n pieces of 'each' floats that stay; returns what lies behind the last one. */
float *qd_cut_copy(const float *from, float *to, const bool *stays, int n, size_t each);
/* slice of layers whose parameters are all a whole number of [c] arrays, one value for each channel
 * of the output. */
void qd_slice_channels(const struct qd_layer *l, const struct qd_layer *less,
    const struct qd_cut *cut, const float *from, float *to);

/* The values of a layer's channels. */
float *qd_absorb_at(const struct qd_absorb *a, int layer);
/* A fault when a channel that stays of a layer's output has a shift in a source (which has as many
 * channels): it cannot be passed on by what is no sum. */
int qd_absorb_still(
    const struct qd_layer *l, const struct qd_absorb *a, int source, struct qd_error *err);
/* Layer l cannot take up the constant of dead channel c: QD_EUNSUP, or 0 where reasons are only
 * noted.  why: static. */
int qd_absorb_refuse(const struct qd_absorb *a, const struct qd_layer *l, struct qd_channel c,
    const char *why, struct qd_error *err) QD_MUSTCHECK;

#endif
