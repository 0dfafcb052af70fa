/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution: each channel by itself.  A strip is one vector position of up to ROWS
 * output rows: its weights stay in registers while it walks along the rows, and an input vector is
 * loaded once for all the rows that it takes part in.
 *
 * Where pixels are dense and the stride is 1, a row is one long run of floats to which pixels do
 * not matter: output float i needs inputs i, i + c, i + 2c ... and the weights of channel i mod c.
 * The weights are packed so that they repeat after lcm(c, VW) floats, strips step by that much, and
 * no lane idles however few channels there are.  Otherwise strips step by pixels.
 */
#include "base/par.h"
#include "ops/vec_conv.h"

enum {
    ROWS = 5,
    CHUNKS = 16,
    REPEAT_MAX = 64 * 1024 /* bytes of weights that may be repeated: they should stay in L1 */
};

struct strip {
    const float *in;   /* first tap of the first vector */
    const float *w;    /* tap t at w + t * period */
    const float *bias; /* VW */
    float *out;
    const float *add;       /* or NULL */
    size_t in_step, in_row; /* floats from position to position, from row to row of inputs */
    size_t out_step, out_row;
    size_t add_step, add_row;
    size_t tap_x, tap_y, period;
    int rh, rw;
    int n, lanes; /* positions, and floats to write at each */
    float act, act2;
};

struct plan {
    const struct qd_conv_job *j;
    struct strip s;    /* what all strips share */
    bool flat;         /* rows are runs of floats */
    int floats;        /* of an output row when flat, else channels */
    int vectors;       /* strips of a row */
    int bands, pieces; /* cuts of the rows of all images and of the strips of a row */
    bool ramps;
    void (*strip[ROWS + 1])(const struct strip *s); /* by rows; NULL where there is none */
};

/* Output row 'o', position 'i'. */
QD_ALWAYS_INLINE void strip_store(const struct strip *s, int o, int i, vf v)
{
    float *out = s->out + (size_t)o * s->out_row + (size_t)i * s->out_step;

    v = vf_ramp(v, s->act);
    if (s->add) {
        v += vf_load(s->add + (size_t)o * s->add_row + (size_t)i * s->add_step);
        v = vf_ramp(v, s->act2);
    }
    if (s->lanes == VW)
        vf_store(out, v);
    else
        vf_store_part(out, v, s->lanes);
}

/* r x r kernel, stride sy, without dilation; all three are constants.  Tap rows of neighbouring
 * output rows overlap: input vector j belongs to input row j / r and tap column j % r. */
QD_ALWAYS_INLINE void strip_body(const struct strip *s, const int r, const int sy, const int rows)
{
    const struct strip local = *s; /* what the stores cannot have changed */
    const vf bias = vf_load(s->bias);
    vf w[25];

    s = &local;

    UNROLL_ALL
    for (int t = 0; t < r * r; t++)
        w[t] = vf_load(s->w + (size_t)t * s->period);
    for (int i = 0; i < s->n; i++) {
        const float *in = s->in + (size_t)i * s->in_step;
        vf acc[ROWS];
        UNROLL_ALL
        for (int o = 0; o < rows; o++)
            acc[o] = bias;
        UNROLL_ALL
        for (int j = 0; j < ((rows - 1) * sy + r) * r; j++) {
            const vf x = vf_load(in + (size_t)(j / r) * s->in_row + (size_t)(j % r) * s->tap_x);
            UNROLL_ALL
            for (int o = 0; o < rows; o++)
                if (j / r >= o * sy && j / r - o * sy < r)
                    acc[o] = vf_fma(x, w[j - o * sy * r], acc[o]);
        }
        UNROLL_ALL
        for (int o = 0; o < rows; o++)
            strip_store(s, o, i, acc[o]);
    }
}

/* One tap of n positions. */
QD_ALWAYS_INLINE void strip_tap(
    const float *in, const size_t step, const vf w, vf acc[4], const int n)
{
    UNROLL_ALL
    for (int p = 0; p < 4; p++)
        if (p < n)
            acc[p] = vf_fma(vf_load(in + (size_t)p * step), w, acc[p]);
}

/* One row, any kernel and dilation, four positions at a time. */
static void strip_any(const struct strip *s)
{
    for (int i = 0; i < s->n; i += 4) {
        const int n = QD_MIN(4, s->n - i);
        const float *in = s->in + (size_t)i * s->in_step, *w = s->w;
        const vf bias = vf_load(s->bias);
        vf acc[4] = {bias, bias, bias, bias};
        for (int ky = 0; ky < s->rh; ky++)
            for (int kx = 0; kx < s->rw; kx++, w += s->period)
                strip_tap(in + (size_t)ky * s->tap_y + (size_t)kx * s->tap_x, s->in_step,
                    vf_load(w), acc, n);
        UNROLL_ALL
        for (int p = 0; p < 4; p++)
            if (p < n)
                strip_store(s, 0, i + p, acc[p]);
    }
}

