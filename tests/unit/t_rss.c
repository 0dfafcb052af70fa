/* SPDX-License-Identifier: MIT */
/*
 * The memory that a run says it takes, against what the process then had.  A program of its own:
 * the most that a process ever had is all that the system tells.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tap.h"
#include "train/train.h"

/* Code, stacks of threads, lists: what a run does not count. */
enum { FEW = 8 << 20 };

static char folder[512], prefix[512], data[600];

/* The most so far, in bytes. */
static size_t resident(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (size_t)u.ru_maxrss * 1024;
}

static struct qd_model *model(int parts)
{
    static const char text[] =
        "[net]\nwidth=96\nheight=96\nchannels=3\nbatch=16\nsubdivisions=%d\nmax_batches=2\n"
        "learning_rate=.001\n"
        "[convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\npad=1\nactivation=leaky\n"
        "[maxpool]\nsize=2\nstride=2\n"
        "[convolutional]\nbatch_normalize=1\nfilters=64\nsize=3\npad=1\nactivation=mish\n"
        "[dropout]\nprobability=.3\n"
        "[convolutional]\nbatch_normalize=1\nfilters=64\nsize=3\npad=1\nactivation=linear\n"
        "[shortcut]\nfrom=-3\nactivation=linear\n"
        "[convolutional]\nfilters=512\nsize=3\nstride=4\npad=1\nactivation=leaky\n"
        "[convolutional]\nfilters=512\nsize=3\npad=1\nactivation=leaky\n"
        "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1\nanchors=8,8, 16,16\nclasses=3\nnum=2\n";
    struct qd_error err = {0};
    char s[1200];

    snprintf(s, sizeof(s), text, parts);
    struct qd_cfg *cfg = qd_cfg_parse(s, strlen(s), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    OK(m != NULL, "model: %s", err.msg);
    qd_model_randomize(m, 1);
    return m;
}

/* The process had 'before' when nothing of this was there. */
static void compare(size_t said, size_t before, const char *what)
{
    size_t had = resident() - before;

    OK(had <= said + said / 50 + FEW, "%s: said %.1f MB, had %.1f", what, (double)said / 1e6,
        (double)had / 1e6);
    OK(said <= had + had / 20, "%s: and not many more", what);
}

static void run(int parts, size_t before)
{
    struct qd_train_opts o = QD_TRAIN_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_train_info info = {0};
    struct qd_train_row row;
    struct qd_model *m = model(parts);
    int ret = 1;

    o.data = data;
    o.prefix = prefix;
    o.force = true;
    struct qd_train *t = qd_train_new(m, &o, &err);
    if (t)
        qd_train_info(t, &info);
    while (t && ret > 0)
        ret = qd_train_step(t, &row, &err);
    OK(t && ret == 0, "trained: %s", err.msg);
    compare(info.memory, before, parts == 1 ? "a run" : "a run in parts");
    qd_train_free(t);
    qd_model_free(m);
}

static void trial(size_t before)
{
    const struct qd_trial_opts o = {.batch = 24, .seed = 1};
    struct qd_error err = {0};
    struct qd_model *m = model(1);
    struct qd_trial *t = qd_trial_new(m, &o, &err);
    int ret = t ? 0 : -1;

    for (int i = 0; ret == 0 && i < 2; i++)
        ret = qd_trial_step(t, &err);
    OK(ret == 0, "steps: %s", err.msg);
    if (t)
        compare(qd_trial_memory(t), before, "a step");
    qd_trial_free(t);
    qd_model_free(m);
}

int main(void)
{
    const struct qd_toy_opts toy = {
        .kind = "detect", .seed = 1, .train = 10, .valid = 3, .w = 40, .h = 40, .classes = 3};
    struct qd_error err = {0};

    if (getenv("QD_QUICK")) {
        tap_skip("sanitizers need memory of their own");
        return tap_done();
    }
    snprintf(folder, sizeof(folder), "%s", tap_tmp("toy"));
    snprintf(prefix, sizeof(prefix), "%s", tap_tmp("run"));
    snprintf(data, sizeof(data), "%s/toy.data", folder);
    OK(qd_toy_write(folder, &toy, &err) == 0, "a set: %s", err.msg);
    size_t before = resident();
    run(2, before); /* each takes more than the one before */
    run(1, before);
    trial(before);
    return tap_done();
}
