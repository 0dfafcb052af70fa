/* SPDX-License-Identifier: MIT */
/*
 * 3x3 convolutions of stride 1 with fewer multiplications: Winograd's F(2x2, 3x3) and F(4x4, 3x3)
 * (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, sections 4.1, 4.3).
 * For m x m outputs a patch d of (m + 2) x (m + 2) inputs and the filter g are transformed, the
 * (m + 2)^2 components are as many independent matrix products over the channels, and the results
 * are transformed back:
 *
 *     Y = A' [ (G g G') * (B' d B) ] A
 *
 * 4 (m = 2) or 2.25 (m = 4) products an output replace 9.  The price of m = 4 is a larger rounding
 * error (a few 1e-6 of the largest output), four times the memory for filters, and waste where a
 * map is no multiple of 4: it is for large maps with filters of moderate size.  Products run as in
 * the blocked kernel: a tile of MR patches x NR filters in registers, filters in panels of NR.
 *
 * Few filters: a chunk is a block of patches that goes through all three stages in the cache.  Many
 * filters: patches are transformed once for all, and a chunk is a group of filter panels, so that
 * the filters, which are the larger part, are read once.
 */
#include "base/par.h"
#include "ops/kernels.h"
#include "ops/vec_winograd.h"

enum {
    NR = 2 * VW,                /* filters of a panel */
    MR = VREGS == 32 ? 13 : 6,  /* patches of a register tile */
    SIDE_MAX = 6,               /* of a patch: m + 2 */
    BLOCK_FLOATS = 128 * 1024,  /* of transformed input and output in a block */
    SPLIT_FLOATS = 256 * 1024,  /* filters above this are split, not patches */
    EVEN = 4,                   /* blocks are a multiple of it, so that threads end together */
    SUPER = 256,                /* patches at once when the filters are split */
    GROUPS = 8,                 /* at most so many groups of panels */
    LARGE_MAP = 24,             /* m = 4 from this side on ... */
    LARGE_FILTERS = 100 * 1024, /* ... up to so many filters x channels */
};

/* Everything that depends on the geometry alone. */
struct wino {
    int m, side, xi; /* outputs and inputs along a side of a patch, components */
    int ty, tx;      /* patches per column and row of an image */
    long patches;    /* of the batch */
    int panels;
    bool split;        /* chunks are groups of panels */
    int block;         /* patches at once */
    int groups, group; /* split: groups, and panels in the largest one */
};

static int ceil_div(long a, long b)
{
    return (int)((a + b - 1) / b);
}

static struct wino shape(const struct qd_conv_geom *g)
{
    bool large = QD_MIN(g->oh, g->ow) >= LARGE_MAP && (long)g->c * g->k <= LARGE_FILTERS;
    struct wino w = {.m = large ? 4 : 2};

    w.side = w.m + 2;
    w.xi = w.side * w.side;
    w.ty = ceil_div(g->oh, w.m);
    w.tx = ceil_div(g->ow, w.m);
    w.patches = (long)g->n * w.ty * w.tx;
    w.panels = ceil_div(g->k, NR);
    w.split = (long)w.xi * g->c * w.panels * NR > SPLIT_FLOATS;
    long most = w.split ? SUPER : BLOCK_FLOATS / ((long)w.xi * (g->c + w.panels * NR));
    most = QD_MAX(most / MR * MR, 2 * MR);
    int blocks = ceil_div(w.patches, most);
    if (!w.split && w.patches >= (long)(blocks + EVEN) * MR / 2)
        blocks = ceil_div(blocks, EVEN) * EVEN;
    w.block = ceil_div(w.patches, blocks); /* equal blocks */
    w.groups = QD_MIN(w.panels, GROUPS);
    w.group = ceil_div(w.panels, w.groups);
    return w;
}

static bool supports(const struct qd_conv_geom *g)
{
    const int few = QD_MIN(g->oh, g->ow) >= LARGE_MAP ? 16 : 32; /* filters: half a panel */

    return g->rh == 3 && g->rw == 3 && g->sy == 1 && g->sx == 1 && g->dil == 1 && g->groups == 1 &&
           g->c >= 12 && g->k >= few && g->oh >= 4 && g->ow >= 4;
}

