/* SPDX-License-Identifier: MIT */
/*
 * Convolutions: 'ref' against the definition on planar pictures, and every kernel of every level
 * against 'ref', on odd geometries.  Inputs and outputs are slices of wider tensors whose other
 * channels, and whose slack, are not numbers: a kernel that uses or overwrites them is found out.
 * Every kernel must give the same bytes with one, two and three threads.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "ops/kernels.h"

/* Of the largest output: float sums of up to some thousand products stay well below; Winograd's
 * F(4x4) comes to 1e-5 with 128 channels. */
static const double TOLERANCE = 2e-5;
static const uint32_t CANARY = 0x7fc0dead; /* not a number */

struct test {
    const char *name;
    struct qd_conv_geom g;
    int in_extra, out_extra, add_extra; /* channels of the wider tensor beyond the slice */
    int border_extra, out_border;
    bool bias, scale, add, pool;
    enum qd_act act, add_act;
};

static void fill(float *p, size_t n, float range)
{
    for (size_t i = 0; i < n; i++)
        p[i] = tap_randf(-range, range);
}

static void canaries(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy(p + i, &CANARY, sizeof(*p));
}

/* A slice of c channels of a tensor with 'extra' more; *mem (n floats) must be freed.  Canaries
 * everywhere but in the slice, whose interior is random and whose border is zero. */
static struct qd_tensor make(const int nhwc[4], int extra, int border, float **mem, size_t *n)
{
    struct qd_tensor wide, t;
    int shape[4] = {nhwc[0], nhwc[1], nhwc[2], nhwc[3] + extra};

    if (!qd_tensor_shape(&wide, shape, border, n))
        return (struct qd_tensor){0};
    *mem = qd_alloc(*n, sizeof(float), NULL);
    canaries(*mem, *n);
    qd_tensor_place(&wide, *mem);
    t = qd_tensor_slice(&wide, extra / 2, nhwc[3]);
    for (int i = 0; i < t.n; i++)
        for (int y = -border; y < t.h + border; y++)
            for (int x = -border; x < t.w + border; x++)
                memset(qd_at(&t, i, y, x), 0, (size_t)t.c * sizeof(float));
    for (int i = 0; i < t.n; i++)
        for (int y = 0; y < t.h; y++)
            for (int x = 0; x < t.w; x++)
                fill(qd_at(&t, i, y, x), (size_t)t.c, 1);
    return t;
}

/* Whether everything outside the interior of t still is a canary; makes the interior canaries. */
static bool untouched(const struct qd_tensor *t, float *mem, size_t n)
{
    for (int i = 0; i < t->n; i++)
        for (int y = 0; y < t->h; y++)
            for (int x = 0; x < t->w; x++)
                canaries(qd_at(t, i, y, x), (size_t)t->c);
    for (size_t i = 0; i < n; i++)
        if (memcmp(mem + i, &CANARY, sizeof(*mem)) != 0)
            return false;
    return true;
}

/* The interior of t, in order. */
static void gather(const struct qd_tensor *t, float *to)
{
    for (int i = 0; i < t->n; i++)
        for (int y = 0; y < t->h; y++)
            for (int x = 0; x < t->w; x++, to += t->c)
                memcpy(to, qd_at(t, i, y, x), (size_t)t->c * sizeof(float));
}

