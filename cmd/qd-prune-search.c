/* SPDX-License-Identifier: MIT */
/*
 * qd-prune-search: the best of many random cuts of one size.  The library scores a candidate at a
 * time; here are the options, progress and signals, which end the search after the picture.  The
 * result is checked, measured and written as by the other commands that prune.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prune.h"

static struct qd_search_opts search = QD_SEARCH_OPTS_INIT;
static bool all;
static int set = QD_SPARSE_SHORTCUT, merge, seed = 1, cache_mb;

/* clang-format off */
static const struct cmd_opt opts[] = {CMD_OPT_CFG_NEEDED, CMD_OPT_WEIGHTS_NEEDED,
    {'d', "data", CMD_STR, &cmd.data, "FILE", "data set, a darknet .data file", 0, 0, true},
    {'o', "output", CMD_STR, &cmd.output, "PREFIX",
        "write PREFIX.cfg, PREFIX.weights, PREFIX.tsv", 0, 0, true},
    PRUNE_MASKED,
    {'p', "percent", CMD_FLOAT, &search.percent, "P",
        "share of the multiply-adds that goes [0.5]", .001, .999, false},
    {'t', "delta", CMD_FLOAT, &search.delta, "P", "how far from it a candidate may be [0.05]",
        .0001, .5, false},
    {'n', "number", CMD_INT, &search.number, "N", "candidates [200]", 1, 1000000, false},
    {'s', "set", CMD_CHOICE, &set, "normal|shortcut", "whose channels may go", 0, 0, false},
    {'a', "all", CMD_FLAG, &all, NULL, "those of pyramids, groups and depthwise layers, too", 0, 0,
        false},
    {'m', "merge", CMD_CHOICE, &merge, "union|majority|root|least",
        "which layer of a sum decides", 0, 0, false},
    {'b', "base", CMD_INT, &search.base, "N", "widths are multiples of it [1]", 1, 1024, false},
    {'l', "min-channels", CMD_INT, &search.min_channels, "N", "least width of a layer [1]", 1,
        65536, false},
    {'I', "images", CMD_INT, &search.scored, "N", "pictures of valid= that are scored [all]", 1,
        2147483647, false},
    {'A', "adapt", CMD_INT, &search.images, "N",
        "pictures of train= for the statistics [a tenth, at least 64]", 1, 2147483647, false},
    {'k', "batch-size", CMD_INT, &search.batch, "N", "of these at a time [16]", 1, 4096, false},
    {'x', "rules", CMD_CHOICE, &cmd_prune_opts.rules, "darknet|voc07|voc12|coco", "of the score",
        0, 0, false},
    {'S', "seed", CMD_INT, &seed, "N", "the same seed gives the same bytes", 0, 2147483647, false},
    {'r', "resume", CMD_FLAG, &search.resume, NULL, "go on with the candidates of PREFIX.tsv", 0, 0,
        false},
    {'B', "bad-labels", CMD_CHOICE, &cmd_prune_opts.bad, "fail|drop|clip",
        "what to do about bad labels", 0, 0, false},
    {'W', "workers", CMD_INT, &search.workers, "N", "threads that prepare images [half of -j]", 0,
        64, false},
    {'C', "cache", CMD_INT, &cache_mb, "MB", "decoded images of a set kept in memory", 0, 1048576,
        false},
    CMD_OPT_SIZE, CMD_OPT_THREADS, CMD_OPT_OVERRIDE, CMD_OPT_FORCE, {0}};
/* clang-format on */

static const struct cmd_info info = {"qd-prune-search", "",
    "find the best of many random cuts, without sparse training", opts, 0, 0};

/* ------------------------------------------------------------------ the search ---------------- */

/* 1: ended by a signal, 0: done, -1. */
static int try_all(struct qd_search *s, struct qd_error *err)
{
    struct qd_search_info i;
    struct qd_search_row row;
    int ret;

    qd_search_info(s, &i);
    cmd_note(
        "%zu pictures for the statistics of a candidate, %zu for its score", i.images, i.scored);
    if (i.resumed)
        cmd_note("%d candidates were scored before", i.resumed);
    cmd_progress_begin("candidates", i.number);
    while ((ret = qd_search_step(s, &row, err)) > 0) {
        if (cmd.verbose)
            cmd_progress_hide();
        cmd_note("candidate %d: %.1f %% of the multiply-adds, %s %.4f", row.candidate,
            100 * row.share, "score", row.score);
        cmd_progress(row.candidate);
    }
    cmd_progress_end();
    return ret < 0 ? -1 : cmd_stopped(NULL);
}

static void print_summary(const struct qd_search *s, const struct qd_pruned *p)
{
    struct qd_search_info i;
    struct qd_search_row best;

    qd_search_info(s, &i);
    qd_search_best(s, &best);
    printf("# candidate %d of %d, score %.6f on %zu pictures, percent %g, difference %.2g\n",
        best.candidate, i.number, best.score, i.scored, (double)p->percent, p->difference);
}

static int finish(struct qd_search *s, const struct qd_model *m, struct qd_error *err)
{
    struct cmd_prune_table t = {0};
    struct qd_pruned p;
    int ret = qd_search_finish(s, &p, err);

    if (ret)
        return ret;
    cmd_prune_layers(m, &p);
    ret = cmd_prune_verify(&p, err);
    if (ret == 0)
        ret = cmd_prune_measure(&t, m, p.compact, err);
    if (ret == 0)
        ret = cmd_prune_save(&p, err);
    if (ret == 0) {
        print_summary(s, &p);
        cmd_prune_print(&t);
    }
    qd_pruned_free(&p);
    return ret;
}

static int work(const struct qd_model *m, struct qd_error *err)
{
    struct qd_search *s = qd_search_new(m, &search, err);
    int ret = s ? try_all(s, err) : -1;

    if (ret == 0)
        ret = finish(s, m, err);
    qd_search_free(s);
    return ret;
}

static void settle(const char *log)
{
    search.data = cmd.data;
    search.log = log;
    search.set = all ? QD_SPARSE_ALL : (enum qd_sparse)set;
    search.merge = (enum qd_merge)merge;
    search.rules = (enum qd_rules)cmd_prune_opts.rules;
    search.bad = (enum qd_bad_labels)cmd_prune_opts.bad;
    search.w = cmd.size.w;
    search.h = cmd.size.h;
    search.seed = (uint64_t)seed;
    search.cache = (size_t)cache_mb * 1000000;
    search.force = cmd.force;
    search.stop = cmd_stopped;
}

/* PREFIX.tsv; NULL when there is no memory. */
static char *log_name(struct qd_error *err)
{
    size_t n = strlen(cmd.output) + sizeof(".tsv");
    char *path = malloc(n);

    if (path)
        snprintf(path, n, "%s.tsv", cmd.output);
    else
        cmd_error_set(err, QD_ENOMEM, "out of memory");
    return path;
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};
    struct qd_model *m = NULL;
    int ret = -1;

    cmd_parse(&info, argc, argv);
    if (cmd_prune_opts.masked && strcmp(cmd_prune_opts.masked, cmd.output) == 0)
        return cmd_misuse("-o and -M name the same files");
    char *log = log_name(&err);
    if (log && cmd_prune_check(&err) == 0) /* what cannot be written must not turn out late */
        m = cmd_model(&err);
    if (m) {
        settle(log);
        cmd_signals_watch();
        ret = work(m, &err);
    }
    qd_model_free(m);
    free(log);
    if (ret < 0)
        return cmd_fail(&err);
    if (ret > 0) {
        cmd_signal_end();
    }
    return cmd_finish();
}
