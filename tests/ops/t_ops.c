/* SPDX-License-Identifier: MIT */
/*
 * Every operation but convolution at every level against the reference: odd sizes, slices of wider
 * tensors, borders, in place, denormals; nothing but the interior of the output may change, inputs
 * may not, and 1, 2 and 3 threads must give the same bytes.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "box.h"
#include "ops/ops.h"

enum { MAX_IN = 4 };

/* ---- the operations -------------------------------------------------------------------------- */

struct test {
    int variant;
    int nin, in[MAX_IN][4], out[4]; /* shapes */
    float *data[MAX_IN];            /* dense inputs */
    struct box src[MAX_IN], dst;
    const float *numbers; /* for whoever needs weights, 5000 of them, .5 to 1.5 */
};

struct op {
    const char *name;
    int variants;
    bool in_place;
    double tol; /* absolute and relative; 0: the same values */
    /* Shapes from a base shape; false when the variant does not fit it. */
    bool (*shape)(struct test *t, const int base[4]);
    void (*call)(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
        const struct qd_tensor *out);
};

static void set(int shape[4], const int base[4], int h, int w, int c)
{
    shape[0] = base[0];
    shape[1] = h;
    shape[2] = w;
    shape[3] = c;
}

static bool same_shape(struct test *t, const int base[4])
{
    t->nin = 1;
    memcpy(t->in[0], base, sizeof(t->in[0]));
    memcpy(t->out, base, sizeof(t->out));
    return true;
}

static void call_copy(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    (void)t;
    o->copy(in, out);
}

static void call_act(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    enum qd_act a = (enum qd_act)t->variant;

    o->act(in, out, a, a == QD_PRELU ? t->numbers : NULL);
}

static void call_norm(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    static const enum qd_act acts[] = {QD_LINEAR, QD_LEAKY, QD_MISH, QD_NORM_CHAN};

    o->norm(in, out, t->numbers, t->numbers + 1000, acts[t->variant]);
}

static void call_softmax(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    o->softmax(in, out, t->variant && in->c % 3 == 0 ? 3 : 1, t->variant ? .5f : 1);
}

/* Variants: 0 none, 1 a weight each, 2 a weight for each channel; + 3: sources with fewer and with
 * more channels; + 6: one source alone. */
static bool sum_shape(struct test *t, const int base[4])
{
    t->nin = t->variant >= 6 ? 1 : t->variant % 2 ? 4 : 2;
    for (int i = 0; i < t->nin; i++)
        set(t->in[i], base, base[1], base[2], base[3]);
    if (t->variant >= 3 && t->variant < 6) {
        t->in[t->nin - 1][3] = QD_MAX(1, base[3] / 2);
        t->in[1][3] += t->nin > 2 ? 3 : 0;
    }
    memcpy(t->out, base, sizeof(t->out));
    return true;
}

static void call_sum(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    static const enum qd_act acts[] = {QD_LINEAR, QD_LEAKY, QD_SWISH, QD_RELU, QD_MISH};
    const struct qd_tensor *list[MAX_IN] = {in, &t->src[1].t, &t->src[2].t, &t->src[3].t};
    struct qd_sum s = {.in = list,
        .nin = t->nin,
        .act = acts[t->variant % 5],
        .weight = t->variant % 3 ? t->numbers : NULL,
        .per_channel = t->variant % 3 == 2};

    o->sum(&s, out);
}

static bool gate_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    t->nin = 2;
    if (t->variant % 3 == QD_GATE_CHANNEL)
        set(t->in[1], base, 1, 1, base[3]);
    else
        set(t->in[1], base, base[1], base[2], t->variant % 3 == QD_GATE_PIXEL ? 1 : base[3]);
    return true;
}

static void call_gate(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    o->gate(in, &t->src[1].t, out, (enum qd_gate)(t->variant % 3),
        t->variant < 3   ? QD_LINEAR
        : t->variant < 6 ? QD_RELU
                         : QD_LOGISTIC);
}

/* Windows that darknet's defaults, and odd paddings, give. */
static const struct window {
    struct qd_pool_geom g;
    int total; /* padding */
} windows[] = {{{2, 2, 2, 0}, 1}, {{2, 1, 1, 0}, 1}, {{3, 2, 2, -1}, 2}, {{3, 1, 1, -1}, 2},
    {{5, 1, 1, -2}, 4}, {{9, 1, 1, -4}, 8}, {{13, 1, 1, -6}, 12}, {{4, 1, 1, -1}, 3},
    {{2, 3, 2, -2}, 5}, {{1, 2, 2, 0}, 0}, {{6, 1, 1, -5}, 5}, {{32, 1, 1, -15}, 31},
    {{40, 1, 1, -19}, 39}};

static bool pool_shape(struct test *t, const int base[4])
{
    const struct window *w = &windows[t->variant];

    same_shape(t, base);
    t->out[1] = (base[1] + w->total - w->g.size) / w->g.sy + 1;
    t->out[2] = (base[2] + w->total - w->g.size) / w->g.sx + 1;
    if (w->g.size > 20 && base[1] * base[2] * base[3] > 10000)
        return false; /* the reference would take too long */
    return base[1] + w->total >= w->g.size && base[2] + w->total >= w->g.size;
}

