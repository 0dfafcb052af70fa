# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2016
#
# A test script in POSIX sh that speaks TAP.  It begins with
#
#     . "$(dirname "$0")/../lib.sh"
#
# and is then in an empty private folder ($QD_TMP, removed at exit), with the built programs first
# in PATH.  A script can be run by hand from anywhere: sh tests/cli/common.t
#
#   QD_ROOT    the top of the source tree, absolute; files of the tree are "$QD_ROOT/cfg/x.cfg"
#   QD_BIN     the folder of the built programs (build/bin); tests/run and make set it
#   QD_SHARED  the folder with real data (../shared beside the tree); it may be missing
#   QD_TMP     the private folder; the script starts there
#
# plan N                    how many checks follow; without it finish prints the count as the plan
# finish                    must come last: the plan if none was given, and the exit status
# ok NAME CMD...            passes if CMD (test, grep, a function ...) returns 0
# status CODE NAME CMD...   run CMD, its standard output goes to $OUT and its errors to $ERR; passes
#                           if it exits with exactly CODE (0, 1, 2; above 128 if killed on purpose)
# These look at the last 'status':
# stdout_is TEXT [NAME]     all of the output is TEXT and a newline ('' means no output at all)
# stdout_has TEXT [NAME]    some line of it contains TEXT (a fixed string)
# stdout_like ERE [NAME]    some line of it matches the extended regular expression
# stdout_lines N [NAME]     it has N lines
# stderr_is, stderr_has, stderr_like, stderr_lines      the same of standard error
# same_bytes A B [NAME]     two files have the same content
# near GOT WANT ATOL [NAME] two numbers differ by at most ATOL; not a number is a failure
# skip N WHY                count N checks as passed but skipped
# skip_all WHY              nothing can be checked: end the script, skipped
# diag TEXT                 a line for whoever reads the output of a failed test
# shared FILE               print the path of $QD_SHARED/data/FILE, or return 1 if it is not there:
#                               dog=$(shared models/dog.jpg) || skip_all 'no real data'
#
# Never pipe a tested command, the pipe hides its status: write '<file', and look at $OUT.

set -u
LC_ALL=C
export LC_ALL

if [ -z "${QD_ROOT:-}" ]; then
    QD_ROOT=$(dirname "$0")
    while [ ! -f "$QD_ROOT/tests/lib.sh" ]; do
        QD_ROOT=$QD_ROOT/..
    done
fi
QD_ROOT=$(cd "$QD_ROOT" && pwd) || exit 99
cd "$QD_ROOT" || exit 99
QD_BIN=$(cd "${QD_BIN:-build/bin}" 2>/dev/null && pwd) || QD_BIN=$QD_ROOT/build/bin
QD_SHARED=$(cd "${QD_SHARED:-../shared}" 2>/dev/null && pwd) || QD_SHARED=$QD_ROOT/../shared
PATH=$QD_BIN:$PATH
export QD_ROOT QD_BIN QD_SHARED PATH

QD_TMP=$(mktemp -d "${TMPDIR:-/tmp}/qd-test-XXXXXX") || exit 99
trap 'rm -rf "$QD_TMP" "$QD_TMP.io"' EXIT
trap 'exit 143' HUP INT TERM
mkdir "$QD_TMP.io" || exit 99
cd "$QD_TMP" || exit 99
OUT=$QD_TMP.io/out
ERR=$QD_TMP.io/err
: >"$OUT"
: >"$ERR"

tap_count=0
tap_failed=0
tap_plan=

plan()
{
    tap_plan=$1
    echo "1..$1"
}

diag()
{
    printf '%s\n' "$1" | sed 's/^/# /'
}

# The first lines of file $2, as comments under the heading $1.
tap_show()
{
    echo "# $1:"
    head -n 20 "$2" | cut -c 1-400 | sed 's/^/#   /'
}

