/* SPDX-License-Identifier: MIT */
/* The check before training: every defect that a data set can have, with its exact message. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "base/base.h"
#include "data/preflight.h"

static char logged[32][600];
static int nlogged;

static void sink(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    if (level != QD_LOG_WARNING)
        return;
    if (nlogged < (int)QD_LEN(logged))
        snprintf(logged[nlogged], sizeof(logged[0]), "%s", line);
    nlogged++;
}

static void put(const char *name, const char *data, size_t len)
{
    FILE *f = fopen(name, "wb");

    if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0)
        OK(false, "writing %s", name);
}

static void puts_to(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* A picture of 20x10 pixels. */
static void picture(const char *name)
{
    char data[13 + 200] = "P5 20 10 255\n";

    put(name, data, 213);
}

/* The first line of what was logged, or the error when nothing was. */
static const char *first(const struct qd_error *err)
{
    return nlogged ? logged[0] : err->msg;
}

/* ------------------------------------------------------------------ labels -------------------- */

/* a.pgm with this label file, good.pgm with a good box; what is said about it. */
static const struct {
    const char *label, *said;
    bool defect;
} labels[] = {
    {"0 .5 .5 .5", "a.txt:1: 4 columns, 5 expected", true},
    {"0", "a.txt:1: 1 column, 5 expected", true},
    {"\n0 .1 .1 .2 .1 .2 .3 .4", "a.txt:2: 8 columns, 5 expected", true},
    {"0 .5 .5 .5 .5 .9", "a.txt:1: 6 columns, 5 expected, the last is ignored", false},
    {"cat .5 .5 .5 .5", "a.txt:1: class 'cat' is not an integer", true},
    {"1.0 .5 .5 .5 .5", "a.txt:1: class '1.0' is not an integer", true},
    {"-1 .5 .5 .5 .5", "a.txt:1: class '-1' is negative", true},
    {"99999999999 .5 .5 .5 .5", "a.txt:1: class '99999999999' is too large", true},
    {"2 .5 .5 .5 .5", "a.txt:1: class '2' must be 0 to 1", true},
    {"0 x .5 .5 .5", "a.txt:1: column 2, 'x', is not a number", true},
    {"0 .5 0,5 .5 .5", "a.txt:1: column 3, '0,5', is not a number", true},
    {"0 .5 .5 nan .5", "a.txt:1: column 4, 'nan', is not a number", true},
    {"0 .5 .5 .5 inf", "a.txt:1: column 5, 'inf', is not a number", true},
    {"0 0x1 .5 .5 .5", "a.txt:1: column 2, '0x1', is not a number", true},
    {"0 .5 .5 0 .5", "a.txt:1: width 0 must be more than 0", true},
    {"0 .5 .5 .5 0", "a.txt:1: height 0 must be more than 0", true},
    {"0 .5 .5 -.1 .5", "a.txt:1: width -0.1 must be more than 0", true},
    {"0 .5 .5 .5 1e-60", "a.txt:1: height 0 must be more than 0", true},
    {"0 1.5 .5 .5 .5", "a.txt:1: centre (1.5, 0.5) lies outside the image", true},
    {"0 .5 -.25 .5 .5", "a.txt:1: centre (0.5, -0.25) lies outside the image", true},
    {"0 .5 .5 1.5 .5", "a.txt:1: width 1.5 is more than 1", true},
    {"0 .5 .5 .5 2", "a.txt:1: height 2 is more than 1", true},
    {"0 .25 .5 .75 .5", "a.txt:1: box reaches out of the image, from -0.125 to 0.625 in x", true},
    {"0 .75 .5 .75 .5", "a.txt:1: box reaches out of the image, from 0.375 to 1.125 in x", true},
    {"0 .5 .25 .5 .75", "a.txt:1: box reaches out of the image, from -0.125 to 0.625 in y", true},
    {"0 .5 .75 .5 .75", "a.txt:1: box reaches out of the image, from 0.375 to 1.125 in y", true},
    {"0 3000000 .5 .5 .5", "a.txt:1: x is far too large", true},
    {"0 .5 .5 .5 3000000", "a.txt:1: height is far too large", true},
    {"0 .5 .5 .5 .5\n0 .5 .5 .5 .5", "a.txt:2: the box is almost the same as the one of line 1",
        false},
    {"0 .5 .5 .04 .5", "a.txt:1: a box of 0.8 x 5 pixels is too small to be learned", false},
    {"0 .5 .5 .5 .0625", "a.txt:1: a box of 10 x 0.625 pixels is too small to be learned", false},
};

