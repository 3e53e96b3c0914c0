"""Tokens per second against the number of sequences and against the context, Malmoi beside llama.cpp, with pictures.

    python sweep.py PEERS_FOLDER [--model NAME] [--output docs/images]

Programs take turns; figures are medians; llama.cpp counts with the better of its two attentions. Writes sweep.json,
batch.png and context.png. Wants matplotlib (peers.sh installs it). --draw makes the pictures again from sweep.json.
"""
import argparse
import json
import statistics
from pathlib import Path

from peers import Peers, write
from speed import ATTENTIONS, llama_batch_rate, llama_rates, malmoi_rates

BATCHES = (1, 2, 4, 8, 16, 32)
CONTEXTS = (0, 512, 1024, 2048, 4096, 7680)


def better(figure):
    return max(figure(attention) for attention in ATTENTIONS)


def measure(peers, model, options):
    samples = {}

    def add(name, key, value):
        samples.setdefault(name, {}).setdefault(str(key), []).append(value)

    for round_ in range(options.repetitions):
        for batch in BATCHES:
            print(f"round {round_ + 1}: {batch} sequences", flush=True)
            add("malmoi batch", batch, malmoi_rates(peers, model, 16, 64, 0, batch)[1])
            add("llama.cpp batch", batch, better(lambda a: llama_batch_rate(peers, model, 64, batch, a)))
        for context in CONTEXTS:
            print(f"round {round_ + 1}: after {context} tokens", flush=True)
            ours = malmoi_rates(peers, model, 512, 64, context)
            theirs = [llama_rates(peers, model, 512, 64, context, attention) for attention in ATTENTIONS]
            for index, what in enumerate(("prefill", "decode")):
                add(f"malmoi {what}", context, ours[index])
                add(f"llama.cpp {what}", context, max(figures[index] for figures in theirs))
    return {name: {key: statistics.median(values) for key, values in figures.items()}
            for name, figures in samples.items()}


def draw(results, model, output):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def panel(axes, what, title, label):
        for program, colour in (("malmoi", "#1f6feb"), ("llama.cpp", "#d1762c")):
            figures = results[f"{program} {what}"]
            axes.plot([int(key) for key in figures], list(figures.values()), "o-", color=colour,
                      label=program.replace("malmoi", "Malmoi"))
        axes.set(title=title, xlabel=label, ylabel="tokens per second")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()

    figure, axes = plt.subplots(figsize=(6, 4))
    panel(axes, "batch", f"Answers of several sequences at once\n{model}, 2 threads", "sequences")
    figure.tight_layout()
    figure.savefig(f"{output}/batch.png", dpi=110)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4))
    panel(axes[0], "prefill", f"Prompt of 512 more tokens\n{model}, 2 threads", "tokens in the cache")
    panel(axes[1], "decode", f"Answer of 64 tokens\n{model}, 2 threads", "tokens in the cache")
    figure.tight_layout()
    figure.savefig(f"{output}/context.png", dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", help="the folder that peers.sh made")
    parser.add_argument("--model", default="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--output", default="docs/images")
    parser.add_argument("--malmoi", help="the program, if not that of the release build")
    parser.add_argument("--threads", type=int, help="of both programs")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--draw", action="store_true", help="only draw what sweep.json holds")
    options = parser.parse_args()
    Path(options.output).mkdir(parents=True, exist_ok=True)
    path = Path(options.output) / "sweep.json"
    if not options.draw:
        peers = Peers(options.peers, options.malmoi, options.threads)
        results = measure(peers, peers.model(options.model), options)
        write(path, json.dumps(results, indent=2) + "\n")
    draw(json.loads(path.read_text()), options.model.removesuffix(".gguf"), options.output)


if __name__ == "__main__":
    main()
