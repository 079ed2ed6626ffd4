"""`./dev package`: the release, in build/dist; docs/releasing.md describes it."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools import crates, jdk, setup, tally
from tools.allowances import tracked
from tools.console import die, note, say, step, warn
from tools.paths import BUILD, CARGO_TARGET, DEV, ROOT, ZIG
from tools.suites import gradle_command, symbol_counts
from tools.tally import Count

DIST = BUILD / "dist"
ARCHES = ("x86_64", "aarch64")
GPG_KEY = "EMRKEYS_GPG_KEY"
"""The environment variable with the key that signs SHA256SUMS."""
_POM = """\
<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://maven.apache.org/POM/4.0.0 http://maven.apache.org/xsd/maven-4.0.0.xsd">
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.emrkeys</groupId>
  <artifactId>emrkeys</artifactId>
  <version>{version}</version>
  <name>emrkeys</name>
  <description>Encryption keys for Amazon EMR and for Hadoop on S3</description>
  <licenses>
    <license>
      <name>Apache-2.0</name>
      <url>https://www.apache.org/licenses/LICENSE-2.0.txt</url>
    </license>
  </licenses>
</project>
"""


def version() -> str:
    return re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def run(arches: Sequence[str]) -> bool:
    """Builds the release for these architectures. Whether its libraries load where they must and all checksums fit."""
    setup.need_rust()
    builder = jdk.need_builder()
    setup.need_python()
    setup.need_cross(list(arches))
    command = gradle_command("-Pshipped", f"-Parches={','.join(arches)}", "dist")
    if not step("package", f"release build for {', '.join(arches)}", command).ok:
        return False
    if any(count.failed for count in symbol_counts()):
        return False
    say("Maven repository, bill of materials, licences, checksums")
    linked = crates.shipped(list(arches))
    (DIST / "emrkeys.cdx.json").write_text(crates.cyclonedx(version(), linked, compilers(builder)))
    (DIST / "THIRD-PARTY-NOTICES.txt").write_text(crates.notices(linked))
    shutil.copyfile(ROOT / "LICENSE", DIST / "LICENSE")
    maven(DIST, version())
    write_checksums(DIST)
    if not sign(DIST):
        return False
    for file in sorted(file for file in DIST.rglob("*") if file.is_file() and file.stat().st_size > 100_000):
        note(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1e6:.1f} MB")
    return True


def compilers(builder: jdk.Java) -> dict[str, str]:
    """The programs that the bytes of the release depend on, with their versions."""
    commands = {
        "rustc": ("rustc", "--version"),
        "zig": (ZIG, "version"),
        "javac": (builder.home / "bin/javac", "-version"),
    }
    done = {
        name: subprocess.run(command, capture_output=True, text=True, check=True) for name, command in commands.items()
    }
    return {name: one.stdout.strip() for name, one in done.items()}


def maven(folder: Path, release: str) -> None:
    """Lays the jars out as a Maven repository, `maven/`, with a POM; the jar itself stays where it was, too."""
    target = folder / "maven/org/emrkeys/emrkeys" / release
    target.mkdir(parents=True, exist_ok=True)
    base = f"emrkeys-{release}"
    shutil.copyfile(folder / f"{base}.jar", target / f"{base}.jar")
    for kind in ("sources", "javadoc"):
        shutil.move(folder / f"{base}-{kind}.jar", target / f"{base}-{kind}.jar")
    (target / f"{base}.pom").write_text(_POM.format(version=release))
    # Maven compares these, and warns without them; SHA256SUMS is what a person checks.
    for file in sorted(target.iterdir()):
        for algorithm in ("sha1", "sha256"):
            digest = hashlib.new(algorithm, file.read_bytes()).hexdigest()
            file.with_name(f"{file.name}.{algorithm}").write_text(digest)


def write_checksums(folder: Path) -> None:
    """SHA256SUMS of every file, as sha256sum writes it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("SHA256SUMS"))
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n" for file in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def reproducible() -> Sequence[Count]:
    """Builds the release here and in another folder: the same sources and compilers give the same bytes."""
    second = BUILD / "second/another-name"
    shutil.rmtree(second, ignore_errors=True)
    for name in tracked():
        copy = second / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy)
    (second / ".dev").symlink_to(DEV.resolve())
    for number, folder in enumerate((ROOT, second), 1):
        environment = {"CARGO_TARGET_DIR": str(CARGO_TARGET) if folder == ROOT else None, GPG_KEY: None}
        title = f"release build {number} of 2"
        if not step(f"package-{number}", title, ("./dev", "package"), folder=folder, environment=environment).ok:
            return [tally.check("reproducible release", False)]
    differing = differences(DIST, second / "build/dist")
    for name in differing:
        warn(f"{name} differs between two builds of the release")
    return [tally.check("reproducible release", not differing)]


def differences(first: Path, second: Path) -> list[str]:
    """The files that only one of two releases has, or that differ, by their SHA256SUMS."""
    lines = (set((folder / "SHA256SUMS").read_text().splitlines()) for folder in (first, second))
    return sorted({line.split("  ", 1)[1] for line in set.symmetric_difference(*lines)})


def sign(folder: Path) -> bool:
    """Signs SHA256SUMS if a key is configured. Whether that succeeded, or was not asked for."""
    key = os.environ.get(GPG_KEY)
    signature = folder / "SHA256SUMS.asc"
    signature.unlink(missing_ok=True)
    if not key:
        note(f"not signed: {GPG_KEY} names no key")
        return True
    if not shutil.which("gpg"):
        die(f"gpg is missing, and {GPG_KEY} asks for a signature")
    options = ("--batch", "--armor", "--local-user", key, "--output", signature)
    return step("sign", f"signature by {key}", ("gpg", *options, "--detach-sign", folder / "SHA256SUMS")).ok
