/* SPDX-License-Identifier: MIT */
/*
 * What a net that learns promises beyond its gradients (t_grad.c): the same bytes for every number
 * of threads and however its memory is shared, images that do not depend on their batch, frozen
 * layers, statistics, masks, and no allocation in a pass.
 */
#include "net_rig.h"

#include "net/net.h"

/* Sums of some hundred products in another order, as a share of their root mean square. */
static const double ORDER = 2e-5;
/* Folded batch normalization rounds other numbers than the same one behind the sums. */
static const double FOLDED = 1e-4;
static const float MOMENTUM = .75f; /* that the rig gives */

static char **names;
static size_t nnames;

static bool has(const struct qd_graph *g, const char *section)
{
    for (int i = 0; i < g->nlayers; i++)
        if (strcmp(g->layer[i].type->section, section) == 0)
            return true;
    return false;
}

static bool has_statistics(const struct qd_graph *g)
{
    for (int i = 0; i < g->nlayers; i++)
        for (int k = 0; k < g->layer[i].nparams; k++)
            if (g->layer[i].param[k].flags & QD_PARAM_STAT)
                return true;
    return false;
}

/* The largest difference as a share of the root mean square. */
static double apart(const float *a, const float *b, size_t n)
{
    double worst = 0, unit = rig_rms(b, n) + 1e-30;

    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]) / (unit + fabs((double)b[i]));
        worst = d <= worst ? worst : d;
    }
    return worst;
}

static float *copy_of(const float *from, size_t n)
{
    float *to = qd_alloc(n, sizeof(float), NULL);

    if (!to)
        rig_die("out of memory");
    memcpy(to, from, n * sizeof(float));
    return to;
}

/* ---- batches and threads --------------------------------------------------------------------- */

static void batches(const char *name)
{
    struct rig_opts o = {.batch = 8, .seed = 1};
    struct rig all = rig_open(name, &o), one;
    const float *want = rig_gradients(&all), *got = NULL;
    size_t n = all.g->nparams;

    if (!has_statistics(all.g) && !has(all.g, "dropout") && !has(all.g, "crop")) {
        o.batch = 1;
        o.params = all.m->params;
        one = rig_open(name, &o);
        for (one.first = 0; one.first < 8; one.first++)
            got = rig_gradients(&one);
        double d = apart(got, want, n);
        OK(d <= ORDER, "%s: a batch of 8 is 8 batches of 1 (%.2g)", name, d);
        rig_close(&one);
    }
    rig_close(&all);
}

