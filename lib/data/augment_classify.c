/* SPDX-License-Identifier: MIT */
/*
 * darknet's augmentation of classifiers (spec: darknet.md 5.7): a random crop at a random size,
 * aspect and angle; several images are mixed, and the target says in which parts.  One difference:
 * the size is relative to the shorter side after the change of aspect (darknet multiplies the width
 * by the aspect where the picture divides it, which leaves black bars).
 */
#include "data/augment.h"

#include <math.h>

#include "data/sample.h"

/* Output pixel (x, y), counted from the middle, shows the image at R (aspect (x + dx), y + dy) / s
 * from its middle, R a rotation. */
struct view {
    double scale, aspect, angle, dx, dy;
    bool flip;
    struct qd_hsv hsv;
    bool coloured;
};

static struct view draw_view(const struct qd_augment_job *job, const struct qd_source *s)
{
    const struct qd_augment_opts *o = job->opts;
    const double degree = 3.14159265358979323846 / 180;
    struct qd_rng *r = job->rng;
    int w = job->dst.w, size = QD_MAX(w, job->dst.h);
    int lo = o->min_crop ? o->min_crop : w, hi = o->max_crop ? o->max_crop : 2 * w;
    struct view v = {.hsv = QD_HSV_NONE};

    lo = QD_MIN(lo, hi);
    v.aspect = (double)qd_augment_rand_scale(r, o->aspect);
    int side = lo + (int)qd_rng_below(r, (uint32_t)(hi - lo) + 1);
    v.scale = side / QD_MIN(s->h, s->w / v.aspect);
    v.angle = (double)qd_rng_range(r, -o->angle, o->angle) * degree;
    double mx = QD_MAX((s->w * v.scale / v.aspect - size) / 2, 0);
    double my = QD_MAX((s->h * v.scale - size) / 2, 0);
    v.dx = mx * (2 * (double)qd_rng_float(r) - 1);
    v.dy = my * (2 * (double)qd_rng_float(r) - 1);
    v.flip = o->flip && qd_rng_below(r, 2);
    v.hsv.hue_add = qd_rng_range(r, -o->hue, o->hue);
    v.hsv.sat = qd_augment_rand_scale(r, o->saturation);
    v.hsv.val = qd_augment_rand_scale(r, o->exposure);
    v.coloured = v.hsv.hue_add != 0 || v.hsv.sat != 1 || v.hsv.val != 1;
    return v;
}

/* The part of the output that an image fills, and how much of it. */
struct part {
    int x, y, w, h;
    float mix; /* as qd_sample_job has it */
};

/* In pixels of the original from the middle, the position of output pixel i of n: darknet cuts out
 * a square of 'size' and resizes it. */
static double offset(int i, int n, int size, bool flip)
{
    int k = flip ? n - 1 - i : i;

    return (n == size ? k : qd_augment_position(k, n, size)) - size / 2.;
}

/* darknet counts from corner to corner here: the last pixel ends at 'whole', not at its centre. */
static double last_pixel(double v, int whole)
{
    return v > whole - 1 && v < whole ? whole - 1 : v;
}

/* A position in the original to one in what was decoded. */
static double decoded(double v, int whole, int have)
{
    return whole == have ? v : (v + .5) * have / whole - .5;
}

static int put_straight(const struct qd_augment_job *job, const struct qd_source *s,
    const struct view *v, const struct part *p, struct qd_sample_job *out, struct qd_error *err)
{
    int w = job->dst.w, h = job->dst.h, size = QD_MAX(w, h);
    double *x = qd_alloc_raw((size_t)p->w, sizeof(*x), err);
    double *y = qd_alloc_raw((size_t)p->h, sizeof(*y), err);
    int ret = -1;

    for (int i = 0; x && i < p->w; i++) {
        double at = (offset(p->x + i, w, size, v->flip) + v->dx) / v->scale * v->aspect;
        x[i] = decoded(last_pixel(at + s->w / 2., s->w), s->w, s->img->w);
    }
    for (int i = 0; y && i < p->h; i++) {
        double at = (offset(p->y + i, h, size, false) + v->dy) / v->scale;
        y[i] = decoded(last_pixel(at + s->h / 2., s->h), s->h, s->img->h);
    }
    if (x && y)
        ret = qd_sample_grid(out, x, y, err);
    qd_free(x);
    qd_free(y);
    return ret;
}

