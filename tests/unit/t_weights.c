/* SPDX-License-Identifier: MIT */
/* Weights files: both headers, every way in which a file can be too short, too long or unsound. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "base/io.h"
#include "format/weights.h"

static char logged[600];
static int nlogged;

static void sink(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    snprintf(logged, sizeof(logged), "%d %s", (int)level, line);
    nlogged++;
}

/* Layers 0 (conv with batch norm), 2 (connected) and 5 (conv without). */
enum { FLOATS = 4 * 4 + 18 + 3 + 12 + 2 + 6, ARRAYS = 9 };
static float store[FLOATS];
static struct qd_warray arrays[ARRAYS] = {
    {0, "convolutional", "biases", store, 4},
    {0, "convolutional", "scales", store + 4, 4},
    {0, "convolutional", "rolling_mean", store + 8, 4},
    {0, "convolutional", "rolling_variance", store + 12, 4},
    {0, "convolutional", "weights", store + 16, 18},
    {2, "connected", "biases", store + 34, 3},
    {2, "connected", "weights", store + 37, 12},
    {5, "convolutional", "biases", store + 49, 2},
    {5, "convolutional", "weights", store + 51, 6},
};

static unsigned char image[2000]; /* a file as it should be */
static char path[300];
static struct qd_error err;
static struct qd_load_info info;
static struct qd_wheader head;

/* A header of 'width' bytes and FLOATS floats 1, 2, 3 ...; returns the size. */
static size_t compose(size_t width)
{
    qd_put_le32(image, 0);
    qd_put_le32(image + 4, width == 20 ? 2 : 1);
    qd_put_le32(image + 8, 5);
    if (width == 20)
        qd_put_le64(image + 12, 0x123456789abcu);
    else
        qd_put_le32(image + 12, 77);
    for (int i = 0; i < FLOATS; i++) {
        float x = (float)(i + 1);
        memcpy(image + width + 4 * i, &x, 4);
        qd_le_floats((float *)(void *)(image + width + 4 * i), 1);
    }
    return width + 4 * FLOATS;
}

static void put(size_t size)
{
    FILE *f = fopen(path, "wb");

    if (!f || fwrite(image, 1, size, f) != size || fclose(f) != 0)
        OK(false, "writing the test file: %s", strerror(errno));
}

/* Write 'size' bytes and read them back into cleared arrays. */
static int load(size_t size, const struct qd_load_opts *opts)
{
    put(size);
    err = (struct qd_error){0};
    memset(store, 0, sizeof(store));
    nlogged = 0;
    return qd_weights_read(path, arrays, ARRAYS, opts, &info, &head, &err);
}

/* How many of the first floats are filled, -1 when others are, too. */
static int filled(void)
{
    int n = 0;

    while (n < FLOATS && store[n] == (float)(n + 1))
        n++;
    for (int i = n; i < FLOATS; i++)
        if (store[i] != 0)
            return -1;
    return n;
}

/* The load must fail with "<path>: <text>" and leave the arrays alone. */
static void refused(int ret, const char *text, const char *what)
{
    char want[1100];

    snprintf(want, sizeof(want), "%s: %s", path, text);
    OK(ret == -1 && err.code == QD_EFORMAT && filled() == 0, "%s: refused", what);
    IS_STR(err.msg, want, "%s", what);
}

static void headers(void)
{
    OK(load(compose(20), NULL) == 0 && filled() == FLOATS, "20 bytes: %s", err.msg);
    OK(info.layers == 3 && info.major == 0 && info.minor == 2 && info.revision == 5, "version");
    OK(info.seen == 0x123456789abcu && head.seen == info.seen && !head.transposed, "64-bit seen");
    OK(load(compose(16), NULL) == 0 && filled() == FLOATS, "16 bytes");
    OK(info.minor == 1 && info.seen == 77, "32-bit seen");
    size_t size = compose(20);
    qd_put_le32(image, 1);
    qd_put_le32(image + 4, 0);
    OK(load(size, NULL) == 0 && filled() == FLOATS && head.major == 1, "version 1.0");
    for (size_t width = 16; width <= 20; width += 4) {
        size = compose(width);
        qd_put_le32(image, 0x3a83126f);
        qd_put_le32(image + 4, 0x3f666666);
        OK(load(size, NULL) == 0 && filled() == FLOATS && head.transposed,
            "no version at all, %zu bytes", width);
    }
    OK(qd_weights_read(path, arrays, ARRAYS, NULL, NULL, NULL, NULL) == 0, "nobody asks");
    compose(20);
    for (size_t n = 0; n < 20; n++) {
        char text[100];
        snprintf(text, sizeof(text), "offset %zu: file ends inside the header of %d bytes", n,
            n < 5 ? 16 : 20);
        refused(load(n, NULL), text, "short header");
    }
    compose(16);
    refused(load(15, NULL), "offset 15: file ends inside the header of 16 bytes", "short header");
}

