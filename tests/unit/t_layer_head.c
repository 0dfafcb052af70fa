/* SPDX-License-Identifier: MIT */
/* Detection heads: decoding of hand-made tensors against the formulas in planar order. */
#include "layer_rig.h"

enum { GW = 5, GH = 3, BATCH = 2, MAX = 4000 };

struct found {
    struct qd_box box;
    int class_id;
    float score;
};
struct founds {
    struct found f[MAX];
    int n;
};

static void add(void *ctx, const struct qd_box *box, int class_id, float score)
{
    struct founds *s = ctx;

    if (s->n < MAX)
        s->f[s->n++] = (struct found){*box, class_id, score};
}

/* A head on a grid of GW x GH cells of 32 pixels, with its raw values in planar order. */
struct rigged {
    struct rig rig; /* for memory */
    const struct qd_layer *l;
    struct qd_tensor t;
    float *mem;
    float *planar[BATCH];
    int entries;
};

static struct rigged head_open(const char *section, int channels, int entries)
{
    struct rigged h = {.entries = entries};
    char text[1000];
    struct qd_error err = {0};
    const int nhwc[4] = {BATCH, GH, GW, channels};
    size_t floats;

    snprintf(text, sizeof(text),
        "[net]\nwidth=160\nheight=96\nchannels=3\n"
        "[convolutional]\nfilters=%d\nsize=32\nstride=32\nactivation=linear\n%s",
        channels, section);
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    h.rig.m = cfg ? qd_model_new(cfg, &err) : NULL;
    if (!h.rig.m || !qd_tensor_shape(&h.t, nhwc, 1, &floats)) {
        printf("Bail out! %s\n", err.msg);
        exit(99);
    }
    h.l = &h.rig.m->graph->layer[1];
    h.mem = rig_mem(&h.rig, floats * sizeof(float));
    qd_tensor_place(&h.t, h.mem);
    for (int n = 0; n < BATCH; n++) {
        h.planar[n] = rig_mem(&h.rig, (size_t)channels * GH * GW * sizeof(float));
        for (int i = 0; i < channels * GH * GW; i++)
            h.planar[n][i] = tap_randf(-2, 2);
    }
    return h;
}

static void head_close(struct rigged *h)
{
    qd_model_free(h->rig.m);
    for (int i = 0; i < h->rig.npool; i++)
        free(h->rig.pool[i]);
}

static struct founds *decode(struct rigged *h, int n, float thresh)
{
    struct founds *s = rig_mem(&h->rig, sizeof(*s));
    struct qd_decode d = {.net_w = 160, .net_h = 96, .thresh = thresh, .emit = add, .ctx = s};

    qd_tensor_from_planar(&h->t, n, h->planar[n]);
    h->l->type->decode(h->l, &h->t, n, &d);
    return s;
}

/* Entry e of anchor a of cell (x, y): planar index ((a * entries + e) * h + y) * w + x. */
static double entry(const struct rigged *h, int n, int a, int e, int y, int x)
{
    return (double)h->planar[n][((a * h->entries + e) * GH + y) * GW + x];
}

static void set(struct rigged *h, int n, int a, int e, float v)
{
    h->planar[n][((a * h->entries + e) * GH + 1) * GW + 2] = v;
}

struct expected {
    double x, y, w, h;
    double score[4]; /* by class */
};

static bool close_to(double a, double b)
{
    return fabs(a - b) <= 1e-5 + 1e-5 * fabs(b);
}

/* Compare what was found with 'want' for every cell, anchor and class in order; a score within
 * rounding of the threshold may be there or not. */
static void compare(struct rigged *h, int n, float thresh, int anchors, int classes,
    void (*expect)(const struct rigged *h, int n, const int ayx[3], struct expected *want))
{
    struct founds *s = decode(h, n, thresh);
    int at = 0, bad = 0;

    for (int i = 0; i < GH * GW * anchors * classes; i++) {
        int c = i % classes, a = i / classes % anchors, cell = i / classes / anchors;
        const int ayx[3] = {a, cell / GW, cell % GW};
        struct expected e;
        expect(h, n, ayx, &e);
        const struct found *f = &s->f[at];
        bool there = at < s->n && f->class_id == c && close_to((double)f->score, e.score[c]) &&
                     close_to((double)f->box.x, e.x) && close_to((double)f->box.y, e.y) &&
                     close_to((double)f->box.w, e.w) && close_to((double)f->box.h, e.h);
        if (fabs(e.score[c] - (double)thresh) > 1e-5)
            bad += there != (e.score[c] > (double)thresh);
        at += there;
    }
    OK(!bad && at == s->n && at > 0, "%s above %g: %d of %d boxes, %d wrong", h->l->type->section,
        (double)thresh, at, s->n, bad);
}

