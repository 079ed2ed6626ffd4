"""One server process for all tests; each test starts with no faults and no counts."""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request

import boto3
import pytest
from botocore.config import Config

SERVERS = pathlib.Path(__file__).resolve().parent.parent


def start(*arguments: str) -> tuple[subprocess.Popen, str]:
    """The process and its endpoint, once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "localaws", *arguments],
        cwd=SERVERS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert line.startswith("localaws ready on "), line
    return process, "http://" + line.split()[-1]


class Stack:
    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        options = {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "config": Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
        }
        self.s3 = boto3.client("s3", **options)
        self.kms = boto3.client("kms", **options)

    def control(self, method: str, what: str, document: object = None):
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(
            f"{self.endpoint}/__control/{what}", data=body, method=method
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def fault(self, **document) -> int:
        return self.control("POST", "faults", document)["id"]

    def calls(self) -> dict:
        return self.control("GET", "calls")


@pytest.fixture(scope="session")
def shared_stack():
    process, endpoint = start("--until-stdin-closes")
    yield Stack(endpoint)
    process.stdin.close()
    assert process.wait(timeout=10) == 0


@pytest.fixture
def stack(shared_stack):
    for what in ("data", "faults", "calls"):
        shared_stack.control("DELETE", what)
    return shared_stack


@pytest.fixture
def bucket(stack):
    stack.s3.create_bucket(Bucket="bucket")
    stack.control("DELETE", "calls")
    return "bucket"


@pytest.fixture
def key(stack):
    key_id = stack.kms.create_key()["KeyMetadata"]["KeyId"]
    stack.control("DELETE", "calls")
    return key_id
