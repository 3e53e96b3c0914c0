"""How fast Malmoi makes sentence vectors beside sentence-transformers and ONNX Runtime, and whether they are the same.

    python embedding.py MODEL_FOLDER [--malmoi PATH] [--text FILE] [--sentences 1000] [--threads 2] [--repetitions 5]

MODEL_FOLDER is a sentence encoder as sentence-transformers keeps it (all-MiniLM-L6-v2). Sentences are the lines of FILE
that have at least 20 letters. Programs take turns; figures are medians of the time that encoding takes once the model
is loaded (of Malmoi: the whole process less that of a process with one sentence). Needs sentence-transformers,
onnxruntime, onnx and onnxscript.
"""
import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from sentence_transformers import SentenceTransformer

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--malmoi", default=str(Path(__file__).parent.parent / ".build/release/malmoi"))
parser.add_argument("--text", required=True)
parser.add_argument("--sentences", type=int, default=1000)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repetitions", type=int, default=5)
options = parser.parse_args()
torch.set_num_threads(options.threads)

lines = [line.strip() for line in Path(options.text).read_text().splitlines()]
sentences = [line for line in lines if len(line) >= 20][: options.sentences]
reference = SentenceTransformer(options.folder, device="cpu")
transformer, tokenizer = reference[0].auto_model.eval(), reference.tokenizer
limit = reference.max_seq_length


class States(torch.nn.Module):
    """The model as a function of three arrays, which is what can be exported."""

    def __init__(self):
        super().__init__()
        self.transformer = transformer

    def forward(self, ids, mask, types):
        return self.transformer(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


def onnx_session(folder):
    example = tokenizer(sentences[:2], padding=True, return_tensors="pt")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    path = str(Path(folder) / "model.onnx")
    torch.onnx.export(
        States().eval(), tuple(example[name] for name in names), path, input_names=names, output_names=["hidden"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in names + ["hidden"]}, dynamo=False)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    return onnxruntime.InferenceSession(path, settings)


def with_onnx(session, batch=32):
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    vectors = np.zeros((len(sentences), transformer.config.hidden_size), dtype=np.float32)
    for first in range(0, len(order), batch):
        part = order[first:first + batch]
        encoded = tokenizer([sentences[i] for i in part], padding=True, truncation=True, max_length=limit,
                            return_tensors="np")
        hidden = session.run(None, {k: v.astype(np.int64) for k, v in encoded.items()})[0]
        mask = encoded["attention_mask"][:, :, None]
        mean = (hidden * mask).sum(1) / mask.sum(1)
        vectors[part] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return vectors


def with_malmoi(texts):
    start = time.perf_counter()
    found = subprocess.run(
        [options.malmoi, "embed", options.folder, "--json", "--threads", str(options.threads)],
        input="\n".join(texts), capture_output=True, text=True, check=True).stdout
    return time.perf_counter() - start, found


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


seconds = {"Malmoi": [], "sentence-transformers": [], "ONNX Runtime": []}
with tempfile.TemporaryDirectory() as folder:
    session = onnx_session(folder)
    for round_ in range(options.repetitions):
        whole, text = with_malmoi(sentences)
        seconds["Malmoi"].append(whole - with_malmoi(sentences[:1])[0])
        spent, truth = timed(lambda: reference.encode(sentences, batch_size=32, normalize_embeddings=True))
        seconds["sentence-transformers"].append(spent)
        spent, other = timed(lambda: with_onnx(session))
        seconds["ONNX Runtime"].append(spent)
own = np.array([row["embedding"] for row in json.loads(text)], dtype=np.float64)
for name, vectors in [("Malmoi", own), ("ONNX Runtime", other)]:
    cosines = (vectors * truth).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(truth, axis=1)
    print(f"{name}: least cosine to sentence-transformers {cosines.min():.7f}")
base = statistics.median(seconds["Malmoi"])
for name, values in seconds.items():
    median = statistics.median(values)
    print(f"{name}: {median:.3f} s, {len(sentences) / median:.0f} sentences/s, x {median / base:.2f}")
