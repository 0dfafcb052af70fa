/* SPDX-License-Identifier: MIT */
/*
 * Time the gradients of the convolutions of yolov3-tiny@416 at batch 8 and yolo-fastest-1.1@320 at
 * batch 16.
 *
 *     bench_conv_grad [-j THREADS] [-l LEVEL] [-n NET] [-s SECONDS]
 *
 * Each different layer by itself, for SECONDS (0.3) and at least three times; the least time
 * counts, multiplied by how often the net has the layer.  With one thread it is processor time, so
 * that what else runs matters less.  Tensors of a batch are larger than the caches, as in real use.
 * Columns: data (input's gradient), weights (theirs), pack (turning the weights for data).  The
 * shapes are written down here because the bench is also a record.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "ops/grad.h"
#include "peak.h"

struct shape {
    int h, c, k, r, s, groups, times;
};

static const struct shape tiny[] = {
    {416, 3, 16, 3, 1, 1, 1},
    {208, 16, 32, 3, 1, 1, 1},
    {104, 32, 64, 3, 1, 1, 1},
    {52, 64, 128, 3, 1, 1, 1},
    {26, 128, 256, 3, 1, 1, 1},
    {13, 256, 512, 3, 1, 1, 2},
    {13, 512, 1024, 3, 1, 1, 1},
    {13, 1024, 256, 1, 1, 1, 1},
    {13, 512, 255, 1, 1, 1, 1},
    {13, 256, 128, 1, 1, 1, 1},
    {26, 384, 256, 3, 1, 1, 1},
    {26, 256, 255, 1, 1, 1, 1},
    {0, 0, 0, 0, 0, 0, 0},
};

static const struct shape fastest[] = {
    {320, 3, 8, 3, 2, 1, 1},
    {160, 8, 8, 1, 1, 1, 1},
    {160, 8, 8, 3, 1, 8, 2},
    {160, 8, 4, 1, 1, 1, 2},
    {160, 4, 8, 1, 1, 1, 1},
    {160, 4, 24, 1, 1, 1, 1},
    {160, 24, 24, 3, 2, 24, 1},
    {80, 24, 8, 1, 1, 1, 1},
    {80, 8, 32, 1, 1, 1, 3},
    {80, 32, 32, 3, 1, 32, 2},
    {80, 32, 8, 1, 1, 1, 2},
    {80, 32, 32, 3, 2, 32, 1},
    {40, 32, 8, 1, 1, 1, 1},
    {40, 8, 48, 1, 1, 1, 3},
    {40, 48, 48, 3, 1, 48, 3},
    {40, 48, 8, 1, 1, 1, 2},
    {40, 48, 16, 1, 1, 1, 1},
    {40, 16, 96, 1, 1, 1, 5},
    {40, 96, 96, 3, 1, 96, 4},
    {40, 96, 16, 1, 1, 1, 4},
    {40, 96, 96, 3, 2, 96, 1},
    {20, 96, 24, 1, 1, 1, 1},
    {20, 24, 136, 1, 1, 1, 5},
    {20, 136, 136, 3, 1, 136, 4},
    {20, 136, 24, 1, 1, 1, 4},
    {20, 136, 136, 3, 2, 136, 1},
    {10, 136, 48, 1, 1, 1, 1},
    {10, 48, 224, 1, 1, 1, 5},
    {10, 224, 224, 3, 1, 224, 5},
    {10, 224, 48, 1, 1, 1, 5},
    {10, 192, 96, 1, 1, 1, 1},
    {10, 96, 96, 5, 1, 96, 2},
    {10, 96, 96, 1, 1, 1, 2},
    {10, 96, 255, 1, 1, 1, 1},
    {20, 120, 120, 5, 1, 120, 2},
    {20, 120, 120, 1, 1, 1, 2},
    {20, 120, 255, 1, 1, 1, 1},
    {0, 0, 0, 0, 0, 0, 0},
};

enum { DATA, WEIGHTS, PACK, KINDS };

struct layer {
    struct qd_conv_geom g;
    struct qd_tensor in, dz, din;
    float *mem[3], *weight, *packed;
    struct qd_conv_grad job;
};

static void fail(const char *why)
{
    fprintf(stderr, "bench_conv_grad: %s\n", why);
    exit(1);
}

static float *memory(size_t floats)
{
    float *p = qd_alloc(floats, sizeof(float), NULL);

    if (!p)
        fail("out of memory");
    return p;
}

static void noise(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (float)(i * 2654435761u % 1021) / 1021 - 0.5f;
}

static float *tensor(struct qd_tensor *t, const int nhwc[4], int border)
{
    size_t floats;

    if (!qd_tensor_shape(t, nhwc, border, &floats))
        fail("a tensor is too large");
    float *mem = memory(floats);
    noise(mem, floats);
    qd_tensor_place(t, mem);
    return mem;
}

static void make(struct layer *l, const struct shape *s, int batch, const struct qd_grad_ops *ops)
{
    int o = (s->h - 1) / s->s + 1;
    struct qd_conv_geom *g = &l->g;
    size_t nw = (size_t)(s->k * (s->c / s->groups) * s->r * s->r);

    *g = (struct qd_conv_geom){
        batch, s->h, s->h, s->c, o, o, s->k, s->r, s->r, s->s, s->s, s->r / 2, 1, s->groups};
    l->mem[0] = tensor(&l->in, (int[]){batch, s->h, s->h, s->c}, QD_MAX(1, qd_conv_border(g)));
    l->mem[1] = tensor(&l->dz, (int[]){batch, o, o, s->k}, QD_MAX(1, qd_conv_grad_border(g)));
    l->mem[2] = tensor(&l->din, (int[]){batch, s->h, s->h, s->c}, 1);
    l->weight = memory(nw);
    noise(l->weight, nw);
    l->packed = memory(ops->conv_packed(g));
    l->job = (struct qd_conv_grad){g, &l->in, &l->dz, memory(ops->conv_work(g, qd_threads()))};
    ops->conv_pack(g, l->weight, l->packed);
}

static void drop(struct layer *l)
{
    for (int i = 0; i < 3; i++)
        qd_free(l->mem[i]);
    qd_free(l->weight);
    qd_free(l->packed);
    qd_free(l->job.work);
}

static double clock_now(void)
{
    struct timespec t;

    if (qd_threads() > 1)
        return now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void one(struct layer *l, const struct qd_grad_ops *ops, int kind)
{
    if (kind == DATA)
        ops->conv_data(&l->job, l->packed, &l->din, true);
    else if (kind == WEIGHTS)
        ops->conv_weights(&l->job, l->weight);
    else
        ops->conv_pack(&l->g, l->weight, l->packed);
}

/* The least time of each kind. */
static void measure(struct layer *l, const struct qd_grad_ops *ops, double seconds, double *best)
{
    for (int kind = 0; kind < KINDS; kind++) {
        double end = now() + seconds * 1e9 / KINDS;
        best[kind] = 1e18;
        for (int i = 0; i < 3 || now() < end; i++) {
            double begin = clock_now();
            one(l, ops, kind);
            best[kind] = QD_MIN(best[kind], clock_now() - begin);
        }
    }
}

