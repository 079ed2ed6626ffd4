"""The S3 Encryption Client for Python and the tool: each reads what the other wrote. It has keys of KMS alone."""

import pytest
import s3_encryption
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy

SIZES = (0, 1, 16, 100_003)
SUITES = {
    "v2": (AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT),
    "v4": (
        AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
        CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    ),
}


class Pair:
    """The client and the tool, with one KMS key."""

    def __init__(self, servers, tool, tmp_path, form: str):
        self.tool, self.folder, self.form = tool, tmp_path, form
        self.bucket = servers.bucket()
        key = servers.kms_key()
        suite, policy = SUITES[form]
        config = s3_encryption.S3EncryptionClientConfig(
            keyring=KmsKeyring(servers.kms, key), encryption_algorithm=suite, commitment_policy=policy
        )
        self.client = s3_encryption.S3EncryptionClient(servers.client("s3"), config)
        self.conf = [
            option
            for name, value in (("key.k.type", "kms"), ("key.k.kms-key-id", key), ("default.key", "k"))
            for option in ("-D", f"emrkeys.{name}={value}")
        ]

    def uri(self, size: int) -> str:
        return f"s3://{self.bucket}/{size}"


@pytest.fixture(params=list(SUITES))
def pair(request, servers, tool, tmp_path):
    return Pair(servers, tool, tmp_path, request.param)


def content(size: int) -> bytes:
    return bytes(number * 7 % 251 for number in range(size))


def test_the_tool_reads_what_the_client_for_python_wrote(pair):
    for size in SIZES:
        pair.client.put_object(Bucket=pair.bucket, Key=str(size), Body=content(size))
        file = pair.folder / str(size)
        pair.tool.ok("get", pair.uri(size), file, *pair.conf)
        assert file.read_bytes() == content(size)
        [found] = pair.tool.json("inspect", pair.uri(size), *pair.conf)
        assert found["readable"], found


@pytest.mark.parametrize("place", ([], ["--instruction-file"]), ids=("metadata", "instruction-file"))
def test_the_client_for_python_reads_what_the_tool_wrote(pair, place):
    for size in SIZES:
        file = pair.folder / "content"
        file.write_bytes(content(size))
        pair.tool.ok("put", file, pair.uri(size), "--format", pair.form, *place, *pair.conf)
        read = pair.client.get_object(Bucket=pair.bucket, Key=str(size))["Body"].read()
        assert read == content(size)
