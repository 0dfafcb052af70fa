/* SPDX-License-Identifier: MIT */
/*
 * What a cfg must obey: for each rule a cfg that breaks it and the whole message; what qd-info says
 * about each layer; the table of layer types and its keys.
 */
#include <string.h>

#include "tap.h"
#include "base/num.h"
#include "format/cfg.h"
#include "net/layer.h"

#define NET "[net]\nwidth=16\nheight=8\nchannels=3\n"              /* lines 1 to 4 */
#define C12 NET "[convolutional]\nfilters=12\nactivation=linear\n" /* lines 5 to 7 */

struct rule {
    const char *text, *message;
};

static const struct rule rules[] = {
    /* convolutions */
    {NET "[convolutional]\nfilters=0\n",
        "t.cfg:6: 'filters=0' in [convolutional] must be 1 to 65536"},
    {NET "[convolutional]\nfilters=4\ngroups=2\n",
        "t.cfg:7: groups=2 does not divide the 3 channels of the input of [convolutional]"},
    {NET "[convolutional]\nfilters=4\ngroups=3\n",
        "t.cfg:7: groups=3 does not divide filters=4 in [convolutional]"},
    {NET "[convolutional]\nsize=11\npad=0\n",
        "t.cfg:6: the 11x11 kernel of [convolutional] is larger than its input of 16x8 with "
        "padding 0"},
    {NET "[convolutional]\nactivation=leeky\n",
        "t.cfg:6: unknown activation 'leeky' in [convolutional]"},
    {NET "[convolutional]\nantialiasing=1\nstride_x=2\n",
        "t.cfg:6: antialiasing with stride_x=2 and stride_y=1 is not supported: they must be "
        "equal"},
    {NET "[convolutional]\nxnor=1\n",
        "t.cfg:6: 'xnor=1' in [convolutional] is not supported, it would be another network"},
    {NET "[convolutional]\nquant=twn\n",
        "t.cfg:6: 'quant=twn' in [convolutional] is not supported, it would be another network"},
    {NET "[convolutional]\nshare_index=-1\n",
        "t.cfg:6: no such layer: 'share_index=-1' in [convolutional], only 0 layers precede it"},
    {C12 "[maxpool]\n[convolutional]\nfilters=12\nshare_index=1\n",
        "t.cfg:11: [convolutional] cannot share the parameters of layer 1, a [maxpool]"},
    {C12 "[convolutional]\nfilters=12\nshare_index=0\n",
        "t.cfg:10: [convolutional] cannot share the parameters of layer 0: size, channels, "
        "filters, groups, batch_normalize and prelu must be equal"},
    {NET "[convolutional]\nsize=101\npad=1\ndilation=21\n",
        "t.cfg:8: padding and dilation of [convolutional] reach 1050 pixels beyond its input, more "
        "than 1024"},
    {C12 "[depthwise]\nfilters=6\n",
        "t.cfg:9: [depthwise] has one filter for each channel: filters must be 12 like the "
        "channels of its input, not 6"},
    {C12 "[depthwise]\ngroups=4\n",
        "t.cfg:9: [depthwise] has one filter for each channel: groups must be 12 like the "
        "channels of its input, not 4"},
    {NET "[connected]\noutput=-1\n", "t.cfg:6: 'output=-1' in [connected] must be 1 to 1048576"},
    {C12 "[se]\nreduction=13\n", "t.cfg:9: reduction=13 in [se] leaves nothing of its 12 channels"},
    {C12 "[se]\nfilters=13\n",
        "t.cfg:9: filters=13 in [se] must be 12 like the channels of its input"},
    /* pools */
    {NET "[maxpool]\nsize=9\npadding=0\n",
        "t.cfg:6: the 9x9 window of [maxpool] is larger than its input of 16x8 with padding 0"},
    {NET "[maxpool]\nsize=2\npadding=3\n",
        "t.cfg:7: padding=3 in [maxpool] with size=2 would make windows that see nothing"},
    {NET "[maxpool]\nmaxpool_depth=1\nout_channels=4\n",
        "t.cfg:7: out_channels=4 in [maxpool] is more than the 3 channels of its input"},
    {NET "[maxpool]\nstride_x=2\nantialiasing=2\nsize=2\n",
        "t.cfg:7: antialiasing with stride_x=2 and stride_y=1 is not supported: they must be "
        "equal"},
    /* routes and sums */
    {C12 "[route]\n", "t.cfg:8: [route] needs the key 'layers'"},
    {C12 "[route]\nlayers=-1,,0\n", "t.cfg:9: 'layers=-1,,0' in [route] has nothing as element 2"},
    {C12 "[route]\nlayers=-1,5\n",
        "t.cfg:9: no such layer: 'layers=5' in [route], only 1 layer precedes it"},
    {C12 "[maxpool]\nstride=2\n[route]\nlayers=-1,0\n",
        "t.cfg:11: [route] cannot join layer 1 (8x4x12) and layer 0 (16x8x12): width and height "
        "must be equal"},
    {C12 "[route]\nlayers=0\ngroups=5\n",
        "t.cfg:10: groups=5 in [route] does not divide the channels of layer 0 (16x8x12)"},
    {C12 "[route]\nlayers=0\ngroups=2\ngroup_id=2\n",
        "t.cfg:11: group_id=2 in [route] must be below groups=2"},
    {C12 "[shortcut]\nactivation=linear\n", "t.cfg:8: [shortcut] needs the key 'from'"},
    {C12 "[shortcut]\nfrom=-3\n",
        "t.cfg:9: no such layer: 'from=-3' in [shortcut], only 1 layer precedes it"},
    {C12 "[upsample]\n[shortcut]\nfrom=0\n",
        "t.cfg:10: [shortcut] cannot join layer 1 (32x16x12) and layer 0 (16x8x12): width and "
        "height must be equal"},
    {C12 "[shortcut]\nfrom=0\nweights_type=per_channel\n",
        "t.cfg:10: weights_type=per_channel in [shortcut] needs weights_normalization=relu or "
        "softmax"},
    {C12 "[shortcut]\nfrom=0\nweights_type=per_chanel\n",
        "t.cfg:10: 'weights_type=per_chanel' in [shortcut] is not known, did you mean "
        "'per_channel'?"},
    {C12 "[shortcut]\nfrom=0,0\nalpha=2\n",
        "t.cfg:10: alpha and beta in [shortcut] are supported only for one source with as many "
        "channels as the previous layer"},
    {C12 "[shortcut]\nfrom=0\nactivation=prelu\n",
        "t.cfg:10: activation=prelu in [shortcut] is not supported: put an [activation] behind it"},
    {C12 "[scale_channels]\nfrom=0\n",
        "t.cfg:9: [scale_channels] cannot scale layer 0 (16x8x12) by layer 0 (16x8x12): that must "
        "be 1x1x12"},
    {C12 "[scale_channels]\nfrom=0\nscale_wh=1\n",
        "t.cfg:9: [scale_channels] cannot scale layer 0 (16x8x12) by layer 0 (16x8x12): that must "
        "be 16x8x1"},
    {C12 "[maxpool]\nstride=2\n[sam]\nfrom=0\n",
        "t.cfg:11: [sam] cannot multiply layer 1 (8x4x12) and layer 0 (16x8x12): width, height "
        "and channels must be equal"},
    /* moving */
    {NET "[upsample]\nstride=0\n", "t.cfg:6: 'stride=0' in [upsample] is not possible"},
    {NET "[upsample]\nstride=-3\n",
        "t.cfg:6: stride=-3 in [upsample] does not divide its input of 16x8"},
    {NET "[upsample]\nstride=255\n[upsample]\nstride=255\n",
        "t.cfg:7: the output of [upsample] would be 1040400x520200x3, larger than "
        "65536x65536x1048576"},
    {C12 "[reorg]\nstride=5\n",
        "t.cfg:9: the 12 channels of the input of [reorg] are not a multiple of 25, as stride=5 "
        "needs"},
    {C12 "[reorg3d]\nstride=3\n",
        "t.cfg:9: stride=3 in [reorg3d] does not divide its input of 16x8"},
    {C12 "[reorg]\nstride=2\nreverse=1\n",
        "t.cfg:9: the 12 channels of the input of [reorg] are not a multiple of 16, as stride=2 "
        "needs"},
    {NET "[crop]\ncrop_height=9\n", "t.cfg:6: [crop] to 1x9 is larger than its input of 16x8"},
    {NET "[softmax]\ngroups=3\n",
        "t.cfg:6: groups=3 in [softmax] over 16x8 pixels is not supported: put [avgpool] before "
        "it"},
    {"[net]\ninputs=0\n[softmax]\n", "t.cfg:2: 'inputs=0' in [net] must be 1 to 1048576"},
    {"[net]\nchannels=3\n[softmax]\n",
        "t.cfg:1: [net] must give width, height and channels above 0 (they are 0, 0, 3)"},
    {NET "[avgpool]\n[softmax]\ngroups=2\n",
        "t.cfg:7: groups=2 in [softmax] does not divide the 3 channels of its input"},
    {NET "[cost]\ntype=huber\n",
        "t.cfg:6: 'type=huber' in [cost] must be one of: sse masked smooth L1 wgan seg"},
    {NET "[dropout]\nprobability=1.5\n", "t.cfg:6: 'probability=1.5' in [dropout] must be 0 to 1"},
    /* heads */
    {C12 "[yolo]\nmask=0,1,2\nanchors=1,1,2,2,3,3,4,4\nnum=4\nclasses=80\n",
        "t.cfg:8: [yolo] needs 255 channels (3 masks x (5 + 80 classes)) but the layer before it "
        "has 12: set filters=255 at line 6"},
    {C12 "[maxpool]\n[yolo]\nclasses=80\n",
        "t.cfg:9: [yolo] needs 85 channels (1 anchor x (5 + 80 classes)) but the layer before it "
        "has 12"},
    {C12 "[dropout]\n[region]\nnum=5\nclasses=20\n",
        "t.cfg:9: [region] needs 125 channels (5 anchors x (5 + 20 classes)) but the layer before "
        "it has 12: set filters=125 at line 6"},
    {C12 "[Gaussian_yolo]\nnum=2\nclasses=20\n",
        "t.cfg:8: [Gaussian_yolo] needs 58 channels (2 anchors x (9 + 20 classes)) but the layer "
        "before it has 12: set filters=58 at line 6"},
    {C12 "[yolo]\nnum=2\nanchors=1,1,2\nclasses=1\n",
        "t.cfg:10: 'anchors' in [yolo] has 3 numbers but num=2 needs 4"},
    {C12 "[yolo]\nnum=2\nmask=0,2\nclasses=1\n",
        "t.cfg:10: 'mask' in [yolo] names anchor 2 but num=2: the last one is 1"},
    {C12 "[yolo]\nnum=2\nmask=0,1,1\nclasses=1\n",
        "t.cfg:10: 'mask' in [yolo] names 3 anchors of num=2"},
    {C12 "[yolo]\nnum=2\nclasses=1\n[yolo]\nnum=1\nclasses=7\n",
        "t.cfg:13: [yolo] has 7 classes but the head at line 8 (layer 1) has 1: they must be "
        "equal"},
    {C12 "[yolo]\nnum=2\nclasses=1\nignore_thresh=x\n",
        "t.cfg:11: 'ignore_thresh=x' in [yolo] is not a number"},
    {C12 "[yolo]\nnum=2\nclasses=1\niou_loss=cio\n",
        "t.cfg:11: 'iou_loss=cio' in [yolo] is not known, did you mean 'ciou'?"},
    {C12 "[region]\nnum=1\nclasses=7\ntree=a.tree\n",
        "t.cfg:11: 'tree=a.tree' in [region] is not supported, it would be another network"},
    {C12 "[region]\nnum=1\nclasses=7\ncoords=5\n",
        "t.cfg:11: 'coords=5' in [region] must be 4 to 4"},
    /* sections */
    {NET "[lstm]\n", "t.cfg:5: [lstm] is not supported: recurrent layers are not"},
    {NET "[yolov9]\n", "t.cfg:5: unknown section [yolov9]"},
};

