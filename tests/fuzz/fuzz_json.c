/* SPDX-License-Identifier: MIT */
/* JSON: reading over a text and walking it by type agree about whether it is right, and every
 * string that was read survives being written and read. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "format/json.h"

static void fail(void)
{
    __builtin_trap();
}

static void string(struct qd_json *j)
{
    struct qd_buf b = {0};
    struct qd_json k;
    const char *s = qd_json_string(j);

    qd_json_put_str(&b, s);
    qd_json_open(&k, b.data, b.len, "again", NULL);
    if (strcmp(qd_json_string(&k), s) != 0 || qd_json_close(&k) < 0)
        fail();
    qd_buf_free(&b);
}

static void walk(struct qd_json *j)
{
    switch (qd_json_peek(j)) {
    case QD_JSON_OBJECT:
        for (qd_json_object(j); qd_json_key(j);)
            walk(j);
        break;
    case QD_JSON_ARRAY:
        for (qd_json_array(j); qd_json_more(j);)
            walk(j);
        break;
    case QD_JSON_STRING:
        string(j);
        break;
    case QD_JSON_NUMBER:
        (void)qd_json_double(j);
        break;
    case QD_JSON_BOOL:
        (void)qd_json_bool(j);
        break;
    default:
        qd_json_skip(j);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qd_error one = {0}, two = {0};
    struct qd_json j;

    qd_json_open(&j, (const char *)data, size, "a.json", &one);
    qd_json_skip(&j);
    int skipped = qd_json_close(&j);
    qd_json_open(&j, (const char *)data, size, "a.json", &two);
    walk(&j);
    int walked = qd_json_close(&j);
    if (skipped != walked || (skipped < 0) != (one.code != QD_OK) || strcmp(one.msg, two.msg) != 0)
        fail();
    qd_json_open(&j, (const char *)data, size, "a.json", NULL);
    double v[3];
    qd_json_numbers(&j, v, 3);
    if (qd_json_close(&j) == 0 && skipped < 0)
        fail();
    return 0;
}
