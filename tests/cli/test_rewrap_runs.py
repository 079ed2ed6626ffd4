"""`emrkeys rewrap` of many objects: listings, checkpoints, rotations and the confirmation."""

import json
import os
import pty
import re
import signal
import subprocess
import threading

import pytest

from envelopes import description, seal, unseal
from support import TIMEOUT, wait_for

TEXT = b"some rows of a table\n" * 50


def test_objects_stay_readable_while_it_is_killed_and_started_again(lake):
    names = [f"part-{number:04}" for number in range(160)]
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
    command = [
        lake.tool.path,
        "rewrap",
        lake.uri,
        "--to",
        "new",
        *lake.conf,
        "--checkpoint",
        "mark",
        "--jobs",
        "2",
        "--rate",
        "40",
    ]
    try:
        for how in (signal.SIGKILL, signal.SIGINT):
            moved = lambda: lake.servers.calls().get("s3.CopyObject", 0)
            before = moved()
            lake.servers.hold("CopyObject", after=25, count=None)
            process = subprocess.Popen(
                command, cwd=lake.tool.folder, env=lake.tool.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
            wait_for(lambda: moved() > before + 25)
            process.send_signal(how)
            lake.servers.clear_faults()
            process.communicate(timeout=TIMEOUT)
            assert process.returncode == (-9 if how == signal.SIGKILL else 130)
        mark = json.loads((lake.tool.folder / "mark").read_text())
        assert names[0] < mark["after"] < names[-1]
        rest = lake.tool.json("rewrap", lake.uri, "--to", "new", *lake.conf, "--checkpoint", "mark")
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
    below = lake.tool.json("rewrap", lake.uri + "t/", "--to", "new", *lake.conf, "--inventory", inventory)
    assert below["counts"] == {"current": 10}
    told = lake.tool.fails(2, "rewrap", lake.uri + "t", "--to", "new", *lake.conf, "--inventory", inventory)
    assert "--recursive" in told


def test_the_work_on_an_inventory_goes_on_from_its_checkpoint(lake):
    names = [f"part-{number:03}" for number in range(60)]
    for name in names:
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))
    # In no order, as S3 has them.
    inventory = lake.servers.inventory(lake.bucket, names[::-1], files=3)
    again = ["--inventory", inventory, "--checkpoint", "mark", "--jobs", "2"]
    command = [lake.tool.path, "rewrap", lake.uri, "--to", "new", *lake.conf, *again]
    lake.servers.hold("CopyObject", after=25, count=None)
    process = subprocess.Popen(
        command, cwd=lake.tool.folder, env=lake.tool.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    # Into the second of the files.
    wait_for(lambda: lake.servers.calls().get("s3.CopyObject", 0) > 25)
    process.send_signal(signal.SIGINT)
    lake.servers.clear_faults()
    process.communicate(timeout=TIMEOUT)
    moved = lake.servers.calls()["s3.CopyObject"]
    assert json.loads((lake.tool.folder / "mark").read_text())["after"] == f"1:{moved - 20}"
    told = lake.tool.fails(1, "rewrap", lake.uri, "--to", "new", *lake.conf, "--checkpoint", "mark")
    assert "other options" in told
    rest = lake.tool.json("rewrap", lake.uri, "--to", "new", *lake.conf, *again)
    assert rest["counts"] == {"rewrapped": 60 - moved}
    assert rest["withEarlierRuns"]["counts"] == {"rewrapped": 60}
    assert lake.servers.calls()["s3.CopyObject"] == 60


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
        options = ["rewrap", lake.uri, "--to", "new", *lake.conf, "--inventory", inventory]
        if code is None:
            assert lake.tool.json(*options, status=7)["counts"] == {}
        else:
            assert f"[{code}]" in lake.tool.fails(1, *options)
    assert description(lake.get("a")[1])["emrkeys.key"] == "old"


def stopped(lake, *options, after: int, **more) -> None:
    """A run with a checkpoint that Ctrl-C ends while it copies an object, the last of so many."""
    held = lake.servers.hold("CopyObject", after=after - 1, count=None)
    command = [
        lake.tool.path,
        "rewrap",
        lake.uri,
        "--checkpoint",
        "mark",
        "--jobs",
        "1",
        *options,
        *lake.conf,
    ]
    process = subprocess.Popen(
        command, cwd=lake.tool.folder, env=lake.tool.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more
    )
    before = lake.servers.calls().get("s3.CopyObject", 0)
    wait_for(lambda: lake.servers.calls().get("s3.CopyObject", 0) >= before + after)
    process.send_signal(signal.SIGINT)
    lake.servers.release(held)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130


@pytest.fixture
def ring(lake):
    """The lake with a keyring, and what names it on the command line."""
    kms_key, document = lake.servers.kms_key(), f"s3://{lake.servers.bucket()}/lake.keyring"
    lake.ring = ("--kms-key-id", kms_key)
    lake.document = document
    lake.tool.ok("keyring", "create", document, "--name", "ring", *lake.ring)
    lake.site |= {
        "emrkeys.key.ring.type": "keyring",
        "emrkeys.key.ring.uri": document,
        "emrkeys.key.ring.kms-key-id": kms_key,
        "emrkeys.default.key": "ring",
    }
    return lake


def rotate(lake) -> None:
    lake.tool.ok("keyring", "rotate", lake.document, *lake.ring)


def put_all(lake, names) -> None:
    (lake.tool.folder / "in").write_bytes(TEXT)
    lake.tool.ok("put", "in", lake.uri + names[0], *lake.conf)
    sealed = lake.get(names[0])
    for name in names[1:]:
        lake.put(name, *sealed)


def versions(lake, names) -> set:
    return {description(lake.get(name)[1])["emrkeys.version"] for name in names}


def test_after_a_rotation_the_same_command_moves_every_object_again(ring):
    names = [f"part-{number}" for number in range(5)]
    put_all(ring, names)
    command = ["rewrap", ring.uri, "--to", "ring", "--checkpoint", "mark", *ring.conf]
    seen = versions(ring, names)
    for _ in range(2):
        rotate(ring)
        assert ring.tool.json(*command)["counts"] == {"rewrapped": 5}
        assert not (ring.tool.folder / "mark").exists()
        (version,) = versions(ring, names)
        assert version not in seen
        seen.add(version)


def test_objects_that_appear_below_the_mark_of_a_finished_run_are_moved_by_the_next(ring):
    put_all(ring, ["b", "c"])
    sealed = ring.get("b")
    rotate(ring)
    command = ["rewrap", ring.uri, "--to", "ring", "--checkpoint", "mark", *ring.conf]
    assert ring.tool.json(*command)["counts"] == {"rewrapped": 2}
    ring.put("a", *sealed)
    assert ring.tool.json(*command)["counts"] == {"current": 2, "rewrapped": 1}
    # The counts are those of one run.
    assert ring.tool.json(*command)["counts"] == {"current": 3}


def test_a_run_that_goes_on_after_a_rotation_begins_anew(ring):
    names = [f"part-{number:02}" for number in range(30)]
    put_all(ring, names)
    rotate(ring)
    stopped(ring, "--to", "ring", after=5)
    rotate(ring)
    done = ring.tool.run(
        "rewrap", ring.uri, "--to", "ring", "--checkpoint", "mark", "--output", "json", *ring.conf
    )
    document = json.loads(done.stdout)
    assert document["counts"] == {"rewrapped": 30} and "withEarlierRuns" not in document
    assert "begins anew" in done.stderr
    assert len(versions(ring, names)) == 1


def test_a_rotation_while_the_work_goes_on_is_noticed_at_its_end(ring):
    names = [f"part-{number:02}" for number in range(30)]
    put_all(ring, names)
    rotate(ring)
    ring.site["emrkeys.keyring.max-age"] = "1s"
    command = [
        ring.tool.path,
        "rewrap",
        ring.uri,
        "--to",
        "ring",
        "--jobs",
        "1",
        "--rate",
        "10",
        *ring.conf,
    ]
    before = ring.servers.calls().get("s3.CopyObject", 0)
    process = subprocess.Popen(
        command, cwd=ring.tool.folder, env=ring.tool.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: ring.servers.calls().get("s3.CopyObject", 0) >= before + 3)
    rotate(ring)
    told = process.communicate(timeout=TIMEOUT)[1]
    assert process.returncode == 0 and "wraps by now" in told
    assert len(versions(ring, names)) == 1


def test_a_checkpoint_is_of_one_run(lake):
    for number in range(20):
        lake.put(f"{number:02}", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    stopped(lake, "--to", "new", after=3)
    command = ["rewrap", lake.uri, "--to", "new", *lake.conf, "--checkpoint", "mark"]
    for other in (["--from", "pair"], ["--upgrade-wrap"]):
        assert "other options" in lake.tool.fails(1, *command, *other)
    assert "other options" in lake.tool.fails(1, "rewrap", lake.uri + "0", "--recursive", *command[2:])
    older = {"prefix": lake.uri, "to": "new", "upgrade_wrap": False, "after": "19", "failed": [], "counts": {}}
    for text in ("{", json.dumps(older)):
        (lake.tool.folder / "mark").write_text(text)
        assert "remove it" in lake.tool.fails(1, *command)
        assert (lake.tool.folder / "mark").read_text() == text


def test_failures_are_tried_again(lake):
    for name in ("a", "b", "c"):
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.servers.deny("s3", "CopyObject", resource="/b")
    lake.rewrap("--checkpoint", "mark", status=1)
    lake.servers.clear_faults()
    assert lake.rewrap("--checkpoint", "mark")["counts"] == {"current": 2, "rewrapped": 1}
    assert description(lake.get("b")[1])["emrkeys.key"] == "new"


def test_failures_before_the_mark_are_not_forgotten(lake):
    names = [f"{number:02}" for number in range(30)]
    for name in names:
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))
    lake.servers.deny("s3", "CopyObject", resource="/01")
    for _ in range(2):
        # The second run ends before it comes to the failed one, or fails there again.
        stopped(lake, "--to", "new", after=5)
        assert json.loads((lake.tool.folder / "mark").read_text())["failed"] == ["01"]
    lake.servers.clear_faults()
    rest = lake.tool.json("rewrap", lake.uri, "--to", "new", *lake.conf, "--checkpoint", "mark")
    assert rest["withEarlierRuns"]["counts"] == {"rewrapped": 30}
    for name in names:
        assert description(lake.get(name)[1])["emrkeys.key"] == "new"


