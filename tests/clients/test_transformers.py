"""A talc checkpoint opens in transformers, and a model of transformers in talc: the same ids, the same probabilities, the
same chat template.

    python test_transformers.py [MODEL_FOLDER]

Without a folder, ./talc makes a tiny model of each family that it begins, and transformers one of each that it opens, which
talc then trains."""
import json
import os
import subprocess
import sys
import tempfile

import torch
from transformers import (AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma3TextConfig, GemmaConfig, GPT2Config,
                          LlamaConfig, MistralConfig, Phi3Config, Qwen2Config, Qwen3Config)

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
        assert rendered.endswith(("assistant\n", "<|assistant|>")), rendered
    print("ok", folder, model.config.model_type, len(answer["token_ids"]), "tokens")


SHAPE = dict(hidden_size=48, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             bos_token_id=None, eos_token_id=None, pad_token_id=None)
YARN = dict(rope_type="yarn", rope_theta=100.0, factor=2.0, original_max_position_embeddings=64, beta_fast=4.0, beta_slow=0.5)
GEMMA = dict(max_position_embeddings=96, head_dim=16, query_pre_attn_scalar=20, sliding_window=8)
CONFIGS = [
    GPT2Config(n_positions=96, n_embd=48, n_layer=2, n_head=4),
    LlamaConfig(**SHAPE, max_position_embeddings=128, attention_bias=True, mlp_bias=True, rope_parameters=dict(
        rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32)),
    LlamaConfig(**SHAPE, max_position_embeddings=96, head_dim=20, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="linear", rope_theta=10000.0, factor=2.5)),
    LlamaConfig(**SHAPE, max_position_embeddings=128, rope_parameters=dict(YARN, mscale=0.7, mscale_all_dim=0.4)),
    MistralConfig(**SHAPE, max_position_embeddings=96, sliding_window=9, head_dim=16),
    MistralConfig(**SHAPE, max_position_embeddings=96, sliding_window=None),
    Qwen2Config(**SHAPE, max_position_embeddings=96, use_sliding_window=True, sliding_window=7, max_window_layers=1),
    Qwen2Config(**SHAPE, max_position_embeddings=128, tie_word_embeddings=True, rope_parameters=YARN),
    Qwen3Config(**SHAPE, max_position_embeddings=96, head_dim=16),
    Phi3Config(**SHAPE, max_position_embeddings=96, sliding_window=30),
    Phi3Config(**SHAPE, max_position_embeddings=768, original_max_position_embeddings=96, rope_parameters=dict(
        rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=2 / 3, short_factor=[1.0, 1.1, 1.2, 1.3],
        long_factor=[2.0, 4.0, 6.0, 8.0])),
    GemmaConfig(**SHAPE, max_position_embeddings=96, head_dim=16),
    Gemma2Config(**SHAPE, **GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    Gemma3TextConfig(**SHAPE, **GEMMA, layer_types=["sliding_attention", "full_attention"], rope_parameters=dict(
        full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0),
        sliding_attention=dict(rope_type="default", rope_theta=1e4))),
]


def make_theirs(folder, config, tok, dtype):
    """Random weights of 16 bits, with every norm and bias away from its usual beginning."""
    torch.manual_seed(7)
    config.vocab_size = len(AutoTokenizer.from_pretrained(tok))
    model = AutoModelForCausalLM.from_config(config)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape)
        norm = ("norm" in name or ".ln_" in name) and name.endswith("weight")
        p.data = 1 + 0.2 * noise if norm else 0.15 * noise
    model.to(dtype).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tok).save_pretrained(folder)


def kept(folder):
    """Settings that training keeps; mscale becomes the attention_factor that it gives."""
    config = AutoModelForCausalLM.from_pretrained(folder).config.to_dict()
    rope = config.get("rope_parameters") or {}
    keys = ("model_type", "sliding_window", "layer_types", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings")
    return [config.get(key) for key in keys], {key: rope[key] for key in rope if "mscale" not in key and key not in ("attention_factor", "type")}


def check_both_ways(work, config, tok, dtype):
    theirs, chats, run = (os.path.join(work, name) for name in ("theirs", "chats.jsonl", "run"))
    make_theirs(theirs, config, tok, dtype)
    check(theirs)
    with open(chats, "w") as f:
        f.write(json.dumps({"messages": [{"role": "user", "content": "Who sang?"},
                                         {"role": "assistant", "content": "The miller."}]}) + "\n")
    talc("sft", "-m", theirs, "--data", chats, "--out", run, "--steps", "3", "--val-fraction", "0", "--quiet")
    check(os.path.join(run, "latest"))
    before, after = (kept(f) for f in (theirs, os.path.join(run, "latest")))
    assert before == after, (before, after)


if len(sys.argv) > 1:
    check(sys.argv[1])
else:
    for options in (["--depth", "2", "--context", "64"], ["--preset", "shakespeare-char-cpu"]):
        with tempfile.TemporaryDirectory() as folder:
            check(make_model(folder, options))
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder, ["--depth", "1", "--context", "32"])
        for i, config in enumerate(CONFIGS):
            with tempfile.TemporaryDirectory() as work:
                check_both_ways(work, config, os.path.join(folder, "tok"), torch.float16 if i % 2 else torch.bfloat16)
