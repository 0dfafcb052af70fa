/* SPDX-License-Identifier: MIT */
/*
 * Ten steps of a small net for every loss, against the numbers in tests/golden/losses.tsv: what no
 * other test sees, the sum of loader, augmentation, passes, losses and optimizer, must not change
 * unnoticed.  Data come from integers only.  Where the change is wanted,
 *
 *     QD_RECORD=tests/golden/losses.tsv QD_CPU=ref build/tests/unit/t_trajectory
 *
 * writes the file anew, at plain C; the difference in it belongs into the commit that makes it.
 */
#include "tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/io.h"
#include "base/num.h"

enum { STEPS = 10, VALUES = 5, SIDE = 40, PICTURES = 14 };

/* Relative to the recorded number.  The order of sums differs between levels, and ten steps make
 * the difference grow; what was seen is below a tenth of it. */
static const double TOLERANCE = 5e-4;

static const char backbone[] = "[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\n"
                               "batch_normalize=1\nactivation=leaky\n"
                               "[convolutional]\nfilters=8\nsize=3\npad=1\ngroups=8\n"
                               "batch_normalize=1\nactivation=relu\n"
                               "[convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\n"
                               "batch_normalize=1\nactivation=mish\n"
                               "[convolutional]\nfilters=16\nsize=1\nactivation=leaky\n"
                               "[shortcut]\nfrom=-2\nactivation=linear\n"
                               "[maxpool]\nsize=2\nstride=2\n";

static const struct run {
    const char *name, *loss; /* the variant, NULL: the default */
    const char *net;         /* more keys of [net] */
    const char *head;
    bool classifier;
    enum qd_optimizer optimizer;
} runs[] = {
    {"yolo", "darknet", "learning_rate=.004\nmosaic=1\n",
        "[convolutional]\nfilters=24\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1,2\nnum=3\nanchors=6,6, 10,14, 18,12\nclasses=3\njitter=.2\n"
        "iou_loss=giou\niou_normalizer=.5\nmax_delta=5\n",
        false, QD_OPTIMIZER_CFG},
    {"yolo-two-heads", "darknet", "learning_rate=.001\nmixup=1\n",
        "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=1,2\nnum=3\nanchors=6,6, 10,14, 18,12\nclasses=3\n"
        "[route]\nlayers=-3\n[upsample]\nstride=2\n[route]\nlayers=-1,4\n"
        "[convolutional]\nfilters=8\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0\nnum=3\nanchors=6,6, 10,14, 18,12\nclasses=3\njitter=.1\n",
        false, QD_OPTIMIZER_CFG},
    {"yolo-exact", "exact", "learning_rate=.004\nadam=1\nclip=2\n",
        "[convolutional]\nfilters=24\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1,2\nnum=3\nanchors=6,6, 10,14, 18,12\nclasses=3\niou_loss=ciou\n",
        false, QD_OPTIMIZER_CFG},
    {"yolo-ultralytics", "ultralytics", "learning_rate=.004\n",
        "[convolutional]\nfilters=24\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1,2\nnum=3\nanchors=6,6, 10,14, 18,12\nclasses=3\n",
        false, QD_OPTIMIZER_NESTEROV},
    {"gaussian", "darknet", "learning_rate=.00001\n",
        "[convolutional]\nfilters=36\nsize=1\nactivation=linear\n"
        "[Gaussian_yolo]\nmask=0,1,2\nnum=3\nanchors=6,6, 10,14, 18,12\nclasses=3\n",
        false, QD_OPTIMIZER_CFG},
    {"region", "darknet", "learning_rate=.002\n",
        "[convolutional]\nfilters=24\nsize=1\nactivation=linear\n"
        "[region]\nnum=3\nanchors=.8,.8, 1.2,1.8, 2.2,1.5\nclasses=3\n",
        false, QD_OPTIMIZER_CFG},
    {"region-pj", "pj", "learning_rate=.002\n",
        "[convolutional]\nfilters=24\nsize=1\nactivation=linear\n"
        "[region]\nnum=3\nanchors=.8,.8, 1.2,1.8, 2.2,1.5\nclasses=3\nsoftmax=1\nrescore=1\n",
        false, QD_OPTIMIZER_CFG},
    {"softmax", NULL, "learning_rate=.01\ncutmix=1\nlabel_smooth_eps=.1\n",
        "[convolutional]\nfilters=3\nsize=1\nactivation=linear\n[avgpool]\n[softmax]\n[cost]\n",
        true, QD_OPTIMIZER_CFG},
    {"logistic", NULL, "learning_rate=.004\nangle=7\naspect=.75\n",
        "[convolutional]\nfilters=3\nsize=1\nactivation=linear\n[avgpool]\n[logistic]\n[cost]\n",
        true, QD_OPTIMIZER_ADAMW},
};

