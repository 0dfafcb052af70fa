/* SPDX-License-Identifier: MIT */
/*
 * Whole networks against scripts/mkgolden.py, an implementation in 64-bit floats that shares
 * nothing with ours: every layer's output at every level, and what is left of them when layers are
 * fused and memory is shared.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "base/buf.h"
#include "base/io.h"
#include "ops/ops.h"

/* Single precision over a dozen layers: 1e-5 of the largest value of a tensor. */
#define GOLDEN_TOL 1e-5

static struct qd_error err;

static const char *file(const char *name, const char *suffix)
{
    static char path[1200];
    const char *root = getenv("QD_ROOT");

    snprintf(path, sizeof(path), "%s/tests/golden/%s%s", root ? root : ".", name, suffix);
    return path;
}

/* The difference as a share of the largest expected value; infinity for NaN. */
static double difference(const float *got, const float *want, size_t n)
{
    double worst = 0, top = 1e-3;

    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!(d <= worst))
            worst = isnan(d) ? (double)INFINITY : d;
        if (fabs((double)want[i]) > top)
            top = fabs((double)want[i]);
    }
    return worst / top;
}

static void fill_input(struct qd_net *net)
{
    int h, w, c;

    qd_net_size(net, &h, &w, &c);
    float *x = qd_alloc((size_t)(h * w * c), sizeof(*x), NULL);
    for (int k = 0; x && k < c; k++)
        for (int y = 0; y < h; y++)
            for (int i = 0; i < w; i++)
                x[(k * h + y) * w + i] = (float)((7 * k + 3 * y + 5 * i) % 256) / 255;
    for (int b = 0; x && b < 2; b++)
        qd_net_set_planar(net, b, x);
    qd_free(x);
}

/* Compare all layers whose output can be had for image 'index'; the worst goes into *worst.
 * Returns how many there were. */
static int compare(const struct qd_net *net, const struct qd_model *m, int index,
    const struct qd_buf *want, double *worst)
{
    const float *expected = (const float *)(const void *)want->data;
    int compared = 0;

    *worst = 0;
    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info l;
        qd_model_layer(m, i, &l);
        size_t n = (size_t)(l.h * l.w * l.c);
        float *got = qd_alloc(n, sizeof(*got), NULL);
        if (got && qd_net_output(net, i, index, got, NULL) == 0) {
            double d = difference(got, expected, n);
            if (d > *worst)
                *worst = d;
            if (d > GOLDEN_TOL)
                printf("# layer %d (%s %s) differs by %.2g\n", i, l.section, l.detail, d);
            compared++;
        }
        qd_free(got);
        expected += n;
    }
    return compared;
}

static void run(const struct qd_model *m, const char *name, const char *level, bool keep_all,
    const struct qd_buf *want)
{
    struct qd_net_opts opts = {.batch = 2, .keep_all = keep_all};
    const char *how = keep_all ? "all layers" : "fused";
    double first, second;

    setenv("QD_CPU", level, 1);
    struct qd_net *net = qd_net_new(m, &opts, &err);
    unsetenv("QD_CPU");
    if (!OK(net, "%s at level %s, %s: %s", name, level, how, err.msg))
        return;
    fill_input(net);
    qd_net_forward(net);
    int n = compare(net, m, 0, want, &first);
    int k = compare(net, m, 1, want, &second);
    OK(n > 0 && n == k && (!keep_all || n == qd_model_layers(m)), "%d of %d outputs can be had", n,
        qd_model_layers(m));
    OK(first <= GOLDEN_TOL && second <= GOLDEN_TOL, "%s at level %s, %s: %.2g from the reference",
        name, level, how, first > second ? first : second);
    qd_net_free(net);
}

static void check(const char *name)
{
    struct qd_cfg *cfg = qd_cfg_load(file(name, ".cfg"), &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    struct qd_buf want = {0};
    size_t floats = 0;

    if (!OK(m && qd_model_load(m, file(name, ".weights"), NULL, NULL, &err) == 0 &&
                qd_io_slurp(file(name, ".f32"), 1 << 20, &want, &err) == 0,
            "%s loads: %s", name, err.msg)) {
        qd_model_free(m);
        return;
    }
    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info l;
        qd_model_layer(m, i, &l);
        floats += (size_t)(l.h * l.w * l.c);
    }
    OK(want.len == floats * sizeof(float), "%s: all shapes are those of the reference", name);
    qd_le_floats((float *)(void *)want.data, want.len / sizeof(float));
    for (const char *const *l = qd_ops_levels(); want.len == floats * sizeof(float) && *l; l++) {
        if (!qd_ops_level(*l)) {
            tap_skip("this machine has no level %s", *l);
            continue;
        }
        run(m, name, *l, true, &want);
        run(m, name, *l, false, &want);
    }
    qd_buf_free(&want);
    qd_model_free(m);
}

int main(void)
{
    check("conv");
    check("act");
    check("graph");
    return tap_done();
}
