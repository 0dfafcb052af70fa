/* SPDX-License-Identifier: MIT */
/*
 * qd-prune-layer-channel: qd-prune-slim, then qd-prune-layer on what is left.
 */
#include "prune.h"

static const struct cmd_opt opts[] = {PRUNE_FILES, PRUNE_PERCENT("0.6"), PRUNE_SHORTCUTS,
    PRUNE_SCORE, PRUNE_TARGET, PRUNE_LAYER_KEEP, PRUNE_MERGE, PRUNE_MIN_CHANNELS, PRUNE_BASE("1"),
    PRUNE_STRICT, PRUNE_ALL, PRUNE_OTHERS, {0}};

static const struct cmd_info info = {
    "qd-prune-layer-channel", "", "take weak channels, then whole residual blocks", opts, 0, 0};

int main(int argc, char *argv[])
{
    return cmd_prune(&info, "layer-channel", argc, argv);
}
