/* SPDX-License-Identifier: MIT */
/*
 * qd-toy: draw a synthetic data set, so that everything can be tried where no data is.
 */
#include <string.h>

#include "cmd.h"

static int seed = 1, count = 300, valid = -1, classes, level = QD_TOY_NORMAL;
static bool png;

static const struct cmd_opt opts[] = {
    {'o', "output", CMD_STR, &cmd.output, "DIR", "where the set goes", 0, 0, true},
    {'s', "seed", CMD_INT, &seed, "N", "the same seed gives the same pictures", 0, 2147483647,
        false},
    {'n', "count", CMD_INT, &count, "N", "pictures", 1, 1000000, false},
    {'e', "valid", CMD_INT, &valid, "N", "how many of them are for validation [a fifth]", 0,
        1000000, false},
    {'C', "classes", CMD_INT, &classes, "N", "classes [detect, segment: 6, classify: 10]", 1, 10,
        false},
    {'L', "level", CMD_CHOICE, &level, "easy|normal|hard", "how hard the pictures are", 0, 0,
        false},
    {'p', "png", CMD_FLAG, &png, NULL, "PNG pictures [JPEG]", 0, 0, false},
    {'i', "img-size", CMD_SIZE, &cmd.size, "N|WxH",
        "size of the pictures [detect, segment: 320, classify: 64]", 32, 2048, false},
    CMD_OPT_THREADS, CMD_OPT_FORCE, {0}};

static const struct cmd_info info = {
    "qd-toy", "detect|classify|segment", "draw a synthetic data set", opts, 1, 1};

static bool is_kind(const char *name)
{
    for (int i = 0; qd_toy_kind(i); i++)
        if (strcmp(qd_toy_kind(i), name) == 0)
            return true;
    return false;
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};

    cmd_parse(&info, argc, argv);
    if (!is_kind(argv[1]))
        return cmd_misuse("'%s' is not one of %s", argv[1], info.operands);
    if (valid < 0)
        valid = count / 5;
    if (valid > count)
        return cmd_misuse("-e/--valid %d of -n/--count %d pictures", valid, count);
    struct qd_toy_opts toy = {argv[1], (uint64_t)seed, count - valid, valid, cmd.size.w, cmd.size.h,
        classes, (enum qd_toy_level)level, png, cmd.force};
    if (qd_toy_write(cmd.output, &toy, &err) < 0)
        return cmd_fail(&err);
    return cmd_finish();
}
