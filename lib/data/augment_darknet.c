/* SPDX-License-Identifier: MIT */
/*
 * darknet's augmentation of detectors (spec: darknet.md 5.6).  Each image gets a crop, whose sides
 * may also lie outside of it, is stretched to the net's size, flipped and coloured; then images are
 * averaged or put together around a point.  Two differences: the margin that a mosaic avoids to
 * show is taken as large as it is (darknet scales it as if the crop had the image's size, so that
 * boxes can reach into the neighbour), and a box counts from one pixel of the net on in mixup, too.
 */
#include "data/augment.h"

#include "data/sample.h"

enum { BACKGROUND_BLUR = 17 }; /* window, pixels */

/* Pixels of the original image that are cut off at each side, negative: added. */
struct crop {
    int left, right, top, bottom;
    int w, h; /* what remains */
    bool flip;
};

/* Pixels from (x, y) on of the net's input, shown at (to_x, to_y). */
struct window {
    int x, y, w, h, to_x, to_y;
};

static int uniform(struct qd_rng *r, int lo, int hi)
{
    return hi > lo ? lo + (int)qd_rng_below(r, (uint32_t)(hi - lo) + 1) : lo;
}

static int between(float lo, float hi, float q)
{
    return (int)(lo + (hi - lo) * q);
}

static void draw_resize(
    const struct qd_augment_opts *o, struct qd_rng *r, int w, int h, struct crop *c)
{
    float down = o->resize < 1 ? o->resize : 1 / o->resize, up = 1 / down;
    float lo = (1 - 1 / down) / 2, hi = o->resize < 1 ? 0 : (1 - 1 / up) / 2;
    float q1 = qd_rng_float(r), q2 = qd_rng_float(r);

    c->left += between((float)w * lo, (float)w * hi, q1);
    c->right += between((float)w * lo, (float)w * hi, q2);
    c->top += between((float)h * lo, (float)h * hi, q1);
    c->bottom += between((float)h * lo, (float)h * hi, q2);
}

/* Add to the short side until an image without jitter would have the aspect of the net. */
static void letterbox(struct crop *c, int w, int h, int net_w, int net_h)
{
    double net = (double)net_w / net_h;

    if ((double)w / h > net) {
        int more = (int)((w / net - h) / 2);
        c->top -= more;
        c->bottom -= more;
    } else {
        int more = (int)((h * net - w) / 2);
        c->left -= more;
        c->right -= more;
    }
}

static void swap(int *a, int *b)
{
    int t = *a;

    *a = *b;
    *b = t;
}

/* In a mosaic all of the margin goes to the outer sides of quadrant k. */
static void to_corner(struct crop *c, int k)
{
    int across = c->left + c->right, down = c->top + c->bottom;
    bool right = k & 1;

    if (c->flip) /* what is left now will be right */
        right = !right;
    c->left = right ? 0 : across;
    c->right = right ? across : 0;
    c->top = k < 2 ? down : 0;
    c->bottom = k < 2 ? 0 : down;
}

/* k: the quadrant of a mosaic, or -1. */
static struct crop draw_crop(const struct qd_augment_job *job, const struct qd_source *s, int k)
{
    const struct qd_augment_opts *o = job->opts;
    struct qd_rng *r = job->rng;
    int dw = (int)((float)s->w * o->jitter), dh = (int)((float)s->h * o->jitter);
    struct crop c = {.left = uniform(r, -dw, dw)};

    c.right = uniform(r, -dw, dw);
    c.top = uniform(r, -dh, dh);
    c.bottom = uniform(r, -dh, dh);
    c.flip = o->flip && qd_rng_below(r, 2);
    draw_resize(o, r, s->w, s->h, &c);
    if (o->letter_box)
        letterbox(&c, s->w, s->h, job->dst.w, job->dst.h);
    if (k >= 0 && qd_rng_below(r, 2))
        to_corner(&c, k);
    if (c.left + c.right >= s->w || c.top + c.bottom >= s->h)
        c.left = c.right = c.top = c.bottom = 0;
    c.w = s->w - c.left - c.right;
    c.h = s->h - c.top - c.bottom;
    return c;
}

