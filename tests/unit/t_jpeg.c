/* SPDX-License-Identifier: MIT */
/* JPEG: pixels equal to the library's own, colour spaces, orientation, reduced decoding, damage. */
#include <stdio.h>
#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "base/buf.h"
#include "base/io.h"
#include "image/image.h"

static int warnings;
static char last_warning[600];

static void on_log(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    warnings += level == QD_LOG_WARNING;
    snprintf(last_warning, sizeof(last_warning), "%s", line);
}

/* ------------------------------------------------------------------ making them --------------- */

struct recipe {
    int w, h;
    J_COLOR_SPACE in, file; /* the samples given, and what the file holds */
    bool no_adobe, progressive, full_chroma, arithmetic;
    int restart;         /* MCU rows between restart markers */
    const uint8_t *app1; /* a segment to put first */
    size_t app1_len;
};

static int components(J_COLOR_SPACE space)
{
    return space == JCS_GRAYSCALE ? 1 : space == JCS_CMYK || space == JCS_YCCK ? 4 : 3;
}

static void make_jpeg(const struct recipe *r, const uint8_t *samples, struct qd_buf *out)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr mgr;
    unsigned char *mem = NULL;
    unsigned long len = 0;
    int n = components(r->in);

    c.err = jpeg_std_error(&mgr);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &mem, &len);
    c.image_width = (JDIMENSION)r->w;
    c.image_height = (JDIMENSION)r->h;
    c.input_components = n;
    c.in_color_space = r->in;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, r->file);
    jpeg_set_quality(&c, 90, TRUE);
    if (r->no_adobe)
        c.write_Adobe_marker = FALSE;
    if (r->full_chroma)
        c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = 1;
    if (r->progressive)
        jpeg_simple_progression(&c);
    c.arith_code = r->arithmetic;
    c.restart_in_rows = r->restart;
    jpeg_start_compress(&c, TRUE);
    if (r->app1)
        jpeg_write_marker(&c, JPEG_APP0 + 1, r->app1, (unsigned)r->app1_len);
    for (int y = 0; y < r->h; y++) {
        uint8_t line[4 * 512];
        JSAMPROW row = line;
        memcpy(line, samples + y * r->w * n, (size_t)(r->w * n));
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    qd_buf_add(out, mem, len);
    free(mem);
}

/* A smooth picture with some noise: w*h*n samples. */
static uint8_t *picture(int w, int h, int n)
{
    uint8_t *p = qd_alloc((size_t)(w * h), (size_t)n, NULL);

    for (int i = 0; p && i < w * h * n; i++) {
        int x = i / n % w, y = i / n / w, k = i % n;
        p[i] = (uint8_t)((x * (3 + k) + y * (5 - k) + (int)(tap_rand() % 16)) % 256);
    }
    return p;
}

/* The library's own pixels at num/8, as RGB or gray. */
static struct qd_image *plain(const struct qd_buf *b, J_COLOR_SPACE space, unsigned num)
{
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr mgr;

    d.err = jpeg_std_error(&mgr);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, (const unsigned char *)b->data, b->len);
    jpeg_read_header(&d, TRUE);
    d.out_color_space = space;
    d.scale_num = num;
    d.scale_denom = 8;
    jpeg_start_decompress(&d);
    int c = space == JCS_GRAYSCALE ? 1 : 3;
    struct qd_image *img = qd_image_new((int)d.output_width, (int)d.output_height, c, NULL);
    while (d.output_scanline < d.output_height) {
        JSAMPROW row = img->data + d.output_scanline * d.output_width * (unsigned)c;
        jpeg_read_scanlines(&d, &row, 1);
    }
    jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
    return img;
}

static bool same(const struct qd_image *a, const struct qd_image *b)
{
    return a && b && a->w == b->w && a->h == b->h && a->c == b->c &&
           memcmp(a->data, b->data, (size_t)a->w * (size_t)a->h * (size_t)a->c) == 0;
}

static struct qd_image *decode(const struct qd_buf *b, const struct qd_image_opts *opts)
{
    struct qd_error err = {0};
    struct qd_image *img = qd_image_decode(b->data, b->len, "x", opts, &err);

    if (!img)
        printf("# %s\n", err.msg);
    return img;
}

/* ------------------------------------------------------------------ pixels -------------------- */