#define STRIP(r, sy, rows)                                                                         \
    static void strip_##r##_##sy##_##rows(const struct strip *s)                                   \
    {                                                                                              \
        strip_body(s, r, sy, rows);                                                                \
    }
/* clang-format off */
STRIP(3, 1, 1) STRIP(3, 1, 2) STRIP(3, 1, 5)
STRIP(3, 2, 1) STRIP(3, 2, 2) STRIP(3, 2, 5)
STRIP(5, 1, 1) STRIP(5, 1, 2) STRIP(5, 1, 5)
STRIP(5, 2, 1) STRIP(5, 2, 2)
    /* clang-format on */

    /* ---- packing
       --------------------------------------------------------------------------------- */

    static bool supports(const struct qd_conv_geom *g)
{
    return g->groups == g->c && g->k == g->c && g->c > 1;
}

/* Floats after which the weights of a tap repeat. */
static size_t period(const struct qd_conv_geom *g)
{
    size_t c = (size_t)g->c, common = 1, padded = qd_round_up(c, VW);

    while (common < VW && c % (2 * common) == 0)
        common *= 2;
    if (g->sx > 1 || c / common * VW * (size_t)(g->rh * g->rw) * sizeof(float) > REPEAT_MAX)
        return padded;
    return c / common * VW;
}

/* The weights, and what the last strip reads beyond them. */
static size_t packed(const struct qd_conv_geom *g)
{
    return period(g) * (size_t)(g->rh * g->rw);
}

static void pack(const struct qd_conv_geom *g, const float *weight, const float *scale, float *to)
{
    size_t c = (size_t)g->c, taps = (size_t)(g->rh * g->rw), n = period(g);
    bool repeat = n % c == 0;

    for (size_t t = 0; t < taps; t++)
        for (size_t i = 0; i < n; i++) {
            size_t f = i % c;
            *to++ = i < c || repeat ? weight[f * taps + t] * (scale ? scale[f] : 1) : 0;
        }
}

/* The bias, repeated likewise. */
static size_t work(const struct qd_conv_geom *g, int threads)
{
    (void)threads;
    return period(g);
}

static void repeat_bias(const struct qd_conv_job *j)
{
    size_t n = period(j->g), c = (size_t)j->g->c;

    if (!j->ep->bias)
        memset(j->work, 0, n * sizeof(float));
    for (size_t i = 0; j->ep->bias && i < n; i += c)
        memcpy(j->work + i, j->ep->bias, QD_MIN(c, n - i) * sizeof(float));
}

/* ---- running --------------------------------------------------------------------------------- */

/* Epilogues that the strip cannot do, in place. */
static void finish(const struct plan *p, const struct strip *s, int rows, int from)
{
    const struct finish f = {.e = p->j->ep,
        .p = s->out,
        .out = s->out,
        .add = s->add,
        .px = s->out_step,
        .py = s->out_row,
        .ox = s->out_step,
        .oy = s->out_row,
        .dx = s->add_step,
        .dy = s->add_row,
        .rows = rows,
        .cols = s->n,
        .ch = s->lanes,
        .from = from};

    QD_VEC(qd_vec_finish)(&f);
}

/* n positions of vector 'v' in 'rows' rows that begin at s. */
static void run_strip(const struct plan *p, const struct strip *s, int rows, int v)
{
    struct strip raw = *s;

    if (s->n <= 0)
        return;
    if (p->ramps) {
        p->strip[rows](s);
        return;
    }
    raw.add = NULL;
    raw.act = 1;
    p->strip[rows](&raw);
    finish(p, s, rows, p->flat ? 0 : v * VW);
}