static struct qd_model *model_of(const char *text, struct qd_error *err)
{
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", err);

    return cfg ? qd_model_new(cfg, err) : NULL;
}

static void faults(void)
{
    for (size_t i = 0; i < QD_LEN(rules); i++) {
        struct qd_error err = {0};
        struct qd_model *m = model_of(rules[i].text, &err);
        IS_STR(m ? "no fault" : err.msg, rules[i].message, "rule %d", (int)i);
        qd_model_free(m);
    }
}

struct detail {
    const char *section, *detail;
};

static const struct detail described[] = {
    {"[convolutional]\nfilters=12\nsize=3\nstride=2\npad=1\nbatch_normalize=1\nactivation=leaky\n",
        "3x3/2 12 bn leaky"},
    {"[convolutional]\nfilters=12\nsize=3\nstride_x=2\npad=1\ngroups=3\ndilation=2\n"
     "activation=none\n",
        "3x3/2x1 12 groups 3 dilation 2 linear"},
    {"[depthwise]\nsize=3\npad=1\nantialiasing=1\nactivation=relu\n", "3x3 12 relu blur"},
    {"[maxpool]\nsize=3\nstride=1\n", "3x3/1"},
    {"[maxpool]\nstride_x=2\nsize=2\n", "2x2/2x1"},
    {"[route]\nlayers=-1,-1\n", "from -1, -1"},
    {"[route]\nlayers=3\ngroups=2\n", "from 3 group 0 of 2"},
    {"[upsample]\n", "x2"},
    {"[upsample]\nstride=-2\n", "1/2"},
    {"[shortcut]\nfrom=6,-3\nactivation=leaky\n", "from 6, -3 leaky"},
    {"[reorg3d]\nstride=2\n", "/2"},
    {"[dropout]\nprobability=.15\n", "0.15"},
    {"[se]\n", "6 24"},
    {"[avgpool]\n", ""},
    {"[connected]\noutput=21\nactivation=linear\n", "21 linear"},
    {"[yolo]\nnum=3\nclasses=2\n", "3 anchors, 2 classes"},
};

