# SPDX-License-Identifier: MIT
# scripts/demo: every step runs, what is said to lie somewhere lies there, and a detector that has
# not learned enough is a failure.  The whole training takes too long to be run here.
. "$(dirname "$0")/../lib.sh"

status 1 'three iterations are not enough' \
    env QD_SHARED="$QD_TMP/none" "$QD_ROOT/scripts/demo" -n 3 "$QD_TMP/demo dir"
stderr_like '^demo: the mAP is below 0.9$'
ok 'nothing else went wrong' sh -c 'grep -v "^demo: \|^qd-[a-z-]*: warning\|^qd-sparse: epoch" "$1"; [ $? -eq 1 ]' - "$ERR"
for command in qd-toy qd-anchors qd-info qd-train qd-map qd-detect qd-bench qd-sparse \
    qd-prune-shortcut; do
    stdout_like "^\\\$ $command " "$command is typed"
done
stdout_has "-n 3 >'$QD_TMP/demo dir/rows.txt'" 'a name with a blank is quoted'
stdout_like '^mAP	0[.]'
stdout_like '^images_per_s	'
stdout_has 'No photos: there is no real data in'
for f in toy/toy.data net.cfg net.weights net.log found/000000.jpg sparse.gammas.tsv pruned.weights \
    small.cfg small.weights; do
    ok "$f is there" test -s "demo dir/$f"
done
ok 'a table with numbers of all three' awk 'NF == 5 && $3 > 0 && $4 > 0 { n++ }
    END { exit n != 3 }' 'demo dir/table.txt'
stdout_like '^mAP +0[.][0-9]+ +0[.][0-9]+ +0[.][0-9]+$'
ok 'it is smaller' awk '{ n[NR] = $3 } END { exit !(n[2] < n[1] && n[3] == n[2]) }' 'demo dir/table.txt'
ok 'three iterations were logged' test "$(grep -vc '^#' 'demo dir/net.log')" -eq 3
if command -v gnuplot >/dev/null; then
    ok 'so are the curves' test -s 'demo dir/curves.png'
    ok 'and the factors' test -s 'demo dir/gammas.png'
    stdout_has curves.png
else
    stdout_has 'left out: qd-plot needs gnuplot'
    skip 2 'gnuplot is not installed'
fi
finish
