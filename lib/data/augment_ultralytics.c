/* SPDX-License-Identifier: MIT */
/*
 * The augmentation of the ultralytics YOLOv3 trainer (spec: compression.md 5.5): each image is
 * scaled to fit the net, four are placed around a point of a gray canvas of twice the net's size, a
 * random affine map takes the canvas to the net, then colours and flip.  The canvas is never made:
 * an output pixel is traced back through the map to the image that it shows.  Coordinates are
 * those of edges: pixel i covers i .. i + 1.
 */
#include "data/augment.h"

#include <math.h>

#include "data/sample.h"

static const double gray = 114. / 255;
static const double min_side = 4, max_aspect = 10, min_part = .2; /* of boxes that are kept */

/* x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5] */
struct map {
    double m[6];
};

/* What 'first' and then 'then' do. */
static struct map chain(const struct map *first, const struct map *then)
{
    const double *a = then->m, *b = first->m;

    return (struct map){{a[0] * b[0] + a[1] * b[3], a[0] * b[1] + a[1] * b[4],
        a[0] * b[2] + a[1] * b[5] + a[2], a[3] * b[0] + a[4] * b[3], a[3] * b[1] + a[4] * b[4],
        a[3] * b[2] + a[4] * b[5] + a[5]}};
}

/* The way back; the determinant is the area of scale and shear, never 0 within the options. */
static struct map invert(const struct map *f)
{
    const double *m = f->m;
    double d = m[0] * m[4] - m[1] * m[3];

    if (fabs(d) < 1e-9)
        d = d < 0 ? -1e-9 : 1e-9;
    return (struct map){{m[4] / d, -m[1] / d, (m[1] * m[5] - m[4] * m[2]) / d, -m[3] / d, m[0] / d,
        (m[3] * m[2] - m[0] * m[5]) / d}};
}

struct canvas {
    int w, h;           /* of the canvas */
    struct map forward; /* canvas to net */
    double scale;
};

static double symmetric(struct qd_rng *r, float s)
{
    return (double)qd_rng_range(r, -s, s);
}

/* Turn and scale around the middle of the canvas, move its middle to that of the net and a random
 * way on, shear, flip. */
static void draw_map(const struct qd_augment_job *job, struct canvas *c)
{
    const struct qd_augment_opts *o = job->opts;
    const double degree = 3.14159265358979323846 / 180;
    struct qd_rng *r = job->rng;
    double w = job->dst.w, h = job->dst.h;
    double turn = symmetric(r, o->degrees) * degree;

    c->scale = 1 + symmetric(r, o->scale);
    double tx = symmetric(r, o->translate) * c->w, ty = symmetric(r, o->translate) * c->h;
    double sx = tan(symmetric(r, o->shear) * degree), sy = tan(symmetric(r, o->shear) * degree);
    double cs = c->scale * cos(turn), sn = c->scale * sin(turn), mx = c->w / 2., my = c->h / 2.;
    const struct map turned = {
        {cs, sn, w / 2 - cs * mx - sn * my + tx, -sn, cs, h / 2 + sn * mx - cs * my + ty}};
    const struct map sheared = {{1, sx, 0, sy, 1, 0}};
    const struct map mirrored = {{-1, 0, w, 0, 1, 0}};
    c->forward = chain(&turned, &sheared);
    if (o->flip && qd_rng_below(r, 2))
        c->forward = chain(&c->forward, &mirrored);
}

/* An image on the canvas: its left top corner and size, and what of it is shown. */
struct tile {
    int x, y, w, h;
    struct qd_edges shown; /* on the canvas */
};

/* Put a source beside the point (cx, cy) as quadrant k, or in the middle of the canvas (k < 0). */
static struct tile place(const struct qd_augment_job *job, const struct qd_source *s,
    const struct canvas *c, int k, const int at[2])
{
    double r = QD_MIN((double)job->dst.w / s->w, (double)job->dst.h / s->h);
    struct tile t = {.w = QD_MAX((int)(s->w * r), 1), .h = QD_MAX((int)(s->h * r), 1)};

    if (k < 0) {
        t.x = (c->w - t.w) / 2;
        t.y = (c->h - t.h) / 2;
    } else {
        t.x = k & 1 ? at[0] : at[0] - t.w;
        t.y = k & 2 ? at[1] : at[1] - t.h;
    }
    const struct qd_edges canvas = {0, 0, c->w, c->h};
    t.shown = (struct qd_edges){t.x, t.y, t.x + t.w, t.y + t.h};
    qd_edges_clip(&t.shown, &canvas);
    return t;
}

