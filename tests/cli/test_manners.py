"""`put`, `get` and `cat` in use: names, `-`, one line on what was done, and errors that help."""

import json
import os
import signal
import subprocess

import pytest

from envelopes import seal, unseal
from support import TIMEOUT, properties, wait_for
from terminal import lines, shown

PART = 8 << 20


@pytest.fixture(autouse=True)
def file(tool):
    (tool.folder / "in").write_text("hello world")


def test_one_line_says_what_was_done(lake):
    uri = lake.uri + "x"
    assert lake.tool.ok("put", "in", uri, *lake.conf) == f"in to {uri}: key old, 11 bytes, 1 object\n"
    assert lake.tool.ok("get", uri, "out", *lake.conf) == f"{uri} to out: key old, 11 bytes, 1 object\n"
    assert lake.tool.ok("put", "in", uri, "--quiet", *lake.conf) == ""
    assert lake.tool.ok("get", uri, "out", "-q", *lake.conf) == ""
    done = {"objects": 1, "bytes": 11, "key": "old", "version": lake.version("old"), "authenticated": True}
    assert lake.tool.json("put", "in", uri, *lake.conf) == {"from": "in", "to": uri, **done}
    assert lake.tool.json("get", uri, "out", *lake.conf) == {"from": uri, "to": "out", **done}
    part = lake.tool.json("get", uri, "out", "--range", "0-4", *lake.conf)
    assert (part["bytes"], part["authenticated"]) == (5, False)
    lake.tool.fails(2, "cat", uri, "--output", "json", *lake.conf)


@pytest.mark.parametrize("size", [0, 11, PART + 1])
def test_a_dash_is_standard_input_and_output(lake, size):
    content, uri = os.urandom(size), lake.uri + "x"
    put = lake.tool.run("put", "-", uri, *lake.conf, input=content)
    assert put.returncode == 0 and f"- to {uri}: key old, {size} bytes".encode() in put.stdout, put.stderr
    assert unseal(*lake.get("x"), lake.old) == content
    got = lake.tool.run("get", uri, "-", *lake.conf, input=b"")
    assert (got.returncode, got.stdout) == (0, content)
    assert f"{uri} to -: key old, {size} bytes".encode() in got.stderr
    got = lake.tool.run("get", uri, "-", "--output", "json", *lake.conf, input=b"")
    assert got.stdout == content and json.loads(got.stderr)["bytes"] == size
    assert not (lake.tool.folder / "-").exists()


def test_of_a_damaged_object_nothing_reaches_standard_output(lake):
    body, metadata = seal(b"text", lake.old, "v2", lake.describe("old"))
    lake.put("x", body[:-1] + bytes([body[-1] ^ 1]), metadata)
    got = lake.tool.run("get", lake.uri + "x", "-", *lake.conf, input=b"")
    assert got.returncode == 1 and got.stdout == b"" and b"[OBJECT_DAMAGED]" in got.stderr


def test_a_folder_takes_the_name_of_what_goes_into_it(lake):
    folder = lake.tool.folder
    lake.tool.ok("put", "in", lake.uri, *lake.conf)
    lake.tool.ok("put", folder / "in", lake.uri + "dir/", *lake.conf)
    for key in ("in", "dir/in"):
        assert unseal(*lake.get(key), lake.old) == b"hello world"
    (folder / "here").mkdir()
    lake.tool.ok("get", lake.uri + "dir/in", "here", *lake.conf)
    lake.tool.ok("get", lake.uri + "dir/in", "fresh/folder/", *lake.conf)
    (folder / "in").unlink()
    lake.tool.ok("get", lake.uri + "dir/in", ".", *lake.conf)
    for file in ("here/in", "fresh/folder/in", "in"):
        assert (folder / file).read_text() == "hello world"


