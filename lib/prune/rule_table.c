/* SPDX-License-Identifier: MIT */
/*
 * The table of rules, which is in rule.h.
 */
#include "prune/rule.h"

#define NAME(symbol, name) name,
#define RULE(symbol, name) &qd_rule_##symbol,

static const char *const names[] = {QD_RULES(NAME) NULL};
static const struct qd_rule *const rules[] = {QD_RULES(RULE) NULL};

const char *const *qd_prune_rules(void)
{
    return names;
}

const struct qd_rule *qd_rule_find(const char *name)
{
    int i = 0;

    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    return rules[i];
}
