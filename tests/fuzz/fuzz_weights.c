/* SPDX-License-Identifier: MIT */
/* Weights files.  The first byte chooses the options, the second the array sizes, the rest is the
 * file, which lives in memory.  What loads must be finite and must come back when it is written. */
#define _GNU_SOURCE /* memfd_create */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "format/weights.h"

enum { MOST = 8 + 3 * 64 };

static void fail(void)
{
    __builtin_trap();
}

/* A complete load: the floats written again are those of the input. */
static void write_back(const struct qd_warray *a, size_t n, const float *data, size_t floats)
{
    char path[32];
    float back[MOST] = {0};
    struct qd_warray b = {0, "all", "weights", back, floats};
    struct qd_load_info info;
    int p[2]; /* a pipe: a file in memory cannot be renamed over */

    if (pipe(p) < 0)
        fail();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", p[1]);
    if (qd_weights_write(path, true, 7, a, n, NULL) < 0)
        fail();
    close(p[1]);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
    if (qd_weights_read(path, &b, 1, NULL, &info, NULL, NULL) < 0 || info.seen != 7 ||
        memcmp(back, data, floats * sizeof(float)) != 0)
        fail();
    close(p[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    float store[MOST];
    struct qd_warray a[5];
    struct qd_error err = {0};
    struct qd_load_info info;
    struct qd_wheader head;
    char path[32];

    if (size < 2)
        return 0;
    uint8_t how = data[0];
    size_t count = 1 + data[1] % 64;
    const struct qd_load_opts opts = {how & 3, (how & 4) != 0, (how & 8) != 0};
    a[0] = (struct qd_warray){0, "convolutional", "biases", store, 4};
    a[1] = (struct qd_warray){0, "convolutional", "rolling_variance", store + 4, 4};
    a[2] = (struct qd_warray){0, "convolutional", "weights", store + 8, count};
    a[3] = (struct qd_warray){1, "connected", "biases", store + 8 + count, count};
    a[4] = (struct qd_warray){3, "connected", "weights", store + 8 + 2 * count, count};
    for (size_t i = 0; i < MOST; i++)
        store[i] = 5;
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data + 2, size - 2) != (ssize_t)(size - 2))
        fail();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int ret = qd_weights_read(path, a, 5, &opts, &info, &head, &err);
    close(fd);
    for (size_t i = 0; i < MOST; i++)
        if (ret < 0 ? store[i] != 5 : !isfinite(store[i]))
            fail();
    if ((ret < 0) != (err.code != QD_OK) || strchr(err.msg, '\n'))
        fail();
    if (ret == 0 && (info.layers < 1 || info.layers > 3 || info.seen != head.seen))
        fail();
    if (ret == 0 && info.layers == 3)
        write_back(a, 5, store, 8 + 3 * count);
    return 0;
}
