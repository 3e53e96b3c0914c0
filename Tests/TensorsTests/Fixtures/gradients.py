"""Writes gradients.json: what PyTorch's autograd finds, in double precision, for ops and for whole small decoders.

`pip install torch gguf numpy`, then run it in this folder. Inputs are made by `numbers`, as TorchGradientTests makes
them; block-quantized weights are stored; the decoders are those of ../../ModelsTests/Fixtures/tiny.
"""
import base64
import json
import math
from pathlib import Path

import gguf
import numpy as np
import torch
import torch.nn.functional as F

TINY = Path("../../ModelsTests/Fixtures/tiny")
found = {"numbers": {}, "bytes": {}}


def numbers(seed, *shape):
    """Numbers in -1 ..< 1 that a few operations on integers make, rounded to float32."""
    index = np.arange(math.prod(shape), dtype=np.int64)
    values = ((index * 7919 + seed * 104_729) * (index % 61 + 17) % 20_011) / 10_005.5 - 1
    return torch.tensor(values.astype(np.float32).astype(np.float64)).reshape(shape)


def leaf(seed, *shape):
    return numbers(seed, *shape).requires_grad_()


def keep(name, result, leaves, with_result=False):
    """The gradients of the sum of result × numbers(99), after the result itself where asked for."""
    parts = {name: result.detach()} if with_result else {}
    gradients = torch.autograd.grad((result * numbers(99, *result.shape)).sum(), list(leaves.values()))
    parts |= {f"{name}.{key}": gradient for key, gradient in zip(leaves, gradients)}
    for key, values in parts.items():
        found["numbers"][key] = [float(f"{value:.9g}") for value in values.flatten().tolist()]


def through(x, rounded):
    """`rounded` going forward, the identity going back."""
    return x + (rounded - x).detach()


def rms_norm(x, weight, epsilon):
    return x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight


def rotate(x, base, pairing):
    """x [tokens, heads, width], positions 0, 1, 2…"""
    tokens, _, width = x.shape
    frequencies = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(tokens, dtype=torch.float64)[:, None, None] * frequencies
    if pairing == "halves":
        a, b = x.chunk(2, dim=-1)
    else:
        a, b = x[..., 0::2], x[..., 1::2]
    parts = (a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos())
    return torch.cat(parts, dim=-1) if pairing == "halves" else torch.stack(parts, dim=-1).flatten(-2)


def coded(x, peak, norm):
    """Vectors as whole numbers up to `peak`, their norm up to `norm`, times a scale."""
    step = torch.maximum(x.abs().amax(-1, keepdim=True) / peak, x.norm(dim=-1, keepdim=True) / norm)
    return (x / step).round() * step


def attend(queries, keys, values, scale, window):
    """[tokens, heads, width]; keys and values are cached as 16-bit codes."""
    keys, values = through(keys, coded(keys, 32_639, 45_000)), through(values, coded(values, 10_160, math.inf))
    group = queries.shape[1] // keys.shape[1]
    keys, values = (x.repeat_interleave(group, dim=1) for x in (keys, values))
    scores = torch.einsum("ihd,jhd->hij", queries, keys) * scale
    distance = torch.arange(len(queries))[:, None] - torch.arange(len(queries))
    seen = (distance >= 0) & (distance < (window or len(queries)))
    return torch.einsum("hij,jhd->ihd", scores.masked_fill(~seen, -torch.inf).softmax(-1), values)


def attend_densely(queries, keys, values, bias, scale, cap):
    """[tokens, heads, width]; bias [heads, distances], of which the least is 1 - tokens."""
    group, tokens = queries.shape[1] // keys.shape[1], len(queries)
    keys, values = (x.repeat_interleave(group, dim=1).transpose(0, 1) for x in (keys, values))
    distance = torch.arange(keys.shape[1]) - torch.arange(tokens)[:, None]
    scores = queries.transpose(0, 1) @ keys.mT * scale + bias[:, distance + tokens - 1]
    return ((cap * (scores / cap).tanh()).softmax(-1) @ values).transpose(0, 1)


def ops_of_rows():
    x, weight, bias = leaf(11, 9, 48), leaf(12, 48), leaf(13, 48)
    keep("layerNorm", F.layer_norm(4 * x, [48], weight, bias, 1e-5), {"x": x, "weight": weight, "bias": bias}, True)
    x = leaf(14, 5, 40)
    keep("softmax", (8 * x).softmax(-1), {"x": x}, True)
    queries, keys, values, bias = leaf(15, 7, 4, 16), leaf(16, 13, 2, 16), leaf(17, 13, 2, 16), leaf(18, 4, 19)
    keep("denseAttention", attend_densely(4 * queries, 4 * keys, values, 2 * bias, 0.25, 5.0),
         {"queries": queries, "keys": keys, "values": values, "bias": bias}, True)


