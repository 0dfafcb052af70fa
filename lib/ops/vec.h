/* SPDX-License-Identifier: MIT */
/*
 * Vectors of floats for files named vec_*.c, which the Makefile compiles once per instruction set
 * with -DQD_ISA=vector, avx2 or avx512.  Only such files include this.
 *
 *     VW                       floats in a vector: 4, 8 or 16
 *     vf                       a vector of VW floats; + - * / and comparisons work on it
 *     vi, vu                   VW int32 or uint32; comparing two vf gives a vi of 0 and -1
 *     QD_VEC(name)             name__avx512 and so on: external symbols must be spelled so
 *     vf_set(x) vf_zero()      x in every lane
 *     vf_load(p) vf_store(p,v) no alignment needed
 *     vf_load_n(p, n)          lanes from n on are 0 and not touched in memory, 0 <= n <= VW
 *     vf_store_n(p, v, n)      only n lanes are written
 *     vmask m = vmask_of(n); vf_loadm(p, m); vf_storem(p, v, m)     the same for inner loops
 *     vf_fma(a, b, c)          a * b + c (fused where the machine can)
 *     vf_max vf_min            where one is not a number the result is the second argument
 *     vf_select(m, a, b)       m ? a : b, m from a comparison
 *     vf_sum(v) vf_hmax(v)     over the lanes, in a fixed order
 *     vf_exp vf_expm1 vf_sigmoid vf_tanh
 *     vf_act(a, x, slope)      an elementwise activation; 'slope' is for prelu.  With a constant
 * 'a' it folds to straight code: put the switch outside of hot loops QD_ACT_SPECIALISE(a, CALL)
 * does that: CALL(A) with A a constant for the common activations UNROLL(n)                before a
 * loop
 *
 * Everything is static inline and nothing here may be a plain inline function: the linker would
 * keep one instruction set's copy for all of them.
 */
#ifndef QD_VEC_H
#define QD_VEC_H

#include "ops/act.h"

#define QD_CAT3_(a, b, c) a##b##c
#define QD_CAT3(a, b, c) QD_CAT3_(a, b, c)
#define QD_VEC(name) QD_CAT3(name, __, QD_ISA)

#define QD_VW_vector 4
#define QD_VW_avx2 8
#define QD_VW_avx512 16
#define VW QD_CAT3(QD_VW_, , QD_ISA)

#if VW > 4
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Vector registers of the instruction set. */
#if VW == 16 || defined(__aarch64__)
#define VREGS 32
#else
#define VREGS 16
#endif

#define QD_ALWAYS_INLINE static inline __attribute__((always_inline))
#define QD_NOINLINE __attribute__((noinline))
#define QD_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define UNROLL(n) QD_PRAGMA(clang loop unroll_count(n))
#define UNROLL_ALL QD_PRAGMA(clang loop unroll(full))
#else
#define UNROLL(n) QD_PRAGMA(GCC unroll n)
#define UNROLL_ALL QD_PRAGMA(GCC unroll 128)
#endif

typedef float vf __attribute__((vector_size(VW * 4)));
typedef int32_t vi __attribute__((vector_size(VW * 4)));
typedef uint32_t vu __attribute__((vector_size(VW * 4)));
typedef float vf_mem __attribute__((vector_size(VW * 4), aligned(4), may_alias));

#if VW == 16
typedef __mmask16 vmask;
#elif VW == 8
typedef __m256i vmask;
#else
typedef int vmask;
#endif

QD_ALWAYS_INLINE vf vf_zero(void)
{
    return (vf){0};
}

QD_ALWAYS_INLINE vf vf_set(float x)
{
    /* x - 0 is x, also for -0: the form that both compilers turn into one broadcast */
    return x - (vf){0};
}

QD_ALWAYS_INLINE vf vf_load(const float *p)
{
    return *(const vf_mem *)p;
}

QD_ALWAYS_INLINE void vf_store(float *p, vf v)
{
    *(vf_mem *)p = v;
}

QD_ALWAYS_INLINE vmask vmask_of(int n)
{
#if VW == 16
    return (vmask)((1u << n) - 1);
#elif VW == 8
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#else
    return n;
#endif
}

