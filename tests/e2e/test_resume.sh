#!/bin/sh
# A run that is killed at any moment and resumed ends in the same bits as one that was not; so does one on other numbers of
# threads. KILLS sets how often it is killed (make test-long: 50).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
kills=${KILLS:-4}

make_corpus "$work/text.txt"
must "$TALC" tokenizer train --vocab-size 300 --out "$work/tok" "$work/text.txt"
must "$TALC" prepare -t "$work/tok" --out "$work/data" --val-fraction 0.1 "$work/text.txt"

train() { # OUT options...
    out=$1
    shift
    "$TALC" train --data "$work/data" --out "$out" --depth 2 --context 64 --batch 4 --steps 120 --eval-every 20 \
        --save-every 7 --dropout 0.1 --quiet "$@"
}
same() { # A B: the weights and the moments of both runs
    for f in model.safetensors optimizer.safetensors; do
        cmp "$1/latest/$f" "$2/latest/$f" >&2 || fail "$2 differs from $1 in $f"
    done
}

must train "$work/whole" --threads 2
for n in 1 4; do
    must train "$work/threads$n" --threads "$n"
    same "$work/whole" "$work/threads$n"
done

# What is only said changes nothing: estimates before the first update, samples between updates.
must "$TALC" train --data "$work/data" --out "$work/loud" --depth 2 --context 64 --batch 4 --steps 120 --eval-every 20 \
    --save-every 7 --dropout 0.1 --sample-every 25 --threads 2
[ "$(grep -c 'sample after step' "$work/err")" = 5 ] || fail "there are not five samples"
grep -q 'an update takes' "$work/err" || fail "there is no estimate"
same "$work/whole" "$work/loud"

# Muon goes on where it was, too.
must train "$work/muon" --threads 2 --optimizer muon --steps 20 --warmup 0 --schedule constant
must train "$work/muon_parts" --threads 1 --optimizer muon --steps 9 --warmup 0 --schedule constant
must train "$work/muon_parts" --threads 2 --resume --optimizer muon --steps 20 --warmup 0 --schedule constant
same "$work/muon" "$work/muon_parts"
cmp -s "$work/muon/latest/model.safetensors" "$work/whole/latest/model.safetensors" && fail "Muon is AdamW"

# Kills after a random time, until it has been killed often enough; then it may end.
seed=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
echo "seed $seed"
killed=0
resume=
while :; do
    delay=$(awk -v s="$seed" -v k="$killed" 'BEGIN{srand(s + k * 7919); print 0.02 + rand() * 0.5}')
    [ "$killed" -lt "$kills" ] || delay=60
    timeout -s KILL "$delay" "$TALC" train --data "$work/data" --out "$work/killed" --depth 2 --context 64 --batch 4 --steps 120 \
        --eval-every 20 --save-every 7 --dropout 0.1 --quiet --threads 2 $resume >"$work/out" 2>"$work/err"
    status=$?
    if [ "$status" = 0 ]; then
        [ "$killed" -ge "$kills" ] && break
        # It ended before it could be killed often enough: begin another one.
        same "$work/whole" "$work/killed"
        rm -rf "$work/killed"
        resume=
        continue
    fi
    [ "$status" = 137 ] || [ "$status" = 124 ] || { fail "exit $status"; cat "$work/err" >&2; break; }
    killed=$((killed + 1))
    [ -e "$work/killed/latest" ] && resume=--resume || { rm -rf "$work/killed"; resume=; }
done
same "$work/whole" "$work/killed"
[ "$(wc -l <"$work/whole/metrics.jsonl")" = "$(wc -l <"$work/killed/metrics.jsonl")" ] || fail "metrics.jsonl says a step twice or not at all"

# An interrupt saves and ends cleanly with 130.
"$TALC" train --data "$work/data" --out "$work/stopped" --depth 2 --context 64 --batch 4 --steps 120 --eval-every 20 --save-every 7 \
    --dropout 0.1 --quiet --threads 2 >"$work/out" 2>"$work/err" &
pid=$!
until_caught $pid
sleep 0.1
kill -TERM $pid 2>/dev/null
wait $pid
status=$?
[ "$status" = 130 ] || [ "$status" = 0 ] || fail "an interrupted run ended with $status"
[ "$status" = 0 ] || must train "$work/stopped" --resume --threads 2
same "$work/whole" "$work/stopped"

# A growing batch, skipped outliers, weights and moments in bf16 go on where they were: stopped twice, once before the window of outliers is full, once after.
fancy() { # OUT options...; `how=exec` where the process is to be killed
    out=$1
    shift
    $how "$TALC" train --data "$work/data" --out "$out" --depth 1 --context 16 --hidden-size 64 --batch 6 --batch-start 2 --batch-ramp 0.8 \
        --skip-outliers 1.5 --moments bf16 --weights bf16 --steps 600 --eval-every 0 --save-every 10 --quiet --threads 2 "$@"
}
how=
must fancy "$work/fancy"
grep -q '"skipped": true' "$work/fancy/metrics.jsonl" || fail "no update was skipped: there is nothing to compare"
awk -F '[:,]' '{ n = $4 - before; before = $4; if (NR == 1) first = n } END { exit !(first == 32 && n == 96 && $4 < 600 * 96 * 0.8) }' \
    "$work/fancy/metrics.jsonl" || fail "the batch does not grow from 2 rows to 6"
for at in 90 400; do
    how='exec'
    resume=--resume
    [ $at = 90 ] && resume=
    # shellcheck disable=SC2086
    fancy "$work/parts" $resume >"$work/out" 2>"$work/err" &
    pid=$!
    until grep -q "\"step\": $at," "$work/parts/metrics.jsonl" 2>/dev/null; do kill -0 $pid 2>/dev/null || break; done
    how=
    kill -KILL $pid 2>/dev/null || fail "the run ended before it was killed at step $at"
    wait $pid
done
must fancy "$work/parts" --resume
same "$work/fancy" "$work/parts"
finish
