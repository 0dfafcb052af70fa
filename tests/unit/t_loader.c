/* SPDX-License-Identifier: MIT */
/*
 * Batches in order: the same bytes for every number of threads and every beginning, each image once
 * an epoch, errors where they belong, an end at any time.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "base/base.h"
#include "data/loader.h"

enum { IMAGES = 7, BATCH = 4 };

static struct qd_error err;

static void put(const char *name, const void *data, size_t len)
{
    FILE *f = fopen(name, "wb");

    if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0)
        OK(false, "writing %s", name);
}

/* Picture i: 24x16 noise around 30 * i, one box of class i % 3. */
static void make_image(int i, const char *name)
{
    char data[40 + 3 * 24 * 16];
    int len = snprintf(data, 40, "P6 24 16 255\n");

    for (int k = 0; k < 3 * 24 * 16; k++)
        data[len++] = (char)(30 * i + (int)(tap_rand() % 30));
    put(name, data, (size_t)len);
}

static void make_set(void)
{
    char text[200] = "", name[40], label[60];

    for (int i = 0; i < IMAGES; i++) {
        snprintf(name, sizeof(name), "%c_%d.ppm", 'a' + i % 3, i);
        make_image(i, name);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n", name);
        snprintf(name, sizeof(name), "%c_%d.txt", 'a' + i % 3, i);
        int len = snprintf(label, sizeof(label), "%d .5 .5 .4 .%d\n", i % 3, i + 1);
        put(name, label, (size_t)len);
    }
    put("set.list", text, strlen(text));
    put("set.names", "a\nb\nc\n", 6);
}

static struct qd_dataset *open_set(bool classifier, size_t cache)
{
    const struct qd_image_opts rgb = {.channels = 3};
    struct qd_names *names = qd_names_load("set.names", NULL);
    struct qd_dataset_opts o = {.list = "set.list", .names = names, .classifier = classifier};

    err = (struct qd_error){0};
    struct qd_dataset *d = qd_dataset_open(&o, &err);
    qd_names_free(names);
    if (!d || qd_dataset_decode(d, &rgb, cache, &err) < 0)
        OK(false, "set: %s", err.msg);
    return d;
}

static struct qd_loader_opts options(void)
{
    struct qd_loader_opts o = {.batch = BATCH,
        .w = 20,
        .h = 12,
        .c = 3,
        .threads = 2,
        .seed = 9,
        .augment = QD_AUGMENT_OPTS_INIT};

    o.augment.mix = QD_MIX_MOSAIC;
    o.augment.hue = .1f;
    o.augment.exposure = o.augment.saturation = 1.5f;
    return o;
}

/* FNV-1a over everything in a batch. */
static uint64_t add(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static uint64_t hash(const struct qd_batch *b, int classes)
{
    size_t n = (size_t)b->n, values = (size_t)b->w * (size_t)b->h * (size_t)b->c;
    uint64_t h = add(0xcbf29ce484222325u, b->pixels, n * values * sizeof(float));

    h = add(h, b->sample, n * sizeof(*b->sample));
    if (b->target)
        return add(h, b->target, n * (size_t)classes * sizeof(float));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < b->labels[i].n; k++) {
            const struct qd_label *l = &b->labels[i].label[k];
            h = add(h, &l->box, sizeof(l->box));
            h = add(h, &l->class_id, sizeof(l->class_id));
        }
    return h;
}

/* The hashes of 'n' batches from 'first' on; false with 'err' set. */
static bool hashes(
    struct qd_dataset *d, struct qd_loader_opts o, uint64_t first, int n, uint64_t *h)
{
    const struct qd_batch *b;

    o.first = first;
    err = (struct qd_error){0};
    struct qd_loader *l = qd_loader_new(d, &o, &err);
    bool ok = l;
    for (int i = 0; ok && i < n; i++) {
        ok = qd_loader_next(l, &b, &err) == 1 && b->number == first + (uint64_t)i;
        h[i] = ok ? hash(b, d->classes) : 0;
        if (i & 1) /* give it back early or late */
            qd_loader_done(l);
    }
    qd_loader_free(l);
    return ok;
}

