"""A GGUF model in transformers: its stored weights, dequantized, computed with in float32."""
import gguf
import numpy as np
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

PARTS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
}
NORMS = {
    "llama": {"ffn_norm": "post_attention_layernorm"},
    "gemma3": {
        "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm"},
}


def hugging_face_name(name, architecture):
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}
    if name in whole:
        return whole[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{(PARTS | NORMS[architecture])[part]}.weight"


def halves(weight, heads):
    """Rows of neighbours, as GGUF keeps Llama's queries and keys, into rows of halves (i, i + width / 2)."""
    return weight.reshape(heads, -1, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def load(path):
    """The model of a GGUF file of the families llama or gemma3, in float32."""
    reader = gguf.GGUFReader(path)

    def value(key, default=None):
        field = reader.fields.get(key)
        return default if field is None else field.contents()

    architecture = value("general.architecture")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if architecture not in NORMS or "rope_freqs.weight" in tensors or value(f"{architecture}.rope.scaling.type"):
        raise SystemExit(f"{path}: {architecture} with these positions has no reference here")
    own = lambda key, default=None: value(f"{architecture}.{key}", default)
    heads = own("attention.head_count")
    shared = dict(
        vocab_size=int(tensors["token_embd.weight"].shape[1]), hidden_size=own("embedding_length"),
        intermediate_size=own("feed_forward_length"), num_hidden_layers=own("block_count"), num_attention_heads=heads,
        num_key_value_heads=own("attention.head_count_kv", heads),
        head_dim=own("attention.key_length", own("embedding_length") // heads),
        max_position_embeddings=own("context_length"), rms_norm_eps=own("attention.layer_norm_rms_epsilon"),
        tie_word_embeddings="output.weight" not in tensors)
    base = own("rope.freq_base", 10_000.0)
    if architecture == "llama":
        config = LlamaConfig(**shared, rope_parameters={"rope_type": "default", "rope_theta": base})
        model = LlamaForCausalLM(config)
    else:
        config = Gemma3TextConfig(
            **shared, sliding_window=own("attention.sliding_window"), query_pre_attn_scalar=shared["head_dim"],
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": base},
                "sliding_attention": {"rope_type": "default", "rope_theta": own("rope.freq_base_swa", 10_000.0)}})
        model = Gemma3ForCausalLM(config)
    state = {}
    for name, tensor in tensors.items():
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if architecture == "gemma3" and name.endswith("norm.weight"):
            weight = weight - 1  # transformers adds it
        if architecture == "llama" and ".attn_q." in name:
            weight = halves(weight, heads)
        if architecture == "llama" and ".attn_k." in name:
            weight = halves(weight, shared["num_key_value_heads"])
        state[hugging_face_name(name, architecture)] = torch.from_numpy(np.ascontiguousarray(weight))
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"} or (missing and not shared["tie_word_embeddings"]):
        raise SystemExit(f"{path}: tensors missing {missing} or unknown {unexpected}")
    model.tie_weights()
    return model.float().eval()
