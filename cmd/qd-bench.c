/* SPDX-License-Identifier: MIT */
/*
 * qd-bench: how long a network takes on this machine, forward or in training.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "cmd.h"

static int runs = 20, batch = 1;
static bool layers, train;

static const struct cmd_opt opts[] = {CMD_OPT_CFG_NEEDED, CMD_OPT_WEIGHTS, CMD_OPT_SIZE,
    CMD_OPT_THREADS, CMD_OPT_OVERRIDE,
    {'r', "runs", CMD_INT, &runs, "N", "timed passes", 1, 1000000, false},
    {'b', "batch-size", CMD_INT, &batch, "N", "images a pass", 1, 4096, false},
    {'l', "layers", CMD_FLAG, &layers, NULL, "also the time of every layer", 0, 0, false},
    {'t', "train", CMD_FLAG, &train, NULL, "time training steps instead of forward passes", 0, 0,
        false},
    {0}};

static const struct cmd_info info = {"qd-bench", "", "time the passes of a network", opts, 0, 0};

enum { WARM_UP = 3 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof(*x), ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static double rate(unsigned long long operations, double ms)
{
    return ms > 0 ? 1e-6 * (double)operations * batch / ms : 0;
}

static void print_layer(const struct qd_model *m, int i)
{
    struct qd_layer_info l;

    qd_model_layer(m, i, &l);
    printf("layer\t%d\t%s\t%s", i, l.section, l.detail[0] ? l.detail : "-");
}

static void print_layers(const struct qd_model *m, const struct qd_net *net, double *ms, int n)
{
    printf("# layer\tsection\twhat\tms\tgflops_per_s\n");
    for (int i = 0; i < n; i++) {
        double t = median(ms + (size_t)i * (size_t)runs, runs);
        print_layer(m, i);
        printf("\t%.4f\t%.1f\n", t, rate(2 * qd_net_layer_macs(net, i), t));
    }
}

/* 'operations' of an image; 'computed' bytes, 0: not said. */
static void print_totals(double *ms, unsigned long long operations, size_t computed)
{
    struct rusage u;
    double mid = median(ms, runs);

    getrusage(RUSAGE_SELF, &u);
    printf("ms\t%.4f\n", mid);
    printf("ms_min\t%.4f\n", ms[0]);
    printf("images_per_s\t%.2f\n", 1e3 * batch / mid);
    printf("gflops_per_s\t%.2f\n", rate(operations, mid));
    if (computed)
        printf("computed_bytes\t%zu\n", computed);
    printf("peak_bytes\t%ld\n", u.ru_maxrss * 1024L);
}

static int no_memory(struct qd_error *err)
{
    return cmd_error_set(err, QD_ENOMEM, "out of memory");
}

/* ------------------------------------------------------------------ forward ------------------- */

/* Time the passes: ms[runs], and with --layers lms[layer][run]. */
static void measure(struct qd_net *net, double *ms, double *lms, int n)
{
    for (int i = -WARM_UP; i < runs; i++) {
        double start = cmd_now();
        qd_net_forward(net);
        if (i < 0)
            continue;
        ms[i] = (cmd_now() - start) * 1e3;
        for (int k = 0; lms && k < n; k++)
            lms[(size_t)k * (size_t)runs + (size_t)i] = qd_net_layer_ms(net, k);
    }
}

/* Numbers of ordinary size as input: a pattern, so that every run times the same. */
static int fill_input(struct qd_net *net, struct qd_error *err)
{
    int h, w, c;

    qd_net_size(net, &h, &w, &c);
    size_t n = (size_t)h * (size_t)w * (size_t)c;
    float *x = malloc(n * sizeof(*x));
    if (!x)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(i * 2654435761u % 65536) / 65536;
    for (int b = 0; b < batch; b++)
        qd_net_set_planar(net, b, x);
    free(x);
    return 0;
}

