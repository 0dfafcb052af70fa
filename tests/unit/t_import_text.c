/* SPDX-License-Identifier: MIT */
/* VisDrone, and folders of classes: real layouts and odd files, and each defect with its message;
 * and what all formats share: limits, splits, places to write to. */
#include "import_rig.h"

#define V "vis/VisDrone2019-DET-val/annotations/b.txt"

static void test_visdrone(void)
{
    struct qd_import_opts o = rig_opts("visdrone", "vis");
    struct qd_import_counts n;

    rig_picture("vis/VisDrone2019-DET-train/images/a.png", 100, 50);
    rig_picture("vis/VisDrone2019-DET-val/images/b.png", 100, 50);
    rig_text("vis/VisDrone2019-DET-test-dev/annotations/c.txt", "not looked at");
    /* a comma at the end, CR LF, an ignored region, "others", a score of 0 */
    rig_text("vis/VisDrone2019-DET-train/annotations/a.txt",
        "20,10,20,20,1,4,0,0,\r\n0,0,50,50,0,0,0,0\r\n1,1,5,5,1,11,0,0\r\n1,1,5,5,0,4,0,0\r\n\r\n");
    rig_text(V, "\xef\xbb\xbf"
                "0,0,100,50,1,10,0,2");
    IS_STR(rig_run(&o, "vis-out", &n), "", "VisDrone");
    IS_STR(rig_warnings.data, "", "no warning");
    IS_STR(rig_file("vis-out/labels/train/a.txt"), "3 0.3 0.4 0.2 0.4\n", "a car");
    IS_STR(rig_file("vis-out/labels/valid/b.txt"), "9 0.5 0.5 1 1\n", "a motor");
    OK(n.ignored == 3 && n.pictures[0] == 1 && n.pictures[1] == 1, "counts");
    OK(strncmp(rig_file("vis-out/vis-out.names"), "pedestrian\npeople\n", 18) == 0, "ten names");
    o.source = "vis/VisDrone2019-DET-val";
    o.split = 0;
    IS_STR(rig_run(&o, NULL, &n), "", "one part alone");
    OK(n.pictures[0] == 1, "by the split");
}

static void bad(const char *line, const char *message, const char *then)
{
    char all[300], warnings[400];

    rig_text(V, line);
    snprintf(all, sizeof(all), V ":1: %s", message);
    snprintf(warnings, sizeof(warnings), "%s, %s\n", all, then);
    rig_bad("visdrone", "vis", all, warnings);
}

static void test_visdrone_defects(void)
{
    char zero[] = "1,1,5,5,1,4,0,0\n1\0";
    static char many[200000];

    bad("1,1,5,5,1,4,0", "7 columns, 8 expected", "line left out");
    bad("1,1,5,5,1,4,0,0,9,", "9 columns, 8 expected", "line left out");
    bad("1 1 5 5 1 4 0 0", "1 column, 8 expected", "line left out");
    bad("1,1,five,5,1,4,0,0", "column 3, 'five', is not a number", "line left out");
    bad("1,1,5,5,1,12,0,0", "category '12' must be 0 to 11", "line left out");
    bad("1,1,5,5,1,1.5,0,0", "category '1.5' must be 0 to 11", "line left out");
    bad("1,1,0,5,1,4,0,0", "box of 'car' has no area: 1 to 1, 1 to 6", "left out");
    bad("1,1,5,60,1,4,0,0", "box of 'car' reaches out of the picture of 100x50: 1 to 6, 1 to 61",
        "left out");
    rig_put(V, zero, sizeof(zero) - 1);
    rig_bad("visdrone", "vis", V ":2: a zero byte: this is not a text file",
        V ":2: a zero byte: this is not a text file, picture left out\n");
    for (int i = 0; i < 10001; i++)
        memcpy(many + 16 * i, "1,1,5,5,1,4,0,0\n", 16);
    rig_text(V, many);
    rig_bad("visdrone", "vis", "more than 10000 objects in a picture",
        "more than 10000 objects in a picture, picture left out\n");
    mkdir("void", 0777);
    rig_bad("visdrone", "void",
        "void: no folder 'annotations', neither here nor in one called '*train*' or '*val*'", "");
}

