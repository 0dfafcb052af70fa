# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
# qd-plot: what it makes of good and bad logs, that names cannot do harm, pictures and text.
. "$(dirname "$0")/../lib.sh"

head='# iteration\tepoch\timages\tlr\tloss\tbox\tobj\tcls\tavg\tnorm\timages_per_s\tscore\n'

# row ITERATION EPOCH IMAGES LOSS SCORE
row()
{
    printf '%s\t%s\t%s\t.001\t%s\t1\t2\t3\t4\t5\t6\t%s\n' "$1" "$2" "$3" "$4" "$5"
}

# shellcheck disable=SC2059
{
    printf "$head"
    row 1 0 8 5 -
    row 2 .1 16 4 -
    row 3 .2 24 nan -
    row 4 .3 32 3e0 .5
    row 5 .4 40 +2 -nan
    row 6 .5 48 1 .6
} >good.log
sed 1d good.log >nohead.log
: >empty.log

# A gnuplot that keeps what it is given: the checks of what goes in need no real one.
export QD_TMP
mkdir fake
cat >fake/gnuplot <<'END'
#!/bin/sh
rm -rf "$QD_TMP/seen"
mkdir "$QD_TMP/seen"
cp ./* "$QD_TMP/seen/"
echo "$*" >"$QD_TMP/seen/arguments"
echo drawn >plot.txt
echo IENDxxx >plot.png
END
chmod 755 fake/gnuplot
real=$PATH
PATH=$PWD/fake:$PATH

# curve FILE TEXT NAME: a file of 'x y' lines that gnuplot was given.
curve()
{
    printf '%s\n' "$2" >want
    same_bytes "seen/$1" want "$3"
}

status 0 'three curves' qd-plot good.log
stdout_is drawn
stderr_is ''
curve arguments '-d plot.gp' 'no start-up file of the user is read'
curve 1.loss '1 5
2 4

4 3
5 2
6 1' 'the loss, with a gap where it is not finite'
curve 1.score '4 0.5

6 0.6' 'the score, where there is one'
ok 'loss, score, lr from top to bottom' sh -c \
    'sed -n "s/set ylabel //p" seen/plot.gp | tr -d "\n" | grep -qx "'"'loss''score''lr'"'"'
status 0 'without the header' qd-plot -y loss,norm --axis images nohead.log
curve 1.norm '8 5
16 5
24 5
32 5
40 5
48 5' 'columns are those of qd-train, over the images'
status 0 'over epochs, from standard input, smoothed' \
    sh -c 'qd-plot -x epoch -s 2 -y loss - <good.log'
curve 1.loss '0 5
0.1 4.5

0.3 3.5
0.4 2.5
0.5 1.5' 'means of two values'
status 0 'the learning rate is never smoothed' qd-plot --smooth=+3 --curves lr good.log
curve 1.lr '1 0.001
2 0.001
3 0.001
4 0.001
5 0.001
6 0.001' 'as it is'
{
    printf '# another header\n'
    i=0
    while [ $i -lt 25 ]; do
        i=$((i + 1))
        row $i $i $i $((i * i)) -
    done
} >squares.log
status 0 'a longer mean' qd-plot -y loss -s 7 squares.log
ok 'is the mean of the last seven' awk '{
    sum = n = 0
    for (i = $1; i > 0 && i > $1 - 7; i--) {
        sum += i * i
        n++
    }
    d = $2 - sum / n
    if (d > 1e-6 || d < -1e-6)
        exit 1
    rows++
} END { exit rows != 25 }' seen/1.loss
status 0 'a resumed run' sh -c "(cat good.log; sed -n 4s/nan/9/p good.log) | qd-plot -y loss -"
curve 1.loss '1 5
2 4
3 9' 'the later lines count'
stderr_is ''
status 0 'CRLF, and a comment in between' \
    sh -c "sed 's/\$/\r/; 3s/.*/# c/' good.log | qd-plot -v -y loss -"
stderr_is 'qd-plot: standard input: 5 iterations'
status 0 'a line that is still being written' \
    sh -c '(cat good.log; printf "7\t.6\t5") | qd-plot --verbose --curves loss -'
