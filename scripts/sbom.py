#!/usr/bin/env python3
"""Write what the program consists of: its bill of materials, and the licences of all code in it.

usage: sbom.py FOLDER     FOLDER gets capfilt.cdx.json (CycloneDX 1.6) and THIRD-PARTY-LICENSES.txt

The components are the crates that are linked into the program, the C and C++ code that these crates compile,
and Rust's standard library. libtorch is not a component, because the program loads it at run time.
The files depend on Cargo.lock and the version of Rust alone.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-gnu"
# Crates that compile C or C++ code when they are built, and that code: name, SPDX expression, files of its
# licence in the crate. The code of torch-sys is the crate's own.
NATIVE = {
    "bzip2-sys": ("bzip2", "bzip2-1.0.6", ["bzip2-*/LICENSE"]),
    "mozjpeg-sys": ("mozjpeg", "IJG AND BSD-3-Clause AND Zlib", ["LICENSE"]),
    "ring": ("boringssl", "Apache-2.0 AND ISC AND MIT", ["LICENSE-BoringSSL", "third_party/fiat/LICENSE"]),
    "torch-sys": None,
    "zstd-sys": ("zstd", "BSD-3-Clause", ["zstd/LICENSE"]),
}
COMPILERS = {"cc", "cmake", "nasm_rs", "autotools"}
LICENCE_FILE = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)([-_.].*)?$")
# Texts of licences that are refused, of crates that give a choice.
REFUSED_FILE = re.compile(r"(?i)gpl")


@dataclasses.dataclass(frozen=True)
class Part:
    """A component of the program, with the texts of its licence."""

    name: str
    version: str | None
    purl: str
    licence: str
    texts: tuple[str, ...] = ()
    sha256: str | None = None
    repository: str | None = None


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked():
    """Return (name, version) of all crates that are linked into the program, ours included."""
    edges = ("-e", "normal,no-proc-macro", "--target", TARGET)
    tree = run("cargo", "tree", "--locked", "-p", "capfilt", *edges, "--prefix", "none", "--format", "{p}")
    return {tuple(line.split(" ")[:2]) for line in tree.splitlines() if line}


def packages():
    """Return cargo's record of each third-party crate in the program, and the crates that it depends on."""
    metadata = json.loads(
        run("cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={TARGET}")
    )
    in_program, nodes = linked(), {node["id"]: node for node in metadata["resolve"]["nodes"]}
    return {
        package["id"]: (package, nodes[package["id"]]["deps"])
        for package in metadata["packages"]
        if package["source"] and (package["name"], f"v{package['version']}") in in_program
    }


def compiles(dependencies):
    """Whether a crate's build script has a compiler of C or C++."""
    return any(
        dependency["name"] in COMPILERS and any(kind["kind"] == "build" for kind in dependency["dep_kinds"])
        for dependency in dependencies
    )


def is_used(dependency, crates):
    """Whether a dependency is a part of the program, and not of a build script alone."""
    return dependency["pkg"] in crates and any(kind["kind"] is None for kind in dependency["dep_kinds"])


def texts_of(paths):
    """Texts without trailing spaces, so that equal licences are equal texts."""
    texts = []
    for path in paths:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        texts.append("\n".join(line.rstrip() for line in lines).strip("\n"))
    return tuple(texts)


def crate(package, checksums):
    folder = pathlib.Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and LICENCE_FILE.match(path.name))
    name, version = package["name"], package["version"]
    return Part(
        name,
        version,
        f"pkg:cargo/{name}@{urllib.parse.quote(version, safe='.-')}",
        re.sub(r"\s*/\s*", " OR ", package["license"]),
        texts_of(path for path in files if not REFUSED_FILE.search(path.name)),
        checksums[name, version],
        package["repository"],
    )


