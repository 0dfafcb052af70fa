/* SPDX-License-Identifier: MIT */
/*
 * Gradients of convolutions: 'ref' against differences of the forward convolution, and every other
 * level against 'ref', on odd geometries.  Tensors are slices of wider ones whose other channels,
 * and whose slack, are not numbers: who uses or overwrites them is found out.  Every level must
 * give the same bytes with one, two and three threads.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "ops/kernels.h"

static const double TOLERANCE = 1e-4;      /* of the largest value */
static const uint32_t CANARY = 0x7fc0dead; /* not a number */

struct test {
    const char *name;
    struct qd_conv_geom g;
    int in_extra, dz_extra, din_extra; /* channels of the wider tensor beyond the slice */
    int border_extra, din_border;
};

static void canaries(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy(p + i, &CANARY, sizeof(*p));
}

static float *floats(size_t n)
{
    return qd_alloc(n, sizeof(float), NULL);
}

/* Small whole numbers: sums of their products are exact in float. */
static void whole(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (float)(int)(tap_rand() % 9) - 4;
}

/* A slice with memory of its own. */
struct box {
    struct qd_tensor t;
    float *mem;
    size_t n;
};

/* Canaries everywhere but in the slice, whose interior is random and whose border is zero. */
static struct box make(const int nhwc[4], int extra, int border)
{
    struct box b = {0};
    struct qd_tensor wide;
    int shape[4] = {nhwc[0], nhwc[1], nhwc[2], nhwc[3] + extra};

    if (!qd_tensor_shape(&wide, shape, border, &b.n))
        return b;
    b.mem = floats(b.n);
    canaries(b.mem, b.n);
    qd_tensor_place(&wide, b.mem);
    b.t = qd_tensor_slice(&wide, extra / 2, nhwc[3]);
    for (int i = 0; i < b.t.n; i++)
        for (int y = -border; y < b.t.h + border; y++)
            for (int x = -border; x < b.t.w + border; x++) {
                float *p = qd_at(&b.t, i, y, x);
                bool inside = y >= 0 && y < b.t.h && x >= 0 && x < b.t.w;
                for (int c = 0; c < b.t.c; c++)
                    p[c] = inside ? tap_randf(-1, 1) : 0;
            }
    return b;
}

static size_t interior(const struct qd_tensor *t)
{
    return (size_t)t->n * (size_t)t->h * (size_t)t->w * (size_t)t->c;
}

/* Copy the interior of t, in order, to or from 'p'. */
static void move(const struct qd_tensor *t, float *p, bool put)
{
    for (int i = 0; i < t->n; i++)
        for (int y = 0; y < t->h; y++)
            for (int x = 0; x < t->w; x++, p += t->c) {
                float *at = qd_at(t, i, y, x);
                memcpy(put ? at : p, put ? p : at, (size_t)t->c * sizeof(float));
            }
}

/* Whether everything outside the interior still is a canary; makes the interior canaries. */
static bool untouched(const struct box *b)
{
    for (int i = 0; i < b->t.n; i++)
        for (int y = 0; y < b->t.h; y++)
            for (int x = 0; x < b->t.w; x++)
                canaries(qd_at(&b->t, i, y, x), (size_t)b->t.c);
    for (size_t i = 0; i < b->n; i++)
        if (memcmp(b->mem + i, &CANARY, sizeof(CANARY)) != 0)
            return false;
    return true;
}

static size_t weights_of(const struct qd_conv_geom *g)
{
    return (size_t)g->k * (size_t)(g->c / g->groups) * (size_t)g->rh * (size_t)g->rw;
}

/* ---- one geometry at one level --------------------------------------------------------------- */

/* What a level is given, and what din and dweight hold before. */
struct given {
    struct box in, dz;
    float *weight, *before, *wbefore;
    size_t nin, nw;
};

static struct given give(const struct test *s)
{
    const struct qd_conv_geom *g = &s->g;
    struct given v = {.nw = weights_of(g)};

