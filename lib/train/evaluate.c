/* SPDX-License-Identifier: MIT */
/*
 * Scores of a net on the labelled pictures of a set, with a net of its own for inference: what is
 * scored is what qd-map and qd-classify would say about the saved weights.
 */
#include "base/error.h"
#include "net/net.h"
#include "train/train.h"

/* ---- detectors ------------------------------------------------------------------------------- */

struct scoring {
    struct qd_eval *e;
    struct qd_detect_opts opts;
    enum qd_rules rules;
};

/* Add image i, with the detections of the net. */
static int score_image(
    struct qd_net *net, struct qd_dataset *set, size_t i, struct scoring *how, struct qd_error *err)
{
    const struct qd_sample *s = &set->sample[i];
    struct qd_truth *truth = qd_alloc(s->nlabel, sizeof(*truth), err);
    struct qd_image *img = truth ? qd_dataset_get(set, i, err) : NULL;
    struct qd_dets dets = {0};
    int ret = img ? qd_net_set_image(net, 0, img, QD_FIT_MODEL, err) : -1;

    if (img)
        qd_dataset_put(set, i, img);
    if (ret == 0) {
        qd_net_forward(net);
        ret = qd_net_detect(net, 0, &how->opts, &dets, err);
    }
    for (size_t k = 0; truth && k < s->nlabel; k++)
        truth[k] = (struct qd_truth){.box = s->label[k].box, .class_id = s->label[k].class_id};
    if (ret == 0) {
        const float size[2] = {1, 1}, one[2] = {1 / (float)s->w, 1 / (float)s->h};
        qd_eval_clip(how->rules, dets.det, dets.n, size, one);
        struct qd_eval_input in = {(long)i, s->w, s->h, truth, s->nlabel, dets.det, dets.n};
        ret = qd_eval_add(how->e, &in, err);
    }
    qd_dets_free(&dets);
    qd_free(truth);
    return ret;
}

int qd_score_detector(struct qd_net *net, struct qd_dataset *set, const struct qd_score_opts *o,
    double *map, struct qd_error *err)
{
    bool darknet = o->rules == QD_RULES_DARKNET;
    struct scoring how = {.opts = QD_DETECT_OPTS_INIT, .rules = o->rules};
    struct qd_eval_opts eval = {
        .rules = o->rules, .classes = set->classes, .iou = .5f, .pr_thresh = .25f};
    struct qd_eval_result result;
    size_t n = o->limit && o->limit < set->n ? o->limit : set->n;

    how.e = qd_eval_new(&eval, err);
    how.opts.thresh = darknet ? .005f : .001f; /* as qd-map */
    how.opts.nms = darknet ? .45f : .6f;
    int ret = how.e ? 0 : -1;
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = o->stop && o->stop(o->ctx) ? 1 : score_image(net, set, i, &how, err);
    if (ret == 0)
        ret = qd_eval_run(how.e, &result, NULL, err);
    if (ret == 0)
        *map = result.map < 0 ? 0 : result.map;
    qd_eval_free(how.e);
    return ret;
}

int qd_detect_score(struct qd_net *net, const char *data, const struct qd_score_opts *opts,
    double *map, struct qd_error *err)
{
    const struct qd_score_opts none = {.limit = 0}, *o = opts ? opts : &none;
    const struct qd_preflight_opts preflight = {
        .data = data, .classes = qd_model_classes(net->model), .valid = true, .bad = o->bad};
    const struct qd_image_opts decode = {.channels = net->graph->c};
    struct qd_sets sets;

    if (!preflight.classes)
        return qd_error_set(
            err, QD_EARG, "%s: the net has no detection head", qd_cfg_name(net->model->cfg));
    if (qd_sets_open(&preflight, &sets, err) < 0)
        return -1;
    int ret = qd_dataset_decode(sets.valid, &decode, 0, err);
    if (ret == 0)
        ret = qd_score_detector(net, sets.valid, o, map, err);
    qd_sets_close(&sets);
    return ret;
}

/* ---- classifiers ----------------------------------------------------------------------------- */

