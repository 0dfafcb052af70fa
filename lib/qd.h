/* SPDX-License-Identifier: MIT */
/*
 * libqd: small and fast object detectors.
 *
 *     struct qd_error err = {0};
 *     struct qd_cfg *cfg = qd_cfg_load("yolov3-tiny.cfg", &err);
 *     struct qd_model *model = qd_model_new(cfg, &err);        the model owns cfg now
 *     qd_model_load(model, "yolov3-tiny.weights", NULL, &err);
 *     struct qd_net *net = qd_net_new(model, NULL, &err);      an executable for one batch and size
 *     struct qd_image *img = qd_image_load("dog.jpg", NULL, &err);
 *     qd_net_set_image(net, 0, img, QD_FIT_MODEL, &err);
 *     qd_net_forward(net);
 *     qd_net_detect(net, 0, NULL, &dets, &err);
 *
 * Rules that hold everywhere: a function that can fail takes 'struct qd_error *' last (may be
 * NULL) and returns 0 or -1, or a pointer or NULL; 'err' is untouched on success.  *_new and *_load
 * hand ownership to the caller, *_free takes it (NULL is allowed), other pointers are borrowed and
 * die with their owner.  The library prints nothing, never exits and reads no environment variable
 * but QD_CPU.  Different objects may be used from different threads at the same time, one object
 * from one thread at a time.
 */
#ifndef QD_H
#define QD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QD_MUSTCHECK __attribute__((warn_unused_result))
#define QD_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define QD_MUSTCHECK
#define QD_PRINTF(f, a)
#endif

/* ------------------------------------------------------------------ errors, notes, machine ---- */

enum qd_code {
    QD_OK,
    QD_EIO,       /* a file cannot be opened, read or written */
    QD_EFORMAT,   /* a file's content is wrong */
    QD_EUNSUP,    /* right, but not supported here */
    QD_ENOMEM,    /* out of memory */
    QD_EARG,      /* an argument is out of range */
    QD_EDEVICE,   /* the device failed */
    QD_EDIVERGED, /* a computation gave NaN or infinity */
};

struct qd_error {
    enum qd_code code;
    char msg[500]; /* one complete line without newline */
};

enum qd_log_level { QD_LOG_WARNING, QD_LOG_NOTE, QD_LOG_DEBUG };
typedef void qd_log_fn(void *ctx, enum qd_log_level level, const char *line);

/* Send the library's warnings and notes to fn; NULL: silence (the default).  Not thread-safe: call
 * it once, first. */
void qd_log_set(qd_log_fn *fn, void *ctx);

/* "0.1.0" */
const char *qd_version(void);
/* The kernel level in use: "ref", "blas", "vector", "avx2", "avx512".  It is the best one that this
 * processor has, capped by the environment variable QD_CPU; NULL with 'err' set when QD_CPU holds
 * an unknown name or one that this machine does not have. */
const char *qd_level(struct qd_error *err) QD_MUSTCHECK;
/* What the level was chosen from, for -v: processor, levels, BLAS core; static text. */
const char *qd_level_detail(void);
/* Threads for the work of this process, 1..256; 0: as many as there are processors. */
int qd_threads_set(int n, struct qd_error *err) QD_MUSTCHECK;
int qd_threads(void);

/* ------------------------------------------------------------------ cfg: the architecture ----- */

struct qd_cfg;

/* Read a darknet cfg ("-": standard input).  Comments, order and line numbers are kept. */
struct qd_cfg *qd_cfg_load(const char *path, struct qd_error *err) QD_MUSTCHECK;
/* The same from memory; 'name' stands for the file in messages. */
struct qd_cfg *qd_cfg_parse(
    const char *text, size_t len, const char *name, struct qd_error *err) QD_MUSTCHECK;
/* A deep copy. */
struct qd_cfg *qd_cfg_copy(const struct qd_cfg *cfg, struct qd_error *err) QD_MUSTCHECK;
void qd_cfg_free(struct qd_cfg *cfg);
/*
 * Apply one override "SECTION.KEY=VALUE".  SECTION is "net", a section name ("yolo": all of that
 * name) or a layer number ("12").  A section that is not there is an error.
 */
int qd_cfg_override(struct qd_cfg *cfg, const char *text, struct qd_error *err) QD_MUSTCHECK;
/* Write it back: what was not changed comes out byte for byte.  'force' replaces a file. */
int qd_cfg_save(
    const struct qd_cfg *cfg, const char *path, bool force, struct qd_error *err) QD_MUSTCHECK;

/* ------------------------------------------------------------------ model: cfg + parameters --- */

struct qd_model;

/* Build the graph of 'cfg' at the size its [net] section says, all parameters zero, and check every
 * rule that a cfg must obey.  Takes 'cfg', also when it fails. */
struct qd_model *qd_model_new(struct qd_cfg *cfg, struct qd_error *err) QD_MUSTCHECK;
void qd_model_free(struct qd_model *m);
const struct qd_cfg *qd_model_cfg(const struct qd_model *m);

struct qd_load_opts {
    int upto;     /* read layers 0..upto-1 only; 0: all */
    bool partial; /* accept a file that ends exactly after some layer; the rest keeps its values */
    bool extra;   /* accept bytes after the last layer */
};
struct qd_load_info {
    int layers; /* layers whose parameters were read */
    int major, minor, revision;
    uint64_t seen; /* images seen in training */
};

/*
 * Read darknet weights.  The file must hold exactly the values that the model needs, except as
 * 'opts' (NULL: no exceptions) says; otherwise -1 with a message that names layer, array, expected
 * and present counts.  'info' may be NULL.  The model is unchanged on failure.
 */
int qd_model_load(struct qd_model *m, const char *path, const struct qd_load_opts *opts,
    struct qd_load_info *info, struct qd_error *err) QD_MUSTCHECK;
/* Write darknet weights (0.2.5, 64-bit 'seen'); atomic. */
int qd_model_save(
    const struct qd_model *m, const char *path, bool force, struct qd_error *err) QD_MUSTCHECK;
/* Seeded He-normal weights; scales 1, biases 0, means 0, variances 1. */
void qd_model_randomize(struct qd_model *m, uint64_t seed);
/*
 * Random weights of ordinary behaviour: randomize, then set the batch-norm statistics from one
 * forward pass over noise, so that activations have ordinary size on every layer (no denormals, no
 * overflow).  For benchmarks and tests.
 */
int qd_model_settle(struct qd_model *m, uint64_t seed, struct qd_error *err) QD_MUSTCHECK;

