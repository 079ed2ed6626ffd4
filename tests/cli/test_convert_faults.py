"""`emrkeys convert` while other things happen: kills, faults of S3, other writers. Nothing is lost."""

import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from convert_lake import LARGE, TEXT, ConvertLake
from envelopes import FORMATS, description, unseal
from support import TIMEOUT, wait_for


LAKE = ConvertLake


@pytest.fixture
def locked(lake):
    """A lake in a bucket with object lock."""
    lake.bucket += "-locked"
    lake.uri = f"s3://{lake.bucket}/"
    lake.servers.s3.create_bucket(Bucket=lake.bucket, ObjectLockEnabledForBucket=True)
    return lake


def test_a_lock_is_kept(locked):
    later = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)
    locked.put("free", *locked.seal())
    locked.put("locked", *locked.seal(), ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later)
    locked.put("held", *locked.seal(), ObjectLockLegalHoldStatus="ON")
    assert locked.convert()["counts"] == {"converted": 3}
    assert locked.head("locked")["ObjectLockRetainUntilDate"] == later
    assert locked.head("locked")["ObjectLockMode"] == "GOVERNANCE"
    assert locked.head("held")["ObjectLockLegalHoldStatus"] == "ON"
    assert locked.head("free").get("ObjectLockMode") is None


def test_an_object_whose_lock_may_not_be_read_is_left(locked):
    sealed = locked.seal()
    locked.put("a", *sealed)
    for operation in ("GetObjectRetention", "GetObjectLegalHold"):
        locked.servers.clear_faults()
        locked.servers.deny("s3", operation)
        assert locked.convert()["counts"] == {"lock-unreadable": 1}
        # Nor may whether there are locks at all.
        locked.servers.deny("s3", "GetObjectLockConfiguration")
        assert locked.convert()["counts"] == {"lock-unreadable": 1}
    assert locked.get("a") == sealed


def test_tags_that_may_not_be_read_are_not_dropped(lake):
    sealed = {name: lake.seal(text) for name, text in (("small", TEXT), ("large", LARGE))}
    for name, object in sealed.items():
        lake.put(name, *object, Tagging="a=b")
    lake.servers.deny("s3", "GetObjectTagging")
    assert {line["code"] for line in lake.report(status=1).values()} == {"STORE_DENIED"}
    assert all(lake.get(name) == object for name, object in sealed.items())


def test_an_access_control_list_that_may_not_be_read_is_noted(lake):
    lake.put("a", *lake.seal())
    lake.servers.deny("s3", "GetObjectAcl")
    assert lake.report()["a"]["notes"] == ["acl-unreadable"]


def test_whoever_writes_in_the_meantime_wins(lake):
    for name, text, call in (("small", TEXT, "PutObject"), ("large", LARGE, "CompleteMultipartUpload")):
        lake.put(name, *lake.seal(text))
        other = lake.seal(b"newer")
        lake.servers.control("DELETE", "calls")
        lake.servers.hold(call, resource=lake.bucket)
        counts = lake.meanwhile("s3." + call, 1, lambda: lake.put(name, *other))["counts"]
        assert counts["converted"] == 1, counts
        assert unseal(*lake.get(name), lake.new) == b"newer"
    assert not lake.has_uploads()


def test_an_object_that_is_deleted_in_the_meantime_stays_deleted(lake):
    for name, text, call in (("small", TEXT, "PutObject"), ("large", LARGE, "UploadPart")):
        lake.put(name, *lake.seal(text))
        lake.servers.control("DELETE", "calls")
        lake.servers.hold(call)
        assert lake.meanwhile("s3." + call, 1, lambda: lake.delete(name))["counts"] == {"gone": 1}
        assert "Contents" not in lake.servers.s3.list_objects_v2(Bucket=lake.bucket)
    assert not lake.has_uploads()


