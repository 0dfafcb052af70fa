/* SPDX-License-Identifier: MIT */
/* Gradients of the heads against deltas that darknet computed for the same inputs and truths. */
#include "loss_rig.h"

enum { GRID = 13, BATCH = 2 };

/* The bounds of the project; what is seen is 3e-5 for the Gaussian head, whose deltas reach some
 * hundreds, and 3e-6 for the others. */
#define ATOL 1e-4
#define COST_RTOL 1e-3

/* Read 'count' floats, NULL after a skip line. */
static float *floats(const char *name, const char *suffix, size_t count)
{
    char rest[200];
    const char *path;
    float *v = malloc(count * sizeof(*v));
    FILE *f;

    snprintf(rest, sizeof(rest), "golden-loss/%s%s", name, suffix);
    path = tap_shared(rest);
    f = path ? fopen(path, "rb") : NULL;
    if (!f || !v || fread(v, sizeof(*v), count, f) != count) {
        free(v);
        v = NULL;
    }
    if (f)
        fclose(f);
    return v;
}

static char *text(const char *name)
{
    char rest[200], *t = calloc(1, 4000);
    const char *path;
    FILE *f;

    snprintf(rest, sizeof(rest), "golden-loss/%s", name);
    path = tap_shared(rest);
    f = path ? fopen(path, "r") : NULL;
    if (!f || !t || !fread(t, 1, 3999, f)) {
        free(t);
        t = NULL;
    }
    if (f)
        fclose(f);
    return t;
}

static void add_truths(struct loss_rig *r, const char *t)
{
    int image, class_id, used;
    float x, y, w, h;

    for (; sscanf(t, "%d %d %f %f %f %f%n", &image, &class_id, &x, &y, &w, &h, &used) == 6;
         t += used)
        loss_truth(r, image, class_id, x, y, w, h);
}

struct golden {
    const char *name, *input;
    int channels;
    double cost;
    uint64_t seen;
    int wins; /* boxes that deviate: under objectness_smooth the positive objectness wins here,
                 where darknet keeps the delta of the background pass (spec darknet.md 11) */
    double obj_normalizer;
};

static const struct golden goldens[] = {
    {"yolo-mse", "input24", 24, 314.740417, 100000, 0, 1},
    {"yolo-mse-norm1", "input24", 24, 380.405396, 100000, 0, 1},
    {"yolo-mse-smooth-focal", "input24", 24, 310.490112, 100000, 0, 1},
    {"yolo-iou", "input24", 24, 232.124390, 100000, 0, 1},
    {"yolo-giou", "input24", 24, 232.263565, 100000, 0, 1},
    {"yolo-diou", "input24", 24, 232.124390, 100000, 0, 1},
    {"yolo-ciou-v4", "input24", 24, 237.320053, 100000, 0, 1},
    {"yolo-ciou-multi", "input24", 24, 20.495550, 100000, 18, .4},
    {"yolo-counters", "input24", 24, 1718.305298, 100000, 0, 1},
    {"yolo-newcoords-csp", "input24-logistic", 24, 235.401459, 100000, 14, 1},
    {"region-v2", "input24", 24, 56.913433, 100000, 0, 1},
    {"region-v2-warm", "input24", 24, 57.226269, 100, 0, 1},
    {"region-nomatch", "input24", 24, 247.186539, 100000, 0, 1},
    {"gaussian", "input36", 36, 195584.093750, 100000, 0, 1},
};

static size_t planar(const struct golden *g, int n, size_t i)
{
    size_t c = i % (size_t)g->channels, pixel = i / (size_t)g->channels;

    return ((size_t)n * (size_t)g->channels + c) * GRID * GRID + pixel;
}

/* Compare all values, and the cost after the deviating boxes are put back into it. */
static void compare(const struct golden *g, struct loss_rig *r, const float *want)
{
    double worst = 0, cost = r->parts.cost;
    int bad = 0, wins = 0, nonzero = 0;
    size_t size = loss_size(r), entries = (size_t)g->channels / 3;

    for (int n = 0; n < BATCH; n++)
        for (size_t i = 0; i < size; i++) {
            double w = (double)want[planar(g, n, i)];
            double got = -(double)*loss_at(&r->grad, n, i), d = fabs(got - w);
            nonzero += w != 0;
            if (g->wins && i % entries == 4 && d > ATOL && got > fmax(w, 0)) {
                wins++;
                cost += g->obj_normalizer * (w * w - got * got);
                continue;
            }
            if (!(d <= ATOL) && bad++ < 8)
                printf("# %s: image %d cell %zu entry %zu: %g, not %g\n", g->name, n,
                    i / (size_t)g->channels, i % (size_t)g->channels, got, w);
            worst = fmax(worst, d);
        }
    OK(bad == 0 && nonzero > 1000, "%s: %zu deltas (worst off by %.2g)", g->name, 2 * size, worst);
    if (g->wins)
        OK(wins == g->wins, "%s: positive objectness wins in %d boxes", g->name, wins);
    NEAR(cost, g->cost, 0, COST_RTOL, "%s: cost", g->name);
    NEAR(r->parts.box + r->parts.obj + r->parts.cls, r->parts.cost, 0, 1e-9, "%s: parts", g->name);
}

static void check(const struct golden *g, const char *truths)
{
    size_t count = BATCH * GRID * GRID * (size_t)g->channels;
    char file[100];
    float *input = floats(g->input, ".f32", count), *want = floats(g->name, ".delta.f32", count);
    char *cfg;

    snprintf(file, sizeof(file), "%s.cfg", g->name);
    cfg = text(file);
    if (input && want && cfg) {
        struct loss_rig *r = loss_open(cfg, file, BATCH, NULL);
        for (int n = 0; n < BATCH; n++)
            for (size_t i = 0; i < loss_size(r); i++)
                *loss_at(&r->raw, n, i) = input[planar(g, n, i)];
        add_truths(r, truths);
        r->in.seen = g->seen;
        if (OK(loss_run(r) == 0, "%s runs", g->name))
            compare(g, r, want);
        loss_close(r);
    }
    free(input);
    free(want);
    free(cfg);
}

int main(void)
{
    char *truths = text("truths.txt");

    if (truths)
        for (size_t i = 0; i < QD_LEN(goldens); i++)
            check(&goldens[i], truths);
    free(truths);
    return tap_done();
}
