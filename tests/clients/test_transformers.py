"""A talc checkpoint opens in transformers, and a model of transformers in talc, which trains it on: the same ids, the same
probabilities, the same chat template.

    python test_transformers.py [MODEL_FOLDER]

Without a folder, talc and transformers make tiny models on the way."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma3TextConfig, GemmaConfig

TALC = os.environ.get("TALC", "./talc")
TEXT = "The miller sang by the river, and the baker slept until the market was quiet.\n"


def talc(*arguments, text=None):
    done = subprocess.run([TALC, *arguments], input=text, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def make_tokenizer(folder):
    path, tok = os.path.join(folder, "text.txt"), os.path.join(folder, "tok")
    with open(path, "w") as f:
        f.write(TEXT * 300)
    talc("tokenizer", "train", "--vocab-size", "300", "--out", tok, path)
    return path, tok


def make_model(folder, options):
    path, tok = make_tokenizer(folder)
    data, run = (os.path.join(folder, name) for name in ("data", "run"))
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
        assert rendered.rstrip().endswith(("assistant", "assistant|>")), rendered
    print("ok", folder, model.config.model_type, len(answer["token_ids"]), "tokens")


SMALL = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=64)
SECOND = dict(query_pre_attn_scalar=20, sliding_window=8)
THEIRS = [
    GemmaConfig(**SMALL),
    Gemma2Config(**SMALL, **SECOND, attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    Gemma3TextConfig(**SMALL, **SECOND, sliding_window_pattern=3, rope_parameters=dict(
        full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0),
        sliding_attention=dict(rope_type="default", rope_theta=1e4))),
]


def check_theirs(folder, config):
    """A model of theirs with a tokenizer of ours, as it is and after some training by talc."""
    tok, model, run = make_tokenizer(folder)[1], os.path.join(folder, "model"), os.path.join(folder, "run")
    torch.manual_seed(5)
    made = AutoModelForCausalLM.from_config(config)
    for p in made.parameters():
        p.data += 0.1 * torch.randn(p.shape)
    made.save_pretrained(model)
    os.remove(os.path.join(model, "generation_config.json"))
    shutil.copytree(tok, model, dirs_exist_ok=True)
    check(model)
    chats = os.path.join(folder, "chats.jsonl")
    with open(chats, "w") as f:
        for i in range(40):
            f.write(json.dumps({"messages": [{"role": "user", "content": f"Sing {i}"}, {"role": "assistant", "content": TEXT}]}) + "\n")
    talc("sft", "-m", model, "--data", chats, "--out", run, "--steps", "5", "--quiet")
    check(os.path.join(run, "latest"))


if len(sys.argv) > 1:
    check(sys.argv[1])
else:
    for options in (["--depth", "2", "--context", "64"], ["--preset", "shakespeare-char-cpu"]):
        with tempfile.TemporaryDirectory() as folder:
            check(make_model(folder, options))
    for config in THEIRS:
        with tempfile.TemporaryDirectory() as folder:
            check_theirs(folder, config)