def test_tags_and_metadata_that_change_while_the_content_is_read_are_kept(lake):
    tags = {"TagSet": [{"Key": "a", "Value": "new"}]}
    for name, text, call in (("small", TEXT, "GetObject"), ("large", LARGE, "UploadPart")):
        lake.put(name, *lake.seal(text), Tagging="a=old")
        lake.servers.control("DELETE", "calls")
        lake.servers.hold(call)

        def change():
            lake.servers.s3.put_object_tagging(Bucket=lake.bucket, Key=name, Tagging=tags)

        lake.meanwhile("s3." + call, 1, change)
        assert lake.tags(name) == {"a": "new"} and unseal(*lake.get(name), lake.new) == text


def test_faults_of_s3_are_waited_out(lake):
    lake.put("small", *lake.seal())
    lake.put("large", *lake.seal(LARGE))
    slow_down = {"status": 503, "code": "SlowDown", "count": 1}
    for op in ("HeadObject", "GetObject", "PutObject", "UploadPart", "CompleteMultipartUpload", "GetObjectTagging"):
        lake.servers.fault(service="s3", op=op, **slow_down)
    lake.servers.fault(service="s3", op="GetObject", cut=300_000, count=2, resource="large", after=1)
    assert lake.convert()["counts"] == {"converted": 2}
    assert unseal(*lake.get("small"), lake.new) == TEXT and unseal(*lake.get("large"), lake.new) == LARGE


@pytest.mark.parametrize("to", [[], ["--to-plaintext"]])
def test_a_replacement_whose_answer_is_lost_is_a_replacement(lake, to):
    for name, text, call in (("small", TEXT, "PutObject"), ("large", LARGE, "CompleteMultipartUpload")):
        lake.put(name, *lake.seal(text))
        # The request that is sent again finds the object changed, by the first one.
        lake.servers.fault(service="s3", op=call, cut=0, count=1)
        confirm = ["--confirm", lake.uri + name] if to else []
        lines = lake.report(*to, *confirm, uri=lake.uri + name, name=name)
        assert lines[name]["outcome"] == "converted" and lines[name]["compared"] == "second read"
        body, metadata = lake.get(name)
        assert (body if to else unseal(body, metadata, lake.new)) == text


def alter(lake, call: str) -> None:
    """Has the store change a byte of the next upload, and confirm no checksum."""
    lake.servers.fault(service="s3", op=call, alter=True, count=1, resource=lake.bucket)


def test_a_new_object_that_is_not_what_was_sent_makes_way_for_the_version_before(lake):
    lake.servers.s3.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})
    for name, text, call in (("small", TEXT, "PutObject"), ("large", LARGE, "UploadPart")):
        lake.put(name, *lake.seal(text))
        before = lake.head(name)["VersionId"]
        alter(lake, call)
        line = lake.report(uri=lake.uri + name, name=name, status=1)[name]
        assert line["code"] == "OBJECT_DAMAGED" and before in line["message"], line
        assert lake.head(name)["VersionId"] == before
        assert lake.convert(uri=lake.uri + name)["counts"] == {"converted": 1}
        assert unseal(*lake.get(name), lake.new) == text
        # The version that was put back may not be deleted: the failure names it, and the next run sees the new one.
        lake.put(name, *lake.seal(text))
        before = lake.head(name)["VersionId"]
        lake.servers.deny("s3", "DeleteObject", resource=lake.bucket)
        alter(lake, call)
        line = lake.report("--checkpoint", "mark", uri=lake.uri + name, name=name + "-denied", status=1)[name]
        assert line["code"] == "REPLACEMENT_NOT_PROVEN" and before in line["message"], line
        assert lake.head(name)["VersionId"] in line["message"]
        assert lake.convert("--checkpoint", "mark", uri=lake.uri + name, status=1)["counts"] == {"failed": 1}
        lake.servers.clear_faults()
        lake.servers.s3.delete_object(Bucket=lake.bucket, Key=name, VersionId=lake.head(name)["VersionId"])
        assert lake.convert("--checkpoint", "mark", uri=lake.uri + name)["counts"] == {"converted": 1}
        assert not (lake.tool.folder / "mark").exists()


