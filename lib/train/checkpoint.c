/* SPDX-License-Identifier: MIT */
/* Writing and reading the state of a run. */
#include "train/checkpoint.h"

#include "base/error.h"
#include "base/io.h"

static const char magic[8] = {'q', 'd', 's', 't', 'a', 't', 'e', '1'};

uint64_t qd_double_bits(double x)
{
    uint64_t b;

    memcpy(&b, &x, sizeof(b));
    return b;
}

double qd_bits_double(uint64_t b)
{
    double x;

    memcpy(&x, &b, sizeof(x));
    return x;
}

/* CRC-32 with the polynomial of Ethernet, a byte at a time. */
struct crc {
    uint32_t table[256], value;
};

static void crc_begin(struct crc *c)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t x = i;
        for (int k = 0; k < 8; k++)
            x = x & 1 ? x >> 1 ^ 0xedb88320u : x >> 1;
        c->table[i] = x;
    }
    c->value = 0xffffffffu;
}

static void crc_add(struct crc *c, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t x = c->value;

    for (size_t i = 0; i < n; i++)
        x = c->table[(x ^ p[i]) & 255] ^ x >> 8;
    c->value = x;
}

/* ---- saving ---------------------------------------------------------------------------------- */

static void put(struct qd_out *o, struct crc *c, const void *data, size_t n)
{
    crc_add(c, data, n);
    qd_io_write(o, data, n);
}

static void put32(struct qd_out *o, struct crc *c, uint32_t v)
{
    unsigned char b[4];

    qd_put_le32(b, v);
    put(o, c, b, sizeof(b));
}

static void put64(struct qd_out *o, struct crc *c, uint64_t v)
{
    unsigned char b[8];

    qd_put_le64(b, v);
    put(o, c, b, sizeof(b));
}

static void put_floats(struct qd_out *o, struct crc *c, const float *x, size_t n)
{
    float some[4096];

    for (size_t at = 0; at < n; at += QD_LEN(some)) {
        size_t k = QD_MIN(QD_LEN(some), n - at);
        memcpy(some, x + at, k * sizeof(float));
        qd_le_floats(some, k);
        put(o, c, some, k * sizeof(float));
    }
}

int qd_checkpoint_save(const struct qd_checkpoint *c, const char *path, struct qd_error *err)
{
    struct qd_out o;
    struct crc crc;
    size_t len = strlen(c->recipe);
    unsigned char sum[4];

    if (qd_io_create(&o, path, true, err) < 0)
        return -1;
    crc_begin(&crc);
    put(&o, &crc, magic, sizeof(magic));
    put32(&o, &crc, (uint32_t)len);
    put(&o, &crc, c->recipe, len);
    put32(&o, &crc, QD_CHECKPOINT_NUMBERS);
    for (int i = 0; i < QD_CHECKPOINT_NUMBERS; i++)
        put64(&o, &crc, c->number[i]);
    put32(&o, &crc, (uint32_t)c->nblocks);
    put64(&o, &crc, c->floats);
    for (int i = 0; i < c->nblocks; i++)
        put_floats(&o, &crc, c->block[i], c->floats);
    qd_put_le32(sum, ~crc.value);
    qd_io_write(&o, sum, sizeof(sum));
    return qd_io_commit(&o, err);
}

/* ---- loading --------------------------------------------------------------------------------- */

struct reader {
    const char *path;
    const unsigned char *p;
    size_t left;
    struct qd_error *err;
};

static int damaged(const struct reader *r, const char *what)
{
    return qd_error_set(r->err, QD_EFORMAT, "%s: %s", r->path, what);
}

static const unsigned char *take(struct reader *r, size_t n)
{
    const unsigned char *p = r->p;

    if (n > r->left) {
        damaged(r, "the state ends too early");
        return NULL;
    }
    r->p += n;
    r->left -= n;
    return p;
}

/* Name the first line in which two recipes differ. */
static int compare(const struct reader *r, const char *old, size_t nold, const char *now)
{
    const char *end = old + nold;

    while (old < end || *now) {
        const char *nl = old < end ? memchr(old, '\n', (size_t)(end - old)) : NULL;
        size_t a = (size_t)((nl ? nl : end) - old), b = strcspn(now, "\n");
        if (a != b || memcmp(old, now, a) != 0)
            return qd_error_set(r->err, QD_EARG,
                "%s: the run was begun with '%.*s', not '%.*s', and cannot be resumed so", r->path,
                (int)QD_MIN(a, (size_t)150), old, (int)QD_MIN(b, (size_t)150), now);
        old += a + (nl != NULL);
        now += b + (now[b] != 0);
    }
    return 0;
}

static int check_sum(struct reader *r)
{
    struct crc crc;

    if (r->left < sizeof(magic) || memcmp(r->p, magic, sizeof(magic)) != 0)
        return damaged(r, "this is not the state of a run");
    crc_begin(&crc);
    if (r->left < sizeof(magic) + 4)
        return damaged(r, "the state ends too early");
    crc_add(&crc, r->p, r->left - 4);
    if (~crc.value != qd_le32(r->p + r->left - 4))
        return damaged(r, "the state is damaged (its check sum is wrong)");
    r->p += sizeof(magic);
    r->left -= sizeof(magic) + 4;
    return 0;
}

static int parse(struct qd_checkpoint *c, struct reader *r)
{
    const unsigned char *p = take(r, 4), *numbers, *blocks;
    size_t bytes;

    if (!p)
        return -1;
    size_t n = qd_le32(p);
    const unsigned char *recipe = take(r, n);
    if (!recipe || compare(r, (const char *)recipe, n, c->recipe) < 0 || !(p = take(r, 4)))
        return -1;
    if (qd_le32(p) != QD_CHECKPOINT_NUMBERS)
        return damaged(r, "the state is of another version");
    if (!(numbers = take(r, 8 * QD_CHECKPOINT_NUMBERS)) || !(p = take(r, 12)))
        return -1;
    if (qd_le32(p) != (uint32_t)c->nblocks || qd_le64(p + 4) != c->floats)
        return damaged(r, "the state is that of another network or optimizer");
    bytes = c->floats * sizeof(float);
    if (!(blocks = take(r, bytes * (size_t)c->nblocks)))
        return -1;
    if (r->left)
        return damaged(r, "there is something behind the state");
    for (int i = 0; i < QD_CHECKPOINT_NUMBERS; i++)
        c->number[i] = qd_le64(numbers + 8 * i);
    for (int i = 0; i < c->nblocks; i++) {
        memcpy(c->block[i], blocks + bytes * (size_t)i, bytes);
        qd_le_floats(c->block[i], c->floats);
    }
    return 0;
}

int qd_checkpoint_load(struct qd_checkpoint *c, const char *path, struct qd_error *err)
{
    struct qd_buf b = {0};
    size_t max = c->floats * sizeof(float) * (QD_CHECKPOINT_BLOCKS + 1) + ((size_t)1 << 20);
    int ret = qd_io_slurp(path, max, &b, err);

    if (ret == 0) {
        struct reader r = {path, (const unsigned char *)b.data, b.len, err};
        ret = check_sum(&r) < 0 || parse(c, &r) < 0 ? -1 : 0;
    }
    qd_buf_free(&b);
    return ret;
}
