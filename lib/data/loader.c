/* SPDX-License-Identifier: MIT */
/*
 * A ring of batches between threads that fill them image by image and one consumer that takes them
 * in order.  Work is handed out under the mutex in order of image numbers, and all that an image
 * depends on is settled there or follows from its number; so it does not matter which thread does
 * it, or when.  While the consumer has to wait it helps with the batch that it waits for.
 *
 * Slot b % slots holds batch b.  It is free until the consumer has given back batch b - slots.
 */
#include "data/loader.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

enum {
    MAX_THREADS = 64,
    MAX_DEPTH = 64,
    MAX_BATCH = 65536,
    STREAM_ORDER = 1, /* of random numbers, in the top bits (augment.c has one, too) */
    STREAM_IMAGE = 3,
};

struct slot {
    struct qd_batch batch;
    size_t *sample; /* [batch] */
    enum qd_mix mix;
    int claimed, done; /* images */
    int bad;           /* the first image that failed, and why */
    struct qd_error err;
};

struct qd_loader {
    struct qd_dataset *set;
    struct qd_loader_opts o;
    int slots;
    struct slot *slot;
    /* the consumer's */
    bool holding; /* batch 'next' - 1 is out */
    struct qd_loader_stats stats;
    double started;
    struct qd_error failed;
    /* guarded by the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t work; /* a slot became free, or the end */
    pthread_cond_t full; /* a batch is complete */
    bool stop;
    uint64_t next;    /* the batch that the consumer takes next */
    uint64_t filling; /* the batch that images are handed out of */
    uint64_t end;     /* the batch after the last one */
    uint32_t *order;  /* [set->n] of 'epoch' */
    uint64_t epoch;
    int threads;
    pthread_t thread[MAX_THREADS];
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -------------------------------------------------------------------- order ------------------- */

/* The order of an epoch (Fisher and Yates). */
static void shuffle(struct qd_loader *l, uint64_t epoch)
{
    struct qd_rng r = qd_rng_new(l->o.seed, (uint64_t)STREAM_ORDER << 60 | epoch);
    uint32_t n = (uint32_t)l->set->n;

    for (uint32_t i = 0; i < n; i++)
        l->order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t k = qd_rng_below(&r, i), t = l->order[k];
        l->order[k] = l->order[i - 1];
        l->order[i - 1] = t;
    }
    l->epoch = epoch;
}

static struct qd_rng image_rng(const struct qd_loader *l, uint64_t image)
{
    return qd_rng_new(l->o.seed, (uint64_t)STREAM_IMAGE << 60 | image);
}

/* The sample that image number 'image' of the run shows. */
static size_t sample_of(struct qd_loader *l, uint64_t image)
{
    uint64_t n = l->set->n;

    if (l->o.order == QD_ORDER_LIST)
        return (size_t)image;
    if (l->o.order == QD_ORDER_REPLACEMENT) {
        struct qd_rng r = qd_rng_new(l->o.seed, (uint64_t)STREAM_ORDER << 60 | image);
        return qd_rng_below(&r, (uint32_t)n);
    }
    if (l->epoch != image / n)
        shuffle(l, image / n);
    return l->order[image % n];
}

/* -------------------------------------------------------------------- one image --------------- */

static int augment(struct qd_loader *l, struct slot *s, int place, const struct qd_source *src,
    enum qd_mix mix, struct qd_rng *rng, struct qd_error *err)
{
    struct qd_batch *b = &s->batch;
    size_t row = (size_t)b->w * (size_t)b->c, image = row * (size_t)b->h;
    struct qd_augment_job job = {.opts = &l->o.augment, .mix = mix, .src = src, .rng = rng};

    job.dst =
        (struct qd_pixels){b->pixels + (size_t)place * image, b->w, b->h, b->c, (size_t)b->c, row};
    job.classes = l->set->classes;
    if (l->set->classifier)
        job.target = b->target + (size_t)place * (size_t)job.classes;
    else
        job.labels = &b->labels[place];
    return qd_augment(&job, err);
}

