"""Remedies work when they are pasted: each command that a message names is run, as it was printed.

A test provokes the message, takes the command from what was printed, and puts values in the place of words such as URI.
"""

import collections
import datetime
import json
import os
import re
import shlex
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

import remedies
from convert_lake import ConvertLake
from envelopes import seal
from shell import Shell
from support import TIMEOUT, properties, shifted_clock, wait_for

NOT_RUN = {
    "aws emr create-security-configuration": "it names what was given to EMR; the servers have no EMR",
    "aws emr create-security-configuration --name emrkeys --security-configuration file://{}": "the same",
    "aws emr describe-cluster": "the same",
    "aws emr describe-security-configuration": "the same",
    "emrkeys unwrap": "it names the command that was given",
    "hadoop credential create ALIAS -provider PATH": "it needs Hadoop",
    "hadoop credential create {} -provider PATH": "it needs Hadoop",
    "hadoop jar": "it is a word of the help of Java's doctor",
    "hadoop jar emrkeys.jar doctor": "it needs Hadoop; tests/e2e run it",
    "hdfs dfs -chmod {} {}": "it needs HDFS",
    "hdfs dfs -get": "it needs HDFS",
    "hdfs dfs -put -f": "it needs HDFS",
}
RUN: collections.Counter = collections.Counter()
"""How many messages with a command the tests provoke, by command."""
PASSWORD = "correct horse"
PUT_POLICY = (
    "aws iam put-role-policy --role-name EMR_EC2_DefaultRole --policy-name emrkeys --policy-document file://{}"
)
OF_JAVA = {
    "emrkeys inspect URI": "S3AKeyring says it where a data key cannot be unwrapped",
    "emrkeys doctor --conf FOLDER": "DoctorHadoop says it where Hadoop cannot read its site files",
}
"""Commands of messages that only a JVM prints: run here in the same situation."""


def runs(*commands: str):
    """Marks a test that runs these commands, each from a message of its own."""
    RUN.update(commands)
    return pytest.mark.remedies(*commands)


class Paste:
    """A person who copies commands from messages into a shell."""

    def __init__(self, shell: Shell):
        self.shell = shell
        self.commands: set[str] = set()

    def __call__(self, told: str, command: str, input: str | None = None, **values: str) -> str:
        """Runs the one command of this form (`{}`: anything) in the message; gives its output."""
        form = re.escape(command).replace(re.escape("{}"), "(?:.*)")
        (found,) = {each for each in re.findall(r"`([^`]+)`", told) if re.fullmatch(form, each)}
        self.commands.add(command)
        for name, value in values.items():
            assert re.search(rf"\b{name}\b", found), f"{name}: {found}"
            found = re.sub(rf"\b{name}\b", lambda _: shlex.quote(value), found)
        return self.shell.ok(found, input)

    def conf(self, site: dict) -> list[str]:
        """Has the commands find this configuration; gives it as options, too."""
        lines = [f"{name}={value}\n" for name, value in site.items()]
        (self.shell.folder / "keys.conf").write_text("".join(lines))
        self.shell.env["EMRKEYS_CONF"] = str(self.shell.folder / "keys.conf")
        return properties(site)


@pytest.fixture
def paste(request, tool):
    person = Paste(Shell(tool))
    tool.env["AWS_DEFAULT_REGION"] = tool.env["AWS_REGION"]
    (tool.folder / "in").write_text("content")
    yield person
    declared = {command for mark in request.node.iter_markers("remedies") for command in mark.args}
    assert person.commands == declared, "the test must run the commands that it names"


def test_every_command_of_a_message_is_run_or_says_why_not():
    named, stray = remedies.named()
    assert not stray, "commands outside of backticks:\n" + "\n".join(stray)
    left_out = {command: named[command] for command in NOT_RUN}
    assert all(left_out.values()), "no message names it any more"
    assert named == RUN + collections.Counter(OF_JAVA.keys()) + collections.Counter(left_out)


def keyring(bucket: str, name: str = "lake.keyring", **more) -> dict:
    """The properties of a key `lake`, a keyring."""
    return {
        "emrkeys.key.lake.type": "keyring",
        "emrkeys.key.lake.uri": f"s3://{bucket}/{name}",
        "emrkeys.default.key": "lake",
        **more,
    }


