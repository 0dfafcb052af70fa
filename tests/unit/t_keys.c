/* SPDX-License-Identifier: MIT */
/* Typed reading of cfg sections: values, defaults, and the message for everything that is wrong. */
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "format/cfg.h"

static const struct qd_cfg_key table[] = {
    {"filters", QD_KEY_INT, "1", 1, 65536, NULL, "outputs"},
    {"size", QD_KEY_INT, "3", 1, 2147483647, NULL, "kernel"},
    {"low", QD_KEY_INT, NULL, -2147483648.0, -1, NULL, "negative"},
    {"any", QD_KEY_INT, NULL, 0, 0, NULL, "any integer"},
    {"wide", QD_KEY_INT, "-1", -1e12, 1e12, NULL, "a range beyond int"},
    {"scale", QD_KEY_FLOAT, "1.5", 0, 2.5, NULL, "a scale"},
    {"free", QD_KEY_FLOAT, NULL, 0, 0, NULL, "any float"},
    {"activation", QD_KEY_WORD, "logistic", 0, 0, "linear leaky logistic relu", "the function"},
    {"word", QD_KEY_WORD, NULL, 0, 0, NULL, "any word"},
    {"text", QD_KEY_TEXT, "abc", 0, 0, NULL, "any text"},
    {"mask", QD_KEY_INTS, NULL, 0, 100, NULL, "indices"},
    {"steps", QD_KEY_INTS, "1,2,3", 0, 0, NULL, "steps"},
    {"anchors", QD_KEY_FLOATS, NULL, 0, 0, NULL, "sizes"},
    {"scales", QD_KEY_FLOATS, ".1,.2", 0, 1, NULL, "factors"},
    {"flipped", QD_KEY_REFUSED, NULL, 0, 0, NULL, "refused"},
    {"mode", QD_KEY_REFUSED, "plain", 0, 0, NULL, "refused unless plain"},
    QD_KEY_END,
};
static const struct qd_cfg_key common[] = {
    {"onlyforward", QD_KEY_INT, "0", 0, 1, NULL, "common"},
    {"blur", QD_KEY_NOTED, NULL, 0, 0, NULL, "noted"},
    QD_KEY_END,
};

static char logged[600];
static int nlogged;

static void sink(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    snprintf(logged, sizeof(logged), "%d %s", (int)level, line);
    nlogged++;
}

static struct qd_error err;
static struct qd_cfg *cfg;

/* Open "[net] / [conv] / <line 3>". */
static struct qd_keys open_line(const char *line)
{
    char text[1200];

    err = (struct qd_error){0};
    qd_cfg_free(cfg);
    snprintf(text, sizeof(text), "[net]\n[conv]\n%s\n", line);
    cfg = qd_cfg_parse(text, strlen(text), "a.cfg", &err);
    if (!cfg) {
        OK(false, "'%s' parses: %s", line, err.msg);
        cfg = qd_cfg_parse("[net]\n[conv]\n", 13, "a.cfg", NULL);
    }
    return qd_keys_open(cfg, 1, table, common, &err);
}

static void defaults(void)
{
    struct qd_keys k = open_line("# nothing");
    int i[4] = {9, 9, 9, 9};
    float f[4] = {9, 9, 9, 9};

    OK(qd_key_int(&k, "filters") == 1 && qd_key_int(&k, "any") == 0, "integers");
    OK(qd_key_float(&k, "scale") == 1.5f && qd_key_float(&k, "free") == 0, "floats");
    IS_STR(qd_key_word(&k, "activation"), "logistic", "a word");
    IS_STR(qd_key_word(&k, "word"), "", "no word");
    IS_STR(qd_key_word(&k, "text"), "abc", "a text");
    OK(qd_key_ints(&k, "mask", i, 4) == 0 && i[0] == 9, "no list");
    OK(qd_key_ints(&k, "steps", i, 4) == 3 && i[2] == 3 && i[3] == 9, "a list of integers");
    OK(qd_key_floats(&k, "scales", f, 4) == 2 && f[1] == .2f && f[2] == 9, "a list of floats");
    OK(qd_key_count(&k, "mask") == 0 && qd_key_count(&k, "steps") == 3, "counts");
    OK(qd_key_int(&k, "onlyforward") == 0, "a common key");
    OK(!qd_key_given(&k, "filters") && qd_key_line(&k, "filters") == 2, "not given");
    OK(qd_key_line(&k, NULL) == 2, "line of the section");
    OK(qd_keys_check(&k) == 0 && !k.failed && err.code == QD_OK, "no fault");
}