/* ---- yolo ------------------------------------------------------------------------------------ */

static const double sizes[3][2] = {{30, 61}, {10, 13}, {16.5, 30}}; /* mask 2, 0, 1 of the cfg */

static void expect_yolo(const struct rigged *h, int n, const int ayx[3], struct expected *want)
{
    int a = ayx[0], y = ayx[1], x = ayx[2];
    double s = 1.2, obj = naive_logistic(entry(h, n, a, 4, y, x));

    want->x = (x + s * naive_logistic(entry(h, n, a, 0, y, x)) - .1) / GW;
    want->y = (y + s * naive_logistic(entry(h, n, a, 1, y, x)) - .1) / GH;
    want->w = exp(entry(h, n, a, 2, y, x)) * sizes[a][0] / 160;
    want->h = exp(entry(h, n, a, 3, y, x)) * sizes[a][1] / 96;
    for (int c = 0; c < 4; c++)
        want->score[c] = obj * naive_logistic(entry(h, n, a, 5 + c, y, x));
}

static void expect_csp(const struct rigged *h, int n, const int ayx[3], struct expected *want)
{
    int a = ayx[0], y = ayx[1], x = ayx[2];
    double w = entry(h, n, a, 2, y, x), hh = entry(h, n, a, 3, y, x);

    want->x = (x + 2 * entry(h, n, a, 0, y, x) - .5) / GW;
    want->y = (y + 2 * entry(h, n, a, 1, y, x) - .5) / GH;
    want->w = 4 * w * w * sizes[a][0] / 160;
    want->h = 4 * hh * hh * sizes[a][1] / 96;
    for (int c = 0; c < 4; c++)
        want->score[c] = entry(h, n, a, 4, y, x) * entry(h, n, a, 5 + c, y, x);
}

static void yolo(void)
{
    static const float thresh[] = {.001f, .05f, .25f, .5f};
    struct rigged h = head_open("[yolo]\nmask=2,0,1\nanchors=10,13, 16.5,30, 30,61, 62,45\nnum=4\n"
                                "classes=4\nscale_x_y=1.2\nnms_kind=diounms\nbeta_nms=.7\n",
        27, 9);
    struct qd_head head;

    h.l->type->head(h.l, &head);
    OK(head.classes == 4 && head.nms == QD_NMS_DIOU && head.beta_nms == .7f, "kind of head");
    for (int n = 0; n < BATCH; n++)
        for (size_t i = 0; i < QD_LEN(thresh); i++)
            compare(&h, n, thresh[i], 3, 4, expect_yolo);
    for (int i = 0; i < 27 * GH * GW; i++)
        h.planar[0][i] = -50;
    set(&h, 0, 1, 4, 50);
    set(&h, 0, 1, 5 + 3, 50);
    OK(decode(&h, 0, .9f)->n == 1, "one certain box");
    set(&h, 0, 1, 5 + 2, NAN);
    OK(decode(&h, 0, .9f)->n == 1, "a class that is not a number is none");
    set(&h, 0, 1, 2, 1000);
    OK(decode(&h, 0, .9f)->n == 0, "a box of infinite width is none");
    set(&h, 0, 1, 2, 0);
    set(&h, 0, 1, 4, NAN);
    OK(decode(&h, 0, 0)->n > 0 && decode(&h, 0, .001f)->n == 0,
        "an objectness that is not a number is none");
    head_close(&h);
}

