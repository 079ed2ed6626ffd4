"""Finds blocks of code that stand in two places, with jscpd.

`python -m tools.clones` checks; see `allowances` for the options. jscpd is installed by npm into .dev/npm.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.allowances import Fault, main
from tools.paths import DEV, ROOT

VERSION = "5.3.2"
JSCPD = DEV / "npm/node_modules/.bin/jscpd"
RULE = "block that stands in two places"
_FOLDERS = ("rust", "java", "tests", "tools")
_MIN_LINES = 10
_MIN_TOKENS = 100
"""Below this, mostly the frames of tests are alike."""
_IMPORT = re.compile(r"\s*(?:$|import |package |use |from )")


def installed() -> bool:
    manifest = DEV / "npm/node_modules/jscpd/package.json"
    return manifest.is_file() and json.loads(manifest.read_text())["version"] == VERSION


def find() -> list[Fault]:
    """Each block counts once, for the place that jscpd names first."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--min-lines", str(_MIN_LINES), "--min-tokens", str(_MIN_TOKENS), "--silent"]
        command = [JSCPD, *_FOLDERS, *options, "--reporters", "json", "--output", folder]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        report = json.loads((Path(folder) / "jscpd-report.json").read_text())
    return [_fault(clone["firstFile"], clone["secondFile"]) for clone in report["duplicates"] if _is_logic(clone)]


def _is_logic(clone: dict) -> bool:
    """Whether enough of the block is something else than imports, which two files may share."""
    lines = [line for line in clone["fragment"].splitlines() if not _IMPORT.match(line)]
    return len(lines) >= _MIN_LINES


def _fault(first: dict, second: dict) -> Fault:
    return Fault(RULE, _path(first["name"]), first["start"], f"as {_path(second['name'])}:{second['start']}")


def _path(name: str) -> str:
    """jscpd names files from the root, or from one of the folders that it was given."""
    candidates = (Path(name), *(Path(folder, name) for folder in _FOLDERS))
    found = next((path for path in candidates if (ROOT / path).is_file()), Path(name))
    return str(found.relative_to(ROOT) if found.is_absolute() else found)


if __name__ == "__main__":
    sys.exit(main("clones", [RULE], find))
