/* SPDX-License-Identifier: MIT */
#ifndef QD_FONT_H
#define QD_FONT_H

#include "base/base.h"

/* A character cell; the baseline lies under row 9. */
#define QD_GLYPH_W 8
#define QD_GLYPH_H 13

/* The QD_GLYPH_H rows of a character, the leftmost pixel in the highest bit; '?' for what is not
 * printable ASCII. */
const uint8_t *qd_font_glyph(unsigned ch);

#endif
