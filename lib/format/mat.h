/* SPDX-License-Identifier: MIT */
#ifndef QD_MAT_H
#define QD_MAT_H

#include "base/arena.h"

/*
 * MATLAB files of level 5 (The MathWorks, MAT-File Format), compressed or not, of either byte
 * order: numbers, text, cells and structs.  Arrays of other classes are there, but empty.
 */
enum { QD_MAT_DEPTH = 8 }; /* cells and structs inside of each other, at most */
/* Bytes of a file, and of it uncompressed, at most.  Annotations have some KB; one byte can become
 * an array of 64, so that a file takes 16 MB. */
#define QD_MAT_MAX ((size_t)2 << 20)

enum qd_mat_class { QD_MAT_NUMBER, QD_MAT_TEXT, QD_MAT_CELL, QD_MAT_STRUCT, QD_MAT_OTHER };

struct qd_mat {
    const char *name; /* of a variable; "" inside of others */
    enum qd_mat_class class;
    size_t n;             /* elements: the product of all dimensions */
    const double *value;  /* [n] of numbers and text (codes of characters); real part */
    int fields;           /* of a struct */
    const char **field;   /* [fields] their names */
    struct qd_mat *child; /* cell: [n]; struct: [n][fields] */
};

struct qd_mat_file {
    struct qd_arena arena;
    struct qd_mat *variable;
    int n;
};

/* Read all variables of the file 'path'.  Free with qd_mat_free(), also after an error. */
int qd_mat_load(struct qd_mat_file *f, const char *path, struct qd_error *err) QD_MUSTCHECK;
/* The same from memory. */
int qd_mat_parse(struct qd_mat_file *f, const void *data, size_t len, const char *name,
    struct qd_error *err) QD_MUSTCHECK;
void qd_mat_free(struct qd_mat_file *f);
/* The variable of that name, or NULL. */
const struct qd_mat *qd_mat_variable(const struct qd_mat_file *f, const char *name);
/* Field 'name' of element i of a struct, or NULL. */
const struct qd_mat *qd_mat_field(const struct qd_mat *m, size_t i, const char *name);

#endif
