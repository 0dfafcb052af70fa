/* SPDX-License-Identifier: MIT */
/*
 * qd-map: average precision of a network, or of detections that were made elsewhere, by the rules
 * of darknet, VOC or COCO.  All labels are looked up before anything is computed: a score of 0 is
 * nearly always a wrong path, and must not come at the end of an hour.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static struct cmd_input input;
static int rules = QD_RULES_DARKNET, points = -1, bad = QD_BAD_FAIL, category_ids = QD_IDS_AUTO;
static float iou = -1, thresh = -1, nms = -1, pr_thresh = .25f; /* -1: as the rules say */
static const char *detections, *list_path, *names_path;

static const struct cmd_opt opts[] = {CMD_OPT_CFG, CMD_OPT_WEIGHTS, CMD_OPT_DATA,
    {'L', "list", CMD_STR, &list_path, "FILE", "pictures, instead of valid= of -d", 0, 0, false},
    {'N', "names", CMD_STR, &names_path, "FILE", "class names, instead of those of -d", 0, 0,
        false},
    {'r', "rules", CMD_CHOICE, &rules, "darknet|voc07|voc12|coco", "what is a hit, and the mean", 0,
        0, false},
    {'I', "iou", CMD_FLOAT, &iou, "X", "overlap that makes a hit; not coco [0.5]", 0, 1, false},
    {'p', "points", CMD_INT, &points, "0|11|101", "darknet: points of the curve, 0: exact area [0]",
        0, 101, false},
    {'A', "detections", CMD_STR, &detections, "FILE",
        "score these (tsv or coco) instead of a network", 0, 0, false},
    {'C', "category-ids", CMD_CHOICE, &category_ids, "auto|coco91|one|zero",
        "numbers of the classes in a COCO file", 0, 0, false},
    {'t', "thresh", CMD_FLOAT, &thresh, "X",
        "scores must be above this [darknet: 0.005, others: 0.001]", 0, 1, false},
    {'n', "nms", CMD_FLOAT, &nms, "X",
        "overlap that the lower score dies of [darknet: 0.45, others: 0.6]", 0, 1, false},
    {'P', "pr-thresh", CMD_FLOAT, &pr_thresh, "X",
        "gt, tp, fp, precision and recall count scores above this", 0, 1, false},
    {'B', "bad-labels", CMD_CHOICE, &bad, "fail|drop|clip", "what to do about bad labels", 0, 0,
        false},
    CMD_OPT_LETTERBOX(input), CMD_OPT_RESAMPLE(input), CMD_OPT_EXIF(input), CMD_OPT_SIZE,
    CMD_OPT_THREADS, CMD_OPT_OVERRIDE, {0}};

static const struct cmd_info info = {
    "qd-map", "", "score a network on labelled pictures", opts, 0, 0};

static const struct {
    const char *name, *compare, *what; /* compare NULL: thresholds of its own */
    float thresh, nms;
} rule_set[] = {
    [QD_RULES_DARKNET] = {"darknet", "IoU >", "best truth only; a class without truths counts as 0",
        .005f, .45f},
    [QD_RULES_VOC07] = {"voc07", "IoU of inclusive pixels >=", "best truth only; 11 points", .001f,
        .6f},
    [QD_RULES_VOC12] = {"voc12", "IoU of inclusive pixels >=", "best truth only; exact area", .001f,
        .6f},
    [QD_RULES_COCO] = {"coco", NULL,
        "IoU >= .50:.05:.95; best free truth; 101 points; 100 detections", .001f, .6f},
};

/* One picture of the list. */
struct picture {
    const char *path;
    char *label, *difficult; /* label files, NULL: none */
};

struct run {
    struct qd_data *data;
    struct qd_list *list, *difficult; /* difficult: NULL, or parallel to the list (darknet) */
    struct qd_names *names;
    struct picture *picture;
    size_t n;
    int classes;
    struct qd_net *net; /* either of these two */
    struct qd_detfile *detfile;
    struct qd_eval *eval;
    long failed; /* pictures left out */
};

/* ------------------------------------------------------------------ lists and labels ---------- */

static int load_lists(struct run *r, struct qd_error *err)
{
    const char *path = list_path;

    if (!path && !(path = qd_data_path(r->data, "valid", err)))
        return -1;
    if (!(r->list = qd_list_load(path, err)))
        return -1;
    r->n = qd_list_count(r->list);
    if (r->n == 0)
        return cmd_error_set(err, QD_EFORMAT, "%s: the list names no picture", path);
    if (!list_path && qd_data_get(r->data, "difficult")) {
        if (!(path = qd_data_path(r->data, "difficult", err)) ||
            !(r->difficult = qd_list_load(path, err)))
            return -1;
        if (qd_list_count(r->difficult) != r->n)
            return cmd_error_set(err, QD_EFORMAT, "%s: %zu lines, but the list has %zu", path,
                qd_list_count(r->difficult), r->n);
    }
    return 0;
}

