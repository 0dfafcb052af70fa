/* SPDX-License-Identifier: MIT */
/*
 * Images in memory, and the table of codecs: a file is recognised by its first bytes, never by its
 * name, and written in the format that its suffix names.
 */
#include "image/image.h"

#include <errno.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/io.h"

#define FILE_MAX ((size_t)1 << 30)    /* bytes of an image file */
#define HEADER_MAX ((size_t)64 << 20) /* bytes before the size of the image must be known */

static const struct qd_codec *const codecs[] = {&qd_codec_jpeg, &qd_codec_png, &qd_codec_pnm};

/* Formats that people have and that we do not read: a clear answer is better than "unknown". */
static const struct {
    const char *magic;
    const char *name;
} foreign[] = {{"GIF8", "GIF"}, {"BM", "BMP"}, {"RIFF", "WebP"}, {"II*", "TIFF"}, {"MM", "TIFF"},
    {"P7\n", "PAM"}, {"PF\n", "PFM"}, {"Pf\n", "PFM"}, {"qoif", "QOI"}, {"\xff\x0a", "JPEG XL"},
    {"<svg", "SVG"}, {"%PDF", "PDF"}};

int qd_image_check_size(const char *name, uint64_t w, uint64_t h, struct qd_error *err)
{
    if (!w || !h)
        return qd_error_at(err, QD_EFORMAT, name, 0, "image has no pixels");
    if (w > QD_IMAGE_SIDE_MAX || h > QD_IMAGE_SIDE_MAX || w * h > QD_IMAGE_PIXELS_MAX)
        return qd_error_at(err, QD_EUNSUP, name, 0,
            "image is too large: %llux%llu pixels, the limits are %d a side and 2^28 in all",
            (unsigned long long)w, (unsigned long long)h, QD_IMAGE_SIDE_MAX);
    return 0;
}

/* ------------------------------------------------------------------ memory -------------------- */

struct qd_image *qd_image_new_raw(int w, int h, int c, struct qd_error *err)
{
    if (w < 1 || h < 1 || (c != 1 && c != 3)) {
        qd_error_set(err, QD_EARG, "no image can have %dx%dx%d values", w, h, c);
        return NULL;
    }
    if (qd_image_check_size("new image", (uint64_t)w, (uint64_t)h, err) < 0)
        return NULL;
    /* one block: the pixels begin at the next aligned address behind the struct */
    uint8_t *p = qd_alloc_raw(QD_ALIGN + (size_t)w * (size_t)h * (size_t)c, 1, err);
    if (!p)
        return NULL;
    struct qd_image *img = (struct qd_image *)(void *)p;
    *img = (struct qd_image){w, h, c, p + QD_ALIGN};
    return img;
}

struct qd_image *qd_image_new(int w, int h, int c, struct qd_error *err)
{
    struct qd_image *img = qd_image_new_raw(w, h, c, err);

    if (img)
        memset(img->data, 0, (size_t)w * (size_t)h * (size_t)c);
    return img;
}

void qd_image_free(struct qd_image *img)
{
    qd_free(img);
}

struct qd_image *qd_image_convert(struct qd_image *img, int c, struct qd_error *err)
{
    if (!img || img->c == c)
        return img;
    struct qd_image *out = qd_image_new_raw(img->w, img->h, c, err);
    if (out) {
        const uint8_t *s = img->data;
        uint8_t *d = out->data;
        size_t n = (size_t)img->w * (size_t)img->h;
        if (c == 1)
            for (size_t i = 0; i < n; i++)
                d[i] = qd_luma(s[3 * i], s[3 * i + 1], s[3 * i + 2]);
        else
            for (size_t i = 0; i < n; i++)
                d[3 * i] = d[3 * i + 1] = d[3 * i + 2] = s[i];
    }
    qd_image_free(img);
    return out;
}

struct qd_image *qd_image_crop(
    const struct qd_image *img, int x, int y, int w, int h, struct qd_error *err)
{
    struct qd_image *out = qd_image_new_raw(w, h, img->c, err);
    size_t c = (size_t)img->c;

    if (!out)
        return NULL;
    /* in 64 bits, since x + w may leave the range of int */
    long long from = QD_MIN(QD_MAX(-(long long)x, 0), w);
    long long to = QD_MAX(QD_MIN((long long)img->w - x, w), from);
    for (int r = 0; r < h; r++) {
        long long sy = QD_MIN(QD_MAX((long long)y + r, 0), img->h - 1);
        const uint8_t *s = img->data + (size_t)sy * (size_t)img->w * c;
        uint8_t *d = out->data + (size_t)r * (size_t)w * c;
        for (long long i = 0; i < from; i++)
            memcpy(d + (size_t)i * c, s, c);
        if (to > from)
            memcpy(d + (size_t)from * c, s + (size_t)(x + from) * c, (size_t)(to - from) * c);
        for (long long i = to; i < w; i++)
            memcpy(d + (size_t)i * c, s + (size_t)(img->w - 1) * c, c);
    }
    return out;
}

/* ------------------------------------------------------------------ in ------------------------ */

