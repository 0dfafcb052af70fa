/* SPDX-License-Identifier: MIT */
/*
 * Surfaces and surroundings of the synthetic sets.  Colours and patterns are drawn without regard
 * to the class, so that neither tells it: only the outline does.
 */
#include "data/toy.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define TAU 6.28318531f

static float clamp(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* A sine of two parabolas: a pattern does not need more, and there are many pixels. */
static float wave(float x)
{
    float t = x * (1 / TAU);

    t -= (float)(int)t;
    t += t < 0 ? 1 : 0;
    return t < .5f ? 16 * t * (.5f - t) : 16 * (t - .5f) * (t - 1);
}

/* 0..1, flat at both ends. */
static float ease(float t)
{
    return t * t * (3 - 2 * t);
}

static struct qd_toy_rgb mix(const struct qd_toy_rgb *a, const struct qd_toy_rgb *b, float t)
{
    struct qd_toy_rgb c;

    for (int i = 0; i < 3; i++)
        c.v[i] = a->v[i] + (b->v[i] - a->v[i]) * t;
    return c;
}

static float difference(const struct qd_toy_rgb *a, const struct qd_toy_rgb *b)
{
    float d = 0;

    for (int i = 0; i < 3; i++)
        d = QD_MAX(d, fabsf(a->v[i] - b->v[i]));
    return d;
}

struct qd_toy_rgb qd_toy_colour(struct qd_rng *rng)
{
    float hue = qd_rng_float(rng) * 6, sat = qd_rng_range(rng, .05f, .95f);
    float value = qd_rng_range(rng, .2f, 1);
    struct qd_toy_rgb c;

    for (int i = 0; i < 3; i++) { /* each channel is a trapezoid over the hue */
        float h = fmodf(hue + (float)i * 2, 6);
        float up = clamp(fabsf(h - 3) - 1, 0, 1);
        c.v[i] = value * (1 - sat * (1 - up));
    }
    return c;
}

/* ------------------------------------------------------------------ surfaces ------------------ */

/* A pattern gives 0..1 at a point that was turned and scaled already. */
static float plain(float x, float y)
{
    (void)x;
    (void)y;
    return 0;
}

static float stripes(float x, float y)
{
    (void)y;
    return clamp(.5f + 1.6f * wave(x), 0, 1);
}

static float checker(float x, float y)
{
    return clamp(.5f + 2.5f * wave(x) * wave(y), 0, 1);
}

static float dots(float x, float y)
{
    return clamp(1.6f * (wave(x) * wave(y) - .25f), 0, 1);
}

static float waves(float x, float y)
{
    return .5f + .5f * wave(x + 1.3f * wave(.8f * y));
}

static float marble(float x, float y)
{
    return .5f + .5f * wave(x + 1.7f * wave(1.3f * y + 2 * wave(.7f * x)));
}

static float fade(float x, float y)
{
    (void)y;
    return clamp(.5f + .08f * x, 0, 1);
}

typedef float pattern_fn(float x, float y);
static pattern_fn *const patterns[] = {plain, stripes, checker, dots, waves, marble, fade};

struct qd_toy_paint qd_toy_paint_new(
    struct qd_rng *rng, const struct qd_toy_rgb *under, float contrast)
{
    float angle = qd_rng_range(rng, 0, TAU), lit = qd_rng_range(rng, 0, TAU);
    float strength = qd_rng_range(rng, 0, .3f);
    struct qd_toy_paint p = {.pattern = (int)qd_rng_below(rng, QD_LEN(patterns))};

    for (int i = 0; i < 40; i++) {
        p.a = qd_toy_colour(rng);
        if (difference(&p.a, under) >= contrast)
            break;
    }
    for (int i = 0; i < 40; i++) { /* the second colour may come near, but not to, the background */
        p.b = qd_toy_colour(rng);
        if (difference(&p.b, under) >= contrast * .7f && difference(&p.a, &p.b) > .25f)
            break;
    }
    p.frequency = qd_rng_range(rng, 5, 14);
    p.phase = qd_rng_range(rng, 0, TAU);
    p.cosa = cosf(angle);
    p.sina = sinf(angle);
    p.lit[0] = strength * cosf(lit);
    p.lit[1] = strength * sinf(lit);
    p.outline = qd_rng_float(rng) < .3f ? qd_rng_range(rng, .06f, .14f) : 0;
    return p;
}

struct qd_toy_rgb qd_toy_paint_at(const struct qd_toy_paint *p, float x, float y, float distance)
{
    float u = (p->cosa * x + p->sina * y) * p->frequency + p->phase;
    float v = (p->cosa * y - p->sina * x) * p->frequency;
    struct qd_toy_rgb c = mix(&p->a, &p->b, patterns[p->pattern](u, v));
    float gain = 1 + p->lit[0] * x + p->lit[1] * y;

    if (distance > -p->outline)
        gain *= .35f;
    for (int i = 0; i < 3; i++)
        c.v[i] *= gain;
    return c;
}

/* ------------------------------------------------------------------ background ---------------- */

/* Add smooth noise of one size to the field [h][w]: random values on a grid of 'cell' pixels,
 * blended between.  'tmp' holds what a row needs. */
struct lattice {
    int columns;
    float *grid;   /* rows of it: the one above, the one below, and what lies between */
    float *weight; /* [w] */
    int *at;       /* [w] */
};

static void next_row(const struct lattice *l, struct qd_rng *rng)
{
    memcpy(l->grid, l->grid + l->columns, (size_t)l->columns * sizeof(float));
    for (int i = 0; i < l->columns; i++)
        l->grid[l->columns + i] = qd_rng_float(rng);
}

static void add_octave(const struct qd_toy_canvas *c, const struct lattice *scratch,
    struct qd_rng *rng, float cell, float amplitude, float *field)
{
    struct lattice l = *scratch;
    int row = -1;

    l.columns = (int)((float)c->w / cell) + 2;
    for (int x = 0; x < c->w; x++) {
        float u = (float)x / cell;
        l.at[x] = (int)u;
        l.weight[x] = ease(u - (float)l.at[x]);
    }
    next_row(&l, rng);
    for (int y = 0; y < c->h; y++) {
        float v = (float)y / cell;
        for (; row < (int)v; row++)
            next_row(&l, rng);
        float wy = ease(v - (float)row);
        const float *up = l.grid, *down = l.grid + l.columns;
        float *between = l.grid + 2 * (ptrdiff_t)l.columns;
        float *out = field + (size_t)y * (size_t)c->w;
        for (int k = 0; k < l.columns; k++)
            between[k] = up[k] + (down[k] - up[k]) * wy;
        for (int x = 0; x < c->w; x++) {
            float a = between[l.at[x]], b = between[l.at[x] + 1];
            out[x] += amplitude * (a + (b - a) * l.weight[x]);
        }
    }
}

/* A field of noise in about 0..1: octaves from a third of the picture downwards. */
static void noise_field(
    const struct qd_toy_canvas *c, const struct lattice *l, struct qd_rng *rng, float *field)
{
    float cell = (float)QD_MIN(c->w, c->h) * qd_rng_range(rng, .15f, .6f);
    float rough = qd_rng_range(rng, .35f, .6f), amplitude = 1, sum = 0;

    memset(field, 0, (size_t)c->w * (size_t)c->h * sizeof(float));
    for (int i = 0; i < 4 && cell >= 2; i++) {
        add_octave(c, l, rng, cell, amplitude, field);
        sum += amplitude;
        amplitude *= rough;
        cell /= 2.7f;
    }
    for (size_t i = 0; i < (size_t)c->w * (size_t)c->h; i++)
        field[i] = clamp((field[i] / sum - .5f) * 1.8f + .5f, 0, 1);
}

static void paint_background(const struct qd_toy_canvas *c, struct qd_rng *rng, float strength,
    const float *a, const float *b)
{
    struct qd_toy_rgb base[3], motif = qd_toy_colour(rng);
    pattern_fn *pattern = patterns[qd_rng_below(rng, QD_LEN(patterns))];
    float angle = qd_rng_range(rng, 0, TAU), warp = qd_rng_range(rng, 0, 4);
    float f = TAU / qd_rng_range(rng, 10, 60), s = sinf(angle) * f, k = cosf(angle) * f;

    strength *= qd_rng_float(rng);
    for (int i = 0; i < 3; i++)
        base[i] = qd_toy_colour(rng);
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            size_t i = (size_t)y * (size_t)c->w + (size_t)x;
            struct qd_toy_rgb p = mix(&base[0], &base[1], a[i]);
            p = mix(&p, &base[2], b[i] * b[i]);
            float u = k * (float)x + s * (float)y + warp * a[i];
            float v = k * (float)y - s * (float)x + warp * b[i];
            if (pattern != plain)
                p = mix(&p, &motif, strength * pattern(u, v));
            memcpy(c->px + 3 * i, p.v, sizeof(p.v));
        }
}

