/* SPDX-License-Identifier: MIT */
/*
 * One synthetic picture.  Objects are laid down one after the other; a place where the new one
 * would hide too much of an earlier one, or lie too far outside, is given up for another.  What is
 * seen of each object in the end is known to the pixel, and its box is the box of that, as an
 * annotator would draw it.
 */
#include "data/toy.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define TAU 6.28318531f

enum { BLOB = QD_TOY_SHAPES }; /* a shape that is in no class */
enum { WAVES = 4 };            /* of a blob's outline */

static const struct qd_toy_hardness levels[] = {
    [QD_TOY_EASY] = {4, .12f, .28f, .85f, .35f, .3f, 2, 0, .3f, 6},
    [QD_TOY_NORMAL] = {7, .07f, .28f, .6f, .25f, .6f, 6, 3, .5f, 12},
    [QD_TOY_HARD] = {12, .04f, .3f, .45f, .15f, .9f, 12, 6, .7f, 22},
};

/* An object and where it lies: pixel (x, y) is m * (x - cx, y - cy) of the shape. */
struct pose {
    int shape;
    float cx, cy, m[4];
    float scale;          /* pixels that a unit of the shape's distance is */
    int x0, y0, x1, y1;   /* the pixels that it may touch, also outside of the canvas */
    float wave[WAVES][2]; /* blobs: amplitude and phase */
    /* pixels that are surely this far inside or outside, by the square of their distance from the
     * centre: nothing depends on how far they really are */
    float sure, surely_in, surely_out;
};

struct scene {
    struct qd_toy_canvas canvas;
    const struct qd_toy_hardness *level;
    struct qd_rng rng;
    float least;    /* share of an object that must be seen */
    uint8_t *owner; /* [h][w]: number of the object seen there, from 1 */
    float *dist;    /* of the object in hand over its rectangle, in units of the shape */
    size_t room;    /* of dist */
    int n;
    struct {
        int class_id, all, seen; /* pixels */
    } object[QD_TOY_OBJECTS];
};

/* ------------------------------------------------------------------ poses --------------------- */

static void turn(struct pose *p, float size, float aspect, float angle)
{
    float c = cosf(angle), s = sinf(angle), rx = size * sqrtf(aspect), ry = size / sqrtf(aspect);
    float ex = hypotf(rx * c, ry * s), ey = hypotf(rx * s, ry * c);

    p->m[0] = c / rx;
    p->m[1] = s / rx;
    p->m[2] = -s / ry;
    p->m[3] = c / ry;
    p->scale = fminf(rx, ry);
    p->x0 = (int)floorf(p->cx - ex * 1.1f);
    p->y0 = (int)floorf(p->cy - ey * 1.1f);
    p->x1 = (int)ceilf(p->cx + ex * 1.1f) + 1;
    p->y1 = (int)ceilf(p->cy + ey * 1.1f) + 1;
}

/* Where nobody asks how far the edge is: beyond outline, shadow and the last pixel's share. */
static void bound(struct pose *p)
{
    float inner = .6f, outer = .6f, room;

    p->sure = fmaxf(.15f, .51f / p->scale);
    p->surely_out = HUGE_VALF;
    for (int i = 0; i < WAVES; i++) {
        inner -= p->wave[i][0];
        outer += p->wave[i][0];
    }
    if (p->shape == BLOB)
        p->surely_out = (outer + p->sure + .001f) * (outer + p->sure + .001f);
    else
        inner = -qd_toy_shape_distance(p->shape, 0, 0);
    room = fmaxf(inner - p->sure - .001f, 0);
    p->surely_in = room * room;
}

static struct pose pose_new(struct scene *s, int shape, float small, float large)
{
    float side = (float)QD_MIN(s->canvas.w, s->canvas.h);
    float size = side * small * powf(large / small, qd_rng_float(&s->rng));
    float aspect = qd_rng_range(&s->rng, .8f, 1.25f), angle = qd_rng_range(&s->rng, 0, TAU);
    struct pose p = {.shape = shape};

