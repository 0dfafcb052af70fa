/* SPDX-License-Identifier: MIT */
/*
 * Removing residual units: which ones of small nets and of the shipped architectures can go and why
 * the others cannot; what a masked branch still added is taken up behind the sum, so that the
 * compact model gives exactly what the masked one does, and without padding what the model gives
 * whose branches end in factors of 0.  With QD_QUICK set only the smaller shipped nets run.
 */
#include "cfgs_rig.h"
#include "layer_rig.h"
#include "prune/remove.h"
#include "prune/unit.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n"
#define BN "[convolutional]\nbatch_normalize=1\n"
#define CONV(n) BN "filters=" #n "\nsize=3\npad=1\nactivation=leaky\n"
#define POINT(n, act) BN "filters=" #n "\nactivation=" #act "\n"
#define ADD(f) "[shortcut]\nfrom=" #f "\nactivation=linear\n"
#define UNIT CONV(4) CONV(6) ADD(-3)
#define END "[convolutional]\nfilters=2\nactivation=linear\n"
#define YOLO "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nclasses=1\nmask=0\n"

enum { SIDE = 64, LARGE = 7000000 };

static struct qd_model *copy_of(const struct qd_model *m)
{
    struct qd_error err = {0};
    struct qd_model *c = qd_model_copy(m, &err);

    if (!c) {
        printf("Bail out! %s\n", err.msg);
        exit(99);
    }
    return c;
}

static float *values(struct qd_model *m, int layer, const char *name, size_t *n)
{
    const struct qd_param *p = qd_layer_find_param(&m->graph->layer[layer], name);

    *n = p->count;
    return m->params + p->offset;
}

/* The factors at the end of the branches that go, and with 'biases' those too. */
static void silence(struct qd_model *m, const struct qd_units *u, const bool *take, bool biases)
{
    for (int k = 0; k < u->n; k++) {
        size_t n;
        if (!take[k])
            continue;
        float *x = values(m, u->unit[k].end, "scales", &n);
        memset(x, 0, n * sizeof(*x));
        x = values(m, u->unit[k].end, "biases", &n);
        if (biases)
            memset(x, 0, n * sizeof(*x));
    }
}

/* Mark a part of the units that can go, at least one; returns how many layers they are. */
static int choose(const struct qd_units *u, bool all, bool *take)
{
    bool gone[512] = {false};
    int layers = 0;

    for (int round = 0; round < 100 && !layers; round++)
        for (int k = 0; k < u->n; k++) {
            take[k] = !u->unit[k].why && (all || tap_rand() % 5 < 2);
            for (int i = u->unit[k].first; take[k] && i <= u->unit[k].sum; i++) {
                layers += !gone[i];
                gone[i] = true;
            }
        }
    return layers;
}

/* Remove units and compare.  exact: no window reaches into padding. */
static void cut(struct qd_model *m, const char *what, int side, bool all, bool exact)
{
    struct qd_error err = {0};
    struct qd_units u = {0};
    const struct qd_verify_opts how = {.w = side, .h = side, .seed = 3};
    bool take[256] = {false};
    int origin[256], layers, ret;
    struct qd_model *whole = NULL, *less = NULL;
    double far = 1;

    ret = qd_units_of(&u, m, false, &err);
    layers = ret == 0 ? choose(&u, all, take) : 0;
    if (!OK(layers, "%s: units %s", what, err.msg))
        goto done;
    if (exact) {
        whole = copy_of(m);
        silence(whole, &u, take, false);
    }
    if (!OK(qd_units_absorb(m, &u, take, &err) == 0, "%s: absorbed %s", what, err.msg))
        goto done;
    less = qd_units_remove(m, &u, take, origin, &err);
    if (!OK(less && less->graph->nlayers == m->graph->nlayers - layers, "%s: %d layers less %s",
            what, layers, err.msg))
        goto done;
    ret = qd_verify(m, less, &how, &far, &err);
    OK(ret == 0 && far < 1e-6, "%s: compact and masked differ by %.2g %s", what, far, err.msg);
    if (!exact)
        goto done;
    ret = qd_verify(whole, less, &how, &far, &err);
    OK(ret == 0 && far < 2e-5, "%s: compact and whole differ by %.2g %s", what, far, err.msg);
done:
    qd_units_free(&u);
    qd_model_free(whole);
    qd_model_free(less);
}

