"""The recipes of README.md and docs/*.md, run as they are printed.

A shell runs the commands; properties are files that `--conf` reads. Placeholders are replaced by what the test has: KMS
keys by those of the local KMS, `/etc/emrkeys` by the test's folder. Buckets have their printed names.
"""

import base64
import json
import os
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import envelopes
import markdown
from person import REGION, Operator

RUN: set[str] = set()
"""The recipes that a test of this module runs."""


def recipes(*names: str):
    """Marks a test that runs these recipes, each of them."""
    RUN.update(names)
    return pytest.mark.recipes(*names)


def test_every_block_of_the_documents_is_run_or_says_why_not():
    blocks = markdown.blocks()
    assert len(blocks) > 20
    unmarked = [str(block) for block in blocks if block.kind is None]
    assert not unmarked, "blocks without a mark (see markdown.py): " + ", ".join(unmarked)
    marks = [block.mark for block in blocks if block.kind == "recipe"]
    assert len(marks) == len(set(marks)), "two recipes have one name"
    assert RUN == set(marks), "the recipes that tests run are not those of the documents"


KMS_ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
V2_CONTEXT = {"aws:x-amz-cek-alg": envelopes.GCM}


def emrfs_kms(operator: Operator) -> dict[str, bytes]:
    """Objects that EMRFS's own KMS provider wrote, with its V1 and its V2 client, and their content."""
    key = operator.kms_key(KMS_ARN)
    kms = operator.servers.client("kms", REGION)
    v1, v2 = ({"kms_cmk_id": key}, V2_CONTEXT)
    return {
        "v1": operator.store("v1", envelopes.Kms(kms, key, v1), "v1", v1),
        "v2": operator.store("v2", envelopes.Kms(kms, key, v2), "v2", v2),
    }


def assert_reads(operator: Operator, contents: dict[str, bytes], conf: str) -> None:
    for key, content in contents.items():
        assert operator.cat(key, conf) == content, key


def audited(operator: Operator, conf: str) -> tuple[set[str], set[str]]:
    """The keys of the objects in s3://lake/, and the findings."""
    found = json.loads(operator.shell(f"emrkeys audit s3://lake/ --conf {conf} --output json"))
    return {group["key"] for group in found["groups"]}, {finding["finding"] for finding in found["findings"]}


@recipes("parquet")
def test_the_keys_of_encrypted_tables_open(operator):
    operator.save("parquet", "tables.properties")
    create = "emrkeys keyring create s3://keys/lake.keyring --name lake --kms-key-id"
    operator.shell(f"{create} {operator.kms_key(KMS_ARN)}")
    levels = operator.doctor("tables.properties", "--for tables")
    assert levels["config.valid"] == levels["keys.open"] == levels["keyring.authentic"] == ["ok"], levels


@recipes("kms-drop-in", "kms-keyring-create", "kms-to-keyring", "kms-check", "kms-rewrap")
def test_from_emrfs_kms_to_a_keyring(operator):
    contents = emrfs_kms(operator)
    operator.save("kms-drop-in", "drop-in.properties")
    assert_reads(operator, contents, "drop-in.properties")
    contents["in"] = operator.put("in", "drop-in.properties")

    operator.run("kms-keyring-create")
    operator.save("kms-to-keyring", "lake.properties")
    contents["new"] = operator.put("new", "lake.properties")
    assert operator.described("new")["emrkeys.key"] == "lake"
    told = operator.run("kms-check")
    assert "unreadable" not in told and "FAIL" not in told, told
    assert_reads(operator, contents, "lake.properties")

    operator.run("kms-rewrap")
    without = operator.text("kms-to-keyring").replace("emrkeys.key.emrfs.", "# emrkeys.key.emrfs.")
    (operator.folder / "without.properties").write_text(without)
    assert_reads(operator, contents, "without.properties")


