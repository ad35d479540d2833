#!/bin/sh
# Bad input gets one clear line and a non-zero exit; never a crash, a hang or a silent wrong answer.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

make_corpus "$work/text.txt"
must "$TALC" tokenizer train --vocab-size 300 --out "$work/tok" "$work/text.txt"
must "$TALC" prepare -t "$work/tok" --out "$work/data" --val-fraction 0.1 "$work/text.txt"
must "$TALC" train --data "$work/data" --out "$work/run" --depth 1 --context 32 --steps 3 --quiet

# options
refuses "no command 'trian'" "$TALC" trian
refuses 'did you mean --steps' "$TALC" train --step 3
refuses 'whole number' "$TALC" train --steps many
refuses '-m' "$TALC" generate
refuses 'no such folder' "$TALC" generate -m "$work/nowhere"
refuses 'text.txt: is a file, and no GGUF file; a model is one, or a folder' "$TALC" generate -m "$work/text.txt"

refuses '-tokenizer is empty; it wants TOK' "$TALC" prepare -t '' --out "$work/t2" "$work/text.txt"
refuses '-out is empty; it wants DIR' "$TALC" prepare -t "$work/tok" --out '' "$work/text.txt"
refuses 'wants FILE..., and one of these is empty' "$TALC" prepare -t "$work/tok" --out "$work/t2" "$work/text.txt" ''
refuses 'exists and is not a folder' "$TALC" tokenizer train --vocab-size 300 --out "$work/text.txt" "$work/text.txt"
odd="$work/$(printf 'odd\377')" # a name that is no UTF-8
if mkdir "$odd" 2>/dev/null; then
    cp "$work/data/"* "$odd/"
    refuses '-data is not valid UTF-8' "$TALC" train --data "$odd" --out "$work/t2" --depth 1 --steps 1 --quiet
    printf '{"prompt": "Who?", "completion": "I."}\n' >"$odd/chat.jsonl"
    refuses '-data is not valid UTF-8' "$TALC" sft -m "$work/run" --data "$odd/chat.jsonl" --out "$work/t2" --steps 1 --quiet
fi
refuses 'nowhere' "$TALC" train --data "$work/nowhere" --out "$work/t2/a" --depth 1 --steps 1 --quiet
refuses 'nowhere' "$TALC" sft -m "$work/run" --data "$work/nowhere" --out "$work/t2/a" --steps 1 --quiet
[ ! -e "$work/t2" ] || fail "an empty folder is left behind"
mkdir "$work/t2" # not one that the command made
refuses 'nowhere' "$TALC" train --data "$work/nowhere" --out "$work/t2" --depth 1 --steps 1 --quiet
rmdir "$work/t2" || fail "an empty folder of the user is gone"
mkdir "$work/inside"
refuses 'is the folder you are in' sh -c 'cd "$1" && exec "$2" prepare -t ../tok --out . ../text.txt' - "$work/inside" "$(realpath "$TALC")"
refuses 'is the folder you are in' sh -c 'cd "$1" && exec "$2" tokenizer train --out ../inside ../text.txt' - "$work/inside" "$(realpath "$TALC")"
refuses 'special is empty' "$TALC" tokenizer train --special '' --out "$work/t2" "$work/text.txt"
refuses 'special token 2 is not valid UTF-8' "$TALC" tokenizer train --special '<a>' --special "$(printf '<\377>')" --out "$work/t2" \
    "$work/text.txt"
