"""Older versions of objects, and instruction files whose keys end otherwise."""

import json

import pytest

from envelopes import seal, unseal


@pytest.fixture
def versions(lake) -> list[str]:
    """The ids of two versions of `x`, oldest first."""
    lake.servers.s3.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})
    for text in (b"first", b"second"):
        lake.put("x", *seal(text, lake.old, "v2", lake.describe("old")))
    return newest_last(lake)


def newest_last(lake) -> list[str]:
    found = lake.servers.s3.list_object_versions(Bucket=lake.bucket, Prefix="x")["Versions"]
    return [version["VersionId"] for version in reversed(found)]


def test_an_older_version_of_an_object_is_read(lake, versions):
    uri, options = lake.uri + "x", lake.conf
    assert lake.tool.ok("cat", uri, *options) == "second"
    assert lake.tool.ok("cat", uri, "--version-id", versions[0], *options) == "first"
    assert lake.tool.ok("cat", uri, "--version-id", versions[0], "--range", "1-2", *options) == "ir"
    lake.tool.ok("get", uri, "out", "--version-id", versions[0], *options)
    assert (lake.tool.folder / "out").read_text() == "first"
    (found,) = lake.tool.json("inspect", uri, "--version-id", versions[0], *options)
    assert found["versionId"] == versions[0] and found["encryption"]["plaintextLength"] == 5


def test_rewrap_of_an_older_version_makes_it_the_newest_under_the_new_key(lake, versions):
    command = ["rewrap", lake.uri + "x", "--to", "new", "--from", "old", *lake.conf]
    planned = lake.tool.json(*command, "--version-id", versions[0], "--dry-run")
    assert planned["counts"] == {"would-be-rewrapped": 1} and newest_last(lake) == versions
    for above in ([], ["--multipart-above", "1"]):
        done = lake.tool.json(*command, "--version-id", versions[0], *above)
        assert done["counts"] == {"rewrapped": 1}
        assert unseal(*lake.get("x"), lake.new) == b"first"
    assert newest_last(lake)[:2] == versions and len(newest_last(lake)) == 4
    # An object that was deleted comes back.
    lake.delete("x")
    lake.tool.ok(*command, "--version-id", versions[1])
    assert unseal(*lake.get("x"), lake.new) == b"second"


def test_a_version_is_one_of_one_object(lake, versions):
    uri, version = lake.uri + "x", ["--version-id", versions[0], *lake.conf]
    lake.tool.fails(2, "cat", uri, uri, *version)
    lake.tool.fails(2, "get", "file:///x", "out", *version)
    lake.tool.fails(2, "inspect", "--recursive", lake.uri, *version)
    lake.tool.fails(2, "rewrap", lake.uri, "--to", "new", *version)
    told = lake.tool.fails(1, "cat", uri, "--version-id", "no-such-version", *lake.conf)
    assert "no-such-version" in told or "[OBJECT_NOT_FOUND]" in told, told


def test_a_version_with_an_instruction_file_is_not_rewrapped_alone(lake, versions):
    body, metadata = seal(b"third", lake.old, "v2", lake.describe("old"))
    lake.put("y.instruction", json.dumps(metadata).encode(), {"x-amz-crypto-instr-file": ""})
    lake.put("y", body, {})
    (found,) = lake.tool.json("inspect", lake.uri + "y", *lake.conf)
    version = ["--version-id", found["versionId"], *lake.conf]
    assert lake.tool.ok("cat", lake.uri + "y", *version) == "third"
    command = ["rewrap", lake.uri + "y", "--to", "new", "--from", "old"]
    assert "[CONTENT_UNSUPPORTED]" in lake.tool.fails(1, *command, *version)
    lake.tool.ok(*command, *lake.conf)


def test_instruction_files_with_another_suffix_are_written_read_audited_and_rewrapped(lake):
    (lake.tool.folder / "in").write_text("text")
    uri, suffix = lake.uri + "x", ["--instruction-suffix", ".bob", *lake.conf]
    lake.tool.ok("put", "in", uri, "--instruction-file", *suffix)
    assert lake.get("x.bob")[1] == {"x-amz-crypto-instr-file": ""}
    assert "[INSTRUCTION_FILE_MISSING]" in lake.tool.fails(1, "cat", uri, *lake.conf)
    assert lake.tool.ok("cat", uri, *suffix) == "text"
    lake.tool.ok("get", uri, "out", *suffix)
    assert (lake.tool.folder / "out").read_text() == "text"
    (found,) = lake.tool.json("inspect", uri, *suffix)
    assert found["readable"] is True
    assert lake.tool.json("audit", lake.uri, *suffix)["findings"] == []
    # Without the suffix the object has lost its instruction file, which is no orphan.
    found = lake.tool.json("audit", lake.uri, *lake.conf)["findings"]
    assert [finding["finding"] for finding in found] == ["instruction-file-missing"]
    done = lake.tool.json("rewrap", lake.uri, "--to", "new", "--from", "old", *suffix)
    assert done["counts"] == {"instruction-file": 1, "rewrapped": 1}
    assert json.loads(json.loads(lake.get("x.bob")[0])["x-amz-matdesc"])["emrkeys.key"] == "new"
    assert lake.tool.ok("cat", uri, *suffix) == "text"
    assert "[OBJECT_CHANGED]" in lake.tool.fails(3, "put", "in", uri, "--instruction-file", *suffix)


def test_local_files_take_another_suffix_too(lake):
    (lake.tool.folder / "in").write_text("text")
    uri, suffix = f"file://{lake.tool.folder}/out", ["--instruction-suffix", ".bob", *lake.conf]
    lake.tool.ok("put", "in", uri, *suffix)
    assert (lake.tool.folder / "out.bob").exists()
    assert lake.tool.ok("cat", uri, *suffix) == "text"
    assert lake.tool.json("inspect", uri, *suffix)[0]["readable"] is True
    lake.tool.fails(2, "put", "in", uri + "2", "--instruction-suffix", "", *lake.conf)
