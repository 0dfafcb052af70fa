/* SPDX-License-Identifier: MIT */
/* Files of detections: what is read, every message about what is not, and that each format written
 * is exactly what its readers expect. */
#include "tap.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "detect/category.h"

static void ids(void)
{
    static const struct {
        const char *path;
        long id;
    } row[] = {{"a/COCO_val2014_000000000139.jpg", 139}, {"000000000139.jpg", 139}, {"0.png", 0},
        {"x/12", 12}, {"12/x.jpg", -1}, {"a1b.jpg", -1}, {"", -1}, {"7.tar.gz", -1},
        {"99999999999999999999.jpg", -1}, {"9223372036854775807", 9223372036854775807}};
    static const int coco[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20,
        21, 22, 23, 24, 25, 27, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 46, 47,
        48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 67, 70, 72, 73, 74,
        75, 76, 77, 78, 79, 80, 81, 82, 84, 85, 86, 87, 88, 89, 90};
    int bad = 0, found = 0;

    for (size_t i = 0; i < QD_LEN(row); i++)
        OK(qd_image_id(row[i].path) == row[i].id, "id of '%s' is %ld", row[i].path, row[i].id);
    for (int c = 0; c < 80; c++)
        bad += qd_category_of(c, 80, QD_IDS_AUTO) != coco[c] ||
               qd_category_class(coco[c], 80, QD_IDS_AUTO) != c;
    for (int id = -5; id < 200; id++)
        found += qd_category_class(id, 80, QD_IDS_COCO91) >= 0;
    OK(bad == 0 && found == 80, "80 classes have COCO's ids");
    OK(qd_category_of(2, 3, QD_IDS_AUTO) == 3 && qd_category_class(3, 3, QD_IDS_AUTO) == 2,
        "other numbers of classes count from 1");
    OK(qd_category_of(2, 3, QD_IDS_ZERO) == 2 && qd_category_class(0, 3, QD_IDS_ZERO) == 0,
        "or from 0");
    OK(qd_category_class(4, 3, QD_IDS_AUTO) == -1 && qd_category_class(0, 3, QD_IDS_AUTO) == -1 &&
            qd_category_class(3, 3, QD_IDS_ZERO) == -1 && qd_category_of(3, 3, QD_IDS_ZERO) == -1,
        "not beyond");
}

/* Put text into a file and read it. */
static struct qd_detfile *load(const char *text, int classes, struct qd_error *err)
{
    char path[300];

    *err = (struct qd_error){0};
    snprintf(path, sizeof(path), "%s", tap_tmp("dets"));
    if (qd_io_put(path, true, text, strlen(text), err) < 0)
        return NULL;
    return qd_detfile_load(path, classes, QD_IDS_AUTO, err);
}

static void read_coco(void)
{
    struct qd_error err;
    struct qd_dets d;
    struct qd_detfile *f =
        load("[{\"image_id\":9,\"category_id\":13,\"bbox\":[10,20,30,40.5],\"score\":0.5,"
             "\"more\":[{}]},\n{\"score\":1e0,\"bbox\":[0,0,1,1],\"category_id\":1,\"image_id\":7},"
             "{\"image_id\":9,\"category_id\":1,\"bbox\":[1,1,2,2],\"score\":0.75}]",
            80, &err);

    if (!OK(f != NULL && qd_detfile_is_coco(f), "reads %s", err.msg))
        return;
    OK(qd_detfile_unused(f) == 3, "nothing was asked for yet");
    OK(qd_detfile_get(f, "x/img_0009.jpg", &d, &err) == 0 && d.n == 2, "two of image 9");
    if (d.n == 2) {
        OK(d.det[0].class_id == 11 && d.det[0].score == .5f, "category 13 is class 11");
        OK(d.det[0].box.x == 25 && d.det[0].box.y == 40.25f && d.det[0].box.w == 30 &&
                d.det[0].box.h == 40.5f,
            "its box");
        OK(d.det[1].score == .75f, "in the order of the file");
    }
    OK(qd_detfile_get(f, "8.jpg", &d, &err) == 0 && d.n == 0 && !d.det, "none of image 8");
    OK(qd_detfile_unused(f) == 1, "that of image 7 was not asked for");
    OK(qd_detfile_get(f, "other/9.png", &d, &err) == -1, "an image twice");
    err = (struct qd_error){0};
    OK(qd_detfile_get(f, "a.jpg", &d, &err) == -1, "an image without number");
    IS_STR(err.msg, "no image id at the end of the name 'a.jpg'", "message");
    qd_detfile_free(f);
    f = load("[]", 80, &err);
    OK(f && qd_detfile_unused(f) == 0, "an empty array");
    qd_detfile_free(f);
}

