/* SPDX-License-Identifier: MIT */
/*
 * Files in and out.  Input is read whole; output is written beside its final name and renamed, so
 * that a full disk or a signal never leaves half a model behind.
 */
#include "base/io.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

/* What a file is called while it is written: PATH.tmp-XXXXXX, six letters or digits. */
#define TEMPORARY ".tmp-"
enum { RANDOM = 6 };

static int read_all(FILE *f, const char *path, size_t max, struct qd_buf *b, struct qd_error *err)
{
    char chunk[65536];
    size_t n, start = b->len;

    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        if (n > max - (b->len - start))
            return qd_error_set(
                err, QD_EFORMAT, "%s: file is larger than the limit of %zu bytes", path, max);
        qd_buf_add(b, chunk, n);
    }
    if (ferror(f))
        return qd_error_set(err, QD_EIO, "cannot read '%s': %s", path, strerror(errno));
    return qd_buf_ok(b, err);
}

int qd_io_slurp(const char *path, size_t max, struct qd_buf *b, struct qd_error *err)
{
    bool std = strcmp(path, "-") == 0;
    FILE *f = std ? stdin : fopen(path, "rb");
    struct stat st;

    if (!f)
        return qd_error_set(err, QD_EIO, "cannot open '%s': %s", path, strerror(errno));
    int ret = -1;
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode))
        qd_error_set(err, QD_EIO, "cannot read '%s': %s", path, strerror(EISDIR));
    else
        ret = read_all(f, path, max, b, err);
    if (!std)
        fclose(f);
    return ret;
}

static char *concat(const char *a, const char *b, struct qd_error *err)
{
    size_t la = strlen(a), lb = strlen(b);
    char *s = qd_alloc_raw(la + lb + 1, 1, err);

    if (s) {
        memcpy(s, a, la);
        memcpy(s + la, b, lb + 1);
    }
    return s;
}

int qd_io_create(struct qd_out *o, const char *path, bool force, struct qd_error *err)
{
    struct stat st;

    *o = (struct qd_out){0};
    if (strcmp(path, "-") == 0) {
        o->f = stdout;
        return 0;
    }
    if (lstat(path, &st) == 0) {
        if (!force)
            return qd_error_set(err, QD_EIO, "'%s' exists already (use -f to replace it)", path);
        if (S_ISDIR(st.st_mode))
            return qd_error_set(err, QD_EIO, "cannot write '%s': %s", path, strerror(EISDIR));
    }
    o->path = concat(path, "", err);
    if (!o->path)
        return -1;
    /* a device or a pipe has no folder to rename in: write to it directly */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        o->f = fopen(path, "wb");
    } else {
        o->tmp = concat(path, TEMPORARY "XXXXXX", err);
        int fd = o->tmp ? mkstemp(o->tmp) : -1;
        if (fd >= 0) {
            mode_t mask = umask(0);
            umask(mask);
            o->f = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "wb") : NULL;
            if (!o->f)
                close(fd);
        }
    }
    if (o->f)
        return 0;
    qd_error_set(err, QD_EIO, "cannot create '%s': %s", path, strerror(errno));
    qd_io_discard(o);
    return -1;
}

void qd_io_write(struct qd_out *o, const void *data, size_t len)
{
    if (!o->error && len && fwrite(data, 1, len, o->f) != len)
        o->error = errno ? errno : EIO;
}

static int commit(struct qd_out *o, bool sync, struct qd_error *err)
{
    if (fflush(o->f) != 0 && !o->error)
        o->error = errno;
    if (o->path) {
        if (sync && o->tmp && !o->error && fsync(fileno(o->f)) != 0)
            o->error = errno;
        if (fclose(o->f) != 0 && !o->error)
            o->error = errno;
        o->f = NULL;
        if (!o->error && o->tmp && rename(o->tmp, o->path) != 0)
            o->error = errno;
    }
    int error = o->error;
    if (error)
        qd_error_set(err, QD_EIO, "cannot write '%s': %s", o->path ? o->path : "standard output",
            strerror(error));
    else if (o->tmp)
        o->tmp[0] = 0; /* renamed: nothing to remove */
    qd_io_discard(o);
    return error ? -1 : 0;
}

