/* SPDX-License-Identifier: MIT */
/*
 * How operations on tensors are cut into chunks: by rows, as many as are worth a thread's while,
 * and never dependent on the number of threads.
 */
#ifndef QD_ROWS_H
#define QD_ROWS_H

#include "base/par.h"
#include "ops/tensor.h"

/* Chunks for 'items' pieces of work that touch 'floats' numbers each: 1 for what is done in less
 * time than waking a thread takes. */
static inline int qd_chunks(long items, size_t floats)
{
    size_t worth = (size_t)items * floats / 16384;

    return (int)QD_MAX(1, QD_MIN(items, (long)QD_MIN(worth, 64)));
}

/* The same for all rows of all images of t. */
static inline int qd_row_chunks(const struct qd_tensor *t)
{
    return qd_chunks((long)t->n * t->h, (size_t)t->w * (size_t)t->c);
}

/* Loop over rows i (image n, row y) of chunk 'chunk' of 'chunks'. */
#define QD_FOR_ROWS(t, chunks, chunk, n, y)                                                        \
    for (long i_ = (long)(t)->n * (t)->h * (chunk) / (chunks),                                     \
              end_ = (long)(t)->n * (t)->h * ((chunk) + 1) / (chunks);                             \
         i_ < end_; i_++)                                                                          \
        for (int n = (int)(i_ / (t)->h), y = (int)(i_ % (t)->h), once_ = 1; once_; once_ = 0)

#endif
