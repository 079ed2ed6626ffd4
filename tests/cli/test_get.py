"""`emrkeys get` and `cat`.

Downloads that break off or are stopped, places that no file may take, damage that AES-CBC does not show.
"""

import base64
import os
import signal
import stat
import subprocess

import pytest

from envelopes import FORMATS, seal
from support import TIMEOUT, wait_for

TEXT = b"0123456789abcdef some text\n" * 16000
CUT = 50_000


def put(lake, name: str, how: str = "v2", text: bytes = TEXT, **metadata) -> str:
    body, own = seal(text, lake.old, how, lake.describe("old"))
    lake.put(name, body, {**own, **metadata})
    return lake.uri + name


def unauthenticated(how: str) -> list[str]:
    """The option that allows AES-CBC."""
    return ["--allow-unauthenticated"] if how == "encryption-only" else []


def cut(lake, **more) -> None:
    """Every answer breaks off, so that a download takes a while too: it pauses each time."""
    lake.servers.fault(service="s3", op="GetObject", **{"cut": CUT, "count": None, **more})


def leftovers(lake) -> list[str]:
    return [name for name in os.listdir(lake.tool.folder) if name == "out" or name.startswith(".emrkeys")]


def begin(lake, *arguments, **more) -> subprocess.Popen:
    command = [lake.tool.path, *arguments, *lake.conf]
    return subprocess.Popen(command, env=lake.tool.env, cwd=lake.tool.folder, **{"stderr": subprocess.PIPE, **more})


def end(process: subprocess.Popen) -> tuple[int, str]:
    told = process.communicate(timeout=TIMEOUT)[1]
    return process.returncode, told.decode()


@pytest.mark.parametrize("how", FORMATS)
def test_a_download_that_breaks_off_is_gone_on_with(lake, how):
    uri = put(lake, "x", how)
    cut(lake)
    lake.tool.ok("get", uri, "out", *unauthenticated(how), *lake.conf)
    assert (lake.tool.folder / "out").read_bytes() == TEXT
    assert lake.servers.calls()["s3.GetObject"] == len(TEXT) // CUT + 1 > 5
    if how != "encryption-only":
        part = lake.tool.run("cat", uri, "--range", "1000-399999", *lake.conf, input=b"")
        assert part.stdout == TEXT[1000:400000], part.stderr


def test_an_instruction_file_that_breaks_off_is_gone_on_with(lake):
    (lake.tool.folder / "in").write_bytes(TEXT)
    lake.tool.ok("put", "in", lake.uri + "x", "--instruction-file", *lake.conf)
    cut(lake, cut=100, resource="x.instruction")
    lake.tool.ok("get", lake.uri + "x", "out", *lake.conf)
    assert (lake.tool.folder / "out").read_bytes() == TEXT


def test_answers_that_bring_nothing_are_given_up(lake):
    uri = put(lake, "x")
    cut(lake, cut=0, after=1)
    cut(lake, count=1)
    assert "[STORE_UNAVAILABLE]" in lake.tool.fails(1, "get", uri, "out", *lake.conf)
    assert not leftovers(lake)


def test_an_object_that_is_replaced_while_its_download_pauses_is_not_mixed_with_the_new_one(lake):
    uri = put(lake, "x", "encryption-only")
    cut(lake, count=1)
    lake.servers.hold("GetObject")
    process = begin(lake, "get", uri, "out", "--allow-unauthenticated")
    wait_for(lambda: lake.servers.calls().get("s3.GetObject") == 2)
    put(lake, "x", "encryption-only")
    lake.servers.clear_faults()
    status, told = end(process)
    assert status == 3 and "[OBJECT_CHANGED]" in told
    assert not leftovers(lake)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_download_that_is_stopped_leaves_nothing_under_the_name(lake, how):
    uri = put(lake, "x", text=TEXT * 10)
    held = lake.servers.hold("GetObject", after=8)
    cut(lake)
    # Under nohup, where the tests may run, a child would ignore it.
    obey = lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)
    process = begin(lake, "get", uri, "out", preexec_fn=obey)
    wait_for(lambda: lake.servers.calls().get("s3.GetObject", 0) > 8)
    process.send_signal(how)
    lake.servers.release(held)
    status, told = end(process)
    assert not (lake.tool.folder / "out").exists()
    if how == signal.SIGKILL:
        assert status == -how
    else:
        assert status == 130, told
        assert not leftovers(lake)


