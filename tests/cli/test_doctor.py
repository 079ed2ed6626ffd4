"""`emrkeys doctor`: each check, right and wrong."""

import json

import pytest

from support import properties

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/EMR_EC2_DefaultRole"
EMRFS = {
    "fs.s3.cse.enabled": "true",
    "fs.s3.cse.encryptionMaterialsProvider": "org.emrkeys.S3EncryptionMaterialsProvider",
    "fs.s3.cse.materialsDescription.enabled": "true",
    "fs.s3.cse.encryptionV2.enabled": "true",
}


def kms_cached(key: str, **more) -> dict:
    return {
        **EMRFS,
        "emrkeys.key.lake.type": "kms-cached",
        "emrkeys.key.lake.kms-key-id": key,
        "emrkeys.default.key": "lake",
        **more,
    }


@pytest.fixture
def doctor(tool):
    """Runs it; gives the levels that each check had, and what was said."""

    def run(site: dict, *more, status: int = 0, **how):
        found = tool.json("doctor", *properties(site), *more, status=status, **how)
        assert found["ok"] == (status == 0)
        levels = {}
        for check in found["checks"]:
            levels.setdefault(check["check"], []).append(check["level"])
            assert check["remedy"] or check["level"] in ("ok", "note"), check
        return levels, "\n".join(check["message"] for check in found["checks"])

    return run


def test_all_is_well_and_nothing_was_done(servers, tool, doctor):
    key, bucket = servers.kms_key(), servers.bucket()
    tool.ok("kms", "add-key-user", key, "--role", ROLE, "--apply")
    site = kms_cached(key, **{"emrkeys.rule.r.prefix": f"s3://{bucket}/", "emrkeys.rule.r.key": "lake"})
    servers.control("DELETE", "calls")
    levels, told = doctor(site, "--role", ROLE, "--strict")
    for check in (
        "config.valid", "keys.open", "kms.exists", "kms.enabled", "kms.usage", "kms.region", "kms.generate",
        "kms.decrypt", "kms.key-user", "s3.bucket", "emrfs.enabled", "emrfs.provider", "emrfs.description",
        "emrfs.content", "clock",
    ):  # fmt: skip
        assert levels[check] == ["ok"], (check, told)
    assert told.count("(dry run)") == 2
    written = {name for name in servers.calls() if name.startswith(("s3.Put", "kms.Put", "kms.Create"))}
    assert not written
    printed = tool.ok("doctor", *properties(site), "--role", ROLE)
    assert printed.splitlines()[0].split()[:2] == ["ok", "aws.identity"]
    assert printed.endswith("failures: 0, warnings: 0\n")


def test_files_of_keys_that_each_node_needs_are_noted(doctor, keys):
    uri = keys.aes("k")
    site = {**EMRFS, "emrkeys.key.k.type": "aes", "emrkeys.key.k.file": uri, "emrkeys.default.key": "k"}
    levels, told = doctor(site, "--strict")
    assert levels["keys.files"] == ["note"] and f"every node needs {uri}" in told


def test_a_service_that_does_not_answer_is_one_failure_for_all_keys(tool, doctor):
    arn = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/"
    site = {**kms_cached(arn + "a"), "emrkeys.key.other.type": "kms-cached", "emrkeys.key.other.kms-key-id": arn + "b"}
    site |= {"emrkeys.rule.r.prefix": "s3://lake/other/", "emrkeys.rule.r.key": "other"}
    levels, told = doctor(site, "--kms-endpoint-url", "http://127.0.0.1:9", status=1)
    assert levels["kms.exists"] == ["fail"], told
    (line,) = [line for line in told.splitlines() if "DescribeKey" in line]
    assert "emrkeys.key.lake.kms-key-id" in line and "emrkeys.key.other.kms-key-id" in line
    printed = tool.run("doctor", *properties(site), "--kms-endpoint-url", "http://127.0.0.1:9").stdout
    assert "aws.identity" in printed.splitlines()[0]


def test_live_makes_a_data_key_and_opens_it(servers, doctor):
    levels, told = doctor(kms_cached(servers.kms_key()), "--live")
    assert levels["kms.generate"] == levels["kms.decrypt"] == ["ok"] and "opened it again" in told


