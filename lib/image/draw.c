/* SPDX-License-Identifier: MIT */
/*
 * Boxes and labels drawn into an image.  Everything goes through one clipped rectangle fill, so
 * that boxes may lie anywhere.  Sizes follow the image: a label takes about the same share of a
 * thumbnail and of a photo.
 */
#include "image/draw.h"

#include <math.h>

#include "image/font.h"
#include "image/image.h"

#define LABEL_MAX 64 /* characters */
#define FAR 1000000. /* pixels: beyond every image, and safe to convert to long */

static uint8_t *pixel(const struct qd_image *img, long x, long y)
{
    return img->data + ((size_t)y * (size_t)img->w + (size_t)x) * (size_t)img->c;
}

void qd_draw_fill(struct qd_image *img, const struct qd_rect *r, struct qd_colour col)
{
    long x0 = QD_MAX(r->x0, 0), x1 = QD_MIN(r->x1, img->w - 1);
    long y0 = QD_MAX(r->y0, 0), y1 = QD_MIN(r->y1, img->h - 1);

    for (long y = y0; y <= y1 && x0 <= x1; y++) {
        uint8_t *p = pixel(img, x0, y);
        if (img->c == 1) {
            memset(p, qd_luma(col.r, col.g, col.b), (size_t)(x1 - x0 + 1));
            continue;
        }
        for (long x = x0; x <= x1; x++, p += 3) {
            p[0] = col.r;
            p[1] = col.g;
            p[2] = col.b;
        }
    }
}

void qd_draw_frame(struct qd_image *img, const struct qd_rect *r, int width, struct qd_colour col)
{
    long t = width - 1;

    qd_draw_fill(img, &(struct qd_rect){r->x0, r->y0, r->x1, QD_MIN(r->y0 + t, r->y1)}, col);
    qd_draw_fill(img, &(struct qd_rect){r->x0, QD_MAX(r->y1 - t, r->y0), r->x1, r->y1}, col);
    qd_draw_fill(img, &(struct qd_rect){r->x0, r->y0, QD_MIN(r->x0 + t, r->x1), r->y1}, col);
    qd_draw_fill(img, &(struct qd_rect){QD_MAX(r->x1 - t, r->x0), r->y0, r->x1, r->y1}, col);
}

/* ------------------------------------------------------------------ text ---------------------- */

/* The next character of a text, '?' for anything but ASCII; 0 at the end. */
static unsigned next_char(const char **text)
{
    unsigned ch = (unsigned char)**text;

    if (!ch)
        return 0;
    (*text)++;
    if (ch < 0x80)
        return ch;
    while (((unsigned char)**text & 0xc0) == 0x80) /* the rest of a UTF-8 sequence */
        (*text)++;
    return '?';
}

size_t qd_draw_text_cells(const char *text)
{
    size_t n = 0;

    while (next_char(&text))
        n++;
    return n;
}

static void draw_glyph(
    struct qd_image *img, long x, long y, int scale, unsigned ch, struct qd_colour col)
{
    const uint8_t *rows = qd_font_glyph(ch);

    for (int r = 0; r < QD_GLYPH_H; r++)
        for (int c = 0; c < QD_GLYPH_W; c++)
            if (rows[r] >> (QD_GLYPH_W - 1 - c) & 1) {
                long px = x + c * scale, py = y + r * scale;
                qd_draw_fill(img, &(struct qd_rect){px, py, px + scale - 1, py + scale - 1}, col);
            }
}

void qd_draw_text(
    struct qd_image *img, long x, long y, int scale, const char *text, struct qd_colour col)
{
    for (unsigned ch; (ch = next_char(&text)) && x < img->w; x += QD_GLYPH_W * scale)
        draw_glyph(img, x, y, scale, ch, col);
}

/* ------------------------------------------------------------------ detections ---------------- */

struct qd_colour qd_draw_class_colour(int class_id)
{
    double hue = fmod(.08 + fmax(class_id, 0) * .6180339887498949, 1) * 6;
    /* after 13 classes the hues come close to earlier ones: those are paler */
    int pale = (QD_MAX(class_id, 0) / 13) % 3;
    double value = 235 - 20 * pale, low = 30 + 50 * pale;
    double up = low + (value - low) * (hue - floor(hue)), down = value + low - up;
    uint8_t v = (uint8_t)value, p = (uint8_t)low, u = (uint8_t)up, d = (uint8_t)down;
    const struct qd_colour six[] = {
        {v, u, p}, {d, v, p}, {p, v, u}, {p, d, v}, {u, p, v}, {v, p, d}};

    return six[(int)hue % 6];
}

/* The pixels of a box; false when it has none or a number is not finite. */
static bool box_rect(const struct qd_image *img, const struct qd_box *b, struct qd_rect *r)
{
    double side[4] = {((double)b->x - (double)b->w / 2) * img->w,
        ((double)b->y - (double)b->h / 2) * img->h, ((double)b->x + (double)b->w / 2) * img->w - 1,
        ((double)b->y + (double)b->h / 2) * img->h - 1};

    for (int i = 0; i < 4; i++) {
        if (!isfinite(side[i]))
            return false;
        side[i] = floor(fmin(fmax(side[i], -FAR), FAR) + .5);
    }
    *r = (struct qd_rect){(long)side[0], (long)side[1], (long)side[2], (long)side[3]};
    return r->x0 <= r->x1 && r->y0 <= r->y1;
}

static int line_width(const struct qd_image *img)
{
    return QD_MAX((img->w + img->h + 250) / 500, 1);
}

/* The text of a detection above its box, or inside where there is no room; moved to stay in view.
 */
static void draw_label(
    struct qd_image *img, const struct qd_rect *box, const struct qd_det *det, const char *name)
{
    struct qd_colour col = qd_draw_class_colour(det->class_id), ink = {255, 255, 255};
    int scale = QD_MAX((img->w + img->h) / 1200, 1), pad = scale * 2;
    char text[LABEL_MAX * 4 + 32], number[32];
    int percent = (int)(fmin(fmax((double)det->score, 0), 1) * 100 + .5);

    snprintf(number, sizeof(number), "class %d", det->class_id);
    snprintf(text, sizeof(text), "%.*s %d%%", LABEL_MAX * 4, name ? name : number, percent);
    long w = (long)qd_draw_text_cells(text) * QD_GLYPH_W * scale + 2 * pad - scale;
    long h = QD_GLYPH_H * scale + pad;
    long x = QD_MAX(QD_MIN(box->x0, img->w - w), 0), y = box->y0 - h;
    if (y < 0)
        y = QD_MAX(QD_MIN(box->y0, img->h - h), 0);
    qd_draw_fill(img, &(struct qd_rect){x, y, x + w - 1, y + h - 1}, col);
    if (qd_luma(col.r, col.g, col.b) > 125)
        ink = (struct qd_colour){0, 0, 0};
    qd_draw_text(img, x + pad, y + pad / 2, scale, text, ink);
}

void qd_draw_dets(struct qd_image *img, const struct qd_dets *d, const struct qd_names *names)
{
    struct qd_rect r;

    /* the best ones last, so that they lie on top, and all labels above all boxes */
    for (size_t i = d->n; i-- > 0;)
        if (box_rect(img, &d->det[i].box, &r))
            qd_draw_frame(img, &r, line_width(img), qd_draw_class_colour(d->det[i].class_id));
    for (size_t i = d->n; i-- > 0;)
        if (box_rect(img, &d->det[i].box, &r))
            draw_label(img, &r, &d->det[i], names ? qd_names_get(names, d->det[i].class_id) : NULL);
}
