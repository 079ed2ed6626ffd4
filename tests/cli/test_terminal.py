"""Output on a terminal: tables that fit, words in one piece, colours only where they are wanted, bars with units."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from conftest import properties
from envelopes import seal
from lake import Lake

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PART = 8 << 20


@pytest.fixture
def lake(servers, keys, tool):
    (tool.folder / "in").write_text("hello world")
    return Lake(servers, keys, tool)


def shown(tool, columns: int, *arguments, env=None, status: int = 0, stdout=None) -> str:
    """The output of the command on a terminal of so many columns, escape sequences included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [tool.path, *map(str, arguments)],
        cwd=tool.folder,
        env={**tool.env, "TERM": "xterm-256color", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
    )
    os.close(theirs)
    out = b""
    try:
        while piece := os.read(ours, 1 << 16):
            out += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == status, out.decode()
    return out.decode()


def lines(text: str) -> list[str]:
    """The lines, as they stand in the end where a bar was drawn over them."""
    whole = ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return [line.rsplit("\r", 1)[-1] for line in whole]


@pytest.mark.parametrize("columns", [80, 140])
def test_the_tables_of_an_audit_fit_and_wide_ones_hold_everything(lake, columns):
    lake.put("a/sealed", *seal(b"text", lake.old, "v2", lake.describe("old")))
    lake.put("b/sse", b"x" * 5000, {}, ServerSideEncryption="aws:kms", SSEKMSKeyId=lake.servers.kms_key())
    command = ["audit", lake.uri, *properties(lake.site)]
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
    told = lake.tool.ok("audit", lake.uri, *properties(lake.site))
    assert told.index("plaintext:") < told.index("retired-key:") < told.index("key  ")


def test_words_are_not_broken_and_messages_hang(lake):
    key = lake.servers.kms_key()
    site = {"emrkeys.key.k.type": "kms-cached", "emrkeys.key.k.kms-key-id": key, "emrkeys.default.key": "k"}
    told = lines(shown(lake.tool, 80, "doctor", *properties(site)))
    assert told[0].startswith("ok       aws.identity")
    assert any(key in line for line in told), told
    assert [line for line in told if line.startswith("warning")]
    folded = lines(shown(lake.tool, 60, "cat", lake.uri + "nothing", *properties(lake.site), status=1))
    assert folded[0].startswith("error: ") and folded[1].startswith("       "), folded


@pytest.mark.parametrize("env, coloured", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals_that_want_them(lake, env, coloured):
    command = ["doctor", *properties(lake.site)]
    assert ("\x1b[" in shown(lake.tool, 80, *command, env=env)) == coloured
    assert "\x1b" not in lake.tool.ok(*command)


def test_a_bar_has_units_that_people_read(lake):
    (lake.tool.folder / "large").write_bytes(os.urandom(3 * PART))
    lake.servers.fault(service="s3", op="UploadPart", delay=0.3, count=None)
    told = shown(lake.tool, 80, "put", "large", lake.uri + "x", *properties(lake.site))
    assert re.search(r"\d+\.\d+ MiB/24\.00 MiB \d+\.\d+ MiB/s", told), told
    assert lines(told)[-2].endswith("key old, 25165824 bytes, 1 object")
    told = shown(lake.tool, 80, "cat", lake.uri + "x", *properties(lake.site), stdout=subprocess.DEVNULL)
    assert re.search(r"MiB/24\.00 MiB \d+\.\d+ MiB/s \w+ verified", told), told
    assert "MiB" not in shown(lake.tool, 80, "put", "large", lake.uri + "x", "--quiet", *properties(lake.site))


def test_the_page_and_the_lines_of_an_audit_go_to_standard_output_where_that_is_asked_for(lake):
    lake.put("plain", b"text", {})
    command = ["audit", lake.uri, *properties(lake.site)]
    page = lake.tool.ok(*command, "--html", "-")
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>") and 'class="finding bad"' in page
    table = lake.tool.ok(*command, "--objects", "-").splitlines()
    assert table[0].startswith("object,bytes,key") and len(table) == 2
    lake.tool.fails(2, *command, "--html", "-", "--objects", "-")
    command = ["rewrap", lake.uri, "--to", "new", "--report", "-", *properties(lake.site)]
    done = lake.tool.run(*command)
    assert done.stdout.count("\n") == 1 and '"why":"plaintext"' in done.stdout and "1  plaintext" in done.stderr
    assert not (lake.tool.folder / "-").exists()
