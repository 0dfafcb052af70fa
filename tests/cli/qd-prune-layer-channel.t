# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# qd-prune-layer-channel: channels, then blocks; what all commands that prune share is in
# qd-prune-normal.t.
. "$(dirname "$0")/../lib.sh"
. "$QD_ROOT/tests/cli/prune-net.sh"

both()
{
    qd-prune-layer-channel -q -f -c toy.cfg -w toy.weights "$@"
}

status 0 'channels and a block' both -o both -p .4 -n 1
stdout_like '^# rule layer-channel, percent 0\.4, .* blocks 1, '
consistent both
near "$(after layers)" 11 0 'three layers less'
status 0 'the first step' qd-prune-slim -q -c toy.cfg -w toy.weights -o first -p .4
ok 'is larger' test "$(wc -c <first.weights)" -gt "$(wc -c <both.weights)"
status 0 'the second' qd-prune-layer -q -c first.cfg -w first.weights -o second -n 1
same_bytes second.cfg both.cfg 'one after the other gives the same'
same_bytes second.weights both.weights
status 0 'the least share, another merge and score' both -o kept -p .9 -n 1 -k .5 -m root -s max
status 0 'a target' both -o goal -n 1 -t params=30%
ok 'is met' less "$(after trained)" 2852
near "$(after layers)" 11 0 'the number of blocks is as given'
status 0 'nothing' both -o none -p 0 -n 0
same_bytes none.weights toy.weights
finish
