/* SPDX-License-Identifier: MIT */
/*
 * Channel groups: what each layer type ties and keeps, on small nets that are written out whole;
 * that the shipped architectures can be built with any set of groups taken out; and, by experiment,
 * that nothing feeds the channels of a group but what its members own.
 */
#include <time.h>

#include "cfgs_rig.h"
#include "layer_rig.h"
#include "net/layer/convlike.h"
#include "prune/group.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n"
#define CONV(n)                                                                                    \
    "[convolutional]\nbatch_normalize=1\nfilters=" #n "\nsize=3\npad=1\nactivation=leaky\n"
#define HALF(n)                                                                                    \
    "[convolutional]\nbatch_normalize=1\nfilters=" #n                                              \
    "\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
#define GROUPED(n, g)                                                                              \
    "[convolutional]\nbatch_normalize=1\nfilters=" #n "\ngroups=" #g                               \
    "\nsize=3\npad=1\nactivation=leaky\n"
#define DEPTHWISE "[depthwise]\nbatch_normalize=1\nsize=3\npad=1\nactivation=leaky\n"
#define END "[convolutional]\nfilters=2\nactivation=linear\n"
#define ADD(f) "[shortcut]\nfrom=" #f "\nactivation=linear\n"

/* Channels of the input and of every layer: a letter for each group that can go, # for those that
 * are kept. */
static const char *shown(const struct qd_groups *g)
{
    static char text[512];
    char letter[512];
    int at = 0, free = 0;

    if (!OK(g->nchannels + g->graph->nlayers + 1 < (int)sizeof(text), "fits"))
        return "";
    for (int k = 0; k < g->ngroups; k++)
        letter[k] = g->why[k] ? '#' : (char)('a' + free++);
    for (int l = -1; l < g->graph->nlayers; l++) {
        for (int i = g->first[l + 1]; i < g->first[l + 2]; i++)
            text[at++] = letter[g->group[i]];
        text[at++] = ' ';
    }
    text[at - 1] = 0;
    return text;
}

static struct qd_model *model(const char *text)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (!m) {
        printf("Bail out! %s\n", err.msg);
        exit(99);
    }
    return m;
}

/* A partition lists every channel once. */
static bool whole(const struct qd_groups *g)
{
    int at = 0;

    for (int k = 0; k < g->ngroups; k++) {
        if (g->begin[k] != at || g->begin[k + 1] <= at)
            return false;
        for (; at < g->begin[k + 1]; at++)
            if (g->group[g->member[at]] != k ||
                (at > g->begin[k] && g->member[at] <= g->member[at - 1]))
                return false;
    }
    return at == g->nchannels;
}

