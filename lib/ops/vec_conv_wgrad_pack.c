/* SPDX-License-Identifier: MIT */
/*
 * Gradient of a convolution's weights where it is large: a block of images is copied once into
 * pieces of a few channels of x (with their borders, so that all taps read the same copy) and
 * panels of two vectors of filters of dz.  Both then lie without gaps, which pixels of hundreds of
 * channels do not: those share few sets of the L1 cache and few pages.  A chunk is one piece times
 * one panel over the whole block, so that nothing needs to be added up at the end.
 */
#include "base/par.h"
#include "ops/vec_conv.h"
#include "ops/vec_conv_grad.h"

enum {
    BLOCK = 4 << 20, /* floats of copies */
    BAND = 128,      /* pixels that all taps go over before the next: they stay in L1 */
    TAPS = 9,        /* taps at once: their sums stay in L1, too */
    COPIERS = 32,    /* pieces of the copying */
    WANTED = 16      /* chunks that are enough */
};

struct plan {
    const struct qd_conv_grad *j;
    float *dweight;
    int cg, kg;
    int pieces, most;        /* of a group's channels, and the largest */
    int panels;              /* of a group's filters */
    int images, rows;        /* of a block: whole images, or some rows of one */
    int step_y, step_x;      /* pixels of x that are copied: 1, or what 1x1 kernels need */
    int xh, xw;              /* copied pixels of an image */
    size_t piece, panel;     /* floats */
    int taps, tap_groups;    /* taps of a group of taps */
    int n, y, count, height; /* the block: first image and row, images and rows */
    float *x, *z;
};

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static size_t image_floats(const struct plan *p, int rows, const struct qd_conv_geom *g)
{
    size_t xh =
        (size_t)(rows - 1) * (size_t)(g->sy / p->step_y) + (size_t)(g->rh - 1) * (size_t)g->dil + 1;

    return xh * (size_t)p->xw * (size_t)(g->groups * p->pieces * p->most) +
           (size_t)rows * (size_t)g->ow * (size_t)(g->groups * p->panels * WIDE);
}

static struct plan plan_of(const struct qd_conv_geom *g)
{
    struct plan p = {.cg = g->c / g->groups, .kg = g->k / g->groups, .step_y = 1, .step_x = 1};

    p.pieces = ceil_div(p.cg, p.kg > VW ? OUTER_2 : OUTER_1);
    p.most = ceil_div(p.cg, p.pieces);
    p.panels = ceil_div(p.kg, WIDE);
    if (g->rh == 1 && g->rw == 1) {
        p.step_y = g->sy;
        p.step_x = g->sx;
    }
    p.xw = (g->ow - 1) * (g->sx / p.step_x) + (g->rw - 1) * g->dil + 1;
    p.rows = g->oh;
    p.images = (int)QD_MAX(1, QD_MIN(BLOCK / image_floats(&p, g->oh, g), (size_t)g->n));
    p.images = ceil_div(g->n, ceil_div(g->n, p.images)); /* equal blocks */
    while (p.images == 1 && p.rows > 1 && image_floats(&p, p.rows, g) > BLOCK)
        p.rows = ceil_div(p.rows, 2);
    p.xh = (p.rows - 1) * (g->sy / p.step_y) + (g->rh - 1) * g->dil + 1;
    p.piece = (size_t)p.images * (size_t)p.xh * (size_t)p.xw * (size_t)p.most;
    p.panel = (size_t)p.images * (size_t)p.rows * (size_t)g->ow * WIDE;
    p.taps = QD_MIN(TAPS, g->rh * g->rw);
    if (g->groups * p.pieces * p.panels < WANTED)
        p.taps = QD_MIN(p.taps, g->rw);
    p.tap_groups = ceil_div(g->rh * g->rw, p.taps);
    return p;
}

/* ---- copying --------------------------------------------------------------------------------- */

QD_ALWAYS_INLINE void copy_values(float *to, const float *from, int n)
{
    for (; n >= VW; n -= VW, to += VW, from += VW)
        vf_store(to, vf_load(from));
    if (n)
        vf_store_part(to, vf_load(from), n);
}

