/* SPDX-License-Identifier: MIT */
/*
 * Every rule that takes channels, on the shipped architectures with random parameters and on a
 * trained one: what comes out is verified, no layer is empty, parameters and multiply-adds fall,
 * widths are what the rule says; percent 0 changes no byte.  Large nets go through one rule each;
 * with QD_QUICK set they are left out.
 */
#include "cfgs_rig.h"
#include "layer_rig.h"
#include "prune/rule.h"

enum { SIDE = 64, LARGE = 7000000, BASE = 4 };

static struct qd_buf text_of(const struct qd_model *m)
{
    struct qd_buf b = {0};

    qd_cfg_print(m->cfg, &b);
    return b;
}

static void same_bytes(const struct qd_model *a, const struct qd_model *b, const char *what)
{
    struct qd_buf s = text_of(a), t = text_of(b);

    OK(s.len == t.len && memcmp(s.data, t.data, s.len) == 0, "%s: the cfg stays", what);
    OK(a->graph->nparams == b->graph->nparams &&
            memcmp(a->params, b->params, a->graph->nparams * sizeof(float)) == 0,
        "%s: the parameters stay", what);
    qd_buf_free(&s);
    qd_buf_free(&t);
}

static void count(const struct qd_model *m, uint64_t *params, uint64_t *macs)
{
    *params = *macs = 0;
    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info info;
        qd_model_layer(m, i, &info);
        *params += info.trained;
        *macs += info.macs;
    }
}

/* Layers of the rule's set are at least 'least' wide, and with 'base' multiples of it. */
static bool widths(const struct qd_model *m, const struct qd_pruned *p, const struct qd_set *s,
    const struct qd_prune_opts *o)
{
    bool good = true;

    for (int k = 0; k < s->n; k++) {
        int was = m->graph->layer[s->layer[k]].c, is = p->compact->graph->layer[s->layer[k]].c;
        good &= is >= QD_MIN(o->min_channels, was);
        good &= !o->base || is == was || is % o->base == 0;
    }
    for (int i = 0; i < p->compact->graph->nlayers; i++)
        good &= p->compact->graph->layer[i].c > 0;
    return good;
}

static void apply(const struct qd_model *m, const char *name, const struct qd_prune_range *all,
    float percent, const char *what)
{
    const struct qd_rule *rule = qd_rule_find(name);
    struct qd_prune_range range = *all;
    struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_pruned p;
    struct qd_set set;
    uint64_t params[2], macs[2];

    o.percent = range.percent = percent;
    o.ranges = &range;
    o.nranges = 1;
    o.w = o.h = SIDE;
    o.seed = 7;
    o.min_channels = 2;
    o.base = strcmp(name, "regular") == 0 ? BASE : 0;
    if (!OK(qd_set_of(&set, m, rule->set, &err) == 0, "%s: %s", what, err.msg))
        return;
    int ret = qd_prune(&p, m, name, &o, &err);
    if (!set.n) {
        OK(ret < 0 && err.code == QD_EUNSUP, "%s: %s: %s", what, name, err.msg);
    } else if (OK(ret == 0, "%s: %s %g: %s", what, name, (double)percent, err.msg)) {
        count(m, &params[0], &macs[0]);
        count(p.compact, &params[1], &macs[1]);
        OK(p.difference < 1e-4, "%s: %s: difference %.2g", what, name, p.difference);
        OK(widths(m, &p, &set, &o), "%s: %s: widths", what, name);
        if (percent > 0) {
            OK(params[1] < params[0] && macs[1] < macs[0] && p.raised > 0,
                "%s: %s: %.3g of %.3g parameters, %.3g of %.3g multiply-adds", what, name,
                (double)params[1], (double)params[0], (double)macs[1], (double)macs[0]);
        } else {
            same_bytes(m, p.compact, what);
            same_bytes(m, p.masked, what);
        }
        qd_pruned_free(&p);
    }
    qd_set_free(&set);
}

static void shipped(const char *path)
{
    static int turn;
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_load(path, &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    int k = 0;

    if (!OK(m, "%s: %s", path, err.msg))
        return;
    bool large = m->graph->nparams > LARGE;
    if (large && getenv("QD_QUICK")) {
        tap_skip("%s is large", path);
        qd_model_free(m);
        return;
    }
    rig_params(m);
    turn++;
    for (const char *const *r = qd_prune_rules(); *r; r++) {
        const struct qd_prune_range all = {.last = m->graph->nlayers - 1};
        if (!qd_rule_find(*r)->select)
            continue;
        if (!large || k++ == turn % 5) {
            apply(m, *r, &all, .99f, path);
            apply(m, *r, &all, 0, path);
        }
    }
    qd_model_free(m);
}

/* A net whose factors were learned, and its weights as the makers gave them. */
static void trained(void)
{
    static const float percent[] = {.2f, .5f, .8f};
    static const char *const rule[] = {"normal", "shortcut", "slim"};
    const char *path = tap_shared("models/yolo-fastest-1.1.cfg");
    struct qd_error err = {0};
    uint64_t params[2], macs[2];

    if (!path)
        return;
    struct qd_cfg *cfg = qd_cfg_load(path, &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    path = tap_shared("models/yolo-fastest-1.1.weights");
    if (!OK(m && path && qd_model_load(m, path, NULL, NULL, &err) == 0, "loaded %s", err.msg)) {
        qd_model_free(m);
        return;
    }
    for (size_t r = 0; r < QD_LEN(rule); r++) {
        count(m, &params[0], &macs[0]);
        for (size_t i = 0; i < QD_LEN(percent); i++) {
            struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;
            struct qd_pruned p;
            o.percent = percent[i];
            if (!OK(qd_prune(&p, m, rule[r], &o, &err) == 0, "%s: %s", rule[r], err.msg))
                continue;
            count(p.compact, &params[1], &macs[1]);
            OK(params[1] < params[0] && macs[1] < macs[0], "%s .%d: %d parameters, %.3g macs",
                rule[r], (int)(percent[i] * 10 + .5f), (int)params[1], (double)macs[1]);
            params[0] = params[1];
            macs[0] = macs[1];
            qd_pruned_free(&p);
        }
    }
    qd_model_free(m);
}

int main(void)
{
    trained();
    rig_each_cfg(shipped);
    return tap_done();
}
