"""Whether llama.cpp reads the GGUF files that Malmoi writes, and finds the same models in them.

    python check_llamacpp.py MALMOI LLAMA_FOLDER [NAME...]

LLAMA_FOLDER is llama.cpp with its libraries in build/bin. Every tiny model of families/, in float32 and with a small
tokenizer beside it, becomes a GGUF file by `malmoi convert`; what llama.cpp computes from that is compared with what
transformers computes from the folder: scores, or the states of encoders. It takes GELU from a table of 16-bit numbers,
hence the tolerance. What it cannot be told is taken out of the models first (CHANGES, HEADS).
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from check_folders import FAMILIES, answer, convert, load

PIECES = [
    "<pad>", "</s>", "<unk>", "▁", "<s>", "<|endoftext|>", *"abcdefghijklmnopqrstuvwxyz", *(f"x{i}" for i in range(16))]
TOLERANCE = 1e-3
# llama.cpp has no windows for Llama, Qwen 2, Phi-3, and for EXAONE 4 but in its 32B; knows by heart which layers of
# SmolLM3 have no positions, what divides Gemma's scores, and that T5's distances end at 128.
CHANGES = {
    "mistral": dict(sliding_window=None), "qwen2-sliding": dict(use_sliding_window=False),
    "smollm3": dict(no_rope_layers=[1, 1]), "exaone4": dict(sliding_window=None, layer_types=["full_attention"] * 3),
    "gemma2": dict(query_pre_attn_scalar=16), "gemma3": dict(query_pre_attn_scalar=16),
    "gemma3-five": dict(query_pre_attn_scalar=16), "phi3": dict(sliding_window=None),
    **dict.fromkeys(["t5", "t5-gated", "mt5"], dict(relative_attention_max_distance=128))}
# Files with tensors that it has no use for are refused.
HEADS = ("cls.predictions.", "cls.seq_relationship.", "lm_head.", "vocab_", "head.", "decoder.")


def tokenizer():
    special = [dict(id=i, content=piece, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
               for i, piece in enumerate(PIECES) if piece.startswith("<")]
    marks = dict(type="Metaspace", replacement="▁", prepend_scheme="always", split=True)
    vocabulary = [[piece, -i / 10] for i, piece in enumerate(PIECES)]
    return dict(
        version="1.0", truncation=None, padding=None, added_tokens=special, normalizer=None, pre_tokenizer=marks,
        post_processor=None, decoder=marks, model=dict(type="Unigram", unk_id=2, vocab=vocabulary))


def prepare(name, place, reads):
    """A folder of the tiny model, such that llama.cpp computes what transformers does."""
    shutil.copytree(FAMILIES / name, place)
    for file in place.glob("model*.safetensors"):
        save_file({key: value.float() for key, value in load_file(file).items()
                   if not (reads and key.startswith(HEADS))}, file, metadata={"format": "pt"})
    config = json.loads((place / "config.json").read_text()) | CHANGES.get(name, {})
    if reads and config["architectures"][0].endswith(("ForMaskedLM", "ForPreTraining")):
        config["architectures"] = [config["architectures"][0].replace("ForMaskedLM", "Model").replace("ForPreTraining", "Model")]
    (place / "config.json").write_text(json.dumps(config))
    (place / "tokenizer.json").write_text(json.dumps(tokenizer()))


def wanted(place, expected, reads):
    model, _ = load(str(place))
    if reads:
        expected = expected | {"type_ids": torch.zeros_like(expected["tokens"])}  # llama.cpp knows one segment
        model = getattr(model, model.base_model_prefix, model)
    # T5 divides the scores of a tied head by the root of the width, llama.cpp does not.
    return answer(model, expected) * (model.config.d_model ** 0.5 if place.name == "t5" else 1)


def found(program, llama, file, expected, scratch):
    """What llama.cpp answers, or its complaint."""
    given = [expected["encoder_tokens"], expected["decoder_tokens"]] if "encoder_tokens" in expected else [expected["tokens"]]
    run = subprocess.run(
        [program, file, scratch / "answers", *(",".join(map(str, tokens.tolist())) for tokens in given)],
        capture_output=True, text=True, env=os.environ | {"LD_LIBRARY_PATH": str(llama / "build/bin")})
    if run.returncode:
        return None, (run.stderr.strip().splitlines() or [f"ended with {run.returncode}"])[0]
    return torch.from_numpy(np.fromfile(scratch / "answers", "<f4")).reshape(len(given[-1]), -1), ""


def main(malmoi, llama, *names):
    llama, names = Path(llama), names or sorted(path.name for path in FAMILIES.iterdir())
    same, refused = 0, []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        program = scratch / "llama_answers"
        subprocess.run(
            ["g++", "-O1", Path(__file__).parent / "llama_answers.cpp", f"-I{llama}/include", f"-I{llama}/ggml/include",
             f"-L{llama}/build/bin", "-lllama", "-lggml", "-lggml-base", "-o", program], check=True)
        for name in names:
            expected = load_file(FAMILIES / name / "expected.safetensors")
            reads, place, file = "hidden" in expected, scratch / name, scratch / f"{name}.gguf"
            prepare(name, place, reads)
            made = convert(malmoi, place, file)
            if made.returncode:
                print(f"{name}: {made.stderr.strip()}")
                continue
            values, complaint = found(program, llama, file, expected, scratch)
            if values is None:
                refused.append(name)
                print(f"{name}: {complaint[-140:]}")
                continue
            right = wanted(place, expected, reads)
            error = ((values - right).norm() / right.norm()).item()
            same += error <= TOLERANCE
            print(f"{name}: relative error {error:.1e}", flush=True)
    print(f"{same} of {len(names)} are the same models; llama.cpp does not read {', '.join(refused) or 'none'}")
    return same + len(refused) < len(names)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
