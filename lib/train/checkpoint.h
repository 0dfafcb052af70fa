/* SPDX-License-Identifier: MIT */
/*
 * The file PREFIX.state, all that a run needs to go on as if it had never stopped:
 *
 *     "qdstate1"              magic and version
 *     u32 n, n bytes          the recipe: lines 'key=value' that must be the same in both runs
 *     u32 n, n x u64          counters and scores (doubles by their bits)
 *     u32 n, u64 m, n x m x f32   blocks of m floats: parameters, optimizer, average
 *     u32                     CRC-32 of all that is before
 *
 * Everything is little-endian.  The file is written under another name and renamed.
 */
#ifndef QD_CHECKPOINT_H
#define QD_CHECKPOINT_H

#include "base/base.h"

enum { QD_CHECKPOINT_BLOCKS = 4, QD_CHECKPOINT_NUMBERS = 16 };

struct qd_checkpoint {
    const char *recipe;
    uint64_t number[QD_CHECKPOINT_NUMBERS];
    float *block[QD_CHECKPOINT_BLOCKS]; /* borrowed */
    int nblocks;
    size_t floats; /* of a block */
};

int qd_checkpoint_save(
    const struct qd_checkpoint *c, const char *path, struct qd_error *err) QD_MUSTCHECK;
/*
 * Fill numbers and blocks from the file.  A damaged file, another number or size of blocks and
 * another recipe are errors; the last names the first line that differs.  Nothing is changed on an
 * error.
 */
int qd_checkpoint_load(
    struct qd_checkpoint *c, const char *path, struct qd_error *err) QD_MUSTCHECK;

uint64_t qd_double_bits(double x);
double qd_bits_double(uint64_t b);

#endif
