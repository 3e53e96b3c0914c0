"""Writes families/<name>: a tiny random model of every family as a Hugging Face folder, and what it says of a text.

`pip install torch transformers safetensors`, then run `python families.py [NAME…]` in this folder. Every weight
matters: norms are not all one, biases not zero. What is expected is what transformers makes of the folder as it was
saved, read back in float32.

A decoder's expected.safetensors holds `tokens` [40] and `tokens2` [17] and their `logits` [T, vocabulary], `logits2`.
An encoder's holds `type_ids`, `hidden` [T, width] and, where the model has them, `pooled` and `logits` too.
An encoder-decoder's holds `encoder_tokens`, `decoder_tokens`, `encoder_hidden` and `logits`.
"""
import json
import math
import shutil
import sys
import warnings
import zlib
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

FOLDER = Path("families")
VOCABULARY = 48
LENGTHS = (40, 17)
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
    max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)
SHARED = dict(num_attention_heads=4, num_key_value_heads=2, head_dim=16)
PAIR = dict(num_attention_heads=2, num_key_value_heads=1)
LLAMA_3 = dict(
    rope_type="llama3", rope_theta=500_000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=32)
GPT = dict(
    vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=2, n_inner=48, bos_token_id=1, eos_token_id=2,
    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
T5 = dict(
    vocab_size=VOCABULARY, d_model=32, d_kv=16, d_ff=48, num_layers=2, num_decoder_layers=2, num_heads=2,
    relative_attention_num_buckets=8, relative_attention_max_distance=24, decoder_start_token_id=0)
LABELS = dict(id2label={0: "no", 1: "maybe", 2: "yes"}, label2id={"no": 0, "maybe": 1, "yes": 2})


def tokens(length, first=None):
    """Ids from 4 up, for the ones below have meanings in one family or another."""
    ids = [4 + (i * i * 7 + i * 3 + length) % (VOCABULARY - 4) for i in range(length)]
    return torch.tensor([ids if first is None else [first] + ids[1:]])


# What was saved, as the public repositories spell it.

def without_prefix(prefix):
    return lambda weights: {name.removeprefix(prefix): weight for name, weight in weights.items()}


def gpt2_names(weights):
    """OpenAI's files have no prefix, and hold the masks of every layer."""
    mask = torch.ones(1, 1, 16, 16).tril()
    return without_prefix("transformer.")(weights) | {"h.0.attn.bias": mask}


def neox_names(weights):
    """Pythia's files hold masks and the angles' frequencies."""
    extra = {}
    for layer in range(2):
        prefix = f"gpt_neox.layers.{layer}.attention."
        extra[prefix + "bias"] = torch.ones(1, 1, 16, 16, dtype=torch.bool).tril()
        extra[prefix + "masked_bias"] = torch.tensor(-1e9)
        extra[prefix + "rotary_emb.inv_freq"] = 10_000.0 ** -(torch.arange(0, 8, 2) / 8)
    return weights | extra


def bert_names(weights):
    """Google's files call the norms' parameters as TensorFlow did."""
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): weight
        for name, weight in weights.items()}


def exaone_names(weights):
    """EXAONE 3.0 and 3.5 are Llama under other names (modeling_exaone.py beside their weights)."""
    names = {
        "model.embed_tokens": "transformer.wte", "model.norm": "transformer.ln_f", "model.layers": "transformer.h",
        "self_attn.o_proj": "attn.attention.out_proj", "self_attn": "attn.attention",
        "post_attention_layernorm": "ln_2", "input_layernorm": "ln_1",
        "gate_proj": "c_fc_0", "up_proj": "c_fc_1", "down_proj": "c_proj"}

    def renamed(name):
        for old, new in names.items():
            name = name.replace(old, new)
        return name
    return {renamed(name): weight for name, weight in weights.items()}


def exaone_config(config):
    for old, new in {
        "num_hidden_layers": "num_layers", "rms_norm_eps": "layer_norm_epsilon", "hidden_act": "activation_function",
    }.items():
        config[new] = config.pop(old)
    for key in ["attention_bias", "mlp_bias", "pretraining_tp"]:
        del config[key]
    return config | dict(model_type="exaone", architectures=["ExaoneForCausalLM"], embed_dropout=0.0)


