/* SPDX-License-Identifier: MIT */
/*
 * The reference operations against values worked out by hand and against the planar formulas of
 * the specification; t_ops.c compares all other levels with the reference.
 */
#include <math.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "ops/ops.h"

/* A tensor of one image in memory of its own. */
struct box {
    struct qd_tensor t;
    float *mem;
};

static void box_new(struct box *b, int h, int w, int c, int border)
{
    size_t floats;

    if (!qd_tensor_shape(&b->t, (const int[]){1, h, w, c}, border, &floats))
        exit(1);
    b->mem = qd_alloc(floats, sizeof(float), NULL);
    if (!b->mem)
        exit(1);
    qd_tensor_place(&b->t, b->mem);
}

static void box_free(struct box *b)
{
    qd_free(b->mem);
    *b = (struct box){0};
}

/* Without a border; values with channels together. */
static void literal(struct box *b, int h, int w, int c, const float *values)
{
    box_new(b, h, w, c, 0);
    if (values)
        memcpy(b->t.data, values, (size_t)h * (size_t)w * (size_t)c * sizeof(float));
}

/* Whether it holds these values; frees it. */
static bool holds(struct box *b, const float *want)
{
    size_t n = b->t.is;
    bool same = true;

    for (size_t i = 0; i < n; i++)
        same = same && fabsf(b->t.data[i] - want[i]) <= 1e-6f * (1 + fabsf(want[i]));
    box_free(b);
    return same;
}

