/* SPDX-License-Identifier: MIT */
/*
 * qd-prune-layer: whole residual blocks go, the weakest ones.
 */
#include "prune.h"

static const struct cmd_opt opts[] = {
    PRUNE_FILES, PRUNE_SHORTCUTS, PRUNE_SCORE, PRUNE_TARGET, PRUNE_STRICT, PRUNE_OTHERS, {0}};

static const struct cmd_info info = {
    "qd-prune-layer", "", "take whole residual blocks", opts, 0, 0};

int main(int argc, char *argv[])
{
    return cmd_prune(&info, "layer", argc, argv);
}
