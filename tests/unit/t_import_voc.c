/* SPDX-License-Identifier: MIT */
/* VOC and DIOR: real layouts and odd files, and each defect with its message. */
#include "import_rig.h"

#define OBJECT(name, more, x0, y0, x1, y1)                                                         \
    "<object><name>" name "</name>" more "<bndbox><xmin>" #x0 "</xmin><ymin>" #y0                  \
    "</ymin><xmax>" #x1 "</xmax><ymax>" #y1 "</ymax></bndbox></object>\n"
#define SIZE "<size><width>100</width><height>50</height><depth>3</depth></size>\n"

static void annotation(const char *path, const char *inside)
{
    char text[3000];

    snprintf(text, sizeof(text), "<annotation>\n%s</annotation>\n", inside);
    rig_text(path, text);
}

/* A root with one picture 'a' of 100x50. */
static void one(const char *root, const char *inside)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/JPEGImages/a.png", root);
    rig_picture(path, 100, 50);
    snprintf(path, sizeof(path), "%s/Annotations/a.xml", root);
    annotation(path, inside);
}

static void test_plain(void)
{
    struct qd_import_counts n;
    struct qd_import_opts o = rig_opts("voc", "plain");

    one("plain", SIZE OBJECT("dog", "<difficult>0</difficult>", 20, 10, 40, 30) OBJECT("cat",
                     "<difficult>1</difficult><part><name>head</name></part>", 0, 0, 100, 50));
    /* a byte-order mark, CR LF, comments, no size, a floating point, an entity, an attribute */
    rig_picture("plain/JPEGImages/b.png", 40, 40);
    rig_text("plain/Annotations/b.xml",
        "\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<!-- by hand -->\r\n<annotation verified=\"yes\">"
        "\r\n<filename>b.png</filename>\r\n" OBJECT(
            "a &amp; b", "\r\n<pose>Left</pose>", 4.5, 8, 12.5, 24) "</annotation>\r\n");
    rig_text("plain/ImageSets/Main/train.txt", "a\r\n");
    rig_text("plain/ImageSets/Main/val.txt", "\xef\xbb\xbf"
                                             "b\r\n\r\n");
    IS_STR(rig_run(&o, "plain-out", &n), "", "plain VOC");
    IS_STR(rig_warnings.data, "", "no warning");
    IS_STR(rig_file("plain-out/labels/train/a.txt"), "2 0.3 0.4 0.2 0.4\n", "sorted classes");
    IS_STR(rig_file("plain-out/labels/valid/b.txt"), "0 0.2125 0.4 0.2 0.4\n", "without a size");
    IS_STR(rig_file("plain-out/plain-out.names"), "a & b\ncat\ndog\n", "names");
    OK(n.pictures[0] == 1 && n.pictures[1] == 1 && n.difficult == 1, "counts");
    o.difficult = QD_DIFFICULT_KEEP;
    IS_STR(rig_run(&o, "plain-keep", NULL), "", "difficult ones kept");
    IS_STR(rig_file("plain-keep/labels/train/a.txt"), "2 0.3 0.4 0.2 0.4\n1 0.5 0.5 1 1\n", "two");
    rig_text("plain/ImageSets/Main/train.txt", "b");
    rig_text("plain/ImageSets/Main/val.txt", "a  1");
    o.difficult = QD_DIFFICULT_APART;
    IS_STR(rig_run(&o, "plain-apart", NULL), "", "difficult ones apart");
    IS_STR(
        rig_file("plain-apart/labels/valid/a.txt"), "2 0.3 0.4 0.2 0.4\n", "not among the others");
    IS_STR(rig_file("plain-apart/difficult/a.txt"), "1 0.5 0.5 1 1\n", "but there");
    OK(strstr(rig_file("plain-apart/difficult.txt"), "/plain-apart/difficult/a.png\n") != NULL,
        "a list for qd-map");
    OK(strstr(rig_file("plain-apart/plain-apart.data"), "difficult=") != NULL, "named in .data");
}

