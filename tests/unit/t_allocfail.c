/* SPDX-License-Identifier: MIT */
/*
 * Every allocation can fail.  Each scenario below is run once as it is, then again and again with
 * its first, second, third ... allocation failing, up to the last: it must report QD_ENOMEM, leave
 * no file, and give everything back (under the address sanitizer a leak is a failure).
 */
#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "base/buf.h"
#include "base/io.h"
#include "train/sparse.h"

typedef int scenario_fn(struct qd_error *err);

/* Layers of every kind of memory: own, alias, slice of a concatenation, in place, several heads. */
static const char text[] =
    "[net]\nwidth=32\nheight=32\nchannels=3\n# a comment\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\n"
    "activation=leaky\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\ngroups=8\nsize=3\npad=1\n"
    "activation=relu6\n"
    "[shortcut]\nfrom=-2\nactivation=linear\n"
    "[maxpool]\nsize=2\nstride=2\n"
    "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1,2\nanchors=4,4, 8,8, 16,16\nclasses=1\nnum=3\n"
    "[route]\nlayers=3\n"
    "[avgpool]\n"
    "[connected]\noutput=8\nactivation=logistic\n"
    "[scale_channels]\nfrom=3\n"
    "[upsample]\nstride=2\n"
    "[route]\nlayers=-1,2\n"
    "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1,2\nanchors=4,4, 8,8, 16,16\nclasses=1\nnum=3\n";

static struct qd_model *model(struct qd_error *err)
{
    struct qd_cfg *cfg = qd_cfg_parse(text, sizeof(text) - 1, "test", err);

    return cfg ? qd_model_new(cfg, err) : NULL;
}

static int cfg_document(struct qd_error *err)
{
    struct qd_cfg *cfg = qd_cfg_parse(text, sizeof(text) - 1, "test", err);
    struct qd_cfg *copy = cfg ? qd_cfg_copy(cfg, err) : NULL;
    int ret = -1;

    if (copy && qd_cfg_override(copy, "0.filters=4", err) == 0 &&
        qd_cfg_override(copy, "yolo.ignore_thresh=.7", err) == 0)
        ret = qd_cfg_save(copy, tap_tmp("out.cfg"), true, err);
    qd_cfg_free(copy);
    qd_cfg_free(cfg);
    return ret;
}

static int weights_file(struct qd_error *err)
{
    struct qd_model *m = model(err);
    int ret = -1;

    if (m && qd_model_settle(m, 1, err) == 0 &&
        qd_model_save(m, tap_tmp("out.weights"), true, err) == 0)
        ret = qd_model_load(m, tap_tmp("out.weights"), NULL, NULL, err);
    qd_model_free(m);
    return ret;
}

static int detection(struct qd_error *err)
{
    struct qd_net_opts opts = {.batch = 2};
    struct qd_detect_opts how = {0, .45f, QD_NMS_MODEL, 0};
    struct qd_dets dets = {0};
    struct qd_model *m = model(err);
    struct qd_net *net = m ? qd_net_new(m, &opts, err) : NULL;
    struct qd_image *img = net ? qd_image_new(50, 40, 1, err) : NULL;
    int ret = -1;

    if (img && qd_net_set_image(net, 0, img, QD_FIT_STRETCH, err) == 0 &&
        qd_net_set_image(net, 1, img, QD_FIT_LETTERBOX, err) == 0) {
        qd_net_forward(net);
        ret = qd_net_detect(net, 1, &how, &dets, err);
    }
    qd_dets_free(&dets);
    qd_image_free(img);
    qd_net_free(net);
    qd_model_free(m);
    return ret;
}

/* Write an image in the format of 'name' and read it back, with every conversion. */
static int image_file(const char *name, struct qd_error *err)
{
    struct qd_image_opts opts = {.channels = 1, .exif = true, .min_w = 10, .min_h = 10};
    struct qd_image *img = qd_image_new(60, 45, 3, err), *back = NULL;

    if (img && qd_image_save(img, tap_tmp(name), true, err) == 0)
        back = qd_image_load(tap_tmp(name), &opts, err);
    int ret = back ? 0 : -1;
    qd_image_free(back);
    qd_image_free(img);
    return ret;
}

static int image_png(struct qd_error *err)
{
    return image_file("out.png", err);
}

static int image_jpeg(struct qd_error *err)
{
    return image_file("out.jpg", err);
}

static int image_pnm(struct qd_error *err)
{
    return image_file("out.ppm", err);
}

