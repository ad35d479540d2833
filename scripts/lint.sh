#!/bin/sh
# What `make lint` checks: layers (a file includes headers of its own and of earlier layers only), sizes of files and functions,
# compiler warnings as errors with gcc and clang, the style of .clang-format, shell scripts.
set -u
cd "$(dirname "$0")/.." || exit
status=0
complain() { echo "$*" >&2; status=1; }

layers="base file text tensor model data infer task train plan cli"
for f in $(git ls-files 'src/*.c' 'src/*.h'); do
    own=$(echo "$f" | cut -d/ -f2)
    for included in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$f" | sort -u); do
        seen=no
        for layer in $layers; do
            [ "$layer" = "$included" ] && seen=yes
            [ "$layer" = "$own" ] && break
        done
        [ $seen = yes ] || complain "$f: includes '$included', which is not an earlier layer than '$own'"
    done
done

# Tables of data are as long as they are. A kernel, and a function that a table of options fills, may be longer.
for f in $(git ls-files '*.c' '*.h' | grep -v -e unicode_tables -e primer_phrases.c); do
    lines=60
    case $f in src/tensor/cpu/* | src/cli/cmd_*) lines=120 ;; esac
    awk -v f="$f" -v lines=$lines '
        /^[A-Za-z_].*\(/ && !/;[ \t]*$/ { start = FNR; title = $0 }
        /^}/ { if (start && FNR - start > lines) { printf "%s:%d: a function of %d lines\n", f, start, FNR - start; bad = 1 } start = 0 }
        END { if (FNR > 900) { printf "%s: %d lines\n", f, FNR; bad = 1 } exit bad }' "$f" >&2 || status=1
done

flags="-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Werror -fsyntax-only -Isrc"
flags="$flags ${LIB_FLAGS:?of the libraries that were found: run it as make lint}"
for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    for f in $(git ls-files 'src/*.c'); do
        isa=
        case $f in
        src/cli/*) isa="-DTALC_VERSION=__FILE__" ;;
        src/tensor/cpu/isa/*) isa="-DISA_PORTABLE -DISA_SUFFIX=portable" ;;
        esac
        # shellcheck disable=SC2086
        $cc $flags $isa "$f" || status=1
    done
done

# Other versions differ in a few places.
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
    git ls-files '*.c' '*.h' | grep -v unicode_tables | xargs clang-format --dry-run -Werror 2>&1 | grep error: >&2 && complain "run make format"
fi

if command -v shellcheck >/dev/null; then
    git ls-files '*.sh' .ci/run | xargs shellcheck -x -S warning || status=1
fi
[ $status = 0 ] && echo "lint: clean"
exit $status