struct qd_layer_info {
    const char *section; /* "convolutional" */
    int line;            /* in the cfg */
    int nin, in[8];      /* sources, -1 is the net's input; nin counts all, in[] holds up to 8 */
    int h, w, c;         /* output per image */
    int ih, iw, ic;      /* first input */
    char detail[64];     /* "3x3/2 32 leaky" */
    uint64_t params;     /* floats in the weights file */
    uint64_t trained;    /* the same without running statistics (compression.md 0.3) */
    uint64_t macs;       /* multiply-adds per image */
};

/* The number of layers, and the facts about layer i of 0..layers-1. */
int qd_model_layers(const struct qd_model *m);
void qd_model_layer(const struct qd_model *m, int i, struct qd_layer_info *info);
/* Input size of the model, and its number of classes (0 when it has no head). */
void qd_model_size(const struct qd_model *m, int *h, int *w, int *c);
int qd_model_classes(const struct qd_model *m);

/* What the cfg format knows, one row for each key of each section; qd-cfg(5) is made from it. */
struct qd_key_doc {
    const char *section; /* "net", "convolutional" ...; "*": every layer */
    const char *key;     /* NULL: the row describes the section itself */
    const char *type;    /* "int", "float", "word", "ints", "floats", "text", "noted", "refused" */
    const char *def;     /* default as text, or NULL */
    const char *choices; /* allowed words, space-separated, or NULL */
    const char *help;    /* one line, or NULL */
    double min, max;     /* both 0: any */
};
/* Row i; false after the last one. */
bool qd_key_doc(size_t i, struct qd_key_doc *row);

/* ------------------------------------------------------------------ images -------------------- */

/* 8 bits a channel, row by row, channels together; c is 1 (gray) or 3 (RGB). */
struct qd_image {
    int w, h, c;
    uint8_t *data; /* [h][w][c] */
};

struct qd_image_opts {
    int channels;     /* 1 or 3: convert to that; 0: as in the file (3 for CMYK and palettes) */
    bool exif;        /* apply the EXIF orientation of a JPEG */
    int min_w, min_h; /* a JPEG may be decoded at 1/2, 1/4 or 1/8 while it stays at least this
                         large; 0: always at full size */
};

/* Decode PNG, JPEG or PNM, recognised by content ("-": standard input).  opts NULL: defaults. */
struct qd_image *qd_image_load(
    const char *path, const struct qd_image_opts *opts, struct qd_error *err) QD_MUSTCHECK;
/* The same from memory; 'name' stands for the file in messages. */
struct qd_image *qd_image_decode(const void *data, size_t len, const char *name,
    const struct qd_image_opts *opts, struct qd_error *err) QD_MUSTCHECK;
/*
 * The size of the image in the file 'path' and its channels, as qd_image_load gives them without
 * options.  Reads the header only: the rest of the file may still turn out to be damaged.
 */
int qd_image_probe(const char *path, int *w, int *h, int *c, struct qd_error *err) QD_MUSTCHECK;
/* A black image. */
struct qd_image *qd_image_new(int w, int h, int c, struct qd_error *err) QD_MUSTCHECK;
void qd_image_free(struct qd_image *img);
/* Write by suffix: .png, .jpg/.jpeg (quality 95, chroma 4:2:0), .ppm/.pgm/.pnm; "-" is PPM on
 * standard output. */
int qd_image_save(
    const struct qd_image *img, const char *path, bool force, struct qd_error *err) QD_MUSTCHECK;

/*
 * A stream of images one after the other: PPM (P5, P6) or JPEG (MJPEG, as ffmpeg writes it).
 * qd_stream_next gives 1 and an image, 0 at a clean end, -1 on an error.  After a damaged image
 * whose end is known the next call goes on with the next image; otherwise it fails again.
 */
struct qd_stream;
struct qd_stream *qd_stream_open(int fd, const char *name, struct qd_error *err) QD_MUSTCHECK;
int qd_stream_next(struct qd_stream *s, const struct qd_image_opts *opts, struct qd_image **img,
    struct qd_error *err) QD_MUSTCHECK;
void qd_stream_close(struct qd_stream *s);
/* Whether the stream turned out to be JPEG. */
bool qd_stream_is_jpeg(const struct qd_stream *s);
/* Write one frame to a file descriptor in the stream's kind: PPM, or JPEG. */
int qd_stream_write(
    int fd, const struct qd_image *img, bool jpeg, struct qd_error *err) QD_MUSTCHECK;

/* ------------------------------------------------------------------ net: running -------------- */

struct qd_net;

struct qd_net_opts {
    int batch;     /* images at once; 0: 1 */
    int w, h;      /* input size; 0: the model's */
    bool keep_all; /* every layer's output stays readable after a forward pass (more memory, and
                      no fusing of layers) */
    bool timing;   /* measure every layer (qd_net_layer_ms) */
};

/* Plan, allocate and pack the weights.  The model is borrowed and must outlive the net; later
 * changes of its parameters do not reach the net. */
struct qd_net *qd_net_new(
    const struct qd_model *m, const struct qd_net_opts *opts, struct qd_error *err) QD_MUSTCHECK;
/* The same, but takes the model (also when it fails) and gives its parameters back to the system
 * while they are packed, so that the two copies never exist in full together. */
struct qd_net *qd_net_take(
    struct qd_model *m, const struct qd_net_opts *opts, struct qd_error *err) QD_MUSTCHECK;
void qd_net_free(struct qd_net *net);
/* The model that the net was made from; of one that was taken only the architecture is left. */
const struct qd_model *qd_net_model(const struct qd_net *net);
/* The size of the input (may differ from the model's). */
void qd_net_size(const struct qd_net *net, int *h, int *w, int *c);
/* Bytes of activations and workspace, and of packed weights. */
void qd_net_memory(const struct qd_net *net, size_t *activations, size_t *packed);

enum qd_fit {
    QD_FIT_MODEL,     /* letterbox when the cfg says letter_box=1, else stretch */
    QD_FIT_STRETCH,   /* both sides to the net's size */
    QD_FIT_LETTERBOX, /* keep the aspect, gray bars */
    QD_FIT_CROP,      /* classifiers: the shorter side to the net's size, the centre of that;
                         detections are not mapped back */
};
enum qd_resampler {
    QD_RESAMPLE_DARKNET,   /* bilinear, aligned corners: what darknet without OpenCV does */
    QD_RESAMPLE_HALFPIXEL, /* bilinear, half-pixel centres: what OpenCV and most others do */
};
void qd_net_set_resampler(struct qd_net *net, enum qd_resampler r);

