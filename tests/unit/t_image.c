/* SPDX-License-Identifier: MIT */
/* Image files: PNG and PNM of every kind, recognition, saving, limits, damage.  JPEG: t_jpeg.c. */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "tap.h"
#include "base/buf.h"
#include "base/io.h"
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

/* Decode bytes that must be refused; the message is compared when 'msg' is given. */
static void refused(const void *data, size_t len, const char *msg, const char *what)
{
    struct qd_error err = {0};
    struct qd_image *img = qd_image_decode(data, len, "x", NULL, &err);

    if (msg && !img)
        IS_STR(err.msg, msg, "%s", what);
    else
        OK(!img && err.code != QD_OK && err.msg[0], "refused: %s", what);
    qd_image_free(img);
}

/* ------------------------------------------------------------------ PNG ----------------------- */

static void png_to_buf(png_structp png, png_bytep data, size_t n)
{
    qd_buf_add(png_get_io_ptr(png), data, n);
}

/* A file of random samples; expect gets the pixels that it stands for. */
static void make_png(
    struct qd_buf *out, int type, int depth, bool interlaced, struct qd_image *expect)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_color palette[256];
    png_byte alpha[256];
    png_color_16 key = {0, 0, 0, 0, 0};
    int channels = type == 2 ? 3 : type == 4 ? 2 : type == 6 ? 4 : 1;
    size_t w = (size_t)expect->w, h = (size_t)expect->h;
    size_t stride = (w * (size_t)(channels * depth) + 7) / 8;
    uint8_t *raw = qd_alloc(stride * h, 1, NULL);
    unsigned max = (1u << depth) - 1;

    png_set_write_fn(png, out, png_to_buf, NULL);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, type, interlaced, 0, 0);
    for (unsigned i = 0; i < 256; i++) {
        palette[i] = (png_color){(uint8_t)tap_rand(), (uint8_t)tap_rand(), (uint8_t)tap_rand()};
        alpha[i] = (uint8_t)tap_rand();
    }
    if (type == 3)
        png_set_PLTE(png, info, palette, 1 << depth);
    if (type == 0 || type == 2 || type == 3) /* transparency that must not show */
        png_set_tRNS(png, info, alpha, type == 3 ? 1 << depth : 1, &key);
    for (size_t i = 0; i < w * h * (size_t)channels; i++) {
        unsigned v = tap_rand() & max;
        size_t y = i / (w * (size_t)channels), bit = i % (w * (size_t)channels) * (size_t)depth;
        uint8_t *p = raw + y * stride + bit / 8;
        if (depth == 16) {
            p[0] = (uint8_t)(v >> 8);
            p[1] = (uint8_t)v;
        } else {
            *p |= (uint8_t)(v << (8 - depth - (int)(bit % 8)));
        }
        int k = (int)(i % (size_t)channels);
        uint8_t *e = expect->data + i / (size_t)channels * (size_t)expect->c;
        if (type == 3) {
            e[0] = palette[v].red;
            e[1] = palette[v].green;
            e[2] = palette[v].blue;
        } else if (k < expect->c) {
            e[k] = (uint8_t)((v * 255 + max / 2) / max);
        }
    }
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < h; y++)
            png_write_row(png, raw + y * stride);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    qd_free(raw);
}

static void png_kinds(void)
{
    static const struct {
        int type, depth;
    } kinds[] = {{0, 1}, {0, 2}, {0, 4}, {0, 8}, {0, 16}, {2, 8}, {2, 16}, {3, 1}, {3, 2}, {3, 4},
        {3, 8}, {4, 8}, {4, 16}, {6, 8}, {6, 16}};

    for (size_t i = 0; i < 2 * QD_LEN(kinds); i++) {
        int type = kinds[i / 2].type, depth = kinds[i / 2].depth;
        struct qd_buf b = {0};
        struct qd_error err = {0};
        struct qd_image *want = qd_image_new(21, 11, type == 0 || type == 4 ? 1 : 3, &err);
        make_png(&b, type, depth, i & 1, want);
        struct qd_image *img = qd_image_decode(b.data, b.len, "x.png", NULL, &err);
        OK(same(img, want), "PNG type %d, %d bits%s %s", type, depth, i & 1 ? ", interlaced" : "",
            err.msg);
        qd_image_free(img);
        struct qd_image_opts opts = {.channels = want->c == 1 ? 3 : 1};
        img = qd_image_decode(b.data, b.len, "x.png", &opts, &err);
        want = qd_image_convert(want, opts.channels, &err);
        OK(same(img, want), "the same, converted to %d channels", opts.channels);
        qd_image_free(img);
        qd_image_free(want);
        qd_buf_free(&b);
    }
}