def before_five(config):
    """A configuration's keys as transformers wrote them before version 5 and most public repositories have them."""
    config["torch_dtype"] = config.pop("dtype")
    kind = config["model_type"]
    rope = config.pop("rope_parameters", None)
    if kind in ("gemma2", "gemma3_text", "modernbert", "smollm3", "qwen2"):
        config.pop("layer_types")
    if kind == "modernbert":
        config["global_attn_every_n_layers"] = 3
        config["global_rope_theta"] = rope["full_attention"]["rope_theta"]
        config["local_rope_theta"] = rope["sliding_attention"]["rope_theta"]
        return config
    if kind == "gemma3_text":
        config["sliding_window_pattern"] = config.pop("_sliding_window_pattern", None) or 3
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    if rope is None:
        return config
    theta, part = rope.pop("rope_theta"), rope.pop("partial_rotary_factor", None)
    rope.pop("original_max_position_embeddings", None) if kind == "phi3" else None
    if kind == "gpt_neox":
        config["rotary_emb_base"], config["rotary_pct"] = theta, part
    else:
        config["rope_theta"] = theta
        if part is not None:
            config["partial_rotary_factor"] = part
    if kind == "phi3":
        rope["type"] = rope.pop("rope_type")
    config["rope_scaling"] = rope if rope.get("rope_type", rope.get("type")) != "default" else None
    return config


def entry(head, config, *, dtype=torch.bfloat16, four=True, names=None, keys=None, shard=None):
    """One model: its class, its configuration, and how it is stored; `four` says that keys are older than version 5."""
    return dict(head=head, config=config, dtype=dtype, four=four, names=names, keys=keys, shard=shard)


