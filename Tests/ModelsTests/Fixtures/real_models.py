"""Writes real/<model>.top40 and real/perplexities.json: what real models say of two books, for AccuracyRealModelTests.

    pip install torch transformers gguf numpy
    python real_models.py PEERS_FOLDER

with the folder that Benchmarks/peers.sh makes. <model>.top40 holds, little-endian: int32 texts, tokens, positions; the
tokens of one window of each text [texts, tokens]; the positions [positions]; of the 40 likeliest tokens at each, by
transformers with the dequantized weights in float32, their numbers (int32) and their log-probabilities (float32)
[texts, positions, 40]. perplexities.json holds the perplexity of the first bytes of a text, by
transformers with the dequantized weights in float32 and by llama.cpp.
"""
import json
import re
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "Benchmarks"))
import gguf_reference
from accuracy import MODELS, WINDOW, LlamaFile, beginning_of_sequence
from peers import Peers

TEXTS = ["kjv-small.txt", "faq-ko.txt"]
POSITIONS = list(range(4, WINDOW, 5))

peers = Peers(sys.argv[1], threads=1)
Path("real").mkdir(exist_ok=True)
for name in MODELS:
    model = peers.model(name)
    reference = gguf_reference.load(model)
    first = beginning_of_sequence(model)
    windows, ids, values = [], [], []
    for text in TEXTS:
        with tempfile.TemporaryDirectory() as folder:
            tokens = LlamaFile(peers, model, peers.text(text), 2, f"{folder}/logits").tokens[1].tolist()
        if first is not None:
            tokens[0] = first
        with torch.inference_mode():
            states = reference.model(torch.tensor([tokens])).last_hidden_state[0, POSITIONS]
            best = torch.log_softmax(reference.lm_head(states), 1).topk(40)
        windows.append(tokens)
        ids.append(best.indices.numpy())
        values.append(best.values.numpy())
    with open(f"real/{name.removesuffix('.gguf')}.top40", "wb") as file:
        for part in ([len(TEXTS), WINDOW, len(POSITIONS)], windows, POSITIONS, ids):
            np.array(part, "<i4").tofile(file)
        np.array(values, "<f4").tofile(file)
    print(name, flush=True)

def float32_perplexity(name, tokens):
    """llama.cpp's method: windows side by side, of which the second half is scored."""
    reference, first = gguf_reference.load(peers.model(name)), beginning_of_sequence(peers.model(name))
    scored, losses = slice(WINDOW // 2, WINDOW - 1), []
    for start in range(0, len(tokens) - WINDOW + 1, WINDOW):
        window = torch.tensor(tokens[start:start + WINDOW])
        if first is not None:
            window[0] = first
        with torch.inference_mode():
            logits = reference.lm_head(reference.model(window[None]).last_hidden_state[0, scored])
        losses.append(torch.nn.functional.cross_entropy(logits, window[WINDOW // 2 + 1:]).item())
    return float(np.exp(np.mean(losses)))


perplexities = []
for name in MODELS:
    for text in TEXTS:
        told = "".join(peers.llama("llama-perplexity", "-m", peers.model(name), "-f", peers.text(text), "-c", WINDOW))
        tokens = json.loads(peers.ours("tokenize", peers.model(name), Path(peers.text(text)).read_text(), "--json")[0])
        perplexities.append({
            "model": name, "text": text.replace("-small", ""), "bytes": Path(peers.text(text)).stat().st_size,
            "context": WINDOW, "float32": round(float32_perplexity(name, [token["id"] for token in tokens]), 4),
            "llama": float(re.search(r"Final estimate: PPL = ([\d.]+)", told)[1])})
        print(perplexities[-1], flush=True)
Path("real/perplexities.json").write_text(json.dumps(perplexities, indent=2) + "\n")
