/* SPDX-License-Identifier: MIT */
/*
 * The shapes of the synthetic sets, as distances from an outline: that gives smooth edges, rims and
 * shading at any size and angle.  Most are polygons; a class is one row of the table.
 */
#include "data/toy.h"

#include <math.h>

enum { MAX_POINTS = 16 };

struct shape {
    const char *name;
    float (*distance)(float x, float y); /* NULL: a polygon */
    int n;
    float point[MAX_POINTS][2];
};

static float disc(float x, float y)
{
    return sqrtf(x * x + y * y) - .92f;
}

static float ring(float x, float y)
{
    return fabsf(sqrtf(x * x + y * y) - .7f) - .24f;
}

/* A disc without a second one that lies aside. */
static float crescent(float x, float y)
{
    float whole = sqrtf(x * x + y * y) - .98f;
    float cut = sqrtf((x - .45f) * (x - .45f) + y * y) - .78f;

    return QD_MAX(whole, -cut);
}

/* clang-format off */
static const struct shape shapes[QD_TOY_SHAPES] = {
    {"disc", disc, 0, {{0}}},
    {"square", NULL, 4, {{-.76f, -.76f}, {.76f, -.76f}, {.76f, .76f}, {-.76f, .76f}}},
    {"triangle", NULL, 3, {{0, -1}, {.87f, .62f}, {-.87f, .62f}}},
    {"star", NULL, 10, {{0, -1}, {.247f, -.34f}, {.951f, -.309f}, {.4f, .13f}, {.588f, .809f},
        {0, .42f}, {-.588f, .809f}, {-.4f, .13f}, {-.951f, -.309f}, {-.247f, -.34f}}},
    {"cross", NULL, 12, {{-.3f, -.94f}, {.3f, -.94f}, {.3f, -.3f}, {.94f, -.3f}, {.94f, .3f},
        {.3f, .3f}, {.3f, .94f}, {-.3f, .94f}, {-.3f, .3f}, {-.94f, .3f}, {-.94f, -.3f},
        {-.3f, -.3f}}},
    {"ring", ring, 0, {{0}}},
    {"crescent", crescent, 0, {{0}}},
    {"heart", NULL, 14, {{0, -.48f}, {.2f, -.76f}, {.5f, -.86f}, {.78f, -.74f}, {.93f, -.42f},
        {.84f, -.04f}, {.48f, .44f}, {0, .94f}, {-.48f, .44f}, {-.84f, -.04f}, {-.93f, -.42f},
        {-.78f, -.74f}, {-.5f, -.86f}, {-.2f, -.76f}}},
    {"arrow", NULL, 7, {{0, -1}, {.72f, -.1f}, {.28f, -.1f}, {.28f, .92f}, {-.28f, .92f},
        {-.28f, -.1f}, {-.72f, -.1f}}},
    {"bow", NULL, 6, {{-.86f, -.62f}, {0, -.15f}, {.86f, -.62f}, {.86f, .62f}, {0, .15f},
        {-.86f, .62f}}},
};
/* clang-format on */

const char *qd_toy_shape_name(int shape)
{
    return shape >= 0 && shape < QD_TOY_SHAPES ? shapes[shape].name : NULL;
}

/* The distance to the nearest edge; inside is where a ray crosses an odd number of edges. */
static float polygon(const struct shape *s, float x, float y)
{
    float best = 1e9f;
    bool inside = false;

    for (int i = 0; i < s->n; i++) {
        const float *a = s->point[i], *b = s->point[(i + 1) % s->n];
        float ex = b[0] - a[0], ey = b[1] - a[1], px = x - a[0], py = y - a[1];
        float t = (px * ex + py * ey) / (ex * ex + ey * ey);
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        float dx = px - t * ex, dy = py - t * ey;
        float d = dx * dx + dy * dy;
        best = d < best ? d : best;
        if ((a[1] > y) != (b[1] > y) && (px * ey < ex * py) == (ey > 0))
            inside = !inside;
    }
    return inside ? -sqrtf(best) : sqrtf(best);
}

float qd_toy_shape_distance(int shape, float x, float y)
{
    const struct shape *s = &shapes[shape];
    float r = x * x + y * y;

    if (r > 1.44f) /* far outside nobody wants to know exactly */
        return sqrtf(r) - 1;
    return s->distance ? s->distance(x, y) : polygon(s, x, y);
}
