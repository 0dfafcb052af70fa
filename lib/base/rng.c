/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that are the same on every machine, for every number of threads.
 */
#include "base/rng.h"

#include <math.h>

/* splitmix64 (Steele, Lea, Flood 2014): spreads a seed over the state */
static uint64_t mix(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

struct qd_rng qd_rng_new(uint64_t seed, uint64_t stream)
{
    struct qd_rng r;
    uint64_t x = seed;
    uint64_t y = mix(&x) ^ stream;

    for (int i = 0; i < 4; i++)
        r.s[i] = mix(&y);
    return r;
}

uint64_t qd_rng_u64(struct qd_rng *r)
{
    uint64_t *s = r->s;
    uint64_t out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

uint32_t qd_rng_below(struct qd_rng *r, uint32_t n)
{
    uint32_t limit = UINT32_MAX - UINT32_MAX % n;
    uint32_t x;

    do
        x = (uint32_t)(qd_rng_u64(r) >> 32);
    while (x >= limit);
    return x % n;
}

float qd_rng_float(struct qd_rng *r)
{
    return (float)(qd_rng_u64(r) >> 40) * 0x1p-24f;
}

float qd_rng_range(struct qd_rng *r, float lo, float hi)
{
    return lo + (hi - lo) * qd_rng_float(r);
}

float qd_rng_normal(struct qd_rng *r)
{
    double u = (double)(qd_rng_u64(r) >> 11) * 0x1p-53 + 0x1p-54; /* never 0 */
    double v = (double)(qd_rng_u64(r) >> 11) * 0x1p-53;

    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

void qd_rng_normals(struct qd_rng *r, float *out, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        uint64_t bits = qd_rng_u64(r);
        float u = ((float)(bits >> 40) + .5f) * 0x1p-24f; /* never 0 */
        float v = (float)(bits & 0xffffff) * (6.28318531f * 0x1p-24f);
        float d = sqrtf(-2 * logf(u));
        out[i] = d * cosf(v);
        if (i + 1 < n)
            out[i + 1] = d * sinf(v);
    }
}
