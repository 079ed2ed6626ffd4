"""The commands of the AWS CLI that the recipes use, over boto3: the AWS CLI itself is not installed for the tests.

`aws s3 cp FILE URI` and `aws SERVICE OPERATION --option value …`, with `file://` before a value that is in a file.
Endpoint and credentials come from the environment.
"""

import json
import pathlib
import sys

import boto3
from botocore.config import Config


def client(service: str):
    return boto3.client(service, config=Config(s3={"addressing_style": "path"}))


def copy(source: str, target: str) -> None:
    assert target.startswith("s3://"), target
    bucket, _, key = target.removeprefix("s3://").partition("/")
    client("s3").upload_file(source, bucket, key or source.rpartition("/")[2])


def call(service: str, operation: str, options: list[str]) -> None:
    values = [pathlib.Path(text[7:]).read_text() if text.startswith("file://") else text for text in options[1::2]]
    names = [name.removeprefix("--").replace("-", " ").title().replace(" ", "") for name in options[::2]]
    answer = getattr(client(service), operation.replace("-", "_"))(**dict(zip(names, values, strict=True)))
    answer.pop("ResponseMetadata", None)
    if answer:
        print(json.dumps(answer, default=str))


if sys.argv[1:3] == ["s3", "cp"]:
    copy(*sys.argv[3:])
else:
    call(sys.argv[1].removesuffix("api"), sys.argv[2], sys.argv[3:])
