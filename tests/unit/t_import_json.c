/* SPDX-License-Identifier: MIT */
/* COCO and BDD100K: real layouts and odd files, and each defect with its message. */
#include "import_rig.h"

#define IMAGES                                                                                     \
    "\"images\":[{\"id\":7,\"file_name\":\"a.png\",\"width\":100,\"height\":50,\"license\":1},\n"  \
    "{\"id\":3,\"file_name\":\"b.png\",\"width\":100,\"height\":50}]"
#define CATEGORIES                                                                                 \
    "\"categories\":[{\"id\":18,\"name\":\"dog\"},{\"id\":2,\"name\":\"bicycle\","                 \
    "\"supercategory\":\"vehicle\"}]"

static void coco(const char *path, const char *annotations)
{
    char text[4000];

    snprintf(text, sizeof(text), "{\"info\":{\"year\":2017},%s,\n%s,\n\"annotations\":[\n%s]}\n",
        IMAGES, CATEGORIES, annotations);
    rig_text(path, text);
}

static void test_coco(void)
{
    struct qd_import_opts o = rig_opts("coco", "coco");
    struct qd_import_counts n;

    rig_picture("coco/train2017/a.png", 100, 50);
    rig_picture("coco/train2017/b.png", 100, 50);
    rig_picture("coco/images/val2017/c.png", 20, 20);
    /* a box, a polygon without a box, a polygon with a box of zeros, a crowd */
    coco("coco/annotations/instances_train2017.json",
        "{\"id\":1,\"image_id\":7,\"category_id\":18,\"bbox\":[20,10,20,20],\"iscrowd\":0,"
        "\"segmentation\":[[1,1,2,2]]},\n"
        "{\"id\":2,\"image_id\":3,\"category_id\":2,\"segmentation\":[[10,10,30,10,30,20],"
        "[50,5,60.5,20]]},\n"
        "{\"id\":3,\"image_id\":7,\"category_id\":2,\"bbox\":[0,0,0,0],\"segmentation\":[[0,0,50,"
        "25]]"
        "},\n"
        "{\"id\":4,\"image_id\":3,\"category_id\":2,\"bbox\":[1,1,90,40],\"iscrowd\":1,"
        "\"segmentation\":{\"counts\":[1,2,3],\"size\":[50,100]}}");
    /* annotations before images, a byte-order mark is refused by JSON, CR LF is not */
    rig_text("coco/annotations/instances_val2017.json",
        "{\"annotations\":[{\"id\":9,\"image_id\":1,\"category_id\":2,\"bbox\":[5,5,10,10]}],\r\n"
        "\"categories\":[{\"id\":2,\"name\":\"bicycle\"},{\"id\":18,\"name\":\"dog\"}],\r\n"
        "\"images\":[{\"id\":1,\"file_name\":\"c.png\"}]}\r\n");
    rig_text("coco/annotations/captions_val2017.json", "not looked at");
    IS_STR(rig_run(&o, "coco-out", &n), "", "COCO");
    IS_STR(rig_warnings.data, "", "no warning");
    IS_STR(rig_file("coco-out/coco-out.names"), "bicycle\ndog\n", "classes in the order of ids");
    IS_STR(rig_file("coco-out/labels/train/a.txt"), "1 0.3 0.4 0.2 0.4\n0 0.25 0.25 0.5 0.5\n",
        "a box, and one of a polygon");
    IS_STR(rig_file("coco-out/labels/train/b.txt"), "0 0.3525 0.25 0.505 0.3\n",
        "around two polygons, without the crowd");
    IS_STR(rig_file("coco-out/labels/valid/c.txt"), "0 0.5 0.5 0.5 0.5\n", "size from the picture");
    OK(n.pictures[0] == 2 && n.pictures[1] == 1 && n.difficult == 1 && n.bad == 0, "counts");
    o.difficult = QD_DIFFICULT_KEEP;
    IS_STR(rig_run(&o, "coco-keep", &n), "", "crowds kept");
    OK(strstr(rig_file("coco-keep/labels/train/b.txt"), "0 0.46 0.42 0.9 0.8\n") != NULL,
        "one more");

    /* one file, its pictures elsewhere */
    o = rig_opts("coco", "coco/annotations/instances_val2017.json");
    o.split = 1;
    IS_STR(rig_run(&o, NULL, &n), "", "one file finds ../images/val2017");
    OK(n.pictures[1] == 1, "all for validation");
    rename("coco/images/val2017/c.png", "c.png");
    o.images = ".";
    IS_STR(rig_run(&o, NULL, &n), "", "or where it is told");
}

#define J "bad/x.json"

