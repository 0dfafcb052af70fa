/* SPDX-License-Identifier: MIT */
/*
 * Option parsing from a table.  The arguments are read twice: first without storing anything, to
 * find misuse, -h and -V while the defaults that -h shows are still in place, then for good.
 */
#include "cmd.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool want_help, want_version;

static const struct cmd_opt common[] = {
    {'q', "quiet", CMD_FLAG, &cmd.quiet, NULL, "no progress, no warnings", 0, 0, false},
    {'v', "verbose", CMD_FLAG, &cmd.verbose, NULL, "say what is done", 0, 0, false},
    {'h', "help", CMD_FLAG, &want_help, NULL, "print this", 0, 0, false},
    {'V', "version", CMD_FLAG, &want_version, NULL, "print the version", 0, 0, false},
    {0},
};

static const struct cmd_info *current;

const struct cmd_info *cmd_current(void)
{
    return current;
}

/* The i-th option: the command's own rows, then the common ones; NULL at the end. */
static const struct cmd_opt *option(int i)
{
    int own = 0;

    while (current->opts[own].letter)
        own++;
    const struct cmd_opt *o = i < own ? &current->opts[i] : &common[i - own];
    return o->letter ? o : NULL;
}

/* Print a word of n characters, on a new line if it does not fit; returns the new column. */
static int put_word(FILE *f, const char *word, int n, int col, int indent)
{
    if (col + 1 + n > 79) {
        fprintf(f, "\n%*s", indent - 1, "");
        col = indent - 1;
    }
    return col + fprintf(f, " %s", word);
}

static void synopsis(FILE *f)
{
    const struct cmd_opt *o;
    int col = fprintf(f, "usage: %s", current->name);
    int indent = col + 1;
    char word[160];

    col += fprintf(f, " [-");
    for (int i = 0; (o = option(i)); i++)
        if (o->type == CMD_FLAG)
            col += fprintf(f, "%c", o->letter);
    col += fprintf(f, "]");
    for (int i = 0; (o = option(i)); i++) {
        if (o->type == CMD_FLAG)
            continue;
        int n = snprintf(word, sizeof(word), o->needed ? "-%c %s" : "[-%c %s]", o->letter, o->arg);
        col = put_word(f, word, n, col, indent);
    }
    if (current->operands[0])
        put_word(f, current->operands, (int)strlen(current->operands), col, indent);
    fprintf(f, "\n");
}

static void vmisuse(const char *fmt, va_list ap) QD_PRINTF(1, 0);
static void vmisuse(const char *fmt, va_list ap)
{
    cmd_vprint("", fmt, ap);
    synopsis(stderr);
}

int cmd_misuse(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vmisuse(fmt, ap);
    va_end(ap);
    return 2;
}

static void misuse(const char *fmt, ...) QD_PRINTF(1, 2);
static void misuse(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vmisuse(fmt, ap);
    va_end(ap);
    exit(2);
}

/* The default in brackets, for -h. */
static void print_default(const struct cmd_opt *o)
{
    const char *word = o->arg;

    if (strchr(o->help, '['))
        return;
    if (o->type == CMD_INT)
        printf(" [%d]", *(const int *)o->dst);
    else if (o->type == CMD_FLOAT)
        printf(" [%g]", (double)*(const float *)o->dst);
    else if (o->type == CMD_STR && *(const char *const *)o->dst)
        printf(" [%s]", *(const char *const *)o->dst);
    else if (o->type == CMD_CHOICE) {
        for (int i = *(const int *)o->dst; i > 0; i--)
            word = strchr(word, '|') + 1;
        printf(" [%.*s]", (int)strcspn(word, "|"), word);
    }
}

static void help(void)
{
    const struct cmd_opt *o;

    synopsis(stdout);
    printf("%s\n\n", current->about);
    for (int i = 0; (o = option(i)); i++) {
        int n = printf("  -%c, --%s", o->letter, o->name);
        if (o->arg)
            n += printf(" %s", o->arg);
        printf("%*s%s", n < 34 ? 34 - n : 1, "", o->help);
        print_default(o);
        printf("\n");
    }
}

bool cmd_number(const char *s, bool whole, double *out)
{
    char *end;

    if (!*s || strspn(s, whole ? "0123456789+-" : "0123456789+-.eE") != strlen(s))
        return false;
    errno = 0;
    *out = strtod(s, &end);
    return !*end && !errno && isfinite(*out);
}

static bool size(const char *s, const struct cmd_opt *o, struct cmd_size *out)
{
    char w[16];
    const char *x = strpbrk(s, "xX");
    double a, b;
    size_t n = x ? (size_t)(x - s) : strlen(s);

    if (n >= sizeof(w))
        return false;
    memcpy(w, s, n);
    w[n] = 0;
    if (!cmd_number(w, true, &a) || !cmd_number(x ? x + 1 : w, true, &b))
        return false;
    if (a < o->min || a > o->max || b < o->min || b > o->max)
        return false;
    *out = (struct cmd_size){(int)a, (int)b};
    return true;
}

/* Which of the words "a|b|c" s is, or -1. */
static int choice(const char *words, const char *s)
{
    size_t len = strlen(s);

    for (int i = 0;; i++) {
        size_t n = strcspn(words, "|");
        if (n == len && strncmp(words, s, n) == 0)
            return i;
        if (!words[n])
            return -1;
        words += n + 1;
    }
}

