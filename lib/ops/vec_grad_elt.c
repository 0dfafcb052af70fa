/* SPDX-License-Identifier: MIT */
/*
 * Gradients of activations, weighted sums, gates and softmax with vectors.  A row without gaps is
 * one run of w * c floats, another row is a run for each pixel.
 */
#include "ops/vec_grad.h"

#include "base/par.h"
#include "ops/rows.h"

/* q (+)= p times something; some pixels of a row, n floats of each. */
struct run {
    const float *p, *r; /* r: the factors */
    float *q;
    size_t dp, dr, dq; /* floats from pixel to pixel; dr 0: the factors are those of channels */
    int pixels;
    size_t n;
};

enum form {
    SCALE, /* q = p * r[0], r NULL: p */
    TIMES, /* q = p * r */
};

QD_ALWAYS_INLINE void run_form(const struct run *u, enum form form, const bool fresh)
{
    const float *p = u->p, *r = u->r;
    float *q = u->q;

    for (int x = 0; x < u->pixels; x++, p += u->dp, q += u->dq, r += u->dr)
        for (size_t i = 0; i < u->n; i += VW) {
            int left = (int)QD_MIN(u->n - i, VW);
            vf v = vf_load_n(p + i, left);
            vf f = form == SCALE ? vf_set(r[0]) : vf_load_n(r + i, left);
            if (fresh)
                v = v * f;
            else
                v = vf_fma(v, f, vf_load_n(q + i, left));
            vf_store_n(q + i, v, left);
        }
}

static void run(const struct run *u, enum form form, bool fresh)
{
    if (form == SCALE && fresh)
        run_form(u, SCALE, true);
    else if (form == SCALE)
        run_form(u, SCALE, false);
    else if (fresh)
        run_form(u, TIMES, true);
    else
        run_form(u, TIMES, false);
}

/* Merge the pixels of a row into one when there are no gaps. */
static void flatten(struct run *u, bool factors)
{
    if (u->dq == u->n && u->dp == u->n && (!factors || u->dr == u->n)) {
        u->n *= (size_t)u->pixels;
        u->pixels = 1;
    }
}

static struct run row_run(const struct qd_tensor *p, const struct qd_tensor *q, int n, int y)
{
    return (struct run){.p = qd_at(p, n, y, 0),
        .q = qd_at(q, n, y, 0),
        .dp = (size_t)p->ps,
        .dq = (size_t)q->ps,
        .pixels = q->w,
        .n = (size_t)q->c};
}

struct job {
    const struct qd_tensor *p, *q, *r;
    enum qd_act act;
    const float *factor;
    bool per_channel, fresh;
    enum qd_gate kind;
    int chunks, groups;
    float scale;
};

static void start(struct job *j, qd_par_fn *rows)
{
    j->chunks = qd_row_chunks(j->q);
    qd_par(j->chunks, rows, j);
}

/* ---- activations ----------------------------------------------------------------------------- */

/* q *= act'(p) */
QD_ALWAYS_INLINE void act_const(const struct run *u, enum qd_act a, const bool from_y)
{
    const float *p = u->p;
    float *q = u->q;

    for (int x = 0; x < u->pixels; x++, p += u->dp, q += u->dq)
        for (size_t i = 0; i < u->n; i += VW) {
            int left = (int)QD_MIN(u->n - i, VW);
            vf v = vf_load_n(p + i, left), f;
            if (from_y)
                f = vf_act_grad_out(a, v);
            else
                f = vf_act_grad(a, v, u->r ? vf_load_n(u->r + i, left) : vf_zero());
            vf_store_n(q + i, vf_load_n(q + i, left) * f, left);
        }
}

static void act_run(const struct run *u, enum qd_act a)
{
    switch (a) {
    case QD_MISH:
        act_const(u, QD_MISH, false);
        break;
    case QD_SWISH:
        act_const(u, QD_SWISH, false);
        break;
    case QD_LOGISTIC:
        act_const(u, QD_LOGISTIC, false);
        break;
#define CALL(A) act_const(u, A, false)
    default:
        QD_ACT_SPECIALISE(a, CALL);
#undef CALL
    }
}

static void act_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->q, j->chunks, chunk, n, y)
    {
        struct run u = row_run(j->p, j->q, n, y);
        u.r = j->factor;
        if (!j->factor)
            flatten(&u, false);
        act_run(&u, j->act);
    }
}

static void act_out_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->q, j->chunks, chunk, n, y)
    {
        struct run u = row_run(j->p, j->q, n, y);
        flatten(&u, false);
        if (j->act == QD_LOGISTIC)
            act_const(&u, QD_LOGISTIC, true);
        else
#define CALL(A) act_const(&u, A, true)
            QD_ACT_SPECIALISE(j->act, CALL);
#undef CALL
    }
}

static void channel_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->q, j->chunks, chunk, n, y)
    for (int x = 0; x < j->q->w; x++)
        qd_act_grad_channels(j->act, qd_at(j->p, n, y, x), NULL, qd_at(j->q, n, y, x), j->q->c);
}

