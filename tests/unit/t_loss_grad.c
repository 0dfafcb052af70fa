/* SPDX-License-Identifier: MIT */
/*
 * Whole losses against differences: where the gradient is the derivative of the cost, every value
 * of a small net is moved.  Values are fixed, so that no box side meets another on the way.
 */
#include "loss_rig.h"

enum { BATCH = 2 };

/* Five points; the cost is a double of float boxes, so that the step cannot be much smaller. */
#define STEP (1.f / 64)
/* of the largest gradient */
#define TOL 5e-4

static double cost_at(struct loss_rig *r, float *v, float x, bool box_only)
{
    *v = x;
    if (loss_run(r) < 0)
        loss_bail(r->err.msg);
    return box_only ? r->parts.box : r->parts.cost;
}

static double difference(struct loss_rig *r, float *v, bool box_only)
{
    float x = *v;
    double near = cost_at(r, v, x + STEP, box_only) - cost_at(r, v, x - STEP, box_only);
    double wide = cost_at(r, v, x + 2 * STEP, box_only) - cost_at(r, v, x - 2 * STEP, box_only);

    *v = x;
    return (8 * near - wide) / (12 * (double)STEP);
}

/* entries > 0: boxes only, the first four of that many. */
static void check(struct loss_rig *r, size_t entries, const char *what)
{
    size_t size = loss_size(r), n = BATCH * size, moved = 0;
    double *grad = calloc(n, sizeof(*grad)), most = 0, worst = 0;

    if (!grad || loss_run(r) < 0)
        loss_bail(r->err.msg);
    for (size_t i = 0; i < n; i++)
        grad[i] = (double)*loss_at(&r->grad, (int)(i / size), i % size);
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(grad[i]));
    for (size_t i = 0; i < n; i++) {
        if (entries && i % entries >= 4)
            continue;
        double d = difference(r, loss_at(&r->raw, (int)(i / size), i % size), entries > 0);
        moved += grad[i] != 0;
        worst = fmax(worst, isnan(grad[i]) ? HUGE_VAL : fabs(d - grad[i]));
    }
    OK(worst <= TOL * most && moved >= 4, "%s: %zu of %zu not 0 (off by %.2g of %.2g)", what, moved,
        n, worst, most);
    free(grad);
}

/* Fixed values of about -1..1 that have no pattern. */
static void fill(struct loss_rig *r, float middle, float range)
{
    for (int n = 0; n < BATCH; n++)
        for (size_t i = 0; i < loss_size(r); i++)
            *loss_at(&r->raw, n, i) =
                middle + range * sinf((float)(i * i) * .37f + (float)i * 1.3f + (float)n);
}

static void detector_truths(struct loss_rig *r)
{
    loss_truth(r, 0, 1, .41f, .37f, .33f, .52f);
    loss_truth(r, 0, 0, .44f, .39f, .36f, .47f);
    loss_truth(r, 0, 0, .83f, .77f, .21f, .13f);
    loss_truth(r, 1, 1, .17f, .88f, .58f, .49f);
}

#define NET "[net]\nwidth=96\nheight=64\nchannels=3\n"
#define CONV(n) "[convolutional]\nfilters=" n "\nsize=16\nstride=16\nactivation=linear\n"
#define YOLO                                                                                       \
    NET CONV("14") "[yolo]\nclasses=2\nnum=3\nmask=0,2\nanchors=16,14, 90,90, 40,30\n"             \
                   "iou_normalizer=.6\niou_thresh=.3\nscale_x_y=1.1\n"

static void yolo(void)
{
    static const char *const kinds[] = {"mse", "iou", "giou", "diou", "ciou"};
    const struct qd_loss_opts opts = {.variant = "exact"};

    for (int coords = 0; coords < 2; coords++)
        for (size_t i = 0; i < QD_LEN(kinds); i++) {
            char text[1000], what[100];
            snprintf(text, sizeof(text), YOLO "iou_loss=%s\nnew_coords=%d\n", kinds[i], coords);
            snprintf(what, sizeof(what), "yolo exact %s, new_coords=%d", kinds[i], coords);
            struct loss_rig *r = loss_open(text, "t.cfg", BATCH, &opts);
            fill(r, coords ? .5f : 0, coords ? .45f : 1);
            detector_truths(r);
            check(r, 7, what);
            loss_close(r);
        }
}

static void ultralytics(void)
{
    struct qd_loss_opts opts = QD_LOSS_OPTS_INIT;

    opts.variant = "ultralytics";
    opts.gr = 0; /* the objectness to learn is not differentiated */
    opts.obj_pw = 1.3f;
    opts.cls_pw = 1.5f;
    opts.balance = .4f;
    for (int focal = 0; focal < 2; focal++) {
        opts.fl_gamma = focal ? 1.5f : 0;
        struct loss_rig *r = loss_open(YOLO, "t.cfg", BATCH, &opts);
        fill(r, 0, 1);
        detector_truths(r);
        check(r, 0, focal ? "ultralytics, focal" : "ultralytics");
        loss_close(r);
    }
}

/* targets of all kinds: one-hot, mixed, left out */
static float *targets(struct loss_rig *r, size_t k)
{
    size_t n = BATCH * loss_size(r);
    float *t = calloc(n, sizeof(*t));

    if (!t)
        loss_bail("out of memory");
    for (size_t i = 0; i < n; i += k) {
        t[i + i / k % k] += .7f;
        t[i + i % k] += .3f;
    }
    r->in.target = t;
    return t;
}

static void classifier(
    const char *section, int side, int k, const struct qd_loss_opts *opts, const char *what)
{
    char text[1000];
    struct loss_rig *r;
    float *t;

    snprintf(text, sizeof(text),
        "[net]\nwidth=%d\nheight=8\nchannels=3\n[convolutional]\nfilters=6\nsize=8\nstride=8\n"
        "activation=linear\n%s",
        8 * side, section);
    r = loss_open(text, "t.cfg", BATCH, opts);
    fill(r, 0, 2);
    t = targets(r, (size_t)k);
    if (side > 1 && k == 6)
        t[6] = -1; /* the second pixel of the first image */
    check(r, 0, what);
    if (side > 1 && k == 6)
        OK(*loss_at(&r->grad, 0, 6) == 0, "%s: a target below 0 does not count", what);
    loss_close(r);
    free(t);
}

int main(void)
{
    const struct qd_loss_opts smooth = {.label_smooth_eps = .2f}, mean = {.mean = true};

    yolo();
    ultralytics();
    classifier("[softmax]\n", 1, 6, NULL, "softmax");
    classifier("[softmax]\ntemperature=3\n", 1, 6, &smooth, "softmax, smoothed, temperature");
    classifier("[softmax]\ngroups=2\n", 1, 3, NULL, "softmax in groups");
    classifier("[softmax]\nspatial=1\n", 3, 6, NULL, "softmax of pixels");
    classifier("[softmax]\n", 3, 18, &smooth, "softmax of a whole map");
    classifier("[logistic]\n", 3, 6, NULL, "logistic");
    classifier("[logistic]\n", 3, 6, &mean, "logistic, mean");
    return tap_done();
}
