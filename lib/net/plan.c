/* SPDX-License-Identifier: MIT */
/*
 * The memory plan of a net.  Layers say where their output may lie (struct qd_layer.place) and what
 * they can be fused into; from that alone this file decides which values own a buffer, which are
 * ranges of channels of a wider one, and which buffers may share memory because they never live at
 * the same time.
 */
#include "net/plan.h"

#include <limits.h>

#include "base/error.h"

int qd_plan_root(const struct qd_plan *p, int v, int *from)
{
    int at = 0;

    while (p->value[v].parent != v) {
        at += p->value[v].from;
        v = p->value[v].parent;
    }
    if (from)
        *from = at;
    return v;
}

/* ---- views ----------------------------------------------------------------------------------- */

/* The value that an alias stands for. */
static int behind_aliases(const struct qd_plan *p, const struct qd_graph *g, int v)
{
    while (v > 0 && g->layer[v - 1].place == QD_PLACE_ALIAS)
        v = p->value[v].parent;
    return v;
}

static void place_concat(
    struct qd_plan *p, const struct qd_graph *g, const struct qd_layer *l, bool *placed)
{
    int at = 0;

    for (int k = 0; k < l->nin; k++) {
        int h, w, c, v = behind_aliases(p, g, l->in[k] + 1);
        qd_layer_source(l, k, &h, &w, &c);
        struct qd_value *s = &p->value[v];
        /* The input is filled from outside, and a value can lie in one place only. */
        placed[k] = v > 0 && s->parent == v && at + c <= l->c;
        if (placed[k]) {
            s->parent = l->index + 1;
            s->from = at;
        }
        at += c;
    }
}

static int concat_width(const struct qd_layer *l)
{
    int h, w, c, sum = 0;

    for (int k = 0; k < l->nin; k++) {
        qd_layer_source(l, k, &h, &w, &c);
        sum += c;
    }
    return sum;
}

static int place_values(
    struct qd_plan *p, struct qd_graph *g, struct qd_arena *a, struct qd_error *err)
{
    for (int i = 0; i < g->nlayers; i++) {
        struct qd_layer *l = &g->layer[i];
        struct qd_value *v = &p->value[i + 1];
        v->parent = i + 1;
        v->t.c = l->c;
        if (l->place == QD_PLACE_ALIAS || l->place == QD_PLACE_SLICE) {
            v->parent = l->in[0] + 1;
            v->from = l->place == QD_PLACE_SLICE ? l->slice_from : 0;
        } else if (l->place == QD_PLACE_CONCAT) {
            bool *placed = qd_arena_alloc(a, (size_t)l->nin, sizeof(bool), err);
            if (!placed)
                return -1;
            /* with groups only a part of each source is wanted: forward copies it */
            if (l->slice_from == 0 && concat_width(l) == l->c)
                place_concat(p, g, l, placed);
            p->step[i].placed = placed;
        }
    }
    return 0;
}

/* ---- fusing ---------------------------------------------------------------------------------- */

/*
 * Try to run layer l as the tail of what feeds its source 0: walk back over aliases that nobody
 * else reads to a layer that can absorb it.
 */
static void fuse_layer(
    struct qd_plan *p, struct qd_graph *g, const struct qd_ops *ops, struct qd_layer *l)
{
    struct qd_fuse f = {.add = -1, .act = QD_LINEAR};
    int at = l->in[0];

    if (!l->type->fuse || !l->type->fuse(l, &f))
        return;
    for (; at >= 0; at = g->layer[at].in[0]) {
        const struct qd_value *v = &p->value[at + 1];
        bool alias = g->layer[at].place == QD_PLACE_ALIAS;
        if (v->readers != 1 || v->kept || (v->parent == at + 1) == alias)
            return;
        if (alias && v->parent != g->layer[at].in[0] + 1)
            return;
        if (!alias)
            break;
    }
    if (at < 0 || g->layer[at].place != QD_PLACE_OWN || p->step[at].fused)
        return;
    struct qd_layer *host = &g->layer[at];
    if (!host->type->absorb || !host->type->absorb(host, ops, &f))
        return;
    if (f.add >= 0 && l->in[f.add] >= at) /* the other addend must be there already */
        return;
    p->step[at].fused = true;
    p->step[at].fuse = f;
    p->step[at].out = l->index + 1;
    p->step[at].add = f.add >= 0 ? l->in[f.add] + 1 : -1;
    p->step[l->index].layer = -1;
    for (int v = l->in[0]; v != at; v = g->layer[v].in[0])
        p->value[v + 1].none = true;
    p->value[at + 1].none = true;
}