static bool draw_colours(const struct qd_augment_job *job, struct qd_hsv *hsv)
{
    const struct qd_augment_opts *o = job->opts;

    *hsv = (struct qd_hsv)QD_HSV_NONE;
    hsv->hue_add = qd_rng_range(job->rng, -o->hue, o->hue);
    hsv->sat = qd_augment_rand_scale(job->rng, o->saturation);
    hsv->val = qd_augment_rand_scale(job->rng, o->exposure);
    return hsv->hue_add != 0 || hsv->sat != 1 || hsv->val != 1;
}

/* Positions in the decoded image of n pixels from 'first' on, when a crop of 'size' pixels from
 * 'start' on is stretched to 'full'.  whole, have: pixels of the original and the decoded image. */
struct axis {
    int first, n, full, start, size, whole, have;
    bool flip;
};

static void fill_axis(const struct axis *a, double *at)
{
    for (int i = 0; i < a->n; i++) {
        int k = a->flip ? a->full - 1 - a->first - i : a->first + i;
        double v = a->start + qd_augment_position(k, a->full, a->size);
        at[i] = a->have == a->whole ? v : (v + .5) * a->have / a->whole - .5;
    }
}

static void set_outside(
    const struct qd_augment_job *job, const struct qd_image *img, struct qd_outside *out)
{
    *out = (struct qd_outside){job->opts->fill == QD_FILL_EDGE, {.5f, .5f, .5f}};
    if (job->opts->fill == QD_FILL_MEAN)
        qd_image_mean(img, out->colour);
}

/* What blur and noise do to one source. */
struct disturbance {
    int blur; /* window, 0: none */
    bool background, noise;
};

static struct disturbance draw_disturbance(const struct qd_augment_job *job)
{
    const struct qd_augment_opts *o = job->opts;
    uint32_t blur = o->blur ? qd_rng_below(job->rng, 3) : 0;
    struct disturbance d = {.background = blur == 1 || (blur && o->blur == 1)};

    if (blur)
        d.blur = d.background ? BACKGROUND_BLUR : o->blur;
    d.noise = o->noise && qd_rng_below(job->rng, 2);
    return d;
}

/* A box of a source in the net's input, in fractions of it, before it is cut off; win moves it. */
static struct qd_edges place(const struct qd_augment_job *job, const struct qd_source *s,
    const struct crop *c, const struct qd_box *box, const struct window *win)
{
    const struct qd_edges unit = {0, 0, 1, 1};
    double w = job->dst.w, h = job->dst.h;
    struct qd_edges e = qd_box_edges(box);

    e.x0 = (e.x0 * s->w - c->left) / c->w;
    e.x1 = (e.x1 * s->w - c->left) / c->w;
    e.y0 = (e.y0 * s->h - c->top) / c->h;
    e.y1 = (e.y1 * s->h - c->top) / c->h;
    if (c->flip)
        e = (struct qd_edges){1 - e.x1, e.y0, 1 - e.x0, e.y1};
    qd_edges_clip(&e, &unit);
    e.x0 += (win->to_x - win->x) / w;
    e.x1 += (win->to_x - win->x) / w;
    e.y0 += (win->to_y - win->y) / h;
    e.y1 += (win->to_y - win->y) / h;
    return e;
}

/* Take the pixels of a box from 'sharp' again; both are what the window shows. */
static void restore_box(const struct qd_augment_job *job, const struct qd_edges *e,
    const struct window *win, const float *sharp, float *px)
{
    int x0 = (int)(e->x0 * job->dst.w) - win->to_x, x1 = (int)(e->x1 * job->dst.w) - win->to_x;
    int y0 = (int)(e->y0 * job->dst.h) - win->to_y, y1 = (int)(e->y1 * job->dst.h) - win->to_y;

    x0 = QD_MAX(x0, 0);
    x1 = QD_MIN(x1, win->w);
    for (int y = QD_MAX(y0, 0); y < QD_MIN(y1, win->h) && x0 < x1; y++) {
        size_t at = ((size_t)y * (size_t)win->w + (size_t)x0) * (size_t)job->dst.c;
        memcpy(px + at, sharp + at, (size_t)(x1 - x0) * (size_t)job->dst.c * sizeof(float));
    }
}

