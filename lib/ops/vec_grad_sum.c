/* SPDX-License-Identifier: MIT */
/*
 * Sums over all pixels, and what is made of them: statistics and gradients of biases.  All of it is
 * bound by memory, so that each is one pass in the order of memory.  16 wide pixels (vec_lanes.h)
 * are added to a row of float sums, which then goes into sums in double.  These are added in the
 * order of the chunks.
 */
#include "ops/vec_grad.h"

#include <math.h>

#include "base/par.h"
#include "ops/rows.h"
#include "ops/vec_lanes.h"

enum {
    STRIP = LANES_STRIP, /* channels at a time */
    FLUSH = LANES_PIECE, /* wide pixels added in float */
    STACK = 16384,       /* doubles of partial sums */
    CHUNKS = 64,         /* that 'work' has room for */
    ACC = STRIP + VW
};

/* ---- adding ---------------------------------------------------------------------------------- */

struct terms {
    vf k[4], s[3];
};

QD_ALWAYS_INLINE void bn_term(
    struct terms *t, enum qd_act act, vf z, const float *b, float *out, int left)
{
    vf d = z - t->k[0], dy = vf_load_n(b, left), du = dy;

    if (act != QD_LINEAR) {
        vf u = vf_fma(d, t->k[1], t->k[2]);
        du = dy * vf_act_grad(act, u, t->k[3]);
        t->s[2] = vf_fma(vf_min(u, vf_zero()), dy, t->s[2]);
    }
    if (vf_act_costly(act))
        vf_store_n(out, du, left);
    t->s[0] += du;
    t->s[1] = vf_fma(du, d, t->s[1]);
}

/* How many sums there are for each channel. */
QD_ALWAYS_INLINE int sums_of(enum qd_sum_kind kind)
{
    return kind == QD_SUM_BN ? 3 : kind == QD_SUM_STATS ? 2 : 1;
}

struct adding {
    struct piece p;
    float *acc; /* [3][ACC] */
    bool hot;
};

/* Vector i of 'count' wide pixels from x on.  Sums live in L1, not in registers, so that memory is
 * read in about its order whatever the number of channels: hardware foresees nothing else. */
QD_ALWAYS_INLINE void add_vectors(const struct adding *g, const enum qd_sum_kind kind,
    const enum qd_act act, const int x_count_left[3], size_t i)
{
    const struct piece *p = &g->p;
    const int x = x_count_left[0], count = x_count_left[1], left = x_count_left[2];
    const int nk = kind == QD_SUM_BN ? 4 : kind == QD_SUM_STATS;
    const int ns = kind == QD_SUM_BN && act != QD_PRELU ? 2 : sums_of(kind);
    struct terms t;

    for (int k = 0; k < 4; k++)
        t.k[k] = k < nk ? vf_load_n(p->k[k] + i, left) : vf_zero();
    for (int k = 0; k < 3; k++)
        t.s[k] = k < ns ? vf_load(g->acc + k * ACC + i) : vf_zero();
    UNROLL_ALL
    for (int m = 0; m < count; m++) {
        vf a = vf_load_n(p->a + (size_t)(x + m) * p->da + i, left);
        const float *b = p->b + (size_t)(x + m) * p->db + i;
        if (count == 1)
            __builtin_prefetch(p->a + (size_t)(x + m) * p->da + i + LANES_AHEAD);
        if (count == 1 && kind == QD_SUM_BN)
            __builtin_prefetch(b + LANES_AHEAD);
        if (kind == QD_SUM_BN) {
            bn_term(&t, act, a, b, p->out + (size_t)(x + m) * p->dout + i, left);
        } else if (kind == QD_SUM_STATS) {
            a -= t.k[0];
            t.s[0] += a;
            t.s[1] = vf_fma(a, a, t.s[1]);
        } else if (kind == QD_SUM_ONE) {
            t.s[0] += a;
        } else {
            a = kind == QD_SUM_SLOPE ? vf_min(a, vf_zero()) : a;
            t.s[0] = vf_fma(a, vf_load_n(b, left), t.s[0]);
        }
    }
    for (int k = 0; k < ns; k++)
        vf_store(g->acc + k * ACC + i, t.s[k]);
}

QD_ALWAYS_INLINE void add_some(
    const struct adding *p, const enum qd_sum_kind kind, const enum qd_act act, const int many)
{
    const struct adding g = *p; /* what the stores cannot have changed */

#define ADD(x, count, i, left) add_vectors(&g, kind, act, (const int[]){x, count, left}, i)
    LANES_SWEEP(&g.p, many, ADD);
#undef ADD
}