static void equal_to_library(const struct qd_buf *b, const char *what)
{
    struct qd_image *full = plain(b, JCS_RGB, 8);
    struct qd_image_opts gray = {.channels = 1};

    for (int den = 1; den <= 8; den *= 2) {
        struct qd_image *want = plain(b, JCS_RGB, 8 / (unsigned)den);
        struct qd_image_opts opts = {.min_w = want->w, .min_h = want->h};
        struct qd_image *img = decode(b, &opts);
        OK(same(img, want), "%s: 1/%d is %dx%d", what, den, want->w, want->h);
        qd_image_free(img);
        if (den > 1) { /* one pixel more than that has: the next larger one */
            opts.min_w++;
            img = decode(b, &opts);
            OK(img && img->w > want->w && (img->w + 1) / 2 <= want->w + 1, "%s: more than 1/%d",
                what, den);
            qd_image_free(img);
        }
        qd_image_free(want);
    }
    struct qd_image *img = decode(b, NULL);
    OK(same(img, full), "%s: full size by default", what);
    qd_image_free(img);
    struct qd_image_opts one_side = {.min_w = 1};
    img = decode(b, &one_side);
    OK(same(img, full), "%s: full size when one side only is given", what);
    qd_image_free(img);
    struct qd_image *want = plain(b, JCS_GRAYSCALE, 8);
    img = decode(b, &gray);
    OK(same(img, want), "%s: gray", what);
    qd_image_free(img);
    qd_image_free(want);
    qd_image_free(full);
}

static void pixels(void)
{
    static const struct {
        const char *what;
        struct recipe r;
    } kinds[] = {
        {"4:2:0", {75, 50, JCS_RGB, JCS_YCbCr, 0, 0, 0, 0, 0, NULL, 0}},
        {"4:4:4", {64, 48, JCS_RGB, JCS_YCbCr, 0, 0, 1, 0, 0, NULL, 0}},
        {"progressive", {75, 50, JCS_RGB, JCS_YCbCr, 0, 1, 0, 0, 0, NULL, 0}},
        {"restart markers", {75, 50, JCS_RGB, JCS_YCbCr, 0, 0, 0, 0, 1, NULL, 0}},
        {"arithmetic", {75, 50, JCS_RGB, JCS_YCbCr, 0, 0, 0, 1, 0, NULL, 0}},
        {"one pixel", {1, 1, JCS_RGB, JCS_YCbCr, 0, 0, 0, 0, 0, NULL, 0}},
    };

    for (size_t i = 0; i < QD_LEN(kinds); i++) {
        struct qd_buf b = {0};
        uint8_t *p = picture(kinds[i].r.w, kinds[i].r.h, 3);
        make_jpeg(&kinds[i].r, p, &b);
        if (kinds[i].r.w > 1) {
            equal_to_library(&b, kinds[i].what);
        } else {
            struct qd_image *img = decode(&b, NULL);
            OK(img && img->w == 1 && img->h == 1, "one pixel");
            qd_image_free(img);
        }
        qd_free(p);
        qd_buf_free(&b);
    }
    const char *path = tap_shared("models/dog.jpg");
    struct qd_buf b = {0};
    if (path && OK(qd_io_slurp(path, 1 << 24, &b, NULL) == 0, "a photo"))
        equal_to_library(&b, "photo");
    qd_buf_free(&b);
}

static void gray_and_rgb(void)
{
    struct recipe r = {.w = 33, .h = 20, .in = JCS_GRAYSCALE, .file = JCS_GRAYSCALE};
    struct qd_image_opts three = {.channels = 3}, one = {.channels = 1};
    struct qd_buf b = {0};
    uint8_t *p = picture(33, 20, 3);
    int wrong = 0;

    make_jpeg(&r, p, &b);
    struct qd_image *want = plain(&b, JCS_GRAYSCALE, 8), *img = decode(&b, NULL);
    OK(same(img, want), "gray stays gray");
    qd_image_free(img);
    img = decode(&b, &three);
    for (int i = 0; img && i < 33 * 20 * 3; i++)
        wrong += img->data[i] != want->data[i / 3];
    OK(img && img->c == 3 && wrong == 0, "gray becomes RGB");
    qd_image_free(img);
    qd_image_free(want);
    qd_buf_free(&b);
    r.in = r.file = JCS_RGB; /* Adobe's marker says that nothing was transformed */
    make_jpeg(&r, p, &b);
    want = plain(&b, JCS_RGB, 8);
    img = decode(&b, NULL);
    OK(same(img, want), "RGB in the file");
    qd_image_free(img);
    img = decode(&b, &one);
    want = qd_image_convert(want, 1, NULL);
    OK(same(img, want), "RGB in the file, gray wanted");
    qd_image_free(img);
    qd_image_free(want);
    qd_free(p);
    qd_buf_free(&b);
}

