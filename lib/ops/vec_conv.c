/* SPDX-License-Identifier: MIT */
/*
 * The blocked convolution: one matrix product of output pixels by filters, cut into tiles that stay
 * in registers.  Inputs are read in place (ops/vec_conv.h), weights are packed into panels of two
 * vectors of filters; the last panel of a group may be one vector wide.  Small weights stay in the
 * cache while pixels stream by (all panels for each tile), large ones pass by once (all tiles for
 * each panel).  Every output is the same sequence of operations whatever the cut, so that results
 * do not depend on it.
 */
#include "base/par.h"
#include "ops/vec_conv.h"

enum {
    WEIGHTS_KEPT = 300 * 1024, /* bytes of weights up to which pixels are the outer loop */
    CHUNKS = 16,               /* that many pieces of work are enough for the usual machines */
    L1_WAY = 4096,             /* bytes: pixels at this distance share one set of the L1 cache, */
    L1_WAYS = 8                /* which holds that many lines */
};

struct plan {
    const struct qd_conv_job *j;
    size_t depth;         /* floats of a filter */
    size_t group;         /* packed floats of a group */
    int kg, panels, wide; /* filters and panels of a group, panels of two vectors */
    int images, rows;     /* tile rows of an image, each of 'px' pixels */
    int px, cuts;         /* a row is cut into that many tiles, */
    int tile_steps;       /* of that many steps of 'my' pixels, */
    int longer;           /* of which the first ones are one step longer */
    int units, blocks;    /* tiles of all images; pieces that they are dealt out in */
    bool weights_outer;
    int my;          /* output rows in a tile row */
    const float *in; /* first tap of the first pixel */
    size_t group_channels;
    size_t in_row, out_row, add_row;
    size_t in_image, out_image, add_image;
    tile_fn *const (*tiles)[TILE_MAX + 1];   /* [nv - 1][mx] */
    tile_fn *const (*special)[TILE_MAX + 1]; /* the same with gaps, or NULL: better ones */
    bool ramps;                              /* the tile can do the whole epilogue */
    struct tile t;
};

static int wide_panels(int kg)
{
    int rest = kg % PANEL;

    return kg / PANEL + (rest > VW);
}

static int narrow_panels(int kg)
{
    int rest = kg % PANEL;

    return rest > 0 && rest <= VW;
}

static size_t filter_floats(const struct qd_conv_geom *g)
{
    return (size_t)(g->c / g->groups) * (size_t)g->rh * (size_t)g->rw;
}

static size_t group_floats(const struct qd_conv_geom *g)
{
    int kg = g->k / g->groups;

    return (size_t)(2 * wide_panels(kg) + narrow_panels(kg)) * VW * filter_floats(g);
}

static bool supports(const struct qd_conv_geom *g)
{
    (void)g;
    return true;
}

static size_t packed(const struct qd_conv_geom *g)
{
    return group_floats(g) * (size_t)g->groups;
}

/* One panel: filters from 'from' on, 'n' of them, in a width of 'width'. */
static float *pack_panel(const struct qd_conv_geom *g, const float *weight, const float *scale,
    const int from_n_width[3], float *to)
{
    const int from = from_n_width[0], n = from_n_width[1], width = from_n_width[2];
    const size_t cg = (size_t)(g->c / g->groups), taps = (size_t)(g->rh * g->rw);

    for (size_t t = 0; t < taps; t++)
        for (size_t ch = 0; ch < cg; ch++, to += width)
            for (int i = 0; i < width; i++) {
                size_t f = (size_t)(from + i);
                to[i] = i < n ? weight[(f * cg + ch) * taps + t] * (scale ? scale[f] : 1) : 0;
            }
    return to;
}

static void pack(const struct qd_conv_geom *g, const float *weight, const float *scale, float *to)
{
    int kg = g->k / g->groups, wide = wide_panels(kg);

    for (int i = 0; i < g->groups; i++)
        for (int p = 0; p < wide + narrow_panels(kg); p++) {
            int width = p < wide ? PANEL : VW, n = QD_MIN(width, kg - p * PANEL);
            to = pack_panel(g, weight, scale, (const int[3]){i * kg + p * PANEL, n, width}, to);
        }
}

/* ---- the plan -------------------------------------------------------------------------------- */

/* Where taps and pixels lie. */
static void plan_reader(struct plan *p)
{
    const struct qd_conv_geom *g = p->j->g;
    const struct qd_tensor *in = p->j->in, *out = p->j->out, *add = p->j->ep->add;
    struct tile *t = &p->t;
    bool dense = qd_tensor_dense_rows(in) && g->groups == 1 && g->dil == 1;

    t->ny = g->rh;
    t->nx = dense ? 1 : g->rw;
    t->len = (dense ? g->rw : 1) * (g->c / g->groups);
    t->tx = (size_t)g->dil * (size_t)in->ps;
    t->ty = (size_t)g->dil * in->rs;
    t->ax = (size_t)g->sx * (size_t)in->ps;
    t->ay = (size_t)g->sy * in->rs;
    t->ox = (size_t)out->ps;
    t->oy = out->rs;
    t->dx = add ? (size_t)add->ps : 0;
    t->dy = add ? add->rs : 0;
    p->in = qd_at(in, 0, -g->pad * g->dil, -g->pad * g->dil);
    p->group_channels = (size_t)(g->c / g->groups);
    p->images = g->n;
    p->my = p->j->ep->pool ? 2 : 1;
    p->rows = g->oh / p->my;
    p->px = g->ow;
    p->in_row = t->ay * (size_t)p->my;
    p->out_row = out->rs; /* with pooling two rows give one */
    p->add_row = t->dy;
    p->in_image = in->is;
    p->out_image = out->is;
    p->add_image = add ? add->is : 0;
}