static void line(
    const char *net, const char *level, const char *what, const double *t, double flops)
{
    printf("%s\t%s\t%s\t%.0f\t%.1f\t%.3f\t%.0f\t%.1f\t%.3f\t%.0f\n", net, level, what,
        t[DATA] / 1e3, flops / t[DATA], flops / t[DATA] / peak, t[WEIGHTS] / 1e3,
        flops / t[WEIGHTS], flops / t[WEIGHTS] / peak, t[PACK] / 1e3);
    fflush(stdout);
}

static void bench(
    const char *net, const struct shape *shapes, int batch, const char *level, double seconds)
{
    const struct qd_grad_ops *ops = qd_grad_ops_of(qd_ops_level(level));
    double sum[KINDS] = {0}, deep[KINDS] = {0}, flops = 0, deep_flops = 0;

    for (const struct shape *s = shapes; s->h; s++) {
        struct layer l;
        double t[KINDS];
        char what[80];
        make(&l, s, batch, ops);
        const struct qd_conv_geom *g = &l.g;
        double f = 2.0 * batch * g->oh * g->ow * g->k * (g->c / g->groups) * g->rh * g->rw;
        measure_peak();
        measure(&l, ops, seconds, t);
        snprintf(what, sizeof(what), "%dx%dx%d-%d %dx%d/%d%s x%d", g->h, g->w, g->c, g->k, g->rh,
            g->rw, g->sx, g->groups > 1 ? " depthwise" : "", s->times);
        line(net, level, what, t, f);
        for (int i = 0; i < KINDS; i++) {
            sum[i] += s->times * t[i];
            deep[i] += s->groups > 1 ? s->times * t[i] : 0;
        }
        flops += s->times * f;
        deep_flops += s->groups > 1 ? s->times * f : 0;
        drop(&l);
    }
    if (deep_flops > 0)
        line(net, level, "all depthwise", deep, deep_flops);
    line(net, level, "all", sum, flops);
}

int main(int argc, char **argv)
{
    const char *only_level = NULL, *only_net = "";
    double seconds = 0.3;
    int c;

    while ((c = getopt(argc, argv, "j:l:n:s:")) != -1)
        if (c == 'j' && qd_threads_set((int)strtol(optarg, NULL, 10), NULL) < 0)
            fail("bad number of threads");
        else if (c == 'l')
            only_level = optarg;
        else if (c == 'n')
            only_net = optarg;
        else if (c == 's')
            seconds = strtod(optarg, NULL);
        else if (c == '?')
            fail("usage: bench_conv_grad [-j threads] [-l level] [-n net] [-s seconds]");
    printf("# net\tlevel\tlayer\tdata_us\tgflops_per_s\tshare\tweights_us\tgflops_per_s\tshare\t"
           "pack_us\n");
    for (const char *const *l = qd_ops_levels(); *l; l++) {
        if (!qd_ops_level(*l) || strcmp(*l, only_level ? only_level : *l) != 0)
            continue;
        if (!only_level && (strcmp(*l, "ref") == 0 || strcmp(*l, "blas") == 0))
            continue; /* not something to wait for; that of the best level */
        if (strstr("yolov3-tiny", only_net))
            bench("yolov3-tiny@416x8", tiny, 8, *l, seconds);
        if (strstr("yolo-fastest", only_net))
            bench("yolo-fastest-1.1@320x16", fastest, 16, *l, seconds);
    }
    printf("# peak %.1f GFLOP/s, %d threads\n", peak, qd_threads());
    return 0;
}
