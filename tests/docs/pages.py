"""Checks the documentation.

    python pages.py links                    every page is in the summary, every link and anchor resolves
    python pages.py commands PROGRAM         the program knows each command and option that a page shows
    python pages.py run PROGRAM PAGE         writes the files of a page into an empty folder, and runs its `sh` blocks there

A block whose first line is a comment with a path, such as `# app/shop.py`, is that file. The block `console` shows
commands after `$ ` with what they print; `sh` has commands only, and is run.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "docs"
OTHERS = ["README.md", "app/README.md", "manifests/README.md", "sandbox/README.md", "state/README.md", "tests/kube/README.md"]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def blocks(text):
    """The fenced blocks: language and lines."""
    for found in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```$", text):
        yield found[1], found[2].splitlines()


def prose(text):
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def anchors(text):
    """The anchors of the headings, as GitHub and mdBook form them."""
    seen = Counter()
    for heading in re.findall(r"(?m)^#+ (.*)$", prose(text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        yield anchor + (f"-{seen[anchor]}" if seen[anchor] else "")
        seen[anchor] += 1


def links():
    wrong = []
    pages = sorted(BOOK.rglob("*.md"))
    for page in pages + [ROOT / other for other in OTHERS if (ROOT / other).exists()] + sorted((ROOT / ".github").rglob("*.md")):
        text = prose(page.read_text())
        for link in LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            name = f"{page.relative_to(ROOT)}: {link}"
            if not target.exists():
                wrong.append(f"{name}: not found")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text()):
                wrong.append(f"{name}: no such heading")
            elif page.is_relative_to(BOOK) and not target.is_relative_to(BOOK):
                wrong.append(f"{name}: outside of the book; name the path without a link")
    summary = [BOOK / link for link in LINK.findall((BOOK / "SUMMARY.md").read_text())]
    wrong += [f"SUMMARY.md: {page.relative_to(BOOK)} is listed twice" for page, count in Counter(summary).items() if count > 1]
    wrong += [f"SUMMARY.md: {page.relative_to(BOOK)} is not listed" for page in pages if page not in [*summary, BOOK / "SUMMARY.md"]]
    return wrong


def shown(text):
    """The commands of a page, with continued lines joined."""
    for language, lines in blocks(text):
        if language not in ("console", "sh", "bash"):
            continue
        prompts = [line[2:] for line in lines if line.startswith("$ ")] if language == "console" else lines
        yield from "\n".join(prompts).replace("\\\n", " ").splitlines()


def provisioner_calls(line):
    """The calls of the program in a line of shell, as lists of arguments."""
    for found in re.finditer(r"(?:^|[|&;(]\s*)provisioner\s([^|&;)#]*)", line):
        words = shlex.split(found[1])
        yield words[: words.index(">")] if ">" in words else words


def commands(program):
    wrong, count = [], 0
    for page in [ROOT / "README.md", *sorted(BOOK.rglob("*.md"))]:
        for line in shown(page.read_text()):
            for words in provisioner_calls(line):
                count += 1
                ended = subprocess.run([program, *words, "--help"], capture_output=True, text=True)
                if ended.returncode:
                    wrong.append(f"{page.relative_to(ROOT)}: provisioner {' '.join(words)}: {ended.stderr.strip()}")
    print(f"{count} commands")
    return wrong if count > 20 else [*wrong, f"only {count} commands were found"]


def run(program, page):
    """Runs the blocks of a page in their order, in one shell each, in one empty folder."""
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        programs = Path(folder) / "bin"
        programs.mkdir()
        (programs / "provisioner").symlink_to(program)
        place = Path(folder) / "empty"
        place.mkdir()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment["PATH"] = f"{programs}:{Path(sys.executable).parent}:{environment['PATH']}"
        environment["KUBECONFIG"] = f"{folder}/kubeconfig"
        try:
            for language, lines in blocks((ROOT / page).read_text()):
                named = re.fullmatch(r"# ([\w./-]+\.\w+|[\w./-]*Dockerfile)(: .*)?", lines[0]) if lines else None
                if named:
                    file = place / named[1]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text("\n".join(lines[1:]) + "\n")
                elif language == "sh":
                    count += 1
                    script = "set -euo pipefail\n" + "\n".join(lines)
                    print("\n".join(f"$ {line}" for line in lines), flush=True)
                    ended = subprocess.run(["bash", "-c", script], cwd=place, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
                    if ended.returncode:
                        return [f"{page}: exit code {ended.returncode}"]
        finally:
            subprocess.run([program, "sandbox", "stop"], cwd=place, env=environment, capture_output=True)
    return [] if count else [f"{page}: no command was found"]


def main():
    what, *arguments = sys.argv[1:]
    wrong = {"links": links, "commands": commands, "run": run}[what](*arguments)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
