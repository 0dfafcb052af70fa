/* SPDX-License-Identifier: MIT */
/*
 * Level blas: convolutions through the sgemm of OpenBLAS, for machines that we have no kernels for
 * and as a second opinion.  Slabs of output pixels are gathered into a panel [pixel][group][tap]
 * [channel] and multiplied by the weights in blocks whose number depends on the geometry alone;
 * OpenBLAS runs in one thread inside each.  The library is loaded on first use, so that programs
 * that never ask for this level neither need nor pay for it.
 */
#include <dlfcn.h>

#include "base/log.h"
#include "base/par.h"
#include "ops/kernels.h"

/* ---- the library ----------------------------------------------------------------------------- */

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 }; /* of the C interface to BLAS */

typedef void sgemm_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
    int lda, const float *b, int ldb, float beta, float *c, int ldc);

static sgemm_fn *sgemm;
static const char *core;
static char why[200];

const char *qd_blas_core(void)
{
    return core;
}

const char *qd_blas_error(void)
{
    return *why ? why : NULL;
}

static bool symbol(void *lib, const char *name, void *fn)
{
    void *p = dlsym(lib, name);

    if (p)
        memcpy(fn, &p, sizeof(p)); /* ISO C has no cast from an object to a function */
    else
        snprintf(why, sizeof(why), "libopenblas.so.0 has no '%s'", name);
    return p != NULL;
}

static bool is_modern(const char *name)
{
    static const char *const modern[] = {
        "Haswell", "Zen", "Excavator", "SkylakeX", "Cooperlake", "Sapphirerapids"};

    for (size_t i = 0; i < QD_LEN(modern); i++)
        if (strcmp(name, modern[i]) == 0)
            return true;
    return false;
}

bool qd_blas_open(bool check)
{
    char *(*corename)(void);
    void (*set_threads)(int);
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);

    if (!lib) {
        const char *e = dlerror();
        snprintf(why, sizeof(why), "%s", e ? e : "libopenblas.so.0 cannot be loaded");
        return false;
    }
    if (!symbol(lib, "cblas_sgemm", &sgemm) || !symbol(lib, "openblas_get_corename", &corename) ||
        !symbol(lib, "openblas_set_num_threads", &set_threads)) {
        dlclose(lib);
        return false;
    }
    set_threads(1);
    core = corename();
    if (check && !is_modern(core))
        qd_warn(
            "OpenBLAS takes this processor for '%s' and will be slow: set OPENBLAS_CORETYPE", core);
    return true;
}

/* ---- geometry of the work -------------------------------------------------------------------- */

struct cut {
    long slab;   /* pixels of an image whose panel exists at a time */
    int pixels;  /* of a block, at most */
    int filters; /* of a block, at most; of one group */
};

enum { PANEL = 1 << 20, MIN_SLAB = 64, BLOCK_PIXELS = 512, BLOCK_FILTERS = 512, WANTED_BLOCKS = 8 };

static bool is_depthwise(const struct qd_conv_geom *g)
{
    return g->groups > 1 && g->groups == g->c && g->k == g->c;
}

/* Row length of the panel: taps times channels of all groups. */
static size_t panel_row(const struct qd_conv_geom *g)
{
    return (size_t)g->rh * (size_t)g->rw * (size_t)g->c;
}

static int div_up(long a, long b)
{
    return (int)((a + b - 1) / b);
}

static struct cut cut_work(const struct qd_conv_geom *g)
{
    long all = (long)g->oh * g->ow;
    int kg = g->k / g->groups;
    struct cut c;

    c.slab = QD_MIN(all, QD_MAX(MIN_SLAB, PANEL / (long)panel_row(g)));
    c.pixels = (int)QD_MIN(c.slab, BLOCK_PIXELS);
    int have = div_up(c.slab, c.pixels) * g->groups;
    c.filters =
        QD_MIN(kg, QD_MIN(BLOCK_FILTERS, QD_MAX(32, div_up(kg, div_up(WANTED_BLOCKS, have)))));
    return c;
}

static bool supports(const struct qd_conv_geom *g)
{
    (void)g;
    return true;
}

static size_t packed_floats(const struct qd_conv_geom *g)
{
    return (size_t)g->k * (panel_row(g) / (size_t)g->groups);
}

