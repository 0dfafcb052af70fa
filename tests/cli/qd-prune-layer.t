# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# qd-prune-layer: residual blocks; what all commands that prune share is in qd-prune-normal.t.
. "$(dirname "$0")/../lib.sh"
. "$QD_ROOT/tests/cli/prune-net.sh"

layer()
{
    qd-prune-layer -q -f -c toy.cfg -w toy.weights "$@"
}

status 0 'one block' layer -o one -n 1
stdout_like '^# rule layer, .* blocks 1, '
consistent one
near "$(after layers)" 11 0 'three layers less'
status 0 'two' layer -o two --shortcuts 2
near "$(after layers)" 8 0 'six layers less'
consistent two
status 0 'more than there are' qd-prune-layer -c toy.cfg -w toy.weights -o all
near "$(after layers)" 5 0 'all blocks went'
stderr_like '^qd-prune-layer: warning: 5 channels or blocks that were to go stay: '
status 1 'strictly' layer -o x --strict
stderr_like '^qd-prune-layer: 3 of 3 .* not 8'
status 0 'none' layer -o none -n 0
same_bytes none.weights toy.weights
same_bytes none.cfg toy.cfg
status 0 'by the largest factor' layer -o max -n 1 --score max
status 0 'verbose' layer -o v -n 1 -v
ok 'three layers are told' test "$(grep -c 'layer removed' "$ERR")" -eq 3
status 0 'a target' layer -o goal -t macs=80%
ok 'is met' less "$(after macs)" 1405748
ok 'with few blocks' less 1 "$(after layers)"
status 0 'the masked model' layer -o small -n 1 -M masked
picture=$(head -n 1 toy/valid.txt)
for m in masked small; do
    qd-detect -q -c $m.cfg -w $m.weights -t .01 "$picture" >$m.tsv
done
same_bytes masked.tsv small.tsv 'finds the same'
sed '/^\[shortcut\]/,/^activation/d' toy.cfg >chain.cfg
status 1 'no blocks' qd-prune-layer -q -c chain.cfg -w toy.weights -o x
stderr_lines 1
status 2 'number and target' layer -o x -n 1 -t macs=80%
stderr_like 'either -n or -t'
status 2 'no percent here' layer -o x -p .5
ok 'nothing was written' test ! -e x.cfg -a ! -e x.weights
finish
