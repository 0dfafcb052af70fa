/* SPDX-License-Identifier: MIT */
/*
 * qd-prune-normal: weak channels go, but for those that sums add to others.
 */
#include "prune.h"

static const struct cmd_opt opts[] = {PRUNE_FILES, PRUNE_PERCENT("0.5"), PRUNE_TARGET,
    PRUNE_MIN_CHANNELS, PRUNE_BASE("1"), PRUNE_STRICT, PRUNE_ALL, PRUNE_OTHERS, {0}};

static const struct cmd_info info = {
    "qd-prune-normal", "", "take weak channels of layers that stand alone", opts, 0, 0};

int main(int argc, char *argv[])
{
    return cmd_prune(&info, "normal", argc, argv);
}
