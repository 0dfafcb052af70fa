/* SPDX-License-Identifier: MIT */
/* MATLAB files as the hands set has them, written here byte by byte: compressed and not, cells and
 * struct arrays, numbers stored small, the other byte order; and each defect with its message. */
#include <math.h>
#include <zlib.h>

#include "import_rig.h"
#include "format/mat.h"

enum { INT8 = 1, UINT8 = 2, INT16 = 3, INT32 = 5, UINT32 = 6, SINGLE = 7, DOUBLE = 9, MATRIX = 14 };
enum { CELL = 1, STRUCT = 2, CHAR = 4, SPARSE = 5, REAL = 6 };

static bool big; /* byte order of what is written */

static void number(struct qd_buf *b, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) {
        char c = (char)(v >> 8 * (big ? n - 1 - i : i));
        qd_buf_add(b, &c, 1);
    }
}

/* An element with padding; the small form where it fits. */
static void element(struct qd_buf *b, unsigned type, const void *data, size_t len)
{
    if (len <= 4 && type != MATRIX) {
        number(b, (uint64_t)len << 16 | type, 4);
        qd_buf_add(b, data, len);
        qd_buf_add(b, "\0\0\0", 4 - len);
        return;
    }
    number(b, type, 4);
    number(b, len, 4);
    qd_buf_add(b, data, len);
    qd_buf_add(b, "\0\0\0\0\0\0\0", (8 - len % 8) % 8);
}

/* What all arrays begin with. */
static void head(
    struct qd_buf *b, unsigned class, unsigned rows, unsigned columns, const char *name)
{
    struct qd_buf v = {0};

    number(&v, class, 4);
    number(&v, 0, 4);
    element(b, UINT32, v.data, v.len);
    v.len = 0;
    number(&v, rows, 4);
    number(&v, columns, 4);
    element(b, INT32, v.data, v.len);
    element(b, INT8, name, strlen(name));
    qd_buf_free(&v);
}

/* A 1x2 array of doubles, stored as 'type'. */
static void point(struct qd_buf *out, unsigned type, double y, double x)
{
    struct qd_buf b = {0}, v = {0};
    double p[2] = {y, x};

    head(&b, REAL, 1, 2, "");
    for (int i = 0; i < 2; i++) {
        uint64_t bits;
        float f = (float)p[i];
        uint32_t narrow;
        memcpy(&bits, &p[i], 8);
        memcpy(&narrow, &f, 4);
        if (type == DOUBLE)
            number(&v, bits, 8);
        else if (type == SINGLE)
            number(&v, narrow, 4);
        else
            number(&v, (uint64_t)(int64_t)p[i], type == INT16 ? 2 : 1);
    }
    element(&b, type, v.data, v.len);
    element(out, MATRIX, b.data, b.len);
    qd_buf_free(&b);
    qd_buf_free(&v);
}

/* The names of n fields, and their values are appended by the caller. */
static void fields(struct qd_buf *b, const char *const *names, int n)
{
    struct qd_buf v = {0};
    char text[8];

    number(&v, 8, 4);
    element(b, INT32, v.data, v.len);
    v.len = 0;
    for (int i = 0; i < n; i++) {
        memset(text, 0, sizeof(text));
        snprintf(text, sizeof(text), "%s", names[i]);
        qd_buf_add(&v, text, sizeof(text));
    }
    element(b, INT8, v.data, v.len);
    qd_buf_free(&v);
}

static const char *const abcd[] = {"a", "b", "c", "d", "type"};

/* The corners (10,20) (10,40) (30,40) (30,20), moved by dx, and a text. */
static void corners(struct qd_buf *b, unsigned type, double dx)
{
    struct qd_buf t = {0};

    point(b, type, 10, 20 + dx);
    point(b, type, 10, 40 + dx);
    point(b, type, 30, 40 + dx);
    point(b, type, 30, 20 + dx);
    head(&t, CHAR, 1, 1, "");
    element(&t, UINT8, "L", 1);
    element(b, MATRIX, t.data, t.len);
    qd_buf_free(&t);
}

/* boxes = {struct, struct ...} */
static void cells(struct qd_buf *out, unsigned type, int n, double dx)
{
    struct qd_buf b = {0}, s = {0};

    head(&b, CELL, 1, (unsigned)n, "boxes");
    for (int i = 0; i < n; i++) {
        s.len = 0;
        head(&s, STRUCT, 1, 1, "");
        fields(&s, abcd, 5);
        corners(&s, type, dx * i);
        element(&b, MATRIX, s.data, s.len);
    }
    element(out, MATRIX, b.data, b.len);
    qd_buf_free(&b);
    qd_buf_free(&s);
}

