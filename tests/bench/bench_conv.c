/* SPDX-License-Identifier: MIT */
/*
 * Time every convolution of yolov3-tiny@416 and yolo-fastest-1.1@320, batch 1, at every level.
 *
 *     bench_conv [-j THREADS] [-l LEVEL] [-n NET] [-s SECONDS]
 *
 * A pass runs all layers of a net in order, each with weights of its own, and on three buffers for
 * input, output and addend that change places, so that caches hold what they would in real use;
 * SECONDS (2) is the time for one net and level.  The share is
 * that of the fused multiply-add peak of all threads, measured in the same run between the passes.
 * The shapes are written down here because the bench is also a record: they must not change with
 * the cfg files.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/par.h"
#include "ops/ops.h"
#include "peak.h"

enum { MAX_LAYERS = 128, MAX_PASSES = 2000 };

struct shape {
    int h, c, k, r, s, groups;
    enum { PLAIN, POOL, ADD } tail;
    enum qd_act act;
    int times; /* that many layers in a row, 0: one */
};

static const struct shape tiny[] = {
    {416, 3, 16, 3, 1, 1, POOL, QD_LEAKY, 0},
    {208, 16, 32, 3, 1, 1, POOL, QD_LEAKY, 0},
    {104, 32, 64, 3, 1, 1, POOL, QD_LEAKY, 0},
    {52, 64, 128, 3, 1, 1, POOL, QD_LEAKY, 0},
    {26, 128, 256, 3, 1, 1, PLAIN, QD_LEAKY, 0},
    {13, 256, 512, 3, 1, 1, PLAIN, QD_LEAKY, 0},
    {13, 512, 1024, 3, 1, 1, PLAIN, QD_LEAKY, 0},
    {13, 1024, 256, 1, 1, 1, PLAIN, QD_LEAKY, 0},
    {13, 256, 512, 3, 1, 1, PLAIN, QD_LEAKY, 0},
    {13, 512, 255, 1, 1, 1, PLAIN, QD_LINEAR, 0},
    {13, 256, 128, 1, 1, 1, PLAIN, QD_LEAKY, 0},
    {26, 384, 256, 3, 1, 1, PLAIN, QD_LEAKY, 0},
    {26, 256, 255, 1, 1, 1, PLAIN, QD_LINEAR, 0},
    {0},
};

#define EXPAND(h, c, k, times)                                                                     \
    {                                                                                              \
        h, c, k, 1, 1, 1, PLAIN, QD_LEAKY, times                                                   \
    }
#define PROJECT(h, c, k, times)                                                                    \
    {                                                                                              \
        h, c, k, 1, 1, 1, PLAIN, QD_LINEAR, times                                                  \
    }
#define PROJECT_ADD(h, c, k, times)                                                                \
    {                                                                                              \
        h, c, k, 1, 1, 1, ADD, QD_LINEAR, times                                                    \
    }
#define DEPTHWISE(h, c, r, s, times)                                                               \
    {                                                                                              \
        h, c, c, r, s, c, PLAIN, QD_LEAKY, times                                                   \
    }
static const struct shape fastest[] = {
    {320, 3, 8, 3, 2, 1, PLAIN, QD_LEAKY, 0},
    EXPAND(160, 8, 8, 0),
    DEPTHWISE(160, 8, 3, 1, 0),
    PROJECT(160, 8, 4, 0),
    EXPAND(160, 4, 8, 0),
    DEPTHWISE(160, 8, 3, 1, 0),
    PROJECT_ADD(160, 8, 4, 0),
    EXPAND(160, 4, 24, 0),
    DEPTHWISE(160, 24, 3, 2, 0),
    PROJECT(80, 24, 8, 0),
    EXPAND(80, 8, 32, 3),
    DEPTHWISE(80, 32, 3, 1, 2),
    PROJECT_ADD(80, 32, 8, 2),
    DEPTHWISE(80, 32, 3, 2, 0),
    PROJECT(40, 32, 8, 0),
    EXPAND(40, 8, 48, 3),
    DEPTHWISE(40, 48, 3, 1, 3),
    PROJECT_ADD(40, 48, 8, 2),
    PROJECT(40, 48, 16, 0),
    EXPAND(40, 16, 96, 5),
    DEPTHWISE(40, 96, 3, 1, 4),
    PROJECT_ADD(40, 96, 16, 4),
    DEPTHWISE(40, 96, 3, 2, 0),
    PROJECT(20, 96, 24, 0),
    EXPAND(20, 24, 136, 5),
    DEPTHWISE(20, 136, 3, 1, 4),
    PROJECT_ADD(20, 136, 24, 4),
    DEPTHWISE(20, 136, 3, 2, 0),
    PROJECT(10, 136, 48, 0),
    EXPAND(10, 48, 224, 5),
    DEPTHWISE(10, 224, 3, 1, 5),
    PROJECT_ADD(10, 224, 48, 5),
    EXPAND(10, 192, 96, 0),
    DEPTHWISE(10, 96, 5, 1, 2),
    PROJECT(10, 96, 96, 2),
    PROJECT(10, 96, 255, 0),
    DEPTHWISE(20, 120, 5, 1, 2),
    PROJECT(20, 120, 120, 2),
    PROJECT(20, 120, 255, 0),
    {0},
};