/* -------------------------------------------------------------------- pixels ------------------ */

/* Output pixels to canvas, for maps that keep lines straight up: the pixels from .. to - 1 of an
 * axis lie in lo .. hi of the canvas; at[] holds where each reads the image. */
struct axis {
    double scale, shift; /* canvas = scale * (i + .5) + shift */
    double lo, hi;
    int start, size, have; /* the tile on the canvas, and the pixels of the decoded image */
    int from, to;
};

static void trace(struct axis *a, int n, double *at)
{
    a->from = a->to = 0;
    for (int i = 0; i < n; i++) {
        double u = a->scale * (i + .5) + a->shift;
        if (u < a->lo || u >= a->hi)
            continue;
        if (a->from == a->to)
            a->from = i;
        a->to = i + 1;
        at[i] = (u - a->start) * a->have / a->size - .5;
    }
}

static int put_straight(const struct qd_augment_job *job, const struct qd_source *s,
    const struct tile *t, const struct map *back, struct qd_error *err)
{
    const double *m = back->m;
    struct axis ax = {m[0], m[2], t->shown.x0, t->shown.x1, t->x, t->w, s->img->w, 0, 0};
    struct axis ay = {m[4], m[5], t->shown.y0, t->shown.y1, t->y, t->h, s->img->h, 0, 0};
    double *x = qd_alloc_raw((size_t)job->dst.w, sizeof(*x), err);
    double *y = qd_alloc_raw((size_t)job->dst.h, sizeof(*y), err);
    int ret = -1;

    if (x && y) {
        trace(&ax, job->dst.w, x);
        trace(&ay, job->dst.h, y);
        struct qd_sample_job out = {.src = s->img, .outside.edge = true};
        out.dst = qd_pixels_part(&job->dst, ax.from, ay.from, ax.to - ax.from, ay.to - ay.from);
        ret = qd_sample_grid(&out, x + ax.from, y + ay.from, err);
    }
    qd_free(x);
    qd_free(y);
    return ret;
}

static int put_turned(const struct qd_augment_job *job, const struct qd_source *s,
    const struct tile *t, const struct map *back, struct qd_error *err)
{
    /* pixel index to its centre, canvas to the image's pixel index */
    double fx = (double)s->img->w / t->w, fy = (double)s->img->h / t->h;
    const struct map centre = {{1, 0, .5, 0, 1, .5}};
    const struct map image = {{fx, 0, -fx * t->x - .5, 0, fy, -fy * t->y - .5}};
    const struct map to_canvas = chain(&centre, back), all = chain(&to_canvas, &image);
    const struct qd_edges *e = &t->shown;
    const struct qd_limit limit = {(e->x0 - t->x) * fx - .5, (e->y0 - t->y) * fy - .5,
        (e->x1 - t->x) * fx - .5, (e->y1 - t->y) * fy - .5};
    const struct qd_sample_job out = {.src = s->img, .outside.edge = true, .dst = job->dst};
    struct qd_affine at;

    memcpy(at.m, all.m, sizeof(at.m));
    return qd_sample_affine(&out, &at, &limit, err);
}

static void fill_gray(const struct qd_pixels *d)
{
    for (int y = 0; y < d->h; y++) {
        float *p = d->data + (size_t)y * d->row_stride;
        for (int x = 0; x < d->w; x++, p += d->pixel_stride)
            for (int k = 0; k < d->c; k++)
                p[k] = (float)gray;
    }
}

