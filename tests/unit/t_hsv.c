/* SPDX-License-Identifier: MIT */
/* Changes of hue, saturation and value against the way through a colour circle in six cases. */
#include <math.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "data/sample.h"

/* The textbook way: to hue, saturation, value and back. */
static void hsv_reference(const struct qd_hsv *f, const float in[3], double o[3])
{
    double r = (double)in[0], g = (double)in[1], b = (double)in[2];
    double v = fmax(r, fmax(g, b)), c = v - fmin(r, fmin(g, b)), h = 0, s = v > 0 ? c / v : 0;

    if (c > 0)
        h = v == r ? (g - b) / c : v == g ? 2 + (b - r) / c : 4 + (r - g) / c;
    h = h / 6 < 0 ? h / 6 + 1 : h / 6;
    h = h * (double)f->hue_mul + (double)f->hue_add;
    h -= floor(h);
    s *= (double)f->sat;
    v *= (double)f->val;
    if (f->limit) {
        s = fmin(s, 1);
        v = fmin(v, 1);
    }
    int sextant = (int)(h * 6) % 6;
    double t = h * 6 - floor(h * 6), p = v * (1 - s), q = v * (1 - s * t),
           u = v * (1 - s * (1 - t));
    const double table[6][3] = {{v, u, p}, {q, v, p}, {p, v, u}, {p, q, v}, {u, p, v}, {v, p, q}};
    for (int k = 0; k < 3; k++)
        o[k] = fmin(fmax(table[sextant][k], 0), 1);
}

static void colours(void)
{
    static const struct qd_hsv changes[] = {{1, 0, 1, 1, false}, {1, 0, 1.5f, .7f, false},
        {1, 0, .3f, 1.6f, false}, {1, .1f, 1, 1, false}, {1, -.3f, 1.4f, 1.2f, false},
        {1, .5f, .5f, .5f, false}, {1.2f, 0, 1.6f, 1.5f, true}, {.7f, 0, .4f, .6f, true},
        {1, 0, 1.7f, 1, true}};
    float px[200][3], in[200][3];

    for (size_t i = 0; i < QD_LEN(changes); i++) {
        double worst = 0, o[3];
        for (int k = 0; k < 600; k++)
            in[k / 3][k % 3] = (float)(tap_rand() % 9) / 8; /* grays and primary colours, too */
        memcpy(px, in, sizeof(px));
        qd_hsv_apply(&changes[i], px[0], 200, 3, 3);
        for (int k = 0; k < 200; k++) {
            hsv_reference(&changes[i], in[k], o);
            for (int j = 0; j < 3; j++)
                worst = fmax(worst, fabs((double)px[k][j] - o[j]));
        }
        OK(worst < 1e-5, "change of colours %zu: at most %g off", i, worst);
    }
    const struct qd_hsv gray = {1, .2f, 3, 1.5f, false};
    float v[4] = {.5f, 7, .8f, 7};
    qd_hsv_apply(&gray, v, 2, 1, 2);
    OK(v[0] == .75f && v[1] == 7 && v[2] == 1 && v[3] == 7, "gray: value only, gaps untouched");
}

int main(void)
{
    colours();
    return tap_done();
}
