/* SPDX-License-Identifier: MIT */
/* Activations: names, and every level against the formulas in double precision. */
#include <float.h>
#include <math.h>

#include "tap.h"
#include "base/base.h"
#include "formula.h"
#include "ops/ops.h"

/* Sums and products of a few float roundings, next to 1 or relative to the value. */
static const double abs_tol = 1e-6, rel_tol = 1e-6;

enum { STEPS = 4001 };

static const float extremes[] = {0.f, -0.f, 20.f, -20.f, 20.0001f, -20.0001f, 88.f, -88.f, 104.f,
    -104.f, 1e4f, -1e4f, 1e30f, -1e30f, FLT_MAX / 8, -FLT_MAX / 8, FLT_MIN, -FLT_MIN, 1e-40f,
    -1e-40f, 6.f, 3.f, -3.f, -2.f, 1.f, -1.f, 4.f, -4.f};
enum { COUNT = STEPS + QD_LEN(extremes) };

static float grid(int i)
{
    return i < STEPS ? -25 + 50 * (float)i / (STEPS - 1) : extremes[i - STEPS];
}

/* One pixel of COUNT channels, so that prelu has a slope for each. */
static void check(const struct qd_ops *ops, enum qd_act a)
{
    static float in[COUNT + QD_SLACK], out[COUNT + QD_SLACK], slope[COUNT + QD_SLACK];
    struct qd_tensor
        t = {.data = in, .n = 1, .h = 1, .w = 1, .c = COUNT, .ps = COUNT, .rs = COUNT, .is = COUNT},
        q = t;
    double worst = 0;
    int at = 0;

    q.data = out;
    for (int i = 0; i < COUNT; i++) {
        in[i] = grid(i);
        slope[i] = .25f + (float)(i % 7) / 16;
    }
    ops->act(&t, &q, a, a == QD_PRELU ? slope : NULL);
    for (int i = 0; i < COUNT; i++) {
        double want = formula(a, (double)in[i], (double)slope[i]);
        double off = fabs((double)out[i] - want) / (abs_tol + rel_tol * fabs(want));
        if (!(off <= worst)) { /* also when it is not a number */
            worst = off;
            at = i;
        }
    }
    OK(worst <= 1, "%s: %s(%g) is %g, not %g (%.2f of the tolerance)", ops->level, qd_act_name(a),
        (double)in[at], (double)out[at], formula(a, (double)in[at], (double)slope[at]), worst);

    /* The kernels that keep a row in registers see the same. */
    for (int i = 0; i < 40; i++)
        in[i] = i % 3 ? 1 : NAN;
    t.c = q.c = 40;
    ops->act(&t, &q, a, a == QD_PRELU ? slope : NULL);
    int good = 0;
    for (int i = 0; i < 40; i++)
        good += isnan(out[i]) == (i % 3 == 0);
    OK(good == 40, "%s: %s(nan) is nan", ops->level, qd_act_name(a));
}

static void names(void)
{
    int good = 0;

    for (int a = 0; a < QD_ACT_COUNT; a++)
        good += qd_act_find(qd_act_name((enum qd_act)a)) == a;
    OK(good == QD_ACT_COUNT, "every name finds its activation");
    OK(qd_act_find("none") == QD_LINEAR, "none is linear");
    OK(qd_act_find("h_swish") == QD_HSWISH, "h_swish");
    OK(qd_act_find("") == -1 && qd_act_find("Leaky") == -1 && qd_act_find("relu66") == -1,
        "unknown names");
    OK(qd_act_elementwise(QD_PRELU) && !qd_act_elementwise(QD_NORM_CHAN) &&
            !qd_act_elementwise(QD_NORM_CHAN_SOFTMAX_MAX),
        "elementwise or not");
}

/* qd_act_ref itself, value by value. */
static void scalar(enum qd_act a)
{
    int bad = 0;

    for (int i = 0; i < COUNT; i++) {
        double want = formula(a, (double)grid(i), .3);
        bad +=
            !(fabs((double)qd_act_ref(a, grid(i), .3f) - want) <= abs_tol + rel_tol * fabs(want));
    }
    OK(!bad, "qd_act_ref: %s, %d values", qd_act_name(a), COUNT);
    OK(isnan(qd_act_ref(a, NAN, .3f)), "qd_act_ref: %s(nan)", qd_act_name(a));
}

int main(void)
{
    names();
    for (int a = 0; qd_act_elementwise((enum qd_act)a); a++) {
        scalar((enum qd_act)a);
        for (const char *const *l = qd_ops_levels(); *l; l++)
            if (qd_ops_level(*l))
                check(qd_ops_level(*l), (enum qd_act)a);
            else
                tap_skip("this machine has no level '%s'", *l);
    }
    return tap_done();
}
