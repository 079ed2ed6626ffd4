#!/usr/bin/env python3
"""Runs ACCP's own tests of the ciphers that emrkeys has, with the JDK's providers and with ours before them.

The tests name no provider, so that JCE goes on to the next one if ours refuses. A test that passes with the JDK's
provider and fails with ours is a fault. README.md says how to run it.
"""

import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "peers"
LAUNCHER = "org.junit.platform.console.ConsoleLauncher"
PACKAGE = "com/amazon/corretto/crypto/provider/test"
CLASSES = ("AesTest", "AesGcmKatTest", "RsaCipherTest")
PEERS = {"JDK": "", "emrkeys": "org.emrkeys.jce.EmrKeysProvider"}
CHANGES = {
    r"(Cipher\.getInstance\([^()]*), (?:TestUtil\.)?NATIVE_PROVIDER\)": r"\1)",
    r"iterations = 500\b": "iterations = 20",  # of 48 threads, which take minutes with the JDK's RSA
}


def compile_tests(checkout: pathlib.Path, path: str) -> pathlib.Path:
    """Compiles copies of ACCP's tests, which name no provider, with the stand-ins of the folder `accp`."""
    sources, classes = BUILD / "accp-sources", BUILD / "accp-classes"
    for folder in (sources, classes):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (sources / PACKAGE).mkdir(parents=True)
    for source in (checkout / "tst" / PACKAGE).glob("*.java"):
        text = source.read_text()
        for pattern, replacement in CHANGES.items():
            text = re.sub(pattern, replacement, text)
        (sources / PACKAGE / source.name).write_text(text)
    tests = [sources / PACKAGE / f"{name}.java" for name in CLASSES]
    stand_ins = HERE / "accp"
    places = ["-d", classes, "-cp", path, "-sourcepath", f"{sources}:{stand_ins}"]
    subprocess.run(["javac", "-nowarn", "-Xlint:none", *places, *tests, *stand_ins.rglob("*.java")], check=True)
    return classes


def run(peer: str, classes: pathlib.Path, path: str, options: argparse.Namespace) -> dict[str, str]:
    """Gives each test's state: "passed", or what went wrong. A case of several has its number in its name."""
    folder = BUILD / f"accp-{peer}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [
        options.java, "-Xmx2g", f"-Dpeer={PEERS[peer]}", f"-Dtest.data.dir={options.checkout / 'test-data'}",
        "-cp", f"{classes}:{options.jar}:{path}", LAUNCHER, "execute", "--disable-banner", "--details=none",
        *(f"--select-class={PACKAGE.replace('/', '.')}.{name}" for name in options.classes),
        f"--reports-dir={folder / 'reports'}",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, timeout=1800)
    states = {}
    for report in (folder / "reports").glob("*.xml"):
        for test in xml.parse(report).iter("testcase"):
            faults = [child for child in test if child.tag in ("failure", "error", "skipped")]
            state = "passed"
            if faults:
                state = f"{faults[0].tag}: {faults[0].get('type')}: {str(faults[0].get('message')).splitlines()[0]}"
            states[f"{test.get('classname').rsplit('.', 1)[1]}.{test.get('name')}"] = state
    kinds = collections.Counter(state.split(":")[0] for state in states.values())
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(f"{peer}: {counts}; log: {folder / 'log'}", flush=True)
    return states


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", type=pathlib.Path, required=True, help="a work tree of ACCP's repository")
    parser.add_argument("--jar", type=pathlib.Path, required=True, help="the jar of emrkeys")
    parser.add_argument("--java", default="java", help="the java to run; 11 or later")
    parser.add_argument("--classes", nargs="*", default=CLASSES, help="the classes to run")
    options = parser.parse_args()
    options.checkout, options.jar = options.checkout.resolve(), options.jar.resolve()
    subprocess.run([ROOT / "dev", "gradle", "-q", "-p", HERE, "accpClassPath"], check=True, stdout=subprocess.DEVNULL)
    path = (BUILD / "accp-classpath.txt").read_text()
    classes = compile_tests(options.checkout, path)
    before, after = (run(peer, classes, path, options) for peer in PEERS)
    if "passed" not in before.values():
        print("no test passed with the JDK's provider: see its log", file=sys.stderr)
        return 2
    passed = [name for name in sorted(before) if before[name] == "passed"]
    faults = [name for name in passed if after.get(name) != "passed"]
    for name in faults:
        print(f"passes with the JDK's provider alone: {name} ({after.get(name, 'not run')})")
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
