/* SPDX-License-Identifier: MIT */
/*
 * Reading files of detections: COCO results (JSON) and our own lines (TSV).  The records are sorted
 * by image once, so that the detections of an image are one range of a flat array.
 */
#include <limits.h>

#include "base/buf.h"
#include "base/error.h"
#include "detect/box.h"
#include "detect/category.h"
#include "format/json.h"
#include "format/tsv.h"

struct record {
    long id;          /* COCO */
    const char *path; /* TSV, in the text of the file */
    size_t order;
    struct qd_det det;
};

/* The detections det[from .. from + n - 1] of one image. */
struct group {
    long id;
    const char *path, *base;
    size_t from, n;
    bool used;
};

struct qd_detfile {
    char *name;
    bool coco;
    struct qd_tsv tsv; /* holds the text that paths point into */
    struct qd_det *det;
    struct group *group; /* sorted by id or path */
    size_t *by_base;     /* TSV: group numbers, sorted by base name */
    size_t ndet, ngroup;
};

struct reader {
    struct qd_detfile *f;
    const char *path;
    int classes;
    enum qd_category_ids ids;
    struct qd_buf records; /* of struct record */
    struct qd_error *err;
};

static size_t count(const struct reader *r)
{
    return r->records.len / sizeof(struct record);
}

/* Left, top, width, height to a box; false when that does not fit into float or is negative. */
static bool make_box(const double *v, struct qd_box *box)
{
    *box = (struct qd_box){
        (float)(v[0] + v[2] / 2), (float)(v[1] + v[3] / 2), (float)v[2], (float)v[3]};
    return v[2] >= 0 && v[3] >= 0 && qd_box_finite(box);
}

/* ------------------------------------------------------------------ COCO ---------------------- */

static void coco_record(struct reader *r, struct qd_json *j)
{
    enum { IMAGE = 1, CATEGORY = 2, BBOX = 4, SCORE = 8 };
    static const char *const names[] = {"image_id", "category_id", "bbox", "score"};
    struct record rec = {.order = count(r)};
    double v[4] = {0}, score = 0;
    long long category = 0;
    unsigned have = 0;
    const char *key;

    qd_json_object(j);
    while ((key = qd_json_key(j))) {
        if (strcmp(key, "image_id") == 0) {
            rec.id = (long)qd_json_int(j, 0, LONG_MAX);
            have |= IMAGE;
        } else if (strcmp(key, "category_id") == 0) {
            category = qd_json_int(j, 0, INT_MAX);
            have |= CATEGORY;
        } else if (strcmp(key, "bbox") == 0) {
            qd_json_numbers(j, v, 4);
            have |= BBOX;
        } else if (strcmp(key, "score") == 0) {
            score = qd_json_double(j);
            have |= SCORE;
        } else {
            qd_json_skip(j);
        }
    }
    for (size_t i = 0; i < QD_LEN(names); i++)
        if (!(have & 1u << i))
            qd_json_fault(j, "detection without '%s'", names[i]);
    rec.det.class_id = qd_category_class(category, r->classes, r->ids);
    if (have & CATEGORY && rec.det.class_id < 0)
        qd_json_fault(
            j, "category_id %lld stands for none of the %d classes", category, r->classes);
    if (!make_box(v, &rec.det.box))
        qd_json_fault(j, "'bbox' is out of range");
    if (!(score >= -1e30 && score <= 1e30))
        qd_json_fault(j, "'score' is out of range");
    rec.det.score = (float)score;
    if (!j->failed)
        qd_buf_add(&r->records, &rec, sizeof(rec));
}

static int read_coco(struct reader *r)
{
    struct qd_json j;

    if (qd_json_load(&j, r->path, r->err) < 0)
        return -1;
    qd_json_array(&j);
    while (qd_json_more(&j) && !r->records.failed)
        coco_record(r, &j);
    int failed = qd_buf_ok(&r->records, r->err); /* before closing finds the text unfinished */
    return qd_json_close(&j) < 0 || failed ? -1 : 0;
}

/* ------------------------------------------------------------------ TSV ----------------------- */

