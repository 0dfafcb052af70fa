/* SPDX-License-Identifier: MIT */
/*
 * The files of a run.  Weights and state appear whole or not at all; one that cannot be written is
 * a warning, since the last good ones are still there and the disk may have room again at the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "train/checkpoint.h"
#include "train/train.h"

enum { MINLOSS_EVERY = 100 };

/* Numbers of the state. */
enum { ITERATION, AVERAGE, BEST, LEAST, EMA_UPDATES, EMA_DONE, DUE, THRESHOLD };

static char *path_of(const struct qd_train *t, const char *suffix, struct qd_error *err)
{
    struct qd_buf b = {0};

    qd_buf_printf(&b, "%s%s", t->o.prefix, suffix);
    if (qd_buf_ok(&b, err) < 0) {
        qd_buf_free(&b);
        return NULL;
    }
    return b.data;
}

void qd_files_warn(struct qd_train *t, struct qd_error *err)
{
    t->failed++;
    qd_warn("%s: the run goes on, the last good files are kept", err->msg);
    *err = (struct qd_error){0};
}

/* ---- weights and state ----------------------------------------------------------------------- */

int qd_files_weights(struct qd_train *t, const char *suffix, bool average, struct qd_error *err)
{
    char *path = path_of(t, suffix, err);
    float *params = t->m->params;

    if (!path)
        return -1;
    if (average && t->ema && t->ema_updates && !t->ema_done)
        t->m->params = t->ema;
    t->m->seen = t->n * (uint64_t)t->r.batch;
    int ret = qd_model_save(t->m, path, true, err);
    t->m->params = params;
    qd_free(path);
    return ret;
}

static struct qd_checkpoint checkpoint(struct qd_train *t)
{
    struct qd_checkpoint c = {.recipe = t->recipe, .floats = t->m->graph->nparams};

    c.block[c.nblocks++] = t->m->params;
    for (int i = 0; qd_optim_state(t->optim, i); i++)
        c.block[c.nblocks++] = qd_optim_state(t->optim, i);
    if (t->ema)
        c.block[c.nblocks++] = t->ema;
    c.number[ITERATION] = t->n;
    c.number[AVERAGE] = qd_double_bits(t->avg);
    c.number[BEST] = qd_double_bits(t->best);
    c.number[LEAST] = qd_double_bits(t->least);
    c.number[EMA_UPDATES] = t->ema_updates;
    c.number[EMA_DONE] = t->ema_done;
    c.number[DUE] = t->due;
    c.number[THRESHOLD] = qd_double_bits(t->sparsity ? t->sparsity->threshold : 0);
    return c;
}

static int load_state(struct qd_train *t, const char *path, struct qd_error *err)
{
    struct qd_checkpoint c = checkpoint(t);

    if (qd_checkpoint_load(&c, path, err) < 0)
        return -1;
    t->n = t->resumed = c.number[ITERATION];
    t->avg = qd_bits_double(c.number[AVERAGE]);
    t->best = qd_bits_double(c.number[BEST]);
    t->least = qd_bits_double(c.number[LEAST]);
    t->ema_updates = c.number[EMA_UPDATES];
    t->ema_done = c.number[EMA_DONE] != 0;
    t->due = c.number[DUE] != 0;
    if (t->sparsity)
        t->sparsity->threshold = qd_bits_double(c.number[THRESHOLD]);
    return 0;
}

/* The state last: what it says has been done, has been. */
int qd_files_save(struct qd_train *t, struct qd_error *err)
{
    struct qd_checkpoint c = checkpoint(t);
    int bad = qd_block_blame(t->m->graph, t->m->params, false);

    if (bad >= 0)
        return qd_error_set(err, QD_EDIVERGED,
            "iteration %llu: parameters of layer %d [%s] are not finite", (unsigned long long)t->n,
            bad, t->m->graph->layer[bad].type->section);
    if (qd_files_weights(t, "_last.weights", false, err) < 0 ||
        (t->ema_updates && !t->ema_done && qd_files_weights(t, "_ema.weights", true, err) < 0))
        return -1;
    char *path = path_of(t, ".state", err);
    int ret = path ? qd_checkpoint_save(&c, path, err) : -1;
    qd_free(path);
    return ret;
}

/* ---- log ------------------------------------------------------------------------------------- */

const char *qd_train_header(void)
{
    return "# iteration\tepoch\timages\tlr\tloss\tbox\tobj\tcls\tavg\tnorm\timages_per_s\tscore";
}

