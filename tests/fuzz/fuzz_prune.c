/* SPDX-License-Identifier: MIT */
/*
 * Pruning: what a rule makes of a net is verified, is a cfg that can be read again and gives the
 * same outputs then, leaves every layer a channel, and is the net itself at percent 0.  A rule may
 * refuse a net, but not after a cut that went wrong.
 *
 * The input is a line of options, one character each (see options()), and a cfg; a cfg alone gets
 * the rule's defaults.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/rng.h"
#include "format/cfg.h"
#include "net/model.h"

enum { LAYERS = 48, VALUES = 1 << 17, PARAMS = 1 << 17, WORK = 1 << 23 };

static void fail(void)
{
    __builtin_trap();
}

struct input {
    const uint8_t *option;
    size_t noptions;
    const char *text;
    size_t size;
};

static struct input split(const uint8_t *data, size_t size)
{
    struct input in = {.text = (const char *)data, .size = size};
    const uint8_t *end = size && *data != '[' && *data != '#' ? memchr(data, '\n', size) : NULL;

    if (end) {
        in.option = data;
        in.noptions = (size_t)(end - data);
        in.text = (const char *)end + 1;
        in.size = size - in.noptions - 1;
    }
    return in;
}

/* Option k, 0 .. n - 1: the character's distance from '0'. */
static int option(const struct input *in, size_t k, int n)
{
    return k < in->noptions ? (uint8_t)(in->option[k] - '0') % n : 0;
}

/* ---- the net -----------------------------------------------------------------------------------
 */

/* A net that is run in milliseconds. */
static bool small(const struct qd_graph *g)
{
    double values = (double)g->h * g->w * g->c, work = 0;

    for (int i = 0; i < g->nlayers; i++) {
        const struct qd_layer *l = &g->layer[i];
        double maps = (double)l->h * l->w, params = 0;
        for (int k = 0; k < l->nparams; k++)
            params += (double)l->param[k].count;
        values += maps * l->c;
        work += maps * (params + l->c);
        for (int k = 0; k < l->nin; k++)
            work += (double)l->border[k] * l->border[k] * maps * l->c;
    }
    return g->nlayers <= LAYERS && g->nparams <= PARAMS && values <= VALUES && work <= WORK;
}

/* Variances and scales around 1, a few factors of 0, everything else of ordinary size. */
static void fill(struct qd_model *m, uint64_t seed)
{
    struct qd_rng r = qd_rng_new(seed, 7);

    for (int i = 0; i < m->graph->nlayers; i++)
        for (int k = 0; k < m->graph->layer[i].nparams; k++) {
            const struct qd_param *p = &m->graph->layer[i].param[k];
            float *x = m->params + p->offset, dev = p->fan_in ? 1 / (float)p->fan_in : .5f;
            bool one = p->flags & (QD_PARAM_VAR | QD_PARAM_INIT_ONE);
            for (size_t j = 0; j < p->count && !(p->flags & QD_PARAM_SHARED); j++)
                x[j] = one ? qd_rng_range(&r, .5f, 1.5f) : qd_rng_range(&r, -dev, dev);
            if (p->count && !(p->flags & (QD_PARAM_VAR | QD_PARAM_SHARED)) && seed % 3 == 1)
                x[qd_rng_below(&r, (uint32_t)p->count)] = 0;
        }
}

static struct qd_model *model(const struct input *in)
{
    struct qd_cfg *cfg = qd_cfg_parse(in->text, in->size, "a.cfg", NULL);
    struct qd_graph *g = cfg ? qd_graph_new(cfg, 0, 0, true, NULL) : NULL;
    bool good = g && small(g);

    qd_graph_free(g);
    if (good)
        return qd_model_make(cfg, true, NULL);
    qd_cfg_free(cfg);
    return NULL;
}

/* ---- the rule ----------------------------------------------------------------------------------
 */

static const char *options(
    struct qd_prune_opts *o, struct qd_prune_range range[2], const struct input *in, int nlayers)
{
    static const float percents[] = {-1, 0, .1f, .3f, .5f, .7f, .9f, .99f};
    static const int bases[] = {0, 1, 2, 8, 1 << 20}, widths[] = {0, 1, 3, 1 << 20};
    static const float keeps[] = {-1, 0, .1f, .5f, 1};
    static const double goals[] = {.5, .9, .1, 2000};
    int n = 0, half = option(in, 7, nlayers);

