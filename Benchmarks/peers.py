"""The folder that peers.sh makes, and how its programs and Malmoi are run."""
import os
import subprocess
from pathlib import Path

MALMOI = Path(__file__).resolve().parent.parent / ".build/release/malmoi"


class Peers:
    """Paths of programs, models and texts."""

    def __init__(self, folder, malmoi=None, threads=None, build="build"):
        self.threads = threads
        self.build = build
        self.folder = Path(folder).resolve()
        self.malmoi = Path(malmoi or MALMOI).resolve()
        if not self.malmoi.exists():
            raise SystemExit(f"{self.malmoi} is not there: swift build -c release --product malmoi")
        if not self.folder.is_dir():
            raise SystemExit(f"{self.folder} is not there: Benchmarks/peers.sh {self.folder}")

    def ours(self, *arguments):
        """Runs Malmoi → standard output, standard error."""
        return run(self.malmoi, *arguments, *(["--threads", self.threads] if self.threads else []))

    def tool(self, name):
        return self.found("llama", self.build, "bin", name)

    def llama(self, tool, *arguments):
        """Runs a program of llama.cpp → standard output, standard error."""
        threads = ["-t", self.threads] if self.threads else []
        return run(self.tool(tool), *arguments, *threads)

    def llama_quantize(self, *arguments):
        """llama-quantize takes its threads as a last argument."""
        return run(self.tool("llama-quantize"), *arguments, *([self.threads] if self.threads else []))

    def model(self, name):
        return self.found("models", name)

    def text(self, name):
        return self.found(".", name)

    def found(self, *parts):
        path = self.folder.joinpath(*parts)
        if not path.exists():
            raise SystemExit(f"{path} is not there: Benchmarks/peers.sh {self.folder}")
        return str(path)


def run(*command):
    """What a command writes to standard output and standard error; its failure ends the program."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nfailed with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout, done.stderr


def write(path, text):
    """Writes a file that is never seen half done."""
    aside = f"{path}.partial"
    Path(aside).write_text(text, encoding="utf-8")
    os.replace(aside, path)