QD_ALWAYS_INLINE void add_piece(
    const struct adding *p, const enum qd_sum_kind kind, const enum qd_act act)
{
    if (p->hot)
        add_some(p, kind, act, LANES_HOT);
    else
        add_some(p, kind, act, 1);
}

/* The common activations, each compiled on its own. */
static void add_bn(const struct adding *p, enum qd_act act)
{
    switch (act) {
    case QD_MISH:
        add_piece(p, QD_SUM_BN, QD_MISH);
        break;
    case QD_SWISH:
        add_piece(p, QD_SUM_BN, QD_SWISH);
        break;
    case QD_PRELU:
        add_piece(p, QD_SUM_BN, QD_PRELU);
        break;
#define CALL(A) add_piece(p, QD_SUM_BN, A)
    default:
        QD_ACT_SPECIALISE(act, CALL);
#undef CALL
    }
}

static void add(const struct adding *p, const struct qd_sums *s)
{
    switch (s->kind) {
    case QD_SUM_ONE:
        add_piece(p, QD_SUM_ONE, QD_LINEAR);
        break;
    case QD_SUM_STATS:
        add_piece(p, QD_SUM_STATS, QD_LINEAR);
        break;
    case QD_SUM_PROD:
        add_piece(p, QD_SUM_PROD, QD_LINEAR);
        break;
    case QD_SUM_SLOPE:
        add_piece(p, QD_SUM_SLOPE, QD_LINEAR);
        break;
    default:
        add_bn(p, s->act);
    }
}

/* ---- chunks ---------------------------------------------------------------------------------- */

struct job {
    const struct qd_sums *s;
    int chunks;
    int ns;       /* sums for each channel */
    double *part; /* [chunks][ns][c] */
};

/* Float sums of the lanes go to the sums of their channels, and begin again.  Lanes of the same
 * channel are added in pairs. */
static void flush(const struct lanes *l, float *acc, double *part, int ns)
{
    for (int k = 0; k < ns; k++, acc += ACC, part += l->c) {
        for (int have = l->pixels, half; (half = have / 2); have -= half)
            for (int i = 0, far = (have - half) * l->c; i < half * l->c; i++)
                acc[i] += acc[far + i];
        for (int c = 0; c < l->c; c++)
            part[c] += (double)acc[c];
        memset(acc, 0, (size_t)(l->pixels * l->c) * sizeof(float));
    }
}

/* The rows of a chunk to its sums. */
static void add_rows(const struct job *j, int chunk, double *part)
{
    const struct qd_tensor *a = j->s->a, *b = j->s->b;
    const struct lanes_of of = {a, b, b};
    float acc[3 * ACC];
    struct lanes lanes;
    struct adding g = {.acc = acc, .hot = j->s->hot};
    int since = 0;

    lanes_init(&lanes, &of, j->s->k, 4);
    for (int k = 0; k < j->ns; k++)
        memset(&acc[k * ACC], 0, (size_t)(lanes.pixels * lanes.c + VW) * sizeof(float));
    QD_FOR_ROWS(a, j->chunks, chunk, n, y)
    for (int x = 0; next_piece(&g.p, &lanes, &of, (const int[]){n, y}, &x);) {
        if (since + g.p.pixels > FLUSH) {
            flush(&lanes, acc, part, j->ns);
            since = 0;
        }
        add(&g, j->s);
        since += g.p.pixels;
    }
    flush(&lanes, acc, part, j->ns);
}

static void sum_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    size_t sums = (size_t)j->ns * (size_t)j->s->a->c;
    double *part = j->part + (size_t)chunk * sums;

    (void)thread;
    memset(part, 0, sums * sizeof(*part));
    add_rows(j, chunk, part);
}

/* All rows by this thread, added to 'sums'; at most STRIP channels. */
void QD_VEC(qd_sums_part)(const struct qd_sums *s, double *sums)
{
    const struct job j = {.s = s, .ns = sums_of(s->kind), .chunks = 1};

    add_rows(&j, 0, sums);
}

/* The sums of at most STRIP channels, which are those of s from 'from' on. */
static void sum_strip(const struct qd_sums *s, double *part, int from)
{
    int ns = sums_of(s->kind), most = STACK / (ns * s->a->c);
    struct job j = {.s = s, .ns = ns, .part = part};
    size_t sums = (size_t)ns * (size_t)s->a->c;

    /* with 'work' there is room for more, but what is gained is lost again below */
    most = s->work ? QD_MIN(QD_MAX(most, 8), CHUNKS) : most;
    j.chunks = QD_MIN(qd_row_chunks(s->a), most);
    qd_par(j.chunks, sum_rows, &j);
    for (int k = 1; k < j.chunks; k++)
        for (size_t i = 0; i < sums; i++)
            part[i] += part[(size_t)k * sums + i];
    for (int c = 0; c < s->a->c; c++) {
        double sum[3] = {0};
        for (int q = 0; q < ns; q++)
            sum[q] = part[q * s->a->c + c];
        s->take(s->ctx, from + c, sum);
    }
}

