/* SPDX-License-Identifier: MIT */
/*
 * Gradients of whole nets against differences of the loss, for each cfg in this folder, at ref and
 * at the level that is in use.  Every cfg begins with a linear convolution, so that the gradients
 * of inputs are checked with it, once as the only one that reads it and once added to another
 * gradient; the nets named act-* run with every activation in turn.
 *
 * Differences over 2h, extrapolated (Richardson), are exact to h^4 where the loss is smooth.  Where
 * a kink lies within h, the differences over h, h/2 and h/4, or the second differences, disagree,
 * and no one knows better: a smaller h is tried, then the sample is given up. That judgement does
 * not look at the gradient under test.
 */
#include "net_rig.h"

/* In units of the root mean square of all gradients of a net (plus the gradient itself).  Rounding
 * of a loss of some hundred outputs, 1e-6, over the smallest step is 2e-3 in gradients of size 5.
 */
static const double SMOOTH = 1e-3;
/* A kink that the judgement lets pass moves the difference by at most five times that. */
static const double TOL = 6e-3;

enum {
    BATCH = 3,      /* two images make batch normalization behind [connected] a step */
    SAMPLES = 4,    /* of each array */
    DIRECTIONS = 3, /* of all parameters together */
    ATTEMPTS = 8    /* for each of these, until they are smooth */
};
static const double steps[] = {1. / 32, 1. / 256, 1. / 1024};

struct check {
    struct rig r;
    float *base, *dir, *grad;
    double rms;
    int arrays, samples, smooth; /* samples that were tried, that could be judged */
    double worst;
    char where[100];
};

/* The loss at base + h * dir; all of these are exact in float. */
static double loss_at(struct check *c, double h)
{
    for (size_t i = 0; i < c->r.g->nparams; i++)
        c->r.m->params[i] = c->base[i] + (float)h * c->dir[i];
    return rig_loss(&c->r);
}

/* Differences over h, h/2 and h/4 that agree: the derivative along dir. */
static bool try_step(struct check *c, double h, double here, double unit, double *out)
{
    double first[3], second[3];

    for (int i = 0; i < 3; i++, h /= 2) {
        double up = loss_at(c, h), down = loss_at(c, -h);
        first[i] = (up - down) / (2 * h);
        second[i] = (up + down - 2 * here) / h;
        if (i && !(fabs(first[i] - first[i - 1]) <= SMOOTH * unit &&
                     fabs(second[i] - second[i - 1] / 2) <= SMOOTH * unit))
            return false;
    }
    *out = (4 * first[2] - first[1]) / 3;
    return true;
}

/* False when no step finds the loss smooth. */
static bool derivative(struct check *c, double unit, double *out)
{
    double here = loss_at(c, 0);

    for (size_t k = 0; k < QD_LEN(steps); k++)
        if (try_step(c, steps[k], here, unit, out))
            return true;
    return false;
}

static void sample(struct check *c, const char *where, size_t index)
{
    double want = 0, got, unit;

    for (size_t i = 0; i < c->r.g->nparams; i++)
        want += (double)c->grad[i] * (double)c->dir[i];
    unit = c->rms + fabs(want);
    c->samples++;
    if (!derivative(c, unit, &got))
        return;
    c->smooth++;
    double off = fabs(got - want) / unit;
    if (off <= c->worst) /* so that NaN is the worst */
        return;
    c->worst = off;
    snprintf(c->where, sizeof(c->where), "%s %zu: %g instead of %g", where, index, want, got);
}

/* [shortcut] takes the normalization of its weights for constant: t_train.c has them. */
static bool true_gradient(const struct qd_layer *l, const struct qd_param *p)
{
    return !(p->flags & (QD_PARAM_STAT | QD_PARAM_SHARED)) &&
           strcmp(l->type->section, "shortcut") != 0;
}

static void each_array(struct check *c, int samples)
{
    const struct qd_graph *g = c->r.g;

    for (int i = 0; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nparams; k++) {
            const struct qd_param *p = &g->layer[i].param[k];
            char where[60];
            snprintf(where, sizeof(where), "layer %d %s", i, p->name);
            if (!true_gradient(&g->layer[i], p))
                continue;
            c->arrays++;
            for (int s = 0, enough = c->smooth + samples;
                 s < samples * ATTEMPTS && c->smooth < enough; s++) {
                size_t j = tap_rand() % p->count;
                memset(c->dir, 0, g->nparams * sizeof(float));
                c->dir[p->offset + j] = 1;
                sample(c, where, j);
            }
        }
}

static void directions(struct check *c)
{
    const struct qd_graph *g = c->r.g;

    for (int d = 0, enough = c->smooth + DIRECTIONS;
         d < DIRECTIONS * ATTEMPTS && c->smooth < enough; d++) {
        memset(c->dir, 0, g->nparams * sizeof(float));
        for (int i = 0; i < g->nlayers; i++)
            for (int k = 0; k < g->layer[i].nparams; k++) {
                const struct qd_param *p = &g->layer[i].param[k];
                for (size_t j = 0; true_gradient(&g->layer[i], p) && j < p->count; j++)
                    c->dir[p->offset + j] = tap_rand() % 2 ? 1.f / 64 : -1.f / 64;
            }
        sample(c, "direction", (size_t)d);
    }
}

