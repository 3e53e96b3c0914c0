"""Random Unicode text that Python and Swift (ReferenceText.swift) make alike, and hashes of token ids."""
import json
import pathlib

HERE = pathlib.Path(__file__).parent
TABLES = json.loads((HERE / "random-text.json").read_text())
MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % bound


def random_line(number):
    ranges, snippets = TABLES["ranges"], TABLES["snippets"]
    random = SplitMix64(number)
    parts = []
    for _ in range(1 + random.below(24)):
        if random.below(3) == 0:
            parts.append(snippets[random.below(len(snippets))])
            continue
        low, high = ranges[random.below(len(ranges))]
        for _ in range(1 + random.below(4)):
            code = low + random.below(high - low + 1)
            parts.append("\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code))
    return "".join(parts)


def fnv1a(ids):
    """64-bit FNV-1a over the ids as little-endian 32-bit integers."""
    state = 0xCBF29CE484222325
    for token in ids:
        for byte in (token & 0xFFFFFFFF).to_bytes(4, "little"):
            state = ((state ^ byte) * 0x100000001B3) & MASK
    return state


def line_hashes(all_ids):
    """The low 32 bits of each line's hash as one hexadecimal string, eight digits a line."""
    return "".join(f"{fnv1a(ids) & 0xFFFFFFFF:08x}" for ids in all_ids)
