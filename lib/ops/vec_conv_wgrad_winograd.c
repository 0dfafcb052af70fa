/* SPDX-License-Identifier: MIT */
/*
 * Gradient of the weights of 3x3 convolutions of stride 1 with fewer multiplications: Winograd's
 * F(m x m, 3x3) of vec_winograd.c, transposed.  There Y = A' [(G g G') * (B' d B)] A; so
 *
 *     dg = G' [ (B' d B) * (A dY A') ] G
 *
 * summed over the m x m patches dY of dz and their d of x.  The sum can be taken inside the
 * brackets, where it is 36 (m = 4) or 16 (m = 2) outer products over patches of channels and
 * filters, which replace 144 or 36.  A block of patches of both is transformed, cut into pieces and
 * panels as in vec_conv_wgrad_pack.c.
 *
 * Few weights: a chunk is a range of patches, which pass through the cache in small blocks, with
 * sums of its own; those are added in chunk order.  Many weights: blocks are large, and a chunk is
 * some pieces times one panel of a block.
 */
#include "base/par.h"
#include "ops/vec_conv.h"
#include "ops/vec_conv_grad.h"
#include "ops/vec_winograd.h"

enum {
    SIDE_MAX = 6,         /* of a patch of x: m + 2 */
    BLOCK_OWN = 96 << 10, /* floats of transformed patches of one chunk */
    SUMS_OWN = 128 << 10, /* floats of its sums, at most */
    CHUNKS = 16,
    BLOCK_SMALL = 1 << 20, /* floats of transformed patches, to stay in the caches, */
    BLOCK_LARGE = 8 << 20, /* but up to this many ... */
    BLOCK_PATCHES = 256, /* ... to have so many patches, because blocks have an end of their own */
    BAND = 128,          /* patches that all pieces go over before the next: they stay in L1 */
    TURNERS = 32,        /* pieces of the transform */
    WANTED = 16,         /* chunks that are enough */
    GROUP = 4,           /* pieces of a chunk, at most */
    SLOT = OUTER_1 * VW, /* floats of a tile's sums */
};

struct plan {
    const struct qd_conv_grad *j;
    float *dweight;
    int m, side, xi;     /* outputs and inputs along a side of a patch, components */
    int ty, tx;          /* patches per column and row of an image */
    long patches;        /* of the batch */
    int block;           /* patches at once, at most */
    int pieces, most;    /* of the channels, and the largest */
    int panels;          /* of the filters */
    bool own;            /* few weights */
    int group, groups;   /* pieces of a chunk */
    float *v, *u, *sums; /* [piece][component][patch][n], [panel][component][patch][n], scratch */
    long from, to;       /* the block */
};

static int ceil_div(long a, long b)
{
    return (int)((a + b - 1) / b);
}

bool QD_VEC(qd_wgrad_winograd_fits)(const struct qd_conv_geom *g)
{
    return g->rh == 3 && g->rw == 3 && g->sy == 1 && g->sx == 1 && g->dil == 1 && g->groups == 1 &&
           g->pad <= 1 && g->c >= 16 && g->k > VW && g->oh >= 4 && g->ow >= 4 &&
           (long)g->n * g->oh * g->ow >= 500;
}

static struct plan plan_of(const struct qd_conv_geom *g)
{
    struct plan p = {.m = QD_MIN(g->oh, g->ow) >= 8 ? 4 : 2};

    p.side = p.m + 2;
    p.xi = p.side * p.side;
    p.ty = ceil_div(g->oh, p.m);
    p.tx = ceil_div(g->ow, p.m);
    p.patches = (long)g->n * p.ty * p.tx;
    p.pieces = ceil_div(g->c, OUTER_2);
    p.most = ceil_div(g->c, p.pieces);
    p.panels = ceil_div(g->k, WIDE);
    const long patch = (long)p.xi * (p.pieces * p.most + p.panels * WIDE);
    long most = QD_MAX(BLOCK_SMALL / patch, QD_MIN(BLOCK_PATCHES, BLOCK_LARGE / patch));
    p.own = (long)p.xi * p.pieces * p.panels * SLOT <= SUMS_OWN && p.patches >= 16 * CHUNKS;
    if (p.own)
        most = BLOCK_OWN / patch;
    most = QD_MAX(1, most);
    p.block = ceil_div(p.patches, ceil_div(p.patches, most)); /* equal blocks */
    p.group = QD_MAX(1, QD_MIN(GROUP, p.pieces * p.panels / WANTED));
    p.groups = ceil_div(p.pieces, p.group);
    return p;
}

