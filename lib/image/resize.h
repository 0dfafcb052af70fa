/* SPDX-License-Identifier: MIT */
#ifndef QD_RESIZE_H
#define QD_RESIZE_H

#include "base/base.h"

/* Where resampled pixels go: float [h][w][c] with gaps.  A pixel takes 'pixel_stride' floats, of
 * which c are written, and a row 'row_stride'; c is 1 or 3. */
struct qd_pixels {
    float *data;
    int w, h, c;
    size_t pixel_stride, row_stride;
};

/*
 * Resample all of 'src' to dst->w x dst->h, bilinear and without smoothing when it shrinks, and
 * scale to 0..1.  With output column x of w and source width s:
 *     QD_RESAMPLE_DARKNET    reads at x * (s - 1) / (w - 1), the last column at s - 1
 *     QD_RESAMPLE_HALFPIXEL  reads at (x + .5) * s / w - .5, clamped to 0 .. s - 1
 * between two pixels the value is linear; rows alike.  The same size gives v / 255 exactly.
 * Another number of channels is converted (gray: .299 R + .587 G + .114 B).  Only the source rows
 * that are needed are read.  Fails without memory or when dst->c is neither 1 nor 3.
 */
int qd_resize_into(const struct qd_image *src, enum qd_resampler r, const struct qd_pixels *dst,
    struct qd_error *err) QD_MUSTCHECK;

/* Where one output column reads: byte 'at' of a row of the source, t of the way to the next pixel.
 */
struct qd_tap {
    int32_t at;
    float t;
};
/* Resample row y of 'src' (1 or 3 channels) to n columns, 0..255, into out[n][src->c]. */
void qd_resize_row(const struct qd_tap *x, int n, const struct qd_image *src, int y, float *out);

/* An image of any size inside a canvas of w x h with its aspect kept: nw x nh pixels, the first at
 * (ox, oy).  Integer arithmetic as darknet's (spec: darknet.md 6.1), but never an empty image. */
struct qd_letterbox {
    int w, h, nw, nh, ox, oy;
};
struct qd_letterbox qd_letterbox_fit(int sw, int sh, int w, int h);
/* Like qd_resize_into, into the fitted part of dst; the bars around it become .5. */
int qd_letterbox_into(const struct qd_image *src, enum qd_resampler r, const struct qd_pixels *dst,
    struct qd_error *err) QD_MUSTCHECK;
/* A box in fractions of the canvas becomes one in fractions of the image.  The offset is real here,
 * (w - nw) / 2., as in darknet (spec: darknet.md 6.2), although pixels were pasted at the integer
 * one. */
void qd_letterbox_unmap(const struct qd_letterbox *lb, struct qd_box *box);

/* A new image of w x h: bilinear as above and rounded, or the nearest pixel (half-pixel centres).
 */
struct qd_image *qd_image_resize(const struct qd_image *src, enum qd_resampler r, int w, int h,
    struct qd_error *err) QD_MUSTCHECK;
struct qd_image *qd_image_resize_nearest(
    const struct qd_image *src, int w, int h, struct qd_error *err) QD_MUSTCHECK;

#endif
