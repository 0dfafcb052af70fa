/* SPDX-License-Identifier: MIT */
/* Label files: the way from the image to them, and every defect that a line can have. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "base/base.h"
#include "base/buf.h"

static char logged[8][600];
static int nlogged;

static void sink(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    if (nlogged < 8)
        snprintf(logged[nlogged], sizeof(logged[0]), "%d %s", (int)level, line);
    nlogged++;
}

static struct qd_error err;
static struct qd_labels got;

static void put(const char *name, const char *text, size_t len)
{
    FILE *f = fopen(name, "wb");

    if (!f || fwrite(text, 1, len, f) != len || fclose(f) != 0)
        OK(false, "writing %s", name);
}

static int load(const char *text, int classes, enum qd_bad_labels bad)
{
    put("a.txt", text, strlen(text));
    qd_labels_free(&got);
    err = (struct qd_error){0};
    nlogged = 0;
    return qd_labels_load("a.txt", classes, bad, &got, &err);
}

/* -------------------------------------------------------------------- boxes ------------------- */

static bool is_box(size_t i, const float want[4])
{
    const struct qd_box *b = &got.label[i].box;

    return i < got.n && fabsf(b->x - want[0]) < 1e-6f && fabsf(b->y - want[1]) < 1e-6f &&
           fabsf(b->w - want[2]) < 1e-6f && fabsf(b->h - want[3]) < 1e-6f;
}

static void good(void)
{
    OK(load("\xef\xbb\xbf"
            "3 .5 0.5 .25 1e-1\r\n\r\n\t79\t0.125  1 .0625 0.001 \n",
           80, QD_BAD_FAIL) == 0,
        "loads: %s", err.msg);
    OK(got.n == 2 && nlogged == 0, "two boxes");
    OK(got.n == 2 && got.label[0].class_id == 3 && got.label[0].line == 1, "the first");
    OK(is_box(0, (float[]){.5f, .5f, .25f, .1f}), "its numbers");
    OK(got.n == 2 && got.label[1].class_id == 79 && got.label[1].line == 3, "the second");
    OK(load("", 80, QD_BAD_FAIL) == 0 && got.n == 0, "an empty file is a background image");
    OK(load("\n \n", 80, QD_BAD_FAIL) == 0 && got.n == 0, "so are blank lines");
    OK(load("2000000000 .5 .5 1 1", 0, QD_BAD_FAIL) == 0 && got.n == 1,
        "any class without a limit");
    OK(load("0 .5 .5 1.0009 1\n0 .1 .1 .2015 .2\n0 -.0004 .5 .001 .1", 1, QD_BAD_FAIL) == 0,
        "rounding is forgiven: %s", err.msg);
    OK(got.n == 3 && is_box(0, (float[]){.5f, .5f, 1.0009f, 1}), "and left as it is");
}

static void defects(void)
{
    /* the line, why it is bad, and the box that clipping leaves, if any */
    static const struct {
        const char *line, *why;
        float box[4];
    } table[] = {
        {"0.0 .5 .5 .1 .1", "class '0.0' is not an integer", {0}},
        {"x .5 .5 .1 .1", "class 'x' is not an integer", {0}},
        {"99999999999999999999 .5 .5 .1 .1", "class '99999999999999999999' is not an integer", {0}},
        {"-1 .5 .5 .1 .1", "class '-1' is negative", {0}},
        {"2147483648 .5 .5 .1 .1", "class '2147483648' is too large", {0}},
        {"3 .5 .5 .1 .1", "class '3' must be 0 to 2", {0}},
        {"0", "1 column, 5 expected", {0}},
        {"0 .5 .5 .1", "4 columns, 5 expected", {0}},
        {"0 .1 .1 .2 .1 .2 .2 .1 .2", "9 columns, 5 expected", {0}},
        {"0,.5,.5,.1,.1", "1 column, 5 expected", {0}},
        {"0 a .5 .1 .1", "column 2, 'a', is not a number", {0}},
        {"0 .5 .5x .1 .1", "column 3, '.5x', is not a number", {0}},
        {"0 .5 .5 nan .1", "column 4, 'nan', is not a number", {0}},
        {"0 .5 .5 .1 inf", "column 5, 'inf', is not a number", {0}},
        {"0 .5 .5 .1 1e999", "column 5, '1e999', is not a number", {0}},
        {"0 .5 .5 0 .1", "width 0 must be more than 0", {0}},
        {"0 .5 .5 .1 -0.25", "height -0.25 must be more than 0", {0}},
        {"0 .5 .5 1e-60 .1", "width 0 must be more than 0", {0}},
        {"0 .5 1e9 .1 .1", "y is far too large", {0}},
        {"0 320 240 100 100", "centre (320, 240) lies outside the image", {0}},
        {"0 1.25 .5 .25 .1", "centre (1.25, 0.5) lies outside the image", {0}},
        {"0 1.0625 .5 .25 .5", "centre (1.0625, 0.5) lies outside the image",
            {.96875f, .5f, .0625f, .5f}},
        {"0 .5 -.0625 .25 .5", "centre (0.5, -0.0625) lies outside the image",
            {.5f, .09375f, .25f, .1875f}},
        {"0 .5 .5 1.5 .5", "width 1.5 is more than 1", {.5f, .5f, 1, .5f}},
        {"0 .5 .5 .5 2", "height 2 is more than 1", {.5f, .5f, .5f, 1}},
        {"0 .125 .5 .5 .5", "box reaches out of the image, from -0.125 to 0.375 in x",
            {.1875f, .5f, .375f, .5f}},
        {"0 .5 .75 .5 .75", "box reaches out of the image, from 0.375 to 1.125 in y",
            {.5f, .6875f, .5f, .625f}},
    };
    char text[300], want[400];

    for (size_t i = 0; i < QD_LEN(table); i++) {
        const char *line = table[i].line;
        bool mends = table[i].box[2] > 0;
        snprintf(text, sizeof(text), "1 .5 .5 .5 .5\n%s\n2 .25 .25 .5 .5\n", line);
        OK(load(text, 3, QD_BAD_FAIL) == -1 && got.n == 0 && err.code == QD_EFORMAT && nlogged == 0,
            "'%s' fails", line);
        snprintf(want, sizeof(want), "a.txt:2: %s", table[i].why);
        IS_STR(err.msg, want, "message");
        OK(load(text, 3, QD_BAD_DROP) == 0 && got.n == 2 && nlogged == 1, "'%s' dropped", line);
        snprintf(want, sizeof(want), "0 a.txt:2: %s, box left out", table[i].why);
        IS_STR(logged[0], want, "warning");
        OK(load(text, 3, QD_BAD_CLIP) == 0 && got.n == 2 + (size_t)mends && nlogged == 1, "'%s' %s",
            line, mends ? "clipped" : "dropped");
        if (mends) {
            snprintf(want, sizeof(want), "0 a.txt:2: %s, box clipped", table[i].why);
            IS_STR(logged[0], want, "warning");
            OK(is_box(1, table[i].box), "what is left of it");
        }
    }
}

