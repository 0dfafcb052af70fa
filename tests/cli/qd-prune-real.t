# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# Pretrained weights through the rules at several percents: nothing fails, and the table is what
# qd-info says of what was written.
. "$(dirname "$0")/../lib.sh"

model=$(shared models/yolo-fastest-1.1.weights) || skip_all 'no real data'
cp "$model" real.weights
cp "${model%.weights}.cfg" real.cfg

# check NAME OPTION...: prune, and compare with qd-info
check()
{
    name=$1
    shift
    status 0 "$name $*" "$name" -q -f -c real.cfg -w real.weights -o small "$@"
    grep -E '^(params|macs)' "$OUT" | cut -f 1,3 >table
    qd-info -c small.cfg -w small.weights | grep -E '^(params|macs)' >info
    same_bytes table info 'the table is what qd-info says'
    params=$(awk '/^params/ { print $2 }' table)
    macs=$(awk '/^macs/ { print $2 }' table)
    ok 'less than before' test "$params" -lt 346062 -a "$macs" -lt 125437600
}

for percent in .2 .5 .8; do
    for rule in slim shortcut normal; do
        check qd-prune-$rule -p $percent
        check qd-prune-$rule -p $percent -a
    done
    check qd-prune-regular -p $percent -a
done
for n in 1 4 8; do
    check qd-prune-layer -n $n
done
check qd-prune-layer-channel -p .5 -n 4
check qd-prune-group -g 0-55:.2,56-130:.5
finish
