"""Output on a terminal: tables that fit, words in one piece, colours only where they are wanted, bars with units."""

import os
import re
import subprocess

import pytest

from envelopes import seal
from support import properties
from terminal import ESCAPES, lines, shown

PART = 8 << 20


@pytest.fixture(autouse=True)
def file(tool):
    (tool.folder / "in").write_text("hello world")


@pytest.mark.parametrize("columns", [80, 140])
def test_the_tables_of_an_audit_fit_and_wide_ones_hold_everything(lake, columns):
    lake.put("a/sealed", *seal(b"text", lake.old, "v2", lake.describe("old")))
    lake.put("b/sse", b"x" * 5000, {}, ServerSideEncryption="aws:kms", SSEKMSKeyId=lake.servers.kms_key())
    command = ["audit", lake.uri, *lake.conf]
    told = lines(shown(lake.tool, columns, *command))
    assert max(map(len, told)) <= columns, told
    assert any("old" in line and "yes" in line and "20 bytes" in line for line in told), told
    assert "4.8 KiB" in "\n".join(told)
    wide = "\n".join(lines(shown(lake.tool, columns, *command, "--wide")))
    assert lake.version("old") in wide and "…" not in wide
    assert "…" not in lake.tool.ok(*command), "no terminal, no limit"


def test_findings_come_before_the_tables_the_worst_first(lake):
    lake.put("old", *seal(b"text", lake.pair, "v2", {"emrkeys.key": "pair"}))
    lake.put("plain", b"text", {})
    told = lake.tool.ok("audit", lake.uri, *lake.conf)
    assert told.index("plaintext:") < told.index("retired-key:") < told.index("key  ")


def test_words_are_not_broken_and_messages_hang(lake):
    key = lake.servers.kms_key()
    site = {"emrkeys.key.k.type": "kms-cached", "emrkeys.key.k.kms-key-id": key, "emrkeys.default.key": "k"}
    told = lines(shown(lake.tool, 80, "doctor", *properties(site)))
    assert told[0].startswith("ok       aws.identity")
    assert any(key in line for line in told), told
    assert [line for line in told if line.startswith("warning")]
    folded = lines(shown(lake.tool, 60, "cat", lake.uri + "nothing", *lake.conf, status=1))
    assert folded[0].startswith("error: ") and folded[1].startswith("       "), folded


@pytest.mark.parametrize("env, coloured", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals_that_want_them(lake, env, coloured):
    command = ["doctor", *lake.conf]
    assert ("\x1b[" in shown(lake.tool, 80, *command, env=env)) == coloured
    assert "\x1b" not in lake.tool.ok(*command)


@pytest.mark.parametrize("columns, bar", [(40, 0), (80, 30), (140, 60)])
def test_a_bar_fits_the_terminal_and_leaves_room_for_its_numbers(lake, columns, bar):
    (lake.tool.folder / "large").write_bytes(os.urandom(2 * PART))
    lake.servers.fault(service="s3", op="UploadPart", delay=0.3, count=None)
    told = ESCAPES.sub("", shown(lake.tool, columns, "put", "large", lake.uri + "x", *lake.conf))
    drawn = [line for line in re.split(r"[\r\n]+", told) if "MiB/s" in line]
    assert drawn and max(map(len, drawn)) <= columns, drawn
    assert {len(re.match("[█▉▊▋▌▍▎▏░ ]*", line)[0].rstrip(" ")) for line in drawn} <= {bar}, drawn
    assert all(re.search(r"\d+\.\d+ MiB/16\.00 MiB \d+\.\d+ MiB/s \w+", line) for line in drawn), drawn


def test_a_bar_has_units_that_people_read(lake):
    (lake.tool.folder / "large").write_bytes(os.urandom(3 * PART))
    lake.servers.fault(service="s3", op="UploadPart", delay=0.3, count=None)
    told = shown(lake.tool, 80, "put", "large", lake.uri + "x", *lake.conf)
    assert re.search(r"\d+\.\d+ MiB/24\.00 MiB \d+\.\d+ MiB/s", told), told
    assert lines(told)[-2].endswith("key old, 25165824 bytes, 1 object")
    told = shown(lake.tool, 80, "cat", lake.uri + "x", *lake.conf, stdout=subprocess.DEVNULL)
    assert re.search(r"MiB/24\.00 MiB \d+\.\d+ MiB/s \w+ verified", told), told
    assert "MiB" not in shown(lake.tool, 80, "put", "large", lake.uri + "x", "--quiet", *lake.conf)


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("command", ["rewrap", "convert"])
def test_a_run_ends_with_a_table_of_the_keys_that_objects_left_and_got(lake, command, columns):
    for name in ("a", "b"):
        lake.put(name, *seal(b"text", lake.old, "encryption-only", lake.describe("old")))
    lake.put("c", *seal(b"text", lake.pair, "encryption-only", {"rsa_name": "payroll"}))
    run = [command, lake.uri, "--to", "new", "--from", "old,pair", *lake.conf]
    for options in (["--dry-run"], []):
        told = lines(shown(lake.tool, columns, *run, *options))
        assert max(map(len, told)) <= columns, told
        to = "v2 new" if command == "convert" else "new"
        for row in (rf" *2  (.* )?old +\S+  ->  {to}(  \S+)?", rf" *1  (.* )?payroll +->  {to}(  \S+)?"):
            assert any(re.fullmatch(row, line) for line in told), (row, told)
    lake.put("a", *seal(b"text", lake.old, "encryption-only", lake.describe("old")))
    whole = " ".join(lake.tool.ok(*run).split())
    assert f"old {lake.version('old')} -> " in whole and f"new {lake.version('new')}" in whole, whole


def test_the_page_and_the_lines_of_an_audit_go_to_standard_output_where_that_is_asked_for(lake):
    lake.put("plain", b"text", {})
    command = ["audit", lake.uri, *lake.conf]
    page = lake.tool.ok(*command, "--html", "-")
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>") and 'class="finding bad"' in page
    assert "<code>emrkeys convert URI --from-plaintext</code>" in page and "`" not in page.partition("<script>")[0]
    table = lake.tool.ok(*command, "--objects", "-").splitlines()
    assert table[0].startswith("object,bytes,key") and len(table) == 2
    lake.tool.fails(2, *command, "--html", "-", "--objects", "-")
    command = ["rewrap", lake.uri, "--to", "new", "--report", "-", *lake.conf]
    done = lake.tool.run(*command)
    assert done.stdout.count("\n") == 1 and '"why":"plaintext"' in done.stdout and "1  plaintext" in done.stderr
    assert not (lake.tool.folder / "-").exists()
