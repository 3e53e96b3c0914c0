"""How near Malmoi comes to the truth, beside llama.cpp: perplexity, and distance from a float32 reference.

    python accuracy.py PEERS_FOLDER [--output FOLDER]

The reference is transformers with the GGUF's own weights, dequantized, in float32: what remains is what rounding of
activations and cache costs. It is taken where llama.cpp scores: the second half of windows of 512 tokens. Writes
accuracy.json and accuracy.md; the exit status is 1 when a bound is missed.
"""
import argparse
import json
import re
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch

import gguf_reference
from peers import Peers, write

WINDOW = 512
SCORED = range(WINDOW // 2, WINDOW - 1)
MODELS = ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"]
TEXTS = {"kjv-small.txt": 8, "faq-ko.txt": 4}
# llama.cpp's own rounding raises its perplexity by up to half a per cent, so being below it is no fault.
PERPLEXITY_BOUNDS, DIVERGENCE_BOUND, AGREEMENT_BOUND = (-0.01, 0.003), 1e-3, 0.98


def perplexities(peers, model, text):
    ours = json.loads(peers.ours("perplexity", model, text, "--context", WINDOW, "--json")[0])["perplexity"]
    told = "".join(peers.llama("llama-perplexity", "-m", model, "-f", text, "-c", WINDOW))
    return ours, float(re.search(r"Final estimate: PPL = ([\d.]+)", told)[1])


class LlamaFile:
    """The log-probabilities that llama-perplexity saves: 16 bits each, with a scale and a least value per position."""

    def __init__(self, peers, model, text, windows, path):
        peers.llama("llama-perplexity", "-m", model, "-f", text, "-c", WINDOW, "--chunks", windows,
                    "--save-all-logits", path)
        context, self.vocabulary, self.windows = np.fromfile(path, "<i4", 3, offset=8)
        assert context == WINDOW
        self.tokens = np.fromfile(path, "<i4", self.windows * WINDOW, offset=20).reshape(self.windows, WINDOW)
        stride = 2 * ((self.vocabulary + 1) // 2) + 4
        self.rows = np.memmap(
            path, "<u2", "r", offset=20 + self.tokens.nbytes, shape=(self.windows, len(SCORED), stride))

    def log_probabilities(self, window):
        rows = np.asarray(self.rows[window])
        scale, least = rows[:, :4].copy().view("<f4").T
        codes = torch.from_numpy(rows[:, 4:4 + self.vocabulary].astype(np.float32))
        return codes * torch.from_numpy(scale)[:, None] + torch.from_numpy(least)[:, None]


def beginning_of_sequence(model):
    """The token that llama.cpp puts first in each window, or None."""
    fields = gguf.GGUFReader(model).fields
    adds = fields.get("tokenizer.ggml.add_bos_token")
    adds = fields["tokenizer.ggml.model"].contents() == "llama" if adds is None else adds.contents()
    return fields["tokenizer.ggml.bos_token_id"].contents() if adds else None


def distance(reference, other):
    """Divergence in nats and agreement of the first choice, at each position, of log-probabilities."""
    divergence = (reference.exp() * (reference - other)).sum(1)
    return divergence.double(), reference.argmax(1) == other.argmax(1)


def malmoi_logits(peers, model, tokens, path, options):
    peers.ours("score", model, "--tokens", ",".join(map(str, tokens)), "--top", 0, "--json", "--logits", path, *options)
    return torch.from_numpy(np.fromfile(path, "<f4").reshape(len(tokens), -1))


def distances(peers, model, text, windows, reference, options=()):
    """Mean divergence, its worst position and agreement, of Malmoi and of llama.cpp."""
    first = beginning_of_sequence(model)
    results = {"malmoi": [], "llama.cpp": []}
    with tempfile.TemporaryDirectory() as folder:
        theirs = LlamaFile(peers, model, text, windows, f"{folder}/llama.logits")
        for window, tokens in enumerate(theirs.tokens.tolist()):
            if first is not None:
                tokens[0] = first
            with torch.inference_mode():
                states = reference.model(torch.tensor([tokens])).last_hidden_state[0, SCORED.start:SCORED.stop]
                truth = torch.log_softmax(reference.lm_head(states), 1)
            ours = malmoi_logits(peers, model, tokens, f"{folder}/malmoi.logits", options)[SCORED.start:SCORED.stop]
            results["malmoi"].append(distance(truth, torch.log_softmax(ours, 1)))
            results["llama.cpp"].append(distance(truth, theirs.log_probabilities(window)))
    summary = {}
    for name, parts in results.items():
        divergence, agreement = (torch.cat(column) for column in zip(*parts))
        summary[name] = {
            "divergence": divergence.mean().item(), "worst": divergence.max().item(),
            "agreement": agreement.double().mean().item(), "positions": len(divergence)}
    return summary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", help="the folder that peers.sh made")
    parser.add_argument("--output", default=".", help="where accuracy.json and accuracy.md go")
    parser.add_argument("--malmoi", help="the program, if not that of the release build")
    parser.add_argument("--threads", type=int, help="of both programs; 1 on a busy machine")
    parser.add_argument("--skip-perplexity", action="store_true")
    parser.add_argument("--model", action="append", help="of the folder's models; may be given again")
    arguments = parser.parse_args()
    peers = Peers(arguments.peers, arguments.malmoi, arguments.threads)
    report = []
    for name in arguments.model or MODELS:
        model = peers.model(name)
        reference = gguf_reference.load(model)
        for text, windows in TEXTS.items():
            row = {"model": name, "text": text}
            row |= {"distance": distances(peers, model, peers.text(text), windows, reference)}
            print(json.dumps(row), flush=True)
            if not arguments.skip_perplexity:
                ours, theirs = perplexities(peers, model, peers.text(text))
                row |= {"perplexity": {"malmoi": ours, "llama.cpp": theirs}}
                print(json.dumps(row["perplexity"]), flush=True)
            report.append(row)
    lines = ["| model | text | | perplexity | divergence (nats) | first choice agrees |", "|---|---|---|---|---|---|"]
    missed = []
    for row in report:
        for program in ("malmoi", "llama.cpp"):
            found = row["distance"][program]
            perplexity = f"{row['perplexity'][program]:.4f}" if "perplexity" in row else ""
            lines.append(f"| {row['model']} | {row['text']} | {program} | {perplexity} | {found['divergence']:.2e} | "
                         f"{found['agreement'] * 100:.2f} % |")
        ours, theirs = row["distance"]["malmoi"], row["distance"]["llama.cpp"]
        place = f"{row['model']}, {row['text']}: "
        if ours["divergence"] > DIVERGENCE_BOUND:
            missed.append(f"{place}divergence {ours['divergence']:.2e} is over {DIVERGENCE_BOUND}")
        if ours["agreement"] < AGREEMENT_BOUND:
            missed.append(f"{place}agreement {ours['agreement']:.4f} is under {AGREEMENT_BOUND}")
        if "perplexity" in row:
            off = row["perplexity"]["malmoi"] / row["perplexity"]["llama.cpp"] - 1
            if not PERPLEXITY_BOUNDS[0] <= off <= PERPLEXITY_BOUNDS[1]:
                missed.append(f"{place}perplexity is {off * 100:+.2f} % off llama.cpp's")
        if ours["divergence"] > theirs["divergence"]:
            missed.append(f"{place}divergence is greater than llama.cpp's {theirs['divergence']:.2e}")
    Path(arguments.output).mkdir(parents=True, exist_ok=True)
    write(f"{arguments.output}/accuracy.json", json.dumps(report, indent=2) + "\n")
    write(f"{arguments.output}/accuracy.md", "\n".join(lines) + "\n")
    print("\n".join(lines + missed))
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
