"""Writes real/<model>.top40 and real/perplexities.json: what real models say of two books, for AccuracyRealModelTests.

    pip install torch transformers gguf numpy
    python real_models.py PEERS_FOLDER

with the folder that Benchmarks/peers.sh makes. <model>.top40 holds, little-endian: int32 texts, tokens, positions; the
tokens of one window of each text [texts, tokens]; the positions [positions]; of the 40 likeliest tokens at each, by
transformers with the dequantized weights in float32, their numbers (int32) and their log-probabilities (float32)
[texts, positions, 40]. perplexities.json holds what llama.cpp gives for the first bytes of a text.
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
PERPLEXITIES = dict(zip(MODELS, TEXTS))  # one text for each, long enough that rounding evens out

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

perplexities = []
for name, text in PERPLEXITIES.items():
    told = "".join(peers.llama("llama-perplexity", "-m", peers.model(name), "-f", peers.text(text), "-c", WINDOW))
    figure = float(re.search(r"Final estimate: PPL = ([\d.]+)", told)[1])
    perplexities.append({
        "model": name, "text": text.replace("-small", ""), "bytes": Path(peers.text(text)).stat().st_size,
        "context": WINDOW, "perplexity": figure})
    print(perplexities[-1], flush=True)
Path("real/perplexities.json").write_text(json.dumps(perplexities, indent=2) + "\n")
