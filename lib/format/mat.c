/* SPDX-License-Identifier: MIT */
/*
 * MATLAB files.  A file is a sequence of tagged elements; a variable is an element made of elements
 * and usually wrapped in a zlib stream.  Every count is held against the bytes that are there
 * before anything is allocated for it.
 */
#include "format/mat.h"

#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/io.h"

enum { HEADER = 128, MAX_VARIABLES = 1000, MAX_FIELDS = 1000, MAX_DIMS = 32 };

/* Types of elements. */
enum {
    T_INT8 = 1,
    T_UINT8 = 2,
    T_INT16 = 3,
    T_UINT16 = 4,
    T_INT32 = 5,
    T_UINT32 = 6,
    T_SINGLE = 7,
    T_DOUBLE = 9,
    T_INT64 = 12,
    T_UINT64 = 13,
    T_MATRIX = 14,
    T_COMPRESSED = 15,
    T_UTF8 = 16,
    T_UTF16 = 17,
    T_UTF32 = 18,
};

/* Classes of arrays. */
enum { C_CELL = 1, C_STRUCT = 2, C_CHAR = 4, C_DOUBLE = 6, C_UINT64 = 15 };

/* Bytes of a file or of an uncompressed variable. */
struct reader {
    const uint8_t *p, *end;
    const char *name;
    struct qd_mat_file *file;
    struct qd_error *err;
    bool swap; /* numbers are big-endian */
    int depth;
};

struct element {
    uint32_t type, size;
    const uint8_t *data;
};

static int fault(struct reader *r, const char *what)
{
    return qd_error_at(r->err, QD_EFORMAT, r->name, 0, "damaged .mat: %s", what);
}

/* n bytes at p as an unsigned number. */
static uint64_t number(const struct reader *r, const uint8_t *p, int n)
{
    uint64_t v = 0;

    for (int i = 0; i < n; i++)
        v = v << 8 | p[r->swap ? i : n - 1 - i];
    return v;
}

/* The next element.  Small ones have their data in the tag. */
static int next(struct reader *r, struct element *e)
{
    size_t left = (size_t)(r->end - r->p);

    if (left < 8)
        return fault(r, "the file ends inside of an element");
    uint32_t first = (uint32_t)number(r, r->p, 4);
    if (first >> 16) {
        *e = (struct element){first & 0xffff, first >> 16, r->p + 4};
        if (e->size > 4)
            return fault(r, "a small element of more than 4 bytes");
        r->p += 8;
        return 0;
    }
    *e = (struct element){first, (uint32_t)number(r, r->p + 4, 4), r->p + 8};
    if (e->size > left - 8)
        return fault(r, "an element is longer than what is left");
    size_t whole = 8 + (size_t)e->size;
    if (e->type != T_COMPRESSED)
        whole = qd_round_up(whole, 8);
    r->p += QD_MIN(whole, left); /* the padding of the last one may be missing */
    return 0;
}

/* ------------------------------------------------------------------ numbers ------------------- */

static int width(uint32_t type)
{
    switch (type) {
    case T_INT8:
    case T_UINT8:
    case T_UTF8:
        return 1;
    case T_INT16:
    case T_UINT16:
    case T_UTF16:
        return 2;
    case T_INT32:
    case T_UINT32:
    case T_SINGLE:
    case T_UTF32:
        return 4;
    case T_DOUBLE:
    case T_INT64:
    case T_UINT64:
        return 8;
    default:
        return 0;
    }
}

static double value(uint32_t type, uint64_t bits)
{
    union {
        uint64_t u;
        double d;
    } wide = {bits};
    union {
        uint32_t u;
        float f;
    } narrow = {(uint32_t)bits};

    switch (type) {
    case T_INT8:
        return (int8_t)bits;
    case T_INT16:
        return (int16_t)bits;
    case T_INT32:
        return (int32_t)bits;
    case T_INT64:
        return (double)(int64_t)bits;
    case T_SINGLE:
        return (double)narrow.f;
    case T_DOUBLE:
        return wide.d;
    default:
        return (double)bits;
    }
}

/* m->n numbers of an element; text in UTF-8 may have fewer characters than bytes. */
static int read_values(struct reader *r, struct qd_mat *m)
{
    struct element e = {0};

    if (next(r, &e) < 0)
        return -1;
    int w = width(e.type);
    if (!w)
        return fault(r, "numbers of an unknown type");
    size_t n = e.size / (unsigned)w;
    if (m->class == QD_MAT_NUMBER ? n != m->n : n < m->n)
        return fault(r, "an array and its dimensions do not agree");
    double *v = qd_arena_alloc(&r->file->arena, m->n ? m->n : 1, sizeof(*v), r->err);
    if (!v)
        return -1;
    for (size_t i = 0; i < m->n; i++)
        v[i] = value(e.type, number(r, e.data + i * (size_t)w, w));
    m->value = v;
    return 0;
}

/* ------------------------------------------------------------------ arrays -------------------- */

static int read_matrix(struct reader *r, const struct element *e, struct qd_mat *m);

