/* SPDX-License-Identifier: MIT */
/*
 * What a layer is.  A layer type is one constant struct qd_layer_type in one file of net/layer/ and
 * one line in layer_table.c; everything that is done with layers - parse, check, count, load, save,
 * plan, run, decode, document - goes through its members.  No switch on a type exists elsewhere.
 *
 * Life of a layer: setup (once per graph: keys to geometry and parameters), need and pack (once per
 * net: how much memory, parameters into the form that the kernels want), forward (every pass).
 * A graph belongs to one model or one net, so the private struct may hold per-net state.
 */
#ifndef QD_LAYER_H
#define QD_LAYER_H

#include "base/arena.h"
#include "format/cfg.h"
#include "ops/block.h"
#include "ops/grad.h"
#include "ops/ops.h"

struct qd_layer;
struct qd_graph;

/* How a parameter starts, and what training may do with it. */
enum qd_param_flags {
    QD_PARAM_INIT_ONE = 1,     /* starts at 1 instead of 0 */
    QD_PARAM_INIT_HE = 2,      /* starts normal with variance 2 / fan_in */
    QD_PARAM_INIT_QUARTER = 4, /* starts at .25 */
    QD_PARAM_DECAY = 8,        /* weight decay applies */
    QD_PARAM_STAT = 16,        /* a running statistic: not trained, not counted as trained */
    QD_PARAM_SHARED = 32,      /* lies in another layer (share_index): not in the file */
    QD_PARAM_MEAN = 64,        /* with STAT: this is the running mean ... */
    QD_PARAM_VAR = 128,        /* ... the running variance */
    QD_PARAM_UNLOADED = 256    /* dontload, dontloadscales: not in the file that is read */
};

struct qd_param {
    const char *name; /* as in format/weights.h: "biases" ... */
    size_t count;
    size_t offset; /* floats from the start of the model's block */
    int flags;
    int fan_in;
};

/* Where a layer's output lies. */
enum qd_place {
    QD_PLACE_OWN,    /* a tensor of its own, written by forward */
    QD_PLACE_ALIAS,  /* the tensor of source 0 as it is: nothing runs */
    QD_PLACE_SLICE,  /* channels slice_from .. slice_from + c - 1 of source 0: nothing runs */
    QD_PLACE_CONCAT, /* all channels of the sources side by side: sources write there directly
                        where the plan can arrange it, forward copies the others */
};

/* A layer that can run as the tail of the layer that feeds it says so with this. */
struct qd_fuse {
    bool pool;       /* 2x2 max-pool, stride 2, even sides */
    int add;         /* -1, or the source (1 ...) of this layer that is added */
    enum qd_act act; /* after the addition */
};

struct qd_layer {
    const struct qd_layer_type *type;
    struct qd_graph *graph;
    int index, line;
    int nin;
    const int *in;  /* [nin] source layers, -1: the net's input; always < index */
    int *border;    /* [nin] zero border in pixels that setup asks of each source */
    int ih, iw, ic; /* source 0 */
    int h, w, c;    /* output per image */
    enum qd_place place;
    bool deferred; /* training: the output is not stored, train_lazy says what it
                      is made from */
    int slice_from;
    int nparams;
    struct qd_param param[8];
    char detail[64]; /* for qd-info: "3x3/2 32 leaky" */
    void *priv;      /* type->priv_size zeroed bytes */
};

struct qd_need {
    size_t packed; /* floats of packed parameters */
    size_t work;   /* floats of scratch during forward; shared by all layers */
};

/* What forward gets. */
struct qd_pass {
    const struct qd_ops *ops;
    int n;                             /* images */
    const struct qd_tensor *const *in; /* [nin] outputs of the sources */
    const struct qd_tensor *out;
    const float *packed;         /* what pack wrote; 64-byte aligned */
    float *work;                 /* 64-byte aligned */
    const struct qd_fuse *fuse;  /* NULL, or the tail that the net fused into this layer; 'out' is
                                    then the tail's output */
    const struct qd_tensor *add; /* what the tail adds, when fuse->add >= 0 */
    bool raw; /* leave the activation out: the net measures statistics (qd_model_settle) */
    const bool *placed; /* CONCAT only: [nin] true when the source already wrote into 'out' */
};