    p.cx = qd_rng_range(&s->rng, 0, (float)s->canvas.w);
    p.cy = qd_rng_range(&s->rng, 0, (float)s->canvas.h);
    for (int i = 0; i < WAVES && shape == BLOB; i++) {
        p.wave[i][0] = qd_rng_range(&s->rng, .05f, .16f);
        p.wave[i][1] = qd_rng_range(&s->rng, 0, TAU);
    }
    turn(&p, size, aspect, angle);
    bound(&p);
    return p;
}

/* Blobs are lumps with an outline that no two of them share. */
static float distance(const struct pose *p, float x, float y)
{
    float r = x * x + y * y, radius = .6f;

    if (r < p->surely_in)
        return -p->sure;
    if (r > p->surely_out)
        return p->sure;
    if (p->shape != BLOB)
        return qd_toy_shape_distance(p->shape, x, y);
    r = sqrtf(r);
    if (r > 1.2f)
        return r - 1;
    float theta = atan2f(y, x);
    for (int i = 0; i < WAVES; i++)
        radius += p->wave[i][0] * sinf((float)(i + 2) * theta + p->wave[i][1]);
    return r - radius;
}

static void to_shape(const struct pose *p, int x, int y, float *u, float *v)
{
    float dx = (float)x - p->cx, dy = (float)y - p->cy;

    *u = p->m[0] * dx + p->m[1] * dy;
    *v = p->m[2] * dx + p->m[3] * dy;
}

/* ------------------------------------------------------------------ one object ---------------- */

static bool on_canvas(const struct scene *s, int x, int y)
{
    return x >= 0 && y >= 0 && x < s->canvas.w && y < s->canvas.h;
}

/* Fill s->dist, and count the pixels of the object: all, inside of the canvas, and for each earlier
 * object those that it would lose. */
static void measure(struct scene *s, const struct pose *p, int *all, int *inside, int *lost)
{
    size_t k = 0;

    memset(lost, 0, (QD_TOY_OBJECTS + 1) * sizeof(*lost));
    *all = *inside = 0;
    for (int y = p->y0; y < p->y1; y++)
        for (int x = p->x0; x < p->x1; x++) {
            float u, v;
            to_shape(p, x, y, &u, &v);
            float d = s->dist[k++] = distance(p, u, v);
            if (d > 0)
                continue;
            ++*all;
            if (!on_canvas(s, x, y))
                continue;
            ++*inside;
            lost[s->owner[(size_t)y * (size_t)s->canvas.w + (size_t)x]]++;
        }
}

/* Whether the object may lie there. */
static bool acceptable(struct scene *s, const struct pose *p, int *all, int *inside)
{
    int lost[QD_TOY_OBJECTS + 1];
    float least = s->least;

    if ((size_t)(p->x1 - p->x0) * (size_t)(p->y1 - p->y0) > s->room)
        return false;
    measure(s, p, all, inside, lost);
    if (*all < 30 || (float)*inside < least * (float)*all)
        return false;
    for (int i = 0; i < s->n; i++)
        if ((float)(s->object[i].seen - lost[i + 1]) < least * (float)s->object[i].all)
            return false;
    for (int i = 0; i < s->n; i++)
        s->object[i].seen -= lost[i + 1];
    return true;
}

static struct qd_toy_rgb colour_under(const struct scene *s, const struct pose *p)
{
    struct qd_toy_rgb sum = {{0}};
    int n = 0;

    for (int y = QD_MAX(p->y0, 0); y < QD_MIN(p->y1, s->canvas.h); y += 3)
        for (int x = QD_MAX(p->x0, 0); x < QD_MIN(p->x1, s->canvas.w); x += 3, n++)
            for (int i = 0; i < 3; i++)
                sum.v[i] +=
                    s->canvas.px[3 * ((size_t)y * (size_t)s->canvas.w + (size_t)x) + (size_t)i];
    for (int i = 0; i < 3; i++)
        sum.v[i] /= (float)QD_MAX(n, 1);
    return sum;
}