static void channel_out_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->q, j->chunks, chunk, n, y)
    for (int x = 0; x < j->q->w; x++) {
        float *q = qd_at(j->q, n, y, x);
        qd_softmax_grad(qd_at(j->p, n, y, x), q, q, j->q->c, 1);
    }
}

static void take_array(void *ctx, int c, const double sum[3])
{
    float *array = ctx;

    array[c] += (float)sum[0];
}

static void vec_act(const struct qd_tensor *x, const struct qd_tensor *dy, enum qd_act a,
    const float *slope, float *dslope)
{
    struct job j = {.p = x, .q = dy, .act = a, .factor = a == QD_PRELU ? slope : NULL};

    if (a == QD_PRELU && dslope)
        QD_VEC(qd_sums)
    (&(struct qd_sums){.kind = QD_SUM_SLOPE, .a = x, .b = dy, .take = take_array, .ctx = dslope});
    if (a != QD_LINEAR)
        start(&j, qd_act_elementwise(a) ? act_rows : channel_rows);
}

static void vec_act_out(const struct qd_tensor *y, const struct qd_tensor *dy, enum qd_act a,
    const float *slope, float *dslope)
{
    struct job j = {.p = y, .q = dy, .act = a};

    (void)slope; /* prelu does not come here */
    (void)dslope;
    if (a != QD_LINEAR)
        start(&j, qd_act_elementwise(a) ? act_out_rows : channel_out_rows);
}

/* ---- weighted sums --------------------------------------------------------------------------- */

static const float one = 1;

static void add_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    int c = QD_MIN(j->p->c, j->q->c), rest = j->q->c - c;

    (void)thread;
    QD_FOR_ROWS(j->q, j->chunks, chunk, n, y)
    {
        struct run u = row_run(j->p, j->q, n, y);
        u.n = (size_t)c;
        u.r = j->factor;
        if (!j->per_channel)
            flatten(&u, false);
        run(&u, j->per_channel ? TIMES : SCALE, j->fresh);
        for (int x = 0; j->fresh && rest && x < j->q->w; x++)
            memset(qd_at(j->q, n, y, x) + c, 0, (size_t)rest * sizeof(float));
    }
}

static void vec_add(const struct qd_tensor *dy, const struct qd_tensor *din, const float *factor,
    bool per_channel, bool fresh)
{
    struct job j = {.p = dy,
        .q = din,
        .factor = factor ? factor : &one,
        .per_channel = factor && per_channel,
        .fresh = fresh};

    start(&j, add_rows);
}

/* ---- gates ----------------------------------------------------------------------------------- */

/* din (+)= dy * gate, or for a gate of that shape dgate (+)= dy * in: r is the factor */
static void times_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->q, j->chunks, chunk, n, y)
    {
        struct run u = row_run(j->p, j->q, n, y);
        u.r = qd_at(j->r, n, j->kind == QD_GATE_CHANNEL ? 0 : y, 0);
        u.dr = j->kind == QD_GATE_CHANNEL ? 0 : (size_t)j->r->ps;
        if (j->kind == QD_GATE_FULL)
            flatten(&u, true);
        run(&u, j->kind == QD_GATE_PIXEL ? SCALE : TIMES, j->fresh);
    }
}

/* dgate (+)= sum over the channels of in * dy: p and r */
static void pixel_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;

    (void)thread;
    QD_FOR_ROWS(j->p, j->chunks, chunk, n, y)
    for (int x = 0; x < j->p->w; x++) {
        const float *p = qd_at(j->p, n, y, x), *r = qd_at(j->r, n, y, x);
        float *q = qd_at(j->q, n, y, x);
        vf s = vf_zero();
        for (int i = 0; i < j->p->c; i += VW) {
            int left = QD_MIN(j->p->c - i, VW);
            s = vf_fma(vf_load_n(p + i, left), vf_load_n(r + i, left), s);
        }
        *q = (j->fresh ? 0 : *q) + vf_sum(s);
    }
}

static void channel_gate(const struct qd_tensor *in, const struct qd_tensor *dy,
    const struct qd_tensor *dgate, bool fresh)
{
    for (int n = 0; n < in->n; n++) {
        struct qd_tensor a = *in, b = *dy;
        float *q = qd_at(dgate, n, 0, 0);
        a.n = b.n = 1;
        a.data = qd_at(in, n, 0, 0);
        b.data = qd_at(dy, n, 0, 0);
        if (fresh)
            memset(q, 0, (size_t)dgate->c * sizeof(float));
        QD_VEC(qd_sums)
        (&(struct qd_sums){.kind = QD_SUM_PROD, .a = &a, .b = &b, .take = take_array, .ctx = q});
    }
}

