"""What guessing ahead gains where text repeats, and what it costs elsewhere.

    python speculation.py MODEL [--draft-model MODEL] [--repetitions 7] [--output FOLDER]

Plain and speculative runs take turns, so that what else the machine does meets both; figures are medians, of the time
from the first token to the last and of processor time. Answers are compared byte for byte. Writes speculation.json and
speculation.md. No Python package is needed.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
from pathlib import Path

from peers import MALMOI, write

STORY = """The lighthouse stood at the end of the long stone pier, where the fishing boats came in every evening. Its
keeper, an old man named Samuel Hargrove, had lived there for forty years and knew every ship by the sound of its bell.
In the winter of 1912 a great storm broke the windows of the lantern room, and Samuel kept the lamp burning with his own
coat held against the wind. The next mornning the harbor master counted the boats, and not one of them was missing. The
town gave him a silver watch, which he kept in a drawer and never wore, because he said that the sea had no need of
clocks.""".replace("\n", " ")
LINES = "\n".join(f"{name}, {role}, {city}, {name.split()[0].lower()}@example.org" for name, role, city in [
    ("Anna Berg", "engineer", "Oslo"), ("Luis Ortega", "designer", "Madrid"), ("Mina Park", "engineer", "Seoul"),
    ("John Smith", "manager", "Leeds"), ("Chloe Martin", "writer", "Lyon"), ("Peter Novak", "engineer", "Brno"),
    ("Sara Rossi", "analyst", "Turin"), ("Emma Larsen", "manager", "Aarhus")])

# Name, prompt, further arguments. Greedy answers repeat themselves sooner or later; drawn ones are ordinary text.
REPEATING = [
    ("editing", "Copy the following text and correct the spelling mistakes in it. Answer with the corrected text only."
     "\n\n" + STORY, ["--temperature", 0]),
    ("extraction", "Repeat the following list exactly as it is, one person per line.\n\n" + LINES,
     ["--temperature", 0]),
]
ELSEWHERE = [
    ("story", "Tell me a long story about a fox and a clockmaker.", ["--temperature", 0.8, "--seed", 3]),
    ("explanation", "Explain in detail how a bicycle stays upright.", ["--temperature", 0.8, "--seed", 2]),
    # Runs of digits come again, and say nothing of what follows: the worst case.
    ("digits", "Write a long list of random numbers, each of ten digits.", ["--temperature", 1.2, "--seed", 4]),
    ("letter", "Write a letter to a friend about a journey by train.", ["--temperature", 0.8, "--seed", 8]),
]


def run(program, model, prompt, arguments, options):
    """An answer, its tokens per second, processor seconds, and what was guessed."""
    command = [program, "run", model, prompt, "--stats", "-n", options.tokens, "--repetition-penalty", 1, *arguments]
    if options.threads:
        command += ["--threads", options.threads]
    child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    answer, told = child.stdout.read(), child.stderr.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nfailed with {child.returncode}:\n{told[-2000:]}")
    tokens, rate = re.search(r"answer: (\d+) tokens at ([\d.]+)/s", told).groups()
    guesses = re.search(r"(\d+) of (\d+) guessed", told)
    return {"answer": answer, "tokens": int(tokens), "rate": float(rate), "processor": usage.ru_utime + usage.ru_stime,
            "accepted": int(guesses[1]) if guesses else 0, "drafted": int(guesses[2]) if guesses else 0}


def measure(program, name, prompt, arguments, options):
    kinds = {"plain": ["--speculate", "off"],
             "speculative": ["--draft-model", options.draft_model] if options.draft_model
             else ["--speculate", "lookup"]}
    runs = {kind: [] for kind in kinds}
    for round_ in range(options.repetitions):
        print(f"{name}: round {round_ + 1} of {options.repetitions}", flush=True)
        # Whoever begins changes with the rounds.
        for kind in sorted(kinds, reverse=round_ % 2 == 1):
            runs[kind].append(run(program, options.model, prompt, arguments + kinds[kind], options))
    answers = {one["answer"] for some in runs.values() for one in some}
    if len(answers) != 1:
        raise SystemExit(f"{name}: {len(answers)} different answers")

    def median(kind, figure):
        return statistics.median(one[figure] for one in runs[kind])

    return {
        "text": name, "tokens": runs["plain"][0]["tokens"],
        "plain": median("plain", "rate"), "speculative": median("speculative", "rate"),
        "ratio": median("speculative", "rate") / median("plain", "rate"),
        # Of neighbours in time, which a machine that others use makes steadier.
        "paired": statistics.median(b["rate"] / a["rate"] for a, b in zip(runs["plain"], runs["speculative"])),
        "best": max(one["rate"] for one in runs["speculative"]) / max(one["rate"] for one in runs["plain"]),
        "processor": median("plain", "processor") / median("speculative", "processor"),
        "drafted": median("speculative", "drafted"), "accepted": median("speculative", "accepted"),
        "rates": {kind: [one["rate"] for one in some] for kind, some in runs.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a name or a GGUF file")
    parser.add_argument("--draft-model", help="guesses in place of the look-up")
    parser.add_argument("--output", default=".", help="where speculation.json and speculation.md go")
    parser.add_argument("--malmoi", help="the program, if not that of the release build")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tokens", type=int, default=300, help="the most tokens of an answer")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--text", action="append", help="only this one; may be given again")
    parser.add_argument("--raw", action="store_true", help="for a model that cannot chat")
    options = parser.parse_args()
    program = str(Path(options.malmoi or MALMOI).resolve())
    raw = ["--raw"] if options.raw else []
    results = [measure(program, name, prompt, arguments + raw, options)
               for name, prompt, arguments in REPEATING + ELSEWHERE
               if options.text is None or name in options.text]
    lines = ["| text | tokens | plain | speculative | ratio | neighbours | best runs | processor | guesses right |",
             "|---|---|---|---|---|---|---|---|---|"]
    for one in results:
        lines.append(
            f"| {one['text']} | {one['tokens']} | {one['plain']:.1f}/s | {one['speculative']:.1f}/s | "
            f"× {one['ratio']:.2f} | × {one['paired']:.2f} | × {one['best']:.2f} | × {one['processor']:.2f} | "
            f"{one['accepted']:.0f} of {one['drafted']:.0f} |")
    Path(options.output).mkdir(parents=True, exist_ok=True)
    machine = {"processors": os.cpu_count(), "load": os.getloadavg()[0]}
    write(f"{options.output}/speculation.json", json.dumps(
        {"machine": machine, "model": Path(options.model).name, "draftModel": options.draft_model,
         "results": results}, indent=2) + "\n")
    write(f"{options.output}/speculation.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
