# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
# scripts/get-*: without a network, with a 'curl' that copies archives made here.
. "$(dirname "$0")/../lib.sh"

command -v md5sum >/dev/null || skip_all 'no md5sum'
qd-toy detect -o toy -n 1 -e 0 -i 100x50 || exit 99
mkdir bin served
cat >bin/curl <<'END'
#!/bin/sh
# The last argument is the address, the one after -o the file.
while [ $# -gt 1 ]; do
    [ "$1" != -o ] || out=$2
    shift
done
echo "$1" >>../asked
cp "../served/${1##*/}" "$out" 2>/dev/null || { echo "curl: no ${1##*/}" >&2; exit 22; }
END
chmod +x bin/curl
PATH=$PWD/bin:$PATH
export QD_BIN PATH
get=$QD_ROOT/scripts

# voc YEAR SET: an archive as VOC's are, with one picture called YEAR_SET.
voc()
{
    d=made/VOCdevkit/VOC$1
    mkdir -p "$d/Annotations" "$d/JPEGImages" "$d/ImageSets/Main"
    cp toy/JPEGImages/train/000000.jpg "$d/JPEGImages/$1_$2.jpg"
    echo '<annotation><object><name>dog</name><bndbox><xmin>20</xmin><ymin>10</ymin>
        <xmax>40</xmax><ymax>30</ymax></bndbox></object></annotation>' >"$d/Annotations/$1_$2.xml"
    echo "$1_$2" >"$d/ImageSets/Main/$2.txt"
    tar -cf "served/$3" -C made VOCdevkit
    rm -r made
}
voc 2007 trainval VOCtrainval_06-Nov-2007.tar
voc 2007 test VOCtest_06-Nov-2007.tar
voc 2012 trainval VOCtrainval_11-May-2012.tar

mkdir work
cd work || exit 99
status 1 'an archive that is not the published one' "$get/get-voc"
stderr_is "get-voc: 'voc.src/archives/VOCtrainval_06-Nov-2007.tar' is damaged (its checksum is not \
c52e279531787c972589f7e41ab4ae64): remove it and try again"
status 0 'taken with -n' "$get/get-voc" -n
ok 'the first was not fetched again' test "$(wc -l <../asked)" -eq 3
ok 'three pictures' sh -c 'cat voc/train.txt voc/valid.txt | wc -l | grep -qx " *3"'
ok 'tests are for validation' grep -q '2007_test.jpg$' voc/valid.txt
status 0 'the template of the tree finds the set' qd-anchors -d "$QD_ROOT/data/voc.data" -n 1
status 1 'a set that is there' "$get/get-voc"
stderr_is "get-voc: 'voc' exists already"
status 1 'no network' "$get/get-oxfordhand" hands
stderr_has "get-oxfordhand: cannot fetch 'http://www.robots.ox.ac.uk/"
status 1 'by hand' "$get/get-dior"
stderr_like "^get-dior: get 'Annotations.zip' from .* and put it into 'dior.src/archives/'"
status 1 'by hand, with terms' "$get/get-bdd100k"
stderr_like "^get-bdd100k: get 'bdd100k_images_100k.zip' from https://bdd-data.berkeley.edu "
for s in coco visdrone; do
    status 1 "get-$s without a network" "$get/get-$s"
    stderr_has "get-$s: cannot fetch"
done
for s in voc coco oxfordhand visdrone bdd100k dior; do
    status 2 "get-$s with two folders" "$get/get-$s" a b
    d=$QD_ROOT/data/$s
    ok "$s.names has the classes of $s.data" \
        grep -qx "classes=$(wc -l <"$d.names" | tr -d ' ')" "$d.data"
    ok "$s.data has anchors without a zero" \
        sh -c 'grep -q "^#   yolov3 .*[0-9]" "$1" && ! grep -E "[ ,]0,|,0(,|\$)" "$1"' - "$d.data"
done
finish