static void sum_all(const struct qd_sums *s, double *part)
{
    for (int from = 0; from < s->a->c; from += STRIP) {
        struct qd_sums one = *s;
        struct qd_tensor a = qd_tensor_slice(s->a, from, QD_MIN(s->a->c - from, STRIP)), b = {0};
        one.a = &a;
        if (s->b) {
            b = qd_tensor_slice(s->b, from, a.c);
            one.b = &b;
        }
        for (int k = 0; k < 4; k++)
            one.k[k] = s->k[k] ? s->k[k] + from : NULL;
        sum_strip(&one, part, from);
    }
}

static void sum_on_stack(const struct qd_sums *s)
{
    double part[STACK];

    sum_all(s, part);
}

void QD_VEC(qd_sums)(const struct qd_sums *s)
{
    if (s->work)
        sum_all(s, s->work);
    else
        sum_on_stack(s);
}

/* ---- bias, products, statistics -------------------------------------------------------------- */

static void take_array(void *ctx, int c, const double sum[3])
{
    float *array = ctx;

    array[c] += (float)sum[0];
}

static void take_all(void *ctx, int c, const double sum[3])
{
    double *all = ctx;

    (void)c;
    *all += sum[0];
}

static void vec_bias(const struct qd_tensor *dz, float *dbias)
{
    struct qd_sums s = {.kind = QD_SUM_ONE, .a = dz, .take = take_array, .ctx = dbias};

    QD_VEC(qd_sums)(&s);
}

static void vec_dot(
    const struct qd_tensor *x, const struct qd_tensor *dy, bool per_channel, float *dw)
{
    int c = QD_MIN(x->c, dy->c);
    struct qd_tensor a = qd_tensor_slice(x, 0, c), b = qd_tensor_slice(dy, 0, c);
    struct qd_sums s = {.kind = QD_SUM_PROD, .a = &a, .b = &b};
    double all = 0;

    s.take = per_channel ? take_array : take_all;
    s.ctx = per_channel ? (void *)dw : (void *)&all;
    QD_VEC(qd_sums)(&s);
    if (!per_channel)
        *dw += (float)all;
}

struct stats {
    float *mean, *var;
    double count;
};

static void take_stats(void *ctx, int c, const double sum[3])
{
    struct stats *s = ctx;
    double m = sum[0] / s->count;

    s->mean[c] = (float)((double)s->mean[c] + m);
    s->var[c] = (float)QD_MAX(sum[1] / s->count - m * m, 0);
}

/*
 * Sums of squares lose what the mean's square has more digits than the variance.  A mean of some
 * pixels all over the tensor is near enough to the true one that nothing is lost when it is
 * subtracted first.
 */
static void rough_mean(const struct qd_tensor *z, float *mean)
{
    long count = (long)z->n * z->h * z->w;
    int samples = (int)QD_MIN(count, 64);

    memset(mean, 0, (size_t)z->c * sizeof(float));
    for (int i = 0; i < samples; i++) {
        long at = count * i / samples;
        long row = at / z->w;
        const float *p = qd_at(z, (int)(row / z->h), (int)(row % z->h), (int)(at % z->w));
        for (int c = 0; c < z->c; c++)
            mean[c] += p[c] / (float)samples;
    }
}

static void vec_stats_part(const struct qd_tensor *z, float *about, bool first, double *sums)
{
    const struct qd_sums s = {.kind = QD_SUM_STATS, .a = z, .k = {about}, .hot = true};

    if (first)
        rough_mean(z, about);
    QD_VEC(qd_sums_part)(&s, sums);
}

static void vec_stats(const struct qd_tensor *z, float *mean, float *var)
{
    struct stats t = {mean, var, (double)z->n * z->h * z->w};
    struct qd_sums s = {.kind = QD_SUM_STATS, .a = z, .k = {mean}, .take = take_stats, .ctx = &t};

    rough_mean(z, mean);
    QD_VEC(qd_sums)(&s);
}

void QD_VEC(qd_grad_sum)(struct qd_grad_ops *g)
{
    g->bias = vec_bias;
    g->dot = vec_dot;
    g->stats = vec_stats;
    g->stats_part = vec_stats_part;
}