/* Prepare one image of a batch; touches nothing else of the loader. */
static int prepare(struct qd_loader *l, struct slot *s, int place, struct qd_error *err)
{
    struct qd_rng rng = image_rng(l, s->batch.number * (uint64_t)l->o.batch + (uint64_t)place);
    int in_group = place + (int)(s->batch.number * (uint64_t)l->o.batch % (uint64_t)l->o.group);
    enum qd_mix mix = qd_augment_mix_at(&l->o.augment, s->mix, in_group);
    struct qd_source src[4] = {{0}};
    struct qd_image *img[4] = {0};
    size_t sample[4] = {s->sample[place]};
    int n = qd_augment_sources(mix), ret = 0;

    for (int i = 0; ret == 0 && i < n; i++) {
        if (i > 0)
            sample[i] = qd_rng_below(&rng, (uint32_t)l->set->n);
        const struct qd_sample *from = &l->set->sample[sample[i]];
        if (!(img[i] = qd_dataset_get(l->set, sample[i], err)))
            ret = -1;
        src[i] =
            (struct qd_source){img[i], from->w, from->h, from->label, from->nlabel, from->class_id};
    }
    if (ret == 0)
        ret = augment(l, s, place, src, mix, &rng, err);
    for (int i = 0; i < n; i++)
        if (img[i])
            qd_dataset_put(l->set, sample[i], img[i]);
    return ret;
}

/* -------------------------------------------------------------------- the ring ---------------- */

/* Make slot s ready for batch 'number'; with the mutex. */
static void begin(struct qd_loader *l, struct slot *s, uint64_t number)
{
    struct qd_batch *b = &s->batch;
    uint64_t first = number * (uint64_t)l->o.batch;

    for (int i = 0; b->labels && i < l->o.batch; i++)
        qd_labels_free(&b->labels[i]);
    s->claimed = s->done = s->bad = 0;
    s->err = (struct qd_error){0};
    b->number = number;
    b->iteration = first / (uint64_t)l->o.group;
    b->epoch = (double)first / (double)l->set->n;
    b->n = l->o.batch;
    if (l->o.order == QD_ORDER_LIST)
        b->n = (int)QD_MIN((uint64_t)b->n, l->set->n - first);
    b->w = l->o.w;
    b->h = l->o.h;
    b->c = l->o.c;
    if (l->o.size)
        l->o.size(l->o.size_ctx, b->iteration, &b->w, &b->h);
    QD_ASSERT(b->w > 0 && b->w <= l->o.w && b->h > 0 && b->h <= l->o.h);
    s->mix = qd_augment_mix(&l->o.augment, l->o.seed, b->iteration);
    for (int i = 0; i < b->n; i++)
        s->sample[i] = sample_of(l, first + (uint64_t)i);
}

/* The slot and place of the next image to prepare, NULL: none now.  With the mutex. */
static struct slot *claim(struct qd_loader *l, int *place)
{
    if (l->filling == l->end || l->filling >= l->next + (uint64_t)l->slots - l->holding)
        return NULL;
    struct slot *s = &l->slot[l->filling % (uint64_t)l->slots];
    if (s->claimed == 0)
        begin(l, s, l->filling);
    *place = s->claimed++;
    if (s->claimed == s->batch.n)
        l->filling++;
    return s;
}

/* Prepare what was claimed.  Called with the mutex, returns with it, without it in between. */
static void fill(struct qd_loader *l, struct slot *s, int place)
{
    struct qd_error err = {0};

    pthread_mutex_unlock(&l->mutex);
    int ret = prepare(l, s, place, &err);
    pthread_mutex_lock(&l->mutex);
    if (ret < 0 && (s->err.code == QD_OK || place < s->bad)) {
        s->err = err; /* the first in the batch, not in time */
        s->bad = place;
    }
    if (++s->done == s->batch.n)
        pthread_cond_signal(&l->full);
}

