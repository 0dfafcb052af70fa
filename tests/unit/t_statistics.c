/* SPDX-License-Identifier: MIT */
/* Batch-norm statistics estimated anew: against all pixels of a set, and what may not matter. */
#include <math.h>
#include <string.h>

#include "tap.h"
#include "train/train.h"

/* Of these the first two are not stored. */
#define CONV "[convolutional]\nfilters=9\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"

enum { IMAGES = 24, SIDE = 32 };

static char data[600];

/* The first layer passes the picture on, so that its statistics are those of the pixels. */
static struct qd_model *model(const char *more)
{
    struct qd_error err = {0};
    char s[1200];

    snprintf(s, sizeof(s),
        "[net]\nwidth=32\nheight=32\nchannels=3\n"
        "[convolutional]\nfilters=3\nsize=1\nbatch_normalize=1\nactivation=linear\n"
        "[convolutional]\nfilters=6\nsize=3\nstride=4\npad=1\nbatch_normalize=1\n"
        "activation=leaky\n%s"
        "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1\nanchors=8,8, 16,16\nclasses=3\nnum=2\n",
        more);
    struct qd_cfg *cfg = qd_cfg_parse(s, strlen(s), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    if (!OK(m != NULL, "model: %s", err.msg))
        exit(tap_done());
    qd_model_randomize(m, 1);
    for (int c = 0; c < 3; c++)
        for (int k = 0; k < 3; k++)
            m->params[qd_layer_find_param(&m->graph->layer[0], "weights")->offset +
                      (size_t)(3 * c + k)] = c == k;
    return m;
}

static float *stat(const struct qd_model *m, int layer, const char *name)
{
    return m->params + qd_layer_find_param(&m->graph->layer[layer], name)->offset;
}

static void set_of_pixels(double *mean, double *var)
{
    const struct qd_preflight_opts pre = {.data = data, .classes = 3, .train = true};
    const struct qd_image_opts decode = {.channels = 3};
    double n = (double)IMAGES * SIDE * SIDE, sum[3] = {0}, sq[3] = {0};
    struct qd_error err = {0};
    struct qd_sets sets;

    if (!OK(qd_sets_open(&pre, &sets, &err) == 0 &&
                qd_dataset_decode(sets.train, &decode, 0, &err) == 0,
            "the set: %s", err.msg))
        exit(tap_done());
    OK(sets.train->n == IMAGES, "%d images", IMAGES);
    for (size_t i = 0; i < sets.train->n; i++) {
        struct qd_image *img = qd_dataset_get(sets.train, i, &err);
        if (!OK(img && img->w == SIDE && img->h == SIDE, "image %zu: %s", i, err.msg))
            exit(tap_done());
        for (int k = 0; k < SIDE * SIDE; k++)
            for (int c = 0; c < 3; c++) {
                double v = img->data[3 * k + c] / 255.;
                sum[c] += v;
                sq[c] += v * v;
            }
        qd_dataset_put(sets.train, i, img);
    }
    for (int c = 0; c < 3; c++) {
        mean[c] = sum[c] / n;
        var[c] = sq[c] / n - mean[c] * mean[c];
    }
    qd_sets_close(&sets);
}

static void values(void)
{
    struct qd_statistics_opts o = QD_STATISTICS_OPTS_INIT;
    struct qd_error err = {0};
    double mean[3], var[3];

    o.data = data;
    set_of_pixels(mean, var);
    for (int batch = 1; batch <= IMAGES; batch = batch < 8 ? 2 * batch : batch + 16) {
        struct qd_model *m = model("");
        float weight = m->params[m->graph->nparams - 1];
        stat(m, 0, "rolling_mean")[1] = NAN;
        stat(m, 1, "rolling_variance")[2] = INFINITY;
        o.batch = batch;
        OK(qd_train_statistics(m, &o, &err) == 0, "batches of %d: %s", batch, err.msg);
        for (int c = 0; c < 3; c++) {
            NEAR(stat(m, 0, "rolling_mean")[c], mean[c], 1e-5, 0, "mean of channel %d", c);
            NEAR(stat(m, 0, "rolling_variance")[c], var[c], 0, .002, "variance of channel %d", c);
        }
        OK(isfinite(stat(m, 1, "rolling_variance")[2]), "no trace of the old ones");
        OK(m->params[m->graph->nparams - 1] == weight, "weights stay");
        qd_model_free(m);
    }
}

/* The parameters after a run. */
static struct qd_model *run(int threads, int workers, uint64_t seed)
{
    struct qd_statistics_opts o = QD_STATISTICS_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_model *m = model("[dropout]\nprobability=.3\n" CONV CONV CONV);