@pytest.mark.parametrize("more", [[], ["--live"]])
def test_a_key_that_is_only_read_needs_no_new_data_keys(servers, doctor, keys, more):
    old = kms_cached(servers.kms_key(), **{"emrkeys.key.new.type": "aes", "emrkeys.key.new.file": keys.aes("new")})
    servers.deny("kms", "GenerateDataKey")
    levels, told = doctor({**old, "emrkeys.default.key": "new"}, *more)
    assert "kms.generate" not in levels and levels["kms.decrypt"] == ["ok"], told
    assert doctor(old, *more, status=1)[0]["kms.generate"] == ["fail"]
    servers.deny("kms", "Decrypt")
    assert doctor({**old, "emrkeys.default.key": "new"}, *more, status=1)[0]["kms.decrypt"] == ["fail"]


@pytest.mark.parametrize("more", [[], ["--live"]])
@pytest.mark.parametrize("op, check", [("GenerateDataKey", "kms.generate"), ("Decrypt", "kms.decrypt")])
def test_a_right_that_is_missing_is_a_failure(servers, doctor, op, check, more):
    servers.deny("kms", op)
    levels, told = doctor(kms_cached(servers.kms_key()), *more, status=1)
    assert levels[check] == ["fail"] and "SOURCE_DENIED" in told


def test_what_may_not_be_looked_at_is_not_checked(servers, doctor):
    for op in ("DescribeKey", "GetKeyPolicy"):
        servers.deny("kms", op)
    servers.deny("s3", "HeadBucket")
    levels, _ = doctor(kms_cached(servers.kms_key()), "--bucket", servers.bucket())
    assert levels["kms.exists"] == levels["s3.bucket"] == ["note"]
    assert levels["kms.generate"] == levels["kms.decrypt"] == ["ok"]
    servers.clear_faults()
    servers.deny("kms", "GetKeyPolicy")
    assert doctor(kms_cached(servers.kms_key()), "--role", ROLE)[0]["kms.key-user"] == ["note"]
    servers.clear_faults()
    levels, told = doctor(kms_cached(servers.kms_key()))
    assert levels["kms.key-user"] == ["note"] and "is no role" in told


