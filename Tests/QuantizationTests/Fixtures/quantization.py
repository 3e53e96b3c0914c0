"""Makes rows.bin, errors.json and mixtures.json: what ggml and llama.cpp do, for Malmoi to be held against.

    python quantization.py LLAMA_BUILD_FOLDER MODEL.gguf IMPORTANCE.gguf

rows.bin: float32 rows of three kinds and one row of importance, COLUMNS numbers each. errors.json: the root of the sum
of squared errors of ggml's own quantizers (libggml-base), relative to that of the numbers, with and without importance;
with it, squares are weighted. mixtures.json: the formats that llama-quantize chooses, run by run in the order of the
file's tensors, for an F16 model with any importance, and for one of zeros whose rows fill all blocks.
"""
import ctypes
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

COLUMNS, ROWS = 1024, 6
FORMATS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]
TYPES = ["q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_0", "q5_1", "q4_k_m", "q4_k_s", "q4_0", "q4_1", "q3_k_m", "q2_k",
         "iq4_nl", "iq4_xs", "f16", "bf16", "f32"]
LINE = r"\[ *\d+/ *\d+\] (\S+) +- \[.*?\], type = +(\w+), size = +[\d.]+ MiB(?: -> +[\d.]+ MiB \((\w+)\))?"


def rows():
    random = np.random.default_rng(20)
    normal = random.standard_normal((ROWS, COLUMNS)) * 0.02
    heavy = random.standard_t(3, (ROWS, COLUMNS)) * 0.02
    shifted = np.abs(random.standard_normal((ROWS, COLUMNS))) * 0.05 - 0.01
    kinds = {"normal": normal, "heavy": heavy, "shifted": shifted}
    importance = np.exp(random.standard_normal(COLUMNS)).astype(np.float32)
    return {name: kind.astype(np.float32) for name, kind in kinds.items()}, importance


def errors(library, kinds, importance):
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    found = {}
    for name, values in kinds.items():
        for weighted in (False, True):
            for format in FORMATS:
                number = gguf.GGMLQuantizationType[format]
                elements, size = gguf.GGML_QUANT_SIZES[number]
                stored = np.zeros(values.size // elements * size, np.uint8)
                library.ggml_quantize_chunk(int(number), values.ctypes.data, stored.ctypes.data, 0, ROWS, COLUMNS,
                                            importance.ctypes.data if weighted else None)
                off = (gguf.quants.dequantize(stored, number).reshape(values.shape) - values).astype(np.float64)
                weights = importance.astype(np.float64) if weighted else 1
                key = f"{name} {'weighted' if weighted else 'plain'} {format}"
                found[key] = float(np.sqrt((weights * off**2).sum() / (weights * values.astype(np.float64)**2).sum()))
    return found


def write_even_model(path):
    """A model of zeros whose rows fill blocks of 256, with an output head and values shared by four heads."""
    layers, width, narrow = 16, 256, 64
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("no_vocab")
    shapes = {"token_embd": (32, width), "output_norm": (width,), "output": (32, width)}
    for layer in range(layers):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in {
            "attn_norm": (width,), "attn_q": (width, width), "attn_k": (narrow, width), "attn_v": (narrow, width),
            "attn_output": (width, width), "ffn_norm": (width,), "ffn_gate": (2 * width, width),
            "ffn_up": (2 * width, width), "ffn_down": (width, 2 * width)}.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.zeros(shape, np.float16 if len(shape) > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def mixtures(tool, model, importance):
    reader = gguf.GGUFReader(model)
    architecture = reader.fields["general.architecture"].contents()
    keys = ["block_count", "attention.head_count", "attention.head_count_kv"]
    found = {"architecture": architecture,
             "metadata": {key: int(reader.fields[f"{architecture}.{key}"].contents()) for key in keys},
             "tensors": [[tensor.name, [int(size) for size in tensor.shape]] for tensor in reader.tensors], "types": {}}
    for calibrated in (False, True):
        for kind in TYPES:
            option = ["--imatrix", importance] if calibrated else []
            told = subprocess.run([tool, "--dry-run", *option, model, "none.gguf", kind], check=True, text=True,
                                  capture_output=True)
            lines = re.findall(LINE, told.stdout + told.stderr)
            by_name = {name: (given or kept).upper() for name, kept, given in lines}
            runs = []
            for name, _ in found["tensors"]:
                if runs and runs[-1][0] == by_name[name]:
                    runs[-1][1] += 1
                else:
                    runs.append([by_name[name], 1])
            found["types"][kind + (" calibrated" if calibrated else "")] = runs
    return found


def main():
    build, model, measured = sys.argv[1:]
    folder = Path(__file__).parent
    kinds, importance = rows()
    np.concatenate([*(values.ravel() for values in kinds.values()), importance]).tofile(folder / "rows.bin")
    library = ctypes.CDLL(f"{build}/bin/libggml-base.so")
    (folder / "errors.json").write_text(json.dumps(errors(library, kinds, importance), indent=0) + "\n")
    with tempfile.TemporaryDirectory() as place:
        even = f"{place}/even.gguf"
        write_even_model(even)
        chosen = [mixtures(f"{build}/bin/llama-quantize", path, measured) for path in (even, model)]
    (folder / "mixtures.json").write_text(json.dumps(chosen, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