stderr_is 'qd-plot: standard input: 6 iterations'
printf '1\t0\t8\t1e-5\t9' >one.log
status 1 'nothing but that' qd-plot one.log
stderr_is 'qd-plot: one.log: no iterations in it'
row 7 0 1 1e-30 - >one.log
status 0 'a log of one line' qd-plot -y loss,images/s one.log
ok 'no empty range' sh -c '! grep -q xrange seen/plot.gp'
ok 'images/s is images_per_s' grep -q "'1.images_per_s'.*points" seen/plot.gp
status 0 'logarithmic' qd-plot --log -y loss,score good.log
ok 'loss is, score is not' sh -c \
    'grep "logscale\|ylabel" seen/plot.gp | tr "\n" " " | grep -q "set log.*loss.*unset log.*score"'
row 8 1 2 -3 - >negative.log
status 1 'no logarithm' qd-plot -l -y loss negative.log
stderr_like "^qd-plot: warning: nothing to draw of 'loss'\$"
stderr_has 'qd-plot: nothing to draw'
status 1 'the same, quietly' qd-plot -q -l -y loss negative.log
stderr_is 'qd-plot: nothing to draw'
row 1 0 8 1e400 1e99 >huge.log
status 0 'numbers that no scale can show' qd-plot huge.log
ok 'are left out' sh -c '[ ! -s seen/1.loss ] && [ -s seen/1.score ]'

# Histograms: columns that have numbers for names.
{
    printf '# iteration\tbelow_01\tsafe\t0\t0.5\t1\n'
    printf '10\t.5\t.6\t1\t0\t3\n20\t.7\t.6\t3\t1\t0\n40\t.7\t-\t0\t0\t0\n'
} >run.gammas.tsv
status 0 'a histogram and shares' qd-plot -o x.png run.gammas.tsv
curve 1.histogram '10 0.25 9.5 15 0 0.5 0.25
10 1.25 9.5 15 1 1.5 0.75
20 0.25 15 30 0 0.5 0.75
20 0.75 15 30 0.5 1 0.25' 'boxes half way to the neighbours, with shares; none where there are no counts'
curve 1.below_01 '10 0.5
20 0.7
40 0.7' 'a share'
ok 'drawn by color' grep -q "^plot '1.histogram' .* palette" seen/plot.gp
ok 'the others are not there' sh -c '! grep -q loss seen/plot.gp'
status 0 'one of several' qd-plot -l -s 2 -o - -y histogram run.gammas.tsv run.gammas.tsv
ok 'a panel each' sh -c 'grep "^plot" seen/plot.gp | cut -c 1-20 | tr "\n" " " | grep -qx "plot .1.histogram. u plot .2.histogram. u "'
status 0 'as text' qd-plot -y histogram run.gammas.tsv
curve 1.histogram '10 0.75 @
20 0.75 @' 'a letter for four bins'
status 1 'logs have none' qd-plot -y histogram good.log
stderr_like "^qd-plot: good.log:2: no column 'histogram' [(]iteration, "
status 0 'with logs that have none' qd-plot -o - good.log run.gammas.tsv
ok 'and the loss' sh -c 'grep -c "^plot" seen/plot.gp | grep -qx 6'

# What is no log.  bad LINE-OF-INPUT MESSAGE
bad()
{
    status 1 "$2" qd-plot -y loss bad.log
    stdout_is ''
    stderr_is "qd-plot: $2"
}

printf 'a\tb\n' >bad.log
bad columns 'bad.log:1: 2 columns instead of 12'
row x 0 8 1 - >bad.log
bad iteration "bad.log:1: iteration 'x' is not a number"
row -1 0 8 1 - >bad.log
bad negative "bad.log:1: iteration '-1' is not a number"
(cat good.log && row 9 0 8 0x10 -) >bad.log
bad loss "bad.log:8: loss '0x10' is not a number"
row 1 0 8 1111111111111111111111111111111111111111111 - >bad.log
bad long "bad.log:1: loss '1111111111111111111111111111111111111111' is not a number"
(printf '# iteration\tloss\n' && row 1 0 8 1 -) >bad.log
bad header 'bad.log:2: 12 columns instead of 2'
printf '# iteration\tcost\n1\t2\n' >bad.log
bad missing "bad.log:2: no column 'loss' (iteration, cost)"
printf '# iteration\tcost\n1\t2\n' >bad.log
status 0 'which may have any name' qd-plot -y cost bad.log
status 1 'without what lies below' qd-plot -x epoch -y cost bad.log
stderr_is "qd-plot: bad.log:2: no column 'epoch' (iteration, cost)"
sed '3s/\t1\t0$/\t1\t0.5/' run.gammas.tsv >bad.log
status 1 'half a factor' qd-plot bad.log
stderr_is "qd-plot: bad.log:3: count '0.5' is not a number"
head -c 20000 "$QD_ROOT/Makefile" | tr '# e' 'x\000\377' >bad.log
status 1 'garbage' qd-plot bad.log
stderr_like '^qd-plot: bad.log:1: [0-9]* columns instead of 12$'
status 1 'an empty log' qd-plot good.log empty.log
stderr_is 'qd-plot: empty.log: no iterations in it'
status 1 'no log' qd-plot good.log none.log
stderr_is "qd-plot: cannot read 'none.log': No such file or directory"
status 1 'a folder' qd-plot .
stderr_is "qd-plot: cannot read '.': Is a directory"
status 1 'a device without end' qd-plot /dev/zero
stderr_is "qd-plot: '/dev/zero' is not a file"

