"""`emrkeys keyring` in S3 and under KMS. The tests of its crate show it on files."""

import json
from datetime import datetime, timezone

from support import properties


def test_a_keyring_in_s3_is_made_and_rotated(servers, tool):
    uri, protector = f"s3://{servers.bucket()}/lake.keyring", servers.kms_key()
    assert tool.json("keyring", "create", uri, "--name", "lake", "--kms-key-id", protector)["written"]
    tool.ok("keyring", "rotate", uri, "--kms-key-id", protector)
    shown = tool.json("keyring", "show", uri, "--kms-key-id", protector)
    assert shown["authentic"] and shown["protector"]["key"] == protector
    assert [version["state"] for version in shown["versions"]] == ["decrypt-only", "active"]


def test_a_keyring_in_s3_keeps_its_properties(servers, tool):
    bucket, protector, ours = servers.bucket(), servers.kms_key(), servers.kms_key()
    uri, place = f"s3://{bucket}/lake.keyring", {"Bucket": bucket, "Key": "lake.keyring"}
    tool.ok("keyring", "create", uri, "--name", "lake", "--kms-key-id", protector)
    properties = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ours, "Metadata": {"owner": "team"}}
    document = servers.s3.get_object(**place)["Body"].read()
    servers.s3.put_object(**place, **properties, Body=document, Tagging="a=b%20c&d=%C3%BC", CacheControl="no-store")
    tool.ok("keyring", "rotate", uri, "--kms-key-id", protector)
    head = servers.s3.head_object(**place)
    assert {name: head[name] for name in properties} == properties
    assert head["CacheControl"] == "no-store"
    tags = servers.s3.get_object_tagging(**place)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "b c", "d": "ü"}
    servers.deny("s3", "GetObjectTagging")
    before = servers.s3.get_object(**place)["Body"].read()
    assert "SOURCE_DENIED" in tool.fails(5, "keyring", "rotate", uri, "--kms-key-id", protector)
    assert servers.s3.get_object(**place)["Body"].read() == before


def test_a_keyring_in_s3_keeps_its_access_control_list_or_the_tool_says_that_it_cannot(servers, tool):
    bucket, options = servers.bucket(), ["--kms-key-id", servers.kms_key()]
    uri, place = f"s3://{bucket}/lake.keyring", {"Bucket": bucket, "Key": "lake.keyring"}
    tool.ok("keyring", "create", uri, "--name", "lake", *options)
    servers.s3.put_object_acl(**place, ACL="public-read")
    grants = servers.s3.get_object_acl(**place)["Grants"]
    assert tool.json("keyring", "rotate", uri, *options)["notes"] == []
    assert sorted(servers.s3.get_object_acl(**place)["Grants"], key=str) == sorted(grants, key=str)
    servers.deny("s3", "GetObjectAcl")
    rotated = tool.run("keyring", "rotate", uri, *options, "--output", "json")
    assert rotated.returncode == 0 and json.loads(rotated.stdout)["notes"] == ["acl-unreadable"]
    assert "s3:GetObjectAcl" in rotated.stderr
    servers.clear_faults()
    # A bucket that enforces its owner has no lists: they are not asked for.
    rule = {"ObjectOwnership": "BucketOwnerEnforced"}
    servers.s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [rule]})
    servers.deny("s3", "GetObjectAcl")
    assert tool.json("keyring", "rotate", uri, *options)["notes"] == []


def test_a_keyring_in_s3_keeps_its_lock_or_stays_as_it_is(servers, tool):
    bucket, options = servers.bucket() + "-locked", ["--kms-key-id", servers.kms_key()]
    servers.s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    uri, place = f"s3://{bucket}/lake.keyring", {"Bucket": bucket, "Key": "lake.keyring"}
    later = datetime(2099, 1, 1, tzinfo=timezone.utc)
    locks = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": later, "ObjectLockLegalHoldStatus": "ON"}
    tool.ok("keyring", "create", uri, "--name", "lake", *options)
    tool.ok("keyring", "rotate", uri, *options)
    assert "ObjectLockMode" not in servers.s3.head_object(**place)
    document = servers.s3.get_object(**place)["Body"].read()
    servers.s3.put_object(**place, **locks, Body=document)
    tool.ok("keyring", "rotate", uri, *options)
    head = servers.s3.head_object(**place)
    assert {name: head[name] for name in locks} == locks
    # S3 leaves out of its answer the lock that the caller may not read.
    document = servers.s3.get_object(**place)["Body"].read()
    servers.s3.put_object(**place, Body=document)
    for operation in ("GetObjectRetention", "GetObjectLegalHold"):
        servers.clear_faults()
        servers.deny("s3", operation)
        assert "SOURCE_DENIED" in tool.fails(5, "keyring", "rotate", uri, *options)
    assert servers.s3.get_object(**place)["Body"].read() == document


def test_a_keyring_is_rotated_in_a_store_that_has_neither_tags_nor_lists_nor_locks(servers, tool):
    uri, options = f"s3://{servers.bucket()}/lake.keyring", ["--kms-key-id", servers.kms_key()]
    tool.ok("keyring", "create", uri, "--name", "lake", *options)
    lacking = ("GetObjectTagging", "GetObjectAcl", "GetBucketOwnershipControls", "GetObjectLockConfiguration")
    for operation in lacking:
        servers.fault(service="s3", op=operation, status=501, code="NotImplemented", count=None)
    assert tool.json("keyring", "rotate", uri, *options)["notes"] == []


