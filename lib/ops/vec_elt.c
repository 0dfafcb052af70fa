/* SPDX-License-Identifier: MIT */
/*
 * Elementwise operations and softmax with vectors.  Most are bound by memory, so that what counts
 * is one pass without detours: a row without gaps is one run of w * c floats, another row is a run
 * for each pixel.  The form of the operation and the activation are chosen outside of the loops.
 */
#include "ops/vec.h"

#include "base/par.h"
#include "ops/kernels.h"
#include "ops/rows.h"

/* q = act(...) */
enum form {
    PLAIN,  /* p */
    SCALE,  /* p * r[0] */
    TIMES,  /* p * r */
    PLUS,   /* p * wp + r * wr */
    AFFINE, /* p * mul[c] + add[c] */
    WEIGH,  /* p * mul[c] */
    MORE,   /* p + r * mul[c] */
    CURB,   /* p > 0 ? p : p * mul[c] */
};

/* Some pixels of a row, n floats of each.  Sources and target may be the same. */
struct run {
    const float *p, *r;
    float *q;
    size_t dp, dr, dq; /* floats from pixel to pixel */
    int pixels;
    size_t n;
    const float *mul, *add;
    float wp, wr;
};

QD_ALWAYS_INLINE vf value(
    const struct run *u, enum form form, const float *r, vf p, size_t i, int n)
{
    switch (form) {
    case PLAIN:
        return p;
    case SCALE:
        return p * vf_set(r[0]);
    case TIMES:
        return p * vf_load_n(r + i, n);
    case PLUS:
        return vf_fma(vf_load_n(r + i, n), vf_set(u->wr), p * vf_set(u->wp));
    case AFFINE:
        return vf_fma(p, vf_load_n(u->mul + i, n), vf_load_n(u->add + i, n));
    case WEIGH:
        return p * vf_load_n(u->mul + i, n);
    case MORE:
        return vf_fma(vf_load_n(r + i, n), vf_load_n(u->mul + i, n), p);
    default:
        return vf_select((vi)(p > vf_zero()), p, p * vf_load_n(u->mul + i, n));
    }
}

QD_ALWAYS_INLINE void run_const(const struct run *u, enum form form, enum qd_act a)
{
    const float *p = u->p;
    float *q = u->q;
    size_t n = u->n;

    for (int x = 0; x < u->pixels; x++, p += u->dp, q += u->dq) {
        const float *r = u->r ? u->r + (size_t)x * u->dr : NULL;
        size_t i = 0;
        for (; i + VW <= n; i += VW)
            vf_store(q + i, vf_act(a, value(u, form, r, vf_load(p + i), i, VW), vf_zero()));
        if (i < n) {
            int left = (int)(n - i);
            vf v = value(u, form, r, vf_load_n(p + i, left), i, left);
            vf_store_n(q + i, vf_act(a, v, vf_zero()), left);
        }
    }
}

/* The activations that the common networks use, each compiled on its own. */
static void run_plain(const struct run *u, enum qd_act a)
{
    switch (a) {
    case QD_RELU6:
        run_const(u, PLAIN, QD_RELU6);
        break;
    case QD_LOGISTIC:
        run_const(u, PLAIN, QD_LOGISTIC);
        break;
    case QD_MISH:
        run_const(u, PLAIN, QD_MISH);
        break;
    case QD_SWISH:
        run_const(u, PLAIN, QD_SWISH);
        break;
#define CALL(A) run_const(u, PLAIN, A)
    default:
        QD_ACT_SPECIALISE(a, CALL);
#undef CALL
    }
}

/* Any form with any activation: rare pairs are two passes, the second one in cache. */
static void run(const struct run *u, enum form form, enum qd_act a)
{
    bool common = a == QD_LINEAR || a == QD_LEAKY || a == QD_RELU;
    struct run again = *u;

#define FORM(F)                                                                                    \
    case F:                                                                                        \
        if (a == QD_LEAKY)                                                                         \
            run_const(u, F, QD_LEAKY);                                                             \
        else if (a == QD_RELU)                                                                     \
            run_const(u, F, QD_RELU);                                                              \
        else                                                                                       \
            run_const(u, F, QD_LINEAR);                                                            \
        break

    switch (form) {
        FORM(SCALE);
        FORM(TIMES);
        FORM(PLUS);
        FORM(AFFINE);
        FORM(WEIGH);
        FORM(MORE);
        FORM(CURB);
    default:
        common = false;
    }
#undef FORM
    if (common)
        return;
    if (form != PLAIN) {
        again.p = u->q;
        again.dp = u->dq;
    }
    run_plain(&again, a);
}

/* Merge the pixels of a row into one when there are no gaps; not where channels have numbers of
 * their own.  two: r is a source like p. */
