"""`emrkeys rewrap`: objects move to another key while they stay readable."""

import json
import os
import signal
import subprocess
import threading

import pytest

from conftest import TIMEOUT, properties, wait_for
from envelopes import FORMATS, Kms, context, description, seal, unseal
from lake import Lake

TEXT = b"some rows of a table\n" * 50


@pytest.fixture
def lake(servers, keys, tool):
    return Lake(servers, keys, tool)


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("kind", ["old", "pair"])
def test_an_object_of_every_client_moves_and_keeps_all_but_its_key(lake, how, kind):
    stored = {"rsa_name": "payroll"} if kind == "pair" else lake.describe("old")
    body, metadata = seal(TEXT, getattr(lake, kind), how, stored)
    lake.put("a b%/ü", body, {**metadata, "owner": "team"}, ContentType="text/csv", CacheControl="no-cache", Tagging="a=b")
    assert lake.rewrap()["counts"] == {"rewrapped": 1}
    found, moved = lake.get("a b%/ü")
    assert found == body
    assert unseal(found, moved, lake.new) == TEXT
    assert description(moved) == lake.describe("new")
    assert moved["owner"] == "team"
    assert moved.get("x-amz-unencrypted-content-length") == metadata.get("x-amz-unencrypted-content-length")
    head = lake.servers.s3.head_object(Bucket=lake.bucket, Key="a b%/ü")
    assert (head["ContentType"], head["CacheControl"]) == ("text/csv", "no-cache")
    tags = lake.servers.s3.get_object_tagging(Bucket=lake.bucket, Key="a b%/ü")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}]
    assert lake.rewrap()["counts"] == {"current": 1}


@pytest.mark.parametrize("how", FORMATS)
def test_an_object_of_every_client_moves_under_a_kms_key_and_back(lake, how):
    key = lake.servers.kms_key()
    lake.site |= {"emrkeys.key.kms.type": "kms", "emrkeys.key.kms.kms-key-id": key}
    sealed = seal(TEXT, lake.new, how, lake.describe("new"))
    lake.put("a", *sealed)
    to_kms = ("rewrap", lake.uri, "--to", "kms", *properties(lake.site))
    assert lake.tool.json(*to_kms)["counts"] == {"rewrapped": 1}
    body, metadata = lake.get("a")
    binding = {"v2": "AES/GCM/NoPadding", "v4": "115"}.get(how)
    assert context(metadata) == ({"aws:x-amz-cek-alg": binding} if binding else {"kms_cmk_id": key})
    if how != "encryption-only":
        assert unseal(body, metadata, Kms(lake.servers.kms, key, context(metadata))) == TEXT
    assert lake.tool.run("cat", lake.uri + "a", *properties(lake.site), input=b"").stdout == TEXT
    assert lake.tool.json(*to_kms)["counts"] == {"current": 1}
    assert lake.rewrap()["counts"] == {"rewrapped": 1}
    body, metadata = lake.get("a")
    assert unseal(body, metadata, lake.new) == TEXT
    assert metadata.keys() == sealed[1].keys()


def test_an_object_moves_from_one_kms_key_to_another(lake):
    for name in ("one", "two"):
        lake.site |= {f"emrkeys.key.{name}.type": "kms", f"emrkeys.key.{name}.kms-key-id": lake.servers.kms_key()}
    lake.put("a", *seal(TEXT, lake.old, "v1", lake.describe("old")))
    for name in ("one", "two"):
        command = ("rewrap", lake.uri, "--to", name, *properties(lake.site))
        assert lake.tool.json(*command)["counts"] == {"rewrapped": 1}
        assert context(lake.get("a")[1]) == {"kms_cmk_id": lake.site[f"emrkeys.key.{name}.kms-key-id"]}
        assert lake.tool.json(*command)["counts"] == {"current": 1}
    # The newer wrap does not say which key it is.
    told = lake.tool.fails(1, "rewrap", lake.uri, "--to", "two", "--upgrade-wrap", "--report", "report", *properties(lake.site))
    assert json.loads((lake.tool.folder / "report").read_text())["code"] == "CONFLICT", told
    assert lake.tool.run("cat", lake.uri + "a", *properties(lake.site), input=b"").stdout == TEXT


def test_an_instruction_file_is_replaced_and_its_object_is_not(lake):
    body, metadata = seal(TEXT, lake.old, "v2", lake.describe("old"))
    lake.put("a", body, {"owner": "team"})
    lake.put("a.instruction", json.dumps(metadata).encode(), {"x-amz-crypto-instr-file": ""})
    before = lake.servers.s3.head_object(Bucket=lake.bucket, Key="a")["LastModified"]
    assert lake.rewrap()["counts"] == {"rewrapped": 1, "instruction-file": 1}
    found, own = lake.get("a")
    assert own == {"owner": "team"}
    instruction, mark = lake.get("a.instruction")
    assert unseal(found, json.loads(instruction), lake.new) == TEXT
    assert "x-amz-crypto-instr-file" in mark
    assert lake.servers.s3.head_object(Bucket=lake.bucket, Key="a")["LastModified"] == before


