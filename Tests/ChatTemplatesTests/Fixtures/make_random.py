"""Random templates from a grammar with Jinja2's outputs, to find where the engine here differs.

    python Tests/ChatTemplatesTests/Fixtures/make_random.py --seed 1 --count 5000 .build/random.json
    MALMOI_TEMPLATE_REFERENCES=.build/random.json swift test --filter ChatTemplatesTests

What it found is kept, by hand, in found.json.
"""
import argparse
import json
import random
import warnings

from jinja_reference import case

warnings.filterwarnings("ignore")

VARIABLES = {
    "s": "Hello, World",
    "t": "  <b>한글</b> é\n\ttwo \"q\" 'p'  ",
    "e": "",
    "n": 7,
    "m": -3,
    "f": 2.5,
    "big": 1e16,
    "yes": True,
    "no": False,
    "nil": None,
    "l": [3, 1, 2],
    "ls": ["b", "A", "c", "a", ""],
    "mix": [1, "1", 1.0, None, True, [2], {"k": "v"}],
    "d": {"b": 1, "a": [1, 2], "items": "x", "C": None},
    "o": {"name": "n", "f": {"g": [{"h": "deep"}]}},
    "rows": [{"id": 2, "name": "x", "on": True}, {"id": 1, "name": "Y", "on": False}, {"id": 3, "name": "y"}],
}
NAMES = [*VARIABLES, "missing"]
STRINGS = ["", "a", "l", "o, W", "%s", "%d-%s", "{}", "{0}{1}", "b", " ", "\\n", "<>&", "id", "name", "한", "A1", "3", " 4.5 "]
FILTERS = [
    "upper", "lower", "trim", "length", "list", "string", "tojson", "first", "last", "join", "sort", "unique", "min",
    "max", "reverse", "items", "dictsort", "int", "float", "abs", "capitalize", "title", "safe", "default", "round",
    "sum", "count", "escape", "e", "wordcount", "map", "select", "reject",
]
CALLED = [
    "join(', ')", "join(s)", "default('d')", "default('d', true)", "replace('l', 'L')", "replace('', '-', 2)",
    "map('upper')", "map(attribute='id')", "map(attribute='zz', default='?')", "selectattr('on')", "rejectattr('on')",
    "selectattr('id', 'gt', 1)", "selectattr('on', 'defined')", "selectattr('name', 'equalto', 'x')", "select('string')",
    "reject('none')", "select('in', [1, 'a'])", "sort(reverse=true)", "sort(attribute='id')",
    "sort(case_sensitive=true)", "unique(case_sensitive=true)", "tojson(indent=2)", "tojson(ensure_ascii=true)",
    "tojson(sort_keys=true, separators=(',', ':'))", "indent(2)", "indent(3, true)", "indent(width='>', blank=true)",
    "batch(2)", "batch(2, 'x')", "int(5)", "int(base=16)", "float(1.5)", "round(1)", "round(0, 'floor')", "truncate(5)",
    "truncate(8, true, '…', 0)", "format(1, 'x')", "center(14)", "trim('H ')", "attr('upper')", "dictsort(by='value')",
    "dictsort(reverse=true)", "groupby('on')", "sum(attribute='id')", "sum(start=2)", "min(attribute='id')", "map('tojson')", "map('int')", "map('length')",
]
METHODS = [
    "upper()", "lower()", "title()", "strip()", "lstrip('He')", "rstrip()", "split()", "split(',')", "split('l', 1)",
    "rsplit('l', 1)", "rsplit(None, 1)", "splitlines()", "startswith('H')", "endswith(('d', 'x'))", "replace('l', '')",
    "find('o')", "rfind('o')", "count('l')", "join(ls)", "format(n, s)", "format(name=s)", "get('a')", "get('zz', 1)",
    "items()", "keys()", "values()", "capitalize()", "swapcase()", "zfill(5)", "center(20, '*')", "ljust(15)", "rjust(15)",
    "isdigit()", "isalpha()", "isupper()", "partition(',')", "rpartition('l')", "removeprefix('He')", "removesuffix('d')",
    "index(1)", "copy()", "append(1)", "pop()", "update({})", "isspace()", "istitle()",
]
TESTS = [
    "defined", "undefined", "none", "string", "number", "integer", "float", "mapping", "sequence", "iterable", "boolean",
    "true", "false", "odd", "even", "lower", "upper", "callable", "divisibleby(2)", "divisibleby 3", "eq(1)", "in [1, 'a']",
    "equalto('x')", "sameas true", "sameas(none)", "gt 2", "filter", "escaped", "in l", "ne 'a'",
]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