static bool can_pool(const struct qd_conv_geom *g)
{
    return g->oh % 2 == 0 && g->ow % 2 == 0;
}

/* ---- filters --------------------------------------------------------------------------------- */

static size_t packed_floats(const struct qd_conv_geom *g)
{
    struct wino w = shape(g);

    return (size_t)w.xi * (size_t)g->c * (size_t)w.panels * NR;
}

/* G g G' of a vector of filters, tap t at w + t * NR; components of u are 'stride' apart. */
QD_ALWAYS_INLINE void transform_filters(const int side, const float *w, float *u, size_t stride)
{
    vf t[3][SIDE_MAX];

    UNROLL_ALL
    for (int j = 0; j < 3; j++) {
        const vf g[3] = {vf_load(w + j * NR), vf_load(w + (3 + j) * NR), vf_load(w + (6 + j) * NR)};
        wino_filter(side - 2, g, t[j]);
    }
    UNROLL_ALL
    for (int i = 0; i < side; i++) {
        const vf g[3] = {t[0][i], t[1][i], t[2][i]};
        vf line[SIDE_MAX];
        wino_filter(side - 2, g, line);
        UNROLL_ALL
        for (int j = 0; j < side; j++)
            vf_store(u + (size_t)(i * side + j) * stride, line[j]);
    }
}

struct pack_job {
    const struct qd_conv_geom *g;
    const float *weight, *scale;
    float *packed;
};

/* One panel: packed[component][panel][channel][NR]. */
static void pack_panel(void *ctx, int panel, int thread)
{
    const struct pack_job *j = ctx;
    const struct qd_conv_geom *g = j->g;
    struct wino w = shape(g);
    size_t c = (size_t)g->c;

    (void)thread;
    for (size_t ch = 0; ch < c; ch++) {
        float taps[9 * NR] = {0}, *u = j->packed + ((size_t)panel * c + ch) * NR;
        const size_t stride = (size_t)w.panels * c * NR;
        for (int f = 0; f < QD_MIN(NR, g->k - panel * NR); f++) {
            const size_t k = (size_t)(panel * NR + f);
            const float *from = j->weight + (k * c + ch) * 9, scale = j->scale ? j->scale[k] : 1;
            for (int t = 0; t < 9; t++)
                taps[t * NR + f] = from[t] * scale;
        }
        for (int f = 0; f < NR; f += VW)
            if (w.side == 4)
                transform_filters(4, taps + f, u + f, stride);
            else
                transform_filters(6, taps + f, u + f, stride);
    }
}

static void pack(
    const struct qd_conv_geom *g, const float *weight, const float *scale, float *packed)
{
    struct pack_job j = {g, weight, scale, packed};

    qd_par(ceil_div(g->k, NR), pack_panel, &j);
}

/* ---- patches in ------------------------------------------------------------------------------ */

/* B' d B for one vector of channels at px[row * side + column]; components of v are 'stride'
 * apart, and n of its channels are wanted. */
QD_ALWAYS_INLINE void transform_in(
    const int side, const float *const *px, int c, int n, float *v, size_t stride)
{
    vf t[SIDE_MAX][SIDE_MAX];

    UNROLL_ALL
    for (int j = 0; j < side; j++) {
        vf d[SIDE_MAX], u[SIDE_MAX];
        UNROLL_ALL
        for (int i = 0; i < side; i++)
            d[i] = vf_load(px[i * side + j] + c);
        wino_in(side - 2, d, u);
        UNROLL_ALL
        for (int i = 0; i < side; i++)
            t[i][j] = u[i];
    }
    UNROLL_ALL
    for (int i = 0; i < side; i++) {
        vf u[SIDE_MAX];
        wino_in(side - 2, t[i], u);
        UNROLL_ALL
        for (int j = 0; j < side; j++)
            vf_store_n(v + (size_t)(i * side + j) * stride, u[j], n);
    }
}