/* Put an image into slot 'index' of the batch: resize, scale to 0..1.  An image with another number
 * of channels is converted. */
int qd_net_set_image(struct qd_net *net, int index, const struct qd_image *img, enum qd_fit fit,
    struct qd_error *err) QD_MUSTCHECK;
/* The same from planar floats, c*h*w of them in the net's own size (darknet's layout). */
void qd_net_set_planar(struct qd_net *net, int index, const float *planar);
/* Run all layers.  Allocates nothing. */
void qd_net_forward(struct qd_net *net);
/*
 * Copy the output of 'layer' for image 'index' in darknet's planar order to 'planar' (c*h*w
 * floats).  -1 when the layer's output was not kept: heads, outputs that no other layer reads and,
 * with keep_all, every layer are.  Detection heads give the raw values before any sigmoid.
 */
int qd_net_output(const struct qd_net *net, int layer, int index, float *planar,
    struct qd_error *err) QD_MUSTCHECK;
/* Milliseconds of the last forward pass in a layer (needs .timing). */
double qd_net_layer_ms(const struct qd_net *net, int layer);
/* Multiply-adds of a layer per image at this net's size. */
uint64_t qd_net_layer_macs(const struct qd_net *net, int layer);

/* ------------------------------------------------------------------ detection ----------------- */

struct qd_box { /* centre and size, fractions of the image */
    float x, y, w, h;
};
struct qd_det {
    struct qd_box box;
    int class_id;
    float score; /* objectness times class probability */
};
struct qd_dets {
    struct qd_det *det; /* score descending, then class, then x */
    size_t n;
};
enum qd_nms { QD_NMS_MODEL, QD_NMS_IOU, QD_NMS_GREEDY, QD_NMS_DIOU };

struct qd_detect_opts {
    float thresh;         /* keep scores above this */
    float nms;            /* overlap above which the lower score of a class dies; >= 1: no NMS */
    enum qd_nms nms_kind; /* QD_NMS_MODEL: what the last head of the cfg says */
    int max_dets;         /* at most that many, best first; 0: all */
};
#define QD_DETECT_OPTS_INIT                                                                        \
    {                                                                                              \
        .25f, .45f, QD_NMS_MODEL, 0                                                                \
    }

/* Boxes from the heads for image 'index', mapped back to the image given to qd_net_set_image (not
 * clipped), after NMS.  opts NULL: the defaults above.  Free with qd_dets_free. */
int qd_net_detect(struct qd_net *net, int index, const struct qd_detect_opts *opts,
    struct qd_dets *out, struct qd_error *err) QD_MUSTCHECK;
void qd_dets_free(struct qd_dets *d);

/* Labelled boxes drawn into the image, class name and percent above each; names may be NULL. */
struct qd_names;
void qd_draw_dets(struct qd_image *img, const struct qd_dets *d, const struct qd_names *names);

/* ------------------------------------------------------------------ data sets ----------------- */

/* Class names, one a line. */
struct qd_names *qd_names_load(const char *path, struct qd_error *err) QD_MUSTCHECK;
void qd_names_free(struct qd_names *n);
int qd_names_count(const struct qd_names *n);
/* The name of a class, or NULL out of range. */
const char *qd_names_get(const struct qd_names *n, int class_id);

/* A list of paths, one a line. */
struct qd_list;
struct qd_list *qd_list_load(const char *path, struct qd_error *err) QD_MUSTCHECK;
void qd_list_free(struct qd_list *l);
size_t qd_list_count(const struct qd_list *l);
const char *qd_list_get(const struct qd_list *l, size_t i);

/* A .data file.  Paths in it are looked up from the current folder, then from the file's. */
struct qd_data;
struct qd_data *qd_data_load(const char *path, struct qd_error *err) QD_MUSTCHECK;
void qd_data_free(struct qd_data *d);
/* The value of a key, or NULL. */
const char *qd_data_get(const struct qd_data *d, const char *key);
/* The path that the value of a key names, resolved as above; NULL with 'err' set when the key is
 * missing or no such file exists. */
const char *qd_data_path(struct qd_data *d, const char *key, struct qd_error *err) QD_MUSTCHECK;
/* classes=, 0 when absent. */
int qd_data_classes(const struct qd_data *d);

struct qd_label {
    int class_id;
    struct qd_box box;
    int line; /* in the label file */
};
struct qd_labels {
    struct qd_label *label;
    size_t n;
};
enum qd_bad_labels { QD_BAD_FAIL, QD_BAD_DROP, QD_BAD_CLIP };

/* The label file of an image: the same folder, darknet's COCO and VOC rules, then images->labels
 * (spec 4.4).  'path' gets the first that exists (at most 'size' bytes).  1 found, 0 none of them
 * exists, -1 when two rules hit different files. */
int qd_label_path(const char *image, char *path, size_t size, struct qd_error *err) QD_MUSTCHECK;
/*
 * Read a darknet label file.  classes > 0: a class id out of range is a defect.  Every defect is
 * logged as a warning with file:line; with QD_BAD_FAIL the first makes the call fail, QD_BAD_DROP
 * leaves the box out, QD_BAD_CLIP mends what can be mended.
 */
int qd_labels_load(const char *path, int classes, enum qd_bad_labels bad, struct qd_labels *out,
    struct qd_error *err) QD_MUSTCHECK;
void qd_labels_free(struct qd_labels *l);

/* ------------------------------------------------------------------ data set tools ------------ */

/* How hard the pictures of a synthetic set are: size and number of objects, what hides them,
 * contrast, patterns behind them, noise. */
enum qd_toy_level { QD_TOY_EASY, QD_TOY_NORMAL, QD_TOY_HARD };
struct qd_toy_opts {
    const char *kind; /* one of those that qd_toy_kind() tells */
    uint64_t seed;
    int train, valid; /* pictures */
    int w, h;         /* of a picture, 32..2048; 0: the kind's */
    int classes;      /* 1..10; 0: the kind's */
    enum qd_toy_level level;
    bool png;   /* PNG pictures instead of JPEG */
    bool force; /* write into a folder that is not empty */
};
/* The i-th kind of synthetic sets, NULL after the last: "detect", "classify", "segment". */
const char *qd_toy_kind(int i);
/*
 * Draw a synthetic data set into the folder 'dir', which is made if it is not there: pictures,
 * labels, lists, NAME.names and NAME.data, where NAME is that of the folder; qd-toy(1) says how
 * they lie.  A picture depends on the seed, its number, and whether it is for training: a larger
 * set begins with the pictures of a smaller one.
 */
