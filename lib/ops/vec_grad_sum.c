/* SPDX-License-Identifier: MIT */
/*
 * Sums over all pixels, and what is made of them: statistics, bias gradients and batch
 * normalization.  All of it is bound by memory, so that each is one pass in the order of memory.
 * Several pixels of few channels are taken as one wide pixel; 16 of those are added to a row of
 * float sums, which then goes into sums in double.  These are added in the order of the chunks.
 */
#include "ops/vec_grad.h"

#include <math.h>

#include "base/par.h"
#include "ops/rows.h"

enum {
    WIDE = 128,    /* floats of a wide pixel */
    STRIP = 4096,  /* channels at a time */
    FLUSH = 16,    /* wide pixels added in float */
    STACK = 16384, /* doubles of partial sums */
    CHUNKS = 64,   /* that 'work' has room for */
    ACC = STRIP + VW,
    NK = 6
};

/* ---- wide pixels ----------------------------------------------------------------------------- */

/* How the pixels of rows are taken together, and the numbers of each lane. */
struct lanes {
    int pixels; /* in a wide one */
    int c;
    const float *k[NK]; /* NULL: not used, or zeros */
    float copy[NK][WIDE];
};

/* As many pixels as fit, preferably without a rest in the last vector. */
static int wide_pixels(int c)
{
    int most = WIDE / c;

    for (int p = most; p > 1; p--)
        if (p * c % VW == 0)
            return p;
    return QD_MAX(most, 1);
}

static void lanes_init(struct lanes *l, const struct qd_tensor *a, const struct qd_tensor *b,
    const float *const *k, int nk)
{
    bool dense = a->ps == a->c && (!b || b->ps == b->c);

    l->c = a->c;
    l->pixels = dense ? wide_pixels(a->c) : 1;
    for (int i = 0; i < nk; i++) {
        l->k[i] = k[i];
        for (int p = 0; k[i] && l->pixels > 1 && p < l->pixels; p++) {
            memcpy(&l->copy[i][p * l->c], k[i], (size_t)l->c * sizeof(float));
            l->k[i] = l->copy[i];
        }
    }
}

QD_ALWAYS_INLINE vf number(const struct lanes *l, int k, size_t i, int left)
{
    return l->k[k] ? vf_load_n(l->k[k] + i, left) : vf_zero();
}

/* 'pixels' wide pixels of n floats, da and db floats apart. */
struct piece {
    const float *a;
    float *b; /* NULL when there is none */
    size_t da, db, n;
    int pixels;
    const struct lanes *lanes;
    float *acc; /* [3][ACC] */
};

/* The next piece of row (n, y), at most FLUSH wide pixels from pixel *x on; false at its end.
 * What is less than a wide pixel at the end comes alone. */
static bool next_piece(
    struct piece *p, const struct qd_tensor *a, const struct qd_tensor *b, const int n_y[2], int *x)
{
    int left = a->w - *x, wide = p->lanes->pixels, pixels = QD_MIN(left / wide, FLUSH);

    if (!left)
        return false;
    p->a = qd_at(a, n_y[0], n_y[1], *x);
    p->b = b ? qd_at(b, n_y[0], n_y[1], *x) : NULL;
    p->pixels = QD_MAX(pixels, 1);
    p->n = (size_t)(pixels ? wide : left) * (size_t)a->c;
    p->da = (size_t)wide * (size_t)a->ps;
    p->db = b ? (size_t)wide * (size_t)b->ps : 0;
    *x += pixels ? pixels * wide : left;
    return true;
}

/* ---- adding ---------------------------------------------------------------------------------- */

struct terms {
    vf k[4], s[3];
};

/* An activation whose derivative costs more than storing what it makes of b. */
static bool costly(enum qd_act a)
{
    return a != QD_LINEAR && a != QD_LEAKY && a != QD_RELU;
}

QD_ALWAYS_INLINE void bn_term(struct terms *t, enum qd_act act, vf z, float *b, int left)
{
    vf d = z - t->k[0], dy = vf_load_n(b, left), du = dy;

    if (act != QD_LINEAR) {
        vf u = vf_fma(d, t->k[1], t->k[2]);
        du = dy * vf_act_grad(act, u, t->k[3]);
        t->s[2] = vf_fma(vf_min(u, vf_zero()), dy, t->s[2]);
    }
    if (costly(act))
        vf_store_n(b, du, left);
    t->s[0] += du;
    t->s[1] = vf_fma(du, d, t->s[1]);
}

/* How many sums there are for each channel. */
QD_ALWAYS_INLINE int sums_of(enum qd_sum_kind kind)
{
    return kind == QD_SUM_BN ? 3 : kind == QD_SUM_STATS ? 2 : 1;
}

/* One vector of wide pixel x.  Sums live in L1, not in registers, so that memory is read in its
 * order whatever the number of channels: hardware foresees nothing else. */