static double got[QD_LEN(runs)][STEPS][VALUES];
static char detect[600], classify[600];

/* ---- data ------------------------------------------------------------------------------------ */

static uint32_t state;

static int below(int n)
{
    state = state * 1664525u + 1013904223u;
    return (int)((state >> 8) % (uint32_t)n);
}

static void put(const char *path, const void *data, size_t len)
{
    struct qd_error err = {0};

    if (qd_io_put(path, true, data, len, &err) < 0)
        OK(false, "%s", err.msg);
}

/* Rectangles of one class's colour, more or less, on dirt; their lines of a label file. */
static void picture(unsigned char *px, struct qd_buf *labels, int class_id, int n)
{
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        px[i] = (unsigned char)(90 + below(60));
    while (n-- > 0) {
        int w = 8 + below(14), h = 8 + below(14), x = below(SIDE - w), y = below(SIDE - h);
        int c = class_id < 0 ? below(3) : class_id;
        for (int i = 0; i < w * h; i++)
            px[((y + i / w) * SIDE + x + i % w) * 3 + c] = (unsigned char)(200 + below(50));
        qd_buf_printf(labels, "%d %.6f %.6f %.6f %.6f\n", c, (x + w / 2.) / SIDE,
            (y + h / 2.) / SIDE, (double)w / SIDE, (double)h / SIDE);
    }
}

static void make_set(const char *dir, bool classifier, char data[600])
{
    static const char *const names[] = {"red", "green", "blue"};
    struct qd_buf list = {0}, text = {0};
    char path[700];

    state = classifier ? 7 : 5;
    mkdir(dir, 0777);
    for (int i = 0; i < PICTURES; i++) {
        struct qd_buf px = {0}, labels = {0};
        unsigned char pixels[SIDE * SIDE * 3];
        int class_id = classifier ? i % 3 : -1;
        picture(pixels, &labels, class_id, classifier ? 2 : i == 3 ? 0 : 1 + i % 3);
        qd_buf_printf(&px, "P6\n%d %d\n255\n", SIDE, SIDE);
        qd_buf_add(&px, pixels, sizeof(pixels));
        snprintf(path, sizeof(path), "%s/%02d_%s.ppm", dir, i, names[i % 3]);
        put(path, px.data, px.len);
        qd_buf_printf(&list, "%s\n", path);
        snprintf(path, sizeof(path), "%s/%02d_%s.txt", dir, i, names[i % 3]);
        put(path, labels.data ? labels.data : "", labels.len);
        qd_buf_free(&px);
        qd_buf_free(&labels);
    }
    snprintf(path, sizeof(path), "%s/train.list", dir);
    put(path, list.data, list.len);
    qd_buf_printf(&text, "classes=3\ntrain=%s\nnames=%s/x.names\n", path, dir);
    snprintf(path, sizeof(path), "%s/x.names", dir);
    put(path, "red\ngreen\nblue\n", 15);
    snprintf(data, 600, "%s/x.data", dir);
    put(data, text.data, text.len);
    qd_buf_free(&list);
    qd_buf_free(&text);
}

/* ---- ten steps ------------------------------------------------------------------------------- */

static struct qd_model *model(const struct run *r)
{
    struct qd_error err = {0};
    char s[3000];