/* Depthwise [tap][k], else [k][tap][channel of the group]. */
static void pack(
    const struct qd_conv_geom *g, const float *weight, const float *scale, float *packed)
{
    size_t taps = (size_t)g->rh * (size_t)g->rw, cg = (size_t)(g->c / g->groups);
    bool dw = is_depthwise(g);

    for (size_t f = 0; f < (size_t)g->k; f++)
        for (size_t c = 0; c < cg; c++)
            for (size_t t = 0; t < taps; t++) {
                float w = *weight++ * (scale ? scale[f] : 1);
                packed[dw ? t * (size_t)g->k + f : (f * taps + t) * cg + c] = w;
            }
}

static size_t work_floats(const struct qd_conv_geom *g, int threads)
{
    struct cut c = cut_work(g);

    if (is_depthwise(g))
        return 0;
    return qd_round_up((size_t)c.slab * panel_row(g), 16) +
           (size_t)threads * qd_round_up((size_t)c.pixels * (size_t)c.filters, 16);
}

/* ---- running --------------------------------------------------------------------------------- */

struct pass {
    const struct qd_ops *ops;
    const struct qd_conv_job *j;
    struct cut cut;
    int n;          /* image */
    long from, to;  /* pixels of the slab */
    const float *a; /* left side of the product, at pixel 'from' */
    size_t lda;     /* floats from pixel to pixel there */
    size_t group_a; /* and from group to group */
    float *panel, *sums;
    int pixel_blocks, filter_blocks; /* of a slab, of a group */
};

/* Neighbouring pixels of a row of the output, f0 <= filter < f1. */
struct piece {
    int y, x0, x1, f0, f1;
};

/* Sums become outputs.  sum: [x1 - x0][f1 - f0], or NULL: they lie in the output already. */
static void finish(const struct pass *p, const struct piece *at, const float *sum)
{
    const struct qd_epilogue *ep = p->j->ep;
    const struct qd_tensor *out = p->j->out;
    int n = at->f1 - at->f0;
    struct qd_tensor t = {.data = qd_at(out, p->n, at->y, at->x0) + at->f0,
        .n = 1,
        .h = 1,
        .w = at->x1 - at->x0,
        .c = n,
        .ps = out->ps};

    for (int x = 0; x < t.w; x++) {
        float *q = qd_at(&t, 0, 0, x);
        if (sum)
            memcpy(q, sum + (size_t)x * (size_t)n, (size_t)n * sizeof(float));
        for (int i = 0; ep->bias && i < n; i++)
            q[i] += ep->bias[at->f0 + i];
    }
    if (ep->act != QD_LINEAR)
        p->ops->act(&t, &t, ep->act, ep->slope ? ep->slope + at->f0 : NULL);
}

/* out += in * w */
static void add_products(
    float *restrict out, const float *restrict in, const float *restrict w, int n)
{
    for (int i = 0; i < n; i++)
        out[i] += in[i] * w[i];
}

/* One tap of a pixel for all groups: cg channels each, groups 'step' floats apart. */
static void gather_tap(float *dst, const float *src, const struct qd_conv_geom *g, size_t step)
{
    size_t cg = (size_t)(g->c / g->groups);

    if (g->groups == 1) {
        memcpy(dst, src, cg * sizeof(float));
        return;
    }
    for (int i = 0; i < g->groups; i++, dst += step, src += cg)
        memcpy(dst, src, cg * sizeof(float));
}

static void gather(void *ctx, int chunk, int thread)
{
    const struct pass *p = ctx;
    const struct qd_conv_geom *g = p->j->g;
    size_t cg = (size_t)(g->c / g->groups), step = (size_t)g->rh * (size_t)g->rw * cg;
    long from = p->from + (long)chunk * MIN_SLAB, to = QD_MIN(from + MIN_SLAB, p->to);

    (void)thread;
    for (long i = from; i < to; i++) {
        float *dst = p->panel + (size_t)(i - p->from) * panel_row(g);
        int y = (int)(i / g->ow) * g->sy - g->pad * g->dil;
        int x = (int)(i % g->ow) * g->sx - g->pad * g->dil;
        for (int ky = 0; ky < g->rh; ky++)
            for (int kx = 0; kx < g->rw; kx++, dst += cg)
                gather_tap(dst, qd_at(p->j->in, p->n, y + ky * g->dil, x + kx * g->dil), g, step);
    }
}

