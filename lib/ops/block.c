/* SPDX-License-Identifier: MIT */
/*
 * Training a convolution with batch normalization block by block.  A block is some output rows of
 * an image.  Where a kernel needs rows around it they are made again: they have just been read.
 */
#include "ops/block.h"

#include "base/par.h"

enum {
    BLOCK = 1024 * 1024, /* floats of all tensors that a block touches */
    LEAST = 64           /* pixels of an image below which blocks are not worth it */
};

/* How the batch is cut, and how scratch memory is. */
struct cut {
    int rows, bands, blocks, chunks; /* output rows of a block, blocks of an image, of the batch */
    int border, dborder;             /* pixels around x and dz */
    struct qd_tensor x, dz;          /* shapes of a block's, rows around it included */
    size_t xfloats, zfloats, thread; /* floats of x and dz with slack; of a thread: both and work */
    size_t slot, slots, sums; /* floats of a chunk's gradient of weights; of all; of its sums */
};

static size_t add(size_t a, size_t b)
{
    size_t s;

    return qd_add_size(a, b, &s) ? s : SIZE_MAX;
}

static size_t mul(size_t a, size_t b)
{
    size_t s;

    return qd_mul_size(a, b, &s) ? s : SIZE_MAX;
}

static size_t floats_of(struct qd_tensor *t, const int hwc[3], int border)
{
    const int nhwc[4] = {1, hwc[0], hwc[1], hwc[2]};
    size_t floats;

    return qd_tensor_shape(t, nhwc, border, &floats) ? qd_round_up(floats, 16) : SIZE_MAX;
}

static struct cut cut_of(const struct qd_conv_geom *g, const struct qd_conv_kernel *kernel,
    const struct qd_grad_ops *grad)
{
    struct qd_conv_geom one = *g, even = *g;
    struct cut c = {.border = qd_conv_border(g)};
    size_t row = 3 * ((size_t)g->sy * (size_t)g->w * (size_t)g->c + (size_t)g->ow * (size_t)g->k);
    int fit = (int)QD_MAX(1, BLOCK / row);

    even.h = g->oh * g->sy; /* other blocks than the last one are like that */
    c.dborder = QD_MAX(qd_conv_grad_border(g), qd_conv_grad_border(&even));
    c.bands = (g->oh + fit - 1) / fit;
    c.rows = (g->oh + c.bands - 1) / c.bands;
    c.blocks = g->n * c.bands;
    c.chunks = QD_MIN(c.blocks, QD_BLOCK_CHUNKS);
    one.n = 1;
    c.xfloats = floats_of(&c.x, (const int[]){c.rows * g->sy + 2 * c.border, g->w, g->c}, c.border);
    c.zfloats = floats_of(&c.dz, (const int[]){c.rows + 2 * c.dborder, g->ow, g->k}, c.dborder);
    size_t work = QD_MAX(kernel->work ? kernel->work(&one, 1) : 0, grad->conv_work(&one, 1));
    c.thread = add(add(c.xfloats, c.zfloats), qd_round_up(work, 16));
    c.slot = grad->weights_slot(g);
    c.slots = qd_round_up(c.slot * QD_BLOCK_CHUNKS, 16);
    /* as doubles: 3 sums of x or z, or 2 and a mean */
    c.sums = qd_round_up(2 * 3 * (size_t)QD_MAX(g->c, g->k), 16);
    return c;
}

bool qd_block_fits(const struct qd_conv_geom *g, const struct qd_conv_kernel *kernel,
    const struct qd_grad_ops *grad, bool data)
{
    return grad->blocks && (long)g->oh * g->ow >= LEAST && grad->blocks(g, kernel, data);
}

size_t qd_block_work(const struct qd_conv_geom *g, const struct qd_conv_kernel *kernel,
    const struct qd_grad_ops *grad)
{
    const struct cut c = cut_of(g, kernel, grad);

    return add(add(c.slots, c.sums * QD_BLOCK_CHUNKS), mul(c.thread, (size_t)qd_threads()));
}

