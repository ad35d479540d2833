#!/bin/sh
# talc plan from outside: answers within a second, keys of --json, the report, tables of the user's, mistakes in one line.
set -eu
talc=${TALC:-./talc}
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
export TALC_HOME="$folder"
fail() { echo "test_plan: $*" >&2; exit 1; }

# Each of the documentation's questions, timed: under a second of computing, however busy the machine is. SLOW: a build with
# checks of addresses or races, which takes its own time.
ask() {
    ("$talc" plan "$@" >"$folder/out" 2>"$folder/err" || exit; times >"$folder/times") || fail "plan $*: $(cat "$folder/err")"
    ms=$(awk -F '[ms ]+' 'NR == 2 { printf "%d", 1000 * (60 * ($1 + $3) + $2 + $4) }' "$folder/times")
    [ "${SLOW:-}" ] || [ "$ms" -lt 1000 ] || fail "plan $*: $ms ms"
}
has() { grep -q -- "$1" "$folder/out" || fail "no '$1' in: $(head -c 600 "$folder/out")"; }

ask --preset gpt3-175b --gpu v100 --gpus 10000 --tokens 300B --price-date 2020-06
has 'prices of 2020-06'; has 'layout '; has 'warnings'
ask --preset gpt3-175b --gpu a100 --gpus 25000 --tokens 300B; has 'cannot feed'
ask --what-fits --gpu h100 --gpus 8; has 'gpt3-13b'; has 'does not fit'
ask --what-fits --gpu h100 --gpus 8 --preset llama3-8b; has '^llama3-8b  *bf16'; has '^llama3-8b  *fp8'
ask --what-fits --gpu h100 --gpus 8 --preset gpt3-1.3b --precision bf16
[ "$(wc -l <"$folder/out")" -eq 2 ] || fail 'a preset that is named is not the only row'
ask --preset gpt3-175b --gpu a100-80 --gpus 10000 --currency RMB; has 'purchase     1.0.B RMB'
ask --preset llama3-405b --gpu h100 --gpus 16384 --network llama3-roce --tokens 15.6T --html "$folder/report.html"
grep -q '<svg' "$folder/report.html" || fail 'no plot in the report'
[ "$(grep -o '<div class="wide"><svg' "$folder/report.html" | wc -l)" -eq "$(grep -o '<svg' "$folder/report.html" | wc -l)" ] ||
    fail 'a plot that a narrow screen cannot scroll'
[ "$(grep -o '</svg></div>' "$folder/report.html" | wc -l)" -eq "$(grep -o '<svg' "$folder/report.html" | wc -l)" ] ||
    fail 'a plot that is not closed'
! grep -q 'http' "$folder/report.html" || fail 'the report fetches something'
ask --preset deepseek-v3 --gpu h100 --gpus 2048 --tokens 14.8T --precision fp8 --batch 15360 --context 4096; has 'EP'
ask --preset llama3-70b --gpu h100 --precision fp8 --serve --users 10000; has 'a million'
ask --preset opt-13b --critic opt-1.3b --rlhf --gpu a100-80 --gpus 8 --software deepspeed-zero; has 'PPO'
ask --list; has 'gb300'
(SLOW=measures; ask --preset gpt3-125m --gpu this-machine --tokens 1M --batch 8) # it measures, on every core
has 'this-machine'; has 'measured  .* GFLOP/s in fp32'

ask --preset gpt3-175b --gpu v100 --gpus 10000 --json
for key in days gpu_hours cost_usd memory_bytes_per_gpu step_seconds mfu layout warnings; do has "\"$key\":"; done
ask --serve --users 10 --preset llama3-8b --gpu h100 --json; has '"first_token_seconds"'
ask --what-fits --gpu h100 --gpus 8 --json; has '"fits":true'

