/* SPDX-License-Identifier: MIT */
/*
 * The one place where memory comes from.  Every block is aligned for the widest vector register.
 * Tests can make any single allocation fail and can count them.
 */
#define _DEFAULT_SOURCE /* madvise */
#include "base/base.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

static atomic_long total;   /* allocations so far */
static atomic_long fail_at; /* the value of 'total' that fails; 0: none */

void qd_alloc_fail_at(long n)
{
    atomic_store(&fail_at, n > 0 ? atomic_load(&total) + n : 0);
}

long qd_alloc_count(void)
{
    return atomic_load(&total);
}

/* More than there is would not fail here but kill the process later: refuse it. */
static bool beyond_memory(size_t bytes)
{
    size_t memory = qd_memory();

    return memory && bytes >= memory;
}

/*
 * Blocks of weights and activations are streamed through in every pass; with pages of 2 MiB the
 * processor does not have to look up 500 times as many small ones.
 */
enum { HUGE_FROM = 4 << 20 };

static void ask_for_huge_pages(void *p, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)p + page - 1) / page * page,
              to = ((uintptr_t)p + bytes) / page * page;

    madvise((void *)from, to - from, MADV_HUGEPAGE); /* advice: failing changes nothing */
#else
    (void)p;
    (void)bytes;
#endif
}

void *qd_alloc_raw(size_t count, size_t size, struct qd_error *err)
{
    size_t bytes, rounded;

    if (!qd_mul_size(count, size, &bytes) || !qd_add_size(bytes, QD_ALIGN, &rounded)) {
        qd_error_nomem(err, SIZE_MAX);
        return NULL;
    }
    rounded = qd_round_up(bytes ? bytes : 1, QD_ALIGN);
    long serial = atomic_fetch_add(&total, 1) + 1;
    bool refuse =
        serial == atomic_load(&fail_at) || (bytes > (size_t)1 << 28 && beyond_memory(bytes));
    void *p = refuse ? NULL : aligned_alloc(QD_ALIGN, rounded);
    if (!p)
        qd_error_nomem(err, bytes);
    else if (bytes >= HUGE_FROM)
        ask_for_huge_pages(p, rounded);
    return p;
}

void *qd_alloc(size_t count, size_t size, struct qd_error *err)
{
    void *p = qd_alloc_raw(count, size, err);

    if (p)
        memset(p, 0, count * size);
    return p;
}

void qd_free(void *p)
{
    free(p);
}

void qd_release(void *p, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)p + page - 1) / page * page,
              to = ((uintptr_t)p + bytes) / page * page;

    if (to > from)
        madvise((void *)from, to - from, MADV_DONTNEED); /* advice: failing changes nothing */
}