@runs("emrkeys keyring enable {} {}{}")
@pytest.mark.parametrize("protector", ["kms", "role", "file", "key"])
def test_a_disabled_version_is_enabled(servers, tool, keys, paste, protector):
    bucket, master = servers.bucket(), keys.aes("the master's key")
    kms, role = {"emrkeys.key.lake.kms-key-id": servers.kms_key()}, "arn:aws:iam::123456789012:role/keys"
    more = {
        "kms": kms,
        "role": {**kms, "emrkeys.key.lake.role-arn": role, "emrkeys.key.lake.external-id": "cluster 7"},
        "file": {"emrkeys.key.lake.protector-file": master},
        "key": {"emrkeys.key.lake.protector-key": "m", "emrkeys.key.m.type": "aes", "emrkeys.key.m.file": master},
    }[protector]
    conf = properties(keyring(bucket, "the lake's.keyring", **more))
    tool.ok("keyring", "create", "lake", *conf)
    uri = f"s3://{bucket}/lake/a"
    tool.ok("put", "in", uri, *conf)
    tool.ok("keyring", "rotate", "lake", *conf)
    tool.ok("keyring", "disable", "lake", "1", *conf)
    told = tool.fails(1, "cat", uri, *conf)
    assert (f"--role-arn {role} --external-id 'cluster 7'" in told) == (protector == "role")
    paste(told, "emrkeys keyring enable {} {}{}")
    assert tool.ok("cat", uri, *conf) == "content"


@runs("emrkeys keyring rotate {}{}")
@pytest.mark.parametrize("protector", ["kms", "file"])
def test_a_keyring_that_encrypts_for_long_is_rotated(servers, tool, keys, paste, protector):
    more = {"kms": {"kms-key-id": servers.kms_key()}, "file": {"protector-file": keys.aes("the master's key")}}
    more = {f"emrkeys.key.lake.{name}": value for name, value in more[protector].items()}
    conf = properties(keyring(servers.bucket(), "the lake's.keyring", **more))
    tool.ok("keyring", "create", "lake", *conf, env=shifted_clock(tool.folder, "-2 * 86400"))
    found = tool.json("doctor", *conf, "--max-age", "1")["checks"]
    (check,) = [check for check in found if check["check"] == "keyring.rotation"]
    paste(check["remedy"], "emrkeys keyring rotate {}{}")
    assert len(tool.json("keyring", "list", "lake", *conf)["versions"]) == 2


@runs(
    "emrkeys keyring list KEYRING",
    "emrkeys keyring rotate KEYRING",
    "emrkeys keyring show {}",
    "emrkeys keyring show {}",
)
def test_a_keyring_is_looked_at_and_changed(servers, tool, paste):
    bucket = servers.bucket()
    site = keyring(bucket, "the lake's.keyring", **{"emrkeys.key.lake.kms-key-id": servers.kms_key()})
    conf = paste.conf(site)
    tool.ok("keyring", "create", "lake", *conf)
    told = tool.fails(1, "keyring", "disable", "lake", "9", *conf)
    assert "active" in paste(told, "emrkeys keyring list KEYRING", KEYRING="lake")
    told = tool.fails(1, "keyring", "disable", "lake", "1", *conf)
    paste(told, "emrkeys keyring rotate KEYRING", KEYRING="lake")
    tool.ok("keyring", "disable", "lake", "1", *conf)
    told = tool.fails(3, "keyring", "enable", "lake", "1", "--expect-generation", "1", *conf)
    assert "generation" in paste(told, "emrkeys keyring show {}")
    document = {"Bucket": bucket, "Key": "the lake's.keyring"}
    before = servers.s3.get_object(**document)["Body"].read()
    servers.fault(service="s3", op="PutObject", resource=bucket, alter=True)
    told = tool.fails(3, "keyring", "enable", "lake", "1", *conf)
    assert "replaced by somebody else" in told
    servers.s3.put_object(**document, Body=before)
    assert "generation" in paste(told, "emrkeys keyring show {}")


