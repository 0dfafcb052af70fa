/* SPDX-License-Identifier: MIT */
/*
 * The table of augmentations, what they share, and the two that change nothing by chance.  All
 * chance comes from the generator of the job, so that one number names a whole batch.
 */
#include "data/augment.h"

#include <math.h>

#include "base/error.h"
#include "data/sample.h"

static const struct qd_augmenter *const kinds[] = {
    [QD_AUGMENT_NONE] = &qd_augmenter_none,
    [QD_AUGMENT_DARKNET] = &qd_augmenter_darknet,
    [QD_AUGMENT_ULTRALYTICS] = &qd_augmenter_ultralytics,
    [QD_AUGMENT_CLASSIFY] = &qd_augmenter_classify,
    [QD_AUGMENT_CENTRE] = &qd_augmenter_centre,
};

/* -------------------------------------------------------------------- options ----------------- */

static const struct range {
    const char *name;
    size_t offset;
    float min, max;
} ranges[] = {
#define RANGE(field, lo, hi)                                                                       \
    {                                                                                              \
#field, offsetof(struct qd_augment_opts, field), lo, hi                                    \
    }
    RANGE(mix_prob, 0, 1),
    RANGE(hue, 0, .5f),
    RANGE(saturation, .001f, 1000),
    RANGE(exposure, .001f, 1000),
    RANGE(jitter, 0, .99f),
    RANGE(resize, .01f, 100),
    RANGE(angle, 0, 360),
    RANGE(aspect, .01f, 100),
    RANGE(label_smooth, 0, .999f),
    RANGE(hsv_h, 0, 1),
    RANGE(hsv_s, 0, 1),
    RANGE(hsv_v, 0, 1),
    RANGE(degrees, 0, 360),
    RANGE(translate, 0, 1),
    RANGE(scale, 0, .99f),
    RANGE(shear, 0, 80),
#undef RANGE
};

int qd_augment_check(const struct qd_augment_opts *o, struct qd_error *err)
{
    bool darknet = o->kind == QD_AUGMENT_DARKNET, ultra = o->kind == QD_AUGMENT_ULTRALYTICS;

    for (size_t i = 0; i < QD_LEN(ranges); i++) {
        float v = *(const float *)(const void *)((const char *)o + ranges[i].offset);
        if (!(v >= ranges[i].min && v <= ranges[i].max))
            return qd_error_set(err, QD_EARG, "augmentation: '%s' must be %g to %g, not %g",
                ranges[i].name, (double)ranges[i].min, (double)ranges[i].max, (double)v);
    }
    if (o->noise < 0 || o->noise > 127 || o->blur < 0)
        return qd_error_set(
            err, QD_EARG, "augmentation: gaussian_noise is 0 to 127 and blur not negative");
    if (o->min_crop < 0 || o->max_crop < 0 || o->max_boxes < 0)
        return qd_error_set(
            err, QD_EARG, "augmentation: min_crop, max_crop and max_boxes cannot be negative");
    if (o->min_crop && o->max_crop && o->min_crop > o->max_crop)
        return qd_error_set(err, QD_EARG, "augmentation: min_crop %d is more than max_crop %d",
            o->min_crop, o->max_crop);
    if ((darknet || ultra) && o->mix == QD_MIX_CUTMIX)
        return qd_error_set(err, QD_EUNSUP, "augmentation: cutmix is for classifiers only");
    if (ultra && o->mix == QD_MIX_MIXUP)
        return qd_error_set(
            err, QD_EUNSUP, "augmentation: mixup is not part of the ultralytics kind");
    if (darknet && o->letter_box && (o->mix == QD_MIX_MOSAIC || o->mix == QD_MIX_BOTH))
        return qd_error_set(
            err, QD_EUNSUP, "augmentation: letter_box and mosaic exclude each other");
    return 0;
}

struct qd_image_opts qd_augment_decode(const struct qd_augment_opts *o, int w, int h, int c)
{
    struct qd_image_opts io = {.channels = c, .min_w = w, .min_h = h};