/* One block: some pixels of the slab times some filters of a group. */
static void multiply(void *ctx, int chunk, int thread)
{
    const struct pass *p = ctx;
    const struct qd_conv_geom *g = p->j->g;
    int pb = chunk % p->pixel_blocks, fb = chunk / p->pixel_blocks % p->filter_blocks;
    int group = chunk / p->pixel_blocks / p->filter_blocks, kg = g->k / g->groups;
    size_t k = panel_row(g) / (size_t)g->groups;
    long p0, p1, f0, f1;

    qd_par_range(p->to - p->from, p->pixel_blocks, pb, &p0, &p1);
    qd_par_range(kg, p->filter_blocks, fb, &f0, &f1);
    f0 += (long)group * kg;
    f1 += (long)group * kg;
    int m = (int)(p1 - p0), n = (int)(f1 - f0);
    float *sums =
        p->sums + (size_t)thread * qd_round_up((size_t)p->cut.pixels * (size_t)p->cut.filters, 16);
    if (m <= 0 || n <= 0)
        return;
    sgemm(ROW_MAJOR, NO_TRANS, TRANS, m, n, (int)k, 1,
        p->a + (size_t)group * p->group_a + (size_t)p0 * p->lda, (int)p->lda,
        p->j->packed + (size_t)f0 * k, (int)k, 0, sums, n);
    for (long at = p->from + p0, end = p->from + p1, next; at < end; at = next) {
        int y = (int)(at / g->ow), x = (int)(at % g->ow);
        next = QD_MIN(at - x + g->ow, end);
        struct piece piece = {y, x, x + (int)(next - at), (int)f0, (int)f1};
        finish(p, &piece, sums);
        sums += (size_t)(next - at) * (size_t)n;
    }
}

static void run_image(struct pass *p)
{
    const struct qd_conv_geom *g = p->j->g;
    const struct qd_tensor *in = p->j->in;
    long all = (long)g->oh * g->ow;
    bool one = g->rh == 1 && g->rw == 1 && g->sy == 1 && g->sx == 1 && g->pad == 0;
    bool in_place = one && in->rs == (size_t)in->w * (size_t)in->ps && g->ow == g->w;

    for (p->from = 0; p->from < all; p->from = p->to) {
        p->to = QD_MIN(p->from + p->cut.slab, all);
        p->a = p->panel;
        p->lda = panel_row(g);
        p->group_a = panel_row(g) / (size_t)g->groups;
        if (in_place) {
            p->a = qd_at(in, p->n, 0, 0) + (size_t)p->from * (size_t)in->ps;
            p->lda = (size_t)in->ps;
        } else {
            qd_par(div_up(p->to - p->from, MIN_SLAB), gather, p);
        }
        p->pixel_blocks = div_up(p->to - p->from, p->cut.pixels);
        p->filter_blocks = div_up(g->k / g->groups, p->cut.filters);
        qd_par(p->pixel_blocks * p->filter_blocks * g->groups, multiply, p);
    }
}

/* A row of a depthwise convolution: a product has nothing to gain there. */
static void depthwise_row(void *ctx, int chunk, int thread)
{
    const struct pass *p = ctx;
    const struct qd_conv_job *j = p->j;
    const struct qd_conv_geom *g = j->g;
    int oy = chunk, y = oy * g->sy - g->pad * g->dil;

    (void)thread;
    for (int ox = 0; ox < g->ow; ox++) {
        float *out = qd_at(j->out, p->n, oy, ox);
        const float *w = j->packed;
        memset(out, 0, (size_t)g->k * sizeof(float));
        for (int ky = 0; ky < g->rh; ky++)
            for (int kx = 0; kx < g->rw; kx++, w += g->k) {
                const float *in =
                    qd_at(j->in, p->n, y + ky * g->dil, ox * g->sx + (kx - g->pad) * g->dil);
                add_products(out, in, w, g->k);
            }
    }
    finish(p, &(struct piece){oy, 0, g->ow, 0, g->k}, NULL);
}

static void run(const struct qd_conv_job *j)
{
    struct pass p = {.ops = qd_ops_level("blas"), .j = j, .cut = cut_work(j->g)};

    if (!is_depthwise(j->g)) {
        p.panel = j->work;
        p.sums = j->work + qd_round_up((size_t)p.cut.slab * panel_row(j->g), 16);
    }
    for (p.n = 0; p.n < j->g->n; p.n++)
        if (is_depthwise(j->g))
            qd_par(j->g->oh, depthwise_row, &p);
        else
            run_image(&p);
    if (j->ep->add) {
        const struct qd_tensor *in[2] = {j->out, j->ep->add};
        struct qd_sum s = {.in = in, .nin = 2, .act = j->ep->add_act};
        p.ops->sum(&s, j->out);
    }
}

static const struct qd_conv_kernel blas_conv = {
    "blas", supports, NULL, packed_floats, pack, work_floats, run};

const struct qd_conv_kernel *const qd_blas_conv_kernels[] = {&blas_conv, NULL};
