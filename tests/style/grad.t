# SPDX-License-Identifier: MIT
# Every layer type that computes something can be trained, and every one that has a backward, or
# whose gradient a loss writes, is in some net of tests/grad.
. "$(dirname "$0")/../lib.sh"

# Of each table in lib/net/layer: its section and which members it has.
cat "$QD_ROOT"/lib/net/layer/*.c | awk '
    /^const struct qd_layer_type / { section = has = "" }
    /^    \.section = / { split($0, part, "\""); section = part[2] }
    /^    \.(forward|backward|head) = / { has = has " " substr($1, 2) }
    /^};/ { if (section != "" && has != "") print section has; section = "" }' | sort -u >types
ok 'the types are found' test "$(wc -l <types)" -ge 20
grep ' forward' types | grep -v ' backward' >bad
ok 'each that runs can be trained' sh -c 'cat bad; [ ! -s bad ]'
while read -r section rest; do
    grep -qFx "[$section]" "$QD_ROOT"/tests/grad/*.cfg || echo "$section ($rest)"
done <types >bad
ok 'each is in a net of tests/grad' sh -c 'cat bad; [ ! -s bad ]'
finish
