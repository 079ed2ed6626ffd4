#!/usr/bin/env python3
"""Runs Hadoop's own S3A contract tests under a plain keyring of the S3 Encryption Client, and again under ours.

A test that passes with the plain keyring and fails with ours is a fault of ours: then the exit status is 1. A test that
fails with both (by client-side encryption itself, or the local server) is counted and no more. README.md says how to
run it.
"""

import argparse
import contextlib
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "peers"
sys.path.insert(0, str(ROOT / "tests" / "servers"))

from localaws.client import LocalAws, set_environment  # noqa: E402

LAUNCHER = "org.junit.platform.console.ConsoleLauncher"
TESTS = "org.apache.hadoop.fs.contract.s3a"


def site(servers: LocalAws, bucket: str, folder: pathlib.Path, keyring: dict) -> None:
    """Writes the core-site.xml of one run."""
    properties = {
        "fs.contract.test.fs.s3a": f"s3a://{bucket}/",
        "test.fs.s3a.name": f"s3a://{bucket}/",
        "fs.s3a.endpoint": servers.endpoint,
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.s3a.access.key": "test",
        "fs.s3a.secret.key": "test",
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": "false",
        "fs.s3a.attempts.maximum": "2",
        "fs.s3a.retry.limit": "2",
        "fs.s3a.encryption.algorithm": "CSE-CUSTOM",
        "hadoop.tmp.dir": str(folder / "tmp"),
        **keyring,
    }
    root = xml.Element("configuration")
    for name, value in properties.items():
        one = xml.SubElement(root, "property")
        xml.SubElement(one, "name").text = name
        xml.SubElement(one, "value").text = value
    folder.mkdir(parents=True, exist_ok=True)
    xml.ElementTree(root).write(folder / "core-site.xml")


def key_file(folder: pathlib.Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "main.key"
    path.touch(mode=0o600)
    path.write_bytes(bytes(32))
    return path.as_uri()


def run(name: str, jars: list, folder: pathlib.Path, java: str, classes: str) -> dict:
    """Gives the state of each test: passed, failed or skipped."""
    path = ":".join([str(folder), *map(str, jars), (BUILD / "classpath.txt").read_text(), str(BUILD / "hadoop-aws")])
    command = [
        java, f"-Dtest.build.data={folder}/data", f"-Djava.io.tmpdir={folder}", "-Xmx2g", "-cp", path, LAUNCHER,
        "execute",
        "--disable-banner", "--details=none", f"--select-package={TESTS}", f"--include-classname={classes}",
        f"--reports-dir={folder}/reports",
    ]  # fmt: skip
    with open(folder / "log", "w") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    states = {}
    for report in (folder / "reports").glob("*.xml"):
        for test in xml.parse(report).iter("testcase"):
            kinds = {child.tag for child in test}
            state = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            states[f"{test.get('classname')}.{test.get('name')}"] = state
    counts = ", ".join(f"{list(states.values()).count(state)} {state}" for state in ("passed", "failed", "skipped"))
    print(f"{name}: {counts}; log: {folder / 'log'}", flush=True)
    return states


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jar", type=pathlib.Path, required=True, help="the jar of emrkeys")
    parser.add_argument("--java", default="java", help="the java to run")
    parser.add_argument("--classes", default=r".*\.ITestS3AContract.*", help="a regular expression of class names")
    parser.add_argument("--servers-python", default=sys.executable, help="a Python with tests/servers/requirements.txt")
    options = parser.parse_args()
    set_environment()
    subprocess.run([ROOT / "dev", "gradle", "-q", "-p", HERE, "classPath"], check=True, stdout=subprocess.DEVNULL)
    plain, ours = BUILD / "plain", BUILD / "emrkeys"
    class_name = "fs.s3a.encryption.cse.custom.keyring.class.name"
    with contextlib.closing(LocalAws(options.servers_python)) as servers:
        for bucket in ("plain", "emrkeys"):
            servers.s3.create_bucket(Bucket=f"peers-{bucket}")
        site(servers, "peers-plain", plain, {class_name: "org.emrkeys.tests.peers.PlainKeyring"})
        site(
            servers,
            "peers-emrkeys",
            ours,
            {
                class_name: "org.emrkeys.S3AKeyring",
                "fs.s3a.audit.execution.interceptors": "org.emrkeys.S3AReadInterceptor",
                "emrkeys.key.main.type": "aes",
                "emrkeys.key.main.file": key_file(ours),
                "emrkeys.default.key": "main",
            },
        )
        before = run("plain keyring", [], plain, options.java, options.classes)
        after = run("emrkeys", [options.jar.resolve()], ours, options.java, options.classes)
    lost = sorted(name for name, state in before.items() if state == "passed" and after.get(name) != "passed")
    for name in lost:
        print(f"passes with the plain keyring alone: {name} ({after.get(name, 'not run')})")
    if not before or "passed" not in before.values():
        print("no test passed with the plain keyring: see its log", file=sys.stderr)
        return 2
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
