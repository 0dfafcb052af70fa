/* SPDX-License-Identifier: MIT */
/*
 * Choosing channels: the examples of spec compression.md 2.2 (threshold and limit), 2.5 (widths),
 * 2.6 (sums follow their first layer), 2.10 (merging), ties, least widths, ranges of layers,
 * options that are refused, targets against every threshold that there is.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "net/model.h"
#include "prune/rule.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n"
#define CONV(n) "[convolutional]\nbatch_normalize=1\nfilters=" #n "\nactivation=leaky\n"
#define ADD(f) "[shortcut]\nfrom=" #f "\nactivation=linear\n"
#define END "[convolutional]\nfilters=2\nactivation=linear\n"

static float *array(const struct qd_model *m, int layer, const char *name)
{
    return m->params + qd_layer_find_param(&m->graph->layer[layer], name)->offset;
}

/* The biases of a layer are the numbers of its channels, so that it can be told which are left. */
static struct qd_model *model(const char *text)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (!m) {
        printf("Bail out! %s\n", err.msg);
        exit(99);
    }
    qd_model_randomize(m, 1);
    for (int i = 0; i < m->graph->nlayers; i++)
        for (int c = 0; c < m->graph->layer[i].c && m->graph->layer[i].nparams; c++)
            array(m, i, "biases")[c] = (float)c;
    return m;
}

static void scale(struct qd_model *m, int layer, const float *factor)
{
    float *to = array(m, layer, "scales");

    for (int c = 0; c < m->graph->layer[layer].c; c++)
        to[c] = c % 2 ? -factor[c] : factor[c]; /* signs do not matter */
}

/* "0 2": which channels are left of a layer. */
static const char *left(const struct qd_pruned *p, int layer)
{
    static char text[1024];
    int at = 0;

    text[0] = 0;
    for (int c = 0; p->compact && c < p->compact->graph->layer[layer].c; c++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%g", at ? " " : "",
            (double)array(p->compact, layer, "biases")[c]);
    return text;
}

static struct qd_pruned prune(
    const struct qd_model *m, const char *rule, const struct qd_prune_opts *o, const char *what)
{
    struct qd_error err = {0};
    struct qd_pruned p;

    OK(qd_prune(&p, m, rule, o, &err) == 0, "%s: %s %s", what, rule, err.msg);
    return p;
}

static void refuse(
    const struct qd_model *m, const char *rule, const struct qd_prune_opts *o, const char *want)
{
    struct qd_error err = {0};
    struct qd_pruned p;

    OK(qd_prune(&p, m, rule, o, &err) < 0 && err.code == QD_EARG && !p.masked && !p.compact,
        "%s is refused", rule);
    IS_STR(err.msg, want, "%s", rule);
}

static struct qd_prune_opts at(float percent)
{
    struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;

    o.percent = percent;
    return o;
}

/* 2.2: .1 .5 .9, .2 .3 .4 .8; one half is factor number 3, .4; the limit is 5/7. */
static void threshold(void)
{
    struct qd_model *m = model(NET CONV(3) CONV(4) END);
    struct qd_prune_opts o = at(.5f);
    struct qd_pruned p;

    scale(m, 0, (float[]){.1f, .5f, .9f});
    scale(m, 1, (float[]){.2f, .3f, .4f, .8f});
    p = prune(m, "normal", &o, "2.2");
    IS_STR(left(&p, 0), "1 2", "normal, layer 0");
    IS_STR(left(&p, 1), "2 3", "normal, layer 1");
    NEAR(p.threshold, .4, 1e-6, 0, "threshold");
    NEAR(p.limit, 5. / 7, 1e-6, 0, "limit");
    NEAR(p.percent, .5, 0, 0, "percent");
    OK(p.raised == 0 && p.blocked == 0 && !p.why && p.units == 0, "nothing else happened");
    OK(p.difference >= 0 && p.difference < 1e-4, "difference %g", p.difference);
    for (int i = 0; i < 3; i++)
        OK(p.origin[i] == i, "layer %d was layer %d", i, p.origin[i]);
    OK(p.masked->graph->layer[0].c == 3 && array(p.masked, 0, "scales")[0] == 0, "masked");
    qd_pruned_free(&p);
    p = prune(m, "slim", &o, "2.2");
    IS_STR(left(&p, 0), "1 2", "slim, layer 0");
    IS_STR(left(&p, 1), "3", "slim, layer 1");
    qd_pruned_free(&p);

    o = at(5.f / 7);
    o.strict = true;
    p = prune(m, "normal", &o, "at the limit");
    IS_STR(left(&p, 0), "2", "layer 0");
    IS_STR(left(&p, 1), "3", "layer 1");
    qd_pruned_free(&p);
    refuse(m, "slim", &o, "percent 0.714286 takes all channels of layer 1, the limit is 0.714286");
    o.percent = .9f;
    refuse(m, "normal", &o, "percent 0.9 takes all channels of layer 1, the limit is 0.714286");
    o.strict = false;
    p = prune(m, "normal", &o, "beyond the limit");
    IS_STR(left(&p, 1), "3", "the largest stays");
    OK(p.raised == 1, "%d layers were raised", p.raised);
    qd_pruned_free(&p);
    scale(m, 1, (float[]){.5f, .5f, .5f, .5f});
    o.percent = 0;
    p = prune(m, "normal", &o, "a tie at the limit");
    NEAR(p.limit, 1. / 7, 1e-6, 0, "the first of them counts");
    qd_pruned_free(&p);
    qd_model_free(m);
}

