/* SPDX-License-Identifier: MIT */
/* Resampling against the formulas, evaluated naively in double precision; letterbox geometry. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "image/image.h"
#include "image/resize.h"

/* Float arithmetic on 0..255 with two roundings a pass. */
#define TOL 1e-6

#define GUARD -7.5f

static struct qd_image *noise(int w, int h, int c)
{
    struct qd_image *img = qd_image_new(w, h, c, NULL);

    for (int i = 0; img && i < w * h * c; i++)
        img->data[i] = (uint8_t)tap_rand();
    return img;
}

/* Value k of the source at a real position along one axis, the other fixed. */
static double place(enum qd_resampler r, int i, int n, int src)
{
    if (r == QD_RESAMPLE_DARKNET)
        return i == n - 1 || src == 1 ? src - 1 : i * ((double)(src - 1) / (n - 1));
    double s = (i + .5) * src / n - .5;
    return s < 0 ? 0 : s > src - 1 ? src - 1 : s;
}

static double pixel(const struct qd_image *m, int x, int y, int k)
{
    x = x < m->w ? x : m->w - 1;
    y = y < m->h ? y : m->h - 1;
    const uint8_t *p = m->data + (y * m->w + x) * m->c;
    return p[m->c == 1 ? 0 : k] / 255.;
}

/* The separable formula: horizontal pass, then vertical. */
static double want(
    const struct qd_image *m, enum qd_resampler r, const struct qd_pixels *d, int x, int y, int k)
{
    if (m->c == 3 && d->c == 1) {
        struct qd_pixels rgb = *d;
        rgb.c = 3;
        return .299 * want(m, r, &rgb, x, y, 0) + .587 * want(m, r, &rgb, x, y, 1) +
               .114 * want(m, r, &rgb, x, y, 2);
    }
    double sx = place(r, x, d->w, m->w), sy = place(r, y, d->h, m->h);
    int ix = (int)sx, iy = (int)sy;
    double fx = sx - ix, fy = sy - iy;
    double top = (1 - fx) * pixel(m, ix, iy, k) + fx * pixel(m, ix + 1, iy, k);
    double low = (1 - fx) * pixel(m, ix, iy + 1, k) + fx * pixel(m, ix + 1, iy + 1, k);
    return (1 - fy) * top + fy * low;
}

struct size {
    int sw, sh, sc, w, h, c, ps, pad; /* pad: floats between rows */
};

static void compare(const struct size *z, enum qd_resampler r)
{
    struct qd_image *m = noise(z->sw, z->sh, z->sc);
    size_t row = (size_t)(z->w * z->ps + z->pad), n = row * (size_t)z->h;
    float *buf = qd_alloc(n, sizeof(float), NULL);
    struct qd_pixels d = {buf, z->w, z->h, z->c, (size_t)z->ps, row};
    double worst = 0;
    bool guard = true;

    for (size_t i = 0; i < n; i++)
        buf[i] = GUARD;
    OK(qd_resize_into(m, r, &d, NULL) == 0, "resize");
    for (size_t i = 0; i < n; i++) {
        int y = (int)(i / row), at = (int)(i % row), x = at / z->ps, k = at % z->ps;
        if (x >= z->w || k >= z->c)
            guard = guard && !(buf[i] > GUARD) && !(buf[i] < GUARD);
        else
            worst = fmax(worst, fabs((double)buf[i] - want(m, r, &d, x, y, k)));
    }
    OK(worst <= TOL && guard, "%s %dx%dx%d to %dx%dx%d, stride %d: largest error %.2g",
        r == QD_RESAMPLE_DARKNET ? "darknet" : "halfpixel", z->sw, z->sh, z->sc, z->w, z->h, z->c,
        z->ps, worst);
    qd_free(buf);
    qd_image_free(m);
}

static void resampling(void)
{
    static const struct size sizes[] = {{76, 57, 3, 32, 32, 3, 3, 0}, {76, 57, 3, 32, 40, 3, 4, 5},
        {5, 4, 3, 64, 48, 3, 3, 1}, {5, 4, 1, 64, 48, 1, 1, 0}, {40, 30, 1, 17, 13, 3, 3, 0},
        {40, 30, 3, 17, 13, 1, 1, 2}, {40, 30, 3, 17, 13, 1, 8, 0}, {1, 1, 3, 7, 9, 3, 3, 0},
        {1, 9, 3, 4, 4, 3, 3, 0}, {9, 1, 1, 4, 4, 3, 4, 0}, {12, 11, 3, 1, 1, 3, 3, 0},
        {12, 11, 3, 1, 5, 3, 3, 0}, {12, 11, 3, 12, 11, 3, 3, 0}, {12, 11, 3, 12, 5, 3, 3, 0},
        {12, 11, 3, 5, 11, 3, 3, 0}, {2, 2, 1, 2, 2, 1, 1, 0}, {2, 2, 1, 3, 3, 1, 1, 0},
        {4001, 7, 3, 416, 5, 3, 3, 0}, {7, 3001, 1, 5, 416, 1, 1, 0}};

    for (size_t i = 0; i < QD_LEN(sizes); i++) {
        compare(&sizes[i], QD_RESAMPLE_DARKNET);
        compare(&sizes[i], QD_RESAMPLE_HALFPIXEL);
    }
}

