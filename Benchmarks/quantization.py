"""What quantizing loses, Malmoi's beside llama.cpp's: Kullback-Leibler divergence from the unquantized model.

    python quantization.py PEERS_FOLDER [--output FOLDER] [--type TYPE ...]

All files are judged by one program, llama-perplexity --kl-divergence, on parts of the King James Bible and of a Korean
FAQ; importance is measured once, by Malmoi, on other parts of both, and given to both programs. Q8_0 and Q6_K lose
less than llama.cpp's rounding of activations would, so these are expanded to F16 before they are judged. Writes
quantization.json and quantization.md; the exit status is 1 when Malmoi's Q4_K_M or Q8_0 loses more than llama.cpp's.
"""
import argparse
import json
import re
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np

from peers import Peers, write

MODELS = ["smol-F16.gguf", "gemma-3-270m-q4_k_m.gguf"]
TYPES = ["q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "iq4_xs",
         "q3_k_m", "q2_k"]
BOUND = ["q4_k_m", "q8_0"]
EXPANDED = ["q8_0", "q6_k"]
VARIANTS = ["malmoi", "llama.cpp", "malmoi, calibrated", "llama.cpp, calibrated"]


def texts(peers, folder):
    """A text to judge by and one to calibrate on, which share nothing."""
    bible = Path(peers.text("kjv.txt")).read_text(encoding="utf-8")
    faq = Path(peers.text("faq-ko.txt")).read_text(encoding="utf-8")
    judged, read = f"{folder}/judged.txt", f"{folder}/read.txt"
    Path(judged).write_text(bible[60_000:69_500] + faq[8_000:9_500] + bible[72_000:74_000] + faq[10_000:14_000])
    Path(read).write_text(bible[2_000_000:2_300_000] + faq[14_000:])
    return judged, read


def judge(peers, model, kind, base, text, windows):
    if kind in EXPANDED:
        peers.ours("quantize", model, f"{model}.f16", "--type", "f16", "--no-report")
        model = f"{model}.f16"
    told = "".join(peers.llama("llama-perplexity", "-m", model, "-f", text, "-c", 512, "--chunks", windows,
                               "--kl-divergence-base", base, "--kl-divergence"))

    def figure(label):
        return float(re.search(label + r"\s*:\s*([\d.]+)", told)[1])

    return {"divergence": figure("Mean    KLD"), "percentile99": figure("99.0%   KLD"),
            "agreement": figure("Same top p") / 100, "perplexity": figure(r"Mean PPL\(Q\)")}


def check(peers, model, folder):
    """gguf-py and Malmoi must read the same numbers from a file that Malmoi wrote."""
    plain = f"{folder}/plain.gguf"
    peers.ours("quantize", model, plain, "--type", "f32", "--no-report")
    ours = {tensor.name: tensor for tensor in gguf.GGUFReader(plain).tensors}
    for tensor in gguf.GGUFReader(model).tensors:
        theirs = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).ravel()
        if not np.array_equal(np.asarray(ours[tensor.name].data).ravel(), theirs):
            raise SystemExit(f"{model}: {tensor.name}: gguf-py reads other numbers than Malmoi")
    Path(plain).unlink()


def make(peers, variant, source, target, name, importance):
    start = time.monotonic()
    if variant.startswith("malmoi"):
        peers.ours("quantize", source, target, "--type", name, "--no-report", *importance_option(variant, importance))
    else:
        peers.llama_quantize(*(("--imatrix", importance) if "calibrated" in variant else ()), source, target, name)
    return time.monotonic() - start


def importance_option(variant, importance):
    return ("--importance", importance) if "calibrated" in variant else ()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", help="the folder that peers.sh made")
    parser.add_argument("--output", default=".", help="where quantization.json and quantization.md go")
    parser.add_argument("--malmoi", help="the program, if not that of the release build")
    parser.add_argument("--threads", type=int, help="of both programs; 1 on a busy machine")
    parser.add_argument("--model", action="append", help="of the folder's models; may be given again")
    parser.add_argument("--type", action="append", help="of the types; may be given again")
    parser.add_argument("--windows", type=int, default=8, help="of 512 tokens to judge by")
    parser.add_argument("--check", action="store_true", help="also hold the numbers against gguf-py; takes a while")
    arguments = parser.parse_args()
    peers = Peers(arguments.peers, arguments.malmoi, arguments.threads)
    report, missed = [], []
    Path(arguments.output).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        judged, read = texts(peers, folder)
        for name in arguments.model or MODELS:
            plain, base, importance, made = (f"{folder}/{part}" for part in ("f16.gguf", "base", "importance", "made"))
            peers.ours("quantize", peers.model(name), plain, "--type", "f16", "--no-report", "--calibrate", read,
                       "--save-importance", importance, "--calibration-windows", 32)
            peers.llama("llama-perplexity", "-m", plain, "-f", judged, "-c", 512, "--chunks", arguments.windows,
                        "--save-all-logits", base)
            for kind in arguments.type or TYPES:
                for variant in VARIANTS:
                    seconds = make(peers, variant, plain, made, kind, importance)
                    row = {"model": name, "type": kind, "by": variant, "bytes": Path(made).stat().st_size,
                           "seconds": round(seconds, 2)} | judge(
                        peers, made, kind, base, judged, arguments.windows)
                    print(json.dumps(row), flush=True)
                    report.append(row)
                    if arguments.check and variant == "malmoi":
                        check(peers, made, folder)
                    write(f"{arguments.output}/quantization.json", json.dumps(report, indent=2) + "\n")
                found = {row["by"]: row["divergence"] for row in report[-len(VARIANTS):]}
                for own, other in (VARIANTS[:2], VARIANTS[2:]):
                    if kind in BOUND and found[own] > found[other]:
                        missed.append(f"{name}: {kind}: {own} {found[own]} is over {other} {found[other]}")
    lines = table(report)
    write(f"{arguments.output}/quantization.md", "\n".join(lines) + "\n")
    print("\n".join(lines + missed))
    raise SystemExit(1 if missed else 0)


def table(report):
    lines = []
    for model in dict.fromkeys(row["model"] for row in report):
        lines += [f"{model}:", "", "| type | MB | " + " | ".join(VARIANTS) + " |",
                  "|---|---:|" + "---:|" * len(VARIANTS)]
        rows = [row for row in report if row["model"] == model]
        for kind in dict.fromkeys(row["type"] for row in rows):
            found = {row["by"]: row for row in rows if row["type"] == kind}
            figures = " | ".join(f"{found[variant]['divergence']:.4f}" for variant in VARIANTS)
            lines.append(f"| {kind.upper()} | {found[VARIANTS[0]]['bytes'] / 1e6:.1f} | {figures} |")
        lines.append("")
    return lines


if __name__ == "__main__":
    main()
