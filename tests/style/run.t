# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317
# The test runner itself: every way in which a test can fail must be seen.
. "$(dirname "$0")/../lib.sh"

# script NAME: a test script with the text of standard input.
script()
{
    cat >"$1"
}

run()
{
    env -u QD_TEST_TALLY "$QD_ROOT/tests/run" "$@"
}

last_is()
{
    tail -n 1 "$OUT" >last
    echo "$1" >want
    same_bytes last want "last line: $1"
}

script good.t <<'END'
echo 1..2
echo 'ok 1 - a'
echo 'ok 2 # SKIP b'
END
script plain.t <<'END'
echo 'ok 1 - a'
echo 1..1
END
script fails.t <<'END'
echo 1..2
echo 'ok 1 - a'
echo 'not ok 2 - the reason'
echo 'some words on stderr' >&2
exit 1
END
script lies.t <<'END'
echo 1..1
echo 'not ok 1 - a'
END
script short.t <<'END'
echo 1..3
echo 'ok 1 - a'
END
script long.t <<'END'
echo 1..1
echo 'ok 1 - a'
echo 'ok 2 - a'
END
script noplan.t <<'END'
echo 'ok 1 - a'
END
script twice.t <<'END'
echo 1..1
echo 1..1
echo 'ok 1 - a'
END
script silent.t </dev/null
script crash.t <<'END'
echo 1..1
echo 'ok 1 - a'
kill -SEGV $$
END
script hang.t <<'END'
echo 1..1
echo 'ok 1 - a'
sleep 60 &
sleep 60
END
script status.t <<'END'
echo 1..1
echo 'ok 1 - a'
exit 7
END
script skipped.t <<'END'
echo '1..0 # SKIP nothing to do'
END
script signals.t <<'END'
echo 1..1
sh -c 'kill -INT $$; exit 0'
[ $? -eq 130 ] && echo 'ok 1 - interrupts are not ignored' || exit 1
END
cp good.t 'with blank.t'

status 0 'good tests pass' run good.t plain.t
last_is '2 passed, 0 failed, 1 skipped'
status 0 'without a skipped check' run plain.t
last_is '1 passed, 0 failed'
status 0 'a test that skips everything' run skipped.t
last_is '0 passed, 0 failed, 1 skipped'
status 0 'a name with a blank' run 'with blank.t'
last_is '1 passed, 0 failed, 1 skipped'
status 0 'a test can be interrupted by itself' run signals.t
status 1 'a failed check' run good.t fails.t
last_is '2 passed, 1 failed, 1 skipped'
stdout_has 'not ok 2 - the reason' 'the failed check is printed'
stdout_has 'some words on stderr' 'and what it wrote to standard error'
for t in lies:0:'in spite of failures' short:1:'1 results, 3 planned' \
    long:2:'2 results, 1 planned' noplan:1:'no plan' twice:1:'more than one plan' \
    silent:0:'no plan' crash:1:'killed by signal 11' status:1:'exit status 7'; do
    name=${t%%:*}
    rest=${t#*:}
    failed=1
    [ "$name" != lies ] || failed=2
    status 1 "$name.t fails" run "$name.t"
    last_is "${rest%%:*} passed, $failed failed"
    stdout_has "${rest#*:}"
done
begin=$(date +%s)
status 1 'a test that hangs' run -t 1 hang.t
stdout_has 'stopped after 1 s'
ok 'and is stopped' test $(($(date +%s) - begin)) -lt 20
status 1 'a test that is not there' run none.t
status 2 'no test at all' run
status 2 'a bad option' run -x good.t
status 2 'a bad number of jobs' run -j two good.t
status 0 'four at a time' run -j 4 good.t plain.t good.t plain.t good.t
last_is '5 passed, 0 failed, 3 skipped'
status 0 'the tally file' env QD_TEST_TALLY=tally "$QD_ROOT/tests/run" plain.t
ok 'has the last line' grep -qx '1 passed, 0 failed' tally

# The helpers of lib.sh.
helpers()
{
    { echo ". '$QD_ROOT/tests/lib.sh'"; cat; echo finish; } >helpers.t
    status "$1" "$2" sh helpers.t
}
helpers 0 'lib.sh: passing checks' <<'END'
plan 9
status 1 'exact status' sh -c 'echo out; echo err >&2; exit 1'
stdout_is out
stderr_is err
stdout_has u
stderr_like '^e.r$'
stdout_lines 1
near 1.5e0 1 .5
same_bytes "$OUT" "$OUT"
ok 'command' true
END
for bad in 'status 0 x false' 'status 139 x sh -c "exit 1"' 'status 5 x sh -c "exit 5"' \
    'ok x false' 'near nan nan 1' 'near 1 2 .5' 'near "" 0 1' 'stdout_is x' 'stdout_has x' \
    'same_bytes /dev/null /etc/passwd' 'stderr_lines 1' 'plan 2; ok x true'; do
    helpers 1 "lib.sh: must fail: $bad" <<END
$bad
END
done
finish
