# SPDX-License-Identifier: MIT
# qd-train: runs end with the same bytes however they are cut, files, defects, misuse.
. "$(dirname "$0")/../lib.sh"

cat >tiny.cfg <<'END'
[net]
width=32
height=32
channels=3
batch=4
subdivisions=2
learning_rate=0.002
burn_in=3
max_batches=24
saturation=1.5
exposure=1.5
hue=.1

[convolutional]
filters=8
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=12
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=24
size=1
activation=linear

[yolo]
mask=0,1,2
anchors=8,8, 14,14, 22,22
classes=3
num=3
jitter=.2
END
status 0 'a set' qd-toy detect -o toy -n 22 -e 6 -i 48 -C 3 -s 5

# train PREFIX OPTION...: a run with what all runs here have in common
train()
{
    prefix=$1
    shift
    qd-train -q -c tiny.cfg -d toy/toy.data -o "$prefix" -E 12 -K 5 "$@"
}

# The same in the background; $! is the program, not a shell around it.
start()
{
    prefix=$1
    shift
    qd-train -q -c tiny.cfg -d toy/toy.data -o "$prefix" -E 12 -K 5 "$@" >"$prefix.out" 2>&1 &
    pid=$!
}

# same_run A B: the files of two runs hold the same bytes
same_run()
{
    for f in .weights _last.weights _best.weights _minloss.weights .state .cfg; do
        same_bytes "$1$f" "$2$f"
    done
    ok 'the same losses' sh -c "for p in $1 $2; do cut -f 1-10,12 \$p.log >\$p.cut; done
        cmp $1.cut $2.cut"
}

status 0 'a run' train a -j 1
stdout_like '^# images 16, validation 6, iterations 24, memory [0-9.]+ GB of [0-9.]+$'
stdout_has '# iteration	epoch	images	lr	loss	box	obj	cls	avg	norm	images_per_s	score'
stderr_is ''
ok '24 lines in the log' test "$(grep -vc '^#' a.log)" -eq 24
ok 'the log is what was printed' sh -c "grep -v '^# [ir][me][as]' '$OUT' | cmp - a.log"
ok 'scores at 12 and 24' test \
    "$(awk '!/^#/ && $12 != "-" { printf "%s ", $1 }' a.log)" = '12 24 '
ok 'epochs and images count' awk -F '\t' '$1 == 9 && $2 == "2.0000" && $3 == 36 { n++ }
    END { exit n != 1 }' a.log
ok 'burn-in' awk -F '\t' '$1 == 1 { exit $4 > 3e-5 }' a.log
ok 'the loss falls' awk -F '\t' '$1 == 4 { a = $9 } $1 == 24 { exit !($9 < a) }' a.log
status 0 'the weights are read' qd-info -c a.cfg -w a.weights

status 0 'qd-map' qd-map -q -c a.cfg -w a.weights -d toy/toy.data
ok 'scores the same' test "$(awk '$1 == "mAP" { print $2 }' "$OUT")" = "$(tail -n 1 a.log | cut -f 12)"
status 0 'two threads, other workers' train b -j 2 -W 0
same_run a b
status 0 'another seed' train c -S 2
ok 'other bytes' sh -c '! cmp -s a.weights c.weights'

# A run that was ended in the middle.
status 0 'the first half' train d -n 11
status 0 'is made longer' train d -r -j 2
stdout_has '# resumed after iteration 11:'
same_bytes a.weights d.weights 'as if never interrupted'
status 0 'is done' train d -r
same_bytes a.weights d.weights 'nothing changes'

status 1 'the run exists' train d
stderr_is "qd-train: 'd.state' exists: go on with that run (-r), or replace its files (-f)"
status 1 'resumed in another way' train d -r -b 8
stderr_like 'd.state: the run was begun with .*, and cannot be resumed so$'
status 1 'resumed with another seed' train d -r -S 7
stderr_is "qd-train: d.state: the run was begun with 'seed=1', not 'seed=7', and cannot be resumed so"
printf 'x' | dd of=d.state bs=1 seek=300 conv=notrunc 2>/dev/null
status 1 'a damaged state' train d -r
stderr_is 'qd-train: d.state: the state is damaged (its check sum is wrong)'
status 0 'is replaced' train d -f
same_run a d

# SIGTERM ends a run after its iteration.
: >e.out # what 'start' does, but later
start e -n 1000000 -E 0 -N .9
while [ "$(grep -vc '^#' e.out)" -lt 3 ]; do sleep .05; done
kill -TERM $pid
wait $pid
ok 'exit status 143' test $? -eq 143
n=$(tail -n 1 e.log | cut -f 1)
status 0 'goes on after it' train e -r -E 0 -N .9 -n $((n + 2))
stdout_has "# resumed after iteration $n:"
ok 'two more lines' test "$(grep -vc '^#' e.log)" -eq $((n + 2))

# SIGKILL at 20 random moments; with a state every other iteration many fall into a save.  A run
# that was done before it was killed begins anew under another name, so that all 20 hit.
n=300
: "${QD_KILL_SEED:=1}"
diag "moments by seed $QD_KILL_SEED"
status 0 'the whole run' train f -n $n -E 150 -K 2
awk -v s="$QD_KILL_SEED" 'BEGIN { srand(s); while (i++ < 60) printf "%.3f\n", .01 + .2 * rand() }' \
    >moments