/* .7f is below 7/10, still it is factor number 7 of 10. */
static void fractions(void)
{
    struct qd_model *m = model(NET CONV(10) END);
    struct qd_pruned p;
    float factor[10];

    for (int c = 0; c < 10; c++)
        factor[c] = (float)c + 1;
    scale(m, 0, factor);
    for (int k = 0; k < 10; k++) {
        struct qd_prune_opts o = at((float)k / 10);
        p = prune(m, "normal", &o, "tenths");
        OK(p.compact->graph->layer[0].c == 10 - k, ".%d leaves %d", k,
            p.compact->graph->layer[0].c);
        qd_pruned_free(&p);
    }
    qd_model_free(m);
}

/* How many channels rule regular leaves of c when the threshold leaves k. */
static int rounded(int c, int k, int base)
{
    char text[256];
    struct qd_prune_opts o = at(((float)(c - k) + .5f) / (float)c);
    struct qd_model *m;
    struct qd_pruned p;
    float *factor = malloc((size_t)c * sizeof(*factor));

    snprintf(text, sizeof(text),
        NET "[convolutional]\nbatch_normalize=1\nfilters=%d\nactivation=mish\n" END, c);
    m = model(text);
    for (int i = 0; i < c; i++)
        factor[i] = (float)(i * 37 % c + 1);
    scale(m, 0, factor);
    o.base = base;
    p = prune(m, "regular", &o, "2.5");
    int n = p.compact ? p.compact->graph->layer[0].c : -1;
    for (int i = 0; i < n; i++)
        OK(factor[(int)array(p.compact, 0, "biases")[i]] > (float)(c - n), "one of the largest");
    qd_pruned_free(&p);
    qd_model_free(m);
    free(factor);
    return n;
}

static void regular(void)
{
    static const struct {
        int c, k, base, want;
    } list[] = {
        {64, 33, 32, 64},
        {64, 32, 32, 32},
        {64, 1, 32, 32},
        {40, 33, 32, 40},
        {40, 5, 32, 32},
        {24, 1, 32, 24},
        {48, 33, 32, 48},
        {20, 17, 0, 20},
        {20, 16, 0, 16},
        {20, 9, 0, 16},
        {9, 3, 2, 4},
        {9, 9, 2, 9},
        {7, 3, 1, 3},
    };

    for (size_t i = 0; i < QD_LEN(list); i++) {
        int n = rounded(list[i].c, list[i].k, list[i].base);
        OK(n == list[i].want, "%d of %d, base %d: %d", list[i].k, list[i].c, list[i].base, n);
    }
}