# tap_report STATUS NAME: one result line; returns STATUS, so that callers can add comments.
tap_report()
{
    tap_count=$((tap_count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tap_count - $2"
        return 0
    fi
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $2"
    return 1
}

ok()
{
    tap_name=$1
    shift
    "$@" >"$QD_TMP.io/ok" 2>&1
    tap_report $? "$tap_name" && return 0
    diag "failed: $*"
    tap_show 'it printed' "$QD_TMP.io/ok"
    return 0
}

status()
{
    tap_want=$1
    tap_name=$2
    shift 2
    "$@" >"$OUT" 2>"$ERR"
    tap_got=$?
    tap_rc=0
    [ "$tap_got" -eq "$tap_want" ] || tap_rc=1
    # A crash is never what was expected; above 128 stands for a signal that the test sent.
    if [ "$tap_want" -gt 2 ] && [ "$tap_want" -le 128 ]; then
        tap_rc=1
    fi
    tap_report $tap_rc "$tap_name" && return 0
    diag "exit status $tap_got, expected $tap_want: $*"
    tap_show 'standard output' "$OUT"
    tap_show 'standard error' "$ERR"
    return 0
}

# tap_is FILE TEXT NAME
tap_is()
{
    if [ -n "$2" ]; then
        printf '%s\n' "$2" >"$QD_TMP.io/want"
    else
        : >"$QD_TMP.io/want"
    fi
    cmp -s "$QD_TMP.io/want" "$1"
    tap_report $? "$3" && return 0
    tap_show expected "$QD_TMP.io/want"
    tap_show got "$1"
    return 0
}

# tap_has FILE TEXT NAME GREP-OPTION
tap_has()
{
    grep -q "$4" -e "$2" "$1"
    tap_report $? "$3" && return 0
    diag "not found: $2"
    tap_show in "$1"
    return 0
}

# tap_lines FILE N NAME
tap_lines()
{
    tap_n=$(($(wc -l <"$1")))
    [ "$tap_n" -eq "$2" ]
    tap_report $? "$3" && return 0
    diag "$tap_n lines, expected $2"
    tap_show in "$1"
    return 0
}

stdout_is() { tap_is "$OUT" "$1" "${2:-standard output is '$1'}"; }
stderr_is() { tap_is "$ERR" "$1" "${2:-standard error is '$1'}"; }
stdout_has() { tap_has "$OUT" "$1" "${2:-standard output has '$1'}" -F; }
stderr_has() { tap_has "$ERR" "$1" "${2:-standard error has '$1'}" -F; }
stdout_like() { tap_has "$OUT" "$1" "${2:-standard output matches '$1'}" -E; }
stderr_like() { tap_has "$ERR" "$1" "${2:-standard error matches '$1'}" -E; }
stdout_lines() { tap_lines "$OUT" "$1" "${2:-$1 lines on standard output}"; }
stderr_lines() { tap_lines "$ERR" "$1" "${2:-$1 lines on standard error}"; }

same_bytes()
{
    cmp "$1" "$2" >"$QD_TMP.io/ok" 2>&1
    tap_report $? "${3:-$(basename "$1") and $(basename "$2") are the same}" && return 0
    tap_show difference "$QD_TMP.io/ok"
    return 0
}

near()
{
    awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN {
        num = "^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$"
        if (a !~ num || b !~ num || t !~ num)
            exit 1
        d = a - b
        exit !((d < 0 ? -d : d) <= t + 0)
    }' </dev/null
    tap_report $? "${4:-$1 is near $2}" && return 0
    diag "got '$1', expected '$2' within $3"
    return 0
}

skip()
{
    tap_left=$1
    while [ "$tap_left" -gt 0 ]; do
        tap_count=$((tap_count + 1))
        tap_left=$((tap_left - 1))
        echo "ok $tap_count # SKIP $2"
    done
}

skip_all()
{
    echo "1..0 # SKIP $1"
    exit 0
}

shared()
{
    [ -e "$QD_SHARED/data/$1" ] || return 1
    printf '%s\n' "$QD_SHARED/data/$1"
}

finish()
{
    [ -n "$tap_plan" ] || plan $tap_count
    if [ "$tap_failed" -gt 0 ]; then
        echo "# $tap_failed of $tap_count checks failed"
        exit 1
    fi
    [ "$tap_plan" -eq "$tap_count" ] || exit 1
    exit 0
}