int qd_toy_background(struct qd_toy_canvas *c, struct qd_rng *rng,
    const struct qd_toy_hardness *level, struct qd_error *err)
{
    size_t n = (size_t)c->w * (size_t)c->h, w = (size_t)c->w;
    float *field = qd_alloc(2 * n + 4 * w + 8, sizeof(float), err);
    int *at = qd_alloc_raw(w, sizeof(int), err);

    if (field && at) {
        struct lattice l = {0, field + 2 * n, field + 2 * n + 3 * w + 8, at};
        noise_field(c, &l, rng, field);
        noise_field(c, &l, rng, field + n);
        paint_background(c, rng, level->pattern, field, field + n);
    }
    int ret = field && at ? 0 : -1;
    qd_free(field);
    qd_free(at);
    return ret;
}

/* ------------------------------------------------------------------ clutter ------------------- */

/* A thick line with round ends. */
static void stroke(struct qd_toy_canvas *c, const float p[4], float width, struct qd_toy_rgb col)
{
    int x0 = (int)clamp(fminf(p[0], p[2]) - width - 1, 0, (float)c->w);
    int x1 = (int)clamp(fmaxf(p[0], p[2]) + width + 2, 0, (float)c->w);
    int y0 = (int)clamp(fminf(p[1], p[3]) - width - 1, 0, (float)c->h);
    int y1 = (int)clamp(fmaxf(p[1], p[3]) + width + 2, 0, (float)c->h);
    float ex = p[2] - p[0], ey = p[3] - p[1], len = ex * ex + ey * ey + 1e-6f;

    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            float px = (float)x - p[0], py = (float)y - p[1];
            float t = clamp((px * ex + py * ey) / len, 0, 1);
            float d = sqrtf((px - t * ex) * (px - t * ex) + (py - t * ey) * (py - t * ey));
            float alpha = clamp(width / 2 - d + .5f, 0, 1);
            float *out = c->px + 3 * ((size_t)y * (size_t)c->w + (size_t)x);
            for (int i = 0; i < 3; i++)
                out[i] += (col.v[i] - out[i]) * alpha;
        }
}

