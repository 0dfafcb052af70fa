/* SPDX-License-Identifier: MIT */
/* Drawing: clipping, the font, labels, colours. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/io.h"
#include "image/draw.h"
#include "image/font.h"
#include "image/image.h"

static const struct qd_colour red = {255, 0, 0};

static int count(const struct qd_image *img, struct qd_colour col)
{
    int n = 0;

    for (int i = 0; i < img->w * img->h; i++) {
        const uint8_t *p = img->data + i * img->c;
        n += img->c == 1 ? p[0] == qd_luma(col.r, col.g, col.b)
                         : p[0] == col.r && p[1] == col.g && p[2] == col.b;
    }
    return n;
}

static void fills(void)
{
    static const struct {
        struct qd_rect r;
        int pixels, frame; /* filled, and as a frame of 2 */
    } cases[] = {{{0, 0, 19, 9}, 200, 200 - 16 * 6}, {{2, 3, 2, 3}, 1, 1}, {{2, 3, 7, 6}, 24, 24},
        {{2, 2, 7, 7}, 36, 32}, {{-5, -5, 1, 1}, 4, 4}, {{-5, -5, 100, 100}, 200, 0},
        {{18, 8, 1000000, 1000000}, 4, 4}, {{5, 5, 4, 9}, 0, 0}, {{20, 0, 30, 9}, 0, 0},
        {{-9, 0, -1, 9}, 0, 0}, {{-1000000, 4, 1000000, 5}, 40, 40}, {{-2, -2, 3, 3}, 16, 12}};

    for (size_t i = 0; i < QD_LEN(cases); i++)
        for (int c = 1; c <= 3; c += 2) {
            struct qd_image *img = qd_image_new(20, 10, c, NULL);
            qd_draw_fill(img, &cases[i].r, red);
            OK(count(img, red) == cases[i].pixels, "fill %zu, %d channels: %d pixels", i, c,
                count(img, red));
            qd_image_free(img);
            img = qd_image_new(20, 10, c, NULL);
            qd_draw_frame(img, &cases[i].r, 2, red);
            OK(count(img, red) == cases[i].frame, "frame %zu: %d pixels", i, count(img, red));
            qd_image_free(img);
        }
}

static void font(void)
{
    int blank = 0, twins = 0, rim = 0;

    for (unsigned a = '!'; a <= '~'; a++) {
        static const uint8_t none[QD_GLYPH_H];
        const uint8_t *g = qd_font_glyph(a);
        blank += memcmp(g, none, sizeof(none)) == 0;
        for (unsigned b = '!'; b < a; b++)
            twins += memcmp(g, qd_font_glyph(b), QD_GLYPH_H) == 0;
        for (int r = 0; r < QD_GLYPH_H; r++)
            rim += g[r] & 1;
    }
    OK(blank == 0, "no character but the space is blank");
    OK(twins == 0, "no two characters look the same");
    OK(rim == 0, "a column lies between characters");
    OK(qd_font_glyph('\n') == qd_font_glyph('?') && qd_font_glyph(200) == qd_font_glyph('?') &&
            qd_font_glyph(0) == qd_font_glyph('?'),
        "other characters are question marks");
    OK(qd_draw_text_cells("dog 65%") == 7 && qd_draw_text_cells("") == 0, "cells");
    OK(qd_draw_text_cells("h\xc3\xbchner \xe7\x8b\x97") == 8, "cells of UTF-8");
    OK(qd_draw_text_cells("\x80\xff\xc3") == 3, "cells of broken UTF-8");
}

/* The pixels of a text are the bits of its glyphs, each scale * scale large, wherever it lies. */
static void text(void)
{
    static const char word[] = "Dog~";

    for (int scale = 1; scale <= 3; scale++) {
        struct qd_image *img = qd_image_new(120, 50, 3, NULL);
        int wrong = 0;
        qd_draw_text(img, 5, 4, scale, word, red);
        for (int y = 0; y < img->h; y++)
            for (int x = 0; x < img->w; x++) {
                int fx = x - 5, fy = y - 4;
                bool on = false;
                if (fx >= 0 && fy >= 0 && fx < 4 * 8 * scale && fy < 13 * scale)
                    on = qd_font_glyph((unsigned char)word[fx / (8 * scale)])[fy / scale] >>
                             (7 - fx / scale % 8) &
                         1;
                wrong += (img->data[(y * img->w + x) * 3] == 255) != on;
            }
        OK(wrong == 0, "text at scale %d", scale);
        for (int x = -200; x < 130; x += 7)
            for (int y = -50; y < 60; y += 5)
                qd_draw_text(img, x, y, scale, word, red);
        qd_image_free(img);
    }
}

static void colours(void)
{
    double nearest = 1000;

    for (int a = 0; a < 40; a++)
        for (int b = 0; b < a; b++) {
            struct qd_colour p = qd_draw_class_colour(a), q = qd_draw_class_colour(b);
            double d = sqrt(
                (p.r - q.r) * (p.r - q.r) + (p.g - q.g) * (p.g - q.g) + (p.b - q.b) * (p.b - q.b));
            nearest = fmin(nearest, d);
        }
    OK(nearest > 10, "the first 40 classes differ by at least %.0f", nearest);
    struct qd_colour a = qd_draw_class_colour(-1), b = qd_draw_class_colour(0);
    OK(memcmp(&a, &b, sizeof(a)) == 0, "a negative class has a colour");
    qd_draw_class_colour(INT32_MAX);
}

