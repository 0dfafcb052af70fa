/* SPDX-License-Identifier: MIT */
/*
 * qd-classify: the most probable classes of pictures, or how often they are right over a data set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static int top = 5, bad = QD_BAD_FAIL;
static const char *names_path;
static bool exif;

static const struct cmd_opt opts[] = {CMD_OPT_CFG_NEEDED, CMD_OPT_WEIGHTS_NEEDED, CMD_OPT_DATA,
    {'k', "top", CMD_INT, &top, "N", "classes of a picture", 1, 100000, false},
    {'N', "names", CMD_STR, &names_path, "FILE", "class names, instead of those of -d", 0, 0,
        false},
    {'B', "bad-labels", CMD_CHOICE, &bad, "fail|drop|clip", "what to do about bad labels", 0, 0,
        false},
    {'e', "exif", CMD_FLAG, &exif, NULL, "turn photos as their EXIF data say", 0, 0, false},
    CMD_OPT_SIZE, CMD_OPT_THREADS, CMD_OPT_OVERRIDE, {0}};

static const struct cmd_info info = {
    "qd-classify", "[FILE ...]", "name what pictures show, or score a classifier", opts, 0, -1};

struct guess {
    int class_id;
    float p;
};

static int by_probability(const void *a, const void *b)
{
    const struct guess *x = a, *y = b;

    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return x->class_id - y->class_id;
}

/* The last layer, and how many classes it gives. */
static int last_layer(struct qd_net *net, int *classes, struct qd_error *err)
{
    const struct qd_model *m = qd_net_model(net);
    struct qd_layer_info l;

    qd_model_layer(m, qd_model_layers(m) - 1, &l);
    *classes = l.c;
    if (qd_model_classes(m) || l.h != 1 || l.w != 1)
        return cmd_error_set(
            err, QD_EARG, "%s: the net is not a classifier: it ends in [%s]", cmd.cfg, l.section);
    return qd_model_layers(m) - 1;
}

static int classify(
    struct qd_net *net, const char *path, const struct qd_names *names, struct qd_error *err)
{
    struct qd_image_opts io = {.exif = exif};
    struct qd_image *img = qd_image_load(path, &io, err);
    int classes, layer = last_layer(net, &classes, err);
    float *p = calloc((size_t)classes, sizeof(*p));
    struct guess *g = calloc((size_t)classes, sizeof(*g));
    int ret = img ? 0 : -1;

    if (!p || !g)
        ret = cmd_error_set(err, QD_ENOMEM, "out of memory for %d classes", classes);
    if (ret == 0)
        ret = qd_net_set_image(net, 0, img, QD_FIT_CROP, err);
    if (ret == 0) {
        qd_net_forward(net);
        ret = qd_net_output(net, layer, 0, p, err);
    }
    for (int i = 0; ret == 0 && i < classes; i++)
        g[i] = (struct guess){i, p[i]};
    if (ret == 0)
        qsort(g, (size_t)classes, sizeof(*g), by_probability);
    for (int i = 0; ret == 0 && i < top && i < classes; i++) {
        const char *name = names ? qd_names_get(names, g[i].class_id) : NULL;
        printf("%s\t%d\t%s\t%.6f\n", path, g[i].class_id, name ? name : "-", (double)g[i].p);
    }
    free(p);
    free(g);
    qd_image_free(img);
    return ret;
}

static int score(struct qd_net *net, struct qd_error *err)
{
    struct qd_top t;

    if (qd_classify_score(net, cmd.data, (enum qd_bad_labels)bad, &t, err) < 0)
        return -1;
    printf("# pictures %ld\ntop1\t%.6f\ntop5\t%.6f\n", t.images, t.top1, t.top5);
    return 0;
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};
    struct qd_names *names = NULL;
    int classes, n = cmd_parse(&info, argc, argv), ret;

    if (n == 0 && !cmd.data)
        return cmd_misuse("no FILE and no -d given");
    struct qd_net *net = cmd_net(&err);
    if (!net)
        return cmd_fail(&err);
    ret = last_layer(net, &classes, &err) < 0 ? -1 : cmd_names(names_path, classes, &names, &err);
    if (ret == 0 && n == 0)
        ret = score(net, &err);
    for (int i = 1; ret == 0 && i <= n; i++)
        if (classify(net, argv[i], names, &err) < 0)
            cmd_error(&err);
    qd_names_free(names);
    qd_net_free(net);
    return ret < 0 ? cmd_fail(&err) : cmd_finish();
}