/* ---- transforms ------------------------------------------------------------------------------ */

/* The patch of x or of dz at px[row * n + column] + c: its components go to 'to', 'stride' apart,
 * whole vectors unless 'lanes' says less. */
QD_ALWAYS_INLINE void transform(const int m, const bool is_x, const float *const *px, int c,
    float *to, size_t stride, int lanes)
{
    const int side = m + 2, n = is_x ? side : m;
    vf t[SIDE_MAX][SIDE_MAX];

    UNROLL_ALL
    for (int j = 0; j < n; j++) {
        vf d[SIDE_MAX], u[SIDE_MAX];
        UNROLL_ALL
        for (int i = 0; i < n; i++)
            d[i] = vf_load(px[i * n + j] + c);
        if (is_x)
            wino_in(m, d, u);
        else
            wino_out_back(m, d, u);
        UNROLL_ALL
        for (int i = 0; i < side; i++)
            t[i][j] = u[i];
    }
    UNROLL_ALL
    for (int i = 0; i < side; i++) {
        vf u[SIDE_MAX];
        if (is_x)
            wino_in(m, t[i], u);
        else
            wino_out_back(m, t[i], u);
        UNROLL_ALL
        for (int j = 0; j < side; j++)
            if (lanes >= VW)
                vf_store(to + (size_t)(i * side + j) * stride, u[j]);
            else
                vf_store_part(to + (size_t)(i * side + j) * stride, u[j], lanes);
    }
}

/* Pixels of patch p: of x, where those beyond the border do not matter because dz is 0 there; and
 * of dz, those outside from its border. */
static void pixels_of(const struct plan *p, long patch, const float **x, const float **z)
{
    const struct qd_conv_geom *g = p->j->g;
    const struct qd_tensor *in = p->j->in, *dz = p->j->dz;
    const int n = (int)(patch / ((long)p->ty * p->tx)), at = (int)(patch % ((long)p->ty * p->tx));
    const int y0 = at / p->tx * p->m, x0 = at % p->tx * p->m;

    for (int i = 0; i < p->xi; i++)
        x[i] = qd_at(in, n, QD_MIN(y0 + i / p->side - g->pad, in->h + in->border - 1),
            QD_MIN(x0 + i % p->side - g->pad, in->w + in->border - 1));
    for (int i = 0; i < p->m * p->m; i++) {
        const bool inside = y0 + i / p->m < g->oh && x0 + i % p->m < g->ow;
        z[i] = inside ? qd_at(dz, n, y0 + i / p->m, x0 + i % p->m) : qd_at(dz, n, -1, -1);
    }
}

/* Patch 'at' of the block.  A whole vector of a piece reaches into the next patch, which comes
 * later, unless it is the last of its chunk. */
QD_ALWAYS_INLINE void patch_in(const struct plan *p, const int m, long at, bool last)
{
    const struct qd_conv_geom *g = p->j->g;
    const float *x[SIDE_MAX * SIDE_MAX], *z[16];
    const size_t block = (size_t)p->block, xi = (size_t)p->xi;
    long from, to;

    pixels_of(p, p->from + at, x, z);
    for (int i = 0; i < p->pieces; i++) {
        qd_par_range(g->c, p->pieces, i, &from, &to);
        const size_t n = (size_t)(to - from);
        float *v = p->v + (size_t)i * xi * block * (size_t)p->most + (size_t)at * n;
        for (size_t c = 0; c < n; c += VW)
            transform(m, true, x, (int)((size_t)from + c), v + c, block * n,
                last || c + VW < n ? (int)QD_MIN(VW, n - c) : VW);
    }
    for (int c = 0; c < g->k; c += VW) {
        const size_t nv = g->k - c / WIDE * WIDE > VW ? 2 : 1;
        float *u = p->u + (size_t)(c / WIDE) * xi * block * WIDE + (size_t)at * nv * VW +
                   (size_t)(c % WIDE);
        transform(m, false, z, c, u, block * nv * VW, VW);
    }
}