refuses '"a" is a token of the text too' "$TALC" tokenizer train --vocab-size 300 --special a --out "$work/t2" "$work/text.txt"
printf 'the cat and the dog and the bird\n' >"$work/the.txt"
refuses '"Ġthe" is a token of the text too' "$TALC" tokenizer train --vocab-size 300 --special 'Ġthe' --out "$work/t2" "$work/the.txt"
refuses 'needs a verb' "$TALC" tokenizer
refuses "no verb 'learn'" "$TALC" tokenizer learn
mkfifo "$work/pipe"
timeout -k 10 1 "$TALC" eval -m "$work/none" --data "$work/pipe" >"$work/out" 2>&1 # that nobody writes to
[ $? = 124 ] || fail "SIGTERM does not end the wait for a pipe"
refuses "pipe: is not a regular file" "$TALC" tokenizer encode -t "$work/pipe"
printf '1 2x\n3' >"$work/ids.txt"
refuses_input() { refuses "$1" sh -c '"$0" tokenizer decode -t "$1" <"$2"' "$TALC" "$work/tok" "$2"; }
refuses_input "byte 3: 'x' is no token id" "$work/ids.txt"
refuses 'File too large' sh -c 'ulimit -f 1; exec "$@"' sh "$TALC" prepare -t "$work/tok" --out "$work/large" "$work/text.txt"
[ "$(echo "$work/large"*)" = "$work/large*" ] || fail "a file that grows too large leaves something behind"
mkdir "$work/held" && cp "$work/tok/"* "$work/held/" && echo '{}' >"$work/held/config.json"
refuses 'holds something else too (config.json)' "$TALC" tokenizer convert -t "$work/tok" "$work/held"
refuses 'holds something else too (config.json)' "$TALC" tokenizer train --vocab-size 300 --out "$work/held" "$work/text.txt"
must "$TALC" tokenizer convert -t "$work/tok" "$work/vocab.gguf"
must "$TALC" tokenizer convert -t "$work/tok" "$work/vocab.gguf" # again
refuses 'vocab.gguf: has no tensors: it holds a tokenizer, and no model' "$TALC" chat -m "$work/vocab.gguf"
echo precious >"$work/notes.gguf"
refuses 'is no GGUF vocabulary' "$TALC" tokenizer convert -t "$work/tok" "$work/notes.gguf"
[ "$(cat "$work/notes.gguf")" = precious ] || fail "notes are replaced by a vocabulary"
{ printf 'GGUF\3\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
    printf '\1\0\0\0\0\0\0\0w\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
    head -c 64 /dev/zero; } >"$work/model.gguf"
refuses 'holds a model' "$TALC" tokenizer convert -t "$work/tok" "$work/model.gguf"
must "$TALC" tokenizer convert -t "$work/tok" "$work/again"
must "$TALC" tokenizer convert -t "$work/tok" "$work/again"
refuses 'of memory, and only 1.0 MiB are allowed' "$TALC" tokenizer train --vocab-size 300 --max-memory 1 --out "$work/t2" \
    "$work/text.txt"

# texts
: >"$work/empty.txt"
printf 'x' >"$work/one.txt"
printf 'fine\nbroken \377\376 here\n' >"$work/invalid.txt"
refuses 'empty' "$TALC" tokenizer train --vocab-size 300 --out "$work/t2" "$work/empty.txt"
refuses 'empty' "$TALC" prepare -t "$work/tok" --out "$work/d2" "$work/empty.txt"
refuses 'UTF-8' "$TALC" prepare -t "$work/tok" --out "$work/d2" "$work/invalid.txt"
refuses 'no such' "$TALC" prepare -t "$work/tok" --out "$work/d2" "$work/absent.txt"
refuses 'folder; name the files' "$TALC" prepare -t "$work/tok" --out "$work/d2" "$work/data"
printf '{"text": "a"}\n{"text": \n' >"$work/bad.jsonl"
refuses 'bad.jsonl:2' "$TALC" prepare -t "$work/tok" --out "$work/d2" "$work/bad.jsonl"
printf '{"messages": 3}\n' >"$work/bad_chat.jsonl"
refuses 'bad_chat.jsonl:1' "$TALC" sft -m "$work/run" --data "$work/bad_chat.jsonl" --out "$work/s2" --steps 1 --quiet
{ printf '{"text": "'; head -c 1000000000 /dev/zero | tr '\0' 'a'; printf '"}\n'; } >"$work/long.jsonl"
refuses 'long.jsonl:1' "$TALC" prepare -t "$work/tok" --out "$work/d2" "$work/long.jsonl"
rm -f "$work/long.jsonl"

