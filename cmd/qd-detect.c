/* SPDX-License-Identifier: MIT */
/*
 * qd-detect: objects in pictures.  Pictures come from files, folders, a list on standard input, or
 * as a stream of frames; detections go out in one of five formats, drawn pictures into a folder or
 * back into the stream.  A picture that cannot be read is reported, the others are still worked on.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

enum { TSV, JSON, COCO, VOC, YOLO };
static const char *const format_names[] = {"tsv", "json", "coco", "voc", "yolo"};

static struct qd_detect_opts detect = QD_DETECT_OPTS_INIT;
static struct cmd_input input;
static int format = TSV;
static const char *draw, *names_path;
static bool stream;

static const struct cmd_opt opts[] = {CMD_OPT_CFG_NEEDED, CMD_OPT_WEIGHTS_NEEDED, CMD_OPT_DATA,
    {'N', "names", CMD_STR, &names_path, "FILE", "class names, instead of those of -d", 0, 0,
        false},
    {'t', "thresh", CMD_FLOAT, &detect.thresh, "X", "scores must be above this", 0, 1, false},
    {'n', "nms", CMD_FLOAT, &detect.nms, "X", "overlap above which the lower score goes; 1: never",
        0, 1, false},
    {'F', "format", CMD_CHOICE, &format, "tsv|json|coco|voc|yolo", "of the detections", 0, 0,
        false},
    CMD_OPT_OUTPUT("FILE|DIR", "where detections go; voc and yolo fill a folder [-]"),
    {'b', "draw", CMD_STR, &draw, "DIR", "write pictures with the boxes drawn into this folder", 0,
        0, false},
    {'S', "stream", CMD_FLAG, &stream, NULL, "video: PPM or JPEG frames from stdin to stdout", 0, 0,
        false},
    CMD_OPT_LETTERBOX(input), CMD_OPT_RESAMPLE(input), CMD_OPT_EXIF(input), CMD_OPT_SIZE,
    CMD_OPT_THREADS, CMD_OPT_OVERRIDE, CMD_OPT_FORCE, {0}};

static const struct cmd_info info = {
    "qd-detect", "FILE|DIR|- ...", "find objects in pictures", opts, 0, -1};

struct run {
    struct qd_net *net;
    struct qd_names *names;
    struct qd_detwriter *writer; /* NULL: a stream without -o */
    long done, total;
};

/* ------------------------------------------------------------------ one picture --------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Whether a file name ends in one of the suffixes "a b c", in any letter case. */
static bool has_suffix(const char *name, const char *suffixes)
{
    const char *dot = strrchr(name, '.');
    char lower[8] = "";

    for (size_t i = 0; dot && i < sizeof(lower) - 1 && dot[1 + i]; i++)
        lower[i] = (char)tolower((unsigned char)dot[1 + i]);
    for (const char *s = suffixes; *lower && *s; s += strcspn(s, " ") + (strchr(s, ' ') != NULL))
        if (strcspn(s, " ") == strlen(lower) && strncmp(s, lower, strlen(lower)) == 0)
            return true;
    return false;
}

/* Draw into the picture and write it into the folder, as JPEG if it was one, else as PNG. */
static int draw_file(struct run *r, struct qd_image *img, const char *path, const struct qd_dets *d,
    struct qd_error *err)
{
    const char *base = base_name(path), *dot = strrchr(base, '.');
    char out[4096];
    int len = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
    const char *suffix = has_suffix(base, "jpg jpeg") ? "jpg" : "png";

    if (snprintf(out, sizeof(out), "%s/%.*s.%s", draw, len, base, suffix) >= (int)sizeof(out))
        return cmd_error_set(err, QD_EARG, "path is too long: '%.100s...'", path);
    qd_draw_dets(img, d, r->names);
    return qd_image_save(img, out, cmd.force, err);
}

