"""Makes the golden models of tests/model/test_golden.c: python make_goldens.py (needs torch, transformers, safetensors).

Each NAME/ is a Hugging Face folder of a tiny model with random weights, stored in half precision to be small. Beside it
lie NAME/expected.safetensors (documents of several lengths laid end to end, the logits and the mean loss that
transformers gives for each document by itself, in float64) and NAME-gradients/, the gradient of that loss by every
parameter, as a folder of the same kind.
"""

import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GPT2Config, Qwen3Config

HERE = pathlib.Path(__file__).parent
LENGTHS = [11, 1, 7, 16]  # of the documents
VOCAB = 53

GPT2 = GPT2Config(vocab_size=VOCAB, n_positions=24, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
QWEN3 = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=24, bos_token_id=0, eos_token_id=[1, 0])
MODELS = {
    "gpt2": (GPT2, torch.float16),
    "qwen3": (Qwen3Config(**QWEN3, tie_word_embeddings=False), torch.bfloat16),
    "qwen3-tied": (Qwen3Config(**QWEN3, tie_word_embeddings=True, rope_theta=1e6, use_sliding_window=True,
                               sliding_window=5, max_window_layers=1), torch.bfloat16),
}


def randomize(model, generator):
    """Every parameter away from its usual beginning, so that a bias or a norm that is left out shows."""
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        norm = "norm" in name or ".ln_" in name
        p.data = 1 + 0.2 * noise if norm and name.endswith("weight") else 0.15 * noise


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
    for p in model.parameters():
        p.data = p.grad
    model.float().save_pretrained(HERE / f"{name}-gradients")
    (HERE / f"{name}-gradients" / "generation_config.json").unlink(missing_ok=True)


for i, (name, (config, dtype)) in enumerate(MODELS.items()):
    make(name, config, dtype, torch.Generator().manual_seed(1234 + i))
