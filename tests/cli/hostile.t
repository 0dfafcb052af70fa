# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317,SC2059
#
# Hostile input.  Every case here is one damaged file or option; the command must say what is wrong
# in exactly one line that names the file (and the line in it), exit with 1 (2 for misuse, and then
# the synopsis may follow), print nothing else, and leave no file behind.
. "$(dirname "$0")/../lib.sh"

cases=0

# judge STATUS NAME ERE: the last run, whose exit status is in $rc.
judge()
{
    why=
    want=$1
    cases=$((cases + 1))
    [ "$rc" -eq "$want" ] || why="exit status $rc, expected $want"
    lines=$(($(wc -l <"$ERR")))
    if [ "$want" -eq 1 ]; then
        [ $lines -eq 1 ] || why="$why; $lines lines of errors"
    else
        sed -n 2p "$ERR" | grep -q '^usage: ' || [ $lines -eq 1 ] || why="$why; what is line 2?"
    fi
    head -n 1 "$ERR" | grep -qE -e "^qd-[a-z-]+: $3" || why="$why; expected '$3'"
    # One sentence: printable, of a length that can be read, not ending in a full stop.
    head -n 1 "$ERR" | grep -qE -e '^[ -~]{12,300}[^.]$' || why="$why; no clear line"
    [ ! -s "$OUT" ] || [ -n "${others:-}" ] || why="$why; something on standard output"
    ls -A >"$QD_TMP.io/after"
    cmp -s "$QD_TMP.io/before" "$QD_TMP.io/after" || why="$why; the folder changed"
    [ -z "$why" ]
    tap_report $? "$2" && return 0
    diag "$why"
    tap_show 'standard output' "$OUT"
    tap_show 'standard error' "$ERR"
    return 0
}

# try STATUS NAME ERE COMMAND...
try()
{
    t_status=$1
    t_name=$2
    t_ere=$3
    shift 3
    ls -A >"$QD_TMP.io/before"
    "$@" >"$OUT" 2>"$ERR" </dev/null
    rc=$?
    judge "$t_status" "$t_name" "$t_ere"
}

# ---- cfg ---------------------------------------------------------------------------------------

cat >base.cfg <<'END'
[net]
width=32
height=32
channels=3
[convolutional]
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=18
size=1
activation=linear
[yolo]
mask=0,1,2
anchors=4,4, 8,8, 16,16
classes=1
num=3
END
status 0 'the cfg that is damaged below is good' qd-info -c base.cfg

# cfg_is LINE NAME ERE: x.cfg, from standard input; the message names the line (0: only the file).
cfg_is()
{
    cat >x.cfg
    place=x\\.cfg:$1
    [ "$1" -ne 0 ] || place=
    try 1 "cfg: $2" "$place.*$3" qd-info -c x.cfg
}

# edit LINE NAME ERE SED-SCRIPT: base.cfg, edited.
edit()
{
    sed "$4" base.cfg >edited
    cfg_is "$1" "$2" "$3" <edited
}