/* 2007 has a test, 2012 has not: its val is for training. */
static void test_devkit(void)
{
    struct qd_import_counts n;
    struct qd_import_opts o = rig_opts("voc", "kit");
    const char *const sets[][2] = {{"kit/VOCdevkit/VOC2007/ImageSets/Main/trainval.txt", "a\n"},
        {"kit/VOCdevkit/VOC2007/ImageSets/Main/test.txt", "t\n"},
        {"kit/VOCdevkit/VOC2012/ImageSets/Main/train.txt", "a\n"},
        {"kit/VOCdevkit/VOC2012/ImageSets/Main/val.txt", "v\n"}};
    char path[200];

    for (int i = 0; i < 4; i++) {
        rig_text(sets[i][0], sets[i][1]);
        snprintf(path, sizeof(path), "%.21s/JPEGImages/%c.png", sets[i][0], sets[i][1][0]);
        rig_picture(path, 10, 10);
        snprintf(path, sizeof(path), "%.21s/Annotations/%c.xml", sets[i][0], sets[i][1][0]);
        annotation(path, OBJECT("x", "", 1, 1, 5, 5));
    }
    IS_STR(rig_run(&o, "kit-out", &n), "", "a devkit");
    OK(n.pictures[0] == 3 && n.pictures[1] == 1, "%ld and %ld", n.pictures[0], n.pictures[1]);
    OK(strcmp(rig_file("kit-out/labels/train/a.txt"), "(none)") &&
            strcmp(rig_file("kit-out/labels/train/a__2.txt"), "(none)"),
        "two pictures of one name");
}

static void test_names(void)
{
    struct qd_import_counts n;
    struct qd_import_opts o = rig_opts("voc", "names");

    rig_text("two.names", "car\ndog\n");
    one("names", SIZE OBJECT("dog", "", 20, 10, 40, 30) OBJECT("cat", "", 0, 0, 10, 10)
                     OBJECT("cat", "", 0, 0, 10, 10));
    struct qd_names *names = qd_names_load("two.names", NULL);
    o.names = names;
    o.copy = true;
    o.split = 1;
    IS_STR(rig_run(&o, "names-out", &n), "", "with names");
    IS_STR(rig_warnings.data, "objects of class 'cat' are left out: it is not among the names\n",
        "told once");
    OK(n.unknown == 2 && n.pictures[1] == 1, "counted");
    IS_STR(rig_file("names-out/labels/valid/a.txt"), "1 0.3 0.4 0.2 0.4\n", "number of the names");
    struct stat st;
    OK(lstat("names-out/JPEGImages/valid/a.png", &st) == 0 && S_ISREG(st.st_mode), "a copy");
    qd_names_free(names);
}

#define AT "bad/Annotations/a.xml"

static void bad(const char *inside, const char *message, const char *then)
{
    char warnings[600];

    one("bad", inside);
    snprintf(warnings, sizeof(warnings), "%s, %s\n", message, then);
    rig_bad("voc", "bad", message, warnings);
}

static void test_defects(void)
{
    bad(SIZE OBJECT("x", "", 9, 5, 9, 7), AT ":3: box of 'x' has no area: 9 to 9, 5 to 7",
        "left out");
    bad(SIZE "\n" OBJECT("x", "", 9, 7, 12, 5), AT ":4: box of 'x' has no area: 9 to 12, 7 to 5",
        "left out");
    bad(SIZE OBJECT("x", "", -4, 5, 12, 9),
        AT ":3: box of 'x' reaches out of the picture of 100x50: -4 to 12, 5 to 9", "left out");
    bad(SIZE OBJECT("x", "", 5, 5, 12, 90),
        AT ":3: box of 'x' reaches out of the picture of 100x50: 5 to 12, 5 to 90", "left out");
    bad(SIZE OBJECT("x", "", 100, 5, 120, 10),
        AT ":3: box of 'x' lies outside of the picture of 100x50: 100 to 120, 5 to 10", "left out");
    bad("<size><width>100</width><height>60</height></size>" OBJECT("x", "", 1, 1, 5, 5),
        AT ":2: the size is given as 100x60, but the picture has 100x50", "picture left out");
    bad(SIZE OBJECT("x", "", 1, 1, 5, five), AT ":3: ymax 'five' is not a number",
        "picture left out");
    bad(SIZE "<object><name>x</name></object>",
        AT ":3: the object of line 3 has no complete bndbox", "picture left out");
    bad(SIZE "<object><bndbox/></object>", AT ":3: the object of line 3 has no name",
        "picture left out");
    bad(SIZE OBJECT("", "", 1, 1, 5, 5), AT ":3: '' cannot be the name of a class",
        "picture left out");
    bad(SIZE "<object>", AT ":3: '</annotation>' where '</object>' is expected",
        "picture left out");
}