static void bad(const char *annotation, const char *message, const char *then)
{
    char all[300], warnings[600];

    coco(J, annotation);
    snprintf(all, sizeof(all), J ":5: %s", message);
    snprintf(warnings, sizeof(warnings), "%s, %s\n", all, then);
    rig_bad("coco", J, all, *then ? warnings : "");
}

static void test_coco_defects(void)
{
    rig_picture("bad/a.png", 100, 50);
    rig_picture("bad/b.png", 100, 50);
    bad("{\"id\":1,\"image_id\":8,\"category_id\":2,\"bbox\":[1,1,2,2]}",
        "annotation 1: there is no image 8", "left out");
    bad("{\"id\":1,\"image_id\":7,\"category_id\":3,\"bbox\":[1,1,2,2]}",
        "annotation 1: there is no category 3", "left out");
    bad("{\"id\":1,\"image_id\":7,\"category_id\":2}",
        "annotation 1 has neither a bbox of 4 numbers nor a polygon", "left out");
    bad("{\"id\":1,\"image_id\":7,\"category_id\":2,\"bbox\":[1,2,3]}",
        "annotation 1 has neither a bbox of 4 numbers nor a polygon", "left out");
    bad("{\"id\":1,\"image_id\":7,\"category_id\":2,\"bbox\":null,\"segmentation\":[]}",
        "annotation 1 has neither a bbox of 4 numbers nor a polygon", "left out");
    bad("{\"id\":1,\"category_id\":2,\"bbox\":[1,1,2,2]}", "annotation 1 has no 'image_id'",
        "left out");
    bad("{\"id\":1,\"image_id\":7,\"bbox\":[1,1,2,2]}", "annotation 1 has no 'category_id'",
        "left out");
    bad("{\"id\":1,\"image_id\":7,\"category_id\":2,\"bbox\":[1,1,0,2]}",
        "box of 'bicycle' (annotation 1) has no area: 1 to 1, 1 to 3", "left out");
    bad("{\"id\":1,\"image_id\":7,\"category_id\":2,\"bbox\":[90,1,20,2]}",
        "box of 'bicycle' (annotation 1) reaches out of the picture of 100x50: 90 to 110, 1 to 3",
        "left out");
    bad("{\"id\":1,\"image_id\":7,\"category_id\":2,\"bbox\":[1,1,\"2\",2]}",
        "a number expected, not '\"'", "");
    bad("{\"id\":1,\"image_id\":-7,\"category_id\":2,\"bbox\":[1,1,2,2]}",
        "'-7' must be 0 to 9223372036854775807", "");
}

static void text(const char *content, const char *message)
{
    rig_text(J, content);
    rig_bad("coco", J, message, "");
}

static void test_coco_files(void)
{
    text("", J ":1: an object expected, not the end of the file");
    text("{}", J ": no 'images': this is not a file of COCO annotations");
    text("{" IMAGES "}", J ": no 'annotations': this is not a file of COCO annotations");
    text("{" IMAGES ",\"annotations\":[]", J ":2: ',' or '}' expected, not the end of the file");
    text("[]", J ":1: an object expected, not '['");
    text("{\"images\":[{\"id\":1,\"file_name\":\"a.png\"},\n{\"id\":1,\"file_name\":\"b.png\"}],"
         "\"annotations\":[]}",
        J ":2: two images with id 1");
    text("{\"images\":[{\"id\":1}],\"annotations\":[]}", J ":1: image 1 has no 'file_name'");
    text("{\"images\":[{\"file_name\":\"a.png\"}],\"annotations\":[]}",
        J ":1: an image without 'id'");
    text("{\"categories\":[{\"id\":1}],\"images\":[]}", J ":1: a category without 'id' or 'name'");
    text("{\"categories\":[{\"id\":1,\"name\":\"a\"},{\"id\":1,\"name\":\"b\"}]," IMAGES
         ",\"annotations\":[]}",
        J ": two categories with id 1");
    text("{\"categories\":[{\"id\":1,\"name\":\" \"}]," IMAGES ",\"annotations\":[]}",
        "' ' cannot be the name of a class");
    rig_text(J, "{\"categories\":[{\"id\":1,\"name\":\"a\"}],\"images\":[{\"id\":1,"
                "\"file_name\":\"q.png\"}],\"annotations\":[]}");
    rig_bad("coco", J, "cannot open 'bad/q.png': No such file or directory",
        "cannot open 'bad/q.png': No such file or directory, picture left out\n");
    mkdir("void", 0777);
    rig_bad("coco", "void", "void: no 'instances_train*.json' or 'instances_val*.json'", "");
}

/* ------------------------------------------------------------------ BDD100K ------------------- */

#define B "bdd/labels/det_20/det_val.json"

