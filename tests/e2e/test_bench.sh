#!/bin/sh
# talc bench: rows that a program can read, a memory table that the process keeps to, and bench/compare.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# value ROW FIELD: of the last output.
value() { sed -n "s/^{\"name\": \"$1\".*\"$2\": \([-+.0-9e]*\).*/\1/p" "$work/out"; }

must "$TALC" bench train --depth 1 --batch 1 --context 32 --steps 2 --profile --json
grep -vq '^{"name": ".*", "value": [0-9.e+-]*, "unit": "[^"]*"\(, "limit": [0-9.e+-]*, "share": [0-9.]*\)\{0,1\}}$' "$work/out" &&
    fail "a row is not {name, value, unit, limit, share}: $(cat "$work/out")"
for row in 'training step' 'training' 'arithmetic' 'matmul, [0-9]* calls'; do
    grep -q "\"name\": \"$row\"" "$work/out" || fail "no row '$row'"
done
[ -n "$(value arithmetic share)" ] || fail "arithmetic has no share of the measured peak"

# The plan is the whole truth: what the process holds at its peak is that, within 5%.
for options in '' '--recompute --moments bf16 --weights bf16'; do
    # shellcheck disable=SC2086
    must "$TALC" bench memory --depth 6 --batch 4 --threads 2 --json $options
    share=$(value 'resident at the peak, of a step' share)
    awk -v x="$share" 'BEGIN { exit !(x > 0.95 && x < 1.05) }' || fail "the process held $share of the planned memory ($options)"
done

# What the planner counts with on this machine.
must "$TALC" bench machine --json
for row in 'matrix product, f32' 'copying memory, read and written' memory; do
    awk -v x="$(value "$row" value)" 'BEGIN { exit !(x > 0) }' || fail "no '$row' of this machine: $(cat "$work/out")"
done

must "$TALC" bench gemm --fastest --json
awk -v x="$(value 'median share of the peak, m >= 64' value)" 'BEGIN { exit !(x > 5 && x < 130) }' || fail "the fastest products are beyond belief: $(cat "$work/out")"

yes 'the cat sat on 12 mats, and not on 3' | head -30000 >"$work/text.txt"
must "$TALC" tokenizer train --vocab-size 300 --quiet --out "$work/tok" "$work/text.txt"
must "$TALC" bench tokenizer -t "$work/tok" --threads 2 --json "$work/text.txt"
for row in 'encode, 1 thread, cold' decode 'encode, 1 thread, nothing kept' 'encode, 2 threads, cold'; do
    awk -v x="$(value "$row" value)" 'BEGIN { exit !(x > 0) }' || fail "no '$row' of a tokenizer: $(cat "$work/out")"
done
refuses 'cannot be read' "$TALC" bench tokenizer -t "$work/none" "$work/text.txt"

refuses 'not .speed' "$TALC" bench speed
refuses 'f32 or bf16' "$TALC" bench gemm --dtype f8

compare=$(dirname "$0")/../../bench/compare
must "$compare" --runs 3 --row training --peer 'echo 5' \
    --talc "echo '{\"name\": \"training step\", \"value\": 1}'; echo '{\"name\": \"training\", \"value\": 12.5}'"
grep -q 'peer 5, talc 12.5, talc is 2.5 times' "$work/out" || fail "compare says: $(cat "$work/out")"
must "$compare" --runs 1 --less --peer 'echo 8 s; echo 6' --talc 'echo 3'
grep -q 'talc is 2 times' "$work/out" || fail "compare --less says: $(cat "$work/out")"
"$compare" --runs 1 --peer false --talc 'echo 1' 2>/dev/null && fail "compare goes on after a command that failed"

# Three steps say nothing about losses, only that every recipe of the comparison still runs, at no more than nanoGPT's size.
i=0
while [ $i -lt 800 ]; do i=$((i + 1)); echo "All the world's a stage, line $i."; done >"$work/stage.txt"
must env TALC="$TALC" "$(dirname "$compare")/shakespeare" "$work/stage.txt" --steps 2 --seeds 1
for recipe in "nanoGPT's" 'own, AdamW' 'own, Muon'; do
    awk -F '|' -v name=" $recipe " '$2 == name && $4 > 700000 && $4 <= 804096 && $6 > 0 { found = 1 } END { exit !found }' "$work/out" ||
        fail "bench/shakespeare has no row of $recipe: $(cat "$work/out")"
done
refuses usage "$(dirname "$compare")/shakespeare" --steps 0 "$work/stage.txt"

finish
