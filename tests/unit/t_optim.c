/* SPDX-License-Identifier: MIT */
/* Optimizers against steps worked out by hand and against the formulas in double precision. */
#include "tap.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "train/ema.h"
#include "train/optim.h"

static const char net[] = "[net]\nwidth=4\nheight=4\nchannels=1\nburn_in=10\n"
                          "[convolutional]\nfilters=2\nsize=1\nbatch_normalize=1\n"
                          "activation=linear\n"
                          "[convolutional]\nfilters=1\nsize=1\nactivation=linear\n"
                          "learning_rate=.5\n";

static struct qd_model *model(const char *text, const char *more)
{
    struct qd_error err = {0};
    char buf[1024];

    snprintf(buf, sizeof(buf), "%s%s", text, more);
    struct qd_cfg *cfg = qd_cfg_parse(buf, strlen(buf), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    OK(m != NULL, "model: %s", err.msg);
    return m;
}

static size_t at(const struct qd_model *m, int layer, const char *name)
{
    return qd_layer_find_param(&m->graph->layer[layer], name)->offset;
}

/* Two steps by hand: w = 1, g = 8 of 4 images, rate .1, momentum .9, decay .5.
 * v = 8 + .5 4 1 = 10, w = 1 - .1/4 10 = .75;  v = 9 + 8 + .5 4 .75 = 18.5, w = .75 - .4625 */
static void sgd_by_hand(void)
{
    struct qd_error err = {0};
    struct qd_model *m = model(net, "");
    struct qd_optim_opts opts = {.kind = QD_OPTIM_SGD, .momentum = .9f, .decay = .5f};
    struct qd_optim *o = qd_optim_new(m, &opts, &err);
    size_t w = at(m, 0, "weights"), b = at(m, 0, "biases"), w1 = at(m, 1, "weights");
    size_t mean = at(m, 0, "rolling_mean");
    float g[64] = {0};

    m->params[w] = m->params[b] = m->params[w1] = m->params[mean] = 1;
    for (uint64_t n = 1; n <= 2; n++) {
        g[w] = g[b] = g[w1] = g[mean] = 8;
        struct qd_update u = {.n = n, .lr = .1, .images = 4};
        qd_optim_step(o, m->params, g, &u);
        OK(g[w] == 0 && g[b] == 0, "gradients are zeroed");
        NEAR(m->params[w], n == 1 ? .75 : .2875, 1e-6, 0, "a weight");
    }
    NEAR(m->params[b], 1 - .2 - .025 * (9 * .8 + 8), 1e-6, 0, "no decay of biases");
    NEAR(m->params[w1], 1 - .125 - .0125 * (9 + 8 + 2 * .875), 1e-6, 0, "the layer's rate");
    OK(m->params[mean] == 1, "statistics are left alone");
    qd_optim_free(o);
    qd_model_free(m);
}

/* In a warm-up biases have a rate of their own, and all momentum and decay are others:
 * w = 1, g = 8 of 4 images: v = 8 + .25 4 1 = 9, w = 1 - .1/4 9;  v = .5 9 + 8 + .25 4 .775 */
static void warmup(void)
{
    static const struct qd_warmup warm = {.bias_lr = .4, .momentum = .5f, .decay = .25f};
    struct qd_error err = {0};
    struct qd_model *m = model(net, "");
    struct qd_optim_opts opts = {.kind = QD_OPTIM_SGD, .momentum = .9f, .decay = .5f};
    struct qd_optim *o = qd_optim_new(m, &opts, &err);
    size_t w = at(m, 0, "weights"), b = at(m, 0, "biases"), b1 = at(m, 1, "biases");
    size_t s = at(m, 0, "scales");
    float g[64] = {0};

    m->params[w] = m->params[b] = m->params[b1] = m->params[s] = 1;
    for (uint64_t n = 1; n <= 2; n++) {
        g[w] = g[b] = g[b1] = g[s] = 8;
        struct qd_update u = {.n = n, .lr = .1, .images = 4, .warm = &warm};
        qd_optim_step(o, m->params, g, &u);
    }
    NEAR(m->params[w], 1 - .225 - .025 * (4.5 + 8 + .775), 1e-6, 0, "a weight");
    NEAR(m->params[b], 1 - .8 - .1 * (4 + 8), 1e-6, 0, "a bias has a rate of its own");
    NEAR(m->params[b1], 1 - .4 - .05 * (4 + 8), 1e-6, 0, "times that of the layer");
    NEAR(m->params[s], 1 - .2 - .025 * (4 + 8), 1e-6, 0, "a scale is none, without decay");
    qd_optim_free(o);
    qd_model_free(m);
}

/* All kinds against a loop in double precision. */
static void kinds(void)
{
    static const char *const name[] = {"sgd", "nesterov", "adam", "adamw"};
    struct qd_error err = {0};

    for (int kind = QD_OPTIM_SGD; kind <= QD_OPTIM_ADAMW; kind++) {
        struct qd_model *m = model(net, "");
        struct qd_optim_opts opts = {(enum qd_optim_kind)kind, .9f, .01f, .9f, .99f, 1e-6f, 0, 0};
        struct qd_optim *o = qd_optim_new(m, &opts, &err);
        size_t w = at(m, 0, "weights");
        double x = .7, v = 0, s = 0, B = 3, r = .01, d = (double).01f;
        float g[64] = {0};
        m->params[w] = .7f;
        for (int n = 1; n <= 20; n++) {
            float now = tap_randf(-1, 1);
            double dw = (double)now + (kind == QD_OPTIM_ADAMW ? 0 : d * B * x);
            g[w] = now;
            if (kind <= QD_OPTIM_NESTEROV) {
                v = (double).9f * v + dw;
                x -= r / B * (kind == QD_OPTIM_SGD ? v : dw + (double).9f * v);
            } else {
                dw /= kind == QD_OPTIM_ADAMW ? B : 1;
                v = (double).9f * v + (1 - (double).9f) * dw;
                s = (double).99f * s + (1 - (double).99f) * dw * dw;
                x -= (kind == QD_OPTIM_ADAMW ? r * d * x : 0) +
                     r * v / (1 - pow((double).9f, n)) /
                         (sqrt(s / (1 - pow((double).99f, n))) + 1e-6);
            }
            struct qd_update u = {.n = (uint64_t)n, .lr = r, .images = 3};
            qd_optim_step(o, m->params, g, &u);
        }
        NEAR(m->params[w], x, 2e-6, 1e-5, "%s, 20 steps", name[kind]);
        OK(qd_optim_state(o, 0) && !qd_optim_state(o, 1) == (kind < QD_OPTIM_ADAM), "its state");
        OK(!qd_optim_state(o, 2), "no more state");
        qd_optim_free(o);
        qd_model_free(m);
    }
}

static void norm_and_clip(void)
{
    struct qd_error err = {0};
    struct qd_model *m = model(net, "");
    struct qd_optim_opts opts = {.kind = QD_OPTIM_SGD, .clip = 2};
    struct qd_optim *o = qd_optim_new(m, &opts, &err);
    size_t w = at(m, 0, "weights"), mean = at(m, 0, "rolling_mean");
    float g[64] = {0};

    g[w] = 30;
    g[w + 1] = 40;
    g[mean] = 1000;
    double norm = qd_optim_norm(o, g, 1, 10);
    NEAR(norm, 5, 1e-6, 0, "the norm of the mean gradient, without statistics");
    struct qd_update u = {.n = 1, .lr = 1, .images = 10, .norm = norm};
    m->params[w] = 0;
    qd_optim_step(o, m->params, g, &u);
    NEAR(m->params[w], -3 * 2. / 5, 1e-6, 0, "cut to a norm of 2");
    g[w] = NAN;
    OK(!isfinite(qd_optim_norm(o, g, 1, 10)), "NaN is seen");
    OK(qd_block_blame(m->graph, g, false) == 0, "and found");
    g[w] = 0;
    g[at(m, 1, "biases")] = INFINITY;
    OK(qd_block_blame(m->graph, g, true) == 1, "infinity, too");
    g[at(m, 1, "biases")] = 0;
    OK(qd_block_blame(m->graph, g, true) == -1, "all is finite");
    qd_optim_free(o);
    qd_model_free(m);
}

/* One step with a gradient everywhere; whether weights of layers 0 and 1 moved. */
static int moved(struct qd_model *m, struct qd_optim *o, uint64_t n)
{
    size_t w[2] = {at(m, 0, "weights"), at(m, 1, "weights")};
    float g[64], before[2] = {m->params[w[0]], m->params[w[1]]};

    for (size_t i = 0; i < QD_LEN(g); i++)
        g[i] = 1;
    struct qd_update u = {.n = n, .lr = .1, .images = 1};
    qd_optim_step(o, m->params, g, &u);
    return (m->params[w[0]] != before[0]) + 2 * (m->params[w[1]] != before[1]);
}

static void layer_keys(void)
{
    static const struct {
        const char *more;
        uint64_t n;
        int moved, frozen;
    } list[] = {
        {"", 1, 3, 0},
        {"stopbackward=1\n", 100000, 2, 1},
        {"stopbackward=800\n", 799, 2, 1},
        {"stopbackward=800\n", 800, 3, 0},
        {"onlyforward=1\n", 1, 1, 0},
        {"train_only_bn=1\n", 1, 0, 0},
        {"dont_update=5\n", 5, 1, 0},
        {"dont_update=5\n", 6, 3, 0},
        {"burnin_update=2\n", 19, 1, 0},
        {"burnin_update=2\n", 20, 3, 0},
    };
    struct qd_error err = {0};

    for (size_t i = 0; i < QD_LEN(list); i++) {
        struct qd_model *m = model(net, list[i].more);
        struct qd_optim_opts opts;
        OK(qd_optim_read(&opts, m->cfg, &err) == 0 && opts.burn_in == 10, "keys of [net]");
        struct qd_optim *o = qd_optim_new(m, &opts, &err);
        OK(moved(m, o, list[i].n) == list[i].moved, "'%.*s' in iteration %d",
            (int)strcspn(list[i].more, "\n"), list[i].more, (int)list[i].n);
        OK(qd_optim_frozen(o, list[i].n) == list[i].frozen, "frozen layers");
        qd_optim_free(o);
        qd_model_free(m);
    }
    struct qd_model *m = model(net, "clip=.25\n");
    struct qd_optim_opts opts = {.kind = QD_OPTIM_SGD};
    struct qd_optim *o = qd_optim_new(m, &opts, &err);
    m->params[at(m, 1, "weights")] = 9;
    moved(m, o, 1);
    OK(m->params[at(m, 1, "weights")] == .25f, "clip limits weights");
    qd_optim_free(o);
    qd_model_free(m);
}

static void ema(void)
{
    struct qd_model *m = model(net, "");
    size_t w = at(m, 0, "weights"), mean = at(m, 0, "rolling_mean");
    float avg[64] = {0};

    m->params[w] = m->params[mean] = 1;
    qd_ema_update(avg, m->params, m->graph, .75, false);
    OK(avg[w] == .25f && avg[mean] == 1, "statistics are copied");
    qd_ema_update(avg, m->params, m->graph, .75, true);
    OK(avg[w] == .4375f && avg[mean] == 1, "a second update");
    NEAR(qd_ema_decay(.9999, 2000), .9999 * (1 - exp(-1)), 1e-12, 0, "the decay rises");
    qd_model_free(m);
}

int main(void)
{
    sgd_by_hand();
    warmup();
    kinds();
    norm_and_clip();
    layer_keys();
    ema();
    return tap_done();
}