/*
 * What the training members get.  Gradients are those of a loss to be minimised.  dout holds the
 * whole gradient of the output when backward is called, with the border that train_need asked for,
 * and may be overwritten; din[k] is NULL when nobody wants the gradient of source k.
 */
struct qd_train_pass {
    const struct qd_ops *ops;
    const struct qd_grad_ops *grad;
    int n;
    const struct qd_tensor *const *in; /* [nin] */
    const struct qd_tensor *out;
    const struct qd_tensor *dout;       /* NULL in train_forward */
    const struct qd_tensor *const *din; /* [nin] */
    const bool *fresh;                  /* [nin] din[k] holds nothing yet: write, do not add */
    const struct qd_lazy *lazy;         /* source 0 is not stored, this is it; or NULL */
    const bool *placed;                 /* CONCAT: source k lies in 'out' already, din[k] in dout */
    bool untouched;                     /* as in struct qd_train_need */
    float *params; /* the model's block: running statistics are updated in train_forward */
    float *grads;  /* the same layout, added to; NULL: this layer is frozen */
    float *packed, *turned, *saved, *work; /* as train_need asked; 64-byte aligned */
    float bn_momentum; /* running = momentum * running + (1 - momentum) * batch */
    uint64_t seed;     /* of this pass and layer, for random masks */
};

struct qd_train_need {
    bool untouched;     /* asked with it: the layer changes its input in place, and backward of no
                           layer before it reads that again, so that it need not be put back */
    bool no_in, no_out; /* backward does not look at in[], at out */
    size_t packed;      /* floats, written by train_pack after every update */
    size_t turned;      /* the same for backward, written by train_turn; 0 where no gradient of the
                           input is wanted */
    size_t saved;       /* floats that live from train_forward to backward */
    size_t work;        /* floats of scratch */
    int border;         /* pixels of zero border that backward reads around dout */
};

/* What a detection head gives, one call for each (box, class) with score > thresh.
 * x, y, w, h are fractions of the net's input. */
typedef void qd_emit_fn(void *ctx, const struct qd_box *box, int class_id, float score);
struct qd_decode {
    int net_w, net_h;
    float thresh;
    qd_emit_fn *emit;
    void *ctx;
};
struct qd_head {
    int classes;
    enum qd_nms nms; /* QD_NMS_IOU, _GREEDY or _DIOU */
    float beta_nms;
};

/*
 * Which channels must live or die together when a model is pruned.  A channel is one of the output
 * of a layer of the graph, layer -1: of the net's input.
 */
struct qd_channel {
    int layer, c;
};
/* How a layer tells it; both may be called any number of times. */
struct qd_channels {
    void (*tie)(void *ctx, struct qd_channel a, struct qd_channel b); /* both or none */
    void (*keep)(void *ctx, struct qd_channel a, const char *why);    /* stays; why: static */
    void *ctx;
};

/*
 * Which channels are left when a graph is cut: those of layer i (-1: the net's input) are told at
 * stays[first[i + 1]] ...
 */
struct qd_cut {
    const int *first;  /* [nlayers + 2] */
    const bool *stays; /* [first[nlayers + 1]] */
};

/*
 * Moving the constants of dead channels into the layers that read them.  A dead channel is one that
 * the cut takes out; its own factor (or weights) counts as 0, so that it has one value everywhere.
 * A living channel can have lost a constant, its shift, because a dead one is added to it.
 */
struct qd_absorb {
    const struct qd_cut *cut;
    const float *from; /* the model's block as it was */
    float *to;         /* a copy, which is changed */
    float *value;      /* numbered as in the cut; of dead channels what they are, of living ones
                          what they were more than they will be */
    const char **why;  /* NULL, or of every channel: a constant that cannot be taken up is no error,
                          the reason is put here */
    bool *extend;      /* NULL, or of every layer: one that could take up its constants if it had
                          more parameters (member 'extend') says so and does not refuse */
};