static void flatten(struct run *u, bool two)
{
    if (u->dq == u->n && u->dp == u->n && (!two || u->dr == u->n)) {
        u->n *= (size_t)u->pixels;
        u->pixels = 1;
    }
}

static struct run row_run(const struct qd_tensor *in, const struct qd_tensor *out, int n, int y)
{
    return (struct run){.p = qd_at(in, n, y, 0),
        .q = qd_at(out, n, y, 0),
        .dp = (size_t)in->ps,
        .dq = (size_t)out->ps,
        .pixels = out->w,
        .n = (size_t)out->c};
}

struct job {
    const struct qd_tensor *in, *out, *gate;
    const struct qd_sum *sum;
    const float *mul, *add;
    enum qd_act act;
    enum qd_gate kind;
    int chunks, groups;
    float temperature;
};

static void start(struct job *j, qd_par_fn *rows)
{
    j->chunks = qd_row_chunks(j->out);
    qd_par(j->chunks, rows, j);
}

/* ---- softmax and other activations over channels --------------------------------------------- */

/* out = softmax(in * factor) */
static void softmax_run(const float *in, float *out, size_t n, float factor)
{
    size_t i = 0;
    vf max = vf_set(in[0] * factor), sum = vf_zero();
    float m, s;

    for (; i + VW <= n; i += VW)
        max = vf_max(max, vf_load(in + i) * factor);
    for (m = vf_hmax(max); i < n; i++)
        m = in[i] * factor > m ? in[i] * factor : m;
    for (i = 0; i < n; i += VW) {
        int left = (int)QD_MIN(n - i, VW);
        vf e = vf_exp(vf_load_n(in + i, left) * factor - m);
        vf_store_n(out + i, e, left);
        sum += left == VW ? e : vf_load_n(out + i, left);
    }
    s = 1 / vf_sum(sum);
    for (i = 0; i < n; i += VW) {
        int left = (int)QD_MIN(n - i, VW);
        vf_store_n(out + i, vf_load_n(out + i, left) * s, left);
    }
}

static void softmax_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    size_t c = (size_t)(j->out->c / j->groups);

    (void)thread;
    QD_FOR_ROWS(j->out, j->chunks, chunk, n, y)
    for (int x = 0; x < j->out->w; x++)
        for (size_t g = 0; g < (size_t)j->groups; g++)
            softmax_run(qd_at(j->in, n, y, x) + g * c, qd_at(j->out, n, y, x) + g * c, c,
                1 / j->temperature);
}

static void vec_softmax(
    const struct qd_tensor *in, const struct qd_tensor *out, int groups, float temperature)
{
    struct job j = {.in = in, .out = out, .groups = groups, .temperature = temperature};

    start(&j, softmax_rows);
}

/* relu(x) / (sum of relu + 1e-4) over the channels */
static void normalize_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    size_t c = (size_t)j->out->c;

    (void)thread;
    QD_FOR_ROWS(j->out, j->chunks, chunk, n, y)
    for (int x = 0; x < j->out->w; x++) {
        const float *p = qd_at(j->in, n, y, x);
        float *q = qd_at(j->out, n, y, x);
        vf sum = vf_zero();
        for (size_t i = 0; i < c; i += VW)
            sum += vf_relu(vf_load_n(p + i, (int)QD_MIN(c - i, VW)));
        float s = 1 / (vf_sum(sum) + 1e-4f);
        for (size_t i = 0; i < c; i += VW) {
            int left = (int)QD_MIN(c - i, VW);
            vf_store_n(q + i, vf_relu(vf_load_n(p + i, left)) * s, left);
        }
    }
}

/* ---- the operations -------------------------------------------------------------------------- */

static void act_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->out, j->chunks, chunk, n, y)
    {
        struct run u = row_run(j->in, j->out, n, y);
        u.mul = j->mul;
        if (!j->mul)
            flatten(&u, false);
        run(&u, j->mul ? CURB : PLAIN, j->mul ? QD_LINEAR : j->act);
    }
}

static void vec_act(
    const struct qd_tensor *in, const struct qd_tensor *out, enum qd_act a, const float *slope)
{
    struct job j = {.in = in, .out = out, .act = a, .mul = a == QD_PRELU ? slope : NULL};

    if (a == QD_NORM_CHAN)
        start(&j, normalize_rows);
    else if (!qd_act_elementwise(a))
        vec_softmax(in, out, 1, 1);
    else
        start(&j, act_rows);
}

static void vec_copy(const struct qd_tensor *in, const struct qd_tensor *out)
{
    vec_act(in, out, QD_LINEAR, NULL);
}

