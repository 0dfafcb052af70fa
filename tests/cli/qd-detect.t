# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
# qd-detect: where pictures come from, every format, drawing, streams, faults, and a real photo.
. "$(dirname "$0")/../lib.sh"

# picture FILE W H: a gray one
picture()
{
    { printf 'P6\n%s %s\n255\n' "$2" "$3" && head -c $(($2 * $3 * 3)) /dev/zero | tr '\0' '\177'; } >"$1"
}

# A net whose only layer has no weight but biases, so that every cell gives one box of known score.
# 2x2 cells of one anchor: raw x y w h objectness class0 class1.
cat >net.cfg <<'END'
[net]
width=2
height=2
channels=3
[convolutional]
filters=7
size=1
activation=linear
[yolo]
mask=0
anchors=1,1
classes=2
num=1
END
# the header 0.2.5 with 0 images seen, seven biases, 21 weights of 0: score sigmoid(4)^2 for class
# 1 (.964351), sigmoid(4) sigmoid(-9) for class 0
{
    printf '\0\0\0\0\2\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0'
    printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
    printf '\0\0\200\100\0\0\20\301\0\0\200\100'
    head -c 84 /dev/zero
} >net.weights
printf 'cat\na dog\n' >two.names
printf 'classes=2\nnames=two.names\n' >set.data
mkdir in
picture in/p1.ppm 100 40
picture in/p2.ppm 60 60
picture wide.ppm 100 50
cp in/p1.ppm P3.PNM
echo 'no picture' >in/readme.txt
net="-c net.cfg -w net.weights"

# One box a cell: centre in the middle of the cell, half the net's size wide.
lines()
{
    for xy in "$2	$3" "$4	$3" "$2	$5" "$4	$5"; do
        printf '%s\t1\t%s\t0.964351\t%s\t%s\t%s\n' "$1" "${7:-a dog}" "${xy%	*}" "${xy#*	}" "$6"
    done
}
lines in/p1.ppm 0.00 0.00 50.00 20.00 '50.00	20.00' | sort >p1.want
lines in/p2.ppm 0.00 0.00 30.00 30.00 '30.00	30.00' | sort >p2.want

# found FILE: the last output, sorted, is FILE
found()
{
    sort "$OUT" >sorted
    same_bytes sorted "$1" "${2:-the boxes of $1}"
}

# shellcheck disable=SC2086
{
    status 0 'a file' qd-detect $net -d set.data in/p1.ppm
    stderr_is ''
    found p1.want
    status 0 'names of their own' qd-detect $net -N two.names in/p1.ppm
    found p1.want
    status 0 'no names' qd-detect $net in/p1.ppm
    lines in/p1.ppm 0.00 0.00 50.00 20.00 '50.00	20.00' 1 | sort >number.want
    found number.want 'classes are called by their numbers'
    cat p1.want p2.want >both.want
    status 0 'a folder' qd-detect -q $net -d set.data in
    found both.want 'its pictures, by suffix'
    printf 'in/p1.ppm\r\n\nin/p2.ppm' >list
    status 0 'a list on standard input' qd-detect -q $net -d set.data - <list
    found both.want 'one path a line, empty ones left out'
    status 0 'options behind operands, other spellings' qd-detect in/p1.ppm in/p2.ppm -q $net \
        --DATA=set.data
    found both.want
    status 0 'any letter case of a suffix' qd-detect $net -N two.names P3.PNM
    stdout_lines 4
    status 0 'a threshold above all scores' qd-detect $net -t .97 in/p1.ppm
    stdout_is ''
    status 0 'a threshold below all scores' qd-detect $net -t 0 in/p1.ppm
    stdout_lines 8 'both classes of four boxes'
    status 0 'another size' qd-detect $net -i 4x2 in/p1.ppm
    stdout_lines 8 'eight cells'
    status 0 'an override' qd-detect $net -D net.width=6 -D net.height=2 in/p1.ppm
    stdout_lines 12
    status 0 'letterbox' qd-detect $net -i 8 --letterbox wide.ppm
    stdout_like '	-[0-9.]*	12.50	12.50$' 'boxes in the gray bars lie outside of the picture'
    status 0 'half-pixel scaling' qd-detect $net --resample halfpixel --exif in/p1.ppm
    stdout_lines 4
}

