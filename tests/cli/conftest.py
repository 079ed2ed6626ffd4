"""Shared by all tests of the operator's tool: the local S3 and KMS servers, the tool, and key files."""

import base64
import functools
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from localaws.client import LocalAws, set_environment

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT = 900
"""Seconds after which a test gives up waiting: far beyond what a busy machine takes."""


def pytest_addoption(parser):
    parser.addoption(
        "--tool", type=pathlib.Path, default=ROOT / "target/debug/emrkeys", help="the operator's tool, built"
    )
    parser.addoption("--full", action="store_true", help="more of what takes long: kills, 5 GiB")
    parser.addoption("--servers-python", default=sys.executable, help="a Python with tests/servers/requirements.txt")


def pytest_configure(config):
    config.addinivalue_line("markers", "recipes(*names): the recipes of the documents that the test runs")
    config.addinivalue_line("markers", "full: takes minutes, and runs with --full alone")
    set_environment()


def pytest_collection_modifyitems(config, items):
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def shared_servers(request):
    started = LocalAws(request.config.getoption("--servers-python"))
    yield started
    assert started.close() == 0


@pytest.fixture
def servers(shared_servers):
    """The servers, with no faults and no counts. Objects of other tests are still there: names are unique."""
    for what in ("faults", "calls"):
        shared_servers.control("DELETE", what)
    return shared_servers


class Tool:
    """`emrkeys`, with the servers for AWS, in a folder of the test's own."""

    def __init__(self, path: pathlib.Path, endpoint: str, folder: pathlib.Path):
        self.path = path
        self.folder = folder
        self.env = {
            **os.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            # The servers speak HTTP. Half of the time of a small command would go into the authorities of this machine.
            "SSL_CERT_FILE": str(HERE / "authority.pem"),
            "SSL_CERT_DIR": str(folder / "no-authorities"),
        }

    def run(self, *arguments, input=None, env=None) -> subprocess.CompletedProcess:
        """Ends with whatever status; `input` is text or bytes, and decides what the outputs are. `env` is added."""
        is_bytes = isinstance(input, bytes)
        stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(
            [self.path, *map(str, arguments)],
            capture_output=True,
            text=not is_bytes,
            cwd=self.folder,
            env={**self.env, **(env or {})},
            timeout=TIMEOUT,
            **stdin,
        )

    def ok(self, *arguments, **more) -> str:
        """Has to succeed; gives what it printed."""
        done = self.run(*arguments, **more)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments, status: int = 0, **more):
        """The document that it prints with `--output json`, whatever its exit status `status`."""
        done = self.run(*arguments, "--output", "json", **more)
        assert done.returncode == status, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def fails(self, status: int, *arguments, **more) -> str:
        """Has to fail with this exit status, and to say why; gives what it says."""
        done = self.run(*arguments, **more)
        assert done.returncode == status, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        assert "panicked" not in done.stderr, done.stderr
        return done.stderr


@pytest.fixture
def tool(request, servers, tmp_path):
    path = request.config.getoption("--tool").resolve()
    assert path.is_file(), f"{path} is missing: cargo build -p emrkeys-cli"
    return Tool(path, servers.endpoint, tmp_path)


@functools.cache
def _pair(bits: int, number: int) -> tuple[bytes, bytes]:
    """A key pair, the public half first. All tests of a process share it: to find its primes takes long."""
    pair = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private = pair.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = pair.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public, private


class Keys:
    """Key files that only their owner can read, in the test's folder."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._pairs = 0

    def file(self, name: str, content: bytes) -> str:
        """Writes it and gives its URI."""
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path.as_uri()

    def aes(self, name: str, bits: int = 256, encoding: str = "raw") -> str:
        """A new AES key; `encoding`: raw, hex or base64."""
        key = os.urandom(bits // 8)
        text = {"raw": key, "hex": key.hex().encode(), "base64": base64.b64encode(key)}[encoding]
        return self.file(name, text)

    def rsa(self, name: str, bits: int = 2048) -> tuple[str, str]:
        """A key pair, another one each time: the URIs of its public and of its private half, in PEM."""
        self._pairs += 1
        public, private = _pair(bits, self._pairs)
        return self.file(name + ".pub", public), self.file(name, private)


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


def wait_for(condition, seconds: float = TIMEOUT) -> None:
    """Until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def properties(entries: dict) -> list[str]:
    """`-D` for each property."""
    return [argument for name, value in entries.items() for argument in ("-D", f"{name}={value}")]
