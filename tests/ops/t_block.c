/* SPDX-License-Identifier: MIT */
/*
 * Convolutions with batch normalization gone through in blocks (ops/block.h) against the same
 * operations one after the other: maps that are cut into bands, inputs that are stored or made
 * from what is before them, several threads.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "ops/block.h"
#include "qd.h"

enum { MAX_C = 64, SPACE = 4 * 1024 * 1024 };

struct shape {
    int n, h, w, c, k, r, s, pad;
    bool deep;
};

static const struct shape shapes[] = {
    {1, 120, 120, 24, 40, 1, 1, 0, false},
    {1, 110, 130, 40, 40, 3, 1, 1, true},
    {1, 100, 126, 48, 48, 5, 1, 2, true},
    {1, 128, 127, 40, 40, 3, 2, 1, true},
    {17, 9, 8, 20, 20, 3, 1, 1, true},
    {1, 161, 161, 40, 40, 3, 2, 1, true},
};

static float *memory(size_t n)
{
    float *p = qd_alloc(n, sizeof(float), NULL);

    if (!p)
        exit(1);
    return p;
}

static struct qd_tensor tensor(const int nhwc[4], int border, unsigned seed)
{
    struct qd_tensor t;
    size_t floats;

    if (!qd_tensor_shape(&t, nhwc, border, &floats))
        exit(1);
    qd_tensor_place(&t, memory(floats));
    for (int i = 0; i < t.n * t.h * t.w; i++)
        for (int c = 0; c < t.c; c++)
            qd_at(&t, i / (t.h * t.w), i / t.w % t.h, i % t.w)[c] =
                (float)((seed += 2654435761u) >> 8 & 1023) / 512 - 1 + (float)c / 16;
    return t;
}

static void drop(struct qd_tensor *t)
{
    qd_free(t->data - (size_t)t->border * (t->rs + (size_t)t->ps));
}

/* The largest difference of interiors, in units of the largest value. */
static double apart(const struct qd_tensor *a, const struct qd_tensor *b)
{
    double worst = 0, most = 1e-9;

    for (int i = 0; i < a->n * a->h * a->w; i++)
        for (int c = 0; c < a->c; c++) {
            double x = (double)qd_at(a, i / (a->h * a->w), i / a->w % a->h, i % a->w)[c];
            double y = (double)qd_at(b, i / (a->h * a->w), i / a->w % a->h, i % a->w)[c];
            worst = fabs(x - y) <= worst ? worst : fabs(x - y); /* also not a number */
            most = fmax(most, fabs(x));
        }
    return worst / most;
}

static double apart_arrays(const float *a, const float *b, size_t n)
{
    double worst = 0, most = 1e-9;

    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        worst = d <= worst ? worst : d;
        most = fmax(most, fabs((double)a[i]));
    }
    return worst / most;
}

/* ---- both ways ------------------------------------------------------------------------------- */

struct side { /* numbers of the channels of one batch normalization */
    float mean[MAX_C], inv[MAX_C], scale[MAX_C], bias[MAX_C], gain[MAX_C], add[MAX_C];
    float p[MAX_C], q[MAX_C];
    double sums[3 * MAX_C];
};

struct run {
    const struct qd_ops *ops;
    const struct qd_grad_ops *grad;
    const struct qd_conv_kernel *kernel;
    struct qd_conv_geom g;
    struct qd_tensor before, x, z, dy, din; /* x = act(before, normalized) */
    struct side in, out;
    float *weight, *packed, *turned, *work, *dweight;
};

static void settle(struct side *s, int c)
{
    for (int i = 0; i < c; i++) {
        s->gain[i] = s->scale[i] * s->inv[i];
        s->add[i] = s->bias[i] - s->gain[i] * s->mean[i];
    }
}

static struct qd_bn_lines lines(const struct side *s)
{
    return (struct qd_bn_lines){s->mean, s->gain, s->bias, s->add, s->p, s->q, QD_LEAKY};
}

static void start(struct run *r, const char *level, const struct shape *s)
{
    int oh = (s->h + 2 * s->pad - s->r) / s->s + 1, ow = (s->w + 2 * s->pad - s->r) / s->s + 1;
    struct qd_conv_geom *g = &r->g;
    size_t weights = (size_t)(s->k * (s->deep ? 1 : s->c) * s->r * s->r);

    *r = (struct run){.ops = qd_ops_level(level)};
    r->grad = qd_grad_ops_of(r->ops);
    *g = (struct qd_conv_geom){s->n, s->h, s->w, s->c, oh, ow, s->k, s->r, s->r, s->s, s->s, s->pad,
        1, s->deep ? s->c : 1};
    r->kernel = qd_conv_find(r->ops, g);
    r->before = tensor((const int[]){s->n, s->h, s->w, s->c}, 0, 1);
    r->x = tensor((const int[]){s->n, s->h, s->w, s->c}, qd_conv_border(g), 2);
    r->din = tensor((const int[]){s->n, s->h, s->w, s->c}, 0, 3);
    r->z = tensor((const int[]){s->n, oh, ow, s->k}, 0, 4);
    r->dy = tensor((const int[]){s->n, oh, ow, s->k}, qd_conv_grad_border(g), 5);
    r->weight = memory(weights);
    r->dweight = memory(weights);
    for (size_t i = 0; i < weights; i++)
        r->weight[i] = (float)(i * 37 % 101) / 101 - .4f;
    r->packed = memory(r->kernel->packed(g));
    r->turned = memory(r->grad->conv_packed(g));
    r->work = memory(SPACE);
    r->kernel->pack(g, r->weight, NULL, r->packed);
    r->grad->conv_pack(g, r->weight, r->turned);
    for (int c = 0; c < MAX_C; c++) {
        r->in.mean[c] = .3f + (float)c / 16;
        r->in.inv[c] = 1.6f;
        r->in.scale[c] = r->out.scale[c] = c % 5 ? 1.2f : -.7f;
        r->in.bias[c] = r->out.bias[c] = .1f * (float)(c % 3);
    }
    settle(&r->in, g->c);
    r->ops->norm(&r->before, &r->x, r->in.gain, r->in.add, QD_LEAKY);
}