/* Row 'r' of the block's images. */
static void copy_x(const struct plan *p, int r, int xh)
{
    const struct qd_conv_geom *g = p->j->g;
    const int n = p->n + r / xh, y = p->y * g->sy - g->pad * g->dil + r % xh * p->step_y;
    const float *row = qd_at(p->j->in, n, y, -g->pad * g->dil);
    const size_t step = (size_t)p->step_x * (size_t)p->j->in->ps;
    long from, to;

    for (int i = 0; i < g->groups * p->pieces; i++) {
        qd_par_range(p->cg, p->pieces, i % p->pieces, &from, &to);
        const int width = (int)(to - from);
        const float *px = row + i / p->pieces * p->cg + from;
        float *dst = p->x + (size_t)i * p->piece + (size_t)r * (size_t)p->xw * (size_t)width;
        for (int x = 0; x < p->xw; x++, px += step, dst += width)
            copy_values(dst, px, width);
    }
}

static void copy_z(const struct plan *p, int r)
{
    const struct qd_conv_geom *g = p->j->g;
    const float *row = qd_at(p->j->dz, p->n + r / p->height, p->y + r % p->height, 0);
    const size_t step = (size_t)p->j->dz->ps;

    for (int i = 0; i < g->groups * p->panels; i++) {
        const int from = i % p->panels * WIDE, nv = p->kg - from > VW ? 2 : 1;
        const float *px = row + i / p->panels * p->kg + from;
        float *dst = p->z + (size_t)i * p->panel + (size_t)(r * g->ow) * (size_t)(nv * VW);
        for (int x = 0; x < g->ow; x++, px += step, dst += nv * VW) {
            vf_store(dst, vf_load(px));
            if (nv > 1)
                vf_store(dst + VW, vf_load(px + VW));
        }
    }
}

static int block_rows(const struct plan *p)
{
    const struct qd_conv_geom *g = p->j->g;

    return (p->height - 1) * (g->sy / p->step_y) + (g->rh - 1) * g->dil + 1;
}

static void copy(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    const int xh = block_rows(p);
    long from, to;

    (void)thread;
    qd_par_range((long)p->count * xh, COPIERS, index, &from, &to);
    for (; from < to; from++)
        copy_x(p, (int)from, xh);
    qd_par_range((long)p->count * p->height, COPIERS, index, &from, &to);
    for (; from < to; from++)
        copy_z(p, (int)from);
}

/* ---- products -------------------------------------------------------------------------------- */

/* One piece of x times one panel of dz. */
struct product {
    const float *x, *z;
    int group, first, n; /* channels */
    int f, nv, lanes;    /* filters */
    int tap, taps;
};

/* All taps of e over a rectangle of pixels of a copied image. */
static void run_band(
    const struct plan *p, const struct product *e, float *sums, struct outer *t, const float *x)
{
    const struct qd_conv_geom *g = p->j->g;
    outer_fn *fn = QD_VEC(qd_vec_outer)[e->nv - 1][e->n];

    for (int i = 0; i < e->taps; i++) {
        const int ky = (e->tap + i) / g->rw, kx = (e->tap + i) % g->rw;
        t->a = x + (size_t)(ky * g->dil * p->xw + kx * g->dil) * (size_t)e->n;
        t->sum = sums + i * e->n * e->nv * VW;
        fn(t);
    }
}

/* The block as one row of pixels: 1x1 kernels. */
static void run_flat(const struct plan *p, const struct product *e, float *sums, struct outer *t)
{
    const int pixels = p->count * p->height * p->j->g->ow;
    const int bands = ceil_div(pixels, BAND);
    long from, to;

    t->rows = 1;
    for (int i = 0; i < bands; i++) {
        qd_par_range(pixels, bands, i, &from, &to);
        t->cols = (int)(to - from);
        t->b = e->z + (size_t)from * t->bx;
        run_band(p, e, sums, t, e->x + (size_t)from * t->ax);
    }
}

