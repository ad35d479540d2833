#!/bin/sh
# A run folder: one process at a time, no run overwritten, --resume at any moment, the last and the best are kept, nobody's
# files are replaced.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

make_corpus "$work/text.txt"
must "$TALC" tokenizer train --vocab-size 300 --out "$work/tok" "$work/text.txt"
must "$TALC" prepare -t "$work/tok" --out "$work/data" --val-fraction 0.1 "$work/text.txt"
train() { # OUT options...
    out=$1
    shift
    "$TALC" train --data "$work/data" --out "$out" --depth 1 --context 32 --batch 4 --quiet "$@"
}
# Begins a run that will not end, and waits until it has done a step; $pid.
begin() { # OUT
    "$TALC" train --data "$work/data" --out "$1" --depth 1 --context 32 --batch 4 --quiet --steps 12000000 --eval-every 0 \
        --save-every 12000000 &
    pid=$!
    tries=0
    until [ -s "$1/metrics.jsonl" ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { fail "no step was done in a minute"; return; }
        sleep 0.1
    done
}
end() {
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
}
step_of() { sed -n 's/.*"step": \([0-9]*\),/\1/p' "$1/latest/trainer.json"; }

# Killed before the first checkpoint: both ways to go on work, and end in the same bits as a run that was not killed.
must train "$work/whole" --steps 12
for resume in '' --resume; do
    begin "$work/killed"
    end
    [ -e "$work/killed/latest" ] && fail "there is a checkpoint before any was due"
    mkdir -p "$work/killed/checkpoints" # where the first one was being written
    # shellcheck disable=SC2086
    must train "$work/killed" $resume --steps 12 --save-every 6 --eval-every 6
    cmp "$work/whole/latest/model.safetensors" "$work/killed/latest/model.safetensors" || fail "not the same bits"
    rm -rf "$work/killed"
done

# A checkpoint of a later step than the one that `latest` names is of a run that was killed in between. It does not crowd out
# what is written next.
must train "$work/run" --steps 30 --eval-every 0 --save-every 10 --keep 1 --schedule constant --warmup 0
cp -r "$work/run/checkpoints/step-30" "$work/run/checkpoints/step-90"
must train "$work/run" --resume --steps 40
[ "$(step_of "$work/run")" = 40 ] || fail "the run does not go on to 40 steps"
[ -e "$work/run/checkpoints/step-90" ] && fail "the leftover of a killed run is still there"
must "$TALC" perplexity -m "$work/run" "$work/text.txt"

# More steps hold from then on, and a run with a constant rate ends as if it had been meant so.
must train "$work/long" --steps 60 --eval-every 0 --save-every 10 --keep 1 --schedule constant --warmup 0
must "$TALC" train --resume --out "$work/run" --steps 60 --quiet
must "$TALC" train --resume --out "$work/run" --quiet
[ "$(step_of "$work/run")" = 60 ] || fail "60 steps were asked for; the run has $(step_of "$work/run")"
cmp "$work/long/latest/model.safetensors" "$work/run/latest/model.safetensors" || fail "another run than one of 60 steps"

# The last two and the best are kept, no more.
must train "$work/keep" --steps 40 --eval-every 5 --save-every 5 --keep 2
best=$(readlink "$work/keep/best")
n=$(find "$work/keep/checkpoints" -mindepth 1 -maxdepth 1 | wc -l)
[ -e "$work/keep/$best" ] || fail "the best is gone"
[ "$n" = 2 ] || [ "$n" = 3 ] || fail "$n checkpoints are kept"
[ -e "$work/keep/checkpoints/step-40" ] && [ -e "$work/keep/checkpoints/step-35" ] || fail "the last two are not there"

# The links are lost, as by some ways to copy a folder: the checkpoints are still a run.
must train "$work/linkless" --steps 20 --eval-every 10 --save-every 10
rm "$work/linkless/latest" "$work/linkless/best"
refuses 'holds a run already' "$TALC" train --data "$work/data" --out "$work/linkless" --depth 1 --context 32 --steps 5 --quiet
rm -r "$work/linkless/checkpoints/step-20" # nor is the last one there
must train "$work/linkless" --resume --steps 20
[ "$(step_of "$work/linkless")" = 20 ] || fail "the run without links does not go on"
head -1 "$work/linkless/metrics.jsonl" | grep -q '"step": 1,' || fail "the run without links has lost its beginning"
grep -c '"step": 1,' "$work/linkless/metrics.jsonl" | grep -qx 1 || fail "the run without links began anew"

# A copy that followed the links: told before the work, and mended as is said.
must train "$work/linked" --steps 4 --save-every 2 --eval-every 2
cp -rL "$work/linked" "$work/copied"
refuses 'copied/latest: is a folder, not a link' "$TALC" train --resume --out "$work/copied" --steps 8 --quiet
[ ! -e "$work/copied/checkpoints/step-8" ] || fail "the run goes on before it is told"
rm -r "$work/copied/latest"
refuses 'copied/best: is a folder, not a link' "$TALC" train --resume --out "$work/copied" --steps 8 --quiet
rm -r "$work/copied/best"
must train "$work/copied" --resume --steps 8
must train "$work/linked" --resume --steps 8
cmp "$work/linked/latest/model.safetensors" "$work/copied/latest/model.safetensors" || fail "the copy goes on otherwise"

# Two at once.
begin "$work/both"
refuses 'another process' "$TALC" train --data "$work/data" --out "$work/both" --depth 1 --steps 1 --quiet
end

# A run that is just ending: what it writes while it still holds the folder is a run all the same.
if command -v flock >/dev/null; then
    for resume in '' --resume; do
        mkdir "$work/ending" && cp "$work/whole/settings.json" "$work/ending/"
        # shellcheck disable=SC2016
        flock "$work/ending" sh -c 'sleep 1; cp -r "$1/checkpoints" "$1/latest" "$1/best" "$2/"' - "$work/whole" "$work/ending" &
        sleep 0.3
        if [ -z "$resume" ]; then
            refuses 'holds a run already' "$TALC" train --data "$work/data" --out "$work/ending" --depth 1 --context 32 --steps 5 --quiet
        else
            must train "$work/ending" --resume --steps 14
            [ "$(wc -l <"$work/ending/metrics.jsonl")" = 2 ] || fail "a run that was ending is begun anew"
        fi
        wait
        rm -r "$work/ending"
    done
fi

# A list of files that is given again replaces the one of the settings: the same run.
printf '{"prompt": "Who sang?", "completion": "The miller."}\n' >"$work/a.jsonl"
printf '{"prompt": "Who slept?", "completion": "The baker."}\n{"prompt": "Who waited?", "completion": "The rider."}\n' >"$work/b.jsonl"
must train "$work/base" --steps 2 --context 128
sft() { # OUT options...
    out=$1
    shift
    "$TALC" sft -m "$work/base" --out "$out" --data "$work/a.jsonl" --data "$work/b.jsonl" --val-fraction 0 --batch 1 --quiet \
        --schedule constant "$@"
}
must sft "$work/sft_whole" --steps 9
must sft "$work/sft_parts" --steps 4
must sft "$work/sft_parts" --resume --steps 9
cmp "$work/sft_whole/latest/model.safetensors" "$work/sft_parts/latest/model.safetensors" || fail "sft --resume learns from other chats"

# Text that is replayed is no validation of chats.
for _ in 1 2 3 4 5 6 7 8 9 10; do echo '{"text": "The weaver sang by the river."}'; done >"$work/replay.jsonl"
must "$TALC" sft -m "$work/base" --out "$work/replayed" --data "$work/a.jsonl" --replay "$work/replay.jsonl" --val-fraction 0.5 --steps 2 --quiet
grep -q val_loss "$work/replayed/metrics.jsonl" && fail "replayed text is validated on"

# Rows shorter than the model's context: less memory, and a model that can read as much as before.
printf '{"prompt": "Who sang by the river, and who slept by the hill until the market was quiet?", "completion": "The miller."}\n' >"$work/c.jsonl"
must "$TALC" sft -m "$work/base" --out "$work/short" --data "$work/a.jsonl" --data "$work/c.jsonl" --val-fraction 0 --context 24 --batch 2 --steps 2 --quiet
grep -q '1 chats do not fit in a row of 24 tokens' "$work/err" || fail "a chat that does not fit is not told: $(cat "$work/err")"
head -1 "$work/short/metrics.jsonl" | grep -q '"tokens": 48,' || fail "rows are not of 24 tokens"
must "$TALC" sft --resume --out "$work/short" --steps 4 --quiet
tail -1 "$work/short/metrics.jsonl" | grep -q '"tokens": 192,' || fail "rows are not of 24 tokens after a resume"
grep -q '"max_position_embeddings": 128' "$work/short/latest/config.json" || fail "the model is made shorter"
refuses 'more than the 128 tokens' "$TALC" sft -m "$work/base" --out "$work/never" --data "$work/a.jsonl" --context 129 --steps 2 --quiet

# Settings that name no model to begin with, and no checkpoint to go on with.
mkdir "$work/unnamed" && printf '{\n  "batch-ramp": 0.5\n}\n' >"$work/unnamed/settings.json"
refuses 'give -m MODEL' "$TALC" sft --resume --out "$work/unnamed" --data "$work/a.jsonl" --quiet

# What a run cannot go on with is said.
must "$TALC" tokenizer train --vocab-size 290 --out "$work/tok2" "$work/text.txt"
must "$TALC" prepare -t "$work/tok2" --out "$work/data2" "$work/text.txt"
refuses 'another tokenizer' "$TALC" train --resume --out "$work/keep" --data "$work/data2" --steps 41 --quiet
cp -r "$work/data" "$work/swapped" # as many tokens, others
must "$TALC" tokenizer train --vocab-size 300 --special '<|other|>' --out "$work/tok3" "$work/text.txt"
cp "$work/tok3/"* "$work/swapped/"
refuses 'made with another tokenizer than the one there' "$TALC" train --data "$work/swapped" --out "$work/never" --depth 1 --steps 1 --quiet
refuses 'keeps its shape' "$TALC" train --resume --out "$work/keep" --depth 2 --steps 41 --quiet
cp -r "$work/keep" "$work/broken"
truncate -s -9 "$work/broken/latest/optimizer.safetensors"
refuses 'optimizer.safetensors' "$TALC" train --resume --out "$work/broken" --steps 41 --quiet
cp "$work/keep/latest/optimizer.safetensors" "$work/broken/latest/optimizer.safetensors"
says_step() { # WHAT WORDS: a "step" that trainer.json cannot have
    sed "s/\"step\": [0-9]*/\"step\": $1/" "$work/keep/latest/trainer.json" >"$work/broken/latest/trainer.json"
    refuses "latest/trainer.json: \"step\" is $1, but $2" "$TALC" train --resume --out "$work/broken" --steps 50 --quiet
}
says_step -5 'must be between 0 and 1000000000000'
says_step 1000000000000000000 'must be between 0 and 1000000000000'
says_step 1e+18 'must be between 0 and 1000000000000'
says_step 41 'the run was planned to end at 40'
says_step 39 'updates made and skipped are 40'
for key in step total_steps data_epoch data_next optimizer_steps; do # which have no value to go on with in their place
    sed "/\"$key\"/d" "$work/keep/latest/trainer.json" >"$work/broken/latest/trainer.json"
    [ $key != step ] || sed -i '/"optimizer_steps"/d' "$work/broken/latest/trainer.json"
    refuses "latest/trainer.json: has no \"$key\"" "$TALC" train --resume --out "$work/broken" --steps 50 --quiet
done
rm "$work/broken/latest/trainer.json"
refuses 'latest/trainer.json: cannot be read' "$TALC" train --resume --out "$work/broken" --steps 41 --quiet
rm "$work/broken/latest/config.json"
refuses 'latest: the checkpoint has no config.json' "$TALC" train --resume --out "$work/broken" --steps 41 --quiet
echo '{"depth": 99999}' >"$work/broken/settings.json"
refuses 'settings.json: --depth must be' "$TALC" train --resume --out "$work/broken" --quiet

# Nobody's folder is replaced or written to.
mkdir "$work/mine" && echo precious >"$work/mine/file"
refuses 'something else' "$TALC" primer --out "$work/mine" --entities 20 --scale 0.02 --documents 20 --tests 1 --quiet
refuses 'something else' "$TALC" prepare -t "$work/tok" --out "$work/mine" "$work/text.txt"
refuses 'something else' "$TALC" train --data "$work/data" --out "$work/mine" --depth 1 --steps 1 --quiet
refuses 'something else' "$TALC" sft -m "$work/base" --data "$work/a.jsonl" --out "$work/mine" --steps 1 --quiet
refuses 'something else' "$TALC" tokenizer train --vocab-size 300 --out "$work/mine" "$work/text.txt"
refuses 'something else' "$TALC" tokenizer convert -t "$work/tok" "$work/mine"
refuses 'something else (it has no settings.json as talc writes it)' "$TALC" train --data "$work/data" --out "$work/data" --depth 1 --steps 1 --quiet
for f in settings.json data.json world.jsonl tokenizer.json; do # files of others with names that ours have
    mkdir "$work/theirs" && echo '{}' >"$work/theirs/$f"
    refuses 'something else' "$TALC" train --data "$work/data" --out "$work/theirs" --depth 1 --steps 1 --quiet
    refuses 'something else' "$TALC" prepare -t "$work/tok" --out "$work/theirs" "$work/text.txt"
    refuses 'something else' "$TALC" primer --out "$work/theirs" --entities 20 --scale 0.02 --documents 20 --tests 1 --quiet
    refuses 'something else' "$TALC" tokenizer train --vocab-size 300 --out "$work/theirs" "$work/text.txt"
    [ "$(cat "$work/theirs/"*)" = '{}' ] || fail "$f of somebody else is gone"
    rm -r "$work/theirs"
done
[ "$(ls -A "$work/mine")" = file ] && [ "$(cat "$work/mine/file")" = precious ] || fail "the folder of somebody else is not as it was"
mkdir "$work/free" && : >"$work/free/settings.json.talc-tmp-4194305" # left by a run that was killed
must train "$work/free" --steps 1

# Nor is what somebody has put into a folder of ours that is written anew.
for made in data primer tok; do
    case $made in
    data) set -- prepare -t "$work/tok" --out "$work/again" "$work/text.txt" ;;
    primer) set -- primer --out "$work/again" --entities 20 --scale 0.02 --documents 20 --tests 1 --quiet ;;
    tok) set -- tokenizer train --vocab-size 300 --out "$work/again" "$work/text.txt" ;;
    esac
    must "$TALC" "$@"
    must "$TALC" "$@"
    echo precious >"$work/again/notes.txt"
    refuses 'holds something else too (notes.txt)' "$TALC" "$@"
    [ "$(cat "$work/again/notes.txt")" = precious ] || fail "notes in a folder of ours are gone: $made"
    rm -r "$work/again"
