"""Makes the golden models of tests/model/test_golden.c: python make_goldens.py [NAME...] (needs torch, transformers,
safetensors).

Each NAME/ is a Hugging Face folder of a tiny model with random weights, stored in half precision to be small. Beside it
lie NAME/expected.safetensors (documents of several lengths laid end to end, the logits and the mean loss that
transformers gives for each document by itself, in float64) and NAME-gradients/, the gradient of that loss by every
parameter, as a folder of the same kind.
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GemmaConfig, GPT2Config, LlamaConfig,
                          MistralConfig, Phi3Config, Qwen2Config, Qwen3Config)

HERE = pathlib.Path(__file__).parent
LENGTHS = [11, 1, 7, 16]  # of the documents
VOCAB = 53

GPT2 = GPT2Config(vocab_size=VOCAB, n_positions=24, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
QWEN3 = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=24, bos_token_id=0, eos_token_id=[1, 0])
SMALL = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=None)
GEMMA = SMALL | dict(num_hidden_layers=3, head_dim=10, query_pre_attn_scalar=7, sliding_window=5,
                     max_position_embeddings=24)
MODELS = {
    "gpt2": (GPT2, torch.float16),
    "qwen3": (Qwen3Config(**QWEN3, tie_word_embeddings=False), torch.bfloat16),
    "qwen3-tied": (Qwen3Config(**QWEN3, tie_word_embeddings=True, rope_theta=1e6, use_sliding_window=True,
                               sliding_window=5, max_window_layers=1), torch.bfloat16),
    "llama": (LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True, max_position_embeddings=24, rope_parameters=dict(
        rope_type="llama3", rope_theta=100.0, factor=4.0, low_freq_factor=0.5, high_freq_factor=2.0,
        original_max_position_embeddings=12)), torch.float16),
    "llama-linear": (LlamaConfig(**SMALL | dict(num_attention_heads=3, num_key_value_heads=1), head_dim=10,
                                 max_position_embeddings=24, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="linear", rope_theta=10000.0, factor=3.0)), torch.bfloat16),
    "llama-yarn": (LlamaConfig(**SMALL, head_dim=16, max_position_embeddings=32, rope_parameters=dict(
        rope_type="yarn", rope_theta=50.0, factor=2.0, original_max_position_embeddings=16, beta_fast=2.0,
        beta_slow=0.3)), torch.float16),
    "mistral": (MistralConfig(**SMALL, head_dim=10, max_position_embeddings=24, sliding_window=5, rope_parameters=dict(
        rope_type="dynamic", rope_theta=10000.0, factor=2.0)), torch.bfloat16),
    "qwen2": (Qwen2Config(**SMALL, max_position_embeddings=32, use_sliding_window=True, sliding_window=5,
                          max_window_layers=1, rope_parameters=dict(
        rope_type="yarn", rope_theta=50.0, factor=2.0, original_max_position_embeddings=16, beta_fast=2.0,
        beta_slow=0.3, truncate=False, mscale=0.7, mscale_all_dim=0.4)), torch.float16),
    "phi3": (Phi3Config(**SMALL | dict(hidden_size=40), max_position_embeddings=80, original_max_position_embeddings=20,
                        sliding_window=7, rope_parameters=dict(
        rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.65, short_factor=[1.0, 1.25, 1.5],
        long_factor=[2.0, 4.0, 8.0])), torch.bfloat16),
    "phi3-whole": (Phi3Config(**SMALL, max_position_embeddings=24, tie_word_embeddings=True), torch.float16),
    "gemma": (GemmaConfig(**SMALL, head_dim=10, max_position_embeddings=24), torch.bfloat16),
    "gemma2": (Gemma2Config(**GEMMA, attn_logit_softcapping=1.0, final_logit_softcapping=1.5), torch.float16),
    "gemma3": (Gemma3TextConfig(**GEMMA, layer_types=["sliding_attention", "sliding_attention", "full_attention"],
                                rope_parameters=dict(
        full_attention=dict(rope_type="linear", rope_theta=1000.0, factor=8.0),
        sliding_attention=dict(rope_type="default", rope_theta=100.0))), torch.bfloat16),
}


def norm_begin(model):
    """What a new norm's weight is: Gemma's files have norms less 1."""
    return 0 if model.config.model_type.startswith("gemma") else 1


def randomize(model, generator):
    """Every parameter away from its usual beginning, so that a bias or a norm that is left out shows."""
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        norm = "norm" in name or ".ln_" in name
        p.data = norm_begin(model) + 0.2 * noise if norm and name.endswith("weight") else 0.15 * noise


def documents(generator):
    n = sum(LENGTHS)
    ids = torch.randint(VOCAB, (n,), generator=generator)
    targets = torch.randint(VOCAB, (n,), generator=generator)
    return ids, targets


def make(name, config, dtype, generator):
    model = AutoModelForCausalLM.from_config(config)
    randomize(model, generator)
    model = model.to(dtype).eval()
    model.save_pretrained(HERE / name)
    (HERE / name / "generation_config.json").unlink(missing_ok=True)
    # Opened anew: converting a model rounds its rotary frequencies too.
    model = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float64, attn_implementation="eager").eval()
    ids, targets = documents(generator)
    logits, loss = [], 0
    for i, n in enumerate(LENGTHS):
        part = slice(sum(LENGTHS[:i]), sum(LENGTHS[:i]) + n)
        logits.append(model(ids[part][None]).logits[0])
        loss = loss + torch.nn.functional.cross_entropy(logits[-1], targets[part], reduction="sum")
    loss = loss / len(ids)
    loss.backward()
    starts = torch.tensor([0] + LENGTHS).cumsum(0)
    save_file({"ids": ids.int(), "targets": targets.int(), "starts": starts.int(),
               "logits": torch.cat(logits).float().detach(), "loss": loss.detach().float()[None]},
              HERE / name / "expected.safetensors")
    for parameter, p in model.named_parameters():
        # A reader adds to Gemma's norms what their files leave out.
        p.data = p.grad - 1 if "norm" in parameter and norm_begin(model) == 0 else p.grad
    model.float().save_pretrained(HERE / f"{name}-gradients")
    (HERE / f"{name}-gradients" / "generation_config.json").unlink(missing_ok=True)


for i, (name, (config, dtype)) in enumerate(MODELS.items()):
    if not sys.argv[1:] or name in sys.argv[1:]:
        make(name, config, dtype, torch.Generator().manual_seed(1234 + i))
