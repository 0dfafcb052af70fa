/* SPDX-License-Identifier: MIT */
/* Synthetic sets: the labels say what is in the picture, pictures differ, seeds and threads do what
 * is promised, and a set that was written can be read. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tap.h"
#include "base/buf.h"
#include "base/io.h"
#include "data/toy.h"

static struct qd_toy_opts options(enum qd_toy_level level)
{
    return (struct qd_toy_opts){
        .kind = "detect", .seed = 3, .train = 1, .w = 160, .h = 120, .classes = 6, .level = level};
}

/* The box of the pixels that carry class + 1 in the map lies around all boxes of that class. */
static bool boxes_fit_map(const struct qd_toy_sample *s)
{
    const struct qd_image *m = s->map;

    for (int c = 0; c < QD_TOY_SHAPES; c++) {
        float map[4] = {2, 2, -1, -1}, box[4] = {2, 2, -1, -1};
        for (int y = 0; y < m->h; y++)
            for (int x = 0; x < m->w; x++)
                if (m->data[y * m->w + x] == c + 1) {
                    map[0] = QD_MIN(map[0], (float)x / (float)m->w);
                    map[1] = QD_MIN(map[1], (float)y / (float)m->h);
                    map[2] = QD_MAX(map[2], (float)(x + 1) / (float)m->w);
                    map[3] = QD_MAX(map[3], (float)(y + 1) / (float)m->h);
                }
        for (size_t i = 0; i < s->labels.n; i++) {
            const struct qd_box *b = &s->labels.label[i].box;
            if (s->labels.label[i].class_id != c)
                continue;
            box[0] = QD_MIN(box[0], b->x - b->w / 2);
            box[1] = QD_MIN(box[1], b->y - b->h / 2);
            box[2] = QD_MAX(box[2], b->x + b->w / 2);
            box[3] = QD_MAX(box[3], b->y + b->h / 2);
        }
        for (int i = 0; i < 4; i++)
            if (box[i] - map[i] > 1e-5f || map[i] - box[i] > 1e-5f)
                return false;
    }
    return true;
}

static void test_labels(enum qd_toy_level level, const char *name)
{
    struct qd_toy_opts o = options(level);
    int fit = 0, inside = 0, seen[QD_TOY_SHAPES] = {0}, most = 0, least = 99, bad_class = 0;
    const int n = 60;

    for (int i = 0; i < n; i++) {
        struct qd_toy_sample s;
        if (!OK(qd_toy_draw(&o, false, (uint64_t)i, &s, NULL) == 0, "%s: picture %d", name, i))
            return;
        fit += boxes_fit_map(&s);
        bool in = true;
        for (size_t k = 0; k < s.labels.n; k++) {
            const struct qd_label *l = &s.labels.label[k];
            in = in && l->box.w > 0 && l->box.h > 0 && l->box.x - l->box.w / 2 > -1e-6f &&
                 l->box.x + l->box.w / 2 < 1 + 1e-6f && l->box.y - l->box.h / 2 > -1e-6f &&
                 l->box.y + l->box.h / 2 < 1 + 1e-6f;
            bad_class += l->class_id < 0 || l->class_id >= o.classes;
            if (l->class_id >= 0 && l->class_id < QD_TOY_SHAPES)
                seen[l->class_id]++;
        }
        inside += in;
        most = QD_MAX(most, (int)s.labels.n);
        least = QD_MIN(least, (int)s.labels.n);
        qd_toy_sample_free(&s);
    }
    OK(fit == n, "%s: boxes enclose the pixels of their class (%d of %d)", name, fit, n);
    OK(inside == n && !bad_class, "%s: boxes lie inside and classes exist", name);
    OK(seen[0] && seen[1] && seen[2] && seen[3] && seen[4] && seen[5] && !seen[6],
        "%s: all classes that were asked for occur", name);
    OK(most >= 3 && least <= 1, "%s: %d to %d objects", name, least, most);
}

