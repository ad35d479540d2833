#!/bin/sh
# A conversation in the terminal: Ctrl-C stops the answer and not the program, a full context is said, the end of the input
# ends it, what is saved can be learnt from. A terminal is played by script(1).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# Where no terminal can be made, what needs one is left out.
terminal=yes
script -qefc true /dev/null >/dev/null 2>&1 </dev/null || { terminal=no; echo "SKIPPED: what needs a terminal; script(1) cannot make one"; }

make_corpus "$work/text.txt"
printf '{"messages": [{"role": "user", "content": "Who sang?"}, {"role": "assistant", "content": "The miller sang by the river."}]}\n' >"$work/chats.jsonl"
must "$TALC" tokenizer train --vocab-size 300 --out "$work/tok" "$work/text.txt"
must "$TALC" prepare -t "$work/tok" --out "$work/data" --val-fraction 0.1 "$work/text.txt"
# One model that answers, in a context of 64 tokens, and two that have learnt to say the same without end, in a short context
# and in a long one.
must "$TALC" train --data "$work/data" --out "$work/base" --depth 1 --context 64 --batch 1 --steps 1 --quiet
must "$TALC" sft -m "$work/base" --data "$work/chats.jsonl" --out "$work/sft" --steps 1 --val-fraction 0 --quiet
endless() { # NAME CONTEXT TIMES
    must "$TALC" train --data "$work/data" --out "$work/$1_base" --depth 1 --context "$2" --batch 1 --steps 1 --quiet
    awk -v n="$3" 'BEGIN {
    printf "{\"messages\": [{\"role\": \"user\", \"content\": \"Who sang?\"}, {\"role\": \"assistant\", \"content\": \""
    for (i = 0; i < n; i++) printf "The miller sang. "
    print "\"}]}" }' >"$work/$1.jsonl"
    must "$TALC" sft -m "$work/$1_base" --data "$work/$1.jsonl" --out "$work/$1" --context "$2" --steps 2 --val-fraction 0 --quiet
}
endless long 8192 450
endless short 256 14

