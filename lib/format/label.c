/* SPDX-License-Identifier: MIT */
/*
 * Label files: where the boxes of an image stand, and reading them (spec darknet.md 4.4, 4.5).
 * darknet stops silently at the first thing that it does not understand and trains on what it has;
 * here a line is one box or a defect with a place and a reason.
 */
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "base/num.h"
#include "format/label.h"
#include "format/text.h"

/* -------------------------------------------------------------------- the path ---------------- */

enum { PATH_BYTES = 4096 };

/* darknet's replacements, in its order; each hits the first occurrence. */
static const char *const folders[][2] = {
    {"/images/train2017/", "/labels/train2017/"},
    {"/images/val2017/", "/labels/val2017/"},
    {"/JPEGImages/", "/labels/"},
    {"\\images\\train2017\\", "\\labels\\train2017\\"},
    {"\\images\\val2017\\", "\\labels\\val2017\\"},
    {"\\images\\train2014\\", "\\labels\\train2014\\"},
    {"\\images\\val2014\\", "\\labels\\val2014\\"},
    {"/images/train2014/", "/labels/train2014/"},
    {"/images/val2014/", "/labels/val2014/"},
    {"\\JPEGImages\\", "\\labels\\"},
};

/* Replace the first 'from' in path by 'to', which is not longer. */
static void replace(char *path, const char *from, const char *to)
{
    char *at = strstr(path, from);
    size_t old = strlen(from), new = strlen(to);

    if (!at)
        return;
    memcpy(at, to, new);
    memmove(at + new, at + old, strlen(at + old) + 1);
}

/* The rule of darknet, on a path that ends in .txt already. */
static void darknet_rule(char *path)
{
    for (size_t i = 0; i < QD_LEN(folders); i++)
        replace(path, folders[i][0], folders[i][1]);
}

/* The last folder called "images" becomes "labels". */
static void images_rule(char *path)
{
    char *last = NULL;

    for (char *s = path; (s = strstr(s, "images")); s++)
        if ((s == path || s[-1] == '/' || s[-1] == '\\') && (s[6] == '/' || s[6] == '\\'))
            last = s;
    if (last)
        memcpy(last, "labels", 6);
}

/* The image's path with .txt for the extension; false when it is too long. */
static bool beside(const char *image, char *path, size_t size)
{
    size_t len = strlen(image), base = len, dot = len;

    while (base && image[base - 1] != '/' && image[base - 1] != '\\')
        base--;
    for (size_t i = len; i > base + 1 && dot == len; i--)
        if (image[i - 1] == '.')
            dot = i - 1;
    return snprintf(path, size, "%.*s.txt", (int)QD_MIN(dot, INT_MAX), image) < (int)size;
}

int qd_label_path(const char *image, char *path, size_t size, struct qd_error *err)
{
    char rule[3][PATH_BYTES];
    struct stat st[3];
    int hit = -1;

    if (!beside(image, rule[0], PATH_BYTES) || strlen(rule[0]) >= size)
        return qd_error_set(err, QD_EARG, "the path of image '%.100s...' is too long", image);
    memcpy(rule[1], rule[0], PATH_BYTES);
    darknet_rule(rule[1]);
    memcpy(rule[2], rule[0], PATH_BYTES);
    images_rule(rule[2]);
    for (int i = 0; i < 3; i++) {
        if (strcmp(rule[i], image) == 0 || stat(rule[i], &st[i]) < 0 || S_ISDIR(st[i].st_mode))
            continue;
        if (hit < 0)
            hit = i;
        else if (st[i].st_dev != st[hit].st_dev || st[i].st_ino != st[hit].st_ino)
            return qd_error_set(err, QD_EFORMAT,
                "two label files for image '%.120s': '%.120s' and '%.120s'", image, rule[hit],
                rule[i]);
    }
    memcpy(path, rule[QD_MAX(hit, 0)], strlen(rule[QD_MAX(hit, 0)]) + 1);
    return hit >= 0;
}

/* -------------------------------------------------------------------- the boxes --------------- */

enum {
    LABEL_BYTES = 4 << 20,
    MAX_BOXES = 10000, /* bounds the search for duplicates */
    MAX_DEFECTS = 1000,
};
static const double tolerance = 1e-3; /* of rounded coordinates, silently accepted */

