/* SPDX-License-Identifier: MIT */
/* Levels: names, QD_CPU, what the errors say, the search for a convolution, borders. */
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "ops/ops.h"

/* Every entry of a table is there. */
static bool complete(const struct qd_ops *t)
{
    return t->level && t->conv && t->conv[0] && t->act && t->norm && t->maxpool &&
           t->avgpool_local && t->maxpool_depth && t->avgpool && t->upsample && t->downsample &&
           t->sum && t->gate && t->copy && t->softmax && t->reorg3d && t->reorg && t->blur;
}

static void tables(void)
{
    static const char *const order[] = {"ref", "blas", "vector", "avx2", "avx512"};
    const char *const *l = qd_ops_levels();
    int n = 0;

    for (; l[n]; n++) {
        const struct qd_ops *t = qd_ops_level(l[n]);
        IS_STR(l[n], order[n], "level %d", n);
        if (!t) {
            tap_skip("this machine has no level '%s'", l[n]);
            continue;
        }
        OK(complete(t), "the table of '%s' is complete", l[n]);
        IS_STR(t->level, l[n], "and knows its name");
    }
    OK(n == 3 || n == 5, "%d levels", n);
    OK(qd_ops_level("ref") && qd_ops_level("vector"), "plain C and vectors are always there");
    OK(!qd_ops_level("sse9") && !qd_ops_level("") && !qd_ops_level("REF"), "unknown names");
}

static void environment(void)
{
    struct qd_error err = {0};
    const char *best;

    unsetenv("QD_CPU");
    best = qd_level(&err);
    OK(best && strcmp(best, "blas") != 0 && strcmp(best, "ref") != 0, "default: %s", best);
    for (const char *const *l = qd_ops_levels(); *l; l++)
        if (qd_ops_level(*l))
            OK(strcmp(best, *l) == 0 || l[1] || strcmp(*l, "blas") == 0, "nothing above %s", best);
    setenv("QD_CPU", "", 1);
    IS_STR(qd_level(&err), best, "an empty QD_CPU is none");
    for (const char *const *l = qd_ops_levels(); *l; l++) {
        setenv("QD_CPU", *l, 1);
        err = (struct qd_error){0};
        const char *got = qd_level(&err);
        if (qd_ops_level(*l)) {
            IS_STR(got, *l, "QD_CPU=%s", *l);
            OK(qd_ops_get(NULL) == qd_ops_level(*l), "and its table");
        } else {
            OK(!got && err.code != QD_OK && strstr(err.msg, *l), "QD_CPU=%s: %s", *l, err.msg);
        }
    }
    setenv("QD_CPU", "axv2", 1);
    err = (struct qd_error){0};
    OK(!qd_ops_get(&err) && err.code == QD_EARG, "unknown level");
    OK(strncmp(err.msg, "QD_CPU: unknown level 'axv2'; this machine has ref, ", 52) == 0, "%s",
        err.msg);
    OK(strstr(err.msg, "vector") && strstr(err.msg, best), "the message lists what there is");
    OK(!qd_ops_get(NULL) && !qd_level(NULL), "without an error to fill in");
    unsetenv("QD_CPU");
}

static void text(void)
{
    const char *d = qd_level_detail();

    OK(strstr(d, "vector") && strstr(d, "blas") && !strchr(d, '\n'), "detail: %s", d);
    OK(qd_level_detail() == d, "static text");
    IS_STR(qd_version(), QD_VERSION, "version");
    if (qd_ops_level("blas"))
        OK(strstr(qd_level_detail(), "OpenBLAS core"), "names the BLAS core: %s",
            qd_level_detail());
    else
        tap_skip("no OpenBLAS here");
}

/* The largest coordinate outside of the input that a tap touches, by trying all. */
static int touched(const struct qd_conv_geom *g)
{
    int b = 0;

    for (int o = 0; o < QD_MAX(g->oh, g->ow); o++)
        for (int r = 0; r < QD_MAX(g->rh, g->rw); r++) {
            int y = o * g->sy + (r - g->pad) * g->dil, x = o * g->sx + (r - g->pad) * g->dil;
            if (o < g->oh && r < g->rh)
                b = QD_MAX(b, QD_MAX(-y, y - g->h + 1));
            if (o < g->ow && r < g->rw)
                b = QD_MAX(b, QD_MAX(-x, x - g->w + 1));
        }
    return b;
}

static void borders(void)
{
    struct qd_conv_geom g = {.n = 1,
        .h = 13,
        .w = 13,
        .c = 8,
        .oh = 13,
        .ow = 13,
        .k = 8,
        .rh = 3,
        .rw = 3,
        .sy = 1,
        .sx = 1,
        .pad = 1,
        .dil = 1,
        .groups = 1};
    int bad = 0, n = 0;

    OK(qd_conv_border(&g) == 1, "3x3");
    g.dil = 2;
    OK(qd_conv_border(&g) == 2, "3x3, dilation 2");
    g.pad = 0;
    g.oh = g.ow = 11;
    OK(qd_conv_border(&g) == 2, "no padding, dilation 2: the far end only");
    for (int i = 0; i < 3000; i++) {
        g.h = 1 + (int)(tap_rand() % 20);
        g.w = 1 + (int)(tap_rand() % 20);
        g.rh = 1 + (int)(tap_rand() % 5);
        g.rw = 1 + (int)(tap_rand() % 5);
        g.pad = (int)(tap_rand() % 4);
        g.dil = 1 + (int)(tap_rand() % 3);
        g.sy = 1 + (int)(tap_rand() % 3);
        g.sx = 1 + (int)(tap_rand() % 3);
        g.oh = (g.h + 2 * g.pad - g.rh) / g.sy + 1;
        g.ow = (g.w + 2 * g.pad - g.rw) / g.sx + 1;
        if (g.h + 2 * g.pad < g.rh || g.w + 2 * g.pad < g.rw)
            continue;
        n++;
        bad += qd_conv_border(&g) < touched(&g) ||
               qd_conv_border(&g) > QD_MAX(touched(&g), g.pad * g.dil);
    }
    OK(n > 1000 && !bad, "%d random geometries: enough and no more", n);
}

static void find(void)
{
    struct qd_conv_geom g = {.n = 1,
        .h = 9,
        .w = 7,
        .c = 6,
        .oh = 5,
        .ow = 4,
        .k = 9,
        .rh = 5,
        .rw = 3,
        .sy = 2,
        .sx = 2,
        .pad = 2,
        .dil = 1,
        .groups = 3};

    g.ow = (g.w + 4 - 3) / 2 + 1;
    for (const char *const *l = qd_ops_levels(); *l; l++) {
        const struct qd_ops *t = qd_ops_level(*l);
        const struct qd_conv_kernel *k = t ? qd_conv_find(t, &g) : NULL;
        if (t)
            OK(k && k->supports(&g) && k->packed(&g) >= 9 * 2 * 15,
                "%s has a kernel for an odd one", *l);
    }
}

int main(void)
{
    text();
    tables();
    environment();
    borders();
    find();
    return tap_done();
}