    o.data = data;
    o.images = 10;
    o.batch = 4;
    o.workers = workers;
    o.seed = seed;
    OK(qd_threads_set(threads, &err) == 0 && qd_train_statistics(m, &o, &err) == 0,
        "%d threads, %d workers: %s", threads, workers, err.msg);
    return m;
}

static bool same(const struct qd_model *a, const struct qd_model *b)
{
    return memcmp(a->params, b->params, a->graph->nparams * sizeof(float)) == 0;
}

static void repeats(void)
{
    struct qd_model *a = run(1, 0, 3), *b = run(3, 2, 3), *c = run(2, 1, 4);

    OK(same(a, b), "threads do not matter");
    OK(!same(a, c), "the seed chooses images");
    qd_model_free(a);
    qd_model_free(b);
    qd_model_free(c);
}

/* A layer that shares the parameters of the first: the running ones are the mean of both. */
static void shared(void)
{
    struct qd_statistics_opts o = QD_STATISTICS_OPTS_INIT;
    struct qd_model *one = model("[convolutional]\nfilters=6\nsize=1\nbatch_normalize=1\n"
                                 "activation=linear\n");
    struct qd_model *two = model("[convolutional]\nfilters=6\nsize=1\nbatch_normalize=1\n"
                                 "activation=linear\n"
                                 "[convolutional]\nshare_index=2\nfilters=6\nsize=1\n"
                                 "batch_normalize=1\nactivation=linear\n");
    struct qd_error err = {0};

    o.data = data;
    o.batch = IMAGES;
    for (size_t i = 0; i < 36; i++) { /* both give what they get, times 2 */
        float w = i / 6 == i % 6 ? 2.f : 0;
        stat(one, 2, "weights")[i] = stat(two, 2, "weights")[i] = w;
    }
    OK(qd_train_statistics(one, &o, &err) == 0, "one: %s", err.msg);
    OK(qd_train_statistics(two, &o, &err) == 0, "two: %s", err.msg);
    for (int c = 0; c < 6; c++) {
        double first = (double)stat(one, 2, "rolling_variance")[c];
        NEAR(stat(two, 2, "rolling_mean")[c], stat(one, 2, "rolling_mean")[c] / 2, 1e-4, 1e-4,
            "mean %d: of the first, and of the second, 0", c);
        NEAR(stat(two, 2, "rolling_variance")[c], (first + 4) / 2, 0, .01,
            "variance %d: of the first, and of the second, 4", c);
    }
    qd_model_free(one);
    qd_model_free(two);
}

static bool at_once(void *ctx)
{
    int *left = ctx;

    return (*left)-- == 0;
}

static void refused(void)
{
    struct qd_statistics_opts o = QD_STATISTICS_OPTS_INIT;
    struct qd_model *m = model(""), *before = model("");
    struct qd_error err = {0};
    int left = 2;

    OK(qd_train_statistics(m, &o, &err) < 0 && err.code == QD_EARG, "no data: %s", err.msg);
    o.data = data;
    o.images = -1;
    err = (struct qd_error){0};
    OK(qd_train_statistics(m, &o, &err) < 0 && err.code == QD_EARG, "-1 images: %s", err.msg);
    o.images = 0;
    o.batch = 4;
    o.stop = at_once;
    o.ctx = &left;
    OK(qd_train_statistics(m, &o, &err) == 1 && same(m, before), "stopped: as it was");
    o.stop = NULL;
    stat(m, 1, "weights")[0] = INFINITY;
    stat(before, 1, "weights")[0] = INFINITY;
    err = (struct qd_error){0};
    OK(qd_train_statistics(m, &o, &err) < 0 && err.code == QD_EDIVERGED, "infinity: %s", err.msg);
    OK(same(m, before), "failed: as it was");
    qd_model_free(m);
    qd_model_free(before);
}

int main(void)
{
    struct qd_error err = {0};
    const struct qd_toy_opts toy = {.kind = "detect",
        .seed = 1,
        .train = IMAGES,
        .valid = 1,
        .w = SIDE,
        .h = SIDE,
        .classes = 3};
    char folder[512];

    snprintf(folder, sizeof(folder), "%s", tap_tmp("toy"));
    snprintf(data, sizeof(data), "%s/toy.data", folder);
    OK(qd_toy_write(folder, &toy, &err) == 0, "a set: %s", err.msg);
    values();
    repeats();
    shared();
    refused();
    return tap_done();
}