/* n arrays, one after the other. */
static int read_children(struct reader *r, size_t n, struct qd_mat *m)
{
    struct element e = {0};

    if (n > (size_t)(r->end - r->p) / 8)
        return fault(r, "an array has fewer elements than its dimensions say");
    m->child = qd_arena_alloc(&r->file->arena, n ? n : 1, sizeof(*m->child), r->err);
    if (!m->child)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (next(r, &e) < 0)
            return -1;
        if (e.type != T_MATRIX)
            return fault(r, "a cell or field that is not an array");
        if (read_matrix(r, &e, &m->child[i]) < 0)
            return -1;
    }
    return 0;
}

static int read_struct(struct reader *r, struct qd_mat *m)
{
    struct element length = {0}, names = {0};

    if (next(r, &length) < 0 || next(r, &names) < 0)
        return -1;
    if (length.type != T_INT32 || length.size != 4 || names.type != T_INT8)
        return fault(r, "names of fields in an unknown form");
    size_t each = (size_t)number(r, length.data, 4);
    if (each < 1 || each > 64 || names.size % each || names.size / each > MAX_FIELDS)
        return fault(r, "names of fields of an impossible length");
    m->fields = (int)(names.size / each);
    m->field =
        qd_arena_alloc(&r->file->arena, (size_t)QD_MAX(m->fields, 1), sizeof(*m->field), r->err);
    if (!m->field)
        return -1;
    for (int i = 0; i < m->fields; i++) {
        const char *s = (const char *)names.data + (size_t)i * each;
        const char *end = memchr(s, 0, each);
        m->field[i] = qd_arena_strndup(&r->file->arena, s, end ? (size_t)(end - s) : each, r->err);
        if (!m->field[i])
            return -1;
    }
    if (!m->fields) /* then nothing holds the dimensions against the file */
        m->n = 0;
    size_t n;
    if (!qd_mul_size(m->n, (size_t)m->fields, &n))
        return fault(r, "an array of impossible size");
    return read_children(r, n, m);
}

static int read_dims(struct reader *r, struct qd_mat *m)
{
    struct element e = {0};

    if (next(r, &e) < 0)
        return -1;
    if (e.type != T_INT32 || e.size < 8 || e.size % 4 || e.size / 4 > MAX_DIMS)
        return fault(r, "dimensions in an unknown form");
    m->n = 1;
    for (uint32_t i = 0; i < e.size; i += 4)
        if (!qd_mul_size(m->n, (size_t)number(r, e.data + i, 4), &m->n))
            return fault(r, "an array of impossible size");
    return 0;
}

static int read_name(struct reader *r, struct qd_mat *m)
{
    struct element e = {0};

    if (next(r, &e) < 0)
        return -1;
    if (e.type != T_INT8 && e.type != T_UINT8 && e.type != T_UTF8)
        return fault(r, "the name of an array in an unknown form");
    m->name = qd_arena_strndup(&r->file->arena, (const char *)e.data, e.size, r->err);
    return m->name ? 0 : -1;
}

/* The inside of a T_MATRIX element; an empty one is an empty array. */
static int read_array(struct reader *r, struct qd_mat *m)
{
    struct element flags = {0};

    m->name = "";
    m->class = QD_MAT_OTHER;
    if (r->p == r->end)
        return 0;
    if (next(r, &flags) < 0)
        return -1;
    if (flags.type != T_UINT32 || flags.size != 8)
        return fault(r, "an array without flags");
    int class = (int)(number(r, flags.data, 4) & 255);
    bool known = class == C_CELL || class == C_STRUCT || class == C_CHAR ||
                 (class >= C_DOUBLE && class <= C_UINT64);
    if (!known)
        return 0; /* objects, sparse matrices: nobody looks inside */
    if (read_dims(r, m) < 0 || read_name(r, m) < 0)
        return -1;
    if (class == C_CELL) {
        m->class = QD_MAT_CELL;
        return read_children(r, m->n, m);
    }
    if (class == C_STRUCT) {
        m->class = QD_MAT_STRUCT;
        return read_struct(r, m);
    }
    m->class = class == C_CHAR ? QD_MAT_TEXT : QD_MAT_NUMBER;
    return read_values(r, m);
}

static int read_matrix(struct reader *r, const struct element *e, struct qd_mat *m)
{
    struct reader inner = *r;

    if (r->depth == QD_MAT_DEPTH)
        return qd_error_at(r->err, QD_EUNSUP, r->name, 0,
            "cells and structs are nested more than %d deep", QD_MAT_DEPTH);
    inner.p = e->data;
    inner.end = e->data + e->size;
    inner.depth++;
    return read_array(&inner, m);
}

/* ------------------------------------------------------------------ the file ------------------ */

static voidpf z_alloc(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    return qd_alloc_raw(items, size, NULL);
}

static void z_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    qd_free(p);
}

