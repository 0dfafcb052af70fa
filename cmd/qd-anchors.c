/* SPDX-License-Identifier: MIT */
/*
 * qd-anchors: anchors that fit the boxes of a data set, or how well given ones do.  What is scored
 * is what is printed: rounded, and at the size that the network has.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

enum { MAX_ANCHORS = 256, MIN_SIDE = 2 /* pixels; smaller boxes cannot be learned */ };

static int anchors = 9, seed = 1, restarts = 10, generations = 1000, places, bad = QD_BAD_DROP;
static int stride = 1;
static float thresh = .2f;
static bool letterbox;
static const char *list_path, *given;

static const struct cmd_opt opts[] = {CMD_OPT_DATA,
    {'L', "list", CMD_STR, &list_path, "FILE", "pictures, instead of train= of -d", 0, 0, false},
    {'n', "anchors", CMD_INT, &anchors, "N", "how many", 1, MAX_ANCHORS, false},
    {'i', "img-size", CMD_SIZE, &cmd.size, "N|WxH", "input size of the network [416]", 1, 16384,
        false},
    {'l', "letterbox", CMD_FLAG, &letterbox, NULL, "pictures keep their aspect [stretched]", 0, 0,
        false},
    {'a', "score", CMD_STR, &given, "W,H,...", "score these anchors instead", 0, 0, false},
    {'s', "seed", CMD_INT, &seed, "N", "the same seed gives the same anchors", 0, 2147483647,
        false},
    {'r', "restarts", CMD_INT, &restarts, "N", "k-means is begun that many times", 1, 10000, false},
    {'g', "generations", CMD_INT, &generations, "N", "of random improvements after it", 0, 1000000,
        false},
    {'t', "thresh", CMD_FLOAT, &thresh, "X", "IoU that a box must exceed to be found", 0, 1, false},
    {'p', "places", CMD_INT, &places, "N", "decimal places", 0, 4, false},
    {'S', "stride", CMD_INT, &stride, "N", "print cells of N pixels, as [region] wants", 1, 1024,
        false},
    {'B', "bad-labels", CMD_CHOICE, &bad, "fail|drop|clip", "what to do about bad labels", 0, 0,
        false},
    CMD_OPT_THREADS, {0}};

static const struct cmd_info info = {
    "qd-anchors", "", "find anchors that fit a data set", opts, 0, 0};

struct boxes {
    struct qd_size *v;
    size_t n, small; /* small: left out */
    size_t pictures, unlabelled;
};

/* ------------------------------------------------------------------ boxes --------------------- */

/* Pixels of the input that the whole picture covers. */
static int picture_size(const char *path, struct qd_size *out, struct qd_error *err)
{
    int w, h, c;

    *out = (struct qd_size){(float)cmd.size.w, (float)cmd.size.h};
    if (!letterbox)
        return 0;
    if (qd_image_probe(path, &w, &h, &c, err) < 0)
        return -1;
    float scale = fminf(out->w / (float)w, out->h / (float)h);
    *out = (struct qd_size){(float)w * scale, (float)h * scale};
    return 0;
}

static int add_picture(struct boxes *b, const char *path, int classes, struct qd_error *err)
{
    struct qd_labels l = {0};
    struct qd_size size = {0};
    char label[4096];
    int found = qd_label_path(path, label, sizeof(label), err);

    b->pictures++;
    if (found == 0)
        b->unlabelled++;
    if (found <= 0)
        return found;
    if (qd_labels_load(label, classes, (enum qd_bad_labels)bad, &l, err) < 0)
        return -1;
    if (!l.n)
        return 0;
    struct qd_size *v = realloc(b->v, (b->n + l.n) * sizeof(*v));
    if (v)
        b->v = v;
    int ret = v ? picture_size(path, &size, err)
                : cmd_error_set(err, QD_ENOMEM, "out of memory for %zu boxes", b->n + l.n);
    for (size_t i = 0; ret == 0 && i < l.n; i++) {
        struct qd_size s = {l.label[i].box.w * size.w, l.label[i].box.h * size.h};
        if (s.w < MIN_SIDE || s.h < MIN_SIDE)
            b->small++;
        else
            b->v[b->n++] = s;
    }
    qd_labels_free(&l);
    return ret;
}