static const struct {
    const char *what, *text, *want;
} relation[] = {
    {"chain", NET CONV(2) "[maxpool]\nsize=2\nstride=2\n" CONV(3) END, "### ab ab cde ##"},
    {"residual", NET CONV(2) CONV(3) CONV(2) ADD(-3) END, "### ab cde ab ab ##"},
    {"weighted residual of three",
        NET CONV(2) CONV(2) CONV(2) "[shortcut]\nfrom=-2,-3\nweights_type=per_channel\n"
                                    "weights_normalization=softmax\n" END,
        "### ab ab ab ab ##"},
    {"a wider source", NET CONV(3) CONV(2) ADD(-2) END, "### abc ab ab ##"},
    {"a narrower source", NET CONV(2) CONV(3) ADD(-2) END, "### ab abc abc ##"},
    {"a larger source", NET CONV(2) HALF(3) ADD(-2) END, "### ab abc abc ##"},
    {"grouped route",
        NET CONV(4) "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" CONV(
            2) "[route]\nlayers=-1,-3\n" END,
        "### abab ab cd cdabab ##"},
    {"groups of two sources",
        NET CONV(2) CONV(4) "[route]\nlayers=-1,-2\ngroups=2\ngroup_id=0\n" END,
        "### aa bcbc bca ##"},
    {"SPP",
        NET CONV(2) "[maxpool]\nsize=3\nstride=1\n[route]\nlayers=-2\n"
                    "[maxpool]\nsize=5\nstride=1\n[route]\nlayers=-1,-3,-4\n" END,
        "### ab ab ab ab ababab ##"},
    {"upsample and concatenation",
        NET CONV(2) HALF(3) "[upsample]\nstride=2\n[route]\nlayers=-1,-3\n" END,
        "### ab cde cde cdeab ##"},
    {"MobileNet block", NET CONV(2) CONV(4) DEPTHWISE CONV(2) ADD(-4) END,
        "### ab cdef cdef ab ab ##"},
    {"MobileNet block with squeeze-excite",
        NET CONV(2) CONV(4) DEPTHWISE "[se]\n" CONV(2) ADD(-5) END,
        "### ab cdef cdef cdef ab ab ##"},
    {"depthwise as groups", NET CONV(3) GROUPED(3, 3) END, "### abc abc ##"},
    {"depthwise multiplier", NET CONV(2) GROUPED(4, 2) END, "### ab aabb ##"},
    {"depthwise of one channel", NET CONV(1) DEPTHWISE CONV(1) END, "### a a b ##"},
    {"grouped convolution", NET CONV(4) GROUPED(6, 2) END, "### abab cdecde ##"},
    {"depthwise on the input", NET DEPTHWISE CONV(2) END, "### ### ab ##"},
    {"shared parameters",
        NET CONV(2) CONV(2) "[convolutional]\nbatch_normalize=1\nfilters=2\nsize=3\npad=1\n"
                            "activation=leaky\nshare_index=-1\n" END,
        "### ab ab ab ##"},
    {"scale_channels", NET CONV(2) "[avgpool]\n" CONV(3) CONV(2) "[scale_channels]\nfrom=0\n" END,
        "### ab ab cde ab ab ##"},
    {"scale_channels of pixels", NET CONV(2) CONV(1) "[scale_channels]\nfrom=-2\nscale_wh=1\n" END,
        "### ab # ab ##"},
    {"sam", NET CONV(2) CONV(2) "[sam]\nfrom=-2\n" END, "### ab ab ab ##"},
    {"reorg", NET CONV(4) "[reorg]\nstride=2\n" END, "### #### ################ ##"},
    {"reorg3d", NET CONV(2) "[reorg3d]\nstride=2\n" END, "### ab abababab ##"},
    {"reorg3d back", NET CONV(8) "[reorg3d]\nstride=2\nreverse=1\n" END, "### abababab ab ##"},
    {"maximum over channels", NET CONV(2) "[maxpool]\nmaxpool_depth=1\n" END, "### ## # ##"},
    {"same channels",
        NET CONV(2) "[batchnorm]\n[activation]\nactivation=relu\n[dropout]\n"
                    "[local_avgpool]\nsize=2\n[upsample]\nstride=2\n"
                    "[crop]\ncrop_width=4\ncrop_height=4\n" END,
        "### ab ab ab ab ab ab ab ##"},
    {"activation over channels",
        NET "[convolutional]\nfilters=2\nactivation=normalize_channels\n" END, "### ## ##"},
    {"classifier",
        NET CONV(2) "[connected]\noutput=3\nactivation=leaky\n[connected]\noutput=2\n"
                    "[softmax]\n[cost]\n",
        "### ab cde ## ## ##"},
    {"segmenter", NET CONV(2) CONV(2) "[logistic]\n", "### ab ## ##"},
    {"detector",
        NET CONV(2) "[convolutional]\nfilters=6\nactivation=linear\n"
                    "[yolo]\nclasses=1\nnum=1\nanchors=2,2\n",
        "### ab ###### ######"},
};

static void relations(void)
{
    for (size_t i = 0; i < QD_LEN(relation); i++) {
        struct qd_error err = {0};
        struct qd_model *m = model(relation[i].text);
        struct qd_groups *g = qd_groups_new(m->graph, &err);
        if (OK(g, "%s: %s", relation[i].what, err.msg)) {
            IS_STR(shown(g), relation[i].want, "%s", relation[i].what);
            OK(whole(g), "%s: every channel is in one group", relation[i].what);
        }
        qd_groups_free(g);
        qd_model_free(m);
    }
}

static void reasons(void)
{
    struct qd_model *m = model(NET CONV(4) "[reorg]\nstride=2\n" CONV(
        6) "[yolo]\nclasses=1\nnum=1\nanchors=2,2\n" CONV(2));
    struct qd_error err = {0};
    struct qd_groups *g = qd_groups_new(m->graph, &err);

    if (OK(g, "groups: %s", err.msg)) {
        IS_STR(g->why[qd_groups_of(g, -1, 2)], "input of the net", "input");
        IS_STR(g->why[qd_groups_of(g, 0, 3)], "reorg mixes channels", "reorg");
        IS_STR(g->why[qd_groups_of(g, 2, 5)], "detection head", "source of a head");
        IS_STR(g->why[qd_groups_of(g, 4, 1)], "output of the net", "nobody reads it");
    }
    qd_groups_free(g);
    qd_model_free(m);
}

