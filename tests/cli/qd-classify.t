# SPDX-License-Identifier: MIT
# qd-classify: classes of pictures, scores of a set, what is refused.
. "$(dirname "$0")/../lib.sh"

cat >net.cfg <<'END'
[net]
width=24
height=24
channels=3
batch=16
learning_rate=0.1
max_batches=200
policy=cos
min_crop=24
max_crop=24

[convolutional]
filters=12
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=16
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=24
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[avgpool]

[convolutional]
filters=3
size=1
activation=linear

[softmax]
END
status 0 'a set' qd-toy classify -o set -n 150 -e 30 -i 32 -C 3 -L easy -s 3
# what it learned is what is scored: so few pictures teach nothing about others
sed 's/valid\.txt/train.txt/' set/set.data >same.data
status 0 'it is learned' qd-train -q -c net.cfg -d set/set.data -o run -E 0 -N .9
ok 'the loss falls' awk -F '\t' '$1 == 1 { a = $9 } $1 == 200 { exit !($9 < a / 2) }' run.log
status 0 'score' qd-classify -q -c run.cfg -w run.weights -d same.data
stdout_lines 3
stdout_has '# pictures 120'
top1=$(awk '$1 == "top1" { print $2 }' "$OUT")
ok "top 1 of $top1 is far above chance" awk -v t="$top1" 'BEGIN { exit !(t > .8) }'
stdout_has 'top5	1.000000' 'one of five of three'

status 0 'every picture' qd-classify -q -c run.cfg -w run.weights -N set/set.names -k 1 \
    set/train/*/*.jpg
stdout_lines 120
right=$(awk -F '\t' 'index($1, "/" $3 "/") { n++ } END { printf "%.6f", n / NR }' "$OUT")
ok 'right as often as the score says' test "$right" = "$top1"
first=$(find set/valid -name '*.jpg' | sort | head -n 1)
status 0 'all classes' qd-classify -c run.cfg -w run.weights -d set/set.data "$first"
stdout_lines 3 'of three classes'
ok 'probabilities add up and descend' awk -F '\t' '{ s += $4; if (NR > 1 && $4 > p) exit 1; p = $4 }
    END { exit !(s > .99999 && s < 1.00001) }' "$OUT"
status 0 'without names' qd-classify -c run.cfg -w run.weights -k 1 "$first"
stdout_like '	[0-2]	-	0[.][0-9]+$'

# Training scores with the same rule.
status 0 'scores while it is trained' qd-train -q -c net.cfg -d same.data -o run2 -E 200 -N .9
ok 'the same score' test "$(tail -n 1 run2.log | cut -f 12)" = "$top1"

# A gray net, another size, parts of the set.
status 0 'gray' qd-train -q -c net.cfg -d set/set.data -o gray -n 2 -D net.channels=1
status 0 'gray pictures' qd-classify -q -c gray.cfg -w gray.weights -k 1 "$first"

status 1 'no such picture, but the others' qd-classify -c run.cfg -w run.weights -k 1 no.jpg "$first"
stdout_lines 1
stderr_like "qd-classify: cannot open 'no.jpg'"
status 2 'nothing to do' qd-classify -c run.cfg -w run.weights
sed 's/filters=3$/filters=4/' net.cfg >four.cfg
status 1 'another number of classes' qd-train -q -c four.cfg -d set/set.data -o four
stderr_has 'classes'
status 1 'a detector' qd-classify -c "$QD_ROOT/cfg/yolov3-tiny.cfg" -w run.weights "$first"
finish