/* Change the size in the header and mend its checksum. */
static void set_png_size(uint8_t *d, uint32_t w, uint32_t h)
{
    for (int i = 0; i < 4; i++) {
        d[16 + i] = (uint8_t)(w >> (24 - 8 * i));
        d[20 + i] = (uint8_t)(h >> (24 - 8 * i));
    }
    uint32_t crc = (uint32_t)crc32(0, d + 12, 17);
    for (int i = 0; i < 4; i++)
        d[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void png_damage(void)
{
    struct qd_buf b = {0};
    struct qd_image *want = qd_image_new(13, 9, 3, NULL);
    int wrong = 0;

    make_png(&b, 2, 8, true, want);
    for (size_t n = 0; n < b.len; n++) {
        struct qd_error err = {0};
        struct qd_image *img = qd_image_decode(b.data, n, "x", NULL, &err);
        wrong += img || err.code != QD_EFORMAT || strncmp(err.msg, "x: ", 3) != 0;
        qd_image_free(img);
    }
    OK(wrong == 0, "PNG cut at each of %zu bytes: one error each", b.len);
    refused(b.data, b.len - 20, "x: damaged PNG: file ends too early", "cut PNG");
    for (int i = 0; i < 2000; i++) {
        size_t at = 8 + tap_rand() % (b.len - 8);
        struct qd_error err = {0};
        char old = b.data[at];
        b.data[at] = (char)tap_rand();
        struct qd_image *img = qd_image_decode(b.data, b.len, "x", NULL, &err);
        wrong += !img != (err.code != QD_OK);
        qd_image_free(img);
        b.data[at] = old;
    }
    OK(wrong == 0, "2000 damaged PNGs: an image or one error");
    uint8_t *d = (uint8_t *)b.data;
    set_png_size(d, 65535, 65535);
    refused(b.data, b.len,
        "x: image is too large: 65535x65535 pixels, the limits are 65535 a side and 2^28 in all",
        "PNG of 4 giga-pixels");
    set_png_size(d, 16000, 16000);
    OK(b.len < 1000, "a small file");
    refused(b.data, b.len, NULL, "PNG that cannot hold its pixels");
    set_png_size(d, 0x7fffffff, 1);
    refused(b.data, b.len, NULL, "PNG 2^31 - 1 wide");
    set_png_size(d, 0, 5);
    refused(b.data, b.len, NULL, "PNG without width");
    qd_image_free(want);
    qd_buf_free(&b);
}

/* ------------------------------------------------------------------ PNM ----------------------- */

static void pnm_is(const char *text, size_t len, int c, const char *want, const char *what)
{
    struct qd_error err = {0};
    struct qd_image *img = qd_image_decode(text, len, "x", NULL, &err);
    bool ok = img && img->w == 3 && img->h == 2 && img->c == c &&
              memcmp(img->data, want, (size_t)c * 6) == 0;

    OK(ok, "%s %s", what, err.msg);
    qd_image_free(img);
}
#define PNM_IS(text, c, want, what) pnm_is(text, sizeof(text) - 1, c, want, what)

static void pnm_kinds(void)
{
    PNM_IS("P1 3 2 0 1 0 1 1 0", 1, "\xff\0\xff\0\0\xff", "P1");
    PNM_IS("P1\n#c\n3 # w\n2\n010#x\n110", 1, "\xff\0\xff\0\0\xff", "P1 packed, with comments");
    PNM_IS("P2\n3 2\n15\n0 15 1\n2 3 14\n", 1, "\x00\xff\x11\x22\x33\xee", "P2");
    PNM_IS("P2 3 2 65535 0 65535 32768 128 129 385", 1, "\x00\xff\x80\x00\x01\x01", "P2, 16 bits");
    PNM_IS("P3 3 2 255 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 garbage", 3,
        "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf\x10\x11\x12", "P3");
    PNM_IS("P4\n3 2\n\x5f\xc0", 1, "\xff\0\xff\0\0\xff", "P4: padding bits do not count");
    PNM_IS("P5\r3\t2\v255\f\x01\x02\x03\x04\x05#", 1, "\1\2\3\4\5#", "P5, odd blanks");
    PNM_IS("P5#c#\n#\n3 2 #255\n 255\n# c1#2", 1, "# c1#2", "P5: data that look like a comment");
    PNM_IS("P5 3 2 1 \0\1\0\1\1\0", 1, "\0\xff\0\xff\xff\0", "P5, largest value 1");
    PNM_IS("P5 3 2 256 \1\0\0\0\0\x80\0\1\0\2\0\3", 1, "\xff\x00\x80\x01\x02\x03", "P5, two bytes");
    PNM_IS("P6 3 2 255 abcdefghijklmnopqr", 3, "abcdefghijklmnopqr", "P6");
    PNM_IS("P6\n3\n2\n65535\na.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.", 3, "abcdefghijklmnopqr",
        "P6, two bytes");
}

static void pnm_damage(void)
{
    static const struct {
        const char *text, *msg;
    } bad[] = {
        {"P5", "x: not a PNG, JPEG or PNM image"},
        {"P8 1 1 255 x", "x: not a PNG, JPEG or PNM image"},
        {"P5 ", "x: file ends inside the header"},
        {"P5 3 2 255", "x: file ends inside the header"},
        {"P5 3 2 # 255", "x: file ends inside the header"},
        {"P5 x 2 255 ", "x: offset 3: no valid width in the header"},
        {"P5 -3 2 255 ", "x: offset 3: no valid width in the header"},
        {"P5 3 2 255x123456", "x: offset 10: no blank after the header"},
        {"P5 3 99999999999999999999 255 ", "x: offset 5: no valid height in the header"},
        {"P5 3 2 0 123456", "x: largest value is 0 in the header, not 1 to 65535"},
        {"P5 3 2 65536 123456", "x: largest value is 65536 in the header, not 1 to 65535"},
        {"P5 0 2 255 ", "x: image has no pixels"},
        {"P5 70000 2 255 ",
            "x: image is too large: 70000x2 pixels, the limits are 65535 a side and 2^28 in all"},
        {"P6 65535 4096 255 abc", "x: file ends too early: 3 bytes for the samples of 65535x4096 "
                                  "pixels, at least 805294080 needed"},
        {"P5 3 2 255 12345", "x: file ends too early: 5 bytes for the samples of 3x2 pixels, at "
                             "least 6 needed"},
        {"P5 3 2 50 123456", "x: offset 12: sample is 51, but the header says at most 50"},
        {"P2 3 2 9 1 2 3 4 5   ", "x: file ends after 5 of 6 samples"},
        {"P2 3 2 9 1 2 3 4 5 10", "x: offset 21: sample is 10, but the header says at most 9"},
        {"P2 3 2 9 1 2 3 4 x 1", "x: offset 17: no number"},
        {"P2 1 1 9 99999999999999999999",
            "x: offset 14: sample is 99999, but the header says at most 9"},
        {"P1 3 2 01012", "x: file ends too early: 5 bytes for the samples of 3x2 pixels, at "
                         "least 6 needed"},
        {"P1 3 2 010120", "x: offset 11: sample is 2, but the header says at most 1"},
        {"P1 3 2 0101#1 ", "x: file ends after 4 of 6 samples"},
    };

    for (size_t i = 0; i < QD_LEN(bad); i++)
        refused(bad[i].text, strlen(bad[i].text), bad[i].msg, bad[i].text);
}

/* ------------------------------------------------------------------ files --------------------- */

static void recognition(void)
{
    struct qd_image_opts opts = {.channels = 2};
    struct qd_error err = {0};

    refused("", 0, "x: file is empty", "nothing");
    refused(
        "GIF89a......", 12, "x: GIF images are not supported, only PNG, JPEG and PNM are", "GIF");
    refused("RIFF\0\0\0\0WEBPVP8 ", 16,
        "x: WebP images are not supported, only PNG, JPEG and PNM are", "WebP");
    refused("hello world", 11, "x: not a PNG, JPEG or PNM image", "text");
    OK(!qd_image_decode("P5 1 1 255 x", 12, "x", &opts, &err) && err.code == QD_EARG,
        "two channels: %s", err.msg);
    err = (struct qd_error){0};
    OK(!qd_image_new(0, 5, 3, &err) && err.code == QD_EARG, "no width");
    OK(!qd_image_new(5, 5, 2, NULL) && !qd_image_new(70000, 5, 1, NULL), "bad sizes");
    qd_image_free(NULL);
    err = (struct qd_error){0};
    OK(!qd_image_load("/nonexistent/a.png", NULL, &err), "no file");
    IS_STR(err.msg, "cannot open '/nonexistent/a.png': No such file or directory", "message");
}

static void save_and_load(const struct qd_image *img, const char *name, int c)
{
    char path[300];
    struct qd_error err = {0};
    int w = 0, h = 0, pc = 0;

    snprintf(path, sizeof(path), "%s", tap_tmp(name));
    OK(qd_image_save(img, path, false, &err) == 0, "save %d channels to %s %s", img->c, name,
        err.msg);
    struct qd_image *back = qd_image_load(path, NULL, &err);
    struct qd_image *want = qd_image_crop(img, 0, 0, img->w, img->h, &err);
    want = qd_image_convert(want, c, &err);
    OK(back && back->c == c && (strstr(name, "jp") || same(back, want)), "read it back %s",
        err.msg);
    OK(qd_image_probe(path, &w, &h, &pc, &err) == 0 && w == img->w && h == img->h && pc == c,
        "probe %s %s", name, err.msg);
    OK(qd_image_save(img, path, false, &err) == -1 && err.code == QD_EIO, "not replaced");
    OK(qd_image_save(img, path, true, NULL) == 0, "replaced by force");
    unlink(path);
    qd_image_free(want);
    qd_image_free(back);
}

static void files(void)
{
    static const struct {
        const char *name;
        int c[2]; /* what gray and colour become */
    } names[] = {{"a.png", {1, 3}}, {"a.PNG", {1, 3}}, {"a.jpg", {1, 3}}, {"a.jpeg", {1, 3}},
        {"a.ppm", {3, 3}}, {"a.pgm", {1, 1}}, {"a.b.pnm", {1, 3}}};
    static const char *const bad[] = {"a", "a.gif", "a.png.txt", "png", "a.", ""};
    struct qd_image *img[2] = {noise(17, 5, 1), noise(17, 5, 3)};
    struct qd_error err = {0};
    int w, h, c;

    for (size_t i = 0; i < QD_LEN(names); i++)
        for (int k = 0; k < 2; k++)
            save_and_load(img[k], names[i].name, names[i].c[k]);
    for (size_t i = 0; i < QD_LEN(bad); i++) {
        err = (struct qd_error){0};
        OK(qd_image_save(img[0], bad[i], true, &err) == -1 && err.code == QD_EARG,
            "no format in '%s'", bad[i]);
    }
    err = (struct qd_error){0};
    OK(qd_image_save(img[0], "/nonexistent/a.png", true, &err) == -1 && err.code == QD_EIO, "%s",
        err.msg);
    err = (struct qd_error){0};
    OK(qd_image_probe("/nonexistent", &w, &h, &c, &err) == -1, "%s", err.msg);
    err = (struct qd_error){0};
    OK(qd_image_probe("/", &w, &h, &c, &err) == -1, "%s", err.msg);
    qd_image_free(img[0]);
    qd_image_free(img[1]);
}

/* A header that goes on for ever, and one that ends: the probe reads no more than it must. */
static void probe(void)
{
    struct qd_buf b = {0};
    struct qd_error err = {0};
    char path[300];
    int w = 0, h = 0, c = 0;

    snprintf(path, sizeof(path), "%s", tap_tmp("p"));
    qd_buf_str(&b, "P6 ");
    for (int i = 0; i < 30000; i++)
        qd_buf_str(&b, "# comment\n");
    qd_buf_str(&b, "31 41 255\n");
    OK(qd_io_put(path, true, b.data, b.len, &err) == 0, "write");
    OK(qd_image_probe(path, &w, &h, &c, &err) == 0 && w == 31 && h == 41 && c == 3,
        "size behind 300 kB of comments, pixels missing");
    OK(qd_io_put(path, true, b.data, b.len - 5, &err) == 0, "write");
    OK(qd_image_probe(path, &w, &h, &c, &err) == -1, "cut header");
    OK(strstr(err.msg, ": file ends inside the header") != NULL, "%s", err.msg);
    qd_buf_free(&b);
}

/* Every allocation fails once: decoding and encoding report it and leak nothing (the sanitizer
 * looks). */
static void out_of_memory(const struct qd_image *img, const char *name)
{
    char path[300];
    int wrong = 0, n = 0;
    bool done = false;

    snprintf(path, sizeof(path), "%s", tap_tmp(name));
    for (n = 1; n < 200 && !done; n++) {
        struct qd_error err = {0};
        qd_alloc_fail_at(n);
        done = qd_image_save(img, path, true, &err) == 0;
        if (!done && err.code != QD_ENOMEM && ++wrong)
            printf("# allocation %d: %s\n", n, err.msg);
    }
    OK(done && n > 2 && wrong == 0, "saving %s: %d allocations fail", name, n - 2);
    done = false;
    wrong = 0;
    struct qd_image_opts opts = {.channels = img->c == 1 ? 3 : 1, .exif = true};
    for (n = 1; n < 200 && !done; n++) {
        struct qd_error err = {0};
        qd_alloc_fail_at(n);
        struct qd_image *back = qd_image_load(path, &opts, &err);
        done = back != NULL;
        if (!done && err.code != QD_ENOMEM && ++wrong)
            printf("# allocation %d: %s\n", n, err.msg);
        qd_image_free(back);
    }
    qd_alloc_fail_at(0);
    OK(done && n > 2 && wrong == 0, "loading %s: %d allocations fail", name, n - 2);
    unlink(path);
}

int main(void)
{
    png_kinds();
    png_damage();
    pnm_kinds();
    pnm_damage();
    recognition();
    files();
    probe();
    struct qd_image *img = noise(40, 30, 3);
    out_of_memory(img, "m.png");
    out_of_memory(img, "m.jpg");
    out_of_memory(img, "m.ppm");
    qd_image_free(img);
    return tap_done();
}
