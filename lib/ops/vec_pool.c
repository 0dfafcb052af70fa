/* SPDX-License-Identifier: MIT */
/*
 * Pooling and nearest upsampling with vectors of channels.  A window is as many loads as it has
 * cells, which memory hides for 2x2 and 3x3; large windows with stride 1 (spatial pyramid pooling)
 * are done along one axis at a time, each by doubling: m2(i) = max(m1(i), m1(i + 1)), m4(i) =
 * max(m2(i), m2(i + 2)) ... so that a window of 13 costs 4 steps.
 */
#include "ops/vec.h"

#include <math.h>

#include "base/par.h"
#include "ops/kernels.h"
#include "ops/rows.h"

struct pool {
    const struct qd_tensor *in, *out;
    const struct qd_pool_geom *g;
    int chunks, s;
    float scale;
};

/* The cells of a window that exist: ny x nx pixels from p on. */
struct cells {
    const float *p;
    size_t rs, ps;
    int ny, nx;
};

enum kind { MAX, MEAN };

QD_ALWAYS_INLINE vf join(enum kind kind, vf v, vf sum)
{
    return kind == MAX ? vf_max(v, sum) : v + sum;
}

/* All channels of one output pixel.  ny and nx are c->ny and c->nx, constant where that pays. */
QD_ALWAYS_INLINE void window(
    const struct cells *c, float *q, int channels, enum kind kind, int ny, int nx)
{
    float scale = kind == MEAN ? 1 / (float)(ny * nx) : 1;

    for (int i = 0; i < channels; i += VW) {
        int left = QD_MIN(channels - i, VW);
        vf v = vf_load_n(c->p + i, left);
        for (int y = 0; y < ny; y++)
            for (int x = y ? 0 : 1; x < nx; x++)
                v = join(
                    kind, vf_load_n(c->p + (size_t)y * c->rs + (size_t)x * c->ps + i, left), v);
        vf_store_n(q + i, kind == MEAN ? v * scale : v, left);
    }
}

static void max_window(const struct cells *c, float *q, int channels)
{
    if (c->ny == 2 && c->nx == 2)
        window(c, q, channels, MAX, 2, 2);
    else if (c->ny == 3 && c->nx == 3)
        window(c, q, channels, MAX, 3, 3);
    else
        window(c, q, channels, MAX, c->ny, c->nx);
}

/* The part of [at, at + size) that is within [0, n): its begin, and its length in *len (0 if none).
 */
static int clip(int at, int size, int n, int *len)
{
    int from = QD_MAX(at, 0), to = QD_MIN(at + size, n);

    *len = QD_MAX(to - from, 0);
    return from;
}

static void pool_row(const struct pool *p, enum kind kind, int n, int y)
{
    const struct qd_pool_geom *g = p->g;
    const struct qd_tensor *out = p->out;
    struct cells c = {.rs = p->in->rs, .ps = (size_t)p->in->ps};
    int iy = clip(y * g->sy + g->off, g->size, p->in->h, &c.ny);

    for (int x = 0; x < out->w; x++) {
        float *q = qd_at(out, n, y, x);
        int ix = clip(x * g->sx + g->off, g->size, p->in->w, &c.nx);
        c.p = qd_at(p->in, n, iy, ix);
        if (!c.ny || !c.nx)
            memset(q, 0, (size_t)out->c * sizeof(float));
        else if (kind == MAX)
            max_window(&c, q, out->c);
        else
            window(&c, q, out->c, MEAN, c.ny, c.nx);
    }
}

static void max_rows(void *ctx, int chunk, int thread)
{
    const struct pool *p = ctx;

    (void)thread;
    QD_FOR_ROWS(p->out, p->chunks, chunk, n, y)
    pool_row(p, MAX, n, y);
}

static void mean_rows(void *ctx, int chunk, int thread)
{
    const struct pool *p = ctx;

    (void)thread;
    QD_FOR_ROWS(p->out, p->chunks, chunk, n, y)
    pool_row(p, MEAN, n, y);
}

/* ---- large windows --------------------------------------------------------------------------- */