static struct qd_dataset *open_set(
    const char *list, enum qd_bad_labels bad, bool classifier, struct qd_error *err)
{
    struct qd_dataset_opts o = {.list = list, .classes = 2, .bad = bad, .classifier = classifier};
    struct qd_names *names = NULL;

    if (classifier) {
        puts_to("two.names", "cat\ndog\n");
        names = qd_names_load("two.names", NULL);
        o.names = names;
    }
    nlogged = 0;
    *err = (struct qd_error){0};
    struct qd_dataset *d = qd_dataset_open(&o, err);
    qd_names_free(names);
    return d;
}

static void label_defects(void)
{
    char want[700];

    picture("a.pgm");
    picture("good.pgm");
    puts_to("good.txt", "0 .5 .5 .5 .5\n1 .5 .5 .5 .5\n");
    puts_to("two.list", "a.pgm\ngood.pgm\n");
    for (size_t i = 0; i < QD_LEN(labels); i++) {
        struct qd_error err;
        puts_to("a.txt", labels[i].label);
        struct qd_dataset *d = open_set("two.list", QD_BAD_FAIL, false, &err);
        IS_STR(logged[0], labels[i].said, "label %zu", i);
        if (labels[i].defect)
            OK(!d && nlogged == 1 && !strcmp(err.msg, "two.list: 1 defect in the data set"),
                "fails: %s", err.msg);
        else
            OK(d && nlogged == 1, "is only a warning");
        qd_dataset_free(d);
        if (!labels[i].defect)
            continue;
        d = open_set("two.list", QD_BAD_DROP, false, &err);
        snprintf(want, sizeof(want), "%s, box left out", labels[i].said);
        IS_STR(logged[0], want, "dropped");
        OK(d && d->n == 2 && d->sample[0].nlabel == 0 && d->stats.defects == 1 &&
                d->stats.background == 1,
            "the image stays");
        qd_dataset_free(d);
    }
}

/* ------------------------------------------------------------------ images and lists ---------- */

/* A list, and what is said when it is checked with 'fail': a log line or, if there is none, the
 * error.  p.pgm, q.pgm are good pictures with good labels. */
static const struct {
    const char *list, *said;
    bool defect;
} lists[] = {
    {"", "x.list: the list names no file", false},
    {"\n \r\n\t\n", "x.list: the list names no file", false},
    {"none.pgm\n", "x.list:1: cannot open 'none.pgm': No such file or directory", true},
    {"p.pgm\n\nnone.pgm\n", "x.list:3: cannot open 'none.pgm': No such file or directory", true},
    {"p.pgm 1,2,3,4,0\n",
        "x.list:1: cannot open 'p.pgm 1,2,3,4,0': No such file or directory (a line of a list is "
        "one path and nothing else)",
        true},
    {"dir\\p.pgm\n",
        "x.list:1: cannot open 'dir\\p.pgm': No such file or directory (folders are separated by "
        "'/')",
        true},
    {"~/p.pgm\n",
        "x.list:1: cannot open '~/p.pgm': No such file or directory ('~' stands for no folder "
        "here)",
        true},
    {"p.pgm/q.pgm\n", "x.list:1: cannot open 'p.pgm/q.pgm': Not a directory", true},
    {"dir\n", "x.list:1: cannot read 'dir': Is a directory", true},
    {"empty.jpg\n", "x.list:1: empty.jpg: file is empty", true},
    {"text.jpg\n", "x.list:1: text.jpg: not a PNG, JPEG or PNM image", true},
    {"anim.jpg\n", "x.list:1: anim.jpg: GIF images are not supported, only PNG, JPEG and PNM are",
        true},
    {"cut.png\n", "x.list:1: cut.png: file ends inside the header", true},
    {"cut.ppm\n", "x.list:1: cut.ppm: file ends inside the header", true},
    {"zero.ppm\n", "x.list:1: zero.ppm: image has no pixels", true},
    {"two/images/t.pgm\n",
        "x.list:1: two label files for image 'two/images/t.pgm': 'two/images/t.txt' and "
        "'two/labels/t.txt'",
        true},
    {"p.pgm\nq.pgm\np.pgm\n", "x.list:3: image 'p.pgm' is already in line 1", false},
    {"binary.pgm\n", "binary.txt:2: a zero byte: this is not a text file", true},
    {"poly.pgm\n", "poly.txt:1: 7 columns, 5 expected", true},
    {"unlabelled.pgm\nunlabelled2.pgm\n", "x.list:1: no label file 'unlabelled.txt'", false},
    {"blank.pgm\n", "x.list: no box in the label files of 1 image", false},
    {"p.pgm\nunlabelled.pgm\nq.pgm\n",
        "x.list:2: no label file 'unlabelled.txt', the image counts as background", false},
    {"p.pgm\n", "x.list: no box of 1 of 2 classes: 1", false},
};