def test_wraps_stay_of_their_generation_unless_told_otherwise(lake):
    body, metadata = seal(TEXT, lake.old, "v1", lake.describe("old"))
    lake.put("a", body, metadata)
    lake.rewrap()
    assert lake.get("a")[1]["x-amz-wrap-alg"] == "AESWrap"
    assert lake.rewrap("--upgrade-wrap")["counts"] == {"rewrapped": 1}
    assert lake.get("a")[1]["x-amz-wrap-alg"] == "AES/GCM"
    assert unseal(*lake.get("a"), lake.new) == TEXT


def test_a_large_object_is_copied_in_parts_with_its_tags(lake):
    body, metadata = seal(TEXT * 400, lake.old, "v2", lake.describe("old"))
    lake.put("a", body, metadata, Tagging="a=b%3Dc")
    assert lake.rewrap("--multipart-above", "100000")["counts"] == {"rewrapped": 1}
    assert unseal(*lake.get("a"), lake.new) == TEXT * 400
    assert lake.servers.calls()["s3.UploadPartCopy"] == 1
    tags = lake.servers.s3.get_object_tagging(Bucket=lake.bucket, Key="a")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b=c"}]


def test_what_is_left_alone_is_told_with_the_reason(lake):
    sealed = seal(TEXT, lake.old, "v2", lake.describe("old"))
    lake.put("good", *sealed)
    lake.put("plain", b"text", {})
    lake.put("broken", sealed[0], {**sealed[1], "x-amz-iv": "AAAA"})
    lake.put("unknown", *seal(TEXT, lake.old, "v2", {"emrkeys.key": "none", "emrkeys.version": "1"}))
    lake.put("forged", *seal(TEXT, lake.new, "v2", lake.describe("old")))
    report = lake.tool.folder / "report.jsonl"
    counts = lake.rewrap("--report", report, status=1)["counts"]
    assert counts == {"rewrapped": 1, "plaintext": 1, "failed": 3}
    lines = {line["uri"].rsplit("/", 1)[1]: line for line in map(json.loads, report.read_text().splitlines())}
    assert lines["good"]["from"] == f"old/{lake.version('old')}" and lines["good"]["to"] == f"new/{lake.version('new')}"
    codes = {name: line.get("code") for name, line in lines.items()}
    assert codes == {
        "good": None,
        "plain": None,
        "broken": "INVALID_ENVELOPE",
        "unknown": "KEY_NOT_CONFIGURED",
        "forged": "WRAPPED_KEY_INVALID",
    }
    assert lake.get("forged")[1]["x-amz-key-v2"] != sealed[1]["x-amz-key-v2"]


def test_a_dry_run_changes_nothing(lake):
    sealed = seal(TEXT, lake.old, "v2", lake.describe("old"))
    lake.put("a", *sealed)
    assert lake.rewrap("--dry-run", "--checkpoint", "mark")["counts"] == {"rewrapped": 1}
    assert lake.get("a") == sealed
    assert not (lake.tool.folder / "mark").exists()


def test_metadata_that_would_not_fit_is_found_before_anything_is_written(lake):
    body, metadata = seal(TEXT, lake.old, "v2", {"emrkeys.key": "old", "emrkeys.version": lake.version("old")})
    room = 2048 - sum(len(name) + len(value) for name, value in metadata.items())
    metadata["filler"] = "x" * (room - len("filler"))
    lake.put("a", body, metadata)
    site = {**lake.site, "emrkeys.key.pair.legacy-name": "a-name-that-is-stored-too"}
    lake.tool.fails(1, "rewrap", lake.uri, "--to", "pair", *properties(site))
    assert lake.get("a") == (body, metadata)


def test_refusals_of_s3_leave_the_object_as_it_was(lake):
    sealed = seal(TEXT, lake.old, "v2", lake.describe("old"))
    lake.put("a", *sealed)
    lake.servers.deny("s3", "CopyObject")
    assert lake.rewrap(status=1)["counts"] == {"failed": 1}
    assert lake.get("a") == sealed


