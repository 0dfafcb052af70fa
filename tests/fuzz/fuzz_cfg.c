/* SPDX-License-Identifier: MIT */
/* Cfg documents: printing gives the bytes back, printing and parsing is a fixed point also after
 * edits, and typed reading of any section survives anything. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "format/cfg.h"

static void fail(void)
{
    __builtin_trap();
}

static const struct qd_cfg_key table[] = {
    {"filters", QD_KEY_INT, "1", 1, 65536, NULL, "integer"},
    {"scale", QD_KEY_FLOAT, "1", 0, 2, NULL, "number"},
    {"activation", QD_KEY_WORD, "linear", 0, 0, "linear leaky mish relu", "word"},
    {"mask", QD_KEY_INTS, NULL, 0, 100, NULL, "integers"},
    {"anchors", QD_KEY_FLOATS, "1,2", 0, 0, NULL, "numbers"},
    {"text", QD_KEY_TEXT, NULL, 0, 0, NULL, "text"},
    {"flipped", QD_KEY_REFUSED, NULL, 0, 0, NULL, "refused"},
    {"blur", QD_KEY_NOTED, NULL, 0, 0, NULL, "noted"},
    QD_KEY_END,
};

static void read_keys(const struct qd_cfg *cfg, int section)
{
    struct qd_error err = {0};
    struct qd_keys k = qd_keys_open(cfg, section, table, NULL, &err);
    float floats[4];
    int ints[4];

    int filters = qd_key_int(&k, "filters"), n = qd_key_ints(&k, "mask", ints, 4);
    float scale = qd_key_float(&k, "scale");
    int m = qd_key_floats(&k, "anchors", floats, 4);
    if (filters < 1 || filters > 65536 || !(scale >= 0 && scale <= 2) || n < 0 || n > 4 || m < 1)
        fail();
    for (int i = 0; i < n; i++)
        if (ints[i] < 0 || ints[i] > 100)
            fail();
    if (!strstr("linear leaky mish relu", qd_key_word(&k, "activation")) ||
        qd_key_count(&k, "mask") < 0)
        fail();
    if ((qd_keys_check(&k) < 0) != (err.code != QD_OK) || strchr(err.msg, '\n'))
        fail();
}

/* Two documents have the same sections and pairs. */
static void compare(const struct qd_cfg *a, const struct qd_cfg *b)
{
    if (qd_cfg_count(a) != qd_cfg_count(b))
        fail();
    for (int i = 0; i < qd_cfg_count(a); i++) {
        const struct qd_cfg_section *s = qd_cfg_section(a, i), *t = qd_cfg_section(b, i);
        if (strcmp(s->name, t->name) != 0 || s->npairs != t->npairs)
            fail();
        for (int k = 0; k < s->npairs; k++)
            if (strcmp(s->pair[k].key, t->pair[k].key) != 0 ||
                strcmp(s->pair[k].value, t->pair[k].value) != 0)
                fail();
    }
}

/* Print, parse again, compare; 'data' not NULL: the text must be these bytes. */
static void round_trip(const struct qd_cfg *cfg, const uint8_t *data, size_t size)
{
    struct qd_buf one = {0}, two = {0};
    struct qd_error err = {0};

    qd_cfg_print(cfg, &one);
    if (data && (one.len != size || memcmp(one.data, data, size) != 0))
        fail();
    struct qd_cfg *again = qd_cfg_parse(one.data, one.len, "b.cfg", &err);
    if (!again)
        fail();
    compare(cfg, again);
    qd_cfg_print(again, &two);
    if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)
        fail();
    qd_cfg_free(again);
    qd_buf_free(&one);
    qd_buf_free(&two);
}

/* Edit a copy where the input says: the first bytes are as good a dice as any. */
static void edit(const struct qd_cfg *cfg, const uint8_t *data, size_t size)
{
    struct qd_cfg *copy = qd_cfg_copy(cfg, NULL);
    char text[64];

    if (!copy)
        fail();
    round_trip(copy, data, size);
    int section = data[size / 2] % qd_cfg_count(copy);
    size_t len = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    memcpy(text, data + (size - len), len);
    text[len] = 0;
    /* Whether an edit is refused does not matter, what is left must be whole. */
    int refused = qd_cfg_set(copy, section, "filters", text, NULL);
    refused += qd_cfg_set(copy, section, text, "1", NULL);
    refused += qd_cfg_override(copy, text, NULL);
    refused += qd_cfg_override(copy, "yolo.classes=3", NULL);
    round_trip(copy, NULL, 0);
    while (qd_cfg_count(copy) > 1) {
        section = 1 + data[size / 3] % (qd_cfg_count(copy) - 1);
        if (qd_cfg_remove(copy, section, NULL) < 0 || qd_cfg_count(copy) > 20)
            break;
        refused += qd_cfg_set(copy, section - 1, "after", "x", NULL);
        round_trip(copy, NULL, 0);
    }
    (void)refused;
    qd_cfg_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse((const char *)data, size, "a.cfg", &err);

    if (!cfg) {
        if (err.code == QD_OK || !*err.msg)
            fail();
        return 0;
    }
    for (int i = 0; i < qd_cfg_count(cfg); i++)
        read_keys(cfg, i);
    edit(cfg, data, size);
    qd_cfg_free(cfg);
    return 0;
}