@runs("emrkeys keyring rewrap KEYRING --kms-key-id OLD --to-kms-key-id NEW")
def test_a_keyring_is_protected_anew_after_its_alias_moved(servers, tool, paste):
    old, new = servers.kms_key(), servers.kms_key()
    alias = "alias/" + old[-12:]
    servers.kms.create_alias(AliasName=alias, TargetKeyId=old)
    conf = paste.conf(keyring(servers.bucket(), **{"emrkeys.key.lake.kms-key-id": alias}))
    tool.ok("keyring", "create", "lake", *conf)
    servers.kms.update_alias(AliasName=alias, TargetKeyId=new)
    told = tool.fails(4, "keyring", "rotate", "lake", *conf)
    command = "emrkeys keyring rewrap KEYRING --kms-key-id OLD --to-kms-key-id NEW"
    paste(told, command, KEYRING="lake", OLD=old, NEW=alias)
    tool.ok("keyring", "rotate", "lake", *conf)


@runs("emrkeys rewrap {} --recursive --to {}")
def test_objects_that_keep_a_version_from_retiring_are_moved(servers, tool, paste):
    bucket = servers.bucket()
    conf = paste.conf(keyring(bucket, **{"emrkeys.key.lake.kms-key-id": servers.kms_key()}))
    tool.ok("keyring", "create", "lake", *conf)
    tool.ok("put", "in", f"s3://{bucket}/the data/a", *conf)
    tool.ok("keyring", "rotate", "lake", *conf)
    retire = ["keyring", "retire", "lake", "1", "--check", f"s3://{bucket}/the data", *conf]
    paste(tool.fails(4, *retire), "emrkeys rewrap {} --recursive --to {}")
    tool.ok(*retire)


@runs("emrkeys kms add-key-user {} --role {} --apply")
@pytest.mark.parametrize("is_default_policy", [True, False])
def test_a_role_becomes_a_key_user(servers, tool, paste, is_default_policy):
    key, role = servers.kms_key(), "arn:aws:iam::123456789012:role/EMR_EC2_DefaultRole"
    if not is_default_policy:
        administrator = "arn:aws:iam::123456789012:role/admin"
        other = {"Effect": "Allow", "Principal": {"AWS": administrator}, "Action": "kms:*", "Resource": "*"}
        servers.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps({"Statement": [other]}))
        sts = servers.client("sts")
        session = sts.assume_role(RoleArn=administrator, RoleSessionName="mary")["Credentials"]
        tool.env |= {
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }
    conf = properties(kms_cached(key))
    told = tool.run("doctor", *conf, "--role", role).stdout
    paste(told, "emrkeys kms add-key-user {} --role {} --apply")
    found = tool.run("doctor", *conf, "--role", role, "--output", "json").stdout
    levels = {check["check"]: check["level"] for check in json.loads(found)["checks"]}
    assert levels["kms.key-user"] == "ok"


@runs("emrkeys kms show-policy {} --all")
def test_a_key_policy_that_is_another_than_the_one_put_is_shown(servers, tool, paste):
    key = servers.kms_key()
    before = servers.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    # Two looks before the policy is put; the third is late, and somebody else puts another meanwhile.
    late = servers.hold("GetKeyPolicy", "kms", after=2)
    command = [tool.path, "kms", "add-key-user", key, "--role", "EMR", "--apply"]
    with subprocess.Popen(command, env=tool.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
        wait_for(lambda: servers.hits(late))
        servers.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=before)
        servers.release(late)
        told = run.communicate(timeout=TIMEOUT)[1]
    assert run.returncode == 3
    assert "Statement" in paste(told, "emrkeys kms show-policy {} --all")


def kms_cached(key: str) -> dict:
    """The properties of a key `lake` of that type, as EMRFS has them."""
    return {
        "fs.s3.cse.enabled": "true",
        "fs.s3.cse.encryptionMaterialsProvider": "org.emrkeys.S3EncryptionMaterialsProvider",
        "fs.s3.cse.encryptionV2.enabled": "true",
        "emrkeys.key.lake.type": "kms-cached",
        "emrkeys.key.lake.kms-key-id": key,
        "emrkeys.default.key": "lake",
    }