def test_whoever_writes_in_the_meantime_wins(lake):
    lake.put("a", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    other = seal(b"newer", lake.old, "v2", lake.describe("old"))
    # While the copy is held up, somebody else writes.
    lake.servers.fault(service="s3", op="CopyObject", delay=2, count=1)
    assert meanwhile(lake, "s3.CopyObject", 1, lambda: lake.put("a", *other)) == {"rewrapped": 1}
    assert unseal(*lake.get("a"), lake.new) == b"newer"


def test_whoever_writes_or_deletes_before_the_copy_is_read_back_wins(lake):
    other = seal(b"newer", lake.old, "v2", lake.describe("old"))
    for action, outcome in (lambda: lake.put("a", *other), "rewrapped"), (lambda: lake.delete("a"), "gone"):
        lake.put("a", *seal(TEXT, lake.old, "v2", lake.describe("old")))
        lake.servers.control("DELETE", "calls")
        lake.servers.fault(service="s3", op="HeadObject", delay=2, count=1, after=1)
        assert meanwhile(lake, "s3.HeadObject", 2, action) == {outcome: 1}
        if outcome == "rewrapped":
            assert unseal(*lake.get("a"), lake.new) == b"newer"


def meanwhile(lake, call: str, number: int, action) -> dict:
    """The counts of a run during which, once so many of these calls have begun, something else happens."""
    command = [lake.tool.path, "rewrap", lake.uri, "--to", "new", "--output", "json", *properties(lake.site)]
    process = subprocess.Popen(command, cwd=lake.tool.folder, env=lake.tool.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wait_for(lambda: lake.servers.calls().get(call, 0) >= number)
    action()
    out, _ = process.communicate(timeout=60)
    return json.loads(out)["counts"]


def test_objects_stay_readable_while_it_is_killed_and_started_again(lake):
    names = [f"part-{number:04}" for number in range(400)]
    for name in names:
        lake.put(name, *seal(name.encode(), lake.old, "v2", lake.describe("old")))
    stop, unreadable, reads = threading.Event(), [], []

    def read():
        while not stop.is_set():
            for name in names[::7]:
                try:
                    body, metadata = lake.get(name)
                    key = {"old": lake.old, "new": lake.new}[description(metadata)["emrkeys.key"]]
                    assert unseal(body, metadata, key) == name.encode()
                except Exception as error:
                    unreadable.append((name, error))
                reads.append(name)

    reader = threading.Thread(target=read)
    reader.start()
    command = [lake.tool.path, "rewrap", lake.uri, "--to", "new", *properties(lake.site), "--checkpoint", "mark", "--jobs", "2", "--rate", "40"]
    try:
        for how in (signal.SIGKILL, signal.SIGINT):
            moved = lambda: lake.servers.calls().get("s3.CopyObject", 0)
            before = moved()
            process = subprocess.Popen(command, cwd=lake.tool.folder, env=lake.tool.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
            wait_for(lambda: moved() > before + 60)
            process.send_signal(how)
            process.communicate(timeout=20)
            assert process.returncode == (-9 if how == signal.SIGKILL else 130)
        mark = json.loads((lake.tool.folder / "mark").read_text())
        assert names[0] < mark["after"] < names[-1]
        rest = lake.rewrap("--checkpoint", "mark")
    finally:
        stop.set()
        reader.join()
    assert rest["complete"] and reads and not unreadable, unreadable
    for name in names:
        assert unseal(*lake.get(name), lake.new) == name.encode()


def test_an_inventory_stands_for_the_listing(lake):
    names = ["a b+%/ü", "plain", *(f"t/{number}" for number in range(10))]
    for name in [*names, "unlisted"]:
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.put("plain", b"text", {})
    inventory = lake.servers.inventory(lake.bucket, [*names, "deleted since"], files=3)
    assert lake.rewrap("--inventory", inventory)["counts"] == {"rewrapped": 11, "plaintext": 1, "gone": 1}
    assert "s3.ListObjectsV2" not in lake.servers.calls()
    assert unseal(*lake.get("a b+%/ü"), lake.new) == TEXT
    assert description(lake.get("unlisted")[1])["emrkeys.key"] == "old"
    below = lake.tool.json("rewrap", lake.uri + "t/", "--to", "new", *properties(lake.site), "--inventory", inventory)
    assert below["counts"] == {"current": 10}


def test_the_work_on_an_inventory_goes_on_from_its_checkpoint(lake):
    names = [f"part-{number:03}" for number in range(60)]
    for name in names:
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))
    # In no order, as S3 has them.
    inventory = lake.servers.inventory(lake.bucket, names[::-1], files=3)
    again = ["--inventory", inventory, "--checkpoint", "mark", "--jobs", "2"]
    command = [lake.tool.path, "rewrap", lake.uri, "--to", "new", *properties(lake.site), *again, "--rate", "20"]
    process = subprocess.Popen(command, cwd=lake.tool.folder, env=lake.tool.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    # Into the second of the files.
    wait_for(lambda: lake.servers.calls().get("s3.CopyObject", 0) > 25)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    moved = lake.servers.calls()["s3.CopyObject"]
    assert json.loads((lake.tool.folder / "mark").read_text())["after"] == f"1:{moved - 20}"
    assert lake.rewrap(*again)["counts"] == {"rewrapped": 60}
    assert lake.servers.calls()["s3.CopyObject"] == 60
    told = lake.tool.fails(1, "rewrap", lake.uri, "--to", "new", *properties(lake.site), "--checkpoint", "mark")
    assert "another run" in told


def test_what_is_no_inventory_of_the_bucket_is_refused(lake):
    lake.put("a", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.put("text", b"{", {})
    refused = {
        lake.servers.inventory("another-bucket", ["a"]): "INVALID_INVENTORY",
        lake.servers.inventory(lake.bucket, ["a"], fileFormat="ORC"): "INVALID_INVENTORY",
        lake.servers.inventory(lake.bucket, ["a"], fileSchema="Bucket, Key"): "INVALID_INVENTORY",
        lake.servers.inventory(lake.bucket, ["a"], files=0): None,
        lake.uri + "text": "INVALID_INVENTORY",
        lake.uri + "none": "OBJECT_NOT_FOUND",
        "file:///etc/passwd": "INVALID_URI",
    }
    for inventory, code in refused.items():
        options = ["rewrap", lake.uri, "--to", "new", *properties(lake.site), "--inventory", inventory]
        if code is None:
            assert lake.tool.json(*options)["counts"] == {}
        else:
            assert f"[{code}]" in lake.tool.fails(1, *options)
    assert description(lake.get("a")[1])["emrkeys.key"] == "old"


def test_a_checkpoint_is_of_one_run(lake):
    lake.put("a", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.rewrap("--checkpoint", "mark")
    lake.tool.fails(1, "rewrap", lake.uri + "b", "--to", "new", *properties(lake.site), "--checkpoint", "mark")
    (lake.tool.folder / "mark").write_text("{")
    lake.tool.fails(1, "rewrap", lake.uri, "--to", "new", *properties(lake.site), "--checkpoint", "mark")


def test_failures_are_tried_again_from_the_checkpoint(lake):
    for name in ("a", "b", "c"):
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.servers.deny("s3", "CopyObject", resource="/b")
    lake.rewrap("--checkpoint", "mark", status=1)
    assert json.loads((lake.tool.folder / "mark").read_text())["failed"] == ["b"]
    lake.servers.control("DELETE", "faults")
    lake.rewrap("--checkpoint", "mark")
    assert description(lake.get("b")[1])["emrkeys.key"] == "new"


def test_failures_that_were_not_tried_again_are_not_forgotten(lake):
    for name in ("a", "b", "c"):
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.servers.deny("s3", "CopyObject")
    lake.rewrap("--checkpoint", "mark", status=1)
    lake.servers.control("DELETE", "faults")
    refused = lake.servers.calls()["s3.CopyObject"]
    # The next run ends before it comes to the second of them.
    command = [lake.tool.path, "rewrap", lake.uri, "--to", "new", *properties(lake.site), "--checkpoint", "mark", "--jobs", "1", "--rate", "0.3"]
    process = subprocess.Popen(command, cwd=lake.tool.folder, env=lake.tool.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: lake.servers.calls().get("s3.CopyObject", 0) > refused)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert 1 <= len(json.loads((lake.tool.folder / "mark").read_text())["failed"]) <= 2
    assert lake.rewrap("--checkpoint", "mark")["counts"] == {"rewrapped": 3}
    for name in ("a", "b", "c"):
        assert description(lake.get(name)[1])["emrkeys.key"] == "new"


def test_an_unknown_key_is_refused(lake):
    lake.put("a", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    told = lake.tool.fails(1, "rewrap", lake.uri, "--to", "none", *properties(lake.site))
    assert "[KEY_NOT_CONFIGURED]" in told


@pytest.mark.parametrize("rate", ["0", "-5", "nan", "inf", "1e-20", "1e7", "many"])
def test_a_rate_that_is_none_is_refused(lake, rate):
    assert "--rate" in lake.tool.fails(2, "rewrap", lake.uri, "--to", "new", f"--rate={rate}", *properties(lake.site))


def test_ctrl_c_does_not_wait_for_the_next_object(lake):
    for name in ("a", "b", "c"):
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))
    command = [lake.tool.path, "rewrap", lake.uri, "--to", "new", *properties(lake.site), "--rate", "0.001"]
    process = subprocess.Popen(command, cwd=lake.tool.folder, env=lake.tool.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: lake.servers.calls().get("s3.CopyObject"))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert lake.servers.calls()["s3.CopyObject"] == 1


def test_nobody_has_to_read_what_it_says(lake):
    lake.put("a", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.servers.deny("s3", "CopyObject")
    command = [lake.tool.path, "rewrap", lake.uri, "--to", "new", *properties(lake.site)]
    ours, theirs = os.pipe()
    os.close(ours)
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=lake.tool.folder, env=lake.tool.env, stderr=full, stdout=theirs, timeout=TIMEOUT)
    os.close(theirs)
    assert done.returncode == 1
