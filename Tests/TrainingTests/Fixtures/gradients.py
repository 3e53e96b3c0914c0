"""Writes gradients/<name>: what PyTorch finds for the tiny models of Tests/ModelsTests/Fixtures/families.

`pip install torch transformers safetensors`, then run `python gradients.py` in this folder. A folder holds the model's
config.json, and model.safetensors with the gradient of each parameter under the parameter's name, so that it is read as
a model is, and losses.json: the loss, and the losses before each of ten steps of AdamW (learning rate 1e-3, betas 0.9 and
0.95, epsilon 1e-8, decay 0.1 of matrices alone).

The loss is the mean cross-entropy over both texts: of each next token for decoders, of every third token for BERT, of a
label for classifiers, of the decoder's next tokens for encoder-decoders.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

FAMILIES = Path("../../ModelsTests/Fixtures/families")
NAMES = [
    "gpt2", "gpt_neox-parallel", "llama-3", "mixtral", "qwen3", "gemma2", "gemma3", "phi3", "olmo2", "bert",
    "bert-classes", "modernbert", "t5-gated", "bart",
]


def losses(model, expected, name):
    """The sum of losses and the count of targets."""
    total, count = 0.0, 0
    if "encoder_tokens" in expected:
        source, target = expected["encoder_tokens"].long()[None], expected["decoder_tokens"].long()[None]
        logits = model(input_ids=source, decoder_input_ids=target).logits[0]
        return torch.nn.functional.cross_entropy(logits[:-1], target[0, 1:], reduction="sum"), target.shape[1] - 1
    for tokens in (expected["tokens"].long(), expected["tokens2"].long()):
        result = model(tokens[None])
        if "bert" not in name:
            logits, targets = result.logits[0, :-1], tokens[1:]
        elif "classes" in name:
            logits, targets = result.logits, torch.tensor([len(tokens) % 3])
        else:
            scores = result.prediction_logits if hasattr(result, "prediction_logits") else result.logits
            logits, targets = scores[0, ::3], (tokens[::3] + 5) % scores.shape[-1]
        total = total + torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
        count += len(targets)
    return total, count


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or NAMES:
        config = json.loads((FAMILIES / name / "config.json").read_text())
        cls = getattr(transformers, config["architectures"][0])
        model = cls.from_pretrained(FAMILIES / name, dtype=torch.float32, attn_implementation="eager").eval()
        expected = load_file(FAMILIES / name / "expected.safetensors")
        loss, count = losses(model, expected, name)
        (loss / count).backward()
        folder = Path("gradients") / name
        shutil.rmtree(folder, ignore_errors=True)
        # Gradients in the place of weights, saved as transformers spells them.
        parameters = dict(model.named_parameters())
        weights = {k: p.detach().clone() for k, p in parameters.items()}
        for p in parameters.values():
            p.data.copy_(p.grad if p.grad is not None else torch.zeros_like(p))
        model.save_pretrained(folder)
        for k, p in parameters.items():
            p.data.copy_(weights[k])
        shutil.copy(FAMILIES / name / "config.json", folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        matrices = [p for k, p in parameters.items() if p.ndim > 1 and "relative_attention_bias" not in k]
        vectors = [p for k, p in parameters.items() if p.ndim < 2 or "relative_attention_bias" in k]
        optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=1e-3,
            betas=(0.9, 0.95), eps=1e-8)
        found = []
        for _ in range(10):
            optimizer.zero_grad()
            loss, count = losses(model, expected, name)
            found.append((loss / count).item())
            (loss / count).backward()
            optimizer.step()
        (folder / "losses.json").write_text(json.dumps({"losses": found}) + "\n")
        print(name, found[0], found[-1])


main()
