/* SPDX-License-Identifier: MIT */
/*
 * Writing detections: the table of formats and what they share.  The formats that are one file are
 * here; those that fill a folder are in detfolder.c.
 */
#include "detect/detwrite.h"

#include <errno.h>
#include <math.h>
#include <sys/stat.h>

#include "base/error.h"
#include "detect/box.h"
#include "detect/category.h"
#include "format/json.h"

static const struct qd_detformat *const formats[] = {&qd_detformat_tsv, &qd_detformat_json,
    &qd_detformat_coco, &qd_detformat_voc, &qd_detformat_yolo};

/* ------------------------------------------------------------------ shared -------------------- */

void qd_put_fixed(struct qd_buf *b, double x, int decimals)
{
    static const long long scale[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    double limit = 1e12; /* beyond every coordinate */
    long long v = llround(fmin(fmax(x, -limit), limit) * (double)scale[decimals]);
    long long a = v < 0 ? -v : v;

    qd_buf_printf(b, "%s%lld", v < 0 ? "-" : "", a / scale[decimals]);
    if (decimals)
        qd_buf_printf(b, ".%0*lld", decimals, a % scale[decimals]);
}

const char *qd_detwriter_name(const struct qd_detwriter *d, int class_id, char buf[16])
{
    const char *name = d->opts.names ? qd_names_get(d->opts.names, class_id) : NULL;

    if (name)
        return name;
    snprintf(buf, 16, "%d", class_id);
    return buf;
}

void qd_path_stem(const char *path, const char **stem, size_t *len)
{
    const char *slash = strrchr(path, '/'), *dot;

    *stem = slash ? slash + 1 : path;
    dot = strrchr(*stem, '.');
    *len = dot && dot > *stem ? (size_t)(dot - *stem) : strlen(*stem);
}

/* ------------------------------------------------------------------ tsv ----------------------- */

static int tsv_image(struct qd_detwriter *d, const struct qd_detimage *im, struct qd_error *err)
{
    char number[16];

    if (strpbrk(im->path, "\t\r\n"))
        return qd_error_set(
            err, QD_EARG, "a path with a tab or a line end cannot be written: '%s'", im->path);
    for (size_t i = 0; i < im->dets->n; i++) {
        const struct qd_det *t = &im->dets->det[i];
        struct qd_corners c = qd_box_corners(&t->box, im->w, im->h);
        const char *name = qd_detwriter_name(d, t->class_id, number);
        qd_buf_printf(&d->text, "%s\t%d\t", im->path, t->class_id);
        for (; *name; name++)
            qd_buf_add(&d->text, *name == '\t' ? " " : name, 1);
        const struct {
            double v;
            int decimals;
        } column[] = {{(double)t->score, 6}, {c.l, 2}, {c.t, 2}, {c.r - c.l, 2}, {c.b - c.t, 2}};
        for (size_t k = 0; k < QD_LEN(column); k++) {
            qd_buf_str(&d->text, "\t");
            qd_put_fixed(&d->text, column[k].v, column[k].decimals);
        }
        qd_buf_str(&d->text, "\n");
    }
    return 0;
}

const struct qd_detformat qd_detformat_tsv = {"tsv", false, NULL, tsv_image, NULL};

/* ------------------------------------------------------------------ json ---------------------- */

static int array_begin(struct qd_detwriter *d, struct qd_error *err)
{
    (void)err;
    qd_buf_str(&d->text, "[");
    return 0;
}

static int array_end(struct qd_detwriter *d, struct qd_error *err)
{
    (void)err;
    qd_buf_str(&d->text, "\n]\n");
    return 0;
}

static void member(struct qd_buf *b, const char *before, double x)
{
    qd_buf_str(b, before);
    qd_json_put_num(b, x, 6);
}

static int json_image(struct qd_detwriter *d, const struct qd_detimage *im, struct qd_error *err)
{
    struct qd_buf *b = &d->text;
    char number[16];

    (void)err;
    qd_buf_printf(b, "%s\n{\"frame_id\":%ld, \"filename\":", d->images ? "," : "", d->images + 1);
    qd_json_put_str(b, im->path);
    qd_buf_str(b, ", \"objects\":[");
    for (size_t i = 0; i < im->dets->n; i++) {
        const struct qd_det *t = &im->dets->det[i];
        qd_buf_printf(b, "%s\n  {\"class_id\":%d, \"name\":", i ? "," : "", t->class_id);
        qd_json_put_str(b, qd_detwriter_name(d, t->class_id, number));
        member(b, ", \"relative_coordinates\":{\"center_x\":", (double)t->box.x);
        member(b, ", \"center_y\":", (double)t->box.y);
        member(b, ", \"width\":", (double)t->box.w);
        member(b, ", \"height\":", (double)t->box.h);
        member(b, "}, \"confidence\":", (double)t->score);
        qd_buf_str(b, "}");
    }
    qd_buf_str(b, "]}");
    return 0;
}

const struct qd_detformat qd_detformat_json = {"json", false, array_begin, json_image, array_end};

/* ------------------------------------------------------------------ coco ---------------------- */

static int coco_begin(struct qd_detwriter *d, struct qd_error *err)
{
    int last = d->opts.classes - 1;

    if (qd_category_of(last, d->opts.classes, d->opts.ids) < 0)
        return qd_error_set(
            err, QD_EARG, "COCO has no category ids for %d classes", d->opts.classes);
    return array_begin(d, err);
}

static int coco_image(struct qd_detwriter *d, const struct qd_detimage *im, struct qd_error *err)
{
    struct qd_buf *b = &d->text;
    long id = qd_image_id(im->path);

    if (id < 0)
        return qd_error_set(err, QD_EARG, "no image id at the end of the name '%s'", im->path);
    for (size_t i = 0; i < im->dets->n; i++) {
        const struct qd_det *t = &im->dets->det[i];
        struct qd_corners c = qd_corners_clip(qd_box_corners(&t->box, im->w, im->h), im->w, im->h);
        double v[4] = {c.l, c.t, c.r - c.l, c.b - c.t};
        qd_buf_printf(b, "%s\n{\"image_id\":%ld,\"category_id\":%ld,\"bbox\":[",
            d->objects++ ? "," : "", id, qd_category_of(t->class_id, d->opts.classes, d->opts.ids));
        for (int k = 0; k < 4; k++) {
            qd_buf_str(b, k ? "," : "");
            qd_json_put_num(b, v[k], 3);
        }
        member(b, "],\"score\":", (double)t->score);
        qd_buf_str(b, "}");
    }
    return 0;
}

const struct qd_detformat qd_detformat_coco = {"coco", false, coco_begin, coco_image, array_end};

/* ------------------------------------------------------------------ the interface ------------- */

const char *qd_detwriter_format(int i)
{
    return i >= 0 && i < (int)QD_LEN(formats) ? formats[i]->name : NULL;
}

/* Hand d->text over to the file. */
static int flush_text(struct qd_detwriter *d, struct qd_error *err)
{
    int ret = qd_buf_ok(&d->text, err);

    if (ret == 0 && d->out.f) {
        qd_io_write(&d->out, d->text.data, d->text.len);
        /* whoever reads a pipe gets each image when it is done */
        if (d->out.f == stdout && fflush(stdout) != 0 && !d->out.error)
            d->out.error = errno ? errno : EIO;
        if (d->out.error)
            ret = qd_error_set(err, QD_EIO, "cannot write '%s': %s",
                d->out.f == stdout ? "standard output" : d->output, strerror(d->out.error));
    }
    d->text.len = 0;
    return ret;
}

static int make_folder(const char *path, struct qd_error *err)
{
    struct stat st;

    if (mkdir(path, 0777) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return qd_error_set(err, QD_EIO, "cannot create folder '%s': %s", path, strerror(errno));
}

static int open_output(struct qd_detwriter *d, struct qd_error *err)
{
    if (d->format->folder && strcmp(d->output, "-") == 0)
        return qd_error_set(
            err, QD_EARG, "format '%s' needs a folder to write into", d->format->name);
    if (d->format->folder ? make_folder(d->output, err) < 0
                          : qd_io_create(&d->out, d->output, d->opts.force, err) < 0)
        return -1;
    if (d->format->begin && d->format->begin(d, err) < 0)
        return -1;
    return flush_text(d, err);
}

struct qd_detwriter *qd_detwriter_open(const struct qd_detwriter_opts *opts, struct qd_error *err)
{
    const struct qd_detformat *format = NULL;

    for (size_t i = 0; i < QD_LEN(formats); i++)
        if (strcmp(formats[i]->name, opts->format) == 0)
            format = formats[i];
    if (!format || opts->classes < 1) {
        if (!format)
            qd_error_set(err, QD_EARG, "no such format for detections: '%s'", opts->format);
        else
            qd_error_set(err, QD_EARG, "cannot write detections of %d classes", opts->classes);
        return NULL;
    }
    struct qd_detwriter *d = qd_alloc(1, sizeof(*d), err);
    if (!d)
        return NULL;
    d->format = format;
    d->opts = *opts;
    size_t len = strlen(opts->output) + 1;
    d->output = qd_alloc_raw(len, 1, err);
    if (d->output)
        memcpy(d->output, opts->output, len);
    if (!d->output || open_output(d, err) < 0) {
        qd_detwriter_discard(d);
        return NULL;
    }
    return d;
}

int qd_detwriter_add(struct qd_detwriter *d, const char *image, int w, int h,
    const struct qd_dets *dets, struct qd_error *err)
{
    const struct qd_detimage im = {image, w, h, dets};

    if (w < 1 || h < 1)
        return qd_error_set(err, QD_EARG, "image size %dx%d", w, h);
    for (size_t i = 0; i < dets->n; i++) {
        const struct qd_det *t = &dets->det[i];
        if (t->class_id < 0 || t->class_id >= d->opts.classes)
            return qd_error_set(err, QD_EARG, "detection of class %d, but there are %d classes",
                t->class_id, d->opts.classes);
        if (!qd_box_finite(&t->box) || !isfinite(t->score))
            return qd_error_set(err, QD_EARG, "detection that is not finite");
    }
    if (d->format->image(d, &im, err) < 0) {
        d->text.len = 0;
        return -1;
    }
    d->images++;
    return flush_text(d, err);
}

int qd_detwriter_close(struct qd_detwriter *d, struct qd_error *err)
{
    int ret = d->format->end ? d->format->end(d, err) : 0;

    if (ret == 0)
        ret = flush_text(d, err);
    if (ret == 0 && d->out.f)
        ret = qd_io_commit(&d->out, err);
    qd_detwriter_discard(d);
    return ret;
}

void qd_detwriter_discard(struct qd_detwriter *d)
{
    if (!d)
        return;
    qd_io_discard(&d->out);
    qd_buf_free(&d->text);
    for (int c = 0; d->classes && c < d->opts.classes; c++)
        qd_buf_free(&d->classes[c]);
    qd_free(d->classes);
    qd_free(d->seen);
    qd_free(d->output);
    qd_free(d);
}