    if (o->kind == QD_AUGMENT_DARKNET) { /* jitter magnifies; half as much again is mostly enough */
        io.min_w = w + w / 2;
        io.min_h = h + h / 2;
    } else if (o->kind == QD_AUGMENT_CLASSIFY) {
        io.min_w = io.min_h = QD_MAX(QD_MAX(w, h), o->max_crop ? o->max_crop : 2 * w);
    }
    return io;
}

enum qd_mix qd_augment_mix(const struct qd_augment_opts *o, uint64_t seed, uint64_t iteration)
{
    struct qd_rng r = qd_rng_new(seed, (uint64_t)1 << 62 | iteration);
    bool mixes = o->kind == QD_AUGMENT_DARKNET || o->kind == QD_AUGMENT_ULTRALYTICS ||
                 o->kind == QD_AUGMENT_CLASSIFY;

    return mixes && qd_rng_float(&r) < o->mix_prob ? o->mix : QD_MIX_NONE;
}

enum qd_mix qd_augment_mix_at(const struct qd_augment_opts *o, enum qd_mix mix, int place)
{
    if (mix != QD_MIX_BOTH)
        return mix;
    return o->kind == QD_AUGMENT_CLASSIFY && place % 2 == 0 ? QD_MIX_CUTMIX : QD_MIX_MOSAIC;
}

int qd_augment_sources(enum qd_mix mix)
{
    static const int n[] = {[QD_MIX_NONE] = 1,
        [QD_MIX_MIXUP] = 2,
        [QD_MIX_CUTMIX] = 2,
        [QD_MIX_MOSAIC] = 4,
        [QD_MIX_BOTH] = 4};

    return n[mix];
}

/* -------------------------------------------------------------------- shared ------------------ */

float qd_augment_rand_scale(struct qd_rng *r, float s)
{
    float u = s < 1 ? qd_rng_range(r, s, 1) : qd_rng_range(r, 1, s);

    return qd_rng_below(r, 2) ? u : 1 / u;
}

int qd_augment_room(
    const struct qd_source *src, int n, struct qd_labels *labels, struct qd_error *err)
{
    size_t room = 0;

    for (int i = 0; i < n; i++)
        room += src[i].n;
    labels->label = qd_alloc_raw(room, sizeof(*labels->label), err);
    return labels->label ? 0 : -1;
}

void qd_augment_target(const struct qd_augment_job *job, int class_id, float part)
{
    float eps = job->opts->label_smooth;
    int k = job->classes;

    if (!job->target || class_id < 0 || class_id >= k)
        return;
    float other = k > 1 ? eps / (float)(k - 1) : 0, own = k > 1 ? 1 - eps : 1;
    for (int i = 0; i < k; i++)
        job->target[i] += part * (i == class_id ? own : other);
}

struct qd_edges qd_box_edges(const struct qd_box *b)
{
    double x = (double)b->x, y = (double)b->y, w = (double)b->w / 2, h = (double)b->h / 2;

    return (struct qd_edges){x - w, y - h, x + w, y + h};
}

struct qd_box qd_edges_box(const struct qd_edges *e)
{
    return (struct qd_box){(float)((e->x0 + e->x1) / 2), (float)((e->y0 + e->y1) / 2),
        (float)(e->x1 - e->x0), (float)(e->y1 - e->y0)};
}

void qd_edges_clip(struct qd_edges *e, const struct qd_edges *to)
{
    e->x0 = QD_MIN(QD_MAX(e->x0, to->x0), to->x1);
    e->x1 = QD_MIN(QD_MAX(e->x1, to->x0), to->x1);
    e->y0 = QD_MIN(QD_MAX(e->y0, to->y0), to->y1);
    e->y1 = QD_MIN(QD_MAX(e->y1, to->y0), to->y1);
}

/* Boxes in any order, so that a limit leaves out a random choice. */
static void shuffle_boxes(const struct qd_augment_job *job, struct qd_labels *l)
{
    size_t max = job->opts->max_boxes > 0 ? (size_t)job->opts->max_boxes : l->n;

    for (size_t i = l->n; i > 1; i--) {
        size_t k = qd_rng_below(job->rng, (uint32_t)i);
        struct qd_label t = l->label[k];
        l->label[k] = l->label[i - 1];
        l->label[i - 1] = t;
    }
    l->n = QD_MIN(l->n, max);
}