done
mkdir "$work/again" && : >"$work/again/thesis.talc-tmp-2024"
refuses 'something else' "$TALC" prepare -t "$work/tok" --out "$work/again" "$work/text.txt"
rm -r "$work/again"
cp -r "$work/keep" "$work/noted"
for f in thesis.talc-tmp-2024 checkpoints/best.talc-tmp-1; do echo precious >"$work/noted/$f"; done
: >"$work/noted/settings.json.talc-tmp-4194305"
must "$TALC" train --resume --out "$work/noted" --steps 41 --quiet
for f in thesis.talc-tmp-2024 checkpoints/best.talc-tmp-1; do [ -e "$work/noted/$f" ] || fail "resuming removes $f"; done
[ ! -e "$work/noted/settings.json.talc-tmp-4194305" ] || fail "what a killed writer left is not removed"
rm -r "$work/noted"

must "$TALC" tokenizer train --vocab-size 300 --out "$work/again" "$work/text.txt"
mv "$work/again/tokenizer_config.json" "$work/keep.json" && ln -s ../keep.json "$work/again/tokenizer_config.json"
cp "$work/keep.json" "$work/keep.copy"
refuses 'holds something else too (tokenizer_config.json)' "$TALC" tokenizer train --vocab-size 290 --special '<|new|>' --out "$work/again" "$work/text.txt"
cmp "$work/keep.json" "$work/keep.copy" || fail "a tokenizer is written through a link"
rm "$work/again/tokenizer_config.json" # and so does a folder that was downloaded look
for config in '{}' '{
  "errors": "replace",
  "written_by": "talc"
}'; do # the second: as transformers saves what it has read from us
    echo "$config" >"$work/again/tokenizer_config.json"
    refuses 'has no tokenizer_config.json as talc writes it' "$TALC" tokenizer convert -t "$work/tok" "$work/again"