static void details(void)
{
    char text[2000] = NET;
    struct qd_error err = {0};
    struct qd_layer_info info;

    for (size_t i = 0; i < QD_LEN(described); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s", described[i].section);
    }
    struct qd_model *m = model_of(text, &err);
    if (!OK(m, "a net of many layers %s", err.msg))
        return;
    for (size_t i = 0; i < QD_LEN(described); i++) {
        qd_model_layer(m, (int)i, &info);
        IS_STR(info.detail, described[i].detail, "what layer %d is", (int)i);
    }
    qd_model_free(m);
}

/* What darknets read although it is odd. */
static void odd(void)
{
    static const char *const text[] = {
        NET "[convolutional]\nsize=5\npad=2\n",
        "[net]\nwidth=4\nheight=4\nchannels=1\nsteps=-1,100\nscales=.1,10\n[softmax]\n",
        "[net]\ninputs=7\n[connected]\noutput=3\n[softmax]\n",
        C12 "[yolo]\nnum=6\nmask=0,1\nanchors=1,1,2,2\nclasses=1\n",
    };

    for (size_t i = 0; i < QD_LEN(text); i++) {
        struct qd_error err = {0};
        struct qd_model *m = model_of(text[i], &err);
        OK(m, "odd cfg %d %s", (int)i, err.msg);
        qd_model_free(m);
    }
}