static void refused(void)
{
    struct qd_image *m = noise(4, 4, 3);
    float buf[64];
    struct qd_pixels d = {buf, 4, 4, 4, 4, 16};
    struct qd_error err = {0};

    OK(qd_resize_into(m, QD_RESAMPLE_DARKNET, &d, &err) == -1 && err.code == QD_EARG,
        "no four channels");
    d = (struct qd_pixels){buf, 4, 4, 3, 3, 12};
    for (int i = 1; i <= 3; i++) {
        err = (struct qd_error){0};
        qd_alloc_fail_at(i);
        OK(qd_resize_into(m, QD_RESAMPLE_DARKNET, &d, &err) == -1 && err.code == QD_ENOMEM,
            "allocation %d fails", i);
    }
    qd_alloc_fail_at(0);
    qd_image_free(m);
}

static void same_size_is_exact(void)
{
    struct qd_image *m = noise(31, 9, 3);
    float *buf = qd_alloc(31 * 9 * 3, sizeof(float), NULL);
    struct qd_pixels d = {buf, 31, 9, 3, 3, 93};
    bool same = true;

    for (int r = 0; r < 2; r++) {
        OK(qd_resize_into(m, (enum qd_resampler)r, &d, NULL) == 0, "resize to the same size");
        for (int i = 0; i < 31 * 9 * 3; i++) {
            float v = (float)m->data[i] / 255.f;
            same = same && memcmp(&v, &buf[i], sizeof(v)) == 0;
        }
    }
    OK(same, "the same size gives v / 255 to the bit");
    qd_free(buf);
    qd_image_free(m);
}

static void letterbox(void)
{
    static const struct {
        int sw, sh, w, h, nw, nh, ox, oy;
    } cases[] = {
        {768, 576, 320, 320, 320, 240, 0, 40},
        {576, 768, 320, 320, 240, 320, 40, 0},
        {100, 100, 416, 416, 416, 416, 0, 0},
        {640, 427, 416, 416, 416, 277, 0, 69},
        {427, 640, 416, 416, 277, 416, 69, 0},
        {65535, 1, 32, 32, 32, 1, 0, 15},
        {1, 65535, 32, 32, 1, 32, 15, 0},
        {1920, 1080, 608, 352, 608, 342, 0, 5},
    };

    for (size_t i = 0; i < QD_LEN(cases); i++) {
        struct qd_letterbox lb = qd_letterbox_fit(cases[i].sw, cases[i].sh, cases[i].w, cases[i].h);
        OK(lb.nw == cases[i].nw && lb.nh == cases[i].nh && lb.ox == cases[i].ox &&
                lb.oy == cases[i].oy && lb.w == cases[i].w && lb.h == cases[i].h,
            "%dx%d in %dx%d: %dx%d at %d,%d", cases[i].sw, cases[i].sh, cases[i].w, cases[i].h,
            lb.nw, lb.nh, lb.ox, lb.oy);
    }
}

static void letterbox_pixels(int sw, int sh, int w, int h, int ps)
{
    struct qd_image *m = noise(sw, sh, 3);
    struct qd_letterbox lb = qd_letterbox_fit(sw, sh, w, h);
    size_t n = (size_t)(w * h * ps);
    float *buf = qd_alloc(n, sizeof(float), NULL);
    struct qd_pixels d = {buf, w, h, 3, (size_t)ps, (size_t)(w * ps)};
    struct qd_pixels part = {NULL, lb.nw, lb.nh, 3, 0, 0};
    double worst = 0;

    for (size_t i = 0; i < n; i++)
        buf[i] = GUARD;
    OK(qd_letterbox_into(m, QD_RESAMPLE_DARKNET, &d, NULL) == 0, "letterbox");
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < ps; k++) {
                double v = .5;
                if (k >= 3)
                    v = (double)GUARD;
                else if (x >= lb.ox && x < lb.ox + lb.nw && y >= lb.oy && y < lb.oy + lb.nh)
                    v = want(m, QD_RESAMPLE_DARKNET, &part, x - lb.ox, y - lb.oy, k);
                worst = fmax(worst, fabs((double)buf[(y * w + x) * ps + k] - v));
            }
    OK(worst <= TOL, "%dx%d in a box of %dx%d: largest error %.2g", sw, sh, w, h, worst);
    qd_free(buf);
    qd_image_free(m);
}

