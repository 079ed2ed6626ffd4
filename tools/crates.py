"""The Rust crates in the release: their list in CycloneDX's format, and the texts of their licences.

The jar brings no Java library: a cluster has all that its classes refer to.
"""

import json
import re
import subprocess
import uuid
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from tools.paths import ROOT

SHIPPED = ("emrkeys-jni", "emrkeys-cli")
"""The crates whose artifacts are in the release."""
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
"""The one for URLs (RFC 9562, 6.6)."""
_LICENCE_FILE = re.compile(r"(?i)(licen[cs]e|copying|notice|unlicense|copyright)([-_.].*)?(?<!\.rs)")


@dataclass(frozen=True, order=True)
class Crate:
    """A crate from crates.io."""

    name: str
    version: str
    licence: str
    """An SPDX expression."""
    checksum: str
    """SHA-256 of the archive on crates.io, from Cargo.lock."""
    folder: Path
    direct: bool = False
    """Whether a crate of this project names it."""
    needs: tuple[str, ...] = ()
    """The purl of each crate that it links itself."""

    @property
    def purl(self) -> str:
        return _purl(self.name, self.version)


def shipped(arches: list[str]) -> list[Crate]:
    """The crates that are linked into the library or the tool on any of the architectures."""
    checksums = _checksums((ROOT / "Cargo.lock").read_text())
    found: dict[str, Crate] = {}
    for arch in arches:
        command = ["cargo", "metadata", "--locked", "--format-version", "1"]
        command += ["--filter-platform", f"{arch}-unknown-linux-gnu"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        for crate in _linked(json.loads(done.stdout), checksums):
            other = found.get(crate.purl, crate)
            needs = tuple(sorted({*crate.needs, *other.needs}))
            found[crate.purl] = replace(crate, direct=crate.direct or other.direct, needs=needs)
    return sorted(found.values())


def _linked(metadata: dict, checksums: dict[tuple[str, str], str]) -> list[Crate]:
    """Follows the dependencies that are neither for tests nor for build scripts; procedural macros are not linked."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [package["id"] for package in metadata["packages"] if package["name"] in SHIPPED]
    needs: dict[str, list[str]] = {}
    while waiting:
        if (one := waiting.pop()) in needs:
            continue
        needs[one] = [
            needed["pkg"]
            for needed in nodes[one]["deps"]
            if any(kind["kind"] is None for kind in needed["dep_kinds"])
            and not any("proc-macro" in target["kind"] for target in packages[needed["pkg"]]["targets"])
        ]
        waiting += needs[one]
    direct = {needed for one in needs if not packages[one]["source"] for needed in needs[one]}
    return [
        Crate(
            package["name"],
            package["version"],
            (package["license"] or "").replace(" / ", "/").replace("/", " OR "),
            checksums[package["name"], package["version"]],
            Path(package["manifest_path"]).parent,
            one in direct,
            tuple(sorted(_purl(packages[needed]["name"], packages[needed]["version"]) for needed in needs[one])),
        )
        for one, package in ((one, packages[one]) for one in needs)
        if package["source"]
    ]


def _purl(name: str, version: str) -> str:
    """https://github.com/package-url/purl-spec"""
    return f"pkg:cargo/{name}@{version}"


def _checksums(lock: str) -> dict[tuple[str, str], str]:
    """Name and version -> checksum, from Cargo.lock. Python reads TOML itself only since 3.11."""
    blocks = lock.split("[[package]]")
    fields = [dict(re.findall(r'^(name|version|checksum) = "(.*)"$', block, re.MULTILINE)) for block in blocks]
    return {(block["name"], block["version"]): block["checksum"] for block in fields if "checksum" in block}


def cyclonedx(version: str, crates: list[Crate], compilers: dict[str, str]) -> str:
    """The bill of materials of the release in CycloneDX 1.6, JSON. Without a time, so that it is reproducible.

    `compilers`: name -> version of each program that the bytes of the release depend on.
    """
    main = f"pkg:maven/org.emrkeys/emrkeys@{version}"
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": main,
                "group": "org.emrkeys",
                "name": "emrkeys",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "purl": main,
            },
            "properties": [{"name": f"emrkeys:compiler:{name}", "value": value} for name, value in compilers.items()],
        },
        "components": [
            {
                "type": "library",
                "bom-ref": crate.purl,
                "name": crate.name,
                "version": crate.version,
                "hashes": [{"alg": "SHA-256", "content": crate.checksum}],
                "licenses": [{"expression": crate.licence}],
                "purl": crate.purl,
            }
            for crate in crates
        ],
        "dependencies": [
            {"ref": main, "dependsOn": [crate.purl for crate in crates if crate.direct]},
            *({"ref": crate.purl, "dependsOn": list(crate.needs)} for crate in crates),
        ],
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(document, sort_keys=True))
    return json.dumps({**document, "serialNumber": f"urn:uuid:{serial}"}, indent=2) + "\n"


def notices(crates: list[Crate]) -> str:
    """All crates with their licences, then each text once with the crates that carry it."""
    texts = defaultdict(list)
    for crate in crates:
        for file in sorted(crate.folder.iterdir()):
            if file.is_file() and _LICENCE_FILE.fullmatch(file.name):
                texts[file.read_text(errors="replace").strip()].append(crate)
    lines = [
        "Third-party software in emrkeys",
        "",
        "The native library and the operator's tool contain the Rust standard library (MIT OR Apache-2.0,",
        "https://github.com/rust-lang/rust) and these crates (https://crates.io):",
        "",
        *(f"{crate.name} {crate.version}: {crate.licence}" for crate in crates),
    ]
    for text, carriers in sorted(texts.items(), key=lambda entry: entry[1]):
        names = ", ".join(f"{crate.name} {crate.version}" for crate in carriers)
        lines += ["", "-" * 80, names, "-" * 80, "", text]
    return "\n".join(lines) + "\n"
