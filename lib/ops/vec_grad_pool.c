/* SPDX-License-Identifier: MIT */
/*
 * Gradients of max-pooling and resampling with vectors.  Max-pooling looks for its winners again:
 * that reads the input once more, which is cheaper than having kept an index for each output.
 * Windows of 2x2 at stride 2 do not overlap and are written once, in rows; for all others a chunk
 * is some channels of an image, so that nobody else adds to its cells.
 */
#include "ops/vec_grad.h"

#include "base/par.h"
#include "ops/rows.h"

struct job {
    const struct qd_tensor *in, *dy, *din;
    const struct qd_pool_geom *g;
    int chunks, s;
    float scale;
    bool fresh;
};

static void clear_pixels(const struct qd_tensor *t, const int n_y_x[3], int pixels)
{
    for (int x = 0; x < pixels; x++)
        memset(qd_at(t, n_y_x[0], n_y_x[1], n_y_x[2] + x), 0, (size_t)t->c * sizeof(float));
}

/* ---- max-pooling, 2x2, stride 2 -------------------------------------------------------------- */

/* A window: pixels at p and q and those dx (0: none, see below) to the right and dy below. */
struct square {
    const float *p;
    float *q;
    size_t px, py, qx, qy;
};

QD_ALWAYS_INLINE void put(float *q, vi winner, vf dy, int left, const bool fresh)
{
    vf v = vf_select(winner, dy, vf_zero());

    vf_store_n(q, fresh ? v : vf_load_n(q, left) + v, left);
}

/* The first of four cells that is as large as the largest gets dy. */
QD_ALWAYS_INLINE void square_channels(
    const struct square *w, const float *dy, int channels, const bool fresh)
{
    for (int i = 0; i < channels; i += VW) {
        int left = QD_MIN(channels - i, VW);
        const float *p = w->p + i;
        float *q = w->q + i;
        vf a = vf_load_n(p, left), b = vf_load_n(p + w->px, left);
        vf c = vf_load_n(p + w->py, left), d = vf_load_n(p + w->px + w->py, left);
        vf v = vf_load_n(dy + i, left), max = vf_max(vf_max(a, b), vf_max(c, d));
        vi wa = (vi)(a == max), wb = (vi)(b == max) & ~wa, wc = (vi)(c == max) & ~(wa | wb);
        put(q, wa, v, left, fresh);
        put(q + w->qx, wb, v, left, fresh);
        put(q + w->qy, wc, v, left, fresh);
        put(q + w->qx + w->qy, ~(wa | wb | wc), v, left, fresh);
    }
}

/* A window at the right or lower end, of which ny x nx cells exist. */
static void part_of_square(
    const struct square *w, const float *dy, int channels, const int ny_nx[2], bool fresh)
{
    size_t dp = ny_nx[0] > 1 ? w->py : w->px, dq = ny_nx[0] > 1 ? w->qy : w->qx;
    bool two = ny_nx[0] * ny_nx[1] > 1;

    for (int i = 0; i < channels; i++) {
        bool second = two && w->p[i + (ptrdiff_t)dp] > w->p[i];
        float *q = w->q + i, first = second ? 0 : dy[i];
        *q = fresh ? first : *q + first;
        if (two) {
            float v = second ? dy[i] : 0;
            q[dq] = fresh ? v : q[dq] + v;
        }
    }
}

static void square_row(const struct job *j, int n, int y)
{
    const struct qd_tensor *in = j->in, *din = j->din, *dy = j->dy;
    struct square w = {.px = (size_t)in->ps, .py = in->rs, .qx = (size_t)din->ps, .qy = din->rs};
    int ny = QD_MIN(in->h - 2 * y, 2), rest = in->w - 2 * dy->w;

    for (int x = 0; x < dy->w; x++) {
        const float *v = qd_at(dy, n, y, x);
        int nx = QD_MIN(in->w - 2 * x, 2);
        w.p = qd_at(in, n, 2 * y, 2 * x);
        w.q = qd_at(din, n, 2 * y, 2 * x);
        if (nx + ny < 4)
            part_of_square(&w, v, dy->c, (const int[]){ny, nx}, j->fresh);
        else if (j->fresh)
            square_channels(&w, v, dy->c, true);
        else
            square_channels(&w, v, dy->c, false);
    }
    for (int i = 0; i < ny && j->fresh && rest > 0; i++)
        clear_pixels(din, (const int[]){n, 2 * y + i, 2 * dy->w}, rest);
}

