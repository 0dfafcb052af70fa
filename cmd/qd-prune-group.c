/* SPDX-License-Identifier: MIT */
/*
 * qd-prune-group: as qd-prune-slim, with a percent for each range of layers.
 */
#include "prune.h"

static const struct cmd_opt opts[] = {PRUNE_FILES, PRUNE_GROUP, PRUNE_LAYER_KEEP, PRUNE_MERGE,
    PRUNE_MIN_CHANNELS, PRUNE_BASE("1"), PRUNE_STRICT, PRUNE_ALL, PRUNE_OTHERS, {0}};

static const struct cmd_info info = {"qd-prune-group", "",
    "take weak channels, ranges of layers by percents of their own", opts, 0, 0};

int main(int argc, char *argv[])
{
    return cmd_prune(&info, "group", argc, argv);
}
