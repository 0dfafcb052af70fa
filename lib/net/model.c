/* SPDX-License-Identifier: MIT */
/*
 * A model is a cfg and the block of its parameters.  It can be loaded, saved, filled with random
 * numbers and described; to run it, make a net from it.
 */
#include "net/model.h"

#include <math.h>

#include "base/error.h"
#include "base/par.h"
#include "base/rng.h"
#include "format/weights.h"

struct qd_model *qd_model_make(struct qd_cfg *cfg, bool quiet, struct qd_error *err)
{
    struct qd_model *m = cfg ? qd_alloc(1, sizeof(*m), err) : NULL;

    if (!m) {
        qd_cfg_free(cfg);
        return NULL;
    }
    m->cfg = cfg;
    m->graph = qd_graph_new(cfg, 0, 0, quiet, err);
    if (m->graph)
        m->params = qd_alloc(m->graph->nparams, sizeof(float), err);
    if (!m->params) {
        qd_model_free(m);
        return NULL;
    }
    for (int i = 0; i < m->graph->nlayers; i++)
        for (int k = 0; k < m->graph->layer[i].nparams; k++) {
            const struct qd_param *p = &m->graph->layer[i].param[k];
            if (p->flags & QD_PARAM_VAR && !(p->flags & QD_PARAM_SHARED))
                for (size_t j = 0; j < p->count; j++)
                    m->params[p->offset + j] = 1;
        }
    return m;
}

struct qd_model *qd_model_copy(const struct qd_model *m, struct qd_error *err)
{
    struct qd_cfg *cfg = qd_cfg_copy(m->cfg, err);
    struct qd_model *copy = cfg ? qd_model_make(cfg, true, err) : NULL;

    if (copy) {
        memcpy(copy->params, m->params, m->graph->nparams * sizeof(*m->params));
        copy->seen = m->seen;
    }
    return copy;
}

struct qd_model *qd_model_new(struct qd_cfg *cfg, struct qd_error *err)
{
    return qd_model_make(cfg, false, err);
}

void qd_model_free(struct qd_model *m)
{
    if (!m)
        return;
    qd_graph_free(m->graph);
    qd_cfg_free(m->cfg);
    qd_free(m->params);
    qd_free(m);
}

const struct qd_cfg *qd_model_cfg(const struct qd_model *m)
{
    return m->cfg;
}

/* The arrays of the weights file: all of them to save; to load those that the file holds. */
static struct qd_warray *list_arrays(
    const struct qd_model *m, bool load, size_t *n, struct qd_error *err)
{
    const struct qd_graph *g = m->graph;
    size_t count = 0;
    int skip = QD_PARAM_SHARED | (load ? QD_PARAM_UNLOADED : 0);

    for (int i = 0; i < g->nlayers; i++)
        count += (size_t)g->layer[i].nparams;
    struct qd_warray *a = qd_alloc(count, sizeof(*a), err);
    *n = 0;
    for (int i = 0; a && i < g->nlayers; i++) {
        const struct qd_layer *l = &g->layer[i];
        for (int k = 0; k < l->nparams; k++) {
            const struct qd_param *p = &l->param[k];
            if (!(p->flags & skip))
                a[(*n)++] = (struct qd_warray){.layer = i,
                    .type = l->type->section,
                    .name = p->name,
                    .data = m->params + p->offset,
                    .count = p->count};
        }
    }
    return a;
}

int qd_model_load(struct qd_model *m, const char *path, const struct qd_load_opts *opts,
    struct qd_load_info *info, struct qd_error *err)
{
    struct qd_load_info local;
    struct qd_wheader header = {0};
    size_t n;
    struct qd_warray *a = list_arrays(m, true, &n, err);

    if (!a)
        return -1;
    int ret = qd_weights_read(path, a, n, opts, info ? info : &local, &header, err);
    qd_free(a);
    if (ret < 0)
        return -1;
    m->seen = header.seen;
    for (int i = 0; header.transposed && i < m->graph->nlayers; i++) {
        const struct qd_layer *l = &m->graph->layer[i];
        if (strcmp(l->type->section, "connected") == 0)
            return qd_error_at(err, QD_EUNSUP, path, 0,
                "weights of layer %d are stored transposed, as very old darknets did", i);
    }
    return 0;
}