static void make_files(void)
{
    mkdir("dir", 0777);
    mkdir("two", 0777);
    mkdir("two/images", 0777);
    mkdir("two/labels", 0777);
    puts_to("p.txt", "0 .5 .5 .5 .5\n");
    puts_to("q.txt", "1 .5 .5 .5 .5\n");
    put("empty.jpg", "", 0);
    puts_to("text.jpg", "hello, I am not a picture\n");
    puts_to("anim.jpg", "GIF89a and so on");
    put("cut.png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", 18);
    puts_to("cut.ppm", "P6 20 ");
    puts_to("zero.ppm", "P6 0 10 255\n");
    picture("p.pgm");
    picture("q.pgm");
    picture("dir/p.pgm");
    picture("two/images/t.pgm");
    puts_to("two/images/t.txt", "0 .5 .5 .5 .5\n");
    puts_to("two/labels/t.txt", "0 .5 .5 .5 .5\n");
    picture("binary.pgm");
    put("binary.txt", "0 .5 .5 .5 .5\n0 .5 \0 .5 .5\n", 28);
    picture("poly.pgm");
    puts_to("poly.txt", "0 .1 .1 .2 .2 .3 .3\n");
    picture("unlabelled.pgm");
    picture("unlabelled2.pgm");
    picture("blank.pgm");
    puts_to("blank.txt", "\n");
}

static void list_defects(void)
{
    struct qd_error err;

    make_files();
    for (size_t i = 0; i < QD_LEN(lists); i++) {
        puts_to("x.list", lists[i].list);
        struct qd_dataset *d = open_set("x.list", QD_BAD_FAIL, false, &err);
        IS_STR(first(&err), lists[i].said, "list %zu", i);
        if (lists[i].defect)
            OK(!d && !strcmp(err.msg, "x.list: 1 defect in the data set"), "it is a defect: %s",
                err.msg);
        qd_dataset_free(d);
    }
    OK(!open_set("no.list", QD_BAD_FAIL, false, &err), "a list that is not there");
    IS_STR(err.msg, "cannot open 'no.list': No such file or directory", "its message");
    put("x.list", "p.pgm\nq\0.pgm\n", 13);
    OK(!open_set("x.list", QD_BAD_FAIL, false, &err), "a zero byte in a list");
    IS_STR(err.msg, "x.list:2: a zero byte: this is not a text file", "its message");
    puts_to("dir/x.list", "p.pgm\nnone.pgm\nq.pgm\n");
    unlink("p.pgm");
    open_set("dir/x.list", QD_BAD_FAIL, false, &err);
    IS_STR(logged[0],
        "dir/x.list:1: cannot open 'p.pgm': No such file or directory (it lies beside the list, "
        "but paths start from the current folder)",
        "a path relative to the list");
    IS_STR(logged[1], "dir/x.list:2: cannot open 'none.pgm': No such file or directory",
        "no hint where none helps");
    picture("p.pgm");
}

/* ------------------------------------------------------------------ policies ------------------ */

static void policies(void)
{
    struct qd_error err;

    puts_to("x.list", "\xef\xbb\xbfp.pgm\r\nnone.pgm\r\n poly.pgm \nbinary.pgm\nq.pgm");
    OK(!open_set("x.list", QD_BAD_FAIL, false, &err) && nlogged == 3, "all defects are listed");
    IS_STR(err.msg, "x.list: 3 defects in the data set", "and counted");
    struct qd_dataset *d = open_set("x.list", QD_BAD_DROP, false, &err);
    OK(d && d->n == 3 && d->stats.left_out == 2, "images that cannot be used are left out");
    IS_STR(logged[0], "x.list:2: cannot open 'none.pgm': No such file or directory, image left out",
        "one");
    IS_STR(logged[1], "poly.txt:1: 7 columns, 5 expected, box left out", "a box");
    IS_STR(logged[2], "binary.txt:2: a zero byte: this is not a text file, image left out",
        "an image for its labels");
    OK(d && d->sample[1].nlabel == 0 && !strcmp(d->sample[2].path, "q.pgm"), "the rest is there");
    OK(d && d->stats.images == 3 && d->stats.labelled == 2 && d->stats.background == 1 &&
            d->stats.missing == 0 && d->stats.boxes == 2 && d->stats.per_class[0] == 1 &&
            d->stats.per_class[1] == 1,
        "the counts");
    qd_dataset_free(d);

    puts_to("a.txt", "0 .25 .5 .75 .5\n1 .5 .5 .5 .5\n");
    d = open_set("two.list", QD_BAD_CLIP, false, &err);
    IS_STR(logged[0],
        "a.txt:1: box reaches out of the image, from -0.125 to 0.625 in x, box clipped", "clip");
    OK(d && d->sample[0].nlabel == 2, "two boxes");
    if (d)
        NEAR((double)d->sample[0].label[0].box.w, .625, 1e-6, 0, "width");
    qd_dataset_free(d);

    puts_to("x.list", "none.pgm\nempty.jpg\n");
    OK(!open_set("x.list", QD_BAD_DROP, false, &err), "nothing left");
    IS_STR(err.msg, "x.list: no image is left, all 2 have defects", "says so");
}