static int image_stream(struct qd_error *err)
{
    FILE *f = fopen(tap_tmp("out.ppm"), "rb"); /* written by the scenario before */
    struct qd_stream *s = f ? qd_stream_open(fileno(f), "stream", err) : NULL;
    struct qd_image *img = NULL;
    int ret = s && qd_stream_next(s, NULL, &img, err) == 1 ? 0 : -1;

    qd_image_free(img);
    img = NULL;
    if (ret == 0)
        ret = qd_stream_next(s, NULL, &img, err); /* the end */
    qd_image_free(img);
    qd_stream_close(s);
    if (f)
        fclose(f);
    return ret;
}

static int data_files(struct qd_error *err)
{
    struct qd_data *data = qd_data_load(tap_tmp("set.data"), err);
    const char *path = data ? qd_data_path(data, "names", err) : NULL;
    struct qd_names *names = path ? qd_names_load(path, err) : NULL;
    struct qd_list *list = names ? qd_list_load(tap_tmp("list.txt"), err) : NULL;
    struct qd_labels labels = {0};
    int ret = -1;

    if (list)
        ret = qd_labels_load(tap_tmp("a.txt"), 2, QD_BAD_CLIP, &labels, err);
    qd_labels_free(&labels);
    qd_list_free(list);
    qd_names_free(names);
    qd_data_free(data);
    return ret;
}

static int evaluate(enum qd_rules rules, struct qd_error *err)
{
    struct qd_truth truth[] = {
        {{.5f, .5f, .2f, .2f}, 0, false, 0}, {{.2f, .2f, .1f, .1f}, 1, true, 0}};
    struct qd_det det[] = {{{.5f, .5f, .2f, .3f}, 0, .9f}, {{.7f, .2f, .1f, .1f}, 1, .5f}};
    struct qd_eval_input in = {1, 640, 480, truth, 2, det, 2};
    struct qd_eval_opts opts = {rules, 2, .5f, .25f, 0};
    struct qd_eval_class per_class[2];
    struct qd_eval_result result;
    struct qd_eval *e = qd_eval_new(&opts, err);
    int ret = e ? qd_eval_add(e, &in, err) : -1;

    in.id = 2;
    if (ret == 0)
        ret = qd_eval_add(e, &in, err);
    if (ret == 0)
        ret = qd_eval_run(e, &result, per_class, err);
    qd_eval_free(e);
    return ret;
}

static int evaluate_darknet(struct qd_error *err)
{
    return evaluate(QD_RULES_DARKNET, err);
}

static int evaluate_voc(struct qd_error *err)
{
    return evaluate(QD_RULES_VOC07, err);
}

static int evaluate_coco(struct qd_error *err)
{
    return evaluate(QD_RULES_COCO, err);
}

/* Write detections in one format; a stream of all of them is read back by the next scenario. */
static int write_detections(const char *format, const char *name, struct qd_error *err)
{
    struct qd_det det[] = {{{.5f, .5f, .2f, .3f}, 0, .9f}, {{.7f, .2f, .1f, .1f}, 1, .5f}};
    struct qd_dets dets = {det, 2};
    struct qd_detwriter_opts opts = {format, tap_tmp(name), NULL, 2, QD_IDS_ONE, true};
    struct qd_detwriter *d = qd_detwriter_open(&opts, err);

    if (!d)
        return -1;
    if (qd_detwriter_add(d, "img1.jpg", 100, 80, &dets, err) < 0) {
        qd_detwriter_discard(d);
        return -1;
    }
    return qd_detwriter_close(d, err);
}

static int read_detections(const char *name, struct qd_error *err)
{
    struct qd_dets dets;
    struct qd_detfile *f = qd_detfile_load(tap_tmp(name), 2, QD_IDS_ONE, err);
    int ret = f ? qd_detfile_get(f, "img1.jpg", &dets, err) : -1;

    qd_detfile_free(f);
    return ret;
}

static int detections_tsv(struct qd_error *err)
{
    return write_detections("tsv", "out.tsv", err) == 0 ? read_detections("out.tsv", err) : -1;
}

static int detections_coco(struct qd_error *err)
{
    return write_detections("coco", "out.json", err) == 0 ? read_detections("out.json", err) : -1;
}

/* A net with a sum, to be pruned. */
static const char residual[] =
    "[net]\nwidth=8\nheight=8\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=1\nactivation=leaky\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
    "[shortcut]\nfrom=-3\nactivation=linear\n"
    "[route]\nlayers=-1\n"
    "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n";

