"""Writes Tokenizers/ and encodings.json: small tokenizers of many kinds and what Hugging Face's library makes of text.

The tokenizers are trained on sample.txt; the texts are its lines and the random ones of reference_text.py. Encodings are
kept as one hash per 100 lines over ids, offsets, type ids and special-token masks; some are kept whole.
usage: make_tokenizers.py   (pip: tokenizers sentencepiece protobuf)
"""
import base64, io, json, os, struct, tempfile, unicodedata, zlib
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N
from tokenizers import pre_tokenizers as P, processors as R, trainers as T
from reference_text import random_line

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = open(f"{HERE}/sample.txt").read()
CORPUS = SAMPLE.splitlines()
RANDOM_LINES = 10500
GROUP = 100
SIZE = 420
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
CAPITAL = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = CASED + "|" + CAPITAL + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
made = {}


def keep(name, tokenizer):
    """Keeps a tokenizer as its file says it, since scores change a little when they are read."""
    made[name] = json.loads(tokenizer.to_str() if isinstance(tokenizer, Tokenizer) else json.dumps(tokenizer))


def byte_level(name, pre, normalizer=None, post=None, special=("<|endoftext|>", "<|im_start|>"), extra=(), **options):
    t = Tokenizer(M.BPE(**options))
    t.pre_tokenizer = pre
    if normalizer: t.normalizer = normalizer
    t.decoder = D.ByteLevel()
    if post: t.post_processor = post
    t.train_from_iterator(CORPUS, T.BpeTrainer(
        vocab_size=SIZE, initial_alphabet=P.ByteLevel.alphabet(), special_tokens=list(special), show_progress=False))
    t.add_tokens(list(extra))
    keep(name, t)


def split_then_bytes(*patterns, behavior="isolated", invert=False):
    return P.Sequence([P.Split(Regex(p), behavior, invert) for p in patterns]
                      + [P.ByteLevel(add_prefix_space=False, use_regex=False)])


plain = P.ByteLevel(add_prefix_space=False)
byte_level("gpt2", plain, post=R.ByteLevel(trim_offsets=False))
byte_level("roberta", P.ByteLevel(add_prefix_space=True), special=("<s>", "<pad>", "</s>", "<unk>"),
           extra=[AddedToken("<mask>", lstrip=True, special=True)],
           post=R.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True))
byte_level("llama3", split_then_bytes(LLAMA3), ignore_merges=True, post=R.Sequence([
    R.ByteLevel(trim_offsets=False),
    R.TemplateProcessing(single="<|endoftext|> $A", pair="<|endoftext|> $A <|endoftext|>:1 $B:1",
                         special_tokens=[("<|endoftext|>", 0)])]))
byte_level("qwen2", split_then_bytes(QWEN2), normalizer=N.NFC(), extra=["<tool>", " hello"])
byte_level("o200k", split_then_bytes(O200K, behavior="removed", invert=True), post=R.ByteLevel(trim_offsets=True))
byte_level("deepseek", split_then_bytes(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK))
byte_level("falcon", P.Sequence([P.Punctuation("contiguous"), plain, P.Digits(False),
                                 P.Split(Regex("[0-9][0-9][0-9]"), "isolated")]))
byte_level("starcoder", P.Sequence([P.Digits(True), plain]))
byte_level("neox", plain, normalizer=N.NFC(), extra=["  ", "    "], post=R.ByteLevel(trim_offsets=True))
byte_level("looking", P.Sequence([P.Split(Regex(r"\d{1,3}(?=(?:\d{3})*\b)"), "isolated"),
                                  P.Split(Regex(r"(?<=[a-z])(?=\p{Lu})|\s++(?!$)"), "merged_with_next"),
                                  P.ByteLevel(add_prefix_space=True)]))


