/* SPDX-License-Identifier: MIT */
/*
 * The search for the best cut: candidates meet the budget and keep the heaviest filters, runs come
 * to the same end however they are cut, files of other searches are refused.
 */
#include "tap.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "prune/rewrite.h"
#include "prune/search.h"

static char data[600], folder[512];

static struct qd_model *parse(const char *text)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;

    if (!OK(m != NULL, "model: %s", err.msg))
        exit(tap_done());
    qd_model_randomize(m, 1);
    return m;
}

#define CONV(n, more)                                                                              \
    "[convolutional]\nbatch_normalize=1\nfilters=" #n "\nsize=3\npad=1\n" more "activation="       \
    "leaky\n"

/* A detector with a residual block. */
static struct qd_model *small(void)
{
    return parse("[net]\nwidth=32\nheight=32\nchannels=3\n" CONV(16, "stride=2\n") CONV(24,
        "stride=2\n") CONV(32, "") CONV(24, "") "[shortcut]\nfrom=-3\nactivation=linear\n" CONV(40,
        "stride=2\n") "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n"
                      "[yolo]\nmask=0,1\nanchors=8,8, 16,16\nclasses=3\nnum=2\n");
}

/* ---- candidates ------------------------------------------------------------------------------ */

static const struct qd_candidates_opts half = {
    .set = QD_SPARSE_SHORTCUT, .share = .5, .delta = .05, .seed = 7};

