/* SPDX-License-Identifier: MIT */
/*
 * Cutting channel groups out of models: on small nets of every structure and on the shipped
 * architectures every layer of the compact model gives what the masked one gives, and without
 * padding what the whole one gives whose dead channels are constant; files load and have the length
 * that their cfg says; a cut of nothing changes no byte; what cannot be cut is refused.  With
 * QD_QUICK set only the smaller shipped nets run.
 */
#include <unistd.h>

#include "cfgs_rig.h"
#include "layer_rig.h"
#include "ops/act.h"
#include "prune/rewrite.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n"
#define CONVX(n, more) "[convolutional]\nbatch_normalize=1\nfilters=" #n "\nsize=3\npad=1\n" more
#define CONV(n) CONVX(n, "activation=leaky\n")
#define HALF(n) CONVX(n, "stride=2\nactivation=mish\n")
#define GROUPED(n, g) CONVX(n, "groups=" #g "\nactivation=relu\n")
#define DEPTHWISE "[depthwise]\nbatch_normalize=1\nsize=3\npad=1\nactivation=relu6\n"
#define END "[convolutional]\nfilters=2\nactivation=linear\n"
#define ADD(f) "[shortcut]\nfrom=" #f "\nactivation=linear\n"

enum { SIDE = 64, LARGE = 7000000 };

/* Mark about 2 of 5 groups, but something of every layer stays.  Returns how many. */
static int mark(const struct qd_groups *g, bool *dead)
{
    int n = 0;

    for (int k = 0; k < g->ngroups; k++)
        dead[k] = !g->why[k] && tap_rand() % 5 < 2;
    for (int l = 0; l < g->graph->nlayers; l++) {
        for (int c = 0; !qd_groups_alive(g, l, dead); c++)
            dead[qd_groups_of(g, l, c)] = false;
    }
    for (int k = 0; k < g->ngroups; k++)
        n += dead[k];
    return n;
}

static bool *choose(const struct qd_groups *g)
{
    bool *dead = calloc((size_t)g->ngroups + 1, sizeof(*dead));

    for (int i = 0; i < 100 && !mark(g, dead); i++)
        continue;
    return dead;
}

/* What the dead channels of a layer give does not depend on its input; with 'zero' it is 0. */
static void still(
    const struct qd_layer *l, const struct qd_groups *g, const bool *dead, bool zero, float *p)
{
    const struct qd_param *w = qd_layer_find_param(l, "weights");
    const struct qd_param *bias = qd_layer_find_param(l, "biases");
    const struct qd_param *scale = qd_layer_find_param(l, "scales");
    const struct qd_param *gate = qd_layer_find_param(l, "weights2"); /* [se] */

    for (int c = 0; gate && c < l->c; c++)
        if (dead[qd_groups_of(g, l->index, c)])
            memset(p + gate->offset + (size_t)c * (size_t)gate->fan_in, 0,
                (size_t)gate->fan_in * sizeof(*p));
    for (int c = 0; bias && c < l->c; c++) {
        if (!dead[qd_groups_of(g, l->index, c)])
            continue;
        if (zero)
            p[bias->offset + (size_t)c] = 0;
        if (scale)
            p[scale->offset + (size_t)c] = 0;
        else
            memset(
                p + w->offset + (size_t)c * (size_t)w->fan_in, 0, (size_t)w->fan_in * sizeof(*p));
    }
}

static void still_all(const struct qd_groups *g, const bool *dead, bool zero, struct qd_model *m)
{
    for (int i = 0; i < m->graph->nlayers; i++)
        still(&m->graph->layer[i], g, dead, zero, m->params);
}

/* A net on random input that depends on nothing but its size. */
static struct qd_net *run(const struct qd_model *m, int side)
{
    struct qd_error err = {0};
    struct qd_net *net =
        qd_net_new(m, &(struct qd_net_opts){.keep_all = true, .w = side, .h = side}, &err);