static void square_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->dy, j->chunks, chunk, n, y)
    {
        square_row(j, n, y);
        for (int i = 2 * j->dy->h; y == j->dy->h - 1 && j->fresh && i < j->in->h; i++)
            clear_pixels(j->din, (const int[]){n, i, 0}, j->in->w);
    }
}

/* Whether every window has a cell, so that the rows above belong to one window or none. */
static bool is_square(const struct job *j)
{
    const struct qd_pool_geom *g = j->g;

    return g->size == 2 && g->sx == 2 && g->sy == 2 && g->off == 0 &&
           2 * j->dy->w - 1 <= j->in->w && 2 * j->dy->h - 1 <= j->in->h;
}

/* ---- max-pooling, other windows -------------------------------------------------------------- */

enum { BLOCK = 4 * VW }; /* channels of a chunk */

/* The cells of a window that exist, for channels from c on. */
struct cells {
    int n, y, x, ny, nx, c, left;
};

/* Number of the winning cell in each lane, in the order of memory. */
QD_ALWAYS_INLINE vi winners(const struct job *j, const struct cells *w)
{
    const float *p = qd_at(j->in, w->n, w->y, w->x) + w->c;
    vf max = vf_load_n(p, w->left);
    vi best = {0}, k = {0};

    for (int y = 0; y < w->ny; y++, p += j->in->rs)
        for (int x = 0; x < w->nx; x++, k += 1) {
            vf v = vf_load_n(p + (size_t)x * (size_t)j->in->ps, w->left);
            vi more = (vi)(v > max);
            max = vf_select(more, v, max);
            best = (more & k) | (~more & best);
        }
    return best;
}

/* Few cells: add to all of them. */
static void spread_few(const struct job *j, const struct cells *w, vi best, vf dy)
{
    vi k = {0};

    for (int y = 0; y < w->ny; y++)
        for (int x = 0; x < w->nx; x++, k += 1) {
            float *q = qd_at(j->din, w->n, w->y + y, w->x + x) + w->c;
            vf v = vf_select((vi)(best == k), dy, vf_zero());
            vf_store_n(q, vf_load_n(q, w->left) + v, w->left);
        }
}

/* Many: add to the winners, lane by lane. */
static void spread_many(const struct job *j, const struct cells *w, vi best, vf dy)
{
    int32_t k[VW];
    float v[VW];

    memcpy(k, &best, sizeof(k));
    memcpy(v, &dy, sizeof(v));
    for (int i = 0; i < w->left; i++)
        qd_at(j->din, w->n, w->y + k[i] / w->nx, w->x + k[i] % w->nx)[w->c + i] += v[i];
}

/* The part of [at, at + size) that is within [0, n): its begin, and its length in *len (0: none).
 */
static int clip(int at, int size, int n, int *len)
{
    int from = QD_MAX(at, 0), to = QD_MIN(at + size, n);

    *len = QD_MAX(to - from, 0);
    return from;
}

static void block_window(const struct job *j, struct cells *w, int y, int x, int from)
{
    const struct qd_pool_geom *g = j->g;
    const float *dy = qd_at(j->dy, w->n, y, x);
    int end = QD_MIN(from + BLOCK, j->dy->c);

    w->y = clip(y * g->sy + g->off, g->size, j->in->h, &w->ny);
    w->x = clip(x * g->sx + g->off, g->size, j->in->w, &w->nx);
    if (!w->ny || !w->nx)
        return;
    for (w->c = from; w->c < end; w->c += VW) {
        w->left = QD_MIN(end - w->c, VW);
        vi best = winners(j, w);
        vf v = vf_load_n(dy + w->c, w->left);
        if (w->ny * w->nx <= 9)
            spread_few(j, w, best, v);
        else
            spread_many(j, w, best, v);
    }
}

