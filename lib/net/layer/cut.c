/* SPDX-License-Identifier: MIT */
/*
 * Cutting channels out of a layer: what the layer types share for it.
 */
#include "net/layer/cut.h"

#include "base/error.h"
#include "net/graph.h"

const bool *qd_cut_of(const struct qd_cut *cut, int layer)
{
    return cut->stays + cut->first[layer + 1];
}

int qd_cut_count(const struct qd_cut *cut, int layer)
{
    int n = 0;

    for (int i = cut->first[layer + 1]; i < cut->first[layer + 2]; i++)
        n += cut->stays[i];
    return n;
}

int qd_layer_set(const struct qd_layer *l, struct qd_cfg *cfg, const char *key, int old, int value,
    struct qd_error *err)
{
    char text[16];

    if (value == old)
        return 0;
    snprintf(text, sizeof(text), "%d", value);
    return qd_cfg_set(cfg, l->index + 1, key, text, err);
}

float *qd_cut_copy(const float *from, float *to, const bool *stays, int n, size_t each)
{
    for (int i = 0; i < n; i++) {
        if (!stays[i])
            continue;
        memcpy(to, from + (size_t)i * each, each * sizeof(*to));
        to += each;
    }
    return to;
}

void qd_slice_channels(const struct qd_layer *l, const struct qd_layer *less,
    const struct qd_cut *cut, const float *from, float *to)
{
    const bool *stays = qd_cut_of(cut, l->index);

    for (int k = 0; k < l->nparams; k++) {
        float *at = to + less->param[k].offset;
        for (size_t i = 0; i < l->param[k].count; i += (size_t)l->c)
            at = qd_cut_copy(from + l->param[k].offset + i, at, stays, l->c, 1);
    }
}

float *qd_absorb_at(const struct qd_absorb *a, int layer)
{
    return a->value + a->cut->first[layer + 1];
}

int qd_absorb_still(
    const struct qd_layer *l, const struct qd_absorb *a, int source, struct qd_error *err)
{
    const bool *out = qd_cut_of(a->cut, l->index);
    const float *in = qd_absorb_at(a, l->in[source]);

    for (int c = 0; c < l->c; c++)
        if (out[c] && in[c] != 0)
            return qd_error_at(err, QD_EUNSUP, qd_cfg_name(l->graph->cfg), l->line,
                "layer %d, [%s], cannot take up a constant that channel %d of layer %d has lost",
                l->index, l->type->section, c, l->in[source]);
    return 0;
}

int qd_absorb_refuse(const struct qd_absorb *a, const struct qd_layer *l, struct qd_channel c,
    const char *why, struct qd_error *err)
{
    if (a->why) {
        a->why[a->cut->first[c.layer + 1] + c.c] = why;
        return 0;
    }
    return qd_error_at(err, QD_EUNSUP, qd_cfg_name(l->graph->cfg), l->line,
        "layer %d, [%s], cannot take up the constant of dead channel %d of layer %d: %s", l->index,
        l->type->section, c.c, c.layer, why);
}
