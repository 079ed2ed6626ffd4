"""Runs programs in Java that Gradle built: `python -m tools.jvm SUITE` runs a suite of tests.

Gradle's task `NAMERun` writes build/run/NAME.json: main class, class path, options. All that is common stands here.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools import jdk
from tools.paths import BUILD, RESULTS, ROOT, VENV_PYTHON

_STATE = tempfile.TemporaryDirectory(prefix="emrkeys-state-")
"""Where the operator's tool remembers keyrings. Lives as long as this process."""

ENVIRONMENT: dict[str, str | None] = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_PROFILE": None,
    "AWS_SESSION_TOKEN": None,
    "XDG_STATE_HOME": _STATE.name,
}
"""Keeps the user's own AWS configuration and state out of tests and benchmarks; None removes a variable."""


def command(
    name: str, java: jdk.Java, arguments: list[str], options: list[str] | None = None, main: str | None = None
) -> list[str]:
    """The command line of a program of which Gradle wrote build/run/NAME.json, or of another class `main` on its class
    path. `options` are the JVM's."""
    program = json.loads((BUILD / "run" / f"{name}.json").read_text())
    properties = {
        "emrkeys.test.python": str(VENV_PYTHON),
        "emrkeys.test.servers": str(ROOT / "tests/servers"),
        "emrkeys.test.keys": str(ROOT / "rust/crypto/tests/data"),
        "aws.java.v1.disableDeprecationAnnouncement": "true",
        **program["properties"],
    }
    return [
        str(java.home / "bin/java"),
        "-Xmx1g",
        *(["--enable-native-access=ALL-UNNAMED"] if java.version >= 24 else []),
        *program["jvmArgs"],
        *(options or []),
        *(f"-D{key}={value}" for key, value in properties.items()),
        "-cp",
        os.pathsep.join(program["classpath"]),
        *([main] if main else [program["main"], *program["args"]]),
        *arguments,
    ]


def jar(name: str) -> str:
    """The path of the jar that the program of this name runs with."""
    return json.loads((BUILD / "run" / f"{name}.json").read_text())["jar"]


def with_asan(folder: Path) -> list[str]:
    """The JVM's options for the library that has AddressSanitizer, which lies in this folder as in a jar."""
    # Its address space leaves no room for a heap that is placed at will, and other collectors for barriers.
    return ["-XX:+UseSerialGC", f"-Xbootclasspath/a:{folder}"]


@dataclass(frozen=True)
class Tests:
    """One run of a suite of JUnit tests."""

    suite: str
    java: jdk.Java
    classes: str = ""
    """A regular expression of the names of the classes; empty: all."""
    check_jni: bool = False
    """The JVM checks every call of the native code, which takes its time: generated cases are fewer."""
    sample: bool = False
    """The part of the suite that depends on the Java or the SDK; see tests/README.md."""
    properties: tuple[tuple[str, str], ...] = ()
    """System properties, such as `emrkeys.test.soak-seconds`."""
    asan: Path | None = None
    """A folder with the library that has AddressSanitizer, which is slow: generated cases are fewer."""

    @property
    def name(self) -> str:
        return f"{self.suite}-java{self.java.version}{'-checkjni' if self.check_jni else '-asan' if self.asan else ''}"

    @property
    def reports(self) -> Path:
        """The folder of the JUnit XML."""
        return RESULTS / self.name

    def prepare(self) -> list[str]:
        """Removes the reports of the last run and gives the command line."""
        shutil.rmtree(self.reports, ignore_errors=True)
        program = json.loads((BUILD / "run" / f"{self.suite}.json").read_text())
        arguments = [
            "execute",
            "--disable-banner",
            "--disable-ansi-colors",
            "--details=tree",
            "--fail-if-no-tests",
            f"--scan-classpath={os.pathsep.join(program['classes'])}",
            f"--reports-dir={self.reports}",
        ]
        if self.classes:
            arguments.append(f"--include-classname={self.classes}")
        properties = dict(self.properties)
        if self.sample:
            arguments.append("--exclude-tag=once")
            properties["emrkeys.test.cells"] = "sample"
        if self.check_jni or self.asan:
            properties["emrkeys.test.cases"] = "2000"
        options = ["-Xcheck:jni"] if self.check_jni else []
        if self.asan:
            options += with_asan(self.asan)
        options += [f"-D{key}={value}" for key, value in properties.items()]
        return command(self.suite, self.java, arguments, options)


def main() -> int:
    """For the Gradle tasks `SUITETests`, on the terminal."""
    parser = argparse.ArgumentParser(prog="tools.jvm", description="Runs a suite of tests that Gradle built.")
    parser.add_argument("suite")
    parser.add_argument("--java", type=Path, required=True, help="a java binary or a JAVA_HOME")
    parser.add_argument("--tests", default="", metavar="REGEX", help="the classes to run")
    parser.add_argument("--check-jni", action="store_true")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--soak-seconds")
    parser.add_argument("--tls-megabytes")
    chosen = parser.parse_args()
    home = jdk.home_of(chosen.java)
    given = {"soak-seconds": chosen.soak_seconds, "tls-megabytes": chosen.tls_megabytes}
    properties = tuple((f"emrkeys.test.{name}", value) for name, value in given.items() if value)
    tests = Tests(
        chosen.suite, jdk.Java(jdk.version_of(home), home), chosen.tests, chosen.check_jni, chosen.sample, properties
    )
    variables = {key: value for key, value in {**os.environ, **ENVIRONMENT}.items() if value is not None}
    return subprocess.run(tests.prepare(), cwd=ROOT, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main())