/* Pictures differ from each other and from edge to edge: no flat background, all channels used. */
static void test_variety(void)
{
    struct qd_toy_opts o = options(QD_TOY_NORMAL);
    double mean[24][3], spread = 0;
    int textured = 0;

    for (int i = 0; i < 24; i++) {
        struct qd_toy_sample s;
        if (qd_toy_draw(&o, false, (uint64_t)i, &s, NULL) < 0)
            return;
        double sum[3] = {0}, square = 0;
        int n = s.image->w * s.image->h;
        for (int k = 0; k < 3 * n; k++) {
            sum[k % 3] += s.image->data[k];
            square += s.image->data[k] * s.image->data[k];
        }
        double all = (sum[0] + sum[1] + sum[2]) / (3 * n);
        textured += square / (3 * n) - all * all > 200;
        for (int k = 0; k < 3; k++)
            mean[i][k] = sum[k] / n;
        qd_toy_sample_free(&s);
    }
    for (int i = 1; i < 24; i++)
        for (int k = 0; k < 3; k++)
            spread += (mean[i][k] - mean[i - 1][k]) * (mean[i][k] - mean[i - 1][k]) / (23 * 3);
    OK(spread > 400, "mean colours differ by 20 levels and more (square %.0f)", spread);
    OK(textured == 24, "no picture is flat (%d of 24)", textured);
}

static void test_shapes(void)
{
    int area[QD_TOY_SHAPES];
    bool ok = true;

    for (int s = 0; s < QD_TOY_SHAPES; s++) {
        area[s] = 0;
        for (int y = -60; y <= 60; y++)
            for (int x = -60; x <= 60; x++) {
                float u = (float)x / 50, v = (float)y / 50, d = qd_toy_shape_distance(s, u, v);
                area[s] += d <= 0;
                ok = ok && !(d <= 0 && u * u + v * v > 1.21f);
                /* a distance changes by at most the way that was gone */
                float step = qd_toy_shape_distance(s, u + .02f, v) - d;
                ok = ok && (u * u + v * v > 1.3f || (step < .021f && step > -.021f));
            }
        OK(area[s] > 2000 && area[s] < 7900, "%s covers %d of 7850 pixels", qd_toy_shape_name(s),
            area[s]);
    }
    OK(ok, "shapes lie in the unit circle and distances are distances");
    OK(!qd_toy_shape_name(QD_TOY_SHAPES) && !qd_toy_shape_name(-1), "no other shape has a name");
}

/* All files of a list, and the labels beside them, one after the other. */
static void gather(const char *list, struct qd_buf *all)
{
    struct qd_list *l = qd_list_load(list, NULL);
    char path[500];

    for (size_t i = 0; l && i < qd_list_count(l); i++) {
        (void)!qd_io_slurp(qd_list_get(l, i), 1 << 20, all, NULL);
        if (qd_label_path(qd_list_get(l, i), path, sizeof(path), NULL) == 1)
            (void)!qd_io_slurp(path, 1 << 20, all, NULL);
    }
    qd_list_free(l);
}

static void write_and_gather(const char *name, int seed, int train, int threads, struct qd_buf *out)
{
    struct qd_toy_opts o = options(QD_TOY_NORMAL);
    char path[500];

    o.seed = (uint64_t)seed;
    o.train = train;
    o.valid = 3;
    (void)!qd_threads_set(threads, NULL);
    OK(qd_toy_write(tap_tmp(name), &o, NULL) == 0, "%s is written", name);
    snprintf(path, sizeof(path), "%s/train.txt", tap_tmp(name));
    gather(path, out);
    snprintf(path, sizeof(path), "%s/valid.txt", tap_tmp(name));
    if (train > 40)
        gather(path, out);
}