def models():
    t = transformers
    moe = SIZES | PAIR | dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16)
    falcon = {key: value for key, value in SIZES.items() if key != "intermediate_size"} | dict(ffn_hidden_size=48)
    phi = SIZES | PAIR | dict(original_max_position_embeddings=128)
    gemma = SIZES | SHARED | dict(query_pre_attn_scalar=24)
    gemma3_rope = {
        "full_attention": dict(rope_type="linear", rope_theta=1_000_000.0, factor=8.0),
        "sliding_attention": dict(rope_type="default", rope_theta=10_000.0)}
    learned = SIZES | dict(max_position_embeddings=64)
    roberta = SIZES | dict(type_vocab_size=1, pad_token_id=1, bos_token_id=0, max_position_embeddings=66)
    distil = dict(
        vocab_size=VOCABULARY, dim=32, hidden_dim=48, n_layers=2, n_heads=2, max_position_embeddings=64,
        dropout=0.0, attention_dropout=0.0)
    modern = SIZES | dict(
        num_hidden_layers=3, local_attention=16, cls_token_id=1, sep_token_id=2, reference_compile=False)
    f32 = torch.float32
    return {
        "gpt2": entry(t.GPT2LMHeadModel, t.GPT2Config(**GPT)),
        "gpt2-openai": entry(t.GPT2LMHeadModel, t.GPT2Config(**GPT), dtype=f32, names=gpt2_names),
        "gpt_neox-parallel": entry(
            t.GPTNeoXForCausalLM, t.GPTNeoXConfig(**SIZES, rotary_pct=0.5, use_parallel_residual=True),
            dtype=torch.float16, names=neox_names),
        "gpt_neox-sequential": entry(
            t.GPTNeoXForCausalLM,
            t.GPTNeoXConfig(**SIZES, rotary_pct=0.5, use_parallel_residual=False, tie_word_embeddings=False)),
        "gptj": entry(t.GPTJForCausalLM, t.GPTJConfig(**GPT, rotary_dim=8)),
        "stablelm": entry(
            t.StableLmForCausalLM, t.StableLmConfig(**SIZES | PAIR, partial_rotary_factor=0.5, use_qkv_bias=True)),
        "stablelm-parallel": entry(
            t.StableLmForCausalLM, t.StableLmConfig(
                **SIZES | dict(num_key_value_heads=1), partial_rotary_factor=0.5, qk_layernorm=True,
                use_parallel_residual=True)),
        "llama": entry(t.LlamaForCausalLM, t.LlamaConfig(**SIZES, num_key_value_heads=2), dtype=torch.float16),
        "llama-biases": entry(
            t.LlamaForCausalLM, t.LlamaConfig(**SIZES | PAIR, attention_bias=True, mlp_bias=True), four=False),
        "llama-3": entry(
            t.LlamaForCausalLM, t.LlamaConfig(**SIZES | SHARED, rope_parameters=LLAMA_3, tie_word_embeddings=True)),
        "exaone-3.5": entry(
            t.LlamaForCausalLM, t.LlamaConfig(**SIZES | PAIR, rope_parameters=dict(LLAMA_3)),
            names=exaone_names, keys=exaone_config),
        "mistral": entry(t.MistralForCausalLM, t.MistralConfig(**SIZES | SHARED, sliding_window=9), four=False),
        "mixtral": entry(
            t.MixtralForCausalLM, t.MixtralConfig(**SIZES | PAIR, num_local_experts=3, num_experts_per_tok=2)),
        "qwen2": entry(
            t.Qwen2ForCausalLM, t.Qwen2Config(**SIZES | PAIR, tie_word_embeddings=True), shard="24KB"),
        "qwen2-sliding": entry(
            t.Qwen2ForCausalLM,
            t.Qwen2Config(**SIZES | PAIR, use_sliding_window=True, sliding_window=7, max_window_layers=1)),
        "qwen3": entry(t.Qwen3ForCausalLM, t.Qwen3Config(**SIZES | SHARED), four=False),
        "qwen3_moe": entry(t.Qwen3MoeForCausalLM, t.Qwen3MoeConfig(**moe, norm_topk_prob=True)),
        "qwen3_moe-unnormed": entry(
            t.Qwen3MoeForCausalLM, t.Qwen3MoeConfig(**moe, norm_topk_prob=False, mlp_only_layers=[1]),
            four=False),
        "qwen3_moe-step": entry(
            t.Qwen3MoeForCausalLM, t.Qwen3MoeConfig(**moe, norm_topk_prob=True, decoder_sparse_step=2)),
        "gemma": entry(t.GemmaForCausalLM, t.GemmaConfig(**SIZES | SHARED)),
        "gemma2": entry(
            t.Gemma2ForCausalLM, t.Gemma2Config(
                **gemma, sliding_window=9, attn_logit_softcapping=3.0, final_logit_softcapping=4.0)),
        "gemma3": entry(
            t.Gemma3ForCausalLM, t.Gemma3TextConfig(
                **gemma | PAIR | dict(num_hidden_layers=3), sliding_window=9, sliding_window_pattern=3,
                rope_parameters=gemma3_rope)),
        "gemma3-five": entry(
            t.Gemma3ForCausalLM, t.Gemma3TextConfig(
                **gemma | PAIR, sliding_window=9,
                layer_types=["sliding_attention", "full_attention"]), four=False),
        "phi3": entry(t.Phi3ForCausalLM, t.Phi3Config(**phi, sliding_window=9)),
        "phi3-longrope": entry(
            t.Phi3ForCausalLM, t.Phi3Config(
                **phi | dict(original_max_position_embeddings=32), partial_rotary_factor=0.5, rope_parameters=dict(
                    rope_type="longrope", rope_theta=10_000.0, short_factor=[1.0, 1.05, 1.2, 1.5],
                    long_factor=[1.1, 1.7, 3.0, 4.5]))),
        "olmo2": entry(t.Olmo2ForCausalLM, t.Olmo2Config(**SIZES | PAIR)),
        "falcon-7b": entry(t.FalconForCausalLM, t.FalconConfig(**falcon, multi_query=True, parallel_attn=True)),
        "falcon-40b": entry(
            t.FalconForCausalLM, t.FalconConfig(
                **falcon | dict(hidden_size=64, num_attention_heads=4), num_kv_heads=2, new_decoder_architecture=True)),
        "exaone4": entry(
            t.Exaone4ForCausalLM, t.Exaone4Config(
                **SIZES | PAIR | dict(num_hidden_layers=3), sliding_window=9, sliding_window_pattern=3)),
        "exaone4-full": entry(
            t.Exaone4ForCausalLM, t.Exaone4Config(
                **SIZES | PAIR, sliding_window=None, tie_word_embeddings=True, layer_types=["full_attention"] * 2,
                rope_parameters=dict(LLAMA_3)), four=False),
        "smollm3": entry(
            t.SmolLM3ForCausalLM, t.SmolLM3Config(**SIZES | PAIR, no_rope_layers=[0, 1])),

        "bert": entry(t.BertForPreTraining, t.BertConfig(**learned), dtype=f32, names=bert_names),
        "bert-bare": entry(t.BertModel, t.BertConfig(**learned), dtype=torch.float16),
        "bert-classes": entry(t.BertForSequenceClassification, t.BertConfig(**learned, **LABELS)),
        "bert-cross": entry(
            t.BertForSequenceClassification, t.BertConfig(**learned, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})),
        "roberta": entry(t.RobertaForMaskedLM, t.RobertaConfig(**roberta)),
        "roberta-classes": entry(t.RobertaForSequenceClassification, t.RobertaConfig(**roberta, **LABELS)),
        "xlm-roberta": entry(t.XLMRobertaForMaskedLM, t.XLMRobertaConfig(**roberta)),
        "distilbert": entry(t.DistilBertForMaskedLM, t.DistilBertConfig(**distil)),
        "distilbert-classes": entry(t.DistilBertForSequenceClassification, t.DistilBertConfig(**distil, **LABELS)),
        "modernbert": entry(t.ModernBertForMaskedLM, t.ModernBertConfig(**modern)),
        "modernbert-classes": entry(
            t.ModernBertForSequenceClassification,
            t.ModernBertConfig(**modern | dict(num_hidden_layers=2), **LABELS, classifier_pooling="mean"), four=False),
        "modernbert-cross": entry(
            t.ModernBertForSequenceClassification, t.ModernBertConfig(
                **modern | dict(num_hidden_layers=2), classifier_pooling="cls", classifier_bias=True, norm_bias=True,
                attention_bias=True, mlp_bias=True, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})),

        "t5": entry(t.T5ForConditionalGeneration, t.T5Config(**T5, feed_forward_proj="relu")),
        "t5-gated": entry(
            t.T5ForConditionalGeneration,
            t.T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
        "mt5": entry(t.MT5ForConditionalGeneration, t.MT5Config(**T5, feed_forward_proj="gated-gelu")),
        "bart": entry(
            t.BartForConditionalGeneration, t.BartConfig(
                vocab_size=VOCABULARY, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
                decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64,
                dropout=0.0, scale_embedding=False)),
    }


