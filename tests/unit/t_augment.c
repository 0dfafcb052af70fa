/* SPDX-License-Identifier: MIT */
/*
 * Augmentation: pixels and boxes must tell the same story.  A picture whose red is its column and
 * whose green is its row says where each output pixel came from; a picture with one coloured
 * rectangle says where its box must be.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "data/augment.h"
#include "data/sample.h"
#include "image/image.h"
#include "augment_rig.h"

/* Gray with a rectangle of one colour, its pixels x0 .. x1 - 1, y0 .. y1 - 1. */
static struct qd_image *rectangle(int w, int h, const int r[4], const uint8_t colour[3])
{
    struct qd_image *img = qd_image_new(w, h, 3, NULL);

    for (int y = 0; img && y < h; y++)
        for (int x = 0; x < w; x++) {
            bool in = x >= r[0] && x < r[2] && y >= r[1] && y < r[3];
            for (int k = 0; k < 3; k++)
                img->data[(y * w + x) * 3 + k] = in ? colour[k] : 90;
        }
    return img;
}

/* ------------------------------------------------------------------ no change ----------------- */

static void identity(void)
{
    static const int sizes[][4] = {
        {64, 48, 40, 40}, {40, 40, 40, 40}, {31, 77, 64, 33}, {1, 1, 8, 5}, {9, 1, 1, 9}};
    const struct qd_augment_opts neutral = {
        .kind = QD_AUGMENT_DARKNET, .saturation = 1, .exposure = 1, .resize = 1, .aspect = 1};

    for (size_t i = 0; i < QD_LEN(sizes); i++)
        for (int c = 1; c <= 3; c += 2) {
            struct qd_image *img = noise(sizes[i][0], sizes[i][1], c);
            int w = sizes[i][2], h = sizes[i][3];
            struct qd_label l = {1, {.5f, .4f, .5f, .3f}, 3};
            struct qd_source s = source(img, &l, 1);
            struct qd_pixels a = canvas(out, w, h, c), b = canvas(other, w, h, c);
            struct qd_labels got = {0};
            OK(run(&neutral, QD_MIX_NONE, &s, i, &a, &got, NULL) == 0 &&
                    qd_resize_into(img, QD_RESAMPLE_DARKNET, &b, &err) == 0,
                "%dx%d to %dx%d", img->w, img->h, w, h);
            OK(memcmp(out, other, (size_t)(w * h * c) * sizeof(float)) == 0,
                "without augmentation it is a resize, to the bit");
            if (w > 4 && h > 4)
                OK(got.n == 1 && fabsf(got.label[0].box.x - .5f) < 1e-6f &&
                        fabsf(got.label[0].box.h - .3f) < 1e-6f && got.label[0].line == 3,
                    "and the box stays");
            qd_labels_free(&got);
            /* with gaps between pixels and rows */
            struct qd_pixels gaps = {
                other, w, h, c, (size_t)c + 1, ((size_t)c + 1) * (size_t)w + 5};
            memset(other, 0, sizeof(other));
            OK(run(&neutral, QD_MIX_NONE, &s, i, &gaps, NULL, NULL) == 0, "with gaps");
            bool same = true, clean = true;
            for (int y = 0; y < h; y++)
                for (int x = 0; x < w; x++) {
                    const float *p = other + (size_t)y * gaps.row_stride;
                    p += (size_t)x * gaps.pixel_stride;
                    same &= memcmp(p, out + (y * w + x) * c, (size_t)c * sizeof(float)) == 0;
                    clean &= p[c] == 0;
                }
            OK(same && clean, "same pixels, gaps untouched");
            qd_image_free(img);
        }
}

/* ------------------------------------------------------------------ exact geometry ------------ */

/* From the values of a row or column of n outputs: source = a + b * i.  Only two values that no
 * edge has changed, far apart, are used. */
static bool fit(const float *v, size_t step, int n, double *a, double *b)
{
    int lo = -1, hi = -1;

    for (int i = 0; i < n; i++) {
        double s = (double)v[(size_t)i * step] * 255;
        if (s < 1 || s > 254)
            continue;
        lo = lo < 0 ? i : lo;
        hi = i;
    }
    if (lo < 0 || hi - lo < n / 4)
        return false;
    double x = (double)v[(size_t)lo * step] * 255, y = (double)v[(size_t)hi * step] * 255;
    *b = (y - x) / (hi - lo);
    *a = x - *b * lo;
    return true;
}