cfg_is 0 'empty' 'x\.cfg' </dev/null
echo '# only a comment' >t
cfg_is 0 'only a comment' 'x\.cfg' <t
echo '[net]' >t
cfg_is 0 'no layer' 'x\.cfg' <t
printf '[net]\nwidth=\000\001\377\n' >t
cfg_is 2 'bytes that are no text' '' <t
head -c 3000 /dev/zero >t
cfg_is 1 'zeros' '' <t
edit 1 'key before any section' 'width' 1d
edit 1 'the first section is a layer' 'convolutional' 1,4d
edit 5 'unknown section' 'convolutionl' '5s/al/l/'
edit 5 'section without a closing bracket' '' '5s/]//'
edit 15 'text after a section' 'yolo' '15s/$/x/'
edit 2 'width 0' 'width' '2s/32/0/'
edit 2 'negative width' 'width' '2s/32/-32/'
edit 2 'width is a word' 'width' '2s/32/wide/'
edit 0 'width and height of 10^9' '' '2,3s/32/1000000000/'
edit 4 'no channel' 'channels' '4s/3/0/'
edit 6 'no filter' 'filters' '6s/8/0/'
edit 6 'negative filters' 'filters' '6s/8/-8/'
edit 6 'filters is a fraction' 'filters' '6s/8/8.5/'
edit 6 'filters beyond any integer' 'filters' '6s/8/99999999999999999999/'
edit 0 'filters of 2^31 - 1' '' '6s/8/2147483647/'
edit 7 'kernel of size 0' 'size' '7s/3/0/'
edit 7 'kernel larger than the padded input' '' '7s/3/99/;9d'
edit 7 'kernel of size 10^9' 'size' '7s/3/1000000000/'
edit 8 'stride 0' 'stride' '8s/2/0/'
edit 8 'negative stride' 'stride' '8s/2/-1/'
edit 0 'padding of 10^9' 'padding' '9s/.*/padding=1000000000/'
edit 9 'dilation 0' 'dilation' '9s/.*/dilation=0/'
edit 9 'groups 0' 'groups' '9s/.*/groups=0/'
edit 0 'groups that do not divide' 'groups' '9s/.*/groups=5/'
edit 10 'unknown activation' 'leeky' '10s/leaky/leeky/'
edit 0 'share_index of a layer that is not there' 'share_index' '9s/.*/share_index=7/'
edit 0 'filters that do not suit the head' '18' '12s/18/17/'
edit 0 'too few anchors' 'anchors' '17s/, 16,16//'
edit 17 'an anchor that is no number' 'anchors' '17s/16,16/16,x/'
edit 17 'a negative anchor' 'anchors' '17s/16,16/16,-16/'
edit 16 'mask beyond num' 'mask' '16s/2/9/'
edit 16 'negative mask' 'mask' '16s/0/-1/'
edit 18 'negative classes' 'classes' '18s/1/-1/'
edit 18 'classes of 10^9' '' '18s/1/1000000000/'
edit 19 'num of 10^9' 'num' '19s/3/1000000000/'
edit 0 'unknown policy' 'slow' '4s/$/\npolicy=slow/'

# layer LINE NAME ERE LINES: base.cfg up to its first layer, then LINES from line 11.
layer()
{
    head -n 10 base.cfg >edited
    printf "$4" >>edited
    cfg_is "$1" "$2" "$3" <edited
}

layer 11 'route without layers' 'layers' '[route]\n'
layer 12 'route to a layer that is not there' '7' '[route]\nlayers=7\n'
layer 12 'route to before the first' '-9' '[route]\nlayers=-9\n'
layer 12 'route to itself' '1' '[route]\nlayers=1\n'
layer 12 'route to nothing' 'layers' '[route]\nlayers=,\n'
layer 12 'route to a word' 'layers' '[route]\nlayers=-1,x\n'
layer 0 'route of sizes that differ' '' '[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,-2\n'
layer 0 'route of groups that do not divide' 'groups' '[route]\nlayers=-1\ngroups=3\ngroup_id=0\n'
layer 0 'route of a group that is not there' 'group' '[route]\nlayers=-1\ngroups=2\ngroup_id=2\n'
layer 11 'shortcut from nothing' 'from' '[shortcut]\nactivation=linear\n'
layer 12 'shortcut from before the first' '-9' '[shortcut]\nfrom=-9\nactivation=linear\n'
layer 0 'shortcut of sizes that differ' '' \
    '[upsample]\nstride=2\n[shortcut]\nfrom=-2\nactivation=linear\n'
layer 12 'shortcut with unknown weights' 'weights_type' \
    '[shortcut]\nweights_type=per_pixel\nfrom=-1\nactivation=linear\n'
layer 12 'upsample by 0' 'stride' '[upsample]\nstride=0\n'
layer 0 'upsample by 10^6' '' '[upsample]\nstride=1000000\n'
layer 0 'reorg that does not divide' '' '[reorg]\nstride=3\n'
layer 12 'pool of negative size' 'size' '[maxpool]\nsize=-1\nstride=1\n'
layer 12 'dropout with nan' 'probability' '[dropout]\nprobability=nan\n'
layer 12 'no output' 'output' '[connected]\noutput=0\n'
layer 0 'outputs of 10^9' '' '[connected]\noutput=1000000000\nactivation=linear\n'
layer 11 'a layer that we do not have' 'lstm' '[lstm]\noutput=8\n'
layer 12 'softmax groups that do not divide' 'groups' '[softmax]\ngroups=7\n'
layer 0 'scale_channels of a map that does not suit' '' '[scale_channels]\nfrom=-1\n'
{
    head -n 4 base.cfg
    awk 'BEGIN { for (i = 0; i < 40; i++) print "[upsample]\nstride=2" }'
} >t
cfg_is 0 'forty doublings of the size' '' <t
rm -f x.cfg edited t
try 1 'cfg: not there' ".*'none\\.cfg': No such file or directory" qd-info -c none.cfg
try 1 'cfg: a folder' ".*'/': Is a directory" qd-info -c /