static void finish(struct run *r)
{
    float *blocks[] = {r->weight, r->packed, r->turned, r->work, r->dweight};

    for (size_t i = 0; i < QD_LEN(blocks); i++)
        qd_free(blocks[i]);
    drop(&r->before);
    drop(&r->x);
    drop(&r->din);
    drop(&r->z);
    drop(&r->dy);
}

/* One operation after the other. */
static void whole(struct run *r, float *var)
{
    const struct qd_epilogue ep = {.act = QD_LINEAR};
    const struct qd_conv_job job = {&r->g, r->packed, &r->x, &r->z, &ep, r->work};
    const struct qd_conv_grad back = {&r->g, &r->x, &r->dy, r->work};
    struct side *o = &r->out;
    float dscale[MAX_C] = {0}, dbias[MAX_C] = {0};
    const struct qd_bn bn = {.mean = o->mean,
        .inv = o->inv,
        .scale = o->scale,
        .bias = o->bias,
        .act = QD_LEAKY,
        .dscale = dscale,
        .dbias = dbias};

    r->kernel->run(&job);
    r->grad->stats(&r->z, o->mean, var);
    for (int c = 0; c < r->g.k; c++)
        o->inv[c] = 1 / sqrtf(var[c] + 1e-5f);
    r->grad->bn(&bn, &r->z, &r->dy, r->work);
    for (int c = 0; c < r->g.k; c++) {
        o->sums[c] = (double)dbias[c];
        o->sums[r->g.k + c] = (double)dscale[c] / (double)o->inv[c];
    }
    r->grad->conv_weights(&back, r->dweight);
    r->grad->conv_data(&back, r->turned, &r->din, true);
}

static void blocks(struct run *r, bool lazy, float *var, bool *summed)
{
    const struct qd_lazy made = {r->before, lines(&r->in), r->in.sums, summed};
    struct qd_block b = {&r->g, r->kernel, r->grad, &r->x, lazy ? &made : NULL, r->packed, r->work};
    struct side *o = &r->out;
    double count = (double)r->g.n * r->g.oh * r->g.ow;

    qd_block_forward(&b, &r->z, o->mean, var);
    for (int c = 0; c < r->g.k; c++)
        o->inv[c] = 1 / sqrtf(var[c] + 1e-5f);
    settle(o, r->g.k);
    const struct qd_bn_lines l = lines(o);
    const struct qd_block_back back = {&l, &r->z, &r->dy, r->dweight, &r->din, true};
    qd_block_sums(&b, &l, &r->z, &r->dy, o->sums);
    for (int c = 0; c < r->g.k; c++) {
        o->p[c] = o->inv[c] * o->inv[c] * (float)(o->sums[r->g.k + c] / count);
        o->q[c] = (float)(o->sums[c] / count);
    }
    b.packed = r->turned;
    qd_block_backward(&b, &back);
}

/* Sums of the gradient of what is before x, from the gradient of x. */
static double sums_apart(struct run *r, const struct run *w)
{
    double got[3 * MAX_C] = {0}, worst = 0, most = 1e-9;
    const struct qd_bn_lines l = lines(&r->in);

    r->grad->bn_part(&l, &w->before, &w->din, false, got);
    for (int c = 0; c < 2 * r->g.c; c++) {
        worst = fmax(worst, fabs(got[c] - r->in.sums[c]));
        most = fmax(most, fabs(got[c]));
    }
    return worst / most;
}

static void compare(const char *level, const struct shape *s)
{
    float var[MAX_C], var2[MAX_C];
    struct run w;
    size_t weights = (size_t)(s->k * (s->deep ? 1 : s->c) * s->r * s->r);

    start(&w, level, s);
    if (!w.grad->blocks || !qd_block_fits(&w.g, w.kernel, w.grad, true)) {
        OK(!w.grad->blocks, "%s: blocks for %dx%d", level, s->h, s->w);
        finish(&w);
        return;
    }
    whole(&w, var);
    for (int way = 0; way < 6; way++) { /* two inputs, three numbers of threads */
        struct run r;
        bool summed = false;
        if (qd_threads_set(1 + way / 2, NULL) < 0)
            exit(1);
        start(&r, level, s);
        OK(qd_block_work(&r.g, r.kernel, r.grad) <= SPACE, "scratch");
        blocks(&r, way % 2, var2, &summed);
        double f = fmax(apart(&w.z, &r.z), apart_arrays(var, var2, (size_t)s->k));
        double b = fmax(apart(&w.din, &r.din), apart_arrays(w.dweight, r.dweight, weights));
        double sums = way % 2 ? sums_apart(&r, &w) : 0;
        OK(f < 1e-5 && b < 2e-5 && sums < 2e-5 && summed == (way % 2 == 1),
            "%s: %dx%dx%d %dx%d/%d, %s, %d threads: %.1e, %.1e, %.1e", level, s->h, s->w, s->c,
            s->r, s->r, s->s, way % 2 ? "made" : "stored", 1 + way / 2, f, b, sums);
        finish(&r);
    }
    finish(&w);
}

int main(void)
{
    for (const char *const *l = qd_ops_levels(); *l; l++)
        for (size_t i = 0; i < QD_LEN(shapes) && qd_ops_level(*l); i++)
            if (strcmp(*l, "blas") != 0)
                compare(*l, &shapes[i]);
    return tap_done();
}