def test_keys_that_cannot_be_used(servers, doctor):
    disabled = servers.kms_key()
    servers.kms.disable_key(KeyId=disabled)
    levels, _ = doctor(kms_cached(disabled), status=1)
    assert levels["kms.enabled"] == ["fail"] and levels["kms.generate"] == ["fail"]
    leaving = servers.kms_key()
    servers.kms.schedule_key_deletion(KeyId=leaving, PendingWindowInDays=7)
    assert doctor(kms_cached(leaving), status=1)[0]["kms.enabled"] == ["fail"]
    levels, _ = doctor(kms_cached(servers.kms_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")), status=1)
    assert levels["kms.usage"] == ["fail"]
    levels, _ = doctor(kms_cached("alias/no-such-key"), status=1)
    assert levels["kms.exists"] == ["fail"] and "kms.generate" not in levels


def test_regions_are_compared(servers, doctor):
    key, bucket = servers.kms_key("eu-west-1"), servers.bucket("eu-west-1")
    levels, told = doctor(kms_cached(key), "--bucket", bucket)
    assert levels["kms.region"] == ["warning"] and "the cluster in us-east-1" in told
    levels, _ = doctor(kms_cached(key), "--bucket", bucket, env={"AWS_REGION": "eu-west-1"})
    assert levels["kms.region"] == ["ok"]
    levels, told = doctor(kms_cached(servers.kms_key()), "--bucket", bucket)
    assert levels["kms.region"] == ["warning"] and f"bucket {bucket} in eu-west-1" in told
    assert levels["s3.region"] == ["warning"] and "the bucket is in eu-west-1, the cluster in us-east-1" in told
    assert doctor(kms_cached(key), "--bucket", "no-such-bucket-here", status=1)[0]["s3.bucket"] == ["fail"]


def test_a_key_is_compared_with_the_buckets_of_its_rules(servers, doctor, keys):
    here, there = servers.bucket(), servers.bucket("eu-west-1")
    site = kms_cached(servers.kms_key(), **{
        "emrkeys.rule.here.prefix": f"s3://{here}/", "emrkeys.rule.here.key": "lake",
        "emrkeys.rule.there.prefix": f"s3://{there}/", "emrkeys.rule.there.key": "other",
        "emrkeys.key.other.type": "aes", "emrkeys.key.other.file": keys.aes("other"),
    })  # fmt: skip
    levels, _ = doctor(site)
    assert levels["kms.region"] == ["ok"] and levels["s3.region"] == ["warning"]
    levels, told = doctor({**site, "emrkeys.rule.there.key": "lake"})
    assert levels["kms.region"] == ["warning"] and f"bucket {there} in eu-west-1" in told


def test_a_region_that_nobody_knows_is_no_right_one(servers, tool, doctor):
    del tool.env["AWS_REGION"]
    key = servers.kms_key()
    assert doctor(kms_cached(key))[0]["kms.region"] == ["note"]
    assert doctor(kms_cached(key), "--region", "us-east-1")[0]["kms.region"] == ["ok"]
    levels, told = doctor(kms_cached(key), "--bucket", "a-bucket", status=1)
    assert levels["s3.bucket"] == ["fail"] and "egion" in told and "DispatchFailure" not in told


def test_who_is_no_key_user_is_told(servers, tool, doctor):
    key = servers.kms_key()
    # AWS's default policy leaves it to IAM, and nothing is wrong with that.
    assert doctor(kms_cached(key), "--role", ROLE, "--strict")[0]["kms.key-user"] == ["note"]
    servers.control("DELETE", "calls")
    for option in ("--role", "--service-role"):
        for role in (
            "EMR_EC2_DefaultRole",
            ROLE.replace("role/", "user/"),
            f"arn:aws:sts::{ACCOUNT}:assumed-role/EMR/i-1",
        ):
            tool.fails(2, "doctor", *properties(kms_cached(key)), option, role)
    assert not servers.calls()
    other = {"Effect": "Allow", "Principal": {"AWS": ROLE + "2"}, "Action": "kms:*", "Resource": "*"}
    deny = {"Sid": "stop", "Effect": "Deny", "Principal": {"AWS": ROLE + "2"}, "Action": "kms:Decrypt", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [other, deny]})
    servers.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    assert doctor(kms_cached(key), "--role", ROLE, status=1)[0]["kms.key-user"] == ["fail"]
    levels, told = doctor(kms_cached(key), "--role", ROLE + "2", status=1)
    assert levels["kms.key-user"] == ["ok", "fail"] and '"stop"' in told


def test_a_key_of_another_account_is_named_by_arn(servers, doctor):
    foreign = "arn:aws:iam::444455556666:role/EMR"
    arn = servers.kms_key()
    user = {"Effect": "Allow", "Principal": {"AWS": foreign}, "Action": "kms:*", "Resource": "*"}
    servers.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps({"Statement": [user]}))
    alias = "alias/" + arn[-12:]
    servers.kms.create_alias(AliasName=alias, TargetKeyId=arn)
    for named in (arn, arn.rsplit(":", 1)[0] + ":" + alias):
        levels, told = doctor(kms_cached(named), "--role", foreign)
        assert levels["kms.account"] == ["note"] and "444455556666" in told
    for named in (arn.rsplit("/", 1)[1], alias):
        assert doctor(kms_cached(named), "--role", foreign, status=1)[0]["kms.account"] == ["fail"]
        assert "kms.account" not in doctor(kms_cached(named), "--role", ROLE, status=1)[0]


def test_every_problem_of_the_configuration_is_a_line(doctor):
    site = {"emrkeys.defualt.key": "a", "emrkeys.key.a.type": "aes", "emrkeys.key.b.type": "des", **EMRFS}
    levels, told = doctor(site, status=1)
    assert levels["config.valid"] == ["fail"] * 3
    for code in ("UNKNOWN_PROPERTY", "MISSING_PROPERTY", "INVALID_VALUE"):
        assert code in told
    assert levels["emrfs.enabled"] == ["ok"]