static void test_bytes(void)
{
    struct qd_buf a = {0}, b = {0}, c = {0}, less = {0};

    write_and_gather("one", 5, 41, 1, &a);
    write_and_gather("four", 5, 41, 4, &b);
    write_and_gather("other", 6, 41, 2, &c);
    write_and_gather("less", 5, 17, 3, &less);
    OK(a.len > 100000 && a.len == b.len && memcmp(a.data, b.data, a.len) == 0,
        "the same bytes with 1 and 4 threads (%zu)", a.len);
    OK(a.len != c.len || memcmp(a.data, c.data, a.len) != 0, "other bytes with another seed");
    OK(less.len > 40000 && less.len < a.len && memcmp(a.data, less.data, less.len) == 0,
        "a larger set begins with the pictures of a smaller one");
    qd_buf_free(&a);
    qd_buf_free(&b);
    qd_buf_free(&c);
    qd_buf_free(&less);
    (void)!qd_threads_set(0, NULL);
}

/* What was written is a data set by the rules of the library, without any defect. */
static void test_set(void)
{
    struct qd_error err = {0};
    char path[500];
    int labels = 0, found = 0;

    snprintf(path, sizeof(path), "%s/one.data", tap_tmp("one"));
    struct qd_data *d = qd_data_load(path, &err);
    const char *p = d ? qd_data_path(d, "train", &err) : NULL;
    struct qd_list *l = p ? qd_list_load(p, &err) : NULL;
    if (!OK(l && qd_list_count(l) == 41, "41 pictures %s", err.msg))
        return;
    OK(qd_data_classes(d) == 6, "six classes");
    for (size_t i = 0; i < qd_list_count(l); i++) {
        struct qd_labels boxes = {0};
        found += qd_label_path(qd_list_get(l, i), path, sizeof(path), NULL) == 1;
        labels += qd_labels_load(path, 6, QD_BAD_FAIL, &boxes, &err) == 0;
        qd_labels_free(&boxes);
    }
    OK(found == 41 && labels == 41, "labels are found and good: %d, %d %s", found, labels, err.msg);
    qd_list_free(l);
    qd_data_free(d);
}

static void fails(struct qd_toy_opts o, const char *dir, const char *want)
{
    struct qd_error err = {0};

    OK(qd_toy_write(dir, &o, &err) < 0, "fails: %s", want);
    IS_STR(err.msg, want, "message");
}

static void test_faults(void)
{
    struct qd_toy_opts o = options(QD_TOY_EASY);
    struct stat st;

    o.kind = "paint";
    fails(o, tap_tmp("no"), "no kind of set is called 'paint'");
    o = options(QD_TOY_EASY);
    o.w = 31;
    fails(o, tap_tmp("no"), "pictures can be 32 to 2048 pixels a side, not 31x120");
    o = options(QD_TOY_EASY);
    o.classes = 11;
    fails(o, tap_tmp("no"), "there can be 1 to 10 classes, not 11");
    o = options(QD_TOY_EASY);
    o.train = 0;
    fails(o, tap_tmp("no"), "a set needs a picture");
    OK(stat(tap_tmp("no"), &st) < 0, "nothing was made");
    o = options(QD_TOY_EASY);
    fails(o, "/dev/null/x", "cannot create folder '/dev/null/x': Not a directory");
}

/* Each allocation in turn fails: an error, and nothing is lost. */
static void test_no_memory(void)
{
    struct qd_toy_opts o = options(QD_TOY_NORMAL);
    bool ok = true;
    long n = 0;

    o.kind = "segment";
    o.force = true;
    (void)!qd_threads_set(1, NULL);
    for (int ret = -1; ret < 0 && n < 1000; n++) {
        struct qd_error err = {0};
        qd_alloc_fail_at(n + 1);
        ret = qd_toy_write(tap_tmp("nomem"), &o, &err);
        qd_alloc_fail_at(0);
        ok = ok && (ret == 0) == (err.code == QD_OK) && (ret == 0 || err.code == QD_ENOMEM);
    }
    OK(ok && n > 10 && n < 1000, "each of %ld allocations may fail", n - 1);
    (void)!qd_threads_set(0, NULL);
}

int main(void)
{
    test_shapes();
    test_labels(QD_TOY_EASY, "easy");
    test_labels(QD_TOY_NORMAL, "normal");
    test_labels(QD_TOY_HARD, "hard");
    test_variety();
    test_bytes();
    test_set();
    test_faults();
    test_no_memory();
    return tap_done();
}