const char *qd_train_text(const struct qd_train_row *row, char *buf, size_t size)
{
    int n = snprintf(buf, size,
        "%llu\t%.4f\t%llu\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.4g\t",
        (unsigned long long)row->iteration, row->epoch, (unsigned long long)row->images, row->lr,
        row->loss, row->box, row->obj, row->cls, row->avg, row->norm, row->images_per_s);

    if (n > 0 && (size_t)n < size) {
        if (row->score < 0)
            snprintf(buf + n, size - (size_t)n, "-");
        else
            snprintf(buf + n, size - (size_t)n, "%.6f", row->score);
    }
    return buf;
}

/* A whole line or nothing: what was written of half a line is cut off again. */
static int put_line(struct qd_train *t, int fd, const char *line, struct qd_error *err)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s\n", line);
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t done = write(fd, text, (size_t)n);

    if (done == n)
        return 0;
    int e = done < 0 ? errno : ENOSPC;
    if (done > 0 && end >= 0 && ftruncate(fd, end) < 0)
        e = errno;
    return qd_error_set(err, QD_EIO, "cannot write '%s%s': %s", t->o.prefix,
        fd == t->log ? ".log" : ".gammas.tsv", strerror(e));
}

/* How many bytes of the log are lines up to iteration n. */
static size_t log_end(const struct qd_buf *b, uint64_t n)
{
    size_t at = 0;

    while (at < b->len) {
        const char *line = b->data + at, *nl = memchr(line, '\n', b->len - at);
        long long k;
        if (!nl)
            break;
        size_t word = strcspn(line, "\t\n");
        if (line[0] != '#' && (!qd_num_intn(line, word, &k) || k < 0 || (uint64_t)k > n))
            break;
        at = (size_t)(nl - b->data) + 1;
    }
    return at;
}

static int open_log(
    struct qd_train *t, const char *path, const char *header, int *fd, struct qd_error *err)
{
    struct qd_buf b = {0};
    size_t keep = 0;
    struct stat st;

    if (t->n > 0 && stat(path, &st) == 0) {
        if (qd_io_slurp(path, (size_t)1 << 32, &b, err) < 0)
            return -1;
        keep = log_end(&b, t->n);
        qd_buf_free(&b);
    }
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (*fd < 0 || ftruncate(*fd, (off_t)keep) < 0)
        return qd_error_set(err, QD_EIO, "cannot write '%s': %s", path, strerror(errno));
    return keep ? 0 : put_line(t, *fd, header, err);
}

/* ---- the factors of sparse training -----------------------------------------------------------
 */

static int open_gammas(struct qd_train *t, struct qd_error *err)
{
    char header[512];
    int n = snprintf(header, sizeof(header),
        "# iteration\tbelow_001\tbelow_01\tq10\tq20\tq30\tq40\tq50\tq60\tq70\tq80\tq90\tmax\tsafe");

    for (int i = 0; i < QD_SPARSITY_BINS; i++)
        n += snprintf(header + n, sizeof(header) - (size_t)n, "\t%g", i / 16.);
    char *path = t->sparsity ? path_of(t, ".gammas.tsv", err) : NULL;
    if (!path)
        return t->sparsity ? -1 : 0;
    int ret = open_log(t, path, header, &t->gammas, err);
    qd_free(path);
    return ret;
}

static void warn_gammas(const struct qd_sparsity_stats *s)
{
    if (!s->separated)
        qd_warn("the factors have not separated: %.1f %% are below .01, %.1f %% between that and "
                ".05, the median is %.3f; to prune this net is to cut at random: train longer, or "
                "with a larger rate or s",
            100 * s->below_01, 100 * (s->below_05 - s->below_01),
            (double)s->quantile[QD_SPARSITY_QUANTILES / 2]);
}

static int put_gammas(struct qd_train *t, struct qd_error *err)
{
    struct qd_sparsity_stats *s = &t->spread;
    char text[1000];

    qd_sparsity_stats(t->sparsity, t->m->params, s);
    s->iteration = t->n;
    int n = snprintf(text, sizeof(text), "%llu\t%.6f\t%.6f", (unsigned long long)t->n, s->below_001,
        s->below_01);
    for (int i = 0; i < QD_SPARSITY_QUANTILES; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "\t%.6g", (double)s->quantile[i]);
    n += snprintf(text + n, sizeof(text) - (size_t)n, "\t%.6g\t%.6f", (double)s->max, s->safe);
    for (int i = 0; i < QD_SPARSITY_BINS; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "\t%zu", s->bin[i]);
    if (t->n == t->r.iterations)
        warn_gammas(s);
    return put_line(t, t->gammas, text, err);
}

/* ---- beginning and every iteration ------------------------------------------------------------
 */