static void read_tsv(void)
{
    struct qd_error err;
    struct qd_dets d;
    struct qd_detfile *f = load("# path class ...\n"
                                "b/1.jpg\t0\tdog\t.5\t10\t20\t30\t40\n"
                                "a/1.jpg\t1\ta cat\t0.25\t-1\t-2\t3\t4\n"
                                "b/1.jpg\t1\tcat\t.75\t0\t0\t1\t1\r\n"
                                "c/2.jpg\t1\tcat\t.75\t0\t0\t1\t1\n",
        2, &err);

    if (!OK(f != NULL && !qd_detfile_is_coco(f), "reads %s", err.msg))
        return;
    OK(qd_detfile_get(f, "b/1.jpg", &d, &err) == 0 && d.n == 2 && d.det[0].box.x == 25 &&
            d.det[1].score == .75f,
        "two of b/1.jpg in order");
    OK(qd_detfile_get(f, "d/1.jpg", &d, &err) == -1, "a base name of two paths");
    OK(strstr(err.msg, "several paths end in '1.jpg', none is 'd/1.jpg'") != NULL, "message");
    err = (struct qd_error){0};
    OK(qd_detfile_get(f, "/x/2.jpg", &d, &err) == 0 && d.n == 1, "a base name of one path");
    OK(qd_detfile_get(f, "3.jpg", &d, &err) == 0 && d.n == 0, "no such image");
    OK(qd_detfile_unused(f) == 1, "one is left");
    qd_detfile_free(f);
    f = load("", 2, &err);
    OK(f && qd_detfile_unused(f) == 0, "an empty file");
    qd_detfile_free(f);
    qd_detfile_free(NULL);
}

static void defects(void)
{
    static const struct {
        const char *text, *message; /* after the file's name */
    } row[] = {
        {"a\t0\tx\t1\t2\t3\t4\n", ":1: 7 columns instead of 8 (path class_id name score x y w h)"},
        {"\n#\n\t0\tx\t1\t1\t2\t3\t4\n", ":3: no path"},
        {"a\t2\tx\t1\t1\t2\t3\t4\n", NULL},
        {"a\t1.5\tx\t1\t1\t2\t3\t4\n", NULL},
        {"a\t1\tx\tnan\t1\t2\t3\t4\n", NULL},
        {"a\t1\tx\t1\t1\t2\t3\t-4\n", ":1: box is out of range"},
        {"a\t1\tx\t1\t1e300\t2\t3\t4\n", ":1: box is out of range"},
        {"a\t1\tx\t1e99\t1\t2\t3\t4\n", ":1: score is out of range"},
        {"a\t1\tx\t1\t1\t2\t3\t4\t5\n", NULL},
        {"[\n{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4]}]",
            ":2: detection without 'score'"},
        {"[{}]", ":1: detection without 'image_id'"},
        {"[{\"image_id\":1,\n\"category_id\":3,\"bbox\":[1,2,3,4],\"score\":1}]",
            ":2: category_id 3 stands for none of the 2 classes"},
        {"[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,-4],\"score\":1}]",
            ":1: 'bbox' is out of range"},
        {"[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1e200}]",
            ":1: 'score' is out of range"},
        {"[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3],\"score\":1}]", NULL},
        {"[{\"image_id\":1.5,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}]", NULL},
        {"[{\"image_id\":\"x\",\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}]", NULL},
        {"[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1},]", NULL},
        {"[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}", NULL},
        {"{\"image_id\":1}", NULL},
    };
    struct qd_error err = {0};

    for (size_t i = 0; i < QD_LEN(row); i++) {
        struct qd_detfile *f = load(row[i].text, 2, &err);
        size_t at = strlen(tap_tmp("dets"));
        OK(!f && err.code == QD_EFORMAT && strncmp(err.msg, tap_tmp("dets"), at) == 0,
            "defect %zu is an error with its place: %s", i, err.msg + (err.msg[0] ? at : 0));
        if (row[i].message)
            IS_STR(err.msg[0] ? err.msg + at : "", row[i].message, "message");
        qd_detfile_free(f);
    }
    err = (struct qd_error){0};
    OK(!qd_detfile_load("/nonexistent", 2, QD_IDS_AUTO, &err), "no file");
    IS_STR(err.msg, "cannot open '/nonexistent': No such file or directory", "message");
}

