/* SPDX-License-Identifier: MIT */
/* Files of detections.  The first byte chooses the class numbering, the rest is the file, which
 * lives in memory.  What was read must be sane, and evaluable and writable. */
#define _GNU_SOURCE /* memfd_create */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "qd.h"

enum { CLASSES = 80 };

static void check(const struct qd_dets *d)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct qd_det *t = &d->det[i];
        if (t->class_id < 0 || t->class_id >= CLASSES || !isfinite(t->score) ||
            !isfinite(t->box.x) || !isfinite(t->box.y) || !(t->box.w >= 0) || !(t->box.h >= 0))
            abort();
    }
}

/* Score the detections of two images against two fixed truths, by every rule set. */
static void use(struct qd_detfile *f)
{
    static const char *const images[] = {"img/000000000009.jpg", "1.jpg"};
    static const struct qd_truth truth[] = {
        {{100, 100, 50, 50}, 3, false, 0}, {{200, 200, 90, 90}, 0, true, 0}};
    struct qd_dets d[2] = {{0}};

    for (int i = 0; i < 2; i++) {
        if (qd_detfile_get(f, images[i], &d[i], NULL) < 0)
            d[i] = (struct qd_dets){0};
        check(&d[i]);
    }
    for (int rules = QD_RULES_DARKNET; rules <= QD_RULES_COCO; rules++) {
        const struct qd_eval_opts o = {(enum qd_rules)rules, CLASSES, .5f, .25f, 0};
        struct qd_eval *e = qd_eval_new(&o, NULL);
        struct qd_eval_result r;
        for (int i = 0; e && i < 2; i++) {
            const struct qd_eval_input in = {i, 1, 1, truth, 2, d[i].det, d[i].n};
            if (qd_eval_add(e, &in, NULL) < 0)
                abort();
        }
        if (e && qd_eval_run(e, &r, NULL, NULL) == 0 && !(r.map >= -1 && r.map <= 1))
            abort();
        qd_eval_free(e);
    }
    static const char *const formats[] = {"tsv", "json", "coco"};
    for (int i = 0; i < 3; i++) {
        const struct qd_detwriter_opts o = {
            formats[i], "/dev/null", NULL, CLASSES, QD_IDS_AUTO, true};
        struct qd_detwriter *w = qd_detwriter_open(&o, NULL);
        if (w && qd_detwriter_add(w, images[0], 1, 1, &d[0], NULL) < 0)
            abort();
        if (w && qd_detwriter_close(w, NULL) < 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];

    if (size == 0)
        return 0;
    if (fd < 0) {
        fd = memfd_create("detections", 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) < 0 ||
        pwrite(fd, data + 1, size - 1, 0) != (ssize_t)(size - 1)) {
        perror("memfd");
        exit(99);
    }
    struct qd_detfile *f =
        qd_detfile_load(path, CLASSES, (enum qd_category_ids)(data[0] % 4), NULL);
    if (f)
        use(f);
    qd_detfile_free(f);
    return 0;
}
