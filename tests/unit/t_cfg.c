/* SPDX-License-Identifier: MIT */
/* The cfg document: what is accepted, what is refused and how, printing, edits, overrides. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "base/buf.h"
#include "format/cfg.h"

static char logged[4][600];
static int nlogged;

static void sink(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    if (nlogged < 4)
        snprintf(logged[nlogged], sizeof(logged[0]), "%d %s", (int)level, line);
    nlogged++;
}

static struct qd_cfg *parse(const char *text, struct qd_error *err)
{
    nlogged = 0;
    return qd_cfg_parse(text, strlen(text), "a.cfg", err);
}

/* Parse text that must be good. */
static struct qd_cfg *good(const char *text)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = parse(text, &err);

    if (!cfg)
        OK(false, "'%s' parses: %s", text, err.msg);
    return cfg;
}

static void prints_as(const struct qd_cfg *cfg, const char *want, const char *what)
{
    struct qd_buf b = {0};

    qd_cfg_print(cfg, &b);
    IS_STR(b.data, want, "%s", what);
    qd_buf_free(&b);
}

static void reading(void)
{
    struct qd_cfg *cfg = good("\xef\xbb\xbf# c\r\n[net]\r\n batch = 1 ; x\r\n\r\n[con vol]#y\r\n"
                              "anchors = 10,13,  16 , 30\r\nfilters=40#32\r\n\ta\tb==c=\r\n");
    const struct qd_cfg_section *s;

    if (!cfg)
        return;
    OK(qd_cfg_count(cfg) == 2, "two sections");
    s = qd_cfg_section(cfg, 0);
    OK(strcmp(s->name, "net") == 0 && s->line == 2 && s->npairs == 1, "[net]");
    OK(s->pair[0].line == 3, "line of a pair");
    IS_STR(qd_cfg_get(cfg, 0, "batch"), "1", "blanks and comment go");
    s = qd_cfg_section(cfg, 1);
    IS_STR(s->name, "convol", "blanks and comment of a header");
    IS_STR(qd_cfg_get(cfg, 1, "anchors"), "10,13,16,30", "blanks inside a value");
    IS_STR(qd_cfg_get(cfg, 1, "filters"), "40", "comment without a blank");
    IS_STR(qd_cfg_get(cfg, 1, "ab"), "=c=", "the first '=' splits");
    OK(qd_cfg_get(cfg, 1, "batch") == NULL, "a key of another section");
    IS_STR(qd_cfg_name(cfg), "a.cfg", "name");
    OK(nlogged == 0, "no warning");
    qd_cfg_free(cfg);
    cfg = good("[network]");
    OK(cfg && qd_cfg_count(cfg) == 1 && qd_cfg_section(cfg, 0)->npairs == 0, "[network] alone");
    qd_cfg_free(cfg);
    qd_cfg_free(NULL);
}

static void warnings(void)
{
    struct qd_cfg *cfg = good("[net]\na=1\nb=2\na=3\n");

    IS_STR(logged[0],
        "0 a.cfg:4: duplicate key 'a' in [net], the first value '1' of line 2 is used",
        "the first duplicate wins, with a warning");
    OK(nlogged == 1 && cfg && qd_cfg_section(cfg, 0)->npairs == 2, "and is the only one");
    qd_cfg_free(cfg);
    cfg = good("[net]\nc=\nd\n=5\ne = # x\n");
    OK(nlogged == 4, "four lines are ignored");
    IS_STR(logged[0], "0 a.cfg:2: no value after '=' in 'c=', the line is ignored", "no value");
    IS_STR(logged[1], "0 a.cfg:3: no '=' in 'd', the line is ignored", "no '='");
    IS_STR(logged[2], "0 a.cfg:4: no key before '=' in '=5', the line is ignored", "no key");
    IS_STR(
        logged[3], "0 a.cfg:5: no value after '=' in 'e=', the line is ignored", "a comment only");
    OK(cfg && qd_cfg_section(cfg, 0)->npairs == 0, "none of them is a pair");
    qd_cfg_free(cfg);
    cfg = good("[net]\nc=\nc=4\nc=5\n");
    IS_STR(qd_cfg_get(cfg, 0, "c"), "4", "an empty one does not count as the first");
    qd_cfg_free(cfg);
}

