"""`./dev demo [DIR]`: writes a folder to a local S3 under three kinds of key, reads it back, and compares."""

import subprocess
from pathlib import Path

from tools import jdk, jvm, schedule, setup, tally
from tools.console import attached, die, step
from tools.paths import BUILD, LOGS
from tools.schedule import Job
from tools.suites import BESIDE_CARGO, LIBRARY_AND_TOOL, gradle_command


def run(folder: Path) -> bool:
    """Whether everything came back as it was and no wrong key opened anything."""
    if not folder.is_dir():
        die(f"{folder} is not a folder")
    setup.need_rust()
    java = jdk.need_builder()
    if not _build():
        return False
    arguments = [str(folder)]
    # In a git checkout: what git tracks, not what happens to lie beside it.
    tracked = subprocess.run(["git", "-C", folder, "ls-files", "-z"], capture_output=True).stdout
    if tracked:
        files = BUILD / "demo-files"
        files.write_bytes(tracked)
        arguments = ["--files-from", str(files), *arguments]
    # The demo reports on standard output; what the libraries below it log goes to the log.
    return attached(jvm.command("demo", java, arguments), LOGS / "demo.log", jvm.ENVIRONMENT)


def _build() -> bool:
    """Compiles while Python packages and jars are downloaded."""

    def cargo() -> list[tally.Count]:
        done = step("cargo-build", "native library and operator's tool", LIBRARY_AND_TOOL)
        return [tally.check("library and tool", done.ok)]

    def gradle() -> list[tally.Count]:
        done = step(
            "demo-build",
            "the jar and the demo",
            gradle_command("e2eClasses", "demoRun"),
            environment=BESIDE_CARGO,
        )
        return [tally.check("jar", done.ok)]

    def python() -> list[tally.Count]:
        setup.need_python()
        return []

    jobs = [Job("library and tool", cargo), Job("jar", gradle, load=0), Job("Python packages", python, load=0)]
    return schedule.run(jobs, capacity=1, report=False).ok
