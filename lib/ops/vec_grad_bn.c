/* SPDX-License-Identifier: MIT */
/*
 * Batch normalization backward, and its parts for those who go through a batch in blocks.
 */
#include "ops/vec_grad.h"

#include "base/par.h"
#include "ops/rows.h"
#include "ops/vec_lanes.h"

enum { CHUNKS = 64 }; /* that 'work' has room for */

/*
 * With d = z - mean and g = scale * inv: u = g * d + bias, and
 *     dz = g * (du - p * d - q),  p = inv^2 * mean(du * d),  q = mean(du)
 */
struct bn {
    const struct qd_bn *b;
    const struct qd_tensor *z, *dy;
    enum qd_act act; /* what apply has to go through */
    int chunks;
    double count;
    float *g, *p, *q; /* [c] */
};

static void take_bn(void *ctx, int c, const double sum[3])
{
    struct bn *n = ctx;
    const struct qd_bn *b = n->b;
    double inv = (double)b->inv[c];

    if (b->dbias)
        b->dbias[c] += (float)sum[0];
    if (b->dscale)
        b->dscale[c] += (float)(sum[1] * inv);
    if (b->dslope)
        b->dslope[c] += (float)sum[2];
    if (b->fixed)
        return;
    n->p[c] = (float)(inv * inv * sum[1] / n->count);
    n->q[c] = (float)(sum[0] / n->count);
}

enum { K_MEAN, K_G, K_BIAS, K_SLOPE, K_P, K_Q };

/* Vector i of 'count' wide pixels from x on. */
QD_ALWAYS_INLINE void apply_vectors(
    const struct piece *p, const enum qd_act act, const int x_count_left[3], size_t i)
{
    const int x = x_count_left[0], count = x_count_left[1], left = x_count_left[2];
    vf k[LANES_NUMBERS];

    for (int m = 0; m < LANES_NUMBERS; m++)
        k[m] = vf_load_n(p->k[m] + i, left);
    UNROLL_ALL
    for (int m = 0; m < count; m++) {
        __builtin_prefetch(p->a + (size_t)(x + m) * p->da + i + LANES_AHEAD);
        __builtin_prefetch(p->b + (size_t)(x + m) * p->db + i + LANES_AHEAD);
        vf d = vf_load_n(p->a + (size_t)(x + m) * p->da + i, left) - k[K_MEAN];
        vf du = vf_load_n(p->b + (size_t)(x + m) * p->db + i, left);
        if (act != QD_LINEAR)
            du *= vf_act_grad(act, vf_fma(d, k[K_G], k[K_BIAS]), k[K_SLOPE]);
        vf_store_n(p->out + (size_t)(x + m) * p->dout + i,
            k[K_G] * (du - vf_fma(k[K_P], d, k[K_Q])), left);
    }
}

QD_ALWAYS_INLINE void apply_piece(const struct piece *from, const enum qd_act act)
{
    const struct piece p = *from; /* what the stores cannot have changed */

#define APPLY(x, count, i, left) apply_vectors(&p, act, (const int[]){x, count, left}, i)
    LANES_SWEEP(&p, 1, APPLY);
#undef APPLY
}

static void apply_chunk(
    const struct lanes_of *of, const float *const *k, enum qd_act act, const int chunks_chunk[2])
{
    struct lanes lanes;
    struct piece p;

    lanes_init(&lanes, of, k, LANES_NUMBERS);
    QD_FOR_ROWS(of->a, chunks_chunk[0], chunks_chunk[1], n, y)
    for (int x = 0; next_piece(&p, &lanes, of, (const int[]){n, y}, &x);) {
#define CALL(A) apply_piece(&p, A)
        QD_ACT_SPECIALISE(act, CALL);
#undef CALL
    }
}

/* The last chunk first: it was read last and is still in the cache. */
static void apply_rows(void *ctx, int chunk, int thread)
{
    const struct bn *j = ctx;
    const float *k[LANES_NUMBERS] = {[K_MEAN] = j->b->mean,
        [K_G] = j->g,
        [K_BIAS] = j->b->bias,
        [K_SLOPE] = j->act == QD_PRELU ? j->b->slope : j->b->mean, /* else nobody looks at it */
        [K_P] = j->p,
        [K_Q] = j->q};

    (void)thread;
    apply_chunk(&(const struct lanes_of){j->z, j->dy, j->dy}, k, j->act,
        (const int[]){j->chunks, j->chunks - 1 - chunk});
}

static void channel_rows(void *ctx, int chunk, int thread)
{
    const struct bn *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->z, j->chunks, chunk, n, y)
    for (int x = 0; x < j->z->w; x++)
        qd_act_grad_channels(j->b->act, qd_at(j->z, n, y, x), j->b, qd_at(j->dy, n, y, x), j->z->c);
}

