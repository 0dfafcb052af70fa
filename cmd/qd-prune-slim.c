/* SPDX-License-Identifier: MIT */
/*
 * qd-prune-slim: weak channels go, but a share of every layer stays; layers whose channels
 * are added agree.
 */
#include "prune.h"

static const struct cmd_opt opts[] = {PRUNE_FILES, PRUNE_PERCENT("0.8"), PRUNE_TARGET,
    PRUNE_LAYER_KEEP, PRUNE_MERGE, PRUNE_MIN_CHANNELS, PRUNE_BASE("1"), PRUNE_STRICT, PRUNE_ALL,
    PRUNE_OTHERS, {0}};

static const struct cmd_info info = {
    "qd-prune-slim", "", "take weak channels, a share of every layer stays", opts, 0, 0};

int main(int argc, char *argv[])
{
    return cmd_prune(&info, "slim", argc, argv);
}