/*
 * Patches from..to-1 to v[component][patch][channel], 'stride' floats from component to component.
 * A patch at the right or bottom edge may reach further than the border; what it reads there only
 * goes into outputs that are not kept, so any pixel will do.
 */
static void patches_in(const struct qd_conv_job *job, long from, long to, float *v, size_t stride)
{
    const struct qd_conv_geom *g = job->g;
    const struct qd_tensor *in = job->in;
    struct wino w = shape(g);

    for (long p = from; p < to; p++, v += g->c) {
        int n = (int)(p / ((long)w.ty * w.tx)), at = (int)(p % ((long)w.ty * w.tx));
        int y0 = at / w.tx * w.m - g->pad, x0 = at % w.tx * w.m - g->pad;
        const float *px[SIDE_MAX * SIDE_MAX];
        for (int i = 0; i < w.xi; i++)
            px[i] = qd_at(in, n, QD_MIN(y0 + i / w.side, in->h + in->border - 1),
                QD_MIN(x0 + i % w.side, in->w + in->border - 1));
        for (int c = 0; c < g->c; c += VW) {
            if (w.side == 4)
                transform_in(4, px, c, g->c - c, v + c, stride);
            else
                transform_in(6, px, c, g->c - c, v + c, stride);
        }
    }
}

/* ---- products -------------------------------------------------------------------------------- */

/* out[rows][NR] = a[rows][k] * b[k][NR] */
QD_ALWAYS_INLINE void tile(
    const float *a, size_t as, const float *b, int k, float *out, size_t os, const int rows)
{
    vf acc[MR][2];

    UNROLL_ALL
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = vf_zero();
    for (int x = 0; x < k; x++, b += NR) {
        vf b0 = vf_load(b), b1 = vf_load(b + VW);
        __builtin_prefetch(b + 64 * NR);
        __builtin_prefetch(b + 64 * NR + VW);
        UNROLL_ALL
        for (int i = 0; i < rows; i++) {
            vf s = vf_set(a[(size_t)i * as + (size_t)x]);
            acc[i][0] = vf_fma(s, b0, acc[i][0]);
            acc[i][1] = vf_fma(s, b1, acc[i][1]);
        }
    }
    UNROLL_ALL
    for (int i = 0; i < rows; i++) {
        vf_store(out + (size_t)i * os, acc[i][0]);
        vf_store(out + (size_t)i * os + VW, acc[i][1]);
    }
}

#define TILE(n)                                                                                    \
    static QD_NOINLINE void tile_##n(                                                              \
        const float *a, size_t as, const float *b, int k, float *out, size_t os)                   \
    {                                                                                              \
        tile(a, as, b, k, out, os, n);                                                             \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
#if VREGS == 32
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
#endif

typedef void tile_fn(const float *a, size_t as, const float *b, int k, float *out, size_t os);
static tile_fn *const tiles[MR + 1] = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6,
#if VREGS == 32
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13
#endif
};

/* m[component][patch][wide] = v[component][patch][c] * filters of panels p0..p1-1 */
static void products(const struct qd_conv_job *job, const float *v, long count, int p0, int p1,
    float *m, size_t vstride)
{
    int c = job->g->c, panels = ceil_div(job->g->k, NR);
    size_t wide = (size_t)(p1 - p0) * NR;
    int cuts = ceil_div(count, MR); /* equal tiles */

    for (int x = 0; x < shape(job->g).xi; x++)
        for (int p = p0; p < p1; p++) {
            const float *b =
                job->packed + ((size_t)x * (size_t)panels + (size_t)p) * (size_t)c * NR;
            for (int t = 0; t < cuts; t++) {
                long from, to;
                qd_par_range(count, cuts, t, &from, &to);
                tiles[to - from](v + (size_t)x * vstride + (size_t)from * (size_t)c, (size_t)c, b,
                    c,
                    m + ((size_t)x * (size_t)count + (size_t)from) * wide + (size_t)(p - p0) * NR,
                    wide);
            }
        }
}

