# SPDX-License-Identifier: MIT
# qd-anchors: found, scored, printed as a cfg wants them; and misuse.
. "$(dirname "$0")/../lib.sh"

# Ten pictures that are not there (their labels are) with boxes of two sizes.
mkdir labels
i=0
while [ $i -lt 10 ]; do
    echo "0 .5 .5 .1 .2" >labels/$i.txt
    echo "1 .5 .5 .501 .25" >>labels/$i.txt
    echo "labels/$i.jpg"
    i=$((i + 1))
done >train.txt
echo '0 .5 .5 .001 .5' >>labels/3.txt
printf 'classes=2\ntrain=train.txt\n' >set.data

status 0 'two anchors' qd-anchors -d set.data -n 2
stderr_is ''
cat >want <<'END'
# 20 boxes of 10 pictures at 416x416, 1 more below 2 pixels
anchors=42,83, 208,104
anchor	0	42	83	10
anchor	1	208	104	10
END
head -n 4 "$OUT" >got
same_bytes got want
near "$(awk '$1 == "avg_iou" { print $2 }' "$OUT")" .995 .005
stdout_has 'recall	1.000000'
status 0 'at another size, with decimals' qd-anchors -L train.txt -n 2 -i 100x200 -p 2
stdout_has 'anchors=10.00,40.00, 50.10,50.00'
status 0 'in cells' qd-anchors -d set.data -n 2 --stride 32 --places 1 --img-size 320
stdout_has 'anchors=1.0,2.0, 5.0,2.5'
status 0 'the size rounds to nothing' qd-anchors -d set.data -n 2 -S 1024
stdout_has 'anchors=1,1, 1,1'
status 0 'score' qd-anchors -d set.data -a '41.6,83.2,  208.416,104'
stdout_has 'anchor	0	41.6	83.2	10'
stdout_has 'avg_iou	1.000000'
status 0 'score with a high threshold' qd-anchors -d set.data --score 41.6,83.2 --thresh .9
stdout_has 'recall	0.500000'

# Pictures that keep their aspect are read for their size.
status 1 'letterbox needs the pictures' qd-anchors -d set.data -n 2 -l
stderr_is "qd-anchors: cannot open 'labels/0.jpg': No such file or directory"
qd-toy detect -o toy -n 40 -e 0 -i 200x100 -L hard || exit 99
status 0 'letterbox' qd-anchors -d toy/toy.data --letterbox -i 400 -n 3
cp "$OUT" wide
status 0 'is the same as a net of that aspect' qd-anchors -d toy/toy.data -i 400x200 -n 3
ok 'same anchors' sh -c "sed 1d '$OUT' >a; sed 1d wide >b; cmp a b"

status 0 'one thread' qd-anchors -d toy/toy.data -j 1
cp "$OUT" one
status 0 'four threads' qd-anchors -d toy/toy.data --threads 4
same_bytes "$OUT" one
status 0 'without improvement, one try, another seed' \
    qd-anchors -d toy/toy.data --generations 0 --restarts 1 --seed 9
ok 'other anchors' sh -c "! cmp -s '$OUT' one"

echo '0 .5 .5 0 .2' >>labels/4.txt
status 0 'a bad label' qd-anchors -d set.data -n 2
stderr_is "qd-anchors: warning: labels/4.txt:3: width 0 must be more than 0, box left out"
status 1 'which fails when asked' qd-anchors -d set.data -n 2 --bad-labels fail
stderr_is "qd-anchors: labels/4.txt:3: width 0 must be more than 0"
status 0 'quietly' qd-anchors -q -d set.data -n 2
stderr_is ''

status 1 'more anchors than sizes' qd-anchors -q -d set.data -n 3
stderr_is 'qd-anchors: 3 anchors of boxes that have only 2 different sizes'
printf 'a.jpg\nb.jpg\n' >none.txt
status 1 'no label file' qd-anchors -L none.txt
stderr_is "qd-anchors: none.txt: none of the 2 pictures has a label file, first 'a.jpg'"
: >a.txt
status 1 'no box' qd-anchors --list none.txt
stderr_is 'qd-anchors: none.txt: the pictures have no box of 2 pixels or more'
status 1 'no list' qd-anchors -L no.txt
stderr_is "qd-anchors: cannot open 'no.txt': No such file or directory"
echo 'classes=2' >bad.data
status 1 'no train=' qd-anchors -d bad.data
stderr_is "qd-anchors: bad.data: key 'train' is missing"
status 1 'a full disk' sh -c 'qd-anchors -q -d set.data -n 2 >/dev/full'
for bad in 1 1,2,3 1,x 1,0 1,-2 '1,2,' ',' 'nan,1' '1 2'; do
    status 2 "anchors '$bad'" qd-anchors -d set.data -a "$bad"
    ok 'says so' \
        grep -qxF "qd-anchors: option -a/--score: '$bad' is not a list of W,H, W,H ..." "$ERR"
done
status 2 'no pictures' qd-anchors -n 3
status 2 'no anchor' qd-anchors -d set.data --anchors 0
finish
