/* SPDX-License-Identifier: MIT */
/* Sparse training: the term, its schedules, the proximal step, what is reported, whole runs. */
#include "tap.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "train/train.h"

static char folder[512], prefix[512], data[600];

static const char net[] = "[net]\nwidth=4\nheight=4\nchannels=1\n"
                          "[convolutional]\nfilters=3\nsize=1\nbatch_normalize=1\n"
                          "activation=linear\n"
                          "[convolutional]\nfilters=4\nsize=1\nbatch_normalize=1\n"
                          "activation=linear\n"
                          "[convolutional]\nfilters=1\nsize=1\nactivation=linear\n";

static struct qd_model *model(const char *text)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    OK(m != NULL, "model: %s", err.msg);
    return m;
}

static float *scales(float *block, const struct qd_model *m, int layer)
{
    return block + qd_layer_find_param(&m->graph->layer[layer], "scales")->offset;
}

/* The fixture of spec 2.2, with signs. */
static struct qd_model *fixture(void)
{
    static const float a[] = {.1f, -.5f, .9f}, b[] = {.2f, -.3f, .4f, -.8f};
    struct qd_model *m = model(net);

    memcpy(scales(m->params, m, 0), a, sizeof(a));
    memcpy(scales(m->params, m, 1), b, sizeof(b));
    return m;
}

static const int both[] = {0, 1};

static struct qd_sparsity *make(
    const struct qd_model *m, struct qd_sparsity_opts o, int batch, int parts)
{
    struct qd_error err = {0};
    const struct qd_sparsity_run run = {100, 10 * (size_t)batch, batch, parts};

    if (!o.layers) {
        o.layers = both;
        o.nlayers = 2;
    }
    struct qd_sparsity *s = qd_sparsity_new(m, &o, &run, &err);
    OK(s != NULL, "sparsity: %s", err.msg);
    return s;
}

static void term(void)
{
    static const int second[] = {1};
    struct qd_sparsity_opts o = {.layers = second, .nlayers = 1, .s = .5f};
    struct qd_model *m = fixture();
    float g[64], *at = scales(g, m, 1);
    int bad = 0;

    QD_ASSERT(m->graph->nparams <= QD_LEN(g));
    at[0] = 0;
    scales(m->params, m, 1)[0] = 0;
    for (int mode = 0; mode < 4; mode++) {
        /* batch 4 in 1 part, 4 in 2, 8 in 1, the old meaning of 4 in 2 */
        int batch = mode == 2 ? 8 : 4, parts = mode == 1 || mode == 3 ? 2 : 1;
        float by = (float)batch * .5f * (mode == 3 ? 2 : 1);
        o.legacy = mode == 3;
        struct qd_sparsity *s = make(m, o, batch, parts);
        for (size_t i = 0; i < QD_LEN(g); i++)
            g[i] = 1;
        qd_sparsity_begin(s, m->params, 1);
        qd_sparsity_term(s, m->params, g);
        OK(at[0] == 1 && at[1] == 1 - by && at[2] == 1 + by && at[3] == 1 - by,
            "the term in mode %d, none at 0", mode);
        for (size_t i = 0; i < QD_LEN(g); i++)
            bad += g + i >= at && g + i < at + 4 ? 0 : g[i] != 1;
        OK(bad == 0, "and nowhere else");
        qd_sparsity_free(s);
    }
    o.s = 0;
    struct qd_sparsity *s = make(m, o, 4, 1);
    struct qd_buf b = {0};
    at[3] = 1;
    qd_sparsity_term(s, m->params, g);
    OK(at[3] == 1, "none for s = 0");
    qd_sparsity_text(s, &b);
    OK(b.len == 0, "nor a line of the recipe");
    qd_sparsity_free(s);
    qd_model_free(m);
}

