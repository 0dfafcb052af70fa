/* SPDX-License-Identifier: MIT */
/*
 * Rules layer and layer-channel (spec compression.md 2.8, 2.9): which units go in which order, what
 * is said when there are not as many, where the layers that are left came from, goals.
 */
#include "layer_rig.h"

#define NET "[net]\nwidth=16\nheight=16\nchannels=3\n"
#define CONV(n)                                                                                    \
    "[convolutional]\nbatch_normalize=1\nfilters=" #n "\nsize=3\npad=1\nactivation=leaky\n"
#define ADDX(act) "[shortcut]\nfrom=-3\nactivation=" #act "\n"
#define UNIT CONV(16) CONV(32) ADDX(linear)
#define END "[convolutional]\nfilters=2\nactivation=linear\n"

static const struct qd_prune_opts defaults = QD_PRUNE_OPTS_INIT;

/* All factors of a layer, and its first one. */
static void factors(struct qd_model *m, int layer, float all, float first)
{
    const struct qd_param *p = qd_layer_find_param(&m->graph->layer[layer], "scales");

    for (size_t i = 0; i < p->count; i++)
        m->params[p->offset + i] = i ? all : first;
}

/* Layers that are left of 'm', as text. */
static const char *origins(const struct qd_pruned *p)
{
    static char text[1024];
    size_t at = 0;

    for (int i = 0; i < p->compact->graph->nlayers; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%d", i ? " " : "", p->origin[i]);
    return text;
}

static void left(struct qd_model *m, struct qd_prune_opts o, int units, const char *want)
{
    struct qd_error err = {0};
    struct qd_pruned p = {0};

    if (OK(qd_prune(&p, m, "layer", &o, &err) == 0, "pruned %s", err.msg)) {
        IS_STR(origins(&p), want, "layers that are left");
        OK(p.units == units && p.difference < 1e-6, "%d units, %g", p.units, p.difference);
        OK(p.masked->graph->nlayers == m->graph->nlayers, "the masked model has all layers");
        OK(p.blocked == (o.shortcuts < 0 ? 8 : o.shortcuts) - units, "%d not found", p.blocked);
    }
    qd_pruned_free(&p);
}

/* No unit: no byte of cfg and parameters changes, not even that of a zero with a sign. */
static void nothing(void)
{
    static const char text[] = "# a net\n" NET "\n# one\n" CONV(32) UNIT END "# end\n";
    struct qd_model *m = rig_model(text);
    struct qd_prune_opts o = defaults;
    struct qd_error err = {0};
    struct qd_pruned p = {0};
    struct qd_buf b = {0};

    m->params[qd_layer_find_param(&m->graph->layer[4], "biases")->offset] = -0.f;
    o.shortcuts = 0;
    if (OK(qd_prune(&p, m, "layer", &o, &err) == 0, "nothing %s", err.msg)) {
        qd_cfg_print(p.compact->cfg, &b);
        IS_STR(b.data, text, "the same text");
        OK(p.compact->graph->nparams == m->graph->nparams &&
                memcmp(p.compact->params, m->params, m->graph->nparams * sizeof(float)) == 0,
            "the same values");
    }
    qd_buf_free(&b);
    qd_pruned_free(&p);
    qd_model_free(m);
}

/* Four units; the third has the lowest mean and the largest factor, the first and the last are
 * equal. */
static void order(void)
{
    struct qd_model *m = rig_model(NET CONV(32) UNIT UNIT UNIT UNIT CONV(8) END);
    struct qd_prune_opts o = defaults;
    float *before = malloc(m->graph->nparams * sizeof(*before));

    factors(m, 2, .3f, .3f);
    factors(m, 5, -.4f, -.4f);
    factors(m, 8, .01f, -5);
    factors(m, 11, .3f, .3f);
    memcpy(before, m->params, m->graph->nparams * sizeof(*before));
    o.shortcuts = 0;
    left(m, o, 0, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14");
    o.shortcuts = 1;
    left(m, o, 1, "0 1 2 3 4 5 6 10 11 12 13 14");
    o.shortcuts = 2;
    left(m, o, 2, "0 4 5 6 10 11 12 13 14");
    o.max_score = true;
    left(m, o, 2, "0 4 5 6 7 8 9 13 14");
    o.shortcuts = 4;
    o.strict = true;
    left(m, o, 4, "0 13 14");
    left(m, defaults, 4, "0 13 14");
    OK(memcmp(before, m->params, m->graph->nparams * sizeof(*before)) == 0, "m is not changed");
    free(before);
    qd_model_free(m);
}

static void refuse(const char *text, bool strict, enum qd_code code, const char *want)
{
    struct qd_model *m = rig_model(text);
    struct qd_prune_opts o = defaults;
    struct qd_error err = {0};
    struct qd_pruned p = {0};

    o.strict = strict;
    OK(qd_prune(&p, m, "layer", &o, &err) < 0 && err.code == code, "refused");
    IS_STR(err.msg, want, "message");
    qd_model_free(m);
}

static void refusals(void)
{
    static const char two[] = NET CONV(32) CONV(16) CONV(32) ADDX(relu) UNIT CONV(8) END;
    struct qd_model *m = rig_model(two);

    left(m, defaults, 1, "0 1 2 3 7 8");
    qd_model_free(m);
    refuse(two, true, QD_EARG,
        "1 of 2 residual units can be removed, not 8: its activation is not linear");
    refuse(NET CONV(32) UNIT END, true, QD_EARG,
        "1 of 1 residual units can be removed, not 8: the model has no more");
    refuse(NET CONV(32) END, false, QD_EUNSUP,
        "'t.cfg': no layers can be removed: no layer adds others");
    refuse(NET CONV(32) CONV(16) CONV(32) ADDX(relu) END, false, QD_EUNSUP,
        "'t.cfg': no layers can be removed: its activation is not linear");
    refuse(NET CONV(32) UNIT "[activation]\nactivation=relu\n" END, false, QD_EUNSUP,
        "'t.cfg': no layers can be removed: a constant of its branch finds no layer that takes it "
        "up");

    /* the first unit's constant finds no reader, the second is taken instead */
    m = rig_model(NET CONV(32) UNIT "[activation]\nactivation=relu\n" UNIT CONV(8) END);
    factors(m, 2, .1f, .1f);
    struct qd_prune_opts o = defaults;
    o.shortcuts = 1;
    left(m, o, 1, "0 1 2 3 4 8 9");
    factors(m, 2, (float)NAN, 1);
    struct qd_error err = {0};
    struct qd_pruned p;
    OK(qd_prune(&p, m, "layer", &o, &err) < 0 && err.code == QD_EDIVERGED, "a factor is no number");
    IS_STR(err.msg, "t.cfg:17: layer 2 has a factor that is not a finite number", "message");
    qd_model_free(m);
}

/* A goal is met by the number of units. */
static void goals(void)
{
    struct qd_model *m = rig_model(NET CONV(32) UNIT UNIT UNIT UNIT CONV(8) END);
    struct qd_prune_opts o = defaults;

    for (int i = 0; i < 4; i++)
        factors(m, 3 * i + 2, .1f * (float)(i + 1), .1f * (float)(i + 1));
    o.target = QD_TARGET_PARAMS;
    o.goal = .6;
    struct qd_error err = {0};
    struct qd_pruned p = {0};
    if (OK(qd_prune(&p, m, "layer", &o, &err) == 0, "goal %s", err.msg))
        IS_STR(origins(&p), "0 7 8 9 10 11 12 13 14", "two of four units");
    qd_pruned_free(&p);
    o.goal = 100;
    OK(qd_prune(&p, m, "layer", &o, &err) < 0 && err.code == QD_EARG, "out of reach: %s", err.msg);
    qd_model_free(m);
}

static void both_stages(int base)
{
    struct qd_model *m = rig_model(NET CONV(32) UNIT UNIT "[maxpool]\nsize=2\nstride=2\n" CONV(32)
            UNIT CONV(32) UNIT CONV(8) END);
    struct qd_prune_opts o = defaults;
    struct qd_error err = {0};
    struct qd_pruned p = {0};

    o.base = base;
    o.shortcuts = 2;
    o.percent = .5f;
    factors(m, 2, .001f, .002f);
    factors(m, 14, .02f, .03f);
    if (!OK(qd_prune(&p, m, "layer-channel", &o, &err) == 0, "base %d %s", base, err.msg))
        goto done;
    OK(p.units == 2 && p.percent == .5f && p.threshold > .5f, "%d units, %g below %g", p.units,
        (double)p.percent, (double)p.threshold);
    OK(p.small > 0 && p.small < .5f, "%g of the factors are small", (double)p.small);
    OK(p.compact->graph->nparams < m->graph->nparams / 2, "%zu of %zu values",
        p.compact->graph->nparams, m->graph->nparams);
    OK(p.masked->graph->nlayers == m->graph->nlayers, "the second stage's masked model");
    IS_STR(origins(&p), "0 4 5 6 7 8 9 10 11 12 16 17", "layers that are left");
    for (int i = 0; i < p.compact->graph->nlayers; i++) {
        const struct qd_layer *l = &p.compact->graph->layer[i];
        const struct qd_layer *was = &m->graph->layer[p.origin[i]];
        OK(l->type == was->type && l->c <= was->c, "layer %d was %d", i, p.origin[i]);
        OK(base == 0 || l->c % base == 0 || l->c == was->c, "%d channels", l->c);
    }
done:
    qd_pruned_free(&p);
    qd_model_free(m);
}

static void trained(void)
{
    static const char *const rule[] = {"layer", "layer-channel"};
    const char *path = tap_shared("models/yolo-fastest-1.1.cfg");
    struct qd_error err = {0};
    struct qd_cfg *cfg = path ? qd_cfg_load(path, &err) : NULL;
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (path && OK(m, "yolo-fastest %s", err.msg) &&
        OK(qd_model_load(m, tap_shared("models/yolo-fastest-1.1.weights"), NULL, NULL, &err) == 0,
            "weights %s", err.msg))
        for (int i = 0; i < 2; i++) {
            struct qd_pruned p = {0};
            OK(qd_prune(&p, m, rule[i], NULL, &err) == 0 && p.units == 8 && p.difference < 1e-4,
                "%s: %d units, differ by %.2g %s", rule[i], p.units, p.difference, err.msg);
            qd_pruned_free(&p);
        }
    qd_model_free(m);
}

static void allocations(const char *rule)
{
    struct qd_model *m = rig_model(NET CONV(32) UNIT UNIT END);
    struct qd_prune_opts o = defaults;
    long n = 0;
    int ret;

    o.shortcuts = 1;
    do { /* every allocation fails once */
        struct qd_error err = {0};
        struct qd_pruned p = {0};
        qd_alloc_fail_at(++n);
        ret = qd_prune(&p, m, rule, &o, &err);
        qd_alloc_fail_at(0);
        if (ret == 0)
            qd_pruned_free(&p);
        OK(ret == 0 || err.code == QD_ENOMEM, "%s: allocation %ld fails", rule, n);
    } while (ret < 0 && n < 1000);
    OK(ret == 0 && n > 1, "%s: and none after %ld", rule, n);
    qd_model_free(m);
}

int main(void)
{
    nothing();
    order();
    refusals();
    goals();
    both_stages(0);
    both_stages(8);
    trained();
    allocations("layer");
    allocations("layer-channel");
    return tap_done();
}
