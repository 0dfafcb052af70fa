/* SPDX-License-Identifier: MIT */
/*
 * Images one after the other on a pipe.  Bytes are collected until one whole frame is there: a
 * PNM header tells its length, a JPEG is followed from marker to marker to its end.  Then the frame
 * is decoded like a file.  The buffer holds one frame at most, and grows only as bytes arrive.
 */
#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "image/image.h"

#define READ_SIZE ((size_t)256 << 10) /* a pipe holds 64 KiB on Linux, files may give more */

enum kind { KIND_UNKNOWN, KIND_PNM, KIND_JPEG };

struct qd_stream {
    int fd;
    enum kind kind;
    bool eof, broken; /* broken: the beginning of the next frame cannot be found */
    long frame;       /* the one being read, from 1 */
    char *name;       /* of the stream */
    char *place;      /* "name: frame N", for messages */
    size_t place_size;
    uint8_t *data; /* the frame begins at data[start]; bytes up to data[end] are there */
    size_t start, end, cap;
};

struct qd_stream *qd_stream_open(int fd, const char *name, struct qd_error *err)
{
    size_t n = strlen(name) + 1;
    struct qd_stream *s = qd_alloc(1, sizeof(*s), err);

    if (!s)
        return NULL;
    s->fd = fd;
    s->place_size = n + 40;
    s->name = qd_alloc(n, 1, err);
    s->place = qd_alloc(s->place_size, 1, err);
    if (!s->name || !s->place) {
        qd_stream_close(s);
        return NULL;
    }
    memcpy(s->name, name, n);
    return s;
}

void qd_stream_close(struct qd_stream *s)
{
    if (!s)
        return;
    qd_free(s->data);
    qd_free(s->name);
    qd_free(s->place);
    qd_free(s);
}

bool qd_stream_is_jpeg(const struct qd_stream *s)
{
    return s->kind == KIND_JPEG;
}

/* ------------------------------------------------------------------ reading ------------------- */

/* Make room for READ_SIZE more bytes: move the frame to the front, or double the buffer. */
static int make_room(struct qd_stream *s, struct qd_error *err)
{
    size_t have = s->end - s->start;

    if (s->cap - s->end >= READ_SIZE)
        return 0;
    if (s->start > 0 && s->cap - have >= READ_SIZE && have <= s->cap / 2) {
        memmove(s->data, s->data + s->start, have);
    } else {
        size_t cap = QD_MAX(s->cap * 2, 4 * READ_SIZE);
        uint8_t *p = qd_alloc_raw(cap, 1, err);
        if (!p)
            return -1;
        if (have)
            memcpy(p, s->data + s->start, have);
        qd_free(s->data);
        s->data = p;
        s->cap = cap;
    }
    s->start = 0;
    s->end = have;
    return 0;
}

/* Read some more bytes: 1 done, 0 there are none (and s->eof is set), -1 with 'err' set. */
static int more(struct qd_stream *s, struct qd_error *err)
{
    ssize_t n = 0;

    if (s->eof)
        return 0;
    if (s->end - s->start > QD_IMAGE_FRAME_MAX)
        return qd_error_at(
            err, QD_EUNSUP, s->place, 0, "image takes more than %zu bytes", QD_IMAGE_FRAME_MAX);
    if (make_room(s, err) < 0)
        return -1;
    do
        n = read(s->fd, s->data + s->end, s->cap - s->end);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return qd_error_set(err, QD_EIO, "cannot read '%s': %s", s->name, strerror(errno));
    s->eof = n == 0;
    s->end += (size_t)n;
    return n > 0;
}

/* Skip what may lie between two images: blanks after a PNM, zero bytes after a JPEG (cameras pad
 * their frames).  1: a byte of the next frame is there, 0: the stream ends, -1. */
static int skip_padding(struct qd_stream *s, struct qd_error *err)
{
    for (;;) {
        for (; s->start < s->end; s->start++) {
            uint8_t b = s->data[s->start];
            bool blank = b == ' ' || (b >= '\t' && b <= '\r');
            if (s->frame == 1 || !(s->kind == KIND_JPEG ? b == 0 : blank))
                return 1;
        }
        int got = more(s, err);
        if (got <= 0)
            return got;
    }
}

static int need(struct qd_stream *s, size_t bytes, struct qd_error *err)
{
    while (s->end - s->start < bytes) {
        int got = more(s, err);
        if (got <= 0)
            return got;
    }
    return 1;
}

static int truncated(const struct qd_stream *s, struct qd_error *err)
{
    return qd_error_at(err, QD_EFORMAT, s->place, 0,
        "stream ends inside the image, after %zu bytes of it", s->end - s->start);
}