@runs(
    "aws kms cancel-key-deletion --key-id {}",
    "aws kms cancel-key-deletion --key-id {}",
    "aws kms enable-key --key-id {}",
    "aws kms enable-key --key-id {}",
    "aws kms enable-key --key-id {}",
)
@pytest.mark.parametrize("says", ["doctor", "put"])
def test_a_kms_key_is_brought_back(servers, tool, paste, says):
    key, bucket = servers.kms_key(), servers.bucket()
    conf = properties(kms_cached(key))
    cancel, enable = "aws kms cancel-key-deletion --key-id {}", "aws kms enable-key --key-id {}"
    put = ["put", "in", f"s3://{bucket}/a", *conf]

    def told() -> str:
        """The remedy for the state of the key."""
        if says == "put":
            return tool.fails(1, *put)
        found = tool.json("doctor", *conf, status=1)["checks"]
        return next(check["remedy"] for check in found if check["check"] == "kms.enabled")

    servers.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    pending = told()
    paste(pending, cancel)
    paste(pending if says == "doctor" else told(), enable)
    tool.ok(*put)
    servers.kms.disable_key(KeyId=key)
    paste(told(), enable)
    tool.ok(*put)


@runs("aws kms describe-key --key-id {}", "aws kms describe-key --key-id {}")
def test_the_arn_of_an_alias_is_found(servers, tool, paste):
    key = servers.kms_key()
    alias = "alias/" + key[-12:]
    servers.kms.create_alias(AliasName=alias, TargetKeyId=key)
    jar = ["--release", "emr-7.9.0", "--jar", "s3://artifacts/emrkeys.jar"]
    for told in (
        tool.fails(2, "init", "emr", *jar, "--kms-key-id", alias),
        tool.fails(1, "emr-config", "iam-policy", *properties(kms_cached(alias))),
    ):
        assert key in paste(told, "aws kms describe-key --key-id {}")


@runs(
    "aws s3api list-object-versions --bucket {} --prefix {}",
    "aws s3api delete-object --bucket {} --key {} --version-id {}",
)
def test_versions_of_objects_are_listed_and_deleted(servers, keys, tool, paste):
    lake = ConvertLake(servers, keys, tool)
    servers.s3.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})
    lake.put("the one", *lake.seal())
    before = lake.head("the one")["VersionId"]
    servers.s3.delete_object(Bucket=lake.bucket, Key="the one")
    marker = servers.s3.list_object_versions(Bucket=lake.bucket)["DeleteMarkers"][0]["VersionId"]
    told = tool.fails(1, "cat", lake.uri + "the one", "--version-id", marker, *lake.conf)
    assert before in paste(told, "aws s3api list-object-versions --bucket {} --prefix {}")
    servers.s3.delete_object(Bucket=lake.bucket, Key="the one", VersionId=marker)
    servers.deny("s3", "DeleteObject", resource=lake.bucket)
    servers.fault(service="s3", op="PutObject", alter=True, resource=lake.bucket)
    told = tool.fails(1, *lake.command())
    servers.clear_faults()
    assert "[REPLACEMENT_NOT_PROVEN]" in told
    paste(told, "aws s3api delete-object --bucket {} --key {} --version-id {}")
    assert lake.head("the one")["VersionId"] == before


@runs("chmod 600 FILE", "chmod 600 {}", "chmod 644 {}", "chmod 644 {}")
def test_permissions_of_files_are_put_right(servers, tool, keys, paste):
    folder = tool.folder / ("a folder's name that is longer than what a message quotes of " + "x" * 80)
    folder.mkdir()
    public, private = keys.rsa(f"{folder.name}/pair")
    conf = properties({
        "emrkeys.key.pair.type": "rsa",
        "emrkeys.key.pair.public": public,
        "emrkeys.key.pair.private": private,
        "emrkeys.default.key": "pair",
    })  # fmt: skip
    put = ["put", "in", f"s3://{servers.bucket()}/a", *conf]
    for name, mode, right in (("pair", 0o644, "600"), ("pair.pub", 0o664, "644"), ("pair.pub", 0o646, "644")):
        (folder / name).chmod(mode)
        told = tool.fails(5, *put)
        assert "[KEY_FILE_PERMISSIONS]" in told
        paste(told, f"chmod {right} {{}}")
        tool.ok(*put)
    (tool.folder / "large").write_bytes(os.urandom(9 << 20))
    servers.deny("s3", "CompleteMultipartUpload")
    command = ["put", "large", f"s3://{servers.bucket()}/a", *conf, "--resume", "state"]
    tool.fails(5, *command)
    servers.clear_faults()
    (tool.folder / "state").chmod(0o666)
    paste(tool.fails(4, *command), "chmod 600 FILE", FILE="state")
    tool.ok(*command)