struct part {
    const struct qd_source *s;
    const struct crop *c;
    const struct window *win;
    struct disturbance d;
};

static int disturb(
    const struct qd_augment_job *job, const struct part *p, float *px, struct qd_error *err)
{
    const int hwc[3] = {p->win->h, p->win->w, job->dst.c};
    size_t n = (size_t)hwc[0] * (size_t)hwc[1] * (size_t)hwc[2];
    float *sharp = NULL;

    if (p->d.background) {
        sharp = qd_alloc_raw(n, sizeof(float), err);
        if (!sharp)
            return -1;
        memcpy(sharp, px, n * sizeof(float));
    }
    int ret = p->d.blur ? qd_blur(px, hwc, p->d.blur, err) : 0;
    for (size_t i = 0; sharp && i < p->s->n; i++) {
        struct qd_edges e = place(job, p->s, p->c, &p->s->label[i].box, p->win);
        restore_box(job, &e, p->win, sharp, px);
    }
    if (ret == 0 && p->d.noise)
        qd_noise(px, n, (float)job->opts->noise / 255, job->rng);
    qd_free(sharp);
    return ret;
}

static void merge(const float *px, const struct qd_pixels *to, float mix)
{
    for (int y = 0; y < to->h; y++) {
        float *out = to->data + (size_t)y * to->row_stride;
        for (int x = 0; x < to->w; x++, out += to->pixel_stride, px += to->c)
            for (int k = 0; k < to->c; k++)
                out[k] = mix > 0 ? out[k] + mix * (px[k] - out[k]) : px[k];
    }
}

/* Resample; what is disturbed goes through pixels of its own. */
static int sample(const struct qd_augment_job *job, const struct part *p,
    const struct qd_sample_job *out, const double *const xy[2], struct qd_error *err)
{
    const struct qd_pixels *d = &out->dst;
    struct qd_sample_job own = *out;

    if (!p->d.blur && !p->d.noise)
        return qd_sample_grid(out, xy[0], xy[1], err);
    own.mix = 0;
    own.dst.pixel_stride = (size_t)d->c;
    own.dst.row_stride = (size_t)d->w * (size_t)d->c;
    own.dst.data = qd_alloc_raw((size_t)d->h * own.dst.row_stride, sizeof(float), err);
    int ret = -1;
    if (own.dst.data && qd_sample_grid(&own, xy[0], xy[1], err) == 0 &&
        disturb(job, p, own.dst.data, err) == 0) {
        merge(own.dst.data, d, out->mix);
        ret = 0;
    }
    qd_free(own.dst.data);
    return ret;
}

/* Show the part of a source that its window asks for. */
static int put_pixels(const struct qd_augment_job *job, const struct qd_source *s,
    const struct crop *c, const struct window *win, float mix, struct qd_error *err)
{
    const struct qd_image *img = s->img;
    const struct axis ax = {win->x, win->w, job->dst.w, c->left, c->w, s->w, img->w, c->flip};
    const struct axis ay = {win->y, win->h, job->dst.h, c->top, c->h, s->h, img->h, false};
    struct qd_sample_job out = {.src = img, .mix = mix};
    struct qd_hsv hsv;
    double *x = qd_alloc_raw((size_t)win->w, sizeof(*x), err);
    double *y = qd_alloc_raw((size_t)win->h, sizeof(*y), err);
    struct part part = {s, c, win, {0}};
    int ret = -1;

    if (draw_colours(job, &hsv))
        out.hsv = &hsv;
    part.d = draw_disturbance(job);
    if (x && y) {
        out.dst = qd_pixels_part(&job->dst, win->to_x, win->to_y, win->w, win->h);
        set_outside(job, img, &out.outside);
        fill_axis(&ax, x);
        fill_axis(&ay, y);
        ret = sample(job, &part, &out, (const double *const[]){x, y}, err);
    }
    qd_free(x);
    qd_free(y);
    return ret;
}

