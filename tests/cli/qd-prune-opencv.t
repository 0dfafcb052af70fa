# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# What the commands that prune write runs in OpenCV's darknet importer and finds the same there: a
# small residual net by every rule, and the pretrained model.
. "$(dirname "$0")/../lib.sh"

python=python3
$python -c 'import cv2' 2>/dev/null || python=/usr/bin/python3
$python -c 'import cv2' 2>/dev/null || skip_all 'no OpenCV for python3'
. "$QD_ROOT/tests/cli/prune-net.sh"

# OpenCV leaves out boxes up to a score of .2.
# compare NAME PICTURE THRESH LEAST: at least that many boxes, and the same
compare()
{
    qd-detect -q -c "$1.cfg" -w "$1.weights" -n 1 -t "$3" "$2" >found.tsv
    status 0 "$1: OpenCV finds as many" $python "$QD_ROOT/tests/cli/opencv.py" "$1.cfg" \
        "$1.weights" "$2" found.tsv "$3"
    ok "$1: the same" awk -v n="$4" '$1 >= n && $2 < .005 && $3 < .5 { fine++ }
        END { exit fine != 1 }' "$OUT"
    diag "$(cat "$OUT")"
}

status 0 'training' qd-train -q -c toy.cfg -d toy/toy.data -o toy -f -n 400 -E 0
qd-toy detect -p -o plain -n 2 -e 1 -i 64 -C 3 -s 9 >/dev/null
picture=$(head -n 1 plain/valid.txt)
compare toy "$picture" .2001 1
for rule in 'normal -p .1' 'regular -p .3' 'shortcut -p .1' 'slim -p .1' 'group -g 0-13:.1 -k .2'     'layer -n 1' 'layer-channel -p .1 -n 1'; do
    name=${rule%% *}
    # shellcheck disable=SC2086
    status 0 "$rule" qd-prune-$rule -q -c toy.cfg -w toy.weights -o "$name"
    compare "$name" "$picture" .2001 1
done

if model=$(shared models/yolo-fastest-1.1.weights); then
    $python -c 'import cv2, sys
img = cv2.imread(sys.argv[1])
cv2.imwrite("dog.png", cv2.resize(img, (320, 320)))' "$(shared models/dog.jpg)"
    for rule in 'normal -a -p .1' 'slim -p .2' 'layer -n 3'; do
        name=real-${rule%% *}
        # shellcheck disable=SC2086
        status 0 "real $rule" qd-prune-$rule -q -c "${model%.weights}.cfg" -w "$model" -o "$name"
        compare "$name" dog.png .2001 1
    done
else
    skip 9 'no real data'
fi
finish