/* The edges lo, hi of a box (pixels of the source) on an axis whose n outputs read a + b i: the
 * first output reads the first pixel of the crop, the last the last. */
static void expect(double a, double b, int n, double lo, double hi, double e[2])
{
    double last = a + b * (n - 1), start = fmin(a, last), size = fabs(last - a) + 1;

    e[0] = fmin(fmax((lo - start) / size, 0), 1);
    e[1] = fmin(fmax((hi - start) / size, 0), 1);
    if (b < 0) {
        double t = 1 - e[0];
        e[0] = 1 - e[1];
        e[1] = t;
    }
}

static void geometry(void)
{
    struct qd_image *img = position_image();
    struct qd_augment_opts o = QD_AUGMENT_OPTS_INIT;
    struct qd_label l = {2, {.45f, .55f, .5f, .4f}, 1};
    struct qd_source s = source(img, &l, 1);
    struct qd_pixels d = canvas(out, 160, 128, 3);
    int checked = 0, flips = 0, lost = 0;
    double worst = 0;

    o.jitter = .3f;
    for (int i = 0; i < 4 * CASES; i++) {
        struct qd_labels got = {0};
        double ax, bx, ay, by, ex[2], ey[2];
        o.resize = i & 1 ? 1.5f : i & 2 ? .6f : 1;
        o.letter_box = i & 4;
        if (run(&o, QD_MIX_NONE, &s, (uint64_t)i, &d, &got, NULL) < 0)
            break;
        if (fit(out + 64 * 160 * 3, 3, 160, &ax, &bx) &&
            fit(out + 80 * 3 + 1, 3 * 160, 128, &ay, &by)) {
            expect(ax, bx, 160, .2 * 256, .7 * 256, ex);
            expect(ay, by, 128, .35 * 256, .75 * 256, ey);
            checked++;
            flips += bx < 0;
            if (got.n == 1) {
                struct qd_edges e = qd_box_edges(&got.label[0].box);
                worst = fmax(worst, fmax(fabs(e.x0 - ex[0]), fabs(e.x1 - ex[1])));
                worst = fmax(worst, fmax(fabs(e.y0 - ey[0]), fabs(e.y1 - ey[1])));
            } else {
                lost += (ex[1] - ex[0]) * 160 > 1.01 && (ey[1] - ey[0]) * 128 > 1.01;
            }
        }
        qd_labels_free(&got);
    }
    OK(checked > 3 * CASES && flips > CASES, "%d crops, %d flipped", checked, flips);
    OK(worst < 2e-4 && lost == 0, "boxes as the pixels say: %g off, %d lost", worst, lost);
    qd_image_free(img);
}

/* ------------------------------------------------------------------ boxes on objects ---------- */

static const uint8_t palette[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 0}};

/* The extent, in pixels, of what has this colour; false when there is nothing. */
static bool extent(int w, int h, const uint8_t colour[3], double e[4])
{
    bool any = false;

    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const float *p = out + (y * w + x) * 3;
            float far = 0;
            for (int k = 0; k < 3; k++)
                far = fmaxf(far, fabsf(p[k] - (float)colour[k] / 255));
            if (far > .35f)
                continue;
            e[0] = any ? fmin(e[0], x) : x;
            e[1] = any ? fmin(e[1], y) : y;
            e[2] = any ? fmax(e[2], x + 1) : x + 1;
            e[3] = any ? fmax(e[3], y + 1) : y + 1;
            any = true;
        }
    return any;
}

struct tally {
    int boxes, loose, uncovered, lost;
};

/* How a box is compared with the pixels of its object. */
struct fit {
    bool exact;   /* it fits all around; otherwise it covers them */
    double small; /* an object of which less is seen, in pixels, may have lost its box ... */
    double part;  /* ... also when less than that part of it is */
};

static void compare(struct tally *t, const struct fit *f, const struct qd_labels *got,
    const struct qd_source *src, int w, int h)
{
    int k = src->label->class_id;
    double e[4], shrink = fmin((double)w / src->w, (double)h / src->h);
    double full = (double)src->label->box.w * src->w * (double)src->label->box.h * src->h;
    bool seen = extent(w, h, palette[k], e);
    const struct qd_label *l = NULL;

    full *= shrink * shrink;
    for (size_t i = 0; i < got->n; i++)
        if (got->label[i].class_id == k)
            l = &got->label[i];
    if (!l) {
        t->lost += seen && e[2] - e[0] > f->small && e[3] - e[1] > f->small &&
                   (e[2] - e[0]) * (e[3] - e[1]) > f->part * full;
        return;
    }
    struct qd_edges b = qd_box_edges(&l->box);
    double off[4] = {b.x0 * w - e[0], b.y0 * h - e[1], e[2] - b.x1 * w, e[3] - b.y1 * h};
    bool thin = (b.x1 - b.x0) * w < 4 || (b.y1 - b.y0) * h < 4;
    t->boxes++;
    if (!seen) {
        t->loose += !thin;
        return;
    }
    for (int i = 0; i < 4; i++) {
        t->uncovered += off[i] > 2;
        t->loose += f->exact && off[i] < -2;
    }
}

