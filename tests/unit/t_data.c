/* SPDX-License-Identifier: MIT */
/* The small text files of a data set: names, lists, .data files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "base/base.h"

static char logged[4][600];
static int nlogged;

static void sink(void *ctx, enum qd_log_level level, const char *line)
{
    (void)ctx;
    if (nlogged < 4)
        snprintf(logged[nlogged], sizeof(logged[0]), "%d %s", (int)level, line);
    nlogged++;
}

static struct qd_error err;

/* Write a file below the temporary folder, which is the current one. */
static const char *put(const char *name, const char *text, size_t len)
{
    FILE *f = fopen(name, "wb");

    if (!f || fwrite(text, 1, len, f) != len || fclose(f) != 0)
        OK(false, "writing %s", name);
    err = (struct qd_error){0};
    nlogged = 0;
    return name;
}

static struct qd_names *names(const char *text)
{
    return qd_names_load(put("a.names", text, strlen(text)), &err);
}

static struct qd_list *list(const char *text)
{
    return qd_list_load(put("a.txt", text, strlen(text)), &err);
}

static struct qd_data *data(const char *text)
{
    return qd_data_load(put("a.data", text, strlen(text)), &err);
}

static void class_names(void)
{
    struct qd_names *n = names("\xef\xbb\xbfperson\r\ntraffic light\r\n a\xc3\xa4\r\n\r\n \t\r\n");

    if (OK(n != NULL, "loads: %s", err.msg)) {
        OK(qd_names_count(n) == 3, "blank lines at the end do not count");
        IS_STR(qd_names_get(n, 0), "person", "the byte-order mark goes");
        IS_STR(qd_names_get(n, 1), "traffic light", "a blank inside stays");
        IS_STR(qd_names_get(n, 2), " a\xc3\xa4", "a blank before stays");
        OK(!qd_names_get(n, 3) && !qd_names_get(n, -1), "out of range");
    }
    qd_names_free(n);
    n = names("one");
    OK(n && qd_names_count(n) == 1, "no line end");
    qd_names_free(n);
    OK(!names("a\n\n\nb\n") && err.code == QD_EFORMAT, "a blank line inside");
    IS_STR(err.msg, "a.names:2: blank line between the class names", "message");
    OK(!names(""), "an empty file");
    IS_STR(err.msg, "a.names: no class names", "message");
    OK(!names("\n \n"), "only blank lines");
    IS_STR(err.msg, "a.names: no class names", "message");
    OK(!names("a\nb\tc\n"), "a tab");
    IS_STR(err.msg, "a.names:2: control character in class name 'b?c'", "message");
    OK(!qd_names_load(put("z.names", "a\n\0b\n", 5), &err), "a zero byte");
    IS_STR(err.msg, "z.names:2: a zero byte: this is not a text file", "message");
    err = (struct qd_error){0};
    OK(!qd_names_load("none", &err) && err.code == QD_EIO, "no file");
    IS_STR(err.msg, "cannot open 'none': No such file or directory", "message");
    qd_names_free(NULL);
}

static void lists(void)
{
    struct qd_list *l =
        list("\xef\xbb\xbf/a/b c.jpg\r\n\r\n  \n C:\\x\\y.jpg \t\r\n#1.png\nlast; one.jpg");

    if (OK(l != NULL, "loads: %s", err.msg)) {
        OK(qd_list_count(l) == 4, "blank lines do not count");
        IS_STR(qd_list_get(l, 0), "/a/b c.jpg", "a blank inside stays");
        IS_STR(qd_list_get(l, 1), "C:\\x\\y.jpg", "backslashes stay, blanks at the ends go");
        IS_STR(qd_list_get(l, 2), "#1.png", "no comments");
        IS_STR(qd_list_get(l, 3), "last; one.jpg", "no line end");
        OK(!qd_list_get(l, 4), "out of range");
    }
    qd_list_free(l);
    OK(!list("\r\n \n"), "an empty list");
    IS_STR(err.msg, "a.txt: the list names no file", "message");
    OK(!qd_list_load(put("z.txt", "a\nb\0\n", 5), &err), "a zero byte");
    IS_STR(err.msg, "z.txt:2: a zero byte: this is not a text file", "message");
    char text[4000];
    size_t n = 0;
    for (int i = 0; i < 500; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "i%d\n", i);
    l = list(text);
    OK(l && qd_list_count(l) == 500 && strcmp(qd_list_get(l, 499), "i499") == 0, "500 entries");
    qd_list_free(l);
    qd_list_free(NULL);
}