# ---- weights -----------------------------------------------------------------------------------

status 0 'weights to damage' qd-info -c base.cfg -r 1 -o good
size=$(($(wc -c <good.weights)))
n1=$((8 * 27 + 8))
ok 'they have the expected size' test $size -eq $((20 + 4 * (n1 + 18 * 8 + 18)))
status 0 'and are accepted' qd-info -c base.cfg -w good.weights

# weights NAME ERE: x.weights from standard input.
weights()
{
    cat >x.weights
    try 1 "weights: $1" "x\\.weights.*$2" qd-info -c base.cfg -w x.weights
}

weights 'empty' '' </dev/null
for n in 1 15 19; do
    head -c $n good.weights >t
    weights "$n bytes" '' <t
done
head -c 20 good.weights >t
weights 'only the header' 'offset 20: .*header' <t
head -c $((20 + 4 * 8)) good.weights >t
weights 'nothing after the first array' 'layer 0.*weights.*216' <t
head -c $((size - 4)) good.weights >t
weights 'one value too few' 'layer 1.*weights.*144.*143' <t
head -c $((size - 1)) good.weights >t
weights 'one byte too few' 'layer 1.*weights' <t
head -c $((20 + 4 * n1)) good.weights >t
weights 'the second layer missing' 'offset 916: .*layer 0.*1 of 2' <t
{ cat good.weights; printf '1234'; } >t
weights 'four bytes too many' '' <t
{ cat good.weights; cat good.weights; } >t
weights 'twice the file' '' <t
{ printf '\000\000\000\000\001\000\000\000\000\000\000\000'; tail -c +13 good.weights; } >t
weights 'the version of a 16-byte header' '' <t
{ printf '\377\377\377\377\377\377\377\377\377\377\377\377'; tail -c +13 good.weights; } >t
weights 'a version of -1' '' <t
{ head -c 20 good.weights; printf '\000\000\300\177'; tail -c +25 good.weights; } >t
weights 'a value that is no number' 'layer 0' <t
weights 'a text' '' <base.cfg
rm -f x.weights t
try 1 'weights: not there' ".*'none\\.weights': No such file" qd-info -c base.cfg -w none.weights
try 1 'weights: a folder' ".*'/': Is a directory" qd-info -c base.cfg -w /
try 1 'weights: an endless file' '.*/dev/zero' qd-info -c base.cfg -w /dev/zero

# ---- images ------------------------------------------------------------------------------------

# image NAME ERE: x.img from standard input; the good picture beside it is still processed, and its
# line is the only output.
printf 'P6 2 1 255\n123456' >fine.ppm
image()
{
    cat >x.img
    ls -A >"$QD_TMP.io/before"
    qd-detect -c base.cfg -w good.weights -t .9999 fine.ppm x.img >"$OUT" 2>"$ERR" </dev/null
    rc=$?
    judge 1 "image: $1" "x\\.img.*$2"
}

# Bytes of a number in network order, as octal escapes for printf.
be32()
{
    printf '\\%03o\\%03o\\%03o\\%03o' $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) \
        $(($1 & 255))
}

status 0 'a good picture' qd-detect -c base.cfg -w good.weights -t .9999 fine.ppm
image 'empty' '' </dev/null
image 'a text' '' <base.cfg
head -c 5000 /dev/zero >t
image 'zeros' '' <t
printf 'GIF89a\001\000\001\000\000\000\000' >t
image 'a GIF' '' <t
printf 'RIFF\000\000\000\000WEBPVP8 ' >t
image 'a WebP' '' <t
printf 'BM\000\000\000\000' >t
image 'a BMP' '' <t