/* ------------------------------------------------------------------ writing ------------------- */

static struct qd_det two[] = {{{.5f, .5f, .25f, .5f}, 1, .875f}, {{0, 1, .5f, .25f}, 0, .5f}};
static const struct qd_dets dets = {two, 2};
static const struct qd_dets none = {NULL, 0};

static struct qd_names *names(void)
{
    struct qd_error err = {0};
    char path[300];

    snprintf(path, sizeof(path), "%s", tap_tmp("names"));
    if (qd_io_put(path, true, "a \"dog\"\ncat\n", 12, &err) < 0)
        return NULL;
    return qd_names_load(path, &err);
}

static const char *content(const char *path)
{
    static struct qd_buf b;
    struct qd_error err = {0};

    qd_buf_free(&b);
    if (qd_io_slurp(path, 100000, &b, &err) < 0)
        return NULL;
    return b.data ? b.data : "";
}

static void write_files(const struct qd_names *nm)
{
    static const struct {
        const char *format, *want;
    } row[] = {
        {"tsv", "i/07.jpg\t1\tcat\t0.875000\t75.00\t25.00\t50.00\t50.00\n"
                "i/07.jpg\t0\ta \"dog\"\t0.500000\t-50.00\t87.50\t100.00\t25.00\n"},
        {"json", "[\n{\"frame_id\":1, \"filename\":\"i/07.jpg\", \"objects\":[\n"
                 "  {\"class_id\":1, \"name\":\"cat\", \"relative_coordinates\":{\"center_x\":0.5, "
                 "\"center_y\":0.5, \"width\":0.25, \"height\":0.5}, \"confidence\":0.875},\n"
                 "  {\"class_id\":0, \"name\":\"a \\\"dog\\\"\", \"relative_coordinates\":{"
                 "\"center_x\":0, \"center_y\":1, \"width\":0.5, \"height\":0.25}, "
                 "\"confidence\":0.5}]},\n"
                 "{\"frame_id\":2, \"filename\":\"8.jpg\", \"objects\":[]}\n]\n"},
        {"coco", "[\n{\"image_id\":7,\"category_id\":2,\"bbox\":[75,25,50,50],\"score\":0.875},\n"
                 "{\"image_id\":7,\"category_id\":1,\"bbox\":[0,87.5,50,12.5],\"score\":0.5}\n]\n"},
    };
    char path[300];

    for (size_t i = 0; i < QD_LEN(row); i++) {
        struct qd_error err = {0};
        snprintf(path, sizeof(path), "%s", tap_tmp(row[i].format));
        struct qd_detwriter_opts o = {row[i].format, path, nm, 2, QD_IDS_AUTO, false};
        struct qd_detwriter *w = qd_detwriter_open(&o, &err);
        bool ok = w && qd_detwriter_add(w, "i/07.jpg", 200, 100, &dets, &err) == 0;
        ok = ok && qd_detwriter_add(w, "8.jpg", 10, 10, &none, &err) == 0;
        OK(ok && access(path, F_OK) != 0, "%s: nothing under the name yet", row[i].format);
        OK(w && qd_detwriter_close(w, &err) == 0, "%s: written %s", row[i].format, err.msg);
        IS_STR(content(path), row[i].want, "%s: content", row[i].format);
        OK(!qd_detwriter_open(&o, &err), "%s: not replaced", row[i].format);
    }
    /* what we write we read */
    struct qd_error err = {0};
    struct qd_dets d = {0};
    struct qd_detfile *f = qd_detfile_load(tap_tmp("tsv"), 2, QD_IDS_AUTO, &err);
    OK(f && qd_detfile_get(f, "i/07.jpg", &d, &err) == 0 && d.n == 2 && d.det[1].box.y == 100,
        "tsv reads back %s", err.msg);
    qd_detfile_free(f);
    f = qd_detfile_load(tap_tmp("coco"), 2, QD_IDS_AUTO, &err);
    OK(f && qd_detfile_get(f, "7.jpg", &d, &err) == 0 && d.n == 2 && d.det[1].box.h == 12.5f &&
            d.det[1].class_id == 0,
        "coco reads back %s", err.msg);
    qd_detfile_free(f);
}

