# SPDX-License-Identifier: MIT
# qd-map: the rules on hand-worked vectors, label lookup, detections in every form, real figures.
. "$(dirname "$0")/../lib.sh"

# picture FILE W H: a black one
picture()
{
    { printf 'P6\n%s %s\n255\n' "$2" "$3" && head -c $(($2 * $3 * 3)) /dev/zero; } >"$1"
}

# value NAME: the number of a line of the last output
value()
{
    awk -F '\t' -v n="$1" '$1 == n { print $2 }' "$OUT"
}

# The vector of the COCO rules: truths (left, top, width, height) 10,10,50,50 and 100,100,40,40;
# detections .9 12,12,50,50 (IoU .8546), .8 200,200,10,10, .7 100,100,40,20 (IoU .5).  The picture
# is 512 pixels wide so that all fractions are exact.
mkdir images labels
picture images/a1.ppm 512 512
picture images/a2.ppm 64 64
printf '0 .068359375 .068359375 .09765625 .09765625\n0 .234375 .234375 .078125 .078125\n' \
    >labels/a1.txt
: >labels/a2.txt
printf 'images/a1.ppm\nimages/a2.ppm\n' >list
printf 'thing\nother\n' >set.names
printf 'classes=2\nvalid=list\nnames=set.names\n' >set.data
cat >coco.json <<'END'
[{"image_id":1,"category_id":1,"bbox":[12,12,50,50],"score":0.9},
{"image_id":1,"category_id":1,"bbox":[200,200,10,10],"score":0.8},
{"image_id":1,"category_id":1,"bbox":[100,100,40,20],"score":0.7}]
END
{
    printf 'images/a1.ppm\t0\tthing\t.9\t12\t12\t50\t50\n'
    printf 'images/a1.ppm\t0\tthing\t.8\t200\t200\t10\t10\n'
    printf 'images/a1.ppm\t0\tthing\t.7\t100\t100\t40\t20\n'
} >dets.tsv

status 0 'COCO rules, COCO file' qd-map -r coco -A coco.json -d set.data
stderr_is ''
cp "$OUT" coco.out
for v in AP=0.436964 AP50=0.834983 AP75=0.504950 APs=-1.000000 APl=-1.000000 APm=0.453465 \
    AR1=0.400000 AR10=0.450000 AR100=0.450000 mAP=0.436964; do
    ok "$v" test "$(value "${v%=*}")" = "${v#*=}"
done
stdout_has "$(printf 'ap\t0\tthing\t2\t2\t1\t0.436964')" 'a line for the class'
stdout_has "$(printf 'ap\t1\tother\t0\t0\t0\t-1.000000')" 'a class without truths has no AP'
stdout_has '# rules coco' 'the rules are named'
stdout_has '# mean over all 2 classes 0.218482, over the 1 with truths 0.436964'
status 0 'COCO rules, TSV file' qd-map -r coco --detections dets.tsv --data set.data
ok 'the same figures' sh -c "grep -v '^#' '$OUT' >tsv.out; grep -v '^#' coco.out | cmp - tsv.out"
status 0 'standard input' qd-map -r coco -A - -d set.data <dets.tsv
ok 'the same figures' sh -c "grep -v '^#' '$OUT' | cmp - tsv.out"
sort -r dets.tsv >turned.tsv
status 0 'lines in another order' qd-map -r coco -A turned.tsv -L list -N set.names
ok 'the same figures' sh -c "grep -v '^#' '$OUT' | cmp - tsv.out"

# darknet: IoU .5 is not more than .5: right, wrong, wrong for two truths
status 0 'darknet rules' qd-map -A dets.tsv -d set.data
stdout_is "# rules darknet: IoU > 0.5; best truth only; a class without truths counts as 0; exact area
# pictures 2, labelled 1, truths 2, detections 3
# detections of dets.tsv
# ap	id	name	gt	tp	fp	ap
ap	0	thing	2	1	2	0.500000
ap	1	other	0	0	0	0.000000
# score > 0.25: precision 0.333333, recall 0.500000, F1 0.400000, TP 1, FP 2, FN 1, average IoU 0.284866
# mean over all 2 classes 0.250000, over the 1 with truths 0.500000
mAP	0.250000" 'darknet rules: all of it'
status 0 '11 points' qd-map -A dets.tsv -d set.data --points 11
near "$(value mAP)" 0.272727 1e-6 'half of 6/11'
status 0 '101 points' qd-map -A dets.tsv -d set.data -p 101
near "$(value mAP)" 0.252475 1e-6 'half of 51/101'
status 0 'a lower threshold' qd-map -A dets.tsv -d set.data --iou .49
near "$(value mAP)" 0.416667 1e-6 'half of (1 + 2/3) / 2'
status 0 'a higher threshold' qd-map -A dets.tsv -d set.data -I .9
near "$(value mAP)" 0 0
status 0 'scores cut' qd-map -A dets.tsv -d set.data -I .49 -t .75 -P .85
stdout_has 'TP 1, FP 0, FN 1' 'precision counts above .85 only'
stdout_has 'detections 2' 'the third detection is cut off'