png='\211PNG\r\n\032\n'
ihdr="$(be32 13)IHDR"
printf "$png" >t
image 'PNG: only the signature' '' <t
printf "$png$ihdr$(be32 4)$(be32 4)" >t
image 'PNG: ends in the header' '' <t
printf "$png$ihdr$(be32 4)$(be32 4)\\010\\002\\000\\000\\000$(be32 0)" >t
image 'PNG: wrong checksum' '' <t
printf "$png$ihdr$(be32 0)$(be32 4)\\010\\002\\000\\000\\000$(be32 0)" >t
image 'PNG: width 0' '' <t
printf "$png$ihdr$(be32 2147483647)$(be32 2147483647)\\010\\006\\000\\000\\000$(be32 0)" >t
image 'PNG: width and height of 2^31 - 1' '' <t
cp "$QD_ROOT/tests/fuzz/corpus/image/type2-8.png" good.png
status 0 'a good PNG' qd-detect -c base.cfg -w good.weights -t .9999 good.png
n=$(($(wc -c <good.png)))
head -c $((n / 2)) good.png >t
image 'PNG: half of it' '' <t
{ head -c $((n / 2)) good.png; printf '\377\000\377\000'; tail -c +$((n / 2 + 5)) good.png; } >t
image 'PNG: damaged in the middle' '' <t

cp "$QD_ROOT/tests/fuzz/corpus/image/420.jpg" good.jpg
status 0 'a good JPEG' qd-detect -c base.cfg -w good.weights -t .9999 good.jpg
n=$(($(wc -c <good.jpg)))
printf '\377\330' >t
image 'JPEG: only the first marker' '' <t
printf '\377\330\377\331' >t
image 'JPEG: nothing between the markers' '' <t
head -c 40 good.jpg >t
image 'JPEG: ends in the tables' '' <t
head -c $((n * 3 / 4)) good.jpg >t
image 'JPEG: ends in the picture' '' <t
printf '\377\330\377\300\000\021\010\377\377\377\377\003\001\042\000\002\021\001\003\021\001' >t
image 'JPEG: 65535 x 65535 without data' '' <t

printf 'P6' >t
image 'PPM: only the signature' '' <t
printf 'P6 2 2' >t
image 'PPM: no largest value' '' <t
printf 'P6 0 2 255\n' >t
image 'PPM: width 0' '' <t
printf 'P6 -2 2 255\n123456123456' >t
image 'PPM: negative width' '' <t
printf 'P6 2 x 255\n123456123456' >t
image 'PPM: height is a word' '' <t
printf 'P6 2 2 0\n123456123456' >t
image 'PPM: largest value 0' '' <t
printf 'P6 2 2 65536\n123456123456' >t
image 'PPM: largest value 65536' '' <t
printf 'P6 2 2 255\n12345612345' >t
image 'PPM: one byte too few' '' <t
printf 'P6 99999999999999999999 2 255\n123' >t
image 'PPM: width beyond any integer' '' <t
printf 'P6 100000 100000 255\n123' >t
image 'PPM: 10^10 pixels' '' <t
printf 'P5 2 2 255\n123' >t
image 'PGM: one byte too few' '' <t
rm -f x.img t good.png good.jpg
try 1 'image: not there' ".*'none\\.png': No such file" \
    qd-detect -c base.cfg -w good.weights none.png
mkdir empty
try 1 'image: a folder without pictures' ".*empty" qd-detect -c base.cfg -w good.weights empty
rmdir empty

# ---- .data, .names, lists, labels --------------------------------------------------------------

# The list has a good picture too, which is still scored: the others of a damaged one count.
cp fine.ppm a.ppm
printf 'fine.ppm\na.ppm\n' >list
echo '0 .5 .5 .5 .5' >fine.txt
echo thing >names
printf 'valid=list\nnames=names\nclasses=1\n' >set.data
echo '0 .5 .5 .5 .5' >a.txt
status 0 'a good data set' qd-map -c base.cfg -w good.weights -d set.data

# data NAME ERE: one of the files was damaged; put it back.
data()
{
    try 1 "$1" "$2" qd-map -c base.cfg -w good.weights -d set.data
    printf 'fine.ppm\na.ppm\n' >list
    echo thing >names
    printf 'valid=list\nnames=names\nclasses=1\n' >set.data
    echo '0 .5 .5 .5 .5' >a.txt
}