static void same_bytes(struct qd_dataset *d, struct qd_loader_opts o, const char *what)
{
    enum { N = 12 };
    uint64_t want[N], got[N];
    static const int threads[] = {1, 2, 4};

    o.threads = 0;
    OK(hashes(d, o, 0, N, want), "%s: no threads: %s", what, err.msg);
    bool differ = true;
    for (int i = 1; i < N; i++)
        differ &= want[i] != want[i - 1];
    OK(differ, "%s: batches differ", what);
    for (size_t i = 0; i < QD_LEN(threads); i++) {
        o.threads = threads[i];
        o.depth = 1 + (int)i;
        OK(hashes(d, o, 0, N, got) && !memcmp(want, got, sizeof(want)), "%s: %d threads", what,
            threads[i]);
    }
    OK(hashes(d, o, 5, N - 5, got) && !memcmp(want + 5, got, sizeof(*got) * (N - 5)),
        "%s: from batch 5 on it is the same", what);
    o.seed++;
    OK(hashes(d, o, 0, N, got) && memcmp(want, got, sizeof(want)) != 0, "%s: another seed", what);
}

static void deterministic(void)
{
    struct qd_dataset *d = open_set(false, 0);
    struct qd_loader_opts o = options();
    uint64_t a[6], b[6];

    same_bytes(d, o, "mosaic");
    o.augment.mix = QD_MIX_MIXUP;
    o.order = QD_ORDER_REPLACEMENT;
    same_bytes(d, o, "mixup, with replacement");
    o = options();
    o.augment.kind = QD_AUGMENT_ULTRALYTICS;
    o.augment.degrees = 5;
    same_bytes(d, o, "ultralytics");
    struct qd_dataset *cached = open_set(false, 2 * 24 * 16 * 3 + 5);
    OK(hashes(d, o, 0, 6, a) && hashes(cached, o, 0, 6, b) && !memcmp(a, b, sizeof(a)),
        "a cache changes nothing");
    qd_dataset_free(cached);
    qd_dataset_free(d);
    d = open_set(true, 0);
    o = options();
    o.augment.kind = QD_AUGMENT_CLASSIFY;
    o.augment.mix = QD_MIX_BOTH;
    o.augment.angle = 7;
    same_bytes(d, o, "classifier");
    qd_dataset_free(d);
}

/* A batch in two halves is the same images: subdivisions do not change what is learned. */
static void halves(void)
{
    struct qd_dataset *d = open_set(false, 0);
    struct qd_loader_opts o = options(), half = options();
    const struct qd_batch *a, *b;
    size_t values = 20 * 12 * 3;
    bool same = true;

    half.batch = BATCH / 2;
    half.group = BATCH;
    struct qd_loader *l = qd_loader_new(d, &o, &err), *m = qd_loader_new(d, &half, &err);
    for (int i = 0; l && m && i < 8; i++) {
        if (qd_loader_next(l, &a, &err) != 1)
            break;
        for (int k = 0; k < 2; k++) {
            same &= qd_loader_next(m, &b, &err) == 1 && b->n == 2 && b->iteration == (uint64_t)i;
            same &= b && !memcmp(a->pixels + (size_t)k * 2 * values, b->pixels,
                             2 * values * sizeof(float));
        }
    }
    OK(l && m && same, "two halves are the whole: %s", err.msg);
    qd_loader_free(l);
    qd_loader_free(m);
    qd_dataset_free(d);
}

/* ------------------------------------------------------------------ order --------------------- */

