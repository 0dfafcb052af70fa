/* SPDX-License-Identifier: MIT */
/*
 * [dropout]: a layer of its own in every count, and at inference its input as it is (spec
 * darknet.md 2.9; Srivastava et al. 2014).  Training works in place, so that all who read the input
 * later see it thinned out, and backward puts the whole values back before those who read it
 * earlier get to work, if there are any.  With dropblock=1 squares fall out (Ghiasi, Lin and Le
 * 2018).
 *
 * saved: with dropblock=1 the factor of each value; then, where somebody reads them again, the
 * values as they were.
 */
#include "base/num.h"
#include "base/par.h"
#include "base/rng.h"
#include "net/layer/learn.h"

static const struct qd_cfg_key keys[] = {
    QD_K_FLOAT("probability", "0.2", 0, 1, "training: share of the values that are zeroed"),
    QD_K_FLAG("dropblock", "0", "training: zero blocks instead of single values"),
    QD_K_FLOAT("dropblock_size_rel", "0", 0, 1, "training: side of a block, as a share"),
    QD_K_INT("dropblock_size_abs", "0", 0, 65536, "training: side of a block in pixels"),
    QD_KEY_END,
};

struct dropout {
    float p;
    bool block;
    int block_h, block_w;
};

/* Side of a block on an axis of 'side' pixels. */
static int block_side(int side, float rel, int abs)
{
    int b = abs > 0 ? abs : (int)(rel * (float)side);

    return QD_MIN(QD_MAX(b, 1), side);
}

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    struct dropout *v = l->priv;
    float rel = qd_key_float(k, "dropblock_size_rel");
    int size = qd_key_int(k, "dropblock_size_abs");
    char text[64];

    (void)err; /* faults go through the keys */
    v->p = qd_key_float(k, "probability");
    v->block = qd_key_int(k, "dropblock");
    v->block_h = block_side(l->ih, rel, size);
    v->block_w = block_side(l->iw, rel, size);
    qd_layer_detail(l, "%s", qd_num_format(v->p, text));
    l->place = QD_PLACE_ALIAS;
    return k->failed ? -1 : 0;
}

static void train_need(
    struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need)
{
    const struct dropout *v = l->priv;
    size_t floats = qd_learn_floats(n, l->h, l->w, l->c);

    (void)g;
    need->saved = qd_learn_sum(need->untouched ? 0 : floats, v->block ? floats : 0);
    need->no_in = need->no_out = need->untouched;
}

struct job {
    const struct qd_layer *l;
    const struct qd_tensor *value; /* forward: multiplied */
    const struct qd_tensor *dout;  /* NULL in forward */
    struct qd_tensor whole, factor;
    uint64_t seed;
};

static struct job job_of(const struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct dropout *v = l->priv;
    size_t behind = v->block ? qd_learn_floats(p->n, l->h, l->w, l->c) : 0;

    return (struct job){.l = l,
        .value = p->out,
        .dout = p->dout,
        .whole = qd_learn_dense(l, p->n, p->saved + behind),
        .factor = qd_learn_dense(l, p->n, p->saved),
        .seed = p->seed};
}

/* Blocks of one channel fall out; returns how many of its values stay. */
static size_t drop_blocks(const struct job *j, int n, int c, struct qd_rng *r)
{
    const struct dropout *v = j->l->priv;
    int room_h = j->l->h - v->block_h + 1, room_w = j->l->w - v->block_w + 1;
    float share = v->p * (float)j->l->h * (float)j->l->w /
                  ((float)v->block_h * (float)v->block_w * (float)room_h * (float)room_w);
    size_t left = 0;

    for (int y = 0; y < room_h; y++)
        for (int x = 0; x < room_w; x++) {
            if (qd_rng_float(r) >= share)
                continue;
            for (int i = 0; i < v->block_h * v->block_w; i++)
                qd_at(&j->factor, n, y + i / v->block_w, x + i % v->block_w)[c] = 0;
        }
    for (int y = 0; y < j->l->h; y++)
        for (int x = 0; x < j->l->w; x++)
            left += qd_at(&j->factor, n, y, x)[c] != 0;
    return left;
}

/* The factors of one image: 0, or what keeps the sum of an image as it is on average. */
static void block_image(void *ctx, int n, int thread)
{
    const struct job *j = ctx;
    struct qd_rng r = qd_rng_new(j->seed, (uint64_t)n);
    size_t all = (size_t)j->l->h * (size_t)j->l->w * (size_t)j->l->c, left = 0;
    float *f = qd_at(&j->factor, n, 0, 0);

    (void)thread;
    for (size_t i = 0; i < all; i++)
        f[i] = 1;
    for (int c = 0; c < j->l->c; c++)
        left += drop_blocks(j, n, c, &r);
    for (size_t i = 0; i < all && left; i++)
        f[i] *= (float)all / (float)left;
}

/* One row of one image times the factors of its blocks; back: of the gradient, and the whole values
 * are put back. */
static void block_row(void *ctx, int chunk, int thread)
{
    const struct job *j = ctx;
    int n = chunk / j->l->h, y = chunk % j->l->h;

    (void)thread;
    for (int x = 0; x < j->l->w; x++) {
        const float *factor = qd_at(&j->factor, n, y, x);
        float *to = qd_at(j->dout ? j->dout : j->value, n, y, x);
        for (int c = 0; c < j->l->c; c++)
            to[c] *= factor[c];
    }
}

static void train_forward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct dropout *v = l->priv;
    struct job j = job_of(l, p);

    j.dout = NULL;
    if (!p->untouched)
        p->ops->copy(p->out, &j.whole);
    if (v->block) {
        qd_par(p->n, block_image, &j);
        qd_par(p->n * l->h, block_row, &j);
    } else {
        p->grad->thin(p->out, p->out, v->p, p->seed);
    }
}

static void backward(struct qd_layer *l, const struct qd_train_pass *p)
{
    const struct dropout *v = l->priv;
    struct job j = job_of(l, p);

    if (v->block)
        qd_par(p->n * l->h, block_row, &j);
    else
        p->grad->thin(p->dout, p->dout, v->p, p->seed);
    if (!p->untouched)
        p->ops->copy(&j.whole, p->out);
}

const struct qd_layer_type qd_type_dropout = {
    .section = "dropout",
    .help = "training: zero some values at random",
    .keys = keys,
    .priv_size = sizeof(struct dropout),
    .setup = setup,
    .channels = qd_channels_same,
    .train_need = train_need,
    .train_forward = train_forward,
    .backward = backward,
};