/* The largest stay, of equal ones the first. */
static void ties(void)
{
    struct qd_model *m = model(NET CONV(6) END);
    struct qd_prune_opts o = at(.5f);
    struct qd_pruned p;

    scale(m, 0, (float[]){.5f, .5f, .5f, .5f, .5f, .5f});
    p = prune(m, "normal", &o, "equal factors");
    IS_STR(left(&p, 0), "0 1 2 3 4 5", "those at the threshold stay");
    qd_pruned_free(&p);
    p = prune(m, "slim", &o, "equal factors");
    IS_STR(left(&p, 0), "0", "the first stays");
    OK(p.raised == 1, "raised %d", p.raised);
    qd_pruned_free(&p);
    o.layer_keep = .5f;
    p = prune(m, "slim", &o, "half of a layer");
    IS_STR(left(&p, 0), "0 1 2", "the first three stay");
    qd_pruned_free(&p);
    scale(m, 0, (float[]){.1f, .3f, .9f, .3f, .3f, .2f});
    o = at(.9f);
    o.min_channels = 3;
    p = prune(m, "normal", &o, "three channels");
    IS_STR(left(&p, 0), "1 2 3", "the largest, of equal ones the first");
    OK(p.raised == 1, "raised %d", p.raised);
    qd_pruned_free(&p);
    o.min_channels = 100;
    p = prune(m, "normal", &o, "more than there are");
    IS_STR(left(&p, 0), "0 1 2 3 4 5", "all");
    qd_pruned_free(&p);
    o = at(.6f);
    o.base = 2;
    p = prune(m, "regular", &o, "base 2");
    IS_STR(left(&p, 0), "1 2 3 4", "a tie at the threshold keeps more, then a multiple");
    qd_pruned_free(&p);
    qd_model_free(m);
}

/* 2.6 and 8.4: a sum goes by its first layer, whose factors alone count. */
static void sums(void)
{
    struct qd_model *m = model(NET CONV(4) CONV(2) CONV(4) ADD(-3) CONV(2) CONV(4) ADD(-3) END);
    struct qd_prune_opts o = at(.5f);
    struct qd_pruned p;

    scale(m, 0, (float[]){.1f, .9f, .2f, .8f});
    scale(m, 1, (float[]){.3f, .7f});
    scale(m, 2, (float[]){5, .01f, 5, .01f});
    scale(m, 4, (float[]){.6f, .1f});
    scale(m, 5, (float[]){.01f, .01f, .01f, .01f});
    p = prune(m, "shortcut", &o, "2.6");
    NEAR(p.threshold, .6, 1e-6, 0, "factor 4 of .1 .1 .2 .3 .6 .7 .8 .9");
    NEAR(p.limit, 4. / 8, 1e-6, 0, "limit");
    IS_STR(left(&p, 0), "1 3", "root");
    IS_STR(left(&p, 2), "1 3", "as the root");
    IS_STR(left(&p, 5), "1 3", "as the root");
    IS_STR(left(&p, 1), "1", "an ordinary layer");
    IS_STR(left(&p, 4), "0", "an ordinary layer");
    qd_pruned_free(&p);
    p = prune(m, "normal", &o, "sums are not for this rule");
    IS_STR(left(&p, 0), "0 1 2 3", "sum");
    IS_STR(left(&p, 1), "1", "factor 2 of .1 .3 .6 .7");
    qd_pruned_free(&p);
    o.base = 3;
    p = prune(m, "shortcut", &o, "base");
    IS_STR(left(&p, 0), "1 2 3", "root");
    IS_STR(left(&p, 5), "1 2 3", "as the root");
    IS_STR(left(&p, 1), "0 1", "all when the multiple is more");
    qd_pruned_free(&p);
    qd_model_free(m);
}

/* Layers 0, 1, 3 add up with masks a, b, c at threshold .1. */
static void merge(const float a[4], const float b[4], const float c[4], const char *const want[4])
{
    static const char *const name[] = {"union", "majority", "root", "least"};
    struct qd_model *m = model(NET CONV(4) CONV(4) ADD(-2) CONV(4) ADD(-2) END);

    scale(m, 0, a);
    scale(m, 1, b);
    scale(m, 3, c);
    for (int k = 0; k < 4; k++) {
        struct qd_prune_opts o = at(.5f);
        o.merge = (enum qd_merge)k;
        o.layer_keep = 0;
        struct qd_pruned p = prune(m, "slim", &o, name[k]);
        for (int l = 0; l < 4; l += l ? 2 : 1)
            if (l != 2)
                IS_STR(left(&p, l), want[k], "%s, layer %d", name[k], l);
        IS_STR(left(&p, 3), want[k], "%s, layer 3", name[k]);
        qd_pruned_free(&p);
    }
    qd_model_free(m);
}

