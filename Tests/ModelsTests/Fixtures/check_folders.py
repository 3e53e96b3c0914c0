"""Whether transformers reads the folders that Malmoi writes, and finds the same models in them.

    python check_folders.py MALMOI [NAME...]

Every tiny model of families/ goes from its folder into a GGUF file and from there into a new folder, both by
`malmoi convert`; transformers loads that, and its numbers are compared with the stored ones.
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
malmoi, names = sys.argv[1], sys.argv[2:] or sorted(path.name for path in FAMILIES.iterdir())
transformers.logging.set_verbosity_error()
worst = 0.0
for name in names:
    with tempfile.TemporaryDirectory() as scratch:
        made = f"{scratch}/made"
        steps = [[malmoi, "convert", str(FAMILIES / name), f"{scratch}/model.gguf"],
                 [malmoi, "convert", f"{scratch}/model.gguf", made, "--type", "f32"]]
        failed = next((found.stderr.strip() for found in (subprocess.run(step, capture_output=True, text=True)
                                                           for step in steps) if found.returncode), None)
        if failed:
            print(f"{name}: {failed.splitlines()[-1][-150:]}")
            continue
        kind = json.loads(Path(made, "config.json").read_text())["architectures"][0]
        expected = load_file(FAMILIES / name / "expected.safetensors")
        model, told = getattr(transformers, kind).from_pretrained(
            made, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        model.eval()
        with torch.no_grad():
            if "encoder_tokens" in expected:
                found = model(input_ids=expected["encoder_tokens"][None].long(),
                              decoder_input_ids=expected["decoder_tokens"][None].long()).logits[0]
            else:
                more = {"token_type_ids": expected["type_ids"][None].long()} if "token_type_embeddings" in str(
                    [key for key in model.state_dict()]) and "type_ids" in expected else {}
                output = model(input_ids=expected["tokens"][None].long(), **more)
                found = output.logits[0] if "logits" in output else output.last_hidden_state[0]
        wanted = expected["logits" if "logits" in expected else "hidden"]
        error = ((found - wanted).norm() / wanted.norm()).item()
        worst = max(worst, error)
        print(f"{name}: {kind}, relative error {error:.1e}, missing {sorted(told['missing_keys'])}")
sys.exit(worst > 1e-4)