static void change_colours(const struct qd_augment_job *job)
{
    const struct qd_augment_opts *o = job->opts;
    const struct qd_pixels *d = &job->dst;
    struct qd_hsv hsv = {.limit = true};

    hsv.hue_mul = 1 + qd_rng_range(job->rng, -o->hsv_h, o->hsv_h);
    hsv.sat = 1 + qd_rng_range(job->rng, -o->hsv_s, o->hsv_s);
    hsv.val = 1 + qd_rng_range(job->rng, -o->hsv_v, o->hsv_v);
    if (hsv.hue_mul == 1 && hsv.sat == 1 && hsv.val == 1)
        return;
    for (int y = 0; y < d->h; y++)
        qd_hsv_apply(&hsv, d->data + (size_t)y * d->row_stride, d->w, d->c, d->pixel_stride);
}

/* -------------------------------------------------------------------- boxes ------------------- */

/* The upright box around a turned one. */
static struct qd_edges map_box(const struct map *f, const struct qd_edges *e)
{
    struct qd_edges out = {HUGE_VAL, HUGE_VAL, -HUGE_VAL, -HUGE_VAL};

    for (int i = 0; i < 4; i++) {
        double u = i & 1 ? e->x1 : e->x0, v = i & 2 ? e->y1 : e->y0;
        double x = f->m[0] * u + f->m[1] * v + f->m[2], y = f->m[3] * u + f->m[4] * v + f->m[5];
        out.x0 = fmin(out.x0, x);
        out.y0 = fmin(out.y0, y);
        out.x1 = fmax(out.x1, x);
        out.y1 = fmax(out.y1, y);
    }
    return out;
}

static void put_boxes(const struct qd_augment_job *job, const struct qd_source *s,
    const struct tile *t, const struct canvas *c, struct qd_labels *labels)
{
    const double w = job->dst.w, h = job->dst.h;
    const struct qd_edges net = {0, 0, w, h};

    for (size_t i = 0; i < s->n; i++) {
        struct qd_edges e = qd_box_edges(&s->label[i].box);
        e = (struct qd_edges){
            t->x + e.x0 * t->w, t->y + e.y0 * t->h, t->x + e.x1 * t->w, t->y + e.y1 * t->h};
        qd_edges_clip(&e, &t->shown);
        double before = (e.x1 - e.x0) * (e.y1 - e.y0);
        e = map_box(&c->forward, &e);
        qd_edges_clip(&e, &net);
        double bw = e.x1 - e.x0, bh = e.y1 - e.y0;
        if (bw <= min_side || bh <= min_side || bw > max_aspect * bh || bh > max_aspect * bw ||
            bw * bh <= min_part * c->scale * before)
            continue;
        e = (struct qd_edges){e.x0 / w, e.y0 / h, e.x1 / w, e.y1 / h};
        struct qd_label *l = &labels->label[labels->n++];
        *l = s->label[i];
        l->box = qd_edges_box(&e);
    }
}

static int run_ultralytics(
    const struct qd_augment_job *job, struct qd_labels *labels, struct qd_error *err)
{
    int n = qd_augment_sources(job->mix), w = job->dst.w, h = job->dst.h, ret = 0;
    struct canvas c = {.w = n > 1 ? 2 * w : w, .h = n > 1 ? 2 * h : h};
    int at[2] = {0, 0};

    if (qd_augment_room(job->src, n, labels, err) < 0)
        return -1;
    if (n > 1) {
        at[0] = w / 2 + (int)qd_rng_below(job->rng, (uint32_t)w + 1);
        at[1] = h / 2 + (int)qd_rng_below(job->rng, (uint32_t)h + 1);
    }
    draw_map(job, &c);
    struct map back = invert(&c.forward);
    bool straight = back.m[1] == 0 && back.m[3] == 0;
    fill_gray(&job->dst);
    for (int k = 0; ret == 0 && k < n; k++) {
        struct tile t = place(job, &job->src[k], &c, n > 1 ? k : -1, at);
        ret = straight ? put_straight(job, &job->src[k], &t, &back, err)
                       : put_turned(job, &job->src[k], &t, &back, err);
        put_boxes(job, &job->src[k], &t, &c, labels);
    }
    if (ret == 0)
        change_colours(job);
    return ret;
}

const struct qd_augmenter qd_augmenter_ultralytics = {run_ultralytics, false};
