/* SPDX-License-Identifier: MIT */
/*
 * qd-prune-shortcut: weak channels go, of layers whose channels are added those of the
 * first.
 */
#include "prune.h"

static const struct cmd_opt opts[] = {PRUNE_FILES, PRUNE_PERCENT("0.6"), PRUNE_TARGET,
    PRUNE_MIN_CHANNELS, PRUNE_BASE("1"), PRUNE_STRICT, PRUNE_ALL, PRUNE_OTHERS, {0}};

static const struct cmd_info info = {
    "qd-prune-shortcut", "", "take weak channels, in sums those of the first layer", opts, 0, 0};

int main(int argc, char *argv[])
{
    return cmd_prune(&info, "shortcut", argc, argv);
}