/* The label file of a picture in *out, NULL if there is none; the first five that are not there go
 * to 'tried'. */
static int find_label(const char *image, char **out, char *tried, struct qd_error *err)
{
    char path[4096];
    int found = qd_label_path(image, path, sizeof(path), err);

    if (found < 0)
        return -1;
    *out = NULL;
    if (!found) {
        if (tried)
            snprintf(tried, sizeof(path), "%s", path);
        return 0;
    }
    *out = strdup(path);
    return *out ? 0 : cmd_error_set(err, QD_ENOMEM, "out of memory");
}

/* Find all label files; an error when there is not one. */
static int find_labels(struct run *r, struct qd_error *err)
{
    enum { SHOWN = 5 };
    static char tried[SHOWN][4096];
    size_t missing = 0;

    r->picture = calloc(r->n, sizeof(*r->picture));
    if (!r->picture)
        return cmd_error_set(err, QD_ENOMEM, "out of memory for %zu pictures", r->n);
    for (size_t i = 0; i < r->n; i++) {
        struct picture *p = &r->picture[i];
        p->path = qd_list_get(r->list, i);
        if (find_label(p->path, &p->label, missing < SHOWN ? tried[missing] : NULL, err) < 0)
            return -1;
        missing += !p->label;
        if (r->difficult && find_label(qd_list_get(r->difficult, i), &p->difficult, NULL, err) < 0)
            return -1;
    }
    if (missing == r->n) {
        for (size_t i = 0; i < r->n && i < SHOWN; i++)
            cmd_failf("no label file '%s'", tried[i]);
        return cmd_error_set(
            err, QD_EIO, "none of the %zu pictures has a label file: nothing to score", r->n);
    }
    if (missing)
        cmd_warn("%zu of %zu pictures have no label file and count as background, first '%s'",
            missing, r->n, tried[0]);
    return 0;
}

struct truths {
    struct qd_truth *v;
    size_t n;
};

static int add_labels(
    struct truths *t, const char *path, int classes, bool difficult, struct qd_error *err)
{
    struct qd_labels l = {0};

    if (!path)
        return 0;
    if (qd_labels_load(path, classes, (enum qd_bad_labels)bad, &l, err) < 0)
        return -1;
    struct qd_truth *v = realloc(t->v, (t->n + l.n + 1) * sizeof(*v));
    if (!v) {
        qd_labels_free(&l);
        return cmd_error_set(err, QD_ENOMEM, "out of memory for labels");
    }
    t->v = v;
    for (size_t i = 0; i < l.n; i++)
        v[t->n++] = (struct qd_truth){l.label[i].box, l.label[i].class_id, difficult, 0};
    qd_labels_free(&l);
    return 0;
}

/* ------------------------------------------------------------------ one picture --------------- */

/* Drop low scores; returns how many stay. */
static size_t cut(struct qd_det *d, size_t n, float limit)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (d[i].score > limit)
            d[kept++] = d[i];
    return kept;
}

/* Detections of the net; boxes are fractions. */
static int add_from_net(struct run *r, struct qd_eval_input *in, const char *path,
    const struct qd_detect_opts *dopts, struct qd_error *err)
{
    const struct qd_image_opts io = {.exif = input.exif};
    struct qd_image *img = qd_image_load(path, &io, err);
    struct qd_dets d = {0};

    if (!img)
        return -1;
    int ret = cmd_detect(r->net, &input, img, dopts, &d, err);
    if (ret == 0) {
        const float size[2] = {1, 1}, one[2] = {1 / (float)img->w, 1 / (float)img->h};
        qd_eval_clip((enum qd_rules)rules, d.det, d.n, size, one);
        in->w = img->w;
        in->h = img->h;
        in->det = d.det;
        in->ndet = d.n;
        ret = qd_eval_add(r->eval, in, err);
    }
    qd_dets_free(&d);
    qd_image_free(img);
    return ret;
}

/* Detections of the file; all boxes are made pixels. */
static int add_from_file(struct run *r, struct qd_eval_input *in, const char *path,
    struct truths *t, struct qd_error *err)
{
    struct qd_dets d;
    int w, h, c;