/* Run kernel k; the outputs go to 'got'. False when it wrote elsewhere. */
static bool run(const struct test *s, const struct qd_conv_kernel *k, struct qd_conv_job *job,
    const float *weight, const float *scale, float *got)
{
    const struct qd_conv_geom *g = &s->g;
    int shape[4] = {g->n, s->pool ? g->oh / 2 : g->oh, s->pool ? g->ow / 2 : g->ow, g->k};
    size_t n, floats = k->packed(g), work = k->work ? k->work(g, qd_threads()) : 0;
    float *mem, *packed = qd_alloc(floats + 64, sizeof(float), NULL);
    struct qd_tensor out = make(shape, s->out_extra, s->out_border, &mem, &n);
    bool ok;

    canaries(mem, n);
    canaries(packed + floats, 64);
    k->pack(g, weight, scale, packed);
    ok = memcmp(packed + floats, &CANARY, sizeof(CANARY)) == 0;
    job->packed = packed;
    job->out = &out;
    job->work = qd_alloc(work, sizeof(float), NULL);
    canaries(job->work, work);
    k->run(job);
    gather(&out, got);
    ok = untouched(&out, mem, n) && ok;
    qd_free(job->work);
    qd_free(packed);
    qd_free(mem);
    return ok;
}

/* Compare one kernel with the reference's outputs. */
static bool compare(const struct test *s, const struct qd_conv_kernel *k, struct qd_conv_job *job,
    const float *const weight_scale[2], const float *want, size_t n)
{
    float *got = qd_alloc(n, sizeof(float), NULL), *again = qd_alloc(n, sizeof(float), NULL);
    double most = 0, worst = 0;
    bool ok = true;

    for (int threads = 1; threads <= 3; threads++) {
        if (qd_threads_set(threads, NULL) < 0 ||
            !run(s, k, job, weight_scale[0], weight_scale[1], threads == 1 ? got : again))
            ok = OK(false, "%s %s: wrote outside of its output", s->name, k->name);
        if (threads > 1 && memcmp(got, again, n * sizeof(float)) != 0)
            ok = OK(false, "%s %s: other bytes with %d threads", s->name, k->name, threads);
    }
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        worst = d <= worst ? worst : d; /* not a number stays */
    }
    if (!(worst <= TOLERANCE * fmax(most, 1e-3)))
        ok = OK(false, "%s %s: off by %g of %g", s->name, k->name, worst, most);
    qd_free(got);
    qd_free(again);
    return ok;
}

static void print_test(const struct test *s)
{
    const struct qd_conv_geom *g = &s->g;

    printf("# %s: %dx%dx%dx%d -> %dx%dx%d, kernel %dx%d, stride %d %d, pad %d, dil %d, groups %d, "
           "extra %d %d %d, border %d %d, bias %d scale %d add %d pool %d, act %s %s\n",
        s->name, g->n, g->h, g->w, g->c, g->oh, g->ow, g->k, g->rh, g->rw, g->sy, g->sx, g->pad,
        g->dil, g->groups, s->in_extra, s->out_extra, s->add_extra, s->border_extra, s->out_border,
        s->bias, s->scale, s->add, s->pool, qd_act_name(s->act), qd_act_name(s->add_act));
}

/* Every kernel of every level that supports the geometry; one result. */
static void check(const struct test *s)
{
    const struct qd_conv_geom *g = &s->g;
    size_t nw = (size_t)(g->k * (g->c / g->groups) * g->rh * g->rw), nin, nadd = 0;
    size_t n = (size_t)(g->n * g->oh * g->ow * g->k) / (s->pool ? 4 : 1);
    float *weight = qd_alloc(nw, sizeof(float), NULL), *want = qd_alloc(n, sizeof(float), NULL);
    float *bias = qd_alloc((size_t)g->k, 3 * sizeof(float), NULL), *slope = bias + g->k;
    float *scale = slope + g->k, *min, *madd = NULL;
    struct qd_tensor in = make((int[4]){g->n, g->h, g->w, g->c}, s->in_extra,
        qd_conv_border(g) + s->border_extra, &min, &nin);
    struct qd_tensor add = {0};
    struct qd_epilogue ep = {.bias = s->bias ? bias : NULL,
        .act = s->act,
        .slope = slope,
        .add_act = s->add_act,
        .pool = s->pool};
    struct qd_conv_job job = {.g = g, .in = &in, .ep = &ep};
    const float *ws[2] = {weight, s->scale ? scale : NULL};
    bool ok = true;

    if (s->add) {
        add = make((int[4]){g->n, g->oh, g->ow, g->k}, s->add_extra, 1, &madd, &nadd);
        ep.add = &add;
    }
    fill(weight, nw, 1);
    fill(bias, 3 * (size_t)g->k, 1);
    if (!run(s, &qd_conv_ref, &job, ws[0], ws[1], want))
        ok = OK(false, "%s ref: wrote outside of its output", s->name);
    for (const char *const *level = qd_ops_levels(); *level; level++) {
        const struct qd_ops *ops = qd_ops_level(*level);
        for (const struct qd_conv_kernel *const *k = ops ? ops->conv : NULL; k && *k; k++)
            if ((*k)->supports(g) && (!s->pool || ((*k)->can_pool && (*k)->can_pool(g))))
                ok = compare(s, *k, &job, ws, want, n) && (ok || !printf("# level %s\n", *level));
    }
    if (!ok)
        print_test(s);
    else
        OK(true, "%s", s->name);
    qd_free(weight);
    qd_free(want);
    qd_free(bias);
    qd_free(min);
    qd_free(madd);
}

