/* SPDX-License-Identifier: MIT */
/* A run from C: input sizes, lines of the log, parts of a batch, what is refused. */
#include <math.h>
#include <string.h>

#include "tap.h"
#include "train/train.h"

static char folder[512], prefix[512], data[600];

static void sizes(void)
{
    struct qd_scale s = {1.4f, 416, 416, 32, 1, 1000};
    int w, h, w2, h2, seen = 0, bad = 0, last = 0;

    for (uint64_t n = 0; n < 1000; n++) {
        qd_scale_size(&s, n, &w, &h);
        qd_scale_size(&s, n / 10 * 10, &w2, &h2);
        bad += w % 32 || w < 320 || w > 608 || w != h || w != w2;
        if (n < 10 || n >= 900)
            bad += w != 608;
        seen += w != last;
        last = w;
    }
    OK(bad == 0, "sizes are multiples of 32 in 320..608, the largest at the ends");
    OK(seen > 40, "and change");
    s.factor = 0;
    qd_scale_size(&s, 5, &w, &h);
    OK(w == 416 && h == 416, "no factor, no change");
}

static void text(void)
{
    struct qd_train_row r = {.iteration = 7, .images = 56, .epoch = 1.5, .lr = .001, .score = -1};
    char buf[300];

    IS_STR(qd_train_text(&r, buf, sizeof(buf)), "7\t1.5000\t56\t0.001\t0\t0\t0\t0\t0\t0\t0\t-",
        "a row without a score");
    r.score = .25;
    r.loss = 12.5;
    IS_STR(qd_train_text(&r, buf, sizeof(buf)),
        "7\t1.5000\t56\t0.001\t12.5\t0\t0\t0\t0\t0\t0\t0.250000", "and with one");
}

static struct qd_model *model(const char *more)
{
    struct qd_error err = {0};
    char s[1200];

    snprintf(s, sizeof(s),
        "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=8\nmax_batches=3\nlearning_rate=.01\n%s"
        "[convolutional]\nfilters=6\nsize=3\nstride=4\npad=1\nactivation=leaky\n"
        "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1\nanchors=8,8, 16,16\nclasses=3\nnum=2\n",
        more);
    struct qd_cfg *cfg = qd_cfg_parse(s, strlen(s), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    OK(m != NULL, "model: %s", err.msg);
    qd_model_randomize(m, 1);
    return m;
}

/* Train to the end; how many iterations were done. */
static int run(struct qd_model *m, const struct qd_train_opts *o, double *norm)
{
    struct qd_error err = {0};
    struct qd_train_row row;
    struct qd_train *t = qd_train_new(m, o, &err);
    int n = 0, ret = t ? 1 : -1;

    while (ret > 0 && (ret = qd_train_step(t, &row, &err)) > 0) {
        *norm = row.norm;
        n++;
    }
    if (ret == 0)
        ret = qd_train_finish(t, &err);
    OK(ret == 0, "trained: %s", err.msg);
    qd_train_free(t);
    return n;
}

/* Layers of every kind that mixes pixels, channels or layers, two heads, no batch-norm. */
static const char mixed[] =
    "[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    "[convolutional]\nfilters=8\nsize=3\npad=1\ngroups=8\nactivation=mish\n"
    "[convolutional]\nfilters=8\nsize=1\nactivation=linear\n"
    "[shortcut]\nfrom=-3\nactivation=leaky\n"
    "[maxpool]\nsize=2\nstride=2\n"
    "[convolutional]\nfilters=12\nsize=3\npad=1\nactivation=swish\n"
    "[maxpool]\nsize=2\nstride=2\n"
    "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=1,2\nanchors=6,6, 10,14, 20,18\nclasses=3\nnum=3\niou_loss=giou\n"
    "[route]\nlayers=-3\n[upsample]\nstride=2\n[route]\nlayers=-1,4\n"
    "[convolutional]\nfilters=8\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0\nanchors=6,6, 10,14, 20,18\nclasses=3\nnum=3\njitter=.1\n";

static struct qd_model *mixed_model(int parts)
{
    struct qd_error err = {0};
    char s[2400];

