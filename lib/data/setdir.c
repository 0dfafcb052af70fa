/* SPDX-License-Identifier: MIT */
/*
 * The folder of a data set that is being made: pictures and labels by the thousand, then the small
 * files that name them.
 */
#include "data/setdir.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"

enum { PATH_BYTES = 4096 };

/* Whether the folder holds nothing; -1 when it cannot be read. */
static int is_empty(const char *path, struct qd_error *err)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    int empty = 1;

    if (!dir)
        return qd_error_set(err, QD_EIO, "cannot open '%s': %s", path, strerror(errno));
    while (empty && (e = readdir(dir)))
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(dir);
    return empty;
}

static int make(const char *path, struct qd_error *err)
{
    struct stat st;

    if (mkdir(path, 0777) == 0)
        return 0;
    int why = errno;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return qd_error_set(err, QD_EIO, "cannot create folder '%s': %s", path, strerror(why));
}

/* The absolute path, without "." and slashes at its end. */
static int resolve(struct qd_setdir *d, const char *path, struct qd_error *err)
{
    char cwd[PATH_BYTES], full[2 * PATH_BYTES];

    cwd[0] = 0;
    if (*path != '/' && !getcwd(cwd, sizeof(cwd)))
        return qd_error_set(err, QD_EIO, "cannot tell the current folder: %s", strerror(errno));
    int len = snprintf(full, sizeof(full), "%s%s%s", cwd, *path == '/' ? "" : "/", path);
    if (len >= PATH_BYTES)
        return qd_error_set(err, QD_EARG, "the path of folder '%.100s...' is too long", path);
    if (strpbrk(full, "\n\r"))
        return qd_error_set(
            err, QD_EARG, "'%.100s': a list cannot hold a path with a line end", path);
    size_t n = (size_t)len;
    while (n > 1 && (full[n - 1] == '/' || (full[n - 1] == '.' && full[n - 2] == '/')))
        n--;
    d->path = qd_arena_strndup(&d->arena, full, n, err);
    if (!d->path)
        return -1;
    const char *slash = strrchr(d->path, '/');
    d->name = slash && slash[1] && strcmp(slash + 1, "..") != 0 ? slash + 1 : "set";
    return 0;
}

int qd_setdir_open(struct qd_setdir *d, const char *path, bool force, struct qd_error *err)
{
    *d = (struct qd_setdir){.force = force};
    if (resolve(d, path, err) < 0 || make(path, err) < 0)
        return -1;
    if (force)
        return 0;
    int empty = is_empty(path, err);
    if (empty == 0)
        qd_error_set(err, QD_EIO, "folder '%s' is not empty (use -f to write into it)", path);
    return empty == 1 ? 0 : -1;
}

void qd_setdir_close(struct qd_setdir *d)
{
    qd_arena_free(&d->arena);
    *d = (struct qd_setdir){0};
}

/* path = folder + '/' + sub */
static int join(const struct qd_setdir *d, const char *sub, char *path, struct qd_error *err)
{
    if (snprintf(path, PATH_BYTES, "%s/%s", d->path, sub) < PATH_BYTES)
        return 0;
    return qd_error_set(
        err, QD_EARG, "the path of '%.100s...' in '%.100s' is too long", sub, d->path);
}

int qd_setdir_mkdir(const struct qd_setdir *d, const char *sub, struct qd_error *err)
{
    char path[PATH_BYTES];
    int ret = join(d, sub, path, err);

    for (char *p = path + strlen(d->path) + 1; ret == 0 && (p = strchr(p, '/')); p++) {
        *p = 0;
        ret = make(path, err);
        *p = '/';
    }
    return ret == 0 ? make(path, err) : -1;
}

int qd_setdir_put(
    const struct qd_setdir *d, const char *path, const void *data, size_t len, struct qd_error *err)
{
    char full[PATH_BYTES];

    if (join(d, path, full, err) < 0)
        return -1;
    return qd_io_put_many(full, d->force, data, len, err);
}

void qd_setdir_line(const struct qd_setdir *d, struct qd_buf *list, const char *path)
{
    qd_buf_str(list, d->path);
    qd_buf_add(list, "/", 1);
    qd_buf_str(list, path);
    qd_buf_add(list, "\n", 1);
}

static int put(
    const struct qd_setdir *d, const char *name, const struct qd_buf *b, struct qd_error *err)
{
    char full[PATH_BYTES];

    if (qd_buf_ok(b, err) < 0 || join(d, name, full, err) < 0)
        return -1;
    return qd_io_put(full, d->force, b->data, b->len, err);
}

static int put_list(
    const struct qd_setdir *d, const char *name, const struct qd_buf *list, struct qd_error *err)
{
    if (!list || (!list->len && !list->failed))
        return 0;
    return put(d, name, list, err);
}

static void data_line(
    const struct qd_setdir *d, struct qd_buf *b, const char *key, const char *file)
{
    qd_buf_printf(b, "%s=%s/%s\n", key, d->path, file);
}

int qd_setdir_finish(
    const struct qd_setdir *d, const struct qd_setdir_index *x, struct qd_error *err)
{
    struct qd_buf names = {0}, data = {0};
    char file[NAME_MAX + 16];
    int ret = -1;

    for (int i = 0; i < x->classes; i++)
        qd_buf_printf(&names, "%s\n", x->names[i]);
    snprintf(file, sizeof(file), "%s.names", d->name);
    qd_buf_printf(&data, "classes=%d\n", x->classes);
    if (x->train->len)
        data_line(d, &data, "train", "train.txt");
    if (x->valid->len)
        data_line(d, &data, "valid", "valid.txt");
    if (x->difficult && x->difficult->len)
        data_line(d, &data, "difficult", "difficult.txt");
    data_line(d, &data, "names", file);
    if (x->classifier)
        data_line(d, &data, "labels", file);
    if (put_list(d, "train.txt", x->train, err) == 0 &&
        put_list(d, "valid.txt", x->valid, err) == 0 &&
        put_list(d, "difficult.txt", x->difficult, err) == 0 && put(d, file, &names, err) == 0) {
        snprintf(file, sizeof(file), "%s.data", d->name);
        ret = put(d, file, &data, err);
    }
    qd_buf_free(&names);
    qd_buf_free(&data);
    return ret;
}