static void merges(void)
{
    const float y = 1, n = .1f;

    merge((float[]){y, n, y, n}, (float[]){n, n, y, n}, (float[]){y, n, n, y},
        (const char *const[]){"0 2 3", "0 2", "0 2", "2"});
    /* No channel has a majority: the largest factor of the first layer stays. */
    merge((float[]){n, 2, n, n}, (float[]){n, n, y, n}, (float[]){y, n, n, n},
        (const char *const[]){"0 1 2", "1", "1", "0"});
}

/* Sums of different widths: what only the wider layer has is for it to decide. */
static void unequal(void)
{
    struct qd_model *m = model(NET CONV(2) CONV(4) ADD(-2) END);
    struct qd_prune_opts o = at(.5f);
    struct qd_pruned p;

    scale(m, 0, (float[]){1, .1f});
    scale(m, 1, (float[]){.1f, .1f, .1f, 1});
    p = prune(m, "slim", &o, "unequal");
    IS_STR(left(&p, 0), "0", "the narrow one");
    IS_STR(left(&p, 1), "0 3", "the wide one");
    qd_pruned_free(&p);
    o.min_channels = 2;
    o.base = 3;
    p = prune(m, "slim", &o, "unequal");
    IS_STR(left(&p, 0), "0 1", "the narrow one is whole");
    IS_STR(left(&p, 1), "0 1 3", "the wide one has a multiple");
    qd_pruned_free(&p);
    qd_model_free(m);
}

/* A channel that cannot go is reported. */
static void blocked(void)
{
    struct qd_model *m =
        model(NET CONV(4) "[convolutional]\nfilters=4\nactivation=leaky\n" ADD(-2) CONV(4) END);
    struct qd_prune_opts o = at(.5f);
    struct qd_pruned p;

    scale(m, 0, (float[]){.1f, .1f, .1f, 9});
    scale(m, 3, (float[]){.1f, 1, 1, 1});
    p = prune(m, "slim", &o, "a layer without factors is in the sum");
    IS_STR(left(&p, 0), "0 1 2 3", "nothing goes");
    OK(p.blocked == 3 && p.why, "%d channels, '%s'", p.blocked, p.why ? p.why : "");
    qd_pruned_free(&p);
    qd_model_free(m);
}

static void ranges(void)
{
    struct qd_model *m = model(NET CONV(40) CONV(40) CONV(40) END);
    struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;
    struct qd_prune_range r[2] = {{0, 0, .5f}, {2, 3, .9f}};
    float factor[40];
    struct qd_pruned p;

    for (int c = 0; c < 40; c++)
        factor[c] = (float)c;
    for (int i = 0; i < 3; i++)
        scale(m, i, factor);
    refuse(m, "group", &o, "rule 'group' needs ranges of layers");
    o.ranges = r;
    o.nranges = 2;
    p = prune(m, "group", &o, "ranges");
    OK(p.compact->graph->layer[0].c == 19, "first: %d", p.compact->graph->layer[0].c);
    OK(p.compact->graph->layer[1].c == 40, "in no range: %d", p.compact->graph->layer[1].c);
    OK(p.compact->graph->layer[2].c == 16, "the least: %d", p.compact->graph->layer[2].c);
    NEAR(p.percent, 56. / 80, 1e-6, 0, "share");
    OK(p.raised == 1 && p.threshold == 0, "raised %d", p.raised);
    qd_pruned_free(&p);
    o.strict = true;
    p = prune(m, "group", &o, "strict");
    qd_pruned_free(&p);
    o.target = QD_TARGET_MACS;
    o.goal = .5;
    refuse(m, "group", &o, "rule 'group' has no percent to meet a goal with");
    o.target = QD_TARGET_NONE;
    r[1].last = 4;
    refuse(m, "group", &o, "the net of 4 layers has no range of layers 2-4");
    r[1] = (struct qd_prune_range){0, 1, .5f};
    refuse(m, "group", &o, "ranges of layers 0-0 and 0-1 overlap");
    r[1] = (struct qd_prune_range){3, 3, .5f};
    refuse(m, "group", &o, "no layer of 3-3 can be pruned");
    r[1] = (struct qd_prune_range){2, 2, 1};
    refuse(m, "group", &o, "percent must be at least 0 and below 1, not 1");
    qd_model_free(m);
}