static int detect_file(struct run *r, const char *path, struct qd_error *err)
{
    const struct qd_image_opts io = {.channels = draw ? 3 : 0, .exif = input.exif};
    struct qd_image *img = qd_image_load(path, &io, err);
    struct qd_dets d = {0};

    if (!img)
        return -1;
    double start = cmd_now();
    int ret = cmd_detect(r->net, &input, img, &detect, &d, err);
    if (ret == 0) {
        cmd_note("%s: %dx%d, %zu objects in %.1f ms", path, img->w, img->h, d.n,
            (cmd_now() - start) * 1e3);
        if (!cmd.output && isatty(STDOUT_FILENO))
            cmd_progress_hide();
        ret = qd_detwriter_add(r->writer, path, img->w, img->h, &d, err);
    }
    if (ret == 0 && draw)
        ret = draw_file(r, img, path, &d, err);
    qd_dets_free(&d);
    qd_image_free(img);
    return ret;
}

static void work_on(struct run *r, const char *path)
{
    struct qd_error err = {0};

    if (detect_file(r, path, &err) < 0)
        cmd_error(&err);
    cmd_progress(++r->done);
}

/* ------------------------------------------------------------------ where pictures come from -- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Add "dir/name" to a growing array. */
static int push(char ***v, size_t *n, const char *dir, const char *name)
{
    size_t len = strlen(dir) + strlen(name) + 2;

    if ((*n & (*n - 1)) == 0) { /* full at every power of two */
        char **grown = realloc(*v, (*n ? *n * 2 : 1) * sizeof(**v));
        if (!grown)
            return -1;
        *v = grown;
    }
    char *s = malloc(len);
    if (!s)
        return -1;
    snprintf(s, len, "%s%s%s", dir, dir[0] && dir[strlen(dir) - 1] == '/' ? "" : "/", name);
    (*v)[(*n)++] = s;
    return 0;
}

/* The pictures in a folder, in order of name. */
static void work_on_folder(struct run *r, const char *dir)
{
    struct qd_error err = {0};
    char **path = NULL;
    size_t n = 0;
    bool failed = false;
    DIR *d = opendir(dir);

    if (!d) {
        cmd_error_set(&err, QD_EIO, "cannot open '%s': %s", dir, strerror(errno));
        cmd_error(&err);
        return;
    }
    for (struct dirent *e; !failed && (e = readdir(d));)
        if (has_suffix(e->d_name, "jpg jpeg png ppm pgm pbm pnm"))
            failed = push(&path, &n, dir, e->d_name) < 0;
    closedir(d);
    if (failed || n == 0) {
        cmd_error_set(&err, failed ? QD_ENOMEM : QD_EIO,
            failed ? "out of memory for the names in '%s'" : "no picture in '%s'", dir);
        cmd_error(&err);
    } else {
        qsort(path, n, sizeof(*path), by_name);
        r->total += (long)n - 1;
        for (size_t i = 0; i < n; i++)
            work_on(r, path[i]);
    }
    for (size_t i = 0; i < n; i++)
        free(path[i]);
    free(path);
}

/* Paths on standard input, one a line; each is worked on as soon as it comes. */
static void work_on_list(struct run *r)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    while ((len = getline(&line, &cap, stdin)) >= 0) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            line[--len] = 0;
        if (len > 0)
            work_on(r, line);
    }
    if (ferror(stdin)) {
        struct qd_error err = {0};
        cmd_error_set(&err, QD_EIO, "cannot read 'standard input': %s", strerror(errno));
        cmd_error(&err);
    }
    free(line);
}

static void work_on_operands(struct run *r, int n, char *operand[])
{
    struct stat st;

    r->total = n;
    for (int i = 0; i < n; i++)
        if (strcmp(operand[i], "-") == 0 || (stat(operand[i], &st) == 0 && S_ISDIR(st.st_mode)))
            r->total = 0; /* their number is not known yet */
    if (n > 1 || r->total == 0)
        cmd_progress_begin("pictures", r->total);
    for (int i = 0; i < n; i++) {
        if (strcmp(operand[i], "-") == 0)
            work_on_list(r);
        else if (stat(operand[i], &st) == 0 && S_ISDIR(st.st_mode))
            work_on_folder(r, operand[i]);
        else
            work_on(r, operand[i]);
    }
    cmd_progress_end();
}

/* ------------------------------------------------------------------ streams ------------------- */