static void other_width(void)
{
    size_t size = compose(20);

    qd_put_le32(image + 4, 1);
    refused(load(size, NULL),
        "offset 244: file goes on after the last layer 5 (convolutional, weights): 57 floats "
        "expected, 58 present; it would fit with a header of 20 bytes",
        "a long header with an old version");
    size = compose(16);
    qd_put_le32(image + 4, 2);
    refused(load(size, NULL),
        "offset 244: file ends inside layer 5 (convolutional, weights): 6 floats expected, 5 "
        "present; it would fit with a header of 16 bytes",
        "a short header with a new version");
}

/* The message for a file with 'present' floats (and 'rest' bytes), worked out from the table. */
static void expect_short(char *text, size_t size, size_t n, int present, int rest)
{
    int i = 0, layers = 0;
    char more[40] = "";

    while (present >= (int)arrays[i].count)
        present -= (int)arrays[i++].count;
    for (int k = 0; k < i; k++)
        layers += k == 0 || arrays[k].layer != arrays[k - 1].layer;
    const struct qd_warray *a = &arrays[i];
    if (rest)
        snprintf(more, sizeof(more), " and %d byte%s", rest, rest == 1 ? "" : "s");
    if (!present && !rest && i == 0)
        snprintf(text, size, "offset %zu: file ends after the header", n);
    else if (!present && !rest && a->layer != a[-1].layer)
        snprintf(text, size,
            "offset %zu: file ends after layer %d (%s): it holds %d of 3 layers that have weights",
            n, a[-1].layer, a[-1].type, layers);
    else
        snprintf(text, size,
            "offset %zu: file ends inside layer %d (%s, %s): %zu floats expected, %d%s present%s",
            n, a->layer, a->type, a->name, a->count, present, more,
            n == 20 + 4 * FLOATS - 4 ? "; it would fit with a header of 16 bytes" : "");
}

static void truncated(void)
{
    static const struct qd_load_opts partial = {.partial = true};
    char text[400];

    compose(20);
    for (size_t n = 20; n < 20 + 4 * FLOATS; n++) {
        int present = (int)(n - 20) / 4, rest = (int)(n - 20) % 4;
        expect_short(text, sizeof(text), n, present, rest);
        refused(load(n, NULL), text, "truncated");
        if (!rest && (present == 34 || present == 49)) {
            OK(load(n, &partial) == 0 && filled() == present, "%d floats of a partial file",
                present);
            OK(info.layers == (present == 34 ? 1 : 2), "layers that were read");
        } else {
            refused(load(n, &partial), text, "partial, but not at the end of a layer");
        }
    }
    IS_STR(strchr(err.msg, ':') ? strrchr(err.msg, '/') : "",
        "/w.weights: offset 247: file ends "
        "inside layer 5 (convolutional, weights): 6 floats expected, 5 and 3 bytes present",
        "the last of them, in full");
}

static void surplus(void)
{
    static const struct qd_load_opts extra = {.extra = true}, two = {.upto = 3}, all = {.upto = 99};
    size_t size = compose(20);
    static const char *const tail[] = {"57 present", "58 present", "65 present"};
    static const size_t more[] = {1, 4, 33};
    char text[400];

    for (size_t i = 0; i < QD_LEN(more); i++) {
        snprintf(text, sizeof(text),
            "offset 248: file goes on after the last layer 5 (convolutional, weights): 57 floats "
            "expected, %s",
            tail[i]);
        refused(load(size + more[i], NULL), text, "too long");
        OK(load(size + more[i], &extra) == 0 && filled() == FLOATS, "but allowed");
    }
    OK(load(size, &two) == 0 && filled() == 49 && info.layers == 2, "the first layers only");
    OK(load(20 + 4 * 49, &two) == 0 && filled() == 49, "from a file that holds just them");
    refused(load(20 + 4 * 49 - 4, &two),
        "offset 212: file ends inside layer 2 (connected, weights): 12 floats expected, 11 "
        "present; "
        "it would fit with a header of 16 bytes",
        "too short even for them");
    OK(load(size, &all) == 0 && filled() == FLOATS && info.layers == 3,
        "more layers than there are");
    put(24);
    err = (struct qd_error){0};
    OK(qd_weights_read(path, arrays, 0, NULL, &info, NULL, &err) == -1, "no arrays");
    snprintf(text, sizeof(text),
        "%s: offset 20: 4 bytes after the header, but no layer has weights", path);
    IS_STR(err.msg, text, "message");
    put(20);
    OK(qd_weights_read(path, arrays, 0, NULL, &info, NULL, NULL) == 0 && info.layers == 0,
        "a header alone is right then");
}