def test_what_has_no_name_for_a_folder_is_asked_for_one(lake):
    assert "end it with a slash" in lake.tool.fails(2, "put", "in", f"s3://{lake.bucket}", *lake.conf)
    assert "name the object" in lake.tool.fails(2, "put", "-", lake.uri + "dir/", *lake.conf)
    assert "name the file" in lake.tool.fails(2, "get", lake.uri + "dir/", ".", *lake.conf)
    assert "a folder" in lake.tool.fails(1, "put", ".", lake.uri + "x", *lake.conf)


@pytest.mark.parametrize("size", [11, 2 * PART])
def test_an_object_that_is_there_is_kept_before_anything_is_sent(lake, size):
    (lake.tool.folder / "in").write_bytes(os.urandom(size))
    lake.put("x", b"precious", {})
    lake.servers.control("DELETE", "calls")
    told = lake.tool.fails(3, "put", "in", lake.uri + "x", "--no-overwrite", *lake.conf)
    assert "exists, and --no-overwrite keeps it" in told and "in the meantime" not in told
    assert set(lake.servers.calls()) == {"s3.HeadObject"}
    # Where the object may not be looked at, the error is the same, at the end.
    lake.servers.deny("s3", "HeadObject")
    told = lake.tool.fails(3, "put", "in", lake.uri + "x", "--no-overwrite", *lake.conf)
    assert "exists, and --no-overwrite keeps it" in told
    assert lake.get("x")[0] == b"precious"


def test_ctrl_c_says_how_an_upload_goes_on(lake):
    content = os.urandom(6 * PART)
    (lake.tool.folder / "in").write_bytes(content)
    command = ["put", "in", lake.uri + "x", "--resume", "state", *lake.conf]
    held = lake.servers.hold("UploadPart")
    lake.servers.fault(service="s3", op="UploadPart", delay=0.5, count=None)
    process = subprocess.Popen(
        [lake.tool.path, *command], env=lake.tool.env, cwd=lake.tool.folder, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: lake.servers.calls().get("s3.UploadPart"))
    process.send_signal(signal.SIGINT)
    lake.servers.release(held)
    told = process.communicate(timeout=TIMEOUT)[1]
    assert process.returncode == 130
    assert "the same command goes on with the upload, which state remembers" in told
    lake.servers.clear_faults()
    lake.tool.ok(*command)
    assert unseal(*lake.get("x"), lake.old) == content


def test_the_committing_format_is_told_in_words(lake):
    lake.put("x", *seal(b"text", lake.old, "v4", lake.describe("old")))
    told = lake.tool.ok("inspect", lake.uri + "x", *lake.conf)
    assert "content     AES-256-GCM that commits to its key (algorithm suite 115)" in told
    assert lake.tool.json("inspect", lake.uri + "x", *lake.conf)[0]["encryption"]["content"] == "115"


def test_inspect_opens_the_keys_of_the_objects_alone(lake):
    lake.put("x", *seal(b"text", lake.old, "v2", lake.describe("old")))
    lake.put("plain", b"text", {})
    broken = [*lake.conf, "-D", "emrkeys.key.new.file=file:///nowhere"]
    found = lake.tool.json("inspect", lake.uri + "x", lake.uri + "plain", *broken)
    assert found[0]["readable"] is True


@pytest.mark.parametrize(
    "name, properties, told",
    [
        ("emrfs-sit", {"emrkeys.default.key": "x"}, "is emrfs-site meant?"),
        ("coresite", {"fs.s3.x": "y"}, "is core-site meant?"),
        ("spark", {"emrkeys.default.key": "x"}, "emrkeys.default.key has no effect: write it into core-site"),
        ("hive-site", {"x": "y"}, None),
    ],
)
def test_a_classification_that_hadoop_does_not_get_is_named(lake, name, properties, told):
    document = [{"Classification": name, "Properties": properties}]
    (lake.tool.folder / "emr.json").write_text(json.dumps(document))
    found = lake.tool.run("explain", "s3://lake/x", "--conf", "emr.json")
    if told:
        assert f"the classification {name}" in found.stderr and told in found.stderr
    else:
        assert "classification" not in found.stderr