static void *producer(void *arg)
{
    struct qd_loader *l = arg;
    struct slot *s;
    int place;

    pthread_mutex_lock(&l->mutex);
    while (!l->stop) {
        if ((s = claim(l, &place)))
            fill(l, s, place);
        else
            pthread_cond_wait(&l->work, &l->mutex);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* With the mutex: until batch 'next' is complete. */
static struct slot *wait_for_batch(struct qd_loader *l)
{
    struct slot *s = &l->slot[l->next % (uint64_t)l->slots], *mine;
    int place;

    for (;;) {
        if (l->filling > l->next && s->done == s->batch.n)
            return s;
        if (l->filling == l->next && (mine = claim(l, &place)))
            fill(l, mine, place);
        else
            pthread_cond_wait(&l->full, &l->mutex);
    }
}

/* With the mutex. */
static void give_back(struct qd_loader *l)
{
    if (!l->holding)
        return;
    struct slot *s = &l->slot[(l->next - 1) % (uint64_t)l->slots];
    s->claimed = 0;
    l->holding = false;
    pthread_cond_broadcast(&l->work);
}

int qd_loader_next(struct qd_loader *l, const struct qd_batch **batch, struct qd_error *err)
{
    double from = now();

    *batch = NULL;
    if (l->failed.code != QD_OK)
        return qd_error_set(err, l->failed.code, "%s", l->failed.msg);
    pthread_mutex_lock(&l->mutex);
    give_back(l);
    if (l->next == l->end) {
        pthread_mutex_unlock(&l->mutex);
        return 0;
    }
    struct slot *s = wait_for_batch(l);
    l->next++;
    l->holding = true;
    if (s->err.code != QD_OK) {
        l->failed = s->err;
        l->end = l->filling + (l->slot[l->filling % (uint64_t)l->slots].claimed > 0);
    }
    pthread_mutex_unlock(&l->mutex);
    if (l->failed.code != QD_OK)
        return qd_error_set(err, l->failed.code, "%s", l->failed.msg);
    double to = now();
    if (l->stats.batches++)
        l->stats.waited += to - from;
    else
        l->started = to;
    *batch = &s->batch;
    return 1;
}

void qd_loader_done(struct qd_loader *l)
{
    pthread_mutex_lock(&l->mutex);
    give_back(l);
    pthread_mutex_unlock(&l->mutex);
}

void qd_loader_stats(const struct qd_loader *l, struct qd_loader_stats *stats)
{
    *stats = l->stats;
    stats->elapsed = l->stats.batches ? now() - l->started : 0;
}

/* -------------------------------------------------------------------- begin and end ----------- */

static int check(const struct qd_dataset *set, const struct qd_loader_opts *o, struct qd_error *err)
{
    bool classifies =
        o->augment.kind == QD_AUGMENT_CLASSIFY || o->augment.kind == QD_AUGMENT_CENTRE;

    if (o->batch < 1 || o->batch > MAX_BATCH || o->group < 0 || o->group % o->batch)
        return qd_error_set(err, QD_EARG,
            "loader: %d images at a time, %d an iteration: must be 1 to %d, and a multiple of that",
            o->batch, o->group, MAX_BATCH);
    if (o->w < 1 || o->h < 1 || o->w > UINT16_MAX || o->h > UINT16_MAX || (o->c != 1 && o->c != 3))
        return qd_error_set(
            err, QD_EARG, "loader: images cannot become %dx%dx%d values", o->w, o->h, o->c);
    if (o->threads < 0 || o->threads > MAX_THREADS || o->depth < 0 || o->depth > MAX_DEPTH)
        return qd_error_set(err, QD_EARG, "loader: %d threads and %d batches ahead: at most %d",
            o->threads, o->depth, MAX_THREADS);
    if (set->n < 1 || set->n > UINT32_MAX)
        return qd_error_set(err, QD_EARG, "%s: %zu images", set->name, set->n);
    if (set->decode.channels != o->c)
        return qd_error_set(err, QD_EARG, "loader: the set is decoded with %d channels, not %d",
            set->decode.channels, o->c);
    if (o->augment.kind != QD_AUGMENT_NONE && classifies != set->classifier)
        return qd_error_set(err, QD_EARG, "loader: an augmentation for %s, but the set is for %s",
            classifies ? "classifiers" : "detectors",
            set->classifier ? "classifiers" : "detectors");
    return qd_augment_check(&o->augment, err);
}

static int floats(const struct qd_loader_opts *o, int classes, size_t *pixels, size_t *targets)
{
    size_t n = (size_t)o->batch;

    return qd_mul_size(n, (size_t)o->w * (size_t)o->h * (size_t)o->c, pixels) &&
                   qd_mul_size(n, (size_t)classes, targets)
               ? 0
               : -1;
}

static int open_slot(struct qd_loader *l, struct slot *s, struct qd_error *err)
{
    size_t pixels, targets, n = (size_t)l->o.batch;

    if (floats(&l->o, l->set->classes, &pixels, &targets) < 0)
        return qd_error_set(err, QD_ENOMEM, "loader: a batch is too large");
    s->batch.pixels = qd_alloc_raw(pixels, sizeof(float), err);
    s->batch.sample = s->sample = qd_alloc(n, sizeof(*s->sample), err);
    if (l->set->classifier)
        s->batch.target = qd_alloc(targets, sizeof(float), err);
    else
        s->batch.labels = qd_alloc(n, sizeof(*s->batch.labels), err);
    return s->batch.pixels && s->sample && (s->batch.target || s->batch.labels) ? 0 : -1;
}

static int open_ring(struct qd_loader *l, struct qd_error *err)
{
    l->slots = (l->o.depth ? l->o.depth : 2) + 1; /* and one for the consumer */
    if (l->o.threads == 0)
        l->slots = 1;
    if (!(l->slot = qd_alloc((size_t)l->slots, sizeof(*l->slot), err)))
        return -1;
    for (int i = 0; i < l->slots; i++)
        if (open_slot(l, &l->slot[i], err) < 0)
            return -1;
    l->next = l->filling = l->o.first;
    l->end = UINT64_MAX;
    if (l->o.order == QD_ORDER_LIST) {
        l->end = (l->set->n + (size_t)l->o.batch - 1) / (size_t)l->o.batch;
        l->next = l->filling = QD_MIN(l->o.first, l->end);
    }
    l->epoch = UINT64_MAX;
    if (l->o.order != QD_ORDER_EPOCHS)
        return 0;
    l->order = qd_alloc_raw(l->set->n, sizeof(*l->order), err);
    return l->order ? 0 : -1;
}

/* Signals are the business of the thread that runs the program.  Threads that cannot be had are not
 * missed: qd_loader_next does all the work if it must. */
static void start_threads(struct qd_loader *l)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (
        l->threads < l->o.threads && pthread_create(&l->thread[l->threads], NULL, producer, l) == 0)
        l->threads++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct qd_loader *qd_loader_new(
    struct qd_dataset *set, const struct qd_loader_opts *opts, struct qd_error *err)
{
    if (check(set, opts, err) < 0)
        return NULL;
    struct qd_loader *l = qd_alloc(1, sizeof(*l), err);
    if (!l)
        return NULL;
    l->set = set;
    l->o = *opts;
    l->o.group = opts->group ? opts->group : opts->batch;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->full, NULL);
    if (open_ring(l, err) < 0) {
        qd_loader_free(l);
        return NULL;
    }
    start_threads(l);
    return l;
}

static void close_slot(struct slot *s, int batch)
{
    for (int i = 0; s->batch.labels && i < batch; i++)
        qd_labels_free(&s->batch.labels[i]);
    qd_free(s->batch.labels);
    qd_free(s->batch.target);
    qd_free(s->batch.pixels);
    qd_free(s->sample);
}

void qd_loader_free(struct qd_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->mutex);
    for (int i = 0; i < l->threads; i++)
        pthread_join(l->thread[i], NULL);
    pthread_cond_destroy(&l->full);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->mutex);
    for (int i = 0; l->slot && i < l->slots; i++)
        close_slot(&l->slot[i], l->o.batch);
    qd_free(l->slot);
    qd_free(l->order);
    qd_free(l);
}

size_t qd_loader_memory(const struct qd_loader_opts *opts, int classes)
{
    size_t pixels, targets, slots = opts->threads ? (size_t)(opts->depth ? opts->depth : 2) + 1 : 1;

    if (floats(opts, classes, &pixels, &targets) < 0)
        return SIZE_MAX;
    return slots * sizeof(float) * (pixels + targets);
}
