"""The checks that need no test run: formatting, lints, and the tools' own tests."""

from collections.abc import Sequence

from tools import tally
from tools.console import step
from tools.paths import RESULTS, VENV_PYTHON
from tools.schedule import Job
from tools.tally import Count


def fast_jobs() -> list[Job]:
    """Checks that take seconds."""
    return [
        Job("formatting", _formatting, load=0.5),
        Job("tools", _tools, needs=("Python packages",), load=0.5),
    ]


def clippy_job(needs: tuple[str, ...] = ()) -> Job:
    return Job("clippy", _clippy, needs=needs)


def _formatting() -> Sequence[Count]:
    lock = step("lock", "Cargo.lock is there and up to date", ("cargo", "metadata", "--locked", "--format-version", "1"))
    fmt = step("fmt", "cargo fmt --check", ("cargo", "fmt", "--all", "--check"))
    return [tally.check("Cargo.lock", lock.ok), tally.check("cargo fmt", fmt.ok)]


def _clippy() -> Sequence[Count]:
    command = ("cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings")
    return [tally.check("cargo clippy", step("clippy", "cargo clippy", command).ok)]


def _tools() -> Sequence[Count]:
    report = RESULTS / "tools.xml"
    report.unlink(missing_ok=True)
    command = (VENV_PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tools/tests")
    done = step("tools", "tests of tools/", command)
    return [tally.junit("tools", done.status, [report])]
