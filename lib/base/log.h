/* SPDX-License-Identifier: MIT */
#ifndef QD_LOG_H
#define QD_LOG_H

#include "base/base.h"

/* Send one line (no newline) to the sink that qd_log_set() named; nothing without one. */
void qd_log(enum qd_log_level level, const char *fmt, ...) QD_PRINTF(2, 3);
#define qd_warn(...) qd_log(QD_LOG_WARNING, __VA_ARGS__)

#endif
