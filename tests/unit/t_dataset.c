/* SPDX-License-Identifier: MIT */
/* Samples: lists and folders, classes from paths, the cache of decoded images. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "base/base.h"
#include "data/dataset.h"

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

/* A gray picture of w x h pixels of this value. */
static void picture(const char *name, int w, int h, int value)
{
    char data[400];
    int len = snprintf(data, sizeof(data), "P5 %d %d 255\n", w, h);

    memset(data + len, value, (size_t)(w * h));
    put(name, data, (size_t)(len + w * h));
}

static struct qd_dataset *open_set(const char *list, const char *names, bool classifier)
{
    struct qd_error err = {0};
    struct qd_names *n = NULL;

    if (names) {
        puts_to("set.names", names);
        n = qd_names_load("set.names", &err);
    }
    struct qd_dataset_opts o = {
        .list = list, .classes = names ? 0 : 3, .names = n, .classifier = classifier};
    if (classifier && !names)
        o.classes = 0;
    struct qd_dataset *d = qd_dataset_open(&o, &err);
    qd_names_free(n);
    OK(d != NULL, "%s opens: %s", list, err.msg);
    return d;
}

static void detectors(void)
{
    picture("one.pgm", 20, 10, 100);
    picture("with blank.pgm", 8, 16, 200);
    puts_to("one.txt", "2 .5 .5 .25 .5\n0 .25 .25 .5 .5\n");
    puts_to("set.list", "\xef\xbb\xbfone.pgm\r\n\r\n  with blank.pgm\t\n");
    struct qd_dataset *d = open_set("set.list", NULL, false);
    if (!d)
        return;
    const struct qd_sample *a = &d->sample[0], *b = &d->sample[1];
    OK(d->n == 2 && d->classes == 3 && !d->classifier, "two samples");
    OK(!strcmp(a->path, "one.pgm") && a->line == 1 && a->w == 20 && a->h == 10, "the first");
    OK(!strcmp(b->path, "with blank.pgm") && b->line == 3 && b->w == 8 && b->h == 16, "the second");
    OK(a->nlabel == 2 && a->label[0].class_id == 2 && a->label[1].line == 2, "its labels");
    NEAR((double)a->label[0].box.w, .25, 1e-7, 0, "a box");
    OK(b->nlabel == 0 && b->class_id == -1, "background");
    qd_dataset_free(d);
}

/* ------------------------------------------------------------------ classes ------------------- */

static const struct {
    const char *path;
    int class_id; /* of cat, dog, red_fox, fox, n0144, truck, oxcart; -1 none, -2 several */
} paths[] = {
    {"data/cat/1.jpg", 0},
    {"/data/caterpillar/dog/cat9.jpg", 1}, /* a whole component before a substring */
    {"images/17_dog.png", 1},              /* CIFAR as darknet has it */
    {"cat/17_dog.png", 1},                 /* the base name before folders */
    {"a/4_red_fox.jpg", 2},                /* the longest label */
    {"a/4_fox.jpg", 3},
    {"red_fox/1.jpg", 2},
    {"dog/fox/1.jpg", 3}, /* the last folder */
    {"truck/x/y/z.jpg", 5},
    {"cat.jpg", 0},
    {"x\\truck\\1.jpg", 5},
    {"n0144_77.jpg", 4}, /* inside of the name */
    {"cats/1.jpg", 0},
    {"hot_dog_stand/oxcart1.jpg", -2}, /* dog and oxcart */
    {"horse/1.jpg", -1},
    {"CAT/1.jpg", -1},
    {"dog.d/1.jpg", 1},
};

static void class_of_path(void)
{
    mkdir("cat", 0777);
    picture("cat/1.pgm", 4, 4, 0);
    puts_to("set.list", "cat/1.pgm\n");
    struct qd_dataset *d =
        open_set("set.list", "cat\ndog\nred_fox\nfox\nn0144\ntruck\noxcart\n", true);
    for (size_t i = 0; d && i < QD_LEN(paths); i++) {
        int a = -1, b = -1, got = qd_dataset_class(d, paths[i].path, &a, &b);
        OK(got == paths[i].class_id, "'%s' is of class %d: %d", paths[i].path, paths[i].class_id,
            got);
        if (got == -2)
            OK(a == 1 && b == 6, "which two: %d %d", a, b);
    }
    qd_dataset_free(d);
}

