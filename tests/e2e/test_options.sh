#!/bin/sh
# Options: settings come from a file, the environment and the command line, each stronger than the one before; the examples
# that --help prints run as printed; what cannot be written is told.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

TALC=$(realpath "$TALC")
export TALC
make_corpus "$work/book.txt"
cd "$work" || exit 1
mkdir bin && ln -s "$TALC" bin/talc
PATH=$work/bin:$PATH

# says WORDS COMMAND...: its stdout must hold these words.
says() {
    words=$1
    shift
    "$@" >out 2>err </dev/null || { fail "exit $?: $*"; cat err >&2; }
    grep -q -- "$words" out || { fail "does not say '$words': $*"; head -3 out >&2; }
}

must talc tokenizer train --vocab-size 400 --out tok/ book.txt
must talc prepare -t tok/ --out data/ book.txt
must talc train --data data/ --out run/ --depth 1 --steps 30 --quiet
printf '%s\n' '{"messages": [{"role": "user", "content": "Who slept?"}, {"role": "assistant", "content": "The miller slept."}]}' \
    '{"messages": [{"role": "user", "content": "Who sang?"}, {"role": "assistant", "content": "The baker sang."}]}' >chats.jsonl
must talc sft -m run/ --data chats.jsonl --out sft/ --steps 2 --val-fraction 0 --quiet

# file < environment < option; a list replaces a weaker one
printf '{"temp": 0, "max-tokens": 9, "json": true, "stop": ["zz", "the"], "prompt": "The miller "}\n' >c.json
generate() { talc generate -m run/ --config c.json "$@"; }
count() { sed 's/.*"token_ids":\[\([^]]*\)\].*/\1/' out | tr ',' '\n' | grep -c .; }
says '"finish_reason"' generate
says '"finish_reason":"length"' generate --stop zz --max-tokens 3
[ "$(count)" = 3 ] || fail "--max-tokens 3 over a file's 9 gave $(count)"
TALC_MAX_TOKENS=5 TALC_STOP=zz
export TALC_MAX_TOKENS TALC_STOP
says length generate
[ "$(count)" = 5 ] || fail "TALC_MAX_TOKENS=5 over a file's 9 gave $(count)"
says length generate -n 4
[ "$(count)" = 4 ] || fail "-n 4 over TALC_MAX_TOKENS=5 gave $(count)"
unset TALC_MAX_TOKENS TALC_STOP
says length generate --config=c.json --stop=zz -n 2
[ "$(wc -l <out)" = 1 ] || fail "--json does not end its line"
refuses 'TALC_TEMP: --temp wants a number' env TALC_TEMP=hot talc generate -m run/
printf '{"max-tokens": "many"}' >bad.json
refuses 'bad.json: --max-tokens wants a whole number' talc generate -m run/ --config bad.json
printf '{"colour": 1}' >bad.json
refuses "bad.json: talc generate has no option 'colour'" talc generate -m run/ --config bad.json
refuses '--config wants FILE' talc generate -m run/ --config
refuses '--json is true or false' talc generate -m run/ --json=maybe
refuses '--color must be always, never or auto, not .sometimes' talc generate -m run/ --color sometimes
misused() { # WORDS COMMAND...: refused, before anything is opened, as a mistake of the user's
    refuses "$@"
    [ "$status" = 2 ] || fail "exit $status, not 2: $*"
}
misused '--top-p must be' talc chat -m sft/ --top-p 0
misused '--top-p must be' talc generate -m run/ --top-p 0
misused "--task must be primer, not 'prime'" talc eval -m nowhere --data nowhere --task prime
misused "--type must be bpe or char, not 'words'" talc tokenizer train --type words --out none nowhere
for c in optimizer:sgd schedule:flat dtype:f16 moments:f64 weights:int8; do
    misused "--${c%:*} must be .* or .*, not '${c#*:}'" talc train --data nowhere --out none "--${c%:*}" "${c#*:}"
    misused "--${c%:*} must be .* or .*, not '${c#*:}'" talc sft -m nowhere --data nowhere --out none "--${c%:*}" "${c#*:}"
