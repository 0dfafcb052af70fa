/* SPDX-License-Identifier: MIT */
/*
 * JPEG through libjpeg (libjpeg-turbo).  Pixels are what the library gives by default: the accurate
 * integer DCT and smooth chroma upsampling.  What it warns about (data that end too early, damaged
 * blocks) becomes one warning of ours and the image is used, as every viewer does; what it cannot
 * read is an error.  It reports errors by longjmp, so each job is a struct that the caller owns and
 * cleans up after, whichever way the work ended.
 */
#include <stdio.h> /* the library's headers use a name that base.h forbids: they come first */
#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>

#include "image/image.h"

#include "base/error.h"
#include "base/log.h"

#define QUALITY 95
#define EXIF_TAG 0x0112
/* Each scan of a progressive file costs a pass over all pixels and may take a few bytes only. */
#define SCANS_MAX 500
#define SCAN_PIXELS_MAX ((uint64_t)1 << 32)

struct job {
    struct jpeg_error_mgr mgr;         /* first: libjpeg hands back a pointer to it */
    struct jpeg_destination_mgr dest;  /* writing */
    struct jpeg_progress_mgr progress; /* reading */
    struct jpeg_decompress_struct in;  /* reading */
    struct jpeg_compress_struct to;    /* writing */
    const struct qd_image_src *src;    /* reading */
    const struct qd_image_opts *opts;  /* reading */
    const struct qd_image *from;       /* writing */
    struct qd_buf *out;                /* writing */
    struct qd_image *img;              /* reading: the result */
    uint8_t *row;                      /* reading CMYK: one row */
    char warning[JMSG_LENGTH_MAX];     /* the first one */
    struct qd_error *err;
    jmp_buf jmp;
    uint8_t chunk[16384]; /* writing */
};

/* The library's message in our form: lower case at the beginning, no full stop. */
static void describe(j_common_ptr cinfo, char *text)
{
    cinfo->err->format_message(cinfo, text);
    if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z')
        text[0] = (char)(text[0] - 'A' + 'a');
    size_t n = strlen(text);
    if (n && text[n - 1] == '.')
        text[n - 1] = 0;
}

static void on_error(j_common_ptr cinfo)
{
    struct job *j = (struct job *)(void *)cinfo->err;
    char text[JMSG_LENGTH_MAX];
    int code = cinfo->err->msg_code;
    bool unsup = code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED ||
                 code == JERR_ARITH_NOTIMPL || code == JERR_CONVERSION_NOTIMPL;

    describe(cinfo, text);
    if (code == JERR_OUT_OF_MEMORY)
        qd_error_set(j->err, QD_ENOMEM, "out of memory: %s",
            j->src ? "cannot decode JPEG" : "cannot write JPEG");
    else if (j->src)
        qd_error_at(j->err, unsup ? QD_EUNSUP : QD_EFORMAT, j->src->name, 0, "%s JPEG: %s",
            unsup ? "unsupported" : "damaged", text);
    else
        qd_error_set(j->err, QD_EFORMAT, "cannot write JPEG: %s", text);
    longjmp(j->jmp, 1);
}

static void on_message(j_common_ptr cinfo, int level)
{
    struct job *j = (struct job *)(void *)cinfo->err;

    if (level >= 0) /* a trace message */
        return;
    if (cinfo->err->num_warnings++ == 0)
        describe(cinfo, j->warning);
}

static void on_output(j_common_ptr cinfo)
{
    (void)cinfo; /* nothing goes to stderr */
}

static void on_progress(j_common_ptr cinfo)
{
    struct job *j = (struct job *)(void *)cinfo->err;
    uint64_t scan = (uint64_t)j->in.input_scan_number;
    uint64_t pixels = (uint64_t)j->in.image_width * j->in.image_height;

    if (scan > SCANS_MAX || (scan > 20 && scan * pixels > SCAN_PIXELS_MAX)) {
        qd_error_at(j->err, QD_EUNSUP, j->src->name, 0, "JPEG has too many scans");
        longjmp(j->jmp, 1);
    }
}

static void set_handlers(struct job *j)
{
    jpeg_std_error(&j->mgr);
    j->mgr.error_exit = on_error;
    j->mgr.emit_message = on_message;
    j->mgr.output_message = on_output;
}

static int guarded(struct job *j, int (*work)(struct job *j))
{
    return setjmp(j->jmp) ? -1 : work(j);
}

/* ------------------------------------------------------------------ EXIF ---------------------- */

static unsigned exif_int(const uint8_t *p, int bytes, bool big)
{
    unsigned v = 0;

    for (int i = 0; i < bytes; i++)
        v |= (unsigned)p[i] << 8 * (big ? bytes - 1 - i : i);
    return v;
}

/* The orientation, 1 to 8, in the n bytes of an EXIF segment (TIFF 6.0: an image file directory at
 * an offset, 12 bytes an entry); 1 when it says nothing valid. */