struct qd_layer_type {
    const char *section;    /* canonical name in the cfg */
    const char *aliases[3]; /* other spellings, NULL-terminated when fewer */
    const char *help;       /* one line for qd-cfg(5) */
    const struct qd_cfg_key *keys;
    size_t priv_size;
    /* Read the keys; set sources (default: the previous layer), output shape, place, borders,
     * parameters, detail.  Every rule of the cfg is checked here, with file:line. */
    int (*setup)(struct qd_layer *l, struct qd_keys *k, struct qd_error *err);
    /*
     * Tell how channels of the output and of the sources hang together, so that any set of groups
     * of tied channels that holds no kept one can be taken out of the graph: the layer can then be
     * built with the channels that are left, in their order, and its parameters cut to them.
     * Channels that are neither tied nor kept are free: the parameters take up any number.  (What
     * a removed channel still contributed as a constant is another matter.)  A layer may also tie
     * channels of one source, and of layers that it shares parameters with.  NULL: all channels of
     * output and sources stay.
     */
    void (*channels)(const struct qd_layer *l, const struct qd_channels *ch);
    /*
     * Cutting, by a cut that 'channels' allows.  narrow: set those numbers of the layer's section
     * in 'cfg', a copy of the graph's, that change (qd_layer_set); QD_EUNSUP when the cut cannot be
     * written so.  slice: the values of the parameters that are left from 'from', the whole block
     * of this graph, to 'to', that of the graph of the narrow cfg, in which this layer is 'less';
     * values that are not written are 0.  NULL: no number changes; there are no parameters.
     */
    int (*narrow)(const struct qd_layer *l, const struct qd_cut *cut, struct qd_cfg *cfg,
        struct qd_error *err);
    void (*slice)(const struct qd_layer *l, const struct qd_layer *less, const struct qd_cut *cut,
        const float *from, float *to);
    /*
     * Values of the dead channels of the sources and shifts of the living ones are known: set those
     * of the output, in 'to' take them up in what they add to living channels, and mask the
     * parameters of dead ones.  Exact but where windows reach into the zeros around the input.
     * qd_absorb_refuse() where it is not possible.  NULL: channels have the values and shifts of
     * those of the sources that they are tied to; the others and those that are kept have no shift.
     */
    int (*constant)(const struct qd_layer *l, const struct qd_absorb *a, struct qd_error *err);
    /* Set in 'cfg', a copy of the graph's, what gives the layer the parameters that it needs to
     * take up constants; those that it has keep names and sizes, with the new ones 0 it does the
     * same. */
    int (*extend)(const struct qd_layer *l, struct qd_cfg *cfg, struct qd_error *err);
    /* The output is a sum of the sources, with or without factors and an activation: source 0 ends
     * a branch without which the others are left. */
    bool adds;
    /* With 'adds': why the output is not source 1 as it is when source 0 is 0 everywhere (static);
     * NULL: it is. */
    const char *(*bypass)(const struct qd_layer *l);
    /* Multiply-adds per image; NULL: 0. */
    uint64_t (*macs)(const struct qd_layer *l);
    /* Memory for a batch of n; NULL: none. */
    void (*need)(struct qd_layer *l, const struct qd_ops *ops, int n, struct qd_need *need);
    /* Parameters (the model's whole block) into 'packed'; NULL: nothing to pack. */
    void (*pack)(struct qd_layer *l, const struct qd_ops *ops, const float *params, float *packed);
    /* NULL: nothing ever runs.  Not called for a layer whose place is ALIAS or SLICE. */
    void (*forward)(struct qd_layer *l, const struct qd_pass *p);
    /* Whether this layer can be the tail of the layer that feeds source 0; fills f. NULL: never. */
    bool (*fuse)(const struct qd_layer *l, struct qd_fuse *f);
    /* Whether this layer can run with that tail.  NULL: never. */
    bool (*absorb)(const struct qd_layer *l, const struct qd_ops *ops, const struct qd_fuse *f);
    /*
     * Training.  train_need NULL: nothing needed; train_pack NULL: nothing to pack.  A type with
     * train_turn does not look at 'packed' in backward.  train_forward
     * NULL: what forward does is right for training too (aliases and slices: nothing runs).
     * backward NULL: an alias or slice needs none; any other layer then cannot be trained through,
     * and building a net for training fails with that message.
     */
    void (*train_need)(
        struct qd_layer *l, const struct qd_grad_ops *g, int n, struct qd_train_need *need);
    void (*train_pack)(
        struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *packed);
    void (*train_turn)(
        struct qd_layer *l, const struct qd_grad_ops *g, const float *params, float *turned);
    void (*train_forward)(struct qd_layer *l, const struct qd_train_pass *p);
    void (*backward)(struct qd_layer *l, const struct qd_train_pass *p);
    /* Whether training goes through the batch in blocks; after train_need.  When the only layer
     * that reads such an output does so, too, the output is not stored.  NULL: no. */
    bool (*train_blocks)(const struct qd_layer *l);
    const struct qd_lazy *(*train_lazy)(struct qd_layer *l, const struct qd_train_pass *p);
    /* Detection heads only: what kind of head, and the boxes of image n from the
     * raw tensor. */
    void (*head)(const struct qd_layer *l, struct qd_head *head);
    void (*decode)(
        const struct qd_layer *l, const struct qd_tensor *raw, int n, const struct qd_decode *d);
};

