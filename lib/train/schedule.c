/* SPDX-License-Identifier: MIT */
/*
 * Policies, one row each in a table: a function of the iteration and the keys of [net].  Each is
 * scaled by the burn-in, which ends abruptly at its last iteration, as in darknet.
 */
#include "train/schedule.h"

#include <math.h>

#include "base/error.h"
#include "base/rng.h"

struct qd_policy {
    const char *name;
    double (*rate)(const struct qd_schedule *s, double n);
    bool ends; /* needs the number of iterations */
};

static const double pi = 3.14159265358979323846;

static double constant(const struct qd_schedule *s, double n)
{
    (void)n;
    return s->lr;
}

static double step(const struct qd_schedule *s, double n)
{
    return s->lr * pow(s->scale, floor(n / s->step));
}

static double steps(const struct qd_schedule *s, double n)
{
    double rate = s->lr;

    for (int i = 0; i < s->nsteps && s->steps[i] <= n; i++)
        rate *= (double)s->scales[i];
    return rate;
}

static double exponential(const struct qd_schedule *s, double n)
{
    return s->lr * pow(s->gamma, n);
}

/* The share of the run that is done, at most 1. */
static double part(const struct qd_schedule *s, double n)
{
    return fmin(n / (double)s->max_batches, 1);
}

static double poly(const struct qd_schedule *s, double n)
{
    return s->lr * pow(1 - part(s, n), s->power);
}

static double random_rate(const struct qd_schedule *s, double n)
{
    struct qd_rng r = qd_rng_new(s->seed, (uint64_t)5 << 60 | (uint64_t)n);

    return s->lr * pow((double)qd_rng_float(&r), s->power);
}

static double sigmoid(const struct qd_schedule *s, double n)
{
    return s->lr / (1 + exp(s->gamma * (n - s->step)));
}

static double between(const struct qd_schedule *s, double done)
{
    return s->lr_min + .5 * (s->lr - s->lr_min) * (1 + cos(pi * done));
}

/* Warm restarts (Loshchilov and Hutter 2017). */
static double sgdr(const struct qd_schedule *s, double n)
{
    double start = 0, length = s->cycle;

    while (n >= start + length) {
        start += length;
        length *= s->mult;
        if (length < 1)
            return s->lr_min;
    }
    return between(s, (n - start) / length);
}

static double cosine(const struct qd_schedule *s, double n)
{
    return between(s, part(s, n));
}

static double linear(const struct qd_schedule *s, double n)
{
    return s->lr + (s->lr_min - s->lr) * part(s, n);
}

static const struct qd_policy policies[] = {
    {"constant", constant, false},
    {"step", step, false},
    {"steps", steps, false},
    {"exp", exponential, false},
    {"poly", poly, true},
    {"random", random_rate, false},
    {"sigmoid", sigmoid, false},
    {"sgdr", sgdr, false},
    {"cos", cosine, true},
    {"linear", linear, true},
};

static int read_steps(struct qd_schedule *s, struct qd_keys *k)
{
    int nscales = qd_key_floats(k, "scales", s->scales, QD_SCHEDULE_STEPS);
    float at[QD_SCHEDULE_STEPS];

    s->nsteps = qd_key_floats(k, "steps", at, QD_SCHEDULE_STEPS);
    if (k->failed)
        return -1;
    if (s->nsteps == 0 || s->nsteps != nscales)
        return qd_key_fault(
            k, QD_EFORMAT, "steps", "policy=steps has %d steps and %d scales", s->nsteps, nscales);
    for (int i = 0; i < s->nsteps; i++) {
        s->steps[i] = (int)fmaxf(fminf(at[i], 2147483520.f), -2147483520.f);
        if (i > 0 && s->steps[i] < s->steps[i - 1])
            return qd_key_fault(k, QD_EFORMAT, "steps", "the steps do not ascend");
    }
    return 0;
}

int qd_schedule_read(struct qd_schedule *s, const struct qd_cfg *cfg, uint64_t iterations,
    uint64_t seed, struct qd_error *err)
{
    struct qd_keys k = qd_keys_open(cfg, 0, qd_net_keys, NULL, err);
    const char *name = qd_key_word(&k, "policy");

    *s = (struct qd_schedule){
        .lr = (double)qd_key_float(&k, "learning_rate"),
        .burn_in = qd_key_int(&k, "burn_in"),
        .power = (double)qd_key_float(&k, "power"),
        .scale = (double)qd_key_float(&k, "scale"),
        .gamma = (double)qd_key_float(&k, "gamma"),
        .step = qd_key_int(&k, "step"),
        .mult = (double)qd_key_float(&k, "sgdr_mult"),
        .cycle = qd_key_int(&k, "sgdr_cycle"),
        .max_batches = iterations,
        .seed = seed,
    };
    s->lr_min = (double)qd_key_float(&k, "learning_rate_min");
    if (s->cycle <= 0)
        s->cycle = (double)iterations;
    for (size_t i = 0; i < QD_LEN(policies); i++)
        if (strcmp(policies[i].name, name) == 0)
            s->policy = &policies[i];
    if (k.failed)
        return -1;
    if (!s->policy)
        return qd_key_fault(&k, QD_EUNSUP, "policy", "policy '%s' is not known here", name);
    if (s->policy->ends && !iterations)
        return qd_key_fault(&k, QD_EFORMAT, "policy", "policy=%s needs max_batches", name);
    if (s->policy->rate == sgdr && s->cycle < 1)
        return qd_key_fault(&k, QD_EFORMAT, "policy", "policy=sgdr needs sgdr_cycle");
    /* these two are ours; a twentieth is the end that was found good (compression.md 5.4) */
    if ((s->policy->rate == cosine || s->policy->rate == linear) &&
        !qd_key_given(&k, "learning_rate_min"))
        s->lr_min = s->lr / 20;
    return s->policy->rate == steps ? read_steps(s, &k) : 0;
}

double qd_schedule_burnt(const struct qd_schedule *s, uint64_t n)
{
    return n < (uint64_t)s->burn_in ? (double)n / s->burn_in : 1;
}

double qd_schedule_rate(const struct qd_schedule *s, uint64_t n)
{
    double burnt = qd_schedule_burnt(s, n);

    if (burnt < 1 && !s->straight)
        return s->lr * pow(burnt, s->power);
    return burnt * s->policy->rate(s, (double)n);
}
