# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2094,SC2317
#
# The manual pages agree with the programs: the synopsis is that of -h, every option is listed as -h
# names it, every function of the library is on the map, and what is generated is up to date.
. "$(dirname "$0")/../lib.sh"

man=$QD_ROOT/man

if command -v mandoc >/dev/null; then
    for page in "$man"/*.[1-9]; do
        ok "$(basename "$page"): mandoc has nothing to say" \
            sh -c 'out=$(mandoc -T lint -W warning "$1"); echo "$out"; [ -z "$out" ]' - "$page"
    done
else
    skip 1 'mandoc is not installed'
fi

# The SYNOPSIS of a page as -h prints it, on one line.
synopsis()
{
    awk '
        /^\.Sh / { on = $2 == "SYNOPSIS"; next }
        !on { next }
        {
            macro = $1
            $1 = ""
            gsub(/ Fl /, " -")
            gsub(/ Ar /, " ")
            gsub(/^ +/, "")
            if (macro == ".Op")
                $0 = "[" $0 "]"
            else if (macro == ".Fl")
                $0 = "-" $0
            printf "%s%s", n++ ? " " : "", $0
        }' "$1"
}

# sorted OPTIONS: an option list, each as '-x, --name ARG'.
listed()
{
    sed -n 's/^\.It Fl \(.\) , Fl -\([a-z-]*\)\( Ar \(.*\)\)\{0,1\}$/-\1, --\2 \4/p' "$1" |
        sed 's/ $//'
}

for page in "$man"/qd-*.1; do
    command=$(basename "$page" .1)
    status 0 "$command -h" "$command" -h
    awk '/^usage: /, !/^usage: |^ / { if (/^usage: |^ /) print }' "$OUT" |
        sed 's/^usage: //' | tr -s ' \n' ' ' | sed 's/ $//' >usage
    synopsis "$page" >synopsis
    echo >>usage
    echo >>synopsis
    same_bytes synopsis usage "$command: SYNOPSIS is what -h prints"
    sed -n 's/^  \(-., --[a-z-]*\)\( \([^ ][^ ]*\)\)\{0,1\} .*/\1 \3/p' "$OUT" | sed 's/ $//' |
        sort -f >options
    listed "$page" >page_options
    sort -f page_options >sorted
    same_bytes sorted options "$command: the options are those of -h"
    sort -f -k 1.2,1.2 page_options | cut -c 2 >letters
    cut -c 2 page_options >page_letters
    ok "$command: options in alphabetical order" \
        sh -c 'tr A-Z a-z <page_letters >a; tr A-Z a-z <letters >b; cmp a b'
    for s in 0 1 2; do
        ok "$command: exit status $s is described" grep -qx "\.It $s" "$page"
    done
done

# Functions of the public header are on the map, and the other way round.
grep -oE '\bqd_[a-z0-9_]+\(' "$QD_ROOT/lib/qd.h" | tr -d '(' | sort -u |
    grep -vxE 'qd_log_fn' >functions
grep -E '^\.It Fn' "$man/libqd.3" | tr ' ' '\n' | grep '^qd_' | sort -u >map
same_bytes map functions 'libqd(3) names the functions of qd.h'

awk '/^\.Bd / { on = 1; next } /^\.Ed/ { exit } on' "$man/libqd.3" | sed 's/\\e/\\/g' >find.c
ok 'the program of libqd(3) compiles' "${CC:-cc}" -std=c11 -Wall -Wextra -Werror \
    -I "$QD_ROOT/lib" -c find.c -o find.o

# Every command is in qd(7), and qd(7) names no other.
grep -oE '^\.It Xr qd-[a-z-]+ 1' "$man/qd.7" | cut -d ' ' -f 3 | sort >named
(cd "$QD_ROOT/cmd" && ls qd-*.c qd-*.sh) | sed 's/\.[a-z]*$//' | sort >commands
same_bytes named commands 'qd(7) names the commands'
(cd "$QD_ROOT/cfg" && ls ./*.cfg) | sed 's,^\./,,; s,\.cfg$,,' >shipped
while read -r name; do
    grep -qE "(^|[ ,])$name([,. ]|\$)" "$man/qd.7" || echo "$name"
done <shipped >missing
ok 'qd(7) names the shipped architectures' sh -c 'cat missing; [ ! -s missing ]'

if command -v python3 >/dev/null; then
    ok 'the key tables of qd-cfg(5) are those of the program' \
        "$QD_ROOT/scripts/mkkeys" --check
    ok 'the command table of README.md is that of qd(7)' "$QD_ROOT/scripts/mkreadme" --check
    ok 'mkkeys notices a key that the page lacks' \
        sh -c 'printf "x\tkey\tint\t-\t-\t-\t-\thelp\n" >keys; ! "$1" --check keys' - \
        "$QD_ROOT/scripts/mkkeys"
else
    skip 3 'python3 is not installed'
fi
finish
