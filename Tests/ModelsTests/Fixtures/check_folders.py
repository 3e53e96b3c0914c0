"""Whether transformers reads the folders that Malmoi writes, and finds the same models in them.

    python check_folders.py MALMOI [NAME...]

Every tiny model of families/ goes from its folder into a GGUF file and from there into a new folder, both by
`malmoi convert`; transformers loads that, and its numbers are compared with the stored ones. EXAONE 3.5 comes with
code of its own instead of a class of transformers; it is Llama under other names, and read as one under those.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

FAMILIES = Path(__file__).parent / "families"
EXAONE = {
    "transformer.wte": "model.embed_tokens", "transformer.ln_f": "model.norm", "transformer.h": "model.layers",
    "attn.attention.out_proj": "self_attn.o_proj", "attn.attention": "self_attn", "ln_1": "input_layernorm",
    "ln_2": "post_attention_layernorm", "c_fc_0": "gate_proj", "c_fc_1": "up_proj", "c_proj": "down_proj",
    "num_layers": "num_hidden_layers", "layer_norm_epsilon": "rms_norm_eps", "activation_function": "hidden_act"}


def renamed(name):
    for old, new in EXAONE.items():
        name = name.replace(old, new)
    return name


def load(folder):
    """The model, and the names that do not fit."""
    config = json.loads(Path(folder, "config.json").read_text())
    if config["model_type"] == "exaone":
        kept = {renamed(key): value for key, value in config.items() if key not in ("architectures", "model_type")}
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**kept, attn_implementation="eager"))
        weights = {renamed(name): tensor for name, tensor in load_file(f"{folder}/model.safetensors").items()}
        missing, unexpected = model.float().load_state_dict(weights, strict=False)
        return model.eval(), [*missing, *unexpected]
    model, told = getattr(transformers, config["architectures"][0]).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    # A model that fills masks has no use for the pooler that was trained beside it.
    return model.eval(), [*told["missing_keys"], *told["mismatched_keys"]] + [
        key for key in told["unexpected_keys"] if ".pooler." not in key]


@torch.no_grad()
def answer(model, expected):
    """Scores, or an encoder's states where it has none."""
    if "encoder_tokens" in expected:
        return model(
            input_ids=expected["encoder_tokens"][None].long(),
            decoder_input_ids=expected["decoder_tokens"][None].long()).logits[0]
    knows_types = any("token_type_embeddings" in key for key in model.state_dict())
    types = {"token_type_ids": expected["type_ids"][None].long()} if knows_types else {}
    output = model(input_ids=expected["tokens"][None].long(), **types)
    return output.logits[0] if "logits" in output else output.last_hidden_state[0]


def convert(malmoi, *arguments):
    return subprocess.run([malmoi, "convert", *map(str, arguments)], capture_output=True, text=True)


def main(malmoi, *names):
    names, good = names or sorted(path.name for path in FAMILIES.iterdir()), 0
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            file, made = f"{scratch}/model.gguf", f"{scratch}/made"
            steps = [convert(malmoi, FAMILIES / name, file), convert(malmoi, file, made, "--type", "f32")]
            if steps[-1].returncode:
                print(f"{name}: {steps[-1].stderr.strip().splitlines()[-1][-150:]}")
                continue
            model, strange = load(made)
            expected = load_file(FAMILIES / name / "expected.safetensors")
            found, wanted = answer(model, expected), expected["logits" if "logits" in expected else "hidden"]
            error = ((found - wanted).norm() / wanted.norm()).item()
            good += error <= 1e-5 and not strange
            print(f"{name}: {type(model).__name__}, relative error {error:.1e}" + "".join(f", {key}" for key in strange))
    print(f"{good} of {len(names)} are the same models")
    return good < len(names)


transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