static void vec_gate(const struct qd_tensor *const in_gate_dy[3], const struct qd_tensor *din,
    const struct qd_tensor *dgate, enum qd_gate kind, const bool fresh[2])
{
    const struct qd_tensor *in = in_gate_dy[0], *gate = in_gate_dy[1], *dy = in_gate_dy[2];
    struct job j = {.p = dy, .kind = kind};

    if (dgate && kind == QD_GATE_CHANNEL) {
        channel_gate(in, dy, dgate, fresh[1]);
    } else if (dgate) {
        j.q = dgate;
        j.r = in;
        j.fresh = fresh[1];
        j.chunks = qd_row_chunks(in);
        qd_par(j.chunks, kind == QD_GATE_FULL ? times_rows : pixel_rows, &j);
    }
    if (din) {
        j.q = din;
        j.r = gate;
        j.fresh = fresh[0];
        start(&j, times_rows);
    }
}

/* ---- softmax --------------------------------------------------------------------------------- */

/* q (+)= scale * p * (dy - sum(p * dy)), p and dy are p and r of the run */
static void softmax_run(const struct run *u, float scale, bool fresh)
{
    vf s = vf_zero();

    for (size_t i = 0; i < u->n; i += VW) {
        int left = (int)QD_MIN(u->n - i, VW);
        s = vf_fma(vf_load_n(u->p + i, left), vf_load_n(u->r + i, left), s);
    }
    float dot = vf_sum(s);
    for (size_t i = 0; i < u->n; i += VW) {
        int left = (int)QD_MIN(u->n - i, VW);
        vf v = vf_load_n(u->p + i, left) * (vf_load_n(u->r + i, left) - dot) * scale;
        vf_store_n(u->q + i, fresh ? v : vf_load_n(u->q + i, left) + v, left);
    }
}

static void softmax_rows(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    size_t c = (size_t)(j->q->c / j->groups);

    (void)thread;
    QD_FOR_ROWS(j->q, j->chunks, chunk, n, y)
    for (int x = 0; x < j->q->w; x++)
        for (size_t g = 0; g < (size_t)j->groups; g++) {
            struct run u = {.p = qd_at(j->p, n, y, x) + g * c,
                .r = qd_at(j->r, n, y, x) + g * c,
                .q = qd_at(j->q, n, y, x) + g * c,
                .n = c};
            softmax_run(&u, j->scale, j->fresh);
        }
}

static void vec_softmax(const struct qd_tensor *p, const struct qd_tensor *dy,
    const struct qd_tensor *din, const float groups_temperature[2], bool fresh)
{
    struct job j = {.p = p,
        .r = dy,
        .q = din,
        .groups = (int)groups_temperature[0],
        .scale = 1 / groups_temperature[1],
        .fresh = fresh};

    start(&j, softmax_rows);
}

/* ---- dropout --------------------------------------------------------------------------------- */

struct thin {
    struct job j;
    vu limit;
    uint64_t seed;
};

/* qd_thin_hash of VW places from i on */
QD_ALWAYS_INLINE vu thin_hash(uint32_t i, struct qd_thin_key k)
{
    vu h = (vu){0};

    UNROLL_ALL
    for (int lane = 0; lane < VW; lane++)
        h[lane] = (uint32_t)lane;
    h = (h + (i + k.add)) * 0x9e3779b1u ^ k.flip;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

static void thin_run(const struct run *u, const struct thin *t, struct qd_thin_key key)
{
    const struct run r = *u; /* what the stores cannot have changed */
    const vi limit = (vi)t->limit;
    const vf scale = vf_set(t->j.scale);

    for (int x = 0; x < r.pixels; x++)
        for (size_t i = 0; i < r.n; i += VW) {
            int left = (int)QD_MIN(r.n - i, VW);
            vu h = thin_hash((uint32_t)((size_t)x * r.n + i), key) >> 8; /* fits a signed number */
            vf v = vf_load_n(r.p + (size_t)x * r.dp + i, left) * scale;
            vf_store_n(r.q + (size_t)x * r.dq + i, vf_select((vi)h < limit, vf_zero(), v), left);
        }
}

static void thin_rows(void *ctx, int chunk, int thread)
{
    const struct thin *t = ctx;
    const struct job *j = &t->j;

    (void)thread;
    QD_FOR_ROWS(j->q, j->chunks, chunk, n, y)
    {
        struct run u = row_run(j->p, j->q, n, y);
        flatten(&u, false);
        thin_run(&u, t, qd_thin_row(t->seed, (long)n * j->q->h + y));
    }
}

static void vec_thin(
    const struct qd_tensor *from, const struct qd_tensor *to, float p, uint64_t seed)
{
    struct thin t = {.j = {.p = from, .q = to, .scale = p < 1 ? 1 / (1 - p) : 0}, .seed = seed};

    t.limit = (vu){0} + (uint32_t)((double)p * 0x1p24);
    t.j.chunks = qd_row_chunks(to);
    qd_par(t.j.chunks, thin_rows, &t);
}

void QD_VEC(qd_grad_elt)(struct qd_grad_ops *g)
{
    g->act = vec_act;
    g->act_out = vec_act_out;
    g->add = vec_add;
    g->gate = vec_gate;
    g->softmax = vec_softmax;
    g->thin = vec_thin;
}
