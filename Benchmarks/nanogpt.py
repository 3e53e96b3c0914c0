"""Trains nanoGPT's model on the tokens of a run of `malmoi pretrain`, with the same settings, and prints its losses.

    python nanogpt.py NANOGPT_FOLDER RECIPE.yaml TEXT TOKENIZER.json [--seed 1]

NANOGPT_FOLDER holds model.py of https://github.com/karpathy/nanoGPT (MIT licence). Needs torch, tokenizers and pyyaml. As
in nanoGPT's train.py: AdamW with decay of matrices alone, clipping at 1, cosine schedule with warm-up, random crops,
bf16 by autocast. The held-out loss is that of all held-out tokens, in rows one after the other.
"""
import argparse
import json
import math
import sys
import time
from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nanogpt")
    parser.add_argument("recipe")
    parser.add_argument("text")
    parser.add_argument("tokenizer")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.nanogpt)
    from model import GPT, GPTConfig

    recipe = yaml.safe_load(Path(arguments.recipe).read_text())
    model_options, options = recipe["model"], recipe["training"]
    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    ids = torch.tensor(tokenizer.encode(Path(arguments.text).read_text()).ids)
    held_out = round(len(ids) * recipe["data"]["validation"])
    train, validation = ids[:-held_out], ids[-held_out:]
    length, batch, steps = model_options["contextLength"], options["batch"], options["steps"]
    torch.manual_seed(arguments.seed)
    model = GPT(GPTConfig(
        block_size=length, vocab_size=(tokenizer.get_vocab_size() + 15) // 16 * 16, n_layer=model_options["layers"],
        n_head=model_options["heads"], n_embd=model_options["width"], dropout=0.0, bias=True))
    rate, warmup = float(options["learningRate"]), options["warmup"]
    optimizer = model.configure_optimizers(options["weightDecay"], rate, (0.9, options["beta2"]), "cpu")
    generator = torch.Generator().manual_seed(arguments.seed)

    @torch.no_grad()
    def held_out_loss():
        model.eval()
        total = count = 0
        rows = [validation[i:i + length + 1] for i in range(0, len(validation) - 1, length)]
        for row in rows:
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(row[None, :-1], row[None, 1:])[1]
            total += loss.item() * (len(row) - 1)
            count += len(row) - 1
        model.train()
        return total / count

    start, result = time.time(), []
    for step in range(steps):
        if step < warmup:
            factor = (step + 1) / (warmup + 1)
        else:
            part = (step - warmup) / (steps - warmup)
            factor = options["finalShare"] + (1 - options["finalShare"]) * 0.5 * (1 + math.cos(math.pi * part))
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        places = torch.randint(len(train) - length, (batch,), generator=generator)
        x = torch.stack([train[i:i + length] for i in places])
        y = torch.stack([train[i + 1:i + length + 1] for i in places])
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(x, y)[1]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % options["evaluateEvery"] == 0 or step + 1 == steps:
            result.append({"step": step + 1, "loss": loss.item(), "validationLoss": held_out_loss()})
            print(result[-1], f"{(step + 1) * batch * length / (time.time() - start):.0f} tokens/s", flush=True)
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters()), "seconds": time.time() - start,
                      "torch": torch.__version__, "evaluations": result}))


main()
