/* SPDX-License-Identifier: MIT */
/*
 * The commands that prune, from the options to the files.  Nothing is written before everything
 * is computed, verified and measured.
 */
#include "prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cmd_prune_opts cmd_prune_opts = {.to = QD_PRUNE_OPTS_INIT};

/* ------------------------------------------------------------------ options ------------------- */

enum { RANGES_MAX = 1024, WORD_MAX = 64 };

/* The first n characters of s as a number, or false. */
static bool number(const char *s, size_t n, bool whole, double *out)
{
    char word[WORD_MAX];

    if (n >= sizeof(word))
        return false;
    memcpy(word, s, n);
    word[n] = 0;
    return cmd_number(word, whole, out);
}

/* "3.5M", "1200000", "40%", ".4" */
static bool amount(const char *s, double *out)
{
    static const struct {
        char letter;
        double factor;
    } unit[] = {{'k', 1e3}, {'K', 1e3}, {'M', 1e6}, {'G', 1e9}, {'%', .01}};
    size_t n = strlen(s);
    double factor = 1;

    for (size_t i = 0; n && i < sizeof(unit) / sizeof(*unit); i++)
        if (s[n - 1] == unit[i].letter)
            factor = unit[i].factor;
    if (!number(s, factor == 1 ? n : n - 1, false, out))
        return false;
    *out *= factor;
    return *out > 0 && (s[n - 1] != '%' || *out <= 1);
}

static int read_target(const char *s)
{
    static const char *const word[] = {NULL, "params=", "macs=", "ms="};
    struct qd_prune_opts *o = &cmd_prune_opts.to;

    for (int i = 1; i < 4; i++) {
        size_t n = strlen(word[i]);
        if (strncmp(s, word[i], n) == 0 && amount(s + n, &o->goal)) {
            o->target = (enum qd_target)i;
            return 0;
        }
    }
    return cmd_misuse("option -t/--target: '%s' is not params=X, macs=X or ms=X with X a number, "
                      "with k, M or G, or a share of what it is now: 0.4, 40%%",
        s);
}

/* "12:.5" or "0-55:.18" of n characters. */
static bool range(const char *s, size_t n, struct qd_prune_range *r)
{
    const char *colon = memchr(s, ':', n);
    size_t layers = colon ? (size_t)(colon - s) : 0;
    const char *dash = layers ? memchr(s, '-', layers) : NULL;
    size_t digits = dash ? (size_t)(dash - s) : layers;
    double first, last, percent;

    if (!colon || !number(s, digits, true, &first) ||
        !number(colon + 1, n - layers - 1, false, &percent))
        return false;
    last = first;
    if (dash && !number(dash + 1, layers - digits - 1, true, &last))
        return false;
    if (first < 0 || last < first || last > 1e6 || percent < 0 || percent > 1)
        return false;
    *r = (struct qd_prune_range){(int)first, (int)last, (float)percent};
    return true;
}

static int read_ranges(const char *s)
{
    static struct qd_prune_range r[RANGES_MAX];
    int n = 0;

    for (const char *at = s;; at++) {
        size_t len = strcspn(at, ",");
        if (n == RANGES_MAX)
            return cmd_misuse("option -g/--group: more than %d ranges", RANGES_MAX);
        if (!range(at, len, &r[n]))
            return cmd_misuse("option -g/--group: '%.*s' is not A-B:P, two layers and a share of "
                              "0 to 1",
                (int)len, at);
        for (int i = 0; i < n; i++)
            if (r[i].first <= r[n].last && r[n].first <= r[i].last)
                return cmd_misuse(
                    "option -g/--group: '%.*s' has layers that another range has", (int)len, at);
        n++;
        at += len;
        if (!*at)
            break;
    }
    cmd_prune_opts.to.ranges = r;
    cmd_prune_opts.to.nranges = n;
    return 0;
}

/* Whether the command finds a percent for a target; others find the number of blocks. */
static bool has_percent(void)
{
    for (const struct cmd_opt *o = cmd_current()->opts; o->letter; o++)
        if (o->dst == &cmd_prune_opts.to.percent)
            return true;
    return false;
}