struct job {
    const struct qd_block *b;
    struct cut cut;
    const struct qd_tensor *z;
    float *slots, *sums, *threads;
    bool stats;                       /* forward: wanted */
    const struct qd_block_back *back; /* backward only */
    const struct qd_bn_lines *lines;  /* sums only */
    const struct qd_tensor *dy;
};

static struct job job_of(const struct qd_block *b, const struct qd_tensor *z)
{
    struct job j = {.b = b, .cut = cut_of(b->g, b->kernel, b->grad), .z = z};

    j.slots = b->work;
    j.sums = j.slots + j.cut.slots;
    j.threads = j.sums + j.cut.sums * QD_BLOCK_CHUNKS;
    return j;
}

static double *sums_of(const struct job *j, int chunk)
{
    return (double *)(void *)(j->sums + j->cut.sums * (size_t)chunk);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Output rows from .. to - 1 of image n, and where this thread works. */
struct block {
    int n, from, to;
    struct qd_conv_geom g;  /* of the block alone */
    struct qd_tensor x, dz; /* its rows of the scratch tensors */
    float *work;
};

static void place(const struct cut *c, float *mem, struct block *k)
{
    k->x = c->x;
    k->dz = c->dz;
    qd_tensor_place(&k->x, mem);
    qd_tensor_place(&k->dz, mem + c->xfloats);
    k->work = mem + c->xfloats + c->zfloats;
}

/* Rows y .. y + h - 1 of image n, as far as they exist. */
static struct qd_tensor rows_of(const struct qd_tensor *t, int n, int y, int h)
{
    struct qd_tensor r = *t;

    r.data = qd_at(t, n, y, 0);
    r.n = 1;
    r.h = h;
    return r;
}

/* Rows 'from' .. 'from' + to->h - 1 of what has h rows, some of which may not exist: *some are
 * those that do, of 'to'; the others become zeros. Returns the first of them. */
static int existing(const struct qd_tensor *to, int from, int h, struct qd_tensor *some)
{
    int first = QD_MAX(from, 0), end = QD_MIN(from + to->h, h);

    for (int y = from; y < from + to->h; y++)
        if (y < first || y >= end)
            memset(qd_at(to, 0, y - from, 0), 0, (size_t)to->w * (size_t)to->c * sizeof(float));
    *some = rows_of(to, 0, first - from, end - first);
    return first;
}

/* The input of a block: rows of it, or made from what it is made from. */
static struct qd_tensor input(const struct job *j, struct block *k)
{
    const struct qd_conv_geom *g = j->b->g;
    const struct qd_lazy *lazy = j->b->lazy;
    struct qd_tensor some, all = k->x;

    if (!lazy)
        return rows_of(j->b->in, k->n, k->from * g->sy, k->g.h);
    all.h = k->g.h + 2 * j->cut.border;
    int first = existing(&all, k->from * g->sy - j->cut.border, g->h, &some);
    const struct qd_tensor z = rows_of(&lazy->z, k->n, first, some.h);
    j->b->grad->norm_part(&lazy->lines, &z, &some);
    return rows_of(&k->x, 0, j->cut.border, k->g.h);
}

/* Call fn for each block of a chunk. */
static void each_block(struct job *j, int chunk, int thread,
    void (*fn)(struct job *j, int chunk, struct block *k, bool first))
{
    const struct qd_conv_geom *g = j->b->g;
    struct block k;
    long from, to, i;

    place(&j->cut, j->threads + j->cut.thread * (size_t)thread, &k);
    qd_tensor_zero_border(&k.x);
    qd_tensor_zero_border(&k.dz);
    qd_par_range(j->cut.blocks, j->cut.chunks, chunk, &from, &to);
    for (i = from; i < to; i++) {
        long first, end;
        k.n = (int)(i / j->cut.bands);
        qd_par_range(g->oh, j->cut.bands, (int)(i % j->cut.bands), &first, &end);
        k.from = (int)first;
        k.to = (int)end;
        k.g = *g;
        k.g.n = 1;
        k.g.oh = k.to - k.from;
        k.g.h = QD_MIN(k.to * g->sy, g->h) - k.from * g->sy;
        fn(j, chunk, &k, i == from);
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

static void forward_block(struct job *j, int chunk, struct block *k, bool first)
{
    const struct qd_tensor in = input(j, k), z = rows_of(j->z, k->n, k->from, k->g.oh);
    const struct qd_epilogue ep = {.act = QD_LINEAR};
    const struct qd_conv_job job = {
        .g = &k->g, .packed = j->b->packed, .in = &in, .out = &z, .ep = &ep, .work = k->work};
    double *sums = sums_of(j, chunk);

    j->b->kernel->run(&job);
    if (!j->stats)
        return;
    if (first)
        memset(sums, 0, j->cut.sums * sizeof(float));
    j->b->grad->stats_part(&z, (float *)(void *)(sums + 2 * j->b->g->k), first, sums);
}

static void forward_chunk(void *ctx, int chunk, int thread)
{
    each_block(ctx, chunk, thread, forward_block);
}

/* Pixels of a chunk. */
static double pixels_of(const struct job *j, int chunk)
{
    const struct qd_conv_geom *g = j->b->g;
    long from, to, rows = 0;

    qd_par_range(j->cut.blocks, j->cut.chunks, chunk, &from, &to);
    for (; from < to; from++) {
        long first, end;
        qd_par_range(g->oh, j->cut.bands, (int)(from % j->cut.bands), &first, &end);
        rows += end - first;
    }
    return (double)rows * g->ow;
}

/* Each chunk has sums about a mean of its own: m = about + s0 / n, and s1 - s0^2 / n is the sum of
 * squares about m.  Together (Chan, Golub and LeVeque 1983): those, and n (m - mean)^2. */
static void moments(const struct job *j, const double *pixels, int c, float *mean, float *var)
{
    const int k = j->b->g->k;
    double all = 0, sum = 0, squares = 0, own[QD_BLOCK_CHUNKS];

    for (int i = 0; i < j->cut.chunks; i++) {
        const double *s = sums_of(j, i);
        own[i] = (double)((const float *)(const void *)(s + 2 * k))[c] + s[c] / pixels[i];
        sum += pixels[i] * own[i];
        all += pixels[i];
    }
    for (int i = 0; i < j->cut.chunks; i++) {
        const double *s = sums_of(j, i);
        double m = own[i] - sum / all;
        squares += s[k + c] - s[c] * s[c] / pixels[i] + pixels[i] * m * m;
    }
    mean[c] = (float)(sum / all);
    var[c] = (float)QD_MAX(squares / all, 0);
}

void qd_block_forward(const struct qd_block *b, const struct qd_tensor *z, float *mean, float *var)
{
    struct job j = job_of(b, z);
    double pixels[QD_BLOCK_CHUNKS];

    j.stats = mean != NULL;
    qd_par(j.cut.chunks, forward_chunk, &j);
    for (int i = 0; i < j.cut.chunks; i++)
        pixels[i] = pixels_of(&j, i);
    for (int c = 0; mean && c < b->g->k; c++)
        moments(&j, pixels, c, mean, var);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The sums of all chunks, in order. */
static void collect(const struct job *j, int n, double *sums)
{
    for (int i = 0; i < n; i++)
        sums[i] = 0;
    for (int k = 0; k < j->cut.chunks; k++)
        for (int i = 0; i < n; i++)
            sums[i] += sums_of(j, k)[i];
}

static void sums_block(struct job *j, int chunk, struct block *k, bool first)
{
    const struct qd_tensor z = rows_of(j->z, k->n, k->from, k->g.oh);
    const struct qd_tensor dy = rows_of(j->dy, k->n, k->from, k->g.oh);

    if (first)
        memset(sums_of(j, chunk), 0, j->cut.sums * sizeof(float));
    j->b->grad->bn_part(j->lines, &z, &dy, false, sums_of(j, chunk));
}

static void sums_chunk(void *ctx, int chunk, int thread)
{
    each_block(ctx, chunk, thread, sums_block);
}

void qd_block_sums(const struct qd_block *b, const struct qd_bn_lines *lines,
    const struct qd_tensor *z, const struct qd_tensor *dy, double *sums)
{
    struct job j = job_of(b, z);

    j.lines = lines;
    j.dy = dy;
    qd_par(j.cut.chunks, sums_chunk, &j);
    collect(&j, 3 * b->g->k, sums);
}

/* dz of a block and of the rows around it. */
static struct qd_tensor output_gradient(const struct job *j, struct block *k)
{
    const struct qd_block_back *a = j->back;
    struct qd_tensor some, all = k->dz;
    int border = a->din ? j->cut.dborder : 0, skip = j->cut.dborder - border;

    all = rows_of(&k->dz, 0, skip, k->g.oh + 2 * border);
    int first = existing(&all, k->from - border, j->b->g->oh, &some);
    const struct qd_tensor z = rows_of(a->z, k->n, first, some.h);
    const struct qd_tensor dy = rows_of(a->dy, k->n, first, some.h);
    j->b->grad->bn_apply(a->lines, &z, &dy, &some);
    return rows_of(&k->dz, 0, j->cut.dborder, k->g.oh);
}

static void backward_block(struct job *j, int chunk, struct block *k, bool first)
{
    const struct qd_block *b = j->b;
    const struct qd_block_back *a = j->back;
    const struct qd_lazy *lazy = b->lazy;
    const struct qd_tensor dz = output_gradient(j, k);
    struct qd_tensor in = {0};
    struct qd_conv_grad job = {.g = &k->g, .in = &in, .dz = &dz, .work = k->work};

    if (first) {
        memset(j->slots + j->cut.slot * (size_t)chunk, 0, j->cut.slot * sizeof(float));
        memset(sums_of(j, chunk), 0, j->cut.sums * sizeof(float));
    }
    if (a->dweight) {
        in = input(j, k);
        b->grad->weights_part(&job, j->slots + j->cut.slot * (size_t)chunk);
    }
    if (!a->din)
        return;
    const struct qd_tensor din = rows_of(a->din, k->n, k->from * b->g->sy, k->g.h);
    b->grad->conv_data(&job, b->packed, &din, a->fresh);
    if (lazy && lazy->sums) {
        const struct qd_tensor z = rows_of(&lazy->z, k->n, k->from * b->g->sy, k->g.h);
        b->grad->bn_part(&lazy->lines, &z, &din, true, sums_of(j, chunk));
    }
}

static void backward_chunk(void *ctx, int chunk, int thread)
{
    each_block(ctx, chunk, thread, backward_block);
}

void qd_block_backward(const struct qd_block *b, const struct qd_block_back *a)
{
    struct job j = job_of(b, a->z);
    const struct qd_lazy *lazy = b->lazy;
    const struct qd_tensor *in = lazy ? &j.cut.x : b->in;
    const struct qd_conv_grad fold = {.g = b->g, .in = in, .dz = &j.cut.dz, .work = NULL};

    if (!a->dweight && !a->din)
        return;
    j.back = a;
    qd_par(j.cut.chunks, backward_chunk, &j);
    if (a->dweight)
        b->grad->weights_fold(&fold, j.slots, j.cut.chunks, a->dweight);
    if (a->din && lazy && lazy->sums) {
        collect(&j, 3 * b->g->c, lazy->sums);
        *lazy->summed = true;
    }
}
