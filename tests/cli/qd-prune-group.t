# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# qd-prune-group: ranges of layers; what all commands that prune share is in qd-prune-normal.t.
. "$(dirname "$0")/../lib.sh"
. "$QD_ROOT/tests/cli/prune-net.sh"

group()
{
    qd-prune-group -q -f -c toy.cfg -w toy.weights "$@"
}

status 0 'the last layers only' group -o back -g 11:.5 -k .1
stdout_like '^# rule group, '
consistent back
ok 'others stay' test "$(widths back | cut -d ' ' -f 1-8)" = '8 16 8 16 8 16 8 16'
near "$(widths back | cut -d ' ' -f 9)" 11 0 'number 12 of 24 goes, too'
status 0 'two ranges' group -o two --group 0-1:.3,2-13:.6 -k .1
consistent two
ok 'are less' test "$(wc -c <two.weights)" -lt "$(wc -c <back.weights)"
status 0 'with a least share' group -o kept -g 0-13:.9 -k .5
# shellcheck disable=SC2046 # a word a layer
ok 'which stays' sh -c 'for n; do [ "$n" -ge 4 ] || exit 1; done' - $(widths kept)
status 0 'another merge' group -o merged -g 0-13:.6 -m least
status 0 'nothing' group -o none -g 0-13:0
same_bytes none.weights toy.weights
status 2 'no ranges' group -o x
stderr_like 'no -g/--group A-B:P,... given'
for g in 3 3: :.5 3-:.5 5-3:.5 -3:.5 3-5:2 3-5:-1 3-5:x '3-5:.5,' ,3:.5 '3 5:.5' 0-2:.5,2-3:.1; do
    status 2 "ranges '$g'" group -o x -g "$g"
    stderr_like '^qd-prune-group: option -g/--group: '
done
status 1 'layers that are not there' group -o x -g 0-99:.5
stderr_like '99'
status 2 'no percent here' group -o x -g 0-3:.5 -p .5
ok 'nothing was written' test ! -e x.cfg -a ! -e x.weights
finish
