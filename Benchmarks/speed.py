"""How fast Malmoi is beside llama.cpp on this machine.

    python speed.py PEERS_FOLDER [--model NAME …] [--batch 16] [--depth 4096] [--company] [--avx2] [--output FOLDER]

Programs take turns, so that what else the machine does meets both; figures are medians. llama.cpp counts with the
better of its two attentions (-fa off, on). Beside each of Malmoi's rates is its share of what the machine allows: of
the bandwidth bound for answers, of the arithmetic peak for prompts. --company also measures both beside a busy loop;
--avx2 holds both to AVX2 (peers.sh FOLDER --avx2 builds such a llama.cpp). Writes speed.json and speed.md. No Python
package is needed.
"""
import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from peers import Peers, write

MODELS = ["SmolLM2-135M-Instruct.Q4_1.gguf", "smol-Q4_0.gguf", "smol-Q8_0.gguf", "smol-Q4_K_M.gguf", "smol-F16.gguf",
          "gemma-3-270m-q4_k_m.gguf"]
PROMPT = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep until morning."
ATTENTIONS = ("off", "on")


class Samples:
    """Figures of several rounds, by program and what was measured."""

    def __init__(self):
        self.values = {}

    def add(self, program, figure, value):
        self.values.setdefault(program, {}).setdefault(figure, []).append(value)

    def medians(self, program):
        return {figure: statistics.median(values) for figure, values in self.values.get(program, {}).items()}


def malmoi_rates(peers, model, prompt, generate, depth, batch=1):
    """Tokens per second of a prompt and of an answer, and both as shares of what the machine allows."""
    told = json.loads(peers.ours(
        "bench", model, "--prompt-tokens", prompt, "--generate-tokens", generate, "--context-fill", depth, "--batch",
        batch, "--repetitions", 1, "--skip-start", "--json")[0])
    return told["prefill"], told["decode"], told["prefillShareOfPeak"], told["decodeShareOfBandwidth"]


def llama_rates(peers, model, prompt, generate, depth, attention):
    told = json.loads(peers.llama(
        "llama-bench", "-m", model, "-p", prompt, "-n", generate, "-d", depth, "-r", 1, "-fa", attention, "-o",
        "json")[0])
    prefill = next(test["avg_ts"] for test in told if test["n_prompt"] > 0)
    return prefill, next(test["avg_ts"] for test in told if test["n_gen"] > 0)


def llama_batch_rate(peers, model, generate, batch, attention):
    told = peers.llama(
        "llama-batched-bench", "-m", model, "-npp", 16, "-ntg", generate, "-npl", batch, "-c",
        batch * (generate + 16), "-fa", attention, "--output-format", "jsonl")[0]
    return json.loads([line for line in told.splitlines() if line.startswith("{")][-1])["speed_tg"]


def process(command):
    """Seconds until a command's first byte of output, and the most memory it had, in bytes."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first = child.stdout.read(1)
    spent = time.perf_counter() - start
    while child.stdout.read(1 << 16):
        pass
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0 or not first:
        raise SystemExit(f"{' '.join(map(str, command))}\nfailed with {child.returncode}")
    return spent, usage.ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def commands(peers, model, tokens):
    """Each program writing that many tokens after the same prompt."""
    threads = [peers.threads] if peers.threads else []
    return {
        "malmoi": [peers.malmoi, "run", model, PROMPT, "--raw", "--maximum-tokens", tokens, "--temperature", 0,
                   *(["--threads", *threads] if threads else [])],
        "llama.cpp": [peers.tool("llama-completion"), "-m", model, "-p", PROMPT, "-n", tokens, "--temp", 0, "-c", 1024,
                      "-no-cnv", "--no-display-prompt", *(["-t", *threads] if threads else [])],
    }


@contextlib.contextmanager
def busy_loop():
    """Another program that wants a processor all the time."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        child.kill()
        child.wait()