static void some_patches_in(const struct plan *p, long from, long to)
{
    for (long at = from; at < to; at++)
        if (p->m == 2)
            patch_in(p, 2, at, at == to - 1);
        else
            patch_in(p, 4, at, at == to - 1);
}

static void patches_in(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    long from, to;

    (void)thread;
    qd_par_range(p->to - p->from, TURNERS, index, &from, &to);
    some_patches_in(p, from, to);
}

/* ---- products and what becomes of them ------------------------------------------------------- */

/* Sums of channel 'ch', nv vectors of 'n' filters from f on, at 's': G' s G, added to the
 * gradient. */
QD_ALWAYS_INLINE void weights_out(
    const struct plan *p, const int m, const float *s, int ch, const int f_n[2])
{
    const int side = m + 2, width = f_n[1] > VW ? WIDE : VW;
    float w[9 * WIDE];

    for (int c = 0; c < width; c += VW) {
        vf t[3][SIDE_MAX];
        UNROLL_ALL
        for (int j = 0; j < side; j++) {
            vf u[SIDE_MAX], d[3];
            UNROLL_ALL
            for (int i = 0; i < side; i++)
                u[i] = vf_load(s + (i * side + j) * SLOT + c);
            wino_filter_back(m, u, d);
            UNROLL_ALL
            for (int i = 0; i < 3; i++)
                t[i][j] = d[i];
        }
        UNROLL_ALL
        for (int i = 0; i < 3; i++) {
            vf d[3];
            wino_filter_back(m, t[i], d);
            UNROLL_ALL
            for (int j = 0; j < 3; j++)
                vf_store(w + (i * 3 + j) * WIDE + c, d[j]);
        }
    }
    for (int f = 0; f < f_n[1]; f++) {
        float *to = p->dweight + ((size_t)(f_n[0] + f) * (size_t)p->j->g->c + (size_t)ch) * 9;
        for (int i = 0; i < 9; i++)
            to[i] += w[i * WIDE + f];
    }
}

static void piece_out(const struct plan *p, const float *s, int piece, const int f_n[2])
{
    const int width = f_n[1] > VW ? WIDE : VW;
    long from, to;

    qd_par_range(p->j->g->c, p->pieces, piece, &from, &to);
    for (long ch = from; ch < to; ch++, s += width)
        if (p->m == 2)
            weights_out(p, 2, s, (int)ch, f_n);
        else
            weights_out(p, 4, s, (int)ch, f_n);
}

/* Component x of pieces first to end - 1 times a panel. */
static void products(const struct plan *p, int x, const int first_end[2], int panel, float *sums)
{
    const int nv = p->j->g->k - panel * WIDE > VW ? 2 : 1;
    const size_t block = (size_t)p->block, component = (size_t)x;
    const int patches = (int)(p->to - p->from), bands = ceil_div(patches, BAND);
    const float *u =
        p->u + (size_t)panel * (size_t)p->xi * block * WIDE + component * block * (size_t)(nv * VW);
    struct outer t = {.rows = 1, .bx = (size_t)(nv * VW)};
    long from, to, first, end;

    for (int b = 0; b < bands; b++) {
        qd_par_range(patches, bands, b, &from, &to);
        t.cols = (int)(to - from);
        t.b = u + (size_t)from * t.bx;
        for (int i = first_end[0]; i < first_end[1]; i++) {
            qd_par_range(p->j->g->c, p->pieces, i, &first, &end);
            t.ax = (size_t)(end - first);
            t.a = p->v + (size_t)i * (size_t)p->xi * block * (size_t)p->most +
                  component * block * t.ax + (size_t)from * t.ax;
            t.sum = sums + ((i - first_end[0]) * p->xi + x) * SLOT;
            QD_VEC(qd_vec_outer)[nv - 1][t.ax](&t);
        }
    }
}

