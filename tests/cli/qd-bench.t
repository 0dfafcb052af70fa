# SPDX-License-Identifier: MIT
# qd-bench: what it prints.  How fast is a matter of 'make bench'.
. "$(dirname "$0")/../lib.sh"

cat >tiny.cfg <<'END'
[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=leaky
[maxpool]
size=2
stride=2
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
tab=$(printf '\t')

# value KEY: the number behind it in the last output.
value()
{
    awk -F '\t' -v k="$1" '$1 == k { print $2 }' "$OUT"
}

# positive KEY...
positive()
{
    for k; do
        ok "$k is a positive number" sh -c "echo '$(value "$k")' | grep -Ex '[0-9]+(\.[0-9]+)?' |
            grep -q '[1-9]'"
    done
}

status 0 'random weights' qd-bench -c tiny.cfg -r 3
stderr_is ''
stdout_lines 5
positive ms ms_min images_per_s gflops_per_s peak_bytes
ok 'the least is not more than the median' \
    awk -v a="$(value ms_min)" -v b="$(value ms)" 'BEGIN { exit !(a <= b) }'
near "$(awk -v ms="$(value ms)" -v r="$(value images_per_s)" 'BEGIN { print ms * r }')" 1000 20 \
    'the rate is that of the median'

status 0 'time of layers' qd-bench --cfg tiny.cfg --runs 2 --layers
ok 'a line a layer' test "$(grep -c "^layer$tab" "$OUT")" -eq 4
stdout_like "^layer${tab}0${tab}convolutional${tab}3x3 16 bn leaky${tab}[0-9.]+${tab}[0-9.]+$"
status 0 'a batch' qd-bench -c tiny.cfg -r 2 --batch-size 4
near "$(awk -v ms="$(value ms)" -v r="$(value images_per_s)" 'BEGIN { print ms * r }')" 4000 80 \
    'images count, not passes'
status 0 'another size' qd-bench -c tiny.cfg -r 2 --img-size 64x32 --threads 1
status 0 'an override' qd-bench -c tiny.cfg -r 2 -D net.width=64
for level in ref blas; do
    status 0 "level $level" env QD_CPU=$level qd-bench -c tiny.cfg -r 2 -v
    stderr_has $level "-v tells it"
done
status 0 'weights to read' qd-info -c tiny.cfg -r 1 -o w
status 0 'given weights' qd-bench -c tiny.cfg --weights w.weights -r 2
# ---- training ----

status 0 'training steps' qd-bench -c tiny.cfg --train -r 3
stderr_is ''
stdout_lines 6
positive ms ms_min images_per_s gflops_per_s computed_bytes peak_bytes
ok 'the least is not more than the median' \
    awk -v a="$(value ms_min)" -v b="$(value ms)" 'BEGIN { exit !(a <= b) }'
# 2 a multiply-add, of which there are 16x27 of 32x32 pixels, 18x16 of 16x16, three times
near "$(awk -v ms="$(value ms)" -v g="$(value gflops_per_s)" 'BEGIN { print ms * g }')" 3.097 .1 \
    'operations of a step are three times those forward'
one=$(value computed_bytes)
status 0 'steps of a batch, times of layers' qd-bench -c tiny.cfg -t -r 2 -b 8 -l
near "$(awk -v ms="$(value ms)" -v r="$(value images_per_s)" 'BEGIN { print ms * r }')" 8000 160 \
    'images count, not steps'
ok 'a line a layer' test "$(grep -c "^layer$tab" "$OUT")" -eq 4
stdout_like "^layer${tab}0${tab}convolutional${tab}3x3 16 bn leaky(${tab}[0-9]+\.[0-9]+){3}$"
ok 'a larger batch needs more memory' test "$(value computed_bytes)" -gt "$one"
status 0 'another size, one thread' qd-bench -c tiny.cfg -t -r 1 -i 64x32 -j 1
for level in ref blas vector; do
    status 0 "training at level $level" env QD_CPU=$level qd-bench -c tiny.cfg -t -r 1
done
for o in net.adam=1 net.momentum=0 yolo.iou_loss=ciou; do
    status 0 "training with $o" qd-bench -c tiny.cfg -t -r 1 -D $o
done

cat >class.cfg <<'END'
[net]
width=8
height=8
channels=3
[convolutional]
filters=5
size=3
activation=leaky
[avgpool]
[softmax]
END
status 0 'a classifier' qd-bench -c class.cfg -t -r 2 -b 3
positive ms computed_bytes
sed 's/\[avgpool\]//' class.cfg >segment.cfg
status 0 'a class in every pixel' qd-bench -c segment.cfg -t -r 1
sed 's/softmax/logistic/' class.cfg >logistic.cfg
status 0 'another head' qd-bench -c logistic.cfg -t -r 1
sed '/softmax/d' class.cfg >headless.cfg
status 1 'nothing to learn' qd-bench -c headless.cfg -t -r 1
stderr_has 'nothing to learn'
stderr_lines 1
status 1 'all is frozen' qd-bench -c class.cfg -t -D 2.stopbackward=1
stderr_lines 1
status 1 'more than there is memory for' qd-bench -c tiny.cfg -t -b 4096 -i 2048
stderr_like ' a pass of 4096 images needs [0-9.]+ GB of memory, there are [0-9.]+: take fewer'
stderr_lines 1

# A signal ends it, and what is half measured is not printed.
qd-bench -c tiny.cfg -t -r 1000000 >half.out 2>half.err &
pid=$!
sleep 1
kill -TERM $pid
code=0
wait $pid || code=$?
ok 'ended by the signal' test $code -eq 143
ok 'and printed nothing' test ! -s half.out -a ! -s half.err

status 1 'a size that the net cannot have' qd-bench -c tiny.cfg -i 2 -D 0.pad=0 -r 1
stderr_lines 1
finish