/* ---- lifetimes ------------------------------------------------------------------------------- */

static void mark_write(struct qd_plan *p, int v, int step)
{
    struct qd_value *r = &p->value[qd_plan_root(p, v, NULL)];

    r->first = QD_MIN(r->first, step);
    r->last = QD_MAX(r->last, step);
}

static void mark_read(struct qd_plan *p, int v, int step, int border)
{
    struct qd_value *r = &p->value[qd_plan_root(p, v, NULL)];

    r->last = QD_MAX(r->last, step);
    r->border = QD_MAX(r->border, border);
}

static void lifetimes(struct qd_plan *p, const struct qd_graph *g, bool keep_all)
{
    for (int v = 0; v < p->nvalues; v++) {
        p->value[v].first = INT_MAX;
        p->value[v].last = -1;
    }
    mark_write(p, 0, -1);
    for (int i = 0; i < g->nlayers; i++) {
        const struct qd_layer *l = &g->layer[i];
        const struct qd_step *s = &p->step[i];
        bool runs = s->layer >= 0 && l->type->forward;
        if (runs && (l->place == QD_PLACE_OWN || l->place == QD_PLACE_CONCAT))
            mark_write(p, s->out, i);
        for (int k = 0; k < l->nin; k++)
            if (!p->value[l->in[k] + 1].none)
                mark_read(p, l->in[k] + 1, i, l->border[k]);
    }
    for (int v = 0; v < p->nvalues; v++)
        if ((p->value[v].kept || keep_all || v == 0) && !p->value[v].none)
            mark_read(p, v, INT_MAX, 0);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static bool meet(const struct qd_span *a, const struct qd_span *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which 'v' fits beside the n spans in 'placed', which ascend by offset. */
static size_t lowest_fit(const struct qd_span *s, const int *placed, int n, const struct qd_span *v)
{
    size_t at = 0;

    for (int k = 0; k < n; k++) {
        const struct qd_span *o = &s[placed[k]];
        if (!meet(o, v))
            continue;
        if (o->offset >= at + v->floats)
            break;
        at = QD_MAX(at, o->offset + o->floats);
    }
    return at;
}

static void insert(int *list, int n, int at, int v)
{
    memmove(list + at + 1, list + at, (size_t)(n - at) * sizeof(*list));
    list[at] = v;
}

static void find_alone(struct qd_span *s, const int *placed, int n)
{
    size_t end = 0; /* of everything before */

    for (int k = 0; k < n; k++) {
        struct qd_span *r = &s[placed[k]];
        r->alone =
            r->offset >= end && (k + 1 == n || s[placed[k + 1]].offset >= r->offset + r->floats);
        end = QD_MAX(end, r->offset + r->floats);
    }
}

/* Largest first, each at the lowest free place: the usual heuristic for packing by lifetime. */
int qd_span_place(struct qd_span *s, int n, size_t *floats, struct qd_error *err)
{
    int *list = qd_alloc(2 * (size_t)n, sizeof(*list), err), *placed = list + n;
    int ret = 0;

    if (!list)
        return -1;
    for (int k = 0; k < n; k++) {
        int j = k;
        for (; j > 0 && s[list[j - 1]].floats < s[k].floats; j--)
            list[j] = list[j - 1];
        list[j] = k;
    }
    *floats = 0;
    for (int k = 0; ret == 0 && k < n; k++) {
        struct qd_span *r = &s[list[k]];
        size_t end;
        int j = 0;
        r->floats = qd_round_up(r->floats, QD_ALIGN / sizeof(float));
        r->offset = lowest_fit(s, placed, k, r);
        if (!qd_add_size(r->offset, r->floats, &end))
            ret = qd_error_nomem(err, SIZE_MAX);
        *floats = QD_MAX(*floats, end);
        while (j < k && s[placed[j]].offset <= r->offset)
            j++;
        insert(placed, k, j, list[k]);
    }
    find_alone(s, placed, n);
    qd_free(list);
    return ret;
}

static bool lives(const struct qd_plan *p, int v)
{
    return p->value[v].parent == v && !p->value[v].none && p->value[v].first != INT_MAX;
}

int qd_plan_shape(struct qd_plan *p, const struct qd_graph *g, struct qd_error *err)
{
    for (int v = 0; v < p->nvalues; v++) {
        const struct qd_layer *l = v ? &g->layer[v - 1] : NULL;
        int nhwc[4] = {p->batch, l ? l->h : g->h, l ? l->w : g->w, l ? l->c : g->c};
        struct qd_value *r = &p->value[v];
        if (!lives(p, v))
            continue;
        if (!qd_tensor_shape(&r->t, nhwc, r->border, &r->floats))
            return qd_error_at(err, QD_ENOMEM, qd_cfg_name(g->cfg), l ? l->line : 0,
                "a tensor of %d x %d x %d x %d is too large", nhwc[0], nhwc[1], nhwc[2], nhwc[3]);
        r->floats = qd_round_up(r->floats, QD_ALIGN / sizeof(float));
    }
    return 0;
}

/* Give the roots their offsets.  Those that share memory must have their border zeroed in every
 * pass. */
static int allocate(struct qd_plan *p, struct qd_arena *a, struct qd_error *err)
{
    struct qd_span *s = qd_arena_alloc(a, (size_t)p->nvalues, sizeof(*s), err);
    int n = 0;

    if (!s)
        return -1;
    for (int v = 0; v < p->nvalues; v++)
        if (lives(p, v))
            s[n++] =
                (struct qd_span){p->value[v].floats, p->value[v].first, p->value[v].last, 0, false};
    if (qd_span_place(s, n, &p->floats, err) < 0)
        return -1;
    for (int v = p->nvalues - 1; v >= 0; v--)
        if (lives(p, v)) {
            n--;
            p->value[v].offset = s[n].offset;
            p->value[v].alone = s[n].alone;
        }
    return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

int qd_plan_make(struct qd_plan *p, struct qd_graph *g, const struct qd_ops *ops, int batch,
    bool keep_all, struct qd_arena *a, struct qd_error *err)
{
    size_t n = (size_t)g->nlayers + 1;

    *p = (struct qd_plan){.batch = batch, .nvalues = (int)n, .nsteps = g->nlayers};
    p->value = qd_arena_alloc(a, n, sizeof(*p->value), err);
    p->step = qd_arena_alloc(a, n, sizeof(*p->step), err);
    if (!p->value || !p->step)
        return -1;
    for (int i = 0; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nin; k++)
            p->value[g->layer[i].in[k] + 1].readers++;
    p->value[0].t.c = g->c;
    for (int i = 0; i < g->nlayers; i++) {
        p->step[i] = (struct qd_step){.layer = i, .out = i + 1, .add = -1, .fuse.add = -1};
        p->value[i + 1].kept = p->value[i + 1].readers == 0 || g->layer[i].type->head;
    }
    for (int i = g->nlayers - 1; i > 0; i--) /* what a kept alias shows is kept as well */
        if (p->value[i + 1].kept && g->layer[i].place == QD_PLACE_ALIAS)
            p->value[g->layer[i].in[0] + 1].kept = true;
    if (place_values(p, g, a, err) < 0)
        return -1;
    for (int i = 0; i < g->nlayers && !keep_all; i++)
        fuse_layer(p, g, ops, &g->layer[i]);
    for (int i = 0; i < g->nlayers; i++)
        p->value[i + 1].none |= g->layer[i].deferred;
    lifetimes(p, g, keep_all);
    return qd_plan_shape(p, g, err) < 0 || allocate(p, a, err) < 0 ? -1 : 0;
}

void qd_plan_place(struct qd_plan *p, float *mem)
{
    for (int v = 0; v < p->nvalues; v++) {
        struct qd_value *r = &p->value[v];
        if (r->parent == v && r->floats)
            qd_tensor_place(&r->t, mem + r->offset);
    }
    for (int v = 0; v < p->nvalues; v++) {
        int from, c = p->value[v].t.c, root = qd_plan_root(p, v, &from);
        if (root != v && !p->value[v].none)
            p->value[v].t = qd_tensor_slice(&p->value[root].t, from, c);
    }
}
