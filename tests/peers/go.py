#!/usr/bin/env python3
"""The S3 Encryption Client for Go and the tool: each reads what the other wrote, on the local servers.

The client, releases 3 and 4, comes from a checkout of its repository. It has keys of KMS alone. README.md says how to
run it.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.append(str(ROOT / "tests/servers"))

from localaws.client import LocalAws, set_environment  # noqa: E402

BUILD = ROOT / "build/peers"
MODULE = "github.com/aws/amazon-s3-encryption-client-go"
SIZES = (0, 1, 16, 100_003)
FORMATS = {"v3": "v2", "v4-without-commitment": "v2", "v4": "v4"}
"""The format in which a client writes. All of them read both, but the last, which insists on commitment."""
READERS = {"v2": ("v3", "v4-without-commitment"), "v4": ("v3", "v4-without-commitment", "v4")}


def build(checkout: pathlib.Path) -> pathlib.Path:
    """Builds the program of the folder `go` with the client of the checkout."""
    folder = BUILD / "go"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "go", folder)
    for release in ("v3", "v4"):
        replace = f"-replace={MODULE}/{release}={checkout.resolve() / release}"
        subprocess.run(["go", "mod", "edit", replace], cwd=folder, check=True)
    subprocess.run(["go", "build", "-o", "go_client", "."], cwd=folder, check=True)
    return folder / "go_client"


class Pair:
    """The program and the tool, with one KMS key."""

    def __init__(self, servers: LocalAws, client: pathlib.Path, tool: pathlib.Path):
        self.client, self.tool = client, tool
        self.bucket, self.key = servers.bucket(), servers.kms_key()
        self.environment = {**os.environ, "AWS_ENDPOINT_URL": servers.endpoint}
        properties = {"key.k.type": "kms", "key.k.kms-key-id": self.key, "default.key": "k"}
        self.options = [f"-Demrkeys.{name}={value}" for name, value in properties.items()]
        self.folder = BUILD / "go-files"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.sent, self.got = self.folder / "sent", self.folder / "got"
        for folder in (self.sent, self.got):
            folder.mkdir(parents=True)
        for size in SIZES:
            (self.sent / str(size)).write_bytes(bytes(number * 7 % 251 for number in range(size)))

    def run(self, *command) -> None:
        subprocess.run([str(part) for part in command], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def by_client(self, name: str, direction: str, prefix: str) -> None:
        files = [(self.sent if direction == "put" else self.got) / str(size) for size in SIZES]
        self.run(self.client, name, direction, self.bucket, self.key, prefix, *files)

    def by_tool(self, direction: str, prefix: str, *options: str) -> None:
        for size in SIZES:
            uri, sent, got = f"s3://{self.bucket}/{prefix}/{size}", self.sent / str(size), self.got / str(size)
            places = (sent, uri) if direction == "put" else (uri, got)
            self.run(self.tool, direction, *places, *options, *self.options)

    def is_same(self) -> bool:
        """Whether all that was got is what was sent; it is removed."""
        contents = [((self.sent / str(size)).read_bytes(), (self.got / str(size))) for size in SIZES]
        same = all(got.exists() and got.read_bytes() == sent for sent, got in contents)
        for _, got in contents:
            got.unlink(missing_ok=True)
        return same


def trials(pair: Pair):
    """Each trial's words, and whether it succeeded."""
    for writer, form in FORMATS.items():
        pair.by_client(writer, "put", writer)
        pair.by_tool("get", writer)
        yield f"the tool reads {form} of Go {writer}", pair.is_same()
    for form, readers in READERS.items():
        pair.by_tool("put", f"tool-{form}", "--format", form)
        for reader in readers:
            pair.by_client(reader, "get", f"tool-{form}")
            yield f"Go {reader} reads {form} of the tool", pair.is_same()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", type=pathlib.Path, required=True, help="emrkeys")
    parser.add_argument("--checkout", type=pathlib.Path, required=True, help=f"of {MODULE}")
    options = parser.parse_args()
    client = build(options.checkout)
    set_environment()
    failed = 0
    with contextlib.closing(LocalAws(sys.executable)) as servers:
        pair = Pair(servers, client, options.tool.resolve())
        for words, succeeded in trials(pair):
            print(f"{'ok  ' if succeeded else 'FAIL'} {words}", flush=True)
            failed += not succeeded
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
