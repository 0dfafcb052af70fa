# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
# Every file of the tree as text: licence line, width, blanks, loose ends, paths of one machine.
. "$(dirname "$0")/../lib.sh"

dirs="$QD_ROOT/lib $QD_ROOT/cmd $QD_ROOT/tests"
# shellcheck disable=SC2086
find $dirs -name '*.[ch]' | sort >c_files
find "$QD_ROOT/tests" "$QD_ROOT/scripts" "$QD_ROOT/.ci" -type f \
    ! -path '*/corpus/*' -exec grep -l '^#!/bin/sh\|^# SPDX' {} + | sort >sh_files
find "$QD_ROOT/tests" "$QD_ROOT/cmd" \( -name '*.t' -o -name '*.sh' \) | sort >>sh_files

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
tr '\n' '\0' <c_files | xargs -0 awk '
    FNR == 1 && $0 != "/* SPDX-License-Identifier: MIT */" { print FILENAME }' >bad
clean 'C files begin with the licence line'
tr '\n' '\0' <sh_files | xargs -0 awk '
    FNR == 1 { line = $0 ~ /^#!/ ? 2 : 1 }
    FNR == line && $0 != "# SPDX-License-Identifier: MIT" { print FILENAME }' >bad
clean 'scripts begin with the licence line'
tr '\n' '\0' <c_files | xargs -0 awk '
    FNR == 2 && FILENAME ~ /c$/ && !/^\/\*/ { print FILENAME ": no opening paragraph" }' >bad
clean 'C files open with what they are for'
grep_all c_files "$(printf '\t')"
clean 'no tabs in C'
sort -u c_files sh_files >both
grep_all both -E '[[:blank:]]+$|'"$(printf '\r')"
clean 'no blanks at line ends'
# Bytes in the middle of a UTF-8 character are no columns.  A test may quote a long line of output.
tr '\n' '\0' <both | xargs -0 awk '{ gsub(/[\200-\277]/, "") }
    length > (FILENAME ~ /[.]t$/ ? 160 : 100) { print FILENAME ":" FNR }' >bad
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
# The folder that the tree lies in, unless its name is one that any text may have.
parent=$(dirname "$QD_ROOT")
case $parent in
/ | /tmp | /usr/src | /dev/shm) skip 1 "the tree lies in $parent" ;;
*)
    grep_all everything -IF "$parent/"
    clean 'no path of this machine'
    ;;
esac
grep_all everything -IE '(^|[^a-z.$}])/(home|root|Users)/[a-z]'
clean 'no home folder'
tr '\n' '\0' <everything | xargs -0 ls -l | awk '$5 > 102400' >bad
clean 'no file over 100 KiB'
finish