static void new_coords(void)
{
    static const float thresh[] = {.001f, .25f};
    struct rigged h = head_open("[yolo]\nmask=2,0,1\nanchors=10,13, 16.5,30, 30,61\nnum=3\n"
                                "classes=4\nscale_x_y=2\nnew_coords=1\nnms_kind=greedynms\n",
        27, 9);
    struct qd_head head;

    h.l->type->head(h.l, &head);
    OK(head.nms == QD_NMS_GREEDY && head.beta_nms == .6f, "greedynms");
    for (int n = 0; n < BATCH; n++) {
        for (int i = 0; i < 27 * GH * GW; i++)
            h.planar[n][i] = tap_randf(0, 1);
        for (size_t i = 0; i < QD_LEN(thresh); i++)
            compare(&h, n, thresh[i], 3, 4, expect_csp);
    }
    head_close(&h);
}

/* ---- Gaussian_yolo --------------------------------------------------------------------------- */

static double shift; /* of the centre in widths */

static void expect_gaussian(const struct rigged *h, int n, const int ayx[3], struct expected *want)
{
    int a = ayx[0], y = ayx[1], x = ayx[2];
    double doubt = 0, obj = naive_logistic(entry(h, n, a, 8, y, x));

    for (int k = 1; k < 8; k += 2)
        doubt += naive_logistic(entry(h, n, a, k, y, x)) / 4;
    want->w = exp(entry(h, n, a, 4, y, x)) * sizes[a][0] / 160;
    want->h = exp(entry(h, n, a, 6, y, x)) * sizes[a][1] / 96;
    want->x = (x + naive_logistic(entry(h, n, a, 0, y, x))) / GW + shift * want->w;
    want->y = (y + naive_logistic(entry(h, n, a, 2, y, x))) / GH + shift * want->h;
    for (int c = 0; c < 4; c++)
        want->score[c] = obj * naive_logistic(entry(h, n, a, 9 + c, y, x)) * (1 - doubt);
}

static void gaussian(void)
{
    static const char *const point[] = {"center", "left_top", "right_bottom"};
    char text[300];

    for (int k = 0; k < 3; k++) {
        snprintf(text, sizeof(text),
            "[Gaussian_yolo]\nanchors=30,61, 10,13, 16.5,30\nnum=3\nclasses=4\nyolo_point=%s\n",
            point[k]);
        struct rigged h = head_open(text, 39, 13);
        shift = k == 0 ? 0 : k == 1 ? .5 : -.5;
        compare(&h, 0, .01f, 3, 4, expect_gaussian);
        compare(&h, 1, .15f, 3, 4, expect_gaussian);
        head_close(&h);
    }
}

/* ---- region ---------------------------------------------------------------------------------- */

static bool use_softmax;

static void expect_region(const struct rigged *h, int n, const int ayx[3], struct expected *want)
{
    static const double cells[2][2] = {{.57, .68}, {1.87, 2.06}};
    int a = ayx[0], y = ayx[1], x = ayx[2];
    double sum = 0, obj = naive_logistic(entry(h, n, a, 4, y, x));

    want->x = (x + naive_logistic(entry(h, n, a, 0, y, x))) / GW;
    want->y = (y + naive_logistic(entry(h, n, a, 1, y, x))) / GH;
    want->w = exp(entry(h, n, a, 2, y, x)) * cells[a][0] / GW;
    want->h = exp(entry(h, n, a, 3, y, x)) * cells[a][1] / GH;
    for (int c = 0; c < 3; c++)
        sum += exp(entry(h, n, a, 5 + c, y, x));
    for (int c = 0; c < 3; c++) {
        double t = entry(h, n, a, 5 + c, y, x);
        want->score[c] = obj * (use_softmax ? exp(t) / sum : t);
    }
}

static void region(void)
{
    char text[300];

    for (int k = 0; k < 2; k++) {
        snprintf(text, sizeof(text),
            "[region]\nanchors=.57,.68, 1.87,2.06\nnum=2\nclasses=3\ncoords=4\nsoftmax=%d\n", k);
        struct rigged h = head_open(text, 16, 8);
        use_softmax = k;
        compare(&h, 0, .005f, 2, 3, expect_region);
        compare(&h, 1, .24f, 2, 3, expect_region);
        compare(&h, 1, .35f, 2, 3, expect_region);
        head_close(&h);
    }
}

int main(void)
{
    yolo();
    new_coords();
    gaussian();
    region();
    return tap_done();
}