enum { PATH, CLASS, NAME, SCORE, LEFT, TOP, WIDTH, HEIGHT, COLUMNS };

static int tsv_record(struct reader *r, char **field, int n)
{
    const struct qd_tsv *t = &r->f->tsv;
    struct record rec = {.path = field[PATH], .order = count(r)};
    long long class_id;
    double score, v[4];

    if (n != COLUMNS)
        return qd_error_at(r->err, QD_EFORMAT, t->name, t->line,
            "%d columns instead of %d (path class_id name score x y w h)", n, COLUMNS);
    if (!field[PATH][0])
        return qd_error_at(r->err, QD_EFORMAT, t->name, t->line, "no path");
    const struct qd_tsv_range range = {0, r->classes - 1};
    if (qd_tsv_int(t, field, CLASS, range, &class_id, r->err) < 0 ||
        qd_tsv_double(t, field, SCORE, &score, r->err) < 0)
        return -1;
    for (int i = 0; i < 4; i++)
        if (qd_tsv_double(t, field, LEFT + i, &v[i], r->err) < 0)
            return -1;
    if (!make_box(v, &rec.det.box))
        return qd_error_at(r->err, QD_EFORMAT, t->name, t->line, "box is out of range");
    if (!(score >= -1e30 && score <= 1e30))
        return qd_error_at(r->err, QD_EFORMAT, t->name, t->line, "score is out of range");
    rec.det.class_id = (int)class_id;
    rec.det.score = (float)score;
    qd_buf_add(&r->records, &rec, sizeof(rec));
    return qd_buf_ok(&r->records, r->err);
}

static int read_tsv(struct reader *r)
{
    char *field[COLUMNS + 1];
    int n;

    if (qd_tsv_load(&r->f->tsv, r->path, r->err) < 0)
        return -1;
    while ((n = qd_tsv_next(&r->f->tsv, field, QD_LEN(field), r->err)) > 0)
        if (tsv_record(r, field, n) < 0)
            return -1;
    return n;
}

/* ------------------------------------------------------------------ the index ----------------- */

static int compare_images(const struct record *a, const struct record *b)
{
    if (a->path)
        return strcmp(a->path, b->path);
    return (a->id > b->id) - (a->id < b->id);
}

static int by_image(const void *pa, const void *pb)
{
    const struct record *a = pa, *b = pb;
    int c = compare_images(a, b);

    return c ? c : (a->order > b->order) - (a->order < b->order);
}

struct base_index {
    const char *base;
    size_t group;
};

static int by_base(const void *pa, const void *pb)
{
    const struct base_index *a = pa, *b = pb;
    int c = strcmp(a->base, b->base);

    return c ? c : (a->group > b->group) - (a->group < b->group);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int index_bases(struct qd_detfile *f, struct qd_error *err)
{
    struct base_index *v = qd_alloc_raw(f->ngroup, sizeof(*v), err);

    f->by_base = v ? qd_alloc_raw(f->ngroup, sizeof(*f->by_base), err) : NULL;
    if (!f->by_base) {
        qd_free(v);
        return -1;
    }
    for (size_t i = 0; i < f->ngroup; i++)
        v[i] = (struct base_index){f->group[i].base, i};
    qsort(v, f->ngroup, sizeof(*v), by_base);
    for (size_t i = 0; i < f->ngroup; i++)
        f->by_base[i] = v[i].group;
    qd_free(v);
    return 0;
}

static int build_index(struct reader *r)
{
    struct qd_detfile *f = r->f;
    struct record *rec = (struct record *)(void *)r->records.data;
    size_t n = count(r);

    if (n)
        qsort(rec, n, sizeof(*rec), by_image);
    for (size_t i = 0; i < n; i++)
        f->ngroup += i == 0 || compare_images(&rec[i - 1], &rec[i]) != 0;
    if (!(f->det = qd_alloc_raw(n, sizeof(*f->det), r->err)) ||
        !(f->group = qd_alloc_raw(f->ngroup, sizeof(*f->group), r->err)))
        return -1;
    size_t g = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || compare_images(&rec[i - 1], &rec[i]) != 0)
            f->group[g++] = (struct group){
                rec[i].id, rec[i].path, rec[i].path ? base_name(rec[i].path) : NULL, i, 0, false};
        f->group[g - 1].n++;
        f->det[i] = rec[i].det;
    }
    f->ndet = n;
    return f->coco ? 0 : index_bases(f, r->err);
}