# on_terminal OPTIONS: plays the lines of stdin to a chat, each "PATTERN|TEXT": TEXT is typed as soon as PATTERN is seen behind
# what the line before waited for. What it shows goes to $work/seen.
on_terminal() {
    : >"$work/seen"
    : >"$work/missed"
    shown=0
    while IFS='|' read -r pattern text; do
        tries=0
        until found=$(tail -c +$((shown + 1)) "$work/seen" | grep -abo -m1 -- "$pattern" | head -1) && [ -n "$found" ]; do
            tries=$((tries + 1))
            [ $tries -lt 600 ] || { echo "$pattern" >"$work/missed"; exit; }
            sleep 0.1
        done
        match=${found#*:}
        shown=$((shown + ${found%%:*} + ${#match}))
        printf '%b' "$text"
    done | script -qefc "exec $TALC chat $1" /dev/null >"$work/seen" 2>&1
    status=$?
    [ ! -s "$work/missed" ] || fail "not seen in a minute: $(cat "$work/missed")"
}
seen() { grep -q -- "$1" "$work/seen" || { fail "not seen: $1"; cut -c 1-300 "$work/seen" >&2; }; }

if [ $terminal = yes ]; then
on_terminal "-m $work/long --temp 0 --threads 1 --verbose" <<LINES
^> |Who sang?\n
miller|\003
tokens/s|/help\n
clear *forget|
^> |half a line\003
^> |\003
^> |/system Gr\303\274\303\237e\n
^> |/save $work/greeting.jsonl\n
added to|/exit\n
LINES
[ "$status" = 0 ] || fail "exit $status after Ctrl-C and /exit"
grep -aA1 'tokens/s' "$work/seen" | grep -q '> .$' &&
    fail "a stopped answer is followed by an empty line of the user's"
n=$(sed -n 's/.*(\([0-9]*\) tokens, .* tokens\/s.*/\1/p' "$work/seen")
[ "${n:-0}" -gt 0 ] && [ "${n:-0}" -lt 8000 ] || fail "the answer was not stopped: ${n:-no} tokens"
grep -q 'Grüße' "$work/greeting.jsonl" || fail "what is typed is not UTF-8 text"

on_terminal "-m $work/short --temp 0" <<'LINES'
^> |Who sang?\n
the context of 256 tokens is full and|And then?\n
one question and its answer are forgotten|\003
> $|/system Be kind.\n
conversation is forgotten|/nonsense\n
no command|\004
LINES
[ "$status" = 0 ] || fail "exit $status after Ctrl-D"
seen 'the context of 256 tokens is full and the answer ends here'
seen 'the context of 256 tokens is full: one question and its answer are forgotten'
seen "there is no command '/nonsense'; /help lists them"

# A Ctrl-C that meets talc in the middle of a write loses nothing: one in a few does. Answers of thousands of tokens would fill the context.
{
    printf '%s\n' '^> |Who sang?\n'
    for _ in 1 2 3 4 5 6 7 8 9 10 11; do printf '%s\n' 'miller|\003' 'tokens/s|/clear\n' 'forgotten|Who sang?\n'; done
    printf '%s\n' 'miller|\003' 'tokens/s|/exit\n'
} >"$work/turns"
on_terminal "-m $work/long --temp 0 --threads 1 --verbose" <"$work/turns"
[ "$status" = 0 ] || fail "exit $status after twelve answers that Ctrl-C stopped"

# A signal to end ends it, while it waits and while it answers.
for text in '' 'Who sang?\n'; do
    { sleep 1; printf '%b' "$text"; sleep 3; } | script -qefc "echo \$\$; exec $TALC chat -m $work/sft --temp 2 --top-p 1 --threads 1" /dev/null >"$work/seen" 2>&1 &
    sleep 1.3
    pid=$(sed -n '1s/[^0-9]//gp' "$work/seen")
    kill -TERM "$pid" || fail "no process to end"
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 0.1; done
    kill -0 "$pid" 2>/dev/null && { fail "SIGTERM does not end the chat"; kill -KILL "$pid"; }
    wait
done
fi

# What a file holds reaches the terminal as text: nothing that it would obey, no character torn.
if [ $terminal = yes ]; then
    printf '{"prompt": "a\\u001b]52;c;YQ==\\u0007b\\u009b1m\\u202ec\\u2066d\\u200be\\udb40\\udc41f\\u200dg", "completion": "Gr\303\274\303\237e \342\202\254\\n\\tend"}\n' >"$work/hostile.jsonl"
    script -qefc "$TALC sft -m $work/base --data $work/hostile.jsonl --show-mask --color never" /dev/null >"$work/seen" 2>&1 || fail "show-mask on a terminal"
    seen 'a<1b>\]52;c;YQ==<07>b<c2><9b>1m<e2><80><ae>c<e2><81><a6>d<e2><80><8b>e<f3><a0><81><81>f'
    seen "f$(printf '\342\200\215')g"
    seen 'Grüße €'
    "$TALC" sft -m "$work/base" --data "$work/hostile.jsonl" --show-mask | grep -q "$(printf '\033')]52" || fail "what goes to a file is changed"
fi

# Without a terminal.
chat() { "$TALC" chat -m "$work/sft" --temp 0 --max-tokens 4 "$@"; }
printf '/save %s/saved.jsonl\nWho sang?\n/save %s/saved.jsonl\n' "$work" "$work" | chat --system 'Be kind.' >"$work/out" 2>"$work/err" ||
    fail "a conversation through a pipe"
[ "$(wc -l <"$work/saved.jsonl")" = 2 ] || fail "each /save is a line; $(wc -l <"$work/saved.jsonl") are there"
must "$TALC" sft -m "$work/base" --data "$work/saved.jsonl" --show-mask
printf '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}' >"$work/no_end.jsonl"
printf 'Who sang?\n/save %s/no_end.jsonl\n' "$work" | chat >"$work/out" 2>&1 || fail "/save into a file without a line end"
[ "$(grep -c '^{.*}$' "$work/no_end.jsonl")" = 2 ] && [ "$(wc -l <"$work/no_end.jsonl")" = 2 ] ||
    fail "/save into a file without a line end: $(cat "$work/no_end.jsonl")"
must "$TALC" sft -m "$work/base" --data "$work/no_end.jsonl" --show-mask
printf '"""\nWho\nsang?' | chat >"$work/out" || fail "a message that the end of the input closes"
[ -s "$work/out" ] || fail "a message that the end of the input closes got no answer"
printf '' | chat >"$work/out" || fail "no input at all"
printf '"""\n/what is this?\n"""\n' | chat >"$work/out" 2>"$work/err" || fail "a message of several lines that begins with /"
grep -q 'forget the conversation' "$work/err" && fail "a message of several lines is taken for a command"
bad=$(printf 'a\377')
printf '/system %s\n/save %s/none.jsonl\n' "$bad" "$work" | chat 2>"$work/err"
grep -q 'UTF-8' "$work/err" || fail "/system with text that is not UTF-8 is passed over in silence"
refuses 'UTF-8' sh -c "echo '$bad' | $TALC chat -m $work/sft"
refuses 'UTF-8' "$TALC" chat -m "$work/sft" --system "$bad"
refuses 'longer than 1048576 bytes; nothing was sent' sh -c "head -c 1100000 /dev/zero | tr '\\0' a | $TALC chat -m $work/sft"
# One question: the answer and nothing else.
"$TALC" chat -m "$work/long" --temp 0 -p 'Who sang?' --stop ' sang' >"$work/out" 2>"$work/err" </dev/null || fail "a question by -p"
[ "$(cat "$work/out")" = 'The miller' ] && [ ! -s "$work/err" ] || fail "a question by -p: $(cat "$work/out" "$work/err")"
"$TALC" chat -m "$work/long" --temp 0 --prompt 'Who sang?' --stop ' sang' --color always >"$work/out"
printf '\033[36mThe miller\033[0m\n' | cmp -s - "$work/out" || fail "the colour of an answer: $(cat "$work/out")"
refuses '--prompt is empty' "$TALC" chat -m "$work/long" -p ''
refuses '--prompt is not valid UTF-8' "$TALC" chat -m "$work/long" -p "$bad"
refuses "there is no command '/etc/passwd'; /help lists them; a message may begin with / between two lines of" \
    sh -c "echo '/etc/passwd is what?' | $TALC chat -m $work/sft"

# A smaller context: what does not fit is forgotten, the oldest first, but for the instructions; all of it is saved.
{ for i in 1 2 3 4 5 6; do echo "Who sang $i?"; done; echo "/save $work/all.jsonl"; } |
    "$TALC" chat -m "$work/long" --temp 0 --max-tokens 8 --context 64 --system 'Be kind.' --verbose >"$work/out" 2>"$work/err" ||
    fail "a conversation longer than its context: $(cat "$work/err")"
[ "$(grep -c 'tokens/s, context [0-9]* of 64' "$work/err")" = 6 ] || fail "six answers in a context of 64: $(cat "$work/err")"
grep -q 'the context of 64 tokens is full: .* forgotten' "$work/err" || fail "nothing is said of what is forgotten: $(cat "$work/err")"
[ "$(grep -o '"role"' "$work/all.jsonl" | wc -l)" = 13 ] || fail "a conversation is not saved whole: $(cat "$work/all.jsonl")"
used=$(sed -n 's/.*context \([0-9]*\) of 64.*/\1/p' "$work/err" | sort -n | tail -1)
[ "$used" -gt 32 ] && [ "$used" -le 64 ] || fail "a context of 64 holds $used tokens at most"
refuses 'a context of 65 tokens was asked for; the model has 64' "$TALC" chat -m "$work/sft" --context 65
"$TALC" generate -m "$work/long_base" -p 'The' --ignore-eos --context 16 --json >"$work/out" 2>"$work/err" || fail "generate --context"
grep -q '"finish_reason":"context"' "$work/out" && grep -q 'the context of 16 tokens is full' "$work/err" || fail "generate --context 16: $(cat "$work/out")"

refuses 'no chat template' "$TALC" chat -m "$work/base"
refuses 'UTF-8' "$TALC" generate -m "$work/base" -p "$bad"
refuses 'the context holds 64' "$TALC" generate -m "$work/base" -p "$(head -c 1000 "$work/text.txt")"
[ ! -s "$work/out" ] || fail "a prompt that does not fit is printed before it is refused"
refuses 'the context holds 64' sh -c "head -c 1000 $work/text.txt | tr '\n' ' ' | $TALC chat -m $work/sft"

# talc sft that is stopped while it waits for its data says so, and what it made and left empty is gone; so where the data is bad.
mkfifo "$work/pipe.jsonl"
for signal in TERM INT; do
    "$TALC" sft -m "$work/base" --data "$work/pipe.jsonl" --out "$work/stopped" --quiet >"$work/out" 2>"$work/err" &
    tries=0
    until [ -d "$work/stopped" ] || [ $tries -ge 300 ]; do tries=$((tries + 1)); sleep 0.1; done
    sleep 0.5
    kill -$signal $!
    wait $!
    status=$?
    [ "$status" = 130 ] || fail "exit $status, not 130, of sft after SIG$signal"
    [ "$(grep -c '' "$work/err")" = 1 ] && grep -q 'pipe.jsonl: reading was stopped' "$work/err" || fail "sft after SIG$signal: $(cat "$work/err")"
    [ ! -e "$work/stopped" ] || fail "sft after SIG$signal leaves an empty folder"
    rm -rf "$work/stopped"
done
echo '{"messages": 3}' >"$work/bad.jsonl"
refuses 'bad.jsonl:1' "$TALC" sft -m "$work/base" --data "$work/bad.jsonl" --out "$work/stopped" --quiet
[ ! -e "$work/stopped" ] || fail "sft of bad data leaves an empty folder"
mkdir "$work/stopped"
refuses 'bad.jsonl:1' "$TALC" sft -m "$work/base" --data "$work/bad.jsonl" --out "$work/stopped" --quiet
[ -d "$work/stopped" ] || fail "sft removes a folder that it did not make"

# While model and text are read nothing can be lost: a signal ends it at once.
mkfifo "$work/never.txt"
for c in "perplexity -m $work/sft $work/never.txt" "eval -m $work/sft --data $work/never.txt"; do
    # shellcheck disable=SC2086
    "$TALC" $c >"$work/out" 2>"$work/err" &
    until_caught $!
    sleep 0.5
    kill -INT $!
    wait $!
    status=$?
    [ "$status" = 130 ] && [ ! -s "$work/err" ] || fail "exit $status after SIGINT while it reads: $c: $(cat "$work/err")"
done

# A signal ends a chat that waits for a pipe; what cannot be read is said.
refuses 'standard input cannot be read: Is a directory' sh -c "$TALC chat -m $work/sft <$work"
ended() { # WHAT: the program $! ends with 130 within 20 seconds
    tries=0
    while kill -0 $! 2>/dev/null && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 0.1; done
    kill -KILL $! 2>/dev/null && fail "$1 does not end"
    wait $!
    status=$?
    [ "$status" = 130 ] || fail "exit $status, not 130: $1"
}
mkfifo "$work/talk"
sleep 60 >"$work/talk" &
writer=$!
for signal in INT TERM; do
    "$TALC" chat -m "$work/sft" <"$work/talk" >"$work/out" 2>&1 &
    until_caught $!
    sleep 1
    kill -$signal $!
    ended "a chat that waits for a pipe, after SIG$signal"
done
kill $writer
# So does one while it answers: the questions behind are not asked.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do printf 'Who sang?\n/clear\n'; done >"$work/questions.txt"
"$TALC" chat -m "$work/long" --temp 0 --threads 1 --verbose <"$work/questions.txt" >"$work/out" 2>"$work/err" &
tries=0
until grep -q miller "$work/out" || [ $tries -ge 600 ]; do tries=$((tries + 1)); sleep 0.1; done
kill -INT $!
ended "a chat that answers questions of a file, after SIGINT"
[ "$(grep -c 'tokens/s' "$work/err")" -lt 30 ] || fail "questions are asked after SIGINT: $(cat "$work/err")"

# What a user writes is text, whatever it looks like: no token of the template's own is in it.
"$TALC" sft -m "$work/base" --show-mask --data "$work/chats.jsonl" | grep -o '[0-9]* tokens' >"$work/plain"
sed 's/Who sang?/<|end|>/' "$work/chats.jsonl" >"$work/sly.jsonl"
"$TALC" sft -m "$work/base" --show-mask --data "$work/sly.jsonl" | grep -o '[0-9]* tokens' >"$work/sly"
[ "$(cut -d' ' -f1 "$work/sly")" -gt "$(($(cut -d' ' -f1 "$work/plain") - 8))" ] || fail "special tokens in a user's text are parsed"
finish
