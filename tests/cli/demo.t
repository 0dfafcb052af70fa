# SPDX-License-Identifier: MIT
# scripts/demo: every step runs, what is said to lie somewhere lies there, and a detector that has
# not learned enough is a failure.  The whole training takes too long to be run here.
. "$(dirname "$0")/../lib.sh"

status 1 'three iterations are not enough' \
    env QD_SHARED="$QD_TMP/none" "$QD_ROOT/scripts/demo" -n 3 "$QD_TMP/demo dir"
stderr_like '^demo: the mAP is below 0.9$'
ok 'nothing else went wrong' sh -c 'grep -v "^demo: \|^qd-[a-z]*: warning" "$1"; [ $? -eq 1 ]' - "$ERR"
for command in qd-toy qd-anchors qd-info qd-train qd-map qd-detect qd-bench; do
    stdout_like "^\\\$ $command " "$command is typed"
done
stdout_has "-n 3 >'$QD_TMP/demo dir/rows.txt'" 'a name with a blank is quoted'
stdout_like '^mAP	0[.]'
stdout_like '^images_per_s	'
stdout_has 'No photos: there is no real data in'
for f in toy/toy.data net.cfg net.weights net.log found/000000.jpg; do
    ok "$f is there" test -s "demo dir/$f"
done
ok 'three iterations were logged' test "$(grep -vc '^#' 'demo dir/net.log')" -eq 3
if command -v gnuplot >/dev/null; then
    ok 'so are the curves' test -s 'demo dir/curves.png'
    stdout_has curves.png
else
    stdout_has 'left out: qd-plot needs gnuplot'
    skip 1 'gnuplot is not installed'
fi
finish