static void start(struct qd_buf *b)
{
    char text[124];

    b->len = 0;
    memset(text, ' ', sizeof(text));
    memcpy(text, "MATLAB 5.0 MAT-file, Platform: GLNXA64", 38);
    memset(text + 116, 0, 8);
    qd_buf_add(b, text, sizeof(text));
    number(b, 0x0100, 2);
    number(b, 0x4d49, 2); /* "IM" is what a little-endian machine makes of it */
}

static void compress_into(struct qd_buf *out, const struct qd_buf *plain)
{
    uLongf n = compressBound((uLong)plain->len);
    struct qd_buf z = {0};

    for (uLongf i = 0; i < n; i += 64)
        qd_buf_add(&z, "0000000000000000000000000000000000000000000000000000000000000000", 64);
    if (compress((Bytef *)z.data, &n, (const Bytef *)plain->data, (uLong)plain->len) != Z_OK)
        n = 0;
    number(out, 15, 4);
    number(out, n, 4);
    qd_buf_add(out, z.data, n);
    qd_buf_free(&z);
}

#define M "hands/annotations/a.mat"

static const char *labels(void)
{
    struct qd_import_opts o = rig_opts("oxfordhand", "hands");

    o.force = true;
    o.split = 0;
    const char *message = rig_run(&o, "hands-out", NULL);
    return *message ? message : rig_file("hands-out/labels/train/a.txt");
}

#define ONE "0 0.3 0.4 0.2 0.4\n"

static void test_good(void)
{
    const unsigned types[] = {DOUBLE, SINGLE, INT16, UINT8};
    struct qd_buf b = {0}, plain = {0}, s = {0};

    rig_picture("hands/images/a.png", 100, 50);
    for (int order = 0; order < 2; order++)
        for (size_t i = 0; i < QD_LEN(types); i++) {
            big = order;
            start(&b);
            cells(&b, types[i], 1, 0);
            rig_put(M, b.data, b.len);
            IS_STR(labels(), ONE, "cells, type %u, %s-endian", types[i], big ? "big" : "little");
        }
    big = false;
    cells(&plain, DOUBLE, 2, 20);
    start(&b);
    compress_into(&b, &plain);
    rig_put(M, b.data, b.len);
    IS_STR(labels(), ONE "0 0.5 0.4 0.2 0.4\n", "compressed");
    /* a struct array of two, after another variable */
    start(&b);
    point(&b, DOUBLE, 1, 2);
    head(&s, STRUCT, 1, 2, "boxes");
    fields(&s, abcd, 5);
    corners(&s, DOUBLE, 0);
    corners(&s, DOUBLE, 20);
    element(&b, MATRIX, s.data, s.len);
    rig_put(M, b.data, b.len);
    IS_STR(labels(), ONE "0 0.5 0.4 0.2 0.4\n", "a struct array");
    s.len = 0;
    head(&s, CELL, 0, 0, "boxes");
    start(&b);
    element(&b, MATRIX, s.data, s.len);
    rig_put("hands/annotations/none.mat", b.data, b.len);
    rig_picture("hands/images/none.png", 10, 10);
    IS_STR(labels(), ONE "0 0.5 0.4 0.2 0.4\n", "a picture without hands");
    IS_STR(rig_file("hands-out/labels/train/none.txt"), "", "is background");
    unlink("hands/annotations/none.mat");
    qd_buf_free(&b);
    qd_buf_free(&plain);
    qd_buf_free(&s);
}

/* The parts of the set have sides of their own. */
static void test_parts(void)
{
    static const char *const parts[] = {"training_dataset/training_data",
        "validation_dataset/validation_data", "test_dataset/test_data"};
    struct qd_import_opts o = rig_opts("oxfordhand", "set");
    struct qd_import_counts n;
    struct qd_buf b = {0};
    char path[200];

    start(&b);
    cells(&b, DOUBLE, 1, 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "set/hand_dataset/%s/annotations/p%d.mat", parts[i], i);
        rig_put(path, b.data, b.len);
        snprintf(path, sizeof(path), "set/hand_dataset/%s/images/p%d.png", parts[i], i);
        rig_picture(path, 100, 50);
    }
    IS_STR(rig_run(&o, NULL, &n), "", "three parts");
    OK(n.pictures[0] == 2 && n.pictures[1] == 1, "two for training");
    mkdir("void", 0777);
    rig_bad("oxfordhand", "void",
        "void: neither a folder 'annotations' nor 'training_dataset/training_data'", "");
    qd_buf_free(&b);
}

static void bad(const struct qd_buf *b, const char *message)
{
    char all[300], warnings[400];

    rig_put(M, b->data, b->len);
    snprintf(all, sizeof(all), M ": %s", message);
    snprintf(warnings, sizeof(warnings), "%s, picture left out\n", all);
    rig_bad("oxfordhand", "hands", all, warnings);
}

