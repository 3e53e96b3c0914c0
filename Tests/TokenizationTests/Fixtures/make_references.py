"""Makes the reduced vocabularies and all reference ids.

usage: make_references.py LLAMA_IDS SMOLLM2.gguf GEMMA3.gguf

LLAMA_IDS is llama_ids.cpp built against llama.cpp; needs `pip install gguf`. Writes byte-level.vocab,
sentencepiece.vocab and references.json.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

from gguf import GGUFReader, GGUFWriter

from reference_text import HERE, fnv1a, line_hashes, random_line

PRE_TOKENIZERS = [
    "default", "gpt-2", "smollm", "exaone", "command-r", "falcon", "llama-bpe", "glm4", "dbrx", "minicpm5", "qwen2",
    "stablelm2", "bailingmoe", "qwen35", "seed-coder", "ufakzeka", "laguna", "tekken", "gpt-4o", "deepseek-llm",
    "deepseek-coder", "deepseek-v3", "bloom", "viking",
]
LINES = 600
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def field(reader, name):
    key = "tokenizer.ggml." + name
    return reader.fields[key].contents() if key in reader.fields else None


def llama_ids(tool, model, pre, texts, parse=False, add=True):
    """Token ids per text, and the end-of-generation ids."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "in"), pathlib.Path(folder, "out")
        source.write_bytes(b"".join(struct.pack("<I", len(text)) + text for text in texts))
        ends = subprocess.run(
            [tool, model, pre, str(int(parse)), str(int(add)), source, target], check=True, capture_output=True).stdout
        data, at, result = target.read_bytes(), 0, []
        while at < len(data):
            count = struct.unpack_from("<I", data, at)[0]
            result.append(struct.unpack_from(f"<{count}i", data, at + 4))
            at += 4 + 4 * count
    return result, [int(end) for end in ends.split()]


def write_vocab(name, pieces, kinds, scores, merges):
    """The compact form that ReducedVocabulary.swift reads: counts and lengths as 32-bit integers."""
    out = bytearray()
    for strings in (pieces, merges):
        out += struct.pack("<I", len(strings))
        for string in strings:
            out += struct.pack("<H", len(string.encode())) + string.encode()
    out += bytes(kinds) + struct.pack(f"<{len(scores)}f", *scores)
    (HERE / name).write_bytes(out)


def write_gguf(path, model, pre, pieces, kinds, scores, merges, **flags):
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    if scores:
        writer.add_token_scores(scores)
    if merges:
        writer.add_token_merges(merges)
    for flag, value in flags.items():
        getattr(writer, "add_" + flag)(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def byte_level(reader):
    """SmolLM2's first merges, all 256 bytes, some words that no merge reaches, and tokens of other kinds."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = [chr(byte) for byte in printable] + [chr(0x100 + i) for i in range(len(others))]
    pieces = [piece for piece, kind in zip(field(reader, "tokens"), field(reader, "token_type")) if kind == CONTROL]
    kinds = [CONTROL] * len(pieces)
    merges = field(reader, "merges")[:2500]
    normal = alphabet + ["".join(merge.split(" ")) for merge in merges] + ["Ġfirmament", "firmament", "ĠSTRASSE"]
    for piece in normal:
        if piece not in pieces:
            pieces.append(piece)
            kinds.append(NORMAL)
    for piece in ("\n\n\n", "<table>", "    "):
        pieces.append(piece)
        kinds.append(USER_DEFINED)
    return pieces, kinds, [], merges


def sentence_piece(reader, used):
    """Gemma's best-scored pieces and those that the sample needs, with tokens of all kinds."""
    pieces, kinds, scores = (field(reader, name) for name in ("tokens", "token_type", "scores"))
    best = sorted((i for i, kind in enumerate(kinds) if kind == NORMAL), key=lambda i: -scores[i])[:1500]
    keep = set(best) | used | {i for i, kind in enumerate(kinds) if kind in (BYTE, USER_DEFINED) or i < 8}
    keep = sorted(keep | {pieces.index(piece) for piece in ("▁", "<start_of_turn>", "<end_of_turn>")})
    return [pieces[i] for i in keep], [int(kinds[i]) for i in keep], [float(scores[i]) for i in keep], []


def main():
    tool, smollm, gemma = sys.argv[1:4]
    lines = [random_line(number).encode() for number in range(LINES)]
    sample = (HERE / "sample.txt").read_bytes()
    sample_lines = sample.splitlines(keepends=True)
    references = {}

    def refer(name, model, pre, parse=False):
        ids, ends = llama_ids(tool, model, pre, sample_lines + lines + [sample], parse)
        references[name] = {
            "ends": ends, "lines": line_hashes(ids[:-1]), "sample": f"{fnv1a(ids[-1]):016x}", "first": ids[0]}

    with tempfile.TemporaryDirectory() as folder:
        vocabulary = byte_level(GGUFReader(smollm))
        write_vocab("byte-level.vocab", *vocabulary)
        path = str(pathlib.Path(folder, "byte-level.gguf"))
        write_gguf(path, "gpt2", "smollm", *vocabulary, bos_token_id=1, eos_token_id=2, add_bos_token=False)
        for pre in PRE_TOKENIZERS:
            refer(pre, path, pre)
        refer("smollm, special tokens", path, "smollm", parse=True)

        used = set(llama_ids(tool, gemma, "-", sample_lines)[0][0]).union(
            *llama_ids(tool, gemma, "-", sample_lines + lines[:50])[0])
        vocabulary = sentence_piece(GGUFReader(gemma), used)
        write_vocab("sentencepiece.vocab", *vocabulary)
        for prefix in (False, True):
            path = str(pathlib.Path(folder, f"sentencepiece-{prefix}.gguf"))
            write_gguf(path, "llama", "default", *vocabulary, bos_token_id=2, eos_token_id=1, unk_token_id=3,
                       add_space_prefix=prefix)
            name = "sentencepiece" + (", space prefix" if prefix else "")
            refer(name, path, "-")
            refer(name + ", special tokens", path, "-", parse=True)
    (HERE / "references.json").write_text(json.dumps(references, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
