"""A talc checkpoint opens in transformers: the same ids, the same probabilities, the same chat template.

    python test_transformers.py [MODEL_FOLDER]

Without a folder, ./talc makes a tiny model of each family on the way."""
import json
import os
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TALC = os.environ.get("TALC", "./talc")
TEXT = "The miller sang by the river, and the baker slept until the market was quiet.\n"


def talc(*arguments, text=None):
    done = subprocess.run([TALC, *arguments], input=text, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def make_model(folder, options):
    path = os.path.join(folder, "text.txt")
    with open(path, "w") as f:
        f.write(TEXT * 300)
    tok, data, run = (os.path.join(folder, name) for name in ("tok", "data", "run"))
    talc("tokenizer", "train", "--vocab-size", "300", "--out", tok, path)
    talc("prepare", "-t", tok, "--out", data, "--val-fraction", "0.1", path)
    talc("train", "--data", data, "--out", run, "--steps", "30", "--quiet", *options)
    return os.path.join(run, "latest")


def check(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for text in (TEXT, "Hi  there\n\n\tx = 1234; é日本 🙂 <|im_end|>", " "):
        ours = json.loads(talc("tokenizer", "encode", "-t", folder, "--json", "--no-special", text=text))
        ours = ours if isinstance(ours, list) else ours["ids"]
        theirs = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert ours == theirs, (text, ours, theirs)
    prompt = "The miller sang by the"
    answer = json.loads(talc("generate", "-m", folder, "-p", prompt, "-n", "12", "--temp", "0", "--json", "--logprobs", "--ignore-eos"))
    ids = tokenizer.encode(prompt, add_special_tokens=False)
    with torch.no_grad():
        logits = model(torch.tensor([ids + answer["token_ids"]])).logits[0]
    logp = torch.log_softmax(logits.double(), -1)
    for i, (token, ours) in enumerate(zip(answer["token_ids"], answer["logprobs"])):
        theirs = logp[len(ids) - 1 + i]
        assert int(theirs.argmax()) == token, i
        assert abs(float(theirs[token]) - ours) < 1e-4, (i, float(theirs[token]), ours)
    if tokenizer.chat_template:
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Bye"}]
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert rendered.endswith("assistant\n"), rendered
    print("ok", folder, model.config.model_type, len(answer["token_ids"]), "tokens")


if len(sys.argv) > 1:
    check(sys.argv[1])
else:
    for options in (["--depth", "2", "--context", "64"], ["--preset", "shakespeare-char-cpu"]):
        with tempfile.TemporaryDirectory() as folder:
            check(make_model(folder, options))