def ops():
    gate, up = leaf(1, 7, 33), leaf(2, 7, 33)
    for name, activation in {
        "silu": F.silu, "gelu": F.gelu, "geluTanh": lambda x: F.gelu(x, approximate="tanh")
    }.items():
        keep(name, activation(6 * gate) * up, {"gate": gate, "up": up})
    x, weight = leaf(3, 9, 48), leaf(4, 48)
    keep("rmsNorm", rms_norm(x, weight, 1e-5), {"x": x, "weight": weight})
    x = leaf(5, 5, 3, 16)
    for pairing in ["interleaved", "halves"]:
        keep(pairing, rotate(x, 100.0, pairing), {"x": x})
    x = leaf(6, 5, 40)
    keep("logSumExp", (8 * x).logsumexp(-1), {"x": x})
    queries, keys, values = leaf(7, 90, 4, 16), leaf(8, 90, 2, 16), leaf(9, 90, 2, 16)
    keep("attention", attend(4 * queries, 4 * keys, values, 0.25, 20),
         {"queries": queries, "keys": keys, "values": values})
    x = leaf(10, 3, 256)
    for name, kind in {"q4_0": gguf.GGMLQuantizationType.Q4_0, "q4_k": gguf.GGMLQuantizationType.Q4_K}.items():
        if name == "q4_0":
            stored = gguf.quants.quantize(numbers(11, 20, 256).float().numpy(), kind)
        else:
            # Any bytes are a block; only its two scales must be sensible.
            stored = (np.arange(20 * 144) * 37 % 251).astype(np.uint8).reshape(20, 144)
            stored[:, :4] = np.array([0.01, 0.05], dtype="<f2").view(np.uint8)
        weight = torch.tensor(gguf.quants.dequantize(stored, kind).astype(np.float64))
        found["bytes"][name] = base64.b64encode(stored.tobytes()).decode()
        keep(name, x @ weight.T, {"x": x})


PARTS = {
    "attn_norm": "attentionNorm.before", "attn_q_norm": "attention.queryNorm", "attn_k_norm": "attention.keyNorm",
    "post_attention_norm": "attentionNorm.after", "ffn_norm": "feedForwardNorm.before",
    "post_ffw_norm": "feedForwardNorm.after",
}


def decoder(model):
    reader = gguf.GGUFReader(TINY / f"{model}.bin")
    weights = {t.name.removesuffix(".weight"): torch.tensor(t.data.astype(np.float64)) for t in reader.tensors}
    is_gemma = model.startswith("gemma")
    field = lambda name: reader.get_field(f"{'gemma3' if is_gemma else 'llama'}.{name}").contents()
    heads, key_heads = field("attention.head_count"), field("attention.head_count_kv")
    epsilon, leaves = field("attention.layer_norm_rms_epsilon"), {}

    def trained(name, path):
        leaves[path] = weights[name].requires_grad_()

    def project(x, name, low_rank=None):
        y = x @ weights[name].T
        if low_rank is None:
            return y
        outputs, inputs = weights[name].shape
        a, b = leaf(20, 4, inputs), leaf(21, outputs, 4)
        leaves[f"{low_rank}.a"], leaves[f"{low_rank}.b"] = a, b
        return y + 0.1 * ((x @ a.T) @ b.T)

    trained("token_embd", "embedding")
    trained("output_norm", "norm")
    tokens = torch.tensor([(i * i * 7 + i * 3 + 5) % 50 for i in range(80)])
    x = weights["token_embd"][tokens]
    if is_gemma:
        x = x * float(np.float32(math.sqrt(x.shape[1])))
    for index in range(field("block_count")):
        block, path = f"blk.{index}.", f"layers.{index}."
        for part, name in PARTS.items():
            if block + part in weights:
                trained(block + part, path + name)
        norm = lambda x, part: rms_norm(x, weights[block + part], epsilon) if block + part in weights else x
        is_local = is_gemma and (index + 1) % 6 != 0
        y = norm(x, "attn_norm")
        queries = project(y, block + "attn_q", path + "attention.query").reshape(len(tokens), heads, -1)
        keys, values = (project(y, block + part).reshape(len(tokens), key_heads, -1) for part in ["attn_k", "attn_v"])
        queries, keys = norm(queries, "attn_q_norm"), norm(keys, "attn_k_norm")
        base, pairing = 10_000.0 if is_local else field("rope.freq_base"), "halves" if is_gemma else "interleaved"
        queries, keys = (rotate(z, base, pairing) for z in (queries, keys))
        window = field("attention.sliding_window") if is_local else None
        y = attend(queries, keys, values, queries.shape[-1] ** -0.5, window).reshape(len(tokens), -1)
        x = x + norm(project(y, block + "attn_output"), "post_attention_norm")
        y = norm(x, "ffn_norm")
        activation = (lambda z: F.gelu(z, approximate="tanh")) if is_gemma else F.silu
        y = activation(project(y, block + "ffn_gate")) * project(y, block + "ffn_up")
        x = x + norm(project(y, block + "ffn_down", path + "feedForward.down"), "post_ffw_norm")
    keep(model, rms_norm(x, weights["output_norm"], epsilon) @ weights["token_embd"].T, leaves)


ops()
ops_of_rows()
decoder("llama-grouped")
decoder("gemma3")
Path("gradients.json").write_text(json.dumps(found, indent=None, separators=(",", ":")) + "\n")
print({key: len(value) for key, value in found["numbers"].items()})