/* Whether a run writes PREFIX<suffix>, of 'len' bytes. */
static bool written_here(const char *suffix, size_t len)
{
    static const char *const names[] = {".cfg", ".state", ".weights", "_last.weights",
        "_best.weights", "_minloss.weights", "_ema.weights"};
    const char tail[] = ".weights";
    size_t end = sizeof(tail) - 1, digits = strspn(suffix + (len > 0), "0123456789");

    for (size_t i = 0; i < QD_LEN(names); i++)
        if (strlen(names[i]) == len && memcmp(names[i], suffix, len) == 0)
            return true;
    return len > end + 1 && suffix[0] == '_' && digits == len - end - 1 &&
           memcmp(suffix + len - end, tail, end) == 0;
}

/* A number of iterations from the .data file. */
static int cadence(
    const struct qd_train *t, const char *key, int least, int *every, struct qd_error *err)
{
    const char *text = qd_data_get(t->sets.data, key);
    long long v;

    if (!text)
        return 0;
    if (!qd_num_int(text, &v) || v < least || v > INT32_MAX)
        return qd_error_set(
            err, QD_EFORMAT, "%s: '%s=%.60s' is not a number of iterations", t->o.data, key, text);
    *every = (int)v;
    return 0;
}

int qd_files_cadence(struct qd_train *t, struct qd_error *err)
{
    bool numbered = t->o.save_every < 0, last = t->o.state_every == 0;

    if (numbered)
        t->o.save_every = 0;
    if (last)
        t->o.state_every = 100;
    if (numbered && cadence(t, "saveweights", 0, &t->o.save_every, err) < 0)
        return -1;
    return last ? cadence(t, "savelast", 1, &t->o.state_every, err) : 0;
}

static int refuse_old(const struct qd_train *t, const char *path, struct qd_error *err)
{
    struct stat st;

    if (t->o.force || t->o.resume || stat(path, &st) < 0)
        return 0;
    return qd_error_set(
        err, QD_EARG, "'%s' exists: go on with that run (-r), or replace its files (-f)", path);
}

int qd_files_begin(struct qd_train *t, struct qd_error *err)
{
    char *state = path_of(t, ".state", err), *log = path_of(t, ".log", err);
    char *cfg = path_of(t, ".cfg", err);
    struct stat st;
    int ret = -1;

    if (!state || !log || !cfg || refuse_old(t, state, err) < 0)
        goto end;
    if (t->o.resume) {
        if (stat(state, &st) == 0 || errno != ENOENT) {
            if (load_state(t, state, err) < 0)
                goto end;
        } else {
            qd_warn("'%s' is not there: the run begins anew", state);
        }
    }
    qd_io_sweep(t->o.prefix, written_here);
    if (qd_cfg_save(t->m->cfg, cfg, true, err) < 0 ||
        open_log(t, log, qd_train_header(), &t->log, err) < 0 || open_gammas(t, err) < 0)
        goto end;
    /* a run that cannot save says so now; one that goes on has nothing to save yet */
    if (t->n == 0 && qd_files_save(t, err) < 0)
        goto end;
    ret = 0;
end:
    qd_free(state);
    qd_free(log);
    qd_free(cfg);
    return ret;
}

int qd_files_iteration(struct qd_train *t, const struct qd_train_row *row, struct qd_error *err)
{
    uint64_t numbered = t->o.save_every > 0 ? (uint64_t)t->o.save_every : 0;
    bool last = t->n == t->r.iterations;
    char text[512];
    int ret = put_line(t, t->log, qd_train_text(row, text, sizeof(text)), err);

    if (ret < 0)
        qd_files_warn(t, err);
    if (t->sparsity && (last || qd_sparsity_epoch_ends(t->sparsity, t->n)) &&
        put_gammas(t, err) < 0)
        qd_files_warn(t, err);
    if (row->score > t->best) {
        double before = t->best;
        t->best = row->score;
        if (qd_files_weights(t, "_best.weights", true, err) < 0) {
            t->best = before;
            qd_files_warn(t, err);
        }
    }
    if ((last || t->n % MINLOSS_EVERY == 0) && t->n > (uint64_t)t->r.schedule.burn_in &&
        t->avg < t->least) {
        if (qd_files_weights(t, "_minloss.weights", false, err) < 0)
            qd_files_warn(t, err);
        else
            t->least = t->avg;
    }
    if (numbered && t->n % numbered == 0) {
        snprintf(text, sizeof(text), "_%llu.weights", (unsigned long long)t->n);
        if (qd_files_weights(t, text, false, err) < 0)
            qd_files_warn(t, err);
    }
    if (!last && t->n % (uint64_t)t->o.state_every && row->score < 0)
        return 0;
    ret = qd_files_save(t, err);
    if (ret < 0 && err->code != QD_EDIVERGED) {
        qd_files_warn(t, err);
        ret = 0;
    }
    return ret;
}