int qd_toy_write(
    const char *dir, const struct qd_toy_opts *opts, struct qd_error *err) QD_MUSTCHECK;

/* Width and height of a box or an anchor, in pixels of a net's input. */
struct qd_size {
    float w, h;
};
struct qd_anchors_opts {
    int n; /* anchors, 1..256 */
    uint64_t seed;
    int restarts;    /* k-means is begun that many times, 0: once */
    int generations; /* of random changes afterwards, 0: none */
    float thresh;    /* IoU that a box must exceed to count in the fitness that these improve */
};
/*
 * Anchors for n boxes, sorted by area, in anchor[opts->n]: k-means with the distance 1 - IoU of two
 * boxes at the same place, begun by k-means++, the best of all restarts by mean IoU; then mutations
 * as long as the mean of IoU * [IoU > thresh] rises (compression.md 5.6).  The result depends on
 * boxes, their order and opts only.  Fewer different boxes than anchors are an error.
 */
int qd_anchors_find(const struct qd_size *box, size_t n, const struct qd_anchors_opts *opts,
    struct qd_size *anchor, struct qd_error *err) QD_MUSTCHECK;
struct qd_anchors_fit {
    double avg_iou; /* of the boxes with their best anchors */
    double fitness; /* the same, counting IoU > thresh only */
    double recall;  /* share of the boxes with IoU > thresh */
    long *boxes;    /* the caller's, [k], or NULL: how many boxes each anchor is the best of */
};
/* How well k anchors fit n boxes. */
int qd_anchors_score(const struct qd_size *box, size_t n, const struct qd_size *anchor, int k,
    float thresh, struct qd_anchors_fit *out, struct qd_error *err) QD_MUSTCHECK;

/* What to do with objects that are marked as difficult, in COCO as crowd. */
enum qd_difficult {
    QD_DIFFICULT_DROP,
    QD_DIFFICULT_KEEP,  /* as others */
    QD_DIFFICULT_APART, /* label files of their own, and 'difficult' in the .data file */
};
struct qd_import_opts {
    const char *format;           /* one of those that qd_import_format() tells */
    const char *source;           /* folder, or file */
    const char *images;           /* folder of the pictures; NULL: where the format has them */
    const struct qd_names *names; /* the classes, borrowed; NULL: the format's or those found */
    enum qd_bad_labels bad;
    enum qd_difficult difficult;
    float split; /* 0..1: share of the pictures for validation where the source does not say */
    bool copy;   /* copy pictures instead of linking them */
    bool force;  /* write into a folder that is not empty */
};
struct qd_import_counts {
    long pictures[2], background[2]; /* training, validation; background: without a box */
    long difficult;                  /* objects so marked, whatever became of them */
    long ignored;                    /* regions that the set itself excludes */
    long unknown;                    /* objects of other classes */
    long bad;                        /* boxes with a defect, whatever became of them */
    long left_out;                   /* pictures that cannot be read, or whose annotation cannot */
};
struct qd_import;
/* The i-th format, NULL after the last: "voc", "coco" ... */
const char *qd_import_format(int i);
/*
 * Read annotations and the headers of the pictures, and check them; nothing is written.  Each
 * defect is logged as a warning with its place (the first hundred are).  With QD_BAD_FAIL the first
 * makes the call fail; QD_BAD_DROP leaves the box out, or the picture when its file is at fault;
 * QD_BAD_CLIP cuts boxes at the edge of the picture.  One pixel beyond it counts as rounding.
 */
struct qd_import *qd_import_read(
    const struct qd_import_opts *opts, struct qd_error *err) QD_MUSTCHECK;
/* Write the set into the folder 'dir', which is made if it is not there: links or copies of the
 * pictures, label files, lists, NAME.names and NAME.data, where NAME is that of the folder. */
int qd_import_write(struct qd_import *im, const char *dir, struct qd_error *err) QD_MUSTCHECK;
void qd_import_free(struct qd_import *im);
void qd_import_count(const struct qd_import *im, struct qd_import_counts *out);
int qd_import_classes(const struct qd_import *im);
/* Name of a class (NULL out of range), and how many boxes (of classifiers: pictures) it has for
 * training and validation. */
const char *qd_import_class(const struct qd_import *im, int class_id, long boxes[2]);

/* ------------------------------------------------------------------ evaluation ---------------- */

enum qd_rules { QD_RULES_DARKNET, QD_RULES_VOC07, QD_RULES_VOC12, QD_RULES_COCO };

struct qd_truth {
    struct qd_box box;
    int class_id;
    bool difficult; /* a detection of it is neither right nor wrong; COCO: a crowd */
    float area;     /* COCO: the annotation's own area in square pixels; 0: w*h of the box */
};

struct qd_eval;
struct qd_eval_class {
    int gt;     /* truths that are not difficult */
    int tp, fp; /* above qd_eval_opts.pr_thresh; COCO: at IoU .50 */
    double ap;  /* -1: the class has no truth and the rules leave it out */
};
struct qd_eval_opts {
    enum qd_rules rules;
    int classes;
    float iou;       /* threshold of the single-IoU rules (.5); COCO uses .50:.05:.95 */
    float pr_thresh; /* tp, fp, precision, recall count detections above this score */
    int points;      /* darknet: 0 area under the curve, 11 or 101 points */
};
struct qd_eval_result {
    double map;                   /* mean AP as the rules define it; -1: undefined */
    double map_present;           /* mean over the classes that have truths; -1: there is none */
    double precision, recall, f1; /* at pr_thresh; 0 where nothing is there to divide by */
    double avg_iou;  /* sum of the IoU of true positives / number of detections (darknet) */
    double coco[12]; /* AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl; -1: undefined */
    long gt, dets, images, labelled; /* labelled: images with at least one truth */
};

/*
 * An evaluation without images ('opts' is copied).  The rules (darknet.md 7, lowbit.md 7):
 *   darknet  IoU of fractions > iou; a detection claims the truth of its class that it overlaps
 *            most, the first claim in order of score is right, all later ones are wrong; a class
 *            without truths counts as AP 0.  Unlike darknet: tp, fp and avg_iou count in order of
 *            score above pr_thresh only (darknet goes by box order and lets weak duplicates spoil
 *            strong hits), difficult matches are left out of fp, nothing is divided by 0, equal
 *            scores are taken in the order of images and detections.
 *   voc07    The development kit: sides in pixels, inclusive (+1 in width and height), those of
 *            truths rounded to whole pixels; IoU >= iou; claims as above, but the best overlap may
 *            be a difficult truth; precision at the 11 exact recalls 0, 1/10 ... 1.  Classes
 *            without truths are left out of the mean.
 *   voc12    The same with the exact area under the curve.
 *   coco     Figures of the official program.
 * Equal scores: by image, then in the order given.
 */