int qd_augment(const struct qd_augment_job *job, struct qd_error *err)
{
    const struct qd_augmenter *kind = kinds[job->opts->kind];
    struct qd_labels labels = {0};

    for (int i = 0; job->target && i < job->classes; i++)
        job->target[i] = 0;
    if (kind->run(job, &labels, err) < 0) {
        qd_labels_free(&labels);
        return -1;
    }
    if (!kind->classifier && job->opts->kind != QD_AUGMENT_NONE)
        shuffle_boxes(job, &labels);
    if (job->labels)
        *job->labels = labels;
    else
        qd_labels_free(&labels);
    return 0;
}

/* -------------------------------------------------------------------- no augmentation --------- */

static int run_none(
    const struct qd_augment_job *job, struct qd_labels *labels, struct qd_error *err)
{
    const struct qd_source *s = job->src;
    const struct qd_pixels *d = &job->dst;
    struct qd_letterbox lb = {d->w, d->h, d->w, d->h, 0, 0};
    int ret;

    if (job->opts->letter_box) {
        lb = qd_letterbox_fit(s->img->w, s->img->h, d->w, d->h);
        ret = qd_letterbox_into(s->img, QD_RESAMPLE_DARKNET, d, err);
    } else {
        ret = qd_resize_into(s->img, QD_RESAMPLE_DARKNET, d, err);
    }
    if (ret < 0 || qd_augment_room(s, 1, labels, err) < 0)
        return -1;
    for (size_t i = 0; i < s->n; i++) {
        struct qd_label l = s->label[i];
        l.box.x = (l.box.x * (float)lb.nw + (float)lb.ox) / (float)lb.w;
        l.box.y = (l.box.y * (float)lb.nh + (float)lb.oy) / (float)lb.h;
        l.box.w = l.box.w * (float)lb.nw / (float)lb.w;
        l.box.h = l.box.h * (float)lb.nh / (float)lb.h;
        labels->label[labels->n++] = l;
    }
    qd_augment_target(job, s->class_id, 1);
    return 0;
}

const struct qd_augmenter qd_augmenter_none = {run_none, false};

double qd_augment_position(int i, int n, int src)
{
    return i == n - 1 ? src - 1 : (double)i * (src - 1) / (n - 1);
}

/* The positions of n pixels from pixel 'from' on, of an axis resized to 'full'. */
static void centre_axis(double *at, int n, int full, int src)
{
    for (int i = 0; i < n; i++)
        at[i] = qd_augment_position((full - n) / 2 + i, full, src);
}

/* darknet resizes the shorter side to the net's width and cuts out the middle. */
static int run_centre(
    const struct qd_augment_job *job, struct qd_labels *labels, struct qd_error *err)
{
    const struct qd_image *img = job->src->img;
    int w = job->dst.w, h = job->dst.h, iw = job->src->w, ih = job->src->h;
    long long nw = w, nh = h;

    (void)labels;
    if ((long long)iw * h < (long long)ih * w) /* the width is what limits */
        nh = QD_MAX((long long)ih * w / iw, h);
    else
        nw = QD_MAX((long long)iw * h / ih, w);
    if (nw > INT32_MAX / 2 || nh > INT32_MAX / 2)
        return qd_error_set(err, QD_EUNSUP, "an image of %dx%d pixels is too slim", iw, ih);
    double *x = qd_alloc_raw((size_t)w, sizeof(*x), err);
    double *y = qd_alloc_raw((size_t)h, sizeof(*y), err);
    int ret = x && y ? 0 : -1;
    if (ret == 0) {
        struct qd_sample_job s = {.src = img, .outside.edge = true, .dst = job->dst};
        centre_axis(x, w, (int)nw, img->w);
        centre_axis(y, h, (int)nh, img->h);
        ret = qd_sample_grid(&s, x, y, err);
    }
    qd_free(x);
    qd_free(y);
    qd_augment_target(job, job->src->class_id, 1);
    return ret;
}

const struct qd_augmenter qd_augmenter_centre = {run_centre, true};
