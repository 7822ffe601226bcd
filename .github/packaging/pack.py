"""Packs a built `provisioner` as a release: the binary, completions, manual pages, licence and a list of its parts.

    python3 .github/packaging/pack.py BINARY TARGET OUT

The binary must run on this machine: it writes completions and manual pages itself, and says its version. OUT gets
`provisioner-VERSION-TARGET.tar.gz` and the same name with `.sha256`. The same input gives the same bytes: times are
`SOURCE_DATE_EPOCH`, or that of the last commit. The list of parts is CycloneDX 1.6, from Cargo.lock and `cargo metadata`.
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPLETIONS = {
    "bash": "provisioner.bash",
    "zsh": "_provisioner",
    "fish": "provisioner.fish",
    "powershell": "_provisioner.ps1",
    "elvish": "provisioner.elv",
}


def said(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


def epoch():
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    return int(said("git", "log", "-1", "--format=%ct", cwd=ROOT))


def linked(metadata):
    """The packages that are part of the binary, or run while it is built: not those of tests only."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, open_ids = {}, [metadata["resolve"]["root"]]
    while open_ids:
        package = open_ids.pop()
        if package not in found:
            kinds = lambda dependency: {kind["kind"] for kind in dependency["dep_kinds"]}
            found[package] = sorted(one["pkg"] for one in nodes[package]["deps"] if kinds(one) & {None, "build"})
            open_ids += found[package]
    return found


def parts(target):
    """The list of the binary's parts, as CycloneDX."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(said(*command, cwd=ROOT))
    packages = {package["id"]: package for package in metadata["packages"]}
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    sums = {(one["name"], one["version"]): one.get("checksum") for one in locked}

    def reference(package):
        return f"pkg:cargo/{packages[package]['name']}@{packages[package]['version']}"

    def component(package):
        about = packages[package]
        entry = {"type": "library", "bom-ref": reference(package), "name": about["name"], "version": about["version"], "purl": reference(package)}
        if about["license"]:
            entry["licenses"] = [{"expression": about["license"].replace("/", " OR ")}]
        if checksum := sums.get((about["name"], about["version"])):
            entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return entry

    uses = linked(metadata)
    root = metadata["resolve"]["root"]
    components = sorted((component(package) for package in uses if package != root), key=lambda one: one["bom-ref"])
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**component(root), "type": "application"}},
        "components": components,
        "dependencies": sorted(
            ({"ref": reference(package), "dependsOn": sorted(map(reference, uses[package]))} for package in uses),
            key=lambda one: one["ref"],
        ),
    }
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, target + json.dumps(document))}"
    return json.dumps(document, indent=1) + "\n"


def contents(binary, target):
    """The files of the archive, with their modes."""
    yield "provisioner", Path(binary).read_bytes(), 0o755
    yield "LICENSE", (ROOT / "LICENSE").read_bytes(), 0o644
    yield "CHANGELOG.md", (ROOT / "docs/CHANGELOG.md").read_bytes(), 0o644
    yield "provisioner.cdx.json", parts(target).encode(), 0o644
    for shell, name in COMPLETIONS.items():
        yield f"completions/{name}", said(binary, "completions", shell).encode(), 0o644
    with tempfile.TemporaryDirectory() as folder:
        said(binary, "man", "--out", folder)
        for page in sorted(Path(folder).rglob("*.1")):
            yield f"man/man1/{page.name}", page.read_bytes(), 0o644


def main():
    binary, target, out = sys.argv[1:]
    binary = str(Path(binary).resolve())
    version = said(binary, "--version").split()[1]
    name = f"provisioner-{version}-{target}"
    time = epoch()
    archive = io.BytesIO()
    with gzip.GzipFile(fileobj=archive, mode="wb", filename="", mtime=time) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, data, mode in contents(binary, target):
                entry = tarfile.TarInfo(f"{name}/{path}")
                entry.size, entry.mode, entry.mtime = len(data), mode, time
                tar.addfile(entry, io.BytesIO(data))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    data = archive.getvalue()
    (folder / f"{name}.tar.gz").write_bytes(data)
    (folder / f"{name}.tar.gz.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  {name}.tar.gz\n")
    print(folder / f"{name}.tar.gz")


if __name__ == "__main__":
    main()
