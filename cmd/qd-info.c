/* SPDX-License-Identifier: MIT */
/*
 * qd-info: what a network is made of: one line a layer, then the totals.  Reading the weights as
 * well checks that they fit; with -o the model is written again, with its overrides, or with random
 * parameters for a first try.
 */
#include <stdio.h>

#include "cmd.h"

static bool keys;
static int seed = -1;

static const struct cmd_opt opts[] = {CMD_OPT_CFG, CMD_OPT_WEIGHTS, CMD_OPT_OVERRIDE,
    CMD_OPT_OUTPUT("PREFIX", "write the model to PREFIX.cfg and PREFIX.weights"),
    {'r', "random", CMD_INT, &seed, "SEED", "random parameters instead of -w [off]", 0, 2147483647,
        false},
    {'k', "keys", CMD_FLAG, &keys, NULL, "list all keys of the cfg format instead", 0, 0, false},
    CMD_OPT_FORCE, {0}};

static const struct cmd_info info = {
    "qd-info", "", "show the layers, parameters and cost of a network", opts, 0, 0};

/* Section, key, type, default, smallest, largest, choices, help; "-" where there is none. */
static void print_keys(void)
{
    struct qd_key_doc d;

    printf("# section\tkey\ttype\tdefault\tmin\tmax\tchoices\thelp\n");
    for (size_t i = 0; qd_key_doc(i, &d); i++) {
        bool range = d.min != 0 || d.max != 0;
        char lo[32] = "-", hi[32] = "-";
        if (range) {
            snprintf(lo, sizeof(lo), "%.9g", d.min);
            snprintf(hi, sizeof(hi), "%.9g", d.max);
        }
        printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.section, d.key ? d.key : "-",
            d.type ? d.type : "-", d.def && *d.def ? d.def : "-", lo, hi,
            d.choices ? d.choices : "-", d.help ? d.help : "-");
    }
}

static void print_layers(const struct qd_model *m)
{
    unsigned long long params = 0, trained = 0, macs = 0;

    printf("# layer\tsection\twhat\tinput\toutput\tparams\tmacs\n");
    for (int i = 0; i < qd_model_layers(m); i++) {
        struct qd_layer_info l;
        qd_model_layer(m, i, &l);
        printf("%d\t%s\t%s\t%dx%dx%d\t%dx%dx%d\t%llu\t%llu\n", i, l.section,
            l.detail[0] ? l.detail : "-", l.iw, l.ih, l.ic, l.w, l.h, l.c,
            (unsigned long long)l.params, (unsigned long long)l.macs);
        params += l.params;
        trained += l.trained;
        macs += l.macs;
    }
    printf("params\t%llu\n", params);
    printf("trained\t%llu\n", trained);
    printf("macs\t%llu\n", macs);
    printf("gflops\t%.6f\n", 2e-9 * (double)macs);
    printf("weights_bytes\t%llu\n", 4 * params + 20);
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};

    cmd_parse(&info, argc, argv);
    if (keys) {
        print_keys();
        return cmd_finish();
    }
    if (!cmd.cfg)
        return cmd_misuse("-c FILE is needed");
    if (seed >= 0 && cmd.weights)
        return cmd_misuse("-r and -w exclude each other");
    if (cmd.output && seed < 0 && !cmd.weights)
        return cmd_misuse("-o needs -w FILE or -r SEED");
    struct qd_model *m = cmd_model(&err);
    if (!m)
        return cmd_fail(&err);
    int ret = seed >= 0 ? qd_model_settle(m, (uint64_t)seed, &err) : 0;
    if (ret == 0 && cmd.output)
        ret = cmd_save(m, cmd.output, &err);
    if (ret == 0 && !cmd.output)
        print_layers(m);
    qd_model_free(m);
    return ret < 0 ? cmd_fail(&err) : cmd_finish();
}
