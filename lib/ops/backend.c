/* SPDX-License-Identifier: MIT */
/*
 * Levels: which table of operations this process uses.  A level is one line of 'levels' below; its
 * table starts as the reference one and takes over what the level does better.  The best level
 * that the processor has is the default, and QD_CPU names another.  This is the only file of the
 * library that reads the environment.
 */
#include "ops/ops.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#ifdef QD_X86
#include <cpuid.h>
#else
#include <sys/utsname.h>
#endif

#include "base/error.h"
#include "ops/kernels.h"

typedef void fill_fn(struct qd_ops *ops);

struct level {
    const char *name;
    bool (*have)(void);
    fill_fn *elt, *pool; /* NULL: as ref */
    const struct qd_conv_kernel *const *conv;
};

static bool always(void)
{
    return true;
}

#ifdef QD_X86
static bool have_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool have_avx512(void)
{
    return have_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const struct qd_conv_kernel *const ref_conv[] = {&qd_conv_ref, NULL};

/* Worst first.  blas takes the vector operations of the best level as its own (see build). */
static const struct level levels[] = {
    {"ref", always, NULL, NULL, ref_conv},
    {"blas", qd_blas_load, NULL, NULL, qd_blas_conv_kernels},
    {"vector", always, qd_ops_elt__vector, qd_ops_pool__vector, qd_vec_conv_kernels__vector},
#ifdef QD_X86
    {"avx2", have_avx2, qd_ops_elt__avx2, qd_ops_pool__avx2, qd_vec_conv_kernels__avx2},
    {"avx512", have_avx512, qd_ops_elt__avx512, qd_ops_pool__avx512, qd_vec_conv_kernels__avx512},
#endif
};

enum { LEVELS = QD_LEN(levels), BLAS = 1 };

static struct qd_ops tables[LEVELS];
static const char *names[LEVELS + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int best(void)
{
    int i = LEVELS - 1;

    while (!levels[i].have())
        i--; /* ends at vector, which is always there: never tries to load BLAS */
    return i;
}

static void build(void)
{
#ifdef QD_X86
    __builtin_cpu_init();
#endif
    for (int i = 0; i < (int)LEVELS; i++) {
        const struct level *l = &levels[i == BLAS ? best() : i];
        struct qd_ops *t = &tables[i];
        t->level = names[i] = levels[i].name;
        t->conv = levels[i].conv;
        qd_ops_elt__ref(t);
        qd_ops_pool__ref(t);
        qd_ops_misc__ref(t);
        if (l->elt)
            l->elt(t);
        if (l->pool)
            l->pool(t);
    }
}

const char *const *qd_ops_levels(void)
{
    pthread_once(&once, build);
    return names;
}

static int find(const char *name)
{
    pthread_once(&once, build);
    for (int i = 0; i < (int)LEVELS; i++)
        if (strcmp(levels[i].name, name) == 0)
            return i;
    return -1;
}

const struct qd_ops *qd_ops_level(const char *name)
{
    int i = find(name);

    return i >= 0 && levels[i].have() ? &tables[i] : NULL;
}

/* ", "-separated names of the levels that this machine has. */
static void list_levels(char *buf, size_t size)
{
    size_t len = 0;

    for (int i = 0; i < (int)LEVELS; i++)
        if (levels[i].have() && len < size)
            len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "", levels[i].name);
}

const struct qd_ops *qd_ops_get(struct qd_error *err)
{
    const char *want = getenv("QD_CPU");
    char list[80];

    if (!want || !*want) {
        pthread_once(&once, build);
        return &tables[best()];
    }
    int i = find(want);
    if (i >= 0 && levels[i].have())
        return &tables[i];
    list_levels(list, sizeof(list));
    if (i == BLAS)
        qd_error_set(err, QD_EUNSUP, "QD_CPU: no level 'blas': %s; this machine has %s",
            qd_blas_error(), list);
    else
        qd_error_set(err, QD_EARG, "QD_CPU: %s level '%s'; this machine has %s",
            i < 0 ? "unknown" : "no", want, list);
    return NULL;
}

const char *qd_level(struct qd_error *err)
{
    const struct qd_ops *ops = qd_ops_get(err);

    return ops ? ops->level : NULL;
}

#ifdef QD_X86
/* "AMD EPYC (family 25, model 17)" */
static void processor(char *buf, size_t size)
{
    unsigned r[13] = {0}, a, b, c, d;
    char *brand = (char *)r;

    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002U + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    while (*brand == ' ')
        brand++;
    for (size_t n = strlen(brand); n && brand[n - 1] == ' '; n--)
        brand[n - 1] = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        a = 0;
    unsigned family = a >> 8 & 15, model = a >> 4 & 15;
    if (family == 6 || family == 15)
        model |= a >> 12 & 0xf0;
    if (family == 15)
        family += a >> 20 & 255;
    snprintf(
        buf, size, "%s (family %u, model %u)", *brand ? brand : "unknown processor", family, model);
}

/* The OpenBLAS core that fits this processor, or NULL: no opinion. */
static const char *blas_core(void)
{
    unsigned a, b, c, d;

    if (have_avx512())
        return "SkylakeX";
    if (!have_avx2())
        return NULL;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx ? "Zen" : "Haswell";
}
#else
static void processor(char *buf, size_t size)
{
    struct utsname u;

    snprintf(buf, size, "%.60s", uname(&u) == 0 ? u.machine : "unknown processor");
}

static const char *blas_core(void)
{
    return NULL;
}
#endif

static _Atomic enum { BLAS_UNKNOWN, BLAS_LOADED, BLAS_MISSING } blas_state;

/*
 * OpenBLAS chooses its kernels, and starts its threads, in a constructor, so that only the
 * environment can tell it better (version 0.3.21 takes family 6, model 207 for a Prescott and is
 * 8 times too slow).  What the user set stays, what we set is taken back.
 */
bool qd_blas_load(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&lock);
    if (atomic_load(&blas_state) == BLAS_UNKNOWN) {
        const char *core = blas_core();
        bool set_core = core && !getenv("OPENBLAS_CORETYPE");
        bool set_threads = !getenv("OPENBLAS_NUM_THREADS");
        if (set_core)
            setenv("OPENBLAS_CORETYPE", core, 0);
        if (set_threads)
            setenv("OPENBLAS_NUM_THREADS", "1", 0);
        atomic_store(&blas_state, qd_blas_open(core != NULL) ? BLAS_LOADED : BLAS_MISSING);
        if (set_core)
            unsetenv("OPENBLAS_CORETYPE");
        if (set_threads)
            unsetenv("OPENBLAS_NUM_THREADS");
    }
    pthread_mutex_unlock(&lock);
    return atomic_load(&blas_state) == BLAS_LOADED;
}