# Names and titles reach gnuplot as text between single quotes, whatever is in them.
name=$(printf 'a`touch x`"'"'"'$(touch y) %%s\\\n@z;{:Bold b}.log')
cp good.log "./$name"
cp good.log ./-y.log
bytes=$(printf '\377\303.log')
cp good.log "./$bytes"
status 0 'odd names' qd-plot -y loss -t "it's" -- "$name" -y.log "$bytes"
ok 'nothing of them ran' sh -c '[ ! -e x ] && [ ! -e y ] && [ ! -e seen/x ]'
ok 'a quote is doubled' grep -qF "set title 'it''s'" seen/plot.gp
ok 'a name is one word' grep -qF \
    "title '"'a`touch x`"'"''"'$(touch y) %s\?@z;{:Bold b}'"', " seen/plot.gp
ok 'as is one that looks like an option' grep -qF "title '-y', " seen/plot.gp
ok 'what is no UTF-8 is shown so' grep -qF "title '??'" seen/plot.gp
status 1 'a message is one line' qd-plot "$name.x"
stderr_lines 1

# What gnuplot can do wrong.
printf '#!/bin/sh\necho "first" >&2\necho "line 5: no memory" >&2\nexit 1\n' >fake/gnuplot
status 1 'gnuplot fails' qd-plot good.log
stderr_is 'qd-plot: gnuplot: line 5: no memory'
echo keep >kept.png
printf '#!/bin/sh\nprintf "\\211PNG\\r\\n" >plot.png\n' >fake/gnuplot
status 1 'half a picture' qd-plot -f -o kept.png good.log
stderr_like '^qd-plot: gnuplot wrote no picture'
ok 'the old one is still there' grep -qx keep kept.png
ok 'and nothing beside it' sh -c '[ "$(ls | grep -c kept)" -eq 1 ]'
mkdir few
for tool in awk cat chmod cp cut env grep iconv mktemp mv rm sed sh stty tail tr wc; do
    ln -s "$(command -v "$tool")" few/
done
status 1 'without gnuplot' env PATH="$PWD/few" "$QD_BIN/qd-plot" good.log
stderr_is 'qd-plot: gnuplot is not installed (package gnuplot-nox of Debian)'
status 1 'a bad log comes first' env PATH="$PWD/few" "$QD_BIN/qd-plot" empty.log
stderr_is 'qd-plot: empty.log: no iterations in it'
status 1 'no folder for temporary files' env TMPDIR=/none/x "$QD_BIN/qd-plot" good.log
stderr_like "^qd-plot: cannot create a folder in '/none/x': No such file or directory\$"

# Misuse.  wrong MESSAGE ARGUMENT...
wrong()
{
    message=$1
    shift
    status 2 "$message" qd-plot "$@"
    ok 'one line, then the synopsis' sh -c \
        'head -n 1 "$1" | grep -qxF "qd-plot: $2" && sed -n 2p "$1" | grep -q "^usage: "' - \
        "$ERR" "$message"
}