done
misused "--dtype must be f32 or bf16, not 'f16'" talc bench gemm --dtype f16
misused '--batch-start 8 is more than the 4 rows' talc train --data nowhere --out none --batch 4 --batch-start 8
misused 'one of --depth and --preset' talc train --data data/ --out none --preset gpt2-124m --depth 2
misused 'one of --depth and --preset' talc bench train --preset gpt2-124m --depth 2
misused 'one of --steps and --minutes' talc train --data data/ --out none --steps 3 --minutes 1
misused 'one of --steps and --minutes' talc sft -m run/ --data nowhere --out none --steps 3 --minutes 1
# Given by two sources, the stronger one holds.
TALC_MODEL=/nowhere talc plan --preset gpt3-125m >out 2>err || fail "--preset is passed over for TALC_MODEL: $(cat err)"
TALC_PRESET=gpt3-125m talc plan -m /nowhere >out 2>err && fail "-m is passed over for TALC_PRESET"
echo '{"preset": "gpt2-124m", "batch": 1, "context": 64}' >preset.json
talc bench memory --config preset.json --depth 1 >out 2>err || fail "bench memory: $(cat err)"
grep -q 'MiB' out || fail "no memory table: $(cat out)"
awk '$1 == "planned" { exit !($2 < 100) }' out || fail "--depth is passed over for the preset of --config: $(cat out)"
must talc train --data data/ --out plain --depth 2 --context 64 --batch 1 --steps 1 --quiet
refuses 'keeps its shape' talc train --resume --out plain --steps 2 --paper-attention --quiet
must talc train --data data/ --out banded --depth 2 --context 64 --batch 1 --steps 1 --paper-attention --quiet
must talc train --resume --out banded --steps 2 --quiet
# an empty list takes the place of a weaker one
printf '{"stop": []}' >none.json
TALC_STOP='' says '"finish_reason":"length"' talc generate -m run/ --config none.json --json -p 'The miller ' -n 3
cp -r sft replayed
sed -i 's/"replay": \[\]/"replay": ["gone.jsonl"]/' replayed/settings.json
refuses 'gone.jsonl' talc sft --resume --out replayed --steps 3 --quiet
printf '{"replay": []}' >none.json
must talc sft --resume --out replayed --steps 3 --quiet --config none.json
refuses 'one of' talc info --depth 4 --preset gpt2-124m
refuses 'with --json only' talc generate -m run/ --logprobs
refuses '--stop is empty' talc generate -m run/ --stop ''
broken=$(printf 'a\377b')
refuses 'not valid UTF-8 text: byte 2' talc generate -m run/ -p "$broken"
refuses '--system is not valid UTF-8' talc chat -m sft/ --system "$broken"
refuses '--sample-prompt is not valid UTF-8' talc train --data data/ --out refused --sample-prompt "$broken"
printf '{"messages": [{"role": "user", "content": "Who slept?"}]}\n' >question.jsonl
refuses 'nothing to train on: 0 records do not fit in a row of [0-9]* tokens, 1 hold' talc sft -m run/ --data question.jsonl --out refused --quiet
# three passes over the chats, which are one row here
printf '{"prompt": "Who slept?", "completion": "The baker."}\n' >one.jsonl
says '"step":3,' talc sft -m run/ --data one.jsonl --val-fraction 0 --batch 1 --out passes --json --quiet
must talc generate -m run/ -n 2 -p --help
grep -q 'Usage' "$work/out" && fail "the text of -p was taken for an option"
says '^Learnt: .*\[30;42m' talc sft -m run/ --data chats.jsonl --show-mask --color always

# what stands for "not given" cannot be said, and is not told; bounds are whole numbers in full
for c in '--steps 0' '--batch 0' '--batch-start 0' '--micro-batch 0' '--context 0' '--n-heads 0' '--threads 0'; do
    # shellcheck disable=SC2086
    refuses "${c% 0} must be 1 to [0-9]*, not '0'" talc train --data data/ --out none --depth 1 $c
