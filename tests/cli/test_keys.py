"""Keys of objects as S3 has them: percent signs are characters, and control characters reach nobody's terminal."""

import pytest

from support import properties

HIVE = "t/ts=10%3A00/part+0 ü"
"""As Hive and Spark write a partition of a time."""
HOSTILE = "t/\x1b[31mred\x01%"


@pytest.mark.parametrize("key", [HIVE, HOSTILE])
def test_every_command_takes_and_prints_the_key_as_it_is(lake, key):
    tool, conf = lake.tool, lake.conf
    (tool.folder / "in").write_bytes(b"content")
    uri = lake.uri + key
    tool.ok("put", "in", uri, *conf)
    listed = lake.servers.s3.list_objects_v2(Bucket=lake.bucket)["Contents"]
    assert [found["Key"] for found in listed] == [key]
    assert tool.ok("cat", uri, *conf) == "content"
    tool.ok("get", uri, "out", *conf)
    assert (tool.folder / "out").read_bytes() == b"content"
    folder = uri.rsplit("/", 1)[0] + "/"
    (found,) = tool.json("inspect", "--recursive", folder, *conf)
    assert found["uri"] == uri and found["readable"]
    assert tool.json("explain", uri, *conf)[0]["uri"] == uri
    # Looked at, and found: the key is not the one that new objects get.
    site = {**lake.site, "emrkeys.default.key": "new"}
    objects = tool.folder / "objects.jsonl"
    tool.ok("audit", folder, *properties(site), "--objects", objects)
    assert objects.read_text().count("\n") == 1 and lake.tool.json("audit", folder, *conf)["objects"] == 1
    assert tool.json("rewrap", folder, "--to", "new", *conf)["counts"] == {"rewrapped": 1}


def test_nothing_that_a_terminal_obeys_is_printed(lake):
    tool, conf = lake.tool, lake.conf
    lake.put(HOSTILE, b"plain", {"x-amz-key-v2": "no envelope"})
    lake.put("t/plain\x1b[31m", b"plain", {})
    folder = lake.uri + "t/"
    for command in (
        ["audit", folder], ["inspect", "--recursive", folder], ["explain", lake.uri + HOSTILE],
        ["cat", lake.uri + HOSTILE],
        ["rewrap", folder, "--to", "new"], ["doctor", "--bucket", "\x1b[31m"], ["get", "s3://\x1b[31m/x", "out"],
    ):  # fmt: skip
        done = tool.run(*command, *conf)
        assert "\x1b" not in done.stdout + done.stderr, (command, done.stdout, done.stderr)
        assert "\x01" not in done.stdout + done.stderr, command


def test_rules_see_what_the_client_gives_them(lake):
    uri = lake.uri + "ts=10%3A00/x"
    site = {
        **lake.site, "fs.s3.cse.materialsDescription.enabled": "true",
        "emrkeys.rule.r.prefix": f"{lake.uri}ts=10%3A00/", "emrkeys.rule.r.key": "new",
    }  # fmt: skip
    literal = {**site, "emrkeys.rule.r.prefix": f"{lake.uri}ts=10%253A00/"}

    def key(site: dict, client: str) -> str:
        (explained,) = lake.tool.json("explain", uri, "--for", client, *properties(site))
        (lake.tool.folder / "in").write_bytes(b"content")
        lake.tool.ok("put", "in", uri, "--for", client, *properties(site))
        (found,) = lake.tool.json("inspect", uri, "--for", client, *properties(site))
        assert found["encryption"]["key"] == explained["key"] == found["keyToday"]
        return explained["key"]

    # EMRFS gives a Path, which is decoded once as the rule is; S3A gives the key, of which nothing is decoded.
    assert [key(site, "s3"), key(site, "s3a")] == ["new", "old"]
    assert [key(literal, "s3"), key(literal, "s3a")] == ["old", "new"]


def test_a_keyring_is_where_its_key_says(servers, tool, keys):
    bucket, master = servers.bucket(), keys.aes("master")
    uri = f"s3://{bucket}/10%3A00.keyring"
    tool.ok("keyring", "create", uri, "--name", "lake", "--protector-file", master)
    assert servers.s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"] == "10%3A00.keyring"
    # A property is decoded once, so that its percent sign is written %25.
    site = properties({
        "emrkeys.key.lake.type": "keyring", "emrkeys.key.lake.uri": uri.replace("%", "%25"),
        "emrkeys.key.lake.protector-file": master, "emrkeys.default.key": "lake",
    })  # fmt: skip
    tool.ok("keyring", "rotate", "lake", *site)
    assert tool.json("keyring", "show", uri, "--protector-file", master)["generation"] == 2
