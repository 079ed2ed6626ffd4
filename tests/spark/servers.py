"""The local S3 and KMS servers, what lies in them, and the operator's tool."""

import json
import os
import pathlib
import subprocess
import urllib.request
import uuid

import boto3
from botocore.config import Config

READY = "localaws ready on "
REGION = "us-east-1"
KEY_FIELD = "emrkeys.key"
VERSION_FIELD = "emrkeys.version"


class Servers:
    """Started from the folder `tests/servers` by `python`; ends when closed, or with this process."""

    def __init__(self, python: str, folder: pathlib.Path, cli: str):
        self._cli = cli
        self._process = subprocess.Popen(
            [python, "-m", "localaws", "--until-stdin-closes"],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        assert line.startswith(READY), line
        self.endpoint = "http://" + line[len(READY) :].strip()
        options = {
            "endpoint_url": self.endpoint,
            "region_name": REGION,
            "config": Config(s3={"addressing_style": "path"}),
        }
        self.s3 = boto3.client("s3", **options)
        self.kms = boto3.client("kms", **options)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def bucket(self) -> str:
        name = "spark-" + uuid.uuid4().hex[:12]
        self.s3.create_bucket(Bucket=name)
        return name

    def kms_key(self) -> str:
        return self.kms.create_key()["KeyMetadata"]["Arn"]

    def calls(self) -> dict:
        """How often each operation was asked for since the servers started."""
        with urllib.request.urlopen(f"{self.endpoint}/__control/calls") as answer:
            return json.load(answer)

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
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def in_clear(content: bytes, *texts: bytes) -> bool:
    return content.startswith((b"PAR1", b"ORC")) or content.endswith(b"PAR1") or any(text in content for text in texts)


def description(metadata: dict) -> dict:
    """The materials description in an object's envelope, in the format of the S3 Encryption Client 3."""
    return json.loads(metadata["x-amz-matdesc"])
