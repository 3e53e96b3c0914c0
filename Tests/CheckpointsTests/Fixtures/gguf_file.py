"""Writes gguf-py-made.bin: a GGUF file by gguf-py with a value of every type and tensors of three formats.

GGUFWriterTests makes the same file with Malmoi and expects the same bytes.
"""
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType as V, GGUFWriter

writer = GGUFWriter(sys.argv[1] if len(sys.argv) > 1 else "gguf-py-made.bin", "llama")
writer.add_custom_alignment(64)
for name, value, kind in [
    ("u8", 200, V.UINT8), ("i8", -100, V.INT8), ("u16", 60000, V.UINT16), ("i16", -30000, V.INT16),
    ("u32", 4000000000, V.UINT32), ("i32", -2000000000, V.INT32), ("u64", 2**64 - 1, V.UINT64),
    ("i64", -2**63, V.INT64), ("f32", 0.1, V.FLOAT32), ("f64", 0.1, V.FLOAT64), ("yes", True, V.BOOL),
    ("no", False, V.BOOL), ("text", "말모이 🌾\n", V.STRING), ("empty", "", V.STRING),
]:
    writer.add_key_value("malmoi." + name, value, kind)
writer.add_key_value("malmoi.words", ["a", "", "말", "🌾"], V.ARRAY, sub_type=V.STRING)
writer.add_key_value("malmoi.scores", [0.5, -1.0, 3e38], V.ARRAY, sub_type=V.FLOAT32)
writer.add_key_value("malmoi.kinds", [1, -2, 3], V.ARRAY, sub_type=V.INT32)
writer.add_key_value("malmoi.flags", [True, False, True], V.ARRAY, sub_type=V.BOOL)

ramp = np.arange(96, dtype=np.float32).reshape(3, 32)
writer.add_tensor("norm.weight", ramp[0, :5].copy())
writer.add_tensor("blk.0.attn_q.weight", np.arange(102, dtype=np.uint8).reshape(3, 34), raw_dtype=GGMLQuantizationType.Q8_0)
writer.add_tensor("token_embd.weight", ramp.astype(np.float16))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