done
rm -r "$work/again"
cp -r "$work/data" "$work/again"
for f in train-mine.bin val-00000.bin.mine train-000001.bin; do
    echo precious >"$work/again/$f"
    refuses "holds something else too ($f)" "$TALC" prepare -t "$work/tok" --out "$work/again" "$work/text.txt"
    rm "$work/again/$f"
done
mkdir "$work/again/val-00007.bin"
refuses 'holds something else too (val-00007.bin)' "$TALC" prepare -t "$work/tok" --out "$work/again" "$work/text.txt"
rm -r "$work/again"
mkdir "$work/again" && echo '{"theme": "dark", "data": "x"}' >"$work/again/settings.json" && : >"$work/again/metrics.jsonl"
refuses 'has no settings.json as talc writes it' "$TALC" train --data "$work/data" --out "$work/again" --depth 1 --steps 1 --quiet
refuses 'has no settings.json as talc writes it' "$TALC" sft -m "$work/base" --data "$work/a.jsonl" --out "$work/again" --steps 1 --quiet
rm -r "$work/again"

# Nor what stands beside, under a name like that of a leftover; nor among the checkpoints.
mkdir "$work/again.talc-tmp-2024" && echo precious >"$work/again.talc-tmp-2024/essay"
must "$TALC" prepare -t "$work/tok" --out "$work/again" "$work/text.txt"
[ -e "$work/again.talc-tmp-2024/essay" ] || fail "an essay beside is gone"
rm -r "$work/again" "$work/again.talc-tmp-2024"
for beside in "$work/again.tmp-2024" "$work/again.replaced-2024"; do # names that a user may choose
    must "$TALC" prepare -t "$work/tok" --out "$beside" "$work/text.txt"
    must "$TALC" prepare -t "$work/tok" --out "$work/again" "$work/text.txt"
    [ -e "$beside/data.json" ] || fail "$beside is swept away"
    rm -rf "$work/again" "$beside"
