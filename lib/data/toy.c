/* SPDX-License-Identifier: MIT */
/*
 * Synthetic data sets: what to try a network on without a network connection.  A kind is one row of
 * a table; pictures are drawn and encoded by all threads, a batch at a time, and written in order.
 */
#include "data/toy.h"

#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "data/setdir.h"
#include "image/image.h"

enum {
    BATCH = 32,       /* pictures in memory at once */
    SPLIT_SHIFT = 32, /* the stream of a picture is its number, plus 2^32 for validation */
};

static const char *const split_name[] = {"train", "valid"};

/* One picture, encoded. */
struct product {
    struct qd_buf image, label, mask;
    int class_id; /* of the first object */
};

struct kind {
    const char *name;
    int side, classes; /* defaults */
    bool single;       /* one object a picture, and its class is the folder */
    bool labels, masks;
};

static const struct kind kinds[] = {
    {"detect", 320, 6, false, true, false},
    {"classify", 64, 10, true, false, false},
    {"segment", 320, 6, false, false, true},
};

struct work {
    const struct kind *kind;
    struct qd_toy_opts opts; /* with the defaults filled in */
    struct qd_setdir dir;
    struct qd_buf list[2];
    int split;
    long first; /* picture of the batch */
    struct product product[BATCH];
    struct qd_error error[BATCH];
};

const char *qd_toy_kind(int i)
{
    return i >= 0 && i < (int)QD_LEN(kinds) ? kinds[i].name : NULL;
}

/* ------------------------------------------------------------------ drawing ------------------- */

static int encode(
    const struct work *w, const struct qd_toy_sample *s, struct product *p, struct qd_error *err)
{
    const struct qd_codec *codec = w->opts.png ? &qd_codec_png : &qd_codec_jpeg;

    if (codec->encode(s->image, &p->image, err) < 0)
        return -1;
    if (w->kind->masks && qd_codec_png.encode(s->map, &p->mask, err) < 0)
        return -1;
    p->class_id = s->labels.n ? s->labels.label[0].class_id : 0;
    for (size_t i = 0; w->kind->labels && i < s->labels.n; i++) {
        const struct qd_label *l = &s->labels.label[i];
        qd_buf_printf(&p->label, "%d %.6f %.6f %.6f %.6f\n", l->class_id, (double)l->box.x,
            (double)l->box.y, (double)l->box.w, (double)l->box.h);
    }
    return qd_buf_ok(&p->label, err);
}

static void draw_one(void *ctx, int chunk, int thread)
{
    struct work *w = ctx;
    uint64_t stream = (uint64_t)(w->first + chunk) + ((uint64_t)w->split << SPLIT_SHIFT);
    struct qd_toy_sample s;

    (void)thread;
    if (qd_toy_draw(&w->opts, w->kind->single, stream, &s, &w->error[chunk]) < 0)
        return;
    (void)!encode(w, &s, &w->product[chunk], &w->error[chunk]);
    qd_toy_sample_free(&s);
}

/* ------------------------------------------------------------------ writing ------------------- */

/* FOLDER/SPLIT[/CLASS]/NUMBER.SUFFIX */
static void place(char path[128], const char *folder, const char *sub, long i, const char *suffix)
{
    snprintf(path, 128, "%s/%s/%06ld.%s", folder, sub, i, suffix);
}

static int put_one(struct work *w, int k, struct qd_error *err)
{
    const struct product *p = &w->product[k];
    const char *suffix = w->opts.png ? "png" : "jpg", *split = split_name[w->split];
    long i = w->first + k;
    char path[128];

    if (w->kind->single)
        place(path, split, qd_toy_shape_name(p->class_id), i, suffix);
    else
        place(path, "JPEGImages", split, i, suffix);
    if (qd_setdir_put(&w->dir, path, p->image.data, p->image.len, err) < 0)
        return -1;
    qd_setdir_line(&w->dir, &w->list[w->split], path);
    if (w->kind->labels) {
        place(path, "labels", split, i, "txt");
        if (qd_setdir_put(&w->dir, path, p->label.data, p->label.len, err) < 0)
            return -1;
    }
    if (w->kind->masks) {
        place(path, "masks", split, i, "png");
        if (qd_setdir_put(&w->dir, path, p->mask.data, p->mask.len, err) < 0)
            return -1;
    }
    return 0;
}