/* Vector 'v' of 'rows' rows from row y of image n on. */
static void run_vector(const struct plan *p, const int n_y_rows[3], int v)
{
    const struct qd_conv_geom *g = p->j->g;
    const struct qd_tensor *add = p->j->ep->add;
    const int n = n_y_rows[0], y = n_y_rows[1], rows = n_y_rows[2], at = v * VW;
    struct strip s = p->s;

    s.in = qd_at(p->j->in, n, y * g->sy - g->pad * g->dil, -g->pad * g->dil) + at;
    s.w += at;
    s.bias += at;
    s.out = qd_at(p->j->out, n, y, 0) + at;
    if (add)
        s.add = qd_at(add, n, y, 0) + at;
    if (!p->flat) {
        s.n = g->ow;
        s.lanes = QD_MIN(VW, p->floats - at);
        run_strip(p, &s, rows, v);
        return;
    }
    int rest = p->floats - at; /* of the row from here on */
    s.lanes = VW;
    s.n = rest < VW ? 0 : (rest - VW) / (int)s.period + 1;
    run_strip(p, &s, rows, v);
    s.lanes = rest - s.n * (int)s.period;
    if (s.lanes <= 0)
        return;
    s.in += (size_t)s.n * s.in_step;
    s.out += (size_t)s.n * s.out_step;
    if (add)
        s.add += (size_t)s.n * s.add_step;
    s.n = 1;
    run_strip(p, &s, rows, v);
}

static void chunk(void *ctx, int index, int thread)
{
    const struct plan *p = ctx;
    const struct qd_conv_geom *g = p->j->g;
    long from, to, first, end;

    (void)thread;
    qd_par_range((long)g->n * g->oh, p->bands, index / p->pieces, &from, &to);
    qd_par_range(p->vectors, p->pieces, index % p->pieces, &first, &end);
    while (from < to) {
        int y = (int)(from % g->oh), left = (int)QD_MIN(to - from, g->oh - y);
        int rows = QD_MIN(left, ROWS);
        while (!p->strip[rows])
            rows--;
        for (long v = first; v < end; v++)
            run_vector(p, (const int[3]){(int)(from / g->oh), y, rows}, (int)v);
        from += rows;
    }
}

static void choose_strips(struct plan *p)
{
    const struct qd_conv_geom *g = p->j->g;
    bool square = g->rh == g->rw && g->dil == 1;

    p->strip[1] = strip_any;
    if (square && g->rh == 3 && g->sy == 1) {
        p->strip[1] = strip_3_1_1;
        p->strip[2] = strip_3_1_2;
        p->strip[5] = strip_3_1_5;
    } else if (square && g->rh == 3 && g->sy == 2) {
        p->strip[1] = strip_3_2_1;
        p->strip[2] = strip_3_2_2;
        p->strip[5] = strip_3_2_5;
    } else if (square && g->rh == 5 && g->sy == 1) {
        p->strip[1] = strip_5_1_1;
        p->strip[2] = strip_5_1_2;
        p->strip[5] = strip_5_1_5;
    } else if (square && g->rh == 5 && g->sy == 2) {
        p->strip[1] = strip_5_2_1;
        p->strip[2] = strip_5_2_2;
    }
}

static void run(const struct qd_conv_job *j)
{
    const struct qd_conv_geom *g = j->g;
    const struct qd_tensor *in = j->in, *out = j->out, *add = j->ep->add;
    struct plan p = {.j = j};
    struct strip *s = &p.s;
    long rows = (long)g->n * g->oh;

    s->period = period(g);
    p.flat = g->sx == 1 && s->period % (size_t)g->c == 0 && qd_tensor_dense_rows(in) &&
             qd_tensor_dense_rows(out) && (!add || qd_tensor_dense_rows(add)) &&
             j->ep->act != QD_PRELU;
    p.floats = p.flat ? g->ow * g->c : g->c;
    s->in_step = p.flat ? s->period : (size_t)g->sx * (size_t)in->ps;
    s->out_step = p.flat ? s->period : (size_t)out->ps;
    s->add_step = !add ? 0 : p.flat ? s->period : (size_t)add->ps;
    s->in_row = in->rs;
    s->out_row = out->rs;
    s->add_row = add ? add->rs : 0;
    s->tap_x = (size_t)g->dil * (size_t)in->ps;
    s->tap_y = (size_t)g->dil * in->rs;
    s->rh = g->rh;
    s->rw = g->rw;
    s->w = j->packed;
    s->bias = j->work;
    s->act2 = 1;
    p.ramps = act_is_ramp(j->ep->act, &s->act);
    if (add && !act_is_ramp(j->ep->add_act, &s->act2))
        p.ramps = false;
    p.vectors = (int)(QD_MIN(s->period, qd_round_up((size_t)p.floats, VW)) / VW);
    p.bands = (int)QD_MIN(CHUNKS, QD_MAX(1, rows / ROWS));
    p.pieces = QD_MIN(p.vectors, QD_MAX(1, CHUNKS / p.bands));
    choose_strips(&p);
    repeat_bias(j);
    qd_par(p.bands * p.pieces, chunk, &p);
}

const struct qd_conv_kernel QD_VEC(qd_conv_depthwise) = {
    .name = "depthwise",
    .supports = supports,
    .packed = packed,
    .pack = pack,
    .work = work,
    .run = run,
};
