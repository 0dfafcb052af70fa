/* SPDX-License-Identifier: MIT */
/* Numbers, buffers, arenas, random numbers, files. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/io.h"
#include "base/num.h"
#include "base/rng.h"

static void numbers(void)
{
    static const char *bad_int[] = {
        "", " ", "-", "+", "1.5", "1e3", "0x10", "12a", "1 2", "99999999999999999999", "--1"};
    static const char *bad_double[] = {
        "", ".", "-", "e5", "1e", "1e+", "nan", "inf", "0x1p3", "1,5", "1e999", "1.2.3", "- 1"};
    long long i = 7;
    double d = 7;
    char buf[64];

    for (size_t k = 0; k < QD_LEN(bad_int); k++)
        OK(!qd_num_int(bad_int[k], &i) && i == 7, "'%s' is no integer", bad_int[k]);
    for (size_t k = 0; k < QD_LEN(bad_double); k++)
        OK(!qd_num_double(bad_double[k], &d) && d == 7, "'%s' is no number", bad_double[k]);
    OK(qd_num_int(" -12\r\n", &i) && i == -12, "integer with blanks");
    OK(qd_num_int("9223372036854775807", &i) && i == INT64_MAX, "largest integer");
    OK(qd_num_double("1e-7", &d) && d == 1e-7, "exponent");
    OK(qd_num_double(".5", &d) && d == .5, "no leading digit");
    OK(qd_num_double("+2.", &d) && d == 2, "no trailing digit");
    IS_STR(qd_num_format(0.1f, buf), "0.1", "shortest text");
    IS_STR(qd_num_format(1e-7f, buf), "0.0000001", "no exponent");
    IS_STR(qd_num_format(500000, buf), "500000", "no exponent for large numbers");
    for (int k = 0; k < 200; k++) {
        float x = ldexpf(tap_randf(-1, 1), (int)(tap_rand() % 40) - 20);
        if (!(qd_num_double(qd_num_format(x, buf), &d) && (float)d == x)) {
            OK(false, "%s does not read back", buf);
            return;
        }
    }
    OK(true, "200 floats read back from their text");
    OK(qd_edit_distance("fliters", "filters", 3) == 2, "two swapped letters");
    OK(qd_edit_distance("abc", "xyzuvw", 2) == 3, "distance is limited");
}

static void memory(void)
{
    struct qd_buf b = {0};
    struct qd_arena a = {0};
    struct qd_error err = {0};

    for (int i = 0; i < 1000; i++)
        qd_buf_printf(&b, "%d,", i);
    OK(qd_buf_ok(&b, NULL) == 0 && b.len == 3890 && strlen(b.data) == 3890, "buffer grows");
    qd_buf_free(&b);
    char *p = qd_arena_strndup(&a, "hello", 3, &err);
    char *big = qd_arena_alloc(&a, 100000, 1, &err);
    char *q = qd_arena_strdup(&a, "x", &err);
    OK(p && big && q && strcmp(p, "hel") == 0 && (uintptr_t)q % 16 == 0, "arena");
    OK(!qd_arena_alloc(&a, SIZE_MAX / 2, 3, &err) && err.code == QD_ENOMEM, "size overflow");
    qd_arena_free(&a);
    qd_alloc_fail_at(1);
    err = (struct qd_error){0};
    OK(!qd_alloc(10, 10, &err) && err.code == QD_ENOMEM, "an allocation can be made to fail");
    IS_STR(err.msg, "out of memory: cannot allocate 100 bytes", "message");
    qd_alloc_fail_at(0);
}

static void errors(void)
{
    struct qd_error err = {0};

    OK(qd_error_at(&err, QD_EFORMAT, "a.cfg", 3, "no '%s'", "x\n") == -1, "returns -1");
    qd_error_set(&err, QD_EIO, "second");
    qd_error_prefix(&err, "model: ");
    IS_STR(err.msg, "model: a.cfg:3: no 'x?'", "first error wins, one line, prefixed");
}

static void random_numbers(void)
{
    struct qd_rng r = qd_rng_new(1, 0), same = qd_rng_new(1, 0), other = qd_rng_new(1, 1);
    double sum = 0, sq = 0;
    int n = 20000, counts[7] = {0};

    OK(qd_rng_u64(&r) == qd_rng_u64(&same), "same seed, same numbers");
    OK(qd_rng_u64(&r) != qd_rng_u64(&other), "another stream, other numbers");
    for (int i = 0; i < n; i++) {
        double x = (double)qd_rng_normal(&r);
        sum += x;
        sq += x * x;
        counts[qd_rng_below(&r, 7)]++;
    }
    NEAR(sum / n, 0, .03, 0, "mean of normal numbers");
    NEAR(sq / n, 1, .05, 0, "variance of normal numbers");
    float many[20001];
    qd_rng_normals(&r, many, QD_LEN(many));
    sum = sq = 0;
    for (size_t i = 0; i < QD_LEN(many); i++) {
        sum += (double)many[i];
        sq += (double)many[i] * (double)many[i];
    }
    NEAR(sum / n, 0, .03, 0, "mean of an odd number of normal numbers at once");
    NEAR(sq / n, 1, .05, 0, "their variance");
    for (int i = 0; i < 7; i++)
        NEAR(counts[i], n / 7., 0, .08, "uniform below 7: %d", i);
}

static void files(void)
{
    struct qd_error err = {0};
    struct qd_buf b = {0};
    char path[300];

    snprintf(path, sizeof(path), "%s", tap_tmp("file"));
    OK(qd_io_put(path, false, "abc", 3, &err) == 0, "write");
    OK(qd_io_put(path, false, "xyz", 3, &err) == -1, "refuse to replace");
    err = (struct qd_error){0};
    OK(qd_io_put(path, true, "xyz", 3, &err) == 0, "replace when asked");
    OK(qd_io_slurp(path, 100, &b, &err) == 0 && strcmp(b.data, "xyz") == 0, "read back");
    OK(qd_io_slurp(path, 2, &b, &err) == -1, "limit");
    err = (struct qd_error){0};
    OK(qd_io_slurp("/", 2, &b, &err) == -1, "a folder is no file");
    IS_STR(err.msg, "cannot read '/': Is a directory", "message");
    err = (struct qd_error){0};
    OK(qd_io_put("/dev/full", true, "abc", 3, &err) == -1, "full disk");
    IS_STR(err.msg, "cannot write '/dev/full': No space left on device", "message");
    struct qd_out o;
    OK(qd_io_create(&o, tap_tmp("gone"), false, NULL) == 0, "create");
    qd_io_discard(&o);
    OK(access(tap_tmp("gone"), F_OK) != 0, "a discarded file leaves nothing");
    qd_buf_free(&b);
}

int main(void)
{
    numbers();
    memory();
    errors();
    random_numbers();
    files();
    return tap_done();
}
