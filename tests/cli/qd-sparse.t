# SPDX-License-Identifier: MIT
# qd-sparse: without a penalty it is qd-train; sets, schedules, what is told, resumed runs.
. "$(dirname "$0")/../lib.sh"

# conv FILTERS SIZE STRIDE
conv()
{
    printf '[convolutional]\nfilters=%d\nsize=%d\nstride=%d\npad=1\nbatch_normalize=1\n' "$@"
    printf 'activation=leaky\n'
}

# A stem, a residual unit, a head.
{
    printf '[net]\nwidth=32\nheight=32\nchannels=3\nbatch=4\nsubdivisions=2\nlearning_rate=0.01\n'
    printf 'max_batches=16\n'
    conv 8 3 4
    conv 4 1 1
    conv 8 3 1
    printf '[shortcut]\nfrom=-3\nactivation=linear\n'
    conv 12 3 2
    printf '[convolutional]\nfilters=24\nsize=1\nactivation=linear\n'
    printf '[yolo]\nmask=0,1,2\nanchors=8,8, 14,14, 22,22\nclasses=3\nnum=3\n'
} >res.cfg
status 0 'a set' qd-toy detect -o toy -n 22 -e 6 -i 48 -C 3 -s 5

# sparse PREFIX OPTION...
sparse()
{
    prefix=$1
    shift
    qd-sparse -c res.cfg -d toy/toy.data -o "$prefix" -E 8 "$@"
}

# layers PREFIX: the numbers of layers in the recipe.
layers()
{
    tr '\000' '\n' <"$1.state" | sed -n 's/.*s_layers=\([0-9,]*\).*/\1/p' | tail -n 1
}

status 0 'qd-train' qd-train -q -c res.cfg -d toy/toy.data -o plain -E 8
status 0 'no penalty' sparse none -s 0
for f in .weights _last.weights _best.weights _minloss.weights .state .cfg; do
    same_bytes "plain$f" "none$f" "$f is that of qd-train"
done
status 0 'a penalty' sparse one -s .01
stdout_has '# iteration	epoch	images	lr	loss	box	obj	cls	avg	norm	images_per_s	score'
ok '16 lines in the log' test "$(grep -vc '^#' one.log)" -eq 16
ok 'other bytes' sh -c '! cmp -s plain.weights one.weights'
ok 'a line for each epoch' test "$(grep -c '^qd-sparse: epoch [1-4]: .* below .01, .*at most' "$ERR")" -eq 4
stderr_like '^qd-sparse: warning: the factors have not separated: '
ok 'a table of them' test "$(cut -f 1 one.gammas.tsv | tr '\n' ' ')" = '# iteration 4 8 12 16 '
status 0 'the weights are read' qd-info -c one.cfg -w one.weights

# Sets.
ok 'by default also the layers of a sum' test "$(layers one)" = 0,1,2,4
status 0 'normal' sparse two -P normal -v -n 2
ok 'not those of a sum' test "$(layers two)" = 1,4
stderr_has 'qd-sparse: 16 factors of 2 layers'
status 0 'its number' sparse three --prune 0 -q -n 2
same_bytes two.state three.state 'is the same'
stderr_is '' '-q says nothing'
status 0 'layer' sparse four -P 2 -n 2
ok 'the end of a branch' test "$(layers four)" = 2
status 0 'all' sh -c 'sed "/shortcut/,/linear/d" res.cfg | awk "/^\[conv/ && ++n == 3 {
    print \"[depthwise]\"; next } n != 3 || !/^filters/" >dw.cfg
    qd-sparse -c dw.cfg -d toy/toy.data -o five -E 8 -P all -n 2'
ok 'a depthwise convolution instead of what feeds it' test "$(layers five)" = 0,2,3
status 1 'no sums' sh -c 'sed "/shortcut/,/linear/d" res.cfg >chain.cfg
    qd-sparse -c chain.cfg -d toy/toy.data -o x -P layer'
stderr_is 'qd-sparse: no layer with batch normalization ends the branch of a [shortcut]: -P layer has nothing to work on (try -P shortcut)'
status 1 'only sums' sh -c 'sed "1,/^leaky/!b; " res.cfg | awk "/^\[conv/ { n++ } n == 2 || n == 4 {
    sub(/batch_normalize=1/, \"\") } 1" >sums.cfg; qd-sparse -c sums.cfg -d toy/toy.data -o x -P 0'
stderr_has '-P normal has nothing to work on (try -P shortcut)'
status 1 'nothing to scale' sh -c 'sed /batch_norm/d res.cfg >bare.cfg
    qd-sparse -c bare.cfg -d toy/toy.data -o x'
stderr_is 'qd-sparse: no layer with batch normalization has channels that can be taken out'

# How strong, and when.  Each option makes another run.
for o in '-T constant' '-T global' '-T dynamic' '-F .3' '-G .6' '-Y .5' '-X' '-a' '-s .02'; do
    # shellcheck disable=SC2086
    status 0 "$o" sparse other -q -f -s .01 $o
    ok "$o: other bytes" sh -c '! cmp -s one.weights other.weights'
done
status 0 'as it is by default' sparse same -q -T local --s-switch .5 --S_Protect=.15 --s-decay .01 --s .01
same_bytes one.weights same.weights 'is local, .5, .15, .01'

# So strong that nothing is left but zeros.
status 0 'strong' sparse strong -X -s 100 -T constant
stderr_like '^qd-sparse: the factors have separated: 100.0 % of 32 are below .01 '
stderr_like 'at most 0.0 % can go'
ok 'exact zeros' test "$(tail -n 1 strong.gammas.tsv | cut -f 1-3,13)" = '16	1.000000	1.000000	0'

# A run that was ended in the middle.
status 0 'the first half' sparse half -q -s .01 -T constant -K 5 -n 7
status 0 'is made longer' sparse half -s .01 -T constant -K 5 -r
stdout_has '# resumed after iteration 7:'
status 0 'the whole' sparse full -q -s .01 -T constant -K 5
same_bytes full.weights half.weights 'as if never interrupted'
sed '/^7	/d' half.gammas.tsv >half.cut
same_bytes full.gammas.tsv half.cut 'a report at its first end, then the same'
status 1 'resumed with another strength' sparse half -s .02 -T constant -K 5 -r
stderr_like "the run was begun with 's=0.01', not 's=0.02', and cannot be resumed so\$"
status 1 'resumed as plain training' qd-train -c res.cfg -d toy/toy.data -o half -E 8 -K 5 -r
stderr_like 'cannot be resumed so$'
status 0 'is done' sparse half -s .01 -T constant -K 5 -r
stderr_has 'all 16 iterations were done before'
ok 'says no more than at its end' test "$(grep -c '^qd-sparse: epoch' "$ERR")" -eq 0

# Misuse.
status 2 'no such kind' sparse x -P 4
status 2 'no such schedule' sparse x -T never
status 2 'a negative strength' sparse x -s -1
status 2 'more than all' sparse x -G 1.1
finish
