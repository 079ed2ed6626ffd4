"""Compiles the Rust tests with clippy in the place of rustc, so that the lints cost no compilation of their own.

`cargo clippy` would compile every crate once more, the AWS SDK included. Here the crates of others come from what
`cargo build` made; those of this project are compiled into a folder of their own, for Cargo gives the native library
the same name under both compilers.
"""

import os
import re
from pathlib import Path

from tools.paths import CARGO_TARGET

FOLDER = CARGO_TARGET / "linted"
ENVIRONMENT: dict[str, str | None] = {"RUSTC_WORKSPACE_WRAPPER": "clippy-driver", "CARGO_TARGET_DIR": str(FOLDER)}
"""For `cargo test`."""
_SHARED = (".fingerprint", "build", "deps")
"""The folders in which Cargo keeps a crate. It looks at each crate again, and compiles those that do not fit."""


def share(built: Path = CARGO_TARGET / "debug", linted: Path = FOLDER / "debug") -> None:
    """Links the compiled crates of others from one folder of Cargo's into another, where they are not there yet."""
    for kind in _SHARED:
        for folder, folders, files in os.walk(built / kind):
            folders[:] = [name for name in folders if not _ours(name)]
            target = linted / Path(folder).relative_to(built)
            target.mkdir(parents=True, exist_ok=True)
            for name in files:
                if not _ours(name) and not (target / name).exists():
                    os.link(Path(folder, name), target / name)


def _ours(name: str) -> bool:
    return name.removeprefix("lib").startswith("emrkeys")


def warnings(output: str) -> list[str]:
    """The crates of this project of which Cargo says that they have warnings, of clippy or of rustc. Cargo repeats the
    warnings of what it does not compile again."""
    return re.findall(r"^warning: (`[^`]+` \(.*?\)) generated \d+ warning", output, re.MULTILINE)
