#!/bin/sh
# Runs the test programs named as arguments; prints a line each and, at the end, how many passed. The output of one
# that fails is shown whole. RUNNER goes before a program that was built for another machine. One that hangs is ended after
# TEST_SECONDS (where timeout(1) is there).
set -u
passed=0; failed=0; names=
log=$(mktemp); trap 'rm -f "$log"' EXIT
limit=
command -v timeout >/dev/null && limit="timeout --foreground ${TEST_SECONDS:-900}"
for t in "$@"; do
    start=$(date +%s)
    # shellcheck disable=SC2086
    if $limit ${RUNNER:-} "$t" >"$log" 2>&1; then
        passed=$((passed + 1)); echo "ok    ${t#"$BUILD"/} ($(($(date +%s) - start)) s)"
    else
        failed=$((failed + 1)); names="$names ${t#"$BUILD"/}"; echo "FAIL  ${t#"$BUILD"/}"; cat "$log"
    fi
done
[ -z "$names" ] || echo "failed:$names"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