/* Constants go through every structure. */
static void structures(bool exact)
{
    static const struct {
        const char *what, *text;
    } net[] = {
        {"chain of units", NET CONV(6) UNIT UNIT UNIT END},
        {"bottleneck", NET CONV(6) CONV(3) CONV(3) CONV(2) CONV(6) ADD(-5) END},
        {"one layer", NET CONV(6) CONV(6) ADD(-2) END},
        {"MobileNet block",
            NET CONV(6)
                CONV(12) "[depthwise]\nbatch_normalize=1\nsize=3\npad=1\nactivation=relu6\n" POINT(
                    6, linear) ADD(-4) CONV(4) END},
        {"grouped, dropout",
            NET CONV(6) CONV(12) BN "filters=12\ngroups=12\nsize=3\npad=1\nactivation=relu\n" POINT(
                6, mish) "[dropout]\nprobability=.1\n" ADD(-5) CONV(4) END},
        {"squeeze-excite inside",
            NET CONV(6) CONV(8) "[avgpool]\n" POINT(
                8, logistic) "[scale_channels]\nfrom=-3\n" POINT(6, linear) ADD(-6) END},
        {"branches in a branch",
            NET CONV(6) CONV(4) CONV(3) "[route]\nlayers=-1,-2\n" CONV(6) ADD(-5) END},
        {"branch that reads more",
            NET CONV(4) CONV(6) CONV(3) "[route]\nlayers=-1,0\n" CONV(6) ADD(-4) END},
        {"unit in a unit", NET CONV(6) CONV(4) CONV(3) CONV(4) ADD(-3) CONV(6) ADD(-6) END},
        {"end that is a batchnorm",
            NET CONV(6) "[convolutional]\nfilters=6\nactivation=relu\n[batchnorm]\n" ADD(-3) END},
        {"pools and routes", NET CONV(6) UNIT
            "[maxpool]\nsize=3\nstride=1\n[route]\nlayers=-1,-2\n"
            "[maxpool]\nsize=2\nstride=2\n" CONV(
                5) "[route]\nlayers=-2\n[local_avgpool]\nsize=2\n"
                   "stride=2\n" CONV(5) "[upsample]\nstride=2\n[route]\nlayers=-1,-5\n" END},
        {"upsample with a factor",
            NET CONV(6) UNIT "[upsample]\nstride=2\nscale=.5\n" CONV(
                4) "[route]\nlayers=-3\n[upsample]\nstride=-2\nscale=2\n" CONV(4) END},
        {"groups of channels", NET CONV(6) UNIT "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" CONV(
                                   4) "[route]\nlayers=-1,-3\n" CONV(4) END},
        {"weighted shortcut behind",
            NET CONV(6) UNIT CONV(6) "[shortcut]\nfrom=-2,0\n"
                                     "weights_type=per_channel\nweights_normalization="
                                     "softmax\nactivation=linear\n" END},
        {"factors behind", NET CONV(6) UNIT CONV(6) "[shortcut]\nfrom=-2\nalpha=2\nbeta=.25\n"
                                                    "activation=linear\n" END},
        {"a factor of the branch", NET CONV(6) CONV(6) "[shortcut]\nfrom=-2\nalpha=3\n"
                                                       "activation=linear\n" CONV(4) END},
        {"batchnorm, activation", NET CONV(6) UNIT "[activation]\nactivation=linear\n[batchnorm]\n"
                                                   "[activation]\nactivation=mish\n" END},
        {"depthwise and groups behind", NET CONV(6) UNIT
            "[depthwise]\nbatch_normalize=1\nsize=3\npad=1\nactivation=relu6\n"
            "[route]\nlayers=-2\n" BN "filters=4\nsize=3\npad=1\ngroups=2\nactivation=leaky\n"
            "[route]\nlayers=-1,-3\n" END},
        {"average", NET CONV(6) UNIT "[avgpool]\n[connected]\noutput=5\nbatch_normalize=1\n"
                                     "activation=leaky\n[connected]\noutput=4\n[softmax]\n"},
        {"reorg3d", NET CONV(6) UNIT "[reorg3d]\nstride=2\n" CONV(4) END},
        {"reader without batch-norm", NET CONV(6) UNIT END "[route]\nlayers=-2\n" END},
        {"heads", NET CONV(6) UNIT CONV(6) YOLO "[route]\nlayers=-4\n" CONV(6) YOLO},
        {"readers that share parameters",
            NET CONV(6) UNIT CONV(6) "[route]\nlayers=-2\n" BN
                                     "filters=6\nsize=3\npad=1\nactivation=relu\nshare_index=-2\n["
                                     "route]\nlayers=-1,-3\n" END},
    };

    for (size_t i = 0; i < QD_LEN(net); i++)
        for (int all = 0; all < 2; all++) {
            char text[2048], *at = text;
            snprintf(text, sizeof(text), "%s", net[i].text);
            while (exact && (at = strstr(at, "size=3\npad=1")) != NULL) {
                at[5] = '1';
                at[11] = '0';
            }
            struct qd_model *m = rig_model(text);
            cut(m, net[i].what, 0, all, exact);
            qd_model_free(m);
        }
}

