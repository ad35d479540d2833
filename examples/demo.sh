#!/bin/sh
# The whole road, from nothing to an assistant that answers: corpus, tokenizer, pretraining, SFT, tests, a conversation.
# Every command is shown before it runs. `make demo` calls this; DEMO_MINUTES=2 makes a smaller world in less time.
set -eu
talc=${TALC:-./talc}
out=${DEMO_DIR:-demo}
minutes=${DEMO_MINUTES:-10}
begin=$(date +%s)

# What the time is spent on: pretraining a fifth, SFT (with replay) the most; the rest is the tests and slack. The world
# shrinks with the time, since a fact must be met often enough to be learnt.
pretrain=$(awk "BEGIN{print $minutes * 0.17}")
sft=$(awk "BEGIN{print $minutes * 0.65}")
entities=$(awk "BEGIN{n = int($minutes * 50); print n < 40 ? 40 : n > 500 ? 500 : n}")
scale=$(awk "BEGIN{s = $minutes / 10; print s > 1 ? 1 : s}")

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
run() { printf '$ talc %s\n' "$*" >&2; "$talc" "$@"; }
elapsed() { echo $(($(date +%s) - begin)); }

rm -rf "$out"
mkdir -p "$out"

say "1. A corpus: a small world of $entities people, towns, beasts and planets, in stories, facts and chats"
run primer --out "$out/primer" --entities "$entities" --scale "$scale" --seed 1

say "2. A tokenizer, learnt from it (a few seconds)"
run tokenizer train --vocab-size 1024 --out "$out/tok" "$out/primer/pretrain.jsonl" "$out/primer/chats.jsonl"
run prepare -t "$out/tok" --out "$out/data" --val-fraction 0.01 "$out/primer/pretrain.jsonl"

say "3. Pretraining: predict the next token of the text (about $pretrain minutes)"
run train --data "$out/data" --out "$out/base" --depth 4 --minutes "$pretrain" --eval-every 0

say "4. SFT: learn to answer, while the text is replayed so that it is not forgotten (about $sft minutes)"
run sft -m "$out/base" --data "$out/primer/chats.jsonl" --replay "$out/primer/replay.jsonl" --out "$out/sft" --minutes "$sft" --eval-every 0

say "5. Tests on questions, topics, names and functions that never occurred in training"
run eval -m "$out/sft" --task primer --data "$out/primer/eval.jsonl" --baseline "$out/primer/chats.jsonl" --free-text 100

say "6. A conversation"
printf 'Hello!\nWho are you?\nMy name is Milo.\nWhat is my name?\n' | run chat -m "$out/sft" --temp 0

say "Done in $(elapsed) s. The assistant is in $out/sft; 'make chat' talks to it."
if [ -t 0 ] && [ -t 1 ]; then run chat -m "$out/sft" --temp 0; fi