def test_errors_are_grouped_with_three_objects_each(lake):
    for number in range(9):
        lake.put(f"a{number}", *seal(TEXT, lake.old, "v2", {"emrkeys.key": "none", "emrkeys.version": "1"}))
    done = lake.tool.run("rewrap", lake.uri, "--to", "new", *lake.conf)
    assert done.returncode == 1
    assert "KEY_NOT_CONFIGURED: 9 objects" in done.stdout and "and 6 more" in done.stdout
    assert done.stdout.count(lake.uri + "a") == 3
    assert done.stderr.count(lake.uri + "a") == 3


def test_a_uri_is_one_object_unless_it_says_otherwise(lake):
    for name in ("part", "part-1", "part/2"):
        lake.put(name, *seal(TEXT, lake.old, "v2", lake.describe("old")))

    def counts(uri, *options, status=0):
        return lake.tool.json("rewrap", uri, "--to", "new", *lake.conf, *options, status=status)["counts"]

    assert counts(lake.uri + "part") == {"rewrapped": 1}
    assert counts(lake.uri + "part/") == {"rewrapped": 1}
    assert counts(lake.uri + "part", "--recursive") == {"current": 2, "rewrapped": 1}
    assert counts(lake.uri + "par", status=7) == {"gone": 1}


def test_where_there_are_no_objects_that_is_said(lake):
    told = lake.tool.fails(7, "rewrap", lake.uri + "mistyped/", "--to", "new", *lake.conf)
    assert "no object" in told


@pytest.fixture
def many(lake):
    sealed = seal(TEXT, lake.old, "v2", lake.describe("old"))
    for number in range(11):
        lake.put(f"{number:04}", *sealed)
    return lake


def test_many_objects_are_not_moved_without_a_yes(many):
    assert re.search(r"--ask-above <N>[^-]*\[default: 1000\]", many.tool.ok("rewrap", "--help"))
    command = ["rewrap", many.uri, "--to", "new", *many.conf, "--ask-above", "10"]
    assert "--yes" in many.tool.fails(2, *command)
    assert many.servers.calls().get("s3.CopyObject", 0) == 0
    for answer, status, moved in (b"no\n", 4, 0), (b"yes\n", 0, 11):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [many.tool.path, *command],
            cwd=many.tool.folder,
            env=many.tool.env,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(ours, answer)
        _, told = process.communicate(timeout=TIMEOUT)
        assert process.returncode == status, told
        assert f"11 old {many.version('old')} -> new {many.version('new')}" in " ".join(told.split())
        assert many.servers.calls().get("s3.CopyObject", 0) == moved
        os.close(ours)
        os.close(theirs)
