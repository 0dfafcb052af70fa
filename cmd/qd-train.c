/* SPDX-License-Identifier: MIT */
/*
 * qd-train: train a detector or a classifier.
 */
#include "train.h"

static const struct cmd_opt opts[] = {CMD_TRAIN_OPTS('s'), {0}};

static const struct cmd_info info = {
    "qd-train", "", "train a network on labelled pictures", opts, 0, 0};

int main(int argc, char *argv[])
{
    static const struct cmd_trainer plain = {0};

    cmd_parse(&info, argc, argv);
    return cmd_train(&plain);
}