static void write_folders(const struct qd_names *nm)
{
    struct qd_error err = {0};
    char path[300], file[400];

    snprintf(path, sizeof(path), "%s", tap_tmp("voc"));
    struct qd_detwriter_opts o = {"voc", path, nm, 2, QD_IDS_AUTO, false};
    struct qd_detwriter *w = qd_detwriter_open(&o, &err);
    OK(w && qd_detwriter_add(w, "i/07.jpg", 200, 100, &dets, &err) == 0 &&
            qd_detwriter_close(w, &err) == 0,
        "voc: written %s", err.msg);
    snprintf(file, sizeof(file), "%s/comp4_det_test_cat.txt", path);
    IS_STR(content(file), "07 0.875000 76.000000 26.000000 126.000000 76.000000\n", "voc: cat");
    OK(!qd_detwriter_open(&o, &err), "voc: not replaced");
    OK(strstr(err.msg, "exists already") != NULL, "and this is found out first");
    unlink(file);
    snprintf(file, sizeof(file), "%s/comp4_det_test_a \"dog\".txt", path);
    IS_STR(content(file), "07 0.500000 1.000000 88.500000 51.000000 100.000000\n", "voc: dog");
    unlink(file);
    rmdir(path);

    o.format = "yolo";
    o.output = path;
    err = (struct qd_error){0};
    w = qd_detwriter_open(&o, &err);
    struct qd_det off = {{1.5f, .5f, .1f, .1f}, 0, .9f};
    const struct qd_dets outside = {&off, 1};
    OK(w && qd_detwriter_add(w, "i/07.jpg", 200, 100, &dets, &err) == 0, "yolo: image");
    snprintf(file, sizeof(file), "%s/07.txt", path);
    IS_STR(content(file),
        "1 0.500000 0.500000 0.250000 0.500000\n"
        "0 0.125000 0.937500 0.250000 0.125000\n",
        "yolo: label file");
    OK(w && qd_detwriter_add(w, "j/07.png", 200, 100, &dets, &err) == -1, "yolo: same name twice");
    err = (struct qd_error){0};
    OK(w && qd_detwriter_add(w, "8.jpg", 9, 9, &outside, &err) == 0, "yolo: a box outside");
    unlink(file);
    snprintf(file, sizeof(file), "%s/8.txt", path);
    IS_STR(content(file), "", "is no label");
    unlink(file);
    for (int i = 0; w && i < 1000; i++) { /* the table of names grows */
        char image[24];
        snprintf(image, sizeof(image), "n%d.jpg", i);
        if (qd_detwriter_add(w, image, 9, 9, &none, &err) < 0)
            break;
        snprintf(file, sizeof(file), "%s/n%d.txt", path, i);
        unlink(file);
    }
    OK(w && err.code == QD_OK && qd_detwriter_add(w, "n512.jpg", 9, 9, &none, &err) == -1,
        "yolo: every name is remembered");
    err = (struct qd_error){0};
    OK(w && qd_detwriter_close(w, &err) == 0 && rmdir(path) == 0, "yolo: done, nothing else there");
}