/* Set oh and ow as darknet does; false when nothing is left. */
static bool outputs(struct qd_conv_geom *g)
{
    g->oh = (g->h + 2 * g->pad - g->rh) / g->sy + 1;
    g->ow = (g->w + 2 * g->pad - g->rw) / g->sx + 1;
    return g->h + 2 * g->pad >= g->rh && g->w + 2 * g->pad >= g->rw;
}

/* ---- ref against the definition -------------------------------------------------------------- */

/* Output (y, x, f) from planar pictures, with every coordinate checked instead of a border. */
static double defined(
    const struct qd_conv_geom *g, const float *planar, const float *weight, const int yxf[3])
{
    int cg = g->c / g->groups, group = yxf[2] / (g->k / g->groups);
    double sum = 0;

    for (int ch = 0; ch < cg; ch++)
        for (int i = 0; i < g->rh * g->rw; i++) {
            int y = yxf[0] * g->sy + (i / g->rw - g->pad) * g->dil;
            int x = yxf[1] * g->sx + (i % g->rw - g->pad) * g->dil;
            if (y >= 0 && y < g->h && x >= 0 && x < g->w)
                sum += (double)planar[((group * cg + ch) * g->h + y) * g->w + x] *
                       (double)weight[(yxf[2] * cg + ch) * g->rh * g->rw + i];
        }
    return sum;
}

static void definition(const struct qd_conv_geom *g, const char *name)
{
    size_t nw = (size_t)(g->k * (g->c / g->groups) * g->rh * g->rw), n;
    size_t nout = (size_t)(g->oh * g->ow * g->k);
    float *mem, *weight = qd_alloc(nw, sizeof(float), NULL);
    float *planar = qd_alloc((size_t)(g->h * g->w * g->c), sizeof(float), NULL);
    float *got = qd_alloc(nout, sizeof(float), NULL);
    struct qd_tensor in = make((int[4]){1, g->h, g->w, g->c}, 3, qd_conv_border(g), &mem, &n);
    struct qd_epilogue ep = {0};
    struct qd_conv_job job = {.g = g, .in = &in, .ep = &ep};
    struct test s = {.name = name, .g = *g};
    double worst = 0;

    fill(weight, nw, 1);
    qd_tensor_to_planar(&in, 0, planar);
    run(&s, &qd_conv_ref, &job, weight, NULL, got);
    for (int i = 0; i < (int)nout; i++) {
        int yxf[3] = {i / g->k / g->ow, i / g->k % g->ow, i % g->k};
        worst = fmax(worst, fabs(defined(g, planar, weight, yxf) - (double)got[i]));
    }
    OK(worst < 1e-5, "ref %s agrees with the definition (%g)", name, worst);
    qd_free(mem);
    qd_free(weight);
    qd_free(planar);
    qd_free(got);
}