struct reader {
    struct qd_text text;
    int classes;
    enum qd_bad_labels bad;
    const struct qd_label_notes *notes; /* NULL: to the log */
    struct qd_labels *out;
    size_t cap;
    int defects;
    struct qd_error *err;
};

/* Send one message about the current line to where the caller wants it. */
QD_PRINTF(3, 4)
static void note(const struct reader *r, bool is_defect, const char *fmt, ...)
{
    char text[400], line[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!r->notes) {
        qd_warn("%s:%d: %s", r->text.name, r->text.line, text);
        return;
    }
    snprintf(line, sizeof(line), "%s:%d: %s", r->text.name, r->text.line, text);
    r->notes->fn(r->notes->ctx, is_defect, line);
}

/* Report a defect of the current line.  -1: the call fails; 0: it goes on. */
QD_PRINTF(3, 4)
static int defect(struct reader *r, const char *then, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (r->bad == QD_BAD_FAIL && !r->notes)
        return qd_error_at(r->err, QD_EFORMAT, r->text.name, r->text.line, "%s", text);
    if (r->defects++ == MAX_DEFECTS)
        return qd_error_at(r->err, QD_EFORMAT, r->text.name, r->text.line,
            "more than %d defects: this is not a label file", MAX_DEFECTS);
    if (r->bad == QD_BAD_FAIL)
        note(r, true, "%s", text);
    else
        note(r, true, "%s, %s", text, then);
    return 0;
}

#define DROP "box left out"