static void unmap(void)
{
    struct qd_letterbox lb = qd_letterbox_fit(640, 427, 416, 416); /* 416x277, offset 69.5 real */
    struct qd_box b = {.5f, (69.5f + 277.f / 4) / 416, .25f, 277.f / 416 / 2};

    qd_letterbox_unmap(&lb, &b);
    NEAR((double)b.x, .5, 1e-6, 0, "x stays in the middle");
    NEAR((double)b.y, .25, 1e-6, 0, "y: a quarter of the image");
    NEAR((double)b.w, .25, 1e-6, 0, "width");
    NEAR((double)b.h, .5, 1e-6, 0, "height: half of the image");
    lb = qd_letterbox_fit(100, 100, 32, 32);
    b = (struct qd_box){.1f, .2f, .3f, .4f};
    qd_letterbox_unmap(&lb, &b);
    OK(fabsf(b.x - .1f) < 1e-7f && fabsf(b.y - .2f) < 1e-7f && fabsf(b.w - .3f) < 1e-7f &&
            fabsf(b.h - .4f) < 1e-7f,
        "a square image keeps its boxes");
}

static void bytes(void)
{
    struct qd_image *m = noise(37, 23, 3), *o = NULL;
    int wrong = 0;

    for (int r = 0; r < 2; r++) {
        struct qd_pixels d = {NULL, 20, 31, 3, 0, 0};
        o = qd_image_resize(m, (enum qd_resampler)r, 20, 31, NULL);
        OK(o && o->w == 20 && o->h == 31 && o->c == 3, "bytes to bytes");
        for (int i = 0; o && i < 20 * 31 * 3; i++) {
            double v = 255 * want(m, (enum qd_resampler)r, &d, i / 3 % 20, i / 60, i % 3);
            wrong += fabs(o->data[i] - v) > .5001;
        }
        qd_image_free(o);
    }
    OK(wrong == 0, "bilinear bytes are rounded");
    o = qd_image_resize_nearest(m, 74, 46, NULL);
    for (int i = 0; o && i < 74 * 46 * 3; i++)
        wrong += o->data[i] != m->data[(i / 222 / 2 * 37 + i / 3 % 74 / 2) * 3 + i % 3];
    OK(o && wrong == 0, "nearest, twice as large");
    qd_image_free(o);
    qd_image_free(m);
}

static void crop(void)
{
    static const int at[][4] = {{0, 0, 6, 5}, {2, 1, 3, 2}, {-3, -2, 4, 4}, {4, 3, 5, 6},
        {-2, -2, 12, 12}, {100, 100, 2, 2}, {-100, 2, 3, 1}, {INT32_MAX, INT32_MIN, 2, 2}};
    struct qd_image *m = noise(6, 5, 3);

    for (size_t i = 0; i < QD_LEN(at); i++) {
        struct qd_image *o = qd_image_crop(m, at[i][0], at[i][1], at[i][2], at[i][3], NULL);
        int wrong = !o;
        for (int p = 0; o && p < o->w * o->h * 3; p++) {
            long long x = p / 3 % o->w + (long long)at[i][0];
            long long y = p / 3 / o->w + (long long)at[i][1];
            x = x < 0 ? 0 : x > 5 ? 5 : x;
            y = y < 0 ? 0 : y > 4 ? 4 : y;
            wrong += o->data[p] != m->data[(y * 6 + x) * 3 + p % 3];
        }
        OK(wrong == 0, "crop at %d,%d of %dx%d", at[i][0], at[i][1], at[i][2], at[i][3]);
        qd_image_free(o);
    }
    qd_image_free(m);
}

int main(void)
{
    resampling();
    refused();
    same_size_is_exact();
    letterbox();
    letterbox_pixels(40, 30, 32, 32, 3);
    letterbox_pixels(30, 43, 32, 33, 5);
    letterbox_pixels(8, 8, 16, 16, 4);
    letterbox_pixels(1000, 2, 9, 9, 3);
    unmap();
    bytes();
    crop();
    return tap_done();
}