/* A variable made of 'inside', damaged in some way. */
static void bad_array(const struct qd_buf *inside, const char *message)
{
    struct qd_buf b = {0};

    start(&b);
    element(&b, MATRIX, inside->data, inside->len);
    bad(&b, message);
    qd_buf_free(&b);
}

static void test_headers(void)
{
    struct qd_buf b = {0}, plain = {0};

    qd_buf_str(&b, "");
    bad(&b, "not a MATLAB file of level 5");
    start(&b);
    b.data[126] = 'X';
    bad(&b, "not a MATLAB file of level 5");
    start(&b);
    b.data[125] = 3;
    bad(&b, "a MATLAB file of an unknown version");
    start(&b);
    memcpy(b.data, "MATLAB 7.3", 10);
    bad(&b, "MATLAB 7.3 files (HDF5) are not supported: save with '-v7'");
    start(&b);
    memcpy(b.data, "\x89HDF\r\n\x1a\n", 8);
    bad(&b, "HDF5 files are not supported: save with '-v7' in MATLAB");
    start(&b);
    bad(&b, "no variable 'boxes'");
    qd_buf_add(&b, "\1\0\0", 3);
    bad(&b, "damaged .mat: the file ends inside of an element");
    start(&b);
    number(&b, MATRIX, 4);
    number(&b, 0x7fffffff, 4);
    bad(&b, "damaged .mat: an element is longer than what is left");
    start(&b);
    number(&b, 5 << 16 | INT8, 4);
    number(&b, 0, 4);
    bad(&b, "damaged .mat: a small element of more than 4 bytes");
    start(&b);
    element(&b, INT8, "12345678", 8);
    bad(&b, "damaged .mat: a variable that is not an array");
    start(&b);
    number(&b, 15, 4);
    number(&b, 8, 4);
    qd_buf_add(&b, "12345678", 8);
    bad(&b, "damaged .mat: a compressed variable does not uncompress");
    cells(&plain, DOUBLE, 1, 0);
    start(&b);
    compress_into(&b, &plain);
    b.len -= 9;
    b.data[132] = (char)(b.len - 136); /* the element's length, little-endian and short */
    b.data[133] = (char)((b.len - 136) >> 8);
    bad(&b, "damaged .mat: a compressed variable does not uncompress");
    qd_buf_free(&b);
    qd_buf_free(&plain);
}

static void test_bomb(void)
{
    struct qd_buf zeros = {0}, b = {0};
    static char block[1 << 20];

    for (int i = 0; i < 3; i++)
        qd_buf_add(&zeros, block, sizeof(block));
    start(&b);
    compress_into(&b, &zeros);
    bad(&b, "more than 2097152 bytes when uncompressed");
    qd_buf_free(&zeros);
    qd_buf_free(&b);
}

/* Several variables that are small by themselves; all that is empty in a cell costs the most. */
static void test_many(void)
{
    static const char *const two[] = {"x", "y"};
    static const unsigned char empty[8] = {14}; /* an array without anything */
    struct qd_buf inside = {0}, plain = {0}, b = {0};
    struct qd_mat_file f;
    struct qd_error err = {0};
    const unsigned n = 140000;

    start(&b);
    for (int i = 0; i < 2; i++) {
        inside.len = plain.len = 0;
        head(&inside, 1, 1, n, two[i]);
        for (unsigned k = 0; k < n; k++)
            qd_buf_add(&inside, empty, sizeof(empty));
        element(&plain, 14, inside.data, inside.len);
        compress_into(&b, &plain);
        if (i == 0) {
            OK(qd_mat_parse(&f, b.data, b.len, "x.mat", &err) == 0, "one %s", err.msg);
            OK(f.n == 1 && f.variable[0].n == n && f.variable[0].child[n - 1].class == QD_MAT_OTHER,
                "%u empty cells of %zu bytes", n, b.len);
            qd_mat_free(&f);
        }
    }
    OK(qd_mat_parse(&f, b.data, b.len, "x.mat", &err) < 0, "two are too much");
    IS_STR(err.msg, "x.mat: more than 2097152 bytes when uncompressed", "all are counted");
    qd_mat_free(&f);
    qd_buf_free(&inside);
    qd_buf_free(&plain);
    qd_buf_free(&b);
}