@recipes("kms-drop-in", "kms-to-kms-cached")
def test_from_emrfs_kms_to_kms_cached(operator):
    contents = emrfs_kms(operator)
    operator.save("kms-drop-in", "drop-in.properties")
    contents["in"] = operator.put("in", "drop-in.properties")
    operator.save("kms-to-kms-cached", "lake.properties")
    contents["new"] = operator.put("new", "lake.properties")
    assert_reads(operator, contents, "lake.properties")
    assert "fail" not in sum(operator.doctor("lake.properties").values(), [])


@recipes(
    "kms-keyring-create",
    "kms-to-keyring",
    "convert-dry-run",
    "convert",
    "convert-from-plaintext",
    "convert-to-plaintext",
)
def test_objects_are_converted_encrypted_and_decrypted(operator):
    operator.run("kms-keyring-create")
    operator.save("kms-to-keyring", "lake.properties")
    key, context = operator.kms_key(KMS_ARN), {"kms_cmk_id": operator.kms_key(KMS_ARN)}
    emrfs = envelopes.Kms(operator.servers.client("kms", REGION), key, context)
    contents = {"raw/a": operator.store("raw/a", emrfs, "v1", context)}
    contents["raw/b"] = operator.put("raw/b", "lake.properties")
    assert "1  would-be-converted" in operator.run("convert-dry-run")
    assert len((operator.folder / "plan.csv").read_text().splitlines()) == 3
    operator.run("convert")
    assert operator.described("raw/a")["emrkeys.key"] == "lake"
    assert_reads(operator, contents, "lake.properties")

    operator.servers.s3.put_object(Bucket="lake", Key="clear/c", Body=b"in the clear")
    operator.run("convert-from-plaintext")
    assert_reads(operator, {"clear/c": b"in the clear"}, "lake.properties")
    operator.run("convert-to-plaintext")
    assert operator.servers.s3.get_object(Bucket="lake", Key="clear/c")["Body"].read() == b"in the clear"


