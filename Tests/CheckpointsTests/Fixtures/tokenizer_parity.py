"""Writes tokenizer-parity.json: what llama.cpp makes of long texts, random strings and every token.

    python tokenizer_parity.py FOLDER

FOLDER holds the models and texts named below. Needs llama-cpp-python. Texts and token ids are stored as
64-bit FNV-1a hashes (ids as little-endian 32-bit numbers), so that whole books fit into a small file.
"""
import array
import ctypes
import json
import pathlib
import sys

from llama_cpp import Llama, llama_model_get_vocab, llama_token_to_piece

MODELS = ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"]
TEXTS = ["kjv.txt", "faq-ko.txt", "source.txt"]
MASK = (1 << 64) - 1

# Kinds of characters that pre-tokenizers and byte fallback treat differently.
RANGES = [
    (0x20, 0x7E), (0x61, 0x7A), (0x41, 0x5A), (0x30, 0x39), (0x20, 0x20), (0x09, 0x0D), (0x01, 0x1F), (0x80, 0x24F),
    (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x2000, 0x206F),
    (0x2070, 0x27BF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFE00, 0xFFFD), (0x1D400, 0x1D7FF),
    (0x1F300, 0x1F64F), (0x20000, 0x2A6DF), (0x800, 0xD7FF),
]
SNIPPETS = [
    "'s", "'LL", "don't", "\r\n", "\n\n", "    ", "100,000", "3.14", "https://", "the ", " the", "<|im_start|>",
    "<|im_end|>", "<|endoftext|>", "<start_of_turn>", "<end_of_turn>", "<eos>", "<0x41>", "▁", "Ġ", "말모이", "👩‍🌾", "def f(x):",
]


class SplitMix:
    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = self.state
        mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & MASK
        return (mixed ^ mixed >> 31) % bound


def random_string(random):
    text = ""
    for _ in range(random.below(12)):
        if random.below(4) == 0:
            text += SNIPPETS[random.below(len(SNIPPETS))]
            continue
        first, last = RANGES[random.below(len(RANGES))]
        for _ in range(1 + random.below(6)):
            text += chr(first + random.below(last - first + 1))
    return text


def fnv(data):
    hash = 0xCBF29CE484222325
    for byte in data:
        hash = ((hash ^ byte) * 0x100000001B3) & MASK
    return f"{hash:016x}"


folder, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
random = SplitMix(7)
strings = [random_string(random) for _ in range(10_000)]
result = {"texts": {}, "models": {}}
texts = {}
for name in TEXTS:
    texts[name] = ((here if name == "source.txt" else folder) / name).read_bytes()
    result["texts"][name] = fnv(texts[name])
result["strings"] = fnv("".join(strings).encode())

for model in MODELS:
    llama = Llama(str(folder / model), vocab_only=True, verbose=False)
    entry = result["models"][model] = {"texts": {}, "strings": []}
    for name, text in texts.items():
        ids = llama.tokenize(text, add_bos=True, special=False)
        entry["texts"][name] = {"count": len(ids), "hash": fnv(array.array("i", ids).tobytes())}
    buffer, pieces, ids = ctypes.create_string_buffer(1024), [], []
    vocabulary = llama_model_get_vocab(llama.model)
    for token in range(llama.n_vocab()):
        count = llama_token_to_piece(vocabulary, token, buffer, len(buffer), 0, True)
        pieces.append(buffer.raw[:count])
        ids += llama.tokenize(pieces[-1], add_bos=False, special=False)
    entry["pieces"] = {"count": len(pieces), "bytes": fnv(b"".join(pieces)), "encoded": fnv(array.array("i", ids).tobytes())}
    # One hash for each hundred; every other string has its special tokens parsed.
    for start in range(0, len(strings), 100):
        ids = []
        for index in range(start, start + 100):
            ids += llama.tokenize(strings[index].encode(), add_bos=True, special=index % 2 == 1)
        entry["strings"].append(fnv(array.array("i", ids).tobytes()))

(here / "tokenizer-parity.json").write_text(json.dumps(result, indent=1) + "\n")