static double params_of(const struct qd_model *m)
{
    double n = 0;

    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info info;
        qd_model_layer(m, i, &info);
        n += (double)info.trained;
    }
    return n;
}

static double macs_of(const struct qd_model *m)
{
    double n = 0;

    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info info;
        qd_model_layer(m, i, &info);
        n += (double)info.macs;
    }
    return n;
}

/* Against what every percent gives. */
static void target(const struct qd_model *m, const char *rule, enum qd_target what, double goal)
{
    double (*size)(const struct qd_model *) = what == QD_TARGET_MACS ? macs_of : params_of;
    double want = goal <= 1 ? goal * size(m) : goal, best = 0;
    struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;
    struct qd_pruned p;

    for (int k = 0; k < 400; k++) {
        o.percent = (float)k / 400;
        p = prune(m, rule, &o, "one of all");
        double is = size(p.compact);
        best = is <= want && is > best ? is : best;
        qd_pruned_free(&p);
    }
    o.target = what;
    o.goal = goal;
    p = prune(m, rule, &o, "target");
    NEAR(size(p.compact), best, 0, 0, "%s: goal %g of %g, percent %g", rule, want, size(m),
        (double)p.percent);
    qd_pruned_free(&p);
}

static void targets(void)
{
    struct qd_model *m = model(NET CONV(9) CONV(8) CONV(9) ADD(-3) CONV(7) END);
    struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_pruned p;

    for (int i = 0; i < 5; i++) {
        float factor[9];
        for (int c = 0; c < 9; c++)
            factor[c] = tap_randf(.1f, 1);
        if (i != 3)
            scale(m, i, factor);
    }
    target(m, "slim", QD_TARGET_PARAMS, .5);
    target(m, "normal", QD_TARGET_MACS, .7);
    target(m, "shortcut", QD_TARGET_MACS, 10000);
    target(m, "slim", QD_TARGET_PARAMS, 1);

    o.target = QD_TARGET_MS;
    o.goal = 1e9;
    p = prune(m, "slim", &o, "any time will do");
    OK(p.percent == 0, "percent %g", (double)p.percent);
    qd_pruned_free(&p);
    o.goal = 1e-9;
    OK(qd_prune(&p, m, "slim", &o, &err) < 0 && err.code == QD_EARG, "no time: %s", err.msg);
    o.target = QD_TARGET_PARAMS;
    o.goal = 2;
    refuse(m, "slim", &o, "the goal of 2 parameters cannot be reached, the least is 28");
    o.goal = 0;
    refuse(m, "slim", &o, "the goal must be above 0, not 0");
    qd_model_free(m);
}

static void arguments(void)
{
    struct qd_model *m = model(NET CONV(4) END), *none = model(NET END);
    struct qd_prune_opts o = at(1);
    struct qd_error err = {0};
    struct qd_pruned p;
    int n = 0;

    refuse(m, "nothing", &o, "no rule of pruning is called 'nothing'");
    refuse(m, "normal", &o, "percent must be at least 0 and below 1, not 1");
    o = at(NAN);
    refuse(m, "slim", &o, "percent must be at least 0 and below 1, not nan");
    o = at(.5f);
    o.layer_keep = 1.5f;
    refuse(m, "slim", &o, "layer_keep must be at most 1, not 1.5");
    o = at(.5f);
    o.base = -1;
    refuse(m, "regular", &o, "a number of channels or pixels is below 0");
    OK(qd_prune(&p, none, "slim", NULL, &err) < 0 && err.code == QD_EUNSUP, "%s", err.msg);
    array(m, 0, "scales")[1] = NAN;
    err = (struct qd_error){0};
    OK(qd_prune(&p, m, "slim", NULL, &err) < 0 && err.code == QD_EDIVERGED, "%s", err.msg);
    for (const char *const *r = qd_prune_rules(); *r; r++, n++)
        OK(qd_rule_find(*r), "rule %s", *r);
    OK(n >= 5, "%d rules", n);
    qd_model_free(m);
    qd_model_free(none);
}

int main(void)
{
    threshold();
    fractions();
    regular();
    ties();
    sums();
    merges();
    unequal();
    blocked();
    ranges();
    targets();
    arguments();
    return tap_done();
}
