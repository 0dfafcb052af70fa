# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What the scripts/get-* share.  Each begins with
#
#     . "$(dirname "$0")/get.sh"
#     begin NAME "$@"
#
# which reads [-n] [DIR], and sets $dir, the folder of the data set (NAME), and $src, where archives
# are kept and unpacked (DIR.src).  What is there is not fetched again.

set -eu

check=1

begin()
{
    set_name=$1
    shift
    if [ "${1:-}" = -n ]; then
        check=
        shift
    fi
    case $#,${1:-} in
    0, | 1,[!-]*) ;;
    *)
        echo "usage: scripts/get-$set_name [-n] [DIR]   (-n: do not check the archives)" >&2
        exit 2
        ;;
    esac
    dir=${1:-$set_name}
    src=$dir.src
    here=$(cd "$(dirname "$0")/.." && pwd)
    PATH=${QD_BIN:-$here/build/bin}:$PATH
    for tool in qd-import md5sum; do
        command -v "$tool" >/dev/null || fail "'$tool' is not there"
    done
    if [ -e "$dir" ]; then
        fail "'$dir' exists already"
    fi
    mkdir -p "$src/archives"
}

fail()
{
    echo "get-$set_name: $1" >&2
    exit 1
}

# fetch URL [MD5]: the file is $src/archives/NAME afterwards.
fetch()
{
    file=$src/archives/${1##*/}
    if [ ! -f "$file" ]; then
        echo "get-$set_name: fetching $1"
        if command -v curl >/dev/null; then
            curl -L --fail -C - -o "$file.part" "$1" || fail "cannot fetch '$1'"
        elif command -v wget >/dev/null; then
            wget -c -O "$file.part" "$1" || fail "cannot fetch '$1'"
        else
            fail "neither 'curl' nor 'wget' is there"
        fi
        mv "$file.part" "$file"
    fi
    if [ -n "$check" ] && [ -n "${2:-}" ]; then
        sum=$(md5sum <"$file")
        [ "${sum%% *}" = "$2" ] ||
            fail "'$file' is damaged (its checksum is not $2): remove it and try again"
    fi
}

# unpack NAME: an archive of $src/archives, into $src; once.
unpack()
{
    [ ! -e "$src/archives/$1.unpacked" ] || return 0
    case $1 in
    *.zip) unzip -q -o "$src/archives/$1" -d "$src" ;;
    *) tar -xf "$src/archives/$1" -C "$src" ;;
    esac || fail "cannot unpack '$src/archives/$1'"
    : >"$src/archives/$1.unpacked"
}

# by_hand NAME WHERE: an archive that must be fetched by a person, who agrees to its terms.
by_hand()
{
    [ -f "$src/archives/$1" ] ||
        fail "get '$1' from $2 and put it into '$src/archives/', then run this again"
}

# import FORMAT SRC [OPTION...]
import()
{
    format=$1
    from=$2
    shift 2
    qd-import "$format" "$from" -o "$dir" "$@" || fail "the import failed"
}
