# SPDX-License-Identifier: MIT
# qd-info: the layer table, totals, writing a model again.  (Errors: hostile.t; the shipped cfgs:
# qd-info-cfgs.t.)
. "$(dirname "$0")/../lib.sh"

cat >tiny.cfg <<'END'
[net]
# comments are kept
width=32
height=16
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[route]
layers=-1,-2 # of sizes that differ: set right below
END
status 1 'a fault in the graph' qd-info -c tiny.cfg
stderr_like '^qd-info: tiny\.cfg:20: .*layer 1'
sed -i 's/^layers.*/layers=-1/' tiny.cfg
status 0 'a good cfg' qd-info -c tiny.cfg
stderr_is ''
tab=$(printf '\t')
stdout_is "# layer	section	what	input	output	params	macs
0	convolutional	3x3/2 8 bn leaky	32x16x3	16x8x8	248	27648
1	maxpool	2x2/2	16x8x8	8x4x8	0	0
2	route	from -1	8x4x8	8x4x8	0	0
params	248
trained	232
macs	27648
gflops	0.000055
weights_bytes	1012" 'the table, worked out by hand'
# 3 channels x 9 taps x 8 filters = 216 weights, and 4 x 8 for bias, scale, mean and variance; of
# those mean and variance are not trained; 216 x 16 x 8 products.
cp "$OUT" table
status 0 'the cfg from standard input' qd-info -c - <tiny.cfg
same_bytes "$OUT" table
status 0 'long names' qd-info --cfg=tiny.cfg
same_bytes "$OUT" table
status 0 'an override' qd-info -c tiny.cfg -D net.width=64 --define 0.filters=4
stdout_has "0${tab}convolutional${tab}3x3/2 4 bn leaky${tab}64x16x3${tab}32x8x4"

status 0 'random parameters' qd-info -c tiny.cfg --random 7 -o a
stdout_is '' 'nothing on standard output with -o'
ok 'the weights have the size that was told' test "$(($(wc -c <a.weights)))" -eq 1012
same_bytes a.cfg tiny.cfg 'the cfg is the same, with its comments'
status 0 'the same seed again' qd-info -c tiny.cfg -r 7 -o b
same_bytes a.weights b.weights 'gives the same bytes'
status 0 'another seed' qd-info -c tiny.cfg -r 8 -o c
ok 'gives others' sh -c '! cmp -s a.weights c.weights'
for level in ref blas; do
    status 0 "the seed at level $level" env QD_CPU=$level qd-info -c tiny.cfg -r 7 -o $level
done
status 0 'one thread' env OMP_NUM_THREADS=1 qd-info -c tiny.cfg -r 7 -o one
same_bytes a.weights one.weights 'gives the same bytes'
status 0 'weights that fit' qd-info -c tiny.cfg -w a.weights
same_bytes "$OUT" table
status 0 'read and write' qd-info -c tiny.cfg -w a.weights -o d
same_bytes a.weights d.weights 'gives the same bytes'
status 0 'read and write with an override' \
    qd-info --cfg tiny.cfg --weights a.weights -D net.height=32 --output e
ok 'the cfg has it' grep -qx height=32 e.cfg
ok 'and its comments' grep -qx '# comments are kept' e.cfg
same_bytes a.weights e.weights 'the weights do not depend on the size'

status 1 'a file that exists' qd-info -c tiny.cfg -r 8 -o a
stderr_like "^qd-info: .*'a\.cfg'.*exists"
status 0 'replaced with --force' qd-info -c tiny.cfg -r 8 -o a --force
same_bytes a.weights c.weights
status 2 '-r and -w' qd-info -c tiny.cfg -r 1 -w c.weights
status 2 '-o without parameters' qd-info -c tiny.cfg -o x
ok 'nothing else was written' test "$(echo x*)" = 'x*'

status 0 'the keys of the format' qd-info --keys
ok 'each in eight columns' awk -F '\t' 'NF != 8 { print; bad = 1 } END { exit bad }' "$OUT"
stdout_like "^convolutional${tab}filters${tab}"
stdout_like "^net${tab}width${tab}"
status 0 '-v says what runs' qd-info -v -c tiny.cfg
stderr_like '^qd-info: .*(ref|blas|vector|avx)'
status 0 '--quiet' qd-info --quiet -c tiny.cfg

if m=$(shared models/yolo-fastest-1.1.weights); then
    status 0 'the pretrained model' qd-info -c "${m%.weights}.cfg" -w "$m" -o real
    same_bytes "$m" real.weights 'comes out as it went in'
    same_bytes "${m%.weights}.cfg" real.cfg 'its cfg too'
else
    skip 3 'no real data'
fi
finish