/* Four pictures with a rectangle each, of different sizes, decoded at 1 / 'reduced'. */
static void make_sources(struct qd_source src[4], struct qd_label label[4], int reduced)
{
    static const int sizes[4][2] = {{120, 90}, {90, 130}, {100, 100}, {200, 60}};

    for (int k = 0; k < 4; k++) {
        int w = sizes[k][0] * reduced, h = sizes[k][1] * reduced;
        int x0 = (int)(tap_randf(.15f, .4f) * (float)w),
            y0 = (int)(tap_randf(.15f, .4f) * (float)h);
        int x1 = x0 + (int)(tap_randf(.2f, .4f) * (float)w);
        int y1 = y0 + (int)(tap_randf(.2f, .4f) * (float)h);
        struct qd_image *img = rectangle(w, h, (const int[4]){x0, y0, x1, y1}, palette[k]);
        if (reduced > 1 && img) {
            struct qd_image *less =
                qd_image_resize(img, QD_RESAMPLE_HALFPIXEL, sizes[k][0], sizes[k][1], NULL);
            qd_image_free(img);
            img = less;
        }
        struct qd_edges e = {(double)x0 / w, (double)y0 / h, (double)x1 / w, (double)y1 / h};
        label[k] = (struct qd_label){k, qd_edges_box(&e), k + 1};
        src[k] = (struct qd_source){img, w, h, &label[k], 1, 0};
    }
}

static void free_sources(struct qd_source src[4])
{
    for (int k = 0; k < 4; k++)
        qd_image_free((struct qd_image *)(uintptr_t)src[k].img);
}

static const struct {
    const char *name;
    struct qd_augment_opts o;
    enum qd_mix mix;
    int sources, w, h, reduced;
    struct fit fit;
} kinds[] = {
#define DARKNET .kind = QD_AUGMENT_DARKNET, .saturation = 1.2f, .exposure = 1.1f, .flip = true
#define PLAIN .saturation = 1, .exposure = 1, .resize = 1, .aspect = 1
#define ULTRA .kind = QD_AUGMENT_ULTRALYTICS, PLAIN
    {"none, letterbox", {PLAIN, .kind = QD_AUGMENT_NONE, .letter_box = true}, QD_MIX_NONE, 1, 96,
        96, 1, {true, 1, 0}},
    {"darknet", {DARKNET, .jitter = .3f, .resize = 1.5f, .hue = .02f, .aspect = 1}, QD_MIX_NONE, 1,
        128, 96, 1, {true, 2, 0}},
    {"darknet, decoded at 1/2", {DARKNET, .jitter = .2f, .resize = 1, .aspect = 1}, QD_MIX_NONE, 1,
        96, 96, 2, {true, 2, 0}},
    {"darknet, letterbox, gray",
        {DARKNET, .jitter = .1f, .resize = 1, .aspect = 1, .letter_box = true,
            .fill = QD_FILL_GRAY},
        QD_MIX_NONE, 1, 96, 96, 1, {true, 2, 0}},
    {"darknet mosaic", {DARKNET, .jitter = .2f, .resize = 1.5f, .aspect = 1}, QD_MIX_MOSAIC, 4, 128,
        128, 1, {true, 3, 0}},
    {"darknet mosaic, mean, bound",
        {DARKNET, .jitter = .3f, .resize = 1.2f, .aspect = 1, .mosaic_bound = true,
            .fill = QD_FILL_MEAN},
        QD_MIX_MOSAIC, 4, 160, 96, 1, {true, 3, 0}},
    {"ultralytics, one image", {ULTRA, .flip = true, .scale = .3f, .translate = .1f}, QD_MIX_NONE,
        1, 128, 128, 1, {true, 6, .4}},
    {"ultralytics mosaic", {ULTRA, .flip = true, .hsv_h = .01f, .hsv_s = .3f, .hsv_v = .2f},
        QD_MIX_MOSAIC, 4, 128, 128, 1, {true, 6, .4}},
    {"ultralytics mosaic, decoded at 1/2", {ULTRA, .flip = true, .scale = .2f}, QD_MIX_MOSAIC, 4,
        128, 96, 2, {true, 6, .4}},
    {"ultralytics mosaic, turned and sheared",
        {ULTRA, .flip = true, .degrees = 10, .translate = .07f, .scale = .2f, .shear = 3},
        QD_MIX_MOSAIC, 4, 128, 128, 1, {false, 12, .4}},
};

