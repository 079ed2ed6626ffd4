"""Shared by all tests of the operator's tool: the local S3 and KMS servers, the tool, and key files."""

import base64
import functools
import os
import pathlib
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from localaws.client import LocalAws, set_environment

from lake import Lake
from person import Operator
from support import ROOT, Tool


def pytest_addoption(parser):
    parser.addoption(
        "--tool", type=pathlib.Path, default=ROOT / "target/debug/emrkeys", help="the operator's tool, built"
    )
    parser.addoption("--full", action="store_true", help="more of what takes long: kills, 5 GiB")
    parser.addoption("--servers-python", default=sys.executable, help="a Python with tests/servers/requirements.txt")


def pytest_configure(config):
    config.addinivalue_line("markers", "recipes(*names): the recipes of the documents that the test runs")
    config.addinivalue_line("markers", "remedies(*commands): the commands of messages that the test runs")
    config.addinivalue_line("markers", "full: takes minutes, and runs with --full alone")
    set_environment()


def pytest_collection_modifyitems(config, items):
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def serving(request):
    """Servers for the time of a fixture; all is well with them at their end."""
    started = LocalAws(request.config.getoption("--servers-python"))
    yield started
    assert started.close() == 0


@pytest.fixture(scope="session")
def shared_servers(request):
    yield from serving(request)


@pytest.fixture
def servers(shared_servers):
    """The servers, with no faults and no counts. Objects of other tests are still there: names are unique."""
    for what in ("faults", "calls"):
        shared_servers.control("DELETE", what)
    return shared_servers


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


@pytest.fixture
def lake(request, servers, keys, tool):
    """A bucket of the test's own with its configuration: a `Lake`, or what the module names in `LAKE`."""
    return getattr(request.module, "LAKE", Lake)(servers, keys, tool)


@pytest.fixture(scope="session")
def named_servers(request):
    """Servers without the data of other tests, so that buckets can have the names that the documents print."""
    yield from serving(request)


@pytest.fixture
def operator(request, named_servers, tmp_path):
    named_servers.control("DELETE", "data")
    one = Operator(named_servers, request.config.getoption("--tool").resolve(), tmp_path)
    yield one
    declared = {name for mark in request.node.iter_markers("recipes") for name in mark.args}
    assert one.followed == declared, "the test must run the recipes that it names"