static const float three[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void pool(const struct qd_ops *r)
{
    struct box in, out;
    struct qd_pool_geom half = {2, 2, 2, 0}, same = {2, 1, 1, 0}, three_by_three = {3, 1, 1, -1};
    struct qd_pool_geom beyond = {2, 3, 3, -2};

    literal(&in, 3, 3, 1, three);
    literal(&out, 2, 2, 1, NULL);
    r->maxpool(&in.t, &out.t, &half);
    OK(holds(&out, (const float[]){5, 6, 8, 9}), "max-pool 2x2/2 of an odd size");
    literal(&out, 3, 3, 1, NULL);
    r->maxpool(&in.t, &out.t, &same);
    OK(holds(&out, (const float[]){5, 6, 6, 8, 9, 9, 8, 9, 9}), "max-pool 2x2/1 pads on the right");
    literal(&out, 3, 3, 1, NULL);
    r->avgpool_local(&in.t, &out.t, &three_by_three);
    OK(holds(&out, (const float[]){3, 3.5f, 4, 4.5f, 5, 5.5f, 6, 6.5f, 7}),
        "local mean counts what is there");
    literal(&out, 2, 2, 1, NULL);
    r->maxpool(&in.t, &out.t, &beyond);
    OK(holds(&out, (const float[]){0, 0, 0, 9}), "a window wholly outside gives 0");
    literal(&out, 1, 1, 1, NULL);
    r->avgpool(&in.t, &out.t);
    OK(holds(&out, (const float[]){5}), "mean");
    literal(&out, 6, 6, 1, NULL);
    r->upsample(&in.t, &out.t, 2, .5f);
    OK(qd_at(&out.t, 0, 3, 1)[0] == 2 && qd_at(&out.t, 0, 0, 5)[0] == 1.5f, "upsample");
    struct box back;
    literal(&back, 3, 3, 1, NULL);
    r->downsample(&out.t, &back.t, 2, .5f);
    OK(holds(&back, three), "downsample is a sum");
    box_free(&out);
    box_free(&in);
    literal(&in, 1, 1, 6, three);
    literal(&out, 1, 1, 2, NULL);
    r->maxpool_depth(&in.t, &out.t);
    OK(holds(&out, (const float[]){5, 6}), "max over groups of channels");
    box_free(&in);
}

/* Planar formulas of spec darknet.md 2.8 on a numbered tensor. */
static void reorg(const struct qd_ops *r)
{
    enum { H = 4, W = 6, C = 8, S = 2, N = H * W * C };
    static float flat[N], got[N];
    struct box in, out, back;
    int bad = 0, bad3d = 0;

    for (int i = 0; i < N; i++)
        flat[i] = (float)i;
    box_new(&in, H, W, C, 0);
    box_new(&out, H / S, W / S, C * S * S, 0);
    box_new(&back, H, W, C, 0);
    qd_tensor_from_planar(&in.t, 0, flat);
    r->reorg(&in.t, &out.t, S, false);
    qd_tensor_to_planar(&out.t, 0, got);
    for (int k = 0; k < C; k++)
        for (int j = 0; j < H; j++)
            for (int i = 0; i < W; i++) {
                int c2 = k % (C / 4), off = k / (C / 4);
                int from = i * S + off % S + W * S * (j * S + off / S + H * S * c2);
                bad += got[i + W * (j + H * k)] != flat[from];
            }
    OK(!bad, "old reorg");
    r->reorg(&out.t, &back.t, S, true);
    OK(holds(&back, in.t.data), "and back");
    r->reorg3d(&in.t, &out.t, S, false);
    qd_tensor_to_planar(&out.t, 0, got);
    for (int k = 0; k < C * 4; k++)
        for (int j = 0; j < H / S; j++)
            for (int i = 0; i < W / S; i++) {
                int off = k / C, y = j * S + off / S, x = i * S + off % S;
                bad3d += got[i + W / S * (j + H / S * k)] != flat[x + W * (y + H * (k % C))];
            }
    OK(!bad3d, "reorg3d");
    box_free(&in);
    box_free(&out);
}

static void elt(const struct qd_ops *r)
{
    struct box a, b, out;
    const struct qd_tensor *in[2] = {&a.t, &b.t};
    struct qd_sum s = {.in = in, .nin = 2, .act = QD_LEAKY};

    literal(&a, 1, 1, 3, (const float[]){1, -2, 3});
    literal(&b, 1, 1, 2, (const float[]){10, -20});
    literal(&out, 1, 1, 3, NULL);
    r->sum(&s, &out.t);
    OK(holds(&out, (const float[]){11, -2.2f, 3}), "sum with fewer channels");
    s.weight = (const float[]){2, -1};
    literal(&out, 1, 1, 3, NULL);
    r->sum(&s, &out.t);
    OK(holds(&out, (const float[]){-.8f, 16, 6}), "weighted");
    s.weight = (const float[]){1, 2, 3, .5f, .25f, 99};
    s.per_channel = true;
    literal(&out, 1, 1, 3, NULL);
    r->sum(&s, &out.t);
    OK(holds(&out, (const float[]){6, -.9f, 9}), "weighted by channel");
    literal(&out, 1, 1, 3, NULL);
    r->act(&a.t, &out.t, QD_NORM_CHAN, NULL);
    OK(holds(&out, (const float[]){1 / 4.0001f, 0, 3 / 4.0001f}), "normalize_channels");
    literal(&out, 1, 1, 3, NULL);
    r->softmax(&a.t, &out.t, 1, 2);
    OK(holds(&out, (const float[]){.2537162f, .0566117f, .6896721f}), "softmax");
    box_free(&b);
    literal(&b, 1, 1, 1, (const float[]){-2});
    literal(&out, 1, 1, 3, NULL);
    r->gate(&a.t, &b.t, &out.t, QD_GATE_PIXEL, QD_RELU);
    OK(holds(&out, (const float[]){0, 4, 0}), "gate");
    box_free(&a);
    box_free(&b);
    box_new(&a, 3, 3, 1, 1);
    for (int i = 0; i < 9; i++)
        *qd_at(&a.t, 0, i / 3, i % 3) = three[i];
    literal(&out, 2, 2, 1, NULL);
    r->blur(&a.t, &out.t, (const float[]){1, 2, 1, 2, 4, 2, 1, 2, 1}, (const int[]){3, 2, 1});
    OK(holds(&out, (const float[]){21, 33, 57, 69}), "blur with padding and stride");
    box_free(&a);
}

int main(void)
{
    const struct qd_ops *ref = qd_ops_level("ref");

    pool(ref);
    reorg(ref);
    elt(ref);
    return tap_done();
}