/* ---- patches out ----------------------------------------------------------------------------- */

struct finish {
    const struct qd_epilogue *ep;
    const struct qd_tensor *out;
    int n, y, x, k; /* image, first output pixel, first filter */
    int lanes;
    vf bias, slope;
};

QD_ALWAYS_INLINE vf activated(const struct finish *f, vf v, enum qd_act act)
{
    return vf_act(act, v + f->bias, f->slope);
}

QD_ALWAYS_INLINE void put(const struct finish *f, int y, int x, vf v)
{
    const struct qd_epilogue *ep = f->ep;

    if (ep->add)
        v = vf_act(ep->add_act, v + vf_load(qd_at(ep->add, f->n, y, x) + f->k), f->slope);
    vf_store_n(qd_at(f->out, f->n, y, x) + f->k, v, f->lanes);
}

/* A' s A for one vector of filters: m x m outputs, each through the epilogue. */
QD_ALWAYS_INLINE void transform_out(const int m, const struct finish *f, const float *src,
    size_t stride, enum qd_act act, bool pool)
{
    vf t[4][SIDE_MAX], y[4][4];

    UNROLL_ALL
    for (int j = 0; j < m + 2; j++) {
        vf s[SIDE_MAX], u[4];
        UNROLL_ALL
        for (int i = 0; i < m + 2; i++)
            s[i] = vf_load(src + (size_t)(i * (m + 2) + j) * stride);
        wino_out(m, s, u);
        UNROLL_ALL
        for (int i = 0; i < m; i++)
            t[i][j] = u[i];
    }
    UNROLL_ALL
    for (int i = 0; i < m; i++) {
        wino_out(m, t[i], y[i]);
        UNROLL_ALL
        for (int j = 0; j < m; j++)
            y[i][j] = activated(f, y[i][j], act);
    }
    UNROLL_ALL
    for (int i = 0; i < m; i++)
        UNROLL_ALL
    for (int j = 0; j < m; j++) {
        int oy = f->y + i, ox = f->x + j;
        if (pool) {
            if (i % 2 == 0 && j % 2 == 0 && oy / 2 < f->out->h && ox / 2 < f->out->w)
                vf_store_n(qd_at(f->out, f->n, oy / 2, ox / 2) + f->k,
                    vf_max(vf_max(y[i][j], y[i][j + 1]), vf_max(y[i + 1][j], y[i + 1][j + 1])),
                    f->lanes);
        } else if (oy < f->out->h && ox < f->out->w) {
            put(f, oy, ox, y[i][j]);
        }
    }
}

QD_ALWAYS_INLINE void finish_patch(const int m, const struct finish *f, const float *src,
    size_t stride, const struct qd_epilogue *ep)
{
#define OUT(A)                                                                                     \
    if (ep->pool)                                                                                  \
        transform_out(m, f, src, stride, A, true);                                                 \
    else                                                                                           \
        transform_out(m, f, src, stride, A, false)
    QD_ACT_SPECIALISE(ep->act, OUT);
#undef OUT
}

/* One per patch size, so that each is compiled with constants. */
static QD_NOINLINE void finish_2(
    const struct finish *f, const float *src, size_t stride, const struct qd_epilogue *ep)
{
    finish_patch(2, f, src, stride, ep);
}

static QD_NOINLINE void finish_4(
    const struct finish *f, const float *src, size_t stride, const struct qd_epilogue *ep)
{
    finish_patch(4, f, src, stride, ep);
}

