#!/bin/sh
# Other people's models as GGUF files, from the first command to the last: looked at, continued, talked to, measured, learnt
# from.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
model=tests/golden/gguf/llama.gguf # random weights: what it says is what transformers says (make_goldens.py)

says() { # PATTERN COMMAND...
    pattern=$1
    shift
    must "$@" || return
    grep -q -- "$pattern" "$work/out" || fail "does not say '$pattern': $*: $(cat "$work/out")"
}

says '"token_ids":\[91,91,91,262,40,191,191,191,191,191,191,191\]' "$TALC" generate -m $model -p 'a cde' -n 12 --temp 0 --json
says '"prompt_tokens":6' "$TALC" generate -m $model -p 'a cde' -n 1 --json
says '^tokenizer  *272 tokens, SentencePiece BPE, byte fallback, with a chat template$' "$TALC" info -m $model
says '^weights  *Q8_0, 2 tensors, .*; F32, 7 tensors, 16.6 KiB; Q5_0, 2 tensors, 2.8 KiB$' "$TALC" info -m $model
says '^family  *llama$' "$TALC" info -m $model
says '^to generate, weights are kept in F16$' "$TALC" info -m $model
says '"Q8_0":{"tensors":2,"bytes":11424}' "$TALC" info -m $model --json
says '^family  *qwen2$' "$TALC" info -m tests/golden/gguf/qwen2-00001-of-00003.gguf
says 'perplexity [0-9.]* over' "$TALC" perplexity -m $model -q README.md
echo ab | "$TALC" chat -m $model --temp 0 -n 4 >"$work/out" 2>&1 || fail "talc chat of a GGUF file: $(cat "$work/out")"
refuses 'the file has no tokenizer' "$TALC" generate -m tests/golden/gguf/qwen3.gguf -p a
refuses 'is part 3 of 3; give the first' "$TALC" generate -m tests/golden/gguf/qwen2-00003-of-00003.gguf -p a

# It is learnt from as a folder is, and what comes of it is one.
printf '{"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cd"}]}\n' >"$work/chats.jsonl"
must "$TALC" sft -m $model --data "$work/chats.jsonl" --out "$work/sft" --steps 40 --val-fraction 0 --quiet
echo ab | "$TALC" chat -m "$work/sft" --temp 0 -n 4 >"$work/out" 2>&1
grep -q '^ *cd$' "$work/out" || fail "what was learnt from a GGUF file is not said: $(cat "$work/out")"

# Damage is told, whatever is damaged.
for n in 100 3000 20000 50000; do
    head -c $n $model >"$work/cut.gguf"
    refuses 'cut.gguf: ' "$TALC" generate -m "$work/cut.gguf" -p a
done
finish