static void values(void)
{
    struct qd_keys k =
        open_line("filters = 40#32\nsize=+7\nlow=-2147483648\nscale=1e-1\nfree=-3e38\n"
                  "activation = lea ky\nword=x=y\nmask = 1, 2,3 ; x\n"
                  "anchors=10,13, 16.5,-.5e1\nonlyforward=1\nwide=-5");
    int i[3];
    float f[4];

    OK(qd_key_int(&k, "filters") == 40 && qd_key_int(&k, "size") == 7, "integers");
    OK(qd_key_int(&k, "low") == -2147483647 - 1 && qd_key_int(&k, "wide") == -5, "negative ones");
    OK(qd_key_float(&k, "scale") == .1f && qd_key_float(&k, "free") == -3e38f, "floats");
    IS_STR(qd_key_word(&k, "activation"), "leaky", "a choice");
    IS_STR(qd_key_word(&k, "word"), "x=y", "any word");
    OK(qd_key_count(&k, "mask") == 3, "count");
    OK(qd_key_ints(&k, "mask", i, 3) == 3 && i[0] == 1 && i[2] == 3, "integers");
    OK(qd_key_floats(&k, "anchors", f, 4) == 4 && f[2] == 16.5f && f[3] == -5, "floats");
    OK(qd_key_int(&k, "onlyforward") == 1 && qd_key_given(&k, "mask"), "given");
    OK(qd_key_line(&k, "mask") == 10, "line");
    OK(qd_keys_check(&k) == 0 && err.code == QD_OK, "no fault: %s", err.msg);
    OK(qd_cfg_set(cfg, 1, "mask", "x", NULL) == 0, "an edit");
    OK(qd_key_line(&k, "mask") == 2, "an edited key has the line of its section");
    OK(qd_key_ints(&k, "mask", i, 3) == 0, "not a list");
    IS_STR(err.msg, "a.cfg:2: 'mask=x' in [conv] has 'x' as element 1, which is not an integer",
        "message");
}

static void numbers(void)
{
    static const char *const bad[][3] = {
        {"filters", "abc", "is not an integer"},
        {"filters", "1.5", "is not an integer"},
        {"filters", "1e3", "is not an integer"},
        {"filters", "0x10", "is not an integer"},
        {"filters", "-", "is not an integer"},
        {"filters", "8,", "is not an integer"},
        {"filters", "0", "must be 1 to 65536"},
        {"filters", "-1", "must be 1 to 65536"},
        {"filters", "65537", "must be 1 to 65536"},
        {"filters", "99999999999999999999", "must be 1 to 65536"},
        {"filters", "-99999999999999999999", "must be 1 to 65536"},
        {"size", "0", "must be at least 1"},
        {"size", "2147483648", "must be at least 1"},
        {"low", "0", "must be at most -1"},
        {"any", "2147483648", "is out of range"},
        {"any", "-2147483649", "is out of range"},
        {"wide", "2147483648", "must be at least -1000000000000"},
        {"scale", "abc", "is not a number"},
        {"scale", "nan", "is not a number"},
        {"scale", "inf", "is not a number"},
        {"scale", "1e999", "is not a number"},
        {"scale", "2.6", "must be 0 to 2.5"},
        {"scale", "-0.1", "must be 0 to 2.5"},
        {"free", "1e39", "is out of range"},
        {"free", "1,2", "is not a number"},
    };
    char line[200], want[300];

    for (size_t i = 0; i < QD_LEN(bad); i++) {
        snprintf(line, sizeof(line), "%s=%s", bad[i][0], bad[i][1]);
        struct qd_keys k = open_line(line);
        bool is_float = bad[i][0][0] == 's' && bad[i][0][1] == 'c';
        if (is_float || strcmp(bad[i][0], "free") == 0)
            OK(qd_key_float(&k, bad[i][0]) == (is_float ? 1.5f : 0), "%s: the default", line);
        else
            OK(qd_key_int(&k, bad[i][0]) == (strcmp(bad[i][0], "filters") == 0 ? 1
                                                : bad[i][0][0] == 's'          ? 3
                                                : bad[i][0][0] == 'w'          ? -1
                                                                               : 0),
                "%s: the default", line);
        snprintf(want, sizeof(want), "a.cfg:3: '%s' in [conv] %s", line, bad[i][2]);
        OK(k.failed && err.code == QD_EFORMAT && qd_keys_check(&k) == -1, "a fault");
        IS_STR(err.msg, want, "message");
    }
}

static void lists(void)
{
    static const char *const bad[][3] = {
        {"mask", "1,", "has nothing as element 2"}, {"mask", ",1", "has nothing as element 1"},
        {"mask", "1,,2", "has nothing as element 2"},
        {"mask", "1,2,3,4,5", "has more than 4 numbers"},
        {"mask", "1,x2,3", "has 'x2' as element 2, which is not an integer"},
        {"mask", "1,2.5", "has '2.5' as element 2, which is not an integer"},
        {"mask", "1,101", "must be 0 to 100"}, {"scales", "1,", "has nothing as element 2"},
        {"scales", ".5,y", "has 'y' as element 2, which is not a number"},
        {"scales", ".5,1.1", "must be 0 to 1"},
        {"scales", "1;,2", ""}, /* the comment leaves one number */
    };
    char line[200], want[300];

    for (size_t i = 0; i < QD_LEN(bad); i++) {
        int n[4] = {0};
        float f[4] = {0};
        snprintf(line, sizeof(line), "%s=%s", bad[i][0], bad[i][1]);
        struct qd_keys k = open_line(line);
        int got =
            bad[i][0][0] == 'm' ? qd_key_ints(&k, "mask", n, 4) : qd_key_floats(&k, "scales", f, 4);
        if (!*bad[i][2]) {
            OK(got == 1 && f[0] == 1 && !k.failed, "%s: an inline comment", line);
            continue;
        }
        OK(k.failed && err.code == QD_EFORMAT, "%s: a fault", line);
        OK(bad[i][0][0] == 'm' ? got == 0 : got == 2 && f[0] == .1f && f[1] == .2f, "the default");
        snprintf(want, sizeof(want), "a.cfg:3: '%s' in [conv] %s", line, bad[i][2]);
        IS_STR(err.msg, want, "message");
    }
}

