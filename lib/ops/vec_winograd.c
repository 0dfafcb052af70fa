/* SPDX-License-Identifier: MIT */
/*
 * 3x3 convolutions of stride 1 with fewer multiplications: Winograd's F(2x2, 3x3) (Lavin and Gray,
 * "Fast Algorithms for Convolutional Neural Networks", 2016, section 4.1).  Each 4x4 patch d of the
 * input and each filter g are transformed, the 16 components are 16 independent matrix products
 * over the channels, and the results are transformed back to 2x2 outputs:
 *
 *     Y = A' [ (G g G') * (B' d B) ] A
 *
 * 16 products replace 36.  The transforms of F(2x2) are additions and halvings only, so that the
 * error is that of the direct sum within a small factor.  Products run as in the blocked kernel: a
 * tile of MR patches x NR filters in registers, filters packed in panels of NR.
 *
 * Few filters: a chunk is a block of patches that goes through all three stages in the cache.  Many
 * filters: patches are transformed once for all, and a chunk is a group of filter panels, so that
 * the filters, which are the larger part, are read once.
 */
#include "base/par.h"
#include "ops/kernels.h"
#include "ops/vec.h"

enum {
    NR = 2 * VW,               /* filters of a panel */
    MR = VREGS == 32 ? 13 : 6, /* patches of a register tile */
    XI = 16,                   /* components of a transformed patch */
    BLOCK_FLOATS = 128 * 1024, /* of transformed input and output in a block */
    SPLIT_FLOATS = 256 * 1024, /* filters above this are split, not patches */
    SUPER = 256,               /* patches at once when the filters are split */
    GROUPS = 8,                /* at most so many groups of panels */
};

/* Everything that depends on the geometry alone. */
struct wino {
    int ty, tx;   /* patches per column and row of an image */
    long patches; /* of the batch */
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
    struct wino w = {.ty = ceil_div(g->oh, 2), .tx = ceil_div(g->ow, 2)};

    w.patches = (long)g->n * w.ty * w.tx;
    w.panels = ceil_div(g->k, NR);
    w.split = (long)XI * g->c * w.panels * NR > SPLIT_FLOATS;
    long most = w.split ? SUPER : BLOCK_FLOATS / ((long)XI * (g->c + w.panels * NR));
    most = QD_MAX(most / MR * MR, 2 * MR);
    w.block = ceil_div(w.patches, ceil_div(w.patches, most)); /* equal blocks */
    w.groups = QD_MIN(w.panels, GROUPS);
    w.group = ceil_div(w.panels, w.groups);
    return w;
}

static bool supports(const struct qd_conv_geom *g)
{
    return g->rh == 3 && g->rw == 3 && g->sy == 1 && g->sx == 1 && g->dil == 1 && g->groups == 1 &&
           g->c >= 16 && g->k >= 32 && g->oh >= 4 && g->ow >= 4;
}

static bool can_pool(const struct qd_conv_geom *g)
{
    return g->oh % 2 == 0 && g->ow % 2 == 0;
}

/* ---- filters --------------------------------------------------------------------------------- */

static size_t packed_floats(const struct qd_conv_geom *g)
{
    return (size_t)XI * (size_t)g->c * (size_t)ceil_div(g->k, NR) * NR;
}

