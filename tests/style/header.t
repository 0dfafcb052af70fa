# SPDX-License-Identifier: MIT
# qd.h: alone, as C and as C++; every function has a contract and a place in libqd(3).  The headers
# of the library stand alone too.
. "$(dirname "$0")/../lib.sh"

cc=${CC:-cc}
h=$QD_ROOT/lib/qd.h

echo '#include "qd.h"' >x.c
cp x.c x.cc
status 0 'qd.h alone' "$cc" -std=c11 -pedantic -Wall -Wextra -Werror -I"$QD_ROOT/lib" -c x.c
stderr_is '' 'without a warning'
if command -v c++ >/dev/null; then
    status 0 'qd.h as C++' c++ -std=c++11 -pedantic -Wall -Wextra -Werror -I"$QD_ROOT/lib" -c x.cc
else
    skip 1 'no C++ compiler'
fi
for f in "$QD_ROOT"/lib/*/*.h "$QD_ROOT"/lib/*/*/*.h; do
    [ -f "$f" ] || continue
    case $f in
    */ops/vec*.h) continue ;; # needs the instruction set that make passes
    esac
    printf '#include "%s"\n' "${f#"$QD_ROOT"/lib/}" >>all.c
    printf '#include "%s"\n' "${f#"$QD_ROOT"/lib/}" >one.c
    "$cc" -std=c11 -D_POSIX_C_SOURCE=200809L -I"$QD_ROOT/lib" -fsyntax-only one.c 2>>log ||
        echo "$f"
done >bad
ok 'every header stands alone' sh -c 'cat bad log; [ ! -s bad ]'
status 0 'all headers together' "$cc" -std=c11 -D_POSIX_C_SOURCE=200809L -I"$QD_ROOT/lib" \
    -fsyntax-only all.c

# A function's contract stands above it, or above others in the same paragraph.
awk '/^$/ { said = 0 }
    /\*\/$/ { said = 1 }
    /^[a-z].*qd_[a-z0-9_]*\(/ && !/^typedef/ {
        name = $0
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
        print name >"functions"
        if (!said)
            print "qd.h:" NR ": " name
    }' "$h" >bad
ok 'functions were found' test "$(wc -l <functions)" -ge 60
ok 'every function has a contract' sh -c 'cat bad; [ ! -s bad ]'
page=$QD_ROOT/man/libqd.3
while read -r name; do
    grep -qw "$name" "$page" 2>/dev/null || echo "$name"
done <functions >bad
ok 'every function is in libqd(3)' sh -c 'cat bad; [ ! -s bad ]'
grep -o 'qd_[a-z0-9_]*' "$page" 2>/dev/null | sort -u | while read -r name; do
    grep -qw "$name" "$h" || echo "$name"
done >bad
ok 'libqd(3) names nothing that is not there' sh -c 'cat bad; [ ! -s bad ]'

# And each is defined in the library.
lib=${QD_LIB:-$QD_ROOT/build/lib/libqd.a}
if [ -f "$lib" ]; then
    nm -g --defined-only "$lib" | awk 'NF == 3 { print $3 }' | sort -u >defined
    sort -u functions | comm -23 - defined >bad
    ok 'every function is defined' sh -c 'cat bad; [ ! -s bad ]'
else
    skip 1 "no $lib"
fi
finish