static void test_files(void)
{
    struct qd_import_opts o = rig_opts("voc", "bad");
    struct qd_import_counts n;

    one("bad", "");
    rig_text(AT, "<html/>");
    rig_bad("voc", "bad", AT ":1: the root element is 'html', not 'annotation'",
        AT ":1: the root element is 'html', not 'annotation', picture left out\n");
    rig_text(AT, "");
    rig_bad("voc", "bad", AT ":1: no element: this is not an XML file",
        AT ":1: no element: this is not an XML file, picture left out\n");
    IS_STR(
        rig_run(&o, NULL, NULL), "bad: none of the 1 pictures could be taken", "nothing is left");
    one("bad", SIZE);
    IS_STR(rig_run(&o, NULL, NULL), "bad: no object is annotated in the 1 pictures", "no object");
    rig_text("bad/JPEGImages/a.png", "GIF89a");
    rig_bad("voc", "bad",
        "bad/JPEGImages/a.png: GIF images are not supported, only PNG, JPEG and PNM are",
        "bad/JPEGImages/a.png: GIF images are not supported, only PNG, JPEG and PNM are, "
        "picture left out\n");
    unlink("bad/JPEGImages/a.png");
    rig_bad("voc", "bad", "cannot open 'bad/JPEGImages/a.jpg': No such file or directory",
        "cannot open 'bad/JPEGImages/a.jpg': No such file or directory, picture left out\n");
    IS_STR(rig_run(&o, NULL, NULL),
        "bad: none of the 1 pictures could be taken, first 'bad/JPEGImages/a.jpg'", "its path");
    one("bad", SIZE OBJECT("x", "", 1, 1, 5, 5));
    rig_text("bad/ImageSets/Main/trainval.txt", "a\nb\n");
    rig_bad("voc", "bad", "cannot open 'bad/Annotations/b.xml': No such file or directory",
        "cannot open 'bad/Annotations/b.xml': No such file or directory, picture left out\n");
    IS_STR(rig_run(&o, NULL, &n), "", "the other is taken");
    OK(n.pictures[0] == 1 && n.left_out == 1, "and counted");
    rig_text("bad/ImageSets/Main/trainval.txt", "");
    rig_bad("voc", "bad", "bad: no picture is annotated there", "");
    mkdir("empty", 0777);
    rig_bad("voc", "empty", "empty: no folder 'Annotations', neither here nor one below", "");
    rig_bad("voc", "none", "cannot find 'none'", "");
    rig_bad("vox", "bad", "no format is called 'vox'", "");
}

/* Clipping mends what leaves the picture, uses the true size, and forgives one pixel. */
static void test_clip(void)
{
    struct qd_import_opts o = rig_opts("voc", "clip");
    struct qd_import_counts n;

    one("clip", "<size><width>0</width><height>0</height></size>" OBJECT("x", "", -20, 0, 20, 25)
                    OBJECT("x", "", -1, 0, 101, 51) OBJECT("x", "", 3, 3, 3, 3));
    IS_STR(rig_run(&o, "clip-out", &n), "", "clip");
    IS_STR(rig_file("clip-out/labels/train/a.txt"), "0 0.1 0.25 0.2 0.5\n0 0.5 0.5 1 1\n", "boxes");
    OK(n.bad == 2, "two defects");
    IS_STR(rig_warnings.data,
        "clip/Annotations/a.xml:2: box of 'x' reaches out of the picture of 100x50: -20 to 20, 0 "
        "to "
        "25, clipped\nclip/Annotations/a.xml:4: box of 'x' has no area: 3 to 3, 3 to 3, left out\n",
        "reports");
}

