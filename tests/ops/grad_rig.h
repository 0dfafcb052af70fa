/* SPDX-License-Identifier: MIT */
/*
 * How operations of training are tested: at ref against central differences of the forward
 * operation, and at every level against ref: odd sizes, slices of wider tensors, borders, adding
 * and writing; nothing but the interior of the result may change, inputs may not, and 1, 2 and 3
 * threads must give the same bytes.
 */
#ifndef GRAD_RIG_H
#define GRAD_RIG_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "box.h"
#include "ops/grad.h"

enum { MAX_IN = 6, MAX_RESULT = 4, MAX_C = 1200, X = 0, DY = 1 };

/* ---- the operations -------------------------------------------------------------------------- */

struct test {
    int variant;
    bool fresh;
    int nin, in[MAX_IN][4]; /* shapes; 0 is always x and 1 dy */
    float *data[MAX_IN];    /* dense */
    int nout, narr;         /* results: tensors (none: dy in place), then arrays */
    int wrt[MAX_RESULT];    /* result k is the gradient of data[wrt[k]] */
    struct box src[MAX_IN], dst[2];
    float *arr[MAX_RESULT]; /* dense arrays, added to */
    float mean[MAX_C], inv[MAX_C];
};

struct op {
    const char *name;
    int variants;
    bool in_place;        /* tensor result: dy */
    float h;              /* step of differences: small, but 1/128 where all sums are exact */
    double diff_tol, tol; /* of differences, of levels; 0: the same values */
    /* Shapes from a base shape; false when the variant does not fit it. */
    bool (*shape)(struct test *t, const int base[4]);
    void (*prepare)(struct test *t); /* NULL, or makes data that follows from other data */
    void (*call)(const struct qd_grad_ops *g, const struct test *t);
    double (*loss)(const struct test *t); /* sum of dy * forward(x) */
};

static inline void set(int shape[4], int n, int h, int w, int c)
{
    memcpy(shape, (const int[]){n, h, w, c}, 4 * sizeof(int));
}

static inline size_t count_of(const int s[4])
{
    return (size_t)s[0] * (size_t)s[1] * (size_t)s[2] * (size_t)s[3];
}

static inline float *dense(size_t count)
{
    float *p = qd_alloc(count + QD_SLACK, sizeof(float), NULL);

    if (!p)
        exit(1);
    return p;
}

/* Dense memory with a border of 'border' zero pixels around a copy of data[i]. */
static inline struct qd_tensor tensor_of(const struct test *t, int i, int border, float **mem)
{
    struct qd_tensor v, d;
    size_t floats;

    if (!qd_tensor_shape(&d, t->in[i], 0, &floats) ||
        !qd_tensor_shape(&v, t->in[i], border, &floats))
        exit(1);
    *mem = dense(floats);
    qd_tensor_place(&v, *mem);
    qd_tensor_place(&d, t->data[i]);
    qd_ops_level("ref")->copy(&d, &v);
    return v;
}

/* Sum of dy * out over a forward operation's result. */
typedef void forward_fn(const struct qd_ops *o, const struct test *t, const struct qd_tensor *x,
    const struct qd_tensor *out);

static inline double loss_of(const struct test *t, forward_fn *forward)
{
    float *mx, *my;
    struct qd_tensor x = tensor_of(t, X, 2, &mx), y = tensor_of(t, DY, 0, &my);
    double s = 0;

    forward(qd_ops_level("ref"), t, &x, &y);
    for (size_t i = 0; i < count_of(t->in[DY]); i++)
        s += (double)my[i] * (double)t->data[DY][i];
    qd_free(mx);
    qd_free(my);
    return s;
}

static inline bool same_shape(struct test *t, const int base[4])
{
    t->nin = 2;
    t->nout = 1;
    memcpy(t->in[X], base, sizeof(t->in[X]));
    memcpy(t->in[DY], base, sizeof(t->in[DY]));
    return true;
}

/* ---- running them ---------------------------------------------------------------------------- */

static const int shapes[][4] = {{1, 1, 1, 1}, {2, 5, 7, 3}, {1, 13, 13, 19}, {3, 4, 6, 24},
    {1, 8, 9, 33}, {1, 1, 1, 1000}, {2, 3, 37, 8}, {2, 30, 40, 16}};

/* What is wrong, "" if nothing. */
static char wrong[200];