def word_piece(name, **options):
    t = Tokenizer(M.WordPiece(unk_token="[UNK]"))
    t.normalizer = N.BertNormalizer(**options)
    t.pre_tokenizer, t.decoder = P.BertPreTokenizer(), D.WordPiece()
    t.train_from_iterator(CORPUS, T.WordPieceTrainer(
        vocab_size=SIZE, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    t.post_processor = R.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                            special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    keep(name, t)


word_piece("bert-uncased", lowercase=True)
word_piece("bert-cased", lowercase=False)
word_piece("bert-accents", lowercase=True, strip_accents=False)


def character_pairs(name, normalizer, pre, fuses=True, falls_back=True):
    t = Tokenizer(M.BPE(unk_token="<unk>", fuse_unk=fuses))
    if normalizer: t.normalizer = normalizer
    t.pre_tokenizer = P.Metaspace(prepend_scheme="never")
    codes = [f"<0x{i:02X}>" for i in range(256)] if falls_back else []
    t.train_from_iterator(CORPUS, T.BpeTrainer(
        vocab_size=len(codes) + SIZE, special_tokens=["<unk>", "<s>", "</s>"] + codes, limit_alphabet=120,
        show_progress=False))
    t.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    t.post_processor = R.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    j = json.loads(t.to_str())
    j["model"]["byte_fallback"] = falls_back
    j["added_tokens"] = [x for x in j["added_tokens"] if not x["content"].startswith("<0x")]
    j["pre_tokenizer"] = json.loads(pre.__getstate__()) if pre else None
    keep(name, j)


marks = N.Replace(" ", "▁")
character_pairs("llama2", N.Sequence([N.Prepend("▁"), marks]), None)
character_pairs("llama2-metaspace", None, P.Metaspace(prepend_scheme="first", split=False))
character_pairs("gemma", marks, P.Split(" ", "merged_with_previous"))
character_pairs("unfused", marks, None, fuses=False, falls_back=False)

t = Tokenizer(M.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
t.normalizer = N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
t.pre_tokenizer = P.Sequence([P.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed",
                                      invert=True), plain])
t.train_from_iterator(CORPUS, T.BpeTrainer(vocab_size=SIZE + 100, initial_alphabet=P.ByteLevel.alphabet(),
                                           end_of_word_suffix="</w>", special_tokens=["<unk>", "<s>", "</s>"],
                                           show_progress=False))
t.decoder = D.BPEDecoder()
t.post_processor = R.RobertaProcessing(("</s>", 2), ("<s>", 1), trim_offsets=False, add_prefix_space=False)
keep("clip", t)
t = Tokenizer(M.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
t.pre_tokenizer, t.decoder = P.Whitespace(), D.WordPiece()
t.train_from_iterator(CORPUS, T.BpeTrainer(vocab_size=SIZE, continuing_subword_prefix="##", special_tokens=["[UNK]"],
                                           limit_alphabet=100, show_progress=False))
keep("prefixed-pairs", t)


def sentence_piece(**options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=out, minloglevel=2, **options)
    return out.getvalue()


# A map of its own, because SentencePiece's is larger than all tokenizers here together.
rules = {chr(c): unicodedata.normalize("NFKC", chr(c)) for c in [*range(0xA0, 0x250), *range(0x1E00, 0x2100),
                                                              *range(0x2460, 0x2500), *range(0x3000, 0x3400)]}
rules |= {x + y: unicodedata.normalize("NFKC", x + y) for x in "aeiouAEIOU" for y in "\u0300\u0301\u0308"}
rules |= {chr(c): "" for c in [*range(1, 9), 0x7F, 0xAD]} | {x: " " for x in "\t\n\r\u200b\ufeff"}
with tempfile.NamedTemporaryFile("w", suffix=".tsv") as table:
    for x, y in rules.items():
        if x != y: table.write(" ".join(f"{ord(c):X}" for c in x) + "\t" + " ".join(f"{ord(c):X}" for c in y) + "\n")
    table.flush()
    raw = sentence_piece(model_type="unigram", vocab_size=SIZE, character_coverage=0.98,
                         normalization_rule_tsv=table.name)
proto = sentencepiece_model_pb2.ModelProto()
proto.ParseFromString(raw)
vocabulary = [(p.piece, p.score) for p in proto.pieces][3:]
CHARACTER_MAP = proto.normalizer_spec.precompiled_charsmap


def unigram(name, first, unknown, normalizer, pre, special, post=None, falls_back=False):
    t = Tokenizer(M.Unigram([(x, 0.0) for x in first] + vocabulary, unk_id=unknown, byte_fallback=falls_back))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, pre, D.Metaspace()
    t.add_special_tokens(special)
    if post: t.post_processor = post
    j = json.loads(t.to_str())
    # Written as trained: reading rounds scores, and reading what was read rounds them again.
    j["model"]["vocab"] = [[x, 0.0] for x in first] + [list(x) for x in vocabulary]
    keep(name, j)


unigram("t5", ["<pad>", "</s>", "<unk>"], 2,
        N.Sequence([N.Precompiled(CHARACTER_MAP), N.Strip(left=False, right=True), N.Replace(Regex(" {2,}"), "▁")]),
        P.Metaspace(prepend_scheme="always"), ["<pad>", "</s>", "<unk>", "<extra_id_0>"],
        R.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]))
unigram("xlm-r", ["<s>", "<pad>", "</s>", "<unk>"], 3,
        N.Sequence([N.Nmt(), N.NFKC(), N.Precompiled(CHARACTER_MAP), N.Replace(Regex(" {2,}"), " ")]),
        P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="always")]),
        ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)],
        R.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                             special_tokens=[("<s>", 0), ("</s>", 2)]))
unigram("scripts", ["<unk>"] + [f"<0x{i:02X}>" for i in range(256)], 0,
        N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase()]),
        P.Sequence([P.UnicodeScripts(), P.Metaspace(prepend_scheme="first"), P.Punctuation("merged_with_previous")]),
        [], falls_back=True)
unigram("whole", ["<pad>", "</s>", "<unk>"], 2, N.NFKC(), P.Metaspace(prepend_scheme="first", split=False), [])
unigram("stripped", ["<pad>", "</s>", "<unk>"], 2,
        N.Sequence([N.Strip(), N.NFD(), N.Replace("e", "É"), N.Prepend("--")]),
        P.Sequence([P.CharDelimiterSplit(","), P.FixedLength(7), P.Metaspace(prepend_scheme="first")]), [])

