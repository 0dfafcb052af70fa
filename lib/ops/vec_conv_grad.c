/* SPDX-License-Identifier: MIT */
/*
 * Gradient of a convolution's input: convolutions of dz, by the forward kernels.
 *
 * Input pixel y takes tap k of output (y + pad*dil - k*dil) / stride, where that is a whole number.
 * Pixels y = p, p + stride, p + 2*stride ... take the same taps: they are one phase, a convolution
 * of stride 1 with the taps of that phase in reverse, whose output is every stride-th pixel of the
 * gradient.  So no zeros are put between the pixels of dz.  With stride 1 there is one phase.
 */
#include "base/par.h"
#include "ops/vec_conv.h"
#include "ops/vec_conv_grad.h"
#include "ops/vec_lanes.h"

/* What a phase is along one axis. */
struct axis {
    int phase, pixels;    /* first pixel, number of pixels */
    int taps, last, step; /* taps last, last - step ... */
    int offset, dil;      /* of dz: first tap of the first pixel, from tap to tap */
};

struct phase {
    struct axis y, x;
    struct qd_conv_geom g; /* of the convolution; only if there are taps */
    int dy, dx;            /* what its pad cannot say: where dz begins */
    const struct qd_conv_kernel *kernel;
};

static int common_divisor(int a, int b)
{
    while (b) {
        int r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* 'n' pixels, 'r' taps, stride s. */
static struct axis axis_of(int phase, int n, int r, int s, const struct qd_conv_geom *g)
{
    struct axis a = {.phase = phase, .pixels = (n - phase + s - 1) / s};
    int common = common_divisor(s, g->dil), first = 0;

    a.step = s / common;
    a.dil = g->dil / common;
    while (first < a.step && (phase + (g->pad - first) * g->dil) % s != 0)
        first++;
    if (first == a.step || first >= r)
        return a;
    a.taps = (r - 1 - first) / a.step + 1;
    a.last = first + (a.taps - 1) * a.step;
    a.offset = (phase + (g->pad - a.last) * g->dil) / s;
    return a;
}

/* Phase i of g; false when there are no more. */
static bool phase_of(const struct qd_conv_geom *g, int i, struct phase *p)
{
    const int ny = QD_MIN(g->sy, g->h), nx = QD_MIN(g->sx, g->w);
    struct qd_conv_geom *to = &p->g;

    if (i >= ny * nx)
        return false;
    *p = (struct phase){
        .y = axis_of(i / nx, g->h, g->rh, g->sy, g), .x = axis_of(i % nx, g->w, g->rw, g->sx, g)};
    *to = (struct qd_conv_geom){.n = g->n,
        .h = g->oh,
        .w = g->ow,
        .c = g->k,
        .oh = p->y.pixels,
        .ow = p->x.pixels,
        .k = g->c,
        .rh = p->y.taps,
        .rw = p->x.taps,
        .sy = 1,
        .sx = 1,
        .dil = p->y.taps > 1 ? p->y.dil : p->x.dil,
        .groups = g->groups};
    if (to->rh == 0 || to->rw == 0)
        return true;
    p->dy = p->y.offset;
    p->dx = p->x.offset;
    if (p->dy == p->dx && p->dy <= 0 && p->dy % to->dil == 0) {
        to->pad = -p->dy / to->dil;
        p->dy = p->dx = 0;
    }
    const struct qd_conv_kernel *const *k = QD_VEC(qd_vec_conv_kernels);
    while (!(*k)->supports(to))
        k++; /* the last one supports everything */
    p->kernel = *k;
    return true;
}

/* Strides of the two axes that make different dilations of one phase. */
static bool is_odd(const struct qd_conv_geom *g)
{
    return common_divisor(g->sy, g->dil) != common_divisor(g->sx, g->dil);
}

static const struct qd_grad_ops *reference(struct qd_grad_ops *table)
{
    qd_grad_conv__ref(table);
    return table;
}

static size_t weights_of(const struct phase *p)
{
    const struct qd_conv_geom *g = &p->g;

    return (size_t)g->k * (size_t)(g->c / g->groups) * (size_t)g->rh * (size_t)g->rw;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* The packed weights of all phases, and behind them the plain ones of one phase. */
static size_t packed(const struct qd_conv_geom *g)
{
    struct qd_grad_ops ref;
    struct phase p;
    size_t n = 0, plain = 0;

    if (is_odd(g))
        return reference(&ref)->conv_packed(g);
    if (QD_VEC(qd_grad_halves)(g))
        return QD_VEC(qd_grad_halves_packed)(g);
    for (int i = 0; phase_of(g, i, &p); i++)
        if (p.kernel) {
            n += qd_round_up(p.kernel->packed(&p.g), 16);
            plain = QD_MAX(plain, weights_of(&p));
        }
    return n + plain;
}

struct turn {
    const struct qd_conv_geom *g;
    const struct phase *p;
    const float *weight;
    float *to;
};

enum { TURN = 32 }; /* filters at once: their lines of the weights stay in the cache */

/* Some filters of a phase: [c][k/groups][taps of the phase], in reverse. */
static void turn_filters(void *ctx, int chunk, int thread)
{
    const struct turn *t = ctx;
    const struct qd_conv_geom *g = t->g;
    const size_t cg = (size_t)(g->c / g->groups), kg = (size_t)(g->k / g->groups);
    const size_t taps = (size_t)(g->rh * g->rw), mine = (size_t)(t->p->g.rh * t->p->g.rw);
    const size_t from = (size_t)chunk * TURN, end = QD_MIN(from + TURN, (size_t)g->c);

    (void)thread;
    for (size_t f = 0; f < kg; f++)
        for (size_t c = from; c < end; c++) {
            const float *w = t->weight + ((c / cg * kg + f) * cg + c % cg) * taps;
            float *to = t->to + (c * kg + f) * mine;
            for (int y = 0; y < t->p->g.rh; y++)
                for (int x = 0; x < t->p->g.rw; x++)
                    *to++ = w[(t->p->y.last - y * t->p->y.step) * g->rw + t->p->x.last -
                              x * t->p->x.step];
        }
}

static void pack(const struct qd_conv_geom *g, const float *weight, float *to)
{
    struct qd_grad_ops ref;
    struct phase p;
    struct turn t = {g, &p, weight, to};

    if (is_odd(g)) {
        reference(&ref)->conv_pack(g, weight, to);
        return;
    }
    if (QD_VEC(qd_grad_halves)(g)) {
        QD_VEC(qd_grad_halves_pack)(g, weight, to);
        return;
    }
    for (int i = 0; phase_of(g, i, &p); i++)
        t.to += p.kernel ? qd_round_up(p.kernel->packed(&p.g), 16) : 0;
    for (int i = 0; phase_of(g, i, &p); i++)
        if (p.kernel) {
            qd_par((g->c + TURN - 1) / TURN, turn_filters, &t);
            p.kernel->pack(&p.g, t.to, NULL, to);
            to += qd_round_up(p.kernel->packed(&p.g), 16);
        }
}

/* ---- running --------------------------------------------------------------------------------- */

/* Pixels that no output depends on. */
static void clear(const struct qd_tensor *t)
{
    for (int n = 0; n < t->n; n++)
        for (int y = 0; y < t->h; y++)
            for (int x = 0; x < t->w; x++)
                memset(qd_at(t, n, y, x), 0, (size_t)t->c * sizeof(float));
}

static void run_phase(const struct qd_conv_grad *j, const struct phase *p, const float *weights,
    const struct qd_tensor *out, bool fresh)
{
    const struct qd_epilogue ep = {.add = fresh ? NULL : out};
    struct qd_tensor in = *j->dz;
    const struct qd_conv_job job = {
        .g = &p->g, .packed = weights, .in = &in, .out = out, .ep = &ep, .work = j->work};

    in.data = qd_at(&in, 0, p->dy, p->dx);
    in.h -= p->dy;
    in.w -= p->dx;
    p->kernel->run(&job);
}

static void conv_data(
    const struct qd_conv_grad *j, const float *weights, const struct qd_tensor *din, bool fresh)
{
    const struct qd_conv_geom *g = j->g;
    struct qd_grad_ops ref;
    struct phase p;

    if (is_odd(g)) {
        reference(&ref)->conv_data(j, weights, din, fresh);
        return;
    }
    if (QD_VEC(qd_grad_halves)(g)) {
        QD_VEC(qd_grad_halves_data)(j, weights, din, fresh);
        return;
    }
    for (int i = 0; phase_of(g, i, &p); i++) {
        struct qd_tensor out = *din;
        out.data = qd_at(din, 0, p.y.phase, p.x.phase);
        out.h = p.y.pixels;
        out.w = p.x.pixels;
        out.border = 0;
        out.ps *= g->sx;
        out.rs *= (size_t)g->sy;
        if (p.kernel) {
            run_phase(j, &p, weights, &out, fresh);
            weights += qd_round_up(p.kernel->packed(&p.g), 16);
        } else if (fresh) {
            clear(&out);
        }
    }
}

/* ---- gradient of the weights ----------------------------------------------------------------- */

enum { MANY = 16 * 1024 }; /* weights from which on copies pay */

static bool is_depthwise(const struct qd_conv_geom *g)
{
    return g->groups == g->c && g->k == g->c && g->c > 1;
}

static bool has_many(const struct qd_conv_geom *g)
{
    return (size_t)g->k * (size_t)(g->c / g->groups) * (size_t)(g->rh * g->rw) >= MANY;
}

static void conv_weights(const struct qd_conv_grad *j, float *dweight)
{
    if (is_depthwise(j->g))
        QD_VEC(qd_wgrad_depthwise)(j, dweight);
    else if (QD_VEC(qd_wgrad_winograd_fits)(j->g))
        QD_VEC(qd_wgrad_winograd)(j, dweight);
    else if (has_many(j->g))
        QD_VEC(qd_wgrad_packed)(j, dweight);
    else
        QD_VEC(qd_wgrad_direct)(j, dweight);
}

static size_t weights_work(const struct qd_conv_geom *g, int threads)
{
    if (is_depthwise(g))
        return QD_VEC(qd_wgrad_depthwise_work)(g);
    if (QD_VEC(qd_wgrad_winograd_fits)(g))
        return QD_VEC(qd_wgrad_winograd_work)(g, threads);
    return has_many(g) ? QD_VEC(qd_wgrad_packed_work)(g) : QD_VEC(qd_wgrad_direct_work)(g);
}

static size_t work(const struct qd_conv_geom *g, int threads)
{
    size_t n = weights_work(g, threads);
    struct phase p;

    for (int i = 0; !is_odd(g) && phase_of(g, i, &p); i++)
        if (p.kernel && p.kernel->work)
            n = QD_MAX(n, p.kernel->work(&p.g, threads));
    return n;
}

/* ---- in parts -------------------------------------------------------------------------------- */

/* Whether a kernel reads what its outputs need and nothing else, and does not mind rows of other
 * outputs around its input. */
static bool is_local(const struct qd_conv_kernel *k)
{
#if VW == 16
    if (k == &qd_conv_narrow__avx2)
        return true;
#endif
    return k == &QD_VEC(qd_conv_depthwise) || k == &QD_VEC(qd_conv_blocked);
}

static bool blocks(const struct qd_conv_geom *g, const struct qd_conv_kernel *kernel, bool data)
{
    struct phase p;

    if (!is_local(kernel) || g->c > LANES_STRIP || g->k > LANES_STRIP || g->h > g->oh * g->sy ||
        g->h <= (g->oh - 1) * g->sy)
        return false;
    if (!is_depthwise(g) && (has_many(g) || QD_VEC(qd_wgrad_winograd_fits)(g)))
        return false;
    if (!data || QD_VEC(qd_grad_halves)(g))
        return true;
    return g->sy == 1 && g->sx == 1 && phase_of(g, 0, &p) && is_local(p.kernel);
}

static size_t weights_slot(const struct qd_conv_geom *g)
{
    return is_depthwise(g) ? QD_VEC(qd_wgrad_depthwise_slot)(g) : QD_VEC(qd_wgrad_direct_slot)(g);
}

static void weights_part(const struct qd_conv_grad *j, float *slot)
{
    if (is_depthwise(j->g))
        QD_VEC(qd_wgrad_depthwise_part)(j, slot);
    else
        QD_VEC(qd_wgrad_direct_part)(j, slot);
}

static void weights_fold(const struct qd_conv_grad *j, float *slots, int n, float *dweight)
{
    if (is_depthwise(j->g))
        QD_VEC(qd_wgrad_depthwise_fold)(j, slots, n, dweight);
    else
        QD_VEC(qd_wgrad_direct_fold)(j, slots, n, dweight);
}

void QD_VEC(qd_grad_conv)(struct qd_grad_ops *g)
{
    g->conv_work = work;
    g->conv_packed = packed;
    g->conv_pack = pack;
    g->conv_data = conv_data;
    g->conv_weights = conv_weights;
    g->blocks = blocks;
    g->weights_slot = weights_slot;
    g->weights_part = weights_part;
    g->weights_fold = weights_fold;
}
