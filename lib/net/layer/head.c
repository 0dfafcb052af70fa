/* SPDX-License-Identifier: MIT */
/*
 * The rules that every detection head must obey, and the last step of decoding.
 */
#include <float.h>
#include <math.h>

#include "base/log.h"
#include "net/layer/head.h"

/* All heads of a net must have the same number of classes. */
static int check_classes(const struct qd_layer *l, struct qd_keys *k, int classes)
{
    for (int i = 0; i < l->index; i++) {
        const struct qd_layer *o = qd_layer_at(l, i);
        struct qd_head head;
        if (!o->type->head)
            continue;
        o->type->head(o, &head);
        if (head.classes != classes)
            return qd_key_fault(k, QD_EFORMAT, "classes",
                "[%s] has %d classes but the head at line %d (layer %d) has %d: they must be equal",
                l->type->section, classes, o->line, i, head.classes);
    }
    return 0;
}

static int read_mask(struct qd_layer *l, struct qd_keys *k, struct qd_anchors *a)
{
    if (qd_key_count(k, "mask") > a->num)
        return qd_key_fault(k, QD_EFORMAT, "mask", "'mask' in [%s] names %d anchors of num=%d",
            l->type->section, qd_key_count(k, "mask"), a->num);
    a->nmask = qd_key_ints(k, "mask", a->mask, a->num);
    if (k->failed)
        return -1;
    for (int i = 0; i < a->nmask; i++)
        if (a->mask[i] >= a->num)
            return qd_key_fault(k, QD_EFORMAT, "mask",
                "'mask' in [%s] names anchor %d but num=%d: the last one is %d", l->type->section,
                a->mask[i], a->num, a->num - 1);
    return 0;
}

static int read_sizes(struct qd_layer *l, struct qd_keys *k, struct qd_anchors *a)
{
    int n = qd_key_count(k, "anchors"), last = 0;

    for (int i = 0; i < a->nmask; i++)
        last = QD_MAX(last, a->mask[i]);
    if (n > 2 * a->num || (n && n < 2 * last + 2))
        return qd_key_fault(k, QD_EFORMAT, "anchors",
            "'anchors' in [%s] has %d numbers but num=%d needs %d", l->type->section, n, a->num,
            2 * a->num);
    if (n && n < 2 * a->num)
        qd_warn("%s:%d: 'anchors' in [%s] has %d numbers but num=%d needs %d: the others are .5",
            qd_cfg_name(k->cfg), qd_key_line(k, "anchors"), l->type->section, n, a->num,
            2 * a->num);
    n = qd_key_floats(k, "anchors", a->size, 2 * a->num);
    for (int i = n; i < 2 * a->num; i++)
        a->size[i] = .5f;
    for (int i = 0; i + 1 < n && !k->failed; i += 2)
        if (a->size[i] <= 0 || a->size[i + 1] <= 0)
            qd_warn("%s:%d: anchor %d of [%s] has no area, its boxes are always empty",
                qd_cfg_name(k->cfg), qd_key_line(k, "anchors"), i / 2, l->type->section);
    return k->failed ? -1 : 0;
}

int qd_head_anchors(struct qd_layer *l, struct qd_keys *k, struct qd_anchors *a, bool masked)
{
    struct qd_arena *arena = qd_layer_arena(l);

    a->classes = qd_key_int(k, "classes");
    a->num = qd_key_int(k, "num");
    if (k->failed)
        return -1;
    a->size = qd_arena_alloc(arena, 2 * (size_t)a->num, sizeof(*a->size), k->err);
    a->mask = qd_arena_alloc(arena, (size_t)a->num, sizeof(*a->mask), k->err);
    if (!a->size || !a->mask) {
        k->failed = true;
        return -1;
    }
    if (masked && read_mask(l, k, a) < 0)
        return -1;
    if (!a->nmask) {
        a->nmask = a->num;
        for (int i = 0; i < a->num; i++)
            a->mask[i] = i;
    }
    if (read_sizes(l, k, a) < 0)
        return -1;
    return check_classes(l, k, a->classes);
}

/* Weights of the classes: the largest counter over the class's own, at most max_delta. */
static int read_counters(struct qd_layer *l, struct qd_keys *k, struct qd_yolo_head *v)
{
    struct qd_arena *arena = qd_layer_arena(l);
    int n = qd_key_count(k, "counters_per_class"), most = 1;
    int *counter;

    if (!n)
        return 0;
    if (n != v->a.classes)
        return qd_key_fault(k, QD_EFORMAT, "counters_per_class",
            "'counters_per_class' in [%s] has %d numbers but there are %d classes",
            l->type->section, n, v->a.classes);
    counter = qd_arena_alloc(arena, (size_t)n, sizeof(*counter), k->err);
    v->class_weight = qd_arena_alloc(arena, (size_t)n, sizeof(*v->class_weight), k->err);
    if (!counter || !v->class_weight) {
        k->failed = true;
        return -1;
    }
    (void)qd_key_ints(k, "counters_per_class", counter, n);
    for (int i = 0; i < n; i++)
        most = QD_MAX(most, counter[i]);
    for (int i = 0; i < n; i++)
        v->class_weight[i] = fminf((float)most / (float)QD_MAX(counter[i], 1), v->max_delta);
    return k->failed ? -1 : 0;
}