/* Two texts, because what is known of BLAS changes when it is loaded; each is written once. */
static char detail[2][400];

static void write_detail(char *buf, size_t size, const char *blas)
{
    char cpu[120];
    size_t len;

    processor(cpu, sizeof(cpu));
    len = (size_t)snprintf(buf, size, "%s; levels", cpu);
    for (int i = 0; i < (int)LEVELS && len < size; i++)
        if (i == BLAS)
            len += (size_t)snprintf(buf + len, size - len, " blas (%.150s)", blas);
        else if (levels[i].have())
            len += (size_t)snprintf(buf + len, size - len, " %s", levels[i].name);
}

static void detail_before(void)
{
    write_detail(detail[0], sizeof(detail[0]), "not loaded");
}

static void detail_after(void)
{
    const char *core = qd_blas_core();
    char text[150];

    snprintf(
        text, sizeof(text), "%s%s", core ? "OpenBLAS core " : "", core ? core : qd_blas_error());
    write_detail(detail[1], sizeof(detail[1]), text);
}

const char *qd_level_detail(void)
{
    static pthread_once_t before = PTHREAD_ONCE_INIT, after = PTHREAD_ONCE_INIT;

    pthread_once(&once, build);
    if (atomic_load(&blas_state) != BLAS_UNKNOWN) {
        pthread_once(&after, detail_after);
        return detail[1];
    }
    pthread_once(&before, detail_before);
    return detail[0];
}

const struct qd_conv_kernel *qd_conv_find(const struct qd_ops *ops, const struct qd_conv_geom *g)
{
    for (const struct qd_conv_kernel *const *k = ops->conv; *k; k++)
        if ((*k)->supports(g))
            return *k;
    return NULL; /* never: the last one of every list supports everything */
}

/* Pixels read beyond the end of an axis with n inputs, o outputs and r taps. */
static long long overhang(int n, int o, int s, int r, const struct qd_conv_geom *g)
{
    return ((long long)o - 1) * s + ((long long)r - 1 - g->pad) * g->dil - (n - 1);
}

/*
 * Taps lie from -pad*dil to (o - 1)*s + (r - 1 - pad)*dil.  Output sizes do not know of dilation,
 * so that with 2*pad < r - 1 the far end can need more than the near one.
 */
int qd_conv_border(const struct qd_conv_geom *g)
{
    long long b = QD_MAX((long long)g->pad * g->dil, 0);

    b = QD_MAX(b, overhang(g->h, g->oh, g->sy, g->rh, g));
    b = QD_MAX(b, overhang(g->w, g->ow, g->sx, g->rw, g));
    return (int)QD_MIN(b, INT_MAX);
}
