# SPDX-License-Identifier: MIT
# Includes point down: a folder of lib/ uses itself and the folders before it in this list, commands
# use the public header and those of cmd/, and a foreign library is known to one file only.
. "$(dirname "$0")/../lib.sh"

order='base format image data ops net detect train prune quant'

# Foreign headers and who may include them; '*' at the end stands for anything.
cat >owners <<'END'
png.h lib/image/image_png.c
jpeglib.h lib/image/image_jpeg.c
zlib.h lib/format/qdw.c lib/format/mat.c
omp.h lib/base/par.c
dlfcn.h lib/ops/blas*
cpuid.h lib/ops/cpuid.c lib/ops/backend.c
immintrin.h lib/ops/*
cblas.h -
END

# check FOLDER...: print every include that is not allowed.
check()
{
    find "$@" -name '*.[ch]' | sort | while read -r f; do
        awk -v file="$f" -v order="$order" -v owners=owners '
            BEGIN {
                n = split(order, names, " ")
                for (i = 1; i <= n; i++)
                    rank[names[i]] = i
                while ((getline line < owners) > 0) {
                    split(line, word, " ")
                    owner[word[1]] = substr(line, length(word[1]) + 1) " "
                }
                path = file
                sub(/^.*\/lib\//, "lib/", path)
                sub(/^.*\/cmd\//, "cmd/", path)
                split(path, part, "/")
                from = part[1] == "lib" ? part[2] : part[1]
            }
            function bad(why) { printf "%s:%d: %s: %s\n", path, FNR, why, $0 }
            /^[ \t]*#[ \t]*include[ \t]*"/ {
                split($0, q, "\"")
                to = q[2]
                if (to ~ /\.\./)
                    bad("relative include")
                else if (to == "qd.h")
                    next
                else if (from == "cmd") {
                    if (to ~ /[/]/)
                        bad("a command includes qd.h and headers of cmd/ only")
                } else {
                    split(to, t, "/")
                    if (!(t[1] in rank))
                        bad("include by the path below lib/")
                    else if (!(from in rank) || rank[t[1]] > rank[from])
                        bad("includes point down")
                }
            }
            /^[ \t]*#[ \t]*include[ \t]*</ {
                split($0, q, /[<>]/)
                if (q[2] in owner) {
                    ok = 0
                    k = split(owner[q[2]], o, " ")
                    for (i = 1; i <= k; i++)
                        if (path == o[i] || (o[i] ~ /[*]$/ && \
                                index(path, substr(o[i], 1, length(o[i]) - 1)) == 1))
                            ok = 1
                    if (!ok)
                        bad("only for" owner[q[2]])
                }
            }' "$f"
    done >found
}

check "$QD_ROOT/lib" "$QD_ROOT/cmd"
ok 'includes of lib and cmd' sh -c 'cat found; [ ! -s found ]'

# The check itself: each of these is one finding.
mkdir -p lib/base lib/ops lib/net lib/prune cmd
echo '#include "net/net.h"' >lib/base/up.c
echo '#include "ops/../net/net.h"' >lib/ops/relative.c
echo '#include "gemm.h"' >lib/ops/bare.c
echo '#include <png.h>' >lib/net/foreign.c
echo '#include "quant/quant.h"' >lib/prune/other.c
echo '#include "base/base.h"' >cmd/inside.c
printf '#include "base/base.h"\n#include "qd.h"\n#include <immintrin.h>\n' >lib/ops/fine.c
check "$PWD/lib" "$PWD/cmd"
ok 'a wrong include is found' test "$(($(wc -l <found)))" -eq 6
ok 'and a right one is not' sh -c '! grep -q fine found'
finish
