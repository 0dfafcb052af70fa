/* SPDX-License-Identifier: MIT */
/*
 * Sums over many pixels: mean and variance are right to 1e-6 of the standard deviation and of the
 * variance, however many pixels there are and wherever the mean lies; threads change nothing.
 */
#include <math.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "ops/grad.h"

enum { MAX_C = 4200 };

enum kind { UNIFORM, FAR, SPARSE, CONSTANT, HALF, RAMP, KINDS };

static const char *const kinds[KINDS] = {
    "around 0", "a mean of 1000", "a few large ones", "all the same", "two halves", "a ramp"};

static float value(enum kind kind, size_t i, size_t n)
{
    float u = tap_randf(-1, 1);

    switch (kind) {
    case FAR:
        return 1000 + u;
    case SPARSE:
        return i % 997 == 0 ? 100 * u : 0;
    case CONSTANT:
        return 7.3f;
    case HALF:
        return i < n / 2 ? 10 + u : -10 + u;
    case RAMP:
        return (float)i / (float)n + 50;
    default:
        return u;
    }
}

static struct qd_tensor tensor_of(float *mem, const int nhwc[4], int more)
{
    struct qd_tensor t = {.data = mem,
        .n = nhwc[0],
        .h = nhwc[1],
        .w = nhwc[2],
        .c = nhwc[3],
        .ps = nhwc[3] + more,
        .rs = (size_t)nhwc[2] * (size_t)(nhwc[3] + more)};

    t.is = t.rs * (size_t)t.h;
    return t;
}

/* The worst of all channels: the mean in standard deviations, the variance relatively; for a
 * constant channel both against the rounding of the value. */
static double worst(const struct qd_tensor *t, const float *mean, const float *var)
{
    size_t n = (size_t)t->n * (size_t)t->h * (size_t)t->w;
    double most = 0;

    for (int c = 0; c < t->c; c++) {
        double m = 0, v = 0;
        for (size_t i = 0; i < n; i++)
            m += (double)t->data[i * (size_t)t->ps + (size_t)c];
        m /= (double)n;
        for (size_t i = 0; i < n; i++)
            v += pow((double)t->data[i * (size_t)t->ps + (size_t)c] - m, 2);
        v /= (double)n;
        double unit = v > 1e-9 ? v : m * m + 1e-30; /* the mean itself is a float */
        double off = fabs((double)mean[c] - m) / (sqrt(unit) + .06 * fabs(m));
        off = fmax(off, fabs((double)var[c] - v) / unit);
        most = off <= most ? most : off; /* also when it is not a number */
    }
    return most;
}

static void check(const struct qd_ops *ops, enum kind kind, const int nhwc[4], int more)
{
    const struct qd_grad_ops *g = qd_grad_ops_of(ops);
    static float mean[MAX_C], var[MAX_C], mean2[MAX_C], var2[MAX_C];
    size_t pixels = (size_t)nhwc[0] * (size_t)nhwc[1] * (size_t)nhwc[2];
    size_t count = pixels * (size_t)(nhwc[3] + more), bytes = (size_t)nhwc[3] * sizeof(float);
    float *mem = qd_alloc(count + QD_SLACK, sizeof(float), NULL);
    bool same = true;

    if (!mem)
        exit(1);
    for (size_t i = 0; i < count; i++)
        mem[i] = value(kind, i, count);
    struct qd_tensor t = tensor_of(mem, nhwc, more);
    for (int threads = 1; threads <= 3; threads++) {
        if (qd_threads_set(threads, NULL) < 0)
            exit(1);
        g->stats(&t, threads == 1 ? mean : mean2, threads == 1 ? var : var2);
        same = same &&
               (threads == 1 || (memcmp(mean, mean2, bytes) == 0 && memcmp(var, var2, bytes) == 0));
    }
    double off = worst(&t, mean, var);
    OK(off < 1e-6 && same, "%s: %d x %d x %d x %d of %d, %s: %.2g off%s", g->level, nhwc[0],
        nhwc[1], nhwc[2], nhwc[3], nhwc[3] + more, kinds[kind], off,
        same ? "" : ", threads differ");
    qd_free(mem);
}

/* Sums for the bias and the like go through the same code with as many pixels. */
static void check_bias(const struct qd_ops *ops)
{
    const struct qd_grad_ops *g = qd_grad_ops_of(ops);
    const int nhwc[4] = {4, 300, 500, 5};
    size_t count = (size_t)4 * 300 * 500 * 5;
    float *mem = qd_alloc(count + QD_SLACK, sizeof(float), NULL);
    float got[5] = {0}, dot[5] = {0};
    double want[5] = {0}, square[5] = {0}, most = 0;

    if (!mem)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        mem[i] = tap_randf(0, 1);
        want[i % 5] += (double)mem[i];
        square[i % 5] += (double)mem[i] * (double)mem[i];
    }
    struct qd_tensor t = tensor_of(mem, nhwc, 0);
    g->bias(&t, got);
    g->dot(&t, &t, true, dot);
    for (int c = 0; c < 5; c++) {
        most = fmax(most, fabs((double)got[c] / want[c] - 1));
        most = fmax(most, fabs((double)dot[c] / square[c] - 1));
    }
    OK(most < 2e-7, "%s: sums of 600000 numbers: %.2g off", g->level, most);
    qd_free(mem);
}

int main(void)
{
    static const int shapes[][4] = {{1, 1, 1, 1}, {2, 1, 1, 3}, {3, 13, 13, 40}, {2, 60, 70, 16},
        {1, 30, 30, 65}, {1, 3, 3, 4200}};
    static const int many[4] = {8, 800, 800, 1};

    for (const char *const *l = qd_ops_levels(); *l; l++) {
        const struct qd_ops *level = strcmp(*l, "blas") == 0 ? NULL : qd_ops_level(*l);
        if (!level)
            continue; /* blas has the operations of the best level */
        for (int k = 0; k < KINDS; k++)
            for (size_t i = 0; i < QD_LEN(shapes); i++)
                check(level, (enum kind)k, shapes[i], k % 2 ? 7 : 0);
        if (strcmp(*l, "ref") != 0)
            check(level, FAR, many, 0);
        check_bias(level);
    }
    return tap_done();
}
