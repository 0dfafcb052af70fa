# SPDX-License-Identifier: MIT
# Small enough to be read: files of at most 600 lines, functions of at most 80 lines and six
# parameters (not counting the error), and at most four levels of nesting.
. "$(dirname "$0")/../lib.sh"

# File, why it may be longer.  At most five.
cat >long_files <<'END'
lib/qd.h the whole public contract in one place
END

# Function, why it may have more parameters.  At most five.
cat >wide_functions <<'END'
END

files()
{
    find "$QD_ROOT/lib" "$QD_ROOT/cmd" "$QD_ROOT/tests" "$QD_ROOT/scripts" \
        -type f \( -name '*.[ch]' -o -name '*.t' -o -name '*.sh' -o -name '*.py' \) | sort
}

files | tr '\n' '\0' | xargs -0 wc -l | sed "s|$QD_ROOT/||" |
    awk '$1 > 600 && $2 != "total" { print $2 ": " $1 " lines" }' | while read -r line; do
    grep -q "^${line%%:*} " long_files || echo "$line"
done >bad
ok 'files of at most 600 lines' sh -c 'cat bad; [ ! -s bad ]'
ok 'at most five exceptions' test "$(wc -l <long_files)" -le 5

# Function bodies are between '{' and '}' in the first column; what stands above the brace, up to a
# blank line, the end of a comment, a directive or another '}', is the head.
judge()
{
    awk -v f="$2" '
        function params(s,   i, c, depth, n) {
            i = index(s, "(")
            n = substr(s, i) ~ /^\([ ]*(void)?[ ]*\)/ ? 0 : 1
            for (; i <= length(s); i++) {
                c = substr(s, i, 1)
                if (c == "(")
                    depth++
                else if (c == ")" && --depth == 0)
                    break
                else if (c == "," && depth == 1)
                    n++
            }
            return s ~ /struct qd_error \*[a-z]+\)$/ ? n - 1 : n
        }
        /^$/ || /\*\/$/ || /^#/ { head = ""; start = NR + 1; next }
        /^\{/ { if (head ~ /\(/) { body = 1; begin = start } }
        !body { if (head == "") start = NR; head = head (head == "" ? "" : " ") $0 }
        body && /^                    +(for|if|while|switch|do)( |$)/ {
            print f ":" NR ": nesting deeper than four"
        }
        /^\}/ {
            if (body) {
                name = head
                sub(/\(.*/, "", name)
                sub(/.*[ *]/, "", name)
                if (NR - begin + 1 > 80)
                    print f ":" begin ": " name " has " NR - begin + 1 " lines"
                if (params(head) > 6)
                    print f ":" begin ": " name " has " params(head) " parameters"
            }
            body = 0
            head = ""
            start = NR + 1
        }' "$1"
}

all()
{
    find "$QD_ROOT/lib" "$QD_ROOT/cmd" "$QD_ROOT/tests" -name '*.c' | sort | while read -r f; do
        judge "$f" "${f#"$QD_ROOT"/}"
    done
}
all >found
grep ' lines$' found >bad
ok 'functions of at most 80 lines' sh -c 'cat bad; [ ! -s bad ]'
grep ' parameters$' found | while read -r line; do
    name=$(echo "$line" | sed 's/.*: \([a-z0-9_]*\) has.*/\1/')
    grep -q "^$name " wide_functions || echo "$line"
done >bad
ok 'functions of at most six parameters' sh -c 'cat bad; [ ! -s bad ]'
ok 'at most five exceptions' test "$(wc -l <wide_functions)" -le 5
grep ' nesting ' found >bad
ok 'nesting of at most four' sh -c 'cat bad; [ ! -s bad ]'

# The check itself.
{
    echo 'static void seven(int a, int b, int c, void (*d)(int, int), int e, int f,'
    echo '    int g, struct qd_error *err)'
    echo '{'
    i=0
    while [ $i -lt 77 ]; do
        echo "    x$i();"
        i=$((i + 1))
    done
    echo '                    if (a)'
    echo '}'
    echo
    echo 'static int six(int a, int b, int c, int d, int e, int f, struct qd_error *err)'
    echo '{'
    echo '}'
} >x.c
judge x.c x.c >bad
cat >want <<'END'
x.c:81: nesting deeper than four
x.c:1: seven has 82 lines
x.c:1: seven has 7 parameters
END
same_bytes bad want 'the check finds what it looks for'
finish