static int exif_orientation(const uint8_t *p, size_t n)
{
    if (n < 14 || memcmp(p, "Exif\0\0", 6) != 0)
        return 1;
    p += 6;
    n -= 6;
    bool big = memcmp(p, "MM\0*", 4) == 0;
    if (!big && memcmp(p, "II*\0", 4) != 0)
        return 1;
    size_t at = exif_int(p + 4, 4, big);
    if (at > n || n - at < 2)
        return 1;
    unsigned entries = exif_int(p + at, 2, big);
    for (at += 2; entries-- && n - at >= 12; at += 12) {
        if (exif_int(p + at, 2, big) != EXIF_TAG)
            continue;
        unsigned o = exif_int(p + at + 8, 2, big);
        return o >= 1 && o <= 8 ? (int)o : 1;
    }
    return 1;
}

static int find_orientation(const struct job *j)
{
    if (!j->opts->exif)
        return 1;
    for (jpeg_saved_marker_ptr m = j->in.marker_list; m; m = m->next) {
        int o = m->marker == JPEG_APP0 + 1 ? exif_orientation(m->data, m->data_length) : 1;
        if (o != 1)
            return o;
    }
    return 1;
}

/* Turn 'img' upright: orientation o says where the first row and column of the stored image lie in
 * the scene.  5 to 8 swap the sides.  Frees img. */
static struct qd_image *orient(struct qd_image *img, int o, struct qd_error *err)
{
    bool swap = o >= 5, flip_x = o == 2 || o == 3 || o == 7 || o == 8;
    bool flip_y = o == 3 || o == 4 || o == 6 || o == 7;
    struct qd_image *out =
        qd_image_new_raw(swap ? img->h : img->w, swap ? img->w : img->h, img->c, err);

    if (!out) {
        qd_image_free(img);
        return NULL;
    }
    size_t c = (size_t)img->c;
    uint8_t *d = out->data;
    for (int y = 0; y < out->h; y++)
        for (int x = 0; x < out->w; x++, d += c) {
            int sx = swap ? y : x, sy = swap ? x : y;
            if (flip_x)
                sx = img->w - 1 - sx;
            if (flip_y)
                sy = img->h - 1 - sy;
            memcpy(d, img->data + ((size_t)sy * (size_t)img->w + (size_t)sx) * c, c);
        }
    qd_image_free(img);
    return out;
}

/* ------------------------------------------------------------------ reading ------------------- */

static bool jpeg_probe(const uint8_t *data, size_t len)
{
    return len >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
}

/* The smallest of 1/8, 1/4, 1/2 that keeps the (upright) image at least as large as asked for. */
static void choose_scale(struct job *j, bool swap)
{
    JDIMENSION min_w = (JDIMENSION)QD_MAX(swap ? j->opts->min_h : j->opts->min_w, 0);
    JDIMENSION min_h = (JDIMENSION)QD_MAX(swap ? j->opts->min_w : j->opts->min_h, 0);

    j->in.scale_denom = 8;
    for (j->in.scale_num = min_w && min_h ? 1 : 8; j->in.scale_num < 8; j->in.scale_num *= 2) {
        jpeg_calc_output_dimensions(&j->in);
        if (j->in.output_width >= min_w && j->in.output_height >= min_h)
            break;
    }
}

static void choose_colour(struct job *j)
{
    switch (j->in.jpeg_color_space) {
    case JCS_GRAYSCALE:
        j->in.out_color_space = JCS_GRAYSCALE;
        break;
    case JCS_YCbCr: /* luminance is what a gray image is made of: no need to go through RGB */
        j->in.out_color_space = j->opts->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
        break;
    case JCS_CMYK:
    case JCS_YCCK:
        j->in.out_color_space = JCS_CMYK;
        break;
    default: /* RGB; the library refuses what it cannot convert */
        j->in.out_color_space = JCS_RGB;
        break;
    }
}

/* One row of CMYK to RGB.  Adobe writes the four inverted, and so does everybody who writes Adobe's
 * marker. */
static void cmyk_to_rgb(const uint8_t *s, uint8_t *d, int w, bool inverted)
{
    unsigned flip = inverted ? 0 : 255;

    for (int x = 0; x < w; x++, s += 4, d += 3) {
        unsigned k = s[3] ^ flip;
        for (int i = 0; i < 3; i++)
            d[i] = (uint8_t)(((s[i] ^ flip) * k + 127) / 255);
    }
}

/* Before pixels are allocated: every 8x8 block of the largest component takes at least one bit (a
 * Huffman code; arithmetic coding may need far less). */
static int check_length(const struct job *j)
{
    uint64_t blocks = (uint64_t)j->in.image_width * j->in.image_height / 64;
    uint64_t need = j->in.arith_code ? blocks / 2048 : blocks / 8;

    if (qd_image_check_size(j->src->name, j->in.image_width, j->in.image_height, j->err) < 0)
        return -1;
    if (need <= j->src->len)
        return 0;
    return qd_error_at(j->err, QD_EFORMAT, j->src->name, 0,
        "damaged JPEG: %zu bytes cannot hold %ux%u pixels", j->src->len, j->in.image_width,
        j->in.image_height);
}

