# SPDX-License-Identifier: MIT
# qd-prune-search: a search ends with the same bytes however it is cut, what it writes has the size
# and the score that it says, files, misuse.
. "$(dirname "$0")/../lib.sh"

conv()
{
    printf '[convolutional]\nbatch_normalize=1\nfilters=%s\nsize=3\nstride=%s\npad=1\nactivation=%s\n' \
        "$@"
}

{
    printf '%s\n' '[net]' width=32 height=32 channels=3 batch=8 learning_rate=0.005 max_batches=60
    conv 16 2 leaky
    conv 24 2 leaky
    conv 32 1 leaky
    conv 24 1 leaky
    printf '[shortcut]\nfrom=-3\nactivation=linear\n'
    conv 40 2 leaky
    printf '[convolutional]\nfilters=16\nsize=1\nactivation=linear\n'
    printf '%s\n' '[yolo]' mask=0,1 anchors='8,8, 16,16' classes=3 num=2
} >net.cfg
status 0 'a set' qd-toy detect -o toy -n 40 -e 10 -i 32 -C 3
status 0 'a network learns' qd-train -q -c net.cfg -d toy/toy.data -o whole -O adamw \
    -l ultralytics -E 0

# search PREFIX OPTION...
search()
{
    prefix=$1
    shift
    qd-prune-search -q -c whole.cfg -w whole.weights -d toy/toy.data -o "$prefix" -n 5 -A 16 \
        -t .04 "$@"
}

status 0 'a search' search a -j 1
cp "$OUT" a.out
stderr_is ''
stdout_like '^# candidate [1-5] of 5, score [0-9.]+ on 10 pictures, percent 0\.[0-9]+, difference '
stdout_has '# metric	before	after'
ok '5 candidates' test "$(grep -vc '^#' a.tsv)" -eq 5
ok 'all of them within 4 % of half' awk -F '\t' '
    /^#/ { next }
    { bad = bad || $3 < .46 || $3 > .54 }
    END { exit bad }' a.tsv
ok 'the best is in the table' awk -F '\t' '
    FNR == NR { if (!/^#/ && (!n++ || $6 > best)) { best = $6; macs = $4; params = $5 } next }
    $1 == "mAP" { map = $3 }
    $1 == "macs" { m = $3 }
    $1 == "trained" { t = $3 }
    END { exit !(map == best && m == macs && t == params) }' a.tsv a.out
ok 'the rows are those of all that prune' sh -c 'grep -v "^#" a.out | cut -f 1 | tr "\n" " " |
    grep -qx "layers params trained macs weights_bytes mAP ms peak_bytes "'
status 0 'it loads' qd-map -q -c a.cfg -w a.weights -d toy/toy.data
map=$(awk '$1 == "mAP" { print $2 }' "$OUT")
ok 'and has that score' test "$map" = "$(awk '$1 == "mAP" { print $3 }' a.out)"
status 0 'the masked network, too' search h -M wide
status 0 'it has all channels' sh -c "grep ^filters= wide.cfg >w && grep ^filters= whole.cfg | cmp - w"
status 0 'and the same score' qd-map -q -c wide.cfg -w wide.weights -d toy/toy.data
ok 'as what is written' test "$map" = "$(awk '$1 == "mAP" { print $2 }' "$OUT")"
rm h.tsv
status 1 'a masked file that exists' search h2 -M wide
stderr_has "'wide.cfg' exists already"
ok 'then nothing is searched' test ! -e h2.tsv
status 2 'masked and compact of one name' search h3 -M h3
status 0 'on other threads' search b -j 3 -W 2
for f in .cfg .weights .tsv; do
    same_bytes "a$f" "b$f"
done

# Ended, and ended in the middle of a line.
qd-prune-search -q -c whole.cfg -w whole.weights -d toy/toy.data -o c -n 5 -A 16 -t .04 \
    >/dev/null 2>&1 &
pid=$!
while [ "$(grep -vc '^#' c.tsv 2>/dev/null)" -lt 1 ] 2>/dev/null && kill -0 $pid 2>/dev/null; do
    sleep .01
done
kill -9 $pid 2>/dev/null
wait $pid
printf '2\t1' >>c.tsv
ok 'killed: nothing but candidates' sh -c '[ ! -e c.cfg ] || cmp c.cfg a.cfg'
rm -f c.cfg c.weights
head -n 3 a.tsv >c.tsv
printf '2\t1' >>c.tsv
status 0 'it goes on' search c -r
for f in .cfg .weights .tsv; do
    same_bytes "a$f" "c$f"
done
status 1 'done before: the network is there' search c -r
stderr_has "'c.cfg' exists already"
status 0 'longer' search c -r -f -n 6
ok 'one more' test "$(grep -vc '^#' c.tsv)" -eq 6

status 1 'files that exist' search a
rm c.cfg c.weights
status 1 'candidates that exist' search c
stderr_has "go on with that search (-r), or replace it (-f)"
status 1 'of another search' search c -r -S 2
stderr_has 'is of another search'
echo '7	x' >>c.tsv
status 1 'a bad line' search c -r
stderr_like "c.tsv:9: not a line that a search could have written"
status 1 'too much' search d -p .99 -t .001 -l 20
stderr_has 'of the multiply-adds cannot be removed'
ok 'no file is left of it' sh -c '[ ! -e d.tsv ] && [ ! -e d.cfg ]'

status 0 'multiples of 8' search e -n 2 -b 8 -t .1 -v
stderr_like 'layer 1, \[convolutional\]: 24 channels before, (8|16|24) after'
ok 'all widths are' sh -c "sed -n 's/^filters=//p' e.cfg | awk '\$1 % 8 { exit 1 }'"
for m in majority root least; do
    status 0 "merge $m" search "$m" -n 1 -m $m
done
status 0 'normal' search normal -n 1 -s normal -p .3
ok 'layers that are added stay' sh -c \
    "sed -n 's/^filters=//p' normal.cfg | sed -n '2p;4p' | tr '\n' ' ' | grep -qx '24 24 '"
status 0 'all' search all -n 1 -a

status 2 'no data' qd-prune-search -c net.cfg -w whole.weights -o x
status 2 'a share of 1' search x -p 1
finish