static void refused(void)
{
    static const char *const table[][2] = {
        {"", "a.cfg: no [net] section"},
        {"\n# x\n;y\n", "a.cfg: no [net] section"},
        {"\xef\xbb\xbf", "a.cfg: no [net] section"},
        {"a=1\n[net]\n", "a.cfg:1: 'a=1' stands before the first section"},
        {"\njunk", "a.cfg:2: 'junk' stands before the first section"},
        {"[yolo]\n", "a.cfg:1: the first section must be [net] or [network], not [yolo]"},
        {"[Net]\n", "a.cfg:1: the first section must be [net] or [network], not [Net]"},
        {"[net\nx=1", "a.cfg:1: no ']' after the section name in '[net'"},
        {"[net]\n[]\n", "a.cfg:2: section without a name"},
        {"[net]\n[ \t]\n", "a.cfg:2: section without a name"},
        {"[net]x\n", "a.cfg:1: a section header must be one name in brackets, not '[net]x'"},
        {"[net]]\n", "a.cfg:1: a section header must be one name in brackets, not '[net]]'"},
        {"[[net]\n", "a.cfg:1: a section header must be one name in brackets, not '[[net]'"},
        {"[net#]\n", "a.cfg:1: no ']' after the section name in '[net'"},
    };

    for (size_t i = 0; i < QD_LEN(table); i++) {
        struct qd_error err = {0};
        OK(!parse(table[i][0], &err) && err.code == QD_EFORMAT, "refused");
        IS_STR(err.msg, table[i][1], "message");
    }
    struct qd_error err = {0};
    OK(!qd_cfg_parse("[net]\nb=\0001\n", 11, "a.cfg", &err), "a zero byte");
    IS_STR(err.msg, "a.cfg:2: a zero byte: this is not a text file", "message");
    err = (struct qd_error){0};
    OK(!qd_cfg_load(tap_tmp("none.cfg"), &err) && err.code == QD_EIO, "missing file");
    char want[400];
    snprintf(
        want, sizeof(want), "cannot open '%s': No such file or directory", tap_tmp("none.cfg"));
    IS_STR(err.msg, want, "message");
}

static void limits(void)
{
    struct qd_error err = {0};
    struct qd_buf b = {0};

    qd_buf_str(&b, "[net]\n");
    for (int i = 0; i < 100000; i++)
        qd_buf_str(&b, "[a]\n");
    OK(!qd_cfg_parse(b.data, b.len, "a.cfg", &err), "100001 sections");
    IS_STR(err.msg, "a.cfg:100001: more than 100000 sections", "message");
    struct qd_cfg *cfg = qd_cfg_parse(b.data, b.len - 4, "a.cfg", NULL);
    OK(cfg && qd_cfg_count(cfg) == 100000, "100000 sections");
    OK(cfg && qd_cfg_override(cfg, "a.x=1", NULL) == 0, "an override of 99999 sections");
    IS_STR(qd_cfg_get(cfg, 99999, "x"), "1", "reaches the last");
    qd_cfg_free(cfg);
    b.len = 0;
    qd_buf_str(&b, "[net]\n");
    for (int i = 0; i < 257; i++)
        qd_buf_printf(&b, "k%d=1\n", i);
    err = (struct qd_error){0};
    OK(!qd_cfg_parse(b.data, b.len, "a.cfg", &err), "257 keys");
    IS_STR(err.msg, "a.cfg:258: more than 256 keys in [net]", "message");
    cfg = qd_cfg_parse(b.data, b.len - 7, "a.cfg", NULL);
    OK(cfg && qd_cfg_section(cfg, 0)->npairs == 256, "256 keys");
    err = (struct qd_error){0};
    OK(cfg && qd_cfg_set(cfg, 0, "one-more", "1", &err) == -1, "no key can be added then");
    IS_STR(err.msg, "a.cfg:1: more than 256 keys in [net]", "message");
    qd_cfg_free(cfg);
    b.len = 0;
    qd_buf_str(&b, "[net]\n");
    for (int i = 0; i < (16 << 20) - 6; i += 64)
        qd_buf_str(&b, "################################################################");
    err = (struct qd_error){0};
    OK(!qd_cfg_parse(b.data, b.len, "a.cfg", &err), "more than 16 MiB");
    IS_STR(err.msg, "a.cfg: file is larger than the limit of 16777216 bytes", "message");
    cfg = qd_cfg_parse(b.data, 16 << 20, "a.cfg", NULL);
    OK(cfg != NULL, "16 MiB");
    qd_cfg_free(cfg);
    qd_buf_free(&b);
}

