/* SPDX-License-Identifier: MIT */
/*
 * The fused multiply-add peak of all threads, measured between other measurements so that it sees
 * the machine as they do.
 */
#ifndef PEAK_H
#define PEAK_H

#include <time.h>

#include "base/base.h"
#include "base/par.h"

static double peak; /* GFLOP/s, the most so far */

/* Nanoseconds. */
static inline double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

enum { PEAK_LOOPS = 50000, PEAK_CHAINS = 12 };

#ifdef __x86_64__
/* Twelve independent chains hide the latency of two units; all registers are zero. */
#define STEP(r) "vfmadd231ps %%" r "0, %%" r "1, %%" r
#define TWELVE(r)                                                                                  \
    STEP(r)                                                                                        \
    "2\n" STEP(r) "3\n" STEP(r) "4\n" STEP(r) "5\n" STEP(r) "6\n" STEP(r) "7\n" STEP(              \
        r) "8\n" STEP(r) "9\n" STEP(r) "10\n" STEP(r) "11\n" STEP(r) "12\n" STEP(r) "13\n"
#define PEAK(r)                                                                                    \
    __asm__ volatile("vzeroall\n1:\n" TWELVE(r) "dec %0\njnz 1b\nvzeroupper\n"                     \
                     : "+r"(loops)                                                                 \
                     :                                                                             \
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",     \
                     "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc")

static inline int lanes(void)
{
    return __builtin_cpu_supports("avx512f") ? 16 : __builtin_cpu_supports("fma") ? 8 : 4;
}
#else
static inline int lanes(void)
{
    return 4;
}
#endif

/* The same in plain C, for processors without the above. */
static inline void peak_plain(long loops)
{
    typedef float v4 __attribute__((vector_size(16)));
    volatile float zero = 0;
    v4 x = zero - (v4){0}, a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x;

    for (; loops > 0; loops--) {
        a = a * x + x;
        b = b * x + x;
        c = c * x + x;
        d = d * x + x;
        e = e * x + x;
        f = f * x + x;
        g = g * x + x;
        h = h * x + x;
    }
    zero = (a + b + c + d + e + f + g + h)[0];
}

static inline void peak_chunk(void *ctx, int chunk, int thread)
{
    long loops = PEAK_LOOPS;

    (void)ctx;
    (void)chunk;
    (void)thread;
#ifdef __x86_64__
    if (lanes() == 16)
        PEAK("zmm");
    else if (lanes() == 8)
        PEAK("ymm");
#endif
    if (lanes() == 4)
        peak_plain(loops);
}

/* Raise 'peak' to what all threads reach now. */
static inline void measure_peak(void)
{
    int chains = lanes() == 4 ? 8 : PEAK_CHAINS;
    double begin = now();

    qd_par(qd_threads(), peak_chunk, NULL);
    double flops = 2.0 * lanes() * chains * PEAK_LOOPS * qd_threads();
    peak = QD_MAX(peak, flops / (now() - begin));
}

#endif