/* Flat colours survive JPEG: ink C, M, Y, K (0: none, 255: full) must give (255 - C)(255 - K) /
 * 255. */
static void cmyk(void)
{
    static const uint8_t inks[][4] = {
        {0, 0, 0, 0}, {255, 0, 0, 0}, {0, 200, 10, 0}, {10, 20, 230, 100}, {0, 0, 0, 255}};

    for (size_t i = 0; i < 3 * QD_LEN(inks); i++) {
        const uint8_t *ink = inks[i / 3];
        bool adobe = i % 3 < 2;
        struct recipe r = {.w = 16, .h = 16, .in = JCS_CMYK, .no_adobe = !adobe};
        struct qd_buf b = {0};
        uint8_t *p = qd_alloc(16 * 16, 4, NULL);
        int wrong = 0;
        r.file = i % 3 == 1 ? JCS_YCCK : JCS_CMYK;
        for (int k = 0; k < 16 * 16 * 4; k++) /* Adobe's files hold them inverted */
            p[k] = adobe ? (uint8_t)(255 - ink[k % 4]) : ink[k % 4];
        make_jpeg(&r, p, &b);
        struct qd_image *img = decode(&b, NULL);
        for (int k = 0; img && k < 16 * 16 * 3; k++) {
            int want = ((255 - ink[k % 3]) * (255 - ink[3]) + 127) / 255;
            wrong += abs(img->data[k] - want) > 3;
        }
        OK(img && img->c == 3 && wrong == 0, "%s %d,%d,%d,%d",
            i % 3 == 0 ? "CMYK"
            : adobe    ? "YCCK"
                       : "CMYK without Adobe's marker",
            ink[0], ink[1], ink[2], ink[3]);
        qd_image_free(img);
        qd_free(p);
        qd_buf_free(&b);
    }
}

/* ------------------------------------------------------------------ orientation --------------- */

static void put(uint8_t *p, unsigned v, int bytes, bool big)
{
    for (int i = 0; i < bytes; i++)
        p[big ? bytes - 1 - i : i] = (uint8_t)(v >> 8 * i);
}

/* An EXIF segment with another tag before the orientation. */
static size_t exif(uint8_t *p, unsigned orientation, bool big)
{
    memset(p, 0, 64);
    memcpy(p, "Exif\0\0", 6);
    memcpy(p + 6, big ? "MM\0*" : "II*\0", 4);
    put(p + 10, 10, 4, big); /* the directory, two bytes later than it must be */
    put(p + 16, 2, 2, big);
    put(p + 18, 0x010f, 2, big);
    put(p + 30, 0x0112, 2, big);
    put(p + 32, 3, 2, big);
    put(p + 34, 1, 4, big);
    put(p + 38, orientation, 2, big);
    return 46;
}

/* Blocks of 8x8, each of one gray, so that JPEG keeps them apart: block (r, c) has 16(3r + c) + 9.
 */
static int block_at(const struct qd_image *img, int r, int c)
{
    return (img->data[(r * 8 + 4) * img->w + c * 8 + 4] + 7) / 16 - 1;
}