static int add_list(struct boxes *b, const char *path, int classes, struct qd_error *err)
{
    struct qd_list *list = qd_list_load(path, err);
    int ret = list ? 0 : -1;

    cmd_progress_begin("pictures", list ? (long)qd_list_count(list) : 0);
    for (size_t i = 0; ret == 0 && i < qd_list_count(list); i++) {
        ret = add_picture(b, qd_list_get(list, i), classes, err);
        cmd_progress((long)i + 1);
    }
    cmd_progress_end();
    if (ret == 0 && b->unlabelled == b->pictures)
        ret =
            cmd_error_set(err, QD_EIO, "%s: none of the %zu pictures has a label file, first '%s'",
                path, b->pictures, qd_list_get(list, 0));
    else if (ret == 0 && b->n == 0)
        ret = cmd_error_set(
            err, QD_EFORMAT, "%s: the pictures have no box of %d pixels or more", path, MIN_SIDE);
    qd_list_free(list);
    return ret;
}

static int load(struct boxes *b, struct qd_error *err)
{
    struct qd_data *data = NULL;
    const char *path = list_path;
    int ret = 0;

    if (cmd.data && !(data = qd_data_load(cmd.data, err)))
        return -1;
    if (!path && !(path = qd_data_path(data, "train", err)))
        ret = -1;
    if (ret == 0)
        ret = add_list(b, path, data ? qd_data_classes(data) : 0, err);
    qd_data_free(data);
    return ret;
}

/* ------------------------------------------------------------------ anchors ------------------- */

/* Read "W,H, W,H ..." into a; their number, or -1. */
static int parse(const char *text, struct qd_size *a)
{
    int n = 0;

    for (;; n++) {
        char *end;
        float v = strtof(text, &end);
        if (end == text || !(v > 0 && v < 1e6f) || n == 2 * MAX_ANCHORS)
            return -1;
        if (n & 1)
            a[n / 2].h = v;
        else
            a[n / 2].w = v;
        text = end + strspn(end, " \t");
        if (!*text)
            return n & 1 ? (n + 1) / 2 : -1;
        if (*text++ != ',')
            return -1;
    }
}

/* To what will be printed: so many places in cells of so many pixels, and never nothing. */
static float rounded(float pixels)
{
    double unit = pow(10, -places);
    double v = floor((double)pixels / stride / unit + .5) * unit;

    return (float)(fmax(v, unit) * stride);
}

static void print_anchors(const struct qd_size *a, int n)
{
    printf("anchors=");
    for (int i = 0; i < n; i++)
        printf("%s%.*f,%.*f", i ? ", " : "", places, (double)a[i].w / stride, places,
            (double)a[i].h / stride);
    printf("\n");
}

static int run(struct qd_error *err)
{
    struct qd_anchors_opts o = {anchors, (uint64_t)seed, restarts, generations, thresh};
    struct qd_size a[MAX_ANCHORS];
    struct boxes b = {0};
    long count[MAX_ANCHORS];
    struct qd_anchors_fit fit = {.boxes = count};
    int n = given ? parse(given, a) : anchors, ret = load(&b, err);

    if (ret == 0 && !given) {
        ret = qd_anchors_find(b.v, b.n, &o, a, err);
        for (int i = 0; ret == 0 && i < n; i++)
            a[i] = (struct qd_size){rounded(a[i].w), rounded(a[i].h)};
    }
    for (int i = 0; given && i < n; i++)
        a[i] = (struct qd_size){a[i].w * (float)stride, a[i].h * (float)stride};
    if (ret == 0)
        ret = qd_anchors_score(b.v, b.n, a, n, thresh, &fit, err);
    if (ret == 0) {
        printf("# %zu boxes of %zu pictures at %dx%d, %zu more below %d pixels\n", b.n, b.pictures,
            cmd.size.w, cmd.size.h, b.small, MIN_SIDE);
        if (!given)
            print_anchors(a, n);
        for (int i = 0; i < n; i++)
            printf("anchor\t%d\t%g\t%g\t%ld\n", i, (double)a[i].w, (double)a[i].h, count[i]);
        printf("avg_iou\t%.6f\nrecall\t%.6f\n", fit.avg_iou, fit.recall);
    }
    free(b.v);
    return ret;
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};
    struct qd_size a[MAX_ANCHORS];

    cmd_parse(&info, argc, argv);
    if (!cmd.data && !list_path)
        return cmd_misuse("no pictures: give -d or -L");
    if (given && parse(given, a) < 0)
        return cmd_misuse("option -a/--score: '%s' is not a list of W,H, W,H ...", given);
    if (!cmd.size.w)
        cmd.size = (struct cmd_size){416, 416};
    return run(&err) < 0 ? cmd_fail(&err) : cmd_finish();
}