static void remarks(void)
{
    OK(load("0 .5 .5 .1 .1 .97\n", 1, QD_BAD_FAIL) == 0 && got.n == 1 && nlogged == 1,
        "a sixth column is no defect");
    IS_STR(logged[0], "0 a.txt:1: 6 columns, 5 expected, the last is ignored", "warning");
    OK(load("0 .5 .5 .4 .4\n1 .5 .5 .4 .4\n0 .501 .5 .4 .4\n0 .6 .5 .4 .4\n", 2, QD_BAD_FAIL) == 0,
        "duplicates are no defect");
    OK(got.n == 4 && nlogged == 1, "and stay");
    IS_STR(logged[0], "0 a.txt:3: the box is almost the same as the one of line 1", "warning");
}

static void limits(void)
{
    struct qd_buf b = {0};

    for (int i = 0; i < 10001; i++)
        qd_buf_printf(&b, "%d .5 .5 .1 .1\n", i);
    OK(load(b.data, 0, QD_BAD_FAIL) == -1, "too many boxes");
    IS_STR(err.msg, "a.txt:10001: more than 10000 boxes", "message");
    b.len = 0;
    for (int i = 0; i < 1001; i++)
        qd_buf_str(&b, "x\n");
    OK(load(b.data, 0, QD_BAD_DROP) == -1 && nlogged == 1000, "too many defects");
    IS_STR(err.msg, "a.txt:1001: more than 1000 defects: this is not a label file", "message");
    qd_buf_free(&b);
    put("a.txt", "0 .5 .5 .1\0 .1\n", 15);
    err = (struct qd_error){0};
    OK(qd_labels_load("a.txt", 1, QD_BAD_DROP, &got, &err) == -1, "a zero byte");
    IS_STR(err.msg, "a.txt:1: a zero byte: this is not a text file", "message");
    err = (struct qd_error){0};
    OK(qd_labels_load("none", 1, QD_BAD_DROP, &got, &err) == -1 && err.code == QD_EIO, "no file");
    IS_STR(err.msg, "cannot open 'none': No such file or directory", "message");
    bool clean = true;
    int done = 0;
    put("a.txt", "0 .5 .5 .1 .1\n", 14);
    for (long n = 1; n < 20 && !done; n++) {
        struct qd_labels l = {0};
        err = (struct qd_error){0};
        qd_alloc_fail_at(n);
        int ret = qd_labels_load("a.txt", 1, QD_BAD_FAIL, &l, &err);
        qd_alloc_fail_at(0);
        clean = clean && (ret == 0) == (err.code == QD_OK) && (ret == 0 || err.code == QD_ENOMEM);
        done = ret == 0;
        qd_labels_free(&l);
    }
    OK(clean && done, "every failing allocation is reported");
    qd_labels_free(NULL);
}

/* -------------------------------------------------------------------- paths ------------------- */

static char path[5000];

static int find(const char *image)
{
    err = (struct qd_error){0};
    path[0] = 0;
    return qd_label_path(image, path, sizeof(path), &err);
}

