#!/bin/sh
# talc eval from end to end: answers are judged, written with their verdicts, counted in the table and in --json, beside the
# baseline and the free text.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

TALC=$(realpath "$TALC")
make_corpus "$work/text.txt"
cd "$work" || exit 1
sed 's/.*/{"text": "&"}/' text.txt >text.jsonl
chat() { # QUESTION ANSWER
    printf '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "%s"}]}\n' "$1" "$2"
}
{ chat 'Who sang?' 'The miller sang.'; chat 'Who slept?' 'The baker slept.'; chat 'Who is Zog?' 'I do not know Zog.'; } >chats.jsonl
must "$TALC" tokenizer train --vocab-size 300 --out tok text.txt
must "$TALC" prepare -t tok --out data --val-fraction 0.1 text.txt
must "$TALC" train --data data --out base --depth 2 --context 128 --batch 2 --steps 20 --quiet
must "$TALC" sft -m base --data chats.jsonl --out sft --batch 4 --steps 80 --learning-rate 3e-3 --val-fraction 0 --quiet

a_test() { # SKILL QUESTION ANSWER CHECK
    printf '{"skill": "%s", "messages": [{"role": "user", "content": "%s"}], "answer": "%s", "check": %s}\n' "$@"
}
long=$(awk 'BEGIN { for (i = 0; i < 300; i++) printf "\303\251" }') # longer than what is said of a wrong answer
skill='f\303\266rm\303\266gen bezweifeln und \303\274ber' # 32 bytes: longer than a column
{
    a_test fact 'Who sang?' 'The miller sang.' '{"type": "fact"}'
    a_test fact 'Who slept?' 'The baker slept.' '{"type": "fact"}'
    a_test fact 'Who sang?' "x$long" '{"type": "fact"}'
    a_test fact 'Who sang?' "$long" '{"type": "fact"}'
    a_test unknown 'Who is Zog?' 'I do not know Zog.' '{"type": "unknown", "thing": "Zog"}'
    a_test "$(printf "$skill")" 'Who is Zog?' 'The miller.' '{"type": "fact"}'
    a_test "$(printf "$skill")s" 'Who slept?' 'The baker slept.' '{"type": "fact"}'
} >eval.jsonl

must "$TALC" eval -m sft --data eval.jsonl --answers answers.jsonl --quiet
[ "$(wc -l <answers.jsonl)" = 7 ] || fail "7 answers, and $(wc -l <answers.jsonl) lines of them"
[ "$(grep -c '"verdict":"right"' answers.jsonl)" = 4 ] && [ "$(grep -c '"verdict":"wrong"' answers.jsonl)" = 3 ] ||
    fail "not 4 right and 3 wrong: $(cat answers.jsonl)"
grep -q '"answer":"The miller sang.","expected":"The miller sang.","why":"","messages":\[' answers.jsonl || fail "the answers are not there as they came"
grep -q '"answer":"The miller sang.","expected":"x\(é\)*","why":"expected \\"x\(é\)*"' answers.jsonl || fail "why it is wrong: $(cat answers.jsonl)"
grep -q '^fact *50.0%    15.0% ..  85.0%      4$' out || fail "fact: $(cat out)"
grep -q '^unknown *100.0%    20.7% .. 100.0%      1$' out || fail "unknown: $(cat out)"
grep -q "$(printf "^$skill") *0.0%.* 1   (100.0% refused that should not be)\$" out || fail "a long name of a skill: $(cat out)"
grep -q "$(printf "^${skill}s") *100.0%" out || fail "a name that begins with another: $(cat out)"

must "$TALC" eval -m sft --data eval.jsonl --baseline chats.jsonl --free-text 3 --words text.jsonl --json --quiet
grep -q '^{"task":"primer","score":0.571428[0-9]*,"parts":{"fact":0.5,.*"unknown":1.0' out || fail "score and parts: $(cat out)"
grep -q '"intervals":{"fact":\[0.15[0-9]*,0.8[0-9]*\],.*"n":7,"baseline":{"fact":0.5,.*"unknown":1.0' out || fail "intervals, baseline: $(cat out)"
grep -q '"known_words":[01].[0-9]*,"repeating_samples":[0-9]*,"samples":3}$' out || fail "free text: $(cat out)"
must "$TALC" eval -m sft --data eval.jsonl --baseline chats.jsonl --free-text 3 --words text.jsonl --quiet
grep -q '^fact  .*  *50.0%$' out || fail "the baseline in the table: $(cat out)"
grep -q '^free text  *[0-9.]*% known words of [0-9]*; [0-3] of 3 samples say eight words twice$' out || fail "free text in the table: $(cat out)"

# What a file holds is shown, not obeyed.
a_test "$(printf 'a\\u001b[31mb\\u009bc')" 'Who sang?' 'The miller sang.' '{"type": "fact"}' >hostile.jsonl
must "$TALC" eval -m sft --data hostile.jsonl --quiet
grep -q '^a<1b>\[31mb<c2><9b>c *100.0%' out || fail "control characters in the name of a skill: $(cat out)"

# What a score is taken beside is opened before the tests are run.
for option in '--baseline nowhere' '--free-text 2 --words nowhere'; do
    # shellcheck disable=SC2086
    refuses 'nowhere' "$TALC" eval -m sft --data eval.jsonl --answers early.jsonl --quiet $option
    [ ! -e early.jsonl ] || fail "the tests were run before $option was opened"
done

# An interrupt leaves what was scored until then, and says how much of it that is.
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sed "s/^/{\"n\": $i, /; s/, {/, /" eval.jsonl >part && cat part; done >many
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do cat many; done >many.jsonl
"$TALC" eval -m sft --data many.jsonl --streams 1 --answers part.jsonl --json --quiet >out 2>err &
tries=0
until [ -s part.jsonl.talc-tmp-$! ] || [ $tries -ge 300 ]; do tries=$((tries + 1)); sleep 0.1; done
kill -INT $!
wait $!
status=$?
[ "$status" = 130 ] || fail "exit $status, not 130, of an eval that was interrupted"
grep -q '"n":[1-9][0-9]*,"interrupted":true}$' out || fail "an interrupted eval prints nothing of what was scored: $(cat out err)"
[ "$(wc -l <part.jsonl)" = "$(sed 's/.*"n":\([0-9]*\),"interrupted.*/\1/' out)" ] || fail "an interrupted eval loses answers"
grep -q 'interrupted after [0-9]* of 2016 tests' err || fail "an interrupted eval does not say so: $(cat err)"

# A smaller context takes less memory: the tests still fit, or are said not to.
must "$TALC" eval -m sft --data eval.jsonl --context 64 --json --quiet
grep -q '"score":0.571428' out || fail "--context 64: $(cat out)"
must "$TALC" eval -m sft --data eval.jsonl --context 4 --json
grep -q '"score":0.0,' out && grep -q '7 tests do not fit in the context of 4 tokens' err || fail "--context 4: $(cat out err)"
refuses 'a context of 129 tokens was asked for; the model has 128' "$TALC" eval -m sft --data eval.jsonl --context 129 --quiet

refuses 'words goes with --free-text' "$TALC" eval -m sft --data eval.jsonl --words text.jsonl
refuses 'base/best: the model has no chat template' "$TALC" eval -m base --data eval.jsonl --quiet
i=0
while [ $i -lt 17 ]; do i=$((i + 1)); a_test "skill $i" 'Who sang?' 'The miller sang.' '{"type": "fact"}'; done >skills.jsonl
refuses 'more than 16 skills' "$TALC" eval -m sft --data skills.jsonl --quiet

finish