static void nothing_labelled(void)
{
    struct qd_error err;
    char list[200] = "", name[40];

    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof(name), "u%d.pgm", i);
        picture(name);
        size_t len = strlen(list);
        snprintf(list + len, sizeof(list) - len, "%s\n", name);
    }
    puts_to("x.list", list);
    OK(!open_set("x.list", QD_BAD_DROP, false, &err) && nlogged == 5, "five paths are named");
    IS_STR(logged[4], "x.list:5: no label file 'u4.txt'", "the fifth");
    IS_STR(err.msg, "x.list: none of 7 images has a label file", "the error");
    puts_to("u3.txt", "0 .5 .5 .5 .5\n1 .5 .5 .5 .5\n");
    struct qd_dataset *d = open_set("x.list", QD_BAD_FAIL, false, &err);
    OK(d && nlogged == 2 && d->stats.missing == 6, "one is enough");
    IS_STR(logged[1], "x.list: 6 of 7 images have no label file and count as background", "warns");
    qd_dataset_free(d);
}

/* The log is limited, the count is not. */
static void many(void)
{
    struct qd_error err = {0};
    char text[200] = "";

    for (int i = 0; i < 20; i++)
        memcpy(text + strlen(text), "0 .5\n", 6);
    puts_to("p.txt", text);
    puts_to("x.list", "p.pgm\n");
    struct qd_dataset_opts o = {.list = "x.list", .classes = 1, .max_lines = 3};
    nlogged = 0;
    OK(!qd_dataset_open(&o, &err) && nlogged == 4, "three and a line for the rest");
    IS_STR(logged[3], "x.list: 17 more messages like these", "the rest");
    IS_STR(err.msg, "x.list: 20 defects in the data set", "all are counted");
    puts_to("p.txt", "0 .5 .5 .5 .5\n");
}

/* ------------------------------------------------------------------ classifiers --------------- */

static const struct {
    const char *list, *said;
} classes[] = {
    {"horse/1.pgm\n", "x.list:1: no class occurs in path 'horse/1.pgm'"},
    {"catdog/1.pgm\n", "x.list:1: path 'catdog/1.pgm' fits classes 0 'cat' and 1 'dog'"},
    {"cat/none.pgm\n", "x.list:1: cannot open 'cat/none.pgm': No such file or directory"},
    {"cat/1.pgm\n", "x.list: no image of 1 of 2 classes: 1 'dog'"},
};

static void classifiers(void)
{
    struct qd_error err;

    mkdir("horse", 0777);
    mkdir("catdog", 0777);
    mkdir("cat", 0777);
    picture("horse/1.pgm");
    picture("catdog/1.pgm");
    picture("cat/1.pgm");
    for (size_t i = 0; i < QD_LEN(classes); i++) {
        puts_to("x.list", classes[i].list);
        struct qd_dataset *d = open_set("x.list", QD_BAD_FAIL, true, &err);
        IS_STR(first(&err), classes[i].said, "classes %zu", i);
        OK(!d == (i < 3), "%s", err.msg);
        qd_dataset_free(d);
    }
    puts_to("x.list", "horse/1.pgm\ncat/1.pgm\n");
    struct qd_dataset *d = open_set("x.list", QD_BAD_DROP, true, &err);
    IS_STR(logged[0], "x.list:1: no class occurs in path 'horse/1.pgm', image left out", "drop");
    OK(d && d->n == 1 && d->sample[0].class_id == 0, "the other is there");
    qd_dataset_free(d);
    mkdir("tree", 0777);
    mkdir("tree/cat", 0777);
    OK(!open_set("tree", QD_BAD_FAIL, true, &err), "an empty tree");
    IS_STR(err.msg, "tree: no image in the folders of the classes", "says so");
    mkdir("tree/cow", 0777);
    OK(!open_set("tree", QD_BAD_FAIL, true, &err), "a folder that is no class");
    IS_STR(err.msg, "tree/cow: folder 'cow' is not named as any class", "says so");
}

