/* SPDX-License-Identifier: MIT */
/* What the tests of augmentation share: small pictures and one call. */
#ifndef AUGMENT_RIG_H
#define AUGMENT_RIG_H

#include "tap.h"
#include "base/base.h"
#include "data/augment.h"

enum { MAX_SIDE = 256, CASES = 60 };

static float out[MAX_SIDE * MAX_SIDE * 3], other[MAX_SIDE * MAX_SIDE * 3];
static struct qd_error err;

static inline struct qd_pixels canvas(float *data, int w, int h, int c)
{
    return (struct qd_pixels){data, w, h, c, (size_t)c, (size_t)w * (size_t)c};
}

static inline struct qd_image *noise(int w, int h, int c)
{
    struct qd_image *img = qd_image_new(w, h, c, NULL);

    for (int i = 0; img && i < w * h * c; i++)
        img->data[i] = (uint8_t)tap_rand();
    return img;
}

/* Red is the column, green the row. */
static inline struct qd_image *position_image(void)
{
    struct qd_image *img = qd_image_new(256, 256, 3, NULL);

    for (int i = 0; img && i < 256 * 256; i++) {
        img->data[3 * i] = (uint8_t)(i % 256);
        img->data[3 * i + 1] = (uint8_t)(i / 256);
    }
    return img;
}

static inline struct qd_source source(
    const struct qd_image *img, const struct qd_label *l, size_t n)
{
    return (struct qd_source){img, img->w, img->h, l, n, 0};
}

static inline int run(const struct qd_augment_opts *o, enum qd_mix mix, const struct qd_source *src,
    uint64_t seed, const struct qd_pixels *dst, struct qd_labels *labels, float *target)
{
    struct qd_rng rng = qd_rng_new(seed, 7);
    struct qd_augment_job job = {.opts = o,
        .mix = mix,
        .src = src,
        .rng = &rng,
        .dst = *dst,
        .labels = labels,
        .target = target,
        .classes = 4};

    err = (struct qd_error){0};
    return qd_augment(&job, &err);
}

#endif