/* Takes the model. */
static int bench(struct qd_model *m, struct qd_error *err)
{
    struct qd_net_opts o = {.batch = batch, .w = cmd.size.w, .h = cmd.size.h, .timing = layers};
    int n = qd_model_layers(m), ret = -1;
    unsigned long long macs = 0;
    struct qd_net *net = qd_net_take(m, &o, err);

    if (!net)
        return -1;
    double *ms = malloc((size_t)runs * sizeof(*ms));
    double *lms = layers ? malloc((size_t)runs * (size_t)n * sizeof(*lms)) : NULL;
    if (!ms || (layers && !lms)) {
        no_memory(err);
    } else if (fill_input(net, err) == 0) {
        measure(net, ms, lms, n);
        for (int i = 0; i < n; i++)
            macs += qd_net_layer_macs(net, i);
        if (layers)
            print_layers(qd_net_model(net), net, lms, n);
        print_totals(ms, 2 * macs, 0);
        ret = 0;
    }
    free(ms);
    free(lms);
    qd_net_free(net);
    return ret;
}

/* ------------------------------------------------------------------ training ------------------ */

/* Time the steps: ms[runs], and with --layers lms[layer][forward or backward][run]. */
static int measure_steps(struct qd_trial *t, double *ms, double *lms, int n, struct qd_error *err)
{
    for (int i = -WARM_UP; i < runs; i++) {
        double start = cmd_now();
        if (qd_trial_step(t, err) < 0)
            return -1;
        if (i < 0)
            continue;
        ms[i] = (cmd_now() - start) * 1e3;
        for (int k = 0; lms && k < n; k++) {
            double *to = lms + (size_t)k * 2 * (size_t)runs + (size_t)i;
            struct qd_trial_layer l;
            qd_trial_layer(t, k, &l);
            to[0] = l.forward_ms;
            to[runs] = l.backward_ms;
        }
    }
    return 0;
}

static void print_steps(const struct qd_model *m, const struct qd_trial *t, double *ms, int n)
{
    printf("# layer\tsection\twhat\tforward_ms\tbackward_ms\tgflops_per_s\n");
    for (int i = 0; i < n; i++) {
        double *of = ms + (size_t)i * 2 * (size_t)runs;
        double forward = median(of, runs), backward = median(of + runs, runs);
        struct qd_trial_layer l;
        qd_trial_layer(t, i, &l);
        print_layer(m, i);
        printf("\t%.4f\t%.4f\t%.1f\n", forward, backward, rate(6 * l.macs, forward + backward));
    }
}

static int bench_steps(struct qd_model *m, struct qd_error *err)
{
    const struct qd_trial_opts o = {
        .batch = batch, .w = cmd.size.w, .h = cmd.size.h, .seed = 1, .timing = layers};
    int n = qd_model_layers(m), ret = -1;
    unsigned long long macs = 0;
    struct qd_trial *t = qd_trial_new(m, &o, err);

    if (!t)
        return -1;
    double *ms = malloc((size_t)runs * sizeof(*ms));
    double *lms = layers ? malloc(2 * (size_t)runs * (size_t)n * sizeof(*lms)) : NULL;
    if (!ms || (layers && !lms)) {
        no_memory(err);
    } else if (measure_steps(t, ms, lms, n, err) == 0) {
        for (int i = 0; i < n; i++) {
            struct qd_trial_layer l;
            qd_trial_layer(t, i, &l);
            macs += l.macs;
        }
        if (layers)
            print_steps(m, t, lms, n);
        /* as much again for the gradients of the inputs, and those of the weights */
        print_totals(ms, 6 * macs, qd_trial_memory(t));
        ret = 0;
    }
    free(ms);
    free(lms);
    qd_trial_free(t);
    return ret;
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};

    cmd_parse(&info, argc, argv);
    struct qd_model *m = cmd_model(&err);
    if (!m)
        return cmd_fail(&err);
    if (!cmd.weights && qd_model_settle(m, 1, &err) < 0) {
        qd_model_free(m);
        return cmd_fail(&err);
    }
    if (!train)
        return bench(m, &err) < 0 ? cmd_fail(&err) : cmd_finish();
    int ret = bench_steps(m, &err);
    qd_model_free(m);
    return ret < 0 ? cmd_fail(&err) : cmd_finish();
}