def test_nohup_is_respected(lake):
    uri = put(lake, "x")
    held = lake.servers.hold("GetObject", after=2)
    cut(lake)
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = begin(lake, "get", uri, "out", preexec_fn=ignore)
    wait_for(lambda: lake.servers.calls().get("s3.GetObject", 0) > 2)
    process.send_signal(signal.SIGHUP)
    lake.servers.release(held)
    assert end(process)[0] == 0
    assert (lake.tool.folder / "out").read_bytes() == TEXT


def test_what_is_no_file_is_refused_before_anything_is_asked_for(lake):
    uri = put(lake, "x")
    folder = lake.tool.folder
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("pipe")
    lake.servers.control("DELETE", "calls")
    (folder / "folder/x").mkdir(parents=True)
    assert "it is a folder" in lake.tool.fails(1, "get", uri, "folder", *lake.conf)
    for name in ("pipe", "link"):
        assert "emrkeys cat" in lake.tool.fails(1, "get", uri, name, *lake.conf)
    assert lake.servers.calls() == {}
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode) and (folder / "link").is_symlink()
    assert not leftovers(lake)


def test_a_link_stays_and_its_target_is_replaced(lake):
    folder = lake.tool.folder
    (folder / "there").mkdir()
    (folder / "there/file").write_text("old")
    (folder / "link").symlink_to("there/file")
    lake.tool.ok("get", put(lake, "x"), "link", *lake.conf)
    assert (folder / "link").is_symlink() and (folder / "there/file").read_bytes() == TEXT


@pytest.mark.parametrize("option", ["--html", "--objects"])
def test_a_report_of_audit_that_the_disk_has_no_room_for_is_not_there(lake, option):
    for number in range(20):
        put(lake, f"{number}", text=b"x")
    limit = f"ulimit -f 1; trap '' XFSZ; exec '{lake.tool.path}' audit {lake.uri} {option} out {' '.join(lake.conf)}"
    done = subprocess.run(
        ["bash", "-c", limit], env=lake.tool.env, cwd=lake.tool.folder, capture_output=True, timeout=TIMEOUT
    )
    assert done.returncode == 1, done.stderr
    assert not leftovers(lake)


ENDS_LIKE_PADDING = (b"a" * 15 + b"\x01") * 1000


@pytest.mark.parametrize("noted", [None, "-5", "9999", "16000"])
def test_of_cbc_content_cut_at_a_block_only_the_noted_length_tells(lake, noted):
    body, metadata = seal(ENDS_LIKE_PADDING, lake.old, "encryption-only", lake.describe("old"))
    if noted:
        metadata["x-amz-unencrypted-content-length"] = noted
    lake.put("cut", body[:8000], metadata)
    lake.put("whole", body, metadata)
    wrong = {"cut": noted in ("9999", "16000"), "whole": noted == "9999"}
    for name, damaged in wrong.items():
        if damaged:
            for command in (["get", lake.uri + name, "out"], ["cat", lake.uri + name]):
                assert "[OBJECT_DAMAGED]" in lake.tool.fails(1, *command, "--allow-unauthenticated", *lake.conf)
            assert lake.tool.run("cat", lake.uri + name, "--allow-unauthenticated", *lake.conf).stdout == ""
            assert not leftovers(lake)
        else:
            lake.tool.ok("get", lake.uri + name, name, "--allow-unauthenticated", *lake.conf)


@pytest.mark.parametrize(
    "change", [lambda body: body[:-1], lambda body: body + b"x", lambda body: b"", lambda body: body[:-16]]
)
def test_of_damaged_cbc_content_nothing_is_there(lake, change):
    body, metadata = seal(TEXT, lake.old, "encryption-only", lake.describe("old"))
    lake.put("x", change(body), metadata)
    told = lake.tool.fails(1, "get", lake.uri + "x", "out", "--allow-unauthenticated", *lake.conf)
    assert "[OBJECT_DAMAGED]" in told
    assert not leftovers(lake)


def test_aes_cbc_is_read_only_where_that_is_asked_for(lake):
    uri = put(lake, "x", "encryption-only")
    for command in (["get", uri, "out"], ["cat", uri], ["cat", uri, "--release-unverified"]):
        done = lake.tool.run(*command, *lake.conf)
        assert done.returncode == 1 and "[CONTENT_UNAUTHENTICATED]" in done.stderr and done.stdout == ""
    assert not leftovers(lake)
    done = lake.tool.run("cat", uri, "--allow-unauthenticated", *lake.conf)
    assert done.stdout.encode() == TEXT and done.stderr.count("AES-CBC") == 1


