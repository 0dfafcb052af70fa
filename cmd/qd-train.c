/* SPDX-License-Identifier: MIT */
/*
 * qd-train: train a detector or a classifier.  The library does an iteration at a time; here are
 * the options, the log on standard output, and signals: they end the run after the iteration.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static struct qd_train_opts train = QD_TRAIN_OPTS_INIT;
static int epochs, max_batches, batch, subdivisions, seed = 1, pretrained, eval_every = -1;
static int save_every = -1, state_every, workers = -1, cache_mb;
static int rules = QD_RULES_DARKNET, optimizer, augmentation, bad = QD_BAD_FAIL;

static const struct cmd_opt opts[] = {CMD_OPT_CFG_NEEDED, CMD_OPT_WEIGHTS,
    {'d', "data", CMD_STR, &cmd.data, "FILE", "data set, a darknet .data file", 0, 0, true},
    {'o', "output", CMD_STR, &cmd.output, "PREFIX", "of the files that are written", 0, 0, true},
    {'e', "epochs", CMD_INT, &epochs, "N", "how long [the cfg's max_batches]", 1, 1000000, false},
    {'n', "max-batches", CMD_INT, &max_batches, "N", "how long, in iterations [the cfg's]", 1,
        2147483647, false},
    {'b', "batch-size", CMD_INT, &batch, "N", "images of an iteration [the cfg's]", 1, 65536,
        false},
    {'s', "subdivisions", CMD_INT, &subdivisions, "N", "parts of a batch [the cfg's]", 1, 65536,
        false},
    {'S', "seed", CMD_INT, &seed, "N", "the same seed gives the same bytes", 0, 2147483647, false},
    {'r', "resume", CMD_FLAG, &train.resume, NULL, "go on with the run of that prefix", 0, 0,
        false},
    {'p', "pretrained", CMD_INT, &pretrained, "N", "take only the first N layers from -w [all]", 1,
        1000000, false},
    {'l', "loss", CMD_STR, &train.loss, "NAME",
        "loss of the heads: darknet, exact, ultralytics, pj [darknet]", 0, 0, false},
    {'O', "optimizer", CMD_CHOICE, &optimizer, "cfg|sgd|nesterov|adam|adamw",
        "how parameters are updated", 0, 0, false},
    {'A', "augment", CMD_CHOICE, &augmentation, "cfg|none|ultralytics", "how images are varied", 0,
        0, false},
    {'R', "replacement", CMD_FLAG, &train.replacement, NULL,
        "draw images with replacement, as darknet does", 0, 0, false},
    {'m', "multi-scale", CMD_FLOAT, &train.multi_scale, "X",
        "vary the input size by up to this factor, 0: never [cfg: random]", 0, 4, false},
    {'M', "ema", CMD_FLOAT, &train.ema, "X", "decay of averaged weights, 0: as the cfg says", 0,
        .999999, false},
    {'N', "bn-momentum", CMD_FLOAT, &train.bn_momentum, "X",
        "of running statistics [0.99, in runs of under 1000 iterations 0.9]", 0, .99999, false},
    {'E', "eval-every", CMD_INT, &eval_every, "N",
        "score valid= every N iterations, 0: never [4 epochs, at least 100]", 0, 2147483647, false},
    {'x', "rules", CMD_CHOICE, &rules, "darknet|voc07|voc12|coco", "of that score", 0, 0, false},
    {'k', "save-every", CMD_INT, &save_every, "N",
        "keep numbered weights, 0: none [saveweights of the data]", 0, 2147483647, false},
    {'K', "state-every", CMD_INT, &state_every, "N",
        "save what --resume needs [savelast of the data, 100]", 1, 2147483647, false},
    {'B', "bad-labels", CMD_CHOICE, &bad, "fail|drop|clip", "what to do about bad labels", 0, 0,
        false},
    {'W', "workers", CMD_INT, &workers, "N", "threads that prepare images [half of -j]", 0, 64,
        false},
    {'C', "cache", CMD_INT, &cache_mb, "MB", "decoded images kept in memory", 0, 1048576, false},
    CMD_OPT_SIZE, CMD_OPT_THREADS, CMD_OPT_OVERRIDE, CMD_OPT_FORCE, {0}};

static const struct cmd_info info = {
    "qd-train", "", "train a network on labelled pictures", opts, 0, 0};

/* ------------------------------------------------------------------ signals ------------------- */

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    caught = sig;
}

static bool stopped(void *ctx)
{
    (void)ctx;
    return caught != 0;
}

/* A second signal of the same kind ends the program at once. */
static void watch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    /* a limit of the file size is reported as a failed write */
    signal(SIGXFSZ, SIG_IGN);
}