/* A row is longer than the picture's where pixels go on at the same distance: 1x1 kernels without
 * borders, and single pixels of many images. */
static void plan_flat(struct plan *p)
{
    struct tile *t = &p->t;
    bool add = p->j->ep->add != NULL;
    size_t px = (size_t)p->px;

    if (p->my == 1 && p->rows > 1 && p->in_row == px * t->ax && p->out_row == px * t->ox &&
        (!add || p->add_row == px * t->dx)) {
        p->px *= p->rows;
        p->rows = 1;
    }
    px = (size_t)p->px;
    if (p->rows != 1 || p->images == 1 || p->my > 1)
        return;
    if (px == 1) {
        t->ax = p->in_image;
        t->ox = p->out_image;
        t->dx = p->add_image;
    } else if (p->in_image != px * t->ax || p->out_image != px * t->ox ||
               (add && p->add_image != px * t->dx)) {
        return;
    }
    p->px *= p->images;
    p->images = 1;
}

/* The shape of the tiles and the order of the loops. */
static void plan_cut(struct plan *p)
{
    const struct qd_conv_geom *g = p->j->g;
    bool one = p->wide == 0;
    int most = p->my == 1 ? (one ? TILE_1 : TILE_2) : (one ? PAIR_1 : PAIR_2);
    int step = p->my; /* pooled tiles are of even width */

    if (p->my == 1 && p->t.ax * sizeof(float) % L1_WAY == 0)
        most = QD_MIN(most, L1_WAYS - 1);

    p->tiles = QD_VEC(qd_vec_tiles)[p->my - 1];
    if (p->t.nx == 1 && p->t.len == 9 && g->sx <= 2 && p->t.ax == 3 * (size_t)g->sx)
        p->special = QD_VEC(qd_vec_tiles_rgb)[g->sx - 1][p->my - 1];
    p->cuts = (p->px / step + most / step - 1) / (most / step);
    p->tile_steps = p->px / step / p->cuts;
    p->longer = p->px / step % p->cuts;
    p->units = p->images * p->rows * p->cuts;
    p->weights_outer = p->group * sizeof(float) > WEIGHTS_KEPT;
    if (p->weights_outer)
        p->blocks = QD_MIN(p->units, (CHUNKS + p->panels - 1) / p->panels);
    else
        p->blocks = QD_MIN(p->units, g->groups > 1 ? CHUNKS : 4 * CHUNKS);
}

/* ---- running --------------------------------------------------------------------------------- */

/* The bias of a panel, in 'buf' where it has to be filled up. */
static const float *panel_bias(const struct plan *p, int f, int n, float *buf)
{
    static const float none[PANEL];
    const float *bias = p->j->ep->bias;

    if (!bias)
        return none;
    if (n == PANEL || n == VW)
        return bias + f;
    memset(buf, 0, PANEL * sizeof(float));
    memcpy(buf, bias + f, (size_t)n * sizeof(float));
    return buf;
}

static tile_fn *tile_of(const struct plan *p, int nv, int mx)
{
    tile_fn *fn = p->special ? p->special[nv - 1][mx] : NULL;

    return fn ? fn : p->tiles[nv - 1][mx];
}

/* Let the tile compute plain sums into a buffer and treat them there. */
static void run_finish(const struct plan *p, struct tile *t, int nv, int mx, int f, int n)
{
    float buf[TILE_MAX * PANEL];
    struct finish fin = {.e = p->j->ep,
        .p = buf,
        .out = t->out,
        .add = t->add,
        .px = (size_t)(nv * VW),
        .ox = t->ox,
        .oy = t->oy,
        .dx = t->dx,
        .dy = t->dy,
        .rows = p->my,
        .cols = mx,
        .ch = n,
        .from = f,
        .pool = t->pool};
    struct tile raw = *t;

    fin.py = fin.px * (size_t)mx;
    raw.out = buf;
    raw.ox = fin.px;
    raw.oy = fin.py;
    raw.add = NULL;
    raw.lanes = VW;
    raw.pool = false;
    raw.act = 1;
    tile_of(p, nv, mx)(&raw);
    QD_VEC(qd_vec_finish)(&fin);
}

/* Where a chunk is: counted along instead of divided out, because small tiles take no longer than
 * a few divisions. */
struct spot {
    int image, y, cut; /* tile row y of the image, tile 'cut' of the row */
    int group, panel;
    int f, n; /* first filter, filters */
    float bias[PANEL];
};

