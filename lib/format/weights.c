/* SPDX-License-Identifier: MIT */
/*
 * The darknet weights file: a header of 16 or 20 bytes, then nothing but floats.  No name or size
 * is stored, so a file that belongs to another cfg can be told by its length only; that is checked
 * first and to the float.  A pass over the content then looks for values that no training leaves
 * behind, and only after that the arrays are filled.
 */
#include "format/weights.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"

enum {
    BLOCK = 1 << 18,      /* floats looked at in one go */
    PIPE_SPARE = 1 << 20, /* bytes read beyond what is needed from what is not a file ... */
    PIPE_EXTRA = 1 << 30, /* ... and when more is allowed */
};

/* An open weights file, and how it compares with the arrays wanted. */
struct reader {
    const char *path, *name; /* name: for messages that begin with the place */
    FILE *f;
    struct qd_buf mem; /* the content when it is not a regular file */
    uint64_t size;     /* bytes */
    struct qd_wheader head;
    uint64_t width; /* of the header */
    const struct qd_warray *a;
    size_t n;        /* arrays to read; check_size() lowers it for a partial file */
    uint64_t floats; /* that all arrays hold */
    struct qd_error *err;
};

static int count_floats(struct reader *r)
{
    r->floats = 0;
    for (size_t i = 0; i < r->n; i++)
        if (__builtin_add_overflow(r->floats, (uint64_t)r->a[i].count, &r->floats) ||
            r->floats > INT64_MAX / 8)
            return qd_error_set(r->err, QD_EUNSUP, "%s: the model is too large", r->name);
    return 0;
}

/* What is not a regular file cannot be measured or read twice: take it into memory. */
static int open_stream(struct reader *r, bool extra)
{
    uint64_t most = 4 * r->floats + PIPE_SPARE + (extra ? PIPE_EXTRA : 0);

    if (qd_io_slurp(r->path, (size_t)QD_MIN(most, SIZE_MAX / 2), &r->mem, r->err) < 0)
        return -1;
    r->size = r->mem.len;
    if (!r->size)
        return 0;
    r->f = fmemopen(r->mem.data, r->mem.len, "rb");
    if (!r->f)
        return qd_error_set(r->err, QD_EIO, "cannot read '%s': %s", r->path, strerror(errno));
    return 0;
}

