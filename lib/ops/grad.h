/* SPDX-License-Identifier: MIT */
/*
 * The operations that training needs beyond those of ops.h.  Gradients are those of a loss that is
 * minimised (darknet's "delta" is their negative).  Where an operation writes a gradient of its
 * input, 'fresh' says that the tensor holds nothing yet: write instead of add.  Sums over pixels
 * are made in chunks whose number does not depend on the threads and added in chunk order.
 */
#ifndef QD_GRAD_H
#define QD_GRAD_H

#include "ops/ops.h"

/* Zero border that dz must have for qd_grad_ops.conv_data, in pixels. */
int qd_conv_grad_border(const struct qd_conv_geom *g);

struct qd_conv_grad {
    const struct qd_conv_geom *g; /* of the forward convolution */
    const struct qd_tensor *in;   /* x, with the border that the forward pass needs */
    const struct qd_tensor *dz;   /* gradient of the sums (before bias), border as above */
    float *work;                  /* 64-byte aligned, conv_work floats */
};

/* One pass of batch normalization and activation over z: u = (z - mean) * inv * scale + bias,
 * y = act(u), where inv = 1 / sqrt(var + eps).  All arrays are [c]. */
struct qd_bn {
    const float *mean, *inv, *scale, *bias;
    const float *slope; /* prelu, or NULL */
    enum qd_act act;
    float *dscale, *dbias; /* added to; NULL: not wanted */
    float *dslope;         /* prelu: added to, or NULL */
    bool fixed;            /* mean and inv are constants (frozen layer): no gradient through
                              them */
};

/* The same as lines for the parts of it: u = (z - mean) * gain + bias, y = act(u) = act(z * gain +
 * add), and dz = gain * (du - p * (z - mean) - q). Linear, leaky and relu only. */
struct qd_bn_lines {
    const float *mean, *gain, *bias, *add;
    const float *p, *q; /* backward only: p = inv^2 * mean(du * (z - mean)), q = mean(du) */
    enum qd_act act;
};