# A table of the user's counts; a broken one is refused with its place.
mkdir -p "$folder/plan"
printf 'name\tbf16_tf\tmemory_gb\thbm_tbs\tscale_up_gbs\tnetwork\tsoftware\nmine\t100\t48\t1\t50\tpcie-8\ttalc\n' >"$folder/plan/chips.tsv"
ask --preset gpt3-1.3b --gpu mine --gpus 8 --price 1.5; has '8 x mine'; has '^energy  *unknown'; has '^purchase  *unknown'
ask --preset gpt3-1.3b --gpu mine --gpus 8 --price 1.5 --json; has '"energy_mwh":null'; has '"purchase_usd":null'
ask --preset gpt3-1.3b --gpu mine --serve --users 5 --price 1.5; has '^power  *unknown'
# Names of the user's are text in the page, never markup.
printf 'name\tbf16_tf\tmemory_gb\thbm_tbs\tscale_up_gbs\tnetwork\tsoftware\n<b>x\t100\t48\t1\t50\tpcie-8\ttalc\n' >"$folder/plan/chips.tsv"
ask --preset gpt3-1.3b --gpu '<b>x' --gpus 8 --price 1.5 --html "$folder/report.html"
! grep -q '<b>x' "$folder/report.html" || fail 'markup from a table in the report'
printf 'name\tbf16_tf\nmine\t100\t48\n' >"$folder/plan/chips.tsv"

refused() {
    want=$1; shift
    code=0; "$talc" plan "$@" >"$folder/out" 2>"$folder/err" || code=$?
    [ $code -ne 0 ] && [ $code -lt 126 ] || fail "plan $*: exit $code"
    [ "$(wc -l <"$folder/err")" -eq 1 ] || fail "plan $*: not one line: $(cat "$folder/err")"
    grep -q -- "$want" "$folder/err" || fail "plan $*: $(cat "$folder/err")"
}
refused 'chips.tsv:2' --preset gpt3-1.3b
rm "$folder/plan/chips.tsv"
refused 'no chip' --gpu h1000
refused 'there is no preset' --preset gpt5
refused 'does not fit' --preset gpt3-175b --gpu v100-16 --gpus 4
refused 'wants a number' --tokens many
refused 'no fp8' --gpu a100-80 --precision fp8
refused 'users' --serve
refused 'no layout as wished' --gpus 8 --tp 5
refused 'never end' --gpus 100000000 --batch 100000000
refused 'price date' --price-date soon
refused 'no network' --network tin-cans
refused 'above 0' --preset gpt3-1.3b --n-heads 7 --hidden-size 3
refused 'this-machine' --gpu this-machine --gpus 4
refused 'there is no preset' --what-fits --preset gpt3
# This machine is one, and trains as talc's trainer does.
refused '--tp 2' --gpu this-machine --tp 2
refused '--dp 2' --gpu this-machine --dp 2
refused '--zero 1' --gpu this-machine --zero 1
refused '--offload' --gpu this-machine --offload
refused '--recompute selective' --gpu this-machine --recompute selective
refused 'there is one' --preset gpt3-125m --gpu this-machine --serve --users 1e8 --token-ms 1e6 --first-ms 1e6
refused 'No such file\|no such\|cannot' --html "$folder/absent/deeper/x.html" --tables "$folder/none"
refused '32 heads cannot share 5' --preset gpt3-1.3b --n-heads 32 --n-kv-heads 5
# The options of shape are those of talc train.
ask --preset gpt3-1.3b --n-layers 12 --hidden-size 1024 --n-heads 16 --n-kv-heads 4 --head-dim 64 --intermediate-size 4096 --vocab-size 32000
has '^gpt3-1.3b (167.1M parameters)'
refused 'one of --preset and --model' --preset gpt3-1.3b -m "$folder"
refused 'ask one' --serve --users 5 --rlhf
refused 'no page' --serve --users 5 --html "$folder/report.html"
refused 'few letters' --currency '<b>' --exchange-rate 2
refused '1 or more' --pue 0.1
# This machine costs nothing to rent, and the page shows it.
(SLOW=measures; ask --preset gpt3-125m --gpu this-machine --tokens 1M --batch 8 --html "$folder/report.html")
! grep -qiw 'nan\|inf' "$folder/report.html" || fail 'no number in the report of this machine'
! grep -q 'number of GPUs' "$folder/report.html" || fail 'the report has many of this machine'
(SLOW=measures; ask --preset gpt3-125m --gpu this-machine --tokens 1M --batch 8 --tp 1 --recompute full); has 'recompute full'
echo ok