static void orientation(int o, bool big)
{
    /* TIFF 6.0: where the 0th row and the 0th column of the file lie in the scene */
    static const char sides[9][3] = {"", "tl", "tr", "br", "bl", "lt", "rt", "rb", "lb"};
    uint8_t seg[64], p[16 * 24];
    struct recipe rec = {24, 16, JCS_GRAYSCALE, JCS_GRAYSCALE, 0, 0, 0, 0, 0, seg, 0};
    struct qd_image_opts opts = {.exif = true};
    struct qd_buf b = {0};
    int wrong = 0;

    for (int i = 0; i < 16 * 24; i++)
        p[i] = (uint8_t)(16 * (3 * (i / 24 / 8) + i % 24 / 8) + 9);
    rec.app1_len = exif(seg, (unsigned)o, big);
    make_jpeg(&rec, p, &b);
    struct qd_image *img = decode(&b, &opts);
    bool swap = o >= 5;
    OK(img && img->w == (swap ? 16 : 24) && img->h == (swap ? 24 : 16), "orientation %d, size", o);
    for (int r = 0; img && r < 2; r++)
        for (int c = 0; c < 3; c++) {
            int y = 0, x = 0;
            switch (sides[o][0]) { /* the distance of row r from the side of row 0 */
            case 't':
                y = r;
                break;
            case 'b':
                y = 1 - r;
                break;
            case 'l':
                x = r;
                break;
            default:
                x = 1 - r;
                break;
            }
            switch (sides[o][1]) {
            case 'l':
                x = c;
                break;
            case 'r':
                x = 2 - c;
                break;
            case 't':
                y = c;
                break;
            default:
                y = 2 - c;
                break;
            }
            wrong += block_at(img, y, x) != 3 * r + c;
        }
    OK(img && wrong == 0, "orientation %d, pixels (%s-endian)", o, big ? "big" : "little");
    qd_image_free(img);
    img = decode(&b, NULL);
    OK(img && img->w == 24 && block_at(img, 0, 0) == 0 && block_at(img, 1, 2) == 5,
        "orientation %d is ignored by default", o);
    qd_image_free(img);
    opts.min_w = swap ? 8 : 12; /* of the upright image */
    opts.min_h = swap ? 12 : 8;
    img = decode(&b, &opts);
    OK(img && img->w == opts.min_w && img->h == opts.min_h, "orientation %d, half size", o);
    qd_image_free(img);
    qd_buf_free(&b);
}

/* Segments that are cut or lie: orientation 1. */
static void bad_exif(void)
{
    uint8_t seg[64], p[16 * 24] = {0};
    struct recipe rec = {24, 16, JCS_GRAYSCALE, JCS_GRAYSCALE, 0, 0, 0, 0, 0, seg, 0};
    struct qd_image_opts opts = {.exif = true};
    int wrong = 0, turned = 0;

    for (int i = 0; i < 400; i++) {
        struct qd_buf b = {0};
        rec.app1_len = exif(seg, 6, i & 1);
        if (i < 46)
            rec.app1_len = (size_t)i;
        else
            seg[tap_rand() % 46] = (uint8_t)tap_rand();
        make_jpeg(&rec, p, &b);
        struct qd_image *img = decode(&b, &opts);
        wrong += !img || img->w * img->h != 24 * 16 || (i < 40 && img->w != 24);
        turned += img && img->w == 16;
        qd_image_free(img);
        qd_buf_free(&b);
    }
    OK(wrong == 0 && turned > 100, "400 damaged EXIF segments, %d of them still turn", turned);
}

/* ------------------------------------------------------------------ damage -------------------- */

static void cut(const struct recipe *r, const char *what)
{
    struct qd_buf b = {0};
    uint8_t *p = picture(r->w, r->h, 3);
    int wrong = 0, used = 0;

    make_jpeg(r, p, &b);
    warnings = 0;
    qd_image_free(decode(&b, NULL));
    OK(warnings == 0, "%s: no warning", what);
    for (size_t n = 0; n < b.len; n++) {
        struct qd_error err = {0};
        int before = warnings;
        struct qd_image *img = qd_image_decode(b.data, n, "x", NULL, &err);
        if (img)
            wrong += warnings != before + 1 || img->w != r->w || img->h != r->h;
        else
            wrong += warnings != before || err.code == QD_OK || strncmp(err.msg, "x: ", 3) != 0;
        used += img != NULL;
        qd_image_free(img);
    }
    OK(wrong == 0 && used > 50, "%s: cut at each of %zu bytes: an error, or a warning (%d)", what,
        b.len, used);
    IS_STR(last_warning, "x: damaged JPEG: premature end of JPEG file", "the warning");
    for (int i = 0; i < 1500; i++) {
        struct qd_error err = {0};
        size_t at = tap_rand() % b.len;
        char old = b.data[at];
        b.data[at] = (char)tap_rand();
        struct qd_image *img = qd_image_decode(b.data, b.len, "x", NULL, &err);
        wrong += !img != (err.code != QD_OK);
        qd_image_free(img);
        b.data[at] = old;
    }
    OK(wrong == 0, "%s: 1500 times damaged: an image or one error", what);
    qd_free(p);
    qd_buf_free(&b);
}

static size_t find(const struct qd_buf *b, uint8_t marker, bool last)
{
    size_t at = 0;

    for (size_t i = 0; i + 1 < b->len; i++)
        if ((uint8_t)b->data[i] == 0xff && (uint8_t)b->data[i + 1] == marker && (last || !at))
            at = i;
    return at;
}