def native(package):
    """Return the C or C++ code of a crate; None if the code is the crate's own."""
    if package["name"] not in NATIVE:
        sys.exit(
            f"sbom: the build of the crate {package['name']} compiles C or C++ code. Name that code and its "
            f"licence in NATIVE of scripts/sbom.py."
        )
    if NATIVE[package["name"]] is None:
        return None
    name, licence, patterns = NATIVE[package["name"]]
    folder = pathlib.Path(package["manifest_path"]).parent
    files = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    if len(files) != len(patterns):
        sys.exit(f"sbom: {folder} lacks a file of {patterns}; correct NATIVE of scripts/sbom.py")
    # Some crates state the version of the code behind a plus sign.
    version = package["version"].partition("+")[2].removeprefix(f"{name}.") or None
    purl = f"pkg:generic/{name}" + (f"@{version}" if version else "")
    return Part(name, version, purl, licence, texts_of(files))


def standard_library():
    version = run("rustc", "--version").split()[1]
    return Part("rust-std", version, f"pkg:generic/rust-std@{version}", "MIT OR Apache-2.0")


def component(part):
    found = {"type": "library", "bom-ref": part.purl, "name": part.name}
    if part.version:
        found["version"] = part.version
    if part.sha256:
        found["hashes"] = [{"alg": "SHA-256", "content": part.sha256}]
    found |= {"licenses": [{"expression": part.licence}], "purl": part.purl}
    if part.repository:
        found["externalReferences"] = [{"type": "vcs", "url": part.repository}]
    return found


def bill(version, parts, edges):
    """The bill of materials. `edges`: for each package URL, those of the parts that the part uses."""
    main = f"pkg:generic/capfilt@{version}"
    components = [component(part) for part in parts]
    depends = {main: [part.purl for part in parts], **edges}
    depends = {ref: sorted(used) for ref, used in sorted(depends.items())}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([main, components, depends]))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": main,
                "name": "capfilt",
                "version": version,
                "licenses": [{"expression": "Apache-2.0"}],
                "purl": main,
            }
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": used} for ref, used in depends.items()],
    }


def licences(parts):
    """List of all parts, then each text once, with the parts that it belongs to."""
    owners = {}
    for part in parts:
        for text in part.texts:
            owners.setdefault(text, []).append(part)
    numbers = {text: number for number, text in enumerate(owners, 1)}
    lines = [
        "Code of others in the program capfilt: part, SPDX licence expression, numbers of the texts below.",
        "",
    ]
    for part in parts:
        of_part = ", ".join(str(numbers[text]) for text in dict.fromkeys(part.texts))
        version = f" {part.version}" if part.version else ""
        lines.append(f"{part.name}{version}: {part.licence}; {of_part or 'has no file with a text'}")
    for text, of_text in owners.items():
        names = ", ".join(dict.fromkeys(part.name for part in of_text))
        lines += ["", "=" * 80, f"Text {numbers[text]}, of {names}", "=" * 80, "", text]
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    lock = (ROOT / "Cargo.lock").read_text()
    entries = re.findall(r'(?m)^name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"$', lock)
    checksums = {(name, version): checksum for name, version, checksum in entries}
    found = packages()
    crates = {key: crate(package, checksums) for key, (package, _) in found.items()}
    edges = {
        part.purl: {crates[used["pkg"]].purl for used in found[key][1] if is_used(used, crates)}
        for key, part in crates.items()
    }
    parts = [*crates.values(), standard_library()]
    for key, (package, dependencies) in found.items():
        code = native(package) if compiles(dependencies) else None
        if code:
            parts.append(code)
            edges[crates[key].purl].add(code.purl)
    parts.sort(key=lambda part: part.purl)
    version = re.search(r'(?m)^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text()).group(1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "capfilt.cdx.json").write_text(json.dumps(bill(version, parts, edges), indent=1) + "\n")
    (folder / "THIRD-PARTY-LICENSES.txt").write_text(licences(parts))
    print(f"sbom: {len(parts)} parts in {folder}/capfilt.cdx.json")


if __name__ == "__main__":
    main()
