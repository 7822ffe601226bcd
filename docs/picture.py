"""Draws docs/picture.svg from a real run in an empty folder, against the sandbox.

    python docs/picture.py PROGRAM [--check]

It needs the AWS CLI on the PATH, or beside the Python that runs it (sandbox/requirements-test.txt). Of what the commands print, the
lines that are marked in `SCENES` are shown, and `...` for the others. With `--check` nothing is written: the exit code is 1 if
the picture that exists shows other lines. Addresses on loopback differ from run to run and are not compared.
"""

import os
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parent / "picture.svg"
STACK = "name: shop\nregion: eu-central-1\ncluster: {}\napp: {}\n"
PROGRAM_OF_APP = """\
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Welcome\\n")


ThreadingHTTPServer(("", 8000), Shop).serve_forever()
"""
DOCKERFILE = 'FROM python:3.13-slim\nCOPY shop.py .\nUSER 1000\nCMD ["python", "shop.py"]\n'
ROUTE_TABLE = "aws ec2 describe-route-tables --filters Name=tag:provisioner:resource,Values=network/route-table/public --query RouteTables[0].RouteTableId --output text"

# What is shown as typed, what is run if it differs, and the lines that are shown.
SCENES = [
    ("cat stack.yaml", None, [r".*"]),
    (
        "provisioner up --sandbox --yes",
        None,
        [
            r"Plan for .*",
            r"(backend|network|cluster|application)",
            r"  \+ (network/vpc|network/nat-gateway/eu-central-1a|cluster/eks|cluster/node-group/default|application/image|application/ingress/.*) .*",
            r"\d+ to create.*",
            r"shop in .*",
            r"http://.*",
        ],
    ),
    ("curl $(provisioner url --sandbox)", None, [r"Welcome"]),
    (
        "aws ec2 delete-route --destination-cidr-block 0.0.0.0/0 --route-table-id rtb-...",
        f"aws ec2 delete-route --destination-cidr-block 0.0.0.0/0 --route-table-id $({ROUTE_TABLE})",
        [],
    ),
    ("provisioner plan --sandbox", None, [r"network", r"  \+ network/route/public .*", r"\d+ to create.*"]),
    ("provisioner up --sandbox --yes", None, [r"shop in .*"]),
    ("provisioner down --sandbox --yes", None, [r"shop in .*", r"proof: a query .*"]),
]

COLUMNS = 100
LINE, CHARACTER, EDGE = 19, 8.0, 20


def transcript(program):
    """The lines of the picture."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        programs, place = Path(folder) / "bin", Path(folder) / "shop"
        programs.mkdir()
        (programs / "provisioner").symlink_to(Path(program).resolve())
        (place / "app").mkdir(parents=True)
        (place / "stack.yaml").write_text(STACK)
        (place / "app/shop.py").write_text(PROGRAM_OF_APP)
        (place / "app/Dockerfile").write_text(DOCKERFILE)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment["PATH"] = f"{programs}:{Path(sys.executable).parent}:{environment['PATH']}"

        def shell(command):
            script = f'set -euo pipefail\n[ ! -e state ] || eval "$(provisioner sandbox env)"\n{command}'
            ended = subprocess.run(["bash", "-c", script], cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if ended.returncode:
                sys.exit(f"{command}: exit code {ended.returncode}\n{ended.stdout}")
            return ended.stdout.splitlines()

        try:
            for typed, command, wanted in SCENES:
                lines += [f"$ {typed}", *shortened(shell(command or typed), wanted), ""]
        finally:
            subprocess.run(["provisioner", "sandbox", "stop"], cwd=place, env=environment, capture_output=True)
    return lines[:-1]


def shortened(lines, wanted):
    """The lines that are wanted; `...` where others that belong to a list of changes are left out."""
    shown = []
    for line in lines:
        if any(re.fullmatch(pattern, line) for pattern in wanted):
            shown.append(line.rstrip())
        elif re.match(r"  [+~-] ", line) and shown and shown[-1] != "  ...":
            shown.append("  ...")
    return shown


def wrapped(line):
    """The line, folded at a word as a terminal of this width shows it."""
    while len(line) > COLUMNS:
        at = line.rfind(" ", 0, COLUMNS)
        yield line[:at]
        line = "    " + line[at + 1 :]
    yield line


def classes(line):
    for pattern, name in [(r"\$ ", "typed"), (r"  \+ .*\[drift\]", "drift"), (r"  \+ ", "create"), (r"(backend|network|cluster|application)$", "head"), (r"  \.\.\.", "less")]:
        if re.match(pattern, line):
            return f' class="{name}"'
    return ""


def svg(lines):
    rows = [(part, classes(line)) for line in lines for part in wrapped(line)]
    width, height = round(2 * EDGE + COLUMNS * CHARACTER), 2 * EDGE + 24 + LINE * len(rows)
    text = "\n".join(
        f'<text x="{EDGE}" y="{EDGE + 36 + LINE * row}"{of}>{escape(part)}</text>' for row, (part, of) in enumerate(rows) if part
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="provisioner on a terminal">
<!-- Written by docs/picture.py from a run. -->
<style>
text {{ font: 13.3px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d0d7de; white-space: pre; }}
.typed {{ fill: #ffffff; font-weight: bold; }}
.create {{ fill: #7ee787; }}
.drift {{ fill: #f2cc60; }}
.head {{ font-weight: bold; }}
.less {{ fill: #8b949e; }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>
<circle cx="{EDGE}" cy="{EDGE}" r="5" fill="#ff7b72"/><circle cx="{EDGE + 18}" cy="{EDGE}" r="5" fill="#f2cc60"/><circle cx="{EDGE + 36}" cy="{EDGE}" r="5" fill="#7ee787"/>
{text}
</svg>
"""


def compared(text):
    return re.sub(r"127\.\d+\.\d+\.\d+", "ADDRESS", text)


def main():
    program, *options = sys.argv[1:]
    drawn = svg(transcript(program))
    if options != ["--check"]:
        PICTURE.write_text(drawn)
    elif compared(drawn) != compared(PICTURE.read_text()):
        sys.exit("docs/picture.svg shows other lines; `python docs/picture.py PROGRAM` draws it")


if __name__ == "__main__":
    main()