/* ---- the shipped architectures --------------------------------------------------------------- */

/* Groups to take out: some at random, but something of every layer stays. */
static void choose(const struct qd_groups *g, bool *dead)
{
    for (int k = 0; k < g->ngroups; k++)
        dead[k] = !g->why[k] && tap_rand() % 5 < 2;
    for (int l = 0; l < g->graph->nlayers; l++)
        if (!qd_groups_alive(g, l, dead))
            dead[qd_groups_of(g, l, 0)] = false;
}

static bool set_key(struct qd_cfg *cfg, int layer, const char *key, int value)
{
    char text[64];
    struct qd_error err = {0};

    snprintf(text, sizeof(text), "%d.%s=%d", layer, key, value);
    return qd_cfg_override(cfg, text, &err) == 0;
}

/* The widths that are left, written into the cfg. */
static bool narrow(struct qd_cfg *cfg, const struct qd_groups *g, const bool *dead)
{
    bool ok = true;

    for (int i = 0; i < g->graph->nlayers && ok; i++) {
        const struct qd_layer *l = &g->graph->layer[i];
        int c = qd_groups_alive(g, i, dead), ic = qd_groups_alive(g, l->in[0], dead);
        if (l->type->channels == qd_convlike_channels) {
            const struct qd_convlike *v = l->priv;
            ok = set_key(cfg, i, strcmp(l->type->section, "connected") ? "filters" : "output", c);
            ok = ok && (!v->single || set_key(cfg, i, "groups", ic));
        } else if (strcmp(l->type->section, "se") == 0) {
            ok = set_key(cfg, i, "filters", c) && set_key(cfg, i, "reduction", 1);
        }
    }
    return ok;
}

static bool heads_kept(const struct qd_groups *g)
{
    for (int i = 0; i < g->graph->nlayers; i++) {
        const struct qd_layer *l = &g->graph->layer[i];
        for (int c = 0; l->type->head && c < l->ic; c++) {
            const char *why = g->why[qd_groups_of(g, l->in[0], c)];
            if (!why || strcmp(why, "detection head") != 0)
                return false;
        }
    }
    return true;
}

static void shipped(const char *path)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_load(path, &err), *less = cfg ? qd_cfg_copy(cfg, &err) : NULL;
    struct qd_graph *graph = less ? qd_graph_new(cfg, 0, 0, true, &err) : NULL, *small = NULL;
    clock_t start = clock();
    struct qd_groups *g = graph ? qd_groups_new(graph, &err) : NULL;
    double s = (double)(clock() - start) / CLOCKS_PER_SEC;
    bool *dead = g ? calloc((size_t)g->ngroups, sizeof(*dead)) : NULL, same = true;
    int out = 0;

    if (!OK(dead, "%s: %s", path, err.msg))
        goto done;
    OK(whole(g) && heads_kept(g), "%s: a partition, and heads keep their channels", path);
    OK(s < .5, "%s: %d channels in %g s", path, g->nchannels, s);
    choose(g, dead);
    for (int k = 0; k < g->ngroups; k++)
        out += dead[k];
    OK(out > g->ngroups / 8, "%s: %d of %d groups go", path, out, g->ngroups);
    if (OK(narrow(less, g, dead), "%s: narrower", path))
        small = qd_graph_new(less, 0, 0, true, &err);
    if (!OK(small, "%s is built without %d of %d groups: %s", path, out, g->ngroups, err.msg))
        goto done;
    for (int i = 0; i < graph->nlayers; i++)
        same &= small->layer[i].c == qd_groups_alive(g, i, dead);
    OK(same, "%s: every layer is as wide as its groups say", path);
done:
    free(dead);
    qd_groups_free(g);
    qd_graph_free(small);
    qd_graph_free(graph);
    qd_cfg_free(less);
    qd_cfg_free(cfg);
}

static void all_shipped(void)
{
    const char *real;

    rig_each_cfg(shipped);
    real = tap_shared("models/yolo-fastest-1.1.cfg");
    if (real)
        shipped(real);
}

/* ---- the experiment -------------------------------------------------------------------------- */