# VOC: pixels are inclusive, 41x21 of 41x41 is .512: right, wrong, right
status 0 'VOC 2007' qd-map -r voc07 -A dets.tsv -d set.data
near "$(value mAP)" 0.848485 1e-6 '(6 + 5 * 2/3) / 11'
status 0 'VOC 2012' qd-map -r voc12 -A dets.tsv -d set.data
near "$(value mAP)" 0.833333 1e-6 '(1 + 2/3) / 2'
stdout_has "$(printf 'ap\t1\tother\t0\t0\t0\t-1.000000')" 'a class without truths has no AP'

# Truths as detections score 1 by every rule; nothing scores 0.
{
    printf 'images/a1.ppm\t0\tthing\t.9\t10\t10\t50\t50\n'
    printf 'images/a1.ppm\t0\tthing\t.8\t100\t100\t40\t40\n'
} >perfect.tsv
: >nothing.tsv
for r in voc07 voc12 coco; do
    status 0 "$r: truths" qd-map -r $r -A perfect.tsv -d set.data
    near "$(value mAP)" 1 0 "$r: score 1"
    status 0 "$r: nothing" qd-map -r $r -A nothing.tsv -d set.data
    near "$(value mAP)" 0 0 "$r: scores 0"
done

# Difficult truths lie in label files of their own, for a parallel list.
mkdir hard
printf '0 .3 .3 .01 .01\n0 .40039 .40039 .01953 .01953\n' >hard/a1.txt
printf 'hard/a1.ppm\nhard/a2.ppm\n' >hard.list
printf 'classes=2\nvalid=list\nnames=set.names\ndifficult=hard.list\n' >hard.data
status 0 'difficult truths' qd-map -A dets.tsv -d hard.data -I .49
near "$(value mAP)" 0.5 1e-6 'a hit on one is neither right nor wrong'
stdout_has 'TP 2, FP 0, FN 0' 'and is not counted'
echo hard/a1.ppm >hard.list
status 1 'difficult list of another length' qd-map -A dets.tsv -d hard.data
stderr_is 'qd-map: hard.list: 1 lines, but the list has 2'

# Category numbers of COCO files.
sed 's/"category_id":1/"category_id":0/' coco.json >zero.json
status 1 'class ids from 0 by default' qd-map -A zero.json -d set.data
stderr_is 'qd-map: zero.json:1: category_id 0 stands for none of the 2 classes'
status 0 'class ids from 0 when told' qd-map -A zero.json -d set.data --category-ids zero
near "$(value mAP)" 0.25 0