class Grammar:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, options):
        return self.random.choice(options)

    def atom(self):
        kind = self.random.randrange(8)
        if kind < 4:
            return self.pick(NAMES)
        if kind == 4:
            return self.pick(["0", "1", "2", "-1", "10", "1.5", "0.1", "1e3", "3.0", "true", "false", "none"])
        if kind == 5:
            return self.pick(["loop.index", "loop.first", "loop.last", "x", "k", "v", "ns.a", "ns", "range(3)", "range(5, 0, -2)", "mac(1)", "mac"])
        return self.pick("'\"").join(["", self.pick(STRINGS).replace("\"", ""), ""]) if self.random.random() < 0.5 else repr(self.pick(STRINGS)).replace("\\\\", "\\")

    def expression(self, depth):
        if depth <= 0:
            return self.atom()
        a, b, c = (lambda: self.expression(depth - 1 - self.random.randrange(2)),) * 3
        kind = self.random.randrange(20)
        if kind < 5:
            return f"{a()} {self.pick(BINARY)} {b()}"
        if kind == 5:
            return f"({a()})"
        if kind == 6:
            return f"({a()} if {b()} else {c()})" if self.random.random() < 0.7 else f"({a()} if {b()})"
        if kind < 10:
            return f"{a()}|{self.pick(FILTERS)}" if self.random.random() < 0.5 else f"{a()}|{self.pick(CALLED)}"
        if kind == 10:
            return f"{a()} is {self.pick(['', 'not '])}{self.pick(TESTS)}"
        if kind == 11:
            return f"not {a()}"
        if kind == 12:
            return f"-{a()}"
        if kind == 13:
            return "[" + ", ".join(self.expression(depth - 2) for _ in range(self.random.randrange(4))) + "]"
        if kind == 14:
            return "{" + ", ".join(f"{self.atom()}: {self.expression(depth - 2)}" for _ in range(self.random.randrange(3))) + "}"
        if kind == 15:
            return "(" + ", ".join(self.expression(depth - 2) for _ in range(self.random.randrange(3))) + ",)"
        if kind == 16:
            return f"({a()})[{self.expression(depth - 2)}]"
        if kind == 17:
            bounds = [self.pick(["", "", "1", "-1", "2", "-2", "0", "n", "5"]) for _ in range(3)]
            return f"({a()})[{':'.join(bounds[:self.random.choice([2, 3])])}]"
        if kind == 18:
            return f"({a()}).{self.pick(METHODS)}"
        return f"{self.pick(NAMES)}.{self.pick(['a', 'b', 'name', 'f.g', 'items', 'f.g[0].h', '0', '1', 'zz'])}"

    def tag(self, text):
        return "{%" + self.pick(["", "", "-", "+"]) + f" {text} " + self.pick(["", "", "-", "+"]) + "%}"

    def output(self, depth):
        return "{{" + self.pick(["", "", "-"]) + f" {self.expression(depth)} " + self.pick(["", "", "-"]) + "}}"

    def text(self):
        return self.pick(["", " ", "\n", "  \n  ", "x", " y ", "\n\n", "\t", "{# c #}", "{#- c -#}\n", "\r\n"])

    def body(self, depth):
        return "".join(self.text() + self.statement(depth - 1) for _ in range(self.random.randrange(1, 3))) + self.text()

    def statement(self, depth):
        if depth <= 0:
            return self.output(self.random.randrange(1, 4))
        kind = self.random.randrange(13)
        e = lambda: self.expression(self.random.randrange(3))
        t = self.tag
        if kind < 4:
            return self.output(self.random.randrange(1, 4))
        if kind == 4:
            other = t(f"elif {e()}") + self.body(depth) if self.random.random() < 0.4 else ""
            other += t("else") + self.body(depth) if self.random.random() < 0.5 else ""
            return t(f"if {e()}") + self.body(depth) + other + t("endif")
        if kind in (5, 6):
            condition = f" if {e()}" if self.random.random() < 0.4 else ""
            target = self.pick(["x", "x", "k, v", "s"])
            over = self.pick([e(), "l", "ls", "rows", "d.items()", "d", "range(4)", "s[:4]", "d|items", "d|dictsort"])
            other = t("else") + self.body(depth) if self.random.random() < 0.2 else ""
            leave = t(f"if {e()}") + t(self.pick(["break", "continue"])) + t("endif") if self.random.random() < 0.3 else ""
            return t(f"for {target} in {over}{condition}") + self.body(depth) + leave + self.body(1) + other + t("endfor")
        if kind == 7:
            return t(f"set {self.pick(['x', 's', 'q', 'x, k', 'ns.a', 'ns.b', 'n', 'missing', 'bogus.a'])} = {e()}")
        if kind == 8:
            filters = self.pick(["", "", " | upper", " | trim | length"])
            return t(f"set {self.pick(['x', 'q', 's'])}{filters}") + self.body(depth) + t("endset")
        if kind == 9:
            return t(f"macro mac(p, s={e()}, z=p)") + self.body(depth) + self.pick(["{{ p }}", "{{ s }}{{ z }}", "{{ varargs }}", "{{ kwargs }}"]) + t("endmacro")
        if kind == 10:
            return t(f"filter {self.pick(FILTERS)}") + self.body(depth) + t("endfilter")
        if kind == 11:
            return t("generation") + self.body(depth) + t("endgeneration")
        return "{{ mac(" + self.pick(["", "1", "1, s=2", "p=n", "1, 2, 3", "1, 2, 3, 4", "q=1, p=2", "*l", "**o"]) + ") }}"

    def template(self):
        start = "{% set ns = namespace(a=1) %}" if self.random.random() < 0.7 else ""
        return start + "".join(self.text() + self.statement(self.random.randrange(4)) for _ in range(self.random.randrange(1, 4))) + self.text()


def is_stable(reference):
    """Whether the output is the same in every run of Python: addresses of objects are not."""
    return " at 0x" not in reference.get("output", "") and "<function" not in reference.get("output", "") and "built-in" not in reference.get("output", "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    grammar = Grammar(options.seed)
    cases = [case(f"random {number}", grammar.template(), VARIABLES) for number in range(options.count)]
    cases = [reference for reference in cases if is_stable(reference)]
    with open(options.output, "w") as file:
        json.dump(cases, file, ensure_ascii=False)
    print(len(cases), "cases,", sum("output" not in case for case in cases), "refused")


main()
