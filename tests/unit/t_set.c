/* SPDX-License-Identifier: MIT */
/*
 * The sets of layers of sparse training on the shipped architectures, against the published tables
 * (spec compression.md 1.2 and 2.6), and on small nets against rules that no published one shows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "base/base.h"
#include "prune/set.h"

struct opened {
    struct qd_cfg *cfg;
    struct qd_graph *graph;
    struct qd_groups *groups;
};

static struct opened take(struct qd_cfg *cfg, struct qd_error *err)
{
    struct opened o = {.cfg = cfg};

    o.graph = cfg ? qd_graph_new(cfg, 0, 0, true, err) : NULL;
    o.groups = o.graph ? qd_groups_new(o.graph, err) : NULL;
    if (!o.groups) {
        printf("Bail out! %s\n", err->msg);
        exit(99);
    }
    return o;
}

static struct opened shipped(const char *name)
{
    struct qd_error err = {0};
    char path[64];

    snprintf(path, sizeof(path), "cfg/%s.cfg", name);
    return take(qd_cfg_load(path, &err), &err);
}

static struct opened small(const char *text)
{
    struct qd_error err = {0};

    return take(qd_cfg_parse(text, strlen(text), "t.cfg", &err), &err);
}

static void shut(struct opened *o)
{
    qd_groups_free(o->groups);
    qd_graph_free(o->graph);
    qd_cfg_free(o->cfg);
}

/* "3 6 9": the layers of a set; with 'all', those of that set that are not in s. */
static const char *listed(const struct qd_set *s, const struct qd_set *all)
{
    static char text[1024];
    int at = 0, k = 0;

    text[0] = 0;
    for (int i = 0; i < (all ? all : s)->n; i++) {
        int layer = (all ? all : s)->layer[i];
        if (all && k < s->n && s->layer[k] == layer) {
            k++;
            continue;
        }
        at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%d", at ? " " : "", layer);
    }
    return text;
}

/* Kind -1: all scaled layers. */
static struct qd_set get(const struct opened *o, int kind)
{
    struct qd_error err = {0};
    struct qd_set s;
    int ret = kind < 0 ? qd_set_scaled(&s, o->groups, &err)
                       : qd_set_sparse(&s, o->groups, (enum qd_sparse)kind, &err);

    OK(ret == 0, "set %d: %s", kind, err.msg);
    return s;
}

struct fixture {
    const char *name;
    int n[4], channels[4];  /* scaled layers, types 0, 1, 2 */
    const char *without[2]; /* layers that types 0 and 1 leave out, or NULL */
};

static const struct fixture fixtures[] = {
    {"yolov3", {72, 42, 70, 23}, {26304, 13376, 25920, 10560},
        {"1 3 5 7 10 12 14 17 20 23 26 29 32 35 37 39 42 45 48 51 54 57 60 62 64 67 70 73 84 96",
            "84 96"}},
    {"yolov3-spp", {73, 42, 70, 23}, {26816, 13376, 25920, 10560}, {NULL, "77 91 103"}},
    {"yolov3-tiny", {11, 10, 10, 0}, {3184, 3056, 3056, 0}, {"18", "18"}},
    {"yolov4", {107, 76, 104, 23}, {33152, 25920, 32256, 5312},
        {"4 6 14 16 19 27 29 32 35 38 41 44 47 50 58 60 63 66 69 72 75 78 81 89 91 94 97 100 107 "
         "117 127",
            "107 117 127"}},
    {"yolov4-tiny", {19, 15, 15, 0}, {3104, 2528, 2528, 0}, {"2 10 18 32", "2 10 18 32"}},
    {"yolov3-mobilenet", {52, 19, 35, 10}, {15712, 9088, 10312, 792}, {NULL, NULL}},
    {"yolov3-tiny-mobilenet-small", {28, 6, 16, 6}, {5216, 2080, 2632, 344}, {NULL, NULL}},
    /* The published table is of a variant whose passthrough is no [reorg].  That of the original is
     * 64 channels more, which go through its map and therefore all stay. */
    {"yolov2", {22, 21, 21, 0}, {10336, 10272, 10272, 0}, {"26", "26"}},
    /* Of the small ones the original for VOC has the published widths, that for COCO ends with half
     * as many. */
    {"yolov2-tiny-voc", {8, 8, 8, 0}, {3056, 3056, 3056, 0}, {"", ""}},
    {"yolov2-tiny", {8, 8, 8, 0}, {2544, 2544, 2544, 0}, {"", ""}},
};