static void poke(size_t index, uint32_t bits)
{
    qd_put_le32(image + 20 + 4 * index, bits);
}

static void unsound(void)
{
    static const struct {
        size_t index;
        uint32_t bits;
        const char *text;
    } table[] = {
        {0, 0x7fc00000, "offset 20: value 0 of layer 0 (convolutional, biases) is not a number"},
        {33, 0xffc00001,
            "offset 152: value 17 of layer 0 (convolutional, weights) is not a number"},
        {40, 0x7f800000, "offset 180: value 3 of layer 2 (connected, weights) is infinite"},
        {56, 0xff800000, "offset 244: value 5 of layer 5 (convolutional, weights) is infinite"},
        {13, 0xbf000000,
            "offset 72: value 1 of layer 0 (convolutional, rolling_variance) is -0.5, "
            "a variance cannot be negative"},
    };

    for (size_t i = 0; i < QD_LEN(table); i++) {
        size_t size = compose(20);
        poke(table[i].index, table[i].bits);
        refused(load(size, NULL), table[i].text, "unsound");
    }
    size_t size = compose(20);
    poke(13, 0x80000000);
    OK(load(size, NULL) == 0 && nlogged == 0, "a variance of -0");
    for (size_t i = 12; i < 16; i++)
        poke(i, 0);
    OK(load(size, NULL) == 0 && nlogged == 1, "variances all zero");
    char want[400];
    snprintf(want, sizeof(want),
        "0 %s: layer 0 (convolutional, rolling_variance): all values are zero", path);
    IS_STR(logged, want, "warning");
    size = compose(20);
    for (size_t i = 0; i < 4; i++)
        poke(i, 0xff7fffff);
    OK(load(size, NULL) == 0, "the largest floats are sound, and so are negative biases");
    struct qd_warray some[ARRAYS];
    memcpy(some, arrays, sizeof(some));
    some[4].data = NULL;
    put(compose(20));
    memset(store, 0, sizeof(store));
    OK(qd_weights_read(path, some, ARRAYS, NULL, NULL, NULL, NULL) == 0 && store[16] == 0 &&
            store[34] == 35,
        "an array that nobody wants is read over");
}

/* Arrays larger than the block that is looked at in one go. */
static void large(void)
{
    enum { N = 600001 };
    float *big = qd_alloc(N, sizeof(float), NULL);
    struct qd_warray a = {7, "connected", "weights", big, N};
    char want[400];

    for (int i = 0; big && i < N; i++)
        big[i] = (float)i;
    err = (struct qd_error){0};
    OK(big && qd_weights_write(path, true, 5, &a, 1, &err) == 0, "write: %s", err.msg);
    memset(big, 0, N * sizeof(float));
    OK(qd_weights_read(path, &a, 1, NULL, &info, NULL, &err) == 0 && info.seen == 5, "read");
    bool same = true;
    for (int i = 0; i < N; i++)
        same = same && big[i] == (float)i;
    OK(same, "all values");
    big[600000] = nanf("");
    OK(qd_weights_write(path, true, 5, &a, 1, NULL) == 0, "with one bad value");
    OK(qd_weights_read(path, &a, 1, NULL, NULL, NULL, &err) == -1, "read");
    snprintf(want, sizeof(want),
        "%s: offset 2400020: value 600000 of layer 7 (connected, weights) is not a number", path);
    IS_STR(err.msg, want, "the last value");
    qd_free(big);
}

static void files(void)
{
    char want[700];

    err = (struct qd_error){0};
    OK(qd_weights_read("/nonexistent/w", arrays, ARRAYS, NULL, NULL, NULL, &err) == -1 &&
            err.code == QD_EIO,
        "no such file");
    IS_STR(err.msg, "cannot open '/nonexistent/w': No such file or directory", "message");
    err = (struct qd_error){0};
    OK(qd_weights_read("/", arrays, ARRAYS, NULL, NULL, NULL, &err) == -1, "a folder");
    IS_STR(err.msg, "cannot read '/': Is a directory", "message");
    err = (struct qd_error){0};
    OK(qd_weights_read("/dev/zero", arrays, ARRAYS, NULL, NULL, NULL, &err) == -1, "no end");
    IS_STR(err.msg, "/dev/zero: file is larger than the limit of 1048804 bytes", "message");
    err = (struct qd_error){0};
    OK(qd_weights_read("/dev/null", arrays, ARRAYS, NULL, NULL, NULL, &err) == -1, "nothing");
    IS_STR(err.msg, "/dev/null: offset 0: file ends inside the header of 16 bytes", "message");
    load(compose(20), NULL);
    err = (struct qd_error){0};
    OK(qd_weights_write(path, false, 1, arrays, ARRAYS, &err) == -1, "not over a file");
    snprintf(want, sizeof(want), "'%s' exists already (use -f to replace it)", path);
    IS_STR(err.msg, want, "message");
    err = (struct qd_error){0};
    OK(qd_weights_write("/dev/full", true, 1, arrays, ARRAYS, &err) == -1, "a full disk");
    IS_STR(err.msg, "cannot write '/dev/full': No space left on device", "message");
    struct qd_warray huge[2] = {
        {0, "a", "b", NULL, SIZE_MAX / 4}, {1, "a", "b", NULL, SIZE_MAX / 2}};
    err = (struct qd_error){0};
    OK(qd_weights_read(path, huge, 2, NULL, NULL, NULL, &err) == -1 && err.code == QD_EUNSUP,
        "an impossible model");
}