/* Uncompress an element; 'used' counts what all of them give. */
static int expand(struct reader *r, const struct element *e, size_t *used, struct qd_buf *out)
{
    z_stream z = {.zalloc = z_alloc, .zfree = z_free};
    uint8_t chunk[16384];
    union {
        const uint8_t *in;
        Bytef *z;
    } data = {e->data};
    int ret = Z_OK;

    z.next_in = data.z;
    z.avail_in = e->size;
    if (inflateInit(&z) != Z_OK)
        return qd_error_nomem(r->err, sizeof(z));
    while (ret == Z_OK && *used <= QD_MAT_MAX) {
        z.next_out = chunk;
        z.avail_out = sizeof(chunk);
        ret = inflate(&z, Z_NO_FLUSH);
        size_t n = sizeof(chunk) - z.avail_out;
        qd_buf_add(out, chunk, n);
        *used += n;
    }
    inflateEnd(&z);
    if (*used > QD_MAT_MAX)
        return qd_error_at(
            r->err, QD_EUNSUP, r->name, 0, "more than %zu bytes when uncompressed", QD_MAT_MAX);
    if (ret == Z_MEM_ERROR)
        return qd_error_nomem(r->err, sizeof(chunk));
    if (ret != Z_STREAM_END)
        return fault(r, "a compressed variable does not uncompress");
    return qd_buf_ok(out, r->err);
}

static int read_variable(struct reader *r, const struct element *e, size_t *used)
{
    struct qd_buf plain = {0};
    struct reader inner = *r;
    struct element matrix = *e;
    int ret = 0;

    if (e->type == T_COMPRESSED) {
        ret = expand(r, e, used, &plain);
        inner.p = (const uint8_t *)plain.data;
        inner.end = inner.p + plain.len;
        if (ret == 0)
            ret = next(&inner, &matrix);
    }
    if (ret == 0 && matrix.type == T_MATRIX) {
        ret = read_matrix(&inner, &matrix, &r->file->variable[r->file->n]);
        r->file->n += ret == 0;
    } else if (ret == 0) {
        ret = fault(r, "a variable that is not an array");
    }
    qd_buf_free(&plain);
    return ret;
}

static int check_header(struct reader *r)
{
    size_t len = (size_t)(r->end - r->p);
    static const char hdf[] = "\x89HDF\r\n\x1a\n";

    if (len >= 10 && memcmp(r->p, "MATLAB 7.3", 10) == 0)
        return qd_error_at(r->err, QD_EUNSUP, r->name, 0,
            "MATLAB 7.3 files (HDF5) are not supported: save with '-v7'");
    if (len >= 8 && memcmp(r->p, hdf, 8) == 0)
        return qd_error_at(r->err, QD_EUNSUP, r->name, 0,
            "HDF5 files are not supported: save with '-v7' in MATLAB");
    if (len < HEADER)
        return qd_error_at(r->err, QD_EFORMAT, r->name, 0, "not a MATLAB file of level 5");
    const uint8_t *mark = r->p + HEADER - 2;
    r->swap = mark[0] == 'M' && mark[1] == 'I';
    if (!r->swap && !(mark[0] == 'I' && mark[1] == 'M'))
        return qd_error_at(r->err, QD_EFORMAT, r->name, 0, "not a MATLAB file of level 5");
    if (number(r, r->p + HEADER - 4, 2) >> 8 != 1)
        return qd_error_at(r->err, QD_EUNSUP, r->name, 0, "a MATLAB file of an unknown version");
    r->p += HEADER;
    return 0;
}

int qd_mat_parse(
    struct qd_mat_file *f, const void *data, size_t len, const char *name, struct qd_error *err)
{
    struct reader r = {.p = data, .name = name, .file = f, .err = err};
    struct element e = {0};
    size_t used = 0;

    *f = (struct qd_mat_file){0};
    r.end = r.p + len;
    if (check_header(&r) < 0)
        return -1;
    f->variable = qd_arena_alloc(&f->arena, MAX_VARIABLES, sizeof(*f->variable), err);
    if (!f->variable)
        return -1;
    while (r.p < r.end) {
        if (next(&r, &e) < 0)
            return -1;
        if (f->n == MAX_VARIABLES)
            return qd_error_at(err, QD_EUNSUP, name, 0, "more than %d variables", MAX_VARIABLES);
        if (read_variable(&r, &e, &used) < 0)
            return -1;
    }
    return 0;
}

int qd_mat_load(struct qd_mat_file *f, const char *path, struct qd_error *err)
{
    struct qd_buf b = {0};

    *f = (struct qd_mat_file){0};
    int ret = qd_io_slurp(path, QD_MAT_MAX, &b, err);
    if (ret == 0)
        ret = qd_mat_parse(f, b.len ? b.data : "", b.len, path, err);
    qd_buf_free(&b);
    return ret;
}

void qd_mat_free(struct qd_mat_file *f)
{
    qd_arena_free(&f->arena);
    *f = (struct qd_mat_file){0};
}

const struct qd_mat *qd_mat_variable(const struct qd_mat_file *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->variable[i].name, name) == 0)
            return &f->variable[i];
    return NULL;
}

const struct qd_mat *qd_mat_field(const struct qd_mat *m, size_t i, const char *name)
{
    if (m->class != QD_MAT_STRUCT || i >= m->n)
        return NULL;
    for (int k = 0; k < m->fields; k++)
        if (strcmp(m->field[k], name) == 0)
            return &m->child[i * (size_t)m->fields + (size_t)k];
    return NULL;
}
