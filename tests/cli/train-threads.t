# SPDX-License-Identifier: MIT
# The bytes of a run do not depend on how many threads compute or prepare images: 20 iterations of
# a net with depthwise convolutions, residuals, routes, pooling, upsampling and two heads, with
# mosaic, colours, input sizes that change, a batch in parts and averaged weights.
. "$(dirname "$0")/../lib.sh"

cat >net.cfg <<'END'
[net]
width=64
height=64
channels=3
batch=8
subdivisions=2
learning_rate=0.002
burn_in=5
momentum=.9
decay=.0005
max_batches=20
mosaic=1
saturation=1.5
exposure=1.5
hue=.1
resize_step=16

[convolutional]
filters=8
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
groups=8
filters=8
size=3
pad=1
batch_normalize=1
activation=mish

[convolutional]
filters=8
size=1
batch_normalize=1
activation=linear

[shortcut]
from=-3
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=18
size=3
pad=1
batch_normalize=1
activation=swish

[maxpool]
size=2
stride=2

[convolutional]
filters=20
size=3
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=16
size=1
activation=linear

[yolo]
mask=1,2
anchors=10,10, 18,24, 36,30
classes=3
num=3

[route]
layers=-3

[upsample]
stride=2

[route]
layers=-1,4

[convolutional]
filters=8
size=1
activation=linear

[yolo]
mask=0
anchors=10,10, 18,24, 36,30
classes=3
num=3
jitter=.2
random=1.5
END
status 0 'a set' qd-toy detect -o toy -n 30 -e 4 -i 96 -C 3

# train PREFIX OPTION...
train()
{
    prefix=$1
    shift
    qd-train -q -c net.cfg -d toy/toy.data -o "$prefix" -E 10 -M .9 "$@"
}

# same_run A B
same_run()
{
    for f in .weights _last.weights _best.weights _ema.weights .state; do
        same_bytes "$1$f" "$2$f"
    done
    ok 'the same losses' sh -c "for p in $1 $2; do cut -f 1-10,12 \$p.log >\$p.cut; done
        cmp $1.cut $2.cut"
}

status 0 'one thread' train a -j 1 -W 0
ok '20 iterations' test "$(grep -vc '^#' a.log)" -eq 20
ok 'something is learnt' awk -F '\t' '$1 == 1 { a = $9 } $1 == 20 { exit !($9 < a) }' a.log
status 0 'another seed' train z -j 1 -S 2
ok 'other bytes' sh -c '! cmp -s a.weights z.weights'
for j in 2 3 5; do
    status 0 "$j threads" train b$j -j $j
    same_run a b$j
done
status 0 'more workers than images in a part' train c -j 2 -W 7
same_run a c
status 0 'decoded images kept' train d -j 2 -C 10
same_run a d
for loss in exact ultralytics; do
    status 0 "$loss, one thread" train e -f -j 1 -l $loss -O nesterov
    status 0 "$loss, three" train f -f -j 3 -l $loss -O nesterov
    same_run e f
done
QD_CPU=ref
export QD_CPU
status 0 'plain C, one thread' train g -j 1 -i 32 -n 6
status 0 'plain C, three' train h -j 3 -i 32 -n 6
same_run g h
finish