def test_key_files_are_opened(tool, doctor, keys):
    public, private = keys.rsa("one")
    other, _ = keys.rsa("two")
    lax = keys.aes("lax")
    (tool.folder / "lax").chmod(0o644)
    site = {
        "emrkeys.key.pair.type": "rsa", "emrkeys.key.pair.public": other, "emrkeys.key.pair.private": private,
        "emrkeys.key.lax.type": "aes", "emrkeys.key.lax.file": lax,
        "emrkeys.key.gone.type": "aes", "emrkeys.key.gone.file": "file:///no/such/key",
        "emrkeys.default.key": "lax", **EMRFS,
    }  # fmt: skip
    levels, told = doctor(site, status=1)
    assert levels["keys.open"] == ["fail"] * 3
    for code in ("KEY_PAIR_MISMATCH", "KEY_FILE_PERMISSIONS", "KEY_FILE_NOT_FOUND"):
        assert code in told
    (tool.folder / "lax").chmod(0o600)
    good = {**site, "emrkeys.key.pair.public": public, "emrkeys.key.gone.file": lax}
    assert doctor(good)[0]["keys.open"] == ["ok"]


def test_a_cause_is_one_failure_and_comes_first(servers, tool, doctor, keys):
    for file in ("file:///no/such/key", f"s3://{servers.bucket()}/no-such-key"):
        gone = {"emrkeys.key.gone.type": "aes", "emrkeys.key.gone.file": file}
        site = {**gone, "emrkeys.default.key": "gone", "emrkeys.local-disk.key": "gone", **EMRFS}
        assert doctor(site, status=1)[0]["keys.open"] == ["fail"]
    printed = tool.run("doctor", *properties(site)).stdout.splitlines()
    assert printed[0].split()[:2] == ["FAIL", "keys.open"], printed
    keyring = {"emrkeys.key.lake.type": "keyring", "emrkeys.key.lake.uri": f"s3://{servers.bucket()}/no.keyring"}
    keyring["emrkeys.key.lake.kms-key-id"] = servers.kms_key()
    levels, told = doctor({**keyring, "emrkeys.default.key": "lake", **EMRFS}, status=1)
    assert sum(level.count("fail") for level in levels.values()) == 1, told
    assert levels["keyring.authentic"] == ["fail"] and told.count("KEY_FILE_NOT_FOUND") == 1


def test_a_property_that_almost_is_ours_is_told(doctor, keys):
    site = {"emrkeys.key.a.type": "aes", "emrkeys.key.a.file": keys.aes("a"), "emrkeys.default.key": "a", **EMRFS}
    levels, told = doctor({**site, "emrkey.default.key": "b"})
    assert levels["config.files"] == ["warning"] and "emrkey.default.key has no effect" in told
    assert "config.files" not in doctor(site)[0]


def test_an_older_keyring_that_was_put_back_is_a_failure(servers, tool, doctor):
    bucket, protector = servers.bucket(), servers.kms_key()
    uri = f"s3://{bucket}/lake.keyring"
    site = {
        "emrkeys.key.lake.type": "keyring", "emrkeys.key.lake.uri": uri, "emrkeys.key.lake.kms-key-id": protector,
        "emrkeys.default.key": "lake", **EMRFS,
    }  # fmt: skip
    tool.ok("keyring", "create", "lake", *properties(site))
    older = servers.s3.get_object(Bucket=bucket, Key="lake.keyring")["Body"].read()
    tool.ok("keyring", "rotate", "lake", *properties(site))
    assert "keyring.newest" not in doctor(site)[0]
    servers.s3.put_object(Bucket=bucket, Key="lake.keyring", Body=older)
    levels, told = doctor(site, status=1)
    assert levels["keyring.newest"] == ["fail"] and "KEYRING_ROLLED_BACK" in told


def test_what_only_hadoop_can_open_is_not_checked_here(doctor):
    site = {"emrkeys.key.a.type": "aes", "emrkeys.key.a.credential": "a.key", "emrkeys.default.key": "a", **EMRFS}
    assert doctor(site)[0]["keys.open"] == ["note"]


