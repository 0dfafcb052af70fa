/* SPDX-License-Identifier: MIT */
/*
 * Losses of single numbers, in double: cross-entropy of a logit, with and without focus on what is
 * still wrong, and the softmax.
 */
#include <math.h>

#include "train/loss/loss.h"

/* ln(1 + e^x) without overflow. */
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

double qd_bce(double x, double t, double pw, double *dx)
{
    double p = 1 / (1 + exp(-x));

    *dx = (1 - t) * p - pw * t * (1 - p);
    return pw * t * softplus(-x) + (1 - t) * softplus(x);
}

double qd_bce_focal(double x, double t, double pw, const double alpha_gamma[2], double *dx)
{
    double alpha = alpha_gamma[0], gamma = alpha_gamma[1], p = 1 / (1 + exp(-x)), dbce;
    double bce = qd_bce(x, t, pw, &dbce);
    double wrong = t * (1 - p) + (1 - t) * p; /* 1 - p_t */
    double a = alpha * t + (1 - alpha) * (1 - t);
    double m = a * pow(wrong, gamma);
    /* d(wrong)/dx = (1 - 2t) p (1 - p); wrong^(gamma - 1) is finite where gamma < 1 makes it not */
    double dm = wrong > 0 ? gamma * m / wrong * (1 - 2 * t) * p * (1 - p) : 0;

    *dx = dbce * m + bce * dm;
    return bce * m;
}

float qd_loss_focal(float p)
{
    double pt = (double)p + 1e-15;

    return (float)(-.5 * (1 - pt) * (2 * pt * log(pt) + pt - 1));
}

void qd_loss_softmax(const float *x, float *p, int n, float temperature)
{
    float max = x[0], sum = 0;

    for (int i = 1; i < n; i++)
        max = fmaxf(max, x[i]);
    for (int i = 0; i < n; i++)
        sum += p[i] = expf((x[i] - max) / temperature);
    for (int i = 0; i < n; i++)
        p[i] /= sum;
}
