# talc: `make` builds ./talc; `make help` lists what else there is.

# `make asan test`, `make tsan test`: the goal before chooses the build; `make asan` alone builds.
SANITIZE := $(filter asan tsan,$(MAKECMDGOALS))
ifneq ($(word 2,$(SANITIZE)),)
$(error asan and tsan are two builds; give one of them)
endif
BUILD ?= build/$(or $(SANITIZE),release)
OPTIMIZE_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPTIMIZE_tsan := -O1 -g -fsanitize=thread
# The kills take minutes under a sanitizer and find nothing there; threads are what tsan is for.
TEST_SCRIPTS_asan := tests/e2e/test_resume.sh tests/e2e/test_bench.sh
TEST_SCRIPTS_tsan := tests/e2e/test_resume.sh tests/e2e/test_bad_input.sh tests/e2e/test_bench.sh
# make V=1 shows the commands.
V ?=
Q := $(if $(V),,@)
ifeq ($(origin CC),default)
CC := gcc
endif
# All cores, unless -j says otherwise.
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
endif
PREFIX ?= /usr/local
BEGIN := $(shell date +%s)

# ---- libraries: got before they are looked up, unless the goal needs none ----------------------------------------------
ifneq ($(filter-out clean help lint format deps test-arm64,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell scripts/deps.sh >&2 && echo ok),ok)
$(error the libraries that talc needs are missing; see above)
endif
endif

# ---- libraries: jansson is required, the others are optional (see THIRD_PARTY.md) -----------------------------------
# WITHOUT="pcre2 zstd" builds without the named ones, to see what a minimal system gives.
WITHOUT ?=
OPTIONAL_LIBS := libpcre2-8:PCRE2 libutf8proc:UTF8PROC libzstd:ZSTD libedit:LIBEDIT libseccomp:LIBSECCOMP
optional_found := $(foreach p,$(OPTIONAL_LIBS),$(if $(filter $(patsubst lib%,%,$(patsubst libpcre2-8,libpcre2,$(firstword $(subst :, ,$p)))),$(WITHOUT)),,\
  $(if $(shell pkg-config --exists $(firstword $(subst :, ,$p)) 2>/dev/null && echo y),$p)))
packages_found := jansson $(foreach p,$(optional_found),$(firstword $(subst :, ,$p)))
LIB_DEFINES := $(foreach p,$(optional_found),-DHAVE_$(lastword $(subst :, ,$p)))
LIB_CFLAGS  := $(shell pkg-config --cflags $(packages_found) 2>/dev/null)
LIB_LIBS    := $(shell pkg-config --libs $(packages_found) 2>/dev/null)

# ---- flags -----------------------------------------------------------------------------------------------------------
# -ffp-contract=off: a*b+c is fused only where a kernel says so, or results would differ from compiler to compiler.
VERSION  := $(shell cat VERSION 2>/dev/null)
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
OPTIMIZE ?= $(or $(OPTIMIZE_$(SANITIZE)),-O3 -g)
WERROR   ?=
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE $(OPTIMIZE) -fPIC -ffp-contract=off -fno-math-errno $(WARNINGS) $(WERROR) -Isrc \
             -DTALC_VERSION='"$(VERSION)"' $(LIB_DEFINES) $(ISA_DEFINES) $(LIB_CFLAGS) $(CFLAGS)
LIBS = $(LIB_LIBS) -lm -lpthread -ldl

# What things were built with: another compiler, version, flag or library builds them anew.
export BUILT_WITH := $(CC) $(CFLAGS_ALL) $(LDFLAGS) $(LIBS)
$(BUILD)/built-with: always
	@mkdir -p $(@D)
	@printf '%s\n' "$$BUILT_WITH" | cmp -s - $@ || printf '%s\n' "$$BUILT_WITH" >$@