static void call_maxpool(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    o->maxpool(in, out, &windows[t->variant].g);
}

static void call_avgpool_local(const struct qd_ops *o, const struct test *t,
    const struct qd_tensor *in, const struct qd_tensor *out)
{
    o->avgpool_local(in, out, &windows[t->variant].g);
}

static bool depth_shape(struct test *t, const int base[4])
{
    static const int div[] = {1, 2, 3, 100};

    same_shape(t, base);
    t->out[3] = QD_MAX(1, base[3] / div[t->variant]);
    return true;
}

static void call_maxpool_depth(const struct qd_ops *o, const struct test *t,
    const struct qd_tensor *in, const struct qd_tensor *out)
{
    (void)t;
    o->maxpool_depth(in, out);
}

static bool avgpool_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    t->out[1] = t->out[2] = 1;
    return true;
}

static void call_avgpool(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    (void)t;
    o->avgpool(in, out);
}

static bool up_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    t->out[1] *= t->variant + 1;
    t->out[2] *= t->variant + 1;
    return true;
}

static void call_upsample(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    o->upsample(in, out, t->variant + 1, t->variant == 2 ? .5f : 1);
}

/* The base is the output. */
static bool down_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    t->in[0][1] *= t->variant + 1;
    t->in[0][2] *= t->variant + 1;
    return true;
}

static void call_downsample(const struct qd_ops *o, const struct test *t,
    const struct qd_tensor *in, const struct qd_tensor *out)
{
    o->downsample(in, out, t->variant + 1, .25f);
}

/* Variants: stride 1, 2, 3, and the same back. */
static bool reorg3d_shape(struct test *t, const int base[4])
{
    int s = t->variant % 3 + 1;
    int *wide = t->variant < 3 ? t->in[0] : t->out, *deep = t->variant < 3 ? t->out : t->in[0];

    t->nin = 1;
    set(wide, base, base[1] * s, base[2] * s, base[3]);
    set(deep, base, base[1], base[2], base[3] * s * s);
    return true;
}

static void call_reorg3d(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    o->reorg3d(in, out, t->variant % 3 + 1, t->variant >= 3);
}

static bool reorg_shape(struct test *t, const int base[4])
{
    int s = t->variant % 3 + 1;
    int *wide = t->variant < 3 ? t->in[0] : t->out, *deep = t->variant < 3 ? t->out : t->in[0];

    t->nin = 1;
    set(wide, base, base[1] * s, base[2] * s, base[3] * s * s);
    set(deep, base, base[1], base[2], base[3] * s * s * s * s);
    return base[3] < 30;
}

static void call_reorg(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    o->reorg(in, out, t->variant % 3 + 1, t->variant >= 3);
}

/* The border that the blur needs is the layout's: pad 1 where there is one. */
static bool blur_shape(struct test *t, const int base[4])
{
    same_shape(t, base);
    t->out[1] = (base[1] - 2) / (t->variant + 1) + 1;
    t->out[2] = (base[2] - 2) / (t->variant + 1) + 1;
    return base[1] > 1 && base[2] > 1;
}

static void call_blur(const struct qd_ops *o, const struct test *t, const struct qd_tensor *in,
    const struct qd_tensor *out)
{
    o->blur(in, out, t->numbers, (const int[]){2, t->variant + 1, 0});
}

static const struct op ops[] = {
    {"copy", 1, true, 0, same_shape, call_copy},
    {"act", QD_ACT_COUNT, true, 1e-6, same_shape, call_act},
    {"norm", 4, true, 2e-6, same_shape, call_norm},
    {"softmax", 2, true, 2e-6, same_shape, call_softmax},
    {"sum", 9, true, 3e-6, sum_shape, call_sum},
    {"gate", 9, true, 1e-6, gate_shape, call_gate},
    {"maxpool", QD_LEN(windows), false, 0, pool_shape, call_maxpool},
    {"avgpool_local", QD_LEN(windows), false, 2e-6, pool_shape, call_avgpool_local},
    {"maxpool_depth", 4, false, 0, depth_shape, call_maxpool_depth},
    {"avgpool", 1, false, 2e-6, avgpool_shape, call_avgpool},
    {"upsample", 4, false, 0, up_shape, call_upsample},
    {"downsample", 3, false, 1e-6, down_shape, call_downsample},
    {"reorg3d", 6, false, 0, reorg3d_shape, call_reorg3d},
    {"reorg", 6, false, 0, reorg_shape, call_reorg},
    {"blur", 3, false, 1e-6, blur_shape, call_blur},
};

/* ---- running them ---------------------------------------------------------------------------- */

static const int shapes[][4] = {{1, 1, 1, 1}, {2, 5, 7, 3}, {1, 13, 13, 19}, {3, 4, 6, 24},
    {1, 8, 9, 33}, {2, 9, 3, 16}, {1, 1, 1, 1000}, {1, 2, 100, 8}, {1, 30, 40, 48}};

/* What is wrong, "" if nothing. */
static char wrong[200];