static void refused(const struct qd_buf *b, enum qd_code code, const char *msg)
{
    struct qd_error err = {0};
    struct qd_image *img = qd_image_decode(b->data, b->len, "x", NULL, &err);

    OK(!img && err.code == code, "refused");
    IS_STR(err.msg, msg, "message");
    qd_image_free(img);
}

static void hostile(void)
{
    struct recipe r = {.w = 40, .h = 24, .in = JCS_RGB, .file = JCS_YCbCr};
    struct qd_buf b = {0}, many = {0};
    uint8_t *p = picture(40, 24, 3);

    make_jpeg(&r, p, &b);
    char *sof = b.data + find(&b, 0xc0, false);
    memcpy(sof + 5, "\xff\xdc\xff\xdc", 4);
    refused(&b, QD_EUNSUP,
        "x: image is too large: 65500x65500 pixels, the limits are 65535 a side "
        "and 2^28 in all");
    memcpy(sof + 5, "\x0f\xa0\x0f\xa0", 4);
    OK(b.len < 31250, "a small file");
    char want[100];
    snprintf(want, sizeof(want), "x: damaged JPEG: %zu bytes cannot hold 4000x4000 pixels", b.len);
    refused(&b, QD_EFORMAT, want);
    sof[4] = 12;
    refused(&b, QD_EUNSUP, "x: unsupported JPEG: unsupported JPEG data precision 12");
    qd_buf_free(&b);
    r.progressive = true; /* the last scan again and again, as a decompression bomb has it */
    make_jpeg(&r, p, &b);
    size_t scan = find(&b, 0xda, true), end = find(&b, 0xd9, true);
    qd_buf_add(&many, b.data, end);
    for (int i = 0; i < 600; i++)
        qd_buf_add(&many, b.data + scan, end - scan);
    qd_buf_add(&many, "\xff\xd9", 2);
    refused(&many, QD_EUNSUP, "x: JPEG has too many scans");
    qd_buf_free(&many);
    qd_buf_add(&many, "\xff\xd8\xff\xd9", 4);
    refused(&many, QD_EFORMAT, "x: damaged JPEG: JPEG datastream contains no image");
    qd_buf_free(&many);
    qd_buf_free(&b);
    qd_free(p);
}

/* The size is found behind a segment that is longer than what is read first. */
static void probe(void)
{
    static uint8_t seg[60000];
    struct recipe r = {40, 24, JCS_RGB, JCS_YCbCr, 0, 0, 0, 0, 0, seg, sizeof(seg)};
    struct qd_buf b = {0};
    struct qd_error err = {0};
    uint8_t *p = picture(40, 24, 3);
    char path[300];
    int w = 0, h = 0, c = 0, wrong = 0;

    snprintf(path, sizeof(path), "%s", tap_tmp("p"));
    make_jpeg(&r, p, &b);
    OK(qd_io_put(path, true, b.data, b.len, &err) == 0, "write");
    OK(qd_image_probe(path, &w, &h, &c, &err) == 0 && w == 40 && h == 24 && c == 3, "probe");
    size_t sof = find(&b, 0xc0, false);
    for (size_t n = sof - 5; n < sof + 40; n++) {
        struct qd_image_dims d;
        struct qd_image_src src = {(const uint8_t *)b.data, n, "x"};
        wrong += qd_jpeg_header(&src, &d, NULL) != (n >= sof + 19);
    }
    OK(wrong == 0, "more bytes are asked for until the frame header is there");
    b.data[sof + 1] = (char)0xda;
    OK(qd_io_put(path, true, b.data, b.len, &err) == 0, "write");
    OK(qd_image_probe(path, &w, &h, &c, &err) == -1 && strstr(err.msg, "no frame header"), "%s",
        err.msg);
    qd_free(p);
    qd_buf_free(&b);
}

int main(void)
{
    struct recipe small = {.w = 40, .h = 24, .in = JCS_RGB, .file = JCS_YCbCr};

    qd_log_set(on_log, NULL);
    pixels();
    gray_and_rgb();
    cmyk();
    for (int o = 1; o <= 8; o++)
        orientation(o, o & 1);
    bad_exif();
    cut(&small, "baseline");
    small.progressive = true;
    cut(&small, "progressive");
    hostile();
    probe();
    return tap_done();
}
