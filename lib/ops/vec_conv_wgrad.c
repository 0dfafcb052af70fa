/* SPDX-License-Identifier: MIT */
/*
 * Gradient of a convolution's weights where it is small: straight from x and dz.
 *
 * The taps of a pixel are runs of x, as in the forward tiles: ny runs of rw*c floats where pixels
 * are dense, else ny*nx runs of c/groups.  A tile is a piece of a run times a piece of the filters;
 * the side that fills vectors better is the one in vectors.  Output rows are dealt out in a fixed
 * number of chunks with sums of their own, which are added in chunk order at the end.
 */
#include "base/par.h"
#include "ops/vec_conv_grad.h"

enum {
    CHUNKS = 16,
    BAND = 128,  /* pixels that all tiles go over before the next: they stay in L1 */
    LONG = 4096, /* the same where there is one tile, for the sake of rounding errors */
    ADDERS = 64  /* pieces of the final addition */
};

struct plan {
    const struct qd_conv_grad *j;
    float *dweight;
    bool dense;
    bool turned;         /* vectors are x, values are dz */
    int ny, nx, len, kg; /* runs of x, filters */
    int vectors, values; /* pieces of both sides of a run */
    int vlen, slen;      /* lengths of both sides */
    int tiles;
    size_t slot; /* floats of a tile's sums */
    size_t all;  /* from the sums of a chunk to the next ones */
    int chunks;
};

/* A piece of both sides at a run of a group. */
struct piece {
    int group, run;
    int v, nv, lanes; /* side in vectors: first, vectors, values */
    int s, n;         /* other side: first, values */
    size_t at;        /* of its sums */
};

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static struct plan plan_of(const struct qd_conv_geom *g, bool dense)
{
    const int cg = g->c / g->groups;
    struct plan p = {.dense = dense && g->groups == 1 && g->dil == 1, .kg = g->k / g->groups};

    p.ny = g->rh;
    p.nx = p.dense ? 1 : g->rw;
    p.len = p.dense ? g->rw * cg : cg;
    p.turned = p.kg * ceil_div(p.len, VW) < p.len * ceil_div(p.kg, VW);
    p.vlen = p.turned ? p.len : p.kg;
    p.slen = p.turned ? p.kg : p.len;
    p.vectors = ceil_div(p.vlen, WIDE);
    p.values = ceil_div(p.slen, p.vlen > VW ? OUTER_2 : OUTER_1);
    p.tiles = g->groups * p.vectors * p.ny * p.nx * p.values;
    p.slot = (size_t)ceil_div(p.slen, p.values) * (size_t)(p.vlen > VW ? WIDE : VW);
    p.all = (size_t)p.tiles * p.slot;
    p.chunks = (int)QD_MIN(CHUNKS, (long)g->n * g->oh);
    return p;
}

/* Tile 'i' of the plan: values innermost, then runs, vectors, groups. */
static struct piece piece_of(const struct plan *p, int i)
{
    struct piece t = {.at = (size_t)i * p->slot};
    long from, to;

    qd_par_range(p->slen, p->values, i % p->values, &from, &to);
    t.s = (int)from;
    t.n = (int)(to - from);
    i /= p->values;
    t.run = i % (p->ny * p->nx);
    i /= p->ny * p->nx;
    t.v = i % p->vectors * WIDE;
    t.group = i / p->vectors;
    t.lanes = QD_MIN(WIDE, p->vlen - t.v);
    t.nv = t.lanes > VW ? 2 : 1;
    return t;
}

/* All tiles over a rectangle of output pixels. */
static void run_band(const struct plan *p, float *sums, const int n_y_x[3], const int rows_cols[2])
{
    const struct qd_conv_geom *g = p->j->g;
    const struct qd_tensor *in = p->j->in, *dz = p->j->dz;
    const int y = n_y_x[1] * g->sy - g->pad * g->dil, x = n_y_x[2] * g->sx - g->pad * g->dil;
    const float *z = qd_at(dz, n_y_x[0], n_y_x[1], n_y_x[2]);
    struct outer t = {.rows = rows_cols[0], .cols = rows_cols[1]};
    const size_t px = (size_t)g->sx * (size_t)in->ps, py = (size_t)g->sy * in->rs;

    t.ax = p->turned ? (size_t)dz->ps : px;
    t.ay = p->turned ? dz->rs : py;
    t.bx = p->turned ? px : (size_t)dz->ps;
    t.by = p->turned ? py : dz->rs;
    for (int i = 0; i < p->tiles; i++) {
        const struct piece e = piece_of(p, i);
        const float *xs =
            qd_at(in, n_y_x[0], y + e.run / p->nx * g->dil, x + e.run % p->nx * g->dil) +
            e.group * (g->c / g->groups);
        const float *zs = z + e.group * p->kg;
        t.a = (p->turned ? zs : xs) + e.s;
        t.b = (p->turned ? xs : zs) + e.v;
        t.sum = sums + e.at;
        QD_VEC(qd_vec_outer)[e.nv - 1][e.n](&t);
    }
}