def test_a_new_object_that_nothing_proves_is_not_taken_for_done_by_the_next_run(lake):
    sealed = lake.seal()
    for name in ("a", "b"):
        lake.put(name, *sealed)
    lake.servers.fault(service="s3", op="PutObject", alter=True, count=1, resource=lake.bucket + "/b")
    lines = lake.report("--checkpoint", "mark", status=1)
    assert (lines["a"]["outcome"], lines["b"]["code"]) == ("converted", "REPLACEMENT_NOT_PROVEN")
    for _ in range(2):
        document = lake.convert("--checkpoint", "mark", status=1)
        assert document["counts"] == {"current": 1, "failed": 1}
        assert [error["code"] for error in document["errors"]] == ["OBJECT_DAMAGED"]
    assert lake.convert("--second-read", status=1)["counts"] == {"current": 1, "failed": 1}
    lake.put("b", *sealed)
    assert lake.convert("--checkpoint", "mark")["counts"] == {"current": 1, "converted": 1}
    assert not (lake.tool.folder / "mark").exists()


def test_a_new_object_that_could_not_be_read_again_is_read_by_the_next_run(lake):
    lake.put("a", *lake.seal())
    lake.servers.fault(service="s3", op="GetObject", status=403, code="AccessDenied", after=1, count=1)
    lines = lake.report("--checkpoint", "mark", "--second-read", status=1)
    assert lines["a"]["code"] == "REPLACEMENT_NOT_PROVEN"
    lake.servers.control("DELETE", "calls")
    assert lake.convert("--checkpoint", "mark")["counts"] == {"current": 1}
    assert lake.servers.calls()["s3.GetObject"] == 1
    assert not (lake.tool.folder / "mark").exists()


def test_an_object_in_the_clear_stays_in_doubt_until_somebody_looks(lake):
    lake.put("a", *lake.seal())
    alter(lake, "PutObject")
    options = ["--to-plaintext", "--confirm", lake.uri, "--checkpoint", "mark"]
    for _ in range(2):
        (line,) = lake.convert(*options, status=1)["errors"]
        assert line["code"] == "REPLACEMENT_NOT_PROVEN"
    (lake.tool.folder / "mark").unlink()
    assert lake.convert(*options)["counts"] == {"current": 1}


def test_a_write_that_s3_refuses_leaves_everything_as_it_was(lake):
    sealed = {name: lake.seal(text) for name, text in (("small", TEXT), ("large", LARGE))}
    for name, object in sealed.items():
        lake.put(name, *object)
    lake.servers.deny("s3", "PutObject", resource=lake.bucket)
    lake.servers.deny("s3", "UploadPart")
    assert lake.convert(status=1)["counts"] == {"failed": 2}
    assert all(lake.get(name) == object for name, object in sealed.items())
    assert not lake.has_uploads()


def reads(lake, names) -> None:
    """Every object is whole, under one key or the other."""
    for name in names:
        body, metadata = lake.get(name)
        key = {"old": lake.old, "new": lake.new}[description(metadata)["emrkeys.key"]]
        assert hashlib.sha256(unseal(body, metadata, key)).hexdigest() == names[name], name


def test_objects_stay_readable_while_it_is_killed_and_started_again(lake, request):
    kills = 20 if request.config.getoption("--full") else 2
    texts = {f"part-{number:03}": os.urandom(1000 + number) for number in range(20 * kills)}
    texts["part-005-large"] = LARGE
    for name, text in texts.items():
        lake.put(name, *lake.seal(text, how=random.choice(FORMATS)))
    names = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    done = lambda: lake.servers.calls().get("s3.PutObject", 0)
    begun = done()
    for kill in range(kills):
        process = lake.start("--checkpoint", "mark", "--jobs", "2", "--rate", "60", stdout=subprocess.DEVNULL)
        before = done()
        aim = before + random.randint(1, 15)
        wait_for(lambda: done() >= aim or process.poll() is not None)
        time.sleep(random.random() / 50)
        process.send_signal(signal.SIGKILL if kill % 3 < 2 else signal.SIGINT)
        process.communicate(timeout=TIMEOUT)
        reads(lake, names)
    rest = lake.convert("--checkpoint", "mark")
    assert rest["complete"] and done() > begun
    reads(lake, names)
    for name, text in texts.items():
        assert unseal(*lake.get(name), lake.new) == text
    assert not (lake.tool.folder / "mark").exists()


