/* SPDX-License-Identifier: MIT */
/*
 * The list of losses, and what they share: choosing one, checking input and truths, running images
 * in parallel and adding their sums in order.
 */
#include <float.h>
#include <math.h>

#include "base/error.h"
#include "base/par.h"
#include "net/graph.h"
#include "train/loss/loss.h"

extern const struct qd_loss_type qd_loss_yolo, qd_loss_yolo_exact, qd_loss_ultralytics;
extern const struct qd_loss_type qd_loss_gaussian, qd_loss_region, qd_loss_region_pj;
extern const struct qd_loss_type qd_loss_softmax_ce, qd_loss_logistic;

/* The first of a section is its default. */
static const struct qd_loss_type *const types[] = {
    &qd_loss_yolo,
    &qd_loss_yolo_exact,
    &qd_loss_ultralytics,
    &qd_loss_gaussian,
    &qd_loss_region,
    &qd_loss_region_pj,
    &qd_loss_softmax_ce,
    &qd_loss_logistic,
};

struct qd_loss {
    const struct qd_loss_type *type;
    const struct qd_layer *layer;
    struct qd_loss_opts opts;
    int batch;
    struct qd_loss_sum *sum; /* [batch] */
    int *state;              /* [batch] 0: good, 1: not finite, 2: a class out of range */
    float *work;             /* [batch][work_image] */
    size_t work_image;
};

static const struct qd_loss_type *find(const char *section, const char *variant)
{
    for (size_t i = 0; i < QD_LEN(types); i++)
        if (strcmp(types[i]->section, section) == 0 &&
            (!variant || strcmp(types[i]->variant, variant) == 0))
            return types[i];
    return NULL;
}

const char *qd_loss_variant(const char *section, int i)
{
    for (size_t k = 0; k < QD_LEN(types); k++)
        if (strcmp(types[k]->section, section) == 0 && i-- == 0)
            return types[k]->variant;
    return NULL;
}

/* Whether only [cost] reads the layer. */
static bool is_last(const struct qd_layer *l)
{
    for (int i = l->index + 1; qd_layer_at(l, i); i++) {
        const struct qd_layer *o = qd_layer_at(l, i);
        for (int k = 0; k < o->nin; k++)
            if (o->in[k] == l->index && strcmp(o->type->section, "cost") != 0)
                return false;
    }
    return true;
}

bool qd_loss_wanted(const struct qd_layer *l)
{
    const struct qd_softmax_head *softmax = l->priv;

    if (!find(l->type->section, NULL))
        return false;
    if (l->type->head)
        return true;
    if (strcmp(l->type->section, "softmax") == 0 && softmax->noloss)
        return false;
    return is_last(l);
}

int qd_loss_fault(
    const struct qd_layer *l, enum qd_code code, struct qd_error *err, const char *reason)
{
    return qd_error_at(err, code, qd_cfg_name(l->graph->cfg), l->line, "[%s] (layer %d) %s",
        l->type->section, l->index, reason);
}

static int check(const struct qd_layer *l, const struct qd_loss_opts *o, struct qd_error *err)
{
    const struct qd_loss_type *type = find(l->type->section, o->variant);
    char text[200], names[100] = "";

    if (type)
        return type->check ? type->check(l, o, err) : 0;
    for (int i = 0; qd_loss_variant(l->type->section, i); i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
            qd_loss_variant(l->type->section, i));
    }
    if (!names[0])
        return qd_loss_fault(l, QD_EUNSUP, err, "has no loss");
    snprintf(text, sizeof(text), "has no loss '%.40s', only %s", o->variant, names);
    return qd_loss_fault(l, QD_EUNSUP, err, text);
}

struct qd_loss *qd_loss_new(
    const struct qd_layer *l, const struct qd_loss_opts *opts, int batch, struct qd_error *err)
{
    static const struct qd_loss_opts defaults = QD_LOSS_OPTS_INIT;
    struct qd_loss *s;
    size_t floats;

    opts = opts ? opts : &defaults;
    if (batch < 1) {
        qd_error_set(err, QD_EARG, "a batch must have an image");
        return NULL;
    }
    if (check(l, opts, err) < 0)
        return NULL;
    s = qd_alloc(1, sizeof(*s), err);
    if (!s)
        return NULL;
    s->type = find(l->type->section, opts->variant);
    s->layer = l;
    s->opts = *opts;
    s->opts.variant = s->type->variant;
    s->batch = batch;
    s->work_image = s->type->work ? s->type->work(l) : 0;
    s->sum = qd_alloc((size_t)batch, sizeof(*s->sum), err);
    s->state = s->sum ? qd_alloc((size_t)batch, sizeof(*s->state), err) : NULL;
    if (!qd_mul_size(s->work_image, (size_t)batch, &floats))
        floats = SIZE_MAX; /* fails */
    s->work = s->state ? qd_alloc(floats, sizeof(float), err) : NULL;
    if (!s->work) {
        qd_loss_free(s);
        return NULL;
    }
    return s;
}

void qd_loss_free(struct qd_loss *s)
{
    if (!s)
        return;
    qd_free(s->sum);
    qd_free(s->state);
    qd_free(s->work);
    qd_free(s);
}

/* ---- running --------------------------------------------------------------------------------- */