    if (!OK(net, "net: %s", err.msg))
        return NULL;
    const struct qd_tensor *in = qd_net_tensor(net, -1);
    uint64_t at = 1;
    for (int y = 0; y < in->h; y++)
        for (int x = 0; x < in->w; x++)
            for (int c = 0; c < in->c; c++) {
                at = at * 6364136223846793005u + 1442695040888963407u;
                qd_at(in, 0, y, x)[c] = (float)(at >> 40) / (1 << 23) - 1;
            }
    qd_net_forward(net);
    return net;
}

/* The larger one; NaN is larger than all. */
static double larger(double a, double b)
{
    return isnan(a) || b <= a ? a : b;
}

/* The largest difference between the channels that are left of a layer, to its largest value. */
static double apart(const struct qd_tensor *a, const struct qd_tensor *b, const struct qd_groups *g,
    const bool *dead, int layer)
{
    double most = 0, far = 0;

    for (int y = 0; y < a->h; y++)
        for (int x = 0; x < a->w; x++)
            for (int c = 0, k = 0; c < a->c; c++) {
                double u = (double)qd_at(a, 0, y, x)[c], d;
                if (dead[qd_groups_of(g, layer, c)])
                    continue;
                d = fabs(u - (double)qd_at(b, 0, y, x)[k++]);
                most = larger(most, fabs(u));
                far = larger(far, d);
            }
    return most > 0 ? far / most : far; /* a layer of zeros is compared as it is */
}

/* Whether all values are numbers and not all of them equal. */
static bool alive(const struct qd_tensor *t)
{
    bool differ = false;

    for (int y = 0; y < t->h; y++)
        for (int x = 0; x < t->w; x++)
            for (int c = 0; c < t->c; c++) {
                float v = qd_at(t, 0, y, x)[c];
                if (!isfinite(v))
                    return false;
                differ |= v != qd_at(t, 0, 0, 0)[0];
            }
    return differ;
}

/* Written and read back; a weights file is 20 bytes and the parameters. */
static void file_of(const struct qd_model *m, const char *what)
{
    struct qd_error err = {0};
    struct qd_buf text = {0};
    FILE *f;

    qd_cfg_print(m->cfg, &text);
    struct qd_cfg *cfg = qd_cfg_parse(text.data, text.len, "compact.cfg", &err);
    struct qd_model *back = cfg ? qd_model_new(cfg, &err) : NULL;
    if (OK(back && qd_model_save(m, "t_rewrite.weights", true, &err) == 0, "%s: saved %s", what,
            err.msg) &&
        OK(qd_model_load(back, "t_rewrite.weights", NULL, NULL, &err) == 0, "%s: loaded %s", what,
            err.msg))
        OK(memcmp(back->params, m->params, m->graph->nparams * sizeof(float)) == 0,
            "%s: comes back from its files", what);
    f = fopen("t_rewrite.weights", "rb");
    if (OK(f, "%s: a file", what)) {
        fseek(f, 0, SEEK_END);
        OK(ftell(f) == 20 + 4 * (long)m->graph->nparams, "%s: %ld bytes", what, ftell(f));
        fclose(f);
    }
    unlink("t_rewrite.weights");
    qd_model_free(back);
    qd_buf_free(&text);
}

/* The largest difference of all layers. */
static double distance(
    const struct qd_net *a, const struct qd_net *b, const struct qd_groups *g, const bool *dead)
{
    double far = a && b ? 0 : (double)NAN;

    for (int i = 0; a && b && i < g->graph->nlayers; i++)
        far = larger(far, apart(qd_net_tensor(a, i), qd_net_tensor(b, i), g, dead, i));
    return far;
}