done
for c in --learning-rate --warmup --decay-fraction --eval-every --save-every --dropout; do
    refuses "$c must be 0 to [0-9.]*, not '-1'" talc train --data data/ --out none --depth 1 "$c" -1
done
refuses "--minutes must be 0.001 to 10000000, not '0'" talc train --data data/ --out none --minutes 0
refuses "--vocab-size must be 257 to 4194304, not '5'" talc tokenizer train --vocab-size 5 --out none book.txt
refuses "--zero must be 0 to 3, not '-1'" talc plan --zero -1
refuses "--gpus must be 1 to 100000000, not '0'" talc plan --gpus 0
[ -e none ] && fail "a folder was made for a run that was refused"
grep -e ' -1' -e '"steps": 0' -e '"minutes"' -e '"dropout"' run/settings.json && fail "settings.json holds what was not given"

# a 0 that can be said does what it says
must talc train --data data/ --out zero/ --depth 1 --context 64 --batch 1 --steps 9 --eval-every 3 --decay-fraction 0 --warmup 0 \
    --learning-rate 0 --quiet
[ "$(grep -c '"learning_rate_factor": 1\(.0\)*,' zero/metrics.jsonl)" = 9 ] || fail "--decay-fraction 0 decays: $(tail -1 zero/metrics.jsonl)"
[ "$(grep -o '"val_loss": [0-9.]*' zero/metrics.jsonl | sort -u | wc -l)" = 1 ] || fail "--learning-rate 0 learns"

# a run of so many steps that goes on by the clock
must talc train --resume --out zero/ --minutes 0.05 --quiet
[ "$(wc -l <zero/metrics.jsonl)" -gt 9 ] || fail "--minutes does not hold over the steps of before"

# shapes of --json
says '^{"presets":\[{"name":"gpt2-124m"' talc info --json
says '^{"cores":[0-9]*,"kernels":' talc info --cpu --json
says '^{"train_tokens":[0-9]*,"val_tokens":[0-9]*,"vocab_size":[0-9]*,"out":"q\\"d"}$' talc prepare -t tok/ --out 'q"d' --json book.txt
says '^{"step":2,"train_loss":[0-9.]*,"val_loss":[0-9.]*,"best_loss":[0-9.]*,"best_step":[12],"skipped":0,"stopped":false,"seconds":[0-9.e-]*,"tokens_per_second":[0-9.]*,"out":"j"}$' \
    talc train --data data/ --out j --depth 1 --context 64 --steps 2 --json
says '^{"perplexity":[0-9.]*,"tokens":[0-9]*,' talc perplexity -m run/ --json book.txt
says '^{"text":".*","token_ids":\[.*\],"prompt_tokens":1,"finish_reason":"[a-z]*","logprobs":\[-[0-9.]*' \
    talc generate -m run/ -p '' -n 2 --json --logprobs --ignore-eos

# others draw from a model as talc does
for c in temperature:0.7 top_p:0.95 min_p:0.05; do
    awk -F '[:,]' -v key="\"${c%:*}\"" -v want="${c#*:}" 'index($1, key) { d = $2 - want; n += d < 1e-9 && d > -1e-9 } END { exit n != 1 }' \
        sft/latest/generation_config.json || fail "generation_config.json: not $c"
done

# talc info: what a run has come to, of what type its weights are; what cannot be read is told
says '^trained  *2 of 2 steps, .* training loss [0-9.]*$' talc info -m sft/
says '^weights  *F32, [0-9]* tensors, [0-9.]* [KM]iB$' talc info -m sft/
says '^tokenizer  *[0-9]* tokens, .*, with a chat template$' talc info -m sft/
says '"run":{"step":2,"total_steps":2,"tokens":[0-9]*,"seconds":[0-9.e-]*,"train_loss":[0-9.]*,"val_loss":null,"best_loss":null}}$' \
    talc info -m sft/ --json
