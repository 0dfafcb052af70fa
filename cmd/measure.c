/* SPDX-License-Identifier: MIT */
/*
 * The table of a model before and after it was pruned: what it holds, and on a data set how it
 * scores and how long it takes.  Both are measured in the same way in one run: the same pictures,
 * input size, rules and thresholds, and passes that alternate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prune.h"

enum { WARM_UP = 3, RUNS = 20 };

static void add(struct cmd_prune_table *t, const char *name, int digits, double a, double b)
{
    t->row[t->n].name = name;
    t->row[t->n].digits = digits;
    t->row[t->n].value[0] = a;
    t->row[t->n++].value[1] = b;
}

/* ------------------------------------------------------------------ what they hold ------------ */

struct sums {
    double layers, params, trained, macs;
};

static struct sums sum(const struct qd_model *m)
{
    struct sums s = {.layers = qd_model_layers(m)};

    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info l;
        qd_model_layer(m, i, &l);
        s.params += (double)l.params;
        s.trained += (double)l.trained;
        s.macs += (double)l.macs;
    }
    return s;
}

/* The same at the size that -i says. */
static int sum_at_size(const struct qd_model *m, struct sums *s, struct qd_error *err)
{
    char text[48];
    bool quiet = cmd.quiet;

    if (!cmd.size.w) {
        *s = sum(m);
        return 0;
    }
    struct qd_cfg *cfg = qd_cfg_copy(qd_model_cfg(m), err);
    if (!cfg)
        return -1;
    for (int i = 0; i < 2; i++) {
        snprintf(
            text, sizeof(text), "net.%s=%d", i ? "height" : "width", i ? cmd.size.h : cmd.size.w);
        if (qd_cfg_override(cfg, text, err) < 0) {
            qd_cfg_free(cfg);
            return -1;
        }
    }
    cmd.quiet = true; /* its warnings were given before */
    struct qd_model *at = qd_model_new(cfg, err);
    cmd.quiet = quiet;
    if (!at)
        return -1;
    *s = sum(at);
    qd_model_free(at);
    return 0;
}

/* ------------------------------------------------------------------ the data set -------------- */

/* The pictures of -d; NULL with 'err'. */
static struct qd_list *pictures(struct qd_error *err)
{
    struct qd_data *data = qd_data_load(cmd.data, err);
    struct qd_list *list = NULL;

    if (!data)
        return NULL;
    const char *path = qd_data_path(data, qd_data_get(data, "valid") ? "valid" : "train", err);
    if (path)
        list = qd_list_load(path, err);
    if (list && qd_list_count(list) == 0) {
        cmd_error_set(err, QD_EFORMAT, "%s: the list names no picture", path);
        qd_list_free(list);
        list = NULL;
    }
    qd_data_free(data);
    return list;
}

static struct qd_image *first_picture(struct qd_error *err)
{
    struct qd_list *list = pictures(err);
    struct qd_image *img = list ? qd_image_load(qd_list_get(list, 0), NULL, err) : NULL;

    qd_list_free(list);
    return img;
}

int cmd_prune_verify(const struct qd_pruned *p, struct qd_error *err)
{
    struct qd_verify_opts o = {.w = cmd.size.w, .h = cmd.size.h};
    double far;

    if (!cmd.data)
        return 0;
    struct qd_image *img = first_picture(err);
    o.img = img;
    int ret = img ? qd_verify(p->masked, p->compact, &o, &far, err) : -1;
    if (ret == 0)
        cmd_note("outputs on the first picture differ by %.2g", far);
    qd_image_free(img);
    return ret;
}

/* ------------------------------------------------------------------ score --------------------- */

struct count {
    long done;
};

static bool tick(void *ctx)
{
    struct count *c = ctx;

    cmd_progress(c->done++);
    return false;
}

static bool is_classifier(const struct qd_model *m)
{
    struct qd_layer_info l;

    qd_model_layer(m, qd_model_layers(m) - 1, &l);
    return l.h == 1 && l.w == 1;
}