static enum qd_iou_kind iou_kind(struct qd_keys *k, const char *key)
{
    static const char *const word[] = {"mse", "iou", "giou", "diou", "ciou"};
    const char *given = qd_key_word(k, key);

    for (int i = 0; i < (int)QD_LEN(word); i++)
        if (strcmp(given, word[i]) == 0)
            return (enum qd_iou_kind)i;
    return QD_IOU_IOU;
}

int qd_head_yolo(struct qd_layer *l, struct qd_keys *k, struct qd_yolo_head *v)
{
    v->scale_x_y = qd_key_float(k, "scale_x_y");
    v->beta_nms = qd_key_float(k, "beta_nms");
    v->nms = qd_head_nms(k);
    v->max = qd_key_int(k, "max");
    v->ignore_thresh = qd_key_float(k, "ignore_thresh");
    v->truth_thresh = qd_key_float(k, "truth_thresh");
    v->iou_thresh = qd_key_float(k, "iou_thresh");
    v->iou_thresh_kind = iou_kind(k, "iou_thresh_kind");
    v->iou_loss = iou_kind(k, "iou_loss");
    v->iou_normalizer = qd_key_float(k, "iou_normalizer");
    v->obj_normalizer = qd_key_float(k, "obj_normalizer");
    v->cls_normalizer = qd_key_float(k, "cls_normalizer");
    v->delta_normalizer = qd_key_float(k, "delta_normalizer");
    v->max_delta = qd_key_given(k, "max_delta") ? qd_key_float(k, "max_delta") : FLT_MAX;
    v->label_smooth_eps = qd_key_float(k, "label_smooth_eps");
    v->objectness_smooth = qd_key_int(k, "objectness_smooth");
    v->focal_loss = qd_key_int(k, "focal_loss");
    if (qd_head_anchors(l, k, &v->a, true) < 0)
        return -1;
    return read_counters(l, k, v);
}

/* The line that sets 'filters' of the layer before, 0 when that is no convolution. */
static int filters_line(const struct qd_layer *l, const struct qd_keys *k)
{
    const struct qd_layer *before = qd_layer_at(l, l->in[0]);
    struct qd_keys other = *k;

    while (before && before->place == QD_PLACE_ALIAS)
        before = qd_layer_at(before, before->in[0]);
    if (!before || strcmp(before->type->section, "convolutional") != 0)
        return 0;
    other.section = before->index + 1;
    return qd_key_line(&other, "filters");
}

int qd_head_check(struct qd_layer *l, struct qd_keys *k, const struct qd_anchors *a, int extra)
{
    long want = (long)a->nmask * (extra + a->classes);
    int line = filters_line(l, k);
    char advice[64] = "";

    l->place = QD_PLACE_ALIAS;
    qd_layer_detail(l, "%d anchor%s, %d class%s", a->nmask, a->nmask == 1 ? "" : "s", a->classes,
        a->classes == 1 ? "" : "es");
    if (l->ic == want)
        return 0;
    if (line)
        snprintf(advice, sizeof(advice), ": set filters=%ld at line %d", want, line);
    return qd_key_fault(k, QD_EFORMAT, NULL,
        "[%s] needs %ld channels (%d %s%s x (%d + %d classes)) but the layer before it has %d%s",
        l->type->section, want, a->nmask, a->nmask == a->num ? "anchor" : "mask",
        a->nmask == 1 ? "" : "s", extra, a->classes, l->ic, advice);
}

void qd_head_channels(const struct qd_layer *l, const struct qd_channels *ch)
{
    qd_channels_keep(l, ch, "detection head");
}

enum qd_nms qd_head_nms(struct qd_keys *k)
{
    const char *kind = qd_key_word(k, "nms_kind");

    if (strcmp(kind, "greedynms") == 0)
        return QD_NMS_GREEDY;
    return strcmp(kind, "diounms") == 0 ? QD_NMS_DIOU : QD_NMS_IOU;
}

float qd_head_logistic(float x)
{
    return 1 / (1 + expf(-x));
}

void qd_head_emit(const struct qd_decode *d, const struct qd_box *box, float obj, const float *p,
    int classes, bool raw)
{
    /* A logit below this cannot pass; the margin is far above rounding and saves most expf(). */
    float t = d->thresh / obj, low = raw ? logf(t / (1 - t)) - .01f : 0;

    if (!isfinite(box->x) || !isfinite(box->y) || !isfinite(box->w) || !isfinite(box->h))
        return;
    for (int c = 0; c < classes; c++) {
        float score;
        if (raw && p[c] < low)
            continue;
        score = obj * (raw ? qd_head_logistic(p[c]) : p[c]);
        if (score > d->thresh)
            d->emit(d->ctx, box, c, score);
    }
}
