/* SPDX-License-Identifier: MIT */
/* Reading JSON and TSV, writing JSON: what is accepted, and the message for what is not. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "base/io.h"
#include "base/num.h"
#include "format/json.h"
#include "format/tsv.h"

static struct qd_error err;

static struct qd_json open_text(const char *text)
{
    struct qd_json j;

    err = (struct qd_error){0};
    qd_json_open(&j, text, strlen(text), "a.json", &err);
    return j;
}

/* -------------------------------------------------------------------- JSON -------------------- */

static void detections(void)
{
    struct qd_json j =
        open_text("\xef\xbb\xbf[\n {\"image_id\":9, \"bbox\":[1,2.5,-3e-1,4E2],\r\n"
                  "\t\"extra\":{\"a\":[null,true,{}],\"b\":\"]}\"},\"score\":0.25},\n"
                  " {\"score\":1,\"image_id\":12.0}, {} ]\n ");

    for (int pass = 0; pass < 2; pass++) {
        double box[4] = {0}, score = 0;
        long long id = 0;
        const char *key;
        int n = 0;
        for (qd_json_array(&j); qd_json_more(&j); n++) {
            qd_json_object(&j);
            while ((key = qd_json_key(&j))) {
                if (strcmp(key, "image_id") == 0)
                    id = 100 * id + qd_json_int(&j, 0, 1000);
                else if (strcmp(key, "bbox") == 0)
                    qd_json_numbers(&j, box, 4);
                else if (strcmp(key, "score") == 0)
                    score += qd_json_double(&j);
                else
                    qd_json_skip(&j);
            }
        }
        OK(n == 3 && id == 912 && score == 1.25, "three objects, pass %d: %s", pass, err.msg);
        OK(box[0] == 1 && box[1] == 2.5 && box[2] == -.3 && box[3] == 400, "four numbers");
        OK(qd_json_peek(&j) == QD_JSON_NONE, "nothing comes after the value");
        if (pass == 0)
            qd_json_rewind(&j);
    }
    OK(qd_json_close(&j) == 0 && err.code == QD_OK, "a clean end");
}

static void types(void)
{
    static const enum qd_json_type want[] = {QD_JSON_NULL, QD_JSON_BOOL, QD_JSON_BOOL,
        QD_JSON_NUMBER, QD_JSON_STRING, QD_JSON_ARRAY, QD_JSON_OBJECT};
    struct qd_json j = open_text("[null,true,false,-0,\"x\",[],{}]");
    size_t n = 0;

    qd_json_array(&j);
    while (qd_json_more(&j) && n < QD_LEN(want)) {
        enum qd_json_type t = qd_json_peek(&j);
        OK(t == want[n], "type %zu", n);
        if (t == QD_JSON_BOOL)
            OK(qd_json_bool(&j) == (n == 1), "true or false");
        else
            qd_json_skip(&j);
        n++;
    }
    OK(n == QD_LEN(want) && qd_json_close(&j) == 0, "all of them");
}

static void strings(void)
{
    static const char *const table[][2] = {
        {"\"\"", ""},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e4\\u20AC\\ud83d\\uDE00\"", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
            "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\x7f"},
        {"\"a\\\\u0041\"", "a\\u0041"},
    };

    for (size_t i = 0; i < QD_LEN(table); i++) {
        struct qd_json j = open_text(table[i][0]);
        IS_STR(qd_json_string(&j), table[i][1], "%s", table[i][0]);
        OK(qd_json_close(&j) == 0, "closes");
    }
}