done
for beside in "$work/again.talc-tmp-2024/." "$work/again.talc-replaced-2024"; do # and that nobody may
    refuses 'choose another name' "$TALC" prepare -t "$work/tok" --out "$beside" "$work/text.txt"
done
must train "$work/again" --steps 4 --save-every 2 --keep 1
mkdir "$work/again/checkpoints/step-1" && echo precious >"$work/again/checkpoints/step-1/essay"
cp -r "$work/again/checkpoints/step-4" "$work/again/checkpoints/step-004"
must train "$work/again" --resume --steps 8 --save-every 2 --keep 1
for f in step-1/essay step-004/config.json; do [ -e "$work/again/checkpoints/$f" ] || fail "a save removes $f"; done
mv "$work/again/checkpoints/step-1" "$work/again/checkpoints/step-77" # before the work, not when it is to be saved
refuses 'step-77: is not, or not only, a checkpoint' "$TALC" train --resume --out "$work/again" --steps 77 --quiet
[ -e "$work/again/checkpoints/step-77/essay" ] || fail "an essay among the checkpoints is gone"
rm -r "$work/again"

# Nor what is put there while talc works.
"$TALC" primer --out "$work/late" --entities 300 --quiet >"$work/out" 2>"$work/err" &
pid=$!
until ls -d "$work/late.talc-tmp-$pid" >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
mkdir "$work/late" && echo precious >"$work/late/notes.txt"
wait $pid
[ $? = 1 ] && grep -q 'something else' "$work/err" || fail "a folder that came meanwhile is no reason to stop"
[ -e "$work/late/notes.txt" ] || fail "notes that came meanwhile are gone"
[ "$(echo "$work/late"*)" = "$work/late" ] || fail "something is left beside"