/* Defaults are inside their ranges, words among their choices, every key has a help line. */
static void check_key(const char *section, const struct qd_cfg_key *k)
{
    double x = 0;
    bool number = k->type == QD_KEY_INT || k->type == QD_KEY_FLOAT;
    bool ok = k->help && *k->help && k->help[strlen(k->help) - 1] != '.';

    if (number && k->def)
        ok = ok && qd_num_double(k->def, &x) && x >= k->min && x <= k->max;
    if (k->type == QD_KEY_WORD && k->choices)
        ok = ok && k->def && strstr(k->choices, k->def);
    OK(ok, "%s in [%s]", k->name, section);
}

static void tables(void)
{
    for (int i = 0; qd_layer_types[i]; i++) {
        const struct qd_layer_type *t = qd_layer_types[i];
        bool ok = t->help && t->setup && t->keys && qd_layer_type_find(t->section) == t;
        for (size_t k = 0; k < QD_LEN(t->aliases) && t->aliases[k]; k++)
            ok = ok && qd_layer_type_find(t->aliases[k]) == t;
        ok = ok && !t->head == !t->decode && !qd_layer_unsupported(t->section);
        OK(ok, "type [%s]", t->section);
        for (const struct qd_cfg_key *k = t->keys; k->name; k++)
            check_key(t->section, k);
    }
    for (const struct qd_cfg_key *k = qd_layer_common_keys; k->name; k++)
        check_key("*", k);
    for (const struct qd_cfg_key *k = qd_net_keys; k->name; k++)
        check_key("net", k);
    OK(!qd_layer_type_find("Yolo") && !qd_layer_type_find(""), "letter case matters");
}

int main(void)
{
    faults();
    odd();
    details();
    tables();
    return tap_done();
}
