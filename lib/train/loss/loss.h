/* SPDX-License-Identifier: MIT */
/*
 * What a net is taught.  A loss reads the input of a last layer - the raw values of a detection
 * head, the logits below [softmax] or [logistic] - and what is true about the images, and gives the
 * gradient of that input and some numbers for the log.  One constant struct qd_loss_type in one
 * file and one line in loss_table.c for each section and variant:
 *
 *     yolo           darknet (default); exact: with the true derivative of the box loss, its sum
 *                    over the assigned as box part; ultralytics
 *     Gaussian_yolo  darknet
 *     region         darknet (default), pj
 *     softmax        crossentropy
 *     logistic       crossentropy
 *
 * Gradients are those of a loss that is minimised, summed over the images of the call: an update
 * divides by the number of images that it has seen.  Results do not depend on the number of
 * threads: images are separate, their sums are added in order.
 */
#ifndef QD_LOSS_H
#define QD_LOSS_H

#include "net/head.h"

struct qd_loss;

struct qd_loss_opts {
    const char *variant; /* NULL: the default of the section */
    /* softmax: smoothing e of targets, (1 - e) * t + e / (k - 1) * (1 - t) */
    float label_smooth_eps;
    /* logistic: mean over the values of an image instead of their sum */
    bool mean;
    /* ultralytics (spec compression.md 5.3): factors of the parts, weights of positives, shape IoU
     * that makes an anchor positive, focal exponent (0: none), share of GIoU in the objectness to
     * learn, factor of this head's objectness */
    float giou, obj, cls, obj_pw, cls_pw, iou_t, fl_gamma, gr, balance;
};
#define QD_LOSS_OPTS_INIT                                                                          \
    {                                                                                              \
        .giou = 3.54f, .obj = 64.3f, .cls = 37.4f, .obj_pw = 1, .cls_pw = 1, .iou_t = .2f,         \
        .gr = 1, .balance = 1                                                                      \
    }

struct qd_loss_in {
    const struct qd_tensor *raw;    /* output of the layer's source 0; any border and strides */
    const struct qd_tensor *grad;   /* same shape: every value of the interior is overwritten */
    const struct qd_labels *truths; /* detectors: [raw->n], boxes as fractions of the input */
    const float *target;            /* others: [n][h][w][c], dense; below 0: that value (logistic)
                                       or pixel (softmax, its first value) does not count */
    uint64_t seen;                  /* images trained, those of this batch included */
    float cold; /* ultralytics: the part of opts.gr that does not count yet, in a warm-up */
};

/* For the log.  The three parts add up to 'cost'; a mean over nothing is 0. */
struct qd_loss_parts {
    double cost;          /* as darknet prints it where darknet has this loss */
    double box, obj, cls; /* classifiers: cls only */
    long count;           /* (truth, anchor) pairs assigned; pixels or images of a classifier */
    double iou;           /* mean IoU of the assigned */
    double recall50, recall75; /* share of them with an IoU above */
    double obj_mean;           /* mean objectness of the assigned ... */
    double any_mean;           /* ... and of all boxes */
    double class_prob;         /* mean probability of the right class */
    double correct;            /* classifiers: share whose largest output is the largest target */
    long rewritten;            /* assignments whose box was assigned to another truth before */
};

/* Whether this layer has a loss: a detection head; a [softmax] without noloss or a [logistic] that
 * nothing reads but [cost]. */
bool qd_loss_wanted(const struct qd_layer *l);
/* Names of the variants for a section: the i-th, NULL at the end; 0 is the default. */
const char *qd_loss_variant(const char *section, int i);
/*
 * The loss of layer 'l' for batches of up to 'batch' images; opts NULL: defaults.  The layer is
 * borrowed.  An unknown variant, or a key of the layer that the variant cannot follow, is an error.
 */
struct qd_loss *qd_loss_new(const struct qd_layer *l, const struct qd_loss_opts *opts, int batch,
    struct qd_error *err) QD_MUSTCHECK;
void qd_loss_free(struct qd_loss *loss);
/*
 * Gradient and parts of one batch; allocates nothing.  Truths without area or with a centre outside
 * of the image teach nothing.  A raw value that is not finite is QD_EDIVERGED, a class out of range
 * QD_EFORMAT; 'grad' is undefined then.
 */
int qd_loss_run(struct qd_loss *loss, const struct qd_loss_in *in, struct qd_loss_parts *parts,
    struct qd_error *err) QD_MUSTCHECK;

