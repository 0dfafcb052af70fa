# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
# qd-toy: the sets that it writes, and misuse.
. "$(dirname "$0")/../lib.sh"

status 0 'a set for detection' qd-toy detect -o toy -n 12 -e 2 -i 96x64 -s 3 -L easy -C 3
stdout_is '' 'silent on standard output'
stderr_is '' 'and on standard error'
printf 'disc\nsquare\ntriangle\n' >want
same_bytes toy/toy.names want
cat >want <<END
classes=3
train=$PWD/toy/train.txt
valid=$PWD/toy/valid.txt
names=$PWD/toy/toy.names
END
same_bytes toy/toy.data want '.data with absolute paths'
ok '10 for training' test "$(wc -l <toy/train.txt)" -eq 10
ok '2 for validation' test "$(wc -l <toy/valid.txt)" -eq 2
while read -r f; do
    [ -s "$f" ] && [ -f "toy/labels/train/$(basename "$f" .jpg).txt" ] || echo "$f"
done <toy/train.txt >bad
ok 'pictures and labels are there' sh -c 'cat bad; [ ! -s bad ]'
cat toy/labels/*/*.txt >labels
ok 'labels are five columns, classes 0 to 2' awk \
    'NF != 5 || $1 > 2 || $4 <= 0 || $5 <= 0 { exit 1 } END { exit NR < 12 }' labels

status 1 'a folder that is not empty' qd-toy detect -o toy -n 12
stderr_is "qd-toy: folder 'toy' is not empty (use -f to write into it)"
status 0 'is written into with -f' qd-toy detect -o toy/ -n 5 -i 64 --force
ok 'the lists name the new pictures only' \
    sh -c 'cat toy/train.txt toy/valid.txt | wc -l | grep -qx " *5"'

# The same pictures with any number of threads.
status 0 'one thread' qd-toy detect -o a -n 40 -i 64 -j 1 --level hard
status 0 'four threads' qd-toy detect -o b -n 40 -i 64 -j 4 --level hard
ok 'the same files' diff -r a/JPEGImages b/JPEGImages
ok 'the same labels' diff -r a/labels b/labels
status 0 'another seed' qd-toy detect -o c -n 40 -i 64 --seed 2 --level hard
ok 'other files' sh -c '! cmp -s a/JPEGImages/train/000000.jpg c/JPEGImages/train/000000.jpg'

status 0 'PNG, and no validation' qd-toy detect -o p --count 3 --valid 0 --png --img-size 64
ok 'PNG files' sh -c 'head -c 4 p/JPEGImages/train/000002.png | grep -q PNG'
ok 'no valid list' sh -c '[ ! -e p/valid.txt ] && ! grep -q valid p/p.data'

status 0 'a set for classification' qd-toy classify -o c10 -n 60 -e 10 -i 32
ok 'ten classes' test "$(wc -l <c10/c10.names)" -eq 10
ok 'the folder is the class' \
    sh -c 'grep -c "/c10/train/[a-z]*/[0-9]*.jpg$" c10/train.txt | grep -qx 50'
ok 'classifiers of darknet look for labels=' grep -qx "labels=$PWD/c10/c10.names" c10/c10.data

status 0 'a set for segmentation' qd-toy segment -o seg -n 5 --classes 2 -i 64
printf 'background\ndisc\nsquare\n' >want
same_bytes seg/seg.names want
ok 'a mask a picture' sh -c 'ls seg/masks/*/*.png | wc -l | grep -qx " *5"'
status 0 'the current folder, called by a dot' sh -c 'mkdir dot && cd dot && qd-toy detect -o . -n 1'
ok 'has a name nevertheless' test -f dot/dot.data

status 2 'no kind' qd-toy -o x
status 2 'an unknown kind' qd-toy paint -o x
ok 'the kinds are named' grep -qx \
    "qd-toy: 'paint' is not one of detect|classify|segment" "$ERR"
status 2 'no folder' qd-toy detect
status 2 'more for validation than there are' qd-toy detect -o x -n 3 -e 4
ok 'which is said' grep -qx 'qd-toy: -e/--valid 4 of -n/--count 3 pictures' "$ERR"
status 2 'too many classes' qd-toy detect -o x -C 11
status 2 'too small' qd-toy detect -o x -i 16
status 2 'too many threads' qd-toy detect -o x --threads 999
ok 'nothing was made' test ! -e x
status 1 'a folder below one that is not there' qd-toy detect -o none/x
stderr_is "qd-toy: cannot create folder 'none/x': No such file or directory"
: >file
status 1 'a file in place of the folder' qd-toy detect -o file
stderr_is "qd-toy: cannot create folder 'file': File exists"
finish