static void definitions(void)
{
    struct qd_conv_geom list[] = {
        {1, 7, 9, 5, 0, 0, 6, 3, 3, 1, 1, 1, 1, 1},
        {1, 7, 9, 6, 0, 0, 4, 3, 3, 2, 1, 1, 2, 2},
        {1, 8, 5, 6, 0, 0, 6, 5, 2, 1, 3, 2, 1, 6},
        {1, 6, 6, 3, 0, 0, 2, 1, 1, 1, 1, 2, 1, 1},
        {1, 4, 6, 3, 0, 0, 9, 4, 6, 1, 1, 0, 1, 3},
    };

    for (size_t i = 0; i < QD_LEN(list); i++) {
        char name[20];
        snprintf(name, sizeof(name), "case %zu", i);
        if (outputs(&list[i]))
            definition(&list[i], name);
    }
}

/* ---- geometries ------------------------------------------------------------------------------ */

static void edges(void)
{
    static const int filters[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 23, 24, 25, 31, 32,
        33, 40, 47, 48, 49, 63, 64, 65, 136, 255};
    static const int channels[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 32, 33, 48, 136};
    char name[60];

    for (size_t i = 0; i < QD_LEN(filters); i++) {
        struct test s = {.name = name,
            .g = {1, 6, 7, 9, 6, 7, filters[i], 3, 3, 1, 1, 1, 1, 1},
            .bias = true,
            .act = QD_LEAKY,
            .out_extra = (int)(i % 3)};
        snprintf(name, sizeof(name), "%d filters", filters[i]);
        check(&s);
        s.g.rh = s.g.rw = 1;
        s.g.pad = 0;
        s.add = true;
        s.act = QD_LINEAR;
        snprintf(name, sizeof(name), "%d filters 1x1", filters[i]);
        check(&s);
    }
    for (size_t i = 0; i < QD_LEN(channels); i++)
        for (int stride = 1; stride <= 2; stride++)
            for (int r = 3; r <= 5; r += 2) {
                int c = channels[i];
                struct test s = {.name = name,
                    .g = {2, 9, 11, c, 0, 0, c, r, r, stride, stride, r / 2, 1, c},
                    .bias = true,
                    .act = QD_RELU,
                    .in_extra = i % 4 == 3,
                    .out_extra = i % 5 == 4,
                    .out_border = 1};
                if (!outputs(&s.g))
                    continue;
                snprintf(name, sizeof(name), "depthwise %d, %dx%d/%d", c, r, r, stride);
                check(&s);
                s.add = true;
                s.out_extra = s.in_extra = 0;
                s.act = QD_LINEAR;
                s.add_act = QD_LEAKY;
                check(&s);
            }
    for (int w = 1; w <= 30; w++) {
        struct test s = {.name = name, .g = {2, 4, w, 5, 4, w, 37, 3, 3, 1, 1, 1, 1, 1}};
        snprintf(name, sizeof(name), "%d pixels a row", w);
        check(&s);
        s.g.c = 3;
        s.g.k = w % 3 * 12 + 8;
        s.pool = w % 2 == 0;
        check(&s);
        s.g.c = 6;
        check(&s);
    }
}