# models
damage() { rm -rf "$work/model"; cp -rL "$work/run/latest" "$work/model"; }
damage; truncate -s -1000 "$work/model/model.safetensors"
refuses 'safetensors' "$TALC" generate -m "$work/model" -p a
damage; printf '\0\0\0\0\0\0\0\200' | dd of="$work/model/model.safetensors" conv=notrunc 2>/dev/null
refuses 'header' "$TALC" generate -m "$work/model" -p a
damage; printf '{"model_type": "qwen3"}' >"$work/model/config.json"
refuses 'config.json' "$TALC" generate -m "$work/model" -p a
damage; sed -i 's/"vocab_size": [0-9]*/"vocab_size": 77/' "$work/model/config.json"
refuses 'shape\|vocab' "$TALC" generate -m "$work/model" -p a
damage; sed -i 's/"hidden_size": [0-9]*/"hidden_size": 4611686018427387904/' "$work/model/config.json"
refuses 'hidden_size' "$TALC" generate -m "$work/model" -p a
damage; rm "$work/model/model.safetensors"
refuses 'safetensors' "$TALC" generate -m "$work/model" -p a
damage; printf '[1,2' >"$work/model/tokenizer.json"
refuses 'tokenizer.json' "$TALC" generate -m "$work/model" -p a
not_a_number() { # FILE TENSOR: a NaN as its last number, which no prompt of ours asks for
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    end=$(head -c "$((8 + header))" "$1" | tail -c +9 | sed "s/.*\"$2\":{[^}]*,\([0-9]*\)\]}.*/\1/")
    printf '\0\0\300\177' | dd of="$1" bs=1 seek="$((8 + header + end - 4))" conv=notrunc 2>/dev/null
}
damage
not_a_number "$work/model/model.safetensors" model.embed_tokens.weight
printf '{"prompt": "The miller", "completion": "sang"}\n' >"$work/chat.jsonl"
printf '%s\n' '{"skill": "unknown", "messages": [{"role": "user", "content": "Who?"}], "answer": "no", "check": {"type": "unknown", "thing": "x"}}' \
    >"$work/eval.jsonl"
for c in generate chat "perplexity $work/text.txt" "eval --data $work/eval.jsonl" "sft --data $work/chat.jsonl --out $work/s2"; do
    # shellcheck disable=SC2086
    refuses 'model.safetensors: number [0-9]* of tensor "model.embed_tokens.weight" is not finite (nan)' "$TALC" $c -m "$work/model"
done
cp -r "$work/run" "$work/run2"
not_a_number "$work/run2/latest/optimizer.safetensors" v.embedding.weight
refuses 'optimizer.safetensors: number [0-9]* of tensor "v.embedding.weight" is not finite' "$TALC" train --resume --out "$work/run2" --steps 9 --quiet

# sizes that no int, and no machine, holds
refuses 'too many at once' "$TALC" train --data "$work/data" --out "$work/r2" --depth 2 --batch 9999999 --steps 1 --quiet
refuses 'are needed and' "$TALC" train --data "$work/data" --out "$work/r2" --depth 256 --steps 1 --quiet

# places that cannot be written
if [ "$(id -u)" != 0 ]; then
    mkdir "$work/closed" && chmod 500 "$work/closed"
    refuses 'closed' "$TALC" prepare -t "$work/tok" --out "$work/closed/d" "$work/text.txt"
elif mkdir "$work/small" && mount -t tmpfs -o size=64k tmpfs "$work/small" 2>/dev/null; then
    refuses 'space' "$TALC" prepare -t "$work/tok" --out "$work/small/d" "$work/text.txt"
    refuses 'space' "$TALC" train --data "$work/data" --out "$work/small/run" --depth 1 --context 32 --steps 1 --quiet
    rm -r "$work/small"/* 2>/dev/null
    for c in "prepare -t $work/tok $work/text.txt" "primer --entities 20" "tokenizer train $work/text.txt"; do
        # shellcheck disable=SC2086
        refuses 'small: is a mount point' "$TALC" $c --out "$work/small"
    done
    umount "$work/small"
fi
refuses 'cannot be made\|not a directory' "$TALC" prepare -t "$work/tok" --out "$work/text.txt/d" "$work/text.txt"
# before the work: its text is not read
refuses 'text.txt: the folder cannot be made' "$TALC" tokenizer train --vocab-size 300 \
    --out "$work/text.txt/t" "$work/absent.txt"
[ ! -e /proc/self ] || refuses '/proc/talc: the folder cannot be made' "$TALC" tokenizer train --out /proc/talc "$work/absent.txt"
refuses 'no such' "$TALC" tokenizer train --out "$work/parent/t2" "$work/absent.txt"
[ ! -e "$work/parent" ] || fail "a tokenizer that was not learnt leaves a folder"
refuses 'already' "$TALC" train --data "$work/data" --out "$work/run" --depth 1 --steps 3 --quiet
finish