static inline void fails(const struct test *t, int threads, const char *what)
{
    if (!*wrong)
        snprintf(wrong, sizeof(wrong), "variant %d, %d x %d x %d x %d, %d threads, %s: %s",
            t->variant, t->in[X][0], t->in[X][1], t->in[X][2], t->in[X][3], threads,
            t->fresh ? "fresh" : "adding", what);
}

static inline size_t result_floats(const struct test *t)
{
    size_t n = 0;

    for (int k = 0; k < t->nout + t->narr; k++)
        n += count_of(t->in[t->wrt[k]]);
    return n;
}

/* What results hold before: something of its own for each place, or what nobody may keep. */
static inline void first_values(const struct test *t, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = t->fresh ? NAN : (float)(int)(i % 61) / 16 - 2;
}

static inline void set_up(const struct op *op, struct test *t, int layout)
{
    float *first = dense(result_floats(t) + count_of(t->in[X]));

    for (int i = 0; i < t->nin; i++) {
        box_new(&t->src[i], t->in[i], &layouts[(layout + i) % (int)QD_LEN(layouts)]);
        box_interior(&t->src[i], t->data[i], true);
        box_remember(&t->src[i]);
    }
    for (int k = 0; k < t->nout && !op->in_place; k++) {
        const int *shape = t->in[t->wrt[k]];
        box_new(&t->dst[k], shape, &layouts[(layout + k + 2) % (int)QD_LEN(layouts)]);
        first_values(t, first, count_of(shape));
        box_interior(&t->dst[k], first, true);
        box_remember(&t->dst[k]);
    }
    for (int k = 0; k < t->narr; k++) {
        size_t n = count_of(t->in[t->wrt[t->nout + k]]);
        t->arr[k] = dense(n);
        for (size_t i = 0; i < n; i++) /* arrays are always added to */
            t->arr[k][i] = t->fresh ? 0 : (float)(i % 7);
    }
    qd_free(first);
}

/* Run at one level with one layout; the results, densely, in 'result'. */
static inline void run_once(const struct op *op, struct test *t, const struct qd_ops *level,
    const int how[2], float *result)
{
    int threads = how[1], place = op->in_place;

    set_up(op, t, how[0]);
    if (qd_threads_set(threads, NULL) < 0)
        exit(1);
    op->call(qd_grad_ops_of(level), t);
    for (int k = 0; k < t->nout; k++) {
        struct box *out = place ? &t->src[DY] : &t->dst[k];
        box_interior(out, result, false);
        result += count_of(t->in[t->wrt[k]]);
        if (!box_outside_unchanged(out))
            fails(t, threads, "wrote outside");
    }
    for (int i = 0; i < t->nin; i++) {
        if (!(place && i == DY) && !box_unchanged(&t->src[i]))
            fails(t, threads, "an input changed");
        box_free(&t->src[i]);
    }
    for (int k = 0; k < t->narr; k++) {
        size_t n = count_of(t->in[t->wrt[t->nout + k]]);
        memcpy(result, t->arr[k], n * sizeof(float));
        result += n;
        qd_free(t->arr[k]);
        t->arr[k] = NULL;
    }
    box_free(&t->dst[0]);
    box_free(&t->dst[1]);
}

/* Sums over many values may differ by what their rounding adds up to. */
static inline bool close_enough(
    const struct test *t, const float *got, const float *want, double tol)
{
    for (int k = 0; k < t->nout + t->narr; k++) {
        size_t n = count_of(t->in[t->wrt[k]]);
        double unit = k < t->nout ? 1 : sqrt((double)count_of(t->in[X]));
        for (size_t i = 0; i < n; i++)
            if (!(fabs((double)got[i] - (double)want[i]) <= tol * (unit + fabs((double)want[i]))))
                return false;
        got += n;
        want += n;
    }
    return true;
}

/* All layouts and threads against what ref gave. */
static inline void check_level(
    const struct op *op, struct test *t, const struct qd_ops *level, const float *want)
{
    size_t n = result_floats(t);
    float *one = dense(n), *more = dense(n);

    for (int how = 0; how < (int)QD_LEN(layouts); how++) {
        run_once(op, t, level, (const int[]){how, 1}, one);
        if (!close_enough(t, one, want, op->tol))
            fails(t, 1, "differs from ref");
        for (int threads = 2; threads <= 3; threads++) {
            run_once(op, t, level, (const int[]){how, threads}, more);
            if (memcmp(one, more, n * sizeof(float)) != 0)
                fails(t, threads, "differs from one thread");
        }
    }
    qd_free(one);
    qd_free(more);
}