static void test_folder(void)
{
    struct qd_import_opts o = rig_opts("folder", "cls");
    struct qd_import_counts n;

    rig_picture("cls/train/cat/1.png", 10, 10);
    rig_picture("cls/train/big dog/1.png", 10, 10);
    rig_picture("cls/test/cat/2.png", 10, 10);
    rig_text("cls/train/cat/Thumbs.db", "x");
    rig_text("cls/train/cat/.hidden.png", "x");
    rig_text("cls/train/README", "x");
    IS_STR(rig_run(&o, "cls-out", &n), "", "a folder of classes");
    IS_STR(rig_file("cls-out/cls-out.names"), "big dog\ncat\n", "names");
    OK(n.pictures[0] == 2 && n.pictures[1] == 1, "counts");
    OK(strstr(rig_file("cls-out/train.txt"), "/cls-out/train/big dog/1.png\n") != NULL, "list");
    OK(strstr(rig_file("cls-out/cls-out.data"), "\nlabels=") != NULL, "labels= in .data");
    o.source = "cls/train";
    o.split = 1;
    IS_STR(rig_run(&o, NULL, &n), "", "without sides");
    OK(n.pictures[1] == 2, "by the split");
    rig_text("cls/train/cat/3.png", "x");
    rig_bad("folder", "cls", "cls/train/cat/3.png: not a PNG, JPEG or PNM image",
        "cls/train/cat/3.png: not a PNG, JPEG or PNM image, picture left out\n");
    rig_text("cls/train/cat/3.png", "");
    rig_bad("folder", "cls", "cls/train/cat/3.png: file is empty",
        "cls/train/cat/3.png: file is empty, picture left out\n");
    rig_text("cls/train/cat/3.png", "\x89PNG\r\n\x1a\n");
    rig_bad("folder", "cls", "cls/train/cat/3.png: file ends inside the header",
        "cls/train/cat/3.png: file ends inside the header, picture left out\n");
    rig_text("cls/train/cat/3.jpg", "BM");
    unlink("cls/train/cat/3.png");
    rig_bad("folder", "cls",
        "cls/train/cat/3.jpg: BMP images are not supported, only PNG, JPEG and PNM are",
        "cls/train/cat/3.jpg: BMP images are not supported, only PNG, JPEG and PNM are, picture "
        "left out\n");
    unlink("cls/train/cat/3.jpg");
    rig_text("flat/readme.txt", "x");
    rig_bad("folder", "flat", "flat: no folder of a class in it", "");
    rig_picture("ctl/a\tb/1.png", 4, 4);
    rig_bad("folder", "ctl", "'a?b' cannot be the name of a class", "");
    mkdir("hollow", 0777);
    mkdir("hollow/cat", 0777);
    rig_bad("folder", "hollow", "hollow: no picture is annotated there", "");
    rig_picture("nl/cat/a\nb.png", 4, 4);
    rig_bad("folder", "nl", "'nl/cat/a?b.png': a list cannot hold a path with a line end",
        "'nl/cat/a?b.png': a list cannot hold a path with a line end, picture left out\n");
}

/* A picture stays on its side when others come or go. */
static void test_split(void)
{
    struct qd_import_opts o = rig_opts("folder", "split");
    struct qd_import_counts n;
    char path[100];

    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof(path), "split/c/%03d.png", i);
        rig_picture(path, 2, 2);
    }
    o.split = .25f;
    IS_STR(rig_run(&o, "split-a", &n), "", "200 pictures");
    OK(n.pictures[1] > 30 && n.pictures[1] < 70, "%ld of 200 for a quarter", n.pictures[1]);
    static char before[40000];
    snprintf(before, sizeof(before), "%s", rig_file("split-a/valid.txt"));
    unlink("split/c/000.png");
    unlink("split/c/199.png");
    IS_STR(rig_run(&o, "split-b", &n), "", "198 of them");
    const char *after = rig_file("split-b/valid.txt");
    int same = 0, lines = 0;
    for (int i = 1; i < 199; i++) {
        snprintf(path, sizeof(path), "/c/%03d.png", i);
        bool was = strstr(before, path) != NULL, is = strstr(after, path) != NULL;
        same += was == is;
        lines += is;
    }
    OK(same == 198 && lines == n.pictures[1], "all stay on their side");
    o.split = 1.5f;
    IS_STR(rig_run(&o, NULL, NULL), "the share for validation must be 0 to 1, not 1.5", "refused");
}

static void test_places(void)
{
    struct qd_import_opts o = rig_opts("visdrone", "vis");

    rig_text(V, "0,0,100,50,1,10,0,2");
    IS_STR(rig_run(&o, "vis", NULL), "'vis' is the source itself", "not into the source");
    IS_STR(rig_run(&o, "vis-out", NULL), "folder 'vis-out' is not empty (use -f to write into it)",
        "not over another");
    o.force = true;
    IS_STR(rig_run(&o, "vis-out", NULL), "", "unless forced");
    o.copy = true;
    IS_STR(rig_run(&o, "vis-out", NULL), "", "links are replaced by copies");
    struct stat st;
    OK(lstat("vis-out/JPEGImages/train/a.png", &st) == 0 && S_ISREG(st.st_mode), "a file");
    OK(stat("vis/VisDrone2019-DET-train/images/a.png", &st) == 0 && st.st_size > 0,
        "the source is as it was");
    IS_STR(rig_run(&o, "none/x", NULL), "cannot create folder 'none/x': No such file or directory",
        "no parent");
}

/* Every allocation may fail; nothing is lost, and the caller learns of it. */
static void test_no_memory(void)
{
    struct qd_import_opts o = rig_opts("visdrone", "vis");
    bool ok = true;
    long n = 0;

    o.force = true;
    for (bool failed = true; failed && n < 2000; n++) {
        qd_log_set(NULL, NULL);
        struct qd_error err = {0};
        qd_alloc_fail_at(n + 1);
        struct qd_import *im = qd_import_read(&o, &err);
        failed = !im || qd_import_write(im, "vis-nomem", &err) < 0;
        qd_alloc_fail_at(0);
        qd_import_free(im);
        ok = ok && failed == (err.code == QD_ENOMEM);
        if (failed && err.code != QD_ENOMEM)
            printf("# allocation %ld: %s\n", n + 1, err.msg);
    }
    OK(ok && n > 20 && n < 2000, "each of %ld allocations may fail", n - 1);
}

int main(void)
{
    rig_begin();
    test_visdrone();
    test_visdrone_defects();
    test_folder();
    test_split();
    test_places();
    test_no_memory();
    return tap_done();
}
