/* SPDX-License-Identifier: MIT */
/*
 * The portable anymaps P1 to P6: a header of words, then samples as text or as bytes.  The formats
 * are those of the netpbm manual: comments run from '#' to the end of the line, bitmaps have 1 for
 * black, samples above 255 take two bytes, the high one first.
 */
#include "base/error.h"
#include "image/image.h"

static bool blank(int ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

static bool digit(int ch)
{
    return ch >= '0' && ch <= '9';
}

static bool pnm_probe(const uint8_t *data, size_t len)
{
    return len >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' &&
           (blank(data[2]) || data[2] == '#');
}

/* Position of the next byte that is neither blank nor in a comment, or len. */
static size_t skip_blanks(const uint8_t *d, size_t len, size_t at)
{
    while (at < len && (blank(d[at]) || d[at] == '#')) {
        if (d[at] == '#')
            while (at < len && d[at] != '\n' && d[at] != '\r')
                at++;
        else
            at++;
    }
    return at;
}

/* The next decimal number, at most 99999, so that later arithmetic is safe.  1 found (*at is just
 * behind it), 0 the bytes end before it ends, -1 there is none or it is larger. */
static int number(const uint8_t *d, size_t len, size_t *at, int *out)
{
    size_t i = skip_blanks(d, len, *at);
    int v = 0;

    if (i >= len)
        return 0;
    *at = i; /* where a message points to */
    if (!digit(d[i]))
        return -1;
    for (; i < len && digit(d[i]); i++) {
        v = v * 10 + (d[i] - '0');
        if (v > 99999)
            return -1;
    }
    if (i >= len)
        return 0;
    *at = i;
    *out = v;
    return 1;
}

int qd_pnm_header(const struct qd_image_src *src, struct qd_pnm *pnm, struct qd_error *err)
{
    static const char *const what[] = {"width", "height", "largest value"};
    int v[3] = {0, 0, 1};
    size_t at = 2;

    *pnm = (struct qd_pnm){.kind = src->data[1] - '0'};
    bool bitmap = pnm->kind == 1 || pnm->kind == 4, text = pnm->kind <= 3;
    for (int i = 0; i < (bitmap ? 2 : 3); i++) {
        int got = number(src->data, src->len, &at, &v[i]);
        if (got < 0)
            return qd_error_at(err, QD_EFORMAT, src->name, 0,
                "offset %zu: no valid %s in the header", at, what[i]);
        if (got == 0)
            return 0;
    }
    if (!blank(src->data[at]))
        return qd_error_at(
            err, QD_EFORMAT, src->name, 0, "offset %zu: no blank after the header", at);
    if (v[2] < 1 || v[2] > 65535)
        return qd_error_at(err, QD_EFORMAT, src->name, 0,
            "largest value is %d in the header, not 1 to 65535", v[2]);
    if (qd_image_check_size(src->name, (uint64_t)v[0], (uint64_t)v[1], err) < 0)
        return -1;
    pnm->w = v[0];
    pnm->h = v[1];
    pnm->maxval = v[2];
    pnm->c = pnm->kind == 3 || pnm->kind == 6 ? 3 : 1;
    pnm->offset = at + 1;
    size_t samples = (size_t)pnm->w * (size_t)pnm->h * (size_t)pnm->c;
    if (pnm->kind == 4)
        pnm->bytes = ((size_t)pnm->w + 7) / 8 * (size_t)pnm->h;
    else if (text)
        pnm->bytes = pnm->kind == 1 ? samples : samples * 2 - 1;
    else
        pnm->bytes = samples * (pnm->maxval > 255 ? 2 : 1);
    return 1;
}

static int pnm_header(
    const struct qd_image_src *src, struct qd_image_dims *dims, struct qd_error *err)
{
    struct qd_pnm pnm;
    int got = qd_pnm_header(src, &pnm, err);

    if (got > 0)
        *dims = (struct qd_image_dims){pnm.w, pnm.h, pnm.c};
    return got;
}

static uint8_t scale(unsigned v, unsigned maxval)
{
    return (uint8_t)((v * 255 + maxval / 2) / maxval);
}

static int too_large(const struct qd_image_src *src, const struct qd_pnm *pnm, size_t at,
    unsigned v, struct qd_error *err)
{
    return qd_error_at(err, QD_EFORMAT, src->name, 0,
        "offset %zu: sample is %u, but the header says at most %d", at, v, pnm->maxval);
}

static int read_text(const struct qd_image_src *src, const struct qd_pnm *pnm, struct qd_image *img,
    struct qd_error *err)
{
    size_t n = (size_t)pnm->w * (size_t)pnm->h * (size_t)pnm->c, at = pnm->offset;
    const uint8_t *d = src->data;

    for (size_t i = 0; i < n; i++) {
        unsigned v = 0;
        at = skip_blanks(d, src->len, at);
        if (at >= src->len)
            return qd_error_at(
                err, QD_EFORMAT, src->name, 0, "file ends after %zu of %zu samples", i, n);
        if (!digit(d[at]))
            return qd_error_at(err, QD_EFORMAT, src->name, 0, "offset %zu: no number", at);
        if (pnm->kind == 1) { /* the digits of a bitmap need no blanks between them */
            if (d[at] > '1')
                return too_large(src, pnm, at, (unsigned)(d[at] - '0'), err);
            img->data[i] = d[at++] == '1' ? 0 : 255;
            continue;
        }
        for (; at < src->len && digit(d[at]) && v <= 65535; at++)
            v = v * 10 + (unsigned)(d[at] - '0');
        if (v > (unsigned)pnm->maxval)
            return too_large(src, pnm, at, v, err);
        img->data[i] = scale(v, (unsigned)pnm->maxval);
    }
    return 0;
}

static void read_bits(const uint8_t *p, struct qd_image *img)
{
    size_t stride = ((size_t)img->w + 7) / 8, w = (size_t)img->w;

    for (size_t y = 0; y < (size_t)img->h; y++)
        for (size_t x = 0; x < w; x++)
            img->data[y * w + x] = p[y * stride + x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
}

static int read_bytes(const struct qd_image_src *src, const struct qd_pnm *pnm,
    struct qd_image *img, struct qd_error *err)
{
    const uint8_t *p = src->data + pnm->offset;
    unsigned maxval = (unsigned)pnm->maxval;
    size_t wide = maxval > 255 ? 2 : 1, n = pnm->bytes / wide;

    if (maxval == 255) {
        memcpy(img->data, p, n);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned v = wide == 2 ? (unsigned)p[2 * i] << 8 | p[2 * i + 1] : p[i];
        if (v > maxval)
            return too_large(src, pnm, pnm->offset + i * wide, v, err);
        img->data[i] = scale(v, maxval);
    }
    return 0;
}

static struct qd_image *pnm_decode(
    const struct qd_image_src *src, const struct qd_image_opts *opts, struct qd_error *err)
{
    struct qd_pnm pnm;
    int got = qd_pnm_header(src, &pnm, err);

    (void)opts;
    if (got < 0)
        return NULL;
    if (got == 0) {
        qd_error_at(err, QD_EFORMAT, src->name, 0, "file ends inside the header");
        return NULL;
    }
    if (pnm.bytes > src->len - pnm.offset) { /* before anything is allocated */
        qd_error_at(err, QD_EFORMAT, src->name, 0,
            "file ends too early: %zu bytes for the samples of %dx%d pixels, at least %zu needed",
            src->len - pnm.offset, pnm.w, pnm.h, pnm.bytes);
        return NULL;
    }
    struct qd_image *img = qd_image_new_raw(pnm.w, pnm.h, pnm.c, err);
    if (!img)
        return NULL;
    int ret = 0;
    if (pnm.kind <= 3)
        ret = read_text(src, &pnm, img, err);
    else if (pnm.kind == 4)
        read_bits(src->data + pnm.offset, img);
    else
        ret = read_bytes(src, &pnm, img, err);
    if (ret == 0)
        return img;
    qd_image_free(img);
    return NULL;
}

static int pnm_encode(const struct qd_image *img, struct qd_buf *out, struct qd_error *err)
{
    qd_buf_printf(out, "P%d\n%d %d\n255\n", img->c == 1 ? 5 : 6, img->w, img->h);
    qd_buf_add(out, img->data, (size_t)img->w * (size_t)img->h * (size_t)img->c);
    return qd_buf_ok(out, err);
}

const struct qd_codec qd_codec_pnm = {
    .name = "PNM",
    .suffix = {{"ppm", 3}, {"pgm", 1}, {"pnm", 0}},
    .probe = pnm_probe,
    .header = pnm_header,
    .decode = pnm_decode,
    .encode = pnm_encode,
};
