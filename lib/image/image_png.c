/* SPDX-License-Identifier: MIT */
/*
 * PNG through libpng.  Every kind of file becomes 8-bit gray or RGB: palettes are looked up, 16-bit
 * samples rounded, transparency is dropped.  libpng reports errors by longjmp, so each job is a
 * struct that the caller owns and cleans up after, whichever way the work ended.
 */
#include "image/image.h"

#include <png.h>
#include <setjmp.h>

#include "base/error.h"

struct job {
    const struct qd_image_src *src;
    struct qd_error *err;
    png_structp png;
    png_infop info;
    size_t pos;                  /* reading: bytes consumed */
    struct qd_image *img;        /* reading: the result */
    const struct qd_image *from; /* writing */
    struct qd_buf *out;          /* writing */
    size_t nomem;                /* bytes of the allocation that failed */
    jmp_buf jmp;
};

static void on_error(png_structp png, png_const_charp msg)
{
    struct job *j = png_get_error_ptr(png);
    char text[200];

    snprintf(text, sizeof(text), "%s", msg);
    /* libpng writes sentences; ours begin in lower case unless the word is an abbreviation */
    if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z')
        text[0] = (char)(text[0] - 'A' + 'a');
    if (j->nomem)
        qd_error_nomem(j->err, j->nomem);
    else if (j->src)
        qd_error_at(j->err, QD_EFORMAT, j->src->name, 0, "damaged PNG: %s", text);
    else
        qd_error_set(j->err, QD_EFORMAT, "cannot write PNG: %s", text);
    longjmp(j->jmp, 1);
}

/* Nearly all are about colour profiles and text, which we do not use. */
static void on_warning(png_structp png, png_const_charp msg)
{
    (void)png;
    (void)msg;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    struct job *j = png_get_mem_ptr(png);
    void *p = qd_alloc_raw(size, 1, NULL);

    if (!p)
        j->nomem = size;
    return p;
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    qd_free(p);
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    struct job *j = png_get_io_ptr(png);

    if (n > j->src->len - j->pos)
        png_error(png, "file ends too early");
    memcpy(to, j->src->data + j->pos, n);
    j->pos += n;
}

static void on_write(png_structp png, png_bytep data, size_t n)
{
    struct job *j = png_get_io_ptr(png);

    qd_buf_add(j->out, data, n);
    if (j->out->failed) {
        j->nomem = n;
        png_error(png, "out of memory");
    }
}

static void on_flush(png_structp png)
{
    (void)png;
}

static int guarded(struct job *j, int (*work)(struct job *j))
{
    return setjmp(j->jmp) ? -1 : work(j);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool png_probe(const uint8_t *data, size_t len)
{
    return len >= 4 && memcmp(data, "\x89PNG", 4) == 0;
}

static int png_header(
    const struct qd_image_src *src, struct qd_image_dims *dims, struct qd_error *err)
{
    const uint8_t *d = src->data;

    if (src->len < 26)
        return 0;
    if (memcmp(d, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16) != 0)
        return qd_error_at(err, QD_EFORMAT, src->name, 0, "damaged PNG: no header chunk");
    if (qd_image_check_size(src->name, be32(d + 16), be32(d + 20), err) < 0)
        return -1;
    dims->w = (int)be32(d + 16);
    dims->h = (int)be32(d + 20);
    dims->c = d[25] & PNG_COLOR_MASK_COLOR ? 3 : 1;
    return 1;
}

/* A file that is too short to hold its pixels is refused before they are allocated: deflate cannot
 * expand data by more than 1032 to 1. */
static int check_length(struct job *j, size_t row_bytes, size_t rows)
{
    if ((row_bytes + 1) * rows / 1032 <= j->src->len)
        return 0;
    return qd_error_at(j->err, QD_EFORMAT, j->src->name, 0,
        "damaged PNG: %zu bytes cannot hold %ux%zu pixels", j->src->len,
        png_get_image_width(j->png, j->info), rows);
}

static int read_work(struct job *j)
{
    png_set_user_limits(j->png, QD_IMAGE_SIDE_MAX, QD_IMAGE_SIDE_MAX);
    png_set_read_fn(j->png, j, on_read);
    png_read_info(j->png, j->info);
    png_uint_32 w = png_get_image_width(j->png, j->info);
    png_uint_32 h = png_get_image_height(j->png, j->info);
    int type = png_get_color_type(j->png, j->info);
    int c = type & PNG_COLOR_MASK_COLOR ? 3 : 1;

    if (qd_image_check_size(j->src->name, w, h, j->err) < 0 ||
        check_length(j, png_get_rowbytes(j->png, j->info), h) < 0)
        return -1;
    if (png_get_bit_depth(j->png, j->info) == 16)
        png_set_scale_16(j->png);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(j->png);
    else if (type == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(j->png);
    png_set_strip_alpha(j->png);
    int passes = png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    size_t stride = (size_t)w * (size_t)c;
    if (png_get_rowbytes(j->png, j->info) != stride)
        return qd_error_at(j->err, QD_EUNSUP, j->src->name, 0, "unknown kind of PNG");
    j->img = qd_image_new_raw((int)w, (int)h, c, j->err);
    if (!j->img)
        return -1;
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < h; y++)
            png_read_row(j->png, j->img->data + y * stride, NULL);
    png_read_end(j->png, NULL);
    return 0;
}

static struct qd_image *png_decode(
    const struct qd_image_src *src, const struct qd_image_opts *opts, struct qd_error *err)
{
    struct job j = {.src = src, .err = err};

    (void)opts;
    j.png = png_create_read_struct_2(
        PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, on_malloc, on_free);
    j.info = j.png ? png_create_info_struct(j.png) : NULL;
    if (!j.info)
        qd_error_nomem(err, j.nomem);
    else if (guarded(&j, read_work) < 0) {
        qd_image_free(j.img);
        j.img = NULL;
    }
    png_destroy_read_struct(&j.png, &j.info, NULL);
    return j.img;
}

static int write_work(struct job *j)
{
    const struct qd_image *img = j->from;
    size_t stride = (size_t)img->w * (size_t)img->c;

    png_set_write_fn(j->png, j, on_write, on_flush);
    png_set_IHDR(j->png, j->info, (png_uint_32)img->w, (png_uint_32)img->h, 8,
        img->c == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
        PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    /* drawn photos are written by the hundred: speed counts more than the last bytes */
    png_set_compression_level(j->png, 1);
    png_set_filter(j->png, 0, PNG_FILTER_SUB);
    png_write_info(j->png, j->info);
    for (size_t y = 0; y < (size_t)img->h; y++)
        png_write_row(j->png, img->data + y * stride);
    png_write_end(j->png, NULL);
    return 0;
}

static int png_encode(const struct qd_image *img, struct qd_buf *out, struct qd_error *err)
{
    struct job j = {.from = img, .out = out, .err = err};
    int ret = -1;

    j.png = png_create_write_struct_2(
        PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, on_malloc, on_free);
    j.info = j.png ? png_create_info_struct(j.png) : NULL;
    if (!j.info)
        qd_error_nomem(err, j.nomem);
    else
        ret = guarded(&j, write_work);
    png_destroy_write_struct(&j.png, &j.info);
    return ret;
}

const struct qd_codec qd_codec_png = {
    .name = "PNG",
    .suffix = {{"png", 0}},
    .probe = png_probe,
    .header = png_header,
    .decode = png_decode,
    .encode = png_encode,
};
