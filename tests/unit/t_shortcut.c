/* SPDX-License-Identifier: MIT */
/*
 * [shortcut] between layers of different size, as the ResNets have them: the wider source is read
 * at every s-th pixel, and only the channels that both have are added.
 */
#include <string.h>

#include "qd.h"
#include "tap.h"

enum { W = 8, H = 4, C = 3 };

/* The input at half the size (maximum over windows of one pixel), plus the input itself. */
static const char text[] = "[net]\nwidth=8\nheight=4\nchannels=3\n"
                           "[activation]\nactivation=linear\n"
                           "[maxpool]\nsize=1\nstride=2\npadding=0\n"
                           "[shortcut]\nfrom=-2\nactivation=leaky\n";
static const char uneven[] = "[net]\nwidth=8\nheight=4\nchannels=3\n"
                             "[activation]\nactivation=linear\n"
                             "[maxpool]\nsize=1\nstride_x=2\nstride_y=1\npadding=0\n"
                             "[shortcut]\nfrom=-2\n";

static void half(void)
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "half.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    struct qd_net *net = m ? qd_net_new(m, &(struct qd_net_opts){.batch = 2}, &err) : NULL;
    float in[2][C][H][W], out[C][H / 2][W / 2];
    bool same = true;

    if (!OK(net, "the net is built: %s", err.msg))
        goto done;
    for (int n = 0; n < 2; n++) {
        for (int i = 0; i < C * H * W; i++)
            (&in[n][0][0][0])[i] = tap_randf(-1, 1);
        qd_net_set_planar(net, n, &in[n][0][0][0]);
    }
    qd_net_forward(net);
    for (int n = 0; n < 2; n++) {
        OK(qd_net_output(net, 2, n, &out[0][0][0], &err) == 0, "output of picture %d", n);
        for (int c = 0; c < C; c++)
            for (int i = 0; i < H / 2 * (W / 2); i++) {
                float x = 2 * in[n][c][i / (W / 2) * 2][i % (W / 2) * 2];
                same &= out[c][i / (W / 2)][i % (W / 2)] == (x > 0 ? x : .1f * x);
            }
    }
    OK(same, "every second pixel of every second row is added");
done:
    qd_net_free(net);
    qd_model_free(m);
}

int main(void)
{
    struct qd_error err = {0};

    half();
    struct qd_cfg *cfg = qd_cfg_parse(uneven, strlen(uneven), "uneven.cfg", &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    OK(!m, "half as wide but as high: refused");
    IS_STR(err.msg,
        "uneven.cfg:13: [shortcut] cannot join layer 1 (4x4x3) and layer 0 (8x4x3): width and "
        "height must be equal",
        "message");
    qd_model_free(m);
    return tap_done();
}