static bool fails(const struct test *t, int threads, const char *what)
{
    if (!*wrong)
        snprintf(wrong, sizeof(wrong), "variant %d, %d x %d x %d x %d, %d threads: %s", t->variant,
            t->out[0], t->out[1], t->out[2], t->out[3], threads, what);
    return false;
}

static float *dense(size_t count)
{
    float *p = qd_alloc(count + 1, sizeof(float), NULL);

    if (!p)
        exit(1);
    return p;
}

static size_t count_of(const int s[4])
{
    return (size_t)s[0] * (size_t)s[1] * (size_t)s[2] * (size_t)s[3];
}

/* Run at one level with one layout; the result, densely, in 'result'. */
static bool run_once(const struct op *op, struct test *t, const struct qd_ops *level,
    const int how[3], float *result)
{
    int layout = how[0], threads = how[2];
    bool in_place = how[1], good = true;
    struct box *out = in_place ? &t->src[0] : &t->dst;

    for (int i = 0; i < t->nin; i++) {
        box_new(&t->src[i], t->in[i], &layouts[(layout + i) % (int)QD_LEN(layouts)]);
        box_interior(&t->src[i], t->data[i], true);
        box_remember(&t->src[i]);
    }
    if (!in_place) {
        box_new(&t->dst, t->out, &layouts[(layout + 2) % (int)QD_LEN(layouts)]);
        box_remember(&t->dst);
    }
    if (qd_threads_set(threads, NULL) < 0)
        exit(1);
    op->call(level, t, &t->src[0].t, &out->t);
    box_interior(out, result, false);
    for (int i = in_place; i < t->nin; i++)
        if (!box_unchanged(&t->src[i]))
            good = fails(t, threads, "an input changed");
    if (!box_outside_unchanged(out))
        good = fails(t, threads, in_place ? "in place: wrote outside" : "wrote outside");
    for (int i = 0; i < t->nin; i++)
        box_free(&t->src[i]);
    box_free(&t->dst);
    return good;
}

static bool close_enough(const float *got, const float *want, size_t n, double tol)
{
    for (size_t i = 0; i < n; i++) {
        double a = (double)got[i], b = (double)want[i];
        if (!(fabs(a - b) <= tol + tol * fabs(b)))
            return false;
    }
    return true;
}

/* All layouts and threads against what ref gave. */
static void check_level(
    const struct op *op, struct test *t, const struct qd_ops *level, const float *want)
{
    size_t n = count_of(t->out);
    float *one = dense(n), *more = dense(n);

    for (int how = 0; how < 2 * (int)QD_LEN(layouts); how++) {
        bool in_place = how % 2;
        if (in_place && !op->in_place)
            continue;
        run_once(op, t, level, (const int[]){how / 2, in_place, 1}, one);
        if (!close_enough(one, want, n, op->tol))
            fails(t, 1, in_place ? "in place: differs from ref" : "differs from ref");
        for (int threads = 2; threads <= 3; threads++) {
            run_once(op, t, level, (const int[]){how / 2, in_place, threads}, more);
            if (memcmp(one, more, n * sizeof(float)) != 0)
                fails(t, threads, "differs from one thread");
        }
    }
    qd_free(one);
    qd_free(more);
}

/* Ordinary numbers with ties, or denormals. */
static float number(bool tiny)
{
    return tiny ? 1e-40f * (float)(int)(tap_rand() % 2000) - 1e-37f
                : (float)(int)(tap_rand() % 4096) / 640 - 3.2f;
}

static void check_shape(const struct op *op, struct test *t, const struct qd_ops *level, bool tiny)
{
    for (int i = 0; i < t->nin; i++) {
        size_t n = count_of(t->in[i]);
        t->data[i] = dense(n);
        for (size_t k = 0; k < n; k++)
            t->data[i][k] = number(tiny);
    }
    float *want = dense(count_of(t->out));
    run_once(op, t, qd_ops_level("ref"), (const int[]){0, 0, 1}, want);
    check_level(op, t, level, want);
    for (int i = 0; i < t->nin; i++)
        qd_free(t->data[i]);
    qd_free(want);
}

static void check_op(const struct op *op, const struct qd_ops *level, const float *numbers)
{
    int n = 0;

    *wrong = 0;
    for (int v = 0; v < op->variants; v++)
        for (size_t i = 0; i < QD_LEN(shapes); i++) {
            struct test t = {.variant = v, .numbers = numbers};
            if (!op->shape(&t, shapes[i]))
                continue;
            check_shape(op, &t, level, n++ % 5 == 4);
        }
    OK(!*wrong && n > 5, "%s: %s, %d cases %s", level->level, op->name, n, wrong);
}

int main(void)
{
    static float numbers[5000];

    for (size_t i = 0; i < QD_LEN(numbers); i++)
        numbers[i] = tap_randf(.5f, 1.5f);
    for (const char *const *l = qd_ops_levels(); *l; l++) {
        const struct qd_ops *level = qd_ops_level(*l);
        if (!level)
            tap_skip("this machine has no level '%s'", *l);
        for (size_t i = 0; level && i < QD_LEN(ops); i++)
            check_op(&ops[i], level, numbers);
    }
    return tap_done();
}
