# SPDX-License-Identifier: MIT
# Every file of the tree as text: licence line, width, blanks, loose ends, paths of one machine.
. "$(dirname "$0")/../lib.sh"

dirs="$QD_ROOT/lib $QD_ROOT/cmd $QD_ROOT/tests"
# shellcheck disable=SC2086
find $dirs -name '*.[ch]' | sort >c_files
find "$QD_ROOT/tests" "$QD_ROOT/scripts" "$QD_ROOT/.ci" -type f \
    ! -path '*/corpus/*' -exec grep -l '^#!/bin/sh\|^# SPDX' {} + | sort >sh_files
find "$QD_ROOT/tests" -name '*.t' | sort >>sh_files

# clean NAME: passes if the file bad is empty.
clean()
{
    ok "$1" sh -c 'head -n 20 bad; [ ! -s bad ]'
}

# grep_all LIST GREP-ARGUMENTS: matches in the files of a list, paths relative to the tree.
grep_all()
{
    list=$1
    shift
    tr '\n' '\0' <"$list" | xargs -0 grep -n "$@" /dev/null | sed "s|^$QD_ROOT/||" >bad
}

# except GREP-ARGUMENTS: the matches that do not match this too.
except()
{
    mv bad all
    grep -v "$@" all >bad
}

ok 'C files were found' test "$(wc -l <c_files)" -ge 20
while read -r f; do
    head -n 1 "$f" | grep -qxF '/* SPDX-License-Identifier: MIT */' || echo "$f"
done <c_files >bad
clean 'C files begin with the licence line'
while read -r f; do
    head -n 2 "$f" | grep -qxF '# SPDX-License-Identifier: MIT' || echo "$f"
done <sh_files >bad
clean 'scripts begin with the licence line'
while read -r f; do
    case $f in
    *.c)
        sed -n 2p "$f" | grep -q '^/\*' || echo "$f: no opening paragraph"
        ;;
    esac
done <c_files >bad
clean 'C files open with what they are for'
grep_all c_files "$(printf '\t')"
clean 'no tabs in C'
sort -u c_files sh_files >both
grep_all both -E '[[:blank:]]+$|'"$(printf '\r')"
clean 'no blanks at line ends'
# Bytes in the middle of a UTF-8 character are no columns.
while read -r f; do
    awk -v f="${f#"$QD_ROOT"/}" '{ gsub(/[\200-\277]/, ""); if (length > 100) print f ":" NR }' "$f"
done <both >bad
clean 'lines of at most 100 columns'
grep_all c_files -E '(^|[^:])//'
except '"[^"]*//'
clean 'comments are /* */'
grep_all c_files -E '^[[:blank:]]*typedef (struct|union|enum)'
clean 'no typedefs of structs'
grep_all both -wE 'TO''DO|FIX''ME|XX''X|HA''CK'
clean 'no loose ends'
while read -r f; do
    [ -z "$(tail -c 1 "$f")" ] || echo "$f"
done <both >bad
clean 'files end with a newline'

# Preprocessor conditions belong where machines and libraries differ.
grep_all c_files -E '^#[[:blank:]]*(if|ifdef|elif)([[:blank:]]|$)'
except -E '^(lib/ops/|lib/image/|lib/base/|lib/qd\.h:|tests/)'
clean 'no conditional compilation in plain code'

find "$QD_ROOT/lib" "$QD_ROOT/cmd" "$QD_ROOT/cfg" "$QD_ROOT/man" "$QD_ROOT/tests" \
    "$QD_ROOT/scripts" "$QD_ROOT/.ci" "$QD_ROOT"/*.md "$QD_ROOT/Makefile" -type f 2>/dev/null |
    sort >everything
parent=$(dirname "$QD_ROOT")
if [ "$parent" = / ]; then
    skip 1 'the tree lies in the root folder'
else
    grep_all everything -IF "$parent/"
    clean 'no path of this machine'
fi
grep_all everything -IE '(^|[^a-z.$}])/(home|root|Users)/[a-z]'
clean 'no home folder'
while read -r f; do
    [ "$(wc -c <"$f")" -le 102400 ] || echo "$f"
done <everything >bad
clean 'no file over 100 KiB'
finish
