/* SPDX-License-Identifier: MIT */
/*
 * The table of layer types, the keys of [net], the keys that every layer may have, and the names of
 * layers that other darknets have and we have not.
 */
#include "net/layer/util.h"

/* One line a type; each is qd_type_<name> in a file of net/layer/. */
#define LAYER_TYPES(X)                                                                             \
    X(convolutional)                                                                               \
    X(depthwise)                                                                                   \
    X(connected)                                                                                   \
    X(se)                                                                                          \
    X(maxpool)                                                                                     \
    X(avgpool)                                                                                     \
    X(local_avgpool)                                                                               \
    X(route)                                                                                       \
    X(shortcut)                                                                                    \
    X(scale_channels)                                                                              \
    X(sam)                                                                                         \
    X(upsample)                                                                                    \
    X(reorg)                                                                                       \
    X(reorg3d)                                                                                     \
    X(crop)                                                                                        \
    X(batchnorm)                                                                                   \
    X(activation)                                                                                  \
    X(dropout)                                                                                     \
    X(softmax)                                                                                     \
    X(logistic)                                                                                    \
    X(cost)                                                                                        \
    X(region)                                                                                      \
    X(yolo)                                                                                        \
    X(gaussian_yolo)

#define DECLARE(name) extern const struct qd_layer_type qd_type_##name;
LAYER_TYPES(DECLARE)

#define ENTRY(name) &qd_type_##name,
const struct qd_layer_type *const qd_layer_types[] = {LAYER_TYPES(ENTRY) NULL};

const struct qd_layer_type *qd_layer_type_find(const char *section)
{
    for (int i = 0; qd_layer_types[i]; i++) {
        const struct qd_layer_type *t = qd_layer_types[i];
        if (strcmp(section, t->section) == 0)
            return t;
        for (size_t k = 0; k < QD_LEN(t->aliases) && t->aliases[k]; k++)
            if (strcmp(section, t->aliases[k]) == 0)
                return t;
    }
    return NULL;
}

const char *qd_layer_unsupported(const char *section)
{
    static const char recurrent[] = "is not supported: recurrent layers are not";
    static const char first[] = "is not supported: the first YOLO's layers are not";
    static const char other[] = "is not supported";
    static const struct {
        const char *name, *reason;
    } list[] = {
        {"rnn", recurrent},
        {"crnn", recurrent},
        {"gru", recurrent},
        {"lstm", recurrent},
        {"conv_lstm", recurrent},
        {"history", recurrent},
        {"detection", first},
        {"local", first},
        {"deconvolutional", "is not supported: use [upsample] and [convolutional]"},
        {"deconv", "is not supported: use [upsample] and [convolutional]"},
        {"implicit", "is not supported: fold it into the next layer's biases"},
        {"iseg", other},
        {"l2norm", other},
        {"contrastive", other},
        {"normalization", other},
        {"lrn", other},
        {"empty", other},
        {"silence", other},
        {"blank", other},
    };

    for (size_t i = 0; i < QD_LEN(list); i++)
        if (strcmp(section, list[i].name) == 0)
            return list[i].reason;
    return NULL;
}

const struct qd_cfg_key qd_layer_common_keys[] = {
    QD_K_FLAG("dontload", "0", "1: the weights file that is read has nothing of this layer"),
    QD_K_FLAG("dontloadscales", "0",
        "1: the weights file that is read has no batch-norm arrays of this layer"),
    QD_K_FLOAT("learning_rate", "1", 0, 1e6, "training: factor of the rate for this layer"),
    QD_K_INT("stopbackward", "0", 0, 2147483647,
        "training: layers before this one are frozen, above 1 only up to that iteration"),
    QD_K_INT("onlyforward", "0", 0, 1, "training: this layer is not trained"),
    QD_K_INT(
        "train_only_bn", "0", 0, 1, "training: of the layers up to here only batch-norm moves"),
    QD_K_FLOAT("dont_update", "0", 0, 2147483647, "training: no updates up to that iteration"),
    QD_K_FLOAT("burnin_update", "0", 0, 1e6, "training: no updates up to that many burn-ins"),
    QD_K_FLOAT("clip", "0", 0, 1e30, "training: limit of the weights; 0: none"),
    QD_K_REFUSED("numload", "part of the filters are in the weights file"),
    QD_K_REFUSED("dontsave", "the weights file that is written has nothing of this layer"),
    QD_K_NOTED("truth", "training: the layer's truth"),
    QD_K_NOTED("smooth", "training: label smoothing of a classifier"),
    QD_KEY_END,
};

