"""`emrkeys init`: what it writes passes `doctor`, and objects are written and read with it."""

import json
import shlex

import pytest

JAR = "s3://artifacts/emrkeys.jar"
RELEASES = {"emrfs": ["emr-5.30.0", "emr-6.15.0", "emr-7.9.0"], "s3a": ["emr-7.10.0", "emr-7.12.0"]}


@pytest.fixture
def ways(servers):
    """The options for each kind of key, and the type that the configuration gets."""
    bucket, kms = servers.bucket(), servers.kms_key()
    return {
        "kms-cached": ["--kms-key-id", kms],
        "keyring in S3 under KMS": ["--kms-key-id", kms, "--keyring", f"s3://{bucket}/lake.keyring"],
        "keyring in a file": ["--keyring", "lake.keyring"],
        "aes in a file": [],
        "aes in S3": ["--key-file", f"s3://{bucket}/lake.key"],
    }


def next_commands(printed: str) -> list[str]:
    lines = printed.split("\nNext:\n")[1].split("\n\n")[0].splitlines()
    return [line.strip() for line in lines]


WAYS = ["kms-cached", "keyring in S3 under KMS", "keyring in a file", "aes in a file", "aes in S3"]


@pytest.mark.parametrize("connector", ["emrfs", "s3a"])
@pytest.mark.parametrize("way", WAYS)
def test_what_init_writes_passes_the_strict_doctor_and_encrypts(servers, tool, ways, connector, way):
    *others, release = RELEASES[connector]
    bucket = servers.bucket()
    printed = tool.ok("init", "emr", "--release", release, "--jar", JAR, "--name", "lake", *ways[way])
    doctor, policy, last = (shlex.split(command) for command in next_commands(printed))
    assert doctor[:2] == ["emrkeys", "doctor"] and policy[:2] == ["aws", "iam"] and last[0] == "aws"
    tool.ok(*doctor[1:], "--strict")
    for number, other in enumerate(others):
        more = ["--keyring", f"{number}.keyring"] if "keyring" in way else []
        more += ways[way][:2] if "kms" in way.lower() else []
        printed = tool.ok("init", other, "--release", other, "--jar", JAR, "--name", "lake", *more)
        tool.ok(*shlex.split(next_commands(printed)[0])[1:], "--strict")
    client = "s3a" if connector == "s3a" else "s3"
    conf = ["--conf", "emr/emr.json", "--for", client]
    (answer,) = tool.json("explain", f"s3://{bucket}/x", *conf)
    assert answer["key"] == "lake"
    (tool.folder / "in").write_text("hello world")
    tool.ok("put", "in", f"s3://{bucket}/x", *conf)
    assert tool.ok("cat", f"s3://{bucket}/x", *conf) == "hello world"
    # Each document that the commands name is there, and is what they take.
    for word in [*doctor, *policy, *last]:
        path = word.removeprefix("file://")
        if path.endswith(".json"):
            json.loads((tool.folder / path).read_text())
    statements = json.loads((tool.folder / "emr/policy.json").read_text())["Statement"]
    assert f"arn:aws:s3:::{JAR[5:]}" in [resource for each in statements for resource in each["Resource"]]
    assert (tool.folder / "emr/security.json").exists() == (connector == "emrfs")
    if (tool.folder / "emr/lake.key").exists():
        assert (tool.folder / "emr/lake.key").stat().st_mode & 0o077 == 0


def test_emrfs_stays_behind_s3_on_a_release_where_s3a_would_serve_it(servers, tool):
    key = servers.kms_key()
    tool.ok("init", "--release", "emr-7.12.0", "--for", "emrfs", "--jar", JAR, "--kms-key-id", key)
    sites = {site["Classification"]: site["Properties"] for site in json.loads((tool.folder / "emr.json").read_text())}
    assert sites["core-site"] == {"fs.s3.impl": "com.amazon.ws.emr.hadoop.fs.EmrFileSystem"}
    doctor = ["doctor", "--conf", "emr.json", "--security-configuration", "security.json", "--release", "emr-7.12.0"]
    tool.ok(*doctor, "--strict")


def test_init_replaces_nothing(servers, tool):
    command = ["init", "--release", "emr-7.9.0", "--jar", JAR]
    tool.ok(*command)
    before = {path.name: path.read_bytes() for path in tool.folder.iterdir() if path.is_file()}
    assert set(before) == {"emr.json", "security.json", "policy.json", "main.key"}
    for name in [None, *before]:
        if name:
            for other in before:
                (tool.folder / other).unlink(missing_ok=True)
            (tool.folder / name).write_bytes(b"precious")
        assert "exists" in tool.fails(3, *command)
        left = {path.name: path.read_bytes() for path in tool.folder.iterdir() if path.is_file()}
        assert left == ({name: b"precious"} if name else before)


def test_a_key_in_s3_is_not_replaced(servers, tool):
    bucket = servers.bucket()
    servers.s3.put_object(Bucket=bucket, Key="k", Body=b"precious")
    command = ["init", "--release", "emr-7.9.0", "--jar", JAR, "--key-file", f"s3://{bucket}/k"]
    assert "exists" in tool.fails(3, *command)
    assert servers.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"precious"
    assert not (tool.folder / "emr.json").exists()


def test_a_keyring_that_cannot_be_made_leaves_nothing(servers, tool):
    servers.deny("kms", "GenerateDataKey")
    command = ["init", "emr", "--release", "emr-7.9.0", "--jar", JAR, "--keyring", "lake.keyring"]
    tool.fails(5, *command, "--kms-key-id", servers.kms_key())
    (tool.folder / "lake.keyring").write_text("precious")
    tool.fails(3, *command)
    assert list((tool.folder / "emr").iterdir()) == []
    assert (tool.folder / "lake.keyring").read_text() == "precious"


@pytest.mark.parametrize(
    "options",
    [
        ["--release", "7.9"],
        ["--release", "emr-7.9.0", "--for", "s3a"],
        ["--release", "emr-7.9.0", "--kms-key-id", "alias/lake"],
        ["--release", "emr-7.9.0", "--jar", "emrkeys.jar"],
        ["--release", "emr-7.9.0", "--kms-key-id", "arn:aws:kms:eu-west-1:1:key/x", "--key-file", "x"],
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tool, options):
    jar = [] if "--jar" in options else ["--jar", JAR]
    tool.fails(2, "init", "emr", *jar, *options)
    assert not (tool.folder / "emr").exists()