/* Parse, print, parse, print: the same bytes, the same pairs. */
static void fixed_point(const char *text, size_t len)
{
    struct qd_buf one = {0}, two = {0};
    struct qd_cfg *a = qd_cfg_parse(text, len, "a.cfg", NULL), *b = NULL, *c = NULL;

    if (!OK(a != NULL, "parses"))
        return;
    qd_cfg_print(a, &one);
    OK(one.len == len && memcmp(one.data, text, len) == 0, "prints the same %zu bytes", len);
    b = qd_cfg_copy(a, NULL);
    c = qd_cfg_parse(one.data, one.len, "a.cfg", NULL);
    qd_cfg_free(a);
    if (OK(b && c, "copies")) {
        qd_cfg_print(b, &two);
        OK(two.len == len && memcmp(two.data, text, len) == 0, "a copy prints the same");
        bool same = qd_cfg_count(b) == qd_cfg_count(c);
        for (int i = 0; same && i < qd_cfg_count(b); i++) {
            const struct qd_cfg_section *s = qd_cfg_section(b, i), *t = qd_cfg_section(c, i);
            same = strcmp(s->name, t->name) == 0 && s->npairs == t->npairs && s->line == t->line;
            for (int k = 0; same && k < s->npairs; k++)
                same = strcmp(s->pair[k].key, t->pair[k].key) == 0 &&
                       strcmp(s->pair[k].value, t->pair[k].value) == 0 &&
                       s->pair[k].line == t->pair[k].line;
        }
        OK(same, "sections, pairs and line numbers agree");
    }
    qd_cfg_free(b);
    qd_cfg_free(c);
    qd_buf_free(&one);
    qd_buf_free(&two);
}

