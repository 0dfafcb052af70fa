/* SPDX-License-Identifier: MIT */
/*
 * The key tables of [net] and of all layer types as one list of rows, for documentation.
 */
#include "net/layer.h"

static const char *type_name(enum qd_key_type t)
{
    static const char *const names[] = {
        [QD_KEY_INT] = "int",
        [QD_KEY_FLOAT] = "float",
        [QD_KEY_WORD] = "word",
        [QD_KEY_INTS] = "ints",
        [QD_KEY_FLOATS] = "floats",
        [QD_KEY_LAYER] = "int",
        [QD_KEY_LAYERS] = "ints",
        [QD_KEY_TEXT] = "text",
        [QD_KEY_NOTED] = "noted",
        [QD_KEY_NOTED_LAYERS] = "noted",
        [QD_KEY_REFUSED] = "refused",
    };

    return names[t];
}

/* Row *i of one section, or false with *i reduced by the section's number of rows. */
static bool in_section(const char *section, const char *help, const struct qd_cfg_key *keys,
    size_t *i, struct qd_key_doc *row)
{
    size_t n = 0;

    if (*i == 0) {
        *row = (struct qd_key_doc){.section = section, .help = help};
        return true;
    }
    while (keys && keys[n].name)
        n++;
    if (*i > n) {
        *i -= n + 1;
        return false;
    }
    const struct qd_cfg_key *k = &keys[*i - 1];
    *row = (struct qd_key_doc){.section = section,
        .key = k->name,
        .type = type_name(k->type),
        .def = k->def,
        .choices = k->choices,
        .help = k->help,
        .min = k->min,
        .max = k->max};
    return true;
}

bool qd_key_doc(size_t i, struct qd_key_doc *row)
{
    if (in_section("net", "the network as a whole, and how it is trained", qd_net_keys, &i, row) ||
        in_section("*", "keys that every layer may have", qd_layer_common_keys, &i, row))
        return true;
    for (int t = 0; qd_layer_types[t]; t++)
        if (in_section(qd_layer_types[t]->section, qd_layer_types[t]->help, qd_layer_types[t]->keys,
                &i, row))
            return true;
    return false;
}
