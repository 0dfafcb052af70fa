# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2317
#
# The accumulators of the micro-kernel must live in registers: on the stack it runs at 40 % of its
# speed and still computes the right thing, so that no other test would tell.
. "$(dirname "$0")/../lib.sh"

objects=${QD_O:-$QD_ROOT/build}/lib/ops
command -v objdump >/dev/null || skip_all 'no objdump'
[ -f "$objects/vec_tile.avx512.o" ] || skip_all 'no x86 build'
if nm "$objects/vec_tile.avx512.o" | grep -q '__[atu][sb]*san_'; then
    skip_all 'a sanitizer build'
fi
if readelf --debug-dump=info "$objects/vec_tile.avx512.o" 2>/dev/null | grep 'DW_AT_producer' |
    grep -- ' -O[01gs]' | grep -qv -- ' -O[23]'; then
    skip_all 'built without optimisation'
fi

# in_registers LEVEL FILE TILE FMAS: that many multiply-adds, and at most four vectors on the stack.
in_registers()
{
    objdump -d --no-show-raw-insn --disassemble="$3" "$objects/vec_$2.$1.o" >code
    awk -v want="$4" '
        /vfmadd/ { fma++ }
        /%[xyz]mm[0-9]/ && /\(%r[sb]p/ { stack++ }
        END { print FILENAME, fma + 0, "multiply-adds", stack + 0, "vectors on the stack"
              exit !(fma == want && stack <= 4) }' code >counts || { diag "$(cat counts)"; return 1; }
}

plan 6
ok 'avx512, 13 x 32' in_registers avx512 tile tile_1_13_2 26
ok 'avx512, 2 x 6 x 32' in_registers avx512 tile tile_2_6_2 24
ok 'avx2, 6 x 16' in_registers avx2 tile tile_1_6_2 12
ok 'avx2, 12 x 8' in_registers avx2 tile tile_1_12_1 12
ok 'avx512, gradient 14 x 32' in_registers avx512 conv_wgrad_tile outer_14_2 28
ok 'avx2, gradient 6 x 16' in_registers avx2 conv_wgrad_tile outer_6_2 12
finish