static void objects(void)
{
    for (size_t i = 0; i < QD_LEN(kinds); i++) {
        struct tally t = {0};
        OK(qd_augment_check(&kinds[i].o, &err) == 0, "%s: options: %s", kinds[i].name, err.msg);
        for (int n = 0; n < CASES; n++) {
            struct qd_source src[4];
            struct qd_label label[4];
            struct qd_labels got = {0};
            struct qd_pixels d = canvas(out, kinds[i].w, kinds[i].h, 3);
            make_sources(src, label, kinds[i].reduced);
            if (run(&kinds[i].o, kinds[i].mix, src, (uint64_t)n, &d, &got, NULL) < 0)
                OK(false, "%s: %s", kinds[i].name, err.msg);
            for (int k = 0; k < kinds[i].sources; k++)
                compare(&t, &kinds[i].fit, &got, &src[k], d.w, d.h);
            qd_labels_free(&got);
            free_sources(src);
        }
        OK(t.boxes > CASES / 2, "%s: %d boxes", kinds[i].name, t.boxes);
        OK(t.uncovered == 0 && t.loose == 0 && t.lost == 0,
            "%s: %d sides uncovered, %d loose, %d objects without a box", kinds[i].name,
            t.uncovered, t.loose, t.lost);
    }
}

/* ------------------------------------------------------------------ the rest of darknet ------- */

static void reproducible(void)
{
    struct qd_augment_opts o = QD_AUGMENT_OPTS_INIT;
    struct qd_source src[4];
    struct qd_label label[4];
    struct qd_pixels a = canvas(out, 64, 64, 3), b = canvas(other, 64, 64, 3);
    struct qd_labels la = {0}, lb = {0};

    o.hue = .1f;
    o.exposure = o.saturation = 1.5f;
    make_sources(src, label, 1);
    int ret = run(&o, QD_MIX_MOSAIC, src, 5, &a, &la, NULL);
    ret |= run(&o, QD_MIX_MOSAIC, src, 5, &b, &lb, NULL);
    OK(ret == 0 && !memcmp(out, other, 64 * 64 * 3 * sizeof(float)), "same seed, same pixels");
    OK(la.n == lb.n && (!la.n || !memcmp(la.label, lb.label, la.n * sizeof(*la.label))),
        "same boxes");
    qd_labels_free(&lb);
    ret = run(&o, QD_MIX_MOSAIC, src, 6, &b, &lb, NULL);
    OK(ret == 0 && memcmp(out, other, 64 * 64 * 3 * sizeof(float)) != 0, "another seed, others");
    qd_labels_free(&la);
    qd_labels_free(&lb);
    free_sources(src);
}

static void mixup(void)
{
    const struct qd_augment_opts neutral = {.kind = QD_AUGMENT_DARKNET,
        .saturation = 1,
        .exposure = 1,
        .resize = 1,
        .aspect = 1,
        .max_boxes = 3};
    struct qd_image *a = noise(30, 20, 3), *b = noise(50, 40, 3);
    const struct qd_label l[2] = {{0, {.5f, .5f, .2f, .2f}, 1}, {1, {.5f, .5f, .9f, .9f}, 2}};
    const struct qd_source src[2] = {source(a, l, 2), source(b, l, 2)};
    struct qd_pixels d = canvas(out, 32, 32, 3), e = canvas(other, 32, 32, 3);
    static float second[32 * 32 * 3];
    struct qd_pixels f = canvas(second, 32, 32, 3);
    struct qd_labels got = {0};
    double worst = 0;

    int ret = run(&neutral, QD_MIX_MIXUP, src, 1, &d, &got, NULL);
    ret |= qd_resize_into(a, QD_RESAMPLE_DARKNET, &e, &err);
    ret |= qd_resize_into(b, QD_RESAMPLE_DARKNET, &f, &err);
    for (int i = 0; i < 32 * 32 * 3; i++)
        worst = fmax(worst, fabs((double)out[i] - ((double)other[i] + (double)second[i]) / 2));
    OK(ret == 0 && worst < 1e-6, "mixup is the mean: %g off", worst);
    OK(got.n == 3, "boxes of both, up to the limit: %zu", got.n);
    qd_labels_free(&got);
    /* which boxes are left out depends on the seed */
    int sum[2] = {0};
    for (int i = 0; i < 40; i++) {
        if (run(&neutral, QD_MIX_MIXUP, src, (uint64_t)i, &d, &got, NULL) < 0)
            break;
        for (size_t k = 0; k < got.n; k++)
            sum[got.label[k].class_id]++;
        qd_labels_free(&got);
    }
    OK(sum[0] + sum[1] == 120 && sum[0] > 45 && sum[1] > 45, "by chance: %d, %d", sum[0], sum[1]);
    qd_image_free(a);
    qd_image_free(b);
}

