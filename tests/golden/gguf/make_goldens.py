"""Makes the GGUF files of tests/model/test_gguf.c: python make_goldens.py (needs torch, transformers, safetensors, gguf).

Each NAME.gguf is a tiny model with random weights whose tensors are of every type that gguf-py writes; NAME.safetensors
beside it holds ids (documents laid end to end), where they start, and the logits that transformers gives for each
document by itself, in float64, of the same numbers. Names of tensors come from gguf-py's map; Llama's queries and keys
are put in the order of pairs as ggml's converter does it. qwen2 is split into parts. llama.gguf has a tokenizer and a
chat template too; what transformers answers with it to a prompt is printed, for tests/e2e/test_gguf.sh. With no
argument the files that the fuzz target begins with, smaller still, are made too (tests/fuzz/corpus/model_file).
"""

import pathlib
import sys
import tempfile

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GemmaConfig, GPT2Config, LlamaConfig, MistralConfig, Phi3Config, Qwen2Config, Qwen3Config

HERE = pathlib.Path(__file__).parent
LENGTHS = [9, 1, 6]  # of the documents
TYPES = [T.Q8_0, T.Q4_0, T.F16, T.Q5_1, T.BF16, T.Q4_1, T.F32, T.Q5_0]  # one after the other

SMALL = dict(vocab_size=53, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=24, bos_token_id=1, eos_token_id=2, pad_token_id=None)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=8192)
LONG = dict(rope_type="longrope", short_factor=[1.0, 1.25, 1.5, 2.5], long_factor=[1.0, 2.0, 4.0, 8.0])
PARTLY = dict(rope_type="longrope", rope_theta=1e4, partial_rotary_factor=0.75, short_factor=[1.0, 1.25, 1.5],
              long_factor=[1.0, 2.0, 4.0], original_max_position_embeddings=20)
GEMMA = dict(**SMALL, head_dim=16, tie_word_embeddings=True, query_pre_attn_scalar=16, sliding_window=5)
MODELS = {
    "gpt2": (gguf.MODEL_ARCH.GPT2, GPT2Config(vocab_size=53, n_positions=24, n_embd=32, n_layer=2, n_head=4,
                                              bos_token_id=1, eos_token_id=2)),
    "llama": (gguf.MODEL_ARCH.LLAMA, LlamaConfig(**{**SMALL, "vocab_size": 272}, head_dim=16, rope_theta=1e4,
                                                 tie_word_embeddings=True)),
    "llama3": (gguf.MODEL_ARCH.LLAMA, LlamaConfig(**SMALL, head_dim=16, rope_theta=5e5, rope_scaling=LLAMA3,
                                                  tie_word_embeddings=False, attention_bias=True, mlp_bias=True)),
    "qwen2": (gguf.MODEL_ARCH.QWEN2, Qwen2Config(**SMALL, rope_theta=1e6, tie_word_embeddings=True)),
    "qwen3": (gguf.MODEL_ARCH.QWEN3, Qwen3Config(**SMALL, head_dim=16, rope_theta=1e6, tie_word_embeddings=False)),
    "phi3": (gguf.MODEL_ARCH.PHI3, Phi3Config(**SMALL, rope_theta=1e4, sliding_window=6, tie_word_embeddings=False)),
    "phi3-long": (gguf.MODEL_ARCH.PHI3, Phi3Config(**SMALL, rope_theta=1e4, rope_scaling=LONG,
                                                   original_max_position_embeddings=20, tie_word_embeddings=True)),
    "mistral": (gguf.MODEL_ARCH.LLAMA, MistralConfig(**{**SMALL, "num_hidden_layers": 1}, head_dim=16,
                                                     sliding_window=5, tie_word_embeddings=True)),
    "gemma": (gguf.MODEL_ARCH.GEMMA, GemmaConfig(**SMALL, head_dim=16, tie_word_embeddings=True)),
    "gemma2": (gguf.MODEL_ARCH.GEMMA2, Gemma2Config(**GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=1.5)),
    "gemma3": (gguf.MODEL_ARCH.GEMMA3, Gemma3TextConfig(**{**GEMMA, "num_hidden_layers": 3},
                                                        layer_types=["sliding_attention"] * 2 + ["full_attention"])),
    "phi4-mini": (gguf.MODEL_ARCH.PHI3, Phi3Config(**SMALL, rope_parameters=PARTLY, tie_word_embeddings=True,
                                                   original_max_position_embeddings=20)),
}
TEMPLATE = ("{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + eos_token }}{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}")


def randomize(model, generator):
    """Every parameter away from its usual beginning, so that a bias or a norm that is left out shows."""
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        norm = "norm" in name or ".ln_" in name
        p.data = 1 + 0.2 * noise if norm and name.endswith("weight") else 0.15 * noise