    if (qd_image_probe(path, &w, &h, &c, err) < 0 || qd_detfile_get(r->detfile, path, &d, err) < 0)
        return -1;
    struct qd_det *copy = malloc((d.n + 1) * sizeof(*copy));
    if (!copy)
        return cmd_error_set(err, QD_ENOMEM, "out of memory for detections");
    if (d.n)
        memcpy(copy, d.det, d.n * sizeof(*copy));
    for (size_t i = 0; i < t->n; i++) {
        struct qd_box *b = &t->v[i].box;
        *b = (struct qd_box){b->x * (float)w, b->y * (float)h, b->w * (float)w, b->h * (float)h};
    }
    const float size[2] = {(float)w, (float)h}, one[2] = {1, 1};
    in->w = in->h = 1;
    in->det = copy;
    in->ndet = thresh >= 0 ? cut(copy, d.n, thresh) : d.n;
    if (!qd_detfile_is_coco(r->detfile)) /* such a file is taken as it is */
        qd_eval_clip((enum qd_rules)rules, copy, in->ndet, size, one);
    int ret = qd_eval_add(r->eval, in, err);
    free(copy);
    return ret;
}

static int add_picture(
    struct run *r, size_t i, const struct qd_detect_opts *dopts, struct qd_error *err)
{
    const struct picture *p = &r->picture[i];
    struct truths t = {0};
    int ret = -1;

    if (add_labels(&t, p->label, r->classes, false, err) == 0 &&
        add_labels(&t, p->difficult, r->classes, true, err) == 0) {
        struct qd_eval_input in = {.id = (long)i, .truth = t.v, .ntruth = t.n};
        /* COCO goes by ascending image id; pictures that have no number keep the list's order */
        if (r->detfile && qd_detfile_is_coco(r->detfile))
            in.id = qd_image_id(p->path);
        ret = r->net ? add_from_net(r, &in, p->path, dopts, err)
                     : add_from_file(r, &in, p->path, &t, err);
    }
    free(t.v);
    return ret;
}

static void add_all(struct run *r)
{
    const struct qd_detect_opts dopts = {.thresh = thresh, .nms = nms, .nms_kind = QD_NMS_MODEL};

    cmd_progress_begin("pictures", (long)r->n);
    for (size_t i = 0; i < r->n; i++) {
        struct qd_error err = {0};
        if (add_picture(r, i, &dopts, &err) < 0) {
            cmd_error(&err);
            r->failed++;
        }
        cmd_progress((long)i + 1);
    }
    cmd_progress_end();
}

/* ------------------------------------------------------------------ results ------------------- */

static void print_header(const struct run *r, const struct qd_eval_result *res)
{
    printf("# rules %s: ", rule_set[rules].name);
    if (rule_set[rules].compare)
        printf("%s %g; ", rule_set[rules].compare, (double)iou);
    printf("%s", rule_set[rules].what);
    if (rules == QD_RULES_DARKNET && points)
        printf("; %d points", points);
    else if (rules == QD_RULES_DARKNET)
        printf("; exact area");
    printf("\n# pictures %ld, labelled %ld, truths %ld, detections %ld\n", res->images,
        res->labelled, res->gt, res->dets);
    if (r->failed)
        printf("# pictures left out because of errors: %ld\n", r->failed);
    if (r->net) {
        int h, w, c;
        qd_net_size(r->net, &h, &w, &c);
        printf("# network %dx%d, %s, %s, score > %g, nms %g\n", w, h,
            input.letterbox ? "letterbox" : "stretched unless letter_box=1",
            input.resampler == QD_RESAMPLE_DARKNET ? "darknet's resampling" : "half-pixel bilinear",
            (double)thresh, (double)nms);
    } else {
        printf("# detections of %s\n", detections);
    }
}

static void print_result(
    const struct run *r, const struct qd_eval_result *res, const struct qd_eval_class *cls)
{
    static const char *const coco[] = {
        "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"};
    long tp = 0, fp = 0;
    int present = 0;
    double sum = 0;

    print_header(r, res);
    printf("# ap\tid\tname\tgt\ttp\tfp\tap\n");
    for (int c = 0; c < r->classes; c++) {
        const char *name = r->names ? qd_names_get(r->names, c) : NULL;
        printf("ap\t%d\t", c);
        if (name)
            printf("%s", name);
        else
            printf("%d", c);
        printf("\t%d\t%d\t%d\t%.6f\n", cls[c].gt, cls[c].tp, cls[c].fp, cls[c].ap);
        tp += cls[c].tp;
        fp += cls[c].fp;
        present += cls[c].gt > 0;
        sum += cls[c].gt > 0 ? cls[c].ap : 0;
    }
    printf("# score > %g: precision %.6f, recall %.6f, F1 %.6f, TP %ld, FP %ld, FN %ld, average "
           "IoU %.6f\n",
        (double)pr_thresh, res->precision, res->recall, res->f1, tp, fp, res->gt - tp,
        res->avg_iou);
    printf("# mean over all %d classes %.6f, over the %d with truths %.6f\n", r->classes,
        sum / r->classes, present, res->map_present);
    if (rules == QD_RULES_COCO)
        for (int i = 0; i < 12; i++)
            printf("%s\t%.6f\n", coco[i], res->coco[i]);
    printf("mAP\t%.6f\n", res->map);
}