    snprintf(s, sizeof(s),
        "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=8\nmax_batches=20\nlearning_rate=.001\n"
        "burn_in=5\nmomentum=.9\ndecay=.0005\nmosaic=1\nhue=.1\nsubdivisions=%d\n%s",
        parts, mixed);
    struct qd_cfg *cfg = qd_cfg_parse(s, strlen(s), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    OK(m != NULL, "model: %s", err.msg);
    qd_model_randomize(m, 1);
    return m;
}

/* Without batch-norm the parts of a batch add up to the batch. */
static void parts(void)
{
    struct qd_train_opts o = QD_TRAIN_OPTS_INIT;
    struct qd_model *whole = mixed_model(1), *start = mixed_model(1);
    double norm = 0;

    o.data = data;
    o.prefix = prefix;
    o.force = true;
    OK(run(whole, &o, &norm) == 20, "20 iterations");
    OK(whole->seen == 160, "images are counted");
    for (int n = 2; n <= 8; n *= 2) {
        struct qd_model *m = mixed_model(n);
        double other = 0, apart = 0, moved = 0;
        OK(run(m, &o, &other) == 20, "20 in %d parts", n);
        NEAR(other, norm, 0, 1e-4, "%d parts: norm of the gradient", n);
        for (size_t i = 0; i < m->graph->nparams; i++) {
            apart = fmax(apart, fabs((double)m->params[i] - (double)whole->params[i]));
            moved = fmax(moved, fabs((double)m->params[i] - (double)start->params[i]));
        }
        OK(apart <= 1e-5 && moved > .01, "%d parts: the same parameters (%.2g of %.2g)", n, apart,
            moved);
        OK(m->seen == 160, "%d parts: images are counted", n);
        qd_model_free(m);
    }
    qd_model_free(whole);
    qd_model_free(start);
}

/* The warm-up of the ultralytics loss: straight lines from the start to what the cfg says. */
static void warmup(void)
{
    struct qd_train_opts o = QD_TRAIN_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_recipe r;
    struct qd_warmup w;
    struct qd_model *m = model("burn_in=100\nmomentum=.937\ndecay=.001\n");
    struct qd_model *m2 = model("");

    o.loss = "ultralytics";
    OK(qd_recipe_read(&r, m, &o, 50, &err) == 0 && r.warm, "a warm-up %s", err.msg);
    OK(qd_recipe_warmup(&r, 25, &w), "in iteration 25 of 100");
    NEAR(w.bias_lr, .1 + .25 * (.01 - .1), 1e-9, 0, "the rate of biases falls");
    NEAR(qd_schedule_rate(&r.schedule, 25), .25 * .01, 1e-9, 0, "that of the others rises");
    NEAR(w.momentum, .9 + .25 * .037, 1e-6, 0, "momentum rises");
    NEAR(w.decay, .00025, 1e-9, 0, "decay rises");
    OK(!qd_recipe_warmup(&r, 100, &w), "in iteration 100 it is over");
    o.optimizer = QD_OPTIMIZER_ADAM;
    OK(qd_recipe_read(&r, m, &o, 50, &err) == 0 && !r.warm, "Adam has none");
    NEAR(qd_schedule_rate(&r.schedule, 25), .01 * pow(.25, 4), 1e-12, 0, "but darknet's burn-in");
    o.optimizer = QD_OPTIMIZER_NESTEROV;
    OK(qd_recipe_read(&r, m2, &o, 50, &err) == 0 && r.warm && r.schedule.burn_in == 500,
        "500 iterations where the cfg does not say");
    OK(qd_recipe_read(&r, m2, &o, 4001, &err) == 0 && r.schedule.burn_in == 1503 &&
            r.optim.burn_in == 1503,
        "or 3 epochs");
    o.loss = NULL;
    OK(qd_recipe_read(&r, m, &o, 50, &err) == 0 && !r.warm && !qd_recipe_warmup(&r, 25, &w),
        "darknet's loss has none");
    qd_model_free(m);
    qd_model_free(m2);
}

static void refuses(const char *more, void (*change)(struct qd_train_opts *), const char *message)
{
    struct qd_train_opts o = QD_TRAIN_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_model *m = model(more);

    o.data = data;
    o.prefix = prefix;
    o.force = true;
    change(&o);
    struct qd_train *t = qd_train_new(m, &o, &err);
    OK(!t, "refused");
    OK(strstr(err.msg, message) != NULL, "'%s' says '%s'", err.msg, message);
    qd_train_free(t);
    qd_model_free(m);
}

static void as_is(struct qd_train_opts *o)
{
    (void)o;
}

static void no_such_loss(struct qd_train_opts *o)
{
    o->loss = "nothing";
}

static void no_prefix(struct qd_train_opts *o)
{
    o->prefix = NULL;
}

static void not_again(struct qd_train_opts *o)
{
    o->force = false;
}

static void far_too_large(struct qd_train_opts *o)
{
    o->multi_scale = 100;
}

static void too_much_memory(struct qd_train_opts *o)
{
    o->cache = SIZE_MAX / 4;
}

/* Every allocation may fail: an error, no crash, no leak; later files are whole. */
static void out_of_memory(void)
{
    int failed = 0, unsaid = 0;
    long k = 1;

    for (bool done = false; !done && k < 100000; k += 5) {
        struct qd_train_opts o = QD_TRAIN_OPTS_INIT;
        struct qd_error err = {0};
        struct qd_train_row row;
        struct qd_model *m = model("");
        o.data = data;
        o.prefix = prefix;
        o.force = true;
        o.workers = 0;
        long before = qd_alloc_count();
        qd_alloc_fail_at(k);
        struct qd_train *t = qd_train_new(m, &o, &err);
        int ret = t ? qd_train_step(t, &row, &err) : -1;
        qd_train_free(t);
        done = qd_alloc_count() - before < k;
        qd_alloc_fail_at(0);
        failed += ret < 0;
        unsaid += ret < 0 && err.code == QD_OK;
        qd_model_free(m);
    }
    OK(failed > 20 && k < 100000, "%d runs failed", failed);
    OK(unsaid == 0, "each says why");
}

int main(void)
{
    const struct qd_toy_opts toy = {
        .kind = "detect", .seed = 1, .train = 10, .valid = 3, .w = 40, .h = 40, .classes = 3};
    struct qd_error err = {0};

    snprintf(folder, sizeof(folder), "%s", tap_tmp("toy"));
    snprintf(prefix, sizeof(prefix), "%s", tap_tmp("run"));
    snprintf(data, sizeof(data), "%s/toy.data", folder);
    OK(qd_toy_write(folder, &toy, &err) == 0, "a set: %s", err.msg);
    sizes();
    text();
    parts();
    warmup();
    refuses("subdivisions=3\n", as_is, "a batch of 8 cannot be cut into 3 equal parts");
    refuses("", no_such_loss, "nothing");
    refuses("", no_prefix, "a run needs a data set and a prefix for its files");
    refuses("", not_again, "exists: go on with that run (-r), or replace its files (-f)");
    refuses("", far_too_large, "input sizes cannot change by a factor of 100, at most 4");
    refuses("", too_much_memory, "GB of memory, there are");
    out_of_memory();
    return tap_done();
}