/* The boxes of a source, moved as its pixels were, clipped to 'limit' (pixels of the net). */
static void put_boxes(const struct qd_augment_job *job, const struct qd_source *s,
    const struct crop *c, const struct window *win, struct qd_labels *labels)
{
    struct qd_edges limit = {0, 0, 1, 1};
    double w = job->dst.w, h = job->dst.h;

    if (job->opts->mosaic_bound)
        limit = (struct qd_edges){
            win->to_x / w, win->to_y / h, (win->to_x + win->w) / w, (win->to_y + win->h) / h};
    for (size_t i = 0; i < s->n; i++) {
        struct qd_edges e = place(job, s, c, &s->label[i].box, win);
        qd_edges_clip(&e, &limit);
        if ((e.x1 - e.x0) * w < 1 || (e.y1 - e.y0) * h < 1)
            continue;
        struct qd_label *l = &labels->label[labels->n++];
        *l = s->label[i];
        l->box = qd_edges_box(&e);
    }
}

static int put(const struct qd_augment_job *job, const struct qd_source *s, const struct crop *c,
    const struct window *win, struct qd_labels *labels, struct qd_error *err)
{
    float mix = job->mix == QD_MIX_MIXUP && s != job->src ? .5f : 0;

    if (put_pixels(job, s, c, win, mix, err) < 0)
        return -1;
    put_boxes(job, s, c, win, labels);
    return 0;
}

/* A margin of 'pad' pixels of the image (if negative) in pixels of the net, at most 'max'. */
static int margin(int pad, int net, int crop, int max)
{
    long long m = pad < 0 ? -(long long)pad * net / crop : 0;

    return (int)QD_MIN(m, max);
}

/* What quadrant k shows: the part of its image next to the cut, but not the margin of the crop. */
static struct window quadrant(
    const struct qd_augment_job *job, const struct crop *c, int k, int cut_x, int cut_y)
{
    int w = job->dst.w, h = job->dst.h, left = c->left, right = c->right;
    struct window win;

    if (c->flip)
        swap(&left, &right);
    win.to_x = k & 1 ? cut_x : 0;
    win.to_y = k & 2 ? cut_y : 0;
    win.w = k & 1 ? w - cut_x : cut_x;
    win.h = k & 2 ? h - cut_y : cut_y;
    win.x = k & 1 ? margin(left, w, c->w, cut_x) : w - cut_x - margin(right, w, c->w, w - cut_x);
    win.y =
        k & 2 ? margin(c->top, h, c->h, cut_y) : h - cut_y - margin(c->bottom, h, c->h, h - cut_y);
    return win;
}

static int draw_cut(struct qd_rng *r, int n)
{
    int cut = uniform(r, (int)((float)n * .2f), (int)((float)n * .8f));

    return QD_MAX(QD_MIN(cut, n - 1), 1);
}

static int run_darknet(
    const struct qd_augment_job *job, struct qd_labels *labels, struct qd_error *err)
{
    int n = qd_augment_sources(job->mix), cut_x = 0, cut_y = 0, ret = 0;
    struct window win = {0, 0, job->dst.w, job->dst.h, 0, 0};
    bool mosaic = job->mix == QD_MIX_MOSAIC && job->dst.w > 1 && job->dst.h > 1;

    if (qd_augment_room(job->src, n, labels, err) < 0)
        return -1;
    if (mosaic) {
        cut_x = draw_cut(job->rng, job->dst.w);
        cut_y = draw_cut(job->rng, job->dst.h);
    }
    for (int k = 0; ret == 0 && k < n; k++) {
        struct crop c = draw_crop(job, &job->src[k], mosaic ? k : -1);
        if (mosaic)
            win = quadrant(job, &c, k, cut_x, cut_y);
        ret = put(job, &job->src[k], &c, &win, labels, err);
    }
    return ret;
}

const struct qd_augmenter qd_augmenter_darknet = {run_darknet, false};