static void test_bdd(void)
{
    struct qd_import_opts o = rig_opts("bdd100k", "bdd");
    struct qd_import_counts n;

    rig_picture("bdd/images/100k/train/a.png", 100, 50);
    rig_picture("bdd/images/100k/val/b.png", 100, 50);
    rig_picture("bdd/images/100k/val/c.png", 100, 50);
    rig_text("bdd/labels/bdd100k_labels_images_train.json",
        "[{\"name\":\"a.png\",\"attributes\":{\"weather\":\"clear\"},\"timestamp\":10000,"
        "\"labels\":["
        "\n{\"category\":\"traffic "
        "light\",\"attributes\":{},\"id\":0,\"box2d\":{\"x1\":20,\"y1\":10,"
        "\"x2\":40,\"y2\":30}},\n{\"category\":\"drivable "
        "area\",\"poly2d\":[{\"vertices\":[[1,2]]}]},"
        "\n{\"category\":\"lane\",\"box2d\":null}]}]");
    /* the later release: an object around it, other names, a frame without labels */
    rig_text(B,
        "{\"config\":null,\"frames\":[{\"labels\":[{\"id\":\"1\",\"category\":\"pedestrian\","
        "\"box2d\":{\"x1\":0,\"x2\":100,\"y1\":0,\"y2\":50}},{\"category\":\"other vehicle\","
        "\"box2d\":{\"x1\":0,\"x2\":100,\"y1\":0,\"y2\":50}}],\"name\":\"b.png\"},"
        "{\"name\":\"c.png\",\"labels\":null}]}");
    IS_STR(rig_run(&o, "bdd-out", &n), "", "BDD100K");
    IS_STR(rig_warnings.data,
        "objects of class 'other vehicle' are left out: it is not among the names\n", "told");
    IS_STR(rig_file("bdd-out/labels/train/a.txt"), "9 0.3 0.4 0.2 0.4\n", "a traffic light");
    IS_STR(rig_file("bdd-out/labels/valid/b.txt"), "2 0.5 0.5 1 1\n", "a person");
    IS_STR(rig_file("bdd-out/labels/valid/c.txt"), "", "no label");
    OK(n.pictures[0] == 1 && n.pictures[1] == 2 && n.background[1] == 1 && n.unknown == 1,
        "counts");
    o = rig_opts("bdd100k", B);
    o.images = "bdd/images/100k/val";
    IS_STR(rig_run(&o, NULL, &n), "", "one file");
}

static void frame(const char *inside, const char *message, const char *then)
{
    char content[600], all[300], warnings[400];

    snprintf(content, sizeof(content), "[\n{\"name\":\"b.png\",\"labels\":[\n{%s}]}]", inside);
    rig_text(B, content);
    snprintf(all, sizeof(all), B ":3: %s", message);
    snprintf(warnings, sizeof(warnings), "%s, %s\n", all, then);
    rig_bad("bdd100k", "bdd", all, *then ? warnings : "");
}

static void test_bdd_defects(void)
{
    struct qd_import_opts o = rig_opts("bdd100k", "bdd");

    frame("\"category\":\"car\",\"box2d\":{\"x1\":1,\"x2\":5,\"y1\":1}",
        "a box2d without all of x1, y1, x2, y2", "left out");
    frame("\"category\":\"car\",\"box2d\":{\"x1\":5,\"x2\":1,\"y1\":1,\"y2\":2}",
        "box of 'car' has no area: 5 to 1, 1 to 2", "left out");
    frame("\"category\":\"car\",\"box2d\":{\"x1\":200,\"x2\":300,\"y1\":1,\"y2\":2}",
        "box of 'car' lies outside of the picture of 100x50: 200 to 300, 1 to 2", "left out");
    frame("\"category\":7", "a string expected, not '7'", "");
    frame("\"category\":\"car\",\"box2d\":[1,2,3,4]", "an object expected, not '['", "");
    rig_text(B, "[{\"labels\":[]}]");
    rig_bad("bdd100k", "bdd", B ":1: a frame without 'name'", "");
    rig_text(B, "{\"frame\":[]}");
    rig_bad("bdd100k", "bdd", B ":1: no 'frames': this is not a file of BDD100K labels", "");
    rig_text(B, "[{\"name\":\"none.png\"}]");
    rig_bad("bdd100k", "bdd",
        "cannot open 'bdd/images/100k/val/none.png': No such file or directory",
        "cannot open 'bdd/images/100k/val/none.png': No such file or directory, picture left "
        "out\n");
    IS_STR(rig_run(&o, NULL, NULL), "", "the others are taken");
    rig_bad("bdd100k", "void",
        "void: neither 'labels/bdd100k_labels_images_train.json' nor "
        "'labels/det_20/det_train.json',"
        " nor the same for 'val'",
        "");
}

int main(void)
{
    rig_begin();
    test_coco();
    test_coco_defects();
    test_coco_files();
    test_bdd();
    test_bdd_defects();
    return tap_done();
}
