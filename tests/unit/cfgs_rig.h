/* SPDX-License-Identifier: MIT */
/* The shipped architectures, for tests that hold for each of them. */
#ifndef CFGS_RIG_H
#define CFGS_RIG_H

#include <glob.h>

#include "tap.h"

/* Call 'each' with the path of every cfg in cfg/, in the order of their names. */
static void rig_each_cfg(void (*each)(const char *path))
{
    glob_t found = {0};

    if (OK(glob("cfg/*.cfg", 0, NULL, &found) == 0, "cfg/ has architectures"))
        for (size_t i = 0; i < found.gl_pathc; i++)
            each(found.gl_pathv[i]);
    globfree(&found);
}

#endif
