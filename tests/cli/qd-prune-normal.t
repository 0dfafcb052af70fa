# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# qd-prune-normal, and what all commands that prune have in common: files, table, messages, misuse.
. "$(dirname "$0")/../lib.sh"
. "$QD_ROOT/tests/cli/prune-net.sh"

prune()
{
    qd-prune-normal -c toy.cfg -w toy.weights "$@"
}

# ---- files and table ----

status 0 'the usual percent' prune -o half
stderr_like '^qd-prune-normal: warning: the factors have not separated: 0\.0 % .* qd-sparse'
stderr_lines 1
stdout_like '^# rule normal, percent 0\.5, threshold [0-9.]+, limit 0\.[0-9]+, blocks 0, difference [0-9.e-]+$'
stdout_has "# metric${tab}before${tab}after"
ok 'the table, in this order' test "$(grep -v '^#' "$OUT" | cut -f 1 | tr '\n' ' ')" = \
    'layers params trained macs weights_bytes '
ok 'three columns' sh -c "! grep -v '^#' '$OUT' | grep -vE '^[a-z_]+${tab}[0-9]+${tab}[0-9]+\$'"
consistent half
ok 'fewer parameters' less "$(after params)" "$(before params)"
ok 'and operations' less "$(after macs)" "$(before macs)"
ok 'the length of the file' test "$(wc -c <half.weights)" -eq "$(after weights_bytes)"
ok 'channels of sums stay' test "$(widths half | cut -d ' ' -f 2,4,6,8)" = '16 16 16 16'
ok 'comments stay' grep -q '# a comment stays' half.cfg
status 0 'percent 0' prune -p 0 -o none -q
same_bytes none.cfg toy.cfg
same_bytes none.weights toy.weights
stderr_is ''
ok 'nothing else was written' test "$(echo none.* half.*)" = \
    'none.cfg none.weights half.cfg half.weights'

status 1 'files that exist' prune -o half -p .1
stderr_is "qd-prune-normal: 'half.cfg' exists already (use -f to replace it)"
stdout_is ''
rm none.cfg
status 1 'one of them' prune -o none
stderr_like "'none\.weights' exists"
ok 'neither was written' test ! -e none.cfg
status 0 'replaced' prune -o half -p .1 -q --force
consistent half
status 0 'the same again' prune -o again -p .1 -q
same_bytes again.cfg half.cfg
same_bytes again.weights half.weights
status 0 'one thread' prune -o one -p .1 -q --threads 1
same_bytes one.weights half.weights 'the same bytes'
status 1 'no such folder' prune -o no/where
stderr_like "'no/where\.cfg': No such file"
mkdir full.weights
status 1 'a folder in the way' prune -o full -f
ok 'both or none' test ! -e full.cfg
if [ "$(id -u)" -ne 0 ]; then
    mkdir closed && chmod 500 closed
    status 1 'a closed folder' prune -o closed/x
    ok 'nothing in it' sh -c '[ -z "$(ls -A closed)" ]'
else
    skip 2 'root writes everywhere'
fi
status 1 'no space for the table' sh -c 'qd-prune-normal -q -c toy.cfg -w toy.weights -o s >/dev/full'

# ---- how much ----

status 0 'more' prune --percent .7 -o more -q
ok 'is less' test "$(wc -c <more.weights)" -lt "$(wc -c <half.weights)"
for goal in params=60% params=.6 params=5702 params=5.702k; do
    status 0 "target $goal" prune -t $goal -o goal -q -f
    ok 'is met' less "$(after trained)" 5703
    ok 'and not by far' less 5200 "$(after trained)"
    consistent goal