/* Create the label, look for it from the image, remove it. */
static void leads(const char *image, const char *label)
{
    put(label, "", 0);
    OK(find(image) == 1, "a label for %s", image);
    IS_STR(path, label, "which one");
    unlink(label);
    OK(find(image) == 0, "none without the file");
}

static void folders(bool make)
{
    static const char *const dirs[] = {"d", "d/images", "d/labels", "d/images/train2017",
        "d/labels/train2017", "d/images/val2014", "d/labels/val2014", "d/JPEGImages",
        "d/images/images", "d/images/labels", "d/myimages", "d/mylabels", "images", "labels"};

    for (size_t i = 0; i < QD_LEN(dirs); i++)
        if ((make ? mkdir(dirs[i], 0777) : rmdir(dirs[QD_LEN(dirs) - 1 - i])) != 0)
            OK(false, "%s a folder", make ? "making" : "removing");
}

static void label_paths(void)
{
    folders(true);
    leads("d/a.jpg", "d/a.txt");
    leads("d/a.b.JPEG", "d/a.b.txt");
    leads("d/a", "d/a.txt");
    leads("d/.jpg", "d/.jpg.txt");
    leads("a.webp", "a.txt");
    leads("d/images/a.jpg", "d/images/a.txt");
    leads("d/images/a.jpg", "d/labels/a.txt");
    leads("d/images/train2017/a.png", "d/labels/train2017/a.txt");
    leads("d/images/val2014/a.png", "d/labels/val2014/a.txt");
    leads("d/JPEGImages/a.jpg", "d/labels/a.txt");
    leads("d/images/images/a.jpg", "d/images/labels/a.txt");
    leads("images/a.jpg", "labels/a.txt");
    leads("d\\JPEGImages\\a.jpg", "d\\labels\\a.txt");
    leads("d\\images\\val2017\\a.jpg", "d\\labels\\val2017\\a.txt");
    OK(find("d/images/a.jpg") == 0, "no label");
    IS_STR(path, "d/images/a.txt", "the first that was tried");
    put("d/mylabels/a.txt", "", 0);
    OK(find("d/myimages/a.jpg") == 0, "only a whole folder name is replaced");
    unlink("d/mylabels/a.txt");
    put("d/images/a.txt", "", 0);
    put("d/labels/a.txt", "", 0);
    OK(find("d/images/a.jpg") == -1 && err.code == QD_EFORMAT, "two different ones");
    IS_STR(err.msg,
        "two label files for image 'd/images/a.jpg': 'd/images/a.txt' and 'd/labels/a.txt'",
        "message");
    unlink("d/labels/a.txt");
    OK(link("d/images/a.txt", "d/labels/a.txt") == 0 && find("d/images/a.jpg") == 1,
        "one under two names");
    unlink("d/labels/a.txt");
    OK(find("d/images/a.txt") == 0, "an image that is its own label");
    unlink("d/images/a.txt");
    OK(mkdir("d/a.txt", 0777) == 0 && find("d/a.jpg") == 0, "a folder is no label");
    rmdir("d/a.txt");
}

static void long_paths(void)
{
    char image[4200], small[12];

    memset(image, 'x', sizeof(image));
    image[sizeof(image) - 1] = 0;
    OK(find(image) == -1 && err.code == QD_EARG, "a long path");
    char want[200];
    snprintf(want, sizeof(want), "the path of image '%.100s...' is too long", image);
    IS_STR(err.msg, want, "message");
    put("sm.txt", "", 0);
    OK(qd_label_path("sm.jpg", small, 7, NULL) == 1 && strcmp(small, "sm.txt") == 0, "just enough");
    OK(qd_label_path("sm.jpg", small, 6, NULL) == -1, "not enough");
}

static void real(void)
{
    char image[1200];
    const char *folder = tap_shared("coco128/images");
    int found = 0, none = 0, boxes = 0;

    if (!folder)
        return;
    snprintf(image, sizeof(image), "%s", folder);
    for (int id = 0; id < 700; id++) {
        char file[1300];
        snprintf(file, sizeof(file), "%s/%012d.jpg", image, id);
        if (access(file, R_OK) != 0)
            continue;
        struct qd_labels l = {0};
        int ret = qd_label_path(file, path, sizeof(path), &err);
        none += ret == 0;
        if (ret == 1 && qd_labels_load(path, 80, QD_BAD_FAIL, &l, &err) == 0)
            found++;
        boxes += (int)l.n;
        qd_labels_free(&l);
    }
    OK(found == 126 && none == 2 && boxes == 929, "coco128: %d label files, %d none, %d boxes: %s",
        found, none, boxes, err.msg);
}

int main(void)
{
    char dir[300];

    real(); /* the way to the data may be relative */
    qd_log_set(sink, NULL);
    snprintf(dir, sizeof(dir), "%s", tap_tmp(""));
    if (chdir(dir) != 0)
        return 99;
    good();
    defects();
    remarks();
    limits();
    label_paths();
    long_paths();
    folders(false);
    qd_labels_free(&got);
    return tap_done();
}
