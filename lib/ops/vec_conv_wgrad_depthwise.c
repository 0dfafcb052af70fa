/* SPDX-License-Identifier: MIT */
/*
 * Gradient of the weights of a depthwise convolution: for each channel and tap the sum over pixels
 * of x * dz.  As in the forward direction a strip is one vector position of some rows, here of dz:
 * the sums of all its taps stay in registers while it walks along the rows, and a vector of x is
 * loaded once for all the rows of dz that it meets.
 *
 * Where pixels are dense and the stride is 1, rows are runs of floats: a strip steps by a multiple
 * of c and of VW floats, no lane idles, and what belongs to one channel is added up at the end.
 */
#include "base/par.h"
#include "ops/vec_conv_grad.h"

enum {
    ROWS = 5,
    CHUNKS = 16,
    REPEATED = 64 /* channels up to which strips step by a common multiple */
};

struct strip {
    const float *x, *z;                  /* first tap of the first vector; that vector */
    size_t x_step, x_row, z_step, z_row; /* from position to position, row to row */
    size_t tap_x, tap_y;
    float *sum; /* of tap t: at t * period, added to */
    size_t period;
    int rh, rw;
    int n, lanes; /* positions; lanes < VW: what lies beyond must not count */
};

typedef void strip_fn(const struct strip *s);

struct plan {
    const struct qd_conv_grad *j;
    struct strip s;
    bool flat;
    int floats; /* of a row of dz when flat, else channels */
    int chunks;
    strip_fn *strip[ROWS + 1]; /* by rows; NULL where there is none */
};

QD_ALWAYS_INLINE vf load_lanes(const float *p, const int lanes)
{
    return lanes == VW ? vf_load(p) : vf_loadm(p, vmask_of(lanes));
}

/* r x r kernel, stride sy, 'rows' rows of dz.  Vector j is in row j / r of x, column j % r. */
QD_ALWAYS_INLINE void strip_lanes(
    const struct strip *s, const int r, const int sy, const int rows, const int lanes)
{
    vf acc[25], z[ROWS];

    UNROLL_ALL
    for (int t = 0; t < r * r; t++)
        acc[t] = vf_zero();
    for (int i = 0; i < s->n; i++) {
        const float *x = s->x + (size_t)i * s->x_step, *zs = s->z + (size_t)i * s->z_step;
        UNROLL_ALL
        for (int o = 0; o < rows; o++)
            z[o] = load_lanes(zs + (size_t)o * s->z_row, lanes);
        UNROLL_ALL
        for (int j = 0; j < ((rows - 1) * sy + r) * r; j++) {
            const vf v =
                load_lanes(x + (size_t)(j / r) * s->x_row + (size_t)(j % r) * s->tap_x, lanes);
            UNROLL_ALL
            for (int o = 0; o < rows; o++)
                if (j / r >= o * sy && j / r - o * sy < r)
                    acc[j - o * sy * r] = vf_fma(v, z[o], acc[j - o * sy * r]);
        }
    }
    UNROLL_ALL
    for (int t = 0; t < r * r; t++) {
        float *to = s->sum + (size_t)t * s->period;
        vf_store(to, vf_load(to) + acc[t]);
    }
}