/* ------------------------------------------------------------------ .data --------------------- */

static const struct {
    const char *data, *names;
    int model;
    bool classifier;
    const char *said;
} datas[] = {
    {"classes=2\nvalid=v.list\n", "", 0, false, "x.data: key 'train' is missing"},
    {"classes=2\ntrain=nope.list\nvalid=v.list\n", "", 0, false,
        "x.data:2: cannot find 'nope.list' of 'train'"},
    {"classes=3\ntrain=t.list\nvalid=v.list\n", "", 2, false,
        "x.data: classes=3, but the model has 2"},
    {"classes=2\ntrain=t.list\nvalid=v.list\nnames=x.names\n", "a\nb\nc\n", 0, false,
        "x.names: 3 names, but there are 2 classes"},
    {"classes=2\ntrain=t.list\nvalid=v.list\nnames=x.names\n", "a\n\nb\n", 0, false,
        "x.names:2: blank line between the class names"},
    {"train=t.list\nvalid=v.list\n", "", 0, false, "x.data: key 'classes' is missing"},
    {"classes=x\ntrain=t.list\nvalid=v.list\n", "", 0, false,
        "x.data:1: 'classes=x' is not an integer"},
    {"classes=2\ntrain=t.list\nvalid=v.list\n", "", 0, true,
        "t.list: no names of classes to look for in the paths"},
    {"train=t.list\nvalid=v.list\nlabels=x.names\n", "cat\ndog\ncat\n", 0, true,
        "classes 0 and 2 are both named 'cat'"},
};

static int sets(bool classifier, int model, struct qd_sets *s, struct qd_error *err)
{
    struct qd_preflight_opts o = {
        .data = "x.data", .classes = model, .classifier = classifier, .train = true, .valid = true};

    nlogged = 0;
    *err = (struct qd_error){0};
    return qd_sets_open(&o, s, err);
}

static void data_files(void)
{
    struct qd_sets s = {0};
    struct qd_error err;

    puts_to("t.list", "p.pgm\nq.pgm\n");
    puts_to("v.list", "q.pgm\ngood.pgm\n");
    for (size_t i = 0; i < QD_LEN(datas); i++) {
        puts_to("x.data", datas[i].data);
        puts_to("x.names", datas[i].names);
        OK(sets(datas[i].classifier, datas[i].model, &s, &err) < 0, ".data %zu fails", i);
        IS_STR(err.msg, datas[i].said, "message");
    }
    puts_to("x.data", "classes=2\ntrain=t.list\nvalid=v.list\nnames=x.names\n");
    puts_to("x.names", "a\nb\n\n");
    OK(sets(false, 2, &s, &err) == 0, "a good one: %s", err.msg);
    IS_STR(logged[0], "v.list: 1 of 2 images are also in 't.list'", "overlap is worth a warning");
    OK(s.train && s.valid && s.classes == 2 && s.names && s.valid->sample[1].nlabel == 2, "sets");
    nlogged = 0;
    qd_dataset_log(s.train);
    qd_sets_close(&s);
    puts_to("x.data", "classes=2\ntrain=t.list\n");
    OK(sets(false, 0, &s, &err) == 0 && s.valid == s.train, "without valid");
    IS_STR(logged[0], "x.data: no 'valid', 'train' is used in its place", "warns");
    qd_sets_close(&s);
    /* both sets are checked before anything fails */
    puts_to("t.list", "p.pgm\nnone1.pgm\n");
    puts_to("v.list", "none2.pgm\nq.pgm\n");
    puts_to("x.data", "classes=2\ntrain=t.list\nvalid=v.list\n");
    OK(sets(false, 0, &s, &err) < 0, "defects in both");
    int found = 0;
    for (int i = 0; i < nlogged && i < (int)QD_LEN(logged); i++)
        found += strstr(logged[i], "none1.pgm") || strstr(logged[i], "none2.pgm");
    OK(found == 2, "are listed");
    IS_STR(err.msg, "t.list: 1 defect in the data set", "the first is the error");
}

int main(void)
{
    char dir[300];

    snprintf(dir, sizeof(dir), "%s", tap_tmp(""));
    qd_log_set(sink, NULL);
    if (chdir(dir) != 0)
        return 99;
    label_defects();
    list_defects();
    policies();
    nothing_labelled();
    many();
    classifiers();
    data_files();
    return tap_done();
}