# Formats.
# shellcheck disable=SC2086
{
    status 0 'json' qd-detect $net -d set.data -F json in/p1.ppm
    stdout_has '{"frame_id":1, "filename":"in/p1.ppm", "objects":['
    stdout_has '{"class_id":1, "name":"a dog", "relative_coordinates":{"center_x":0.25, "center_y":0.25, "width":0.5, "height":0.5}, "confidence":0.964351}'
    status 0 'coco' qd-detect $net --format=coco in/p1.ppm
    stdout_has '{"image_id":1,"category_id":2,"bbox":[50,20,50,20],"score":0.964351}'
    if command -v python3 >/dev/null; then
        ok 'coco is JSON' python3 -m json.tool "$OUT"
    else
        skip 1 'no python3'
    fi
    status 0 'voc' qd-detect -q $net -d set.data -F voc -o voc in
    ok 'voc: a file a class' test -e voc/comp4_det_test_cat.txt
    ok 'voc: lines' grep -qx 'p1 0.964351 51.000000 21.000000 100.000000 40.000000' \
        'voc/comp4_det_test_a dog.txt'
    status 1 'voc: not replaced' qd-detect -q $net -d set.data -F voc -o voc in
    stderr_is "qd-detect: 'voc/comp4_det_test_cat.txt' exists already (use -f to replace it)"
    status 0 'voc: replaced when told' qd-detect -q -f $net -d set.data -F voc -o voc in
    status 0 'yolo' qd-detect -q $net -F yolo -o yolo in
    ok 'yolo: lines' grep -qx '1 0.750000 0.250000 0.500000 0.500000' yolo/p2.txt
    status 0 'tsv to a file' qd-detect -q $net -d set.data -o out.tsv in
    stdout_is ''
    sort out.tsv >sorted
    same_bytes sorted both.want 'the same as on standard output'
    status 1 'not replaced' qd-detect -q $net -d set.data -o out.tsv in
    stderr_is "qd-detect: 'out.tsv' exists already (use -f to replace it)"
}

# Drawing.
# shellcheck disable=SC2086
{
    status 0 'drawn pictures' qd-detect -q $net -N two.names -b drawn in
    ok 'one each, as PNG' test -s drawn/p1.png -a -s drawn/p2.png
    status 0 'and they are pictures' qd-detect -q $net drawn/p1.png
    status 1 'not replaced' qd-detect -q $net -b drawn in/p1.ppm
    stderr_is "qd-detect: 'drawn/p1.png' exists already (use -f to replace it)"
    status 1 'a file is no folder' qd-detect -q $net -b two.names in/p1.ppm
    stderr_is "qd-detect: cannot create folder 'two.names': File exists"
}

# Streams.
cat in/p1.ppm in/p2.ppm in/p1.ppm >stream
# shellcheck disable=SC2086
{
    status 0 'a stream' qd-detect -q $net -d set.data --stream -o frames.tsv <stream
    ok 'as many bytes come out' test "$(wc -c <"$OUT")" -eq "$(wc -c <stream)"
    ok 'with boxes in them' sh -c "! cmp -s stream '$OUT'"
    ok 'detections of each frame' test "$(cut -f 1 frames.tsv | uniq -c | tr -s ' ' | tr '\n' ';')" = \
        ' 4 frame00000001; 4 frame00000002; 4 frame00000003;'
    status 0 'nothing found' qd-detect -q $net -S -t .99 <stream
    same_bytes "$OUT" stream 'nothing drawn'
    head -c 20000 stream >broken
    status 1 'a stream that breaks off' qd-detect -q $net -S <broken
    stderr_like '^qd-detect: standard input: frame 2: '
    ok 'the frames before come out' test "$(wc -c <"$OUT")" -eq "$(wc -c <in/p1.ppm)"
    status 1 'no frame' qd-detect -q $net -S </dev/null
    stderr_is 'qd-detect: no picture on standard input'
    status 1 'something else' qd-detect -q $net -S <two.names
    status 1 'a full disk' sh -c "qd-detect -q $net -S <stream >/dev/full"
    stderr_has 'No space left on device'
}

