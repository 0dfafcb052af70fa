# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# qd-prune-slim: least shares and merges; what all commands that prune share is in
# qd-prune-normal.t.
. "$(dirname "$0")/../lib.sh"
. "$QD_ROOT/tests/cli/prune-net.sh"

slim()
{
    qd-prune-slim -q -f -c toy.cfg -w toy.weights "$@"
}

status 0 'the usual percent' slim -o usual
stdout_like '^# rule slim, percent 0\.8, '
consistent usual
status 0 'percent 0' slim -o none -p 0
same_bytes none.weights toy.weights
status 0 'half of every layer' slim -o half -p .9 --layer-keep .5
# shellcheck disable=SC2046 # a word a layer
ok 'stays' sh -c 'for n; do [ "$n" -ge 4 ] || exit 1; done' - $(widths half)
ok 'of wide ones too' test "$(widths half | cut -d ' ' -f 9)" -ge 12
status 0 'the same in the other spelling' slim -o same -p .9 --LAYER_KEEP=.5
same_bytes same.weights half.weights
for m in union majority root least; do
    status 0 "merge $m" slim -o $m -p .6 --merge $m
    consistent $m
    first=$(widths $m | cut -d ' ' -f 2)
    ok 'layers of a sum are alike'         test "$(widths $m | cut -d ' ' -f 4,6,8)" = "$first $first $first"
done
ok 'the union keeps most' test "$(widths union | cut -d ' ' -f 2)" -gt     "$(widths least | cut -d ' ' -f 2)"
status 0 'a target' slim -o goal -t params=30% -m least
ok 'is met' less "$(after trained)" 2852
status 2 'no such merge' slim -o x -m and
finish