/* ------------------------------------------------------------------ model --------------------- */

/* An option that stands for a key of [net], so that it is written to PREFIX.cfg. */
static int set_key(const char *key, int value, struct qd_error *err)
{
    static char text[8][48];
    static int n;

    if (value <= 0)
        return 0;
    if (cmd.overrides.n == CMD_LIST_MAX || n == 8)
        return cmd_error_set(err, QD_EARG, "too many -D");
    snprintf(text[n], sizeof(text[n]), "net.%s=%d", key, value);
    cmd.overrides.v[cmd.overrides.n++] = text[n++];
    return 0;
}

static int set_keys(struct qd_error *err)
{
    return set_key("width", cmd.size.w, err) < 0 || set_key("height", cmd.size.h, err) < 0 ||
                   set_key("max_batches", max_batches, err) < 0 ||
                   set_key("batch", batch, err) < 0 ||
                   set_key("subdivisions", subdivisions, err) < 0
               ? -1
               : 0;
}

static struct qd_model *load(struct qd_error *err)
{
    const char *weights = cmd.weights;
    struct qd_load_opts partial = {.upto = pretrained, .partial = true, .extra = true};
    struct qd_load_info loaded;

    if (set_keys(err) < 0)
        return NULL;
    cmd.weights = NULL;
    struct qd_model *m = cmd_model(err);
    if (!m)
        return NULL;
    qd_model_randomize(m, (uint64_t)seed);
    if (!weights)
        return m;
    if (qd_model_load(m, weights, pretrained ? &partial : NULL, &loaded, err) < 0) {
        qd_model_free(m);
        return NULL;
    }
    cmd_note("%s: %d layers read", weights, loaded.layers);
    return m;
}

/* ------------------------------------------------------------------ run ----------------------- */

static void print_info(const struct qd_train *t)
{
    struct qd_train_info i;

    qd_train_info(t, &i);
    printf("# images %zu, validation %zu, iterations %llu, memory %.2f GB of %.1f\n", i.images,
        i.valid, (unsigned long long)i.iterations, (double)i.memory / 1e9,
        (double)i.physical / 1e9);
    if (i.resumed)
        printf(
            "# resumed after iteration %llu: parameters, optimizer, order of images, best score\n",
            (unsigned long long)i.resumed);
    if (i.resumed && i.resumed >= i.iterations)
        cmd_warn("all %llu iterations were done before", (unsigned long long)i.iterations);
    printf("%s\n", qd_train_header());
    fflush(stdout);
    cmd_progress_begin("iterations", (long)i.iterations);
}

/* 1: ended by a signal, 0: done, -1. */
static int run(struct qd_train *t, struct qd_error *err)
{
    struct qd_train_row row;
    char text[512];
    int ret = 0;

    while (!caught && (ret = qd_train_step(t, &row, err)) > 0) {
        cmd_progress_hide();
        printf("%s\n", qd_train_text(&row, text, sizeof(text)));
        fflush(stdout);
        cmd_progress((long)row.iteration);
    }
    cmd_progress_end();
    if (ret < 0)
        return -1;
    if (caught)
        return qd_train_save(t, err) < 0 ? -1 : 1;
    return qd_train_finish(t, err);
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};

    cmd_parse(&info, argc, argv);
    if (epochs && max_batches)
        return cmd_misuse("either -e or -n");
    if (pretrained && !cmd.weights)
        return cmd_misuse("-p needs -w");
    train.data = cmd.data;
    train.prefix = cmd.output;
    train.epochs = epochs;
    train.seed = (uint64_t)seed;
    train.force = cmd.force;
    train.optimizer = (enum qd_optimizer)optimizer;
    train.augmentation = (enum qd_augmentation)augmentation;
    train.rules = (enum qd_rules)rules;
    train.eval_every = eval_every;
    train.save_every = save_every;
    train.state_every = state_every;
    train.bad = (enum qd_bad_labels)bad;
    train.workers = workers;
    train.cache = (size_t)cache_mb * 1000000;
    train.stop = stopped;
    struct qd_model *m = load(&err);
    if (!m)
        return cmd_fail(&err);
    watch_signals();
    struct qd_train *t = qd_train_new(m, &train, &err);
    int ret = t ? 0 : -1;
    if (t) {
        print_info(t);
        ret = run(t, &err);
    }
    qd_train_free(t);
    qd_model_free(m);
    if (ret < 0)
        return cmd_fail(&err);
    if (ret > 0) {
        fflush(stdout);
        signal((int)caught, SIG_DFL);
        raise((int)caught);
    }
    return cmd_finish();
}