    v.in = make((int[]){g->n, g->h, g->w, g->c}, s->in_extra, qd_conv_border(g) + s->border_extra);
    v.dz = make(
        (int[]){g->n, g->oh, g->ow, g->k}, s->dz_extra, qd_conv_grad_border(g) + s->border_extra);
    v.nin = interior(&v.in.t);
    v.weight = floats(v.nw);
    v.wbefore = floats(v.nw);
    v.before = floats(v.nin);
    for (size_t i = 0; i < v.nw; i++)
        v.weight[i] = tap_randf(-1, 1);
    for (size_t i = 0; i < v.nw; i++)
        v.wbefore[i] = tap_randf(-1, 1);
    for (size_t i = 0; i < v.nin; i++)
        v.before[i] = tap_randf(-1, 1);
    return v;
}

static void take_back(struct given *v)
{
    qd_free(v->in.mem);
    qd_free(v->dz.mem);
    qd_free(v->weight);
    qd_free(v->wbefore);
    qd_free(v->before);
}

/* The gradients of input (fresh, then added to) and weights, one after the other in 'got'; false
 * when something else was written. */
static bool run(
    const struct test *s, const struct qd_grad_ops *ops, const struct given *v, float *got)
{
    const struct qd_conv_geom *g = &s->g;
    const size_t work = ops->conv_work(g, qd_threads()), packed = ops->conv_packed(g);
    float *weights = floats(packed + 16), *scratch = floats(work + 16);
    struct box din = make((int[]){g->n, g->h, g->w, g->c}, s->din_extra, s->din_border);
    const struct qd_conv_grad j = {g, &v->in.t, &v->dz.t, scratch};
    bool ok;

    canaries(weights, packed + 16);
    canaries(scratch, work + 16);
    canaries(din.mem, din.n);
    ops->conv_pack(g, v->weight, weights);
    ops->conv_data(&j, weights, &din.t, true);
    move(&din.t, got, false);
    ok = untouched(&din);
    move(&din.t, v->before, true);
    ops->conv_data(&j, weights, &din.t, false);
    move(&din.t, got + v->nin, false);
    ok = untouched(&din) && ok;
    memcpy(got + 2 * v->nin, v->wbefore, v->nw * sizeof(float));
    ops->conv_weights(&j, got + 2 * v->nin);
    for (size_t i = 0; i < 16; i++)
        ok = memcmp(weights + packed + i, &CANARY, sizeof(CANARY)) == 0 &&
             memcmp(scratch + work + i, &CANARY, sizeof(CANARY)) == 0 && ok;
    qd_free(weights);
    qd_free(scratch);
    qd_free(din.mem);
    return ok;
}

/* The largest difference, as a share of the largest wanted value. */
static double apart(const float *got, const float *want, size_t n)
{
    double most = 1e-3, worst = 0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        worst = d <= worst ? worst : d; /* not a number stays */
    }
    return worst / most;
}

static bool compare(
    const struct test *s, const struct qd_grad_ops *ops, const struct given *v, const float *want)
{
    size_t n = 2 * v->nin + v->nw;
    float *got = floats(n), *again = floats(n);
    bool ok = true;

    for (int threads = 1; threads <= 3; threads++) {
        if (qd_threads_set(threads, NULL) < 0 || !run(s, ops, v, threads == 1 ? got : again))
            ok = OK(false, "%s %s: wrote where it must not", s->name, ops->level);
        if (threads > 1 && memcmp(got, again, n * sizeof(float)) != 0)
            ok = OK(false, "%s %s: other bytes with %d threads", s->name, ops->level, threads);
    }
    const double d[3] = {apart(got, want, v->nin), apart(got + v->nin, want + v->nin, v->nin),
        apart(got + 2 * v->nin, want + 2 * v->nin, v->nw)};
    for (int i = 0; i < 3; i++)
        if (!(d[i] <= TOLERANCE))
            ok = OK(false, "%s %s: %s off by %g", s->name, ops->level,
                i == 0   ? "data"
                : i == 1 ? "added data"
                         : "weights",
                d[i]);
    qd_free(got);
    qd_free(again);
    return ok;
}

