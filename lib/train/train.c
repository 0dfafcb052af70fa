/* SPDX-License-Identifier: MIT */
/*
 * The loop of training: a batch, its parts forward and backward, one update, and now and then a
 * score and files.  All chance is a function of the seed and the number of the iteration, so that a
 * run can be taken up at any of them.
 */
#include "train/train.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int part(const struct qd_train *t)
{
    return t->r.batch / t->r.subdivisions;
}

/* ---- the net --------------------------------------------------------------------------------- */

/* Plan for inputs of w x h and for what is frozen in iteration n, if that is not there already. */
static int plan(struct qd_train *t, int w, int h, uint64_t n, struct qd_error *err)
{
    int frozen = qd_optim_frozen(t->optim, n);
    const struct qd_learner_opts opts = {.net = {.batch = part(t),
                                             .w = w,
                                             .h = h,
                                             .frozen = frozen,
                                             .bn_momentum = t->r.bn_momentum,
                                             .repack = t->r.subdivisions == 1},
        .loss = t->o.loss};

    if (t->learner.net && t->w == w && t->h == h && t->frozen == frozen)
        return 0;
    if (qd_learner_make(&t->learner, t->m, &opts, err) < 0)
        return -1;
    t->w = w;
    t->h = h;
    t->frozen = frozen;
    return 0;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static int copy_opts(struct qd_train *t, const struct qd_train_opts *opts, struct qd_error *err)
{
    t->o = *opts;
    if (!opts->data || !opts->prefix)
        return qd_error_set(err, QD_EARG, "a run needs a data set and a prefix for its files");
    if (opts->state_every < 0 || opts->epochs < 0 || opts->ema < 0 || opts->ema >= 1 ||
        opts->bn_momentum < 0 || opts->bn_momentum >= 1)
        return qd_error_set(err, QD_EARG, "an option of the run is out of range");
    t->o.data = qd_arena_strdup(&t->arena, opts->data, err);
    t->o.prefix = qd_arena_strdup(&t->arena, opts->prefix, err);
    if (opts->loss && !(t->o.loss = qd_arena_strdup(&t->arena, opts->loss, err)))
        return -1;
    return t->o.data && t->o.prefix ? 0 : -1;
}

static int open_sets(struct qd_train *t, struct qd_error *err)
{
    struct qd_data *data = qd_data_load(t->o.data, err);
    struct qd_preflight_opts opts = {.data = t->o.data,
        .classes = t->r.classes,
        .classifier = t->r.classifier,
        .train = true,
        .bad = t->o.bad};

    if (!data)
        return -1;
    opts.valid = t->o.eval_every != 0 && qd_data_get(data, "valid") != NULL;
    qd_data_free(data);
    if (qd_sets_open(&opts, &t->sets, err) < 0)
        return -1;
    qd_dataset_log(t->sets.train);
    return 0;
}

static struct qd_loader_opts loader_opts(struct qd_train *t)
{
    int workers = t->o.workers < 0 ? (qd_threads() + 1) / 2 : t->o.workers;
    struct qd_loader_opts o = {.batch = part(t),
        .group = t->r.batch,
        .c = t->m->graph->c,
        .size = qd_scale_size,
        .size_ctx = &t->r.scale,
        .threads = QD_MIN(workers, 64),
        .seed = t->o.seed,
        .first = t->n * (uint64_t)t->r.subdivisions,
        .order = t->o.replacement ? QD_ORDER_REPLACEMENT : QD_ORDER_EPOCHS,
        .augment = t->r.augment};

    qd_scale_largest(&t->r.scale, &o.w, &o.h);
    return o;
}

static int make_sparsity(struct qd_train *t, struct qd_error *err)
{
    const struct qd_sparsity_run run = {
        t->r.iterations, t->sets.train->n, t->r.batch, t->r.subdivisions};

    if (t->o.sparsity.nlayers == 0)
        return 0;
    t->sparsity = qd_sparsity_new(t->m, &t->o.sparsity, &run, err);
    t->o.sparsity.layers = NULL;
    return t->sparsity ? 0 : -1;
}

/* The largest net is built first: memory never grows afterwards, and what it takes is known. */
static int build(struct qd_train *t, struct qd_error *err)
{
    struct qd_loader_opts lo = loader_opts(t);
    struct qd_image_opts decode = qd_augment_decode(&t->r.augment, lo.w, lo.h, lo.c);
    struct qd_image_opts whole = {.channels = lo.c};
    size_t floats = t->m->graph->nparams, blocks = 1, net = 0;
    double value = 0;

    if (lo.c != 1 && lo.c != 3)
        return qd_error_set(
            err, QD_EUNSUP, "the net has %d input channels, an image gives 1 or 3", lo.c);
    if (t->sets.valid == t->sets.train)
        decode = whole;
    if (qd_dataset_decode(t->sets.train, &decode, t->o.cache, err) < 0 ||
        (t->sets.valid && t->sets.valid != t->sets.train &&
            qd_dataset_decode(t->sets.valid, &whole, 0, err) < 0))
        return -1;
    if (!(t->optim = qd_optim_new(t->m, &t->r.optim, err)) ||
        plan(t, lo.w, lo.h, UINT64_MAX, err) < 0 || make_sparsity(t, err) < 0)
        return -1;
    while (qd_optim_state(t->optim, (int)blocks - 1))
        blocks++;
    if (t->o.ema > 0 || t->r.ema_alpha > 0) {
        if (!(t->ema = qd_alloc(floats, sizeof(float), err)))
            return -1;
        blocks++;
    }
    /* scores are computed on two images now: what fails must not fail after hours */
    if (t->sets.valid && qd_score_run(t, 2, &value, &net, err) < 0)
        return -1;
    t->memory = qd_train_net_bytes(t->learner.net) + floats * blocks * sizeof(float) + net +
                qd_loader_memory(&lo, t->sets.classes) + t->o.cache;
    return 0;
}

static int check_memory(const struct qd_train *t, struct qd_error *err)
{
    size_t have = qd_memory();

    if (!have || t->memory <= have)
        return 0;
    return qd_error_set(err, QD_ENOMEM,
        "the run needs %.1f GB of memory, there are %.1f: take more subdivisions than %d, "
        "or "
        "a smaller input",
        (double)t->memory / 1e9, (double)have / 1e9, t->r.subdivisions);
}

static int start(struct qd_train *t, struct qd_error *err)
{
    struct qd_recipe *r = &t->r;

    /* the number of iterations depends on the set, the set on the kind of net */
    if (qd_recipe_read(r, t->m, &t->o, 1, err) < 0 || open_sets(t, err) < 0 ||
        qd_files_cadence(t, err) < 0 || qd_recipe_read(r, t->m, &t->o, t->sets.train->n, err) < 0 ||
        build(t, err) < 0 || check_memory(t, err) < 0 || !(t->recipe = qd_recipe_text(t, err)) ||
        qd_files_begin(t, err) < 0)
        return -1;
    qd_recipe_warn(t->m);
    qd_train_net_updated(t->learner.net);
    struct qd_loader_opts lo = loader_opts(t); /* from where the state says */
    t->loader = qd_loader_new(t->sets.train, &lo, err);
    if (!t->loader)
        return -1;
    t->clock = now();
    return 0;
}

struct qd_train *qd_train_new(
    struct qd_model *m, const struct qd_train_opts *opts, struct qd_error *err)
{
    struct qd_error local = {0};
    struct qd_train *t = qd_alloc(1, sizeof(*t), err);

    if (!t)
        return NULL;
    t->m = m;
    t->log = t->gammas = -1;
    t->best = -1;
    t->least = HUGE_VAL;
    m->seen = 0;
    if (copy_opts(t, opts, err ? err : &local) < 0 || start(t, err ? err : &local) < 0) {
        qd_train_free(t);
        return NULL;
    }
    return t;
}

void qd_train_free(struct qd_train *t)
{
    if (!t)
        return;
    qd_loader_free(t->loader);
    qd_learner_drop(&t->learner);
    qd_optim_free(t->optim);
    qd_sparsity_free(t->sparsity);
    qd_sets_close(&t->sets);
    qd_free(t->ema);
    qd_free(t->recipe);
    if (t->log >= 0)
        close(t->log);
    if (t->gammas >= 0)
        close(t->gammas);
    qd_arena_free(&t->arena);
    qd_free(t);
}

bool qd_train_sparsity(struct qd_train *t, struct qd_sparsity_stats *stats)
{
    if (!t->sparsity)
        return false;
    if (!t->spread.iteration)
        qd_sparsity_stats(t->sparsity, t->m->params, &t->spread);
    *stats = t->spread;
    return true;
}

static uint64_t eval_every(const struct qd_train *t)
{
    if (!t->sets.valid || t->o.eval_every == 0)
        return 0;
    if (t->o.eval_every > 0)
        return (uint64_t)t->o.eval_every;
    return QD_MAX((uint64_t)100, 4 * (uint64_t)t->sets.train->n / (uint64_t)t->r.batch);
}

void qd_train_info(const struct qd_train *t, struct qd_train_info *info)
{
    *info = (struct qd_train_info){.images = t->sets.train->n,
        .valid = t->sets.valid ? t->sets.valid->n : 0,
        .iterations = t->r.iterations,
        .resumed = t->resumed,
        .memory = t->memory,
        .physical = qd_memory(),
        .eval_every = eval_every(t)};
}

/* ---- one part of a batch -----------------------------------------------------------------------
 */

static bool finite_row(const struct qd_tensor *v, int n, int y)
{
    for (int x = 0; x < v->w; x++)
        for (int c = 0; c < v->c; c++)
            if (!isfinite(qd_at(v, n, y, x)[c]))
                return false;
    return true;
}

static bool finite_tensor(const struct qd_tensor *v)
{
    for (int i = 0; i < v->n * v->h; i++)
        if (!finite_row(v, i / v->h, i % v->h))
            return false;
    return true;
}

/* NaN: name the first layer where it shows, in parameters, outputs, or gradients; 'passed':
 * backward has used the memory of the outputs. */
static int diverged(struct qd_train *t, bool passed, struct qd_error *err)
{
    const struct qd_graph *g = qd_train_net_graph(t->learner.net);
    const char *what = "parameters";
    int at = qd_block_blame(g, t->m->params, false);

    for (int i = 0; at < 0 && !passed && i < g->nlayers; i++)
        if (qd_train_net_holds(t->learner.net, i) &&
            !finite_tensor(qd_train_net_value(t->learner.net, i))) {
            at = i;
            what = "outputs";
        }
    if (at < 0) {
        at = qd_block_blame(g, qd_train_net_grads(t->learner.net), true);
        what = "gradients";
    }
    if (err)
        *err = (struct qd_error){0};
    return qd_error_set(err, QD_EDIVERGED,
        "iteration %llu: the loss diverged: %s of layer %d [%s] are not finite; the last good "
        "files "
        "are kept; try a lower learning rate",
        (unsigned long long)t->n + 1, what, at, at < 0 ? "?" : g->layer[at].type->section);
}

static int run_part(struct qd_train *t, const struct qd_batch *b, struct qd_error *err)
{
    uint64_t seen = (t->n + 1) * (uint64_t)t->r.batch;
    uint64_t seed = t->o.seed ^ (b->number + 1) * 0xd1342543de82ef95u;
    double burnt = t->r.warm ? qd_schedule_burnt(&t->r.schedule, t->n + 1) : 1;
    const struct qd_learner_truth truth = {b->labels, b->target, seen, (float)(1 - burnt)};

    qd_learner_input(&t->learner, b->pixels);
    if (qd_learner_pass(&t->learner, &truth, seed, err) == 0)
        return 0;
    return err->code == QD_EDIVERGED ? diverged(t, false, err) : -1;
}

/* All parts of a batch; *epoch gets where the batch began. */
static int run_batch(struct qd_train *t, double *epoch, struct qd_error *err)
{
    for (int s = 0; s < t->r.subdivisions; s++) {
        const struct qd_batch *b;
        if (qd_loader_next(t->loader, &b, err) < 0)
            return -1;
        QD_ASSERT(b->n == part(t) && b->iteration == t->n);
        if (s == 0) {
            *epoch = b->epoch;
            if (plan(t, b->w, b->h, t->n + 1, err) < 0)
                return -1;
            for (int i = 0; i < t->learner.nheads; i++)
                t->learner.head[i].parts = (struct qd_loss_parts){0};
        }
        if (run_part(t, b, err) < 0)
            return -1;
        qd_loader_done(t->loader);
    }
    return 0;
}

/* ---- an iteration ---------------------------------------------------------------------------- */

/* Averages: ours rises from the first update; darknet's begins at half of the run and takes the
 * place of the parameters 1000 iterations before its end (spec darknet.md 5.4). */
static void average(struct qd_train *t)
{
    uint64_t begin = t->r.iterations / 2;
    uint64_t end = t->r.iterations > 1000 ? t->r.iterations - 1000 : 0;
    size_t bytes = t->m->graph->nparams * sizeof(float);

    if (!t->ema || t->ema_done)
        return;
    if (t->o.ema > 0) {
        double d = t->ema_updates ? qd_ema_decay((double)t->o.ema, t->ema_updates) : 0;
        qd_ema_update(t->ema, t->m->params, t->m->graph, d, true);
        t->ema_updates++;
        return;
    }
    if (t->n < begin || end <= begin)
        return;
    qd_ema_update(
        t->ema, t->m->params, t->m->graph, t->ema_updates ? (double)t->r.ema_alpha : 0, false);
    t->ema_updates++;
    if (t->n < end)
        return;
    memcpy(t->m->params, t->ema, bytes);
    qd_train_net_updated(t->learner.net);
    t->ema_done = true;
}

static void fill_row(struct qd_train *t, struct qd_train_row *row, const struct qd_update *u)
{
    double by = 1. / ((double)t->learner.nheads * t->r.batch);

    for (int i = 0; i < t->learner.nheads; i++) {
        row->loss += t->learner.head[i].parts.cost * by;
        row->box += t->learner.head[i].parts.box * by;
        row->obj += t->learner.head[i].parts.obj * by;
        row->cls += t->learner.head[i].parts.cls * by;
    }
    t->avg = t->n == 1 ? row->loss : .9 * t->avg + .1 * row->loss;
    row->avg = t->avg;
    row->iteration = t->n;
    row->images = t->n * (uint64_t)t->r.batch;
    row->lr = u->lr;
    row->norm = u->norm;
    double end = now();
    row->images_per_s = end > t->clock ? t->r.batch / (end - t->clock) : 0;
}

/* The score, if one is due; a stopped evaluation stays due. */
static int evaluate(struct qd_train *t, double *value, struct qd_error *err)
{
    uint64_t every = eval_every(t);

    if (every && t->n > 0)
        t->due = t->due || t->n == t->r.iterations ||
                 (t->n % every == 0 && t->n > (uint64_t)t->r.schedule.burn_in);
    if (!every)
        t->due = false;
    if (!t->due)
        return 0;
    int ret = qd_score_run(t, 0, value, NULL, err);
    if (ret != 0)
        *value = -1;
    if (ret == 0)
        t->due = false;
    return ret < 0 ? -1 : 0;
}

/* An evaluation that was stopped when the run was: its score counts, its log line is written. */
static int catch_up(struct qd_train *t, struct qd_train_row *row, struct qd_error *err)
{
    row->score = -1;
    if (!t->due)
        return 0;
    if (evaluate(t, &row->score, err) < 0)
        return -1;
    if (row->score > t->best) {
        t->best = row->score;
        if (qd_files_weights(t, "_best.weights", true, err) < 0)
            qd_files_warn(t, err);
    }
    return 0;
}

static int step(struct qd_train *t, struct qd_train_row *row, struct qd_error *err)
{
    *row = (struct qd_train_row){.score = -1};
    if (catch_up(t, row, err) < 0)
        return -1;
    if (t->n >= t->r.iterations)
        return 0;
    double caught = row->score;
    if (run_batch(t, &row->epoch, err) < 0)
        return -1;
    struct qd_update u = {
        .n = t->n + 1, .lr = qd_schedule_rate(&t->r.schedule, t->n + 1), .images = t->r.batch};
    float *grads = qd_train_net_grads(t->learner.net);
    struct qd_warmup warm;
    if (qd_recipe_warmup(&t->r, u.n, &warm))
        u.warm = &warm;
    if (t->sparsity) {
        qd_sparsity_begin(t->sparsity, t->m->params, u.n);
        qd_sparsity_term(t->sparsity, t->m->params, grads);
    }
    u.norm = qd_optim_norm(t->optim, grads, u.n, u.images);
    if (!isfinite(u.norm))
        return diverged(t, true, err);
    qd_optim_step(t->optim, t->m->params, grads, &u);
    if (t->sparsity)
        qd_sparsity_shrink(t->sparsity, t->m->params, t->optim, &u);
    qd_train_net_updated(t->learner.net);
    t->n++;
    average(t);
    fill_row(t, row, &u);
    if (evaluate(t, &row->score, err) < 0)
        return -1;
    if (row->score < 0)
        row->score = caught;
    if (qd_files_iteration(t, row, err) < 0)
        return -1;
    t->clock = now();
    return 1;
}

int qd_train_step(struct qd_train *t, struct qd_train_row *row, struct qd_error *err)
{
    struct qd_error local = {0};

    return step(t, row, err ? err : &local);
}

int qd_train_save(struct qd_train *t, struct qd_error *err)
{
    return qd_files_save(t, err);
}

int qd_train_finish(struct qd_train *t, struct qd_error *err)
{
    struct qd_loader_stats s;

    qd_loader_stats(t->loader, &s);
    if (s.elapsed > 0)
        qd_log(QD_LOG_NOTE, "waited for images in %.1f %% of the time", 100 * s.waited / s.elapsed);
    if (qd_files_save(t, err) < 0)
        return -1;
    return qd_files_weights(t, ".weights", true, err);
}