/* How strong the term is for a small and the largest factor, in hundredths of s, in iteration n. */
static int strength(struct qd_sparsity *s, struct qd_model *m, uint64_t n)
{
    float g[64] = {0};

    qd_sparsity_begin(s, m->params, n);
    qd_sparsity_term(s, m->params, g);
    return 1000 * (int)lroundf(100 * scales(g, m, 0)[0]) + (int)lroundf(100 * scales(g, m, 0)[2]);
}

/* 100 iterations, an epoch is 10; |gamma| sorted: .1 .2 .3 .4 .5 .8 .9 */
static void schedules(void)
{
    struct qd_sparsity_opts o = {.s = 1, .from = -1, .protect = -1, .decay = -1};
    struct qd_model *m = fixture();

    struct qd_sparsity *s = make(m, o, 1, 1);
    OK(strength(s, m, 1) == 100100 && strength(s, m, 100) == 100100, "constant");
    qd_sparsity_free(s);
    o.schedule = QD_SPARSITY_GLOBAL;
    s = make(m, o, 1, 1);
    OK(strength(s, m, 50) == 100100 && strength(s, m, 51) == 1001, "global: after half of it");
    qd_sparsity_free(s);
    o.schedule = QD_SPARSITY_LOCAL;
    s = make(m, o, 1, 1);
    OK(strength(s, m, 50) == 100100, "local: before");
    OK(strength(s, m, 51) == 100001, "local: the largest is protected");
    NEAR(s->threshold, .8, 1e-6, 0, "the threshold at 85 %% of 7");
    scales(m->params, m, 0)[0] = 2;
    strength(s, m, 52);
    NEAR(s->threshold, .8, 1e-6, 0, "stays for the epoch");
    strength(s, m, 61);
    NEAR(s->threshold, .9, 1e-6, 0, "and is found again in the next");
    qd_sparsity_free(s);
    scales(m->params, m, 0)[0] = .1f;
    o.schedule = QD_SPARSITY_DYNAMIC;
    s = make(m, o, 1, 1);
    OK(strength(s, m, 40) == 100100 && strength(s, m, 41) == 100001, "dynamic: earlier");
    NEAR(s->threshold, .5, 1e-6, 0, "at 65 %% of 7");
    scales(m->params, m, 0)[0] = 2;
    strength(s, m, 42);
    NEAR(s->threshold, .8, 1e-6, 0, "and found in every update");
    qd_sparsity_free(s);
    scales(m->params, m, 0)[0] = .1f;
    o.from = .2f;
    o.protect = 1;
    o.decay = .5f;
    s = make(m, o, 1, 1);
    OK(strength(s, m, 20) == 100100 && strength(s, m, 21) == 50050, "all of it as options");
    qd_sparsity_free(s);
    qd_model_free(m);
}

/* Data that wants gamma 0 of layer 0 at 1 and nothing of the others: with s = .1 and a curvature of
 * 1 it settles at .9, the others at 0, or in a band of the step around it. */
static void settles(void)
{
    static const char *const name[] = {"sgd", "nesterov", "adam", "adamw"};
    struct qd_error err = {0};

    for (int i = 0; i < 8; i++) {
        struct qd_model *m = fixture();
        struct qd_optim_opts opts = {(enum qd_optim_kind)(i / 2), .9f, 0, .9f, .99f, 1e-6f, 0, 0};
        struct qd_optim *optim = qd_optim_new(m, &opts, &err);
        struct qd_sparsity_opts o = {.s = .1f, .proximal = i % 2};
        struct qd_sparsity *s = make(m, o, 4, 1);
        float g[64] = {0}, *gamma = scales(m->params, m, 0), mean = 0;
        bool zero = true;
        for (uint64_t n = 1; n <= 6000; n++) {
            struct qd_update u = {.n = n, .lr = i < 4 ? .01 : .002, .images = 4};
            scales(g, m, 0)[0] = 4 * (gamma[0] - 1);
            qd_sparsity_begin(s, m->params, n);
            qd_sparsity_term(s, m->params, g);
            qd_optim_step(optim, m->params, g, &u);
            qd_sparsity_shrink(s, m->params, optim, &u);
            mean += n > 5000 ? gamma[0] / 1000 : 0;
        }
        for (int k = 0; k < 4; k++) {
            zero &= scales(m->params, m, 1)[k] == 0;
            NEAR(scales(m->params, m, 1)[k], 0, .03, 0, "%s: near 0", name[i / 2]);
        }
        if (i < 4 || !o.proximal) /* Adam's step is of the rate, whatever s is */
            NEAR(mean, .9, .02, 0, "%s%s: in balance", name[i / 2], o.proximal ? ", proximal" : "");
        if (o.proximal)
            OK(zero, "%s: exact zeros", name[i / 2]);
        qd_sparsity_free(s);
        qd_optim_free(optim);
        qd_model_free(m);
    }
}