enum { MAX_WINDOW = 32, MAX_LINE = 96 }; /* pixels */

/* One line of pixels of VW channels: from[i] and to[i], i < n. */
struct line {
    const float *from;
    float *to;
    size_t dfrom, dto;
    int n, channels;
};

/* to(i) = max of from(i + off) ... from(i + off + size - 1); in place is allowed. */
static void max_line(const struct line *l, int size, int off)
{
    vf m[MAX_LINE + MAX_WINDOW];
    int n = l->n + size - 1, have = 1;

    for (int i = 0; i < -off; i++)
        m[i] = vf_set(-INFINITY);
    for (int i = 0; i < l->n; i++)
        m[i - off] = vf_load_n(l->from + (size_t)i * l->dfrom, l->channels);
    for (int i = l->n - off; i < n; i++)
        m[i] = vf_set(-INFINITY);
    for (; 2 * have <= size; n -= have, have *= 2)
        for (int i = 0; i + have < n; i++)
            m[i] = vf_max(m[i], m[i + have]);
    for (int i = 0; i < l->n; i++) /* two windows of 'have' cover one of 'size' */
        vf_store_n(l->to + (size_t)i * l->dto, vf_max(m[i], m[i + size - have]), l->channels);
}

static void large_rows(void *ctx, int chunk, int thread)
{
    const struct pool *p = ctx;
    struct line l = {.dfrom = (size_t)p->in->ps, .dto = (size_t)p->out->ps, .n = p->out->w};

    (void)thread;
    QD_FOR_ROWS(p->out, p->chunks, chunk, n, y)
    for (int c = 0; c < p->out->c; c += VW) {
        l.from = qd_at(p->in, n, y, 0) + c;
        l.to = qd_at(p->out, n, y, 0) + c;
        l.channels = QD_MIN(p->out->c - c, VW);
        max_line(&l, p->g->size, p->g->off);
    }
}

static void large_columns(void *ctx, int chunk, int thread)
{
    const struct pool *p = ctx;
    struct line l = {.dfrom = p->out->rs, .dto = p->out->rs, .n = p->out->h};
    long from, to;

    (void)thread;
    qd_par_range((long)p->out->n * p->out->w, p->chunks, chunk, &from, &to);
    for (long i = from; i < to; i++)
        for (int c = 0; c < p->out->c; c += VW) {
            l.to = qd_at(p->out, (int)(i / p->out->w), 0, (int)(i % p->out->w)) + c;
            l.from = l.to;
            l.channels = QD_MIN(p->out->c - c, VW);
            max_line(&l, p->g->size, p->g->off);
        }
}

/* Rows first into 'out', then columns within it. */
static bool is_large(const struct pool *p)
{
    const struct qd_pool_geom *g = p->g;
    const struct qd_tensor *in = p->in, *out = p->out;

    return g->size > 3 && g->size <= MAX_WINDOW && g->sx == 1 && g->sy == 1 && in->h == out->h &&
           in->w == out->w && out->h <= MAX_LINE && out->w <= MAX_LINE && g->off <= 0 &&
           g->off > -g->size;
}

static void vec_maxpool(
    const struct qd_tensor *in, const struct qd_tensor *out, const struct qd_pool_geom *g)
{
    struct pool p = {.in = in, .out = out, .g = g};

    if (is_large(&p)) {
        p.chunks = qd_row_chunks(out);
        qd_par(p.chunks, large_rows, &p);
        p.chunks = qd_chunks((long)out->n * out->w, (size_t)out->h * (size_t)out->c);
        qd_par(p.chunks, large_columns, &p);
        return;
    }
    p.chunks = qd_chunks((long)out->n * out->h, (size_t)out->w * (size_t)(g->sy * g->sx * out->c));
    qd_par(p.chunks, max_rows, &p);
}

static void vec_avgpool_local(
    const struct qd_tensor *in, const struct qd_tensor *out, const struct qd_pool_geom *g)
{
    struct pool p = {.in = in, .out = out, .g = g};

    p.chunks = qd_chunks((long)out->n * out->h, (size_t)out->w * (size_t)(g->sy * g->sx * out->c));
    qd_par(p.chunks, mean_rows, &p);
}