static double checked(const struct cmd_opt *o, const char *s)
{
    double v;

    if (!cmd_number(s, o->type == CMD_INT, &v))
        misuse("option -%c/--%s: '%s' is not a%s number", o->letter, o->name, s,
            o->type == CMD_INT ? " whole" : "");
    if (v < o->min || v > o->max)
        misuse("option -%c/--%s: %s is not in %g to %g", o->letter, o->name, s, o->min, o->max);
    return v;
}

/* Check the value of an option, and store it if asked. */
static void set(const struct cmd_opt *o, const char *s, bool store)
{
    struct cmd_size wh = {0};
    double v = 0;
    int word = 0;

    if (o->type == CMD_INT || o->type == CMD_FLOAT)
        v = checked(o, s);
    if (o->type == CMD_SIZE && !size(s, o, &wh))
        misuse("option -%c/--%s: '%s' is not a size (N or WxH, %g to %g)", o->letter, o->name, s,
            o->min, o->max);
    if (o->type == CMD_CHOICE && (word = choice(o->arg, s)) < 0)
        misuse("option -%c/--%s: '%s' is not one of %s", o->letter, o->name, s, o->arg);
    /* -h and -V take effect in the first reading, see above */
    if (!store && o->dst != &want_help && o->dst != &want_version)
        return;
    switch (o->type) {
    case CMD_FLAG:
        *(bool *)o->dst = true;
        break;
    case CMD_INT:
        *(int *)o->dst = (int)v;
        break;
    case CMD_FLOAT:
        *(float *)o->dst = (float)v;
        break;
    case CMD_STR:
        *(const char **)o->dst = s;
        break;
    case CMD_CHOICE:
        *(int *)o->dst = word;
        break;
    case CMD_SIZE:
        *(struct cmd_size *)o->dst = wh;
        break;
    case CMD_LIST: {
        struct cmd_list *l = o->dst;
        if (l->n == CMD_LIST_MAX)
            misuse("option -%c/--%s: given more than %d times", o->letter, o->name, CMD_LIST_MAX);
        l->v[l->n++] = s;
        break;
    }
    }
}

/* Long names: any case, '_' for '-'. */
static bool same_name(const char *name, const char *s, size_t len)
{
    if (strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int c = s[i] == '_' ? '-' : tolower((unsigned char)s[i]);
        if (c != name[i])
            return false;
    }
    return true;
}

/* Read "--name", "--name=value" or "--name value"; returns how many arguments that took. */
static int long_option(char *argv[], bool store)
{
    const char *s = argv[0] + 2, *eq = strchr(s, '=');
    size_t len = eq ? (size_t)(eq - s) : strlen(s);
    const struct cmd_opt *o;
    int i = 0;

    while ((o = option(i)) && !same_name(o->name, s, len))
        i++;
    if (!o)
        misuse("no such option: '--%.*s'", (int)len, s);
    if (o->type == CMD_FLAG) {
        if (eq)
            misuse("option --%s takes no value", o->name);
        set(o, NULL, store);
        return 1;
    }
    if (!eq && !argv[1])
        misuse("option -%c/--%s needs a value (%s)", o->letter, o->name, o->arg);
    set(o, eq ? eq + 1 : argv[1], store);
    return eq ? 1 : 2;
}

/* Read "-abc", "-n5" or "-n 5"; returns how many arguments that took. */
static int short_options(char *argv[], bool store)
{
    const struct cmd_opt *o;

    for (const char *s = argv[0] + 1; *s; s++) {
        int i = 0;
        while ((o = option(i)) && o->letter != *s)
            i++;
        if (!o)
            misuse("no such option: '-%c'", *s);
        if (o->type == CMD_FLAG) {
            set(o, NULL, store);
            continue;
        }
        if (!s[1] && !argv[1])
            misuse("option -%c/--%s needs a value (%s)", o->letter, o->name, o->arg);
        set(o, s[1] ? s + 1 : argv[1], store);
        return s[1] ? 1 : 2;
    }
    return 1;
}

/* One reading; with 'store' operands are moved to the front.  Returns their number. */
static int read_args(int argc, char *argv[], bool store)
{
    int n = 0;

    for (int i = 1; i < argc;) {
        char *s = argv[i];
        if (strcmp(s, "--") == 0) {
            for (i++; i < argc; i++, n++)
                if (store)
                    argv[1 + n] = argv[i];
            break;
        }
        if (s[0] == '-' && s[1] == '-') {
            i += long_option(argv + i, store);
        } else if (s[0] == '-' && s[1]) {
            i += short_options(argv + i, store);
        } else {
            i++;
            n++;
            if (store)
                argv[n] = s;
        }
    }
    return n;
}

static void print_log(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    if (level == QD_LOG_WARNING)
        cmd_warn("%s", line);
    else
        cmd_note("%s", line);
}

int cmd_parse(const struct cmd_info *info, int argc, char *argv[])
{
    struct qd_error err = {0};
    const struct cmd_opt *o;

    current = info;
    int n = read_args(argc, argv, false);
    if (want_help || want_version) {
        if (want_help)
            help();
        else
            printf("%s %s\n", info->name, qd_version());
        exit(cmd_finish());
    }
    read_args(argc, argv, true);
    if (argc > 0)
        argv[n + 1] = NULL;
    for (int i = 0; (o = option(i)); i++)
        if (o->needed && !*(const char *const *)o->dst)
            misuse("no -%c/--%s %s given", o->letter, o->name, o->arg);
    if (n < info->min)
        misuse("no %s given", info->operands);
    if (info->max >= 0 && n > info->max)
        misuse("unexpected argument: '%s'", argv[info->max + 1]);
    qd_log_set(print_log, NULL);
    if (qd_threads_set(cmd.threads, &err) < 0)
        exit(cmd_fail(&err));
    return n;
}