static const struct qd_codec *find_codec(const struct qd_image_src *src, struct qd_error *err)
{
    for (size_t i = 0; i < QD_LEN(codecs); i++)
        if (codecs[i]->probe(src->data, src->len))
            return codecs[i];
    if (src->len == 0) {
        qd_error_at(err, QD_EFORMAT, src->name, 0, "file is empty");
        return NULL;
    }
    for (size_t i = 0; i < QD_LEN(foreign); i++) {
        size_t n = strlen(foreign[i].magic);
        if (src->len >= n && memcmp(src->data, foreign[i].magic, n) == 0) {
            qd_error_at(err, QD_EUNSUP, src->name, 0,
                "%s images are not supported, only PNG, JPEG "
                "and PNM are",
                foreign[i].name);
            return NULL;
        }
    }
    qd_error_at(err, QD_EFORMAT, src->name, 0, "not a PNG, JPEG or PNM image");
    return NULL;
}

struct qd_image *qd_image_decode(const void *data, size_t len, const char *name,
    const struct qd_image_opts *opts, struct qd_error *err)
{
    static const struct qd_image_opts defaults;
    const struct qd_image_src src = {data, len, name};

    if (!opts)
        opts = &defaults;
    if (opts->channels != 0 && opts->channels != 1 && opts->channels != 3) {
        qd_error_set(err, QD_EARG, "images have 1 or 3 channels, not %d", opts->channels);
        return NULL;
    }
    const struct qd_codec *codec = find_codec(&src, err);
    if (!codec)
        return NULL;
    struct qd_image *img = codec->decode(&src, opts, err);
    return img && opts->channels ? qd_image_convert(img, opts->channels, err) : img;
}

struct qd_image *qd_image_load(
    const char *path, const struct qd_image_opts *opts, struct qd_error *err)
{
    struct qd_buf b = {0};
    struct qd_image *img = NULL;

    if (qd_io_slurp(path, FILE_MAX, &b, err) == 0)
        img = qd_image_decode(
            b.data, b.len, strcmp(path, "-") == 0 ? "standard input" : path, opts, err);
    qd_buf_free(&b);
    return img;
}

/* Read on until the header function is satisfied, four times as much at each try, so that the work
 * stays linear in the bytes read. */
static int probe_file(FILE *f, const char *path, struct qd_image_dims *dims, struct qd_error *err)
{
    struct qd_buf b = {0};
    char chunk[4096];
    size_t want = sizeof(chunk), n = 1;
    int ret = 0;

    while (ret == 0) {
        while (b.len < want && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
            qd_buf_add(&b, chunk, n);
        ret = -1;
        if (ferror(f)) {
            qd_error_set(err, QD_EIO, "cannot read '%s': %s", path, strerror(errno));
            break;
        }
        if (qd_buf_ok(&b, err) < 0)
            break;
        const struct qd_image_src src = {(const uint8_t *)b.data, b.len, path};
        const struct qd_codec *codec = find_codec(&src, err);
        if (!codec)
            break;
        ret = codec->header(&src, dims, err);
        if (ret == 0 && (n == 0 || b.len >= HEADER_MAX))
            ret = qd_error_at(err, QD_EFORMAT, path, 0,
                n == 0 ? "file ends inside the header" : "no image size in the header");
        want *= 4;
    }
    qd_buf_free(&b);
    return ret < 0 ? -1 : 0;
}

int qd_image_probe(const char *path, int *w, int *h, int *c, struct qd_error *err)
{
    struct qd_image_dims dims;
    struct stat st;

    /* a pipe would be waited for, and what was read of it is lost */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return qd_error_set(err, QD_EIO, "cannot read '%s': it is not a regular file", path);
    FILE *f = fopen(path, "rb");
    if (!f)
        return qd_error_set(err, QD_EIO, "cannot open '%s': %s", path, strerror(errno));
    int ret = probe_file(f, path, &dims, err);
    fclose(f);
    if (ret == 0) {
        *w = dims.w;
        *h = dims.h;
        *c = dims.c;
    }
    return ret;
}

/* ------------------------------------------------------------------ out ----------------------- */

static const struct qd_codec *codec_for(const char *path, int *channels)
{
    const char *dot = strrchr(path, '.');

    if (!dot || strchr(dot, '/'))
        return NULL;
    for (size_t i = 0; i < QD_LEN(codecs); i++)
        for (size_t k = 0; k < QD_LEN(codecs[i]->suffix) && codecs[i]->suffix[k].text; k++)
            if (strcasecmp(dot + 1, codecs[i]->suffix[k].text) == 0) {
                *channels = codecs[i]->suffix[k].channels;
                return codecs[i];
            }
    return NULL;
}

/* Encode 'img' with 'channels' (0: its own) into 'out'. */
static int encode(const struct qd_image *img, const struct qd_codec *codec, int channels,
    struct qd_buf *out, struct qd_error *err)
{
    if (channels == 0 || channels == img->c)
        return codec->encode(img, out, err);
    struct qd_image *copy = qd_image_crop(img, 0, 0, img->w, img->h, err);
    copy = qd_image_convert(copy, channels, err);
    int ret = copy ? codec->encode(copy, out, err) : -1;
    qd_image_free(copy);
    return ret;
}

int qd_image_save(const struct qd_image *img, const char *path, bool force, struct qd_error *err)
{
    struct qd_buf b = {0};
    int channels = 3;
    const struct qd_codec *codec =
        strcmp(path, "-") == 0 ? &qd_codec_pnm : codec_for(path, &channels);

    if (!codec)
        return qd_error_set(err, QD_EARG,
            "cannot tell the image format of '%s' from its suffix: use .png, .jpg, .ppm or .pgm",
            path);
    int ret = encode(img, codec, channels, &b, err);
    if (ret == 0)
        ret = qd_io_put(path, force, b.data, b.len, err);
    else
        qd_error_prefix(err, "%s: ", path);
    qd_buf_free(&b);
    return ret;
}
