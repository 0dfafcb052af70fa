/* SPDX-License-Identifier: MIT */
/*
 * qd-prune-regular: as qd-prune-normal, to widths that are multiples of a base.
 */
#include "prune.h"

static const struct cmd_opt opts[] = {PRUNE_FILES, PRUNE_PERCENT("0.5"), PRUNE_TARGET,
    PRUNE_MIN_CHANNELS, PRUNE_BASE("8"), PRUNE_STRICT, PRUNE_ALL, PRUNE_OTHERS, {0}};

static const struct cmd_info info = {
    "qd-prune-regular", "", "take weak channels, to widths that are multiples", opts, 0, 0};

int main(int argc, char *argv[])
{
    return cmd_prune(&info, "regular", argc, argv);
}
