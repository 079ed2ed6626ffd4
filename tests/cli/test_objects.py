"""`emrkeys inspect`, `get`, `put` and `cat`: objects of every client, whole, in part, damaged and hostile."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from envelopes import FORMATS, Aes, Kms, context, description, seal, unseal
from support import TIMEOUT, wait_for

TEXT = b"0123456789abcdef some text\n" * 4000
PART = 8 << 20


def read(lake, uri: str, *options) -> bytes:
    done = lake.tool.run("cat", uri, *lake.conf, *options, input=b"")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("kind", ["old", "pair"])
@pytest.mark.parametrize("beside", [False, True])
def test_objects_of_every_client_are_read_and_told_apart(lake, how, kind, beside):
    stored = {"rsa_name": "payroll"} if kind == "pair" else lake.describe("old")
    body, metadata = seal(TEXT, getattr(lake, kind), how, stored)
    if beside:
        own = {name: metadata.pop(name) for name in ("x-amz-c", "x-amz-d", "x-amz-i") if name in metadata}
        lake.put("a b%25/ü.instruction", json.dumps(metadata).encode(), {"x-amz-crypto-instr-file": ""})
        metadata = own
    lake.put("a b%25/ü", body, metadata)
    uri = lake.uri + "a b%25/ü"
    allowed = ["--allow-unauthenticated"] if how == "encryption-only" else []
    assert read(lake, uri, *allowed) == TEXT
    lake.tool.ok("get", uri, "out", *allowed, *lake.conf)
    assert (lake.tool.folder / "out").read_bytes() == TEXT
    if how == "encryption-only":
        assert "[CONTENT_UNSUPPORTED]" in lake.tool.fails(1, "cat", uri, "--range", "0-9", *allowed, *lake.conf)
    else:
        assert read(lake, uri, "--range", "100-1099") == TEXT[100:1100]
        assert read(lake, uri, "--range", "100000-") == TEXT[100000:]
    (found,) = lake.tool.json("inspect", uri, *lake.conf)
    assert found["readable"] is True and found["keyToday"] == "old"
    encryption = found["encryption"]
    assert encryption["key"] == (None if kind == "pair" else "old") and found["configuredKey"] == kind
    assert encryption["version"] == ("payroll" if kind == "pair" else lake.version("old"))
    assert encryption["plaintextLength"] == (None if how == "encryption-only" else len(TEXT))
    assert encryption["committed"] == (how == "v4")
    assert ("instruction" in encryption["envelope"]) == beside
    clients = {
        "encryption-only": "SDK v1, EncryptionOnly",
        "v1": "SDK v1, V1 client, AuthenticatedEncryption",
        "v2": "SDK v1, V2 client, or S3 Encryption Client 3",
        "v4": "S3 Encryption Client 4",
    }
    assert encryption["client"] == clients[how]


@pytest.mark.parametrize("form", ["v2", "v4"])
@pytest.mark.parametrize("key", ["old", "pair"])
@pytest.mark.parametrize("size", [0, 1, len(TEXT), 2 * PART, 2 * PART + 5])
def test_what_put_writes_other_code_opens(lake, form, key, size):
    content = (TEXT * (size // len(TEXT) + 1))[:size]
    (lake.tool.folder / "in").write_bytes(content)
    lake.site["emrkeys.default.key"] = key
    lake.tool.ok("put", "in", lake.uri + "x", "--format", form, *lake.conf)
    body, metadata = lake.get("x")
    assert unseal(body, metadata, lake.old if key == "old" else lake.pair) == content
    assert metadata["x-amz-unencrypted-content-length"] == str(size)
    assert description(metadata)["emrkeys.key"] == key


@pytest.mark.parametrize("form", ["v2", "v4"])
@pytest.mark.parametrize("size", [len(TEXT), 2 * PART + 5])
def test_under_a_kms_key_kms_makes_the_data_key(lake, form, size):
    content = (TEXT * (size // len(TEXT) + 1))[:size]
    (lake.tool.folder / "in").write_bytes(content)
    key = lake.servers.kms_key()
    lake.site |= {"emrkeys.key.kms.type": "kms", "emrkeys.key.kms.kms-key-id": key, "emrkeys.default.key": "kms"}
    before = lake.servers.calls().get("kms.GenerateDataKey", 0)
    lake.tool.ok("put", "in", lake.uri + "x", "--format", form, *lake.conf)
    assert lake.servers.calls()["kms.GenerateDataKey"] - before == 1
    body, metadata = lake.get("x")
    assert context(metadata) == {"aws:x-amz-cek-alg": {"v2": "AES/GCM/NoPadding", "v4": "115"}[form]}
    assert unseal(body, metadata, Kms(lake.servers.kms, key, context(metadata))) == content
    assert read(lake, lake.uri + "x") == content
    (found,) = lake.tool.json("inspect", lake.uri + "x", *lake.conf)
    assert found["readable"] is True
    lake.servers.kms.disable_key(KeyId=key)
    assert "[KEY_UNUSABLE]" in lake.tool.fails(1, "put", "in", lake.uri + "y", *lake.conf)
    assert "[KEY_UNUSABLE]" in lake.tool.fails(1, "get", lake.uri + "x", "out", *lake.conf)


def test_a_kms_key_that_an_object_would_not_lead_back_to_is_not_written_under(lake):
    (lake.tool.folder / "in").write_bytes(TEXT)
    for name in ("one", "two"):
        lake.site |= {f"emrkeys.key.{name}.type": "kms", f"emrkeys.key.{name}.kms-key-id": lake.servers.kms_key()}
    lake.site["emrkeys.default.key"] = "one"
    assert "[CONFLICT]" in lake.tool.fails(1, "put", "in", lake.uri + "x", *lake.conf)
    assert "Contents" not in lake.servers.s3.list_objects_v2(Bucket=lake.bucket)
    assert "kms.GenerateDataKey" not in lake.servers.calls()


@pytest.mark.parametrize("form", ["v2", "v4"])
def test_an_instruction_file_is_written_and_read(lake, form):
    (lake.tool.folder / "in").write_bytes(TEXT)
    lake.tool.ok("put", "in", lake.uri + "x", "--format", form, "--instruction-file", *lake.conf)
    body, metadata = lake.get("x")
    instruction, mark = lake.get("x.instruction")
    assert ("x-amz-c" in metadata) == (form == "v4") and "x-amz-key-v2" not in metadata
    assert "x-amz-crypto-instr-file" in mark
    assert unseal(body, {**metadata, **json.loads(instruction)}, lake.old) == TEXT
    assert read(lake, lake.uri + "x") == TEXT


@pytest.mark.parametrize("form", ["v2", "v4"])
def test_local_files_have_their_envelope_beside_them(lake, form):
    folder = lake.tool.folder
    (folder / "in").write_bytes(TEXT)
    lake.tool.ok("put", "in", f"file://{folder}/sealed", "--format", form, *lake.conf)
    envelope = json.loads((folder / "sealed.instruction").read_text())
    assert unseal((folder / "sealed").read_bytes(), envelope, lake.old) == TEXT
    assert read(lake, f"file://{folder}/sealed") == TEXT
    assert read(lake, f"file://{folder}/sealed", "--range", "5-9") == TEXT[5:10]
    (found,) = lake.tool.json("inspect", f"file://{folder}/sealed", *lake.conf)
    assert found["readable"] is True
    # As the client for PHP writes it.
    field = {"v2": "x-amz-tag-len", "v4": "x-amz-c"}[form]
    numbers = {**envelope, field: int(envelope[field])}
    (folder / "sealed.instruction").write_text(json.dumps(numbers))
    assert read(lake, f"file://{folder}/sealed") == TEXT
    lake.tool.fails(3, "put", "in", f"file://{folder}/sealed", *lake.conf)
    assert unseal((folder / "sealed").read_bytes(), envelope, lake.old) == TEXT


def damage(body: bytes, what: str) -> bytes:
    at = len(body) // 2
    return {
        "flipped": body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :],
        "cut": body[:-20],
        "longer": body + b"x",
        "empty": b"",
        "tag": body[:-1] + bytes([body[-1] ^ 1]),
    }[what]


@pytest.mark.parametrize("how", ["v1", "v2", "v4"])
@pytest.mark.parametrize("what", ["flipped", "cut", "longer", "empty", "tag"])
def test_of_a_damaged_object_nothing_is_released(lake, how, what):
    body, metadata = seal(TEXT, lake.old, how, lake.describe("old"))
    lake.put("x", damage(body, what), metadata)
    (lake.tool.folder / "out").write_text("precious")
    told = lake.tool.fails(1, "get", lake.uri + "x", "out", *lake.conf)
    assert "[OBJECT_DAMAGED]" in told
    assert (lake.tool.folder / "out").read_text() == "precious"
    assert not [name for name in os.listdir(lake.tool.folder) if name.startswith(".emrkeys")]
    done = lake.tool.run("cat", lake.uri + "x", *lake.conf, input=b"")
    assert done.returncode == 1 and done.stdout == b""
    done = lake.tool.run("cat", lake.uri + "x", "--release-unverified", *lake.conf, input=b"")
    assert done.returncode == 1


HOSTILE = {
    "two formats": {"x-amz-key": "AAAA"},
    "unknown wrap": {"x-amz-wrap-alg": "ROT13"},
    "unknown cipher": {"x-amz-cek-alg": "ROT13"},
    "short tag": {"x-amz-tag-len": "32"},
    "negative tag": {"x-amz-tag-len": "-128"},
    "broken json": {"x-amz-matdesc": "{"},
    "json of another kind": {"x-amz-matdesc": "[[[[[[[[[[[[[[[[[[[[[["},
    "short vector": {"x-amz-iv": "AAAA"},
    "no base64": {"x-amz-key-v2": "\\\\\\"},
    "half a commitment": {"x-amz-d": "AAAA"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_envelopes_get_a_precise_error(lake, name):
    body, metadata = seal(TEXT, lake.old, "v2", lake.describe("old"))
    lake.put("x", body, {**metadata, **HOSTILE[name]})
    told = lake.tool.fails(1, "get", lake.uri + "x", "out", *lake.conf)
    assert "[INVALID_ENVELOPE]" in told
    assert not (lake.tool.folder / "out").exists()
    (found,) = lake.tool.json("inspect", lake.uri + "x", *lake.conf)
    assert found["malformed"] and found["encryption"] is None


def test_an_envelope_of_2_kb_and_a_negative_length_do_not_matter(lake):
    body, metadata = seal(TEXT, lake.old, "v2", lake.describe("old"))
    metadata["x-amz-unencrypted-content-length"] = "-5"
    metadata["filler"] = "x" * (2048 - sum(len(name) + len(value) for name, value in metadata.items()) - len("filler"))
    lake.put("x", body, metadata)
    assert read(lake, lake.uri + "x") == TEXT


def test_the_code_says_why_an_object_cannot_be_had(lake):
    lake.put("plain", b"text", {})
    lake.put("x", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.put("foreign", *seal(TEXT, Aes(os.urandom(32)), "v2", lake.describe("old")))
    lake.put("unknown", *seal(TEXT, lake.old, "v2", {"emrkeys.key": "none", "emrkeys.version": "1"}))
    for name, code in {
        "plain": "INVALID_ENVELOPE",
        "none": "OBJECT_NOT_FOUND",
        "foreign": "WRAPPED_KEY_INVALID",
        "unknown": "KEY_NOT_CONFIGURED",
    }.items():
        assert f"[{code}]" in lake.tool.fails(1, "get", lake.uri + name, "out", *lake.conf)
    assert "[OBJECT_NOT_FOUND]" in lake.tool.fails(1, "get", "s3://no-such-bucket/x", "out", *lake.conf)
    (found,) = lake.tool.json("inspect", lake.uri + "unknown", *lake.conf)
    assert (found["readable"], found["why"]["code"]) == (False, "KEY_NOT_CONFIGURED")
    (found,) = lake.tool.json("inspect", lake.uri + "plain")
    assert found["encryption"] is None and found["readable"] is None
    lake.servers.deny("s3", "GetObject")
    assert "[STORE_DENIED]" in lake.tool.fails(5, "get", lake.uri + "x", "out", *lake.conf)


def test_many_objects_are_inspected_in_order_and_without_their_content(lake):
    names = [f"many/{number:03}" for number in range(60)]
    for name in names:
        lake.put(name, *seal(b"x", lake.old, "v2", lake.describe("old")))
    before = lake.servers.calls().get("s3.GetObject", 0)
    found = lake.tool.json("inspect", "--recursive", lake.uri + "many/", *lake.conf)
    assert [entry["uri"] for entry in found] == [lake.uri + name for name in names]
    assert lake.servers.calls().get("s3.GetObject", 0) == before


def test_throttles_are_waited_out(lake):
    lake.put("x", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.servers.fault(service="s3", op="GetObject", status=503, code="SlowDown", count=2)
    assert read(lake, lake.uri + "x") == TEXT


def test_an_object_that_is_written_between_the_two_looks_at_it_is_not_released(lake):
    lake.put("x", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.servers.hold("GetObject", after=1)
    command = [lake.tool.path, "cat", lake.uri + "x", *lake.conf]
    process = subprocess.Popen(command, env=lake.tool.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: lake.servers.calls().get("s3.GetObject") == 2)
    lake.put("x", *seal(b"other", lake.old, "v2", lake.describe("old")))
    lake.servers.clear_faults()
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 3 and out == b"" and b"[OBJECT_CHANGED]" in err


def test_a_reader_that_goes_away_is_no_error(lake):
    lake.put("x", *seal(TEXT * 20, lake.old, "v2", lake.describe("old")))
    command = f"'{lake.tool.path}' cat {lake.uri}x {' '.join(lake.conf)} | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=lake.tool.env, capture_output=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (0, TEXT[:10]), done.stderr


def test_a_full_disk_leaves_nothing(lake):
    lake.put("x", *seal(TEXT * 20, lake.old, "v2", lake.describe("old")))
    limit = f"ulimit -f 100; trap '' XFSZ; exec '{lake.tool.path}' get {lake.uri}x out {' '.join(lake.conf)}"
    done = subprocess.run(
        ["bash", "-c", limit], env=lake.tool.env, cwd=lake.tool.folder, capture_output=True, timeout=TIMEOUT
    )
    assert done.returncode == 1, done.stderr
    assert not [name for name in os.listdir(lake.tool.folder) if name == "out" or name.startswith(".emrkeys")]


def test_a_failed_upload_is_given_up(lake):
    (lake.tool.folder / "in").write_bytes(TEXT * 200)
    lake.servers.fault(service="s3", op="UploadPart", status=403, code="AccessDenied", count=None, after=1)
    lake.tool.fails(5, "put", "in", lake.uri + "x", *lake.conf)
    assert "Uploads" not in lake.servers.s3.list_multipart_uploads(Bucket=lake.bucket)
    assert "Contents" not in lake.servers.s3.list_objects_v2(Bucket=lake.bucket)


def half_closed(endpoint: str) -> bool:
    """Whether the server of this endpoint has a connection whose client went away, and has not come to its end."""
    port = f"{int(endpoint.rpartition(':')[2]):04X}"
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    close_wait = "08"
    return any(row[1].endswith(":" + port) and row[3] == close_wait for row in rows)


def test_an_upload_is_resumed_with_the_parts_that_are_there(lake):
    content = os.urandom(5 * PART + 17)
    (lake.tool.folder / "in").write_bytes(content)
    command = ["put", "in", lake.uri + "x", "--resume", "state", *lake.conf]
    lake.servers.hold("UploadPart", count=None, after=2)
    process = subprocess.Popen(
        [lake.tool.path, *command], env=lake.tool.env, cwd=lake.tool.folder, stderr=subprocess.PIPE
    )
    state = lake.tool.folder / "state"
    while not state.exists() or sum(part["etag"] is not None for part in json.loads(state.read_text())["parts"]) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    lake.servers.clear_faults()
    # All that was on its way arrived, and is counted with what came before.
    wait_for(lambda: not half_closed(lake.servers.endpoint))
    lake.servers.control("DELETE", "calls")
    lake.tool.ok(*command)
    assert lake.servers.calls()["s3.UploadPart"] <= 4
    assert "s3.CreateMultipartUpload" not in lake.servers.calls()
    body, metadata = lake.get("x")
    assert unseal(body, metadata, lake.old) == content
    assert not state.exists()


def uncompleted(lake, content: bytes) -> list[str]:
    """The command that goes on with an upload whose parts are all there, and whose end S3 refused."""
    (lake.tool.folder / "in").write_bytes(content)
    command = ["put", "in", lake.uri + "x", "--resume", "state", *lake.conf]
    lake.servers.fault(service="s3", op="CompleteMultipartUpload", status=403, code="AccessDenied", count=1)
    lake.tool.fails(5, *command)
    return command


def test_a_file_that_changed_is_never_encrypted_under_the_same_key_and_vector(lake):
    content = os.urandom(3 * PART)
    command = uncompleted(lake, content)
    first = json.loads((lake.tool.folder / "state").read_text())
    changed = content[:PART] + bytes([content[PART] ^ 1]) + content[PART + 1 :]
    (lake.tool.folder / "in").write_bytes(changed)
    lake.tool.ok(*command)
    body, metadata = lake.get("x")
    assert unseal(body, metadata, lake.old) == changed
    assert metadata["x-amz-iv"] != first["metadata"]["x-amz-iv"]
    assert metadata["x-amz-key-v2"] != first["metadata"]["x-amz-key-v2"]
    assert "Uploads" not in lake.servers.s3.list_multipart_uploads(Bucket=lake.bucket)


def started(lake, *command) -> subprocess.Popen:
    return subprocess.Popen([lake.tool.path, *command], env=lake.tool.env, cwd=lake.tool.folder, stderr=subprocess.PIPE)


def uploads(lake) -> list:
    return lake.servers.s3.list_multipart_uploads(Bucket=lake.bucket).get("Uploads", [])


def keys_of(lake) -> set[str]:
    return {found["Key"] for found in lake.servers.s3.list_objects_v2(Bucket=lake.bucket).get("Contents", [])}


def test_when_no_part_can_be_sent_the_upload_ends(lake):
    (lake.tool.folder / "in").write_bytes(os.urandom(8 * PART))
    lake.servers.fault(service="s3", op="UploadPart", status=403, code="AccessDenied", count=None)
    lake.tool.fails(5, "put", "in", lake.uri + "x", *lake.conf)
    assert not uploads(lake)


@pytest.mark.parametrize("size", [0, 5, PART, 2 * PART + 5])
def test_a_pipe_is_read_to_its_end(lake, size):
    content = os.urandom(size)
    done = lake.tool.run("put", "/dev/stdin", lake.uri + "x", *lake.conf, input=content)
    assert done.returncode == 0, done.stderr
    body, metadata = lake.get("x")
    assert unseal(body, metadata, lake.old) == content
    assert metadata.get("x-amz-unencrypted-content-length") == (str(size) if size < PART else None)
    done = lake.tool.run("put", "/dev/stdin", lake.uri + "x", "--resume", "state", *lake.conf, input=content)
    assert done.returncode == 2


def test_a_file_that_grows_during_its_upload_is_not_stored(lake):
    (lake.tool.folder / "in").write_bytes(os.urandom(2 * PART))
    lake.servers.hold("CreateMultipartUpload")
    process = started(lake, "put", "in", lake.uri + "x", *lake.conf)
    wait_for(lambda: lake.servers.calls().get("s3.CreateMultipartUpload"))
    with (lake.tool.folder / "in").open("ab") as file:
        file.write(b"more")
    lake.servers.clear_faults()
    _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 3 and b"[OBJECT_CHANGED]" in err
    assert not uploads(lake) and not keys_of(lake)


@pytest.mark.parametrize("size", [100, 3 * PART])
def test_a_pair_of_object_and_instruction_file_is_never_replaced_or_torn_apart(lake, size):
    (lake.tool.folder / "in").write_bytes(os.urandom(size))
    command = ["put", "in", lake.uri + "x", "--instruction-file", *lake.conf]
    step = "PutObject" if size < PART else "CompleteMultipartUpload"
    lake.servers.fault(
        service="s3", op=step, resource="/x", status=403, code="AccessDenied", count=None, after=1 if size < PART else 0
    )
    lake.tool.fails(5, *command)
    assert not keys_of(lake), "an instruction file without an object"
    lake.servers.clear_faults()
    lake.tool.ok(*command)
    before = lake.get("x"), lake.get("x.instruction")
    (lake.tool.folder / "in").write_bytes(os.urandom(size))
    assert "[OBJECT_CHANGED]" in lake.tool.fails(3, *command)
    assert (lake.get("x"), lake.get("x.instruction")) == before
    lake.servers.s3.delete_object(Bucket=lake.bucket, Key="x.instruction")
    assert "[OBJECT_CHANGED]" in lake.tool.fails(3, *command)
    assert keys_of(lake) == {"x"}


FORGOTTEN = {"status": 404, "code": "NoSuchUpload", "count": 1}
"""The answer of S3 for an upload that is over; the local server answers with a defect, or does it again."""


def test_an_upload_that_s3_has_forgotten_begins_anew(lake):
    content = os.urandom(3 * PART)
    command = uncompleted(lake, content)
    (upload,) = uploads(lake)
    lake.servers.s3.abort_multipart_upload(Bucket=lake.bucket, Key="x", UploadId=upload["UploadId"])
    lake.servers.fault(service="s3", op="CompleteMultipartUpload", **FORGOTTEN)
    lake.tool.ok(*command)
    body, metadata = lake.get("x")
    assert unseal(body, metadata, lake.old) == content
    assert not uploads(lake) and not (lake.tool.folder / "state").exists()


def test_an_upload_that_was_complete_before_its_state_was_removed_is_done(lake):
    command = uncompleted(lake, os.urandom(2 * PART))
    state = (lake.tool.folder / "state").read_bytes()
    lake.tool.ok(*command)
    before = lake.get("x")
    (lake.tool.folder / "state").write_bytes(state)
    lake.servers.fault(service="s3", op="CompleteMultipartUpload", **FORGOTTEN)
    lake.tool.ok(*command)
    assert lake.get("x") == before
    assert not (lake.tool.folder / "state").exists()


@pytest.mark.parametrize("other", [["--format", "v4"], ["-D", "emrkeys.default.key=new"]])
def test_an_upload_in_another_format_or_under_another_key_begins_anew(lake, other):
    content = os.urandom(2 * PART)
    command = uncompleted(lake, content)
    lake.tool.ok(*command, *other)
    body, metadata = lake.get("x")
    assert ("x-amz-c" in metadata) == ("v4" in other)
    assert unseal(body, metadata, lake.old if "v4" in other else lake.new) == content
    assert not uploads(lake)


def test_resuming_and_instruction_files_do_not_go_together(lake):
    (lake.tool.folder / "in").write_bytes(TEXT)
    lake.tool.fails(2, "put", "in", lake.uri + "x", "--resume", "state", "--instruction-file", *lake.conf)


@pytest.mark.parametrize("size", [100, PART + 100])
def test_an_upload_whose_answer_is_lost_is_done(lake, size):
    content = os.urandom(size)
    (lake.tool.folder / "in").write_bytes(content)
    lake.servers.fault(service="s3", op="PutObject" if size < PART else "CompleteMultipartUpload", cut=0, count=1)
    lake.tool.ok("put", "in", lake.uri + "x", "--no-overwrite", *lake.conf)
    assert read(lake, lake.uri + "x") == content


def test_no_overwrite_keeps_what_is_there(lake):
    (lake.tool.folder / "in").write_bytes(TEXT)
    lake.put("x", b"precious", {})
    assert "[OBJECT_CHANGED]" in lake.tool.fails(3, "put", "in", lake.uri + "x", "--no-overwrite", *lake.conf)
    assert lake.get("x")[0] == b"precious"


def test_ctrl_c_leaves_neither_object_nor_upload(lake):
    (lake.tool.folder / "in").write_bytes(os.urandom(6 * PART))
    held = lake.servers.hold("UploadPart")
    lake.servers.fault(service="s3", op="UploadPart", delay=1, count=None)
    command = [lake.tool.path, "put", "in", lake.uri + "x", *lake.conf]
    process = subprocess.Popen(command, env=lake.tool.env, cwd=lake.tool.folder, stderr=subprocess.PIPE)
    wait_for(lambda: lake.servers.calls().get("s3.UploadPart"))
    process.send_signal(signal.SIGINT)
    lake.servers.release(held)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert "Uploads" not in lake.servers.s3.list_multipart_uploads(Bucket=lake.bucket)


def test_what_cannot_be_looked_at_is_an_entry_and_ends_nothing(lake):
    for name in ("many/a", "many/b", "many/c"):
        lake.put(name, *seal(b"x", lake.old, "v2", lake.describe("old")))
    missing, there = lake.uri + "missing", lake.uri + "many/a"
    found = lake.tool.json("inspect", missing, there, *lake.conf, status=1)
    assert [entry["uri"] for entry in found] == [missing, there]
    assert found[0]["error"]["code"] == "OBJECT_NOT_FOUND" and found[1]["readable"] is True
    done = lake.tool.run("inspect", there, missing, f"file://{lake.tool.folder}/missing", *lake.conf)
    assert done.returncode == 1 and "[OBJECTS_FAILED]" in done.stderr and done.stdout.count("[OBJECT_NOT_FOUND]") == 2
    # Deleted between the listing and the look at it.
    lake.servers.fault(service="s3", op="HeadObject", status=404, code="NotFound", message="gone", count=1, after=1)
    found = lake.tool.json("inspect", "--recursive", lake.uri + "many/", *lake.conf, status=1)
    assert sorted("error" in entry for entry in found) == [False, False, True]
    lake.servers.deny("s3", "HeadObject")
    (found,) = lake.tool.json("inspect", there, *lake.conf, status=5)
    assert found["error"]["code"] == "STORE_DENIED" and found["error"]["message"]


def test_ctrl_c_ends_an_inspection_with_what_is_done_and_says_so(lake):
    for number in range(40):
        lake.put(f"many/{number:02}", b"x", {})
    lake.servers.control("DELETE", "calls")
    lake.servers.hold("HeadObject", count=None, after=4)
    command = [lake.tool.path, "inspect", "--recursive", lake.uri + "many/", "--jobs", "4", "--output", "json"]
    process = subprocess.Popen(command, env=lake.tool.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: lake.servers.calls().get("s3.HeadObject", 0) > 4)
    process.send_signal(signal.SIGINT)
    lake.servers.clear_faults()
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, err
    assert 0 < len(json.loads(out)) < 40


HOSTILE_TEXT = "a\x9b31m\x1b[31m\u202eb"
"""Has a terminal print in red, and backwards."""


def test_nothing_that_an_object_says_is_obeyed_by_the_terminal(lake):
    hostile = {"emrkeys.key": HOSTILE_TEXT, "emrkeys.version": HOSTILE_TEXT, HOSTILE_TEXT: HOSTILE_TEXT}
    # A listing in XML cannot hold an escape.
    lake.put("x" + HOSTILE_TEXT.replace("\x1b", ""), *seal(TEXT, lake.old, "v2", hostile))
    lake.put("y", *seal(TEXT, lake.old, "v2", hostile))
    for options in ([], lake.conf):
        for command in (["inspect", "--recursive"], ["audit"]):
            told = lake.tool.ok(*command, lake.uri, *options)
            assert not set(told) & {"\x1b", "\x9b", "\u202e"}, told
            assert "\\u{1b}[31m\\u{202e}b" in told


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("noted", ["-5", "", "1e3", "5", str(len(TEXT) + 1), str(1 << 64)])
def test_a_noted_length_that_is_wrong_is_told(lake, how, noted):
    body, metadata = seal(TEXT, lake.old, how, lake.describe("old"))
    right = {**metadata, "x-amz-unencrypted-content-length": str(len(TEXT))}
    lake.put("right", body, right)
    lake.put("wrong", body, {**right, "x-amz-unencrypted-content-length": noted})
    wrong, right = (
        lake.tool.json("inspect", lake.uri + name, *lake.conf)[0]["encryption"] for name in ("wrong", "right")
    )
    if how == "encryption-only" and noted == str(len(TEXT) + 1):
        # The padding hides it.
        assert wrong["wrongLength"] is None and wrong["plaintextLength"] == len(TEXT) + 1
        return
    assert "x-amz-unencrypted-content-length" in wrong["wrongLength"]
    assert wrong["plaintextLength"] == (None if how == "encryption-only" else len(TEXT))
    assert right["wrongLength"] is None and right["plaintextLength"] == len(TEXT)
    assert wrong["wrongLength"] in lake.tool.ok("inspect", lake.uri + "wrong", *lake.conf)
    found = {finding["finding"]: finding for finding in lake.tool.json("audit", lake.uri, *lake.conf)["findings"]}
    assert found["wrong-length"]["examples"] == [lake.uri + "wrong"] and found["wrong-length"]["remedy"]