static void test_dior(void)
{
    struct qd_import_opts o = rig_opts("dior", "dior");
    struct qd_import_counts n;

    rig_picture("dior/JPEGImages-trainval/00001.png", 100, 50);
    rig_picture("dior/JPEGImages-test/00002.png", 100, 50);
    annotation("dior/Annotations/Horizontal Bounding Boxes/00001.xml",
        SIZE OBJECT("ship", "<pose>Unspecified</pose>", 20, 10, 40, 30));
    annotation("dior/Annotations/Horizontal Bounding Boxes/00002.xml",
        SIZE OBJECT("Expressway-toll-station", "", 0, 0, 100, 50));
    rig_text("dior/ImageSets/Main/train.txt", "00001\n");
    rig_text("dior/ImageSets/Main/test.txt", "00002\n");
    IS_STR(rig_run(&o, "dior-out", &n), "", "DIOR");
    IS_STR(rig_file("dior-out/labels/train/00001.txt"), "12 0.3 0.4 0.2 0.4\n", "a ship");
    IS_STR(rig_file("dior-out/labels/valid/00002.txt"), "8 0.5 0.5 1 1\n", "a toll station");
    OK(n.pictures[0] == 1 && n.pictures[1] == 1, "sides");
    unlink("dior/JPEGImages-test/00002.png");
    rig_bad("dior", "dior",
        "cannot open 'dior/JPEGImages-trainval/00002.jpg': No such file or directory",
        "cannot open 'dior/JPEGImages-trainval/00002.jpg': No such file or directory, picture left "
        "out\n");
    annotation(
        "dior/Annotations/Horizontal Bounding Boxes/00002.xml", OBJECT("ufo", "", 1, 1, 2, 2));
    rig_picture("dior/JPEGImages-test/00002.png", 100, 50);
    IS_STR(rig_run(&o, NULL, &n), "", "another class");
    OK(n.unknown == 1 && n.background[1] == 1, "is left out");
    annotation("dior/Annotations/Horizontal Bounding Boxes/00002.xml", "<x>");
    rig_bad("dior", "dior",
        "dior/Annotations/Horizontal Bounding Boxes/00002.xml:2: '</annotation>' where '</x>' is "
        "expected",
        "dior/Annotations/Horizontal Bounding Boxes/00002.xml:2: '</annotation>' where '</x>' is "
        "expected, picture left out\n");
    annotation("dior/Annotations/Horizontal Bounding Boxes/00002.xml",
        "<size><width>w</width></size>" OBJECT("ship", "", 1, 1, 2, 2));
    rig_bad("dior", "dior",
        "dior/Annotations/Horizontal Bounding Boxes/00002.xml:2: width 'w' is not a number",
        "dior/Annotations/Horizontal Bounding Boxes/00002.xml:2: width 'w' is not a number, "
        "picture "
        "left out\n");
    annotation(
        "dior/Annotations/Horizontal Bounding Boxes/00002.xml", OBJECT("ship", "", 1, 1, 1e99, 2));
    rig_bad("dior", "dior",
        "dior/Annotations/Horizontal Bounding Boxes/00002.xml:2: box of 'ship' reaches out of the "
        "picture of 100x50: 1 to 1e+99, 1 to 2",
        "dior/Annotations/Horizontal Bounding Boxes/00002.xml:2: box of 'ship' reaches out of the "
        "picture of 100x50: 1 to 1e+99, 1 to 2, left out\n");
    rig_bad("dior", "empty", "empty: no folder 'Annotations'", "");
}

/* The real set, when it is there. */
static void test_bccd(void)
{
    const char *path = tap_shared("bccd");
    struct qd_import_counts n;

    if (!path)
        return;
    struct qd_import_opts o = rig_opts("voc", path);
    struct qd_error err = {0};
    struct qd_import *im = qd_import_read(&o, &err);
    if (!OK(im != NULL, "BCCD is read"))
        return;
    const char *const name[] = {"Platelets", "RBC", "WBC"};
    const long want[] = {361, 4153, 372};
    qd_import_count(im, &n);
    OK(n.pictures[0] == 292 && n.pictures[1] == 72 && n.bad == 2 && n.left_out == 0,
        "292 and 72 pictures, two defects");
    for (int i = 0; i < 3; i++) {
        long boxes[2];
        IS_STR(qd_import_class(im, i, boxes), name[i], "class %d", i);
        OK(boxes[0] + boxes[1] == want[i], "%ld boxes", boxes[0] + boxes[1]);
    }
    OK(qd_import_classes(im) == 3, "no other class");
    qd_import_free(im);
}

int main(void)
{
    rig_begin();
    test_plain();
    test_devkit();
    test_names();
    test_defects();
    test_files();
    test_clip();
    test_dior();
    test_bccd();
    return tap_done();
}
