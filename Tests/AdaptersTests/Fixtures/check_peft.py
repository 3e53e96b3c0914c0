"""Loads adapters that Malmoi wrote into PEFT, and compares what the models say.

`pip install torch transformers peft safetensors`, then `python check_peft.py FOLDER`, where each folder in FOLDER holds
an adapter, `model.txt` with the path of its model, and `expected.safetensors` as adapters.py makes them. AdaptersTests
does this where it finds a Python that has PEFT: python3, or the one that MALMOI_PEFT_PYTHON names.
"""
import sys
import warnings
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
CLASSES = {
    "CAUSAL_LM": transformers.AutoModelForCausalLM, "SEQ_2_SEQ_LM": transformers.AutoModelForSeq2SeqLM,
    "SEQ_CLS": transformers.AutoModelForSequenceClassification}

failed = 0
for folder in sorted(Path(sys.argv[1]).iterdir()):
    config, expected = peft.PeftConfig.from_pretrained(folder), load_file(folder / "expected.safetensors")
    model = CLASSES[config.task_type].from_pretrained(
        (folder / "model.txt").read_text(), dtype=torch.float32, attn_implementation="eager")
    inputs = dict(input_ids=expected["tokens"].long()[None])
    if "decoder_tokens" in expected:
        inputs["decoder_input_ids"] = expected["decoder_tokens"].long()[None]
    with torch.no_grad():
        logits = peft.PeftModel.from_pretrained(model, folder).eval()(**inputs).logits[0].flatten()
    wanted = expected["logits"].flatten()
    error = ((logits[-len(wanted):] - wanted).norm() / wanted.norm()).item()
    print(f"{folder.name}: {error:.1e}")
    failed += not error <= 1e-4
sys.exit(1 if failed else 0)