    while (qd_prune_rules()[n])
        n++;
    *o = (struct qd_prune_opts)QD_PRUNE_OPTS_INIT;
    o->percent = percents[option(in, 1, QD_LEN(percents))];
    o->base = bases[option(in, 2, QD_LEN(bases))];
    o->merge = (enum qd_merge)option(in, 3, QD_MERGE_LEAST + 1);
    o->min_channels = widths[option(in, 4, QD_LEN(widths))];
    o->layer_keep = keeps[option(in, 5, QD_LEN(keeps))];
    o->shortcuts = option(in, 6, 6) - 1;
    o->strict = option(in, 8, 4) == 1;
    o->all = option(in, 9, 2);
    o->max_score = option(in, 10, 2);
    o->target = option(in, 11, 8) < QD_TARGET_MS ? (enum qd_target)option(in, 11, 8) : 0;
    o->goal = goals[option(in, 12, QD_LEN(goals))];
    o->seed = (uint64_t)option(in, 13, 64);
    const char *rule = qd_prune_rules()[option(in, 0, n)];
    if (strcmp(rule, "group") == 0) {
        float p = o->percent < 0 ? .5f : o->percent;
        range[0] = (struct qd_prune_range){0, half, p};
        range[1] = (struct qd_prune_range){half + 1, nlayers - 1, p / 2};
        o->ranges = range;
        o->nranges = 1 + (half < nlayers - 1);
    }
    return rule;
}

/* ---- the result --------------------------------------------------------------------------------
 */

static bool same_layers(const struct qd_graph *a, const struct qd_graph *b)
{
    bool same = a->nlayers == b->nlayers && a->nparams == b->nparams;

    for (int i = 0; same && i < a->nlayers; i++)
        same = a->layer[i].type == b->layer[i].type && a->layer[i].c == b->layer[i].c &&
               a->layer[i].h == b->layer[i].h && a->layer[i].w == b->layer[i].w;
    return same;
}

/* What is printed can be read again and is the same net. */
static void read_again(const struct qd_model *m)
{
    struct qd_buf text = {0};
    double far = 1;

    qd_cfg_print(m->cfg, &text);
    struct qd_cfg *cfg = qd_cfg_parse(text.data, text.len, "b.cfg", NULL);
    struct qd_model *again = cfg ? qd_model_make(cfg, true, NULL) : NULL;
    if (!again || !same_layers(m->graph, again->graph))
        fail();
    memcpy(again->params, m->params, m->graph->nparams * sizeof(float));
    if (qd_verify(m, again, NULL, &far, NULL) < 0 || far != 0)
        fail();
    qd_model_free(again);
    qd_buf_free(&text);
}

static void equal(const struct qd_model *a, const struct qd_model *b)
{
    struct qd_buf one = {0}, two = {0};

    qd_cfg_print(a->cfg, &one);
    qd_cfg_print(b->cfg, &two);
    if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0 ||
        a->graph->nparams != b->graph->nparams ||
        memcmp(a->params, b->params, a->graph->nparams * sizeof(float)) != 0)
        fail();
    qd_buf_free(&one);
    qd_buf_free(&two);
}

static void judge(const struct qd_model *m, const struct qd_pruned *p)
{
    const struct qd_graph *g = p->compact->graph;

    if (!(p->difference <= 1e-4) || g->nlayers < 1 || g->nlayers > m->graph->nlayers ||
        !same_layers(m->graph, p->masked->graph) !=
            (p->masked->graph->nparams != m->graph->nparams))
        fail();
    if (p->units < 0 || p->raised < 0 || p->blocked < 0 || !(p->small >= 0 && p->small <= 1))
        fail();
    for (int i = 0; i < g->nlayers; i++) {
        const struct qd_layer *old;
        if (p->origin[i] < 0 || p->origin[i] >= m->graph->nlayers ||
            (i && p->origin[i] <= p->origin[i - 1]))
            fail();
        old = &m->graph->layer[p->origin[i]];
        if (g->layer[i].type != old->type || g->layer[i].c < 1 || g->layer[i].c > old->c)
            fail();
    }
    read_again(p->compact);
}

/* A verification that fails is a cut that went wrong, but for numbers that float32 does not hold
 * and activations that jump. */
static bool jumps(const struct qd_model *m, const struct qd_error *err)
{
    struct qd_buf text = {0};

    qd_cfg_print(m->cfg, &text);
    bool jump = err->code == QD_EDIVERGED || strstr(text.data, "stair") ||
                strstr(text.data, "maxval") || strstr(text.data, "norm_chan");
    qd_buf_free(&text);
    return jump;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = split(data, size);
    struct qd_model *m = model(&in), *before;
    struct qd_prune_opts o;
    struct qd_prune_range range[2];
    struct qd_error err = {0};
    struct qd_pruned p;

    if (!m)
        return 0;
    const char *rule = options(&o, range, &in, m->graph->nlayers);
    fill(m, o.seed);
    before = qd_model_copy(m, NULL);
    if (!before)
        fail();
    if (qd_prune(&p, m, rule, &o, &err) == 0) {
        judge(m, &p);
        if (o.percent == 0 && o.shortcuts == 0 && o.target == QD_TARGET_NONE)
            equal(m, p.compact);
        qd_pruned_free(&p);
    } else if (err.code == QD_OK || !*err.msg || strchr(err.msg, '\n') ||
               (strstr(err.msg, "do not compute the same") && !jumps(m, &err))) {
        fail();
    }
    equal(before, m);
    qd_model_free(before);
    qd_model_free(m);
    return 0;
}