def test_two_runs_at_once_convert_each_object_once(lake):
    names = {f"{number:02}": hashlib.sha256(b"%d" % number).hexdigest() for number in range(40)}
    for name in names:
        lake.put(name, *lake.seal(b"%d" % int(name)))
    lake.servers.s3.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})
    runs = [lake.start("--output", "json", "--report", f"report-{run}") for run in range(2)]
    counts = [json.loads(run.communicate(timeout=TIMEOUT)[0])["counts"] for run in runs]
    assert sum(count.get("converted", 0) for count in counts) == 40, counts
    assert {run.returncode for run in runs} == {0}
    versions = lake.servers.s3.list_object_versions(Bucket=lake.bucket)["Versions"]
    assert len(versions) == 80
    reads(lake, names)


def test_it_stops_by_itself_where_too_many_objects_fail(lake):
    good, bad = lake.seal(), (b"", lake.seal()[1])
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: lake.put(f"{number:03}", *(good if number % 9 else bad)), range(200)))
    done = lake.tool.run(*lake.command("--jobs", "1", "--checkpoint", "mark", "--dry-run"))
    assert done.returncode == 1 and "stopped: 12 of 100 objects failed" in done.stderr
    told = lake.tool.fails(1, *lake.command("--jobs", "1", "--max-failures", "12.5%", "--dry-run"))
    assert "stopped" not in told and "23 objects could not be converted" in told
    for wrong in ("-1", "101%", "many"):
        assert "--max-failures" in lake.tool.fails(2, *lake.command(f"--max-failures={wrong}"))


def test_a_checkpoint_is_of_one_run(lake):
    for number in range(20):
        lake.put(f"{number:02}", *lake.seal())
    before = lake.servers.calls()["s3.PutObject"]
    held = lake.servers.hold("PutObject")
    process = lake.start("--checkpoint", "mark", "--jobs", "1", stdout=subprocess.DEVNULL)
    wait_for(lambda: lake.servers.calls()["s3.PutObject"] > before)
    process.send_signal(signal.SIGINT)
    lake.servers.release(held)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    for other in (["--format", "v4"], ["--from-plaintext"], ["--to", "new"], ["--to-plaintext"]):
        confirm = ["--confirm", lake.uri] if other == ["--to-plaintext"] else []
        assert "other options" in lake.tool.fails(1, *lake.command("--checkpoint", "mark", *other, *confirm))
    told = lake.tool.fails(1, "rewrap", lake.uri, "--to", "new", "--checkpoint", "mark", *lake.conf)
    assert "no checkpoint" in told
    rest = lake.convert("--checkpoint", "mark")
    assert rest["withEarlierRuns"]["counts"] == {"converted": 20}


def test_memory_does_not_grow_with_objects(lake, request):
    if not request.config.getoption("--full"):
        pytest.skip("the local S3 takes long for large objects; ./dev bench convert measures it too")
    sealed = lake.seal(LARGE * 3)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda number: lake.put(f"{number}", *sealed), range(4)))
    most, stop = [0], threading.Event()
    process = lake.start(stdout=subprocess.DEVNULL)

    def watch():
        while not stop.wait(0.02):
            try:
                status = open(f"/proc/{process.pid}/status").read()
            except OSError:
                return
            high = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            most[0] = max(most[0], *map(int, high), 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.communicate(timeout=TIMEOUT)
    stop.set()
    watcher.join()
    assert process.returncode == 0 and 0 < most[0] < 160 * 1024, most