static void data_values(void)
{
    struct qd_data *d = data("\xef\xbb\xbf# c\r\n; c\r\n classes = 3\r\ntrain = my list.txt # c\r\n"
                             "valid=a#1.txt\r\nna mes=n ;c\r\nclasses=4\r\nbackup=b=c");

    if (!OK(d != NULL, "loads: %s", err.msg))
        return;
    OK(qd_data_classes(d) == 3, "classes");
    IS_STR(qd_data_get(d, "train"), "mylist.txt", "a value as darknet sees it");
    IS_STR(qd_data_get(d, "valid"), "a#1.txt", "a number sign in a name");
    IS_STR(qd_data_get(d, "names"), "n", "blanks in a key, a comment");
    IS_STR(qd_data_get(d, "backup"), "b=c", "the first '=' splits");
    OK(!qd_data_get(d, "results"), "a missing key");
    OK(nlogged == 1, "one warning");
    IS_STR(logged[0], "0 a.data:7: duplicate key 'classes', the first value '3' of line 3 is used",
        "the first duplicate wins");
    qd_data_free(d);
    d = data("");
    OK(d && qd_data_classes(d) == 0, "an empty file");
    qd_data_free(d);
    qd_data_free(NULL);
}

static void data_warnings(void)
{
    struct qd_data *d = data("trian=x\nfoo=1\nvalid\nnames =\n");

    OK(d && nlogged == 4, "four warnings");
    IS_STR(logged[0], "0 a.data:1: unknown key 'trian', did you mean 'train'?", "near");
    IS_STR(logged[1], "0 a.data:2: unknown key 'foo'", "not near");
    IS_STR(logged[2], "0 a.data:3: no '=' for 'valid', the line is ignored", "no '='");
    IS_STR(
        logged[3], "0 a.data:4: no value after '=' for 'names', the line is ignored", "no value");
    qd_data_free(d);
    d = data("=x\n");
    IS_STR(logged[0], "0 a.data:1: no key before '=', the line is ignored", "no key");
    qd_data_free(d);
}

static void data_refused(void)
{
    static const char *const bad[][2] = {
        {"classes=abc", "a.data:1: 'classes=abc' is not an integer"},
        {"\nclasses=1.5", "a.data:2: 'classes=1.5' is not an integer"},
        {"classes=0", "a.data:1: 'classes=0' must be 1 to 1000000"},
        {"classes=-1", "a.data:1: 'classes=-1' must be 1 to 1000000"},
        {"classes=1000001", "a.data:1: 'classes=1000001' must be 1 to 1000000"},
        {"classes=2\n[net]\n", "a.data:2: '[net]' is a section of a cfg: this is not a .data file"},
    };
    char text[8000];
    size_t n = 0;

    for (size_t i = 0; i < QD_LEN(bad); i++) {
        OK(!data(bad[i][0]) && err.code == QD_EFORMAT, "refused");
        IS_STR(err.msg, bad[i][1], "message");
    }
    OK(!qd_data_load(put("z.data", "a=\0\n", 4), &err), "a zero byte");
    IS_STR(err.msg, "z.data:1: a zero byte: this is not a text file", "message");
    for (int i = 0; i < 257; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "key%d=1\n", i);
    OK(!data(text), "too many keys");
    IS_STR(err.msg, "a.data:257: more than 256 keys", "message");
    put("big.data", "", 0);
    OK(truncate("big.data", (1 << 20) + 1) == 0 && !qd_data_load("big.data", &err), "too large");
    IS_STR(err.msg, "big.data: file is larger than the limit of 1048576 bytes", "message");
}

