/* SPDX-License-Identifier: MIT */
/*
 * layer-channel (spec compression.md 2.9): first channels, by rule slim or, when widths must be
 * multiples of a base, by rule shortcut; then residual units of what is left, by rule layer.
 */
#include "prune/prune.h"

/* What the first stage says besides its models. */
static void join(struct qd_pruned *p, const struct qd_pruned *first)
{
    p->percent = first->percent;
    p->limit = first->limit;
    p->threshold = first->threshold;
    p->small = first->small;
    p->raised = first->raised;
    p->blocked += first->blocked;
    p->why = first->why ? first->why : p->why;
    for (int i = 0; i < p->compact->graph->nlayers; i++)
        p->origin[i] = first->origin[p->origin[i]];
}

static int step(struct qd_pruned *p, const struct qd_model *m, const struct qd_prune_opts *o,
    size_t *steps, struct qd_error *err)
{
    const struct qd_rule *channels = o->base ? &qd_rule_shortcut : &qd_rule_slim;
    struct qd_pruned first = {0};
    size_t units;
    int ret = -1;

    if (qd_prune_step(&first, m, channels, o, steps, err) < 0 ||
        qd_verify_step(first.masked, first.compact, o, NULL, err) < 0)
        goto done;
    qd_model_free(first.masked);
    first.masked = NULL;
    ret = qd_prune_step(p, first.compact, &qd_rule_layer, o, &units, err);
    if (ret == 0)
        join(p, &first);
done:
    qd_pruned_free(&first);
    return ret;
}

const struct qd_rule qd_rule_layer_channel = {
    .percent = .6f, .set = QD_SPARSE_SHORTCUT, .step = step};
