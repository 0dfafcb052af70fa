# qd: make all lib demo check asan bench fuzz lint install uninstall installcheck dist clean
#   O=DIR       build folder (build)          WERROR=1  warnings are errors
#   PREFIX=DIR  where install puts things     V=1       show commands
#   DESTDIR=DIR staging folder                CFLAGS=   optimisation and debugging flags
-include config.mk

VERSION = 0.1.0
O ?= build
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share/qd

CC ?= cc
AR ?= ar
CFLAGS ?= -O3 -g
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wundef -Wstrict-prototypes -Wmissing-prototypes \
       -Wwrite-strings -Wpointer-arith -Wformat=2 -Wdouble-promotion -Wcast-qual
ifdef WERROR
WARN += -Werror
endif
ifndef V
Q = @
say = @printf '  %-7s %s\n' '$1' '$(patsubst $O/%,%,$2)'
endif

PKGS = libpng libjpeg zlib
PKG_LIBS := $(or $(shell pkg-config --libs $(PKGS) 2>/dev/null),-lpng -ljpeg -lz)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
QD_CPPFLAGS = -Ilib -D_POSIX_C_SOURCE=200809L -DQD_VERSION='"$(VERSION)"' $(PKG_CFLAGS) $(CPPFLAGS)
QD_CFLAGS = -std=c11 $(CFLAGS) -fno-math-errno -fopenmp $(WARN)
QD_LIBS = $(PKG_LIBS) -lm -ldl $(LDLIBS)

# Files below lib/ops named vec_*.c are compiled once per instruction set (ops/vec.h).
ARCH := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
ISA_base = -DQD_ISA=vector
ISA_avx2 = -DQD_ISA=avx2 -mavx2 -mfma
ISA_avx512 = -DQD_ISA=avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma \
             -mprefer-vector-width=512
ifneq ($(filter x86_64 amd64,$(ARCH)),)
ISAS = base avx2 avx512
QD_CPPFLAGS += -DQD_X86=1
else
ISAS = base
endif

