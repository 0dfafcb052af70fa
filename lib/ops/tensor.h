/* SPDX-License-Identifier: MIT */
/*
 * A tensor is n images of h x w pixels with c channels each, channels together (NHWC), in memory
 * that may be wider than that:
 *
 *     data ──► pixel (0,0) of image 0        the next pixel is ps floats on, ps >= c: a tensor can
 *                                            be a range of channels of a wider one
 *     ┌────────── top: 'border' rows ─────┐  the next row is rs floats on: w + border pixels, so
 *     │  x x x x x x x x x x x x x x x x b│  that the right border of a row is the left border of
 *     │b x x x x x x x x x x x x x x x x b│  the next one; the next image is 'is' floats on: h +
 *     └────────── bottom ─────────────────┘  border rows, borders shared likewise
 *
 * Every pixel at most 'border' outside may be read and is zero.  Who writes a tensor writes its
 * h x w x c interior and nothing else.  At least QD_SLACK floats after the last pixel may be read
 * (not written) by vector code; their values are arbitrary.
 */
#ifndef QD_TENSOR_H
#define QD_TENSOR_H

#include "base/base.h"

enum { QD_SLACK = 256 };

struct qd_tensor {
    float *data; /* [n][h][w][c], strided as above; 4-byte aligned only */
    int n, h, w, c;
    int border; /* pixels */
    int ps;     /* floats from pixel to pixel */
    size_t rs;  /* floats from row to row */
    size_t is;  /* floats from image to image */
};

/* Channel 0 of a pixel; x and y may reach 'border' outside. */
static inline float *qd_at(const struct qd_tensor *t, int n, int y, int x)
{
    return t->data + (ptrdiff_t)t->is * n + (ptrdiff_t)t->rs * y + (ptrdiff_t)t->ps * x;
}

/* Whether the w pixels of a row lie without gaps. */
static inline bool qd_tensor_dense_rows(const struct qd_tensor *t)
{
    return t->ps == t->c;
}

/* A tensor of that shape with ps = c whose data is still NULL; *floats gets the memory that it
 * needs, borders and slack included; false on overflow. qd_tensor_place puts it at 'mem'. */
bool qd_tensor_shape(struct qd_tensor *t, const int nhwc[4], int border, size_t *floats);
void qd_tensor_place(struct qd_tensor *t, float *mem);
/* 'c' channels of t from channel 'from' on. */
struct qd_tensor qd_tensor_slice(const struct qd_tensor *t, int from, int c);
/* Zero the border (all channels of the pixel stride when 'ps' is the tensor's own). */
void qd_tensor_zero_border(const struct qd_tensor *t);
/* Copy one image from and to planar order, [c][h][w]. */
void qd_tensor_from_planar(const struct qd_tensor *t, int n, const float *planar);
void qd_tensor_to_planar(const struct qd_tensor *t, int n, float *planar);

#endif