static void words(void)
{
    struct qd_keys k = open_line("activation=laeky");

    IS_STR(qd_key_word(&k, "activation"), "logistic", "the default");
    IS_STR(err.msg, "a.cfg:3: 'activation=laeky' in [conv] is not known, did you mean 'leaky'?",
        "a near word");
    k = open_line("activation=tanh");
    qd_key_word(&k, "activation");
    IS_STR(err.msg,
        "a.cfg:3: 'activation=tanh' in [conv] must be one of: linear leaky logistic relu",
        "no near word");
    k = open_line("filters=x\nactivation=leaky");
    qd_key_int(&k, "filters");
    IS_STR(qd_key_word(&k, "activation"), "logistic", "defaults after the first fault");
    IS_STR(err.msg, "a.cfg:3: 'filters=x' in [conv] is not an integer", "the first fault stays");
}

static void long_values(void)
{
    char line[1100] = "filters=";

    memset(line + 8, '7', 1000);
    line[1008] = 0;
    struct qd_keys k = open_line(line);
    OK(qd_key_int(&k, "filters") == 1, "a number of 1000 digits");
    line[8 + 60] = 0;
    char want[400];
    snprintf(want, sizeof(want), "a.cfg:3: '%.68s...' in [conv] must be 1 to 65536", line);
    IS_STR(err.msg, want, "a long value is cut, the reason stays");
}

static void checks(void)
{
    static const char *const unknown[][2] = {
        {"fliters=1", "0 a.cfg:3: unknown key 'fliters' in [conv], did you mean 'filters'?"},
        {"onlyforwrd=1", "0 a.cfg:3: unknown key 'onlyforwrd' in [conv], did you mean "
                         "'onlyforward'?"},
        {"zzz=1", "0 a.cfg:3: unknown key 'zzz' in [conv]"},
        {"an=1", "0 a.cfg:3: unknown key 'an' in [conv], did you mean 'any'?"},
        {"blur=3", "1 a.cfg:3: 'blur' in [conv] changes nothing here"},
    };

    for (size_t i = 0; i < QD_LEN(unknown); i++) {
        nlogged = 0;
        struct qd_keys k = open_line(unknown[i][0]);
        OK(qd_keys_check(&k) == 0 && nlogged == 1, "one line for %s", unknown[i][0]);
        IS_STR(logged, unknown[i][1], "message");
    }
    char many[400] = "";
    for (int i = 0, n = 0; i < 23; i++)
        n += snprintf(many + n, sizeof(many) - (size_t)n, "zzzz%d=1\n", i);
    nlogged = 0;
    struct qd_keys k = open_line(many);
    OK(qd_keys_check(&k) == 0 && nlogged == 21, "many unknown keys are counted in the end");
    IS_STR(logged, "0 a.cfg:2: 3 more unknown keys in [conv]", "message");
    k = open_line("flipped=0\nmode=plain");
    OK(qd_keys_check(&k) == 0, "refused keys with harmless values");
    k = open_line("flipped=1");
    OK(qd_keys_check(&k) == -1 && err.code == QD_EUNSUP, "a refused key");
    IS_STR(err.msg, "a.cfg:3: 'flipped=1' in [conv] is not supported, it would be another network",
        "message");
    k = open_line("mode=other");
    OK(qd_keys_check(&k) == -1 && err.code == QD_EUNSUP, "another value than the harmless one");
    k = open_line("size=2");
    OK(qd_key_fault(&k, QD_EARG, "size", "must be %s, not %d", "odd", 2) == -1 && k.failed,
        "a fault of the caller");
    IS_STR(err.msg, "a.cfg:3: must be odd, not 2", "message");
    k = open_line("size=2");
    qd_key_fault(&k, QD_EARG, NULL, "no input");
    IS_STR(err.msg, "a.cfg:2: no input", "message for the section");
    k = open_line("size=x");
    k.err = NULL;
    OK(qd_key_int(&k, "size") == 3 && k.failed, "without a place for the message");
}

int main(void)
{
    qd_log_set(sink, NULL);
    defaults();
    values();
    numbers();
    lists();
    words();
    long_values();
    checks();
    qd_cfg_free(cfg);
    return tap_done();
}
