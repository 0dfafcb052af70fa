/* SPDX-License-Identifier: MIT */
/*
 * From the raw tensors of a net's heads to detections: every head decodes its boxes, they are
 * mapped back to the image that was put in, and overlapping ones of a class are suppressed.
 */
#include "base/buf.h"
#include "base/error.h"
#include "detect/nms.h"
#include "image/resize.h"
#include "net/net.h"

/* Candidates that take part in suppression, as its work may grow with their square.  A sane
 * detector gives some hundreds; a net with random weights may give all it has. */
enum { MAX_CANDS = 30000 };

static void collect(void *ctx, const struct qd_box *box, int class_id, float score)
{
    struct qd_cand c = {.box = *box, .class_id = class_id, .score = score};

    qd_buf_add(ctx, &c, sizeof(c));
}

/* What the last head of the net says about suppression; false when the net has no head. */
static bool last_head(const struct qd_net *net, struct qd_head *head)
{
    const struct qd_graph *g = net->graph;

    for (int i = g->nlayers - 1; i >= 0; i--)
        if (g->layer[i].type->head) {
            g->layer[i].type->head(&g->layer[i], head);
            return true;
        }
    return false;
}

static void map_back(const struct qd_net *net, int index, struct qd_cand *cand, size_t n)
{
    const struct qd_slot *s = &net->slot[index];

    if (!s->letterbox)
        return;
    struct qd_letterbox lb = qd_letterbox_fit(s->w, s->h, net->graph->w, net->graph->h);
    for (size_t i = 0; i < n; i++)
        qd_letterbox_unmap(&lb, &cand[i].box);
}

int qd_net_detect(struct qd_net *net, int index, const struct qd_detect_opts *opts,
    struct qd_dets *out, struct qd_error *err)
{
    static const struct qd_detect_opts defaults = QD_DETECT_OPTS_INIT;
    const struct qd_detect_opts *o = opts ? opts : &defaults;
    const struct qd_graph *g = net->graph;
    struct qd_head head = {0};
    struct qd_buf cands = {0};

    if (index < 0 || index >= net->opts.batch)
        return qd_error_set(err, QD_EARG, "no slot %d in a batch of %d", index, net->opts.batch);
    if (!last_head(net, &head))
        return qd_error_set(err, QD_EARG, "%s: the net has no detection head", qd_cfg_name(g->cfg));
    struct qd_decode d = {
        .net_w = g->w, .net_h = g->h, .thresh = o->thresh, .emit = collect, .ctx = &cands};
    for (int i = 0; i < g->nlayers; i++)
        if (g->layer[i].type->decode)
            g->layer[i].type->decode(&g->layer[i], qd_net_tensor(net, i), index, &d);
    int ret = qd_buf_ok(&cands, err);
    if (ret == 0) {
        struct qd_cand *cand = (struct qd_cand *)(void *)cands.data;
        size_t n = cands.len / sizeof(*cand);
        struct qd_nms_opts no = {.kind = o->nms_kind == QD_NMS_MODEL ? head.nms : o->nms_kind,
            .beta = head.beta_nms,
            .overlap = o->nms,
            .thresh = o->thresh,
            .max_cands = MAX_CANDS,
            .max_dets = o->max_dets};
        map_back(net, index, cand, n);
        ret = qd_nms_run(cand, n, &no, out, err);
    }
    qd_buf_free(&cands);
    return ret;
}