static void tables(void)
{
    for (size_t i = 0; i < QD_LEN(fixtures); i++) {
        const struct fixture *f = &fixtures[i];
        struct opened o = shipped(f->name);
        struct qd_set all = get(&o, -1);
        for (int k = 0; k < 4; k++) {
            struct qd_set s = get(&o, k - 1);
            OK(s.n == f->n[k] && (int)s.channels == f->channels[k],
                "%s, type %d: %d layers of %zu channels, not %d of %d", f->name, k - 1, s.n,
                s.channels, f->n[k], f->channels[k]);
            if ((k == 1 || k == 2) && f->without[k - 1])
                IS_STR(
                    listed(&s, &all), f->without[k - 1], "%s, type %d: left out", f->name, k - 1);
            qd_set_free(&s);
        }
        qd_set_free(&all);
        shut(&o);
    }
}

/* "1:3 5:7,10": residual groups of more than one layer. */
static const char *residuals(const struct opened *o)
{
    static char text[1024];
    struct qd_error err = {0};
    int n = o->graph->nlayers, at = 0, *root = calloc((size_t)n, sizeof(*root));

    text[0] = 0;
    if (!root || !OK(qd_set_roots(root, o->groups, &err) == 0, "roots: %s", err.msg))
        n = 0;
    for (int r = 0; r < n; r++) {
        int members = 0;
        for (int i = r + 1; i < n && root[r] == r; i++) {
            if (root[i] != r)
                continue;
            at += members ? snprintf(text + at, sizeof(text) - (size_t)at, ",%d", i)
                          : snprintf(text + at, sizeof(text) - (size_t)at, "%s%d:%d", at ? " " : "",
                                r, i);
            members++;
        }
    }
    free(root);
    return text;
}

static void groups(void)
{
    struct opened o = shipped("yolov3");

    IS_STR(residuals(&o),
        "1:3 5:7,10 12:14,17,20,23,26,29,32,35 37:39,42,45,48,51,54,57,60 62:64,67,70,73",
        "residual groups of yolov3");
    shut(&o);
    o = shipped("yolov3-tiny");
    IS_STR(residuals(&o), "", "yolov3-tiny has none");
    shut(&o);
}

#define CONV(n) "[convolutional]\nbatch_normalize=1\nfilters=" #n "\nactivation=leaky\n"
#define DW "[depthwise]\nbatch_normalize=1\n"
#define RAW(n) "[convolutional]\nfilters=" #n "\nactivation=leaky\n"
#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n"
#define END "[convolutional]\nfilters=2\nactivation=linear\n"

