/* SPDX-License-Identifier: MIT */
/*
 * qd-import: make a darknet data set of one in another form.
 */
#include <stdio.h>
#include <string.h>

#include "cmd.h"

static int bad = QD_BAD_CLIP, difficult = QD_DIFFICULT_DROP;
static float split = .1f;
static bool copy;
static const char *names_path, *images;

static const struct cmd_opt opts[] = {
    {'o', "output", CMD_STR, &cmd.output, "DIR", "where the set goes", 0, 0, true},
    {'N', "names", CMD_STR, &names_path, "FILE",
        "the classes, others are left out [the format's, or those found]", 0, 0, false},
    {'I', "images", CMD_STR, &images, "DIR", "the pictures [where the format has them]", 0, 0,
        false},
    {'s', "split", CMD_FLOAT, &split, "X", "share for validation where the source does not say", 0,
        1, false},
    {'x', "difficult", CMD_CHOICE, &difficult, "drop|keep|apart",
        "objects marked as difficult, or as a crowd", 0, 0, false},
    {'B', "bad-labels", CMD_CHOICE, &bad, "fail|drop|clip", "what to do about defects", 0, 0,
        false},
    {'C', "copy", CMD_FLAG, &copy, NULL, "copy the pictures [symbolic links]", 0, 0, false},
    CMD_OPT_FORCE, {0}};

static const struct cmd_info info = {
    "qd-import", "FORMAT SRC", "make a darknet data set of another", opts, 2, 2};

static bool is_format(const char *name)
{
    for (int i = 0; qd_import_format(i); i++)
        if (strcmp(qd_import_format(i), name) == 0)
            return true;
    return false;
}

static int unknown_format(const char *name)
{
    char all[200] = "";
    size_t n = 0;

    for (int i = 0; qd_import_format(i) && n < sizeof(all); i++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", qd_import_format(i));
    return cmd_misuse("'%s' is not one of %s", name, all);
}

static void print_counts(const struct qd_import *im)
{
    struct qd_import_counts n;
    long sum[2] = {0, 0}, one[2];

    qd_import_count(im, &n);
    for (int i = 0; i < qd_import_classes(im); i++) {
        const char *name = qd_import_class(im, i, one);
        printf("class\t%d\t%s\t%ld\t%ld\n", i, name, one[0], one[1]);
        sum[0] += one[0];
        sum[1] += one[1];
    }
    printf("objects\t%ld\t%ld\npictures\t%ld\t%ld\nbackground\t%ld\t%ld\n", sum[0], sum[1],
        n.pictures[0], n.pictures[1], n.background[0], n.background[1]);
    const struct {
        const char *name;
        long n;
    } rest[] = {{"difficult", n.difficult}, {"ignored", n.ignored}, {"unknown", n.unknown},
        {"bad", n.bad}, {"left_out", n.left_out}};
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
        if (rest[i].n)
            printf("%s\t%ld\n", rest[i].name, rest[i].n);
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};
    struct qd_names *names = NULL;
    int ret = -1;

    cmd_parse(&info, argc, argv);
    if (!is_format(argv[1]))
        return unknown_format(argv[1]);
    if (names_path && !(names = qd_names_load(names_path, &err)))
        return cmd_fail(&err);
    struct qd_import_opts o = {argv[1], argv[2], images, names, (enum qd_bad_labels)bad,
        (enum qd_difficult)difficult, split, copy, cmd.force};
    struct qd_import *im = qd_import_read(&o, &err);
    if (im)
        ret = qd_import_write(im, cmd.output, &err);
    if (ret == 0)
        print_counts(im);
    qd_import_free(im);
    qd_names_free(names);
    return ret < 0 ? cmd_fail(&err) : cmd_finish();
}