/* Channel c of the output of l, and of its source i. */
static inline struct qd_channel qd_channel_out(const struct qd_layer *l, int c)
{
    return (struct qd_channel){l->index, c};
}

static inline struct qd_channel qd_channel_in(const struct qd_layer *l, int i, int c)
{
    return (struct qd_channel){l->in[i], c};
}

/* ---- for setup ------------------------------------------------------------------------------- */

/* Name the sources, as written in the cfg: negative is relative to this layer.  'key' is the cfg
 * key that holds them, for messages.  Sets in, nin, border (zeros) and ih, iw, ic. */
int qd_layer_sources(
    struct qd_layer *l, struct qd_keys *k, const char *key, const int *list, int n) QD_MUSTCHECK;
/* Shape of source i. */
void qd_layer_source(const struct qd_layer *l, int i, int *h, int *w, int *c);
/* Another layer of the graph. */
const struct qd_layer *qd_layer_at(const struct qd_layer *l, int index);
/* Reserve 'count' floats in the model's block; checked. The order of calls is the file's order. */
int qd_layer_param(struct qd_layer *l, struct qd_keys *k, const struct qd_param *p) QD_MUSTCHECK;
/* A parameter of the layer by name, or NULL. */
const struct qd_param *qd_layer_find_param(const struct qd_layer *l, const char *name);
/* Memory that lives as long as the graph. */
struct qd_arena *qd_layer_arena(struct qd_layer *l);
/* The activation of key 'activation'; a fault with file:line when unknown.  Returns enum qd_act. */
int qd_layer_act(struct qd_layer *l, struct qd_keys *k);
/* What batch normalization adds to the variance inside the root: [net] bn_eps. */
double qd_layer_bn_eps(const struct qd_layer *l);
/* Size of the net's input. */
void qd_layer_net_size(const struct qd_layer *l, int *h, int *w, int *c);

/* The types, NULL at the end. */
extern const struct qd_layer_type *const qd_layer_types[];
/* By section name or alias (letter case matters), or NULL. */
const struct qd_layer_type *qd_layer_type_find(const char *section);
/* Why a section that some darknet has is not built here ("is not supported: ..."), or NULL when no
 * darknet has it. */
const char *qd_layer_unsupported(const char *section);
/* Keys that every layer may have, and those of [net]. */
extern const struct qd_cfg_key qd_layer_common_keys[];
extern const struct qd_cfg_key qd_net_keys[];

#endif