/* How many classes are more probable than 'right'; of equal ones the first. */
static int rank(const float *p, int n, int right)
{
    int before = 0;

    for (int i = 0; i < n; i++)
        before += p[i] > p[right] || (p[i] == p[right] && i < right);
    return before;
}

static int classify(struct qd_net *net, struct qd_dataset *set, size_t i, float *p, int *place,
    struct qd_error *err)
{
    struct qd_image *img = qd_dataset_get(set, i, err);
    int ret = img ? qd_net_set_image(net, 0, img, QD_FIT_CROP, err) : -1;

    if (img)
        qd_dataset_put(set, i, img);
    if (ret == 0) {
        qd_net_forward(net);
        ret = qd_net_output(net, net->graph->nlayers - 1, 0, p, err);
    }
    if (ret == 0)
        *place = rank(p, set->classes, set->sample[i].class_id);
    return ret;
}

int qd_score_classifier(struct qd_net *net, struct qd_dataset *set, const struct qd_score_opts *o,
    struct qd_top *top, struct qd_error *err)
{
    const struct qd_layer *l = &net->graph->layer[net->graph->nlayers - 1];
    size_t n = o->limit && o->limit < set->n ? o->limit : set->n;
    long first = 0, five = 0;
    int ret = 0;

    if (l->h != 1 || l->w != 1 || l->c != set->classes)
        return qd_error_set(err, QD_EARG,
            "%s: the net gives %dx%dx%d values, the set has %d classes",
            qd_cfg_name(net->model->cfg), l->w, l->h, l->c, set->classes);
    float *p = qd_alloc((size_t)l->c, sizeof(*p), err);
    if (!p)
        return -1;
    for (size_t i = 0; ret == 0 && i < n; i++) {
        int place = 0;
        ret = o->stop && o->stop(o->ctx) ? 1 : classify(net, set, i, p, &place, err);
        first += ret == 0 && place < 1;
        five += ret == 0 && place < 5;
    }
    qd_free(p);
    *top = (struct qd_top){(long)n, (double)first / (double)n, (double)five / (double)n};
    return ret;
}

int qd_classify_score(struct qd_net *net, const char *data, enum qd_bad_labels bad,
    struct qd_top *top, struct qd_error *err)
{
    const struct qd_preflight_opts opts = {.data = data,
        .classes = net->graph->layer[net->graph->nlayers - 1].c,
        .classifier = true,
        .valid = true,
        .bad = bad};
    const struct qd_image_opts decode = {.channels = net->graph->c};
    const struct qd_score_opts score = {.limit = 0};
    struct qd_sets sets;

    if (qd_sets_open(&opts, &sets, err) < 0)
        return -1;
    int ret = qd_dataset_decode(sets.valid, &decode, 0, err);
    if (ret == 0)
        ret = qd_score_classifier(net, sets.valid, &score, top, err);
    qd_sets_close(&sets);
    return ret;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static int score(struct qd_train *t, struct qd_net *net, const struct qd_score_opts *o,
    double *value, struct qd_error *err)
{
    struct qd_top top;

    if (!t->r.classifier)
        return qd_score_detector(net, t->sets.valid, o, value, err);
    int ret = qd_score_classifier(net, t->sets.valid, o, &top, err);
    *value = top.top1;
    return ret;
}

int qd_score_run(
    struct qd_train *t, size_t limit, double *value, size_t *bytes, struct qd_error *err)
{
    const struct qd_score_opts o = {
        .rules = t->o.rules, .limit = limit, .stop = t->o.stop, .ctx = t->o.ctx};
    bool average = t->ema && t->ema_updates && !t->ema_done;
    float *params = t->m->params;
    size_t activations, packed;

    if (average)
        t->m->params = t->ema;
    struct qd_net *net = qd_net_new(t->m, NULL, err);
    t->m->params = params;
    if (!net)
        return -1;
    qd_net_memory(net, &activations, &packed);
    if (bytes)
        *bytes = activations + packed;
    int ret = score(t, net, &o, value, err);
    qd_net_free(net);
    return ret;
}