wrong "option -y/--curves: 'a b' is not a list of columns" -y 'a b' good.log
wrong "option -y/--curves: 'a,,b' is not a list of columns" -y a,,b good.log
wrong 'option -y/--curves: more than 16 columns' -y a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q good.log
wrong "option -x/--axis: 'time' is not one of iteration|epoch|images" --AXIS=time good.log
wrong "option -s/--smooth: 'x' is not a whole number" -sx good.log
wrong 'option -s/--smooth: 0 is not in 1 to 100000' good.log -s 0
wrong 'option -s/--smooth: 99999999999999999999 is not in 1 to 100000' -s 99999999999999999999
wrong 'option -s/--smooth needs a value (N)' good.log -s
wrong 'option -x/--axis needs a value (iteration|epoch|images)' --axis
wrong "option -i/--img-size: '5x500' is not a size (N or WxH, 10 to 4096)" --img_size 5x500
wrong "option -i/--img-size: '500x' is not a size (N or WxH, 10 to 4096)" -i 500x
wrong 'option --quiet takes no value' --quiet=1
wrong "no such option: '--curve'" --curve x
wrong "no such option: '--y'" --y x
wrong "no such option: '-Z'" -fZ
wrong 'no LOG ... given' -fq

# Where a picture goes; the checks of its place come before gnuplot.
PATH=$real
status 1 'not over another file' qd-plot -o kept.png good.log
stderr_is "qd-plot: 'kept.png' exists already (use -f to replace it)"
status 1 'not over a folder' qd-plot --force -o few good.log
stderr_is "qd-plot: cannot write 'few': Is a directory"

if ! command -v gnuplot >/dev/null; then
    skip 1 'gnuplot is not installed'
    finish
fi

# size FILE: width and height of a PNG.
size()
{
    od -A n -t u1 -j 16 -N 8 "$1" | awk '{ print $3 * 256 + $4, $7 * 256 + $8 }'
}

is_png()
{
    [ "$(od -A n -t x1 -N 8 "$1" | tr -d ' ')" = 89504e470d0a1a0a ] && tail -c 8 "$1" | grep -q IEND
}

(umask 027 && qd-plot --output new.png -t title good.log squares.log 2>said)
ok 'a picture, in silence' test ! -s said
ok 'is a PNG' is_png new.png
ok 'of the usual size' test "$(size new.png)" = '960 810'
ok 'with the mode that the user wants' sh -c 'ls -l new.png | grep -q "^-rw-r-----"'
status 0 'of another size, over the old one' qd-plot -f -o kept.png -i 320x200 -l -y loss good.log
ok 'is a PNG' is_png kept.png
ok 'of that size' test "$(size kept.png)" = '320 200'
ok 'nothing is left beside them' sh -c '! ls -a | grep -q "tmp-"'
status 0 'on standard output' qd-plot -o - --title "it's {/:Bold x}" "$name" "$bytes" -- -y.log
ok 'is a PNG' is_png "$OUT"
status 1 'a disk that is full' qd-plot -f -o /dev/full good.log
stderr_is "qd-plot: cannot write '/dev/full': No space left on device"
status 1 'a full disk behind standard output' sh -c 'qd-plot good.log >/dev/full'
stderr_is "qd-plot: cannot write 'standard output': No space left on device"
status 1 'a folder that is not there' qd-plot -o none/x.png good.log
stderr_is "qd-plot: cannot create 'none/x.png': No such file or directory"

status 0 'a histogram' qd-plot -f -o kept.png run.gammas.tsv
ok 'is a PNG' is_png kept.png
ok 'of three panels' test "$(size kept.png)" = '960 810'
status 0 'as text' env COLUMNS=60 qd-plot run.gammas.tsv
stdout_like '^[ .0-9|+-]*@'

status 0 'text' env COLUMNS=60 qd-plot -y loss,score -t above good.log squares.log
stderr_is ''
stdout_has above
stdout_like '^ *good \*+'
stdout_like 'squares #+$'
stdout_like '^ *(loss)? *625 |^ *700 ' 'the scale reaches to the top'
ok 'in 60 columns' sh -c '! grep -q ".\{61\}" "$1" && grep -q ".\{55\}" "$1"' - "$OUT"
ok 'what lies below is named once' sh -c '[ "$(grep -c "^ *iteration$" "$1")" -eq 1 ]' - "$OUT"
status 0 'text of a given size' qd-plot -i 50x12 -y loss good.log
ok 'in at most as many lines' sh -c '[ "$(wc -l <"$1")" -le 12 ]' - "$OUT"
status 0 'text and PNG of extremes' sh -c \
    'qd-plot -l huge.log negative.log one.log && qd-plot -i 10 -o s.png good.log &&
    qd-plot -i 10 good.log'
finish