/* The bytes of the PNM image at s->start; -1 with 'err' set. */
static int find_pnm(struct qd_stream *s, size_t *len, struct qd_error *err)
{
    struct qd_pnm pnm;
    size_t tried = 0;
    int got = 0;

    while (got == 0) {
        size_t have = s->end - s->start;
        if (have >= READ_SIZE && tried)
            return qd_error_at(err, QD_EFORMAT, s->place, 0, "header does not end");
        if (tried && (got = more(s, err)) <= 0)
            return got < 0 ? -1 : truncated(s, err);
        const struct qd_image_src src = {s->data + s->start, s->end - s->start, s->place};
        got = qd_pnm_header(&src, &pnm, err);
        tried = src.len;
    }
    if (got < 0)
        return -1;
    *len = pnm.offset + pnm.bytes;
    if (*len > QD_IMAGE_FRAME_MAX)
        return qd_error_at(
            err, QD_EUNSUP, s->place, 0, "image takes more than %zu bytes", QD_IMAGE_FRAME_MAX);
    got = need(s, *len, err);
    return got > 0 ? 0 : got < 0 ? -1 : truncated(s, err);
}

static int find_jpeg(struct qd_stream *s, size_t *len, struct qd_error *err)
{
    struct qd_jpeg_pos p = {0};

    for (;;) {
        int got = qd_jpeg_walk(s->data + s->start, s->end - s->start, &p);
        if (got < 0)
            return qd_error_at(err, QD_EFORMAT, s->place, 0,
                "damaged JPEG: no marker %zu bytes after the beginning", p.pos);
        if (got > 0) {
            *len = p.pos;
            return 0;
        }
        got = more(s, err);
        if (got <= 0)
            return got < 0 ? -1 : truncated(s, err);
    }
}

/* Whether a frame of the stream's kind begins here.  The first frame decides the kind. */
static int check_kind(struct qd_stream *s, struct qd_error *err)
{
    int got = need(s, 3, err);
    const uint8_t *d = s->data + s->start;
    enum kind kind = KIND_UNKNOWN;

    if (got < 0)
        return -1;
    if (got > 0 && (d[0] == 'P' && (d[1] == '5' || d[1] == '6')) && qd_codec_pnm.probe(d, 3))
        kind = KIND_PNM;
    else if (got > 0 && qd_codec_jpeg.probe(d, 3))
        kind = KIND_JPEG;
    if (s->kind == KIND_UNKNOWN)
        s->kind = kind;
    if (kind != KIND_UNKNOWN && s->kind == kind)
        return 0;
    if (s->kind == KIND_UNKNOWN)
        return qd_error_at(err, QD_EFORMAT, s->name, 0, "not a stream of PPM or JPEG images");
    return qd_error_at(err, QD_EFORMAT, s->place, 0, "no %s image begins here",
        s->kind == KIND_PNM ? "PPM" : "JPEG");
}

int qd_stream_next(struct qd_stream *s, const struct qd_image_opts *opts, struct qd_image **img,
    struct qd_error *err)
{
    size_t len = 0;

    *img = NULL;
    if (s->broken)
        return qd_error_at(err, QD_EFORMAT, s->place, 0, "the stream cannot be read any further");
    s->frame++;
    snprintf(s->place, s->place_size, "%s: frame %ld", s->name, s->frame);
    s->broken = true; /* until the end of the frame is known */
    int got = skip_padding(s, err);
    if (got == 0) {
        s->broken = false;
        s->frame--; /* asked again, it is still the end */
    }
    if (got <= 0)
        return got;
    if (check_kind(s, err) < 0)
        return -1;
    got = s->kind == KIND_PNM ? find_pnm(s, &len, err) : find_jpeg(s, &len, err);
    if (got < 0)
        return -1;
    s->broken = false;
    *img = qd_image_decode(s->data + s->start, len, s->place, opts, err);
    s->start += len;
    return *img ? 1 : -1;
}

/* ------------------------------------------------------------------ writing ------------------- */

static int write_all(int fd, const void *data, size_t len, struct qd_error *err)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return qd_error_set(err, QD_EIO, "cannot write an image: %s", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int qd_stream_write(int fd, const struct qd_image *img, bool jpeg, struct qd_error *err)
{
    struct qd_buf b = {0};
    int ret = (jpeg ? &qd_codec_jpeg : &qd_codec_pnm)->encode(img, &b, err);

    if (ret == 0)
        ret = write_all(fd, b.data, b.len, err);
    qd_buf_free(&b);
    return ret;
}