static void printing(void)
{
    static const char *const texts[] = {
        "[net]",
        "[net]\n",
        "\xef\xbb\xbf[net]\r\nx = 1 # y\r\n",
        "# a\n\n ; b\n[ net ] # c\n x = 1\n junk\n y=\n x=2\n\n\n[yolo]\n# end",
        "[net]\r\nx=1\n\ry=2\r\r\n[yolo]\r\n",
        "\t[net]\n\n\n\n[a]\n[b]\n\n[c]\nz=1",
    };

    for (size_t i = 0; i < QD_LEN(texts); i++)
        fixed_point(texts[i], strlen(texts[i]));
    const char *path = tap_shared("models/yolo-fastest-1.1.cfg");
    if (!path)
        return;
    struct qd_buf b = {0};
    FILE *f = fopen(path, "rb");
    char chunk[4096];
    for (size_t n; f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        qd_buf_add(&b, chunk, n);
    if (f)
        fclose(f);
    fixed_point(b.data, b.len);
    qd_buf_free(&b);
}

static void setting(void)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = good("[net]\r\n  batch = 1 , 2\t ; why\r\n\r\n# about yolo\r\n[yolo]");

    if (!cfg)
        return;
    OK(qd_cfg_set(cfg, 0, "batch", "1,2", &err) == 0, "an equal value");
    OK(qd_cfg_section(cfg, 0)->pair[0].line == 2, "changes nothing");
    OK(qd_cfg_set(cfg, 0, "batch", " 6 4 ", &err) == 0, "a new value");
    OK(qd_cfg_set(cfg, 0, "seed", "7", &err) == 0, "a new key");
    OK(qd_cfg_set(cfg, 1, "mask", "0,1", &err) == 0, "a new key after a line without end");
    OK(qd_cfg_set(cfg, 1, "num", "3", &err) == 0, "and another");
    OK(qd_cfg_set(cfg, 1, "mask", "2", &err) == 0, "change what was added");
    prints_as(cfg,
        "[net]\r\n  batch = 64\t ; why\r\nseed=7\r\n\r\n# about yolo\r\n[yolo]\r\nmask=2\r\nnum=3",
        "indentation, comments, line ends and the missing last one stay");
    OK(qd_cfg_section(cfg, 0)->pair[0].line == 0, "an edited pair has no line");
    IS_STR(qd_cfg_get(cfg, 0, "batch"), "64", "get after set");
    IS_STR(qd_cfg_get(cfg, 1, "num"), "3", "get after set");
    struct qd_cfg *copy = qd_cfg_copy(cfg, &err);
    qd_cfg_free(cfg);
    prints_as(copy,
        "[net]\r\n  batch = 64\t ; why\r\nseed=7\r\n\r\n# about yolo\r\n[yolo]\r\nmask=2\r\nnum=3",
        "a copy of an edited document");
    OK(qd_cfg_set(copy, 0, "x", "1", NULL) == 0 && qd_cfg_section(copy, 0)->npairs == 3,
        "a copy can be edited");
    qd_cfg_free(copy);
    cfg = good("[net]\na=1\na=2\n");
    OK(qd_cfg_set(cfg, 0, "a", "3", &err) == 0, "with a duplicate");
    prints_as(cfg, "[net]\na=3\na=2\n", "the first is the one that changes");
    qd_cfg_free(cfg);
}

static void set_refused(void)
{
    static const char *const table[][3] = {
        {"a", "1\n2", "'1?2' cannot be the value of 'a'"},
        {"a", "1\r", "'1?' cannot be the value of 'a'"},
        {"a", "1#2", "'1#2' cannot be the value of 'a'"},
        {"a", "1;2", "'1;2' cannot be the value of 'a'"},
        {"a", "", "'' cannot be the value of 'a'"},
        {"a", " \t", "' ?' cannot be the value of 'a'"},
        {"a", "\x01", "'?' cannot be the value of 'a'"},
        {"", "1", "'' cannot be a key of a cfg"},
        {" ", "1", "' ' cannot be a key of a cfg"},
        {"a=b", "1", "'a=b' cannot be a key of a cfg"},
        {" [a", "1", "' [a' cannot be a key of a cfg"},
        {"a#b", "1", "'a#b' cannot be a key of a cfg"},
        {"a\nb", "1", "'a?b' cannot be a key of a cfg"},
    };
    struct qd_cfg *cfg = good("[net]\na=5\n");

    for (size_t i = 0; cfg && i < QD_LEN(table); i++) {
        struct qd_error err = {0};
        OK(qd_cfg_set(cfg, 0, table[i][0], table[i][1], &err) == -1 && err.code == QD_EARG,
            "refused");
        IS_STR(err.msg, table[i][2], "message");
    }
    struct qd_error err = {0};
    OK(qd_cfg_set(cfg, 1, "a", "1", &err) == -1, "no such section");
    IS_STR(err.msg, "a.cfg: no section 1, there are 1", "message");
    prints_as(cfg, "[net]\na=5\n", "nothing was changed");
    qd_cfg_free(cfg);
}

