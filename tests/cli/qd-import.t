# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
# qd-import: what it writes for a small set of each form, its counts, its defects, and misuse.  The
# forms themselves, with their odd files, are in tests/unit/t_import_*.c.
. "$(dirname "$0")/../lib.sh"

# Pictures of 100x50 from a synthetic set.
qd-toy detect -o toy -n 4 -e 0 -i 100x50 || exit 99
picture()
{
    mkdir -p "$(dirname "$1")"
    cp toy/JPEGImages/train/000000.jpg "$1"
}

# object NAME X0 Y0 X1 Y1 [DIFFICULT]
object()
{
    echo "<object><name>$1</name><difficult>${6:-0}</difficult><bndbox><xmin>$2</xmin>"
    echo "<ymin>$3</ymin><xmax>$4</xmax><ymax>$5</ymax></bndbox></object>"
}

mkdir -p voc/Annotations voc/ImageSets/Main
for i in 1 2 3; do
    picture voc/JPEGImages/$i.jpg
    {
        echo '<annotation><size><width>100</width><height>50</height></size>'
        object dog 20 10 40 30
        [ $i -ne 2 ] || object cat 50 0 100 25 1
        [ $i -ne 3 ] || object cat 10 10 10 20
        [ $i -ne 3 ] || object cat 90 10 120 30
        echo '</annotation>'
    } >voc/Annotations/$i.xml
done
printf '1\n' >voc/ImageSets/Main/trainval.txt
printf '2\n3\n' >voc/ImageSets/Main/test.txt

status 0 'VOC' qd-import voc voc -o a
cat >want <<'END'
qd-import: warning: voc/Annotations/3.xml:4: box of 'cat' has no area: 10 to 10, 10 to 20, left out
qd-import: warning: voc/Annotations/3.xml:6: box of 'cat' reaches out of the picture of 100x50: 90 to 120, 10 to 30, clipped
END
same_bytes "$ERR" want 'defects are reported'
printf 'class\t0\tcat\t0\t1\nclass\t1\tdog\t1\t2\nobjects\t1\t3\npictures\t1\t2\n' >want
printf 'background\t0\t0\ndifficult\t1\nbad\t2\n' >>want
same_bytes "$OUT" want 'counts'
ok 'a link to the picture' test "$(readlink a/JPEGImages/train/1.jpg)" = "$PWD/voc/JPEGImages/1.jpg"
printf '1 0.3 0.4 0.2 0.4\n' >want
same_bytes a/labels/train/1.txt want 'labels'
printf '1 0.3 0.4 0.2 0.4\n0 0.95 0.4 0.1 0.4\n' >want
same_bytes a/labels/valid/3.txt want 'clipped'
cat >want <<END
classes=2
train=$PWD/a/train.txt
valid=$PWD/a/valid.txt
names=$PWD/a/a.names
END
same_bytes a/a.data want '.data'
status 0 'it can be read from another folder' \
    sh -c 'cd / && qd-anchors -d "$1/a/a.data" -n 1' - "$PWD"

# A picture that nobody writes must not be waited for.
cp -R voc pipe
rm pipe/JPEGImages/2.jpg
mkfifo pipe/JPEGImages/2.jpg
status 0 'a pipe' qd-import voc pipe -o piped -B drop
stderr_has "cannot read 'pipe/JPEGImages/2.jpg': it is not a regular file, picture left out"

status 0 'quietly, dropping' qd-import -q voc voc -o b --bad-labels drop --difficult keep
stderr_is ''
printf '1 0.3 0.4 0.2 0.4\n' >want
same_bytes b/labels/valid/3.txt want 'dropped'
ok 'a difficult one is kept' grep -qx '0 0.75 0.25 0.5 0.5' b/labels/valid/2.txt
status 0 'difficult ones apart' qd-import -q voc voc -o c --difficult apart
ok 'a list for qd-map' grep -qx "difficult=$PWD/c/difficult.txt" c/c.data
ok 'as long as that of the pictures' test "$(wc -l <c/difficult.txt)" -eq "$(wc -l <c/valid.txt)"
ok 'its label file' grep -qx '0 0.75 0.25 0.5 0.5' c/difficult/2.txt
status 1 'fail at the first defect' qd-import voc voc -o d -B fail
stderr_is "qd-import: voc/Annotations/3.xml:4: box of 'cat' has no area: 10 to 10, 10 to 20"
stdout_is ''
ok 'and write nothing' test ! -e d

# The truth, given as detections, scores 1: labels, pictures and lists belong together.
while read -r f; do
    b=$(basename "$f" .jpg)
    while read -r class x y w h; do
        echo "$f $class $x $y $w $h" | awk '{ printf "%s\t%d\tx\t0.9\t%.2f\t%.2f\t%.2f\t%.2f\n",
            $1, $2, ($3 - $5 / 2) * 100, ($4 - $6 / 2) * 50, $5 * 100, $6 * 50 }'
    done <"a/labels/valid/$b.txt"
