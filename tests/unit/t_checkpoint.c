/* SPDX-License-Identifier: MIT */
/* The state of a run comes back as it was, or not at all. */
#include "tap.h"

#include "train/checkpoint.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"

enum { FLOATS = 5000 };
static float one[FLOATS], two[FLOATS];

static struct qd_checkpoint checkpoint(const char *recipe)
{
    struct qd_checkpoint c = {
        .recipe = recipe, .block = {one, two}, .nblocks = 2, .floats = FLOATS};

    return c;
}

/* Load must fail with that message, and change nothing. */
static void refuses(struct qd_checkpoint *c, const char *path, const char *message)
{
    struct qd_error err = {0};
    char want[600];

    one[7] = -1;
    c->number[3] = 77;
    OK(qd_checkpoint_load(c, path, &err) < 0, "refused");
    snprintf(want, sizeof(want), "%s: %s", path, message);
    IS_STR(err.msg, want, "the message");
    OK(one[7] == -1 && c->number[3] == 77, "nothing was changed");
}

static void round_trip(const char *path)
{
    struct qd_error err = {0};
    struct qd_checkpoint c = checkpoint("batch=8\nseed=1\n");

    for (int i = 0; i < FLOATS; i++) {
        one[i] = tap_randf(-1, 1);
        two[i] = (float)i;
    }
    for (int i = 0; i < QD_CHECKPOINT_NUMBERS; i++)
        c.number[i] = (uint64_t)i << 60 | (uint64_t)i;
    c.number[2] = qd_double_bits(-.125);
    OK(qd_checkpoint_save(&c, path, &err) == 0, "saved: %s", err.msg);
    float keep = one[FLOATS - 1];
    memset(one, 0, sizeof(one));
    memset(two, 0, sizeof(two));
    struct qd_checkpoint d = checkpoint("batch=8\nseed=1\n");
    OK(qd_checkpoint_load(&d, path, &err) == 0, "loaded: %s", err.msg);
    OK(memcmp(d.number, c.number, sizeof(c.number)) == 0, "numbers");
    NEAR(qd_bits_double(d.number[2]), -.125, 0, 0, "a double");
    OK(one[FLOATS - 1] == keep && two[FLOATS - 1] == FLOATS - 1, "blocks");
    OK(qd_checkpoint_save(&d, path, &err) == 0, "saved over itself: %s", err.msg);
}

static void recipes(const char *path)
{
    struct qd_checkpoint c = checkpoint("batch=16\nseed=1\n");

    refuses(&c, path, "the run was begun with 'batch=8', not 'batch=16', and cannot be resumed so");
    c.recipe = "batch=8\n";
    refuses(&c, path, "the run was begun with 'seed=1', not '', and cannot be resumed so");
    c.recipe = "batch=8\nseed=1\n";
    c.floats = FLOATS - 1;
    refuses(&c, path, "the state is that of another network or optimizer");
    c = checkpoint("batch=8\nseed=1\n");
    c.nblocks = 1;
    refuses(&c, path, "the state is that of another network or optimizer");
}

static void damage(const char *path)
{
    struct qd_error err = {0};
    struct qd_checkpoint c = checkpoint("batch=8\nseed=1\n");
    struct qd_buf b = {0};

    OK(qd_io_slurp(path, 1 << 20, &b, &err) == 0, "%s", err.msg);
    for (int i = 0; i < 40; i++) {
        size_t at = 8 + tap_rand() % (b.len - 8);
        unsigned char bit = (unsigned char)(1u << tap_rand() % 8);
        b.data[at] = (char)(b.data[at] ^ bit);
        OK(qd_io_put(path, true, b.data, b.len, &err) == 0, "%s", err.msg);
        refuses(&c, path, "the state is damaged (its check sum is wrong)");
        b.data[at] = (char)(b.data[at] ^ bit);
    }
    OK(qd_io_put(path, true, b.data, b.len - 100, &err) == 0, "%s", err.msg);
    refuses(&c, path, "the state is damaged (its check sum is wrong)");
    OK(qd_io_put(path, true, b.data, 10, &err) == 0, "%s", err.msg);
    refuses(&c, path, "the state ends too early");
    OK(qd_io_put(path, true, "something else", 14, &err) == 0, "%s", err.msg);
    refuses(&c, path, "this is not the state of a run");
    qd_buf_free(&b);
}

int main(void)
{
    char path[600];

    snprintf(path, sizeof(path), "%s", tap_tmp("a.state"));
    round_trip(path);
    recipes(path);
    damage(path);
    return tap_done();
}