QD_ALWAYS_INLINE void add_vector(
    const struct piece *p, enum qd_sum_kind kind, enum qd_act act, int x, const size_t i_left[2])
{
    size_t i = i_left[0];
    size_t at_b = (size_t)x * p->db + i;
    int left = (int)i_left[1], nk = kind == QD_SUM_BN ? 4 : kind == QD_SUM_STATS;
    int ns = kind == QD_SUM_BN && act != QD_PRELU ? 2 : sums_of(kind);
    vf a = vf_load_n(p->a + (size_t)x * p->da + i, left);
    struct terms t;

    for (int k = 0; k < 4; k++)
        t.k[k] = k < nk ? number(p->lanes, k, i, left) : vf_zero();
    for (int k = 0; k < 3; k++)
        t.s[k] = k < ns ? vf_load(p->acc + k * ACC + i) : vf_zero();
    if (kind == QD_SUM_BN) {
        bn_term(&t, act, a, p->b + at_b, left);
    } else if (kind == QD_SUM_STATS) {
        a -= t.k[0];
        t.s[0] += a;
        t.s[1] = vf_fma(a, a, t.s[1]);
    } else if (kind == QD_SUM_ONE) {
        t.s[0] += a;
    } else {
        a = kind == QD_SUM_SLOPE ? vf_min(a, vf_zero()) : a;
        t.s[0] = vf_fma(a, vf_load_n(p->b + at_b, left), t.s[0]);
    }
    for (int k = 0; k < ns; k++)
        vf_store(p->acc + k * ACC + i, t.s[k]);
}

QD_ALWAYS_INLINE void add_piece(const struct piece *p, enum qd_sum_kind kind, enum qd_act act)
{
    for (int x = 0; x < p->pixels; x++) {
        size_t i = 0;
        for (; i + VW <= p->n; i += VW)
            add_vector(p, kind, act, x, (const size_t[]){i, VW});
        if (i < p->n)
            add_vector(p, kind, act, x, (const size_t[]){i, p->n - i});
    }
}

/* The common activations, each compiled on its own. */
static void add_bn(const struct piece *p, enum qd_act act)
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

static void add(const struct piece *p, const struct qd_sums *s)
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

static void sum_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    const struct qd_tensor *a = j->s->a, *b = j->s->b;
    size_t sums = (size_t)j->ns * (size_t)a->c;
    double *part = j->part + (size_t)chunk * sums;
    float acc[3 * ACC];
    struct lanes lanes;
    struct piece p = {.lanes = &lanes, .acc = acc};
    int since = 0;

    (void)thread;
    lanes_init(&lanes, a, b, j->s->k, 4);
    for (int k = 0; k < j->ns; k++)
        memset(&acc[k * ACC], 0, (size_t)(lanes.pixels * lanes.c + VW) * sizeof(float));
    memset(part, 0, sums * sizeof(*part));
    QD_FOR_ROWS(a, j->chunks, chunk, n, y)
    for (int x = 0; next_piece(&p, a, b, (const int[]){n, y}, &x);) {
        if (since + p.pixels > FLUSH) {
            flush(&lanes, acc, part, j->ns);
            since = 0;
        }
        add(&p, j->s);
        since += p.pixels;
    }
    flush(&lanes, acc, part, j->ns);
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

static void vec_stats(const struct qd_tensor *z, float *mean, float *var)
{
    struct stats t = {mean, var, (double)z->n * z->h * z->w};
    struct qd_sums s = {.kind = QD_SUM_STATS, .a = z, .k = {mean}, .take = take_stats, .ctx = &t};

    rough_mean(z, mean);
    QD_VEC(qd_sums)(&s);
}

/* ---- batch normalization --------------------------------------------------------------------- */

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

QD_ALWAYS_INLINE void apply_vector(
    const struct piece *p, enum qd_act act, int x, const size_t i_left[2])
{
    size_t i = i_left[0];
    int left = (int)i_left[1];
    float *b = p->b + (size_t)x * p->db + i;
    vf k[NK], d, du = vf_load_n(b, left);

    for (int m = 0; m < NK; m++)
        k[m] = number(p->lanes, m, i, left);
    d = vf_load_n(p->a + (size_t)x * p->da + i, left) - k[K_MEAN];
    if (act != QD_LINEAR)
        du *= vf_act_grad(act, vf_fma(d, k[K_G], k[K_BIAS]), k[K_SLOPE]);
    vf_store_n(b, k[K_G] * (du - vf_fma(k[K_P], d, k[K_Q])), left);
}

QD_ALWAYS_INLINE void apply_piece(const struct piece *p, enum qd_act act)
{
    for (int x = 0; x < p->pixels; x++) {
        size_t i = 0;
        for (; i + VW <= p->n; i += VW)
            apply_vector(p, act, x, (const size_t[]){i, VW});
        if (i < p->n)
            apply_vector(p, act, x, (const size_t[]){i, p->n - i});
    }
}

/* The last chunk first: it was read last and is still in the cache. */
static void apply_rows(void *ctx, int chunk, int thread)
{
    const struct bn *j = ctx;
    const float *k[NK] = {[K_MEAN] = j->b->mean,
        [K_G] = j->g,
        [K_BIAS] = j->b->bias,
        [K_SLOPE] = j->act == QD_PRELU ? j->b->slope : NULL,
        [K_P] = j->p,
        [K_Q] = j->q};
    struct lanes lanes;
    struct piece p = {.lanes = &lanes};

    (void)thread;
    lanes_init(&lanes, j->z, j->dy, k, NK);
    QD_FOR_ROWS(j->z, j->chunks, j->chunks - 1 - chunk, n, y)
    for (int x = 0; next_piece(&p, j->z, j->dy, (const int[]){n, y}, &x);) {
#define CALL(A) apply_piece(&p, A)
        QD_ACT_SPECIALISE(j->act, CALL);
#undef CALL
    }
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
        j.act = costly(j.act) ? QD_LINEAR : j.act;
    }
    qd_par(j.chunks, apply_rows, &j);
}

void QD_VEC(qd_grad_sum)(struct qd_grad_ops *g)
{
    g->bias = vec_bias;
    g->dot = vec_dot;
    g->stats = vec_stats;
    g->bn = vec_bn;
}
