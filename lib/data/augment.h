/* SPDX-License-Identifier: MIT */
/*
 * From one or several images with boxes to one input of a net with the boxes where their objects
 * now are.  A kind of augmentation is one struct of functions in a file of its own; all of them
 * describe where an output pixel comes from and leave the pixels to sample.h.
 */
#ifndef QD_AUGMENT_H
#define QD_AUGMENT_H

#include "base/rng.h"
#include "image/resize.h"

enum qd_augment_kind {
    QD_AUGMENT_NONE,        /* resize (letterbox with letter_box) as qd_net_set_image does */
    QD_AUGMENT_DARKNET,     /* detectors (darknet.md 5.6) */
    QD_AUGMENT_ULTRALYTICS, /* detectors (compression.md 5.5) */
    QD_AUGMENT_CLASSIFY,    /* classifiers (darknet.md 5.7) */
    QD_AUGMENT_CENTRE,      /* classifiers, evaluation: the shorter side becomes the net's width (or
                               its height where that is more), the centre is cut out */
};
enum qd_mix {
    QD_MIX_NONE,
    QD_MIX_MIXUP,  /* the mean of two images */
    QD_MIX_CUTMIX, /* a rectangle of another image; classifiers only */
    QD_MIX_MOSAIC, /* four images around a point */
    QD_MIX_BOTH,   /* classifiers: cutmix for even places in a batch, mosaic for odd; detectors:
                      mosaic */
};
enum qd_fill { QD_FILL_EDGE, QD_FILL_MEAN, QD_FILL_GRAY };

struct qd_augment_opts {
    enum qd_augment_kind kind;
    bool letter_box; /* none, darknet */
    bool flip;       /* left to right with probability 1/2 */
    enum qd_mix mix;
    float mix_prob; /* of mixing an iteration, [0, 1]; ultralytics: 1 */
    /* darknet, classify */
    float hue;                  /* shift of at most this part of the circle, [0, .5] */
    float saturation, exposure; /* factors up to this or its inverse, > 0 */
    /* darknet; 'fill' is what lies outside of an image */
    float jitter, resize; /* [0, 1); > 0 */
    bool mosaic_bound;
    int blur;  /* 0: none, 1: often all but the objects, n > 1: also all of it, in a window of n */
    int noise; /* with probability 1/2 normal noise of this deviation, of 255; [0, 127] */
    enum qd_fill fill;
    int max_boxes; /* of an image, a random choice of more; 0: all */
    /* classify */
    float angle;            /* degrees */
    float aspect;           /* > 0 */
    int min_crop, max_crop; /* pixels that the shorter side becomes; 0: w and 2 w */
    float label_smooth;     /* [0, 1) */
    /* ultralytics: gains of hue, saturation and value are 1 +- these, angles in degrees */
    float hsv_h, hsv_s, hsv_v;
    float degrees, translate, scale, shear;
};
/* Every key of [net] and of the heads at its default in a cfg, darknet kind. */
#define QD_AUGMENT_OPTS_INIT                                                                       \
    {                                                                                              \
        .kind = QD_AUGMENT_DARKNET, .flip = true, .mix_prob = .5f, .saturation = 1, .exposure = 1, \
        .jitter = .2f, .resize = 1, .max_boxes = 200, .aspect = 1,                                 \
    }

/* Whether the options can be used together and every number is in its range. */
int qd_augment_check(const struct qd_augment_opts *o, struct qd_error *err) QD_MUSTCHECK;
/* How images may be decoded for nets of at most w x h x c: JPEGs much larger than any crop needs
 * them come at 1/2, 1/4, 1/8. */
struct qd_image_opts qd_augment_decode(const struct qd_augment_opts *o, int w, int h, int c);
/* How images are mixed in an iteration: darknet decides once for all images of a loader's call. */
enum qd_mix qd_augment_mix(const struct qd_augment_opts *o, uint64_t seed, uint64_t iteration);
/* The same for the image at 'place' of the batch, and how many sources that needs, 1, 2 or 4. */
enum qd_mix qd_augment_mix_at(const struct qd_augment_opts *o, enum qd_mix mix, int place);
int qd_augment_sources(enum qd_mix mix);

/* An image and what is on it. */
struct qd_source {
    const struct qd_image *img; /* may have been decoded smaller than it is */
    int w, h;                   /* of the image in the file */
    const struct qd_label *label;
    size_t n;
    int class_id; /* classifiers */
};
struct qd_augment_job {
    const struct qd_augment_opts *opts;
    enum qd_mix mix;             /* of this image */
    const struct qd_source *src; /* [qd_augment_sources(mix)] */
    struct qd_rng *rng;          /* all that the result depends on besides the sources */
    struct qd_pixels dst;        /* dst.c is that of the images */
    struct qd_labels *labels;    /* detectors: gets the boxes, qd_labels_free; NULL: not wanted */
    float *target;               /* classifiers: [classes], soft; NULL: not wanted */
    int classes;
};
/* Make one input. */
int qd_augment(const struct qd_augment_job *job, struct qd_error *err) QD_MUSTCHECK;

/* ---- the kinds ---- */

struct qd_augmenter {
    int (*run)(const struct qd_augment_job *job, struct qd_labels *labels, struct qd_error *err);
    bool classifier;
};
extern const struct qd_augmenter qd_augmenter_none, qd_augmenter_darknet, qd_augmenter_ultralytics,
    qd_augmenter_classify, qd_augmenter_centre;

/* What the kinds share. */

/* darknet's rand_scale: uniform in [1, s], or its inverse with probability 1/2 (s < 1: swapped). */
float qd_augment_rand_scale(struct qd_rng *r, float s);
/* Room for as many boxes as n sources have. */
int qd_augment_room(const struct qd_source *src, int n, struct qd_labels *labels,
    struct qd_error *err) QD_MUSTCHECK;
/* Add 'part' of the class of a source to the target, smoothed as opts say. */
void qd_augment_target(const struct qd_augment_job *job, int class_id, float part);
/* Where pixel i of n reads an axis of 'src' pixels that is resized to n, corner to corner as
 * qd_resize_into does it for darknet. */
double qd_augment_position(int i, int n, int src);
/* A box by its edges, in fractions of anything or pixels. */
struct qd_edges {
    double x0, y0, x1, y1;
};
struct qd_edges qd_box_edges(const struct qd_box *b);
struct qd_box qd_edges_box(const struct qd_edges *e);
void qd_edges_clip(struct qd_edges *e, const struct qd_edges *to);

#endif
