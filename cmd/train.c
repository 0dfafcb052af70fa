/* SPDX-License-Identifier: MIT */
/*
 * What commands that train do: the library does an iteration at a time; here are the model, the log
 * on standard output, and signals.
 */
#include "train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cmd_train_opts cmd_train_opts = {.to = QD_TRAIN_OPTS_INIT,
    .seed = 1,
    .eval_every = -1,
    .save_every = -1,
    .workers = -1,
    .rules = QD_RULES_DARKNET,
    .bad = QD_BAD_FAIL};

static struct cmd_train_opts *const given = &cmd_train_opts;

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
                   set_key("max_batches", given->max_batches, err) < 0 ||
                   set_key("batch", given->batch, err) < 0 ||
                   set_key("subdivisions", given->subdivisions, err) < 0
               ? -1
               : 0;
}

static struct qd_model *load(struct qd_error *err)
{
    const char *weights = cmd.weights;
    struct qd_load_opts partial = {.upto = given->pretrained, .partial = true, .extra = true};
    struct qd_load_info loaded;

    if (set_keys(err) < 0)
        return NULL;
    cmd.weights = NULL;
    struct qd_model *m = cmd_model(err);
    if (!m)
        return NULL;
    qd_model_randomize(m, (uint64_t)given->seed);
    if (!weights)
        return m;
    if (qd_model_load(m, weights, given->pretrained ? &partial : NULL, &loaded, err) < 0) {
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
static int run(struct qd_train *t, const struct cmd_trainer *c, struct qd_error *err)
{
    struct qd_train_row row;
    char text[512];
    int ret = 0;

    while (!cmd_stopped(NULL) && (ret = qd_train_step(t, &row, err)) > 0) {
        cmd_progress_hide();
        printf("%s\n", qd_train_text(&row, text, sizeof(text)));
        fflush(stdout);
        if (c->row)
            c->row(t, &row);
        cmd_progress((long)row.iteration);
    }
    cmd_progress_end();
    if (ret < 0)
        return -1;
    if (cmd_stopped(NULL))
        return qd_train_save(t, err) < 0 ? -1 : 1;
    if (qd_train_finish(t, err) < 0)
        return -1;
    if (c->end)
        c->end(t);
    return 0;
}

/* What of the options needs another type. */
static void settle(struct qd_train_opts *o)
{
    o->data = cmd.data;
    o->prefix = cmd.output;
    o->epochs = given->epochs;
    o->seed = (uint64_t)given->seed;
    o->force = cmd.force;
    o->optimizer = (enum qd_optimizer)given->optimizer;
    o->augmentation = (enum qd_augmentation)given->augmentation;
    o->rules = (enum qd_rules)given->rules;
    o->eval_every = given->eval_every;
    o->save_every = given->save_every;
    o->state_every = given->state_every;
    o->bad = (enum qd_bad_labels)given->bad;
    o->workers = given->workers;
    o->cache = (size_t)given->cache_mb * 1000000;
    o->stop = cmd_stopped;
}

int cmd_train(const struct cmd_trainer *c)
{
    struct qd_train_opts *o = &given->to;
    struct qd_error err = {0};

    if (given->epochs && given->max_batches)
        return cmd_misuse("either -e or -n");
    if (given->pretrained && !cmd.weights)
        return cmd_misuse("-p needs -w");
    settle(o);
    struct qd_model *m = load(&err);
    if (!m)
        return cmd_fail(&err);
    cmd_signals_watch();
    int ret = c->prepare ? c->prepare(o, m, &err) : 0;
    struct qd_train *t = ret < 0 ? NULL : qd_train_new(m, o, &err);
    ret = t ? 0 : -1;
    if (t) {
        print_info(t);
        ret = run(t, c, &err);
    }
    qd_train_free(t);
    qd_model_free(m);
    if (ret < 0)
        return cmd_fail(&err);
    if (ret > 0) {
        fflush(stdout);
        cmd_signal_end();
    }
    return cmd_finish();
}
