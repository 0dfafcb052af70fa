/* SPDX-License-Identifier: MIT */
/*
 * Numbers in COCO files.  COCO named 91 categories and published 80 of them; result files keep the
 * old numbers, with gaps.  Images are named by the number in their file's name.
 */
#include "detect/category.h"

#include <limits.h>

static const unsigned char gaps[] = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83};
enum { COCO_CLASSES = 80, COCO_LAST = 90 };

static enum qd_category_ids resolve(int classes, enum qd_category_ids ids)
{
    if (ids != QD_IDS_AUTO)
        return ids;
    return classes == COCO_CLASSES ? QD_IDS_COCO91 : QD_IDS_ONE;
}

long qd_category_of(int class_id, int classes, enum qd_category_ids ids)
{
    long id = (long)class_id + 1;

    if (class_id < 0 || class_id >= classes)
        return -1;
    switch (resolve(classes, ids)) {
    case QD_IDS_ZERO:
        return class_id;
    case QD_IDS_COCO91:
        for (size_t i = 0; i < sizeof(gaps) && gaps[i] <= id; i++)
            id++;
        return id <= COCO_LAST ? id : -1;
    default:
        return id;
    }
}

int qd_category_class(long long id, int classes, enum qd_category_ids ids)
{
    long long class_id = id - 1;

    switch (resolve(classes, ids)) {
    case QD_IDS_ZERO:
        class_id = id;
        break;
    case QD_IDS_COCO91:
        if (id > COCO_LAST)
            return -1;
        for (size_t i = 0; i < sizeof(gaps); i++) {
            if (gaps[i] == id)
                return -1;
            class_id -= gaps[i] < id;
        }
        break;
    default:
        break;
    }
    return class_id >= 0 && class_id < classes ? (int)class_id : -1;
}

long qd_image_id(const char *path)
{
    const char *base = strrchr(path, '/'), *end, *p;
    long id = 0;

    base = base ? base + 1 : path;
    end = strrchr(base, '.');
    if (!end)
        end = base + strlen(base);
    p = end;
    while (p > base && p[-1] >= '0' && p[-1] <= '9')
        p--;
    if (p == end)
        return -1;
    for (; p < end; p++) {
        if (id > (LONG_MAX - (*p - '0')) / 10)
            return -1;
        id = id * 10 + (*p - '0');
    }
    return id;
}