static void refusals(void)
{
    struct qd_error err = {0};
    char path[300];
    struct qd_det bad = two[0];
    const struct qd_dets one = {&bad, 1};

    snprintf(path, sizeof(path), "%s", tap_tmp("refused"));
    struct qd_detwriter_opts o = {"xml", path, NULL, 2, QD_IDS_AUTO, false};
    OK(!qd_detwriter_open(&o, &err), "unknown format");
    IS_STR(err.msg, "no such format for detections: 'xml'", "message");
    o.format = "voc";
    o.output = "-";
    err = (struct qd_error){0};
    OK(!qd_detwriter_open(&o, &err), "a folder cannot be standard output");
    o = (struct qd_detwriter_opts){"coco", path, NULL, 81, QD_IDS_COCO91, false};
    err = (struct qd_error){0};
    OK(!qd_detwriter_open(&o, &err) && access(path, F_OK) != 0, "COCO has 80 classes");
    o.classes = 2;
    o.ids = QD_IDS_ZERO;
    struct qd_detwriter *w = qd_detwriter_open(&o, &err);
    err = (struct qd_error){0};
    OK(w && qd_detwriter_add(w, "x.jpg", 9, 9, &one, &err) == -1, "coco: no image id");
    bad.class_id = 2;
    OK(w && qd_detwriter_add(w, "1.jpg", 9, 9, &one, NULL) == -1, "class out of range");
    bad.class_id = 0;
    bad.box.w = INFINITY;
    OK(w && qd_detwriter_add(w, "1.jpg", 9, 9, &one, NULL) == -1, "infinite box");
    bad.box.w = 1;
    OK(w && qd_detwriter_add(w, "1.jpg", 0, 9, &one, NULL) == -1, "no size");
    OK(w && qd_detwriter_add(w, "1.jpg", 9, 9, &one, NULL) == 0, "and still it goes on");
    qd_detwriter_discard(w);
    OK(access(path, F_OK) != 0, "what is discarded leaves nothing");
    qd_detwriter_discard(NULL);
    o.format = "tsv";
    w = qd_detwriter_open(&o, NULL);
    err = (struct qd_error){0};
    OK(w && qd_detwriter_add(w, "a\tb", 9, 9, &one, &err) == -1, "tsv: a tab in a path");
    IS_STR(err.msg, "a path with a tab or a line end cannot be written: 'a?b'", "message");
    qd_detwriter_discard(w);
    o.output = "/dev/full";
    o.force = true;
    err = (struct qd_error){0};
    w = qd_detwriter_open(&o, &err);
    OK(w && qd_detwriter_add(w, "a", 9, 9, &one, &err) == 0 && qd_detwriter_close(w, &err) == -1,
        "full disk");
    IS_STR(err.msg, "cannot write '/dev/full': No space left on device", "message");
}

static void allocations(void)
{
    struct qd_error err = {0};
    int k, fails = 0;

    for (k = 1; k < 100; k++) {
        struct qd_detfile *f;
        qd_alloc_fail_at(k + 1 + (k > 1)); /* behind those of load() itself, roughly */
        f = load("[{\"image_id\":9,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":0.5}]", 80, &err);
        qd_alloc_fail_at(0);
        qd_detfile_free(f);
        if (f)
            break;
        fails += err.code == QD_ENOMEM;
    }
    OK(fails == k - 1 && k > 3 && k < 100, "reading: %d allocations may fail", k - 1);
}

int main(void)
{
    ids();
    read_coco();
    read_tsv();
    defects();
    struct qd_names *nm = names();
    if (OK(nm && qd_names_count(nm) == 2, "names")) {
        write_files(nm);
        write_folders(nm);
    }
    qd_names_free(nm);
    refusals();
    allocations();
    content("/nonexistent"); /* frees its buffer */
    return tap_done();
}
