# SPDX-License-Identifier: MIT
# What every command has in common: -h, -V, misuse, missing files, a full disk, closed output.
. "$(dirname "$0")/../lib.sh"

cat >tiny.cfg <<'END'
[net]
width=32
height=32
channels=3
[convolutional]
filters=6
size=1
activation=linear
[yolo]
mask=0
anchors=4,4
classes=1
num=1
END
echo object >tiny.names
printf '%s\n' valid=list.txt train=list.txt names=tiny.names classes=1 >tiny.data
echo x.jpg >list.txt
echo '0 .5 .5 .2 .2' >x.txt
version=$(sed -n 's/^VERSION = //p' "$QD_ROOT/Makefile")

# command FUNCTION: call it with every command that is built.
commands=
for f in "$QD_BIN"/qd-*; do
    [ -x "$f" ] && commands="$commands ${f##*/}"
done
ok 'there are commands' test -n "$commands"

for c in $commands; do
    status 0 "$c -h" "$c" -h
    stderr_is '' "$c -h: nothing on standard error"
    ok "$c -h begins with the synopsis" sh -c "head -n 1 '$OUT' | grep -q '^usage: $c '"
    ok "$c -h fits into 100 columns" sh -c "! grep -E '.{101}' '$OUT'"
    cp "$OUT" help
    status 0 "$c --help" "$c" --help
    same_bytes "$OUT" help "$c --help is the same"
    status 0 "$c -V" "$c" -V
    ok "$c -V begins with name and version" sh -c "head -n 1 '$OUT' | grep -qF '$c $version'"
    status 0 "$c --VERSION: long names in any letter case" "$c" --VERSION
    status 1 "$c -h to a full disk" sh -c "$c -h >/dev/full"
    stderr_has "No space left on device" "$c -h to a full disk: says so"
    status 1 "$c -V with standard output closed" sh -c "$c -V >&-"

    status 2 "$c: unknown letter" "$c" -Z
    stdout_is '' "$c: misuse prints nothing on standard output"
    ok "$c: one line, then the synopsis" sh -c \
        "head -n 1 '$ERR' | grep -q '^$c: .*Z' && sed -n 2p '$ERR' | grep -q '^usage: $c '"
    status 2 "$c: unknown word" "$c" --no-such-option
    stderr_has no-such-option
    status 2 "$c: option without its argument" "$c" -c
    status 2 "$c: argument for an option without one" "$c" --help=yes
    status 2 "$c: nothing at all" "$c"

    # A file that is missing, in the form that each command needs to get that far.
    case $c in
    qd-toy | qd-anchors | qd-import | qd-plot) continue ;; # reads no network; the rest is in its own test
    qd-info | qd-bench) set -- -c none.cfg ;;
    qd-detect | qd-classify) set -- -c none.cfg -w none.weights x.jpg ;;
    qd-train | qd-sparse) set -- -c none.cfg -w none.weights -d tiny.data -o run ;;
    qd-prune-search) set -- -c none.cfg -w none.weights -d tiny.data -o run ;;
    qd-prune-group) set -- -c none.cfg -w none.weights -o run -g 0-1:.5 ;;
    qd-prune-*) set -- -c none.cfg -w none.weights -o run ;;
    qd-map) set -- -c none.cfg -w none.weights -d tiny.data ;;
    *) set -- ;;
    esac
    ok "$c is known to this test" test $# -gt 0
    status 1 "$c: missing cfg" "$c" "$@"
    stderr_is "$c: cannot open 'none.cfg': No such file or directory"
    status 1 "$c: the same with -q" "$c" -q "$@"
    stderr_lines 1 "$c -q still reports errors"
    sed '2s/=32/=33x/' tiny.cfg >none.cfg
    status 1 "$c: bad cfg" "$c" "$@"
    stderr_like "^$c: none.cfg:2: .*width" "$c names file and line"
    stderr_lines 1
    sed 's/filters=6/filters=6\nfliters=6/' tiny.cfg >none.cfg
    case $c in
    qd-info | qd-bench)
        status 0 "$c: unknown key" "$c" "$@"
        stderr_like "^$c: warning: none.cfg:7: .*fliters.*filters" "$c suggests the nearest key"
        status 0 "$c -q: unknown key" "$c" -q "$@"
        stderr_is '' "$c -q is silent about warnings"
        status 1 "$c: the result does not fit on the disk" sh -c "$c $* >/dev/full"
        stderr_has 'No space left on device' "$c says so"
        ;;
    *)
        status 1 "$c: missing weights" "$c" "$@"
        stderr_has "'none.weights': No such file or directory"
        ;;
    esac
    rm none.cfg
    if [ "$c" != qd-info ]; then
        status 2 "$c: too many threads" "$c" -j 257 "$@"
        status 2 "$c: threads are a number" "$c" --threads=many "$@"
    fi
    status 1 "$c: QD_CPU with an unknown level" env QD_CPU=abacus "$c" "$@"
done

# The other spellings that users of older tools type.
status 0 'underscore for hyphen, any letter case' qd-bench --cfg tiny.cfg --batch_size 1 --RUNS=1 \
    --Img_Size 32
finish
