/* SPDX-License-Identifier: MIT */
/*
 * Image files and image streams.  The bytes are decoded as a file, with options that a checksum of
 * them chooses, and read as a stream from a pipe; what comes out is resized and drawn into.
 */
#include <fcntl.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "image/image.h"
#include "image/resize.h"

#define PIPE_SIZE 65536 /* what a pipe holds on Linux: written before anybody reads */

static unsigned checksum(const uint8_t *data, size_t size)
{
    unsigned sum = 1;

    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + data[i];
    return sum >> 8;
}

static void use(struct qd_image *img)
{
    float buf[16 * 16 * 4];
    struct qd_pixels to = {buf, 16, 16, 3, 4, 64};
    struct qd_det det = {{.5f, .5f, .9f, .9f}, 3, .5f};

    QD_ASSERT(img->w >= 1 && img->h >= 1 && (img->c == 1 || img->c == 3));
    if (qd_letterbox_into(img, QD_RESAMPLE_DARKNET, &to, NULL) == 0)
        for (int i = 0; i < 16 * 16 * 4; i++)
            QD_ASSERT(i % 4 == 3 || (buf[i] >= 0 && buf[i] <= 1));
    qd_draw_dets(img, &(struct qd_dets){&det, 1}, NULL);
    qd_image_free(img);
}

static void as_file(const uint8_t *data, size_t size, const struct qd_image_opts *opts)
{
    struct qd_error err = {0};
    struct qd_image *img = qd_image_decode(data, size, "fuzz", opts, &err);

    QD_ASSERT(!img == (err.code != QD_OK));
    if (img)
        use(img);
}

static void as_stream(const uint8_t *data, size_t size, const struct qd_image_opts *opts)
{
    int fd[2];

    if (size > PIPE_SIZE || pipe(fd) < 0)
        return;
    fcntl(fd[1], F_SETFL, O_NONBLOCK); /* a smaller pipe cuts the input, no more */
    ssize_t n = write(fd[1], data, size);
    close(fd[1]);
    struct qd_stream *s = n >= 0 ? qd_stream_open(fd[0], "fuzz", NULL) : NULL;
    struct qd_image *img;
    /* every call takes at least three bytes, or is the last */
    for (size_t i = 0; s && i <= size; i++) {
        struct qd_error err = {0};
        int got = qd_stream_next(s, opts, &img, &err);
        QD_ASSERT((got < 0) == (err.code != QD_OK) && (got > 0) == (img != NULL));
        if (img)
            use(img);
        if (got == 0 || err.code == QD_EIO)
            break;
    }
    qd_stream_close(s);
    close(fd[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned pick = checksum(data, size);
    struct qd_image_opts opts = {.channels = (pick & 3) == 1   ? 1
                                             : (pick & 3) == 2 ? 3
                                                               : 0,
        .exif = pick & 4,
        .min_w = pick & 8 ? 8 : 0,
        .min_h = pick & 8 ? 8 : 0};

    as_file(data, size, &opts);
    as_stream(data, size, &opts);
    return 0;
}
