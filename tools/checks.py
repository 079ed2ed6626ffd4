"""The checks that need no test run: formatting, lints, and the tools' own tests."""

import shutil
from collections.abc import Sequence

from tools import clones, packages, setup, tally
from tools.allowances import tracked
from tools.console import die, step, warn
from tools.paths import DEV, RESULTS, VENV_PYTHON
from tools.schedule import Job
from tools.tally import Count


def fast_jobs() -> list[Job]:
    """Checks that take seconds."""
    return [
        Job("formatting", _formatting, load=0.5),
        Job("tools", _tools, needs=("Python packages",), load=0.5),
        Job("style", _style, needs=("Python packages",), load=0.5),
        Job("licences", _deny, needs=("Python packages",), load=0.5),
    ]


def _formatting() -> Sequence[Count]:
    metadata = ("cargo", "metadata", "--locked", "--format-version", "1")
    lock = step("lock", "Cargo.lock is there and up to date", metadata)
    fmt = step("fmt", "cargo fmt --check", ("cargo", "fmt", "--all", "--check"))
    return [tally.check("Cargo.lock", lock.ok), tally.check("cargo fmt", fmt.ok)]


def _style() -> Sequence[Count]:
    """Features, import circles, wording, sizes, spelling: each check is a program of its own."""
    checks = {
        "features of crates": (VENV_PYTHON, "-m", "tools.features"),
        "import circles": (VENV_PYTHON, "-m", "tools.circles"),
        "wording and line length": (VENV_PYTHON, "-m", "tools.prose"),
        "sizes of files and functions": (VENV_PYTHON, "-m", "tools.sizes"),
        "spelling": (VENV_PYTHON, "-m", "codespell_lib", *tracked("*.md", "*.rs", "*.java", "*.py", "*.gradle", "dev")),
    }
    counts = [
        tally.check(title, step(f"style-{title.split()[0]}", title, command).ok) for title, command in checks.items()
    ]
    if not _need_jscpd():
        return [*counts, tally.skipped("repeated code")]
    done = step("style-clones", "repeated code", (VENV_PYTHON, "-m", "tools.clones"))
    return [*counts, tally.check("repeated code", done.ok)]


def _need_jscpd() -> bool:
    """Node.js is wanted for this check alone, so a machine without it goes without the check."""
    if clones.installed():
        return True
    if not shutil.which("npm"):
        warn("no npm (apt-get install npm), so the check for repeated code is skipped")
        return False
    install = ("npm", "install", "--no-audit", "--no-fund", "-E", "--prefix", DEV / "npm", f"jscpd@{clones.VERSION}")
    return step("npm", "installing jscpd into .dev/npm", install).ok


def _deny() -> Sequence[Count]:
    """Licences, bans and sources of all crates. Advisories need the network: `./dev check --release`."""
    deny = setup.cargo_deny()
    if deny is None:
        warn("no cargo-deny (cargo install cargo-deny), so licences and sources of crates are not checked")
        return [tally.skipped("cargo deny")]
    done = step("deny", "cargo deny check", (deny, "check", "licenses", "bans", "sources"))
    return [tally.check("cargo deny", done.ok)]


def advisories() -> Sequence[Count]:
    """Known vulnerabilities in crates, from RustSec's database on GitHub."""
    deny = setup.cargo_deny() or die("cargo-deny is missing: cargo install cargo-deny")
    done = step("advisories", "cargo deny check advisories", (deny, "check", "advisories"))
    return [tally.check("advisories", done.ok)]


def _tools() -> Sequence[Count]:
    packages.want("gpg", "gnupg", "verifies the signature of a release")
    report = RESULTS / "tools.xml"
    report.unlink(missing_ok=True)
    command = (VENV_PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tools/tests")
    done = step("tools", "tests of tools/", command)
    return [tally.junit("tools", done.status, [report])]