done <a/valid.txt >truth.tsv
status 0 'qd-map reads the set' qd-map -q -d a/a.data -A truth.tsv
stdout_has 'mAP	1.000000'

status 1 'a folder that is not empty' qd-import -q voc voc -o a
stderr_is "qd-import: folder 'a' is not empty (use -f to write into it)"
status 0 'with -f' qd-import -q voc voc -o a --force --copy
ok 'now a copy' sh -c '[ ! -L a/JPEGImages/train/1.jpg ] && cmp a/JPEGImages/train/1.jpg \
    voc/JPEGImages/1.jpg'
status 1 'into the source' qd-import -q voc voc -o voc -f
stderr_is "qd-import: 'voc' is the source itself"

echo dog >one.names
status 0 'one class' qd-import voc voc -o e --names one.names
stderr_has "qd-import: warning: objects of class 'cat' are left out: it is not among the names"
stdout_has 'unknown	3'
status 1 'no names' qd-import voc voc -o x -N none.names
stderr_is "qd-import: cannot open 'none.names': No such file or directory"

# The other forms.
picture coco/val2017/1.jpg
mkdir coco/annotations
cat >coco/annotations/instances_val2017.json <<'END'
{"images": [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 50}],
 "annotations": [{"id": 5, "image_id": 1, "category_id": 3, "bbox": [20, 10, 20, 20], "iscrowd": 0}],
 "categories": [{"id": 3, "name": "car"}]}
END
status 0 'COCO' qd-import coco coco -o f
stdout_has 'class	0	car	0	1'
status 0 'one file, with a folder of pictures' \
    qd-import coco coco/annotations/instances_val2017.json -o g --images coco/val2017 --split 0
stdout_has 'pictures	1	0'
picture vis/images/1.jpg
mkdir vis/annotations
echo '20,10,20,20,1,4,0,0' >vis/annotations/1.txt
status 0 'VisDrone' qd-import visdrone vis -o h -s 1
stdout_has 'class	3	car	0	1'
picture bdd/images/100k/val/1.jpg
mkdir bdd/labels
cat >bdd/labels/bdd100k_labels_images_val.json <<'END'
[{"name": "1.jpg", "labels": [{"category": "car", "box2d": {"x1": 20, "y1": 10, "x2": 40, "y2": 30}}]}]
END
status 0 'BDD100K' qd-import bdd100k bdd -o i
stdout_has 'class	0	car	0	1'
mkdir -p dior/Annotations dior/JPEGImages-trainval
cp voc/JPEGImages/1.jpg dior/JPEGImages-trainval
sed 's/dog/ship/' voc/Annotations/1.xml >dior/Annotations/1.xml
status 0 'DIOR' qd-import dior dior -o j --split 0
stdout_has 'class	12	ship	1	0'
qd-toy classify -o shapes -n 20 -e 8 -C 2 || exit 99
mv shapes/valid shapes/test
status 0 'folders' qd-import folder shapes -o k
stdout_has 'pictures	12	8'
ok 'names of the folders' sh -c 'printf "disc\nsquare\n" | cmp - k/k.names'
mkdir -p hand/annotations
picture hand/images/1.jpg
cp "$QD_ROOT/tests/fuzz/corpus/import/hand.mat" hand/annotations/1.mat
tail -c +2 hand/annotations/1.mat >hand.tmp
mv hand.tmp hand/annotations/1.mat
status 0 'hands' qd-import oxfordhand hand -o l --split 0
stdout_has 'class	0	hand	1	0'

# Classes that a format fixes are those that data/ ships.
same_bytes h/h.names "$QD_ROOT/data/visdrone.names"
same_bytes i/i.names "$QD_ROOT/data/bdd100k.names"
same_bytes j/j.names "$QD_ROOT/data/dior.names"
same_bytes l/l.names "$QD_ROOT/data/oxfordhand.names"

status 1 'a source that is not there' qd-import voc none -o x
stderr_is "qd-import: cannot find 'none'"
status 1 'another form' qd-import voc coco -o x
stderr_is "qd-import: coco: no folder 'Annotations', neither here nor one below"
status 2 'an unknown form' qd-import vox voc -o x
ok 'the forms are named' grep -qx "qd-import: 'vox' is not one of voc, coco, visdrone, \
bdd100k, oxfordhand, dior, folder" "$ERR"
status 2 'no source' qd-import voc -o x
status 2 'no output' qd-import voc voc
status 2 'too large a share' qd-import voc voc -o x -s 2
ok 'nothing was made' test ! -e x
status 1 'a full disk' sh -c 'qd-import -q voc voc -o y >/dev/full'

if bccd=$(shared bccd); then
    status 0 'BCCD' qd-import voc "$bccd" -o bccd
    stderr_lines 2 'two defects'
    stdout_has 'class	1	RBC	3348	805'
    stdout_has 'pictures	292	72'
else
    skip 4 'no real data'
fi
finish