def test_keyrings_are_verified_and_their_age_is_told(servers, tool, doctor, keys):
    uri, protector = f"s3://{servers.bucket()}/lake.keyring", servers.kms_key()
    tool.ok("keyring", "create", uri, "--name", "lake", "--kms-key-id", protector)
    site = {
        "emrkeys.key.lake.type": "keyring", "emrkeys.key.lake.uri": uri, "emrkeys.key.lake.kms-key-id": protector,
        "emrkeys.default.key": "lake", **EMRFS,
    }  # fmt: skip
    levels, _ = doctor(site)
    assert levels["keyring.authentic"] == levels["keyring.rotation"] == levels["kms.exists"] == ["ok"]
    servers.s3.put_object(Bucket=uri.split("/")[2], Key="lake.keyring", Body=b"{}")
    levels, told = doctor(site, status=1)
    assert levels["keyring.authentic"] == ["fail"] and "KEYRING_INVALID" in told
    document = tool.folder / "old.keyring"
    master = keys.aes("master")
    tool.ok("keyring", "create", document, "--name", "lake", "--protector-file", master)
    local = {**site, "emrkeys.key.lake.uri": document.as_uri(), "emrkeys.key.lake.protector-file": master}
    del local["emrkeys.key.lake.kms-key-id"]
    assert doctor(local)[0]["keyring.authentic"] == ["ok"]
    other = {**local, "emrkeys.key.lake.protector-file": keys.aes("another")}
    assert doctor(other, status=1)[0]["keyring.authentic"] == ["fail"]


def test_one_key_for_disks_and_for_s3_is_a_warning(servers, tool, doctor, keys):
    one = keys.aes("one")
    site = {
        "emrkeys.key.a.type": "aes", "emrkeys.key.a.file": one, "emrkeys.default.key": "a",
        "emrkeys.local-disk.key": "a",
        **EMRFS,
    }  # fmt: skip
    assert "warning" in doctor(site)[0]["config.warning"]
    key = servers.kms_key()
    path = tool.folder / "security.json"
    path.write_text(security(disk_key=key))
    assert doctor(kms_cached(key), "--security-configuration", path)[0]["kms.separate"] == ["warning"]
    alias = "alias/" + key[-12:]
    servers.kms.create_alias(AliasName=alias, TargetKeyId=key)
    path.write_text(security(disk_key=alias))
    assert doctor(kms_cached(key), "--security-configuration", path)[0]["kms.separate"] == ["warning"]
    path.write_text(security(disk_key=servers.kms_key()))
    assert doctor(kms_cached(key), "--security-configuration", path)[0]["kms.separate"] == ["ok"]


def security(s3: dict | None = None, disk_key: str | None = None, **disk) -> str:
    """A security configuration: our class for S3, if not said otherwise."""
    ours = {"EncryptionMode": "CSE-Custom", "EncryptionKeyProviderClass": "org.emrkeys.S3EncryptionMaterialsProvider"}
    at_rest = {
        "S3EncryptionConfiguration": s3 or ours,
        "LocalDiskEncryptionConfiguration": {"EncryptionKeyProviderType": "AwsKms", "AwsKmsKey": disk_key, **disk},
    }
    document = {"EnableAtRestEncryption": True, "AtRestEncryptionConfiguration": at_rest}
    return json.dumps({"EncryptionConfiguration": document})


def test_the_keys_of_a_security_configuration_are_checked_like_others(servers, tool, doctor):
    one, disabled, far = servers.kms_key(), servers.kms_key(), servers.kms_key("eu-west-1")
    servers.kms.disable_key(KeyId=disabled)
    path = tool.folder / "security.json"

    def run(s3_key: str, disk_key: str, status: int):
        path.write_text(security({"EncryptionMode": "SSE-KMS", "AwsKmsKey": s3_key}, disk_key))
        return doctor(kms_cached(one), "--security-configuration", path, "--role", ROLE, status=status)[0]

    for s3_key, disk_key in ((disabled, servers.kms_key()), (servers.kms_key(), disabled)):
        assert run(s3_key, disk_key, 1)["kms.enabled"].count("fail") == 1
    assert run(servers.kms_key(), "alias/no-such-key", 1)["kms.exists"] == ["ok", "ok", "fail"]
    levels = run(far, servers.kms_key(), 0)
    assert levels["kms.region"] == ["ok", "warning", "ok"] and levels["kms.key-user"] == ["note"] * 3
    # A bad configuration of ours keeps nobody from looking at them.
    assert doctor({}, "--security-configuration", path, status=1)[0]["kms.enabled"] == ["ok", "ok"]


