/* SPDX-License-Identifier: MIT */
/*
 * How passes over all pixels with numbers of their own for each channel go through memory: several
 * pixels of few channels are taken as one wide pixel, so that vectors are full, and some wide
 * pixels in a row as a piece.
 */
#ifndef QD_VEC_LANES_H
#define QD_VEC_LANES_H

#include "ops/vec.h"

#include "ops/tensor.h"

enum {
    LANES_WIDE = 128,   /* floats of a wide pixel */
    LANES_STRIP = 4096, /* most channels */
    LANES_PIECE = 16,   /* wide pixels of a piece */
    LANES_NUMBERS = 6,
    LANES_AHEAD = 1024, /* floats by which memory is prefetched: over the end of a page */
    LANES_HOT = 4       /* wide pixels at a time of what lies in the cache */
};

/* How the pixels of rows are taken together, and the numbers of each lane. */
struct lanes {
    int pixels; /* in a wide one */
    int c;
    const float *k[LANES_NUMBERS];
    float copy[LANES_NUMBERS][LANES_WIDE];
};

/* 'pixels' wide pixels of n floats, the tensors' da, db and dout floats apart. */
struct piece {
    const float *a, *b; /* b NULL when there is none */
    float *out;         /* likewise */
    size_t da, db, dout, n;
    int pixels;
    const float *k[LANES_NUMBERS];
};

struct lanes_of {
    const struct qd_tensor *a, *b, *out; /* of the same shape; b and out or NULL */
};

/* As many pixels as fit, preferably without a rest in the last vector. */
static inline int lanes_pixels(int c)
{
    int most = LANES_WIDE / c;

    for (int p = most; p > 1; p--)
        if (p * c % VW == 0)
            return p;
    return QD_MAX(most, 1);
}

/* k: nk arrays of c numbers; those that are NULL are zeros (at most LANES_STRIP channels then). */
static inline void lanes_init(
    struct lanes *l, const struct lanes_of *t, const float *const *k, int nk)
{
    static const float zeros[LANES_STRIP + VW];
    bool dense = t->a->ps == t->a->c && (!t->b || t->b->ps == t->b->c) &&
                 (!t->out || t->out->ps == t->out->c);

    l->c = t->a->c;
    l->pixels = dense ? lanes_pixels(l->c) : 1;
    for (int i = 0; i < LANES_NUMBERS; i++) {
        l->k[i] = i < nk && k[i] ? k[i] : zeros;
        for (int p = 0; l->k[i] != zeros && l->pixels > 1 && p < l->pixels; p++)
            memcpy(&l->copy[i][p * l->c], k[i], (size_t)l->c * sizeof(float));
        if (l->k[i] != zeros && l->pixels > 1)
            l->k[i] = l->copy[i];
    }
}

/* The next piece of row (n, y) from pixel *x on; false at its end.  What is less than a wide pixel
 * at the end comes alone. */
static inline bool next_piece(
    struct piece *p, const struct lanes *l, const struct lanes_of *t, const int n_y[2], int *x)
{
    int left = t->a->w - *x, wide = l->pixels, pixels = QD_MIN(left / wide, LANES_PIECE);

    if (!left)
        return false;
    p->a = qd_at(t->a, n_y[0], n_y[1], *x);
    p->b = t->b ? qd_at(t->b, n_y[0], n_y[1], *x) : NULL;
    p->out = t->out ? qd_at(t->out, n_y[0], n_y[1], *x) : NULL;
    p->pixels = QD_MAX(pixels, 1);
    p->n = (size_t)(pixels ? wide : left) * (size_t)t->a->c;
    p->da = (size_t)wide * (size_t)t->a->ps;
    p->db = t->b ? (size_t)wide * (size_t)t->b->ps : 0;
    p->dout = t->out ? (size_t)wide * (size_t)t->out->ps : 0;
    for (int k = 0; k < LANES_NUMBERS; k++)
        p->k[k] = l->k[k];
    *x += pixels ? pixels * wide : left;
    return true;
}

/*
 * Call F(first wide pixel, how many, first float, floats) for all of a piece, 'many' wide pixels at
 * a time, for which the numbers of the channels are loaded once.  'How many' is a constant, and so
 * is 'floats' but for the rest at the end.  More than one is for what lies in the cache: memory has
 * to be read in its order.
 */
#define LANES_SWEEP(p, many, F)                                                                    \
    do {                                                                                           \
        int x_ = 0;                                                                                \
        for (; (many) > 1 && x_ + (many) <= (p)->pixels; x_ += (many)) {                           \
            size_t i_ = 0;                                                                         \
            for (; i_ + VW <= (p)->n; i_ += VW)                                                    \
                F(x_, many, i_, VW);                                                               \
            if (i_ < (p)->n)                                                                       \
                F(x_, many, i_, (int)((p)->n - i_));                                               \
        }                                                                                          \
        for (; x_ < (p)->pixels; x_++) {                                                           \
            size_t i_ = 0;                                                                         \
            for (; i_ + VW <= (p)->n; i_ += VW)                                                    \
                F(x_, 1, i_, VW);                                                                  \
            if (i_ < (p)->n)                                                                       \
                F(x_, 1, i_, (int)((p)->n - i_));                                                  \
        }                                                                                          \
    } while (0)

#endif