static void test_arrays(void)
{
    struct qd_buf s = {0}, t = {0};

    head(&s, REAL, 1, 2, "boxes");
    element(&s, DOUBLE, "1234567890123456", 16);
    bad_array(&s, "'boxes' is neither cells nor a struct");
    s.len = 0;
    head(&s, REAL, 1, 3, "boxes");
    element(&s, DOUBLE, "1234567890123456", 16);
    bad_array(&s, "damaged .mat: an array and its dimensions do not agree");
    s.len = 0;
    head(&s, REAL, 1, 2, "boxes");
    element(&s, 11, "1234567890123456", 16);
    bad_array(&s, "damaged .mat: numbers of an unknown type");
    s.len = 0;
    head(&s, CELL, 0x7fffffff, 0x7fffffff, "boxes");
    bad_array(&s, "damaged .mat: an array has fewer elements than its dimensions say");
    s.len = 0;
    head(&s, CELL, 1, 1, "boxes");
    element(&s, INT32, "12345678", 8);
    bad_array(&s, "damaged .mat: a cell or field that is not an array");
    s.len = 0;
    head(&s, CELL, 1, 1, "boxes");
    point(&s, DOUBLE, 1, 2);
    bad_array(&s, "box 1 is not a struct");
    s.len = 0;
    qd_buf_add(&s, "\6\0\0\0\4\0\0\0\1\0\0\0\0\0\0\0", 16);
    bad_array(&s, "damaged .mat: an array without flags");
    s.len = 0;
    head(&s, STRUCT, 1, 1, "boxes");
    fields(&s, abcd, 4);
    point(&s, DOUBLE, 1, 2);
    bad_array(&s, "damaged .mat: the file ends inside of an element");
    s.len = 0;
    head(&s, STRUCT, 1, 1, "boxes");
    fields(&s, abcd, 3);
    for (int i = 0; i < 3; i++)
        point(&s, DOUBLE, 1, 2);
    bad_array(&s, "box 1 has not four corners a, b, c, d of two numbers");
    s.len = 0;
    head(&s, STRUCT, 1, 1, "boxes");
    fields(&s, abcd, 4);
    for (int i = 0; i < 4; i++)
        point(&s, DOUBLE, i == 2 ? (double)NAN : 1, 2);
    bad_array(&s, "box 1 has a corner that is not finite");
    s.len = 0;
    head(&s, STRUCT, 1, 1, "boxes");
    element(&s, INT32, "\0\0\0\0", 4);
    element(&s, INT8, "a\0b\0", 4);
    bad_array(&s, "damaged .mat: names of fields of an impossible length");
    t.len = 0;
    head(&t, CELL, 0, 0, "boxes"); /* nine levels of cells */
    for (int i = 0; i < 9; i++) {
        s.len = 0;
        head(&s, CELL, 1, 1, "boxes");
        element(&s, MATRIX, t.data, t.len);
        t.len = 0;
        qd_buf_add(&t, s.data, s.len);
    }
    bad_array(&t, "cells and structs are nested more than 8 deep");
    qd_buf_free(&s);
    qd_buf_free(&t);
}

/* What nobody asked for does not disturb. */
static void test_reader(void)
{
    struct qd_buf b = {0}, s = {0};
    struct qd_mat_file f;
    struct qd_error err = {0};

    start(&b);
    head(&s, SPARSE, 5, 5, "sparse");
    element(&b, MATRIX, s.data, s.len);
    element(&b, MATRIX, "", 0);
    s.len = 0;
    head(&s, STRUCT, 3, 3, "hollow"); /* without fields nothing is there */
    fields(&s, abcd, 0);
    element(&b, MATRIX, s.data, s.len);
    s.len = 0;
    head(&s, CHAR, 1, 3, "word");
    element(&s, 16, "abc", 3);
    element(&b, MATRIX, s.data, s.len);
    OK(qd_mat_parse(&f, b.data, b.len, "x.mat", &err) == 0, "read %s", err.msg);
    const struct qd_mat *m = qd_mat_variable(&f, "word");
    OK(m && m->class == QD_MAT_TEXT && m->n == 3 && m->value[2] == 'c', "text");
    m = qd_mat_variable(&f, "hollow");
    OK(m && m->class == QD_MAT_STRUCT && m->n == 0 && !qd_mat_field(m, 0, "a"), "no fields");
    OK(f.n == 4 && !qd_mat_variable(&f, "sparse") && !qd_mat_variable(&f, "other"), "the rest");
    qd_mat_free(&f);
    OK(qd_mat_load(&f, "no.mat", &err) < 0, "a file that is not there");
    IS_STR(err.msg, "cannot open 'no.mat': No such file or directory", "message");
    qd_mat_free(&f);
    qd_buf_free(&b);
    qd_buf_free(&s);
}

int main(void)
{
    rig_begin();
    test_good();
    test_parts();
    test_headers();
    test_bomb();
    test_many();
    test_arrays();
    test_reader();
    return tap_done();
}