/* Running statistics have no gradient. */
static bool statistics_untouched(const struct check *c)
{
    for (int i = 0; i < c->r.g->nlayers; i++)
        for (int k = 0; k < c->r.g->layer[i].nparams; k++) {
            const struct qd_param *p = &c->r.g->layer[i].param[k];
            for (size_t j = 0; (p->flags & QD_PARAM_STAT) && j < p->count; j++)
                if (c->grad[p->offset + j] != 0)
                    return false;
        }
    return true;
}

static void check_net(struct check *c, const char *name, const char *what, int samples)
{
    size_t n = c->r.g->nparams;
    int all, smooth;

    c->base = qd_alloc(n, sizeof(float), NULL);
    c->dir = qd_alloc(n, sizeof(float), NULL);
    c->grad = qd_alloc(n, sizeof(float), NULL);
    if (!c->base || !c->dir || !c->grad)
        rig_die("out of memory");
    memcpy(c->base, c->r.m->params, n * sizeof(float));
    memcpy(c->grad, rig_gradients(&c->r), n * sizeof(float));
    c->rms = rig_rms(c->grad, n);
    OK(c->rms > 1e-3 && statistics_untouched(c), "%s %s: gradients of parameters only", name, what);
    each_array(c, samples);
    all = c->samples;
    smooth = c->smooth;
    OK(smooth >= c->arrays && c->worst <= TOL, "%s %s: %d of %d samples, off by %.2g (%s)", name,
        what, smooth, all, c->worst, c->where);
    c->worst = 0;
    *c->where = 0;
    directions(c);
    OK(c->smooth > smooth && c->worst <= TOL, "%s %s: %d of %d directions, off by %.2g (%s)", name,
        what, c->smooth - smooth, c->samples - all, c->worst, c->where);
    qd_free(c->base);
    qd_free(c->dir);
    qd_free(c->grad);
    rig_close(&c->r);
}

static void every_activation(const char *name, const char *level, int *refused)
{
    struct rig_opts o = {.batch = BATCH, .seed = 1};
    struct rig plain = rig_open(name, &o);
    int last = plain.g->nlayers - 1;

    rig_close(&plain);
    for (int a = 0; a < QD_ACT_COUNT; a++) {
        char override[80], what[80];
        struct check c = {0};
        snprintf(override, sizeof(override), "%d.activation=%s", last, qd_act_name((enum qd_act)a));
        snprintf(what, sizeof(what), "%s %s", level, qd_act_name((enum qd_act)a));
        o.override = override;
        if (rig_try(&c.r, name, &o))
            check_net(&c, name, what, SAMPLES / 2);
        else
            ++*refused;
    }
}

static void all_nets(const char *level, bool *seen)
{
    size_t n;
    static char **names;
    static size_t count;
    int refused = 0;

    if (!names)
        names = rig_cfgs(&count);
    n = count;
    for (size_t i = 0; i < n; i++) {
        struct rig_opts o = {.batch = BATCH, .seed = 1};
        struct check c = {.r = rig_open(names[i], &o)};
        for (int k = 0; k < c.r.g->nlayers; k++)
            for (int t = 0; qd_layer_types[t]; t++)
                seen[t] |= qd_layer_types[t] == c.r.g->layer[k].type;
        if (strncmp(names[i], "act-", 4) == 0) {
            rig_close(&c.r);
            every_activation(names[i], level, &refused);
        } else {
            char what[40];
            check_net(&c, names[i], level, SAMPLES);
            snprintf(what, sizeof(what), "%s with a branch", level);
            o.branch = true;
            c = (struct check){.r = rig_open(names[i], &o)};
            check_net(&c, names[i], what, SAMPLES);
        }
    }
    OK(refused == 3, "prelu, and nothing else, is refused by three layers (%d)", refused);
}

int main(void)
{
    bool seen[100] = {0};
    const char *given = getenv("QD_CPU");
    char fast[20];

    snprintf(fast, sizeof(fast), "%s", given ? given : "");
    if (qd_threads_set(1, NULL) < 0 || setenv("QD_CPU", "ref", 1) < 0)
        return 99;
    all_nets("ref", seen);
    if (setenv("QD_CPU", fast, 1) < 0 || !qd_level(NULL))
        return 99;
    if (strcmp(qd_level(NULL), "ref") != 0)
        all_nets(qd_level(NULL), seen);
    for (int t = 0; qd_layer_types[t]; t++)
        if (qd_layer_types[t]->backward || qd_layer_types[t]->head)
            OK(seen[t], "[%s] is in some net here", qd_layer_types[t]->section);
    return tap_done();
}
