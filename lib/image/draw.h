/* SPDX-License-Identifier: MIT */
#ifndef QD_DRAW_H
#define QD_DRAW_H

#include "base/base.h"

struct qd_colour {
    uint8_t r, g, b;
};

/* Pixels from (x0, y0) to (x1, y1), both included.  Any values: what lies outside is not drawn. */
struct qd_rect {
    long x0, y0, x1, y1;
};

/* The colour of a class: the hue goes round by the golden ratio, so that neighbours differ. */
struct qd_colour qd_draw_class_colour(int class_id);
/* On a gray image a colour becomes its luminance. */
void qd_draw_fill(struct qd_image *img, const struct qd_rect *r, struct qd_colour col);
/* A frame of 'width' pixels inside of r. */
void qd_draw_frame(struct qd_image *img, const struct qd_rect *r, int width, struct qd_colour col);
/* Text with its cell's top left corner at (x, y), each font pixel 'scale' pixels wide.  UTF-8
 * beyond ASCII becomes one '?' a character. */
void qd_draw_text(
    struct qd_image *img, long x, long y, int scale, const char *text, struct qd_colour col);
/* Characters that qd_draw_text draws for it. */
size_t qd_draw_text_cells(const char *text);

#endif
