# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# qd-prune-shortcut: layers of a sum; what all commands that prune share is in qd-prune-normal.t.
. "$(dirname "$0")/../lib.sh"
. "$QD_ROOT/tests/cli/prune-net.sh"

status 0 'the usual percent' qd-prune-shortcut -q -c toy.cfg -w toy.weights -o sums
stdout_like '^# rule shortcut, percent 0\.6, '
consistent sums
first=$(widths sums | cut -d ' ' -f 2)
ok 'layers of a sum are alike' test "$(widths sums | cut -d ' ' -f 4,6,8)" = "$first $first $first"
ok 'and smaller' test "$first" -lt 16
status 0 'percent 0' qd-prune-shortcut -q -c toy.cfg -w toy.weights -o none -p 0
same_bytes none.weights toy.weights
status 1 'beyond the limit, strictly' qd-prune-shortcut -c toy.cfg -w toy.weights -o x -p .97 -S
stderr_like '0\.[0-9]+'
status 0 'a target' qd-prune-shortcut -q -c toy.cfg -w toy.weights -o goal -t params=30%
ok 'is met' less "$(after trained)" 2852
finish