/* Multiples of 1/64, whose sums of products are exact; many equal ones. */
static inline void make_data(const struct op *op, struct test *t)
{
    for (int i = 0; i < t->nin; i++) {
        size_t n = count_of(t->in[i]);
        t->data[i] = dense(n);
        for (size_t k = 0; k < n; k++)
            t->data[i][k] = (float)(int)(tap_rand() % 512) / 64 - 4;
    }
    if (op->prepare)
        op->prepare(t);
}

static inline void free_data(struct test *t)
{
    for (int i = 0; i < t->nin; i++)
        qd_free(t->data[i]);
}

static inline void check_op(const struct op *op, const struct qd_ops *level)
{
    int n = 0;

    *wrong = 0;
    for (int v = 0; v < op->variants; v++)
        for (size_t i = 0; i < QD_LEN(shapes); i++) {
            struct test t = {.variant = v, .fresh = n % 2};
            if (!op->shape(&t, shapes[i]))
                continue;
            make_data(op, &t);
            float *want = dense(result_floats(&t));
            run_once(op, &t, qd_ops_level("ref"), (const int[]){0, 1}, want);
            check_level(op, &t, level, want);
            qd_free(want);
            free_data(&t);
            n++;
        }
    OK(!*wrong && n > 5, "%s: %s, %d cases %s", level->level, op->name, n, wrong);
}

/* ---- ref against differences ----------------------------------------------------------------- */

/* Distinct multiples of 1/64, so that a step of 1/128 never changes which is the largest, nor
 * crosses the kinks of activations, which are at multiples of 1. */
static inline void spread(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = ((float)i - (float)(n / 2)) / 32 + 1.f / 64;
    for (size_t i = n; i-- > 1;) {
        size_t k = tap_rand() % (i + 1);
        float v = p[i];
        p[i] = p[k];
        p[k] = v;
    }
}

/* How far a result is from the difference of the loss over 2h at that place of the data. */
static inline double apart(const struct op *op, struct test *t, float *place, float got)
{
    float h = op->h, v = *place;
    double up, down, step;

    *place = v + h;
    step = (double)*place;
    up = op->loss(t);
    *place = v - h;
    step -= (double)*place;
    down = op->loss(t);
    *place = v;
    double want = (up - down) / step;
    return fabs((double)got - want) / (1 + fabs(want));
}

static inline void check_differences(const struct op *op, int variant, const int base[4])
{
    struct test t = {.variant = variant, .fresh = true};
    double worst = 0;

    if (!op->shape(&t, base))
        return;
    make_data(op, &t);
    spread(t.data[X], count_of(t.in[X]));
    if (op->prepare)
        op->prepare(&t);
    float *result = dense(result_floats(&t)), *got = result;
    *wrong = 0;
    run_once(op, &t, qd_ops_level("ref"), (const int[]){0, 1}, result);
    for (int k = 0; k < t.nout + t.narr; k++)
        for (size_t i = 0; i < count_of(t.in[t.wrt[k]]); i++, got++) {
            double d = apart(op, &t, &t.data[t.wrt[k]][i], *got);
            worst = d <= worst ? worst : d; /* also when it is not a number */
        }
    OK(worst <= op->diff_tol && !*wrong, "ref: %s variant %d, %d x %d x %d x %d: %.3g apart %s",
        op->name, variant, base[0], base[1], base[2], base[3], worst, wrong);
    qd_free(result);
    free_data(&t);
}

/* All of it for a table of operations. */
static inline int grad_main(const struct op *op, size_t nops)
{
    static const int small[][4] = {{2, 3, 4, 6}, {1, 5, 4, 3}, {2, 2, 2, 1}};

    for (size_t i = 0; i < nops; i++)
        for (int v = 0; v < op[i].variants; v++)
            for (size_t k = 0; k < QD_LEN(small); k++)
                check_differences(&op[i], v, small[k]);
    for (const char *const *l = qd_ops_levels(); *l; l++) {
        if (strcmp(*l, "blas") == 0) /* has the operations of the best level */
            continue;
        const struct qd_ops *level = qd_ops_level(*l);
        if (!level)
            tap_skip("this machine has no level '%s'", *l);
        for (size_t i = 0; level && i < nops; i++)
            check_op(&op[i], level);
    }
    return tap_done();
}

#endif