static int read_rows(struct job *j)
{
    bool cmyk = j->in.out_color_space == JCS_CMYK;
    int w = (int)j->in.output_width, h = (int)j->in.output_height;
    int c = j->in.out_color_space == JCS_GRAYSCALE ? 1 : 3;

    j->img = qd_image_new_raw(w, h, c, j->err);
    j->row = cmyk ? qd_alloc_raw((size_t)w, 4, j->err) : NULL;
    if (!j->img || (cmyk && !j->row))
        return -1;
    size_t stride = (size_t)w * (size_t)c;
    for (int y = 0; y < h; y++) {
        uint8_t *to = j->img->data + (size_t)y * stride;
        JSAMPROW row = cmyk ? j->row : to;
        jpeg_read_scanlines(&j->in, &row, 1);
        if (cmyk)
            cmyk_to_rgb(j->row, to, w, j->in.saw_Adobe_marker);
    }
    return 0;
}

static int read_work(struct job *j)
{
    jpeg_create_decompress(&j->in);
    j->progress.progress_monitor = on_progress;
    j->in.progress = &j->progress;
    jpeg_mem_src(&j->in, j->src->data, (unsigned long)j->src->len);
    if (j->opts->exif)
        jpeg_save_markers(&j->in, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&j->in, TRUE);
    if (check_length(j) < 0)
        return -1;
    int o = find_orientation(j);
    choose_colour(j);
    choose_scale(j, o >= 5);
    jpeg_start_decompress(&j->in);
    if (read_rows(j) < 0)
        return -1;
    jpeg_finish_decompress(&j->in);
    if (o != 1)
        j->img = orient(j->img, o, j->err);
    return j->img ? 0 : -1;
}

static struct qd_image *jpeg_decode(
    const struct qd_image_src *src, const struct qd_image_opts *opts, struct qd_error *err)
{
    struct job *j = qd_alloc(1, sizeof(*j), err);

    if (!j)
        return NULL;
    j->src = src;
    j->opts = opts;
    j->err = err;
    set_handlers(j);
    j->in.err = &j->mgr;
    if (guarded(j, read_work) < 0) {
        qd_image_free(j->img);
        j->img = NULL;
    } else if (j->mgr.num_warnings > 0) {
        qd_warn("%s: damaged JPEG: %s", src->name, j->warning);
    }
    jpeg_destroy_decompress(&j->in);
    struct qd_image *img = j->img;
    qd_free(j->row);
    qd_free(j);
    return img;
}

/* ------------------------------------------------------------------ writing ------------------- */

static void on_start(j_compress_ptr cinfo)
{
    struct job *j = (struct job *)(void *)cinfo->err;

    j->dest.next_output_byte = j->chunk;
    j->dest.free_in_buffer = sizeof(j->chunk);
}

static void flush_chunk(struct job *j, size_t n)
{
    qd_buf_add(j->out, j->chunk, n);
    if (qd_buf_ok(j->out, j->err) < 0)
        longjmp(j->jmp, 1);
}

static boolean on_full(j_compress_ptr cinfo)
{
    flush_chunk((struct job *)(void *)cinfo->err, sizeof(((struct job *)0)->chunk));
    on_start(cinfo);
    return TRUE;
}

static void on_end(j_compress_ptr cinfo)
{
    struct job *j = (struct job *)(void *)cinfo->err;

    flush_chunk(j, sizeof(j->chunk) - j->dest.free_in_buffer);
}

static int write_work(struct job *j)
{
    const struct qd_image *img = j->from;
    size_t stride = (size_t)img->w * (size_t)img->c;

    jpeg_create_compress(&j->to);
    j->dest.init_destination = on_start;
    j->dest.empty_output_buffer = on_full;
    j->dest.term_destination = on_end;
    j->to.dest = &j->dest;
    j->to.image_width = (JDIMENSION)img->w;
    j->to.image_height = (JDIMENSION)img->h;
    j->to.input_components = img->c;
    j->to.in_color_space = img->c == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&j->to); /* chroma 4:2:0 */
    jpeg_set_quality(&j->to, QUALITY, TRUE);
    jpeg_start_compress(&j->to, TRUE);
    for (size_t y = 0; y < (size_t)img->h; y++) {
        JSAMPROW row = img->data + y * stride;
        jpeg_write_scanlines(&j->to, &row, 1);
    }
    jpeg_finish_compress(&j->to);
    return 0;
}

static int jpeg_encode(const struct qd_image *img, struct qd_buf *out, struct qd_error *err)
{
    struct job *j = qd_alloc(1, sizeof(*j), err);

    if (!j)
        return -1;
    j->from = img;
    j->out = out;
    j->err = err;
    set_handlers(j);
    j->to.err = &j->mgr;
    int ret = guarded(j, write_work);
    jpeg_destroy_compress(&j->to);
    qd_free(j);
    return ret;
}

const struct qd_codec qd_codec_jpeg = {
    .name = "JPEG",
    .suffix = {{"jpg", 0}, {"jpeg", 0}},
    .probe = jpeg_probe,
    .header = qd_jpeg_header,
    .decode = jpeg_decode,
    .encode = jpeg_encode,
};