static void print_test(const struct test *s)
{
    const struct qd_conv_geom *g = &s->g;

    printf("# %s: %dx%dx%dx%d -> %dx%dx%d, kernel %dx%d, stride %d %d, pad %d, dil %d, groups %d, "
           "extra %d %d %d, border %d %d\n",
        s->name, g->n, g->h, g->w, g->c, g->oh, g->ow, g->k, g->rh, g->rw, g->sy, g->sx, g->pad,
        g->dil, g->groups, s->in_extra, s->dz_extra, s->din_extra, s->border_extra, s->din_border);
}

/* Every level against ref; one result. */
static void check(const struct test *s)
{
    struct given v = give(s);
    float *want = floats(2 * v.nin + v.nw);
    bool ok = qd_threads_set(1, NULL) == 0;

    if (!run(s, qd_grad_ops_of(qd_ops_level("ref")), &v, want))
        ok = OK(false, "%s ref: wrote where it must not", s->name);
    for (const char *const *l = qd_ops_levels(); *l; l++) {
        if (strcmp(*l, "ref") == 0 || strcmp(*l, "blas") == 0 || !qd_ops_level(*l))
            continue; /* blas has the operations of the best level */
        ok = compare(s, qd_grad_ops_of(qd_ops_level(*l)), &v, want) && ok;
    }
    if (!ok)
        print_test(s);
    else
        OK(true, "%s", s->name);
    qd_free(want);
    take_back(&v);
}

/* Set oh and ow as darknet does; false when nothing is left. */
static bool outputs(struct qd_conv_geom *g)
{
    g->oh = (g->h + 2 * g->pad - g->rh) / g->sy + 1;
    g->ow = (g->w + 2 * g->pad - g->rw) / g->sx + 1;
    return g->h + 2 * g->pad >= g->rh && g->w + 2 * g->pad >= g->rw;
}

/* ---- ref against differences ----------------------------------------------------------------- */

/* The loss: the sum of dz times the convolution of x. */
static double loss(const struct test *s, const struct given *v, const struct box *out)
{
    const struct qd_conv_geom *g = &s->g;
    const struct qd_epilogue ep = {0};
    float *packed = floats(qd_conv_ref.packed(g));
    struct qd_conv_job job = {.g = g, .packed = packed, .in = &v->in.t, .out = &out->t, .ep = &ep};
    double sum = 0;

    qd_conv_ref.pack(g, v->weight, NULL, packed);
    qd_conv_ref.run(&job);
    for (int n = 0; n < g->n; n++)
        for (int y = 0; y < g->oh; y++)
            for (int x = 0; x < g->ow; x++)
                for (int f = 0; f < g->k; f++)
                    sum += (double)qd_at(&out->t, n, y, x)[f] * (double)qd_at(&v->dz.t, n, y, x)[f];
    qd_free(packed);
    return sum;
}

/* The loss is linear in each value and everything is whole: differences are exact. */
static double slope(
    const struct test *s, const struct given *v, const struct box *out, float *value)
{
    const float kept = *value;

    *value = kept + 1;
    double up = loss(s, v, out);
    *value = kept - 1;
    double down = loss(s, v, out);
    *value = kept;
    return (up - down) / 2;
}