static void removing(void)
{
    static const char text[] = "[net]\n# one\n\n[a]\nx=1\n# of a\n\n# of b\n\n[b]\ny=2\n\n[c]\nz=3";
    struct qd_error err = {0};
    struct qd_cfg *cfg = good(text);

    OK(qd_cfg_remove(cfg, 0, &err) == -1, "[net] stays");
    IS_STR(err.msg, "a.cfg: section 0 cannot be removed, layers are 1 to 3", "message");
    OK(qd_cfg_remove(cfg, 4, NULL) == -1, "no such section");
    OK(qd_cfg_remove(cfg, 1, NULL) == 0 && qd_cfg_count(cfg) == 3, "remove [a]");
    prints_as(cfg, "[net]\n# one\n\n# of b\n\n[b]\ny=2\n\n[c]\nz=3",
        "its own comment goes, comments before it and before the next section stay");
    IS_STR(qd_cfg_section(cfg, 1)->name, "b", "sections move up");
    OK(qd_cfg_set(cfg, 1, "w", "4", NULL) == 0, "set after remove");
    OK(qd_cfg_remove(cfg, 2, NULL) == 0, "remove the last");
    prints_as(cfg, "[net]\n# one\n\n# of b\n\n[b]\ny=2\nw=4\n\n", "the last is gone");
    OK(qd_cfg_remove(cfg, 1, NULL) == 0 && qd_cfg_count(cfg) == 1, "remove [b]");
    prints_as(cfg, "[net]\n# one\n\n# of b\n\n", "only [net] is left");
    OK(qd_cfg_set(cfg, 0, "k", "1", NULL) == 0, "set in what is left");
    prints_as(cfg, "[net]\nk=1\n# one\n\n# of b\n\n", "a first key goes below the header");
    qd_cfg_free(cfg);
    cfg = good("[net]\n[a]\n#1\n\n#2\n\n[b]\n#3\n\n#4\n\n[c]\n");
    OK(qd_cfg_remove(cfg, 2, NULL) == 0 && qd_cfg_remove(cfg, 1, NULL) == 0, "remove two");
    prints_as(cfg, "[net]\n#2\n\n#4\n\n[c]\n", "what stayed once stays again");
    qd_cfg_free(cfg);
    cfg = good("[net]\na=1\n#of net\n[a]\nx=1\n\n# far\n\n ; near\n# nearest\n[b]\ny=2\n[c]\n");
    OK(qd_cfg_remove(cfg, 2, NULL) == 0, "remove [b]");
    prints_as(cfg, "[net]\na=1\n#of net\n[a]\nx=1\n\n# far\n\n[c]\n",
        "comments right above go, those above a blank line stay");
    OK(qd_cfg_remove(cfg, 1, NULL) == 0, "remove [a]");
    prints_as(cfg, "[net]\na=1\n#of net\n# far\n\n[c]\n", "what is below a key is the key's");
    qd_cfg_free(cfg);
}