cp -rL sft/latest copy
echo '{' >copy/tokenizer.json
rm copy/model.safetensors copy/trainer.json
says '^tokenizer  *cannot be read: .*tokenizer.json' talc info -m copy
says '^weights  *cannot be read: copy: ' talc info -m copy
grep -q '^trained' out && fail "a model that is no checkpoint of a run is said to be trained"
refuses '--vocab-size goes with --depth' talc info --preset gpt2-124m --vocab-size 300
# its memory: 124,439,808 parameters of 4 bytes; keys and values of 12 layers, 1,024 tokens, 768 numbers of 4 bytes
says '"memory_to_train":{"parameters":497759232,"gradients":497759232,"optimizer":995518464,.*"memory_to_generate":{"parameters":497759232,"gradients":0,"optimizer":0,.*,"kv_cache":75497472' \
    talc info --preset gpt2-124m --json
activations() { sed 's/.*"memory_to_train":{[^}]*"activations":\([0-9]*\).*/\1/' out; }
says . talc info --preset gpt2-124m --json --batch 4
all=$(activations)
says '"kv_cache":37748736,"total":[0-9]*},"config"' talc info --preset gpt2-124m --json --batch 4 --context 512
half=$(activations)
says . talc info --preset gpt2-124m --json --batch 2
two=$(activations)
[ "$half" -lt $((all * 51 / 100)) ] && [ "$half" -gt $((all * 49 / 100)) ] && [ "$two" -lt $((all * 51 / 100)) ] || fail "activations of $all, $half and $two bytes"
says . talc info --preset gpt2-124m --json --batch 4 --recompute
[ "$(activations)" -lt $((all / 2)) ] || fail "--recompute: activations of $(activations) of $all bytes"
refuses '--context 2048 is more than the model' talc info --preset gpt2-124m --context 2048

# the whole validation split in windows of the context: perplexity says the loss that training said
printf 'The quiet miller sang by the river, and the baker laughed until the market was quiet. %.0s' 1 2 3 4 5 6 7 8 9 >one.txt
must talc prepare -t tok/ --out one/ --val-fraction 0.5 one.txt
must talc train --data one/ --out one_run --depth 1 --context 32 --steps 3 --eval-every 0 --quiet
n=$(wc -c <one.txt)
tail -c "$((n - n / 2))" one.txt >val.txt
want=$(sed -n '$s/.*"val_loss": \([0-9.]*\).*/\1/p' one_run/metrics.jsonl)
says "\"loss\":" talc perplexity -m one_run --json val.txt
awk -v want="$want" -v got="$(sed 's/.*"loss":\([0-9.]*\).*/\1/' out)" 'BEGIN { exit !(got - want < 1e-5 && want - got < 1e-5) }' ||
    fail "perplexity $(cat out), training $want"

# what the options of sampling do: each cut alone leaves the likeliest, whatever the temperature
ids() { talc generate -m run/ -p 'The miller ' -n 24 --ignore-eos --json "$@" | sed 's/.*"token_ids":\(\[[^]]*\]\).*/\1/'; }
greedy=$(ids --temp 0)
for c in '--top-k 1' '--min-p 1' '--top-p 0.000001'; do
    # shellcheck disable=SC2086
    [ "$(ids --temp 50 --top-p 1 --min-p 0 $c)" = "$greedy" ] || fail "$c is not greedy"