def tree(folder) -> dict:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("options", [[], ["--instruction-file"]])
def test_a_folder_goes_to_objects_and_comes_back(lake, options):
    folder = lake.tool.folder
    files = {"a": "1", "b/c d": "22", "b/ü/%2F": "333", "empty": ""}
    for name, content in files.items():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / name).write_text(content)
    uri = lake.uri + "to/here"
    told = lake.tool.ok("put", "--recursive", "tree", uri, *options, *lake.conf)
    assert told == f"tree to {uri}/: key old, 6 bytes, 4 objects\n"
    lake.put("to/here/folder/", b"", {})
    lake.put("to/hereafter", b"text", {})
    found = lake.tool.json("get", "--recursive", uri + "/", "out", *lake.conf)
    assert (found["objects"], found["bytes"], found["keys"], found["failed"]) == (4, 6, ["old"], 0)
    assert tree(folder / "out") == files


def test_of_a_folder_the_others_are_done_where_one_fails(lake):
    for name in ("good", "x/other"):
        lake.put("p/" + name, *seal(b"text", lake.old, "v2", lake.describe("old")))
    lake.put("p/plain", b"text", {})
    lake.put("p/../../escape", *seal(b"text", lake.old, "v2", lake.describe("old")))
    done = lake.tool.run("get", "--recursive", lake.uri + "p", "out", *lake.conf)
    assert done.returncode == 1 and "[OBJECTS_FAILED]" in done.stderr and "2 objects failed" in done.stderr
    assert "p/plain: " in done.stderr and "[INVALID_ENVELOPE]" in done.stderr and "[INVALID_URI]" in done.stderr
    assert tree(lake.tool.folder / "out") == {"good": "text", "x/other": "text"}
    assert not list(lake.tool.folder.parent.glob("**/escape"))
    lake.tool.fails(7, "get", "--recursive", lake.uri + "none/", "out", *lake.conf)
    for wrong in (["get", "--recursive", lake.uri, "-"], ["put", "--recursive", "out", "file:///x/"]):
        lake.tool.fails(2, *wrong, *lake.conf)


WHO = "arn:aws:sts::123456789012:assumed-role/EMR_EC2_DefaultRole/i-0123456789abcdef0"


@pytest.mark.parametrize(
    "operation, command, status",
    [
        ("PutObject", "put in {uri}x", 5),
        ("GetObject", "cat {uri}x", 5),
        ("GetObject", "get {uri}x out", 5),
        ("ListObjectsV2", "audit {uri}", 5),
        ("CopyObject", "rewrap {uri} --to new --from old", 1),
        ("GetObject", "convert {uri} --to new --from old --second-read", 1),
        ("GetObject", "keyring show {uri}lake.keyring", 5),
        ("PutObject", "keyring create {uri}new.keyring --name new --protector-file {key}", 5),
    ],
)
def test_a_denial_of_s3_is_told_whole(lake, operation, command, status):
    """S3 says who may not do what, with which resource, and why, in one long message."""
    lake.put("x", *seal(b"text", lake.old, "v2", lake.describe("old")))
    why = (
        f'User: {WHO} is not authorized to perform: s3:{operation} on resource: "arn:aws:s3:::{lake.bucket}/'
        f'{"folder/" * 30}x" because no identity-based policy allows the s3:{operation} action'
    )
    lake.servers.fault(service="s3", op=operation, status=403, code="AccessDenied", message=why, count=None)
    words = command.format(uri=lake.uri, key=lake.site["emrkeys.key.old.file"]).split()
    run = [*words, *([] if words[0] == "keyring" else lake.conf)]
    done = lake.tool.run(*run)
    assert done.returncode == status, done.stderr
    on_a_terminal = " ".join(" ".join(lines(shown(lake.tool, 80, *run, status=status))).split())
    for told in (done.stdout + done.stderr, on_a_terminal):
        assert why.replace('"', '\\"') in told, told
