"""Writes safetensors-made.bin and safetensors-sharded/: what Python's safetensors and transformers write.

`pip install safetensors torch huggingface_hub`, then run it in this folder.
"""
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import save_file

TYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2]


def ramp(*shape):
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)


tensors = {f"ramp.{str(kind).removeprefix('torch.')}": ramp(3, 5).to(kind) for kind in TYPES}
tensors |= {"number": torch.tensor(1.5), "none": torch.zeros(0, 4), "말모이 \"🌾\"": ramp(2, 1, 3)}
save_file(tensors, "safetensors-made.bin", metadata={"format": "pt"})

folder = Path("safetensors-sharded")
folder.mkdir(exist_ok=True)
weights = {f"layers.{index}.weight": ramp(4, 6) + index for index in range(5)}
save_torch_state_dict(weights, folder, max_shard_size=200)
