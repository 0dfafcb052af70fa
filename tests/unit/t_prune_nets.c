/* SPDX-License-Identifier: MIT */
/*
 * Every rule on small nets of every structure, with the rule's own set of layers and with all, at
 * several percents: qd_prune() verifies that the compact model is the masked one, and where no
 * window reaches into padding and the factors of what went were 0 it is also the model that was
 * pruned (spec compression.md 8.3).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer_rig.h"
#include "ops/act.h"
#include "prune/set.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n"
#define CONVX(n, more) "[convolutional]\nbatch_normalize=1\nfilters=" #n "\nsize=3\npad=1\n" more
#define CONV(n) CONVX(n, "activation=leaky\n")
#define HALF(n) CONVX(n, "stride=2\nactivation=mish\n")
#define RAW(n, act) "[convolutional]\nfilters=" #n "\nactivation=" act "\n"
#define DEPTHWISE "[depthwise]\nbatch_normalize=1\nsize=3\npad=1\nactivation=h_swish\n"
#define END "[convolutional]\nfilters=2\nactivation=linear\n"
#define ADD(f) "[shortcut]\nfrom=" #f "\nactivation=linear\n"

static const struct {
    const char *what, *text;
} nets[] = {
    {"chain", NET CONV(16) "[maxpool]\nsize=2\nstride=2\n" CONV(12) END},
    {"residual", NET CONV(16) CONV(8) CONV(16) ADD(-3) CONV(8) CONV(16) ADD(-3) CONV(8) END},
    {"CSP with grouped route",
        NET CONV(16) "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" CONV(8)
            CONV(8) "[route]\nlayers=-1,-2\n" CONV(16) "[route]\nlayers=0,-1\n" CONV(8) END},
    {"SPP", NET CONV(8) "[maxpool]\nsize=3\nstride=1\n[route]\nlayers=-2\n[maxpool]\nsize=5\n"
                        "stride=1\n[route]\nlayers=-1,-3,-4\n" CONV(8) END},
    {"upsample", NET CONV(8) HALF(12) "[upsample]\nstride=2\n[route]\nlayers=-1,-3\n" CONV(8) END},
    {"MobileNet block", NET CONV(8) CONV(16) DEPTHWISE CONV(8) ADD(-4) CONV(8) END},
    {"with squeeze-excite", NET CONV(8) CONV(24) DEPTHWISE "[se]\n" CONV(8) ADD(-5) CONV(8) END},
    {"with scale_channels",
        NET CONV(8) CONV(12) DEPTHWISE "[avgpool]\n" RAW(4, "swish")
            RAW(12, "logistic") "[scale_channels]\nfrom=-4\n" CONV(8) ADD(-8) CONV(8) END},
    {"weights of sources",
        NET CONV(8) CONV(8) CONV(8) "[shortcut]\nfrom=-2,-3\nweights_type="
                                    "per_feature\nweights_normalization=relu\n" CONV(8) END},
    {"weights of channels",
        NET CONV(8) CONV(8) CONV(8) "[shortcut]\nfrom=-2,-3\nweights_type="
                                    "per_channel\nweights_normalization=softmax\n" CONV(8) END},
};

/* Text without padding: 3x3 becomes 1x1. */
static void shrink(char *text)
{
    for (char *at = text; (at = strstr(at, "size=3\npad=1")) != NULL;) {
        at[5] = '1';
        at[11] = '0';
    }
}

/* About two of five factors of every layer are 0, those of the same channels. */
static void zero_factors(struct qd_model *m)
{
    for (int i = 0; i < m->graph->nlayers; i++) {
        const struct qd_param *p = qd_set_factors(&m->graph->layer[i]);
        for (size_t c = 1; p && c < p->count; c++)
            if (c % 5 > 2)
                m->params[p->offset + c] = 0;
    }
}

/* A rule may have nothing to work on in a net, but not a channel rule that takes all. */
static bool idle(const char *rule, bool all, const struct qd_error *err)
{
    return strncmp(rule, "layer", 5) == 0
               ? strstr(err->msg, "no layers can be removed") || strstr(err->msg, "no layer whose")
               : !all && strstr(err->msg, "no layer whose channels this rule may take");
}

static void prune(int net, const char *rule, float percent, bool all)
{
    struct qd_model *m = rig_model(nets[net].text);
    const struct qd_prune_range range = {0, m->graph->nlayers - 1, percent};
    struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_pruned p;
    bool group = strcmp(rule, "group") == 0;

    o.percent = group ? -1 : percent;
    o.ranges = group ? &range : NULL;
    o.nranges = group;
    o.all = all;
    if (qd_prune(&p, m, rule, &o, &err) < 0) {
        OK(idle(rule, all, &err), "%s, %s: %s", nets[net].what, rule, err.msg);
    } else {
        OK(p.difference < 1e-4, "%s, %s, %g%s: %.2g", nets[net].what, rule, (double)percent,
            all ? ", all" : "", p.difference);
        if (all && strcmp(rule, "slim") == 0)
            OK(p.compact->graph->nparams < m->graph->nparams, "%s: smaller", nets[net].what);
        qd_pruned_free(&p);
    }
    qd_model_free(m);
}

static void rules(void)
{
    for (int i = 0; i < (int)QD_LEN(nets); i++)
        for (int r = 0; qd_prune_rules()[r]; r++)
            for (int k = 0; k < 4; k++)
                prune(i, qd_prune_rules()[r], k / 2 ? .7f : .3f, k % 2);
}

/* At the threshold and below are the zeros only. */
static void exact(const char *what, const char *whole, bool all)
{
    struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_pruned p;
    char text[2048];
    double far = 1;

    snprintf(text, sizeof(text), "%s", whole);
    shrink(text);
    struct qd_model *m = rig_model(text);
    zero_factors(m);
    o.percent = .2f;
    o.all = all;
    if (OK(qd_prune(&p, m, "slim", &o, &err) == 0, "%s: %s", what, err.msg)) {
        OK(p.threshold == 0 && p.compact->graph->nparams < m->graph->nparams,
            "%s: zeros go, and only they", what);
        int ret = qd_verify(m, p.compact, NULL, &far, &err);
        OK(ret == 0 && far < 1e-5, "%s%s: compact and whole differ by %.2g %s", what,
            all ? ", all" : "", far, err.msg);
        qd_pruned_free(&p);
    }
    qd_model_free(m);
}

static void activations(void)
{
    for (int i = 0; i < QD_ACT_COUNT; i++) {
        char text[512];
        if (!qd_act_elementwise((enum qd_act)i))
            continue;
        snprintf(text, sizeof(text),
            NET "[convolutional]\nbatch_normalize=1\nfilters=9\nactivation=%s\n" END,
            qd_act_name((enum qd_act)i));
        exact(qd_act_name((enum qd_act)i), text, false);
    }
}

int main(void)
{
    rules();
    for (size_t i = 0; i < QD_LEN(nets); i++)
        /* gates have no factors: what they lose is their own affair */
        if (!strstr(nets[i].text, "[se]") && !strstr(nets[i].text, "[scale_channels]"))
            exact(nets[i].what, nets[i].text, true);
    activations();
    return tap_done();
}