struct qd_grad_ops {
    const char *level;
    /* Floats of scratch for conv_data and conv_weights, and of the rotated weights. */
    size_t (*conv_work)(const struct qd_conv_geom *g, int threads);
    size_t (*conv_packed)(const struct qd_conv_geom *g);
    /* weight [k][c/groups][rh][rw] for conv_data, repacked after every update */
    void (*conv_pack)(const struct qd_conv_geom *g, const float *weight, float *packed);
    /* din (+)= the transposed convolution of dz */
    void (*conv_data)(
        const struct qd_conv_grad *j, const float *packed, const struct qd_tensor *din, bool fresh);
    /* dweight[k][c/groups][rh][rw] += sum over images and pixels of x * dz */
    void (*conv_weights)(const struct qd_conv_grad *j, float *dweight);
    /* dbias[c] += sum over images and pixels of dz */
    void (*bias)(const struct qd_tensor *dz, float *dbias);
    /* Mean and variance (divisor N) of each channel over images and pixels, accumulated so that
     * float32 rounding does not matter. */
    void (*stats)(const struct qd_tensor *z, float *mean, float *var);
    /* dy becomes dz: through the activation and the normalization (Ioffe and Szegedy 2015), z as
     * in the forward pass; work, 64-byte aligned, holds 8 * c * 64 floats. */
    void (*bn)(
        const struct qd_bn *b, const struct qd_tensor *z, const struct qd_tensor *dy, float *work);
    /* dy *= act'(x), x the pre-activation; dslope as in qd_bn.  In place. */
    void (*act)(const struct qd_tensor *x, const struct qd_tensor *dy, enum qd_act a,
        const float *slope, float *dslope);
    /* The same from the output y, for activations whose derivative it determines
     * (qd_act_from_output; not prelu, so that the slopes are ignored). */
    void (*act_out)(const struct qd_tensor *y, const struct qd_tensor *dy, enum qd_act a,
        const float *slope, float *dslope);
    /* din (+)= dy at the first largest cell of each window; recomputed from 'in'. */
    void (*maxpool)(const struct qd_tensor *in, const struct qd_tensor *dy,
        const struct qd_tensor *din, const struct qd_pool_geom *g, bool fresh);
    /* The rest: din (+)= ... ; the forward operation of the same name defines each. */
    void (*maxpool_depth)(const struct qd_tensor *in, const struct qd_tensor *dy,
        const struct qd_tensor *din, bool fresh);
    void (*avgpool_local)(const struct qd_tensor *dy, const struct qd_tensor *din,
        const struct qd_pool_geom *g, bool fresh);
    void (*avgpool)(const struct qd_tensor *dy, const struct qd_tensor *din, bool fresh);
    void (*upsample)(const struct qd_tensor *dy, const struct qd_tensor *din,
        const float s_scale[2], bool fresh);
    void (*downsample)(const struct qd_tensor *dy, const struct qd_tensor *din,
        const float s_scale[2], bool fresh);
    /* din (+)= factor[0] * dy, or factor[c] * dy when per_channel; factor NULL: 1.  The first
     * min(c) channels, where din has more and is fresh the others become 0. */
    void (*add)(const struct qd_tensor *dy, const struct qd_tensor *din, const float *factor,
        bool per_channel, bool fresh);
    /* sum over images and pixels (and channels unless per_channel) of x * dy, added to dw; of the
     * first min(c) channels */
    void (*dot)(const struct qd_tensor *x, const struct qd_tensor *dy, bool per_channel, float *dw);
    /* out = act(gate * in) backward, dy already through act: din (+)= gate * dy,
     * dgate (+)= sum of in * dy over what the gate spans; fresh: of din, of dgate, either of which
     * may be NULL */
    void (*gate)(const struct qd_tensor *const in_gate_dy[3], const struct qd_tensor *din,
        const struct qd_tensor *dgate, enum qd_gate kind, const bool fresh[2]);
    /* dx (+)= p * (dy - sum(p * dy)) / temperature over each group of channels */
    void (*softmax)(const struct qd_tensor *p, const struct qd_tensor *dy,
        const struct qd_tensor *din, const float groups_temperature[2], bool fresh);
    /* depthwise blur, transposed */
    void (*blur)(const struct qd_tensor *dy, const struct qd_tensor *din, const float *kernel,
        const int r_s_pad[3], bool fresh);
    /* to = from * mask, which is 0 with probability p, else 1 / (1 - p), and a function of the
     * seed, the row and the place in the row alone; same shape, to may be from. */
    void (*thin)(const struct qd_tensor *from, const struct qd_tensor *to, float p, uint64_t seed);
    /*
     * Parts of the above for those who go through a batch in blocks that stay in the cache
     * (block.h), in the calling thread; 'blocks' NULL: this level does not have them.
     *
     * Whether the forward pass with 'kernel', conv_weights and, when 'data', conv_data may be done
     * for some output rows of an image as if they were a tensor with rows beyond it.
     */
    bool (*blocks)(const struct qd_conv_geom *g, const struct qd_conv_kernel *kernel, bool data);
    /* conv_weights: floats of a slot, which starts as zeros; add to one; add n of them, which lie
     * behind each other and are overwritten, to dweight.  The pixel stride of j->in must be the
     * same in all calls. */
    size_t (*weights_slot)(const struct qd_conv_geom *g);
    void (*weights_part)(const struct qd_conv_grad *j, float *slot);
    void (*weights_fold)(const struct qd_conv_grad *j, float *slots, int n, float *dweight);
    /* Sums of d = z - about and of d * d are added to sums [2][c]; first: 'about' [c] is set. */
    void (*stats_part)(const struct qd_tensor *z, float *about, bool first, double *sums);
    /* Sums of du and of du * (z - mean) are added to sums [3][c], of which the last is scratch;
     * hot: z and dy lie in the cache. */
    void (*bn_part)(const struct qd_bn_lines *b, const struct qd_tensor *z,
        const struct qd_tensor *dy, bool hot, double *sums);
    void (*bn_apply)(const struct qd_bn_lines *b, const struct qd_tensor *z,
        const struct qd_tensor *dy, const struct qd_tensor *dz);
    void (*norm_part)(
        const struct qd_bn_lines *b, const struct qd_tensor *z, const struct qd_tensor *y);
};

/*
 * The mask of thin: value i of row r (n * h + y) stays unless qd_thin_hash(i, qd_thin_row(seed, r))
 * >> 8 is less than p * 2^24.
 */
struct qd_thin_key {
    uint32_t add, flip;
};

static inline struct qd_thin_key qd_thin_row(uint64_t seed, long row)
{
    uint64_t z = seed + ((uint64_t)row + 1) * 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (struct qd_thin_key){(uint32_t)z, (uint32_t)(z >> 32)};
}

/* The finalizer of MurmurHash3 (Appleby), which operations on vectors of uint32 can do as well. */
static inline uint32_t qd_thin_hash(uint32_t i, struct qd_thin_key k)
{
    uint32_t h = (i + k.add) * 0x9e3779b1u ^ k.flip;

    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

/* Whether f'(x) follows from y = f(x) alone (darknet.md 2.0, those marked (y) but swish). */
bool qd_act_from_output(enum qd_act a);
/* f'(x) in plain C: the specification. */
float qd_act_grad_ref(enum qd_act a, float x, float slope);

/* The table that goes with a level of ops.h. */
const struct qd_grad_ops *qd_grad_ops_of(const struct qd_ops *ops);

#endif