static struct spot spot_of(const struct plan *p, long unit)
{
    long row = unit / p->cuts;

    return (struct spot){
        .image = (int)(row / p->rows), .y = (int)(row % p->rows), .cut = (int)(unit % p->cuts)};
}

static void spot_next(const struct plan *p, struct spot *s)
{
    if (++s->cut < p->cuts)
        return;
    s->cut = 0;
    if (++s->y < p->rows)
        return;
    s->y = 0;
    s->image++;
}

/* Point t at a panel of weights. */
static void set_panel(const struct plan *p, struct spot *s, struct tile *t, int panel)
{
    int nv = panel < p->wide ? 2 : 1;

    s->panel = panel;
    s->f = s->group * p->kg + panel * PANEL;
    s->n = QD_MIN(nv * VW, p->kg - panel * PANEL);
    t->b = p->j->packed + (size_t)s->group * p->group + (size_t)panel * PANEL * p->depth;
    t->bias = panel_bias(p, s->f, s->n, s->bias);
    t->lanes = s->n - (nv - 1) * VW;
}

/* The tile at s. */
static void run_tile(const struct plan *p, const struct spot *s, struct tile *t)
{
    const struct qd_tensor *add = p->j->ep->add;
    const int nv = s->panel < p->wide ? 2 : 1;
    const int steps = p->tile_steps + (s->cut < p->longer);
    const int x = s->cut * p->tile_steps + QD_MIN(s->cut, p->longer); /* in steps of my pixels */
    const size_t image = (size_t)s->image, y = (size_t)s->y;

    t->a = p->in + (size_t)s->group * p->group_channels + image * p->in_image + y * p->in_row +
           (size_t)(x * p->my) * t->ax;
    t->out = p->j->out->data + s->f + image * p->out_image + y * p->out_row + (size_t)x * t->ox;
    if (add)
        t->add = add->data + s->f + image * p->add_image + y * p->add_row + (size_t)x * t->dx;
    if (p->ramps)
        tile_of(p, nv, steps * p->my)(t);
    else
        run_finish(p, t, nv, steps * p->my, s->f, s->n);
}

static void chunk_pixels(void *ctx, int chunk, int thread)
{
    const struct plan *p = ctx;
    struct tile t = p->t;
    long from, to;

    (void)thread;
    qd_par_range(p->units, p->blocks, chunk % p->blocks, &from, &to);
    struct spot s = spot_of(p, from);
    s.group = chunk / p->blocks;
    set_panel(p, &s, &t, 0);
    for (; from < to; from++, spot_next(p, &s))
        for (int i = 0; i < p->panels; i++) {
            if (p->panels > 1)
                set_panel(p, &s, &t, i);
            run_tile(p, &s, &t);
        }
}

static void chunk_weights(void *ctx, int chunk, int thread)
{
    const struct plan *p = ctx;
    struct tile t = p->t;
    int panel = chunk / p->blocks;
    long from, to;

    (void)thread;
    qd_par_range(p->units, p->blocks, chunk % p->blocks, &from, &to);
    struct spot s = spot_of(p, from);
    s.group = panel / p->panels;
    set_panel(p, &s, &t, panel % p->panels);
    for (; from < to; from++, spot_next(p, &s))
        run_tile(p, &s, &t);
}

static void run(const struct qd_conv_job *j)
{
    const struct qd_conv_geom *g = j->g;
    const struct qd_epilogue *e = j->ep;
    struct plan p = {
        .j = j, .depth = filter_floats(g), .group = group_floats(g), .kg = g->k / g->groups};

    p.wide = wide_panels(p.kg);
    p.panels = p.wide + narrow_panels(p.kg);
    plan_reader(&p);
    plan_flat(&p);
    plan_cut(&p);
    p.ramps = act_is_ramp(e->act, &p.t.act);
    p.t.act2 = 1;
    if (e->add && !act_is_ramp(e->add_act, &p.t.act2))
        p.ramps = false;
    p.t.pool = e->pool;
    if (p.weights_outer)
        qd_par(g->groups * p.panels * p.blocks, chunk_weights, &p);
    else
        qd_par(g->groups * p.blocks, chunk_pixels, &p);
}

#define BLOCKED(called, which)                                                                     \
    {                                                                                              \
        .name = called, .supports = which, .can_pool = supports, .packed = packed, .pack = pack,   \
        .run = run,                                                                                \
    }

const struct qd_conv_kernel QD_VEC(qd_conv_blocked) = BLOCKED("blocked", supports);

#if VW == 8
/* With few filters half of a 512-bit vector would idle, and 256-bit vectors are no slower. */
static bool narrow(const struct qd_conv_geom *g)
{
    return g->k / g->groups <= VW;
}

const struct qd_conv_kernel qd_conv_narrow__avx2 = BLOCKED("narrow", narrow);
#endif

const struct qd_conv_kernel *const QD_VEC(qd_vec_conv_kernels)[] = {
    &QD_VEC(qd_conv_depthwise),
#if VW == 16
    &qd_conv_narrow__avx2,
#endif
    &QD_VEC(qd_vec_conv_winograd),
    &QD_VEC(qd_conv_blocked),
    NULL,
};