static int open_input(struct reader *r, bool extra)
{
    struct stat st;

    if (strcmp(r->path, "-") == 0)
        return open_stream(r, extra);
    if (stat(r->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return open_stream(r, extra);
    r->f = fopen(r->path, "rb");
    if (!r->f)
        return qd_error_set(r->err, QD_EIO, "cannot open '%s': %s", r->path, strerror(errno));
    if (fstat(fileno(r->f), &st) < 0)
        return qd_error_set(r->err, QD_EIO, "cannot read '%s': %s", r->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return qd_error_set(r->err, QD_EIO, "cannot read '%s': %s", r->path, strerror(EISDIR));
    r->size = (uint64_t)st.st_size;
    return 0;
}

static int read_failed(struct reader *r)
{
    if (r->f && ferror(r->f))
        return qd_error_set(r->err, QD_EIO, "cannot read '%s': %s", r->path, strerror(errno));
    return qd_error_set(r->err, QD_EIO, "cannot read '%s': it became shorter meanwhile", r->path);
}

/* -------------------------------------------------------------------- header and size --------- */

static bool fits(const struct reader *r, uint64_t width)
{
    return r->size >= width && r->size - width == 4 * r->floats;
}

/*
 * Version 0.2 and later count images in 64 bits.  The oldest files have no version at all: three
 * training parameters stand there, which give huge numbers; [connected] is transposed in them.
 * Programs disagree about the width then, so the size decides.
 */
static int read_header(struct reader *r)
{
    unsigned char h[20] = {0};
    struct qd_wheader *w = &r->head;
    size_t have = (size_t)QD_MIN(r->size, sizeof(h));

    if (have && fread(h, 1, have, r->f) != have)
        return read_failed(r);
    w->major = (int)(int32_t)qd_le32(h);
    w->minor = (int)(int32_t)qd_le32(h + 4);
    w->revision = (int)(int32_t)qd_le32(h + 8);
    w->transposed = w->major > 1000 || w->minor > 1000;
    if (w->transposed)
        r->width = fits(r, 20) ? 20 : 16;
    else
        r->width = 10 * (int64_t)w->major + w->minor >= 2 ? 20 : 16;
    if (have < r->width)
        return qd_error_set(r->err, QD_EFORMAT,
            "%s: offset %zu: file ends inside the header of %d bytes", r->name, have,
            (int)r->width);
    w->seen = r->width == 20 ? qd_le64(h + 12) : qd_le32(h + 12);
    return 0;
}

/* ", but it would fit ..." when the other header width makes the size right. */
static const char *hint(const struct reader *r)
{
    if (!fits(r, 36 - r->width))
        return "";
    return r->width == 20 ? "; it would fit with a header of 16 bytes"
                          : "; it would fit with a header of 20 bytes";
}

/* Layers that the first n arrays belong to. */
static int layers_in(const struct qd_warray *a, size_t n)
{
    int layers = 0;

    for (size_t i = 0; i < n; i++)
        layers += i == 0 || a[i].layer != a[i - 1].layer;
    return layers;
}

/* The file ends within or before array 'i', 'present' floats and 'rest' bytes into it. */
static int too_short(struct reader *r, size_t i, uint64_t present, bool partial)
{
    const struct qd_warray *a = &r->a[i];
    unsigned long long size = r->size, rest = (r->size - r->width) % 4;
    bool boundary = !present && !rest && (i == 0 || a->layer != a[-1].layer);
    char more[40] = "";

    if (boundary && i == 0)
        return qd_error_set(r->err, QD_EFORMAT, "%s: offset %llu: file ends after the header%s",
            r->name, size, hint(r));
    if (boundary && partial) {
        r->n = i;
        return 0;
    }
    if (boundary)
        return qd_error_set(r->err, QD_EFORMAT,
            "%s: offset %llu: file ends after layer %d (%s): it holds %d of %d layers that have "
            "weights%s",
            r->name, size, a[-1].layer, a[-1].type, layers_in(r->a, i), layers_in(r->a, r->n),
            hint(r));
    if (rest)
        snprintf(more, sizeof(more), " and %llu byte%s", rest, rest == 1 ? "" : "s");
    return qd_error_set(r->err, QD_EFORMAT,
        "%s: offset %llu: file ends inside layer %d (%s, %s): %zu floats expected, %llu%s "
        "present%s",
        r->name, size, a->layer, a->type, a->name, a->count, (unsigned long long)present, more,
        hint(r));
}

static int check_size(struct reader *r, const struct qd_load_opts *o, bool all)
{
    uint64_t body = r->size - r->width, left = body / 4;

    for (size_t i = 0; i < r->n; i++) {
        if (left < r->a[i].count)
            return too_short(r, i, left, o->partial);
        left -= r->a[i].count;
    }
    if (body == 4 * r->floats || o->extra || !all)
        return 0;
    unsigned long long end = r->width + 4 * r->floats, more = r->size - end;
    if (!r->n)
        return qd_error_set(r->err, QD_EFORMAT,
            "%s: offset %llu: %llu bytes after the header, but no layer has weights", r->name, end,
            more);
    return qd_error_set(r->err, QD_EFORMAT,
        "%s: offset %llu: file goes on after the last layer %d (%s, %s): %llu floats expected, "
        "%llu present%s",
        r->name, end, r->a[r->n - 1].layer, r->a[r->n - 1].type, r->a[r->n - 1].name,
        (unsigned long long)r->floats, (unsigned long long)(body / 4), hint(r));
}

/* -------------------------------------------------------------------- content ----------------- */

/* Bits of a float, little-endian in p. */
static uint32_t bits(const float *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* Whether a block is all finite and, for a variance, not negative; 'any' collects nonzero bits. */
static bool sound(const float *p, size_t n, bool variance, uint32_t *any)
{
    uint32_t worst = 0, sign = 0, nonzero = 0; /* no branches: this is a vector loop */

    for (size_t i = 0; i < n; i++) {
        uint32_t v = bits(p + i), m = v & 0x7fffffffu;
        worst = QD_MAX(worst, m);
        sign |= m ? v : 0; /* -0 is not negative */
        nonzero |= m;
    }
    *any |= nonzero;
    return worst < 0x7f800000u && !(variance && sign >> 31);
}

/* Name the first unsound value of a block that begins at index 'from' of the array. */
static int unsound(
    struct reader *r, const struct qd_warray *a, const float *p, size_t n, uint64_t from)
{
    bool variance = strcmp(a->name, "rolling_variance") == 0;
    char number[64];
    size_t i = 0;
    uint32_t any = 0;

    while (i + 1 < n && sound(p + i, 1, variance, &any))
        i++;
    uint64_t offset = r->width + 4 * (from + i);
    for (const struct qd_warray *b = r->a; b < a; b++)
        offset += 4 * (uint64_t)b->count;
    const char *what = isnan(p[i])   ? "not a number"
                       : isinf(p[i]) ? "infinite"
                                     : qd_num_format(p[i], number);
    return qd_error_set(r->err, QD_EFORMAT,
        "%s: offset %llu: value %llu of layer %d (%s, %s) is %s%s", r->name,
        (unsigned long long)offset, (unsigned long long)(from + i), a->layer, a->type, a->name,
        what, isfinite(p[i]) ? ", a variance cannot be negative" : "");
}

static int check_array(struct reader *r, const struct qd_warray *a, float *block)
{
    bool variance = strcmp(a->name, "rolling_variance") == 0;
    uint32_t any = 0;

    for (size_t done = 0; done < a->count;) {
        size_t n = QD_MIN(a->count - done, (size_t)BLOCK);
        if (fread(block, sizeof(float), n, r->f) != n)
            return read_failed(r);
        qd_le_floats(block, n);
        if (!sound(block, n, variance, &any))
            return unsound(r, a, block, n, done);
        done += n;
    }
    if (variance && a->count && !any)
        qd_warn("%s: layer %d (%s, %s): all values are zero", r->name, a->layer, a->type, a->name);
    return 0;
}

static int check_content(struct reader *r)
{
    size_t longest = 1;

    for (size_t i = 0; i < r->n; i++)
        longest = QD_MAX(longest, r->a[i].count);
    float *block = qd_alloc_raw(QD_MIN(longest, (size_t)BLOCK), sizeof(float), r->err);
    int ret = block ? 0 : -1;
    for (size_t i = 0; ret == 0 && i < r->n; i++)
        ret = check_array(r, &r->a[i], block);
    qd_free(block);
    return ret;
}

static int fill(struct reader *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct qd_warray *a = &r->a[i];
        if (!a->data) {
            if (fseeko(r->f, (off_t)(4 * a->count), SEEK_CUR) < 0)
                return read_failed(r);
            continue;
        }
        if (fread(a->data, sizeof(float), a->count, r->f) != a->count)
            return read_failed(r);
        qd_le_floats(a->data, a->count);
    }
    return 0;
}

static int read_all(struct reader *r, const struct qd_load_opts *o)
{
    size_t all = r->n;

    for (size_t i = 0; o->upto > 0 && i < r->n; i++)
        if (r->a[i].layer >= o->upto)
            r->n = i;
    if (count_floats(r) < 0 || open_input(r, o->extra || r->n < all) < 0 || read_header(r) < 0 ||
        check_size(r, o, o->upto <= 0) < 0)
        return -1;
    if (fseeko(r->f, (off_t)r->width, SEEK_SET) < 0)
        return read_failed(r);
    if (check_content(r) < 0)
        return -1;
    if (fseeko(r->f, (off_t)r->width, SEEK_SET) < 0)
        return read_failed(r);
    return fill(r);
}

int qd_weights_read(const char *path, const struct qd_warray *a, size_t n,
    const struct qd_load_opts *opts, struct qd_load_info *info, struct qd_wheader *header,
    struct qd_error *err)
{
    static const struct qd_load_opts none;
    struct reader r = {.path = path, .a = a, .n = n, .err = err};

    r.name = strcmp(path, "-") ? path : "<stdin>";
    int ret = read_all(&r, opts ? opts : &none);
    if (r.f)
        fclose(r.f);
    qd_buf_free(&r.mem);
    if (ret < 0)
        return -1;
    if (info)
        *info = (struct qd_load_info){.layers = layers_in(a, r.n),
            .major = r.head.major,
            .minor = r.head.minor,
            .revision = r.head.revision,
            .seen = r.head.seen};
    if (header)
        *header = r.head;
    return 0;
}

int qd_weights_write(const char *path, bool force, uint64_t seen, const struct qd_warray *a,
    size_t n, struct qd_error *err)
{
    unsigned char head[20];
    float block[4096];
    struct qd_out out;

    if (qd_io_create(&out, path, force, err) < 0)
        return -1;
    qd_put_le32(head, 0);
    qd_put_le32(head + 4, 2);
    qd_put_le32(head + 8, 5);
    qd_put_le64(head + 12, seen);
    qd_io_write(&out, head, sizeof(head));
    for (size_t i = 0; i < n; i++) {
        for (size_t done = 0; done < a[i].count;) {
            size_t m = QD_MIN(a[i].count - done, QD_LEN(block));
            memcpy(block, a[i].data + done, m * sizeof(float));
            qd_le_floats(block, m);
            qd_io_write(&out, block, m * sizeof(float));
            done += m;
        }
    }
    return qd_io_commit(&out, err);
}