/* Rows y to y + rows - 1 of image n. */
static void run_rows(const struct plan *p, float *sums, int n, int y, int rows)
{
    const struct qd_conv_geom *g = p->j->g;
    const int band = p->tiles == 1 ? LONG : BAND;
    const int cuts = ceil_div(g->ow, 2 * band), step = QD_MAX(1, band / g->ow);
    long from, to;

    for (int end = y + rows; y < end; y += step)
        for (int i = 0; i < cuts; i++) {
            qd_par_range(g->ow, cuts, i, &from, &to);
            run_band(p, sums, (const int[3]){n, y, (int)from},
                (const int[2]){QD_MIN(step, end - y), (int)(to - from)});
        }
}

static void chunk(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    const int oh = p->j->g->oh;
    float *sums = p->j->work + (size_t)index * p->all;
    long from, to;

    (void)thread;
    memset(sums, 0, p->all * sizeof(float));
    qd_par_range((long)p->j->g->n * oh, p->chunks, index, &from, &to);
    while (from < to) {
        int y = (int)(from % oh), rows = (int)QD_MIN(to - from, oh - y);
        run_rows(p, sums, (int)(from / oh), y, rows);
        from += rows;
    }
}

/* Add the sums of a tile to the gradient: those of all chunks to the first chunk's, then that. */
static void add_tile(const struct plan *p, const struct piece *e)
{
    const struct qd_conv_geom *g = p->j->g;
    const int cg = g->c / g->groups, taps = g->rh * g->rw, width = e->nv * VW;
    float *sums = p->j->work + e->at;

    for (int i = 0; i < e->n * width; i += VW) {
        vf sum = vf_load(sums + i);
        for (int k = 1; k < p->chunks; k++)
            sum += vf_load(sums + (size_t)k * p->all + i);
        vf_store(sums + i, sum);
    }
    for (int s = 0; s < e->n; s++)
        for (int v = 0; v < e->lanes; v++) {
            const int x = p->turned ? e->v + v : e->s + s, f = p->turned ? e->s + s : e->v + v;
            const int ch = x % cg, tap = (e->run / p->nx) * g->rw + e->run % p->nx + x / cg;
            p->dweight[((size_t)(e->group * p->kg + f) * (size_t)cg + (size_t)ch) * (size_t)taps +
                       (size_t)tap] += sums[s * width + v];
        }
}

static void add_tiles(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    long from, to;

    (void)thread;
    qd_par_range(p->tiles, QD_MIN(p->tiles, ADDERS), index, &from, &to);
    for (; from < to; from++) {
        const struct piece e = piece_of(p, (int)from);
        add_tile(p, &e);
    }
}

size_t QD_VEC(qd_wgrad_direct_slot)(const struct qd_conv_geom *g)
{
    return QD_MAX(plan_of(g, false).all, plan_of(g, true).all);
}

size_t QD_VEC(qd_wgrad_direct_work)(const struct qd_conv_geom *g)
{
    return QD_VEC(qd_wgrad_direct_slot)(g) * (size_t)plan_of(g, true).chunks;
}

void QD_VEC(qd_wgrad_direct)(const struct qd_conv_grad *j, float *dweight)
{
    struct plan p = plan_of(j->g, qd_tensor_dense_rows(j->in));

    p.j = j;
    p.dweight = dweight;
    qd_par(p.chunks, chunk, &p);
    qd_par(QD_MIN(p.tiles, ADDERS), add_tiles, &p);
}

void QD_VEC(qd_wgrad_direct_part)(const struct qd_conv_grad *j, float *slot)
{
    struct plan p = plan_of(j->g, qd_tensor_dense_rows(j->in));

    p.j = j;
    for (int n = 0; n < j->g->n; n++)
        run_rows(&p, slot, n, 0, j->g->oh);
}

void QD_VEC(qd_wgrad_direct_fold)(const struct qd_conv_grad *j, float *slots, int n, float *dweight)
{
    struct plan p = plan_of(j->g, qd_tensor_dense_rows(j->in));
    struct qd_conv_grad sums = *j;

    sums.work = slots;
    p.j = &sums;
    p.all = QD_VEC(qd_wgrad_direct_slot)(j->g);
    p.chunks = n;
    p.dweight = dweight;
    qd_par(QD_MIN(p.tiles, ADDERS), add_tiles, &p);
}