struct qd_eval *qd_eval_new(const struct qd_eval_opts *opts, struct qd_error *err) QD_MUSTCHECK;
struct qd_eval_input {
    long id;  /* COCO takes images in ascending id, which must differ; the others as added */
    int w, h; /* of the image in pixels, for VOC and COCO rules; 1, 1 when boxes are in pixels */
    const struct qd_truth *truth; /* boxes are fractions of w and h */
    size_t ntruth;
    const struct qd_det *det; /* the same; in any order of scores */
    size_t ndet;
};
/* Add one image (everything is copied).  A class out of range or a number that is not finite is an
 * error, and nothing is added then. */
int qd_eval_add(
    struct qd_eval *e, const struct qd_eval_input *in, struct qd_error *err) QD_MUSTCHECK;
/* Boxes are written clipped to the picture for the programs of VOC and COCO (darknet.md 6.4); by
 * these rules clip those of a net so before qd_eval_add().  size: width and height of the picture
 * in the unit of the boxes; one: a pixel in it, since VOC's last coordinate is that of the last
 * pixel. */
void qd_eval_clip(
    enum qd_rules rules, struct qd_det *d, size_t n, const float size[2], const float one[2]);
/* Score everything.  per_class: opts.classes entries, or NULL. */
int qd_eval_run(struct qd_eval *e, struct qd_eval_result *out, struct qd_eval_class *per_class,
    struct qd_error *err) QD_MUSTCHECK;
void qd_eval_free(struct qd_eval *e);

/* ------------------------------------------------------------------ training ------------------ */

enum qd_optimizer {
    QD_OPTIMIZER_CFG,
    QD_OPTIMIZER_SGD,
    QD_OPTIMIZER_NESTEROV,
    QD_OPTIMIZER_ADAM,
    QD_OPTIMIZER_ADAMW
};
enum qd_augmentation { QD_AUGMENTATION_CFG, QD_AUGMENTATION_NONE, QD_AUGMENTATION_ULTRALYTICS };

/* How strong the penalty of sparse training is in the course of a run. */
enum qd_sparsity_schedule {
    QD_SPARSITY_CONSTANT,
    QD_SPARSITY_GLOBAL, /* from a point of the run on, decay s */
    QD_SPARSITY_LOCAL,  /* from there on, decay s for the largest |gamma|, found once an epoch */
    QD_SPARSITY_DYNAMIC /* the same, found in every update, from earlier on and for more */
};
/* A penalty s sum |gamma| of the trained factors of batch normalization of some layers, added to
 * the mean loss of an image, whatever the batch and its parts. */
struct qd_sparsity_opts {
    const int *layers; /* whose factors, ascending; read by qd_train_new() only */
    int nlayers;       /* 0: no sparse training */
    float s;           /* 0: the factors are only reported */
    bool legacy;       /* add s for every part of a batch, as older programs do */
    bool proximal;     /* shrink the factors after each update instead: gives exact zeros */
    enum qd_sparsity_schedule schedule;
    float from;    /* share of the run; below 0: .5, dynamic .4 */
    float protect; /* share of the factors that decay s is for; below 0: .15, dynamic .35 */
    float decay;   /* below 0: .01 */
};

enum { QD_SPARSITY_BINS = 32, QD_SPARSITY_QUANTILES = 9 };
/* How the factors of sparse training are spread: after an iteration, of all layers together. */
struct qd_sparsity_stats {
    uint64_t iteration;
    size_t channels;
    float quantile[QD_SPARSITY_QUANTILES]; /* of |gamma|: 10 % ... 90 % */
    float max;
    double below_01, below_001, below_05; /* shares of |gamma| < .01, < .001, < .05 */
    bool separated; /* a tenth is below .01, and between that and .05 at most half as many: a cut
                       there is more than chance */
    double safe; /* the highest share to prune that leaves each layer a channel: (index of the least
                    maximum of a layer) / n (spec compression.md 2.2) */
    size_t bin[QD_SPARSITY_BINS]; /* counts of steps of 1/16; the last has all above, too */
};

/* How to train; what is not here is in the cfg: batch, subdivisions, rate and policy ... */
struct qd_train_opts {
    const char *data;   /* a .data file */
    const char *prefix; /* of the files that a run writes, see qd-train(1) */
    int epochs;         /* 0: max_batches iterations */
    uint64_t seed;
    bool resume;      /* go on where PREFIX.state ends; begin if there is none */
    bool force;       /* replace the files of another run */
    bool replacement; /* draw images with replacement instead of by epochs */
    const char *loss; /* variant of the heads' loss; NULL: darknet's */
    enum qd_optimizer optimizer;
    enum qd_augmentation augmentation;
    float ema;         /* decay of averaged parameters, 0: as the cfg says */
    float bn_momentum; /* 0: .99, in runs of less than 1000 iterations .9 */
    float multi_scale; /* factor of the input's size, 0: none, 1: 1.4; below 0: random of the cfg */
    int eval_every;    /* iterations; 0: never; below 0: 4 epochs, at least 100 */
    enum qd_rules rules;
    int save_every;  /* iterations from one numbered file to the next, 0: none; below 0: saveweights
                        of the data set, or none */
    int state_every; /* the same for PREFIX_last.weights and PREFIX.state; 0: savelast of the data
                        set, or 100 */
    enum qd_bad_labels bad;
    struct qd_sparsity_opts sparsity;
    int workers;             /* threads that prepare images; below 0: half of qd_threads() */
    size_t cache;            /* bytes of decoded images kept in memory */
    bool (*stop)(void *ctx); /* NULL, or asked now and then in long evaluations: true ends them */
    void *ctx;
};
#define QD_TRAIN_OPTS_INIT                                                                         \
    {                                                                                              \
        .seed = 1, .multi_scale = -1, .eval_every = -1, .save_every = -1, .workers = -1,           \
        .sparsity = {                                                                              \
            .from = -1,                                                                            \
            .protect = -1,                                                                         \
            .decay = -1                                                                            \
        }                                                                                          \
    }