# What must not pass in silence.
rm -r labels
status 1 'no label at all' qd-map -A dets.tsv -d set.data
stdout_is ''
stderr_is "qd-map: no label file 'images/a1.txt'
qd-map: no label file 'images/a2.txt'
qd-map: none of the 2 pictures has a label file: nothing to score" 'the paths that were tried'
mkdir labels
: >labels/a1.txt
: >labels/a2.txt
status 1 'no box at all' qd-map -A dets.tsv -d set.data
stderr_is 'qd-map: the label files hold no box: nothing to score'
printf '0 .068359375 .068359375 .09765625 .09765625\n' >labels/a1.txt
rm labels/a2.txt
status 0 'one label file is missing' qd-map -A dets.tsv -d set.data
stderr_is "qd-map: warning: 1 of 2 pictures have no label file and count as background, first 'images/a2.txt'"
printf 'images/a1.ppm\nimages/gone.ppm\n' >list
printf '0 .5 .5 .5 .5\n' >labels/gone.txt
status 1 'one picture is missing' qd-map -A dets.tsv -d set.data
stderr_is "qd-map: cannot open 'images/gone.ppm': No such file or directory"
stdout_has '# pictures left out because of errors: 1' 'the others are scored'
near "$(value mAP)" 0.5 0
echo images/gone.ppm >list
status 1 'all pictures are missing' qd-map -A dets.tsv -d set.data
stderr_has 'qd-map: no picture is left: nothing to score'
stdout_is ''
printf 'images/a1.ppm\n' >list
printf 'x/a3.ppm\t0\tthing\t.9\t1\t1\t5\t5\n' >>dets.tsv
status 0 'detections of another picture' qd-map -A dets.tsv -d set.data
stderr_is 'qd-map: warning: dets.tsv: 1 detections are of pictures that are not in the list'
printf '0 2 .5 .1 .1\n' >>labels/a1.txt
status 1 'a bad label' qd-map -A dets.tsv -d set.data
stderr_like "^qd-map: images/../labels/a1.txt:2: |^qd-map: labels/a1.txt:2: " 'named by file and line'
status 0 'a bad label, dropped' qd-map -A dets.tsv -d set.data --bad-labels drop
stderr_like 'warning: labels/a1.txt:2: '
stdout_has 'truths 1,'
: >list
status 1 'an empty list' qd-map -A dets.tsv -d set.data
printf 'classes=3\nvalid=list\nnames=set.names\n' >set.data
status 1 'names and classes= differ' qd-map -A dets.tsv -d set.data
stderr_is 'qd-map: set.names: 2 names for 3 classes'

# Misuse.
# misuse TEXT ARG...
misuse()
{
    tap_text=$1
    shift
    status 2 "misuse: $*" qd-map "$@"
    stderr_has "qd-map: $tap_text"
}
misuse 'give a network (-c and -w) or detections (-A)' -d set.data -c x.cfg
misuse '-A scores detections: -c, -w and -n' -A dets.tsv -c x.cfg -d set.data
misuse '-A scores detections: -c, -w and -n' -A dets.tsv -n .5 -d set.data
misuse 'no pictures: give -d or -L' -A dets.tsv -N set.names
misuse 'the number of classes is not known: give -d or -N' -A dets.tsv -L list
misuse '-p/--points is 0, 11 or 101' -A dets.tsv -d set.data -p 5
misuse '-p/--points is 0, 11 or 101' -A dets.tsv -d set.data -p 11 -r coco
misuse 'the coco rules have IoU thresholds of their own' -A dets.tsv -d set.data -I .5 -r coco
misuse "unexpected argument: 'x'" -A dets.tsv -d set.data x

# Real figures.
real=$(shared coco128/darknet-detections.json) || { skip 24 'no real data'; finish; }
coco=${real%/*}
model=$coco/../models/yolo-fastest-1.1
find "$coco/images" -name '*.jpg' | sort >coco.list
status 0 'the official COCO figures' qd-map -r coco -A "$real" -L coco.list -N "$coco/coco.names"
for v in AP=.168762 AP50=.314032 AP75=.161798 APs=.037306 APm=.109129 APl=.270164 AR1=.172348 \
    AR10=.267972 AR100=.287737 ARs=.055308 ARm=.223533 ARl=.419788; do
    near "$(value "${v%=*}")" "${v#*=}" .000001 "official $v"
done
status 0 'a network by the darknet rules' qd-map -c "$model.cfg" -w "$model.weights" -L coco.list \
    -N "$coco/coco.names" -j 1
near "$(value mAP)" .290261 .0003 'as darknet prints'
stdout_has 'truths 929'
cp "$OUT" one
status 0 'two threads' qd-map -c "$model.cfg" -w "$model.weights" -L coco.list \
    -N "$coco/coco.names" -j 2
same_bytes "$OUT" one 'the same bytes'
# through a file: the same boxes, with two decimals of a pixel
status 0 'qd-detect writes what qd-map reads' sh -c "xargs qd-detect -q -c '$model.cfg' \
    -w '$model.weights' -t .005 -o dets.txt <coco.list"
status 0 'scored from the file' qd-map -q -A dets.txt -L coco.list -N "$coco/coco.names"
near "$(value mAP)" "$(sed -n 's/^mAP.//p' one)" .0005 'about the same score'
status 0 'the COCO format' sh -c "xargs qd-detect -q -c '$model.cfg' -w '$model.weights' -t .02 \
    -n .6 -F coco -o dets.json <coco.list"
status 0 'scored from that' qd-map -q -r coco -A dets.json -L coco.list -N "$coco/coco.names"
near "$(value AP50)" .314 .01 'about the official score'
finish
