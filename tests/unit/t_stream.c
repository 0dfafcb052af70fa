/* SPDX-License-Identifier: MIT */
/* Streams of PPM and JPEG images through real pipes, in small and in large pieces. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "base/buf.h"
#include "image/image.h"

static struct qd_image *noise(int w, int h, int c)
{
    struct qd_image *img = qd_image_new(w, h, c, NULL);

    for (int i = 0; img && i < w * h * c; i++)
        img->data[i] = (uint8_t)tap_rand();
    return img;
}

static bool same(const struct qd_image *a, const struct qd_image *b)
{
    return a && b && a->w == b->w && a->h == b->h && a->c == b->c &&
           memcmp(a->data, b->data, (size_t)a->w * (size_t)a->h * (size_t)a->c) == 0;
}

/* A child that writes the bytes, 'piece' at a time (0: all at once); returns the reading end. */
static int feed(const void *data, size_t len, size_t piece, pid_t *pid)
{
    int fd[2];
    const char *p = data;

    if (pipe(fd) < 0)
        return -1;
    fflush(stdout);
    *pid = fork();
    if (*pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        close(fd[0]);
        while (len > 0) {
            ssize_t n = write(fd[1], p, piece && piece < len ? piece : len);
            if (n < 0)
                _exit(1);
            p += n;
            len -= (size_t)n;
        }
        _exit(0);
    }
    close(fd[1]);
    return fd[0];
}

static void finish(int fd, pid_t pid)
{
    close(fd);
    waitpid(pid, NULL, 0);
}

/* The images of a stream, until it ends (returns 0) or fails (-1). */
static int read_all(const void *data, size_t len, size_t piece, struct qd_image **imgs, int *n,
    struct qd_error *err)
{
    pid_t pid;
    int fd = feed(data, len, piece, &pid), max = *n, got = -1;
    struct qd_stream *s = qd_stream_open(fd, "in", err);

    *n = 0;
    while (s && *n < max && (got = qd_stream_next(s, NULL, &imgs[*n], err)) > 0)
        ++*n;
    if (s && got == 0) /* the end stays the end */
        got = qd_stream_next(s, NULL, &imgs[max - 1], err);
    qd_stream_close(s);
    finish(fd, pid);
    return got;
}

static void free_all(struct qd_image **imgs, int n)
{
    for (int i = 0; i < n; i++) {
        qd_image_free(imgs[i]);
        imgs[i] = NULL;
    }
}

static void round_trip(bool jpeg, size_t piece)
{
    static const int sizes[][3] = {{40, 30, 3}, {7, 5, 1}, {1, 1, 3}, {500, 400, 3}, {64, 2, 1}};
    enum { N = 5 };
    struct qd_image *in[N], *out[N + 1] = {NULL};
    struct qd_buf b = {0};
    struct qd_error err = {0};
    int n = N + 1, wrong = 0;

    for (int i = 0; i < N; i++) {
        in[i] = noise(sizes[i][0], sizes[i][1], sizes[i][2]);
        OK((jpeg ? &qd_codec_jpeg : &qd_codec_pnm)->encode(in[i], &b, &err) == 0, "encode");
    }
    OK(read_all(b.data, b.len, piece, out, &n, &err) == 0 && n == N, "%d images, %s %s", n,
        jpeg ? "JPEG" : "PPM", err.msg);
    for (int i = 0; i < n && i < N; i++)
        wrong += jpeg ? out[i]->w != in[i]->w || out[i]->h != in[i]->h || out[i]->c != in[i]->c
                      : !same(out[i], in[i]);
    OK(wrong == 0, "pieces of %zu bytes", piece);
    free_all(out, n);
    free_all(in, N);
    qd_buf_free(&b);
}

/* Two images and a tail: what is between and behind them. */
static void tail(
    bool jpeg, const char *glue, size_t glue_len, const char *end, size_t end_len, const char *msg)
{
    struct qd_image *img = noise(20, 10, 3), *out[4] = {NULL};
    struct qd_buf b = {0};
    struct qd_error err = {0};
    int n = 4;

    for (int i = 0; i < 2; i++) {
        if (i)
            qd_buf_add(&b, glue, glue_len);
        if ((jpeg ? &qd_codec_jpeg : &qd_codec_pnm)->encode(img, &b, &err) < 0)
            OK(false, "encode");
    }
    qd_buf_add(&b, end, end_len);
    int got = read_all(b.data, b.len, 0, out, &n, &err);
    OK(n == 2 && got == (msg ? -1 : 0), "two images, then %s", msg ? "an error" : "the end");
    IS_STR(err.msg, msg ? msg : "", "message");
    free_all(out, n);
    qd_image_free(img);
    qd_buf_free(&b);
}
#define TAIL(jpeg, glue, end, msg) tail(jpeg, glue, sizeof(glue) - 1, end, sizeof(end) - 1, msg)