/* G g G' of one 3x3 filter, in double because it is done once. */
static void transform_filter(const float *w, double scale, float u[XI])
{
    static const double G[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
    double t[4][3];

    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            t[i][j] =
                G[i][0] * (double)w[j] + G[i][1] * (double)w[3 + j] + G[i][2] * (double)w[6 + j];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            u[i * 4 + j] =
                (float)(scale * (t[i][0] * G[j][0] + t[i][1] * G[j][1] + t[i][2] * G[j][2]));
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
    size_t c = (size_t)g->c, panels = (size_t)ceil_div(g->k, NR);

    (void)thread;
    for (int f = 0; f < NR; f++)
        for (size_t ch = 0; ch < c; ch++) {
            int k = panel * NR + f;
            float u[XI] = {0};
            if (k < g->k)
                transform_filter(
                    j->weight + ((size_t)k * c + ch) * 9, j->scale ? (double)j->scale[k] : 1, u);
            for (size_t x = 0; x < XI; x++)
                j->packed[((x * panels + (size_t)panel) * c + ch) * NR + (size_t)f] = u[x];
        }
}

static void pack(
    const struct qd_conv_geom *g, const float *weight, const float *scale, float *packed)
{
    struct pack_job j = {g, weight, scale, packed};

    qd_par(ceil_div(g->k, NR), pack_panel, &j);
}

/* ---- patches in ------------------------------------------------------------------------------ */

/* B' d B for one vector of channels; d[i][j] are 4x4 vectors, v the component stride apart. */
QD_ALWAYS_INLINE void transform_in(const vf d[4][4], float *v, size_t stride, int n)
{
    vf t[4][4];

    UNROLL_ALL
    for (int j = 0; j < 4; j++) {
        t[0][j] = d[0][j] - d[2][j];
        t[1][j] = d[1][j] + d[2][j];
        t[2][j] = d[2][j] - d[1][j];
        t[3][j] = d[1][j] - d[3][j];
    }
    UNROLL_ALL
    for (int i = 0; i < 4; i++) {
        vf_store_n(v + (size_t)(4 * i) * stride, t[i][0] - t[i][2], n);
        vf_store_n(v + (size_t)(4 * i + 1) * stride, t[i][1] + t[i][2], n);
        vf_store_n(v + (size_t)(4 * i + 2) * stride, t[i][2] - t[i][1], n);
        vf_store_n(v + (size_t)(4 * i + 3) * stride, t[i][1] - t[i][3], n);
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
        int y0 = at / w.tx * 2 - g->pad, x0 = at % w.tx * 2 - g->pad;
        const float *px[4][4];
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
                px[i][j] = qd_at(in, n, QD_MIN(y0 + i, in->h + in->border - 1),
                    QD_MIN(x0 + j, in->w + in->border - 1));
        for (int c = 0; c < g->c; c += VW) {
            const int n_c = g->c - c;
            vf d[4][4];
            UNROLL_ALL
            for (int i = 0; i < 4; i++)
                UNROLL_ALL
            for (int j = 0; j < 4; j++)
                d[i][j] = vf_load(px[i][j] + c);
            transform_in((const vf(*)[4])d, v + c, stride, n_c);
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

    for (int x = 0; x < XI; x++)
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

/* A' m A for one vector of filters: 2x2 outputs, each through the epilogue. */
QD_ALWAYS_INLINE void transform_out(
    const struct finish *f, const float *m, size_t stride, enum qd_act act, bool pool)
{
    vf s[2][4];

    UNROLL_ALL
    for (int j = 0; j < 4; j++) {
        vf a = vf_load(m + (size_t)j * stride), b = vf_load(m + (size_t)(4 + j) * stride);
        vf c = vf_load(m + (size_t)(8 + j) * stride), d = vf_load(m + (size_t)(12 + j) * stride);
        s[0][j] = a + b + c;
        s[1][j] = b - c - d;
    }
    vf y00 = activated(f, s[0][0] + s[0][1] + s[0][2], act);
    vf y01 = activated(f, s[0][1] - s[0][2] - s[0][3], act);
    vf y10 = activated(f, s[1][0] + s[1][1] + s[1][2], act);
    vf y11 = activated(f, s[1][1] - s[1][2] - s[1][3], act);
    if (pool) {
        vf_store_n(qd_at(f->out, f->n, f->y / 2, f->x / 2) + f->k,
            vf_max(vf_max(y00, y01), vf_max(y10, y11)), f->lanes);
        return;
    }
    bool right = f->x + 1 < f->out->w, below = f->y + 1 < f->out->h;
    put(f, f->y, f->x, y00);
    if (right)
        put(f, f->y, f->x + 1, y01);
    if (below)
        put(f, f->y + 1, f->x, y10);
    if (right && below)
        put(f, f->y + 1, f->x + 1, y11);
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
            f.y = at / w.tx * 2;
            f.x = at % w.tx * 2;
#define OUT(A)                                                                                     \
    if (ep->pool)                                                                                  \
        transform_out(&f, src, stride, A, true);                                                   \
    else                                                                                           \
        transform_out(&f, src, stride, A, false)
            QD_ACT_SPECIALISE(ep->act, OUT);
#undef OUT
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
    float *v = job->work + (size_t)thread * XI * block * (c + wide), *m = v + XI * block * c;
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
    float *m = job->work + XI * block * (c + (size_t)thread * (size_t)r->w.group * NR);
    long p0, p1;

    qd_par_range(r->w.panels, r->w.groups, chunk, &p0, &p1);
    products(job, job->work, r->to - r->from, (int)p0, (int)p1, m, block * c);
    patches_out(job, r->from, r->to, (int)p0, (int)p1, m);
}

static size_t work_floats(const struct qd_conv_geom *g, int threads)
{
    struct wino w = shape(g);
    size_t c = (size_t)g->c, block = (size_t)w.block * XI;

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