/* values[0]: mAP or top-1, values[1]: top-5.  The set has been read before when 'again'. */
static int score(struct qd_net *net, long total, bool again, double *values, struct qd_error *err)
{
    struct count c = {0};
    bool quiet = cmd.quiet, detector = qd_model_classes(qd_net_model(net)) > 0;
    int ret;
    const struct qd_score_opts o = {.rules = (enum qd_rules)cmd_prune_opts.rules,
        .bad = (enum qd_bad_labels)cmd_prune_opts.bad,
        .stop = tick,
        .ctx = &c};
    struct qd_top top = {0};

    cmd_progress_begin("pictures", detector ? total : 0);
    cmd.quiet |= again; /* the warnings about the set were given before */
    if (detector) {
        ret = qd_detect_score(net, cmd.data, &o, values, err);
    } else {
        ret = qd_classify_score(net, cmd.data, o.bad, &top, err);
        values[0] = top.top1;
        values[1] = top.top5;
    }
    cmd.quiet = quiet;
    cmd_progress_end();
    return ret;
}

static int add_scores(struct cmd_prune_table *t, struct qd_net *net[2], struct qd_error *err)
{
    const struct qd_model *m = qd_net_model(net[0]);
    double v[2][2] = {{0}};
    bool detector = qd_model_classes(m) > 0;

    if (!detector && !is_classifier(m)) {
        cmd_warn("the net has no detection head and is no classifier: no score");
        return 0;
    }
    struct qd_list *list = pictures(err);
    if (!list)
        return -1;
    long total = (long)qd_list_count(list);
    qd_list_free(list);
    for (int i = 0; i < 2; i++)
        if (score(net[i], total, i > 0, v[i], err) < 0)
            return -1;
    add(t, detector ? "mAP" : "top1", 6, v[0][0], v[1][0]);
    if (!detector)
        add(t, "top5", 6, v[0][1], v[1][1]);
    return 0;
}

/* ------------------------------------------------------------------ time ---------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int add_times(struct cmd_prune_table *t, struct qd_net *net[2], struct qd_error *err)
{
    double ms[2][RUNS];
    struct qd_image *img = first_picture(err);
    int ret = img ? 0 : -1;

    for (int k = 0; ret == 0 && k < 2; k++)
        ret = qd_net_set_image(net[k], 0, img, QD_FIT_MODEL, err);
    qd_image_free(img);
    if (ret < 0)
        return -1;
    for (int i = -WARM_UP; i < RUNS; i++) {
        for (int k = 0; k < 2; k++) {
            double start = cmd_now();
            qd_net_forward(net[k]);
            ms[k][i < 0 ? 0 : i] = (cmd_now() - start) * 1e3;
        }
    }
    for (int k = 0; k < 2; k++)
        qsort(ms[k], RUNS, sizeof(*ms[k]), ascending);
    add(t, "ms", 4, (ms[0][RUNS / 2 - 1] + ms[0][RUNS / 2]) / 2,
        (ms[1][RUNS / 2 - 1] + ms[1][RUNS / 2]) / 2);
    return 0;
}

static double memory(const struct qd_net *net)
{
    size_t activations, packed;

    qd_net_memory(net, &activations, &packed);
    return (double)activations + (double)packed;
}

/* ------------------------------------------------------------------ the table ----------------- */

int cmd_prune_measure(struct cmd_prune_table *t, const struct qd_model *before,
    const struct qd_model *after, struct qd_error *err)
{
    const struct qd_net_opts o = {.w = cmd.size.w, .h = cmd.size.h};
    struct qd_net *net[2] = {NULL, NULL};
    struct sums a, b;
    int ret = -1;

    if (sum_at_size(before, &a, err) < 0 || sum_at_size(after, &b, err) < 0)
        return -1;
    add(t, "layers", 0, a.layers, b.layers);
    add(t, "params", 0, a.params, b.params);
    add(t, "trained", 0, a.trained, b.trained);
    add(t, "macs", 0, a.macs, b.macs);
    add(t, "weights_bytes", 0, 4 * a.params + 20, 4 * b.params + 20);
    if (!cmd.data)
        return 0;
    net[0] = qd_net_new(before, &o, err);
    net[1] = net[0] ? qd_net_new(after, &o, err) : NULL;
    if (net[1] && add_scores(t, net, err) == 0 && add_times(t, net, err) == 0) {
        add(t, "peak_bytes", 0, memory(net[0]), memory(net[1]));
        ret = 0;
    }
    qd_net_free(net[0]);
    qd_net_free(net[1]);
    return ret;
}

void cmd_prune_print(const struct cmd_prune_table *t)
{
    printf("# metric\tbefore\tafter\n");
    for (int i = 0; i < t->n; i++)
        printf("%s\t%.*f\t%.*f\n", t->row[i].name, t->row[i].digits, t->row[i].value[0],
            t->row[i].digits, t->row[i].value[1]);
}
