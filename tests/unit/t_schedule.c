/* SPDX-License-Identifier: MIT */
/* Learning rates of all policies at the iterations where something happens. */
#include "tap.h"

#include <string.h>

#include "base/base.h"
#include "train/schedule.h"

static const struct {
    const char *keys;
    int n;
    double rate;
} list[] = {
    {"learning_rate=.1\n", 1, .1},
    {"learning_rate=.1\nburn_in=10\n", 1, 1e-5},
    {"learning_rate=.1\nburn_in=10\n", 5, .00625},
    {"learning_rate=.1\nburn_in=10\n", 9, .06561},
    {"learning_rate=.1\nburn_in=10\n", 10, .1},
    {"learning_rate=.1\nburn_in=10\npower=1\n", 5, .05},
    {"policy=step\nstep=10\nscale=.5\nlearning_rate=1\n", 9, 1},
    {"policy=step\nstep=10\nscale=.5\nlearning_rate=1\n", 10, .5},
    {"policy=step\nstep=10\nscale=.5\nlearning_rate=1\n", 29, .25},
    {"policy=steps\nsteps=-1,4,8\nscales=.1,10,.5\nlearning_rate=1\n", 3, .1},
    {"policy=steps\nsteps=-1,4,8\nscales=.1,10,.5\nlearning_rate=1\n", 4, 1},
    {"policy=steps\nsteps=-1,4,8\nscales=.1,10,.5\nlearning_rate=1\n", 8, .5},
    {"policy=exp\ngamma=.9\nlearning_rate=1\n", 2, .81},
    {"policy=poly\npower=2\nlearning_rate=1\n", 25, .5625},
    {"policy=poly\npower=2\nlearning_rate=1\n", 100, 0},
    {"policy=sigmoid\ngamma=1\nstep=7\nlearning_rate=1\n", 7, .5},
    {"policy=sigmoid\ngamma=1\nstep=7\nlearning_rate=1\n", 8, .2689414213699951},
    {"policy=sgdr\nsgdr_cycle=10\nlearning_rate=1\nlearning_rate_min=0\n", 5, .5},
    {"policy=sgdr\nsgdr_cycle=10\nlearning_rate=1\nlearning_rate_min=0\n", 10, 1},
    {"policy=sgdr\nsgdr_cycle=10\nlearning_rate=1\nlearning_rate_min=0\n", 20, .5},
    {"policy=sgdr\nsgdr_cycle=10\nlearning_rate=1\nlearning_rate_min=0\n", 30, 1},
    {"policy=sgdr\nlearning_rate=1\nlearning_rate_min=0\n", 50, .5},
    {"policy=cos\nlearning_rate=1\n", 50, .525},
    {"policy=cos\nlearning_rate=1\n", 100, .05},
    {"policy=cos\nlearning_rate=1\nlearning_rate_min=.5\n", 50, .75},
    {"policy=linear\nlearning_rate=1\n", 50, .525},
    {"policy=linear\nlearning_rate=1\nlearning_rate_min=0\n", 75, .25},
};

static int read_text(struct qd_schedule *s, const char *keys, int n, struct qd_error *err)
{
    char text[400];

    snprintf(text, sizeof(text), "[net]\nwidth=1\nheight=1\nchannels=1\n%s", keys);
    struct qd_cfg *cfg = qd_cfg_parse(text, strlen(text), "t.cfg", err);
    int ret = cfg ? qd_schedule_read(s, cfg, (uint64_t)n, 1, err) : -1;
    qd_cfg_free(cfg);
    return ret;
}

static void refuses(const char *keys, int n, const char *message)
{
    struct qd_schedule s;
    struct qd_error err = {0};

    OK(read_text(&s, keys, n, &err) < 0, "refused");
    IS_STR(err.msg, message, "the message");
}

int main(void)
{
    struct qd_schedule s;
    struct qd_error err = {0};

    for (size_t i = 0; i < QD_LEN(list); i++) {
        OK(read_text(&s, list[i].keys, 100, &err) == 0, "%s", err.msg);
        NEAR(qd_schedule_rate(&s, (uint64_t)list[i].n), list[i].rate, 1e-7, 1e-6, "%.*s at %d",
            (int)strcspn(list[i].keys, "\n"), list[i].keys, list[i].n);
    }
    OK(read_text(&s, "policy=linear\nlearning_rate=1\nburn_in=20\n", 100, &err) == 0, "%s",
        err.msg);
    s.straight = true;
    NEAR(qd_schedule_burnt(&s, 5), .25, 1e-9, 0, "a quarter of the burn-in is done");
    NEAR(qd_schedule_rate(&s, 5), .25 * .9525, 1e-9, 0, "in a straight line to the policy's rate");
    OK(qd_schedule_burnt(&s, 20) == 1, "all of it");
    NEAR(qd_schedule_rate(&s, 20), .81, 1e-9, 0, "and there");
    OK(read_text(&s, "policy=random\npower=1\nlearning_rate=2\n", 100, &err) == 0, "random");
    double a = qd_schedule_rate(&s, 3), b = qd_schedule_rate(&s, 4);
    OK(a >= 0 && a < 2 && a != b && a == qd_schedule_rate(&s, 3), "by chance, but the same again");
    refuses("policy=poly\n", 0, "t.cfg:5: policy=poly needs max_batches");
    refuses("policy=steps\nsteps=1,2\nscales=.1\n", 9,
        "t.cfg:6: policy=steps has 2 steps and 1 scales");
    refuses("policy=steps\nsteps=5,2\nscales=.1,.1\n", 9, "t.cfg:6: the steps do not ascend");
    return tap_done();
}