QD_ALWAYS_INLINE vf vf_loadm(const float *p, vmask m)
{
#if VW == 16
    return (vf)_mm512_maskz_loadu_ps(m, p);
#elif VW == 8
    return (vf)_mm256_maskload_ps(p, m);
#else
    vf v = {0};
    memcpy(&v, p, (size_t)m * sizeof(float));
    return v;
#endif
}

QD_ALWAYS_INLINE void vf_storem(float *p, vf v, vmask m)
{
#if VW == 16
    _mm512_mask_storeu_ps(p, m, (__m512)v);
#elif VW == 8
    _mm256_maskstore_ps(p, m, (__m256)v);
#else
    memcpy(p, &v, (size_t)m * sizeof(float));
#endif
}

QD_ALWAYS_INLINE vf vf_load_n(const float *p, int n)
{
    return n >= VW ? vf_load(p) : vf_loadm(p, vmask_of(n));
}

QD_ALWAYS_INLINE void vf_store_n(float *p, vf v, int n)
{
    if (n >= VW)
        vf_store(p, v);
    else
        vf_storem(p, v, vmask_of(n));
}

QD_ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)
{
#if VW == 16
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VW == 8
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

QD_ALWAYS_INLINE vf vf_select(vi m, vf a, vf b)
{
    return (vf)((m & (vi)a) | (~m & (vi)b));
}

QD_ALWAYS_INLINE vf vf_max(vf a, vf b)
{
#if VW == 16
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif VW == 8
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return vf_select((vi)(a > b), a, b);
#endif
}

QD_ALWAYS_INLINE vf vf_min(vf a, vf b)
{
#if VW == 16
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif VW == 8
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return vf_select((vi)(a < b), a, b);
#endif
}

QD_ALWAYS_INLINE float vf_sum(vf v)
{
    float s[VW];

    memcpy(s, &v, sizeof(s));
    for (int w = VW / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            s[i] += s[i + w];
    return s[0];
}

QD_ALWAYS_INLINE float vf_hmax(vf v)
{
    float s[VW];

    memcpy(s, &v, sizeof(s));
    for (int w = VW / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            s[i] = s[i] > s[i + w] ? s[i] : s[i + w];
    return s[0];
}

/* ---- exponentials ---------------------------------------------------------------------------- */

/* The parts of e^x = 2^n * (1 + p): *p = e^r - 1 for |r| <= ln2 / 2 by its Taylor series to r^7
 * (the next term is below 6e-9), n as an integer.  x must be within +-10^5. */
QD_ALWAYS_INLINE vu vf_exp_parts(vf x, vf *p)
{
    const vf magic = vf_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    vf t = vf_fma(x, vf_set(1.44269504f), magic), n = t - magic;
    /* ln2 in two parts, the first short enough that n times it is exact */
    vf r = vf_fma(n, vf_set(-0.693359375f), x);

    r = vf_fma(n, vf_set(2.12194440e-4f), r);
    vf q = vf_set(1.0f / 5040);
    q = vf_fma(q, r, vf_set(1.0f / 720));
    q = vf_fma(q, r, vf_set(1.0f / 120));
    q = vf_fma(q, r, vf_set(1.0f / 24));
    q = vf_fma(q, r, vf_set(1.0f / 6));
    q = vf_fma(q, r, vf_set(0.5f));
    *p = vf_fma(q * r, r, r);
    return (vu)t - (vu)magic;
}

/* 2^n for -126 <= n <= 127 */
QD_ALWAYS_INLINE vf vf_pow2(vu n)
{
    return (vf)((n + 127) << 23);
}

/* e^x, relative error below 2e-7; 0 and infinity outside the range of floats. */
QD_ALWAYS_INLINE vf vf_exp(vf x)
{
    vf p;
    vu n = vf_exp_parts(vf_min(vf_set(89.0f), vf_max(vf_set(-105.0f), x)), &p);
    vu half = (vu)((vi)n >> 1); /* in two factors, each of which is a float */

    return (p + 1.0f) * vf_pow2(half) * vf_pow2(n - half);
}

/* e^x - 1, exact near 0. */
QD_ALWAYS_INLINE vf vf_expm1(vf x)
{
    vf p;
    vu n = vf_exp_parts(vf_min(vf_set(88.0f), vf_max(vf_set(-40.0f), x)), &p);
    vf s = vf_pow2(n);

    return vf_fma(p, s, s - 1.0f);
}

QD_ALWAYS_INLINE vf vf_sigmoid(vf x)
{
    return 1.0f / (1.0f + vf_exp(-x));
}

/* (e^2x - 1) / (e^2x + 1) */
QD_ALWAYS_INLINE vf vf_tanh(vf x)
{
    vf e = vf_expm1(2.0f * vf_min(vf_set(20.0f), vf_max(vf_set(-20.0f), x)));

    return e / (e + 2.0f);
}

/* ---- activations ----------------------------------------------------------------------------- */

/* x * tanh(ln(1 + e^x)): with n = e^x (e^x + 2) that is x * n / (n + 2), and x from 20 on. */
QD_ALWAYS_INLINE vf vf_mish(vf x)
{
    vf e = vf_exp(vf_min(vf_set(20.0f), x)), n = e * (e + 2.0f);

    return x * (n / (n + 2.0f));
}

QD_ALWAYS_INLINE vf vf_relu(vf x)
{
    return vf_max(vf_zero(), x);
}

QD_ALWAYS_INLINE vf vf_relu6(vf x)
{
    return vf_min(vf_set(6.0f), vf_relu(x));
}

/* Lane by lane through the specification. */
static inline vf vf_act_slow(enum qd_act a, vf x, vf slope)
{
    float v[VW], s[VW];

    memcpy(v, &x, sizeof(v));
    memcpy(s, &slope, sizeof(s));
    for (int i = 0; i < VW; i++)
        v[i] = qd_act_ref(a, v[i], s[i]);
    return vf_load(v);
}

/* gelu's tanh form: .5x (1 + tanh(.797885x + .035677x^3)) */
QD_ALWAYS_INLINE vf vf_gelu(vf x)
{
    return 0.5f * x * (1.0f + vf_tanh(0.797885f * x + 0.035677f * x * x * x));
}

QD_ALWAYS_INLINE vf vf_act(enum qd_act a, vf x, vf slope)
{
    switch (a) {
    case QD_LINEAR:
        return x;
    case QD_LEAKY:
        return vf_max(0.1f * x, x);
    case QD_RELU:
        return vf_relu(x);
    case QD_RELU6:
        return vf_relu6(x);
    case QD_LOGISTIC:
        return vf_sigmoid(x);
    case QD_MISH:
        return vf_mish(x);
    case QD_SWISH:
        return x * vf_sigmoid(x);
    case QD_HSWISH:
        return x * (vf_relu6(x + 3.0f) * (1.0f / 6));
    case QD_HSIGMOID:
        return vf_relu6(x + 3.0f) * (1.0f / 6);
    case QD_LOGGY:
        return vf_tanh(0.5f * x);
    case QD_RELIE:
        return vf_max(0.01f * x, x);
    case QD_RAMP:
        return vf_relu(x) + 0.1f * x;
    case QD_ELU:
        return vf_select((vi)(x >= vf_zero()), x, vf_expm1(x));
    case QD_SELU:
        return vf_select((vi)(x >= vf_zero()), 1.0507f * x, (1.0507f * 1.6732f) * vf_expm1(x));
    case QD_GELU:
        return vf_gelu(x);
    case QD_TANH:
        return vf_tanh(x);
    case QD_HARDTAN:
        return vf_min(vf_set(1.0f), vf_max(vf_set(-1.0f), x));
    case QD_HARD_MISH:
        return vf_select((vi)(x > vf_zero()), x,
            vf_select((vi)(x <= vf_set(-2.0f)), vf_zero(), x * x * 0.5f + x));
    case QD_PRELU:
        return vf_select((vi)(x > vf_zero()), x, slope * x);
    default:
        return vf_act_slow(a, x, slope);
    }
}

/* CALL(A): once for each common activation with a constant A, else with the variable 'a'. */
#define QD_ACT_SPECIALISE(a, CALL)                                                                 \
    do {                                                                                           \
        if ((a) == QD_LINEAR)                                                                      \
            CALL(QD_LINEAR);                                                                       \
        else if ((a) == QD_LEAKY)                                                                  \
            CALL(QD_LEAKY);                                                                        \
        else if ((a) == QD_RELU)                                                                   \
            CALL(QD_RELU);                                                                         \
        else                                                                                       \
            CALL(a);                                                                               \
    } while (0)

#endif
