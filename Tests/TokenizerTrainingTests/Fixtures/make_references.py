"""Makes the reference vocabularies of these tests: pip install tokenizers sentencepiece, then run in this folder.

references.json was made with tokenizers 0.23.3 and sentencepiece 0.2.3; english.txt is from the King James Bible,
korean.txt and code.txt are from this repository, unicode.txt is made here.
"""
import io
import json
import random
import unicodedata
from collections import Counter

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPECIAL = ["<|endoftext|>", "a"]
EXPRESSION = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
              r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def random_text():
    """Characters of many scripts that Unicode 15.1 knows, and runs in which merges overlap."""
    source = random.Random(7)
    def character():
        choice = source.random()
        if choice < .55:
            return chr(source.choice([source.randrange(32, 127), 10]))
        if choice < .75:
            return chr(source.randrange(0xAC00, 0xAC80))
        if choice < .85:
            return source.choice("\u00e9e\u0301\u212b\u00c5\u3000\u2028\u0085\t\r\x00'\u2019\u1100\u1161\u11a8")
        if choice < .95:
            return chr(source.randrange(0x4E00, 0x4E40))
        while True:
            code = source.randrange(0x80, 0x30000)
            if unicodedata.category(chr(code)) not in ("Cn", "Cs"):
                return chr(code)
    text = "".join(character() for _ in range(16000))
    return text + "aaaa aaa aaaaa baaa xaaaa aaaaaaa\n" * 20


def byte_level(name):
    expression = {"llama-bpe": r"\p{N}{1,3}", "qwen2": r"\p{N}"}.get(name)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=expression is None)
    if name == "gpt-2":
        return level
    first = pre_tokenizers.Digits(individual_digits=True)
    if expression:
        first = pre_tokenizers.Split(Regex(EXPRESSION.replace("DIGITS", expression)), "isolated")
    return pre_tokenizers.Sequence([first, level])


def bpe(file, pre_tokenizer, size, minimum):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level(pre_tokenizer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train([file], trainers.BpeTrainer(
        vocab_size=size, min_frequency=minimum, special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tokenizer


def bpe_reference(file, pre_tokenizer, size, minimum):
    model = json.loads(bpe(file, pre_tokenizer, size, minimum).to_str())["model"]
    ids = model["vocab"]
    return {
        "file": file, "preTokenizer": pre_tokenizer, "size": size, "minimum": minimum, "count": len(ids),
        "merges": [ids[token] for pair in model["merges"] for token in pair]}


def wordpiece_reference(file, lowercase, size):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train([file], trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=["[UNK]", "[CLS]"], show_progress=False))
    vocabulary = tokenizer.get_vocab()
    return {"file": file, "lowercases": lowercase, "size": size, "vocabulary": sorted(vocabulary, key=vocabulary.get)}


def words(file):
    counts = Counter()
    for line in open(file, encoding="utf-8", newline="\n"):
        line = line.replace(" ", "▁")
        line = line if line.startswith("▁") else "▁" + line
        for word in line.split("▁")[1:]:
            counts["▁" + word] += 1
    return counts


def likelihood(vocabulary, counts):
    """The log-probability of all words, each cut in the likeliest way."""
    total = 0.0
    for word, count in counts.items():
        best = [0.0] + [float("-inf")] * len(word)
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + 16) + 1):
                score = vocabulary.get(word[start:end])
                if score is not None:
                    best[end] = max(best[end], best[start] + score)
        total += count * best[-1]
    return total


def unigram_reference(file, size):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train([file], trainers.UnigramTrainer(
        vocab_size=size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False))
    ours = dict(map(tuple, json.loads(tokenizer.to_str())["model"]["vocab"][1:]))
    counts = words(file)
    # SentencePiece takes lines without their ends: the pieces are compared on such words.
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(open(file, encoding="utf-8").read().split("\n")), model_writer=model, vocab_size=size,
        model_type="unigram", character_coverage=1.0, split_by_unicode_script=False, split_by_number=False,
        normalization_rule_name="identity", remove_extra_whitespaces=False, bos_id=-1, eos_id=-1,
        max_sentence_length=1 << 20, minloglevel=2)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = {processor.id_to_piece(i): processor.get_score(i) for i in range(1, len(processor))}
    bare = Counter()
    for word, count in counts.items():
        bare[word.rstrip("\n")] += count
    return {
        "file": file, "size": size, "likelihood": likelihood(ours, counts),
        "sentencePiece": likelihood(pieces, Counter({w: c for w, c in bare.items() if w != "▁"}))}


if __name__ == "__main__":
    with open("unicode.txt", "w", encoding="utf-8", newline="") as file:
        file.write(random_text())
    files = ["english.txt", "korean.txt", "code.txt", "unicode.txt"]
    references = {
        "bpe": [bpe_reference(file, name, size, minimum) for file in files
                for name, size, minimum in [("gpt-2", 700, 2), ("gpt-2", 5000, 3), ("smollm", 600, 0),
                                            ("llama-bpe", 900, 2), ("qwen2", 900, 2)]],
        "wordPiece": [wordpiece_reference(file, lowercase, size)
                      for file, lowercase, size in [("english.txt", True, 800), ("korean.txt", True, 900),
                                                    ("korean.txt", False, 900), ("code.txt", False, 900)]],
        "unigram": [unigram_reference(file, size)
                    for file, size in [("english.txt", 800), ("korean.txt", 600), ("code.txt", 700)]]}
    with open("references.json", "w", encoding="utf-8") as file:
        json.dump(references, file, ensure_ascii=False, separators=(",", ":"))
    bpe("korean.txt", "llama-bpe", 700, 2).save("korean-700.json")