/* Patches from..to-1, filters of panels p0..p1-1, from m[component][patch][wide]. */
static void patches_out(
    const struct qd_conv_job *job, long from, long to, int p0, int p1, const float *m)
{
    const struct qd_conv_geom *g = job->g;
    const struct qd_epilogue *ep = job->ep;
    struct wino w = shape(g);
    size_t wide = (size_t)(p1 - p0) * NR, stride = (size_t)(to - from) * wide;

    for (int k = p0 * NR; k < QD_MIN(p1 * NR, g->k); k += VW) {
        struct finish f = {.ep = ep, .out = job->out, .k = k};
        f.lanes = QD_MIN(VW, g->k - k);
        f.bias = ep->bias ? vf_load_n(ep->bias + k, f.lanes) : vf_zero();
        f.slope = ep->slope ? vf_load_n(ep->slope + k, f.lanes) : vf_zero();
        for (long p = from; p < to; p++) {
            int at = (int)(p % ((long)w.ty * w.tx));
            const float *src = m + (size_t)(p - from) * wide + (size_t)(k - p0 * NR);
            f.n = (int)(p / ((long)w.ty * w.tx));
            f.y = at / w.tx * w.m;
            f.x = at % w.tx * w.m;
            (w.m == 2 ? finish_2 : finish_4)(&f, src, stride, ep);
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

struct run_job {
    const struct qd_conv_job *job;
    struct wino w;
    long from, to; /* split: patches of the superblock */
};

static void run_block(void *ctx, int chunk, int thread)
{
    const struct run_job *r = ctx;
    const struct qd_conv_job *job = r->job;
    size_t c = (size_t)job->g->c, wide = (size_t)r->w.panels * NR, block = (size_t)r->w.block;
    size_t xi = (size_t)r->w.xi;
    float *v = job->work + (size_t)thread * xi * block * (c + wide), *m = v + xi * block * c;
    long from, to;

    qd_par_range(r->w.patches, ceil_div(r->w.patches, r->w.block), chunk, &from, &to);
    patches_in(job, from, to, v, block * c);
    products(job, v, to - from, 0, r->w.panels, m, block * c);
    patches_out(job, from, to, 0, r->w.panels, m);
}

enum { IN_CHUNKS = 16 };

static void run_in(void *ctx, int chunk, int thread)
{
    const struct run_job *r = ctx;
    size_t c = (size_t)r->job->g->c;
    long from, to;

    (void)thread;
    qd_par_range(r->to - r->from, IN_CHUNKS, chunk, &from, &to);
    patches_in(r->job, r->from + from, r->from + to, r->job->work + (size_t)from * c,
        (size_t)r->w.block * c);
}

static void run_group(void *ctx, int chunk, int thread)
{
    const struct run_job *r = ctx;
    const struct qd_conv_job *job = r->job;
    size_t c = (size_t)job->g->c, block = (size_t)r->w.block;
    float *m = job->work + (size_t)r->w.xi * block * (c + (size_t)thread * (size_t)r->w.group * NR);
    long p0, p1;

    qd_par_range(r->w.panels, r->w.groups, chunk, &p0, &p1);
    products(job, job->work, r->to - r->from, (int)p0, (int)p1, m, block * c);
    patches_out(job, r->from, r->to, (int)p0, (int)p1, m);
}

static size_t work_floats(const struct qd_conv_geom *g, int threads)
{
    struct wino w = shape(g);
    size_t c = (size_t)g->c, block = (size_t)w.block * (size_t)w.xi;

    if (w.split)
        return block * (c + (size_t)threads * (size_t)w.group * NR);
    return (size_t)threads * block * (c + (size_t)w.panels * NR);
}

static void run(const struct qd_conv_job *job)
{
    struct run_job r = {.job = job, .w = shape(job->g)};
    int blocks = ceil_div(r.w.patches, r.w.block);

    if (!r.w.split) {
        qd_par(blocks, run_block, &r);
        return;
    }
    for (int b = 0; b < blocks; b++) {
        qd_par_range(r.w.patches, blocks, b, &r.from, &r.to);
        qd_par(IN_CHUNKS, run_in, &r);
        qd_par(r.w.groups, run_group, &r);
    }
}

const struct qd_conv_kernel QD_VEC(qd_vec_conv_winograd) = {
    .name = "winograd",
    .supports = supports,
    .can_pool = can_pool,
    .packed = packed_floats,
    .pack = pack,
    .work = work_floats,
    .run = run,
};