static void shapes(void)
{
    struct test list[] = {
        {"connected", {3, 5, 4, 7, 1, 1, 70, 5, 4, 1, 1, 0, 1, 1}, .bias = true},
        {"connected, one image", {1, 7, 7, 40, 1, 1, 100, 7, 7, 1, 1, 0, 1, 1}, .bias = true},
        {"1x1 map", {5, 1, 1, 300, 1, 1, 41, 1, 1, 1, 1, 0, 1, 1}, .act = QD_RELU},
        {"1x1 map, add", {5, 1, 1, 30, 1, 1, 41, 1, 1, 1, 1, 0, 1, 1}, .add = true},
        {"large weights", {1, 5, 5, 300, 5, 5, 70, 3, 3, 1, 1, 1, 1, 1}, .bias = true},
        {"large weights, pool", {2, 4, 6, 200, 4, 6, 130, 3, 3, 1, 1, 1, 1, 1}, .pool = true},
        {"large map", {1, 27, 25, 33, 27, 25, 70, 3, 3, 1, 1, 1, 1, 1}, .bias = true,
            .act = QD_MISH, .out_extra = 3},
        {"large map, pool", {2, 26, 24, 20, 26, 24, 40, 3, 3, 1, 1, 1, 1, 1}, .pool = true,
            .scale = true, .act = QD_LEAKY},
        {"large map, add", {1, 24, 30, 48, 24, 30, 33, 3, 3, 1, 1, 1, 1, 1}, .add = true,
            .in_extra = 5, .add_act = QD_RELU},
        {"large map, split filters", {1, 25, 26, 140, 25, 26, 130, 3, 3, 1, 1, 1, 1, 1},
            .bias = true},
        {"pixels one page apart", {1, 2, 13, 1024, 2, 13, 33, 1, 1, 1, 1, 0, 1, 1}, .bias = true},
        {"no border at all", {2, 6, 5, 20, 6, 5, 24, 1, 1, 1, 1, 0, 1, 1}, .bias = true},
        {"no border, add", {2, 6, 5, 20, 6, 5, 24, 1, 1, 1, 1, 0, 1, 1}, .add = true},
        {"wide border", {1, 6, 5, 4, 6, 5, 24, 3, 3, 1, 1, 1, 1, 1}, .border_extra = 3},
        {"border 1, 1x1", {2, 6, 5, 4, 6, 5, 24, 1, 1, 1, 1, 0, 1, 1}, .border_extra = 1,
            .out_border = 1},
        {"padding beyond the kernel", {1, 4, 4, 3, 0, 0, 5, 3, 3, 1, 1, 4, 1, 1}, .bias = true},
        {"7x7/2", {1, 30, 30, 3, 0, 0, 64, 7, 7, 2, 2, 3, 1, 1}, .bias = true, .act = QD_RELU},
        {"first layer /2", {2, 32, 34, 3, 0, 0, 8, 3, 3, 2, 2, 1, 1, 1}, .act = QD_LEAKY},
        {"first layer", {1, 16, 54, 3, 0, 0, 16, 3, 3, 1, 1, 1, 1, 1}, .act = QD_LEAKY,
            .pool = true},
        {"first layer, mish", {1, 8, 52, 3, 0, 0, 32, 3, 3, 1, 1, 1, 1, 1}, .act = QD_MISH},
        {"first layer of a slice", {1, 8, 14, 3, 0, 0, 16, 3, 3, 1, 1, 1, 1, 1}, .in_extra = 2},
        {"groups", {2, 6, 6, 32, 0, 0, 64, 3, 3, 1, 1, 1, 1, 8}, .act = QD_MISH, .bias = true},
        {"depthwise with multiplier", {1, 6, 6, 12, 0, 0, 24, 3, 3, 1, 1, 1, 1, 12}, .scale = true},
        {"depthwise, dilation", {1, 12, 11, 20, 0, 0, 20, 3, 3, 1, 1, 2, 2, 20}, .bias = true},
        {"depthwise 3x2", {1, 6, 6, 20, 0, 0, 20, 3, 2, 1, 2, 1, 1, 20}, .bias = true},
        {"depthwise 1x1", {1, 6, 6, 20, 0, 0, 20, 1, 1, 1, 1, 0, 1, 20}, .bias = true},
        {"depthwise 9x9", {1, 12, 6, 20, 0, 0, 20, 9, 9, 1, 1, 4, 1, 20}, .bias = true},
        {"depthwise, whole map", {2, 7, 7, 33, 0, 0, 33, 7, 7, 1, 1, 0, 1, 33}, .bias = true},
    };

    for (size_t i = 0; i < QD_LEN(list); i++)
        if (outputs(&list[i].g))
            check(&list[i]);
}

