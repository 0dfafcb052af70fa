/* SPDX-License-Identifier: MIT */
#ifndef QD_NMS_H
#define QD_NMS_H

#include "base/base.h"

/* One box as one class; a box that passes the threshold for several classes comes several times. */
struct qd_cand {
    struct qd_box box; /* fractions of the image: the distance term depends on the unit's aspect */
    int class_id;
    float score;
};

struct qd_nms_opts {
    enum qd_nms kind; /* QD_NMS_IOU (darknet's default and cornersnms): IoU;
                         QD_NMS_GREEDY (greedynms): IoU - distance^.6, the exponent is fixed;
                         QD_NMS_DIOU (diounms): IoU - distance^beta.  QD_NMS_MODEL is an error */
    float beta;
    float overlap; /* a lower score of the same class dies above this; >= 1: nothing dies */
    float thresh;  /* candidates with a score not above this are left out first */
    int max_cands; /* candidates that take part, best first; 0: all.  The work grows with the
                      square of their number when all are of one class and none overlap (30000:
                      about 2 seconds), so that a caller who runs untrusted nets sets it */
    int max_dets;  /* results at most, best first; 0: all */
};

/*
 * Non-maximum suppression for each class by itself (darknet.md 6.3).  Candidates with a score or
 * box that is not finite are left out.  Equal scores: the earlier candidate is the better one.
 * 'out' is sorted by score descending, then class, then x, then the order of the candidates.  Free
 * it with qd_dets_free().
 */
int qd_nms_run(const struct qd_cand *cand, size_t n, const struct qd_nms_opts *opts,
    struct qd_dets *out, struct qd_error *err) QD_MUSTCHECK;

#endif
