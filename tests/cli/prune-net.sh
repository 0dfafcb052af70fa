# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# For the tests of qd-prune-*: a residual net, toy.cfg and toy.weights, that was trained so little
# that its factors differ, its data set toy/toy.data, and what reads tables.

conv()
{
    printf '[convolutional]\nbatch_normalize=1\nfilters=%s\nsize=%s\nstride=%s\npad=1\n' "$1" "$2" \
        "$3"
    printf 'activation=leaky\n'
}

{
    printf '# a comment stays\n[net]\nwidth=64\nheight=64\nchannels=3\nbatch=4\nsubdivisions=1\n'
    printf 'learning_rate=0.01\nmax_batches=12\n'
    conv 8 3 2
    conv 16 3 2
    for _ in 1 2 3; do
        conv 8 1 1
        conv 16 3 1
        printf '[shortcut]\nfrom=-3\nactivation=linear\n'
    done
    conv 24 3 2
    printf '[convolutional]\nfilters=24\nsize=1\nactivation=linear\n'
    printf '[yolo]\nmask=0,1,2\nanchors=16,16, 24,24, 40,40\nclasses=3\nnum=3\n'
} >toy.cfg
# shellcheck disable=SC2034
tab=$(printf '\t')
qd-toy detect -o toy -n 12 -e 4 -i 64 -C 3 -s 5 >/dev/null || exit 99
qd-train -q -c toy.cfg -d toy/toy.data -o toy -f -E 0 -S 3 >/dev/null || exit 99

# before METRIC, after METRIC: of the table that was printed last
before()
{
    awk -F '\t' -v k="$1" '$1 == k { print $2 }' "$OUT"
}

after()
{
    awk -F '\t' -v k="$1" '$1 == k { print $3 }' "$OUT"
}

# total PREFIX METRIC: what qd-info says of the files
total()
{
    qd-info -c "$1.cfg" -w "$1.weights" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'
}

# consistent PREFIX: the table that was printed last is what qd-info says of what was written
consistent()
{
    for metric in params trained macs weights_bytes; do
        if [ "$(before $metric)" != "$(total toy $metric)" ] ||
            [ "$(after $metric)" != "$(total "$1" $metric)" ]; then
            echo "$metric"
        fi
    done >differ
    ok "$1: the table says what qd-info says" sh -c 'cat differ; [ ! -s differ ]'
}

# less A B: as numbers
less()
{
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a + 0 < b + 0) }'
}

# widths PREFIX: of the convolutions, one line
widths()
{
    sed -n 's/^filters=//p' "$1.cfg" | tr '\n' ' ' | sed 's/ $//'
}