struct layer {
    const struct shape *s;
    struct qd_conv_geom g;
    const struct qd_conv_kernel *kernel;
    struct qd_tensor in, out, add;
    struct qd_epilogue ep;
    struct qd_conv_job job;
    double ns[MAX_PASSES];
};

static struct layer layers[MAX_LAYERS];
static int nlayers, passes;

static void fail(const char *why)
{
    fprintf(stderr, "bench_conv: %s\n", why);
    exit(1);
}

static void *memory(size_t floats)
{
    float *p = qd_alloc(floats, sizeof(float), NULL);

    if (!p)
        fail("out of memory");
    return p;
}

/* ---- the layers ------------------------------------------------------------------------------ */

static float *buffers[3];
static size_t buffer_floats = 4 << 20;

static void tensor(struct qd_tensor *t, int h, int c, int border, int buffer)
{
    size_t floats;

    if (!qd_tensor_shape(t, (int[4]){1, h, h, c}, border, &floats) || floats > buffer_floats)
        fail("a tensor is too large");
    qd_tensor_place(t, buffers[buffer]);
}

/* Noise in all buffers; what layers compute from it stays of the same order. */
static void fill_buffers(void)
{
    for (int b = 0; b < 3; b++) {
        if (!buffers[b])
            buffers[b] = memory(buffer_floats);
        for (size_t i = 0; i < buffer_floats; i++)
            buffers[b][i] = (float)(i * 2654435761u % 1021) / 1021 - 0.5f;
    }
}

static void make(struct layer *l, const struct shape *s, const struct qd_ops *ops)
{
    int o = (s->h - 1) / s->s + 1;
    size_t nw = (size_t)(s->k * (s->c / s->groups) * s->r * s->r), work;
    float *weight = memory(nw), *bias = memory((size_t)s->k + 1), *packed;

    *l = (struct layer){.s = s,
        .g = {1, s->h, s->h, s->c, o, o, s->k, s->r, s->r, s->s, s->s, s->r / 2, 1, s->groups}};
    float range = sqrtf(24.0f * (float)s->k / (float)nw);
    for (size_t i = 0; i < nw; i++)
        weight[i] = range * ((float)(i * 2654435761u % 1021) / 1021 - 0.5f);
    l->kernel = qd_conv_find(ops, &l->g);
    packed = memory(l->kernel->packed(&l->g));
    l->kernel->pack(&l->g, weight, NULL, packed);
    qd_free(weight);
    work = l->kernel->work ? l->kernel->work(&l->g, qd_threads()) : 0;
    bool pool = s->tail == POOL && l->kernel->can_pool && l->kernel->can_pool(&l->g);
    tensor(&l->in, s->h, s->c, QD_MAX(1, qd_conv_border(&l->g)), nlayers % 3);
    tensor(&l->out, pool ? o / 2 : o, s->k, 1, (nlayers + 1) % 3);
    l->ep = (struct qd_epilogue){.bias = bias, .act = s->act, .pool = pool};
    if (s->tail == ADD) {
        tensor(&l->add, o, s->k, 1, (nlayers + 2) % 3);
        l->ep.add = &l->add;
    }
    l->job = (struct qd_conv_job){.g = &l->g,
        .packed = packed,
        .in = &l->in,
        .out = &l->out,
        .ep = &l->ep,
        .work = memory(work)};
}