LIB_SRC := $(filter-out lib/ops/vec_%,$(wildcard lib/*/*.c lib/*/*/*.c))
VEC_SRC := $(wildcard lib/ops/vec_*.c)
LIB_OBJ = $(LIB_SRC:%.c=$O/%.o) $(foreach i,$(ISAS),$(VEC_SRC:%.c=$O/%.$i.o))
CMDS := $(basename $(notdir $(wildcard cmd/qd-*.c)))
CMD_SHARED := $(filter-out $(wildcard cmd/qd-*.c),$(wildcard cmd/*.c))
SCRIPTS := $(basename $(notdir $(wildcard cmd/qd-*.sh)))
BINS = $(CMDS:%=$O/bin/%) $(SCRIPTS:%=$O/bin/%)
LIB = $O/lib/libqd.a

.PHONY: all lib demo check check-long asan tsan bench fuzz lint install uninstall installcheck \
        dist clean
.SECONDARY:
all: $(BINS) $(LIB)
lib: $(LIB)
$(CMDS) $(SCRIPTS): %: $O/bin/%

$(LIB): $(LIB_OBJ)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$Qrm -f $@ && $(AR) rcs $@ $^

$O/bin/%: $O/cmd/%.o $(CMD_SHARED:%.c=$O/%.o) $(LIB)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$Q$(CC) $(QD_CFLAGS) $(LDFLAGS) -o $@ $^ $(QD_LIBS)

# A command that is a script; a line '@include FILE' stands for the text of that file.
$O/bin/%: cmd/%.sh $(wildcard cmd/*.awk) Makefile
	$(call say,SH,$@)
	@mkdir -p $(@D)
	$Qawk '/^@include / { while ((getline line <$$2) > 0) print line; next } \
	  { gsub(/@VERSION@/, "$(VERSION)"); print }' $< >$@.tmp && chmod 755 $@.tmp && mv -f $@.tmp $@

# The reference kernels are the specification: no contraction, so that every compiler agrees.
$O/lib/ops/ref_%.o: QD_CFLAGS += -ffp-contract=off

$O/%.o: %.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$Q$(CC) $(QD_CPPFLAGS) $(QD_CFLAGS) -MMD -MP -c -o $@ $<

define isa_rule
$O/lib/ops/vec_%.$1.o: lib/ops/vec_%.c
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$Q$$(CC) $$(QD_CPPFLAGS) $$(QD_CFLAGS) $$(ISA_$1) $$(VEC_CFLAGS) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$i)))

# Tests: every t_*.c in tests/unit, tests/ops and tests/grad is one program that speaks TAP.
TEST_SRC := $(wildcard tests/unit/t_*.c tests/ops/t_*.c tests/grad/t_*.c)
TEST_BIN = $(TEST_SRC:%.c=$O/%)
$O/tests/%: $O/tests/%.o $O/tests/tap.o $(LIB)
	$(call say,LD,$@)
	$Q$(CC) $(QD_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(QD_LIBS)
$O/tests/%.o: QD_CPPFLAGS += -Itests

# Real work for the eye: scripts/demo says what it runs, pictures lie in $O/demo/.
demo: all
	$QQD_BIN='$(abspath $O/bin)' scripts/demo '$O/demo'

PAGES1 = $(wildcard man/*.1)
PAGES3 = $(wildcard man/*.3)
PAGES5 = $(wildcard man/*.5)
PAGES7 = $(wildcard man/*.7)
CFG_FILES = $(wildcard cfg/*.cfg)
DATA_FILES = $(filter-out data/README.md,$(wildcard data/*.*))
RECIPES = $(wildcard scripts/recipes/*.mk)
install: all
	mkdir -p $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)
	mkdir -p $(DESTDIR)$(DATADIR)/cfg $(DESTDIR)$(DATADIR)/data $(DESTDIR)$(DATADIR)/recipes
	install -m 755 $(BINS) $(DESTDIR)$(BINDIR)
	install -m 644 $(LIB) $(DESTDIR)$(LIBDIR)
	install -m 644 lib/qd.h $(DESTDIR)$(INCLUDEDIR)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	  -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' lib/qd.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/qd.pc
	$(foreach s,1 3 5 7,$(if $(PAGES$s),mkdir -p $(DESTDIR)$(MANDIR)/man$s && \
	  install -m 644 $(PAGES$s) $(DESTDIR)$(MANDIR)/man$s &&)) true
	$(if $(CFG_FILES),install -m 644 $(CFG_FILES) $(DESTDIR)$(DATADIR)/cfg)
	$(if $(DATA_FILES),install -m 644 $(DATA_FILES) $(DESTDIR)$(DATADIR)/data)
	$(if $(RECIPES),install -m 644 $(RECIPES) $(DESTDIR)$(DATADIR)/recipes)

# Removes what install put there, and nothing else.
uninstall:
	rm -f $(BINS:$O/bin/%=$(DESTDIR)$(BINDIR)/%) $(DESTDIR)$(LIBDIR)/libqd.a
	rm -f $(DESTDIR)$(INCLUDEDIR)/qd.h $(DESTDIR)$(LIBDIR)/pkgconfig/qd.pc
	rm -f $(foreach s,1 3 5 7,$(PAGES$s:man/%=$(DESTDIR)$(MANDIR)/man$s/%))
	rm -f $(CFG_FILES:cfg/%=$(DESTDIR)$(DATADIR)/cfg/%)
	rm -f $(DATA_FILES:data/%=$(DESTDIR)$(DATADIR)/data/%)
	rm -f $(RECIPES:scripts/recipes/%=$(DESTDIR)$(DATADIR)/recipes/%)

# What is committed, as one file.
dist:
	@mkdir -p $O
	git archive --prefix=qd-$(VERSION)/ -o $O/qd-$(VERSION).tar.gz HEAD

clean:
	rm -rf $O

-include tests/tests.mk
-include $(shell find $O -name '*.d' 2>/dev/null)
