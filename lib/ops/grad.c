/* SPDX-License-Identifier: MIT */
/*
 * The tables of the operations that training needs: one for each level of ops.h, which starts as
 * the reference one and takes over what the level does better.
 */
#include "ops/grad.h"

#include <pthread.h>

#include "ops/kernels.h"

typedef void fill_fn(struct qd_grad_ops *g);

static const struct level {
    const char *name;
    fill_fn *fill[5]; /* what is better than in ref */
} levels[] = {
    {"ref", {NULL}},
    {"blas", {NULL}}, /* the best of the vector levels, as in ops.h */
    {"vector", {qd_grad_elt__vector, qd_grad_sum__vector, qd_grad_bn__vector, qd_grad_pool__vector,
                   qd_grad_conv__vector}},
#ifdef QD_X86
    {"avx2", {qd_grad_elt__avx2, qd_grad_sum__avx2, qd_grad_bn__avx2, qd_grad_pool__avx2,
                 qd_grad_conv__avx2}},
    {"avx512", {qd_grad_elt__avx512, qd_grad_sum__avx512, qd_grad_bn__avx512, qd_grad_pool__avx512,
                   qd_grad_conv__avx512}},
#endif
};

enum { LEVELS = QD_LEN(levels), BLAS = 1 };

static struct qd_grad_ops tables[LEVELS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int best(void)
{
    int i = LEVELS - 1;

    while (!qd_ops_level(levels[i].name))
        i--; /* ends at vector, which is always there */
    return i;
}

static void build(void)
{
    for (int i = 0; i < (int)LEVELS; i++) {
        const struct level *l = &levels[i == BLAS ? best() : i];
        struct qd_grad_ops *t = &tables[i];
        t->level = levels[i].name;
        qd_grad_elt__ref(t);
        qd_grad_pool__ref(t);
        qd_grad_conv__ref(t);
        for (size_t k = 0; k < QD_LEN(l->fill) && l->fill[k]; k++)
            l->fill[k](t);
    }
}

const struct qd_grad_ops *qd_grad_ops_of(const struct qd_ops *ops)
{
    int i = LEVELS - 1;

    pthread_once(&once, build);
    while (i > 0 && strcmp(levels[i].name, ops->level) != 0)
        i--;
    return &tables[i];
}