static void order(void)
{
    struct qd_dataset *d = open_set(false, 0);
    struct qd_loader_opts o = options();
    const struct qd_batch *b;
    size_t seen[IMAGES * BATCH * 3];
    int n = 0, other = 0, once = 0;

    o.augment.kind = QD_AUGMENT_NONE;
    struct qd_loader *l = qd_loader_new(d, &o, &err);
    for (int i = 0; l && i < 3 * IMAGES && qd_loader_next(l, &b, &err) == 1; i++) /* 12 epochs */
        for (int k = 0; k < BATCH; k++)
            seen[n++] = b->sample[k];
    for (int e = 0; e < n / IMAGES; e++) {
        int count[IMAGES] = {0};
        for (int i = 0; i < IMAGES; i++)
            count[seen[e * IMAGES + i]]++;
        for (int i = 0; i < IMAGES; i++)
            once += count[i] == 1;
        other += e > 0 && memcmp(seen, seen + e * IMAGES, IMAGES * sizeof(*seen)) != 0;
    }
    OK(n == 3 * IMAGES * BATCH && once == n, "every image once an epoch");
    OK(other == n / IMAGES - 1, "each epoch in another order");
    qd_loader_free(l);

    o.order = QD_ORDER_REPLACEMENT;
    int count[IMAGES] = {0}, twice = 0;
    l = qd_loader_new(d, &o, &err);
    for (int i = 0; l && i < 100 && qd_loader_next(l, &b, &err) == 1; i++)
        for (int k = 0; k < BATCH; k++) {
            count[b->sample[k]]++;
            twice += k && b->sample[k] == b->sample[k - 1];
        }
    bool even = true;
    for (int i = 0; i < IMAGES; i++)
        even &= count[i] > 30 && count[i] < 90;
    OK(even && twice > 10, "with replacement: evenly, and images come twice in a row");
    qd_loader_free(l);
    qd_dataset_free(d);
}

/* For evaluation: the list, once. */
static void list(void)
{
    struct qd_dataset *d = open_set(true, 0);
    struct qd_loader_opts o = options();
    const struct qd_batch *b;

    o.order = QD_ORDER_LIST;
    o.augment.kind = QD_AUGMENT_CENTRE;
    struct qd_loader *l = qd_loader_new(d, &o, &err);
    OK(l && qd_loader_next(l, &b, &err) == 1 && b->n == 4 && b->sample[3] == 3, "four");
    OK(l && b->target[0] == 1 && b->target[3 + 1] == 1 && b->target[3] == 0, "their classes");
    OK(l && qd_loader_next(l, &b, &err) == 1 && b->n == 3 && b->sample[2] == 6, "and three");
    OK(l && qd_loader_next(l, &b, &err) == 0 && !b, "and an end");
    OK(l && qd_loader_next(l, &b, &err) == 0, "that stays");
    qd_loader_free(l);
    o.first = 9;
    l = qd_loader_new(d, &o, &err);
    OK(l && qd_loader_next(l, &b, &err) == 0, "also when it begins behind it");
    qd_loader_free(l);
    qd_dataset_free(d);
}

/* ------------------------------------------------------------------ sizes --------------------- */

static void two_sizes(void *ctx, uint64_t iteration, int *w, int *h)
{
    (void)ctx;
    *w = iteration % 3 == 1 ? 8 : 20;
    *h = iteration % 3 == 1 ? 12 : 10;
}

static void multi_scale(void)
{
    struct qd_dataset *d = open_set(false, 0);
    struct qd_loader_opts o = options();
    const struct qd_batch *b;
    bool right = true;

    o.size = two_sizes;
    o.batch = 2;
    o.group = 4;
    struct qd_loader *l = qd_loader_new(d, &o, &err);
    for (int i = 0; l && i < 12; i++) {
        int w, h;
        if (qd_loader_next(l, &b, &err) != 1)
            break;
        two_sizes(NULL, (uint64_t)i / 2, &w, &h);
        right &= b->w == w && b->h == h && b->iteration == (uint64_t)i / 2;
        right &= b->epoch == 2. * i / IMAGES;
    }
    OK(l && right, "an iteration has one size");
    struct qd_loader_stats s;
    qd_loader_stats(l, &s);
    OK(s.batches == 12 && s.waited >= 0 && s.waited <= s.elapsed, "waited %g of %g s", s.waited,
        s.elapsed);
    qd_loader_free(l);
    o.size = NULL;
    same_bytes(d, o, "two a batch");
    OK(qd_loader_memory(&o, 3) >= 3 * 2 * 20 * 12 * 3 * 4, "memory");
    qd_dataset_free(d);
}

/* ------------------------------------------------------------------ trouble ------------------- */