/* What the rows apply: activations over channels come in a pass of their own. */
static enum qd_act inner(enum qd_act a)
{
    return qd_act_elementwise(a) ? a : QD_LINEAR;
}

static void finish(const struct qd_tensor *out, enum qd_act a)
{
    if (!qd_act_elementwise(a))
        vec_act(out, out, a, NULL);
}

static void norm_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->out, j->chunks, chunk, n, y)
    {
        struct run u = row_run(j->in, j->out, n, y);
        u.mul = j->mul;
        u.add = j->add;
        run(&u, AFFINE, j->act);
    }
}

static void vec_norm(const struct qd_tensor *in, const struct qd_tensor *out, const float *mul,
    const float *add, enum qd_act a)
{
    struct job j = {.in = in, .out = out, .mul = mul, .add = add, .act = inner(a)};

    start(&j, norm_rows);
    finish(out, a);
}

struct sum_row {
    const struct qd_sum *s;
    const struct qd_tensor *out;
    int n, y;
};

/* q = in_0 times its weight */
static void first_source(const struct sum_row *k)
{
    const struct qd_sum *s = k->s;
    struct run u = row_run(s->in[0], k->out, k->n, k->y);

    u.mul = u.r = s->weight;
    if (s->weight && s->per_channel) {
        run(&u, WEIGH, QD_LINEAR);
        return;
    }
    flatten(&u, false);
    run(&u, s->weight ? SCALE : PLAIN, QD_LINEAR);
}

/* q = from * wp + in_i times its weight, on the channels that in_i has.  Says whether that was all
 * and the activation is done. */
static bool add_source(const struct sum_row *k, int i, const struct qd_tensor *from, float wp)
{
    const struct qd_sum *s = k->s;
    const struct qd_tensor *more = s->in[i];
    struct run u = row_run(from, k->out, k->n, k->y);
    bool last = i == s->nin - 1 && more->c >= k->out->c, channels = s->weight && s->per_channel;

    u.r = qd_at(more, k->n, k->y, 0);
    u.dr = (size_t)more->ps;
    u.n = (size_t)QD_MIN(more->c, k->out->c);
    u.wp = wp;
    u.wr = s->weight && !channels ? s->weight[i] : 1;
    if (channels)
        u.mul = s->weight + (size_t)i * (size_t)k->out->c;
    else
        flatten(&u, true);
    run(&u, channels ? MORE : PLUS, last ? inner(s->act) : QD_LINEAR);
    return last;
}

static void sum_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    const struct qd_sum *s = j->sum;
    bool fused = s->nin > 1 && !(s->weight && s->per_channel) && s->in[1]->c >= j->out->c;

    (void)thread;
    QD_FOR_ROWS(j->out, j->chunks, chunk, n, y)
    {
        struct sum_row k = {s, j->out, n, y};
        bool done = false;
        if (fused)
            done = add_source(&k, 1, s->in[0], s->weight ? s->weight[0] : 1);
        else
            first_source(&k);
        for (int i = fused ? 2 : 1; i < s->nin; i++)
            done = add_source(&k, i, j->out, 1);
        if (!done && inner(s->act) != QD_LINEAR) {
            struct run u = row_run(j->out, j->out, n, y);
            flatten(&u, false);
            run(&u, PLAIN, s->act);
        }
    }
}

static void vec_sum(const struct qd_sum *s, const struct qd_tensor *out)
{
    struct job j = {.sum = s, .out = out};

    start(&j, sum_rows);
    finish(out, s->act);
}

static void gate_rows(void *ctx, int chunk, int thread)
{
    static const enum form forms[] = {
        [QD_GATE_CHANNEL] = WEIGH, [QD_GATE_PIXEL] = SCALE, [QD_GATE_FULL] = TIMES};
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->out, j->chunks, chunk, n, y)
    {
        struct run u = row_run(j->in, j->out, n, y);
        u.r = u.mul = qd_at(j->gate, n, j->kind == QD_GATE_CHANNEL ? 0 : y, 0);
        u.dr = (size_t)j->gate->ps;
        if (j->kind == QD_GATE_FULL)
            flatten(&u, true);
        run(&u, forms[j->kind], j->act);
    }
}

static void vec_gate(const struct qd_tensor *in, const struct qd_tensor *gate,
    const struct qd_tensor *out, enum qd_gate kind, enum qd_act a)
{
    struct job j = {.in = in, .gate = gate, .out = out, .kind = kind, .act = inner(a)};

    start(&j, gate_rows);
    finish(out, a);
}

void QD_VEC(qd_ops_elt)(struct qd_ops *ops)
{
    ops->act = vec_act;
    ops->norm = vec_norm;
    ops->sum = vec_sum;
    ops->gate = vec_gate;
    ops->copy = vec_copy;
    ops->softmax = vec_softmax;
}