static void threads(const char *name)
{
    struct rig_opts o = {.batch = 3, .seed = 1};
    float *params = NULL, *first = NULL, *after = NULL;
    bool same = true;

    for (int t = 1; t <= 3; t++) {
        if (qd_threads_set(t, NULL) < 0)
            rig_die("threads");
        o.params = params;
        struct rig r = rig_open(name, &o);
        size_t bytes = r.g->nparams * sizeof(float);
        if (!params)
            params = copy_of(r.m->params, r.g->nparams);
        const float *grads = rig_gradients(&r);
        if (!first) {
            first = copy_of(grads, r.g->nparams);
            after = copy_of(r.m->params, r.g->nparams);
        }
        same = same && memcmp(first, grads, bytes) == 0 && memcmp(after, r.m->params, bytes) == 0;
        long count = qd_alloc_count();
        rig_gradients(&r);
        OK(qd_alloc_count() == count, "%s: no allocation in a pass, %d threads", name, t);
        rig_close(&r);
    }
    OK(same, "%s: gradients and statistics are the same for 1, 2 and 3 threads", name);
    qd_free(params);
    qd_free(first);
    qd_free(after);
    if (qd_threads_set(2, NULL) < 0)
        rig_die("threads");
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Values that die early and parameters that are packed in every pass change no byte. */
static void sharing(const char *name, bool branch, int frozen)
{
    struct rig_opts o = {.batch = 3, .seed = 1, .branch = branch, .frozen = frozen};
    struct rig kept = rig_open(name, &o);
    bool same = true;

    o.share = o.repack = true;
    o.params = kept.m->params;
    struct rig shared = rig_open(name, &o);
    size_t bytes = kept.g->nparams * sizeof(float);
    OK(qd_train_net_bytes(shared.t) <= qd_train_net_bytes(kept.t), "%s: no more memory", name);
    for (int pass = 0; pass < 3; pass++) {
        kept.seed = shared.seed = (uint64_t)pass + 1;
        same = same && memcmp(rig_gradients(&kept), rig_gradients(&shared), bytes) == 0;
        same = same && memcmp(kept.m->params, shared.m->params, bytes) == 0;
        double a = rig_loss(&kept), b = rig_loss(&shared);
        same = same && memcmp(&a, &b, sizeof(a)) == 0;
    }
    OK(same, "%s: the same bytes in less memory", name);
    rig_close(&kept);
    rig_close(&shared);
}

/* ---- frozen layers --------------------------------------------------------------------------- */

/* A net that is frozen as a whole gives what inference gives. */
static void frozen_whole(const char *name)
{
    struct rig_opts o = {.batch = 2, .seed = 1, .frozen = 1000};
    struct rig r = rig_open(name, &o);
    struct qd_net_opts opts = {.batch = 2};
    struct qd_net *net = qd_net_new(r.m, &opts, NULL);
    float *params = copy_of(r.m->params, r.g->nparams);
    double worst = 0;

    if (!net)
        rig_die("no net");
    const float *grads = rig_gradients(&r);
    for (int n = 0; n < 2; n++)
        rig_numbers(&r, -1, n, qd_net_tensor(net, -1), 1.5f);
    qd_net_forward(net);
    for (int i = 0; i < r.g->nlayers; i++) {
        const struct qd_tensor *a = qd_train_net_value(r.t, i), *b = qd_net_tensor(net, i);
        for (int n = 0; rig_is_output(&r, i) && n < 2; n++)
            for (int y = 0; y < a->h; y++)
                for (int x = 0; x < a->w; x++) {
                    double d = apart(qd_at(a, n, y, x), qd_at(b, n, y, x), (size_t)a->c);
                    worst = d <= worst ? worst : d;
                }
    }
    if (!has(r.g, "dropout") && !has(r.g, "crop"))
        OK(worst <= FOLDED, "%s: frozen, it gives what inference gives (%.2g)", name, worst);
    OK(memcmp(params, r.m->params, r.g->nparams * sizeof(float)) == 0 &&
            rig_rms(grads, r.g->nparams) == 0,
        "%s: frozen, it changes nothing", name);
    qd_free(params);
    qd_net_free(net);
    rig_close(&r);
}

/* Layers 0 and 1 frozen: they keep statistics and get no gradient, the others do. */
static void frozen_part(void)
{
    struct rig_opts o = {.batch = 2, .seed = 1, .frozen = 2};
    struct rig r = rig_open("conv-shared", &o);
    float *params = copy_of(r.m->params, r.g->nparams);

    OK(rig_rms(rig_gradients(&r), r.g->nparams) == 0 &&
            memcmp(params, r.m->params, r.g->nparams * sizeof(float)) == 0,
        "who shares the parameters of a frozen layer is frozen");
    qd_free(params);
    rig_close(&r);

    r = rig_open("connected", &o);
    params = copy_of(r.m->params, r.g->nparams);
    const struct qd_layer *last = &r.g->layer[2];
    size_t end = last->param[0].offset;
    const float *grads = rig_gradients(&r);
    OK(rig_rms(grads, end) == 0 && memcmp(params, r.m->params, end * sizeof(float)) == 0,
        "frozen layers get no gradient and keep their statistics");
    OK(rig_rms(grads + end, r.g->nparams - end) > 1e-3, "the layer behind them learns");
    OK(!qd_train_net_gradient(r.t, 1) && qd_train_net_gradient(r.t, 2),
        "no gradient goes into frozen layers");
    qd_free(params);
    rig_close(&r);
}

/* ---- statistics ------------------------------------------------------------------------------ */

static void statistics(void)
{
    struct rig_opts o = {.batch = 3, .seed = 1};
    struct rig r = rig_open("batchnorm", &o);
    const struct qd_layer *l = &r.g->layer[1];
    const float *mean = r.m->params + qd_layer_find_param(l, "rolling_mean")->offset;
    const float *var = r.m->params + qd_layer_find_param(l, "rolling_variance")->offset;
    float *before = copy_of(r.m->params, r.g->nparams);
    double worst = 0, count = 3. * l->ih * l->iw;

    rig_forward(&r);
    const struct qd_tensor *t = qd_train_net_value(r.t, 0);
    for (int c = 0; c < t->c; c++) {
        double s = 0, s2 = 0;
        for (int i = 0; i < (int)count; i++) {
            int n = i / (t->h * t->w), y = i / t->w % t->h, x = i % t->w;
            double v = (double)qd_at(t, n, y, x)[c];
            s += v;
            s2 += v * v;
        }
        double m = s / count, v = (s2 - s * m) / (count - 1), k = (double)MOMENTUM;
        double old_m = (double)before[mean - r.m->params + c];
        double old_v = (double)before[var - r.m->params + c];
        worst = fmax(worst, fabs((double)mean[c] - (k * old_m + (1 - k) * m)));
        worst = fmax(worst, fabs((double)var[c] - (k * old_v + (1 - k) * v)));
    }
    OK(worst < 1e-6, "running mean and unbiased variance move by 1 - momentum (%.2g)", worst);
    qd_free(before);
    rig_close(&r);
}

/* ---- weighted shortcuts ---------------------------------------------------------------------- */

/* The last layer, linear: the gradient of weight i is the sum of dy times source i. */
static void weighted(const char *name, bool per_channel)
{
    struct rig_opts o = {.batch = 2, .seed = 1};
    struct rig r = rig_open(name, &o);
    const struct qd_layer *l = &r.g->layer[r.g->nlayers - 1];
    const float *got = rig_gradients(&r) + l->param[0].offset;
    const struct qd_tensor *out = qd_train_net_value(r.t, l->index);
    float want[256] = {0};

    for (int n = 0; n < 2; n++) {
        struct qd_rng g = qd_rng_new(r.seed + (uint64_t)(l->index + 1), (uint64_t)n);
        for (int k = 0; k < out->h * out->w * out->c; k++) {
            int c = k % out->c, x = k / out->c % out->w, y = k / out->c / out->w;
            float dy = qd_rng_range(&g, -1, 1);
            for (int i = 0; i < l->nin; i++) {
                const struct qd_tensor *in = qd_train_net_value(r.t, l->in[i]);
                if (c < in->c)
                    want[per_channel ? i * l->c + c : i] += dy * qd_at(in, n, y, x)[c];
            }
        }
    }
    double d = apart(got, want, l->param[0].count);
    OK(d <= ORDER, "%s: gradients of the weights (%.2g)", name, d);
    rig_close(&r);
}

/* ---- masks ----------------------------------------------------------------------------------- */

static size_t zeros(const struct qd_tensor *t)
{
    size_t n = 0;

    for (int i = 0; i < t->n * t->h * t->w; i++)
        for (int c = 0; c < t->c; c++)
            n += qd_at(t, i / (t->h * t->w), i / t->w % t->h, i % t->w)[c] == 0;
    return n;
}

static void dropout(void)
{
    struct rig_opts o = {.batch = 40, .seed = 1};
    struct rig r = rig_open("dropout", &o);
    const struct qd_tensor *t = qd_train_net_value(r.t, 1);
    double all = (double)t->n * t->h * t->w * t->c;
    size_t dropped;
    float kept = 0;

    rig_forward(&r);
    dropped = zeros(t);
    NEAR((double)dropped / all, .4, .03, 0, "dropout zeroes its share");
    for (int n = 0; n < t->n; n++)
        kept = QD_MAX(kept, qd_at(t, n, 0, 0)[0]);
    rig_gradients(&r);
    OK(zeros(t) == 0, "backward puts the values back");
    qd_train_net_forward(r.t, RIG_MASKS);
    size_t again = zeros(t);
    qd_train_net_forward(r.t, RIG_MASKS + 1);
    bool other = zeros(t) != again;
    OK(again == dropped && other, "the mask comes from the seed");
    OK(kept > 1, "what stays is scaled up");
    rig_close(&r);
}

/* Whether a zero lies in a 2x2 block of zeros. */
static bool in_block(const struct qd_tensor *t, int n, int y, int x, int c)
{
    for (int i = 0; i < 4; i++) {
        int y0 = y - i / 2, x0 = x - i % 2;
        if (y0 >= 0 && x0 >= 0 && y0 + 1 < t->h && x0 + 1 < t->w && qd_at(t, n, y0, x0)[c] == 0 &&
            qd_at(t, n, y0 + 1, x0)[c] == 0 && qd_at(t, n, y0, x0 + 1)[c] == 0 &&
            qd_at(t, n, y0 + 1, x0 + 1)[c] == 0)
            return true;
    }
    return false;
}

static void dropblock(void)
{
    struct rig_opts o = {.batch = 40, .seed = 1};
    struct rig r = rig_open("dropout-block", &o);
    const struct qd_tensor *t = qd_train_net_value(r.t, 1);
    double all = (double)t->n * t->h * t->w * t->c;
    bool blocks = true;

    rig_forward(&r);
    for (int n = 0; n < t->n; n++)
        for (int i = 0; i < t->h * t->w * t->c; i++) {
            int c = i % t->c, x = i / t->c % t->w, y = i / t->c / t->w;
            blocks = blocks && (qd_at(t, n, y, x)[c] != 0 || in_block(t, n, y, x, c));
        }
    OK(blocks, "dropblock zeroes blocks");
    /* blocks overlap: 1 - (1 - g)^4 of the inner cells with g = .3 / 4 * 30 / 20 */
    NEAR((double)zeros(t) / all, .27, .06, 0, "about its share");
    rig_close(&r);
}

/* ---- what cannot be -------------------------------------------------------------------------- */

#define HEAD "[net]\nwidth=4\nheight=4\nchannels=3\n[convolutional]\nfilters=6\nactivation=linear\n"

static void refused(const char *text, int loss, const char *want)
{
    struct qd_error err = {0};
    struct qd_train_net_opts o = {.batch = 1};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    struct qd_train_net *t = m ? qd_train_net_new(m, &o, &err) : NULL;

    if (!t)
        rig_die(err.msg);
    OK(qd_train_net_loss_at(t, loss, &err) < 0 || qd_train_net_ready(t, &err) < 0, "refused");
    IS_STR(err.msg, want, "the message");
    qd_train_net_free(t);
    qd_model_free(m);
}

int main(void)
{
    names = rig_cfgs(&nnames);
    for (size_t i = 0; i < nnames; i++) {
        batches(names[i]);
        threads(names[i]);
        frozen_whole(names[i]);
        sharing(names[i], false, 0);
        sharing(names[i], true, 1);
    }
    frozen_part();
    statistics();
    weighted("shortcut-feature", false);
    weighted("shortcut-channel", true);
    dropout();
    dropblock();
    refused(HEAD "[yolo]\nclasses=1\n[route]\nlayers=0,-1\n[avgpool]\n", 1,
        "t.cfg:8: [yolo] cannot have a loss: its input is also read by another layer");
    refused(HEAD "[avgpool]\n", 2, "no layer 2");
    return tap_done();
}