    snprintf(s, sizeof(s),
        "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=4\nsubdivisions=2\n"
        "burn_in=4\nmax_batches=%d\nmomentum=.9\ndecay=.0005\nhue=.1\nsaturation=1.5\n"
        "exposure=1.5\npolicy=steps\nsteps=7\nscales=.1\n%s%s%s",
        STEPS, r->net, backbone, r->head);
    struct qd_cfg *cfg = qd_cfg_parse(s, strlen(s), r->name, &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    OK(m != NULL, "%s: a model %s", r->name, err.msg);
    if (m)
        qd_model_randomize(m, 1);
    return m;
}

static void steps(const struct run *r, double row[STEPS][VALUES])
{
    struct qd_train_opts o = QD_TRAIN_OPTS_INIT;
    struct qd_error err = {0};
    struct qd_train_row v;
    struct qd_model *m = model(r);
    int n = 0;

    o.data = r->classifier ? classify : detect;
    o.prefix = tap_tmp("run");
    o.force = true;
    o.loss = r->loss;
    o.optimizer = r->optimizer;
    o.state_every = STEPS;
    struct qd_train *t = m ? qd_train_new(m, &o, &err) : NULL;
    while (t && n < STEPS && qd_train_step(t, &v, &err) == 1) {
        const double now[VALUES] = {v.loss, v.box, v.obj, v.cls, v.norm};
        memcpy(row[n++], now, sizeof(now));
    }
    OK(n == STEPS, "%s: %d steps %s", r->name, n, err.msg);
    qd_train_free(t);
    qd_model_free(m);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void record(const char *path)
{
    struct qd_error err = {0};
    struct qd_buf b = {0};

    qd_buf_str(&b, "# QD_RECORD of tests/unit/t_trajectory.c wrote this\n"
                   "# run\tstep\tloss\tbox\tobj\tcls\tnorm\n");
    for (size_t i = 0; i < QD_LEN(runs); i++)
        for (int n = 0; n < STEPS; n++) {
            qd_buf_printf(&b, "%s\t%d", runs[i].name, n + 1);
            for (int k = 0; k < VALUES; k++)
                qd_buf_printf(&b, "\t%.7g", got[i][n][k]);
            qd_buf_str(&b, "\n");
        }
    OK(qd_io_put(path, true, b.data, b.len, &err) == 0, "recorded %s", err.msg);
    qd_buf_free(&b);
}

/* The next word of a line; *line moves behind it. */
static bool word(const char **line, char *out, size_t size)
{
    size_t n = strcspn(*line, "\t\n");

    if (n == 0 || n >= size)
        return false;
    memcpy(out, *line, n);
    out[n] = 0;
    *line += n + ((*line)[n] == '\t');
    return true;
}

/* Compare one line; the largest difference relative to it, or a negative number: not this line. */
static double compare(const char *line, size_t i, int n)
{
    double worst = 0, want;
    char w[64], step[8];

    snprintf(step, sizeof(step), "%d", n + 1);
    if (!word(&line, w, sizeof(w)) || strcmp(w, runs[i].name) != 0)
        return -1;
    if (!word(&line, w, sizeof(w)) || strcmp(w, step) != 0)
        return -1;
    for (int k = 0; k < VALUES; k++) {
        if (!word(&line, w, sizeof(w)) || !qd_num_double(w, &want))
            return -1;
        double d = fabs(got[i][n][k] - want) / fmax(fabs(want), 1e-3);
        worst = d <= worst ? worst : d;
    }
    return worst;
}

static const char *next_line(const char *s)
{
    const char *nl = strchr(s, '\n');

    return nl ? nl + 1 : NULL;
}

static void replay(const char *level, const char *text)
{
    for (size_t i = 0; i < QD_LEN(runs); i++) {
        double worst = 0;
        for (int n = 0; n < STEPS; n++) {
            double d = -1;
            for (const char *at = text; d < 0 && at; at = next_line(at))
                d = compare(at, i, n);
            worst = d < 0 ? HUGE_VAL : fmax(worst, isnan(d) ? HUGE_VAL : d);
        }
        OK(worst <= TOLERANCE, "%s: %s as recorded (%.2g)", level, runs[i].name, worst);
    }
}

static bool level(const char *name)
{
    bool set = setenv("QD_CPU", name, 1) == 0 && qd_level(NULL) != NULL;

    OK(set, "level %s", name);
    for (size_t i = 0; i < QD_LEN(runs); i++)
        steps(&runs[i], got[i]);
    return set;
}

int main(void)
{
    const char *root = getenv("QD_ROOT"), *to = getenv("QD_RECORD");
    const char *fast = qd_level(NULL);
    struct qd_error err = {0};
    struct qd_buf text = {0};
    char path[600];

    snprintf(path, sizeof(path), "%s/tests/golden/losses.tsv", root ? root : ".");
    make_set(tap_tmp("detect"), false, detect);
    make_set(tap_tmp("classify"), true, classify);
    level("ref");
    if (to) {
        record(to);
        return tap_done();
    }
    OK(qd_io_slurp(path, 1 << 20, &text, &err) == 0, "the recorded numbers %s", err.msg);
    replay("ref", text.data);
    level(fast ? fast : "vector");
    replay(fast, text.data);
    qd_buf_free(&text);
    return tap_done();
}