# Faults in one picture do not stop the others.
# shellcheck disable=SC2086
{
    status 1 'one is missing' qd-detect -q $net -d set.data none.ppm in/p1.ppm
    stderr_is "qd-detect: cannot open 'none.ppm': No such file or directory"
    found p1.want 'the other is done'
    status 1 'one is no picture' qd-detect -q $net -d set.data in/readme.txt in/p1.ppm
    stderr_like '^qd-detect: in/readme.txt: '
    stderr_lines 1
    found p1.want 'the other is done'
    mkdir empty
    status 1 'an empty folder' qd-detect -q $net -d set.data empty in/p1.ppm
    stderr_is "qd-detect: no picture in 'empty'"
    found p1.want 'the other is done'
    cp in/p1.ppm nonumber.ppm
    status 1 'coco: a name without number' qd-detect -q $net -F coco nonumber.ppm in/p1.ppm
    stderr_is "qd-detect: no image id at the end of the name 'nonumber.ppm'"
    stdout_has '"image_id":1,' 'the other is done'
    mkdir other
    cp in/p1.ppm other
    status 1 'yolo: two pictures of one name' qd-detect -q $net -F yolo -o y2 in other
    stderr_is "qd-detect: two images would have the same label file: 'other/p1.ppm'"
    status 1 'a full disk' sh -c "qd-detect $net in/p1.ppm >/dev/full"
    stderr_has 'No space left on device'
    printf 'one\n' >one.names
    status 1 'names of another data set' qd-detect $net -N one.names in/p1.ppm
    stderr_is 'qd-detect: one.names: 1 names for 2 classes'
    sed '/yolo/,$d' net.cfg >headless.cfg
    status 1 'a net that detects nothing' qd-detect -c headless.cfg -w net.weights in/p1.ppm
    stderr_is 'qd-detect: headless.cfg: the net has no detection head'
    status 1 'an output folder that cannot be' qd-detect $net -F yolo -o one.names in/p1.ppm
    stderr_is "qd-detect: cannot create folder 'one.names': File exists"
}

# misuse TEXT ARG...
misuse()
{
    tap_text=$1
    shift
    status 2 "misuse: $*" qd-detect "$@"
    stderr_has "qd-detect: $tap_text"
    stdout_is '' 'nothing on standard output'
}
misuse 'no -w/--weights FILE given' -c net.cfg in/p1.ppm
misuse 'no FILE|DIR|- ... given' -c net.cfg -w net.weights
misuse '--stream reads standard input' -c net.cfg -w net.weights -S in/p1.ppm
misuse '--stream and --draw' -c net.cfg -w net.weights -S -b drawn
misuse '--stream writes pictures to standard output' -c net.cfg -w net.weights -S -o -
misuse '--format voc needs a folder: -o DIR' -c net.cfg -w net.weights -F voc in/p1.ppm
misuse '--format yolo needs a folder: -o DIR' -c net.cfg -w net.weights -F yolo -o - in/p1.ppm
misuse "option -n/--nms: 'x' is not a number" -c net.cfg -w net.weights -n x in/p1.ppm

# A real photo: name, percentage and left, top, width, height as darknet prints them.
dog=$(shared models/dog.jpg) || { skip 14 'no real data'; finish; }
model=${dog%/*}/yolo-fastest-1.1
names=${dog%/*}/../coco128/coco.names
status 0 'dog.jpg' qd-detect -c "$model.cfg" -w "$model.weights" -N "$names" -t .3 "$dog"
stdout_lines 7
cp "$OUT" dog.tsv
while read -r name percent box; do
    ok "$name $percent % $box" awk -F '\t' -v name="$name" -v percent="$percent" -v box="$box" '
        function off(a, b) { return a > b ? a - b : b - a }
        BEGIN { split(box, b, ",") }
        $3 == name && off($4 * 100, percent) <= 1 {
            good = 1
            for (i = 1; i <= 4; i++)
                if (off($(4 + i), b[i]) > 2)
                    good = 0
            found += good
        }
        END { exit found != 1 }' dog.tsv
done <<'END'
person 33 63,73,48,46
cat 55 112,213,258,304
dog 65 122,222,244,295
bicycle 55 245,187,342,233
car 37 452,78,151,87
car 88 454,78,230,102
car 43.5 690,116,39,38
END
status 0 'two threads' qd-detect -c "$model.cfg" -w "$model.weights" -N "$names" -t .3 -j 2 "$dog"
same_bytes "$OUT" dog.tsv 'give the same bytes'
cat "$dog" "$dog" >mjpeg
status 0 'a stream of JPEGs' qd-detect -q -c "$model.cfg" -w "$model.weights" -S -t .3 -o dogs.tsv \
    <mjpeg
cp "$OUT" out.mjpeg
ok 'seven objects in each' test "$(wc -l <dogs.tsv)" -eq 14
status 0 'their first frame can be read' qd-detect -q -c "$model.cfg" -w "$model.weights" out.mjpeg
finish
