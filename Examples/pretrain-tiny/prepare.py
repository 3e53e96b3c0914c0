"""Writes english.txt and korean.txt beside this file, out of Debian's packages.

    apt install bible-kjv libreoffice-help-ko     # or give --korean FOLDER, where that package was unpacked
    python3 prepare.py

english.txt is the King James Bible (public domain). korean.txt is the text of LibreOffice's help in Korean (MPL-2.0; its
authors are named in /usr/share/doc/libreoffice-help-ko/copyright).
"""
import argparse
import html.parser
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Paragraphs(html.parser.HTMLParser):
    """The text of headings, paragraphs and list entries of a help page's own part."""

    def __init__(self):
        super().__init__()
        self.found, self.open, self.skip = [], None, 0

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "style", "head", "footer", "nav", "aside"):
            self.skip += 1
        elif tag in ("p", "h1", "h2", "h3", "h4", "li", "td") and not self.skip:
            self.open = []

    def handle_endtag(self, tag):
        if tag in ("script", "style", "head", "footer", "nav", "aside"):
            self.skip = max(0, self.skip - 1)
        elif tag in ("p", "h1", "h2", "h3", "h4", "li", "td") and self.open is not None:
            text = re.sub(r"\s+", " ", "".join(self.open)).strip()
            if text:
                self.found.append(text)
            self.open = None

    def handle_data(self, data):
        if self.open is not None and not self.skip:
            self.open.append(data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--korean", default="/usr/share/libreoffice/help/ko", help="the folder of the help's pages")
    arguments = parser.parse_args()
    try:
        bible = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], check=True, capture_output=True, text=True).stdout
        (HERE / "english.txt").write_text(bible)
    except FileNotFoundError:
        print("bible is not installed: no english.txt (apt install bible-kjv)")
    pages = sorted(Path(arguments.korean).rglob("*.html"))
    if not pages:
        print(f"no pages in {arguments.korean}: no korean.txt (apt install libreoffice-help-ko)")
        return
    lines, seen = [], set()
    for page in pages:
        reader = Paragraphs()
        reader.feed(page.read_text(encoding="utf-8", errors="replace"))
        # Menus and notices stand on every page: a line is taken once, and where it has a Korean letter.
        for line in reader.found:
            if line not in seen and re.search("[가-힣]", line):
                seen.add(line)
                lines.append(line)
    (HERE / "korean.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


main()