static int put_turned(const struct qd_augment_job *job, const struct qd_source *s,
    const struct view *v, const struct part *p, struct qd_sample_job *out, struct qd_error *err)
{
    int w = job->dst.w, h = job->dst.h, size = QD_MAX(w, h);
    double cs = cos(v->angle), sn = sin(v->angle);
    double fx = (double)s->img->w / s->w, fy = (double)s->img->h / s->h;
    /* the axes of the output in the original, before and after the rotation */
    double x0 = (offset(p->x, w, size, v->flip) + v->dx) / v->scale * v->aspect;
    double y0 = (offset(p->y, h, size, false) + v->dy) / v->scale;
    double sx = w > 1 ? (size - 1.) / (w - 1) : 1, sy = h > 1 ? (size - 1.) / (h - 1) : 1;
    double ux = (v->flip ? -sx : sx) / v->scale * v->aspect, uy = sy / v->scale;
    const struct qd_affine at = {
        {fx * cs * ux, -fx * sn * uy, decoded(cs * x0 - sn * y0 + s->w / 2., s->w, s->img->w),
            fy * sn * ux, fy * cs * uy, decoded(sn * x0 + cs * y0 + s->h / 2., s->h, s->img->h)}};

    return qd_sample_affine(out, &at, NULL, err);
}

static int put(const struct qd_augment_job *job, const struct qd_source *s, const struct part *p,
    struct qd_error *err)
{
    struct view v = draw_view(job, s);
    struct qd_sample_job out = {.src = s->img, .mix = p->mix};

    if (p->w < 1 || p->h < 1)
        return 0;
    out.hsv = v.coloured ? &v.hsv : NULL;
    out.dst = qd_pixels_part(&job->dst, p->x, p->y, p->w, p->h);
    return v.angle == 0 ? put_straight(job, s, &v, p, &out, err)
                        : put_turned(job, s, &v, p, &out, err);
}

/* A rectangle of the second image in the first. */
static int run_cutmix(const struct qd_augment_job *job, struct qd_error *err)
{
    int w = job->dst.w, h = job->dst.h;
    struct part whole = {0, 0, w, h, 0}, cut = whole;

    cut.w = (int)((float)w * qd_rng_range(job->rng, .3f, .8f));
    cut.h = (int)((float)h * qd_rng_range(job->rng, .3f, .8f));
    cut.x = (int)qd_rng_below(job->rng, (uint32_t)(w - cut.w) + 1);
    cut.y = (int)qd_rng_below(job->rng, (uint32_t)(h - cut.h) + 1);
    float part = (float)((double)cut.w * cut.h / ((double)w * h));
    qd_augment_target(job, job->src[0].class_id, 1 - part);
    qd_augment_target(job, job->src[1].class_id, part);
    return put(job, &job->src[0], &whole, err) < 0 ? -1 : put(job, &job->src[1], &cut, err);
}

/* A quadrant of each of four images. */
static int run_mosaic(const struct qd_augment_job *job, struct qd_error *err)
{
    int w = job->dst.w, h = job->dst.h, ret = 0;
    int cut_x = (int)((float)w * qd_rng_range(job->rng, .2f, .8f));
    int cut_y = (int)((float)h * qd_rng_range(job->rng, .2f, .8f));

    for (int k = 0; ret == 0 && k < 4; k++) {
        struct part p = {0, 0, cut_x, cut_y, 0};
        if (k & 1) {
            p.x = cut_x;
            p.w = w - cut_x;
        }
        if (k & 2) {
            p.y = cut_y;
            p.h = h - cut_y;
        }
        qd_augment_target(job, job->src[k].class_id, (float)((double)p.w * p.h / ((double)w * h)));
        ret = put(job, &job->src[k], &p, err);
    }
    return ret;
}

static int run_classify(
    const struct qd_augment_job *job, struct qd_labels *labels, struct qd_error *err)
{
    struct part whole = {0, 0, job->dst.w, job->dst.h, 0}, half = whole;

    (void)labels;
    half.mix = .5f;
    switch (job->mix) {
    case QD_MIX_CUTMIX:
        return run_cutmix(job, err);
    case QD_MIX_MOSAIC:
        return run_mosaic(job, err);
    case QD_MIX_MIXUP:
        qd_augment_target(job, job->src[0].class_id, .5f);
        qd_augment_target(job, job->src[1].class_id, .5f);
        return put(job, &job->src[0], &whole, err) < 0 ? -1 : put(job, &job->src[1], &half, err);
    default:
        qd_augment_target(job, job->src[0].class_id, 1);
        return put(job, &job->src[0], &whole, err);
    }
}

const struct qd_augmenter qd_augmenter_classify = {run_classify, true};