def measure(peers, model, options):
    samples = Samples()
    for round_ in range(options.repetitions):
        print(f"{Path(model).name}: round {round_ + 1} of {options.repetitions}", flush=True)
        for depth in dict.fromkeys([0, options.depth]):
            at = f" after {depth}" if depth else ""
            prefill, decode = f"prefill {options.prompt}{at}", f"decode {options.generate}{at}"
            figures = malmoi_rates(peers, model, options.prompt, options.generate, depth)
            samples.add("malmoi", prefill, figures[0])
            samples.add("malmoi", decode, figures[1])
            samples.add("share", prefill, figures[2])
            samples.add("share", decode, figures[3])
            for attention in ATTENTIONS:
                figures = llama_rates(peers, model, options.prompt, options.generate, depth, attention)
                samples.add(f"llama.cpp -fa {attention}", prefill, figures[0])
                samples.add(f"llama.cpp -fa {attention}", decode, figures[1])
        if options.batch > 1:
            figure = f"decode {options.generate}, {options.batch} sequences"
            samples.add("malmoi", figure, malmoi_rates(peers, model, 16, options.generate, 0, options.batch)[1])
            for attention in ATTENTIONS:
                rate = llama_batch_rate(peers, model, options.generate, options.batch, attention)
                samples.add(f"llama.cpp -fa {attention}", figure, rate)
        if options.company:
            prefill, decode = (f"{what} beside a busy loop" for what in (f"prefill {options.prompt}",
                                                                         f"decode {options.generate}"))
            with busy_loop():
                figures = malmoi_rates(peers, model, options.prompt, options.generate, 0)
                samples.add("malmoi", prefill, figures[0])
                samples.add("malmoi", decode, figures[1])
                for attention in ATTENTIONS:
                    figures = llama_rates(peers, model, options.prompt, options.generate, 0, attention)
                    samples.add(f"llama.cpp -fa {attention}", prefill, figures[0])
                    samples.add(f"llama.cpp -fa {attention}", decode, figures[1])
        if options.avx2:
            continue  # of llama.cpp for AVX2 there is llama-bench alone
        for program, command in commands(peers, model, 1).items():
            samples.add(program, "start to first token", process(command)[0])
        for program, command in commands(peers, model, options.generate).items():
            samples.add(program, "peak memory", process(command)[1])
    ours, theirs = samples.medians("malmoi"), samples.medians("llama.cpp")
    for attention in ATTENTIONS:
        for figure, rate in samples.medians(f"llama.cpp -fa {attention}").items():
            theirs[figure] = max(rate, theirs.get(figure, 0))
    return {"model": Path(model).name, "malmoi": ours, "llama.cpp": theirs, "share": samples.medians("share"),
            "samples": samples.values}


def rows(result):
    for figure, ours in result["malmoi"].items():
        theirs = result["llama.cpp"][figure]
        share = result["share"].get(figure)
        if figure == "start to first token":
            yield figure, f"{ours * 1000:.0f} ms", f"{theirs * 1000:.0f} ms", theirs / ours
        elif figure == "peak memory":
            yield figure, f"{ours / 1e6:.0f} MB", f"{theirs / 1e6:.0f} MB", theirs / ours
        else:
            of_limit = f", {share:.0%}" if share else ""
            yield figure, f"{ours:.1f} tokens/s{of_limit}", f"{theirs:.1f} tokens/s", ours / theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", help="the folder that peers.sh made")
    parser.add_argument("--output", default=".", help="where speed.json and speed.md go")
    parser.add_argument("--malmoi", help="the program, if not that of the release build")
    parser.add_argument("--threads", type=int, help="of both programs")
    parser.add_argument("--model", action="append", help="of the folder's models; may be given again")
    parser.add_argument("--company", action="store_true", help="also beside a busy loop")
    parser.add_argument("--avx2", action="store_true", help="both programs with AVX2 and nothing newer")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--generate", type=int, default=128, help="tokens to write")
    parser.add_argument("--batch", type=int, default=1, help="also that many sequences at once")
    parser.add_argument("--depth", type=int, default=0, help="also after that many tokens")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    peers = Peers(options.peers, options.malmoi, options.threads, "build-avx2" if options.avx2 else "build")
    if options.avx2:
        os.environ["MALMOI_ISA"] = "avx2"
    models = options.model or MODELS
    results = [measure(peers, peers.model(name), options) for name in models]
    lines = ["| model | | Malmoi | llama.cpp | Malmoi is better by |", "|---|---|---|---|---|"]
    for result in results:
        for figure, ours, theirs, ratio in rows(result):
            lines.append(f"| {result['model']} | {figure} | {ours} | {theirs} | × {ratio:.2f} |")
    Path(options.output).mkdir(parents=True, exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "processors": os.cpu_count(),
               "load": os.getloadavg()[0]}
    write(f"{options.output}/speed.json", json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    write(f"{options.output}/speed.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
