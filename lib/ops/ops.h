/* SPDX-License-Identifier: MIT */
/*
 * The numeric operations that layers are made of.  A level (ref, blas, vector, avx2, avx512) is one
 * complete table; layers call through it and never know where they run.  'ref' is plain C and is
 * the specification; every other level is tested against it.  Operations cut their work with
 * qd_par() so that results do not depend on the number of threads, allocate nothing, and write the
 * interior of 'out' only.  'in' and 'out' may be the same tensor where a contract says "in place".
 */
#ifndef QD_OPS_H
#define QD_OPS_H

#include "ops/act.h"
#include "ops/tensor.h"

/* ---- convolution (and everything that is one) ------------------------------------------------ */

/*
 * out(y, x, f) = epilogue( sum over ky, kx, ch of  in(y*sy - pad*dil + ky*dil,
 *     x*sx - pad*dil + kx*dil, g*cg + ch) * weight[f][ch][ky][kx] )
 * where cg = c/groups, g = f/(k/groups)
 */
struct qd_conv_geom {
    int n;         /* images */
    int h, w, c;   /* input */
    int oh, ow, k; /* output: k filters */
    int rh, rw;    /* kernel */
    int sy, sx, pad, dil, groups;
};

/* Zero border that the input of such a convolution must have, in pixels. */
int qd_conv_border(const struct qd_conv_geom *g);

/* What happens to a tile of sums while it is in registers or cache, in this order. */
struct qd_epilogue {
    const float *bias;           /* [k], or NULL */
    enum qd_act act;             /* elementwise */
    const float *slope;          /* [k], prelu only */
    const struct qd_tensor *add; /* NULL, or a tensor of the output's shape: added after act */
    enum qd_act add_act;         /* applied after the sum */
    bool pool; /* then 2x2 max-pool, stride 2: 'out' is (oh/2) x (ow/2), oh and ow are even.  Not
                  together with 'add' */
};

struct qd_conv_job {
    const struct qd_conv_geom *g;
    const float *packed;         /* from the same kernel's pack(); 64-byte aligned */
    const struct qd_tensor *in;  /* border >= qd_conv_border(g) */
    const struct qd_tensor *out; /* may be a slice */
    const struct qd_epilogue *ep;
    float *work; /* 64-byte aligned, work() floats */
};

/* One way to compute convolutions. */
struct qd_conv_kernel {
    const char *name;
    bool (*supports)(const struct qd_conv_geom *g);
    bool (*can_pool)(const struct qd_conv_geom *g); /* NULL: never; epilogue.pool */
    size_t (*packed)(const struct qd_conv_geom *g); /* floats */
    /* weight [k][c/groups][rh][rw]; scale [k] multiplies filters (folded batch-norm), or NULL */
    void (*pack)(
        const struct qd_conv_geom *g, const float *weight, const float *scale, float *packed);
    size_t (*work)(const struct qd_conv_geom *g, int threads); /* floats; NULL: none */
    void (*run)(const struct qd_conv_job *j);
};

/* ---- the table ------------------------------------------------------------------------------- */

struct qd_pool_geom {      /* window of output (y, x) begins at y*sy + off, x*sx + off */
    int size, sy, sx, off; /* off <= 0; cells outside the input do not count */
};

struct qd_sum { /* out = act( sum over i of  w_i * in_i ), see sum */
    const struct qd_tensor *const *in;
    int nin;
    const float *weight; /* NULL: all 1; else nin, or nin * out.c when per_channel */
    bool per_channel;
    enum qd_act act;
};

enum qd_gate { QD_GATE_CHANNEL, QD_GATE_PIXEL, QD_GATE_FULL };

struct qd_ops {
    const char *level;
    const struct qd_conv_kernel *const *conv; /* best first, NULL at the end; the last one supports
                                                 everything */
    /* out = f(in); in place allowed.  slope [c] for prelu, else NULL. */
    void (*act)(
        const struct qd_tensor *in, const struct qd_tensor *out, enum qd_act a, const float *slope);
    /* out = f(in * mul[c] + add[c]); in place allowed. */
    void (*norm)(const struct qd_tensor *in, const struct qd_tensor *out, const float *mul,
        const float *add, enum qd_act a);
    void (*maxpool)(const struct qd_tensor *in, const struct qd_tensor *out,
        const struct qd_pool_geom *g); /* a window wholly outside gives 0 */
    void (*avgpool_local)(const struct qd_tensor *in, const struct qd_tensor *out,
        const struct qd_pool_geom *g); /* mean over the valid cells */
    /* maximum over groups of channels: out channel k is the maximum of in channels k, k + out.c,
     * k + 2*out.c ... */
    void (*maxpool_depth)(const struct qd_tensor *in, const struct qd_tensor *out);
    /* mean over all pixels: out is 1 x 1 x c */
    void (*avgpool)(const struct qd_tensor *in, const struct qd_tensor *out);
    /* nearest: out(y, x) = scale * in(y/s, x/s) */
    void (*upsample)(const struct qd_tensor *in, const struct qd_tensor *out, int s, float scale);
    /* sum over s x s blocks, times scale ([upsample] with a negative stride) */
    void (*downsample)(const struct qd_tensor *in, const struct qd_tensor *out, int s, float scale);
    /* in_0 has the shape of out; the others the same h and w, and where they have fewer channels
     * only those are added, where more the first out.c; out may be in_0. */
    void (*sum)(const struct qd_sum *s, const struct qd_tensor *out);
    /* out = act(gate * in): gate is 1 x 1 x c, h x w x 1 or h x w x c; in place allowed. */
    void (*gate)(const struct qd_tensor *in, const struct qd_tensor *gate,
        const struct qd_tensor *out, enum qd_gate kind, enum qd_act a);
    /* same shape, other strides */
    void (*copy)(const struct qd_tensor *in, const struct qd_tensor *out);
    /* softmax over each of 'groups' equal channel ranges of each pixel, of in / temperature */
    void (*softmax)(
        const struct qd_tensor *in, const struct qd_tensor *out, int groups, float temperature);
    /* space to depth: out(y, x, off*c + c2) = in(y*s + off/s, x*s + off%s, c2); reverse: back */
    void (*reorg3d)(const struct qd_tensor *in, const struct qd_tensor *out, int s, bool reverse);
    /* darknet's old [reorg], spec darknet.md 2.8; reverse: its inverse */
    void (*reorg)(const struct qd_tensor *in, const struct qd_tensor *out, int s, bool reverse);
    /* depthwise blur with a fixed r x r kernel [r*r], stride s, padding pad (border of in) */
    void (*blur)(const struct qd_tensor *in, const struct qd_tensor *out, const float *kernel,
        const int r_s_pad[3]);
};

/* The table that this process uses (see qd_level), or NULL with 'err' set. */
const struct qd_ops *qd_ops_get(struct qd_error *err) QD_MUSTCHECK;
/* The table of a level by name, or NULL when this machine or build does not have it. */
const struct qd_ops *qd_ops_level(const char *name);
/* The names of all levels, worst first, NULL at the end. */
const char *const *qd_ops_levels(void);
/* The first kernel of the table that supports g. */
const struct qd_conv_kernel *qd_conv_find(const struct qd_ops *ops, const struct qd_conv_geom *g);

#endif