static void shipped(const char *name)
{
    struct qd_candidates_opts o = half;
    struct qd_candidates c = {0};
    struct qd_error err = {0};
    char path[300];
    int met = 0, tried = 20;

    snprintf(path, sizeof(path), "cfg/%s.cfg", name);
    struct qd_cfg *cfg = qd_cfg_load(path, &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    if (!OK(m != NULL, "%s: %s", name, err.msg))
        return;
    qd_model_randomize(m, 1);
    o.delta = .01;
    if (OK(qd_candidates_open(&c, m, &o, &err) == 0, "%s: %s", name, err.msg))
        for (int i = 0; i < tried; i++) {
            double share;
            int ret = qd_candidates_draw(&c, (uint64_t)i, &share, &err);
            met += ret == 1 && fabs(share - .5) <= .01;
        }
    OK(met == tried, "%s: %d of %d draws leave 49 to 51 %%", name, met, tried);
    qd_candidates_close(&c);
    qd_model_free(m);
}

static bool *copy_dead(const struct qd_candidates *c)
{
    size_t n = (size_t)c->choice.groups->ngroups;
    bool *dead = malloc(n);

    memcpy(dead, c->choice.dead, n);
    return dead;
}

static void draws(void)
{
    struct qd_model *m = small();
    struct qd_candidates c;
    struct qd_error err = {0};
    double share[3];
    bool *dead[3];

    OK(qd_candidates_open(&c, m, &half, &err) == 0, "open: %s", err.msg);
    size_t n = (size_t)c.choice.groups->ngroups;
    for (int i = 0; i < 3; i++) {
        OK(qd_candidates_draw(&c, i == 1 ? 6 : 5, &share[i], &err) == 1, "draw: %s", err.msg);
        dead[i] = copy_dead(&c);
    }
    OK(memcmp(dead[0], dead[2], n) == 0 && share[0] == share[2],
        "a draw does not depend on those before");
    OK(memcmp(dead[0], dead[1], n) != 0, "two draws differ");
    struct qd_model *less = qd_rewrite(m, c.choice.groups, dead[2], &err);
    OK(less != NULL, "compact: %s", err.msg);
    uint64_t macs = 0;
    for (int i = 0; less && i < less->graph->nlayers; i++) {
        struct qd_layer_info info;
        qd_model_layer(less, i, &info);
        macs += info.macs;
    }
    OK(macs == c.macs, "multiply-adds are those of the compact model");
    for (int i = 0; i < 3; i++)
        free(dead[i]);
    qd_model_free(less);
    qd_candidates_close(&c);
    qd_model_free(m);
}

/* Of layers 0, 2 and 5, which are tied to none, the heaviest filters stay. */
static void heaviest(void)
{
    static const int alone[] = {0, 2, 5};
    struct qd_model *m = small();
    struct qd_candidates c;
    struct qd_error err = {0};
    double share;
    int wrong = 0, gone = 0;

    OK(qd_candidates_open(&c, m, &half, &err) == 0 && qd_candidates_draw(&c, 1, &share, &err) == 1,
        "draw: %s", err.msg);
    for (int k = 0; k < 3; k++) {
        const struct qd_layer *l = &m->graph->layer[alone[k]];
        const struct qd_param *p = qd_layer_find_param(l, "weights");
        size_t per = p->count / (size_t)l->c;
        double least = HUGE_VAL, most = 0;
        for (int i = 0; i < l->c; i++) {
            double sum = 0;
            for (size_t j = 0; j < per; j++)
                sum += fabs((double)m->params[p->offset + (size_t)i * per + j]);
            bool dead = c.choice.dead[qd_groups_of(c.choice.groups, alone[k], i)];
            if (dead)
                most = fmax(most, sum);
            else
                least = fmin(least, sum);
            gone += dead;
        }
        wrong += most > least;
    }
    OK(gone > 10 && !wrong, "%d filters go, none is heavier than one that stays", gone);
    qd_candidates_close(&c);
    qd_model_free(m);
}

static void widths(void)
{
    struct qd_candidates_opts o = half;
    struct qd_model *m = small();
    struct qd_candidates c;
    struct qd_error err = {0};
    double share;
    int met = 0, odd = 0, narrow = 0;

    o.base = 8;
    o.delta = .1;
    o.min_channels = 9;
    OK(qd_candidates_open(&c, m, &o, &err) == 0, "base 8: %s", err.msg);
    for (int i = 0; i < 10; i++) {
        met += qd_candidates_draw(&c, (uint64_t)i, &share, &err) == 1;
        for (int k = 0; k < c.choice.set.n; k++) {
            int w = qd_groups_alive(c.choice.groups, c.choice.set.layer[k], c.choice.dead);
            odd += w % 8 != 0;
            narrow += w < 9;
        }
    }
    OK(met > 3, "%d of 10 draws of multiples of 8 meet it", met);
    OK(!odd && !narrow, "all of them multiples of 8, none below 9");
    qd_candidates_close(&c);
    o.base = 0;
    o.share = .05;
    o.delta = .01;
    o.min_channels = 12;
    err = (struct qd_error){0};
    OK(qd_candidates_open(&c, m, &o, &err) < 0 && err.code == QD_EARG &&
            strstr(err.msg, "95.0 % of the multiply-adds cannot be removed"),
        "a budget below the least widths: %s", err.msg);
    qd_model_free(m);
}

/* ---- searches -------------------------------------------------------------------------------- */

static struct qd_search_opts options(const char *log)
{
    struct qd_search_opts o = QD_SEARCH_OPTS_INIT;

    o.data = data;
    o.log = log;
    o.number = 5;
    o.images = 8;
    o.batch = 4;
    o.scored = 4;
    o.delta = .1f;
    return o;
}

/* Steps until the end or 'most'; how many. */
static int steps(const struct qd_model *m, const struct qd_search_opts *o, int most)
{
    struct qd_error err = {0};
    struct qd_search *s = qd_search_new(m, o, &err);
    struct qd_search_row row;
    int n = 0, ret = s ? 1 : -1;

    while (ret > 0 && n < most && (ret = qd_search_step(s, &row, &err)) > 0)
        n++;
    OK(ret >= 0, "steps: %s", err.msg);
    qd_search_free(s);
    return n;
}

static char *slurp(const char *path)
{
    struct qd_error err = {0};
    struct qd_buf b = {0};

    OK(qd_io_slurp(path, 1 << 20, &b, &err) == 0, "read: %s", err.msg);
    return b.data;
}

static void put(const char *path, const char *text, const char *more)
{
    FILE *f = fopen(path, "wb");

    if (f) {
        fprintf(f, "%s%s", text, more);
        fclose(f);
    }
}

static void resumes(const struct qd_model *m)
{
    char a[600], b[600];
    struct qd_error err = {0};

    snprintf(a, sizeof(a), "%s/a.tsv", folder);
    snprintf(b, sizeof(b), "%s/b.tsv", folder);
    struct qd_search_opts o = options(a), p = options(b);
    OK(qd_threads_set(1, &err) == 0 && steps(m, &o, 100) == 5, "a search of 5");
    p.resume = true;
    OK(qd_threads_set(3, &err) == 0 && steps(m, &p, 2) == 2, "another is ended after 2");
    char *whole = slurp(a), *part = slurp(b);
    OK(strncmp(whole, part, strlen(part)) == 0, "the same lines, on other threads");
    put(b, part, "3\t2\t0.49");
    qd_free(part);
    OK(steps(m, &p, 100) == 3, "and goes on after half a line");
    part = slurp(b);
    IS_STR(part, whole, "to the same end");
    qd_free(part);
    put(b, "# sea", "");
    OK(steps(m, &p, 100) == 5, "half of the first line: from the beginning");
    part = slurp(b);
    IS_STR(part, whole, "the same again");
    p.number = 6;
    OK(steps(m, &p, 100) == 1, "it can be made longer");
    qd_free(part);
    qd_free(whole);
}

static void refuses(const struct qd_model *m, const struct qd_search_opts *o, const char *why)
{
    struct qd_error err = {0};
    struct qd_search *s = qd_search_new(m, o, &err);

    OK(!s && strstr(err.msg, why), "refused: %s", err.msg);
    qd_search_free(s);
}

static void files(const struct qd_model *m)
{
    static const char *const bad[] = {"1\t0\t.5\t1\t1\n", "2\t0\t.5\t1\t1\t.5\n",
        "1\t0\t.5\t1\t1\tx\n", "1\t-1\t.5\t1\t1\t.5\n", "1\t0\t.5\t1\t1\t2\n", "\n",
        "1\t5\t.5\t1\t1\t.5\n2\t5\t.5\t1\t1\t.5\n"};
    char a[600], b[600];

    snprintf(a, sizeof(a), "%s/a.tsv", folder);
    snprintf(b, sizeof(b), "%s/c.tsv", folder);
    struct qd_search_opts o = options(a);
    o.number = 1;
    refuses(m, &o, "exists: go on with that search (-r), or replace it (-f)");
    o.resume = true;
    o.seed = 2;
    refuses(m, &o, "is of another search");
    o.seed = 1;
    float was = m->params[0];
    m->params[0] = was + 1;
    refuses(m, &o, "is of another search");
    m->params[0] = was;
    char *whole = slurp(a), *rows = strchr(strchr(whole, '\n') + 1, '\n') + 1;
    *rows = 0;
    o.log = b;
    for (size_t i = 0; i < QD_LEN(bad); i++) {
        put(b, whole, bad[i]);
        refuses(m, &o, "not a line that a search could have written");
    }
    qd_free(whole);
    o.force = true;
    o.number = 1;
    put(b, "something else\n", "");
    OK(steps(m, &o, 9) == 1, "a file of something else is replaced if asked for");
    OK(steps(m, &o, 9) == 0, "and then all is done");
    o.log = NULL;
    refuses(m, &o, "a search needs a data set");
}

static bool at_once(void *ctx)
{
    int *left = ctx;

    return (*left)-- <= 0;
}

static void stops(const struct qd_model *m)
{
    struct qd_error err = {0};
    struct qd_search_row row;
    char a[600];
    int left = 0, zeros = 0;

    snprintf(a, sizeof(a), "%s/d.tsv", folder);
    struct qd_search_opts o = options(a);
    o.stop = at_once;
    o.ctx = &left;
    for (int k = 0; k < 6; k++) {
        o.force = true;
        struct qd_search *s = qd_search_new(m, &o, &err);
        left = k;
        zeros += s && qd_search_step(s, &row, &err) == 0;
        left = 0;
        OK(s && !qd_search_best(s, &row), "stopped after %d: nothing is done", k);
        qd_search_free(s);
    }
    OK(zeros == 6, "%d of 6 were stopped", zeros);
}

static void finishes(const struct qd_model *m)
{
    struct qd_error err = {0};
    struct qd_search_row row;
    struct qd_pruned p;
    char a[600];
    double score = -1, masked = -1;

    snprintf(a, sizeof(a), "%s/a.tsv", folder);
    struct qd_search_opts o = options(a);
    o.resume = true;
    struct qd_search *s = qd_search_new(m, &o, &err);
    if (!OK(s && qd_search_finish(s, &p, &err) == 0, "finish: %s", err.msg))
        return;
    OK(qd_search_best(s, &row) && row.score > 0, "the best has %.6f", row.score);
    OK(qd_search_score(s, p.compact, &score, &err) == 0, "score: %s", err.msg);
    NEAR(score, row.score, 5e-7, 0, "what is written has the score that was found");
    OK(qd_search_score(s, p.masked, &masked, &err) == 0, "the masked model: %s", err.msg);
    NEAR(masked, score, 1e-3, 0, "has it too: the statistics are the same");
    OK(p.difference <= 1e-4, "verified: %.2g", p.difference);
    NEAR(1 - (double)p.percent, row.share, 1e-6, 0, "the share");
    NEAR(p.percent, .5, .1, 0, "is what was asked for");
    qd_pruned_free(&p);
    qd_search_free(s);
}

/* Trained for a moment, so that there are scores. */
static struct qd_model *learned(void)
{
    struct qd_train_opts o = QD_TRAIN_OPTS_INIT;
    struct qd_model *m = small();
    struct qd_error err = {0};
    struct qd_train_row row;
    char prefix[600];

    snprintf(prefix, sizeof(prefix), "%s/net", folder);
    o.data = data;
    o.prefix = prefix;
    o.optimizer = QD_OPTIMIZER_ADAMW;
    o.eval_every = 0;
    o.loss = "ultralytics";
    OK(qd_cfg_override(m->cfg, "net.max_batches=150", &err) == 0 &&
            qd_cfg_override(m->cfg, "net.batch=8", &err) == 0 &&
            qd_cfg_override(m->cfg, "net.learning_rate=.005", &err) == 0,
        "keys: %s", err.msg);
    struct qd_train *t = qd_train_new(m, &o, &err);
    int ret = t ? 1 : -1;
    while (ret > 0)
        ret = qd_train_step(t, &row, &err);
    OK(ret == 0, "trained: %s", err.msg);
    qd_train_free(t);
    return m;
}

int main(void)
{
    static const char *const names[] = {"yolo-toy", "yolov3-tiny", "yolov4-tiny"};
    const struct qd_toy_opts toy = {
        .kind = "detect", .seed = 1, .train = 40, .valid = 12, .w = 32, .h = 32, .classes = 3};
    struct qd_error err = {0};

    for (size_t i = 0; i < QD_LEN(names); i++)
        shipped(names[i]);
    draws();
    heaviest();
    widths();
    snprintf(folder, sizeof(folder), "%s", tap_tmp("toy"));
    snprintf(data, sizeof(data), "%s/toy.data", folder);
    OK(qd_toy_write(folder, &toy, &err) == 0, "a set: %s", err.msg);
    struct qd_model *m = learned();
    resumes(m);
    files(m);
    stops(m);
    finishes(m);
    qd_model_free(m);
    return tap_done();
}