struct qd_train_info {
    size_t images, valid; /* of the sets; valid 0: nothing is evaluated */
    uint64_t iterations;  /* of the whole run */
    uint64_t resumed;     /* iterations that were done before, 0: a new run */
    size_t memory;        /* bytes that the run takes at its peak, about */
    size_t physical;      /* bytes there are, of the machine or its control group, 0: not known */
    uint64_t eval_every;  /* 0: never */
};
struct qd_train_row {
    uint64_t iteration, images;
    double epoch, lr;
    double loss, box, obj, cls; /* of an image, the mean of all heads; parts add up to loss */
    double avg;                 /* .9 avg + .1 loss */
    double norm;                /* of the mean gradient, before it is clipped */
    double images_per_s;
    double score; /* mAP, or top-1 of classifiers; -1: not evaluated now */
};

struct qd_train;
/*
 * Prepare a run: check all data, evaluate two images, count memory (a run that needs more than
 * there is gets refused), write PREFIX.cfg and PREFIX.state.  The model is borrowed, its
 * parameters learn.  Results depend on the model, the data, 'opts' and the kernel level, not on the
 * number of threads; so does a run that was ended at any moment and resumed.
 */
struct qd_train *qd_train_new(
    struct qd_model *m, const struct qd_train_opts *opts, struct qd_error *err) QD_MUSTCHECK;
void qd_train_info(const struct qd_train *t, struct qd_train_info *info);
/*
 * One iteration, the log line and the files that are due with it: 1; 0 when all iterations are
 * done.  A file that cannot be written is a warning.  NaN is QD_EDIVERGED and names the layer;
 * files keep what was good.
 */
int qd_train_step(struct qd_train *t, struct qd_train_row *row, struct qd_error *err) QD_MUSTCHECK;
/* Write PREFIX_last.weights and PREFIX.state now. */
int qd_train_save(struct qd_train *t, struct qd_error *err) QD_MUSTCHECK;
/* After the last iteration: the same and PREFIX.weights. */
int qd_train_finish(struct qd_train *t, struct qd_error *err) QD_MUSTCHECK;
/* How the factors were spread at the end of the last epoch; of a run that has not come to one yet,
 * how they are now.  False: no sparse training. */
bool qd_train_sparsity(struct qd_train *t, struct qd_sparsity_stats *stats);
void qd_train_free(struct qd_train *t);
/* The first line of PREFIX.log, and the line of a row without its end, in buf. */
const char *qd_train_header(void);
const char *qd_train_text(const struct qd_train_row *row, char *buf, size_t size);

/* Which images batch-norm statistics come from. */
struct qd_statistics_opts {
    const char *data; /* a .data file: those of train= */
    int images;       /* so many of them, a random choice, rounded up to whole batches; 0: all */
    int batch;        /* images of a pass; 0: 16 */
    uint64_t seed;    /* of the choice */
    int w, h;         /* input size; 0: the model's */
    enum qd_bad_labels bad;
    int workers;             /* threads that prepare images; below 0: half of qd_threads() */
    bool (*stop)(void *ctx); /* NULL, or asked before every pass: true ends it */
    void *ctx;
};
#define QD_STATISTICS_OPTS_INIT                                                                    \
    {                                                                                              \
        .seed = 1, .workers = -1                                                                   \
    }
/*
 * Estimate the running statistics of batch normalization anew, for a net whose channels or weights
 * were changed without training (adaptive batch normalization, Li et al. 2020, EagleEye).  Images
 * pass as they are in evaluation, but each batch is normalized by its own statistics as in training
 * (and dropout drops).  A running mean becomes the mean of the batches' means, a variance the mean
 * of their variances and the variance of their means; the old ones leave no trace, and no other
 * parameter changes.  The result does not depend on the number of threads.
 *
 * 0; 1 when stop() ended it.  Then, and on failure, the model is as it was; values that are not
 * finite are QD_EDIVERGED.
 */
int qd_train_statistics(
    struct qd_model *m, const struct qd_statistics_opts *opts, struct qd_error *err) QD_MUSTCHECK;

struct qd_trial_opts {
    int batch;     /* images of a step; 0: 1 */
    int w, h;      /* input size; 0: the model's */
    uint64_t seed; /* of images and truths */
    bool timing;   /* measure every layer (qd_trial_layer) */
};
struct qd_trial_layer {
    uint64_t macs;                  /* of an image, forward */
    double forward_ms, backward_ms; /* of the last step, with .timing */
};
struct qd_trial;
/*
 * Training steps on made-up images and truths, to measure what they take: forward, losses,
 * backward, update by the cfg's optimizer at a rate that changes nothing.  The model is borrowed.
 */
struct qd_trial *qd_trial_new(
    struct qd_model *m, const struct qd_trial_opts *opts, struct qd_error *err) QD_MUSTCHECK;
void qd_trial_free(struct qd_trial *t);
/* One step.  Numbers that are not finite are QD_EDIVERGED. */
int qd_trial_step(struct qd_trial *t, struct qd_error *err) QD_MUSTCHECK;
void qd_trial_layer(const struct qd_trial *t, int layer, struct qd_trial_layer *out);
/* Bytes of all that a step takes, the model's parameters included. */
size_t qd_trial_memory(const struct qd_trial *t);

struct qd_score_opts {
    enum qd_rules rules;
    size_t limit;            /* images, the first ones; 0: all */
    bool (*stop)(void *ctx); /* NULL, or asked before each image: true ends it */
    void *ctx;
    enum qd_bad_labels bad;
};
/* Score a detector on the pictures of valid= of a .data file, each as QD_FIT_MODEL: the mean
 * average precision that qd-map prints.  opts NULL: all 0.  1 when it was stopped; *map is not set
 * then. */
int qd_detect_score(struct qd_net *net, const char *data, const struct qd_score_opts *opts,
    double *map, struct qd_error *err) QD_MUSTCHECK;

struct qd_top {
    long images;
    double top1, top5; /* shares of the images */
};
/* Score a classifier on the pictures of valid= of a .data file, each as QD_FIT_CROP. */
int qd_classify_score(struct qd_net *net, const char *data, enum qd_bad_labels bad,
    struct qd_top *top, struct qd_error *err) QD_MUSTCHECK;

/* ------------------------------------------------------------------ pruning ------------------- */

/* Sets of layers, by their factors of batch normalization: what sparse training works on, and whose
 * channels a rule of pruning may take (compression.md 1.2). */