killed=0 runs=1 cut=0 most=0
while [ $killed -lt 20 ] && read -r t; do
    start g$runs -r -n $n -E 150 -K 2
    sleep "$t"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    case $? in
    137) killed=$((killed + 1)) ;;
    0) runs=$((runs + 1)) ;;
    *) cp g$runs.out failed ;;
    esac
    left=$(find . -name "g${runs}[._]*.tmp-*" | wc -l)
    [ "$left" -eq 0 ] || cut=$((cut + 1))
    [ "$left" -le "$most" ] || most=$left
done <moments
diag "$killed kills in $runs runs, $cut of them within a save"
ok '20 kills of a running program' test $killed -eq 20
ok 'no other end' test ! -e failed
ok 'what a cut save leaves does not pile up' test "$most" -le 1
mkdir g1.cfg.tmp-Folder
for f in g1.weights.backup g1.weights.tmp-abc g1.notes.tmp-abcdef g1_x.weights.tmp-abcdef \
    g1x.state.tmp-abcdef g1.state.tmp-abc_ef; do
    : >"$f"
done
: >g1.state.tmp-aB3dEf
: >g1_17.weights.tmp-aB3dEf
i=0
while [ $((i += 1)) -le $runs ]; do
    status 0 'the rest' train g$i -r -n $n -E 150 -K 2
    same_run f g$i
done
ok 'files of others stay' test "$(find . -name 'g1*' \( -name '*.tmp-*' -o -name '*.backup' \) |
    sort | tr '\n' ' ')" = './g1.cfg.tmp-Folder ./g1.notes.tmp-abcdef ./g1.state.tmp-abc_ef '\
'./g1.weights.backup ./g1.weights.tmp-abc ./g1_x.weights.tmp-abcdef ./g1x.state.tmp-abcdef '

# A disk that is full while the run goes on.
status 0 'the first half' train h -n 12
cp h.state h.good
status 1 'no room for the state' sh -c "ulimit -f $(($(wc -c <h.state) * 2 / 3 / 512))
    exec qd-train -c tiny.cfg -d toy/toy.data -o h -E 12 -K 5 -r"
stderr_has "qd-train: warning: cannot write 'h.state': File too large: the run goes on, the last good"
same_bytes h.state h.good 'the last good state is kept'
status 0 'goes on when there is room' train h -r
same_bytes a.weights h.weights 'as if never interrupted'

# NaN.
status 1 'a rate far too high' train n -D net.learning_rate=1e6 -D net.burn_in=0 -E 0
stderr_like '^qd-train: iteration [0-9]+: .* of layer [0-9]+ \[[a-z]+\] are not finite'
status 0 'the state is good' qd-info -c n.cfg -w n_last.weights

# What can be chosen.
status 0 'all layers but the last frozen' train k -n 6 -w a.weights -D 2.stopbackward=1 -E 0
status 0 'from the first layers only' train p -n 2 -w a.weights -p 2 -E 0
for o in '-O adam' '-O adamw' '-O nesterov' '-M .9' '-A none' '-l exact' '-R' \
    '-A ultralytics -l ultralytics' '-D net.policy=cos' '-D net.ema_alpha=.9' '-D net.clip=1' \
    '-i 64x32' '-C 10'; do
    # shellcheck disable=SC2086
    status 0 "$o" train o -f -n 4 -E 2 $o
done
status 0 'sizes that change' train s -n 21 -E 0 -m 1.5 -j 1
status 0 'the first half of that' train u -n 13 -E 0 -m 1.5
status 0 'the second half' train u -r -n 21 -E 0 -m 1.5 -j 2
same_bytes s.weights u.weights 'the same sizes'
status 0 'numbered' train v -n 4 -k 2 -E 0
ok 'two of them' test -f v_2.weights -a -f v_4.weights
(cat toy/toy.data && echo saveweights=3 && echo savelast=2) >toy/often.data
status 0 'as the data set says' qd-train -q -c tiny.cfg -d toy/often.data -o often -n 5 -E 0
ok 'numbered at 3' test "$(echo often_*.weights)" = 'often_3.weights often_last.weights often_minloss.weights'
status 0 'not numbered' qd-train -q -c tiny.cfg -d toy/often.data -o seldom -n 5 -E 0 -k 0 -K 9
ok 'as the options say' test "$(echo seldom_*.weights)" = 'seldom_last.weights seldom_minloss.weights'
echo savelast=0 >>toy/toy.data.bad
cat toy/toy.data >>toy/toy.data.bad
status 1 'never' qd-train -q -c tiny.cfg -d toy/toy.data.bad -o seldom -f -n 5 -E 0
stderr_is "qd-train: toy/toy.data.bad: 'savelast=0' is not a number of iterations"

status 0 'a key that is not followed' qd-train -c tiny.cfg -d toy/toy.data -o w -n 1 -E 0 \
    -D net.dynamic_minibatch=1 -D net.blur=1 -j 1
stderr_is "qd-train: warning: tiny.cfg: 'dynamic_minibatch=1' is not followed in training"
status 0 'what -v says' qd-train -v -c tiny.cfg -d toy/toy.data -o y -n 9 -E 0
stderr_like '^qd-train: waited for images in [0-9.]+ % of the time$'

# Misuse and what a run cannot do.
status 2 'two ends' train z -e 1 -n 2
status 1 'no end' train z -D net.max_batches=0
stderr_like 'how long to train is not said'
status 1 'no such loss' train z -l nothing
status 1 'uneven parts' train z -s 3
stderr_like 'a batch of 4 cannot be cut into 3 equal parts$'
status 1 'a folder that is not there' train no/z
stderr_like "^qd-train: cannot create 'no/z.cfg"
finish