int qd_io_commit(struct qd_out *o, struct qd_error *err)
{
    return commit(o, true, err);
}

void qd_io_discard(struct qd_out *o)
{
    if (o->f && o->f != stdout)
        fclose(o->f);
    if (o->tmp && o->tmp[0])
        unlink(o->tmp);
    qd_free(o->tmp);
    qd_free(o->path);
    *o = (struct qd_out){0};
}

int qd_io_put(const char *path, bool force, const void *data, size_t len, struct qd_error *err)
{
    struct qd_out o;

    if (qd_io_create(&o, path, force, err) < 0)
        return -1;
    qd_io_write(&o, data, len);
    return commit(&o, true, err);
}

int qd_io_put_many(const char *path, bool force, const void *data, size_t len, struct qd_error *err)
{
    struct qd_out o;

    if (qd_io_create(&o, path, force, err) < 0)
        return -1;
    qd_io_write(&o, data, len);
    return commit(&o, false, err);
}

/* ---- what a killed program left --------------------------------------------------------------
 */

/* The length of the final name in the name of a temporary file, 0: it is not one. */
static size_t final_name(const char *name)
{
    size_t len = strlen(name), tail = strlen(TEMPORARY) + RANDOM;

    if (len <= tail || memcmp(name + len - tail, TEMPORARY, strlen(TEMPORARY)) != 0)
        return 0;
    for (const char *p = name + len - RANDOM; *p; p++)
        if (!isalnum((unsigned char)*p))
            return 0;
    return len - tail;
}

static void sweep_one(const char *folder, const char *name)
{
    struct qd_buf path = {0};
    struct stat st;

    qd_buf_printf(&path, "%s%s", folder, name);
    if (!path.failed && lstat(path.data, &st) == 0 && S_ISREG(st.st_mode) && unlink(path.data) == 0)
        qd_log(QD_LOG_NOTE, "removed '%s', left by a write that was cut off", path.data);
    qd_buf_free(&path);
}

void qd_io_sweep(const char *prefix, bool (*mine)(const char *suffix, size_t len))
{
    const char *slash = strrchr(prefix, '/'), *base = slash ? slash + 1 : prefix;
    size_t len = strlen(base);
    struct qd_buf folder = {0};
    const struct dirent *e;

    qd_buf_add(&folder, prefix, (size_t)(base - prefix));
    qd_buf_add(&folder, "", 1);
    DIR *dir = folder.failed ? NULL : opendir(slash ? folder.data : ".");
    while (dir && (e = readdir(dir))) {
        size_t end = final_name(e->d_name);
        if (end >= len && strncmp(e->d_name, base, len) == 0 && mine(e->d_name + len, end - len))
            sweep_one(folder.data, e->d_name);
    }
    if (dir)
        closedir(dir);
    qd_buf_free(&folder);
}

uint32_t qd_le32(const void *p)
{
    const unsigned char *b = p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t qd_le64(const void *p)
{
    return qd_le32(p) | (uint64_t)qd_le32((const unsigned char *)p + 4) << 32;
}

void qd_put_le32(void *p, uint32_t v)
{
    unsigned char *b = p;

    for (int i = 0; i < 4; i++)
        b[i] = (unsigned char)(v >> (8 * i));
}

void qd_put_le64(void *p, uint64_t v)
{
    qd_put_le32(p, (uint32_t)v);
    qd_put_le32((unsigned char *)p + 4, (uint32_t)(v >> 32));
}

void qd_le_floats(float *p, size_t n)
{
    const union {
        uint16_t word;
        unsigned char first;
    } probe = {.word = 1};

    if (probe.first)
        return;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = qd_le32(p + i);
        memcpy(p + i, &v, 4);
    }
}