static void differences(struct qd_conv_geom g, const char *name)
{
    struct test s = {.name = name, .g = g, .in_extra = 3, .dz_extra = 2, .din_extra = 5};

    if (!outputs(&s.g))
        return;
    struct given v = give(&s);
    struct box out = make((int[]){g.n, s.g.oh, s.g.ow, g.k}, 0, 0);
    float *got = floats(2 * v.nin + v.nw), *p = got, *dense = floats(interior(&v.dz.t));
    bool ok = true;

    whole(v.before, v.nin);
    move(&v.in.t, v.before, true);
    whole(dense, interior(&v.dz.t));
    move(&v.dz.t, dense, true);
    whole(v.weight, v.nw);
    whole(v.wbefore, v.nw);
    ok = run(&s, qd_grad_ops_of(qd_ops_level("ref")), &v, got);
    for (size_t i = 0; i < v.nin; i++)
        ok = p[v.nin + i] == p[i] + v.before[i] && ok;
    for (int i = 0; i < (int)v.nin; i++, p++) {
        int pixel = i / g.c;
        float *x = qd_at(&v.in.t, pixel / g.w / g.h, pixel / g.w % g.h, pixel % g.w) + i % g.c;
        ok = slope(&s, &v, &out, x) == (double)*p && ok;
    }
    p += v.nin;
    for (size_t i = 0; i < v.nw; i++, p++)
        ok = slope(&s, &v, &out, v.weight + i) + (double)v.wbefore[i] == (double)*p && ok;
    OK(ok, "ref, %s: equals differences", name);
    if (!ok)
        print_test(&s);
    qd_free(got);
    qd_free(dense);
    qd_free(out.mem);
    take_back(&v);
}

static void all_differences(void)
{
    differences((struct qd_conv_geom){2, 4, 5, 3, 0, 0, 2, 3, 3, 1, 1, 1, 1, 1}, "3x3");
    differences((struct qd_conv_geom){1, 6, 5, 2, 0, 0, 3, 3, 3, 2, 2, 1, 1, 1}, "3x3/2");
    differences((struct qd_conv_geom){1, 5, 6, 4, 0, 0, 6, 3, 2, 2, 1, 0, 1, 2}, "3x2/2,1 groups");
    differences((struct qd_conv_geom){1, 7, 6, 3, 0, 0, 3, 3, 3, 1, 1, 2, 2, 3}, "depthwise dil 2");
    differences((struct qd_conv_geom){1, 6, 7, 2, 0, 0, 2, 2, 3, 3, 2, 1, 2, 1}, "2x3/3,2 dil 2");
    differences((struct qd_conv_geom){2, 5, 5, 3, 0, 0, 2, 1, 1, 3, 3, 0, 1, 1}, "1x1/3");
    differences((struct qd_conv_geom){1, 3, 3, 2, 0, 0, 2, 2, 2, 1, 1, 3, 1, 1}, "2x2, pad 3");
}

/* ---- a list ---------------------------------------------------------------------------------- */

