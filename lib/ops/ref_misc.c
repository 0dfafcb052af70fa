/* SPDX-License-Identifier: MIT */
/*
 * Operations that move pixels into channels, and the blur of anti-aliased layers.  Plain C is as
 * fast as memory here, so that all levels use these.
 */
#include "ops/kernels.h"
#include "ops/rows.h"

struct move {
    const struct qd_tensor *in, *out;
    int chunks, s;
    bool reverse;
    const float *kernel;
    int r, pad;
};

/* Rows of the tensor with fewer pixels and more channels. */
static void reorg3d_rows(void *ctx, int chunk, int thread)
{
    const struct move *m = ctx;
    const struct qd_tensor *deep = m->reverse ? m->in : m->out;
    const struct qd_tensor *wide = m->reverse ? m->out : m->in;
    int s = m->s;
    size_t bytes = (size_t)wide->c * sizeof(float);

    (void)thread;
    QD_FOR_ROWS(deep, m->chunks, chunk, n, y)
    for (int x = 0; x < deep->w; x++)
        for (int off = 0; off < s * s; off++) {
            float *d = qd_at(deep, n, y, x) + (size_t)off * (size_t)wide->c;
            float *w = qd_at(wide, n, y * s + off / s, x * s + off % s);
            memcpy(m->reverse ? w : d, m->reverse ? d : w, bytes);
        }
}

static void ref_reorg3d(
    const struct qd_tensor *in, const struct qd_tensor *out, int s, bool reverse)
{
    struct move m = {.in = in,
        .out = out,
        .s = s,
        .reverse = reverse,
        .chunks = qd_row_chunks(reverse ? in : out)};

    qd_par(m.chunks, reorg3d_rows, &m);
}

/* The element with index 'flat' in the planar order of image n. */
static float *planar(const struct qd_tensor *t, int n, size_t flat)
{
    size_t w = (size_t)t->w, h = (size_t)t->h;

    return qd_at(t, n, (int)(flat / w % h), (int)(flat % w)) + flat / w / h;
}

/*
 * Channel k of the permutation that darknet's [reorg] is.  (w, h, c) are those of the wide tensor,
 * and C = c / s^2: deep[i + w(j + hk)] = wide[is + off%s + ws(js + off/s + hs c2)] with c2 = k % C
 * and off = k / C, both in planar order.
 */
static void reorg_channel(void *ctx, int chunk, int thread)
{
    const struct move *m = ctx;
    const struct qd_tensor *deep = m->reverse ? m->in : m->out;
    const struct qd_tensor *wide = m->reverse ? m->out : m->in;
    size_t w = (size_t)wide->w, h = (size_t)wide->h, s = (size_t)m->s;
    size_t few = (size_t)wide->c / (s * s);
    size_t k = (size_t)(chunk % wide->c), c2 = k % few, off = k / few;
    int n = chunk / wide->c;

    (void)thread;
    for (size_t j = 0; j < h; j++)
        for (size_t i = 0; i < w; i++) {
            float *d = planar(deep, n, i + w * (j + h * k));
            float *p = planar(wide, n, i * s + off % s + w * s * (j * s + off / s + h * s * c2));
            *(m->reverse ? p : d) = *(m->reverse ? d : p);
        }
}

static void ref_reorg(const struct qd_tensor *in, const struct qd_tensor *out, int s, bool reverse)
{
    struct move m = {.in = in, .out = out, .s = s, .reverse = reverse};

    qd_par(in->n * (reverse ? out->c : in->c), reorg_channel, &m);
}

static void blur_rows(void *ctx, int chunk, int thread)
{
    const struct move *m = ctx;
    const struct qd_tensor *out = m->out;

    (void)thread;
    QD_FOR_ROWS(out, m->chunks, chunk, n, y)
    for (int x = 0; x < out->w; x++) {
        float *q = qd_at(out, n, y, x);
        memset(q, 0, (size_t)out->c * sizeof(float));
        for (int i = 0; i < m->r * m->r; i++) {
            const float *in =
                qd_at(m->in, n, y * m->s - m->pad + i / m->r, x * m->s - m->pad + i % m->r);
            for (int c = 0; c < out->c; c++)
                q[c] += m->kernel[i] * in[c];
        }
    }
}

static void ref_blur(const struct qd_tensor *in, const struct qd_tensor *out, const float *kernel,
    const int r_s_pad[3])
{
    struct move m = {.in = in,
        .out = out,
        .kernel = kernel,
        .r = r_s_pad[0],
        .s = r_s_pad[1],
        .pad = r_s_pad[2],
        .chunks = qd_row_chunks(out)};

    qd_par(m.chunks, blur_rows, &m);
}

void qd_ops_misc__ref(struct qd_ops *ops)
{
    ops->reorg3d = ref_reorg3d;
    ops->reorg = ref_reorg;
    ops->blur = ref_blur;
}