done
status 0 'a target of operations' prune --target macs=1.2M -o goal -q -f
ok 'is met' less "$(after macs)" 1200001
status 0 'a target of time' prune -t ms=1G -o goal -q -f
same_bytes goal.weights toy.weights 'that is met'
status 1 'a target out of reach' prune -t params=10 -o never
stderr_like '^qd-prune-normal: the goal of 10 parameters cannot be reached, the least is [0-9.e+]+$'
ok 'nothing was written' test ! -e never.cfg -a ! -e never.weights
status 1 'beyond the limit, strictly' prune -p .95 --strict -o never
stderr_like 'limit|0\.[0-9]+'
stderr_lines 1
ok 'nothing was written' test ! -e never.cfg -a ! -e never.weights
status 0 'beyond the limit' prune -p .95 -o beyond
stderr_like '^qd-prune-normal: warning: percent 0\.95 is beyond 0\.[0-9]+, the most that leaves'
stderr_like '^qd-prune-normal: warning: [0-9]+ layers keep more'
consistent beyond
# A net whose factors are all 1.
qd-train -q -c toy.cfg -d toy/toy.data -o fresh -E 0 -n 1 -D net.learning_rate=0 >/dev/null
status 0 'equal factors' qd-prune-slim -c toy.cfg -w fresh.weights -o equal
stderr_like '^qd-prune-slim: warning: the factors have not separated at all: .* qd-sparse'
stderr_lines 1 'one warning says all'
status 0 'at least four' prune -p .95 -l 4 -o four -q
# shellcheck disable=SC2046 # a word a layer
ok 'of everything' sh -c 'for n; do [ "$n" -ge 4 ] || exit 1; done' - $(widths four)
status 0 'the same by name' prune -p .95 --min-channels 4 -o four -q -f
status 0 'multiples' prune -p .5 --base 4 -o base -q
# shellcheck disable=SC2046 # a word a layer
ok 'of everything' sh -c 'for n; do [ $((n % 4)) -eq 0 ] || exit 1; done' - $(widths base)

sed 's/^\[shortcut\]/[upsample]\nstride=1\n&/; s/from=-3/from=-4/' toy.cfg >tall.cfg
status 0 'pyramids stay' qd-prune-normal -q -c tall.cfg -w toy.weights -o up -p .5
status 0 'unless all may go' qd-prune-normal -q -c tall.cfg -w toy.weights -o up-all -p .5 --all
ok 'which is more' test "$(wc -c <up-all.weights)" -lt "$(wc -c <up.weights)"

# ---- the masked model, size, overrides ----

status 0 'the masked model' prune -o small -q --masked masked
ok 'as large as before' test "$(wc -c <masked.weights)" -eq "$(wc -c <toy.weights)"
same_bytes masked.cfg toy.cfg
picture=$(head -n 1 toy/valid.txt 2>/dev/null || find toy -name '*.jpg' | head -n 1)
for m in masked small; do
    qd-detect -q -c $m.cfg -w $m.weights -t .01 "$picture" >$m.tsv
done
ok 'something is found' test -s small.tsv
same_bytes masked.tsv small.tsv 'the same is found'
status 0 'operations at another size' prune -o big -q --img-size 128
near "$(before macs)" 7028736 0 'four times as many'
ok 'the cfg is as before' grep -q '^width=64$' big.cfg
status 0 'an override' prune -o over -q -D net.width=96
ok 'is written' grep -q '^width=96$' over.cfg
status 0 'verbose' prune -o v -v
stderr_has 'layer 0, [convolutional]: 8 channels before, '
stderr_has 'layer 12, [convolutional]: 24 channels before, 24 after'

# ---- with a data set ----

status 0 'on a data set' prune -o scored -q -d toy/toy.data -p .2
ok 'the table goes on' test "$(grep -v '^#' "$OUT" | cut -f 1 | tail -n 3 | tr '\n' ' ')" = \
    'mAP ms peak_bytes '
ok 'less memory' less "$(after peak_bytes)" "$(before peak_bytes)"
ok 'it takes time' less 0 "$(after ms)"
near "$(before mAP)" "$(qd-map -q -c toy.cfg -w toy.weights -d toy/toy.data |
    sed -n "s/^mAP$tab//p")" 0 'the score of qd-map before'