/* Draw and write n pictures from w->first on. */
static int batch(struct work *w, int n, struct qd_error *err)
{
    int ret = 0;

    memset(w->product, 0, sizeof(w->product));
    memset(w->error, 0, sizeof(w->error));
    qd_par(n, draw_one, w);
    for (int i = 0; i < n && ret == 0; i++) {
        if (w->error[i].code != QD_OK)
            ret = qd_error_set(err, w->error[i].code, "%s", w->error[i].msg);
        else
            ret = put_one(w, i, err);
    }
    for (int i = 0; i < n; i++) {
        qd_buf_free(&w->product[i].image);
        qd_buf_free(&w->product[i].label);
        qd_buf_free(&w->product[i].mask);
    }
    return ret;
}

static int make_folders(struct work *w, struct qd_error *err)
{
    char path[128];

    for (int s = 0; s < 2; s++) {
        const char *sub[3] = {
            "JPEGImages", w->kind->labels ? "labels" : NULL, w->kind->masks ? "masks" : NULL};
        if (s && !w->opts.valid)
            break;
        for (int i = 0; !w->kind->single && i < 3; i++) {
            snprintf(path, sizeof(path), "%s/%s", sub[i] ? sub[i] : "", split_name[s]);
            if (sub[i] && qd_setdir_mkdir(&w->dir, path, err) < 0)
                return -1;
        }
        for (int i = 0; w->kind->single && i < w->opts.classes; i++) {
            snprintf(path, sizeof(path), "%s/%s", split_name[s], qd_toy_shape_name(i));
            if (qd_setdir_mkdir(&w->dir, path, err) < 0)
                return -1;
        }
    }
    return 0;
}

static int write_set(struct work *w, struct qd_error *err)
{
    const char *names[QD_TOY_SHAPES + 1];
    int n = 0;

    if (make_folders(w, err) < 0)
        return -1;
    for (w->split = 0; w->split < 2; w->split++) {
        long count = w->split ? w->opts.valid : w->opts.train;
        for (w->first = 0; w->first < count; w->first += BATCH)
            if (batch(w, (int)QD_MIN(BATCH, count - w->first), err) < 0)
                return -1;
    }
    if (w->kind->masks)
        names[n++] = "background";
    for (int i = 0; i < w->opts.classes; i++)
        names[n++] = qd_toy_shape_name(i);
    struct qd_setdir_index index = {names, n, &w->list[0], &w->list[1], NULL, w->kind->single};
    return qd_setdir_finish(&w->dir, &index, err);
}

static int check(struct work *w, struct qd_error *err)
{
    struct qd_toy_opts *o = &w->opts;

    for (size_t i = 0; i < QD_LEN(kinds); i++)
        if (strcmp(kinds[i].name, o->kind) == 0)
            w->kind = &kinds[i];
    if (!w->kind)
        return qd_error_set(err, QD_EARG, "no kind of set is called '%.60s'", o->kind);
    o->w = o->w ? o->w : w->kind->side;
    o->h = o->h ? o->h : w->kind->side;
    o->classes = o->classes ? o->classes : w->kind->classes;
    if (o->w < 32 || o->w > 2048 || o->h < 32 || o->h > 2048)
        return qd_error_set(
            err, QD_EARG, "pictures can be 32 to 2048 pixels a side, not %dx%d", o->w, o->h);
    if (o->classes < 1 || o->classes > QD_TOY_SHAPES)
        return qd_error_set(
            err, QD_EARG, "there can be 1 to %d classes, not %d", QD_TOY_SHAPES, o->classes);
    if (o->train < 0 || o->valid < 0 || o->train + (long)o->valid < 1)
        return qd_error_set(err, QD_EARG, "a set needs a picture");
    return 0;
}

int qd_toy_write(const char *dir, const struct qd_toy_opts *opts, struct qd_error *err)
{
    struct work *w = qd_alloc(1, sizeof(*w), err);
    int ret = -1;

    if (!w)
        return -1;
    w->opts = *opts;
    if (check(w, err) == 0 && qd_setdir_open(&w->dir, dir, opts->force, err) == 0)
        ret = write_set(w, err);
    qd_setdir_close(&w->dir);
    qd_buf_free(&w->list[0]);
    qd_buf_free(&w->list[1]);
    qd_free(w);
    return ret;
}
