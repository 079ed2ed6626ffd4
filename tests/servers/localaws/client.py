"""The servers as tests in Python use them: started, asked by boto3, given faults.

Needs boto3 alone, so that any Python of a test can import it.
"""

import csv
import gzip
import io
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse
import urllib.request
import uuid

import boto3
from botocore.config import Config

FOLDER = pathlib.Path(__file__).resolve().parent.parent
READY = "localaws ready on "
REGION = "us-east-1"
HOLD = 50
"""Seconds: less than a client waits for an answer, and more than a test takes to act."""


def set_environment() -> None:
    """Nothing of the user's AWS, Hadoop or Spark set-up reaches the tests; any credentials do."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "HADOOP_", "SPARK_", "PYSPARK_"))]:
        del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE="/dev/null",
        AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    )


class LocalAws:
    """S3 and KMS on 127.0.0.1, in a process of `python` that ends when this is closed, or with this process."""

    def __init__(self, python: str = sys.executable, *options: str):
        self._process = subprocess.Popen(
            [str(python), "-m", "localaws", "--until-stdin-closes", *options],
            cwd=FOLDER,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        assert line.startswith(READY), line
        self.endpoint = "http://" + line[len(READY) :].strip()
        self.s3 = self.client("s3")
        self.kms = self.client("kms")

    def client(self, service: str, region: str = REGION):
        """A client of boto3 for S3, KMS, STS or IAM; KMS keys live in the region of the client that made them."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
        )

    def close(self) -> int:
        """Its exit status."""
        self._process.stdin.close()
        return self._process.wait(timeout=10)

    def bucket(self, region: str = REGION) -> str:
        """A new bucket with a name of its own."""
        name = "test-" + uuid.uuid4().hex[:12]
        where = {} if region == REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.s3.create_bucket(Bucket=name, **where)
        return name

    def kms_key(self, region: str = REGION, **how) -> str:
        """The ARN of a new KMS key; `how` goes to CreateKey."""
        return self.client("kms", region).create_key(**how)["KeyMetadata"]["Arn"]

    def control(self, method: str, what: str, document: object = None):
        """A request to the control API of README.md."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.endpoint}/__control/{what}", data=body, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def fault(self, **document) -> int:
        """Has requests fail: fields as in README.md."""
        return self.control("POST", "faults", document)["id"]

    def hold(self, op: str, service: str = "s3", **more) -> int:
        """Has one request, or `count` of them, wait until `release`, so that a test acts meanwhile."""
        return self.fault(service=service, op=op, delay=HOLD, **more)

    def hits(self, fault: int) -> int:
        """How many requests a fault that is in force has met."""
        return next(found["hits"] for found in self.control("GET", "faults") if found["id"] == fault)

    def release(self, fault: int) -> None:
        """Removes a fault. Requests that wait for it go on."""
        self.control("DELETE", f"faults/{fault}")

    def clear_faults(self) -> None:
        """As `release`, of all faults."""
        self.control("DELETE", "faults")

    def deny(self, service: str, op: str, **more) -> int:
        """Every such request is answered as where IAM does not allow it."""
        code, status = ("AccessDenied", 403) if service == "s3" else ("AccessDeniedException", 400)
        message = "not authorized"
        return self.fault(service=service, op=op, status=status, code=code, message=message, count=None, **more)

    def calls(self) -> dict:
        """How often each operation was asked for since the counts were at zero, such as {"s3.PutObject": 3}."""
        return self.control("GET", "calls")

    def inventory(self, bucket: str, names: list[str], files: int = 2, **change) -> str:
        """Lists these objects in a bucket of its own, as S3 Inventory does; gives the manifest's URI.

        The servers have no S3 Inventory. `change` replaces fields of the manifest.
        """
        lists = self.bucket()
        manifest = {
            "sourceBucket": bucket,
            "destinationBucket": f"arn:aws:s3:::{lists}",
            "version": "2016-11-30",
            "creationTimestamp": "1514944800000",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, Size",
            "files": [],
        }
        for number in range(files):
            text = io.StringIO()
            rows = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
            rows.writerows([bucket, urllib.parse.quote(name), "1"] for name in names[number::files])
            body = gzip.compress(text.getvalue().encode())
            key = f"{bucket}/daily/data/{number}.csv.gz"
            self.s3.put_object(Bucket=lists, Key=key, Body=body)
            manifest["files"].append({"key": key, "size": len(body)})
        key = f"{bucket}/daily/2026-11-06T21-32Z/manifest.json"
        self.s3.put_object(Bucket=lists, Key=key, Body=json.dumps({**manifest, **change}).encode())
        return f"s3://{lists}/{key}"
