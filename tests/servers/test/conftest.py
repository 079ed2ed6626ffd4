"""One server process for all tests; each test starts with no faults and no counts."""

import pytest

from localaws.client import LocalAws


@pytest.fixture(scope="session")
def shared_stack():
    started = LocalAws()
    yield started
    assert started.close() == 0


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