/* Zero what makes channel c of a layer: its filter, bias and factor. */
static void silence(const struct qd_layer *l, int c, float *params)
{
    const struct qd_param *w = qd_layer_find_param(l, "weights");
    const struct qd_param *bias = qd_layer_find_param(l, "biases");
    const struct qd_param *scale = qd_layer_find_param(l, "scales");

    if (w && w->fan_in)
        memset(params + w->offset + (size_t)c * (size_t)w->fan_in, 0,
            (size_t)w->fan_in * sizeof(float));
    if (bias)
        params[bias->offset + (size_t)c] = 0;
    if (scale)
        params[scale->offset + (size_t)c] = 0;
}

/* Change the weights that read channel c of source 0. */
static void disturb(const struct qd_layer *l, int c, float *params)
{
    if (l->type->channels == qd_convlike_channels) {
        const struct qd_conv_geom *g = &((const struct qd_convlike *)l->priv)->g;
        const struct qd_param *w = qd_layer_find_param(l, "weights");
        int cg = g->c / g->groups, kg = g->k / g->groups, taps = g->rh * g->rw;
        for (int k = c / cg * kg; k < (c / cg + 1) * kg; k++)
            for (int t = 0; t < taps; t++)
                params[w->offset + (size_t)((k * cg + c % cg) * taps + t)] += tap_randf(1, 2);
    } else if (strcmp(l->type->section, "se") == 0) {
        int inner = (int)(l->param[0].count / (size_t)l->c);
        for (int k = 0; k < inner; k++) {
            params[l->param[0].offset + (size_t)(k * l->c + c)] += tap_randf(1, 2);
            params[l->param[1].offset + (size_t)(c * inner + k)] += tap_randf(1, 2);
        }
    }
}

static void disturb_readers(const struct qd_groups *g, int group, float *params)
{
    for (int i = 0; i < g->graph->nlayers; i++) {
        const struct qd_layer *l = &g->graph->layer[i];
        for (int c = 0; c < l->ic; c++)
            if (qd_groups_of(g, l->in[0], c) == group)
                disturb(l, c, params);
    }
}

/* The last layer's output with these parameters. */
static void answer(struct rig *r, const float *params, float *out)
{
    struct qd_error err = {0};
    int last = r->m->graph->nlayers - 1;

    for (int i = 0; i <= last; i++)
        qd_net_pack_layer(r->net, i, params);
    qd_net_forward(r->net);
    OK(qd_net_output(r->net, last, 0, out, &err) == 0, "output %s", err.msg);
}

enum { MAX_OUT = 2 * 16 * 16 };

/* Whether the outputs depend on who reads the group when all that makes it is silent, but for the
 * members of layer 'but'. */
static bool heard(struct rig *r, const struct qd_groups *g, int group, bool quiet, int but)
{
    static float before[MAX_OUT], after[MAX_OUT];
    size_t bytes = r->m->graph->nparams * sizeof(float);
    const struct qd_layer *last = &r->m->graph->layer[r->m->graph->nlayers - 1];
    size_t n = (size_t)(last->h * last->w * last->c);
    float *params = rig_mem(r, bytes);

    OK(n <= MAX_OUT, "room");
    memcpy(params, r->m->params, bytes);
    for (int i = g->begin[group]; quiet && i < g->begin[group + 1]; i++) {
        int owner = g->owner[g->member[i]];
        if (owner != but)
            silence(&g->graph->layer[owner], g->member[i] - g->first[owner + 1], params);
    }
    answer(r, params, before);
    disturb_readers(g, group, params);
    answer(r, params, after);
    return memcmp(before, after, n * sizeof(float)) != 0;
}

/* 'member': a layer that the groups need; without it they are not silent (-1: none). */
static void experiment(const char *what, const char *text, int member)
{
    struct rig r = rig_open(text, 1, true);
    struct qd_error err = {0};
    struct qd_groups *g = qd_groups_new(r.m->graph, &err);
    int count = 0, parts = 0;

    if (!OK(g, "%s: %s", what, err.msg))
        goto done;
    for (int k = 0; k < g->ngroups; k++) {
        bool part = false;
        if (g->why[k])
            continue;
        count++;
        OK(!heard(&r, g, k, true, -2), "%s: group %d is silent", what, k);
        OK(heard(&r, g, k, false, -2), "%s: group %d is not, left alone", what, k);
        for (int i = g->begin[k]; i < g->begin[k + 1]; i++)
            part |= g->owner[g->member[i]] == member;
        if (part)
            OK(heard(&r, g, k, true, member), "%s: nor without layer %d", what, member);
        parts += part;
    }
    OK(count > 1 && (parts || member < 0), "%s: %d groups", what, count);
done:
    qd_groups_free(g);
    rig_close(&r);
}