static void activations(void)
{
    char name[60];

    for (int a = 0; a < QD_ACT_COUNT; a++) {
        struct test s = {.name = name,
            .g = {1, 6, 8, 4, 6, 8, 21, 3, 3, 1, 1, 1, 1, 1},
            .bias = true,
            .act = (enum qd_act)a};
        if (!qd_act_elementwise((enum qd_act)a))
            continue;
        snprintf(name, sizeof(name), "activation %s", qd_act_name((enum qd_act)a));
        check(&s);
        s.pool = true;
        check(&s);
        s.pool = false;
        s.add = true;
        s.add_act = a == QD_PRELU ? QD_LEAKY : (enum qd_act)a;
        check(&s);
        s.g.k = s.g.groups = s.g.c;
        check(&s);
        s.g.k = s.g.groups = s.g.c = 18;
        s.add = false;
        check(&s);
    }
}

/* ---- at random ------------------------------------------------------------------------------- */

static int between(int lo, int hi)
{
    return lo + (int)(tap_rand() % (uint32_t)(hi - lo + 1));
}

static int pick(const int *list, int n)
{
    return list[between(0, n - 1)];
}

static bool draw(struct test *s)
{
    static const int sizes[] = {1, 1, 1, 2, 3, 3, 3, 3, 4, 5, 7};
    static const int groups[] = {1, 1, 1, 1, 2, 3, 4, 8};
    struct qd_conv_geom *g = &s->g;

    *g = (struct qd_conv_geom){.n = between(1, 3), .h = between(1, 20), .w = between(1, 33)};
    g->groups = pick(groups, QD_LEN(groups));
    g->c = g->groups * between(1, g->groups > 1 ? 12 : 70);
    g->k = g->groups * between(1, g->groups > 1 ? 40 : 100);
    if (between(0, 3) == 0)
        g->groups = g->k = g->c = between(1, 150);
    g->rh = g->rw = pick(sizes, QD_LEN(sizes));
    if (between(0, 5) == 0)
        g->rw = pick(sizes, QD_LEN(sizes));
    g->sy = g->sx = between(0, 2) ? 1 : between(1, 3);
    if (between(0, 5) == 0)
        g->sx = between(1, 3);
    g->pad = between(0, 3) ? g->rh / 2 : between(0, 3);
    g->dil = between(0, 4) ? 1 : between(1, 3);
    if (!outputs(g))
        return false;
    s->in_extra = between(0, 2) ? 0 : between(1, 20);
    s->out_extra = between(0, 2) ? 0 : between(1, 20);
    s->add_extra = between(0, 2) ? 0 : between(1, 20);
    s->border_extra = between(0, 2) ? 0 : between(1, 2);
    s->out_border = between(0, 2);
    s->bias = between(0, 1);
    s->scale = between(0, 1);
    s->act = between(0, 2) ? (enum qd_act)between(0, 2) : (enum qd_act)between(0, QD_HSIGMOID);
    s->pool = between(0, 1) && g->oh % 2 == 0 && g->ow % 2 == 0;
    s->add = !s->pool && between(0, 2) == 0;
    s->add_act = s->add ? (enum qd_act)between(0, 5) : QD_LINEAR;
    return (double)g->n * g->oh * g->ow * g->k * (g->c / g->groups) * g->rh * g->rw < 1e6;
}

int main(void)
{
    int n = 0;

    definitions();
    edges();
    shapes();
    activations();
    while (n < 300) {
        char name[40];
        struct test s = {.name = name};
        if (!draw(&s))
            continue;
        snprintf(name, sizeof(name), "random %d", n++);
        check(&s);
    }
    return tap_done();
}