def test_a_denial_of_kms_is_told(servers, tool):
    servers.deny("kms", "GenerateDataKey")
    uri = f"s3://{servers.bucket()}/lake.keyring"
    told = tool.fails(5, "keyring", "create", uri, "--name", "lake", "--kms-key-id", servers.kms_key())
    assert "SOURCE_DENIED" in told
    assert "s3.PutObject" not in servers.calls()


def test_an_older_keyring_in_s3_is_refused(servers, tool):
    bucket, protector = servers.bucket(), servers.kms_key()
    uri, options = f"s3://{bucket}/lake.keyring", ["--kms-key-id", protector]
    tool.ok("keyring", "create", uri, "--name", "lake", *options)
    older = servers.s3.get_object(Bucket=bucket, Key="lake.keyring")["Body"].read()
    tool.ok("keyring", "rotate", uri, *options)
    servers.s3.put_object(Bucket=bucket, Key="lake.keyring", Body=older)
    for named in (uri, uri.replace("s3:", "s3a:")):
        assert "KEYRING_ROLLED_BACK" in tool.fails(4, "keyring", "rotate", named, *options)
    assert servers.s3.get_object(Bucket=bucket, Key="lake.keyring")["Body"].read() == older
    tool.ok("keyring", "rotate", uri, *options, "--expect-generation", "1")


def test_a_version_is_retired_once_no_object_needs_it(servers, tool):
    bucket, protector = servers.bucket(), servers.kms_key()
    lake = f"s3://{bucket}/lake/"
    site = properties({
        "emrkeys.key.lake.type": "keyring", "emrkeys.key.lake.uri": f"s3://{bucket}/keys/lake.keyring",
        "emrkeys.key.lake.kms-key-id": protector, "emrkeys.default.key": "lake",
    })  # fmt: skip
    tool.ok("keyring", "create", "lake", *site)
    (tool.folder / "f").write_bytes(b"content")
    tool.ok("put", "f", lake + "a", *site)
    tool.ok("keyring", "rotate", "lake", *site)
    tool.ok("put", "f", lake + "b", *site)
    retire = ["keyring", "retire", "lake", "1", "--check", lake, *site]
    refused = tool.run(*retire)
    assert refused.returncode == 4 and "1 object is under version 1-" in refused.stderr, refused.stderr
    assert lake + "a" in refused.stdout

    def state() -> str:
        return tool.json("keyring", "list", "lake", *site)["versions"][0]["state"]

    assert state() == "decrypt-only"
    servers.s3.delete_object(Bucket=bucket, Key="lake/a")
    # A prefix without objects proves nothing, and neither does an object that may not be looked at.
    assert "OBJECT_NOT_FOUND" in tool.fails(1, *retire, "--check", f"s3://{bucket}/typo/")
    servers.deny("s3", "HeadObject")
    assert "could not be looked at" in tool.fails(4, *retire)
    servers.clear_faults()
    assert state() == "decrypt-only"
    tool.ok(*retire, "--dry-run")
    assert state() == "decrypt-only"
    done = tool.json(*retire)
    assert done["written"] and state() == "disabled"
    # The version that encrypts cannot be retired.
    assert "KEY_VERSION_STATE" in tool.fails(1, "keyring", "retire", "lake", "2", "--check", lake, *site)


def test_a_key_that_an_object_does_not_need_may_be_out_of_reach(servers, tool, keys):
    gone = f"s3://{servers.bucket()}/gone.keyring"
    site = properties({
        "emrkeys.key.a.type": "aes", "emrkeys.key.a.file": keys.aes("a"), "emrkeys.default.key": "a",
        "emrkeys.key.gone.type": "keyring", "emrkeys.key.gone.uri": gone,
        "emrkeys.key.gone.kms-key-id": servers.kms_key(),
    })  # fmt: skip
    (tool.folder / "f").write_bytes(b"content")
    uri = f"s3://{servers.bucket()}/x"
    servers.control("DELETE", "calls")
    tool.ok("put", "f", uri, *site)
    assert tool.ok("cat", uri, *site) == "content"
    tool.ok("get", uri, "out", *site)
    assert not any(name.startswith("kms.") for name in servers.calls())
    assert "KEY_FILE_NOT_FOUND" in tool.fails(1, "put", "f", uri, *site, "-D", "emrkeys.default.key=gone")


def test_a_denial_is_told_whole(servers, tool):
    key = servers.kms_key()
    who = "arn:aws:sts::123456789012:assumed-role/EMR_EC2_DefaultRole/i-0123456789abcdef0"
    why = (
        f"User: {who} is not authorized to perform: kms:GenerateDataKey on resource: {key} "
        "because no identity-based policy allows it"
    )
    servers.fault(
        service="kms", op="GenerateDataKey", status=400, code="AccessDeniedException", message=why, count=None
    )
    told = tool.fails(5, "keyring", "create", "k", "--name", "lake", "--kms-key-id", key)
    assert why in told