static struct qd_det det(float x, float y, float w, float h, int class_id)
{
    return (struct qd_det){{x, y, w, h}, class_id, .5f};
}

/* Boxes of all kinds into images of all sizes: nothing but the sanitizer can object. */
static void hostile(void)
{
    static const float odd[] = {0, -0.f, 1, -1, .5f, 1e30f, -1e30f, 1e-30f, 3e9f, NAN, INFINITY};
    static const int sizes[][2] = {{1, 1}, {3, 200}, {200, 3}, {64, 48}};
    int n = 0, changed = 0;

    for (size_t i = 0; i < 4; i++)
        for (int c = 1; c <= 3; c += 2)
            for (int k = 0; k < 400; k++, n++) {
                struct qd_image *img = qd_image_new(sizes[i][0], sizes[i][1], c, NULL);
                float v[4];
                for (int j = 0; j < 4; j++)
                    v[j] = tap_rand() % 2 ? odd[tap_rand() % QD_LEN(odd)] : tap_randf(-2, 2);
                struct qd_det d = det(v[0], v[1], v[2], v[3], (int)tap_rand());
                d.score = odd[tap_rand() % QD_LEN(odd)];
                qd_draw_dets(img, &(struct qd_dets){&d, 1}, NULL);
                changed += count(img, (struct qd_colour){0, 0, 0}) < img->w * img->h;
                qd_image_free(img);
            }
    OK(changed > 100 && changed < n, "%d odd boxes, %d leave a mark", n, changed);
}

static void labels(void)
{
    char path[300];
    struct qd_error err = {0};

    snprintf(path, sizeof(path), "%s", tap_tmp("names"));
    OK(qd_io_put(path, true, "dog\ncat\n", 8, &err) == 0, "write names");
    struct qd_names *names = qd_names_load(path, &err);
    struct qd_image *a = qd_image_new(300, 200, 3, &err), *b = qd_image_new(300, 200, 3, &err);
    struct qd_det d[2] = {det(.5f, .6f, .4f, .4f, 0), det(.5f, .6f, .4f, .4f, 1)};
    d[0].score = .651f;
    d[1].score = .3f;
    qd_draw_dets(a, &(struct qd_dets){d, 1}, names);
    struct qd_colour col = qd_draw_class_colour(0), ink = {0, 0, 0};
    if (qd_luma(col.r, col.g, col.b) <= 125)
        ink = (struct qd_colour){255, 255, 255};
    /* the same by hand: a box of 120x80 at (90, 80), one pixel wide, its label above */
    qd_draw_frame(b, &(struct qd_rect){90, 80, 209, 159}, 1, col);
    qd_draw_fill(b, &(struct qd_rect){90, 65, 90 + 7 * 8 + 2, 79}, col);
    qd_draw_text(b, 92, 66, 1, "dog 65%", ink);
    OK(memcmp(a->data, b->data, 300 * 200 * 3) == 0, "box and label are where they belong");
    /* the better of two equal boxes is on top; a class without a name has its number */
    struct qd_image *c = qd_image_new(300, 200, 3, &err);
    qd_draw_dets(c, &(struct qd_dets){d, 2}, names);
    OK(memcmp(c->data, a->data, 300 * 200 * 3) == 0, "the best box covers the other");
    memset(a->data, 0, 300 * 200 * 3);
    memset(b->data, 0, 300 * 200 * 3);
    d[0].class_id = 7;
    d[0].box = (struct qd_box){.9f, .1f, .4f, .4f}; /* beyond the corner: the label moves inside */
    qd_draw_dets(a, &(struct qd_dets){d, 1}, names);
    col = qd_draw_class_colour(7);
    ink = qd_luma(col.r, col.g, col.b) > 125 ? (struct qd_colour){0, 0, 0}
                                             : (struct qd_colour){255, 255, 255};
    qd_draw_frame(b, &(struct qd_rect){210, -20, 329, 59}, 1, col);
    qd_draw_fill(b, &(struct qd_rect){300 - 91, 0, 299, 14}, col);
    qd_draw_text(b, 300 - 91 + 2, 1, 1, "class 7 65%", ink);
    OK(memcmp(a->data, b->data, 300 * 200 * 3) == 0, "a label stays in the image");
    qd_image_free(a);
    qd_image_free(b);
    qd_image_free(c);
    qd_names_free(names);
}

/* Sizes grow with the image. */
static void sizes(void)
{
    static const int side[] = {100, 320, 1000, 4000};
    double last = 0;

    for (size_t i = 0; i < QD_LEN(side); i++) {
        struct qd_image *img = qd_image_new(side[i], side[i], 1, NULL);
        struct qd_det d = det(.5f, .5f, .5f, .5f, 3);
        struct qd_colour col = qd_draw_class_colour(3);
        int width = 0;
        qd_draw_dets(img, &(struct qd_dets){&d, 1}, NULL);
        while (img->data[(side[i] / 2) * side[i] + side[i] / 4 + width] ==
               qd_luma(col.r, col.g, col.b))
            width++;
        OK(width >= 1 && width >= last && width <= side[i] / 100 + 1, "a line of %d pixels at %d",
            width, side[i]);
        last = width;
        qd_image_free(img);
    }
}

int main(void)
{
    fills();
    font();
    text();
    colours();
    hostile();
    labels();
    sizes();
    return tap_done();
}