static void paths(void)
{
    put("here.txt", "", 0);
    put("with blank.txt", "", 0);
    put("withblank.txt", "", 0);
    put("other.txt", "", 0);
    OK(mkdir("sub", 0777) == 0, "a folder");
    put("sub/here.txt", "", 0);
    put("sub/there.txt", "", 0);
    static const char text[] = "train=here.txt\nvalid=there.txt\nnames=none.txt\n"
                               "map=with blank.txt\nlabels= oth er.txt\ntree=/none/x\n";
    struct qd_data *d = qd_data_load(put("sub/a.data", text, strlen(text)), &err);
    if (OK(d != NULL, "loads")) {
        IS_STR(qd_data_path(d, "train", &err), "here.txt", "the current folder comes first");
        OK(nlogged == 0, "without a note");
        IS_STR(qd_data_path(d, "valid", &err), "sub/there.txt", "then the file's folder");
        IS_STR(logged[0], "1 sub/a.data:2: 'valid' is 'sub/there.txt'", "with a note");
        IS_STR(qd_data_path(d, "valid", &err), "sub/there.txt", "again");
        OK(nlogged == 1, "without another note");
        IS_STR(qd_data_path(d, "map", &err), "with blank.txt", "a path with a blank");
        IS_STR(qd_data_path(d, "labels", &err), "other.txt", "a path without, as darknet reads it");
        OK(!qd_data_path(d, "names", &err) && err.code == QD_EIO, "nowhere");
        IS_STR(err.msg, "sub/a.data:3: cannot find 'none.txt' of 'names', also not in 'sub/'",
            "message");
        err = (struct qd_error){0};
        OK(!qd_data_path(d, "tree", &err), "nowhere, absolute");
        IS_STR(err.msg, "sub/a.data:6: cannot find '/none/x' of 'tree'", "message");
        err = (struct qd_error){0};
        OK(!qd_data_path(d, "backup", &err) && err.code == QD_EFORMAT, "a missing key");
        IS_STR(err.msg, "sub/a.data: key 'backup' is missing", "message");
    }
    qd_data_free(d);
    d = data("names=none.txt\n");
    err = (struct qd_error){0};
    OK(d && !qd_data_path(d, "names", &err), "a file without a folder");
    IS_STR(err.msg, "a.data:1: cannot find 'none.txt' of 'names'", "message");
    qd_data_free(d);
    unlink("sub/here.txt");
    unlink("sub/there.txt");
    unlink("sub/a.data");
    OK(rmdir("sub") == 0, "clean");
}

/* Every allocation fails once. */
static void out_of_memory(void)
{
    bool clean = true;
    int done = 0;

    put("m.txt", "a\nb\n", 4);
    put("m.data", "train=x y\nclasses=2\n", 20);
    for (long n = 1; n < 100 && !done; n++) {
        err = (struct qd_error){0};
        qd_alloc_fail_at(n);
        struct qd_names *a = qd_names_load("m.txt", &err);
        struct qd_list *l = a ? qd_list_load("m.txt", &err) : NULL;
        struct qd_data *d = l ? qd_data_load("m.data", &err) : NULL;
        qd_alloc_fail_at(0);
        done = d != NULL;
        clean = clean && (done ? err.code == QD_OK : err.code == QD_ENOMEM);
        qd_names_free(a);
        qd_list_free(l);
        qd_data_free(d);
    }
    OK(clean && done, "every failing allocation is reported");
}

static void real(void)
{
    const char *path = tap_shared("coco128/coco.names");
    struct qd_names *n = path ? qd_names_load(path, &err) : NULL;

    if (path)
        OK(n && qd_names_count(n) == 80 && strcmp(qd_names_get(n, 79), "toothbrush") == 0,
            "the names of COCO");
    qd_names_free(n);
}

int main(void)
{
    char dir[300];

    real(); /* the way to the data may be relative */
    qd_log_set(sink, NULL);
    snprintf(dir, sizeof(dir), "%s", tap_tmp(""));
    if (chdir(dir) != 0)
        return 99;
    class_names();
    lists();
    data_values();
    data_warnings();
    data_refused();
    paths();
    out_of_memory();
    return tap_done();
}