/* The batch that needs the missing file fails, with its name; those before it are good. */
static void missing_file(void)
{
    struct qd_dataset *d = open_set(false, 0);
    struct qd_loader_opts o = options();
    char first[500] = "";
    const struct qd_batch *b;

    o.augment.mix = QD_MIX_NONE;
    o.order = QD_ORDER_LIST;
    o.batch = 2;
    unlink("c_5.ppm"); /* sample 5, batch 2 */
    unlink("b_4.ppm"); /* sample 4, batch 2: the first of the two is reported */
    for (int threads = 0; threads <= 4; threads++) {
        err = (struct qd_error){0};
        o.threads = threads;
        struct qd_loader *l = qd_loader_new(d, &o, &err);
        OK(l && qd_loader_next(l, &b, &err) == 1 && qd_loader_next(l, &b, &err) == 1,
            "%d threads: two good batches", threads);
        OK(l && qd_loader_next(l, &b, &err) == -1 && !b, "the third fails");
        IS_STR(err.msg, "cannot open 'b_4.ppm': No such file or directory", "names the file");
        snprintf(first, sizeof(first), "%s", err.msg);
        err = (struct qd_error){0};
        OK(l && qd_loader_next(l, &b, &err) == -1 && !strcmp(first, err.msg), "and again");
        qd_loader_free(l);
    }
    qd_dataset_free(d);
    make_image(4, "b_4.ppm");
    make_image(5, "c_5.ppm");
}

static void close_early(void)
{
    struct qd_dataset *d = open_set(false, 1 << 20);
    struct qd_loader_opts o = options();
    const struct qd_batch *b;
    bool ok = true;

    for (int i = 0; i < 30; i++) {
        o.threads = i % 5;
        o.depth = 1 + i % 3;
        struct qd_loader *l = qd_loader_new(d, &o, &err);
        for (int k = 0; l && k < i % 4; k++)
            ok &= qd_loader_next(l, &b, &err) == 1;
        ok &= l != NULL;
        qd_loader_free(l);
    }
    OK(ok, "30 loaders closed at any time: %s", err.msg);
    qd_loader_free(NULL);
    qd_dataset_free(d);
}

static void no_memory(void)
{
    struct qd_dataset *d = open_set(false, 0);
    struct qd_loader_opts o = options();
    const struct qd_batch *b;
    int failed = 0, n = 1;

    o.threads = 0;
    for (;; n++) {
        err = (struct qd_error){0};
        qd_alloc_fail_at(n);
        struct qd_loader *l = qd_loader_new(d, &o, &err);
        int ret = l ? qd_loader_next(l, &b, &err) : -1;
        qd_alloc_fail_at(0);
        qd_loader_free(l);
        failed += ret < 0 && err.code == QD_ENOMEM;
        if (ret == 1 || n > 2000)
            break;
    }
    OK(n > 20 && n < 2000 && failed == n - 1, "%d allocations, each may fail: %d", n - 1, failed);
    qd_dataset_free(d);
}

static void bad_options(void)
{
    struct qd_dataset *d = open_set(false, 0);
    struct qd_loader_opts o = options();

    o.group = 6;
    OK(!qd_loader_new(d, &o, &err), "6 images in batches of 4");
    IS_STR(err.msg,
        "loader: 4 images at a time, 6 an iteration: must be 1 to 65536, and a multiple of that",
        "message");
    o = options();
    o.c = 1;
    err = (struct qd_error){0};
    OK(!qd_loader_new(d, &o, &err), "channels");
    IS_STR(err.msg, "loader: the set is decoded with 3 channels, not 1", "message");
    o = options();
    o.augment.kind = QD_AUGMENT_CLASSIFY;
    err = (struct qd_error){0};
    OK(!qd_loader_new(d, &o, &err), "the wrong kind");
    IS_STR(err.msg, "loader: an augmentation for classifiers, but the set is for detectors",
        "message");
    qd_dataset_free(d);
}

int main(void)
{
    char dir[300];

    snprintf(dir, sizeof(dir), "%s", tap_tmp(""));
    if (chdir(dir) != 0)
        return 99;
    make_set();
    deterministic();
    halves();
    order();
    list();
    multi_scale();
    missing_file();
    close_early();
    no_memory();
    bad_options();
    return tap_done();
}