/* ------------------------------------------------------------------ main ---------------------- */

static int check_usage(void)
{
    if (!detections && (!cmd.cfg || !cmd.weights))
        return cmd_misuse("give a network (-c and -w) or detections (-A)");
    if (detections && (cmd.cfg || cmd.weights || nms >= 0))
        return cmd_misuse("-A scores detections: -c, -w and -n make no sense with it");
    if (!cmd.data && !list_path)
        return cmd_misuse("no pictures: give -d or -L");
    if (detections && !cmd.data && !names_path)
        return cmd_misuse("the number of classes is not known: give -d or -N");
    if (points >= 0 && (rules != QD_RULES_DARKNET || (points && points != 11 && points != 101)))
        return cmd_misuse("-p/--points is 0, 11 or 101, and for the darknet rules only");
    if (iou >= 0 && rules == QD_RULES_COCO)
        return cmd_misuse("the coco rules have IoU thresholds of their own: no -I");
    if (points < 0)
        points = 0;
    if (iou < 0)
        iou = .5f;
    if (!detections && thresh < 0)
        thresh = rule_set[rules].thresh;
    if (!detections && nms < 0)
        nms = rule_set[rules].nms;
    return 0;
}

/* The net or the file that is scored, and the number of classes. */
static int load_subject(struct run *r, struct qd_error *err)
{
    if (!detections) {
        r->net = cmd_detector(err);
        if (!r->net)
            return -1;
        r->classes = qd_model_classes(qd_net_model(r->net));
    } else if (r->data) {
        r->classes = qd_data_classes(r->data);
    }
    if (cmd_names(names_path, r->classes, &r->names, err) < 0)
        return -1;
    if (!r->classes && r->names)
        r->classes = qd_names_count(r->names);
    if (r->classes < 1)
        return cmd_error_set(err, QD_EFORMAT, "%s: neither classes= nor names=", cmd.data);
    if (r->data && qd_data_classes(r->data) && qd_data_classes(r->data) != r->classes)
        return cmd_error_set(err, QD_EFORMAT, "%s: classes=%d, but the net has %d", cmd.data,
            qd_data_classes(r->data), r->classes);
    if (!detections)
        return 0;
    r->detfile = qd_detfile_load(detections, r->classes, (enum qd_category_ids)category_ids, err);
    return r->detfile ? 0 : -1;
}

static int run(struct run *r, struct qd_error *err)
{
    if (cmd.data && !(r->data = qd_data_load(cmd.data, err)))
        return -1;
    if (load_subject(r, err) < 0 || load_lists(r, err) < 0 || find_labels(r, err) < 0)
        return -1;
    const struct qd_eval_opts eo = {(enum qd_rules)rules, r->classes, iou, pr_thresh, points};
    struct qd_eval_class *cls = calloc((size_t)r->classes, sizeof(*cls));
    struct qd_eval_result res;
    int ret = -1;
    if (!cls)
        return cmd_error_set(err, QD_ENOMEM, "out of memory for %d classes", r->classes);
    r->eval = qd_eval_new(&eo, err);
    if (r->eval) {
        add_all(r);
        ret = qd_eval_run(r->eval, &res, cls, err);
    }
    if (ret == 0 && r->failed == (long)r->n)
        ret = cmd_error_set(err, QD_EFORMAT, "no picture is left: nothing to score");
    if (ret == 0 && res.labelled == 0)
        ret = cmd_error_set(err, QD_EFORMAT, "the label files hold no box: nothing to score");
    if (ret == 0) {
        size_t unused = r->detfile ? qd_detfile_unused(r->detfile) : 0;
        if (unused)
            cmd_warn(
                "%s: %zu detections are of pictures that are not in the list", detections, unused);
        print_result(r, &res, cls);
    }
    free(cls);
    return ret;
}

static void release(struct run *r)
{
    for (size_t i = 0; r->picture && i < r->n; i++) {
        free(r->picture[i].label);
        free(r->picture[i].difficult);
    }
    free(r->picture);
    qd_eval_free(r->eval);
    qd_detfile_free(r->detfile);
    qd_net_free(r->net);
    qd_names_free(r->names);
    qd_list_free(r->difficult);
    qd_list_free(r->list);
    qd_data_free(r->data);
}

int main(int argc, char *argv[])
{
    struct qd_error err = {0};
    struct run r = {0};

    cmd_parse(&info, argc, argv);
    if (check_usage() != 0)
        return 2;
    int ret = run(&r, &err);
    release(&r);
    return ret < 0 ? cmd_fail(&err) : cmd_finish();
}
