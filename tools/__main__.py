"""The command line of ./dev."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tools import bench, checks, demo, jdk, package, packages, schedule, setup, suites, tally
from tools.console import Failure, end_all, note, say, step, warn
from tools.paths import BUILD, CARGO_TARGET, ROOT
from tools.schedule import Run

USAGE = """\
usage: ./dev COMMAND

  demo [DIR]      writes DIR (this repository by default) to a local S3 under three kinds of key, reads it back,
                  compares
  test [PART…]    everything that has to pass; PART: check rust servers cli java e2e s3a spark
                  quick: lints, unit tests and one pass end to end, on one JDK
                  --full: the shipped library, aarch64 too, every suite whole on every JDK, long soak, 2 million
                  rows through Spark, a minute for each fuzz target, the library with AddressSanitizer
  check           formatting, lints, style, licences and checksums of dependencies: all that needs no test run;
                  --release: advisories for crates too, from GitHub
                  --memory: instead, the ciphers' tests under valgrind and AddressSanitizer
  bench NAME      a benchmark, result in build/bench/NAME.json; NAME: materials crypto objects kms cli convert
                  convert-spark spark tables
                  --java HOME: on another Java (NAME-javaN.json); --rounds N (kms: --objects N);
                  --chart: draws docs/*.svg from the results
                  cli: --rounds N, --objects N, --mebibytes N, --folder DIR; spark, tables: --rounds N, --rows N
  package         the release, for x86_64 and aarch64, in build/dist (--arch LIST: for these alone)
  setup           only installs what the other commands need
  gradle ARGS…    Gradle as this script found it, for what has no command here
  clean           removes what was built (build, target), not what was installed
  help            this text

Installed tools are in .dev/, results in build/ and target/; the log of every step is in build/logs/.
"""


class _Parser(argparse.ArgumentParser):
    """Ends with status 1, as every other failure does."""

    def __init__(self, command: str):
        super().__init__(prog=f"./dev {command}", usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False)
        self.add_argument("-h", "--help", action="store_true", dest="wants_help")

    def error(self, message: str) -> NoReturn:
        raise Failure(message)

    def parse_args(self, args=None, namespace=None):
        chosen = super().parse_args(args, namespace)
        if chosen.wants_help:
            print(USAGE, end="")
            raise SystemExit(0)
        return chosen


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _close(counted: tally.Tally) -> int:
    """Prints the sum; the exit status."""
    say("summary")
    for line in counted.table():
        note(line)
    print(counted.closing_line(), flush=True)
    return 0 if counted.ok else 1


def _test(arguments: Sequence[str], last: Run | None = None) -> int:
    """`last` runs after everything else and adds its counts."""
    parser = _Parser("test")
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--full", action="store_true")
    chosen = parser.parse_args(arguments)
    for part in chosen.parts:
        if part not in (*suites.PARTS, "quick"):
            parser.error(f"unknown part {part}; parts: {' '.join(suites.PARTS)}, or quick")
    quick = "quick" in chosen.parts
    parts = [part for part in chosen.parts if part != "quick"] or (suites.QUICK if quick else suites.PARTS)
    setup.need_rust()
    builder = jdk.need_builder()
    if {"check", "rust"} & set(parts):
        setup.need_lints()
    if chosen.full:
        setup.need_python()
        setup.need_cross(list(package.ARCHES))
    if not quick and {"java", "e2e"} & set(parts):
        setup.need_python()
        jdk.install_java8()
        if jdk.java8() is None:
            warn("no Java 8 found or installed: the suites are not run on it")
        if chosen.full:
            setup.need_java21()
    options = suites.Options(parts, chosen.full, quick)
    counted = schedule.run(suites.Suites(options, builder).jobs(), suites.CAPACITY * _cores())
    if chosen.full and set(suites.PARTS) <= set(parts):
        counted.counts += package.reproducible()
    for count in last() if last else ():
        counted.add(count)
    return _close(counted)


def _check(arguments: Sequence[str]) -> int:
    parser = _Parser("check")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--release", action="store_true")
    chosen = parser.parse_args(arguments)
    if chosen.memory:
        if not shutil.which("valgrind"):
            packages.need("valgrind", "valgrind")
        return _close(tally.Tally(suites.memory_counts()))
    return _test(["check"], checks.advisories if chosen.release else None)


def _demo(arguments: Sequence[str]) -> int:
    parser = _Parser("demo")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT)
    folder = Path(os.environ.get("EMRKEYS_DEV_FROM", ROOT), parser.parse_args(arguments).folder)
    return 0 if demo.run(folder.resolve()) else 1


def _bench(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] not in bench.NAMES:
        raise Failure(f"which benchmark? ./dev bench {', '.join(bench.NAMES[:-1])} or {bench.NAMES[-1]}")
    name, *rest = arguments
    return 0 if bench.run(name, rest, _Parser(f"bench {name}")) else 1


def _package(arguments: Sequence[str]) -> int:
    parser = _Parser("package")
    parser.add_argument("--arch", default=",".join(package.ARCHES))
    return 0 if package.run(parser.parse_args(arguments).arch.split(",")) else 1


def _setup(arguments: Sequence[str]) -> int:
    _Parser("setup").parse_args(arguments)
    setup.everything()
    say("everything is there")
    return 0


def _gradle(arguments: Sequence[str]) -> int:
    setup.need_rust()
    jdk.need_builder()
    setup.need_python()
    return subprocess.run(suites.gradle_command(*arguments), cwd=ROOT).returncode


def _clean(arguments: Sequence[str]) -> int:
    _Parser("clean").parse_args(arguments)
    for folder in (BUILD, CARGO_TARGET):
        shutil.rmtree(folder, ignore_errors=True)
    return 0


COMMANDS = {
    "demo": _demo,
    "test": _test,
    "check": _check,
    "bench": _bench,
    "package": _package,
    "setup": _setup,
    "gradle": _gradle,
    "clean": _clean,
}


def main(arguments: Sequence[str]) -> int:
    """Runs the command; the exit status."""
    name, *rest = arguments or ["help"]
    if name in ("help", "-h", "--help"):
        print(USAGE, end="")
        return 0
    if name not in COMMANDS:
        print(USAGE, end="", file=sys.stderr)
        return 2
    try:
        return COMMANDS[name](rest)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        end_all()


def _interrupted(*_) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, _interrupted)
    sys.exit(main(sys.argv[1:]))