static void vec_bn(
    const struct qd_bn *b, const struct qd_tensor *z, const struct qd_tensor *dy, float *work)
{
    size_t c = (size_t)z->c;
    float *more = work + 2 * 3 * CHUNKS * c; /* after as many doubles */
    struct bn j = {b, z, dy, b->act, qd_row_chunks(z), 0, more, more + c, more + 2 * c};
    struct qd_sums s = {
        .kind = QD_SUM_BN, .a = z, .b = dy, .work = (double *)work, .take = take_bn, .ctx = &j};

    j.count = (double)z->n * z->h * z->w;
    for (size_t i = 0; i < c; i++) {
        j.g[i] = b->scale[i] * b->inv[i];
        j.p[i] = j.q[i] = 0;
    }
    if (!qd_act_elementwise(b->act)) {
        qd_par(j.chunks, channel_rows, &j);
        j.act = QD_LINEAR;
    }
    s.act = j.act;
    s.k[0] = b->mean;
    s.k[1] = j.g;
    s.k[2] = b->bias;
    s.k[3] = b->act == QD_PRELU ? b->slope : NULL;
    if (!b->fixed || b->dscale || b->dbias || b->dslope) {
        QD_VEC(qd_sums)(&s);
        j.act = vf_act_costly(j.act) ? QD_LINEAR : j.act;
    }
    qd_par(j.chunks, apply_rows, &j);
}

/* ---- in parts -------------------------------------------------------------------------------- */

static void vec_bn_part(const struct qd_bn_lines *b, const struct qd_tensor *z,
    const struct qd_tensor *dy, bool hot, double *sums)
{
    const struct qd_sums s = {.kind = QD_SUM_BN,
        .a = z,
        .b = dy,
        .act = b->act,
        .k = {b->mean, b->gain, b->bias},
        .hot = hot};

    QD_VEC(qd_sums_part)(&s, sums);
}

static void vec_bn_apply(const struct qd_bn_lines *b, const struct qd_tensor *z,
    const struct qd_tensor *dy, const struct qd_tensor *dz)
{
    const float *k[LANES_NUMBERS] = {[K_MEAN] = b->mean,
        [K_G] = b->gain,
        [K_BIAS] = b->bias,
        [K_SLOPE] = b->mean,
        [K_P] = b->p,
        [K_Q] = b->q};

    apply_chunk(&(const struct lanes_of){z, dy, dz}, k, b->act, (const int[]){1, 0});
}

/* y = act(z * k[0] + k[1]) */
QD_ALWAYS_INLINE void norm_vectors(
    const struct piece *p, const enum qd_act act, const int x_count_left[3], size_t i)
{
    const int x = x_count_left[0], count = x_count_left[1], left = x_count_left[2];
    const vf mul = vf_load_n(p->k[0] + i, left), add = vf_load_n(p->k[1] + i, left);

    UNROLL_ALL
    for (int m = 0; m < count; m++) {
        __builtin_prefetch(p->a + (size_t)(x + m) * p->da + i + LANES_AHEAD);
        vf z = vf_load_n(p->a + (size_t)(x + m) * p->da + i, left);
        vf_store_n(p->out + (size_t)(x + m) * p->dout + i,
            vf_act(act, vf_fma(z, mul, add), vf_zero()), left);
    }
}

QD_ALWAYS_INLINE void norm_piece(const struct piece *from, const enum qd_act act)
{
    const struct piece p = *from;

#define NORM(x, count, i, left) norm_vectors(&p, act, (const int[]){x, count, left}, i)
    LANES_SWEEP(&p, 1, NORM);
#undef NORM
}

static void vec_norm_part(
    const struct qd_bn_lines *b, const struct qd_tensor *z, const struct qd_tensor *y)
{
    const float *k[] = {b->gain, b->add};
    const struct lanes_of of = {z, NULL, y};
    struct lanes lanes;
    struct piece p;

    lanes_init(&lanes, &of, k, 2);
    QD_FOR_ROWS(z, 1, 0, n, r)
    for (int x = 0; next_piece(&p, &lanes, &of, (const int[]){n, r}, &x);) {
#define CALL(A) norm_piece(&p, A)
        QD_ACT_SPECIALISE(b->act, CALL);
#undef CALL
    }
}

void QD_VEC(qd_grad_bn)(struct qd_grad_ops *g)
{
    g->bn = vec_bn;
    g->bn_part = vec_bn_part;
    g->bn_apply = vec_bn_apply;
    g->norm_part = vec_norm_part;
}
