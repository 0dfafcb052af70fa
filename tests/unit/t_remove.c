/* SPDX-License-Identifier: MIT */
/*
 * Taking layers out of a cfg: every number that names a layer names the same one afterwards, in the
 * style that it was written in, and nothing else changes; who would read what is gone is refused.
 */
#include "layer_rig.h"
#include "format/cfg.h"
#include "prune/remove.h"
#include "prune/unit.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n"
#define CONV "[convolutional]\nfilters=4\nactivation=leaky\n"

/* Remove layers first .. last, after which first - 1 stands in for 'last'. */
static struct qd_model *without(
    const struct qd_model *m, int first, int last, int *origin, struct qd_error *err)
{
    int stand_in[256];

    for (int i = 0; i < m->graph->nlayers; i++)
        stand_in[i] = i < first || i > last ? i : i == last ? first - 1 : -1;
    return qd_remove(m, stand_in, origin, err);
}

static void becomes(const char *what, const char *text, int first, int last, const char *want)
{
    struct qd_model *m = rig_model(text), *less;
    struct qd_error err = {0};
    struct qd_buf b = {0};
    int origin[256];

    m->seen = 77;
    less = without(m, first, last, origin, &err);
    if (OK(less, "%s: %s", what, err.msg)) {
        qd_cfg_print(less->cfg, &b);
        IS_STR(b.data, want, "%s", what);
        OK(less->seen == 77, "%s: images seen", what);
        for (int i = 0; i < less->graph->nlayers; i++) {
            const struct qd_layer *l = &m->graph->layer[origin[i]], *now = &less->graph->layer[i];
            OK(l->type == now->type && l->nparams == now->nparams, "%s: layer %d was %d", what, i,
                origin[i]);
            for (int k = 0; k < l->nparams; k++)
                OK(memcmp(m->params + l->param[k].offset, less->params + now->param[k].offset,
                       l->param[k].count * sizeof(float)) == 0,
                    "%s: parameters of layer %d", what, origin[i]);
        }
    }
    qd_buf_free(&b);
    qd_model_free(less);
    qd_model_free(m);
}

static void numbers(void)
{
    becomes("several sources in both styles",
        NET CONV CONV CONV CONV CONV CONV "[route]\nlayers=-1,4,-6,0\n[route]\nlayers = 1\n" CONV,
        2, 3, NET CONV CONV CONV CONV "[route]\nlayers=-1,2,-4,0\n[route]\nlayers = 1\n" CONV);
    becomes("what was removed is what stands in for it",
        NET CONV CONV CONV CONV CONV "[route]\nlayers=3,-2,-4 ; joined\n" CONV, 2, 3,
        NET CONV CONV CONV "[route]\nlayers=1,-2,-2 ; joined\n" CONV);
    becomes("references behind and before",
        NET CONV CONV "[shortcut]\nfrom=-2\n" CONV CONV CONV
                      "[shortcut]\nfrom=-2\n[shortcut]\nfrom=1\n[sam]\nfrom=-7\n",
        4, 4,
        NET CONV CONV "[shortcut]\nfrom=-2\n" CONV CONV
                      "[shortcut]\nfrom=-2\n[shortcut]\nfrom=1\n[sam]\nfrom=-6\n");
    becomes("shared parameters",
        NET CONV CONV "[convolutional]\nfilters=4\nactivation=leaky\n"
                      "[convolutional]\nfilters=4\nactivation=leaky\nshare_index=-2\n"
                      "[convolutional]\nfilters=4\nactivation=leaky\nshare_index=1\n",
        2, 2,
        NET CONV CONV "[convolutional]\nfilters=4\nactivation=leaky\nshare_index=-1\n"
                      "[convolutional]\nfilters=4\nactivation=leaky\nshare_index=1\n");
    becomes("scale_channels",
        NET CONV CONV CONV CONV "[avgpool]\n[scale_channels]\nfrom=-2\n"
                                "[avgpool]\n[scale_channels]\nfrom=3\n",
        1, 2,
        NET CONV CONV
        "[avgpool]\n[scale_channels]\nfrom=-2\n[avgpool]\n[scale_channels]\nfrom=1\n");
    becomes("a key that changes nothing here",
        NET CONV CONV CONV
        "[convolutional]\nfilters=6\nactivation=linear\n"
        "[yolo]\nclasses=1\nmask=0\nembedding_layer=2\nfrom=-1\n[route]\nlayers=2\n" CONV
        "[convolutional]\nfilters=6\nactivation=linear\n"
        "[yolo]\nclasses=1\nmask=0\nembedding_layer=999999\nfrom=-4,4\n",
        1, 1,
        NET CONV CONV
        "[convolutional]\nfilters=6\nactivation=linear\n"
        "[yolo]\nclasses=1\nmask=0\nembedding_layer=1\nfrom=-1\n[route]\nlayers=1\n" CONV
        "[convolutional]\nfilters=6\nactivation=linear\n"
        "[yolo]\nclasses=1\nmask=0\nembedding_layer=999999\nfrom=-4,3\n");
}

