/* SPDX-License-Identifier: MIT */
/*
 * A rig for tests of importers: sources are written file by file below the private folder, which is
 * the current one, so that messages have short paths; an import says what it counted, what it
 * warned about and what its label files hold.
 */
#ifndef IMPORT_RIG_H
#define IMPORT_RIG_H

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "base/buf.h"
#include "base/io.h"

#define UNUSED __attribute__((unused))

static struct qd_buf rig_warnings; /* one a line */

static void rig_log(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    if (level == QD_LOG_WARNING)
        qd_buf_printf(&rig_warnings, "%s\n", line);
}

static void rig_begin(void)
{
    if (chdir(tap_tmp(".")) < 0)
        perror("chdir");
    qd_log_set(rig_log, NULL);
    qd_buf_str(&rig_warnings, "");
}

/* Write len bytes to path, and make its folders. */
static void rig_put(const char *path, const void *data, size_t len)
{
    char dir[300];

    for (const char *s = path; (s = strchr(s, '/')); s++) {
        snprintf(dir, sizeof(dir), "%.*s", (int)(s - path), path);
        mkdir(dir, 0777);
    }
    if (qd_io_put(path, true, data, len, NULL) < 0)
        perror(path);
}

static UNUSED void rig_text(const char *path, const char *text)
{
    rig_put(path, text, strlen(text));
}

/* A black picture. */
static UNUSED void rig_picture(const char *path, int w, int h)
{
    struct qd_image *img = qd_image_new(w, h, 1, NULL);

    rig_put(path, "", 0); /* makes the folders */
    if (!img || qd_image_save(img, path, true, NULL) < 0)
        perror(path);
    qd_image_free(img);
}

static UNUSED struct qd_import_opts rig_opts(const char *format, const char *source)
{
    return (struct qd_import_opts){
        .format = format, .source = source, .bad = QD_BAD_CLIP, .split = .1f};
}

/* Import and write into the folder 'out'; the error's text, "" for none. */
static const char *rig_run(
    const struct qd_import_opts *o, const char *out, struct qd_import_counts *counts)
{
    static struct qd_error err;

    err = (struct qd_error){0};
    rig_warnings.len = 0;
    rig_warnings.data[0] = 0;
    struct qd_import *im = qd_import_read(o, &err);
    if (im && counts)
        qd_import_count(im, counts);
    if (im && out && qd_import_write(im, out, &err) == 0 && err.code != QD_OK)
        return "an error was set in spite of success";
    qd_import_free(im);
    return err.msg;
}

/* The content of a file, "(none)" if it is not there. */
static UNUSED const char *rig_file(const char *path)
{
    static struct qd_buf b;

    b.len = 0;
    qd_buf_str(&b, "");
    return qd_io_slurp(path, 1 << 20, &b, NULL) == 0 ? b.data : "(none)";
}

/* A damaged source: the message when a defect is to fail, and the warnings otherwise ("": the same
 * error both times). */
static UNUSED void rig_bad(
    const char *format, const char *source, const char *message, const char *warnings)
{
    struct qd_import_opts o = rig_opts(format, source);

    o.bad = QD_BAD_FAIL;
    IS_STR(rig_run(&o, NULL, NULL), message, "%s of %s fails", format, source);
    o.bad = QD_BAD_DROP;
    const char *got = rig_run(&o, NULL, NULL);
    if (*warnings)
        IS_STR(rig_warnings.data, warnings, "%s of %s warns", format, source);
    else
        IS_STR(got, message, "%s of %s fails always", format, source);
}

#endif
