/* SPDX-License-Identifier: MIT */
/*
 * How a run goes, read from [net] and the last head of the cfg and from the options: everything
 * that is decided once, before anything is built.
 */
#include <math.h>

#include "base/error.h"
#include "base/log.h"
#include "train/train.h"

static bool has_key(const struct qd_cfg_key *table, const char *name)
{
    while (table && table->name && strcmp(table->name, name) != 0)
        table++;
    return table && table->name;
}

/* The last layer with a loss, or NULL. */
static const struct qd_layer *last_head(const struct qd_model *m)
{
    for (int i = m->graph->nlayers - 1; i >= 0; i--)
        if (qd_loss_wanted(&m->graph->layer[i]))
            return &m->graph->layer[i];
    return NULL;
}

bool qd_recipe_classifier(const struct qd_model *m)
{
    const struct qd_layer *l = last_head(m);

    return l && !l->type->head;
}

/* ---- augmentation ---------------------------------------------------------------------------- */

static enum qd_mix mix(struct qd_keys *k)
{
    static const enum qd_mix by_number[] = {
        QD_MIX_NONE, QD_MIX_MIXUP, QD_MIX_CUTMIX, QD_MIX_MOSAIC, QD_MIX_BOTH};
    bool cutmix = qd_key_int(k, "cutmix") != 0, mosaic = qd_key_int(k, "mosaic") != 0;

    if (cutmix || mosaic)
        return cutmix && mosaic ? QD_MIX_BOTH : cutmix ? QD_MIX_CUTMIX : QD_MIX_MOSAIC;
    return by_number[qd_key_int(k, "mixup")];
}

static void read_net_augment(struct qd_augment_opts *a, struct qd_keys *k)
{
    a->letter_box = qd_key_int(k, "letter_box") != 0;
    a->flip = qd_key_int(k, "flip") != 0;
    a->mix = mix(k);
    a->hue = fminf(qd_key_float(k, "hue"), .5f);
    a->saturation = qd_key_float(k, "saturation");
    a->exposure = qd_key_float(k, "exposure");
    a->mosaic_bound = qd_key_int(k, "mosaic_bound") != 0;
    a->blur = qd_key_int(k, "blur");
    a->noise = QD_MIN(qd_key_int(k, "gaussian_noise"), 127); /* more is no more in darknet */
    a->angle = fabsf(qd_key_float(k, "angle"));
    a->aspect = qd_key_float(k, "aspect");
    a->min_crop = qd_key_given(k, "min_crop") ? qd_key_int(k, "min_crop") : 0;
    a->max_crop = qd_key_given(k, "max_crop") ? qd_key_int(k, "max_crop") : 0;
    a->label_smooth = qd_key_float(k, "label_smooth_eps");
}