/* ------------------------------------------------------------------ the interface ------------- */

/* Whether the text begins like JSON; a file that cannot be opened is reported later. */
static bool looks_like_json(const char *path)
{
    bool std = strcmp(path, "-") == 0;
    FILE *in = std ? stdin : fopen(path, "rb");

    if (!in)
        return false;
    int c = getc(in);
    if (std)
        ungetc(c, in);
    else
        fclose(in);
    return c == '[' || c == '{';
}

struct qd_detfile *qd_detfile_load(
    const char *path, int classes, enum qd_category_ids ids, struct qd_error *err)
{
    struct qd_detfile *f = qd_alloc(1, sizeof(*f), err);
    struct reader r = {.f = f, .path = path, .classes = classes, .ids = ids, .err = err};

    if (!f)
        return NULL;
    size_t len = strlen(path) + 1;
    f->name = qd_alloc_raw(len, 1, err);
    if (f->name)
        memcpy(f->name, path, len);
    f->coco = looks_like_json(path);
    if (!f->name || (f->coco ? read_coco(&r) : read_tsv(&r)) < 0 || build_index(&r) < 0) {
        qd_detfile_free(f);
        f = NULL;
    }
    qd_buf_free(&r.records);
    return f;
}

void qd_detfile_free(struct qd_detfile *f)
{
    if (!f)
        return;
    if (!f->coco)
        qd_tsv_close(&f->tsv);
    qd_free(f->name);
    qd_free(f->det);
    qd_free(f->group);
    qd_free(f->by_base);
    qd_free(f);
}

bool qd_detfile_is_coco(const struct qd_detfile *f)
{
    return f->coco;
}

static struct group *find_id(struct qd_detfile *f, long id)
{
    size_t lo = 0, hi = f->ngroup;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (f->group[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < f->ngroup && f->group[lo].id == id ? &f->group[lo] : NULL;
}

static struct group *find_path(struct qd_detfile *f, const char *path)
{
    size_t lo = 0, hi = f->ngroup;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(f->group[mid].path, path) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < f->ngroup && strcmp(f->group[lo].path, path) == 0 ? &f->group[lo] : NULL;
}

/* The first group with this base name; *several when there is another one. */
static struct group *find_base(struct qd_detfile *f, const char *base, bool *several)
{
    size_t lo = 0, hi = f->ngroup;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(f->group[f->by_base[mid]].base, base) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *several = lo + 1 < f->ngroup && strcmp(f->group[f->by_base[lo + 1]].base, base) == 0;
    if (lo == f->ngroup || strcmp(f->group[f->by_base[lo]].base, base) != 0)
        return NULL;
    return &f->group[f->by_base[lo]];
}

int qd_detfile_get(
    struct qd_detfile *f, const char *image, struct qd_dets *out, struct qd_error *err)
{
    struct group *g;
    bool several = false;

    if (f->coco) {
        long id = qd_image_id(image);
        if (id < 0)
            return qd_error_set(err, QD_EARG, "no image id at the end of the name '%s'", image);
        g = find_id(f, id);
    } else {
        g = find_path(f, image);
        if (!g)
            g = find_base(f, base_name(image), &several);
        if (g && several)
            return qd_error_set(err, QD_EFORMAT, "%s: several paths end in '%s', none is '%s'",
                f->name, base_name(image), image);
    }
    *out = (struct qd_dets){0};
    if (!g)
        return 0;
    if (g->used)
        return qd_error_set(err, QD_EFORMAT,
            "%s: the detections for '%s' belong to an image that came before", f->name, image);
    g->used = true;
    *out = (struct qd_dets){f->det + g->from, g->n};
    return 0;
}

size_t qd_detfile_unused(const struct qd_detfile *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->ngroup; i++)
        n += f->group[i].used ? 0 : f->group[i].n;
    return n;
}
