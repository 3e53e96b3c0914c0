"""Training beside PyTorch on the same shapes, programs in turns: `make bench-train`.

    python training.py PEERS [--rounds 3] [--steps 5] [--compile]

PEERS is what peers.sh made. A Llama of 13.8 million parameters, batch 8 x 256; SmolLM2-135M's shape, 2 x 256, in full and
with LoRA (rank 8 on all projections), here on F16 weights, and on Q4_1 (QLoRA). PyTorch runs in float32 and under bf16
autocast, with --compile compiled too; its best mode is what Malmoi is compared with. Two threads.
"""
import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from peers import Peers

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {
    "llama-14m": (dict(vocab_size=8192, hidden_size=384, intermediate_size=1024, num_hidden_layers=6,
                       num_attention_heads=6, num_key_value_heads=6), 8),
    "smollm2-135m": (dict(vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
                          num_attention_heads=9, num_key_value_heads=3), 2),
}


def torch_run(shape, method, mode, steps):
    """Runs in a process of its own, so that its peak memory is its own."""
    import resource
    import time

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(2)
    torch.manual_seed(1)
    sizes, batch = SHAPES[shape]
    model = LlamaForCausalLM(LlamaConfig(**sizes, max_position_embeddings=1024, tie_word_embeddings=True, use_cache=False))
    if method == "lora":
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    run = torch.compile(model) if "compile" in mode else model
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-4)
    tokens = torch.randint(sizes["vocab_size"], (batch, 256))
    times = []
    for _ in range(steps + 1):
        start = time.time()
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in mode):
            loss = run(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.time() - start)
    print(json.dumps({"tokensPerSecond": batch * 256 / statistics.median(times[1:]),
                      "peakMemoryBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def child(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("\n")[-1]
                      if command[0] == sys.executable else
                      subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("peers", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--torch", nargs=3, metavar=("SHAPE", "METHOD", "MODE"))
    arguments = parser.parse_args()
    if arguments.torch:
        return torch_run(*arguments.torch, arguments.steps)
    peers = Peers(Path(arguments.peers))
    malmoi = str(ROOT / ".build/release/malmoi")
    f16, quantized = str(peers.model("smol-F16.gguf")), str(peers.model("SmolLM2-135M-Instruct.Q4_1.gguf"))
    modes = ["f32", "bf16"] + (["bf16-compile"] if arguments.compile else [])
    rows = [
        ("llama-14m", "full", []), ("smollm2-135m", "full", [f16]), ("smollm2-135m", "lora", [f16]),
        ("smollm2-135m", "qlora", [quantized]),
    ]
    results = {}
    for _ in range(arguments.rounds):
        for shape, method, model in rows:
            batch = str(SHAPES[shape][1])
            found = child([malmoi, "bench-train", *model, "--method", method.removeprefix("q"), "--batch", batch,
                           "--length", "256", "--steps", str(arguments.steps), "--threads", "2", "--json"])
            results.setdefault((shape, method, "malmoi"), []).append(found)
            for mode in modes if method != "qlora" else []:
                found = child([sys.executable, __file__, "--steps", str(arguments.steps), "--torch", shape, method, mode])
                results.setdefault((shape, method, mode), []).append(found)

    def median(key, field):
        return statistics.median(run[field] for run in results[key])

    print("| | Malmoi | share of peak | memory | " + " | ".join(f"PyTorch {m}" for m in modes) + " | memory | ratio | memory |")
    print("|---" * (7 + len(modes)) + "|")
    for shape, method, _ in rows:
        own = (shape, method, "malmoi")
        rate, memory = median(own, "tokensPerSecond"), median(own, "peakMemoryBytes")
        line = f"| {shape} {method} | {rate:.0f} t/s | {median(own, 'peakShare'):.0%} | {memory / 1e6:.0f} MB |"
        theirs = [(shape, method, mode) for mode in modes if (shape, method, mode) in results]
        if theirs:
            best = max(theirs, key=lambda key: median(key, "tokensPerSecond"))
            line += "".join(f" {median(key, 'tokensPerSecond'):.0f} t/s |" for key in theirs)
            other = median(best, "peakMemoryBytes")
            line += f" {other / 1e6:.0f} MB | x {rate / median(best, 'tokensPerSecond'):.2f} | x {memory / other:.2f} |"
        print(line)


main()