static void channel_blocks(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    int blocks = (j->dy->c + BLOCK - 1) / BLOCK, from = chunk % blocks * BLOCK;
    struct qd_tensor mine = qd_tensor_slice(j->din, from, QD_MIN(BLOCK, j->dy->c - from));
    struct cells w = {.n = chunk / blocks};

    (void)thread;
    for (int y = 0; j->fresh && y < mine.h; y++)
        clear_pixels(&mine, (const int[]){w.n, y, 0}, mine.w);
    for (int y = 0; y < j->dy->h; y++)
        for (int x = 0; x < j->dy->w; x++)
            block_window(j, &w, y, x, from);
}

static void vec_maxpool(const struct qd_tensor *in, const struct qd_tensor *dy,
    const struct qd_tensor *din, const struct qd_pool_geom *g, bool fresh)
{
    struct job j = {.in = in, .dy = dy, .din = din, .g = g, .fresh = fresh};

    if (is_square(&j)) {
        j.chunks = qd_chunks((long)dy->n * dy->h, (size_t)din->w * (size_t)din->c * 4);
        qd_par(j.chunks, square_rows, &j);
    } else {
        qd_par(dy->n * ((dy->c + BLOCK - 1) / BLOCK), channel_blocks, &j);
    }
}

/* ---- averages and resampling ----------------------------------------------------------------- */

static void mean_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->din, j->chunks, chunk, n, y)
    for (int x = 0; x < j->din->w; x++) {
        const float *p = qd_at(j->dy, n, 0, 0);
        float *q = qd_at(j->din, n, y, x);
        for (int i = 0; i < j->din->c; i += VW) {
            int left = QD_MIN(j->din->c - i, VW);
            vf v = vf_load_n(p + i, left) * j->scale;
            vf_store_n(q + i, j->fresh ? v : vf_load_n(q + i, left) + v, left);
        }
    }
}

static void vec_avgpool(const struct qd_tensor *dy, const struct qd_tensor *din, bool fresh)
{
    struct job j = {.dy = dy,
        .din = din,
        .scale = 1 / ((float)din->h * (float)din->w),
        .fresh = fresh,
        .chunks = qd_row_chunks(din)};

    qd_par(j.chunks, mean_rows, &j);
}

/* The sum of s x s pixels from p on, times scale, to q. */
QD_ALWAYS_INLINE void gather(const struct job *j, const float *p, float *q, int s)
{
    size_t rs = j->dy->rs, ps = (size_t)j->dy->ps;

    for (int i = 0; i < j->din->c; i += VW) {
        int left = QD_MIN(j->din->c - i, VW);
        vf v = vf_zero();
        for (int y = 0; y < s; y++)
            for (int x = 0; x < s; x++)
                v += vf_load_n(p + (size_t)y * rs + (size_t)x * ps + i, left);
        v *= j->scale;
        vf_store_n(q + i, j->fresh ? v : vf_load_n(q + i, left) + v, left);
    }
}

static void up_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->din, j->chunks, chunk, n, y)
    for (int x = 0; x < j->din->w; x++) {
        const float *p = qd_at(j->dy, n, y * j->s, x * j->s);
        if (j->s == 2)
            gather(j, p, qd_at(j->din, n, y, x), 2);
        else
            gather(j, p, qd_at(j->din, n, y, x), j->s);
    }
}

static void vec_upsample(
    const struct qd_tensor *dy, const struct qd_tensor *din, const float s_scale[2], bool fresh)
{
    struct job j = {
        .dy = dy, .din = din, .s = (int)s_scale[0], .scale = s_scale[1], .fresh = fresh};

    j.chunks = qd_chunks((long)din->n * din->h, (size_t)dy->w * (size_t)j.s * (size_t)dy->c);
    qd_par(j.chunks, up_rows, &j);
}

void QD_VEC(qd_grad_pool)(struct qd_grad_ops *g)
{
    g->maxpool = vec_maxpool;
    g->avgpool = vec_avgpool;
    g->upsample = vec_upsample;
}
