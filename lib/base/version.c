/* SPDX-License-Identifier: MIT */
/*
 * The version, as the Makefile says it.
 */
#include "base/base.h"

const char *qd_version(void)
{
    return QD_VERSION;
}