/* Darken what is beside the object on one side, softly. */
static void shadow(struct scene *s, const struct pose *p, float dx, float dy)
{
    for (int y = QD_MAX(p->y0, 0); y < QD_MIN(p->y1, s->canvas.h); y++)
        for (int x = QD_MAX(p->x0, 0); x < QD_MIN(p->x1, s->canvas.w); x++) {
            float u, v;
            to_shape(p, x, y, &u, &v);
            float d = distance(p, u - dx, v - dy);
            if (d > .1f)
                continue;
            float depth = (.1f - d) / .2f;
            float gain = 1 - .45f * (depth < 1 ? depth : 1);
            float *px = s->canvas.px + 3 * ((size_t)y * (size_t)s->canvas.w + (size_t)x);
            for (int i = 0; i < 3; i++)
                px[i] *= gain;
        }
}

/* Paint the object whose distances are in s->dist; 'owner' 0 leaves the owners alone. */
static void paint(struct scene *s, const struct pose *p, int owner)
{
    struct qd_toy_rgb under = colour_under(s, p);
    struct qd_toy_paint surface = qd_toy_paint_new(&s->rng, &under, s->level->contrast);
    float sx = qd_rng_range(&s->rng, -.16f, .16f), sy = qd_rng_range(&s->rng, -.16f, .16f);
    size_t k = 0;

    if (qd_rng_float(&s->rng) < .4f)
        shadow(s, p, sx, sy);
    for (int y = p->y0; y < p->y1; y++)
        for (int x = p->x0; x < p->x1; x++) {
            float d = s->dist[k++], alpha = .5f - d * p->scale;
            if (alpha <= 0 || !on_canvas(s, x, y))
                continue;
            alpha = alpha < 1 ? alpha : 1;
            float u, v;
            to_shape(p, x, y, &u, &v);
            size_t at = (size_t)y * (size_t)s->canvas.w + (size_t)x;
            struct qd_toy_rgb c = qd_toy_paint_at(&surface, u, v, d);
            for (size_t i = 0; i < 3; i++)
                s->canvas.px[3 * at + i] += (c.v[i] - s->canvas.px[3 * at + i]) * alpha;
            if (owner && d <= 0)
                s->owner[at] = (uint8_t)owner;
        }
}

static void add_decoys(struct scene *s)
{
    int n = (int)qd_rng_below(&s->rng, (uint32_t)s->level->decoys + 1), all, inside;
    int lost[QD_TOY_OBJECTS + 1];

    for (int i = 0; i < n; i++) {
        struct pose p = pose_new(s, BLOB, s->level->small, s->level->large);
        if ((size_t)(p.x1 - p.x0) * (size_t)(p.y1 - p.y0) > s->room)
            continue;
        measure(s, &p, &all, &inside, lost);
        if (inside)
            paint(s, &p, 0);
    }
}

