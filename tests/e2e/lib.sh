# shellcheck shell=sh
# lib.sh - what the end-to-end tests share. Sourced; $TALC is the program, a fresh $work folder is removed at the end.
set -u
TALC=${TALC:-./talc}
work=$(mktemp -d "${TMPDIR:-/tmp}/talc-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }

# A small original text: enough words to learn a few merges from.
make_corpus() {
    awk 'BEGIN {
        split("miller baker rider weaver fisher tinker potter", who, " ");
        split("river hill market bridge forest harbour", where, " ");
        split("sang slept waited laughed worked walked", did, " ");
        srand(7);
        for (i = 0; i < 1500; i++)
            printf "The %s %s by the %s, and the %s %s until the %s was quiet.\n", who[int(rand()*7)+1], did[int(rand()*6)+1],
                where[int(rand()*6)+1], who[int(rand()*7)+1], did[int(rand()*6)+1], where[int(rand()*6)+1];
    }' >"$1"
}

# must COMMAND...: runs it quietly; shows its output when it fails.
must() {
    if ! "$@" >"$work/out" 2>"$work/err"; then
        fail "$*"
        cat "$work/out" "$work/err" >&2
        return 1
    fi
}

# refuses WORDS COMMAND...: must end with status 1 or 2, say one line that holds WORDS, and nothing of a sanitizer.
refuses() {
    words=$1
    shift
    timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    lines=$(grep -c '' "$work/err")
    if [ "$status" != 1 ] && [ "$status" != 2 ]; then
        fail "exit $status, not 1 or 2: $*"
        head -5 "$work/err" >&2
    elif [ "$lines" != 1 ]; then
        fail "$lines lines on stderr, not 1: $*"
        head -8 "$work/err" >&2
    elif ! grep -qi -- "$words" "$work/err"; then
        fail "does not say '$words': $*"
        cat "$work/err" >&2
    fi
}

# until_caught PID: waits, a minute at most, until the program catches SIGTERM (Linux tells; elsewhere half a second must do).
until_caught() {
    [ -e "/proc/$1/status" ] || { sleep 0.5; return; }
    tries=0
    while [ $tries -lt 600 ]; do
        caught=$(sed -n 's/^SigCgt:.*\(....\)$/\1/p' "/proc/$1/status" 2>/dev/null)
        case $caught in [4-7c-f]*) return ;; esac
        tries=$((tries + 1))
        sleep 0.1
    done
}

finish() {
    [ "$failures" = 0 ] || { echo "$failures failed" >&2; exit 1; }
    echo "ok"
}