static void stats(void)
{
    struct qd_model *m = fixture();
    struct qd_sparsity *s = make(m, (struct qd_sparsity_opts){.s = 1}, 1, 1);
    struct qd_sparsity_stats st;

    qd_sparsity_stats(s, m->params, &st);
    NEAR(st.safe, 5. / 7, 1e-9, 0, "the highest safe share of 2.2");
    OK(st.quantile[4] == .4f && st.max == .9f, "the median, the largest");
    OK(st.below_01 == 0 && st.bin[1] == 1 && st.bin[14] == 1, "shares, bins");
    scales(m->params, m, 0)[1] = -.005f;
    scales(m->params, m, 1)[1] = .0001f;
    qd_sparsity_stats(s, m->params, &st);
    NEAR(st.below_01, 2. / 7, 1e-9, 0, "below .01");
    NEAR(st.below_001, 1. / 7, 1e-9, 0, "below .001");
    OK(st.separated, "two of seven, and none near them: separated");
    scales(m->params, m, 0)[0] = .03f;
    qd_sparsity_stats(s, m->params, &st);
    NEAR(st.below_05, 3. / 7, 1e-9, 0, "below .05");
    OK(st.separated, "one near them");
    scales(m->params, m, 1)[0] = .04f;
    qd_sparsity_stats(s, m->params, &st);
    OK(!st.separated, "two near them");
    OK(!qd_sparsity_epoch_ends(s, 9) && qd_sparsity_epoch_ends(s, 10), "the end of an epoch");
    qd_sparsity_free(s);
    qd_model_free(m);
}

static void refused(void)
{
    static const int unknown[] = {7}, biased[] = {2};
    static const struct {
        struct qd_sparsity_opts o;
        const char *why;
    } list[] = {
        {{.layers = both, .nlayers = 2, .s = -1}, "sparsity"},
        {{.layers = both, .nlayers = 2, .s = NAN}, "sparsity"},
        {{.layers = both, .nlayers = 2, .protect = 2}, "not in 0 .. 1"},
        {{.layers = unknown, .nlayers = 1}, "not in the net"},
        {{.layers = biased, .nlayers = 1}, "no scales"},
        {{.nlayers = 0}, "no layers"},
    };
    const struct qd_sparsity_run r = {10, 10, 1, 1};
    struct qd_model *m = model(net);

    for (size_t i = 0; i < QD_LEN(list); i++) {
        struct qd_error err = {0};
        OK(!qd_sparsity_new(m, &list[i].o, &r, &err) && err.code == QD_EARG &&
                strstr(err.msg, list[i].why),
            "refused: %s", err.msg);
    }
    qd_model_free(m);
}

/* ---- whole runs ------------------------------------------------------------------------------ */

static const char tiny[] =
    "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=8\nsubdivisions=2\nmax_batches=20\n"
    "learning_rate=.01\nmomentum=.9\n"
    "[convolutional]\nfilters=6\nsize=3\nstride=4\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[convolutional]\nfilters=6\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1\nanchors=8,8, 16,16\nclasses=3\nnum=2\n";