static int read_options(void)
{
    struct cmd_prune_opts *o = &cmd_prune_opts;

    o->to.merge = (enum qd_merge)o->merge;
    o->to.max_score = o->score == 1;
    o->to.w = cmd.size.w;
    o->to.h = cmd.size.h;
    if (o->to.percent >= 1)
        return cmd_misuse("-p/--percent must be below 1: nothing would be left");
    if (o->target && o->to.percent >= 0)
        return cmd_misuse("either -p or -t: the target finds the percent");
    if (o->target && o->to.shortcuts >= 0 && !has_percent())
        return cmd_misuse("either -n or -t: the target finds the number");
    if (o->masked && strcmp(o->masked, cmd.output) == 0)
        return cmd_misuse("-o and -M name the same files");
    if (!cmd.data && (o->rules || o->bad))
        return cmd_misuse("-r and -B need -d");
    if (o->target && read_target(o->target) != 0)
        return 2;
    return o->ranges ? read_ranges(o->ranges) : 0;
}

/* ------------------------------------------------------------------ files --------------------- */

int cmd_prune_check(struct qd_error *err)
{
    if (cmd_save_check(cmd.output, err) < 0)
        return -1;
    return cmd_prune_opts.masked ? cmd_save_check(cmd_prune_opts.masked, err) : 0;
}

int cmd_prune_save(const struct qd_pruned *p, struct qd_error *err)
{
    if (cmd_prune_opts.masked && cmd_save(p->masked, cmd_prune_opts.masked, err) < 0)
        return -1;
    return cmd_save(p->compact, cmd.output, err);
}

/* ------------------------------------------------------------------ messages ------------------ */

void cmd_prune_layers(const struct qd_model *m, const struct qd_pruned *p)
{
    int k = 0, n = qd_model_layers(p->compact);

    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info a, b;
        qd_model_layer(m, i, &a);
        while (k < n && p->origin[k] < i)
            k++;
        if (k == n || p->origin[k] != i) {
            cmd_note("layer %d, [%s]: %d channels before, layer removed", i, a.section, a.c);
            continue;
        }
        qd_model_layer(p->compact, k, &b);
        if (a.params)
            cmd_note("layer %d, [%s]: %d channels before, %d after", i, a.section, a.c, b.c);
    }
}

static void warn(const struct qd_pruned *p)
{
    double percent = (double)p->percent;
    bool few = percent > 0 && (double)p->small < percent / 2;

    if (few && p->limit <= 0) {
        cmd_warn("the factors have not separated at all: those of a layer are all as small as the "
                 "smallest of the net, so the cut is arbitrary; train with qd-sparse first");
        return;
    }
    if (p->raised && percent > (double)p->limit)
        cmd_warn("percent %g is beyond %g, the most that leaves every layer a channel", percent,
            (double)p->limit);
    if (p->raised)
        cmd_warn(
            "%d layers keep more than the threshold says, to have their least width", p->raised);
    if (p->blocked)
        cmd_warn("%d channels or blocks that were to go stay: %s", p->blocked,
            p->why ? p->why : "there are no more");
    if (few)
        cmd_warn("the factors have not separated: %.1f %% of them are below 0.01, %.1f %% are to "
                 "go, so the cut is arbitrary and costs precision; train with qd-sparse first",
            100 * (double)p->small, 100 * percent);
}

static void print_summary(const struct qd_pruned *p, const char *rule)
{
    printf("# rule %s, percent %g, threshold %g, limit %g, blocks %d, difference %.2g\n", rule,
        (double)p->percent, (double)p->threshold, (double)p->limit, p->units, p->difference);
}

/* ------------------------------------------------------------------ main ---------------------- */

static int prune(const struct qd_model *m, const char *rule, struct qd_error *err)
{
    struct cmd_prune_table t = {0};
    struct qd_pruned p;

    if (qd_prune(&p, m, rule, &cmd_prune_opts.to, err) < 0)
        return -1;
    warn(&p);
    cmd_prune_layers(m, &p);
    int ret = cmd_prune_verify(&p, err);
    if (ret == 0)
        ret = cmd_prune_measure(&t, m, p.compact, err);
    if (ret == 0)
        ret = cmd_prune_save(&p, err);
    if (ret == 0) {
        print_summary(&p, rule);
        cmd_prune_print(&t);
    }
    qd_pruned_free(&p);
    return ret;
}

int cmd_prune(const struct cmd_info *info, const char *rule, int argc, char *argv[])
{
    struct qd_error err = {0};

    cmd_parse(info, argc, argv);
    if (read_options() != 0)
        return 2;
    struct qd_model *m = cmd_prune_check(&err) == 0 ? cmd_model(&err) : NULL;
    int ret = m ? prune(m, rule, &err) : -1;
    qd_model_free(m);
    return ret < 0 ? cmd_fail(&err) : cmd_finish();
}