def untie(model):
    """FLAN-T5 and mT5 have an output layer of their own, which transformers finds out from the file."""
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.all_tied_weights_keys.pop("lm_head.weight")


@torch.no_grad()
def randomize(model, kind, dtype):
    """Weights large enough that attention is far from even and every parameter is felt, in values that `dtype` has."""
    tied = model.get_output_embeddings() is not None and \
        model.get_output_embeddings().weight is model.get_input_embeddings().weight
    width = model.get_input_embeddings().weight.shape[1]
    conv1d = transformers.pytorch_utils.Conv1D
    by_columns = {id(module.weight) for module in model.modules() if isinstance(module, conv1d)}
    for name, weight in model.named_parameters():
        if name.endswith("bias") and weight.dim() == 1:
            mean, deviation = 0, 0.2
        elif weight.dim() == 1:
            mean, deviation = 0 if kind.startswith("gemma") else 1, 0.2
        elif "relative_attention_bias" in name:
            mean, deviation = 0, 1
        elif weight is model.get_input_embeddings().weight:
            scaled = tied and not (kind == "t5")
            mean, deviation = 0, 2 / math.sqrt(width) if scaled else 1
        elif "embed" in name or "wpe" in name:
            mean, deviation = 0, 0.3
        else:
            fan = weight.shape[0] if id(weight) in by_columns else weight.shape[-1]
            sharp = any(part in name for part in (
                "q_proj", "k_proj", "qkv", "query", "key", "c_attn", "Wqkv", "q_lin", "k_lin", "gate.weight"))
            mean, deviation = 0, (1.6 if sharp else 1) / math.sqrt(fan)
            if name.endswith((".q.weight", ".k.weight")):
                deviation = 1 / math.sqrt(fan * 4)  # T5 does not divide scores
            if weight is getattr(model.get_output_embeddings(), "weight", None):
                deviation *= 2
        weight.normal_(mean, deviation)
        weight.copy_(weight.to(dtype).float())
    for name, buffer in model.named_buffers():
        if name == "final_logits_bias":
            buffer.normal_(0, 0.2)


