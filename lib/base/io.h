/* SPDX-License-Identifier: MIT */
#ifndef QD_IO_H
#define QD_IO_H

#include <stdio.h>

#include "base/buf.h"

/* Append the whole file 'path' ("-": standard input) to 'b'.  Fails above 'max' bytes. */
int qd_io_slurp(const char *path, size_t max, struct qd_buf *b, struct qd_error *err) QD_MUSTCHECK;

/*
 * A file that appears whole or not at all: written under a temporary name in the same folder,
 * synced and renamed by qd_io_commit().  "-" is standard output, written directly.
 *     struct qd_out o;
 *     if (qd_io_create(&o, path, force, err) < 0) ...
 *     qd_io_write(&o, data, len);              errors are kept and reported by commit
 *     if (qd_io_commit(&o, err) < 0) ...       frees o, also when it fails
 * Without 'force' an existing 'path' is an error.  qd_io_discard() drops an uncommitted file.
 */
struct qd_out {
    FILE *f;
    char *path, *tmp;
    int error; /* errno of the first failed write */
};

int qd_io_create(struct qd_out *o, const char *path, bool force, struct qd_error *err) QD_MUSTCHECK;
void qd_io_write(struct qd_out *o, const void *data, size_t len);
int qd_io_commit(struct qd_out *o, struct qd_error *err) QD_MUSTCHECK;
void qd_io_discard(struct qd_out *o);
/* The three in one: write len bytes to path. */
int qd_io_put(
    const char *path, bool force, const void *data, size_t len, struct qd_error *err) QD_MUSTCHECK;

/* The same without waiting for the disk: for the thousands of small files of a set whose index is
 * written last, with qd_io_put(). */
int qd_io_put_many(
    const char *path, bool force, const void *data, size_t len, struct qd_error *err) QD_MUSTCHECK;

/* Remove what earlier programs that were killed while they wrote PREFIX<suffix> left: only regular
 * files with the names that qd_io_create() makes, and only where mine(suffix, its length) says yes.
 * What cannot be removed stays. */
void qd_io_sweep(const char *prefix, bool (*mine)(const char *suffix, size_t len));

/* Little-endian integers and floats at p. */
uint32_t qd_le32(const void *p);
uint64_t qd_le64(const void *p);
void qd_put_le32(void *p, uint32_t v);
void qd_put_le64(void *p, uint64_t v);
/* Swap n floats in place on a big-endian machine; nothing elsewhere. */
void qd_le_floats(float *p, size_t n);

#endif
