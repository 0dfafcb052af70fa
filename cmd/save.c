/* SPDX-License-Identifier: MIT */
/*
 * A model as two files, PREFIX.cfg and PREFIX.weights, of which both appear or none: they are
 * written under other names in the same folder, then renamed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

static const char *const suffix[] = {".cfg", ".weights"};
enum { FILES = 2 };

/* PREFIX.cfg, or PREFIX.cfg.new-PID; NULL when there is no memory. */
static char *name(const char *prefix, int file, bool fresh, struct qd_error *err)
{
    size_t n = strlen(prefix) + 64;
    char *s = malloc(n);

    if (!s)
        cmd_error_set(err, QD_ENOMEM, "out of memory");
    else if (fresh)
        snprintf(s, n, "%s%s.new-%ld", prefix, suffix[file], (long)getpid());
    else
        snprintf(s, n, "%s%s", prefix, suffix[file]);
    return s;
}

static int check_file(const char *path, struct qd_error *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return 0;
    if (!cmd.force)
        return cmd_error_set(err, QD_EIO, "'%s' exists already (use -f to replace it)", path);
    if (S_ISDIR(st.st_mode))
        return cmd_error_set(err, QD_EIO, "cannot write '%s': %s", path, strerror(EISDIR));
    return 0;
}

/* Whether files can be made in the folder that the prefix names. */
static int check_folder(const char *prefix, struct qd_error *err)
{
    const char *slash = strrchr(prefix, '/');
    size_t n = slash ? (size_t)(slash - prefix) + 1 : 0;
    char *dir = malloc(n + 2);
    int ret = 0;

    if (!dir)
        return cmd_error_set(err, QD_ENOMEM, "out of memory");
    memcpy(dir, n ? prefix : ".", n ? n : 1);
    dir[n ? n : 1] = 0;
    if (access(dir, W_OK | X_OK) < 0)
        ret = cmd_error_set(
            err, QD_EIO, "cannot write '%s%s': %s", prefix, suffix[0], strerror(errno));
    free(dir);
    return ret;
}

int cmd_save_check(const char *prefix, struct qd_error *err)
{
    int ret = check_folder(prefix, err);

    for (int i = 0; ret == 0 && i < FILES; i++) {
        char *path = name(prefix, i, false, err);
        ret = path ? check_file(path, err) : -1;
        free(path);
    }
    return ret;
}

int cmd_save(const struct qd_model *m, const char *prefix, struct qd_error *err)
{
    char *to[FILES], *fresh[FILES];
    int ret = cmd_save_check(prefix, err);

    for (int i = 0; i < FILES; i++) {
        to[i] = name(prefix, i, false, err);
        fresh[i] = name(prefix, i, true, err);
        if (!to[i] || !fresh[i])
            ret = -1;
    }
    if (ret == 0)
        ret = qd_model_save(m, fresh[1], true, err);
    if (ret == 0)
        ret = qd_cfg_save(qd_model_cfg(m), fresh[0], true, err);
    for (int i = 0; ret == 0 && i < FILES; i++)
        if (rename(fresh[i], to[i]) < 0)
            ret = cmd_error_set(err, QD_EIO, "cannot write '%s': %s", to[i], strerror(errno));
    for (int i = 0; i < FILES; i++) {
        if (ret < 0 && fresh[i])
            unlink(fresh[i]);
        free(to[i]);
        free(fresh[i]);
    }
    return ret;
}