/* Which groups cannot go is known before. */
static void blocked(
    const struct qd_model *m, const struct qd_groups *g, bool want, const char *what)
{
    struct qd_error err = {0};
    const char **why = calloc((size_t)g->ngroups + 1, sizeof(*why));
    int n = 0, all = 0;

    if (OK(why && qd_absorb_blocked(m, g, why, &err) == 0, "%s: %s", what, err.msg))
        for (int k = 0; k < g->ngroups; k++) {
            n += why[k] != NULL;
            all += !g->why[k];
        }
    OK(n == (want ? all : 0), "%s: %d of %d groups are blocked", what, n, all);
    free(why);
}

/* Absorb; what cannot take up constants is refused, changes nothing, and works when it gets a bias
 * or without constants. */
static bool absorb(struct qd_model **m, struct qd_groups *g, const bool *dead, const char *what)
{
    struct qd_error err = {0};
    bool share = strstr(what, "share"), se = strstr(what, "squeeze") || strstr(what, "mobilenet");
    size_t n = (*m)->graph->nparams;
    float *before;
    struct qd_model *same = *m;

    blocked(*m, g, share, what);
    if (!share && !se)
        return OK(qd_absorb(*m, g, dead, &err) == 0, "%s: absorbed %s", what, err.msg);
    before = malloc(n * sizeof(*before));
    memcpy(before, (*m)->params, n * sizeof(*before));
    OK(qd_absorb(*m, g, dead, &err) < 0 && err.code == QD_EUNSUP, "%s: %s", what, err.msg);
    OK(memcmp(before, (*m)->params, n * sizeof(*before)) == 0, "%s: unchanged", what);
    free(before);
    if (share) {
        still_all(g, dead, true, *m);
        return OK(qd_absorb(*m, g, dead, &err) == 0, "%s: nothing to absorb %s", what, err.msg);
    }
    return OK(qd_absorb_extend(m, g, dead, &err) == 0 && *m != same && (*m)->graph->nparams > n,
               "%s: extended %s", what, err.msg) &&
           OK(qd_absorb(*m, g, dead, &err) == 0, "%s: absorbed %s", what, err.msg);
}

/* The check that is always on agrees, and sees that a bias of an output is another one. */
static void verify(const struct qd_model *m, struct qd_model *less, int side, const char *what)
{
    struct qd_error err = {0};
    const struct qd_verify_opts how = {.w = side, .h = side, .seed = 5};
    const struct qd_param *bias =
        qd_layer_find_param(&less->graph->layer[less->graph->nlayers - 1], "biases");
    double far = 1;

    OK(qd_verify(m, less, &how, &far, &err) == 0 && far < 1e-4, "%s: verified %s", what, err.msg);
    if (!bias)
        return;
    less->params[bias->offset] += 1;
    OK(qd_verify(m, less, &how, &far, &err) < 0 && far > 1e-4, "%s: %s", what, err.msg);
    less->params[bias->offset] -= 1;
}

/* Cut and compare every layer.  exact: no window reaches into padding, so that the compact model
 * also equals the one whose constants were not moved.  m is freed. */
static void cut(struct qd_model *m, const char *what, int side, bool exact)
{
    struct qd_error err = {0};
    struct qd_groups *g = qd_groups_new(m->graph, &err);
    bool *dead = g ? choose(g) : NULL;
    struct qd_model *less = NULL;
    struct qd_net *a = NULL, *b = NULL, *c = NULL;
    double far;
    int gone = 0;

    if (!OK(dead, "%s: %s", what, err.msg))
        goto done;
    still_all(g, dead, false, m);
    a = exact ? run(m, side) : NULL;
    size_t before = m->graph->nparams;
    if (!absorb(&m, g, dead, what))
        goto done;
    less = qd_rewrite(m, g, dead, &err);
    if (!OK(less, "%s: %s", what, err.msg))
        goto done;
    for (int k = 0; k < g->ngroups; k++)
        gone += dead[k];
    OK(gone && less->graph->nparams < before, "%s: %d of %d groups, %zu of %zu values", what, gone,
        g->ngroups, less->graph->nparams, m->graph->nparams);
    b = run(less, side);
    c = run(m, side);
    OK(b && alive(qd_net_tensor(b, m->graph->nlayers - 1)), "%s: the output says something", what);
    far = distance(c, b, g, dead);
    OK(far < 1e-4, "%s: compact and masked differ by %.2g", what, far);
    if (exact && !strstr(what, "share")) {
        far = distance(a, b, g, dead);
        OK(far < 1e-5, "%s: compact and whole differ by %.2g", what, far);
    }
    verify(m, less, side, what);
    file_of(less, what);
done:
    qd_net_free(a);
    qd_net_free(b);
    qd_net_free(c);
    qd_model_free(less);
    free(dead);
    qd_groups_free(g);
    qd_model_free(m);
}