near "$(after mAP)" "$(qd-map -q -c scored.cfg -w scored.weights -d toy/toy.data |
    sed -n "s/^mAP$tab//p")" 0 'and after'
status 0 'other rules, another size' prune -o voc -q --data toy/toy.data --rules voc12 -i 96
near "$(after mAP)" "$(qd-map -q -r voc12 -i 96 -c voc.cfg -w voc.weights -d toy/toy.data |
    sed -n "s/^mAP$tab//p")" 0 'their score'
sed 's/classes=3/classes=4/' toy/toy.data >toy/other.data
status 1 'another set of classes' prune -o never -d toy/other.data
stderr_like 'class'
ok 'nothing was written' test ! -e never.cfg -a ! -e never.weights
status 1 'no data set' prune -o never -d none.data
label=$(find toy -name '*.txt' -path '*val*' | grep -v 'valid\.txt$' | head -n 1)
if [ -n "$label" ]; then
    cp "$label" kept
    echo '9 .5 .5 .1 .1' >>"$label"
    status 1 'a bad label' prune -o never -q -d toy/toy.data
    ok 'nothing was written' test ! -e never.cfg -a ! -e never.weights
    status 0 'a bad label, dropped' prune -o dropped -q -d toy/toy.data --bad-labels drop
    cp kept "$label"
else
    diag 'no label file'
    ok 'there is a label file' false
fi

cat >class.cfg <<'END'
[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
pad=1
activation=leaky
[convolutional]
filters=3
size=1
activation=linear
[avgpool]
[softmax]
END
status 0 'a set for classifiers' qd-toy classify -o shapes -n 10 -e 6 -i 32 -C 3
status 0 'a classifier' qd-train -q -n 4 -b 4 -s 1 -c class.cfg -d shapes/shapes.data -o class
status 0 'is pruned' qd-prune-normal -q -c class.cfg -w class.weights -o classless -p .3 \
    -d shapes/shapes.data
ok 'and scored' less -1 "$(after top1)"
near "$(after top1)" "$(qd-classify -q -c classless.cfg -w classless.weights -d shapes/shapes.data |
    sed -n "s/^top1$tab//p")" 0 'as qd-classify does'

# ---- what cannot be ----

cp toy.weights nan.weights
printf '\000\000\300\177' | dd of=nan.weights bs=1 seek=20 conv=notrunc 2>/dev/null
status 1 'a model that computes no numbers' qd-prune-normal -c toy.cfg -w nan.weights -o never -q
stderr_lines 1
ok 'is not written' test ! -e never.cfg -a ! -e never.weights
sed 's/^batch_normalize=1//' toy.cfg >plain.cfg
qd-info -c plain.cfg -r 1 -o plain -f
status 1 'no batch normalization' qd-prune-normal -c plain.cfg -w plain.weights -o never
stderr_like 'no layer'
stderr_lines 1

# ---- misuse ----

status 2 'no files' qd-prune-normal -o x
status 2 'no weights' qd-prune-normal -c toy.cfg -o x
status 2 'no output' qd-prune-normal -c toy.cfg -w toy.weights
stderr_like 'no -o/--output PREFIX given'
status 2 'all' prune -o x -p 1
stderr_like 'below 1'
status 2 'percent of 100' prune -o x -p 80
status 2 'percent and target' prune -o x -p .5 -t params=50%
stderr_like 'either -p or -t'
for t in params params= params=0 params=-4 params=x 'macs=50x' ms=101% flops=4 =4; do
    status 2 "target '$t'" prune -o x -t "$t"
    stderr_like 'params=X, macs=X or ms=X'
done
status 2 'the same prefix twice' prune -o x -M x
status 2 'rules without a set' prune -o x -r coco
status 2 'an operand' prune -o x y
status 2 'no such option here' prune -o x --shortcuts 4
ok 'nothing was written' test ! -e x.cfg -a ! -e x.weights
finish