/* Spec compression.md 8.3: branches that add nothing can go, and no bit changes. */
static void silent(void)
{
    struct qd_model *m = rig_model(NET CONV(6) UNIT UNIT CONV(6) UNIT YOLO), *less = NULL;
    struct qd_error err = {0};
    struct qd_units u = {0};
    bool take[3] = {true, true, true};
    double far = 1;

    if (OK(qd_units_of(&u, m, false, &err) == 0 && u.n == 3, "three units %s", err.msg)) {
        silence(m, &u, take, true);
        less = qd_units_remove(m, &u, take, NULL, &err);
        OK(less && less->graph->nlayers == 4, "all are removed %s", err.msg);
    }
    if (less)
        OK(qd_verify(m, less, NULL, &far, &err) == 0 && far == 0,
            "no bit of the outputs changes: %g %s", far, err.msg);
    qd_units_free(&u);
    qd_model_free(less);
    qd_model_free(m);
}

/* The last layer that adds in 'text', and why it stays. */
static void unit_is(const char *text, int first, int end, const char *why)
{
    struct qd_model *m = rig_model(text);
    struct qd_error err = {0};
    struct qd_units u = {0};

    if (OK(qd_units_of(&u, m, false, &err) == 0 && u.n, "units %s", err.msg)) {
        const struct qd_unit *x = &u.unit[u.n - 1];
        IS_STR(x->why ? x->why : "", why, "why it stays");
        OK(*why || (x->first == first && x->end == end), "layers %d to %d, end %d", x->first,
            x->sum, x->end);
    }
    qd_units_free(&u);
    qd_model_free(m);
}