static void structures(bool exact)
{
    static const struct {
        const char *what, *text;
    } net[] = {
        {"chain", NET CONV(6) "[maxpool]\nsize=2\nstride=2\n" CONV(7) END},
        {"no batch-norm", NET "[convolutional]\nfilters=9\nactivation=elu\n" CONV(5) END},
        {"residual", NET CONV(6) CONV(5) CONV(6) ADD(-3) CONV(4) CONV(6) ADD(-3) END},
        {"shortcut weighted by channel",
            NET CONV(6) CONV(6) CONV(6) "[shortcut]\nfrom=-2,-3\nweights_type=per_channel\n"
                                        "weights_normalization=softmax\n" END},
        {"shortcut weighted by source",
            NET CONV(6) CONV(6) CONV(6) "[shortcut]\nfrom=-2,-3\nweights_type=per_feature\n"
                                        "weights_normalization=relu\n" END},
        {"unequal shortcuts", NET CONV(8) HALF(9) ADD(-2) CONV(4) ADD(-2) END},
        {"CSP with grouped route",
            NET CONV(12) "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" CONV(6)
                CONV(6) "[route]\nlayers=-1,-2\n" CONV(12) "[route]\nlayers=0,-1\n" END},
        {"groups of two sources",
            NET CONV(8) CONV(12) "[route]\nlayers=-1,-2\ngroups=2\ngroup_id=0\n" END},
        {"SPP", NET CONV(7) "[maxpool]\nsize=3\nstride=1\n[route]\nlayers=-2\n"
                            "[maxpool]\nsize=5\nstride=1\n[route]\nlayers=-1,-3,-4\n" CONV(4) END},
        {"upsample",
            NET CONV(6) HALF(7) "[upsample]\nstride=2\n[route]\nlayers=-1,-3\n" CONV(5) END},
        {"MobileNet block", NET CONV(6) CONV(16) DEPTHWISE CONV(6) ADD(-4) END},
        {"squeeze-excite", NET CONV(6) CONV(24) DEPTHWISE "[se]\n" CONV(6) ADD(-5) END},
        {"squeeze-excite, odd", NET CONV(17) "[se]\nreduction=3\nfilters=17\n" END},
        {"squeeze-excite, wide inside", NET CONV(12) "[se]\nreduction=1\n" END},
        {"depthwise as groups", NET CONV(9) GROUPED(9, 9) END},
        {"depthwise with numbers",
            NET CONV(9) "[depthwise]\nfilters=9\ngroups=9\nsize=3\npad=1\nactivation=relu\n" END},
        {"depthwise multiplier", NET CONV(8) GROUPED(16, 8) CONV(5) END},
        {"groups", NET CONV(12) GROUPED(18, 3) GROUPED(12, 3) END},
        {"shared parameters",
            NET CONV(9) CONV(9) CONVX(9, "activation=leaky\nshare_index=-1\n") END},
        {"scale_channels",
            NET CONV(9) "[avgpool]\n" CONV(9) CONV(9) "[scale_channels]\nfrom=0\n" CONV(4) END},
        {"sam", NET CONV(7) CONV(7) "[sam]\nfrom=-2\n" CONV(4) END},
        {"reorg3d", NET CONV(6) "[reorg3d]\nstride=2\n" CONV(4) END},
        {"prelu", NET CONVX(9, "activation=prelu\n") "[activation]\nactivation=prelu\n" END},
        {"batchnorm", NET CONV(9) "[batchnorm]\n[activation]\nactivation=mish\n" END},
        {"connected", NET CONV(7) "[connected]\noutput=9\nbatch_normalize=1\nactivation=leaky\n"
                                  "[connected]\noutput=4\n[softmax]\n"},
    };

    for (size_t i = 0; i < QD_LEN(net); i++) {
        char text[2048], *at = text;
        snprintf(text, sizeof(text), "%s", net[i].text);
        while (exact && (at = strstr(at, "size=3\npad=1")) != NULL) {
            at[5] = '1';
            at[11] = '0';
        }
        struct qd_model *m = rig_model(text);
        cut(m, net[i].what, 0, exact);
    }
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
        struct qd_model *m = rig_model(text);
        cut(m, qd_act_name((enum qd_act)i), 0, true);
    }
}

