# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# qd-prune-regular: widths; what all commands that prune share is in qd-prune-normal.t.
. "$(dirname "$0")/../lib.sh"
. "$QD_ROOT/tests/cli/prune-net.sh"

status 0 'the usual base' qd-prune-regular -q -c toy.cfg -w toy.weights -o eight -p .6
stdout_like '^# rule regular, percent 0\.6, '
consistent eight
# shellcheck disable=SC2046 # a word a layer
ok 'multiples of 8' sh -c 'for n; do [ $((n % 8)) -eq 0 ] || exit 1; done' - $(widths eight)
ok 'something went' test "$(widths eight)" != "$(widths toy)"
status 0 'base 4' qd-prune-regular -q -c toy.cfg -w toy.weights -o four --percent .6 --base 4
# shellcheck disable=SC2046 # a word a layer
ok 'multiples of 4' sh -c 'for n; do [ $((n % 4)) -eq 0 ] || exit 1; done' - $(widths four)
ok 'which is less' test "$(wc -c <four.weights)" -lt "$(wc -c <eight.weights)"
status 0 'a base above all widths' qd-prune-regular -q -c toy.cfg -w toy.weights -o same -b 64
same_bytes same.cfg toy.cfg 'nothing changes'
same_bytes same.weights toy.weights
status 0 'a target' qd-prune-regular -q -c toy.cfg -w toy.weights -o goal -t macs=95%
ok 'is met' less "$(after macs)" 1669326
# shellcheck disable=SC2046 # a word a layer
ok 'in multiples of 8' sh -c 'for n; do [ $((n % 8)) -eq 0 ] || exit 1; done' - $(widths goal)
status 2 'base 0' qd-prune-regular -c toy.cfg -w toy.weights -o x -b 0
finish