static void chunk(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    const int panel = index / p->groups, first = index % p->groups * p->group;
    const int range[2] = {first, QD_MIN(first + p->group, p->pieces)};
    const int f_n[2] = {panel * WIDE, QD_MIN(WIDE, p->j->g->k - panel * WIDE)};
    const size_t floats = (size_t)p->group * (size_t)p->xi * SLOT;
    float *sums = p->sums + (size_t)thread * floats;

    memset(sums, 0, floats * sizeof(float));
    for (int x = 0; x < p->xi; x++)
        products(p, x, range, panel, sums);
    for (int i = range[0]; i < range[1]; i++)
        piece_out(p, sums + (size_t)(i - first) * (size_t)p->xi * SLOT, i, f_n);
}

/* ---- few weights ----------------------------------------------------------------------------- */

static size_t sums_own(const struct plan *p)
{
    return (size_t)(p->pieces * p->panels * p->xi) * SLOT;
}

static size_t block_floats(const struct plan *p)
{
    return (size_t)p->block * (size_t)p->xi * (size_t)(p->pieces * p->most + p->panels * WIDE);
}

static void chunk_own(void *ctx, int index, int thread)
{
    struct plan p = *(const struct plan *)ctx;
    const size_t panel = (size_t)(p.pieces * p.xi) * SLOT;
    float *sums = p.sums + (size_t)index * sums_own(&p);
    long from, to;

    memset(sums, 0, sums_own(&p) * sizeof(float));
    p.u += (size_t)thread * block_floats(&p);
    p.v = p.u + (size_t)p.xi * (size_t)p.block * (size_t)(p.panels * WIDE);
    qd_par_range(p.patches, CHUNKS, index, &from, &to);
    for (p.from = from; p.from < to; p.from = p.to) {
        p.to = QD_MIN(p.from + p.block, to);
        some_patches_in(&p, 0, p.to - p.from);
        for (int i = 0; i < p.panels; i++)
            for (int x = 0; x < p.xi; x++)
                products(&p, x, (const int[2]){0, p.pieces}, i, sums + (size_t)i * panel);
    }
}

/* One piece of a panel: the sums of all chunks to the first one's, then those. */
static void add_own(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    const int panel = index / p->pieces;
    const size_t all = sums_own(p), floats = (size_t)p->xi * SLOT;
    float *sums = p->sums + (size_t)index * floats;

    (void)thread;
    for (size_t i = 0; i < floats; i += VW) {
        vf sum = vf_load(sums + i);
        for (size_t k = 1; k < CHUNKS; k++)
            sum += vf_load(sums + k * all + i);
        vf_store(sums + i, sum);
    }
    piece_out(p, sums, index % p->pieces,
        (const int[2]){panel * WIDE, QD_MIN(WIDE, p->j->g->k - panel * WIDE)});
}

size_t QD_VEC(qd_wgrad_winograd_work)(const struct qd_conv_geom *g, int threads)
{
    const struct plan p = plan_of(g);

    if (p.own)
        return CHUNKS * sums_own(&p) + (size_t)threads * block_floats(&p);
    return block_floats(&p) + (size_t)(threads * p.group * p.xi) * SLOT;
}

void QD_VEC(qd_wgrad_winograd)(const struct qd_conv_grad *j, float *dweight)
{
    struct plan p = plan_of(j->g);
    const int blocks = ceil_div(p.patches, p.block);

    p.j = j;
    p.dweight = dweight;
    if (p.own) {
        p.sums = j->work;
        p.u = j->work + CHUNKS * sums_own(&p);
        qd_par(CHUNKS, chunk_own, &p);
        qd_par(p.panels * p.pieces, add_own, &p);
        return;
    }
    p.u = j->work;
    p.v = p.u + (size_t)p.xi * (size_t)p.block * (size_t)(p.panels * WIDE);
    p.sums = p.u + block_floats(&p);
    for (int i = 0; i < blocks; i++) {
        qd_par_range(p.patches, blocks, i, &p.from, &p.to);
        qd_par(TURNERS, patches_in, &p);
        qd_par(p.panels * p.groups, chunk, &p);
    }
}
