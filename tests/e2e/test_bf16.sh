#!/bin/sh
# Training with products of bf16: its loss is within 0.5% of that of fp32 (STEPS updates, 1,000 in make test-long), and the bits are
# the same on any number of threads.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
STEPS=${STEPS:-60}
[ -z "${SLOW:-}" ] || STEPS=5 # under a sanitizer

root=$(dirname "$0")/../..
cat "$root"/README.md "$root"/CONTRIBUTING.md "$root"/docs/*.md >"$work/text.txt"
must "$TALC" tokenizer train --type char --out "$work/tok" "$work/text.txt"
must "$TALC" prepare -t "$work/tok" --out "$work/data" --val-fraction 0.1 "$work/text.txt"

# train RUN OPTIONS...
train() {
    run=$1
    shift
    must "$TALC" train --data "$work/data" --out "$work/$run" --depth 2 --context 64 --batch 8 --eval-every 0 --json -q "$@"
}
number() { sed -n "s/.*\"$1\":\([-+.0-9e]*\).*/\1/p" "$work/out"; }

train f32 --steps "$STEPS" && full=$(number val_loss)
train bf16 --steps "$STEPS" --dtype bf16 && half=$(number val_loss)
echo "after $STEPS steps: validation loss $full in fp32, $half in bf16"
awk -v a="$full" -v b="$half" 'BEGIN { d = (b - a) / a; exit !(a > 1 && d != 0 && d < 0.005 && d > -0.005) }' ||
    fail "after $STEPS steps fp32 has a validation loss of $full, bf16 of $half"

for threads in 1 2 4; do
    train "threads-$threads" --steps 4 --dtype bf16 --threads $threads
    cmp "$work/threads-1/latest/model.safetensors" "$work/threads-$threads/latest/model.safetensors" ||
        fail "bf16 on $threads threads gives other weights than on one"
done

finish