static void text_stays(void)
{
    static const char whole[] =
        "# a net\n" NET "\n# first\n" CONV "\n# part two\n\n# unit\n" CONV "# of the unit\n\n" CONV
        "\n# last\n" CONV "[route] # join\nlayers = -1, 2  # both\n# end";

    becomes("nothing", whole, 2, 1, whole);
    becomes("comments go with their section", whole, 1, 2,
        "# a net\n" NET "\n# first\n" CONV "\n# part two\n\n# last\n" CONV
        "[route] # join\nlayers = -1,0  # both\n# end");
}

static void refuse(const char *text, int first, int last, const char *want)
{
    struct qd_model *m = rig_model(text), *less;
    struct qd_error err = {0};

    less = without(m, first, last, NULL, &err);
    OK(!less && err.code == QD_EUNSUP, "refused");
    IS_STR(err.msg, want, "message");
    qd_model_free(less);
    qd_model_free(m);
}

static void refusals(void)
{
    static const int gone[] = {0, -1, 2};
    struct qd_error err = {0};
    struct qd_model *m, *less;

    refuse(NET CONV CONV CONV CONV "[route]\nlayers=1\n", 1, 2,
        "t.cfg:18: layers cannot be removed so: layer 4, [route], reads layer 1");
    refuse(NET CONV CONV "[convolutional]\nfilters=5\nactivation=linear\n" CONV, 2, 2,
        "t.cfg:14: layers cannot be removed so: layer 3, [convolutional], would have other "
        "parameters");
    refuse(NET CONV CONV "[maxpool]\nsize=2\nstride=2\n" CONV, 2, 2,
        "t.cfg:14: layers cannot be removed so: layer 3, [convolutional], would get another shape");
    refuse(NET CONV CONV CONV "[convolutional]\nfilters=6\nactivation=linear\n"
                              "[yolo]\nclasses=1\nmask=0\nembedding_layer=1\n",
        1, 2, "t.cfg:20: layers cannot be removed so: layer 4, [yolo], reads layer 1");
    refuse(NET CONV CONV CONV "[convolutional]\nfilters=6\nactivation=linear\n"
                              "[yolo]\nclasses=1\nmask=0\nembedding_layer=two\n",
        1, 2,
        "t.cfg:20: layers cannot be removed so: layer 4, [yolo], has a key that must name layers, "
        "and none");
    m = rig_model(NET CONV CONV CONV);
    less = qd_remove(m, gone, NULL, &err); /* nothing stands in for what the section before was */
    OK(!less && err.code == QD_EUNSUP, "refused");
    IS_STR(err.msg,
        "t.cfg:11: layers cannot be removed so: layer 2, [convolutional], would read another layer",
        "message");
    qd_model_free(less);
    qd_model_free(m);
}

/* Spec compression.md 2.8: route -1,61 without the unit 59 .. 61. */
static void fixture(void)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_load("cfg/yolov3-quarter.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL, *less;
    int origin[256];

    if (!OK(m, "yolov3-quarter: %s", err.msg))
        return;
    less = without(m, 59, 61, origin, &err);
    if (OK(less && less->graph->nlayers == 104, "three layers less %s", err.msg)) {
        IS_STR(qd_cfg_get(less->cfg, 84, "layers"), "-1,58", "absolute");
        IS_STR(qd_cfg_get(less->cfg, 96, "layers"), "-1,36", "before the unit");
        IS_STR(qd_cfg_get(less->cfg, 81, "layers"), "-4", "relative");
        OK(origin[58] == 58 && origin[59] == 62 && origin[103] == 106, "origins");
    }
    qd_model_free(less);
    qd_model_free(m);
}

static void allocations(void)
{
    struct qd_model *m = rig_model(NET CONV CONV CONV CONV "[route]\nlayers=-1,2\n"), *less;
    struct qd_error err = {0};
    long n = 0;

    do { /* every allocation fails once */
        err = (struct qd_error){0};
        qd_alloc_fail_at(++n);
        less = without(m, 1, 2, NULL, &err);
        qd_alloc_fail_at(0);
        OK(less || err.code == QD_ENOMEM, "allocation %ld fails", n);
    } while (!less && n < 300);
    OK(less && n > 1, "and none after %ld", n);
    qd_model_free(less);
    qd_model_free(m);
}

int main(void)
{
    numbers();
    text_stays();
    refusals();
    fixture();
    allocations();
    return tap_done();
}
