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
grep -q '"answer":"The miller sang.","expected":"xé*","why":"expected \\"xé*"' answers.jsonl || fail "why it is wrong: $(cat answers.jsonl)"
grep -q '^fact *50.0%    15.0% ..  85.0%      4$' out || fail "fact: $(cat out)"
grep -q '^unknown *100.0%    20.7% .. 100.0%      1$' out || fail "unknown: $(cat out)"
grep -q "$(printf "^$skill") *0.0%.* 1   (100.0% refused that should not be)\$" out || fail "a long name of a skill: $(cat out)"
grep -q "$(printf "^${skill}s") *100.0%" out || fail "a name that begins with another: $(cat out)"

must "$TALC" eval -m sft --data eval.jsonl --baseline chats.jsonl --free-text 3 --words text.jsonl --json --quiet
grep -q '^{"task":"primer","score":0.571428[0-9]*,"parts":{"fact":0.5,.*"unknown":1.0' out || fail "score and parts: $(cat out)"
grep -q '"intervals":{"fact":\[0.15[0-9]*,0.8[0-9]*\],.*"n":7,"baseline":{"fact":0.5,.*"unknown":1.0' out || fail "intervals, baseline: $(cat out)"
grep -q '"known_words":[01].[0-9]*,"repeating_samples":[0-9]*}$' out || fail "free text: $(cat out)"
must "$TALC" eval -m sft --data eval.jsonl --baseline chats.jsonl --free-text 3 --words text.jsonl --quiet
grep -q '^fact  .*  *50.0%$' out || fail "the baseline in the table: $(cat out)"
grep -q '^free text  *[0-9.]*% known words of [0-9]*; [0-3] of 3 samples say eight words twice$' out || fail "free text in the table: $(cat out)"

finish