static void run_images(const struct plan *p, const struct product *e, float *sums, struct outer *t)
{
    const struct qd_conv_geom *g = p->j->g;
    const int bands = ceil_div(p->height * g->ow, BAND), cuts = QD_MIN(bands, p->height);
    const size_t image = (size_t)block_rows(p) * (size_t)p->xw * (size_t)e->n;
    long from, to;

    t->cols = g->ow;
    for (int n = 0; n < p->count; n++)
        for (int i = 0; i < cuts; i++) {
            qd_par_range(p->height, cuts, i, &from, &to);
            t->rows = (int)(to - from);
            t->b = e->z + (size_t)(n * p->height + from) * t->by;
            run_band(p, e, sums, t, e->x + (size_t)n * image + (size_t)from * t->ay);
        }
}

/* Sums [tap][channel][filter] to [filter][channel][tap]. */
static void add_sums(const struct plan *p, const struct product *e, const float *sums)
{
    const struct qd_conv_geom *g = p->j->g;
    const size_t taps = (size_t)(g->rh * g->rw), width = (size_t)(e->nv * VW);

    for (int f = 0; f < e->lanes; f++) {
        float *to =
            p->dweight +
            ((size_t)(e->group * p->kg + e->f + f) * (size_t)p->cg + (size_t)e->first) * taps +
            e->tap;
        for (int ch = 0; ch < e->n; ch++, to += taps)
            for (int i = 0; i < e->taps; i++)
                to[i] += sums[(size_t)(i * e->n + ch) * width + (size_t)f];
    }
}

/* Panels outermost: the panel that consecutive chunks share is the larger part. */
static void chunk(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    const struct qd_conv_geom *g = p->j->g;
    float sums[TAPS * OUTER_1 * VW] = {0};
    struct product e = {.tap = index % p->tap_groups * p->taps};
    struct outer t;
    long from, to;
    int piece = index / p->tap_groups % p->pieces, panel = index / p->tap_groups / p->pieces;

    (void)thread;
    e.group = panel / p->panels;
    qd_par_range(p->cg, p->pieces, piece, &from, &to);
    e.x = p->x + (size_t)(e.group * p->pieces + piece) * p->piece;
    e.z = p->z + (size_t)panel * p->panel;
    e.first = (int)from;
    e.n = (int)(to - from);
    e.f = panel % p->panels * WIDE;
    e.lanes = QD_MIN(WIDE, p->kg - e.f);
    e.nv = e.lanes > VW ? 2 : 1;
    e.taps = QD_MIN(p->taps, g->rh * g->rw - e.tap);
    t.ax = (size_t)(g->sx / p->step_x * e.n);
    t.ay = (size_t)(g->sy / p->step_y * p->xw * e.n);
    t.bx = (size_t)(e.nv * VW);
    t.by = t.bx * (size_t)g->ow;
    if (g->rh == 1 && g->rw == 1)
        run_flat(p, &e, sums, &t);
    else
        run_images(p, &e, sums, &t);
    add_sums(p, &e, sums);
}

size_t QD_VEC(qd_wgrad_packed_work)(const struct qd_conv_geom *g)
{
    const struct plan p = plan_of(g);

    return (size_t)(g->groups * p.pieces) * p.piece + (size_t)(g->groups * p.panels) * p.panel + 16;
}

void QD_VEC(qd_wgrad_packed)(const struct qd_conv_grad *j, float *dweight)
{
    const struct qd_conv_geom *g = j->g;
    struct plan p = plan_of(g);

    p.j = j;
    p.dweight = dweight;
    p.z = j->work;
    p.x = j->work + (size_t)(g->groups * p.panels) * p.panel;
    for (p.n = 0; p.n < g->n; p.n += p.images)
        for (p.y = 0; p.y < g->oh; p.y += p.rows) {
            p.count = QD_MIN(p.images, g->n - p.n);
            p.height = QD_MIN(p.rows, g->oh - p.y);
            qd_par(COPIERS, copy, &p);
            qd_par(g->groups * p.panels * p.pieces * p.tap_groups, chunk, &p);
        }
}
