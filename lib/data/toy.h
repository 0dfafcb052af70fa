/* SPDX-License-Identifier: MIT */
/*
 * The parts of a synthetic picture.  A canvas is painted from back to front: background, clutter,
 * objects; then light and noise.  All randomness of a picture comes from one generator.
 */
#ifndef QD_TOY_H
#define QD_TOY_H

#include "base/rng.h"

enum { QD_TOY_SHAPES = 10, QD_TOY_OBJECTS = 32 /* in a picture, at most */ };

/* RGB, [h][w][3], nominally 0..1. */
struct qd_toy_canvas {
    int w, h;
    float *px;
};

struct qd_toy_rgb {
    float v[3];
};

/* ---- shapes: in coordinates of their own, inside of the unit circle, y down ---- */

const char *qd_toy_shape_name(int shape);
/* The distance of (x, y) from the outline, negative inside. */
float qd_toy_shape_distance(int shape, float x, float y);

/* ---- paint: what a surface looks like ---- */

struct qd_toy_paint {
    int pattern;
    struct qd_toy_rgb a, b;
    float frequency, phase, cosa, sina;
    float lit[2];  /* shading: change of brightness across the shape in x and y */
    float outline; /* width of a dark rim, 0: none */
};
/* A paint that stands out from the colour 'under' by 'contrast' (0..1). */
struct qd_toy_paint qd_toy_paint_new(
    struct qd_rng *rng, const struct qd_toy_rgb *under, float contrast);
/* Its colour at (x, y) of the shape, 'distance' from the outline. */
struct qd_toy_rgb qd_toy_paint_at(const struct qd_toy_paint *p, float x, float y, float distance);
struct qd_toy_rgb qd_toy_colour(struct qd_rng *rng);

/* ---- the whole canvas ---- */

/* How hard the pictures are; one row a level. */
struct qd_toy_hardness {
    int objects;         /* at most */
    float small, large;  /* half size of an object, as a fraction of the shorter side */
    float visible;       /* least share of an object that may be seen */
    float contrast;      /* least difference of an object's colours from what is under it */
    float pattern;       /* strength of patterns in the background */
    int clutter, decoys; /* at most: strokes, and blobs painted like objects */
    float light;         /* strength of the lighting gradient */
    float noise;         /* largest deviation of the pixel noise, of 255 */
};

int qd_toy_background(struct qd_toy_canvas *c, struct qd_rng *rng,
    const struct qd_toy_hardness *level, struct qd_error *err) QD_MUSTCHECK;
/* Thin strokes that belong to no class. */
void qd_toy_clutter(struct qd_toy_canvas *c, struct qd_rng *rng, int n);
/* Lighting gradient and noise, and to bytes; 'out' has the canvas's size and 3 channels. */
void qd_toy_finish(const struct qd_toy_canvas *c, struct qd_rng *rng,
    const struct qd_toy_hardness *level, struct qd_image *out);

/* ---- pictures ---- */

struct qd_toy_sample {
    struct qd_image *image;  /* RGB */
    struct qd_image *map;    /* [h][w]: class + 1 of what is seen, 0 is background */
    struct qd_labels labels; /* the box of what is seen of each object */
};
/* The picture number 'stream' of the set that 'o' says, whose size and classes must be set.
 * 'single': one large object instead of several.  Free it with qd_toy_sample_free(). */
int qd_toy_draw(const struct qd_toy_opts *o, bool single, uint64_t stream,
    struct qd_toy_sample *out, struct qd_error *err) QD_MUSTCHECK;
void qd_toy_sample_free(struct qd_toy_sample *s);

#endif