/* Spec compression.md 2.3.1: weights 2, -1; channel 0 with beta -1 goes; leaky: mean + .2. */
static void fixture(void)
{
    struct qd_model *m =
        rig_model("[net]\nwidth=2\nheight=2\nchannels=1\n[convolutional]\n"
                  "batch_normalize=1\nfilters=2\nactivation=leaky\n[convolutional]\n"
                  "batch_normalize=1\nfilters=1\nactivation=linear\n");
    const struct qd_layer *l = m->graph->layer;
    struct qd_error err = {0};
    struct qd_groups *g = qd_groups_new(m->graph, &err);
    float *w = m->params + qd_layer_find_param(&l[1], "weights")->offset;
    float *mean = m->params + qd_layer_find_param(&l[1], "rolling_mean")->offset;
    bool dead[8] = {false};

    w[0] = 2;
    w[1] = -1;
    *mean = .5f;
    m->params[qd_layer_find_param(&l[0], "biases")->offset] = -1;
    if (OK(g && g->ngroups <= 8, "groups %s", err.msg)) {
        dead[qd_groups_of(g, 0, 0)] = true;
        OK(qd_absorb(m, g, dead, &err) == 0, "absorbed %s", err.msg);
        OK(fabsf(*mean - .7f) < 1e-6f, "the mean moves by .2: %g", (double)*mean);
    }
    qd_groups_free(g);
    qd_model_free(m);
}

static void shipped(const char *path)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_load(path, &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (m && getenv("QD_QUICK") && m->graph->nparams > LARGE) {
        tap_skip("%s is large", path);
        qd_model_free(m);
    } else if (OK(m, "%s: %s", path, err.msg)) {
        rig_params(m);
        cut(m, path, SIDE, false);
    } else {
        qd_model_free(m);
    }
}

/* Only numbers of the cfg change, and with an empty cut none. */
static void text_stays(void)
{
    static const char whole[] =
        "# a net\n[net]\nwidth = 8 ; side\nheight=8\nchannels=3\n\n# first\n[convolutional]\n"
        "batch_normalize=1\nfilters = 4   # wide\nactivation=leaky\n\n# last\n[convolutional]\n"
        "filters=2\nactivation=linear\n# end";
    struct qd_model *m = rig_model(whole);
    struct qd_error err = {0};
    struct qd_groups *g = qd_groups_new(m->graph, &err);
    bool dead[16] = {false};
    struct qd_buf text = {0};

    if (!OK(g && g->ngroups <= 16, "groups %s", err.msg))
        goto done;
    m->seen = 1234;
    for (int round = 0; round < 2; round++) {
        struct qd_model *less = qd_rewrite(m, g, dead, &err);
        if (!OK(less, "round %d %s", round, err.msg))
            break;
        text.len = 0;
        qd_cfg_print(less->cfg, &text);
        OK(less->seen == 1234, "images seen");
        if (!round) {
            OK(text.len == strlen(whole) && memcmp(text.data, whole, text.len) == 0, "same text");
            OK(less->graph->nparams == m->graph->nparams &&
                    memcmp(less->params, m->params, m->graph->nparams * sizeof(float)) == 0,
                "same values");
            dead[qd_groups_of(g, 0, 1)] = true;
        } else {
            char want[sizeof(whole)];
            memcpy(want, whole, sizeof(whole));
            *strchr(strstr(want, "filters"), '4') = '3';
            OK(text.len == strlen(want) && memcmp(text.data, want, text.len) == 0,
                "one digit changes, not '%.*s'", (int)text.len, text.data);
        }
        qd_model_free(less);
    }
done:
    qd_buf_free(&text);
    qd_groups_free(g);
    qd_model_free(m);
}