static void tails(void)
{
    TAIL(false, "", "", NULL);
    TAIL(false, "\n", "\n \n", NULL);
    TAIL(false, "", "garbage", "in: frame 3: no PPM image begins here");
    TAIL(false, "", "P", "in: frame 3: no PPM image begins here");
    TAIL(false, "", "P3 1 1 255 1 2 3", "in: frame 3: no PPM image begins here");
    TAIL(false, "", "\xff\xd8\xff\xd9", "in: frame 3: no PPM image begins here");
    TAIL(false, "", "P6 2 2", "in: frame 3: stream ends inside the image, after 6 bytes of it");
    TAIL(false, "", "P6 2 2 255 abc",
        "in: frame 3: stream ends inside the image, after 14 bytes of it");
    TAIL(false, "", "P6 16000 16000 255 abc", "in: frame 3: image takes more than 268435456 bytes");
    TAIL(false, "", "P6 70000 2 255 abc",
        "in: frame 3: image is too large: 70000x2 pixels, the "
        "limits are 65535 a side and 2^28 in all");
    TAIL(false, "", "P5 1 1 7 \x08",
        "in: frame 3: offset 9: sample is 8, but the header says at "
        "most 7");
    TAIL(true, "", "", NULL);
    TAIL(true, "\0\0\0", "\0", NULL);
    TAIL(true, "", "garbage", "in: frame 3: no JPEG image begins here");
    TAIL(true, "", "P6 1 1 255 abc", "in: frame 3: no JPEG image begins here");
    TAIL(
        true, "", "\xff\xd8\xff", "in: frame 3: stream ends inside the image, after 3 bytes of it");
    TAIL(true, "", "\xff\xd8\xff\xd8\xff\xd9",
        "in: frame 3: damaged JPEG: no marker 4 bytes after the beginning");
    TAIL(true, "", "\xff\xd8\xff\xe0\0\4ab\xff\xd9",
        "in: frame 3: damaged JPEG: JPEG datastream contains no image");
    TAIL(true, "", "\xff\xd8\xff\xe0\0\4ab#\xff\xd9",
        "in: frame 3: damaged JPEG: no marker 8 bytes after the beginning");
}

static void no_stream(void)
{
    struct qd_image *out[1] = {NULL};
    struct qd_error err = {0};
    int n = 1;

    OK(read_all("", 0, 0, out, &n, &err) == 0 && n == 0, "an empty stream ends");
    n = 1;
    OK(read_all("hello", 5, 0, out, &n, &err) == -1, "text");
    IS_STR(err.msg, "in: not a stream of PPM or JPEG images", "message");
    err = (struct qd_error){0};
    n = 1;
    OK(read_all("\x89PNG\r\n\x1a\n", 8, 0, out, &n, &err) == -1, "PNG: %s", err.msg);
    err = (struct qd_error){0};
    struct qd_stream *s = qd_stream_open(-1, "bad", &err);
    OK(s && qd_stream_next(s, NULL, out, &err) == -1, "bad descriptor");
    IS_STR(err.msg, "cannot read 'bad': Bad file descriptor", "message");
    err = (struct qd_error){0};
    OK(qd_stream_next(s, NULL, out, &err) == -1, "fails again");
    IS_STR(err.msg, "bad: frame 1: the stream cannot be read any further", "message");
    qd_stream_close(s);
    qd_stream_close(NULL);
}

/* A thumbnail with its own end marker, fill bytes, and 0xff bytes in the data. */
static void thumbnail(void)
{
    struct qd_image *img = noise(90, 70, 3), *out[4] = {NULL};
    struct qd_buf thumb = {0}, photo = {0}, b = {0};
    struct qd_error err = {0};
    uint8_t head[6] = {0xff, 0xff, 0xff, 0xe1};
    int n = 4;

    OK(qd_codec_jpeg.encode(img, &photo, &err) == 0 && photo.len < 60000, "encode");
    qd_buf_add(&thumb, photo.data, photo.len);
    head[4] = (uint8_t)((thumb.len + 2) >> 8);
    head[5] = (uint8_t)(thumb.len + 2);
    for (int i = 0; i < 3; i++) {
        qd_buf_add(&b, photo.data, 2);
        qd_buf_add(&b, head, 6);
        qd_buf_add(&b, thumb.data, thumb.len);
        qd_buf_add(&b, photo.data + 2, photo.len - 2);
    }
    OK(read_all(b.data, b.len, 1000, out, &n, &err) == 0 && n == 3 && same(out[0], out[2]),
        "thumbnails do not end an image %s", err.msg);
    free_all(out, n);
    qd_image_free(img);
    qd_buf_free(&thumb);
    qd_buf_free(&photo);
    qd_buf_free(&b);
}