def test_ebs_volumes_want_the_service_role_as_a_key_user(servers, tool, doctor):
    disk_key, service = servers.kms_key(), ROLE.replace("EC2_", "")
    path = tool.folder / "security.json"
    path.write_text(security(disk_key=disk_key, EnableEbsEncryption=True))
    command = [kms_cached(servers.kms_key()), "--security-configuration", path]
    assert doctor(*command)[0]["kms.service-role"] == ["note"]
    assert doctor(*command, "--service-role", service)[0]["kms.service-role"] == ["note"]
    tool.ok("kms", "add-key-user", disk_key, "--role", "EMR_DefaultRole", "--apply")
    assert doctor(*command, "--service-role", service)[0]["kms.service-role"] == ["ok"]
    path.write_text(security(disk_key=disk_key))
    assert "kms.service-role" not in doctor(*command, "--service-role", service)[0]


def test_a_security_configuration_sets_what_the_files_need_not(servers, tool, doctor):
    site = kms_cached(servers.kms_key())
    for name in ("fs.s3.cse.enabled", "fs.s3.cse.encryptionMaterialsProvider"):
        del site[name]
    levels, _ = doctor(site)
    assert levels["emrfs.enabled"] == levels["emrfs.provider"] == ["warning"]
    path = tool.folder / "security.json"
    path.write_text(security(disk_key=servers.kms_key()))
    levels, _ = doctor(site, "--security-configuration", path)
    assert levels["emrfs.enabled"] == levels["emrfs.provider"] == ["ok"]


def test_s3a_has_properties_of_its_own(servers, doctor):
    site = {name: value for name, value in kms_cached(servers.kms_key()).items() if name.startswith("emrkeys.")}
    levels, _ = doctor(site, "--for", "s3a", status=1)
    assert levels["s3a.algorithm"] == levels["s3a.keyring"] == ["fail"] and "emrfs.enabled" not in levels
    site |= {
        "fs.s3a.encryption.algorithm": "CSE-CUSTOM",
        "fs.s3a.encryption.cse.custom.keyring.class.name": "org.emrkeys.S3AKeyring",
        "fs.s3a.input.stream.type": "classic",
    }
    levels, _ = doctor(site, "--for", "s3a")
    assert levels["s3a.keyring"] == ["ok"] and levels["s3a.interceptor"] == ["warning"]
    site["fs.s3a.audit.execution.interceptors"] = "org.emrkeys.S3AReadInterceptor"
    assert doctor(site, "--for", "s3a")[0]["s3a.interceptor"] == ["ok"]