static void refuse(const char *text, int layer, int n, const char *want)
{
    struct qd_model *m = rig_model(text), *less;
    struct qd_error err = {0};
    struct qd_groups *g = qd_groups_new(m->graph, &err);
    bool dead[64] = {false};

    if (OK(g && g->ngroups <= 64, "groups %s", err.msg)) {
        for (int c = 0; c < n; c++)
            dead[qd_groups_of(g, layer, c)] = true;
        less = qd_rewrite(m, g, dead, &err);
        OK(!less && err.code == QD_EUNSUP, "refused");
        IS_STR(err.msg, want, "message");
        qd_model_free(less);
    }
    qd_groups_free(g);
    qd_model_free(m);
}

static void refusals(void)
{
    long n = 0;

    refuse(NET CONV(3) END, -1, 1, "the input of the net cannot be pruned");
    refuse(NET CONV(3) END, 1, 1, "t.cfg:11: channel 0 of layer 1 must stay: output of the net");
    refuse(NET CONV(3) END, 0, 3,
        "t.cfg:5: layer 0, [convolutional], cannot be pruned so: none of its channels is left");

    struct qd_model *m = rig_model(NET CONV(6) CONV(5) CONV(6) ADD(-3) END), *less;
    struct qd_error err = {0};
    struct qd_groups *g = qd_groups_new(m->graph, &err);
    bool *dead = g ? choose(g) : NULL;
    do { /* every allocation fails once */
        err = (struct qd_error){0};
        qd_alloc_fail_at(++n);
        less = dead ? qd_rewrite(m, g, dead, &err) : NULL;
        qd_alloc_fail_at(0);
        OK(less || err.code == QD_ENOMEM, "allocation %ld fails", n);
    } while (!less && n < 200);
    OK(less && n > 1, "and none after %ld", n);
    qd_model_free(less);
    free(dead);
    qd_groups_free(g);
    qd_model_free(m);
}

/* How large a mismatch is seen: one weight of the last convolution, far from all others in size so
 * that it makes the largest output, is another one by a share. */
static void tolerance(void)
{
    static const struct {
        float share;
        bool same;
    } t[] = {{1e-6f, true}, {1e-3f, false}};
    struct qd_error err = {0};
    struct qd_model *m = rig_model(NET CONV(8) END), *less = qd_model_copy(m, &err);
    double far = 1;

    if (!OK(less != NULL, "copy: %s", err.msg))
        exit(tap_done());
    const struct qd_layer *l = &m->graph->layer[m->graph->nlayers - 1];
    size_t at = qd_layer_find_param(l, "weights")->offset;
    m->params[at] = 100;
    for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
        less->params[at] = 100 * (1 + t[i].share);
        int ret = qd_verify(m, less, NULL, &far, &err);
        OK(t[i].same ? ret == 0 && far <= 1e-5 : ret < 0 && err.code == QD_EUNSUP && far > 1e-4,
            "a weight that differs by %g: %.2g %s", (double)t[i].share, far, err.msg);
    }
    qd_model_free(less);
    qd_model_free(m);
}

int main(void)
{
    tolerance();
    structures(true);
    structures(false);
    activations();
    fixture();
    text_stays();
    refusals();
    rig_each_cfg(shipped);
    return tap_done();
}