int qd_model_save(const struct qd_model *m, const char *path, bool force, struct qd_error *err)
{
    size_t n;
    struct qd_warray *a = list_arrays(m, false, &n, err);

    if (!a)
        return -1;
    int ret = qd_weights_write(path, force, m->seen, a, n, err);
    qd_free(a);
    return ret;
}

/*
 * Every block of an array draws from a stream of its own, so that a change in one layer leaves the
 * others and the number of threads changes nothing.
 */
enum { FILL_BLOCK = 65536 };

struct fill {
    const struct qd_param *p;
    float *x;
    uint64_t seed, stream;
};

static void fill_block(void *ctx, int block, int thread)
{
    const struct fill *f = ctx;
    size_t from = (size_t)block * FILL_BLOCK, n = QD_MIN(f->p->count - from, (size_t)FILL_BLOCK);
    float dev = sqrtf(2.f / (float)QD_MAX(f->p->fan_in, 1));
    struct qd_rng r = qd_rng_new(f->seed, f->stream << 32 | (uint64_t)block);

    (void)thread;
    qd_rng_normals(&r, f->x + from, n);
    for (size_t i = from; i < from + n; i++)
        f->x[i] *= dev;
}

static void fill(const struct qd_param *p, float *x, uint64_t seed, uint64_t stream)
{
    struct fill f = {p, x, seed, stream};
    float start = p->flags & (QD_PARAM_INIT_ONE | QD_PARAM_VAR) ? 1
                  : p->flags & QD_PARAM_INIT_QUARTER            ? .25f
                                                                : 0;

    if (p->flags & QD_PARAM_INIT_HE) {
        qd_par((int)((p->count + FILL_BLOCK - 1) / FILL_BLOCK), fill_block, &f);
        return;
    }
    for (size_t i = 0; i < p->count; i++)
        x[i] = start;
}

void qd_model_randomize(struct qd_model *m, uint64_t seed)
{
    for (int i = 0; i < m->graph->nlayers; i++) {
        const struct qd_layer *l = &m->graph->layer[i];
        for (int k = 0; k < l->nparams; k++)
            if (!(l->param[k].flags & QD_PARAM_SHARED))
                fill(&l->param[k], m->params + l->param[k].offset, seed,
                    (uint64_t)i * QD_LEN(l->param) + (uint64_t)k);
    }
    m->seen = 0;
}

int qd_model_layers(const struct qd_model *m)
{
    return m->graph->nlayers;
}

void qd_model_layer(const struct qd_model *m, int i, struct qd_layer_info *info)
{
    const struct qd_layer *l = &m->graph->layer[i];

    *info = (struct qd_layer_info){.section = l->type->section,
        .line = l->line,
        .nin = l->nin,
        .h = l->h,
        .w = l->w,
        .c = l->c,
        .ih = l->ih,
        .iw = l->iw,
        .ic = l->ic,
        .macs = l->type->macs ? l->type->macs(l) : 0};
    for (size_t k = 0; k < QD_LEN(info->in) && (int)k < l->nin; k++)
        info->in[k] = l->in[k];
    snprintf(info->detail, sizeof(info->detail), "%s", l->detail);
    for (int k = 0; k < l->nparams; k++) {
        const struct qd_param *p = &l->param[k];
        if (p->flags & QD_PARAM_SHARED)
            continue;
        info->params += p->count;
        info->trained += p->flags & QD_PARAM_STAT ? 0 : p->count;
    }
}

void qd_model_size(const struct qd_model *m, int *h, int *w, int *c)
{
    *h = m->graph->h;
    *w = m->graph->w;
    *c = m->graph->c;
}

int qd_model_classes(const struct qd_model *m)
{
    const struct qd_graph *g = m->graph;

    for (int i = g->nlayers - 1; i >= 0; i--)
        if (g->layer[i].type->head) {
            struct qd_head head = {0};
            g->layer[i].type->head(&g->layer[i], &head);
            return head.classes;
        }
    return 0;
}
