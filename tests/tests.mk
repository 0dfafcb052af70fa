# How the tests are built and run.
#   make check                       everything, by tests/run
#   make check T='t_base cli/common' only the tests whose names end so
#   make asan, make tsan             check in build-asan, build-tsan, with a sanitizer
#   make fuzz FUZZ_TIME=60           each fuzz target that many seconds (needs clang)
#   make check-long                  check at every kernel level, and all of the above
#   JOBS=N   tests at a time         TESTFLAGS=-v  see tests/run

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
FUZZ_TIME ?= 60

# tests/fuzz/fuzz_NAME.c + replay.c = replay_NAME.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_NAMES := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)
REPLAY_BIN = $(FUZZ_NAMES:%=$O/tests/fuzz/replay_%)
CHECK_BIN = $(TEST_BIN) $(REPLAY_BIN)
CHECK_SH = $(wildcard tests/unit/*.t tests/ops/*.t tests/golden/*.t tests/cli/*.t tests/man/*.t)
STYLE_SH = $(wildcard tests/style/*.t)
# The slow ones first, so that none of them is left alone at the end.
SLOW = %/recipes.t %/t_net %/t_ops %/examples.t %/qd-map.t
ALL = $(CHECK_BIN) $(CHECK_SH) $(STYLE_SH)
CHECK ?= $(filter $(SLOW),$(ALL)) $(filter-out $(SLOW),$(ALL))
CHOSEN = $(if $T,$(foreach t,$T,$(filter %$t %$t.t,$(CHECK))),$(CHECK))

# What the tests get to know.
RUN = QD_BIN='$(abspath $O/bin)' QD_LIB='$(abspath $(LIB))' QD_O='$(abspath $O)' CC='$(CC)' \
      tests/run -j $(JOBS) $(TESTFLAGS)

.PHONY: check-build fuzz-run fuzz-build
check-build: all $(CHECK_BIN)
check: check-build
	$Q$(RUN) $(or $(CHOSEN),$(error no test is named $T))

$O/tests/fuzz/replay_%: $O/tests/fuzz/fuzz_%.o $O/tests/fuzz/replay.o $O/tests/tap.o $(LIB)
	$(call say,LD,$@)
	$Q$(CC) $(QD_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(QD_LIBS)

# A finding ends the program with a status that no test expects: 1 would pass for 'exit status 1'.
# The style tests look at the sources and at an ordinary build, the pages' examples at the programs;
# once is enough.  QD_QUICK leaves large nets out.
SAN_O1 = -O1 -g -fno-omit-frame-pointer
SAN_SH = $(filter-out tests/man/%,$(CHECK_SH))
ASAN_ENV = QD_QUICK=1 ASAN_OPTIONS=exitcode=99:strict_string_checks=1 \
           UBSAN_OPTIONS=exitcode=99:print_stacktrace=1 \
           LSAN_OPTIONS=exitcode=99:suppressions='$(abspath tests/lsan.supp)'
asan:
	$Q$(ASAN_ENV) $(MAKE) --no-print-directory O=build-asan STYLE_SH= CHECK_SH='$(SAN_SH)' \
	  TESTFLAGS='-t 900' \
	  CFLAGS='$(SAN_O1) -fsanitize=address,undefined -fno-sanitize-recover=all' check

TSAN_ENV = QD_QUICK=1 TSAN_OPTIONS=exitcode=99:halt_on_error=1
tsan:
	$Q$(TSAN_ENV) $(MAKE) --no-print-directory O=build-tsan STYLE_SH= CHECK_SH='$(SAN_SH)' \
	  TESTFLAGS='-t 900' \
	  CFLAGS='$(SAN_O1) -fsanitize=thread' check

# No target reaches the vector kernels, and clang takes minutes to instrument them.
fuzz:
	$Q$(MAKE) --no-print-directory O=build-fuzz CC=clang FUZZ_TIME=$(FUZZ_TIME) \
	  VEC_CFLAGS='-fno-sanitize=all' \
	  CFLAGS='$(SAN_O1) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' \
	  fuzz-run

FUZZ_BIN = $(FUZZ_NAMES:%=$O/tests/fuzz/fuzz_%)
$O/tests/fuzz/fuzz_%: $O/tests/fuzz/fuzz_%.o $(LIB)
	$(call say,LD,$@)
	$Q$(CC) $(QD_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(LIB) $(QD_LIBS)

# Findings and the grown corpus stay in the build folder.
fuzz-build: $(FUZZ_BIN)
fuzz-run: fuzz-build
	$Qfor name in $(FUZZ_NAMES); do \
	  tests/fuzz/run '$O' $$name $(FUZZ_TIME) || exit 1; \
	done

check-long: check
	$Qfor level in ref blas vector avx2 avx512; do \
	  if QD_CPU=$$level $O/bin/qd-info -V >/dev/null 2>&1; then \
	    echo "QD_CPU=$$level"; \
	    QD_CPU=$$level $(MAKE) --no-print-directory STYLE_SH= check || exit 1; \
	  fi; \
	done
	$Q$(MAKE) --no-print-directory asan tsan
	$Q$(MAKE) --no-print-directory fuzz

# The programs of tests/bench print TSV; the first line of each names its columns.
BENCH_SRC := $(wildcard tests/bench/bench_*.c)
BENCH_BIN = $(BENCH_SRC:%.c=$O/%)
bench: all $(BENCH_BIN)
	$Qfor b in $(BENCH_BIN) tests/bench/run; do QD_BIN='$(abspath $O/bin)' $$b || exit 1; done

# What a machine can see without building; the style tests need the library.
C_FILES = $(wildcard lib/*.h lib/*/*.[ch] lib/*/*/*.[ch] cmd/*.[ch] tests/*.[ch] tests/*/*.[ch])
SH_FILES = $(wildcard cmd/*.sh tests/run tests/lib.sh tests/*/*.t tests/*/run) .ci/run \
           $(shell grep -ls '^\#!/bin/sh' scripts/* /dev/null)
PAGES = $(wildcard man/*.[1-9])
lint: all
	clang-format --dry-run --Werror $(C_FILES)
	shellcheck -s sh -x -P SCRIPTDIR -e SC2016,SC2317 $(SH_FILES)
	mandoc -T lint -W warning $(PAGES)
	$(RUN) $(STYLE_SH)

# The command-line tests against a staged install, and a program built against it.
STAGE = $(abspath $O/stage)
installcheck: all
	$Qrm -rf '$(STAGE)'
	$Q$(MAKE) --no-print-directory install DESTDIR='$(STAGE)' >/dev/null
	$QQD_BIN='$(STAGE)$(BINDIR)' QD_STAGE='$(STAGE)' QD_PREFIX='$(PREFIX)' CC='$(CC)' \
	  tests/run -j $(JOBS) $(TESTFLAGS) \
	    $(filter-out tests/cli/recipes.t,$(wildcard tests/cli/*.t tests/install/*.t))
	$Q$(MAKE) --no-print-directory uninstall DESTDIR='$(STAGE)' >/dev/null
	$Qtest -z "$$(find '$(STAGE)' ! -type d)" || \
	  { echo 'uninstall leaves:'; find '$(STAGE)' ! -type d; exit 1; }