static void bad_text(void)
{
    static const char *const table[][2] = {
        {"", "a.json:1: a value expected, not the end of the file"},
        {" \n", "a.json:2: a value expected, not the end of the file"},
        {"[", "a.json:1: a value expected, not the end of the file"},
        {"[1", "a.json:1: ',' or ']' expected, not the end of the file"},
        {"[1,]", "a.json:1: a value expected, not ']'"},
        {"[,1]", "a.json:1: a value expected, not ','"},
        {"[1 2]", "a.json:1: ',' or ']' expected, not '2'"},
        {"[1}", "a.json:1: ',' or ']' expected, not '}'"},
        {"[]\n[]", "a.json:2: the end of the file expected, not '['"},
        {"{", "a.json:1: a key in quotes expected, not the end of the file"},
        {"{a:1}", "a.json:1: a key in quotes expected, not 'a'"},
        {"{\"a\"}", "a.json:1: ':' expected, not '}'"},
        {"{\"a\":}", "a.json:1: a value expected, not '}'"},
        {"{\"a\":1,}", "a.json:1: a key in quotes expected, not '}'"},
        {"{\"a\":1 \"b\":2}", "a.json:1: ',' or '}' expected, not '\"'"},
        {"{\"a\":1]", "a.json:1: ',' or '}' expected, not ']'"},
        {"// no", "a.json:1: a value expected, not '/'"},
        {"\x01", "a.json:1: a value expected, not 0x01"},
        {"nul", "a.json:1: a value begins like 'null' but is not"},
        {"nullx", "a.json:1: a value begins like 'null' but is not"},
        {"True", "a.json:1: a value expected, not 'T'"},
        {"[truefalse]", "a.json:1: a value begins like 'true' but is not"},
        {"[fals]", "a.json:1: a value begins like 'false' but is not"},
        {"NaN", "a.json:1: a value expected, not 'N'"},
        {"+1", "a.json:1: a value expected, not '+'"},
        {".5", "a.json:1: a value expected, not '.'"},
        {"01", "a.json:1: '01' is not a number"},
        {"[1.]", "a.json:1: '1.' is not a number"},
        {"-", "a.json:1: '-' is not a number"},
        {"-a", "a.json:1: '-a' is not a number"},
        {"1e", "a.json:1: '1e' is not a number"},
        {"1e+", "a.json:1: '1e+' is not a number"},
        {"0x10", "a.json:1: '0x10' is not a number"},
        {"[1_0]", "a.json:1: '1_0' is not a number"},
        {"1e999", "a.json:1: number '1e999' is too large or too long"},
        {"\"a", "a.json:1: the end of the string expected, not the end of the file"},
        {"\"a\\", "a.json:1: an escape after '\\' expected, not the end of the file"},
        {"\"\\x\"", "a.json:1: an escape after '\\' expected, not 'x'"},
        {"\"a\nb\"", "a.json:1: the end of the string expected, not 0x0a"},
        {"\"\\u12\"", "a.json:1: '\\u' is not followed by four hexadecimal digits"},
        {"\"\\u12g4\"", "a.json:1: '\\u' is not followed by four hexadecimal digits"},
        {"\"\\u0000\"", "a.json:1: a zero character in a string"},
        {"\"\\ud800\"", "a.json:1: half a surrogate pair in a string"},
        {"\"\\ud800\\u0041\"", "a.json:1: half a surrogate pair in a string"},
        {"\"\\udc00\\ud800\"", "a.json:1: half a surrogate pair in a string"},
        {"\"\x80\"", "a.json:1: a string is not UTF-8"},
        {"\"\xc0\x80\"", "a.json:1: a string is not UTF-8"},
        {"\"\xe0\x9f\xbf\"", "a.json:1: a string is not UTF-8"},
        {"\"\xed\xa0\x80\"", "a.json:1: a string is not UTF-8"},
        {"\"\xf0\x8f\xbf\xbf\"", "a.json:1: a string is not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "a.json:1: a string is not UTF-8"},
        {"\"\xe2\x82", "a.json:1: a string is not UTF-8"},
    };

    for (size_t i = 0; i < QD_LEN(table); i++) {
        struct qd_json j = open_text(table[i][0]);
        qd_json_skip(&j);
        OK(qd_json_close(&j) == -1 && err.code == QD_EFORMAT, "refused");
        IS_STR(err.msg, table[i][1], "message");
    }
    struct qd_json j = open_text("");
    OK(qd_json_close(&j) == -1, "nothing read, nothing there");
    IS_STR(err.msg, "a.json:1: a value expected, not the end of the file", "message");
    j = open_text("[1");
    qd_json_array(&j);
    qd_json_more(&j);
    qd_json_int(&j, 0, 9);
    OK(qd_json_close(&j) == -1, "closed inside an array");
    IS_STR(err.msg, "a.json:1: ']' expected, not the end of the file", "message");
    err = (struct qd_error){0};
    qd_json_open(&j, "\"a\0b\"", 5, "a.json", &err);
    qd_json_skip(&j);
    OK(qd_json_close(&j) == -1, "a zero byte");
    IS_STR(err.msg, "a.json:1: the end of the string expected, not 0x00", "message");
}

/* Reads that want something else than what is there. */
static void bad_types(void)
{
    static const char *const table[][2] = {
        {"o1", "a.json:1: an object expected, not '1'"},
        {"a{}", "a.json:1: an array expected, not '{'"},
        {"i\"1\"", "a.json:1: a number expected, not '\"'"},
        {"i1.5", "a.json:1: '1.5' is not an integer in range"},
        {"i1e300", "a.json:1: '1e300' is not an integer in range"},
        {"i11", "a.json:1: '11' must be 0 to 10"},
        {"i-1", "a.json:1: '-1' must be 0 to 10"},
        {"i1.1e1", "a.json:1: '1.1e1' must be 0 to 10"},
        {"i99999999999999999999", "a.json:1: '99999999999999999999' is not an integer in range"},
        {"dtrue", "a.json:1: a number expected, not 't'"},
        {"s1", "a.json:1: a string expected, not '1'"},
        {"b1", "a.json:1: 'true' or 'false' expected, not '1'"},
        {"n[1,2]", "a.json:1: an array of 3 numbers expected, this one has 2"},
        {"n[1,2,3,4]", "a.json:1: an array of 3 numbers expected, this one is longer"},
        {"n[1,\n\"2\",3]", "a.json:2: a number expected, not '\"'"},
        {"n{}", "a.json:1: an array expected, not '{'"},
    };
    double v[3];

    for (size_t i = 0; i < QD_LEN(table); i++) {
        struct qd_json j = open_text(table[i][0] + 1);
        switch (table[i][0][0]) {
        case 'o':
            qd_json_object(&j);
            OK(!qd_json_key(&j), "no key after a fault");
            break;
        case 'a':
            qd_json_array(&j);
            OK(!qd_json_more(&j), "no element after a fault");
            break;
        case 'i':
            OK(qd_json_int(&j, 0, 10) == 0, "0 after a fault");
            break;
        case 'd':
            OK(qd_json_double(&j) == 0, "0 after a fault");
            break;
        case 's':
            IS_STR(qd_json_string(&j), "", "empty after a fault");
            break;
        case 'b':
            OK(!qd_json_bool(&j), "false after a fault");
            break;
        default:
            qd_json_numbers(&j, v, 3);
        }
        OK(qd_json_close(&j) == -1, "refused");
        IS_STR(err.msg, table[i][1], "message");
    }
    struct qd_json j = open_text("\n7");
    qd_json_int(&j, 0, 10);
    OK(qd_json_fault(&j, "no image %d", 7) == -1 && qd_json_fault(&j, "second") == -1, "a fault");
    OK(qd_json_close(&j) == -1, "of the caller");
    IS_STR(err.msg, "a.json:2: no image 7", "message");
}

static void depth(void)
{
    char text[200];

    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    text[128] = 0;
    struct qd_json j = open_text(text);
    qd_json_skip(&j);
    OK(qd_json_close(&j) == 0, "64 deep: %s", err.msg);
    memset(text, '[', 65);
    j = open_text(text);
    qd_json_skip(&j);
    OK(qd_json_close(&j) == -1, "65 deep");
    IS_STR(err.msg, "a.json:1: values are nested more than 64 deep", "message");
}

static void json_files(void)
{
    const char *path = tap_tmp("a.json");
    struct qd_json j;

    OK(qd_io_put(path, true, "[1]", 3, NULL) == 0, "write");
    OK(qd_json_load(&j, path, NULL) == 0, "load");
    qd_json_skip(&j);
    OK(qd_json_close(&j) == 0, "close");
    OK(qd_io_put(path, true, "", 0, NULL) == 0 && qd_json_load(&j, path, NULL) == 0, "empty");
    OK(qd_json_close(&j) == -1, "is no value");
    err = (struct qd_error){0};
    OK(qd_json_load(&j, tap_tmp("none"), &err) == -1 && err.code == QD_EIO, "no file");
    const char *real = tap_shared("coco128/darknet-detections.json");
    if (!real)
        return;
    err = (struct qd_error){0};
    int n = 0;
    double sum = 0, box[4];
    const char *key;
    OK(qd_json_load(&j, real, &err) == 0, "detections");
    for (qd_json_array(&j); qd_json_more(&j); n++) {
        qd_json_object(&j);
        while ((key = qd_json_key(&j)))
            if (strcmp(key, "bbox") == 0)
                qd_json_numbers(&j, box, 4);
            else
                sum += qd_json_double(&j);
    }
    OK(qd_json_close(&j) == 0 && n > 5000 && sum > 0, "%d of them: %s", n, err.msg);
}

/* Numbers are the doubles that the strict parser of base gives, whichever way they are read. */
static void exact(void)
{
    char text[40];
    int wrong = 0;

    for (int i = 0; i < 20000; i++) {
        double want = 0;
        long long v =
            (long long)(((uint64_t)tap_rand() << 32 | tap_rand()) >> (1 + tap_rand() % 61));
        snprintf(text, sizeof(text), "%s%lld.%u", i % 2 ? "-" : "", v >> (tap_rand() % 40),
            tap_rand() >> (tap_rand() % 32));
        struct qd_json j = open_text(text);
        double x = qd_json_double(&j);
        wrong += qd_json_close(&j) < 0 || !qd_num_double(text, &want) || x != want;
    }
    OK(wrong == 0, "20000 numbers, %d of them wrong", wrong);
    struct qd_json j = open_text("-0");
    OK(signbit(qd_json_double(&j)) && qd_json_close(&j) == 0, "-0 keeps its sign");
}

static void out_of_memory(void)
{
    bool clean = true;
    int done = 0;

    for (long n = 1; n < 20 && !done; n++) {
        struct qd_json j = open_text("{\"key\":\"\\tvalue\"}");
        qd_alloc_fail_at(n);
        qd_json_skip(&j);
        qd_alloc_fail_at(0);
        done = qd_json_close(&j) == 0;
        clean = clean && (done ? err.code == QD_OK : err.code == QD_ENOMEM);
    }
    OK(clean && done, "every failing allocation is reported");
}

/* -------------------------------------------------------------------- writing ----------------- */

static void written(double x, int decimals, const char *want)
{
    struct qd_buf b = {0};

    qd_json_put_num(&b, x, decimals);
    IS_STR(b.data, want, "%g with %d decimals", x, decimals);
    qd_buf_free(&b);
}

static void writing(void)
{
    struct qd_buf b = {0};

    written(0, 3, "0");
    written(1.5, 3, "1.5");
    written(-1.25, 1, "-1.2");
    written(100, 0, "100");
    written(100, 2, "100");
    written(1e15, 2, "1000000000000000");
    written(.0004, 3, "0");
    written(.123456789, 6, "0.123457");
    written((double)NAN, 3, "null");
    written((double)INFINITY, 3, "null");
    OK((qd_json_put_num(&b, -1.7976931348623157e308, 12), b.len == 310), "the largest number");
    b.len = 0;
    qd_json_put_str(&b, "a\"\\\n\x01\x7f\xc3\xa4\xff/\xe2\x82");
    IS_STR(b.data,
        "\"a\\\"\\\\\\u000a\\u0001\\u007f\xc3\xa4\xef\xbf\xbd/\xef\xbf\xbd\xef\xbf\xbd\"",
        "a string");
    struct qd_json j = open_text(b.data);
    IS_STR(qd_json_string(&j), "a\"\\\n\x01\x7f\xc3\xa4\xef\xbf\xbd/\xef\xbf\xbd\xef\xbf\xbd",
        "what was written can be read");
    OK(qd_json_close(&j) == 0, "closes");
    qd_buf_free(&b);
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        written(1.5, 3, "1.5");
    else
        tap_skip("no locale with a decimal comma");
    setlocale(LC_NUMERIC, "C");
}

/* -------------------------------------------------------------------- TSV --------------------- */

static void records(void)
{
    static const char text[] = "\xef\xbb\xbf# comment\r\na\t1\t2.5\r\n\r\n \t\n\t\t\nx\ty\tz";
    char *path = NULL, copy[300];
    struct qd_tsv t;
    char *f[3];
    double d = 0;
    long long i = 0;

    snprintf(copy, sizeof(copy), "%s", tap_tmp("a.tsv"));
    path = copy;
    OK(qd_io_put(path, true, text, sizeof(text) - 1, NULL) == 0, "write");
    err = (struct qd_error){0};
    if (!OK(qd_tsv_load(&t, path, &err) == 0, "load: %s", err.msg))
        return;
    OK(qd_tsv_next(&t, f, 3, &err) == 3 && t.line == 2, "a record");
    OK(strcmp(f[0], "a") == 0 && strcmp(f[1], "1") == 0 && strcmp(f[2], "2.5") == 0, "fields");
    OK(qd_tsv_int(&t, f, 1, (struct qd_tsv_range){0, 5}, &i, &err) == 0 && i == 1, "an integer");
    OK(qd_tsv_double(&t, f, 2, &d, &err) == 0 && d == 2.5, "a number");
    char want[500];
    OK(qd_tsv_double(&t, f, 0, &d, &err) == -1, "no number");
    snprintf(want, sizeof(want), "%s:2: field 1, 'a', is not a number", path);
    IS_STR(err.msg, want, "message");
    err = (struct qd_error){0};
    OK(qd_tsv_int(&t, f, 2, (struct qd_tsv_range){0, 5}, &i, &err) == -1, "no integer");
    snprintf(want, sizeof(want), "%s:2: field 3, '2.5', is not an integer", path);
    IS_STR(err.msg, want, "message");
    err = (struct qd_error){0};
    OK(qd_tsv_int(&t, f, 1, (struct qd_tsv_range){2, 5}, &i, &err) == -1 && i == 1, "range");
    snprintf(want, sizeof(want), "%s:2: field 2, '1', must be 2 to 5", path);
    IS_STR(err.msg, want, "message");
    err = (struct qd_error){0};
    OK(qd_tsv_next(&t, f, 2, &err) == -1, "too many fields");
    snprintf(want, sizeof(want), "%s:6: more than 2 fields, separated by tabs", path);
    IS_STR(err.msg, want, "message");
    OK(qd_tsv_next(&t, f, 3, &err) == 0, "the end");
    qd_tsv_close(&t);
    OK(qd_io_put(path, true, "a\n\0\n", 4, NULL) == 0 && qd_tsv_load(&t, path, NULL) == 0, "load");
    err = (struct qd_error){0};
    OK(qd_tsv_next(&t, f, 3, &err) == 1 && qd_tsv_next(&t, f, 3, &err) == -1, "a zero byte");
    snprintf(want, sizeof(want), "%s:2: a zero byte in the text", path);
    IS_STR(err.msg, want, "message");
    qd_tsv_close(&t);
    OK(qd_io_put(path, true, "", 0, NULL) == 0 && qd_tsv_load(&t, path, NULL) == 0, "empty");
    OK(qd_tsv_next(&t, f, 3, NULL) == 0, "has no record");
    qd_tsv_close(&t);
    OK(qd_tsv_load(&t, tap_tmp("none"), NULL) == -1, "no file");
    char line[] = "\ta\t";
    OK(qd_tsv_split(line, f, 3) == 3 && !*f[0] && !*f[2] && *f[1] == 'a', "empty fields");
}

int main(void)
{
    detections();
    types();
    strings();
    bad_text();
    bad_types();
    depth();
    json_files();
    exact();
    out_of_memory();
    writing();
    records();
    return tap_done();
}
