"""Makes tests/golden/blocks/blocks.safetensors: python make_goldens.py (needs numpy, gguf, safetensors).

For each type of ggml that talc unpacks: blocks of random bits (every code, every scale), the first with the greatest
scales that are finite in half precision, the second with subnormal ones, the third with -0; and the floats that gguf-py
makes of them.
"""

import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
# Where a block has its scales in half precision.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "F16": [0]}
EXTREMES = [np.float16(-65504), np.float16(6e-8), np.float16(-0.0)]


def make(name, scales, rng):
    qtype = GGMLQuantizationType[name]
    elements, n_bytes = GGML_QUANT_SIZES[qtype]
    n = {1: 64, 32: 6, 256: 4}[elements]
    blocks = rng.integers(0, 256, (n, n_bytes), dtype=np.uint8)
    for at in scales:
        values = rng.normal(0, 0.02, n).astype(np.float16)
        values[:3] = EXTREMES
        blocks[:, at:at + 2] = values.view(np.uint8).reshape(n, 2)
    if name == "MXFP4":
        blocks[:4, 0] = [0, 1, 2, 250]
        blocks[4:, 0] = [120, 127]
    if name == "BF16":
        blocks = (rng.normal(0, 1, n).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    floats = quants.dequantize(blocks.reshape(-1), qtype)
    assert np.isfinite(floats).all(), name
    return {f"{name}.blocks": blocks.reshape(-1), f"{name}.floats": floats.astype(np.float32).reshape(-1)}


tensors = {}
rng = np.random.default_rng(1234)
for name, scales in {**SCALES, "BF16": []}.items():
    tensors |= make(name, scales, rng)
save_file(tensors, HERE / "blocks.safetensors")
