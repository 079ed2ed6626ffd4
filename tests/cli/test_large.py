"""An object of 5 GiB, with `--full`: more than S3 takes in one request, and than fits into memory twice."""

import hashlib
import json
import os
import subprocess
import sys
import time

import pytest
from localaws.client import LocalAws

from support import Tool, properties

MIB = 1 << 20
SIZE = 5 * 1024 * MIB + 17
MOST_RESIDENT = 128 * MIB
"""Far above what the tool needs, and far below the object."""
WATCH = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A program that prints how many KiB another one had at the most. Linux counts from before the other one was loaded,
when it has the memory of the process that starts it: that of the tests, after many of them, is more than the tool
needs."""


@pytest.mark.full
def test_a_large_object_is_encrypted_and_decrypted_in_little_memory(request, keys, tmp_path):
    (tmp_path / "objects").mkdir()
    python = request.config.getoption("--servers-python")
    servers = LocalAws(python, "--files", str(tmp_path / "objects"))
    tool = Tool(request.config.getoption("--tool").resolve(), servers.endpoint, tmp_path)
    servers.s3.create_bucket(Bucket="large")
    conf = properties({"emrkeys.key.k.type": "aes", "emrkeys.key.k.file": keys.aes("k"), "emrkeys.default.key": "k"})
    block, left, wanted = os.urandom(MIB), SIZE, hashlib.sha256()
    with (tmp_path / "in").open("wb") as file:
        while left:
            piece = block[: min(left, MIB)]
            file.write(piece)
            wanted.update(piece)
            left -= len(piece)
    figures = {}
    figures["put"] = measured(tool, "put", "in", "s3://large/x", "--resume", "state", *conf)
    (tmp_path / "in").unlink()
    figures["get"] = measured(tool, "get", "s3://large/x", "out", *conf)
    assert servers.calls()["s3.UploadPart"] == SIZE // (8 * MIB) + 1
    with (tmp_path / "out").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == wanted.digest()
    (tmp_path / "out").unlink()
    assert servers.close() == 0
    for path in (tmp_path / "objects").iterdir():
        path.unlink()
    print(json.dumps(figures))
    assert all(figure["resident"] < MOST_RESIDENT for figure in figures.values()), figures


def measured(tool: Tool, *arguments) -> dict:
    """Seconds, and the most memory that was resident in bytes."""
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-S", "-c", WATCH, tool.path, *arguments],
        cwd=tool.folder,
        env=tool.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {"seconds": round(time.monotonic() - before, 1), "resident": int(done.stdout) * 1024}