def save(name, description):
    """Writes the folder; the model that is read back from it."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(zlib.crc32(name.encode()))
    model = description["head"](description["config"])
    kind = model.config.model_type
    if name in ("t5-gated", "mt5"):
        untie(model)
    randomize(model, kind, description["dtype"])
    model.to(description["dtype"]).save_pretrained(folder, **(
        {"max_shard_size": description["shard"]} if description["shard"] else {}))
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if name in ("t5-gated", "mt5"):
        config["tie_word_embeddings"] = False
    config.pop("scale_decoder_outputs", None)  # T5 before version 5 decides by tie_word_embeddings
    if description["four"]:
        config = before_five(config)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    check = loaded(folder, description["head"])
    if description["names"]:
        file = folder / "model.safetensors"
        save_file(description["names"](load_file(file)), file, metadata={"format": "pt"})
    if description["keys"]:
        path.write_text(json.dumps(description["keys"](config), indent=2, sort_keys=True) + "\n")
    else:
        check = loaded(folder, description["head"])
    return check, kind


def loaded(folder, head):
    model, report = head.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"], (folder, report)
    assert all(key.endswith(("bias", "inv_freq")) for key in report["unexpected_keys"]), (folder, report)
    return model.eval()


@torch.no_grad()
def decoder_outputs(model, length):
    ids = tokens(length)
    return {"tokens": ids[0], "logits": model(ids).logits[0]}


@torch.no_grad()
def encoder_outputs(model, length):
    ids = tokens(length)
    types = torch.zeros_like(ids)
    if getattr(model.config, "type_vocab_size", 1) > 1:
        types[:, length // 2 + 3:] = 1
    given = {"token_type_ids": types} if types.any() else {}
    result = model(ids, output_hidden_states=True, **given)
    base = getattr(model, model.base_model_prefix, model)
    body = base(ids, **given)
    outputs = {"tokens": ids[0], "type_ids": types[0], "hidden": body.last_hidden_state[0]}
    if getattr(body, "pooler_output", None) is not None:
        outputs["pooled"] = body.pooler_output[0]
    logits = getattr(result, "logits", getattr(result, "prediction_logits", None))
    return outputs if logits is None else outputs | {"logits": logits[0]}


@torch.no_grad()
def pair_outputs(model, length):
    ids = tokens(length)
    target = tokens(length - 6, first=model.config.decoder_start_token_id)
    result = model(input_ids=ids, decoder_input_ids=target)
    return {
        "encoder_tokens": ids[0], "decoder_tokens": target[0], "encoder_hidden": result.encoder_last_hidden_state[0],
        "logits": result.logits[0]}


def write(name, description):
    model, kind = save(name, description)
    run = pair_outputs if model.config.is_encoder_decoder else \
        decoder_outputs if name in DECODERS else encoder_outputs
    expected = {}
    for number, length in enumerate(LENGTHS):
        for key, value in run(model, length).items():
            expected[key + ("2" if number else "")] = value.to(torch.int32) if value.dtype == torch.int64 else value
    save_file({key: value.contiguous() for key, value in expected.items()}, FOLDER / name / "expected.safetensors")
    spread = float(expected["logits" if "logits" in expected else "hidden"].std(correction=0))
    size = sum(file.stat().st_size for file in (FOLDER / name).iterdir())
    print(f"{name:22} {size:7} bytes, spread {spread:.2f}")


DECODERS = set()
warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
every = models()
DECODERS |= {name for name, one in every.items() if one["head"].__name__.endswith(("ForCausalLM", "GPT2LMHeadModel"))}
FOLDER.mkdir(exist_ok=True)
for name in sys.argv[1:] or every:
    write(name, every[name])
