"""Checks that Hugging Face's libraries read a tokenizer.json and agree on it: pip install transformers, then
check_loading.py TOKENIZER.json TEXT [REFERENCE.json], where the reference was trained alike by `tokenizers`."""
import sys

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

path, text = sys.argv[1:3]
own, fast = Tokenizer.from_file(path), PreTrainedTokenizerFast(tokenizer_file=path)
reference = Tokenizer.from_file(sys.argv[3]) if len(sys.argv) > 3 else own
tokens = 0
for line in open(text, encoding="utf-8", newline="\n"):
    ids = own.encode(line).ids
    assert fast(line)["input_ids"] == ids, line
    assert reference.encode(line).ids == ids, line
    tokens += len(ids)
print(f"{path}: {tokens} tokens, all equal")