done
one=$(ids --temp 5 --seed 1 --top-p 1 --min-p 0)
[ "$one" = "$(ids --temp 5 --top-p 1 --min-p 0)" ] || fail "the default seed is not 1"
[ "$one" != "$(ids --temp 5 --seed 2 --top-p 1 --min-p 0)" ] || fail "--seed 2 draws as --seed 1"
[ "$one" != "$greedy" ] || fail "--temp 5 draws the likeliest"
[ "$(ids --temp 0 --repetition-penalty 100)" != "$greedy" ] || fail "--repetition-penalty 100 changes nothing"
text=$(talc generate -m run/ -p 'The miller ' -n 24 --temp 0 --ignore-eos)
text=${text#The miller }
stop=$(printf %s "$text" | head -1 | cut -c 4-6)
says '"finish_reason":"stop"' talc generate -m run/ -p 'The miller ' -n 24 --temp 0 --ignore-eos --json --stop zzz --stop "$stop"
[ "$(talc generate -m run/ -p 'The miller ' -n 24 --temp 0 --ignore-eos --stop "$stop")" = "The miller ${text%%"$stop"*}" ] ||
    fail "--stop '$stop' ends '$text' elsewhere: $(cat out)"

# a test that leaves no room for an answer is a wrong one, and is said
awk 'BEGIN {
    for (i = 0; i < 3000; i++) text = text "far "
    printf "{\"skill\": \"unknown\", \"messages\": [{\"role\": \"user\", \"content\": \"%s\"}], \"answer\": \"no\", ", text
    print "\"check\": {\"type\": \"unknown\", \"thing\": \"far\"}}" }' >long.jsonl
says '"score":0.0,.*"n":1}' talc eval -m sft/ --data long.jsonl --json
grep -q '1 tests do not fit in the context' err || fail "a test that does not fit is not told: $(cat err)"

refuses '--words FILE' talc eval -m sft/ --data nothing --free-text 2

# results that nobody can read
refuses 'No space left' sh -c 'talc --help >/dev/full'
refuses 'No space left' sh -c 'talc --version >/dev/full'
refuses 'No space left' sh -c 'talc tokenizer encode -t tok/ <book.txt >/dev/full'
for c in 'generate -m run/ -p The -n 3' 'info --json' 'perplexity -m run/ book.txt' 'chat --help'; do
    # shellcheck disable=SC2086
    refuses 'could not be written: No space left' sh -c "exec talc $c --color never >/dev/full"
done
sh -c 'exec talc train --data data/ --out closed --depth 1 --context 64 --steps 2 --quiet >&-' 2>err
[ $? = 1 ] || fail "a closed stdout was not told"
must talc perplexity -m closed book.txt
talc generate -m run/ -n 60 --ignore-eos -p The 2>err | head -c 1 >/dev/null
[ -s err ] && grep -q 'could not' err && fail "a reader that has had enough is no error to speak of"

# an example that --help prints must run (in a place that has what it names)
must talc primer --out demo/primer --entities 20 --scale 0.02 --documents 20 --tests 1 --quiet
cp -r sft demo/sft
mv book.txt more.txt && head -c 20000 more.txt >book.txt
printf '{"text": "The potter sang."}\n' >more.jsonl
if command -v zstd >/dev/null; then zstd -q more.jsonl; else sed -i 's/jsonl.zst/jsonl/' more.jsonl; fi
for c in 'tokenizer train' 'tokenizer encode' 'tokenizer decode' 'tokenizer show' prepare train sft eval perplexity generate chat \
    info primer; do
    # shellcheck disable=SC2086
    example=$(talc $c --help | sed -n '/^Example:/{n;p;}' | sed 's/^ *//')
    [ -n "$example" ] || { fail "talc $c --help has no example"; continue; }
    [ -e more.jsonl.zst ] || example=$(echo "$example" | sed 's/ more.jsonl.zst/ more.jsonl/')
    case $c in # what would take minutes ends at once; folders that must be new are
    train) rm -rf run; TALC_CONTEXT=64 sh -c "$(echo "$example" | sed 's/--minutes 5/--steps 2/')" >out 2>err </dev/null ;;
    sft) rm -rf sft; sh -c "$(echo "$example" | sed 's/--minutes 5/--steps 2/')" >out 2>err </dev/null ;;
    primer) TALC_ENTITIES=20 TALC_SCALE=0.02 TALC_DOCUMENTS=20 TALC_TESTS=1 sh -c "$example" >out 2>err </dev/null ;;
    *) sh -c "$example" >out 2>err </dev/null ;;
    esac || { fail "exit $?: $example"; tail -3 err >&2; }
done
finish