void qd_toy_clutter(struct qd_toy_canvas *c, struct qd_rng *rng, int n)
{
    float side = (float)QD_MIN(c->w, c->h);

    for (int i = 0; i < n; i++) {
        struct qd_toy_rgb col = qd_toy_colour(rng);
        float width = fmaxf(side * qd_rng_range(rng, .003f, .02f), 1);
        float angle = qd_rng_range(rng, 0, TAU), turn = qd_rng_range(rng, -.7f, .7f);
        float step = side * qd_rng_range(rng, .04f, .15f);
        float p[4] = {0, 0, qd_rng_range(rng, 0, (float)c->w), qd_rng_range(rng, 0, (float)c->h)};
        int pieces = 1 + (int)qd_rng_below(rng, 6);
        for (int k = 0; k < pieces; k++) { /* a bent wire */
            p[0] = p[2];
            p[1] = p[3];
            p[2] += step * cosf(angle);
            p[3] += step * sinf(angle);
            angle += turn;
            stroke(c, p, width, col);
        }
    }
}

/* ------------------------------------------------------------------ light and noise ----------- */

void qd_toy_finish(const struct qd_toy_canvas *c, struct qd_rng *rng,
    const struct qd_toy_hardness *level, struct qd_image *out)
{
    float angle = qd_rng_range(rng, 0, TAU), light = level->light * qd_rng_float(rng);
    float gain = qd_rng_range(rng, .8f, 1.1f) * 255, noise = level->noise * qd_rng_float(rng);
    float gx = light * cosf(angle) / (float)c->w, gy = light * sinf(angle) / (float)c->h;
    const float scale = noise / 64; /* of the sum of three times seven bits: deviation 64 */

    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            size_t i = 3 * ((size_t)y * (size_t)c->w + (size_t)x);
            float dx = (float)x - (float)c->w / 2, dy = (float)y - (float)c->h / 2;
            float g = gain * (1 + 2 * (gx * dx + gy * dy));
            uint64_t bits = qd_rng_u64(rng);
            for (int k = 0; k < 3; k++, bits >>= 21) {
                float sum = (float)((bits & 127) + (bits >> 7 & 127) + (bits >> 14 & 127));
                float v = c->px[i + (size_t)k] * g + (sum - 190.5f) * scale;
                out->data[i + (size_t)k] = (uint8_t)clamp(v + .5f, 0, 255);
            }
        }
}