@runs("chown {} {}")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_taken_over(servers, tool, keys, paste):
    conf = properties({
        "emrkeys.key.a.type": "aes", "emrkeys.key.a.file": keys.aes("the key"), "emrkeys.default.key": "a",
    })  # fmt: skip
    os.chown(tool.folder / "the key", 12345, -1)
    put = ["put", "in", f"s3://{servers.bucket()}/a", *conf]
    paste(tool.fails(5, *put), "chown {} {}")
    tool.ok(*put)


@runs("emrkeys convert URI", "emrkeys convert URI --from-plaintext")
def test_what_an_audit_finds_is_converted(lake, tool, paste):
    lake.put("a file", b"in the clear", {})
    lake.put("cbc", *seal(b"text", lake.old, "encryption-only", lake.describe("old")))
    paste.conf(lake.site)
    told = tool.ok("audit", lake.uri, *lake.conf)
    paste(told, "emrkeys convert URI --from-plaintext", URI=lake.uri + "a file")
    paste(told, "emrkeys convert URI", URI=lake.uri + "cbc")
    found = tool.json("audit", lake.uri, *lake.conf)["findings"]
    assert not {"plaintext", "cbc"} & {finding["finding"] for finding in found}


@runs("emrkeys audit PREFIX", "emrkeys inspect URI", "emrkeys rewrap URI --to-rules --upgrade-wrap")
def test_what_is_said_of_clients_leads_to_objects(lake, tool, paste):
    lake.put("a", *seal(b"text", lake.old, "v1", lake.describe("old")))
    s3a = {
        "fs.s3a.encryption.algorithm": "CSE-CUSTOM",
        "fs.s3a.encryption.cse.custom.keyring.class.name": "org.emrkeys.S3AKeyring",
    }
    emrfs = {name: value for name, value in kms_cached("").items() if name.startswith("fs.") and "V2" not in name}
    of_s3a = tool.run("doctor", *properties({**lake.site, **s3a}), "--for", "s3a").stdout
    of_emrfs = tool.run("doctor", *properties({**lake.site, **emrfs})).stdout
    conf = paste.conf({**lake.site, "fs.s3.cse.cryptoMode": "AuthenticatedEncryption"})
    assert "legacy-wrap" in paste(of_s3a, "emrkeys audit PREFIX", PREFIX=lake.uri)
    assert "SDK v1, V1 client" in paste(of_emrfs, "emrkeys inspect URI", URI=lake.uri + "a")
    told = tool.run("emr-config", "classification", "--for", "s3a", *conf).stderr
    assert "1  rewrapped" in paste(told, "emrkeys rewrap URI --to-rules --upgrade-wrap", URI=lake.uri)


@pytest.mark.remedies(*OF_JAVA)
def test_what_the_jvm_names(lake, tool, paste):
    body, metadata = seal(b"text", lake.new, "v2", lake.describe("old"))
    lake.put("a", body, metadata)
    paste.conf(lake.site)
    inspect, doctor = (f"`{command}`" for command in OF_JAVA)
    assert "SDK v1, V2 client" in paste(inspect, "emrkeys inspect URI", URI=lake.uri + "a")
    of = "<property><name>{}</name><value>{}</value></property>".format
    entries = "".join(of(name, value) for name, value in lake.site.items())
    (tool.folder / "conf").mkdir()
    (tool.folder / "conf/core-site.xml").write_text(f"<configuration>{entries}</configuration>")
    paste(doctor, "emrkeys doctor --conf FOLDER", FOLDER="conf")


@runs("emrkeys cat URI", "emrkeys get URI - --output json")
def test_what_goes_to_a_pipe_has_a_command_of_its_own(lake, tool, paste):
    conf, uri = paste.conf(lake.site), lake.uri + "a"
    tool.ok("put", "in", uri, *conf)
    assert paste(tool.fails(1, "get", uri, "/dev/null", *conf), "emrkeys cat URI", URI=uri) == "content"
    told = tool.fails(2, "cat", uri, "--output", "json", *conf)
    assert paste(told, "emrkeys get URI - --output json", URI=uri) == "content"