def test_kms_out_of_reach_is_a_failure_and_no_panic(tool):
    site = kms_cached("arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab")
    done = tool.run("doctor", *properties(site), "--bucket", "lake", env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert done.returncode == 1 and "SOURCE_UNAVAILABLE" in done.stdout and "panicked" not in done.stderr
    bucket = next(line for line in done.stdout.splitlines() if "s3.bucket" in line)
    assert "refused" in bucket and "status" not in bucket
    assert "DispatchFailure" not in done.stdout


@pytest.mark.parametrize("endpoint, bucket", [("no url", "lake"), (None, "no bucket!")])
def test_an_endpoint_or_a_bucket_that_is_none_is_told(servers, doctor, endpoint, bucket):
    env = {"AWS_ENDPOINT_URL_S3": endpoint} if endpoint else {}
    levels, told = doctor(kms_cached(servers.kms_key()), "--bucket", bucket, status=1, env=env)
    assert levels["s3.bucket"] == ["fail"] and "status 0" not in told


def test_s3a_has_properties_for_single_buckets(servers, doctor):
    site = {name: value for name, value in kms_cached(servers.kms_key()).items() if name.startswith("emrkeys.")}
    site |= {
        "fs.s3a.encryption.algorithm": "CSE-CUSTOM",
        "fs.s3a.encryption.cse.custom.keyring.class.name": "org.emrkeys.S3AKeyring",
        "fs.s3a.input.stream.type": "classic",
        "fs.s3a.audit.execution.interceptors": "org.emrkeys.S3AReadInterceptor",
    }
    lake = {"fs.s3a.bucket.lake.encryption.algorithm": "SSE-S3", "fs.s3a.bucket.lake.input.stream.type": "analytics"}
    levels, told = doctor({**site, **lake}, "--for", "s3a", status=1)
    assert levels["s3a.algorithm"] == levels["s3a.input-stream"] == ["ok", "fail"]
    assert "fs.s3a.bucket.lake.encryption.algorithm is SSE-S3" in told
    alone = {"fs.s3a.encryption.algorithm": "SSE-KMS", "fs.s3a.bucket.my.lake.encryption.algorithm": "CSE-CUSTOM"}
    levels, told = doctor({**site, **alone}, "--for", "s3a")
    assert levels["s3a.algorithm"] == ["note", "ok"] and levels["s3a.keyring"] == ["ok"]


def test_a_security_configuration_with_our_class_is_enough(tool, doctor, keys):
    path = tool.folder / "security.json"

    def configured(mode: str, status: int = 0):
        s3 = {"EncryptionMode": mode, "EncryptionKeyProviderClass": "org.emrkeys.S3EncryptionMaterialsProvider"}
        at_rest = {"S3EncryptionConfiguration": s3}
        document = {"EnableAtRestEncryption": True, "AtRestEncryptionConfiguration": at_rest}
        path.write_text(json.dumps({"EncryptionConfiguration": document}))
        levels, _ = doctor(site, "--security-configuration", path, status=status)
        return levels["emrfs.enabled"] + levels["emrfs.provider"]

    site = {"emrkeys.key.a.type": "aes", "emrkeys.key.a.file": keys.aes("a"), "emrkeys.default.key": "a"}
    assert configured("CSE-Custom") == ["ok", "ok"]
    assert configured("SSE-S3") == ["warning", "warning"]
    site["fs.s3.cse.enabled"] = "false"
    assert configured("CSE-Custom") == ["ok", "ok"]
    assert configured("SSE-S3", status=1) == ["fail", "warning"]


S3A = {
    "fs.s3a.encryption.algorithm": "CSE-CUSTOM",
    "fs.s3a.encryption.cse.custom.keyring.class.name": "org.emrkeys.S3AKeyring",
    "fs.s3a.audit.execution.interceptors": "org.emrkeys.S3AReadInterceptor",
}


def aes(keys) -> dict:
    return {"emrkeys.key.a.type": "aes", "emrkeys.key.a.file": keys.aes("a"), "emrkeys.default.key": "a"}


def test_a_release_that_reads_none_of_emrfs_properties_is_a_failure(doctor, keys):
    site = {**EMRFS, **aes(keys)}
    assert doctor(site, "--release", "emr-7.9.0")[0]["emrfs.connector"] == ["ok"]
    assert doctor(site)[0]["emrfs.connector"] == ["note"]
    for release in ("emr-7.10.0", "emr-7.12.0", "emr-8.0.0"):
        levels, told = doctor(site, "--release", release, status=1)
        assert levels["emrfs.connector"] == ["fail"] and "not tried" in told
    kept = {**site, "fs.s3.impl": "com.amazon.ws.emr.hadoop.fs.EmrFileSystem"}
    assert doctor(kept, "--release", "emr-7.10.0")[0]["emrfs.connector"] == ["ok"]


def test_the_release_is_that_of_the_clusters_document(tool, doctor, keys):
    path = tool.folder / "cluster.json"
    site = [{"Classification": "emrfs-site", "Properties": {**EMRFS, **aes(keys)}}]
    path.write_text(json.dumps({"ReleaseLabel": "emr-7.10.0", "Configurations": site}))
    assert doctor({}, "--conf", path, status=1)[0]["emrfs.connector"] == ["fail"]
    assert doctor({}, "--conf", path, "--release", "emr-7.9.0")[0]["emrfs.connector"] == ["ok"]


def test_the_properties_that_the_failure_names_are_enough(tool, doctor, keys):
    site = {**EMRFS, **aes(keys)}
    found = tool.json("doctor", *properties(site), "--release", "emr-7.10.0", status=1)
    remedy = next(check["remedy"] for check in found["checks"] if check["check"] == "emrfs.connector")
    named = dict(word.strip(",.;").split("=") for word in remedy.split() if word.startswith("fs.s3a."))
    assert named == S3A
    assert doctor({**site, **named}, "--release", "emr-7.10.0")[0]["emrfs.connector"] == ["note"]
    # EMR's default lets ciphertext through.
    levels, _ = doctor({**site, **named}, "--for", "s3a", "--release", "emr-7.10.0", status=1)
    assert levels["s3a.v1-compatibility"] == ["fail"] and levels["s3a.connector"] == ["ok"]
    whole = {**site, **named, "fs.s3a.encryption.cse.v1.compatibility.enabled": "false"}
    doctor(whole, "--for", "s3a", "--release", "emr-7.10.0")


def test_s3a_on_a_release_where_emrfs_serves_s3_is_a_warning(doctor, keys):
    site = {**S3A, **aes(keys)}
    assert doctor(site, "--for", "s3a", "--release", "emr-7.9.0")[0]["s3a.connector"] == ["warning"]
    assert "s3a.connector" not in doctor(site, "--for", "s3a")[0]


def test_a_release_of_another_form_is_refused(tool):
    assert "emr-7.12.0" in tool.fails(2, "doctor", "--release", "7.10")


def test_content_that_emrfs_does_not_authenticate_is_a_warning(doctor, keys):
    site = {**EMRFS, **aes(keys)}
    del site["fs.s3.cse.encryptionV2.enabled"]
    levels, told = doctor(site)
    assert levels["emrfs.content"] == ["warning"] and "EncryptionOnly" in told
    for name, value in (("cryptoMode", "AuthenticatedEncryption"), ("encryptionV2.enabled", "true")):
        assert doctor({**site, f"fs.s3.cse.{name}": value})[0]["emrfs.content"] == ["ok"]
    assert doctor({**site, "fs.s3.cse.cryptoMode": "GCM"}, status=1)[0]["emrfs.content"] == ["fail"]


def test_a_name_that_aws_properties_gave_and_no_key_takes_over_is_a_warning(servers, tool, doctor, keys):
    public, private = keys.rsa("pair")
    kms = {"fs.s3.cse.kms.keyId": servers.kms_key()}
    pair = {"public": public, "private": private, "name": "payroll-2019"}
    rsa = {f"fs.s3.cse.rsa.{name}": value for name, value in pair.items()}
    for theirs, named in ((kms, ["fs.s3.cse.kms.keyId"]), (rsa, ["fs.s3.cse.rsa.public", "fs.s3.cse.rsa.name"])):
        drop_in = {**EMRFS, **theirs, "fs.s3.cse.materialsDescription.enabled": "false"}
        assert "config.warning" not in doctor(drop_in)[0]
        site = {**EMRFS, **aes(keys), **theirs}
        levels, told = doctor(site)
        assert levels["config.warning"] == ["warning"] * len(named)
        assert all(f"{name} has no effect" in told for name in named)
    taken = {
        **EMRFS,
        **kms,
        **rsa,
        **aes(keys),
        "emrkeys.key.emrfs.type": "kms",
        "emrkeys.key.emrfs.kms-key-id": kms["fs.s3.cse.kms.keyId"],
        "emrkeys.key.old.type": "rsa",
        "emrkeys.key.old.public": public,
        "emrkeys.key.old.private": private,
        "emrkeys.key.old.legacy-name": "payroll-2019",
        "emrkeys.key.a.aliases": "default",
    }
    assert "config.warning" not in doctor(taken)[0]
