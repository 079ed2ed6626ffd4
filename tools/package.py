"""`./dev package`: the release, in build/dist."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tools import jdk, setup
from tools.console import die, note, step
from tools.paths import BUILD
from tools.suites import gradle_command, symbol_counts

DIST = BUILD / "dist"
ARCHES = ("x86_64", "aarch64")


def run(arches: Sequence[str]) -> bool:
    """Builds the release for these architectures. Whether its libraries load where they must and all checksums fit."""
    setup.need_rust()
    jdk.need_builder()
    setup.need_python()
    setup.need_cross(list(arches))
    command = gradle_command("-Pshipped", f"-Parches={','.join(arches)}", "dist")
    if not step("package", f"release build for {', '.join(arches)}", command).ok:
        return False
    if any(count.failed for count in symbol_counts()):
        return False
    wrong = checksum_problems(DIST)
    if wrong:
        die(f"SHA256SUMS does not fit: {', '.join(wrong)}")
    for file in sorted([*DIST.glob("*.jar"), *DIST.glob("emrkeys*")]):
        if file.is_file():
            note(f"build/dist/{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    return True


def checksum_problems(folder: Path) -> list[str]:
    """The files that SHA256SUMS lists with another checksum, or that are missing."""
    wrong = []
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        expected, name = line.split("  ", 1)
        file = folder / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            wrong.append(name)
    return wrong