/* Train; after 'cut' iterations stop, throw the parameters away, and resume. */
static struct qd_model *trained(const struct qd_sparsity_opts *sparsity, int cut)
{
    struct qd_train_opts o = QD_TRAIN_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_train_row row;
    int ret = 1;

    o.data = data;
    o.prefix = prefix;
    o.force = true;
    o.sparsity = *sparsity;
    o.eval_every = 0;
    for (;;) {
        struct qd_model *m = model(tiny);
        qd_model_randomize(m, 1);
        struct qd_train *t = qd_train_new(m, &o, &err);
        while (t && (ret = qd_train_step(t, &row, &err)) > 0)
            if ((int)row.iteration == cut)
                break;
        if (ret > 0 && t)
            ret = qd_train_save(t, &err);
        OK(t && ret == 0, "trained: %s", err.msg);
        qd_train_free(t);
        if (!cut)
            return m;
        qd_model_free(m);
        cut = 0;
        o.resume = true;
    }
}

static bool same(const struct qd_model *a, const struct qd_model *b)
{
    return memcmp(a->params, b->params, a->graph->nparams * sizeof(float)) == 0;
}

static float size(const struct qd_model *m)
{
    float sum = 0;

    for (int i = 0; i < 6; i++)
        sum += fabsf(scales(m->params, m, 1)[i]);
    return sum;
}

static void read_report(struct qd_buf *b)
{
    struct qd_error err = {0};
    char path[600];

    snprintf(path, sizeof(path), "%s.gammas.tsv", prefix);
    OK(qd_io_slurp(path, 1 << 20, b, &err) == 0, "read the report: %s", err.msg);
}

static void runs(void)
{
    struct qd_sparsity_opts o = {.from = .3f, .protect = .25f, .decay = .01f};
    struct qd_model *plain = trained(&o, 0);

    o.layers = both;
    o.nlayers = 2;
    struct qd_model *none = trained(&o, 0);
    OK(same(plain, none), "s = 0: the bytes of plain training");
    qd_model_free(none);
    o.s = .3f;
    for (int kind = QD_SPARSITY_CONSTANT; kind <= QD_SPARSITY_DYNAMIC; kind++) {
        o.schedule = (enum qd_sparsity_schedule)kind;
        o.proximal = kind % 2;
        struct qd_buf report[2] = {{0}, {0}};
        struct qd_model *whole = trained(&o, 0);
        read_report(&report[0]);
        struct qd_model *halves = trained(&o, 11);
        read_report(&report[1]);
        OK(report[0].len > 100 && strcmp(report[0].data, report[1].data) == 0, "the same report");
        OK(strstr(report[0].data, "\n4\t") && strstr(report[0].data, "\n20\t") &&
                !strstr(report[0].data, "\n3\t"),
            "a line for each epoch");
        qd_buf_free(&report[0]);
        qd_buf_free(&report[1]);
        OK(same(whole, halves), "schedule %d: resumed, the same bytes", kind);
        OK(!same(whole, plain), "and others than without");
        qd_model_free(whole);
        qd_model_free(halves);
    }
    o.s = 1000;
    o.schedule = QD_SPARSITY_CONSTANT;
    o.proximal = true;
    struct qd_model *strong = trained(&o, 0);
    OK(size(strong) == 0 && size(plain) > 1, "too strong a penalty leaves nothing");
    qd_model_free(strong);
    qd_model_free(plain);
}

int main(void)
{
    const struct qd_toy_opts toy = {
        .kind = "detect", .seed = 1, .train = 30, .valid = 3, .w = 40, .h = 40, .classes = 3};
    struct qd_error err = {0};

    snprintf(folder, sizeof(folder), "%s", tap_tmp("toy"));
    snprintf(prefix, sizeof(prefix), "%s", tap_tmp("run"));
    snprintf(data, sizeof(data), "%s/toy.data", folder);
    OK(qd_toy_write(folder, &toy, &err) == 0, "a set: %s", err.msg);
    term();
    schedules();
    settles();
    stats();
    refused();
    runs();
    return tap_done();
}
