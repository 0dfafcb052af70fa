/* SPDX-License-Identifier: MIT */
/*
 * Derivatives of activations: against central differences of the formulas in double precision,
 * from the input and from the output, at every level; at kinks the side that darknet takes.
 */
#include <float.h>
#include <math.h>

#include "tap.h"
#include "base/base.h"
#include "formula.h"
#include "ops/grad.h"
#include "ops/kernels.h"

enum { STEPS = 1601, EXTREMES = 20, COUNT = STEPS + EXTREMES };

static const double slope = .3, tol = 3e-6;

static const float extremes[EXTREMES] = {88.5f, -88.5f, 104.5f, -104.5f, 1e4f, -1e4f, 1e30f, -1e30f,
    FLT_MAX / 8, -FLT_MAX / 8, 1e-3f, -1e-3f, 1e-4f, -1e-4f, 6.01f, 19.99f, 20.01f, -20.01f,
    -19.99f, -2.01f};

/* Away from all kinks, which are at integers, by at least 1/128 in the grid. */
static float at(int i)
{
    return i < STEPS ? (float)(2 * i + 1 - STEPS) / 64 + 1.f / 128 : extremes[i - STEPS];
}

/* Of the formula, by a difference that stays on one side of the kinks. */
static double derivative(enum qd_act a, double x)
{
    double h = 1e-5;

    return (formula(a, x + h, slope) - formula(a, x - h, slope)) / (x + h - (x - h));
}

/* Differences of numbers near 1e30 are rounding noise. */
static double want_at(enum qd_act a, float x)
{
    if (fabsf(x) > 1e3f) /* all are straight out there: f(x) = slope * x + offset */
        return a == QD_STAIR ? (double)qd_act_grad_ref(a, x, 0)
                             : formula(a, (double)x, slope) / (double)x;
    return derivative(a, (double)x);
}

static bool near(double got, double want)
{
    return fabs(got - want) <= tol + tol * fabs(want);
}

static void scalar(enum qd_act a)
{
    int bad = 0, from_y = 0;
    float first = 0;

    for (int i = 0; i < COUNT; i++) {
        float x = at(i), y = (float)formula(a, (double)x, slope);
        double want = want_at(a, x), tiny = fabsf(x) > 1e3f ? 1e-2 : 0;
        if (!(fabs((double)qd_act_grad_ref(a, x, .3f) - want) <= tiny + tol + tol * fabs(want))) {
            first = bad ? first : x;
            bad++;
        }
        /* y rounds, so that 1 - y loses what is below 1e-7 */
        if (qd_act_from_output(a) && fabsf(x) < 1e3f)
            from_y += !near((double)qd_act_grad_out_ref(a, y), want);
    }
    OK(!bad, "%s: derivative from x, first wrong at %g: %g, not %g", qd_act_name(a), (double)first,
        (double)qd_act_grad_ref(a, first, .3f), want_at(a, first));
    if (qd_act_from_output(a))
        OK(!from_y, "%s: derivative from y", qd_act_name(a));
}

/* darknet's sides: the derivative at 0 and at the other kinks. */
static void kinks(void)
{
    static const struct {
        enum qd_act a;
        float x, want;
    } k[] = {{QD_LEAKY, 0, .1f}, {QD_RELU, 0, 0}, {QD_RELIE, 0, .01f}, {QD_RAMP, 0, .1f},
        {QD_RELU6, 0, 0}, {QD_RELU6, 6, 0}, {QD_ELU, 0, 1}, {QD_SELU, 0, 1.0507f},
        {QD_HARDTAN, 1, 0}, {QD_HARDTAN, -1, 0}, {QD_LHTAN, 0, .001f}, {QD_LHTAN, 1, .001f},
        {QD_PLSE, 4, .125f}, {QD_PLSE, -4, .125f}, {QD_STAIR, 1, 0}, {QD_STAIR, 2, 0},
        {QD_HARD_MISH, 0, 1}, {QD_HARD_MISH, -2, 0}, {QD_PRELU, 0, .3f}, {QD_HSWISH, -3, 0},
        {QD_HSWISH, 3, 1}};

    for (size_t i = 0; i < QD_LEN(k); i++)
        NEAR((double)qd_act_grad_ref(k[i].a, k[i].x, .3f), (double)k[i].want, 0, 1e-7, "%s at %g",
            qd_act_name(k[i].a), (double)k[i].x);
}

/* One pixel of COUNT channels with dy = 1, through the table. */
static void level(const struct qd_ops *ops, enum qd_act a)
{
    static float x[COUNT + QD_SLACK], y[COUNT + QD_SLACK], d[COUNT + QD_SLACK], s[COUNT];
    const struct qd_grad_ops *g = qd_grad_ops_of(ops);
    struct qd_tensor
        t = {.data = x, .n = 1, .h = 1, .w = 1, .c = COUNT, .ps = COUNT, .rs = COUNT, .is = COUNT},
        ty = t, td = t;
    int bad = 0, bad_y = 0;

    ty.data = y;
    td.data = d;
    for (int i = 0; i < COUNT; i++) {
        x[i] = at(i);
        y[i] = qd_act_ref(a, x[i], .3f);
        d[i] = 2;
        s[i] = .3f;
    }
    g->act(&t, &td, a, a == QD_PRELU ? s : NULL, NULL);
    for (int i = 0; i < COUNT; i++)
        bad += !near((double)d[i], 2 * (double)qd_act_grad_ref(a, x[i], .3f));
    OK(!bad, "%s: act of %s", g->level, qd_act_name(a));
    if (!qd_act_from_output(a))
        return;
    for (int i = 0; i < COUNT; i++)
        d[i] = 2;
    g->act_out(&ty, &td, a, NULL, NULL);
    for (int i = 0; i < COUNT; i++)
        bad_y += !near((double)d[i], 2 * (double)qd_act_grad_out_ref(a, y[i]));
    OK(!bad_y, "%s: act_out of %s", g->level, qd_act_name(a));
}

int main(void)
{
    kinks();
    for (int a = 0; qd_act_elementwise((enum qd_act)a); a++) {
        scalar((enum qd_act)a);
        for (const char *const *l = qd_ops_levels(); *l; l++)
            if (qd_ops_level(*l))
                level(qd_ops_level(*l), (enum qd_act)a);
            else
                tap_skip("this machine has no level '%s'", *l);
    }
    return tap_done();
}
