/* SPDX-License-Identifier: MIT */
/*
 * The rules that every detection head must obey, and the last step of decoding.
 */
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
    int n = qd_key_count(k, "anchors");

    if (n && n != 2 * a->num)
        return qd_key_fault(k, QD_EFORMAT, "anchors",
            "'anchors' in [%s] has %d numbers but num=%d needs %d", l->type->section, n, a->num,
            2 * a->num);
    n = qd_key_floats(k, "anchors", a->size, 2 * a->num);
    for (int i = n; i < 2 * a->num; i++)
        a->size[i] = .5f;
    for (int i = 0; i < n && !k->failed; i += 2)
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
    if (read_sizes(l, k, a) < 0 || (masked && read_mask(l, k, a) < 0))
        return -1;
    if (!a->nmask) {
        a->nmask = a->num;
        for (int i = 0; i < a->num; i++)
            a->mask[i] = i;
    }
    return check_classes(l, k, a->classes);
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
