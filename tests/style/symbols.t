# SPDX-License-Identifier: MIT
# What the library exports begins with qd_, and what it imports does not print, exit, read the
# environment or allocate behind qd_alloc's back.  Looks at the object files: no macro hides there.
. "$(dirname "$0")/../lib.sh"

lib=${QD_LIB:-$QD_ROOT/build/lib/libqd.a}
[ -f "$lib" ] || skip_all "no $lib"
objects=$(dirname "$(dirname "$lib")")/lib

status 0 'nm reads the library' nm -g --defined-only "$lib"
awk 'NF == 3 && $3 !~ /^(qd_|__odr_asan)/ { print $3 }' "$OUT" >bad
ok 'external symbols begin with qd_' sh -c 'cat bad; [ ! -s bad ]'
awk 'NF == 3 && $3 ~ /^qd_/ { n++ } END { exit n < 50 }' "$OUT"
ok 'there are many of them' test $? -eq 0

# SYMBOLS who-may-import-them: object files without .o, '-' none, '*' at the end anything.
cat >rules <<'END'
printf|vprintf|puts|putchar|perror|psignal|stderr -
stdout|stdin base/io detect/detfile detect/detwrite
exit|_exit|_Exit|quick_exit|abort|system|popen|raise|__assert_fail -
fork|vfork|execv|execve|execvp|posix_spawn|atexit|signal|sigaction|setlocale -
getenv|secure_getenv ops/backend
setenv|putenv|unsetenv ops/blas* ops/backend
atoi|atol|atof|rand|srand|random|drand48|time|clock|localtime|gmtime -
strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|gets|mktemp|tmpnam -
strtod|strtof|strtol|strtoll|strtoul|sscanf|fscanf|__isoc99_sscanf base/num
malloc|calloc|realloc|aligned_alloc|posix_memalign|memalign|strdup|strndup base/alloc
free base/alloc image/image_jpeg
dlopen|dlsym|dlclose ops/blas*
END

# imports FOLDER: lines 'object symbol' of everything undefined in the objects below it.
imports()
{
    (cd "$1" && find . -name '*.o' | sort | xargs nm -A -u) |
        sed 's|^\./||; s|\.o: *[Uw] | |; s|@.*||; s| __\([a-z]*\)_chk$| \1|'
}

# Objects whose source is gone are left over from an earlier build.
current()
{
    while read -r object symbol; do
        src=$object
        case $object in
        */vec_*.*) src=${object%.*} ;;
        esac
        [ ! -f "$QD_ROOT/lib/$src.c" ] || echo "$object $symbol"
    done
}

judge()
{
    awk 'FNR == NR {
            n = split($1, s, "|")
            for (i = 1; i <= n; i++)
                who[s[i]] = substr($0, length($1) + 1) " "
            next
        }
        $2 in who {
            n = split(who[$2], o, " ")
            for (i = 1; i <= n; i++)
                if (o[i] == $1 || (o[i] ~ /[*]$/ && \
                        index($1, substr(o[i], 1, length(o[i]) - 1)) == 1))
                    next
            print $1 " uses " $2
        }' rules imported
}

imports "$objects" | current >imported
ok 'objects were found' test "$(cut -d' ' -f1 imported | sort -u | wc -l)" -ge 10
judge >bad
ok 'no forbidden import' sh -c 'cat bad; [ ! -s bad ]'

mkdir -p t/net
cat >x.c <<'END'
#include <stdio.h>
#include <stdlib.h>
int qd_x(void);
int qd_x(void) { if (getenv("X")) exit(1); return printf("%d", 1); }
END
status 0 'compile an offender' "${CC:-cc}" -c -o t/net/x.o x.c
imports "$PWD/t" >imported
judge >bad
ok 'its three sins are found' test "$(($(wc -l <bad)))" -eq 3
finish
