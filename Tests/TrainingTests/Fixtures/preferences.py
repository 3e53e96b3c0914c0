"""Writes preferences/: the loss of direct preference optimization and its gradients, as TRL computes them.

`pip install torch transformers safetensors`, then run `python preferences.py` in this folder. The reference is the tiny
Llama of Tests/ModelsTests/Fixtures/families, the trained model the same with all numbers times 1.01; beta is 0.3. The
folder holds the gradients as a model is written, and losses.json: the loss, and the margin of each pair.

TRL's DPOTrainer with loss_type "sigmoid": -log sigmoid(beta ((log p(chosen) - log p(rejected)) - the same of the
reference)), the mean over pairs; log p is the sum over the answer's tokens.
"""
import copy
import json
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

FAMILY = Path("../../ModelsTests/Fixtures/families/llama")
BETA = 0.3
# Prompt, the answer that is preferred, the other one.
PAIRS = [([5, 9, 30], [12, 7, 7, 21, 2], [40, 3, 2]), ([8, 8], [17, 2], [33, 34, 35, 36, 2])]


def log_probability(model, prompt, answer):
    tokens = torch.tensor([prompt + answer])
    scores = torch.log_softmax(model(tokens).logits[0, :-1], -1)
    picked = scores.gather(1, tokens[0, 1:, None])[:, 0]
    return picked[len(prompt) - 1:].sum()


def main():
    reference = transformers.AutoModelForCausalLM.from_pretrained(FAMILY, dtype=torch.float32)
    policy = copy.deepcopy(reference)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.01)
    losses, margins = [], []
    for prompt, chosen, rejected in PAIRS:
        with torch.no_grad():
            before = log_probability(reference, prompt, chosen) - log_probability(reference, prompt, rejected)
        margin = log_probability(policy, prompt, chosen) - log_probability(policy, prompt, rejected) - before
        losses.append(-torch.nn.functional.logsigmoid(BETA * margin))
        margins.append(float((BETA * margin).detach()))
    loss = torch.stack(losses).mean()
    loss.backward()
    folder = Path("preferences")
    folder.mkdir(exist_ok=True)
    shutil.copy(FAMILY / "config.json", folder)
    save_file({name: p.grad.contiguous() for name, p in policy.named_parameters()}, folder / "model.safetensors")
    (folder / "losses.json").write_text(json.dumps({"loss": float(loss.detach()), "margins": margins}) + "\n")


main()
