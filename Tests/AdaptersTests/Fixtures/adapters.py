"""Writes peft/<name>: adapters with random numbers as PEFT saves them, and what the adapted models say of a text.

`pip install torch transformers peft safetensors`, then run `python adapters.py [NAME…]` in this folder. The models are
those of ModelsTests/Fixtures/families. What is expected is what PEFT makes of the folder, read back.

expected.safetensors holds `tokens` and `logits`, of encoder-decoders `decoder_tokens` too. Where there is a folder
gradients, it holds the gradients of Σ logits × cos(0, 1, 2, …) as if they were an adapter.
"""
import shutil
import sys
import warnings
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
FAMILIES = Path("../../ModelsTests/Fixtures/families")
CAUSAL, PAIR, TEXT = "CAUSAL_LM", "SEQ_2_SEQ_LM", "SEQ_CLS"
CLASSES = {
    CAUSAL: transformers.AutoModelForCausalLM, PAIR: transformers.AutoModelForSeq2SeqLM,
    TEXT: transformers.AutoModelForSequenceClassification}


def lora(task=CAUSAL, **options):
    return peft.LoraConfig(task_type=task, **(dict(r=3, lora_alpha=5, target_modules="all-linear") | options))


def ia3(task=CAUSAL, **options):
    return peft.IA3Config(task_type=task, **options)


def prompt(task=CAUSAL):
    return peft.PromptTuningConfig(task_type=task, num_virtual_tokens=3)


def prefix(task=CAUSAL, **options):
    return peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=3, **options)


# Name: model, configuration, whether gradients are kept.
CASES = {
    "llama-lora": ("llama", lora(
        rank_pattern={"layers.1.self_attn.q_proj": 2, "down_proj": 5}, alpha_pattern={"v_proj": 7.5}), True),
    "llama-lora-expression": ("llama", lora(
        target_modules=r".*layers\.1\.(self_attn|mlp)\.(q|up)_proj", use_rslora=True), False),
    "llama-lora-head": ("llama", lora(target_modules=["k_proj"], modules_to_save=["lm_head"]), False),
    "llama-dora": ("llama", lora(target_modules=["q_proj", "v_proj", "down_proj"], use_dora=True), True),
    "llama-ia3": ("llama", ia3(), True),
    "llama-prompt": ("llama", prompt(), True),
    "llama-prefix": ("llama", prefix(), True),
    "mistral-lora": ("mistral", lora(target_modules=["q_proj", "k_proj"]), False),
    "mistral-prefix": ("mistral", prefix(), False),
    "gemma-prompt": ("gemma", prompt(), False),
    "neox-lora": ("gpt_neox-parallel", lora(), False),
    "neox-dora": ("gpt_neox-sequential", lora(target_modules=["query_key_value"], use_dora=True), False),
    "neox-ia3": ("gpt_neox-parallel", ia3(), False),
    "neox-prefix": ("gpt_neox-parallel", prefix(), False),
    "gpt2-lora": ("gpt2", lora(fan_in_fan_out=True, bias="all"), False),
    "gpt2-dora": ("gpt2", lora(fan_in_fan_out=True, target_modules=["c_attn"], use_dora=True), False),
    "gpt2-ia3": ("gpt2", ia3(fan_in_fan_out=True), False),
    "gpt2-prompt": ("gpt2", prompt(), False),
    "gpt2-prefix": ("gpt2", prefix(), False),
    "phi3-lora": ("phi3", lora(), False),
    "falcon-lora": ("falcon-40b", lora(target_modules=["query_key_value"]), False),
    "bert-lora": ("bert-classes", lora(TEXT), False),
    "bert-ia3": ("bert-classes", ia3(TEXT), False),
    "bert-prompt": ("bert-classes", prompt(TEXT), False),
    "bert-prefix": ("bert-classes", prefix(TEXT), False),
    "roberta-lora": ("roberta-classes", lora(TEXT, target_modules=["query"], bias="all"), False),
    "modernbert-lora": ("modernbert-classes", lora(TEXT, target_modules=["Wqkv", "Wi", "mlp.Wo"]), False),
    "t5-lora": ("t5", lora(PAIR, target_modules=["q", "o", "wi"]), False),
    "t5-ia3": ("t5", ia3(PAIR), False),
    "t5-prompt": ("t5", prompt(PAIR), False),
    "t5-prefix": ("t5", prefix(PAIR), False),
}


def shake(model, generator):
    """Numbers of which each one matters."""
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            if "magnitude" in name or "ia3" in name:
                parameter.mul_(1 + 0.2 * noise)
            elif "lora" in name:
                parameter.copy_(0.2 * noise)
            elif "bias" in name:
                parameter.add_(0.1 * noise)
            else:
                parameter.copy_((0.3 if "classifier" in name or "head" in name else 1) * noise)


def load(model, task):
    return CLASSES[task].from_pretrained(FAMILIES / model, dtype=torch.float32, attn_implementation="eager")


def make(name, model, config, keeps_gradients):
    folder, generator = Path("peft") / name, torch.Generator().manual_seed(len(name))
    shutil.rmtree(folder, ignore_errors=True)
    adapted = peft.get_peft_model(load(model, config.task_type), config)
    shake(adapted, generator)
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink()
    text = folder / "adapter_config.json"
    text.write_text(text.read_text().replace(str(FAMILIES / model), model))
    tokens = torch.tensor([[4 + (i * i * 5 + i + len(name)) % 43 for i in range(13)]])
    inputs, kept = dict(input_ids=tokens), dict(tokens=tokens[0].int())
    if config.task_type == PAIR:
        inputs["decoder_input_ids"] = tokens[:, 3:10]
        kept["decoder_tokens"] = tokens[0, 3:10].int().contiguous()

    def logits(adapted):
        scores = adapted.eval()(**inputs).logits
        has_prompt = config.peft_type == peft.PeftType.PROMPT_TUNING and config.task_type == CAUSAL
        return scores[:, config.num_virtual_tokens:] if has_prompt else scores

    read = peft.PeftModel.from_pretrained(load(model, config.task_type), folder)
    kept["logits"] = logits(read)[0].detach().contiguous()
    save_file(kept, folder / "expected.safetensors")
    if not keeps_gradients:
        return
    scores = logits(adapted)
    (scores * torch.arange(scores.numel()).reshape(scores.shape).cos()).sum().backward()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.grad is not None:
                parameter.copy_(parameter.grad)
    adapted.save_pretrained(folder / "gradients")
    (folder / "gradients" / "README.md").unlink()
    shutil.copy(text, folder / "gradients")


for name in sys.argv[1:] or CASES:
    make(name, *CASES[name])
    print(name)