enum qd_sparse {
    QD_SPARSE_NORMAL,   /* layers whose channels can go without regard to any other layer */
    QD_SPARSE_SHORTCUT, /* and those whose channels are added to others' */
    QD_SPARSE_LAYER,    /* layers that end the branch of a sum, which can go as a whole */
    QD_SPARSE_ALL       /* SHORTCUT, and those that feed pyramids, grouped routes, [upsample] and
                           depthwise convolutions: there the factors of the convolution count */
};
/* Layers, ascending. */
struct qd_set {
    int n;
    int *layer;
    size_t channels; /* of all of them */
};
/* The layers of a model that are of a set; there may be none. */
int qd_set_of(struct qd_set *s, const struct qd_model *m, enum qd_sparse kind,
    struct qd_error *err) QD_MUSTCHECK;
void qd_set_free(struct qd_set *s);

/* Which channels go of layers whose channels are added, when each would drop others. */
enum qd_merge {
    QD_MERGE_UNION,    /* those that all of them drop */
    QD_MERGE_MAJORITY, /* those that more than half of them drop */
    QD_MERGE_ROOT,     /* those that the first of them drops */
    QD_MERGE_LEAST     /* those that the one drops that would keep the fewest */
};
enum qd_target { QD_TARGET_NONE, QD_TARGET_PARAMS, QD_TARGET_MACS, QD_TARGET_MS };
struct qd_prune_range {
    int first, last; /* layers, inclusive */
    float percent;
};
struct qd_prune_opts {
    float percent;       /* share of the factors that lie below the threshold, 0 .. below 1; below
                            0: the rule's default */
    int base;            /* widths are multiples of it, or what they were; 0: any, regular: 8.  Not
                            0, layer-channel: the first stage is shortcut instead of slim */
    float layer_keep;    /* slim, group: least share of a layer that stays; below 0: .01 */
    enum qd_merge merge; /* slim, group */
    int min_channels;    /* least width of a layer, or what it was; 0: 1 */
    bool strict;         /* a percent that takes a layer's last factor is an error that tells the
                            limit */
    int shortcuts;       /* layer: how many residual units go, all when there are fewer (with
                            'strict' an error); below 0: 8 */
    bool max_score;      /* layer: judge a unit by its largest factor instead of the mean */
    bool all;            /* QD_SPARSE_ALL instead of the rule's own set */
    const struct qd_prune_range *ranges; /* group; layers in none stay as they are */
    int nranges;
    enum qd_target target; /* find the percent (layer: the number of units) that comes closest to
                              'goal' and not above it: parameters, multiply-adds, milliseconds of a
                              forward pass on this machine; up to 1: share of the whole model's */
    double goal;
    int w, h;      /* input size for multiply-adds, time and verification; 0: the model's, but
                      verification takes 96x96 where the net can have that size */
    uint64_t seed; /* of the picture that is verified with */
};
#define QD_PRUNE_OPTS_INIT                                                                         \
    {                                                                                              \
        .percent = -1, .layer_keep = -1, .shortcuts = -1                                           \
    }

struct qd_pruned {
    struct qd_model *masked;  /* as many channels and layers as before; factors and biases of those
                                 that go are 0, their constants moved on.  Of a rule of two stages
                                 that of the second */
    struct qd_model *compact; /* computes the same */
    int *origin;              /* [layers of compact] the layer of the model that it was */
    float percent;            /* used; group: share of the factors of all ranges */
    float limit;              /* the highest that leaves every layer a factor, as long as a factor
                                 at the threshold stays: rules that drop it must go below */
    float threshold;          /* that the factors were compared with; group: 0 */
    float small;              /* share of the factors of the rule's set that are below .01: as many
                                 as sparse training has brought down; layer: 0 */
    int raised;               /* layers that keep more than the threshold says, for min_channels or
                                 layer_keep */
    int blocked;              /* channels that stay though their factors say otherwise, and units
                                 that should have gone ... */
    const char *why;          /* ... and the first reason; NULL: none */
    int units;                /* that were removed */
    double difference;        /* between the outputs of masked and compact, relative */
};

/* The names of the rules, NULL at the end: "normal", "regular" ... */
const char *const *qd_prune_rules(void);
/*
 * Prune by a rule.  The model is not changed.  The result is verified: on a picture of random
 * pixels the compact model gives what the masked one gives, else QD_EUNSUP.  An unknown rule, an
 * option out of range, a goal that cannot be reached is QD_EARG.  With percent 0 cfg and parameters
 * come back byte for byte.  opts NULL: the defaults.  Free with qd_pruned_free(), not on failure.
 */
int qd_prune(struct qd_pruned *p, const struct qd_model *m, const char *rule,
    const struct qd_prune_opts *opts, struct qd_error *err) QD_MUSTCHECK;
void qd_pruned_free(struct qd_pruned *p);

struct qd_verify_opts {
    int w, h;                   /* input size; 0: the model's */
    uint64_t seed;              /* of a picture of random pixels */
    const struct qd_image *img; /* instead, or NULL; fitted as the cfg says */
};
/*
 * Whether two models compute the same: both run on one picture, and every output that no other
 * layer reads, the first of the one and of the other and so on, may differ by at most 1e-4 of its
 * largest value.  The layer and the difference when one differs more (QD_EUNSUP) or is no number
 * (QD_EDIVERGED); other numbers of outputs are QD_EARG.  opts NULL: the defaults, 0.  'far', when
 * not NULL, gets the largest relative difference.
 */
int qd_verify(const struct qd_model *a, const struct qd_model *b, const struct qd_verify_opts *opts,
    double *far, struct qd_error *err) QD_MUSTCHECK;

/* How a search for the best cut goes (compression.md 2.11; Li et al. 2020, EagleEye). */
struct qd_search_opts {
    const char *data;    /* a .data file: statistics come from train=, scores from valid= */
    const char *log;     /* file of the candidates, see qd-prune-search(1) */
    int number;          /* of candidates; 0: 200 */
    float percent;       /* share of the multiply-adds that goes; below 0: .5 */
    float delta;         /* how far from it a candidate may be; below 0: .05 */
    enum qd_sparse set;  /* whose channels may go */
    enum qd_merge merge; /* of layers whose channels are added */
    int base;            /* widths are multiples of it, or what they were; 0: any */
    int min_channels;    /* least width of a layer, or what it was; 0: 1 */
    int images;          /* of train=, for the statistics; 0: a tenth of them, at least 64 */
    int batch;           /* of these at a time; 0: 16 */
    int scored;          /* images of valid=, the first of the list; 0: all */
    enum qd_rules rules; /* of the score */
    enum qd_bad_labels bad;
    int w, h; /* input size; 0: the model's */
    uint64_t seed;
    int workers;             /* threads that prepare images; below 0: half of qd_threads() */
    size_t cache;            /* bytes of decoded images of each set kept in memory */
    bool resume;             /* go on with the candidates of 'log'; begin if it is not there */
    bool force;              /* replace it; with resume only when it is of another search */
    bool (*stop)(void *ctx); /* NULL, or asked now and then: true ends the step */
    void *ctx;
};
#define QD_SEARCH_OPTS_INIT                                                                        \
    {                                                                                              \
        .percent = -1, .delta = -1, .set = QD_SPARSE_SHORTCUT, .seed = 1, .workers = -1            \
    }