def aws_rsa(operator: Operator) -> dict[str, bytes]:
    """The pair of AWS's RSA provider where its properties say, and objects that it wrote, with each client."""
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    files = {
        "public.der": pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "private.der": pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, content in files.items():
        operator.servers.s3.put_object(Bucket="keys", Key=name, Body=content)
    key = envelopes.Rsa(pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    described = {"rsa_name": "payroll-2019"}
    return {how: operator.store(how, key, how, described) for how in ("encryption-only", "v1", "v2")}


@recipes("rsa-drop-in", "rsa-named", "rsa-keygen", "rsa-rotated", "rsa-to-keyring", "kms-keyring-create")
def test_from_aws_rsa_provider_through_every_step_with_objects_of_each(operator):
    contents = aws_rsa(operator)

    def step(name: str, file: str, key: str, rsa_name: str | None):
        operator.save(name, file)
        contents[name] = operator.put(name, file)
        described = operator.described(name)
        assert (described["emrkeys.key"], described.get("rsa_name")) == (key, rsa_name)
        assert_reads(operator, contents, file)
        assert "fail" not in sum(operator.doctor(file).values(), [])

    step("rsa-drop-in", "drop-in.properties", "default", "payroll-2019")
    step("rsa-named", "named.properties", "payroll", "payroll-2019")
    # From the original pair, not from the one that replaces it.
    operator.run("kms-keyring-create")
    step("rsa-to-keyring", "keyring.properties", "lake", None)
    del contents["rsa-to-keyring"]
    operator.run("rsa-keygen")
    step("rsa-rotated", "rotated.properties", "payroll", "payroll-2026")


@recipes("dks")
def test_from_dwps_data_key_service(operator):
    service = operator.servers.control("POST", "data-key-service", {"key_bytes": 32})
    for name in ("client.pem", "ca.pem"):
        path = operator.folder / name
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(service["files"][name]))
    there = operator.text("dks").replace("https://dks.example.org:8443", service["url"])
    (operator.folder / "dks.properties").write_text(there)
    content = operator.put("new", "dks.properties")
    described = operator.described("new")
    assert described.keys() >= {"keyid", "encryptedkey"}
    assert operator.cat("new", "dks.properties") == content
    # DWP's provider stores these two alone.
    theirs = {name: described[name] for name in ("keyid", "encryptedkey")}
    head = operator.servers.s3.head_object(Bucket="lake", Key="new")["Metadata"]
    operator.servers.s3.copy_object(
        Bucket="lake",
        Key="theirs",
        CopySource="lake/new",
        MetadataDirective="REPLACE",
        Metadata={**head, "x-amz-matdesc": json.dumps(theirs)},
    )
    assert operator.cat("theirs", "dks.properties") == content


@recipes("own-provider")
def test_from_a_provider_of_ones_own(operator):
    keys = {}
    for name in ("red", "blue"):
        material = os.urandom(32)
        keys[name] = envelopes.Aes(material)
        operator.servers.s3.put_object(Bucket="keys", Key=f"{name}.key", Body=material)
    contents = {name: operator.store(name, key, "v2", {"tenant": name}) for name, key in keys.items()}
    contents["nameless"] = operator.store("nameless", keys["red"], "v1", {})
    operator.save("own-provider", "own.properties")
    contents["new"] = operator.put("new", "own.properties")
    assert operator.described("new")["emrkeys.key"] == "blue"
    assert_reads(operator, contents, "own.properties")


@recipes("kms-keyring-create", "kms-to-keyring", "keyring-rotate", "rewrap", "keyring-retire", "keyring-destroy")
def test_a_keyring_is_rotated_objects_move_and_the_old_version_is_destroyed(operator):
    operator.run("kms-keyring-create")
    operator.save("kms-to-keyring", "lake.properties")
    contents = {"raw/one": operator.put("raw/one", "lake.properties")}
    operator.run("keyring-rotate")
    contents["raw/two"] = operator.put("raw/two", "lake.properties")
    versions = {operator.described(key)["emrkeys.version"].partition("-")[0] for key in contents}
    assert versions == {"1", "2"}
    assert_reads(operator, contents, "lake.properties")
    operator.run("keyring-retire", status=4)
    operator.run("rewrap")
    assert {operator.described(key)["emrkeys.version"].partition("-")[0] for key in contents} == {"2"}
    # The same commands again, with the same checkpoint, move every object again.
    operator.run("keyring-rotate")
    operator.run("rewrap")
    assert {operator.described(key)["emrkeys.version"].partition("-")[0] for key in contents} == {"3"}
    operator.run("keyring-retire")
    operator.run("keyring-destroy")
    assert_reads(operator, contents, "lake.properties")


@recipes("kms-cached-rotated")
def test_a_kms_cached_key_is_rotated(operator):
    new, old = (operator.kms_key(f"arn:aws:kms:eu-west-1:111122223333:key/{name}") for name in ("new", "old"))
    operator.save("kms-cached-rotated", "rotated.properties")
    before = f"emrkeys.key.lake.type=kms-cached\nemrkeys.key.lake.kms-key-id={old}\nemrkeys.default.key=lake\n"
    (operator.folder / "before.properties").write_text(before)
    older = f"emrkeys.key.next.type=kms-cached\nemrkeys.key.next.kms-key-id={new}\n"
    readers = before + "emrkeys.key.lake.previous=next\n" + older
    (operator.folder / "readers.properties").write_text(readers)
    contents = {name: operator.put(name, f"{name}.properties") for name in ("before", "readers", "rotated")}
    for conf in ("readers", "rotated"):
        assert_reads(operator, contents, f"{conf}.properties")


@recipes("kms-alias", "kms-alias-moved")
def test_a_kms_alias_is_moved(operator):
    old = operator.kms_key(KMS_ARN)
    operator.servers.client("kms", REGION).create_alias(AliasName="alias/main", TargetKeyId=old)
    operator.save("kms-alias", "alias.properties")
    contents = {"before": operator.put("before", "alias.properties")}
    operator.run("kms-alias-moved")
    contents["after"] = operator.put("after", "alias.properties")
    assert_reads(operator, contents, "alias.properties")
    without = re.sub(".*previous-kms-key-ids.*\n", "", (operator.folder / "alias.properties").read_text())
    (operator.folder / "without.properties").write_text(without)
    assert "KEY_VERSION_UNKNOWN" in operator.errors("emrkeys cat s3://lake/before --conf without.properties")


@recipes("kms-keyring-create", "keyring-two-protectors", "keyring-reprotect")
def test_a_keyring_gets_another_protecting_key(operator):
    old = operator.kms_key("arn:aws:kms:eu-west-1:111122223333:key/old")
    operator.kms_keys[KMS_ARN] = old
    operator.run("kms-keyring-create")
    operator.save("keyring-two-protectors", "both.properties")
    contents = {"before": operator.put("before", "both.properties")}
    operator.run("keyring-reprotect")
    both = (operator.folder / "both.properties").read_text()
    (operator.folder / "new.properties").write_text(both.replace(f",{old}", ""))
    contents["after"] = operator.put("after", "new.properties")
    operator.servers.client("kms", REGION).disable_key(KeyId=old)
    assert_reads(operator, contents, "new.properties")


@recipes("aes-keygen", "aes-readers-first", "aes-rotated")
def test_an_aes_key_is_rotated_readers_first(operator):
    operator.servers.s3.put_object(Bucket="keys", Key="main.key", Body=os.urandom(32))
    before = "emrkeys.key.main.type=aes\nemrkeys.key.main.file=s3://keys/main.key\nemrkeys.default.key=main\n"
    (operator.folder / "before.properties").write_text(before)
    operator.run("aes-keygen")
    for name in ("aes-readers-first", "aes-rotated"):
        operator.save(name, f"{name}.properties")
    names = ("before", "aes-readers-first", "aes-rotated")
    contents = {name: operator.put(name, f"{name}.properties") for name in names}
    written = {name: operator.described(name)["emrkeys.version"] for name in contents}
    assert written["before"] == written["aes-readers-first"] != written["aes-rotated"]
    for conf in ("aes-readers-first", "aes-rotated"):
        assert_reads(operator, contents, f"{conf}.properties")


@pytest.fixture
def pair_and_audit_key(operator):
    """The key files that configuration.md names."""
    operator.shell(
        "emrkeys keygen rsa main && emrkeys keygen aes audit.key\n"
        "for file in main.pub main.pk8 audit.key; do aws s3 cp $file s3://keys/$file; done"
    )


@recipes("configuration-example")
def test_the_example_of_the_configuration(operator, pair_and_audit_key):
    operator.save("configuration-example", "example.properties")
    contents = {key: operator.put(key, "example.properties") for key in ("audit/a", "payroll/b", "raw/c")}
    assert [operator.described(key)["emrkeys.key"] for key in contents] == ["audit", "audit", "main"]
    assert_reads(operator, contents, "example.properties")


@recipes("kms-keyring-create", "configuration-keyring")
def test_the_keyring_of_the_configuration(operator):
    operator.run("kms-keyring-create")
    operator.save("configuration-keyring", "lake.properties")
    assert_reads(operator, {"a": operator.put("a", "lake.properties")}, "lake.properties")


@recipes("readme-properties", "readme-documents", "readme-tool")
def test_the_readme_from_the_properties_to_the_audit(operator):
    operator.save("readme-properties", "lake.properties")
    operator.servers.client("s3", REGION).create_bucket(
        Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    printed = operator.run("readme-documents")
    assert "failures: 0" in printed, printed
    contents = {key: operator.put(key, "emr.json") for key in ("audit/2026/part-0", "raw/c")}
    assert [operator.described(key)["emrkeys.key"] for key in contents] == ["audit", "lake"]
    assert_reads(operator, contents, "emr.json")
    assert "rule audit" in operator.run("readme-tool")


@recipes("kms-keyring-create", "s3a", "spark")
def test_the_properties_of_s3a_and_spark(operator):
    operator.run("kms-keyring-create")
    for name in ("s3a", "spark"):
        operator.save(name, f"{name}.conf")
        levels = operator.doctor(f"{name}.conf", "--for s3a")
        assert "fail" not in sum(levels.values(), []), levels
        assert levels["s3a.algorithm"] == levels["s3a.keyring"] == levels["s3a.interceptor"] == ["ok"]
        assert_reads(operator, {name: operator.put(name, f"{name}.conf --for s3a")}, f"{name}.conf --for s3a")


@recipes("kms-keyring-create", "s3a", "s3a-read")
def test_the_client_factory_of_s3a_beside_its_own_encryption(operator):
    operator.run("kms-keyring-create")
    operator.save("s3a-read", "read.conf")
    levels = operator.doctor("read.conf", "--for s3a")
    assert "fail" not in sum(levels.values(), []) and levels["s3a.read-factory"] == ["note"], levels
    operator.save("s3a", "s3a.conf")
    # The cluster encrypts by S3A, and reads one bucket by the factory.
    levels = operator.doctor("s3a.conf --conf read.conf", "--for s3a")
    assert "fail" not in sum(levels.values(), []), levels
    assert levels["s3a.algorithm"] == ["ok"] and levels["s3a.read-factory"] == ["note"], levels


@recipes("audit-line")
def test_a_line_of_the_audit_log_has_the_printed_fields(operator):
    printed = json.loads(operator.text("audit-line"))
    (operator.folder / "a.key").touch(mode=0o600)
    (operator.folder / "a.key").write_bytes(os.urandom(32))
    (operator.folder / "audited.properties").write_text(
        f"emrkeys.key.a.type=aes\nemrkeys.key.a.file={(operator.folder / 'a.key').as_uri()}\nemrkeys.default.key=a\n"
        f"emrkeys.audit={(operator.folder / 'audit.json').as_uri()}\n"
    )
    operator.put("a", "audited.properties")
    line = json.loads((operator.folder / "audit.json").read_text().splitlines()[0])
    assert line.keys() == printed.keys()
    assert (line["purpose"], line["source"], line["outcome"]) == ("encrypt", "aes", "ok")


@recipes("kms-keyring-create", "kms-to-keyring", "audit")
def test_an_audit_writes_its_page_and_its_list(operator):
    operator.run("kms-keyring-create")
    operator.save("kms-to-keyring", "lake.properties")
    operator.put("a", "lake.properties")
    assert "lake" in operator.run("audit")
    assert "<html" in (operator.folder / "audit.html").read_text()
    assert json.loads((operator.folder / "objects.jsonl").read_text().splitlines()[0])["key"] == "lake"


@recipes("kms-keyring-create", "kms-to-keyring", "upgrade-classification", "upgrade-doctor")
def test_from_emrfs_to_s3a(operator):
    operator.run("kms-keyring-create")
    operator.save("kms-to-keyring", "lake.properties")
    contents = {"emrfs": operator.put("emrfs", "lake.properties")}
    operator.save("upgrade-classification", "emr.json")
    assert "FAIL" not in operator.run("upgrade-doctor")
    contents["s3a"] = operator.put("s3a", "emr.json --for s3a")
    for client in ("s3", "s3a"):
        assert_reads(operator, contents, f"emr.json --for {client}")
    for name in ("fs.s3a.encryption.algorithm", "fs.s3a.encryption.cse.custom.keyring.class.name"):
        without = json.loads((operator.folder / "emr.json").read_text())
        del without[0]["Properties"][name]
        (operator.folder / "without.json").write_text(json.dumps(without))
        operator.shell("emrkeys doctor --for s3a --conf without.json", status=1)