/* Through a pipe, where neither the size nor a second look is to be had. */
static void pipes(void)
{
    static const struct qd_load_opts partial = {.partial = true}, none;
    size_t size = compose(20);

    for (int k = 0; k < 3; k++) {
        int fd[2];
        char name[32];
        size_t part = k == 0 ? size : k == 1 ? 20 + 4 * 34 : 20 + 4 * 33;
        if (pipe(fd) < 0 || write(fd[1], image, part) != (ssize_t)part)
            OK(false, "pipe: %s", strerror(errno));
        close(fd[1]);
        snprintf(name, sizeof(name), "/dev/fd/%d", fd[0]);
        memset(store, 0, sizeof(store));
        err = (struct qd_error){0};
        int ret = qd_weights_read(name, arrays, ARRAYS, k ? &partial : &none, &info, NULL, &err);
        close(fd[0]);
        if (k < 2)
            OK(ret == 0 && filled() == (k ? 34 : FLOATS), "a pipe: %s", err.msg);
        else
            OK(ret == -1 && strstr(err.msg, "18 floats expected, 17 present"), "a short pipe");
    }
    put(size);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) { /* "-": the child may lose its standard input */
        int fd = open(path, O_RDONLY);
        memset(store, 0, sizeof(store));
        bool ok = fd >= 0 && dup2(fd, 0) == 0 &&
                  qd_weights_read("-", arrays, ARRAYS, NULL, NULL, NULL, NULL) == 0 &&
                  filled() == FLOATS;
        _exit(ok ? 0 : 9);
    }
    int status = -1;
    OK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "standard input");
}

static void out_of_memory(void)
{
    bool clean = true;
    int done = 0;

    put(compose(20));
    for (long n = 1; n < 100 && !done; n++) {
        memset(store, 0, sizeof(store));
        err = (struct qd_error){0};
        qd_alloc_fail_at(n);
        int ret = qd_weights_read(path, arrays, ARRAYS, NULL, NULL, NULL, &err);
        qd_alloc_fail_at(0);
        clean = clean && (ret == 0 ? filled() == FLOATS : filled() == 0 && err.code == QD_ENOMEM);
        done = ret == 0;
    }
    OK(clean && done, "every failing allocation is reported, the arrays stay as they were");
}

/* The pretrained file as one array: what was read is what is written. */
static void pretrained(void)
{
    const char *real = tap_shared("models/yolo-fastest-1.1.weights");
    struct qd_buf in = {0}, out = {0};

    if (!real)
        return;
    OK(qd_io_slurp(real, SIZE_MAX / 2, &in, NULL) == 0 && in.len > 20, "the pretrained file");
    size_t count = (in.len - 20) / 4;
    float *data = qd_alloc(count, sizeof(float), NULL);
    struct qd_warray a = {0, "all", "weights", data, count};
    err = (struct qd_error){0};
    OK(data && qd_weights_read(real, &a, 1, NULL, &info, &head, &err) == 0, "read: %s", err.msg);
    OK(info.minor == 2 && info.revision == 5 && head.seen == 14231680, "its header: %llu",
        (unsigned long long)head.seen);
    OK(qd_weights_write(path, true, head.seen, &a, 1, NULL) == 0, "write");
    OK(qd_io_slurp(path, SIZE_MAX / 2, &out, NULL) == 0 && out.len == in.len &&
            memcmp(in.data, out.data, in.len) == 0,
        "the same %zu bytes", in.len);
    qd_free(data);
    qd_buf_free(&in);
    qd_buf_free(&out);
}

int main(void)
{
    qd_log_set(sink, NULL);
    snprintf(path, sizeof(path), "%s", tap_tmp("w.weights"));
    headers();
    other_width();
    truncated();
    surplus();
    unsound();
    large();
    files();
    pipes();
    out_of_memory();
    pretrained();
    return tap_done();
}