/* A damaged image in the middle costs itself only. */
static void goes_on(void)
{
    static const char text[] = "P5 1 1 7 \1P5 1 1 7 \x8P5 1 1 7 \7";
    struct qd_image *img;
    struct qd_error err = {0};
    pid_t pid;
    int fd = feed(text, sizeof(text) - 1, 0, &pid);
    struct qd_stream *s = qd_stream_open(fd, "in", &err);

    OK(qd_stream_next(s, NULL, &img, &err) == 1 && img->data[0] == 36, "first");
    qd_image_free(img);
    OK(!qd_stream_is_jpeg(s), "PPM");
    OK(qd_stream_next(s, NULL, &img, &err) == -1 && !img, "second: %s", err.msg);
    err = (struct qd_error){0};
    OK(qd_stream_next(s, NULL, &img, &err) == 1 && img->data[0] == 255, "third");
    qd_image_free(img);
    OK(qd_stream_next(s, NULL, &img, &err) == 0, "end");
    qd_stream_close(s);
    finish(fd, pid);
}

/* Memory is bounded by what arrives, and many small images do not add up. */
static void long_stream(void)
{
    struct qd_image *img = noise(64, 64, 3), *got;
    struct qd_error err = {0};
    int fd[2], n = 0;

    if (!OK(pipe(fd) == 0, "pipe"))
        return;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        for (int i = 0; i < 2000; i++)
            if (qd_stream_write(fd[1], img, false, NULL) < 0)
                _exit(1);
        _exit(0);
    }
    close(fd[1]);
    struct qd_stream *s = qd_stream_open(fd[0], "in", &err);
    long before = 0;
    while (qd_stream_next(s, NULL, &got, &err) > 0) {
        if (++n == 1000)
            before = qd_alloc_count();
        qd_image_free(got);
    }
    OK(n == 2000 && qd_alloc_count() - before == 1000, "2000 images, one allocation each");
    qd_stream_close(s);
    finish(fd[0], pid);
    qd_image_free(img);
}

static void writing(void)
{
    struct qd_image *img = noise(200, 100, 3), *got = NULL;
    struct qd_error err = {0};
    int fd[2];

    signal(SIGPIPE, SIG_IGN);
    OK(pipe(fd) == 0 && qd_stream_write(fd[1], img, true, &err) == 0, "write");
    close(fd[1]);
    struct qd_stream *s = qd_stream_open(fd[0], "in", &err);
    OK(qd_stream_next(s, NULL, &got, &err) == 1 && got->w == 200 && got->h == 100, "read");
    OK(qd_stream_is_jpeg(s), "JPEG");
    qd_image_free(got);
    qd_stream_close(s);
    close(fd[0]);
    OK(pipe(fd) == 0, "pipe");
    close(fd[0]);
    OK(qd_stream_write(fd[1], img, false, &err) == -1, "nobody reads");
    IS_STR(err.msg, "cannot write an image: Broken pipe", "message");
    close(fd[1]);
    int full = open("/dev/full", O_WRONLY);
    err = (struct qd_error){0};
    if (full >= 0) {
        OK(qd_stream_write(full, img, true, &err) == -1, "full disk");
        IS_STR(err.msg, "cannot write an image: No space left on device", "message");
        close(full);
    } else {
        tap_skip("no /dev/full");
    }
    qd_image_free(img);
}

int main(void)
{
    static const size_t pieces[] = {0, 1, 3, 100, 4096};

    for (size_t i = 0; i < QD_LEN(pieces); i++) {
        if (pieces[i] != 1) /* a system call a byte: small streams only, below */
            round_trip(false, pieces[i]);
        round_trip(true, pieces[i]);
    }
    tails();
    no_stream();
    thumbnail();
    goes_on();
    long_stream();
    writing();
    return tap_done();
}