static void overrides(void)
{
    static const char *const bad[][2] = {
        {"", "'' is not of the form 'section.key=value'"},
        {"net", "'net' is not of the form 'section.key=value'"},
        {"net.batch", "'net.batch' is not of the form 'section.key=value'"},
        {"batch=1.5", "'batch=1.5' is not of the form 'section.key=value'"},
        {"net.=1", "'' cannot be a key of a cfg"},
        {"net.batch=", "'' cannot be the value of 'batch'"},
        {"net.batch=1\n[x]", "'1?[x]' cannot be the value of 'batch'"},
        {".batch=1", "no [] section for '.batch' in 'a.cfg'"},
        {"region.x=1", "no [region] section for 'region.x' in 'a.cfg'"},
        {"4.x=1", "no layer 4 for '4.x', 'a.cfg' has 4 layers"},
        {"-1.x=1", "no layer -1 for '-1.x', 'a.cfg' has 4 layers"},
    };
    static const char text[] = "[net]\nbatch=1\n[conv]\n[yolo]\nclasses=80\n[convolutional]\n"
                               "filters=1\n[yolo]\nclasses=80\n";
    struct qd_cfg *cfg = good(text);

    for (size_t i = 0; cfg && i < QD_LEN(bad); i++) {
        struct qd_error err = {0};
        OK(qd_cfg_override(cfg, bad[i][0], &err) == -1 && err.code == QD_EARG, "refused");
        IS_STR(err.msg, bad[i][1], "message");
    }
    prints_as(cfg, text, "nothing was changed");
    OK(qd_cfg_override(cfg, "yolo.classes=3", NULL) == 0, "all sections of a name");
    OK(qd_cfg_override(cfg, "2.filters=24", NULL) == 0, "a layer number");
    OK(qd_cfg_override(cfg, "conv.pad=1", NULL) == 0, "both spellings of a name");
    OK(qd_cfg_override(cfg, "network.batch=a=b.c", NULL) == 0, "[net] by its other name");
    prints_as(cfg,
        "[net]\nbatch=a=b.c\n[conv]\npad=1\n[yolo]\nclasses=3\n[convolutional]\nfilters=24\n"
        "pad=1\n[yolo]\nclasses=3\n",
        "all of them");
    qd_cfg_free(cfg);
}

static void saving(void)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = good("[net]\r\nx=1");
    char path[400], want[500], back[64] = {0};

    snprintf(path, sizeof(path), "%s", tap_tmp("out.cfg"));
    OK(qd_cfg_save(cfg, path, false, &err) == 0, "save: %s", err.msg);
    OK(qd_cfg_save(cfg, path, false, &err) == -1, "not over a file");
    snprintf(want, sizeof(want), "'%s' exists already (use -f to replace it)", path);
    IS_STR(err.msg, want, "message");
    OK(qd_cfg_set(cfg, 0, "x", "2", NULL) == 0 && qd_cfg_save(cfg, path, true, NULL) == 0, "force");
    FILE *f = fopen(path, "rb");
    if (OK(f != NULL, "the file is there")) {
        OK(fread(back, 1, 63, f) == 10, "its size");
        IS_STR(back, "[net]\r\nx=2", "its content");
        fclose(f);
    }
    qd_cfg_free(cfg);
    cfg = qd_cfg_load(path, &err);
    IS_STR(cfg ? qd_cfg_name(cfg) : NULL, path, "load gives the path as name");
    qd_cfg_free(cfg);
}

/* Whatever allocation fails, the call fails cleanly. */
static void out_of_memory(void)
{
    static const char text[] = "[net]\na=1\n[yolo]\nb=2\n";
    bool clean = true;
    int done = 0;

    for (long n = 1; n < 200 && done < 1; n++) {
        struct qd_error err = {0};
        qd_alloc_fail_at(n);
        struct qd_cfg *cfg = qd_cfg_parse(text, sizeof(text) - 1, "a.cfg", &err);
        struct qd_cfg *copy = cfg ? qd_cfg_copy(cfg, &err) : NULL;
        struct qd_buf b = {0};
        bool ok = copy && qd_cfg_override(copy, "yolo.c=3", &err) == 0 &&
                  qd_cfg_set(copy, 1, "b", "44", &err) == 0;
        if (ok)
            qd_cfg_print(copy, &b);
        ok = ok && qd_buf_ok(&b, &err) == 0;
        qd_alloc_fail_at(0);
        clean = clean && ok == (err.code == QD_OK) && (ok || err.code == QD_ENOMEM);
        done += ok;
        qd_buf_free(&b);
        qd_cfg_free(copy);
        qd_cfg_free(cfg);
    }
    OK(clean && done == 1, "every failing allocation is reported");
}

int main(void)
{
    qd_log_set(sink, NULL);
    reading();
    warnings();
    refused();
    limits();
    printing();
    setting();
    set_refused();
    removing();
    overrides();
    saving();
    out_of_memory();
    return tap_done();
}
