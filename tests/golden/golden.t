# SPDX-License-Identifier: MIT
# The files here are what scripts/mkgolden.py writes, and nothing else.
. "$(dirname "$0")/../lib.sh"

command -v python3 >/dev/null || skip_all 'no python3'
status 0 'mkgolden.py writes the files that are here' "$QD_ROOT/scripts/mkgolden.py" --check
stderr_is ''
ok 'there are some' test "$(find "$QD_ROOT/tests/golden" -name '*.f32' | wc -l)" -ge 3
finish
