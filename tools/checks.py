"""The checks that need no test run: formatting, lints, and the tools' own tests."""

from collections.abc import Sequence

from tools import tally
from tools.allowances import tracked
from tools.console import step
from tools.paths import RESULTS, VENV_PYTHON
from tools.schedule import Job
from tools.tally import Count


def fast_jobs() -> list[Job]:
    """Checks that take seconds."""
    return [
        Job("formatting", _formatting, load=0.5),
        Job("tools", _tools, needs=("Python packages",), load=0.5),
        Job("style", _style, needs=("Python packages",), load=0.5),
    ]


def clippy_job(needs: tuple[str, ...] = ()) -> Job:
    return Job("clippy", _clippy, needs=needs)


def _formatting() -> Sequence[Count]:
    metadata = ("cargo", "metadata", "--locked", "--format-version", "1")
    lock = step("lock", "Cargo.lock is there and up to date", metadata)
    fmt = step("fmt", "cargo fmt --check", ("cargo", "fmt", "--all", "--check"))
    return [tally.check("Cargo.lock", lock.ok), tally.check("cargo fmt", fmt.ok)]


def _clippy() -> Sequence[Count]:
    command = ("cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings")
    return [tally.check("cargo clippy", step("clippy", "cargo clippy", command).ok)]


def _style() -> Sequence[Count]:
    """Import circles, wording, sizes, spelling: each check is a program of its own."""
    checks = {
        "import circles": (VENV_PYTHON, "-m", "tools.circles"),
        "wording and line length": (VENV_PYTHON, "-m", "tools.prose"),
        "sizes of files and functions": (VENV_PYTHON, "-m", "tools.sizes"),
        "spelling": (VENV_PYTHON, "-m", "codespell_lib", *tracked("*.md", "*.rs", "*.java", "*.py", "*.gradle", "dev")),
    }
    return [
        tally.check(title, step(f"style-{title.split()[0]}", title, command).ok) for title, command in checks.items()
    ]


def _tools() -> Sequence[Count]:
    report = RESULTS / "tools.xml"
    report.unlink(missing_ok=True)
    command = (VENV_PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tools/tests")
    done = step("tools", "tests of tools/", command)
    return [tally.junit("tools", done.status, [report])]