/* Try some places; false when the object fits nowhere. */
static bool add_object(struct scene *s, int shape, int class_id, float small, float large)
{
    for (int i = 0; i < 20; i++) {
        struct pose p = pose_new(s, shape, small, large);
        int all, inside;
        if (!acceptable(s, &p, &all, &inside))
            continue;
        s->object[s->n].class_id = class_id;
        s->object[s->n].all = all;
        s->object[s->n].seen = inside;
        s->n++;
        paint(s, &p, s->n);
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------ the picture --------------- */

static int scene_open(struct scene *s, const struct qd_toy_opts *o, struct qd_error *err)
{
    size_t n = (size_t)o->w * (size_t)o->h;

    s->level = &levels[o->level];
    s->least = s->level->visible;
    s->canvas = (struct qd_toy_canvas){o->w, o->h, NULL};
    s->room = 2 * n;
    s->canvas.px = qd_alloc_raw(n * 3, sizeof(float), err);
    s->owner = qd_alloc(n, 1, err);
    s->dist = qd_alloc_raw(s->room, sizeof(float), err);
    return s->canvas.px && s->owner && s->dist ? 0 : -1;
}

static void scene_close(struct scene *s)
{
    qd_free(s->canvas.px);
    qd_free(s->owner);
    qd_free(s->dist);
}

/* The boxes of what is seen of each object. */
static int find_boxes(const struct scene *s, struct qd_labels *out, struct qd_error *err)
{
    int w = s->canvas.w, h = s->canvas.h, box[QD_TOY_OBJECTS][4];

    for (int i = 0; i < s->n; i++)
        memcpy(box[i], (int[]){w, h, 0, 0}, sizeof(box[i]));
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int i = s->owner[(size_t)y * (size_t)w + (size_t)x] - 1;
            if (i < 0)
                continue;
            box[i][0] = QD_MIN(box[i][0], x);
            box[i][1] = QD_MIN(box[i][1], y);
            box[i][2] = QD_MAX(box[i][2], x + 1);
            box[i][3] = QD_MAX(box[i][3], y + 1);
        }
    out->n = 0;
    out->label = qd_alloc((size_t)QD_MAX(s->n, 1), sizeof(*out->label), err);
    if (!out->label)
        return -1;
    for (int i = 0; i < s->n; i++) {
        const int *b = box[i];
        struct qd_box r = {(float)(b[0] + b[2]) / 2 / (float)w, (float)(b[1] + b[3]) / 2 / (float)h,
            (float)(b[2] - b[0]) / (float)w, (float)(b[3] - b[1]) / (float)h};
        out->label[out->n++] = (struct qd_label){s->object[i].class_id, r, i + 1};
    }
    return 0;
}

static struct qd_image *class_map(const struct scene *s, struct qd_error *err)
{
    struct qd_image *map = qd_image_new(s->canvas.w, s->canvas.h, 1, err);
    size_t n = (size_t)s->canvas.w * (size_t)s->canvas.h;

    for (size_t i = 0; map && i < n; i++)
        if (s->owner[i])
            map->data[i] = (uint8_t)(s->object[s->owner[i] - 1].class_id + 1);
    return map;
}

static int draw(struct scene *s, const struct qd_toy_opts *o, bool single, struct qd_error *err)
{
    const struct qd_toy_hardness *l = s->level;

    if (qd_toy_background(&s->canvas, &s->rng, l, err) < 0)
        return -1;
    qd_toy_clutter(&s->canvas, &s->rng, (int)qd_rng_below(&s->rng, (uint32_t)l->clutter + 1));
    add_decoys(s);
    if (single) {
        s->least = .9f;
        int shape = (int)qd_rng_below(&s->rng, (uint32_t)o->classes);
        if (!add_object(s, shape, shape, .25f, .42f))
            return qd_error_set(err, QD_EARG, "pictures of %dx%d pixels are too small", o->w, o->h);
        return 0;
    }
    int n = 1 + (int)qd_rng_below(&s->rng, (uint32_t)l->objects);
    for (int i = 0; i < n; i++) {
        int shape = (int)qd_rng_below(&s->rng, (uint32_t)o->classes);
        add_object(s, shape, shape, l->small, l->large);
    }
    return 0;
}

int qd_toy_draw(const struct qd_toy_opts *o, bool single, uint64_t stream,
    struct qd_toy_sample *out, struct qd_error *err)
{
    struct scene s = {.rng = qd_rng_new(o->seed, stream)};
    int ret = -1;

    *out = (struct qd_toy_sample){0};
    if (scene_open(&s, o, err) == 0 && draw(&s, o, single, err) == 0) {
        out->image = qd_image_new(o->w, o->h, 3, err);
        out->map = class_map(&s, err);
        if (out->image && out->map && find_boxes(&s, &out->labels, err) == 0) {
            qd_toy_finish(&s.canvas, &s.rng, s.level, out->image);
            ret = 0;
        }
    }
    scene_close(&s);
    if (ret < 0)
        qd_toy_sample_free(out);
    return ret;
}

void qd_toy_sample_free(struct qd_toy_sample *s)
{
    qd_image_free(s->image);
    qd_image_free(s->map);
    qd_labels_free(&s->labels);
    *s = (struct qd_toy_sample){0};
}
