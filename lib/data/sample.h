/* SPDX-License-Identifier: MIT */
/*
 * Pixels on their way into a net: crop, resize, flip, colours and mixing in one pass over the
 * output.
 */
#ifndef QD_SAMPLE_H
#define QD_SAMPLE_H

#include "base/rng.h"
#include "image/resize.h"

/* A change of colours in hue, saturation and value.  With (h, s, v) of a pixel, all in 0..1:
 * h * hue_mul + hue_add on the circle, s * sat, v * val; 'limit': s and v end at 1 (8-bit programs
 * do), otherwise only the channels are cut off at 0 and 1.  Gray images have their value scaled. */
struct qd_hsv {
    float hue_mul, hue_add, sat, val;
    bool limit;
};
#define QD_HSV_NONE                                                                                \
    {                                                                                              \
        1, 0, 1, 1, false                                                                          \
    }

/* Change n pixels of c channels, 1 or 3, 'stride' floats apart. */
void qd_hsv_apply(const struct qd_hsv *hsv, float *px, int n, int c, size_t stride);

/* Blur dense pixels px[h][w][c] in place with a Gaussian window of size / 2 * 2 + 1 pixels, whose
 * deviation is .3 (size / 2 - 1) + .8; lines go on mirrored, without their last pixel twice.  A
 * size below 3 changes nothing. */
int qd_blur(float *px, const int hwc[3], int size, struct qd_error *err) QD_MUSTCHECK;
/* Add normal numbers of that deviation to n values, which stay in 0..1. */
void qd_noise(float *px, size_t n, float deviation, struct qd_rng *r);

/* What is read outside of the source: the nearest edge, or a colour of 0..1. */
struct qd_outside {
    bool edge;
    float colour[3];
};
/* The mean colour of an image. */
void qd_image_mean(const struct qd_image *img, float mean[3]);

struct qd_sample_job {
    const struct qd_image *src;
    struct qd_outside outside;
    const struct qd_hsv *hsv; /* NULL: colours stay */
    float mix; /* 0: the pixels of dst are replaced; else dst = (1 - mix) dst + mix new */
    struct qd_pixels dst; /* dst.c == src->c */
};
/*
 * The straight case: output column i shows the source at x[i], row k at y[k], bilinear; whole
 * numbers are the centres of pixels.  x must ascend or descend.  The same positions as
 * qd_resize_into has give the same bits.
 */
int qd_sample_grid(const struct qd_sample_job *job, const double *x, const double *y,
    struct qd_error *err) QD_MUSTCHECK;

/* Any position: output (i, k) shows the source at
 * (m[0] i + m[1] k + m[2], m[3] i + m[4] k + m[5]). */
struct qd_affine {
    double m[6];
};
/* The pixels that lie in limit (edges in source positions; first inside, second not) are written,
 * the others are not touched; NULL: all are written. */
struct qd_limit {
    double x0, y0, x1, y1;
};
int qd_sample_affine(const struct qd_sample_job *job, const struct qd_affine *at,
    const struct qd_limit *limit, struct qd_error *err) QD_MUSTCHECK;

/* The part of a canvas from (x, y) on, w x h pixels. */
struct qd_pixels qd_pixels_part(const struct qd_pixels *p, int x, int y, int w, int h);

#endif