: >set.data
data '.data: empty' '.*set\.data.*valid'
printf 'names=names\nclasses=1\n' >set.data
data '.data: no list' '.*set\.data.*valid'
printf 'valid=none\nnames=names\nclasses=1\n' >set.data
data '.data: a list that is not there' '.*none'
printf 'valid=list\nnames=none\nclasses=1\n' >set.data
data '.data: names that are not there' '.*none'
printf 'valid=list\nnames=names\nclasses=7\n' >set.data
data '.data: classes that differ from the net' '.*7'
printf 'valid=list\nnames=names\nclasses=many\n' >set.data
data '.data: classes is a word' 'set\.data:3: .*many'
printf 'valid=list\nnames=names\nclasses=-1\n' >set.data
data '.data: negative classes' 'set\.data:3: .*-1'
printf 'one\ntwo\n' >names
data '.names: more than classes' '.*names'
printf 'one\n\ntwo\n' >names
data '.names: a blank line between' '.*names'
: >names
data '.names: empty' '.*names'
: >list
data 'list: empty' 'list'
printf '\n\n\n' >list
data 'list: blank lines' 'list'
head -c 3000 /dev/zero >list
data 'list: zeros' 'list'
others=1
printf 'fine.ppm\ngone.ppm\n' >list
echo '0 .5 .5 .5 .5' >gone.txt
data 'list: a picture that is not there' ".*gone\\.ppm"
echo '0 .5 .5 .5' >a.txt
data 'label: four columns' 'a\.txt:1: '
echo '0 .5 .5 .5 x' >a.txt
data 'label: a word' 'a\.txt:1: '
printf '0 .5 .5 .5 .5\n1 .5 .5 .5 .5\n' >a.txt
data 'label: a class too high' 'a\.txt:2: '
echo '-1 .5 .5 .5 .5' >a.txt
data 'label: a negative class' 'a\.txt:1: '
echo '.5 .5 .5 .5 .5' >a.txt
data 'label: a class that is a fraction' 'a\.txt:1: '
echo '0 nan .5 .5 .5' >a.txt
data 'label: not a number' 'a\.txt:1: '
echo '0 1e999 .5 .5 .5' >a.txt
data 'label: beyond any number' 'a\.txt:1: '
echo '0 .5 .5 0 .5' >a.txt
data 'label: no width' 'a\.txt:1: '
echo '0 .5 .5 -.5 .5' >a.txt
data 'label: negative width' 'a\.txt:1: '
echo '0 5 .5 .5 .5' >a.txt
data 'label: outside of the picture' 'a\.txt:1: '
head -c 100 /dev/zero >a.txt
data 'label: zeros' 'a\.txt:1: '
others=
# The one case of two lines: which file was looked for, and that no other was found either.
rm -f ./*.txt
status 1 'labels: none at all' qd-map -c base.cfg -w good.weights -d set.data
stdout_is '' 'labels: none at all: no score'
stderr_has "no label file 'fine.txt'"
stderr_has 'none of the 2 pictures has a label file'
echo '0 .5 .5 .5 .5' >a.txt

# ---- detections --------------------------------------------------------------------------------

printf 'a.ppm\t0\tthing\t.5\t0\t0\t1\t1\n' >dets
status 0 'good detections' qd-map --detections dets -d set.data
# detections NAME ERE: from standard input.
detections()
{
    cat >x.dets
    try 1 "detections: $1" "x\\.dets.*$2" qd-map --detections x.dets -d set.data
}

printf 'a.ppm\t0\tthing\t.5\t0\t0\t1\n' >t
detections 'seven columns' ':1: ' <t
printf 'a.ppm\t0\tthing\thigh\t0\t0\t1\t1\n' >t
detections 'score is a word' ':1: .*high' <t
printf 'a.ppm\t0\tthing\t.5\t0\t0\t1\t1\na.ppm\t9\tthing\t.5\t0\t0\t1\t1\n' >t
detections 'class 9' ':2: .*9' <t
printf 'a.ppm\t0\tthing\tnan\t0\t0\t1\t1\n' >t
detections 'score is not a number' ':1: ' <t
printf 'a.ppm\t0\tthing\t.5\t0\t0\t-1\t1\n' >t
detections 'negative width' ':1: ' <t
for t in '[' '[{' '[{}]' '[{"image_id":1}]' '[1,2]' '[{"image_id":"x"}]' '["' '[]]' '[{"a":]}]' \
    '[{"image_id":1,"category_id":99,"bbox":[0,0,1,1],"score":.5}]' \
    '[{"image_id":1,"category_id":1,"bbox":[0,0,1],"score":0.5}]' \
    '[{"image_id":1,"category_id":1,"bbox":[0,0,1,1],"score":1e999}]'; do
    printf '%s' "$t" >json
    detections "$t" '' <json
done
awk 'BEGIN { for (i = 0; i < 50000; i++) printf "[" }' >t
detections 'fifty thousand brackets' '' <t
rm -f x.dets t json

# ---- output that must not appear, or not be replaced -------------------------------------------

echo precious >kept.cfg
try 1 'output: a file that exists' ".*'kept\\.cfg'.*exists" qd-info -c base.cfg -r 1 -o kept
ok 'it was not touched' grep -qx precious kept.cfg
rm -f kept.cfg
try 1 'output: a folder that is not there' ".*no/x\\.cfg" qd-info -c base.cfg -r 1 -o no/x
try 1 'output: damaged cfg' ".*'filters=0'" qd-info -c base.cfg -r 1 -D 0.filters=0 -o x
try 1 'standard output is full' '.*No space left' sh -c 'qd-info -c base.cfg >/dev/full'

# ---- pruning -----------------------------------------------------------------------------------

# prune NAME ERE RULE ARGUMENT...: cut.cfg; refused with status 2 or 1 (in $cut_rc)
prune()
{
    p_name=$1
    p_ere=$2
    p_rule=$3
    shift 3
    try "$cut_rc" "prune: $p_name" "$p_ere" \
        qd-prune-"$p_rule" -q -c cut.cfg -w cut.weights -o cut2 "$@"
}

{
    printf '[net]\nwidth=32\nheight=32\nchannels=3\n'
    for t in '8 2' '8 1' '8 1'; do
        printf '[convolutional]\nbatch_normalize=1\nfilters=%s\nsize=3\nstride=%s\n' \
            "${t% *}" "${t#* }"
        printf 'pad=1\nactivation=leaky\n'
    done
    printf '[shortcut]\nfrom=-3\nactivation=linear\n'
    sed -n '11,$p' base.cfg
} >cut.cfg
status 0 'a net to prune' qd-info -c cut.cfg -r 1 -o cut -f
status 0 'the net that is pruned below is good' qd-prune-slim -q -c cut.cfg -w cut.weights -o t
rm -f t.cfg t.weights
cut_rc=2
for t in 1 1.5 -.1 nan inf 1e999 '' x 50%; do
    prune "a percent of '$t'" '.*-p/--percent' slim -p "$t"
done
for t in nan -1 2 x; do
    prune "a share of '$t' that stays" '.*-k/--layer-keep' slim -k "$t"
done
for t in params=0 params=-1 macs=nan ms=x ms= time=1 =.5 '' params; do
    prune "a target of '$t'" '.*-t/--target' slim -t "$t"
done
for t in 0-99999999999999999999:.5 5-2:.5 0-3:1.1 0-3:nan 0-3 :; do
    prune "ranges of '$t'" '.*-g/--group' group -g "$t"
done
prune 'a base below 0' '.*-b/--base' slim -b -8
prune 'a least width beyond any integer' '.*-l/--min-channels' slim -l 99999999999999999999
prune 'an unknown merge' '.*-m/--merge' slim -m all
prune 'a number of blocks that is a word' '.*-n/--shortcuts' layer -n many
cut_rc=1
prune 'a target that no cut can reach' '.*parameters' slim -t params=2
prune 'a time that no machine can reach' '.*' slim -t ms=1e-9
prune 'ranges of percent 1' '.*percent' group -g 0-3:1
prune 'ranges beyond the net' '.*1000000' group -g 0-1000000:.5
prune 'more blocks than there are' '.*residual units' layer -S -n 60000
prune 'an output that is not a folder' '.*no/x' slim -M no/x
head -c 100 cut.weights >short
try 1 'prune: weights that are too short' '.*short' qd-prune-slim -c cut.cfg -w short -o cut2
try 1 'prune: weights of another net' '.*good\.weights' \
    qd-prune-slim -c cut.cfg -w good.weights -o cut2
try 1 'prune: a net without factors' '.*base\.cfg|.*channels' \
    qd-prune-slim -c base.cfg -w good.weights -o cut2
try 1 'prune: a net without blocks' '.*no layer adds' \
    qd-prune-layer -c base.cfg -w good.weights -o cut2
sed '8,$d' cut.cfg >one.cfg
qd-info -c one.cfg -r 1 -o one -f >/dev/null
try 1 'prune: a net of one layer' '.*channels' qd-prune-slim -c one.cfg -w one.weights -o cut2 -a
for t in -1 nan inf x; do
    try 2 "sparse: a strength of '$t'" '.*-s/--s' \
        qd-sparse -c cut.cfg -d set.data -o cut2 -n 1 -s "$t"
done
rm -f cut.cfg cut.weights one.cfg one.weights short

# ---- options -----------------------------------------------------------------------------------

option()
{
    o_name=$1
    o_ere=$2
    shift 2
    try 2 "option: $o_name" "$o_ere" "$@"
}

# define NAME ERE TEXT
define()
{
    try 1 "-D: $1" ".*$2" qd-info -c base.cfg -D "$3"
}

option 'none at all' '.*-c' qd-info
option 'an unknown letter' ".*'?-Z" qd-info -c base.cfg -Z
option 'an unknown word' '.*--colour' qd-info -c base.cfg --colour
option 'no argument' '.*-c' qd-info -c
option 'an operand too many' '.*extra' qd-info -c base.cfg extra
option 'a number that is a word' '.*many' qd-bench -c base.cfg -r many
option 'a number with a tail' '.*3x' qd-bench -c base.cfg -r 3x
option 'a number beyond any integer' '.*99999999999999999999' \
    qd-bench -c base.cfg -r 99999999999999999999
option 'no run' ".*'?0'?" qd-bench -c base.cfg -r 0
option 'negative threads' '.*-1' qd-bench -c base.cfg -j -1
option 'a million threads' '.*1000000' qd-bench -c base.cfg -j 1000000
option 'size 0' '.*0' qd-bench -c base.cfg -i 0
option 'half a size' '.*32x' qd-bench -c base.cfg -i 32x
option 'a size of 10^6' '.*1000000' qd-bench -c base.cfg -i 1000000x1000000
option 'a threshold that is a word' '.*high' qd-detect -c base.cfg -w good.weights -t high a.ppm
option 'a threshold of 2' '.*2' qd-detect -c base.cfg -w good.weights -t 2 a.ppm
option 'a threshold that is not a number' '.*nan' qd-detect -c base.cfg -w good.weights -t nan a.ppm
option 'an unknown format' '.*xml' qd-detect -c base.cfg -w good.weights --format xml a.ppm
option 'no picture' '.*' qd-detect -c base.cfg -w good.weights
option 'no weights' '.*-w' qd-detect -c base.cfg a.ppm
option 'unknown rules' '.*voc13' qd-map -c base.cfg -w good.weights -d set.data --rules voc13
option 'an overlap of 5' '.*5' qd-map -c base.cfg -w good.weights -d set.data --iou 5
option '12 points' '.*points' qd-map -c base.cfg -w good.weights -d set.data --points 12
option 'no data set' '.*-d' qd-map -c base.cfg -w good.weights
try 1 'a folder for pictures that is a file' '.*list' \
    qd-detect -c base.cfg -w good.weights --draw list a.ppm
try 1 'a file for detections that exists' '.*list.*exists' \
    qd-detect -c base.cfg -w good.weights -o list a.ppm
define 'no value' 'net\.width' net.width
define 'no key' 'net' net=3
define 'nothing' '' ''
define 'a section that is not there' 'lstm' lstm.output=3
define 'a layer that is not there' '99' 99.filters=8
define 'a value that is wrong' 'width' net.width=wide
try 1 'QD_CPU: an unknown level' '.*QD_CPU.*abacus' env QD_CPU=abacus qd-bench -c base.cfg -r 1

ok "at least 60 cases ($cases so far)" test $cases -ge 60
finish
