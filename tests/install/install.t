# SPDX-License-Identifier: MIT
# An installed tree, run by 'make installcheck': what lies where, and a program built against it
# with nothing but pkg-config.
. "$(dirname "$0")/../lib.sh"

[ -n "${QD_STAGE:-}" ] || skip_all 'only for make installcheck'
prefix=$QD_STAGE$QD_PREFIX

for f in "$QD_ROOT"/cmd/qd-*.c "$QD_ROOT"/cmd/qd-*.sh; do
    c=$(basename "${f%.*}")
    ok "$c is installed" test -x "$prefix/bin/$c"
done
for f in "$QD_ROOT"/cfg/*.cfg; do
    cmp -s "$f" "$prefix/share/qd/cfg/${f##*/}" || echo "$f"
done >bad
ok 'the cfg files are installed' sh -c 'cat bad; [ ! -s bad ]'
for f in "$QD_ROOT"/man/*.[1-9]; do
    cmp -s "$f" "$prefix/share/man/man${f##*.}/${f##*/}" || echo "$f"
done >bad
ok 'the pages are installed' sh -c 'cat bad; [ ! -s bad ]'
find "$prefix" -type f ! -perm 644 ! -perm 755 >bad
ok 'modes are 644 and 755' sh -c 'cat bad; [ ! -s bad ]'

# A prefix such as /usr is left out of the flags otherwise, and would be that of this machine.
PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS PKG_CONFIG_ALLOW_SYSTEM_LIBS
PKG_CONFIG_PATH=$prefix/lib/pkgconfig
export PKG_CONFIG_PATH
status 0 'pkg-config finds it' pkg-config --modversion qd
stdout_is "$(sed -n 's/^VERSION = //p' "$QD_ROOT/Makefile")"

cat >use.c <<'END'
#include <qd.h>
#include <stdio.h>
int main(int argc, char *argv[])
{
    struct qd_error err = {0};
    struct qd_cfg *cfg = qd_cfg_load(argv[argc - 1], &err);
    struct qd_model *m = cfg ? qd_model_new(cfg, &err) : NULL;
    if (!m)
        fprintf(stderr, "%s\n", err.msg);
    else
        printf("%d layers\n", qd_model_layers(m));
    qd_model_free(m);
    return !m;
}
END
# What is staged comes first, the system's own libraries where they are.
flags="-I$prefix/include -L$prefix/lib $(pkg-config --cflags --libs --static qd)"
ok 'it names the folders of the prefix' \
    sh -c "echo '$flags' | grep -q -e '-I$QD_PREFIX/include .*-L$QD_PREFIX/lib '"
# shellcheck disable=SC2086
status 0 'a program builds against it' "${CC:-cc}" -o use use.c $flags
status 0 'and runs' ./use "$prefix/share/qd/cfg/yolov3-tiny.cfg"
stdout_like '^[0-9]+ layers$'
finish
