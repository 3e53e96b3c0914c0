"""Writes tiny/<name>.bin and tiny/<name>.logits: small random models as GGUF (F32), and what transformers makes of a text.

`pip install torch transformers gguf numpy`, then run it in this folder. <name>.logits holds float32 [tokens, vocabulary]
of the tokens that `text` makes; TinyModelTests makes the same ones.
"""
import math
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

FOLDER = Path("tiny")
TOKENS = 80
VOCABULARY = 50


def text():
    return torch.tensor([[(i * i * 7 + i * 3 + 5) % VOCABULARY for i in range(TOKENS)]])


def llama(heads, key_value_heads, tied, **rope):
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=heads,
        num_key_value_heads=key_value_heads, head_dim=16, max_position_embeddings=128, tie_word_embeddings=tied,
        rms_norm_eps=1e-5, rope_parameters={"rope_theta": 10_000.0, **rope}))


def gemma(query_scale, **full):
    return Gemma3ForCausalLM(Gemma3TextConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=6, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=128, sliding_window=12, rms_norm_eps=1e-6,
        query_pre_attn_scalar=query_scale, rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 1_000_000.0, **full},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0}}))


MODELS = {
    "llama": lambda: llama(2, 2, False),
    "llama-grouped": lambda: llama(4, 2, True),
    "llama-linear": lambda: llama(2, 1, True, rope_type="linear", factor=4.0),
    "llama-yarn": lambda: llama(
        2, 1, True, rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
    "llama-yarn-betas": lambda: llama(
        2, 1, True, rope_type="yarn", factor=8.0, original_max_position_embeddings=512, beta_fast=4.0, beta_slow=0.5),
    "llama-3": lambda: llama(
        2, 1, True, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64),
    "gemma3": lambda: gemma(16),
    "gemma3-linear": lambda: gemma(16, rope_type="linear", factor=8.0),
}

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
}
NORMS = {
    "llama": {"post_attention_layernorm": "ffn_norm"},
    "gemma3": {
        "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm"},
}


def gguf_name(name, architecture):
    if name in NAMES:
        return NAMES[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{(NAMES | NORMS[architecture])[part]}.weight"


def interleaved(weight, heads):
    """Rows of halves (i, i + width / 2) into rows of neighbours, as GGUF keeps Llama's queries and keys."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def llama3_divisors(rope, width):
    """Llama 3.1's rule, as a divisor for each pair of columns."""
    divisors = []
    for pair in range(width // 2):
        turns = rope["original_max_position_embeddings"] / (2 * math.pi * rope["rope_theta"] ** (2 * pair / width))
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        kept = min(1, max(0, (turns - low) / (high - low)))
        divisors.append(1 / (kept + (1 - kept) / rope["factor"]))
    return np.array(divisors, dtype=np.float32)


def write(path, architecture, model):
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    if architecture == "gemma3":
        writer.add_sliding_window(config.sliding_window)
        rope = rope["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if rope.get("beta_fast"):
            writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope, config.head_dim))
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        weight = weight.numpy()
        if architecture == "gemma3" and name.endswith("norm.weight"):
            weight = weight + 1  # the file holds the whole factor
        if architecture == "llama" and ".q_proj" in name:
            weight = interleaved(weight, config.num_attention_heads)
        if architecture == "llama" and ".k_proj" in name:
            weight = interleaved(weight, config.num_key_value_heads)
        writer.add_tensor(gguf_name(name, architecture), weight.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def randomize(model):
    """Weights large enough that attention is far from even, and norms that are not all one."""
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.normal_(weight, 0.0 if isinstance(model, Gemma3ForCausalLM) else 1.0, 0.3)
        elif "embed_tokens" in name:
            torch.nn.init.normal_(weight, 0, 1)
        elif ".q_proj" in name or ".k_proj" in name:
            torch.nn.init.normal_(weight, 0, 2 / math.sqrt(weight.shape[1]))
        else:
            torch.nn.init.normal_(weight, 0, 1 / math.sqrt(weight.shape[1]))


FOLDER.mkdir(exist_ok=True)
for seed, (name, make) in enumerate(MODELS.items()):
    torch.manual_seed(seed)
    model = make().float().eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        randomize(model)
        logits = model(text()).logits[0]
    write(FOLDER / f"{name}.bin", name.split("-")[0], model)
    logits.numpy().astype("<f4").tofile(FOLDER / f"{name}.logits")
    print(name, (FOLDER / f"{name}.bin").stat().st_size, float(logits.std()))
