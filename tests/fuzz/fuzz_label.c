/* SPDX-License-Identifier: MIT */
/* The small text files of a data set.  The first byte chooses which kind, and how bad labels are
 * met; the rest is the file, which lives in memory. */
#define _GNU_SOURCE /* memfd_create */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "base/base.h"

enum { CLASSES = 80 };

static void fail(void)
{
    __builtin_trap();
}

static void labels(const char *path, enum qd_bad_labels bad)
{
    struct qd_labels l = {0};
    struct qd_error err = {0};

    int ret = qd_labels_load(path, CLASSES, bad, &l, &err);
    if ((ret < 0) != (err.code != QD_OK) || (ret < 0 && l.n))
        fail();
    for (size_t i = 0; i < l.n; i++) {
        const struct qd_box *b = &l.label[i].box;
        if (l.label[i].class_id < 0 || l.label[i].class_id >= CLASSES || l.label[i].line < 1)
            fail();
        if (!(b->w > 0 && b->h > 0 && b->x - b->w / 2 > -.0011f && b->x + b->w / 2 < 1.0011f &&
                b->y - b->h / 2 > -.0011f && b->y + b->h / 2 < 1.0011f))
            fail();
    }
    qd_labels_free(&l);
}

static void names(const char *path)
{
    struct qd_names *n = qd_names_load(path, NULL);

    for (int i = 0; n && i < qd_names_count(n); i++)
        if (!*qd_names_get(n, i) || strpbrk(qd_names_get(n, i), "\t\r\n"))
            fail();
    qd_names_free(n);
}

static void list(const char *path)
{
    struct qd_list *l = qd_list_load(path, NULL);
    char label[300];

    for (size_t i = 0; l && i < qd_list_count(l); i++) {
        const char *image = qd_list_get(l, i);
        if (!*image || strchr(image, '\n') || strchr(" \t", image[strlen(image) - 1]))
            fail();
        if (i < 20)
            (void)!qd_label_path(image, label, sizeof(label), NULL);
    }
    qd_list_free(l);
}

static void data_file(const char *path)
{
    static const char *const keys[] = {"train", "valid", "names", "backup"};
    struct qd_data *d = qd_data_load(path, NULL);

    for (size_t i = 0; d && i < QD_LEN(keys); i++) {
        struct qd_error err = {0};
        const char *found = qd_data_path(d, keys[i], &err);
        if (!found == (err.code == QD_OK) || (found && !qd_data_get(d, keys[i])))
            fail();
    }
    if (d && (qd_data_classes(d) < 0 || qd_data_classes(d) > 1000000))
        fail();
    qd_data_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];

    if (size < 1)
        return 0;
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1))
        fail();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    switch (data[0] % 6) {
    case 0:
        labels(path, QD_BAD_FAIL);
        break;
    case 1:
        labels(path, QD_BAD_DROP);
        break;
    case 2:
        labels(path, QD_BAD_CLIP);
        break;
    case 3:
        names(path);
        break;
    case 4:
        list(path);
        break;
    default:
        data_file(path);
    }
    close(fd);
    return 0;
}