static int detect_frame(struct run *r, struct qd_image *img, bool jpeg, struct qd_error *err)
{
    struct qd_dets d = {0};
    char name[32];
    int ret = cmd_detect(r->net, &input, img, &detect, &d, err);

    snprintf(name, sizeof(name), "frame%08ld", r->done); /* from 1 */
    if (ret == 0 && r->writer)
        ret = qd_detwriter_add(r->writer, name, img->w, img->h, &d, err);
    if (ret == 0) {
        qd_draw_dets(img, &d, r->names);
        ret = qd_stream_write(STDOUT_FILENO, img, jpeg, err);
    }
    qd_dets_free(&d);
    return ret;
}

/* Frames until the end of the input.  A damaged frame is left out; what makes going on pointless is
 * the same message twice (the stream is lost), or that frames cannot be written. */
static int work_on_stream(struct run *r, struct qd_error *err)
{
    const struct qd_image_opts io = {.channels = 3, .exif = input.exif};
    struct qd_stream *s = qd_stream_open(STDIN_FILENO, "standard input", err);
    struct qd_error last = {0};
    int got, ret = 0;

    if (!s)
        return -1;
    cmd_progress_begin("frames", 0);
    while (ret == 0) {
        struct qd_image *img;
        struct qd_error e = {0};
        got = qd_stream_next(s, &io, &img, &e);
        if (got == 0 || (got < 0 && strcmp(e.msg, last.msg) == 0))
            break;
        cmd_progress(++r->done);
        if (got < 0) {
            last = e;
            cmd_error(&e);
            continue;
        }
        ret = detect_frame(r, img, qd_stream_is_jpeg(s), err);
        qd_image_free(img);
    }
    cmd_progress_end();
    qd_stream_close(s);
    if (ret == 0 && r->done == 0)
        ret = cmd_error_set(err, QD_EFORMAT, "no picture on standard input");
    return ret;
}

/* ------------------------------------------------------------------ main ---------------------- */

static int check_usage(int n)
{
    bool folder = format == VOC || format == YOLO;

    if (!stream && n == 0)
        return cmd_misuse("no %s given", info.operands);
    if (stream && n > 0)
        return cmd_misuse("--stream reads standard input and takes no '%s'", "FILE");
    if (stream && draw)
        return cmd_misuse("--stream and --draw do not go together");
    if (stream && cmd.output && strcmp(cmd.output, "-") == 0)
        return cmd_misuse("--stream writes pictures to standard output, not detections");
    if (folder && !stream && (!cmd.output || strcmp(cmd.output, "-") == 0))
        return cmd_misuse("--format %s needs a folder: -o DIR", format_names[format]);
    return 0;
}

static int open_writer(struct run *r, int classes, struct qd_error *err)
{
    const struct qd_detwriter_opts wo = {format_names[format], cmd.output ? cmd.output : "-",
        r->names, classes, QD_IDS_AUTO, cmd.force};

    if (stream && !cmd.output)
        return 0;
    r->writer = qd_detwriter_open(&wo, err);
    return r->writer ? 0 : -1;
}

static int make_draw_folder(struct qd_error *err)
{
    struct stat st;

    if (!draw || mkdir(draw, 0777) == 0 ||
        (errno == EEXIST && stat(draw, &st) == 0 && S_ISDIR(st.st_mode)))
        return 0;
    return cmd_error_set(err, QD_EIO, "cannot create folder '%s': %s", draw, strerror(errno));
}

static int run(struct run *r, int n, char *operand[], struct qd_error *err)
{
    r->net = cmd_detector(err);
    if (!r->net)
        return -1;
    int classes = qd_model_classes(qd_net_model(r->net)), ret = 0;
    if (cmd_names(names_path, classes, &r->names, err) < 0 || make_draw_folder(err) < 0 ||
        open_writer(r, classes, err) < 0)
        return -1;
    if (stream)
        ret = work_on_stream(r, err);
    else
        work_on_operands(r, n, operand);
    /* detections of the frames before a stream broke are still good */
    if (r->writer && qd_detwriter_close(r->writer, err) < 0)
        ret = -1;
    return ret;
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};
    struct run r = {0};
    int n = cmd_parse(&info, argc, argv);

    if (check_usage(n) != 0)
        return 2;
    int ret = run(&r, n, argv + 1, &err);
    qd_net_free(r.net);
    qd_names_free(r.names);
    return ret < 0 ? cmd_fail(&err) : cmd_finish();
}
