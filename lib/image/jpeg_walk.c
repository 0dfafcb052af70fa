/* SPDX-License-Identifier: MIT */
/*
 * The marker structure of a JPEG file (ITU-T T.81, annex B), without decoding anything: where the
 * image ends, which a stream needs, and how large it is.  Segments are skipped by their length, so
 * that a thumbnail inside an EXIF segment, with its own end marker, is not taken for the end.
 */
#include "base/error.h"
#include "image/image.h"

enum { SOI = 0xd8, EOI = 0xd9, SOS = 0xda, TEM = 0x01, RST0 = 0xd0, RST7 = 0xd7 };

/* Position of the next marker in entropy-coded data (of its 0xff byte), or the position from which
 * to go on with more bytes.  Stuffed zeros and restart markers belong to the data. */
static size_t skip_scan(const uint8_t *d, size_t len, size_t at, bool *found)
{
    *found = false;
    while (at + 1 < len) {
        const uint8_t *p = memchr(d + at, 0xff, len - 1 - at);
        if (!p)
            return len - 1;
        at = (size_t)(p - d);
        uint8_t m = p[1];
        if (m == 0xff) {
            at++;
        } else if (m == 0 || (m >= RST0 && m <= RST7)) {
            at += 2;
        } else {
            *found = true;
            return at;
        }
    }
    return at;
}

/* One step from marker to marker.  1: went on (*marker is what was passed; its segment begins at
 * *body), 0: more bytes are needed, -1: no marker. */
static int step(const uint8_t *d, size_t len, struct qd_jpeg_pos *p, uint8_t *marker, size_t *body)
{
    if (p->scan) {
        bool found;
        p->pos = skip_scan(d, len, p->pos, &found);
        if (!found)
            return 0;
        p->scan = false;
    }
    size_t at = p->pos;
    if (at >= len)
        return 0;
    if (d[at] != 0xff)
        return -1;
    while (at < len && d[at] == 0xff) /* any number of fill bytes may come first */
        at++;
    if (at >= len) {
        p->pos = at - 1;
        return 0;
    }
    uint8_t m = d[at++];
    *marker = m;
    *body = at;
    if (m == SOI || m == EOI || m == TEM || (m >= RST0 && m <= RST7)) {
        p->pos = at;
        return 1;
    }
    if (m == 0)
        return -1;
    if (len - at < 2)
        return 0;
    size_t n = (size_t)d[at] << 8 | d[at + 1];
    if (n < 2)
        return -1;
    if (len - at < n)
        return 0;
    p->pos = at + n;
    p->scan = m == SOS;
    return 1;
}

int qd_jpeg_walk(const uint8_t *data, size_t len, struct qd_jpeg_pos *p)
{
    uint8_t marker = 0;
    size_t body;

    while (marker != EOI) {
        bool first = p->pos == 0 && !p->scan;
        int got = step(data, len, p, &marker, &body);
        if (got <= 0)
            return got;
        if (first != (marker == SOI)) /* exactly one, at the beginning */
            return -1;
    }
    return 1;
}

int qd_jpeg_header(const struct qd_image_src *src, struct qd_image_dims *dims, struct qd_error *err)
{
    struct qd_jpeg_pos p = {0};
    uint8_t marker = 0;
    size_t body = 0;

    for (;;) {
        int got = step(src->data, src->len, &p, &marker, &body);
        if (got == 0)
            return 0;
        if (got < 0 || marker == EOI || marker == SOS)
            return qd_error_at(err, QD_EFORMAT, src->name, 0,
                "damaged JPEG: offset %zu: no frame header before this", p.pos);
        /* SOF0 to SOF15; the other three of the range are tables */
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc)
            break;
    }
    const uint8_t *d = src->data + body;
    if (p.pos - body < 8)
        return qd_error_at(
            err, QD_EFORMAT, src->name, 0, "damaged JPEG: offset %zu: short frame header", body);
    int h = d[3] << 8 | d[4], w = d[5] << 8 | d[6];
    if (qd_image_check_size(src->name, (uint64_t)w, (uint64_t)h, err) < 0)
        return -1;
    *dims = (struct qd_image_dims){w, h, d[7] == 1 ? 1 : 3};
    return 1;
}
