/* SPDX-License-Identifier: MIT */
/*
 * A chunked arena: small objects that live and die together (a cfg document, the layers of a net)
 * are carved from large blocks and freed in one call.
 */
#include "base/arena.h"

#include <string.h>

#include "base/error.h"

enum { CHUNK = 16384 - 64 };

struct qd_arena_chunk {
    struct qd_arena_chunk *next;
    size_t size, used;
    _Alignas(16) unsigned char data[];
};

void *qd_arena_alloc(struct qd_arena *a, size_t count, size_t size, struct qd_error *err)
{
    size_t bytes, need;
    struct qd_arena_chunk *c = a->head;

    if (!qd_mul_size(count, size, &bytes) || !qd_add_size(bytes, 15, &need)) {
        qd_error_nomem(err, SIZE_MAX);
        return NULL;
    }
    need &= ~(size_t)15;
    if (!c || c->size - c->used < need) {
        size_t room = QD_MAX(need, (size_t)CHUNK);
        size_t whole;
        if (!qd_add_size(room, sizeof(*c), &whole)) {
            qd_error_nomem(err, SIZE_MAX);
            return NULL;
        }
        c = qd_alloc_raw(1, whole, err);
        if (!c)
            return NULL;
        *c = (struct qd_arena_chunk){.next = a->head, .size = room};
        a->head = c;
    }
    void *p = c->data + c->used;
    c->used += need;
    a->used += need;
    memset(p, 0, need);
    return p;
}

char *qd_arena_strndup(struct qd_arena *a, const char *s, size_t len, struct qd_error *err)
{
    char *p = qd_arena_alloc(a, len + 1, 1, err);

    if (p)
        memcpy(p, s, len);
    return p;
}

char *qd_arena_strdup(struct qd_arena *a, const char *s, struct qd_error *err)
{
    return qd_arena_strndup(a, s, strlen(s), err);
}

void qd_arena_free(struct qd_arena *a)
{
    for (struct qd_arena_chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        qd_free(c);
    }
    *a = (struct qd_arena){0};
}