struct qd_search_info {
    size_t images, scored; /* of a candidate */
    int number, resumed;   /* candidates, those that were done before */
    uint64_t macs;         /* of the model */
    double least;          /* share of them that the least widths leave */
};
struct qd_search_row {
    int candidate;         /* 1 ... */
    uint64_t draw;         /* its number among all draws */
    double share;          /* of the multiply-adds that is left */
    uint64_t macs, params; /* as qd-info counts them */
    double score;          /* mAP, or top-1 of classifiers; six decimals */
};

struct qd_search;
/*
 * A search for the channels to remove that needs no sparse training: random cuts of one size are
 * scored after their batch-norm statistics were estimated anew (qd_train_statistics()).  The data
 * are checked.  The model is borrowed and not changed.  A budget that cannot be met is QD_EARG, and
 * so is a file of another search.  Candidates are a function of model, data, seed and number, and
 * of nothing else; a search that was ended at any moment goes on with the same ones.
 */
struct qd_search *qd_search_new(
    const struct qd_model *m, const struct qd_search_opts *opts, struct qd_error *err) QD_MUSTCHECK;
void qd_search_free(struct qd_search *s);
void qd_search_info(const struct qd_search *s, struct qd_search_info *info);
/* Score the next candidate and write its line: 1; 0 when all are done or stop() said so. */
int qd_search_step(
    struct qd_search *s, struct qd_search_row *row, struct qd_error *err) QD_MUSTCHECK;
/* The best one so far, of equal ones the first; false: none has a score. */
bool qd_search_best(const struct qd_search *s, struct qd_search_row *row);
/* Score any model in the same way, with its statistics as they are: 0; 1 when it was stopped. */
int qd_search_score(struct qd_search *s, const struct qd_model *m, double *score,
    struct qd_error *err) QD_MUSTCHECK;
/*
 * Build the best one: 0; 1 when it was stopped.  Statistics are those that were estimated anew for
 * the compact model, in the masked one too; both compute the same, verified as qd_prune() does
 * before and after.  percent and limit are shares of the multiply-adds.  Free with
 * qd_pruned_free(), only after 0.
 */
int qd_search_finish(struct qd_search *s, struct qd_pruned *p, struct qd_error *err) QD_MUSTCHECK;

/* ------------------------------------------------------------------ files of detections ------- */

/* How classes are numbered in COCO files. */
enum qd_category_ids {
    QD_IDS_AUTO,   /* COCO91 when there are 80 classes, else ONE */
    QD_IDS_COCO91, /* the 80 ids that COCO uses of 1..90 */
    QD_IDS_ONE,    /* class + 1 */
    QD_IDS_ZERO,   /* class */
};

/* The number at the end of a file's base name without its suffix ("COCO_val2014_000000000139.jpg":
 * 139), which COCO files name images by; -1 when there is none or it does not fit. */
long qd_image_id(const char *path);

struct qd_detfile;
/*
 * Read detections of many images ("-": standard input): an array in COCO's result format, or the
 * lines 'path class_id name score x y w h' that qd-detect writes.  The kind is told by the first
 * character.  Every defect is an error with file:line.
 */
struct qd_detfile *qd_detfile_load(
    const char *path, int classes, enum qd_category_ids ids, struct qd_error *err) QD_MUSTCHECK;
void qd_detfile_free(struct qd_detfile *f);
/* Whether it is a COCO file. */
bool qd_detfile_is_coco(const struct qd_detfile *f);
/*
 * The detections of an image in the order of the file, boxes in pixels; 'out' is borrowed.  An
 * image is known by qd_image_id() in a COCO file, which must give one; else by its path as
 * written, or by its base name if only one path in the file has that.
 */
int qd_detfile_get(struct qd_detfile *f, const char *image, struct qd_dets *out,
    struct qd_error *err) QD_MUSTCHECK;
/* How many detections qd_detfile_get() never gave; 0 when all were used. */
size_t qd_detfile_unused(const struct qd_detfile *f);

/*
 * Write the detections of many images.  Formats ('dets' are fractions of the image, as
 * qd_net_detect() gives them):
 *   tsv   path class_id name score x y w h, x y the left top corner in pixels, not clipped
 *   json  darknet's -out: an array with frame_id, filename, objects in relative coordinates
 *   coco  an array of image_id, category_id, bbox in pixels, score; clipped to the image
 *   voc   a folder with comp4_det_test_<name>.txt for each class; clipped, 1-based
 *   yolo  a folder with a label file for each image; clipped
 */
struct qd_detwriter_opts {
    const char *format;
    const char *output;           /* file ("-": standard output), or folder for voc and yolo */
    const struct qd_names *names; /* NULL: classes are called by their numbers */
    int classes;
    enum qd_category_ids ids; /* coco */
    bool force;               /* replace files that exist */
};
struct qd_detwriter;
/* Begin.  A folder is created if it is not there.  An unknown format is an error. */
struct qd_detwriter *qd_detwriter_open(
    const struct qd_detwriter_opts *opts, struct qd_error *err) QD_MUSTCHECK;
/* The i-th format's name, NULL after the last. */
const char *qd_detwriter_format(int i);
/* Add one image of w x h pixels.  An image that cannot be named in the format (no image id in a
 * COCO file, a tab in a path) is an error; the writer can go on with the next. */
int qd_detwriter_add(struct qd_detwriter *d, const char *image, int w, int h,
    const struct qd_dets *dets, struct qd_error *err) QD_MUSTCHECK;
/* Finish: the files appear now (yolo: they appeared with each image).  Frees d in any case. */
int qd_detwriter_close(struct qd_detwriter *d, struct qd_error *err) QD_MUSTCHECK;
/* Drop what was not finished. */
void qd_detwriter_discard(struct qd_detwriter *d);

#ifdef __cplusplus
}
#endif

#endif