static void guards(void)
{
    static const char ends[] = "its branch does not end in a layer with factors of its own";
    static const char inside[] = "a layer behind it reads what lies in its branch";

    unit_is(NET CONV(6) UNIT END, 1, 2, "");
    unit_is(NET CONV(6) CONV(6) "[dropout]\n[route]\nlayers=-1\n" ADD(-4) END, 1, 1, "");
    unit_is(NET CONV(6) CONV(6) "[shortcut]\nfrom=-2\nactivation=relu\n" END, 0, 0,
        "its activation is not linear");
    unit_is(NET CONV(6) CONV(6) CONV(6) "[shortcut]\nfrom=-2,-3\nactivation=linear\n" END, 0, 0,
        "it adds more than one layer");
    unit_is(NET CONV(6) CONV(4) ADD(-2) END, 0, 0, "what it adds has another shape");
    unit_is(NET CONV(6) CONV(6) "[shortcut]\nfrom=-2\nactivation=linear\nweights_type=per_layer\n"
                                "weights_normalization=relu\n" END,
        0, 0, "its sources have weights");
    unit_is(NET CONV(6) CONV(6) "[shortcut]\nfrom=-2\nactivation=linear\nbeta=2\n" END, 0, 0,
        "its source has a factor");
    unit_is(NET CONV(6) CONV(6) ADD(-2), 0, 0, "it is an output of the net");
    unit_is(NET CONV(6) CONV(4) "[route]\nlayers=-2\n" CONV(6) ADD(-4) END, 0, 0,
        "an output of the net lies in its branch");
    unit_is(NET CONV(6) CONV(4) CONV(6) ADD(-3) "[route]\nlayers=1,-1\n" END, 0, 0, inside);
    unit_is(NET CONV(6) CONV(6) CONV(6) ADD(-3) "[route]\nlayers=0\n" BN
                                                "filters=6\nsize=3\npad=1\n"
                                                "share_index=1\n[route]\nlayers=-1,-3\n" END,
        0, 0, inside);
    unit_is(NET CONV(6) UNIT YOLO "embedding_layer=1\n", 0, 0, inside);
    unit_is(NET YOLO "embedding_layer=3\n[route]\nlayers=0\n" CONV(6) ADD(-2) END, 0, 0, inside);
    unit_is(NET CONV(6) "[convolutional]\nfilters=6\nactivation=linear\n" ADD(-2) END, 0, 0, ends);
    unit_is(NET CONV(6) CONV(6) "[maxpool]\nsize=3\nstride=1\n" ADD(-3) END, 0, 0, ends);
    unit_is(
        NET CONV(6) CONV(6) "[route]\nlayers=0\n" ADD(-2) "[route]\nlayers=-1,1\n" END, 0, 0, ends);
    unit_is(NET CONV(6) "[route]\nlayers=-1\n" ADD(-1) END, 0, 0, ends);
    unit_is(NET CONV(6) CONV(6) BN
        "filters=6\nsize=3\npad=1\nactivation=leaky\nshare_index=-1\n" ADD(-3) END,
        0, 0, ends);
    unit_is(NET CONV(6) BN "filters=6\nactivation=normalize_channels\n" ADD(-2) END, 0, 0,
        "activation over all channels");
}

/* Constants that nobody takes up; the model is left alone. */
static void refuse(const char *text, const char *want)
{
    struct qd_model *m = rig_model(text), *before = copy_of(m);
    struct qd_error err = {0};
    struct qd_units u = {0};
    bool take[8] = {true};

    if (OK(qd_units_of(&u, m, false, &err) == 0 && u.n, "units %s", err.msg)) {
        OK(qd_units_absorb(m, &u, take, &err) < 0 && err.code == QD_EUNSUP, "refused");
        IS_STR(err.msg, want, "message");
        OK(memcmp(m->params, before->params, m->graph->nparams * sizeof(float)) == 0, "unchanged");
    }
    qd_units_free(&u);
    qd_model_free(m);
    qd_model_free(before);
}

static void refusals(void)
{
    refuse(NET CONV(6) CONV(6) ADD(-2) "[yolo]\nclasses=1\nmask=0\n",
        "t.cfg:20: layer 3, [yolo], cannot take up a constant that its input has lost");
    refuse(NET CONV(6) CONV(6) ADD(-2) "[maxpool]\nsize=2\nstride=2\n",
        "t.cfg:20: layer 3, [maxpool], is an output of the net and would lose a constant");
    refuse(NET CONV(6) CONV(6) ADD(-2) "[maxpool]\nmaxpool_depth=1\nout_channels=2\n" END,
        "t.cfg:20: layer 3, [maxpool], cannot take up a constant that its input has lost");
    refuse(NET CONV(6) CONV(6) ADD(-2) "[activation]\nactivation=relu\n" END,
        "t.cfg:20: layer 3, [activation], cannot take up a constant that channel 0 of layer 2 has "
        "lost");
    refuse(NET CONV(6) CONV(6) ADD(-2) CONV(6) "[sam]\nfrom=-2\n" END,
        "t.cfg:26: layer 4, [sam], cannot take up a constant that channel 0 of layer 2 has lost");
    refuse(NET CONV(6) CONV(6) ADD(-2) "[avgpool]\n[scale_channels]\nfrom=0\n" END,
        "t.cfg:21: layer 4, [scale_channels], cannot take up a constant that channel 0 of layer 3 "
        "has lost");
    refuse(NET CONV(6) CONV(6) ADD(-2) CONV(6) "[shortcut]\nfrom=-2\nactivation=relu\n" END,
        "t.cfg:26: layer 4, [shortcut], cannot pass on a constant that its sources have lost in "
        "channel 0: its activation is not linear");
    refuse(NET CONV(8) CONV(8) ADD(-2) "[reorg]\nstride=2\n" END,
        "t.cfg:20: layer 3, [reorg], cannot take up a constant that its input has lost");
    refuse(NET CONV(6) POINT(6, logistic) ADD(-2) END,
        "t.cfg:11: layer 1, [convolutional], ends a branch with an activation that is not 0 at 0");
}