static void drop(struct layer *l)
{
    qd_free((void *)(uintptr_t)l->ep.bias);
    qd_free((void *)(uintptr_t)l->job.packed);
    qd_free(l->job.work);
}

/* ---- running --------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double flops(const struct qd_conv_geom *g)
{
    return 2.0 * g->oh * g->ow * g->k * (g->c / g->groups) * g->rh * g->rw;
}

static void line(const char *net, const char *level, const char *what, const double v[3])
{
    printf("%s\t%s\t%s\t%.0f\t%.0f\t%.1f\t%.3f\n", net, level, what, v[0], v[1], v[2] / v[0],
        v[2] / v[0] / peak);
}

/* One line a layer: median and least time; last the sums. */
static void report(const char *net, const char *level)
{
    double sum[3] = {0}, kind[2][3] = {{0}};

    for (int i = 0; i < nlayers; i++) {
        struct layer *l = &layers[i];
        const struct qd_conv_geom *g = &l->g;
        char what[100];
        qsort(l->ns, (size_t)passes, sizeof(l->ns[0]), by_value);
        double v[3] = {l->ns[passes / 2], l->ns[0], flops(g)};
        snprintf(what, sizeof(what), "%d %s %dx%dx%d-%d %dx%d/%d%s%s%s", i, l->kernel->name, g->h,
            g->w, g->c, g->k, g->rh, g->rw, g->sx, g->groups > 1 ? " depthwise" : "",
            l->ep.pool ? " +pool" : "", l->ep.add ? " +add" : "");
        line(net, level, what, v);
        for (int j = 0; j < 3; j++) {
            sum[j] += v[j];
            kind[g->groups > 1][j] += v[j];
        }
    }
    if (kind[1][0] > 0) {
        line(net, level, "all full", kind[0]);
        line(net, level, "all depthwise", kind[1]);
    }
    line(net, level, "all", sum);
    fflush(stdout);
}

static void run(const char *net, const struct shape *shapes, const char *level, double seconds)
{
    const struct qd_ops *ops = qd_ops_level(level);
    double begin;

    nlayers = passes = 0;
    fill_buffers();
    for (const struct shape *s = shapes; s->h; s++)
        for (int i = 0; i < QD_MAX(1, s->times); i++)
            make(&layers[nlayers++], s, ops);
    begin = now();
    while (passes < MAX_PASSES && (passes < 2 || now() - begin < seconds * 1e9)) {
        measure_peak();
        for (int i = 0; i < nlayers; i++) {
            double t = now();
            layers[i].kernel->run(&layers[i].job);
            layers[i].ns[passes] = now() - t;
        }
        passes++;
    }
    report(net, level);
    for (int i = 0; i < nlayers; i++)
        drop(&layers[i]);
}

int main(int argc, char **argv)
{
    const char *only = NULL, *net = NULL;
    double seconds = 2;
    int c;

    while ((c = getopt(argc, argv, "j:l:n:s:")) != -1) {
        if (c == 'j' && qd_threads_set((int)strtol(optarg, NULL, 10), NULL) < 0)
            fail("-j takes 1 to 256");
        if (c == 'l')
            only = optarg;
        if (c == 'n')
            net = optarg;
        if (c == 's')
            seconds = strtod(optarg, NULL);
        if (c == '?')
            return 2;
    }
    for (int i = 0; i < 20; i++)
        measure_peak();
    printf("# %d threads, multiply-add peak %.1f GFLOP/s\n", qd_threads(), peak);
    printf("net\tlevel\tlayer\tns\tns_min\tgflops\tpeak_share\n");
    for (const char *const *l = qd_ops_levels(); *l; l++) {
        if (!qd_ops_level(*l) || (only && strcmp(only, *l) != 0))
            continue;
        if (!net || strcmp(net, "yolov3-tiny") == 0)
            run("yolov3-tiny@416", tiny, *l, seconds);
        if (!net || strcmp(net, "yolo-fastest") == 0)
            run("yolo-fastest-1.1@320", fastest, *l, seconds);
    }
    printf("# multiply-add peak in the end %.1f GFLOP/s\n", peak);
    return 0;
}