static int push(struct reader *r, int class_id, const double v[4])
{
    struct qd_labels *out = r->out;

    if (out->n == MAX_BOXES)
        return qd_error_at(
            r->err, QD_EFORMAT, r->text.name, r->text.line, "more than %d boxes", MAX_BOXES);
    if (out->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        struct qd_label *label = qd_alloc(cap, sizeof(*label), r->err);
        if (!label)
            return -1;
        if (out->n)
            memcpy(label, out->label, out->n * sizeof(*label));
        qd_free(out->label);
        out->label = label;
        r->cap = cap;
    }
    struct qd_box box = {(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
    out->label[out->n++] = (struct qd_label){class_id, box, r->text.line};
    return 0;
}

/* Cut a box off at the borders of the image; false when nothing is left. */
static bool clip(double v[4])
{
    double l = QD_MAX(v[0] - v[2] / 2, 0), r = QD_MIN(v[0] + v[2] / 2, 1);
    double t = QD_MAX(v[1] - v[3] / 2, 0), b = QD_MIN(v[1] + v[3] / 2, 1);

    v[0] = (l + r) / 2;
    v[1] = (t + b) / 2;
    v[2] = r - l;
    v[3] = b - t;
    return (float)v[2] > 0 && (float)v[3] > 0;
}

/* A box that leaves the image in some way; then it is clipped, dropped, or the call fails. */
static int outside(struct reader *r, int class_id, double v[4], const char *what)
{
    bool left = clip(v), keep = left && r->bad == QD_BAD_CLIP;

    if (defect(r, keep ? "box clipped" : DROP, "%s", what) < 0)
        return -1;
    return keep ? push(r, class_id, v) : 0;
}

static int check_box(struct reader *r, int class_id, double v[4])
{
    static const char *const names[] = {"x", "y", "width", "height"};
    const double lo = -tolerance, hi = 1 + tolerance;
    char what[160], a[64], b[64];

    for (int i = 2; i < 4; i++)
        if (!((float)v[i] > 0))
            return defect(
                r, DROP, "%s %s must be more than 0", names[i], qd_num_format((float)v[i], a));
    for (int i = 0; i < 4; i++) {
        if (v[i] >= lo && v[i] <= hi)
            continue;
        if (fabs(v[i]) > 1e6) /* pixels go wrong by less; clipping such a box means nothing */
            return defect(r, DROP, "%s is far too large", names[i]);
        if (i < 2)
            snprintf(what, sizeof(what), "centre (%s, %s) lies outside the image",
                qd_num_format((float)v[0], a), qd_num_format((float)v[1], b));
        else
            snprintf(what, sizeof(what), "%s %s is more than 1", names[i],
                qd_num_format((float)v[i], a));
        return outside(r, class_id, v, what);
    }
    for (int i = 0; i < 2; i++) {
        double from = v[i] - v[i + 2] / 2, to = v[i] + v[i + 2] / 2;
        if (from >= lo && to <= hi)
            continue;
        snprintf(what, sizeof(what), "box reaches out of the image, from %s to %s in %s",
            qd_num_format((float)from, a), qd_num_format((float)to, b), names[i]);
        return outside(r, class_id, v, what);
    }
    return push(r, class_id, v);
}

/* Cut a line at its blanks; at most 'max' fields, the true number is returned. */
static int split(char *s, char **field, int max)
{
    int n = 0;

    for (;;) {
        s += strspn(s, " \t\r");
        if (!*s)
            return n;
        if (n < max)
            field[n] = s;
        n++;
        s += strcspn(s, " \t\r");
        if (*s)
            *s++ = 0;
    }
}

static int read_line(struct reader *r, char *s)
{
    char *field[5];
    double v[4];
    long long id;
    int n = split(s, field, 5);

    if (n == 0)
        return 0;
    if (n < 5 || n > 6) /* seven and more is no box with a remark, but a polygon */
        return defect(r, DROP, "%d column%s, 5 expected", n, n == 1 ? "" : "s");
    if (!qd_num_int(field[0], &id))
        return defect(r, DROP, "class '%.40s' is not an integer", field[0]);
    if (id < 0 || id > INT_MAX)
        return defect(r, DROP, "class '%.40s' is %s", field[0], id < 0 ? "negative" : "too large");
    if (r->classes > 0 && id >= r->classes)
        return defect(r, DROP, "class '%lld' must be 0 to %d", id, r->classes - 1);
    for (int i = 0; i < 4; i++)
        if (!qd_num_double(field[i + 1], &v[i]))
            return defect(r, DROP, "column %d, '%.40s', is not a number", i + 2, field[i + 1]);
    if (n == 6)
        note(r, false, "6 columns, 5 expected, the last is ignored");
    return check_box(r, (int)id, v);
}

static double iou(const struct qd_box *a, const struct qd_box *b)
{
    double w = fmin((double)a->x + (double)a->w / 2, (double)b->x + (double)b->w / 2) -
               fmax((double)a->x - (double)a->w / 2, (double)b->x - (double)b->w / 2);
    double h = fmin((double)a->y + (double)a->h / 2, (double)b->y + (double)b->h / 2) -
               fmax((double)a->y - (double)a->h / 2, (double)b->y - (double)b->h / 2);

    if (w <= 0 || h <= 0)
        return 0;
    return w * h / ((double)a->w * (double)a->h + (double)b->w * (double)b->h - w * h);
}

/* Equal class and almost equal place: the annotator clicked twice.  Nothing is dropped. */
static void warn_duplicates(struct reader *r)
{
    const struct qd_label *l = r->out->label;

    for (size_t i = 1; i < r->out->n; i++)
        for (size_t k = 0; k < i; k++)
            if (l[k].class_id == l[i].class_id && iou(&l[k].box, &l[i].box) > .95) {
                r->text.line = l[i].line;
                note(r, false, "the box is almost the same as the one of line %d", l[k].line);
                break;
            }
}

static int read_labels(
    struct reader *r, const char *path, struct qd_labels *out, struct qd_error *err)
{
    struct qd_labels labels = {0};
    int got, ret = 0;
    char *s;

    if (qd_text_load(&r->text, path, LABEL_BYTES, err) < 0)
        return -1;
    r->out = &labels;
    r->err = err;
    while (ret == 0 && (got = qd_text_next(&r->text, &s, err)) != 0)
        ret = got < 0 ? -1 : read_line(r, s);
    if (ret == 0) {
        warn_duplicates(r);
        *out = labels;
    } else {
        qd_labels_free(&labels);
    }
    qd_text_close(&r->text);
    return ret;
}

int qd_labels_load(const char *path, int classes, enum qd_bad_labels bad, struct qd_labels *out,
    struct qd_error *err)
{
    struct reader r = {.classes = classes, .bad = bad};

    return read_labels(&r, path, out, err);
}

int qd_labels_check(const char *path, int classes, enum qd_bad_labels bad,
    const struct qd_label_notes *notes, struct qd_labels *out, struct qd_error *err)
{
    struct reader r = {.classes = classes, .bad = bad, .notes = notes};

    return read_labels(&r, path, out, err);
}

void qd_labels_free(struct qd_labels *l)
{
    if (!l)
        return;
    qd_free(l->label);
    *l = (struct qd_labels){0};
}
