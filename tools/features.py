"""Checks that the library, the tool and all tests share one compilation of each dependency.

Cargo compiles a crate again for each set of features, and dependencies of tests switch on more. Where the sets differ,
the AWS SDK is compiled twice, which takes minutes. The remedy is to ask for the missing features in Cargo.toml.
"""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence

from tools.paths import ROOT

BUILD = ("-p", "emrkeys-cli", "-p", "emrkeys-jni")
"""The packages that Gradle, demo and tests of the tool build."""
TESTS = ("--workspace",)
"""The packages whose tests are run. emrkeys-bench has none, but is built and linted with them."""

Features = dict[str, set[str]]
"""Name and version -> the sets of features with which it is compiled."""


def parse(tree: str) -> Features:
    """From lines of `cargo tree`: `name vVERSION (...)|feature,feature`. Crates of this project are left out."""
    found: Features = defaultdict(set)
    for line in tree.splitlines():
        package, _, features = line.partition("|")
        if package and f"({ROOT}" not in package:
            found[package.removesuffix(" (*)").removesuffix(" (proc-macro)")].add(features.removesuffix(" (*)"))
    return found


def differences(build: Features, tests: Features) -> list[str]:
    """A line for each crate that the tests compile again."""
    return [
        f"{name}: the tests need {sorted(tests[name])}, library and tool {sorted(features)}"
        for name, features in sorted(build.items())
        if name in tests and not features <= tests[name]
    ]


def _features(packages: Sequence[str], edges: str) -> Features:
    command = ["cargo", "tree", "--locked", *packages, "--prefix", "none", "-e", edges, "-f", "{p}|{f}"]
    return parse(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    found = differences(_features(BUILD, "normal,build"), _features(TESTS, "normal,build,dev"))
    print("\n".join(found) or "each dependency is compiled once")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