@runs(
    "emrkeys emr-config security-configuration --jar JAR",
    "emrkeys emr-config security-configuration --jar JAR --disk custom",
    "emrkeys emr-config security-configuration --help",
    "emrkeys emr-config security-configuration --help",
    "emrkeys doctor --security-configuration FILE",
    "emrkeys doctor --conf {} {} --release {}",
    PUT_POLICY,
    "aws s3 cp emrkeys.jar {}",
)
def test_a_cluster_is_set_up(servers, tool, paste):
    jar, kms = f"s3://{servers.bucket()}/emrkeys.jar", ["--kms-key-id", servers.kms_key()]
    (tool.folder / "emrkeys.jar").write_bytes(b"a jar")
    iam = servers.client("iam")
    iam.create_role(RoleName="EMR_EC2_DefaultRole", AssumeRolePolicyDocument="{}")
    for release, key in (("emr-6.15.0", []), ("emr-7.12.0", kms)):
        printed = tool.ok("init", release, "--release", release, "--jar", jar, *key)
        commands = printed.split("\nNext:\n")[1].split("\n\n")[0].splitlines()
        next_ones = "".join(f"`{command.strip()}`" for command in commands if "aws emr" not in command)
        paste(next_ones, "emrkeys doctor --conf {} {} --release {}")
        paste(next_ones, PUT_POLICY)
        if release == "emr-6.15.0":
            paste(printed, "emrkeys emr-config security-configuration --help")
    paste(next_ones, "aws s3 cp emrkeys.jar {}")

    emr = tool.folder / "emr-6.15.0/emr.json"
    tool.env["EMRKEYS_CONF"] = str(emr)
    doctor = ["doctor", "--conf", emr, "--security-configuration"]
    none = {"EncryptionConfiguration": {"EnableAtRestEncryption": False}}
    (tool.folder / "security.json").write_text(json.dumps(none))
    told = tool.run(*doctor, "security.json").stdout
    secured = paste(told, "emrkeys emr-config security-configuration --jar JAR", JAR=jar)
    (tool.folder / "security.json").write_text(secured)
    told = tool.run(*doctor, "security.json").stdout
    assert "FAIL" not in told
    paste(told, "emrkeys emr-config security-configuration --help")
    told = tool.run(*doctor, "security.json", "-D", "emrkeys.local-disk.key=main").stdout
    site = {name: value for each in json.loads(emr.read_text()) for name, value in each["Properties"].items()}
    paste.conf({**site, "emrkeys.local-disk.key": "main"})
    disks = paste(told, "emrkeys emr-config security-configuration --jar JAR --disk custom", JAR=jar)
    assert "LocalDiskEncryptionConfiguration" in disks
    told = tool.fails(1, "explain", "s3://lake/a", "--conf", "security.json")
    assert "FAIL" not in paste(told, "emrkeys doctor --security-configuration FILE", FILE="security.json")


def pem(key, password: bytes | None = None, form=serialization.PrivateFormat.PKCS8) -> bytes:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, how)


@pytest.fixture
def pair():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def rsa_site(public: str, private: str | None = None) -> dict:
    site = {"emrkeys.key.a.type": "rsa", "emrkeys.key.a.public": public, "emrkeys.default.key": "a"}
    return {**site, **({"emrkeys.key.a.private": private} if private else {})}


@runs("openssl rand 32 > KEY", "openssl rand 32 > KEY")
def test_a_key_of_the_right_size_is_made(servers, tool, keys, paste):
    short, protector = keys.file("short", b"x" * 9), keys.file("protector", b"x" * 16)
    conf = properties({"emrkeys.key.a.type": "aes", "emrkeys.key.a.file": short, "emrkeys.default.key": "a"})
    put = ["put", "in", f"s3://{servers.bucket()}/a", *conf]
    paste(tool.fails(1, *put), "openssl rand 32 > KEY", KEY="short")
    tool.ok(*put)
    create = ["keyring", "create", "lake.keyring", "--name", "lake", "--protector-file", protector]
    paste(tool.fails(1, *create), "openssl rand 32 > KEY", KEY="protector")
    tool.ok(*create)


