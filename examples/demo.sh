#!/bin/sh
# The whole road, from nothing to an assistant that answers: corpus, tokenizer, pretraining, SFT, tests, a conversation.
# Every command is shown before it runs. `make demo` calls this; DEMO_MINUTES=2 makes a smaller world in less time.
set -eu
talc=${TALC:-./talc}
out=${DEMO_DIR:-demo}
minutes=${DEMO_MINUTES:-10}
begin=${DEMO_BEGIN:-$(date +%s)} # `make demo` counts from before the build

calc() { awk "BEGIN { x = ($1); print x }"; }
# Pretraining takes 14% of the time. SFT (with replay) takes what is left of it then, but for the tests. The world shrinks with the
# time, since a fact must be met often enough to be learnt.
pretrain=$(calc "$minutes * 0.14")
sft_minutes() {
    left=$(calc "$minutes - ($(date +%s) - $begin) / 60 - ($minutes > 7 ? $minutes * 0.04 : 0.4)")
    calc "$left > $minutes / 2 ? $left : $minutes / 2"
}
entities=$(calc "int($minutes > 10 ? 500 : $minutes < 1 ? 50 : $minutes * 50)")
scale=$(calc "$minutes > 10 ? 1 : $minutes < 1 ? 0.1 : $minutes / 10")

say() { printf '\n%s\n' "$*" >&2; }
run() { printf '$ talc %s\n' "$*" >&2; "$talc" "$@"; }

# What is in the folder, but for what a demo that was stopped before its corpus was there has left; and what no demo writes.
within() { find "$out/" -mindepth 1 -maxdepth 1 ! -name 'primer.talc-tmp-[0-9]*' "$@" 2>/dev/null || true; }
other=$(within ! -name primer ! -name tok ! -name data ! -name 'data.talc-tmp-[0-9]*' ! -name base ! -name sft ! -name questions.txt \
    ! -name answers.jsonl ! -name 'answers.jsonl.talc-tmp-[0-9]*')
if [ -n "$other" ] || { [ -n "$(within)" ] && [ ! -e "$out/primer/world.jsonl" ]; } || { [ -e "$out" ] && [ ! -d "$out" ]; }; then
    echo "demo: $out holds something else than a demo; give another folder: DEMO_DIR=... make demo" >&2
    exit 1
fi
rm -rf "$out"
mkdir -p "$out"

say "1. A corpus: stories, facts and chats about a small world of $entities things: people, towns, beasts, planets and ships"
run primer --out "$out/primer" --entities "$entities" --scale "$scale" --seed 1 --audit

say "2. A tokenizer, learnt from it"
run tokenizer train --vocab-size 1024 --out "$out/tok" "$out/primer/pretrain.jsonl" "$out/primer/chats.jsonl"
run prepare -t "$out/tok" --out "$out/data" --val-fraction 0.01 "$out/primer/pretrain.jsonl"

say "3. Pretraining: learn to predict the next token of the text ($pretrain minutes)"
run train --data "$out/data" --out "$out/base" --depth 4 --batch 1 --minutes "$pretrain" --eval-every 0 --save-every 0

sft=$(sft_minutes)
say "4. SFT: learn to answer, while text is replayed so that it is not forgotten ($sft minutes)"
run sft --show-mask -m "$out/base" --data "$out/primer/chats.jsonl"
run sft -m "$out/base" --data "$out/primer/chats.jsonl" --replay "$out/primer/replay.jsonl" --out "$out/sft" \
    --batch 1 --learning-rate 1.6e-3 --minutes "$sft" --eval-every 0 --save-every 0

say "5. Tests: wordings, topics, names and functions that never occurred in training"
run eval -m "$out/sft" --task primer --data "$out/primer/eval.jsonl" --baseline "$out/primer/chats.jsonl" \
    --answers "$out/answers.jsonl" --free-text 100 --words "$out/primer/pretrain.jsonl" --words "$out/primer/chats.jsonl"

say "6. A conversation"
name=$(sed -n '1s/.*"name": *"\([^"]*\)".*/\1/p' "$out/primer/world.jsonl")
printf 'Hello!\nMy name is Milo.\nWho is Darvok?\nWhat is my name?\nTell me all about %s.\n' "$name" >"$out/questions.txt"
sed 's/^/> /' "$out/questions.txt" >&2
run chat -m "$out/sft" --temp 0 <"$out/questions.txt"

say "Done in $(($(date +%s) - begin)) s. The assistant is in $out/sft; 'make chat' talks to it, $out/answers.jsonl holds every answer."
if [ -t 0 ] && [ -t 1 ]; then run chat -m "$out/sft" --temp 0; fi
