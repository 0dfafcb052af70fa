# SPDX-License-Identifier: MIT
#
# Every '.Dl $ ...' line of every page, and every '$ ' line of README.md, is typed in a copy of the
# tree, in the order of the page, and must end with status 0 and say nothing on standard error.
# Examples with a real model or data set run where the real data is.
. "$(dirname "$0")/../lib.sh"

mkdir tree
(cd "$QD_ROOT" && tar -cf - --exclude './build*' --exclude ./.git cfg data man README.md \
    2>/dev/null) | (cd tree && tar -xf -)
real=
if [ -d "$QD_SHARED/data/models" ]; then
    real=1
    cp "$QD_SHARED"/data/models/yolo-fastest-1.1.* "$QD_SHARED"/data/models/dog.jpg tree/
    mkdir tree/photos
    find "$QD_SHARED/data/coco128/images" -name '*.jpg' | sort | head -n 12 >some
    (cd tree/photos && while read -r f; do ln -s "$f" .; done) <some
    cp "$QD_SHARED/data/coco128/coco.names" "$QD_SHARED/data/coco128/darknet-detections.json" tree/
    find "$QD_SHARED/data/coco128/images" -name '*.jpg' | sort >tree/coco128.txt
    printf 'classes=80\nvalid=coco128.txt\nnames=coco.names\n' >tree/coco128.data
fi
cd tree || exit 99

for page in man/*.[1-9] README.md; do
    sed -n 's/^\.Dl \$ //p; s/^    \$ //p' "$page" | sed 's/\\&//g; s/\\e/\\/g; s/\\-/-/g' >../lines
    n=0
    while IFS= read -r line; do
        n=$((n + 1))
        case $line in
        *yolo-fastest* | *coco128* | *photos* | *dog.jpg*)
            if [ -z "$real" ]; then
                skip 2 "$(basename "$page") $n: no real data"
                continue
            fi
            ;;
        esac
        case $line in
        *ffmpeg*)
            if ! command -v ffmpeg >/dev/null; then
                skip 2 "$(basename "$page") $n: ffmpeg is not installed"
                continue
            fi
            ;;
        esac
        case $line in
        qd-plot*)
            if ! command -v gnuplot >/dev/null; then
                skip 2 "$(basename "$page") $n: gnuplot is not installed"
                continue
            fi
            ;;
        esac
        # What goes wrong before a pipe does not show in the status, but it is not silent.
        status 0 "$(basename "$page") $n: $line" sh -c "$line" </dev/null
        stderr_is '' 'silently'
    done <../lines
done

# The objects that README.md shows are those that are found, to the digits that every machine gives.
objects()
{
    awk '$1 == "dog.jpg" { printf "%s %s %.2f %.0f %.0f\n", $2, $3, $4, $5, $6 }'
}

if [ -n "$real" ]; then
    sed -n 's/^    dog/dog/p' README.md | objects >../shown
    qd-detect -c yolo-fastest-1.1.cfg -w yolo-fastest-1.1.weights -N coco.names -t .3 dog.jpg |
        objects >../found
    same_bytes ../shown ../found 'README.md shows what is found'
else
    skip 1 'README.md: no real data'
fi
finish