static void shapes(void)
{
    static const struct {
        const char *name;
        struct qd_conv_geom g;
    } list[] = {
        {"first layer", {2, 12, 54, 3, 0, 0, 16, 3, 3, 1, 1, 1, 1, 1}},
        {"first layer /2", {2, 16, 18, 3, 0, 0, 8, 3, 3, 2, 2, 1, 1, 1}},
        {"first layer of a slice", {1, 8, 14, 3, 0, 0, 16, 3, 3, 1, 1, 1, 1, 1}},
        {"16 to 32", {2, 12, 26, 16, 0, 0, 32, 3, 3, 1, 1, 1, 1, 1}},
        {"33 to 70", {2, 9, 13, 33, 0, 0, 70, 3, 3, 1, 1, 1, 1, 1}},
        {"copied", {3, 7, 6, 64, 0, 0, 72, 3, 3, 1, 1, 1, 1, 1}},
        {"copied slices", {2, 5, 5, 70, 0, 0, 70, 3, 3, 1, 1, 1, 1, 1}},
        {"copied /2", {2, 9, 8, 50, 0, 0, 66, 3, 3, 2, 2, 1, 1, 1}},
        {"copied, groups", {2, 5, 6, 96, 0, 0, 128, 3, 3, 1, 1, 1, 1, 2}},
        {"copied, few filters", {2, 6, 6, 400, 0, 0, 5, 3, 3, 1, 1, 1, 1, 1}},
        {"copied 5x5, dilated", {1, 9, 9, 30, 0, 0, 33, 5, 5, 1, 1, 4, 2, 1}},
        {"copied 1x1", {3, 5, 7, 130, 0, 0, 255, 1, 1, 1, 1, 0, 1, 1}},
        {"copied 1x1/2", {3, 6, 7, 130, 0, 0, 135, 1, 1, 2, 2, 0, 1, 1}},
        {"large map", {1, 26, 25, 33, 0, 0, 64, 3, 3, 1, 1, 1, 1, 1}},
        {"low map, by winograd", {4, 5, 30, 20, 0, 0, 33, 3, 3, 1, 1, 1, 1, 1}},
        {"small maps, by winograd", {13, 7, 6, 16, 0, 0, 20, 3, 3, 1, 1, 1, 1, 1}},
        {"many small maps", {50, 4, 4, 17, 0, 0, 66, 3, 3, 1, 1, 1, 1, 1}},
        {"winograd without padding", {3, 15, 17, 31, 0, 0, 48, 3, 3, 1, 1, 0, 1, 1}},
        {"winograd, few weights", {3, 40, 37, 17, 0, 0, 18, 3, 3, 1, 1, 1, 1, 1}},
        {"winograd, few weights, low map", {9, 6, 60, 16, 0, 0, 40, 3, 3, 1, 1, 1, 1, 1}},
        {"winograd in blocks", {2, 44, 62, 100, 0, 0, 49, 3, 3, 1, 1, 1, 1, 1}},
        {"1x1, 8 to 32", {2, 9, 9, 8, 0, 0, 32, 1, 1, 1, 1, 0, 1, 1}},
        {"1x1, 32 to 8", {2, 9, 9, 32, 0, 0, 8, 1, 1, 1, 1, 0, 1, 1}},
        {"1x1, 24 to 4", {2, 9, 9, 24, 0, 0, 4, 1, 1, 1, 1, 0, 1, 1}},
        {"1x1, padded", {1, 4, 4, 5, 0, 0, 7, 1, 1, 1, 1, 1, 1, 1}},
        {"1x1/3", {1, 7, 8, 5, 0, 0, 7, 1, 1, 3, 3, 0, 1, 1}},
        {"one long row", {1, 1, 700, 6, 0, 0, 40, 1, 3, 1, 1, 0, 1, 1}},
        {"one long row, one tile", {1, 2, 9000, 1, 0, 0, 2, 1, 1, 1, 1, 0, 1, 1}},
        {"connected", {3, 5, 4, 7, 0, 0, 70, 5, 4, 1, 1, 0, 1, 1}},
        {"connected, large", {5, 3, 3, 90, 0, 0, 50, 3, 3, 1, 1, 0, 1, 1}},
        {"1x1 map", {5, 1, 1, 300, 0, 0, 90, 1, 1, 1, 1, 0, 1, 1}},
        {"3x3 without padding", {2, 6, 7, 20, 0, 0, 40, 3, 3, 1, 1, 0, 1, 1}},
        {"padding beyond the kernel", {1, 4, 4, 18, 0, 0, 35, 3, 3, 1, 1, 4, 1, 1}},
        {"7x7/2", {1, 14, 14, 3, 0, 0, 20, 7, 7, 2, 2, 3, 1, 1}},
        {"4x4/4, patches", {1, 16, 12, 3, 0, 0, 20, 4, 4, 4, 4, 0, 1, 1}},
        {"2x2/3, gaps", {1, 10, 12, 3, 0, 0, 20, 2, 2, 3, 3, 0, 1, 1}},
        {"3x3/2 dil 2", {1, 10, 12, 5, 0, 0, 20, 3, 3, 2, 2, 2, 2, 1}},
        {"3x3/2,3 dil 2", {1, 10, 12, 5, 0, 0, 20, 3, 3, 2, 3, 2, 2, 1}},
        {"stride beyond the map", {2, 3, 4, 5, 0, 0, 6, 3, 3, 7, 9, 1, 1, 1}},
        {"groups", {2, 6, 6, 32, 0, 0, 64, 3, 3, 1, 1, 1, 1, 8}},
        {"groups /2", {2, 6, 6, 18, 0, 0, 36, 3, 3, 2, 2, 1, 1, 9}},
        {"depthwise with multiplier", {1, 6, 6, 12, 0, 0, 24, 3, 3, 1, 1, 1, 1, 12}},
        {"depthwise, dilation", {1, 12, 11, 20, 0, 0, 20, 3, 3, 1, 1, 2, 2, 20}},
        {"depthwise 3x2", {1, 6, 6, 20, 0, 0, 20, 3, 2, 1, 2, 1, 1, 20}},
        {"depthwise 1x1", {1, 6, 6, 20, 0, 0, 20, 1, 1, 1, 1, 0, 1, 20}},
        {"depthwise 9x9", {1, 12, 6, 20, 0, 0, 20, 9, 9, 1, 1, 4, 1, 20}},
        {"depthwise, whole map", {2, 7, 7, 33, 0, 0, 33, 7, 7, 1, 1, 0, 1, 33}},
    };

    for (size_t i = 0; i < QD_LEN(list); i++) {
        struct test s = {.name = list[i].name, .g = list[i].g};
        if (!outputs(&s.g))
            continue;
        check(&s);
        s.in_extra = 3;
        s.dz_extra = 5;
        s.din_extra = 7;
        s.border_extra = i % 2;
        s.din_border = 1;
        check(&s);
    }
}