static void fills(void)
{
    struct qd_augment_opts o = QD_AUGMENT_OPTS_INIT;
    struct qd_image *img = qd_image_new(20, 20, 3, NULL);
    struct qd_source s = source(img, NULL, 0);
    struct qd_pixels d = canvas(out, 40, 20, 3);
    float mean[3];

    memset(img->data, 255, 600); /* the upper half is white */
    qd_image_mean(img, mean);
    NEAR((double)mean[1], .5, 1e-6, 0, "mean colour");
    o.jitter = 0;
    o.letter_box = true; /* adds 10 pixels on either side */
    o.flip = false;
    static const float corner[] = {1, .5f, .5f};
    for (int i = 0; i < 3; i++) {
        o.fill = (enum qd_fill)i;
        OK(run(&o, QD_MIX_NONE, &s, 1, &d, NULL, NULL) == 0, "letterbox");
        NEAR((double)out[0], (double)corner[i], 1e-6, 0, "fill %d", i);
        OK(out[20 * 3] == 1 && out[(19 * 40 + 20) * 3] == 0, "the picture");
    }
    qd_image_free(img);
}

/* ------------------------------------------------------------------ anything ------------------ */

/* Any sizes and options: every pixel is set, to 0 .. 1, nothing beside them is, and boxes lie in
 * the picture. */
static void anything(void)
{
    static const enum qd_mix mixes[] = {QD_MIX_NONE, QD_MIX_MIXUP, QD_MIX_CUTMIX, QD_MIX_MOSAIC};
    int ran = 0, bad_pixels = 0, bad_boxes = 0, beside = 0;

    for (int n = 0; n < 12 * CASES; n++) {
        struct qd_augment_opts o = {.kind = (enum qd_augment_kind)(n % 5),
            .flip = n & 1,
            .saturation = tap_randf(.5f, 3),
            .exposure = tap_randf(.5f, 3),
            .hue = tap_randf(0, .5f),
            .jitter = tap_randf(0, .9f),
            .resize = tap_randf(.2f, 4),
            .fill = (enum qd_fill)(tap_rand() % 3),
            .mosaic_bound = tap_rand() & 1,
            .angle = tap_rand() & 1 ? tap_randf(0, 90) : 0,
            .aspect = tap_randf(.5f, 2),
            .degrees = tap_rand() & 1 ? tap_randf(0, 90) : 0,
            .scale = tap_randf(0, .9f),
            .translate = tap_randf(0, 1),
            .shear = tap_rand() & 1 ? tap_randf(0, 60) : 0,
            .hsv_s = 1,
            .hsv_v = 1};
        o.mix = mixes[tap_rand() % 4];
        o.letter_box = o.mix != QD_MIX_MOSAIC && (tap_rand() & 1);
        if (qd_augment_check(&o, NULL) < 0)
            continue;
        int c = n & 2 ? 1 : 3, w = 1 + (int)(tap_rand() % 40), h = 1 + (int)(tap_rand() % 40);
        size_t values = (size_t)(w * h * c);
        struct qd_source src[4];
        struct qd_label l[4];
        for (int k = 0; k < 4; k++) {
            l[k] = (struct qd_label){k, {.5f, .5f, tap_randf(.01f, 1), tap_randf(.01f, 1)}, 1};
            int iw = 1 + (int)(tap_rand() % 50), ih = 1 + (int)(tap_rand() % 50);
            src[k] = source(noise(iw, ih, c), &l[k], 1);
            if (tap_rand() % 4 == 0) { /* decoded smaller */
                src[k].w = 2 * iw - 1;
                src[k].h = 2 * ih;
            }
        }
        struct qd_pixels d = canvas(out, w, h, c);
        struct qd_labels got = {0};
        float target[4];
        for (size_t i = 0; i < values + 8; i++)
            out[i] = -7;
        enum qd_mix mix = qd_augment_mix_at(
            &o, o.kind == QD_AUGMENT_NONE || o.kind == QD_AUGMENT_CENTRE ? QD_MIX_NONE : o.mix, n);
        ran += run(&o, mix, src, (uint64_t)n, &d, &got, target) == 0;
        for (size_t i = 0; i < values; i++)
            bad_pixels += !(out[i] >= 0 && out[i] <= 1.000001f);
        for (size_t i = values; i < values + 8; i++)
            beside += out[i] != -7;
        for (size_t i = 0; i < got.n; i++) {
            struct qd_edges e = qd_box_edges(&got.label[i].box);
            bad_boxes += !(e.x0 > -1e-5 && e.y0 > -1e-5 && e.x1 < 1.00001 && e.y1 < 1.00001 &&
                           e.x1 > e.x0 && e.y1 > e.y0);
        }
        qd_labels_free(&got);
        free_sources(src);
    }
    OK(ran > 6 * CASES, "%d runs: %s", ran, err.msg);
    OK(bad_pixels == 0 && beside == 0, "%d bad pixels, %d beside", bad_pixels, beside);
    OK(bad_boxes == 0, "%d bad boxes", bad_boxes);
}