const struct qd_cfg_key qd_net_keys[] = {
    QD_K_INT("width", "0", 0, 65536, "width of the input in pixels"),
    QD_K_INT("height", "0", 0, 65536, "height of the input in pixels"),
    QD_K_INT("channels", "0", 0, 65536, "channels of the input"),
    QD_K_INT("inputs", NULL, 1, 1048576,
        "size of an input that is no image, instead of width, height and channels"),
    {"bn_eps", QD_KEY_FLOAT, "0.00001", 0, 1, NULL,
        "batch normalization divides by the root of the variance plus this (OpenCV: 0.000001)"},
    QD_K_FLAG("letter_box", "0", "1: fit images with gray bars instead of stretching them"),
    QD_K_INT("batch", "1", 1, 1048576, "training: images of one update"),
    QD_K_INT("subdivisions", "1", 1, 1048576, "training: parts into which a batch is cut"),
    QD_K_INT("time_steps", "1", 1, 1048576, "training: steps of recurrent layers"),
    QD_K_INT("max_batches", "0", 0, 2147483647, "training: updates; 0: no end"),
    QD_K_FLOAT("learning_rate", "0.001", 0, 1e6, "training: rate"),
    QD_K_FLOAT("learning_rate_min", "0.00001", 0, 1e6, "training: lowest rate of policy=sgdr"),
    QD_K_FLOAT("momentum", "0.9", 0, 1, "training: momentum of SGD"),
    QD_K_FLOAT("decay", "0.0001", 0, 1e6, "training: weight decay (L2)"),
    QD_K_WORD("policy", "constant", "constant step steps exp poly sigmoid random sgdr cos linear",
        "training: how the rate changes"),
    QD_K_INT("burn_in", "0", 0, 2147483647, "training: updates over which the rate rises"),
    QD_K_FLOAT("power", "4", 0, 1000, "training: exponent of burn_in and of policy=poly, random"),
    QD_K_INT("step", "1", 1, 2147483647, "training: updates between steps of policy=step, sigmoid"),
    QD_K_FLOAT("scale", "1", 0, 1e6, "training: factor at each step of policy=step"),
    QD_K_FLOATS("steps", -2147483648.0, 2147483647,
        "training: updates at which policy=steps changes the rate"),
    QD_K_FLOATS("scales", 0, 1e6, "training: factors of the rate at these steps"),
    QD_K_FLOATS("seq_scales", 0, 1e6, "training: factors of time_steps at these steps"),
    QD_K_FLOAT("gamma", "1", -1e6, 1e6, "training: base of policy=exp, slope of sigmoid"),
    QD_K_INT("sgdr_cycle", NULL, 1, 2147483647,
        "training: updates of the first cycle of policy=sgdr; max_batches by default"),
    QD_K_FLOAT("sgdr_mult", "2", 0, 1e6, "training: factor from cycle to cycle of policy=sgdr"),
    QD_K_FLAG("adam", "0", "1: train with Adam"),
    QD_K_FLOAT("B1", "0.9", 0, 1, "training: decay of Adam's first moment"),
    QD_K_FLOAT("B2", "0.999", 0, 1, "training: decay of Adam's second moment"),
    QD_K_FLOAT("eps", "0.000001", 0, 1, "training: epsilon of Adam"),
    QD_K_FLOAT("ema_alpha", "0", 0, 1, "training: decay of averaged weights; 0: none"),
    QD_K_FLOAT("loss_scale", "1", 0, 1e9, "training: factor of the gradients on the way"),
    QD_K_FLOAT("clip", "0", 0, 1e9, "training: limit of the gradient; 0: none"),
    QD_K_INT("try_fix_nan", "0", 0, 1, "training: zero what is not a number"),
    QD_K_FLOAT("angle", "0", -360, 360, "augmentation: random rotation in degrees"),
    QD_K_FLOAT("aspect", "1", 0.01, 100, "augmentation: random aspect"),
    QD_K_FLOAT("saturation", "1", 0.01, 100, "augmentation: random saturation up to this factor"),
    QD_K_FLOAT("exposure", "1", 0.01, 100, "augmentation: random brightness up to this factor"),
    QD_K_FLOAT("hue", "0", 0, 1, "augmentation: random hue, as a share of the circle"),
    QD_K_INT("flip", "1", 0, 1, "augmentation: random mirroring"),
    QD_K_INT("blur", "0", 0, 1000,
        "augmentation of detectors: blur, 1 the background, more: the window"),
    QD_K_INT(
        "gaussian_noise", "0", 0, 1000, "augmentation of detectors: deviation of noise, of 255"),
    QD_K_INT("mixup", "0", 0, 4, "augmentation: two images in one"),
    QD_K_INT("cutmix", "0", 0, 1, "augmentation: a part of one image in another"),
    QD_K_INT("mosaic", "0", 0, 1, "augmentation: four images in one"),
    QD_K_INT("mosaic_bound", "0", 0, 1, "augmentation: boxes end at the mosaic's parts"),
    QD_K_INT("max_crop", NULL, 0, 65536, "augmentation: longest random crop of a classifier"),
    QD_K_INT("min_crop", NULL, 0, 65536, "augmentation: shortest random crop of a classifier"),
    QD_K_FLOAT("max_ratio", NULL, 0, 1e6, "augmentation: largest random crop, as a factor"),
    QD_K_FLOAT("min_ratio", NULL, 0, 1e6, "augmentation: smallest random crop, as a factor"),
    QD_K_INT("center", "0", 0, 1, "augmentation: crops from the centre"),
    QD_K_FLOAT("label_smooth_eps", "0", 0, 1, "training: label smoothing of a classifier"),
    QD_K_INT("resize_step", "32", 1, 65536, "training: step of random input sizes"),
    QD_K_FLOAT("random", "0", 0, 100, "training: random input sizes"),
    QD_K_INT("dynamic_minibatch", "0", 0, 1, "training: more images when the input is smaller"),
    QD_K_NOTED("optimized_memory", "memory of a GPU"),
    QD_K_NOTED("workspace_size_limit_MB", "memory of a GPU"),
    QD_K_NOTED("track", "training on video"),
    QD_K_NOTED("augment_speed", "training on video"),
    QD_K_NOTED("sequential_subdivisions", "training on video"),
    QD_K_NOTED("badlabels_rejection_percentage", "training: drop boxes with large loss"),
    QD_K_NOTED("num_sigmas_reject_badlabels", "training: drop boxes with large loss"),
    QD_K_NOTED("equidistant_point", "training: equalize losses"),
    QD_K_NOTED("weights_reject_freq", "training: random weights"),
    QD_K_NOTED("max_chart_loss", "drawing of the loss"),
    QD_K_NOTED("show_receptive_field", "printing"),
    QD_K_NOTED("contrastive", "training: contrastive loss"),
    QD_K_NOTED("contrastive_jit_flip", "training: contrastive loss"),
    QD_K_NOTED("contrastive_color", "training: contrastive loss"),
    QD_K_NOTED("unsupervised", "training: without labels"),
    QD_K_NOTED("attention", "training: attention"),
    QD_K_NOTED("adversarial_lr", "training: adversarial examples"),
    QD_K_NOTED("notruth", "training: without truths"),
    QD_KEY_END,
};
