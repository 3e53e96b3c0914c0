"""Writes block-formats.bin: stored blocks of every format and the floats they stand for, by gguf-py.

Records follow each other: name length (u8), name, byte count (u32), stored bytes, float count (u32), floats.
"Q4_K" is a dequantization (bytes -> floats), "quantize F16" a rounding (floats -> bytes).
"""
import struct
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

# Where each format keeps its half-precision scales: random bytes there are mostly absurd numbers.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0], "IQ4_XS": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
random = np.random.default_rng(20)


def stored(name):
    elements, size = GGML_QUANT_SIZES[T[name]]
    count = {1: 64, 32: 12, 256: 6}[elements]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    blocks[0], blocks[1] = 0, 255
    for offset in SCALES.get(name, []):  # blocks 2 and 3 keep scales of any bit pattern
        scales = (random.standard_normal((count - 4, 1)) * 0.01).astype(np.float16)
        blocks[4:, offset:offset + 2] = scales.view(np.uint8)
    return blocks


def floats(name):
    values = random.standard_normal((24, 32)).astype(np.float32)
    values[0] = 0
    values[1] = 1
    values[2] = np.arange(32) - 16
    values[3, ::2] = -values[3, 1::2]  # ties for the largest magnitude
    values[4] *= 1e-6
    values[5] *= 3e4
    values[6] = np.round(values[6] * 4) / 4  # exact halves after scaling
    return values


with open(sys.argv[1] if len(sys.argv) > 1 else "block-formats.bin", "wb") as out, np.errstate(all="ignore"):
    def record(name, data, values):
        name, data, values = name.encode(), data.tobytes(), np.ascontiguousarray(values, dtype=np.float32)
        out.write(struct.pack("<B", len(name)) + name + struct.pack("<I", len(data)) + data)
        out.write(struct.pack("<I", values.size) + values.tobytes())

    for name in ["F32", "F16", "BF16", *SCALES]:
        blocks = stored(name)
        record(name, blocks, dequantize(blocks, T[name]).reshape(-1))
    for name in ["F32", "F16", "BF16"]:
        values = floats(name)
        record("quantize " + name, quantize(values, T[name]), values)
