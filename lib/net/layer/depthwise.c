/* SPDX-License-Identifier: MIT */
/*
 * [depthwise]: the spelling of pruning tools for a convolution with one filter a channel (spec
 * compression.md 6.1).
 */
#include "net/layer/convlike.h"

static const struct qd_cfg_key keys[] = {
    QD_K_INT("filters", NULL, 1, 65536, "channels; those of the input, which is the default"),
    QD_K_INT("groups", NULL, 1, 65536, "groups; the channels of the input, which is the default"),
    QD_K_INT("size", "1", 1, 255, "side of the kernel"),
    QD_K_INT("stride", "1", 1, 255, "step between windows"),
    QD_K_INT("stride_x", NULL, 1, 255, "horizontal step, instead of stride"),
    QD_K_INT("stride_y", NULL, 1, 255, "vertical step, instead of stride"),
    QD_K_INT("dilation", "1", 1, 255, "distance between the taps of the kernel"),
    QD_K_INT(
        "pad", "0", 0, 255, "not 0: zero padding of size/2 on every side, whatever padding says"),
    QD_K_INT("padding", "0", 0, 255, "zero padding on every side"),
    QD_K_FLAG("batch_normalize", "0", "1: batch normalization before the activation"),
    QD_K_ACT("logistic"),
    QD_K_LAYER(
        "share_index", "use the parameters of that layer (negative: counted back from this one)"),
    QD_K_INT("antialiasing", "0", 0, 2,
        "convolve with stride 1, then blur with the stride: 1 with 3x3, 2 with 2x2"),
    QD_K_REFUSED("binary", "weights of one bit"),
    QD_K_REFUSED("xnor", "weights and inputs of one bit"),
    QD_K_REFUSED("ternary", "weights of three values"),
    QD_K_REFUSED("quant", "quantizer of weights and inputs"),
    QD_KEY_END,
};

static int setup(struct qd_layer *l, struct qd_keys *k, struct qd_error *err)
{
    (void)err; /* faults go through the keys */
    return qd_conv_setup(l, k, true);
}

const struct qd_layer_type qd_type_depthwise = {
    .section = "depthwise",
    .help = "convolution of each channel with a filter of its own",
    .keys = keys,
    .priv_size = sizeof(struct qd_convlike),
    .setup = setup,
    .channels = qd_convlike_channels,
    .narrow = qd_conv_narrow,
    .slice = qd_convlike_slice,
    .constant = qd_convlike_constant,
    .macs = qd_convlike_macs,
    .need = qd_convlike_need,
    .pack = qd_convlike_pack,
    .forward = qd_convlike_forward,
    .absorb = qd_convlike_absorb,
    .train_need = qd_convlike_train_need,
    .train_pack = qd_convlike_train_pack,
    .train_turn = qd_convlike_train_turn,
    .train_forward = qd_convlike_train_forward,
    .backward = qd_convlike_backward,
    .train_blocks = qd_convlike_blocks,
    .train_lazy = qd_convlike_lazy,
};