@runs(
    "openssl x509 -pubkey -noout -in CERTIFICATE",
    "openssl pkey -pubout -in PRIVATE",
    "openssl rsa -in PRIVATE -pubout",
    "openssl genpkey -algorithm RSA -out PRIVATE",
)
def test_the_halves_of_a_pair_are_found(servers, tool, keys, paste, pair):
    uri = f"s3://{servers.bucket()}/a"
    private = keys.file("the pair", pem(pair))
    other = keys.rsa("other")[0]
    small = keys.file("small", pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)))
    certificate = keys.file("the certificate", certified(pair).public_bytes(serialization.Encoding.PEM))
    ways = {
        "openssl x509 -pubkey -noout -in CERTIFICATE": (certificate, {"CERTIFICATE": "the certificate"}),
        "openssl pkey -pubout -in PRIVATE": (private, {"PRIVATE": "the pair"}),
        "openssl rsa -in PRIVATE -pubout": (other, {"PRIVATE": "the pair"}),
    }
    for command, (public, names) in ways.items():
        told = tool.fails(1, "put", "in", uri, *properties(rsa_site(public, private)))
        derived = keys.file("derived.pub", paste(told, command, **names).encode())
        tool.ok("put", "in", uri, *properties(rsa_site(derived, private)))
    told = tool.fails(1, "put", "in", uri, *properties(rsa_site(derived, small)))
    paste(told, "openssl genpkey -algorithm RSA -out PRIVATE", PRIVATE="small")
    assert "[KEY_PAIR_MISMATCH]" in tool.fails(1, "put", "in", uri, *properties(rsa_site(derived, small)))


def certified(key) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lake")])
    dates = datetime.datetime(2026, 1, 1), datetime.datetime(2036, 1, 1)
    return x509.CertificateBuilder(name, name, key.public_key(), 1, *dates).sign(key, hashes.SHA256())


@runs(
    "openssl pkcs12 -nocerts -in STORE",
    "openssl pkcs12 -nocerts -in NEW",
    "keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype PKCS12",
    "keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype PKCS12",
    "openssl pkcs8 -topk8 -in KEY",
    "openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW",
)
def test_keys_in_forms_of_other_software_are_converted(servers, tool, keys, paste, pair):
    uri, public = f"s3://{servers.bucket()}/a", keys.rsa("public")[0]
    numbers = pair.private_numbers()

    def holds_the_pair(text: str) -> bool:
        return serialization.load_pem_private_key(text.encode(), PASSWORD.encode()).private_numbers() == numbers

    def refused(private: str) -> str:
        return tool.fails(1, "put", "in", uri, *properties(rsa_site(public, private)))

    how = serialization.BestAvailableEncryption(PASSWORD.encode())
    store = pkcs12.serialize_key_and_certificates(b"lake", pair, certified(pair), None, how)
    passwords = f"{PASSWORD}\n" * 3
    told = refused(keys.file("the store", store))
    assert holds_the_pair(paste(told, "openssl pkcs12 -nocerts -in STORE", passwords, STORE="the store"))

    paste.shell.ok(
        f"keytool -importkeystore -srckeystore 'the store' -srcstoretype PKCS12 -srcstorepass '{PASSWORD}'"
        f" -destkeystore jks -deststoretype JKS -deststorepass '{PASSWORD}'"
    )
    (tool.folder / "jks").chmod(0o600)
    old = (tool.folder / "jks").as_uri()
    told = refused(old)
    convert = "keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype PKCS12"
    paste(told, convert, passwords, OLD="jks", NEW="new store")
    assert holds_the_pair(paste(told, "openssl pkcs12 -nocerts -in NEW", passwords, NEW="new store"))

    service = {"emrkeys.key.d.type": "data-key-service", "emrkeys.key.d.url": "https://127.0.0.1:9"}
    service |= {"emrkeys.key.d.trust": public, "emrkeys.default.key": "d"}

    def refused_identity(identity: str) -> str:
        return tool.fails(1, "put", "in", uri, *properties({**service, "emrkeys.key.d.identity": identity}))

    paste(refused_identity(old), convert, passwords, OLD="jks", NEW="newer store")
    key = ec.generate_private_key(ec.SECP256R1())
    sec1 = keys.file("sec1", pem(key, form=serialization.PrivateFormat.TraditionalOpenSSL))
    out = paste(refused_identity(sec1), "openssl pkcs8 -topk8 -in KEY", passwords, KEY="sec1")
    converted = serialization.load_pem_private_key(out.encode(), PASSWORD.encode())
    assert converted.private_numbers() == key.private_numbers()

    older = keys.file("older", pem(pair, PASSWORD.encode(), serialization.PrivateFormat.TraditionalOpenSSL))
    command = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW"
    paste(refused(older), command, passwords, KEY="older", NEW="newer")
    assert holds_the_pair((tool.folder / "newer").read_text())