static void depthwise(void)
{
    static const int channels[] = {2, 3, 4, 8, 12, 16, 24, 33, 48, 64, 70};
    char name[60];

    for (size_t i = 0; i < QD_LEN(channels); i++)
        for (int stride = 1; stride <= 2; stride++)
            for (int r = 3; r <= 5; r += 2) {
                int c = channels[i];
                struct test s = {.name = name,
                    .g = {2, 7 + (int)i % 2, 11, c, 0, 0, c, r, r, stride, stride, r / 2, 1, c},
                    .in_extra = i % 4 == 3,
                    .dz_extra = i % 5 == 4,
                    .din_extra = i % 3 == 2,
                    .din_border = 1};
                if (!outputs(&s.g))
                    continue;
                snprintf(name, sizeof(name), "depthwise %d, %dx%d/%d", c, r, r, stride);
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
    static const int sizes[] = {1, 1, 2, 3, 3, 3, 3, 4, 5};
    static const int groups[] = {1, 1, 1, 1, 2, 3, 4, 8};
    static const int strides[] = {1, 1, 1, 2, 2, 3};
    struct qd_conv_geom *g = &s->g;

    *s = (struct test){.name = "at random"};
    g->n = between(1, 3);
    g->h = between(1, 12);
    g->w = between(1, 15);
    g->groups = pick(groups, QD_LEN(groups));
    g->c = g->groups * between(1, 24 / g->groups + 1);
    g->k = g->groups * between(1, 40 / g->groups + 1);
    if (between(0, 4) == 0)
        g->k = g->groups = g->c;
    g->rh = g->rw = pick(sizes, QD_LEN(sizes));
    if (between(0, 4) == 0)
        g->rw = pick(sizes, QD_LEN(sizes));
    g->sy = g->sx = pick(strides, QD_LEN(strides));
    if (between(0, 4) == 0)
        g->sx = between(1, 3);
    g->pad = between(0, 2) ? g->rh / 2 : between(0, 3);
    g->dil = between(0, 3) ? 1 : between(2, 3);
    s->in_extra = between(0, 1) * between(0, 5);
    s->dz_extra = between(0, 1) * between(0, 5);
    s->din_extra = between(0, 1) * between(0, 5);
    s->border_extra = between(0, 3) == 0;
    s->din_border = between(0, 2);
    return outputs(g);
}

int main(void)
{
    struct test s;

    all_differences();
    shapes();
    depthwise();
    for (int i = 0; i < 400; i++)
        if (draw(&s))
            check(&s);
    return tap_done();
}