def to_pairs(w, n_heads):
    """Rows of halves in the order of pairs."""
    return w.reshape(n_heads, 2, w.shape[0] // n_heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def from_pairs(w, n_heads):
    return w.reshape(n_heads, w.shape[0] // n_heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


GEMMAS = [gguf.MODEL_ARCH.GEMMA, gguf.MODEL_ARCH.GEMMA2, gguf.MODEL_ARCH.GEMMA3]


def add_tensors(writer, arch, model, config):
    """Writes each parameter, and gives the model the numbers that the file then holds."""
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    for i, (name, p) in enumerate(model.named_parameters()):
        w = p.data.float().numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": getattr(config, "num_key_value_heads", None)}
        n = next((n for part, n in heads.items() if part in name), None) if arch == gguf.MODEL_ARCH.LLAMA else None
        if name.endswith(turned): w = w.T
        if n: w = to_pairs(w, n)
        less_one = arch in GEMMAS and "norm" in name
        if less_one: w = w + 1
        w = np.ascontiguousarray(w)
        t = T.F32 if w.ndim == 1 else TYPES[i % len(TYPES)]
        data = gguf.quants.quantize(w, t)
        back = gguf.quants.dequantize(data, t).reshape(w.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), data, raw_dtype=t)
        if n: back = from_pairs(back, n)
        if less_one: back = back.astype(np.float64) - 1
        p.data = torch.tensor(np.ascontiguousarray(back.T if name.endswith(turned) else back))


def add_rope(writer, config):
    scaling = config.rope_parameters
    scaling = scaling.get("full_attention", scaling)
    d = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    d = int(d * scaling.get("partial_rotary_factor", 1))
    writer.add_rope_dimension_count(d)
    writer.add_rope_freq_base(scaling["rope_theta"])
    if scaling["rope_type"] == "llama3":
        wave = 2 * np.pi * scaling["rope_theta"] ** (np.arange(0, d, 2) / d)
        turns = 8192 / wave
        mean = (turns - 1) / 3
        factors = np.where(turns > 4, 1, np.where(turns < 1, 8, 1 / ((1 - mean) / 8 + mean)))
        writer.add_tensor("rope_freqs.weight", factors.astype(np.float32))
    if scaling["rope_type"] == "longrope":
        scale, original = config.max_position_embeddings / 20, 20
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(scale) / np.log(original))))
        writer.add_tensor("rope_factors_long.weight", np.array(scaling["long_factor"], np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(scaling["short_factor"], np.float32))


def add_settings(writer, arch, config):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if arch == gguf.MODEL_ARCH.GPT2:
        writer.add_feed_forward_length(4 * config.n_embd)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if getattr(config, "head_dim", None) and arch != gguf.MODEL_ARCH.PHI3:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if getattr(config, "final_logit_softcapping", None):
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if isinstance(config, MistralConfig) or arch in GEMMAS[1:]: writer.add_sliding_window(config.sliding_window)
    if arch == gguf.MODEL_ARCH.GEMMA3: writer.add_sliding_window_pattern(3)
    if arch == gguf.MODEL_ARCH.PHI3: writer.add_sliding_window(config.sliding_window or 0)
    add_rope(writer, config)


def add_tokenizer(writer):
    """SentencePiece: three special tokens, the bytes, some letters and the marks of the template's turns."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    types = [2, 3, 3] + [6] * 256
    more = ["\u2581", "a", "b", "\u2581a", "ab", "c", "d", "e", "f"]
    marks = ["<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens + more + marks)
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(len(more))] + [0.0] * len(marks))
    writer.add_token_types(types + [1] * len(more) + [3] * len(marks))
    writer.add_unk_token_id(0)
    writer.add_eot_token_id(271)
    writer.add_eom_token_id(270)
    writer.add_chat_template(TEMPLATE)


def documents(config, generator):
    return torch.randint(config.vocab_size, (sum(LENGTHS),), generator=generator)


def make(name, arch, config, generator):
    model = AutoModelForCausalLM.from_config(config)
    randomize(model, generator)
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", gguf.MODEL_ARCH_NAMES[arch],
                             split_max_tensors=9 if name == "qwen2" else 0)
    add_settings(writer, arch, config)
    if name == "llama": add_tokenizer(writer)
    add_tensors(writer, arch, model, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with tempfile.TemporaryDirectory() as folder:
        # Opened anew: converting a model rounds its rotary frequencies too.
        model.save_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    ids = documents(config, generator)
    starts = torch.tensor([0] + LENGTHS).cumsum(0)
    with torch.no_grad():
        logits = [model(ids[a:b][None]).logits[0] for a, b in zip(starts, starts[1:])]
        save_file({"ids": ids.int(), "targets": ids.int(), "starts": starts.int(), "logits": torch.cat(logits).float()},
                  HERE / f"{name}.safetensors")
        if name == "llama":
            prompt = torch.tensor([[1, 262, 259, 264, 265, 266]])  # <s> and "a cde"
            print(model.generate(prompt, max_new_tokens=12, do_sample=False)[0, prompt.shape[1]:].tolist())


def make_corpus(generator):
    folder = HERE.parent.parent / "fuzz" / "corpus" / "model_file"
    folder.mkdir(parents=True, exist_ok=True)
    global TYPES
    for name, (arch, config) in MODELS.items():
        values = config.to_dict()
        small = dict(vocab_size=3, num_hidden_layers=1, num_attention_heads=2, hidden_size=32, intermediate_size=32,
                     num_key_value_heads=1, head_dim=4, n_layer=1, n_embd=8, n_head=2, layer_types=None)
        quantised = name in ("llama3", "phi3")
        TYPES = [T.Q4_0, T.Q5_1, T.Q8_0] if quantised else [T.F16, T.BF16]
        if not quantised: small["hidden_size"] = small["intermediate_size"] = 8
        if name == "phi3-long": small["hidden_size"] = 16
        if quantised: small["head_dim"] = 16
        values.update({k: v for k, v in small.items() if k in values})
        config = type(config)(**values)
        model = AutoModelForCausalLM.from_config(config)
        randomize(model, generator)
        writer = gguf.GGUFWriter(folder / f"{name}.gguf", gguf.MODEL_ARCH_NAMES[arch])
        add_settings(writer, arch, config)
        add_tensors(writer, arch, model, config)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


for i, (name, (arch, config)) in enumerate(MODELS.items()):
    if len(sys.argv) < 2 or name in sys.argv[1:]: make(name, arch, config, torch.Generator().manual_seed(4321 + i))
if len(sys.argv) < 2: make_corpus(torch.Generator().manual_seed(4321))
