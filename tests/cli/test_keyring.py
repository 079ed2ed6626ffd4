"""`emrkeys keyring` in S3 and under KMS. What it does to files the tests of its crate show."""


def test_a_keyring_in_s3_is_made_and_rotated(servers, tool):
    uri, protector = f"s3://{servers.bucket()}/lake.keyring", servers.kms_key()
    assert tool.json("keyring", "create", uri, "--name", "lake", "--kms-key-id", protector)["written"]
    tool.ok("keyring", "rotate", uri, "--kms-key-id", protector)
    shown = tool.json("keyring", "show", uri, "--kms-key-id", protector)
    assert shown["authentic"] and shown["protector"]["key"] == protector
    assert [version["state"] for version in shown["versions"]] == ["decrypt-only", "active"]


def test_a_denial_of_kms_is_told(servers, tool):
    servers.deny("kms", "GenerateDataKey")
    uri = f"s3://{servers.bucket()}/lake.keyring"
    told = tool.fails(5, "keyring", "create", uri, "--name", "lake", "--kms-key-id", servers.kms_key())
    assert "SOURCE_DENIED" in told
    assert "s3.PutObject" not in servers.calls()