/* ---- for the types --------------------------------------------------------------------------- */

/* Sums over one image, or over a batch. */
struct qd_loss_sum {
    double cost[3];          /* box, obj, cls; the type says what they are */
    double iou, obj, any, p; /* of what was assigned; 'any' over all boxes */
    long count, hit50, hit75, anys, classes, correct, rewritten;
};

struct qd_loss_job {
    const struct qd_layer *l;
    const struct qd_loss_opts *opts;
    const struct qd_loss_in *in;
    struct qd_loss_sum before; /* what qd_loss_type.count found in all images */
    float *work;               /* [image][work_image] */
    size_t work_image;
};

struct qd_loss_type {
    const char *section, *variant;
    /* Whether the layer's keys can be followed; NULL: always. */
    int (*check)(const struct qd_layer *l, const struct qd_loss_opts *o, struct qd_error *err);
    /* Floats of scratch for an image; NULL: none. */
    size_t (*work)(const struct qd_layer *l);
    /* A first pass whose sums all images see in job->before; NULL: none. */
    void (*count)(const struct qd_loss_job *j, int image, struct qd_loss_sum *sum);
    /* Write the gradient of one image, add to its sums. */
    void (*image)(const struct qd_loss_job *j, int image, struct qd_loss_sum *sum);
    /* Make the three parts from the sums of the batch; NULL: they are sum->cost. */
    void (*finish)(const struct qd_loss_job *j, struct qd_loss_sum *sum);
    bool dense; /* reads in->target instead of in->truths */
};

/* An error about a layer: "file:line: [yolo] (layer 16) reason"; returns -1. */
int qd_loss_fault(
    const struct qd_layer *l, enum qd_code code, struct qd_error *err, const char *reason);

/* The truth that a loss uses: has area and a centre in the image (its border included). */
static inline bool qd_loss_usable(const struct qd_label *t)
{
    return t->box.w > 0 && t->box.h > 0 && t->box.x >= 0 && t->box.x <= 1 && t->box.y >= 0 &&
           t->box.y <= 1 && t->box.w < 1e6f && t->box.h < 1e6f;
}

/* The cell of a grid of n that a coordinate lies in; the far border belongs to the last one. */
static inline int qd_loss_cell(float x, int n)
{
    float at = x * (float)n;

    return at < 1 ? 0 : at >= (float)n ? n - 1 : (int)at;
}

/* ---- elements (loss_elt.c) ------------------------------------------------------------------- */

/* Binary cross-entropy of a logit x against t in 0..1, positives weighted by pw:
 * -(pw * t * ln p + (1 - t) * ln(1 - p)), p = 1 / (1 + e^-x); *dx gets the derivative. */
double qd_bce(double x, double t, double pw, double *dx);
/* The same times a_t * (1 - p_t)^gamma, a_t = alpha for t = 1 and 1 - alpha for t = 0, p_t = p or
 * 1 - p (Lin et al. 2017, equation 5; linear in t between). */
double qd_bce_focal(double x, double t, double pw, const double alpha_gamma[2], double *dx);
/* Darknet's factor of a class delta under focal_loss: alpha = .5, gamma = 2, p the probability of
 * the right class (spec darknet.md 5.9.3). */
float qd_loss_focal(float p);
/* p = softmax(x / temperature) of n values. */
void qd_loss_softmax(const float *x, float *p, int n, float temperature);

/* ---- boxes (loss_box.c) ---------------------------------------------------------------------- */

/* IoU, GIoU, DIoU or CIoU of two boxes (Rezatofighi et al. 2019, Zheng et al. 2020); MSE: IoU. */
double qd_box_measure(enum qd_iou_kind kind, const struct qd_box *a, const struct qd_box *b);
/*
 * Its derivative by the centre and size of 'p', in d[4] = x, y, w, h; returns the measure.  On a
 * kink (equal sides) one of the two one-sided values.
 */
double qd_box_gradient(
    enum qd_iou_kind kind, const struct qd_box *p, const struct qd_box *t, double d[4]);
/* What darknet takes for that derivative: sides not halved, parts of DIoU and CIoU with other signs
 * and factors (spec darknet.md 5.9.4); published normalizers were found with it. */
void qd_box_darknet(
    enum qd_iou_kind kind, const struct qd_box *p, const struct qd_box *t, float d[4]);

#endif