/* What the published rules miss or cannot see. */
static void rules(void)
{
    static const struct {
        const char *what, *text, *want[4]; /* scaled, types 0, 1, 2 */
    } list[] = {
        {"a sum that begins at a concatenation",
            NET CONV(2) CONV(2) "[route]\nlayers=-1,-2\n" CONV(4)
                CONV(4) "[shortcut]\nfrom=-3\n" END,
            {"0 1 3 4", "3", "0 1 3 4", "4"}},
        {"an upsampled sum",
            NET CONV(4) CONV(4) "[shortcut]\nfrom=-2\n[upsample]\nstride=2\n" CONV(2) END,
            {"0 1 4", "4", "4", "1"}},
        {"a grouped convolution",
            NET CONV(4) "[convolutional]\nbatch_normalize=1\nfilters=4\ngroups=2\n" CONV(2) END,
            {"0 1 2", "2", "2", ""}},
        {"a depthwise convolution behind a pool",
            NET CONV(4) "[maxpool]\nsize=2\nstride=2\n[depthwise]\nbatch_normalize=1\n" CONV(2) END,
            {"0 3", "3", "3", ""}},
        {"shared parameters",
            NET CONV(2) CONV(2) "[convolutional]\nbatch_normalize=1\nfilters=2\nactivation="
                                "leaky\nshare_index=1\n" CONV(3) END,
            {"0 1 3", "3", "3", ""}},
        {"a sum with more channels than the other source",
            NET CONV(2) CONV(3) "[shortcut]\nfrom=-2\n" CONV(2) END, {"0 1 3", "3", "0 1 3", "1"}},
        {"a last layer with batch normalization", NET CONV(2) CONV(3), {"0 1", "0", "0", ""}},
        {"a sum with what the input's channels went through",
            NET "[maxpool]\nsize=3\n" CONV(3) "[shortcut]\nfrom=-2\n" CONV(2) END,
            {"1 3", "3", "3", "1"}},
    };

    for (size_t i = 0; i < QD_LEN(list); i++) {
        struct opened o = small(list[i].text);
        for (int k = 0; k < 4; k++) {
            struct qd_set s = get(&o, k - 1);
            IS_STR(listed(&s, NULL), list[i].want[k], "%s: type %d", list[i].what, k - 1);
            qd_set_free(&s);
        }
        shut(&o);
    }
}

/* "0 1": layers that are judged by others. */
static const char *judged(const struct opened *o)
{
    static char text[64];
    bool j[16] = {false};
    int at = 0;

    text[0] = 0;
    qd_set_judged(o->groups, j);
    for (int i = 0; i < o->graph->nlayers; i++)
        if (j[i])
            at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%d", at ? " " : "", i);
    return text;
}

static void judges(void)
{
    static const struct {
        const char *what, *text, *want;
    } list[] = {
        {"a sum", NET RAW(4) CONV(4) "[shortcut]\nfrom=-2\n" END, ""},
        {"a sum that is normalized", NET RAW(4) CONV(4) "[shortcut]\nfrom=-2\n[batchnorm]\n" END,
            "1 2"},
        {"a gate",
            NET CONV(4) DW "[avgpool]\n" RAW(2) RAW(4) "[scale_channels]\nfrom=1\n" CONV(4) END,
            "0 4"},
        {"a product of two", NET RAW(4) RAW(4) "[sam]\nfrom=-2\n" END, "1"},
    };

    for (size_t i = 0; i < QD_LEN(list); i++) {
        struct opened o = small(list[i].text);
        IS_STR(judged(&o), list[i].want, "%s", list[i].what);
        shut(&o);
    }
}

static int count(const struct opened *o, const char *section)
{
    int n = 0;

    for (int i = 0; i < o->graph->nlayers; i++)
        n += strcmp(o->graph->layer[i].type->section, section) == 0;
    return n;
}

