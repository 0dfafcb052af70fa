/* SPDX-License-Identifier: MIT */
/*
 * What the image codecs share.  A codec is one file with one struct qd_codec and one line in the
 * table of image.c; it sees bytes in memory and never a file.
 */
#ifndef QD_IMAGE_H
#define QD_IMAGE_H

#include "base/buf.h"

#define QD_IMAGE_SIDE_MAX 65535
#define QD_IMAGE_PIXELS_MAX ((size_t)1 << 28)
#define QD_IMAGE_FRAME_MAX ((size_t)256 << 20) /* bytes of one encoded frame of a stream */

/* An encoded image in memory; 'name' stands for the file in messages. */
struct qd_image_src {
    const uint8_t *data;
    size_t len;
    const char *name;
};

struct qd_image_dims {
    int w, h, c;
};

struct qd_codec {
    const char *name;
    struct {
        const char *text; /* without the dot, lower case */
        int channels;     /* what a file with this suffix must hold, 0: either */
    } suffix[4];
    /* Whether the bytes begin like a file of this kind. */
    bool (*probe)(const uint8_t *data, size_t len);
    /* The size as decode gives it without options: 1 found, 0 more bytes are needed, -1 with
     * 'err' set.  Reads the header only. */
    int (*header)(const struct qd_image_src *src, struct qd_image_dims *dims, struct qd_error *err);
    /* An image with 1 or 3 channels, as opts->channels says only where that saves work: the caller
     * converts.  'opts' is not NULL. */
    struct qd_image *(*decode)(
        const struct qd_image_src *src, const struct qd_image_opts *opts, struct qd_error *err);
    /* Append the encoded image to 'out'. */
    int (*encode)(const struct qd_image *img, struct qd_buf *out, struct qd_error *err);
};

extern const struct qd_codec qd_codec_png, qd_codec_jpeg, qd_codec_pnm;

/* 0, or -1 with a message about 'name' when a side is 0 or the image is above the limits. */
int qd_image_check_size(
    const char *name, uint64_t w, uint64_t h, struct qd_error *err) QD_MUSTCHECK;
/* Like qd_image_new, with the pixels left undefined. */
struct qd_image *qd_image_new_raw(int w, int h, int c, struct qd_error *err) QD_MUSTCHECK;
/* 'img' with c channels (1 or 3): itself when it has them, otherwise a new image in its place.
 * Gray is luminance (.299 R + .587 G + .114 B, ITU-R BT.601).  On failure NULL, and 'img' is freed;
 * NULL gives NULL. */
struct qd_image *qd_image_convert(struct qd_image *img, int c, struct qd_error *err) QD_MUSTCHECK;
/* The w x h pixels at (x, y); x and y may be negative and the rectangle may reach beyond the image:
 * outside pixels repeat the nearest edge pixel. */
struct qd_image *qd_image_crop(
    const struct qd_image *img, int x, int y, int w, int h, struct qd_error *err) QD_MUSTCHECK;

static inline uint8_t qd_luma(unsigned r, unsigned g, unsigned b)
{
    return (uint8_t)((299 * r + 587 * g + 114 * b + 500) / 1000);
}

/* The header of one PNM image. */
struct qd_pnm {
    int kind; /* the digit after 'P', 1..6 */
    int w, h, c;
    int maxval;    /* 1 for bitmaps */
    size_t offset; /* of the first sample */
    size_t bytes;  /* of all samples; for the text kinds the least that they can take */
};
/* 1 parsed, 0 more bytes are needed, -1 with 'err' set. */
int qd_pnm_header(
    const struct qd_image_src *src, struct qd_pnm *pnm, struct qd_error *err) QD_MUSTCHECK;

/*
 * Where a JPEG image ends.  Zero-initialise; data[0] is its first byte (SOI).  qd_jpeg_walk goes on
 * where it stopped when it is called again with more bytes behind the same ones: 1 when pos is
 * just behind EOI, 0 when more bytes are needed, -1 when the bytes at pos are no marker.
 */
struct qd_jpeg_pos {
    size_t pos;
    bool scan; /* pos is inside entropy-coded data */
};
int qd_jpeg_walk(const uint8_t *data, size_t len, struct qd_jpeg_pos *p) QD_MUSTCHECK;
/* The header function of the JPEG codec. */
int qd_jpeg_header(
    const struct qd_image_src *src, struct qd_image_dims *dims, struct qd_error *err) QD_MUSTCHECK;

#endif
