"""A lake that is converted: objects under one key, whose rules give another."""

import json
import os
import subprocess

from envelopes import seal
from lake import Lake

TEXT = b"some rows of a table\n" * 50
LARGE = os.urandom(1 << 20) * 17 + b"the end"
"""Three pieces."""


class ConvertLake(Lake):
    """A lake whose rules give the key `new`, and whose objects are under `old`."""

    def __init__(self, servers, keys, tool):
        super().__init__(servers, keys, tool)
        self.site["emrkeys.default.key"] = "new"

    def command(self, *options, uri=None) -> list[str]:
        return ["convert", uri or self.uri, "--from", "old,pair", *self.conf, *map(str, options)]

    def convert(self, *options, **more) -> dict:
        uri = more.pop("uri", None)
        return self.tool.json(*self.command(*options, uri=uri), **more)

    def start(self, *options, **more) -> subprocess.Popen:
        return subprocess.Popen(
            [self.tool.path, *self.command(*options)],
            cwd=self.tool.folder,
            env=self.tool.env,
            stdin=subprocess.DEVNULL,
            stdout=more.pop("stdout", subprocess.PIPE),
            stderr=more.pop("stderr", subprocess.DEVNULL),
            **more,
        )

    def meanwhile(self, call: str, number: int, action, *options) -> dict:
        """As `during`, of a run of its own."""
        return self.during(self.start("--output", "json", *options), call, number, action)

    def seal(self, text=TEXT, how="encryption-only", key="old", **more) -> tuple[bytes, dict]:
        stored = {"rsa_name": "payroll"} if key == "pair" else self.describe(key)
        body, metadata = seal(text, getattr(self, key), how, stored)
        return body, {**metadata, **more}

    def report(self, *options, name="report.jsonl", **more) -> dict:
        """The lines of a report, by key."""
        self.convert("--report", name, *options, **more)
        lines = map(json.loads, (self.tool.folder / name).read_text().splitlines())
        return {line["uri"].removeprefix(self.uri): line for line in lines}

    def head(self, name: str) -> dict:
        return self.servers.s3.head_object(Bucket=self.bucket, Key=name)

    def tags(self, name: str) -> dict:
        tags = self.servers.s3.get_object_tagging(Bucket=self.bucket, Key=name)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in tags}

    def has_uploads(self) -> bool:
        return bool(self.servers.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads"))
