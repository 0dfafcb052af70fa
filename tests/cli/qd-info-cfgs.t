# SPDX-License-Identifier: MIT
#
# The shipped architectures are those of the published weights: the number of values in the file,
# and the billions of operations (two a multiply-add) that their authors print at the same input
# size.  A wrong width, route or group changes one or the other.
. "$(dirname "$0")/../lib.sh"

# name, layers, values, operations / 1e9
table()
{
    cat <<EOF
yolov2 32 50983561 29.46
yolov2-voc 32 50676061 29.36
yolov2-tiny 16 11237145 5.41
yolov2-tiny-voc 16 15867885 6.97
yolov3 107 62001757 65.86
yolov3-voc 107 61678657 65.43
yolov3-spp 114 63052381 141.45
yolov3-quarter 107 3981397 4.29
yolov3-tiny 24 8858734 5.56
yolov4 162 64429405 128.39
yolov4-tiny 38 6062814 6.91
yolov4-tiny-3l 45 6334045 17.74
yolov4-csp 175 52986205 76.95
yolov4x-mish 203 99847037 221.88
darknet19 26 20856776 7.29
darknet53 78 41645640 18.57
resnet18 29 11523496 4.69
resnet34 53 21639080 9.52
resnet50 69 22825896 9.74
cifar-resnet 16 1944298 0.143
efficientnet_b0 136 4890040 0.915
enet-coco 146 4808270 3.73
yolo-toy 23 592800 0.152
yolov3-mobilenet 97 24251333 18.04
yolov3-tiny-mobilenet-small 61 3056774 1.594
EOF
}

# Values that are trained, without running means and variances (compression.md 6.2).
trained()
{
    cat <<EOF
yolov3 61949149
yolov3-spp 62998749
yolov3-tiny 8852366
yolov4 64363101
yolov4-tiny 6056606
enet-coco 4770414
yolov3-mobilenet 24209877
yolov3-tiny-mobilenet-small 3041430
EOF
}

field()
{
    awk -F '\t' -v k="$1" '$1 == k { print $2 }' "$OUT"
}

plan $((6 * 25 + 16 + 3))
table >list
while read -r name layers values gflops; do
    status 0 "$name: builds" qd-info -c "$QD_ROOT/cfg/$name.cfg"
    stderr_is '' "$name: without a warning"
    ok "$name: $layers layers" test "$(awk -F '\t' '$1 ~ /^[0-9]+$/' "$OUT" | wc -l)" -eq "$layers"
    ok "$name: $values values" test "$(field params)" = "$values"
    ok "$name: four bytes a value and a header" test "$(field weights_bytes)" = $((4 * values + 20))
    # 1 % is more than the additions of shortcuts and scales, whichever way they are counted.
    near "$(field gflops)" "$gflops" "$(awk -v g="$gflops" 'BEGIN { print g / 100 }')" \
        "$name: $gflops billion operations"
done <list

trained >list
while read -r name values; do
    status 0 "$name: builds" qd-info -c "$QD_ROOT/cfg/$name.cfg"
    ok "$name: $values trained" test "$(field trained)" = "$values"
done <list

(cd "$QD_ROOT/cfg" && ls ./*.cfg) | sed 's,^\./,,; s,\.cfg$,,' | sort >there
table | cut -d ' ' -f 1 | sort >known
same_bytes known there 'the table has every file in cfg/'
if command -v python3 >/dev/null; then
    ok 'cfg/ is what scripts/mkcfg writes' "$QD_ROOT/scripts/mkcfg" --check
    mkdir other
    for f in "$QD_ROOT"/cfg/*.cfg; do
        sed 's/^filters=64$/filters=65/' "$f" >"other/$(basename "$f")"
    done
    status 1 'a changed file is noticed' "$QD_ROOT/scripts/mkcfg" --check -o other
else
    skip 2 'python3 is not installed'
fi
finish
