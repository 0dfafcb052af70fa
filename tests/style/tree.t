# SPDX-License-Identifier: MIT
# Nothing lies at the top, or in lib/, that design does not name; every command has its page, its
# test and its line in the overview.
. "$(dirname "$0")/../lib.sh"

if git -C "$QD_ROOT" ls-files >tracked 2>/dev/null && [ -s tracked ]; then
    cut -d/ -f1 tracked | sort -u >top
else
    (cd "$QD_ROOT" && find . -mindepth 1 -maxdepth 1 ! -name 'build*' ! -name config.mk) |
        sed 's|^\./||' | sort >top
fi
cat >allowed <<'END'
.ci
.clang-format
.editorconfig
.gitignore
CONTRIBUTING.md
LICENSE
Makefile
NEWS.md
README.md
cfg
cmd
data
lib
man
scripts
tests
END
comm -23 top allowed >bad
ok 'the top level' sh -c 'cat bad; [ ! -s bad ]'
for f in Makefile README.md CONTRIBUTING.md NEWS.md LICENSE; do
    [ -f "$QD_ROOT/$f" ] || echo "$f"
done >bad
ok 'what everybody looks for is there' sh -c 'cat bad; [ ! -s bad ]'
(cd "$QD_ROOT/lib" && find . -mindepth 1 -type d | sed 's|^\./||' | sort) |
    grep -vxE 'base|format|image|data(/import)?|ops|net(/layer)?|detect' |
    grep -vxE 'train(/loss)?|prune|quant' >bad
ok 'folders of lib' sh -c 'cat bad; [ ! -s bad ]'
awk 'END { exit NR > 250 }' "$QD_ROOT/Makefile"
ok 'the Makefile has at most 250 lines' test $? -eq 0

for f in "$QD_ROOT"/cmd/qd-*.c "$QD_ROOT"/cmd/qd-*.sh; do
    [ -f "$f" ] || continue
    c=$(basename "${f%.*}")
    page=$QD_ROOT/man/$c.1
    ok "$c has a page" test -f "$page"
    ok "$c has a test" test -f "$QD_ROOT/tests/cli/$c.t"
    ok "$c is in qd(7)" grep -q "$c" "$QD_ROOT/man/qd.7"
    ok "$c is in the README" grep -q "$c" "$QD_ROOT/README.md"
    if [ ! -x "$QD_BIN/$c" ]; then
        skip 3 "$c is not built"
        continue
    fi
    # Every option of -h is described in the page, and used by some test.
    status 0 "$c -h" "$c" -h
    grep -oE -e '--[a-z][a-z0-9-]*' "$OUT" | sort -u >options
    while read -r o; do
        sed 's/\\-/-/g; s/Fl Fl /Fl -/g' "$page" 2>/dev/null |
            grep -qE -e "Fl $(echo "$o" | sed 's/^-//')( |\$)" || echo "$o"
    done <options >bad
    ok "$c: every option is in its page" sh -c 'cat bad; [ ! -s bad ]'
    cat "$QD_ROOT"/tests/cli/*.t "$QD_ROOT"/tests/man/*.t >tests 2>/dev/null
    # A short option counts for its long name: -h prints them as '-x, --name'.
    while read -r o; do
        short=$(sed -n "s/.*\(-[A-Za-z]\), $o\([^a-z-].*\)*\$/\1/p" "$OUT" | head -n 1)
        grep -qE -e "(^|[ '\"])($o|${short:-$o})([^a-z-]|\$)" tests || echo "$o"
    done <options >bad
    ok "$c: every option is used by a test" sh -c 'cat bad; [ ! -s bad ]'
done
finish