static void experiments(void)
{
    experiment("chain", NET CONV(4) "[maxpool]\nsize=2\nstride=2\n" CONV(3) END, -1);
    experiment("residual", NET CONV(3) CONV(4) CONV(3) ADD(-3) CONV(3) ADD(-2) END, 2);
    experiment("weighted residual",
        NET CONV(3) CONV(3) CONV(3) "[shortcut]\nfrom=-2,-3\nweights_type=per_feature\n"
                                    "weights_normalization=relu\n" END,
        1);
    experiment("channels unequal", NET CONV(4) HALF(6) ADD(-2) CONV(3) END, 0);
    experiment("grouped route",
        NET CONV(6) "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" CONV(3)
            CONV(3) "[route]\nlayers=-1,-2\n" CONV(4) "[route]\nlayers=0,-1\n" END,
        -1);
    experiment("SPP",
        NET CONV(3) "[maxpool]\nsize=3\nstride=1\n[route]\nlayers=-2\n"
                    "[maxpool]\nsize=5\nstride=1\n[route]\nlayers=-1,-3,-4\n" CONV(2) END,
        -1);
    experiment("upsample",
        NET CONV(3) HALF(4) "[upsample]\nstride=2\n[route]\nlayers=-1,-3\n" CONV(3) END, -1);
    experiment("MobileNet block", NET CONV(2) CONV(8) DEPTHWISE CONV(2) ADD(-4) END, 2);
    experiment("MobileNet block with squeeze-excite",
        NET CONV(2) CONV(8) DEPTHWISE "[se]\n" CONV(2) ADD(-5) END, 2);
    experiment("multiplier", NET CONV(3) GROUPED(6, 3) CONV(2) END, 1);
    experiment("groups", NET CONV(6) GROUPED(6, 2) GROUPED(4, 2) END, -1);
    experiment("scale_channels",
        NET CONV(3) "[avgpool]\n" CONV(4) CONV(3) "[scale_channels]\nfrom=0\n" CONV(2) END, -1);
    experiment("sam", NET CONV(3) CONV(3) "[sam]\nfrom=-2\n" CONV(2) END, -1);
    experiment("reorg3d", NET CONV(3) "[reorg3d]\nstride=2\n" CONV(2) END, -1);
    experiment("connected", NET CONV(3) "[connected]\noutput=4\nactivation=leaky\n" END, -1);
    experiment("batchnorm",
        NET CONV(3) "[batchnorm]\n[activation]\nactivation=mish\n[local_avgpool]\nsize=2\n" END, 1);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void limits(void)
{
    static char text[1 << 16];
    struct qd_error err = {0};
    int at = snprintf(text, sizeof(text),
        "[net]\nwidth=1\nheight=1\nchannels=1\n"
        "[convolutional]\nfilters=65536\n");
    struct qd_model *m = model(NET CONV(2) CONV(2) ADD(-2) END);
    struct qd_groups *g;
    long n = 0;

    do { /* every allocation fails once */
        err = (struct qd_error){0};
        qd_alloc_fail_at(++n);
        g = qd_groups_new(m->graph, &err);
        qd_alloc_fail_at(0);
        OK(g || err.code == QD_ENOMEM, "allocation %ld fails", n);
    } while (!g && n < 100);
    OK(g && n > 1, "and none after %ld", n);
    qd_groups_free(g);
    qd_model_free(m);

    for (int i = 0; i < 1100; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, "[dropout]\n");
    struct qd_cfg *cfg = qd_cfg_parse(text, (size_t)at, "t.cfg", &err);
    struct qd_graph *graph = cfg ? qd_graph_new(cfg, 0, 0, true, &err) : NULL;
    err = (struct qd_error){0};
    g = graph ? qd_groups_new(graph, &err) : NULL;
    OK(graph && !g && err.code == QD_EUNSUP, "too many channels");
    IS_STR(err.msg, "the layers have more than 67108864 channels", "message");
    qd_graph_free(graph);
    qd_cfg_free(cfg);
}

int main(void)
{
    relations();
    reasons();
    all_shipped();
    experiments();
    limits();
    return tap_done();
}