/* ------------------------------------------------------------------ options ------------------- */

static void options(void)
{
    struct qd_augment_opts o = QD_AUGMENT_OPTS_INIT;

    OK(qd_augment_check(&o, &err) == 0, "defaults");
    o.jitter = 1.5f;
    OK(qd_augment_check(&o, &err) < 0, "jitter");
    IS_STR(err.msg, "augmentation: 'jitter' must be 0 to 0.99, not 1.5", "message");
    o.jitter = NAN;
    OK(qd_augment_check(&o, NULL) < 0, "not a number");
    o.jitter = .3f;
    o.mix = QD_MIX_MOSAIC;
    o.letter_box = true;
    err = (struct qd_error){0};
    OK(qd_augment_check(&o, &err) < 0, "letter_box and mosaic");
    IS_STR(err.msg, "augmentation: letter_box and mosaic exclude each other", "message");
    o.letter_box = false;
    o.mix = QD_MIX_CUTMIX;
    err = (struct qd_error){0};
    OK(qd_augment_check(&o, &err) < 0, "cutmix for boxes");
    IS_STR(err.msg, "augmentation: cutmix is for classifiers only", "message");
    o.mix = QD_MIX_MOSAIC;
    int mosaics = 0;
    for (uint64_t i = 0; i < 200; i++)
        mosaics += qd_augment_mix(&o, 3, i) == QD_MIX_MOSAIC;
    OK(mosaics > 70 && mosaics < 130, "half of the iterations mix: %d", mosaics);
    o.mix_prob = 1;
    OK(qd_augment_mix(&o, 3, 7) == QD_MIX_MOSAIC, "all of them");
    OK(qd_augment_mix_at(&o, QD_MIX_BOTH, 0) == QD_MIX_MOSAIC, "both: mosaic for detectors");
    o.kind = QD_AUGMENT_CLASSIFY;
    OK(qd_augment_mix_at(&o, QD_MIX_BOTH, 0) == QD_MIX_CUTMIX &&
            qd_augment_mix_at(&o, QD_MIX_BOTH, 1) == QD_MIX_MOSAIC,
        "both: in turn for classifiers");
    o.kind = QD_AUGMENT_DARKNET;
    struct qd_image_opts io = qd_augment_decode(&o, 400, 300, 1);
    OK(io.min_w == 600 && io.min_h == 450 && io.channels == 1 && !io.exif, "decoding");
    struct qd_image *img = noise(5, 5, 1);
    struct qd_source s = source(img, NULL, 0);
    struct qd_pixels d = canvas(out, 8, 8, 3);
    OK(run(&o, QD_MIX_NONE, &s, 1, &d, NULL, NULL) < 0, "channels that do not fit");
    IS_STR(err.msg, "an image with 1 channels for a net with 3", "message");
    qd_image_free(img);
}

int main(void)
{
    identity();
    geometry();
    objects();
    reproducible();
    mixup();
    fills();
    anything();
    options();
    return tap_done();
}
