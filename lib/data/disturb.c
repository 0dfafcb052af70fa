/* SPDX-License-Identifier: MIT */
/*
 * Blur and noise of augmentation.  The blur is a Gaussian in two passes, each a window that slides
 * over lines which are mirrored at their ends; its deviation follows from the size of the window,
 * by the rule that OpenCV has for a deviation of 0.
 */
#include <math.h>

#include "base/error.h"
#include "data/sample.h"

/* Half of a Gaussian window and its weights: at[0] is the centre's. */
struct window {
    int half;
    float *at; /* [half + 1] */
};

static int window_open(struct window *w, int size, struct qd_error *err)
{
    double sum = 0;

    w->half = size / 2;
    double deviation = .3 * (w->half - 1) + .8;
    w->at = qd_alloc_raw((size_t)w->half + 1, sizeof(float), err);
    if (!w->at)
        return -1;
    for (int i = 0; i <= w->half; i++)
        sum += (i ? 2 : 1) * exp(-.5 * i * i / (deviation * deviation));
    for (int i = 0; i <= w->half; i++)
        w->at[i] = (float)(exp(-.5 * i * i / (deviation * deviation)) / sum);
    return 0;
}

/* Where position i, perhaps outside, of n lies after reflections about the first and the last. */
static int mirrored(int i, int n)
{
    if (n == 1)
        return 0;
    int period = 2 * (n - 1), k = i % period;
    k = k < 0 ? k + period : k;
    return k < n ? k : period - k;
}

/* One pass: out[i] of n groups of 'run' floats is the mean around group i of 'in'. */
static void slide(const struct window *w, const float *in, float *out, int n, int run)
{
    for (int i = 0; i < n; i++, out += run) {
        for (int k = 0; k < run; k++)
            out[k] = w->at[0] * in[(ptrdiff_t)i * run + k];
        for (int d = 1; d <= w->half; d++) {
            const float *a = in + (ptrdiff_t)mirrored(i - d, n) * run;
            const float *b = in + (ptrdiff_t)mirrored(i + d, n) * run;
            float by = w->at[d];
            for (int k = 0; k < run; k++)
                out[k] += by * (a[k] + b[k]);
        }
    }
}

int qd_blur(float *px, const int hwc[3], int size, struct qd_error *err)
{
    int h = hwc[0], run = hwc[1] * hwc[2];
    size_t row = (size_t)run;
    struct window w;

    if (size < 3 || h < 1 || run < 1)
        return 0;
    if (window_open(&w, size, err) < 0)
        return -1;
    float *other = qd_alloc_raw((size_t)h * row, sizeof(float), err);
    if (other) {
        for (int y = 0; y < h; y++)
            slide(&w, px + (size_t)y * row, other + (size_t)y * row, hwc[1], hwc[2]);
        slide(&w, other, px, h, run);
    }
    qd_free(other);
    qd_free(w.at);
    return other ? 0 : -1;
}

void qd_noise(float *px, size_t n, float deviation, struct qd_rng *r)
{
    float some[256];

    for (size_t at = 0; at < n; at += QD_LEN(some)) {
        size_t k = QD_MIN(QD_LEN(some), n - at);
        qd_rng_normals(r, some, k);
        for (size_t i = 0; i < k; i++) {
            float v = px[at + i] + deviation * some[i];
            px[at + i] = v < 0 ? 0 : v > 1 ? 1 : v;
        }
    }
}