/* A layer is of the set that prunes everything, its channels count once. */
static void last_factors(void)
{
    static const struct {
        const char *what, *text, *want;
    } list[] = {
        {"depthwise", NET CONV(4) CONV(8) DW CONV(4) "[shortcut]\nfrom=-4\n" END, "0 2 3"},
        {"two of them", NET CONV(8) DW DW CONV(4) END, "2 3"},
        {"behind a pool", NET CONV(4) "[maxpool]\nsize=2\n" DW CONV(4) END, "2 3"},
        {"squeeze-excite", NET CONV(8) DW "[se]\n" CONV(4) END, "1 3"},
        {"squeeze-excite in front", NET CONV(8) "[se]\n" DW CONV(4) END, "2 3"},
        {"no batch normalization", NET CONV(8) "[depthwise]\n" CONV(4) END, "0 2"},
        {"read before it, too", NET CONV(8) DW "[route]\nlayers=-1,-2\n" CONV(4) END, "0 1 3"},
        {"batch normalization of a sum",
            NET "[convolutional]\nfilters=4\n" CONV(4) "[shortcut]\nfrom=-2\n[batchnorm]\n" END,
            "3"},
        {"and of a sum that goes on",
            NET "[convolutional]\nfilters=4\n" CONV(4) "[shortcut]\nfrom=-2\n[batchnorm]\n" CONV(
                4) "[shortcut]\nfrom=-3\n" END,
            "1 3 4"},
        {"groups of a route",
            NET CONV(8) "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" DW
                        "[route]\nlayers=0,-1\n" END,
            "0 2"},
        {"a pyramid, enlarged",
            NET CONV(4) "[maxpool]\nsize=3\nstride=1\n[route]\nlayers=-1,-2\n[upsample]\n" END,
            "0"},
        {"shared parameters, with which channels are mixed",
            NET CONV(3) CONV(3) "[convolutional]\nbatch_normalize=1\nfilters=3\nactivation="
                                "leaky\nshare_index=-1\n" DW CONV(3) END,
            "0 1 3 4"},
        {"inputs go through", NET DW CONV(4) END, "1"},
    };
    static const struct {
        const char *name;
        int n, channels;
    } whole[] = {{"yolov3", 72, 26304}, {"yolov3-spp", 73, 26816}, {"yolov4", 107, 33152},
        {"yolov4-tiny", 19, 3104}, {"yolov2", 21, 10272}};

    for (size_t i = 0; i < QD_LEN(list); i++) {
        struct opened o = small(list[i].text);
        struct qd_set s = get(&o, QD_SPARSE_ALL);
        IS_STR(listed(&s, NULL), list[i].want, "%s", list[i].what);
        qd_set_free(&s);
        shut(&o);
    }
    for (size_t i = 0; i < QD_LEN(whole); i++) {
        struct opened o = shipped(whole[i].name);
        struct qd_set s = get(&o, QD_SPARSE_ALL);
        OK(s.n == whole[i].n && (int)s.channels == whole[i].channels,
            "%s: %d layers of %zu channels", whole[i].name, s.n, s.channels);
        qd_set_free(&s);
        shut(&o);
    }
    for (int i = 0; i < 2; i++) {
        struct opened o = shipped(i ? "yolov3-mobilenet" : "yolov3-tiny-mobilenet-small");
        struct qd_set s = get(&o, QD_SPARSE_ALL), scaled = get(&o, -1);
        OK(s.n == scaled.n, "as many layers as make channels: %d of %d", s.n, scaled.n);
        int dw = 0;
        for (int k = 0; k < s.n; k++)
            dw += strcmp(o.graph->layer[s.layer[k]].type->section, "depthwise") == 0;
        OK(dw && dw == count(&o, "depthwise"), "%d depthwise convolutions", dw);
        qd_set_free(&s);
        qd_set_free(&scaled);
        shut(&o);
    }
}

static void memory(void)
{
    struct opened o = small(NET CONV(2) CONV(2) "[shortcut]\nfrom=-2\n" END);
    struct qd_set s;
    int root[4];

    for (int kind = 0; kind <= QD_SPARSE_ALL; kind++)
        for (int n = 1; n <= 2; n++) {
            struct qd_error err = {0};
            qd_alloc_fail_at(n);
            int ret = qd_set_sparse(&s, o.groups, (enum qd_sparse)kind, &err);
            qd_alloc_fail_at(0);
            OK(ret < 0 && err.code == QD_ENOMEM && !s.layer, "type %d: allocation %d", kind, n);
        }
    struct qd_error err = {0};
    qd_alloc_fail_at(1);
    OK(qd_set_scaled(&s, o.groups, &err) < 0 && !s.layer, "scaled layers");
    qd_alloc_fail_at(1);
    OK(qd_set_roots(root, o.groups, &err) < 0, "roots");
    qd_alloc_fail_at(0);
    shut(&o);
}

int main(void)
{
    tables();
    groups();
    rules();
    last_factors();
    judges();
    memory();
    return tap_done();
}
