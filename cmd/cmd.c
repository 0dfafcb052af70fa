/* SPDX-License-Identifier: MIT */
/*
 * Messages and the end of a command.  Everything for people goes to standard error as
 * "name: message"; standard output carries data only and is checked when the command ends, so that
 * a full disk is exit status 1.
 */
#include "cmd.h"

#include <errno.h>
#include <signal.h>
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

int cmd_failf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    cmd_vprint("", fmt, ap);
    va_end(ap);
    return 1;
}

int cmd_error_set(struct qd_error *err, enum qd_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err->code = code;
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    return -1;
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

void cmd_say(const char *fmt, ...)
{
    va_list ap;

    if (cmd.quiet)
        return;
    va_start(ap, fmt);
    cmd_vprint("", fmt, ap);
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

static struct qd_net *take(struct qd_model *m, struct qd_error *err)
{
    const struct qd_net_opts opts = {.w = cmd.size.w, .h = cmd.size.h};
    struct qd_net *net = qd_net_take(m, &opts, err);
    size_t activations, packed;

    if (net) {
        qd_net_memory(net, &activations, &packed);
        cmd_note("activations %zu bytes, packed weights %zu bytes", activations, packed);
    }
    return net;
}

struct qd_net *cmd_net(struct qd_error *err)
{
    struct qd_model *m = cmd_model(err);

    return m ? take(m, err) : NULL;
}

struct qd_net *cmd_detector(struct qd_error *err)
{
    struct qd_model *m = cmd_model(err);

    if (m && qd_model_classes(m) == 0) {
        cmd_error_set(err, QD_EARG, "%s: the net has no detection head", cmd.cfg);
        qd_model_free(m);
        return NULL;
    }
    return m ? take(m, err) : NULL;
}

int cmd_names(const char *path, int classes, struct qd_names **names, struct qd_error *err)
{
    struct qd_data *data = NULL;
    int ret = 0;

    *names = NULL;
    if (!path && cmd.data) {
        data = qd_data_load(cmd.data, err);
        if (!data)
            return -1;
        if (qd_data_get(data, "names") && !(path = qd_data_path(data, "names", err)))
            ret = -1;
    }
    if (path) {
        *names = qd_names_load(path, err);
        ret = *names ? 0 : -1;
        if (ret == 0 && classes && qd_names_count(*names) != classes) {
            ret = cmd_error_set(err, QD_EFORMAT, "%s: %d names for %d classes", path,
                qd_names_count(*names), classes);
            qd_names_free(*names);
            *names = NULL;
        }
    }
    qd_data_free(data);
    return ret;
}

int cmd_detect(struct qd_net *net, const struct cmd_input *in, const struct qd_image *img,
    const struct qd_detect_opts *opts, struct qd_dets *out, struct qd_error *err)
{
    qd_net_set_resampler(net, (enum qd_resampler)in->resampler);
    if (qd_net_set_image(net, 0, img, in->letterbox ? QD_FIT_LETTERBOX : QD_FIT_MODEL, err) < 0)
        return -1;
    qd_net_forward(net);
    return qd_net_detect(net, 0, opts, out, err);
}

/* ------------------------------------------------------------------ signals ------------------- */

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    caught = sig;
}

void cmd_signals_watch(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

bool cmd_stopped(void *ctx)
{
    (void)ctx;
    return caught != 0;
}

void cmd_signal_end(void)
{
    signal((int)caught, SIG_DFL);
    raise((int)caught);
}