def test_an_object_of_aes_gcm_is_not_read_as_aes_cbc(lake):
    """A writer who knows the first block of an object's plaintext knows the first block of the cipher's stream.

    By it they could write AES-CBC: nothing but the wrap would have to be the object's own.
    """
    body, metadata = seal(TEXT, lake.old, "v1", lake.describe("old"))
    del metadata["x-amz-tag-len"]
    forged = {**metadata, "x-amz-cek-alg": "AES/CBC/PKCS5Padding", "x-amz-iv": base64.b64encode(bytes(16)).decode()}
    for wrap in ("AESWrap", "AES/GCM", "AES"):
        lake.put("x", body[:-4], {**forged, "x-amz-wrap-alg": wrap})
        told = lake.tool.fails(1, "cat", lake.uri + "x", "--allow-unauthenticated", *lake.conf)
        assert "[INVALID_ENVELOPE]" in told, wrap


def test_a_file_that_changes_after_it_was_verified_is_not_printed(lake):
    folder = lake.tool.folder
    (folder / "in").write_bytes(TEXT * 10)
    lake.tool.ok("put", "in", f"file://{folder}/x", *lake.conf)
    process = begin(lake, "cat", f"file://{folder}/x", stdout=subprocess.PIPE, bufsize=0)
    # It was verified before its first byte was printed; more than that it prints once somebody reads.
    first = process.stdout.read(1)
    with open(folder / "x", "r+b") as file:
        file.seek(2_000_000)
        file.write(bytes(1_000_000))
    printed, told = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 3 and b"[OBJECT_CHANGED]" in told
    assert (TEXT * 10).startswith(first + printed)


def test_the_first_lines_of_a_large_object_need_not_all_of_it(lake):
    uri = put(lake, "x", text=TEXT * 40)
    lake.servers.fault(service="s3", op="GetObject", cut=1_000_000, count=None)
    command = f"set -o pipefail; '{lake.tool.path}' cat {uri} --release-unverified {' '.join(lake.conf)} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], env=lake.tool.env, cwd=lake.tool.folder, capture_output=True, timeout=TIMEOUT
    )
    assert done.stdout == TEXT.splitlines(keepends=True)[0]
    assert lake.servers.calls()["s3.GetObject"] <= 2


def test_a_full_standard_error_hinders_nothing(lake):
    uri = put(lake, "x", "encryption-only")
    with open("/dev/full", "w") as full:
        assert begin(lake, "get", uri, "out", "--allow-unauthenticated", stderr=full).wait(TIMEOUT) == 0
        assert begin(lake, "get", lake.uri + "none", "out", stderr=full).wait(TIMEOUT) == 1


def gone(lake, *arguments) -> int:
    """The exit status where nobody reads what is printed."""
    ours, theirs = os.pipe()
    os.close(ours)
    process = begin(lake, *arguments, stdout=theirs)
    os.close(theirs)
    return end(process)[0]


def test_a_reader_that_goes_away_does_not_change_the_verdict(lake):
    uri = put(lake, "x")
    assert gone(lake, "cat", uri) == 0
    assert gone(lake, "cat", uri, "--range", "0-99") == 0
    assert gone(lake, "cat", uri, "--release-unverified") == 1
    assert gone(lake, "doctor", "-D", "emrkeys.nonsense=1") == 1


def test_uris_of_local_files_are_those_of_key_files(lake):
    folder = lake.tool.folder
    (folder / "in").write_bytes(TEXT)
    lake.tool.ok("put", "in", f"file://localhost{folder}/a%20b%25", *lake.conf)
    assert (folder / "a b%").exists()
    for uri in (f"file:{folder}/a b%25", f"FILE://{folder}/a%20b%"):
        assert lake.tool.ok("cat", uri, *lake.conf) == TEXT.decode()
        (found,) = lake.tool.json("inspect", uri, *lake.conf)
        assert found["uri"] == f"file://{folder}/a b%25"
    for uri in ("file:in", "file://in", "file://host/in", "file:"):
        assert "[INVALID_URI]" in lake.tool.fails(1, "get", uri, "out", *lake.conf)