struct run {
    struct qd_loss *s;
    struct qd_loss_job job;
    bool counting;
};

static bool finite(const struct qd_tensor *t, int n)
{
    for (int y = 0; y < t->h; y++)
        for (int x = 0; x < t->w; x++) {
            const float *v = qd_at(t, n, y, x);
            int bad = 0;
            for (int c = 0; c < t->c; c++)
                bad |= !(fabsf(v[c]) <= FLT_MAX);
            if (bad)
                return false;
        }
    return true;
}

/* The truth that has a class out of range, or NULL. */
static const struct qd_label *stranger(const struct qd_loss *s, const struct qd_labels *truths)
{
    struct qd_head head;

    s->layer->type->head(s->layer, &head);
    for (size_t i = 0; i < truths->n; i++)
        if (truths->label[i].class_id < 0 || truths->label[i].class_id >= head.classes)
            return &truths->label[i];
    return NULL;
}

static void check_image(void *ctx, int image, int thread)
{
    struct run *r = ctx;
    struct qd_loss *s = r->s;
    const struct qd_loss_in *in = r->job.in;

    (void)thread;
    s->state[image] = !finite(in->raw, image) ? 1 : 0;
    if (!s->state[image] && !s->type->dense && stranger(s, &in->truths[image]))
        s->state[image] = 2;
    memset(&s->sum[image], 0, sizeof(s->sum[image]));
    if (!s->state[image] && s->type->count)
        s->type->count(&r->job, image, &s->sum[image]);
}

static void run_image(void *ctx, int image, int thread)
{
    struct run *r = ctx;

    (void)thread;
    memset(&r->s->sum[image], 0, sizeof(r->s->sum[image]));
    r->s->type->image(&r->job, image, &r->s->sum[image]);
}

static struct qd_loss_sum add_up(const struct qd_loss *s, int n)
{
    struct qd_loss_sum a = {0};

    for (int i = 0; i < n; i++) {
        const struct qd_loss_sum *b = &s->sum[i];
        for (int k = 0; k < 3; k++)
            a.cost[k] += b->cost[k];
        a.iou += b->iou;
        a.obj += b->obj;
        a.any += b->any;
        a.p += b->p;
        a.count += b->count;
        a.hit50 += b->hit50;
        a.hit75 += b->hit75;
        a.anys += b->anys;
        a.classes += b->classes;
        a.correct += b->correct;
        a.rewritten += b->rewritten;
    }
    return a;
}

/* The first image that cannot be used. */
static int find_fault(const struct qd_loss *s, const struct qd_loss_in *in, struct qd_error *err)
{
    char text[200];

    for (int i = 0; i < in->raw->n; i++) {
        if (s->state[i] == 1) {
            snprintf(
                text, sizeof(text), "gets a value that is not finite for image %d of the batch", i);
            return qd_loss_fault(s->layer, QD_EDIVERGED, err, text);
        }
        if (s->state[i] == 2) {
            const struct qd_label *t = stranger(s, &in->truths[i]);
            struct qd_head head;
            s->layer->type->head(s->layer, &head);
            snprintf(text, sizeof(text),
                "has classes 0 to %d but image %d of the batch has one of class %d (line %d of its "
                "labels)",
                head.classes - 1, i, t->class_id, t->line);
            return qd_loss_fault(s->layer, QD_EFORMAT, err, text);
        }
    }
    return 0;
}

static double mean(double sum, long n)
{
    return n ? sum / (double)n : 0;
}

static void report(const struct qd_loss_sum *a, struct qd_loss_parts *p)
{
    *p = (struct qd_loss_parts){
        .cost = a->cost[0] + a->cost[1] + a->cost[2],
        .box = a->cost[0],
        .obj = a->cost[1],
        .cls = a->cost[2],
        .count = a->count,
        .iou = mean(a->iou, a->count),
        .recall50 = mean((double)a->hit50, a->count),
        .recall75 = mean((double)a->hit75, a->count),
        .obj_mean = mean(a->obj, a->count),
        .any_mean = mean(a->any, a->anys),
        .class_prob = mean(a->p, a->classes),
        .correct = mean((double)a->correct, a->count),
        .rewritten = a->rewritten,
    };
}

int qd_loss_run(struct qd_loss *s, const struct qd_loss_in *in, struct qd_loss_parts *parts,
    struct qd_error *err)
{
    struct run r = {.s = s,
        .job = {.l = s->layer,
            .opts = &s->opts,
            .in = in,
            .work = s->work,
            .work_image = s->work_image}};
    struct qd_loss_sum all;

    if (in->raw->n > s->batch)
        return qd_error_set(
            err, QD_EARG, "%d images are more than the batch of %d", in->raw->n, s->batch);
    if (s->type->dense ? !in->target : !in->truths)
        return qd_loss_fault(s->layer, QD_EARG, err, "gets no truth");
    qd_par(in->raw->n, check_image, &r);
    if (find_fault(s, in, err) < 0)
        return -1;
    r.job.before = add_up(s, in->raw->n);
    qd_par(in->raw->n, run_image, &r);
    all = add_up(s, in->raw->n);
    if (s->type->finish)
        s->type->finish(&r.job, &all);
    report(&all, parts);
    return 0;
}