# ---- sources ---------------------------------------------------------------------------------------------------------
# src/cli is the program; all else is the library. Files in src/tensor/cpu/isa/ are compiled once per instruction set.
LIB_SRC := $(filter-out src/cli/% src/tensor/cpu/isa/%,$(wildcard src/*/*.c src/*/*/*.c))
ISA_SRC := $(wildcard src/tensor/cpu/isa/*.c)
CLI_SRC := $(wildcard src/cli/*.c)
TEST_SRC := $(wildcard tests/*/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
TEST_HELP_SRC := $(wildcard tests/support/*.c)
TEST_SCRIPTS := $(filter-out $(TEST_SCRIPTS_$(SANITIZE)),$(wildcard tests/e2e/test_*.sh))

MACHINE := $(shell $(CC) -dumpmachine)
ISAS := portable
ISA_FLAGS_portable := -DISA_PORTABLE
ifneq ($(filter x86_64%,$(MACHINE)),)
ISAS += avx2 avx512
ISA_FLAGS_avx2   := -DISA_AVX2 -mavx2 -mfma -mf16c
ISA_FLAGS_avx512 := -DISA_AVX512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512
# Of bf16 there are instructions for products alone; older compilers and assemblers do not know them.
ifeq ($(shell echo 'void f(void) { __asm__("vdpbf16ps %zmm0, %zmm1, %zmm2"); }' | $(CC) -mavx512bf16 -x c -c -o /dev/null - 2>/dev/null && echo y),y)
ISAS += avx512bf16
ISA_FLAGS_avx512bf16 := $(ISA_FLAGS_avx512) -DISA_AVX512BF16 -mavx512bf16
ISA_SRC_avx512bf16 := $(addprefix src/tensor/cpu/isa/,matmul.c peak.c)
ISA_DEFINES := -DHAVE_AVX512BF16
endif
else ifneq ($(filter aarch64% arm64%,$(MACHINE)),)
ISAS += neon
ISA_FLAGS_neon := -DISA_NEON
endif

# The planner's tables are compiled in.
PLAN_TABLES := $(sort $(wildcard src/plan/tables/*.tsv))
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o) $(BUILD)/plan_tables.o $(foreach i,$(ISAS),$(patsubst %.c,$(BUILD)/%.$i.o,$(or $(ISA_SRC_$i),$(ISA_SRC))))
CLI_OBJ  := $(CLI_SRC:%.c=$(BUILD)/%.o)
TEST_HELP_OBJ := $(TEST_HELP_SRC:%.c=$(BUILD)/%.o)
REPLAY_BIN := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(BUILD)/tests/replay_%)
TEST_BIN := $(TEST_SRC:%.c=$(BUILD)/%) $(REPLAY_BIN)
# TESTS="tests/text/test_bpe tests/e2e/test_chat.sh" runs these alone.
ifneq ($(TESTS),)
TEST_BIN := $(addprefix $(BUILD)/,$(filter-out %.sh,$(TESTS)))
TEST_SCRIPTS := $(filter %.sh,$(TESTS))
endif

.PHONY: always fuzz fuzz-run demo chat bench test-long test-clients test-arm64
.PHONY: all help test test-bin asan tsan clean format lint install deps
.SECONDARY:
.DEFAULT_GOAL := all

all: talc

help:
	@sed -n 's/^## //p' Makefile

## make            build ./talc
talc: $(BUILD)/talc
	@cp -f $< $@.new && mv -f $@.new $@

$(BUILD)/libtalc.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/talc: $(CLI_OBJ) $(BUILD)/libtalc.a
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c $(BUILD)/built-with
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/plan_tables.c: $(PLAN_TABLES) scripts/embed_tables.sh
	@mkdir -p $(@D)
	@scripts/embed_tables.sh $(PLAN_TABLES) > $@.new && mv -f $@.new $@
$(BUILD)/plan_tables.o: $(BUILD)/plan_tables.c $(BUILD)/built-with
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

define isa_rule
$$(BUILD)/%.$(1).o: %.c $$(BUILD)/built-with
	@mkdir -p $$(@D)
	$$(if $$(V),,@echo "  CC    $$< ($(1))")
	$$(Q)$$(CC) $$(CFLAGS_ALL) $$(ISA_FLAGS_$(1)) -DISA_SUFFIX=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$i)))

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TEST_BIN:=.d) $(TEST_HELP_OBJ:.o=.d)

# ---- tests: each tests/<folder>/test_*.c is a small cmocka program ----------------------------------------------------
$(BUILD)/tests/libsupport.a: $(TEST_HELP_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/tests/%: tests/%.c $(BUILD)/tests/libsupport.a $(BUILD)/libtalc.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  TEST  $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -Itests -DTEST_DIR='"tests"' -MMD -MP -o $@ $< $(BUILD)/tests/libsupport.a $(BUILD)/libtalc.a -lcmocka $(LIBS)

# The corpora of the fuzz targets, without libFuzzer.
$(REPLAY_BIN): $(BUILD)/tests/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(BUILD)/libtalc.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  TEST  $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(filter %.c,$^) $(BUILD)/libtalc.a $(LIBS)

test-bin: $(TEST_BIN)

## make test       everything that needs no network and no Python, under 5 minutes (TESTS="tests/text/test_bpe ...": only these)
test: $(BUILD)/talc test-bin
	@BUILD=$(BUILD) TALC=$(BUILD)/talc SLOW=$(SANITIZE) tests/run.sh $(TEST_BIN) $(TEST_SCRIPTS)

## make test-arm64  the tests of kernels, models and training for ARM64 (NEON and portable), under qemu
test-arm64:
	@tests/arm64.sh

## make demo       the whole road: corpus, tokenizer, pretraining, SFT, tests, a conversation (DEMO_MINUTES=10)
demo: talc
	@DEMO_BEGIN=$(BEGIN) examples/demo.sh

## make chat       talk to what make demo trained
chat: talc
	@./talc chat -m demo/sft --temp 0

## make bench      how fast this machine trains and multiplies matrices
bench: talc
	./talc bench gemm
	./talc bench attention
	./talc bench train --depth 4
	./talc bench train --preset gpt2-124m --batch 4 --context 64 --steps 5

## make test-long  what takes longer: 50 kills of a training run; 1,000 updates in bf16 beside fp32
test-long: talc
	@KILLS=50 TALC=./talc tests/e2e/test_resume.sh
	@STEPS=1000 TALC=./talc tests/e2e/test_bf16.sh

## make test-clients  against PyTorch, transformers and tokenizers, in a Python environment of its own (build/venv)
test-clients: talc
	tests/clients/run.sh

## make asan       build with address and undefined-behaviour checks in build/asan; make asan test: the tests with it
## make tsan       the same with checks for data races, in build/tsan
asan tsan: $(BUILD)/talc

## make fuzz       each target of tests/fuzz for FUZZ_SECONDS (30) under clang's libFuzzer; what it finds stays in build/fuzz
FUZZ_SECONDS ?= 30
FUZZ_FLAGS = -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
fuzz:
	@$(MAKE) fuzz-run CC=clang BUILD=build/fuzz OPTIMIZE="$(FUZZ_FLAGS)"
fuzz-run: $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/%)
	@for t in $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%); do mkdir -p $(BUILD)/corpus/$$t && \
	  $(BUILD)/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -rss_limit_mb=2048 -timeout=60 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=$(BUILD)/found-$$t- $(BUILD)/corpus/$$t tests/fuzz/corpus/$$t || exit 1; done
$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/libtalc.a
	$(Q)$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(BUILD)/libtalc.a $(LIBS)

## make lint       layers, sizes, the style, warnings of two compilers, shell scripts
lint:
	@LIB_FLAGS='$(LIB_DEFINES) $(LIB_CFLAGS)' scripts/lint.sh

## make format     the one style (clang-format)
format:
	git ls-files '*.c' '*.h' | grep -v unicode_tables | xargs clang-format -i

## make install    ./talc under PREFIX (default /usr/local)
install: talc
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin share/doc/talc share/talc/plan)
	install -m 755 $(BUILD)/talc $(DESTDIR)$(PREFIX)/bin
	install -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/talc
	install -m 644 $(PLAN_TABLES) $(DESTDIR)$(PREFIX)/share/talc/plan

## make deps       install the libraries that talc is built with
deps:
	@scripts/deps.sh

clean:
	rm -rf build talc