static void folders(void)
{
    static const char *const dirs[] = {"tree", "tree/b", "tree/a", "tree/c", "tree/.git"};

    for (size_t i = 0; i < QD_LEN(dirs); i++)
        mkdir(dirs[i], 0777);
    picture("tree/b/2.pgm", 4, 4, 0);
    picture("tree/b/1.PGM", 4, 4, 0);
    picture("tree/a/x.pgm", 4, 4, 0);
    puts_to("tree/a/notes.txt", "no picture");
    puts_to("tree/README", "no folder");
    struct qd_dataset *d = open_set("tree/", NULL, true);
    if (!d)
        return;
    OK(d->classes == 3 && d->n == 3, "three classes, three pictures");
    OK(!strcmp(d->class_of[0], "a") && !strcmp(d->class_of[2], "c"), "named as the folders");
    OK(!strcmp(d->sample[0].path, "tree/a/x.pgm") && d->sample[0].class_id == 0, "sorted: a");
    OK(!strcmp(d->sample[1].path, "tree/b/1.PGM") && d->sample[1].class_id == 1, "sorted: b");
    OK(d->stats.per_class[1] == 2 && d->stats.per_class[2] == 0, "counts");
    qd_dataset_free(d);
    d = open_set("tree", "c\nb\na\n", true);
    OK(d && d->sample[0].class_id == 2, "names given say the order of classes");
    qd_dataset_free(d);
}

/* ------------------------------------------------------------------ pixels -------------------- */

static void pixels(void)
{
    const struct qd_image_opts gray = {.channels = 1}, rgb = {.channels = 3};
    struct qd_error err = {0};

    puts_to("set.list", "one.pgm\nwith blank.pgm\n");
    struct qd_dataset *d = open_set("set.list", NULL, false);
    if (!d)
        return;
    /* room for the first (200 bytes), not for both */
    OK(qd_dataset_decode(d, &gray, 250, &err) == 0, "with a cache");
    struct qd_image *a = qd_dataset_get(d, 0, &err), *b = qd_dataset_get(d, 0, &err);
    OK(a && a == b && a->w == 20 && a->c == 1 && a->data[199] == 100, "kept in memory");
    qd_dataset_put(d, 0, a);
    qd_dataset_put(d, 0, b);
    unlink("one.pgm");
    OK((a = qd_dataset_get(d, 0, &err)) == b, "and not read again");
    qd_dataset_put(d, 0, a);
    a = qd_dataset_get(d, 1, &err);
    b = qd_dataset_get(d, 1, &err);
    OK(a && b && a != b && a->h == 16, "no room for the second");
    qd_dataset_put(d, 1, a);
    qd_dataset_put(d, 1, b);
    OK(qd_dataset_decode(d, &rgb, 0, &err) == 0, "no cache");
    OK(!qd_dataset_get(d, 0, &err), "now the file is missed");
    IS_STR(err.msg, "cannot open 'one.pgm': No such file or directory", "it is named");
    a = qd_dataset_get(d, 1, &err);
    OK(a && a->c == 3, "three channels");
    qd_dataset_put(d, 1, a);
    qd_dataset_free(d);
    qd_dataset_free(NULL);
}

static void no_memory(void)
{
    struct qd_error err;
    int failed = 0, n = 1;

    picture("one.pgm", 20, 10, 100);
    puts_to("set.list", "one.pgm\nwith blank.pgm\n");
    for (; n < 500; n++) {
        struct qd_dataset_opts o = {.list = "set.list", .classes = 3};
        err = (struct qd_error){0};
        qd_alloc_fail_at(n);
        struct qd_dataset *d = qd_dataset_open(&o, &err);
        qd_alloc_fail_at(0);
        qd_dataset_free(d);
        if (d)
            break;
        failed += err.code == QD_ENOMEM;
    }
    OK(n > 8 && n < 500 && failed == n - 1, "%d allocations, each may fail: %d", n - 1, failed);
}

static void real(void)
{
    const char *train = tap_shared("cifar10/test");
    struct qd_error err = {0};

    if (!train)
        return;
    struct qd_dataset_opts o = {.list = train, .classifier = true};
    struct qd_dataset *d = qd_dataset_open(&o, &err);
    OK(d && d->n == 2000 && d->classes == 10 && d->stats.per_class[9] == 200,
        "cifar10: 10 classes of 200: %s", err.msg);
    qd_dataset_free(d);
}

int main(void)
{
    char dir[300];

    real(); /* the way to the data may be relative */
    snprintf(dir, sizeof(dir), "%s", tap_tmp(""));
    if (chdir(dir) != 0)
        return 99;
    detectors();
    class_of_path();
    folders();
    pixels();
    no_memory();
    return tap_done();
}
