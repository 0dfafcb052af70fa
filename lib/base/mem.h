/* SPDX-License-Identifier: MIT */
#ifndef QD_MEM_H
#define QD_MEM_H

#include "base/base.h"

/* Bytes of memory for this process: those of the machine, or what its control group or one above it
 * allows, if that is less (version 1 and 2); 0: not known. */
size_t qd_memory(void);
/* The same of a machine with 'machine' bytes (0: not known) whose files lie under 'root'. */
size_t qd_memory_at(const char *root, size_t machine);

#endif
