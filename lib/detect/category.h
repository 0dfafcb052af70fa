/* SPDX-License-Identifier: MIT */
#ifndef QD_CATEGORY_H
#define QD_CATEGORY_H

#include "base/base.h"

/* The category id of a class in COCO files, and back; -1 when there is none.  'ids' as in qd.h. */
long qd_category_of(int class_id, int classes, enum qd_category_ids ids);
int qd_category_class(long long id, int classes, enum qd_category_ids ids);

#endif
