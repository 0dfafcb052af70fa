/* SPDX-License-Identifier: MIT */
/*
 * Messages and the end of a command.  Everything for people goes to standard error as
 * "name: message"; standard output carries data only and is checked when the command ends, so that
 * a full disk is exit status 1.
 */
#include "cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct cmd_common cmd;

static bool failed; /* cmd_error() was called */

double cmd_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print_line(const char *kind, const char *text)
{
    cmd_progress_hide();
    fprintf(stderr, "%s: %s%s\n", cmd_current()->name, kind, text);
}

void cmd_vprint(const char *kind, const char *fmt, va_list ap)
{
    char text[700];

    vsnprintf(text, sizeof(text), fmt, ap);
    for (char *p = text; *p; p++) /* a file name must not break the line */
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    print_line(kind, text);
}

int cmd_fail(const struct qd_error *err)
{
    print_line("", err->code == QD_OK ? "unknown error" : err->msg);
    return 1;
}

void cmd_error(struct qd_error *err)
{
    cmd_fail(err);
    *err = (struct qd_error){0};
    failed = true;
}

void cmd_warn(const char *fmt, ...)
{
    va_list ap;

    if (cmd.quiet)
        return;
    va_start(ap, fmt);
    cmd_vprint("warning: ", fmt, ap);
    va_end(ap);
}

void cmd_note(const char *fmt, ...)
{
    va_list ap;

    if (!cmd.verbose)
        return;
    va_start(ap, fmt);
    cmd_vprint("", fmt, ap);
    va_end(ap);
}

int cmd_finish(void)
{
    int error = 0;

    cmd_progress_end();
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout))
        error = errno ? errno : EIO;
    /* a command that wrote nothing may well have been started with standard output closed */
    if (fclose(stdout) != 0 && !error && errno != EBADF)
        error = errno;
    if (error)
        fprintf(stderr, "%s: cannot write 'standard output': %s\n", cmd_current()->name,
            strerror(error));
    return error || failed ? 1 : 0;
}

struct qd_model *cmd_model(struct qd_error *err)
{
    const char *level = qd_level(err);

    if (!level)
        return NULL;
    cmd_note("kernels '%s' (%s), %d threads", level, qd_level_detail(), qd_threads());
    struct qd_cfg *cfg = qd_cfg_load(cmd.cfg, err);
    if (!cfg)
        return NULL;
    for (int i = 0; i < cmd.overrides.n; i++) {
        if (qd_cfg_override(cfg, cmd.overrides.v[i], err) < 0) {
            qd_cfg_free(cfg);
            return NULL;
        }
    }
    struct qd_model *m = qd_model_new(cfg, err);
    if (!m || !cmd.weights)
        return m;
    struct qd_load_info info;
    if (qd_model_load(m, cmd.weights, NULL, &info, err) < 0) {
        qd_model_free(m);
        return NULL;
    }
    cmd_note("%s: version %d.%d.%d, seen %llu images, %d layers read", cmd.weights, info.major,
        info.minor, info.revision, (unsigned long long)info.seen, info.layers);
    return m;
}