/* One row of dz and any kernel: tap by tap, in four sums. */
static void strip_any(const struct strip *s)
{
    for (int t = 0; t < s->rh * s->rw; t++) {
        const float *x = s->x + (size_t)(t / s->rw) * s->tap_y + (size_t)(t % s->rw) * s->tap_x;
        float *to = s->sum + (size_t)t * s->period;
        vf acc[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
        int i = 0;
        for (; i + 4 <= s->n && s->lanes == VW; i += 4)
            for (int p = 0; p < 4; p++)
                acc[p] = vf_fma(vf_load(x + (size_t)(i + p) * s->x_step),
                    vf_load(s->z + (size_t)(i + p) * s->z_step), acc[p]);
        for (; i < s->n; i++)
            acc[0] = vf_fma(load_lanes(x + (size_t)i * s->x_step, s->lanes),
                load_lanes(s->z + (size_t)i * s->z_step, s->lanes), acc[0]);
        vf_store(to, vf_load(to) + ((acc[0] + acc[1]) + (acc[2] + acc[3])));
    }
}

#define STRIP(r, sy, rows)                                                                         \
    static void strip_##r##_##sy##_##rows(const struct strip *s)                                   \
    {                                                                                              \
        if (s->lanes == VW)                                                                        \
            strip_lanes(s, r, sy, rows, VW);                                                       \
        else                                                                                       \
            strip_any_rows(s, sy, rows);                                                           \
    }

/* The same row by row, for the rare vectors that are not whole. */
static QD_NOINLINE void strip_any_rows(const struct strip *s, int sy, int rows)
{
    struct strip row = *s;

    for (int o = 0; o < rows; o++) {
        strip_any(&row);
        row.x += (size_t)sy * s->x_row;
        row.z += s->z_row;
    }
}

/* clang-format off */
STRIP(3, 1, 1) STRIP(3, 1, 2) STRIP(3, 1, 5)
STRIP(3, 2, 1) STRIP(3, 2, 2) STRIP(3, 2, 5)
#if VREGS == 32
STRIP(5, 1, 1) STRIP(5, 1, 2) STRIP(5, 2, 1) STRIP(5, 2, 2)
#endif
    /* clang-format on */

    static void choose_strips(struct plan *p)
{
    const struct qd_conv_geom *g = p->j->g;
    const bool square = g->rh == g->rw && g->dil == 1;

    p->strip[1] = strip_any;
    if (square && g->rh == 3 && g->sy == 1) {
        p->strip[1] = strip_3_1_1;
        p->strip[2] = strip_3_1_2;
        p->strip[5] = strip_3_1_5;
    } else if (square && g->rh == 3 && g->sy == 2) {
        p->strip[1] = strip_3_2_1;
        p->strip[2] = strip_3_2_2;
        p->strip[5] = strip_3_2_5;
    }
#if VREGS == 32
    if (square && g->rh == 5 && g->sy == 1) {
        p->strip[1] = strip_5_1_1;
        p->strip[2] = strip_5_1_2;
    } else if (square && g->rh == 5 && g->sy == 2) {
        p->strip[1] = strip_5_2_1;
        p->strip[2] = strip_5_2_2;
    }
#endif
}

/* Floats after which sums repeat: a multiple of VW, and of c where strips may be flat. */
static size_t period_of(const struct qd_conv_geom *g)
{
    size_t c = (size_t)g->c, common = 1;

    while (common < VW && c % (2 * common) == 0)
        common *= 2;
    return g->sx == 1 && c <= REPEATED ? c / common * VW : qd_round_up(c, VW);
}

static int chunks_of(const struct qd_conv_geom *g)
{
    return (int)QD_MIN(CHUNKS, (long)g->n * g->oh);
}

/* Vector at 'at' of 'rows' rows from row y of image n on. */
static void run_vector(const struct plan *p, const int n_y_rows[3], size_t at, float *sums)
{
    const struct qd_conv_geom *g = p->j->g;
    const int n = n_y_rows[0], y = n_y_rows[1], rows = n_y_rows[2];
    const int rest = p->floats - (int)at;
    struct strip s = p->s;

    s.x = qd_at(p->j->in, n, y * g->sy - g->pad * g->dil, -g->pad * g->dil) + at;
    s.z = qd_at(p->j->dz, n, y, 0) + at;
    s.sum = sums + at;
    s.lanes = VW;
    s.n = g->ow; /* lanes beyond the channels make sums that nobody reads */
    if (p->flat)
        s.n = rest < VW ? 0 : (rest - VW) / (int)s.period + 1;
    if (s.n > 0)
        p->strip[rows](&s);
    if (!p->flat || s.n * (int)s.period >= rest)
        return;
    s.lanes = rest - s.n * (int)s.period;
    s.x += (size_t)s.n * s.x_step;
    s.z += (size_t)s.n * s.z_step;
    s.n = 1;
    p->strip[rows](&s);
}

/* Rows 'from' to 'to' - 1 of all images. */
static void run_rows(const struct plan *p, float *sums, long from, long to)
{
    const struct qd_conv_geom *g = p->j->g;
    const size_t width = QD_MIN(p->s.period, qd_round_up((size_t)p->floats, VW));

    while (from < to) {
        int y = (int)(from % g->oh), left = (int)QD_MIN(to - from, g->oh - y);
        int rows = QD_MIN(left, ROWS);
        while (!p->strip[rows])
            rows--;
        for (size_t at = 0; at < width; at += VW)
            run_vector(p, (const int[3]){(int)(from / g->oh), y, rows}, at, sums);
        from += rows;
    }
}

static void chunk(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    const struct qd_conv_geom *g = p->j->g;
    const size_t floats = p->s.period * (size_t)(g->rh * g->rw);
    float *sums = p->j->work + (size_t)index * floats;
    long from, to;

    (void)thread;
    memset(sums, 0, floats * sizeof(float));
    qd_par_range((long)g->n * g->oh, p->chunks, index, &from, &to);
    run_rows(p, sums, from, to);
}

/* Chunks in order, and in each what belongs to the channel in order. */
static void add_sums(const struct plan *p, const float *sums, float *dweight)
{
    const size_t c = (size_t)p->j->g->c, taps = (size_t)(p->j->g->rh * p->j->g->rw);
    const size_t period = p->s.period, end = p->flat ? period : c;

    for (int i = 0; i < p->chunks; i++)
        for (size_t t = 0; t < taps; t++) {
            const float *from = sums + ((size_t)i * taps + t) * period;
            for (size_t at = 0; at < end; at++)
                dweight[at % c * taps + t] += from[at];
        }
}

static struct plan plan_of(const struct qd_conv_grad *j)
{
    const struct qd_conv_geom *g = j->g;
    const struct qd_tensor *in = j->in, *dz = j->dz;
    struct plan p = {.j = j, .chunks = chunks_of(g)};
    struct strip *s = &p.s;

    s->period = period_of(g);
    p.flat = g->sx == 1 && s->period % (size_t)g->c == 0 && qd_tensor_dense_rows(in) &&
             qd_tensor_dense_rows(dz);
    p.floats = p.flat ? g->ow * g->c : g->c;
    s->x_step = p.flat ? s->period : (size_t)g->sx * (size_t)in->ps;
    s->z_step = p.flat ? s->period : (size_t)dz->ps;
    s->x_row = in->rs;
    s->z_row = dz->rs;
    s->tap_x = (size_t)g->dil * (size_t)in->ps;
    s->tap_y = (size_t)g->dil * in->rs;
    s->rh = g->rh;
    s->rw = g->rw;
    choose_strips(&p);
    return p;
}

size_t QD_VEC(qd_wgrad_depthwise_slot)(const struct qd_conv_geom *g)
{
    return period_of(g) * (size_t)(g->rh * g->rw);
}

size_t QD_VEC(qd_wgrad_depthwise_work)(const struct qd_conv_geom *g)
{
    return QD_VEC(qd_wgrad_depthwise_slot)(g) * (size_t)chunks_of(g);
}

void QD_VEC(qd_wgrad_depthwise)(const struct qd_conv_grad *j, float *dweight)
{
    struct plan p = plan_of(j);

    qd_par(p.chunks, chunk, &p);
    add_sums(&p, j->work, dweight);
}

void QD_VEC(qd_wgrad_depthwise_part)(const struct qd_conv_grad *j, float *slot)
{
    struct plan p = plan_of(j);

    run_rows(&p, slot, 0, (long)j->g->n * j->g->oh);
}

void QD_VEC(qd_wgrad_depthwise_fold)(
    const struct qd_conv_grad *j, float *slots, int n, float *dweight)
{
    struct plan p = plan_of(j);

    p.chunks = n;
    add_sums(&p, slots, dweight);
}
