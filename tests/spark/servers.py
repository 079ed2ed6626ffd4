"""The local S3 and KMS servers, what lies in them, and the operator's tool."""

import json
import os
import pathlib
import subprocess

from cluster import HANG
from localaws.client import LocalAws

KEY_FIELD = "emrkeys.key"
VERSION_FIELD = "emrkeys.version"


class Servers(LocalAws):
    """With the path of the operator's tool, and the folder where it remembers keyrings."""

    def __init__(self, python: str, cli: str, state: pathlib.Path):
        super().__init__(python)
        self._cli = cli
        self._env = {**os.environ, "XDG_STATE_HOME": str(state)}

    def kms_calls(self, job) -> dict:
        """How often KMS was called while `job` ran."""
        before = self.calls()
        job()
        calls = {name: count - before.get(name, 0) for name, count in self.calls().items() if name.startswith("kms.")}
        print("calls of KMS:", calls)
        return calls

    def objects(self, bucket: str, prefix: str = "") -> dict:
        """The names of the objects below `prefix`, with their metadata."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        names = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {name: self.s3.head_object(Bucket=bucket, Key=name)["Metadata"] for name in names}

    def stored(self, bucket: str, name: str) -> bytes:
        return self.s3.get_object(Bucket=bucket, Key=name)["Body"].read()

    def keyring(self, command: str, uri: str, *arguments: str) -> dict:
        """Runs `emrkeys keyring` and returns what it says."""
        command = [self._cli, "keyring", command, uri, *arguments, "--endpoint-url", self.endpoint, "--output", "json"]
        done = subprocess.run(
            command, env=self._env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=HANG
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def in_clear(content: bytes, *texts: bytes) -> bool:
    return content.startswith((b"PAR1", b"ORC")) or content.endswith(b"PAR1") or any(text in content for text in texts)


def description(metadata: dict) -> dict:
    """The materials description in an object's envelope, in the format of the S3 Encryption Client 3 or 4."""
    return json.loads(metadata["x-amz-m" if "x-amz-m" in metadata else "x-amz-matdesc"])