static int read_augment(struct qd_recipe *r, const struct qd_model *m,
    const struct qd_train_opts *o, const struct qd_layer *head, struct qd_error *err)
{
    struct qd_keys k = qd_keys_open(m->cfg, 0, qd_net_keys, NULL, err);
    struct qd_keys h =
        qd_keys_open(m->cfg, head->index + 1, head->type->keys, qd_layer_common_keys, err);
    struct qd_augment_opts *a = &r->augment;

    *a = (struct qd_augment_opts)QD_AUGMENT_OPTS_INIT;
    a->kind = r->classifier ? QD_AUGMENT_CLASSIFY : QD_AUGMENT_DARKNET;
    read_net_augment(a, &k);
    if (has_key(head->type->keys, "jitter"))
        a->jitter = qd_key_float(&h, "jitter");
    if (has_key(head->type->keys, "resize"))
        a->resize = qd_key_float(&h, "resize");
    if (has_key(head->type->keys, "max"))
        a->max_boxes = qd_key_int(&h, "max");
    if (o->augmentation == QD_AUGMENTATION_NONE) {
        a->kind = r->classifier ? QD_AUGMENT_CENTRE : QD_AUGMENT_NONE;
        a->mix = QD_MIX_NONE;
    } else if (o->augmentation == QD_AUGMENTATION_ULTRALYTICS) {
        if (r->classifier)
            return qd_error_set(
                err, QD_EARG, "the ultralytics augmentation is for detectors, not classifiers");
        a->kind = QD_AUGMENT_ULTRALYTICS;
        a->mix = QD_MIX_MOSAIC;
        a->mix_prob = 1;
        a->hsv_h = .0138f; /* compression.md 5.3 */
        a->hsv_s = .678f;
        a->hsv_v = .36f;
    }
    r->scale.factor = o->multi_scale;
    if (o->multi_scale < 0)
        r->scale.factor = has_key(head->type->keys, "random") ? qd_key_float(&h, "random") : 0;
    if (k.failed || h.failed)
        return -1;
    return qd_augment_check(a, err);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static int scaled(const struct qd_scale *s, int side, float r)
{
    int to = (int)lroundf(r * (float)side / (float)s->step + 1) * s->step;

    if (r < 1 && to > side)
        to = side;
    return QD_MAX(to, s->step);
}

void qd_scale_largest(const struct qd_scale *s, int *w, int *h)
{
    *w = s->factor > 0 ? QD_MAX(scaled(s, s->w, s->factor), s->w) : s->w;
    *h = s->factor > 0 ? QD_MAX(scaled(s, s->h, s->factor), s->h) : s->h;
}

void qd_scale_size(void *ctx, uint64_t iteration, int *w, int *h)
{
    const struct qd_scale *s = ctx;
    struct qd_rng r = qd_rng_new(s->seed, (uint64_t)6 << 60 | iteration / 10);
    bool end = s->iterations > 200 && iteration + 100 >= s->iterations;
    float by = end || iteration < 10 ? s->factor : qd_augment_rand_scale(&r, s->factor);

    qd_scale_largest(s, w, h);
    if (s->factor > 0) {
        *w = QD_MIN(*w, scaled(s, s->w, by));
        *h = QD_MIN(*h, scaled(s, s->h, by));
    }
}

static int read_scale(struct qd_recipe *r, const struct qd_model *m, const struct qd_train_opts *o,
    struct qd_keys *k, struct qd_error *err)
{
    struct qd_scale *s = &r->scale;

    if (s->factor == 1)
        s->factor = 1.4f; /* darknet's random=1 */
    if (s->factor > 0 && s->factor < 1)
        s->factor = 1 / s->factor;
    s->w = m->graph->w;
    s->h = m->graph->h;
    s->step = qd_key_int(k, "resize_step");
    s->seed = o->seed;
    s->iterations = r->iterations;
    if (s->factor > 4)
        return qd_error_set(err, QD_EARG, "input sizes cannot change by a factor of %g, at most 4",
            (double)s->factor);
    if (s->factor > 0 && r->classifier)
        return qd_error_set(
            err, QD_EUNSUP, "random input sizes are for detectors, not classifiers");
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int count_iterations(struct qd_recipe *r, const struct qd_train_opts *o, size_t images,
    struct qd_keys *k, struct qd_error *err)
{
    r->iterations = (uint64_t)qd_key_int(k, "max_batches");
    if (o->epochs > 0)
        r->iterations =
            ((uint64_t)images * (uint64_t)o->epochs + (uint64_t)r->batch - 1) / (uint64_t)r->batch;
    if (k->failed)
        return -1;
    if (r->iterations == 0)
        return qd_error_set(err, QD_EARG,
            "how long to train is not said: neither a number of epochs nor max_batches in '%s'",
            qd_cfg_name(k->cfg));
    return 0;
}

static void choose_optimizer(struct qd_optim_opts *to, enum qd_optimizer o)
{
    static const enum qd_optim_kind kind[] = {[QD_OPTIMIZER_SGD] = QD_OPTIM_SGD,
        [QD_OPTIMIZER_NESTEROV] = QD_OPTIM_NESTEROV,
        [QD_OPTIMIZER_ADAM] = QD_OPTIM_ADAM,
        [QD_OPTIMIZER_ADAMW] = QD_OPTIM_ADAMW};

    if (o != QD_OPTIMIZER_CFG)
        to->kind = kind[o];
}

/* The warm-up of the ultralytics programs goes with their loss and SGD (spec compression.md 5.4):
 * three epochs, at least 500 iterations, where the cfg does not say. */
static void choose_warmup(
    struct qd_recipe *r, const struct qd_train_opts *o, size_t images, struct qd_keys *k)
{
    r->warm = o->loss && strcmp(o->loss, "ultralytics") == 0 &&
              (r->optim.kind == QD_OPTIM_SGD || r->optim.kind == QD_OPTIM_NESTEROV);
    if (!r->warm)
        return;
    r->schedule.straight = true;
    if (!qd_key_given(k, "burn_in")) {
        size_t epochs3 = 3 * ((images + (size_t)r->batch - 1) / (size_t)r->batch);
        r->schedule.burn_in = r->optim.burn_in = (int)QD_MIN(QD_MAX(epochs3, 500), 1000000000);
    }
}

bool qd_recipe_warmup(const struct qd_recipe *r, uint64_t n, struct qd_warmup *w)
{
    const double bias_lr = .1, momentum = .9;
    double part = qd_schedule_burnt(&r->schedule, n);

    if (!r->warm || part >= 1)
        return false;
    *w = (struct qd_warmup){
        .bias_lr = bias_lr + part * (qd_schedule_rate(&r->schedule, n) / part - bias_lr),
        .momentum = (float)(momentum + part * ((double)r->optim.momentum - momentum)),
        .decay = (float)part * r->optim.decay};
    return true;
}

/* Keys that darknet follows in training and this does not; said once, when a run begins. */
void qd_recipe_warn(const struct qd_model *m)
{
    static const struct {
        const char *key, *off;
        bool detectors; /* follow it */
    } list[] = {{"dynamic_minibatch", "0", false}, {"blur", "0", true},
        {"gaussian_noise", "0", true}, {"time_steps", "1", false}, {"center", "0", false},
        {"max_ratio", "0", false}, {"min_ratio", "0", false}};
    bool detector = !qd_recipe_classifier(m);

    for (size_t i = 0; i < QD_LEN(list); i++) {
        const char *value = qd_cfg_get(m->cfg, 0, list[i].key);
        if (value && strcmp(value, list[i].off) != 0 && !(list[i].detectors && detector))
            qd_warn("%s: '%s=%s' is not followed in training%s", qd_cfg_name(m->cfg), list[i].key,
                value, list[i].detectors ? " of classifiers" : "");
    }
}

int qd_recipe_read(struct qd_recipe *r, const struct qd_model *m, const struct qd_train_opts *o,
    size_t images, struct qd_error *err)
{
    struct qd_keys k = qd_keys_open(m->cfg, 0, qd_net_keys, NULL, err);
    const struct qd_layer *head = last_head(m);
    const char *name = qd_cfg_name(m->cfg);

    *r = (struct qd_recipe){0};
    if (!head)
        return qd_error_set(err, QD_EUNSUP,
            "%s: nothing to learn: no detection head, and no [softmax] or [logistic] at the end",
            name);
    r->classifier = !head->type->head;
    r->classes = r->classifier ? head->c : qd_model_classes(m);
    if (r->classifier && (head->h != 1 || head->w != 1))
        return qd_error_set(err, QD_EUNSUP,
            "%s: a classifier ends in one pixel, not %dx%d: segmentation is not supported", name,
            head->w, head->h);
    r->batch = qd_key_int(&k, "batch");
    r->subdivisions = qd_key_int(&k, "subdivisions");
    if (!k.failed && r->batch % r->subdivisions)
        return qd_key_fault(&k, QD_EFORMAT, "subdivisions",
            "a batch of %d cannot be cut into %d equal parts", r->batch, r->subdivisions);
    if (count_iterations(r, o, images, &k, err) < 0 || qd_optim_read(&r->optim, m->cfg, err) < 0 ||
        qd_schedule_read(&r->schedule, m->cfg, r->iterations, o->seed, err) < 0 ||
        read_augment(r, m, o, head, err) < 0 || read_scale(r, m, o, &k, err) < 0)
        return -1;
    choose_optimizer(&r->optim, o->optimizer);
    choose_warmup(r, o, images, &k);
    r->bn_momentum = o->bn_momentum > 0 ? o->bn_momentum : r->iterations < 1000 ? .9f : .99f;
    r->ema_alpha = qd_key_float(&k, "ema_alpha");
    return k.failed ? -1 : 0;
}

/* A number that tells two texts apart (FNV-1a). */
static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return h;
}

char *qd_recipe_text(const struct qd_train *t, struct qd_error *err)
{
    const struct qd_train_opts *o = &t->o;
    struct qd_cfg *cfg = qd_cfg_copy(t->m->cfg, err);
    struct qd_buf text = {0}, b = {0};

    /* a run may be made longer */
    if (!cfg || qd_cfg_set(cfg, 0, "max_batches", "0", err) < 0) {
        qd_cfg_free(cfg);
        return NULL;
    }
    qd_cfg_print(cfg, &text);
    qd_cfg_free(cfg);
    qd_buf_printf(&b, "cfg=%016llx\n", (unsigned long long)hash(text.data, text.len));
    qd_buf_printf(&b, "images=%zu\nbatch=%d\nsubdivisions=%d\n", t->sets.train->n, t->r.batch,
        t->r.subdivisions);
    qd_buf_printf(&b, "seed=%llu\nreplacement=%d\nloss=%s\n", (unsigned long long)o->seed,
        (int)o->replacement, o->loss ? o->loss : "default");
    qd_buf_printf(
        &b, "optimizer=%d\naugmentation=%d\n", (int)t->r.optim.kind, (int)t->r.augment.kind);
    qd_buf_printf(&b, "ema=%.9g\nbn_momentum=%.9g\nmulti_scale=%.9g\nrules=%d\n", (double)o->ema,
        (double)o->bn_momentum, (double)t->r.scale.factor, (int)o->rules);
    if (t->r.warm)
        qd_buf_printf(&b, "warmup=%d\n", t->r.schedule.burn_in);
    if (t->sparsity)
        qd_sparsity_text(t->sparsity, &b);
    int ret = text.failed ? qd_buf_ok(&text, err) : qd_buf_ok(&b, err);
    qd_buf_free(&text);
    if (ret < 0)
        qd_buf_free(&b);
    return ret < 0 ? NULL : b.data;
}