/* ---- mean over all pixels -------------------------------------------------------------------- */

enum { MEAN_BLOCK = 4 * VW }; /* channels at a time */

/* Sums of rows first, then their sum: keeps the error small for large maps. */
static void mean_block(const struct qd_tensor *in, int n, int c, float *q)
{
    int left[4];
    vf sum[4] = {{0}};
    float scale = (float)(1 / ((double)in->h * in->w));

    for (int i = 0; i < 4; i++)
        left[i] = QD_MAX(QD_MIN(in->c - c - i * VW, VW), 0);
    for (int y = 0; y < in->h; y++) {
        vf row[4] = {{0}};
        for (int x = 0; x < in->w; x++)
            for (int i = 0; i < 4; i++)
                row[i] += vf_load_n(qd_at(in, n, y, x) + c + i * VW, left[i]);
        for (int i = 0; i < 4; i++)
            sum[i] += row[i];
    }
    for (int i = 0; i < 4; i++)
        vf_store_n(q + c + i * VW, sum[i] * scale, left[i]);
}

static void mean_blocks(void *ctx, int chunk, int thread)
{
    const struct pool *p = ctx;
    int blocks = (p->in->c + MEAN_BLOCK - 1) / MEAN_BLOCK;
    long from, to;

    (void)thread;
    qd_par_range((long)p->in->n * blocks, p->chunks, chunk, &from, &to);
    for (long i = from; i < to; i++) {
        int n = (int)(i / blocks);
        mean_block(p->in, n, (int)(i % blocks) * MEAN_BLOCK, qd_at(p->out, n, 0, 0));
    }
}

static void vec_avgpool(const struct qd_tensor *in, const struct qd_tensor *out)
{
    struct pool p = {.in = in, .out = out};
    int blocks = (in->c + MEAN_BLOCK - 1) / MEAN_BLOCK;

    p.chunks = qd_chunks(
        (long)in->n * blocks, (size_t)in->h * (size_t)in->w * (size_t)QD_MIN(in->c, MEAN_BLOCK));
    qd_par(p.chunks, mean_blocks, &p);
}

/* ---- upsampling ------------------------------------------------------------------------------ */

/* One input pixel to s x s output pixels at q. */
QD_ALWAYS_INLINE void spread(
    const float *p, float *q, const struct qd_tensor *out, int s, float scale)
{
    for (int i = 0; i < out->c; i += VW) {
        int left = QD_MIN(out->c - i, VW);
        vf v = vf_load_n(p + i, left) * scale;
        for (int y = 0; y < s; y++)
            for (int x = 0; x < s; x++)
                vf_store_n(q + (size_t)y * out->rs + (size_t)x * (size_t)out->ps + i, v, left);
    }
}

static void up_rows(void *ctx, int chunk, int thread)
{
    const struct pool *p = ctx;

    (void)thread;
    QD_FOR_ROWS(p->in, p->chunks, chunk, n, y)
    for (int x = 0; x < p->in->w; x++) {
        float *q = qd_at(p->out, n, y * p->s, x * p->s);
        if (p->s == 2)
            spread(qd_at(p->in, n, y, x), q, p->out, 2, p->scale);
        else
            spread(qd_at(p->in, n, y, x), q, p->out, p->s, p->scale);
    }
}

static void vec_upsample(
    const struct qd_tensor *in, const struct qd_tensor *out, int s, float scale)
{
    struct pool p = {.in = in, .out = out, .s = s, .scale = scale};

    p.chunks = qd_chunks((long)in->n * in->h, (size_t)out->w * (size_t)s * (size_t)out->c);
    qd_par(p.chunks, up_rows, &p);
}

void QD_VEC(qd_ops_pool)(struct qd_ops *ops)
{
    ops->maxpool = vec_maxpool;
    ops->avgpool_local = vec_avgpool_local;
    ops->avgpool = vec_avgpool;
    ops->upsample = vec_upsample;
}