static int prune(const char *rule, enum qd_target target, struct qd_error *err)
{
    const struct qd_prune_range all = {0, 5, .5f};
    struct qd_prune_opts o = QD_PRUNE_OPTS_INIT;
    struct qd_cfg *cfg = qd_cfg_parse(residual, sizeof(residual) - 1, "test", err);
    struct qd_model *m = cfg ? qd_model_new(cfg, err) : NULL;
    struct qd_pruned p;
    int ret = -1;

    if (m) {
        qd_model_randomize(m, 1);
        o.percent = .5f;
        o.shortcuts = 1;
        o.ranges = &all;
        o.nranges = 1;
        o.target = target;
        o.goal = .9;
        ret = qd_prune(&p, m, rule, &o, err);
    }
    if (ret == 0)
        qd_pruned_free(&p);
    qd_model_free(m);
    return ret;
}

static int prune_rules(struct qd_error *err)
{
    for (const char *const *r = qd_prune_rules(); *r; r++)
        if (prune(*r, QD_TARGET_NONE, err) < 0)
            return -1;
    return 0;
}

static int prune_target(struct qd_error *err)
{
    return prune("slim", QD_TARGET_MACS, err);
}

/* A picture of the caller's; a set of layers. */
static int verify(struct qd_error *err)
{
    struct qd_model *m = model(err);
    struct qd_image *img = m ? qd_image_new(50, 40, 1, err) : NULL;
    const struct qd_verify_opts o = {.img = img};
    struct qd_set set = {0};
    int ret = -1;

    if (img && qd_set_of(&set, m, QD_SPARSE_ALL, err) == 0)
        ret = qd_verify(m, m, &o, NULL, err);
    qd_set_free(&set);
    qd_image_free(img);
    qd_model_free(m);
    return ret;
}

static int sparsity(struct qd_error *err)
{
    static const int first[] = {0, 2};
    const struct qd_sparsity_opts o = {.layers = first, .nlayers = 2, .s = .1f};
    const struct qd_sparsity_run run = {.iterations = 10, .images = 4, .batch = 2, .parts = 1};
    struct qd_cfg *cfg = qd_cfg_parse(residual, sizeof(residual) - 1, "test", err);
    struct qd_model *m = cfg ? qd_model_new(cfg, err) : NULL;
    struct qd_sparsity *s = m ? qd_sparsity_new(m, &o, &run, err) : NULL;
    int ret = s ? 0 : -1;

    qd_sparsity_free(s);
    qd_model_free(m);
    return ret;
}

static int files_in_tmp(void)
{
    char path[300];
    int n = 0;

    snprintf(path, sizeof(path), "%s", tap_tmp("x"));
    DIR *d = opendir(dirname(path));
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* Run it with each of its allocations failing; false with a comment at the first fault. */
static bool survives(scenario_fn *fn, long *n)
{
    int files = files_in_tmp();

    for (*n = 1;; ++*n) {
        struct qd_error err = {0};
        long before = qd_alloc_count();
        qd_alloc_fail_at(*n);
        int ret = fn(&err);
        qd_alloc_fail_at(0);
        if (qd_alloc_count() - before < *n) {
            if (ret < 0)
                printf("# without a failing allocation: %s\n", err.msg);
            return ret == 0;
        }
        if (ret == 0 || err.code != QD_ENOMEM || !err.msg[0]) {
            printf(
                "# allocation %ld: returned %d, error %d '%s'\n", *n, ret, (int)err.code, err.msg);
            return false;
        }
        if (files_in_tmp() != files) {
            printf("# allocation %ld: a file was left behind\n", *n);
            return false;
        }
    }
}

static void check(const char *name, scenario_fn *fn)
{
    struct qd_error err = {0};
    long n = 0;

    if (!OK(fn(&err) == 0, "%s works", name)) {
        printf("# %s\n", err.msg);
        return;
    }
    bool ok = survives(fn, &n);
    OK(ok && n > 1, "%s survives the failure of each of its %ld allocations", name, n - 1);
}

static bool put(const char *name, const char *content)
{
    return qd_io_put(tap_tmp(name), true, content, strlen(content), NULL) == 0;
}

int main(void)
{
    bool ok = put("set.data", "classes=2\nnames=set.names\n") && put("set.names", "cat\ndog\n") &&
              put("list.txt", "a.jpg\nb.jpg\n") && put("a.txt", "0 .5 .5 .2 .2\n1 .9 .5 .4 .2\n");

    OK(ok, "files for the tests");
    check("cfg document", cfg_document);
    check("weights file", weights_file);
    check("detection", detection);
    check("png", image_png);
    check("jpeg", image_jpeg);
    check("pnm", image_pnm);
    check("stream", image_stream);
    check("data set files", data_files);
    check("darknet rules", evaluate_darknet);
    check("voc rules", evaluate_voc);
    check("coco rules", evaluate_coco);
    check("tsv detections", detections_tsv);
    check("coco detections", detections_coco);
    check("rules of pruning", prune_rules);
    check("a target of pruning", prune_target);
    check("verification", verify);
    check("sparse training", sparsity);
    return tap_done();
}