words = sorted(set(SAMPLE.split()))[:300]
t = Tokenizer(M.WordLevel({w: i for i, w in enumerate(["[UNK]"] + words)}, unk_token="[UNK]"))
t.pre_tokenizer, t.normalizer = P.Whitespace(), N.NFC()
t.add_tokens([AddedToken("a", single_word=True), AddedToken("the", rstrip=True)])
keep("words", t)
letters = dict.fromkeys(["<pad>", "<s>", "</s>", "<unk>", "|"] + sorted(set(SAMPLE.upper()) - {" ", "\n"})[:200])
t = Tokenizer(M.WordLevel({w: i for i, w in enumerate(letters)}, unk_token="<unk>"))
t.normalizer, t.pre_tokenizer, t.decoder = N.Replace(" ", "|"), P.Split("", "isolated"), D.CTC()
keep("speech", t)

SIGNS = ["<s>", "</s> ", " <mask> ", "[SEP]", "[MASK]x", "<|im_start|>", " hello", "<tool>", "the  ", " a ", "<extra_id_0>"]


def flat(e):
    return (e.ids + [x for o in e.offsets for x in o] + e.type_ids + e.special_tokens_mask + e.attention_mask
            + [-1 if w is None else w for w in e.sequence_ids])


def digest(values):
    return f"{zlib.crc32(struct.pack(f'<{len(values)}i', *values)):08x}"


unassigned = P.Split(Regex(r"\p{Cn}"), "removed")


def is_newer(c):
    """Whether the library's expressions know a character that Unicode 14 did not; Malmoi's tables are of 15.1."""
    return unicodedata.category(c) == "Cn" and unassigned.pre_tokenize_str(c) != []


newer = {c: is_newer(c) for c in set("".join(random_line(i) for i in range(RANDOM_LINES)))}
skipped = [i for i in range(RANDOM_LINES) if any(newer[c] for c in random_line(i))]
lines = [x + "\n" for x in CORPUS] + [random_line(i) + SIGNS[i % len(SIGNS)] for i in range(RANDOM_LINES)
                                      if i not in set(skipped)]
print(len(skipped), "lines skipped")
references = {}
for name, definition in made.items():
    text = json.dumps(definition, ensure_ascii=False, separators=(",", ":"))
    os.makedirs(f"{HERE}/Tokenizers/{name}", exist_ok=True)
    open(f"{HERE}/Tokenizers/{name}/tokenizer.json", "w").write(text)
    t = Tokenizer.from_str(text)
    encodings = [t.encode(x) for x in lines]
    groups = [encodings[i:i + GROUP] for i in range(0, len(encodings), GROUP)]
    entry = {
        "lines": "".join(digest([x for e in g for x in flat(e)]) for g in groups),
        "sample": digest(flat(t.encode(SAMPLE))),
        "bare": digest([x for line in lines[:1000] for x in flat(t.encode(line, add_special_tokens=False))]),
        "pairs": digest([x for a, b in zip(lines[:500], lines[500:1000]) for x in flat(t.encode(a, b))]),
        "first": encodings[0].ids, "offsets": [list(o) for o in encodings[0].offsets],
        "decoded": [t.decode(encodings[i].ids) for i in range(0, 12, 3)],
        "truncated": {},
    }
    for strategy in ["longest_first", "only_first", "only_second"]:
        for direction in ["right", "left"]:
            t.enable_truncation(24, stride=3, strategy=strategy, direction=direction)
            t.enable_padding(length=None, direction=direction, pad_to_multiple_of=8, pad_id=1, pad_type_id=3)
            values = []
            for a, b in zip(lines[:60], lines[60:120]):
                try:
                    batch = t.encode_batch([(a, b), (b, a)])
                except BaseException:  # what the library says is a panic
                    values.append(-7)
                    continue
                for e in batch: values += flat(e)
            entry["truncated"][f"{strategy} {direction}"] = digest(values)
    references[name] = entry
    print(name, len(text), t.get_vocab_size())

models = {
    "sp-unigram": raw,
    "sp-pairs": sentence_piece(model_type="bpe", vocab_size=SIZE + 256, byte_fallback=True, character_coverage=0.98,
                               normalization_rule_name="identity", remove_extra_whitespaces=False,
                               user_defined_symbols=["<sep>", "the a"]),
    "sp-letters": sentence_piece(model_type="char", vocab_size=200, normalization_rule_name="identity"),
    "sp-words": sentence_piece(model_type="word", vocab_size=200, normalization_rule_name="identity"),
}
for name, model in models.items():
    os.makedirs(f"{HERE}/Tokenizers/{name}", exist_ok=True)
    open(f"{HERE}/Tokenizers/{name}/tokenizer.model", "wb").write(model)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    # Control tokens are text to SentencePiece, and zero bytes end it.
    texts = [x for x in lines[:4000] if not any(sign in x for sign in ("<s>", "</s>", "<unk>", "\0"))]
    references[name] = {"ids": digest([x for text in texts for x in processor.encode(text)])}
json.dump({"skipped": skipped, "tokenizers": references}, open(f"{HERE}/encodings.json", "w"), ensure_ascii=False, indent=0)
