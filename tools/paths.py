"""Where the project keeps what is installed and built."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEV = ROOT / ".dev"
"""The place of all that ./dev installs."""
BUILD = ROOT / "build"
LOGS = BUILD / "logs"
RESULTS = BUILD / "test-results"
"""JUnit XML of every suite."""
CARGO_TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
VENV_PYTHON = DEV / "venv/bin/python"
"""The Python with the packages of the test servers."""
SPARK_PYTHON = DEV / "spark/bin/python"
NEWEST_SPARK_PYTHON = DEV / "spark-newest/bin/python"
"""The Python with the newest release of Spark, for a whole run alone."""
ZIG = DEV / "native/ziglang/zig"
TOOL = CARGO_TARGET / "debug/emrkeys"
"""The operator's tool as `cargo build` makes it."""


def relative(path: Path) -> str:
    """The path as a message shows it: from the project's root if it is below that."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