# A demo replaces a demo, and nothing else.
for f in notes.txt mine/a primer-notes.txt data/a; do
    for made in yes no; do
        [ $f$made = data/ayes ] && continue # a demo's own
        mkdir "$work/demo" && [ $made = no ] || { mkdir "$work/demo/primer" && : >"$work/demo/primer/world.jsonl"; }
        case $f in */*) mkdir "$work/demo/${f%/*}" ;; esac
        echo precious >"$work/demo/$f"
        TALC=false DEMO_DIR="$work/demo" examples/demo.sh >"$work/out" 2>"$work/err" && fail "a demo over $f"
        [ -e "$work/demo/$f" ] || fail "the demo removes $f"
        rm -r "$work/demo"
    done
done
echo precious >"$work/demo" # a file
TALC=false DEMO_DIR="$work/demo" examples/demo.sh >"$work/out" 2>"$work/err" && fail "a demo over a file"
[ -f "$work/demo" ] || fail "the demo removes a file"
rm -r "$work/demo"
mkdir -p "$work/demo/primer" "$work/demo/sft" && : >"$work/demo/primer/world.jsonl"
TALC=false DEMO_DIR="$work/demo" examples/demo.sh >"$work/out" 2>"$work/err"
[ ! -e "$work/demo/sft" ] || fail "a demo is not replaced"

# A tokenizer that is written when its writer is killed: all of it is the old one, or all the new one.
"$TALC" tokenizer train --vocab-size 300 --special '<|one|>' --out "$work/killed_tok" "$work/text.txt" >/dev/null
for wait in 0 1 2 3 4 5 6 7 8 9; do
    "$TALC" tokenizer train --vocab-size 300 --special "<|new $wait|>" --out "$work/killed_tok" "$work/text.txt" >/dev/null 2>&1 &
    pid=$!
    sleep "0.0$wait"
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    special=$(grep -o '<|[a-z 0-9]*|>' "$work/killed_tok/tokenizer.json" | head -1)
    [ "$(grep -lF "$special" "$work/killed_tok/"* | grep -c '')" = 3 ] || fail "a tokenizer of two, after a kill"
done
must "$TALC" tokenizer train --vocab-size 300 --out "$work/killed_tok" "$work/text.txt"
[ "$(echo "$work/killed_tok"*)" = "$work/killed_tok" ] || fail "what killed writers left is not removed"

# Two at once: the folder is of one of them.
for made in 1 2 3 4; do
    "$TALC" tokenizer train --vocab-size 300 --special '<|one|>' --out "$work/both" "$work/text.txt" >/dev/null 2>&1 &
    "$TALC" tokenizer train --vocab-size 300 --special '<|two|>' --out "$work/both" "$work/text.txt" >/dev/null 2>&1
    wait $!
    grep -l '<|one|>' "$work/both"/* >"$work/out"
    case $(grep -c '' "$work/out") in 0 | 3) ;; *) fail "a tokenizer of two" ;; esac
    rm -r "$work/both"
done

# Data that somebody cuts short while it is read ends the run with a line.
cp -r "$work/data" "$work/data_cut"
"$TALC" train --data "$work/data_cut" --out "$work/cut" --depth 1 --batch 1 --steps 1000000 --save-every 10 --quiet >"$work/out" 2>"$work/err" &
cut=$!
tries=0
while [ ! -e "$work/cut/latest" ] && [ $tries -lt 600 ]; do tries=$((tries + 1)); sleep 0.1; done
for shard in "$work/data_cut/"*.bin; do : >"$shard"; done
wait "$cut"
status=$?
[ $status = 1 ] || fail "exit $status of a run whose data was cut short"
grep -q 'was cut short' "$work/err" || { fail "data cut short is not told"; cat "$work/err" >&2; }

# Answers that could not be had do not replace those that are there.
printf '{"skill": "fact", "messages": [{"role": "user", "content": "Who?"}], "answer": "a", "check": {"type": "fact"}}\n' >"$work/tests.jsonl"
echo kept >"$work/answers"
refuses 'no chat template' "$TALC" eval -m "$work/base" --data "$work/tests.jsonl" --answers "$work/answers" --quiet
[ "$(cat "$work/answers")" = kept ] || fail "the answers of before are gone"
cp "$work/tests.jsonl" "$work/tests.copy" && ln -s tests.jsonl "$work/tests.link"
for f in tests.jsonl tests.link; do
    refuses 'is the file given as --data' "$TALC" eval -m "$work/base" --data "$work/tests.jsonl" --answers "$work/$f" --quiet
done
refuses 'is the file given as --baseline' "$TALC" eval -m "$work/base" --data "$work/tests.jsonl" --baseline "$work/text.txt" \
    --answers "$work/text.txt" --quiet
cmp "$work/tests.jsonl" "$work/tests.copy" || fail "answers replace the tests"

# A file is JSON by its own name, not by its folder's.
mkdir "$work/a.json.d" && cp "$work/text.txt" "$work/a.json.d/"
must "$TALC" tokenizer train --vocab-size 300 --out "$work/tok3" "$work/a.json.d/text.txt"

# An interrupt leaves no half of anything, and says 130.
interrupt() { # COMMAND...: must end with 130, within 20 seconds
    "$@" >"$work/out" 2>"$work/err" &
    pid=$!
    until_caught "$pid"
    kill -TERM "$pid"
    ( trap 'kill "$nap"' TERM; sleep 20 & nap=$!; wait "$nap" && kill -KILL "$pid" ) >/dev/null 2>&1 &
    watchdog=$!
    wait "$pid"
    status=$?
    kill "$watchdog" 2>/dev/null
    [ "$status" = 130 ] || fail "exit $status after an interrupt: $*"
}
head -c 30000000 /dev/zero | tr '\0' 'a' | sed 's/aaaaaaaaa/ miller a/g' >"$work/big.txt"
interrupt "$TALC" primer --out "$work/p" --entities 20000 --quiet
set -- "$work/big.txt" "$work/big.txt" "$work/big.txt" "$work/big.txt"
interrupt "$TALC" prepare -t "$work/tok" --out "$work/big" --quiet --threads 1 "$@" "$@" "$@"
if command -v flock >/dev/null; then # while it waits for the folder, before anything is written there
    mkdir "$work/stopped"
    flock "$work/stopped" sleep 1.5 &
    sleep 0.3
    interrupt "$TALC" train --data "$work/data" --out "$work/stopped" --depth 1 --context 32 --quiet
    [ -z "$(ls -A "$work/stopped")" ] || fail "an interrupt before the training leaves something"
fi
interrupt "$TALC" perplexity -m "$work/base" --quiet "$work/big.txt"
if command -v zstd >/dev/null; then # a small packed file that holds half a terabyte, of empty lines
    head -c 64000000 /dev/zero | tr '\0' '\n' | zstd -q -19 >"$work/1"
    for doubled in 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192; do
        cat "$work/$((doubled / 2))" "$work/$((doubled / 2))" >"$work/$doubled"
    done
    mv "$work/8192" "$work/bomb.jsonl.zst"
    interrupt "$TALC" prepare -t "$work/tok" --out "$work/big" --quiet "$work/bomb.jsonl.zst"
    interrupt "$TALC" tokenizer train --out "$work/big" --quiet "$work/bomb.jsonl.zst"
    interrupt "$TALC" eval -m "$work/base" --data "$work/bomb.jsonl.zst" --quiet
fi
leftovers=$(find "$work" -name '*.talc-tmp-*' | grep -v killed)
[ -z "$leftovers" ] || fail "left behind: $leftovers"
finish