static void scores(void)
{
    struct qd_model *m = rig_model(NET CONV(6) UNIT UNIT END);
    struct qd_error err = {0};
    struct qd_units u = {0};
    size_t n;
    float *x = values(m, 2, "scales", &n);

    for (size_t i = 0; i < n; i++)
        x[i] = i == 4 ? -3 : .5f;
    for (int most = 0; most < 2; most++) {
        if (OK(qd_units_of(&u, m, most, &err) == 0 && u.n == 2, "units %s", err.msg))
            NEAR(u.unit[0].score, most ? 3 : 5.5 / 6, 1e-6, 0, "score");
        qd_units_free(&u);
    }
    qd_model_free(m);
}

static void shipped(const char *path)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_load(path, &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    struct qd_units u = {0};
    int can = 0;

    if (m && qd_units_of(&u, m, false, &err) == 0)
        for (int k = 0; k < u.n; k++)
            can += !u.unit[k].why;
    OK(m && !*err.msg, "%s: %d of %d units can go %s", path, can, u.n, err.msg);
    if (strstr(path, "yolov3.") || strstr(path, "yolov4.") || strstr(path, "yolov3-quarter"))
        OK(can == 23, "%s: 23 units", path);
    if (strstr(path, "resnet"))
        OK(can == 0 && u.n, "%s: an activation behind each of %d sums", path, u.n);
    if (can && m->graph->nparams > LARGE && getenv("QD_QUICK")) {
        tap_skip("%s is large", path);
    } else if (can) {
        rig_params(m);
        cut(m, path, SIDE, false, false);
    }
    qd_units_free(&u);
    qd_model_free(m);
}

static void trained(void)
{
    const char *path = tap_shared("models/yolo-fastest-1.1.cfg");
    struct qd_error err = {0};
    struct qd_cfg *cfg = path ? qd_cfg_load(path, &err) : NULL;
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (path && OK(m, "yolo-fastest %s", err.msg) &&
        OK(qd_model_load(m, tap_shared("models/yolo-fastest-1.1.weights"), NULL, NULL, &err) == 0,
            "weights %s", err.msg))
        cut(m, "yolo-fastest", 0, true, false);
    qd_model_free(m);
}

static void allocations(void)
{
    struct qd_model *m = rig_model(NET CONV(6) UNIT UNIT END), *less = NULL;
    bool take[2] = {true, true};
    long n = 0;

    do { /* every allocation fails once */
        struct qd_error err = {0};
        struct qd_units u = {0};
        qd_alloc_fail_at(++n);
        if (qd_units_of(&u, m, false, &err) == 0 && qd_units_absorb(m, &u, take, &err) == 0)
            less = qd_units_remove(m, &u, take, NULL, &err);
        qd_alloc_fail_at(0);
        qd_units_free(&u);
        OK(less || err.code == QD_ENOMEM, "allocation %ld fails", n);
    } while (!less && n < 300);
    OK(less && n > 1, "and none after %ld", n);
    qd_model_free(less);
    qd_model_free(m);
}

int main(void)
{
    structures(true);
    structures(false);
    silent();
    guards();
    refusals();
    scores();
    rig_each_cfg(shipped);
    trained();
    allocations();
    return tap_done();
}
